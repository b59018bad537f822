//! Shops.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, StoreId};
use crate::domain::locale::Locale;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Store {
    #[sqlx(rename = "store_id")]
    pub id: StoreId,
    pub external_id: Option<String>,
    pub name: String,
    /// What its tills speak.
    #[sqlx(try_from = "String")]
    pub locale: Locale,
    pub created_at: DateTime<Utc>,
}

/// `false`: the brand has a store with this `external_id`, or this id.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, store: &Store) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO stores (brand_id, store_id, external_id, name, locale, created_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(store.id)
        .bind(&store.external_id)
        .bind(&store.name)
        .bind(store.locale.as_str())
        .bind(store.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, store: StoreId) -> sqlx::Result<Option<Store>> {
    const SQL: &str = "
        SELECT store_id, external_id, name, locale, created_at FROM stores WHERE brand_id = $1 AND store_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(store).fetch_optional(c).await)
}

pub async fn find_by_external_id(
    conn: &mut Conn<'_>,
    brand: BrandId,
    external_id: &str,
) -> sqlx::Result<Option<Store>> {
    const SQL: &str = "
        SELECT store_id, external_id, name, locale, created_at FROM stores WHERE brand_id = $1 AND external_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)
}

pub async fn list(conn: &mut Conn<'_>, brand: BrandId, after: Option<StoreId>, limit: i64) -> sqlx::Result<Vec<Store>> {
    const SQL: &str = "
        SELECT store_id, external_id, name, locale, created_at FROM stores
        WHERE brand_id = $1 AND store_id > $2 ORDER BY store_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after.unwrap_or(StoreId::FIRST)).bind(limit).fetch_all(c).await)
}
