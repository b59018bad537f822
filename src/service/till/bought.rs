//! Coupons that a redemption buys with units, to be used another time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Refusal;
use super::evaluate::{Evaluation, used_before};
use super::receipt::Receipt;
use crate::domain::ids::{BrandId, CouponId, CustomerId, RedemptionId};
use crate::service::coupons::{end_of, fresh, waits_since};
use crate::service::{App, Problem, coupon_passes};
use crate::store::Conn;
use crate::store::brands::Brand;
use crate::store::coupons::{self as coupon_store, Coupon, CouponState};
use crate::store::redemptions::Redemption;

/// What is bought, by its place in what was asked for; nothing is written yet.
pub(super) fn make(
    app: &App,
    evaluation: &Evaluation,
    customer: CustomerId,
    redemption: RedemptionId,
    now: DateTime<Utc>,
) -> BTreeMap<usize, Coupon> {
    let later = evaluation.applied.iter().filter(|applied| applied.buys_coupon);
    let made = later.filter_map(|applied| {
        let offer = applied.offer.as_ref()?;
        let mut coupon = Coupon {
            customer_id: Some(customer),
            bought_by: Some(redemption),
            is_offline: offer.rules.is_offline,
            ..fresh(app, offer.id, None, end_of(&offer.rules, applied.zone, now))
        };
        coupon.unshown_since = waits_since(&offer.rules, &coupon);
        Some((applied.index, coupon))
    });
    made.collect()
}

/// The coupons that a redemption bought, as they are now.
pub async fn list(app: &App, brand: BrandId, redemption: &Redemption) -> Result<Vec<Coupon>, Problem> {
    let mut ids: Vec<_> = Receipt::of(redemption)?.bought().collect();
    ids.sort_unstable();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = coupon_store::list_by_ids(&mut app.db.read().await?.conn(), brand, &ids).await?;
    found.sort_by_key(|coupon| coupon.id);
    Ok(found)
}

/// Makes the passes of what was bought, where their offers have a design. What cannot be made now is made by the sweep: it is
/// paid for, and good without one.
pub async fn show(app: &App, brand: &Brand, bought: &mut [Coupon]) {
    for coupon in bought.iter_mut().filter(|coupon| coupon.unshown_since.is_some()) {
        if let Err(problem) = coupon_passes::show(app, brand, coupon).await {
            tracing::warn!(coupon.id = %coupon.id, "a coupon that was bought has no pass yet: {problem}");
        }
    }
}

/// Takes back what was bought: the coupons that are void by it. A refusal: somebody used one of them, or a till gave it away.
pub(super) async fn take_back(
    conn: &mut Conn<'_>,
    brand: BrandId,
    bought: &[CouponId],
    now: DateTime<Utc>,
) -> Result<Result<Vec<Coupon>, Refusal>, Problem> {
    let mut voided = Vec::new();
    for id in bought {
        let is_voided = coupon_store::void(conn, brand, *id, now).await?;
        let coupon = coupon_store::find(conn, brand, *id).await?;
        let coupon = coupon.ok_or_else(|| Problem::internal(format!("coupons {id}: not there")))?;
        match coupon.state {
            CouponState::Voided if is_voided => voided.push(coupon),
            CouponState::Voided if coupon.redeemed_at.is_none() => {}
            CouponState::Voided | CouponState::Redeemed | CouponState::Issued => return Ok(Err(used_before(&coupon))),
        }
    }
    Ok(Ok(voided))
}
