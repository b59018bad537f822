//! Jobs: long work, who is at it, and how far it is.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{BrandId, JobId, OfferId, ProgramId, StoreId, TemplateId};
use crate::domain::job::{JobKind, JobState, Tally};
use crate::domain::rows::Layout;

/// What lines leave out; of a job without a file, what it is to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Defaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramId>,
    /// Where the till stands that sent the file: it speaks for no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferId>,
    /// Of the codes that it makes: tills check them alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_offline: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    pub state: JobState,
    /// The folder that its file is in; empty: it has none, and anybody may work on it.
    pub spool: String,
    pub layout: Layout,
    pub defaults: Defaults,
    /// Of a job without a file: how many it is to make, and how many are made.
    pub size_bytes: i64,
    pub offset_bytes: i64,
    /// The line that stands at `offset_bytes`.
    pub next_line: i64,
    pub tally: Tally,
    /// Why it failed, or what it is waiting for.
    pub reason: Option<String>,
    pub lease_no: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct JobRow {
    job_id: JobId,
    #[sqlx(try_from = "String")]
    kind: JobKind,
    #[sqlx(try_from = "String")]
    state: JobState,
    spool: String,
    layout: Json<Layout>,
    defaults: Json<Defaults>,
    size_bytes: i64,
    offset_bytes: i64,
    next_line: i64,
    created: i64,
    changed: i64,
    unchanged: i64,
    refused: i64,
    reason: Option<String>,
    lease_no: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        let JobRow { created, changed, unchanged, refused, .. } = row;
        Self {
            id: row.job_id,
            kind: row.kind,
            state: row.state,
            spool: row.spool,
            layout: row.layout.0,
            defaults: row.defaults.0,
            size_bytes: row.size_bytes,
            offset_bytes: row.offset_bytes,
            next_line: row.next_line,
            tally: Tally { created, changed, unchanged, refused },
            reason: row.reason,
            lease_no: row.lease_no,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

macro_rules! job_columns {
    () => {
        "job_id, kind, state, spool, layout, defaults, size_bytes, offset_bytes, next_line, created, changed, unchanged,
         refused, reason, lease_no, created_at, updated_at"
    };
}

pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, job: &Job) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO jobs (brand_id, job_id, kind, state, spool, layout, defaults, size_bytes, offset_bytes, next_line,
                          created, changed, unchanged, refused, lease_until, lease_no, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, $11, 0, $11, $11)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(job.id)
        .bind(job.kind.as_str())
        .bind(job.state.as_str())
        .bind(&job.spool)
        .bind(Json(&job.layout))
        .bind(Json(&job.defaults))
        .bind(job.size_bytes)
        .bind(job.offset_bytes)
        .bind(job.next_line)
        .bind(job.created_at)
        .execute(c)
        .await
        .map(|_| ()))
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, job: JobId) -> sqlx::Result<Option<Job>> {
    const SQL: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE brand_id = $1 AND job_id = $2");
    let row: Option<JobRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(job).fetch_optional(c).await)?;
    Ok(row.map(Job::from))
}

/// Newest first; `before` is the last job of the page before.
pub async fn list(conn: &mut Conn<'_>, brand: BrandId, before: Option<JobId>, limit: i64) -> sqlx::Result<Vec<Job>> {
    const SQL: &str = concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE brand_id = $1 AND job_id < $2 ORDER BY job_id DESC LIMIT $3"
    );
    let before = before.unwrap_or(JobId::LAST);
    let rows: Vec<JobRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(before).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Job::from).collect())
}

/// The brand after `after` with a job of this spool, or of none, that nobody is at.
pub async fn next_due_brand(
    conn: &mut Conn<'_>,
    after: Option<BrandId>,
    spool: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1 AND EXISTS (
            SELECT 1 FROM jobs j
            WHERE j.brand_id = b.brand_id AND j.spool IN ($2, '') AND j.state = 'running' AND j.lease_until <= $3)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(spool).bind(now).fetch_optional(c).await)
}

/// Takes the brand's job of this spool, or of none, that waits longest, until `lease_until`; `None`: there is none.
pub async fn claim(
    conn: &mut Conn<'_>,
    brand: BrandId,
    spool: &str,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> sqlx::Result<Option<Job>> {
    const SQL: PerEngine = PerEngine {
        sqlite: concat!(
            "UPDATE jobs SET lease_until = $4, lease_no = lease_no + 1
             WHERE brand_id = $1 AND job_id IN (
                SELECT job_id FROM jobs
                WHERE brand_id = $1 AND spool IN ($2, '') AND state = 'running' AND lease_until <= $3
                ORDER BY lease_until LIMIT 1)
             RETURNING ",
            job_columns!()
        ),
        postgres: concat!(
            "WITH due AS MATERIALIZED (
                SELECT job_id AS due_id FROM jobs
                WHERE brand_id = $1 AND spool IN ($2, '') AND state = 'running' AND lease_until <= $3
                ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED)
             UPDATE jobs SET lease_until = $4, lease_no = lease_no + 1
             FROM due WHERE jobs.brand_id = $1 AND jobs.job_id = due.due_id
             RETURNING ",
            job_columns!()
        ),
    };
    let sql = conn.text(&SQL);
    let row: Option<JobRow> =
        on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(spool).bind(now).bind(lease_until).fetch_optional(c).await)?;
    Ok(row.map(Job::from))
}

