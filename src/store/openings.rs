//! What wallets began with: balances brought along from another system, each once.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, OpeningId, WalletId};

#[derive(Debug, Clone, FromRow)]
pub struct Opening {
    #[sqlx(rename = "opening_id")]
    pub id: OpeningId,
    pub external_id: String,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
    pub wallet_id: WalletId,
    pub created_at: DateTime<Utc>,
}

/// `false`: there is one with this `external_id`. On `PostgreSQL` the statement waits for a transaction that is making one.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, new: &Opening) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO opening_balances (brand_id, external_id, body_hash, opening_id, wallet_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(&new.external_id)
        .bind(&new.body_hash)
        .bind(new.id)
        .bind(new.wallet_id)
        .bind(new.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, external_id: &str) -> sqlx::Result<Option<Opening>> {
    const SQL: &str = "
        SELECT opening_id, external_id, body_hash, wallet_id, created_at FROM opening_balances
        WHERE brand_id = $1 AND external_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)
}
