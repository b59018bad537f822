//! What people agreed to: the newest decision for each purpose and channel.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::consent::{Channel, ConsentState};
use crate::domain::ids::{BrandId, CustomerId};

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Consent {
    pub purpose: String,
    #[sqlx(try_from = "String")]
    pub channel: Channel,
    #[sqlx(try_from = "String")]
    pub state: ConsentState,
    /// Which text they were shown.
    pub notice_version: String,
    /// Where they said so: a form, a till, a call.
    pub source: String,
    pub decided_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// Keeps a decision unless a newer one is known. `false`: one is, or just this one.
pub async fn decide(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId, new: &Consent) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO consents (brand_id, customer_id, purpose, channel, state, notice_version, source, decided_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (brand_id, customer_id, purpose, channel) DO UPDATE
        SET state = excluded.state, notice_version = excluded.notice_version, source = excluded.source,
            decided_at = excluded.decided_at, created_at = excluded.created_at
        WHERE consents.decided_at < excluded.decided_at";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(customer)
        .bind(&new.purpose)
        .bind(new.channel.as_str())
        .bind(new.state.as_str())
        .bind(&new.notice_version)
        .bind(&new.source)
        .bind(new.decided_at)
        .bind(new.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// In order of purpose and channel.
pub async fn list(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId) -> sqlx::Result<Vec<Consent>> {
    const SQL: &str = "
        SELECT purpose, channel, state, notice_version, source, decided_at, created_at FROM consents
        WHERE brand_id = $1 AND customer_id = $2 ORDER BY purpose, channel";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(customer).fetch_all(c).await)
}
