//! Apple's push service as a test has it: a real server that speaks HTTP/2 over TLS, wants a credential, refuses what Apple
//! refuses, and misbehaves a little unless it is told not to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use h2::server::SendResponse;
use openssl::nid::Nid;
use openssl::x509::X509;
use passarela::config::Config;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// What the next call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Accept,
    Refuse {
        status: u16,
        reason: &'static str,
        retry_after: Option<&'static str>,
        timestamp: Option<i64>,
    },
    /// The push goes out, and the answer says that it did not.
    AcceptAndFail,
    /// No answer, ever.
    Hang,
    /// A refusal of which a byte comes every second.
    Trickle,
    /// The push goes out, and the answer comes when others have been answered.
    Late,
    /// The connection ends, without a word and with everything on it.
    Close,
    /// The stream ends with an error; it was looked at.
    Reset,
    /// The stream was not looked at.
    RefuseStream,
    /// The connection is to be left.
    GoAway,
}

pub fn refuse(status: u16, reason: &'static str) -> Reply {
    Reply::Refuse { status, reason, retry_after: None, timestamp: None }
}

/// What the brand's own app was sent: headers and payload.
#[derive(Debug, Clone)]
pub struct Message {
    pub headers: http::HeaderMap,
    pub payload: Value,
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Push {
    pub token: String,
    pub topic: String,
    pub at: Instant,
    pub reply: Reply,
}

#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    /// What every token is answered that has no script.
    all: Mutex<Option<Reply>>,
    calls: Mutex<Vec<Push>>,
    messages: Mutex<Vec<Message>>,
    /// Provider tokens that were seen.
    bearers: Mutex<BTreeSet<String>>,
    /// Calls of a hundred that go wrong by themselves.
    failing: AtomicUsize,
    count: AtomicUsize,
    /// Who hears of every push that goes out, by its token.
    phones: Mutex<Option<UnboundedSender<String>>>,
    connections: AtomicUsize,
}

pub struct FakeApple {
    pub url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

/// A root and a server certificate for 127.0.0.1, made once for the whole run.
struct Identity {
    folder: TempDir,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let mut root =
            vec!["req", "-x509", "-days", "30", "-subj", "/CN=Test root", "-addext", "keyUsage=critical,keyCertSign"];
        let (ca, ca_key, leaf, key) = (path("ca.pem"), path("ca.key"), path("leaf.pem"), path("leaf.key"));
        root.extend(curve);
        root.extend(["-out", &ca, "-keyout", &ca_key]);
        openssl(&root);
        let mut server = vec!["req", "-x509", "-days", "30", "-subj", "/CN=127.0.0.1", "-CA", &ca, "-CAkey", &ca_key];
        server.extend(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
        server.extend(curve);
        server.extend(["-out", &leaf, "-keyout", &key]);
        openssl(&server);
        let certificate = X509::from_pem(&std::fs::read(&leaf).unwrap()).unwrap().to_der().unwrap();
        let key = openssl::pkey::PKey::private_key_from_pem(&std::fs::read(&key).unwrap()).unwrap();
        Identity { certificate, key: key.private_key_to_pkcs8().unwrap(), folder }
    })
}

