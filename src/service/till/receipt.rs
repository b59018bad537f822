//! What a redemption was, as it is kept and told: the first answer and every repetition are made of it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluate::{Applied, counts_uses};
use crate::domain::ids::{BrandId, CouponId, OfferId, ProgramId, RedemptionId, WalletId};
use crate::service::loyalty::book::Book;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::events::NewEvent;
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
    /// The coupon is what was bought, and not what was used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub buys_coupon: bool,
    #[serde(default, skip_serializing_if = "Took::is_all")]
    pub took: Took,
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

/// What a use took of its offer: a void puts back no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Took {
    /// What is left for everybody, and one of the customer's own uses.
    #[default]
    All,
    /// Nobody counted the customer's uses.
    Stock,
    /// It was taken when the coupon was bought; or there is no offer.
    Nothing,
}

impl Took {
    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// A wallet afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Balance {
    pub program_id: ProgramId,
    pub wallet: String,
    pub wallet_id: WalletId,
    pub balance: String,
}

/// What a redemption was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    pub items: Vec<Item>,
    pub wallets: Vec<Balance>,
}

impl Receipt {
    pub fn of(redemption: &Redemption) -> Result<Self, Problem> {
        Self::deserialize(&redemption.items.0)
            .map_err(|fault| Problem::internal(format!("redemptions {}: {fault}", redemption.id)))
    }

    /// The coupons that it used.
    pub fn used(&self) -> impl Iterator<Item = CouponId> {
        self.items.iter().filter(|item| !item.buys_coupon).filter_map(|item| item.coupon_id)
    }

    /// The coupons that it bought.
    pub fn bought(&self) -> impl Iterator<Item = CouponId> {
        self.items.iter().filter(|item| item.buys_coupon).filter_map(|item| item.coupon_id)
    }
}

/// What is kept, and answered, of something that applied; `bought` is the coupon that it bought.
pub(super) fn item(applied: &Applied, book: Option<&Book>, bought: Option<CouponId>) -> Item {
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
        coupon_id: applied.coupon.as_ref().map(|coupon| coupon.id).or(bought),
        offer_id: applied.offer.as_ref().map(|offer| offer.id),
        name: applied.offer.as_ref().map(|offer| offer.name.clone()),
        buys_coupon: applied.buys_coupon,
        took: match applied.counts_as() {
            Some(offer) if counts_uses(&offer.rules) => Took::All,
            Some(_) => Took::Stock,
            None => Took::Nothing,
        },
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

/// What happened to a redemption, for the timeline.
pub(super) fn event(app: &App, kind: &'static str, redemption: &Redemption) -> NewEvent {
    let about = About { customer: redemption.customer_id, pass: None, subject: redemption.id.uuid() };
    let data = json!({
        "redemption_id": redemption.id, "store_id": redemption.store_id, "discount_minor": redemption.discount_minor,
        "currency": redemption.currency, "done_at": redemption.done_at,
    });
    timeline::event(app, kind, about, data)
}
