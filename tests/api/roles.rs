//! Who may do what: every route with every role, and with another brand's ids.

use std::collections::HashSet;

use passarela::domain::role::Role;
use passarela::http::routes::doors;
use serde_json::json;

use crate::app::TestApp;
use crate::apple_web_service::picture;
use crate::on_both_engines;

fn is_api(path: &str) -> bool {
    path.starts_with("/api/v1/")
}

on_both_engines! {
    async fn every_route_serves_its_roles_and_no_other(engine) {
        let app = TestApp::start(engine).await;
        let mut keys = Vec::new();
        for role in Role::ALL {
            keys.push((*role, app.key(&app.one, *role).await));
        }
        for door in doors().into_iter().filter(|door| is_api(door.path)) {
            assert_eq!(door.roles.is_empty(), door.is_for_phones, "{} {}", door.method, door.path);
            let path = door.path.replace("{id}", "nothing");
            let request = || app.http.request(door.method.clone().as_str().parse().unwrap(), format!("{}{path}", app.url));
            let response = request().send().await.unwrap();
            assert_eq!(response.status(), 401, "{} {path} without a key", door.method);
            for (role, key) in &keys {
                let response = request().bearer_auth(key).json(&json!({})).send().await.unwrap();
                if door.is_for_phones {
                    assert_eq!(response.status(), 401, "{} {path}: a phone is no key", door.method);
                    continue;
                }
                let is_refused = response.status() == 403;
                assert_eq!(is_refused, !door.roles.contains(role), "{} {path} as {role}: {}", door.method, response.status());
                assert!(response.status().as_u16() < 500, "{} {path} as {role}: {}", door.method, response.status());
            }
        }
    }

    async fn another_brands_ids_answer_like_unknown_ones(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let (_, keys) = app.get("/api/v1/keys", &app.one.key).await;
        crate::apple_web_service::Phone::new(&app, "phone").register(&pass, "aa01").await;
        app.clock.advance(chrono::TimeDelta::seconds(2));
        app.set_points(&pass, 2).await;
        app.work().await;
        let (_, deliveries) = app.get("/api/v1/deliveries", &app.one.key).await;
        let start = json!({ "template_id": view["template_id"] });
        let (_, rollout) = app.post("/api/v1/rollouts", &app.one.key, &start).await;
        let job = crate::imports::import(&app, "passes", "text/csv", "external_id\nx").await;
        let shop = crate::till::Shop::furnish(app).await;
        shop.give("ana", 10).await;
        let offer = shop.offer("x", json!({ "effect": { "gift": { "name": "x" } }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "1" }] });
        let (_, redeemed) = shop.till("redemptions", &redeem).await;
        let app = &shop.app;
        let program = app.one.program_id.clone();
        let (_, kinds) = app.get(&format!("/api/v1/wallet-types?program_id={program}"), &app.one.key).await;
        let (_, rules) = app.get(&format!("/api/v1/rules?program_id={program}"), &app.one.key).await;
        let first = |page: &serde_json::Value| page["data"][0]["id"].as_str().unwrap().to_owned();
        let ours = [
            ("deliveries", deliveries["data"][0]["id"].as_str().unwrap().to_owned()),
            ("jobs", job["id"].as_str().unwrap().to_owned()),
            ("programs", app.one.program_id.clone()),
            ("templates", view["template_id"].as_str().unwrap().to_owned()),
            ("customers", view["customer_id"].as_str().unwrap().to_owned()),
            ("passes", pass.id.clone()),
            ("keys", keys["data"][0]["id"].as_str().unwrap().to_owned()),
            ("rollouts", rollout["id"].as_str().unwrap().to_owned()),
            ("wallet-types", first(&kinds)),
            ("rules", first(&rules)),
            ("stores", shop.store.clone()),
            ("offers", offer.clone()),
            ("coupons", coupon["id"].as_str().unwrap().to_owned()),
            ("redemptions", redeemed["id"].as_str().unwrap().to_owned()),
            ("wallets", redeemed["wallets"][0]["wallet_id"].as_str().unwrap().to_owned()),
        ];
        let mut walked = HashSet::new();
        for door in doors().into_iter().filter(|door| is_api(door.path) && door.path.contains("{id}") && !door.is_for_phones) {
            let kind = door.path.split('/').nth(3).unwrap();
            let (_, id) = ours.iter().find(|(known, _)| *known == kind).unwrap_or_else(|| panic!("no id for {kind}"));
            let unknown = format!("{}_{}", id.split('_').next().unwrap(), "0".repeat(32));
            let mut pictures = Vec::new();
            for id in [id.as_str(), &unknown, "nonsense"] {
                let url = format!("{}{}", app.url, door.path.replace("{id}", id));
                let request = app.http.request(door.method.as_str().parse().unwrap(), url).bearer_auth(&app.two.key);
                let body = match (kind, door.path.rsplit('/').next().unwrap()) {
                    ("passes", _) => json!({ "data": {} }),
                    (_, "tiers") => json!({ "tiers": null }),
                    (_, "consents") => json!({ "purpose": "x", "channel": "any", "state": "granted", "notice_version": "1", "source": "x" }),
                    (_, "adjustments") => json!({ "units": "1", "reason": "x" }),
                    (_, "conversions") => json!({ "units": "1", "into": "x" }),
                    _ => json!({}),
                };
                let request = request.header("Idempotency-Key", format!("k{}", pictures.len()));
                pictures.push(picture(request.json(&body).send().await.unwrap()).await);
            }
            assert!(pictures[0].starts_with("404"), "{} {}: {}", door.method, door.path, pictures[0]);
            assert!(pictures.iter().all(|picture| *picture == pictures[0]), "{} {}: {pictures:#?}", door.method, door.path);
            walked.insert(kind.to_owned());
        }
        assert_eq!(walked.len(), ours.len());
        for list in ["programs", "templates", "customers", "passes", "keys", "jobs", "deliveries", "stores", "offers"] {
            let (_, page) = app.get(&format!("/api/v1/{list}"), &app.two.key).await;
            let text = page.to_string();
            assert!(ours.iter().all(|(_, id)| !text.contains(id.as_str())), "{list}: {text}");
        }
    }

    async fn a_revoked_or_expired_key_is_refused_from_the_next_request_on(engine) {
        let app = TestApp::start(engine).await;
        let end = passarela::clock::Clock::now(&*app.clock) + chrono::TimeDelta::hours(1);
        let body = json!({ "role": "issuer", "name": "web shop", "expires_at": end });
        let (status, made) = app.post("/api/v1/keys", &app.one.key, &body).await;
        assert_eq!(status, 201, "{made}");
        let key = made["key"].as_str().unwrap().to_owned();
        assert!(key.starts_with(&format!("psk_{}_", app.one.brand.code)));
        assert_eq!(app.get("/api/v1/passes", &key).await.0, 200);
        app.clock.advance(chrono::TimeDelta::minutes(61));
        assert_eq!(app.get("/api/v1/passes", &key).await.0, 401);
        app.clock.advance(chrono::TimeDelta::minutes(-61));
        assert_eq!(app.get("/api/v1/passes", &key).await.0, 200);
        let path = format!("/api/v1/keys/{}/revoke", made["id"].as_str().unwrap());
        for _ in 0..2 {
            assert_eq!(app.post(&path, &app.one.key, &json!(null)).await.0, 200);
            assert_eq!(app.get("/api/v1/passes", &key).await.0, 401);
        }
        let (_, list) = app.get("/api/v1/keys", &app.one.key).await;
        assert!(!list.to_string().contains(&key), "a key is shown once");
    }

    async fn a_pos_key_names_its_store_and_others_do_not(engine) {
        let app = TestApp::start(engine).await;
        let (status, _) = app.post("/api/v1/keys", &app.one.key, &json!({ "role": "pos", "name": "till" })).await;
        assert_eq!(status, 422);
        let body = json!({ "role": "admin", "name": "x", "store_id": format!("sto_{}", "1".repeat(32)) });
        assert_eq!(app.post("/api/v1/keys", &app.one.key, &body).await.0, 422);
    }

    async fn only_failures_are_throttled(engine) {
        let app = TestApp::start(engine).await;
        let mut statuses = HashSet::new();
        for _ in 0..140 {
            statuses.insert(app.get("/api/v1/passes", "psk_zzzzzzzz_wrong").await.0);
        }
        assert_eq!(statuses, HashSet::from([401, 429]));
        assert_eq!(app.get("/api/v1/passes", &app.one.key).await.0, 200);
    }
}
