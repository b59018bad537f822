//! From a committed change to what phones are served, and to whom it is told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use crate::domain::code::{CODE_ID_LEN, CodeKind};
use crate::domain::content::Content;
use crate::domain::delivery::Channel;
use crate::domain::ids::{BrandId, DeviceId, GoogleClassId, PassId};
use crate::domain::notice::Notice;
use crate::domain::pass::{Lane, PassKind, next_last_modified};
use crate::service::loyalty::shown;
use crate::service::templates::{self, TemplateVersion};
use crate::service::{App, Problem, code_keys, notices};
use crate::store::brands::{self, Brand};
use crate::store::google::{self as google_store, NewClass};
use crate::store::publication::{self, Claim, Published, Source};
use crate::store::{Conn, outbox};
use crate::wallet::apple::pass_json;
use crate::wallet::google;
use crate::wallet::render::State;

/// Passes of one batch at most: a claim and a publication are one transaction each.
pub const BATCH: i64 = 150;

/// Devices that one transaction queues at most; those of a pass that more of them hold follow in transactions of their
/// own, and the sweep finds them if the process dies in between.
const DEVICES_MAX: i64 = 500;

/// How long a pass that its template cannot show rests before it is tried again.
const REFUSED_REST: TimeDelta = TimeDelta::minutes(5);

/// What a pass is served as.
#[derive(Clone)]
pub struct Rendered {
    pub apple: Vec<u8>,
    pub apple_hash: Vec<u8>,
    /// Google's object; empty where Google is off.
    pub google: Vec<u8>,
    pub google_hash: Vec<u8>,
    /// The class of the object; `None` where Google is off, or is not to hold the pass.
    pub google_class: Option<NewClass>,
    /// What the brand's app shows of it; `None`: there is no such app.
    pub notice: Option<Notice>,
    pub render_at: Option<DateTime<Utc>>,
}

/// What a pass says, and when it will say something else for no other reason than the day.
pub fn content_of(
    app: &App,
    brand: &Brand,
    source: &Source,
    template: &TemplateVersion,
) -> Result<(Content, Option<DateTime<Utc>>), Problem> {
    let zone = source.customer_time_zone.as_deref().unwrap_or(&source.program_time_zone);
    let code_id: [u8; CODE_ID_LEN] = source.code_id.as_slice().try_into().map_err(Problem::internal)?;
    let code = app.master_key.code(brand.id, code_keys::of(brand).newest, CodeKind::Pass, code_id);
    let state = State {
        brand_name: &brand.name,
        brand_code: &brand.code,
        program_name: &source.program_name,
        time_zone: zone.parse().unwrap_or(Tz::UTC),
        customer_name: source.customer_name.as_ref(),
        customer_attributes: &source.customer_attributes,
        card_number: source.card_number.as_ref(),
        member_since: source.member_since,
        pass_serial: &source.serial,
        pass_status: source.status,
        pass_data: &source.data,
        loyalty: &source.loyalty,
        pass_created_at: source.created_at,
        pass_code: &code,
        is_signed_up: source.signed_up_at.is_some(),
        now: app.clock.now(),
    };
    let rendered = template.renderer.render(&state);
    let (content, render_at) = rendered.map_err(|error| Problem::TemplateRefused { detail: error.to_string() })?;
    Ok((content, [render_at, source.loyalty_until].into_iter().flatten().min()))
}

/// Renders one pass for every wallet. Pure computation.
pub fn render(app: &App, brand: &Brand, source: &Source, template: &TemplateVersion) -> Result<Rendered, Problem> {
    let signer = app.certificates().signer(&source.pass_type).cloned();
    let signer = signer.ok_or_else(|| Problem::NoSigner { pass_type: source.pass_type.clone() })?;
    let team = signer.team();
    let (content, render_at) = content_of(app, brand, source, template)?;
    let web_service_url = app.config.web_service_url(&brand.code);
    let identity = pass_json::Identity { pass_type: &source.pass_type, team, web_service_url: Some(&web_service_url) };
    let apple = pass_json::render(&content, &template.renderer.design().apple, identity);
    let google = app.config.google_issuer(&brand.code).map(|issuer_id| {
        let images_url = images_url(app, brand, source);
        let images: Vec<&str> = template.renderer.design().images.keys().map(String::as_str).collect();
        let place = google::Surroundings {
            issuer_id,
            template: source.template_id,
            images_url: &images_url,
            images: &images,
            card: &template.renderer.design().google_card(),
        };
        let class = source.has_object.then(|| google::class(&content, place));
        let class = class.and_then(|class| new_class(app, content.kind, &class));
        (google::object(&content, place).to_string().into_bytes(), class)
    });
    let (google, google_class) = google.unwrap_or_default();
    Ok(Rendered {
        // Images, strings and the form are part of what a phone gets: a version that changes only those is a change too.
        apple_hash: Sha256::new()
            .chain_update(template.assets.digest())
            .chain_update(template.form.as_deref().filter(|_| content.wants_sign_up).unwrap_or_default())
            .chain_update(&apple)
            .finalize()
            .to_vec(),
        google_hash: Sha256::digest(&google).to_vec(),
        apple,
        google,
        google_class,
        notice: app.config.has_app(&brand.code).then(|| Notice::of(&content)),
        render_at,
    })
}

