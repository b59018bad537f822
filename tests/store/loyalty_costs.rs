//! What a till's statements cost SQLite in a brand with one member and with thousands.

use std::collections::BTreeMap;

use passarela::domain::ids::{CouponId, CustomerId, MemberId, RedemptionId, WalletId};
use passarela::store::{Db, coupons, entries, members, offers, orders, redemptions, wallets};
use serde_json::json;

use super::costs::instructions;
use crate::engine::Engine;
use crate::till::{Shop, line};

/// Whom the statements are about.
struct Subject {
    customer: CustomerId,
    member: MemberId,
    wallet: WalletId,
    coupon: CouponId,
    redemption: RedemptionId,
}

async fn costs(shop: &Shop, subject: &Subject) -> BTreeMap<&'static str, usize> {
    let (db, brand, now) = (&shop.app.app().db, shop.app.one.brand.id, shop.app.app().clock.now());
    let Subject { customer, member, wallet, coupon, redemption } = *subject;
    let mut costs = BTreeMap::new();
    macro_rules! cost {
        ($name:literal, |$c:ident| $work:expr, |$found:ident| $is_good:expr) => {
            let ($found, cost) = instructions(db, async |$c| $work.await).await;
            assert!($is_good, $name);
            costs.insert($name, cost);
        };
    }
    cost!("members::lock", |c| members::lock(c, brand, customer), |found| found.len() == 1);
    cost!("members::list_of", |c| members::list_of(c, brand, customer), |found| found.len() == 1);
    cost!("members::list", |c| members::list(c, brand, &[member]), |found| found.len() == 1);
    cost!("wallets::list_of", |c| wallets::list_of(c, brand, &[member]), |found| !found[0].1.is_empty());
    cost!("list_lots", |c| wallets::list_lots(c, brand, wallet, None), |found| !found.is_empty());
    cost!("list_holds", |c| wallets::list_holds(c, brand, &[wallet]), |found| found.is_empty());
    cost!("next_brand_due", |c| wallets::next_brand_due(c, None, now), |found| found.is_none());
    cost!("list_due", |c| wallets::list_due(c, brand, now, 100), |found| found.is_empty());
    let ((), cost) = instructions(db, async |c| wallets::put_off(c, brand, customer, now, now).await).await;
    costs.insert("put_off", cost);
    let source = redemption.uuid();
    cost!("list_by_source", |c| entries::list_by_source(c, brand, source), |found| found.len() == 1);
    cost!("list_reversing", |c| entries::list_reversing(c, brand, wallet, &[1]), |found| found.is_empty());
    cost!("list_unanchored", |c| entries::list_unanchored(c, brand, 100), |found| found.len() < 10);
    let (kept, cost) = instructions(db, async |c| coupons::find(c, brand, coupon).await).await;
    let kept = kept.unwrap();
    costs.insert("coupons::find", cost);
    cost!("coupons::find_by_code", |c| coupons::find_by_code(c, brand, &kept.code_id), |found| found.is_some());
    cost!("coupons::find_by_typed", |c| coupons::find_by_typed(c, brand, &kept.typed), |found| found.is_some());
    cost!("coupons::find_by_pass_code", |c| coupons::find_by_pass_code(c, brand, &[0; 12]), |found| found.is_none());
    cost!("coupons::list_usable", |c| coupons::list_usable(c, brand, customer, now, 20), |found| found.len() == 1);
    cost!("coupons::list_usable_of", |c| coupons::list_usable_of(c, brand, &[customer], now, 20), |found| found.len()
        == 1);
    cost!("coupons::list_by_ids", |c| coupons::list_by_ids(c, brand, &[coupon]), |found| found.len() == 1);
    cost!("coupons::list_denied", |c| coupons::list_denied(c, brand, now, 1), |found| found.len() == 1);
    cost!("coupons::list_unshown", |c| coupons::list_unshown(c, brand, now, 20), |found| found.is_empty());
    cost!("offers::list_names", |c| offers::list_names(c, brand, &[kept.offer_id]), |found| found.len() == 1);
    let place = shop.store.as_str();
    cost!("find_redemption_named", |c| redemptions::find_redemption_named(c, brand, place, "t1"), |found| found
        .is_some());
    cost!("find_redemption", |c| redemptions::find_redemption(c, brand, redemption), |found| found.is_some());
    cost!("find_refusal", |c| redemptions::find_refusal(c, brand, place, "t1", &[0; 32]), |found| found.is_none());
    cost!("forget_refusals", |c| redemptions::forget_refusals(c, brand, now, 100), |found| found == 0);
    cost!("find_order_named", |c| orders::find_order_named(c, brand, place, "o1"), |found| found.is_some());
    costs
}

