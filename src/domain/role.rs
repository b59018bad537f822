//! Who may do what: the roles of API keys.

use crate::domain::text::text_enum;

text_enum! {
    /// What an API key may do. A key has one role; a route lists the roles it serves.
    pub enum Role {
        /// Everything of its brand, keys included.
        Admin = "admin",
        /// Issues and changes passes, customers and members.
        Issuer = "issuer",
        /// A till, bound to one store.
        Pos = "pos",
        /// Segments, campaigns, reports.
        Marketing = "marketing",
        /// A Bluetooth gateway, bound to one store.
        Gateway = "gateway",
        /// The brand's own app server, acting for customers.
        App = "app",
        /// Reads and nothing else.
        Reader = "reader",
    }
}

impl Role {
    /// Whether a key of this role must name the store it stands in.
    pub const fn needs_store(self) -> bool {
        matches!(self, Self::Pos | Self::Gateway)
    }
}
