//! Dictionaries: what keys an object of somebody else's format may have, and of what shape. Apple's and Google's are tables of
//! this one form; they serve whoever writes a pass (templates may give only what stands there), whoever reads one
//! (`pass verify`), and the designer's guide.

mod check;
mod table;

pub use table::table;

pub use check::{check, coerce, is_moment, read_moment};

use crate::wallet::fault::Consequence;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    /// Looked up in `pass.strings`.
    Localized,
    Number,
    /// A whole number within bounds.
    Integer(i64, i64),
    Bool,
    /// A date and time with a zone, without fractions.
    Moment,
    /// `rgb(r, g, b)`.
    Color,
    /// An absolute address.
    Url,
    Word(&'static [&'static str]),
    /// So many at most.
    List(&'static Self, usize),
    Object(&'static [Key]),
    /// A field's value: text, number or moment.
    Scalar,
    /// Whatever an app understands.
    Any,
}

/// Who gives a key of a pass that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Giver {
    /// The house: identity, addresses, secrets. A template cannot touch it.
    House,
    /// What the template says for all wallets; its table for one wallet cannot.
    Neutral,
    /// What the template says for all wallets, unless its table for one wallet says otherwise.
    Either,
    /// The template's table for one wallet, alone.
    Own,
}

/// One key of an object.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub giver: Giver,
    pub is_required: bool,
    /// The first release that knows it; empty for what was always there.
    pub since: &'static str,
    /// What a phone makes of a value of another shape.
    pub consequence: Consequence,
}

/// A key that a template's table for one wallet gives, and that a phone leaves out when it is wrong.
pub const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, giver: Giver::Own, is_required: false, since: "", consequence: Consequence::Ignored }
}

impl Key {
    pub const fn required(self) -> Self {
        Self { is_required: true, consequence: Consequence::Refused, ..self }
    }

    pub const fn refuses(self) -> Self {
        Self { consequence: Consequence::Refused, ..self }
    }

    pub const fn since(self, since: &'static str) -> Self {
        Self { since, ..self }
    }

    pub const fn by(self, giver: Giver) -> Self {
        Self { giver, ..self }
    }
}
