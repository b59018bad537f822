//! Calls to the services of others: their addresses and credentials in, our decision out. Knows nothing of the database.

pub mod apns;
pub mod http;
