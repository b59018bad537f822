//! Loyalty programs.

use chrono_tz::Tz;
use serde_json::json;

use crate::domain::ids::{BrandId, PassId, ProgramId};
use crate::domain::text;
use crate::service::once::{self, Once, Reply};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::passes;
use crate::store::programs::{self, Program};

/// Passes that one transaction marks.
const TOUCH_BATCH: i64 = 500;

#[derive(Debug, Clone)]
pub struct NewProgram {
    pub name: String,
    pub external_id: Option<String>,
    pub time_zone: String,
}

/// Creates a program; the same `external_id` with the same content answers the first again.
pub async fn create(
    app: &App,
    brand: BrandId,
    new: NewProgram,
    once: Option<&Once>,
    body: fn(&Program) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let now = app.clock.now();
    let program = Program {
        id: ProgramId::new(app.clock.new_id()),
        external_id: new
            .external_id
            .map(|id| text::line(&id, 100))
            .transpose()
            .map_err(Problem::text("/external_id"))?,
        name: text::line(&new.name, 64).map_err(Problem::text("/name"))?,
        time_zone: checked_zone(&new.time_zone)?,
        version: 1,
        rules_version: 0,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand, once, now).await? {
        return Ok(reply);
    }
    if !programs::insert(&mut tx.conn(), brand, &program).await? {
        let external_id = program.external_id.as_deref().unwrap_or_default();
        let first = programs::find_by_external_id(&mut tx.conn(), brand, external_id).await?;
        let first = first.ok_or(Problem::ExternalIdTaken)?;
        if first.name != program.name || first.time_zone != program.time_zone {
            return Err(Problem::ExternalIdTaken);
        }
        let reply = once::end(&mut tx.conn(), brand, once, 200, body(&first)).await?;
        tx.commit().await?;
        return Ok(Reply { is_replayed: true, ..reply });
    }
    record(app, &mut tx.conn(), brand, "program.created", program.id).await?;
    let reply = once::end(&mut tx.conn(), brand, once, 201, body(&program)).await?;
    tx.commit().await?;
    Ok(reply)
}

/// Edits a program at the version the editor saw (`None`: whichever it is). Its passes are marked by a worker: there may be
/// a million.
pub async fn update(
    app: &App,
    brand: BrandId,
    program: ProgramId,
    name: Option<String>,
    time_zone: Option<String>,
    seen_version: Option<i64>,
) -> Result<Program, Problem> {
    let name = name.map(|name| text::line(&name, 64)).transpose().map_err(Problem::text("/name"))?;
    let time_zone = time_zone.as_deref().map(checked_zone).transpose()?;
    let mut tx = app.db.begin().await?;
    let (name, time_zone, now) = (name.as_deref(), time_zone.as_deref(), app.clock.now());
    let updated = programs::update(&mut tx.conn(), brand, program, name, time_zone, seen_version, now).await?;
    let Some(updated) = updated else {
        let exists = programs::find(&mut tx.conn(), brand, program).await?.is_some();
        return Err(if exists { Problem::VersionMismatch } else { Problem::NotFound { what: "program" } });
    };
    record(app, &mut tx.conn(), brand, "program.updated", program).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(updated)
}

pub async fn find_by_external_id(app: &App, brand: BrandId, external_id: &str) -> Result<Option<Program>, Problem> {
    Ok(programs::find_by_external_id(&mut app.db.read().await?.conn(), brand, external_id).await?)
}

/// Lets all passes of a program be looked at again.
pub async fn touch(app: &App, brand: BrandId, program: ProgramId) -> Result<(), Problem> {
    let mut tx = app.db.begin().await?;
    programs::set_touched(&mut tx.conn(), brand, program, Some(PassId::FIRST)).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(())
}

/// The brand after `after` with a program that changed.
pub async fn next_brand_to_touch(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(programs::next_brand_to_touch(&mut app.db.read().await?.conn(), after).await?)
}

/// Marks the next passes of a program that changed to be published: templates show its name, and its zone decides when a
/// day begins. `false`: no more of the brand's are to be marked.
pub async fn touch_some(app: &App, brand: BrandId) -> Result<bool, Problem> {
    let mut tx = app.db.begin().await?;
    let Some(next) = programs::lock_to_touch(&mut tx.conn(), brand).await? else { return Ok(false) };
    let touched = passes::touch_program(&mut tx.conn(), brand, next.program_id, next.touched_to, TOUCH_BATCH).await?;
    programs::set_touched(&mut tx.conn(), brand, next.program_id, touched.last().copied()).await?;
    tx.commit().await?;
    Ok(true)
}

pub async fn read(app: &App, brand: BrandId, program: ProgramId) -> Result<Program, Problem> {
    let found = programs::find(&mut app.db.read().await?.conn(), brand, program).await?;
    found.ok_or(Problem::NotFound { what: "program" })
}

pub async fn list(app: &App, brand: BrandId, after: Option<ProgramId>, limit: i64) -> Result<Vec<Program>, Problem> {
    Ok(programs::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

fn checked_zone(time_zone: &str) -> Result<String, Problem> {
    let zone = time_zone.parse::<Tz>();
    let zone =
        zone.map_err(|_| Problem::invalid("/time_zone", "time_zone must be an IANA name such as America/Sao_Paulo"))?;
    Ok(zone.name().to_owned())
}

async fn record(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    program: ProgramId,
) -> Result<(), Problem> {
    let about = About { subject: program.uuid(), ..About::default() };
    timeline::record(app, conn, brand, kind, about, json!({ "program_id": program })).await
}
