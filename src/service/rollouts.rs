//! Roll-outs: a template version on its way to the passes of the template.

use chrono::TimeDelta;
use serde_json::json;

use crate::domain::ids::{BrandId, PassId, RolloutId, TemplateId};
use crate::domain::rollout::{Progress, RolloutState, STEP_MAX, Seen, Stage, Step, WAITING_MAX, next, tail_from};

use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::brands;
use crate::store::rollouts::{self, Rollout};
use crate::store::templates::{self, Template};

/// Refused passes that are counted beyond those that somebody saw.
const COUNTED_MAX: i64 = 100;

/// How a version goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The share of passes that get it first; `None`: a twentieth, or none where there are fewer than a hundred.
    pub canary_percent: Option<i64>,
    /// How long the canary is watched.
    pub hold_minutes: i64,
    /// Passes a minute at most; `None`: as fast as they can be published.
    pub per_minute: Option<i64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { canary_percent: None, hold_minutes: 10, per_minute: None }
    }
}

impl Plan {
    pub(super) fn check(self) -> Result<Self, Problem> {
        let within = |value: Option<i64>, low: i64, high: i64, pointer: &'static str| match value {
            Some(value) if !(low..=high).contains(&value) => {
                Err(Problem::invalid(pointer, format!("must be from {low} to {high}")))
            }
            _ => Ok(()),
        };
        within(self.canary_percent, 0, 100, "/canary_percent")?;
        within(Some(self.hold_minutes), 0, 10_080, "/hold_minutes")?;
        within(self.per_minute, 1, 1_000_000, "/per_minute")?;
        Ok(self)
    }

    fn canary(self, total: i64) -> i64 {
        let percent = self.canary_percent.unwrap_or(if total < 100 { 0 } else { 5 });
        (total * percent + 99) / 100
    }
}

/// Begins to bring `version` (the newest if absent) to all passes of a template. One that is under way gives place.
pub async fn start(
    app: &App,
    brand: BrandId,
    template: TemplateId,
    version: Option<i64>,
    plan: Plan,
) -> Result<Rollout, Problem> {
    let plan = plan.check()?;
    let total = rollouts::count_passes(&mut app.db.read().await?.conn(), brand, template).await?;
    let mut tx = app.db.begin().await?;
    let rollout = start_in(app, &mut tx.conn(), brand, template, version, plan, total).await?;
    tx.commit().await?;
    app.rolled.notify_one();
    Ok(rollout)
}

/// Begins to sign and publish the live passes of a brand again, template by template: with a new certificate, for instance.
/// A template that has a roll-out under way is left out, and named in the second list.
pub async fn start_resigning(
    app: &App,
    brand: BrandId,
    pass_type: Option<&str>,
    plan: Plan,
) -> Result<(Vec<Rollout>, Vec<TemplateId>), Problem> {
    let plan = plan.check()?;
    if let Some(pass_type) = pass_type {
        let owner = brands::find_owner(&mut app.db.read().await?.conn(), pass_type).await?;
        owner.filter(|owner| *owner == brand).ok_or(Problem::NotFound { what: "pass type" })?;
    }
    let templates_found = rollouts::list_with_passes(&mut app.db.read().await?.conn(), brand, pass_type).await?;
    let (mut started, mut left_out) = (Vec::new(), Vec::new());
    for (template, total) in templates_found {
        let mut tx = app.db.begin().await?;
        let found = templates::find(&mut tx.conn(), brand, template).await?;
        let Some(found) = found else { continue };
        let rollout = Rollout { resigns: true, ..fresh(app, &found, found.live_version, plan, total) };
        if rollouts::insert(&mut tx.conn(), brand, &rollout).await? {
            record(app, &mut tx.conn(), brand, "rollout.started", &rollout).await?;
            tx.commit().await?;
            started.push(rollout);
        } else {
            left_out.push(template);
        }
    }
    app.rolled.notify_one();
    Ok((started, left_out))
}

