//! `pass.json` of every style, key by key.

use passarela::wallet::apple::dictionary::{FIELD, PASS, SEMANTICS};
use passarela::wallet::apple::pass_json::{Identity, render};
use passarela::wallet::apple::rules::{self, Around};
use passarela::wallet::check::{check, render_sample};
use passarela::wallet::design::Files;
use passarela::wallet::dictionary::{Giver, Key, Shape};
use serde_json::{Map, Value, json};

use crate::sample::{named, plus};

/// The sample pass of a design.
fn pass(files: &Files) -> Value {
    let renderer = check(files).map_err(|faults| faults.to_string()).unwrap().renderer;
    let content = render_sample(&renderer, renderer.design().sample.today).unwrap();
    let identity =
        Identity { pass_type: "pass.example", team: "EXAMPLE000", web_service_url: Some("https://p.example/apple/b") };
    serde_json::from_slice(&render(&content, &renderer.design().apple, identity)).unwrap()
}

#[test]
fn every_neutral_key_reaches_the_pass() {
    let pass = pass(&named("generic"));
    let object = pass.as_object().unwrap();
    let style_keys = ["boardingPass", "coupon", "eventTicket", "storeCard", "posterGeneric"];
    let elsewhere = ["authenticationToken", "voided"];
    for key in PASS.iter().filter(|key| key.giver != Giver::Own) {
        let is_here = object.contains_key(key.name);
        assert_ne!(is_here, style_keys.contains(&key.name) || elsewhere.contains(&key.name), "{}", key.name);
    }
    let style = &pass["generic"];
    assert_eq!(
        style["headerFields"],
        json!([{ "key": "credit", "label": "PONTOS", "value": 12.5, "currencyCode": "BRL",
            "changeMessage": "Você agora tem %@ pontos." }])
    );
    assert_eq!(
        style["secondaryFields"],
        json!([{ "key": "share", "value": 0.15, "numberStyle": "PKNumberStylePercent" }])
    );
    assert_eq!(
        style["auxiliaryFields"],
        json!([{ "key": "average", "value": 3.25, "textAlignment": "PKTextAlignmentRight", "numberStyle": "PKNumberStyleScientific" }])
    );
    let back = style["backFields"].as_array().unwrap();
    assert_eq!(
        back[0],
        json!({ "key": "opens", "value": "2026-12-24T10:00:00-04:00", "dateStyle": "PKDateStyleFull",
            "timeStyle": "PKDateStyleShort", "ignoresTimeZone": true })
    );
    assert_eq!(back[1]["isRelative"], true);
    assert_eq!(
        back[2],
        json!({ "key": "link1", "label": "Site do Clube Aurora", "value": "oi@padaria-aurora.example" })
    );
    assert!(!pass.to_string().contains("for nobody"), "hidden");
    assert_eq!(pass["barcodes"][0]["format"], "PKBarcodeFormatCode128");
    assert_eq!(pass["barcode"]["format"], "PKBarcodeFormatQR", "the old key cannot hold a Code 128");
    assert_eq!(
        pass["beacons"][0],
        json!({ "proximityUUID": "E2C56DB5-DFFB-48D2-B060-D0F5A71096E0", "major": 7, "minor": 12,
        "relevantText": "Recado" })
    );
    assert_eq!(pass["locations"][0]["altitude"], 760.0);
    assert_eq!(
        pass["relevantDates"][0],
        json!({ "startDate": "2026-12-24T18:00:00-03:00", "endDate": "2026-12-24T23:00:00-03:00" })
    );
    assert_eq!(
        pass["relevantDates"][1],
        json!({ "date": "2026-12-24T10:00:00-04:00", "relevantDate": "2026-12-24T10:00:00-04:00" })
    );
    assert_eq!(pass["expirationDate"], "2028-01-01T03:00:00Z");
    assert_eq!(pass["semantics"]["balance"], json!({ "amount": "12.5", "currencyCode": "BRL" }));
}

