//! The update tag of Apple's web service: what `lastUpdated` and `passesUpdatedSince` carry.

use std::fmt;
use std::str::FromStr;

/// `<epoch>.<n>`. `n` is a counter of the pass type that grows in the order of commits, so a tag is never ahead of a
/// change that has not been committed. The epoch is the second in which the database began or was restored: after a
/// restore the counter may repeat numbers that phones have already seen, and the new epoch makes those tags foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub epoch: i64,
    pub n: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tag that this service made")]
pub struct ForeignTag;

impl Tag {
    /// The `n` after which the device wants to hear. Zero, meaning everything, for a tag of another epoch or one that
    /// we have not handed out yet: telling too much is harmless, too little is not.
    pub fn since(asked: Option<&str>, current: Self) -> i64 {
        match asked.map(str::parse::<Self>) {
            Some(Ok(tag)) if tag.epoch == current.epoch && tag.n <= current.n => tag.n,
            Some(Ok(_) | Err(ForeignTag)) | None => 0,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.n)
    }
}

impl FromStr for Tag {
    type Err = ForeignTag;

    fn from_str(text: &str) -> Result<Self, ForeignTag> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse::<i64>().ok() } else { None }
        };
        let (epoch, n) = text.split_once('.').ok_or(ForeignTag)?;
        Ok(Self { epoch: number(epoch).ok_or(ForeignTag)?, n: number(n).ok_or(ForeignTag)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_hears_of_what_came_after_its_tag_and_of_everything_when_in_doubt() {
        let current = Tag { epoch: 1_700_000_000, n: 40 };
        let cases = [
            (Some("1700000000.17"), 17),
            (Some("1700000000.40"), 40),
            (None, 0),
            (Some("1700000000.41"), 0),
            (Some("1600000000.17"), 0),
            (Some("17"), 0),
            (Some(""), 0),
            (Some("1700000000.-1"), 0),
            (Some("1700000000.+1"), 0),
            (Some("1700000000.99999999999999999999"), 0),
            (Some("2026-11-22T10:00:00Z"), 0),
        ];
        for (asked, since) in cases {
            assert_eq!(Tag::since(asked, current), since, "{asked:?}");
        }
    }

    #[test]
    fn a_tag_reads_back() {
        let tag = Tag { epoch: 1_700_000_000, n: 7 };
        assert_eq!(tag.to_string().parse(), Ok(tag));
    }
}
