//! `/api/v1/coupons`: customers' rights to offers.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{BrandId, CouponId, CustomerId, OfferId, PassId, RedemptionId};
use crate::domain::role::Role;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IdempotencyKey, Query, id};
use crate::http::page::{Page, after, limit};
use crate::http::passes::CustomerRef;
use crate::service::coupons::{self, Issued, NewCoupon};
use crate::service::{App, Problem, code_keys};
use crate::store::coupons::{Coupon, CouponState};
use crate::wallet::keys::CodeKeys;

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
    /// Why it has no pass though its offer has a design; told when it is issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_problem: Option<String>,
    /// The redemption that paid for it with units: it is good until its end, whatever becomes of its offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    bought_by: Option<RedemptionId>,
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
        pass_problem: None,
        bought_by: coupon.bought_by,
        created_at: coupon.created_at,
    })
}

/// What was bought, as it always is, whatever becomes of it. Holds codes that are worth something: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct BoughtView {
    #[schema(value_type = String, example = "cpn_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: CouponId,
    /// What people type, and what scanners read.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    barcode: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// Coupons that were bought, with their codes for those who may know them (`keys`).
pub fn bought_views(
    app: &App,
    brand: BrandId,
    coupons: Vec<Coupon>,
    keys: Option<CodeKeys>,
) -> Result<Vec<BoughtView>, Problem> {
    let view = |coupon: Coupon| {
        let barcode = keys.map(|keys| coupons::barcode(app, brand, keys, &coupon)).transpose()?;
        let code = keys.map(|_| coupon.typed);
        Ok(BoughtView { id: coupon.id, code, barcode, expires_at: coupon.expires_at })
    };
    coupons.into_iter().map(view).collect()
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
        let issued = coupons::issue(&app, &brand, new, once.as_ref()).await?;
        Ok((issued, code_keys::current(&app, brand.id).await?))
    });
    let (Issued { coupon, is_new, unshown }, keys) = issued.await?;
    let view = CouponView { pass_problem: unshown, ..coupon_view(&app, owner, coupon, Some(keys))? };
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
pub async fn list(
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
pub async fn read(
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
pub async fn void(allow: Allow<(Issuer, Admin)>, app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let (brand, coupon) = (allow.caller.brand.id, id(&path, "coupon")?);
    let voided = app
        .run(async move |app| Ok((coupons::void(&app, brand, coupon).await?, code_keys::current(&app, brand).await?)));
    let (coupon, keys) = voided.await?;
    Ok(HttpResponse::Ok().json(coupon_view(&app, brand, coupon, Some(keys))?))
}
