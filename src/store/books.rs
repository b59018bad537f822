//! Writing down what became of wallets: their sums, their lots, their entries, and what is told of it. Tables that change
//! together and go to the database on one way, because a till waits for each.

use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder, Sqlite};

use super::db::Conn;
use crate::domain::ids::{BrandId, WalletId};
use crate::domain::ledger::{Lot, State};
use crate::domain::secret::Personal;
use crate::store::entries::KeptEntry;
use crate::store::events::{NewEvent, push_events};
use crate::store::wallets::KeptWallet;

/// Wallets as they are now, new ones too.
macro_rules! push_wallets {
    ($query:ident, $brand:expr, $wallets:expr) => {
        $query.push(
            "INSERT INTO wallets (brand_id, wallet_id, member_id, wallet_type_id, active, pending, held, spent, expired,
                 cancelled, debt, head_no, head_link, last_lot, earn_since, earn_count, spend_since, spend_count, due_at,
                 anchored_no, created_at) ",
        );

        $query.push_values($wallets, |mut row, wallet| {
            row.push_bind($brand)
                .push_bind(wallet.id)
                .push_bind(wallet.member)
                .push_bind(wallet.wallet_type)
                .push_bind(wallet.totals.active)
                .push_bind(wallet.totals.pending)
                .push_bind(wallet.totals.held)
                .push_bind(wallet.totals.spent)
                .push_bind(wallet.totals.expired)
                .push_bind(wallet.totals.cancelled)
                .push_bind(wallet.totals.debt)
                .push_bind(wallet.head_no)
                .push_bind(wallet.head_link.as_slice())
                .push_bind(wallet.last_lot)
                .push_bind(wallet.earned.since)
                .push_bind(wallet.earned.count)
                .push_bind(wallet.spent.since)
                .push_bind(wallet.spent.count)
                .push_bind(wallet.due_at)
                .push("0")
                .push_bind(wallet.created_at);
        });
        $query.push(
            " ON CONFLICT (brand_id, wallet_id) DO UPDATE SET
                active = excluded.active, pending = excluded.pending, held = excluded.held, spent = excluded.spent,
                expired = excluded.expired, cancelled = excluded.cancelled, debt = excluded.debt,
                head_no = excluded.head_no, head_link = excluded.head_link, last_lot = excluded.last_lot,
                earn_since = excluded.earn_since, earn_count = excluded.earn_count, spend_since = excluded.spend_since,
                spend_count = excluded.spend_count, due_at = excluded.due_at",
        );
    };
}

/// Lots as they are now, new ones too.
macro_rules! push_lots {
    ($query:ident, $brand:expr, $lots:expr) => {
        $query.push(
            "INSERT INTO lots (brand_id, wallet_id, lot_no, pending, active, held, spent, expired, cancelled, starts_at,
                 activation, expires_at) ",
        );

        $query.push_values($lots, |mut row, (wallet, lot)| {
            row.push_bind($brand).push_bind(*wallet).push_bind(lot.no());
            for state in State::ALL {
                row.push_bind(lot.in_state(*state));
            }
            row.push_bind(lot.dates.starts_at).push_bind(Json(&lot.dates.activation)).push_bind(lot.dates.expires_at);
        });
        $query.push(
            " ON CONFLICT (brand_id, wallet_id, lot_no) DO UPDATE SET
                pending = excluded.pending, active = excluded.active, held = excluded.held, spent = excluded.spent,
                expired = excluded.expired, cancelled = excluded.cancelled, starts_at = excluded.starts_at,
                activation = excluded.activation, expires_at = excluded.expires_at",
        );
    };
}

/// Entries, which are new.
macro_rules! push_entries {
    ($query:ident, $brand:expr, $entries:expr) => {
        $query.push(
            "INSERT INTO entries (brand_id, wallet_id, entry_no, kind, units, balance, movement, reverses_no, source_id, rule_id,
                 reason, store_id, terminal, employee, occurred_at, created_at, link) ",
        );

        $query.push_values($entries, |mut row, entry| {
            row.push_bind($brand)
                .push_bind(entry.wallet)
                .push_bind(entry.no)
                .push_bind(entry.kind.as_str())
                .push_bind(entry.units)
                .push_bind(entry.balance)
                .push_bind(Json(&entry.movement))
                .push_bind(entry.movement.reverses)
                .push_bind(entry.source)
                .push_bind(entry.rule)
                .push_bind(entry.reason.as_ref().map(Personal::reveal))
                .push_bind(entry.store)
                .push_bind(entry.terminal.as_deref())
                .push_bind(entry.employee.as_ref().map(Personal::reveal))
                .push_bind(entry.occurred_at)
                .push_bind(entry.created_at)
                .push_bind(entry.link.as_slice());
        });
    };
}

/// Writes wallets as they are now, new ones too, their lots, their new entries and events. Wallets come once each, in order of
/// their ids; whoever calls holds their members.
pub async fn write(
    conn: &mut Conn<'_>,
    brand: BrandId,
    wallets: &[KeptWallet],
    lots: &[(WalletId, Lot)],
    entries: &[KeptEntry],
    events: &[NewEvent],
) -> sqlx::Result<()> {
    match conn {
        Conn::Postgres(conn) if !wallets.is_empty() && !lots.is_empty() && !entries.is_empty() => {
            let mut query: QueryBuilder<Postgres> = QueryBuilder::new("WITH saved AS (");
            push_wallets!(query, brand, wallets);
            query.push(" RETURNING brand_id), moved AS (");
            push_lots!(query, brand, lots);
            query.push(" RETURNING brand_id)");
            if !events.is_empty() {
                query.push(", told AS (");
                push_events!(query, brand, events);
                query.push(" RETURNING brand_id)");
            }
            query.push(" ");
            push_entries!(query, brand, entries);
            query.build().execute(&mut **conn).await.map(|_| ())
        }
        Conn::Postgres(conn) => {
            macro_rules! each {
                ($push:ident, $rows:expr) => {
                    if !$rows.is_empty() {
                        let mut query: QueryBuilder<Postgres> = QueryBuilder::new("");
                        $push!(query, brand, $rows);
                        query.build().execute(&mut **conn).await?;
                    }
                };
            }
            each!(push_wallets, wallets);
            each!(push_lots, lots);
            each!(push_entries, entries);
            each!(push_events, events);
            Ok(())
        }
        // Four statements, handed to SQLite's thread at once: each way there costs as much as the statement.
        Conn::Sqlite(conn) => {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("");
            macro_rules! each {
                ($push:ident, $rows:expr) => {
                    if !$rows.is_empty() {
                        $push!(query, brand, $rows);
                        query.push("; ");
                    }
                };
            }
            each!(push_wallets, wallets);
            each!(push_lots, lots);
            each!(push_entries, entries);
            each!(push_events, events);
            if query.sql().as_str().is_empty() {
                return Ok(());
            }
            query.build().execute(&mut **conn).await.map(|_| ())
        }
    }
}
