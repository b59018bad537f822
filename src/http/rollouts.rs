//! `/api/v1/rollouts`: new template versions on their way to passes.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{RolloutId, TemplateId};
use crate::domain::rollout::{RolloutState, Stage};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::service::rollouts::{Order, Plan};
use crate::service::{App, Problem, rollouts};
use crate::store::rollouts::Rollout;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RolloutView {
    #[schema(value_type = String, example = "rol_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: RolloutId,
    #[schema(value_type = String, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    template_id: TemplateId,
    from_version: i64,
    to_version: i64,
    /// Whether live passes are signed and published again, whatever they look like (`passarela certs rollout`).
    resigns: bool,
    /// running, paused, finished, aborted, superseded
    #[schema(value_type = String, example = "running")]
    state: RolloutState,
    /// canary, hold (the canary is watched), rest, tail (late passes are looked at again)
    #[schema(value_type = String, example = "rest")]
    stage: Stage,
    /// Why it was paused by itself.
    reason: Option<String>,
    /// Passes of the canary.
    canary: i64,
    hold_minutes: i64,
    per_minute: Option<i64>,
    /// Passes of the template.
    total: i64,
    /// Passes looked at so far.
    done: i64,
    /// Of those, the ones that wait to be published (counted up to 1,000); null in lists.
    waiting: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

pub fn view(rollout: Rollout, waiting: Option<i64>) -> RolloutView {
    let Rollout { id, template_id, from_version, to_version, resigns, state, stage, reason, canary, .. } = rollout;
    let Rollout { hold_secs, per_minute, total, touched, created_at, updated_at, .. } = rollout;
    RolloutView {
        id,
        template_id,
        from_version,
        to_version,
        resigns,
        state,
        stage,
        reason,
        canary,
        hold_minutes: hold_secs / 60,
        per_minute,
        total,
        done: touched,
        waiting,
        created_at,
        updated_at,
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    #[schema(value_type = String, example = "tpl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    template_id: TemplateId,
    /// The newest if absent; an older one goes back to it.
    version: Option<i64>,
    /// How many percent of the passes get it first; 5 if absent, or none where there are fewer than a hundred.
    canary_percent: Option<i64>,
    /// How long they are watched; 10 if absent.
    hold_minutes: Option<i64>,
    /// Passes a minute at most; as fast as they can be published if absent.
    per_minute: Option<i64>,
}

/// Start a roll-out
///
/// Brings a version of a template to all its passes. A roll-out of the same template that is under way is superseded.
#[utoipa::path(post, path = "/api/v1/rollouts", tag = "rollouts", request_body = StartBody,
    responses((status = 201, description = "It begins", body = RolloutView)))]
pub async fn start(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    body: Body<StartBody>,
) -> Result<HttpResponse, Problem> {
    let (brand, body) = (allow.caller.brand.id, body.value);
    let plan = Plan {
        canary_percent: body.canary_percent,
        hold_minutes: body.hold_minutes.unwrap_or(Plan::default().hold_minutes),
        per_minute: body.per_minute,
    };
    let (template, version) = (body.template_id, body.version);
    let rollout = app.run(async move |app| rollouts::start(&app, brand, template, version, plan).await).await?;
    Ok(HttpResponse::Created().json(view(rollout, None)))
}

/// List roll-outs
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "rollouts", params(Paging),
    responses((status = 200, description = "A page", body = Page<RolloutView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| rollouts::list(&app, brand, after, limit).await).await?;
    let data = found.into_iter().map(|rollout| view(rollout, None)).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |rollout: &RolloutView| rollout.id.to_string())))
}

/// Read a roll-out
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", tag = "rollouts", params(("id" = String, Path, example = "rol_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "How far it is", body = RolloutView)))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, rollout) = (allow.caller.brand.id, id(&path, "rollout")?);
    let (rollout, waiting) = app.run(async move |app| rollouts::read(&app, brand, rollout).await).await?;
    Ok(HttpResponse::Ok().json(view(rollout, Some(waiting))))
}

async fn obey(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    path: &str,
    order: Order,
) -> Result<HttpResponse, Problem> {
    let (brand, rollout) = (allow.caller.brand.id, id(path, "rollout")?);
    let rollout = app.run(async move |app| rollouts::order(&app, brand, rollout, order).await).await?;
    Ok(HttpResponse::Ok().json(view(rollout, None)))
}

/// Pause a roll-out
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/pause", tag = "rollouts", params(("id" = String, Path, example = "rol_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "It is paused", body = RolloutView), (status = 409, description = "rollout-over", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn pause(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    obey(allow, app, &path, Order::Pause).await
}

/// Resume a roll-out
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/resume", tag = "rollouts", params(("id" = String, Path, example = "rol_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "It goes on", body = RolloutView), (status = 409, description = "rollout-over", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn resume(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    obey(allow, app, &path, Order::Resume).await
}

/// Abort a roll-out
///
/// Passes that have the version keep it, new ones get the version from before. Starting a roll-out of that version brings the
/// others back.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/abort", tag = "rollouts", params(("id" = String, Path, example = "rol_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "It is over", body = RolloutView), (status = 409, description = "rollout-over", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn abort(
    allow: Allow<(Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    obey(allow, app, &path, Order::Abort).await
}
