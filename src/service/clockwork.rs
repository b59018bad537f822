//! What the clock does to wallets and tiers: activations, expiries, holds that are over, tiers that end. Whoever was away for a
//! week finds the same as whoever was there: everything has its own time.

use chrono::TimeDelta;

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

/// How long somebody waits whose wallets cannot be brought up to date.
const PUT_OFF: TimeDelta = TimeDelta::minutes(5);

/// Does what is due for one customer; one for whom it cannot be done is put off, so as to stand in nobody's way.
pub async fn tick_or_put_off(app: &App, brand: BrandId, customer: CustomerId) -> Result<(), Problem> {
    let outcome = tick(app, brand, customer).await;
    if outcome.as_ref().is_err_and(|problem| !matches!(problem, Problem::Busy | Problem::Unavailable(_))) {
        let now = app.clock.now();
        let mut tx = app.db.begin().await?;
        wallets::put_off(&mut tx.conn(), brand, customer, now, now + PUT_OFF).await?;
        tx.commit().await?;
    }
    outcome
}

/// Does what is due for one customer.
async fn tick(app: &App, brand: BrandId, customer: CustomerId) -> Result<(), Problem> {
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
