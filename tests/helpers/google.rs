//! Google as a test has it: the token service and Wallet's REST API, a real server that holds what it is sent, refuses what
//! Google refuses, checks every body against Google's own schemas, and misbehaves a little unless it is told not to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, web};
use passarela::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::cloud::{Server, Tokens, account_file, cut, trickle};

pub const ISSUER: &str = "3388000000000000000";

/// What the next call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Obey,
    Refuse {
        status: u16,
        reason: &'static str,
        retry_after: Option<&'static str>,
    },
    /// It is done, and the answer says that it is not.
    ObeyAndFail,
    Hang,
    /// It is done; the answer ends in the middle, and with it the connection.
    ObeyAndCut,
    /// A refusal of which a byte comes every second.
    Trickle,
    /// What a proxy in front of Google says when it is down.
    Html,
}

pub fn refuse(status: u16, reason: &'static str) -> Reply {
    Reply::Refuse { status, reason, retry_after: None }
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub resource: String,
    pub id: String,
    pub body: Value,
    pub at: Instant,
    pub reply: Reply,
}

#[derive(Default)]
struct State {
    held: Mutex<BTreeMap<(String, String), Value>>,
    calls: Mutex<Vec<Call>>,
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    all: Mutex<Option<Reply>>,
    faults: Mutex<Vec<String>>,
    refusals: Mutex<BTreeSet<String>>,
    saved: Mutex<HashSet<String>>,
    tokens: Tokens,
    failing: AtomicUsize,
    count: AtomicUsize,
}

pub struct FakeGoogle {
    server: Server,
    state: Arc<State>,
    folder: TempDir,
}

impl FakeGoogle {
    pub async fn start() -> Self {
        let state = Arc::new(State {
            tokens: Tokens::new("https://www.googleapis.com/auth/wallet_object.issuer"),
            failing: AtomicUsize::new(10),
            ..State::default()
        });
        let served = Data::new(Arc::clone(&state));
        let server = Server::start(move |config| {
            config.app_data(served.clone());
            config.route("/token", web::post().to(token));
            config.route("/walletobjects/v1/{resource}", web::post().to(insert));
            config.route("/walletobjects/v1/{resource}", web::get().to(list));
            config.route("/walletobjects/v1/{resource}/{id}", web::patch().to(patch));
        });
        Self { server: server.await, state, folder: TempDir::new().unwrap() }
    }

    /// One that only does what it is told.
    pub async fn calm() -> Self {
        let google = Self::start().await;
        google.fail(0);
        google
    }

    pub fn fail(&self, percent: usize) {
        self.state.failing.store(percent, Ordering::SeqCst);
    }

    pub fn configure(&self, config: &mut Config) {
        config.google.issuer_id = Some(ISSUER.to_owned());
        config.google.service_account_file = Some(account_file(&self.folder, &self.server.url));
        config.google.wallet_url = self.server.url.clone();
    }

    /// The next answers to calls about an id; then everything is good again.
    pub fn script(&self, id: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state.scripts.lock().unwrap().entry(id.to_owned()).or_default().extend(replies);
    }

    pub fn answer_all(&self, reply: Option<Reply>) {
        *self.state.all.lock().unwrap() = reply;
    }

    /// Somebody saves an object.
    pub fn save(&self, id: &str) {
        self.state.saved.lock().unwrap().insert(id.to_owned());
    }

    /// Forgets something, as no Google does.
    pub fn forget(&self, resource: &str, id: &str) {
        self.state.held.lock().unwrap().remove(&(resource.to_owned(), id.to_owned()));
    }

    /// Somebody else changes something, or makes it.
    pub fn change(&self, resource: &str, id: &str, change: &Value) {
        let mut held = self.state.held.lock().unwrap();
        let place = held.entry((resource.to_owned(), id.to_owned())).or_insert_with(|| json!({ "id": id }));
        merge(place, change);
    }

    /// No access token is good any more.
    pub fn revoke_tokens(&self) {
        self.state.tokens.revoke();
    }

