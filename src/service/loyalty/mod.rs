//! Members' wallets in use: the rules of their programs, made ready once, and the book that a use case opens, posts to and
//! closes.

pub mod book;
pub mod place;
pub mod rules;
pub mod shown;
