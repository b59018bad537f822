//! `Idempotency-Key`: one effect, one answer.

use serde_json::{Value, json};

use crate::app::{TestApp, answer};
use crate::on_both_engines;

async fn create(app: &TestApp, key: &str, idempotency_key: &str, body: &Value) -> (u16, bool, Value) {
    let request = app.http.post(format!("{}/api/v1/customers", app.url)).bearer_auth(key);
    let response = request.header("Idempotency-Key", idempotency_key).json(body).send().await.unwrap();
    let is_replayed = response.headers().contains_key("idempotency-replayed");
    let (status, body) = answer(response).await;
    (status, is_replayed, body)
}

on_both_engines! {
    async fn a_repeated_request_has_one_effect_and_one_answer(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({ "name": "Ana" });
        let (status, is_replayed, first) = create(&app, &app.one.key, "k1", &body).await;
        assert_eq!((status, is_replayed), (201, false));
        assert_eq!(create(&app, &app.one.key, "k1", &body).await, (201, true, first.clone()));
        let (status, _, other) = create(&app, &app.one.key, "k1", &json!({ "name": "Bia" })).await;
        assert_eq!((status, other["type"].as_str()), (422, Some("/problems/idempotency-key-reused")));
        let (status, _, theirs) = create(&app, &app.two.key, "k1", &body).await;
        assert_eq!(status, 201, "another brand's key is another key");
        assert_ne!(theirs["id"], first["id"]);
        let rotated = app.key(&app.one, passarela::domain::role::Role::Admin).await;
        assert!(create(&app, &rotated, "k1", &body).await.1, "a rotated credential doubles nothing");
        assert_eq!(create(&app, &app.one.key, "a b", &body).await.0, 422);
        let (_, customers) = app.get("/api/v1/customers", &app.one.key).await;
        assert_eq!(customers["data"].as_array().unwrap().len(), 1);
        assert!(!first.to_string().contains("Ana"), "what is kept says nothing about a person");
    }

    async fn a_key_is_kept_with_an_answer_from_before_too(engine) {
        let app = TestApp::start(engine).await;
        let pass = |data: Value| {
            let body = json!({ "template": "clube-aurora", "program_id": app.one.program_id, "external_id": "ana",
                "customer": { "external_id": "ana" }, "data": data });
            let request = app.http.post(format!("{}/api/v1/passes", app.url)).bearer_auth(&app.one.key).json(&body);
            async move { request }
        };
        let points = json!({ "points": 1 });
        assert_eq!(pass(points.clone()).await.header("Idempotency-Key", "k1").send().await.unwrap().status(), 201);
        assert_eq!(pass(points.clone()).await.header("Idempotency-Key", "k2").send().await.unwrap().status(), 200);
        let body = json!({ "template": "clube-aurora", "program_id": app.one.program_id, "customer": { "external_id": "bia" } });
        let request = app.http.post(format!("{}/api/v1/passes", app.url)).bearer_auth(&app.one.key).json(&body);
        assert_eq!(request.header("Idempotency-Key", "k2").send().await.unwrap().status(), 422, "k2 stands for another request");
        assert_eq!(pass(points).await.header("Idempotency-Key", "k2").send().await.unwrap().status(), 200);
    }

    async fn a_refusal_is_not_kept(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({ "identifiers": [{ "type": "cpf", "value": "52998224725" }] });
        create(&app, &app.one.key, "k1", &body).await;
        assert_eq!(create(&app, &app.one.key, "k2", &body).await.0, 409);
        assert_eq!(create(&app, &app.one.key, "k2", &json!({ "name": "Bia" })).await.0, 201, "k2 had no effect");
    }

    async fn fifty_at_once_have_one_effect(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({ "name": "Ana" });
        let all = (0..50).map(|_| async {
            for _ in 0..50 {
                let (status, _, customer) = create(&app, &app.one.key, "k1", &body).await;
                match status {
                    201 => return customer["id"].as_str().unwrap().to_owned(),
                    409 | 503 => {}
                    _ => panic!("{status} {customer}"),
                }
            }
            panic!("never answered");
        });
        let ids = futures_util::future::join_all(all).await;
        assert!(ids.iter().all(|id| *id == ids[0]));
        let (_, customers) = app.get("/api/v1/customers", &app.one.key).await;
        assert_eq!(customers["data"].as_array().unwrap().len(), 1);
    }

    async fn keys_are_forgotten_after_three_days(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({ "name": "Ana" });
        create(&app, &app.one.key, "k1", &body).await;
        app.clock.advance(chrono::TimeDelta::hours(71));
        app.sweep().await;
        assert!(create(&app, &app.one.key, "k1", &body).await.1);
        app.clock.advance(chrono::TimeDelta::hours(2));
        app.sweep().await;
        assert!(!create(&app, &app.one.key, "k1", &body).await.1);
    }
}
