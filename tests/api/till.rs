//! Loyalty and the till: earning, quoting, redeeming once, taking back, and what the pass shows.

use chrono::TimeDelta;
use passarela::domain::ids::StoreId;
use passarela::domain::role::Role as KeyRole;
use passarela::service::keys::{self, Stand};
use passarela::service::ledger;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::TestApp;
use crate::on_both_engines;

pub fn money(minor: i64) -> Value {
    json!({ "amount_minor": minor, "currency": "BRL" })
}

pub fn line(sku: &str, category: &str, pieces: &str, minor: i64) -> Value {
    json!({ "sku": sku, "category": category, "quantity": pieces, "amount": money(minor) })
}

/// A bakery with points, cashback, three tiers and a till in a store.
pub struct Shop {
    pub app: TestApp,
    pub till: String,
    pub store: String,
}

impl Shop {
    pub async fn open(engine: crate::engine::Engine) -> Self {
        let app = TestApp::start(engine).await;
        Self::furnish(app).await
    }

    pub async fn furnish(app: TestApp) -> Self {
        let program = app.one.program_id.clone();
        let made = async |path: &str, body: Value| {
            let (status, made) = app.post(path, &app.one.key, &body).await;
            assert_eq!(status, 201, "{path} {body}: {made}");
            made["id"].as_str().unwrap_or_default().to_owned()
        };
        let store = made("/api/v1/stores", json!({ "name": "Aurora Paulista", "external_id": "loja-1" })).await;
        made(
            "/api/v1/wallet-types",
            json!({ "program_id": program, "key": "points", "name": "Pontos", "rules": {
            "unit": { "singular": "ponto", "plural": "pontos" }, "expiry": { "after": "12M_U" }, "restore_grace": "30D",
            "worth": { "units": "100", "amount": money(500) } } }),
        )
        .await;
        made(
            "/api/v1/wallet-types",
            json!({ "program_id": program, "key": "cashback", "name": "Cashback", "rules": {
            "unit": { "singular": "real", "plural": "reais" }, "currency": "BRL", "activation": { "after": "14D" },
            "on_return": "only_pending" } }),
        )
        .await;
        made(
            "/api/v1/rules",
            json!({ "program_id": program, "wallet": "points", "name": "1 ponto por real",
            "rules": { "gives": { "per_amount": { "every_minor": 100, "units": "1" } },
                "multipliers": [{ "by": "2", "audience": { "tiers": ["ouro"] } }] } }),
        )
        .await;
        made("/api/v1/rules", json!({ "program_id": program, "wallet": "cashback", "name": "5 % em padaria",
            "rules": { "gives": { "per_amount": { "every_minor": 100, "units": "0.05" } }, "only": { "categories": ["padaria"] } } })).await;
        let tiers = json!({ "tiers": { "wallet": "points", "qualify_by": "earned", "window": { "last": "12M" }, "tiers": [
            { "key": "bronze", "name": "Bronze", "minimum": "0" }, { "key": "prata", "name": "Prata", "minimum": "100" },
            { "key": "ouro", "name": "Ouro", "minimum": "500" }] } });
        let (status, answer) = app.patch(&format!("/api/v1/programs/{program}/tiers"), &app.one.key, &tiers).await;
        assert_eq!(status, 200, "{answer}");
        let stand = Stand { store: Some(store.parse().unwrap()), terminal: Some("caixa-1".to_owned()) };
        let (_, secret) = keys::create(app.app(), &app.one.brand, KeyRole::Pos, stand, "till", None).await.unwrap();
        Self { till: secret.reveal().clone(), store, app }
    }

    pub async fn till(&self, path: &str, body: &Value) -> (u16, Value) {
        self.app.post(&format!("/api/v1/{path}"), &self.till, body).await
    }

    pub async fn buy(&self, id: &str, customer: &str, lines: &[Value]) -> Value {
        let total: i64 = lines.iter().map(|line| line["amount"]["amount_minor"].as_i64().unwrap()).sum();
        let order = json!({ "external_id": id, "customer": { "external_id": customer }, "lines": lines, "total": money(total) });
        let (status, order) = self.till("orders", &order).await;
        assert_eq!(status, 201, "{order}");
        order
    }

    /// Units that a customer has.
    pub async fn give(&self, customer: &str, points: i64) {
        self.buy(&format!("gift-{customer}-{points}"), customer, &[line("x", "outros", "1", points * 100)]).await;
    }

    pub async fn offer(&self, name: &str, rules: Value) -> String {
        let body = json!({ "program_id": self.app.one.program_id, "name": name, "rules": rules });
        let (status, offer) = self.app.post("/api/v1/offers", &self.app.one.key, &body).await;
        assert_eq!(status, 201, "{offer}");
        offer["id"].as_str().unwrap().to_owned()
    }

    pub async fn coupon(&self, offer: &str, customer: Option<&str>) -> Value {
        let mut body = json!({ "offer_id": offer, "external_id": self.app.app().clock.new_id() });
        if let Some(customer) = customer {
            body["customer"] = json!({ "external_id": customer });
        }
        let (status, coupon) = self.app.post("/api/v1/coupons", &self.app.one.key, &body).await;
        assert_eq!(status, 201, "{coupon}");
        coupon
    }

    pub async fn wallets(&self, customer: &str) -> Value {
        let (_, found) = self.app.get(&format!("/api/v1/customers?external_id={customer}"), &self.app.one.key).await;
        let id = found["data"][0]["id"].as_str().unwrap().to_owned();
        let (status, wallets) = self.app.get(&format!("/api/v1/wallets?customer_id={id}"), &self.app.one.key).await;
        assert_eq!(status, 200, "{wallets}");
        wallets["data"][0].clone()
    }

    pub async fn balance(&self, customer: &str, key: &str) -> String {
        let wallets = self.wallets(customer).await;
        let wallets = wallets["wallets"].as_array().unwrap().iter().find(|wallet| wallet["key"] == key).cloned();
        wallets.map_or_else(|| "0".to_owned(), |wallet| wallet["balance"].as_str().unwrap().to_owned())
    }

    pub async fn prove(&self) {
        let verified = ledger::verify(&self.app.app().db, None, |_| ()).await.unwrap();
        assert_eq!(verified.faults, []);
        assert!(verified.wallets > 0 && verified.entries > 0);
    }

    pub async fn keep_books(&self) {
        passarela::worker::bookkeeper::round(self.app.app(), &CancellationToken::new()).await.unwrap();
    }
}

fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

