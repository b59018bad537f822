//! What a redemption was, as it is kept and told: the first answer and every repetition are made of it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluate::Applied;
use crate::domain::ids::{BrandId, CouponId, OfferId, ProgramId, RedemptionId, WalletId};
use crate::service::loyalty::book::Book;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::brands::Brand;
use crate::store::redemptions::{self, Redemption};

/// What was redeemed, as it is kept: the first answer and every repetition are made of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    pub kind: ItemKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_id: Option<CouponId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_id: Option<OfferId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    pub discount_minor: i64,
    pub by_line: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gift: Option<String>,
    /// Thousandths that the purchase earns, where it is not as always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    Coupon,
    Offer,
    Reward,
    Units,
}

/// A wallet afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Balance {
    pub program_id: ProgramId,
    pub wallet: String,
    pub wallet_id: WalletId,
    pub balance: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    pub items: Vec<Item>,
    pub wallets: Vec<Balance>,
}

/// What is kept, and answered, of something that applied.
pub(super) fn item(applied: &Applied, book: Option<&Book>) -> Item {
    let kind = match (&applied.coupon, &applied.offer) {
        (Some(_), _) => ItemKind::Coupon,
        (None, Some(offer)) if offer.rules.price.is_some() => ItemKind::Reward,
        (None, Some(_)) => ItemKind::Offer,
        (None, None) => ItemKind::Units,
    };
    let of_kind = applied
        .cost
        .as_ref()
        .and_then(|cost| book?.members.get(cost.member)?.rules.kinds.get(cost.kind).map(|kind| (kind, cost.units)));
    Item {
        kind,
        coupon_id: applied.coupon.as_ref().map(|coupon| coupon.id),
        offer_id: applied.offer.as_ref().map(|offer| offer.id),
        name: applied.offer.as_ref().map(|offer| offer.name.clone()),
        wallet: of_kind.map(|(kind, _)| kind.key.clone()),
        units: of_kind.map(|(kind, units)| kind.rules.text(units)),
        discount_minor: applied.minor(),
        by_line: applied.by_line.clone(),
        gift: applied.gift.clone(),
        multiplier: Some(applied.multiplier).filter(|multiplier| *multiplier != 1_000),
    }
}

pub async fn read(app: &App, brand: BrandId, id: RedemptionId) -> Result<Redemption, Problem> {
    let found = redemptions::find_redemption(&mut app.db.read().await?.conn(), brand, id).await?;
    found.ok_or(Problem::NotFound { what: "redemption" })
}

/// Puts what happened to a redemption on the timeline.
pub(super) async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    kind: &'static str,
    redemption: &Redemption,
) -> Result<(), Problem> {
    let about = About { customer: redemption.customer_id, pass: None, subject: redemption.id.uuid() };
    let data = json!({
        "redemption_id": redemption.id, "store_id": redemption.store_id, "discount_minor": redemption.discount_minor,
        "currency": redemption.currency, "done_at": redemption.done_at,
    });
    timeline::record(app, conn, brand.id, kind, about, data).await
}