fn new_class(app: &App, kind: PassKind, class: &serde_json::Value) -> Option<NewClass> {
    let body = class.to_string().into_bytes();
    let (id, body_hash) = (GoogleClassId::new(app.clock.new_id()), Sha256::digest(&body).to_vec());
    Some(NewClass { id, name: class.get("id")?.as_str()?.to_owned(), kind, body, body_hash })
}

/// Where a template version's images are served to everybody.
fn images_url(app: &App, brand: &Brand, source: &Source) -> String {
    let base = &app.config.server.public_url;
    format!("{base}/i/{}/{}/{}/", brand.code, source.template_id, source.template_version)
}

/// The brand after `after` that has a pass to publish.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(publication::next_due_brand(&mut app.db.read().await?.conn(), after, app.clock.now()).await?)
}

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    pub claimed: usize,
    pub published: Vec<PassId>,
    pub unchanged: usize,
    pub refused: usize,
    pub devices_queued: u64,
}

/// Publishes up to [`BATCH`] due passes of a brand.
pub async fn publish_due(app: &App, brand: BrandId) -> Result<Batch, Problem> {
    let now = app.clock.now();
    let lease = TimeDelta::seconds(i64::try_from(app.config.delivery.lease_secs).unwrap_or(30));
    let mut tx = app.db.begin().await?;
    let claims = publication::claim(&mut tx.conn(), brand, now, now + lease, BATCH).await?;
    tx.commit().await?;
    if claims.is_empty() {
        return Ok(Batch::default());
    }
    let claims: HashMap<PassId, Claim> = claims.into_iter().map(|claim| (claim.pass, claim)).collect();
    let ids: Vec<PassId> = claims.keys().copied().collect();
    let (brand, sources) = {
        let mut reader = app.db.read().await?;
        let owner = brands::load(&mut reader.conn(), brand).await?;
        let mut sources = publication::load_sources(&mut reader.conn(), brand, &ids).await?;
        // After the passes: what changed in between is newer than they say, and is published again.
        shown::fill(app, &mut reader.conn(), brand, &mut sources).await?;
        (owner, sources)
    };
    let mut batch = Batch { claimed: claims.len(), ..Batch::default() };
    let mut ready: HashMap<String, Vec<(Source, Rendered)>> = HashMap::new();
    for (source, outcome) in render_all(app, &brand, sources).await? {
        match outcome {
            Ok(rendered) => ready.entry(source.pass_type.clone()).or_default().push((source, rendered)),
            Err(problem) => {
                batch.refused += 1;
                if let Some(claim) = claims.get(&source.pass_id) {
                    refuse(app, brand.id, *claim, &problem).await?;
                }
            }
        }
    }
    for (pass_type, passes) in ready {
        store(app, brand.id, &pass_type, passes, &claims, &mut batch).await?;
    }
    Ok(batch)
}

/// Renders off the runtime's threads: a batch takes some milliseconds of pure computation.
async fn render_all(
    app: &App,
    brand: &Brand,
    sources: Vec<Source>,
) -> Result<Vec<(Source, Result<Rendered, Problem>)>, Problem> {
    // A version that cannot be read refuses its own passes, and no others.
    let mut prepared: HashMap<_, Option<Arc<TemplateVersion>>> = HashMap::new();
    for source in &sources {
        let key = (source.template_id, source.template_version);
        if let std::collections::hash_map::Entry::Vacant(place) = prepared.entry(key) {
            let loaded = templates::load(app, brand.id, key.0, key.1).await;
            place.insert(match loaded {
                Ok(version) => Some(version),
                Err(problem @ Problem::Internal(_)) => {
                    tracing::error!(template.id = %key.0, "{} version {} cannot be read: {problem}", key.0, key.1);
                    None
                }
                Err(problem) => return Err(problem),
            });
        }
    }
    let (app, brand) = (app.clone(), brand.clone());
    let job = tokio::task::spawn_blocking(move || {
        let one = |source: Source| {
            let template = prepared.get(&(source.template_id, source.template_version));
            let rendered = template
                .and_then(Option::as_ref)
                .ok_or_else(|| Problem::TemplateRefused { detail: "the version cannot be read".to_owned() })
                .and_then(|template| render(&app, &brand, &source, template));
            (source, rendered)
        };
        sources.into_iter().map(one).collect()
    });
    job.await.map_err(Problem::internal)
}

