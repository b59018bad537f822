//! The chain of a wallet's entries: each holds a digest of itself and of the one before, so that none can be changed, left
//! out or added later without all that follow telling. Only ids, times and amounts are in it: erasing a person breaks
//! nothing.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::lot::Activation;
use super::wallet::Movement;
use crate::domain::ids::WalletId;

/// What an entry came of: an order, a redemption, an adjustment …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    pub id: Uuid,
}

/// SHA-256 over an entry and the link before it; zeros before the first.
pub type Link = [u8; 32];

/// The link of entry `no` of a wallet.
pub fn link(
    before: &Link,
    wallet: WalletId,
    no: i64,
    kind: &str,
    movement: &Movement,
    source: Option<Source>,
    at: DateTime<Utc>,
) -> Link {
    let mut digest = Sha256::new();
    let number = |digest: &mut Sha256, number: i64| digest.update(number.to_be_bytes());
    let count = |digest: &mut Sha256, count: usize| digest.update((count as u64).to_be_bytes());
    let text = |digest: &mut Sha256, text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    let time = |digest: &mut Sha256, at: Option<DateTime<Utc>>| {
        digest.update(at.map_or(i64::MIN, |at| at.timestamp_micros()).to_be_bytes());
    };
    digest.update(b"passarela ledger 1");
    digest.update(before);
    digest.update(wallet.uuid());
    number(&mut digest, no);
    text(&mut digest, kind);
    time(&mut digest, Some(at));
    digest.update(source.map_or(Uuid::nil(), |source| source.id));
    number(&mut digest, movement.debt);
    number(&mut digest, movement.reverses.unwrap_or(0));
    number(&mut digest, movement.hold.unwrap_or(0));
    time(&mut digest, movement.hold_until);
    count(&mut digest, movement.slices.len());
    for slice in &movement.slices {
        number(&mut digest, slice.lot);
        text(&mut digest, slice.from.map_or("", |from| from.as_str()));
        text(&mut digest, slice.to.as_str());
        number(&mut digest, slice.units);
    }
    count(&mut digest, movement.dates.len());
    for dates in &movement.dates {
        number(&mut digest, dates.lot);
        time(&mut digest, Some(dates.starts_at));
        time(&mut digest, dates.expires_at);
        match &dates.activation {
            Activation::Done => digest.update([0]),
            Activation::At(at) => {
                digest.update([1]);
                time(&mut digest, Some(*at));
            }
            Activation::On { event, cancel_at } => {
                digest.update([2]);
                text(&mut digest, event);
                time(&mut digest, *cancel_at);
            }
        }
    }
    digest.finalize().into()
}
