//! The passes that show coupons: made once a coupon is there, and made sure of by the sweep, whatever died in between.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::domain::ids::PassId;
use crate::domain::loyalty::offer::{Effect, OfferRules};
use crate::domain::pass::PassStatus;
use crate::domain::quantity;
use crate::domain::secret::Personal;
use crate::service::customers::{Details, Selector};
use crate::service::issue_pass::{self, Order, TemplateRef};
use crate::service::loyalty::rules;
use crate::service::{App, Problem, change_pass};
use crate::store::brands::Brand;
use crate::store::coupons::{self, Coupon, CouponState};
use crate::store::{offers, passes};

/// Whoever issued the coupon makes its pass within this time, or never.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);

/// Coupons of one sweep of a brand.
const BATCH: i64 = 200;

/// Makes the pass of a customer's coupon that may be used, where it has none and its offer has a design.
pub async fn show(app: &App, brand: &Brand, coupon: &mut Coupon) -> Result<(), Problem> {
    let Some(customer) = coupon.customer_id else { return Ok(()) };
    if coupon.pass_id.is_some() || coupon.state != CouponState::Issued {
        return Ok(());
    }
    let (offer, rules) = {
        let mut reader = app.db.read().await?;
        let offer = offers::find(&mut reader.conn(), brand.id, coupon.offer_id).await?;
        let offer = offer.ok_or_else(|| Problem::internal(format!("coupons {}: its offer is not there", coupon.id)))?;
        let ready = rules::current(app, &mut reader.conn(), brand.id, offer.program_id).await?;
        let rules = ready.read_offer(&offer)?;
        (offer, rules)
    };
    let Some(template) = &rules.coupon_template else { return Ok(()) };
    let mut shown = shown(&offer.name, &rules, coupon.expires_at);
    shown.insert("id".to_owned(), json!(coupon.id));
    let data: Map<String, Value> = [("coupon".to_owned(), Value::Object(shown))].into_iter().collect();
    let order = Order {
        template: TemplateRef::parse(template.clone()),
        program: offer.program_id,
        customer: Selector::Id(customer),
        details: Details::default(),
        external_id: Some(coupon.id.to_string()),
        data: Personal::new(data),
        hash: [0; 32],
    };
    let reply = issue_pass::issue(app, brand, &order, None, |_, pass, _| pass.id.to_string().into_bytes()).await?;
    let pass: PassId = String::from_utf8_lossy(&reply.body).parse().map_err(Problem::internal)?;
    let mut tx = app.db.begin().await?;
    let is_good = coupons::set_pass(&mut tx.conn(), brand.id, coupon.id, pass).await?;
    tx.commit().await?;
    // It was used or taken back meanwhile.
    if !is_good {
        change_pass::void(app, brand.id, pass).await?;
    }
    coupon.pass_id = Some(pass);
    Ok(())
}

/// What a coupon's pass tells of its offer; its codes are put in when the pass is rendered.
fn shown(name: &str, offer: &OfferRules, ends_at: Option<DateTime<Utc>>) -> Map<String, Value> {
    let percent = match offer.effect {
        Effect::Percent { hundredths, .. } => quantity::text(hundredths, 4).parse::<f64>().ok(),
        Effect::Amount { .. } | Effect::FreeItem { .. } | Effect::Multiplier { .. } | Effect::Gift { .. } => None,
    };
    let mut shown: Map<String, Value> = [("title".to_owned(), json!(name))].into_iter().collect();
    shown.extend(percent.map(|share| ("discount".to_owned(), json!(share))));
    shown.extend(ends_at.map(|end| ("ends_at".to_owned(), json!(end))));
    shown
}

/// What a pass of such a coupon would read as `coupon`.
pub(super) fn sample(name: &str, offer: &OfferRules, ends_at: Option<DateTime<Utc>>) -> Map<String, Value> {
    let mut shown = shown(name, offer, ends_at);
    shown.insert("code".to_owned(), json!("240MBMRXY7S4XA"));
    shown.insert("barcode".to_owned(), json!("240MBMRXY7S4XATBQHDWC3S8E6NYW7EF86298B3R28M6C2QN"));
    [("coupon".to_owned(), Value::Object(shown))].into_iter().collect()
}

/// Makes the passes that coupons have waited for too long, and voids those of coupons that are used or void by now. How many
/// were looked at.
pub async fn show_forgotten(app: &App, brand: &Brand) -> Result<u64, Problem> {
    let before = app.clock.now() - PATIENCE;
    let waiting = coupons::list_unshown(&mut app.db.read().await?.conn(), brand.id, before, BATCH).await?;
    let mut count = 0;
    for coupon in waiting {
        count += 1;
        let id = coupon.id;
        // One that cannot be shown stops no other.
        let since = match settle(app, brand, coupon).await {
            Ok(()) => None,
            Err(problem) => {
                tracing::warn!(coupon.id = %id, "coupon {id} has no pass: {problem}");
                Some(app.clock.now()).filter(|_| problem.is_passing())
            }
        };
        let mut tx = app.db.begin().await?;
        coupons::set_unshown(&mut tx.conn(), brand.id, id, since).await?;
        tx.commit().await?;
    }
    Ok(count)
}

/// Makes the pass of a coupon, or voids the one that somebody made who died before it was noted, if the coupon is over by now.
async fn settle(app: &App, brand: &Brand, mut coupon: Coupon) -> Result<(), Problem> {
    if coupon.state == CouponState::Issued {
        return show(app, brand, &mut coupon).await;
    }
    let made = {
        let mut reader = app.db.read().await?;
        passes::find_by_external_id(&mut reader.conn(), brand.id, &coupon.id.to_string()).await?
    };
    if let Some(made) = made.filter(|made| made.status == PassStatus::Active) {
        change_pass::void(app, brand.id, made.id).await?;
    }
    Ok(())
}
