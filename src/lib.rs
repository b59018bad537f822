//! Passarela issues digital wallet passes and keeps them true.
//!
//! Arrows point one way: `main → cli → app → {http, worker} → service → {store, wallet, clients} → domain`.

pub mod app; // opens, starts and stops the whole service
pub mod cli; // the command line
pub mod clients; // calls to Apple and Google: our words out, our decision back
pub mod clock; // time, ids and chance, handed in
pub mod config; // settings: defaults, file, environment
pub mod domain; // values and pure rules
pub mod http; // the doors: requests to use cases and back
pub mod secret_file; // files that only their owner may read
pub mod service; // use cases: one function, one transaction
pub mod store; // all SQL, on both engines
pub mod telemetry; // logs and metrics
pub mod wallet; // designs, Apple bundles, Google objects: bytes in, bytes out
pub mod worker; // loops that call use cases
