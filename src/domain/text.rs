//! Text that came from outside: bounded, without control characters; and enums that read as one word.

/// Why a text was refused; the sentence follows the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    #[error("must not be empty")]
    Empty,
    #[error("must not be longer than {max} characters")]
    TooLong { max: usize },
    #[error("must not contain control characters")]
    Control,
}

/// The text without blanks at its ends, when it has 1 to `max` characters and none that steer a terminal.
pub fn line(text: &str, max: usize) -> Result<String, BadText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadText::Empty);
    }
    if text.chars().count() > max {
        return Err(BadText::TooLong { max });
    }
    if text.chars().any(is_control) {
        return Err(BadText::Control);
    }
    Ok(text.to_owned())
}

/// Control characters, and the marks that turn the direction of the text around them.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of several lines from any system: its line ends (`\r\n`, `\r`, U+2028, U+2029) are `\n`. `None`: there is something
/// else in it that steers a terminal.
pub fn paragraphs(text: &str) -> Option<String> {
    let unified = if text.contains(['\r', '\u{2028}', '\u{2029}']) {
        text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n")
    } else {
        text.to_owned()
    };
    let is_plain = unified.chars().all(|c| !is_control(c) || matches!(c, '\n' | '\t'));
    is_plain.then_some(unified)
}

/// An enum whose variants are words, the same in the API, the database and the log.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::text::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::text::UnknownWord { allowed: &[$($word),+] }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::domain::text::UnknownWord;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_enum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", allowed.join(", "))]
pub struct UnknownWord {
    pub allowed: &'static [&'static str],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_bounded_and_plain() {
        assert_eq!(line("  Ana Souza ", 20), Ok("Ana Souza".to_owned()));
        assert_eq!(line("   ", 20), Err(BadText::Empty));
        assert_eq!(line("ação", 4), Ok("ação".to_owned()));
        assert_eq!(line("ações", 4), Err(BadText::TooLong { max: 4 }));
        assert_eq!(line("a\u{1b}[31m", 20), Err(BadText::Control));
        assert_eq!(line("a\u{202e}b", 20), Err(BadText::Control));
    }

    #[test]
    fn line_ends_of_every_system_are_one() {
        assert_eq!(paragraphs("a\r\nb\rc\u{2028}d\te").as_deref(), Some("a\nb\nc\nd\te"));
        assert_eq!(paragraphs("a\u{1b}b"), None);
    }
}
