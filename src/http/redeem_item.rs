//! What is to be redeemed, and what it came to: a part of quotes and redemptions.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CouponId, OfferId};
use crate::domain::secret::Personal;
use crate::service::Problem;
use crate::service::till::Wanted;
use crate::service::till::receipt::{Item, ItemKind};

/// One of what is to be redeemed: by exactly one of `coupon_id`, `coupon_code`, `reward_id`, `offer_id` or `wallet`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemItem {
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    /// As it was scanned or typed.
    #[schema(value_type = Option<String>)]
    coupon_code: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    reward_id: Option<OfferId>,
    /// With a `reward_id`: pay for it now, and have a coupon of it to use another time.
    as_coupon: Option<bool>,
    #[schema(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    /// The key of a wallet to pay with, and how many `units` of it.
    #[schema(example = "points")]
    wallet: Option<String>,
    #[schema(example = "100")]
    units: Option<String>,
}

pub fn wanted(items: Vec<RedeemItem>) -> Result<Vec<Wanted>, Problem> {
    let one = |(index, item): (usize, RedeemItem)| {
        let RedeemItem { coupon_id, coupon_code, reward_id, as_coupon, offer_id, wallet, units } = item;
        let buys_coupon = as_coupon == Some(true);
        let reward = if buys_coupon { Wanted::RewardAsCoupon } else { Wanted::Offer };
        let units_of = wallet.zip(units.clone()).map(|(wallet, units)| Wanted::Units { wallet, units });
        let given = [
            coupon_id.map(Wanted::Coupon),
            coupon_code.map(Wanted::Code),
            reward_id.map(reward),
            offer_id.map(Wanted::Offer),
            units_of,
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(wanted), None)
                if (units.is_none() || matches!(wanted, Wanted::Units { .. }))
                    && (!buys_coupon || matches!(wanted, Wanted::RewardAsCoupon(_))) =>
            {
                Ok(wanted)
            }
            _ => Err(Problem::invalid(
                format!("/redeem/{index}"),
                "name one of coupon_id, coupon_code, reward_id (maybe as_coupon), offer_id, or wallet with units",
            )),
        }
    };
    items.into_iter().enumerate().map(one).collect()
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ItemView {
    /// coupon, offer, reward or units.
    #[schema(value_type = String, example = "coupon")]
    kind: ItemKind,
    /// A reward that was paid for, to be used another time with the coupon.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    as_coupon: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<String>,
    discount_minor: i64,
    /// Of each line of the basket.
    by_line_minor: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gift: Option<String>,
    /// What the purchase earns times.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiplier: Option<String>,
}

pub fn item_view(item: Item) -> ItemView {
    ItemView {
        kind: item.kind,
        as_coupon: item.buys_coupon,
        coupon_id: item.coupon_id,
        offer_id: item.offer_id,
        name: item.name,
        wallet: item.wallet,
        units: item.units,
        discount_minor: item.discount_minor,
        by_line_minor: item.by_line,
        gift: item.gift,
        multiplier: item.multiplier.map(|thousandths| crate::domain::quantity::text(thousandths, 3)),
    }
}
