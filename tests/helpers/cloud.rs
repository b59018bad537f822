//! What Google's services have in common as a test has them: a server in a thread of its own, a service account, and the
//! service that gives it access tokens.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Verifier;
use serde_json::{Value, json};
use tempfile::TempDir;

const EMAIL: &str = "wallet@example.iam.gserviceaccount.com";

/// A server with these routes, until it is dropped; it waits for nobody who waits for an answer that never comes.
pub struct Server {
    pub url: String,
    handle: ServerHandle,
}

impl Server {
    pub async fn start(routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Self {
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let serve = async move {
                let server = HttpServer::new(move || App::new().configure(&routes));
                let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
                let address = server.addrs()[0];
                let running = server.run();
                tell.send((address, running.handle())).ok().unwrap();
                running.await.unwrap();
            };
            #[expect(clippy::disallowed_methods, reason = "a server of another process, as it were")]
            actix_web::rt::System::new().block_on(serve);
        });
        let (address, handle) = told.await.unwrap();
        Self { url: format!("http://{address}"), handle }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// The service that gives our account access tokens for one scope.
#[derive(Default)]
pub struct Tokens {
    scope: &'static str,
    good: Mutex<HashSet<String>>,
    minted: AtomicUsize,
}

impl Tokens {
    pub fn new(scope: &'static str) -> Self {
        Self { scope, ..Self::default() }
    }

    pub fn answer(&self, form: &str) -> HttpResponse {
        if !is_ours(form, self.scope) {
            return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant", "error_description": "no" }));
        }
        let token = format!("ya29.{}", self.minted.fetch_add(1, Ordering::SeqCst));
        self.good.lock().unwrap().insert(token.clone());
        HttpResponse::Ok().json(json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }))
    }

    /// Whether a call comes with a token that is good.
    pub fn admit(&self, request: &HttpRequest) -> bool {
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.good.lock().unwrap().contains(bearer.trim_start_matches("Bearer "))
    }

    /// None is good any more.
    pub fn revoke(&self) {
        self.good.lock().unwrap().clear();
    }

    pub fn minted(&self) -> usize {
        self.minted.load(Ordering::SeqCst)
    }
}

fn key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap())
}

/// The claims of a token that our service account signed; `None`: it did not.
pub fn claims(token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    let mut verifier = Verifier::new(MessageDigest::sha256(), key()).unwrap();
    verifier.update(signed.as_bytes()).unwrap();
    if !verifier.verify(&bytes(signature)?).ok()? {
        return None;
    }
    serde_json::from_slice(&bytes(signed.split('.').nth(1)?)?).ok()
}

/// A service account whose tokens are asked for at `url`.
pub fn account_file(folder: &TempDir, url: &str) -> PathBuf {
    let path = folder.path().join("account.json");
    let pem = String::from_utf8(key().private_key_to_pem_pkcs8().unwrap()).unwrap();
    let account = json!({ "type": "service_account", "client_email": EMAIL, "private_key_id": "k1",
        "private_key": pem, "token_uri": format!("{url}/token") });
    std::fs::write(&path, account.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Whether somebody asks for a token of this scope as our service account.
fn is_ours(form: &str, scope: &str) -> bool {
    let form: HashMap<String, String> = serde_urlencoded::from_str(form).unwrap_or_default();
    let claims = form.get("assertion").and_then(|assertion| claims(assertion));
    claims.is_some_and(|claims| {
        claims["iss"] == EMAIL && claims["scope"].as_str().unwrap_or_default().split(' ').any(|known| known == scope)
    })
}

/// Half an answer.
pub fn cut() -> HttpResponse {
    let parts = [Ok(Bytes::from_static(b"{\"id\":")), Err(std::io::Error::other("the connection ends"))];
    HttpResponse::Ok().content_type("application/json").streaming(futures_util::stream::iter(parts))
}

/// A byte every second.
pub fn trickle() -> HttpResponse {
    let bytes = futures_util::stream::iter(b"{\"error\":{\"code\":503}}").then(async |byte| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[*byte]))
    });
    HttpResponse::ServiceUnavailable().content_type("application/json").streaming(Box::pin(bytes))
}
