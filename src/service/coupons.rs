//! Coupons: one customer's right to an offer, with a code that a till scans or types, and maybe a pass that shows it.

use chrono::{DateTime, Datelike as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use crate::clock::random_crockford;
use crate::domain::code::{
    CODE_ID_LEN, CodeKind, OfflineCode, TYPED_LEN, minutes_down, minutes_up, own_code, read_typed_code, typed_code,
};
use crate::domain::ids::{BrandId, CouponId, OfferId};
use crate::domain::loyalty::offer::OfferRules;
use crate::domain::text::{self, text_enum};
use crate::service::customers::{self, Named, Selector};
use crate::service::loyalty::rules;
use crate::service::once::{self, Once};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, change_pass, code_keys, coupon_passes};
use crate::store::Conn;
use crate::store::brands::{self, Brand};
use crate::store::coupons::{self, Coupon, CouponState};
use crate::store::events::{self, NewEvent};
use crate::store::offers::{self, OfferState};
use crate::store::passes;
use crate::wallet::keys::{BadCode, CodeKeys};
use crate::wallet::offline::{self, OfflineKey};

/// What a coupon is issued from.
#[derive(Debug, Clone)]
pub struct NewCoupon {
    pub offer: OfferId,
    /// `None`: whoever has its code may use it.
    pub customer: Option<Selector>,
    pub external_id: Option<String>,
    pub starts_at: Option<DateTime<Utc>>,
    /// The offer's own end, or so long after now as it says, if absent.
    pub expires_at: Option<DateTime<Utc>>,
    /// A code that it has already, where it comes from another system.
    pub code: Option<String>,
}

/// The text of a coupon's barcode, by the brand's newest key.
pub fn barcode(app: &App, brand: BrandId, keys: CodeKeys, coupon: &Coupon) -> Result<String, Problem> {
    let code_id: [u8; CODE_ID_LEN] = coupon.code_id.as_slice().try_into().map_err(Problem::internal)?;
    if !coupon.is_offline {
        return Ok(app.master_key.code(brand, keys.newest, CodeKind::Coupon, code_id));
    }
    let code = OfflineCode {
        key_id: keys.newest,
        code_id,
        offer: coupon.offer_id.uuid().into_bytes(),
        // Never earlier than it begins, never later than it ends.
        starts_at: minutes_up(coupon.starts_at.timestamp()),
        expires_at: coupon.expires_at.map_or(0, |end| minutes_down(end.timestamp()).max(1)),
    };
    OfflineKey::new(&app.master_key, brand, keys.newest).and_then(|key| key.code(code)).map_err(Problem::internal)
}

/// What became of it.
#[derive(Debug)]
pub struct Issued {
    pub coupon: Coupon,
    /// The same `external_id`, or the same request with its key, again is the coupon that has it.
    pub is_new: bool,
    /// Why it has no pass though its offer has a design.
    pub unshown: Option<String>,
}

