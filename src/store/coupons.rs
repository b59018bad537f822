//! Coupons: each may be used once, and only one of all tills gets it.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, CouponId, CustomerId, JobId, OfferId, PassId, QuoteId, RedemptionId};
use crate::domain::text::text_enum;

text_enum! {
    pub enum CouponState {
        Issued = "issued",
        Redeemed = "redeemed",
        Voided = "voided",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Coupon {
    #[sqlx(rename = "coupon_id")]
    pub id: CouponId,
    pub offer_id: OfferId,
    /// `None`: whoever has the code may use it.
    pub customer_id: Option<CustomerId>,
    pub external_id: Option<String>,
    /// 12 bytes: what its signed code is about.
    pub code_id: Vec<u8>,
    /// What people type, without blanks and dashes; the brand's own code, of one that came from elsewhere.
    pub typed: String,
    #[sqlx(try_from = "String")]
    pub state: CouponState,
    pub starts_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Until when a quote holds it, and which.
    pub held_until: Option<DateTime<Utc>>,
    pub held_by: Option<QuoteId>,
    pub redemption_id: Option<RedemptionId>,
    /// When and where it was used (the name of the store, or `online`); of one that is void, where a till gave it away offline.
    pub redeemed_at: Option<DateTime<Utc>>,
    pub redeemed_in: Option<String>,
    pub pass_id: Option<PassId>,
    /// The job that made it, of many that were made at once.
    pub batch_id: Option<JobId>,
    /// Its code is one that tills check alone.
    pub is_offline: bool,
    /// The redemption that paid for it with units: it is owed, whatever becomes of its offer.
    pub bought_by: Option<RedemptionId>,
    /// Since when it waits for the pass that is to show it.
    pub unshown_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "coupon_id, offer_id, customer_id, external_id, code_id, typed, state, starts_at, expires_at, held_until, held_by,
         redemption_id, redeemed_at, redeemed_in, pass_id, batch_id, is_offline, bought_by, unshown_since, created_at"
    };
}

/// How many were new: those whose `external_id` or code is known are left out.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, coupons: &[Coupon]) -> sqlx::Result<u64> {
    if coupons.is_empty() {
        return Ok(0);
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "INSERT INTO coupons (brand_id, coupon_id, offer_id, customer_id, external_id, code_id, typed, state, starts_at,
                 expires_at, pass_id, batch_id, is_offline, bought_by, unshown_since, created_at) ",
        );
        query.push_values(coupons, |mut row, coupon| {
            row.push_bind(brand)
                .push_bind(coupon.id)
                .push_bind(coupon.offer_id)
                .push_bind(coupon.customer_id)
                .push_bind(coupon.external_id.as_deref())
                .push_bind(coupon.code_id.as_slice())
                .push_bind(coupon.typed.as_str())
                .push_bind(coupon.state.as_str())
                .push_bind(coupon.starts_at)
                .push_bind(coupon.expires_at)
                .push_bind(coupon.pass_id)
                .push_bind(coupon.batch_id)
                .push_bind(coupon.is_offline)
                .push_bind(coupon.bought_by)
                .push_bind(coupon.unshown_since)
                .push_bind(coupon.created_at);
        });
        query.push(" ON CONFLICT DO NOTHING");
        query.build().execute(c).await.map(|done| done.rows_affected())
    })
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, coupon: CouponId) -> sqlx::Result<Option<Coupon>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM coupons WHERE brand_id = $1 AND coupon_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(coupon).fetch_optional(c).await)
}

pub async fn find_by_external_id(
    conn: &mut Conn<'_>,
    brand: BrandId,
    external_id: &str,
) -> sqlx::Result<Option<Coupon>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM coupons WHERE brand_id = $1 AND external_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)
}

