//! What programs promise, as brands wrote it: kinds of wallets, earning rules, tiers. (Offers: `offers`.)

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, EarningRuleId, ProgramId, WalletId, WalletTypeId};

#[derive(Debug, Clone, FromRow)]
pub struct WalletType {
    #[sqlx(rename = "wallet_type_id")]
    pub id: WalletTypeId,
    pub program_id: ProgramId,
    /// What rules and templates name it by.
    pub key: String,
    pub name: String,
    pub spec: Json<Value>,
    /// Grows with every edit; its `ETag`.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A kind whose wallets do not all know yet when it closes.
#[derive(Debug, Clone, FromRow)]
pub struct Untold {
    pub brand_id: BrandId,
    pub wallet_type_id: WalletTypeId,
    pub spec: Json<Value>,
    pub version: i64,
    /// Those up to this one do.
    pub told_up_to: WalletId,
}

#[derive(Debug, Clone, FromRow)]
pub struct EarningRule {
    #[sqlx(rename = "earning_rule_id")]
    pub id: EarningRuleId,
    pub program_id: ProgramId,
    pub wallet_type_id: WalletTypeId,
    pub name: String,
    pub spec: Json<Value>,
    pub is_active: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The version of a program's rules, its time zone and its tiers; `None`: there is no such program.
pub async fn find_tiers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
) -> sqlx::Result<Option<(i64, String, Option<Value>)>> {
    const SQL: &str = "SELECT rules_version, time_zone, tiers FROM programs WHERE brand_id = $1 AND program_id = $2";
    let found: Option<(i64, String, Option<Json<Value>>)> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_optional(c).await)?;
    Ok(found.map(|(version, zone, tiers)| (version, zone, tiers.map(|Json(tiers)| tiers))))
}