/// Issues a coupon, and the pass that shows it where its offer has a design.
pub async fn issue(app: &App, brand: &Brand, new: NewCoupon, once: Option<&Once>) -> Result<Issued, Problem> {
    let external_id = new.external_id.as_deref().map(|id| text::line(id, 100)).transpose();
    let external_id = external_id.map_err(Problem::text("/external_id"))?;
    let bad_code = || Problem::invalid("/code", "must be 6 to 40 letters and digits");
    let code = new.code.as_deref().map(|code| own_code(code).ok_or_else(bad_code)).transpose()?;
    let mut tx = app.db.begin().await?;
    // Kept is the id alone: whoever has the code has the coupon.
    let before = once::begin(&mut tx.conn(), brand.id, once, app.clock.now()).await?;
    let before = before.map(|reply| String::from_utf8_lossy(&reply.body).parse::<CouponId>());
    let before = before.transpose().map_err(Problem::internal)?;
    let known = match (before, &external_id) {
        (Some(id), _) => Some(coupons::find(&mut tx.conn(), brand.id, id).await?.ok_or(Problem::Busy)?),
        (None, Some(external_id)) => coupons::find_by_external_id(&mut tx.conn(), brand.id, external_id).await?,
        (None, None) => None,
    };
    let offer = offers::find(&mut tx.conn(), brand.id, new.offer).await?;
    let offer = offer.ok_or_else(|| Problem::invalid("/offer_id", "there is no offer with this id"))?;
    let ready = rules::current(app, &mut tx.conn(), brand.id, offer.program_id).await?;
    let read = ready.read_offer(&offer)?;
    let customer = match &new.customer {
        None => None,
        Some(selector) => Some(customers::find(app, &mut tx.conn(), brand.id, selector).await?),
    };
    // What is there is answered as it is, whatever became of its offer or customer.
    let (mut coupon, is_new) = if let Some(known) = known {
        drop(tx);
        let is_theirs = match &customer {
            None => known.customer_id.is_none(),
            Some(Named::Known(customer)) => known.customer_id == Some(*customer),
            Some(Named::New(_)) => true,
        };
        let is_same = known.offer_id == offer.id && is_theirs && code.is_none_or(|code| code == known.typed);
        if before.is_none() && !is_same {
            return Err(Problem::ExternalIdTaken);
        }
        (known, false)
    } else {
        if offer.state == OfferState::Ended {
            return Err(Problem::invalid("/offer_id", "the offer has ended"));
        }
        let customer_id = match customer {
            None => None,
            Some(Named::Known(customer)) => Some(customer),
            Some(Named::New(_)) => return Err(Problem::NotFound { what: "customer" }),
        };
        for (pointer, at) in [("/starts_at", new.starts_at), ("/expires_at", new.expires_at)] {
            check_time(pointer, at)?;
        }
        let now = app.clock.now();
        let end = new.expires_at.or_else(|| end_of(&read, ready.zone, now));
        let mut coupon = Coupon { customer_id, external_id, ..fresh(app, offer.id, new.starts_at, end) };
        (coupon.typed, coupon.is_offline) = (code.unwrap_or(coupon.typed), read.is_offline);
        coupon.unshown_since = waits_since(&read, &coupon);
        if coupons::insert(&mut tx.conn(), brand.id, std::slice::from_ref(&coupon)).await? == 0 {
            // Somebody was a moment faster with this id: a repetition is answered with theirs.
            let is_taken = coupons::find_by_typed(&mut tx.conn(), brand.id, &coupon.typed).await?.is_some();
            let taken = || Problem::invalid("/code", "another coupon has this code");
            return Err(if is_taken { taken() } else { Problem::Busy });
        }
        events::insert(&mut tx.conn(), brand.id, &event(app, "coupon.issued", &coupon)).await?;
        touch(&mut tx.conn(), brand.id, &coupon, now).await?;
        once::end(&mut tx.conn(), brand.id, once, 201, coupon.id.to_string().into_bytes()).await?;
        tx.commit().await?;
        app.changed.notify_one();
        (coupon, true)
    };
    let unshown = match read.coupon_template {
        None => None,
        Some(_) => match coupon_passes::show(app, brand, &mut coupon).await {
            Ok(()) => None,
            // A pass that could not be made is made when the request is repeated, or by the sweep.
            Err(problem) if problem.is_passing() => return Err(problem),
            Err(problem) => Some(problem.to_string()),
        },
    };
    Ok(Issued { coupon, is_new, unshown })
}

/// A customer's coupon waits for its pass from the beginning, where its offer has a design.
pub(super) fn waits_since(offer: &OfferRules, coupon: &Coupon) -> Option<DateTime<Utc>> {
    offer.coupon_template.as_ref().and(coupon.customer_id).map(|_| coupon.created_at)
}

/// When a coupon ends that is issued now: so long after as its offer says, and never after the offer.
pub(super) fn end_of(offer: &OfferRules, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let life = offer.coupon_life.map(|life| life.after(now, zone));
    life.into_iter().chain(offer.until).min()
}

