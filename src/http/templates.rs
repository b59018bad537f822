//! `/api/v1/templates`: the designs that passes are made from.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::TemplateId;
use crate::domain::pass::PassKind;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::http::preview::Asked;
use crate::http::problem::ProblemBody;
use crate::http::rollouts::{self, RolloutView};
use crate::http::upload::Zip;
use crate::service::rollouts::Plan;
use crate::service::templates::Installed;
use crate::service::{App, Problem, brands, preview, templates};
use crate::store::templates::Template;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TemplateView {
    #[schema(value_type = String, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: TemplateId,
    name: String,
    #[schema(value_type = String, example = "loyalty")]
    kind: PassKind,
    pass_type: String,
    /// The newest version.
    version: i64,
    /// The version that passes are made with; a roll-out brings it to the newest.
    live_version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(template: Template) -> TemplateView {
    let Template { id, name, kind, pass_type, version, live_version, created_at, updated_at } = template;
    TemplateView { id, name, kind, pass_type, version, live_version, created_at, updated_at }
}

/// List templates
#[utoipa::path(get, path = "/api/v1/templates", tag = "templates", params(Paging),
    responses((status = 200, description = "A page", body = Page<TemplateView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| templates::list(&app, brand, after, limit).await).await?;
    let data = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |template: &TemplateView| template.id.to_string())))
}

/// Read a template
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The template", body = TemplateView), (status = 404, description = "Unknown", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, template) = (allow.caller.brand.id, id(&path, "template")?);
    let template = app.run(async move |app| templates::read(&app, brand, template).await).await?;
    Ok(HttpResponse::Ok().json(view(template)))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The pass type of a new template; the brand's only one if absent
    pass_type: Option<String>,
    /// false keeps a new version for a roll-out that is started later
    rollout: Option<bool>,
    /// How many percent of the passes get a new version first
    canary_percent: Option<i64>,
    /// How long they are watched
    hold_minutes: Option<i64>,
    /// Passes a minute at most
    per_minute: Option<i64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UploadView {
    #[serde(flatten)]
    template: TemplateView,
    /// The roll-out of the new version.
    rollout: Option<RolloutView>,
    /// What phones take but do not show as it was perhaps meant.
    notes: Vec<String>,
}

/// Upload a design
///
/// A zip of the design's folder. Becomes a new template, or the next version of the one with the design's name; a new version
/// goes out to the template's passes as a roll-out. The same files as the newest version change nothing (200).
#[utoipa::path(post, path = "/api/v1/templates", tag = "templates", params(Upload),
    request_body(content = Vec<u8>, content_type = "application/zip"),
    responses((status = 201, description = "A new version", body = UploadView),
        (status = 200, description = "Nothing new", body = UploadView),
        (status = 409, description = "pass-type-fixed, kind-fixed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "design-refused: `faults` says what and where", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn upload(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    query: Query<Upload>,
    zip: Zip,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(query) = query;
    let plan = Plan {
        canary_percent: query.canary_percent,
        hold_minutes: query.hold_minutes.unwrap_or(Plan::default().hold_minutes),
        per_minute: query.per_minute,
    };
    let plan = query.rollout.unwrap_or(true).then_some(plan);
    let installed = app.run(async move |app| {
        let files = templates::unpack(&app, zip.0).await?;
        let pass_type = match query.pass_type {
            Some(pass_type) => pass_type,
            None => brands::only_pass_type(&app, brand).await?,
        };
        templates::install(&app, brand, &pass_type, files, plan).await
    });
    let Installed { template, is_new, rollout, notes } = installed.await?;
    let body = UploadView {
        template: view(template),
        rollout: rollout.map(|rollout| rollouts::view(rollout, None)),
        notes: notes.iter().map(ToString::to_string).collect(),
    };
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(body))
}

/// See a template
///
/// Its sample pass as phones show it.
#[utoipa::path(get, path = "/api/v1/templates/{id}/preview", tag = "templates", params(("id" = String, Path, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), Asked),
    responses((status = 200, description = "The picture", content((String = "image/svg+xml"), (Vec<u8> = "image/png")))))]
pub async fn preview(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
    query: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (brand, template) = (allow.caller.brand.id, id(&path, "template")?);
    let Query(asked) = query;
    let (version, wanted) = (asked.version, asked.wanted());
    let picture = app.run(async move |app| preview::of_template(&app, brand, template, version, wanted).await).await?;
    Ok(asked.answer(picture))
}