/// `false`: there is no such program.
pub async fn set_tiers(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    tiers: Option<&Value>,
) -> sqlx::Result<bool> {
    const SQL: &str = "UPDATE programs SET tiers = $3 WHERE brand_id = $1 AND program_id = $2";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(program)
        .bind(tiers.map(Json))
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// Something that the program promises has changed: whoever knows the rules reads them again. Held until the transaction
/// ends, so that two editors of one program take turns. `false`: there is no such program.
pub async fn touch(conn: &mut Conn<'_>, brand: BrandId, program: ProgramId) -> sqlx::Result<bool> {
    const SQL: &str = "UPDATE programs SET rules_version = rules_version + 1 WHERE brand_id = $1 AND program_id = $2";
    let rows =
        on!(conn, |c| sqlx::query(SQL).bind(brand).bind(program).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// `false`: the program has a kind with this key.
pub async fn insert_wallet_type(conn: &mut Conn<'_>, brand: BrandId, new: &WalletType) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO wallet_types (brand_id, wallet_type_id, program_id, key, name, spec, version, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (brand_id, program_id, key) DO NOTHING";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(new.id)
        .bind(new.program_id)
        .bind(&new.key)
        .bind(&new.name)
        .bind(&new.spec)
        .bind(new.version)
        .bind(new.created_at)
        .bind(new.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// The kinds of a program's wallets, in the order in which they were made.
pub async fn list_wallet_types(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
) -> sqlx::Result<Vec<WalletType>> {
    const SQL: &str = "
        SELECT wallet_type_id, program_id, key, name, spec, version, created_at, updated_at FROM wallet_types
        WHERE brand_id = $1 AND program_id = $2 ORDER BY wallet_type_id";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_all(c).await)
}

pub async fn find_wallet_type(
    conn: &mut Conn<'_>,
    brand: BrandId,
    id: WalletTypeId,
) -> sqlx::Result<Option<WalletType>> {
    const SQL: &str = "
        SELECT wallet_type_id, program_id, key, name, spec, version, created_at, updated_at FROM wallet_types
        WHERE brand_id = $1 AND wallet_type_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(id).fetch_optional(c).await)
}

/// Edits a kind at the version that the editor saw. `false`: it is at another.
pub async fn update_wallet_type(conn: &mut Conn<'_>, brand: BrandId, edited: &WalletType) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE wallet_types SET name = $3, spec = $4, version = version + 1, updated_at = $5
        WHERE brand_id = $1 AND wallet_type_id = $2 AND version = $6";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(edited.id)
        .bind(&edited.name)
        .bind(&edited.spec)
        .bind(edited.updated_at)
        .bind(edited.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn insert_earning_rule(conn: &mut Conn<'_>, brand: BrandId, new: &EarningRule) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO earning_rules (brand_id, earning_rule_id, program_id, wallet_type_id, name, spec, is_active, version,
                                   created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(new.id)
        .bind(new.program_id)
        .bind(new.wallet_type_id)
        .bind(&new.name)
        .bind(&new.spec)
        .bind(new.is_active)
        .bind(new.version)
        .bind(new.created_at)
        .bind(new.updated_at)
        .execute(c)
        .await
        .map(|_| ()))
}

/// The earning rules of a program, in the order in which they were made.
pub async fn list_earning_rules(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
) -> sqlx::Result<Vec<EarningRule>> {
    const SQL: &str = "
        SELECT earning_rule_id, program_id, wallet_type_id, name, spec, is_active, version, created_at, updated_at
        FROM earning_rules WHERE brand_id = $1 AND program_id = $2 ORDER BY earning_rule_id";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_all(c).await)
}

pub async fn find_earning_rule(
    conn: &mut Conn<'_>,
    brand: BrandId,
    id: EarningRuleId,
) -> sqlx::Result<Option<EarningRule>> {
    const SQL: &str = "
        SELECT earning_rule_id, program_id, wallet_type_id, name, spec, is_active, version, created_at, updated_at
        FROM earning_rules WHERE brand_id = $1 AND earning_rule_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(id).fetch_optional(c).await)
}

/// Edits a rule at the version that the editor saw. `false`: it is at another.
pub async fn update_earning_rule(conn: &mut Conn<'_>, brand: BrandId, edited: &EarningRule) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE earning_rules SET name = $3, spec = $4, is_active = $5, version = version + 1, updated_at = $6
        WHERE brand_id = $1 AND earning_rule_id = $2 AND version = $7";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(edited.id)
        .bind(&edited.name)
        .bind(&edited.spec)
        .bind(edited.is_active)
        .bind(edited.updated_at)
        .bind(edited.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// The wallets of a kind up to this one know when it closes; `None`: all do.
pub async fn set_told(
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: WalletTypeId,
    up_to: Option<WalletId>,
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE wallet_types SET told_up_to = $3 WHERE brand_id = $1 AND wallet_type_id = $2";
    on!(conn, |c| sqlx::query(SQL).bind(brand).bind(kind).bind(up_to).execute(c).await.map(|_| ()))
}

/// The same as whoever tells them found it. `false`: the kind was changed meanwhile, or somebody else tells them.
pub async fn go_on_telling(conn: &mut Conn<'_>, found: &Untold, up_to: Option<WalletId>) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE wallet_types SET told_up_to = $5
        WHERE brand_id = $1 AND wallet_type_id = $2 AND version = $3 AND told_up_to = $4";
    let rows = on!(conn, |c| sqlx::query(SQL)
        .bind(found.brand_id)
        .bind(found.wallet_type_id)
        .bind(found.version)
        .bind(found.told_up_to)
        .bind(up_to)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows == 1)
}

/// A kind of any brand whose wallets do not all know yet when it closes.
pub async fn find_untold(conn: &mut Conn<'_>) -> sqlx::Result<Option<Untold>> {
    const SQL: &str = "
        SELECT brand_id, wallet_type_id, spec, version, told_up_to FROM wallet_types
        WHERE told_up_to IS NOT NULL ORDER BY brand_id, wallet_type_id LIMIT 1";
    on!(conn, |c| sqlx::query_as(SQL).fetch_optional(c).await)
}