    pub fn minted(&self) -> usize {
        self.state.tokens.minted()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// Everything of a resource, by id.
    pub fn held(&self, resource: &str) -> BTreeMap<String, Value> {
        let held = self.state.held.lock().unwrap();
        held.iter().filter(|((of, _), _)| of == resource).map(|((_, id), body)| (id.clone(), body.clone())).collect()
    }

    /// Every refusal that was given so far: `403 quotaExceeded`.
    pub fn refusals(&self) -> BTreeSet<String> {
        self.state.refusals.lock().unwrap().clone()
    }

    /// What was wrong with the bodies that were sent.
    pub fn faults(&self) -> Vec<String> {
        self.state.faults.lock().unwrap().clone()
    }
}

async fn token(state: Data<Arc<State>>, form: String) -> HttpResponse {
    state.tokens.answer(&form)
}

fn problem(status: u16, reason: &str, retry_after: Option<&str>) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    let mut response = HttpResponse::build(status);
    if let Some(after) = retry_after {
        response.insert_header(("retry-after", after));
    }
    response.json(json!({ "error": { "code": status.as_u16(), "message": format!("{reason} it is"), "new": {},
        "errors": [{ "message": reason, "domain": "walletobjects", "reason": reason }] } }))
}

/// Who may call, and what the call is answered; what is to be obeyed is `None`.
fn judge(state: &State, request: &HttpRequest, resource: &str, id: &str, body: &Value) -> Reply {
    let reply = if !state.tokens.admit(request) {
        refuse(401, "authError")
    } else if let Some(reply) = state.scripts.lock().unwrap().get_mut(id).and_then(VecDeque::pop_front) {
        reply
    } else if let Some(reply) = state.all.lock().unwrap().clone() {
        reply
    } else if id.split('.').next() != Some(ISSUER) {
        refuse(403, "permissionDenied")
    } else {
        let count = state.count.fetch_add(1, Ordering::SeqCst);
        let failing = state.failing.load(Ordering::SeqCst);
        let retry = |status, reason| Reply::Refuse { status, reason, retry_after: Some("1") };
        if count * 37 % 100 >= failing {
            Reply::Obey
        } else {
            match count * failing / 100 % 14 {
                0 | 1 => refuse(500, "backendError"),
                2 => retry(503, "unavailable"),
                3 => retry(429, "rateLimitExceeded"),
                4 => retry(403, "quotaExceeded"),
                5 | 6 => Reply::ObeyAndFail,
                7 => Reply::Html,
                8 => Reply::Hang,
                9 => Reply::ObeyAndCut,
                10 => Reply::Trickle,
                _ => refuse(502, "somethingNew"),
            }
        }
    };
    let method = request.method().to_string();
    let (resource, id, body) = (resource.to_owned(), id.to_owned(), body.clone());
    let call = Call { method, resource, id, body, at: Instant::now(), reply: reply.clone() };
    state.calls.lock().unwrap().push(call);
    reply
}

/// What is wrong with a body.
fn check(state: &State, resource: &str, body: &Value) -> bool {
    let mut name = resource.to_owned();
    name[..1].make_ascii_uppercase();
    let mut faults = crate::schema::faults(&name, body);
    let is_class = resource.ends_with("Class");
    if is_class && resource != "genericClass" && body["reviewStatus"] != "UNDER_REVIEW" {
        faults.push(format!("{resource}: reviewStatus is {}", body["reviewStatus"]));
    }
    let is_good = faults.is_empty();
    state.faults.lock().unwrap().extend(faults);
    is_good
}

