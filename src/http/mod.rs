//! The doors: translate requests into use cases and their outcomes into answers. No rules here.

pub mod add_page;
pub mod apple_web_service;
pub mod auth;
pub mod badges;
pub mod bundle_body;
pub mod customers;
pub mod events;
pub mod extract;
pub mod health;
pub mod images;
pub mod keys;
pub mod measure;
pub mod openapi;
pub mod page;
pub mod passes;
pub mod preview;
pub mod problem;
pub mod programs;
pub mod rollouts;
pub mod routes;
pub mod templates;
pub mod unread;
pub mod upload;
