//! What backup and restore ask of a database.

use std::path::Path;

use super::db::{Conn, Db, on};

/// Writes a consistent copy of an `SQLite` database to a file that does not exist yet, while others write.
pub async fn copy_sqlite(db: &Db, to: &Path) -> sqlx::Result<()> {
    let Db::Sqlite { readers, .. } = db else {
        return Err(sqlx::Error::Configuration("PostgreSQL is copied by pg_dump".into()));
    };
    sqlx::query("VACUUM INTO $1").bind(to.display().to_string()).execute(readers).await.map(|_| ())
}

/// The first thing that is wrong inside an `SQLite` file; `None` when it is whole.
pub async fn find_damage(db: &Db) -> sqlx::Result<Option<String>> {
    let Db::Sqlite { readers, .. } = db else { return Ok(None) };
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(readers).await?;
    Ok((verdict != "ok").then_some(verdict))
}

/// The schema's version; `None` in a database that was never migrated.
pub async fn find_schema_version(conn: &mut Conn<'_>) -> sqlx::Result<Option<i64>> {
    const SQL: &str = "SELECT MAX(version) FROM _sqlx_migrations";
    let found: sqlx::Result<Option<i64>> = on!(conn, |c| sqlx::query_scalar(SQL).fetch_one(c).await);
    match found {
        // The table is not there: SQLite says so with 1, PostgreSQL with 42P01.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("1" | "42P01")) => Ok(None),
        found => found,
    }
}
