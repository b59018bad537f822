//! The reads that phones cause by the thousand at once.

use crate::domain::ids::{BrandId, PassId};
use crate::service::gather::{Gather, Lookup};
use crate::store::Conn;
use crate::store::devices::{self, AskedSince, Updated};
use crate::store::publication::{self, AppleContent, ServedState};

#[derive(Default)]
pub struct Reads {
    /// By pass type and serial.
    pub served: Gather<ServedLookup>,
    pub contents: Gather<ContentLookup>,
    pub updated: Gather<UpdatedLookup>,
}

pub struct ServedLookup;

impl Lookup for ServedLookup {
    type Key = (String, String);
    type Found = Option<ServedState>;

    async fn read(conn: &mut Conn<'_>, brand: BrandId, keys: &[Self::Key]) -> sqlx::Result<Vec<Self::Found>> {
        publication::find_served(conn, brand, keys).await
    }
}

pub struct ContentLookup;

impl Lookup for ContentLookup {
    type Key = PassId;
    type Found = Option<AppleContent>;

    async fn read(conn: &mut Conn<'_>, brand: BrandId, keys: &[PassId]) -> sqlx::Result<Vec<Self::Found>> {
        publication::find_apple(conn, brand, keys).await
    }
}

pub struct UpdatedLookup;

impl Lookup for UpdatedLookup {
    type Key = AskedSince;
    type Found = Vec<Updated>;

    async fn read(conn: &mut Conn<'_>, brand: BrandId, keys: &[AskedSince]) -> sqlx::Result<Vec<Self::Found>> {
        devices::list_updated(conn, brand, keys).await
    }
}
