//! Offers, what is left of them, and how often each customer used them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, OfferId, ProgramId};
use crate::domain::text::text_enum;

text_enum! {
    /// Whether an offer may be used.
    pub enum OfferState {
        Draft = "draft",
        Running = "running",
        Ended = "ended",
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct Offer {
    #[sqlx(rename = "offer_id")]
    pub id: OfferId,
    pub program_id: ProgramId,
    pub external_id: Option<String>,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub state: OfferState,
    pub spec: Json<Value>,
    /// Times that it may still be used; `None`: as often as anybody likes.
    pub uses_left: Option<i64>,
    pub stock_left: Option<i64>,
    pub budget_left_minor: Option<i64>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When it last stopped running, if it does not run now.
    pub stopped_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "offer_id, program_id, external_id, name, state, spec, uses_left, stock_left, budget_left_minor, version, created_at,
         updated_at, stopped_at"
    };
}

/// `false`: the brand has an offer with this `external_id`.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, offer: &Offer) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO offers (brand_id, offer_id, program_id, external_id, name, state, spec, uses_left, stock_left,
                            budget_left_minor, version, created_at, updated_at, stopped_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (brand_id, external_id) DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(offer.id)
        .bind(offer.program_id)
        .bind(&offer.external_id)
        .bind(&offer.name)
        .bind(offer.state.as_str())
        .bind(&offer.spec)
        .bind(offer.uses_left)
        .bind(offer.stock_left)
        .bind(offer.budget_left_minor)
        .bind(offer.version)
        .bind(offer.created_at)
        .bind(offer.updated_at)
        .bind(offer.stopped_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, offer: OfferId) -> sqlx::Result<Option<Offer>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM offers WHERE brand_id = $1 AND offer_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(offer).fetch_optional(c).await)
}

pub async fn find_by_external_id(
    conn: &mut Conn<'_>,
    brand: BrandId,
    external_id: &str,
) -> sqlx::Result<Option<Offer>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM offers WHERE brand_id = $1 AND external_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)
}

/// The offers of the brand after `after`, in order of their ids; of one program, if it is given.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: Option<ProgramId>,
    after: Option<OfferId>,
    limit: i64,
) -> sqlx::Result<Vec<Offer>> {
    const ALL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM offers WHERE brand_id = $1 AND offer_id > $2 AND $4 IS NULL ORDER BY offer_id LIMIT $3"
    );
    const OF_PROGRAM: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM offers WHERE brand_id = $1 AND offer_id > $2 AND program_id = $4 ORDER BY offer_id LIMIT $3"
    );
    let sql = if program.is_some() { OF_PROGRAM } else { ALL };
    on!(conn, |c| sqlx::query_as(sql)
        .bind(brand)
        .bind(after.unwrap_or(OfferId::FIRST))
        .bind(limit)
        .bind(program)
        .fetch_all(c)
        .await)
}

/// A program's offers that have not ended, the newest first.
pub async fn list_open(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    limit: i64,
) -> sqlx::Result<Vec<Offer>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM offers WHERE brand_id = $1 AND program_id = $2 AND state <> 'ended' ORDER BY offer_id DESC LIMIT $3"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).bind(limit).fetch_all(c).await)
}

/// The names of offers, and their programs.
pub async fn list_names(
    conn: &mut Conn<'_>,
    brand: BrandId,
    offers: &[OfferId],
) -> sqlx::Result<Vec<(OfferId, ProgramId, String)>> {
    if offers.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT offer_id, program_id, name FROM offers WHERE brand_id = ");
        query.push_bind(brand).push(" AND offer_id IN ");
        push_list(&mut query, offers.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// Edits an offer at the version that the editor saw; what is left of it is as given. `false`: it is at another.
pub async fn update(conn: &mut Conn<'_>, brand: BrandId, edited: &Offer) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE offers SET name = $3, state = $4, spec = $5, version = version + 1, updated_at = $6, stopped_at = $8
        WHERE brand_id = $1 AND offer_id = $2 AND version = $7";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(edited.id)
        .bind(&edited.name)
        .bind(edited.state.as_str())
        .bind(&edited.spec)
        .bind(edited.updated_at)
        .bind(edited.version)
        .bind(edited.stopped_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Takes one use, one piece of the stock and so much of the budget. `false`: one of them is not there.
pub async fn take(conn: &mut Conn<'_>, brand: BrandId, offer: OfferId, minor: i64) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE offers SET uses_left = uses_left - 1, stock_left = stock_left - 1, budget_left_minor = budget_left_minor - $3
        WHERE brand_id = $1 AND offer_id = $2 AND (uses_left IS NULL OR uses_left > 0)
          AND (stock_left IS NULL OR stock_left > 0) AND (budget_left_minor IS NULL OR budget_left_minor >= $3)";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(offer)
        .bind(minor)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Puts back what was taken.
pub async fn put_back(conn: &mut Conn<'_>, brand: BrandId, offer: OfferId, minor: i64) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE offers SET uses_left = uses_left + 1, stock_left = stock_left + 1, budget_left_minor = budget_left_minor + $3
        WHERE brand_id = $1 AND offer_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(offer).bind(minor).execute(c).await.map(|_| ()))
}

/// How often the customer used each of the offers they used: ever, and since the beginning of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Used {
    pub offer_id: OfferId,
    pub used: i64,
    pub period_since: DateTime<Utc>,
    pub period_used: i64,
}

pub async fn list_used(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    offers: &[OfferId],
) -> sqlx::Result<Vec<Used>> {
    if offers.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, offer_id) AS (");
        query.push_values(offers, |mut row, offer| {
            row.push_bind(brand).push_bind(*offer);
        });
        query.push(
            ") SELECT u.offer_id, u.used, u.period_since, u.period_used FROM v CROSS JOIN offer_uses u
               WHERE u.brand_id = v.brand_id AND u.offer_id = v.offer_id AND u.customer_id = ",
        );
        query.push_bind(customer).build_query_as().fetch_all(c).await
    })
}

/// Counts one use more; a period that began since counts from there. How often it was used then: whoever counts at the same
/// time counts after us.
pub async fn count_use(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    offer: OfferId,
    period_since: DateTime<Utc>,
) -> sqlx::Result<Used> {
    const SQL: &str = "
        INSERT INTO offer_uses (brand_id, offer_id, customer_id, used, period_since, period_used)
        VALUES ($1, $2, $3, 1, $4, 1)
        ON CONFLICT (brand_id, offer_id, customer_id) DO UPDATE SET
            used = offer_uses.used + 1,
            period_used = CASE WHEN offer_uses.period_since < excluded.period_since THEN 1
                               ELSE offer_uses.period_used + 1 END,
            period_since = CASE WHEN offer_uses.period_since < excluded.period_since THEN excluded.period_since
                                ELSE offer_uses.period_since END
        RETURNING offer_id, used, period_since, period_used";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(offer).bind(customer).bind(period_since).fetch_one(c).await)
}

/// Takes back a use of `used_at`; it counts in a period only if that had begun by then.
pub async fn uncount_use(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    offer: OfferId,
    used_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE offer_uses SET
            used = CASE WHEN used > 0 THEN used - 1 ELSE 0 END,
            period_used = CASE WHEN period_since <= $4 AND period_used > 0 THEN period_used - 1 ELSE period_used END
        WHERE brand_id = $1 AND offer_id = $2 AND customer_id = $3";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(offer).bind(customer).bind(used_at).execute(c).await.map(|_| ()))
}
