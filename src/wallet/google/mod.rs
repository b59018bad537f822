//! Google Wallet's classes and objects, as JSON. Sending them is a client's business.

pub mod loyalty;
