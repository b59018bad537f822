//! Bodies, keys and pages of requests: bounded, in time, and parsed before a handler sees them.

use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, IF_MATCH};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::domain::json;
use crate::domain::text::is_control;
use crate::http::auth::app;
use crate::service::Problem;
use crate::service::keys::Caller;
use crate::service::once::{Once, Reply};

/// Bytes of a JSON body at most, where a route does not say less.
pub const JSON_MAX: usize = 256 * 1024;

/// A JSON body of the API: unknown members, duplicate keys, control characters and deep nesting are refused.
pub struct Body<T, const MAX: usize = JSON_MAX> {
    pub value: T,
    /// SHA-256 over method, path and body: what an `Idempotency-Key` stands for.
    pub fingerprint: [u8; 32],
    /// SHA-256 over the members in order of their names: the same content written differently is the same.
    pub canonical: [u8; 32],
}

impl<T: DeserializeOwned, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read(&request, payload, MAX).await?;
            Self::parse(&request, &bytes)
        })
    }
}

impl<T: DeserializeOwned, const MAX: usize> Body<T, MAX> {
    fn parse(request: &HttpRequest, bytes: &[u8]) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(Problem::UnsupportedMediaType);
        }
        let value = json::strict(bytes).map_err(|error| Problem::BadJson { detail: error.to_string() })?;
        // serde would fill the members by position.
        if !value.is_object() {
            return Err(Problem::invalid("", "the body must be a JSON object"));
        }
        let canonical = json::canonical_digest(&value);
        let parts = [request.method().as_str(), request.path()].join(" ");
        let fingerprint = Sha256::new().chain_update(parts).chain_update(bytes).finalize().into();
        let value = serde_path_to_error::deserialize(value)
            .map_err(|error| Problem::invalid(json::pointer(error.path()), error.inner().to_string()))?;
        Ok(Self { value, fingerprint, canonical })
    }
}

/// A JSON body that may be left out.
pub struct MaybeBody<T>(pub Option<T>);

impl<T: DeserializeOwned> FromRequest for MaybeBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read(&request, payload, JSON_MAX).await?;
            let value = if bytes.is_empty() { None } else { Some(Body::<T>::parse(&request, &bytes)?.value) };
            Ok(Self(value))
        })
    }
}

/// Reads a body within its size and time: actix closes connections with a slow head but waits for a slow body for ever.
pub async fn read(request: &HttpRequest, mut payload: Payload, limit_bytes: usize) -> Result<bytes::Bytes, Problem> {
    let deadline = Duration::from_secs(app(request)?.config.server.body_timeout_secs);
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| Problem::BadJson { detail: error.to_string() })?;
            if body.len() + chunk.len() > limit_bytes {
                return Err(Problem::TooLarge { limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(deadline, reading).await.map_err(|_| Problem::TooSlow)?
}

/// A query string whose unknown members are refused, like a body's.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(text).map_err(|error| Problem::invalid("", format!("query: {error}")))?;
    if let Some((name, _)) = pairs.iter().find(|(_, value)| value.chars().any(is_control)) {
        return Err(Problem::invalid("", format!("query: {name}: control characters are not allowed")));
    }
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes())))
        .map_err(|error| Problem::invalid("", format!("query: {}: {}", error.path(), error.inner())))
}

/// The `Idempotency-Key` header.
pub struct IdempotencyKey(Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request.headers().get("idempotency-key").map(|value| {
            let key = value.to_str().unwrap_or_default();
            let good = (1..=255).contains(&key.len()) && key.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
            if good {
                Ok(key.to_owned())
            } else {
                Err(Problem::invalid("", "Idempotency-Key must be 1 to 255 printable ASCII characters"))
            }
        });
        std::future::ready(key.transpose().map(Self))
    }
}

impl IdempotencyKey {
    pub fn once<T, const MAX: usize>(self, caller: &Caller, body: &Body<T, MAX>) -> Option<Once> {
        self.0.map(|key| Once { scope: caller.scope(), key, fingerprint: body.fingerprint })
    }
}

/// The answer of a use case that can be repeated.
pub fn reply(reply: Reply) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(reply.status);
    let mut response = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::OK));
    if reply.is_replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.content_type("application/json").body(reply.body)
}

/// An id in a path. One that is not of the right form is simply not found.
pub fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::NotFound { what })
}

/// The version that an editor saw: `If-Match: "7"`.
pub struct IfMatch(pub Option<i64>);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // What is not text matches nothing, as any tag that we never gave.
        let header = request.headers().get(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
        std::future::ready(match header {
            None | Some("*") => Ok(Self(None)),
            Some(tag) => Ok(Self(Some(tag.trim_matches('"').parse().unwrap_or(-1)))),
        })
    }
}