/// Begins a roll-out in a transaction of the caller's, which wakes the roller when it is through.
pub(super) async fn start_in(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    template: TemplateId,
    version: Option<i64>,
    plan: Plan,
    total: i64,
) -> Result<Rollout, Problem> {
    // First: a step that is just making the one before live is waited for.
    rollouts::supersede(conn, brand, template, app.clock.now()).await?;
    let found = templates::find(conn, brand, template).await?.ok_or(Problem::NotFound { what: "template" })?;
    let to_version = version.unwrap_or(found.version);
    if !(1..=found.version).contains(&to_version) {
        return Err(Problem::invalid("/version", format!("must be from 1 to {}", found.version)));
    }
    let rollout = fresh(app, &found, to_version, plan, total);
    if !rollouts::insert(conn, brand, &rollout).await? {
        return Err(Problem::Busy); // another began in the same moment
    }
    record(app, conn, brand, "rollout.started", &rollout).await?;
    Ok(rollout)
}

/// A roll-out that has not begun.
fn fresh(app: &App, template: &Template, to_version: i64, plan: Plan, total: i64) -> Rollout {
    let now = app.clock.now();
    let canary = plan.canary(total);
    Rollout {
        id: RolloutId::new(app.clock.new_id()),
        template_id: template.id,
        from_version: template.live_version,
        to_version,
        resigns: false,
        state: RolloutState::Running,
        stage: Stage::Canary,
        reason: None,
        canary,
        hold_secs: if canary > 0 { plan.hold_minutes * 60 } else { 0 },
        per_minute: plan.per_minute,
        total,
        refused_seen: 0,
        touched: 0,
        touched_to: PassId::FIRST,
        next_at: now,
        stage_at: now,
        created_at: now,
        updated_at: now,
    }
}

pub async fn read(app: &App, brand: BrandId, rollout: RolloutId) -> Result<(Rollout, i64), Problem> {
    let mut reader = app.db.read().await?;
    let found = rollouts::find(&mut reader.conn(), brand, rollout).await?;
    let found = found.ok_or(Problem::NotFound { what: "rollout" })?;
    let waiting = rollouts::count_waiting(&mut reader.conn(), brand, found.template_id, WAITING_MAX).await?;
    Ok((found, waiting))
}

