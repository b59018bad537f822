//! No update may be lost: writers, phones and two servers, killed in between.
//!
//! The servers are the real program in processes of their own. Writers set a pass's points to ever higher numbers; phones
//! list with their tags and fetch with `If-Modified-Since`, and check on the way that neither a 304 nor a 200 hides a
//! version that had been published before they asked. In the end every phone, which has heard only what the protocol
//! told it, must hold the last version, and every write that was acknowledged must be in the data.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{PASS_TYPE, TestApp, TestPass};
use crate::bundle::pass_json;
use crate::engine::Engine;
use crate::server::Server;

const PASSES: usize = 20;
const WRITERS: usize = 20;
const PHONES: usize = 20;

struct Shared {
    http: reqwest::Client,
    db: passarela::store::Db,
    brand: passarela::domain::ids::BrandId,
    /// The highest number acknowledged of each writer on each pass.
    written: Vec<Vec<AtomicI64>>,
    urls: Vec<String>,
    key: String,
    passes: Vec<TestPass>,
    /// The number that the next writer of each pass sets.
    next: Vec<AtomicI64>,
    is_over: AtomicBool,
    writes: AtomicU64,
    fetches: AtomicU64,
    not_modified: AtomicU64,
    unanswered: AtomicU64,
}

/// What a phone holds of one pass.
#[derive(Default, Clone)]
struct Held {
    points: i64,
    last_modified: Option<String>,
}

