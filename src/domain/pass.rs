//! The life of a pass.

use crate::domain::text::text_enum;

text_enum! {
    /// Where a pass stands for the brand that issued it. Whether a phone holds it is another question
    /// (`held_on`): a voided pass can still be in somebody's wallet.
    pub enum PassStatus {
        Active = "active",
        /// Taken back: used up, replaced by a reissue, or the member left.
        Voided = "voided",
        /// Its time is over.
        Expired = "expired",
    }
}

impl PassStatus {
    /// Whether the wallet should show the pass as good.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Active)
    }
}

text_enum! {
    /// What kind of pass a template makes.
    pub enum PassKind {
        /// Apple's `storeCard`, Google's loyalty.
        Loyalty = "loyalty",
        /// Apple's `coupon`, Google's offer.
        Coupon = "coupon",
        /// Apple's `eventTicket`, Google's event ticket.
        Event = "event",
        /// Apple's `generic` (or what `[apple] style` names), Google's generic.
        Generic = "generic",
    }
}

text_enum! {
    /// In which order destinations are told.
    pub enum Lane {
        /// Somebody did something and looks at the phone.
        Interactive = "interactive",
        /// A roll-out; nobody waits.
        Bulk = "bulk",
    }
}

/// Whether this can be a pass type identifier: `pass.` and a reverse-DNS name.
pub fn is_pass_type(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.len() <= 128 && text.strip_prefix("pass.").is_some_and(|rest| rest.split('.').all(label))
}

/// Strictly later than `previous`, and not before `now`: HTTP dates have steps of one second, so two versions of a
/// pass within one second would otherwise share a `Last-Modified` and the second would never be fetched. Unix seconds.
pub fn next_last_modified(now: i64, previous: Option<i64>) -> i64 {
    previous.map_or(now, |previous| now.max(previous.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_type_is_a_name_and_no_path() {
        for good in ["pass.com.example.card", "pass.a", "pass.br.com.padaria-aurora"] {
            assert!(is_pass_type(good), "{good}");
        }
        for wrong in
            ["", "pass.", "card", "pass..a", "pass.a/../b", "pass.a b", "pass.á", &format!("pass.{}", "a".repeat(130))]
        {
            assert!(!is_pass_type(wrong), "{wrong}");
        }
    }

    #[test]
    fn last_modified_always_grows() {
        assert_eq!(next_last_modified(100, None), 100);
        assert_eq!(next_last_modified(100, Some(90)), 100);
        assert_eq!(next_last_modified(100, Some(100)), 101);
        assert_eq!(next_last_modified(100, Some(250)), 251);
    }
}
