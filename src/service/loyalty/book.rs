//! The book of one customer: opened in a transaction, which holds their memberships until it ends; posted to; and closed,
//! which writes down what changed, where they stand now, and that their passes say something else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::ids::{BrandId, CustomerId, MemberId, WalletId, WalletTypeId};
use crate::domain::ledger::{self, Activation, EntryKind, Link, MOVEMENT_MAX, Refusal, Source, State, Sweep, link};
use crate::domain::loyalty::counter::Counter;
use crate::domain::loyalty::tier::QualifyBy;
use crate::domain::loyalty::wallet_type::AtClose;
use crate::domain::period::day_of;
use crate::domain::secret::Personal;
use crate::service::loyalty::place::Place;
use crate::service::loyalty::rules::{self, Kind, Rules};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::entries::KeptEntry;
use crate::store::events::{self, NewEvent};
use crate::store::members::{self, Did, KeptMember};
use crate::store::wallets::{self, KeptWallet};
use crate::store::{Conn, books, customers, passes};

/// Why an entry was made.
#[derive(Debug, Clone, Default)]
pub struct Note {
    pub source: Option<Uuid>,
    pub rule: Option<Uuid>,
    pub reason: Option<Personal<String>>,
}

impl Note {
    pub fn of(source: Uuid) -> Self {
        Self { source: Some(source), ..Self::default() }
    }
}

/// A wallet that may be posted to.
pub struct OpenWallet {
    /// The kind, by its place in the program's rules.
    pub kind: usize,
    pub kept: KeptWallet,
    pub ledger: ledger::Wallet,
    /// Why, for each of the ledger's new entries.
    notes: Vec<Note>,
    had_holds: bool,
}

impl OpenWallet {
    /// Moves units; what the clock had to do before has no note of anybody's.
    pub fn post<T>(
        &mut self,
        note: &Note,
        now: DateTime<Utc>,
        movement: impl FnOnce(&mut ledger::Wallet) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.ledger.tick(now)?;
        self.notes.resize(self.ledger.entries.len(), Note::default());
        let result = movement(&mut self.ledger);
        self.notes.resize(self.ledger.entries.len(), note.clone());
        result
    }
}

/// A membership whose wallets may be posted to.
pub struct OpenMember {
    pub kept: KeptMember,
    pub rules: Arc<Rules>,
    pub wallets: Vec<OpenWallet>,
    /// What the member did, by kind of wallet and day.
    did: BTreeMap<(WalletTypeId, i64), Did>,
}

pub struct Book {
    pub brand: BrandId,
    pub customer: CustomerId,
    pub now: DateTime<Utc>,
    pub place: Place,
    pub members: Vec<OpenMember>,
    /// Its wallets were read, and may be posted to.
    has_wallets: bool,
    /// Passes of the customer show something else, whether or not units moved.
    is_marked: bool,
    /// What is recorded when it is closed.
    events: Vec<NewEvent>,
}

/// Days since 1970.
pub fn day_number(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce()) - i64::from(NaiveDate::default().num_days_from_ce())
}

impl OpenMember {
    /// Somebody who has nothing yet: to look at, never to be closed.
    pub fn newcomer(rules: Arc<Rules>, now: DateTime<Utc>) -> Self {
        let kept = KeptMember {
            id: MemberId::FIRST,
            program: rules.program,
            customer: CustomerId::FIRST,
            joined: now,
            standing: None,
            tier_value: 0,
            tier_due_at: None,
            rules_version: 0,
            time_zone: rules.zone.name().to_owned(),
            attributes: Personal::new(Map::new()),
        };
        Self { kept, rules, wallets: Vec::new(), did: BTreeMap::new() }
    }

    /// The member's wallet of a kind; made if there is none.
    pub fn wallet(&mut self, app: &App, kind: usize, now: DateTime<Utc>) -> Result<(&mut OpenWallet, &Kind), Problem> {
        let of_kind =
            self.rules.kinds.get(kind).ok_or_else(|| Problem::internal("a kind of wallet that is not there"))?;
        let index = match self.wallets.iter().position(|wallet| wallet.kind == kind) {
            Some(index) => index,
            None => {
                let kept = KeptWallet {
                    id: WalletId::new(app.clock.new_id()),
                    member: self.kept.id,
                    wallet_type: of_kind.id,
                    totals: ledger::Totals::default(),
                    head_no: 0,
                    head_link: vec![0; 32],
                    last_lot: 0,
                    earned: Counter::default(),
                    spent: Counter::default(),
                    due_at: None,
                    created_at: now,
                };
                let ledger = ledger::Wallet { forfeits_held: of_kind.rules.forfeits_held, ..ledger::Wallet::default() };
                self.wallets.push(OpenWallet { kind, kept, ledger, notes: Vec::new(), had_holds: false });
                self.wallets.len() - 1
            }
        };
        let wallet = self.wallets.get_mut(index).ok_or_else(|| Problem::internal("a wallet that is not there"))?;
        Ok((wallet, of_kind))
    }

