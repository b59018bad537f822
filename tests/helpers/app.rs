//! The whole service for a test: a random port, a database of its own, a clock that the test sets.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use passarela::app::{self, Role, Running};
use passarela::clock::{Clock, SystemClock};
use passarela::config::Config;
use passarela::domain::delivery::Channel;
use passarela::domain::locale::Locale;
use passarela::domain::role::Role as KeyRole;
use passarela::http::imports::FORMS;
use passarela::service::keys::Stand;
use passarela::service::{App, brands, keys, sightings, templates};
use passarela::store::brands::Brand;
use passarela::wallet::apple::dev_ca;
use passarela::wallet::design::Design;
use passarela::worker;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, Place};

pub const PASS_TYPE: &str = "pass.example.one";
pub const OTHER_PASS_TYPE: &str = "pass.example.two";

/// Stands still until a test moves it.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().unwrap(), Ordering::SeqCst);
    }

    pub fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn new_id(&self) -> Uuid {
        SystemClock.new_id()
    }

    fn random(&self, bytes: &mut [u8]) {
        SystemClock.random(bytes);
    }
}

/// Certificates take a second to make: once for the whole run.
pub fn certs_dir() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        for (index, pass_type) in [PASS_TYPE, OTHER_PASS_TYPE].iter().enumerate() {
            let serial = 2 * index as u64 + 2;
            dev_ca::ensure(folder.path(), pass_type, [serial << 8, serial << 9], SystemClock.now()).unwrap();
        }
        folder
    });
    folder.path().to_owned()
}

pub fn shipped_design() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/pass-templates/clube-aurora"))
}

/// A brand with a program, a template and an admin's key.
pub struct TestBrand {
    pub brand: Brand,
    pub key: String,
    pub program_id: String,
}

pub struct TestApp {
    running: Option<Running>,
    pub url: String,
    pub clock: Arc<TestClock>,
    pub http: reqwest::Client,
    pub one: TestBrand,
    /// Another tenant: nothing of the first is its business.
    pub two: TestBrand,
    pub place: Place,
}

pub fn config(place: &Place) -> Config {
    use std::os::unix::fs::PermissionsExt;
    let mut config = Config::defaults();
    config.database.url = place.url.clone();
    config.database.connections = 12;
    config.server.listen = free_address();
    config.server.public_url = format!("http://{}", config.server.listen);
    config.server.http_workers = 2;
    config.apple.certs_dir = certs_dir();
    config.imports.spool_dir = place.folder.path().join("imports");
    // Nobody: tests that push bring their own.
    config.apple.apns_url = "http://127.0.0.1:9".to_owned();
    config.google.issuer_id = Some("3388000000000000000".to_owned());
    config.secrets.master_key_file = place.folder.path().join("master.key");
    if !config.secrets.master_key_file.exists() {
        std::fs::write(&config.secrets.master_key_file, [7; 32]).unwrap();
        std::fs::set_permissions(&config.secrets.master_key_file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    config
}

/// An address that nobody else in this run is given: below the ports that the system hands out to whoever connects.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap().to_string();
        }
    }
}

