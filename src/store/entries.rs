//! The ledger: entries that nobody ever changes, and the brand's chain over the chains of all wallets.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, StoreId, WalletId};
use crate::domain::ledger::{EntryKind, Movement};
use crate::domain::secret::Personal;

/// An entry as it is kept.
#[derive(Debug, Clone)]
pub struct KeptEntry {
    pub wallet: WalletId,
    pub no: i64,
    pub kind: EntryKind,
    /// What became of the balance, and the balance afterwards.
    pub units: i64,
    pub balance: i64,
    pub movement: Movement,
    /// The order, redemption, return or adjustment that it came of.
    pub source: Option<Uuid>,
    /// The earning rule that gave it.
    pub rule: Option<Uuid>,
    pub reason: Option<Personal<String>>,
    pub store: Option<StoreId>,
    pub terminal: Option<String>,
    pub employee: Option<Personal<String>>,
    /// When it took effect, and when it was written.
    pub occurred_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// 32 bytes.
    pub link: Vec<u8>,
}

#[derive(FromRow)]
struct EntryRow {
    wallet_id: WalletId,
    entry_no: i64,
    #[sqlx(try_from = "String")]
    kind: EntryKind,
    units: i64,
    balance: i64,
    movement: Json<Movement>,
    source_id: Option<Uuid>,
    rule_id: Option<Uuid>,
    reason: Option<String>,
    store_id: Option<StoreId>,
    terminal: Option<String>,
    employee: Option<String>,
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    link: Vec<u8>,
}

impl From<EntryRow> for KeptEntry {
    fn from(row: EntryRow) -> Self {
        Self {
            wallet: row.wallet_id,
            no: row.entry_no,
            kind: row.kind,
            units: row.units,
            balance: row.balance,
            movement: row.movement.0,
            source: row.source_id,
            rule: row.rule_id,
            reason: row.reason.map(Personal::new),
            store: row.store_id,
            terminal: row.terminal,
            employee: row.employee.map(Personal::new),
            occurred_at: row.occurred_at,
            created_at: row.created_at,
            link: row.link,
        }
    }
}

macro_rules! columns {
    () => {
        "wallet_id, entry_no, kind, units, balance, movement, source_id, rule_id, reason, store_id, terminal, employee,
         occurred_at, created_at, link"
    };
}

/// The entries of a wallet after `after`, in order.
pub async fn list(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallet: WalletId,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<KeptEntry>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE brand_id = $1 AND wallet_id = $2 AND entry_no > $3 ORDER BY entry_no LIMIT $4"
    );
    let rows: Vec<EntryRow> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(wallet).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(KeptEntry::from).collect())
}

/// The entries that came of an order, a redemption …, in order.
pub async fn list_by_source(conn: &mut Conn<'_>, brand: BrandId, source: Uuid) -> sqlx::Result<Vec<KeptEntry>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM entries WHERE brand_id = $1 AND source_id = $2");
    let mut rows: Vec<EntryRow> = on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(source).fetch_all(c).await)?;
    // SQLite would walk through all entries of the brand to give them in order.
    rows.sort_by_key(|row| (row.wallet_id, row.entry_no));
    Ok(rows.into_iter().map(KeptEntry::from).collect())
}

/// What was given back of entries of a wallet already.
pub async fn list_reversing(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallet: WalletId,
    entries: &[i64],
) -> sqlx::Result<Vec<KeptEntry>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<EntryRow> = on!(conn, |c| {
        let mut query = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM entries WHERE brand_id = "));
        query.push_bind(brand).push(" AND wallet_id = ").push_bind(wallet).push(" AND reverses_no IN ");
        push_list(&mut query, entries.iter().copied());
        query.push(" ORDER BY entry_no").build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(KeptEntry::from).collect())
}

/// The newest entry of a wallet, as the brand's chain holds it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    pub wallet_id: WalletId,
    pub entry_no: i64,
    pub link: Vec<u8>,
}

/// The heads of wallets that moved since the brand's chain saw them, in order of their ids.
pub async fn list_unanchored(conn: &mut Conn<'_>, brand: BrandId, limit: i64) -> sqlx::Result<Vec<Head>> {
    const SQL: &str = "
        SELECT wallet_id, head_no AS entry_no, head_link AS link FROM wallets
        WHERE brand_id = $1 AND head_no > anchored_no ORDER BY wallet_id LIMIT $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(limit).fetch_all(c).await)
}

