//! What a till did while it was offline, told afterwards: once, in the order in which it is told. Whatever was not its to do is
//! a conflict, which is written down: the goods are given.

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::customer::customer_of;
use super::redeem::{NewRedemption, Redeemed, redeem};
use super::{Request, Wanted};
use crate::domain::ids::{BrandId, ConflictId, CouponId, RedemptionId};
use crate::service::problem::Refused;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, coupons, stores};
use crate::store::Conn;
use crate::store::brands::Brand;
use crate::store::coupons as coupon_store;
use crate::store::redemptions::{self, Conflict};

/// How long after it was done a till may tell it.
const TOLD_WITHIN: TimeDelta = TimeDelta::days(30);

/// How far a till's clock may be ahead.
const AHEAD_MAX: TimeDelta = TimeDelta::hours(1);

/// What became of it.
pub enum Told {
    /// `true`: it is new.
    Redeemed(RedemptionId, bool),
    /// With the refusal's code.
    Conflict(ConflictId, String),
}

/// Takes what was done offline; `done_at` of the request says when. The same again: the first answer.
pub async fn tell(app: &App, brand: &Brand, new: NewRedemption) -> Result<Told, Problem> {
    let scope = new.request.place.scope();
    let known = {
        let mut reader = app.db.read().await?;
        redemptions::find_conflict(&mut reader.conn(), brand.id, &scope, &new.transaction_id, &new.hash).await?
    };
    if let Some(known) = known {
        return Ok(Told::Conflict(known.id, known.code));
    }
    // What a coupon costs and how long it is good is not for a till to know alone.
    if let Some(index) = new.request.wanted.iter().position(|wanted| matches!(wanted, Wanted::RewardAsCoupon(_))) {
        let detail = "is not for a till to sell offline";
        return Err(Problem::invalid(format!("/redeem/{index}/as_coupon"), detail));
    }
    let now = app.clock.now();
    let done_at = new.request.done_at.ok_or_else(|| Problem::invalid("/done_at", "must be given"))?;
    // What was told in time may be told again.
    if done_at > now + AHEAD_MAX || (done_at < now - TOLD_WITHIN && !is_known(app, brand.id, &new, &scope).await?) {
        return Err(Problem::invalid("/done_at", "must be within the last 30 days"));
    }
    match redeem(app, brand, new.clone()).await {
        Ok(Redeemed { redemption, is_new, .. }) => Ok(Told::Redeemed(redemption.id, is_new)),
        Err(Problem::Refused(refused)) => {
            let conflict = write_down(app, brand, &new, &refused, done_at).await?;
            Ok(Told::Conflict(conflict, refused.code.as_str().to_owned()))
        }
        Err(problem) => Err(problem),
    }
}

async fn is_known(app: &App, brand: BrandId, new: &NewRedemption, scope: &str) -> Result<bool, Problem> {
    let mut reader = app.db.read().await?;
    let found = redemptions::find_redemption_named(&mut reader.conn(), brand, scope, &new.transaction_id).await?;
    Ok(found.is_some_and(|found| found.body_hash == new.hash))
}

async fn write_down(
    app: &App,
    brand: &Brand,
    new: &NewRedemption,
    refused: &Refused,
    done_at: chrono::DateTime<Utc>,
) -> Result<ConflictId, Problem> {
    let mut tx = app.db.begin().await?;
    let request = &new.request;
    let (customer, coupon) = {
        let mut conn = tx.conn();
        let customer = match customer_of(app, &mut conn, brand.id, request).await {
            Err(Problem::NotFound { .. } | Problem::AmbiguousCustomer | Problem::Invalid { .. }) => None,
            found => found?,
        };
        (customer, coupon_of(app, &mut conn, brand.id, request, refused.index).await?)
    };
    let place = &request.place;
    let conflict = Conflict {
        id: ConflictId::new(app.clock.new_id()),
        place: place.scope(),
        transaction_id: new.transaction_id.clone(),
        body_hash: new.hash.to_vec(),
        customer_id: customer,
        store_id: place.store,
        terminal: place.terminal.clone(),
        employee: place.employee.clone(),
        coupon_id: coupon,
        code: refused.code.as_str().to_owned(),
        first_redemption_id: refused.redemption,
        done_at,
        created_at: app.clock.now(),
    };
    if !redemptions::insert_conflict(&mut tx.conn(), brand.id, &conflict).await? {
        let Conflict { place, transaction_id, body_hash, .. } = &conflict;
        let known = redemptions::find_conflict(&mut tx.conn(), brand.id, place, transaction_id, body_hash).await?;
        return Ok(known.ok_or(Problem::Busy)?.id);
    }
    // What was given away once must not be again: from now on tills deny it, be it not used by anybody else.
    let (name, _) = stores::voice(app, &mut tx.conn(), brand, place).await?;
    if let Some(coupon) = coupon
        && coupon_store::void_offline(&mut tx.conn(), brand.id, coupon, (&name, done_at), app.clock.now()).await?
    {
        let about = About { customer, pass: None, subject: coupon.uuid() };
        timeline::record(app, &mut tx.conn(), brand.id, "coupon.voided", about, json!({ "coupon_id": coupon })).await?;
    }
    let about = About { customer, pass: None, subject: conflict.id.uuid() };
    let data = json!({
        "conflict_id": conflict.id, "coupon_id": coupon, "code": conflict.code, "store_id": place.store,
        "redemption_id": refused.redemption, "done_at": done_at,
    });
    timeline::record(app, &mut tx.conn(), brand.id, "redemption.conflict", about, data).await?;
    tx.commit().await?;
    metrics::counter!("passarela_offline_conflicts_total", "code" => refused.code.as_str()).increment(1);
    tracing::warn!(brand.id = %brand.id, "an offline till did what was not its to do: {}", refused.code.as_str());
    Ok(conflict.id)
}

/// The coupon that was refused.
async fn coupon_of(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    request: &Request,
    index: Option<usize>,
) -> Result<Option<CouponId>, Problem> {
    match index.and_then(|index| request.wanted.get(index)) {
        Some(Wanted::Coupon(id)) => Ok(Some(*id)),
        Some(Wanted::Code(code)) => {
            let found = coupons::read_text(app, conn, brand, code.reveal(), request.done_at).await?;
            Ok(found.unwrap_or(None).map(|coupon| coupon.id))
        }
        Some(Wanted::Offer(_) | Wanted::RewardAsCoupon(_) | Wanted::Units { .. }) | None => Ok(None),
    }
}

pub async fn list(app: &App, brand: BrandId, before: Option<ConflictId>, limit: i64) -> Result<Vec<Conflict>, Problem> {
    Ok(redemptions::list_conflicts(&mut app.db.read().await?.conn(), brand, before, limit).await?)
}
