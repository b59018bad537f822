//! What the clock does to wallets and tiers: activations, expiries, holds that are over, tiers that end. Whoever was away for a
//! week finds the same as whoever was there: everything has its own time.

use chrono::TimeDelta;

use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::loyalty::wallet_type::{AtClose, WalletRules};
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::{App, Problem};
use crate::store::{program_rules, wallets};

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

/// Wallets that are told together when their kind closes.
const TOLD: i64 = 200;

/// Tells some wallets when their kind closes, because that changed. `false`: all know.
pub async fn tell_some(app: &App) -> Result<bool, Problem> {
    let Some(kind) = program_rules::find_untold(&mut app.db.read().await?.conn()).await? else { return Ok(false) };
    let (brand, id) = (kind.brand_id, kind.wallet_type_id);
    let rules = WalletRules::read(&kind.spec);
    if let Err(fault) = &rules {
        tracing::error!("wallet_types {id}: {}: {fault}; its wallets are not told when it closes", fault.pointer);
    }
    let closes_at = rules.ok().and_then(|rules| rules.closes_at.filter(|_| rules.at_close != AtClose::Keep));
    let mut tx = app.db.begin().await?;
    let last = match closes_at {
        Some(at) => wallets::tell_kind(&mut tx.conn(), brand, id, kind.told_up_to, at, TOLD).await?,
        // One that does not close any more has nothing to do there, and finds so when its time comes.
        None => None,
    };
    if program_rules::go_on_telling(&mut tx.conn(), &kind, last).await? {
        tx.commit().await?;
    }
    Ok(true)
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
