//! Roll-outs of template versions, and the passes that they mark.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on};
use crate::domain::ids::{BrandId, PassId, RolloutId, TemplateId};
use crate::domain::rollout::{RolloutState, Stage};

macro_rules! rollout_columns {
    () => {
        "rollout_id, template_id, from_version, to_version, resigns, state, stage, reason, canary, hold_secs, per_minute,
         total, refused_seen, touched, touched_to, next_at, stage_at, created_at, updated_at"
    };
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Rollout {
    #[sqlx(rename = "rollout_id")]
    pub id: RolloutId,
    pub template_id: TemplateId,
    pub from_version: i64,
    pub to_version: i64,
    /// Whether live passes are signed and published again, whatever they look like.
    pub resigns: bool,
    #[sqlx(try_from = "String")]
    pub state: RolloutState,
    #[sqlx(try_from = "String")]
    pub stage: Stage,
    /// Why it was paused.
    pub reason: Option<String>,
    /// Passes of the canary.
    pub canary: i64,
    pub hold_secs: i64,
    pub per_minute: Option<i64>,
    /// Passes of the template when it began.
    pub total: i64,
    /// Refused passes that somebody saw, and resumed nevertheless.
    pub refused_seen: i64,
    /// Passes looked at so far.
    pub touched: i64,
    /// The last of them.
    pub touched_to: PassId,
    pub next_at: DateTime<Utc>,
    pub stage_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Stores a new roll-out; false when the template has one that runs or is paused.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, rollout: &Rollout) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO rollouts (brand_id, rollout_id, template_id, from_version, to_version, state, stage, reason, canary,
            hold_secs, per_minute, total, touched, touched_to, next_at, stage_at, created_at, updated_at, resigns,
            refused_seen)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, $19)
        ON CONFLICT DO NOTHING";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(rollout.id)
        .bind(rollout.template_id)
        .bind(rollout.from_version)
        .bind(rollout.to_version)
        .bind(rollout.state.as_str())
        .bind(rollout.stage.as_str())
        .bind(&rollout.reason)
        .bind(rollout.canary)
        .bind(rollout.hold_secs)
        .bind(rollout.per_minute)
        .bind(rollout.total)
        .bind(rollout.touched)
        .bind(rollout.touched_to)
        .bind(rollout.next_at)
        .bind(rollout.stage_at)
        .bind(rollout.created_at)
        .bind(rollout.resigns)
        .bind(rollout.refused_seen)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, rollout: RolloutId) -> sqlx::Result<Option<Rollout>> {
    const SQL: &str = concat!("SELECT ", rollout_columns!(), " FROM rollouts WHERE brand_id = $1 AND rollout_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(rollout).fetch_optional(c).await)
}

pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<RolloutId>,
    limit: i64,
) -> sqlx::Result<Vec<Rollout>> {
    const SQL: &str = concat!(
        "SELECT ",
        rollout_columns!(),
        " FROM rollouts WHERE brand_id = $1 AND rollout_id > $2 ORDER BY rollout_id LIMIT $3"
    );
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(after.unwrap_or(RolloutId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Whether a template has a roll-out that runs or is paused.
pub async fn has_active(conn: &mut Conn<'_>, brand: BrandId, template: TemplateId) -> sqlx::Result<bool> {
    const SQL: &str = "
        SELECT EXISTS (
            SELECT 1 FROM rollouts
            WHERE brand_id = $1 AND template_id = $2 AND state IN ('running', 'paused'))";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(template).fetch_one(c).await)
}

/// Ends the template's roll-out that runs or is paused, if there is one, because a newer one takes its place.
pub async fn supersede(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE rollouts SET state = 'superseded', updated_at = $3
        WHERE brand_id = $1 AND template_id = $2 AND state IN ('running', 'paused')";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(template).bind(now).execute(c).await.map(|_| ()))
}

/// Changes the state, if it is `seen` still.
pub async fn set_state(
    conn: &mut Conn<'_>,
    brand: BrandId,
    rollout: RolloutId,
    seen: RolloutState,
    state: RolloutState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE rollouts SET state = $4, reason = $5, next_at = $6, updated_at = $6
        WHERE brand_id = $1 AND rollout_id = $2 AND state = $3";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(rollout)
        .bind(seen.as_str())
        .bind(state.as_str())
        .bind(reason)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// The brand after `after` (in order of id) with a roll-out that has a step to make now.
pub async fn next_due_brand(
    conn: &mut Conn<'_>,
    after: Option<BrandId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1 AND EXISTS (
            SELECT 1 FROM rollouts r WHERE r.brand_id = b.brand_id AND r.state = 'running' AND r.next_at <= $2)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(now).fetch_optional(c).await)
}

/// One of the brand's that has a step to make, held until the transaction ends; one that another process holds is left out.
pub async fn lock_due(conn: &mut Conn<'_>, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<Option<Rollout>> {
    const DUE: &str = concat!(
        "SELECT ",
        rollout_columns!(),
        " FROM rollouts WHERE brand_id = $1 AND state = 'running' AND next_at <= $2 ORDER BY next_at LIMIT 1"
    );
    const SQL: PerEngine = PerEngine {
        sqlite: DUE,
        postgres: concat!(
            "SELECT ",
            rollout_columns!(),
            " FROM rollouts WHERE brand_id = $1 AND state = 'running' AND next_at <= $2 ORDER BY next_at LIMIT 1
              FOR NO KEY UPDATE SKIP LOCKED"
        ),
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(now).fetch_optional(c).await)
}

/// Notes how far a locked roll-out is.
pub async fn advance(conn: &mut Conn<'_>, brand: BrandId, rollout: &Rollout) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE rollouts SET state = $3, stage = $4, reason = $5, touched = $6, touched_to = $7, next_at = $8, stage_at = $9,
            updated_at = $10, total = $11, refused_seen = $12
        WHERE brand_id = $1 AND rollout_id = $2";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(rollout.id)
        .bind(rollout.state.as_str())
        .bind(rollout.stage.as_str())
        .bind(&rollout.reason)
        .bind(rollout.touched)
        .bind(rollout.touched_to)
        .bind(rollout.next_at)
        .bind(rollout.stage_at)
        .bind(rollout.updated_at)
        .bind(rollout.total)
        .bind(rollout.refused_seen)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Passes of a template.
pub async fn count_passes(conn: &mut Conn<'_>, brand: BrandId, template: TemplateId) -> sqlx::Result<i64> {
    const SQL: &str = "SELECT COUNT(*) FROM passes WHERE brand_id = $1 AND template_id = $2";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(template).fetch_one(c).await)
}

/// Marked passes of a template that wait to be published, counted up to `limit`.
pub async fn count_waiting(conn: &mut Conn<'_>, brand: BrandId, template: TemplateId, limit: i64) -> sqlx::Result<i64> {
    const SQL: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 AS one FROM passes
            WHERE brand_id = $1 AND template_id = $2 AND bulk_no > published_no AND refused IS NULL LIMIT $3) AS waiting";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(template).bind(limit).fetch_one(c).await)
}

/// Marked passes of a template that are refused, and were not when they were marked; counted up to `limit`.
pub async fn count_refused(conn: &mut Conn<'_>, brand: BrandId, template: TemplateId, limit: i64) -> sqlx::Result<i64> {
    const SQL: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 AS one FROM passes
            WHERE brand_id = $1 AND template_id = $2 AND bulk_no > published_no AND refused IS NOT NULL LIMIT $3) AS refused";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(template).bind(limit).fetch_one(c).await)
}

/// The next passes of a template after one, in order of id, held until the transaction ends.
pub async fn lock_passes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    after: PassId,
    limit: i64,
) -> sqlx::Result<Vec<PassId>> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            SELECT pass_id FROM passes
            WHERE brand_id = $1 AND template_id = $2 AND pass_id > $3 ORDER BY pass_id LIMIT $4",
        postgres: "
            SELECT pass_id FROM passes
            WHERE brand_id = $1 AND template_id = $2 AND pass_id > $3 ORDER BY pass_id LIMIT $4 FOR NO KEY UPDATE",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_scalar(sql).bind(brand).bind(template).bind(after).bind(limit).fetch_all(c).await)
}

