//! Apple's dictionary of `pass.json`: every key with its shape.
//!
//! Source: Apple, Wallet Passes, "Pass" and the pages it links to, edition of 2026 (iOS 27).

mod fields;
mod semantics;
mod top;

pub use fields::{AREAS, FIELD, STYLE};
pub use semantics::SEMANTICS;
pub use top::{EVENT_LINKS, PASS, STYLES};