pub async fn list(app: &App, brand: BrandId, after: Option<RolloutId>, limit: i64) -> Result<Vec<Rollout>, Problem> {
    Ok(rollouts::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

/// What somebody does to a roll-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Pause,
    Resume,
    /// Stops it for good. Passes that have the version keep it, new ones get the version from before; starting a roll-out of
    /// that version brings the others back.
    Abort,
}

/// Obeys; doing the same twice is harmless.
pub async fn order(app: &App, brand: BrandId, rollout: RolloutId, order: Order) -> Result<Rollout, Problem> {
    use RolloutState::{Aborted, Paused, Running};
    let (from, to, kind): (&[RolloutState], _, _) = match order {
        Order::Pause => (&[Running], Paused, "rollout.paused"),
        Order::Resume => (&[Paused], Running, "rollout.resumed"),
        Order::Abort => (&[Running, Paused], Aborted, "rollout.aborted"),
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut is_changed = false;
    for seen in from {
        is_changed |= rollouts::set_state(&mut tx.conn(), brand, rollout, *seen, to, None, now).await?;
    }
    let found = rollouts::find(&mut tx.conn(), brand, rollout).await?.ok_or(Problem::NotFound { what: "rollout" })?;
    if !is_changed {
        return if found.state == to { Ok(found) } else { Err(Problem::RolloutOver { state: found.state }) };
    }
    if order == Order::Abort {
        let (seen, back) = (Some(found.to_version), found.from_version);
        templates::set_live(&mut tx.conn(), brand, found.template_id, seen, back).await?;
    }
    record(app, &mut tx.conn(), brand, kind, &found).await?;
    tx.commit().await?;
    if order == Order::Abort && !found.resigns {
        take_back(app, brand, &found).await?;
    }
    app.rolled.notify_one();
    Ok(found)
}

/// After an abort: passes that were marked for the version and do not have it yet are published with the one before.
async fn take_back(app: &App, brand: BrandId, rollout: &Rollout) -> Result<(), Problem> {
    let (template, to, from) = (rollout.template_id, rollout.to_version, rollout.from_version);
    loop {
        let mut tx = app.db.begin().await?;
        let taken = rollouts::unwant_version(&mut tx.conn(), brand, template, to, from, STEP_MAX).await?;
        tx.commit().await?;
        if taken < STEP_MAX.unsigned_abs() {
            break;
        }
    }
    super::templates::retry_refused(app, brand, template, from).await
}

/// The brand after `after` with a roll-out that has a step to make.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(rollouts::next_due_brand(&mut app.db.read().await?.conn(), after, app.clock.now()).await?)
}

/// Makes one step of one of the brand's roll-outs; `false` when none has a step to make.
pub async fn step(app: &App, brand: BrandId) -> Result<bool, Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(mut rollout) = rollouts::lock_due(&mut tx.conn(), brand, now).await? else { return Ok(false) };
    let (template, version) = (rollout.template_id, rollout.to_version);
    let refused = rollouts::count_refused(&mut tx.conn(), brand, template, rollout.refused_seen + COUNTED_MAX).await?;
    let seen = Seen {
        waiting: rollouts::count_waiting(&mut tx.conn(), brand, template, WAITING_MAX).await?,
        refused: (refused - rollout.refused_seen).max(0),
    };
    let progress = Progress {
        stage: rollout.stage,
        canary: rollout.canary,
        touched: rollout.touched,
        per_minute: rollout.per_minute,
        stage_at: rollout.stage_at,
        hold: TimeDelta::seconds(rollout.hold_secs),
    };
    rollout.updated_at = now;
    match next(&progress, seen, now) {
        Step::Wait { until } => rollout.next_at = until,
        Step::Pause { .. } => {
            // Whoever resumes it has seen these.
            (rollout.state, rollout.refused_seen) = (RolloutState::Paused, refused);
            rollout.reason = Some(format!("{refused} passes are refused with version {version}"));
            record(app, &mut tx.conn(), brand, "rollout.paused", &rollout).await?;
            tracing::error!(template.id = %template, "the roll-out of {template} is paused: {refused} passes are refused");
        }
        Step::Enter(stage) => enter(&mut tx.conn(), brand, &mut rollout, stage, now).await?,
        Step::Touch { limit, again_at } => {
            let passes = rollouts::lock_passes(&mut tx.conn(), brand, template, rollout.touched_to, limit).await?;
            if rollout.resigns {
                rollouts::want_signature(&mut tx.conn(), brand, &passes, now).await?;
            } else {
                rollouts::want_version(&mut tx.conn(), brand, &passes, version, now).await?;
            }
            let count = i64::try_from(passes.len()).map_err(Problem::internal)?;
            rollout.touched_to = passes.last().copied().unwrap_or(rollout.touched_to);
            if rollout.stage != Stage::Tail {
                rollout.touched += count;
            }
            rollout.next_at = again_at;
            if count < limit {
                over(app, &mut tx.conn(), brand, &mut rollout, now).await?;
            }
        }
    }
    rollouts::advance(&mut tx.conn(), brand, &rollout).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(true)
}

async fn enter(
    conn: &mut Conn<'_>,
    brand: BrandId,
    rollout: &mut Rollout,
    stage: Stage,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Problem> {
    rollout.stage = stage;
    (rollout.stage_at, rollout.next_at) = (now, now);
    if stage == Stage::Rest {
        // From here on new passes are made with it.
        templates::set_live(conn, brand, rollout.template_id, None, rollout.to_version).await?;
    }
    Ok(())
}

/// There are no more passes after the last one.
async fn over(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    rollout: &mut Rollout,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Problem> {
    match rollout.stage {
        // There are fewer than were counted.
        Stage::Canary => enter(conn, brand, rollout, Stage::Hold, now).await?,
        // Passes that were issued meanwhile are signed with what signs now.
        Stage::Rest if !rollout.resigns => {
            rollout.touched_to = PassId::new(tail_from(rollout.stage_at));
            enter(conn, brand, rollout, Stage::Tail, now).await?;
        }
        Stage::Rest | Stage::Hold | Stage::Tail => {
            rollout.state = RolloutState::Finished;
            rollout.total = rollout.touched;
            record(app, conn, brand, "rollout.finished", rollout).await?;
        }
    }
    Ok(())
}

async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    rollout: &Rollout,
) -> Result<(), Problem> {
    let about = About { subject: rollout.id.uuid(), ..About::default() };
    let data = json!({
        "rollout_id": rollout.id, "template_id": rollout.template_id, "from_version": rollout.from_version,
        "to_version": rollout.to_version,
    });
    timeline::record(app, conn, brand, kind, about, data).await
}
