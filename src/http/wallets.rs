//! `/api/v1/wallets`: members' balances, their entries, and movements by hand.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CustomerId, StoreId, WalletId};
use crate::domain::ledger::EntryKind;
use crate::domain::secret::Personal;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::extract::{Body, IdempotencyKey, Query, id, reply};
use crate::http::page::{Page, limit};
use crate::http::scans::{MemberView, member_view};
use crate::service::loyalty::place::Place;
use crate::service::till::convert::{self, Converted, NewConversion, Side};
use crate::service::{App, Problem, adjustments, read_wallets};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfCustomer {
    #[param(value_type = String)]
    customer_id: CustomerId,
}

/// A customer's memberships with their wallets, as they are at this moment
#[utoipa::path(get, path = "/api/v1/wallets", tag = "wallets", params(OfCustomer),
    responses((status = 200, description = "The memberships", body = Page<MemberView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<OfCustomer>,
) -> Result<HttpResponse, Problem> {
    let (brand, customer) = (allow.caller.brand.id, query.0.customer_id);
    let found = app.run(async move |app| read_wallets::of_customer(&app, brand, customer).await).await?;
    Ok(HttpResponse::Ok().json(Page { data: found.into_iter().map(member_view).collect::<Vec<_>>(), next: None }))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEntries {
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<i64>,
}

/// Holds who did it: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EntryView {
    /// From 1, without gaps.
    no: i64,
    /// earned, spent, held, captured, released, expired, restored, taken_back, adjusted, converted …
    #[schema(value_type = String, example = "earned")]
    kind: EntryKind,
    /// What became of the balance, and the balance afterwards.
    #[schema(example = "20")]
    units: String,
    #[schema(example = "140")]
    balance: String,
    /// The order, redemption, return, adjustment or conversion that it came of; or the coupon that was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<uuid::Uuid>,
    /// The earning rule that gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<String>,
    /// Why, of what somebody moved by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The entry that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses_no: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    employee: Option<String>,
    /// When it took effect, and when it was written.
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    /// The digest over it and the entry before, in hexadecimal.
    link: String,
}

/// The entries of a wallet, oldest first
#[utoipa::path(get, path = "/api/v1/wallets/{id}/entries", tag = "wallets", params(("id" = String, Path), ListEntries),
    responses((status = 200, description = "A page", body = Page<EntryView>)))]
pub async fn entries(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
    query: Query<ListEntries>,
) -> Result<HttpResponse, Problem> {
    let (brand, wallet) = (allow.caller.brand.id, id::<WalletId>(&path, "wallet")?);
    let (limit, after) = (limit(query.0.limit)?, query.0.after.unwrap_or(0));
    let found = app.run(async move |app| read_wallets::entries(&app, brand, wallet, after, limit).await).await?;
    let (scale, entries) = found;
    let text = |units: i64| crate::domain::quantity::text(units, scale);
    let shown = entries.into_iter().map(|entry| EntryView {
        no: entry.no,
        kind: entry.kind,
        units: text(entry.units),
        balance: text(entry.balance),
        source_id: entry.source,
        rule_id: entry.rule.map(|rule| crate::domain::ids::EarningRuleId::new(rule).to_string()),
        reason: entry.reason.map(Personal::into_inner),
        reverses_no: entry.movement.reverses,
        store_id: entry.store,
        terminal: entry.terminal,
        employee: entry.employee.map(Personal::into_inner),
        occurred_at: entry.occurred_at,
        created_at: entry.created_at,
        link: hex::encode(entry.link),
    });
    Ok(HttpResponse::Ok().json(Page::new(shown.collect(), limit, |entry: &EntryView| entry.no.to_string())))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustBody {
    /// A decimal string; below zero takes units.
    #[schema(example = "-20")]
    units: String,
    /// Why; kept in the audit log.
    #[schema(example = "Compensation for a wrong price", max_length = 200)]
    reason: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AdjustedView {
    #[schema(value_type = String)]
    id: crate::domain::ids::AuditId,
    #[schema(value_type = String)]
    wallet_id: WalletId,
    units: String,
    balance: String,
}

/// Move units by hand, with a reason
#[utoipa::path(post, path = "/api/v1/wallets/{id}/adjustments", tag = "wallets", request_body = AdjustBody,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header, description = "Repeat a request with its key to have one effect; required")),
    responses((status = 201, description = "Moved", body = AdjustedView)))]
pub async fn adjust(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    path: Path<String>,
    key: IdempotencyKey,
    body: Body<AdjustBody>,
) -> Result<HttpResponse, Problem> {
    let wallet = id(&path, "wallet")?;
    let once = key.once(&allow.caller, &body).ok_or(Problem::KeyRequired)?;
    let (caller, AdjustBody { units, reason }) = (allow.caller, body.value);
    let done = app.run(async move |app| adjustments::adjust(&app, &caller, wallet, &units, &reason, &once).await);
    Ok(reply(done.await?))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertBody {
    /// The key of the other wallet.
    #[schema(example = "cashback")]
    into: String,
    /// A multiple of what the kind of wallet converts.
    #[schema(example = "200")]
    units: String,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SideView {
    #[schema(value_type = String)]
    wallet_id: WalletId,
    wallet: String,
    /// What became of the balance, and the balance afterwards.
    units: String,
    balance: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConvertedView {
    #[schema(value_type = String, example = "cnv_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: crate::domain::ids::ConversionId,
    from: SideView,
    into: SideView,
}

fn side_view(side: Side) -> SideView {
    SideView { wallet_id: side.wallet_id, wallet: side.wallet, units: side.units, balance: side.balance }
}

/// Convert units into another wallet's, at the rate that the kind of wallet has
#[utoipa::path(post, path = "/api/v1/wallets/{id}/conversions", tag = "wallets", request_body = ConvertBody,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header, description = "Repeat a request with its key to have one effect; required")),
    responses((status = 201, description = "Converted", body = ConvertedView),
        (status = 409, description = "Refused: `code` says why", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn convert(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    key: IdempotencyKey,
    body: Body<ConvertBody>,
) -> Result<HttpResponse, Problem> {
    let wallet = id(&path, "wallet")?;
    let once = key.once(&allow.caller, &body).ok_or(Problem::KeyRequired)?;
    let (caller, ConvertBody { into, units, store_id, terminal, employee }) = (allow.caller, body.value);
    let place = Place::of(&caller, store_id, terminal, employee)?;
    let new = NewConversion { wallet, into, units, place };
    let answer = |done: Converted| {
        let view = ConvertedView { id: done.id, from: side_view(done.from), into: side_view(done.into) };
        serde_json::to_vec(&view).map_err(Problem::internal)
    };
    let done = app.run(async move |app| convert::convert(&app, &caller, new, &once, answer).await);
    Ok(reply(done.await?))
}
