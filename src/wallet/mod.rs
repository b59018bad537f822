//! Bytes in, bytes out: designs, Apple's bundles, Google's objects. No database, no network.

pub mod apple;
pub mod check;
pub mod design;
pub mod dictionary;
pub mod fault;
pub mod google;
pub mod key_tables;
pub mod keys;
pub mod offline;
pub mod preview;
pub mod render;
mod zips;
