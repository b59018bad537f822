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
        shop.app.issue("ana").await;
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
        shop.app.issue("ana").await;
        shop.give("ana", 5_000).await;
        let reward = shop.offer("Um café", coffee(&json!({ "stock": 10 }))).await;
        let tries = (0..40).map(|number| {
            let (shop, reward) = (&shop, &reward);
            // Each id twice.
            async move { shop.till("redemptions", &buy(&format!("t{}", number / 2), reward)).await }
        });
        let answers = futures_util::future::join_all(tries).await;
        let codes: std::collections::BTreeSet<&str> =
            answers.iter().filter_map(|(_, answer)| answer["coupons"][0]["code"].as_str()).collect();
        assert_eq!(codes.len(), 10);
        for pair in answers.chunks(2) {
            assert_eq!(pair[0].1, pair[1].1, "one effect, equal answers");
            assert!(pair[0].1["coupons"][0]["code"].is_string() || pair[0].1["code"] == "stock_exhausted", "{pair:?}");
        }
        assert_eq!((stock(&shop, &reward).await, shop.balance("ana", "points").await), (json!(0), "3000".to_owned()));
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
        let (status, problem) = shop.app.post("/api/v1/redemptions", &other, &buy("t6", &reward)).await;
        assert_eq!(status, 404, "another brand knows neither: {problem}");
        assert_eq!(shop.balance("ana", "points").await, "100");
    }

    async fn a_coupon_whose_design_cannot_show_it_is_issued_all_the_same(engine) {
        let shop = Shop::open(engine).await;
        shop.app.issue("ana").await;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pass-templates/cafe-da-tarde");
        let files = passarela::wallet::design::Design::read_folder(&folder).unwrap();
        passarela::service::templates::install(shop.app.app(), shop.app.one.brand.id, crate::app::PASS_TYPE, files, None).await.unwrap();
        // The design wants a percentage and an end.
        let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": { "template": "cafe-da-tarde" } })).await;
        let coupon = shop.coupon(&offer, Some("ana")).await;
        assert_eq!((&coupon["state"], &coupon["pass_id"]), (&json!("issued"), &Value::Null));
        assert!(coupon["pass_problem"].as_str().is_some_and(|why| why.contains("discount")), "{coupon}");
        let missing = json!({ "program_id": shop.app.one.program_id, "name": "x",
            "rules": { "effect": { "gift": { "name": "x" } }, "coupon": { "template": "no-such" } } });
        let (status, problem) = shop.app.post("/api/v1/offers", &shop.app.one.key, &missing).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!("/rules/coupon/template")), "{problem}");
    }
}
