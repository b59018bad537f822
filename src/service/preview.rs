//! Pictures of templates and of real passes.

use tokio::sync::Semaphore;

use crate::domain::ids::{BrandId, PassId, TemplateId};
use crate::domain::locale::Locale;
use crate::service::loyalty::shown;
use crate::service::publish::content_of;
use crate::service::{App, Problem, templates};
use crate::store::{brands, publication};
use crate::wallet::check::render_sample;
use crate::wallet::preview::{Look, Scene, draw, rasterize};

/// Pictures that are drawn at the same time: each takes a core, and some megabytes for its pixels.
const DRAWING_MAX: usize = 2;

pub struct Previews(Semaphore);

impl Default for Previews {
    fn default() -> Self {
        Self(Semaphore::new(DRAWING_MAX))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub look: Look,
    /// The template's own language if absent.
    pub locale: Option<Locale>,
    pub is_png: bool,
}

/// The sample pass of a template's version; of its newest if absent.
pub async fn of_template(
    app: &App,
    brand: BrandId,
    template: TemplateId,
    version: Option<i64>,
    wanted: Wanted,
) -> Result<Vec<u8>, Problem> {
    let newest = templates::read(app, brand, template).await?.version;
    let version = version.unwrap_or(newest);
    if !(1..=newest).contains(&version) {
        return Err(Problem::NotFound { what: "version" });
    }
    let ready = templates::load(app, brand, template, version).await?;
    let drawing = app.previews.0.try_acquire().map_err(|_| Problem::Busy)?;
    let job = tokio::task::spawn_blocking(move || {
        let sample = render_sample(&ready.renderer, ready.renderer.design().sample.today);
        let content = sample.map_err(|error| Problem::TemplateRefused { detail: error.to_string() })?;
        picture(&Scene::new(&content, ready.renderer.design(), wanted.locale), wanted)
    });
    let picture = job.await.map_err(Problem::internal)?;
    drop(drawing);
    picture
}

/// A pass as it would be published now.
pub async fn of_pass(app: &App, brand: BrandId, pass: PassId, wanted: Wanted) -> Result<Vec<u8>, Problem> {
    let (brand, source) = {
        let mut reader = app.db.read().await?;
        let brand = brands::load(&mut reader.conn(), brand).await?;
        let mut sources = publication::load_sources(&mut reader.conn(), brand.id, &[pass]).await?;
        shown::fill(app, &mut reader.conn(), brand.id, &mut sources).await?;
        (brand, sources.into_iter().next().ok_or(Problem::NotFound { what: "pass" })?)
    };
    let ready = templates::load(app, brand.id, source.template_id, source.template_version).await?;
    let locale = source.customer_locale.as_deref().and_then(Locale::for_tag);
    let wanted = Wanted { locale: wanted.locale.or(locale), ..wanted };
    let drawing = app.previews.0.try_acquire().map_err(|_| Problem::Busy)?;
    let for_job = app.clone();
    let job = tokio::task::spawn_blocking(move || {
        let (content, _) = content_of(&for_job, &brand, &source, &ready)?;
        picture(&Scene::new(&content, ready.renderer.design(), wanted.locale), wanted)
    });
    let picture = job.await.map_err(Problem::internal)?;
    drop(drawing);
    picture
}

fn picture(scene: &Scene<'_>, wanted: Wanted) -> Result<Vec<u8>, Problem> {
    let svg = draw(*scene, wanted.look);
    if wanted.is_png { rasterize(&svg, 2.0).map_err(Problem::internal) } else { Ok(svg.into_bytes()) }
}