on_both_engines! {
    async fn a_purchase_earns_into_two_wallets_and_the_pass_shows_it(engine) {
        let shop = Shop::open(engine).await;
        let pass = shop.app.issue("ana").await;
        // What the brand says itself goes before what the wallet says.
        let (status, _) = shop.app.patch(&format!("/api/v1/passes/{}", pass.id), &shop.app.one.key, &json!({ "data": { "points": null } })).await;
        assert_eq!(status, 200);
        let lines = [line("cafe", "bebidas", "2", 1_250), line("pao", "padaria", "10", 10_799)];
        let order = shop.buy("t1", "ana", &lines).await;
        assert_eq!(order["earned"][0]["units"], "120", "{order}");
        assert_eq!(order["earned"][0]["rule"], "1 ponto por real");
        assert_eq!(order["earned"][0]["by_line"], json!(["12", "108"]));
        assert_eq!(order["earned"][1]["units"], "5.39", "5 % of 107,99, rounded down: {order}");
        assert_eq!((order["terminal"].as_str(), order["store_id"].as_str()), (Some("caixa-1"), Some(shop.store.as_str())));
        let member = shop.wallets("ana").await;
        assert_eq!(member["tier"]["key"], "prata");
        assert_eq!(member["tier"]["next"]["missing"], 380);
        assert_eq!(shop.balance("ana", "points").await, "120");
        let cashback = member["wallets"].as_array().unwrap().iter().find(|wallet| wallet["key"] == "cashback").unwrap();
        assert_eq!((cashback["balance"].as_str(), cashback["pending"].as_str()), (Some("0"), Some("5.39")));
        shop.app.clock.advance(TimeDelta::seconds(2));
        shop.app.work().await;
        let url = format!("{}/v1/passes/{}/{}", pass.web_service_url, crate::app::PASS_TYPE, pass.serial);
        let bundle = shop.app.http.get(url).header("Authorization", format!("ApplePass {}", pass.token)).send().await.unwrap();
        let shown = crate::bundle::pass_json(&bundle.bytes().await.unwrap()).to_string();
        assert!(shown.contains("\"value\":120") && shown.contains("Prata"), "{shown}");
        // The same again is the same; the same id with other content is refused; a wrong sum too.
        let again = json!({ "external_id": "t1", "customer": { "external_id": "ana" }, "lines": lines, "total": money(12_049) });
        assert_eq!(shop.till("orders", &again).await, (200, order));
        let other = json!({ "external_id": "t1", "customer": { "external_id": "ana" }, "lines": [line("a", "b", "1", 1)], "total": money(1) });
        assert_eq!(shop.till("orders", &other).await.0, 422);
        let wrong = json!({ "external_id": "t2", "lines": lines, "total": money(1) });
        assert_eq!(shop.till("orders", &wrong).await.1["pointer"], "/total");
        assert_eq!(shop.balance("ana", "points").await, "120");
        shop.prove().await;
    }

    async fn a_coupon_is_on_the_card_while_it_may_be_used(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        let pass = app.issue("ana").await;
        app.work().await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let shown = async || {
            app.clock.advance(TimeDelta::seconds(2));
            app.work().await;
            let bundle = app.http.get(view["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
            let back = crate::bundle::pass_json(&bundle)["storeCard"]["backFields"].clone();
            let field = back.as_array().unwrap().iter().find(|field| field["key"] == "coupons").cloned();
            field.map(|field| field["value"].as_str().unwrap().to_owned())
        };
        assert_eq!(shown().await, None);
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
        let until = app.app().clock.now() + TimeDelta::hours(1);
        let body = json!({ "offer_id": offer, "external_id": "brief", "customer": { "external_id": "ana" }, "expires_at": until });
        let (_, brief) = app.post("/api/v1/coupons", &app.one.key, &body).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let line = |coupon: &Value| format!("Caneca ({})", coupon["code"].as_str().unwrap());
        let both = format!("{}\n{}", line(&brief), line(&coupon));
        assert_eq!(shown().await, Some(both.clone()));
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "coupon_id": coupon["id"] }] });
        let (status, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!(status, 201, "{redeemed}");
        assert_eq!(shown().await, Some(line(&brief)));
        let (status, _) = shop.till(&format!("redemptions/{}/void", redeemed["id"].as_str().unwrap()), &json!({})).await;
        assert_eq!(status, 200);
        assert_eq!(shown().await, Some(both));
        // Nothing happens, but its time is over.
        app.clock.advance(TimeDelta::hours(1));
        assert_eq!(shown().await, Some(line(&coupon)));
        let (status, _) = app.post(&format!("/api/v1/coupons/{}/void", coupon["id"].as_str().unwrap()), &app.one.key, &json!({})).await;
        assert_eq!(status, 200);
        assert_eq!(shown().await, None);
    }

    async fn what_is_created_twice_is_there_once(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        let rule = json!({ "program_id": app.one.program_id, "wallet": "points", "name": "Visita", "rules": { "gives": { "per_order": { "units": "1" } } } });
        let (status, first) = app.post("/api/v1/rules", &app.one.key, &rule).await;
        assert_eq!(status, 201, "{first}");
        assert_eq!(app.post("/api/v1/rules", &app.one.key, &rule).await, (200, first));
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "template": "clube-aurora" } })).await;
        let body = json!({ "offer_id": offer, "customer": { "external_id": "ana" } });
        let (status, problem) = app.post("/api/v1/coupons", &app.one.key, &body).await;
        assert_eq!((status, problem["type"].as_str()), (400, Some("/problems/idempotency-key-required")), "{problem}");
        let issue = async |key: &str, body: &Value| {
            let request = app.http.post(format!("{}/api/v1/coupons", app.url)).bearer_auth(&app.one.key).header("Idempotency-Key", key);
            crate::app::answer(request.json(body).send().await.unwrap()).await
        };
        let (status, coupon) = issue("k1", &body).await;
        assert_eq!(status, 201, "{coupon}");
        assert_eq!(issue("k1", &body).await, (200, coupon.clone()));
        assert_ne!(issue("k2", &body).await.1["id"], coupon["id"]);
        // Whatever became of the offer, what was done is answered as it was.
        let (status, _) = app.patch(&format!("/api/v1/offers/{offer}"), &app.one.key, &json!({ "state": "ended" })).await;
        assert_eq!(status, 200);
        assert_eq!(issue("k1", &body).await.0, 200);
        assert_eq!(issue("k3", &body).await.0, 422);
        assert_eq!(app.patch(&format!("/api/v1/offers/{offer}"), &app.one.key, &json!({ "state": "running" })).await.0, 200);
        assert_eq!(issue("k1", &json!({ "offer_id": offer })).await.0, 422);
        // A card that is reissued takes its coupon along: used, the new one is void.
        let (_, new) = app.post(&format!("/api/v1/passes/{}/reissue", coupon["pass_id"].as_str().unwrap()), &app.one.key, &json!({})).await;
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "coupon_id": coupon["id"] }] });
        assert_eq!(shop.till("redemptions", &redeem).await.0, 201);
        let (_, new) = app.get(&format!("/api/v1/passes/{}", new["id"].as_str().unwrap()), &app.one.key).await;
        assert_eq!(new["status"], "voided", "{new}");
    }

    async fn a_coupon_that_is_nobodys_is_scanned_and_used_by_whoever_has_it(engine) {
        let shop = Shop::open(engine).await;
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, None).await;
        for (times, usable) in [("first", true), ("second", false)] {
            let (status, scanned) = shop.till("scans", &json!({ "code": coupon["code"] })).await;
            assert_eq!((status, &scanned["customer_id"], &scanned["coupon"]["is_usable"]), (200, &Value::Null, &json!(usable)), "{times}: {scanned}");
            let redeem = json!({ "transaction_id": times, "redeem": [{ "coupon_code": coupon["code"] }] });
            assert_eq!(shop.till("redemptions", &redeem).await.0, if usable { 201 } else { 409 });
        }
        assert_eq!(shop.till("scans", &json!({ "code": "9999" })).await.0, 404);
    }

    async fn what_a_quote_held_and_nobody_used_is_free_again(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let offer = shop.offer("R$ 1", json!({ "effect": { "amount": money(100) }, "coupon": {} })).await;
        let (used, left) = (shop.coupon(&offer, Some("ana")).await, shop.coupon(&offer, Some("ana")).await);
        let basket = json!({ "lines": [line("a", "b", "1", 900)], "total": money(900) });
        let both = json!([{ "coupon_id": used["id"] }, { "coupon_id": left["id"] }]);
        let quote = json!({ "customer": { "external_id": "ana" }, "basket": basket, "redeem": both, "lock_secs": 600 });
        let (status, quote) = shop.till("quotes", &quote).await;
        assert_eq!((status, quote["items"].as_array().map(Vec::len)), (201, Some(2)), "{quote}");
        let redeem = |id: &str, coupon: &Value, quote: &Value| {
            json!({ "transaction_id": id, "quote_id": quote, "customer": { "external_id": "ana" }, "basket": basket, "redeem": [{ "coupon_id": coupon["id"] }] })
        };
        assert_eq!(shop.till("redemptions", &redeem("t0", &left, &Value::Null)).await.1["code"], "basket_locked");
        assert_eq!(shop.till("redemptions", &redeem("t1", &used, &quote["id"])).await.0, 201);
        assert_eq!(shop.till("redemptions", &redeem("t2", &left, &Value::Null)).await.0, 201);
    }

    async fn an_imported_pass_shows_what_its_member_has(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        shop.give("ana", 30).await;
        let file = "external_id,customer.external_id\nana-2,ana\nbia-1,bia\n";
        let job = crate::imports::import(app, "passes", "text/csv", file).await;
        crate::imports::done(app, &job).await;
        let made = crate::imports::results(app, &job, "").await;
        for (row, points) in made.iter().zip([30, 0]) {
            let bundle = app.http.get(format!("{}/apple.pkpass", row["add_url"].as_str().unwrap())).send().await.unwrap();
            let json = crate::bundle::pass_json(&bundle.bytes().await.unwrap());
            assert_eq!(json["storeCard"]["headerFields"][0]["value"], points, "{row}");
        }
    }

    async fn who_is_no_customer_buys_without_a_name_and_history_earns_nothing(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let order = json!({ "external_id": "t1", "customer": { "cpf": "529.982.247-25" }, "lines": [line("a", "b", "1", 900)], "total": money(900) });
        let (status, order) = shop.till("orders", &order).await;
        assert_eq!((status, &order["customer_id"], &order["earned"]), (201, &Value::Null, &json!([])));
        let history = json!({ "external_id": "t2", "customer": { "external_id": "ana" }, "effects": "none",
            "placed_at": "2025-01-01T12:00:00Z", "lines": [line("a", "b", "1", 900)], "total": money(900) });
        assert_eq!(shop.till("orders", &history).await.1["earned"], json!([]));
        assert_eq!(shop.balance("ana", "points").await, "0");
    }

    async fn a_till_scans_quotes_redeems_once_and_takes_back(engine) {
        let shop = Shop::open(engine).await;
        let pass = shop.app.issue("ana").await;
        shop.give("ana", 400).await;
        let reward = shop.offer("Pão de queijo", json!({ "effect": { "free_item": { "sku": "pao-de-queijo" } }, "price": { "wallet": "points", "units": "200" } })).await;
        let coupon_offer = shop.offer("20 % no café", json!({ "effect": { "percent": { "percent": "20" } }, "only": { "categories": ["bebidas"] }, "coupon": {} })).await;
        let coupon = shop.coupon(&coupon_offer, Some("ana")).await;
        let (_, view) = shop.app.get(&format!("/api/v1/passes/{}", pass.id), &shop.app.one.key).await;
        let bundle = shop.app.http.get(view["pkpass_url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        let barcode = crate::bundle::pass_json(&bundle)["barcodes"][0]["message"].as_str().unwrap().to_owned();
        let (status, scanned) = shop.till("scans", &json!({ "code": barcode })).await;
        assert_eq!(status, 200, "{scanned}");
        assert_eq!(scanned["name"], "Ana", "the first name is enough");
        assert_eq!(scanned["members"][0]["rewards"][0]["missing"], "0");
        assert_eq!(scanned["coupons"][0]["name"], "20 % no café");
        // The coupon's own code tells whose it is and whether it is good.
        let (_, by_coupon) = shop.till("scans", &json!({ "code": coupon["code"] })).await;
        assert_eq!((by_coupon["customer_id"].as_str(), by_coupon["coupon"]["is_usable"].as_bool()), (scanned["customer_id"].as_str(), Some(true)));

        let lines = [line("cafe", "bebidas", "2", 1_000), line("pao-de-queijo", "padaria", "1", 600)];
        let basket = json!({ "lines": lines, "total": money(1_600) });
        let who = json!({ "external_id": "ana" });
        let redeem = json!([{ "coupon_code": coupon["code"] }, { "reward_id": reward }]);
        let quote = json!({ "customer": who, "basket": basket, "redeem": redeem, "lock_secs": 60 });
        let (status, quoted) = shop.till("quotes", &quote).await;
        assert_eq!(status, 201, "{quoted}");
        assert_eq!((quoted["discount"].clone(), quoted["left_by_line_minor"].clone()), (money(800), json!([800, 0])));
        assert_eq!(shop.balance("ana", "points").await, "200", "what is held cannot be spent");
        // Another till gets neither the coupon nor the units meanwhile.
        let other = json!({ "transaction_id": "x", "customer": who, "redeem": redeem, "basket": basket });
        assert_eq!(code(&shop.till("redemptions", &other).await.1), "basket_locked");
        let more = json!({ "transaction_id": "y", "customer": who, "redeem": [{ "wallet": "points", "units": "201" }], "basket": basket });
        let (status, refused) = shop.till("redemptions", &more).await;
        assert_eq!((status, code(&refused), refused["available"].as_str()), (409, "not_enough_units", Some("200")));
        assert_eq!(refused["detail"], "O saldo não é suficiente.");
        let changed = json!({ "transaction_id": "z", "quote_id": quoted["id"], "customer": who, "redeem": redeem,
            "basket": { "lines": [line("cafe", "bebidas", "1", 500)], "total": money(500) } });
        assert_eq!(code(&shop.till("redemptions", &changed).await.1), "basket_changed");

        let commit = json!({ "transaction_id": "t1", "quote_id": quoted["id"], "customer": who, "redeem": redeem, "basket": basket });
        let (status, redeemed) = shop.till("redemptions", &commit).await;
        assert_eq!(status, 201, "{redeemed}");
        assert_eq!((redeemed["discount"].clone(), redeemed["wallets"][0]["balance"].as_str()), (money(800), Some("200")));
        assert_eq!(shop.till("redemptions", &commit).await, (200, redeemed.clone()));
        let (_, entries) = {
            let wallet = redeemed["wallets"][0]["wallet_id"].as_str().unwrap();
            shop.app.get(&format!("/api/v1/wallets/{wallet}/entries"), &shop.app.one.key).await
        };
        let kinds: Vec<&str> = entries["data"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["earned", "held", "captured"]);
        // Who was first, when and where.
        let late = json!({ "transaction_id": "t2", "customer": who, "redeem": [{ "coupon_id": coupon["id"] }], "basket": basket });
        let (status, refused) = shop.till("redemptions", &late).await;
        assert_eq!((status, code(&refused), refused["redeemed_in"].as_str()), (409, "already_redeemed", Some("Aurora Paulista")));
        assert_eq!((refused["redemption_id"].clone(), refused["index"].as_i64()), (redeemed["id"].clone(), Some(0)));

        // The purchase in the same basket earns on what was paid, and comes back line by line.
        let order = json!({ "external_id": "o1", "customer": who, "transaction_id": "t1", "lines": lines, "total": money(1_600) });
        let (status, order) = shop.till("orders", &order).await;
        assert_eq!((status, order["paid"].clone(), order["earned"][0]["units"].as_str()), (201, money(800), Some("8")), "{order}");
        let back = json!({ "external_id": "r1", "order": "o1", "lines": [{ "position": 0, "quantity": "1" }] });
        let (status, returned) = shop.till("returns", &back).await;
        assert_eq!(status, 201, "{returned}");
        assert_eq!(shop.till("returns", &back).await, (200, returned.clone()));
        let rest = json!({ "external_id": "r2", "order": "o1" });
        assert_eq!(shop.till("returns", &rest).await.0, 201);
        assert_eq!(shop.balance("ana", "points").await, "400", "all that was spent is back, and what was earned is gone");
        let too_much = json!({ "external_id": "r3", "order": "o1", "amount": money(1) });
        assert_eq!(shop.till("returns", &too_much).await.0, 422);
        shop.prove().await;
    }

    async fn what_was_paid_with_points_alone_comes_back_piece_by_piece(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 300).await;
        let who = json!({ "external_id": "ana" });
        let lines = [line("bolo", "bolos", "3", 1_500)];
        let redeem = json!({ "transaction_id": "t1", "customer": who, "basket": { "lines": lines, "total": money(1_500) },
            "redeem": [{ "wallet": "points", "units": "300" }] });
        let (status, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!((status, redeemed["discount"].clone()), (201, money(1_500)), "{redeemed}");
        let order = json!({ "external_id": "o1", "transaction_id": "t1", "customer": who, "lines": lines, "total": money(1_500) });
        let (status, order) = shop.till("orders", &order).await;
        assert_eq!((status, order["paid"].clone(), order["earned"].clone()), (201, money(0), json!([])));
        for (number, balance) in [(1, "100"), (2, "200"), (3, "300")] {
            let back = json!({ "external_id": format!("r{number}"), "order": "o1", "lines": [{ "position": 0, "quantity": "1" }] });
            let (status, back) = shop.till("returns", &back).await;
            assert_eq!((status, back["wallets"][0]["given_back"].as_str()), (201, Some("100")), "{back}");
            assert_eq!(shop.balance("ana", "points").await, balance);
        }
        assert_eq!(shop.till("returns", &json!({ "external_id": "r4", "order": "o1" })).await.0, 422);
        let late = shop.app.app().clock.now() + TimeDelta::days(1);
        let ahead = json!({ "external_id": "o2", "placed_at": late, "lines": lines, "total": money(1_500) });
        assert_eq!(shop.till("orders", &ahead).await.1["pointer"], "/placed_at");
        shop.prove().await;
    }

    async fn a_refusal_is_an_answer_that_stays(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let redeem = |id: &str, units: &str| json!({ "transaction_id": id, "customer": { "external_id": "ana" },
            "redeem": [{ "wallet": "points", "units": units }] });
        let refused = shop.till("redemptions", &redeem("t1", "10")).await;
        assert_eq!((refused.0, code(&refused.1)), (409, "not_enough_units"));
        shop.give("ana", 50).await;
        // The till was told that it got nothing: a try that comes late gets nothing.
        assert_eq!(shop.till("redemptions", &redeem("t1", "10")).await, refused);
        let order = json!({ "external_id": "o1", "transaction_id": "t1", "lines": [line("a", "b", "1", 100)], "total": money(100) });
        assert_eq!(shop.till("orders", &order).await.1["pointer"], "/transaction_id", "it is no redemption");
        assert_eq!(shop.balance("ana", "points").await, "50");
        // Something else may be asked for in the same purchase; then the id is used.
        assert_eq!(shop.till("redemptions", &redeem("t1", "9")).await.0, 201);
        assert_eq!(shop.till("redemptions", &redeem("t1", "10")).await.0, 422, "the id is another content's");
        let late = shop.till("redemptions", &redeem("t2", "90")).await;
        assert_eq!(late.0, 409);
        shop.give("ana", 60).await;
        shop.app.clock.advance(TimeDelta::hours(73));
        shop.app.sweep().await;
        assert_eq!(shop.till("redemptions", &redeem("t2", "90")).await.0, 201, "it is forgotten");
        assert_eq!(shop.till("redemptions", &redeem("t1", "9")).await.0, 200, "what was redeemed never is");
        shop.prove().await;
    }

    async fn a_redemption_takes_off_one_purchase_of_its_own_customer(engine) {
        let shop = Shop::open(engine).await;
        for name in ["ana", "bia"] {
            shop.app.issue(name).await;
        }
        shop.give("ana", 300).await;
        let lines = [line("bolo", "bolos", "1", 1_500)];
        let redeem = async |id: &str| {
            let body = json!({ "transaction_id": id, "customer": { "external_id": "ana" }, "basket": { "lines": lines, "total": money(1_500) },
                "redeem": [{ "wallet": "points", "units": "100" }] });
            let (status, redeemed) = shop.till("redemptions", &body).await;
            assert_eq!(status, 201, "{redeemed}");
            redeemed["id"].as_str().unwrap().to_owned()
        };
        redeem("t1").await;
        let order = |id: &str, customer: &str, transaction: &str| json!({ "external_id": id, "customer": { "external_id": customer },
            "transaction_id": transaction, "lines": lines, "total": money(1_500) });
        let refused = async |body: &Value, why: &str| {
            let (status, answer) = shop.till("orders", body).await;
            assert_eq!((status, answer["pointer"].as_str(), answer["detail"].as_str()), (422, Some("/transaction_id"), Some(why)), "{answer}");
        };
        refused(&order("o1", "bia", "t1"), "the redemption is another customer's").await;
        // Nobody is named: the purchase is whose the redemption is.
        let mut unnamed = order("o2", "ana", "t1");
        unnamed.as_object_mut().unwrap().remove("customer");
        let (status, bought) = shop.till("orders", &unnamed).await;
        assert_eq!((status, bought["paid"].clone(), bought["customer_id"].is_string()), (201, money(1_000), true), "{bought}");
        refused(&order("o3", "ana", "t1"), "another order names this redemption").await;

        let voided = redeem("t2").await;
        let (status, bought) = shop.till("orders", &order("o4", "ana", "t2")).await;
        assert_eq!(status, 201, "{bought}");
        assert_eq!(shop.till(&format!("redemptions/{voided}/void"), &json!({})).await.0, 200);
        assert_eq!(shop.till("orders", &order("o4", "ana", "t2")).await, (200, bought), "the first answer, whatever happened since");
        refused(&order("o5", "ana", "t2"), "the redemption was voided").await;
        shop.prove().await;
    }

    async fn a_voided_redemption_gives_everything_back_to_where_it_was(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 50).await;
        shop.app.clock.advance(TimeDelta::days(60));
        shop.give("ana", 70).await;
        let offer = shop.offer("R$ 5", json!({ "effect": { "amount": money(500) }, "coupon": {}, "stock": 1, "limits": { "per_customer": 1 } })).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let before = shop.wallets("ana").await;
        let basket = json!({ "lines": [line("a", "b", "1", 2_000)], "total": money(2_000) });
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "basket": basket,
            "redeem": [{ "coupon_id": coupon["id"] }, { "wallet": "points", "units": "100" }] });
        let (status, redeemed) = shop.till("redemptions", &redeem).await;
        assert_eq!((status, redeemed["discount"].clone()), (201, money(1_000)), "{redeemed}");
        assert_eq!(shop.balance("ana", "points").await, "20");
        let path = format!("redemptions/{}/void", redeemed["id"].as_str().unwrap());
        for _ in 0..2 {
            let (status, voided) = shop.till(&path, &json!({})).await;
            assert_eq!((status, voided["state"].as_str()), (200, Some("voided")), "{voided}");
        }
        assert_eq!(shop.wallets("ana").await["wallets"], before["wallets"], "with the ends that they had");
        let mut again = redeem.clone();
        again["transaction_id"] = json!("t2");
        assert_eq!(shop.till("redemptions", &again).await.0, 201, "coupon, stock and the customer's limit are back too");
        shop.prove().await;
    }

    async fn refusals_say_why(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.app.issue("bia").await;
        let basket = json!({ "lines": [line("a", "b", "1", 2_000)], "total": money(2_000) });
        let percent = |more: Value| {
            let mut rules = json!({ "effect": { "percent": { "percent": "10" } } });
            rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rules
        };
        let mut number = 0;
        let mut refused = async |customer: Option<&str>, item: Value| {
            number += 1;
            let mut body = json!({ "transaction_id": format!("t{number}"), "basket": basket, "redeem": [item] });
            if let Some(customer) = customer {
                body["customer"] = json!({ "external_id": customer });
            }
            let (status, answer) = shop.till("redemptions", &body).await;
            assert_eq!(status, 409, "{answer}");
            code(&answer).to_owned()
        };
        let later = shop.app.app().clock.now() + TimeDelta::days(1);
        let store = json!({ "name": "Aurora Centro", "external_id": "loja-2" });
        let (_, store) = shop.app.post("/api/v1/stores", &shop.app.one.key, &store).await;
        let elsewhere = store["id"].clone();
        for (rules, expected) in [
            (percent(json!({ "from": later })), "starts_in_future"),
            (percent(json!({ "until": "2020-01-01T00:00:00Z" })), "expired"),
            (percent(json!({ "stores": [elsewhere] })), "store_not_allowed"),
            (percent(json!({ "audience": { "tiers": ["ouro"] } })), "recipient_mismatch"),
            (percent(json!({ "minimum_basket": money(5_000) })), "rejected_by_condition"),
            (percent(json!({ "only": { "categories": ["bolos"] } })), "effect_not_applicable"),
            (percent(json!({ "coupon": {} })), "reservation_required"),
            (percent(json!({ "price": { "wallet": "points", "units": "1" } })), "not_enough_units"),
        ] {
            let offer = shop.offer("x", rules).await;
            assert_eq!(refused(Some("ana"), json!({ "offer_id": offer })).await, expected);
        }
        let offer = shop.offer("x", percent(json!({ "coupon": {} }))).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        assert_eq!(refused(Some("bia"), json!({ "coupon_id": coupon["id"] })).await, "recipient_mismatch");
        let typed = coupon["code"].as_str().unwrap().to_owned();
        let slip = if typed.ends_with('0') { format!("{}1", &typed[..13]) } else { format!("{}0", &typed[..13]) };
        for wrong in ["00000000000000", &slip, "nonsense"] {
            assert_eq!(refused(Some("ana"), json!({ "coupon_code": wrong })).await, "coupon_not_found");
        }
        let (_, voided) = shop.app.post(&format!("/api/v1/coupons/{}/void", coupon["id"].as_str().unwrap()), &shop.app.one.key, &json!({})).await;
        assert_eq!(voided["state"], "voided");
        assert_eq!(refused(Some("ana"), json!({ "coupon_id": coupon["id"] })).await, "voided");
        let (status, _) = shop.app.patch(&format!("/api/v1/offers/{offer}"), &shop.app.one.key, &json!({ "state": "ended" })).await;
        assert_eq!(status, 200);
        let bearer = shop.offer("x", percent(json!({ "coupon": {}, "limits": { "per_customer": 1 } }))).await;
        let bearer = shop.coupon(&bearer, None).await;
        assert_eq!(refused(None, json!({ "coupon_id": bearer["id"] })).await, "profile_required");
        assert_eq!(refused(None, json!({ "wallet": "points", "units": "1" })).await, "profile_required");
    }

    async fn a_quote_finds_the_best_and_says_why_not_the_rest(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let exclusive = json!({ "mode": "exclusive" });
        shop.offer("30 %", json!({ "effect": { "percent": { "percent": "30" } }, "stacking": exclusive })).await;
        shop.offer("10 %", json!({ "effect": { "percent": { "percent": "10" } } })).await;
        let fixed = shop.offer("R$ 5", json!({ "effect": { "amount": money(500) }, "coupon": {} })).await;
        shop.coupon(&fixed, Some("ana")).await;
        shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "stacking": { "mode": "joint" } })).await;
        let basket = |minor: i64| json!({ "customer": { "external_id": "ana" }, "basket": { "lines": [line("a", "b", "1", minor)], "total": money(minor) } });
        let (_, dear) = shop.till("quotes", &basket(10_000)).await;
        assert_eq!((dear["discount"].clone(), dear["is_exact"].as_bool()), (money(3_000), Some(true)), "{dear}");
        let (_, cheap) = shop.till("quotes", &basket(1_000)).await;
        assert_eq!(cheap["discount"], money(600), "10 % and then 5 reais are more than 30 %: {cheap}");
        assert!(cheap["items"].to_string().contains("Caneca"), "{cheap}");
        assert_eq!(cheap["skipped"][0]["code"], "not_stackable");
        assert_eq!(cheap["to_pay"], money(400));
    }

    async fn the_clock_activates_expires_and_frees_whoever_was_away(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.buy("t1", "ana", &[line("pao", "padaria", "1", 10_000)]).await;
        let quote = json!({ "customer": { "external_id": "ana" }, "basket": { "lines": [line("a", "b", "1", 500)], "total": money(500) },
            "redeem": [{ "wallet": "points", "units": "100" }], "lock_secs": 60 });
        assert_eq!(shop.till("quotes", &quote).await.0, 201);
        assert_eq!(shop.balance("ana", "points").await, "0");
        // Nobody ticks for three weeks: what is looked at is true all the same, and then it is written down, each at its own time.
        shop.app.clock.advance(TimeDelta::days(21));
        assert_eq!(shop.balance("ana", "points").await, "100");
        assert_eq!(shop.balance("ana", "cashback").await, "5");
        shop.keep_books().await;
        shop.prove().await;
        shop.app.clock.advance(TimeDelta::days(400));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "points").await, "0");
        assert_eq!(shop.balance("ana", "cashback").await, "5", "it never ends");
        assert_eq!(shop.wallets("ana").await["tier"]["key"], "bronze", "what was earned is out of the window");
        let wallets = shop.wallets("ana").await;
        let points = wallets["wallets"].as_array().unwrap().iter().find(|wallet| wallet["key"] == "points").unwrap();
        let (_, entries) = shop.app.get(&format!("/api/v1/wallets/{}/entries", points["id"].as_str().unwrap()), &shop.app.one.key).await;
        let entries = entries["data"].as_array().unwrap();
        let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["earned", "held", "released", "expired"]);
        assert!(entries[2]["occurred_at"].as_str() < entries[2]["created_at"].as_str(), "{entries:?}");
        shop.prove().await;
    }

    async fn what_is_owed_is_told_by_kind_of_wallet(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        app.issue("bia").await;
        let report = async |key: &str| app.get(&format!("/api/v1/reports/liability?program_id={}", app.one.program_id), key).await;
        let (status, empty) = report(&app.one.key).await;
        assert_eq!((status, empty["wallets"][0]["outstanding"].as_str(), &empty["wallets"][0]["breakage"]), (200, Some("0"), &Value::Null), "{empty}");
        shop.give("ana", 300).await;
        shop.give("bia", 100).await;
        let spend = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "100" }] });
        assert_eq!(shop.till("redemptions", &spend).await.0, 201);
        app.clock.advance(TimeDelta::days(500));
        shop.keep_books().await;
        shop.give("ana", 250).await;
        let (_, told) = report(&app.one.key).await;
        let points = &told["wallets"][0];
        assert_eq!((points["wallet"].as_str(), points["wallets"].as_i64()), (Some("points"), Some(2)), "{told}");
        assert_eq!(["outstanding", "spent", "expired", "pending", "debt"].map(|name| points[name].as_str().unwrap()), ["250", "100", "300", "0", "0"]);
        assert_eq!(points["breakage"], 0.75);
        // A hundred points pay five reais; three quarters are never used.
        assert_eq!((&points["worth"], &points["expected"]), (&money(1_250), &money(313)));
        assert_eq!(report(&app.two.key).await.0, 404);
    }

    async fn a_campaigns_wallet_closes_and_its_rest_becomes_points(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let closes = shop.app.app().clock.now() + TimeDelta::days(10);
        let kind = json!({ "program_id": shop.app.one.program_id, "key": "natal", "name": "Natal", "rules": {
            "unit": { "singular": "estrela", "plural": "estrelas" }, "closes_at": closes,
            "at_close": { "convert": { "into": "points", "units": "10", "gives": "3" } } } });
        for (path, wrong, why) in [
            ("into", json!("estrelas"), "the program has no other kind of wallet with this key"),
            ("into", json!("natal"), "the program has no other kind of wallet with this key"),
            ("gives", json!("1.5"), "that wallet counts with 0 decimals"),
        ] {
            let mut kind = kind.clone();
            kind["rules"]["at_close"]["convert"][path] = wrong;
            let (status, refused) = shop.app.post("/api/v1/wallet-types", &shop.app.one.key, &kind).await;
            assert_eq!((status, refused["pointer"].as_str(), refused["detail"].as_str()),
                (422, Some(format!("/rules/at_close/convert/{path}").as_str()), Some(why)));
        }
        assert_eq!(shop.app.post("/api/v1/wallet-types", &shop.app.one.key, &kind).await.0, 201);
        // What it becomes stays.
        let (_, kinds) = shop.app.get(&format!("/api/v1/wallet-types?program_id={}", shop.app.one.program_id), &shop.app.one.key).await;
        let points = kinds["data"].as_array().unwrap().iter().find(|kind| kind["key"] == "points").unwrap();
        let mut closing = points["rules"].clone();
        closing["closes_at"] = json!(closes);
        let path = format!("/api/v1/wallet-types/{}", points["id"].as_str().unwrap());
        let edited = shop.app.http.patch(format!("{}{path}", shop.app.url)).bearer_auth(&shop.app.one.key).json(&json!({ "rules": closing })).send().await.unwrap();
        let (status, refused) = crate::app::answer(edited).await;
        assert_eq!((status, refused["pointer"].as_str()), (422, Some("/rules/closes_at")), "{refused}");
        let rule = json!({ "program_id": shop.app.one.program_id, "wallet": "natal", "name": "Natal", "rules": { "gives": { "per_order": { "units": "25" } } } });
        assert_eq!(shop.app.post("/api/v1/rules", &shop.app.one.key, &rule).await.0, 201);
        shop.buy("t1", "ana", &[line("a", "b", "1", 10_000)]).await;
        assert_eq!(shop.balance("ana", "natal").await, "25");
        shop.app.clock.advance(TimeDelta::days(11));
        let redeem = json!({ "transaction_id": "x", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "natal", "units": "1" }] });
        assert_eq!(code(&shop.till("redemptions", &redeem).await.1), "wallet_closed");
        shop.keep_books().await;
        shop.keep_books().await;
        assert_eq!((shop.balance("ana", "natal").await.as_str(), shop.balance("ana", "points").await.as_str()), ("0", "106"));
        let order = shop.buy("t2", "ana", &[line("a", "b", "1", 100)]).await;
        assert!(!order["earned"].to_string().contains("Natal"), "{order}");
        shop.prove().await;
    }

    async fn a_kind_that_is_closed_later_closes_wallets_that_nobody_touches(engine) {
        let shop = Shop::open(engine).await;
        let app = &shop.app;
        app.issue("ana").await;
        let (unit, key) = (json!({ "singular": "selo", "plural": "selos" }), app.one.key.clone());
        let kind = json!({ "program_id": app.one.program_id, "key": "selos", "name": "Selos", "rules": { "unit": unit } });
        let (_, kind) = app.post("/api/v1/wallet-types", &key, &kind).await;
        let rule = json!({ "program_id": app.one.program_id, "wallet": "selos", "name": "Selo", "rules": { "gives": { "per_order": { "units": "3" } } } });
        assert_eq!(app.post("/api/v1/rules", &key, &rule).await.0, 201);
        shop.buy("t1", "ana", &[line("a", "b", "1", 100)]).await;
        shop.keep_books().await;
        let path = format!("/api/v1/wallet-types/{}", kind["id"].as_str().unwrap());
        let closes = app.app().clock.now() + TimeDelta::days(3);
        let (status, edited) = app.patch(&path, &key, &json!({ "rules": { "unit": unit, "closes_at": closes, "at_close": { "expire": {} } } })).await;
        assert_eq!(status, 200, "{edited}");
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "selos").await, "3");
        app.clock.advance(TimeDelta::days(4));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "selos").await, "0");
        shop.prove().await;
    }

    async fn what_happened_to_a_customer_earns_and_activates_once(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let (program, key) = (shop.app.one.program_id.clone(), shop.app.one.key.clone());
        let kind = json!({ "program_id": program, "key": "online", "name": "Online", "rules": { "unit": { "singular": "u", "plural": "u" },
            "activation": { "event": { "name": "delivered", "cancel_after": "30D" } }, "expiry": { "after": "1M" } } });
        assert_eq!(shop.app.post("/api/v1/wallet-types", &key, &kind).await.0, 201);
        for rule in [json!({ "program_id": program, "wallet": "online", "name": "o", "rules": { "gives": { "per_order": { "units": "5" } } } }),
            json!({ "program_id": program, "wallet": "points", "name": "review", "rules": { "gives": { "on_event": { "name": "review", "units": "30" } } } })] {
            assert_eq!(shop.app.post("/api/v1/rules", &key, &rule).await.0, 201);
        }
        shop.buy("t1", "ana", &[line("a", "b", "1", 50)]).await;
        assert_eq!(shop.balance("ana", "online").await, "0");
        let tell = async |once: &str, name: &str| {
            let request = shop.app.http.post(format!("{}/api/v1/events", shop.app.url)).bearer_auth(&key).header("Idempotency-Key", once);
            let sent = request.json(&json!({ "name": name, "customer": { "external_id": "ana" } })).send().await.unwrap();
            crate::app::answer(sent).await
        };
        for _ in 0..2 {
            let (status, told) = tell("e1", "delivered").await;
            assert_eq!((status, told["activated"][0]["units"].as_str()), (201, Some("5")), "{told}");
            let (status, told) = tell("e2", "review").await;
            assert_eq!((status, told["earned"][0]["units"].as_str()), (201, Some("30")), "{told}");
        }
        assert_eq!((shop.balance("ana", "online").await.as_str(), shop.balance("ana", "points").await.as_str()), ("5", "30"));
        // What nobody delivered dies after its time.
        shop.buy("t2", "ana", &[line("a", "b", "1", 50)]).await;
        shop.app.clock.advance(TimeDelta::days(31));
        shop.keep_books().await;
        assert_eq!(tell("e3", "delivered").await.1["activated"], json!([]));
        shop.prove().await;
    }

    async fn a_movement_by_hand_has_a_reason_and_happens_once(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 100).await;
        let wallet = shop.wallets("ana").await["wallets"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("{}/api/v1/wallets/{wallet}/adjustments", shop.app.url);
        let adjust = async |key: Option<&str>, units: &str| {
            let mut request = shop.app.http.post(&path).bearer_auth(&shop.app.one.key).json(&json!({ "units": units, "reason": "wrong price" }));
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            crate::app::answer(request.send().await.unwrap()).await
        };
        assert_eq!(adjust(None, "20").await.0, 400);
        let (status, first) = adjust(Some("k1"), "20").await;
        assert_eq!((status, first["balance"].as_str()), (201, Some("120")));
        assert_eq!(adjust(Some("k1"), "20").await, (201, first));
        assert_eq!(code(&adjust(Some("k2"), "-121").await.1), "not_enough_units");
        assert_eq!(adjust(Some("k3"), "-120").await.1["balance"], "0");
        assert_eq!(adjust(Some("k4"), "1.5").await.0, 422);
        shop.prove().await;
    }

    async fn whoever_changes_the_books_is_found_out(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 100).await;
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "30" }] });
        assert_eq!(shop.till("redemptions", &redeem).await.0, 201);
        passarela::worker::bookkeeper::seal(shop.app.app(), &CancellationToken::new()).await.unwrap();
        shop.prove().await;
        let tampered = async |sql: &'static str| {
            match &shop.app.app().db {
                passarela::store::Db::Sqlite { writer, .. } => drop(sqlx::query(sql).execute(writer).await.unwrap()),
                passarela::store::Db::Postgres { writers, .. } => drop(sqlx::query(sql).execute(writers).await.unwrap()),
            }
            ledger::verify(&shop.app.app().db, None, |_| ()).await.unwrap().faults
        };
        let faults = tampered("UPDATE wallets SET active = active + 1 WHERE active = 70").await;
        assert!(faults[0].reason.contains("sum to"), "{faults:?}");
        let faults = tampered("UPDATE wallets SET active = active - 1 WHERE active = 71").await;
        assert_eq!(faults, []);
        let faults = tampered("UPDATE lots SET spent = spent - 1, active = active + 1").await;
        assert!(faults[0].reason.starts_with("lot 1"), "{faults:?}");
        tampered("UPDATE lots SET spent = spent + 1, active = active - 1").await;
        let faults = tampered("UPDATE entries SET units = -3 WHERE entry_no = 2").await;
        assert_eq!(faults[0].entry_no, Some(2), "{faults:?}");
        tampered("UPDATE entries SET units = -30 WHERE entry_no = 2").await;
        let faults = tampered("DELETE FROM entries WHERE entry_no = 1").await;
        assert_eq!((faults[0].entry_no, faults[0].reason.as_str()), (Some(1), "is missing"), "{faults:?}");
    }

    async fn another_brand_and_another_store_are_another_world(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 100).await;
        let offer = shop.offer("x", json!({ "effect": { "percent": { "percent": "10" } }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let two = shop.app.key(&shop.app.two, KeyRole::Pos).await;
        for code in [&coupon["code"], &coupon["barcode"]] {
            assert_eq!(shop.app.post("/api/v1/scans", &two, &json!({ "code": code })).await.0, 404);
            let redeem = json!({ "transaction_id": "t1", "redeem": [{ "coupon_code": code }] });
            let (status, refused) = shop.app.post("/api/v1/redemptions", &two, &redeem).await;
            assert_eq!((status, refused["code"].as_str()), (409, Some("coupon_not_found")));
        }
        let elsewhere = StoreId::new(passarela::clock::Clock::new_id(&*shop.app.clock));
        let order = json!({ "external_id": "t", "store_id": elsewhere, "lines": [line("a", "b", "1", 1)], "total": money(1) });
        assert_eq!(shop.till("orders", &order).await.0, 403);
        let other_till = shop.app.key(&shop.app.one, KeyRole::Pos).await;
        let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "10" }] });
        let (_, redeemed) = shop.till("redemptions", &redeem).await;
        let path = format!("/api/v1/redemptions/{}", redeemed["id"].as_str().unwrap());
        assert_eq!(shop.app.get(&path, &shop.till).await.0, 200);
        assert_eq!(shop.app.get(&path, &other_till).await.0, 404);
        assert_eq!(shop.app.post(&format!("{path}/void"), &other_till, &json!({})).await.0, 404);
        let (status, same_id) = shop.app.post("/api/v1/redemptions", &other_till, &redeem).await;
        assert_eq!(status, 201, "ids are a store's own: {same_id}");
        assert_eq!(shop.balance("ana", "points").await, "80");
    }

    async fn one_coupon_and_fifty_tills_have_one_winner(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let offer = shop.offer("x", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, None).await;
        let all = (0..50).map(|till| {
            let body = json!({ "transaction_id": format!("t{till}"), "redeem": [{ "coupon_id": coupon["id"] }] });
            let shop = &shop;
            async move { patient(shop, &body).await }
        });
        let answers = futures_util::future::join_all(all).await;
        let winners: Vec<&Value> = answers.iter().filter(|(status, _)| *status == 201).map(|(_, answer)| answer).collect();
        assert_eq!(winners.len(), 1);
        let losers = answers.iter().filter(|(status, _)| *status == 409).map(|(_, answer)| answer);
        assert_eq!(losers.clone().count(), 49);
        for loser in losers {
            assert_eq!((code(loser), &loser["redemption_id"]), ("already_redeemed", &winners[0]["id"]), "{loser}");
        }
    }

    async fn a_limit_of_a_hundred_is_a_hundred(engine) {
        let shop = Shop::open(engine).await;
        let offer = shop.offer("x", json!({ "effect": { "gift": { "name": "Caneca" } }, "limits": { "total": 100 } })).await;
        let codes = futures_util::StreamExt::collect::<Vec<_>>(futures_util::StreamExt::buffer_unordered(
            futures_util::stream::iter((0..1_000).map(|number| {
                let body = json!({ "transaction_id": format!("t{number}"), "redeem": [{ "offer_id": offer }] });
                let shop = &shop;
                async move { patient(shop, &body).await }
            })),
            40,
        ))
        .await;
        assert_eq!(codes.iter().filter(|(status, _)| *status == 201).count(), 100);
        assert_eq!(codes.iter().filter(|(status, answer)| *status == 409 && code(answer) == "campaign_limit_reached").count(), 900);
        let (_, offer) = shop.app.get(&format!("/api/v1/offers/{offer}"), &shop.app.one.key).await;
        assert_eq!(offer["uses_left"], 0);
    }

    async fn a_thousand_points_are_a_hundred_times_ten(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 1_000).await;
        let all = (0..200).map(|number| {
            let body = json!({ "transaction_id": format!("t{number}"), "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "10" }] });
            let shop = &shop;
            async move { patient(shop, &body).await }
        });
        let answers = futures_util::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 100);
        assert!(answers.iter().all(|(status, answer)| *status == 201 || code(answer) == "not_enough_units"));
        assert_eq!(shop.balance("ana", "points").await, "0");
        shop.prove().await;
    }

    async fn one_transaction_fifty_times_at_once_has_one_effect_and_equal_answers(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 1_000).await;
        let body = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "10" }] });
        let answers = futures_util::future::join_all((0..50).map(|_| patient(&shop, &body))).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
        assert!(answers.iter().all(|(_, answer)| *answer == answers[0].1), "{answers:?}");
        assert_eq!(shop.balance("ana", "points").await, "990");
        let other = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "11" }] });
        assert_eq!(shop.till("redemptions", &other).await.0, 422);
    }
}

/// As a till on a bad network: 503 and what is in flight are tried again.
async fn patient(shop: &Shop, body: &Value) -> (u16, Value) {
    for _ in 0..200 {
        let (status, answer) = shop.till("redemptions", body).await;
        if status != 503 {
            return (status, answer);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never answered");
}
