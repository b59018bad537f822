//! What the installation as a whole remembers: one row, of no brand.

use chrono::{DateTime, Utc};

use super::db::{Conn, on};

/// Keeps the check value of the master key the first time; returns the one that is kept.
pub async fn keep_master_key_check(conn: &mut Conn<'_>, check: &[u8], now: DateTime<Utc>) -> sqlx::Result<Vec<u8>> {
    const INSERT: &str = "
        INSERT INTO installation (id, master_key_check, created_at) VALUES (1, $1, $2)
        ON CONFLICT (id) DO NOTHING";
    on!(conn, |c| sqlx::query(INSERT).bind(check).bind(now).execute(c).await.map(|_| ()))?;
    find_master_key_check(conn).await?.ok_or(sqlx::Error::RowNotFound)
}

/// `None` in a database that no server has used yet.
pub async fn find_master_key_check(conn: &mut Conn<'_>) -> sqlx::Result<Option<Vec<u8>>> {
    const SQL: &str = "SELECT master_key_check FROM installation WHERE id = 1";
    on!(conn, |c| sqlx::query_scalar(SQL).fetch_optional(c).await)
}

/// The cheapest statement there is: whether the database answers.
pub async fn ping(conn: &mut Conn<'_>) -> sqlx::Result<()> {
    on!(conn, |c| sqlx::query("SELECT 1").execute(c).await.map(|_| ()))
}
