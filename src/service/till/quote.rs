//! Quotes: what would apply to a basket, line by line, and why the rest would not; and, if the till asks for it, a lock on what
//! would be redeemed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::types::Json;

use super::customer::customer_of;
use super::evaluate::{Choice, Evaluation, evaluate, left_of};
use super::receipt::{Item, item};
use super::{Basket, Request, Wanted};
use crate::domain::ids::{BrandId, CouponId, OfferId, QuoteId, WalletId};
use crate::service::loyalty::book::{Book, Note};
use crate::service::orders::broken;
use crate::service::problem::Refused;
use crate::service::{App, Problem, stores};
use crate::store::brands::Brand;
use crate::store::coupons as coupon_store;
use crate::store::offers::OfferState;
use crate::store::redemptions::{self, Quote};

/// How long a till may lock what it quotes.
pub const LOCK_MAX_SECS: u32 = 3_600;

/// How long a quote without a lock may be redeemed by.
const KEPT: TimeDelta = TimeDelta::days(1);

/// Coupons of a customer that are looked at.
const COUPONS_MAX: i64 = 20;

/// What a quote holds, and said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuoteContent {
    pub items: Vec<Item>,
    #[serde(default)]
    pub holds: Vec<QuoteHold>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuoteHold {
    pub wallet_id: WalletId,
    pub hold_no: i64,
    pub units: i64,
    /// The offer of which it buys a coupon; absent: it is for this basket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buys: Option<OfferId>,
}

/// What would not apply, and why.
#[derive(Debug)]
pub struct Skipped {
    /// What it is, unless the till named it by a code, or by units.
    pub coupon: Option<CouponId>,
    pub offer: Option<OfferId>,
    pub refused: Refused,
}

/// An answer to a till.
#[derive(Debug)]
pub struct Quoted {
    pub quote: Quote,
    pub items: Vec<Item>,
    pub skipped: Vec<Skipped>,
    pub discount_minor: i64,
    pub left_by_line: Vec<i64>,
    pub is_exact: bool,
}

/// Digest of a basket: a redemption by a quote is of the very same.
pub fn basket_hash(basket: Option<&Basket>) -> Vec<u8> {
    let mut digest = Sha256::new();
    if let Some(basket) = basket {
        digest.update(basket.currency.code());
        for line in &basket.lines {
            for text in [line.sku.as_deref(), line.category.as_deref()].map(Option::unwrap_or_default) {
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text);
            }
            digest.update(line.quantity.to_be_bytes());
            digest.update(line.minor.to_be_bytes());
        }
    }
    digest.finalize().to_vec()
}

/// Quotes what is asked for, or, where nothing is, the best of everything that the customer has. With `lock_secs` nobody else
/// gets it meanwhile.
pub async fn quote(app: &App, brand: &Brand, mut request: Request, lock_secs: Option<u32>) -> Result<Quoted, Problem> {
    if lock_secs.is_some_and(|secs| !(1..=LOCK_MAX_SECS).contains(&secs)) {
        return Err(Problem::invalid("/lock_secs", format!("must be 1 to {LOCK_MAX_SECS}")));
    }
    request.check_count()?;
    let mut tx = app.db.begin().await?;
    let customer = customer_of(app, &mut tx.conn(), brand.id, &request).await?;
    let mut book = match customer {
        Some(customer) if lock_secs.is_some() => {
            Some(Book::open(app, &mut tx.conn(), brand.id, customer, request.place.clone()).await?)
        }
        Some(customer) => Some(Book::peek(app, &mut tx.conn(), brand.id, customer, request.place.clone()).await?),
        None => None,
    };
    let now = app.clock.now();
    if let Some(book) = &mut book {
        book.catch_up()?;
    }
    let choice = if request.wanted.is_empty() { Choice::Best } else { Choice::InOrder };
    if request.wanted.is_empty()
        && let Some(book) = &book
    {
        request.wanted = everything(&mut tx.conn(), brand.id, book).await?;
    }
    let mut evaluation = evaluate(app, &mut tx.conn(), brand.id, book.as_ref(), &request, choice, None).await?;
    let id = QuoteId::new(app.clock.new_id());
    let lock_until = lock_secs.map(|secs| now + TimeDelta::seconds(secs.into()));
    let mut holds = Vec::new();
    if let Some(until) = lock_until {
        holds = lock(app, &mut tx.conn(), brand.id, &mut evaluation, book.as_mut(), (id, until)).await?;
    }
    let items: Vec<Item> = evaluation.applied.iter().map(|applied| item(applied, book.as_ref(), None)).collect();
    let content = QuoteContent { items: items.clone(), holds };
    let quote = Quote {
        id,
        place: request.place.scope(),
        customer_id: customer,
        basket_hash: basket_hash(request.basket.as_ref()),
        content: Json(serde_json::to_value(&content).map_err(Problem::internal)?),
        lock_until,
        redemption_id: None,
        created_at: now,
    };
    redemptions::insert_quote(&mut tx.conn(), brand.id, &quote).await?;
    let (_, locale) = stores::voice(app, &mut tx.conn(), brand, &request.place).await?;
    if lock_until.is_some()
        && let Some(book) = book
    {
        book.close(app, &mut tx.conn()).await?;
    }
    tx.commit().await?;
    let lines = request.basket.as_ref().map(|basket| basket.lines.as_slice()).unwrap_or_default();
    let (discount_minor, left_by_line, is_exact) =
        (evaluation.minor(), left_of(lines, &evaluation), evaluation.is_exact);
    let skipped = evaluation.skipped.into_iter().map(|(index, refusal)| {
        let (coupon, offer) = match request.wanted.get(index) {
            Some(Wanted::Coupon(coupon)) => (Some(*coupon), None),
            Some(Wanted::Offer(offer) | Wanted::RewardAsCoupon(offer)) => (None, Some(*offer)),
            Some(Wanted::Code(_) | Wanted::Units { .. }) | None => (None, None),
        };
        // A place in a list that the till did not send tells it nothing.
        let index = Some(index).filter(|_| choice == Choice::InOrder);
        Skipped { coupon, offer, refused: refusal.spoken(locale, index) }
    });
    let skipped = skipped.collect();
    Ok(Quoted { quote, items, skipped, discount_minor, left_by_line, is_exact })
}

