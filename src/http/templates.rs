//! `/api/v1/templates`: the designs that passes are made from.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::ids::TemplateId;
use crate::domain::pass::PassKind;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::service::{App, Problem, templates};
use crate::store::templates::Template;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TemplateView {
    #[schema(value_type = String, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: TemplateId,
    name: String,
    #[schema(value_type = String, example = "loyalty")]
    kind: PassKind,
    pass_type: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(template: Template) -> TemplateView {
    let Template { id, name, kind, pass_type, version, created_at, updated_at } = template;
    TemplateView { id, name, kind, pass_type, version, created_at, updated_at }
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
