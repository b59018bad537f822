//! Designs as Google's classes and objects.

use passarela::domain::content::Content;
use passarela::domain::ids::TemplateId;
use passarela::domain::pass::PassStatus;
use passarela::wallet::check::render_sample;
use passarela::wallet::google::{Surroundings, class, object};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sample::{content, files, renderer};
use crate::schema::faults;

const PLACE: Surroundings<'_> = Surroundings {
    issuer_id: "3388000000000000000",
    template: TemplateId::new(Uuid::from_u128(7)),
    images_url: "https://passes.example.com/i/k7w2m9xa/tpl_7/1/",
    images: &["logo.png", "logo@2x.png", "strip.png"],
    card: &[],
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

/// A design, and what Google requires of its class and of its object, by the schemas to hold them to.
type Wanted = (&'static str, &'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const KINDS: [Wanted; 4] = [
    (
        "clube-aurora",
        "LoyaltyClass",
        &["issuerName", "programName", "programLogo", "reviewStatus"],
        "LoyaltyObject",
        &["state", "barcode", "loyaltyPoints"],
    ),
    (
        "cafe-da-tarde",
        "OfferClass",
        &["issuerName", "provider", "title", "redemptionChannel", "reviewStatus"],
        "OfferObject",
        &["state", "barcode", "validTimeInterval"],
    ),
    (
        "noite-aurora",
        "EventTicketClass",
        &["issuerName", "eventName", "venue", "dateTime", "reviewStatus"],
        "EventTicketObject",
        &["state", "barcode", "ticketHolderName", "seatInfo"],
    ),
    ("generic", "GenericClass", &[], "GenericObject", &["cardTitle", "header", "hexBackgroundColor", "barcode"]),
];

#[test]
fn every_kind_passes_googles_schema_and_holds_what_is_required() {
    for (design, class_name, class_needs, object_name, object_needs) in KINDS {
        let renderer = renderer(&crate::sample::named(design));
        let content = render_sample(&renderer, renderer.design().sample.today).unwrap();
        let (class, object) = (class(&content, PLACE), object(&content, PLACE));
        assert_eq!(faults(class_name, &class), Vec::<String>::new(), "{class:#}");
        assert_eq!(faults(object_name, &object), Vec::<String>::new(), "{object:#}");
        for (value, needs) in [(&class, class_needs), (&object, object_needs)] {
            assert!(value["id"].is_string());
            for needed in needs {
                assert!(!value[*needed].is_null(), "{design}: {needed} is missing in {value:#}");
            }
        }
        assert_eq!(class["id"], object["classId"]);
    }
}

#[test]
fn what_a_template_says_in_googles_words_goes_on_top() {
    let lines = "[google]\nclass_key = \"{{ pass.data.city }}\"\n[google.class]\ncountryCode = \"BR\"\n\
        [google.class.securityAnimation]\nanimationType = \"FOIL_SHIMMER\"\n\
        [google.object]\nsmartTapRedemptionValue = \"{{ pass.serial }}\"\n[google.object.loyaltyPoints]\nlabel = \"Saldo\"\n";
    let content =
        content(&renderer(&crate::sample::plus(lines)), "Ana", &json!({ "city": "São Paulo" }), PassStatus::Active);
    let (class, object) = (class(&content, PLACE), object(&content, PLACE));
    assert_eq!((class["countryCode"].as_str(), object["smartTapRedemptionValue"].as_str()), (Some("BR"), Some("Ab9")));
    assert_eq!(class["securityAnimation"]["animationType"], "FOIL_SHIMMER");
    assert_eq!(object["loyaltyPoints"]["label"], "Saldo");
    assert!(!object["loyaltyPoints"]["balance"].is_null(), "joined, not replaced");
    assert_eq!(faults("LoyaltyClass", &class), Vec::<String>::new());
    assert_eq!(faults("LoyaltyObject", &object), Vec::<String>::new());
    let id = class["id"].as_str().unwrap();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{id}");
}

#[test]
fn each_offer_and_each_event_has_a_class_of_its_own() {
    let id = |design: &str, change: &dyn Fn(&mut Content)| {
        let renderer = renderer(&crate::sample::named(design));
        let mut content = render_sample(&renderer, renderer.design().sample.today).unwrap();
        content.extras.google_class_key = None;
        change(&mut content);
        let (class, object) = (class(&content, PLACE), object(&content, PLACE));
        assert_eq!(class["id"], object["classId"]);
        class["id"].as_str().unwrap().to_owned()
    };
    let same = |_: &mut Content| {};
    assert_eq!(id("cafe-da-tarde", &same), id("cafe-da-tarde", &same));
    let title = |content: &mut Content| content.offer.as_mut().unwrap().title.default.push('!');
    let details = |content: &mut Content| content.offer.as_mut().unwrap().details = None;
    assert_ne!(id("cafe-da-tarde", &title), id("cafe-da-tarde", &same));
    assert_ne!(id("cafe-da-tarde", &details), id("cafe-da-tarde", &same));
    let later = |content: &mut Content| content.event.as_mut().unwrap().starts_at = None;
    let seat = |content: &mut Content| content.event.as_mut().unwrap().seat.number = Some("7".to_owned());
    assert_ne!(id("noite-aurora", &later), id("noite-aurora", &same));
    assert_eq!(id("noite-aurora", &seat), id("noite-aurora", &same), "a seat is the ticket's");
}

#[test]
fn a_field_on_the_card_has_its_place_in_a_row() {
    let mut files = crate::sample::named("generic");
    let template = String::from_utf8(files["template.toml"].clone()).unwrap();
    let template = template.replace("google_area = \"text\"", "google_area = \"card\"");
    let template = template.replace("apple_area = \"secondary\"", "apple_area = \"secondary\"\ngoogle_area = \"card\"");
    files.insert("template.toml".to_owned(), template.into_bytes());
    let renderer = renderer(&files);
    let content = render_sample(&renderer, renderer.design().sample.today).unwrap();
    let card = renderer.design().google_card();
    let place = Surroundings { card: &card, ..PLACE };
    let (class, object) = (class(&content, place), object(&content, place));
    let path = |key: &str| json!({ "firstValue": { "fields": [{ "fieldPath": format!("object.textModulesData['{key}']") }] } });
    assert_eq!(
        class["classTemplateInfo"]["cardTemplateOverride"]["cardRowTemplateInfos"],
        json!([{ "twoItems": { "startItem": path("credit"), "endItem": path("share") } }])
    );
    assert_eq!((faults("GenericClass", &class), faults("GenericObject", &object)), (vec![], vec![]));
    let modules = object["textModulesData"].as_array().unwrap();
    assert!(["credit", "share"].iter().all(|key| modules.iter().any(|module| module["id"] == *key)));
}

#[test]
fn googles_own_words_reach_links_groups_and_apps() {
    let lines = "[google.object.groupingInfo]\ngroupingId = \"{{ program.name }}\"\nsortIndex = 1\n\
        [google.class.appLinkData.androidAppLinkInfo.appTarget]\npackageName = \"br.com.aurora\"\n";
    let linked = "[google.object]\nlinkedObjectIds = [\"3388000000000000000.p.other\"]\n";
    let renderer = renderer(&crate::sample::plus(&format!("{linked}{lines}")));
    let content = content(&renderer, "Ana", &json!({}), PassStatus::Active);
    let (class, object) = (class(&content, PLACE), object(&content, PLACE));
    assert_eq!((faults("LoyaltyClass", &class), faults("LoyaltyObject", &object)), (vec![], vec![]));
    assert_eq!(object["linkedObjectIds"], json!(["3388000000000000000.p.other"]));
    assert_eq!(object["groupingInfo"]["sortIndex"], 1);
    assert_eq!(class["appLinkData"]["androidAppLinkInfo"]["appTarget"]["packageName"], "br.com.aurora");
}

/// The dictionary in the crate is the schema of the tests, made from the same document.
#[test]
fn our_dictionary_of_google_knows_what_the_schema_knows() {
    use passarela::wallet::dictionary::{Giver, Key};
    use passarela::wallet::google::dictionary as ours;
    let document: Value = serde_json::from_str(include_str!("google/walletobjects.json")).unwrap();
    let tables: [(&str, &[Key]); 8] = [
        ("LoyaltyClass", ours::LOYALTY_CLASS),
        ("LoyaltyObject", ours::LOYALTY_OBJECT),
        ("OfferClass", ours::OFFER_CLASS),
        ("OfferObject", ours::OFFER_OBJECT),
        ("EventTicketClass", ours::EVENT_TICKET_CLASS),
        ("EventTicketObject", ours::EVENT_TICKET_OBJECT),
        ("GenericClass", ours::GENERIC_CLASS),
        ("GenericObject", ours::GENERIC_OBJECT),
    ];
    for (name, keys) in tables {
        let known = document["schemas"][name]["properties"].as_object().unwrap();
        assert_eq!(known.len(), keys.len(), "{name}");
        assert!(keys.iter().all(|key| known.contains_key(key.name)), "{name}");
        assert!(keys.iter().any(|key| key.name == "id" && key.giver == Giver::House), "{name}");
    }
}

#[test]
fn fields_go_where_google_shows_them() {
    let (class, object) = made(&json!({ "points": 120, "tier": "Ouro", "note": "Volte logo" }), PassStatus::Active);
    assert_eq!(
        object["loyaltyPoints"]["balance"],
        json!({ "int": 120, "string": null, "double": null, "money": null })
    );
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
