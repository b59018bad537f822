//! A wallet as a state machine: whoever holds it moves units by these functions, and writes down the entries they leave.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::lot::{Activation, Dates, Lot, Slice, State, spend_order};
use crate::domain::text::text_enum;

text_enum! {
    /// What an entry is.
    pub enum EntryKind {
        /// Earned by a purchase, a visit, an event.
        Earned = "earned",
        /// Brought along from another system.
        Opening = "opening",
        /// Pending units became active.
        Activated = "activated",
        /// Pending units died: what they waited for did not happen.
        Lapsed = "lapsed",
        Spent = "spent",
        /// Reserved for a basket.
        Held = "held",
        /// What was reserved is spent.
        Captured = "captured",
        /// What was reserved is free again.
        Released = "released",
        Expired = "expired",
        /// Their end was moved.
        Extended = "extended",
        /// Spent units are back: a redemption was voided, or goods came back.
        Restored = "restored",
        /// Earned units are taken back: goods came back.
        TakenBack = "taken_back",
        /// By hand, with a reason.
        Adjusted = "adjusted",
        /// What was owed is paid, of units that came in.
        Repaid = "repaid",
        /// Exchanged for units of another wallet, or of money.
        Converted = "converted",
        /// What was left when the wallet closed.
        Swept = "swept",
    }
}

/// What an entry moved. Kept as JSON, hashed by value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Movement {
    pub slices: Vec<Slice>,
    /// Lots that were born, and lots whose dates changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<Dates>,
    /// Units more (or, below zero, less) that the wallet owes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub debt: i64,
    /// The entry that this one takes back, or whose hold it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<i64>,
    /// Until when units are held; of an entry that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<DateTime<Utc>>,
    /// The entry whose hold this one ends or makes smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Movement {
    /// What became of the balance: active units more or less, and what is owed less or more.
    pub fn units(&self) -> i64 {
        self.gain(State::Active) - self.debt
    }

    /// Units more or less in one state.
    pub fn gain(&self, state: State) -> i64 {
        let of = |slice: &Slice| {
            i64::from(slice.to == state) * slice.units - i64::from(slice.from == Some(state)) * slice.units
        };
        self.slices.iter().map(of).sum()
    }
}

/// An entry that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub no: i64,
    pub kind: EntryKind,
    /// When it took effect: an expiry that was noticed late has its own time.
    pub at: DateTime<Utc>,
    pub movement: Movement,
}

/// The sums over all lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub active: i64,
    pub pending: i64,
    pub held: i64,
    pub spent: i64,
    pub expired: i64,
    pub cancelled: i64,
    /// What the wallet owes: while it does, nothing is active.
    pub debt: i64,
}

impl Totals {
    const fn place(&mut self, state: State) -> &mut i64 {
        match state {
            State::Pending => &mut self.pending,
            State::Active => &mut self.active,
            State::Held => &mut self.held,
            State::Spent => &mut self.spent,
            State::Expired => &mut self.expired,
            State::Cancelled => &mut self.cancelled,
        }
    }

    /// What may be spent, or, below zero, what is owed.
    pub const fn balance(&self) -> i64 {
        self.active - self.debt
    }
}

/// Units reserved for a basket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The entry that made it.
    pub no: i64,
    pub until: DateTime<Utc>,
    /// Lot and units, in the order they are spent in.
    pub slices: Vec<(i64, i64)>,
}

impl Hold {
    /// What it still holds.
    pub fn units(&self) -> i64 {
        self.slices.iter().map(|(_, units)| units).sum()
    }
}

/// Why units do not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{available} units may be spent")]
    NotEnough { available: i64 },
    #[error("a movement is of 1 to {MOVEMENT_MAX} units")]
    Units,
    #[error("nothing is held by this name")]
    NoSuchHold,
    #[error("{held} units are held")]
    HeldLess { held: i64 },
    #[error("the wallet cannot hold so much")]
    Overflow,
    /// What is kept of the wallet contradicts itself.
    #[error("lot {lot} does not have what an entry moves")]
    Broken { lot: i64 },
}

/// Units of one movement at most: sums of millions of them fit.
pub const MOVEMENT_MAX: i64 = 1_000_000_000_000;

/// What becomes of spent units that come back when their lot has ended meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// They are gone.
    Forfeit,
    /// They may be spent until then.
    Until(DateTime<Utc>),
}

/// How far a return may reach for units that were earned by what comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeBack {
    /// Those that are still pending.
    OnlyPending,
    /// Also active ones, whosoever's, but the balance stays at zero or above.
    WithinBalance,
    /// All; what is not there is owed.
    Unlimited,
}