/// A value of a shape, as TOML.
fn toml(shape: &Shape) -> String {
    match shape {
        Shape::Text | Shape::Localized | Shape::Scalar => "\"text\"".to_owned(),
        Shape::Any => "{ anything = [1, \"two\"] }".to_owned(),
        Shape::Number => "1.5".to_owned(),
        Shape::Integer(low, _) => low.to_string(),
        Shape::Bool => "true".to_owned(),
        Shape::Moment => "\"2026-12-24T19:30:00-03:00\"".to_owned(),
        Shape::Color => "\"#0a0b0c\"".to_owned(),
        Shape::Url => "\"https://example.com/x\"".to_owned(),
        Shape::Word(words) => format!("\"{}\"", words[0]),
        Shape::List(item, _) => format!("[{}]", toml(item)),
        Shape::Object(keys) => {
            let members: Vec<String> = keys.iter().map(|key| format!("{} = {}", key.name, toml(&key.shape))).collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

/// The same as a pass has it.
fn wanted(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Localized | Shape::Scalar => json!("text"),
        Shape::Any => json!({ "anything": [1, "two"] }),
        Shape::Number => json!(1.5),
        Shape::Integer(low, _) => json!(low),
        Shape::Bool => json!(true),
        Shape::Moment => json!("2026-12-24T19:30:00-03:00"),
        Shape::Color => json!("rgb(10, 11, 12)"),
        Shape::Url => json!("https://example.com/x"),
        Shape::Word(words) => json!(words[0]),
        Shape::List(item, _) => json!([wanted(item)]),
        Shape::Object(keys) => {
            keys.iter().map(|key| (key.name.to_owned(), wanted(&key.shape))).collect::<Map<_, _>>().into()
        }
    }
}

/// Each key that `[apple]` may hold, given alone: what is written arrives, typed.
#[test]
fn every_key_of_apples_own_reaches_the_pass() {
    use passarela::wallet::render::Renderer;
    let own = |keys: &'static [Key]| keys.iter().filter(|key| matches!(key.giver, Giver::Own | Giver::Either));
    for key in own(PASS).filter(|key| key.name != "nfc") {
        let mut lines = format!("[apple]\n{} = {}\n", key.name, toml(&key.shape));
        if key.name == "appLaunchURL" {
            lines.push_str("associatedStoreIdentifiers = [1]\n");
        }
        let ticket = key.name == "groupingIdentifier";
        let files = if ticket { with_end(named("noite-aurora"), &lines) } else { plus(&lines) };
        let design = passarela::wallet::design::Design::parse(&files).map_err(|faults| faults.to_string()).unwrap();
        let renderer = Renderer::new(design).map_err(|faults| faults.to_string()).unwrap();
        let content = render_sample(&renderer, renderer.design().sample.today).unwrap();
        let identity = Identity { pass_type: "pass.example", team: "EXAMPLE000", web_service_url: None };
        let pass: Value = serde_json::from_slice(&render(&content, &renderer.design().apple, identity)).unwrap();
        assert_eq!(pass[key.name], wanted(&key.shape), "{}", key.name);
    }
    for key in SEMANTICS {
        let pass = pass(&plus(&format!("[apple.semantics]\n{} = {}\n", key.name, toml(&key.shape))));
        assert_eq!(pass["semantics"][key.name], wanted(&key.shape), "{}", key.name);
    }
    for key in own(FIELD) {
        let line = format!("key = \"points\"\napple = {{ {} = {} }}", key.name, toml(&key.shape));
        let pass = pass(&crate::sample::with(named("clube-aurora"), "template.toml", "key = \"points\"", &line));
        assert_eq!(pass["storeCard"]["headerFields"][0][key.name], wanted(&key.shape), "{}", key.name);
    }
}

fn with_end(mut files: Files, lines: &str) -> Files {
    files.get_mut("template.toml").unwrap().extend_from_slice(lines.as_bytes());
    files
}

#[test]
fn an_expression_in_apples_table_is_typed_by_its_key() {
    let lines = "[apple]\nuseAutomaticColors = \"{{ pass.data.points > 1000 }}\"\n[apple.semantics]\n\
        duration = \"{{ pass.data.points }}\"\nseats = \"{{ pass.data.seats | tojson }}\"\ngenre = \"{{ pass.data.genre }}\"\n\
        [sample.data]\nseats = [{ seatRow = \"A\" }]\npoints = 1240\n";
    let mut files = plus("");
    let text = String::from_utf8(files["template.toml"].clone()).unwrap();
    let text = text.split("[sample]").next().unwrap().to_owned() + lines;
    files.insert("template.toml".to_owned(), text.into_bytes());
    let pass = pass(&files);
    assert_eq!(pass["useAutomaticColors"], true);
    assert_eq!(
        pass["semantics"],
        json!({ "duration": 1240, "seats": [{ "seatRow": "A" }] }),
        "what says nothing is left out"
    );
}

const NFC_KEY: &str = "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACaWaMOEiRJ3AzqRCjJtzNiUe0ZFXH9uUbXY7h3W0JFWY=";

#[test]
fn a_poster_repeats_the_fields_of_the_classic_style_under_other_keys() {
    let mut files = plus(
        "[apple]\nposter = true\n[[apple.featuredActions]]\nidentifier = \"a\"\ntype = \"shop\"\nurl = \"https://example.com\"\n",
    );
    files.insert("artwork.png".to_owned(), include_bytes!("artwork.png").to_vec());
    let pass = pass(&files);
    assert_eq!(pass["posterGeneric"]["headerFields"][0]["key"], "poster_points");
    assert_eq!(pass["storeCard"]["headerFields"][0]["key"], "points");
    assert_eq!(
        pass["posterGeneric"]["primaryFields"].as_array().unwrap().len(),
        2,
        "secondary fields are primary there"
    );
}

#[test]
fn a_boarding_pass_is_a_generic_pass_in_apples_words() {
    let mut files = named("generic");
    let lines = "[apple]\nstyle = \"boardingPass\"\ntransitType = \"PKTransitTypeTrain\"\ngroupingIdentifier = \"g\"\n";
    let text = String::from_utf8(files["template.toml"].clone()).unwrap();
    let text = text.replace("[google.object]", &format!("{lines}\n[google.object]"));
    files.insert("template.toml".to_owned(), text.into_bytes());
    let pass = pass(&files);
    assert_eq!(pass["boardingPass"]["transitType"], "PKTransitTypeTrain");
    assert!(pass.get("generic").is_none());
}

/// Cross rules, each by a pass that breaks it alone: how the sample pass is changed, and the code of the fault.
#[test]
fn every_rule_is_found_by_a_pass_that_breaks_it() {
    let good = |name: &str| pass(&named(name));
    type Change = fn(&mut Value);
    let cases: Vec<(&str, Change, &str)> = vec![
        ("clube-aurora", |pass| pass["serialNumber"] = json!(7), "key-type"),
        ("clube-aurora", |pass| pass["serialNumber"] = json!(""), "key-missing"),
        ("clube-aurora", |pass| pass["serialNumber"] = json!("x".repeat(300)), "serial-long"),
        ("clube-aurora", |pass| pass["passTypeIdentifier"] = json!("userpass.x"), "pass-type"),
        ("clube-aurora", |pass| pass["formatVersion"] = json!(2), "key-value"),
        ("clube-aurora", |pass| pass["backgroundColor"] = json!("blue"), "color"),
        ("clube-aurora", |pass| pass["coupon"] = json!({}), "style"),
        ("clube-aurora", |pass| drop(pass.as_object_mut().unwrap().remove("storeCard")), "style"),
        ("clube-aurora", |pass| pass["posterGeneric"] = json!({}), "poster"),
        ("clube-aurora", |pass| pass["storeCard"]["transitType"] = json!("PKTransitTypeAir"), "transit-type"),
        ("clube-aurora", |pass| pass["groupingIdentifier"] = json!("x"), "grouping"),
        ("clube-aurora", |pass| pass["storeCard"]["backFields"][0]["key"] = json!("points"), "field-twice"),
        ("clube-aurora", |pass| pass["storeCard"]["backFields"][0]["key"] = json!(""), "field-key"),
        ("clube-aurora", |pass| pass["storeCard"]["headerFields"][0]["value"] = json!("many"), "field-number"),
        ("clube-aurora", |pass| pass["storeCard"]["headerFields"][0]["currencyCode"] = json!("BRL"), "field-number"),
        ("generic", |pass| pass["generic"]["headerFields"][0]["currencyCode"] = json!("BRR"), "currency"),
        ("clube-aurora", |pass| pass["storeCard"]["headerFields"][0]["changeMessage"] = json!("new"), "field-change"),
        (
            "clube-aurora",
            |pass| pass["storeCard"]["headerFields"][0]["dateStyle"] = json!("PKDateStyleShort"),
            "field-date",
        ),
        (
            "clube-aurora",
            |pass| pass["storeCard"]["backFields"][0]["textAlignment"] = json!("PKTextAlignmentLeft"),
            "field-alignment",
        ),
        (
            "clube-aurora",
            |pass| pass["storeCard"]["headerFields"][0]["dataDetectorTypes"] = json!([]),
            "field-detectors",
        ),
        ("clube-aurora", |pass| pass["storeCard"]["headerFields"][0]["row"] = json!(1), "field-row"),
        (
            "clube-aurora",
            |pass| pass["storeCard"]["backFields"][0]["attributedValue"] = json!("<b>x</b>"),
            "field-markup",
        ),
        (
            "clube-aurora",
            |pass| {
                let field = pass["storeCard"]["secondaryFields"][0].clone();
                let more = (0..5).map(|n| {
                    let mut field = field.clone();
                    field["key"] = json!(format!("more{n}"));
                    field
                });
                pass["storeCard"]["secondaryFields"] = more.collect();
            },
            "too-many-fields",
        ),
        ("clube-aurora", |pass| pass["barcode"]["format"] = json!("PKBarcodeFormatCode128"), "barcode"),
        ("clube-aurora", |pass| pass["barcode"]["message"] = json!("☕"), "barcode-encoding"),
        (
            "clube-aurora",
            |pass| {
                pass.as_object_mut().unwrap().remove("barcode");
                pass["barcodes"][0]["format"] = json!("PKBarcodeFormatEAN13");
            },
            "barcode-new",
        ),
        ("generic", |pass| pass["locations"][0]["latitude"] = json!(123), "location"),
        ("generic", |pass| pass["locations"][0]["latitude"] = json!("1"), "key-type"),
        ("generic", |pass| pass["locations"] = json!(vec![json!({ "latitude": 1, "longitude": 1 }); 11]), "too-many"),
        ("generic", |pass| pass["beacons"][0]["proximityUUID"] = json!("x"), "beacon"),
        (
            "generic",
            |pass| {
                pass["beacons"] = (0..11)
                    .map(|n| json!({ "proximityUUID": format!("00000000-0000-0000-0000-0000000000{n:02}") }))
                    .collect()
            },
            "beacon",
        ),
        ("generic", |pass| pass["relevantDates"][0]["date"] = json!("2026-12-24T10:00Z"), "relevant-date"),
        ("generic", |pass| pass["relevantDates"][0] = json!({}), "relevant-date"),
        ("generic", |pass| drop(pass["relevantDates"][0].as_object_mut().unwrap().remove("endDate")), "relevant-date"),
        ("generic", |pass| pass["relevantDates"][0]["endDate"] = json!("2026-12-30T10:00Z"), "relevant-date"),
        ("generic", |pass| pass["expirationDate"] = json!("2026-12-30T10:00:00.5Z"), "date"),
        ("clube-aurora", |pass| pass["relevantDate"] = json!("2026-12-30T10:00Z"), "relevant-date"),
        ("clube-aurora", |pass| pass["nfc"] = json!({ "message": "x", "encryptionPublicKey": "y" }), "nfc-key"),
        (
            "clube-aurora",
            |pass| pass["nfc"] = json!({ "message": "x".repeat(65), "encryptionPublicKey": NFC_KEY }),
            "nfc-message",
        ),
        (
            "clube-aurora",
            |pass| pass["nfc"] = json!({ "message": "x", "encryptionPublicKey": NFC_KEY }),
            "nfc-certificate",
        ),
        ("clube-aurora", |pass| pass["webServiceURL"] = json!("http://p.example"), "web-service"),
        ("clube-aurora", |pass| pass["webServiceURL"] = json!("https://p.example/v1/"), "web-service"),
        ("clube-aurora", |pass| pass["authenticationToken"] = json!("short"), "token"),
        ("clube-aurora", |pass| pass["appLaunchURL"] = json!("app://x"), "app-launch"),
        ("clube-aurora", |pass| pass["featuredActions"] = json!([{ "identifier": "a", "type": "shop" }]), "action"),
        (
            "clube-aurora",
            |pass| pass["featuredActions"] = json!([{ "identifier": "a", "type": "call", "url": "https://x.example" }]),
            "action",
        ),
        ("clube-aurora", |pass| pass["upcomingPassInformation"] = json!([]), "poster"),
        ("noite-aurora", |pass| pass["preferredStyleSchemes"] = json!(["posterEventTicket"]), "poster"),
        ("generic", |pass| pass["preferredStyleSchemes"] = json!(["semanticBoardingPass"]), "boarding"),
        ("noite-aurora", |pass| pass["semantics"]["eventType"] = json!("PKEventTypeParty"), "key-value"),
        (
            "noite-aurora",
            |pass| pass["semantics"]["totalPrice"] = json!({ "amount": 5, "currencyCode": "BRL" }),
            "key-type",
        ),
    ];
    for (name, change, code) in cases {
        let mut pass = good(name);
        pass["authenticationToken"] = json!("0123456789abcdef");
        let files = named(name);
        let files = files.keys().map(String::as_str).collect();
        let around = Around { files: &files, is_nfc_certificate: Some(false) };
        let codes = |pass: &Value| -> Vec<&str> {
            rules::check(pass.as_object().unwrap(), around).iter().map(|fault| fault.code).collect()
        };
        assert_eq!(codes(&pass), Vec::<&str>::new(), "{name} is good");
        change(&mut pass);
        assert!(codes(&pass).contains(&code), "{code} is not among {:?}", codes(&pass));
    }
}

/// The shipped designs are good without a note.
#[test]
fn the_shipped_designs_have_neither_faults_nor_notes() {
    for name in crate::sample::SHIPPED {
        let checked = check(&named(name)).map_err(|faults| faults.to_string()).unwrap();
        assert_eq!(checked.notes, [], "{name}");
    }
}
