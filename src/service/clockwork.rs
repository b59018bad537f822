//! What the clock does to wallets and tiers: activations, expiries, holds that are over, tiers that end. Whoever was away for a
//! week finds the same as whoever was there: everything has its own time.

use crate::domain::ids::{BrandId, CustomerId};
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::{App, Problem};
use crate::store::wallets;

/// Customers that are looked at together.
const BATCH: i64 = 100;

/// The brand after `after` in which something is due.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(wallets::next_brand_due(&mut app.db.read().await?.conn(), after, app.clock.now()).await?)
}

/// The brand's customers for whom something is due, those that wait longest first.
pub async fn list_due(app: &App, brand: BrandId) -> Result<Vec<CustomerId>, Problem> {
    Ok(wallets::list_due(&mut app.db.read().await?.conn(), brand, app.clock.now(), BATCH).await?)
}

/// Does what is due for one customer.
pub async fn tick(app: &App, brand: BrandId, customer: CustomerId) -> Result<(), Problem> {
    let mut tx = app.db.begin().await?;
    let mut book = Book::open(app, &mut tx.conn(), brand, customer, Place::default()).await?;
    let now = book.now;
    for member in &mut book.members {
        member.tick(app, now)?;
    }
    let is_changed = book.close(app, &mut tx.conn()).await?;
    tx.commit().await?;
    if is_changed {
        app.changed.notify_one();
    }
    Ok(())
}
