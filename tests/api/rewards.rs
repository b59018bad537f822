//! Rewards that are bought now and used another time.

use serde_json::{Value, json};

use crate::on_both_engines;
use crate::till::{Shop, line, money};

fn who() -> Value {
    json!({ "external_id": "ana" })
}

fn buy(id: &str, reward: &str) -> Value {
    json!({ "transaction_id": id, "customer": who(), "redeem": [{ "reward_id": reward, "as_coupon": true }] })
}

/// A redemption of a coupon against one coffee.
fn use_it(id: &str, code: &Value) -> Value {
    json!({ "transaction_id": id, "redeem": [{ "coupon_code": code }],
        "basket": { "lines": [line("cafe", "bebidas", "1", 700)], "total": money(700) } })
}

fn coffee(more: &Value) -> Value {
    let mut rules =
        json!({ "effect": { "free_item": { "sku": "cafe" } }, "price": { "wallet": "points", "units": "200" } });
    rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rules
}

async fn stock(shop: &Shop, reward: &str) -> Value {
    shop.app.get(&format!("/api/v1/offers/{reward}"), &shop.app.one.key).await.1["stock_left"].clone()
}

async fn pass_of(shop: &Shop, coupon: &Value) -> Value {
    let path = format!("/api/v1/coupons/{}", coupon["id"].as_str().unwrap());
    let (_, coupon) = shop.app.get(&path, &shop.app.one.key).await;
    shop.app.get(&format!("/api/v1/passes/{}", coupon["pass_id"].as_str().unwrap()), &shop.app.one.key).await.1
}

