//! From "changed" to "published": which passes are due, and what phones are served.
//!
//! A pass is due while `change_no > published_no`. A publisher claims passes for a while (lease), renders them outside
//! any transaction, and stores the result together with tags and deliveries.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::pass::PassStatus;
use crate::domain::secret::Personal;

/// The brand after `after` (in order of id) that has a pass to publish now; `None` when there is none after it.
pub async fn next_due_brand(
    conn: &mut Conn<'_>,
    after: Option<BrandId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1 AND EXISTS (
            SELECT 1 FROM passes p
            WHERE p.brand_id = b.brand_id AND p.change_no > p.published_no AND p.publish_after <= $2 AND p.lease_until <= $2)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(now).fetch_optional(c).await)
}

/// The brand after `after` that has a pass whose next day has come.
pub async fn next_timed_brand(
    conn: &mut Conn<'_>,
    after: Option<BrandId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1
          AND EXISTS (SELECT 1 FROM passes p WHERE p.brand_id = b.brand_id AND p.render_at IS NOT NULL AND p.render_at <= $2)
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(now).fetch_optional(c).await)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Claim {
    #[sqlx(rename = "pass_id")]
    pub pass: PassId,
    /// Grows with every claim: a publisher that outslept its lease is recognised by it.
    pub lease_no: i64,
}

/// Takes up to `max` due passes until `lease_until`. Passes that a writer or another publisher holds are left out.
pub async fn claim(
    conn: &mut Conn<'_>,
    brand: BrandId,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    max: i64,
) -> sqlx::Result<Vec<Claim>> {
    // SQLite has one writer and no row locks; on PostgreSQL a claim must not wait for a writer that holds a row. There it
    // is a CTE, because a subquery inside IN may be run once for each row, and each run skips what the last one locked:
    // LIMIT would not limit. The array has the rows looked up one by one: a join would be free to begin with all passes of
    // the brand, and does where there are no statistics yet.
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE passes SET lease_until = $3, lease_no = lease_no + 1
            WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND change_no > published_no AND publish_after <= $2 AND lease_until <= $2
                ORDER BY publish_after LIMIT $4)
            RETURNING pass_id, lease_no",
        postgres: "
            WITH due AS MATERIALIZED (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND change_no > published_no AND publish_after <= $2 AND lease_until <= $2
                ORDER BY publish_after LIMIT $4 FOR UPDATE SKIP LOCKED)
            UPDATE passes SET lease_until = $3, lease_no = lease_no + 1
            WHERE brand_id = $1 AND pass_id = ANY (ARRAY (SELECT pass_id FROM due))
            RETURNING pass_id, lease_no",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(now).bind(lease_until).bind(max).fetch_all(c).await)
}

/// Everything a template may show of a pass, read in one statement: `change_no` belongs to just these values.
/// About a person: no `Debug`.
#[derive(Clone, FromRow)]
pub struct Source {
    pub pass_id: PassId,
    pub pass_type: String,
    pub serial: String,
    pub code_id: Vec<u8>,
    pub template_id: TemplateId,
    pub template_version: i64,
    /// Whether that is the version that all passes have which no roll-out is ahead with.
    pub is_live: bool,
    pub program_id: ProgramId,
    pub customer_id: CustomerId,
    pub member_id: MemberId,
    /// 0: the program has no rules of loyalty.
    pub rules_version: i64,
    /// What is shown of the member's wallets: filled by who renders.
    #[sqlx(skip)]
    pub loyalty: Map<String, Value>,
    /// When that is something else for no other reason than the time.
    #[sqlx(skip)]
    pub loyalty_until: Option<DateTime<Utc>>,
    #[sqlx(try_from = "String")]
    pub status: PassStatus,
    pub data: Json<Map<String, Value>>,
    pub created_at: DateTime<Utc>,
    pub change_no: i64,
    /// The last change that a roll-out made.
    pub bulk_no: i64,
    /// The last change that is published even if the pass looks the same.
    pub forced_no: i64,
    pub published_no: i64,
    pub apple_hash: Vec<u8>,
    pub google_hash: Vec<u8>,
    pub customer_name: Option<Personal<String>>,
    pub customer_locale: Option<String>,
    pub customer_time_zone: Option<String>,
    pub customer_attributes: Json<Map<String, Value>>,
    pub card_number: Option<Personal<String>>,
    pub program_name: String,
    pub program_time_zone: String,
    pub member_since: DateTime<Utc>,
    /// When the holder answered the phone's sign-up form.
    pub signed_up_at: Option<DateTime<Utc>>,
    /// Whether Google is to hold it: then its class is rendered too.
    pub has_object: bool,
}

