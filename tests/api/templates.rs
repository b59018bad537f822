//! Uploading designs, and looking at them.

use std::io::{Cursor, Write as _};

use chrono::TimeDelta;
use passarela::wallet::design::{Design, Files};
use serde_json::{Value, json};

use crate::app::{TestApp, shipped_design};
use crate::apple_web_service::Phone;
use crate::on_both_engines;

pub fn packed(files: &Files) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn design() -> Files {
    Design::read_folder(&shipped_design()).unwrap()
}

/// The shipped design with another text on it.
pub fn changed(label: &str) -> Files {
    let mut files = design();
    let texts = String::from_utf8(files["pt-BR.toml"].clone()).unwrap();
    files.insert("pt-BR.toml".to_owned(), texts.replace("NÍVEL", label).into_bytes());
    files
}

pub async fn upload(app: &TestApp, key: &str, query: &str, zip: Vec<u8>) -> (u16, Value) {
    let request = app.http.post(format!("{}/api/v1/templates{query}", app.url)).bearer_auth(key);
    let response = request.header("content-type", "application/zip").body(zip).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

on_both_engines! {
    async fn a_design_is_uploaded_once_for_each_change(engine) {
        let app = TestApp::start(engine).await;
        let key = &app.one.key;
        let (status, first) = upload(&app, key, "", packed(&design())).await;
        assert_eq!((status, first["version"].as_i64()), (200, Some(1)), "what the command line installed {first}");
        let (status, first) = upload(&app, key, "", packed(&changed("GRAU"))).await;
        assert_eq!((status, first["version"].as_i64()), (201, Some(2)), "{first}");
        let (status, again) = upload(&app, key, "", packed(&changed("GRAU"))).await;
        assert_eq!((status, again["version"].as_i64(), &again["rollout"]), (200, Some(2), &Value::Null));
        let (status, next) = upload(&app, key, "", packed(&changed("CATEGORIA"))).await;
        assert_eq!((status, next["version"].as_i64(), next["live_version"].as_i64()), (201, Some(3), Some(1)));
        assert_eq!(next["rollout"]["to_version"], 3);
        let (_, list) = app.get("/api/v1/templates", &app.two.key).await;
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "another brand's are its own");
        assert_eq!(list["data"][0]["version"], 1);
        let (status, refused) = upload(&app, key, "?pass_type=pass.nobody", packed(&changed("X"))).await;
        assert_eq!((status, refused["type"].as_str()), (409, Some("/problems/pass-type-fixed")));
    }

    async fn a_refusal_names_every_fault_and_writes_nothing(engine) {
        let app = TestApp::start(engine).await;
        let key = &app.one.key;
        let mut files = changed("CATEGORIA");
        let text = String::from_utf8(files["template.toml"].clone()).unwrap();
        let text = text.replace("#7a1f3d", "red").replace("format = \"integer\"", "format = \"whole\"");
        files.insert("template.toml".to_owned(), text.into_bytes());
        let (status, problem) = upload(&app, key, "", packed(&files)).await;
        assert_eq!((status, problem["type"].as_str()), (422, Some("/problems/design-refused")));
        let faults = problem["faults"].as_array().unwrap();
        assert_eq!(faults.len(), 2, "{problem}");
        assert!(faults.iter().all(|fault| fault["file"] == "template.toml" && fault["line"].is_u64()), "{problem}");
        for (body, kind) in [(b"hello".to_vec(), "design-refused"), (vec![0; 11 << 20], "too-large")] {
            let (_, problem) = upload(&app, key, "", body).await;
            assert_eq!(problem["type"], format!("/problems/{kind}"));
        }
        let request = app.http.post(format!("{}/api/v1/templates", app.url)).bearer_auth(key);
        let response = request.header("content-type", "text/plain").body(packed(&files)).send().await.unwrap();
        assert_eq!(response.status(), 415);
        let (_, list) = app.get("/api/v1/templates", key).await;
        assert_eq!(list["data"][0]["version"], 1, "nothing was written");
    }

    async fn a_template_and_a_pass_are_seen_as_phones_show_them(engine) {
        let app = TestApp::start(engine).await;
        let key = &app.one.key;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), key).await;
        let template = view["template_id"].as_str().unwrap();
        let see = async |path: &str, key: &str| {
            let response = app.http.get(format!("{}{path}", app.url)).bearer_auth(key).send().await.unwrap();
            let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            (response.status().as_u16(), kind.unwrap_or_default(), response.bytes().await.unwrap().to_vec())
        };
        let (status, kind, svg) = see(&format!("/api/v1/templates/{template}/preview?look=front&locale=en"), key).await;
        let svg = String::from_utf8(svg).unwrap();
        assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
        assert!(svg.contains(">TIER<") && svg.contains(">Ouro<") && svg.contains(">1,240<"), "the sample, in English");
        let (status, kind, png) = see(&format!("/api/v1/passes/{}/preview?look=back&format=png", pass.id), key).await;
        assert_eq!((status, kind.as_str(), &png[..4]), (200, "image/png", &b"\x89PNG"[..]));
        let (_, _, svg) = see(&format!("/api/v1/passes/{}/preview?look=front", pass.id), key).await;
        let svg = String::from_utf8(svg).unwrap();
        assert!(svg.contains("PONTOS") && !svg.contains(">Ouro<"), "the pass, not the sample");
        assert_eq!(see(&format!("/api/v1/passes/{}/preview", pass.id), &app.two.key).await.0, 404);
        assert_eq!(see(&format!("/api/v1/templates/{template}/preview?version=2"), key).await.0, 404);
        assert_eq!(see(&format!("/api/v1/templates/{template}/preview?look=side"), key).await.0, 422);
    }

    async fn a_roll_out_brings_a_version_to_a_canary_and_then_to_all(engine) {
        let app = TestApp::start(engine).await;
        let key = &app.one.key;
        let mut passes = Vec::new();
        for name in ["ana", "bia", "caio", "duda"] {
            passes.push(app.issue(name).await);
        }
        app.clock.advance(TimeDelta::seconds(5));
        let has_new = async || {
            let mut count = 0;
            for pass in &passes {
                let (_, _, json) = Phone::new(&app, "phone").fetch(pass, None).await;
                count += usize::from(json.unwrap().to_string().contains("CATEGORIA"));
            }
            count
        };
        let (status, uploaded) = upload(&app, key, "?canary_percent=25&hold_minutes=5", packed(&changed("CATEGORIA"))).await;
        assert_eq!((status, uploaded["rollout"]["canary"].as_i64()), (201, Some(1)));
        let path = format!("/api/v1/rollouts/{}", uploaded["rollout"]["id"].as_str().unwrap());
        for pass in &passes {
            let tier = json!({ "data": { "tier": "Ouro" } });
            app.patch(&format!("/api/v1/passes/{}", pass.id), key, &tier).await;
        }
        let settle = async |seconds: i64| {
            app.clock.advance(TimeDelta::seconds(seconds));
            for _ in 0..4 {
                app.work().await;
                app.clock.advance(TimeDelta::seconds(1));
            }
        };
        settle(1).await;
        assert_eq!(has_new().await, 1, "the canary has it, and the others changed without it");
        let (_, view) = app.get(&path, key).await;
        assert_eq!((view["stage"].as_str(), view["done"].as_i64(), view["waiting"].as_i64()), (Some("hold"), Some(1), Some(0)));

        assert_eq!(app.post(&format!("{path}/pause"), key, &json!({})).await.0, 200);
        assert_eq!(app.post(&format!("{path}/pause"), key, &json!({})).await.0, 200, "twice is harmless");
        settle(400).await;
        assert_eq!(has_new().await, 1, "paused");
        assert_eq!(app.post(&format!("{path}/resume"), key, &json!({})).await.0, 200);
        settle(1).await;
        assert_eq!(has_new().await, 4);
        settle(30).await;
        let (_, view) = app.get(&path, key).await;
        assert_eq!((view["state"].as_str(), view["done"].as_i64()), (Some("finished"), Some(4)), "{view}");
        assert_eq!(app.post(&format!("{path}/abort"), key, &json!({})).await.0, 409);
        let (_, template) = app.get("/api/v1/templates", key).await;
        assert_eq!(template["data"][0]["live_version"], 2);

        let back = json!({ "template_id": uploaded["id"], "version": 1, "canary_percent": 0 });
        let (status, view) = app.post("/api/v1/rollouts", key, &back).await;
        assert_eq!((status, view["from_version"].as_i64(), view["to_version"].as_i64()), (201, Some(2), Some(1)));
        settle(1).await;
        assert_eq!(has_new().await, 0, "back to the first");
        assert_eq!(app.post(&format!("{path}/pause"), &app.two.key, &json!({})).await.0, 404);
    }

    async fn a_version_that_cannot_show_a_pass_pauses_its_roll_out(engine) {
        let app = TestApp::start(engine).await;
        let key = &app.one.key;
        let pass = app.issue("ana").await;
        app.clock.advance(TimeDelta::seconds(5));
        let mut files = changed("CATEGORIA");
        let text = String::from_utf8(files["template.toml"].clone()).unwrap();
        let text = text.replace("{{ pass.data.points | default(wallets.points.balance) | default(0) }}", "{% if pass.data.note %}1{% else %}none{% endif %}");
        files.insert("template.toml".to_owned(), text.into_bytes());
        let (status, uploaded) = upload(&app, key, "?canary_percent=100&hold_minutes=1", packed(&files)).await;
        assert_eq!(status, 201, "the sample has a note: {uploaded}");
        let path = format!("/api/v1/rollouts/{}", uploaded["rollout"]["id"].as_str().unwrap());
        for _ in 0..4 {
            app.work().await;
            app.clock.advance(TimeDelta::seconds(6));
        }
        let (_, view) = app.get(&path, key).await;
        assert_eq!(view["state"], "paused", "{view}");
        assert!(view["reason"].as_str().unwrap().contains("1 passes are refused"), "{view}");
        assert_eq!(Phone::new(&app, "phone").fetch(&pass, None).await.0, 200, "the phone keeps what it had");
        assert_eq!(app.post(&format!("{path}/abort"), key, &json!({})).await.1["state"], "aborted");
        // The version before takes it again, and the next change reaches the phone.
        app.patch(&format!("/api/v1/passes/{}", pass.id), key, &json!({ "data": { "tier": "Platina" } })).await;
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
        let (_, _, json) = Phone::new(&app, "phone").fetch(&pass, None).await;
        assert!(json.unwrap().to_string().contains("Platina"));
    }
}
