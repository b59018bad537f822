//! What is still to be told to whom, and what came of it: one row for each destination.
//!
//! A row is claimed for a while (lease), told outside any transaction, and settled by the number of that claim. What was
//! committed meanwhile raised `wanted`, so the row goes out again.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::db::{Conn, PerEngine, on};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::ids::{BrandId, DeviceId, PassId};
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
    // From the passes to their devices: SQLite would rather walk all devices of the brand in the order asked for, and so would
    // PostgreSQL where one pass has most of them, unless it looks at pass after pass.
    const FROM: PerEngine = PerEngine {
        sqlite: ") SELECT device_id FROM (
            SELECT DISTINCT r.device_id FROM v CROSS JOIN registrations r
            WHERE r.brand_id = v.brand_id AND r.pass_id = v.pass_id AND r.device_id > ",
        postgres: ") SELECT DISTINCT device_id FROM v CROSS JOIN LATERAL (
            SELECT r.device_id FROM registrations r
            WHERE r.brand_id = v.brand_id AND r.pass_id = v.pass_id AND r.device_id > ",
    };
    let from = conn.text(&FROM);
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, pass_id) AS (");
        query.push_values(passes, |mut row, pass| {
            row.push_bind(brand).push_bind(*pass);
        });
        query.push(from).push_bind(after.unwrap_or(DeviceId::FIRST));
        query.push(" ORDER BY r.device_id LIMIT ").push_bind(limit);
        query.push(") AS devices ORDER BY device_id LIMIT ").push_bind(limit);
        query.build_query_scalar().fetch_all(c).await
    })
}

/// There is something to tell these destinations, from `not_before` on. Each is named once, in order, so that two who
/// queue the same ones take turns. One that waits after a failure goes on waiting; one that is being told is told again.
/// The number of rows that are new, go out again or go out earlier.
pub async fn enqueue(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    destinations: &[(Uuid, Lane)],
    not_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    if destinations.is_empty() {
        return Ok(0);
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "INSERT INTO outbox (brand_id, channel, destination_id, state, lane, wanted, due_at, claim_no, failures, changed_at) ",
        );
        query.push_values(destinations, |mut row, (destination, lane)| {
            row.push_bind(brand)
                .push_bind(channel.as_str())
                .push_bind(*destination)
                .push("'pending'")
                .push_bind(lane.as_str())
                .push("1")
                .push_bind(not_before)
                .push("0, 0")
                .push_bind(now);
        });
        // Somebody waits now for a destination that only a roll-out had something for.
        query.push(
            " ON CONFLICT (brand_id, channel, destination_id) DO UPDATE SET
                wanted = outbox.wanted + 1,
                state = CASE WHEN outbox.state = 'sending' THEN 'sending' ELSE 'pending' END,
                lane = CASE WHEN outbox.state IN ('done', 'parked') OR excluded.lane = 'interactive'
                            THEN excluded.lane ELSE outbox.lane END,
                due_at = CASE WHEN outbox.state = 'done' THEN excluded.due_at
                              WHEN outbox.state = 'parked' AND outbox.due_at < excluded.due_at THEN excluded.due_at
                              WHEN outbox.state = 'pending' AND outbox.failures = 0 AND excluded.due_at < outbox.due_at
                                   THEN excluded.due_at
                              ELSE outbox.due_at END,
                failures = CASE WHEN outbox.state = 'parked' THEN 0 ELSE outbox.failures END,
                changed_at = CASE WHEN outbox.state = 'done' THEN excluded.changed_at ELSE outbox.changed_at END
              WHERE outbox.state <> 'pending' OR outbox.lane = 'bulk' AND excluded.lane = 'interactive'
                 OR outbox.failures = 0 AND excluded.due_at < outbox.due_at",
        );
        query.build().execute(c).await.map(|done| done.rows_affected())
    })
}