impl FakeApple {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let state = Arc::new(State { failing: AtomicUsize::new(10), ..State::default() });
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls()));
        let served = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&served), tls.clone(), socket));
            }
        });
        Self { url, state, task }
    }

    /// One that only does what it is told.
    pub async fn calm() -> Self {
        let apple = Self::start().await;
        apple.fail(0);
        apple
    }

    /// How many calls of a hundred go wrong from now on.
    pub fn fail(&self, percent: usize) {
        self.state.failing.store(percent, Ordering::SeqCst);
    }

    /// The pushes that go out from now on, by their tokens.
    pub fn listen(&self) -> UnboundedReceiver<String> {
        let (phones, pushes) = unbounded_channel();
        *self.state.phones.lock().unwrap() = Some(phones);
        pushes
    }

    pub fn root_file() -> PathBuf {
        identity().folder.path().join("ca.pem")
    }

    pub fn configure(&self, config: &mut Config) {
        config.apple.apns_url = self.url.clone();
        config.apple.apns_ca_file = Some(Self::root_file());
    }

    /// The next answers to a push token; then everything is good again.
    pub fn script(&self, token: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state.scripts.lock().unwrap().entry(token.to_owned()).or_default().extend(replies);
    }

    /// What everybody is answered from now on; `None`: what they deserve.
    pub fn answer_all(&self, reply: Option<Reply>) {
        *self.state.all.lock().unwrap() = reply;
    }

    pub fn calls(&self) -> Vec<Push> {
        self.state.calls.lock().unwrap().clone()
    }

    pub fn messages(&self) -> Vec<Message> {
        self.state.messages.lock().unwrap().clone()
    }

    /// Pushes that went out, by token.
    pub fn accepted(&self) -> BTreeMap<String, usize> {
        let mut accepted = BTreeMap::new();
        for call in self.state.calls.lock().unwrap().iter() {
            if matches!(call.reply, Reply::Accept | Reply::AcceptAndFail | Reply::Late) {
                *accepted.entry(call.token.clone()).or_default() += 1;
            }
        }
        accepted
    }

    /// Every refusal that was given so far: `400 BadDeviceToken`.
    pub fn refusals(&self) -> BTreeSet<String> {
        let calls = self.state.calls.lock().unwrap();
        let refusals = calls.iter().filter_map(|call| match call.reply {
            Reply::Refuse { status, reason, .. } => Some(format!("{status} {reason}")),
            _ => None,
        });
        refusals.collect()
    }

    pub fn bearers(&self) -> BTreeSet<String> {
        self.state.bearers.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FakeApple {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes whatever certificate a client has: who it is for is looked at with the topic.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn tls() -> rustls::ServerConfig {
    let identity = identity();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody(provider)))
        .with_single_cert(
            vec![CertificateDer::from(identity.certificate.clone())],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone())),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn serve(state: Arc<State>, tls: tokio_rustls::TlsAcceptor, socket: TcpStream) {
    let Ok(stream) = tls.accept(socket).await else { return };
    state.connections.fetch_add(1, Ordering::SeqCst);
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    // The topics that a pass type's certificate may push to: its own.
    let uid = certificate.and_then(|der| {
        let certificate = X509::from_der(der).unwrap();
        let entry = certificate.subject_name().entries_by_nid(Nid::USERID).next()?;
        Some(entry.data().to_string().unwrap())
    });
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1_000);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let token = request.uri().path().strip_prefix("/3/device/").unwrap_or_default().to_owned();
        let reply = judge(&state, &request, &token, uid.as_deref());
        let topic = header(&request, "apns-topic").to_owned();
        let push = Push { token, topic, at: Instant::now(), reply: reply.clone() };
        if let (Reply::Accept | Reply::AcceptAndFail | Reply::Late, Some(phones)) =
            (&reply, &*state.phones.lock().unwrap())
        {
            drop(phones.send(push.token.clone()));
        }
        state.calls.lock().unwrap().push(push);
        if reply == Reply::GoAway {
            // What was begun is answered; this one was not looked at.
            drop(respond);
            connection.graceful_shutdown();
            continue;
        }
        if reply == Reply::Close {
            return;
        }
        tokio::spawn(answer(Arc::clone(&state), request, respond, reply));
    }
}

fn header<'a, B>(request: &'a http::Request<B>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What Apple would say.
fn judge<B>(state: &State, request: &http::Request<B>, token: &str, uid: Option<&str>) -> Reply {
    if request.method() != http::Method::POST {
        return refuse(405, "MethodNotAllowed");
    }
    if token.is_empty() {
        return refuse(404, "BadPath");
    }
    let topic = header(request, "apns-topic");
    match (header(request, "authorization").strip_prefix("bearer "), uid) {
        (None, None) => return refuse(403, "MissingProviderToken"),
        (None, Some(uid)) if uid != topic => return refuse(400, "TopicDisallowed"),
        (Some(bearer), _) => {
            state.bearers.lock().unwrap().insert(bearer.to_owned());
            let claims = bearer.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if claims.is_none_or(|claims| !claims["iat"].is_i64() || !claims["iss"].is_string()) {
                return refuse(403, "InvalidProviderToken");
            }
        }
        _ => {}
    }
    if let Some(reply) = state.scripts.lock().unwrap().get_mut(token).and_then(VecDeque::pop_front) {
        return reply;
    }
    if let Some(reply) = state.all.lock().unwrap().clone() {
        return reply;
    }
    // Some calls of a hundred go wrong, in turn in every way that a service is allowed to.
    let count = state.count.fetch_add(1, Ordering::SeqCst);
    let failing = state.failing.load(Ordering::SeqCst);
    if count * 37 % 100 >= failing {
        return Reply::Accept;
    }
    let retry = |status, reason| Reply::Refuse { status, reason, retry_after: Some("1"), timestamp: None };
    match count * failing / 100 % 31 {
        0..=4 => refuse(500, "InternalServerError"),
        5..=8 => retry(503, "ServiceUnavailable"),
        9..=12 => retry(429, "TooManyRequests"),
        13..=16 => Reply::Reset,
        17..=20 => Reply::RefuseStream,
        21..=23 => refuse(503, "SomethingNew"),
        24 => Reply::Hang,
        25 => Reply::Trickle,
        26 => Reply::Late,
        27 | 28 => Reply::AcceptAndFail,
        29 => Reply::Close,
        _ => Reply::GoAway,
    }
}

