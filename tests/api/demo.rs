//! The first of the README's commands, as a newcomer runs it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bundle::{openssl_verify, pass_json};

/// A demo that does not outlive its test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.0.kill());
    }
}

fn start(folder: &std::path::Path) -> (Demo, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_passarela"))
        .args(["demo", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join("demo"))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Demo(child), serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

/// Asks it to stop as an operator does; how long that took.
fn stop(mut demo: Demo) -> Duration {
    let child = &mut demo.0;
    let begun = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_serves_a_card_that_verifies_and_the_same_one_after_a_restart() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::TempDir::new().unwrap();
    let (child, ready) = start(folder.path());
    let text = |key: &str| ready[key].as_str().unwrap_or_else(|| panic!("{key}: {ready}")).to_owned();
    assert!(ready["console_url"].is_null(), "what does not exist yet is null");
    let http = reqwest::Client::new();
    let bundle = http.get(text("pkpass_url")).send().await.unwrap().bytes().await.unwrap();
    openssl_verify(&bundle, &folder.path().join(text("wwdr_ca_file"))).unwrap();
    let pass = pass_json(&bundle);
    assert_eq!(pass["serialNumber"], ready["serial"]);
    assert!(http.get(text("add_url")).send().await.unwrap().status().is_success());
    let change = http.patch(format!("{}/api/v1/passes/{}", text("public_url"), text("pass_id")));
    let change = change.bearer_auth(text("api_key")).json(&json!({ "data": { "points": 777 } })).send().await.unwrap();
    assert!(change.status().is_success());
    let begun = Instant::now();
    loop {
        let bundle = http.get(text("pkpass_url")).send().await.unwrap().bytes().await.unwrap();
        if pass_json(&bundle)["storeCard"]["headerFields"][0]["value"] == 777 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the change never reaches the card");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(stop(child) < Duration::from_secs(10));
    let (child, again) = start(folder.path());
    for key in ["api_key", "brand_id", "program_id", "customer_id", "pass_id", "serial"] {
        assert_eq!(again[key], ready[key], "{key}");
    }
    stop(child);
}
