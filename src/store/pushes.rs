//! Push tokens: whom a push goes to, and what is known of them afterwards.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, DeviceId, PassId};
use crate::domain::secret::Secret;

/// A device that is about to be pushed to.
#[derive(Debug, Clone)]
pub struct Target {
    pub device: DeviceId,
    pub pass_type: String,
    pub push_token: Secret<String>,
    /// The scheme word that it registered with: only `ApplePass` is Apple's to push to.
    pub scheme: String,
    /// Everything that is published for it now; what a push tells of.
    pub newest_tag_n: i64,
    /// Since when its token is refused.
    pub refused_since: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct TargetRow {
    device_id: DeviceId,
    pass_type: String,
    push_token: String,
    scheme: String,
    tag_n: i64,
    refused_since: Option<DateTime<Utc>>,
}

/// Those of the devices that are still registered.
pub async fn load_targets(conn: &mut Conn<'_>, brand: BrandId, devices: &[DeviceId]) -> sqlx::Result<Vec<Target>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<TargetRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "SELECT d.device_id, d.pass_type, d.push_token, d.scheme, t.tag_n, d.refused_since FROM devices d
             JOIN pass_types t ON t.brand_id = d.brand_id AND t.pass_type = d.pass_type WHERE d.brand_id = ",
        );
        query.push_bind(brand).push(" AND d.device_id IN ");
        push_list(&mut query, devices.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    let target = |row: TargetRow| Target {
        device: row.device_id,
        pass_type: row.pass_type,
        push_token: Secret::new(row.push_token),
        scheme: row.scheme,
        newest_tag_n: row.tag_n,
        refused_since: row.refused_since,
    };
    Ok(rows.into_iter().map(target).collect())
}

/// Notes that devices were told of everything up to a tag.
pub async fn tell(
    conn: &mut Conn<'_>,
    brand: BrandId,
    devices: &[DeviceId],
    tag_n: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    // From the devices to their registrations: SQLite would rather walk all of the brand's.
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, device_id) AS (");
        query.push_values(devices, |mut row, device| {
            row.push_bind(brand).push_bind(*device);
        });
        query.push(") UPDATE registrations SET told_tag_n = ").push_bind(tag_n).push(", told_at = ").push_bind(now);
        query.push(" WHERE told_tag_n < ").push_bind(tag_n).push(
            " AND (brand_id, pass_id, device_id) IN (
                SELECT r.brand_id, r.pass_id, r.device_id FROM v
                CROSS JOIN registrations r WHERE r.brand_id = v.brand_id AND r.device_id = v.device_id)",
        );
        query.build().execute(c).await.map(|_| ())
    })
}

/// Notes that this token of a device is refused, since now if it was not before; `false`: it has another token by now.
pub async fn suspect(
    conn: &mut Conn<'_>,
    brand: BrandId,
    device: DeviceId,
    push_token: &Secret<String>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE devices SET refused_since = CASE WHEN refused_since IS NULL THEN $4 ELSE refused_since END
        WHERE brand_id = $1 AND device_id = $2 AND push_token = $3";
    on!(conn, |c| {
        let done = sqlx::query(SQL).bind(brand).bind(device).bind(push_token.reveal()).bind(now).execute(c).await?;
        Ok(done.rows_affected() == 1)
    })
}

/// Notes that the tokens of these devices, which were refused, are accepted again.
pub async fn clear(conn: &mut Conn<'_>, brand: BrandId, devices: &[DeviceId]) -> sqlx::Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE devices SET refused_since = NULL WHERE brand_id = ");
        query.push_bind(brand).push(" AND device_id IN ");
        push_list(&mut query, devices.iter().copied());
        query.build().execute(c).await.map(|_| ())
    })
}

