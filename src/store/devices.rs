//! Phones and watches that asked to be told of updates.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{BrandId, DeviceId, PassId};
use crate::domain::secret::Secret;
use crate::domain::tag::Tag;

/// A device as it registers: who it is and where it can be pushed to.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub pass_type: String,
    /// Apple's `deviceLibraryIdentifier`: opaque, and the device's only secret on the list route.
    pub library_id: Secret<String>,
    pub push_token: Secret<String>,
    /// The scheme word of the `Authorization` header: `ApplePass`, or a third-party wallet's own.
    pub scheme: String,
}

/// Stores the device, or its new push token; the id that it has.
pub async fn upsert(
    conn: &mut Conn<'_>,
    brand: BrandId,
    new_id: DeviceId,
    device: &NewDevice,
    now: DateTime<Utc>,
) -> sqlx::Result<DeviceId> {
    const SQL: &str = "
        INSERT INTO devices (brand_id, device_id, pass_type, library_id, push_token, scheme, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
        ON CONFLICT (brand_id, pass_type, library_id)
        DO UPDATE SET push_token = excluded.push_token, scheme = excluded.scheme, updated_at = excluded.updated_at
        RETURNING device_id";
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(brand)
        .bind(new_id)
        .bind(&device.pass_type)
        .bind(device.library_id.reveal())
        .bind(device.push_token.reveal())
        .bind(&device.scheme)
        .bind(now)
        .fetch_one(c)
        .await)
}

/// The device if it comes with another push token than it had, which it has from now on; what was known of the old one is
/// forgotten.
pub async fn renew_token(
    conn: &mut Conn<'_>,
    brand: BrandId,
    device: &NewDevice,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<DeviceId>> {
    const SQL: &str = "
        UPDATE devices SET push_token = $4, refused_since = NULL, updated_at = $5
        WHERE brand_id = $1 AND pass_type = $2 AND library_id = $3 AND push_token <> $4
        RETURNING device_id";
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(brand)
        .bind(&device.pass_type)
        .bind(device.library_id.reveal())
        .bind(device.push_token.reveal())
        .bind(now)
        .fetch_optional(c)
        .await)
}

/// Registers a device for a pass. `Some((tag, first_tag))`: it is new, and these are the pass's newest tag and the one
/// it was created with. `None`: the device had registered before.
///
/// The device starts as told of the first tag: what it downloaded may be as old as that.
pub async fn register(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    device: DeviceId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(i64, i64)>> {
    const INSERT: &str = "
        INSERT INTO registrations (brand_id, pass_id, device_id, listed_tag_n, told_tag_n, fetched_tag_n, created_at)
        SELECT brand_id, pass_id, $3, 0, first_tag_n, first_tag_n, $4 FROM passes WHERE brand_id = $1 AND pass_id = $2
        ON CONFLICT (brand_id, pass_id, device_id) DO NOTHING";
    const TAGS: &str = "SELECT tag_n, first_tag_n FROM passes WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| {
        let inserted =
            sqlx::query(INSERT).bind(brand).bind(pass).bind(device).bind(now).execute(&mut *c).await?.rows_affected();
        if inserted == 0 {
            return Ok(None);
        }
        sqlx::query_as(TAGS).bind(brand).bind(pass).fetch_one(c).await.map(Some)
    })
}

/// A new device and the pass that it holds.
#[derive(Debug, Clone)]
pub struct Registering {
    pub pass: PassId,
    pub new_id: DeviceId,
    pub device: NewDevice,
}

/// Stores devices that are known to be new, each with its one pass, as told of everything up to a tag.
pub async fn insert_many(
    conn: &mut Conn<'_>,
    brand: BrandId,
    rows: &[Registering],
    told_tag_n: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut devices = QueryBuilder::new(
            "INSERT INTO devices (brand_id, device_id, pass_type, library_id, push_token, scheme, created_at, updated_at) ",
        );
        devices.push_values(rows, |mut row, one| {
            row.push_bind(brand)
                .push_bind(one.new_id)
                .push_bind(&one.device.pass_type)
                .push_bind(one.device.library_id.reveal())
                .push_bind(one.device.push_token.reveal())
                .push_bind(&one.device.scheme)
                .push_bind(now)
                .push_bind(now);
        });
        devices.build().execute(&mut *c).await?;
        let mut registered = QueryBuilder::new(
            "INSERT INTO registrations (brand_id, pass_id, device_id, listed_tag_n, told_tag_n, created_at) ",
        );
        registered.push_values(rows, |mut row, one| {
            row.push_bind(brand).push_bind(one.pass).push_bind(one.new_id).push_bind(0_i64);
            row.push_bind(told_tag_n).push_bind(now);
        });
        registered.build().execute(c).await.map(|_| ())
    })
}

