//! Money in a currency's smallest unit.

use iso_currency::Currency;

/// An amount: 12,50 reais is 1250 BRL. Signed, because goods come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

/// Amounts of one movement at most: sums of thousands of them fit.
pub const MINOR_MAX: i64 = 1_000_000_000_000;

impl Money {
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Minor units in a major one: 100 for BRL, 1 for JPY.
    pub fn minor_per_major(currency: Currency) -> i64 {
        10_i64.pow(currency.exponent().map_or(2, u32::from).min(4))
    }

    /// `None`: another currency, or too much.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let minor = (self.currency == other.currency).then(|| self.minor.checked_add(other.minor)).flatten()?;
        Some(Self { minor, ..self })
    }
}