/// Notes that the push service took a push of this pass type, unless that is known since `stale_before`: publishers wait
/// for this row.
pub async fn accept(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass_type: &str,
    stale_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE pass_types SET accepted_at = $3
        WHERE brand_id = $1 AND pass_type = $2 AND (accepted_at IS NULL OR accepted_at < $4)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(pass_type)
        .bind(now)
        .bind(stale_before)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Removes a device with all its registrations, unless it has another push token by now or registered again after
/// `gone_at`. The passes that it held, and whose they are; `None`: it stays, or is gone already.
pub async fn remove_device(
    conn: &mut Conn<'_>,
    brand: BrandId,
    device: DeviceId,
    push_token: &Secret<String>,
    gone_at: DateTime<Utc>,
) -> sqlx::Result<Option<Vec<(PassId, CustomerId)>>> {
    // Locks the device: a registration that is just being made waits, and makes a new device afterwards.
    const LOCK: &str = "
        UPDATE devices SET scheme = scheme
        WHERE brand_id = $1 AND device_id = $2 AND updated_at <= $3 AND push_token = $4";
    const REGISTRATIONS: &str = "
        DELETE FROM registrations WHERE brand_id = $1 AND device_id = $2
        RETURNING pass_id, (SELECT p.customer_id FROM passes p
                            WHERE p.brand_id = $1 AND p.pass_id = registrations.pass_id)";
    const DEVICE: &str = "DELETE FROM devices WHERE brand_id = $1 AND device_id = $2";
    const ROW: &str = "DELETE FROM outbox WHERE brand_id = $1 AND channel = 'apns' AND destination_id = $2";
    on!(conn, |c| {
        let locked =
            sqlx::query(LOCK).bind(brand).bind(device).bind(gone_at).bind(push_token.reveal()).execute(&mut *c).await?;
        if locked.rows_affected() == 0 {
            return Ok(None);
        }
        let passes = sqlx::query_as(REGISTRATIONS).bind(brand).bind(device).fetch_all(&mut *c).await?;
        sqlx::query(DEVICE).bind(brand).bind(device).execute(&mut *c).await?;
        sqlx::query(ROW).bind(brand).bind(device).execute(c).await?;
        Ok(Some(passes))
    })
}

/// Whether a push of the device's pass type was accepted after `since`: then a refusal is the token's own.
pub async fn was_accepted_since(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass_type: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "SELECT COUNT(*) FROM pass_types WHERE brand_id = $1 AND pass_type = $2 AND accepted_at > $3";
    let count: i64 = on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(pass_type).bind(since).fetch_one(c).await)?;
    Ok(count > 0)
}

/// The time in the provider token of a key: the one in use, or `now` where that is older than `stale_before` or there is
/// none. All processes and brands that ask get the same, so they make the same token.
pub async fn issue_token(
    conn: &mut Conn<'_>,
    key_id: &str,
    stale_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<DateTime<Utc>> {
    const SQL: &str = "
        INSERT INTO push_keys (key_id, issued_at) VALUES ($1, $3)
        ON CONFLICT (key_id) DO UPDATE SET issued_at =
            CASE WHEN push_keys.issued_at < $2 THEN excluded.issued_at ELSE push_keys.issued_at END
        RETURNING issued_at";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(key_id).bind(stale_before).bind(now).fetch_one(c).await)
}

/// Notes when a device asked what changed.
pub async fn note_asked(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass_type: &str,
    library_id: &Secret<String>,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE devices SET asked_at = $4 WHERE brand_id = $1 AND pass_type = $2 AND library_id = $3";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(pass_type)
        .bind(library_id.reveal())
        .bind(at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Notes that a version of a pass was fetched. The call does not say by which device: by the one that asked last, of those
/// that do not have the version yet.
pub async fn note_fetched(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    tag_n: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE registrations SET fetched_tag_n = $3, fetched_at = $4
        WHERE brand_id = $1 AND pass_id = $2 AND device_id = (
            SELECT r.device_id FROM registrations r
            JOIN devices d ON d.brand_id = r.brand_id AND d.device_id = r.device_id
            WHERE r.brand_id = $1 AND r.pass_id = $2 AND r.fetched_tag_n < $3
            ORDER BY CASE WHEN d.asked_at IS NULL THEN 1 ELSE 0 END, d.asked_at DESC, d.device_id LIMIT 1)";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(pass).bind(tag_n).bind(at).execute(c).await.map(|_| ()))
}