/// The last year that both databases order as time does.
const YEAR_MAX: i32 = 9999;

/// Refuses a time so far away that it would sort before today.
pub(super) fn check_time(pointer: &'static str, at: Option<DateTime<Utc>>) -> Result<(), Problem> {
    if at.is_some_and(|at| !(1970..=YEAR_MAX).contains(&at.year())) {
        return Err(Problem::invalid(pointer, "must be in the years 1970 to 9999"));
    }
    Ok(())
}

/// A coupon for whoever has its code.
pub(super) fn fresh(
    app: &App,
    offer: OfferId,
    starts_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
) -> Coupon {
    let now = app.clock.now();
    let mut code_id = vec![0; CODE_ID_LEN];
    app.clock.random(&mut code_id);
    Coupon {
        id: CouponId::new(app.clock.new_id()),
        offer_id: offer,
        customer_id: None,
        external_id: None,
        code_id,
        typed: typed_code(&random_crockford(&*app.clock, TYPED_LEN)),
        state: CouponState::Issued,
        starts_at: starts_at.unwrap_or(now),
        expires_at,
        held_until: None,
        held_by: None,
        redemption_id: None,
        redeemed_at: None,
        redeemed_in: None,
        pass_id: None,
        batch_id: None,
        is_offline: false,
        bought_by: None,
        unshown_since: None,
        created_at: now,
    }
}

/// Passes of its customer show one more, or one less.
async fn touch(conn: &mut Conn<'_>, brand: BrandId, coupon: &Coupon, now: DateTime<Utc>) -> Result<(), Problem> {
    if let Some(customer) = coupon.customer_id {
        passes::touch_customer(conn, brand, customer, now).await?;
    }
    Ok(())
}

pub async fn read(app: &App, brand: BrandId, id: CouponId) -> Result<Coupon, Problem> {
    let found = coupons::find(&mut app.db.read().await?.conn(), brand, id).await?;
    found.ok_or(Problem::NotFound { what: "coupon" })
}

pub async fn list(
    app: &App,
    brand: BrandId,
    offer: OfferId,
    after: Option<CouponId>,
    limit: i64,
) -> Result<Vec<Coupon>, Problem> {
    Ok(coupons::list(&mut app.db.read().await?.conn(), brand, offer, after, limit).await?)
}

/// Takes a coupon back that nobody used; one that is used or void stays as it is.
pub async fn void(app: &App, brand: BrandId, id: CouponId) -> Result<Coupon, Problem> {
    let mut tx = app.db.begin().await?;
    let is_voided = coupons::void(&mut tx.conn(), brand, id, app.clock.now()).await?;
    let coupon = coupons::find(&mut tx.conn(), brand, id).await?.ok_or(Problem::NotFound { what: "coupon" })?;
    if is_voided {
        events::insert(&mut tx.conn(), brand, &event(app, "coupon.voided", &coupon)).await?;
        touch(&mut tx.conn(), brand, &coupon, app.clock.now()).await?;
        tx.commit().await?;
        app.changed.notify_one();
    }
    if let Some(pass) = coupon.pass_id.filter(|_| coupon.state == CouponState::Voided) {
        change_pass::void(app, brand, pass).await?;
    }
    Ok(coupon)
}

text_enum! {
    /// Why a text at a till is no coupon: for the log, and for nobody who shows it.
    pub enum BadCoupon {
        /// No code at all, or misread, or one that nobody issued.
        Mistyped = "mistyped",
        Forged = "forged",
        /// Another brand's of this installation.
        Foreign = "foreign",
        /// Of a key that is not in use any more.
        Retired = "retired",
    }
}

/// The coupon that a text at a till means: a scanned code, or a typed one. `None`: none of this brand's; why is logged.
pub(super) async fn find_by_text(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    text: &str,
    done_at: Option<DateTime<Utc>>,
) -> Result<Option<Coupon>, Problem> {
    match read_text(app, conn, brand, text, done_at).await? {
        Ok(coupon) => Ok(coupon),
        Err(bad) => {
            count_bad(app, brand, bad, text);
            Ok(None)
        }
    }
}