/// The sources of `passes`, in no particular order.
pub async fn load_sources(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<Source>> {
    const SQL: &str = "
        SELECT p.pass_id, p.pass_type, p.serial, p.code_id, p.template_id, 
               CASE WHEN p.wanted_version > 0 THEN p.wanted_version ELSE t.live_version END AS template_version,
               p.wanted_version = 0 OR p.wanted_version = t.live_version AS is_live, p.program_id, p.customer_id, p.member_id,
               g.rules_version,
               p.status, p.data, p.created_at, p.signed_up_at, p.change_no, p.bulk_no, p.forced_no, p.published_no, p.apple_hash, p.google_hash,
               c.name AS customer_name, c.locale AS customer_locale, c.time_zone AS customer_time_zone,
               c.attributes AS customer_attributes,
               (SELECT MIN(i.value) FROM customer_identifiers i
                WHERE i.brand_id = p.brand_id AND i.customer_id = p.customer_id AND i.kind = 'card_number') AS card_number,
               EXISTS (SELECT 1 FROM google_objects o
                       WHERE o.brand_id = p.brand_id AND o.pass_id = p.pass_id) AS has_object,
               g.name AS program_name, g.time_zone AS program_time_zone, m.created_at AS member_since
        FROM passes p
        JOIN customers c ON c.brand_id = p.brand_id AND c.customer_id = p.customer_id
        JOIN programs g ON g.brand_id = p.brand_id AND g.program_id = p.program_id
        JOIN members m ON m.brand_id = p.brand_id AND m.member_id = p.member_id
        JOIN templates t ON t.brand_id = p.brand_id AND t.template_id = p.template_id
        WHERE p.brand_id = ";
    on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND p.pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// What a publisher must know of a pass it is about to store, read under the row's lock.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Held {
    pub pass_id: PassId,
    pub lease_no: i64,
    pub tag_n: i64,
    /// Unix seconds.
    pub last_modified: i64,
}

/// Locks the passes that nobody else holds; the others stay due and are claimed again.
pub async fn lock(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<Held>> {
    let skip = conn.text(&PerEngine { sqlite: "", postgres: " ORDER BY pass_id FOR UPDATE SKIP LOCKED" });
    on!(conn, |c| {
        let mut query =
            QueryBuilder::new("SELECT pass_id, lease_no, tag_n, last_modified FROM passes WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.push(skip).build_query_as().fetch_all(c).await
    })
}

/// A pass whose new content is to be stored.
#[derive(Clone)]
pub struct Published {
    pub pass: PassId,
    /// The change that the content was rendered from.
    pub published_no: i64,
    pub tag_n: i64,
    /// Unix seconds.
    pub last_modified: i64,
    pub render_at: Option<DateTime<Utc>>,
    pub template_version: i64,
    pub apple: Vec<u8>,
    pub apple_hash: Vec<u8>,
    pub google: Vec<u8>,
    pub google_hash: Vec<u8>,
}

/// Stores new content and tags of passes that this transaction has locked, and ends their leases.
///
/// The brand stands in every row of `v`: were it a constant, `SQLite` would walk all passes of the brand and look each up
/// in `v`.
pub async fn publish(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[Published],
    publish_after: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    if passes.is_empty() {
        return Ok(0);
    }
    on!(conn, |c| {
        let mut state = QueryBuilder::new(
            "WITH v (brand_id, pass_id, published_no, tag_n, last_modified, render_at, template_version, apple_hash, google_hash) AS (",
        );
        state.push_values(passes, |mut row, pass| {
            row.push_bind(brand)
                .push_bind(pass.pass)
                .push_bind(pass.published_no)
                .push_bind(pass.tag_n)
                .push_bind(pass.last_modified)
                .push_bind(pass.render_at)
                .push_bind(pass.template_version)
                .push_bind(pass.apple_hash.as_slice())
                .push_bind(pass.google_hash.as_slice());
        });
        state
            .push(
                ") UPDATE passes SET published_no = v.published_no, tag_n = v.tag_n, last_modified = v.last_modified,
                   render_at = v.render_at, template_version = v.template_version, apple_hash = v.apple_hash,
                   google_hash = v.google_hash, refused = NULL,
                   published_at = CASE WHEN passes.tag_n < v.tag_n THEN ",
            )
            .push_bind(now)
            .push(" ELSE passes.published_at END, lease_until = ")
            .push_bind(now)
            .push(", publish_after = ")
            .push_bind(publish_after)
            .push(" FROM v WHERE passes.brand_id = v.brand_id AND passes.pass_id = v.pass_id");
        let rows = state.build().execute(&mut *c).await?.rows_affected();

        let mut content = QueryBuilder::new("INSERT INTO pass_contents (brand_id, pass_id, apple, google) ");
        content.push_values(passes, |mut row, pass| {
            row.push_bind(brand)
                .push_bind(pass.pass)
                .push_bind(pass.apple.as_slice())
                .push_bind(pass.google.as_slice());
        });
        content.push(" ON CONFLICT (brand_id, pass_id) DO UPDATE SET apple = excluded.apple, google = excluded.google");
        content.build().execute(c).await?;
        Ok(rows)
    })
}

/// Marks locked passes as published without new content, because they would look the same, and ends their leases.
pub async fn settle_unchanged(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[(PassId, i64, Option<DateTime<Utc>>)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if passes.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, pass_id, published_no, render_at) AS (");
        query.push_values(passes, |mut row, (pass, published_no, render_at)| {
            row.push_bind(brand).push_bind(*pass).push_bind(*published_no).push_bind(*render_at);
        });
        query
            .push(
                ") UPDATE passes SET published_no = v.published_no, render_at = v.render_at, refused = NULL,
                   lease_until = ",
            )
            .push_bind(now)
            .push(" FROM v WHERE passes.brand_id = v.brand_id AND passes.pass_id = v.pass_id");
        query.build().execute(c).await.map(|_| ())
    })
}

/// Notes why a pass could not be rendered and when to try again; phones keep what they have.
pub async fn refuse(
    conn: &mut Conn<'_>,
    brand: BrandId,
    claim: Claim,
    reason: &str,
    retry_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE passes SET refused = $4, publish_after = $5 WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes WHERE brand_id = $1 AND pass_id = $2 AND lease_no = $3)",
        postgres: "
            UPDATE passes SET refused = $4, publish_after = $5 WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes WHERE brand_id = $1 AND pass_id = $2 AND lease_no = $3
                FOR UPDATE SKIP LOCKED)",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query(sql)
        .bind(brand)
        .bind(claim.pass)
        .bind(claim.lease_no)
        .bind(reason)
        .bind(retry_at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Lets up to `limit` of the passes that a template could not show be tried again now, with its new version.
pub async fn retry_refused(
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    version: i64,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    const SQL: &str = "
        UPDATE passes SET publish_after = $3, lease_until = $3, refused = NULL, wanted_version = $5
        WHERE brand_id = $1 AND pass_id IN (
            SELECT pass_id FROM passes
            WHERE brand_id = $1 AND template_id = $2 AND refused IS NOT NULL ORDER BY pass_id LIMIT $4)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(template)
        .bind(now)
        .bind(limit)
        .bind(version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// How many passes of a brand are refused, counted up to `limit`, and why one of them is.
pub async fn count_refused(conn: &mut Conn<'_>, brand: BrandId, limit: i64) -> sqlx::Result<(i64, Option<String>)> {
    const SQL: &str = "
        SELECT COUNT(*), MIN(refused) FROM (
            SELECT refused FROM passes WHERE brand_id = $1 AND refused IS NOT NULL LIMIT $2) AS refused";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(limit).fetch_one(c).await)
}

/// Ends the leases of claims that could not be stored, so that they are claimed again at once; leaves out rows that a
/// writer holds, whose leases end by themselves.
pub async fn release(conn: &mut Conn<'_>, brand: BrandId, claims: &[Claim], now: DateTime<Utc>) -> sqlx::Result<()> {
    if claims.is_empty() {
        return Ok(());
    }
    let skip = conn.text(&PerEngine { sqlite: ")", postgres: " FOR UPDATE SKIP LOCKED)" });
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE passes SET lease_until = ");
        query.push_bind(now).push(" WHERE brand_id = ").push_bind(brand);
        query.push(" AND pass_id IN (SELECT pass_id FROM passes WHERE brand_id = ").push_bind(brand);
        query.push(" AND (pass_id, lease_no) IN (");
        query.push_values(claims, |mut row, claim| {
            row.push_bind(claim.pass).push_bind(claim.lease_no);
        });
        query.push(")").push(skip);
        query.build().execute(c).await.map(|_| ())
    })
}

/// Marks up to `limit` passes to be published whose text depends on the day and whose next day has come.
pub async fn touch_timed(conn: &mut Conn<'_>, brand: BrandId, now: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE passes SET change_no = change_no + 1, render_at = NULL
            WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes WHERE brand_id = $1 AND render_at <= $2 ORDER BY render_at LIMIT $3)",
        // A CTE for the reason that `claim` gives.
        postgres: "
            WITH due AS MATERIALIZED (
                SELECT pass_id FROM passes WHERE brand_id = $1 AND render_at <= $2 ORDER BY render_at LIMIT $3
                FOR UPDATE SKIP LOCKED)
            UPDATE passes SET change_no = change_no + 1, render_at = NULL
            WHERE brand_id = $1 AND pass_id = ANY (ARRAY (SELECT pass_id FROM due))",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query(sql).bind(brand).bind(now).bind(limit).execute(c).await.map(|done| done.rows_affected()))
}

/// The row behind every fetch of a pass: enough to check the token and answer 304.
#[derive(Debug, Clone, FromRow)]
pub struct ServedState {
    pub pass_id: PassId,
    pub customer_id: CustomerId,
    pub token_key_version: i64,
    /// SHA-256 of the token that another vendor gave the pass.
    pub token_hash: Option<Vec<u8>>,
    pub template_id: TemplateId,
    pub template_version: i64,
    /// Unix seconds.
    pub last_modified: i64,
    pub tag_n: i64,
    pub apple_hash: Vec<u8>,
}

/// What is served of each (pass type, serial), in their order: an indexed read each, in one statement.
pub async fn find_served(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[(String, String)],
) -> sqlx::Result<Vec<Option<ServedState>>> {
    let rows: Vec<Numbered<ServedState>> = on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (number, pass_type, serial) AS (");
        query.push_values(passes.iter().zip(0_i64..), |mut row, ((pass_type, serial), number)| {
            row.push_bind(number).push_bind(pass_type).push_bind(serial);
        });
        query.push(
            ") SELECT v.number, p.pass_id, p.customer_id, p.token_key_version, p.token_hash, p.template_id, p.template_version,
                      p.last_modified, p.tag_n, p.apple_hash
               FROM v CROSS JOIN passes p WHERE p.pass_type = v.pass_type AND p.serial = v.serial AND p.brand_id = ",
        );
        query.push_bind(brand).build_query_as().fetch_all(c).await
    })?;
    Ok(in_order(passes.len(), rows))
}

