//! What imports read and write: for many lines in one statement what other use cases do for one.
//!
//! What is read here may have changed when it is written; the writes say how many rows they touched, or give versions to
//! compare, and the caller begins anew when they are not what was read.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::customers::{Customer, CustomerRow, Identifier};
use super::db::{Conn, PerEngine, on, push_list};
use super::passes::{FirstContent, Pass, PassRow, pass_columns};
use super::rollouts::IN_BULK;
use crate::domain::ids::{BrandId, CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::locale::Locale;
use crate::domain::secret::Personal;

/// The passes that have one of these external ids.
pub async fn find_passes(conn: &mut Conn<'_>, brand: BrandId, external_ids: &[&str]) -> sqlx::Result<Vec<Pass>> {
    const SQL: &str = concat!("SELECT ", pass_columns!(), " FROM passes WHERE brand_id = ");
    if external_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<PassRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND external_id IN ");
        push_list(&mut query, external_ids.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(Pass::from).collect())
}

/// Those of these (pass type, serial) that a pass has.
pub async fn find_serials(
    conn: &mut Conn<'_>,
    brand: BrandId,
    serials: &[(&str, &str)],
) -> sqlx::Result<Vec<(String, String)>> {
    if serials.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (pass_type, serial) AS (");
        query.push_values(serials, |mut row, (pass_type, serial)| {
            row.push_bind(*pass_type).push_bind(*serial);
        });
        query.push(
            ") SELECT v.pass_type, v.serial FROM v CROSS JOIN passes p
               WHERE p.pass_type = v.pass_type AND p.serial = v.serial AND p.brand_id = ",
        );
        query.push_bind(brand).build_query_as().fetch_all(c).await
    })
}

/// One customer whom an identifier names, and another one.
#[derive(Debug, Clone, Copy, FromRow)]
struct Named {
    number: i64,
    one_id: Option<CustomerId>,
    other_id: Option<CustomerId>,
}

/// Whom each identifier names, in their order: nobody, one, or (the error) several.
pub async fn find_named(
    conn: &mut Conn<'_>,
    brand: BrandId,
    identifiers: &[&Identifier],
) -> sqlx::Result<Vec<Result<Option<CustomerId>, Several>>> {
    let mut found = vec![Ok(None); identifiers.len()];
    if identifiers.is_empty() {
        return Ok(found);
    }
    // However many share a telephone, two seeks tell. In no order: with one, PostgreSQL may walk the index that has it.
    let rows: Vec<Named> = on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (number, brand_id, kind, lookup) AS (");
        query.push_values(identifiers.iter().zip(0_i64..), |mut row, (identifier, number)| {
            row.push_bind(number).push_bind(brand).push_bind(identifier.kind.as_str());
            row.push_bind(identifier.lookup.as_slice());
        });
        query.push(
            ") SELECT v.number,
                (SELECT i.customer_id FROM customer_identifiers i
                 WHERE i.brand_id = v.brand_id AND i.kind = v.kind AND i.lookup = v.lookup LIMIT 1) AS one_id,
                (SELECT i.customer_id FROM customer_identifiers i
                 WHERE i.brand_id = v.brand_id AND i.kind = v.kind AND i.lookup = v.lookup LIMIT 1 OFFSET 1) AS other_id
               FROM v",
        );
        query.build_query_as().fetch_all(c).await
    })?;
    for row in rows {
        if let Some(place) = usize::try_from(row.number).ok().and_then(|number| found.get_mut(number)) {
            *place = if row.other_id.is_none() { Ok(row.one_id) } else { Err(Several) };
        }
    }
    Ok(found)
}

/// An identifier that several customers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Several;

/// A customer with what their passes show beside.
#[derive(Debug, Clone)]
pub struct KnownCustomer {
    pub customer: Customer,
    pub card_number: Option<Personal<String>>,
}

#[derive(FromRow)]
struct KnownRow {
    #[sqlx(flatten)]
    customer: CustomerRow,
    card_number: Option<String>,
}

impl From<KnownRow> for KnownCustomer {
    fn from(row: KnownRow) -> Self {
        Self { customer: row.customer.into(), card_number: row.card_number.map(Personal::new) }
    }
}

pub async fn find_customers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    ids: &[CustomerId],
) -> sqlx::Result<Vec<KnownCustomer>> {
    const SQL: &str = "
        SELECT c.customer_id, c.name, c.locale, c.time_zone, c.attributes, c.version, c.created_at, c.updated_at,
               (SELECT MIN(i.value) FROM customer_identifiers i
                WHERE i.brand_id = c.brand_id AND i.customer_id = c.customer_id AND i.kind = 'card_number') AS card_number
        FROM customers c WHERE c.brand_id = ";
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<KnownRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND c.customer_id IN ");
        push_list(&mut query, ids.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(KnownCustomer::from).collect())
}

