//! What lines of imports say that each are what one request would say: purchases of the past, balances and coupons from
//! elsewhere, and what tills did while they were offline.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;

use crate::domain::ids::{OfferId, ProgramId, StoreId};
use crate::domain::loyalty::earning::Line as BasketLine;
use crate::domain::rows::Known;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::http::money::{BasketBody, LineBody, MoneyBody, read_lines};
use crate::http::orders::Effects;
use crate::http::passes::CustomerRef;
use crate::http::redeem_item::{RedeemItem, wanted};
use crate::service::Problem;
use crate::service::coupons::NewCoupon;
use crate::service::imports::Call;
use crate::service::loyalty::place::Place;
use crate::service::openings::NewOpening;
use crate::service::orders::NewOrder;
use crate::service::till::Request;
use crate::service::till::redeem::NewRedemption;

/// Who a line is about: one of these.
pub const CUSTOMER: Known = Known::EachText(&[
    "customer.id",
    "customer.external_id",
    "customer.code",
    "customer.card_number",
    "customer.cpf",
    "customer.phone",
    "customer.email",
    "customer.identifier.type",
    "customer.identifier.value",
]);

pub const ORDER_COLUMNS: &[Known] = &[
    Known::Text("external_id"),
    CUSTOMER,
    Known::Text("channel"),
    Known::Text("store_id"),
    Known::Text("terminal"),
    Known::Text("employee"),
    Known::Text("business_date"),
    Known::Text("placed_at"),
    Known::Json("lines"),
    Known::Object("total"),
    Known::Text("effects"),
];

pub const BALANCE_COLUMNS: &[Known] = &[
    Known::Text("external_id"),
    Known::Text("program_id"),
    CUSTOMER,
    Known::Text("wallet"),
    Known::Text("units"),
    Known::Text("starts_at"),
    Known::Text("expires_at"),
    Known::Text("reason"),
];

pub const COUPON_COLUMNS: &[Known] = &[
    Known::Text("external_id"),
    Known::Text("offer_id"),
    CUSTOMER,
    Known::Text("code"),
    Known::Text("starts_at"),
    Known::Text("expires_at"),
];

pub const REDEMPTION_COLUMNS: &[Known] = &[
    Known::Text("transaction_id"),
    Known::Text("done_at"),
    CUSTOMER,
    Known::Json("redeem"),
    Known::Json("basket"),
    Known::Text("store_id"),
    Known::Text("terminal"),
    Known::Text("employee"),
];

/// A line of an import of orders: the body of `POST /api/v1/orders` without a `transaction_id`, which earns nothing if it does not say otherwise.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedOrder)]
pub struct OrderBody {
    #[schema(example = "ticket-4711", max_length = 100)]
    external_id: String,
    customer: Option<CustomerRef>,
    #[schema(max_length = 32)]
    channel: Option<String>,
    /// Of a key without a store: where it was.
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
    business_date: Option<NaiveDate>,
    placed_at: Option<DateTime<Utc>>,
    /// One line of the total, if absent.
    lines: Option<Vec<LineBody>>,
    total: MoneyBody,
    /// `none` (if absent) or `all`: earns as if it were told now.
    #[schema(value_type = Option<String>, example = "none")]
    effects: Option<Effects>,
}

/// A line of an import of balances: units that a customer has elsewhere, as a lot of their own.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedBalance)]
pub struct BalanceBody {
    /// What the line is known by when the file is imported again.
    #[schema(example = "ana-points-2026-12", max_length = 100)]
    external_id: String,
    /// The import's if absent.
    #[schema(value_type = Option<String>)]
    program_id: Option<ProgramId>,
    customer: CustomerRef,
    /// The wallet's key.
    #[schema(example = "points")]
    wallet: String,
    #[schema(example = "1200")]
    units: String,
    /// Pending until then.
    starts_at: Option<DateTime<Utc>>,
    /// As the wallet's kind says, counted from now, if absent.
    expires_at: Option<DateTime<Utc>>,
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// A line of an import of coupons: the body of `POST /api/v1/coupons`, with the code that it has already.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedCoupon)]
pub struct CouponBody {
    #[schema(example = "VERAO-2026-0001", max_length = 100)]
    external_id: String,
    #[schema(value_type = String)]
    offer_id: OfferId,
    customer: Option<CustomerRef>,
    /// 6 to 40 letters and digits; blanks and dashes do not count, nor does case. One of ours, if absent.
    #[schema(value_type = Option<String>, example = "VERAO-2026-0001")]
    code: Option<Personal<String>>,
    starts_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

/// A line of an import of redemptions: what a till did while it was offline.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OfflineRedemption)]
pub struct RedemptionBody {
    /// The till's own id: the same again changes nothing.
    #[schema(example = "ticket-4711", max_length = 100)]
    transaction_id: String,
    /// When it was done, by the till's clock: within the last 30 days.
    done_at: DateTime<Utc>,
    customer: Option<CustomerRef>,
    redeem: Vec<RedeemItem>,
    basket: Option<BasketBody>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

impl OrderBody {
    pub fn parse(self, hash: [u8; 32]) -> Result<Call, Problem> {
        let total = self.total.read("/total")?;
        let channel = self.channel.map(|channel| text::line(&channel, 32)).transpose();
        let lines = match self.lines {
            Some(lines) => read_lines("/lines", lines, total.currency)?,
            None => vec![BasketLine { sku: None, category: None, quantity: 1_000, minor: total.minor }],
        };
        Ok(Call::Order(Box::new(NewOrder {
            external_id: self.external_id,
            customer: self.customer.map(CustomerRef::parse_known).transpose()?,
            channel: channel.map_err(Problem::text("/channel"))?,
            place: Place::given(self.store_id, self.terminal, self.employee)?,
            business_date: self.business_date.map(|date| date.to_string()),
            placed_at: self.placed_at,
            transaction_id: None,
            currency: total.currency,
            lines,
            total_minor: total.minor,
            has_effects: matches!(self.effects, Some(Effects::All)),
            hash,
        })))
    }
}

impl BalanceBody {
    pub fn parse(self, hash: [u8; 32]) -> Result<Call, Problem> {
        Ok(Call::Balance(Box::new(NewOpening {
            external_id: self.external_id,
            customer: self.customer.parse_known()?,
            program: self.program_id,
            wallet: self.wallet,
            units: self.units,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            reason: self.reason,
            hash,
        })))
    }
}

impl CouponBody {
    pub fn parse(self) -> Result<Call, Problem> {
        Ok(Call::Coupon(Box::new(NewCoupon {
            offer: self.offer_id,
            customer: self.customer.map(CustomerRef::parse_known).transpose()?,
            external_id: Some(self.external_id),
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            code: self.code.map(|code| code.reveal().clone()),
        })))
    }
}

impl RedemptionBody {
    pub fn parse(self, hash: [u8; 32]) -> Result<Call, Problem> {
        Ok(Call::Redemption(Box::new(NewRedemption {
            transaction_id: self.transaction_id,
            quote: None,
            request: Request {
                customer: self.customer.map(CustomerRef::parse_known).transpose()?,
                wanted: wanted(self.redeem)?,
                basket: self.basket.map(BasketBody::read).transpose()?,
                place: Place::given(self.store_id, self.terminal, self.employee)?,
                done_at: Some(self.done_at),
            },
            hash,
        })))
    }
}
