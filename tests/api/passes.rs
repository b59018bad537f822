//! Issuing, reading, changing and ending passes.

use chrono::TimeDelta;
use serde_json::json;

use crate::app::{TestApp, answer, certs_dir};
use crate::apple_web_service::Phone;
use crate::bundle::{openssl_verify, pass_json, unzip};
use crate::on_both_engines;

on_both_engines! {
    async fn what_is_not_known_of_a_customer_says_nothing(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({
            "template": "clube-aurora", "program_id": app.one.program_id, "external_id": "x",
            "customer": { "external_id": "x" }, "data": { "points": 1, "tier": null },
        });
        let (status, pass) = app.post("/api/v1/passes", &app.one.key, &body).await;
        assert_eq!(status, 201, "{pass}");
        let bundle = app.http.get(pass["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        let text = crate::bundle::pass_json(&bundle).to_string();
        assert!(!text.contains("\"None\"") && !text.contains("\"none\""), "{text}");
    }

    async fn a_bundle_verifies_with_openssl_and_holds_what_was_ordered(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({
            "template": "clube-aurora", "program_id": app.one.program_id,
            "customer": { "card_number": "7401 8835", "name": "Ana \"Aninha\" <Souza>", "locale": "en" },
            "data": { "points": 1234, "tier": "Ouro" },
        });
        let (status, pass) = app.post("/api/v1/passes", &app.one.key, &body).await;
        assert_eq!(status, 201, "{pass}");
        assert_eq!(pass["held_on"], json!({ "apple": 0, "google": false }));
        let response = app.http.get(pass["pkpass_url"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/vnd.apple.pkpass");
        let bundle = response.bytes().await.unwrap();
        openssl_verify(&bundle, &certs_dir().join("wwdr/dev-wwdr.pem")).unwrap();
        let json = pass_json(&bundle);
        assert_eq!(json["serialNumber"], pass["serial"]);
        assert_eq!(json["storeCard"]["secondaryFields"][0]["value"], "Ana \"Aninha\" <Souza>");
        assert_eq!(json["barcode"]["altText"], "74018835");
        assert_eq!(json["barcode"]["message"].as_str().unwrap().len(), 48);
        let files = unzip(&bundle);
        for name in ["icon.png", "icon@2x.png", "icon@3x.png", "en.lproj/pass.strings", "es.lproj/pass.strings", "pt-BR.lproj/pass.strings"] {
            assert!(files.contains_key(name), "{name}");
        }
    }

    async fn the_same_order_again_answers_the_same_pass(engine) {
        let app = TestApp::start(engine).await;
        let order = |points: i64| json!({
            "external_id": "order-1", "template": "clube-aurora", "program_id": app.one.program_id,
            "customer": { "external_id": "ana" }, "data": { "points": points, "tier": "Ouro" },
        });
        let (status, first) = app.post("/api/v1/passes", &app.one.key, &order(1)).await;
        assert_eq!(status, 201);
        let (status, again) = app.post("/api/v1/passes", &app.one.key, &order(1)).await;
        assert_eq!((status, &again["id"]), (200, &first["id"]));
        let (status, other) = app.post("/api/v1/passes", &app.one.key, &order(2)).await;
        assert_eq!((status, other["type"].as_str().unwrap()), (409, "/problems/external-id-taken"));
        let mut other_brand = order(1);
        other_brand["program_id"] = json!(app.two.program_id);
        let (status, theirs) = app.post("/api/v1/passes", &app.two.key, &other_brand).await;
        assert_eq!(status, 201, "ids are the caller's own in each brand");
        assert_ne!(theirs["id"], first["id"]);
    }

    async fn fifty_equal_orders_at_once_make_one_pass_and_one_customer(engine) {
        let app = TestApp::start(engine).await;
        let body = json!({
            "external_id": "order-1", "template": "clube-aurora", "program_id": app.one.program_id,
            "customer": { "cpf": "529.982.247-25", "name": "Ana" },
        });
        let all = (0..50).map(|_| async {
            // A refusal for lack of time may be repeated; that is what the id is for.
            for _ in 0..20 {
                let (status, pass) = app.post("/api/v1/passes", &app.one.key, &body).await;
                match status {
                    200 | 201 => return (status, pass["id"].as_str().unwrap().to_owned()),
                    503 => {}
                    _ => panic!("{status} {pass}"),
                }
            }
            panic!("always busy");
        });
        let answers = futures_util::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
        assert!(answers.iter().all(|(_, id)| *id == answers[0].1));
        let (_, customers) = app.get("/api/v1/customers", &app.one.key).await;
        assert_eq!(customers["data"].as_array().unwrap().len(), 1);
    }

    async fn data_is_merged_and_an_etag_guards_it(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let path = format!("/api/v1/passes/{}", pass.id);
        let body = json!({ "data": { "points": null, "tier": "Ouro", "deep": { "a": 1 } } });
        let (_, view) = app.patch(&path, &app.one.key, &body).await;
        assert_eq!(view["data"], json!({ "tier": "Ouro", "deep": { "a": 1 } }));
        let etag = app.send("GET", &path, &app.one.key, None).await.headers()["etag"].to_str().unwrap().to_owned();
        let url = format!("{}{path}", app.url);
        let mut statuses = Vec::new();
        for points in [1, 2] {
            let request = app.http.patch(&url).bearer_auth(&app.one.key).header("If-Match", &etag);
            statuses.push(request.json(&json!({ "data": { "points": points } })).send().await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, [200, 412]);
        let body = json!({
            "template": "clube-aurora", "program_id": app.one.program_id, "external_id": "bia",
            "customer": { "external_id": "bia", "name": "Bia" },
            "data": { "points": null, "tier": "Ouro", "deep": { "a": null } },
        });
        let (status, made) = app.post("/api/v1/passes", &app.one.key, &body).await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", made["id"].as_str().unwrap()), &app.one.key).await;
        assert_eq!((status, &view["data"]), (201, &json!({ "tier": "Ouro", "deep": {} })), "null removes, here too");
    }

    async fn fifty_merges_at_once_are_all_there(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let path = format!("/api/v1/passes/{}", pass.id);
        let all = (0..50).map(|number| {
            let (app, path) = (&app, &path);
            async move {
                let body = json!({ "data": { format!("k{number}"): number } });
                for _ in 0..50 {
                    let (status, answer) = app.patch(path, &app.one.key, &body).await;
                    match status {
                        200 => return,
                        503 => {}
                        _ => panic!("{status} {answer}"),
                    }
                }
                panic!("always busy");
            }
        });
        futures_util::future::join_all(all).await;
        let (_, view) = app.get(&path, &app.one.key).await;
        assert_eq!(view["data"].as_object().unwrap().len(), 51);
    }

    async fn voiding_expiring_and_reissuing_repeat_harmlessly(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let phone = Phone::new(&app, "d1");
        phone.register(&pass, "aa01").await;
        let path = format!("/api/v1/passes/{}", pass.id);
        let key = &app.one.key;
        let (status, view) = app.post(&format!("{path}/expire"), key, &json!(null)).await;
        assert_eq!((status, view["status"].as_str().unwrap()), (200, "expired"));
        let (_, successor) = app.post(&format!("{path}/reissue"), key, &json!(null)).await;
        let (_, again) = app.post(&format!("{path}/reissue"), key, &json!(null)).await;
        assert_eq!(successor["id"], again["id"]);
        assert_eq!(successor["external_id"], "ana", "the caller's id goes with the pass that is good");
        assert_ne!(successor["serial"].as_str().unwrap(), pass.serial);
        assert_eq!((successor["status"].as_str(), &successor["data"]), (Some("active"), &json!({ "points": 1 })));
        for _ in 0..2 {
            let (status, view) = app.post(&format!("{path}/void"), key, &json!(null)).await;
            assert_eq!((status, view["status"].as_str().unwrap()), (200, "voided"));
            assert_eq!(view["reissued_as"], successor["id"]);
        }
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
        let (_, _, json) = phone.fetch(&pass, None).await;
        assert_eq!(json.unwrap()["voided"], true, "the phone that holds the old pass sees that it is over");
    }

    async fn lists_go_page_by_page_and_follow_changes(engine) {
        let app = TestApp::start(engine).await;
        let mut issued = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            issued.push(app.issue(name).await.id);
        }
        let (mut seen, mut path) = (Vec::new(), "/api/v1/passes?limit=2".to_owned());
        loop {
            let (_, page) = app.get(&path, &app.one.key).await;
            seen.extend(page["data"].as_array().unwrap().iter().map(|pass| pass["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/passes?limit=2&after={next}");
        }
        assert_eq!(seen, issued);
        app.work().await;
        let (_, page) = app.get("/api/v1/passes?changed_since=0", &app.one.key).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 5);
        let since = page["next"].as_str().unwrap().to_owned();
        app.patch(&format!("/api/v1/passes/{}", issued[2]), &app.one.key, &json!({ "data": { "points": 9 } })).await;
        app.work().await;
        let (_, page) = app.get(&format!("/api/v1/passes?changed_since={since}"), &app.one.key).await;
        assert_eq!(page["data"].as_array().unwrap().len(), 1);
        assert_eq!(page["data"][0]["id"].as_str().unwrap(), issued[2]);
        let (status, _) = app.get("/api/v1/passes?limit=0", &app.one.key).await;
        assert_eq!(status, 422);
        let (status, _) = app.get("/api/v1/passes?colour=red", &app.one.key).await;
        assert_eq!(status, 422);
    }

    async fn events_are_numbered_without_gaps(engine) {
        let app = TestApp::start(engine).await;
        let all = (0..12).map(|number| { let app = &app; async move { app.issue(&format!("c{number}")).await } });
        futures_util::future::join_all(all).await;
        app.work().await;
        let (_, page) = app.get("/api/v1/events?limit=200", &app.one.key).await;
        let seqs: Vec<i64> = page["data"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..=26).collect::<Vec<_>>(), "a template, a program, 12 customers, 12 passes");
    }

    async fn what_is_wrong_is_named(engine) {
        let app = TestApp::start(engine).await;
        let good = json!({ "template": "clube-aurora", "program_id": app.one.program_id, "customer": { "external_id": "x" } });
        let with = |change: &dyn Fn(&mut serde_json::Value)| { let mut body = good.clone(); change(&mut body); body };
        let cases = [
            (with(&|body| body["template"] = json!("nothing")), 404, "not-found", None),
            (with(&|body| body["program_id"] = json!(app.two.program_id)), 404, "not-found", None),
            (with(&|body| body["program_id"] = json!("x")), 422, "invalid", Some("/program_id")),
            (with(&|body| body["customer"] = json!({ "cpf": "123" })), 422, "invalid", Some("/customer/cpf")),
            (with(&|body| body["customer"] = json!({ "name": "Ana" })), 422, "invalid", Some("/customer")),
            (with(&|body| body["customer"] = json!({ "id": "cus_00000000000000000000000000000000" })), 404, "not-found", None),
            (with(&|body| body["colour"] = json!("red")), 422, "invalid", None),
            (with(&|body| body["data"] = json!({ "points": "many" })), 422, "template-refused", None),
            (with(&|body| body["data"] = json!({ "x": "y".repeat(20_000) })), 422, "invalid", Some("/data")),
            (with(&|body| body["external_id"] = json!("a\u{7}b")), 400, "bad-json", None),
        ];
        for (body, status, code, pointer) in cases {
            let (got, problem) = answer(app.send("POST", "/api/v1/passes", &app.one.key, Some(&body)).await).await;
            assert_eq!((got, problem["type"].as_str()), (status, Some(format!("/problems/{code}").as_str())), "{body} {problem}");
            if pointer.is_some() {
                assert_eq!(problem["pointer"].as_str(), pointer, "{problem}");
            }
        }
        let (_, passes) = app.get("/api/v1/passes", &app.one.key).await;
        assert_eq!(passes["data"], json!([]), "a refused request leaves no trace");
        let (_, customers) = app.get("/api/v1/customers", &app.one.key).await;
        assert_eq!(customers["data"], json!([]));
    }
}
