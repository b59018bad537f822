//! Passes as the API sees them. What phones are served is in `publication`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on};
use crate::domain::ids::{BrandId, CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::pass::PassStatus;
use crate::domain::secret::{Personal, Secret};

#[derive(Debug, Clone)]
pub struct Pass {
    pub id: PassId,
    pub pass_type: String,
    pub serial: String,
    /// The secret part of the add page's address, beginning with the brand's code.
    pub link: Secret<String>,
    /// Twelve random bytes that the barcode carries.
    pub code_id: Vec<u8>,
    pub token_key_version: i64,
    /// SHA-256 of the token that another vendor gave the pass, and phones have.
    pub token_hash: Option<Vec<u8>>,
    pub program_id: ProgramId,
    pub customer_id: CustomerId,
    pub member_id: MemberId,
    pub template_id: TemplateId,
    pub external_id: Option<String>,
    /// SHA-256 of the order it was issued for: the same `external_id` with another order is refused.
    pub order_hash: Vec<u8>,
    pub data: Personal<Map<String, Value>>,
    pub status: PassStatus,
    pub reissued_as: Option<PassId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Grows with every change of what the pass shows; the pass's `ETag`.
    pub change_no: i64,
    pub published_no: i64,
}

#[derive(FromRow)]
pub(super) struct PassRow {
    pass_id: PassId,
    pass_type: String,
    serial: String,
    link: String,
    code_id: Vec<u8>,
    token_key_version: i64,
    token_hash: Option<Vec<u8>>,
    program_id: ProgramId,
    customer_id: CustomerId,
    member_id: MemberId,
    template_id: TemplateId,
    external_id: Option<String>,
    order_hash: Vec<u8>,
    data: Json<Map<String, Value>>,
    #[sqlx(try_from = "String")]
    status: PassStatus,
    reissued_as: Option<PassId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    change_no: i64,
    published_no: i64,
}

impl From<PassRow> for Pass {
    fn from(row: PassRow) -> Self {
        Self {
            id: row.pass_id,
            pass_type: row.pass_type,
            serial: row.serial,
            link: Secret::new(row.link),
            code_id: row.code_id,
            token_key_version: row.token_key_version,
            token_hash: row.token_hash,
            program_id: row.program_id,
            customer_id: row.customer_id,
            member_id: row.member_id,
            template_id: row.template_id,
            external_id: row.external_id,
            order_hash: row.order_hash,
            data: Personal::new(row.data.0),
            status: row.status,
            reissued_as: row.reissued_as,
            created_at: row.created_at,
            updated_at: row.updated_at,
            change_no: row.change_no,
            published_no: row.published_no,
        }
    }
}

macro_rules! pass_columns {
    () => {
        "pass_id, pass_type, serial, link, code_id, token_key_version, token_hash, program_id, customer_id, member_id,
         template_id, external_id, order_hash, data, status, reissued_as, created_at, updated_at, change_no, published_no"
    };
}
pub(super) use pass_columns;

/// What a new pass is served as from its first moment.
#[derive(Clone)]
pub struct FirstContent {
    pub tag_n: i64,
    /// Unix seconds.
    pub last_modified: i64,
    pub publish_after: DateTime<Utc>,
    pub render_at: Option<DateTime<Utc>>,
    pub template_version: i64,
    /// The version that a roll-out wants for it; 0: the template's live one.
    pub wanted_version: i64,
    /// When its holder answered the phone's sign-up form, on the pass before this one.
    pub signed_up_at: Option<DateTime<Utc>>,
    pub apple: Vec<u8>,
    pub apple_hash: Vec<u8>,
    pub google: Vec<u8>,
    pub google_hash: Vec<u8>,
}

/// Stores a pass together with its first content. `false`: the brand has a pass with this `external_id`.
pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, pass: &Pass, first: &FirstContent) -> sqlx::Result<bool> {
    const PASS: &str = "
        INSERT INTO passes (
            brand_id, pass_id, pass_type, serial, link, code_id, token_key_version, program_id, customer_id, member_id,
            template_id, external_id, order_hash, data, status, created_at, updated_at, change_no, published_no,
            publish_after, lease_until, lease_no, render_at, first_tag_n, tag_n, last_modified, template_version,
            apple_hash, google_hash, wanted_version, signed_up_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, 1, 1,
                $17, $16, 0, $18, $19, $19, $20, $21, $22, $23, $24, $25)
        ON CONFLICT (brand_id, external_id) DO NOTHING";
    const CONTENT: &str = "INSERT INTO pass_contents (brand_id, pass_id, apple, google) VALUES ($1, $2, $3, $4)";
    on!(conn, |c| {
        let rows = sqlx::query(PASS)
            .bind(brand)
            .bind(pass.id)
            .bind(&pass.pass_type)
            .bind(&pass.serial)
            .bind(pass.link.reveal())
            .bind(&pass.code_id)
            .bind(pass.token_key_version)
            .bind(pass.program_id)
            .bind(pass.customer_id)
            .bind(pass.member_id)
            .bind(pass.template_id)
            .bind(&pass.external_id)
            .bind(&pass.order_hash)
            .bind(Json(pass.data.reveal()))
            .bind(pass.status.as_str())
            .bind(pass.created_at)
            .bind(first.publish_after)
            .bind(first.render_at)
            .bind(first.tag_n)
            .bind(first.last_modified)
            .bind(first.template_version)
            .bind(&first.apple_hash)
            .bind(&first.google_hash)
            .bind(first.wanted_version)
            .bind(first.signed_up_at)
            .execute(&mut *c)
            .await?
            .rows_affected();
        if rows == 0 {
            return Ok(false);
        }
        sqlx::query(CONTENT)
            .bind(brand)
            .bind(pass.id)
            .bind(&first.apple)
            .bind(&first.google)
            .execute(c)
            .await
            .map(|_| true)
    })
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<Option<Pass>> {
    const SQL: &str = concat!("SELECT ", pass_columns!(), " FROM passes WHERE brand_id = $1 AND pass_id = $2");
    let row: Option<PassRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass).fetch_optional(c).await)?;
    Ok(row.map(Pass::from))
}

