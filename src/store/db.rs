//! One database, two engines: `SQLite` inside the process or a `PostgreSQL` beside it, behind one connection type.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Postgres, QueryBuilder, Sqlite, SqlitePool, Transaction};

/// Runs one expression with the engine's own connection bound to the name between the bars. The expression is
/// written once and compiled for both.
macro_rules! on {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite(conn) => {
                let $c = &mut **conn;
                $body
            }
            $crate::store::Conn::Postgres(conn) => {
                let $c = &mut **conn;
                $body
            }
        }
    };
}
pub(crate) use on;

/// Pushes `(…, …)`, the bound values of an `IN`. There is at least one: an empty list is no SQL.
pub(super) fn push_list<'t, DB, T>(query: &mut QueryBuilder<DB>, values: impl IntoIterator<Item = T>)
where
    DB: sqlx::Database,
    T: sqlx::Encode<'t, DB> + sqlx::Type<DB>,
{
    query.push("(");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

/// A connection that some transaction or reader owns.
pub enum Conn<'a> {
    Sqlite(&'a mut sqlx::SqliteConnection),
    Postgres(&'a mut sqlx::PgConnection),
}

/// The two texts of a statement that cannot be one, side by side with the reason.
pub struct PerEngine {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

impl Conn<'_> {
    pub(super) const fn text(&self, texts: &PerEngine) -> &'static str {
        match self {
            Self::Sqlite(_) => texts.sqlite,
            Self::Postgres(_) => texts.postgres,
        }
    }
}

/// The pools. `SQLite` has one writer, so writers queue here, in order, and not at the file's lock. On `PostgreSQL` no
/// transaction ever begins on a reader, so that a read needs no ROLLBACK before it (see `begin_postgres`).
#[derive(Clone)]
pub enum Db {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres { writers: PgPool, readers: PgPool },
}

/// An open write transaction; dropped, it rolls back.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A connection for reading, outside any transaction.
pub enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Tx {
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

impl Reader {
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}

/// How long a request waits for a free connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

impl Db {
    /// Opens (and on `SQLite` creates, folder and all) the database. `url` is `sqlite://PATH` or `postgres://…`;
    /// `connections` bounds the pool.
    pub async fn connect(url: &str, connections: u32) -> sqlx::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            connect_postgres(url, connections).await
        } else {
            connect_sqlite(url, connections).await
        }
    }

    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// Begins a write transaction. On `SQLite` it takes the write lock at once (`BEGIN IMMEDIATE`): a transaction that
    /// began as a reader would be refused, without waiting, when it first writes.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres { writers, .. } => begin_postgres(writers).await.map(Tx::Postgres),
        }
    }

    pub async fn read(&self) -> sqlx::Result<Reader> {
        match self {
            Self::Sqlite { readers, .. } => Ok(Reader::Sqlite(readers.acquire().await?)),
            Self::Postgres { readers, .. } => Ok(Reader::Postgres(readers.acquire().await?)),
        }
    }

    /// Brings the schema up to date; refuses one that is newer than this program or was changed by hand.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        match self {
            Self::Sqlite { writer, .. } => migrator(|migration| migration.sqlite).run(writer).await,
            // An index over many rows takes longer than any till may wait.
            Self::Postgres { writers, .. } => {
                let mut conn = writers.acquire().await?.detach();
                sqlx::query("SET statement_timeout = 0").execute(&mut conn).await?;
                migrator(|migration| migration.postgres).run(&mut conn).await?;
                Ok(sqlx::Connection::close(conn).await?)
            }
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { writers, readers } => {
                readers.close().await;
                writers.close().await;
            }
        }
    }
}

struct MigrationFile {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        MigrationFile {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// In order. A merged file is never edited; a test compares this list with the folders.
const MIGRATIONS: &[MigrationFile] = &[
    migration!(1, "0001_spine"),
    migration!(2, "0002_seek"),
    migration!(3, "0003_passes_complete"),
    migration!(4, "0004_jobs"),
    migration!(5, "0005_outbox"),
    migration!(6, "0006_google"),
    migration!(7, "0007_apps"),
    migration!(8, "0008_loyalty"),
    migration!(9, "0009_offline"),
    migration!(10, "0010_consents"),
    migration!(11, "0011_bought"),
];

/// The newest schema this program knows.
pub fn schema_version() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The migration files by name, without `.sql`.
pub fn migration_names() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.name)
}

fn migrator(text: fn(&MigrationFile) -> &'static str) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|migration| {
        let sql = sqlx::SqlStr::from_static(text(migration));
        Migration::new(migration.version, migration.name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// The file that an `SQLite` URL names.
pub fn sqlite_file(url: &str) -> sqlx::Result<std::path::PathBuf> {
    Ok(SqliteConnectOptions::from_str(url)?.get_filename().to_owned())
}

/// Makes the file, and the folder it is in, readable by its owner only: it will hold personal data.
fn prepare_file(url: &str) -> sqlx::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let file = sqlite_file(url)?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
    Ok(())
}

async fn connect_sqlite(url: &str, connections: u32) -> sqlx::Result<Db> {
    prepare_file(url)?;
    let options = SqliteConnectOptions::from_str(url)?
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits when the power goes; what was acknowledged must stay.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        // Erased text must not linger in free pages.
        .pragma("secure_delete", "ON")
        // 2 MiB for each connection; the system's own cache of the file is shared by all of them.
        .pragma("cache_size", "-2048")
        .statement_cache_capacity(256);
    // The writer touches many indexes in one transaction: what does not fit is written twice, and a log that is folded in
    // seldom writes a page once for several transactions.
    let writing = options.clone().pragma("cache_size", "-32768").pragma("wal_autocheckpoint", "4000");
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(writing)
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.read_only(true))
        .await?;
    Ok(Db::Sqlite { writer, readers })
}

/// Connections that turn out to be dead before one is believed to be the server's answer.
const DEAD_MAX: usize = 8;

/// sqlx 0.9.0 hands out a connection inside a transaction when a `begin()` was dropped while BEGIN was on the wire
/// (launchbadge/sqlx#4385); later statements would then vanish. So every transaction begins with a ROLLBACK, on the same way
/// to the server. Drop it when a release with #4394 is in use. Nobody asked before whether the connection lives: one that
/// does not is given up for another.
async fn begin_postgres(writers: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    for _ in 0..DEAD_MAX {
        match writers.begin_with("ROLLBACK; BEGIN").await {
            Err(error) if is_dead(&error) => {}
            begun => return begun,
        }
    }
    writers.begin_with("ROLLBACK; BEGIN").await
}

/// The connection is gone, or its server is.
fn is_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Ended by an administrator; the server crashed, or is shutting down.
        sqlx::Error::Database(cause) => matches!(cause.code().as_deref(), Some("57P01" | "57P02")),
        _ => false,
    }
}

async fn connect_postgres(url: &str, connections: u32) -> sqlx::Result<Db> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("passarela")
        .options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "5s"),
            ("synchronous_commit", "on"),
            // Every statement here seeks. A table that was empty a minute ago is walked, as long as nobody has counted it;
            // and compiling a plan takes longer than running it.
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ])
        .statement_cache_capacity(256);
    // Half of the connections each, and one at least.
    let share = (connections / 2).max(1);
    let writers = PgPoolOptions::new()
        .max_connections(connections.saturating_sub(share).max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await?;
    let readers = PgPoolOptions::new()
        .max_connections(share)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(options.options([("default_transaction_read_only", "on")]))
        .await?;
    Ok(Db::Postgres { writers, readers })
}
