//! What a pass platform is about, as values and pure functions: no HTTP, no SQL, no clock, no chance.

pub mod barcode;
pub mod breaker;
pub mod code;
pub mod color;
pub mod content;
pub mod delivery;
pub mod identifier;
pub mod ids;
pub mod job;
pub mod json;
pub mod locale;
pub mod notice;
pub mod pass;
pub mod role;
pub mod rollout;
pub mod rows;
pub mod secret;
pub mod shown;
pub mod silence;
pub mod tag;
pub mod text;
