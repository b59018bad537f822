//! What only the store itself can be asked: schemas, locks, statements that a request never shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use passarela::clock::Clock as _;
use passarela::domain::ids::{DeliveryId, DeviceId, PassId};
use passarela::domain::secret::Secret;
use passarela::store::devices::AskedSince;
use passarela::store::publication::Published;
use passarela::store::{Conn, Db, Tx, brands, deliveries, devices, events, publication};
use sqlx::Row as _;

use crate::app::{PASS_TYPE, TestApp};
use crate::apple_web_service::Phone;
use crate::engine::Engine;
use crate::on_both_engines;

/// `table.column type nullable` as the engine itself reports it, types named as `SQLite` does.
async fn schema(db: &Db) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    match db {
        Db::Sqlite { writer, .. } => {
            let tables = sqlx::query(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
            );
            for table in tables.fetch_all(writer).await.unwrap() {
                let table: String = table.get(0);
                let columns = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA table_info({table})")));
                for column in columns.fetch_all(writer).await.unwrap() {
                    let (name, kind, not_null): (String, String, i64) = (column.get(1), column.get(2), column.get(3));
                    lines.insert(format!("{table}.{name} {kind} {}", not_null == 1));
                }
            }
        }
        Db::Postgres { writers: pool, .. } => {
            let columns = sqlx::query(
                "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'NO' FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'",
            );
            for column in columns.fetch_all(pool).await.unwrap() {
                let (table, name, kind, not_null): (String, String, String, bool) =
                    (column.get(0), column.get(1), column.get(2), column.get(3));
                let kind = match kind.as_str() {
                    "uuid" | "bytea" => "BLOB",
                    "bigint" => "INTEGER",
                    "text" | "jsonb" | "timestamp with time zone" => "TEXT",
                    other => panic!("{table}.{name}: {other}"),
                };
                lines.insert(format!("{table}.{name} {kind} {not_null}"));
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_report_the_same_schema() {
    let (sqlite, postgres) = (TestApp::start(Engine::Sqlite).await, TestApp::start(Engine::Postgres).await);
    let (sqlite, postgres) = (schema(&sqlite.app().db).await, schema(&postgres.app().db).await);
    assert!(sqlite.len() > 80, "{}", sqlite.len());
    assert_eq!(sqlite, postgres);
}

/// sqlx 0.9.0 hands out a connection inside a transaction when a `begin()` was dropped while BEGIN was on the wire; later
/// statements on it answer Ok and vanish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_begin_dropped_on_the_wire_swallows_no_later_statement() {
    let app =
        TestApp::start_with(Engine::Postgres, passarela::app::Role::Api, |config| config.database.connections = 2)
            .await;
    let Db::Postgres { writers: pool, .. } = &app.app().db else { panic!("PostgreSQL") };
    sqlx::query("CREATE TABLE probe (n BIGINT)").execute(pool).await.unwrap();
    for round in 0..300_i64 {
        // Polled once or twice, so that BEGIN is sent, and then dropped.
        let mut begin = Box::pin(app.app().db.begin());
        for _ in 0..=(round % 3) {
            if futures_util::poll!(begin.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(begin);
        sqlx::query("INSERT INTO probe VALUES ($1)").bind(round).execute(pool).await.unwrap();
    }
    let other = Db::connect(&app.place.url, 1).await.unwrap();
    let Db::Postgres { writers: other, .. } = &other else { panic!("PostgreSQL") };
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM probe").fetch_one(other).await.unwrap();
    assert_eq!(count, 300, "every statement that answered Ok is there for everybody");
}

on_both_engines! {
    async fn no_tag_is_handed_out_ahead_of_an_uncommitted_publication(engine) {
        let app = TestApp::start(engine).await;
        let (one, two) = (app.issue("one").await, app.issue("two").await);
        let mut phone = Phone::new(&app, "d1");
        phone.register(&one, "aa").await;
        phone.register(&two, "aa").await;
        phone.list(&one).await;
        let before = phone.tag.clone();
        // A publication that has its tag and has not committed.
        let mut open: Tx = app.app().db.begin().await.unwrap();
        let tag = brands::take_tags(&mut open.conn(), app.one.brand.id, PASS_TYPE, 1).await.unwrap();
        assert!(phone.list(&one).await.is_empty());
        assert_eq!(phone.tag, before, "no tag at or past {tag} may be known to anybody");
        if engine == Engine::Postgres {
            // Another publication of the pass type waits for it rather than overtake it.
            app.clock.advance(TimeDelta::seconds(2));
            app.set_points(&two, 5).await;
            let worker = app.work();
            tokio::pin!(worker);
            assert!(tokio::time::timeout(std::time::Duration::from_millis(500), &mut worker).await.is_err());
            assert!(phone.list(&one).await.is_empty());
            open.commit().await.unwrap();
            worker.await;
        } else {
            open.commit().await.unwrap();
            app.clock.advance(TimeDelta::seconds(2));
            app.set_points(&two, 5).await;
            app.work().await;
        }
        assert_eq!(phone.list(&one).await, std::slice::from_ref(&two.serial));
        let newest = passarela::domain::tag::Tag::asked(phone.tag.as_deref());
        assert!(newest.n > tag.n, "commit order is tag order");
    }

    async fn a_sweep_heals_more_devices_than_one_transaction_may_touch(engine) {
        let app = TestApp::start_with(engine, passarela::app::Role::All, |config| config.delivery.sweep_secs = 1).await;
        let pass = app.issue("ana").await;
        let id: passarela::domain::ids::PassId = pass.id.parse().unwrap();
        let (brand, now) = (app.one.brand.id, app.clock.now());
        let mut tx = app.app().db.begin().await.unwrap();
        for number in 0..1_203 {
            let device = passarela::store::devices::NewDevice {
                pass_type: PASS_TYPE.to_owned(),
                library_id: passarela::domain::secret::Secret::new(format!("many{number}")),
                push_token: passarela::domain::secret::Secret::new("aa".to_owned()),
                scheme: "ApplePass".to_owned(),
            };
            let new_id = DeviceId::new(app.clock.new_id());
            let device = passarela::store::devices::upsert(&mut tx.conn(), brand, new_id, &device, now).await.unwrap();
            passarela::store::devices::register(&mut tx.conn(), brand, id, device, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        let pending = async || deliveries::count_pending(&mut app.app().db.read().await.unwrap().conn(), brand, 5_000).await.unwrap().0;
        let until = async |wanted: i64| {
            let begun = std::time::Instant::now();
            while pending().await != wanted {
                assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{} of {wanted}", pending().await);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 9).await;
        until(1_203).await; // by the publisher, in several transactions
        match &app.app().db {
            Db::Sqlite { writer, .. } => drop(sqlx::query("DELETE FROM deliveries").execute(writer).await.unwrap()),
            Db::Postgres { writers: pool, .. } => drop(sqlx::query("DELETE FROM deliveries").execute(pool).await.unwrap()),
        }
        until(1_203).await; // by the sweep, within its period
    }

    async fn a_device_has_one_pending_delivery(engine) {
        let app = TestApp::start(engine).await;
        let (brand, now) = (app.one.brand.id, app.clock.now());
        let device = DeviceId::new(app.clock.new_id());
        let mut counts = Vec::new();
        for _ in 0..2 {
            let mut tx = app.app().db.begin().await.unwrap();
            let rows = [(DeliveryId::new(app.clock.new_id()), device)];
            counts.push(deliveries::enqueue(&mut tx.conn(), brand, &rows, "interactive", now, now).await.unwrap());
            tx.commit().await.unwrap();
        }
        assert_eq!(counts, [1, 0]);
    }

    async fn hostile_json_and_paths_are_refused_without_a_trace(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let url = format!("{}/api/v1/passes/{}", app.url, pass.id);
        for body in [
            r#"{"data":{"a":{"$serde_json::private::RawValue":"\"\\u0000\""}}}"#.to_owned(),
            format!(r#"{{"data":{{"a":{{"$serde_json::private::RawValue":"{}1{}"}}}}}}"#, "[".repeat(127), "]".repeat(127)),
            r#"{"data":{"a":"\u0000"}}"#.to_owned(),
        ] {
            let request = app.http.patch(&url).bearer_auth(&app.one.key).header("Content-Type", "application/json");
            assert_eq!(request.body(body.clone()).send().await.unwrap().status(), 400, "{body}");
        }
        assert_eq!(app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await.0, 200);
        let code = &app.one.brand.code;
        for (path, status) in [
            (format!("/apple/{code}/v1/devices/%00/registrations/{PASS_TYPE}"), 204),
            (format!("/apple/{code}/v1/devices/d/registrations/%00"), 204),
            (format!("/apple/{code}/v1/passes/%00/%00"), 401),
            (format!("/p/{code}%00"), 404),
            (format!("/i/{code}/%00/1/%00"), 404),
        ] {
            let request = app.http.get(format!("{}{path}", app.url)).header("Authorization", "ApplePass x");
            assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{path}");
        }
        let body = serde_json::json!({ "role": "reader", "name": "x", "expires_at": "-4713-01-01T00:00:00Z" });
        assert_eq!(app.post("/api/v1/keys", &app.one.key, &body).await.0, 422);
    }
}

/// Every function of the store is used by the service, and so by the tests above on both engines; one that is not is
/// dead.
#[test]
fn every_store_function_is_used() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |folder: &str| -> String {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    let users =
        ["service", "cli", "worker"].map(read).concat() + &std::fs::read_to_string(root.join("app.rs")).unwrap();
    let mut unused = Vec::new();
    for entry in std::fs::read_dir(root.join("store")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if matches!(module.as_str(), "db" | "mod") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("pub async fn ").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !users.contains(&format!("::{name}(")) {
                unused.push(format!("{module}::{name}"));
            }
        }
    }
    assert!(unused.is_empty(), "{unused:?}");
}

/// Instructions of SQLite's machine that a piece of work takes, at most one of them off.
async fn instructions<T>(db: &Db, work: impl AsyncFnOnce(&mut Conn<'_>) -> sqlx::Result<T>) -> (T, usize) {
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
    let (holders, cost) = instructions(db, async |c| deliveries::list_holders(c, brand, ids, None, 500).await).await;
    assert_eq!(holders.len(), 1);
    costs.insert("list_holders", cost);
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
    costs
}

async fn sqlx_on(db: &Db, sql: &'static str) {
    let Db::Sqlite { writer, .. } = db else { panic!("SQLite") };
    sqlx::query(sql).execute(writer).await.unwrap();
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
        "UPDATE brands SET next_seq = (SELECT MAX(seq) + 1 FROM events) WHERE brand_id = (SELECT brand_id FROM registrations LIMIT 1)",
        "DROP TABLE more",
    ];
    for statement in statements {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(times) } else { query };
        query.execute(writer).await.unwrap();
    }
}

/// SQLite once walked all passes of the brand for every batch that was published, and its whole timeline for every batch
/// of events.
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
