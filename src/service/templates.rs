//! Installing designs, and having them ready to render.

use std::sync::Arc;

use serde_json::json;

use crate::domain::ids::{BrandId, TemplateId};
use crate::service::rollouts::{Plan, start_in};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::publication;
use crate::store::rollouts::{self, Rollout};
use crate::store::templates::{self, Template};
use crate::wallet::apple::assets::Assets;
use crate::wallet::apple::sign_up;
use crate::wallet::check::{self, Checked};
use crate::wallet::design::{BadDesign, Design, Faults, Files, archive, images};
use crate::wallet::fault::Fault;
use crate::wallet::render::Renderer;

/// One version of a template with everything that is computed once: expressions, hashes, compressed images.
pub struct TemplateVersion {
    pub renderer: Renderer,
    pub assets: Arc<Assets>,
    /// `personalization.json`, if the template asks people to sign up.
    pub form: Option<Vec<u8>>,
}

/// Bytes of versions kept ready in memory at most.
const READY_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The versions that are ready; a version never changes, so an entry is right for ever.
pub struct Templates(moka::future::Cache<(BrandId, TemplateId, i64), Arc<TemplateVersion>>);

impl Default for Templates {
    fn default() -> Self {
        let weigh = |_: &(BrandId, TemplateId, i64), version: &Arc<TemplateVersion>| {
            let images: usize = version.renderer.design().images.values().map(Vec::len).sum();
            u32::try_from(2 * images + 64 * 1024).unwrap_or(u32::MAX)
        };
        Self(moka::future::Cache::builder().weigher(weigh).max_capacity(READY_MAX_BYTES).build())
    }
}

/// What installing a design came to.
pub struct Installed {
    pub template: Template,
    /// Whether there is a version that was not there before.
    pub is_new: bool,
    pub rollout: Option<Rollout>,
    /// What phones take but do not show as it was perhaps meant.
    pub notes: Vec<Fault>,
}

/// Stores a design as a template of the brand, or as the next version of the one with its name, and begins to bring it to
/// the template's passes (`plan`; `None`: not yet). The same files as the newest version change nothing.
pub async fn install(
    app: &App,
    brand: BrandId,
    pass_type: &str,
    files: Files,
    plan: Option<Plan>,
) -> Result<Installed, Problem> {
    let (files, checked) = check_design(app, files).await?;
    let design = checked.renderer.design();
    let (name, kind, notes) = (design.name.clone(), design.kind, checked.notes);
    if design.apple.keys.iter().any(|(key, _)| *key == "nfc") && !allows_nfc(app, pass_type) {
        let reason = "apple.nfc: the pass type's certificate does not allow NFC (its name would say so)".to_owned();
        let file = "template.toml".to_owned();
        return Err(Problem::DesignRefused { faults: Faults(vec![BadDesign { file, line: None, reason }]) });
    }
    let now = app.clock.now();
    let known = templates::find_by_name(&mut app.db.read().await?.conn(), brand, &name).await?;
    let total = match &known {
        Some(known) => rollouts::count_passes(&mut app.db.read().await?.conn(), brand, known.id).await?,
        None => 0,
    };
    let mut tx = app.db.begin().await?;
    if let Some(newest) = templates::find_by_name(&mut tx.conn(), brand, &name).await? {
        if newest.pass_type != pass_type {
            return Err(Problem::PassTypeFixed { pass_type: newest.pass_type });
        }
        if newest.kind != kind {
            return Err(Problem::KindFixed { kind: newest.kind });
        }
        let stored = templates::list_files(&mut tx.conn(), brand, newest.id, newest.version).await?;
        if stored.into_iter().collect::<Files>() == files {
            // What was stored without going out (by an older replica, for instance) goes out now.
            let plan = plan.filter(|_| newest.live_version < newest.version);
            let under_way = rollouts::has_active(&mut tx.conn(), brand, newest.id).await?;
            let rollout = match plan.filter(|_| !under_way) {
                Some(plan) => Some(start_in(app, &mut tx.conn(), brand, newest.id, None, plan.check()?, total).await?),
                None => None,
            };
            tx.commit().await?;
            app.rolled.notify_one();
            return Ok(Installed { template: newest, is_new: false, rollout, notes });
        }
    }
    let template = Template {
        id: TemplateId::new(app.clock.new_id()),
        name,
        kind,
        pass_type: pass_type.to_owned(),
        version: 1,
        live_version: 1,
        created_at: now,
        updated_at: now,
    };
    // A roll-out's row before its template's, as its steps take them.
    if let Some(known) = known.filter(|_| plan.is_some()) {
        rollouts::supersede(&mut tx.conn(), brand, known.id, now).await?;
    }
    let template = templates::next_version(&mut tx.conn(), brand, &template).await?;
    for (name, content) in &files {
        templates::insert_file(&mut tx.conn(), brand, template.id, template.version, name, content).await?;
    }
    let rollout = match plan.filter(|_| template.version > 1) {
        Some(plan) => Some(start_in(app, &mut tx.conn(), brand, template.id, None, plan.check()?, total).await?),
        None => None,
    };
    let about = About { subject: template.id.uuid(), ..About::default() };
    let data = json!({ "template_id": template.id, "version": template.version });
    timeline::record(app, &mut tx.conn(), brand, "template.installed", about, data).await?;
    tx.commit().await?;
    app.rolled.notify_one();
    if rollout.is_some() {
        retry_refused(app, brand, template.id, template.version).await?;
    }
    Ok(Installed { template, is_new: true, rollout, notes })
}

