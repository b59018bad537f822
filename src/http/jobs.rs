//! `/api/v1/jobs`: long work, how far it is, and what became of each line.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{BrandId, JobId};
use crate::domain::job::{JobKind, JobState, LineOutcome, Tally};
use crate::domain::role::Role;
use crate::domain::rows::RowFormat;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::extract::{Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::http::table::Table;
use crate::service::imports::{self, Outcome};
use crate::service::keys::Caller;
use crate::service::{App, Problem};
use crate::store::jobs::Job;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobView {
    #[schema(value_type = String, example = "job_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: JobId,
    #[schema(value_type = String, example = "import_passes")]
    kind: JobKind,
    /// running, finished, cancelled or failed.
    #[schema(value_type = String, example = "running")]
    state: JobState,
    /// Why it failed, or what it is waiting for.
    reason: Option<String>,
    lines: Lines,
    /// How much of the file is done, from 0 to 1.
    #[schema(example = 0.42)]
    progress: f64,
    size_bytes: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Lines by what became of them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Lines {
    done: i64,
    created: i64,
    changed: i64,
    /// There already, just so.
    unchanged: i64,
    refused: i64,
}

impl From<Tally> for Lines {
    fn from(tally: Tally) -> Self {
        let Tally { created, changed, unchanged, refused } = tally;
        Self { done: tally.total(), created, changed, unchanged, refused }
    }
}

pub fn view(job: &Job) -> JobView {
    JobView {
        id: job.id,
        kind: job.kind,
        state: job.state,
        reason: job.reason.clone(),
        lines: job.tally.into(),
        progress: progress(job),
        size_bytes: job.size_bytes,
        created_at: job.created_at,
        updated_at: job.updated_at,
    }
}

/// From 0 to 1.
pub fn progress(job: &Job) -> f64 {
    if job.size_bytes == 0 { 1.0 } else { job.offset_bytes as f64 / job.size_bytes as f64 }
}

/// List jobs
///
/// Newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "imports", params(Paging),
    responses((status = 200, description = "A page", body = Page<JobView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| imports::list(&app, brand, after, limit).await).await?;
    let data = found.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |job: &JobView| job.id.to_string())))
}

/// Read a job
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "imports", params(("id" = String, Path, example = "job_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The job", body = JobView)))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Pos, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, job) = (allow.caller.brand.id, id(&path, "job")?);
    let job = app.run(async move |app| imports::read(&app, brand, job).await).await?;
    is_theirs(&allow.caller, &job)?;
    Ok(HttpResponse::Ok().json(view(&job)))
}

/// A till sees the files that its store sent.
fn is_theirs(caller: &Caller, job: &Job) -> Result<(), Problem> {
    let is_its_own = job.defaults.store.is_some() && job.defaults.store == caller.key.store_id;
    if caller.key.role == Role::Pos && !is_its_own { Err(Problem::NotFound { what: "job" }) } else { Ok(()) }
}

/// Cancel a job
///
/// What it did stays. One that is over stays as it is.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "imports", params(("id" = String, Path, example = "job_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The job", body = JobView)))]
pub async fn cancel(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, job) = (allow.caller.brand.id, id(&path, "job")?);
    let job = app.run(async move |app| imports::cancel(&app, brand, job).await).await?;
    Ok(HttpResponse::Ok().json(view(&job)))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Results {
    /// csv or ndjson; ndjson if absent.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<RowFormat>,
    /// Only lines of this outcome: created, changed, unchanged or refused.
    #[param(value_type = Option<String>, example = "refused")]
    outcome: Option<LineOutcome>,
}

/// What is told of each line.
const COLUMNS: &[&str] = &["line", "outcome", "id", "external_id", "serial", "add_url", "code", "pointer", "detail"];

/// What became of each line
///
/// A file with a row for each line that is done, in the lines' order: its number, outcome, and the id of what it made, of a
/// pass the address that offers it too; or why it was refused. Kept for 30 days, if the installation does not say otherwise.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/results", tag = "imports", params(("id" = String, Path, example = "job_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), Results),
    responses((status = 200, description = "The file", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub async fn results(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    query: Query<Results>,
) -> Result<HttpResponse, Problem> {
    let (brand, job): (_, JobId) = (allow.caller.brand.id, id(&path, "job")?);
    let Query(Results { format, outcome }) = query;
    let found = app.run(async move |app| imports::read(&app, brand, job).await).await?;
    is_theirs(&allow.caller, &found)?;
    let table = results_table(format.unwrap_or(RowFormat::Ndjson));
    let app = app.into_inner();
    Ok(table.answer(&job.to_string(), 0, move |after| {
        let app = App::clone(&app);
        async move { app.run(async move |app| results_page(&app, brand, job, table, outcome, after).await).await }
    }))
}

pub const fn results_table(format: RowFormat) -> Table {
    Table { format, columns: COLUMNS }
}

/// Rows for the lines after `after`, and where to go on.
pub async fn results_page(
    app: &App,
    brand: BrandId,
    job: JobId,
    table: Table,
    wanted: Option<LineOutcome>,
    after: i64,
) -> Result<(Vec<u8>, Option<i64>), Problem> {
    let Some((mut outcomes, next)) = imports::list_outcomes(app, brand, job, after).await? else {
        return Ok((Vec::new(), None));
    };
    outcomes.retain(|outcome| wanted.is_none_or(|wanted| outcome.outcome == wanted));
    let made = imports::find_made(app, brand, &outcomes).await?;
    let made: HashMap<String, _> = made.into_iter().map(|made| (made.pass_id.to_string(), made)).collect();
    let mut rows = Vec::new();
    for outcome in outcomes {
        let Outcome { line, outcome, id, code, pointer, detail } = outcome;
        let made = id.as_ref().and_then(|id| made.get(id));
        let text = |text: Option<String>| text.map_or(Value::Null, Value::String);
        let add_url = made.map(|made| format!("{}/p/{}", app.config.server.public_url, made.link));
        rows.extend(table.row(vec![
            line.into(),
            outcome.as_str().into(),
            text(id.clone()),
            text(made.and_then(|made| made.external_id.clone())),
            text(made.map(|made| made.serial.clone())),
            text(add_url),
            text(code),
            text(pointer),
            text(detail),
        ]));
    }
    Ok((rows, Some(next)))
}
