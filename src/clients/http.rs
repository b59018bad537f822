//! The one factory of HTTP clients: TLS, roots, limits of time and size.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Response};

use crate::domain::delivery::{Answer, Outcome, retry_after};

/// Of connecting (TCP and TLS), and of an idle connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read; the rest is somebody's mistake.
pub const ANSWER_MAX: usize = 64 * 1024;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BadClient {
    #[error("{}: {source}", path.display())]
    Root { path: std::path::PathBuf, source: std::io::Error },
    #[error("{}: holds no certificate in PEM", path.display())]
    NoRoot { path: std::path::PathBuf },
    #[error("{0}")]
    Tls(#[from] reqwest::Error),
}

/// A client for a service that the operator's settings name: no redirects, no proxies from the environment, no referers.
/// `root` is trusted beside the system's own roots; `timeout` is that of a whole call.
pub fn builder(root: Option<&Path>, timeout: Duration) -> Result<ClientBuilder, BadClient> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .user_agent(concat!("passarela/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = root {
        let pem = std::fs::read(path).map_err(|source| BadClient::Root { path: path.to_owned(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem)?;
        if certificates.is_empty() {
            return Err(BadClient::NoRoot { path: path.to_owned() });
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

/// The body of an answer, up to so many bytes.
pub async fn read_answer(mut response: Response, max: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        let room = max - body.len();
        body.extend(part.iter().take(room));
        if part.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// How long an answer asks us to wait.
pub fn wait_of(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok().and_then(|text| retry_after(text, now))
}

/// A call that was not answered.
pub fn unanswered(error: &reqwest::Error) -> Answer {
    // A connection that was never made, or a stream that the other side says it did not look at, was no attempt. (RFC
    // 9113, 6.8 and 8.7; reqwest has then tried twice more by itself.)
    let mut words = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    let is_unseen = error.is_connect() || words.iter().any(|words| words.contains("refused stream"));
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let cause = words.last().map(|cause| format!(": {cause}")).unwrap_or_default();
    let text: String = format!("{what}{cause}").chars().take(200).collect();
    Answer { outcome: if is_unseen { Outcome::NotSent } else { Outcome::Retry { after: None } }, text }
}
