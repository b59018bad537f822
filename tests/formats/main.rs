//! Apple bundles and Google objects, against independent readers and Google's own schema.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]

#[path = "../helpers/bundle.rs"]
mod bundle;

mod apple;
mod archive;
mod corpus;
mod design;
mod foreign;
mod google;
mod guide;
mod literal;
mod pass_json;
mod sample;
mod schema;