/// The change is one that nobody waits for, if none before it that is not published is: beside `change_no = change_no + 1`.
pub(super) const IN_BULK: &str =
    ", bulk_no = CASE WHEN change_no IN (published_no, bulk_no) THEN change_no + 1 ELSE bulk_no END";

/// Wants a version for locked passes. Those that are published with another, or are about to be, are due, behind every
/// change that somebody is waiting for: their place in the queue is now, and a change that waits already keeps its own. What
/// another version refused is tried again with this one.
pub async fn want_version(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
    version: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if passes.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, pass_id) AS (");
        query.push_values(passes, |mut row, pass| {
            row.push_bind(brand).push_bind(*pass);
        });
        query.push(") UPDATE passes SET change_no = change_no + 1, wanted_version = ").push_bind(version);
        query.push(IN_BULK).push(", publish_after = CASE WHEN change_no = published_no OR refused IS NOT NULL THEN ");
        query.push_bind(now);
        query.push(" ELSE publish_after END, refused = NULL FROM v");
        query.push(" WHERE passes.brand_id = v.brand_id AND passes.pass_id = v.pass_id AND (template_version <> ");
        query.push_bind(version).push(" OR change_no > published_no OR wanted_version NOT IN (0, ").push_bind(version);
        query.push("))").build().execute(c).await.map(|_| ())
    })
}

