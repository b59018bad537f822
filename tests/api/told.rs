//! Every change reaches the phone: writers, servers that are killed, a push service that fails, and phones that hear of
//! nothing but pushes.
//!
//! The servers are the real program in processes of their own. A phone lists and fetches when it is pushed to, and at no
//! other time. In the end each must hold the last version.
//!
//! `TOLD_CHANGES` and `TOLD_KILLS` make it longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use passarela::domain::locale::Locale;
use serde_json::{Value, json};

use crate::app::{PASS_TYPE, TestApp, TestPass};
use crate::apple::{FakeApple, Reply};
use crate::apple_web_service::Phone;
use crate::bundle::pass_json;
use crate::engine::Engine;
use crate::firebase::{self, FakeFirebase};
use crate::google::{self, FakeGoogle, without_nulls};
use crate::server::Server;

const PASSES: usize = 40;
const WRITERS: usize = 8;
/// Of the passes, those that are at Google too, and whose customers have the brand's app.
const AT_GOOGLE: usize = 10;
const IN_APP: usize = 10;

struct Shared {
    http: reqwest::Client,
    urls: Vec<String>,
    key: String,
    passes: Vec<TestPass>,
    /// The number that the next writer of each pass sets.
    next: Vec<AtomicI64>,
    written: AtomicUsize,
    /// Times that a phone came and nothing had changed.
    in_vain: AtomicUsize,
}

