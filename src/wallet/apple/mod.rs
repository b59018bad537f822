//! Apple Wallet's bundles: `pass.json`, its strings, the manifest, its signature, the zip around them.

pub mod archive;
pub mod assets;
pub mod bundle;
pub mod certificates;
pub mod cms;
pub mod dev_ca;
pub mod dictionary;
pub mod field_text;
pub mod inspect;
pub mod nfc;
pub mod pass_json;
pub mod push_key;
pub mod renewal;
pub mod rules;
mod semantics;
pub mod several;
pub mod sign_up;
pub mod signer;
pub mod strings;
pub mod verify;
