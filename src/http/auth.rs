//! Who may come in: the key of a request, and the roles a route is for.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::service::app_devices::{self, Holder};
use crate::service::keys::{self, Caller};
use crate::service::{App, Problem};

/// Roles as types, so that a handler says in its signature whom it serves.
pub mod role {
    pub struct Admin;
    pub struct Issuer;
    pub struct Reader;
    pub struct Marketing;
    /// A till.
    pub struct Pos;
    /// The server of the brand's own app.
    pub struct App;
}

/// One or several role types.
pub trait Roles: 'static {
    const ROLES: &'static [Role];
}

macro_rules! roles {
    ($($types:ty => [$($role:ident),+];)+) => {
        $(impl Roles for $types { const ROLES: &'static [Role] = &[$(Role::$role),+]; })+
    };
}

use role::{Admin, Issuer, Marketing, Pos, Reader};
roles! {
    (Admin,) => [Admin];
    (Issuer, Admin) => [Issuer, Admin];
    (Pos, Admin) => [Pos, Admin];
    (Pos, Issuer, Admin) => [Pos, Issuer, Admin];
    (Reader, Issuer, Marketing, Pos, Admin) => [Reader, Issuer, Marketing, Pos, Admin];
    (Marketing, Admin) => [Marketing, Admin];
    (role::App, Admin) => [App, Admin];
    (Reader, Issuer, role::App, Admin) => [Reader, Issuer, App, Admin];
    (Reader, Issuer, Admin) => [Reader, Issuer, Admin];
    (Reader, Marketing, Admin) => [Reader, Marketing, Admin];
    (Reader, Issuer, Marketing, Admin) => [Reader, Issuer, Marketing, Admin];
}

/// The caller, when their role is among `R`. Every handler of the API has one as its first argument.
pub struct Allow<R> {
    pub caller: Caller,
    roles: PhantomData<R>,
}

/// Lets a request in whose key has one of the roles; its caller is then known to [`Allow`].
pub async fn admit<R: Roles>(request: &HttpRequest) -> Result<(), Problem> {
    let app = app(request)?;
    let key = bearer(request).ok_or(Problem::KeyMissing)?;
    let caller = match app.run(async move |app| keys::authenticate(&app, &key).await).await {
        Err(Problem::KeyUnknown) => return Err(Failures::count(request, Problem::KeyUnknown)),
        outcome => outcome?,
    };
    if !R::ROLES.contains(&caller.key.role) {
        return Err(Problem::RoleForbidden { role: caller.key.role.as_str() });
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

impl<R: Roles> FromRequest for Allow<R> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions_mut().remove::<Caller>();
        let caller = caller.ok_or_else(|| Problem::internal("a route of the API that admits without asking"));
        ready(caller.map(|caller| Self { caller, roles: PhantomData }))
    }
}

/// A customer's phone. Every handler that serves phones of the brand's own app has one as its first argument.
pub struct Phone {
    pub holder: Holder,
}

/// Lets a request in that has a customer's token; its holder is then known to [`Phone`].
pub async fn admit_phone(request: &HttpRequest) -> Result<(), Problem> {
    let app = app(request)?;
    let token = bearer(request).ok_or(Problem::KeyMissing)?;
    let holder = match app.run(async move |app| app_devices::authenticate(&app, &token).await).await {
        Err(Problem::KeyUnknown) => return Err(Failures::count(request, Problem::KeyUnknown)),
        outcome => outcome?,
    };
    request.extensions_mut().insert(holder);
    Ok(())
}

impl FromRequest for Phone {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let holder = request.extensions_mut().remove::<Holder>();
        let holder = holder.ok_or_else(|| Problem::internal("a route for phones that admits without asking"));
        ready(holder.map(|holder| Self { holder }))
    }
}

fn bearer(request: &HttpRequest) -> Option<Secret<String>> {
    let (scheme, key) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim().to_owned()))
}

pub fn app(request: &HttpRequest) -> Result<web::Data<App>, Problem> {
    request.app_data::<web::Data<App>>().cloned().ok_or_else(|| Problem::internal("no App behind this route"))
}

/// Messages that one address may leave in a minute before more are dropped.
const LOGS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("30 is not zero");

/// How much of the web service's log one address may fill.
pub struct LogBudget(Addresses);

impl LogBudget {
    pub fn new(trusted_proxies: &[IpAddr]) -> Self {
        Self(Addresses::new(LOGS_PER_MINUTE, trusted_proxies))
    }

    pub fn allows(&self, request: &HttpRequest) -> bool {
        self.0.count(request).is_ok()
    }
}

/// Failed attempts per address. Only failures count, and only failures are refused: a valid token always passes.
pub struct Failures(Addresses);

/// Failures that one address may have in a minute before the answer is 429.
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).expect("120 is not zero");

impl Failures {
    pub fn new(trusted_proxies: &[IpAddr]) -> Self {
        Self(Addresses::new(FAILURES_PER_MINUTE, trusted_proxies))
    }

    /// Counts a failure of the request's address; the problem to answer: `problem`, or 429.
    pub fn count(request: &HttpRequest, problem: Problem) -> Problem {
        let Some(Self(addresses)) = request.app_data::<web::Data<Self>>().map(|data| data.get_ref()) else {
            return problem;
        };
        match addresses.count(request) {
            Ok(()) => problem,
            Err(retry_after_secs) => Problem::Throttled { retry_after_secs },
        }
    }
}

/// A budget for each client address; an IPv6 client has its whole /64.
struct Addresses {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    counted: AtomicUsize,
    trusted_proxies: Vec<IpAddr>,
}

/// Addresses that recovered are forgotten every so many counts.
const FORGET_EVERY: usize = 10_000;

impl Addresses {
    fn new(per_minute: NonZeroU32, trusted_proxies: &[IpAddr]) -> Self {
        Self {
            limiter: DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute)),
            counted: AtomicUsize::new(0),
            trusted_proxies: trusted_proxies.to_vec(),
        }
    }

    /// Takes one from the budget of the request's address; when it is used up, the seconds to wait.
    fn count(&self, request: &HttpRequest) -> Result<(), u64> {
        let Some(address) = self.client(request) else { return Ok(()) };
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network(address)).map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            wait.as_secs().saturating_add(1)
        })
    }

    /// The client's address; the last entry of the last `X-Forwarded-For` counts, and only when a listed proxy wrote it.
    fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        if !self.trusted_proxies.contains(&peer) {
            return Some(peer);
        }
        let forwarded = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
        let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|address| address.trim().parse().ok());
        Some(last.unwrap_or(peer))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}