/// The brand after `after` with such wallets.
pub async fn next_brand_unanchored(conn: &mut Conn<'_>, after: Option<BrandId>) -> sqlx::Result<Option<BrandId>> {
    const SQL: &str = "
        SELECT b.brand_id FROM brands b
        WHERE b.brand_id > $1
          AND EXISTS (SELECT 1 FROM wallets w WHERE w.brand_id = b.brand_id AND w.head_no > w.anchored_no)
        ORDER BY b.brand_id LIMIT 1";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(after.unwrap_or(BrandId::FIRST)).fetch_optional(c).await)
}

/// An anchor: a link over the heads that moved since the one before.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Anchor {
    #[sqlx(rename = "anchor_no")]
    pub no: i64,
    pub heads: i64,
    pub link: Vec<u8>,
    pub created_at: DateTime<Utc>,
}

pub async fn last_anchor(conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<Option<Anchor>> {
    const SQL: &str = "
        SELECT anchor_no, heads, link, created_at FROM ledger_anchors
        WHERE brand_id = $1 ORDER BY anchor_no DESC LIMIT 1";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).fetch_optional(c).await)
}

/// The brand's anchors after `after`, in order.
pub async fn list_anchors(conn: &mut Conn<'_>, brand: BrandId, after: i64, limit: i64) -> sqlx::Result<Vec<Anchor>> {
    const SQL: &str = "
        SELECT anchor_no, heads, link, created_at FROM ledger_anchors
        WHERE brand_id = $1 AND anchor_no > $2 ORDER BY anchor_no LIMIT $3";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after).bind(limit).fetch_all(c).await)
}

/// What an anchor is over, in order of the wallets' ids.
pub async fn list_heads(conn: &mut Conn<'_>, brand: BrandId, anchor: i64) -> sqlx::Result<Vec<Head>> {
    const SQL: &str = "
        SELECT wallet_id, entry_no, link FROM ledger_heads WHERE brand_id = $1 AND anchor_no = $2 ORDER BY wallet_id";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(anchor).fetch_all(c).await)
}

/// The link of one entry; `None`: there is no such entry.
pub async fn find_link(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallet: WalletId,
    no: i64,
) -> sqlx::Result<Option<Vec<u8>>> {
    const SQL: &str = "SELECT link FROM entries WHERE brand_id = $1 AND wallet_id = $2 AND entry_no = $3";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(wallet).bind(no).fetch_optional(c).await)
}

/// Adds an anchor over these heads, and notes that their wallets are known. `false`: another process made the anchor of this
/// number first.
pub async fn insert_anchor(conn: &mut Conn<'_>, brand: BrandId, anchor: &Anchor, heads: &[Head]) -> sqlx::Result<bool> {
    const ANCHOR: &str = "
        INSERT INTO ledger_anchors (brand_id, anchor_no, heads, link, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (brand_id, anchor_no) DO NOTHING";
    on!(conn, |c| {
        let done = sqlx::query(ANCHOR)
            .bind(brand)
            .bind(anchor.no)
            .bind(anchor.heads)
            .bind(anchor.link.as_slice())
            .bind(anchor.created_at)
            .execute(&mut *c)
            .await?;
        if done.rows_affected() == 0 || heads.is_empty() {
            return Ok(done.rows_affected() == 1);
        }
        let mut query = QueryBuilder::new("INSERT INTO ledger_heads (brand_id, anchor_no, wallet_id, entry_no, link) ");
        query.push_values(heads, |mut row, head| {
            row.push_bind(brand)
                .push_bind(anchor.no)
                .push_bind(head.wallet_id)
                .push_bind(head.entry_no)
                .push_bind(head.link.as_slice());
        });
        query.build().execute(&mut *c).await?;
        let mut query = QueryBuilder::new("WITH v (brand_id, wallet_id, entry_no) AS (");
        query.push_values(heads, |mut row, head| {
            row.push_bind(brand).push_bind(head.wallet_id).push_bind(head.entry_no);
        });
        query.push(
            ") UPDATE wallets SET anchored_no = v.entry_no FROM v
               WHERE wallets.brand_id = v.brand_id AND wallets.wallet_id = v.wallet_id",
        );
        query.build().execute(c).await?;
        Ok(true)
    })
}
