//! Customers and what they are known by.

use chrono::TimeDelta;
use serde_json::json;

use crate::app::TestApp;
use crate::apple_web_service::Phone;
use crate::on_both_engines;

on_both_engines! {
    async fn a_customer_is_known_by_any_identifier_and_two_matches_are_ambiguous(engine) {
        let app = TestApp::start(engine).await;
        for (name, cpf) in [("Ana", "529.982.247-25"), ("Bia", "111.444.777-35")] {
            let body = json!({ "name": name, "identifiers": [
                { "type": "cpf", "value": cpf }, { "type": "email", "value": "Familia@Example.com" }] });
            let (status, answer) = app.post("/api/v1/customers", &app.one.key, &body).await;
            assert_eq!(status, 201, "{answer}");
        }
        let issue = |customer: serde_json::Value| {
            let body = json!({ "template": "clube-aurora", "program_id": app.one.program_id, "customer": customer });
            let app = &app;
            async move { app.post("/api/v1/passes", &app.one.key, &body).await }
        };
        let (status, pass) = issue(json!({ "cpf": "52998224725" })).await;
        assert_eq!(status, 201);
        let (_, ana) = app.get(&format!("/api/v1/customers/{}", pass["customer_id"].as_str().unwrap()), &app.one.key).await;
        assert_eq!(ana["name"], "Ana");
        let (status, problem) = issue(json!({ "email": "familia@example.com" })).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("/problems/ambiguous-customer")));
        let (status, problem) = issue(json!({ "cpf": "52998224725", "email": "familia@example.com" })).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some("/customer")), "one identifier, or a shared one could decide");
        let body = json!({ "identifiers": [{ "type": "cpf", "value": "52998224725" }] });
        let (status, problem) = app.post("/api/v1/customers", &app.one.key, &body).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("/problems/identifier-taken")));
    }

    async fn a_changed_name_reaches_the_passes_that_show_it(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let path = format!("/api/v1/customers/{}", view["customer_id"].as_str().unwrap());
        let body = json!({ "name": "Ana Lima", "attributes": { "vip": true }, "identifiers": [{ "type": "card_number", "value": "12-34" }] });
        let (status, customer) = app.patch(&path, &app.one.key, &body).await;
        assert_eq!((status, customer["name"].as_str()), (200, Some("Ana Lima")), "{customer}");
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
        let (_, _, json) = Phone::new(&app, "d").fetch(&pass, None).await;
        let json = json.unwrap();
        assert_eq!(json["storeCard"]["secondaryFields"][0]["value"], "Ana Lima");
        assert_eq!(json["barcode"]["altText"], "1234");
        let (_, customer) = app.patch(&path, &app.one.key, &json!({ "name": null, "attributes": { "vip": null } })).await;
        assert_eq!((&customer["name"], &customer["attributes"]), (&json!(null), &json!({})));
        assert_eq!(customer["identifiers"][0], json!({ "type": "card_number", "value": "1234" }));
    }

    async fn a_customer_is_named_by_the_code_on_their_pass(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, _, json) = Phone::new(&app, "d").fetch(&pass, None).await;
        let code = json.unwrap()["barcode"]["message"].as_str().unwrap().to_owned();
        let issue = |code: String, program: String, key: String| {
            let body = json!({ "template": "clube-aurora", "program_id": program, "customer": { "code": code } });
            let app = &app;
            async move { app.post("/api/v1/passes", &key, &body).await }
        };
        let (one, two) = (&app.one, &app.two);
        let (_, first) = app.get(&format!("/api/v1/passes/{}", pass.id), &one.key).await;
        let (status, second) = issue(code.to_lowercase(), one.program_id.clone(), one.key.clone()).await;
        assert_eq!((status, &second["customer_id"]), (201, &first["customer_id"]), "{second}");
        let (status, problem) = issue(code.clone(), two.program_id.clone(), two.key.clone()).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some("/customer/code")), "another brand's code");
        let (status, problem) = issue(code.replace('0', "1"), one.program_id.clone(), one.key.clone()).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some("/customer/code")), "a forged code");
        app.post(&format!("/api/v1/passes/{}/void", pass.id), &one.key, &json!({})).await;
        let (status, problem) = issue(code, one.program_id.clone(), one.key.clone()).await;
        assert_eq!((status, problem["type"].as_str()), (404, Some("/problems/not-found")), "a voided pass names nobody");
    }

    async fn customers_and_passes_are_found_by_the_caller_s_own_ids(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        app.issue("bia").await;
        for (path, key, count) in [
            ("/api/v1/passes?external_id=ana", &app.one.key, 1),
            ("/api/v1/passes?external_id=nobody", &app.one.key, 0),
            ("/api/v1/passes?external_id=ana", &app.two.key, 0),
            ("/api/v1/passes?status=active", &app.one.key, 2),
            ("/api/v1/passes?status=voided", &app.one.key, 0),
            ("/api/v1/customers?external_id=ana", &app.one.key, 1),
            ("/api/v1/customers?card_number=1", &app.one.key, 0),
            ("/api/v1/customers?external_id=ana", &app.two.key, 0),
        ] {
            let (status, page) = app.get(path, key).await;
            assert_eq!((status, page["data"].as_array().map(Vec::len)), (200, Some(count)), "{path}: {page}");
            assert!(page.get("next").is_none(), "{path}");
        }
        let (_, page) = app.get("/api/v1/passes?external_id=ana", &app.one.key).await;
        assert_eq!(page["data"][0]["id"], pass.id.as_str());
        for path in ["/api/v1/passes?external_id=%00", "/api/v1/passes?status=x", "/api/v1/passes?changed_since=0&status=active", "/api/v1/customers?external_id=ana&card_number=1"] {
            assert_eq!(app.get(path, &app.one.key).await.0, 422, "{path}");
        }
    }

    async fn an_identifier_that_is_removed_can_be_another_customer_s(engine) {
        let app = TestApp::start(engine).await;
        let create = |name: &str| json!({ "name": name, "identifiers": [{ "type": "card_number", "value": "77" }] });
        let (status, ana) = app.post("/api/v1/customers", &app.one.key, &create("Ana")).await;
        assert_eq!(status, 201, "{ana}");
        let path = format!("/api/v1/customers/{}", ana["id"].as_str().unwrap());
        let remove = json!({ "identifiers": [{ "type": "card_number", "value": null }] });
        let two = json!({ "identifiers": [
            { "type": "phone", "value": "+5511987654321" }, { "type": "phone", "value": "+5511987654322" }] });
        let (status, ana) = app.patch(&path, &app.one.key, &two).await;
        assert_eq!((status, ana["identifiers"].as_array().map(Vec::len)), (200, Some(3)), "both phones and the card");
        let none = json!({ "identifiers": [{ "type": "phone", "value": null }] });
        app.patch(&path, &app.one.key, &none).await;
        let (status, ana) = app.patch(&path, &app.one.key, &remove).await;
        assert_eq!((status, &ana["identifiers"]), (200, &json!([])));
        assert_eq!(app.post("/api/v1/customers", &app.one.key, &create("Bia")).await.0, 201);
    }

    async fn who_follows_changes_is_told_when_the_place_is_gone(engine) {
        let app = TestApp::start(engine).await;
        app.issue("ana").await;
        app.work().await;
        for list in ["events", "passes", "customers", "programs"] {
            let (status, page) = app.get(&format!("/api/v1/{list}?changed_since=0"), &app.one.key).await;
            let next: i64 = page["next"].as_str().unwrap().parse().unwrap();
            assert_eq!(status, 200, "{page}");
            let (status, page) = app.get(&format!("/api/v1/{list}?changed_since={next}"), &app.one.key).await;
            assert_eq!((status, &page["data"]), (200, &json!([])));
            let ahead = format!("/api/v1/{list}?changed_since={}", next + 1_000);
            let (status, problem) = app.get(&ahead, &app.one.key).await;
            assert_eq!((status, problem["type"].as_str()), (410, Some("/problems/cursor-gone")), "a restore went back");
        }
    }

    async fn the_newest_decision_holds_in_whatever_order_they_are_told(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let path = format!("/api/v1/customers/{}/consents", view["customer_id"].as_str().unwrap());
        assert_eq!(app.get(&path, &app.one.key).await, (200, json!({ "data": [] })));
        let now = app.app().clock.now();
        let decide = async |purpose: &str, state: &str, hours: i64| {
            let body = json!({ "purpose": purpose, "channel": "wallet", "state": state, "notice_version": "2026-11", "source": "form",
                "decided_at": now - TimeDelta::hours(hours) });
            app.post(&path, &app.one.key, &body).await
        };
        assert_eq!(decide("marketing", "withdrawn", 1).await.0, 200);
        // An older decision comes late; the same comes again.
        assert_eq!(decide("marketing", "granted", 3).await.1["data"][0]["state"], "withdrawn");
        assert_eq!(decide("marketing", "withdrawn", 1).await.1["data"][0]["state"], "withdrawn");
        let (_, now_is) = decide("marketing", "granted", 0).await;
        assert_eq!((now_is["data"].as_array().unwrap().len(), now_is["data"][0]["state"].as_str()), (1, Some("granted")), "{now_is}");
        assert_eq!(decide("location", "granted", 0).await.1["data"][0]["purpose"], "location");
        for (purpose, hours) in [("Marketing", 0), ("", 0), ("marketing", -1)] {
            assert_eq!(decide(purpose, "granted", hours).await.0, 422, "{purpose} {hours}");
        }
        assert_eq!(app.get(&path, &app.two.key).await.0, 404);
        app.work().await;
        let (_, events) = app.get("/api/v1/events?changed_since=0&limit=200", &app.one.key).await;
        let kinds: Vec<_> = events["data"].as_array().unwrap().iter().filter_map(|event| event["kind"].as_str())
            .filter(|kind| kind.starts_with("consent.")).collect();
        assert_eq!(kinds, ["consent.withdrawn", "consent.granted", "consent.granted"]);
    }
}
