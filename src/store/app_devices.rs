//! Installations of the brand's own app: whose they are, and by what address a message reaches them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{AppDeviceId, BrandId, CustomerId};
use crate::domain::locale::Locale;
use crate::domain::notice::{AppPlatform, AppService};
use crate::domain::secret::Secret;

/// An installation as it registers.
#[derive(Debug, Clone)]
pub struct NewAppDevice {
    pub customer: CustomerId,
    pub service: AppService,
    pub platform: AppPlatform,
    /// SHA-256 of the fid, or of the token where there is none: what makes it the same installation.
    pub address_hash: Vec<u8>,
    pub fid: Option<Secret<String>>,
    pub token: Option<Secret<String>>,
    /// The language that the app speaks; `None`: the customer's.
    pub locale: Option<Locale>,
}

/// What came of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    pub id: AppDeviceId,
    pub is_new: bool,
    /// Whether it has another fid or token than before.
    pub is_renewed: bool,
    /// Whose it was, if it was another customer's.
    pub was_of: Option<CustomerId>,
}

/// An installation as it was. Holds an address: no `Debug`.
#[derive(FromRow)]
struct Before {
    customer_id: CustomerId,
    fid: Option<String>,
    token: Option<String>,
}

/// Stores an installation, or what is new of it; one that another customer had is this one's from now on. What was known of
/// another fid or token is forgotten.
pub async fn register(
    conn: &mut Conn<'_>,
    brand: BrandId,
    new_id: AppDeviceId,
    device: &NewAppDevice,
    now: DateTime<Utc>,
) -> sqlx::Result<Registered> {
    const BEFORE: PerEngine = PerEngine {
        sqlite: "
            SELECT customer_id, fid, token FROM app_devices
            WHERE brand_id = $1 AND service = $2 AND address_hash = $3",
        postgres: "
            SELECT customer_id, fid, token FROM app_devices
            WHERE brand_id = $1 AND service = $2 AND address_hash = $3 FOR UPDATE",
    };
    const SQL: &str = "
        INSERT INTO app_devices (
            brand_id, device_id, customer_id, service, platform, address_hash, fid, token, locale, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
        ON CONFLICT (brand_id, service, address_hash) DO UPDATE SET
            customer_id = excluded.customer_id, platform = excluded.platform, fid = excluded.fid, token = excluded.token,
            locale = excluded.locale, updated_at = excluded.updated_at,
            refused_since = CASE WHEN $11 THEN NULL ELSE app_devices.refused_since END
        RETURNING device_id";
    // What the customer before was told is not this one's.
    const FORGET: &str = "DELETE FROM app_passes WHERE brand_id = $1 AND device_id = $2";
    let sql = conn.text(&BEFORE);
    on!(conn, |c| {
        let before: Option<Before> = sqlx::query_as(sql)
            .bind(brand)
            .bind(device.service.as_str())
            .bind(device.address_hash.as_slice())
            .fetch_optional(&mut *c)
            .await?;
        let (fid, token) = (device.fid.as_ref().map(Secret::reveal), device.token.as_ref().map(Secret::reveal));
        let is_renewed = before.as_ref().is_some_and(|row| row.fid.as_ref() != fid || row.token.as_ref() != token);
        let id = sqlx::query_scalar(SQL)
            .bind(brand)
            .bind(new_id)
            .bind(device.customer)
            .bind(device.service.as_str())
            .bind(device.platform.as_str())
            .bind(device.address_hash.as_slice())
            .bind(fid)
            .bind(token)
            .bind(device.locale.map(Locale::as_str))
            .bind(now)
            .bind(is_renewed)
            .fetch_one(&mut *c)
            .await?;
        let was_of = before.as_ref().map(|row| row.customer_id).filter(|customer| *customer != device.customer);
        if was_of.is_some() {
            sqlx::query(FORGET).bind(brand).bind(id).execute(c).await?;
        }
        Ok(Registered { id, is_new: before.is_none(), is_renewed, was_of })
    })
}

/// An installation as people look at it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AppDevice {
    #[sqlx(rename = "device_id")]
    pub id: AppDeviceId,
    #[sqlx(rename = "customer_id")]
    pub customer: CustomerId,
    #[sqlx(try_from = "String")]
    pub service: AppService,
    #[sqlx(try_from = "String")]
    pub platform: AppPlatform,
    pub locale: Option<String>,
    pub told_at: Option<DateTime<Utc>>,
    pub refused_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "device_id, customer_id, service, platform, locale, told_at, refused_since, created_at, updated_at"
    };
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, device: AppDeviceId) -> sqlx::Result<Option<AppDevice>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM app_devices WHERE brand_id = $1 AND device_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(device).fetch_optional(c).await)
}

/// Installations after `after`, in order of id; of one customer, if it is given.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: Option<CustomerId>,
    after: Option<AppDeviceId>,
    limit: i64,
) -> sqlx::Result<Vec<AppDevice>> {
    const ALL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM app_devices WHERE brand_id = $1 AND device_id > $2 AND $3 IS NULL ORDER BY device_id LIMIT $4"
    );
    const OF_CUSTOMER: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM app_devices WHERE brand_id = $1 AND device_id > $2 AND customer_id = $3 ORDER BY device_id LIMIT $4"
    );
    let sql = if customer.is_some() { OF_CUSTOMER } else { ALL };
    let after = after.unwrap_or(AppDeviceId::FIRST);
    on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(after).bind(customer).bind(limit).fetch_all(c).await)
}

