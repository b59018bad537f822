//! Bodies, keys and pages of requests: bounded, in time, and parsed before a handler sees them.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, IF_MATCH};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::text::is_control;
use crate::http::auth::app;
use crate::service::Problem;
use crate::service::keys::Caller;
use crate::service::once::{Once, Reply};

/// Bytes of a JSON body at most, where a route does not say less.
pub const JSON_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 32;
const ITEMS_MAX: usize = 1_000;

/// A JSON body of the API: unknown members, duplicate keys, control characters and deep nesting are refused.
pub struct Body<T, const MAX: usize = JSON_MAX> {
    pub value: T,
    /// SHA-256 over method, route and body: what an `Idempotency-Key` stands for.
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
            let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
            let bytes = read(&request, payload, MAX).await?;
            if !media.eq_ignore_ascii_case("application/json") {
                return Err(Problem::UnsupportedMediaType);
            }
            let value = strict(&bytes)?;
            // serde would fill the members by position.
            if value.is_array() {
                return Err(Problem::invalid("", "the body must be a JSON object"));
            }
            let canonical = Sha256::digest(sorted(&value).to_string()).into();
            let parts = [request.method().as_str(), &request.match_pattern().unwrap_or_default()].join(" ");
            let fingerprint = Sha256::new().chain_update(parts).chain_update(&bytes).finalize().into();
            let value = serde_path_to_error::deserialize(value)
                .map_err(|error| Problem::invalid(pointer(error.path()), error.inner().to_string()))?;
            Ok(Self { value, fingerprint, canonical })
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

/// JSON as RFC 8259 recommends it: names are unique. (`serde_json` alone keeps the last of duplicates silently, so
/// that two readers of one body could see different things.)
pub fn strict(bytes: &[u8]) -> Result<Value, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let bad = |error: serde_json::Error| Problem::BadJson { detail: error.to_string() };
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(bad)?;
    reader.end().map_err(bad)?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

fn plain<E: serde::de::Error>(text: String) -> Result<String, E> {
    let bad = text.chars().any(|c| is_control(c) && !matches!(c, '\n' | '\t'));
    if bad { Err(E::custom("control characters are not allowed")) } else { Ok(text) }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        plain(value.to_owned()).map(Value::String)
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        plain(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom(format!("a list of more than {ITEMS_MAX} items")));
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = plain(name)?;
            // serde_json gives names of its own a meaning: such a member would be parsed again, past every check here.
            if name.starts_with("$serde_json::private::") {
                return Err(A::Error::custom("a member has a name that is reserved"));
            }
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("the member {name:?} occurs twice")));
            }
            let value = map.next_value_seed(inner)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_unstable_by_key(|(name, _)| *name);
            Value::Object(names.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// `/customer/cpf` for serde's `customer.cpf`.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    segments.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_with_two_meanings_is_refused() {
        let refused = [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"[{"a":1,"\u0061":2}]"#,
            r#"{"a":"\u0007"}"#,
            r#"{"\u0001__minijinja_ValueHandle":1}"#,
            r#"{"a":1} {"#,
            r#"{"a":01}"#,
            r#"{"a":{"$serde_json::private::RawValue":"[[[1]]]"}}"#,
            r#"{"a":{"$serde_json::private::Number":"1e999"}}"#,
            "",
        ];
        for body in refused {
            assert!(strict(body.as_bytes()).is_err(), "{body}");
        }
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(strict(deep(32).as_bytes()).is_ok());
        assert!(strict(deep(33).as_bytes()).is_err());
        assert!(strict(deep(100_000).as_bytes()).is_err());
        assert!(strict(format!("[{}1]", "1,".repeat(1_000)).as_bytes()).is_err());
        assert_eq!(strict(br#"{"b":[1,"x\n"],"a":null}"#).unwrap().to_string(), r#"{"b":[1,"x\n"],"a":null}"#);
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let (one, two) =
            (strict(br#"{"a":1,"b":{"c":1,"d":2}}"#).unwrap(), strict(br#"{"b":{"d":2,"c":1},"a":1}"#).unwrap());
        assert_eq!(sorted(&one).to_string(), sorted(&two).to_string());
    }
}
