//! What a program promises, as values: kinds of wallets, what purchases earn, tiers, offers, and what applies to a basket.
//!
//! Each is written by the brand as JSON (a *spec*, kept as it was given) and read into rules that cannot be wrong.

pub mod best;
pub mod conversion;
pub mod counter;
pub mod earning;
pub mod offer;
pub mod refusal;
pub mod spec;
pub mod tier;
pub mod wallet_type;