/// A row that was claimed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Claim {
    #[sqlx(rename = "destination_id")]
    pub destination: Uuid,
    #[sqlx(try_from = "String")]
    pub lane: Lane,
    /// What this claim tells of; more may have come since.
    pub wanted: i64,
    /// Names the claim: a later one has another.
    pub claim_no: i64,
    /// Attempts in a row that failed.
    pub failures: i64,
    /// When the oldest of what is to be told was published.
    pub changed_at: DateTime<Utc>,
}

/// The brand after `after` with something due on the channel.
pub async fn next_due_brand(
    conn: &mut Conn<'_>,
    channel: Channel,
    after: Option<BrandId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1 AND EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.brand_id = b.brand_id AND o.channel = $2 AND o.lane IN ('interactive', 'bulk') AND o.due_at <= $3
              AND o.state IN ('pending', 'sending'))
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(channel.as_str()).bind(now).fetch_optional(c).await)
}

/// Takes up to `limit` due rows of one lane until `lease_until`, those that wait longest first.
pub async fn claim(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    lane: Lane,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Claim>> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE outbox SET state = 'sending', due_at = $5, claim_no = claim_no + 1, tried_at = $4
            WHERE brand_id = $1 AND channel = $2 AND destination_id IN (
                SELECT destination_id FROM outbox
                WHERE brand_id = $1 AND channel = $2 AND lane = $3 AND state IN ('pending', 'sending') AND due_at <= $4
                ORDER BY due_at LIMIT $6)
            RETURNING destination_id, lane, wanted, claim_no, failures, changed_at",
        // Materialised and locked first: several workers share the brand. And looked up one by one: a join would be free to
        // begin with all rows of the brand, and does where there are no statistics yet.
        postgres: "
            WITH due AS MATERIALIZED (
                SELECT destination_id AS due_id FROM outbox
                WHERE brand_id = $1 AND channel = $2 AND lane = $3 AND state IN ('pending', 'sending') AND due_at <= $4
                ORDER BY due_at LIMIT $6 FOR UPDATE SKIP LOCKED)
            UPDATE outbox SET state = 'sending', due_at = $5, claim_no = claim_no + 1, tried_at = $4
            WHERE brand_id = $1 AND channel = $2 AND destination_id = ANY (ARRAY (SELECT due_id FROM due))
            RETURNING destination_id, lane, wanted, claim_no, failures, changed_at",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_as(sql)
        .bind(brand)
        .bind(channel.as_str())
        .bind(lane.as_str())
        .bind(now)
        .bind(lease_until)
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub destination: Uuid,
    pub claim_no: i64,
    pub wanted: i64,
    pub state: DeliveryState,
    pub due_at: DateTime<Utc>,
    pub failures: i64,
    /// When it was taken over; `None`: it was not.
    pub told_at: Option<DateTime<Utc>>,
    /// A status and a reason, for people.
    pub answer: String,
}

