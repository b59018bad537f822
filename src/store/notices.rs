//! What installations of the brand's app are to be told of passes, and what they were told.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{AppDeviceId, BrandId, CustomerId, PassId};
use crate::domain::notice::{AppService, Known, Notice};

/// What apps show of these passes so far; passes that never had a notice are left out.
pub async fn load(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<(PassId, Notice)>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(PassId, Json<Notice>)> = on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT pass_id, notice FROM pass_notices WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|(pass, notice)| (pass, notice.0)).collect())
}

/// Stores what apps show of passes from now on, each once.
pub async fn put(conn: &mut Conn<'_>, brand: BrandId, notices: &[(PassId, &Notice)]) -> sqlx::Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("INSERT INTO pass_notices (brand_id, pass_id, notice) ");
        query.push_values(notices, |mut row, (pass, notice)| {
            row.push_bind(brand).push_bind(*pass).push_bind(Json(*notice));
        });
        query.push(" ON CONFLICT (brand_id, pass_id) DO UPDATE SET notice = excluded.notice");
        query.build().execute(c).await.map(|_| ())
    })
}

/// An installation of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Watcher {
    #[sqlx(rename = "device_id")]
    pub device: AppDeviceId,
    #[sqlx(rename = "customer_id")]
    pub customer: CustomerId,
    #[sqlx(try_from = "String")]
    pub service: AppService,
}

/// The installations of these customers, which nobody removes before the transaction ends.
pub async fn list_watchers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customers: &[CustomerId],
) -> sqlx::Result<Vec<Watcher>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let shared = conn.text(&PerEngine { sqlite: "", postgres: " FOR KEY SHARE" });
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT device_id, customer_id, service FROM app_devices WHERE brand_id = ");
        query.push_bind(brand).push(" AND customer_id IN ");
        push_list(&mut query, customers.iter().copied());
        query.push(" ORDER BY device_id").push(shared).build_query_as().fetch_all(c).await
    })
}

/// Something that an installation is to know.
pub struct Wanted<'a> {
    pub device: AppDeviceId,
    pub pass: PassId,
    /// The change of the pass.
    pub wanted_no: i64,
    /// What it knows, if it was never told of this pass.
    pub known: &'a Known,
}

/// Notes what installations are to know; in order of installation and pass, each pair once.
pub async fn want(conn: &mut Conn<'_>, brand: BrandId, wanted: &[Wanted<'_>], now: DateTime<Utc>) -> sqlx::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "INSERT INTO app_passes (brand_id, device_id, pass_id, is_new, told, told_no, wanted_no, changed_at) ",
        );
        query.push_values(wanted, |mut row, one| {
            let told = match one.known {
                Known::Notice(notice) => Some(Json(notice)),
                Known::Nothing | Known::Something => None,
            };
            row.push_bind(brand)
                .push_bind(one.device)
                .push_bind(one.pass)
                .push_bind(*one.known == Known::Nothing)
                .push_bind(told)
                .push("0")
                .push_bind(one.wanted_no)
                .push_bind(now);
        });
        query.push(
            " ON CONFLICT (brand_id, device_id, pass_id) DO UPDATE SET wanted_no = excluded.wanted_no, changed_at =
                CASE WHEN app_passes.told_no < app_passes.wanted_no THEN app_passes.changed_at ELSE excluded.changed_at END",
        );
        query.build().execute(c).await.map(|_| ())
    })
}

/// What an installation is to be told of a pass. About a person: no `Debug`.
#[derive(Clone)]
pub struct Untold {
    pub device: AppDeviceId,
    pub pass: PassId,
    pub wanted_no: i64,
    pub known: Known,
    pub notice: Notice,
}

#[derive(FromRow)]
struct UntoldRow {
    device_id: AppDeviceId,
    pass_id: PassId,
    wanted_no: i64,
    is_new: bool,
    told: Option<Json<Notice>>,
    notice: Json<Notice>,
}

/// What these installations are to be told of their own customers' passes, at most `limit`: the oldest passes of each first.
pub async fn list_untold(
    conn: &mut Conn<'_>,
    brand: BrandId,
    devices: &[AppDeviceId],
    limit: i64,
) -> sqlx::Result<Vec<Untold>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<UntoldRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "SELECT a.device_id, a.pass_id, a.wanted_no, a.is_new, a.told, n.notice FROM app_passes a
             JOIN pass_notices n ON n.brand_id = a.brand_id AND n.pass_id = a.pass_id
             JOIN app_devices d ON d.brand_id = a.brand_id AND d.device_id = a.device_id
             JOIN passes p ON p.brand_id = a.brand_id AND p.pass_id = a.pass_id
             WHERE p.customer_id = d.customer_id AND a.told_no < a.wanted_no AND a.brand_id = ",
        );
        query.push_bind(brand).push(" AND a.device_id IN ");
        push_list(&mut query, devices.iter().copied());
        query.push(" ORDER BY a.device_id, a.pass_id LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(c).await
    })?;
    let untold = |row: UntoldRow| Untold {
        device: row.device_id,
        pass: row.pass_id,
        wanted_no: row.wanted_no,
        known: match (row.told, row.is_new) {
            (Some(told), _) => Known::Notice(told.0),
            (None, true) => Known::Nothing,
            (None, false) => Known::Something,
        },
        notice: row.notice.0,
    };
    Ok(rows.into_iter().map(untold).collect())
}

