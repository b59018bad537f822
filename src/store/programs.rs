//! Loyalty programs.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, ProgramId};

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
        SELECT program_id, external_id, name, time_zone, version, created_at, updated_at
        FROM programs WHERE brand_id = $1 AND program_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_optional(c).await)
}

pub async fn find_by_external_id(
    conn: &mut Conn<'_>,
    brand: BrandId,
    external_id: &str,
) -> sqlx::Result<Option<Program>> {
    const SQL: &str = "
        SELECT program_id, external_id, name, time_zone, version, created_at, updated_at
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
        SELECT program_id, external_id, name, time_zone, version, created_at, updated_at
        FROM programs WHERE brand_id = $1 AND ($2 IS NULL OR program_id > $2) ORDER BY program_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after).bind(limit).fetch_all(c).await)
}

/// Edits a program at the version that the editor saw (`None`: whichever it is). `None` in the answer: it is not
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
        SET name = COALESCE($3, name), time_zone = COALESCE($4, time_zone), version = version + 1, updated_at = $6
        WHERE brand_id = $1 AND program_id = $2 AND ($5 IS NULL OR version = $5)
        RETURNING program_id, external_id, name, time_zone, version, created_at, updated_at";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(program)
        .bind(name)
        .bind(time_zone)
        .bind(seen_version)
        .bind(now)
        .fetch_optional(c)
        .await)
}
