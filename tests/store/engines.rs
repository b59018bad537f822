//! What only the store itself can be asked: schemas, locks, statements that a request never shows.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use passarela::clock::Clock as _;
use passarela::domain::delivery::Channel;
use passarela::domain::ids::DeviceId;
use passarela::store::{Db, Tx, brands, outbox};
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
                    "bigint" | "boolean" => "INTEGER",
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
        let Tx::Postgres(mut tx) = app.app().db.begin().await.unwrap() else { panic!("PostgreSQL") };
        sqlx::query("INSERT INTO probe VALUES ($1)").bind(round).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let other = Db::connect(&app.place.url, 1).await.unwrap();
    let Db::Postgres { writers: other, .. } = &other else { panic!("PostgreSQL") };
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM probe").fetch_one(other).await.unwrap();
    assert_eq!(count, 300, "every statement that answered Ok is there for everybody");
}

/// A server that ended our connections is asked again, and the caller learns nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_begins_though_the_server_ended_every_connection() {
    let app = TestApp::start(Engine::Postgres).await;
    let other = Db::connect(&app.place.url, 1).await.unwrap();
    let Db::Postgres { readers: other, .. } = &other else { panic!("PostgreSQL") };
    for _ in 0..3 {
        let open = futures_util::future::join_all((0..4).map(|_| app.app().db.begin())).await;
        drop(open);
        let ended = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let ended: i64 = sqlx::query_scalar(ended).fetch_one(other).await.unwrap();
        assert!(ended > 0);
        app.app().db.begin().await.unwrap().commit().await.unwrap();
    }
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
        let pending = async || outbox::count_waiting(&mut app.app().db.read().await.unwrap().conn(), brand, Channel::Apns, 5_000).await.unwrap().open;
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
            Db::Sqlite { writer, .. } => drop(sqlx::query("DELETE FROM outbox").execute(writer).await.unwrap()),
            Db::Postgres { writers: pool, .. } => drop(sqlx::query("DELETE FROM outbox").execute(pool).await.unwrap()),
        }
        until(1_203).await; // by the sweep, within its period
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