/// Settles claims, each destination once; one that was claimed again meanwhile is left to whoever has it. A row for which
/// more was committed goes out again at `again_at`. The number of rows that were settled.
pub async fn settle(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    settled: &[Settled],
    again_at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    // In the order in which others queue: an UPDATE takes its rows in any order, and two would wait for each other.
    const LOCKED: PerEngine = PerEngine {
        sqlite: ") ",
        postgres: "), locked AS MATERIALIZED (
            SELECT 1 FROM outbox
            WHERE brand_id = (SELECT brand_id FROM v LIMIT 1) AND channel = (SELECT channel FROM v LIMIT 1)
              AND destination_id = ANY (ARRAY (SELECT destination_id FROM v)) ORDER BY destination_id FOR UPDATE)
            ",
    };
    // PostgreSQL takes the constants of a join for a sign that there is one row on either side, and the state for a reason to
    // read all open rows of the channel; so it is told neither.
    const MATCH: PerEngine = PerEngine {
        sqlite: "v.brand_id AND outbox.channel = v.channel AND outbox.state = 'sending'",
        postgres: "(SELECT brand_id FROM v LIMIT 1) AND outbox.channel = (SELECT channel FROM v LIMIT 1)
            AND outbox.destination_id = ANY (ARRAY (SELECT destination_id FROM v))
            AND outbox.state = (SELECT 'sending') AND (SELECT COUNT(*) FROM locked) >= 0",
    };
    if settled.is_empty() {
        return Ok(0);
    }
    let (locked, matching) = (conn.text(&LOCKED), conn.text(&MATCH));
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "WITH v (brand_id, channel, destination_id, claim_no, wanted, state, due_at, failures, told_at, answer) AS (",
        );
        query.push_values(settled, |mut row, one| {
            row.push_bind(brand)
                .push_bind(channel.as_str())
                .push_bind(one.destination)
                .push_bind(one.claim_no)
                .push_bind(one.wanted)
                .push_bind(one.state.as_str())
                .push_bind(one.due_at)
                .push_bind(one.failures)
                .push_bind(one.told_at)
                .push_bind(one.answer.as_str());
        });
        query.push(locked).push(
            "UPDATE outbox SET
                state = CASE WHEN outbox.wanted > v.wanted AND v.state <> 'pending' THEN 'pending' ELSE v.state END,
                due_at = CASE WHEN outbox.wanted > v.wanted AND v.state = 'done' THEN ",
        );
        query.push_bind(again_at).push(
            " ELSE v.due_at END,
                changed_at = CASE WHEN outbox.wanted > v.wanted AND v.state = 'done' THEN outbox.tried_at
                                  ELSE outbox.changed_at END,
                failures = v.failures,
                told_at = CASE WHEN v.told_at IS NULL THEN outbox.told_at ELSE v.told_at END,
                answer = v.answer
             FROM v
             WHERE outbox.destination_id = v.destination_id AND outbox.claim_no = v.claim_no
               AND outbox.brand_id = ",
        );
        query.push(matching).build().execute(c).await.map(|done| done.rows_affected())
    })
}

/// Devices of the brand after `after` that have not been told of the newest content of one of their passes and have no
/// row that will see to it: what the sweep heals. A row that was given up rests until it was tried before `parked_before`.
/// In order of id, at most `limit`.
pub async fn list_forgotten(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<DeviceId>,
    parked_before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<DeviceId>> {
    const SQL: &str = "
        SELECT DISTINCT r.device_id
        FROM registrations r
        JOIN passes p ON p.brand_id = r.brand_id AND p.pass_id = r.pass_id
        WHERE r.brand_id = $1 AND p.brand_id = $1 AND r.told_tag_n < p.tag_n AND r.device_id > $2
          AND NOT EXISTS (
              SELECT 1 FROM outbox o
              WHERE o.brand_id = $1 AND o.channel = 'apns' AND o.destination_id = r.device_id
                AND (o.state IN ('pending', 'sending')
                     OR o.state = 'parked' AND (o.tried_at > $3 OR o.due_at > $4)))
        ORDER BY r.device_id LIMIT $5";
    let after = after.unwrap_or(DeviceId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(brand)
        .bind(after)
        .bind(parked_before)
        .bind(now)
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// What waits on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Rows to be told, counted up to the limit.
    pub open: i64,
    /// When the oldest of what they are to tell was published.
    pub oldest: Option<DateTime<Utc>>,
    /// Rows that were given up, counted up to the limit.
    pub parked: i64,
}

/// What waits on a channel of the brand; counts stop at `limit`.
pub async fn count_waiting(conn: &mut Conn<'_>, brand: BrandId, channel: Channel, limit: i64) -> sqlx::Result<Waiting> {
    const OPEN: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 FROM outbox
            WHERE brand_id = $1 AND channel = $2 AND state IN ('pending', 'sending') LIMIT $3) AS open";
    // By lane, as the index has them.
    const OLDEST: &str = "
        SELECT MIN(oldest) FROM (
            SELECT MIN(changed_at) AS oldest FROM outbox
            WHERE brand_id = $1 AND channel = $2 AND lane = 'interactive' AND state IN ('pending', 'sending')
            UNION ALL
            SELECT MIN(changed_at) FROM outbox
            WHERE brand_id = $1 AND channel = $2 AND lane = 'bulk' AND state IN ('pending', 'sending')) AS lanes";
    const PARKED: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 FROM outbox WHERE brand_id = $1 AND channel = $2 AND state = 'parked' LIMIT $3) AS parked";
    let channel = channel.as_str();
    on!(conn, |c| {
        let open = sqlx::query_scalar(OPEN).bind(brand).bind(channel).bind(limit).fetch_one(&mut *c).await?;
        let parked = sqlx::query_scalar(PARKED).bind(brand).bind(channel).bind(limit).fetch_one(&mut *c).await?;
        let oldest = sqlx::query_scalar(OLDEST).bind(brand).bind(channel).fetch_one(c).await?;
        Ok(Waiting { open, oldest, parked })
    })
}

