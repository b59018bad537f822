//! Changing a pass: its data, its end.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::ids::{BrandId, PassId};
use crate::domain::json::merge;
use crate::domain::pass::PassStatus;
use crate::domain::secret::Personal;
use crate::service::customers::check_size;
use crate::service::issue_pass::DATA_MAX;
use crate::service::publish::render;
use crate::service::templates::{self, TemplateVersion};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::brands::{self, Brand};
use crate::store::passes::{self, Pass};
use crate::store::publication;

/// Times a merge is tried again when another request changed the pass in between.
const ATTEMPTS: usize = 10;

/// Merges `patch` into the pass's data (null removes). With `seen` the pass must still be at that change.
pub async fn patch(
    app: &App,
    brand: BrandId,
    pass: PassId,
    patch: &Personal<Map<String, Value>>,
    seen: Option<i64>,
) -> Result<Pass, Problem> {
    let (owner, template) = prepare(app, brand, pass).await?;
    for _ in 0..ATTEMPTS {
        let mut tx = app.db.begin().await?;
        let current = passes::find(&mut tx.conn(), brand, pass).await?.ok_or(Problem::NotFound { what: "pass" })?;
        if seen.is_some_and(|seen| seen != current.change_no) {
            return Err(Problem::VersionMismatch);
        }
        let mut data = current.data.reveal().clone();
        merge(&mut data, patch.reveal());
        check_size("/data", &data, DATA_MAX)?;
        if data == *current.data.reveal() {
            return Ok(current);
        }
        let now = app.clock.now();
        let changed = passes::set_data(&mut tx.conn(), brand, pass, &data, current.change_no, now).await?;
        let Some(changed) = changed else { continue };
        // Refused now, with a reason, rather than by the publisher where nobody listens.
        for source in publication::load_sources(&mut tx.conn(), brand, &[pass]).await? {
            // Only this: a certificate that is missing is no fault of the change.
            if let Err(problem @ Problem::TemplateRefused { .. }) = render(app, &owner, &source, &template) {
                return Err(problem);
            }
        }
        record(app, &mut tx.conn(), brand, "pass.changed", &changed).await?;
        tx.commit().await?;
        app.changed.notify_one();
        return Ok(changed);
    }
    Err(Problem::Busy)
}

/// The brand and the design behind a pass, ready before the transaction begins.
async fn prepare(app: &App, brand: BrandId, pass: PassId) -> Result<(Brand, Arc<TemplateVersion>), Problem> {
    let missing = || Problem::NotFound { what: "pass" };
    let mut reader = app.db.read().await?;
    let sources = publication::load_sources(&mut reader.conn(), brand, &[pass]).await?;
    let source = sources.into_iter().next().ok_or_else(missing)?;
    let owner = brands::load(&mut reader.conn(), brand).await?;
    drop(reader);
    Ok((owner, templates::load(app, brand, source.template_id, source.template_version).await?))
}

/// Takes a pass back. A pass that is voided stays as it is.
pub async fn void(app: &App, brand: BrandId, pass: PassId) -> Result<Pass, Problem> {
    end(app, brand, pass, PassStatus::Voided, "pass.voided").await
}

/// Ends the time of an active pass. A pass that is expired stays as it is, and so does one that is voided.
pub async fn expire(app: &App, brand: BrandId, pass: PassId) -> Result<Pass, Problem> {
    end(app, brand, pass, PassStatus::Expired, "pass.expired").await
}

async fn end(app: &App, brand: BrandId, pass: PassId, to: PassStatus, kind: &'static str) -> Result<Pass, Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut ended = passes::set_status(&mut tx.conn(), brand, pass, PassStatus::Active, to, now).await?;
    if ended.is_none() && to == PassStatus::Voided {
        ended = passes::set_status(&mut tx.conn(), brand, pass, PassStatus::Expired, to, now).await?;
    }
    let Some(ended) = ended else {
        let known = passes::find(&mut tx.conn(), brand, pass).await?;
        return known.ok_or(Problem::NotFound { what: "pass" });
    };
    record(app, &mut tx.conn(), brand, kind, &ended).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(ended)
}

async fn record(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    pass: &Pass,
) -> Result<(), Problem> {
    let about = About { customer: Some(pass.customer_id), pass: Some(pass.id), subject: pass.id.uuid() };
    timeline::record(app, conn, brand, kind, about, json!({ "pass_id": pass.id, "status": pass.status })).await
}
