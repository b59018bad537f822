//! Time, ids and chance: the only place that asks the machine for any of them, so that a test can say what they are.

use chrono::{DateTime, SubsecRound, Utc};
use rand::RngCore;
use uuid::Uuid;

pub trait Clock: Send + Sync {
    /// Whole microseconds: the finest that both databases keep.
    fn now(&self) -> DateTime<Utc>;

    /// A UUIDv7: sortable by the time it was made.
    fn new_id(&self) -> Uuid;

    /// Fills `bytes` from a cryptographically secure generator.
    fn random(&self, bytes: &mut [u8]);
}

/// Serials, links and secrets: `[0-9A-Za-z]`, safe in a URL, a file name and a double click.
const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Lower-case Crockford base32: nothing that a person confuses when reading aloud.
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `length` letters and digits, each drawn evenly: 22 of them carry 130 bits, 43 carry 256.
pub fn random_alphanumeric(clock: &dyn Clock, length: usize) -> String {
    draw(clock, length, ALPHANUMERIC)
}

/// `length` characters of lower-case Crockford base32, 5 bits each.
pub fn random_crockford(clock: &dyn Clock, length: usize) -> String {
    draw(clock, length, CROCKFORD)
}

/// Rejection sampling: a byte past the last whole multiple of the alphabet would favour its first letters.
fn draw(clock: &dyn Clock, length: usize, alphabet: &[u8]) -> String {
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        clock.random(&mut bytes);
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let letters = drawn.filter_map(|byte| alphabet.get(byte % alphabet.len()));
        text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
    }
    text
}

/// The machine's own clock and generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_the_asked_length_and_alphabet() {
        for length in [1, 8, 22, 43, 200] {
            let text = random_alphanumeric(&SystemClock, length);
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        }
        assert!(random_crockford(&SystemClock, 300).bytes().all(|byte| CROCKFORD.contains(&byte)));
    }

    #[test]
    fn now_is_whole_microseconds() {
        assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
    }
}
