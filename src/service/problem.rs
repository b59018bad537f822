//! Everything that can be answered instead of success. The status and the stable code of each are in `http/problem.rs`.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::RedemptionId;
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::pass::PassKind;
use crate::domain::rollout::RolloutState;
use crate::domain::text::BadText;
use crate::wallet::design::Faults;

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("there is no {what} with this id")]
    NotFound { what: &'static str },
    #[error("there is nothing at this address")]
    NoSuchRoute,
    #[error("this address does not take the method {method}")]
    MethodNotAllowed { method: String, allowed: String },
    #[error("{detail}")]
    Invalid { pointer: Cow<'static, str>, detail: String },
    #[error("the body is not JSON: {detail}")]
    BadJson { detail: String },
    #[error("the file did not arrive whole")]
    CutOff,
    /// A line of a file that cannot be read.
    #[error("{detail}")]
    BadLine { detail: String },
    #[error("the body must be application/json")]
    UnsupportedMediaType,
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the request did not arrive in time")]
    TooSlow,
    #[error("a key is required: Authorization: Bearer psk_…")]
    KeyMissing,
    #[error("the key is not valid, or was revoked")]
    KeyUnknown,
    #[error("too many failed attempts from this address")]
    Throttled { retry_after_secs: u64 },
    #[error("a key with the role {role} may not do this")]
    RoleForbidden { role: &'static str },
    #[error("this key speaks for another store")]
    OtherStore,
    #[error("an Idempotency-Key is required: this moves units, and its body has no id of yours")]
    KeyRequired,
    /// What a till may not do, in its own language.
    #[error("{}", .0.sentence)]
    Refused(Box<Refused>),
    #[error("this {what} was made with other content")]
    OtherContent { what: &'static str },
    #[error("more than one customer is known by this; name one by its id")]
    AmbiguousCustomer,
    #[error("this external_id was used for something else")]
    ExternalIdTaken,
    #[error("another customer is known by this {kind}")]
    IdentifierTaken { kind: String },
    #[error("it was changed by somebody else since you read it")]
    VersionMismatch,
    #[error("changed_since is ahead of everything that happened: the database was restored; begin again with 0")]
    CursorGone,
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyKeyReused,
    #[error("a request with this Idempotency-Key is being carried out")]
    InFlight,
    #[error("the template cannot show this pass: {detail}")]
    TemplateRefused { detail: String },
    #[error("the body must be text/csv or application/x-ndjson")]
    NotRows,
    #[error("the body must be a zip, sent as application/zip")]
    NotAZip,
    #[error("the design has faults:\n{faults}")]
    DesignRefused { faults: Faults },
    #[error("the roll-out is {state}")]
    RolloutOver { state: RolloutState },
    #[error("there is no usable signing certificate for the pass type {pass_type}")]
    NoSigner { pass_type: String },
    #[error("the pass type is bound to another brand, or to this one already")]
    PassTypeTaken,
    #[error("this template's passes are of the pass type {pass_type}, and stay so")]
    PassTypeFixed { pass_type: String },
    #[error("this template makes passes of the kind {kind}, and stays so; give the design another name")]
    KindFixed { kind: PassKind },
    #[error("this pass cannot be added to Google Wallet: its brand has no account there")]
    NoGoogle,
    #[error("too much to do at this moment")]
    Busy,
    #[error("{running} imports are under way; at most {limit}, and {limit_mib} MiB of their files together, may be")]
    ImportsWaiting { running: i64, limit: i64, limit_mib: u64 },
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    #[error("there is no room left to store anything")]
    StorageFull(#[source] sqlx::Error),
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A refusal at the till, as it is answered and kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refused {
    pub code: RefusalCode,
    pub sentence: String,
    /// Which of what was asked for, from 0.
    pub index: Option<usize>,
    /// Who was first, when and where.
    pub redemption: Option<RedemptionId>,
    pub redeemed_at: Option<DateTime<Utc>>,
    pub redeemed_in: Option<String>,
    /// What may be spent.
    pub available: Option<String>,
}

impl Problem {
    pub fn invalid(pointer: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), detail: detail.into() }
    }

    /// For what our own data or code got wrong; the caller learns nothing of it.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// Trouble of the moment: the same request may do better in a while.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_) | Self::StorageFull(_) | Self::Internal(_))
    }

    /// A text of the request that [`crate::domain::text`] refused.
    pub fn text(pointer: &'static str) -> impl Fn(BadText) -> Self {
        move |error| Self::invalid(pointer, format!("{} {error}", pointer.trim_start_matches('/')))
    }
}

/// `SQLite` gives extended codes whose low byte is the kind; `PostgreSQL` gives five characters.
fn primary_code(code: &str) -> String {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => (number & 0xff).to_string(),
        _ => code.to_owned(),
    }
}

/// Trouble of the moment is told apart from our own defects, so that a client knows to come again.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            sqlx::Error::Database(cause) => match cause.code().as_deref().map(primary_code).as_deref() {
                // PostgreSQL: no row lock in time, serialisation, deadlock. SQLite: SQLITE_BUSY, SQLITE_LOCKED.
                Some("55P03" | "40001" | "40P01" | "5" | "6") => Self::Busy,
                // PostgreSQL: disk full, out of memory. SQLite: SQLITE_FULL.
                Some("53100" | "53200" | "13") => Self::StorageFull(error),
                // PostgreSQL: shutting down, starting up, too many connections, cancelled. SQLite: I/O error, cannot open.
                Some("57P01" | "57P02" | "57P03" | "53300" | "57014" | "25P03" | "10" | "14") => {
                    Self::Unavailable(error)
                }
                _ => Self::Internal(Box::new(error)),
            },
            _ => Self::Internal(Box::new(error)),
        }
    }
}