/// Marks locked passes that are live to be published even if they look the same, behind every change that somebody is
/// waiting for: to be signed again.
pub async fn want_signature(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if passes.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, pass_id) AS (");
        query.push_values(passes, |mut row, pass| {
            row.push_bind(brand).push_bind(*pass);
        });
        query.push(") UPDATE passes SET change_no = change_no + 1, forced_no = change_no + 1").push(IN_BULK);
        query.push(", publish_after = CASE WHEN change_no = published_no THEN ");
        query.push_bind(now).push(" ELSE publish_after END FROM v");
        query.push(" WHERE passes.brand_id = v.brand_id AND passes.pass_id = v.pass_id AND status = 'active'");
        query.build().execute(c).await.map(|_| ())
    })
}

/// Takes a version back from up to `limit` passes that were marked for it and do not have it yet. How many: none when the
/// version is to give place to itself, as in a roll-out of what is live.
pub async fn unwant_version(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    version: i64,
    instead: i64,
    limit: i64,
) -> sqlx::Result<u64> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE passes SET wanted_version = $4 WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND template_id = $2 AND bulk_no > published_no AND wanted_version = $3
                  AND template_version <> $3 AND $3 <> $4 LIMIT $5)",
        postgres: "
            WITH held AS MATERIALIZED (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND template_id = $2 AND bulk_no > published_no AND wanted_version = $3
                  AND template_version <> $3 AND $3 <> $4 ORDER BY pass_id LIMIT $5 FOR NO KEY UPDATE)
            UPDATE passes SET wanted_version = $4
            FROM held WHERE passes.brand_id = $1 AND passes.pass_id = held.pass_id",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query(sql)
        .bind(brand)
        .bind(template)
        .bind(version)
        .bind(instead)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// The brand's templates of a pass type (of every type if absent) that have passes, with the passes of each.
pub async fn list_with_passes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass_type: Option<&str>,
) -> sqlx::Result<Vec<(TemplateId, i64)>> {
    const SQL: &str = "
        SELECT t.template_id, COUNT(*) FROM templates t
        JOIN passes p ON p.brand_id = t.brand_id AND p.template_id = t.template_id
        WHERE t.brand_id = $1 AND ($2 IS NULL OR t.pass_type = $2)
        GROUP BY t.template_id ORDER BY t.template_id";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass_type).fetch_all(c).await)
}
