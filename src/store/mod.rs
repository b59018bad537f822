//! All SQL. A function here is one statement (or a few that belong together) on a connection that the caller owns;
//! it takes `brand_id` first, because every table leads with it.

pub mod app_devices;
pub mod backup;
pub mod brands;
pub mod customers;
pub mod db;
pub mod devices;
pub mod events;
pub mod google;
pub mod idempotency;
pub mod imports;
pub mod installation;
pub mod jobs;
pub mod keys;
pub mod logs;
pub mod members;
pub mod notices;
pub mod outbox;
pub mod passes;
pub mod programs;
pub mod publication;
pub mod pushes;
pub mod rollouts;
pub mod templates;

pub use db::{Conn, Db, Tx};
