//! Coupons that a redemption buys with units: to be used another time, by whoever has their code then.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::evaluate::Evaluation;
use super::receipt::Receipt;
use crate::domain::ids::{BrandId, CustomerId, RedemptionId};
use crate::service::coupons::{self, end_of, fresh};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::coupons::{self as coupon_store, Coupon};
use crate::store::redemptions::{Redemption, RedemptionState};

/// What is bought, by its place in what was asked for; nothing is written yet.
pub(super) fn make(
    app: &App,
    evaluation: &Evaluation,
    customer: CustomerId,
    redemption: RedemptionId,
    now: DateTime<Utc>,
) -> BTreeMap<usize, Coupon> {
    let later = evaluation.applied.iter().filter(|applied| applied.is_for_later);
    let made = later.filter_map(|applied| {
        let offer = applied.offer.as_ref()?;
        let coupon = Coupon {
            customer_id: Some(customer),
            bought_by: Some(redemption),
            is_offline: offer.rules.is_offline,
            ..fresh(app, offer.id, None, end_of(&offer.rules, applied.zone, now))
        };
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

/// Makes the passes of what was bought, where their offers have a design: after it was paid for, and again when the request is
/// repeated. The coupons as they are now.
pub async fn show(app: &App, brand: &Brand, redemption: &Redemption) -> Result<Vec<Coupon>, Problem> {
    let mut bought = list(app, brand.id, redemption).await?;
    if redemption.state == RedemptionState::Committed {
        for coupon in &mut bought {
            // It is paid for, and good without one.
            if let Err(problem) = coupons::show(app, brand, coupon).await {
                tracing::warn!(coupon.id = %coupon.id, "a coupon that was bought has no pass: {problem}");
            }
        }
    }
    Ok(bought)
}