/// What becomes of the rest when a wallet closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// It expires.
    Expire,
    /// It is taken out, to be paid into another wallet.
    Convert,
}

/// Something the clock does to a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Activate,
    Lapse,
    Release(i64),
    Expire,
}

/// A wallet with the lots that a use case is about: all open ones, and those that it takes something back from.
#[derive(Debug, Clone, Default)]
pub struct Wallet {
    pub totals: Totals,
    pub lots: Vec<Lot>,
    pub holds: Vec<Hold>,
    /// The last entry's number; 0: there is none.
    pub head_no: i64,
    /// The last lot's number.
    pub last_lot: i64,
    /// Whether units that are held when their lot ends end with it; otherwise they wait for the hold to end.
    pub forfeits_held: bool,
    /// Entries that these functions made, to be written down.
    pub entries: Vec<Entry>,
}

impl Wallet {
    /// Units come in as a lot of their own, active at once or later. What is owed is paid first.
    pub fn earn(
        &mut self,
        kind: EntryKind,
        units: i64,
        activation: Activation,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let lot = self.last_lot + 1;
        let is_active = activation == Activation::Done;
        let starts_at = if let Activation::At(at) = activation { at } else { now };
        let to = if is_active { State::Active } else { State::Pending };
        let movement = Movement {
            slices: vec![Slice { lot, from: None, to, units }],
            dates: vec![Dates { lot, starts_at, activation, expires_at }],
            ..Movement::default()
        };
        self.record_and_repay(kind, movement, now)
    }

