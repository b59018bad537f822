//! What people agree to: for a purpose, on a channel, by a decision that may be taken back at any time.

use super::text::text_enum;

text_enum! {
    pub enum ConsentState {
        Granted = "granted",
        Withdrawn = "withdrawn",
    }
}

text_enum! {
    /// How somebody may be reached for a purpose.
    pub enum Channel {
        /// Whatever there is: also of purposes that reach nobody.
        Any = "any",
        /// The pass itself.
        Wallet = "wallet",
        /// The brand's own app.
        App = "app",
        Email = "email",
        Sms = "sms",
        Whatsapp = "whatsapp",
        Phone = "phone",
        Post = "post",
    }
}

/// Characters of a purpose at most.
const PURPOSE_MAX: usize = 32;

/// Whether it may name a purpose: `marketing`, `location`, `profiling`.
pub fn is_purpose(word: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=PURPOSE_MAX).contains(&word.len()) && word.bytes().all(is_good)
}