    pub fn tier(&self) -> Option<&str> {
        self.kept.standing.as_ref().map(|standing| standing.tier.as_str())
    }

    pub fn attributes(&self) -> &Map<String, Value> {
        self.kept.attributes.reveal()
    }

    /// Notes what counts for tiers, on the day that it counts for.
    pub fn did(&mut self, kind: WalletTypeId, at: DateTime<Utc>, did: Did) {
        let day = day_number(day_of(at, self.rules.zone));
        let sum = self.did.entry((kind, day)).or_default();
        sum.earned += did.earned;
        sum.spent_minor += did.spent_minor;
        sum.visits += did.visits;
    }

    /// Does what the clock has to do: lots begin and end, holds are over, wallets close.
    pub fn tick(&mut self, app: &App, now: DateTime<Utc>) -> Result<(), Problem> {
        let rules = Arc::clone(&self.rules);
        for index in 0..self.wallets.len() {
            let Some(wallet) = self.wallets.get_mut(index) else { continue };
            let Some(kind) = rules.kinds.get(wallet.kind) else { continue };
            wallet.post(&Note::default(), now, |_| Ok(())).map_err(Problem::internal)?;
            let is_over = kind.rules.closes_at.is_some_and(|closes| closes <= now);
            let source = app.clock.new_id();
            match &kind.rules.at_close {
                AtClose::Expire if is_over => {
                    wallet
                        .post(&Note::of(source), now, |ledger| ledger.sweep(Sweep::Expire, now).map(|_| ()))
                        .map_err(Problem::internal)?;
                }
                AtClose::Convert(conversion) if is_over => {
                    let taken = wallet
                        .post(&Note::of(source), now, |ledger| {
                            Ok(ledger.sweep(Sweep::Convert, now)?.map_or(0, |entry| entry.movement.gain(State::Spent)))
                        })
                        .map_err(Problem::internal)?;
                    let Some(other) = rules.kind(&conversion.into) else { continue };
                    let (wallet, kind) = self.wallet(app, other, now)?;
                    let converted = conversion.gives(taken, kind.rules.scale);
                    // What does not fit into one movement is more than anybody has.
                    let converted = converted.unwrap_or(MOVEMENT_MAX).min(MOVEMENT_MAX);
                    if converted > 0 {
                        let (activation, end) = (Activation::Done, kind.rules.end(now, rules.zone));
                        wallet
                            .post(&Note::of(source), now, |ledger| {
                                ledger.earn(EntryKind::Converted, converted, activation, end, now).map(|_| ())
                            })
                            .map_err(Problem::internal)?;
                    }
                }
                AtClose::Expire | AtClose::Convert(_) | AtClose::Keep => {}
            }
        }
        Ok(())
    }

    fn is_changed(&self) -> bool {
        !self.did.is_empty() || self.wallets.iter().any(|wallet| !wallet.ledger.entries.is_empty())
    }
}

impl Book {
    /// Holds the customer's memberships and reads their wallets.
    pub async fn open(
        app: &App,
        conn: &mut Conn<'_>,
        brand: BrandId,
        customer: CustomerId,
        place: Place,
    ) -> Result<Self, Problem> {
        let kept = hold(conn, brand, customer).await?;
        let now = app.clock.now();
        Self::read(app, conn, brand, customer, place, kept, now).await
    }

    /// The same without wallets, for what moves no units.
    pub async fn open_bare(
        app: &App,
        conn: &mut Conn<'_>,
        brand: BrandId,
        customer: CustomerId,
        place: Place,
    ) -> Result<Self, Problem> {
        let kept = hold(conn, brand, customer).await?;
        let mut members = Vec::with_capacity(kept.len());
        for member in kept {
            let rules = rules::load(app, conn, brand, member.program, member.rules_version, &member.time_zone).await?;
            members.push(OpenMember { kept: member, rules, wallets: Vec::new(), did: BTreeMap::new() });
        }
        let now = app.clock.now();
        Ok(Self { brand, customer, now, place, members, has_wallets: false, is_marked: false, events: Vec::new() })
    }