/// A membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Member {
    #[sqlx(rename = "member_id")]
    pub id: MemberId,
    #[sqlx(rename = "program_id")]
    pub program: ProgramId,
    #[sqlx(rename = "customer_id")]
    pub customer: CustomerId,
    #[sqlx(rename = "created_at")]
    pub since: DateTime<Utc>,
}

/// The memberships of these customers, in any program.
pub async fn find_members(conn: &mut Conn<'_>, brand: BrandId, customers: &[CustomerId]) -> sqlx::Result<Vec<Member>> {
    const SQL: &str = "SELECT member_id, program_id, customer_id, created_at FROM members WHERE brand_id = ";
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND customer_id IN ");
        push_list(&mut query, customers.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// Kind and lookup of what these customers are known by.
pub async fn find_identifiers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customers: &[CustomerId],
) -> sqlx::Result<Vec<(CustomerId, String, Vec<u8>)>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    // With a column that the primary key does not have: SQLite would rather walk the brand in the key, where it finds
    // everything, than seek in the index of customers.
    const SQL: &str = "SELECT customer_id, kind, lookup, created_at FROM customer_identifiers WHERE brand_id = ";
    let rows: Vec<(CustomerId, String, Vec<u8>, DateTime<Utc>)> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND customer_id IN ");
        push_list(&mut query, customers.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|(customer, kind, lookup, _)| (customer, kind, lookup)).collect())
}

/// Takes turns with others who look for, or create, customers with these identifiers, as `customers::lock_lookup` does for
/// one; in order, so that two who want the same take turns too.
pub async fn lock_lookups(conn: &mut Conn<'_>, identifiers: &[&Identifier]) -> sqlx::Result<()> {
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    let key =
        |identifier: &&Identifier| identifier.lookup.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    let mut keys: Vec<i64> = identifiers.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let sql = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key";
    sqlx::query(sql).bind(keys).execute(&mut **conn).await.map(|_| ())
}

/// The versions of customers, who cannot change before the transaction ends.
pub async fn hold_customers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    ids: &[CustomerId],
) -> sqlx::Result<Vec<(CustomerId, i64)>> {
    const SQL: &str = "SELECT customer_id, version FROM customers WHERE brand_id = ";
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let hold = conn.text(&PerEngine { sqlite: "", postgres: " ORDER BY customer_id FOR NO KEY UPDATE" });
    on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND customer_id IN ");
        push_list(&mut query, ids.iter().copied());
        query.push(hold).build_query_as().fetch_all(c).await
    })
}

/// Whether templates and programs are still as they were read: each with its live version, or its version. They cannot
/// change before the transaction ends, so that what is stored now is found by whatever follows such a change.
pub async fn hold_designs(
    conn: &mut Conn<'_>,
    brand: BrandId,
    templates: &[(TemplateId, i64)],
    programs: &[(ProgramId, i64)],
) -> sqlx::Result<bool> {
    const TEMPLATES: &str = "SELECT template_id, live_version FROM templates WHERE brand_id = ";
    const PROGRAMS: &str = "SELECT program_id, version FROM programs WHERE brand_id = ";
    if templates.is_empty() {
        return Ok(true);
    }
    let hold = PerEngine { sqlite: "", postgres: " ORDER BY 1 FOR SHARE" };
    let hold = conn.text(&hold);
    on!(conn, |c| {
        let mut query = QueryBuilder::new(TEMPLATES);
        query.push_bind(brand).push(" AND template_id IN ");
        push_list(&mut query, templates.iter().map(|(id, _)| *id));
        let held: Vec<(TemplateId, i64)> = query.push(hold).build_query_as().fetch_all(&mut *c).await?;
        if !templates.iter().all(|seen| held.contains(seen)) {
            return Ok(false);
        }
        let mut query = QueryBuilder::new(PROGRAMS);
        query.push_bind(brand).push(" AND program_id IN ");
        push_list(&mut query, programs.iter().map(|(id, _)| *id));
        let held: Vec<(ProgramId, i64)> = query.push(hold).build_query_as().fetch_all(c).await?;
        Ok(programs.iter().all(|seen| held.contains(seen)))
    })
}

