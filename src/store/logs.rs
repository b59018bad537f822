//! What phones report of their troubles. Untrusted text, kept for diagnosis and bounded.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, PassId};

/// Keeps a message; `about` (pass type and serial) ties it to a pass when the brand has it.
pub async fn insert(
    conn: &mut Conn<'_>,
    brand: BrandId,
    log_id: Uuid,
    about: Option<(&str, &str)>,
    message: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO device_logs (brand_id, log_id, pass_id, message, received_at)
        VALUES ($1, $2, (SELECT pass_id FROM passes WHERE brand_id = $1 AND pass_type = $3 AND serial = $4), $5, $6)";
    let (pass_type, serial) = about.unzip();
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(log_id)
        .bind(pass_type)
        .bind(serial)
        .bind(message)
        .bind(now)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Keeps the newest `keep` messages of a brand; takes away at most `limit` at a time.
pub async fn trim(conn: &mut Conn<'_>, brand: BrandId, keep: i64, limit: i64) -> sqlx::Result<u64> {
    const SQL: &str = "
        DELETE FROM device_logs WHERE brand_id = $1 AND log_id IN (
            SELECT log_id FROM device_logs WHERE brand_id = $1 ORDER BY log_id DESC LIMIT $3 OFFSET $2)";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(keep).bind(limit).execute(c).await.map(|done| done.rows_affected()))
}

/// The newest messages about a pass, newest first.
pub async fn list_by_pass(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    limit: i64,
) -> sqlx::Result<Vec<(String, DateTime<Utc>)>> {
    const SQL: &str = "
        SELECT message, received_at FROM device_logs
        WHERE brand_id = $1 AND pass_id = $2 ORDER BY log_id DESC LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass).bind(limit).fetch_all(c).await)
}
