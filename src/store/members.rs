//! Memberships: which customer belongs to which program, where they stand, and what they did day by day. Whoever moves units
//! holds the member's row.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, MemberId, ProgramId, WalletTypeId};
use crate::domain::loyalty::tier::Standing;
use crate::domain::secret::Personal;

/// The customer's membership of the program and since when; made with `new_id` if there is none.
pub async fn ensure(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    customer: CustomerId,
    new_id: MemberId,
    now: DateTime<Utc>,
) -> sqlx::Result<(MemberId, DateTime<Utc>)> {
    // DO UPDATE, so that RETURNING answers for a row that was there too.
    const SQL: &str = "
        INSERT INTO members (brand_id, member_id, program_id, customer_id, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (brand_id, program_id, customer_id) DO UPDATE SET created_at = members.created_at
        RETURNING member_id, created_at";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(new_id)
        .bind(program)
        .bind(customer)
        .bind(now)
        .fetch_one(c)
        .await)
}

/// A membership with where it stands and what its program's rules are.
#[derive(Debug, Clone)]
pub struct KeptMember {
    pub id: MemberId,
    pub program: ProgramId,
    pub customer: CustomerId,
    pub joined: DateTime<Utc>,
    pub standing: Option<Standing>,
    /// What the standing was measured by when it was last looked at.
    pub tier_value: i64,
    /// When the standing must be looked at though nothing happened.
    pub tier_due_at: Option<DateTime<Utc>>,
    pub rules_version: i64,
    pub time_zone: String,
    /// Of the customer: what audiences ask for.
    pub attributes: Personal<Map<String, Value>>,
}

impl KeptMember {
    pub fn tier_is_due(&self, now: DateTime<Utc>) -> bool {
        self.tier_due_at.is_some_and(|due| due <= now)
    }
}

#[derive(FromRow)]
struct MemberRow {
    member_id: MemberId,
    program_id: ProgramId,
    customer_id: CustomerId,
    created_at: DateTime<Utc>,
    tier: Option<String>,
    tier_since: Option<DateTime<Utc>>,
    tier_until: Option<DateTime<Utc>>,
    tier_lost_at: Option<DateTime<Utc>>,
    tier_value: i64,
    tier_due_at: Option<DateTime<Utc>>,
    rules_version: i64,
    time_zone: String,
    attributes: Json<Map<String, Value>>,
}

impl From<MemberRow> for KeptMember {
    fn from(row: MemberRow) -> Self {
        let standing = row.tier.zip(row.tier_since).map(|(tier, since)| Standing {
            tier,
            since,
            until: row.tier_until,
            lost_at: row.tier_lost_at,
        });
        Self {
            id: row.member_id,
            program: row.program_id,
            customer: row.customer_id,
            joined: row.created_at,
            standing,
            tier_value: row.tier_value,
            tier_due_at: row.tier_due_at,
            rules_version: row.rules_version,
            time_zone: row.time_zone,
            attributes: Personal::new(row.attributes.0),
        }
    }
}

/// A customer's memberships, in order of their ids, held until the transaction ends. (Reading with the lock would read what
/// was there before it was waited for: what belongs to a member is read afterwards.)
pub async fn lock(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId) -> sqlx::Result<Vec<KeptMember>> {
    const SQL: PerEngine = PerEngine {
        // To give them in order it would walk through all members of the brand: they are put in order here.
        sqlite: "
            SELECT m.member_id, m.program_id, m.customer_id, m.created_at, m.tier, m.tier_since, m.tier_until, m.tier_lost_at,
                   m.tier_value, m.tier_due_at, p.rules_version, p.time_zone, c.attributes
            FROM members m JOIN programs p ON p.brand_id = m.brand_id AND p.program_id = m.program_id
            JOIN customers c ON c.brand_id = m.brand_id AND c.customer_id = m.customer_id
            WHERE m.brand_id = $1 AND m.customer_id = $2",
        postgres: "
            SELECT m.member_id, m.program_id, m.customer_id, m.created_at, m.tier, m.tier_since, m.tier_until, m.tier_lost_at,
                   m.tier_value, m.tier_due_at, p.rules_version, p.time_zone, c.attributes
            FROM members m JOIN programs p ON p.brand_id = m.brand_id AND p.program_id = m.program_id
            JOIN customers c ON c.brand_id = m.brand_id AND c.customer_id = m.customer_id
            WHERE m.brand_id = $1 AND m.customer_id = $2 ORDER BY m.member_id FOR NO KEY UPDATE OF m",
    };
    let sql = conn.text(&SQL);
    let mut rows: Vec<MemberRow> = on!(conn, |c| sqlx::query_as(sql).bind(brand).bind(customer).fetch_all(c).await)?;
    rows.sort_by_key(|row| row.member_id);
    Ok(rows.into_iter().map(KeptMember::from).collect())
}

