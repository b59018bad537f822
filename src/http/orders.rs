//! `/api/v1/orders` and `/api/v1/returns`: purchases, what they earned, and what comes back.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{CustomerId, EarningRuleId, OrderId, ProgramId, RedemptionId, ReturnId, StoreId, WalletId};
use crate::domain::quantity;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Pos};
use crate::http::extract::Body;
use crate::http::money::{LineBody, MoneyBody, read_lines};
use crate::http::passes::CustomerRef;
use crate::service::loyalty::place::Place;
use crate::service::orders::{self, Earned, NewOrder};
use crate::service::returns::{self, Back, BackLine, Moved, NewReturn, OrderRef};
use crate::service::{App, Problem};
use crate::store::orders::{Order, Return};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// The till's own id: the same again answers the first order again. Unique for ever in a store, or online.
    #[schema(example = "ticket-4711", max_length = 100)]
    external_id: String,
    /// Who bought; one that nobody knows is recorded without a name.
    customer: Option<CustomerRef>,
    #[schema(example = "store", max_length = 32)]
    channel: Option<String>,
    /// Of a key without a store: where it was.
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
    business_date: Option<NaiveDate>,
    /// Now, if absent.
    placed_at: Option<DateTime<Utc>>,
    /// Of the redemption in the same basket: what it took off earns nothing.
    transaction_id: Option<String>,
    lines: Vec<LineBody>,
    /// Due before redemptions: what the lines sum to.
    total: MoneyBody,
    /// `none` for history, which earns nothing.
    #[schema(value_type = Option<String>, example = "all")]
    effects: Option<Effects>,
}

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    All,
    None,
}

/// What a rule gave to a wallet.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EarnedView {
    #[schema(value_type = String)]
    program_id: ProgramId,
    #[schema(example = "points")]
    wallet: String,
    #[schema(value_type = String)]
    wallet_id: WalletId,
    #[schema(value_type = String)]
    rule_id: EarningRuleId,
    #[schema(example = "1 ponto por real")]
    rule: String,
    /// What was given, and what the rule would have given.
    #[schema(example = "20")]
    units: String,
    #[schema(example = "20")]
    desired: String,
    /// Why it was less: per_transaction, per_period, balance or minimum_order.
    #[serde(skip_serializing_if = "Option::is_none")]
    capped: Option<String>,
    by_line: Vec<String>,
}

/// Holds who did it: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OrderView {
    #[schema(value_type = String, example = "ord_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: OrderId,
    external_id: String,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    terminal: Option<String>,
    employee: Option<String>,
    channel: Option<String>,
    business_date: Option<String>,
    placed_at: DateTime<Utc>,
    total: MoneyBody,
    /// After the redemption in the same basket.
    paid: MoneyBody,
    #[schema(value_type = Option<String>)]
    redemption_id: Option<RedemptionId>,
    earned: Vec<EarnedView>,
    created_at: DateTime<Utc>,
}

fn view(order: Order) -> Result<OrderView, Problem> {
    let earned: Vec<Earned> = serde_json::from_value(order.earnings.0).map_err(Problem::internal)?;
    let shown = |earned: Earned| {
        let text = |units: i64| quantity::text(units, earned.scale);
        EarnedView {
            program_id: earned.program_id,
            units: text(earned.granted),
            desired: text(earned.desired),
            by_line: earned.by_line.iter().map(|units| text(*units)).collect(),
            wallet: earned.wallet,
            wallet_id: earned.wallet_id,
            rule_id: earned.rule_id,
            rule: earned.rule,
            capped: earned.capped,
        }
    };
    Ok(OrderView {
        id: order.id,
        external_id: order.external_id,
        customer_id: order.customer_id,
        store_id: order.store_id,
        terminal: order.terminal,
        employee: order.employee.map(Personal::into_inner),
        channel: order.channel,
        business_date: order.business_date,
        placed_at: order.placed_at,
        total: MoneyBody::new(order.total_minor, &order.currency),
        paid: MoneyBody::new(order.paid_minor, &order.currency),
        redemption_id: order.redemption_id,
        earned: earned.into_iter().map(shown).collect(),
        created_at: order.created_at,
    })
}

/// Record a purchase, and what it earns
#[utoipa::path(post, path = "/api/v1/orders", tag = "till", request_body = PlaceOrder,
    responses((status = 201, description = "Recorded", body = OrderView), (status = 200, description = "Known by this external_id", body = OrderView)))]
