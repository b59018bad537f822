//! Members' wallets: sums, open lots, holds. Whoever moves units holds the member's row first, so nobody else moves any.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, PerEngine, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, MemberId, ProgramId, WalletId, WalletTypeId};
use crate::domain::ledger::{Activation, Dates, Hold, Lot, Totals};
use crate::domain::loyalty::counter::Counter;

/// A wallet without its lots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptWallet {
    pub id: WalletId,
    pub member: MemberId,
    pub wallet_type: WalletTypeId,
    pub totals: Totals,
    /// The newest entry's number; 0: there is none.
    pub head_no: i64,
    /// Its link in the chain: 32 bytes.
    pub head_link: Vec<u8>,
    pub last_lot: i64,
    pub earned: Counter,
    pub spent: Counter,
    /// When the clock has something to do.
    pub due_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct WalletRow {
    wallet_id: WalletId,
    member_id: MemberId,
    wallet_type_id: WalletTypeId,
    active: i64,
    pending: i64,
    held: i64,
    spent: i64,
    expired: i64,
    cancelled: i64,
    debt: i64,
    head_no: i64,
    head_link: Vec<u8>,
    last_lot: i64,
    earn_since: DateTime<Utc>,
    earn_count: i64,
    spend_since: DateTime<Utc>,
    spend_count: i64,
    due_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<WalletRow> for KeptWallet {
    fn from(row: WalletRow) -> Self {
        Self {
            id: row.wallet_id,
            member: row.member_id,
            wallet_type: row.wallet_type_id,
            totals: Totals {
                active: row.active,
                pending: row.pending,
                held: row.held,
                spent: row.spent,
                expired: row.expired,
                cancelled: row.cancelled,
                debt: row.debt,
            },
            head_no: row.head_no,
            head_link: row.head_link,
            last_lot: row.last_lot,
            earned: Counter { since: row.earn_since, count: row.earn_count },
            spent: Counter { since: row.spend_since, count: row.spend_count },
            due_at: row.due_at,
            created_at: row.created_at,
        }
    }
}

macro_rules! columns {
    () => {
        "wallet_id, member_id, wallet_type_id, active, pending, held, spent, expired, cancelled, debt, head_no, head_link,
         last_lot, earn_since, earn_count, spend_since, spend_count, due_at, created_at"
    };
}

/// A wallet beside one of its open lots, if it has any.
#[derive(FromRow)]
struct WalletAndLot {
    #[sqlx(flatten)]
    wallet: WalletRow,
    lot_no: Option<i64>,
    lot_pending: Option<i64>,
    lot_active: Option<i64>,
    lot_held: Option<i64>,
    lot_spent: Option<i64>,
    lot_expired: Option<i64>,
    lot_cancelled: Option<i64>,
    starts_at: Option<DateTime<Utc>>,
    activation: Option<Json<Activation>>,
    expires_at: Option<DateTime<Utc>>,
}

impl WalletAndLot {
    fn lot(&mut self) -> Option<Lot> {
        let dates = Dates {
            lot: self.lot_no?,
            starts_at: self.starts_at?,
            activation: self.activation.take()?.0,
            expires_at: self.expires_at,
        };
        let units =
            [self.lot_pending, self.lot_active, self.lot_held, self.lot_spent, self.lot_expired, self.lot_cancelled];
        Some(Lot::kept(dates, units.map(Option::unwrap_or_default)))
    }
}

/// The wallets of members, in order of their ids, each with the lots of which units are pending, active or held. Both at once: a
/// till waits for each way to the server.
pub async fn list_of(
    conn: &mut Conn<'_>,
    brand: BrandId,
    members: &[MemberId],
) -> sqlx::Result<Vec<(KeptWallet, Vec<Lot>)>> {
    const SQL: &str = "
        SELECT w.wallet_id, w.member_id, w.wallet_type_id, w.active, w.pending, w.held, w.spent, w.expired, w.cancelled, w.debt,
            w.head_no, w.head_link, w.last_lot, w.earn_since, w.earn_count, w.spend_since, w.spend_count, w.due_at,
            w.created_at, l.lot_no, l.pending AS lot_pending, l.active AS lot_active, l.held AS lot_held,
            l.spent AS lot_spent, l.expired AS lot_expired, l.cancelled AS lot_cancelled, l.starts_at, l.activation,
            l.expires_at
        FROM wallets w LEFT JOIN lots l ON l.brand_id = w.brand_id AND l.wallet_id = w.wallet_id
            AND (l.pending > 0 OR l.active > 0 OR l.held > 0)
        WHERE w.brand_id = ";
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows: Vec<WalletAndLot> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND w.member_id IN ");
        push_list(&mut query, members.iter().copied());
        query.build_query_as().fetch_all(c).await
    })?;
    // SQLite would walk through all wallets of the brand to give them in order.
    rows.sort_by_key(|row| (row.wallet.wallet_id, row.lot_no));
    let mut found: Vec<(KeptWallet, Vec<Lot>)> = Vec::new();
    for mut row in rows {
        let lot = row.lot();
        match found.last_mut().filter(|(wallet, _)| wallet.id == row.wallet.wallet_id) {
            Some((_, lots)) => lots.extend(lot),
            None => found.push((row.wallet.into(), lot.into_iter().collect())),
        }
    }
    Ok(found)
}