fn number(name: &str, default: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long to test is whoever tests' business")]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Shared {
    async fn write(self: Arc<Self>, writer: usize, changes: usize) {
        let mut turn = writer;
        while self.written.load(Ordering::Relaxed) < changes {
            turn += WRITERS + 1;
            let index = turn % PASSES;
            let points = self.next[index].fetch_add(1, Ordering::SeqCst);
            let url = format!("{}/api/v1/passes/{}", self.urls[turn % self.urls.len()], self.passes[index].id);
            let body = json!({ "data": { "points": points } });
            if let Ok(response) = self.http.patch(url).bearer_auth(&self.key).json(&body).send().await
                && response.status() == 200
            {
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a phone does that was pushed to, again and again until it is answered.
    async fn come(&self, phone: usize, tag: &mut Option<String>, held: &mut HashMap<String, i64>) {
        let mut turn = phone;
        loop {
            turn += 1;
            let base = &self.urls[turn % self.urls.len()];
            if self.ask(base, phone, tag, held).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask(
        &self,
        base: &str,
        phone: usize,
        tag: &mut Option<String>,
        held: &mut HashMap<String, i64>,
    ) -> Option<()> {
        let path = self.passes[phone].web_service_url.splitn(4, '/').nth(3).unwrap();
        let query = tag.as_ref().map_or_else(String::new, |tag| format!("?passesUpdatedSince={tag}"));
        let url = format!("{base}/{path}/v1/devices/phone{phone}/registrations/{PASS_TYPE}{query}");
        let response = self.http.get(url).send().await.ok()?;
        match response.status().as_u16() {
            204 => {
                self.in_vain.fetch_add(1, Ordering::Relaxed);
                return Some(());
            }
            200 => {}
            _ => return None,
        }
        let body: Value = response.json().await.ok()?;
        for serial in body["serialNumbers"].as_array()? {
            let pass = self.passes.iter().find(|pass| serial == &pass.serial).unwrap();
            let url = format!("{base}/{path}/v1/passes/{PASS_TYPE}/{}", pass.serial);
            let request = self.http.get(url).header("authorization", format!("ApplePass {}", pass.token));
            let response = request.send().await.ok()?;
            if response.status() != 200 {
                return None;
            }
            let pass_json = pass_json(&response.bytes().await.ok()?);
            held.insert(pass.serial.clone(), pass_json["storeCard"]["headerFields"][0]["value"].as_i64()?);
        }
        *tag = Some(body["lastUpdated"].as_str()?.to_owned());
        Some(())
    }
}

async fn storm(engine: Engine, servers: usize, changes: usize, kills: usize, failing: usize, pushes_max: f64) {
    let apple = FakeApple::start().await;
    apple.fail(failing);
    let (google, firebase) = (FakeGoogle::calm().await, FakeFirebase::start().await);
    firebase.fail(failing);
    let configure = |config: &mut passarela::config::Config| {
        apple.configure(config);
        google.configure(config);
        firebase.configure(config);
        config.delivery.google.retry_schedule_secs = vec![1, 1, 2, 2, 3];
        config.delivery.fcm.retry_schedule_secs = vec![1, 1, 2, 2, 3];
        config.database.connections = 6;
        config.delivery.apns.retry_schedule_secs = vec![1, 1, 2, 2, 3];
    };
    let app = TestApp::start_with(engine, passarela::app::Role::Api, configure).await;
    let mut passes = Vec::new();
    for index in 0..PASSES {
        let pass = app.issue(&format!("pass{index}")).await;
        assert_eq!(Phone::new(&app, &format!("phone{index}")).register(&pass, &format!("{index:04x}")).await, 201);
        if index < AT_GOOGLE {
            assert_eq!(crate::google_wallet::click(&app, &pass).await.status(), 303);
        }
        if index < IN_APP {
            crate::apps::register(&app, &format!("pass{index}"), &format!("app{index}")).await;
        }
        passes.push(pass);
    }
    google.fail(failing);
    let config = app.app().config.clone();
    let addresses: Vec<String> = (0..servers).map(|_| crate::app::free_address()).collect();
    let running: Vec<Server> =
        addresses.iter().map(|address| Server::new(&config, &config.server.public_url, address)).collect();
    let shared = Arc::new(Shared {
        http: reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap(),
        urls: running.iter().map(|server| server.url.clone()).collect(),
        key: app.one.key.clone(),
        next: (0..PASSES).map(|_| AtomicI64::new(2)).collect(),
        passes,
        written: AtomicUsize::new(0),
        in_vain: AtomicUsize::new(0),
    });
    let first_tag = newest_tag(&app).await;
    // One task a phone: pushes that arrive while it is under way are one more reason to come, not several.
    let mut pushes = apple.listen();
    let mut phones = Vec::new();
    for index in 0..PASSES {
        let (ring, mut bell) = tokio::sync::mpsc::unbounded_channel::<()>();
        let (shared, held) = (Arc::clone(&shared), Arc::new(std::sync::Mutex::new(HashMap::new())));
        let shown = Arc::clone(&held);
        tokio::spawn(async move {
            let (mut tag, mut held) = (None, HashMap::new());
            while bell.recv().await.is_some() {
                while bell.try_recv().is_ok() {}
                shared.come(index, &mut tag, &mut held).await;
                held.clone_into(&mut shown.lock().unwrap());
            }
        });
        phones.push((ring, held));
    }
    let rings: Vec<_> = phones.iter().map(|(ring, _)| ring.clone()).collect();
    tokio::spawn(async move {
        while let Some(token) = pushes.recv().await {
            rings[usize::from_str_radix(&token, 16).unwrap()].send(()).unwrap_or_default();
        }
    });
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(Arc::clone(&shared).write(writer, changes))).collect();
    for kill in 0..kills {
        let share = changes * (kill + 1) / (kills + 1);
        while shared.written.load(Ordering::Relaxed) < share {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let server = &running[kill % running.len()];
        server.kill();
        server.start();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let begun = Instant::now();
    for (index, (_, held)) in phones.iter().enumerate() {
        let pass = &shared.passes[index];
        loop {
            let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
            let last = view["data"]["points"].as_i64().unwrap();
            let has = held.lock().unwrap().get(&pass.serial).copied();
            if has == Some(last) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{engine:?}, phone {index} holds {has:?}, not {last}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let healed = begun.elapsed();
    for pass in shared.passes.iter().take(AT_GOOGLE) {
        loop {
            let (_, ours) = crate::google_wallet::stored(&app, pass).await;
            let theirs = google.held("loyaltyObject").remove(ours["id"].as_str().unwrap());
            if theirs == Some(without_nulls(ours)) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{engine:?}: Google holds {theirs:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(
        (google.held("loyaltyObject").len(), google.faults()),
        (AT_GOOGLE, Vec::new()),
        "one each, and well made"
    );
    let at_google = begun.elapsed();
    for (index, pass) in shared.passes.iter().take(IN_APP).enumerate() {
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let last = passarela::domain::shown::number(view["data"]["points"].as_i64().unwrap().into(), Locale::PtBr);
        loop {
            let shown = firebase.shown(&format!("app{index}")).pop().unwrap_or_default();
            if shown["data"]["balance"] == last.as_str() {
                break;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                let (_, held) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
                panic!("{engine:?}: an app shows {shown}, not {last}: {}; {:?}", held["apps"], firebase.faults());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(firebase.faults(), Vec::<String>::new());
    let in_app = begun.elapsed();
    let accepted: usize = apple.accepted().values().sum();
    let published = newest_tag(&app).await - first_tag;
    let (ratio, in_vain) = (accepted as f64 / published as f64, shared.in_vain.load(Ordering::Relaxed));
    println!(
        "{engine:?}: {servers} servers, {changes} changes, {published} published, {kills} kills, {failing} % failing: {} calls, \
         {accepted} pushes went out, {ratio:.3} for each version, {in_vain} of them in vain; all phones right {:.1} s after the last change, \
         Google after {:.1} s and {} calls (p99 {} for a version), all apps after {:.1} s and {} calls",
        apple.calls().len(),
        healed.as_secs_f64(),
        at_google.as_secs_f64(),
        google.calls().len(),
        calls_for_a_version(&google),
        in_app.as_secs_f64(),
        firebase.sent().len(),
    );
    assert!(ratio <= pushes_max, "{ratio} pushes for each version");
    // Because changes are told together, the ratio alone could hide that phones are pushed to for nothing.
    assert!(in_vain as f64 <= (pushes_max - 1.0) * published as f64, "{in_vain} came in vain");
    // Among few versions the slowest hundredth is the slowest.
    let calls_max = if changes >= 5_000 { 3 } else { 6 };
    assert!(calls_for_a_version(&google) <= calls_max, "{} calls", calls_for_a_version(&google));
    nobody_was_asked_before_his_time(&apple);
    let refused = google.calls().into_iter().map(|call| {
        let after = match call.reply {
            google::Reply::Refuse { retry_after, .. } => retry_after,
            _ => None,
        };
        (call.id, call.at, after)
    });
    in_time(refused);
    let refused = firebase.sent().into_iter().map(|sent| {
        let after = match sent.reply {
            firebase::Reply::Refuse { retry_after, .. } => retry_after,
            _ => None,
        };
        (sent.to, sent.at, after)
    });
    in_time(refused);
}

/// How many calls it took until Google had a version of an object: the most of 99 of a hundred.
fn calls_for_a_version(google: &FakeGoogle) -> usize {
    let mut calls: HashMap<(String, String), usize> = HashMap::new();
    for call in google.calls().into_iter().filter(|call| call.resource == "loyaltyObject") {
        let mut body = call.body;
        body.as_object_mut().unwrap().remove("notifyPreference");
        *calls.entry((call.id, body.to_string())).or_default() += 1;
    }
    let mut counts: Vec<usize> = calls.into_values().collect();
    counts.sort_unstable();
    counts[(counts.len() * 99).div_ceil(100) - 1]
}

/// The number of versions that were published so far, of all passes of the type.
async fn newest_tag(app: &TestApp) -> i64 {
    const SQL: &str = "SELECT tag_n FROM pass_types WHERE pass_type = $1";
    match &app.app().db {
        passarela::store::Db::Sqlite { readers, .. } => {
            sqlx::query_scalar(SQL).bind(PASS_TYPE).fetch_one(readers).await
        }
        passarela::store::Db::Postgres { readers, .. } => {
            sqlx::query_scalar(SQL).bind(PASS_TYPE).fetch_one(readers).await
        }
    }
    .unwrap()
}

fn nobody_was_asked_before_his_time(apple: &FakeApple) {
    let calls = apple.calls().into_iter().map(|call| {
        let after = match call.reply {
            Reply::Refuse { retry_after, .. } => retry_after,
            _ => None,
        };
        (call.token, call.at, after)
    });
    in_time(calls);
}

/// Who was asked when, and what wait he asked for.
fn in_time(calls: impl Iterator<Item = (String, tokio::time::Instant, Option<&'static str>)>) {
    let mut not_before: HashMap<String, tokio::time::Instant> = HashMap::new();
    for (who, at, after) in calls {
        if let Some(until) = not_before.get(&who) {
            // Clocks of two processes, and the time that an answer takes.
            assert!(at + Duration::from_millis(20) >= *until, "{who} was asked too early");
        }
        if let Some(after) = after {
            not_before.insert(who, at + Duration::from_secs(after.parse().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_phone_is_told_of_the_last_version_without_kills() {
    storm(Engine::Sqlite, 1, number("TOLD_CHANGES", 300), 0, 30, 1.1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_phone_is_told_of_the_last_version_on_sqlite() {
    storm(Engine::Sqlite, 1, number("TOLD_CHANGES", 300), number("TOLD_KILLS", 3), 30, 2.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_phone_is_told_of_the_last_version_with_two_processes_on_postgres() {
    storm(Engine::Postgres, 2, number("TOLD_CHANGES", 300), number("TOLD_KILLS", 4), 30, 2.0).await;
}
