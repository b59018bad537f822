//! Purchases and what came back of them. A caller's own id is unique for ever in its place (a store's id, or `online`), and
//! what it came with is kept as a digest: the same again is answered the same.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

use super::db::{Conn, PerEngine, on};
use crate::domain::ids::{BrandId, CustomerId, OrderId, RedemptionId, ReturnId, StoreId};
use crate::domain::secret::Personal;

#[derive(Debug, Clone, FromRow)]
pub struct Order {
    #[sqlx(rename = "order_id")]
    pub id: OrderId,
    pub place: String,
    pub external_id: String,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
    pub customer_id: Option<CustomerId>,
    pub channel: Option<String>,
    pub store_id: Option<StoreId>,
    pub terminal: Option<String>,
    pub employee: Option<Personal<String>>,
    pub business_date: Option<String>,
    pub placed_at: DateTime<Utc>,
    pub currency: String,
    /// Due before redemptions, and after them; what came back so far.
    pub total_minor: i64,
    pub paid_minor: i64,
    pub returned_minor: i64,
    pub redemption_id: Option<RedemptionId>,
    /// `false`: history, which earned nothing and counted for nothing.
    pub has_effects: bool,
    pub lines: Json<Value>,
    pub earnings: Json<Value>,
    pub created_at: DateTime<Utc>,
}

macro_rules! order_columns {
    () => {
        "order_id, place, external_id, body_hash, customer_id, channel, store_id, terminal, employee, business_date, placed_at,
         currency, total_minor, paid_minor, returned_minor, redemption_id, has_effects, lines, earnings, created_at"
    };
}

/// `false`: this place has an order with this `external_id`, or another order has its redemption.
pub async fn insert_order(conn: &mut Conn<'_>, brand: BrandId, order: &Order) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO orders (brand_id, order_id, place, external_id, body_hash, customer_id, channel, store_id, terminal,
                            employee, business_date, placed_at, currency, total_minor, paid_minor, returned_minor,
                            redemption_id, has_effects, lines, earnings, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(order.id)
        .bind(&order.place)
        .bind(&order.external_id)
        .bind(&order.body_hash)
        .bind(order.customer_id)
        .bind(&order.channel)
        .bind(order.store_id)
        .bind(&order.terminal)
        .bind(&order.employee)
        .bind(&order.business_date)
        .bind(order.placed_at)
        .bind(&order.currency)
        .bind(order.total_minor)
        .bind(order.paid_minor)
        .bind(order.returned_minor)
        .bind(order.redemption_id)
        .bind(order.has_effects)
        .bind(&order.lines)
        .bind(&order.earnings)
        .bind(order.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find_order_named(
    conn: &mut Conn<'_>,
    brand: BrandId,
    place: &str,
    external_id: &str,
) -> sqlx::Result<Option<Order>> {
    const SQL: &str =
        concat!("SELECT ", order_columns!(), " FROM orders WHERE brand_id = $1 AND place = $2 AND external_id = $3");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(place).bind(external_id).fetch_optional(c).await)
}

/// An order, held until the transaction ends: returns of one order take turns.
pub async fn lock_order(conn: &mut Conn<'_>, brand: BrandId, order: OrderId) -> sqlx::Result<Option<Order>> {
    const SQL: PerEngine = PerEngine {
        sqlite: concat!("SELECT ", order_columns!(), " FROM orders WHERE brand_id = $1 AND order_id = $2"),
        postgres: concat!(
            "SELECT ",
            order_columns!(),
            " FROM orders WHERE brand_id = $1 AND order_id = $2 FOR NO KEY UPDATE"
        ),
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(order).fetch_optional(c).await)
}

/// What came back of an order that this transaction holds.
pub async fn set_returned(
    conn: &mut Conn<'_>,
    brand: BrandId,
    order: OrderId,
    returned_minor: i64,
    lines: &Json<Value>,
    earnings: &Json<Value>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE orders SET returned_minor = $3, lines = $4, earnings = $5 WHERE brand_id = $1 AND order_id = $2";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(order)
        .bind(returned_minor)
        .bind(lines)
        .bind(earnings)
        .execute(c)
        .await
        .map(|_| ()))
}

#[derive(Debug, Clone, FromRow)]
pub struct Return {
    #[sqlx(rename = "return_id")]
    pub id: ReturnId,
    pub place: String,
    pub external_id: String,
    pub body_hash: Vec<u8>,
    pub order_id: OrderId,
    pub minor: i64,
    pub answer: Json<Value>,
    pub created_at: DateTime<Utc>,
}

/// `false`: this place has a return with this `external_id`.
pub async fn insert_return(conn: &mut Conn<'_>, brand: BrandId, new: &Return) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO returns (brand_id, return_id, place, external_id, body_hash, order_id, minor, answer, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (brand_id, place, external_id) DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(new.id)
        .bind(&new.place)
        .bind(&new.external_id)
        .bind(&new.body_hash)
        .bind(new.order_id)
        .bind(new.minor)
        .bind(&new.answer)
        .bind(new.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find_return_named(
    conn: &mut Conn<'_>,
    brand: BrandId,
    place: &str,
    external_id: &str,
) -> sqlx::Result<Option<Return>> {
    const SQL: &str = "
        SELECT return_id, place, external_id, body_hash, order_id, minor, answer, created_at FROM returns
        WHERE brand_id = $1 AND place = $2 AND external_id = $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(place).bind(external_id).fetch_optional(c).await)
}
