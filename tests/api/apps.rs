//! The brand's own app: phones register with their customers' tokens, and are told of balances, tiers and coupons.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use passarela::app::Role;
use passarela::config::Config;
use passarela::domain::delivery::{Channel, DeliveryState};
use passarela::domain::role::Role as KeyRole;
use passarela::store::outbox;
use passarela::worker::dispatcher;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, TestPass};
use crate::apple::FakeApple;
use crate::apple_web_service::Phone;
use crate::engine::Engine;
use crate::firebase::{FakeFirebase, Reply, refuse};
use crate::on_both_engines;

const APP_ID: &str = "br.com.aurora.app";

/// Firebase's table: status, canonical status, code, the member that is wrong; and what becomes of an installation.
const TABLE: &[(u16, &str, &str, Option<&str>, &str)] = &[
    (404, "NOT_FOUND", "UNREGISTERED", None, "gone"),
    (404, "NOT_FOUND", "", None, "told"),
    (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", None, "suspected"),
    (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Some("message.token"), "suspected"),
    (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Some("message.data"), "parked"),
    (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", None, "suspected"),
    (403, "PERMISSION_DENIED", "", None, "told"),
    (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", None, "told"),
    (503, "UNAVAILABLE", "UNAVAILABLE", None, "told"),
    (500, "INTERNAL", "INTERNAL", None, "told"),
    (500, "UNKNOWN", "UNSPECIFIED_ERROR", None, "told"),
    (418, "SOMETHING_NEW", "SOMETHING_NEW", None, "parked"),
    (401, "UNAUTHENTICATED", "", None, "told"),
];

async fn start(engine: Engine, firebase: &FakeFirebase) -> TestApp {
    TestApp::start_with(engine, Role::Api, |config| firebase.configure(config)).await
}

/// A token for a customer's phone, as the brand's server gets it.
async fn customer_token(app: &TestApp, customer: &str) -> String {
    let key = app.key(&app.one, KeyRole::App).await;
    let body = json!({ "customer": { "external_id": customer } });
    let (status, issued) = app.post("/api/v1/app-devices/tokens", &key, &body).await;
    assert_eq!(status, 201, "{issued}");
    issued["token"].as_str().unwrap().to_owned()
}

pub async fn register(app: &TestApp, customer: &str, address: &str) -> Value {
    let token = customer_token(app, customer).await;
    let body = json!({ "service": "fcm", "platform": "android", "token": address, "locale": "pt-BR" });
    let (status, device) = app.post("/api/v1/app-devices", &token, &body).await;
    assert!(matches!(status, 200 | 201), "{device}");
    device
}

async fn change(app: &TestApp, pass: &TestPass, points: i64) {
    app.clock.advance(TimeDelta::seconds(2));
    app.set_points(pass, points).await;
    app.work().await;
    app.deliver().await;
}

/// Another of the shipped designs.
async fn install(app: &TestApp, design: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pass-templates").join(design);
    let files = passarela::wallet::design::Design::read_folder(&folder).unwrap();
    let brand = app.one.brand.id;
    let installed = passarela::service::templates::install(app.app(), brand, crate::app::PASS_TYPE, files, None).await;
    installed.map_err(|problem| problem.to_string()).unwrap();
}

async fn row(app: &TestApp, device: &Value) -> Option<outbox::Delivery> {
    let id: passarela::domain::ids::AppDeviceId = device["id"].as_str().unwrap().parse().unwrap();
    let mut reader = app.app().db.read().await.unwrap();
    outbox::find(&mut reader.conn(), app.one.brand.id, Channel::Fcm, id.uuid()).await.unwrap()
}

on_both_engines! {
    async fn an_app_is_told_of_every_change_once_and_in_its_language(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let pass = app.issue("ana").await;
        let device = register(&app, "ana", "phone-a").await;
        change(&app, &pass, 250).await;
        let shown = firebase.shown("phone-a");
        assert_eq!((shown.len(), firebase.faults()), (1, vec![]), "{shown:?}");
        assert_eq!(shown[0]["notification"]["title"], "Padaria Aurora");
        assert!(shown[0]["notification"]["body"].as_str().unwrap().contains("250"), "{}", shown[0]);
        assert_eq!((&shown[0]["data"]["pass_ids"], &shown[0]["data"]["balance"]), (&json!(pass.id), &json!("250")));
        assert_eq!(shown[0]["android"]["priority"], "HIGH");
        app.sweep().await;
        app.deliver().await;
        assert_eq!(firebase.sent().len(), 1, "nobody is told twice for nothing");
        // Two changes that nobody looked at in between are one message, of what is true now.
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 251).await;
        app.work().await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 252).await;
        app.work().await;
        app.deliver().await;
        assert_eq!(firebase.shown("phone-a").len(), 2);
        assert_eq!(firebase.shown("phone-a")[1]["data"]["balance"], "252");
        let (_, held) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
        assert_eq!((&held["apps"][0]["id"], &held["apps"][0]["is_told"]), (&device["id"], &json!(true)), "{held}");
        assert_eq!(held["apps"][0]["delivery"]["answer"], "200");
    }

    async fn a_new_coupon_is_announced_and_a_card_that_was_asked_for_is_not(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        app.issue("ana").await;
        register(&app, "ana", "phone-a").await;
        install(&app, "cafe-da-tarde").await;
        let body = json!({
            "template": "cafe-da-tarde", "program_id": app.one.program_id, "external_id": "c1",
            "customer": { "external_id": "ana" },
            "data": { "coupon": { "discount": 0.2, "ends_at": "2030-12-31" } },
        });
        let (status, coupon) = app.post("/api/v1/passes", &app.one.key, &body).await;
        assert_eq!(status, 201, "{coupon}");
        app.deliver().await;
        let shown = firebase.shown("phone-a");
        assert_eq!((shown.len(), firebase.faults()), (1, vec![]), "{shown:?}");
        let text = shown[0]["notification"]["body"].as_str().unwrap();
        assert!(text.starts_with("Novo cupom: "), "{text}");
        assert_eq!(shown[0]["apns"]["payload"]["aps"]["badge"], 1);
        // Taken back: the app is told, and the holder is not disturbed.
        app.clock.advance(TimeDelta::seconds(2));
        let path = format!("/api/v1/passes/{}/void", coupon["id"].as_str().unwrap());
        assert_eq!(app.post(&path, &app.one.key, &json!({})).await.0, 200);
        app.work().await;
        app.deliver().await;
        let last = firebase.shown("phone-a").pop().unwrap();
        assert_eq!((&last["notification"], &last["data"]["status"]), (&Value::Null, &json!("voided")));
        assert_eq!(last["android"]["priority"], "NORMAL");
    }

    async fn a_phone_speaks_for_its_customer_alone(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let (ana, rui) = (app.issue("ana").await, app.issue("rui").await);
        let device = register(&app, "ana", "phone-a").await;
        let path = format!("/api/v1/app-devices/{}", device["id"].as_str().unwrap());
        let ruis = customer_token(&app, "rui").await;
        assert_eq!(app.send("DELETE", &path, &ruis, None).await.status(), 404, "not his");
        for token in [app.one.key.as_str(), "pct_x_y", &format!("{ruis}x"), &ruis.replace("pct_", "psk_")] {
            assert_eq!(app.send("DELETE", &path, token, None).await.status(), 401, "{token}");
        }
        let foreign = ruis.replace(&app.one.brand.code, &app.two.brand.code);
        assert_eq!(app.send("DELETE", &path, &foreign, None).await.status(), 401);
        assert_eq!(app.get("/api/v1/passes", &ruis).await.0, 401, "no key");
        // Rui signs in on Ana's phone: from now on it is his.
        let again = register(&app, "rui", "phone-a").await;
        assert_eq!(again["id"], device["id"]);
        change(&app, &ana, 7).await;
        assert_eq!(firebase.sent().len(), 0, "Ana's points are not Rui's business");
        change(&app, &rui, 8).await;
        assert_eq!(firebase.shown("phone-a")[0]["data"]["balance"], "8");
        assert_eq!(app.send("DELETE", &path, &ruis, None).await.status(), 204);
        change(&app, &rui, 9).await;
        assert_eq!(firebase.sent().len(), 1);
        app.clock.advance(TimeDelta::minutes(61));
        let body = json!({ "service": "fcm", "platform": "android", "token": "phone-b" });
        assert_eq!(app.post("/api/v1/app-devices", &ruis, &body).await.0, 401, "an hour is over");
        let (_, events) = app.get("/api/v1/events?limit=200", &app.one.key).await;
        let kinds: Vec<_> = events["data"].as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.starts_with("app_device.")).count(), 4, "{kinds:?}");
    }

    async fn what_is_wrong_in_a_registration_is_named(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        app.issue("ana").await;
        let token = customer_token(&app, "ana").await;
        for (body, pointer) in [
            (json!({ "service": "fcm", "platform": "android" }), "/token"),
            (json!({ "service": "fcm", "platform": "android", "token": "" }), "/token"),
            (json!({ "service": "fcm", "platform": "android", "token": "a b" }), "/token"),
            (json!({ "service": "fcm", "platform": "android", "fid": "x".repeat(2_000) }), "/fid"),
            (json!({ "service": "apns", "platform": "ios", "token": "aa" }), "/service"),
            (json!({ "service": "sms", "platform": "ios", "token": "aa" }), "/service"),
            (json!({ "service": "fcm", "platform": "android", "token": "a", "customer_id": "b" }), "/customer_id"),
        ] {
            let (status, problem) = app.post("/api/v1/app-devices", &token, &body).await;
            assert_eq!((status, problem["pointer"].as_str().unwrap_or_default()), (422, pointer), "{problem}");
        }
        let key = app.key(&app.one, KeyRole::App).await;
        let unknown = json!({ "customer": { "external_id": "nobody" } });
        assert_eq!(app.post("/api/v1/app-devices/tokens", &key, &unknown).await.0, 404);
        let named = json!({ "customer": { "external_id": "ana", "name": "Ana" } });
        assert_eq!(app.post("/api/v1/app-devices/tokens", &key, &named).await.0, 422);
        // Ten phones are enough: the one that registered longest ago gives way.
        for index in 0..12 {
            app.clock.advance(TimeDelta::seconds(1));
            register(&app, "ana", &format!("phone-{index}")).await;
        }
        let (_, page) = app.get("/api/v1/app-devices", &app.one.key).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 10);
        assert!(!page.to_string().contains("phone-11"), "an address is a secret: {page}");
    }

    async fn every_answer_of_firebase_has_its_consequence(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let mut passes = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            let pass = app.issue(name).await;
            passes.push((pass, register(&app, name, name).await));
        }
        let field = |field| Reply::Refuse { status: 400, canonical: "INVALID_ARGUMENT", code: "INVALID_ARGUMENT", field: Some(field), retry_after: None };
        firebase.script("a", [refuse(404, "NOT_FOUND", "UNREGISTERED")]);
        firebase.script("b", [field("message.token")]);
        firebase.script("c", [field("message.data")]);
        firebase.script("d", [refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")]);
        firebase.script("e", [refuse(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), refuse(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")]);
        app.clock.advance(TimeDelta::seconds(2));
        for (pass, _) in &passes {
            app.set_points(pass, 5).await;
        }
        app.work().await;
        app.deliver().await;
        let mut states = Vec::new();
        for (_, device) in &passes {
            states.push(row(&app, device).await.map(|row| (row.state, row.answer.unwrap_or_default())));
        }
        let said = |state, answer: &str| Some((state, answer.to_owned()));
        assert_eq!(states, [
            None,
            said(DeliveryState::Pending, "400 INVALID_ARGUMENT"),
            said(DeliveryState::Parked, "400 INVALID_ARGUMENT"),
            said(DeliveryState::Pending, "403 SENDER_ID_MISMATCH"),
            said(DeliveryState::Parked, "401 THIRD_PARTY_AUTH_ERROR"),
        ]);
        let (_, page) = app.get("/api/v1/app-devices", &app.one.key).await;
        let listed = page["data"].as_array().unwrap();
        assert_eq!(listed.len(), 4, "who is unregistered is gone");
        assert_eq!(listed.iter().filter(|device| device["refused_since"].is_string()).count(), 2);
        // Refused for a day, while others are reached: gone. Registered again: told again.
        firebase.script("b", [field("message.token"), field("message.token")]);
        app.clock.advance(TimeDelta::hours(25));
        let path = format!("/api/v1/deliveries/{}/retry", passes[2].1["id"].as_str().unwrap());
        assert_eq!(app.post(&path, &app.one.key, &json!({})).await.0, 200);
        app.deliver().await;
        app.clock.advance(TimeDelta::hours(7));
        app.deliver().await;
        let (_, page) = app.get("/api/v1/app-devices", &app.one.key).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 3, "{page}");
        assert_eq!(firebase.shown("c").len(), 1);
        assert_eq!(firebase.shown("d").len(), 1, "the second time it was taken");
        register(&app, "b", "b2").await;
        change(&app, &passes[1].0, 6).await;
        assert_eq!(firebase.shown("b2").len(), 1);
    }

    async fn every_row_of_firebases_table_has_its_consequence(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let mut wanted = BTreeSet::new();
        for (status, canonical, code, field, after) in TABLE {
            let name = format!("phone{}", wanted.len());
            let pass = app.issue(&name).await;
            register(&app, &name, &name).await;
            firebase.script(&name, [Reply::Refuse { status: *status, canonical, code, field: *field, retry_after: None }]);
            wanted.insert(format!("{status} {code} {}", field.unwrap_or_default()).trim().to_owned());
            change(&app, &pass, 5).await;
            for _ in 0..2 {
                app.clock.advance(TimeDelta::seconds(62));
                app.deliver().await;
            }
            let (_, held) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
            let one = &held["apps"][0];
            let is = match (one["delivery"]["state"].as_str(), one["refused_since"].is_string()) {
                (Some("done"), false) => "told",
                (Some("parked"), false) => "parked",
                (Some("pending"), true) => "suspected",
                (None, false) if held["apps"] == json!([]) => "gone",
                _ => panic!("{status} {code}: {held}"),
            };
            assert_eq!(is, *after, "{status} {code}: {held}");
        }
        assert_eq!((firebase.refusals(), firebase.faults()), (wanted, vec![]));
    }

    async fn the_quota_is_everybodys_and_a_wrong_project_holds_them_all(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let (ana, rui) = (app.issue("ana").await, app.issue("rui").await);
        register(&app, "ana", "a").await;
        register(&app, "rui", "b").await;
        firebase.script("a", [refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")]);
        change(&app, &ana, 5).await;
        change(&app, &rui, 5).await;
        assert_eq!(firebase.sent().len(), 1, "nobody is asked before a minute is over");
        app.clock.advance(TimeDelta::seconds(62));
        app.deliver().await;
        app.clock.advance(TimeDelta::seconds(5));
        app.deliver().await;
        assert_eq!((firebase.shown("a").len(), firebase.shown("b").len()), (1, 1));
        // A 404 without a word of Firebase's own is not the phone's.
        firebase.script("a", [refuse(404, "NOT_FOUND", "")]);
        change(&app, &ana, 6).await;
        change(&app, &rui, 6).await;
        let (_, page) = app.get("/api/v1/app-devices", &app.one.key).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 2, "tokens stay");
        for _ in 0..3 {
            app.clock.advance(TimeDelta::seconds(62));
            app.deliver().await;
        }
        assert_eq!((firebase.shown("a").len(), firebase.shown("b").len()), (2, 2));
    }

    async fn an_access_token_that_is_refused_is_asked_for_again_once(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let pass = app.issue("ana").await;
        for name in ["a", "b", "c", "d"] {
            register(&app, "ana", name).await;
        }
        change(&app, &pass, 5).await;
        assert_eq!((firebase.shown("a").len(), firebase.minted()), (1, 1));
        firebase.revoke_tokens();
        change(&app, &pass, 6).await;
        assert_eq!((firebase.shown("a").len(), firebase.shown("d").len(), firebase.minted()), (2, 2, 2));
    }

    async fn the_sweep_tells_what_was_forgotten(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let pass = app.issue("ana").await;
        register(&app, "ana", "a").await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 5).await;
        app.work().await;
        crate::publishing::forget_deliveries(&app).await;
        app.deliver().await;
        assert_eq!(firebase.sent().len(), 0);
        app.sweep().await;
        app.deliver().await;
        assert_eq!(firebase.shown("a").len(), 1);
        app.sweep().await;
        app.deliver().await;
        assert_eq!(firebase.sent().len(), 1);
    }

    async fn an_app_that_starts_again_ends_no_wait(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let pass = app.issue("ana").await;
        register(&app, "ana", "a").await;
        let wait = Reply::Refuse { status: 503, canonical: "UNAVAILABLE", code: "UNAVAILABLE", field: None, retry_after: Some("60") };
        firebase.script("a", [wait]);
        change(&app, &pass, 5).await;
        register(&app, "ana", "a").await;
        app.deliver().await;
        assert_eq!(firebase.sent().len(), 1, "it was asked to wait a minute");
        app.clock.advance(TimeDelta::seconds(61));
        app.deliver().await;
        assert_eq!(firebase.shown("a").len(), 1);
    }

    async fn a_message_that_is_sent_twice_is_shown_once(engine) {
        let firebase = FakeFirebase::calm().await;
        let app = start(engine, &firebase).await;
        let pass = app.issue("ana").await;
        register(&app, "ana", "a").await;
        firebase.script("a", [Reply::AcceptAndFail, Reply::Html]);
        change(&app, &pass, 5).await;
        for _ in 0..3 {
            app.clock.advance(TimeDelta::minutes(1));
            app.deliver().await;
        }
        assert_eq!((firebase.sent().len(), firebase.shown("a").len()), (3, 1));
    }

    async fn a_firebase_that_hangs_keeps_nobody_waiting(engine) {
        let (firebase, apple) = (FakeFirebase::calm().await, FakeApple::calm().await);
        let configure = |config: &mut Config| {
            firebase.configure(config);
            apple.configure(config);
        };
        let app = TestApp::start_with(engine, Role::Api, configure).await;
        let pass = app.issue("ana").await;
        register(&app, "ana", "a").await;
        assert_eq!(Phone::new(&app, "phone").register(&pass, "aa01").await, 201);
        firebase.answer_all(Some(Reply::Hang));
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 2).await;
        app.work().await;
        let stop = CancellationToken::new();
        let running: Vec<_> = Channel::ALL
            .iter()
            .map(|channel| tokio::spawn(dispatcher::run(app.app().clone(), *channel, stop.clone())))
            .collect();
        let begun = tokio::time::Instant::now();
        while apple.accepted().is_empty() || firebase.sent().is_empty() {
            assert!(begun.elapsed().as_secs() < 8, "the phone waits for Firebase");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        app.set_points(&pass, 3).await;
        assert!(begun.elapsed().as_secs() < 8, "a caller waits for Firebase");
        stop.cancel();
        for one in running {
            one.await.unwrap();
        }
    }

    async fn the_brands_ios_app_is_told_through_apple(engine) {
        let apple = FakeApple::calm().await;
        let certs = crate::pushes::with_push_key(APP_ID);
        let configure = |config: &mut Config| {
            apple.configure(config);
            config.apple.certs_dir = certs.path().to_owned();
            config.apple.app_id = Some(APP_ID.to_owned());
        };
        let app = TestApp::start_with(engine, Role::Api, configure).await;
        let pass = app.issue("ana").await;
        let token = customer_token(&app, "ana").await;
        let body = json!({ "service": "apns", "platform": "ios", "token": "abcd01", "locale": "en-US" });
        let (status, device) = app.post("/api/v1/app-devices", &token, &body).await;
        assert_eq!((status, &device["locale"]), (201, &json!("en")), "{device}");
        change(&app, &pass, 12).await;
        let (messages, calls) = (apple.messages(), apple.calls());
        assert_eq!((messages.len(), calls.len(), calls[0].topic.as_str()), (1, 1, APP_ID), "{messages:?}");
        let payload = &messages[0].payload;
        let header = |name: &str| messages[0].headers[name].to_str().unwrap().to_owned();
        assert_eq!((header("apns-push-type"), header("apns-priority")), ("alert".to_owned(), "10".to_owned()));
        assert!(header("apns-collapse-id").starts_with(device["id"].as_str().unwrap()));
        assert!(payload["aps"]["alert"]["body"].as_str().unwrap().contains("12"), "{payload}");
        assert_eq!((&payload["aps"]["badge"], &payload["aps"]["thread-id"]), (&json!(0), &json!(pass.id)));
        assert_eq!(payload["pass_ids"], json!(pass.id));
        assert_eq!(apple.bearers().len(), 1);
        // Apple says that the app is gone.
        apple.script("abcd01", [crate::apple::refuse(410, "Unregistered")]);
        change(&app, &pass, 13).await;
        let (_, page) = app.get("/api/v1/app-devices", &app.one.key).await;
        assert_eq!(page["data"], json!([]));
    }
}
