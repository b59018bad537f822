//! All SQL. A function here is one statement (or a few that belong together) on a connection that the caller owns;
//! it takes `brand_id` first, because every table leads with it.

pub mod app_devices;
pub mod audit;
pub mod backup;
pub mod books;
pub mod brands;
pub mod coupons;
pub mod customers;
pub mod db;
pub mod devices;
pub mod entries;
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
pub mod offers;
pub mod openings;
pub mod orders;
pub mod outbox;
pub mod passes;
pub mod program_rules;
pub mod programs;
pub mod publication;
pub mod pushes;
pub mod redemptions;
pub mod rollouts;
pub mod stores;
pub mod templates;
pub mod wallets;

pub use db::{Conn, Db, Tx};
