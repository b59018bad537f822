//! From the outbox to a phone: the push service's answers and what becomes of rows and registrations.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use passarela::app::Role;
use passarela::config::Config;
use passarela::domain::delivery::{Channel, DeliveryState};
use passarela::service::deliveries;
use passarela::store::outbox::{self, Delivery};
use passarela::worker::dispatcher;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::app::{PASS_TYPE, TestApp, TestPass};
use crate::apple::{FakeApple, Reply, refuse};
use crate::apple_web_service::Phone;
use crate::engine::Engine;
use crate::lifecycle::{passarela, text};
use crate::on_both_engines;

async fn start(engine: Engine, apple: &FakeApple) -> TestApp {
    let configure = |config: &mut Config| {
        apple.configure(config);
        // A call takes at most half of it.
        config.delivery.lease_secs = 5;
    };
    TestApp::start_with(engine, Role::Api, configure).await
}

/// What becomes of a phone after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It is told when it is asked again.
    Told,
    /// Nobody asks again by himself.
    Parked,
    /// Not asked for hours.
    Suspected,
    Gone,
}

/// Apple's table, and some that nobody has heard of.
const TABLE: &[(u16, &[&str], After)] = &[
    (400, &["BadDeviceToken", "DeviceTokenNotForTopic"], After::Suspected),
    (400, &["BadTopic", "MissingTopic", "TopicDisallowed"], After::Told),
    (400, &["BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "InvalidPushType"], After::Parked),
    (400, &["DuplicateHeaders", "PayloadEmpty", "MissingDeviceToken", "SomethingNew"], After::Parked),
    (400, &["IdleTimeout"], After::Told),
    (403, &["BadCertificate", "BadCertificateEnvironment", "Forbidden", "SomethingNew"], After::Told),
    (403, &["ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken"], After::Told),
    (404, &["BadPath"], After::Parked),
    (405, &["MethodNotAllowed"], After::Parked),
    (410, &["Unregistered", "ExpiredToken"], After::Gone),
    (413, &["PayloadTooLarge"], After::Parked),
    (429, &["TooManyRequests", "TooManyProviderTokenUpdates"], After::Told),
    (500, &["InternalServerError"], After::Told),
    (503, &["ServiceUnavailable", "Shutdown", "SomethingNew"], After::Told),
];

/// Every row of the first brand, in order of the device.
async fn rows(app: &TestApp) -> Vec<Delivery> {
    let mut reader = app.app().db.read().await.unwrap();
    outbox::list(&mut reader.conn(), app.one.brand.id, Channel::Apns, None, None, 1_000).await.unwrap()
}

async fn states(app: &TestApp) -> Vec<(DeliveryState, i64, Option<String>)> {
    rows(app).await.into_iter().map(|row| (row.state, row.failures, row.answer)).collect()
}

/// A pass, and the phones that hold it by their push tokens.
async fn held_by(app: &TestApp, external_id: &str, tokens: &[&str]) -> TestPass {
    let pass = app.issue(external_id).await;
    for token in tokens {
        assert_eq!(Phone::new(app, &format!("device-{token}")).register(&pass, token).await, 201);
    }
    pass
}

/// Two seconds later: a pass is published once a second at most.
async fn change(app: &TestApp, pass: &TestPass, points: i64) {
    app.clock.advance(TimeDelta::seconds(2));
    app.set_points(pass, points).await;
    app.work().await;
}

/// The certificates of this run, and a key for a pass type or an app.
pub fn with_push_key(topic: &str) -> TempDir {
    use openssl::ec::{EcGroup, EcKey};
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    for (from, to) in [(crate::app::certs_dir(), folder.path().to_owned())] {
        for kind in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let place = to.join(kind.file_name());
            if kind.path().is_file() {
                std::fs::copy(kind.path(), place).unwrap();
                continue;
            }
            std::fs::create_dir(&place).unwrap();
            for file in std::fs::read_dir(kind.path()).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), place.join(file.file_name())).unwrap();
            }
        }
    }
    let key = EcKey::generate(&EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let pem = openssl::pkey::PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap();
    let place = folder.path().join(topic);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("apns.p8"), pem).unwrap();
    std::fs::set_permissions(place.join("apns.p8"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(place.join("apns.toml"), "key_id = \"ABC123DEFG\"\nteam_id = \"PASSARELA0\"\n").unwrap();
    folder
}

async fn deliver_by(app: &passarela::service::App) {
    let stop = CancellationToken::new();
    dispatcher::round(app, Channel::Apns, &stop).await.unwrap();
}

on_both_engines! {
    async fn a_change_is_told_to_every_phone_once(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01", "aa02"]).await;
        app.deliver().await;
        assert!(apple.calls().is_empty(), "nothing changed");
        change(&app, &pass, 2).await;
        app.deliver().await;
        app.deliver().await;
        let calls = apple.calls();
        assert_eq!(calls.len(), 2);
        assert!(calls.iter().all(|call| call.topic == PASS_TYPE));
        assert!(rows(&app).await.iter().all(|row| row.state == DeliveryState::Done && row.told_at.is_some()));
        app.sweep().await;
        app.deliver().await;
        assert_eq!(apple.calls().len(), 2, "they were told of the newest");
        for points in 3..7 {
            change(&app, &pass, points).await;
            app.deliver().await;
        }
        assert_eq!(apple.calls().len(), 10);
        // The first two calls may each have opened one.
        assert!(apple.connections() <= 2, "connections serve many calls: {}", apple.connections());
        // The registration's own word: the service asks and gets it.
        let mut phone = Phone::new(&app, "device-aa01");
        assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial));
    }

    async fn a_token_that_two_devices_have_is_pushed_to_once(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = app.issue("a").await;
        for device in ["before-restore", "after-restore"] {
            assert_eq!(Phone::new(&app, device).register(&pass, "aa01").await, 201);
        }
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(apple.calls().len(), 1);
        assert!(states(&app).await.iter().all(|(state, ..)| *state == DeliveryState::Done));
    }

    async fn what_was_refused_for_now_is_told_after_its_wait(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        let wait = Reply::Refuse { status: 429, reason: "TooManyRequests", retry_after: Some("60"), timestamp: None };
        apple.script("aa01", [wait, refuse(503, "Shutdown")]);
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(states(&app).await, [(DeliveryState::Pending, 1, Some("429 TooManyRequests".to_owned()))]);
        app.clock.advance(TimeDelta::seconds(57));
        change(&app, &pass, 3).await;
        app.deliver().await;
        assert_eq!(apple.calls().len(), 1, "neither time nor a new change ends the wait");
        app.clock.advance(TimeDelta::seconds(1));
        app.deliver().await;
        assert_eq!(states(&app).await, [(DeliveryState::Pending, 2, Some("503 Shutdown".to_owned()))]);
        app.clock.advance(TimeDelta::seconds(30));
        app.deliver().await;
        assert_eq!(states(&app).await, [(DeliveryState::Done, 0, Some("200".to_owned()))]);
        assert_eq!(apple.calls().len(), 3, "one push tells of both changes");
    }

    async fn after_the_last_wait_the_row_is_parked_and_the_sweep_comes_back_to_it(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        apple.script("aa01", std::iter::repeat_n(refuse(500, "InternalServerError"), 6));
        change(&app, &pass, 2).await;
        for secs in [0, 5, 30, 120, 600, 3_600] {
            app.clock.advance(TimeDelta::seconds(secs));
            app.deliver().await;
        }
        assert_eq!(states(&app).await, [(DeliveryState::Parked, 6, Some("500 InternalServerError".to_owned()))]);
        app.sweep().await;
        app.deliver().await;
        assert_eq!(apple.calls().len(), 6, "it rests first");
        app.clock.advance(TimeDelta::seconds(3_601));
        app.sweep().await;
        app.deliver().await;
        assert_eq!((apple.calls().len(), states(&app).await[0].0), (7, DeliveryState::Done));
    }

    async fn a_dead_token_takes_its_registrations_along_unless_it_was_renewed(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let now = app.app().clock.now().timestamp_millis();
        let gone = |timestamp| Reply::Refuse { status: 410, reason: "Unregistered", retry_after: None, timestamp: Some(timestamp) };
        let pass = held_by(&app, "a", &["aa01", "aa02"]).await;
        app.clock.advance(TimeDelta::seconds(60));
        apple.script("aa01", [gone(now + 1_000)]);
        // Apple learnt of it before the phone registered with the very token again.
        apple.script("aa02", [gone(now - 1_000)]);
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(states(&app).await.len(), 1);
        let (_, held) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        assert_eq!(held["held_on"]["apple"], 1);
        app.work().await;
        let (_, events) = app.get("/api/v1/events", &app.one.key).await;
        let removed: Vec<_> = events["data"].as_array().unwrap().iter().filter(|event| event["kind"] == "pass.removed").collect();
        assert_eq!(removed.len(), 1, "{events}");
        assert_eq!(removed[0]["data"]["reason"], "410 Unregistered");
    }

    async fn a_refused_token_is_suspected_for_a_day_and_then_believed_dead(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let (lone, other) = (held_by(&app, "a", &["aa01"]).await, held_by(&app, "b", &["aa02"]).await);
        apple.script("aa01", std::iter::repeat_n(refuse(400, "BadDeviceToken"), 30));
        let held = async || app.get(&format!("/api/v1/passes/{}", lone.id), &app.one.key).await.1["held_on"]["apple"].clone();
        change(&app, &lone, 2).await;
        app.deliver().await;
        assert_eq!(held().await, 1);
        app.clock.advance(TimeDelta::hours(25));
        app.deliver().await;
        assert_eq!(held().await, 1, "for all we know every token of the topic is refused");
        change(&app, &other, 2).await;
        app.deliver().await;
        app.clock.advance(TimeDelta::hours(7));
        app.deliver().await;
        assert_eq!(held().await, 0);
        assert_eq!(apple.calls().iter().filter(|call| call.token == "aa01").count(), 3);
    }

    async fn a_new_token_ends_the_suspicion(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        apple.script("aa01", [refuse(400, "DeviceTokenNotForTopic")]);
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(states(&app).await[0].0, DeliveryState::Pending);
        assert_eq!(Phone::new(&app, "device-aa01").register(&pass, "aa09").await, 200);
        app.deliver().await;
        assert_eq!(apple.accepted().get("aa09"), Some(&1), "the phone that came back does not wait six hours");
    }

    async fn a_credential_that_is_refused_holds_the_queue_and_loses_nothing(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let tokens: Vec<String> = (0..30).map(|n| format!("aa{n:02}")).collect();
        let pass = held_by(&app, "a", &tokens.iter().map(String::as_str).collect::<Vec<_>>()).await;
        apple.answer_all(Some(refuse(403, "BadCertificate")));
        change(&app, &pass, 2).await;
        app.deliver().await;
        let asked = apple.calls().len();
        app.deliver().await;
        assert_eq!(apple.calls().len(), asked, "nobody is asked while it is held");
        assert!(states(&app).await.iter().all(|(state, failures, _)| *state == DeliveryState::Pending && *failures <= 1));
        app.clock.advance(TimeDelta::seconds(61));
        app.deliver().await;
        assert_eq!(apple.calls().len(), asked + 1, "one is asked whether it is better");
        apple.answer_all(None);
        app.clock.advance(TimeDelta::seconds(61));
        app.deliver().await;
        app.clock.advance(TimeDelta::seconds(61));
        app.deliver().await;
        assert_eq!(apple.accepted().len(), 30);
    }

    async fn what_is_wrong_with_the_call_itself_is_parked(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        apple.script("aa01", [refuse(400, "BadMessageId")]);
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(states(&app).await, [(DeliveryState::Parked, 1, Some("400 BadMessageId".to_owned()))]);
        change(&app, &pass, 3).await;
        app.deliver().await;
        assert_eq!(states(&app).await[0].0, DeliveryState::Done, "another change is another try");
    }

    async fn a_phone_that_registers_after_the_change_is_pushed_to_and_fetches_it(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let (other, late) = (held_by(&app, "a", &["aa01"]).await, app.issue("b").await);
        let mut phone = Phone::new(&app, "device-aa01");
        // It has the pass as it was made. Then that changes, and then another: the phone's tag is ahead of the change.
        change(&app, &late, 7).await;
        change(&app, &other, 2).await;
        app.deliver().await;
        assert_eq!(phone.list(&other).await, std::slice::from_ref(&other.serial));
        assert_eq!(phone.register(&late, "aa01").await, 201);
        app.deliver().await;
        assert_eq!(apple.calls().len(), 1, "the phone may be on its way to ask");
        app.clock.advance(TimeDelta::seconds(5));
        app.deliver().await;
        assert_eq!(apple.calls().len(), 2);
        assert_eq!(phone.list(&late).await, std::slice::from_ref(&late.serial));
        let (status, _, pass) = phone.fetch(&late, None).await;
        assert_eq!((status, &pass.unwrap()["storeCard"]["headerFields"][0]["value"]), (200, &json!(7)));
        assert!(phone.list(&late).await.is_empty());
        app.sweep().await;
        app.deliver().await;
        assert_eq!(apple.calls().len(), 2, "it knows it all");
    }

    async fn every_row_of_apples_table_has_its_consequence(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let mut wanted = BTreeSet::new();
        for (status, reasons, after) in TABLE {
            for reason in *reasons {
                let token = format!("{:04x}", wanted.len() + 1);
                let pass = held_by(&app, &token, &[&token]).await;
                apple.script(&token, [refuse(*status, reason)]);
                wanted.insert(format!("{status} {reason}"));
                change(&app, &pass, 2).await;
                app.deliver().await;
                // A credential that is refused holds the way for a minute.
                for _ in 0..2 {
                    app.clock.advance(TimeDelta::seconds(62));
                    app.deliver().await;
                }
                let (_, held) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
                let row = &held["data"][0]["delivery"];
                let is = match (row["state"].as_str(), held["data"][0]["push_token_refused_since"].is_string()) {
                    (Some("done"), false) => After::Told,
                    (Some("parked"), false) => After::Parked,
                    (Some("pending"), true) => After::Suspected,
                    (None, false) if held["data"] == serde_json::json!([]) => After::Gone,
                    _ => panic!("{status} {reason}: {held}"),
                };
                assert_eq!(is, *after, "{status} {reason}: {row}");
                if *after != After::Told && *after != After::Gone {
                    assert_eq!(row["answer"], format!("{status} {reason}"));
                }
            }
        }
        assert_eq!(apple.refusals(), wanted);
    }

    async fn whoever_was_given_up_is_listed_and_told_again_from_the_command_line(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        apple.script("aa01", [refuse(400, "BadMessageId")]);
        change(&app, &pass, 2).await;
        app.deliver().await;
        let (url, code) = (app.app().config.database.url.clone(), app.one.brand.code.clone());
        let run = |arguments: &[&str]| {
            let all = [&["--json", "deliveries"], arguments, &["--brand", &code]].concat();
            let output = tokio::task::block_in_place(|| passarela(&app, &url, &all));
            assert!(output.status.success(), "{}", text(&output));
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        let listed = run(&["list", "--state", "parked"]);
        assert_eq!(listed["deliveries"][0]["answer"], "400 BadMessageId", "{listed}");
        let id = listed["deliveries"][0]["id"].as_str().unwrap();
        assert_eq!(run(&["list", "--channel", "google"])["deliveries"], serde_json::json!([]));
        assert_eq!(run(&["retry", id])["due"], 1);
        app.deliver().await;
        assert_eq!(apple.accepted().len(), 1);
        assert_eq!(run(&["retry", "--parked"])["due"], 0);
        let wrong = ["deliveries", "retry", "dev_x", "--brand", &code];
        assert_eq!(tokio::task::block_in_place(|| passarela(&app, &url, &wrong)).status.code(), Some(2));
    }

    async fn streams_and_connections_that_end_lose_nothing(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let tokens: Vec<String> = (0..40).map(|n| format!("aa{n:02}")).collect();
        let pass = held_by(&app, "a", &tokens.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for (token, reply) in tokens.iter().zip([
            Reply::Reset, Reply::RefuseStream, Reply::GoAway, Reply::AcceptAndFail, Reply::Trickle, Reply::Late,
        ]) {
            apple.script(token, [reply]);
        }
        change(&app, &pass, 2).await;
        for _ in 0..4 {
            app.deliver().await;
            app.clock.advance(TimeDelta::seconds(40));
        }
        assert!(states(&app).await.iter().all(|(state, ..)| *state == DeliveryState::Done));
        assert_eq!(apple.accepted().len(), 40);
        let twice = apple.accepted().values().filter(|count| **count > 1).count();
        // The one that was told that it had failed, and maybe one whose answer was on its way when its connection ended.
        assert!((1..=2).contains(&twice), "{twice} were pushed to twice");
    }

    async fn a_phone_that_left_is_not_pushed_to(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01", "aa02"]).await;
        change(&app, &pass, 2).await;
        assert_eq!(Phone::new(&app, "device-aa01").unregister(&pass).await, 200);
        app.deliver().await;
        assert_eq!(apple.accepted().into_keys().collect::<Vec<_>>(), ["aa02"]);
    }

    async fn a_call_that_hangs_keeps_nobody_waiting(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01", "aa02", "aa03"]).await;
        apple.script("aa02", [Reply::Hang]);
        change(&app, &pass, 2).await;
        let (one, brand) = (app.app().clone(), app.one.brand.id);
        let telling = tokio::spawn(async move {
            let (is_crowded, stop) = (false.into(), CancellationToken::new());
            passarela::service::deliver::take_turn(&one, Channel::Apns, brand, &is_crowded, &stop).await
        });
        let done = async || states(&app).await.iter().filter(|(state, ..)| *state == DeliveryState::Done).count();
        let begun = tokio::time::Instant::now();
        while done().await < 2 {
            assert!(begun.elapsed().as_secs() < 10, "two of three were answered at once");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        // Another change of a phone that was answered does not wait for the one that hangs either.
        change(&app, &pass, 3).await;
        while apple.calls().len() < 5 {
            assert!(begun.elapsed().as_secs() < 10, "{:?}", states(&app).await);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        telling.abort();
    }

    async fn a_key_serves_instead_of_the_certificate_with_one_token_for_all(engine) {
        let apple = FakeApple::calm().await;
        let certs = with_push_key(PASS_TYPE);
        let configure = |config: &mut passarela::config::Config| {
            apple.configure(config);
            config.apple.certs_dir = certs.path().to_owned();
        };
        let app = TestApp::start_with(engine, Role::Api, configure).await;
        let pass = held_by(&app, "a", &["aa01", "aa02"]).await;
        let other = app.another_process().await;
        change(&app, &pass, 2).await;
        app.deliver().await;
        app.clock.advance(TimeDelta::minutes(49));
        change(&app, &pass, 3).await;
        deliver_by(&other).await;
        assert_eq!((apple.calls().len(), apple.bearers().len()), (4, 1), "two processes, one token");
        app.clock.advance(TimeDelta::minutes(2));
        change(&app, &pass, 4).await;
        app.deliver().await;
        assert_eq!((apple.accepted().len(), apple.bearers().len()), (2, 2), "a new one before Apple's hour is over");
        // Refused within 20 minutes: another would be one too many.
        apple.answer_all(Some(refuse(403, "ExpiredProviderToken")));
        change(&app, &pass, 5).await;
        app.deliver().await;
        assert_eq!(apple.bearers().len(), 2);
        apple.answer_all(None);
        app.clock.advance(TimeDelta::minutes(21));
        apple.script("aa01", [refuse(403, "ExpiredProviderToken")]);
        app.deliver().await;
        app.clock.advance(TimeDelta::minutes(2));
        app.deliver().await;
        assert_eq!(apple.bearers().len(), 3);
        assert!(states(&app).await.iter().all(|(state, ..)| *state == DeliveryState::Done), "{:?}", states(&app).await);
    }

    async fn what_became_of_a_change_can_be_followed(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01"]).await;
        let path = format!("/api/v1/passes/{}/devices", pass.id);
        let device = async || {
            app.work().await;
            let (status, mut devices) = app.get(&path, &app.one.key).await;
            assert_eq!(status, 200);
            devices["data"][0].take()
        };
        let why = async |part: &str| {
            let device = device().await;
            let said = device["why_no_alert"].as_str().unwrap().to_owned();
            assert!(said.contains(part), "{part}: {device}");
            device
        };
        why("nothing changed").await;
        apple.script("aa01", [refuse(503, "ServiceUnavailable")]);
        change(&app, &pass, 2).await;
        app.clock.advance(TimeDelta::milliseconds(300));
        app.deliver().await;
        let waiting = why("(503 ServiceUnavailable)").await;
        assert_eq!((&waiting["is_told"], &waiting["delivery"]["state"]), (&json!(false), &json!("pending")));
        assert_eq!((&waiting["millis"]["to_publish"], &waiting["millis"]["to_accept"]), (&json!(0), &json!(null)));
        let id = waiting["delivery"]["id"].as_str().unwrap().to_owned();
        assert_eq!(id, waiting["id"].as_str().unwrap());
        // Somebody does not want to wait.
        let reader = app.key(&app.one, passarela::domain::role::Role::Reader).await;
        let retry = format!("/api/v1/deliveries/{id}/retry");
        assert_eq!(app.post(&retry, &reader, &json!({})).await.0, 403);
        assert_eq!(app.post(&retry, &app.two.key, &json!({})).await.0, 404, "another brand's");
        assert_eq!(app.post(&retry, &app.one.key, &json!({})).await.1["failures"], 0);
        app.deliver().await;
        let told = why("has not asked since").await;
        assert_eq!((&told["is_told"], &told["is_current"], &told["delivery"]["answer"]), (&json!(true), &json!(false), &json!("200")));
        assert_eq!(told["millis"]["to_accept"], 300);
        app.clock.advance(TimeDelta::milliseconds(700));
        let mut phone = Phone::new(&app, "device-aa01");
        assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial));
        why("did not fetch").await;
        assert_eq!(phone.fetch(&pass, None).await.0, 200);
        let current = why("it has the newest version").await;
        assert_eq!((&current["is_current"], &current["millis"]["to_fetch"]), (&json!(true), &json!(700)));
        let (_, page) = app.get("/api/v1/deliveries?state=done", &app.one.key).await;
        assert_eq!((page["data"].as_array().unwrap().len(), &page["data"][0]["id"]), (1, &json!(id)));
        let (_, page) = app.get(&format!("/api/v1/deliveries?after={id}"), &app.one.key).await;
        assert_eq!(page["data"], json!([]));
        assert_eq!(app.get("/api/v1/deliveries?state=lost", &app.one.key).await.0, 422);
        assert_eq!(app.get("/api/v1/deliveries", &app.two.key).await.1["data"], json!([]));
    }

    async fn deliveries_that_were_given_up_are_tried_again_together(engine) {
        let apple = FakeApple::calm().await;
        let app = start(engine, &apple).await;
        let pass = held_by(&app, "a", &["aa01", "aa02"]).await;
        for token in ["aa01", "aa02"] {
            apple.script(token, [refuse(413, "PayloadTooLarge")]);
        }
        change(&app, &pass, 2).await;
        app.deliver().await;
        assert_eq!(deliveries::retry_parked(app.app(), app.two.brand.id, Channel::Apns).await.unwrap(), 0);
        assert_eq!(deliveries::retry_parked(app.app(), app.one.brand.id, Channel::Apns).await.unwrap(), 2);
        app.deliver().await;
        assert_eq!(apple.accepted().len(), 2);
    }
}
