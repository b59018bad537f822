//! `/api/v1/offers`: what customers are promised.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{OfferId, ProgramId};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IfMatch, Query, id};
use crate::http::page::{Page, after, limit};
use crate::service::offers::{self, NewOffer};
use crate::service::{App, Problem};
use crate::store::offers::{Offer, OfferState};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOffer {
    #[schema(value_type = String)]
    program_id: ProgramId,
    /// The caller's own id: the same again answers the first offer again.
    #[schema(max_length = 100)]
    external_id: Option<String>,
    #[schema(example = "20 % no café da tarde", max_length = 64)]
    name: String,
    /// draft, running (if absent) or ended.
    #[schema(value_type = Option<String>, example = "running")]
    state: Option<OfferState>,
    /// Effect, validity, limits, stacking, price: docs/loyalty.md has every member.
    #[schema(value_type = Object, example = json!({ "effect": { "percent": { "percent": "20" } } }))]
    rules: Value,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOffer {
    #[schema(max_length = 64)]
    name: Option<String>,
    #[schema(value_type = Option<String>, example = "ended")]
    state: Option<OfferState>,
    #[schema(value_type = Option<Object>)]
    rules: Option<Value>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OfferView {
    #[schema(value_type = String, example = "off_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: OfferId,
    #[schema(value_type = String)]
    program_id: ProgramId,
    external_id: Option<String>,
    name: String,
    #[schema(value_type = String, example = "running")]
    state: OfferState,
    #[schema(value_type = Object)]
    rules: Value,
    /// What is left; null: as much as anybody likes.
    uses_left: Option<i64>,
    stock_left: Option<i64>,
    budget_left_minor: Option<i64>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(offer: Offer) -> OfferView {
    OfferView {
        id: offer.id,
        program_id: offer.program_id,
        external_id: offer.external_id,
        name: offer.name,
        state: offer.state,
        rules: offer.spec.0,
        uses_left: offer.uses_left,
        stock_left: offer.stock_left,
        budget_left_minor: offer.budget_left_minor,
        version: offer.version,
        created_at: offer.created_at,
        updated_at: offer.updated_at,
    }
}

/// Create an offer; with a price in units, a reward
#[utoipa::path(post, path = "/api/v1/offers", tag = "offers", request_body = CreateOffer,
    responses((status = 201, description = "Created", body = OfferView), (status = 200, description = "Known by this external_id", body = OfferView)))]
pub async fn create(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    body: Body<CreateOffer>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let CreateOffer { program_id, external_id, name, state, rules } = body.value;
    let new = NewOffer { program: program_id, external_id, name, state: state.unwrap_or(OfferState::Running), rules };
    let (offer, is_new) = app.run(async move |app| offers::create(&app, brand, new).await).await?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view(offer)))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListOffers {
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    #[param(value_type = Option<String>)]
    program_id: Option<ProgramId>,
}

/// List offers
#[utoipa::path(get, path = "/api/v1/offers", tag = "offers", params(ListOffers),
    responses((status = 200, description = "A page", body = Page<OfferView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListOffers>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(ListOffers { limit: asked, after: from, program_id }) = query;
    let (limit, after) = (limit(asked)?, after(from.as_deref())?);
    let found = app.run(async move |app| offers::list(&app, brand, program_id, after, limit).await).await?;
    let data = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |offer: &OfferView| offer.id.to_string())))
}

/// Read an offer
#[utoipa::path(get, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = String, Path)),
    responses((status = 200, description = "The offer", body = OfferView)))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, offer) = (allow.caller.brand.id, id(&path, "offer")?);
    let found = app.run(async move |app| offers::read(&app, brand, offer).await).await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", found.version))).json(view(found)))
}

/// Change an offer
#[utoipa::path(patch, path = "/api/v1/offers/{id}", tag = "offers", request_body = UpdateOffer,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The offer", body = OfferView)))]
pub async fn update(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<UpdateOffer>,
) -> Result<HttpResponse, Problem> {
    let (brand, offer) = (allow.caller.brand.id, id(&path, "offer")?);
    let UpdateOffer { name, state, rules } = body.value;
    let edited =
        app.run(async move |app| offers::update(&app, brand, offer, name.as_deref(), state, rules, seen.0).await);
    let edited = edited.await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", edited.version))).json(view(edited)))
}