/// How far a part brings a job.
#[derive(Debug, Clone, Copy)]
pub struct Advance {
    pub offset_bytes: i64,
    pub next_line: i64,
    pub tally: Tally,
    pub is_over: bool,
    pub lease_until: DateTime<Utc>,
}

/// Moves a job on, by whoever holds its lease; `false`: somebody else does, or it was stopped. The row stays locked to the
/// end of the transaction, in which the lines themselves are done.
pub async fn advance(
    conn: &mut Conn<'_>,
    brand: BrandId,
    job: &Job,
    to: &Advance,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE jobs
        SET offset_bytes = $4, next_line = $5, created = $6, changed = $7, unchanged = $8, refused = $9, state = $10,
            reason = NULL, lease_until = $11, updated_at = $12
        WHERE brand_id = $1 AND job_id = $2 AND lease_no = $3 AND state = 'running'";
    let state = if to.is_over { JobState::Finished } else { JobState::Running };
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(job.id)
        .bind(job.lease_no)
        .bind(to.offset_bytes)
        .bind(to.next_line)
        .bind(to.tally.created)
        .bind(to.tally.changed)
        .bind(to.tally.unchanged)
        .bind(to.tally.refused)
        .bind(state.as_str())
        .bind(to.lease_until)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Lets go of a job, to be taken again from `until` on; says why it waits, if it does.
pub async fn release(
    conn: &mut Conn<'_>,
    brand: BrandId,
    job: &Job,
    until: DateTime<Utc>,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE jobs SET lease_until = $4, reason = $5
        WHERE brand_id = $1 AND job_id = $2 AND lease_no = $3 AND state = 'running'";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(job.id)
        .bind(job.lease_no)
        .bind(until)
        .bind(reason)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Ends a running job before its end.
pub async fn end(
    conn: &mut Conn<'_>,
    brand: BrandId,
    job: JobId,
    state: JobState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE jobs SET state = $3, reason = $4, updated_at = $5
        WHERE brand_id = $1 AND job_id = $2 AND state = 'running'";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(job)
        .bind(state.as_str())
        .bind(reason)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// How many of the brand's jobs with a file are under way, and the bytes of their files.
pub async fn sum_running(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<(i64, i64)> {
    const SQL: &str = "
        SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)
        FROM jobs WHERE brand_id = $1 AND state = 'running' AND spool <> ''";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).fetch_one(c).await)
}

/// How many of the brand's jobs without a file are under way.
pub async fn count_batches(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<i64> {
    const SQL: &str = "SELECT COUNT(*) FROM jobs WHERE brand_id = $1 AND state = 'running' AND spool = ''";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).fetch_one(c).await)
}

/// Those of these jobs that are under way.
pub async fn list_running(conn: &mut Conn<'_>, brand: BrandId, jobs: &[JobId]) -> sqlx::Result<Vec<JobId>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT job_id FROM jobs WHERE state = 'running' AND brand_id = ");
        query.push_bind(brand).push(" AND job_id IN ");
        push_list(&mut query, jobs.iter().copied());
        query.build_query_scalar().fetch_all(c).await
    })
}

pub async fn insert_outcomes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    job: JobId,
    first_line: i64,
    outcomes: &[u8],
) -> sqlx::Result<()> {
    const SQL: &str = "INSERT INTO job_results (brand_id, job_id, first_line, outcomes) VALUES ($1, $2, $3, $4)";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(job).bind(first_line).bind(outcomes).execute(c).await.map(|_| ()))
}

/// Parts of the results after a line, in order.
pub async fn list_outcomes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    job: JobId,
    after_line: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    const SQL: &str = "
        SELECT first_line, outcomes FROM job_results
        WHERE brand_id = $1 AND job_id = $2 AND first_line > $3 ORDER BY first_line LIMIT $4";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(job).bind(after_line).bind(limit).fetch_all(c).await)
}

/// Forgets up to `limit` parts of results of jobs that ended before `before`; how many. The jobs themselves stay.
pub async fn forget_outcomes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            DELETE FROM job_results WHERE brand_id = $1 AND rowid IN (
                SELECT r.rowid FROM jobs j JOIN job_results r ON r.brand_id = j.brand_id AND r.job_id = j.job_id
                WHERE j.brand_id = $1 AND j.state <> 'running' AND j.updated_at < $2 LIMIT $3)",
        postgres: "
            WITH old AS MATERIALIZED (
                SELECT r.job_id AS old_id, r.first_line AS old_line
                FROM jobs j JOIN job_results r ON r.brand_id = j.brand_id AND r.job_id = j.job_id
                WHERE j.brand_id = $1 AND j.state <> 'running' AND j.updated_at < $2 LIMIT $3)
            DELETE FROM job_results USING old WHERE brand_id = $1 AND job_id = old_id AND first_line = old_line",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query(sql)
        .bind(brand)
        .bind(before)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}
