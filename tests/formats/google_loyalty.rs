//! The shipped design as Google's loyalty class and object.

use passarela::domain::ids::TemplateId;
use passarela::domain::pass::PassStatus;
use passarela::wallet::google::loyalty::{Surroundings, class, object};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sample::{content, files, renderer};
use crate::schema::faults;

const PLACE: Surroundings<'_> = Surroundings {
    issuer_id: "3388000000000000000",
    template: TemplateId::new(Uuid::from_u128(7)),
    images_url: "https://passes.example.com/i/k7w2m9xa/tpl_7/1/",
    images: &["logo.png", "logo@2x.png", "strip.png"],
};

fn made(data: &Value, status: PassStatus) -> (Value, Value) {
    let content = content(&renderer(&files()), "Ana Souza", data, status);
    (class(&content, PLACE), object(&content, PLACE))
}

#[test]
fn class_and_object_pass_googles_schema() {
    let cases = [
        json!({}),
        json!({ "points": 120, "tier": "Ouro", "next_reward": "Café", "note": "Oi", "offer_ends": "2026-12-24" }),
        json!({ "points": 9_000_000_000_i64 }),
        json!({ "tier": "Ouro \"especial\" ☕", "points": -5 }),
    ];
    for data in cases {
        for status in PassStatus::ALL {
            let (class, object) = made(&data, *status);
            assert_eq!(faults("LoyaltyClass", &class), Vec::<String>::new(), "{data}");
            assert_eq!(faults("LoyaltyObject", &object), Vec::<String>::new(), "{data}");
            for required in ["id", "issuerName", "programName", "programLogo", "reviewStatus"] {
                assert!(class[required] != Value::Null, "{required}");
            }
            for required in ["id", "classId", "state"] {
                assert!(object[required] != Value::Null, "{required}");
            }
            assert_eq!(class["id"], object["classId"]);
            for id in [&class["id"], &object["id"]] {
                let suffix = id.as_str().unwrap().strip_prefix("3388000000000000000.").unwrap();
                assert!(suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{id}");
                assert!(suffix.len() <= 64, "{id}");
            }
        }
    }
}

#[test]
fn fields_go_where_google_shows_them() {
    let (class, object) = made(&json!({ "points": 120, "tier": "Ouro", "note": "Volte logo" }), PassStatus::Active);
    assert_eq!(object["loyaltyPoints"]["balance"], json!({ "int": 120, "string": null }));
    assert_eq!(object["loyaltyPoints"]["label"], "PONTOS");
    assert_eq!(
        object["loyaltyPoints"]["localizedLabel"]["translatedValues"],
        json!([
        { "language": "en", "value": "POINTS" }, { "language": "es", "value": "PUNTOS" }])
    );
    assert_eq!(
        (object["accountName"].as_str(), object["accountId"].as_str()),
        (Some("Ana Souza"), Some("740188352290"))
    );
    assert_eq!(class["rewardsTier"], "Ouro");
    assert_eq!(class["reviewStatus"], "UNDER_REVIEW");
    assert!(
        class["programLogo"]["sourceUri"]["uri"].as_str().unwrap().ends_with("/logo@2x.png"),
        "the largest there is"
    );
    let note = object["textModulesData"].as_array().unwrap().iter().find(|module| module["id"] == "note").unwrap();
    assert_eq!((note["header"].as_str(), note["body"].as_str()), (Some("Recado"), Some("Volte logo")));
    let states = PassStatus::ALL.iter().map(|status| made(&json!({}), *status).1["state"].clone()).collect::<Vec<_>>();
    assert_eq!(states, ["ACTIVE", "INACTIVE", "EXPIRED"]);
    assert_ne!(made(&json!({ "tier": "Prata" }), PassStatus::Active).0["id"], class["id"], "one class for each tier");
}