    /// Passes of the customer show something else.
    pub const fn mark(&mut self) {
        self.is_marked = true;
    }

    /// Does in all wallets what the clock had to do by now.
    pub fn catch_up(&mut self) -> Result<(), Problem> {
        let now = self.now;
        for wallet in self.members.iter_mut().flat_map(|member| &mut member.wallets) {
            wallet.post(&Note::default(), now, |_| Ok(())).map_err(Problem::internal)?;
        }
        Ok(())
    }

    /// Puts events on the timeline when the book is closed: on the same way to the server.
    pub fn record(&mut self, events: impl IntoIterator<Item = NewEvent>) {
        self.events.extend(events);
    }

    /// The same to look at, holding nobody up; it cannot be closed to any effect.
    pub async fn peek(
        app: &App,
        conn: &mut Conn<'_>,
        brand: BrandId,
        customer: CustomerId,
        place: Place,
    ) -> Result<Self, Problem> {
        let kept = members::list_of(conn, brand, customer).await?;
        if kept.is_empty() && customers::find(conn, brand, customer).await?.is_none() {
            return Err(Problem::NotFound { what: "customer" });
        }
        let now = app.clock.now();
        let mut book = Self::read(app, conn, brand, customer, place, kept, now).await?;
        for wallet in book.members.iter_mut().flat_map(|member| &mut member.wallets) {
            wallet.ledger.tick(now).map_err(Problem::internal)?;
        }
        Ok(book)
    }

    /// Memberships with their wallets, of whosoever; to be posted to only by whoever holds them.
    pub(super) async fn read(
        app: &App,
        conn: &mut Conn<'_>,
        brand: BrandId,
        customer: CustomerId,
        place: Place,
        kept: Vec<KeptMember>,
        now: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let ids: Vec<_> = kept.iter().map(|member| member.id).collect();
        let mut own = wallets::list_of(conn, brand, &ids).await?;
        let held = own.iter().filter(|(wallet, _)| wallet.totals.held > 0);
        let held: Vec<WalletId> = held.map(|(wallet, _)| wallet.id).collect();
        let holds = wallets::list_holds(conn, brand, &held).await?;
        let mut members = Vec::with_capacity(kept.len());
        for member in kept {
            let rules = rules::load(app, conn, brand, member.program, member.rules_version, &member.time_zone).await?;
            let mut open = Vec::new();
            for (wallet, lots) in own.extract_if(.., |(wallet, _)| wallet.member == member.id) {
                let Some(kind) = rules.kinds.iter().position(|kind| kind.id == wallet.wallet_type) else { continue };
                let forfeits_held = rules.kinds.get(kind).is_some_and(|kind| kind.rules.forfeits_held);
                let holds: Vec<_> =
                    holds.iter().filter(|(of, _)| *of == wallet.id).map(|(_, hold)| hold.clone()).collect();
                open.push(OpenWallet {
                    kind,
                    had_holds: !holds.is_empty(),
                    ledger: ledger::Wallet {
                        totals: wallet.totals,
                        lots,
                        holds,
                        head_no: wallet.head_no,
                        last_lot: wallet.last_lot,
                        forfeits_held,
                        entries: Vec::new(),
                    },
                    kept: wallet,
                    notes: Vec::new(),
                });
            }
            members.push(OpenMember { kept: member, rules, wallets: open, did: BTreeMap::new() });
        }
        Ok(Self { brand, customer, now, place, members, has_wallets: true, is_marked: false, events: Vec::new() })
    }

    /// The open wallet with this id.
    pub fn find(&mut self, id: WalletId) -> Option<(&mut OpenWallet, Arc<Rules>)> {
        self.members.iter_mut().find_map(|member| {
            let rules = Arc::clone(&member.rules);
            member.wallets.iter_mut().find(|wallet| wallet.kept.id == id).map(|wallet| (wallet, rules))
        })
    }