/// What is wrong with a message to an app.
fn check(headers: &http::HeaderMap, body: &[u8]) -> Result<Message, Reply> {
    let payload: Value = serde_json::from_slice(body).map_err(|_| refuse(400, "PayloadEmpty"))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let aps = &payload["aps"];
    let is_plain = ["alert", "badge", "sound"].iter().all(|name| aps[*name].is_null());
    match (header("apns-push-type").as_str(), header("apns-priority").as_str()) {
        _ if body.len() > 4_096 => Err(refuse(413, "PayloadTooLarge")),
        _ if header("apns-collapse-id").len() > 64 => Err(refuse(400, "BadCollapseId")),
        ("alert", "5" | "10") if aps["alert"].is_object() => Ok(Message { headers: headers.clone(), payload }),
        ("background", "5") if is_plain && aps["content-available"] == 1 => {
            Ok(Message { headers: headers.clone(), payload })
        }
        ("alert" | "background", _) => Err(refuse(400, "BadPriority")),
        _ => Err(refuse(400, "InvalidPushType")),
    }
}

async fn answer(
    state: Arc<State>,
    mut request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    reply: Reply,
) {
    let mut body = Vec::new();
    while let Some(Ok(part)) = request.body_mut().data().await {
        drop(request.body_mut().flow_control().release_capacity(part.len()));
        body.extend(part);
    }
    let reply = if header(&request, "apns-topic").starts_with("pass.") {
        if body == b"{}" { reply } else { refuse(400, "PayloadEmpty") }
    } else {
        match check(request.headers(), &body) {
            Ok(message) => {
                state.messages.lock().unwrap().push(message);
                reply
            }
            Err(refusal) => refusal,
        }
    };
    let response = |status: u16| http::Response::builder().status(status).header("apns-id", "0");
    match reply {
        Reply::Accept => drop(respond.send_response(response(200).body(()).unwrap(), true)),
        Reply::Late => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(respond.send_response(response(200).body(()).unwrap(), true));
        }
        Reply::AcceptAndFail => {
            send(&mut respond, response(500).body(()).unwrap(), &json!({ "reason": "InternalServerError" }))
        }
        Reply::Refuse { status, reason, retry_after, timestamp } => {
            let mut response = response(status);
            if let Some(after) = retry_after {
                response = response.header("retry-after", after);
            }
            // Members that nobody has heard of are no reason to stumble.
            let mut body = json!({ "reason": reason, "more": { "of": [1, 2] } });
            if let Some(timestamp) = timestamp {
                body["timestamp"] = timestamp.into();
            }
            send(&mut respond, response.body(()).unwrap(), &body);
        }
        Reply::Hang => std::future::pending().await,
        Reply::Trickle => {
            let Ok(mut stream) = respond.send_response(response(503).body(()).unwrap(), false) else { return };
            for byte in b"{\"reason\":\"ServiceUnavailable\"}" {
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(stream.send_data(Bytes::copy_from_slice(&[*byte]), false));
            }
            drop(stream.send_data(Bytes::new(), true));
        }
        Reply::Reset => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Reply::RefuseStream => respond.send_reset(h2::Reason::REFUSED_STREAM),
        Reply::GoAway | Reply::Close => {}
    }
}

fn send(respond: &mut SendResponse<Bytes>, response: http::Response<()>, body: &Value) {
    if let Ok(mut stream) = respond.send_response(response, false) {
        drop(stream.send_data(Bytes::from(body.to_string()), true));
    }
}
