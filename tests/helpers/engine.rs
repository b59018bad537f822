//! A database of its own for each test, on either engine.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Where a test's data lives; dropped with the test.
pub struct Place {
    pub url: String,
    pub folder: TempDir,
}

impl Place {
    pub async fn new(engine: Engine) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("passarela.db").display()),
            Engine::Postgres => create_database().await,
        };
        Self { url, folder }
    }
}

/// The private server that `scripts/test` starts. Its absence is a failure, never a skipped test.
pub fn postgres_url() -> String {
    #[expect(clippy::disallowed_methods, reason = "the address comes from scripts/test")]
    std::env::var("TEST_POSTGRES_URL")
        .expect("TEST_POSTGRES_URL is not set: run ./scripts/test, which starts a PostgreSQL for the tests")
}

async fn create_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let server = postgres_url();
    let mut admin = sqlx::PgConnection::connect(&server).await.expect("the tests' PostgreSQL answers");
    let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    admin.execute(sql).await.expect("a database for this test");
    server.replacen("/postgres?", &format!("/{name}?"), 1)
}

/// Runs each test once on each engine.
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident) $body:block)+) => {
        $($(#[$meta])* async fn $name($engine: $crate::engine::Engine) $body)+
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { Box::pin(super::$name($crate::engine::Engine::Sqlite)).await })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { Box::pin(super::$name($crate::engine::Engine::Postgres)).await })+
        }
    };
}
