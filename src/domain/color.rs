//! A colour of a pass.

use std::fmt;
use std::str::FromStr;

/// Read from `#rrggbb`; each wallet writes it its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour such as #7a1f3d")]
pub struct BadColor;

impl Color {
    /// `rgb(122, 31, 61)`, the only form that Apple documents.
    pub fn to_rgb(self) -> String {
        format!("rgb({}, {}, {})", self.red, self.green, self.blue)
    }

    /// The contrast with `other` after WCAG 2: 1 for the same colour, 21 for black on white.
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let part = |value: u8| {
            let share = f64::from(value) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(self.red) + 0.7152 * part(self.green) + 0.0722 * part(self.blue)
    }
}

/// `#7a1f3d`, as Google and CSS want it.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

impl FromStr for Color {
    type Err = BadColor;

    fn from_str(text: &str) -> Result<Self, BadColor> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(BadColor)?;
        let mut bytes = [0u8; 3];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadColor)?;
        let [red, green, blue] = bytes;
        Ok(Self { red, green, blue })
    }
}

impl<'de> serde::Deserialize<'de> for Color {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_color_is_written_as_each_wallet_wants_it() {
        let wine: Color = "#7a1f3D".parse().unwrap();
        assert_eq!(wine.to_rgb(), "rgb(122, 31, 61)");
        assert_eq!(wine.to_string(), "#7a1f3d");
        for wrong in ["7a1f3d", "#7a1f3", "#7a1f3dff", "#7a1f3g", "red"] {
            assert_eq!(wrong.parse::<Color>(), Err(BadColor), "{wrong}");
        }
    }

    #[test]
    fn contrast_runs_from_one_to_twenty_one() {
        let (black, white) = ("#000000".parse::<Color>().unwrap(), "#ffffff".parse::<Color>().unwrap());
        assert!((black.contrast(white) - 21.0).abs() < 1e-9);
        assert!((white.contrast(white) - 1.0).abs() < 1e-9);
    }
}
