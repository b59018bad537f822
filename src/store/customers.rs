//! Customers and the identifiers they are known by.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;

use super::db::{Conn, PerEngine, on};
use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::locale::Locale;
use crate::domain::secret::Personal;

#[derive(Debug, Clone)]
pub struct Customer {
    pub id: CustomerId,
    pub name: Option<Personal<String>>,
    pub locale: Option<Locale>,
    pub time_zone: Option<String>,
    pub attributes: Personal<Map<String, Value>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(FromRow)]
pub(super) struct CustomerRow {
    customer_id: CustomerId,
    name: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
    attributes: Json<Map<String, Value>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CustomerRow> for Customer {
    fn from(row: CustomerRow) -> Self {
        Self {
            id: row.customer_id,
            name: row.name.map(Personal::new),
            locale: row.locale.and_then(|locale| locale.parse().ok()),
            time_zone: row.time_zone,
            attributes: Personal::new(row.attributes.0),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Something a customer is known by, with the keyed digest it is looked up by.
#[derive(Debug, Clone)]
pub struct Identifier {
    pub kind: IdentifierKind,
    pub value: Personal<String>,
    pub lookup: Vec<u8>,
}

pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, customer: &Customer) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO customers (brand_id, customer_id, name, locale, time_zone, attributes, version, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(customer.id)
        .bind(customer.name.as_ref().map(Personal::reveal))
        .bind(customer.locale.map(Locale::as_str))
        .bind(&customer.time_zone)
        .bind(Json(customer.attributes.reveal()))
        .bind(customer.version)
        .bind(customer.created_at)
        .bind(customer.updated_at)
        .execute(c)
        .await
        .map(|_| ()))
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId) -> sqlx::Result<Option<Customer>> {
    const SQL: &str = "
        SELECT customer_id, name, locale, time_zone, attributes, version, created_at, updated_at
        FROM customers WHERE brand_id = $1 AND customer_id = $2";
    let row: Option<CustomerRow> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(customer).fetch_optional(c).await)?;
    Ok(row.map(Customer::from))
}

/// The same, held until the transaction ends: whoever changes a customer reads what the last one wrote.
pub async fn find_for_update(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
) -> sqlx::Result<Option<Customer>> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            SELECT customer_id, name, locale, time_zone, attributes, version, created_at, updated_at
            FROM customers WHERE brand_id = $1 AND customer_id = $2",
        postgres: "
            SELECT customer_id, name, locale, time_zone, attributes, version, created_at, updated_at
            FROM customers WHERE brand_id = $1 AND customer_id = $2 FOR NO KEY UPDATE",
    };
    let sql = conn.text(&SQL);
    let row: Option<CustomerRow> =
        on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(customer).fetch_optional(c).await)?;
    Ok(row.map(Customer::from))
}

/// Takes turns with others who look for, or create, a customer with this identifier: two first visits at once find one
/// customer. `SQLite` has one writer and needs no more.
pub async fn lock_lookup(conn: &mut Conn<'_>, lookup: &[u8]) -> sqlx::Result<()> {
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    let key = lookup.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key).execute(&mut **conn).await.map(|_| ())
}

pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<CustomerId>,
    limit: i64,
) -> sqlx::Result<Vec<Customer>> {
    const SQL: &str = "
        SELECT customer_id, name, locale, time_zone, attributes, version, created_at, updated_at
        FROM customers WHERE brand_id = $1 AND customer_id > $2 ORDER BY customer_id LIMIT $3";
    let rows: Vec<CustomerRow> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(after.unwrap_or(CustomerId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(Customer::from).collect())
}

/// Writes the whole customer at the version it was read at. `false`: it changed since.
pub async fn update(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: &Customer,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE customers
        SET name = $3, locale = $4, time_zone = $5, attributes = $6, version = version + 1, updated_at = $7
        WHERE brand_id = $1 AND customer_id = $2 AND version = $8";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(customer.id)
        .bind(customer.name.as_ref().map(Personal::reveal))
        .bind(customer.locale.map(Locale::as_str))
        .bind(&customer.time_zone)
        .bind(Json(customer.attributes.reveal()))
        .bind(now)
        .bind(customer.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Up to `limit` customers that are known by this identifier, in no order: see `imports::find_named`.
pub async fn find_by_identifier(
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &IdentifierKind,
    lookup: &[u8],
    limit: i64,
) -> sqlx::Result<Vec<CustomerId>> {
    const SQL: &str = "
        SELECT customer_id FROM customer_identifiers
        WHERE brand_id = $1 AND kind = $2 AND lookup = $3 LIMIT $4";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(kind.as_str()).bind(lookup).bind(limit).fetch_all(c).await)
}

/// Adds an identifier; adding the same again changes nothing. `false`: another customer has it, and no two may.
pub async fn insert_identifier(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    identifier: &Identifier,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const INSERT: &str = "
        INSERT INTO customer_identifiers (brand_id, kind, lookup, customer_id, unique_lookup, value, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT DO NOTHING";
    const OWNED: &str = "
        SELECT COUNT(*) FROM customer_identifiers
        WHERE brand_id = $1 AND kind = $2 AND lookup = $3 AND customer_id = $4";
    let unique = (!identifier.kind.is_shared()).then_some(&identifier.lookup);
    let count: i64 = on!(conn, |c| {
        sqlx::query(INSERT)
            .bind(brand)
            .bind(identifier.kind.as_str())
            .bind(&identifier.lookup)
            .bind(customer)
            .bind(unique)
            .bind(identifier.value.reveal())
            .bind(now)
            .execute(&mut *c)
            .await?;
        sqlx::query_scalar(OWNED)
            .bind(brand)
            .bind(identifier.kind.as_str())
            .bind(&identifier.lookup)
            .bind(customer)
            .fetch_one(c)
            .await
    })?;
    Ok(count == 1)
}

/// Kind and value of everything the customer is known by, in order of kind.
pub async fn list_identifiers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
) -> sqlx::Result<Vec<(String, Personal<String>)>> {
    const SQL: &str = "
        SELECT kind, value FROM customer_identifiers WHERE brand_id = $1 AND customer_id = $2 ORDER BY kind, created_at";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(customer).fetch_all(c).await)
}

pub async fn remove_identifier(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    kind: &IdentifierKind,
) -> sqlx::Result<()> {
    const SQL: &str = "DELETE FROM customer_identifiers WHERE brand_id = $1 AND customer_id = $2 AND kind = $3";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(customer).bind(kind.as_str()).execute(c).await.map(|_| ()))
}
