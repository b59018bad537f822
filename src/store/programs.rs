//! Loyalty programs.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, PerEngine, on};
use crate::domain::ids::{BrandId, PassId, ProgramId};

#[derive(Debug, Clone, FromRow)]
pub struct Program {
    #[sqlx(rename = "program_id")]
    pub id: ProgramId,
    pub external_id: Option<String>,
    pub name: String,
    /// An IANA name: where the program's days begin and end.
    pub time_zone: String,
    /// Grows with every edit; the `ETag` of the program.
    pub version: i64,
    /// Grows with every change of its rules of loyalty; 0: it has none.
    pub rules_version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// `false`: the brand has a program with this `external_id`.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, program: &Program) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO programs (brand_id, program_id, external_id, name, time_zone, version, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (brand_id, external_id) DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(program.id)
        .bind(&program.external_id)
        .bind(&program.name)
        .bind(&program.time_zone)
        .bind(program.version)
        .bind(program.created_at)
        .bind(program.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, program: ProgramId) -> sqlx::Result<Option<Program>> {
    const SQL: &str = "
        SELECT program_id, external_id, name, time_zone, version, rules_version, created_at, updated_at
        FROM programs WHERE brand_id = $1 AND program_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_optional(c).await)
}

pub async fn find_by_external_id(
    conn: &mut Conn<'_>,
    brand: BrandId,
    external_id: &str,
) -> sqlx::Result<Option<Program>> {
    const SQL: &str = "
        SELECT program_id, external_id, name, time_zone, version, rules_version, created_at, updated_at
        FROM programs WHERE brand_id = $1 AND external_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)
}

pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<ProgramId>,
    limit: i64,
) -> sqlx::Result<Vec<Program>> {
    const SQL: &str = "
        SELECT program_id, external_id, name, time_zone, version, rules_version, created_at, updated_at
        FROM programs WHERE brand_id = $1 AND program_id > $2 ORDER BY program_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(after.unwrap_or(ProgramId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Edits a program at the version that the editor saw (`None`: whichever it is), and lets all its passes be marked. `None` in the answer: it is not
/// there, or at another version.
pub async fn update(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    name: Option<&str>,
    time_zone: Option<&str>,
    seen_version: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Program>> {
    const SQL: &str = "
        UPDATE programs
        SET name = COALESCE($3, name), time_zone = COALESCE($4, time_zone), version = version + 1, updated_at = $6,
            touched_to = $7
        WHERE brand_id = $1 AND program_id = $2 AND ($5 IS NULL OR version = $5)
        RETURNING program_id, external_id, name, time_zone, version, rules_version, created_at, updated_at";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(program)
        .bind(name)
        .bind(time_zone)
        .bind(seen_version)
        .bind(now)
        .bind(PassId::FIRST)
        .fetch_optional(c)
        .await)
}

/// A program that changed and has passes to be marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct ToTouch {
    pub program_id: ProgramId,
    /// The last pass that was marked.
    pub touched_to: PassId,
}

/// The brand after `after` with such a program.
pub async fn next_brand_to_touch(conn: &mut Conn<'_>, after: Option<BrandId>) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1
          AND EXISTS (SELECT 1 FROM programs p WHERE p.brand_id = b.brand_id AND p.touched_to IS NOT NULL)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).fetch_optional(c).await)
}

/// One of the brand's, held until the transaction ends; one that another process holds is left out.
pub async fn lock_to_touch(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<Option<ToTouch>> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            SELECT program_id, touched_to FROM programs
            WHERE brand_id = $1 AND touched_to IS NOT NULL ORDER BY program_id LIMIT 1",
        postgres: "
            SELECT program_id, touched_to FROM programs
            WHERE brand_id = $1 AND touched_to IS NOT NULL ORDER BY program_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_as(sql).bind(brand).fetch_optional(c).await)
}

/// Notes how far the passes of a locked program are marked; `None`: all are.
pub async fn set_touched(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    touched_to: Option<PassId>,
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE programs SET touched_to = $3 WHERE brand_id = $1 AND program_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(program).bind(touched_to).execute(c).await.map(|_| ()))
}
