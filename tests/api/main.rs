//! The whole service over HTTP, each test on both engines.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]

#[path = "../helpers/app.rs"]
mod app;
#[path = "../helpers/apple.rs"]
mod apple;
#[path = "../helpers/bundle.rs"]
mod bundle;
#[path = "../helpers/cloud.rs"]
mod cloud;
#[path = "../helpers/engine.rs"]
mod engine;
#[path = "../helpers/firebase.rs"]
mod firebase;
#[path = "../helpers/google.rs"]
mod google;
#[path = "../formats/schema.rs"]
mod schema;
#[path = "../helpers/server.rs"]
mod server;

mod add_page;
mod apple_web_service;
mod apps;
mod bodies;
mod certificates;
mod conversions;
mod customers;
mod demo;
mod google_wallet;
mod idempotency;
mod imports;
mod lifecycle;
mod offline;
mod openapi;
mod passes;
mod publishing;
mod pushes;
mod race;
mod registers;
mod rewards;
mod roles;
mod rollouts;
#[path = "../store/mod.rs"]
mod store;
mod templates;
mod till;
mod told;
mod trips;
