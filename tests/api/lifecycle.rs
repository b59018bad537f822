//! Starting, stopping, backing up, restoring, and clients that vanish.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use passarela::app::{self, Role};
use passarela::clock::SystemClock;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::{TestApp, answer};
use crate::apple_web_service::Phone;
use crate::on_both_engines;

/// Runs the program beside the service, on the same database.
pub fn passarela(app: &TestApp, database_url: &str, arguments: &[&str]) -> Output {
    let config = &app.app().config;
    #[expect(clippy::disallowed_methods, reason = "pg_dump is where scripts/test found the server")]
    let path = format!("{}:{}", std::env::var("TEST_POSTGRES_BIN").unwrap_or_default(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_passarela"));
    if let (Some(issuer), Some(account)) = (&config.google.issuer_id, &config.google.service_account_file) {
        command.env("PASSARELA_GOOGLE__ISSUER_ID", issuer);
        command.env("PASSARELA_GOOGLE__SERVICE_ACCOUNT_FILE", account);
        command.env("PASSARELA_GOOGLE__WALLET_URL", &config.google.wallet_url);
    }
    command
        .args(arguments)
        .env("PATH", path)
        .env("PASSARELA_DATABASE__URL", database_url)
        .env("PASSARELA_SECRETS__MASTER_KEY_FILE", &config.secrets.master_key_file)
        .env("PASSARELA_APPLE__CERTS_DIR", &config.apple.certs_dir)
        .env("PASSARELA_SERVER__PUBLIC_URL", &config.server.public_url)
        .output()
        .unwrap()
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

on_both_engines! {
    async fn a_backup_under_load_restores_whole_and_begins_a_new_epoch(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let mut phone = Phone::new(&app, "d1");
        phone.register(&pass, "aa01").await;
        phone.list(&pass).await;
        let file = app.place.folder.path().join("backup");
        let file_name = file.to_str().unwrap().to_owned();
        let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let load = async {
            let mut number = 0;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                app.set_points(&pass, number).await;
            }
        };
        let url = app.app().config.database.url.clone();
        let backup = async {
            let output = tokio::task::block_in_place(|| passarela(&app, &url, &["backup", &file_name]));
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            output
        };
        let ((), output) = tokio::join!(load, backup);
        assert!(output.status.success(), "{}", text(&output));
        assert!(!passarela(&app, &url, &["backup", &file_name]).status.success(), "a backup overwrites nothing");
        assert_eq!(passarela(&app, &url, &["restore", &file_name]).status.code(), Some(1), "a restore overwrites nothing");

        let target = crate::engine::Place::new(engine).await;
        let damaged = app.place.folder.path().join("damaged");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let version = format!("\"schema_version\":{},", passarela::store::db::migration_names().count());
        std::fs::write(&damaged, &bytes).unwrap();
        for (content, why) in [
            (bytes.clone(), "is damaged"),
            (bytes[..bytes.len() - 10].to_vec(), "is damaged"),
            (b"PK\x03\x04 something else entirely".to_vec(), "is not a backup of Passarela"),
            (replaced(&std::fs::read(&file).unwrap(), &version, "\"schema_version\":9999,"), "newer Passarela"),
            (replaced(&std::fs::read(&file).unwrap(), "\"master_key_check\":\"", "\"master_key_check\":\"00"), "another master key"),
        ] {
            std::fs::write(&damaged, content).unwrap();
            let output = passarela(&app, &target.url, &["restore", damaged.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            assert!(text(&output).contains(why), "{why}: {}", text(&output));
        }
        let output = passarela(&app, &target.url, &["restore", &file_name]);
        assert!(output.status.success(), "{}", text(&output));

        let mut config = app.app().config.clone();
        config.database.url = target.url.clone();
        config.server.listen = crate::app::free_address();
        let restored = app::open(config.clone(), Arc::new(SystemClock)).await.unwrap();
        let running = app::start(restored, Role::Api, None).unwrap();
        let base = pass.web_service_url.replace(&app.url, &format!("http://{}", config.server.listen));
        let url = format!("{base}/v1/devices/d1/registrations/{}?passesUpdatedSince={}", crate::app::PASS_TYPE, phone.tag.unwrap());
        let (status, list) = answer(app.http.get(url).send().await.unwrap()).await;
        assert_eq!((status, &list["serialNumbers"]), (200, &json!([pass.serial])), "its old tag is foreign now");
        running.stop().await;
    }

    async fn stopping_loses_nothing_acknowledged_and_takes_less_than_ten_seconds(engine) {
        let mut app = TestApp::start_with(engine, Role::All, |_| {}).await;
        let pass = app.issue("ana").await;
        let (url, key, path) = (app.url.clone(), app.one.key.clone(), format!("/api/v1/passes/{}", pass.id));
        let http = app.http.clone();
        let (first, heard) = tokio::sync::oneshot::channel();
        let mut first = Some(first);
        let writer = tokio::spawn(async move {
            let mut acknowledged = 0;
            for number in 1.. {
                let request = http.patch(format!("{url}{path}")).bearer_auth(&key);
                let sent = request.json(&json!({ "data": { "points": number } })).send().await;
                match sent {
                    Ok(response) if response.status() == 200 => {
                        acknowledged = number;
                        first.take().map(|first| first.send(()));
                    }
                    _ => break,
                }
            }
            acknowledged
        });
        heard.await.unwrap();
        let config = app.app().config.clone();
        let begun = Instant::now();
        app.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        let acknowledged = writer.await.unwrap();
        assert!(acknowledged > 0);
        let reopened = app::open(config, Arc::new(SystemClock)).await.unwrap();
        let id = pass.id.parse().unwrap();
        let (pass, _) = passarela::service::read_pass::read(&reopened, app.one.brand.id, id).await.unwrap();
        assert!(pass.data.reveal()["points"].as_i64().unwrap() >= acknowledged);
    }

    async fn clients_that_reset_lose_nothing_acknowledged_and_leave_no_trace_when_refused(engine) {
        let app = TestApp::start(engine).await;
        let address = app.url.trim_start_matches("http://").to_owned();
        let request = |number: usize, body: &Value| {
            let body = body.to_string();
            format!(
                "POST /api/v1/passes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
                 Idempotency-Key: reset-{number}\r\nContent-Length: {}\r\n\r\n{body}",
                app.one.key,
                body.len()
            )
        };
        // Good and refused orders alternate; every client resets its connection some moment after sending.
        let order = |number: usize| json!({
            "template": "clube-aurora", "program_id": app.one.program_id, "external_id": format!("reset-{number}"),
            "customer": { "external_id": format!("reset-{number}") },
            "data": { "points": if number.is_multiple_of(4) { json!("many") } else { json!(number) } },
        });
        let all = (0..120).map(|number| {
            let (address, request) = (address.clone(), request(number, &order(number)));
            async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_micros(number as u64 * 150)).await;
                let stream = stream.into_std().unwrap();
                let socket = socket_with_reset(stream);
                drop(socket);
            }
        });
        futures_util::future::join_all(all).await;
        while app.app().running_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        // Repeated with its key, every order has one effect and one answer; refused ones left nothing.
        for number in 0..120 {
            let url = format!("{}/api/v1/passes", app.url);
            let sent = app.http.post(url).bearer_auth(&app.one.key).header("Idempotency-Key", format!("reset-{number}"));
            let (status, body) = answer(sent.json(&order(number)).send().await.unwrap()).await;
            if number.is_multiple_of(4) {
                assert_eq!(status, 422, "{body}");
            } else {
                assert!(status == 201 || status == 200, "{number}: {status} {body}");
            }
        }
        let (mut count, mut after) = (0, String::new());
        loop {
            let (_, page) = app.get(&format!("/api/v1/passes?limit=200{after}"), &app.one.key).await;
            count += page["data"].as_array().unwrap().len();
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(count, 90, "each good order once, no refused one");
        let (_, customers) = app.get("/api/v1/customers?limit=200", &app.one.key).await;
        assert_eq!(customers["data"].as_array().unwrap().len(), 90);
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
    }

    async fn another_master_key_is_refused(engine) {
        let app = TestApp::start(engine).await;
        let mut config = app.app().config.clone();
        let other = app.place.folder.path().join("other.key");
        std::fs::write(&other, "08".repeat(32)).unwrap();
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        config.secrets.master_key_file = other.clone();
        let refused = app::open(config.clone(), Arc::new(SystemClock)).await.err().unwrap();
        assert!(matches!(refused, app::StartError::OtherMasterKey), "{refused}");
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let refused = app::open(config, Arc::new(SystemClock)).await.err().unwrap();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    async fn the_doctor_and_the_operators_commands_work_beside_a_running_service(engine) {
        let app = TestApp::start(engine).await;
        let url = app.app().config.database.url.clone();
        let output = passarela(&app, &url, &["--json", "brand", "create", "Third", "--pass-type", "pass.example.three"]);
        assert!(output.status.success(), "{}", text(&output));
        let brand: Value = serde_json::from_slice(&output.stdout).unwrap();
        let code = brand["code"].as_str().unwrap();
        let output = passarela(&app, &url, &["brand", "bind-pass-type", code, crate::app::PASS_TYPE]);
        assert_eq!(output.status.code(), Some(1), "a pass type belongs to one brand: {}", text(&output));
        let output = passarela(&app, &url, &["--json", "key", "create", "--brand", code, "--role", "reader"]);
        let key: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(app.get("/api/v1/passes", key["key"].as_str().unwrap()).await.0, 200);
        let output = passarela(&app, &url, &["key", "revoke", "--brand", code, key["id"].as_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output));
        // Another process took the key away: this one may know it for a second longer.
        let mut status = 200;
        for _ in 0..100 {
            status = app.get("/api/v1/passes", key["key"].as_str().unwrap()).await.0;
            if status == 401 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(status, 401);
        let list = text(&passarela(&app, &url, &["key", "list", "--brand", code]));
        assert!(list.contains("revoked") && !list.contains("psk_"), "{list}");
        let folder = crate::app::shipped_design();
        let output = passarela(&app, &url, &["template", "install", "--brand", code, folder.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output));
        let (_, ready) = answer(app.http.get(format!("{}/readyz", app.url)).send().await.unwrap()).await;
        assert_eq!(ready["unsigned_pass_types"], serde_json::json!(["pass.example.three"]), "{ready}");
        let none = app.place.folder.path().join("none.pem");
        std::fs::write(&none, "hi").unwrap();
        let bundle = app.place.folder.path().join("none.pkpass");
        std::fs::write(&bundle, "").unwrap();
        let output = passarela(&app, &url, &["pass", "verify", bundle.to_str().unwrap(), "--ca", none.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let output = passarela(&app, "mysql://x", &["doctor"]);
        assert!(output.status.code() == Some(2) && text(&output).contains("database.url"), "{}", text(&output));
        let output = passarela(&app, &url, &["doctor"]);
        let report = text(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        for sentence in ["The master key fits the database", "pass.example.one can be signed", "development certificate",
            "pass.example.three of Third has no usable certificate", "phones fetch updates over https only"] {
            assert!(report.contains(sentence), "{sentence}: {report}");
        }
        assert_eq!(passarela(&app, &url, &["nonsense"]).status.code(), Some(2));
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap_or_else(|| panic!("{from}"));
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

/// Closing it sends RST, not FIN: the server sees a reset in the middle of its work.
fn socket_with_reset(stream: std::net::TcpStream) -> std::net::TcpStream {
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    stream
}
