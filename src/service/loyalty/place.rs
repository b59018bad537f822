//! Where something is done: a till in a store, or online.

use crate::domain::ids::StoreId;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::Problem;
use crate::service::keys::Caller;

/// Every movement names it.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub store: Option<StoreId>,
    pub terminal: Option<String>,
    pub employee: Option<Personal<String>>,
}

impl Place {
    /// What the caller's key says, or else the request; a till cannot speak for another store.
    pub fn of(
        caller: &Caller,
        store: Option<StoreId>,
        terminal: Option<String>,
        employee: Option<Personal<String>>,
    ) -> Result<Self, Problem> {
        if caller.key.store_id.is_some() && store.is_some() && caller.key.store_id != store {
            return Err(Problem::OtherStore);
        }
        Self::given(caller.key.store_id.or(store), caller.key.terminal.clone().or(terminal), employee)
    }

    /// What somebody says who may speak for any store.
    pub fn given(
        store: Option<StoreId>,
        terminal: Option<String>,
        employee: Option<Personal<String>>,
    ) -> Result<Self, Problem> {
        let line = |pointer: &'static str, value: &str| text::line(value, 64).map_err(Problem::text(pointer));
        Ok(Self {
            store,
            terminal: terminal.as_deref().map(|terminal| line("/terminal", terminal)).transpose()?,
            employee: employee.map(|employee| line("/employee", employee.reveal()).map(Personal::new)).transpose()?,
        })
    }

    /// In what a caller's own ids are unique: the store, or `online`.
    pub fn scope(&self) -> String {
        self.store.map_or_else(|| "online".to_owned(), |store| store.to_string())
    }
}