    /// Reads lots that nothing is left of, because something is to go back into them.
    pub async fn fetch_lots(&mut self, conn: &mut Conn<'_>, id: WalletId, lots: &[i64]) -> Result<(), Problem> {
        let brand = self.brand;
        let Some((wallet, _)) = self.find(id) else { return Ok(()) };
        let missing: Vec<i64> =
            lots.iter().copied().filter(|no| wallet.ledger.lots.iter().all(|lot| lot.no() != *no)).collect();
        let found = wallets::list_lots(conn, brand, id, Some(&missing)).await?;
        wallet.ledger.lots.extend(found);
        Ok(())
    }

    /// Writes down what was posted, in the caller's transaction. `true`: something was, and the customer's passes are to be
    /// published; they are locked, in order of their ids.
    pub async fn close(mut self, app: &App, conn: &mut Conn<'_>) -> Result<bool, Problem> {
        let is_changed = if self.has_wallets {
            self.write(app, conn).await?
        } else {
            events::insert_many(conn, self.brand, &self.events).await?;
            false
        };
        if is_changed || self.is_marked {
            passes::touch_customer(conn, self.brand, self.customer, self.now).await?;
        }
        Ok(is_changed || self.is_marked)
    }

    async fn write(&mut self, app: &App, conn: &mut Conn<'_>) -> Result<bool, Problem> {
        let (mut kept, mut lots, mut written) = (Vec::new(), Vec::new(), Vec::new());
        let mut held = Vec::new();
        for member in &mut self.members {
            for wallet in &mut member.wallets {
                let was_due_at = wallet.kept.due_at;
                let (entries, touched) = write_down(wallet, &self.place, self.now)?;
                // A wallet that holds anything has something to do when it closes.
                let kind = member.rules.kinds.get(wallet.kind).filter(|kind| kind.rules.at_close != AtClose::Keep);
                let is_full = wallet.ledger.totals.active + wallet.ledger.totals.pending > 0;
                let closing = kind.and_then(|kind| kind.rules.closes_at).filter(|_| is_full);
                wallet.kept.due_at = wallet.ledger.due_at().into_iter().chain(closing).min();
                // Rules that changed may leave nothing to do where something was.
                if entries.is_empty() && (wallet.kept.due_at == was_due_at || wallet.kept.head_no == 0) {
                    continue;
                }
                written.extend(entries);
                let id = wallet.kept.id;
                let moved = wallet.ledger.lots.iter().filter(|lot| touched.contains(&lot.no()));
                lots.extend(moved.map(|lot| (id, lot.clone())));
                kept.push(wallet.kept.clone());
                if wallet.had_holds || !wallet.ledger.holds.is_empty() {
                    held.push((id, wallet.ledger.holds.clone()));
                }
            }
        }
        kept.sort_by_key(|wallet| wallet.id);
        books::write(conn, self.brand, &kept, &lots, &written, &self.events).await?;
        for (wallet, holds) in held {
            wallets::set_holds(conn, self.brand, wallet, &holds).await?;
        }
        let mut is_changed = !written.is_empty();
        for index in 0..self.members.len() {
            is_changed |= self.stand(app, conn, index).await?;
        }
        Ok(is_changed)
    }