/// Thousands of others who have what the first member has.
const MULTIPLY: &[&str] = &[
    "CREATE TABLE more AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
     SELECT randomblob(16) AS c, randomblob(16) AS m, randomblob(16) AS w FROM n",
    "INSERT INTO customers SELECT x.brand_id, more.c, NULL, NULL, NULL, '{}', 1, x.created_at, x.created_at
     FROM more, (SELECT * FROM members LIMIT 1) x",
    "INSERT INTO members (brand_id, member_id, program_id, customer_id, created_at)
     SELECT x.brand_id, more.m, x.program_id, more.c, x.created_at FROM more, (SELECT * FROM members LIMIT 1) x",
    "INSERT INTO wallets SELECT x.brand_id, more.w, more.m, x.wallet_type_id, x.active, x.pending, x.held, x.spent, x.expired,
         x.cancelled, x.debt, x.head_no, x.head_link, x.last_lot, x.earn_since, x.earn_count, x.spend_since, x.spend_count,
         x.due_at, x.head_no, x.created_at
     FROM more, (SELECT * FROM wallets WHERE spent > 0 LIMIT 1) x",
    "INSERT INTO lots SELECT x.brand_id, more.w, x.lot_no, x.pending, x.active, x.held, x.spent, x.expired, x.cancelled,
         x.starts_at, x.activation, x.expires_at
     FROM more, (SELECT * FROM lots WHERE spent > 0 LIMIT 1) x",
    "INSERT INTO entries SELECT x.brand_id, more.w, x.entry_no, x.kind, x.units, x.balance, x.movement, x.reverses_no, more.c,
         x.rule_id, x.reason, x.store_id, x.terminal, x.employee, x.occurred_at, x.created_at, x.link
     FROM more, (SELECT * FROM entries LIMIT 2) x",
    "INSERT INTO coupons (brand_id, coupon_id, offer_id, customer_id, code_id, typed, state, starts_at, expires_at, created_at)
     SELECT x.brand_id, more.m, x.offer_id, more.c, more.c, hex(more.c), x.state, x.starts_at, x.expires_at, x.created_at
     FROM more, (SELECT * FROM coupons WHERE NOT is_offline LIMIT 1) x",
    "INSERT INTO coupons (brand_id, coupon_id, offer_id, code_id, typed, state, starts_at, is_offline, ended_at, created_at)
     SELECT x.brand_id, more.w, x.offer_id, more.w, hex(more.w), x.state, x.starts_at, x.is_offline, x.ended_at, x.created_at
     FROM more, (SELECT * FROM coupons WHERE is_offline LIMIT 1) x",
    "INSERT INTO redemptions (brand_id, redemption_id, place, transaction_id, body_hash, customer_id, store_id, state,
         discount_minor, items, created_at)
     SELECT x.brand_id, more.m, x.place, hex(more.m), more.m, more.c, x.store_id, x.state, 0, x.items, x.created_at
     FROM more, (SELECT * FROM redemptions LIMIT 1) x",
    "INSERT INTO orders SELECT x.brand_id, more.m, x.place, hex(more.m), x.body_hash, more.c, x.channel, x.store_id, x.terminal,
         x.employee, x.business_date, x.placed_at, x.currency, x.total_minor, x.paid_minor, x.returned_minor, NULL, x.lines,
         x.earnings, x.created_at, x.has_effects
     FROM more, (SELECT * FROM orders LIMIT 1) x",
    "DROP TABLE more",
];

/// A customer costs what the customer has, not what the brand holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_till_asks_does_not_grow_with_the_brand() {
    let shop = Shop::open(Engine::Sqlite).await;
    shop.app.issue("ana").await;
    shop.buy("o1", "ana", &[line("a", "b", "1", 10_000)]).await;
    let offer = shop.offer("x", json!({ "effect": { "gift": { "name": "x" } }, "coupon": {} })).await;
    let coupon = shop.coupon(&offer, Some("ana")).await;
    let alone = shop.offer("y", json!({ "effect": { "gift": { "name": "y" } }, "coupon": { "offline": true } })).await;
    let denied = shop.coupon(&alone, None).await;
    let void = format!("/api/v1/coupons/{}/void", denied["id"].as_str().unwrap());
    assert_eq!(shop.app.post(&void, &shop.app.one.key, &json!({})).await.0, 200);
    let redeem = json!({ "transaction_id": "t1", "customer": { "external_id": "ana" }, "redeem": [{ "wallet": "points", "units": "5" }] });
    let (_, redeemed) = shop.till("redemptions", &redeem).await;
    let member = shop.wallets("ana").await;
    let id = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let subject = Subject {
        customer: id(&redeemed["customer_id"]).parse().unwrap(),
        member: id(&member["id"]).parse().unwrap(),
        wallet: id(&redeemed["wallets"][0]["wallet_id"]).parse().unwrap(),
        coupon: id(&coupon["id"]).parse().unwrap(),
        redemption: id(&redeemed["id"]).parse().unwrap(),
    };
    let few = costs(&shop, &subject).await;
    let Db::Sqlite { writer, .. } = &shop.app.app().db else { panic!("SQLite") };
    for statement in MULTIPLY.iter().copied() {
        sqlx::query(statement).execute(writer).await.unwrap();
    }
    let many = costs(&shop, &subject).await;
    for (statement, few) in few {
        let many = many[statement];
        assert!(many < 2 * few + 50, "{statement}: {few} instructions with one member in the brand, {many} with 3,001");
    }
}