/// Those of these coupons that there are.
pub async fn list_by_ids(conn: &mut Conn<'_>, brand: BrandId, coupons: &[CouponId]) -> sqlx::Result<Vec<Coupon>> {
    if coupons.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM coupons WHERE brand_id = "));
        query.push_bind(brand).push(" AND coupon_id IN ");
        push_list(&mut query, coupons.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// The coupon of a signed code.
pub async fn find_by_code(conn: &mut Conn<'_>, brand: BrandId, code_id: &[u8]) -> sqlx::Result<Option<Coupon>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM coupons WHERE brand_id = $1 AND code_id = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(code_id).fetch_optional(c).await)
}

/// The coupon of a code that was typed.
pub async fn find_by_typed(conn: &mut Conn<'_>, brand: BrandId, typed: &str) -> sqlx::Result<Option<Coupon>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM coupons WHERE brand_id = $1 AND typed = $2");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(typed).fetch_optional(c).await)
}

/// The coupons of a customer that are not used up, in the order in which they were made.
pub async fn list_usable(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Coupon>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM coupons WHERE brand_id = $1 AND customer_id = $2 AND state = 'issued'
          AND (expires_at IS NULL OR expires_at > $3) ORDER BY coupon_id LIMIT $4"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(customer).bind(now).bind(limit).fetch_all(c).await)
}

/// The same of several customers, each with no more than `each`; and those that begin later.
pub async fn list_usable_of(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customers: &[CustomerId],
    now: DateTime<Utc>,
    each: i64,
) -> sqlx::Result<Vec<Coupon>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT ",
        columns!(),
        ", ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY coupon_id) AS place FROM coupons
          WHERE state = 'issued' AND brand_id = "
    );
    on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND (expires_at IS NULL OR expires_at > ").push_bind(now);
        query.push(") AND customer_id IN ");
        push_list(&mut query, customers.iter().copied());
        query.push(") AS usable WHERE place <= ").push_bind(each).push(" ORDER BY customer_id, coupon_id");
        query.build_query_as().fetch_all(c).await
    })
}

/// The coupons of an offer after `after`, in order of their ids.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    offer: OfferId,
    after: Option<CouponId>,
    limit: i64,
) -> sqlx::Result<Vec<Coupon>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM coupons WHERE brand_id = $1 AND offer_id = $2 AND coupon_id > $3 ORDER BY coupon_id LIMIT $4"
    );
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(offer)
        .bind(after.unwrap_or(CouponId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// The coupons that a job made, after `after`, in order of their ids.
pub async fn list_batch(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: JobId,
    after: Option<CouponId>,
    limit: i64,
) -> sqlx::Result<Vec<Coupon>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM coupons WHERE brand_id = $1 AND batch_id = $2 AND coupon_id > $3 ORDER BY coupon_id LIMIT $4"
    );
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(batch)
        .bind(after.unwrap_or(CouponId::FIRST))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Who uses a coupon, and when.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    pub redemption: RedemptionId,
    pub quote: Option<QuoteId>,
    /// The name of the store, or `online`.
    pub place: &'a str,
    pub done_at: DateTime<Utc>,
}

/// Uses a coupon; the pass that shows it, if one does. `None`: somebody did already, it is void, or another quote holds it.
pub async fn redeem(
    conn: &mut Conn<'_>,
    brand: BrandId,
    coupon: CouponId,
    by: &Use<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Option<PassId>>> {
    const SQL: &str = "
        UPDATE coupons SET state = 'redeemed', redemption_id = $3, redeemed_at = $7, redeemed_in = $5, held_until = NULL,
            held_by = NULL, ended_at = $4
        WHERE brand_id = $1 AND coupon_id = $2 AND state = 'issued'
          AND (held_until IS NULL OR held_until <= $4 OR held_by = $6)
        RETURNING pass_id";
    on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(by.redemption)
        .bind(now)
        .bind(by.place)
        .bind(by.quote)
        .bind(by.done_at)
        .fetch_optional(c)
        .await)
}

