//! Looking at passes, and at the phones that hold them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::delivery::Channel;
use crate::domain::ids::{BrandId, DeviceId, PassId};
use crate::service::brands::{CODE_LEN, find_by_code};
use crate::service::notices::channel;
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::devices::{self, Holder};
use crate::store::google::ObjectState;
use crate::store::logs::Message;
use crate::store::notices::Told;
use crate::store::outbox::{self, Delivery};
use crate::store::passes::{self, Filter, Pass};
use crate::store::{Conn, events, google, logs, notices, publication};

/// Holders and messages shown at most.
const SHOWN_MAX: i64 = 200;

/// Which wallets hold a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wallets {
    /// Devices that registered for updates.
    pub apple: i64,
    pub google: bool,
}

/// The wallets that hold a pass.
pub(super) async fn wallets(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<Wallets> {
    let apple = devices::count_holders(conn, brand, pass).await?;
    let google = !google::list_held(conn, brand, &[pass]).await?.is_empty();
    Ok(Wallets { apple, google })
}

/// A pass and the wallets that hold it.
pub async fn read(app: &App, brand: BrandId, pass: PassId) -> Result<(Pass, Wallets), Problem> {
    let mut reader = app.db.read().await?;
    let found = passes::find(&mut reader.conn(), brand, pass).await?.ok_or(Problem::NotFound { what: "pass" })?;
    let held = wallets(&mut reader.conn(), brand, pass).await?;
    Ok((found, held))
}

/// Passes of a list without the devices that hold them.
pub async fn list_plain(
    app: &App,
    brand: BrandId,
    filter: &Filter,
    after: Option<PassId>,
    limit: i64,
) -> Result<Vec<Pass>, Problem> {
    Ok(passes::list(&mut app.db.read().await?.conn(), brand, filter, after, limit).await?)
}

/// Passes with the number of devices that hold each.
pub async fn list(
    app: &App,
    brand: BrandId,
    filter: &Filter,
    after: Option<PassId>,
    limit: i64,
) -> Result<Vec<(Pass, Wallets)>, Problem> {
    let mut reader = app.db.read().await?;
    let found = passes::list(&mut reader.conn(), brand, filter, after, limit).await?;
    let ids: Vec<PassId> = found.iter().map(|pass| pass.id).collect();
    let held = devices::count_holders_each(&mut reader.conn(), brand, &ids).await?;
    let at_google = google::list_held(&mut reader.conn(), brand, &ids).await?;
    Ok(found
        .into_iter()
        .map(|pass| {
            let apple = held.get(&pass.id).copied().unwrap_or(0);
            let google = at_google.contains(&pass.id);
            (pass, Wallets { apple, google })
        })
        .collect())
}

/// Events looked through by one statement, and such statements for one request: the timeline holds everything that ever
/// happened, and what is asked for may be rare. A page that ends early says where to go on.
const WINDOW: i64 = 10_000;
const WINDOWS_MAX: usize = 10;

/// Ids of objects with an event whose kind begins with `kind` after `since`, each once, and the `seq` to go on from. A
/// `since` that was not reached yet: 410.
pub async fn list_changed(
    app: &App,
    brand: BrandId,
    kind: &str,
    since: i64,
    limit: i64,
) -> Result<(Vec<Uuid>, i64), Problem> {
    let mut reader = app.db.read().await?;
    // Read before the list: where nothing more of the kind is found, everything up to here has been looked at.
    let newest = events::newest_seq(&mut reader.conn(), brand).await?;
    if since > newest {
        return Err(Problem::CursorGone);
    }
    let (mut rows, mut next) = (Vec::new(), since);
    for _ in 0..WINDOWS_MAX {
        let until = newest.min(next.saturating_add(WINDOW));
        let missing = limit - i64::try_from(rows.len()).map_err(Problem::internal)?;
        rows.extend(events::list_changed(&mut reader.conn(), brand, kind, next, until, missing).await?);
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
        next = if is_full { rows.last().map_or(until, |(_, seq)| *seq) } else { until };
        if is_full || next >= newest {
            break;
        }
    }
    let mut ids: Vec<Uuid> = Vec::with_capacity(rows.len());
    let mut seen = std::collections::HashSet::new();
    ids.extend(rows.iter().map(|(id, _)| *id).filter(|id| seen.insert(*id)));
    Ok((ids, next))
}

/// Who holds a pass, what there is to tell them, and what they last complained of.
pub struct Held {
    pub pass: Pass,
    pub published_at: Option<DateTime<Utc>>,
    pub holders: Vec<(Holder, Option<Delivery>)>,
    /// The pass's object at Google, if its holder asked for one.
    pub object: Option<(ObjectState, Option<Delivery>)>,
    /// Installations of the brand's app that were or are to be told of it.
    pub apps: Vec<(Told, Option<Delivery>)>,
    pub messages: Vec<Message>,
}

impl Held {
    /// Whether the last change is not published yet.
    pub const fn is_waiting(&self) -> bool {
        self.pass.published_no < self.pass.change_no
    }
}

pub async fn list_devices(app: &App, brand: BrandId, pass: PassId) -> Result<Held, Problem> {
    let mut reader = app.db.read().await?;
    let found = passes::find(&mut reader.conn(), brand, pass).await?.ok_or(Problem::NotFound { what: "pass" })?;
    let published_at = publication::find_published_at(&mut reader.conn(), brand, pass).await?;
    let holders = devices::list_holders(&mut reader.conn(), brand, pass, SHOWN_MAX).await?;
    let devices: Vec<DeviceId> = holders.iter().map(|holder| holder.device_id).collect();
    let messages = logs::list_about(&mut reader.conn(), brand, pass, &devices, SHOWN_MAX).await?;
    let mut with_rows = Vec::with_capacity(holders.len());
    for holder in holders {
        let row = outbox::find(&mut reader.conn(), brand, Channel::Apns, holder.device_id.uuid()).await?;
        with_rows.push((holder, row));
    }
    let object = match google::find_object(&mut reader.conn(), brand, pass).await? {
        Some(object) => {
            let row = outbox::find(&mut reader.conn(), brand, Channel::Google, pass.uuid()).await?;
            Some((object, row))
        }
        None => None,
    };
    let mut apps = Vec::new();
    for told in notices::list_told(&mut reader.conn(), brand, pass, SHOWN_MAX).await? {
        let row = outbox::find(&mut reader.conn(), brand, channel(told.service), told.device.uuid()).await?;
        apps.push((told, row));
    }
    Ok(Held { pass: found, published_at, holders: with_rows, object, apps, messages })
}

/// The pass behind an add link. The link begins with the brand's code, so the brand is known before anything is
/// looked up.
pub async fn find_by_link(app: &App, link: &str) -> Result<(Brand, Pass), Problem> {
    let missing = || Problem::NotFound { what: "pass" };
    if !link.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(missing());
    }
    let code = link.get(..CODE_LEN).ok_or_else(missing)?;
    let brand = find_by_code(app, code).await?.ok_or_else(missing)?;
    let pass = passes::find_by_link(&mut app.db.read().await?.conn(), brand.id, link).await?;
    Ok((brand, pass.ok_or_else(missing)?))
}

/// The published `pass.json`, for the picture on the add page.
pub async fn find_published(app: &App, brand: BrandId, pass: PassId) -> Result<publication::AppleContent, Problem> {
    app.reads.contents.read(app, brand, pass).await?.ok_or(Problem::NotFound { what: "pass" })
}
