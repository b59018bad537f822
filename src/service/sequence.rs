//! Gives committed events their place in the brand's one order.

use crate::domain::ids::BrandId;
use crate::service::{App, Problem};
use crate::store::events::{self, Event};

/// Events that one transaction numbers at most.
const BATCH: i64 = 500;

/// The brand after `after` with events to number.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(events::next_unsequenced_brand(&mut app.db.read().await?.conn(), after).await?)
}

/// Numbers a batch of a brand's events; how many.
pub async fn sequence(app: &App, brand: BrandId) -> Result<u64, Problem> {
    let mut tx = app.db.begin().await?;
    let count = events::sequence(&mut tx.conn(), brand, BATCH).await?;
    tx.commit().await?;
    Ok(count)
}

/// Events after `since`, in order. A `since` that was not reached yet: 410.
pub async fn list_since(app: &App, brand: BrandId, since: i64, limit: i64) -> Result<Vec<Event>, Problem> {
    let mut reader = app.db.read().await?;
    if since > events::newest_seq(&mut reader.conn(), brand).await? {
        return Err(Problem::CursorGone);
    }
    Ok(events::list_since(&mut reader.conn(), brand, since, limit).await?)
}