/// The customer's installations beyond the `keep` that registered last.
pub async fn list_surplus(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    keep: i64,
) -> sqlx::Result<Vec<AppDeviceId>> {
    // SQLite knows no OFFSET without a LIMIT.
    const SQL: &str = "
        SELECT device_id FROM app_devices WHERE brand_id = $1 AND customer_id = $2
        ORDER BY updated_at DESC, device_id DESC LIMIT 100 OFFSET $3";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(customer).bind(keep).fetch_all(c).await)
}

/// Removes an installation with all that it was told, unless it registered again after `gone_at`; whether it was there.
pub async fn remove(
    conn: &mut Conn<'_>,
    brand: BrandId,
    device: AppDeviceId,
    gone_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    // Whoever is just about to tell it of a pass has its row shared, and is waited for.
    const LOCK: PerEngine = PerEngine {
        sqlite: "SELECT device_id FROM app_devices WHERE brand_id = $1 AND device_id = $2 AND updated_at <= $3",
        postgres: "
            SELECT device_id FROM app_devices WHERE brand_id = $1 AND device_id = $2 AND updated_at <= $3 FOR UPDATE",
    };
    const PASSES: &str = "DELETE FROM app_passes WHERE brand_id = $1 AND device_id = $2";
    const ROWS: &str = "DELETE FROM outbox WHERE brand_id = $1 AND channel IN ('fcm', 'app') AND destination_id = $2";
    const DEVICE: &str = "DELETE FROM app_devices WHERE brand_id = $1 AND device_id = $2";
    let lock = conn.text(&LOCK);
    on!(conn, |c| {
        let locked: Option<AppDeviceId> =
            sqlx::query_scalar(lock).bind(brand).bind(device).bind(gone_at).fetch_optional(&mut *c).await?;
        if locked.is_none() {
            return Ok(false);
        }
        for sql in [PASSES, ROWS, DEVICE] {
            sqlx::query(sql).bind(brand).bind(device).execute(&mut *c).await?;
        }
        Ok(true)
    })
}

/// An installation that is about to be told something.
#[derive(Debug, Clone)]
pub struct AppTarget {
    pub device: AppDeviceId,
    pub customer: CustomerId,
    pub platform: AppPlatform,
    pub fid: Option<Secret<String>>,
    pub token: Option<Secret<String>>,
    /// The app's language, or the customer's.
    pub locale: Option<String>,
    /// Coupons that the customer can use.
    pub coupons: i64,
    pub refused_since: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct TargetRow {
    device_id: AppDeviceId,
    customer_id: CustomerId,
    platform: String,
    fid: Option<String>,
    token: Option<String>,
    locale: Option<String>,
    coupons: i64,
    refused_since: Option<DateTime<Utc>>,
}

/// Those of the installations that are still registered with the service.
pub async fn load_targets(
    conn: &mut Conn<'_>,
    brand: BrandId,
    service: AppService,
    devices: &[AppDeviceId],
) -> sqlx::Result<Vec<AppTarget>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<TargetRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "SELECT d.device_id, d.customer_id, d.platform, d.fid, d.token, COALESCE(d.locale, c.locale) AS locale,
                    d.refused_since,
                    (SELECT COUNT(*) FROM passes p
                     JOIN templates t ON t.brand_id = p.brand_id AND t.template_id = p.template_id
                     WHERE p.brand_id = d.brand_id AND p.customer_id = d.customer_id
                       AND p.status = 'active' AND t.kind = 'coupon') AS coupons
             FROM app_devices d
             JOIN customers c ON c.brand_id = d.brand_id AND c.customer_id = d.customer_id
             WHERE d.brand_id = ",
        );
        query.push_bind(brand).push(" AND d.service = ").push_bind(service.as_str()).push(" AND d.device_id IN ");
        push_list(&mut query, devices.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    let target = |row: TargetRow| {
        Ok(AppTarget {
            device: row.device_id,
            customer: row.customer_id,
            platform: row.platform.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            fid: row.fid.map(Secret::new),
            token: row.token.map(Secret::new),
            locale: row.locale,
            coupons: row.coupons,
            refused_since: row.refused_since,
        })
    };
    rows.into_iter().map(target).collect()
}

/// Notes that messages to these were taken.
pub async fn note_told(
    conn: &mut Conn<'_>,
    brand: BrandId,
    devices: &[AppDeviceId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE app_devices SET refused_since = NULL, told_at = ");
        query.push_bind(now).push(" WHERE brand_id = ").push_bind(brand).push(" AND device_id IN ");
        push_list(&mut query, devices.iter().copied());
        query.build().execute(c).await.map(|_| ())
    })
}

/// Notes that an address is refused, since now if it was not before. The row of an address that was changed meanwhile is
/// left alone: `false`.
pub async fn suspect(
    conn: &mut Conn<'_>,
    brand: BrandId,
    target: &AppTarget,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE app_devices SET refused_since = COALESCE(refused_since, $5)
        WHERE brand_id = $1 AND device_id = $2
          AND COALESCE(fid, '') = $3 AND COALESCE(token, '') = $4";
    let text =
        |address: &Option<Secret<String>>| address.as_ref().map_or_else(String::new, |text| text.reveal().clone());
    on!(conn, |c| {
        let query = sqlx::query(SQL).bind(brand).bind(target.device).bind(text(&target.fid)).bind(text(&target.token));
        Ok(query.bind(now).execute(c).await?.rows_affected() == 1)
    })
}

/// Whether a message to any other installation of the service was taken after `since`: then a refusal is the address's own.
pub async fn was_told_since(
    conn: &mut Conn<'_>,
    brand: BrandId,
    service: AppService,
    since: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 AS one FROM app_devices
            WHERE brand_id = $1 AND service = $2 AND told_at IS NOT NULL AND told_at > $3 LIMIT 1) AS told";
    let count: i64 =
        on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(service.as_str()).bind(since).fetch_one(c).await)?;
    Ok(count > 0)
}