/// Everything that a customer could redeem without being asked: their coupons, and offers that are open to all.
async fn everything(conn: &mut crate::store::Conn<'_>, brand: BrandId, book: &Book) -> Result<Vec<Wanted>, Problem> {
    let coupons = coupon_store::list_usable(conn, brand, book.customer, book.now, COUPONS_MAX).await?;
    let offers =
        book.members.iter().flat_map(|member| &member.rules.offers).filter(|offer| {
            offer.state == OfferState::Running && offer.rules.price.is_none() && !offer.rules.wants_coupon
        });
    let offers = offers.map(|offer| Wanted::Offer(offer.id));
    let all = coupons.iter().map(|coupon| Wanted::Coupon(coupon.id)).chain(offers);
    Ok(all.take(crate::domain::loyalty::best::REQUESTED_MAX).collect())
}

/// Holds what would be redeemed: coupons by a conditional update, units by a hold in the ledger. What somebody else holds is
/// skipped.
async fn lock(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: BrandId,
    evaluation: &mut Evaluation,
    mut book: Option<&mut Book>,
    lock: (QuoteId, DateTime<Utc>),
) -> Result<Vec<QuoteHold>, Problem> {
    let ((id, until), now) = (lock, app.clock.now());
    evaluation.applied.sort_by_key(|applied| applied.coupon.as_ref().map(|coupon| coupon.id));
    let mut kept = Vec::with_capacity(evaluation.applied.len());
    for applied in std::mem::take(&mut evaluation.applied) {
        let is_free = match &applied.coupon {
            None => true,
            Some(coupon) => coupon_store::hold(conn, brand, coupon.id, id, until, now).await?,
        };
        if is_free {
            kept.push(applied);
        } else {
            let code = crate::domain::loyalty::refusal::RefusalCode::BasketLocked;
            evaluation.skipped.push((applied.index, code.into()));
        }
    }
    evaluation.applied = kept;
    let mut holds = Vec::new();
    // One for the basket and one for each coupon that is bought: they are captured one by one.
    type Key = (usize, usize, Option<(usize, OfferId)>);
    let mut costs: BTreeMap<Key, i64> = BTreeMap::new();
    for applied in &evaluation.applied {
        let Some(cost) = &applied.cost else { continue };
        let buys = applied.offer.as_ref().filter(|_| applied.buys_coupon).map(|offer| (applied.index, offer.id));
        *costs.entry((cost.member, cost.kind, buys)).or_default() += cost.units;
    }
    for ((member, kind, buys), units) in costs {
        let Some(member) = book.as_deref_mut().and_then(|book| book.members.get_mut(member)) else { continue };
        let (wallet, _) = member.wallet(app, kind, now)?;
        let hold_no = wallet
            .post(&Note::of(id.uuid()), now, |ledger| ledger.hold(units, until, now).map(|entry| entry.no))
            .map_err(broken)?;
        holds.push(QuoteHold { wallet_id: wallet.kept.id, hold_no, units, buys: buys.map(|(_, offer)| offer) });
    }
    Ok(holds)
}

/// Forgets quotes that nobody will redeem by; the number forgotten.
pub async fn forget(app: &App, brand: BrandId, limit: i64) -> Result<u64, Problem> {
    let mut tx = app.db.begin().await?;
    let forgotten = redemptions::forget_quotes(&mut tx.conn(), brand, app.clock.now() - KEPT, limit).await?;
    tx.commit().await?;
    Ok(forgotten)
}
