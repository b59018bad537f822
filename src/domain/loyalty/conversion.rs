//! Units of one wallet that become units of another of the same program.

use serde::{Deserialize, Serialize};

use super::spec::{self, BadSpec};

/// As the brand writes it: every `units` give `gives` of the wallet `into`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversionSpec {
    into: String,
    units: String,
    gives: String,
}

impl ConversionSpec {
    /// `scale` is that of the wallet that is converted.
    pub fn read(&self, pointer: &str, scale: u8) -> Result<Conversion, BadSpec> {
        Ok(Conversion {
            into: spec::key(&format!("{pointer}/into"), &self.into)?,
            units: spec::units(&format!("{pointer}/units"), &self.units, scale, 1)?,
            gives_milli: spec::units(&format!("{pointer}/gives"), &self.gives, 3, 1)?,
        })
    }
}

/// Every `units` become so many thousandths of the program's wallet with this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The key of the wallet type.
    pub into: String,
    pub units: i64,
    pub gives_milli: i64,
}

impl Conversion {
    /// What `taken` units become in a wallet of this scale; a rest that makes no whole becomes nothing. `None`: what they give is
    /// no number of its smallest parts.
    pub fn gives(&self, taken: i64, scale: u8) -> Option<i64> {
        let part = 10_i64.checked_pow(3_u32.checked_sub(u32::from(scale))?)?;
        if self.gives_milli % part != 0 {
            return None;
        }
        let exact = i128::from(taken / self.units.max(1)) * i128::from(self.gives_milli / part);
        i64::try_from(exact).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_whole_parts_of_another_wallet() {
        for (taken, units, gives_milli, scale, expected) in [
            (25, 10, 3_000, 0, Some(6)),
            (25, 10, 1_500, 1, Some(30)),
            (25, 10, 1_500, 0, None),
            (9, 10, 1_000, 0, Some(0)),
            (i64::MAX, 1, 2_000, 0, None),
        ] {
            let conversion = Conversion { into: "points".to_owned(), units, gives_milli };
            assert_eq!(conversion.gives(taken, scale), expected, "{taken} {units} {gives_milli}");
        }
    }
}
