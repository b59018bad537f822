//! Firebase Cloud Messaging as a test has it: the token service and HTTP v1, a real server that checks every message against
//! Google's own schema, refuses what Firebase refuses, and misbehaves a little unless it is told not to.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, web};
use passarela::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::cloud::{Server, Tokens, account_file, cut, trickle};

pub const PROJECT: &str = "aurora-app";

/// What a message is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Accept,
    /// A row of Firebase's table: status, canonical status, error code (empty: none of Firebase's own).
    Refuse {
        status: u16,
        canonical: &'static str,
        code: &'static str,
        /// The member that is wrong, if the refusal names one.
        field: Option<&'static str>,
        retry_after: Option<&'static str>,
    },
    /// It goes out, and the answer says that it did not.
    AcceptAndFail,
    Hang,
    /// It goes out; the answer ends in the middle, and with it the connection.
    AcceptAndCut,
    /// A refusal of which a byte comes every second.
    Trickle,
    /// What a proxy in front of it says when it is down.
    Html,
}

pub fn refuse(status: u16, canonical: &'static str, code: &'static str) -> Reply {
    Reply::Refuse { status, canonical, code, field: None, retry_after: None }
}

/// A message as it arrived.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The fid, or the token.
    pub to: String,
    pub message: Value,
    pub at: Instant,
    pub reply: Reply,
}

#[derive(Default)]
struct State {
    sent: Mutex<Vec<Sent>>,
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    all: Mutex<Option<Reply>>,
    faults: Mutex<Vec<String>>,
    tokens: Tokens,
    failing: AtomicUsize,
    count: AtomicUsize,
}

pub struct FakeFirebase {
    server: Server,
    state: Arc<State>,
    folder: TempDir,
}

impl FakeFirebase {
    pub async fn start() -> Self {
        let state = Arc::new(State {
            tokens: Tokens::new("https://www.googleapis.com/auth/firebase.messaging"),
            failing: AtomicUsize::new(10),
            ..State::default()
        });
        let served = Data::new(Arc::clone(&state));
        let server = Server::start(move |config| {
            config.app_data(served.clone());
            config.route("/token", web::post().to(token));
            config.route(&format!("/v1/projects/{PROJECT}/messages:send"), web::post().to(send));
            config.default_service(web::to(async || problem(404, "NOT_FOUND", "", None, None)));
        });
        Self { server: server.await, state, folder: TempDir::new().unwrap() }
    }

    /// One that only does what it is told.
    pub async fn calm() -> Self {
        let firebase = Self::start().await;
        firebase.fail(0);
        firebase
    }

    /// How many calls of a hundred go wrong from now on.
    pub fn fail(&self, percent: usize) {
        self.state.failing.store(percent, Ordering::SeqCst);
    }

    pub fn configure(&self, config: &mut Config) {
        config.fcm.project_id = Some(PROJECT.to_owned());
        config.fcm.service_account_file = Some(account_file(&self.folder, &self.server.url));
        config.fcm.url = self.server.url.clone();
    }

    /// The next answers to messages to somebody; then everything is good again.
    pub fn script(&self, to: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state.scripts.lock().unwrap().entry(to.to_owned()).or_default().extend(replies);
    }

    pub fn answer_all(&self, reply: Option<Reply>) {
        *self.state.all.lock().unwrap() = reply;
    }

    /// No access token is good any more.
    pub fn revoke_tokens(&self) {
        self.state.tokens.revoke();
    }

    pub fn minted(&self) -> usize {
        self.state.tokens.minted()
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.state.sent.lock().unwrap().clone()
    }

    /// Messages that somebody got, each id once, as a phone shows them.
    pub fn shown(&self, to: &str) -> Vec<Value> {
        let mut ids = BTreeSet::new();
        let got = self.sent().into_iter().filter(|sent| sent.to == to);
        let got = got.filter(|sent| matches!(sent.reply, Reply::Accept | Reply::AcceptAndFail | Reply::AcceptAndCut));
        got.map(|sent| sent.message)
            .filter(|message| ids.insert(message["android"]["collapseKey"].to_string()))
            .collect()
    }

