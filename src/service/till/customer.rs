//! Whom a till means.

use super::{Request, Wanted};
use crate::domain::ids::{BrandId, CustomerId};
use crate::service::customers::{self, Selector};
use crate::service::{App, Problem};
use crate::store::{Conn, coupons as coupon_store};

/// The customer that a request is about; of a request that names none, whose coupon it is.
pub(super) async fn customer_of(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    request: &Request,
) -> Result<Option<CustomerId>, Problem> {
    if let Some(selector) = &request.customer {
        if let Selector::Id(customer) = selector {
            return Ok(Some(*customer));
        }
        return customers::find_known(app, conn, brand, selector).await.map(Some);
    }
    for wanted in &request.wanted {
        let coupon = match wanted {
            Wanted::Coupon(id) => coupon_store::find(conn, brand, *id).await?,
            Wanted::Code(code) => crate::service::coupons::read_text(app, conn, brand, code.reveal(), request.done_at)
                .await?
                .unwrap_or(None),
            Wanted::Offer(_) | Wanted::RewardAsCoupon(_) | Wanted::Units { .. } => None,
        };
        if let Some(customer) = coupon.and_then(|coupon| coupon.customer_id) {
            return Ok(Some(customer));
        }
    }
    Ok(None)
}
