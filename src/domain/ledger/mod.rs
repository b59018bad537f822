//! A wallet's ledger: lots of units, and the entries that move them. Pure: the clock and the database are somebody else's.
//!
//! Units are whole numbers of the smallest unit that the wallet type knows. An entry lists the slices of lots that it moved
//! from one state to another, so a later one can put them back where they came from; entries are never changed.

mod chain;
mod lot;
#[cfg(test)]
mod model;
mod wallet;

pub use chain::{Link, Source, link};
pub use lot::{Activation, Dates, Lot, Slice, State, spend_order};
pub use wallet::{
    Entry, EntryKind, Hold, MOVEMENT_MAX, Movement, Refusal, Restore, Sweep, TakeBack, Totals, Wallet, left_of,
};
