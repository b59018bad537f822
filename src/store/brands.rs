//! Brands and the pass types that belong to them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::{Conn, on};
use crate::domain::ids::BrandId;
use crate::domain::locale::Locale;
use crate::domain::tag::Tag;

#[derive(Debug, Clone, FromRow)]
pub struct Brand {
    #[sqlx(rename = "brand_id")]
    pub id: BrandId,
    /// Eight characters of lower-case Crockford base32; never changes, so every address may begin with it.
    pub code: String,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub locale: Locale,
    /// An IANA name, such as `America/Sao_Paulo`.
    pub time_zone: String,
    /// The key that new codes are made with, and the oldest whose codes are still taken: 1 to 255.
    pub newest_code_key: i64,
    pub oldest_code_key: i64,
    pub created_at: DateTime<Utc>,
}

macro_rules! select {
    () => {
        "SELECT brand_id, code, name, locale, time_zone, newest_code_key, oldest_code_key, created_at FROM brands"
    };
}

pub async fn insert(conn: &mut Conn<'_>, brand: &Brand) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO brands (brand_id, code, name, locale, time_zone, next_seq, created_at)
        VALUES ($1, $2, $3, $4, $5, 1, $6)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand.id)
        .bind(&brand.code)
        .bind(&brand.name)
        .bind(brand.locale.as_str())
        .bind(&brand.time_zone)
        .bind(brand.created_at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// A brand by the code that stands in every address of its own.
pub async fn find_by_code(conn: &mut Conn<'_>, code: &str) -> sqlx::Result<Option<Brand>> {
    const SQL: &str = concat!(select!(), " WHERE code = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(code).fetch_optional(c).await)
}

pub async fn load(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<Brand> {
    const SQL: &str = concat!(select!(), " WHERE brand_id = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).fetch_one(c).await)
}

/// Every brand, oldest first: for the operator's command line and for workers that take brands in turn.
pub async fn list(conn: &mut Conn<'_>) -> sqlx::Result<Vec<Brand>> {
    const SQL: &str = concat!(select!(), " ORDER BY brand_id");
    on!(conn, |c| sqlx::query_as(SQL).fetch_all(c).await)
}

/// Makes the next key the one that new codes are made with. `false`: it is not the newest any more.
pub async fn renew_code_key(conn: &mut Conn<'_>, brand: BrandId, newest: i64) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE brands SET newest_code_key = newest_code_key + 1
        WHERE brand_id = $1 AND newest_code_key = $2 AND newest_code_key < 255";
    let rows =
        on!(conn, |c| sqlx::query(SQL).bind(brand).bind(newest).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Takes no codes any more but those of the newest key. `false`: there are no others.
pub async fn retire_code_keys(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE brands SET oldest_code_key = newest_code_key WHERE brand_id = $1 AND oldest_code_key < newest_code_key";
    let rows = on!(conn, |c| sqlx::query(SQL).bind(brand).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Binds a pass type to a brand. `false`: it is bound already, to this brand or another.
pub async fn insert_pass_type(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass_type: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO pass_types (brand_id, pass_type, tag_epoch, tag_n, created_at) VALUES ($1, $2, $3, 0, $4)
        ON CONFLICT DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(pass_type)
        .bind(now.timestamp())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn list_pass_types(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<Vec<String>> {
    const SQL: &str = "SELECT pass_type FROM pass_types WHERE brand_id = $1 ORDER BY pass_type";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).fetch_all(c).await)
}

/// The brand that a pass type is bound to; the one question that crosses brands, asked when a pass type is bound.
pub async fn find_owner(conn: &mut Conn<'_>, pass_type: &str) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "SELECT brand_id FROM pass_types WHERE pass_type = $1";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(pass_type).fetch_optional(c).await)
}

/// Takes the next `count` tags; the answer is the last of them. The counter's row stays locked until the transaction
/// ends, which is what makes the order of tags the order of commits: take it after every other row, hold it briefly.
pub async fn take_tags(conn: &mut Conn<'_>, brand: BrandId, pass_type: &str, count: i64) -> sqlx::Result<Tag> {
    const SQL: &str = "
        UPDATE pass_types SET tag_n = tag_n + $3 WHERE brand_id = $1 AND pass_type = $2
        RETURNING tag_epoch, tag_n";
    let (epoch, n) = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass_type).bind(count).fetch_one(c).await)?;
    Ok(Tag { epoch, n })
}

/// After a restore: tags that phones hold are foreign from now on, so each phone asks for everything once.
pub async fn begin_tag_epoch(conn: &mut Conn<'_>, brand: BrandId, epoch: i64) -> sqlx::Result<()> {
    // Never the same as before, even when a backup is restored within the second it was made in.
    const EPOCH: &str = "
        UPDATE pass_types SET tag_epoch = CASE WHEN tag_epoch >= $2 THEN tag_epoch + 1 ELSE $2 END WHERE brand_id = $1";
    const TOLD: &str = "UPDATE registrations SET told_tag_n = 0 WHERE brand_id = $1";
    // What Google was sent after the backup was made is not known any more: no hash is so short.
    const SENT: &str = "UPDATE google_objects SET sent_hash = $2 WHERE brand_id = $1 AND sent_hash IS NOT NULL";
    const CLASSES: &str = "UPDATE google_classes SET sent_hash = $2 WHERE brand_id = $1 AND sent_hash IS NOT NULL";
    on!(conn, |c| {
        sqlx::query(EPOCH).bind(brand).bind(epoch).execute(&mut *c).await?;
        sqlx::query(TOLD).bind(brand).execute(&mut *c).await?;
        for sql in [SENT, CLASSES] {
            sqlx::query(sql).bind(brand).bind([0_u8].as_slice()).execute(&mut *c).await?;
        }
        Ok(())
    })
}