/// Whoever shows it is told no more than that it is not good. Whose it is, is found out by and by.
pub(super) fn count_bad(app: &App, brand: BrandId, bad: BadCoupon, text: &str) {
    let (for_job, text) = (app.clone(), text.to_owned());
    app.spawn(async move {
        // One at a time: a flood of forged codes is worth no more work than that.
        let bad = match for_job.strangers.try_acquire() {
            Ok(_turn) => why(&for_job, brand, bad, &text).await.unwrap_or(bad),
            Err(_) => bad,
        };
        if bad != BadCoupon::Mistyped {
            tracing::warn!(brand.id = %brand, "a code is {bad}");
        }
        metrics::counter!("passarela_bad_codes_total", "reason" => bad.as_str()).increment(1);
    });
}

/// Of what looks forged, whether another brand of this installation made it.
pub async fn why(app: &App, brand: BrandId, bad: BadCoupon, text: &str) -> Result<BadCoupon, Problem> {
    if bad != BadCoupon::Forged {
        return Ok(bad);
    }
    let brands = brands::list(&mut app.db.read().await?.conn()).await?;
    let is_anothers =
        brands.iter().filter(|other| other.id != brand).take(BRANDS_MAX).any(|other| {
            matches!(read_code(app, other.id, code_keys::of(other), text), Ok(_) | Err(BadCode::RetiredKey))
        });
    Ok(if is_anothers { BadCoupon::Foreign } else { bad })
}

/// The coupon that a text means, or why it is not good. `None`: a pass's own code, which shows no coupon. `done_at`: when it was
/// taken, if the till was offline.
pub async fn read_text(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    text: &str,
    done_at: Option<DateTime<Utc>>,
) -> Result<Result<Option<Coupon>, BadCoupon>, Problem> {
    let keys = code_keys::find(app, conn, brand).await?;
    // What was taken offline may have been taken before its key was retired.
    let keys = if done_at.is_some() { CodeKeys { oldest: 0, ..keys } } else { keys };
    let found = match read_code(app, brand, keys, text) {
        Ok((CodeKind::Coupon, id)) => coupons::find_by_code(conn, brand, &id).await?,
        // The pass that shows it has a code of its own.
        Ok((CodeKind::Pass, id)) => return Ok(Ok(coupons::find_by_pass_code(conn, brand, &id).await?)),
        Err(BadCode::RetiredKey) => return Ok(Err(BadCoupon::Retired)),
        Err(BadCode::Forged) => return Ok(Err(BadCoupon::Forged)),
        // Codes that the brand had before have no check of ours.
        Err(BadCode::Mistyped) => {
            let mut found = None;
            for typed in [read_typed_code(text), own_code(text)].into_iter().flatten() {
                if found.is_none() {
                    found = coupons::find_by_typed(conn, brand, &typed).await?;
                }
            }
            found
        }
    };
    Ok(found.map(Some).ok_or(BadCoupon::Mistyped))
}

/// What a scanned code of a brand's stands for, be it one that tills check alone or not.
fn read_code(app: &App, brand: BrandId, keys: CodeKeys, text: &str) -> Result<(CodeKind, [u8; CODE_ID_LEN]), BadCode> {
    match offline::read_code(&app.master_key, brand, keys, text) {
        Err(BadCode::Mistyped) => app.master_key.read_code(brand, keys, text),
        read => read.map(|code| (CodeKind::Coupon, code.code_id)),
    }
}

/// Brands whose code it may be, at most: it is for the log alone.
const BRANDS_MAX: usize = 200;

/// What happened to a coupon, for the timeline.
pub(super) fn event(app: &App, kind: &'static str, coupon: &Coupon) -> NewEvent {
    let about = About { customer: coupon.customer_id, pass: coupon.pass_id, subject: coupon.id.uuid() };
    timeline::event(app, kind, about, json!({ "coupon_id": coupon.id, "offer_id": coupon.offer_id }))
}