/// Notes what installations were told: what was published meanwhile is still to be told.
pub async fn tell(conn: &mut Conn<'_>, brand: BrandId, told: &[&Untold], now: DateTime<Utc>) -> sqlx::Result<()> {
    // In the order in which publishers lock them.
    const LOCKED: PerEngine = PerEngine {
        sqlite: ") ",
        postgres: "), locked AS MATERIALIZED (
            SELECT 1 FROM app_passes
            WHERE brand_id = (SELECT brand_id FROM v LIMIT 1) AND device_id = ANY (ARRAY (SELECT device_id FROM v))
              AND pass_id = ANY (ARRAY (SELECT pass_id FROM v))
            ORDER BY device_id, pass_id FOR UPDATE)
            ",
    };
    const AFTER: PerEngine = PerEngine { sqlite: "", postgres: " AND (SELECT COUNT(*) FROM locked) >= 0" };
    if told.is_empty() {
        return Ok(());
    }
    let (locked, after) = (conn.text(&LOCKED), conn.text(&AFTER));
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, device_id, pass_id, told, told_no) AS (");
        query.push_values(told, |mut row, one| {
            row.push_bind(brand)
                .push_bind(one.device)
                .push_bind(one.pass)
                .push_bind(Json(&one.notice))
                .push_bind(one.wanted_no);
        });
        query.push(locked).push("UPDATE app_passes SET told = v.told, told_no = v.told_no, is_new = ");
        query.push_bind(false).push(", told_at = ").push_bind(now).push(
            " FROM v WHERE app_passes.brand_id = v.brand_id AND app_passes.device_id = v.device_id
               AND app_passes.pass_id = v.pass_id AND app_passes.told_no < v.told_no",
        );
        query.push(after).build().execute(c).await.map(|_| ())
    })
}

/// Installations after `after` that are to be told something and have no row that will see to it: what the sweep heals. A row
/// that was given up rests until it was tried before `parked_before`. In order of id, at most `limit`.
pub async fn list_forgotten(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<AppDeviceId>,
    parked_before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Watcher>> {
    const SQL: &str = "
        SELECT d.device_id, d.customer_id, d.service
        FROM (SELECT DISTINCT brand_id, device_id FROM app_passes
              WHERE brand_id = $1 AND told_no < wanted_no AND device_id > $2) AS a
        JOIN app_devices d ON d.brand_id = a.brand_id AND d.device_id = a.device_id
        WHERE EXISTS (
            SELECT 1 FROM app_passes u JOIN passes p ON p.brand_id = u.brand_id AND p.pass_id = u.pass_id
            WHERE u.brand_id = $1 AND u.device_id = d.device_id AND u.told_no < u.wanted_no
              AND p.customer_id = d.customer_id)
          AND NOT EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.brand_id = $1 AND o.channel = CASE d.service WHEN 'fcm' THEN 'fcm' ELSE 'app' END
              AND o.destination_id = d.device_id
              AND (o.state IN ('pending', 'sending') OR o.state = 'parked' AND o.tried_at > $3))
        ORDER BY d.device_id LIMIT $4";
    let after = after.unwrap_or(AppDeviceId::FIRST);
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after).bind(parked_before).bind(limit).fetch_all(c).await)
}

/// What an installation was told of a pass.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Told {
    #[sqlx(rename = "device_id")]
    pub device: AppDeviceId,
    #[sqlx(try_from = "String")]
    pub service: AppService,
    pub is_told: bool,
    pub told_at: Option<DateTime<Utc>>,
    pub changed_at: DateTime<Utc>,
    pub refused_since: Option<DateTime<Utc>>,
}

/// The installations that were or are to be told of a pass.
pub async fn list_told(conn: &mut Conn<'_>, brand: BrandId, pass: PassId, limit: i64) -> sqlx::Result<Vec<Told>> {
    const SQL: &str = "
        SELECT a.device_id, d.service, a.told_no >= a.wanted_no AS is_told, a.told_at, a.changed_at, d.refused_since
        FROM app_passes a JOIN app_devices d ON d.brand_id = a.brand_id AND d.device_id = a.device_id
        WHERE a.brand_id = $1 AND a.pass_id = $2 ORDER BY a.device_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass).bind(limit).fetch_all(c).await)
}