/// The design in a zip, off the runtime's threads.
pub async fn unpack(app: &App, zip: bytes::Bytes) -> Result<Files, Problem> {
    let turn = app.uploads.try_acquire().map_err(|_| Problem::Busy)?;
    let job = tokio::task::spawn_blocking(move || archive::unpack(&zip));
    let unpacked = job.await.map_err(Problem::internal)?;
    drop(turn);
    unpacked.map_err(|fault| Problem::DesignRefused { faults: Faults(vec![fault]) })
}

/// Looks at all of it, off the runtime's threads, and encodes its pictures again when there is nothing to refuse.
async fn check_design(app: &App, files: Files) -> Result<(Files, Checked), Problem> {
    let _turn = app.uploads.acquire().await.map_err(Problem::internal)?;
    let job = tokio::task::spawn_blocking(move || {
        let refused = |faults| Problem::DesignRefused { faults };
        let checked = check::check(&files).map_err(refused)?;
        let files = images::clean_all(files).map_err(|fault| refused(Faults(vec![fault])))?;
        Ok((files, checked))
    });
    job.await.map_err(Problem::internal)?
}

/// Whether passes of this type may speak NFC; what has no certificate yet is judged when it has.
fn allows_nfc(app: &App, pass_type: &str) -> bool {
    app.certificates().signer(pass_type).is_none_or(|signer| signer.allows_nfc())
}

/// Passes that one transaction lets be tried again.
const RETRY_BATCH: i64 = 500;

/// Lets the passes that the last version could not show be tried with this one at once. Whatever this does not come to is
/// tried when its rest is over.
pub(super) async fn retry_refused(
    app: &App,
    brand: BrandId,
    template: TemplateId,
    version: i64,
) -> Result<(), Problem> {
    loop {
        let mut tx = app.db.begin().await?;
        let now = app.clock.now();
        let retried = publication::retry_refused(&mut tx.conn(), brand, template, version, now, RETRY_BATCH).await?;
        tx.commit().await?;
        if retried > 0 {
            app.changed.notify_one();
        }
        if retried < RETRY_BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}

/// A version of a template, ready to render.
pub async fn load(
    app: &App,
    brand: BrandId,
    template: TemplateId,
    version: i64,
) -> Result<Arc<TemplateVersion>, Problem> {
    let key = (brand, template, version);
    if let Some(ready) = app.templates.0.get(&key).await {
        return Ok(ready);
    }
    let files = {
        let mut reader = app.db.read().await?;
        templates::list_files(&mut reader.conn(), brand, template, version).await?
    };
    let prepared = tokio::task::spawn_blocking(move || prepare(&files.into_iter().collect(), template, version));
    let ready = prepared.await.map_err(Problem::internal)??;
    app.templates.0.insert(key, Arc::clone(&ready)).await;
    Ok(ready)
}

fn prepare(files: &Files, template: TemplateId, version: i64) -> Result<Arc<TemplateVersion>, Problem> {
    let broken = |error: String| Problem::internal(format!("{template} version {version}: {error}"));
    let design = Design::parse(files).map_err(|error| broken(error.to_string()))?;
    let assets = Arc::new(Assets::new(&design));
    let form = design.sign_up.as_ref().map(sign_up::form);
    let renderer = Renderer::new(design).map_err(|error| broken(error.to_string()))?;
    Ok(Arc::new(TemplateVersion { renderer, assets, form }))
}

pub async fn list(app: &App, brand: BrandId, after: Option<TemplateId>, limit: i64) -> Result<Vec<Template>, Problem> {
    Ok(templates::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

pub async fn read(app: &App, brand: BrandId, template: TemplateId) -> Result<Template, Problem> {
    let found = templates::find(&mut app.db.read().await?.conn(), brand, template).await?;
    found.ok_or(Problem::NotFound { what: "template" })
}

/// An image of a version, as it was installed.
pub async fn find_image(
    app: &App,
    brand: BrandId,
    template: TemplateId,
    version: i64,
    name: &str,
) -> Result<Option<Vec<u8>>, Problem> {
    if version < 1 || read(app, brand, template).await?.version < version {
        return Ok(None);
    }
    let ready = load(app, brand, template, version).await?;
    Ok(ready.renderer.design().images.get(name).cloned())
}