    /// Where a member stands after what they did. `true`: elsewhere than before.
    async fn stand(&mut self, app: &App, conn: &mut Conn<'_>, index: usize) -> Result<bool, Problem> {
        let (brand, now, customer) = (self.brand, self.now, self.customer);
        let Some(member) = self.members.get_mut(index) else { return Ok(false) };
        let mut days: BTreeMap<i64, Vec<(WalletTypeId, Did)>> = BTreeMap::new();
        for ((kind, day), did) in &member.did {
            days.entry(*day).or_default().push((*kind, *did));
        }
        for (day, did) in days {
            members::add_day(conn, brand, member.kept.id, day, &did).await?;
        }
        let rules = Arc::clone(&member.rules);
        let Some(tiers) = &rules.tiers else {
            // There were tiers when it was noted.
            if let Some(standing) = member.kept.standing.as_ref().filter(|_| member.kept.tier_due_at.is_some()) {
                members::set_standing(conn, brand, member.kept.id, standing, member.kept.tier_value, None).await?;
            }
            return Ok(false);
        };
        let is_due = member.kept.standing.is_none() || member.kept.tier_is_due(now);
        let measures_balance = tiers.qualify_by == QualifyBy::Balance;
        if !is_due && !(member.is_changed() && (measures_balance || !member.did.is_empty())) {
            return Ok(false);
        }
        let kind = rules.kind(&tiers.wallet);
        let kind_id = kind.and_then(|kind| rules.kinds.get(kind)).map_or(WalletTypeId::FIRST, |kind| kind.id);
        let since = tiers.window_start(member.kept.joined, now, rules.zone);
        let since = since.map_or(i64::MIN, |since| day_number(day_of(since, rules.zone)));
        let value = match tiers.qualify_by {
            QualifyBy::Balance => {
                let own = member.wallets.iter().find(|wallet| Some(wallet.kind) == kind);
                own.map_or(0, |wallet| wallet.ledger.totals.balance())
            }
            QualifyBy::Earned => members::sum_days(conn, brand, member.kept.id, kind_id, since).await?.earned,
            QualifyBy::Spend => {
                members::sum_days(conn, brand, member.kept.id, WalletTypeId::FIRST, since).await?.spent_minor
            }
            QualifyBy::Visits => {
                members::sum_days(conn, brand, member.kept.id, WalletTypeId::FIRST, since).await?.visits
            }
        };
        let before = member.kept.standing.take();
        let standing = tiers.evaluate(before.as_ref(), value, now, rules.zone);
        let due_at = tiers.next_look(&standing, now, rules.zone);
        members::set_standing(conn, brand, member.kept.id, &standing, value, due_at).await?;
        let was = before.as_ref().map(|standing| standing.tier.clone());
        let is_elsewhere = was.as_deref() != Some(standing.tier.as_str());
        if is_elsewhere {
            let about = About { customer: Some(customer), pass: None, subject: member.kept.id.uuid() };
            let data = json!({ "member_id": member.kept.id, "from": was, "to": standing.tier });
            timeline::record(app, conn, brand, "tier.changed", about, data).await?;
        }
        let is_changed = is_elsewhere || value != member.kept.tier_value || before.as_ref() != Some(&standing);
        (member.kept.standing, member.kept.tier_value) = (Some(standing), value);
        Ok(is_changed)
    }
}

/// A customer's memberships, held until the transaction ends.
async fn hold(conn: &mut Conn<'_>, brand: BrandId, customer: CustomerId) -> Result<Vec<KeptMember>, Problem> {
    let kept = members::lock(conn, brand, customer).await?;
    if kept.is_empty() && customers::find(conn, brand, customer).await?.is_none() {
        return Err(Problem::NotFound { what: "customer" });
    }
    Ok(kept)
}

/// The new entries of a wallet, linked to those before, and the lots that they touched.
fn write_down(
    wallet: &mut OpenWallet,
    place: &Place,
    now: DateTime<Utc>,
) -> Result<(Vec<KeptEntry>, BTreeSet<i64>), Problem> {
    let OpenWallet { kept, ledger, notes, .. } = wallet;
    notes.resize(ledger.entries.len(), Note::default());
    let mut before: Link = kept.head_link.as_slice().try_into().map_err(Problem::internal)?;
    let mut balance = kept.totals.balance();
    let (mut written, mut touched) = (Vec::with_capacity(ledger.entries.len()), BTreeSet::new());
    for (entry, note) in std::mem::take(&mut ledger.entries).into_iter().zip(notes.drain(..)) {
        let source = note.source.map(|id| Source { id });
        before = link(&before, kept.id, entry.no, entry.kind.as_str(), &entry.movement, source, entry.at);
        let units = entry.movement.units();
        balance += units;
        touched.extend(entry.movement.slices.iter().map(|slice| slice.lot));
        touched.extend(entry.movement.dates.iter().map(|dates| dates.lot));
        let is_by_somebody = note.source.is_some() || note.reason.is_some();
        written.push(KeptEntry {
            wallet: kept.id,
            no: entry.no,
            kind: entry.kind,
            units,
            balance,
            movement: entry.movement,
            source: note.source,
            rule: note.rule,
            reason: note.reason,
            store: place.store.filter(|_| is_by_somebody),
            terminal: place.terminal.clone().filter(|_| is_by_somebody),
            employee: place.employee.clone().filter(|_| is_by_somebody),
            occurred_at: entry.at,
            created_at: now,
            link: before.to_vec(),
        });
    }
    (kept.totals, kept.head_no, kept.last_lot) = (ledger.totals, ledger.head_no, ledger.last_lot);
    (kept.head_link, kept.due_at) = (before.to_vec(), ledger.due_at());
    Ok((written, touched))
}
