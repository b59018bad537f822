//! Apple's push service: "come and fetch", to a phone that holds a pass, and messages to the brand's own app.
//!
//! One client for each credential, because the identity is the connection's; it keeps few connections and many calls on
//! each. (Apple, "Sending notification requests to APNs".)

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Identity, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::clients::http::{self, BadClient, unanswered};
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::notice::AppMessage;
use crate::domain::secret::Secret;

const TOPIC: HeaderName = HeaderName::from_static("apns-topic");

/// What a client proves itself by.
pub enum Credential {
    /// The pass type's own certificate and key, in PEM.
    Certificate(Secret<Vec<u8>>),
    /// A provider token, which each call carries.
    Token,
}

/// What is pushed.
#[derive(Clone, Copy)]
pub enum Push<'a> {
    /// Something of this pass type changed: an empty payload, because the device asks what.
    Fetch,
    /// A message to the brand's own app.
    App(&'a AppMessage),
}

/// How long Apple keeps a message for a phone that is off.
const KEPT: TimeDelta = TimeDelta::days(7);

pub struct Apns {
    client: Client,
    /// Such as `https://api.push.apple.com`.
    url: String,
}

impl Apns {
    /// `root` is a root certificate to trust beside the system's; `timeout` that of a call.
    pub fn new(url: &str, root: Option<&Path>, credential: &Credential, timeout: Duration) -> Result<Self, BadClient> {
        // Without TLS (a double in a test, a proxy that speaks it) there is nothing to agree on: HTTP/2 is known.
        let mut builder = http::builder(root, timeout)?.http2_prior_knowledge();
        if let Credential::Certificate(pem) = credential {
            builder = builder.identity(Identity::from_pem(pem.reveal())?);
        }
        Ok(Self { client: builder.build()?, url: url.trim_end_matches('/').to_owned() })
    }

    /// Pushes to one device. `token` is the provider token, where there is no certificate.
    pub async fn push(
        &self,
        push_token: &Secret<String>,
        topic: &HeaderValue,
        token: Option<&Secret<String>>,
        push: Push<'_>,
        now: DateTime<Utc>,
    ) -> Answer {
        let mut request =
            self.client.post(format!("{}/3/device/{}", self.url, push_token.reveal())).header(TOPIC, topic.clone());
        request = match push {
            Push::Fetch => request.body("{}"),
            Push::App(message) => {
                let (kind, priority) = if message.is_shown() { ("alert", "10") } else { ("background", "5") };
                request
                    .header("apns-push-type", kind)
                    .header("apns-priority", priority)
                    .header("apns-expiration", (now + KEPT).timestamp())
                    .header("apns-collapse-id", &message.id)
                    .body(payload(message).to_string())
            }
        };
        if let Some(token) = token {
            let Ok(mut bearer) = HeaderValue::from_str(&format!("bearer {}", token.reveal())) else {
                return Answer { outcome: Outcome::Hold, text: "the provider token cannot be sent".to_owned() };
            };
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        match request.send().await {
            Err(error) => unanswered(&error),
            Ok(response) => {
                let status = response.status();
                if status == StatusCode::OK {
                    return Answer { outcome: Outcome::Delivered, text: "200".to_owned() };
                }
                let headers = response.headers().clone();
                match http::read_answer(response, http::ANSWER_MAX).await {
                    Ok(body) => read(status, &headers, &body, now),
                    // The status says enough.
                    Err(_) => read(status, &headers, &[], now),
                }
            }
        }
    }
}

/// Apple's payload: `aps` is theirs, the rest is the app's. (Apple, "Generating a remote notification".)
fn payload(message: &AppMessage) -> Json {
    let mut aps = json!({ "content-available": 1 });
    if let Some(aps) = aps.as_object_mut().filter(|_| message.is_shown()) {
        aps.insert("alert".to_owned(), json!({ "title": message.title, "body": message.body }));
        aps.insert("badge".to_owned(), json!(message.badge));
        aps.insert("sound".to_owned(), json!("default"));
        aps.extend(message.thread.as_ref().map(|thread| ("thread-id".to_owned(), json!(thread))));
    }
    let mut whole = json!(message.data);
    if let Some(whole) = whole.as_object_mut() {
        whole.insert("aps".to_owned(), aps);
    }
    whole
}

/// What APNs says of a refusal. Unknown members are for others.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    reason: String,
    /// Milliseconds since 1970: when APNs learnt that the token is dead.
    timestamp: Option<Json>,
}