pub async fn find(conn: &mut Conn<'_>, brand: BrandId, wallet: WalletId) -> sqlx::Result<Option<KeptWallet>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM wallets WHERE brand_id = $1 AND wallet_id = $2");
    let row: Option<WalletRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(wallet).fetch_optional(c).await)?;
    Ok(row.map(KeptWallet::from))
}

/// The wallets of the brand after `after`, in order of their ids.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<WalletId>,
    limit: i64,
) -> sqlx::Result<Vec<KeptWallet>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM wallets WHERE brand_id = $1 AND wallet_id > $2 ORDER BY wallet_id LIMIT $3"
    );
    let after = after.unwrap_or(WalletId::FIRST);
    let rows: Vec<WalletRow> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(KeptWallet::from).collect())
}

#[derive(FromRow)]
struct LotRow {
    lot_no: i64,
    pending: i64,
    active: i64,
    held: i64,
    spent: i64,
    expired: i64,
    cancelled: i64,
    starts_at: DateTime<Utc>,
    activation: Json<Activation>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<LotRow> for Lot {
    fn from(row: LotRow) -> Self {
        let dates = Dates {
            lot: row.lot_no,
            starts_at: row.starts_at,
            activation: row.activation.0,
            expires_at: row.expires_at,
        };
        let units = [row.pending, row.active, row.held, row.spent, row.expired, row.cancelled];
        Self::kept(dates, units)
    }
}

/// Some lots of a wallet, or all of them (`None`), in order.
pub async fn list_lots(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallet: WalletId,
    lots: Option<&[i64]>,
) -> sqlx::Result<Vec<Lot>> {
    if lots.is_some_and(<[i64]>::is_empty) {
        return Ok(Vec::new());
    }
    const SQL: &str = "
        SELECT lot_no, pending, active, held, spent, expired, cancelled, starts_at, activation, expires_at
        FROM lots WHERE brand_id = ";
    let rows: Vec<LotRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(SQL);
        query.push_bind(brand).push(" AND wallet_id = ").push_bind(wallet);
        if let Some(lots) = lots {
            query.push(" AND lot_no IN ");
            push_list(&mut query, lots.iter().copied());
        }
        query.push(" ORDER BY lot_no").build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(Lot::from).collect())
}

/// What is held of wallets.
pub async fn list_holds(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallets: &[WalletId],
) -> sqlx::Result<Vec<(WalletId, Hold)>> {
    if wallets.is_empty() {
        return Ok(Vec::new());
    }
    type Row = (WalletId, i64, DateTime<Utc>, Json<Vec<(i64, i64)>>);
    let rows: Vec<Row> = on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT wallet_id, hold_no, until, slices FROM holds WHERE brand_id = ");
        query.push_bind(brand).push(" AND wallet_id IN ");
        push_list(&mut query, wallets.iter().copied());
        query.push(" ORDER BY wallet_id, hold_no").build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|(wallet, no, until, Json(slices))| (wallet, Hold { no, until, slices })).collect())
}

/// What is held of a wallet is this, and nothing else.
pub async fn set_holds(conn: &mut Conn<'_>, brand: BrandId, wallet: WalletId, holds: &[Hold]) -> sqlx::Result<()> {
    const CLEAR: &str = "DELETE FROM holds WHERE brand_id = $1 AND wallet_id = $2";
    on!(conn, |c| {
        sqlx::query(CLEAR).bind(brand).bind(wallet).execute(&mut *c).await?;
        if holds.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::new("INSERT INTO holds (brand_id, wallet_id, hold_no, until, slices) ");
        query.push_values(holds, |mut row, hold| {
            row.push_bind(brand)
                .push_bind(wallet)
                .push_bind(hold.no)
                .push_bind(hold.until)
                .push_bind(Json(&hold.slices));
        });
        query.build().execute(c).await.map(|_| ())
    })
}

/// The brand after `after` in which the clock has something to do for a wallet or a tier.
pub async fn next_brand_due(
    conn: &mut Conn<'_>,
    after: Option<BrandId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1
          AND (EXISTS (SELECT 1 FROM wallets w WHERE w.brand_id = b.brand_id AND w.due_at <= $2)
               OR EXISTS (SELECT 1 FROM members m WHERE m.brand_id = b.brand_id AND m.tier_due_at <= $2))
        ORDER BY b.brand_id LIMIT 1";
    let after = after.unwrap_or(BrandId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after).bind(now).fetch_optional(c).await)
}

