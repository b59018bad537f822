//! `/apple/{brand}/v1/…`: the web service that phones speak to, exactly as Apple specifies it ("Adding a web service
//! to update passes"). Answers are statuses with empty bodies; unknown members of bodies are ignored.

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use crate::domain::secret::{Personal, Secret};
use crate::http::auth::{Failures, LogBudget};
use crate::http::bundle_body::{if_modified_since, not_modified, respond};
use crate::http::extract::read;
use crate::service::apple_devices::{self, Fetched, PassRef, Registered};
use crate::service::brands::find_by_code;
use crate::service::sign_up::{self, Answers};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::devices::NewDevice;

/// Bytes of a registration, of a log call and of a sign-up at most.
const REGISTRATION_MAX: usize = 4 * 1024;
const LOG_MAX: usize = 64 * 1024;
const SIGN_UP_MAX: usize = 8 * 1024;

/// Characters of a device library identifier and a push token at most; both are opaque.
const OPAQUE_MAX: usize = 512;

/// The schemes of Apple and of the wallets that speak its protocol.
const SCHEMES: &[&str] = &["ApplePass", "AndroidPass", "WalletUnionPass", "WalletUnionHMSPass"];

#[derive(Debug, Deserialize)]
pub struct PassPath {
    brand: String,
    pass_type: String,
    serial: String,
}

#[derive(Debug, Deserialize)]
pub struct RegistrationPath {
    brand: String,
    device: String,
    pass_type: String,
    serial: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    push_token: Secret<String>,
}

