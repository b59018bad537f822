//! Quantities as the API writes them: decimal strings, kept as whole numbers of the smallest part. No binary fractions.

/// A decimal string that is no quantity here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a decimal string such as \"12.5\", with at most {scale} places and {MAX_DIGITS} digits")]
pub struct BadQuantity {
    pub scale: u8,
}

/// Digits in front of the point at most.
const MAX_DIGITS: usize = 12;

/// Reads `12`, `12.5` or `-3` as so many 10^-`scale`: no exponent, no sign but a minus, no more places than there are.
pub fn parse(text: &str, scale: u8) -> Result<i64, BadQuantity> {
    let bad = BadQuantity { scale };
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let is_good = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_pointed = digits.contains('.') && places.is_empty();
    if whole.is_empty() || whole.len() > MAX_DIGITS || places.len() > usize::from(scale) || is_pointed {
        return Err(bad);
    }
    if !is_good(whole) || !is_good(places) {
        return Err(bad);
    }
    let padded = format!("{whole}{places:0<width$}", width = usize::from(scale));
    let number: i64 = padded.parse().map_err(|_| bad)?;
    Ok(if is_negative { -number } else { number })
}

/// The shortest decimal string of so many 10^-`scale`.
pub fn text(number: i64, scale: u8) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, places) = digits.split_at_checked(digits.len() - usize::from(scale)).unwrap_or((&digits, ""));
    let places = places.trim_end_matches('0');
    if places.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{places}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_and_writes_exactly() {
        for (given, scale, number, written) in [
            ("12", 0, 12, "12"),
            ("12.5", 3, 12_500, "12.5"),
            ("0.001", 3, 1, "0.001"),
            ("-3", 2, -300, "-3"),
            ("-0.5", 1, -5, "-0.5"),
            ("007", 0, 7, "7"),
            ("999999999999", 3, 999_999_999_999_000, "999999999999"),
        ] {
            assert_eq!(parse(given, scale), Ok(number), "{given}");
            assert_eq!(text(number, scale), written);
        }
        for wrong in ["", "-", ".5", "5.", "1e3", "+1", "1,5", "1.25", " 1", "1234567890123", "NaN", "--1", "1.-"] {
            assert_eq!(parse(wrong, 1), Err(BadQuantity { scale: 1 }), "{wrong}");
        }
    }
}
