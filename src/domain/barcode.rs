//! Barcodes of a pass: which symbologies there are, and what each can hold.

use crate::domain::text::text_enum;

text_enum! {
    /// A symbology. The first four are drawn by every phone in use, the others from iOS 27 on.
    pub enum Symbology {
        Qr = "qr",
        Pdf417 = "pdf417",
        Aztec = "aztec",
        Code128 = "code128",
        Code39 = "code39",
        Codabar = "codabar",
        Ean13 = "ean13",
        /// Interleaved 2 of 5.
        I2of5 = "i2of5",
    }
}

/// Why a code cannot be drawn; the sentence follows the place of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    #[error("is empty")]
    Empty,
    #[error("has over {max} bytes")]
    TooLong { max: usize },
    #[error("holds a character that a {symbology} cannot")]
    Character { symbology: Symbology },
    #[error("must have an even number of digits")]
    OddDigits,
    #[error("must have 13 digits")]
    Length,
    #[error("ends with {found}, but its check digit is {expected}")]
    CheckDigit { found: u8, expected: u8 },
}

impl Symbology {
    /// Bytes that a scanner can still read from a phone's screen; the standards allow more.
    const fn max(self) -> usize {
        match self {
            Self::Qr | Self::Aztec | Self::Pdf417 => 1_000,
            Self::Code128 | Self::Code39 | Self::Codabar | Self::I2of5 => 80,
            Self::Ean13 => 13,
        }
    }

    /// Whether bars of this kind can carry `message`.
    pub fn check(self, message: &str) -> Result<(), BadMessage> {
        let only = |allowed: &dyn Fn(u8) -> bool| {
            let good = message.bytes().all(allowed);
            if good { Ok(()) } else { Err(BadMessage::Character { symbology: self }) }
        };
        if message.is_empty() {
            return Err(BadMessage::Empty);
        }
        if message.len() > self.max() && self != Self::Ean13 {
            return Err(BadMessage::TooLong { max: self.max() });
        }
        match self {
            Self::Qr | Self::Pdf417 | Self::Aztec => Ok(()),
            Self::Code128 => only(&|byte| byte.is_ascii()),
            Self::Code39 => {
                only(&|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" -.$/+%".contains(&byte))
            }
            Self::Codabar => only(&|byte| byte.is_ascii_digit() || b"-$:/.+ABCD".contains(&byte)),
            Self::I2of5 => {
                only(&|byte| byte.is_ascii_digit())?;
                if message.len().is_multiple_of(2) { Ok(()) } else { Err(BadMessage::OddDigits) }
            }
            Self::Ean13 => {
                only(&|byte| byte.is_ascii_digit())?;
                let (digits, check) = message.split_at_checked(12).ok_or(BadMessage::Length)?;
                let [found] = check.as_bytes() else { return Err(BadMessage::Length) };
                let (found, expected) = (found - b'0', ean13_check_digit(digits));
                if found == expected { Ok(()) } else { Err(BadMessage::CheckDigit { found, expected }) }
            }
        }
    }

    /// Whether phones before iOS 27 draw it.
    pub const fn is_classic(self) -> bool {
        matches!(self, Self::Qr | Self::Pdf417 | Self::Aztec | Self::Code128)
    }

    pub const fn is_square(self) -> bool {
        matches!(self, Self::Qr | Self::Aztec)
    }
}

/// The 13th digit for the first twelve (GS1 General Specifications, 7.9).
fn ean13_check_digit(digits: &str) -> u8 {
    let sum: u32 =
        digits.bytes().zip([1, 3].iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    u8::try_from((10 - sum % 10) % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbology_takes_what_it_can_draw() {
        let cases = [
            (Symbology::Qr, "olá ☕", None),
            (Symbology::Qr, "", Some(BadMessage::Empty)),
            (Symbology::Code128, "PADARIA-12", None),
            (Symbology::Code128, "olá", Some(BadMessage::Character { symbology: Symbology::Code128 })),
            (Symbology::Code39, "AB 12", None),
            (Symbology::Code39, "ab", Some(BadMessage::Character { symbology: Symbology::Code39 })),
            (Symbology::I2of5, "1234", None),
            (Symbology::I2of5, "123", Some(BadMessage::OddDigits)),
            (Symbology::Codabar, "A123B", None),
            (Symbology::Ean13, "4006381333931", None),
            (Symbology::Ean13, "4006381333932", Some(BadMessage::CheckDigit { found: 2, expected: 1 })),
            (Symbology::Ean13, "40063813339", Some(BadMessage::Length)),
            (Symbology::Ean13, "40063813339312", Some(BadMessage::Length)),
        ];
        for (symbology, message, fault) in cases {
            assert_eq!(symbology.check(message).err(), fault, "{symbology} {message}");
        }
        assert_eq!(Symbology::Code128.check(&"1".repeat(81)), Err(BadMessage::TooLong { max: 80 }));
    }
}
