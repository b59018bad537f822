//! Google Wallet: a link is clicked, and from then on Google holds what the pass says.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use passarela::app::Role;
use passarela::domain::delivery::{Channel, DeliveryState};
use passarela::service::App;
use passarela::service::reconcile::{self, Found};
use passarela::store::outbox;
use passarela::worker::{dispatcher, publisher};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, TestClock, TestPass};
use crate::cloud::claims;
use crate::engine::Engine;
use crate::google::{FakeGoogle, ISSUER, Reply, refuse, without_nulls};
use crate::lifecycle::passarela;
use crate::on_both_engines;

/// Google's table, as far as it can be said to a change of an object that is there.
const TABLE: &[(u16, &str, &str)] = &[
    (400, "invalid", "parked"),
    (401, "authError", "told"),
    (403, "permissionDenied", "told"),
    (403, "quotaExceeded", "told"),
    (429, "rateLimitExceeded", "told"),
    (500, "backendError", "told"),
    (502, "somethingNew", "told"),
    (503, "unavailable", "told"),
    (418, "somethingNew", "parked"),
];

async fn start(engine: Engine, google: &FakeGoogle) -> TestApp {
    TestApp::start_with(engine, Role::Api, |config| google.configure(config)).await
}

/// A click on "Add to Google Wallet", while workers work, each channel by itself.
pub async fn click(app: &TestApp, pass: &TestPass) -> reqwest::Response {
    let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
    let clicked = app.http.get(view["google_url"].as_str().unwrap()).send();
    tokio::select! {
        response = clicked => response.unwrap(),
        () = work_on(&app.clock, app.app()) => unreachable!("it works for ever"),
    }
}