    /// Spends units, those that end soonest first.
    pub fn spend(&mut self, kind: EntryKind, units: i64, now: DateTime<Utc>) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let slices = self.pick(units, State::Spent)?;
        self.record(kind, Movement { slices, ..Movement::default() }, now)
    }

    /// Takes units out by hand, or for another reason that does not ask; what is not there is owed.
    pub fn charge(&mut self, kind: EntryKind, units: i64, now: DateTime<Utc>) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let there = units.min(self.totals.active);
        let slices = if there > 0 { self.pick(there, State::Spent)? } else { Vec::new() };
        self.record(kind, Movement { slices, debt: units - there, ..Movement::default() }, now)
    }

    /// Reserves units until they are captured, released or the time is over. The entry's number names the hold.
    pub fn hold(&mut self, units: i64, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let slices = self.pick(units, State::Held)?;
        let held = slices.iter().map(|slice| (slice.lot, slice.units)).collect();
        self.holds.push(Hold { no: self.head_no + 1, until, slices: held });
        self.record(EntryKind::Held, Movement { slices, hold_until: Some(until), ..Movement::default() }, now)
    }

    /// Spends so much of what is held, and frees the rest.
    pub fn capture(&mut self, hold: i64, units: i64, now: DateTime<Utc>) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let index = self.holds.iter().position(|one| one.no == hold).ok_or(Refusal::NoSuchHold)?;
        let known = self.holds.get(index);
        let all = known.map_or(0, Hold::units);
        let held = known.map(|one| one.slices.clone()).unwrap_or_default();
        if units > all {
            return Err(Refusal::HeldLess { held: all });
        }
        let (mut slices, mut left) = (Vec::new(), units);
        for (lot, units) in held {
            let spent = units.min(left);
            left -= spent;
            slices.extend(slice(lot, State::Held, State::Spent, spent));
            let back = self.state_after_hold(lot, now)?;
            slices.extend(slice(lot, State::Held, back, units - spent));
        }
        self.holds.remove(index);
        self.record_and_repay(EntryKind::Captured, Movement { slices, hold: Some(hold), ..Movement::default() }, now)
    }

    /// Frees what is held; `None`: nothing is, which is as good.
    pub fn release(&mut self, hold: i64, now: DateTime<Utc>) -> Result<Option<&Entry>, Refusal> {
        self.tick(now)?;
        if self.holds.iter().any(|one| one.no == hold) { self.end_hold(hold, now).map(Some) } else { Ok(None) }
    }

    /// Gives spent units back to the lots that they were taken from, those that were spent last first. `spent` is what is
    /// left of the entry (see [`left_of`]).
    pub fn restore(
        &mut self,
        entry: i64,
        spent: &[(i64, i64)],
        units: i64,
        late: Restore,
        now: DateTime<Utc>,
    ) -> Result<&Entry, Refusal> {
        self.tick(now)?;
        check(units)?;
        let (mut slices, mut dates, mut left) = (Vec::new(), Vec::new(), units);
        for (lot, spent) in spent.iter().rev() {
            let back = left.min(*spent);
            left -= back;
            if back == 0 {
                continue;
            }
            let known = self.lot(*lot)?;
            let to = match (known.is_expired(now), late) {
                (false, _) => State::Active,
                (true, Restore::Forfeit) => State::Expired,
                (true, Restore::Until(until)) => {
                    dates.push(Dates { expires_at: Some(until), ..known.dates.clone() });
                    State::Active
                }
            };
            slices.extend(slice(*lot, State::Spent, to, back));
        }
        if left > 0 {
            return Err(Refusal::NotEnough { available: units - left });
        }
        let movement = Movement { slices, dates, reverses: Some(entry), ..Movement::default() };
        self.record_and_repay(EntryKind::Restored, movement, now)
    }

    /// Takes back units that were earned: from their own lots first, then, as far as `reach` goes, from others. `None`:
    /// there was nothing to take.
    pub fn take_back(
        &mut self,
        entry: i64,
        lots: &[i64],
        units: i64,
        reach: TakeBack,
        now: DateTime<Utc>,
    ) -> Result<Option<&Entry>, Refusal> {
        self.tick(now)?;
        check(units)?;
        let (mut slices, mut left) = (Vec::new(), units);
        let mut take = |lot: &Lot, state: State| {
            let taken = lot.in_state(state).min(left);
            left -= taken;
            slices.extend(slice(lot.no(), state, State::Cancelled, taken));
        };
        let own: Vec<&Lot> = self.lots.iter().filter(|lot| lots.contains(&lot.no())).collect();
        own.iter().for_each(|lot| take(lot, State::Pending));
        if reach != TakeBack::OnlyPending {
            own.iter().for_each(|lot| take(lot, State::Active));
            let mut others: Vec<&Lot> = self.lots.iter().filter(|lot| !lots.contains(&lot.no())).collect();
            others.sort_by(|one, other| spend_order(one, other));
            others.iter().for_each(|lot| take(lot, State::Active));
        }
        let debt = if reach == TakeBack::Unlimited { left } else { 0 };
        if slices.is_empty() && debt == 0 {
            return Ok(None);
        }
        let movement = Movement { slices, debt, reverses: Some(entry), ..Movement::default() };
        self.record(EntryKind::TakenBack, movement, now).map(Some)
    }

    /// What pending units waited for has happened. `None`: none did.
    pub fn activate(
        &mut self,
        event: &str,
        only: Option<&[i64]>,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<&Entry>, Refusal> {
        self.tick(now)?;
        let waits = |lot: &&Lot| {
            matches!(&lot.dates.activation, Activation::On { event: awaited, .. } if awaited == event)
                && only.is_none_or(|only| only.contains(&lot.no()))
                && lot.in_state(State::Pending) > 0
        };
        let mut movement = Movement::default();
        for lot in self.lots.iter().filter(waits) {
            movement.slices.extend(slice(lot.no(), State::Pending, State::Active, lot.in_state(State::Pending)));
            movement.dates.push(Dates { lot: lot.no(), starts_at: now, activation: Activation::Done, expires_at });
        }
        if movement.slices.is_empty() {
            return Ok(None);
        }
        self.record_and_repay(EntryKind::Activated, movement, now).map(Some)
    }

    /// Moves the end of everything active to `expires_at`, where that is later. `None`: it is nowhere.
    pub fn extend(&mut self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Option<&Entry>, Refusal> {
        self.tick(now)?;
        let ends_sooner =
            |lot: &&Lot| lot.in_state(State::Active) > 0 && lot.dates.expires_at.is_some_and(|end| end < expires_at);
        let moved = |lot: &Lot| Dates { expires_at: Some(expires_at), ..lot.dates.clone() };
        let dates: Vec<Dates> = self.lots.iter().filter(ends_sooner).map(moved).collect();
        if dates.is_empty() {
            return Ok(None);
        }
        self.record(EntryKind::Extended, Movement { dates, ..Movement::default() }, now).map(Some)
    }

    /// The wallet closes: what is active goes, what is pending is cancelled; what is held ends with its hold. `None`: it is
    /// empty.
    pub fn sweep(&mut self, how: Sweep, now: DateTime<Utc>) -> Result<Option<&Entry>, Refusal> {
        self.tick(now)?;
        let mut movement = Movement::default();
        let is_full = |lot: &&Lot| lot.in_state(State::Active) + lot.in_state(State::Pending) > 0;
        for lot in self.lots.iter().filter(is_full) {
            let to = if how == Sweep::Convert { State::Spent } else { State::Expired };
            movement.slices.extend(slice(lot.no(), State::Active, to, lot.in_state(State::Active)));
            movement.slices.extend(slice(lot.no(), State::Pending, State::Cancelled, lot.in_state(State::Pending)));
            // What is freed or comes back later is over too; of a wallet that is converted, it is converted then.
            if how == Sweep::Expire {
                movement.dates.push(Dates { expires_at: Some(now), ..lot.dates.clone() });
            }
        }
        if movement.slices.is_empty() {
            return Ok(None);
        }
        self.record(EntryKind::Swept, movement, now).map(Some)
    }

    /// Does what the clock has to do until `now`, each thing at its own time: whoever was away for a week finds the same as
    /// whoever was there. Every function above begins with it.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Result<(), Refusal> {
        while let Some((at, due)) = self.due().filter(|(at, _)| *at <= now) {
            match due {
                Due::Release(hold) => {
                    self.end_hold(hold, at)?;
                }
                Due::Activate => {
                    let mut movement = Movement::default();
                    for lot in self.lots.iter().filter(|lot| lot.dates.activation == Activation::At(at)) {
                        let pending = lot.in_state(State::Pending);
                        movement.slices.extend(slice(lot.no(), State::Pending, State::Active, pending));
                        movement.dates.push(Dates { activation: Activation::Done, ..lot.dates.clone() });
                    }
                    self.record_and_repay(EntryKind::Activated, movement, at)?;
                }
                Due::Lapse => {
                    let slices = self.lots.iter().filter(|lot| lapses_at(lot) == Some(at));
                    let slices = slices.filter_map(|lot| {
                        slice(lot.no(), State::Pending, State::Cancelled, lot.in_state(State::Pending))
                    });
                    let movement = Movement { slices: slices.collect(), ..Movement::default() };
                    self.record(EntryKind::Lapsed, movement, at)?;
                }
                Due::Expire => self.expire(at)?,
            }
        }
        Ok(())
    }

    /// When active units end next, and how many of them.
    pub fn next_expiry(&self) -> Option<(DateTime<Utc>, i64)> {
        let ends = |lot: &Lot| lot.dates.expires_at.filter(|_| lot.in_state(State::Active) > 0);
        let first = self.lots.iter().filter_map(ends).min()?;
        let units = self.lots.iter().filter(|lot| ends(lot) == Some(first)).map(|lot| lot.in_state(State::Active));
        Some((first, units.sum()))
    }

    /// When the clock next has something to do.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        self.due().map(|(at, _)| at)
    }

    fn due(&self) -> Option<(DateTime<Utc>, Due)> {
        let of_lot = |lot: &Lot| {
            let pending = lot.in_state(State::Pending) > 0;
            let activate = match lot.dates.activation {
                Activation::At(at) if pending => Some((at, Due::Activate)),
                _ => None,
            };
            let lapse = lapses_at(lot).map(|at| (at, Due::Lapse));
            let ends = lot.in_state(State::Active) > 0 || (self.forfeits_held && lot.in_state(State::Held) > 0);
            let expire = lot.dates.expires_at.filter(|_| ends).map(|at| (at, Due::Expire));
            [activate, lapse, expire].into_iter().flatten().min()
        };
        let lots = self.lots.iter().filter_map(of_lot);
        let holds = self.holds.iter().map(|hold| (hold.until, Due::Release(hold.no)));
        lots.chain(holds).min()
    }

    fn expire(&mut self, at: DateTime<Utc>) -> Result<(), Refusal> {
        let mut movement = Movement::default();
        for lot in self.lots.iter().filter(|lot| lot.dates.expires_at == Some(at)) {
            movement.slices.extend(slice(lot.no(), State::Active, State::Expired, lot.in_state(State::Active)));
            if self.forfeits_held {
                movement.slices.extend(slice(lot.no(), State::Held, State::Expired, lot.in_state(State::Held)));
                for hold in &mut self.holds {
                    hold.slices.retain(|(held, _)| *held != lot.no());
                }
            }
        }
        self.record(EntryKind::Expired, movement, at).map(|_| ())
    }

    fn end_hold(&mut self, hold: i64, now: DateTime<Utc>) -> Result<&Entry, Refusal> {
        let index = self.holds.iter().position(|one| one.no == hold).ok_or(Refusal::NoSuchHold)?;
        let ended = self.holds.remove(index);
        let mut slices = Vec::new();
        for (lot, units) in ended.slices {
            let back = self.state_after_hold(lot, now)?;
            slices.extend(slice(lot, State::Held, back, units));
        }
        self.record_and_repay(EntryKind::Released, Movement { slices, hold: Some(hold), ..Movement::default() }, now)
    }

    /// Where units go that nobody holds any more.
    fn state_after_hold(&self, lot: i64, now: DateTime<Utc>) -> Result<State, Refusal> {
        Ok(if self.lot(lot)?.is_expired(now) { State::Expired } else { State::Active })
    }

    fn lot(&self, no: i64) -> Result<&Lot, Refusal> {
        self.lots.iter().find(|lot| lot.no() == no).ok_or(Refusal::Broken { lot: no })
    }

    /// So many active units, in the order in which they are spent.
    fn pick(&self, units: i64, to: State) -> Result<Vec<Slice>, Refusal> {
        let mut lots: Vec<&Lot> = self.lots.iter().filter(|lot| lot.in_state(State::Active) > 0).collect();
        lots.sort_by(|one, other| spend_order(one, other));
        let (mut slices, mut left) = (Vec::new(), units);
        for lot in lots {
            let taken = lot.in_state(State::Active).min(left);
            left -= taken;
            slices.extend(slice(lot.no(), State::Active, to, taken));
        }
        if left > 0 { Err(Refusal::NotEnough { available: self.totals.balance() }) } else { Ok(slices) }
    }

    /// Records a movement that brings units in; what the wallet owes is paid of them at once, by an entry of its own.
    fn record_and_repay(&mut self, kind: EntryKind, movement: Movement, at: DateTime<Utc>) -> Result<&Entry, Refusal> {
        let index = self.entries.len();
        self.record(kind, movement, at)?;
        let paid = self.totals.debt.min(self.totals.active);
        if paid > 0 {
            let slices = self.pick(paid, State::Spent)?;
            self.record(EntryKind::Repaid, Movement { slices, debt: -paid, ..Movement::default() }, at)?;
        }
        self.entries.get(index).ok_or(Refusal::Overflow)
    }

    fn record(&mut self, kind: EntryKind, movement: Movement, at: DateTime<Utc>) -> Result<&Entry, Refusal> {
        self.apply(&movement)?;
        self.head_no += 1;
        self.entries.push(Entry { no: self.head_no, kind, at, movement });
        self.entries.last().ok_or(Refusal::Overflow)
    }

    /// Moves what an entry says: also how the whole of a wallet is told again from its entries.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), Refusal> {
        for dates in &movement.dates {
            match self.lots.iter_mut().find(|lot| lot.no() == dates.lot) {
                Some(lot) => lot.dates = dates.clone(),
                None => {
                    self.lots.push(Lot::new(dates.clone()));
                    self.last_lot = self.last_lot.max(dates.lot);
                }
            }
        }
        for Slice { lot, from, to, units } in movement.slices.iter().copied() {
            let broken = Refusal::Broken { lot };
            let known = self.lots.iter_mut().find(|known| known.no() == lot).ok_or(broken)?;
            known.shift(from, to, units).ok_or(broken)?;
            if let Some(from) = from {
                *self.totals.place(from) -= units;
            }
            let place = self.totals.place(to);
            *place = place.checked_add(units).ok_or(Refusal::Overflow)?;
        }
        self.totals.debt = self.totals.debt.checked_add(movement.debt).ok_or(Refusal::Overflow)?;
        Ok(())
    }
}

