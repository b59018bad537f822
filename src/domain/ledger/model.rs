//! The wallet against a model that shares nothing with it: every unit is a token of its own, and time goes by hour by hour.
//!
//! `LEDGER_OPERATIONS` and `LEDGER_SEED` make a longer run, or the same one again.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;

/// Hours since the beginning.
type Hour = i64;

fn at(hour: Hour) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    Until(Hour),
    ForDelivery(Hour),
}

#[derive(Debug, Clone)]
struct Token {
    lot: i64,
    state: State,
    /// The entry that spent or holds it, and its place among those.
    by: Option<(i64, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Birth {
    starts: Hour,
    ends: Option<Hour>,
    wait: Wait,
}

#[derive(Debug, Default)]
struct Model {
    now: Hour,
    debt: i64,
    births: Vec<Birth>,
    tokens: Vec<Token>,
    /// Entry and end of each hold.
    holds: Vec<(i64, Hour)>,
    forfeits_held: bool,
}

impl Model {
    fn birth(&self, lot: i64) -> Birth {
        self.births[lot as usize - 1]
    }

    fn count(&self, state: State) -> i64 {
        self.tokens.iter().filter(|token| token.state == state).count() as i64
    }

    fn has_ended(&self, lot: i64) -> bool {
        self.birth(lot).ends.is_some_and(|end| end <= self.now)
    }

    fn set(&mut self, which: impl Fn(&Token) -> bool, to: State) {
        self.tokens.iter_mut().filter(|token| which(token)).for_each(|token| token.state = to);
    }

    /// The indices of active tokens in the order they are spent in.
    fn line(&self) -> Vec<usize> {
        let mut line: Vec<usize> = (0..self.tokens.len()).filter(|i| self.tokens[*i].state == State::Active).collect();
        line.sort_by_key(|i| {
            let lot = self.tokens[*i].lot;
            let birth = self.birth(lot);
            (birth.ends.unwrap_or(Hour::MAX), birth.starts, lot)
        });
        line
    }

    fn repay(&mut self) {
        for index in self.line() {
            if self.debt > 0 {
                self.tokens[index].state = State::Spent;
                self.tokens[index].by = None;
                self.debt -= 1;
            }
        }
    }

    fn pass_hours(&mut self, hours: Hour) {
        for _ in 0..hours {
            self.now += 1;
            let now = self.now;
            for lot in 1..=self.births.len() as i64 {
                if self.birth(lot).wait == Wait::Until(now) {
                    self.births[lot as usize - 1].wait = Wait::No;
                    self.set(|token| token.lot == lot && token.state == State::Pending, State::Active);
                }
            }
            self.repay();
            for lot in 1..=self.births.len() as i64 {
                if self.birth(lot).wait == Wait::ForDelivery(now) {
                    self.set(|token| token.lot == lot && token.state == State::Pending, State::Cancelled);
                }
            }
            let over: Vec<i64> = self.holds.iter().filter(|(_, end)| *end == now).map(|(entry, _)| *entry).collect();
            over.into_iter().for_each(|entry| self.free(entry));
            for lot in 1..=self.births.len() as i64 {
                if self.has_ended(lot) {
                    let takes_held = self.forfeits_held;
                    self.set(
                        |token| {
                            token.lot == lot
                                && (token.state == State::Active || takes_held && token.state == State::Held)
                        },
                        State::Expired,
                    );
                }
            }
        }
    }

    fn free(&mut self, entry: i64) {
        self.holds.retain(|(held, _)| *held != entry);
        for index in 0..self.tokens.len() {
            let token = &self.tokens[index];
            if token.state == State::Held && token.by.is_some_and(|(by, _)| by == entry) {
                let back = if self.has_ended(token.lot) { State::Expired } else { State::Active };
                self.tokens[index].state = back;
            }
        }
        self.repay();
    }

    fn take(&mut self, units: i64, to: State, entry: i64) -> bool {
        let line = self.line();
        if (line.len() as i64) < units {
            return false;
        }
        for (place, index) in line.into_iter().take(units as usize).enumerate() {
            self.tokens[index].state = to;
            self.tokens[index].by = Some((entry, place));
        }
        true
    }
}

struct Pair {
    wallet: Wallet,
    model: Model,
    all: Vec<Entry>,
    spent_by: Vec<i64>,
    earned_by: Vec<(i64, i64)>,
}

impl Pair {
    fn new(forfeits_held: bool) -> Self {
        Self {
            wallet: Wallet { forfeits_held, ..Wallet::default() },
            model: Model { forfeits_held, ..Model::default() },
            all: Vec::new(),
            spent_by: Vec::new(),
            earned_by: Vec::new(),
        }
    }

    fn earn(&mut self, kind: EntryKind, units: i64, wait: Wait, ends: Option<Hour>) {
        let now = self.model.now;
        let activation = match wait {
            Wait::No => Activation::Done,
            Wait::Until(hour) => Activation::At(at(hour)),
            Wait::ForDelivery(hour) => Activation::On { event: "delivered".to_owned(), cancel_at: Some(at(hour)) },
        };
        let entry = self.wallet.earn(kind, units, activation, ends.map(at), at(now)).unwrap().clone();
        let lot = entry.movement.dates[0].lot;
        self.earned_by.push((entry.no, lot));
        let starts = if let Wait::Until(hour) = wait { hour } else { now };
        self.model.births.push(Birth { starts, ends, wait });
        assert_eq!(lot, self.model.births.len() as i64);
        let state = if wait == Wait::No { State::Active } else { State::Pending };
        self.model.tokens.extend((0..units).map(|_| Token { lot, state, by: None }));
        self.model.repay();
    }

    fn spend(&mut self, kind: EntryKind, units: i64) -> bool {
        let available = self.model.count(State::Active) - self.model.debt;
        match self.wallet.spend(kind, units, at(self.model.now)) {
            Ok(entry) => {
                let no = entry.no;
                self.spent_by.push(no);
                assert!(self.model.take(units, State::Spent, no), "the model has less");
                true
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NotEnough { available });
                assert!(available < units);
                false
            }
        }
    }

    /// Where the two stand must be the same; and the wallet must be what its entries tell.
    fn compare(&mut self) {
        self.wallet.tick(at(self.model.now)).unwrap();
        let Totals { active, pending, held, spent, expired, cancelled, debt } = self.wallet.totals;
        let real = [pending, active, held, spent, expired, cancelled];
        assert_eq!(real, std::array::from_fn(|i| self.model.count(State::ALL[i])), "{:?}", self.wallet.entries.last());
        assert_eq!(debt, self.model.debt);
        assert!(debt == 0 || active == 0, "who owes has nothing");
        for lot in &self.wallet.lots {
            for state in State::ALL {
                let of_lot = |token: &&Token| token.lot == lot.no() && token.state == *state;
                assert_eq!(lot.in_state(*state), self.model.tokens.iter().filter(of_lot).count() as i64, "{lot:?}");
            }
        }
        self.all.append(&mut self.wallet.entries);
    }

    fn tell_again(&self) {
        let mut again = Wallet::default();
        for (index, entry) in self.all.iter().enumerate() {
            assert_eq!(entry.no, index as i64 + 1);
            let kept = serde_json::to_string(&entry.movement).unwrap();
            again.apply(&serde_json::from_str(&kept).unwrap()).unwrap();
        }
        assert_eq!(again.totals, self.wallet.totals);
        assert_eq!(again.lots, self.wallet.lots);
        let sum: i64 = self.all.iter().map(|entry| entry.movement.units()).sum();
        assert_eq!(sum, self.wallet.totals.balance(), "the balance is the sum of all entries");
    }
}

fn operate(pairs: &mut [Pair], chance: &mut StdRng) -> &'static str {
    let index = chance.random_range(0..pairs.len());
    let count = pairs.len();
    let pair = &mut pairs[index];
    let now = pair.model.now;
    let units = chance.random_range(1..=12);
    match chance.random_range(0..100) {
        0..25 => {
            let wait = match chance.random_range(0..4) {
                0 => Wait::Until(now + chance.random_range(1..40)),
                1 => Wait::ForDelivery(now + chance.random_range(1..40)),
                _ => Wait::No,
            };
            // An end that pending units reach before they begin is one too.
            let ends = chance.random_bool(0.7).then(|| now + chance.random_range(1..90));
            pair.earn(EntryKind::Earned, units, wait, ends);
            "earn"
        }
        25..45 => {
            pair.spend(EntryKind::Spent, units);
            "spend"
        }
        45..53 => {
            let until = now + chance.random_range(1..24);
            let no = pair.wallet.head_no + 1;
            if pair.wallet.hold(units, at(until), at(now)).is_ok() {
                assert!(pair.model.take(units, State::Held, no));
                pair.model.holds.push((no, until));
            } else {
                assert!(pair.model.count(State::Active) < units);
            }
            "hold"
        }
        53..59 => {
            let Some((hold, _)) = pair.model.holds.choose(chance).copied() else { return "nothing held" };
            let held = |token: &&mut Token| token.state == State::Held && token.by.is_some_and(|(by, _)| by == hold);
            let mut tokens: Vec<&mut Token> = pair.model.tokens.iter_mut().filter(held).collect();
            tokens.sort_by_key(|token| token.by);
            match pair.wallet.capture(hold, units, at(now)) {
                Ok(entry) => {
                    let no = entry.no;
                    for (place, token) in tokens.into_iter().take(units as usize).enumerate() {
                        (token.state, token.by) = (State::Spent, Some((no, place)));
                    }
                    pair.spent_by.push(no);
                    pair.model.free(hold);
                }
                Err(refusal) => assert_eq!(refusal, Refusal::HeldLess { held: tokens.len() as i64 }),
            }
            "capture"
        }
        59..62 => {
            let Some((hold, _)) = pair.model.holds.choose(chance).copied() else { return "nothing held" };
            assert!(pair.wallet.release(hold, at(now)).unwrap().is_some());
            assert!(pair.wallet.release(hold, at(now)).unwrap().is_none(), "once");
            pair.model.free(hold);
            "release"
        }
        62..72 => {
            let Some(entry) = pair.spent_by.choose(chance).copied() else { return "nothing spent" };
            pair.compare();
            let of = |entry: &Entry| entry.movement.clone();
            let spent = pair.all.iter().find(|one| one.no == entry).map(of).unwrap();
            let back: Vec<Movement> =
                pair.all.iter().filter(|one| one.movement.reverses == Some(entry)).map(of).collect();
            let left = left_of(&spent, &back);
            let late = if chance.random_bool(0.5) { Restore::Forfeit } else { Restore::Until(at(now + 30)) };
            let mine = |token: &Token| token.state == State::Spent && token.by.is_some_and(|(by, _)| by == entry);
            let mut indices: Vec<usize> =
                (0..pair.model.tokens.len()).filter(|i| mine(&pair.model.tokens[*i])).collect();
            indices.sort_by_key(|i| std::cmp::Reverse(pair.model.tokens[*i].by));
            match pair.wallet.restore(entry, &left, units, late, at(now)) {
                Ok(_) => {
                    let mut revived = Vec::new();
                    for index in indices.into_iter().take(units as usize) {
                        let lot = pair.model.tokens[index].lot;
                        let to = match (pair.model.has_ended(lot), late) {
                            (true, Restore::Forfeit) => State::Expired,
                            (true, Restore::Until(_)) => {
                                revived.push(lot);
                                State::Active
                            }
                            (false, _) => State::Active,
                        };
                        (pair.model.tokens[index].state, pair.model.tokens[index].by) = (to, None);
                    }
                    for lot in revived {
                        pair.model.births[lot as usize - 1].ends = Some(now + 30);
                    }
                    pair.model.repay();
                }
                Err(refusal) => assert_eq!(refusal, Refusal::NotEnough { available: indices.len() as i64 }),
            }
            "restore"
        }
        72..80 => {
            let Some((entry, lot)) = pair.earned_by.choose(chance).copied() else { return "nothing earned" };
            let reach = *[TakeBack::OnlyPending, TakeBack::WithinBalance, TakeBack::Unlimited].choose(chance).unwrap();
            pair.wallet.take_back(entry, &[lot], units, reach, at(now)).unwrap();
            let mut left = units;
            let own = |state: State| move |token: &Token| token.lot == lot && token.state == state;
            let mut cancel = |tokens: &mut Vec<Token>, indices: Vec<usize>| {
                for index in indices {
                    if left > 0 {
                        tokens[index].state = State::Cancelled;
                        left -= 1;
                    }
                }
            };
            let tokens = &mut pair.model.tokens;
            let pending = (0..tokens.len()).filter(|i| own(State::Pending)(&tokens[*i])).collect();
            cancel(tokens, pending);
            if reach != TakeBack::OnlyPending {
                let active = (0..tokens.len()).filter(|i| own(State::Active)(&tokens[*i])).collect();
                cancel(tokens, active);
                let line = pair.model.line();
                cancel(&mut pair.model.tokens, line);
            }
            if reach == TakeBack::Unlimited {
                pair.model.debt += left;
            }
            "take back"
        }
        80..83 => {
            pair.wallet.activate("delivered", None, Some(at(now + 50)), at(now)).unwrap();
            for lot in 1..=pair.model.births.len() as i64 {
                let waits = |token: &Token| token.lot == lot && token.state == State::Pending;
                if matches!(pair.model.birth(lot).wait, Wait::ForDelivery(_)) && pair.model.tokens.iter().any(waits) {
                    pair.model.set(waits, State::Active);
                    pair.model.births[lot as usize - 1] = Birth { starts: now, ends: Some(now + 50), wait: Wait::No };
                }
            }
            pair.model.repay();
            "activate"
        }
        83..85 => {
            pair.wallet.extend(at(now + 60), at(now)).unwrap();
            for lot in 1..=pair.model.births.len() as i64 {
                let is_active = pair.model.tokens.iter().any(|token| token.lot == lot && token.state == State::Active);
                let birth = &mut pair.model.births[lot as usize - 1];
                birth.ends = birth.ends.map(|end| if is_active { end.max(now + 60) } else { end });
            }
            "extend"
        }
        85..87 => {
            pair.wallet.charge(EntryKind::Adjusted, units, at(now)).unwrap();
            let there = units.min(pair.model.count(State::Active));
            assert!(pair.model.take(there, State::Spent, -1));
            pair.model.debt += units - there;
            "charge"
        }
        87..91 => {
            if count > 1 && pair.spend(EntryKind::Converted, units) {
                pairs[(index + 1) % count].earn(EntryKind::Converted, units * 2, Wait::No, Some(now + 70));
            }
            "convert"
        }
        _ => {
            let hours = chance.random_range(1..30);
            pairs.iter_mut().for_each(|pair| pair.model.pass_hours(hours));
            "wait"
        }
    }
}

#[test]
fn random_operations_leave_a_wallet_where_the_model_is() {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is the caller's choice")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let operations = number("LEDGER_OPERATIONS").unwrap_or(50_000);
    #[expect(clippy::disallowed_methods, reason = "another seed in each run, printed")]
    let chance = || u64::from(rand::random::<u32>());
    let first = number("LEDGER_SEED").unwrap_or_else(chance);
    println!("ledger model: LEDGER_SEED={first} LEDGER_OPERATIONS={operations}");
    let mut done = std::collections::BTreeMap::<&str, u64>::new();
    let mut seed = first;
    while done.values().sum::<u64>() < operations {
        let mut chance = StdRng::seed_from_u64(seed);
        let count = if seed % 2 == 0 { 1 } else { chance.random_range(3..=4) };
        let forfeits_held = chance.random_bool(0.5);
        let mut pairs: Vec<Pair> = (0..count).map(|_| Pair::new(forfeits_held)).collect();
        for _ in 0..150 {
            *done.entry(operate(&mut pairs, &mut chance)).or_default() += 1;
            pairs.iter_mut().for_each(Pair::compare);
        }
        pairs.iter().for_each(Pair::tell_again);
        seed += 1;
    }
    println!("ledger model: {done:?}");
}
