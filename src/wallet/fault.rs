//! One thing that is wrong with a pass, and what a phone makes of it.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Stable and short: `manifest-hash`, `signature`, …
    pub code: &'static str,
    pub detail: String,
    pub consequence: Consequence,
}

/// What a phone makes of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// The pass is not added, and an update of it is dropped.
    Refused,
    /// The pass is added, but never updated.
    NotUpdated,
    /// The pass is added without what the fault is about.
    Ignored,
    /// The pass is added, and looks worse than it could.
    Poor,
    /// The pass is added in its classic look instead of the newer one.
    Classic,
    /// The change is made without telling the holder.
    Silent,
}

impl Consequence {
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Refused => "the phone refuses the pass",
            Self::NotUpdated => "the pass is never updated",
            Self::Ignored => "the phone leaves it out",
            Self::Poor => "the phone shows it badly",
            Self::Classic => "the phone shows the classic look",
            Self::Silent => "the change is not announced",
        }
    }
}

impl Fault {
    pub fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), consequence: Consequence::Refused }
    }

    pub fn ignored(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), consequence: Consequence::Ignored }
    }

    pub fn poor(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), consequence: Consequence::Poor }
    }
}

/// The line of a report.
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.code, self.detail, self.consequence.sentence())
    }
}
