//! From what is published to what the brand's app is to be told: which installations it concerns, and what they knew.

use std::collections::{BTreeMap, HashMap};

use crate::domain::delivery::Channel;
use crate::domain::ids::{BrandId, CustomerId, PassId};
use crate::domain::notice::{AppService, Known, Notice};
use crate::domain::pass::Lane;
use crate::service::{App, Problem};
use crate::store::notices::{self, Wanted, Watcher};
use crate::store::passes::Pass;
use crate::store::{Conn, outbox};

/// A pass that says something else from now on.
pub struct Change {
    pub pass: PassId,
    pub customer: CustomerId,
    pub change_no: i64,
    /// Whether it was made with this change.
    pub is_new: bool,
    pub notice: Notice,
    pub lane: Lane,
}

impl Change {
    /// What is to be known of a pass that is just made.
    pub const fn of_new(pass: &Pass, notice: Notice, lane: Lane) -> Self {
        Self { pass: pass.id, customer: pass.customer_id, change_no: 1, is_new: true, notice, lane }
    }
}

/// The way to an installation.
pub const fn channel(service: AppService) -> Channel {
    match service {
        AppService::Fcm => Channel::Fcm,
        AppService::Apns => Channel::App,
    }
}

/// Stores what apps show of passes, each once, and queues the installations that do not know it; how many.
pub async fn queue(app: &App, conn: &mut Conn<'_>, brand: BrandId, mut changes: Vec<Change>) -> Result<usize, Problem> {
    let now = app.clock.now();
    changes.sort_by_key(|change| change.pass);
    let passes: Vec<PassId> = changes.iter().filter(|change| !change.is_new).map(|change| change.pass).collect();
    let mut before: HashMap<PassId, Notice> = notices::load(conn, brand, &passes).await?.into_iter().collect();
    changes.retain(|change| before.get(&change.pass) != Some(&change.notice));
    let rows: Vec<(PassId, &Notice)> = changes.iter().map(|change| (change.pass, &change.notice)).collect();
    notices::put(conn, brand, &rows).await?;
    let mut customers: Vec<CustomerId> = changes.iter().map(|change| change.customer).collect();
    customers.sort();
    customers.dedup();
    let mut watchers: HashMap<CustomerId, Vec<Watcher>> = HashMap::new();
    for watcher in notices::list_watchers(conn, brand, &customers).await? {
        watchers.entry(watcher.customer).or_default().push(watcher);
    }
    let known: Vec<Known> = changes
        .iter()
        .map(|change| match before.remove(&change.pass) {
            Some(notice) => Known::Notice(notice),
            None if change.is_new => Known::Nothing,
            None => Known::Something,
        })
        .collect();
    let (mut wanted, mut lanes) = (Vec::new(), BTreeMap::new());
    for (change, known) in changes.iter().zip(&known) {
        for watcher in watchers.get(&change.customer).into_iter().flatten() {
            wanted.push(Wanted { device: watcher.device, pass: change.pass, wanted_no: change.change_no, known });
            // Who has passes of both lanes is told at once.
            let lane = lanes.entry((watcher.service, watcher.device)).or_insert(change.lane);
            *lane = (*lane).min(change.lane);
        }
    }
    wanted.sort_by_key(|one| (one.device, one.pass));
    notices::want(conn, brand, &wanted, now).await?;
    for service in AppService::ALL {
        let rows = lanes.iter().filter(|((of, _), _)| of == service);
        let rows: Vec<_> = rows.map(|((_, device), lane)| (device.uuid(), *lane)).collect();
        outbox::enqueue(conn, brand, channel(*service), &rows, now, now).await?;
    }
    Ok(lanes.len())
}
