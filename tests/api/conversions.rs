//! Units of one wallet that become units of another; and who did what by hand.

use serde_json::{Value, json};

use crate::on_both_engines;
use crate::till::Shop;

/// A shop whose members may make money of their points.
async fn exchange(engine: crate::engine::Engine) -> (Shop, String) {
    let shop = Shop::open(engine).await;
    let path = format!("/api/v1/wallet-types?program_id={}", shop.app.one.program_id);
    let (_, kinds) = shop.app.get(&path, &shop.app.one.key).await;
    let points = kinds["data"].as_array().unwrap().iter().find(|kind| kind["key"] == "points").unwrap();
    let path = format!("/api/v1/wallet-types/{}", points["id"].as_str().unwrap());
    let mut rules = points["rules"].clone();
    for (into, pointer) in [("miles", "/rules/converts/0/into"), ("points", "/rules/converts/0/into")] {
        rules["converts"] = json!([{ "into": into, "units": "100", "gives": "5" }]);
        let (status, problem) = shop.app.patch(&path, &shop.app.one.key, &json!({ "rules": rules })).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some(pointer)), "{problem}");
    }
    rules["converts"] = json!([{ "into": "cashback", "units": "100", "gives": "5" }]);
    rules["spend_limits"] = json!({ "per_period": { "period": "day", "units": "700" } });
    let (status, kind) = shop.app.patch(&path, &shop.app.one.key, &json!({ "rules": rules })).await;
    assert_eq!(status, 200, "{kind}");
    shop.app.issue("ana").await;
    shop.give("ana", 1_000).await;
    let wallet = shop.wallets("ana").await["wallets"][0]["id"].as_str().unwrap().to_owned();
    (shop, wallet)
}