/// When the oldest of what waits on a lane of a channel was published, of all brands; `None`: nothing waits.
pub async fn oldest_waiting(conn: &mut Conn<'_>, channel: Channel, lane: Lane) -> sqlx::Result<Option<DateTime<Utc>>> {
    const SQL: &str = "
        SELECT MIN(oldest) FROM (
            SELECT (SELECT MIN(o.changed_at) FROM outbox o
                    WHERE o.brand_id = b.brand_id AND o.channel = $1 AND o.lane = $2
                      AND o.state IN ('pending', 'sending')) AS oldest
            FROM brands b) AS ages";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(channel.as_str()).bind(lane.as_str()).fetch_one(c).await)
}

/// A row as people look at it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Delivery {
    #[sqlx(try_from = "String")]
    pub channel: Channel,
    #[sqlx(rename = "destination_id")]
    pub destination: Uuid,
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    #[sqlx(try_from = "String")]
    pub lane: Lane,
    pub due_at: DateTime<Utc>,
    pub failures: i64,
    pub changed_at: DateTime<Utc>,
    pub tried_at: Option<DateTime<Utc>>,
    pub told_at: Option<DateTime<Utc>>,
    pub answer: Option<String>,
}

macro_rules! columns {
    () => {
        "channel, destination_id, state, lane, due_at, failures, changed_at, tried_at, told_at, answer"
    };
}

pub async fn find(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    destination: Uuid,
) -> sqlx::Result<Option<Delivery>> {
    const SQL: &str =
        concat!("SELECT ", columns!(), " FROM outbox WHERE brand_id = $1 AND channel = $2 AND destination_id = $3");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(channel.as_str()).bind(destination).fetch_optional(c).await)
}

/// The rows of a channel after `after`, in order of their destination; of one state, if it is given.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    state: Option<DeliveryState>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    const ALL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM outbox WHERE brand_id = $1 AND channel = $2 AND destination_id > $3 AND ($4 IS NULL OR state = $4)
          ORDER BY destination_id LIMIT $5"
    );
    // Those that were given up are few among many: their own index has them.
    const PARKED: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM outbox WHERE brand_id = $1 AND channel = $2 AND destination_id > $3 AND state = 'parked' AND state = $4
          ORDER BY destination_id LIMIT $5"
    );
    let sql = if state == Some(DeliveryState::Parked) { PARKED } else { ALL };
    let (after, state) = (after.unwrap_or(Uuid::nil()), state.map(DeliveryState::as_str));
    on!(conn, |c| sqlx::query_as(sql)
        .bind(brand)
        .bind(channel.as_str())
        .bind(after)
        .bind(state)
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Makes a row due now that was given up or waits, whatever it was told to wait for; `false`: it is neither.
pub async fn retry(
    conn: &mut Conn<'_>,
    brand: BrandId,
    channel: Channel,
    destination: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE outbox SET state = 'pending', lane = 'interactive', due_at = $4, failures = 0
        WHERE brand_id = $1 AND channel = $2 AND destination_id = $3 AND state IN ('pending', 'parked')";
    on!(conn, |c| {
        let done = sqlx::query(SQL).bind(brand).bind(channel.as_str()).bind(destination).bind(now).execute(c).await?;
        Ok(done.rows_affected() == 1)
    })
}
