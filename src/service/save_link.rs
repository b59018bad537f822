//! "Add to Google Wallet": the link is made when somebody clicks, for an object that Google has by then.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use crate::domain::delivery::Channel;
use crate::domain::ids::PassId;
use crate::domain::pass::{Lane, PassKind};
use crate::domain::secret::Secret;
use crate::service::deliver::google as ways;
use crate::service::publish::render;
use crate::service::{App, Problem, read_pass, templates};
use crate::store::brands::Brand;
use crate::store::publication::Source;
use crate::store::{google, outbox, publication};
use crate::wallet::google::save_link;

/// How long whoever clicked waits for Google to have the object; then they are asked to come again.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often it is looked whether Google has it, at first and later: another process may be the one that tells it.
const LOOK: Duration = Duration::from_millis(30);
const LOOK_MAX: Duration = Duration::from_millis(400);

/// Clicks that wait for Google at most; whoever comes then is asked to come again.
pub(super) const WAITING_MAX: usize = 64;

/// Where the holder of the link is to be sent. Google holds the pass's object when this answers.
pub async fn make(app: &App, link: &str) -> Result<Secret<String>, Problem> {
    let (brand, pass) = read_pass::find_by_link(app, link).await?;
    if !pass.status.is_good() {
        return Err(Problem::NoGoogle);
    }
    let issuer = ways::issuer(app, &brand.code).map_err(|_| Problem::NoGoogle)?;
    let _waits = app.clicks.try_acquire().map_err(|_| Problem::Busy)?;
    let (begun, mut look) = (Instant::now(), LOOK);
    let mut names = find_names(app, &brand, pass.id).await?;
    if names.is_none() {
        keep_at_google(app, &brand, pass.id).await?;
    }
    let names = loop {
        if let Some(names) = names {
            break names;
        }
        if begun.elapsed() > PATIENCE || issuer.gate.is_barred(app.clock.now()) {
            return Err(Problem::Busy);
        }
        tokio::time::sleep(look).await;
        look = (look * 2).min(LOOK_MAX);
        names = find_names(app, &brand, pass.id).await?;
    };
    let token = save_link::token(&issuer.account, names.kind, &names.object, &names.class, app.clock.now());
    let token = token.map_err(Problem::internal)?;
    Ok(Secret::new(format!("{}/{token}", app.config.google.save_url)))
}

/// What Google calls a pass.
struct Names {
    kind: PassKind,
    object: String,
    class: String,
}

/// What Google calls the pass, if it has its object.
async fn find_names(app: &App, brand: &Brand, pass: PassId) -> Result<Option<Names>, Problem> {
    let objects = google::load_objects(&mut app.db.read().await?.conn(), brand.id, &[pass]).await?;
    let Some(object) = objects.into_iter().find(|object| object.sent_hash.is_some()) else { return Ok(None) };
    let body: Json = serde_json::from_slice(&object.body).map_err(Problem::internal)?;
    let word = |member: &str| body.get(member).and_then(Json::as_str).map(str::to_owned);
    Ok(word("id").zip(word("classId")).map(|(id, class)| Names { kind: object.kind, object: id, class }))
}

/// From now on Google holds the pass's object: it is queued with its class. A pass that was published before its brand had
/// an account at Google is published again, for its object.
async fn keep_at_google(app: &App, brand: &Brand, pass: PassId) -> Result<(), Problem> {
    let missing = || Problem::NotFound { what: "pass" };
    let sources = publication::load_sources(&mut app.db.read().await?.conn(), brand.id, &[pass]).await?;
    let source = sources.into_iter().next().ok_or_else(missing)?;
    let source = Source { has_object: true, ..source };
    let template = templates::load(app, brand.id, source.template_id, source.template_version).await?;
    let rendered = render(app, brand, &source, &template)?;
    let class = rendered.google_class.ok_or(Problem::NoGoogle)?;
    let body: Json = serde_json::from_slice(&rendered.google).map_err(Problem::internal)?;
    let name = body.get("id").and_then(Json::as_str).ok_or_else(missing)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // The pass before the class, as publishers lock.
    let is_published = rendered.google_hash == source.google_hash;
    if !is_published {
        publication::touch(&mut tx.conn(), brand.id, pass).await?;
    }
    if google::link(&mut tx.conn(), brand.id, pass, name, now).await? {
        let class = google::put_class(&mut tx.conn(), brand.id, &class, source.is_live, now).await?;
        let class = class.map(|class| (class.uuid(), Lane::Interactive));
        outbox::enqueue(&mut tx.conn(), brand.id, Channel::GoogleClass, class.as_slice(), now, now).await?;
        // Whoever publishes it queues it.
        let object = is_published.then_some((pass.uuid(), Lane::Interactive));
        outbox::enqueue(&mut tx.conn(), brand.id, Channel::Google, object.as_slice(), now, now).await?;
    }
    tx.commit().await?;
    app.changed.notify_one();
    app.wake_dispatchers();
    Ok(())
}