pub async fn find_by_external_id(conn: &mut Conn<'_>, brand: BrandId, external_id: &str) -> sqlx::Result<Option<Pass>> {
    const SQL: &str = concat!("SELECT ", pass_columns!(), " FROM passes WHERE brand_id = $1 AND external_id = $2");
    let row: Option<PassRow> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(external_id).fetch_optional(c).await)?;
    Ok(row.map(Pass::from))
}

/// The customer whose active pass carries this code.
pub async fn find_customer_by_code(
    conn: &mut Conn<'_>,
    brand: BrandId,
    code_id: &[u8],
) -> sqlx::Result<Option<CustomerId>> {
    const SQL: &str = "SELECT customer_id FROM passes WHERE brand_id = $1 AND code_id = $2 AND status = 'active'";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(code_id).fetch_optional(c).await)
}

/// By the whole link, brand code included.
pub async fn find_by_link(conn: &mut Conn<'_>, brand: BrandId, link: &str) -> sqlx::Result<Option<Pass>> {
    const SQL: &str = concat!("SELECT ", pass_columns!(), " FROM passes WHERE brand_id = $1 AND link = $2");
    let row: Option<PassRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(link).fetch_optional(c).await)?;
    Ok(row.map(Pass::from))
}

/// Which passes a list shows; `None` does not narrow it.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub external_id: Option<String>,
    pub customer: Option<CustomerId>,
    pub template: Option<TemplateId>,
    pub status: Option<PassStatus>,
}

/// Oldest first; `after` is the last pass of the page before.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    filter: &Filter,
    after: Option<PassId>,
    limit: i64,
) -> sqlx::Result<Vec<Pass>> {
    const SQL: &str = concat!("SELECT ", pass_columns!(), " FROM passes WHERE brand_id = ");
    // Only what is asked for stands in the text, so that its index is used.
    let rows: Vec<PassRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand);
        if let Some(external_id) = &filter.external_id {
            query.push(" AND external_id = ").push_bind(external_id);
        }
        if let Some(customer) = filter.customer {
            query.push(" AND customer_id = ").push_bind(customer);
        }
        if let Some(template) = filter.template {
            query.push(" AND template_id = ").push_bind(template);
        }
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(after) = after {
            query.push(" AND pass_id > ").push_bind(after);
        }
        query.push(" ORDER BY pass_id LIMIT ").push_bind(limit).build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(Pass::from).collect())
}

