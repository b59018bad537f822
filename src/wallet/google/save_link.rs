//! The link that saves a pass: a signed token that names an object which is there already, and carries nothing else.

use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;
use serde_json::json;

use crate::domain::pass::PassKind;
use crate::wallet::google::account::Account;

/// The token behind Google's save address. Its payload is ids alone: whoever sees the link learns nothing, and it stays far
/// below the 1,800 characters that browsers and mail programs pass on. Made when somebody clicks, so `iat` is now.
pub fn token(
    account: &Account,
    kind: PassKind,
    object_id: &str,
    class_id: &str,
    now: DateTime<Utc>,
) -> Result<String, ErrorStack> {
    let objects = match kind {
        PassKind::Loyalty => "loyaltyObjects",
        PassKind::Coupon => "offerObjects",
        PassKind::Event => "eventTicketObjects",
        PassKind::Generic => "genericObjects",
    };
    account.sign(&json!({
        "iss": account.email(),
        "aud": "google",
        "typ": "savetowallet",
        "iat": now.timestamp(),
        // Empty: a plain link. Addresses here would bind it to pages that draw Google's button.
        "origins": [],
        "payload": { objects: [{ "id": object_id, "classId": class_id }] },
    }))
}
