//! `/api/v1/offers` and `/api/v1/coupons`: what customers are promised, and their rights to it.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{BrandId, CouponId, CustomerId, OfferId, PassId, ProgramId, RedemptionId};
use crate::domain::role::Role;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IdempotencyKey, IfMatch, Query, id};
use crate::http::page::{Page, after, limit};
use crate::http::passes::CustomerRef;
use crate::service::coupons::{self, NewCoupon};
use crate::service::offers::{self, NewOffer};
use crate::service::{App, Problem, code_keys};
use crate::store::coupons::{Coupon, CouponState};
use crate::store::offers::{Offer, OfferState};
use crate::wallet::keys::CodeKeys;

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

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueCoupon {
    #[schema(value_type = String)]
    offer_id: OfferId,
    /// Whose it is; absent: whoever has its code may use it.
    customer: Option<CustomerRef>,
    /// The caller's own id: the same again answers the first coupon again.
    #[schema(max_length = 100)]
    external_id: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    /// As the offer says, if absent.
    expires_at: Option<DateTime<Utc>>,
}

/// Holds codes that are worth something: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CouponView {
    #[schema(value_type = String, example = "cpn_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: CouponId,
    #[schema(value_type = String)]
    offer_id: OfferId,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    external_id: Option<String>,
    #[schema(value_type = String, example = "issued")]
    state: CouponState,
    /// What people type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4F7K9Q2M0XZPT8")]
    code: Option<String>,
    /// What scanners read.
    #[serde(skip_serializing_if = "Option::is_none")]
    barcode: Option<String>,
    starts_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<String>)]
    redemption_id: Option<RedemptionId>,
    redeemed_at: Option<DateTime<Utc>>,
    redeemed_in: Option<String>,
    /// The pass that shows it.
    #[schema(value_type = Option<String>)]
    pass_id: Option<PassId>,
    created_at: DateTime<Utc>,
}

/// `keys`: whoever is told the code has the coupon.
fn coupon_view(app: &App, brand: BrandId, coupon: Coupon, keys: Option<CodeKeys>) -> Result<CouponView, Problem> {
    let barcode = keys.map(|keys| coupons::barcode(app, brand, keys, &coupon)).transpose()?;
    Ok(CouponView {
        id: coupon.id,
        offer_id: coupon.offer_id,
        customer_id: coupon.customer_id,
        external_id: coupon.external_id,
        state: coupon.state,
        code: keys.map(|_| coupon.typed),
        barcode,
        starts_at: coupon.starts_at,
        expires_at: coupon.expires_at,
        redemption_id: coupon.redemption_id,
        redeemed_at: coupon.redeemed_at,
        redeemed_in: coupon.redeemed_in,
        pass_id: coupon.pass_id,
        created_at: coupon.created_at,
    })
}

/// Issue a coupon, and the pass that shows it where its offer has a design
#[utoipa::path(post, path = "/api/v1/coupons", tag = "offers", request_body = IssueCoupon,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request with its key to have one effect; required without an external_id")),
    responses((status = 201, description = "Issued", body = CouponView), (status = 200, description = "Known by this external_id", body = CouponView)))]
pub async fn issue(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<IssueCoupon>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body);
    if once.is_none() && body.value.external_id.is_none() {
        return Err(Problem::KeyRequired);
    }
    let brand = allow.caller.brand;
    let IssueCoupon { offer_id, customer, external_id, starts_at, expires_at } = body.value;
    let customer = customer.map(CustomerRef::parse_known).transpose()?;
    let new = NewCoupon { offer: offer_id, customer, external_id, starts_at, expires_at, code: None };
    let owner = brand.id;
    let issued = app.run(async move |app| {
        let (coupon, is_new) = coupons::issue(&app, &brand, new, once.as_ref()).await?;
        Ok((coupon, is_new, code_keys::current(&app, brand.id).await?))
    });
    let (coupon, is_new, keys) = issued.await?;
    let view = coupon_view(&app, owner, coupon, Some(keys))?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListCoupons {
    #[param(value_type = String)]
    offer_id: OfferId,
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// List an offer's coupons, without their codes
#[utoipa::path(get, path = "/api/v1/coupons", tag = "offers", params(ListCoupons),
    responses((status = 200, description = "A page", body = Page<CouponView>)))]
pub async fn list_coupons(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListCoupons>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(ListCoupons { offer_id, limit: asked, after: from }) = query;
    let (limit, after) = (limit(asked)?, after(from.as_deref())?);
    let found = app.run(async move |app| coupons::list(&app, brand, offer_id, after, limit).await).await?;
    let data = found.into_iter().map(|coupon| coupon_view(&app, brand, coupon, None)).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |coupon: &CouponView| coupon.id.to_string())))
}

/// Read a coupon
#[utoipa::path(get, path = "/api/v1/coupons/{id}", tag = "offers", params(("id" = String, Path)),
    responses((status = 200, description = "The coupon, with its code for those who may issue", body = CouponView)))]
pub async fn read_coupon(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, coupon) = (allow.caller.brand.id, id(&path, "coupon")?);
    let may_know = matches!(allow.caller.key.role, Role::Issuer | Role::Admin);
    let found = app.run(async move |app| {
        let keys = if may_know { Some(code_keys::current(&app, brand).await?) } else { None };
        Ok((coupons::read(&app, brand, coupon).await?, keys))
    });
    let (coupon, keys) = found.await?;
    Ok(HttpResponse::Ok().json(coupon_view(&app, brand, coupon, keys)?))
}

/// Take a coupon back that nobody used; repeating it changes nothing
#[utoipa::path(post, path = "/api/v1/coupons/{id}/void", tag = "offers", params(("id" = String, Path)),
    responses((status = 200, description = "The coupon", body = CouponView)))]
pub async fn void_coupon(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, coupon) = (allow.caller.brand.id, id(&path, "coupon")?);
    let voided = app
        .run(async move |app| Ok((coupons::void(&app, brand, coupon).await?, code_keys::current(&app, brand).await?)));
    let (coupon, keys) = voided.await?;
    Ok(HttpResponse::Ok().json(coupon_view(&app, brand, coupon, Some(keys))?))
}
