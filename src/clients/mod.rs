//! Calls to the services of others: their addresses and credentials in, our decision out. Knows nothing of the database.

pub mod apns;
pub mod fcm;
pub mod google_auth;
pub mod google_wallet;
pub mod http;
