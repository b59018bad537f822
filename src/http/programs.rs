//! `/api/v1/programs`: loyalty programs.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, http::header::ETAG};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::ProgramId;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IdempotencyKey, IfMatch, Query, id, reply};
use crate::http::page::{Page, after, limit};
use crate::service::programs::{self, NewProgram};
use crate::service::{App, Problem, read_pass};
use crate::store::programs::Program;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProgram {
    #[schema(example = "Clube Aurora", max_length = 64)]
    name: String,
    /// The caller's own id: the same again answers the first program again.
    #[schema(example = "clube-2026", max_length = 100)]
    external_id: Option<String>,
    /// Where the program's days begin and end (IANA); the brand's own zone if absent.
    #[schema(example = "America/Sao_Paulo")]
    time_zone: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProgram {
    #[schema(example = "Clube Aurora", max_length = 64)]
    name: Option<String>,
    #[schema(example = "America/Sao_Paulo")]
    time_zone: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProgramView {
    #[schema(value_type = String, example = "prg_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: ProgramId,
    external_id: Option<String>,
    name: String,
    time_zone: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(program: &Program) -> ProgramView {
    ProgramView {
        id: program.id,
        external_id: program.external_id.clone(),
        name: program.name.clone(),
        time_zone: program.time_zone.clone(),
        version: program.version,
        created_at: program.created_at,
        updated_at: program.updated_at,
    }
}

fn bytes(program: &Program) -> Vec<u8> {
    serde_json::to_vec(&view(program)).unwrap_or_default()
}

fn respond(program: &Program) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", program.version))).json(view(program))
}

/// Create a program
#[utoipa::path(post, path = "/api/v1/programs", tag = "programs", request_body = CreateProgram,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request with its key to have one effect")),
    responses((status = 201, description = "Created", body = ProgramView), (status = 200, description = "Known by this external_id", body = ProgramView),
        (status = 409, description = "The external_id was used for another program", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<CreateProgram>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body);
    let brand = allow.caller.brand;
    let CreateProgram { name, external_id, time_zone } = body.value;
    let new = NewProgram { name, external_id, time_zone: time_zone.unwrap_or_else(|| brand.time_zone.clone()) };
    let done = app.run(async move |app| programs::create(&app, brand.id, new, once.as_ref(), bytes).await);
    Ok(reply(done.await?))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPrograms {
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Only programs that changed after this sequence number; begin with 0 and go on with `next`.
    changed_since: Option<i64>,
}

/// List programs
#[utoipa::path(get, path = "/api/v1/programs", tag = "programs", params(ListPrograms),
    responses((status = 200, description = "A page", body = Page<ProgramView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListPrograms>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let limit = limit(paging.limit)?;
    if let Some(since) = paging.changed_since {
        let page = app.run(async move |app| {
            let (ids, next) = read_pass::list_changed(&app, brand, "program.", since, limit).await?;
            let mut data = Vec::with_capacity(ids.len());
            for id in ids {
                data.push(view(&programs::read(&app, brand, ProgramId::new(id)).await?));
            }
            Ok(Page { data, next: Some(next.to_string()) })
        });
        return Ok(HttpResponse::Ok().json(page.await?));
    }
    let after = after(paging.after.as_deref())?;
    let found = app.run(async move |app| programs::list(&app, brand, after, limit).await).await?;
    let data = found.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |program: &ProgramView| program.id.to_string())))
}

/// Read a program
#[utoipa::path(get, path = "/api/v1/programs/{id}", tag = "programs", params(("id" = String, Path, example = "prg_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The program", body = ProgramView), (status = 404, description = "Unknown", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, id(&path, "program")?);
    Ok(respond(&app.run(async move |app| programs::read(&app, brand, program).await).await?))
}

/// Change a program
#[utoipa::path(patch, path = "/api/v1/programs/{id}", tag = "programs", request_body = UpdateProgram,
    params(("id" = String, Path, example = "prg_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The program", body = ProgramView), (status = 412, description = "Changed by somebody else", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn update(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<UpdateProgram>,
) -> Result<HttpResponse, Problem> {
    let (brand, program) = (allow.caller.brand.id, id(&path, "program")?);
    let UpdateProgram { name, time_zone } = body.value;
    let done = app.run(async move |app| programs::update(&app, brand, program, name, time_zone, seen.0).await);
    Ok(respond(&done.await?))
}