/// What a refusal means for us. Apple, "Handling notification responses from APNs".
fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Answer {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let after = http::wait_of(headers, now);
    let since = refusal.timestamp.as_ref().and_then(Json::as_i64).and_then(DateTime::from_timestamp_millis);
    let outcome = match (status.as_u16(), refusal.reason.as_str()) {
        (200, _) => Outcome::Delivered,
        // The token can also be of the other environment, and then it is ours to mend: not deleted at once.
        (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Outcome::Suspect,
        (400, "BadTopic" | "MissingTopic" | "TopicDisallowed") => Outcome::Hold,
        (400, "IdleTimeout") => Outcome::NotSent,
        // BadCollapseId, BadExpirationDate, BadMessageId, BadPriority, InvalidPushType, DuplicateHeaders, PayloadEmpty,
        // MissingDeviceToken, and whatever comes: the request is built wrongly.
        (400, _) => Outcome::Rejected,
        (403, "ExpiredProviderToken" | "InvalidProviderToken" | "MissingProviderToken") => Outcome::TokenRefused,
        // BadCertificate, BadCertificateEnvironment, Forbidden, and newer ones of keys and environments: we are refused, not
        // the device.
        (401 | 403, _) => Outcome::Hold,
        // BadPath, MethodNotAllowed, PayloadTooLarge: nothing that a device can help.
        (404 | 405 | 413, _) => Outcome::Rejected,
        // Unregistered, ExpiredToken.
        (410, _) => Outcome::Gone { since },
        // The key was used with too many new tokens; every call with it is refused for a while.
        (429, "TooManyProviderTokenUpdates") => Outcome::Hold,
        // TooManyRequests: to this one device.
        (429, _) => Outcome::TooMany { after },
        // InternalServerError, ServiceUnavailable, Shutdown.
        (500..=599, _) => Outcome::Retry { after },
        (400..=499, _) => Outcome::Rejected,
        _ => Outcome::Retry { after },
    };
    let reason: String = refusal.reason.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    Answer { outcome, text: format!("{} {reason}", status.as_u16()).trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use reqwest::header::RETRY_AFTER;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn of(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), now())
    }

    #[test]
    fn every_reason_of_apples_table_has_its_duty() {
        let after = Some(Duration::from_secs(7));
        let cases: &[(u16, &[&str], Outcome)] = &[
            (400, &["BadDeviceToken", "DeviceTokenNotForTopic"], Outcome::Suspect),
            (400, &["BadTopic", "MissingTopic", "TopicDisallowed"], Outcome::Hold),
            (
                400,
                &[
                    "BadCollapseId",
                    "BadExpirationDate",
                    "BadMessageId",
                    "BadPriority",
                    "InvalidPushType",
                    "DuplicateHeaders",
                    "PayloadEmpty",
                    "MissingDeviceToken",
                    "SomethingNew",
                ],
                Outcome::Rejected,
            ),
            (400, &["IdleTimeout"], Outcome::NotSent),
            (
                403,
                &["BadCertificate", "BadCertificateEnvironment", "Forbidden", "BadEnvironmentKeyIdInToken"],
                Outcome::Hold,
            ),
            (403, &["ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken"], Outcome::TokenRefused),
            (404, &["BadPath"], Outcome::Rejected),
            (405, &["MethodNotAllowed"], Outcome::Rejected),
            (413, &["PayloadTooLarge"], Outcome::Rejected),
            (410, &["Unregistered", "ExpiredToken"], Outcome::Gone { since: None }),
            (429, &["TooManyProviderTokenUpdates"], Outcome::Hold),
            (429, &["TooManyRequests", "SomethingNew"], Outcome::TooMany { after }),
            (500, &["InternalServerError"], Outcome::Retry { after }),
            (503, &["ServiceUnavailable", "Shutdown"], Outcome::Retry { after }),
            (599, &["SomethingNew"], Outcome::Retry { after }),
            (418, &["SomethingNew"], Outcome::Rejected),
            (301, &[""], Outcome::Retry { after }),
        ];
        for (status, reasons, outcome) in cases {
            for reason in *reasons {
                let answer = of(*status, &format!("{{\"reason\":\"{reason}\",\"more\":[1]}}"));
                assert_eq!((&answer.outcome, answer.text), (outcome, format!("{status} {reason}").trim().to_owned()));
            }
        }
    }

    #[test]
    fn an_answer_of_no_shape_is_taken_by_its_status() {
        for body in ["", "<html>", "[]", "{\"reason\":7}", "{\"reason\":\"a\",\"timestamp\":\"x\"}"] {
            assert_eq!(of(410, body).outcome, Outcome::Gone { since: None }, "{body}");
            assert_eq!(of(503, body).outcome, Outcome::Retry { after: Some(Duration::from_secs(7)) }, "{body}");
        }
        let at = of(410, "{\"reason\":\"Unregistered\",\"timestamp\":1800000000123}");
        assert_eq!(at.outcome, Outcome::Gone { since: DateTime::from_timestamp_millis(1_800_000_000_123) });
        assert_eq!(
            of(400, "{\"reason\":\"Bad\\u001b[31mTopic\"}").text,
            "400 Bad31mTopic",
            "nothing that steers a terminal"
        );
    }
}