impl TestApp {
    /// The service without its workers: a test steps them itself.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, Role::Api, |_| {}).await
    }

    pub async fn start_with(engine: Engine, role: Role, change: impl FnOnce(&mut Config)) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let place = Place::new(engine).await;
        let mut config = config(&place);
        change(&mut config);
        let url = format!("http://{}", config.server.listen);
        let clock = Arc::new(TestClock(AtomicI64::new(SystemClock.now().timestamp_micros())));
        let app = app::open(config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let one = brand(&app, "Padaria Aurora", PASS_TYPE).await;
        let two = brand(&app, "Outra Loja", OTHER_PASS_TYPE).await;
        let running = app::start(app, role, None).unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut app = Self { running: Some(running), url, clock, http, one, two, place };
        app.one.program_id = app.create_program(&app.one.key).await;
        app.two.program_id = app.create_program(&app.two.key).await;
        app
    }

    pub fn app(&self) -> &App {
        &self.running.as_ref().unwrap().app
    }

    /// The same service once more, on the same database, with the same clock and nothing in memory.
    pub async fn another_process(&self) -> App {
        let config = self.app().config.clone();
        app::open(config, Arc::clone(&self.clock) as Arc<dyn Clock>).await.unwrap()
    }

    /// Stops as a signal does; the database stays for whoever starts next.
    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Everything that workers do, until there is nothing left to do.
    pub async fn work(&self) {
        let never = CancellationToken::new();
        worker::sweeper::calendar(self.app()).await.unwrap();
        sightings::write_down(self.app()).await.unwrap();
        worker::importer::round(self.app(), FORMS, &never).await.unwrap();
        worker::roller::round(self.app(), &never).await.unwrap();
        worker::publisher::round(self.app(), &never).await.unwrap();
        worker::sequencer::round(self.app(), &never).await.unwrap();
    }

    /// Tells everybody what there is to tell, until nothing is due at this moment.
    pub async fn deliver(&self) {
        for channel in Channel::ALL {
            worker::dispatcher::round(self.app(), *channel, &CancellationToken::new()).await.unwrap();
        }
    }

    pub async fn sweep(&self) {
        worker::sweeper::round(self.app(), &CancellationToken::new()).await.unwrap();
    }

    pub async fn key(&self, brand: &TestBrand, role: KeyRole) -> String {
        let store = role.needs_store().then(|| passarela::domain::ids::StoreId::new(SystemClock.new_id()));
        let (_, secret) =
            keys::create(self.app(), &brand.brand, role, Stand { store, terminal: None }, "test", None).await.unwrap();
        secret.reveal().clone()
    }

    async fn create_program(&self, key: &str) -> String {
        let body = json!({ "name": "Clube", "time_zone": "America/Sao_Paulo" });
        let (status, program) = self.post("/api/v1/programs", key, &body).await;
        assert_eq!(status, 201, "{program}");
        program["id"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> reqwest::Response {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url)).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    pub async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        answer(self.send("POST", path, key, Some(body)).await).await
    }

    pub async fn patch(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        answer(self.send("PATCH", path, key, Some(body)).await).await
    }

    pub async fn get(&self, path: &str, key: &str) -> (u16, Value) {
        answer(self.send("GET", path, key, None).await).await
    }

    /// Issues a pass of the first brand; `external_id` names both the pass and its customer.
    pub async fn issue(&self, external_id: &str) -> TestPass {
        let body = json!({
            "template": "clube-aurora", "program_id": self.one.program_id, "external_id": external_id,
            "customer": { "external_id": external_id, "name": "Ana Souza" }, "data": { "points": 1 },
        });
        let (status, pass) = self.post("/api/v1/passes", &self.one.key, &body).await;
        assert_eq!(status, 201, "{pass}");
        let bytes = self.http.get(pass["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        let json = super::bundle::pass_json(&bytes);
        let text = |key: &str| json[key].as_str().unwrap().to_owned();
        TestPass {
            id: pass["id"].as_str().unwrap().to_owned(),
            serial: text("serialNumber"),
            token: text("authenticationToken"),
            web_service_url: text("webServiceURL"),
        }
    }

    pub async fn set_points(&self, pass: &TestPass, points: i64) {
        let body = json!({ "data": { "points": points } });
        let (status, answer) = self.patch(&format!("/api/v1/passes/{}", pass.id), &self.one.key, &body).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// Status and body; `Null` for an empty one.
pub async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[derive(Debug, Clone)]
pub struct TestPass {
    pub id: String,
    pub serial: String,
    pub token: String,
    pub web_service_url: String,
}

async fn brand(app: &App, name: &str, pass_type: &str) -> TestBrand {
    let pass_types = [pass_type.to_owned()];
    let brand = brands::create(app, name, Locale::PtBr, "America/Sao_Paulo", &pass_types).await.unwrap();
    let files = Design::read_folder(&shipped_design()).unwrap();
    templates::install(app, brand.id, pass_type, files, None).await.map_err(|problem| problem.to_string()).unwrap();
    let (_, secret) = keys::create(app, &brand, KeyRole::Admin, Stand::default(), "test", None).await.unwrap();
    TestBrand { brand, key: secret.reveal().clone(), program_id: String::new() }
}