/// Replaces the pass's data at the change it was read at and marks it to be published; one that was refused is tried
/// again at once. `None`: it changed since.
pub async fn set_data(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    data: &Map<String, Value>,
    seen_change_no: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Pass>> {
    const SQL: &str = concat!(
        "UPDATE passes SET data = $3, change_no = change_no + 1, updated_at = $5,
                publish_after = CASE WHEN refused IS NULL THEN publish_after ELSE $5 END
         WHERE brand_id = $1 AND pass_id = $2 AND change_no = $4
         RETURNING ",
        pass_columns!()
    );
    let row: Option<PassRow> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(pass)
        .bind(Json(data))
        .bind(seen_change_no)
        .bind(now)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Pass::from))
}

/// Moves a pass from `from` to `to` and marks it to be published. `None`: it is not there or in another status.
pub async fn set_status(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    from: PassStatus,
    to: PassStatus,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Pass>> {
    const SQL: &str = concat!(
        "UPDATE passes SET status = $4, change_no = change_no + 1, updated_at = $5
         WHERE brand_id = $1 AND pass_id = $2 AND status = $3
         RETURNING ",
        pass_columns!()
    );
    let row: Option<PassRow> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(pass)
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(now)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Pass::from))
}

/// Voids a pass because `successor` takes its place. `false`: it has a successor, or is not there.
pub async fn set_reissued(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    successor: PassId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE passes SET status = 'voided', reissued_as = $3, change_no = change_no + 1, updated_at = $4
        WHERE brand_id = $1 AND pass_id = $2 AND reissued_as IS NULL";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(pass)
        .bind(successor)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Gives a pass's `external_id` free, for its successor.
pub async fn release_external_id(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE passes SET external_id = NULL WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(pass).execute(c).await.map(|_| ()))
}

/// Notes that the holder answered the phone's sign-up form, if nobody did yet; the pass is due without the form.
pub async fn set_signed_up(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE passes SET signed_up_at = $3, change_no = change_no + 1, updated_at = $3
        WHERE brand_id = $1 AND pass_id = $2 AND signed_up_at IS NULL";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(pass)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Marks every pass of a customer to be published, because what it shows of the customer changed.
pub async fn touch_customer(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    // PostgreSQL locks rows in the order it comes by them: in order of id, two who touch the same passes take turns.
    const SQL: PerEngine = PerEngine {
        sqlite: "UPDATE passes SET change_no = change_no + 1, updated_at = $3 WHERE brand_id = $1 AND customer_id = $2",
        postgres: "
            WITH held AS MATERIALIZED (
                SELECT pass_id FROM passes WHERE brand_id = $1 AND customer_id = $2 ORDER BY pass_id FOR NO KEY UPDATE)
            UPDATE passes SET change_no = change_no + 1, updated_at = $3
            FROM held WHERE passes.brand_id = $1 AND passes.pass_id = held.pass_id",
    };
    let sql = conn.text(&SQL);
    on!(conn, |c| sqlx::query(sql)
        .bind(brand)
        .bind(customer)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// Marks up to `limit` passes of a program after `after` (in order of id) to be published; which, in order.
pub async fn touch_program(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    after: PassId,
    limit: i64,
) -> sqlx::Result<Vec<PassId>> {
    const SQL: PerEngine = PerEngine {
        sqlite: "
            UPDATE passes SET change_no = change_no + 1
            WHERE brand_id = $1 AND pass_id IN (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND program_id = $2 AND pass_id > $3 ORDER BY pass_id LIMIT $4)
            RETURNING pass_id",
        // In order of id, as in `touch_customer`.
        postgres: "
            WITH held AS MATERIALIZED (
                SELECT pass_id FROM passes
                WHERE brand_id = $1 AND program_id = $2 AND pass_id > $3 ORDER BY pass_id LIMIT $4 FOR NO KEY UPDATE)
            UPDATE passes SET change_no = change_no + 1
            FROM held WHERE passes.brand_id = $1 AND passes.pass_id = held.pass_id
            RETURNING passes.pass_id",
    };
    let sql = conn.text(&SQL);
    let mut touched: Vec<PassId> =
        on!(conn, |c| sqlx::query_scalar(sql).bind(brand).bind(program).bind(after).bind(limit).fetch_all(c).await)?;
    touched.sort_unstable();
    Ok(touched)
}
