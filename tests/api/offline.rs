//! What tills did while they were offline, what comes from other systems, and codes made by the thousand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use openssl::pkey::{Id, PKey};
use openssl::sign::Verifier;
use passarela::domain::code::OfflineCode;
use passarela::domain::role::Role as KeyRole;
use passarela::service::keys::{self, Stand};
use passarela::service::{code_keys, coupons};
use passarela::wallet::keys::CodeKeys;
use serde_json::{Value, json};

use crate::imports::{done, lines, results, upload_as};
use crate::on_both_engines;
use crate::till::{Shop, line, money};

const NDJSON: &str = "application/x-ndjson";

/// Sends a file with the brand's key and works it off; the job.
async fn import(shop: &Shop, path: &str, content_type: &str, file: impl Into<String>) -> Value {
    let (status, job) = upload_as(&shop.app, &shop.app.one.key, path, content_type, file.into()).await;
    assert_eq!(status, 202, "{job}");
    let job = done(&shop.app, &job).await;
    assert_eq!((job["state"].as_str(), job["progress"].as_f64()), (Some("finished"), Some(1.0)), "{job}");
    job
}

on_both_engines! {
    async fn a_coupon_redeemed_on_two_offline_tills_is_one_redemption_and_one_conflict(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let offer = shop.offer("20 %", json!({ "effect": { "percent": { "percent": "20" } }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, None).await;
        let code = coupon["barcode"].as_str().unwrap();
        let (_, store) = shop.app.post("/api/v1/stores", &shop.app.one.key, &json!({ "name": "Aurora Centro" })).await;
        let stand = Stand { store: Some(store["id"].as_str().unwrap().parse().unwrap()), terminal: Some("caixa-9".to_owned()) };
        let (_, other) = keys::create(shop.app.app(), &shop.app.one.brand, KeyRole::Pos, stand, "till", None).await.unwrap();
        let other = other.reveal().clone();

        let done_at = shop.app.app().clock.now();
        shop.app.clock.advance(TimeDelta::hours(3));
        let basket = json!({ "lines": [line("pao", "padaria", "1", 1_000)], "total": money(1_000) });
        let redeemed = |id: &str, code: &str| {
            json!({ "transaction_id": id, "done_at": done_at, "redeem": [{ "coupon_code": code }], "basket": basket }).to_string()
        };
        // Each till sends its lines; the first has one of its own that is mistyped.
        let file = [redeemed("a-1", code), redeemed("a-2", &format!("{}0", &code[..47])), redeemed("a-9", coupon["code"].as_str().unwrap())].join("\n");
        let (status, first) = upload_as(&shop.app, &shop.till, "redemptions/import", NDJSON, file.clone()).await;
        assert_eq!(status, 202, "{first}");
        let first = done(&shop.app, &first).await;
        assert_eq!(lines(&first), [1, 0, 0, 2]);
        // A typed code is none that a till can take offline; nothing is recorded of it.
        assert_eq!(results(&shop.app, &first, "").await[2]["pointer"], "/redeem/0/coupon_code");
        let (status, second) = upload_as(&shop.app, &other, "redemptions/import", NDJSON, redeemed("b-1", code)).await;
        assert_eq!(status, 202, "{second}");
        let second = done(&shop.app, &second).await;
        assert_eq!(lines(&second), [0, 0, 0, 1]);
        let rows = results(&shop.app, &second, "").await;
        assert_eq!(rows[0]["code"], "already_redeemed", "{rows:?}");

        // Sent again, nothing is done again, and the answers are the same.
        let (_, again) = upload_as(&shop.app, &shop.till, "redemptions/import", NDJSON, file).await;
        let again = done(&shop.app, &again).await;
        assert_eq!(lines(&again), [0, 0, 1, 2]);
        assert_eq!(results(&shop.app, &again, "").await[1], results(&shop.app, &first, "").await[1]);

        let (_, conflicts) = shop.app.get("/api/v1/redemptions/conflicts", &shop.app.one.key).await;
        let conflicts = conflicts["data"].as_array().unwrap();
        assert_eq!(conflicts.len(), 2, "{conflicts:?}");
        let won = results(&shop.app, &first, "").await[0]["id"].clone();
        assert_eq!((&conflicts[0]["redemption_id"], &conflicts[0]["coupon_id"]), (&won, &coupon["id"]));
        assert_eq!((&conflicts[0]["id"], conflicts[0]["terminal"].as_str()), (&rows[0]["id"], Some("caixa-9")));
        assert_eq!((conflicts[1]["code"].as_str(), &conflicts[1]["coupon_id"]), (Some("coupon_not_found"), &Value::Null));
        let (_, used) = shop.app.get(&format!("/api/v1/coupons/{}", coupon["id"].as_str().unwrap()), &shop.app.one.key).await;
        assert_eq!(used["redeemed_at"], json!(done_at), "when it was done, not when it was told");
        let (_, events) = shop.app.get("/api/v1/events?changed_since=0&limit=200", &shop.app.one.key).await;
        let told = events["data"].as_array().unwrap().iter().filter(|event| event["kind"] == "redemption.conflict").count();
        assert_eq!(told, 2);

        // A till sees its own store's files, speaks for no other store, and cannot tell what is long ago.
        let job = |job: &Value| format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
        assert_eq!(shop.app.get(&job(&first), &shop.till).await.0, 200);
        assert_eq!(shop.app.get(&job(&first), &other).await.0, 404);
        assert_eq!(shop.app.get(&format!("{}/results", job(&first)), &other).await.0, 404);
        let foreign = json!({ "transaction_id": "a-3", "done_at": done_at, "store_id": store["id"], "redeem": [{ "coupon_code": code }] });
        let old = json!({ "transaction_id": "a-4", "done_at": done_at - TimeDelta::days(40), "redeem": [{ "coupon_code": code }] });
        let (_, refused) = upload_as(&shop.app, &shop.till, "redemptions/import", NDJSON, format!("{foreign}\n{old}")).await;
        let refused = done(&shop.app, &refused).await;
        let rows = results(&shop.app, &refused, "").await;
        assert_eq!((rows[0]["code"].as_str(), rows[1]["pointer"].as_str()), (Some("other-store"), Some("/done_at")), "{rows:?}");
    }

    async fn what_was_valid_when_it_was_done_offline_is_redeemed(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
        let until = shop.app.app().clock.now() + TimeDelta::hours(1);
        let body = json!({ "offer_id": offer, "external_id": "c1", "customer": { "external_id": "ana" }, "expires_at": until });
        let (_, coupon) = shop.app.post("/api/v1/coupons", &shop.app.one.key, &body).await;
        let before = shop.app.app().clock.now();
        shop.app.clock.advance(TimeDelta::hours(5));
        let told = |id: &str, at: chrono::DateTime<chrono::Utc>| {
            json!({ "transaction_id": id, "done_at": at, "customer": { "external_id": "ana" },
                "redeem": [{ "coupon_id": coupon["id"] }] }).to_string()
        };
        let late = import(&shop, "redemptions/import", NDJSON, told("late", before + TimeDelta::hours(2))).await;
        assert_eq!(results(&shop.app, &late, "").await[0]["code"], "expired");
        // The offer was ended meanwhile, and the till's clock was ten minutes behind.
        let other = shop.coupon(&offer, Some("ana")).await;
        let end = json!({ "state": "ended" });
        assert_eq!(shop.app.patch(&format!("/api/v1/offers/{offer}"), &shop.app.one.key, &end).await.0, 200);
        let good = import(&shop, "redemptions/import", NDJSON, told("good", before - TimeDelta::minutes(10))).await;
        assert_eq!(lines(&good), [1, 0, 0, 0]);
        let after = shop.app.app().clock.now();
        shop.app.clock.advance(TimeDelta::minutes(5));
        let told = json!({ "transaction_id": "after", "done_at": after + TimeDelta::minutes(1), "customer": { "external_id": "ana" },
            "redeem": [{ "coupon_id": other["id"] }] }).to_string();
        let late = import(&shop, "redemptions/import", NDJSON, told).await;
        assert_eq!(results(&shop.app, &late, "").await[0]["code"], "campaign_not_running");
    }

    async fn what_was_given_away_offline_is_not_given_again(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        app.issue("bia").await;
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "offline": true } })).await;
        let (wrong, held) = (shop.coupon(&offer, Some("ana")).await, shop.coupon(&offer, Some("ana")).await);
        let now = app.app().clock.now();
        app.clock.advance(TimeDelta::minutes(5));
        let told = |id: &str, coupon: &Value, customer: &str| json!({ "transaction_id": id, "done_at": now, "customer": { "external_id": customer },
            "redeem": [{ "coupon_code": coupon["barcode"] }] }).to_string();
        // The till added somebody else's card: a conflict, and nobody takes the coupon again.
        let job = import(&shop, "redemptions/import", NDJSON, told("o1", &wrong, "bia")).await;
        assert_eq!(results(app, &job, "").await[0]["code"], "recipient_mismatch");
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "coupon_id": wrong["id"] }] });
        assert_eq!(shop.till("redemptions", &redeem).await.1["code"], "voided");
        // Meanwhile a quote holds the other: what is given is given.
        let quote = json!({ "customer": { "external_id": "ana" }, "basket": { "lines": [line("a", "b", "1", 100)], "total": money(100) },
            "redeem": [{ "coupon_id": held["id"] }], "lock_secs": 600 });
        assert_eq!(shop.till("quotes", &quote).await.0, 201);
        let job = import(&shop, "redemptions/import", NDJSON, told("o2", &held, "ana")).await;
        assert_eq!(lines(&job), [1, 0, 0, 0]);
        // Its key was retired before it was told.
        let late = shop.coupon(&offer, None).await;
        let at = app.app().clock.now();
        app.clock.advance(TimeDelta::minutes(5));
        code_keys::renew(app.app(), app.one.brand.id).await.unwrap();
        code_keys::retire(app.app(), app.one.brand.id).await.unwrap();
        let told = json!({ "transaction_id": "o3", "done_at": at, "redeem": [{ "coupon_code": late["barcode"] }] }).to_string();
        assert_eq!(lines(&import(&shop, "redemptions/import", NDJSON, told).await), [1, 0, 0, 0]);
    }

    async fn balances_begin_with_what_customers_had_elsewhere(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let program = shop.app.one.program_id.clone();
        let path = format!("wallets/import?program_id={program}");
        let file = "external_id,customer.external_id,wallet,units,expires_at,reason\n\
            o1,ana,points,120,2099-01-01T00:00:00Z,do sistema antigo\n\
            o2,ana,points,30,,\n\
            o3,ana,cashback,12.50,,\n\
            o4,ana,stamps,1,,\n\
            o5,bia,points,1,,\n\
            o6,ana,points,-5,,\n\
            o1,ana,points,121,2099-01-01T00:00:00Z,\n";
        let job = import(&shop, &path, "text/csv", file).await;
        assert_eq!(lines(&job), [3, 0, 0, 4]);
        let rows = results(&shop.app, &job, "?outcome=refused").await;
        let codes: Vec<_> = rows.iter().map(|row| row["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["invalid", "not-found", "invalid", "other-content"], "{rows:?}");
        assert_eq!((shop.balance("ana", "points").await.as_str(), shop.balance("ana", "cashback").await.as_str()), ("150", "12.5"));
        let again = import(&shop, &path, "text/csv", file).await;
        assert_eq!(lines(&again), [0, 0, 3, 4]);
        let far = format!("{}\no9,ana,points,1,+10000-01-01T00:00:00Z,", file.lines().next().unwrap());
        assert_eq!(results(&shop.app, &import(&shop, &path, "text/csv", far).await, "").await[0]["pointer"], "/expires_at");
        assert_eq!(shop.balance("ana", "points").await, "150");
        // Nothing but the balance: the tier is earned here.
        assert_eq!(shop.wallets("ana").await["tier"]["key"], "bronze");
        let (status, _) = upload_as(&shop.app, &shop.till, &path, "text/csv", file).await;
        assert_eq!(status, 403, "a till opens no balances");
        shop.prove().await;

        // Whoever is no member yet becomes one.
        let (status, bia) = shop.app.post("/api/v1/customers", &shop.app.one.key, &json!({ "identifiers": [{ "type": "external_id", "value": "bia" }] })).await;
        assert_eq!(status, 201, "{bia}");
        let file = json!({ "external_id": "o5", "customer": { "external_id": "bia" }, "wallet": "points", "units": "7" }).to_string();
        assert_eq!(lines(&import(&shop, &path, NDJSON, file).await), [1, 0, 0, 0]);
        assert_eq!(shop.balance("bia", "points").await, "7");
    }

    async fn purchases_of_the_past_earn_nothing_and_can_be_returned(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let file = "external_id,customer.external_id,placed_at,total.amount_minor:number,total.currency,effects\n\
            h1,ana,2024-05-01T12:00:00Z,5000,BRL,\n\
            h2,ninguem,2024-05-02T12:00:00Z,700,BRL,none\n\
            h3,ana,2024-05-03T12:00:00Z,2000,BRL,all\n\
            h4,ana,2024-05-03T12:00:00Z,2000,XXQ,\n";
        let job = import(&shop, "orders/import", "text/csv", file).await;
        assert_eq!(lines(&job), [3, 0, 0, 1]);
        assert_eq!(shop.balance("ana", "points").await, "20");
        assert_eq!(lines(&import(&shop, "orders/import", "text/csv", file).await), [0, 0, 3, 1]);
        // What never counted for a tier is not taken off it.
        let by_spend = json!({ "tiers": { "wallet": "points", "qualify_by": "spend", "window": { "last": "12M" }, "tiers": [
            { "key": "a", "name": "A", "minimum": "0" }, { "key": "b", "name": "B", "minimum": "1000" }] } });
        let (status, _) = shop.app.patch(&format!("/api/v1/programs/{}/tiers", shop.app.one.program_id), &shop.app.one.key, &by_spend).await;
        assert_eq!(status, 200);
        shop.give("ana", 15).await;
        assert_eq!(shop.wallets("ana").await["tier"]["value"], 1_500);
        let back = json!({ "external_id": "r1", "order": "h1" });
        let (status, back) = shop.app.post("/api/v1/returns", &shop.app.one.key, &back).await;
        assert_eq!((status, back["amount"]["amount_minor"].as_i64()), (201, Some(5_000)), "{back}");
        assert_eq!((shop.balance("ana", "points").await.as_str(), &shop.wallets("ana").await["tier"]["value"]), ("35", &json!(1_500)));
        shop.prove().await;
    }

    async fn coupons_come_with_the_codes_that_they_have(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let offer = shop.offer("R$ 5", json!({ "effect": { "amount": money(500) }, "coupon": {} })).await;
        let file = format!(
            "external_id,offer_id,customer.external_id,code\nv1,{offer},,VERAO-2026-0001\nv2,{offer},ana,\nv3,{offer},,verao 2026 0001\nv4,{offer},,abc\n"
        );
        let job = import(&shop, "coupons/import", "text/csv", file.clone()).await;
        assert_eq!(lines(&job), [2, 0, 0, 2]);
        let rows = results(&shop.app, &job, "?outcome=refused").await;
        assert!(rows.iter().all(|row| row["pointer"] == "/code"), "{rows:?}");
        assert_eq!(lines(&import(&shop, "coupons/import", "text/csv", file).await), [0, 0, 2, 2]);
        let redeem = json!({ "transaction_id": "t1", "redeem": [{ "coupon_code": "verao-2026-0001" }],
            "basket": { "lines": [line("pao", "padaria", "1", 900)], "total": money(900) } });
        let (status, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!((status, redeemed["discount"]["amount_minor"].as_i64()), (201, Some(500)), "{redeemed}");
    }

    async fn a_batch_of_codes_is_made_once_exported_whole_and_each_works(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "valid_for": "30D" } })).await;
        let body = json!({ "offer_id": offer, "count": 1_203 });
        let (status, problem) = app.post("/api/v1/coupons/batches", &app.one.key, &body).await;
        assert_eq!((status, problem["type"].as_str()), (400, Some("/problems/idempotency-key-required")), "{problem}");
        let send = async |body: &Value| {
            let request = app.http.post(format!("{}/api/v1/coupons/batches", app.url)).bearer_auth(&app.one.key);
            crate::app::answer(request.header("Idempotency-Key", "batch-1").json(body).send().await.unwrap()).await
        };
        let (status, job) = send(&body).await;
        assert_eq!((status, job["kind"].as_str(), job["state"].as_str()), (202, Some("issue_coupons"), Some("running")), "{job}");
        assert_eq!(send(&body).await, (202, job.clone()));
        let job = done(app, &job).await;
        assert_eq!((job["state"].as_str(), lines(&job)), (Some("finished"), [1_203, 0, 0, 0]), "{job}");
        let id = job["id"].as_str().unwrap();
        let export = async |query: &str, key: &str| app.send("GET", &format!("/api/v1/coupons/export?{query}"), key, None).await;
        let rows = export(&format!("batch_id={id}&format=ndjson"), &app.one.key).await.text().await.unwrap();
        let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(rows.len(), 1_203);
        let codes: std::collections::BTreeSet<_> = rows.iter().map(|row| row["code"].as_str().unwrap()).collect();
        assert_eq!(codes.len(), 1_203);
        assert!(rows.iter().all(|row| row["expires_at"].is_string()));
        for (number, code) in [(0, "code"), (1_202, "barcode")] {
            let redeem = json!({ "transaction_id": format!("t{number}"), "redeem": [{ "coupon_code": rows[number][code] }] });
            let (status, redeemed) = shop.till("redemptions", &redeem).await;
            assert_eq!((status, redeemed["items"][0]["gift"].as_str()), (201, Some("Caneca")), "{redeemed}");
        }
        let table = export(&format!("offer_id={offer}"), &app.one.key).await.text().await.unwrap();
        assert_eq!(table.lines().count(), 1_204);
        assert_eq!(table.matches(",redeemed,").count(), 2);
        let foreign = export(&format!("batch_id={id}&format=ndjson"), &app.two.key).await.text().await.unwrap();
        assert_eq!(foreign, "");
        for wrong in [json!({ "offer_id": offer, "count": 0 }), json!({ "offer_id": offer, "count": 5_000_001 })] {
            let (status, problem) = app.http.post(format!("{}/api/v1/coupons/batches", app.url)).bearer_auth(&app.one.key)
                .header("Idempotency-Key", wrong.to_string()).json(&wrong).send().await
                .map(|response| (response.status().as_u16(), response)).unwrap();
            assert_eq!(status, 422, "{problem:?}");
        }
    }

    async fn a_batch_that_is_cancelled_keeps_what_it_made(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
        let request = app.http.post(format!("{}/api/v1/coupons/batches", app.url)).bearer_auth(&app.one.key);
        let body = json!({ "offer_id": offer, "count": 5_000_000 });
        let (_, job) = crate::app::answer(request.header("Idempotency-Key", "b").json(&body).send().await.unwrap()).await;
        let job = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
        // One turn is two seconds; it is cancelled in the middle of the first.
        let brand = app.one.brand.id;
        let worker = app.app().clone();
        let turn = tokio::spawn(async move { passarela::service::imports::take_turn(&worker, brand, passarela::http::imports::FORMS).await });
        loop {
            let (_, job) = app.get(&job, &app.one.key).await;
            if job["lines"]["created"].as_i64().unwrap() > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let (status, cancelled) = app.post(&format!("{job}/cancel"), &app.one.key, &json!({})).await;
        assert_eq!((status, cancelled["state"].as_str()), (200, Some("cancelled")), "{cancelled}");
        turn.await.unwrap().unwrap();
        let (_, after) = app.get(&job, &app.one.key).await;
        assert_eq!(after["lines"], cancelled["lines"]);
        let rows = app.send("GET", &format!("/api/v1/coupons/export?offer_id={offer}&format=ndjson"), &app.one.key, None).await;
        assert_eq!(rows.text().await.unwrap().lines().count().to_string(), cancelled["lines"]["created"].to_string());
    }

    async fn a_till_checks_codes_alone_and_is_told_which_are_used(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        let counted = json!({ "effect": { "gift": { "name": "x" } }, "coupon": { "offline": true }, "limits": { "total": 5 } });
        let body = json!({ "program_id": app.one.program_id, "name": "x", "rules": counted });
        let (status, refused) = app.post("/api/v1/offers", &app.one.key, &body).await;
        assert_eq!((status, refused["pointer"].as_str()), (422, Some("/rules/coupon/offline")), "{refused}");

        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "offline": true, "valid_for": "30D" } })).await;
        shop.offer("Online", json!({ "effect": { "gift": { "name": "y" } }, "coupon": {} })).await;
        let (used, fresh) = (shop.coupon(&offer, Some("ana")).await, shop.coupon(&offer, None).await);
        let code = |coupon: &Value| coupon["barcode"].as_str().unwrap().to_owned();
        assert_eq!(code(&used).len(), 160);
        // At a till with a network such a code is like any other.
        let (status, scanned) = shop.till("scans", &json!({ "code": code(&used) })).await;
        assert_eq!((status, &scanned["coupon"]["coupon_id"]), (200, &used["id"]), "{scanned}");
        let redeem = json!({ "transaction_id": "t1", "redeem": [{ "coupon_code": code(&used) }] });
        let (status, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!(status, 201, "{redeemed}");

        let (status, snapshot) = app.get("/api/v1/offline", &shop.till).await;
        assert_eq!(status, 200, "{snapshot}");
        let snapshot = read_jws(snapshot["jws"].as_str().unwrap(), None);
        assert_eq!((snapshot["store_id"].as_str(), snapshot["denied_is_whole"].as_bool()), (Some(shop.store.as_str()), Some(true)));
        let offers: Vec<_> = snapshot["offers"].as_array().unwrap().iter().map(|offer| offer["id"].as_str().unwrap()).collect();
        assert_eq!(offers, [offer.as_str()]);
        // What a till does with a code: its signature, its offer, its end, and whether it is denied.
        let denied = |text: &str| {
            let (read, signature) = OfflineCode::read(text).unwrap();
            let kid = read.key_id.to_string();
            let key = snapshot["keys"].as_array().unwrap().iter().find(|key| key["kid"] == *kid).unwrap();
            let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
            let public = PKey::public_key_from_raw_bytes(&public, Id::ED25519).unwrap();
            assert!(Verifier::new_without_digest(&public).unwrap().verify_oneshot(&signature, &read.signed()).unwrap());
            assert_eq!(snapshot["offers"][0]["id_hex"], hex::encode(read.offer));
            assert!(read.expires_at > read.starts_at);
            snapshot["denied"].as_array().unwrap().contains(&json!(hex::encode(read.code_id)))
        };
        assert_eq!((denied(&code(&used)), denied(&code(&fresh))), (true, false));
        let (_, other) = app.get("/api/v1/offline", &app.two.key).await;
        let other = read_jws(other["jws"].as_str().unwrap(), None);
        assert_eq!((&other["offers"], &other["denied"]), (&json!([]), &json!([])));
        assert_ne!(other["keys"], snapshot["keys"]);
    }

    async fn bad_codes_are_told_apart_in_the_log_alone(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        let program = json!({ "name": "Outro", "time_zone": "America/Sao_Paulo", "external_id": "outro" });
        let (_, program) = app.post("/api/v1/programs", &app.two.key, &program).await;
        let offer = |program: &Value, offline: bool| json!({ "program_id": program, "name": "x",
            "rules": { "effect": { "gift": { "name": "x" } }, "coupon": { "offline": offline } } });
        let mut codes = Vec::new();
        for is_offline in [false, true] {
            let (_, made) = app.post("/api/v1/offers", &app.two.key, &offer(&program["id"], is_offline)).await;
            let coupon = json!({ "offer_id": made["id"], "external_id": format!("c{is_offline}") });
            let (status, coupon) = app.post("/api/v1/coupons", &app.two.key, &coupon).await;
            assert_eq!(status, 201, "{coupon}");
            codes.push(coupon["barcode"].as_str().unwrap().to_owned());
        }
        let forged: Vec<String> = codes.iter().map(|code| format!("{}{}", &code[..code.len() - 1], if code.ends_with('0') { '1' } else { '0' })).collect();
        let mistyped = ["4F7K9Q2M0XZPT9", "???"].map(str::to_owned);
        for (reason, codes) in [("foreign", &codes[..]), ("forged", &forged[..]), ("mistyped", &mistyped[..])] {
            for (number, code) in codes.iter().enumerate() {
                let redeem = json!({ "transaction_id": format!("{reason}{number}"), "redeem": [{ "coupon_code": code }] });
                let (status, refused) = shop.till("redemptions", &redeem).await;
                assert_eq!((status, refused["code"].as_str()), (409, Some("coupon_not_found")), "{refused}");
                let mut reader = app.app().db.read().await.unwrap();
                let read = coupons::read_text(app.app(), &mut reader.conn(), app.one.brand.id, code, None).await.unwrap();
                let bad = coupons::why(app.app(), app.one.brand.id, read.unwrap_err(), code).await.unwrap();
                assert_eq!(bad.as_str(), reason, "{code}");
            }
        }
    }

    async fn codes_of_a_retired_key_are_refused_and_new_ones_are_good(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        let pass = app.issue("ana").await;
        let (_, before) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let card = |bundle: &[u8]| crate::bundle::pass_json(bundle)["barcodes"][0]["message"].as_str().unwrap().to_owned();
        let fetch = async || app.http.get(before["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        let old_card = card(&fetch().await);
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pass-templates/cafe-da-tarde");
        let files = passarela::wallet::design::Design::read_folder(&folder).unwrap();
        passarela::service::templates::install(app.app(), app.one.brand.id, crate::app::PASS_TYPE, files, None).await.unwrap();
        let rules = json!({ "effect": { "percent": { "percent": "20" } }, "coupon": { "template": "cafe-da-tarde", "offline": true, "valid_for": "30D" } });
        let offer = shop.offer("Caneca", rules).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let path = format!("/api/v1/coupons/{}", coupon["id"].as_str().unwrap());
        let brand = app.one.brand.id;
        // Its pass shows the code, which nobody reads from the pass's data.
        let shown = format!("/api/v1/passes/{}", coupon["pass_id"].as_str().unwrap());
        let (_, of_coupon) = app.get(&shown, &app.one.key).await;
        assert!(!of_coupon.to_string().contains(coupon["barcode"].as_str().unwrap()) && !of_coupon.to_string().contains(coupon["code"].as_str().unwrap()));
        let voucher = async || {
            let bundle = app.http.get(of_coupon["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
            let barcode = crate::bundle::pass_json(&bundle)["barcodes"][0].clone();
            (barcode["message"].as_str().unwrap().to_owned(), barcode["altText"].as_str().unwrap().to_owned())
        };
        assert_eq!(voucher().await, (coupon["barcode"].as_str().unwrap().to_owned(), coupon["code"].as_str().unwrap().to_owned()));
        let (_, before_renewal) = app.get("/api/v1/offline", &shop.till).await;
        let known = read_jws(before_renewal["jws"].as_str().unwrap(), None)["keys"].clone();
        assert_eq!(code_keys::renew(app.app(), brand).await.unwrap(), CodeKeys { newest: 2, oldest: 1 });
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 7).await;
        app.work().await;
        let new_card = card(&fetch().await);
        assert_ne!(new_card, old_card);
        // A till that knew the old key alone learns the new one.
        let (_, snapshot) = app.get("/api/v1/offline", &shop.till).await;
        assert_eq!(read_jws(snapshot["jws"].as_str().unwrap(), Some(&known))["keys"].as_array().map(Vec::len), Some(2));
        let (_, renewed) = app.get(&path, &app.one.key).await;
        assert_ne!(renewed["barcode"], coupon["barcode"]);
        let (status, _) = app.patch(&shown, &app.one.key, &json!({ "data": { "note": "x" } })).await;
        assert_eq!(status, 200);
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
        assert_eq!(voucher().await.0, renewed["barcode"].as_str().unwrap());
        let scan = async |code: &str| shop.till("scans", &json!({ "code": code })).await.0;
        assert_eq!((scan(&old_card).await, scan(&new_card).await), (200, 200));
        assert_eq!(code_keys::retire(app.app(), brand).await.unwrap(), CodeKeys { newest: 2, oldest: 2 });
        assert_eq!(code_keys::retire(app.app(), brand).await.unwrap(), CodeKeys { newest: 2, oldest: 2 });
        assert_eq!((scan(&old_card).await, scan(&new_card).await), (404, 200));
        let quote = |code: &Value| json!({ "customer": { "external_id": "ana" }, "basket": { "lines": [line("x", "y", "1", 100)], "total": money(100) }, "redeem": [{ "coupon_code": code }] });
        let (_, old) = shop.till("quotes", &quote(&coupon["barcode"])).await;
        let (_, new) = shop.till("quotes", &quote(&renewed["barcode"])).await;
        assert_eq!((old["skipped"][0]["code"].as_str(), new["skipped"][0]["code"].as_str()), (Some("coupon_not_found"), None), "{new}");
    }
}

/// The payload of a JWS, if a key that the till knows signed it; at first, its own.
fn read_jws(jws: &str, known: Option<&Value>) -> Value {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let [header, payload] = [0, 1].map(|part| URL_SAFE_NO_PAD.decode(signed.split('.').nth(part).unwrap()).unwrap());
    let (header, payload): (Value, Value) =
        (serde_json::from_slice(&header).unwrap(), serde_json::from_slice(&payload).unwrap());
    assert_eq!(header["alg"], "EdDSA");
    let keys = known.unwrap_or(&payload["keys"]);
    let key = keys.as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let public = PKey::public_key_from_raw_bytes(&public, Id::ED25519).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(Verifier::new_without_digest(&public).unwrap().verify_oneshot(&signature, signed.as_bytes()).unwrap());
    payload
}