/// Gives a registration a tag of its own: the device is listed the pass whatever tag it asks with now.
pub async fn set_listed_tag(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    device: DeviceId,
    tag_n: i64,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE registrations SET listed_tag_n = $4 WHERE brand_id = $1 AND pass_id = $2 AND device_id = $3";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(pass).bind(device).bind(tag_n).execute(c).await.map(|_| ()))
}

/// Takes a registration back, and the device with its last one. The device that had registered; `None`: none had.
pub async fn unregister(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    pass_type: &str,
    library_id: &str,
) -> sqlx::Result<Option<DeviceId>> {
    // A registration that is just being made for another pass holds the device by its foreign key: waiting for it here,
    // the statements below see it.
    const DEVICE: PerEngine = PerEngine {
        sqlite: "SELECT device_id FROM devices WHERE brand_id = $1 AND pass_type = $2 AND library_id = $3",
        postgres: "
            SELECT device_id FROM devices WHERE brand_id = $1 AND pass_type = $2 AND library_id = $3 FOR UPDATE",
    };
    const REGISTRATION: &str = "DELETE FROM registrations WHERE brand_id = $1 AND pass_id = $2 AND device_id = $3";
    const LAST: &str = "
        DELETE FROM devices WHERE brand_id = $1 AND device_id = $2
        AND NOT EXISTS (SELECT 1 FROM registrations WHERE brand_id = $1 AND device_id = $2)";
    const PENDING: &str = "
        DELETE FROM outbox WHERE brand_id = $1 AND channel = 'apns' AND destination_id = $2
        AND NOT EXISTS (SELECT 1 FROM devices WHERE brand_id = $1 AND device_id = $2)";
    let device_sql = conn.text(&DEVICE);
    on!(conn, |c| {
        let device: Option<DeviceId> =
            sqlx::query_scalar(device_sql).bind(brand).bind(pass_type).bind(library_id).fetch_optional(&mut *c).await?;
        let Some(device) = device else { return Ok(None) };
        let removed =
            sqlx::query(REGISTRATION).bind(brand).bind(pass).bind(device).execute(&mut *c).await?.rows_affected();
        sqlx::query(LAST).bind(brand).bind(device).execute(&mut *c).await?;
        sqlx::query(PENDING).bind(brand).bind(device).execute(c).await?;
        Ok((removed == 1).then_some(device))
    })
}

/// The devices that hold a pass beyond the newest `keep` registrations: what they are known by, oldest first.
pub async fn list_surplus(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    keep: i64,
) -> sqlx::Result<Vec<Secret<String>>> {
    const SQL: &str = "
        SELECT d.library_id FROM registrations r
        JOIN devices d ON d.brand_id = r.brand_id AND d.device_id = r.device_id
        WHERE r.brand_id = $1 AND r.pass_id = $2 ORDER BY r.created_at DESC, r.device_id DESC LIMIT 100 OFFSET $3";
    let surplus: Vec<String> =
        on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(pass).bind(keep).fetch_all(c).await)?;
    Ok(surplus.into_iter().rev().map(Secret::new).collect())
}

/// A pass that a device is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    pub serial: String,
    /// The tag of the pass, or of its late registration.
    pub tag_n: i64,
    pub tag_epoch: i64,
}

/// What a device asks with.
#[derive(Debug, Clone)]
pub struct AskedSince {
    pub pass_type: String,
    pub library_id: Secret<String>,
    pub tag: Tag,
}

