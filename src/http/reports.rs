//! `/api/v1/reports`: what there is to know about a program as a whole.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::ProgramId;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Marketing, Reader};
use crate::http::extract::Query;
use crate::http::money::MoneyBody;
use crate::service::liability::{self, Liability};
use crate::service::{App, Problem};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfProgram {
    #[param(value_type = String)]
    program_id: ProgramId,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LiabilityView {
    #[schema(example = "points")]
    wallet: String,
    name: String,
    /// Members who have one.
    wallets: i64,
    /// Units that may be spent, those that baskets hold included.
    #[schema(example = "120400")]
    outstanding: String,
    /// Not active yet.
    pending: String,
    /// Owed by members.
    debt: String,
    /// What became of everything else that came in.
    spent: String,
    expired: String,
    cancelled: String,
    /// Of what was spent or expired, how much expired: 0 to 1; null before anything did.
    #[schema(example = 0.18)]
    breakage: Option<f64>,
    /// What `outstanding` would pay; null: units of this kind have no worth.
    worth: Option<MoneyBody>,
    /// The same, less what is never used if breakage stays what it is.
    expected: Option<MoneyBody>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LiabilityReport {
    at: DateTime<Utc>,
    wallets: Vec<LiabilityView>,
}

/// What a program owes its members, by kind of wallet, and how much of it is never used
#[utoipa::path(get, path = "/api/v1/reports/liability", tag = "wallets", params(OfProgram),
    responses((status = 200, description = "The kinds of wallets", body = LiabilityReport)))]
pub async fn liability(
    allow: Allow<(Reader, Marketing, Admin)>,
    app: Data<App>,
    query: Query<OfProgram>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, query.0.program_id);
    let at = app.clock.now();
    let found = app.run(async move |app| liability::report(&app, brand, program).await).await?;
    let money = |money: Option<(i64, String)>| money.map(|(minor, currency)| MoneyBody::new(minor, &currency));
    let view = |one: Liability| LiabilityView {
        wallet: one.key,
        name: one.name,
        wallets: one.wallets,
        outstanding: one.outstanding,
        pending: one.pending,
        debt: one.debt,
        spent: one.spent,
        expired: one.expired,
        cancelled: one.cancelled,
        breakage: one.breakage,
        worth: money(one.worth),
        expected: money(one.expected),
    };
    Ok(HttpResponse::Ok().json(LiabilityReport { at, wallets: found.into_iter().map(view).collect() }))
}