async fn refuse(app: &App, brand: BrandId, claim: Claim, problem: &Problem) -> Result<(), Problem> {
    tracing::error!(pass.id = %claim.pass, "cannot publish {}: {problem}", claim.pass);
    let mut tx = app.db.begin().await?;
    let retry_at = app.clock.now() + REFUSED_REST;
    publication::refuse(&mut tx.conn(), brand, claim, &problem.to_string(), retry_at).await?;
    tx.commit().await?;
    Ok(())
}

/// Stores a batch of one pass type: rows first, the tag counter last, so that nobody waits for a pass while holding it.
async fn store(
    app: &App,
    brand: BrandId,
    pass_type: &str,
    passes: Vec<(Source, Rendered)>,
    claims: &HashMap<PassId, Claim>,
    batch: &mut Batch,
) -> Result<(), Problem> {
    let now = app.clock.now();
    let ids: Vec<PassId> = passes.iter().map(|(source, _)| source.pass_id).collect();
    let mut tx = app.db.begin().await?;
    let held = publication::lock(&mut tx.conn(), brand, &ids).await?;
    let held: HashMap<PassId, _> = held.into_iter().map(|row| (row.pass_id, row)).collect();
    let linked = google_store::list_linked(&mut tx.conn(), brand, &ids).await?;
    let linked: HashSet<PassId> = linked.into_iter().collect();
    let (mut changed, mut unchanged, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    let (mut objects, mut told) = (Vec::new(), Vec::new());
    let mut visible: Vec<(PassId, Lane)> = Vec::new();
    for (source, rendered) in passes {
        let pass = source.pass_id;
        let Some(row) = held.get(&pass) else {
            skipped.extend(claims.get(&pass).copied()); // a writer has it: it is changing again
            continue;
        };
        if claims.get(&pass).is_none_or(|claim| claim.lease_no != row.lease_no) {
            continue; // the lease ran out and another publisher has it
        }
        if linked.contains(&pass) && rendered.google_class.is_none() {
            // Somebody asked for it at Google since it was read.
            skipped.extend(claims.get(&pass).copied());
            continue;
        }
        // One that is to be signed again looks the same, but phones must come for it.
        let is_forced = source.forced_no > source.published_no;
        let is_visible = is_forced || rendered.apple_hash != source.apple_hash;
        let is_bulk = source.change_no == source.bulk_no;
        let lane = if is_bulk { Lane::Bulk } else { Lane::Interactive };
        if let Some(class) = rendered.google_class.filter(|_| linked.contains(&pass)) {
            let is_new = rendered.google_hash != source.google_hash;
            objects.push(ObjectChange { pass, class, is_live: source.is_live, lane: is_new.then_some(lane) });
        }
        if !is_visible && rendered.google_hash == source.google_hash {
            unchanged.push((pass, source.change_no, rendered.render_at));
            continue;
        }
        if is_visible {
            visible.push((pass, lane));
        }
        told.extend(rendered.notice.map(|notice| notices::Change {
            pass,
            customer: source.customer_id,
            change_no: source.change_no,
            is_new: false,
            notice,
            lane,
        }));
        changed.push(Published {
            pass,
            published_no: source.change_no,
            tag_n: row.tag_n,
            last_modified: if is_visible {
                next_last_modified(now.timestamp(), Some(row.last_modified))
            } else {
                row.last_modified
            },
            render_at: rendered.render_at,
            template_version: source.template_version,
            apple: rendered.apple,
            apple_hash: rendered.apple_hash,
            google: rendered.google,
            google_hash: rendered.google_hash,
        });
    }
    let queued = queue_holders(app, &mut tx.conn(), brand, &visible, None).await?;
    let has_objects = queue_objects(&mut tx.conn(), brand, &objects, now).await?;
    let installations = notices::queue(app, &mut tx.conn(), brand, told).await?;
    batch.devices_queued += queued.rows;
    publication::settle_unchanged(&mut tx.conn(), brand, &unchanged, now).await?;
    if !visible.is_empty() {
        let count = i64::try_from(visible.len()).map_err(Problem::internal)?;
        let last = brands::take_tags(&mut tx.conn(), brand, pass_type, count).await?;
        let visible: HashSet<PassId> = visible.iter().map(|(pass, _)| *pass).collect();
        let new = changed.iter_mut().filter(|published| visible.contains(&published.pass));
        for (published, tag_n) in new.zip(last.n - count + 1..) {
            published.tag_n = tag_n;
        }
    }
    let rest = TimeDelta::milliseconds(i64::try_from(app.config.delivery.coalesce_millis).unwrap_or(1_000));
    publication::publish(&mut tx.conn(), brand, &changed, now + rest, now).await?;
    tx.commit().await?;
    if queued.rows > 0 || has_objects || installations > 0 {
        app.wake_dispatchers();
    }
    batch.published.extend(changed.iter().map(|published| published.pass));
    batch.unchanged += unchanged.len();
    let mut rest_of = queued;
    while let Some(after) = rest_of.more {
        let mut tx = app.db.begin().await?;
        rest_of = queue_holders(app, &mut tx.conn(), brand, &visible, Some(after)).await?;
        tx.commit().await?;
        batch.devices_queued += rest_of.rows;
    }
    if !skipped.is_empty() {
        let mut tx = app.db.begin().await?;
        publication::release(&mut tx.conn(), brand, &skipped, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What the publication of a pass that Google is to hold means for Google.
struct ObjectChange {
    pass: PassId,
    class: NewClass,
    is_live: bool,
    /// `None`: the object looks the same.
    lane: Option<Lane>,
}

/// Stores the classes of passes that Google is to hold, and queues what is new of both; whether anything is.
async fn queue_objects(
    conn: &mut Conn<'_>,
    brand: BrandId,
    changes: &[ObjectChange],
    now: DateTime<Utc>,
) -> Result<bool, Problem> {
    let mut classes: BTreeMap<&str, &ObjectChange> = BTreeMap::new();
    for change in changes {
        // Of several versions the one that all will have.
        let place = classes.entry(&change.class.name).or_insert(change);
        if change.is_live {
            *place = change;
        }
    }
    let mut new_classes = Vec::new();
    for change in classes.into_values() {
        let put = google_store::put_class(conn, brand, &change.class, change.is_live, now).await?;
        new_classes.extend(put.map(|class| (class.uuid(), Lane::Interactive)));
    }
    new_classes.sort_by_key(|(class, _)| *class);
    let mut rows: Vec<_> = changes.iter().filter_map(|change| Some((change.pass.uuid(), change.lane?))).collect();
    rows.sort_by_key(|(pass, _)| *pass);
    outbox::enqueue(conn, brand, Channel::GoogleClass, &new_classes, now, now).await?;
    outbox::enqueue(conn, brand, Channel::Google, &rows, now, now).await?;
    Ok(!new_classes.is_empty() || !rows.is_empty())
}

/// What one transaction queued.
struct Queued {
    rows: u64,
    /// The last device, if there may be others after it.
    more: Option<DeviceId>,
}

/// Queues the devices that hold any of `passes`, those after one, in order; a device that holds passes of both lanes is told
/// at once.
async fn queue_holders(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    passes: &[(PassId, Lane)],
    after: Option<DeviceId>,
) -> Result<Queued, Problem> {
    let now = app.clock.now();
    let mut holders: BTreeMap<DeviceId, Lane> = BTreeMap::new();
    let mut more: Option<DeviceId> = None;
    for lane in [Lane::Bulk, Lane::Interactive] {
        let ids: Vec<PassId> = passes.iter().filter(|(_, known)| *known == lane).map(|(pass, _)| *pass).collect();
        let devices = outbox::list_holding_devices(conn, brand, &ids, after, DEVICES_MAX).await?;
        if i64::try_from(devices.len()).is_ok_and(|count| count == DEVICES_MAX) {
            // Both lanes go on from where the shorter one ends.
            more = more.min(devices.last().copied()).or(devices.last().copied());
        }
        holders.extend(devices.into_iter().map(|device| (device, lane)));
    }
    let within = holders.into_iter().filter(|(device, _)| more.is_none_or(|last| *device <= last));
    let rows: Vec<_> = within.map(|(device, lane)| (device.uuid(), lane)).collect();
    Ok(Queued { rows: outbox::enqueue(conn, brand, Channel::Apns, &rows, now, now).await?, more })
}