/// Customers for whose wallets or tiers the clock has something to do, those that wait longest first.
pub async fn list_due(
    conn: &mut Conn<'_>,
    brand: BrandId,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<CustomerId>> {
    const SQL: &str = "
        SELECT customer_id FROM (
            SELECT m.customer_id, w.due_at FROM (
                SELECT brand_id, member_id, due_at FROM wallets
                WHERE brand_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3) AS w
            JOIN members m ON m.brand_id = w.brand_id AND m.member_id = w.member_id
            UNION ALL
            SELECT t.customer_id, t.due_at FROM (
                SELECT customer_id, tier_due_at AS due_at FROM members
                WHERE brand_id = $1 AND tier_due_at <= $2 ORDER BY tier_due_at LIMIT $3) AS t) AS due
        GROUP BY customer_id ORDER BY MIN(due_at) LIMIT $3";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(now).bind(limit).fetch_all(c).await)
}

/// Puts off what is due for a customer.
pub async fn put_off(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<()> {
    const WALLETS: &str = "
        UPDATE wallets SET due_at = $4 WHERE brand_id = $1 AND due_at <= $3 AND member_id IN (
            SELECT member_id FROM members WHERE brand_id = $1 AND customer_id = $2)";
    const TIERS: &str = "
        UPDATE members SET tier_due_at = $4 WHERE brand_id = $1 AND customer_id = $2 AND tier_due_at <= $3";
    for sql in [TIERS, WALLETS] {
        on!(conn, |c| sqlx::query(sql)
            .bind(brand)
            .bind(customer)
            .bind(now)
            .bind(until)
            .execute(&mut *c)
            .await
            .map(|_| ()))?;
    }
    Ok(())
}

/// Has the clock look at wallets of a kind that hold something, no later than `at`: up to `limit` after `after`, in
/// order of their ids. The last of them; `None`: there were no more.
pub async fn tell_kind(
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: WalletTypeId,
    after: WalletId,
    at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Option<WalletId>> {
    const PAGE: PerEngine = PerEngine {
        sqlite: "
            SELECT wallet_id FROM wallets WHERE brand_id = $1 AND wallet_type_id = $2 AND wallet_id > $3
            ORDER BY wallet_id LIMIT $4",
        // In the order in which tills lock them.
        postgres: "
            SELECT wallet_id FROM wallets WHERE brand_id = $1 AND wallet_type_id = $2 AND wallet_id > $3
            ORDER BY wallet_id LIMIT $4 FOR NO KEY UPDATE",
    };
    let sql = conn.text(&PAGE);
    let page: Vec<WalletId> =
        on!(conn, |c| sqlx::query_scalar(sql).bind(brand).bind(kind).bind(after).bind(limit).fetch_all(&mut *c).await)?;
    let Some(last) = page.last().copied() else { return Ok(None) };
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE wallets SET due_at = ");
        query.push_bind(at).push(" WHERE (due_at IS NULL OR due_at > ").push_bind(at);
        query.push(") AND active + pending > 0 AND brand_id = ").push_bind(brand).push(" AND wallet_id IN ");
        push_list(&mut query, page.iter().copied());
        query.build().execute(c).await.map(|_| ())
    })?;
    Ok(Some(last))
}

/// What all wallets of a kind hold, and what became of everything that came in.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TypeSums {
    pub wallet_type_id: WalletTypeId,
    pub wallets: i64,
    pub active: i64,
    pub pending: i64,
    pub held: i64,
    pub spent: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub debt: i64,
}

/// Sums over the wallets of a program's kinds; reads every wallet of the program.
pub async fn sum_by_type(conn: &mut Conn<'_>, brand: BrandId, program: ProgramId) -> sqlx::Result<Vec<TypeSums>> {
    const SQL: &str = "
        SELECT w.wallet_type_id, COUNT(*) AS wallets, CAST(SUM(w.active) AS BIGINT) AS active,
               CAST(SUM(w.pending) AS BIGINT) AS pending, CAST(SUM(w.held) AS BIGINT) AS held,
               CAST(SUM(w.spent) AS BIGINT) AS spent, CAST(SUM(w.expired) AS BIGINT) AS expired,
               CAST(SUM(w.cancelled) AS BIGINT) AS cancelled, CAST(SUM(w.debt) AS BIGINT) AS debt
        FROM wallets w JOIN wallet_types t ON t.brand_id = w.brand_id AND t.wallet_type_id = w.wallet_type_id
        WHERE w.brand_id = $1 AND t.program_id = $2
        GROUP BY w.wallet_type_id ORDER BY w.wallet_type_id";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(program).fetch_all(c).await)
}
