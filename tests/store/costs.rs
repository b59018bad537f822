//! What statements cost SQLite in a brand with few passes and with many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use passarela::domain::delivery::{Channel, DeliveryState};
use passarela::domain::identifier::IdentifierKind;
use passarela::domain::ids::{BrandId, CustomerId, DeviceId, PassId};
use passarela::domain::pass::{Lane, PassStatus};
use passarela::domain::secret::{Personal, Secret};
use passarela::store::customers::Identifier;
use passarela::store::devices::AskedSince;
use passarela::store::imports::{self, ChangedPass};
use passarela::store::outbox::Settled;
use passarela::store::passes::{self, Filter};
use passarela::store::publication::Published;
use passarela::store::{
    Conn, Db, Tx, customers, devices, events, jobs, outbox, programs, publication, pushes, rollouts,
};

use crate::app::{PASS_TYPE, TestApp};
use crate::apple_web_service::Phone;
use crate::engine::Engine;

/// Instructions of SQLite's machine that a piece of work takes, at most one of them off.
pub async fn instructions<T>(db: &Db, work: impl AsyncFnOnce(&mut Conn<'_>) -> sqlx::Result<T>) -> (T, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let mut tx = db.begin().await.unwrap();
    if let Tx::Sqlite(tx) = &mut tx {
        let count = Arc::clone(&count);
        tx.lock_handle().await.unwrap().set_progress_handler(1, move || {
            count.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    let done = work(&mut tx.conn()).await.unwrap();
    if let Tx::Sqlite(tx) = &mut tx {
        tx.lock_handle().await.unwrap().remove_progress_handler();
    }
    tx.commit().await.unwrap();
    (done, count.load(Ordering::Relaxed))
}

/// What each statement behind publishing, phones and the timeline costs, for the same hundred passes.
async fn costs(app: &TestApp, ids: &[PassId]) -> BTreeMap<&'static str, usize> {
    let (db, brand, now) = (&app.app().db, app.one.brand.id, app.app().clock.now());
    let mut costs = BTreeMap::new();
    let claims = instructions(db, async |c| publication::claim(c, brand, now, now, 100).await).await;
    assert_eq!(claims.0.len(), 100);
    costs.insert("claim", claims.1);
    let (sources, cost) = instructions(db, async |c| publication::load_sources(c, brand, ids).await).await;
    costs.insert("load_sources", cost);
    let (held, cost) = instructions(db, async |c| publication::lock(c, brand, ids).await).await;
    costs.insert("lock", cost);
    let same: Vec<_> = ids.iter().map(|pass| (*pass, 0, None)).collect();
    let settled = instructions(db, async |c| publication::settle_unchanged(c, brand, &same, now).await).await;
    costs.insert("settle_unchanged", settled.1);
    let (served, cost) = instructions(db, async |c| publication::find_apple(c, brand, ids).await).await;
    costs.insert("find_apple", cost);
    let served: Vec<_> = served.into_iter().map(Option::unwrap).collect();
    let new: Vec<Published> = held
        .iter()
        .map(|held| Published {
            pass: held.pass_id,
            published_no: 0,
            tag_n: held.tag_n,
            last_modified: held.last_modified,
            render_at: None,
            template_version: 1,
            apple: served[0].apple.clone(),
            apple_hash: served[0].apple_hash.clone(),
            google: Vec::new(),
            google_hash: vec![0; 32],
        })
        .collect();
    let (rows, cost) = instructions(db, async |c| publication::publish(c, brand, &new, now, now).await).await;
    assert_eq!(rows, 100);
    costs.insert("publish", cost);
    let keys: Vec<_> = sources.iter().map(|source| (source.pass_type.clone(), source.serial.clone())).collect();
    let (found, cost) = instructions(db, async |c| publication::find_served(c, brand, &keys).await).await;
    assert!(found.iter().all(Option::is_some));
    costs.insert("find_served", cost);
    let held = ids.get(..10).unwrap();
    let (holders, cost) =
        instructions(db, async |c| outbox::list_holding_devices(c, brand, held, None, 500).await).await;
    assert!(holders.len() <= 10 && !holders.is_empty());
    costs.insert("list_holders", cost);
    let page = instructions(db, async |c| devices::list_holders(c, brand, held[0], 200).await).await;
    assert_eq!(page.0.len(), 1);
    costs.insert("list_holders of a pass", page.1);
    let none = BrandId::new(uuid::Uuid::max());
    costs.insert("next_due_brand", instructions(db, async |c| publication::next_due_brand(c, None, now).await).await.1);
    costs.insert(
        "next_timed_brand",
        instructions(db, async |c| publication::next_timed_brand(c, None, now).await).await.1,
    );
    costs.insert(
        "next_unsequenced_brand",
        instructions(db, async |c| events::next_unsequenced_brand(c, None).await).await.1,
    );
    costs.insert(
        "next_brand_to_touch",
        instructions(db, async |c| programs::next_brand_to_touch(c, Some(none)).await).await.1,
    );
    let first = instructions(db, async |c| passes::find(c, brand, held[0]).await).await.0.unwrap();
    let (customer, program) = (first.customer_id, first.program_id);
    costs.insert(
        "list_identifiers",
        instructions(db, async |c| customers::list_identifiers(c, brand, customer).await).await.1,
    );
    let kind = IdentifierKind::CardNumber;
    costs.insert(
        "remove_identifier",
        instructions(db, async |c| customers::remove_identifier(c, brand, customer, &kind).await).await.1,
    );
    for (name, filter) in [
        ("list by customer", Filter { customer: Some(customer), ..Filter::default() }),
        ("list by external_id", Filter { external_id: first.external_id.clone(), ..Filter::default() }),
        ("list by status", Filter { status: Some(PassStatus::Voided), ..Filter::default() }),
        ("list by template", Filter { template: Some(first.template_id), ..Filter::default() }),
    ] {
        let page = instructions(db, async |c| passes::list(c, brand, &filter, Some(held[9]), 1).await).await;
        costs.insert(name, page.1);
    }
    let late = PassId::new(uuid::Uuid::max());
    costs.insert(
        "touch_program, late",
        instructions(db, async |c| passes::touch_program(c, brand, program, late, 500).await).await.1,
    );
    let template = first.template_id;
    let (page, cost) =
        instructions(db, async |c| rollouts::lock_passes(c, brand, template, PassId::FIRST, 50).await).await;
    assert_eq!(page.len(), 50);
    costs.insert("lock_passes", cost);
    let wanted = instructions(db, async |c| rollouts::want_version(c, brand, held, 1, now).await).await;
    costs.insert("want_version", wanted.1);
    costs.insert(
        "count_waiting",
        instructions(db, async |c| rollouts::count_waiting(c, brand, template, 1_000).await).await.1,
    );
    costs.insert(
        "count_refused",
        instructions(db, async |c| rollouts::count_refused(c, brand, template, 100).await).await.1,
    );
    let due = instructions(db, async |c| rollouts::next_due_brand(c, None, now).await).await;
    costs.insert("next_due_brand of roll-outs", due.1);
    let late = DeviceId::new(uuid::Uuid::max());
    costs.insert(
        "list_forgotten, late",
        instructions(db, async |c| outbox::list_forgotten(c, brand, Some(late), now, now, 500).await).await.1,
    );
    costs.extend(telling(db, brand, now).await);
    let stranger = instructions(db, async |c| devices::unregister(c, brand, held[0], PASS_TYPE, "gone").await).await;
    costs.insert("unregister", stranger.1);
    let asked = AskedSince {
        pass_type: PASS_TYPE.to_owned(),
        library_id: Secret::new("d1".to_owned()),
        tag: passarela::domain::tag::Tag::asked(None),
    };
    let (listed, cost) = instructions(db, async |c| devices::list_updated(c, brand, &[asked]).await).await;
    assert_eq!(listed[0].len(), 10);
    costs.insert("list_updated", cost);
    sqlx_on(db, "UPDATE events SET seq = NULL WHERE seq > (SELECT MAX(seq) - 100 FROM events)").await;
    let (rows, cost) = instructions(db, async |c| events::sequence(c, brand, 500).await).await;
    assert_eq!(rows, 100);
    costs.insert("sequence", cost);
    import_costs(app, ids, &mut costs).await;
    costs
}

/// What the statements of an import cost, for a part of its lines.
async fn import_costs(app: &TestApp, ids: &[PassId], costs: &mut BTreeMap<&'static str, usize>) {
    let (db, brand, now) = (&app.app().db, app.one.brand.id, app.app().clock.now());
    let names: Vec<String> = (0..10).map(|index| format!("customer {index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (found, cost) = instructions(db, async |c| imports::find_passes(c, brand, &names).await).await;
    assert_eq!(found.len(), 10);
    costs.insert("imports::find_passes", cost);
    let serials: Vec<_> = found.iter().map(|pass| (PASS_TYPE, pass.serial.as_str())).collect();
    let (taken, cost) = instructions(db, async |c| imports::find_serials(c, brand, &serials).await).await;
    assert_eq!(taken.len(), 10);
    costs.insert("imports::find_serials", cost);
    let lookups: Vec<Identifier> = ids
        .iter()
        .map(|pass| Identifier {
            kind: IdentifierKind::CardNumber,
            value: Personal::new(String::new()),
            lookup: pass.uuid().as_bytes().to_vec(),
        })
        .collect();
    let lookups: Vec<&Identifier> = lookups.iter().collect();
    let named = instructions(db, async |c| imports::find_named(c, brand, &lookups).await).await;
    costs.insert("imports::find_named", named.1);
    let customers: Vec<_> = found.iter().map(|pass| pass.customer_id).collect();
    let (known, cost) = instructions(db, async |c| imports::find_customers(c, brand, &customers).await).await;
    assert_eq!(known.len(), 10);
    costs.insert("imports::find_customers", cost);
    let members = instructions(db, async |c| imports::find_members(c, brand, &customers).await).await;
    assert_eq!(members.0.len(), 10);
    costs.insert("imports::find_members", members.1);
    let identifiers = instructions(db, async |c| imports::find_identifiers(c, brand, &customers).await).await;
    costs.insert("imports::find_identifiers", identifiers.1);
    let held = instructions(db, async |c| imports::hold_customers(c, brand, &customers).await).await;
    costs.insert("imports::hold_customers", held.1);
    let made = instructions(db, async |c| imports::find_made(c, brand, ids).await).await;
    costs.insert("imports::find_made", made.1);
    let waiting = instructions(db, async |c| imports::count_waiting(c, brand, 1).await).await;
    costs.insert("imports::count_waiting", waiting.1);
    let data = serde_json::Map::new();
    let changes: Vec<_> = found
        .iter()
        .map(|pass| ChangedPass {
            id: pass.id,
            seen_change_no: pass.change_no,
            data: &data,
            order_hash: &[0; 32],
            token_hash: None,
        })
        .collect();
    let (set, cost) = instructions(db, async |c| imports::set_passes(c, brand, &changes, now).await).await;
    assert_eq!(set, 10);
    costs.insert("imports::set_passes", cost);
    // Whose passes are not copied with the brand.
    let last = [CustomerId::new(ids[99].uuid())];
    let touched = instructions(db, async |c| imports::touch_customers(c, brand, &last, now).await).await;
    costs.insert("imports::touch_customers", touched.1);
    let due = instructions(db, async |c| jobs::next_due_brand(c, None, "nowhere", now).await).await;
    costs.insert("jobs::next_due_brand", due.1);
    let old = instructions(db, async |c| jobs::forget_outcomes(c, brand, now, 200).await).await;
    costs.insert("jobs::forget_outcomes", old.1);
}

async fn sqlx_on(db: &Db, sql: &'static str) {
    let Db::Sqlite { writer, .. } = db else { panic!("SQLite") };
    sqlx::query(sql).execute(writer).await.unwrap();
}

/// What it costs to tell ten of the devices that wait.
async fn telling(db: &Db, brand: BrandId, now: DateTime<Utc>) -> BTreeMap<&'static str, usize> {
    let apns = Channel::Apns;
    let mut costs = BTreeMap::new();
    let due = instructions(db, async |c| outbox::next_due_brand(c, apns, None, now).await).await;
    assert_eq!(due.0, Some(brand));
    costs.insert("next_due_brand of the outbox", due.1);
    let (claims, cost) =
        instructions(db, async |c| outbox::claim(c, brand, apns, Lane::Bulk, now, now, 10).await).await;
    assert_eq!(claims.len(), 10);
    costs.insert("claim of the outbox", cost);
    let devices: Vec<DeviceId> = claims.iter().map(|claim| DeviceId::new(claim.destination)).collect();
    let targets = instructions(db, async |c| pushes::load_targets(c, brand, &devices).await).await;
    assert_eq!(targets.0.len(), 10);
    costs.insert("load_targets", targets.1);
    let told = instructions(db, async |c| pushes::tell(c, brand, &devices, 1_000_000, now).await).await;
    costs.insert("tell", told.1);
    let settled: Vec<Settled> = claims
        .iter()
        .map(|claim| Settled {
            destination: claim.destination,
            claim_no: claim.claim_no,
            wanted: claim.wanted,
            state: DeliveryState::Done,
            due_at: now,
            failures: 0,
            told_at: Some(now),
            answer: "200".to_owned(),
        })
        .collect();
    let (rows, cost) = instructions(db, async |c| outbox::settle(c, brand, apns, &settled, now).await).await;
    assert_eq!(rows, 10);
    costs.insert("settle", cost);
    let rows: Vec<_> = devices.iter().map(|device| (device.uuid(), Lane::Bulk)).collect();
    let (queued, cost) = instructions(db, async |c| outbox::enqueue(c, brand, apns, &rows, now, now).await).await;
    assert_eq!(queued, 10);
    costs.insert("enqueue", cost);
    costs
}

/// Copies every pass of the first brand with its content `times` times, published, and makes an event for each copy.
async fn multiply(db: &Db, times: i64) {
    let Db::Sqlite { writer, .. } = db else { panic!("SQLite") };
    let statements = [
        "CREATE TABLE more AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         SELECT randomblob(16) AS id, p.* FROM n, passes p WHERE p.brand_id = (SELECT brand_id FROM registrations LIMIT 1)",
        "UPDATE more SET pass_id = id, serial = hex(id), link = hex(id), code_id = id, external_id = NULL, published_no = change_no",
        "ALTER TABLE more DROP COLUMN id",
        "INSERT INTO passes SELECT * FROM more",
        "INSERT INTO pass_contents SELECT m.brand_id, m.pass_id, x'00', x'00' FROM more m",
        "INSERT INTO events SELECT m.brand_id, m.pass_id, b.next_seq + m.rowid - 1, 'pass.changed', NULL, m.pass_id, m.pass_id, '{}', m.created_at
         FROM more m JOIN brands b ON b.brand_id = m.brand_id",
        "INSERT INTO customers SELECT m.brand_id, m.pass_id, NULL, NULL, NULL, '{}', 1, m.created_at, m.created_at FROM more m",
        "INSERT INTO customer_identifiers
         SELECT m.brand_id, k.kind, m.pass_id, m.pass_id, m.pass_id, 'x', m.created_at
         FROM more m, (SELECT 'card_number' AS kind UNION SELECT 'external_id') k",
        "INSERT INTO devices (brand_id, device_id, pass_type, library_id, push_token, scheme, created_at, updated_at)
         SELECT m.brand_id, m.pass_id, m.pass_type, hex(m.pass_id), 'aa', 'ApplePass', m.created_at, m.created_at FROM more m",
        "INSERT INTO registrations (brand_id, pass_id, device_id, listed_tag_n, told_tag_n, created_at)
         SELECT m.brand_id, m.pass_id, m.pass_id, 0, 999999, m.created_at FROM more m",
        "INSERT INTO outbox (brand_id, channel, destination_id, state, lane, wanted, due_at, claim_no, failures, changed_at)
         SELECT m.brand_id, 'apns', m.pass_id, 'pending', 'bulk', 1, m.created_at, 0, 0, m.created_at FROM more m",
        "UPDATE brands SET next_seq = (SELECT MAX(seq) + 1 FROM events) WHERE brand_id = (SELECT brand_id FROM registrations LIMIT 1)",
        "DROP TABLE more",
    ];
    for statement in statements {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(times) } else { query };
        query.execute(writer).await.unwrap();
    }
}

/// A batch costs what it holds, not what the brand holds: SQLite needs little to walk the brand instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_batch_costs_does_not_grow_with_the_brand() {
    let app = TestApp::start(Engine::Sqlite).await;
    let db = &app.app().db;
    for index in 0..10 {
        let pass = app.issue(&format!("customer {index}")).await;
        Phone::new(&app, "d1").register(&pass, "aa").await;
    }
    app.work().await;
    multiply(db, 9).await;
    let Db::Sqlite { writer, .. } = db else { panic!("SQLite") };
    let ids: Vec<PassId> = sqlx::query_scalar("SELECT pass_id FROM passes").fetch_all(writer).await.unwrap();
    sqlx_on(db, "CREATE TABLE changing AS SELECT pass_id FROM passes").await;
    let change = "UPDATE passes SET change_no = change_no + 1 WHERE pass_id IN (SELECT pass_id FROM changing)";
    sqlx_on(db, change).await;
    app.clock.advance(TimeDelta::seconds(2));
    let few = costs(&app, &ids).await;
    multiply(db, 40).await;
    sqlx_on(db, change).await;
    app.clock.advance(TimeDelta::seconds(2));
    let many = costs(&app, &ids).await;
    for (statement, few) in few {
        let many = many[statement];
        assert!(many < 2 * few, "{statement}: {few} instructions with 100 passes in the brand, {many} with 4,100");
    }
}
