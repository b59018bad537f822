//! Google Wallet's REST API: a class or an object, made or brought up to date. There is no delete.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::clients::google_auth::Tokens;
use crate::clients::http::{self, BadClient, unanswered};
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::pass::PassKind;

/// What the account must be allowed to do.
pub const SCOPE: &str = "https://www.googleapis.com/auth/wallet_object.issuer";

/// Classes and objects are addressed by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Class(PassKind),
    Object(PassKind),
}

impl Resource {
    pub const fn path(self) -> &'static str {
        match self {
            Self::Class(PassKind::Loyalty) => "loyaltyClass",
            Self::Object(PassKind::Loyalty) => "loyaltyObject",
            Self::Class(PassKind::Coupon) => "offerClass",
            Self::Object(PassKind::Coupon) => "offerObject",
            Self::Class(PassKind::Event) => "eventTicketClass",
            Self::Object(PassKind::Event) => "eventTicketObject",
            Self::Class(PassKind::Generic) => "genericClass",
            Self::Object(PassKind::Generic) => "genericObject",
        }
    }
}

/// What is believed of something before it is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtGoogle {
    New,
    Known,
    /// It is not made again: the pass is over.
    KnownAndOver,
}

impl AtGoogle {
    pub const fn of(is_known: bool) -> Self {
        if is_known { Self::Known } else { Self::New }
    }
}

/// What came of bringing something up to date.
#[derive(Debug, Clone)]
pub struct Put {
    pub answer: Answer,
    /// Whether somebody has the object in their wallet; `None`: not said.
    pub has_users: Option<bool>,
    /// Google knows no class of the object's.
    pub is_classless: bool,
}

/// Bytes of a list's page at most.
const PAGE_MAX: usize = 4 * 1024 * 1024;

/// A page of objects as Google has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Page {
    pub resources: Vec<Json>,
    pub pagination: Pagination,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pagination {
    pub next_page_token: Option<String>,
}

pub struct GoogleWallet {
    client: Client,
    url: String,
    tokens: Tokens,
}

impl GoogleWallet {
    /// `timeout` is that of a call.
    pub fn new(url: &str, tokens: Tokens, timeout: Duration) -> Result<Self, BadClient> {
        let client = http::builder(None, timeout)?.build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), tokens })
    }

    /// Makes Google hold `body`, which has its id in it. What Google was sent before is patched, and made if it turns out not
    /// to be there, unless it is over; what is new is made, and patched if it turns out to be there. Repeating it changes
    /// nothing.
    pub async fn put(&self, resource: Resource, id: &str, body: &Json, at: AtGoogle, now: DateTime<Utc>) -> Put {
        let is_known = at != AtGoogle::New;
        let first = self.send(resource, id, body, is_known, now).await;
        if first.status == Some(StatusCode::NOT_FOUND) && at == AtGoogle::KnownAndOver {
            let text = "404, and it is over".to_owned();
            let answer = Answer { outcome: Outcome::Delivered, text };
            return Put { answer, has_users: Some(false), is_classless: false };
        }
        let turned_out = match first.status {
            // "AlreadyExists" to an insert, and nothing there to a patch.
            Some(StatusCode::CONFLICT) if !is_known => true,
            Some(StatusCode::NOT_FOUND) if is_known => true,
            _ => false,
        };
        let last = if turned_out { self.send(resource, id, body, !is_known, now).await } else { first };
        let is_classless = matches!(resource, Resource::Object(_))
            && last.status == Some(StatusCode::NOT_FOUND)
            && last.answer.outcome != Outcome::Delivered;
        Put { answer: last.answer, has_users: last.has_users, is_classless }
    }

    /// A page of the objects of a class, and where the next begins. `Err`: what Google said instead.
    pub async fn list(
        &self,
        kind: PassKind,
        class: &str,
        after: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Page, Answer> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("classId", class).append_pair("maxResults", "100");
        if let Some(after) = after {
            query.append_pair("token", after);
        }
        let path = Resource::Object(kind).path();
        let url = format!("{}/walletobjects/v1/{path}?{}", self.url, query.finish());
        let (answer, body) = self.call(&|| self.client.get(&url), PAGE_MAX, now).await;
        if answer.answer.outcome != Outcome::Delivered {
            return Err(answer.answer);
        }
        serde_json::from_slice(&body).map_err(|_| Answer { outcome: Outcome::Rejected, text: "no list".to_owned() })
    }

    /// One call; with another access token, if the first is not taken.
    async fn send(&self, resource: Resource, id: &str, body: &Json, is_patch: bool, now: DateTime<Utc>) -> Sent {
        let base = format!("{}/walletobjects/v1/{}", self.url, resource.path());
        let text = body.to_string();
        let request = || {
            let request = if is_patch {
                self.client.request(Method::PATCH, format!("{base}/{id}"))
            } else {
                self.client.request(Method::POST, &base)
            };
            request.header(CONTENT_TYPE, "application/json").body(text.clone())
        };
        self.call(&request, http::ANSWER_MAX, now).await.0
    }

    async fn call(
        &self,
        request: &(dyn Fn() -> reqwest::RequestBuilder + Sync),
        answer_max: usize,
        now: DateTime<Utc>,
    ) -> (Sent, Vec<u8>) {
        let response = match self.tokens.send(request).await {
            Ok(response) => response,
            Err(answer) => return (Sent { answer, status: None, has_users: None }, Vec::new()),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match http::read_answer(response, answer_max).await {
            Ok(bytes) => (read(status, &headers, &bytes, now), bytes),
            // It may have been done; doing it again is harmless.
            Err(error) => (Sent { answer: unanswered(&error), status: Some(status), has_users: None }, Vec::new()),
        }
    }
}