pub async fn place(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    body: Body<PlaceOrder>,
) -> Result<HttpResponse, Problem> {
    let (given, hash) = (body.value, body.canonical);
    let total = given.total.read("/total")?;
    let channel = given.channel.map(|channel| text::line(&channel, 32)).transpose();
    let new = NewOrder {
        external_id: given.external_id,
        customer: given.customer.map(CustomerRef::parse_known).transpose()?,
        channel: channel.map_err(Problem::text("/channel"))?,
        place: Place::of(&allow.caller, given.store_id, given.terminal, given.employee)?,
        business_date: given.business_date.map(|date| date.to_string()),
        placed_at: given.placed_at,
        transaction_id: given.transaction_id,
        currency: total.currency,
        lines: read_lines("/lines", given.lines, total.currency)?,
        total_minor: total.minor,
        has_effects: !matches!(given.effects, Some(Effects::None)),
        hash,
    };
    let brand = allow.caller.brand;
    let (order, is_new) = app.run(async move |app| orders::place(&app, &brand, new).await).await?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view(order)?))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// The till's own id: the same again answers the first return again.
    #[schema(example = "return-12", max_length = 100)]
    external_id: String,
    /// The order's id, or its `external_id` in this store.
    #[schema(example = "ticket-4711")]
    order: String,
    /// Lines that come back. Absent, like `amount`: everything that is left.
    lines: Option<Vec<BackLineBody>>,
    /// So much of what was paid, of whatever lines.
    amount: Option<MoneyBody>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackLineBody {
    /// The line's place in the order, from 0.
    position: usize,
    /// All that is left of it, if absent.
    #[schema(example = "1")]
    quantity: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MovedView {
    #[schema(value_type = String)]
    program_id: ProgramId,
    #[schema(example = "points")]
    wallet: String,
    #[schema(value_type = String)]
    wallet_id: WalletId,
    /// Of what was earned.
    taken_back: String,
    /// Of what had paid for it.
    given_back: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReturnView {
    #[schema(value_type = String, example = "ret_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: ReturnId,
    external_id: String,
    #[schema(value_type = String)]
    order_id: OrderId,
    /// What was paid for what came back.
    amount: MoneyBody,
    by_line_minor: Vec<i64>,
    wallets: Vec<MovedView>,
    created_at: DateTime<Utc>,
}

fn return_view(made: Return) -> Result<ReturnView, Problem> {
    #[derive(Deserialize)]
    struct Answer {
        currency: String,
        by_line: Vec<i64>,
        wallets: Vec<Moved>,
    }
    let answer: Answer = serde_json::from_value::<Answer>(Value::clone(&made.answer.0)).map_err(Problem::internal)?;
    let shown = |moved: Moved| MovedView {
        program_id: moved.program_id,
        wallet: moved.wallet,
        wallet_id: moved.wallet_id,
        taken_back: moved.taken_back,
        given_back: moved.given_back,
    };
    Ok(ReturnView {
        id: made.id,
        external_id: made.external_id,
        order_id: made.order_id,
        amount: MoneyBody::new(made.minor, &answer.currency),
        by_line_minor: answer.by_line,
        wallets: answer.wallets.into_iter().map(shown).collect(),
        created_at: made.created_at,
    })
}

/// Take goods back: what they earned goes, what paid for them comes back
#[utoipa::path(post, path = "/api/v1/returns", tag = "till", request_body = TakeBack,
    responses((status = 201, description = "Recorded", body = ReturnView), (status = 200, description = "Known by this external_id", body = ReturnView)))]
pub async fn take_back(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    body: Body<TakeBack>,
) -> Result<HttpResponse, Problem> {
    let (given, hash) = (body.value, body.canonical);
    let back = match (given.lines, given.amount) {
        (Some(_), Some(_)) => return Err(Problem::invalid("/amount", "name lines or an amount, not both")),
        (None, None) => Back::All,
        (None, Some(amount)) => Back::Amount(amount.read("/amount")?.minor),
        (Some(lines), None) => {
            let mut read = Vec::with_capacity(lines.len());
            for (index, line) in lines.into_iter().enumerate() {
                let pieces = line.quantity.map(|text| quantity::parse(&text, 3)).transpose();
                let pieces =
                    pieces.map_err(|error| Problem::invalid(format!("/lines/{index}/quantity"), error.to_string()))?;
                read.push(BackLine { position: line.position, quantity: pieces });
            }
            Back::Lines(read)
        }
    };
    let new = NewReturn {
        external_id: given.external_id,
        order: given.order.parse().map_or_else(|_| OrderRef::Named(given.order.clone()), OrderRef::Id),
        back,
        place: Place::of(&allow.caller, given.store_id, given.terminal, given.employee)?,
        hash,
    };
    let brand = allow.caller.brand;
    let (made, is_new) = app.run(async move |app| returns::take_back(&app, &brand, new).await).await?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(return_view(made)?))
}
