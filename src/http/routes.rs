//! Every address, in one table: path, method, roles. The server is built from it, the tests walk it.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard, web};

use crate::domain::role::Role;
use crate::http::auth::{Allow, Phone, Roles, admit, admit_phone};
use crate::http::{
    add_page, app_devices, apple_web_service, badges, consents, coupon_batches, coupons, customers, deliveries,
    devices, events, exports, health, images, imports, jobs, keys, offers, offline, openapi, orders, passes,
    program_rules, programs, quotes, redemptions, reports, rollouts, scans, stores, templates, wallets,
};
use crate::service::Problem;

/// One address with one method.
pub struct Door {
    pub method: Method,
    pub path: &'static str,
    /// The roles that may use it; empty for doors that know their visitor otherwise or serve everybody.
    pub roles: &'static [Role],
    /// Whether it serves customers' phones, by their tokens.
    pub is_for_phones: bool,
    route: Box<dyn Fn() -> Route>,
}

/// The arguments of a handler whose first is `Allow<R>`: a route of the API without a role does not compile.
pub trait Guarded<R> {}

macro_rules! guarded {
    ($($rest:ident)*) => { impl<R, $($rest),*> Guarded<R> for (Allow<R>, $($rest,)*) {} };
}
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);

fn api<R, F, Args>(method: Method, path: &'static str, handler: F) -> Door
where
    R: Roles,
    F: Handler<Args> + Copy,
    Args: FromRequest + Guarded<R> + 'static,
    F::Output: Responder + 'static,
{
    let route = move || {
        web::to(move |request: HttpRequest, payload: web::Payload| async move {
            // First who it is, then what they say: extractors of one handler race each other, and a stranger's body
            // is not to be read, let alone answered.
            admit::<R>(&request).await?;
            answer(handler, &request, payload).await
        })
    };
    Door { method, path, roles: R::ROLES, is_for_phones: false, route: Box::new(route) }
}

/// The arguments of a handler whose first is [`Phone`].
pub trait ForPhones {}
impl<A> ForPhones for (Phone, A) {}
impl<A, B> ForPhones for (Phone, A, B) {}

fn phone<F, Args>(method: Method, path: &'static str, handler: F) -> Door
where
    F: Handler<Args> + Copy,
    Args: FromRequest + ForPhones + 'static,
    F::Output: Responder + 'static,
{
    let route = move || {
        web::to(move |request: HttpRequest, payload: web::Payload| async move {
            admit_phone(&request).await?;
            answer(handler, &request, payload).await
        })
    };
    Door { method, path, roles: &[], is_for_phones: true, route: Box::new(route) }
}

async fn answer<F, Args>(
    handler: F,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error>
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let args = Args::from_request(request, &mut payload.into_inner()).await.map_err(Into::into)?;
    Ok(handler.call(args).await.respond_to(request).map_into_boxed_body())
}

fn open<F, Args>(method: Method, path: &'static str, handler: F) -> Door
where
    F: Handler<Args> + Copy,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Door { method, path, roles: &[], is_for_phones: false, route: Box::new(move || web::to(handler)) }
}

/// The table.
pub fn doors() -> Vec<Door> {
    const DELETE: Method = Method::DELETE;
    const GET: Method = Method::GET;
    const HEAD: Method = Method::HEAD;
    const PATCH: Method = Method::PATCH;
    const POST: Method = Method::POST;
    const REGISTRATION: &str = "/apple/{brand}/v1/devices/{device}/registrations/{pass_type}/{serial}";
    const PASS: &str = "/apple/{brand}/v1/passes/{pass_type}/{serial}";
    vec![
        // First what phones ask most: addresses are matched from the top.
        open(POST, REGISTRATION, apple_web_service::register),
        open(DELETE, REGISTRATION, apple_web_service::unregister),
        open(GET, "/apple/{brand}/v1/devices/{device}/registrations/{pass_type}", apple_web_service::list),
        open(GET, PASS, apple_web_service::fetch),
        open(HEAD, PASS, apple_web_service::fetch),
        open(POST, "/apple/{brand}/v1/passes/{pass_type}/{serial}/personalize", apple_web_service::personalize),
        open(POST, "/apple/{brand}/v1/log", apple_web_service::log),
        api(POST, "/api/v1/programs", programs::create),
        api(GET, "/api/v1/programs", programs::list),
        api(GET, "/api/v1/programs/{id}", programs::read),
        api(PATCH, "/api/v1/programs/{id}", programs::update),
        api(GET, "/api/v1/templates", templates::list),
        api(POST, "/api/v1/templates", templates::upload),
        api(GET, "/api/v1/templates/{id}", templates::read),
        api(GET, "/api/v1/templates/{id}/preview", templates::preview),
        api(POST, "/api/v1/rollouts", rollouts::start),
        api(GET, "/api/v1/rollouts", rollouts::list),
        api(GET, "/api/v1/rollouts/{id}", rollouts::read),
        api(POST, "/api/v1/rollouts/{id}/pause", rollouts::pause),
        api(POST, "/api/v1/rollouts/{id}/resume", rollouts::resume),
        api(POST, "/api/v1/rollouts/{id}/abort", rollouts::abort),
        api(PATCH, "/api/v1/programs/{id}/tiers", program_rules::set_tiers),
        api(GET, "/api/v1/programs/{id}/tiers", program_rules::read_tiers),
        api(POST, "/api/v1/wallet-types", program_rules::create_wallet_type),
        api(GET, "/api/v1/wallet-types", program_rules::list_wallet_types),
        api(GET, "/api/v1/wallet-types/{id}", program_rules::read_wallet_type),
        api(PATCH, "/api/v1/wallet-types/{id}", program_rules::update_wallet_type),
        api(POST, "/api/v1/rules", program_rules::create_rule),
        api(GET, "/api/v1/rules", program_rules::list_rules),
        api(PATCH, "/api/v1/rules/{id}", program_rules::update_rule),
        api(POST, "/api/v1/stores", stores::create),
        api(GET, "/api/v1/stores", stores::list),
        api(GET, "/api/v1/stores/{id}", stores::read),
        api(POST, "/api/v1/offers", offers::create),
        api(GET, "/api/v1/offers", offers::list),
        api(GET, "/api/v1/offers/{id}", offers::read),
        api(PATCH, "/api/v1/offers/{id}", offers::update),
        api(POST, "/api/v1/coupons/import", imports::coupons),
        api(POST, "/api/v1/coupons/batches", coupon_batches::start),
        api(GET, "/api/v1/coupons/export", coupon_batches::export),
        api(POST, "/api/v1/coupons", coupons::issue),
        api(GET, "/api/v1/coupons", coupons::list),
        api(GET, "/api/v1/coupons/{id}", coupons::read),
        api(POST, "/api/v1/coupons/{id}/void", coupons::void),
        api(POST, "/api/v1/orders/import", imports::orders),
        api(POST, "/api/v1/orders", orders::place),
        api(POST, "/api/v1/returns", orders::take_back),
        api(GET, "/api/v1/offline", offline::snapshot),
        api(POST, "/api/v1/scans", scans::scan),
        api(POST, "/api/v1/quotes", quotes::quote),
        api(POST, "/api/v1/redemptions/import", imports::redemptions),
        api(GET, "/api/v1/redemptions/conflicts", redemptions::conflicts),
        api(POST, "/api/v1/redemptions", redemptions::redeem),
        api(GET, "/api/v1/redemptions/{id}", redemptions::read),
        api(POST, "/api/v1/redemptions/{id}/void", redemptions::void),
        api(POST, "/api/v1/wallets/import", imports::balances),
        api(GET, "/api/v1/wallets", wallets::list),
        api(GET, "/api/v1/wallets/{id}/entries", wallets::entries),
        api(GET, "/api/v1/reports/liability", reports::liability),
        api(POST, "/api/v1/wallets/{id}/adjustments", wallets::adjust),
        api(POST, "/api/v1/wallets/{id}/conversions", wallets::convert),
        api(POST, "/api/v1/customers/import", imports::customers),
        api(POST, "/api/v1/customers", customers::create),
        api(GET, "/api/v1/customers", customers::list),
        api(GET, "/api/v1/customers/{id}/consents", consents::list),
        api(POST, "/api/v1/customers/{id}/consents", consents::decide),
        api(GET, "/api/v1/customers/{id}", customers::read),
        api(PATCH, "/api/v1/customers/{id}", customers::update),
        api(POST, "/api/v1/passes/import", imports::passes),
        api(GET, "/api/v1/passes/export", exports::passes),
        api(POST, "/api/v1/passes", passes::issue),
        api(GET, "/api/v1/passes", passes::list),
        api(GET, "/api/v1/passes/{id}", passes::read),
        api(PATCH, "/api/v1/passes/{id}", passes::patch),
        api(POST, "/api/v1/passes/{id}/void", passes::void),
        api(POST, "/api/v1/passes/{id}/expire", passes::expire),
        api(POST, "/api/v1/passes/{id}/reissue", passes::reissue),
        api(GET, "/api/v1/passes/{id}/devices", devices::list),
        api(GET, "/api/v1/passes/{id}/preview", passes::preview),
        api(GET, "/api/v1/jobs", jobs::list),
        api(GET, "/api/v1/jobs/{id}", jobs::read),
        api(GET, "/api/v1/jobs/{id}/results", jobs::results),
        api(POST, "/api/v1/jobs/{id}/cancel", jobs::cancel),
        api(POST, "/api/v1/app-devices/tokens", app_devices::token),
        phone(POST, "/api/v1/app-devices", app_devices::register),
        api(GET, "/api/v1/app-devices", app_devices::list),
        phone(DELETE, "/api/v1/app-devices/{id}", app_devices::unregister),
        api(GET, "/api/v1/deliveries", deliveries::list),
        api(POST, "/api/v1/deliveries/{id}/retry", deliveries::retry),
        api(POST, "/api/v1/events", events::happen),
        api(GET, "/api/v1/events", events::list),
        api(POST, "/api/v1/keys", keys::create),
        api(GET, "/api/v1/keys", keys::list),
        api(POST, "/api/v1/keys/{id}/revoke", keys::revoke),
        open(GET, "/api/openapi.json", openapi::document),
        open(GET, "/api/docs", openapi::page),
        open(GET, "/p/{link}", add_page::page),
        open(HEAD, "/p/{link}", add_page::page),
        open(GET, "/p/{link}/apple.pkpass", add_page::bundle),
        open(HEAD, "/p/{link}/apple.pkpass", add_page::bundle),
        open(GET, "/p/{links}/apple.pkpasses", add_page::several),
        open(GET, "/p/{link}/google", add_page::google),
        open(GET, "/i/{brand}/{template}/{version}/{name:.*}", images::image),
        open(HEAD, "/i/{brand}/{template}/{version}/{name:.*}", images::image),
        open(GET, "/badges/{file}", badges::badge),
        open(GET, "/healthz", health::live),
        open(HEAD, "/healthz", health::live),
        open(HEAD, "/readyz", health::ready),
        open(GET, "/readyz", health::ready),
        open(GET, "/metrics", health::metrics),
    ]
}

/// Puts the table into a server: a resource for each path, 405 for methods it does not take, 404 for the rest.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut doors = doors();
    while let Some(path) = doors.first().map(|door| door.path) {
        let (here, rest): (Vec<_>, Vec<_>) = doors.into_iter().partition(|door| door.path == path);
        doors = rest;
        let allowed = here.iter().map(|door| door.method.as_str()).collect::<Vec<_>>().join(", ");
        let mut resource: Resource = web::resource(path);
        for door in here {
            resource = resource.route((door.route)().guard(guard::Method(door.method)));
        }
        config.service(resource.default_service(web::to(move |request: HttpRequest| {
            let problem = Problem::MethodNotAllowed { method: request.method().to_string(), allowed: allowed.clone() };
            async move { Err::<&str, _>(problem) }
        })));
    }
    config.default_service(web::to(async || Err::<&str, _>(Problem::NoSuchRoute)));
}