async fn convert(shop: &Shop, wallet: &str, key: Option<&str>, units: &str, into: &str) -> (u16, Value) {
    let path = format!("{}/api/v1/wallets/{wallet}/conversions", shop.app.url);
    let body = json!({ "units": units, "into": into, "employee": "Rui" });
    let mut request = shop.app.http.post(path).bearer_auth(&shop.till).json(&body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    crate::app::answer(request.send().await.unwrap()).await
}

on_both_engines! {
    async fn points_become_money_once_and_together(engine) {
        let (shop, wallet) = exchange(engine).await;
        let (status, done) = convert(&shop, &wallet, Some("k1"), "200", "cashback").await;
        assert_eq!(status, 201, "{done}");
        assert_eq!((&done["from"]["units"], &done["from"]["balance"]), (&json!("-200"), &json!("800")));
        assert_eq!((&done["into"]["units"], &done["into"]["balance"]), (&json!("10"), &json!("10")));
        assert_eq!(convert(&shop, &wallet, Some("k1"), "200", "cashback").await, (201, done.clone()));
        // Both movements name what they came of, and who did it where.
        let last = async |side: &Value| {
            let path = format!("/api/v1/wallets/{}/entries", side["wallet_id"].as_str().unwrap());
            let (_, entries) = shop.app.get(&path, &shop.app.one.key).await;
            entries["data"].as_array().unwrap().last().unwrap().clone()
        };
        let (taken, given) = (last(&done["from"]).await, last(&done["into"]).await);
        assert_eq!((&taken["kind"], &taken["source_id"]), (&json!("converted"), &given["source_id"]), "{taken} {given}");
        assert_eq!((&given["employee"], &given["terminal"], &given["store_id"]), (&json!("Rui"), &json!("caixa-1"), &json!(shop.store)));
        for (key, units, into, pointer) in [("k2", "150", "cashback", "/units"), ("k3", "0", "cashback", "/units"), ("k4", "100", "miles", "/into")] {
            let (status, problem) = convert(&shop, &wallet, Some(key), units, into).await;
            assert_eq!((status, problem["pointer"].as_str()), (422, Some(pointer)), "{problem}");
        }
        assert_eq!(convert(&shop, &wallet, None, "100", "cashback").await.0, 400);
        // The same key for another wallet is another request.
        shop.app.issue("bia").await;
        shop.give("bia", 200).await;
        let other = shop.wallets("bia").await["wallets"][0]["id"].as_str().unwrap().to_owned();
        let (status, problem) = convert(&shop, &other, Some("k1"), "200", "cashback").await;
        assert_eq!((status, problem["type"].as_str()), (422, Some("/problems/idempotency-key-reused")), "{problem}");
        let (status, problem) = convert(&shop, &wallet, Some("k9"), "2000000000000", "cashback").await;
        assert_eq!(status, 422, "{problem}");
        let (status, refused) = convert(&shop, &wallet, Some("k5"), "900", "cashback").await;
        assert_eq!((status, &refused["code"], &refused["available"]), (409, &json!("not_enough_units"), &json!("800")));
        shop.prove().await;
    }

    async fn what_is_converted_counts_as_spent(engine) {
        let (shop, wallet) = exchange(engine).await;
        let tries = (0..20).map(|number| {
            let (shop, wallet) = (&shop, &wallet);
            async move { convert(shop, wallet, Some(&format!("k{number}")), "100", "cashback").await }
        });
        let answers = futures_util::future::join_all(tries).await;
        let done = answers.iter().filter(|(status, _)| *status == 201).count();
        assert!(answers.iter().all(|(status, answer)| *status == 201 || answer["code"] == "spend_limit_reached"), "{answers:?}");
        assert_eq!(done, 7, "so many a day");
        assert_eq!((shop.balance("ana", "points").await.as_str(), shop.balance("ana", "cashback").await.as_str()), ("300", "35"));
        shop.prove().await;
    }

    async fn nothing_is_converted_from_or_into_a_closed_wallet_nor_in_a_circle(engine) {
        let (shop, wallet) = exchange(engine).await;
        let path = format!("/api/v1/wallet-types?program_id={}", shop.app.one.program_id);
        let (_, kinds) = shop.app.get(&path, &shop.app.one.key).await;
        let kind = |key: &str| kinds["data"].as_array().unwrap().iter().find(|kind| kind["key"] == key).unwrap().clone();
        let edit = async |key: &str, more: Value| {
            let kind = kind(key);
            let mut rules = kind["rules"].clone();
            rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            shop.app.patch(&format!("/api/v1/wallet-types/{}", kind["id"].as_str().unwrap()), &shop.app.one.key, &json!({ "rules": rules })).await
        };
        let back = |gives: &str| json!({ "converts": [{ "into": "points", "units": "5", "gives": gives }] });
        let (status, problem) = edit("cashback", back("101")).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some("/rules/converts/0/gives")), "{problem}");
        let (status, problem) = edit("cashback", json!({ "converts": [{ "into": "points", "units": 5, "gives": "1" }] })).await;
        assert_eq!((status, problem["pointer"].as_str()), (422, Some("/rules/converts/0/units")), "{problem}");
        assert_eq!(edit("cashback", back("100")).await.0, 200, "as much as it cost");
        let soon = shop.app.app().clock.now() + chrono::TimeDelta::hours(1);
        assert_eq!(edit("cashback", json!({ "closes_at": soon, "at_close": { "keep": {} } })).await.0, 200);
        assert_eq!(convert(&shop, &wallet, Some("k1"), "100", "cashback").await.0, 201);
        shop.app.clock.advance(chrono::TimeDelta::hours(2));
        assert_eq!(convert(&shop, &wallet, Some("k2"), "100", "cashback").await.1["code"], "wallet_closed");
        shop.prove().await;
    }

    async fn what_comes_back_to_a_closed_wallet_is_converted_then(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let closes = shop.app.app().clock.now() + chrono::TimeDelta::hours(1);
        let kind = json!({ "program_id": shop.app.one.program_id, "key": "natal", "name": "Natal", "rules": {
            "unit": { "singular": "estrela", "plural": "estrelas" }, "closes_at": closes,
            "at_close": { "convert": { "into": "points", "units": "10", "gives": "1" } } } });
        assert_eq!(shop.app.post("/api/v1/wallet-types", &shop.app.one.key, &kind).await.0, 201);
        let rule = json!({ "program_id": shop.app.one.program_id, "wallet": "natal", "name": "1 por real",
            "rules": { "gives": { "per_amount": { "every_minor": 100, "units": "1" } } } });
        assert_eq!(shop.app.post("/api/v1/rules", &shop.app.one.key, &rule).await.0, 201);
        shop.give("ana", 150).await;
        let spent = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "natal", "units": "50" }] });
        let (_, spent) = shop.till("redemptions", &spent).await;
        let basket = json!({ "lines": [], "total": { "amount_minor": 0, "currency": "BRL" } });
        let reward = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "price": { "wallet": "natal", "units": "30" } })).await;
        let quote = json!({ "customer": { "external_id": "ana" }, "basket": basket, "redeem": [{ "reward_id": reward }], "lock_secs": 3600 });
        shop.app.clock.advance(chrono::TimeDelta::minutes(50));
        let (_, held) = shop.till("quotes", &quote).await;
        let (_, freed) = shop.till("quotes", &quote).await;
        assert_eq!((&held["items"][0]["units"], &freed["items"][0]["units"]), (&json!("30"), &json!("30")));
        shop.app.clock.advance(chrono::TimeDelta::minutes(15));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "points").await, "154", "what was free");
        // What a quote holds is used after the close; what is freed, or comes back, is converted then.
        let redeem = json!({ "transaction_id": "t2", "quote_id": held["id"], "customer": { "external_id": "ana" }, "basket": basket, "redeem": [{ "reward_id": reward }] });
        assert_eq!(shop.till("redemptions", &redeem).await.0, 201);
        assert_eq!(shop.till("redemptions", &json!({ "transaction_id": "t3", "customer": { "external_id": "ana" }, "redeem": [{ "reward_id": reward }] })).await.1["code"], "wallet_closed");
        assert_eq!(shop.till(&format!("redemptions/{}/void", spent["id"].as_str().unwrap()), &json!({})).await.0, 200);
        shop.app.clock.advance(chrono::TimeDelta::hours(1));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "points").await, "162", "5 of what came back, 3 of what was freed");
        assert_eq!(shop.balance("ana", "natal").await, "0");
        shop.prove().await;
    }

    async fn who_moved_something_by_hand_and_why_is_told(engine) {
        let (shop, wallet) = exchange(engine).await;
        let path = format!("{}/api/v1/wallets/{wallet}/adjustments", shop.app.url);
        let body = json!({ "units": "-20", "reason": "wrong price" });
        let request = shop.app.http.post(path).bearer_auth(&shop.app.one.key).header("Idempotency-Key", "k1").json(&body);
        assert_eq!(crate::app::answer(request.send().await.unwrap()).await.0, 201);
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "employee": "Rui",
            "redeem": [{ "wallet": "points", "units": "30" }] });
        let (_, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!(redeemed["employee"], "Rui", "{redeemed}");
        let void = format!("redemptions/{}/void", redeemed["id"].as_str().unwrap());
        assert_eq!(shop.till(&void, &json!({ "employee": "Eva" })).await.0, 200);
        // A till that sends no body at all does the same.
        let request = shop.app.http.post(format!("{}/api/v1/{void}", shop.app.url)).bearer_auth(&shop.till);
        assert_eq!(request.send().await.unwrap().status(), 200);
        assert_eq!(shop.till(&void, &json!({ "reason": "x" })).await.0, 422);
        let request = shop.app.http.post(format!("{}/api/v1/{void}", shop.app.url)).bearer_auth(&shop.till).body("employee=Eva");
        assert_eq!(request.send().await.unwrap().status(), 415, "who it was must not be lost");
        let (_, entries) = shop.app.get(&format!("/api/v1/wallets/{wallet}/entries"), &shop.app.one.key).await;
        let told = entries["data"].as_array().unwrap().iter().rev().take(3);
        let told: Vec<Value> = told.map(|entry| json!([entry["kind"], entry["employee"], entry["reason"]])).collect();
        assert_eq!(told, [json!(["restored", "Eva", null]), json!(["spent", "Rui", null]), json!(["adjusted", null, "wrong price"])]);
    }
}
