//! API keys: only the digest of a secret is kept.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, KeyId, StoreId};
use crate::domain::role::Role;

#[derive(Debug, Clone, FromRow)]
pub struct ApiKey {
    #[sqlx(rename = "key_id")]
    pub id: KeyId,
    #[sqlx(try_from = "String")]
    pub role: Role,
    pub store_id: Option<StoreId>,
    /// Where in the store its till stands.
    pub terminal: Option<String>,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// `secret_hash`: SHA-256 of the secret part of the key.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, key: &ApiKey, secret_hash: &[u8]) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO api_keys (brand_id, key_id, role, store_id, terminal, name, secret_hash, created_at, expires_at, revoked_at)
        VALUES ($1, $2, $3, $4, $10, $5, $6, $7, $8, $9)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(key.id)
        .bind(key.role.as_str())
        .bind(key.store_id)
        .bind(&key.name)
        .bind(secret_hash)
        .bind(key.created_at)
        .bind(key.expires_at)
        .bind(key.revoked_at)
        .bind(&key.terminal)
        .execute(c)
        .await
        .map(|_| ()))
}

/// The key with this secret, unless it is revoked or its time is over.
pub async fn find_live(
    conn: &mut Conn<'_>,
    brand: BrandId,
    secret_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<ApiKey>> {
    const SQL: &str = "
        SELECT key_id, role, store_id, terminal, name, created_at, expires_at, revoked_at
        FROM api_keys
        WHERE brand_id = $1 AND secret_hash = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(secret_hash).bind(now).fetch_optional(c).await)
}

/// Oldest first, revoked ones too; `after` is the last key of the page before.
pub async fn list(conn: &mut Conn<'_>, brand: BrandId, after: Option<KeyId>, limit: i64) -> sqlx::Result<Vec<ApiKey>> {
    const SQL: &str = "
        SELECT key_id, role, store_id, terminal, name, created_at, expires_at, revoked_at
        FROM api_keys WHERE brand_id = $1 AND key_id > $2 ORDER BY key_id LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after.unwrap_or(KeyId::FIRST)).bind(limit).fetch_all(c).await)
}

/// The key afterwards; `None` when the brand has no such key. Revoking twice keeps the first time.
pub async fn revoke(
    conn: &mut Conn<'_>,
    brand: BrandId,
    key: KeyId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<ApiKey>> {
    const SQL: &str = "
        UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE brand_id = $1 AND key_id = $2
        RETURNING key_id, role, store_id, terminal, name, created_at, expires_at, revoked_at";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(key).bind(now).fetch_optional(c).await)
}
