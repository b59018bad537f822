//! `/api/v1/wallet-types`, `/api/v1/rules` and `/api/v1/programs/{id}/tiers`: what programs promise.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{EarningRuleId, ProgramId, WalletTypeId};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IfMatch, Query, id};
use crate::http::page::Page;
use crate::service::{App, Problem, program_rules};
use crate::store::program_rules::{EarningRule, WalletType};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWalletType {
    #[schema(value_type = String)]
    program_id: ProgramId,
    /// What rules and templates name it by.
    #[schema(example = "points")]
    key: String,
    #[schema(example = "Pontos", max_length = 32)]
    name: String,
    /// Units, pending, expiry, limits, returns, worth, dates: docs/loyalty.md has every member.
    #[schema(value_type = Object, example = json!({ "unit": { "singular": "ponto", "plural": "pontos" }, "expiry": { "after": "12M_U" } }))]
    rules: Value,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateWalletType {
    #[schema(max_length = 32)]
    name: Option<String>,
    /// All of them: what is left out is as if it had never been given.
    #[schema(value_type = Option<Object>)]
    rules: Option<Value>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WalletTypeView {
    #[schema(value_type = String, example = "wty_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: WalletTypeId,
    #[schema(value_type = String)]
    program_id: ProgramId,
    key: String,
    name: String,
    #[schema(value_type = Object)]
    rules: Value,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn wallet_type(kind: WalletType) -> WalletTypeView {
    let WalletType { id, program_id, key, name, spec, version, created_at, updated_at } = kind;
    WalletTypeView { id, program_id, key, name, rules: spec.0, version, created_at, updated_at }
}

/// Whose rules are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfProgram {
    #[param(value_type = String)]
    program_id: ProgramId,
}

/// Create a kind of wallet
#[utoipa::path(post, path = "/api/v1/wallet-types", tag = "programs", request_body = CreateWalletType,
    responses((status = 201, description = "Created", body = WalletTypeView), (status = 200, description = "Known by this key", body = WalletTypeView)))]
pub async fn create_wallet_type(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    body: Body<CreateWalletType>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let CreateWalletType { program_id, key, name, rules } = body.value;
    let made = app
        .run(async move |app| program_rules::create_wallet_type(&app, brand, program_id, &key, &name, rules).await)
        .await?;
    let (kind, is_new) = made;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(wallet_type(kind)))
}

/// List the kinds of a program's wallets
#[utoipa::path(get, path = "/api/v1/wallet-types", tag = "programs", params(OfProgram),
    responses((status = 200, description = "All of them", body = Page<WalletTypeView>)))]
pub async fn list_wallet_types(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<OfProgram>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, query.0.program_id);
    let found = app.run(async move |app| program_rules::list_wallet_types(&app, brand, program).await).await?;
    Ok(HttpResponse::Ok().json(Page { data: found.into_iter().map(wallet_type).collect::<Vec<_>>(), next: None }))
}

/// Read a kind of wallet
#[utoipa::path(get, path = "/api/v1/wallet-types/{id}", tag = "programs", params(("id" = String, Path)),
    responses((status = 200, description = "The kind", body = WalletTypeView)))]
pub async fn read_wallet_type(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, kind) = (allow.caller.brand.id, id(&path, "wallet type")?);
    let found = app.run(async move |app| program_rules::read_wallet_type(&app, brand, kind).await).await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", found.version))).json(wallet_type(found)))
}

