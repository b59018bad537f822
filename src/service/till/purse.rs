//! What of a customer's wallets may be spent by one request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Refusal;
use crate::domain::ids::WalletId;
use crate::domain::ledger::MOVEMENT_MAX;
use crate::domain::loyalty::refusal::RefusalCode;
use crate::service::loyalty::book::Book;

/// Units of a wallet that something costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The member and the kind of wallet, by their places.
    pub member: usize,
    pub kind: usize,
    pub units: i64,
}

/// What may still be spent.
pub(super) struct Purse<'a> {
    pub book: Option<&'a Book>,
    /// What the quote holds, by wallet.
    held: Option<&'a BTreeMap<WalletId, i64>>,
    /// What is spent by this very request, by member and kind.
    taken: BTreeMap<(usize, usize), i64>,
}

impl<'a> Purse<'a> {
    pub const fn new(book: Option<&'a Book>, held: Option<&'a BTreeMap<WalletId, i64>>) -> Self {
        Self { book, held, taken: BTreeMap::new() }
    }

    /// Sets units aside that are there and may be spent at this moment.
    pub fn take(&mut self, member: usize, kind: usize, units: i64, now: DateTime<Utc>) -> Result<Cost, Refusal> {
        let open = self.book.and_then(|book| book.members.get(member));
        let open = open.ok_or_else(|| Refusal::from(RefusalCode::ProfileRequired))?;
        let of_kind = open.rules.kinds.get(kind).ok_or_else(|| Refusal::from(RefusalCode::WalletClosed))?;
        let wallet = open.wallets.iter().find(|wallet| wallet.kind == kind);
        let held = wallet.and_then(|wallet| self.held?.get(&wallet.kept.id)).copied().unwrap_or(0);
        let taken = self.taken.get(&(member, kind)).copied().unwrap_or(0);
        let may_spend = of_kind.rules.is_open(now) && of_kind.rules.audience.includes(open.tier(), open.attributes());
        // What was held while the wallet was open is used afterwards, too.
        let is_held = units + taken <= held;
        if !is_held && !may_spend {
            return Err(RefusalCode::WalletClosed.into());
        }
        let balance = wallet.map_or(0, |wallet| wallet.ledger.totals.balance()) + held - taken;
        if units > balance {
            let available = Some(of_kind.rules.text(balance.max(0)));
            return Err(Refusal { available, ..RefusalCode::NotEnoughUnits.into() });
        }
        let spent = wallet.map(|wallet| (wallet.kept.spent, wallet.ledger.totals)).unwrap_or_default();
        let most = of_kind.rules.spendable(spent.0, &spent.1, now, open.rules.zone).min(MOVEMENT_MAX);
        if units + taken > most {
            let available = Some(of_kind.rules.text((most - taken).max(0)));
            return Err(Refusal { available, ..RefusalCode::SpendLimitReached.into() });
        }
        *self.taken.entry((member, kind)).or_default() += units;
        Ok(Cost { member, kind, units })
    }

    /// What was set aside is free again.
    pub fn put_back(&mut self, cost: Option<&Cost>) {
        if let Some(Cost { member, kind, units }) = cost
            && let Some(taken) = self.taken.get_mut(&(*member, *kind))
        {
            *taken -= units;
        }
    }
}
