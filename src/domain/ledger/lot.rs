//! Lots: units that were earned together, where each of them is by now, and until when it may be spent.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::text::text_enum;

text_enum! {
    /// Where units are. They are somewhere for ever: what is spent, expired or cancelled stays in its lot.
    pub enum State {
        /// Earned, and not to be spent yet.
        Pending = "pending",
        Active = "active",
        /// Reserved for a basket.
        Held = "held",
        Spent = "spent",
        Expired = "expired",
        /// Taken back before anybody spent them.
        Cancelled = "cancelled",
    }
}

impl State {
    const fn index(self) -> usize {
        self as usize
    }
}

/// Units of one lot that an entry moved. `from` is `None` for units that came into the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub lot: i64,
    pub from: Option<State>,
    pub to: State,
    /// At least 1.
    pub units: i64,
}

/// As an array, because an entry may have many: `[lot, from, to, units]`.
impl Serialize for Slice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.lot, self.from, self.to, self.units).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lot, from, to, units) = Deserialize::deserialize(deserializer)?;
        Ok(Self { lot, from, to, units })
    }
}

/// When pending units become active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// They are.
    Done,
    At(DateTime<Utc>),
    /// When this happens; if it has not by `cancel_at`, never.
    On {
        event: String,
        cancel_at: Option<DateTime<Utc>>,
    },
}

/// What the calendar knows of a lot, at its birth and whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dates {
    pub lot: i64,
    /// Since when its units are active, or were earned while they are not: older ones are spent first.
    pub starts_at: DateTime<Utc>,
    pub activation: Activation,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Units that were earned together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    pub dates: Dates,
    units: [i64; State::ALL.len()],
}

impl Lot {
    pub const fn new(dates: Dates) -> Self {
        Self { dates, units: [0; State::ALL.len()] }
    }

    /// A lot as it was kept: units by state, in the order of [`State::ALL`].
    pub const fn kept(dates: Dates, units: [i64; State::ALL.len()]) -> Self {
        Self { dates, units }
    }

    pub const fn no(&self) -> i64 {
        self.dates.lot
    }

    pub fn in_state(&self, state: State) -> i64 {
        self.units.get(state.index()).copied().unwrap_or(0)
    }

    /// Whether anything may still become of its units without anybody taking something back.
    pub fn is_open(&self) -> bool {
        [State::Pending, State::Active, State::Held].into_iter().any(|state| self.in_state(state) > 0)
    }

    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.dates.expires_at.is_some_and(|end| end <= now)
    }

    /// Moves units; `None`: there are not so many in that state, or too many altogether.
    pub(super) fn shift(&mut self, from: Option<State>, to: State, units: i64) -> Option<()> {
        if units <= 0 {
            return None;
        }
        if let Some(from) = from {
            let place = self.units.get_mut(from.index())?;
            *place = place.checked_sub(units).filter(|left| *left >= 0)?;
        }
        let place = self.units.get_mut(to.index())?;
        *place = place.checked_add(units)?;
        Some(())
    }
}

/// What is spent first: what ends soonest, then what began earliest, then the older lot; what never ends comes last.
pub fn spend_order(one: &Lot, other: &Lot) -> Ordering {
    let key = |lot: &Lot| (lot.dates.expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC), lot.dates.starts_at, lot.no());
    key(one).cmp(&key(other))
}