/// Change a kind of wallet. What is in wallets already keeps its dates
#[utoipa::path(patch, path = "/api/v1/wallet-types/{id}", tag = "programs", request_body = UpdateWalletType,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The kind", body = WalletTypeView)))]
pub async fn update_wallet_type(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<UpdateWalletType>,
) -> Result<HttpResponse, Problem> {
    let (brand, kind) = (allow.caller.brand.id, id(&path, "wallet type")?);
    let UpdateWalletType { name, rules } = body.value;
    let edited = app
        .run(async move |app| {
            program_rules::update_wallet_type(&app, brand, kind, name.as_deref(), rules, seen.0).await
        })
        .await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", edited.version))).json(wallet_type(edited)))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEarningRule {
    #[schema(value_type = String)]
    program_id: ProgramId,
    /// The key of the wallet type that it gives to.
    #[schema(example = "points")]
    wallet: String,
    #[schema(example = "1 ponto por real", max_length = 64)]
    name: String,
    /// What it gives, for what, to whom, when: docs/loyalty.md has every member.
    #[schema(value_type = Object, example = json!({ "gives": { "per_amount": { "every_minor": 100, "units": "1" } } }))]
    rules: Value,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateEarningRule {
    #[schema(max_length = 64)]
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    rules: Option<Value>,
    is_active: Option<bool>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EarningRuleView {
    #[schema(value_type = String, example = "rul_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: EarningRuleId,
    #[schema(value_type = String)]
    program_id: ProgramId,
    #[schema(value_type = String)]
    wallet_type_id: WalletTypeId,
    name: String,
    #[schema(value_type = Object)]
    rules: Value,
    is_active: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn earning_rule(rule: EarningRule) -> EarningRuleView {
    let EarningRule { id, program_id, wallet_type_id, name, spec, is_active, version, created_at, updated_at } = rule;
    EarningRuleView { id, program_id, wallet_type_id, name, rules: spec.0, is_active, version, created_at, updated_at }
}

/// Create an earning rule
#[utoipa::path(post, path = "/api/v1/rules", tag = "programs", request_body = CreateEarningRule,
    responses((status = 201, description = "Created", body = EarningRuleView), (status = 200, description = "There is just this rule", body = EarningRuleView)))]
pub async fn create_rule(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    body: Body<CreateEarningRule>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let CreateEarningRule { program_id, wallet, name, rules } = body.value;
    let (made, is_new) = app
        .run(async move |app| program_rules::create_earning_rule(&app, brand, program_id, &wallet, &name, rules).await)
        .await?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(earning_rule(made)))
}

/// List a program's earning rules
#[utoipa::path(get, path = "/api/v1/rules", tag = "programs", params(OfProgram),
    responses((status = 200, description = "All of them", body = Page<EarningRuleView>)))]
pub async fn list_rules(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<OfProgram>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, query.0.program_id);
    let found = app.run(async move |app| program_rules::list_earning_rules(&app, brand, program).await).await?;
    Ok(HttpResponse::Ok().json(Page { data: found.into_iter().map(earning_rule).collect::<Vec<_>>(), next: None }))
}

/// Change an earning rule. What was earned stays
#[utoipa::path(patch, path = "/api/v1/rules/{id}", tag = "programs", request_body = UpdateEarningRule,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The rule", body = EarningRuleView)))]
pub async fn update_rule(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<UpdateEarningRule>,
) -> Result<HttpResponse, Problem> {
    let (brand, rule) = (allow.caller.brand.id, id(&path, "rule")?);
    let UpdateEarningRule { name, rules, is_active } = body.value;
    let edited = app
        .run(async move |app| {
            let name = name.as_deref();
            program_rules::update_earning_rule(&app, brand, rule, name, rules, is_active, seen.0).await
        })
        .await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", edited.version))).json(earning_rule(edited)))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TiersBody {
    /// By what members qualify, the levels, how they are lost: docs/loyalty.md has every member. Null: no tiers.
    #[schema(value_type = Option<Object>)]
    tiers: Value,
}

/// Set a program's tiers
#[utoipa::path(patch, path = "/api/v1/programs/{id}/tiers", tag = "programs", request_body = TiersBody, params(("id" = String, Path)),
    responses((status = 200, description = "The tiers", body = TiersBody)))]
pub async fn set_tiers(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    path: Path<String>,
    body: Body<TiersBody>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, id(&path, "program")?);
    let tiers = app.run(async move |app| program_rules::set_tiers(&app, brand, program, body.value.tiers).await);
    Ok(HttpResponse::Ok().json(TiersBody { tiers: tiers.await? }))
}

/// Read a program's tiers
#[utoipa::path(get, path = "/api/v1/programs/{id}/tiers", tag = "programs", params(("id" = String, Path)),
    responses((status = 200, description = "The tiers; null: it has none", body = TiersBody)))]
pub async fn read_tiers(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, id(&path, "program")?);
    let tiers = app.run(async move |app| program_rules::read_tiers(&app, brand, program).await);
    Ok(HttpResponse::Ok().json(TiersBody { tiers: tiers.await? }))
}
