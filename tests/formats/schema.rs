//! Checks a value against Google's discovery documents (reduced: `scripts/reduce-google-schema`).

use std::sync::OnceLock;

use serde_json::Value;

fn wallet() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("google/walletobjects.json")).unwrap())
}

fn firebase() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("google/fcm.json")).unwrap())
}

/// Everything in `value` that the schema `name` does not know, or knows otherwise.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(wallet(), &wallet()["schemas"][name], value, name, &mut faults);
    faults
}

/// The same for Firebase.
#[allow(dead_code, reason = "one of the test programs sends no messages")]
pub fn message_faults(value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(firebase(), &firebase()["schemas"]["SendMessageRequest"], value, "request", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["ref"].as_str() {
        return check(document, &document["schemas"][name], value, path, faults);
    }
    // Null clears a member, and some members are another's.
    if value.is_null() || schema["type"] == "any" {
        return;
    }
    let is_right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        // int64 is a string on the wire.
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Some("number") => value.is_number(),
        other => panic!("{path}: the schema's type is {other:?}"),
    };
    if !is_right {
        faults.push(format!("{path}: {value} is not {}", schema["type"]));
    }
    if let (Some(allowed), Some(text)) = (schema["enum"].as_array(), value.as_str())
        && !allowed.iter().any(|word| word == text)
    {
        faults.push(format!("{path}: {text} is not one of {}", schema["enum"]));
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            check(document, &schema["items"], item, &format!("{path}[{index}]"), faults);
        }
    }
    if let Some(members) = value.as_object() {
        for (name, member) in members {
            match schema["properties"].get(name).or_else(|| schema.get("values")) {
                None => faults.push(format!("{path}.{name}: no such member")),
                Some(inner) => check(document, inner, member, &format!("{path}.{name}"), faults),
            }
        }
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let wrong = serde_json::json!({ "id": 1, "state": "GOOD", "colour": "red", "loyaltyPoints": { "balance": { "int": "x" } } });
    assert_eq!(faults("LoyaltyObject", &wrong).len(), 4, "{:?}", faults("LoyaltyObject", &wrong));
}
