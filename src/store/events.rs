//! The timeline: everything that happens to a customer, append-only.
//!
//! Readers follow `seq`. It is given after the commit, in one order per brand and without gaps, so whoever has read up
//! to some `seq` has missed nothing; ids and times do not have that property, because an older one can commit later.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::db::{Conn, PerEngine, on};
use crate::domain::ids::{BrandId, CustomerId, EventId, PassId};

/// An event about to be recorded. `data` holds ids and numbers, never personal data.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub id: EventId,
    pub kind: &'static str,
    pub customer: Option<CustomerId>,
    pub pass: Option<PassId>,
    /// The object whose list `changed_since` follows: a pass, a customer, a program.
    pub subject: Uuid,
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
}

pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, event: &NewEvent) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO events (brand_id, event_id, kind, customer_id, pass_id, subject_id, data, occurred_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(event.id)
        .bind(event.kind)
        .bind(event.customer)
        .bind(event.pass)
        .bind(event.subject)
        .bind(Json(&event.data))
        .bind(event.occurred_at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Events, which are new; there is at least one.
macro_rules! push_events {
    ($query:ident, $brand:expr, $events:expr) => {
        $query.push(
            "INSERT INTO events (brand_id, event_id, kind, customer_id, pass_id, subject_id, data, occurred_at) ",
        );
        $query.push_values($events, |mut row, event| {
            row.push_bind($brand)
                .push_bind(event.id)
                .push_bind(event.kind)
                .push_bind(event.customer)
                .push_bind(event.pass)
                .push_bind(event.subject)
                .push_bind(Json(&event.data))
                .push_bind(event.occurred_at);
        });
    };
}
pub(super) use push_events;

pub async fn insert_many(conn: &mut Conn<'_>, brand: BrandId, events: &[NewEvent]) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("");
        push_events!(query, brand, events);
        query.build().execute(c).await.map(|_| ())
    })
}

/// The brand after `after` that has events without `seq`.
pub async fn next_unsequenced_brand(conn: &mut Conn<'_>, after: Option<BrandId>) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1 AND EXISTS (SELECT 1 FROM events e WHERE e.brand_id = b.brand_id AND e.seq IS NULL)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).fetch_optional(c).await)
}

/// Gives `seq` to up to `limit` committed events; how many got one. Locks the brand's counter first, so two
/// sequencers take turns, and whoever comes second no longer sees what the first has done.
pub async fn sequence(conn: &mut Conn<'_>, brand: BrandId, limit: i64) -> sqlx::Result<u64> {
    const LOCK: PerEngine = PerEngine {
        sqlite: "SELECT next_seq FROM brands WHERE brand_id = $1",
        postgres: "SELECT next_seq FROM brands WHERE brand_id = $1 FOR NO KEY UPDATE",
    };
    const PENDING: &str = "SELECT event_id FROM events WHERE brand_id = $1 AND seq IS NULL ORDER BY event_id LIMIT $2";
    const ADVANCE: &str = "UPDATE brands SET next_seq = $2 WHERE brand_id = $1";
    let lock = conn.text(&LOCK);
    on!(conn, |c| {
        let first: i64 = sqlx::query_scalar(lock).bind(brand).fetch_one(&mut *c).await?;
        let pending: Vec<EventId> = sqlx::query_scalar(PENDING).bind(brand).bind(limit).fetch_all(&mut *c).await?;
        if pending.is_empty() {
            return Ok(0);
        }
        // The brand stands in every row: were it a constant, SQLite would walk the brand's whole timeline.
        let mut query = QueryBuilder::new("WITH v (brand_id, event_id, seq) AS (");
        query.push_values(pending.iter().zip(first..), |mut row, (event, seq)| {
            row.push_bind(brand).push_bind(*event).push_bind(seq);
        });
        query.push(
            ") UPDATE events SET seq = v.seq FROM v WHERE events.brand_id = v.brand_id AND events.event_id = v.event_id",
        );
        let rows = query.build().execute(&mut *c).await?.rows_affected();
        let next = i64::try_from(rows).unwrap_or(i64::MAX).saturating_add(first);
        sqlx::query(ADVANCE).bind(brand).bind(next).execute(c).await?;
        Ok(rows)
    })
}

#[derive(Debug, Clone, FromRow)]
pub struct Event {
    #[sqlx(rename = "event_id")]
    pub id: EventId,
    pub seq: i64,
    pub kind: String,
    pub customer_id: Option<CustomerId>,
    pub pass_id: Option<PassId>,
    pub data: Json<Value>,
    pub occurred_at: DateTime<Utc>,
}

/// Events after `since`, in order.
pub async fn list_since(conn: &mut Conn<'_>, brand: BrandId, since: i64, limit: i64) -> sqlx::Result<Vec<Event>> {
    const SQL: &str = "
        SELECT event_id, seq, kind, customer_id, pass_id, data, occurred_at
        FROM events WHERE brand_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(since).bind(limit).fetch_all(c).await)
}

/// The newest `seq` of a brand; 0 before its first event.
pub async fn newest_seq(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<i64> {
    const SQL: &str = "SELECT next_seq - 1 FROM brands WHERE brand_id = $1";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).fetch_one(c).await)
}

/// The first `limit` events after `since` and up to `until` whose kind begins with `kind` (such as `pass.`): what each is
/// about, and its `seq`, in order. An object may be named several times.
pub async fn list_changed(
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &str,
    since: i64,
    until: i64,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, i64)>> {
    const SQL: &str = "
        SELECT subject_id, seq FROM events
        WHERE brand_id = $1 AND seq > $2 AND seq <= $6 AND substr(kind, 1, $4) = $3 ORDER BY seq LIMIT $5";
    let length = i32::try_from(kind.len()).unwrap_or(i32::MAX);
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(since)
        .bind(kind)
        .bind(length)
        .bind(limit)
        .bind(until)
        .fetch_all(c)
        .await)
}