on_both_engines! {
    async fn a_reward_is_bought_once_and_used_another_time(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 500).await;
        let rules = coffee(&json!({ "stock": 5, "limits": { "per_customer": 2 }, "coupon": { "template": "clube-aurora", "valid_for": "30D" } }));
        let reward = shop.offer("Um café", rules).await;
        let (status, bought) = shop.till("redemptions", &buy("t1", &reward)).await;
        assert_eq!(status, 201, "{bought}");
        let item = &bought["items"][0];
        assert_eq!((&item["kind"], &item["as_coupon"], &item["units"]), (&json!("reward"), &json!(true), &json!("200")), "{bought}");
        let coupon = &bought["coupons"][0];
        assert_eq!((&coupon["id"], coupon["code"].as_str().map(str::len)), (&item["coupon_id"], Some(14)), "{bought}");
        assert!(coupon["expires_at"].is_string() && coupon["barcode"].is_string(), "{bought}");
        assert_eq!((stock(&shop, &reward).await, shop.balance("ana", "points").await), (json!(4), "300".to_owned()));
        assert_eq!(shop.till("redemptions", &buy("t1", &reward)).await, (200, bought.clone()));
        assert_eq!(pass_of(&shop, coupon).await["status"], "active");

        // Used: nothing is paid, nothing counted again, and no goods bring the units back.
        let (status, used) = shop.till("redemptions", &use_it("t2", &coupon["code"])).await;
        assert_eq!((status, &used["discount"]), (201, &money(700)), "{used}");
        assert_eq!((stock(&shop, &reward).await, shop.balance("ana", "points").await), (json!(4), "300".to_owned()));
        assert_eq!(pass_of(&shop, coupon).await["status"], "voided");
        let void = async |redemption: &Value| shop.till(&format!("redemptions/{}/void", redemption["id"].as_str().unwrap()), &json!({})).await;
        let (status, refused) = void(&bought).await;
        assert_eq!((status, &refused["code"], &refused["redemption_id"]), (409, &json!("already_redeemed"), &used["id"]), "{refused}");
        assert_eq!(shop.balance("ana", "points").await, "300");

        // Given back it may be used again; and what was bought may be taken back, once.
        assert_eq!(void(&used).await.0, 200);
        assert_eq!((stock(&shop, &reward).await, &pass_of(&shop, coupon).await["status"]), (json!(4), &json!("active")));
        assert_eq!((void(&bought).await.0, void(&bought).await.0), (200, 200));
        assert_eq!((stock(&shop, &reward).await, shop.balance("ana", "points").await), (json!(5), "500".to_owned()));
        assert_eq!(pass_of(&shop, coupon).await["status"], "voided");
        assert_eq!(shop.till("redemptions", &use_it("t3", &coupon["code"])).await.1["code"], "voided");
        shop.prove().await;
    }

    async fn what_is_paid_for_is_owed_whatever_becomes_of_the_offer(engine) {
        let shop = Shop::open(engine).await;
        let pass = shop.app.issue("ana").await;
        shop.give("ana", 900).await;
        let reward = shop.offer("Um café", coffee(&json!({ "limits": { "per_customer": 2, "total": 2 } }))).await;
        let (_, first) = shop.till("redemptions", &buy("t1", &reward)).await;
        let (_, second) = shop.till("redemptions", &buy("t2", &reward)).await;
        let (status, third) = shop.till("redemptions", &buy("t3", &reward)).await;
        assert_eq!((status, &third["code"]), (409, &json!("profile_limit_reached")), "{third}");
        let end = json!({ "state": "ended" });
        assert_eq!(shop.app.patch(&format!("/api/v1/offers/{reward}"), &shop.app.one.key, &end).await.0, 200);
        assert_eq!(shop.till("redemptions", &buy("t4", &reward)).await.1["code"], "campaign_not_running");
        assert_eq!(shop.till("redemptions", &use_it("t5", &first["coupons"][0]["code"])).await.0, 201);
        // The best of what somebody has takes it, too.
        let basket = json!({ "lines": [line("cafe", "bebidas", "1", 700)], "total": money(700) });
        let (_, quoted) = shop.till("quotes", &json!({ "customer": who(), "basket": basket })).await;
        assert_eq!((&quoted["discount"], &quoted["items"][0]["coupon_id"]), (&money(700), &second["coupons"][0]["id"]), "{quoted}");
        assert_eq!(shop.balance("ana", "points").await, "500");
        // Their card and the till know it by its name.
        let (_, scanned) = shop.till("scans", &json!({ "code": second["coupons"][0]["code"] })).await;
        assert_eq!((&scanned["coupons"][0]["name"], &scanned["coupon"]["is_usable"]), (&json!("Um café"), &json!(true)), "{scanned}");
        let (_, view) = shop.app.get(&format!("/api/v1/passes/{}", pass.id), &shop.app.one.key).await;
        let own = json!({ "data": { "points": null } });
        assert_eq!(shop.app.patch(&format!("/api/v1/passes/{}", pass.id), &shop.app.one.key, &own).await.0, 200);
        shop.app.clock.advance(chrono::TimeDelta::seconds(2));
        shop.app.work().await;
        let bundle = shop.app.http.get(view["pkpass_url"].as_str().unwrap()).send().await.unwrap();
        let card = crate::bundle::pass_json(&bundle.bytes().await.unwrap()).to_string();
        assert!(card.contains("Um café") && card.contains(second["coupons"][0]["code"].as_str().unwrap()), "{card}");
    }

    async fn goods_that_come_back_bring_back_what_they_cost_and_not_what_was_bought_beside_them(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 600).await;
        let reward = shop.offer("Um café", coffee(&json!({}))).await;
        let basket = json!({ "lines": [line("bolo", "padaria", "1", 1_000)], "total": money(1_000) });
        let redeem = json!([{ "wallet": "points", "units": "100" }, { "reward_id": reward, "as_coupon": true }]);
        let quote = json!({ "customer": who(), "basket": basket, "redeem": redeem, "lock_secs": 60 });
        let (status, quoted) = shop.till("quotes", &quote).await;
        assert_eq!((status, &quoted["discount"], &quoted["items"][0]["as_coupon"]), (201, &money(500), &json!(true)), "{quoted}");
        assert_eq!(shop.balance("ana", "points").await, "300", "both are held");
        let redemption = json!({ "transaction_id": "t1", "quote_id": quoted["id"], "customer": who(), "basket": basket, "redeem": redeem });
        let (status, redeemed) = shop.till("redemptions", &redemption).await;
        assert_eq!((status, redeemed["wallets"].as_array().map(Vec::len)), (201, Some(1)), "{redeemed}");
        assert_eq!(redeemed["wallets"][0]["balance"], "300");
        let order = json!({ "external_id": "t1", "transaction_id": "t1", "customer": who(), "lines": [line("bolo", "padaria", "1", 1_000)], "total": money(1_000) });
        assert_eq!(shop.till("orders", &order).await.0, 201);
        let (status, back) = shop.till("returns", &json!({ "external_id": "r1", "order": "t1" })).await;
        assert_eq!((status, &back["wallets"][2]["given_back"]), (201, &json!("100")), "{back}");
        assert_eq!(shop.till("redemptions", &use_it("t2", &redeemed["coupons"][0]["code"])).await.0, 201);
        shop.prove().await;
    }

    async fn many_tills_buy_no_more_than_there_is(engine) {
        let shop = Shop::open(engine).await;
        for name in ["ana", "bia", "caio", "dora"] {
            shop.app.issue(name).await;
            shop.give(name, 2_000).await;
        }
        let reward = shop.offer("Um café", coffee(&json!({ "stock": 10 }))).await;
        let tries = (0..40).map(|number| {
            let (shop, reward) = (&shop, &reward);
            // Each id twice.
            let mut body = buy(&format!("t{}", number / 2), reward);
            body["customer"]["external_id"] = ["ana", "bia", "caio", "dora"][number / 2 % 4].into();
            async move { shop.till("redemptions", &body).await }
        });
        let answers = futures_util::future::join_all(tries).await;
        let codes: std::collections::BTreeSet<&str> =
            answers.iter().filter_map(|(_, answer)| answer["coupons"][0]["code"].as_str()).collect();
        assert_eq!(codes.len(), 10);
        for pair in answers.chunks(2) {
            assert_eq!(pair[0].1, pair[1].1, "one effect, equal answers");
            assert!(pair[0].1["coupons"][0]["code"].is_string() || pair[0].1["code"] == "stock_exhausted", "{pair:?}");
        }
        let mut left = 0;
        for name in ["ana", "bia", "caio", "dora"] {
            left += shop.balance(name, "points").await.parse::<i64>().unwrap();
        }
        assert_eq!((stock(&shop, &reward).await, left), (json!(0), 6_000));
        shop.prove().await;
    }

    async fn only_rewards_are_bought(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 100).await;
        let reward = shop.offer("Um café", coffee(&json!({}))).await;
        let (status, refused) = shop.till("redemptions", &buy("t1", &reward)).await;
        assert_eq!((status, &refused["code"], &refused["available"]), (409, &json!("not_enough_units"), &json!("100")), "{refused}");
        let gift = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } } })).await;
        let capped = shop.offer("Café", coffee(&json!({ "budget": money(10_000) }))).await;
        for body in [
            buy("t2", &gift),
            buy("t3", &capped),
            json!({ "transaction_id": "t4", "customer": who(), "redeem": [{ "offer_id": reward, "as_coupon": true }] }),
        ] {
            let (status, problem) = shop.till("redemptions", &body).await;
            assert_eq!(status, 422, "{problem}");
        }
        let nobody = json!({ "transaction_id": "t5", "redeem": [{ "reward_id": reward, "as_coupon": true }] });
        assert_eq!(shop.till("redemptions", &nobody).await.1["code"], "profile_required");
        let other = shop.app.two.key.clone();
        let customer = json!({ "name": "Ana", "identifiers": [{ "type": "external_id", "value": "ana" }] });
        let (status, answer) = shop.app.post("/api/v1/customers", &other, &customer).await;
        assert_eq!(status, 201, "{answer}");
        let (status, problem) = shop.app.post("/api/v1/redemptions", &other, &buy("t6", &reward)).await;
        assert_eq!((status, &problem["code"]), (409, &json!("campaign_not_running")), "another brand knows no such offer: {problem}");
        assert_eq!(shop.balance("ana", "points").await, "100");
    }

    async fn a_coupon_whose_design_cannot_show_it_is_issued_all_the_same(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pass-templates/cafe-da-tarde");
        let files = passarela::wallet::design::Design::read_folder(&folder).unwrap();
        passarela::service::templates::install(shop.app.app(), shop.app.one.brand.id, crate::app::PASS_TYPE, files.clone(), None).await.unwrap();
        let refused = async |rules: Value| {
            let body = json!({ "program_id": shop.app.one.program_id, "name": "Caneca", "rules": rules });
            let (status, problem) = shop.app.post("/api/v1/offers", &shop.app.one.key, &body).await;
            assert_eq!((status, &problem["pointer"]), (422, &json!("/rules/coupon/template")), "{problem}");
            problem["detail"].as_str().unwrap().to_owned()
        };
        // The design wants a percentage and an end.
        let why = refused(json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "template": "cafe-da-tarde", "valid_for": "30D" } })).await;
        assert!(why.contains("discount"), "{why}");
        let offer = shop.offer("Café", json!({ "effect": { "percent": { "percent": "20" } }, "coupon": { "template": "cafe-da-tarde", "valid_for": "30D" } })).await;
        // It was changed since.
        let text = String::from_utf8(files["template.toml"].clone()).unwrap().replace("coupon.discount", "coupon.share").replace("discount = 0.2", "share = 0.2");
        let changed = files.into_iter().map(|(name, content)| if name == "template.toml" { (name, text.clone().into_bytes()) } else { (name, content) });
        passarela::service::templates::install(shop.app.app(), shop.app.one.brand.id, crate::app::PASS_TYPE, changed.collect(), Some(passarela::service::rollouts::Plan::default())).await.unwrap();
        shop.app.work().await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        assert_eq!((&coupon["state"], &coupon["pass_id"]), (&json!("issued"), &Value::Null));
        assert!(coupon["pass_problem"].as_str().is_some_and(|why| why.contains("discount")), "{coupon}");
        refused(json!({ "effect": { "gift": { "name": "x" } }, "coupon": { "template": "no-such" } })).await;
    }

    async fn a_pass_that_was_not_made_is_made_by_the_sweep(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 500).await;
        let reward = shop.offer("Um café", coffee(&json!({ "coupon": { "template": "clube-aurora" } }))).await;
        // Two whose passes nobody made; one is used by now, and its pass was made by somebody who died then.
        let app = shop.app.app();
        let (_, bought) = shop.till("redemptions", &buy("t1", &reward)).await;
        let (_, used) = shop.till("redemptions", &buy("t2", &reward)).await;
        let passes = [pass_of(&shop, &bought["coupons"][0]).await, pass_of(&shop, &used["coupons"][0]).await];
        for coupon in [&bought["coupons"][0], &used["coupons"][0]] {
            let id: passarela::domain::ids::CouponId = coupon["id"].as_str().unwrap().parse().unwrap();
            let sql = "UPDATE coupons SET pass_id = NULL, unshown_since = created_at WHERE coupon_id = $1";
            match &app.db {
                passarela::store::Db::Sqlite { writer, .. } => drop(sqlx::query(sql).bind(id).execute(writer).await.unwrap()),
                passarela::store::Db::Postgres { writers, .. } => drop(sqlx::query(sql).bind(id).execute(writers).await.unwrap()),
            }
        }
        assert_eq!(shop.till("redemptions", &use_it("t3", &used["coupons"][0]["code"])).await.0, 201);
        shop.app.clock.advance(chrono::TimeDelta::minutes(2));
        shop.app.sweep().await;
        assert_eq!(pass_of(&shop, &bought["coupons"][0]).await["id"], passes[0]["id"], "it is found again, not made twice");
        let (_, orphan) = shop.app.get(&format!("/api/v1/passes/{}", passes[1]["id"].as_str().unwrap()), &shop.app.one.key).await;
        assert_eq!(orphan["status"], "voided", "{orphan}");
    }

    async fn what_a_quote_holds_for_later_is_honoured_beside_the_rest(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let made = async |path: &str, body: Value| assert_eq!(shop.app.post(path, &shop.app.one.key, &body).await.0, 201);
        made("/api/v1/wallet-types", json!({ "program_id": shop.app.one.program_id, "key": "stars", "name": "Estrelas",
            "rules": { "unit": { "singular": "estrela", "plural": "estrelas" }, "expiry": { "after": "60s" } } })).await;
        made("/api/v1/rules", json!({ "program_id": shop.app.one.program_id, "wallet": "stars", "name": "1 por real",
            "rules": { "gives": { "per_amount": { "every_minor": 100, "units": "1" } } } })).await;
        shop.give("ana", 100).await;
        let mut rules = coffee(&json!({}));
        rules["price"] = json!({ "wallet": "stars", "units": "10" });
        let reward = shop.offer("Um café", rules).await;
        let basket = json!({ "lines": [line("cafe", "bebidas", "1", 700)], "total": money(700) });
        let later = json!({ "reward_id": reward, "as_coupon": true });
        let redeem = json!([{ "reward_id": reward }, later, later]);
        let quote = json!({ "customer": who(), "basket": basket, "redeem": redeem, "lock_secs": 600 });
        let (status, quoted) = shop.till("quotes", &quote).await;
        assert_eq!((status, quoted["items"].as_array().map(Vec::len)), (201, Some(3)), "{quoted}");
        // The lot ends while it is held.
        shop.app.clock.advance(chrono::TimeDelta::seconds(90));
        let redemption = json!({ "transaction_id": "t1", "quote_id": quoted["id"], "customer": who(), "basket": basket, "redeem": redeem });
        let (status, redeemed) = shop.till("redemptions", &redemption).await;
        assert_eq!((status, redeemed["coupons"].as_array().map(Vec::len)), (201, Some(2)), "{redeemed}");
        assert_eq!(shop.balance("ana", "stars").await, "0");
        shop.prove().await;
    }

    async fn what_comes_back_after_its_lot_ended_has_the_grace(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 300).await;
        let reward = shop.offer("Um café", coffee(&json!({}))).await;
        let (_, bought) = shop.till("redemptions", &buy("t1", &reward)).await;
        // Points are good for a year, and thirty days if they come back.
        shop.app.clock.advance(chrono::TimeDelta::days(400));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "points").await, "0");
        let void = format!("redemptions/{}/void", bought["id"].as_str().unwrap());
        assert_eq!(shop.till(&void, &json!({})).await.0, 200);
        assert_eq!(shop.balance("ana", "points").await, "200");
        shop.app.clock.advance(chrono::TimeDelta::days(31));
        shop.keep_books().await;
        assert_eq!(shop.balance("ana", "points").await, "0");
        shop.prove().await;
    }

    async fn what_a_till_gave_away_offline_is_not_bought_back(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 300).await;
        let rules = json!({ "effect": { "gift": { "name": "Caneca" } }, "price": { "wallet": "points", "units": "200" }, "coupon": { "offline": true } });
        let reward = shop.offer("Caneca", rules).await;
        let (_, bought) = shop.till("redemptions", &buy("t1", &reward)).await;
        let now = shop.app.app().clock.now();
        shop.app.clock.advance(chrono::TimeDelta::minutes(5));
        shop.app.issue("bia").await;
        let line = json!({ "transaction_id": "o1", "done_at": now, "customer": { "external_id": "bia" }, "redeem": [{ "coupon_code": bought["coupons"][0]["barcode"] }] });
        let sold = json!({ "transaction_id": "o2", "done_at": now, "customer": who(), "redeem": [{ "reward_id": reward, "as_coupon": true }] });
        let job = crate::imports::upload_as(&shop.app, &shop.app.one.key, "redemptions/import", "application/x-ndjson", format!("{line}\n{sold}\n")).await.1;
        crate::imports::done(&shop.app, &job).await;
        let rows = crate::imports::results(&shop.app, &job, "").await;
        assert_eq!((&rows[0]["code"], &rows[1]["pointer"]), (&json!("recipient_mismatch"), &json!("/redeem/0/as_coupon")), "{rows:?}");
        let void = format!("redemptions/{}/void", bought["id"].as_str().unwrap());
        let (status, refused) = shop.till(&void, &json!({})).await;
        assert_eq!((status, &refused["code"]), (409, &json!("already_redeemed")), "{refused}");
        assert_eq!(shop.balance("ana", "points").await, "100");
    }

    async fn what_was_given_away_earns_nothing_and_the_rest_earns_whole(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 300).await;
        let reward = shop.offer("Um café", coffee(&json!({}))).await;
        let lines = [line("cafe", "bebidas", "1", 1_000), line("pao", "padaria", "1", 2_000)];
        let basket = json!({ "lines": lines, "total": money(3_000) });
        let redeem = json!({ "transaction_id": "t1", "customer": who(), "basket": basket, "redeem": [{ "reward_id": reward }] });
        assert_eq!(shop.till("redemptions", &redeem).await.0, 201);
        let order = json!({ "external_id": "t1", "transaction_id": "t1", "customer": who(), "lines": lines, "total": money(3_000) });
        let (status, order) = shop.till("orders", &order).await;
        assert_eq!((status, &order["paid"]), (201, &money(2_000)), "{order}");
        assert_eq!(order["earned"][0]["by_line"], json!(["0", "20"]), "a point for each real of the bread: {order}");
        assert_eq!((&order["earned"][1]["wallet"], &order["earned"][1]["units"]), (&json!("cashback"), &json!("1")), "5 % of all of it");
    }

    async fn one_coupon_is_one_and_a_limit_counts_within_a_request(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 900).await;
        let offer = shop.offer("R$ 1", json!({ "effect": { "amount": money(100) }, "coupon": {} })).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        let reward = shop.offer("Um café", coffee(&json!({ "limits": { "per_customer": 1 } }))).await;
        let later = json!({ "reward_id": reward, "as_coupon": true });
        let basket = json!({ "lines": [line("a", "b", "1", 900)], "total": money(900) });
        let redeem = json!([{ "coupon_code": coupon["code"] }, { "coupon_id": coupon["id"] }, later, later]);
        let (_, quoted) = shop.till("quotes", &json!({ "customer": who(), "basket": basket, "redeem": redeem })).await;
        let skipped: Vec<Value> = quoted["skipped"].as_array().unwrap().iter().map(|one| json!([one["index"], one["code"]])).collect();
        assert_eq!(skipped, [json!([1, "already_redeemed"]), json!([3, "profile_limit_reached"])], "{quoted}");
        // Where the till asked for nothing, what was skipped is named.
        let (_, quoted) = shop.till("quotes", &json!({ "customer": who(), "basket": { "lines": [], "total": money(0) } })).await;
        assert_eq!((&quoted["skipped"][0]["coupon_id"], &quoted["skipped"][0]["index"]), (&coupon["id"], &Value::Null), "{quoted}");
    }

    async fn a_limit_that_came_later_counts_what_came_later(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        shop.give("ana", 900).await;
        let reward = shop.offer("Um café", coffee(&json!({}))).await;
        let (_, first) = shop.till("redemptions", &buy("t1", &reward)).await;
        let limited = json!({ "rules": coffee(&json!({ "limits": { "per_customer": 1 } })) });
        assert_eq!(shop.app.patch(&format!("/api/v1/offers/{reward}"), &shop.app.one.key, &limited).await.0, 200);
        assert_eq!(shop.till("redemptions", &buy("t2", &reward)).await.0, 201);
        assert_eq!(shop.till(&format!("redemptions/{}/void", first["id"].as_str().unwrap()), &json!({})).await.0, 200);
        assert_eq!(shop.till("redemptions", &buy("t3", &reward)).await.1["code"], "profile_limit_reached");
    }
}
