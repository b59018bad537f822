//! Looking at what is to be told, and asking for it again.

use uuid::Uuid;

use crate::domain::delivery::{Channel, DeliveryState, Destination};
use crate::domain::ids::BrandId;
use crate::domain::pass::Lane;
use crate::service::{App, Problem};
use crate::store::brands;
use crate::store::outbox::{self, Delivery, Waiting};

pub async fn list(
    app: &App,
    brand: BrandId,
    channel: Channel,
    state: Option<DeliveryState>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Delivery>, Problem> {
    Ok(outbox::list(&mut app.db.read().await?.conn(), brand, channel, state, after, limit).await?)
}

/// What waits on a channel, of all brands together; counts stop at some thousands a brand.
pub async fn count_waiting(app: &App, channel: Channel) -> Result<Waiting, Problem> {
    /// Rows of a brand that are counted.
    const COUNTED: i64 = 10_000;
    let mut reader = app.db.read().await?;
    let mut all = Waiting { open: 0, oldest: None, parked: 0 };
    for brand in brands::list(&mut reader.conn()).await? {
        let waiting = outbox::count_waiting(&mut reader.conn(), brand.id, channel, COUNTED).await?;
        all.open += waiting.open;
        all.parked += waiting.parked;
        all.oldest = [all.oldest, waiting.oldest].into_iter().flatten().min();
    }
    Ok(all)
}

/// How long what waits on a lane of a channel has waited, of all brands together; in seconds.
pub async fn age(app: &App, channel: Channel, lane: Lane) -> Result<f64, Problem> {
    let oldest = outbox::oldest_waiting(&mut app.db.read().await?.conn(), channel, lane).await?;
    Ok(oldest.map_or(0.0, |oldest| (app.clock.now() - oldest).as_seconds_f64().max(0.0)))
}

/// Makes a delivery due now that waits or was given up; one with nothing to tell stays as it is.
pub async fn retry(app: &App, brand: BrandId, destination: Destination) -> Result<Delivery, Problem> {
    let id = destination.uuid();
    let mut tx = app.db.begin().await?;
    for channel in destination.channels() {
        outbox::retry(&mut tx.conn(), brand, *channel, id, app.clock.now()).await?;
        if let Some(row) = outbox::find(&mut tx.conn(), brand, *channel, id).await? {
            tx.commit().await?;
            app.wake_dispatchers();
            return Ok(row);
        }
    }
    Err(Problem::NotFound { what: "delivery" })
}

/// The same for every delivery of a channel that was given up; how many.
pub async fn retry_parked(app: &App, brand: BrandId, channel: Channel) -> Result<u64, Problem> {
    /// Rows of one transaction at most.
    const BATCH: i64 = 200;
    let (mut count, mut after) = (0, None);
    loop {
        let page = list(app, brand, channel, Some(DeliveryState::Parked), after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.destination);
        let mut tx = app.db.begin().await?;
        for row in &page {
            let is_due = outbox::retry(&mut tx.conn(), brand, channel, row.destination, app.clock.now()).await?;
            count += u64::from(is_due);
        }
        tx.commit().await?;
        app.wake_dispatchers();
    }
}
