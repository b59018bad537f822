//! No unit may be made or lost: tills at work, servers killed in between, connections reset.
//!
//! The servers are the real program in processes of their own. Every till does one thing after the other, each under an id
//! of its own, and repeats it until it is answered. In the end every wallet must hold exactly what the answers sum to, every
//! coupon must be used by the one redemption that was told so, and the ledger must tell the same from its entries.
//!
//! `REGISTER_KILLS` makes a longer run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use passarela::app::Role;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::engine::Engine;
use crate::server::Server;
use crate::till::{Shop, line, money};

const CUSTOMERS: usize = 6;
const TILLS: usize = 10;

struct Shared {
    http: reqwest::Client,
    /// Gives up after some milliseconds: the server is in the middle of it.
    hasty: reqwest::Client,
    urls: Vec<String>,
    key: String,
    coupons: Vec<Value>,
    next_coupon: AtomicU64,
    /// A reward that tills sell for later.
    reward: String,
    bought: AtomicU64,
    used: AtomicU64,
    given_back: AtomicU64,
    /// What each customer's points must be.
    points: Vec<AtomicI64>,
    is_over: AtomicBool,
    done: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    again: AtomicU64,
}

impl Shared {
    /// Repeats a request until it is answered for good; the first try may be cut off by the till itself.
    async fn insist(&self, turn: usize, path: &str, body: &Value) -> (u16, Value) {
        for attempt in 0..2_000 {
            let url = format!("{}/api/v1/{path}", self.urls[(turn + attempt) % self.urls.len()]);
            let client = if attempt == 0 && turn.is_multiple_of(4) { &self.hasty } else { &self.http };
            let sent = client.post(url).bearer_auth(&self.key).json(body).send().await;
            let answered = match sent {
                Err(_) => None,
                Ok(response) => {
                    let status = response.status().as_u16();
                    response.bytes().await.ok().map(|body| (status, body))
                }
            };
            match answered {
                Some((503, _)) => {}
                Some((status, body)) => {
                    self.again.fetch_add(u64::from(status == 200), Ordering::Relaxed);
                    return (status, serde_json::from_slice(&body).unwrap_or(Value::Null));
                }
                None => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never answered");
    }

    /// Sells a coupon for points; every other one is used, and some are taken back.
    async fn sell(&self, turn: usize, customer: usize, id: &str, who: &Value) {
        let buy = json!({ "transaction_id": id, "customer": who, "redeem": [{ "reward_id": self.reward, "as_coupon": true }] });
        let (status, bought) = self.insist(turn, "redemptions", &buy).await;
        if status == 409 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert!(matches!(status, 200 | 201), "{status} {bought}");
        self.points[customer].fetch_sub(4, Ordering::SeqCst);
        self.bought.fetch_add(1, Ordering::SeqCst);
        if turn.is_multiple_of(2) {
            let redeem = json!({ "transaction_id": format!("{id}-use"), "redeem": [{ "coupon_code": bought["coupons"][0]["code"] }] });
            let (status, used) = self.insist(turn, "redemptions", &redeem).await;
            assert!(matches!(status, 200 | 201), "what is paid for is never refused: {status} {used}");
            self.used.fetch_add(1, Ordering::SeqCst);
        } else if turn.is_multiple_of(3) {
            let path = format!("redemptions/{}/void", bought["id"].as_str().unwrap());
            assert_eq!(self.insist(turn, &path, &json!({})).await.0, 200);
            self.points[customer].fetch_add(4, Ordering::SeqCst);
            self.given_back.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn work(self: Arc<Self>, till: usize) {
        let mut turn = till;
        while !self.is_over.load(Ordering::Relaxed) {
            turn += 1;
            // One customer has most of the tills.
            let customer = if turn.is_multiple_of(3) { turn % CUSTOMERS } else { 0 };
            let who = json!({ "external_id": format!("c{customer}") });
            let id = format!("till{till}-{turn}");
            match turn % 5 {
                0 | 1 => {
                    let order = json!({ "external_id": id, "customer": who, "lines": [line("a", "b", "1", 700)], "total": money(700) });
                    let (status, order) = self.insist(turn, "orders", &order).await;
                    assert!(matches!(status, 200 | 201), "{status} {order}");
                    let earned: i64 = order["earned"][0]["units"].as_str().unwrap().parse().unwrap();
                    self.points[customer].fetch_add(earned, Ordering::SeqCst);
                    if turn.is_multiple_of(10) {
                        let back = json!({ "external_id": id, "order": id });
                        let (status, back) = self.insist(turn, "returns", &back).await;
                        assert!(matches!(status, 200 | 201), "{status} {back}");
                        let taken: i64 = back["wallets"][0]["taken_back"].as_str().unwrap().parse().unwrap();
                        self.points[customer].fetch_sub(taken, Ordering::SeqCst);
                    }
                }
                2 => {
                    let next = self.next_coupon.fetch_add(1, Ordering::SeqCst) as usize;
                    let Some(coupon) = self.coupons.get(next) else { continue };
                    let redeem = json!({ "transaction_id": id, "redeem": [{ "coupon_id": coupon["id"] }] });
                    let (status, redeemed) = self.insist(turn, "redemptions", &redeem).await;
                    assert!(matches!(status, 200 | 201), "a coupon of one's own is never refused: {status} {redeemed}");
                }
                3 => self.sell(turn, customer, &id, &who).await,
                _ => {
                    let redeem = json!({ "transaction_id": id, "customer": who, "redeem": [{ "wallet": "points", "units": "4" }] });
                    let (status, redeemed) = self.insist(turn, "redemptions", &redeem).await;
                    match status {
                        200 | 201 => {
                            self.points[customer].fetch_sub(4, Ordering::SeqCst);
                            if turn.is_multiple_of(7) {
                                let path = format!("redemptions/{}/void", redeemed["id"].as_str().unwrap());
                                assert_eq!(self.insist(turn, &path, &json!({})).await.0, 200);
                                self.points[customer].fetch_add(4, Ordering::SeqCst);
                            }
                        }
                        409 => {
                            self.refused.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => panic!("{status} {redeemed}"),
                    }
                }
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn till_the_end(engine: Engine, servers: usize, kills: usize) {
    let app = TestApp::start_with(engine, Role::Api, |config| config.database.connections = 6).await;
    for customer in 0..CUSTOMERS {
        app.issue(&format!("c{customer}")).await;
    }
    let shop = Shop::furnish(app).await;
    let offer = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
    let rules = json!({ "effect": { "gift": { "name": "Caneca" } }, "price": { "wallet": "points", "units": "4" } });
    let reward = shop.offer("Outra caneca", rules).await;
    let mut coupons = Vec::new();
    for _ in 0..200 {
        coupons.push(shop.coupon(&offer, None).await);
    }
    let config = shop.app.app().config.clone();
    let addresses: Vec<String> = (0..servers).map(|_| crate::app::free_address()).collect();
    let running: Vec<Server> =
        addresses.iter().map(|address| Server::new(&config, &config.server.public_url, address)).collect();
    let client = |millis: u64| reqwest::Client::builder().timeout(Duration::from_millis(millis)).build().unwrap();
    let shared = Arc::new(Shared {
        http: client(10_000),
        hasty: client(6),
        urls: running.iter().map(|server| server.url.clone()).collect(),
        key: shop.till.clone(),
        coupons,
        next_coupon: AtomicU64::default(),
        reward,
        bought: AtomicU64::default(),
        used: AtomicU64::default(),
        given_back: AtomicU64::default(),
        points: (0..CUSTOMERS).map(|_| AtomicI64::default()).collect(),
        is_over: AtomicBool::new(false),
        done: AtomicU64::default(),
        refused: AtomicU64::default(),
        unanswered: AtomicU64::default(),
        again: AtomicU64::default(),
    });
    let tills: Vec<_> = (0..TILLS).map(|till| tokio::spawn(Arc::clone(&shared).work(till))).collect();
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(900)).await;
        let server = &running[kill % running.len()];
        server.kill();
        server.start();
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    shared.is_over.store(true, Ordering::Relaxed);
    for till in tills {
        till.await.unwrap();
    }
    for customer in 0..CUSTOMERS {
        let expected = shared.points[customer].load(Ordering::SeqCst).to_string();
        assert_eq!(shop.balance(&format!("c{customer}"), "points").await, expected, "customer {customer}");
    }
    let used = shared.next_coupon.load(Ordering::SeqCst).min(200) as usize;
    for (index, coupon) in shared.coupons.iter().enumerate() {
        let (_, coupon) =
            shop.app.get(&format!("/api/v1/coupons/{}", coupon["id"].as_str().unwrap()), &shop.app.one.key).await;
        assert_eq!(coupon["state"], if index < used { "redeemed" } else { "issued" });
    }
    // As many coupons as were sold, and of each kind as many as the answers say.
    let (mut states, mut after) = (std::collections::BTreeMap::<String, u64>::new(), String::new());
    loop {
        let path = format!("/api/v1/coupons?offer_id={}&limit=200{after}", shared.reward);
        let (_, page) = shop.app.get(&path, &shop.app.one.key).await;
        for coupon in page["data"].as_array().unwrap() {
            *states.entry(coupon["state"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let of = |number: &AtomicU64| number.load(Ordering::SeqCst);
    let (bought, used, back) = (of(&shared.bought), of(&shared.used), of(&shared.given_back));
    let state = |name: &str| states.get(name).copied().unwrap_or(0);
    assert_eq!((state("issued"), state("redeemed"), state("voided")), (bought - used - back, used, back));
    shop.prove().await;
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{engine:?}: {servers} servers, {kills} kills, {} done, {bought} coupons sold, {used} of them used, {back} taken back, {} refused, {} tries without answer, {} answered again",
        count(&shared.done),
        count(&shared.refused),
        count(&shared.unanswered),
        count(&shared.again)
    );
    assert!(count(&shared.done) >= 50 && count(&shared.unanswered) >= 1);
}

fn kills() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is the caller's choice")]
    let asked = std::env::var("REGISTER_KILLS").ok();
    asked.map_or(10, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unit_is_made_or_lost_on_sqlite() {
    till_the_end(Engine::Sqlite, 1, kills()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unit_is_made_or_lost_with_two_processes_on_postgres() {
    till_the_end(Engine::Postgres, 2, kills()).await;
}
