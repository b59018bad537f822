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
}
