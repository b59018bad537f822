//! What is still to be told to whom.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, DeliveryId, DeviceId, PassId};
use crate::domain::pass::Lane;

/// The devices after `after` (in order of id) that hold any of `passes`; at most `limit`.
pub async fn list_holding_devices(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
    after: Option<DeviceId>,
    limit: i64,
) -> sqlx::Result<Vec<DeviceId>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    // From the passes to their devices: SQLite would rather walk all devices of the brand in the order asked for.
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (pass_id) AS (");
        query.push_values(passes, |mut row, pass| {
            row.push_bind(*pass);
        });
        query.push(
            ") SELECT DISTINCT r.device_id FROM v CROSS JOIN registrations r WHERE r.pass_id = v.pass_id AND r.brand_id = ",
        );
        query.push_bind(brand).push(" AND r.device_id > ").push_bind(after.unwrap_or(DeviceId::FIRST));
        query.push(" ORDER BY r.device_id LIMIT ").push_bind(limit).build_query_scalar().fetch_all(c).await
    })
}

/// One pending row per device; a device that has one keeps it, because what is told ("come and fetch") is the same.
/// Each device comes with the id that its new row would have; in order of id, so that two who queue the same devices take
/// turns. The number of rows that are new or go out earlier.
pub async fn enqueue(
    conn: &mut Conn<'_>,
    brand: BrandId,
    devices: &[(DeliveryId, DeviceId, Lane)],
    not_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    if devices.is_empty() {
        return Ok(0);
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "INSERT INTO deliveries (brand_id, delivery_id, channel, lane, device_id, state, not_before, created_at) ",
        );
        query.push_values(devices, |mut row, (id, device, lane)| {
            row.push_bind(brand)
                .push_bind(*id)
                .push("'apns'")
                .push_bind(lane.as_str())
                .push_bind(*device)
                .push("'pending'")
                .push_bind(not_before)
                .push_bind(now);
        });
        // Somebody waits now for a device that only a roll-out had something for.
        query.push(
            " ON CONFLICT (brand_id, channel, device_id) WHERE state = 'pending'
              DO UPDATE SET lane = excluded.lane, not_before = excluded.not_before
              WHERE deliveries.lane = 'bulk' AND excluded.lane = 'interactive'",
        );
        query.build().execute(c).await.map(|done| done.rows_affected())
    })
}

/// Devices of the brand after `after` that have not been told of the newest content of one of their passes and have no
/// pending row: what the sweep heals. In order of id, at most `limit`.
pub async fn list_forgotten(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<DeviceId>,
    limit: i64,
) -> sqlx::Result<Vec<DeviceId>> {
    const SQL: &str = "
        SELECT DISTINCT r.device_id
        FROM registrations r
        JOIN passes p ON p.brand_id = r.brand_id AND p.pass_id = r.pass_id
        WHERE r.brand_id = $1 AND p.brand_id = $1 AND r.told_tag_n < p.tag_n AND r.device_id > $2
          AND NOT EXISTS (
              SELECT 1 FROM deliveries d
              WHERE d.brand_id = $1 AND d.channel = 'apns' AND d.device_id = r.device_id AND d.state = 'pending')
        ORDER BY r.device_id LIMIT $3";
    let after = after.unwrap_or(DeviceId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(after).bind(limit).fetch_all(c).await)
}

/// Pending rows of a brand, counted up to `limit`, and when the oldest of those was made.
pub async fn count_pending(
    conn: &mut Conn<'_>,
    brand: BrandId,
    limit: i64,
) -> sqlx::Result<(i64, Option<DateTime<Utc>>)> {
    const SQL: &str = "
        SELECT COUNT(*), MIN(created_at) FROM (
            SELECT created_at FROM deliveries WHERE brand_id = $1 AND state = 'pending' LIMIT $2) AS pending";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(limit).fetch_one(c).await)
}