const fn check(units: i64) -> Result<(), Refusal> {
    if units >= 1 && units <= MOVEMENT_MAX { Ok(()) } else { Err(Refusal::Units) }
}

fn slice(lot: i64, from: State, to: State, units: i64) -> Option<Slice> {
    (units > 0).then_some(Slice { lot, from: Some(from), to, units })
}

fn lapses_at(lot: &Lot) -> Option<DateTime<Utc>> {
    match lot.dates.activation {
        Activation::On { cancel_at, .. } if lot.in_state(State::Pending) > 0 => cancel_at,
        _ => None,
    }
}

/// What an entry spent and nobody has given back yet: lot and units, in the order they were spent in.
pub fn left_of(spent: &Movement, given_back: &[Movement]) -> Vec<(i64, i64)> {
    let mut left: Vec<(i64, i64)> =
        spent.slices.iter().filter(|slice| slice.to == State::Spent).map(|slice| (slice.lot, slice.units)).collect();
    let back = given_back.iter().flat_map(|movement| &movement.slices);
    for slice in back.filter(|slice| slice.from == Some(State::Spent)) {
        let mut gone = slice.units;
        for (_, units) in left.iter_mut().rev().filter(|(lot, _)| *lot == slice.lot) {
            let taken = gone.min(*units);
            *units -= taken;
            gone -= taken;
        }
    }
    left.retain(|(_, units)| *units > 0);
    left
}