pub async fn insert_customers(conn: &mut Conn<'_>, brand: BrandId, customers: &[&Customer]) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO customers (brand_id, customer_id, name, locale, time_zone, attributes, version, created_at, updated_at) ";
    if customers.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_values(customers, |mut row, customer| {
            row.push_bind(brand)
                .push_bind(customer.id)
                .push_bind(customer.name.as_ref().map(Personal::reveal))
                .push_bind(customer.locale.map(Locale::as_str))
                .push_bind(&customer.time_zone)
                .push_bind(Json(customer.attributes.reveal()))
                .push_bind(customer.version)
                .push_bind(customer.created_at)
                .push_bind(customer.updated_at);
        });
        query.build().execute(c).await.map(|_| ())
    })
}

/// Gives customers identifiers that they do not have; how many were given. Fewer: some are another's by now.
pub async fn insert_identifiers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    rows: &[(CustomerId, &Identifier)],
    now: DateTime<Utc>,
) -> sqlx::Result<usize> {
    const SQL: &str = "
        INSERT INTO customer_identifiers (brand_id, kind, lookup, customer_id, unique_lookup, value, created_at) ";
    if rows.is_empty() {
        return Ok(0);
    }
    let done = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_values(rows, |mut row, (customer, identifier)| {
            let unique = (!identifier.kind.is_shared()).then_some(identifier.lookup.as_slice());
            row.push_bind(brand)
                .push_bind(identifier.kind.as_str())
                .push_bind(identifier.lookup.as_slice())
                .push_bind(*customer)
                .push_bind(unique)
                .push_bind(identifier.value.reveal())
                .push_bind(now);
        });
        query.push(" ON CONFLICT DO NOTHING").build().execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(usize::try_from(done).unwrap_or(usize::MAX))
}

/// How many memberships were made; fewer than given: some are there by now.
pub async fn insert_members(conn: &mut Conn<'_>, brand: BrandId, members: &[Member]) -> sqlx::Result<usize> {
    const SQL: &str = "INSERT INTO members (brand_id, member_id, program_id, customer_id, created_at) ";
    if members.is_empty() {
        return Ok(0);
    }
    let done = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_values(members, |mut row, member| {
            row.push_bind(brand)
                .push_bind(member.id)
                .push_bind(member.program)
                .push_bind(member.customer)
                .push_bind(member.since);
        });
        query.push(" ON CONFLICT DO NOTHING").build().execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(usize::try_from(done).unwrap_or(usize::MAX))
}

/// A pass to be stored with what it is served as.
pub struct NewPass<'a> {
    pub pass: &'a Pass,
    pub first: &'a FirstContent,
}

/// Stores passes with their first contents, as `passes::insert` does one; how many. Fewer than given: an external id or a
/// serial is another pass's by now.
pub async fn insert_passes(conn: &mut Conn<'_>, brand: BrandId, passes: &[NewPass<'_>]) -> sqlx::Result<usize> {
    const PASSES: &str = "
        INSERT INTO passes (
            brand_id, pass_id, pass_type, serial, link, code_id, token_key_version, token_hash, program_id, customer_id,
            member_id, template_id, external_id, order_hash, data, status, created_at, updated_at, change_no,
            published_no, publish_after, lease_until, lease_no, render_at, first_tag_n, tag_n, last_modified,
            template_version, apple_hash, google_hash) ";
    const CONTENTS: &str = "INSERT INTO pass_contents (brand_id, pass_id, apple, google) ";
    if passes.is_empty() {
        return Ok(0);
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(PASSES);
        query.push_values(passes, |mut row, NewPass { pass, first }| {
            row.push_bind(brand)
                .push_bind(pass.id)
                .push_bind(&pass.pass_type)
                .push_bind(&pass.serial)
                .push_bind(pass.link.reveal())
                .push_bind(pass.code_id.as_slice())
                .push_bind(pass.token_key_version)
                .push_bind(pass.token_hash.as_deref())
                .push_bind(pass.program_id)
                .push_bind(pass.customer_id)
                .push_bind(pass.member_id)
                .push_bind(pass.template_id)
                .push_bind(&pass.external_id)
                .push_bind(pass.order_hash.as_slice())
                .push_bind(Json(pass.data.reveal()))
                .push_bind(pass.status.as_str())
                .push_bind(pass.created_at)
                .push_bind(pass.created_at)
                .push("1, 1")
                .push_bind(first.publish_after)
                .push_bind(pass.created_at)
                .push("0")
                .push_bind(first.render_at)
                .push_bind(first.tag_n)
                .push_bind(first.tag_n)
                .push_bind(first.last_modified)
                .push_bind(first.template_version)
                .push_bind(first.apple_hash.as_slice())
                .push_bind(first.google_hash.as_slice());
        });
        query.push(" ON CONFLICT DO NOTHING");
        let rows = query.build().execute(&mut *c).await?.rows_affected();
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        if rows < passes.len() {
            return Ok(rows);
        }
        let mut query = QueryBuilder::new(CONTENTS);
        query.push_values(passes, |mut row, NewPass { pass, first }| {
            row.push_bind(brand)
                .push_bind(pass.id)
                .push_bind(first.apple.as_slice())
                .push_bind(first.google.as_slice());
        });
        query.build().execute(c).await?;
        Ok(rows)
    })
}