#[derive(Debug, Deserialize)]
struct Logs {
    logs: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdatedBody {
    last_updated: String,
    serial_numbers: Vec<String>,
}

/// The scheme word and the token of `Authorization: ApplePass <token>`.
fn authorization(request: &HttpRequest) -> Option<(&'static str, Secret<String>)> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let scheme = SCHEMES.iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
    Some((scheme, Secret::new(token.trim().to_owned())))
}

/// Reads bytes as each of the bodies that phones send; whether any of them fits does not matter here, only that it ends.
pub fn read_bodies(bytes: &[u8]) {
    drop(serde_json::from_slice::<Registration>(bytes));
    drop(serde_json::from_slice::<Logs>(bytes));
    drop(serde_json::from_slice::<Personalization>(bytes));
}

/// Path segments are bound into SQL as text; PostgreSQL refuses a NUL there. What is not plain names nothing of ours.
fn names_something(segments: &[&str]) -> Result<(), Problem> {
    if segments.iter().all(|segment| opaque(segment)) { Ok(()) } else { Err(Problem::KeyUnknown) }
}

/// Problems as Apple's protocol knows them: a status and nothing else. A wrong token, an unknown serial and an
/// unknown brand are one and the same 401.
fn refuse(request: &HttpRequest, problem: Problem) -> HttpResponse {
    let problem = match problem {
        Problem::KeyUnknown | Problem::KeyMissing => Failures::count(request, Problem::KeyUnknown),
        problem => problem,
    };
    let mut response = actix_web::ResponseError::error_response(&problem).set_body(());
    response.headers_mut().remove(actix_web::http::header::CONTENT_TYPE);
    response.headers_mut().remove(actix_web::http::header::WWW_AUTHENTICATE);
    response.map_into_boxed_body()
}

fn opaque(text: &str) -> bool {
    (1..=OPAQUE_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn brand(app: &App, code: &str) -> Result<Brand, Problem> {
    find_by_code(app, code).await?.ok_or(Problem::KeyUnknown)
}

/// `POST /devices/{device}/registrations/{type}/{serial}`: 201 new, 200 known (push token refreshed), 401.
pub async fn register(
    request: HttpRequest,
    app: Data<App>,
    path: Path<RegistrationPath>,
    payload: Payload,
) -> HttpResponse {
    let registered = async {
        let (scheme, token) = authorization(&request).ok_or(Problem::KeyMissing)?;
        let body = read(&request, payload.into_inner(), REGISTRATION_MAX).await?;
        let bad = |detail: &str| Problem::BadJson { detail: detail.to_owned() };
        let body: Registration = serde_json::from_slice(&body).map_err(|_| bad("a pushToken is wanted"))?;
        if !opaque(body.push_token.reveal()) || !opaque(&path.device) {
            return Err(bad("a pushToken is wanted"));
        }
        let path = path.into_inner();
        names_something(&[&path.pass_type, &path.serial])?;
        let device = NewDevice {
            pass_type: path.pass_type.clone(),
            library_id: Secret::new(path.device),
            push_token: body.push_token,
            scheme: scheme.to_owned(),
        };
        app.run(async move |app| {
            let brand = brand(&app, &path.brand).await?;
            let pass = PassRef { pass_type: path.pass_type, serial: path.serial, token };
            apple_devices::register(&app, &brand, &pass, &device).await
        })
        .await
    };
    match registered.await {
        Ok(Registered::New) => HttpResponse::Created().finish(),
        Ok(Registered::Known) => HttpResponse::Ok().finish(),
        Err(problem) => refuse(&request, problem),
    }
}

/// `DELETE /devices/{device}/registrations/{type}/{serial}`: 200 or 401.
pub async fn unregister(request: HttpRequest, app: Data<App>, path: Path<RegistrationPath>) -> HttpResponse {
    let unregistered = async {
        let (_, token) = authorization(&request).ok_or(Problem::KeyMissing)?;
        let path = path.into_inner();
        names_something(&[&path.pass_type, &path.serial, &path.device])?;
        app.run(async move |app| {
            let brand = brand(&app, &path.brand).await?;
            let pass = PassRef { pass_type: path.pass_type, serial: path.serial, token };
            apple_devices::unregister(&app, &brand, &pass, &path.device).await
        })
        .await
    };
    match unregistered.await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(problem) => refuse(&request, problem),
    }
}

#[derive(Debug, Deserialize)]
pub struct ListPath {
    brand: String,
    device: String,
    pass_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    passes_updated_since: Option<String>,
}

/// `GET /devices/{device}/registrations/{type}?passesUpdatedSince=`: 200 with serials and the next tag, or 204. No
/// authorisation: the device id is the secret, and an unknown one is told 204 like one with nothing new.
pub async fn list(
    request: HttpRequest,
    app: Data<App>,
    path: Path<ListPath>,
    // A query that cannot be read is a tag that we never gave: everything is listed.
    query: Option<actix_web::web::Query<ListQuery>>,
) -> HttpResponse {
    let (path, asked) = (path.into_inner(), query.and_then(|query| query.into_inner().passes_updated_since));
    if names_something(&[&path.pass_type, &path.device]).is_err() {
        return HttpResponse::NoContent().finish();
    }
    let listed = async {
        let Some(brand) = find_by_code(&app, &path.brand).await? else { return Ok(None) };
        apple_devices::list_updated(&app, &brand, path.pass_type, path.device, asked.as_deref()).await
    };
    match listed.await {
        Ok(Some((serial_numbers, tag))) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(UpdatedBody { last_updated: tag.to_string(), serial_numbers }),
        Ok(None) => HttpResponse::NoContent().finish(),
        Err(problem) => refuse(&request, problem),
    }
}

/// `GET /passes/{type}/{serial}`: 200 with the bundle, 304 when the phone has this very version, 401.
pub async fn fetch(request: HttpRequest, app: Data<App>, path: Path<PassPath>) -> HttpResponse {
    let since = if_modified_since(&request);
    let fetched = async {
        let (_, token) = authorization(&request).ok_or(Problem::KeyMissing)?;
        let path = path.into_inner();
        names_something(&[&path.pass_type, &path.serial])?;
        let brand = brand(&app, &path.brand).await?;
        let pass = PassRef { pass_type: path.pass_type, serial: path.serial, token };
        Ok((apple_devices::fetch(&app, &brand, &pass, since).await?, pass.serial))
    };
    match fetched.await {
        Ok((Fetched::Pass(served), serial)) => respond(&served, &serial),
        Ok((Fetched::NotModified { last_modified, apple_hash }, _)) => not_modified(last_modified, &apple_hash),
        Err(problem) => refuse(&request, problem),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Personalization {
    personalization_token: Secret<String>,
    #[serde(default)]
    required_personalization_info: Info,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    full_name: Option<Personal<String>>,
    given_name: Option<Personal<String>>,
    family_name: Option<Personal<String>>,
    email_address: Option<Personal<String>>,
    phone_number: Option<Personal<String>>,
    postal_code: Option<Personal<String>>,
    #[serde(rename = "ISOCountryCode")]
    country: Option<Personal<String>>,
}

/// `POST /passes/{type}/{serial}/personalize`: 200 with a detached signature over the token, made as a pass's is; 401; 404
/// for a pass without a form.
pub async fn personalize(request: HttpRequest, app: Data<App>, path: Path<PassPath>, payload: Payload) -> HttpResponse {
    let signed = async {
        let token = authorization(&request).map(|(_, token)| token);
        let body = read(&request, payload.into_inner(), SIGN_UP_MAX).await?;
        let bad = |_| Problem::BadJson { detail: "a personalizationToken is wanted".to_owned() };
        let body: Personalization = serde_json::from_slice(&body).map_err(bad)?;
        let path = path.into_inner();
        names_something(&[&path.pass_type, &path.serial])?;
        let info = body.required_personalization_info;
        let answers = Answers {
            full_name: info.full_name,
            given_name: info.given_name,
            family_name: info.family_name,
            email: info.email_address,
            phone: info.phone_number,
            postal_code: info.postal_code,
            country: info.country,
        };
        app.run(async move |app| {
            let brand = brand(&app, &path.brand).await?;
            let has_token = token.is_some();
            let token = token.unwrap_or_else(|| Secret::new(String::new()));
            let pass = PassRef { pass_type: path.pass_type, serial: path.serial, token };
            let to_sign = body.personalization_token;
            sign_up::sign_up(&app, &brand, &pass, has_token, to_sign.reveal().as_bytes(), &answers).await
        })
        .await
    };
    match signed.await {
        Ok(signature) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("application/octet-stream")
            .body(signature),
        Err(problem) => refuse(&request, problem),
    }
}

/// `POST /log`: 200 whatever the messages say.
pub async fn log(request: HttpRequest, app: Data<App>, path: Path<String>, payload: Payload) -> HttpResponse {
    let logged = async {
        let body = read(&request, payload.into_inner(), LOG_MAX).await?;
        let Ok(Logs { logs }) = serde_json::from_slice(&body) else { return Ok(()) };
        if !request.app_data::<Data<LogBudget>>().is_none_or(|budget| budget.allows(&request)) {
            return Ok(()); // taken and dropped: a phone must not mind, and a flood must not push out honest messages
        }
        let code = path.into_inner();
        app.run(async move |app| {
            let Some(brand) = find_by_code(&app, &code).await? else { return Ok(()) };
            apple_devices::log(&app, &brand, &logs).await
        })
        .await
    };
    match logged.await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(problem) => refuse(&request, problem),
    }
}