/// Works, while time goes by.
async fn work_on(clock: &TestClock, app: &App) {
    let stop = CancellationToken::new();
    let channel = async |channel| loop {
        dispatcher::round(app, channel, &stop).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let publish = async || loop {
        publisher::round(app, &stop).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let tick = async || loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        clock.advance(TimeDelta::milliseconds(20));
    };
    tokio::join!(channel(Channel::GoogleClass), channel(Channel::Google), publish(), tick());
}

async fn change(app: &TestApp, pass: &TestPass, points: i64) {
    app.clock.advance(TimeDelta::seconds(2));
    app.set_points(pass, points).await;
    app.work().await;
    app.deliver().await;
}

async fn state(app: &TestApp, channel: Channel) -> Vec<(DeliveryState, Option<String>)> {
    let mut reader = app.app().db.read().await.unwrap();
    let rows = outbox::list(&mut reader.conn(), app.one.brand.id, channel, None, None, 100).await.unwrap();
    rows.into_iter().map(|row| (row.state, row.answer)).collect()
}

fn object_id(pass: &TestPass) -> String {
    format!("{ISSUER}.p.{}", pass.serial)
}

fn points(google: &FakeGoogle, pass: &TestPass) -> Value {
    google.held("loyaltyObject")[&object_id(pass)]["loyaltyPoints"]["balance"]["int"].clone()
}

on_both_engines! {
    async fn a_click_leads_to_an_object_that_google_holds_and_keeps_true(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        change(&app, &pass, 5).await;
        assert!(google.calls().is_empty(), "nobody asked for it at Google yet");
        let response = click(&app, &pass).await;
        assert_eq!((response.status().as_u16(), &response.headers()["cache-control"]), (303, &"private, no-store".parse().unwrap()));
        let address = response.headers()["location"].to_str().unwrap();
        let token = address.strip_prefix("https://pay.google.com/gp/v/save/").unwrap();
        assert!(token.len() < 1_800, "{}", token.len());
        let said = claims(token).unwrap();
        let class = google.held("loyaltyClass").into_keys().next().unwrap();
        let payload = json!({ "loyaltyObjects": [{ "id": object_id(&pass), "classId": class }] });
        assert_eq!((&said["aud"], &said["typ"], &said["origins"], &said["payload"]), (&json!("google"), &json!("savetowallet"), &json!([]), &payload));
        assert_eq!(said["iat"], passarela::clock::Clock::now(&*app.clock).timestamp());
        let methods: Vec<_> = google.calls().iter().map(|call| format!("{} {}", call.method, call.resource)).collect();
        assert_eq!(methods, ["POST loyaltyClass", "POST loyaltyObject"], "the class first, each once");
        assert_eq!(points(&google, &pass), 5);
        assert_eq!(click(&app, &pass).await.status(), 303);
        assert_eq!(google.calls().len(), 2, "it is there");
        change(&app, &pass, 9).await;
        assert_eq!(points(&google, &pass), 9);
        assert_eq!(google.calls().len(), 3);
        // Equal to ours, member by member.
        let (_, stored) = stored(&app, &pass).await;
        assert_eq!(google.held("loyaltyObject")[&object_id(&pass)], without_nulls(stored));
        assert_eq!(google.faults(), Vec::<String>::new());
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        assert_eq!(view["held_on"], json!({ "apple": 0, "google": false }));
        google.save(&object_id(&pass));
        change(&app, &pass, 10).await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        assert_eq!(view["held_on"], json!({ "apple": 0, "google": true }));
        app.work().await;
        let (_, events) = app.get("/api/v1/events?limit=200", &app.one.key).await;
        let added: Vec<_> = events["data"].as_array().unwrap().iter().filter(|event| event["kind"] == "pass.added").collect();
        assert_eq!((added.len(), &added[0]["data"]["wallet"]), (1, &json!("google")), "{events}");
        assert_eq!(added[0]["customer_id"], view["customer_id"]);
        let (_, list) = app.get("/api/v1/passes", &app.one.key).await;
        assert_eq!(list["data"][0]["held_on"]["google"], true);
    }

    async fn what_turns_out_otherwise_is_made_or_patched(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        // Done, and said not to be: the second try finds it.
        google.script(&object_id(&pass), [Reply::ObeyAndFail]);
        let clicked = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            app.clock.advance(TimeDelta::seconds(6));
        };
        let (response, ()) = tokio::join!(click(&app, &pass), clicked);
        assert_eq!(response.status(), 303);
        let methods: Vec<_> = google.calls().iter().map(|call| call.method.clone()).collect();
        assert_eq!(methods, ["POST", "POST", "POST", "PATCH"]);
        google.forget("loyaltyObject", &object_id(&pass));
        change(&app, &pass, 3).await;
        assert_eq!(points(&google, &pass), 3, "a 404 to a patch");
        google.forget("loyaltyObject", &object_id(&pass));
        let class = google.held("loyaltyClass").into_keys().next().unwrap();
        google.forget("loyaltyClass", &class);
        change(&app, &pass, 4).await;
        app.clock.advance(TimeDelta::seconds(6));
        app.deliver().await;
        assert_eq!(points(&google, &pass), 4, "a class that is gone is made again");
        assert_eq!(google.held("loyaltyClass").len(), 1);
        // Of what is over nothing is made again.
        google.forget("loyaltyObject", &object_id(&pass));
        app.clock.advance(TimeDelta::seconds(2));
        app.post(&format!("/api/v1/passes/{}/void", pass.id), &app.one.key, &json!({})).await;
        app.work().await;
        app.deliver().await;
        assert!(google.held("loyaltyObject").is_empty());
        assert_eq!(state(&app, Channel::Google).await, [(DeliveryState::Done, Some("404, and it is over".to_owned()))]);
    }

    async fn the_state_follows_the_pass_and_null_clears(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        click(&app, &pass).await;
        app.clock.advance(TimeDelta::seconds(2));
        let path = format!("/api/v1/passes/{}", pass.id);
        app.patch(&path, &app.one.key, &json!({ "data": { "tier": "Ouro" } })).await;
        app.work().await;
        app.deliver().await;
        let object = || google.held("loyaltyObject")[&object_id(&pass)].clone();
        let golden = object()["classId"].clone();
        let classes = google.held("loyaltyClass");
        assert_eq!((classes.len(), &classes[golden.as_str().unwrap()]["rewardsTier"]), (2, &json!("Ouro")), "a class for each tier");
        app.clock.advance(TimeDelta::seconds(2));
        app.patch(&path, &app.one.key, &json!({ "data": { "tier": null } })).await;
        app.work().await;
        app.deliver().await;
        assert_ne!(object()["classId"], golden);
        assert_eq!(object()["state"], "ACTIVE");
        app.clock.advance(TimeDelta::seconds(2));
        app.post(&format!("{path}/void"), &app.one.key, &json!({})).await;
        app.work().await;
        app.deliver().await;
        assert_eq!(object()["state"], "INACTIVE");
        assert_eq!(click(&app, &pass).await.headers()["location"], format!("/p/{}", link(&app, &pass).await).as_str(), "the page says that it is over");
        assert_eq!(google.faults(), Vec::<String>::new());
    }

    async fn a_refused_token_is_renewed_once_for_all(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let mut passes = Vec::new();
        for index in 0..5 {
            let pass = app.issue(&format!("p{index}")).await;
            click(&app, &pass).await;
            passes.push(pass);
        }
        assert_eq!(google.minted(), 1);
        google.revoke_tokens();
        app.clock.advance(TimeDelta::seconds(2));
        for pass in &passes {
            app.set_points(pass, 50).await;
        }
        app.work().await;
        app.deliver().await;
        assert!(passes.iter().all(|pass| points(&google, pass) == 50));
        assert_eq!(google.minted(), 2);
    }

    async fn refusals_are_told_apart_by_their_reason(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        click(&app, &pass).await;
        let row = async || state(&app, Channel::Google).await.remove(0);
        google.script(&object_id(&pass), [Reply::Refuse { status: 403, reason: "quotaExceeded", retry_after: Some("60") }]);
        change(&app, &pass, 2).await;
        assert_eq!(row().await, (DeliveryState::Pending, Some("403 quotaExceeded".to_owned())));
        app.clock.advance(TimeDelta::seconds(57));
        change(&app, &pass, 3).await;
        assert_eq!(points(&google, &pass), 1, "not before the time that was asked for");
        app.clock.advance(TimeDelta::seconds(1));
        app.deliver().await;
        assert_eq!(points(&google, &pass), 3);
        google.script(&object_id(&pass), [refuse(400, "invalid")]);
        change(&app, &pass, 4).await;
        assert_eq!(row().await, (DeliveryState::Parked, Some("400 invalid".to_owned())));
        change(&app, &pass, 5).await;
        assert_eq!(points(&google, &pass), 5);
        // Rights are missing: everything of the issuer waits, and nothing is given up.
        google.answer_all(Some(refuse(403, "permissionDenied")));
        change(&app, &pass, 6).await;
        let calls = google.calls().len();
        app.deliver().await;
        assert_eq!((google.calls().len(), row().await.0), (calls, DeliveryState::Pending));
        google.answer_all(None);
        app.clock.advance(TimeDelta::seconds(61));
        app.deliver().await;
        assert_eq!(points(&google, &pass), 6);
        google.script(&object_id(&pass), [Reply::Html]);
        change(&app, &pass, 7).await;
        app.clock.advance(TimeDelta::seconds(6));
        app.deliver().await;
        assert_eq!(points(&google, &pass), 7);
    }

    async fn three_alerts_a_day_and_then_silence(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        click(&app, &pass).await;
        for number in 2..7 {
            change(&app, &pass, number).await;
        }
        let alerting = || google.calls().iter().filter(|call| call.body["notifyPreference"] == "NOTIFY_ON_UPDATE").count();
        assert_eq!((alerting(), points(&google, &pass)), (3, json!(6)));
        let (_, answer) = state(&app, Channel::Google).await.remove(0);
        assert_eq!(answer.as_deref(), Some("200 without an alert: the pass had three within a day"));
        app.clock.advance(TimeDelta::hours(24));
        change(&app, &pass, 7).await;
        assert_eq!(alerting(), 4);
        assert!(google.held("loyaltyObject")[&object_id(&pass)].get("notifyPreference").is_none());
    }

    async fn what_was_lost_is_found_by_the_sweep(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        click(&app, &pass).await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 8).await;
        app.work().await;
        crate::publishing::forget_deliveries(&app).await;
        app.deliver().await;
        assert_eq!(points(&google, &pass), 1);
        app.sweep().await;
        app.deliver().await;
        assert_eq!(points(&google, &pass), 8);
        let calls = google.calls().len();
        app.sweep().await;
        app.deliver().await;
        assert_eq!(google.calls().len(), calls);
    }

    async fn google_is_reconciled_and_what_is_over_is_not_made_again(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let mut passes = Vec::new();
        for name in ["equal", "different", "missing", "over"] {
            let pass = app.issue(name).await;
            click(&app, &pass).await;
            passes.push(pass);
        }
        google.save(&object_id(&passes[0]));
        app.clock.advance(TimeDelta::seconds(2));
        app.post(&format!("/api/v1/passes/{}/void", passes[3].id), &app.one.key, &json!({})).await;
        app.work().await;
        app.deliver().await;
        google.change("loyaltyObject", &object_id(&passes[1]), &json!({ "state": "INACTIVE" }));
        google.forget("loyaltyObject", &object_id(&passes[2]));
        google.forget("loyaltyObject", &object_id(&passes[3]));
        google.change("loyaltyObject", &format!("{ISSUER}.stranger"), &json!({ "classId": google.held("loyaltyClass").into_keys().next() }));
        let calls = google.calls().len();
        app.clock.advance(TimeDelta::seconds(2));
        let look = async |mends| reconcile::reconcile(app.app(), app.one.brand.id, mends, |_| ()).await.unwrap();
        let expected = Found { classes: 1, objects: 3, equal: 1, different: 1, unknown: 1, missing: 1, held: 1 };
        assert_eq!(look(false).await, expected);
        app.sweep().await;
        app.deliver().await;
        assert_eq!(google.calls().len(), calls, "looking changes nothing");
        assert_eq!(look(true).await, expected);
        app.deliver().await;
        assert_eq!(google.held("loyaltyObject")[&object_id(&passes[1])]["state"], "ACTIVE");
        assert!(google.held("loyaltyObject").contains_key(&object_id(&passes[2])));
        assert!(!google.held("loyaltyObject").contains_key(&object_id(&passes[3])));
        app.clock.advance(TimeDelta::seconds(2));
        assert_eq!(look(false).await, Found { objects: 4, equal: 3, different: 0, missing: 0, ..expected });
        let (_, view) = app.get(&format!("/api/v1/passes/{}", passes[0].id), &app.one.key).await;
        assert_eq!(view["held_on"]["google"], true, "as the list said");
    }

    async fn every_row_of_googles_table_has_its_consequence(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let mut wanted = BTreeSet::new();
        let pass = app.issue("ana").await;
        assert_eq!(click(&app, &pass).await.status(), 303);
        let mut value = 100;
        for (status, reason, after) in TABLE {
            google.script(&object_id(&pass), [refuse(*status, reason)]);
            wanted.insert(format!("{status} {reason}"));
            value += 1;
            change(&app, &pass, value).await;
            let is = state(&app, Channel::Google).await.remove(0);
            if *after == "parked" {
                assert_eq!(is, (DeliveryState::Parked, Some(format!("{status} {reason}"))));
            }
            for _ in 0..2 {
                app.clock.advance(TimeDelta::seconds(62));
                app.deliver().await;
            }
            let is_there = points(&google, &pass) == value;
            assert_eq!(is_there, *after == "told", "{status} {reason}: {:?}", state(&app, Channel::Google).await);
        }
        // What Google says of what it has and has not: to an insert of what is there, to a patch of what is not, and to an
        // object whose class is not.
        let other = app.issue("rui").await;
        google.change("loyaltyObject", &object_id(&other), &json!({ "state": "EXPIRED" }));
        assert_eq!(click(&app, &other).await.status(), 303);
        google.forget("loyaltyObject", &object_id(&other));
        change(&app, &other, 2).await;
        google.forget("loyaltyObject", &object_id(&other));
        for class in google.held("loyaltyClass").into_keys() {
            google.forget("loyaltyClass", &class);
        }
        change(&app, &other, 3).await;
        for _ in 0..3 {
            app.clock.advance(TimeDelta::seconds(7));
            app.deliver().await;
        }
        assert_eq!(points(&google, &other), 3);
        wanted.extend(["409 alreadyExists", "404 notFound", "404 classNotFound"].map(str::to_owned));
        assert_eq!((google.refusals(), google.faults()), (wanted, vec![]));
    }

    async fn reconcile_is_a_command_that_says_no_until_it_mended(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        assert_eq!(click(&app, &pass).await.status(), 303);
        app.clock.advance(TimeDelta::seconds(2));
        google.change("loyaltyObject", &object_id(&pass), &json!({ "state": "EXPIRED" }));
        let (url, code) = (app.app().config.database.url.clone(), app.one.brand.code.clone());
        let run = |arguments: &[&str]| {
            let all = [&["--json", "google", "reconcile", "--brand", &code], arguments].concat();
            let output = tokio::task::block_in_place(|| passarela(&app, &url, &all));
            let found: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), found["different"].clone())
        };
        assert_eq!(run(&[]), (Some(1), json!(1)));
        assert_eq!(run(&["--apply"]), (Some(0), json!(1)));
        app.deliver().await;
        assert_eq!(run(&[]), (Some(0), json!(0)));
        assert_eq!(google.held("loyaltyObject")[&object_id(&pass)]["state"], "ACTIVE");
    }

    async fn a_pass_of_before_its_brand_was_at_google_is_published_for_it(engine) {
        let google = FakeGoogle::calm().await;
        let app = TestApp::start_with(engine, Role::Api, |config| config.google.issuer_id = None).await;
        let pass = app.issue("ana").await;
        let mut config = app.app().config.clone();
        google.configure(&mut config);
        let later = passarela::app::open(config, std::sync::Arc::clone(&app.clock) as _).await.unwrap();
        app.clock.advance(TimeDelta::seconds(2));
        let link = link(&app, &pass).await;
        let making = passarela::service::save_link::make(&later, &link);
        let address = tokio::select! {
            made = making => made.unwrap(),
            () = work_on(&app.clock, &later) => unreachable!("it works for ever"),
        };
        assert!(address.reveal().starts_with("https://pay.google.com/gp/v/save/"));
        assert_eq!(points(&google, &pass), 1);
    }

    async fn the_page_offers_google_where_the_brand_has_it(engine) {
        let google = FakeGoogle::calm().await;
        let app = start(engine, &google).await;
        let pass = app.issue("ana").await;
        let page = async |agent: &str| {
            let url = format!("{}/p/{}", app.url, link(&app, &pass).await);
            app.http.get(url).header("user-agent", agent).header("accept-language", "en").send().await.unwrap().text().await.unwrap()
        };
        let (android, desktop) = (page("Mozilla/5.0 (Linux; Android 16; Pixel 10)").await, page("Mozilla/5.0 (X11; Linux)").await);
        assert!(android.contains("google\">Add to Google Wallet</a>") && !android.contains("Add to Apple"), "{android}");
        assert!(desktop.contains("google\">Add to Google Wallet</a>") && desktop.contains("apple.pkpass"), "{desktop}");
        assert!(!page("Mozilla/5.0 (iPhone)").await.contains("Google"));
    }

    async fn a_google_that_hangs_keeps_phones_and_callers_waiting_for_nothing(engine) {
        let google = FakeGoogle::calm().await;
        let apple = crate::apple::FakeApple::calm().await;
        let configure = |config: &mut passarela::config::Config| {
            google.configure(config);
            apple.configure(config);
        };
        let app = TestApp::start_with(engine, Role::Api, configure).await;
        let pass = app.issue("ana").await;
        crate::apple_web_service::Phone::new(&app, "phone").register(&pass, "aa01").await;
        click(&app, &pass).await;
        google.answer_all(Some(Reply::Hang));
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 2).await;
        app.work().await;
        let stop = CancellationToken::new();
        let running: Vec<_> = Channel::ALL.iter().map(|channel| {
            let (one, stop) = (app.app().clone(), stop.clone());
            tokio::spawn(dispatcher::run(one, *channel, stop))
        }).collect();
        let begun = tokio::time::Instant::now();
        while apple.accepted().is_empty() || google.calls().iter().all(|call| call.reply != Reply::Hang) {
            assert!(begun.elapsed().as_secs() < 8, "the phone waits for Google");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        app.set_points(&pass, 3).await;
        assert!(begun.elapsed().as_secs() < 8, "a caller waits for Google");
        stop.cancel();
        drop(running);
    }
}

async fn link(app: &TestApp, pass: &TestPass) -> String {
    let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
    view["add_url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()
}

/// The object as it is published.
pub async fn stored(app: &TestApp, pass: &TestPass) -> (bool, Value) {
    let id = pass.id.parse().unwrap();
    let mut reader = app.app().db.read().await.unwrap();
    let objects = passarela::store::google::load_objects(&mut reader.conn(), app.one.brand.id, &[id]).await.unwrap();
    (objects[0].sent_hash.is_some(), serde_json::from_slice(&objects[0].body).unwrap())
}
