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
    /// What a device that says this has heard of: nothing, when it says nothing or something that we never said. No epoch
    /// is 0, so it is told everything.
    pub fn asked(tag: Option<&str>) -> Self {
        tag.and_then(|tag| tag.parse().ok()).unwrap_or(Self { epoch: 0, n: 0 })
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
    fn what_we_never_said_is_no_tag() {
        let cases = [
            (Some("1700000000.17"), Tag { epoch: 1_700_000_000, n: 17 }),
            (None, Tag { epoch: 0, n: 0 }),
            (Some("17"), Tag { epoch: 0, n: 0 }),
            (Some(""), Tag { epoch: 0, n: 0 }),
            (Some("1700000000.-1"), Tag { epoch: 0, n: 0 }),
            (Some("1700000000.+1"), Tag { epoch: 0, n: 0 }),
            (Some("1700000000.99999999999999999999"), Tag { epoch: 0, n: 0 }),
            (Some("2026-11-22T10:00:00Z"), Tag { epoch: 0, n: 0 }),
        ];
        for (said, tag) in cases {
            assert_eq!(Tag::asked(said), tag, "{said:?}");
        }
    }

    #[test]
    fn a_tag_reads_back() {
        let tag = Tag { epoch: 1_700_000_000, n: 7 };
        assert_eq!(tag.to_string().parse(), Ok(tag));
    }
}
