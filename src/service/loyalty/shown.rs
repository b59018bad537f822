//! What passes show of their members' wallets: read when a pass is rendered, never copied.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::domain::ids::{BrandId, CouponId, CustomerId, MemberId, OfferId, ProgramId, WalletId};
use crate::domain::quantity;
use crate::service::coupons::barcode;
use crate::service::loyalty::book::{Book, OpenMember};
use crate::service::loyalty::place::Place;
use crate::service::loyalty::rules;
use crate::service::till::scan::{ShownMember, shown};
use crate::service::{App, Problem, code_keys};
use crate::store::Conn;
use crate::store::coupons::{self, Coupon};
use crate::store::members::{self, KeptMember};
use crate::store::offers::{self, OfferState};
use crate::store::publication::Source;

/// Adds what templates read as `wallets`, `tier`, `member.rewards` and `member.coupons`; programs without rules cost nothing.
pub async fn fill(app: &App, conn: &mut Conn<'_>, brand: BrandId, sources: &mut [Source]) -> Result<(), Problem> {
    fill_members(app, conn, brand, sources).await?;
    fill_coupons(app, conn, brand, sources).await
}

/// Passes of coupons show their codes, which change with the brand's keys and are nobody's to read from a pass's data.
async fn fill_coupons(app: &App, conn: &mut Conn<'_>, brand: BrandId, sources: &mut [Source]) -> Result<(), Problem> {
    let of_pass = |source: &Source| source.data.get("coupon")?.get("id")?.as_str()?.parse::<CouponId>().ok();
    let ids: Vec<CouponId> = sources.iter().filter_map(of_pass).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = coupons::list_by_ids(conn, brand, &ids).await?;
    let keys = code_keys::find(app, conn, brand).await?;
    for source in sources {
        let Some(coupon) = of_pass(source).and_then(|id| found.iter().find(|coupon| coupon.id == id)) else { continue };
        let mut shown = source.data.get("coupon").cloned().unwrap_or_default();
        if let Some(shown) = shown.as_object_mut().filter(|_| coupon.customer_id == Some(source.customer_id)) {
            shown.insert("code".to_owned(), json!(coupon.typed));
            shown.insert("barcode".to_owned(), json!(barcode(app, brand, keys, coupon)?));
            source.loyalty.insert("coupon".to_owned(), Value::Object(shown.clone()));
        }
    }
    Ok(())
}

async fn fill_members(app: &App, conn: &mut Conn<'_>, brand: BrandId, sources: &mut [Source]) -> Result<(), Problem> {
    let mut members: Vec<MemberId> =
        sources.iter().filter(|source| source.rules_version > 0).map(|source| source.member_id).collect();
    members.sort_unstable();
    members.dedup();
    if members.is_empty() {
        return Ok(());
    }
    let shown = of_members(app, conn, brand, &members).await?;
    for source in sources {
        if let Some((loyalty, until)) = shown.get(&source.member_id) {
            source.loyalty.clone_from(loyalty);
            source.loyalty_until = *until;
        }
    }
    Ok(())
}

/// What passes show of these members.
pub async fn of_members(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    members: &[MemberId],
) -> Result<BTreeMap<MemberId, Shown>, Problem> {
    let kept = members::list(conn, brand, members).await?;
    let mut customers: Vec<CustomerId> = kept.iter().map(|member| member.customer).collect();
    customers.sort_unstable();
    customers.dedup();
    let coupons = coupons::list_usable_of(conn, brand, &customers, app.clock.now(), COUPONS_MAX).await?;
    // What is paid for is owed, though its offer runs no more.
    let mut owed: Vec<OfferId> = coupons.iter().filter(|one| one.bought_by.is_some()).map(|one| one.offer_id).collect();
    owed.sort_unstable();
    owed.dedup();
    let owed = offers::list_names(conn, brand, &owed).await?;
    show(app, conn, brand, kept, &coupons, &owed).await
}

/// What passes show of whoever becomes a member of a program at this moment.
pub async fn of_newcomer(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
) -> Result<Map<String, Value>, Problem> {
    let (rules, now) = (rules::current(app, conn, brand, program).await?, app.clock.now());
    let member = OpenMember::newcomer(rules, now);
    let mut loyalty = map(shown(&member, now), &member);
    put_coupons(&mut loyalty, &member, &[], &[], now);
    Ok(loyalty)
}

/// Coupons of a customer that passes know of.
const COUPONS_MAX: i64 = 50;

/// What templates read, and when it is something else for no other reason than that coupons begin and end.
pub type Shown = (Map<String, Value>, Option<DateTime<Utc>>);

