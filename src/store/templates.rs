//! Templates and the files of their versions. A version never changes once it is stored.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, TemplateId};
use crate::domain::pass::PassKind;

#[derive(Debug, Clone, FromRow)]
pub struct Template {
    #[sqlx(rename = "template_id")]
    pub id: TemplateId,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub kind: PassKind,
    pub pass_type: String,
    /// The newest version; versions are 1, 2, 3 …
    pub version: i64,
    /// The version that passes are made with; a roll-out brings it to the newest.
    pub live_version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, template: TemplateId) -> sqlx::Result<Option<Template>> {
    const SQL: &str = "
        SELECT template_id, name, kind, pass_type, version, live_version, created_at, updated_at
        FROM templates WHERE brand_id = $1 AND template_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(template).fetch_optional(c).await)
}

pub async fn find_by_name(conn: &mut Conn<'_>, brand: BrandId, name: &str) -> sqlx::Result<Option<Template>> {
    const SQL: &str = "
        SELECT template_id, name, kind, pass_type, version, live_version, created_at, updated_at
        FROM templates WHERE brand_id = $1 AND name = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(name).fetch_optional(c).await)
}

pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<TemplateId>,
    limit: i64,
) -> sqlx::Result<Vec<Template>> {
    const SQL: &str = "
        SELECT template_id, name, kind, pass_type, version, live_version, created_at, updated_at
        FROM templates WHERE brand_id = $1 AND template_id > $2 ORDER BY template_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(after.unwrap_or(TemplateId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Stores a new template, or the next version of the one with this name; the answer carries the version to be filled.
pub async fn next_version(conn: &mut Conn<'_>, brand: BrandId, template: &Template) -> sqlx::Result<Template> {
    const SQL: &str = "
        INSERT INTO templates (brand_id, template_id, name, kind, pass_type, version, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
        ON CONFLICT (brand_id, name) DO UPDATE SET version = templates.version + 1, updated_at = excluded.updated_at
        RETURNING template_id, name, kind, pass_type, version, live_version, created_at, updated_at";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(template.id)
        .bind(&template.name)
        .bind(template.kind.as_str())
        .bind(&template.pass_type)
        .bind(template.updated_at)
        .fetch_one(c)
        .await)
}

/// Makes a version the one that passes are made with, if `seen` still is (`None`: whichever is).
pub async fn set_live(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    seen: Option<i64>,
    version: i64,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE templates SET live_version = $4 WHERE brand_id = $1 AND template_id = $2
          AND ($3 IS NULL OR live_version = $3)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(template)
        .bind(seen)
        .bind(version)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

pub async fn insert_file(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    version: i64,
    name: &str,
    content: &[u8],
) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO template_files (brand_id, template_id, version, name, content) VALUES ($1, $2, $3, $4, $5)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(template)
        .bind(version)
        .bind(name)
        .bind(content)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Every file of a version, by name.
pub async fn list_files(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    version: i64,
) -> sqlx::Result<Vec<(String, Vec<u8>)>> {
    const SQL: &str = "
        SELECT name, content FROM template_files
        WHERE brand_id = $1 AND template_id = $2 AND version = $3 ORDER BY name";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(template).bind(version).fetch_all(c).await)
}
