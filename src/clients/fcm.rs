//! Firebase Cloud Messaging, HTTP v1: a message to one installation of the brand's app.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::clients::google_auth::Tokens;
use crate::clients::http::{self, BadClient, unanswered};
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::notice::AppMessage;
use crate::domain::secret::Secret;

/// What the account must be allowed to do.
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// How long Firebase keeps a message for a phone that is off: what it tells is then looked up anyway.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// The first wait after a refusal that names none. (Firebase, "Handle retries": a minute for the quota, a second for what is
/// out of order.)
const QUOTA_WAIT: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What an installation is reached by: its Firebase installation id where it is known, or the older registration token.
#[derive(Debug, Clone)]
pub enum Address {
    Fid(Secret<String>),
    Token(Secret<String>),
}

pub struct Fcm {
    client: Client,
    url: String,
    tokens: Tokens,
}

impl Fcm {
    /// `timeout` is that of a call.
    pub fn new(url: &str, project: &str, tokens: Tokens, timeout: Duration) -> Result<Self, BadClient> {
        let client = http::builder(None, timeout)?.build()?;
        let url = format!("{}/v1/projects/{project}/messages:send", url.trim_end_matches('/'));
        Ok(Self { client, url, tokens })
    }

    pub async fn send(&self, to: &Address, message: &AppMessage, now: DateTime<Utc>) -> Answer {
        let body = json!({ "message": body(to, message) }).to_string();
        let request = || self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(body.clone());
        let response = match self.tokens.send(&request).await {
            Ok(response) => response,
            Err(answer) => return answer,
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match http::read_answer(response, http::ANSWER_MAX).await {
            Ok(body) => read(status, &headers, &body, now),
            // The status says enough; and what was taken is taken.
            Err(_) if status == StatusCode::OK => read(status, &headers, &[], now),
            Err(error) => unanswered(&error),
        }
    }
}

/// Firebase's `Message`. Shown once however often it is sent: tag and collapse id are the message's own.
fn body(to: &Address, message: &AppMessage) -> Json {
    let is_shown = message.is_shown();
    let mut aps = json!({ "content-available": 1 });
    if is_shown {
        put(&mut aps, "badge", json!(message.badge));
        put(&mut aps, "sound", json!("default"));
    }
    if let Some(thread) = message.thread.as_ref().filter(|_| is_shown) {
        put(&mut aps, "thread-id", json!(thread));
    }
    let mut android = json!({
        "priority": if is_shown { "HIGH" } else { "NORMAL" },
        "ttl": format!("{}s", KEPT.as_secs()),
        "collapseKey": message.id,
    });
    let mut whole = json!({
        "data": message.data,
        "apns": {
            // A message without a text may not claim more. (Firebase, `ApnsConfig`.)
            "headers": { "apns-priority": if is_shown { "10" } else { "5" }, "apns-collapse-id": message.id },
            "payload": { "aps": aps },
        },
    });
    if is_shown {
        put(&mut android, "notification", json!({ "tag": message.id }));
        put(&mut whole, "notification", json!({ "title": message.title, "body": message.body }));
    }
    put(&mut whole, "android", android);
    match to {
        Address::Fid(fid) => put(&mut whole, "fid", json!(fid.reveal())),
        Address::Token(token) => put(&mut whole, "token", json!(token.reveal())),
    }
    whole
}

fn put(object: &mut Json, member: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}

/// `{"error":{"code","message","status","details":[{"@type":"…FcmError","errorCode"}]}}`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: Fault,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    status: String,
    details: Vec<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    error_code: String,
    field_violations: Vec<Violation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Violation {
    field: String,
}

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";

/// What an answer means for us. (Firebase, `ErrorCode`; firebase-admin-node, messaging errors.)
fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Answer {
    if status == StatusCode::OK {
        return Answer { outcome: Outcome::Delivered, text: "200".to_owned() };
    }
    let Fault { status: canonical, details } = serde_json::from_slice::<Refusal>(body).unwrap_or_default().error;
    let code = details.iter().find(|detail| detail.kind == FCM_ERROR).map(|detail| detail.error_code.as_str());
    let code = code.unwrap_or_default();
    let mut fields =
        details.iter().flat_map(|detail| &detail.field_violations).map(|violation| violation.field.as_str());
    let is_payload = fields.any(|field| !matches!(field, "message.token" | "message.fid"));
    let after = http::wait_of(headers, now);
    let retry = Outcome::Retry { after: Some(after.unwrap_or(FIRST_WAIT).max(FIRST_WAIT)) };
    let outcome = match (status.as_u16(), code) {
        (404, "UNREGISTERED") => Outcome::Gone { since: None },
        // Without a word of Firebase's own the address of the call is wrong: the project, or ours of the service.
        // (ahliweb/awcms#471.)
        (404, _) => Outcome::Hold,
        // What we send is wrong, or what the installation gave as its token.
        (400, "INVALID_ARGUMENT") if !is_payload => Outcome::Suspect,
        (400, _) => Outcome::Rejected,
        // A token of another project: an old one of this app, or ours of the project.
        (403, "SENDER_ID_MISMATCH") => Outcome::Suspect,
        // The key that the project speaks to Apple with is bad: iPhones are not reached, and Androids are.
        (401, "THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR") => Outcome::Rejected,
        // The account is not this project's, or its token is not taken, after another one was tried.
        (401 | 403, _) => Outcome::Hold,
        // The whole project's.
        (429, _) => Outcome::Busy { after: after.unwrap_or(QUOTA_WAIT) },
        // UNAVAILABLE, INTERNAL, and what a proxy in front of it says.
        (500..=599, _) => retry,
        (400..=499, _) => Outcome::Rejected,
        _ => retry,
    };
    let word = if code.is_empty() { canonical } else { code.to_owned() };
    let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    Answer { outcome, text: format!("{} {word}", status.as_u16()).trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderValue, RETRY_AFTER};

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn of(status: u16, after: Option<&'static str>, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        }
        read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), now())
    }

    fn error(status: &str, details: &Json) -> String {
        json!({ "error": { "code": 1, "message": "m", "status": status, "details": details, "new": {} } }).to_string()
    }

    fn fcm(code: &str) -> Json {
        json!([{ "@type": FCM_ERROR, "errorCode": code }])
    }

    #[test]
    fn every_row_of_firebases_table_has_its_duty() {
        let retry = |secs| Outcome::Retry { after: Some(Duration::from_secs(secs)) };
        let busy = |secs| Outcome::Busy { after: Duration::from_secs(secs) };
        let violates = |field: &str| {
            json!([
                { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": field, "description": "d" }] },
                { "@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT" },
            ])
        };
        let cases = [
            (404, None, error("NOT_FOUND", &fcm("UNREGISTERED")), Outcome::Gone { since: None }, "404 UNREGISTERED"),
            (404, None, error("NOT_FOUND", &json!([])), Outcome::Hold, "404 NOT_FOUND"),
            (400, None, error("INVALID_ARGUMENT", &fcm("INVALID_ARGUMENT")), Outcome::Suspect, "400 INVALID_ARGUMENT"),
            (
                400,
                None,
                error("INVALID_ARGUMENT", &violates("message.token")),
                Outcome::Suspect,
                "400 INVALID_ARGUMENT",
            ),
            (
                400,
                None,
                error("INVALID_ARGUMENT", &violates("message.data[0]")),
                Outcome::Rejected,
                "400 INVALID_ARGUMENT",
            ),
            (400, None, error("INVALID_ARGUMENT", &json!([])), Outcome::Rejected, "400 INVALID_ARGUMENT"),
            (
                403,
                None,
                error("PERMISSION_DENIED", &fcm("SENDER_ID_MISMATCH")),
                Outcome::Suspect,
                "403 SENDER_ID_MISMATCH",
            ),
            (403, None, error("PERMISSION_DENIED", &json!([])), Outcome::Hold, "403 PERMISSION_DENIED"),
            (429, None, error("RESOURCE_EXHAUSTED", &fcm("QUOTA_EXCEEDED")), busy(60), "429 QUOTA_EXCEEDED"),
            (429, Some("90"), error("RESOURCE_EXHAUSTED", &fcm("QUOTA_EXCEEDED")), busy(90), "429 QUOTA_EXCEEDED"),
            (503, Some("7"), error("UNAVAILABLE", &fcm("UNAVAILABLE")), retry(7), "503 UNAVAILABLE"),
            (503, None, error("UNAVAILABLE", &fcm("UNAVAILABLE")), retry(1), "503 UNAVAILABLE"),
            (500, Some("0"), error("INTERNAL", &fcm("INTERNAL")), retry(1), "500 INTERNAL"),
            (500, None, error("UNKNOWN", &fcm("UNSPECIFIED_ERROR")), retry(1), "500 UNSPECIFIED_ERROR"),
            (
                401,
                None,
                error("UNAUTHENTICATED", &fcm("THIRD_PARTY_AUTH_ERROR")),
                Outcome::Rejected,
                "401 THIRD_PARTY_AUTH_ERROR",
            ),
            (401, None, error("UNAUTHENTICATED", &fcm("APNS_AUTH_ERROR")), Outcome::Rejected, "401 APNS_AUTH_ERROR"),
            (401, None, error("UNAUTHENTICATED", &json!([])), Outcome::Hold, "401 UNAUTHENTICATED"),
            (502, None, "<html>sorry</html>".to_owned(), retry(1), "502"),
            (418, None, error("SOMETHING_NEW", &fcm("SOMETHING_NEW")), Outcome::Rejected, "418 SOMETHING_NEW"),
            (301, None, String::new(), retry(1), "301"),
        ];
        for (status, after, body, outcome, text) in cases {
            assert_eq!(of(status, after, &body), Answer { outcome, text: text.to_owned() }, "{body}");
        }
    }

    #[test]
    fn a_message_without_a_text_wakes_the_app_and_shows_nothing() {
        let silent = AppMessage {
            id: "apd_1.7".to_owned(),
            title: "Aurora".to_owned(),
            body: String::new(),
            data: [("type", "passes.changed".to_owned())].into(),
            badge: 2,
            thread: Some("pas_1".to_owned()),
        };
        let to = Address::Token(Secret::new("t".to_owned()));
        let sent = body(&to, &silent);
        assert_eq!(
            (&sent["android"]["priority"], &sent["apns"]["headers"]["apns-priority"]),
            (&json!("NORMAL"), &json!("5"))
        );
        assert!(sent["notification"].is_null() && sent["android"]["notification"].is_null() && sent["token"] == "t");
        let shown = body(&Address::Fid(Secret::new("f".to_owned())), &AppMessage { body: "Oi".to_owned(), ..silent });
        assert_eq!(shown["notification"], json!({ "title": "Aurora", "body": "Oi" }));
        assert_eq!((&shown["android"]["notification"]["tag"], &shown["fid"]), (&json!("apd_1.7"), &json!("f")));
        assert_eq!(sent["apns"]["payload"]["aps"], json!({ "content-available": 1 }));
        let aps = json!({ "content-available": 1, "badge": 2, "sound": "default", "thread-id": "pas_1" });
        assert_eq!(shown["apns"]["payload"]["aps"], aps);
    }
}
