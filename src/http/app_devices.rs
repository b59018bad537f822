//! `/api/v1/app-devices`: installations of the brand's own app. The brand's server asks for a token for a customer; with it
//! the customer's phone registers itself, and nobody else.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AppDeviceId, CustomerId};
use crate::domain::notice::{AppPlatform, AppService};
use crate::domain::secret::Secret;
use crate::http::auth::role::{Admin, App as AppRole, Issuer, Reader};
use crate::http::auth::{Allow, Phone};
use crate::http::extract::{Body, Query, id};
use crate::http::page::{Page, after, limit};
use crate::http::passes::CustomerRef;
use crate::service::app_devices::{self, Registration};
use crate::service::{App, Problem};
use crate::store::app_devices::AppDevice;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCustomerToken {
    customer: CustomerRef,
}

/// Holds a secret: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CustomerTokenView {
    #[schema(value_type = String, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    customer_id: CustomerId,
    /// For the `Authorization` header of the phone: `Bearer pct_…`.
    #[schema(example = "pct_k7w2m9xa_AZfjosW4fR6fAKGyw9Tl9muMbAA...")]
    token: String,
    expires_at: DateTime<Utc>,
}

/// Make a token for a customer's phone
///
/// For an hour the phone may register its own installation of the app with it, and take it back. To be handed to the app by
/// the brand's server, which knows who is signed in.
#[utoipa::path(post, path = "/api/v1/app-devices/tokens", tag = "app-devices", request_body = CreateCustomerToken,
    responses((status = 201, description = "The token", body = CustomerTokenView), (status = 409, description = "ambiguous-customer", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn token(
    allow: Allow<(AppRole, Admin)>,
    app: Data<App>,
    body: Body<CreateCustomerToken>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand;
    let selector = body.value.customer.parse_known()?;
    let issued = app.run(async move |app| app_devices::issue_token(&app, &brand, &selector).await).await?;
    let view = CustomerTokenView {
        customer_id: issued.customer,
        token: issued.token.reveal().clone(),
        expires_at: issued.expires_at,
    };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(view))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAppDevice {
    /// Who delivers the messages: `fcm`, or `apns` for the brand's iOS app.
    #[schema(value_type = String, example = "fcm")]
    service: AppService,
    /// android or ios.
    #[schema(value_type = String, example = "android")]
    platform: AppPlatform,
    /// The Firebase installation id.
    #[schema(value_type = Option<String>, example = "dGhpcyBpcyBhIGZpZA")]
    fid: Option<Secret<String>>,
    /// Firebase's registration token, or Apple's device token in hexadecimal. Beside a fid it is kept for later.
    #[schema(value_type = Option<String>)]
    token: Option<Secret<String>>,
    /// The language that the app speaks; the customer's, if absent.
    #[schema(example = "pt-BR", max_length = 35)]
    locale: Option<String>,
}

/// An installation of the brand's app.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AppDeviceView {
    #[schema(value_type = String, example = "apd_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: AppDeviceId,
    #[schema(value_type = String, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    customer_id: CustomerId,
    #[schema(value_type = String, example = "fcm")]
    service: AppService,
    #[schema(value_type = String, example = "android")]
    platform: AppPlatform,
    locale: Option<String>,
    /// When a message to it was last taken.
    told_at: Option<DateTime<Utc>>,
    /// Since when its address is refused: it is removed after a day, if others are reached meanwhile.
    refused_since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(device: AppDevice) -> AppDeviceView {
    let AppDevice { id, customer, service, platform, locale, told_at, refused_since, created_at, updated_at } = device;
    AppDeviceView {
        id,
        customer_id: customer,
        service,
        platform,
        locale,
        told_at,
        refused_since,
        created_at,
        updated_at,
    }
}

/// Register an installation
///
/// By the phone, with its customer's token: at every start of the app. The same address again is the same installation; one
/// that another customer used is this one's from now on.
#[utoipa::path(post, path = "/api/v1/app-devices", tag = "app-devices", request_body = RegisterAppDevice, security(("customer" = [])),
    responses((status = 201, description = "Registered", body = AppDeviceView), (status = 200, description = "It was", body = AppDeviceView)))]
pub async fn register(phone: Phone, app: Data<App>, body: Body<RegisterAppDevice>) -> Result<HttpResponse, Problem> {
    let RegisterAppDevice { service, platform, fid, token, locale } = body.value;
    let wanted = Registration { service, platform, fid, token, locale };
    let done = app.run(async move |app| app_devices::register(&app, &phone.holder, &wanted).await).await;
    let (device, is_new) = done?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(view(device)))
}

/// Take an installation back
///
/// By the phone, with its customer's token: when the customer signs out.
#[utoipa::path(delete, path = "/api/v1/app-devices/{id}", tag = "app-devices", security(("customer" = [])),
    params(("id" = String, Path, example = "apd_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 204, description = "It is told nothing any more")))]
pub async fn unregister(phone: Phone, app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let device = id(&path, "app device")?;
    app.run(async move |app| app_devices::unregister(&app, &phone.holder, device).await).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAppDevices {
    /// Installations of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    #[param(value_type = Option<String>, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    customer_id: Option<CustomerId>,
}

/// List installations
#[utoipa::path(get, path = "/api/v1/app-devices", tag = "app-devices", params(ListAppDevices),
    responses((status = 200, description = "A page", body = Page<AppDeviceView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, AppRole, Admin)>,
    app: Data<App>,
    query: Query<ListAppDevices>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(query) = query;
    let (limit, after) = (limit(query.limit)?, after(query.after.as_deref())?);
    let customer = query.customer_id;
    let found = app.run(async move |app| app_devices::list(&app, brand, customer, after, limit).await).await?;
    let data = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |device: &AppDeviceView| device.id.to_string())))
}