/// The published content, with the hash it was stored under (which may be newer than the one the caller saw).
#[derive(Clone, FromRow)]
pub struct AppleContent {
    pub pass_type: String,
    pub serial: String,
    pub token_key_version: i64,
    pub template_id: TemplateId,
    pub template_version: i64,
    pub last_modified: i64,
    pub apple_hash: Vec<u8>,
    /// When the holder answered the phone's sign-up form.
    pub signed_up_at: Option<DateTime<Utc>>,
    pub apple: Vec<u8>,
}

/// The published content of each pass, in their order.
pub async fn find_apple(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
) -> sqlx::Result<Vec<Option<AppleContent>>> {
    let rows: Vec<Numbered<AppleContent>> = on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (number, pass_id) AS (");
        query.push_values(passes.iter().zip(0_i64..), |mut row, (pass, number)| {
            row.push_bind(number).push_bind(*pass);
        });
        query.push(
            ") SELECT v.number, p.pass_type, p.serial, p.token_key_version, p.template_id, p.template_version, p.last_modified,
                      p.apple_hash, p.signed_up_at, k.apple
               FROM v CROSS JOIN passes p JOIN pass_contents k ON k.brand_id = p.brand_id AND k.pass_id = p.pass_id
               WHERE p.pass_id = v.pass_id AND p.brand_id = ",
        );
        query.push_bind(brand).build_query_as().fetch_all(c).await
    })?;
    Ok(in_order(passes.len(), rows))
}

/// A row found for the key of this number. Keys are joined with `CROSS JOIN`: `SQLite` then begins with them, instead of
/// with all passes of the brand.
#[derive(FromRow)]
struct Numbered<T> {
    number: i64,
    #[sqlx(flatten)]
    row: T,
}

fn in_order<T>(count: usize, rows: Vec<Numbered<T>>) -> Vec<Option<T>> {
    let mut found: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
    for Numbered { number, row } in rows {
        if let Some(place) = usize::try_from(number).ok().and_then(|number| found.get_mut(number)) {
            *place = Some(row);
        }
    }
    found
}

/// When the pass's newest content was published; `None`: it is what the pass was made with.
pub async fn find_published_at(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    const SQL: &str = "SELECT published_at FROM passes WHERE brand_id = $1 AND pass_id = $2";
    let found: Option<Option<DateTime<Utc>>> =
        on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(pass).fetch_optional(c).await)?;
    Ok(found.flatten())
}

/// The pass is to be published, though nobody changed what it says.
pub async fn touch(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE passes SET change_no = change_no + 1 WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(pass).execute(c).await.map(|_| ()))
}
