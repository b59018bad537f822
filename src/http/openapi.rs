//! `/api/openapi.json` and `/api/docs`: the API's description, generated from the handlers.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use utoipa::OpenApi;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

use crate::http::{
    app_devices, consents, coupon_batches, coupons, customers, deliveries, devices, events, exports, imports, jobs,
    keys, offers, offline, orders, passes, program_rules, programs, quotes, redemptions, reports, rollouts, scans,
    stores, templates, wallets,
};
use crate::service::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Passarela",
        version = "1",
        description = "Digital wallet passes and loyalty. JSON in and out, snake_case, times in RFC 3339 UTC, errors as \
                       application/problem+json with a stable `type`. Authorization: Bearer psk_…"
    ),
    paths(
        programs::create, programs::list, programs::read, programs::update,
        program_rules::set_tiers, program_rules::read_tiers,
        program_rules::create_wallet_type, program_rules::list_wallet_types, program_rules::read_wallet_type,
        program_rules::update_wallet_type,
        program_rules::create_rule, program_rules::list_rules, program_rules::update_rule,
        stores::create, stores::list, stores::read,
        offers::create, offers::list, offers::read, offers::update,
        coupons::issue, coupons::list, coupons::read, coupons::void,
        orders::place, orders::take_back,
        offline::snapshot, reports::liability, consents::list, consents::decide, scans::scan, quotes::quote, redemptions::redeem, redemptions::read, redemptions::void,
        wallets::list, wallets::entries, wallets::adjust, wallets::convert,
        templates::list, templates::read, templates::upload, templates::preview,
        rollouts::start, rollouts::list, rollouts::read, rollouts::pause, rollouts::resume, rollouts::abort,
        customers::create, customers::list, customers::read, customers::update,
        passes::issue, passes::list, passes::read, passes::patch, passes::void, passes::expire, passes::reissue,
        devices::list, passes::preview,
        imports::passes, imports::customers, imports::orders, imports::balances, imports::coupons, imports::redemptions,
        coupon_batches::start, coupon_batches::export, redemptions::conflicts, exports::passes,
        jobs::list, jobs::read, jobs::results, jobs::cancel,
        app_devices::token, app_devices::register, app_devices::list, app_devices::unregister,
        deliveries::list, deliveries::retry,
        events::list, events::happen,
        keys::create, keys::list, keys::revoke,
    ),
    modifiers(&Bearer, &Problems),
    security(("key" = []))
)]
struct Api;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: psk_<brand>_<secret>. Its role decides what it may do."))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A customer's token: pct_<brand>_<token>, made by POST /api/v1/app-devices/tokens."));
        components.add_security_scheme("customer", SecurityScheme::Http(scheme.build()));
    }
}

const fn named(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

/// What any operation may answer, beside what its handler names.
struct Problems;

impl utoipa::Modify for Problems {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let has_body = operation.request_body.is_some();
                let parameters: Vec<_> = operation.parameters.iter().flatten().filter_map(named).collect();
                let queries = parameters.iter().any(|one| one.parameter_in == ParameterIn::Query);
                let follows = parameters.iter().any(|one| one.name == "changed_since");
                let common = [
                    (true, "401", "key-missing, key-unknown"),
                    (true, "403", "role-forbidden"),
                    (path.contains("{id}"), "404", "not-found"),
                    (follows, "410", "cursor-gone: begin again with 0"),
                    (has_body, "400", "bad-json"),
                    (has_body, "408", "too-slow"),
                    (has_body, "413", "too-large"),
                    (has_body, "415", "unsupported-media-type"),
                    (has_body || queries, "422", "invalid: `pointer` says where"),
                    (true, "429", "throttled: too many failed attempts; see Retry-After"),
                    (true, "503", "busy, unavailable: come again after Retry-After"),
                ];
                for (_, status, text) in common.into_iter().filter(|(applies, ..)| *applies) {
                    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                    let response =
                        ResponseBuilder::new().description(text).content("application/problem+json", problem).build();
                    operation.responses.responses.entry(status.to_owned()).or_insert(response.into());
                }
            }
        }
    }
}

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| Api::openapi().to_pretty_json().expect("the description is plain data") + "\n");

/// The whole description.
pub fn text() -> &'static str {
    &DOCUMENT
}

pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(text())
}

static PAGE: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.add_template("docs", include_str!("pages/docs.html")).map_err(|error| error.to_string())?;
    let document: serde_json::Value = serde_json::from_str(text()).map_err(|error| error.to_string())?;
    let page = pages.get_template("docs").and_then(|page| page.render(context! { api => Serde(document) }));
    page.map_err(|error| error.to_string())
});

pub async fn page() -> Result<HttpResponse, Problem> {
    let page = PAGE.as_ref().map_err(|error| Problem::internal(error.as_str()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .content_type("text/html; charset=utf-8")
        .body(page.as_str()))
}