/// The same without holding them: what is read may be past by the time it is looked at.
pub async fn list_of(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId) -> sqlx::Result<Vec<KeptMember>> {
    const SQL: &str = "
        SELECT m.member_id, m.program_id, m.customer_id, m.created_at, m.tier, m.tier_since, m.tier_until, m.tier_lost_at,
               m.tier_value, m.tier_due_at, p.rules_version, p.time_zone, c.attributes
        FROM members m JOIN programs p ON p.brand_id = m.brand_id AND p.program_id = m.program_id
        JOIN customers c ON c.brand_id = m.brand_id AND c.customer_id = m.customer_id
        WHERE m.brand_id = $1 AND m.customer_id = $2";
    let mut rows: Vec<MemberRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(customer).fetch_all(c).await)?;
    rows.sort_by_key(|row| row.member_id);
    Ok(rows.into_iter().map(KeptMember::from).collect())
}

/// Memberships by their ids.
pub async fn list(conn: &mut Conn<'_>, brand: BrandId, members: &[MemberId]) -> sqlx::Result<Vec<KeptMember>> {
    const SQL: &str = "
        SELECT m.member_id, m.program_id, m.customer_id, m.created_at, m.tier, m.tier_since, m.tier_until, m.tier_lost_at,
               m.tier_value, m.tier_due_at, p.rules_version, p.time_zone, c.attributes
        FROM members m JOIN programs p ON p.brand_id = m.brand_id AND p.program_id = m.program_id
            JOIN customers c ON c.brand_id = m.brand_id AND c.customer_id = m.customer_id
        WHERE m.brand_id = ";
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<MemberRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND m.member_id IN ");
        push_list(&mut query, members.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(KeptMember::from).collect())
}

/// Notes where a member stands.
pub async fn set_standing(
    conn: &mut Conn<'_>,
    brand: BrandId,
    member: MemberId,
    standing: &Standing,
    value: i64,
    due_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE members SET tier = $3, tier_since = $4, tier_until = $5, tier_lost_at = $6, tier_value = $7, tier_due_at = $8
        WHERE brand_id = $1 AND member_id = $2";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(member)
        .bind(&standing.tier)
        .bind(standing.since)
        .bind(standing.until)
        .bind(standing.lost_at)
        .bind(value)
        .bind(due_at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// Adds to what a member did on a day (days since 1970 in the program's zone).
pub async fn add_day(
    conn: &mut Conn<'_>,
    brand: BrandId,
    member: MemberId,
    day: i64,
    did: &[(WalletTypeId, Did)],
) -> sqlx::Result<()> {
    if did.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "INSERT INTO member_days (brand_id, member_id, wallet_type_id, day, earned, spent_minor, visits) ",
        );
        query.push_values(did, |mut row, (wallet_type, did)| {
            row.push_bind(brand)
                .push_bind(member)
                .push_bind(*wallet_type)
                .push_bind(day)
                .push_bind(did.earned)
                .push_bind(did.spent_minor)
                .push_bind(did.visits);
        });
        query.push(
            " ON CONFLICT (brand_id, member_id, wallet_type_id, day) DO UPDATE SET
                earned = member_days.earned + excluded.earned, spent_minor = member_days.spent_minor + excluded.spent_minor,
                visits = member_days.visits + excluded.visits",
        );
        query.build().execute(c).await.map(|_| ())
    })
}

/// What a member did: earned into one kind of wallet, or spent and bought (under [`WalletTypeId::FIRST`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
pub struct Did {
    pub earned: i64,
    pub spent_minor: i64,
    pub visits: i64,
}

/// What a member did since a day, under one id.
pub async fn sum_days(
    conn: &mut Conn<'_>,
    brand: BrandId,
    member: MemberId,
    wallet_type: WalletTypeId,
    since: i64,
) -> sqlx::Result<Did> {
    const SQL: &str = "
        SELECT CAST(COALESCE(SUM(earned), 0) AS BIGINT) AS earned,
               CAST(COALESCE(SUM(spent_minor), 0) AS BIGINT) AS spent_minor,
               CAST(COALESCE(SUM(visits), 0) AS BIGINT) AS visits
        FROM member_days WHERE brand_id = $1 AND member_id = $2 AND wallet_type_id = $3 AND day >= $4";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(member).bind(wallet_type).bind(since).fetch_one(c).await)
}
