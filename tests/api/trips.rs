//! How often a redemption goes to PostgreSQL and back: counted on the wire, by whoever stands in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use passarela::app::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use crate::app::TestApp;
use crate::engine::{Engine, postgres_url};
use crate::till::Shop;

/// Passes everything on, and counts what the server has to answer: simple queries, and the ends of extended ones.
async fn count(listener: TcpListener, socket: String, trips: Arc<AtomicU64>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = UnixStream::connect(&socket).await.unwrap();
        let trips = Arc::clone(&trips);
        tokio::spawn(async move {
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            // The first message has no type.
            let mut is_first = true;
            loop {
                let kind = if is_first { Some(b'-') } else { from_client.read_u8().await.ok() };
                let (Some(kind), Ok(length)) = (kind, from_client.read_u32().await) else { break };
                let mut rest = vec![0; length as usize - 4];
                if from_client.read_exact(&mut rest).await.is_err() {
                    break;
                }
                if matches!(kind, b'Q' | b'S') {
                    trips.fetch_add(1, Ordering::SeqCst);
                }
                let head: &[u8] = if is_first { &[] } else { &[kind] };
                let message = [head, &length.to_be_bytes(), &rest].concat();
                if to_server.write_all(&message).await.is_err() {
                    break;
                }
                is_first = false;
            }
            back.abort();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redemption_takes_at_most_ten_ways_to_the_server() {
    let trips = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let folder = postgres_url().split("host=").nth(1).unwrap().to_owned();
    tokio::spawn(count(listener, format!("{folder}/.s.PGSQL.5432"), Arc::clone(&trips)));
    let app = TestApp::start_with(Engine::Postgres, Role::Api, |config| {
        let name = config.database.url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
        config.database.url = format!("postgres://passarela@{address}/{name}?sslmode=disable");
        // One for writing and one for reading: what is prepared is prepared.
        config.database.connections = 2;
    })
    .await;
    app.issue("ana").await;
    let shop = Shop::furnish(app).await;
    shop.give("ana", 1_000).await;
    let (_, found) = shop.app.get("/api/v1/customers?external_id=ana", &shop.app.one.key).await;
    let customer = found["data"][0]["id"].clone();
    let gift = shop.offer("Caneca", json!({ "effect": { "gift": { "name": "Caneca" } }, "coupon": {} })).await;
    let mut number = 0;
    let mut measure = async |redeem: &dyn Fn(&serde_json::Value) -> serde_json::Value| {
        let mut least = u64::MAX;
        for _ in 0..6 {
            number += 1;
            let coupon = shop.coupon(&gift, Some("ana")).await;
            let body = json!({ "transaction_id": format!("t{number}"), "customer": { "id": customer }, "redeem": [redeem(&coupon)] });
            // A connection that is given back is looked at.
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            let before = trips.load(Ordering::SeqCst);
            let (status, answer) = shop.till("redemptions", &body).await;
            assert_eq!(status, 201, "{answer}");
            least = least.min(trips.load(Ordering::SeqCst) - before);
        }
        least
    };
    let units = measure(&|_| json!({ "wallet": "points", "units": "10" })).await;
    let coupon = measure(&|coupon| json!({ "coupon_id": coupon["id"] })).await;
    let rules = json!({ "effect": { "gift": { "name": "Caneca" } }, "price": { "wallet": "points", "units": "10" }, "stock": 90 });
    let reward = shop.offer("Outra caneca", rules).await;
    let given = measure(&|_| json!({ "reward_id": reward })).await;
    let bought = measure(&|_| json!({ "reward_id": reward, "as_coupon": true })).await;
    println!("ways to the server: units {units}, coupon {coupon}, reward {given}, reward for later {bought}");
    assert!(units <= 8, "units: {units}");
    assert!(coupon <= 10, "coupon: {coupon}");
    // What is left of the offer is one more; a coupon is written, read, and looked at for a design.
    assert!(given <= 9 && bought <= 15, "reward: {given}, for later {bought}");
}