    /// Every refusal that was given so far: `404 UNREGISTERED`.
    pub fn refusals(&self) -> BTreeSet<String> {
        let refusals = self.sent().into_iter().filter_map(|sent| match sent.reply {
            Reply::Refuse { status, code, field, .. } => {
                Some(format!("{status} {code} {}", field.unwrap_or_default()).trim().to_owned())
            }
            _ => None,
        });
        refusals.collect()
    }

    /// What was wrong with the messages that were sent.
    pub fn faults(&self) -> Vec<String> {
        self.state.faults.lock().unwrap().clone()
    }
}

async fn token(state: Data<Arc<State>>, form: String) -> HttpResponse {
    state.tokens.answer(&form)
}

fn problem(status: u16, canonical: &str, code: &str, field: Option<&str>, retry_after: Option<&str>) -> HttpResponse {
    let mut details = Vec::new();
    if let Some(field) = field {
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": field, "description": "wrong" }] }));
    }
    if !code.is_empty() {
        details.push(json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }));
    }
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    if let Some(after) = retry_after {
        response.insert_header(("retry-after", after));
    }
    // Members that nobody has heard of are no reason to stumble.
    let error = json!({ "code": status, "message": "it is so", "status": canonical, "details": details, "more": [1] });
    response.json(json!({ "error": error }))
}

async fn send(state: Data<Arc<State>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = body["message"].clone();
    let to = message["fid"].as_str().or(message["token"].as_str()).unwrap_or_default().to_owned();
    let reply = judge(&state, &request, &to, &body);
    state.sent.lock().unwrap().push(Sent { to, message, at: Instant::now(), reply: reply.clone() });
    match reply {
        Reply::Accept => HttpResponse::Ok().json(json!({ "name": format!("projects/{PROJECT}/messages/1") })),
        Reply::AcceptAndFail => problem(500, "INTERNAL", "INTERNAL", None, None),
        Reply::Refuse { status, canonical, code, field, retry_after } => {
            problem(status, canonical, code, field, retry_after)
        }
        Reply::Hang => std::future::pending().await,
        Reply::AcceptAndCut => cut(),
        Reply::Trickle => trickle(),
        Reply::Html => HttpResponse::BadGateway().content_type("text/html").body("<html>sorry</html>"),
    }
}

/// What Firebase would say.
fn judge(state: &State, request: &HttpRequest, to: &str, body: &Value) -> Reply {
    if !state.tokens.admit(request) {
        return refuse(401, "UNAUTHENTICATED", "");
    }
    let mut faults = crate::schema::message_faults(body);
    let message = &body["message"];
    if message["fid"].is_string() == message["token"].is_string() {
        faults.push("not one target".to_owned());
    }
    let reserved = |name: &String| {
        name == "from" || name == "message_type" || name.starts_with("google.") || name.starts_with("gcm")
    };
    if message["data"].as_object().is_some_and(|data| data.keys().any(reserved)) {
        faults.push(format!("reserved words in {}", message["data"]));
    }
    if body.to_string().len() > 4_096 {
        faults.push(format!("{} bytes", body.to_string().len()));
    }
    if !faults.is_empty() {
        state.faults.lock().unwrap().extend(faults);
        return Reply::Refuse {
            status: 400,
            canonical: "INVALID_ARGUMENT",
            code: "INVALID_ARGUMENT",
            field: Some("message.data"),
            retry_after: None,
        };
    }
    if let Some(reply) = state.scripts.lock().unwrap().get_mut(to).and_then(VecDeque::pop_front) {
        return reply;
    }
    if let Some(reply) = state.all.lock().unwrap().clone() {
        return reply;
    }
    let count = state.count.fetch_add(1, Ordering::SeqCst);
    let failing = state.failing.load(Ordering::SeqCst);
    if count * 37 % 100 >= failing {
        return Reply::Accept;
    }
    let retry =
        |status, canonical, code| Reply::Refuse { status, canonical, code, field: None, retry_after: Some("1") };
    match count * failing / 100 % 12 {
        0 | 1 => retry(503, "UNAVAILABLE", "UNAVAILABLE"),
        2 | 3 => refuse(500, "INTERNAL", "INTERNAL"),
        4 => retry(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        5 => refuse(500, "UNKNOWN", "UNSPECIFIED_ERROR"),
        6 | 7 => Reply::AcceptAndFail,
        8 => Reply::Hang,
        9 => Reply::AcceptAndCut,
        10 => Reply::Trickle,
        _ => Reply::Html,
    }
}