impl Shared {
    /// One writer: sets ever higher numbers on one pass after the other, through either server.
    async fn write(self: Arc<Self>, writer: usize) {
        let mut turn = writer;
        while !self.is_over.load(Ordering::Relaxed) {
            turn += 7;
            let index = turn % PASSES;
            let number = self.next[index].fetch_add(1, Ordering::SeqCst);
            let url = format!("{}/api/v1/passes/{}", self.urls[turn % self.urls.len()], self.passes[index].id);
            // Numbers are merged member by member, so a slow older write must not hide a newer one: one member each.
            let body = json!({ "data": { format!("w{writer}"): number, "points": number } });
            let sent = self.http.patch(url).bearer_auth(&self.key).json(&body).send().await;
            match sent.map(|response| response.status().as_u16()) {
                Ok(200) => {
                    self.written[index][writer].fetch_max(number, Ordering::SeqCst);
                    self.writes.fetch_add(1, Ordering::Relaxed);
                }
                Ok(503) => {}
                Ok(status) => panic!("a write was answered {status}"),
                Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn list(&self, phone: usize, url: &str, tag: Option<&str>) -> Option<(Vec<String>, String)> {
        let base = &self.passes[0].web_service_url;
        let path = base.splitn(4, '/').nth(3).unwrap();
        let query = tag.map_or_else(String::new, |tag| format!("?passesUpdatedSince={tag}"));
        let url = format!("{url}/{path}/v1/devices/phone{phone}/registrations/{PASS_TYPE}{query}");
        let response = self.http.get(url).send().await.ok()?;
        match response.status().as_u16() {
            200 => {
                let body: Value = response.json().await.ok()?;
                let serials = body["serialNumbers"].as_array().unwrap();
                let serials = serials.iter().map(|serial| serial.as_str().unwrap().to_owned()).collect();
                Some((serials, body["lastUpdated"].as_str().unwrap().to_owned()))
            }
            204 => Some((Vec::new(), tag.unwrap_or_default().to_owned())),
            503 => None,
            status => panic!("a list was answered {status}"),
        }
    }

    /// Fetches a pass; a 304 must not hide a version that was published before the phone asked. `false`: not answered.
    async fn fetch(&self, url: &str, pass: &TestPass, held: &mut Held) -> bool {
        let before = last_modified(&self.db, self.brand, pass).await;
        let path = pass.web_service_url.splitn(4, '/').nth(3).unwrap();
        let request = self.http.get(format!("{url}/{path}/v1/passes/{PASS_TYPE}/{}", pass.serial));
        let mut request = request.header("Authorization", format!("ApplePass {}", pass.token));
        if let Some(since) = &held.last_modified {
            request = request.header("If-Modified-Since", since);
        }
        let Ok(response) = request.send().await else { return false };
        match response.status().as_u16() {
            200 => {
                let modified = response.headers()["last-modified"].to_str().unwrap().to_owned();
                let Ok(bundle) = response.bytes().await else { return false };
                let points = pass_json(&bundle)["storeCard"]["headerFields"][0]["value"].as_i64().unwrap();
                self.fetches.fetch_add(1, Ordering::Relaxed);
                let is_same = held.last_modified.as_ref() == Some(&modified);
                assert!(!is_same || points == held.points, "one Last-Modified, two versions");
                assert!(unix_seconds(&modified) >= before, "a version older than what was published");
                *held = Held { points, last_modified: Some(modified) };
                true
            }
            304 => {
                let has = held.last_modified.as_deref().map(unix_seconds);
                assert!(has >= Some(before), "a 304 for a pass that had changed: {has:?}, {before}");
                self.not_modified.fetch_add(1, Ordering::Relaxed);
                true
            }
            503 => false,
            status => panic!("a fetch was answered {status}"),
        }
    }

    /// One phone: polls the list with its tag as if told all the time, and fetches exactly what is listed.
    async fn follow(self: Arc<Self>, phone: usize) -> (usize, HashMap<String, Held>, Option<String>) {
        let mut held: HashMap<String, Held> = HashMap::new();
        let mut tag: Option<String> = None;
        let mut turn = phone;
        while !self.is_over.load(Ordering::Relaxed) {
            turn += 1;
            self.poll(phone, turn, &mut tag, &mut held).await;
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        (phone, held, tag)
    }

    /// One round of a phone; `false` when something was not answered.
    async fn poll(
        &self,
        phone: usize,
        turn: usize,
        tag: &mut Option<String>,
        held: &mut HashMap<String, Held>,
    ) -> bool {
        let url = &self.urls[turn % self.urls.len()];
        let Some((serials, newest)) = self.list(phone, url, tag.as_deref()).await else { return false };
        for serial in &serials {
            let pass = self.passes.iter().find(|pass| pass.serial == *serial).expect("a serial that was issued");
            // The fetch may go to the other server, which must know just as much.
            let url = &self.urls[(turn + 1) % self.urls.len()];
            let mut tries = 0;
            while !self.fetch(url, pass, held.entry(serial.clone()).or_default()).await {
                tries += 1;
                if tries > 400 || self.is_over.load(Ordering::Relaxed) {
                    return false; // the tag is not kept: the phone will ask again
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
        if !newest.is_empty() {
            *tag = Some(newest);
        }
        serials.is_empty()
    }
}

/// When the newest committed version was published: read from the database itself, before a phone asks.
async fn last_modified(db: &passarela::store::Db, brand: passarela::domain::ids::BrandId, pass: &TestPass) -> i64 {
    for _ in 0..50 {
        let Ok(mut reader) = db.read().await else { continue };
        let key = (PASS_TYPE.to_owned(), pass.serial.clone());
        let found = passarela::store::publication::find_served(&mut reader.conn(), brand, &[key]).await;
        if let Ok([Some(served)]) = found.as_deref() {
            return served.last_modified;
        }
    }
    panic!("the database does not answer the test")
}

fn unix_seconds(date: &str) -> i64 {
    chrono::DateTime::parse_from_rfc2822(date).unwrap().timestamp()
}

/// Holds a write transaction on one pass open for seconds (on SQLite, where it holds the whole database, for a good part
/// of one), as a slow client of the database would.
async fn hold_rows(app: &TestApp, is_over: Arc<Shared>) {
    let pool = match &app.app().db {
        passarela::store::Db::Postgres { writers, .. } => writers,
        passarela::store::Db::Sqlite { writer, .. } => {
            while !is_over.is_over.load(Ordering::Relaxed) {
                let tx = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
                drop(tx);
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            }
            return;
        }
    };
    let mut index = 0;
    while !is_over.is_over.load(Ordering::Relaxed) {
        index = (index + 3) % PASSES;
        let mut tx = pool.begin().await.unwrap();
        let id: passarela::domain::ids::PassId = is_over.passes[index].id.parse().unwrap();
        let number = is_over.next[index].fetch_add(1, Ordering::SeqCst);
        let held = sqlx::query(
            "UPDATE passes SET data = jsonb_set(data, '{points}', to_jsonb($3::bigint)), change_no = change_no + 1
             WHERE brand_id = $1 AND pass_id = $2",
        );
        let held = held.bind(app.one.brand.id).bind(id).bind(number).execute(&mut *tx).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        if held.is_ok() {
            drop(tx.commit().await);
        }
    }
}

async fn race(engine: Engine, servers: usize, seconds: u64, kills: usize) {
    // Everything is set up in this process; then the servers take over.
    let app = TestApp::start_with(engine, passarela::app::Role::Api, |config| config.database.connections = 6).await;
    let mut passes = Vec::new();
    for index in 0..PASSES {
        passes.push(app.issue(&format!("pass{index}")).await);
    }
    for phone in 0..PHONES {
        for pass in &passes {
            let phone = crate::apple_web_service::Phone::new(&app, &format!("phone{phone}"));
            assert_eq!(phone.register(pass, "aa").await, 201);
        }
    }
    let config = app.app().config.clone();
    let addresses: Vec<String> = (0..servers).map(|_| crate::app::free_address()).collect();
    let running: Vec<Server> =
        addresses.iter().map(|address| Server::new(&config, &config.server.public_url, address)).collect();
    let shared = Arc::new(Shared {
        http: reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap(),
        db: app.app().db.clone(),
        brand: app.one.brand.id,
        written: passes.iter().map(|_| (0..WRITERS).map(|_| AtomicI64::new(0)).collect()).collect(),
        urls: running.iter().map(|server| server.url.clone()).collect(),
        key: app.one.key.clone(),
        next: passes.iter().map(|_| AtomicI64::new(2)).collect(),
        passes,
        is_over: AtomicBool::new(false),
        writes: AtomicU64::default(),
        fetches: AtomicU64::default(),
        not_modified: AtomicU64::default(),
        unanswered: AtomicU64::default(),
    });
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(Arc::clone(&shared).write(writer))).collect();
    let phones: Vec<_> = (0..PHONES).map(|phone| tokio::spawn(Arc::clone(&shared).follow(phone))).collect();
    let killer = async {
        let pause = Duration::from_millis(seconds * 1_000 / (kills as u64 + 1));
        for kill in 0..kills {
            tokio::time::sleep(pause).await;
            let server = &running[kill % running.len()];
            server.kill();
            server.start();
        }
        tokio::time::sleep(pause).await;
        shared.is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(killer, hold_rows(&app, Arc::clone(&shared)));
    for writer in writers {
        writer.await.unwrap();
    }
    let mut ended = Vec::new();
    for phone in phones {
        ended.push(phone.await.unwrap());
    }
    settle(&app, &shared).await;
    let mut checked = 0;
    for (phone, mut held, mut tag) in ended {
        let begun = Instant::now();
        while !shared.poll(phone, phone, &mut tag, &mut held).await {
            assert!(begun.elapsed() < Duration::from_secs(60), "a phone that never ends");
        }
        for (index, pass) in shared.passes.iter().enumerate() {
            let last = published(&app, pass).await;
            let has = held.get(&pass.serial).map_or(1, |held| held.points);
            assert_eq!(has, last, "phone {phone}, pass {index}: what it holds and what is there");
            checked += 1;
        }
    }
    for (index, pass) in shared.passes.iter().enumerate() {
        // Every writer writes one after the other: what it was last told is done must be there, or what it sent after.
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        for (writer, number) in shared.written[index].iter().enumerate() {
            let (number, there) =
                (number.load(Ordering::SeqCst), view["data"][format!("w{writer}")].as_i64().unwrap_or(0));
            assert!(there >= number, "pass {index}, writer {writer}: {number} was acknowledged, {there} is there");
        }
    }
    println!(
        "{engine:?}: {servers} servers, {kills} kills, {} writes acknowledged, {} without answer, {} fetches, {} not modified, {checked} final versions right",
        shared.writes.load(Ordering::Relaxed),
        shared.unanswered.load(Ordering::Relaxed),
        shared.fetches.load(Ordering::Relaxed),
        shared.not_modified.load(Ordering::Relaxed),
    );
    // Not a speed: a race in which nothing happened would prove nothing.
    assert!(shared.writes.load(Ordering::Relaxed) >= 10 && shared.fetches.load(Ordering::Relaxed) >= 10);
}

/// Waits until the servers have published everything.
async fn settle(app: &TestApp, shared: &Shared) {
    let begun = Instant::now();
    for pass in &shared.passes {
        loop {
            let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
            if view["is_published"] == true {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "a change that is never published");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the last published version says.
async fn published(app: &TestApp, pass: &TestPass) -> i64 {
    let phone = crate::apple_web_service::Phone::new(app, "reader");
    let (_, _, json) = phone.fetch(pass, None).await;
    json.unwrap()["storeCard"]["headerFields"][0]["value"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_phone_ends_with_the_last_version_on_sqlite() {
    race(Engine::Sqlite, 1, 12, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_phone_ends_with_the_last_version_with_two_processes_on_postgres() {
    race(Engine::Postgres, 2, 15, 5).await;
}