async fn finish(state: &State, reply: Reply, done: Result<Value, (u16, &'static str)>) -> HttpResponse {
    let refusal = match (&reply, &done) {
        (Reply::Refuse { status, reason, .. }, _) | (Reply::Obey, Err((status, reason))) => Some((status, reason)),
        _ => None,
    };
    state.refusals.lock().unwrap().extend(refusal.map(|(status, reason)| format!("{status} {reason}")));
    match (reply, done) {
        (Reply::ObeyAndCut, _) => cut(),
        (Reply::Trickle, _) => trickle(),
        (Reply::Hang, _) => std::future::pending().await,
        (Reply::Html, _) => HttpResponse::BadGateway().content_type("text/html").body("<html>sorry</html>"),
        (Reply::Refuse { status, reason, retry_after }, _) => problem(status, reason, retry_after),
        (Reply::ObeyAndFail, _) => problem(500, "backendError", None),
        (Reply::Obey, Ok(body)) => HttpResponse::Ok().json(body),
        (Reply::Obey, Err((status, reason))) => problem(status, reason, None),
    }
}

const fn is_obeyed(reply: &Reply) -> bool {
    matches!(reply, Reply::Obey | Reply::ObeyAndFail | Reply::ObeyAndCut)
}

async fn insert(state: Data<Arc<State>>, request: HttpRequest, path: Path<String>, body: Bytes) -> HttpResponse {
    let resource = path.into_inner();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let reply = judge(&state, &request, &resource, &id, &body);
    let done = if is_obeyed(&reply) { add(&state, &resource, &id, body) } else { Ok(Value::Null) };
    finish(&state, reply, done).await
}

fn add(state: &State, resource: &str, id: &str, body: Value) -> Result<Value, (u16, &'static str)> {
    if !check(state, resource, &body) {
        return Err((400, "invalid"));
    }
    let mut held = state.held.lock().unwrap();
    if let Some(kind) = resource.strip_suffix("Object") {
        let class = (format!("{kind}Class"), body["classId"].as_str().unwrap_or_default().to_owned());
        if !held.contains_key(&class) {
            return Err((404, "classNotFound"));
        }
    }
    let place = (resource.to_owned(), id.to_owned());
    if held.contains_key(&place) {
        return Err((409, "alreadyExists"));
    }
    held.insert(place, without_nulls(body.clone()));
    Ok(shown(state, id, body))
}

async fn patch(
    state: Data<Arc<State>>,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Bytes,
) -> HttpResponse {
    let (resource, id) = path.into_inner();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = judge(&state, &request, &resource, &id, &body);
    let done = if is_obeyed(&reply) { change(&state, &resource, &id, &body) } else { Ok(Value::Null) };
    finish(&state, reply, done).await
}

fn change(state: &State, resource: &str, id: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
    if !check(state, resource, body) {
        return Err((400, "invalid"));
    }
    let mut held = state.held.lock().unwrap();
    let place = held.get_mut(&(resource.to_owned(), id.to_owned())).ok_or((404, "notFound"))?;
    merge(place, body);
    // Asked for with each change, and never kept.
    place.as_object_mut().unwrap().remove("notifyPreference");
    Ok(shown(state, id, place.clone()))
}

/// Members that are left out stay, null removes, lists are replaced.
fn merge(held: &mut Value, patch: &Value) {
    let (Value::Object(held), Value::Object(patch)) = (&mut *held, patch) else {
        *held = patch.clone();
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => drop(held.remove(name)),
            Value::Object(_) => merge(held.entry(name).or_insert_with(|| json!({})), value),
            _ => drop(held.insert(name.clone(), value.clone())),
        }
    }
}

pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

fn shown(state: &State, id: &str, mut body: Value) -> Value {
    body["hasUsers"] = state.saved.lock().unwrap().contains(id).into();
    body["kind"] = json!("walletobjects#something");
    body
}

async fn list(state: Data<Arc<State>>, request: HttpRequest, path: Path<String>) -> HttpResponse {
    let resource = path.into_inner();
    let query: HashMap<String, String> = serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
    let Some(class) = query.get("classId") else { return problem(400, "required", None) };
    let first: usize = query.get("token").and_then(|token| token.parse().ok()).unwrap_or(0);
    let size: usize = query.get("maxResults").and_then(|size| size.parse().ok()).unwrap_or(usize::MAX);
    let held = state.held.lock().unwrap();
    let all = held.iter().filter(|((of, _), body)| *of == resource && body["classId"] == class.as_str());
    let page: Vec<Value> =
        all.clone().skip(first).take(size).map(|((_, id), body)| shown(&state, id, body.clone())).collect();
    let more = all.count() > first + page.len();
    let next = more.then(|| (first + page.len()).to_string());
    HttpResponse::Ok()
        .json(json!({ "resources": page, "pagination": { "resultsPerPage": page.len(), "nextPageToken": next } }))
}
