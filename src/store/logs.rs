//! What phones report of their troubles. Untrusted text, kept for diagnosis and bounded.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, DeviceId, PassId};
use crate::domain::secret::Personal;

/// What a message names.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    pub pass_type: Option<&'a str>,
    pub serial: Option<&'a str>,
    pub library_id: Option<&'a str>,
}

/// Keeps a message, with the pass and the device that it names where the brand has them.
pub async fn insert(
    conn: &mut Conn<'_>,
    brand: BrandId,
    log_id: Uuid,
    about: About<'_>,
    message: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO device_logs (brand_id, log_id, pass_id, device_id, message, received_at)
        VALUES ($1, $2,
                (SELECT pass_id FROM passes WHERE brand_id = $1 AND pass_type = $3 AND serial = $4),
                (SELECT device_id FROM devices WHERE brand_id = $1 AND pass_type = $3 AND library_id = $5), $6, $7)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(log_id)
        .bind(about.pass_type)
        .bind(about.serial)
        .bind(about.library_id)
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

/// A message and when it came.
#[derive(Debug, Clone, FromRow)]
pub struct Message {
    /// `None` where it names no device that we know.
    pub device_id: Option<DeviceId>,
    pub message: Personal<String>,
    pub received_at: DateTime<Utc>,
}

/// The newest messages about a pass or from one of `devices`, newest first.
pub async fn list_about(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    devices: &[DeviceId],
    limit: i64,
) -> sqlx::Result<Vec<Message>> {
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT device_id, message, received_at FROM device_logs WHERE brand_id = ");
        query.push_bind(brand).push(" AND (pass_id = ").push_bind(pass);
        if !devices.is_empty() {
            query.push(" OR device_id IN ");
            push_list(&mut query, devices.iter().copied());
        }
        query.push(") ORDER BY log_id DESC LIMIT ").push_bind(limit).build_query_as().fetch_all(c).await
    })
}
