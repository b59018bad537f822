//! What tills took off baskets, what they were refused, and what was quoted before. A till's own id is unique for ever in
//! its place, as an order's is.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, ConflictId, CouponId, CustomerId, QuoteId, RedemptionId, StoreId};
use crate::domain::secret::Personal;
use crate::domain::text::text_enum;

text_enum! {
    pub enum RedemptionState {
        Committed = "committed",
        Voided = "voided",
        /// Its items say why.
        Refused = "refused",
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct Redemption {
    #[sqlx(rename = "redemption_id")]
    pub id: RedemptionId,
    pub place: String,
    pub transaction_id: String,
    pub body_hash: Vec<u8>,
    pub customer_id: Option<CustomerId>,
    pub store_id: Option<StoreId>,
    pub terminal: Option<String>,
    pub employee: Option<Personal<String>>,
    #[sqlx(try_from = "String")]
    pub state: RedemptionState,
    pub currency: Option<String>,
    pub discount_minor: i64,
    pub items: Json<Value>,
    /// When it was done, if the till was offline.
    pub done_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub voided_at: Option<DateTime<Utc>>,
}

macro_rules! redemption_columns {
    () => {
        "redemption_id, place, transaction_id, body_hash, customer_id, store_id, terminal, employee, state, currency,
         discount_minor, items, done_at, created_at, voided_at"
    };
}

/// `false`: this place has a redemption with this `transaction_id`, or this very request was refused (or done) before. On
/// `PostgreSQL` the statement waits for a transaction that is just making one.
pub async fn insert_redemption(conn: &mut Conn<'_>, brand: BrandId, new: &Redemption) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO redemptions (brand_id, redemption_id, place, transaction_id, body_hash, customer_id, store_id, terminal,
                                 employee, state, currency, discount_minor, items, done_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(new.id)
        .bind(&new.place)
        .bind(&new.transaction_id)
        .bind(&new.body_hash)
        .bind(new.customer_id)
        .bind(new.store_id)
        .bind(&new.terminal)
        .bind(&new.employee)
        .bind(new.state.as_str())
        .bind(&new.currency)
        .bind(new.discount_minor)
        .bind(&new.items)
        .bind(new.done_at)
        .bind(new.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find_redemption(
    conn: &mut Conn<'_>,
    brand: BrandId,
    redemption: RedemptionId,
) -> sqlx::Result<Option<Redemption>> {
    const SQL: &str = concat!(
        "SELECT ",
        redemption_columns!(),
        " FROM redemptions WHERE brand_id = $1 AND redemption_id = $2 AND state <> 'refused'"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(redemption).fetch_optional(c).await)
}

pub async fn find_redemption_named(
    conn: &mut Conn<'_>,
    brand: BrandId,
    place: &str,
    transaction_id: &str,
) -> sqlx::Result<Option<Redemption>> {
    const SQL: &str = concat!(
        "SELECT ",
        redemption_columns!(),
        " FROM redemptions WHERE brand_id = $1 AND place = $2 AND transaction_id = $3 AND state <> 'refused'"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(place).bind(transaction_id).fetch_optional(c).await)
}

/// Why a request with this digest was refused.
pub async fn find_refusal(
    conn: &mut Conn<'_>,
    brand: BrandId,
    place: &str,
    transaction_id: &str,
    body_hash: &[u8],
) -> sqlx::Result<Option<Value>> {
    const SQL: &str = "
        SELECT items FROM redemptions
        WHERE brand_id = $1 AND place = $2 AND transaction_id = $3 AND body_hash = $4 AND state = 'refused'";
    let found: Option<(Json<Value>,)> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(place)
        .bind(transaction_id)
        .bind(body_hash)
        .fetch_optional(c)
        .await)?;
    Ok(found.map(|(Json(refused),)| refused))
}

/// Forgets up to `limit` refusals made before `before`; the number forgotten.
pub async fn forget_refusals(
    conn: &mut Conn<'_>,
    brand: BrandId,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    const SQL: &str = "
        DELETE FROM redemptions WHERE brand_id = $1 AND redemption_id IN (
            SELECT redemption_id FROM redemptions WHERE brand_id = $1 AND state = 'refused' AND created_at < $2
            ORDER BY created_at LIMIT $3)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(before)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// Voids a redemption. `false`: it is void already.
pub async fn void_redemption(
    conn: &mut Conn<'_>,
    brand: BrandId,
    redemption: RedemptionId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE redemptions SET state = 'voided', voided_at = $3
        WHERE brand_id = $1 AND redemption_id = $2 AND state = 'committed'";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(redemption)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// What an offline till did that was not its to do: goods are given, and somebody must look.
#[derive(Debug, Clone, FromRow)]
pub struct Conflict {
    #[sqlx(rename = "conflict_id")]
    pub id: ConflictId,
    pub place: String,
    pub transaction_id: String,
    pub body_hash: Vec<u8>,
    pub customer_id: Option<CustomerId>,
    pub store_id: Option<StoreId>,
    pub terminal: Option<String>,
    pub employee: Option<Personal<String>>,
    pub coupon_id: Option<CouponId>,
    /// Why: a refusal's code.
    pub code: String,
    /// Who was first.
    pub first_redemption_id: Option<RedemptionId>,
    pub done_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

macro_rules! conflict_columns {
    () => {
        "conflict_id, place, transaction_id, body_hash, customer_id, store_id, terminal, employee, coupon_id, code,
         first_redemption_id, done_at, created_at"
    };
}

/// `false`: this very request is recorded.
pub async fn insert_conflict(conn: &mut Conn<'_>, brand: BrandId, new: &Conflict) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO redemption_conflicts (brand_id, conflict_id, place, transaction_id, body_hash, customer_id, store_id,
                                          terminal, employee, coupon_id, code, first_redemption_id, done_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(new.id)
        .bind(&new.place)
        .bind(&new.transaction_id)
        .bind(&new.body_hash)
        .bind(new.customer_id)
        .bind(new.store_id)
        .bind(&new.terminal)
        .bind(&new.employee)
        .bind(new.coupon_id)
        .bind(&new.code)
        .bind(new.first_redemption_id)
        .bind(new.done_at)
        .bind(new.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// What is recorded of this very request.
pub async fn find_conflict(
    conn: &mut Conn<'_>,
    brand: BrandId,
    place: &str,
    transaction_id: &str,
    body_hash: &[u8],
) -> sqlx::Result<Option<Conflict>> {
    const SQL: &str = concat!(
        "SELECT ",
        conflict_columns!(),
        " FROM redemption_conflicts
          WHERE brand_id = $1 AND place = $2 AND transaction_id = $3 AND body_hash = $4"
    );
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(place)
        .bind(transaction_id)
        .bind(body_hash)
        .fetch_optional(c)
        .await)
}

/// Newest first; `before` is the last of the page before.
pub async fn list_conflicts(
    conn: &mut Conn<'_>,
    brand: BrandId,
    before: Option<ConflictId>,
    limit: i64,
) -> sqlx::Result<Vec<Conflict>> {
    const SQL: &str = concat!(
        "SELECT ",
        conflict_columns!(),
        " FROM redemption_conflicts WHERE brand_id = $1 AND conflict_id < $2 ORDER BY conflict_id DESC LIMIT $3"
    );
    let before = before.unwrap_or(ConflictId::LAST);
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(before).bind(limit).fetch_all(c).await)
}

#[derive(Debug, Clone, FromRow)]
pub struct Quote {
    #[sqlx(rename = "quote_id")]
    pub id: QuoteId,
    pub place: String,
    pub customer_id: Option<CustomerId>,
    /// SHA-256 of the basket and of what was to be redeemed.
    pub basket_hash: Vec<u8>,
    pub content: Json<Value>,
    pub lock_until: Option<DateTime<Utc>>,
    pub redemption_id: Option<RedemptionId>,
    pub created_at: DateTime<Utc>,
}

pub async fn insert_quote(conn: &mut Conn<'_>, brand: BrandId, quote: &Quote) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO quotes (brand_id, quote_id, place, customer_id, basket_hash, content, lock_until, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(quote.id)
        .bind(&quote.place)
        .bind(quote.customer_id)
        .bind(&quote.basket_hash)
        .bind(&quote.content)
        .bind(quote.lock_until)
        .bind(quote.created_at)
        .execute(c)
        .await
        .map(|_| ()))
}

pub async fn find_quote(conn: &mut Conn<'_>, brand: BrandId, quote: QuoteId) -> sqlx::Result<Option<Quote>> {
    const SQL: &str = "
        SELECT quote_id, place, customer_id, basket_hash, content, lock_until, redemption_id, created_at FROM quotes
        WHERE brand_id = $1 AND quote_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(quote).fetch_optional(c).await)
}

/// Notes what became of a quote. `false`: something did already.
pub async fn use_quote(
    conn: &mut Conn<'_>,
    brand: BrandId,
    quote: QuoteId,
    redemption: RedemptionId,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE quotes SET redemption_id = $3 WHERE brand_id = $1 AND quote_id = $2 AND redemption_id IS NULL";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(quote)
        .bind(redemption)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Forgets up to `limit` quotes made before `before`; the number forgotten.
pub async fn forget_quotes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    const SQL: &str = "
        DELETE FROM quotes WHERE brand_id = $1 AND quote_id IN (
            SELECT quote_id FROM quotes WHERE brand_id = $1 AND created_at < $2 ORDER BY created_at LIMIT $3)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(before)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}