/// Lets a coupon be used again that a redemption used. `false`: it did not.
pub async fn give_back(
    conn: &mut Conn<'_>,
    brand: BrandId,
    coupon: CouponId,
    redemption: RedemptionId,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE coupons SET state = 'issued', redemption_id = NULL, redeemed_at = NULL, redeemed_in = NULL, ended_at = NULL
        WHERE brand_id = $1 AND coupon_id = $2 AND state = 'redeemed' AND redemption_id = $3";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(redemption)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Holds a coupon for a quote. `false`: it is used, void, or held by another.
pub async fn hold(
    conn: &mut Conn<'_>,
    brand: BrandId,
    coupon: CouponId,
    quote: QuoteId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE coupons SET held_until = $4, held_by = $3
        WHERE brand_id = $1 AND coupon_id = $2 AND state = 'issued' AND (held_until IS NULL OR held_until <= $5)";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(quote)
        .bind(until)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Ends a coupon that nobody used. `false`: it is used, or void already.
pub async fn void(conn: &mut Conn<'_>, brand: BrandId, coupon: CouponId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE coupons SET state = 'voided', ended_at = $3 WHERE brand_id = $1 AND coupon_id = $2 AND state = 'issued'";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Ends a coupon that a till took offline though it was not to: nobody is to take it again, and where and when it was taken is
/// noted. `false`: it is used, void, or none that tills take alone.
pub async fn void_offline(
    conn: &mut Conn<'_>,
    brand: BrandId,
    coupon: CouponId,
    (place, done_at): (&str, DateTime<Utc>),
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE coupons SET state = 'voided', held_until = NULL, held_by = NULL, redeemed_in = $3, redeemed_at = $4,
            ended_at = $5
        WHERE brand_id = $1 AND coupon_id = $2 AND state = 'issued' AND is_offline";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(place)
        .bind(done_at)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// The ids in the codes of coupons that tills would take without asking, and must not: used or void, and not past their end.
/// Those that were used or taken back last, up to `limit`.
pub async fn list_denied(
    conn: &mut Conn<'_>,
    brand: BrandId,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Vec<u8>>> {
    const SQL: &str = "
        SELECT code_id FROM coupons
        WHERE brand_id = $1 AND is_offline AND state <> 'issued' AND (expires_at IS NULL OR expires_at > $2)
        ORDER BY COALESCE(ended_at, created_at) DESC LIMIT $3";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(now).bind(limit).fetch_all(c).await)
}

/// The coupon that the pass with this code shows.
pub async fn find_by_pass_code(conn: &mut Conn<'_>, brand: BrandId, code_id: &[u8]) -> sqlx::Result<Option<Coupon>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM coupons WHERE brand_id = $1 AND pass_id = (
              SELECT p.pass_id FROM passes p WHERE p.brand_id = $1 AND p.code_id = $2)"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(code_id).fetch_optional(c).await)
}

/// A coupon that a pass showed is shown by its successor.
pub async fn move_pass(conn: &mut Conn<'_>, brand: BrandId, old: PassId, new: PassId) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE coupons SET pass_id = $3 WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(old).bind(new).execute(c).await.map(|_| ()))
}

/// Lets go of what a quote holds and nobody used.
pub async fn release(conn: &mut Conn<'_>, brand: BrandId, coupons: &[CouponId], quote: QuoteId) -> sqlx::Result<()> {
    if coupons.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE coupons SET held_until = NULL, held_by = NULL WHERE brand_id = ");
        query.push_bind(brand).push(" AND held_by = ").push_bind(quote);
        query.push(" AND state = 'issued' AND coupon_id IN ");
        push_list(&mut query, coupons.iter().copied());
        query.build().execute(c).await.map(|_| ())
    })
}

/// Notes the pass that shows a coupon. `false`: it is used, or void.
pub async fn set_pass(conn: &mut Conn<'_>, brand: BrandId, coupon: CouponId, pass: PassId) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE coupons SET pass_id = $3, unshown_since = NULL
        WHERE brand_id = $1 AND coupon_id = $2 AND state = 'issued'";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(coupon)
        .bind(pass)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Coupons that have waited for their passes since before a time, longest first.
pub async fn list_unshown(
    conn: &mut Conn<'_>,
    brand: BrandId,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Coupon>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM coupons WHERE brand_id = $1 AND unshown_since < $2 ORDER BY unshown_since LIMIT $3"
    );
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(before).bind(limit).fetch_all(c).await)
}

/// A coupon waits for its pass from now on, or for none any more (`None`).
pub async fn set_unshown(
    conn: &mut Conn<'_>,
    brand: BrandId,
    coupon: CouponId,
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE coupons SET unshown_since = $3 WHERE brand_id = $1 AND coupon_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(coupon).bind(since).execute(c).await.map(|_| ()))
}