/// What a line makes of a pass that is there.
pub struct ChangedPass<'a> {
    pub id: PassId,
    pub seen_change_no: i64,
    pub data: &'a Map<String, Value>,
    pub order_hash: &'a [u8],
    /// `None`: as it is.
    pub token_hash: Option<&'a [u8]>,
}

/// Locks passes, these and all of these customers, in order of id; `SQLite` has one writer and needs no more.
pub async fn lock_passes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[PassId],
    customers: &[CustomerId],
) -> sqlx::Result<()> {
    const SQL: &str = "
        SELECT pass_id FROM passes WHERE brand_id = $1 AND (pass_id = ANY($2) OR customer_id = ANY($3))
        ORDER BY pass_id FOR NO KEY UPDATE";
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    if passes.is_empty() && customers.is_empty() {
        return Ok(());
    }
    sqlx::query(SQL).bind(brand).bind(passes).bind(customers).execute(&mut **conn).await.map(|_| ())
}

/// Gives passes the data of their lines, at the change that each was read at, to be published behind everything that
/// somebody waits for; how many. Fewer: some changed since.
pub async fn set_passes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[ChangedPass<'_>],
    now: DateTime<Utc>,
) -> sqlx::Result<usize> {
    if passes.is_empty() {
        return Ok(0);
    }
    let done = on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, pass_id, seen_no, data, order_hash, new_hash) AS (");
        query.push_values(passes, |mut row, pass| {
            row.push_bind(brand)
                .push_bind(pass.id)
                .push_bind(pass.seen_change_no)
                .push_bind(Json(pass.data))
                .push_bind(pass.order_hash)
                .push_bind(pass.token_hash);
        });
        query.push(
            ") UPDATE passes SET data = v.data, order_hash = v.order_hash,
               token_hash = COALESCE(v.new_hash, token_hash), change_no = change_no + 1",
        );
        query.push(IN_BULK).push(", publish_after = CASE WHEN change_no = published_no OR refused IS NOT NULL THEN ");
        query.push_bind(now).push(" ELSE publish_after END, updated_at = ").push_bind(now).push(
            " FROM v WHERE passes.brand_id = v.brand_id AND passes.pass_id = v.pass_id AND passes.change_no = v.seen_no",
        );
        query.build().execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(usize::try_from(done).unwrap_or(usize::MAX))
}

/// Marks every pass of these customers, which [`lock_passes`] has locked in their order, to be published behind everything
/// that somebody waits for.
pub async fn touch_customers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customers: &[CustomerId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if customers.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("WITH v (brand_id, customer_id) AS (");
        query.push_values(customers, |mut row, customer| {
            row.push_bind(brand).push_bind(*customer);
        });
        query.push(") UPDATE passes SET change_no = change_no + 1").push(IN_BULK);
        query.push(", publish_after = CASE WHEN change_no = published_no THEN ");
        query.push_bind(now).push(" ELSE publish_after END, updated_at = ").push_bind(now);
        query.push(" FROM v WHERE passes.brand_id = v.brand_id AND passes.customer_id = v.customer_id");
        query.build().execute(c).await.map(|_| ())
    })
}

/// What a result tells of a pass beside its id.
#[derive(Clone, FromRow)]
pub struct Made {
    pub pass_id: PassId,
    pub external_id: Option<String>,
    pub serial: String,
    pub link: String,
}

pub async fn find_made(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<Made>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT pass_id, external_id, serial, link FROM passes WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// Passes that wait to be published for no person's sake, of the whole brand; counted up to `limit`.
pub async fn count_waiting(conn: &mut Conn<'_>, brand: BrandId, limit: i64) -> sqlx::Result<i64> {
    const SQL: &str = "
        SELECT COUNT(*) FROM (
            SELECT 1 AS one FROM passes WHERE brand_id = $1 AND bulk_no > published_no AND refused IS NULL LIMIT $2
        ) AS waiting";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(limit).fetch_one(c).await)
}
