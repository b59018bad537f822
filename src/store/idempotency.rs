//! First answers, kept with the effect they answer for.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::BrandId;

/// The first answer to a key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeptAnswer {
    /// SHA-256 over method, route and body of the request.
    pub fingerprint: Vec<u8>,
    /// HTTP status; 0 while the transaction that took the key is open.
    pub status: i64,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// Takes the key for this transaction. `false`: somebody has it; on `PostgreSQL` the statement waits for a
/// transaction that is just taking it, up to the lock time-out.
pub async fn take(
    conn: &mut Conn<'_>,
    brand: BrandId,
    scope: &str,
    key: &str,
    fingerprint: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO idempotency_keys (brand_id, scope, idempotency_key, fingerprint, status, content_type, body, created_at)
        VALUES ($1, $2, $3, $4, 0, '', $5, $6)
        ON CONFLICT (brand_id, scope, idempotency_key) DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(scope)
        .bind(key)
        .bind(fingerprint)
        .bind(b"".as_slice())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, scope: &str, key: &str) -> sqlx::Result<Option<KeptAnswer>> {
    const SQL: &str = "
        SELECT fingerprint, status, content_type, body FROM idempotency_keys
        WHERE brand_id = $1 AND scope = $2 AND idempotency_key = $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(scope).bind(key).fetch_optional(c).await)
}

/// Keeps the answer beside the key that this transaction took.
pub async fn keep(
    conn: &mut Conn<'_>,
    brand: BrandId,
    scope: &str,
    key: &str,
    status: u16,
    content_type: &str,
    body: &[u8],
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE idempotency_keys SET status = $4, content_type = $5, body = $6
        WHERE brand_id = $1 AND scope = $2 AND idempotency_key = $3";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(scope)
        .bind(key)
        .bind(i64::from(status))
        .bind(content_type)
        .bind(body)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Forgets up to `limit` keys taken before `before`; the number forgotten.
pub async fn forget(conn: &mut Conn<'_>, brand: BrandId, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    const SQL: &str = "
        DELETE FROM idempotency_keys WHERE brand_id = $1 AND (scope, idempotency_key) IN (
            SELECT scope, idempotency_key FROM idempotency_keys
            WHERE brand_id = $1 AND created_at < $2 ORDER BY created_at LIMIT $3)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(before)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}