async fn show(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kept: Vec<KeptMember>,
    coupons: &[Coupon],
    owed: &[(OfferId, ProgramId, String)],
) -> Result<BTreeMap<MemberId, Shown>, Problem> {
    let Some(customer) = kept.first().map(|member| member.customer) else { return Ok(BTreeMap::new()) };
    // One reading for all of them, whosoever they are.
    let mut book = Book::read(app, conn, brand, customer, Place::default(), kept, app.clock.now()).await?;
    let now = book.now;
    for wallet in book.members.iter_mut().flat_map(|member| &mut member.wallets) {
        wallet.ledger.tick(now).map_err(Problem::internal)?;
    }
    let all = book.members.iter().map(|member| {
        let mut loyalty = map(shown(member, now), member);
        let until = put_coupons(&mut loyalty, member, coupons, owed, now);
        (member.kept.id, (loyalty, until))
    });
    Ok(all.collect())
}

/// The customer's coupons of the program's offers, soonest to end first; when they are others.
fn put_coupons(
    loyalty: &mut Map<String, Value>,
    member: &OpenMember,
    coupons: &[Coupon],
    owed: &[(OfferId, ProgramId, String)],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let name = |coupon: &Coupon| {
        let mut names = owed.iter().filter(|(_, program, _)| *program == member.rules.program);
        let owed = names.find(|(offer, ..)| coupon.bought_by.is_some() && *offer == coupon.offer_id);
        let running = || member.rules.offer(coupon.offer_id).filter(|offer| offer.state == OfferState::Running);
        owed.map(|(_, _, name)| name.as_str()).or_else(|| running().map(|offer| offer.name.as_str()))
    };
    let own = coupons.iter().filter(|coupon| coupon.customer_id == Some(member.kept.customer));
    let own: Vec<(&Coupon, &str)> = own.filter_map(|coupon| Some((coupon, name(coupon)?))).collect();
    let mut begun: Vec<_> = own.iter().filter(|(coupon, _)| coupon.starts_at <= now).collect();
    begun.sort_by_key(|(coupon, _)| (coupon.expires_at.is_none(), coupon.expires_at, coupon.id));
    let listed = begun
        .iter()
        .map(|(coupon, name)| json!({ "name": name, "code": coupon.typed, "expires_at": coupon.expires_at }));
    let listed: Vec<Value> = listed.collect();
    loyalty.insert("coupon_count".to_owned(), json!(listed.len()));
    loyalty.insert("coupons".to_owned(), Value::Array(listed));
    let ends = own.iter().filter_map(|(coupon, _)| coupon.expires_at);
    let begins = own.iter().map(|(coupon, _)| coupon.starts_at).filter(|at| *at > now);
    ends.chain(begins).min()
}

/// As templates read it.
fn map(shown: ShownMember, member: &OpenMember) -> Map<String, Value> {
    let mut all = Map::new();
    let mut by_key = Map::new();
    for kind in &member.rules.kinds {
        // A wallet that nothing ever came into is empty, not missing.
        let found = shown.wallets.iter().find(|wallet| wallet.key == kind.key && wallet.id != WalletId::FIRST);
        let zero = || quantity::text(0, 0);
        let wallet = json!({
            "name": kind.name,
            "unit": kind.rules.unit_singular,
            "units": kind.rules.unit_plural,
            "currency": kind.rules.currency.map(|currency| currency.code()),
            "balance": found.map_or_else(zero, |wallet| wallet.balance.clone()),
            "pending": found.map_or_else(zero, |wallet| wallet.pending.clone()),
            "held": found.map_or_else(zero, |wallet| wallet.held.clone()),
            "next_expiry": found.and_then(|wallet| wallet.next_expiry.as_ref())
                .map(|(at, units)| json!({ "at": at, "units": units })),
        });
        by_key.insert(kind.key.clone(), wallet);
    }
    if !by_key.is_empty() {
        all.insert("wallets".to_owned(), Value::Object(by_key));
    }
    all.extend(shown.tier.map(|tier| ("tier".to_owned(), json!(tier))));
    let mut rewards: Vec<Value> = Vec::new();
    for reward in &shown.rewards {
        let (name, price) = (&reward.name, &reward.price);
        rewards.push(json!({ "name": name, "wallet": reward.wallet, "price": price, "missing": reward.missing }));
    }
    // The cheapest that is not within reach yet; where all are, the dearest.
    let missing = |reward: &Value| reward["missing"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let price = |reward: &Value| reward["price"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    rewards.sort_by(|one, other| price(one).total_cmp(&price(other)));
    let next = rewards.iter().find(|reward| missing(reward) > 0.0).or(rewards.last()).cloned();
    all.insert("next_reward".to_owned(), next.unwrap_or(Value::Null));
    all.insert("rewards".to_owned(), Value::Array(rewards));
    all
}