struct Sent {
    answer: Answer,
    status: Option<StatusCode>,
    has_users: Option<bool>,
}

/// `{"error":{"code","message","errors":[{"reason"}]}}`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: Fault,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    message: String,
    errors: Vec<Reason>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reason {
    reason: String,
}

/// What an answer means for us. A refusal is decided by its reason, not by its status alone: 403 is both "too fast" and "not
/// yours". (Google Wallet API, "Error codes"; google-wallet/rest-samples#1.)
fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Sent {
    if status.is_success() {
        let has_users = serde_json::from_slice::<Json>(body).ok().and_then(|body| body.get("hasUsers")?.as_bool());
        let answer = Answer { outcome: Outcome::Delivered, text: status.as_u16().to_string() };
        return Sent { answer, status: Some(status), has_users };
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let reason = refusal.error.errors.into_iter().next().unwrap_or_default().reason;
    let after = http::wait_of(headers, now);
    let outcome = match (status.as_u16(), reason.as_str()) {
        // A bad id, a missing member, a class that cannot be used: the same the next time.
        (400, _) => Outcome::Rejected,
        (401, _) => Outcome::Hold,
        (403, "quotaExceeded" | "rateLimitExceeded" | "userRateLimitExceeded") => Outcome::Retry { after },
        // permissionDenied and whatever comes: rights are missing, for every object of the issuer.
        (403, _) => Outcome::Hold,
        // An object's class is not there, or not yet.
        (404 | 409, _) => Outcome::Retry { after },
        (408 | 429 | 500..=599, _) => Outcome::Retry { after },
        (400..=499, _) => Outcome::Rejected,
        _ => Outcome::Retry { after },
    };
    // Google's sentence names what is wrong with a body, and may quote it: ours holds names. The reason is a word.
    let is_plain = refusal.error.message.len() < 200 && matches!(outcome, Outcome::Hold);
    let words = if is_plain { refusal.error.message.as_str() } else { "" };
    let text: String = format!("{} {reason} {words}", status.as_u16()).chars().filter(|c| !c.is_control()).collect();
    let answer = Answer { outcome, text: text.trim().to_owned() };
    Sent { answer, status: Some(status), has_users: None }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn every_answer_of_googles_table_has_its_duty() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let of = |status: u16, body: &str| read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), now);
        let refused = |reason: &str| {
            format!("{{\"error\":{{\"message\":\"Ana\",\"errors\":[{{\"reason\":\"{reason}\"}}],\"new\":1}}}}")
        };
        let after = Outcome::Retry { after: Some(Duration::from_secs(7)) };
        let cases = [
            (400, "BadRequest", Outcome::Rejected),
            (401, "", Outcome::Hold),
            (403, "permissionDenied", Outcome::Hold),
            (403, "quotaExceeded", after.clone()),
            (403, "rateLimitExceeded", after.clone()),
            (403, "somethingNew", Outcome::Hold),
            (404, "notFound", after.clone()),
            (409, "AlreadyExists", after.clone()),
            (412, "", Outcome::Rejected),
            (429, "", after.clone()),
            (500, "backendError", after.clone()),
            (503, "", after),
        ];
        for (status, reason, outcome) in cases {
            assert_eq!(of(status, &refused(reason)).answer.outcome, outcome, "{status} {reason}");
        }
        assert_eq!(of(400, &refused("invalid")).answer.text, "400 invalid", "nothing of the body that was sent");
        assert_eq!(of(500, "<html>").answer.text, "500");
        assert_eq!(of(200, "{\"hasUsers\":true}").has_users, Some(true));
        assert_eq!(of(200, "").answer.outcome, Outcome::Delivered);
    }
}