/// Each device's passes that were published (or registered late) after the tag it asks with, oldest first. A tag of
/// another epoch, or one that was not handed out yet, lists everything: telling too much is harmless, too little is not.
pub async fn list_updated(
    conn: &mut Conn<'_>,
    brand: BrandId,
    devices: &[AskedSince],
) -> sqlx::Result<Vec<Vec<Updated>>> {
    let rows: Vec<(i64, String, i64, i64)> = on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (number, pass_type, library_id, epoch, n) AS (");
        query.push_values(devices.iter().zip(0_i64..), |mut row, (device, number)| {
            row.push_bind(number)
                .push_bind(&device.pass_type)
                .push_bind(device.library_id.reveal())
                .push_bind(device.tag.epoch)
                .push_bind(device.tag.n);
        });
        // CROSS JOIN: SQLite then begins with the devices named, instead of with all of the brand.
        query.push(
            ") SELECT v.number, p.serial, t.tag_epoch,
                      CASE WHEN r.listed_tag_n > p.tag_n THEN r.listed_tag_n ELSE p.tag_n END AS tag_n
               FROM v
               CROSS JOIN devices d
               JOIN pass_types t ON t.brand_id = d.brand_id AND t.pass_type = d.pass_type
               JOIN registrations r ON r.brand_id = d.brand_id AND r.device_id = d.device_id
               JOIN passes p ON p.brand_id = r.brand_id AND p.pass_id = r.pass_id
               WHERE d.pass_type = v.pass_type AND d.library_id = v.library_id
                 AND (p.tag_n > v.n OR r.listed_tag_n > v.n OR t.tag_epoch <> v.epoch OR t.tag_n < v.n)
                 AND d.brand_id = ",
        );
        query.push_bind(brand).push(" ORDER BY 4").build_query_as().fetch_all(c).await
    })?;
    let mut listed = vec![Vec::new(); devices.len()];
    for (number, serial, tag_epoch, tag_n) in rows {
        if let Some(place) = usize::try_from(number).ok().and_then(|number| listed.get_mut(number)) {
            place.push(Updated { serial, tag_n, tag_epoch });
        }
    }
    Ok(listed)
}

/// A device that holds a pass, and what is known of it.
#[derive(Debug, Clone, FromRow)]
pub struct Holder {
    pub device_id: DeviceId,
    pub scheme: String,
    pub registered_at: DateTime<Utc>,
    pub token_updated_at: DateTime<Utc>,
    /// Since when its push token is refused.
    pub refused_since: Option<DateTime<Utc>>,
    /// Whether the device has been told of the newest content, and when it was last told of anything.
    pub is_told: bool,
    pub told_at: Option<DateTime<Utc>>,
    /// When it last asked what changed.
    pub asked_at: Option<DateTime<Utc>>,
    /// Whether it has the newest content, and when it came for what it has.
    pub is_current: bool,
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether anything was published since the pass was made.
    pub has_changed: bool,
}

pub async fn list_holders(conn: &mut Conn<'_>, brand: BrandId, pass: PassId, limit: i64) -> sqlx::Result<Vec<Holder>> {
    const SQL: &str = "
        SELECT d.device_id, d.scheme, r.created_at AS registered_at, d.updated_at AS token_updated_at, d.refused_since,
               r.told_tag_n >= p.tag_n AS is_told, r.told_at, d.asked_at,
               r.fetched_tag_n >= p.tag_n AS is_current, r.fetched_at, p.tag_n > p.first_tag_n AS has_changed
        FROM registrations r
        JOIN devices d ON d.brand_id = r.brand_id AND d.device_id = r.device_id
        JOIN passes p ON p.brand_id = r.brand_id AND p.pass_id = r.pass_id
        WHERE r.brand_id = $1 AND r.pass_id = $2 ORDER BY r.device_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass).bind(limit).fetch_all(c).await)
}

/// How many devices hold the pass.
pub async fn count_holders(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<i64> {
    const SQL: &str = "SELECT COUNT(*) FROM registrations WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(pass).fetch_one(c).await)
}

/// The same for many passes; one that nobody holds is absent.
pub async fn count_holders_each(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
) -> sqlx::Result<std::collections::HashMap<PassId, i64>> {
    if passes.is_empty() {
        return Ok(std::collections::HashMap::new());
    }
    let rows: Vec<(PassId, i64)> = on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT pass_id, COUNT(*) FROM registrations WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.push(" GROUP BY pass_id").build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().collect())
}
