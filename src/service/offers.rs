//! Offers: what marketing promises. With a price in units, a reward.

use serde_json::{Value, json};
use sqlx::types::Json;

use crate::domain::ids::{BrandId, OfferId, ProgramId};
use crate::domain::loyalty::offer::OfferRules;
use crate::domain::text;
use crate::service::coupons::end_of;
use crate::service::issue_pass::TemplateRef;
use crate::service::loyalty::rules;
use crate::service::program_rules::refused;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, coupon_passes, stores, templates};
use crate::store::Conn;
use crate::store::offers::{self, Offer, OfferState};
use crate::store::program_rules;

/// What an offer is made from.
#[derive(Debug, Clone)]
pub struct NewOffer {
    pub program: ProgramId,
    pub external_id: Option<String>,
    pub name: String,
    pub state: OfferState,
    pub rules: Value,
}

/// Makes an offer. `true`: it is new; the same `external_id` and content again is the offer that has it.
pub async fn create(app: &App, brand: BrandId, new: NewOffer) -> Result<(Offer, bool), Problem> {
    let name = text::line(&new.name, 64).map_err(Problem::text("/name"))?;
    let external_id = new.external_id.as_deref().map(|id| text::line(id, 100)).transpose();
    let external_id = external_id.map_err(Problem::text("/external_id"))?;
    check_named(app, brand, new.program, &name, &new.rules).await?;
    let mut tx = app.db.begin().await?;
    let ready = rules::current(app, &mut tx.conn(), brand, new.program).await?;
    let read = OfferRules::read(&new.rules, |key| ready.scale(key)).map_err(refused)?;
    let now = app.clock.now();
    let offer = Offer {
        id: OfferId::new(app.clock.new_id()),
        program_id: new.program,
        external_id,
        name,
        state: new.state,
        spec: Json(new.rules),
        uses_left: read.limit,
        stock_left: read.stock,
        budget_left_minor: read.budget_minor,
        version: 1,
        created_at: now,
        updated_at: now,
        stopped_at: None,
    };
    if !offers::insert(&mut tx.conn(), brand, &offer).await? {
        let known = match &offer.external_id {
            Some(external_id) => offers::find_by_external_id(&mut tx.conn(), brand, external_id).await?,
            None => None,
        };
        let known = known.ok_or(Problem::Busy)?;
        let is_same = known.name == offer.name && known.spec.0 == offer.spec.0 && known.program_id == offer.program_id;
        return if is_same { Ok((known, false)) } else { Err(Problem::ExternalIdTaken) };
    }
    program_rules::touch(&mut tx.conn(), brand, new.program).await?;
    record(app, &mut tx.conn(), brand, "offer.created", &offer).await?;
    tx.commit().await?;
    Ok((offer, true))
}

/// Edits an offer at the version that the editor saw (`None`: whichever it is). Its limits are counted down from where they
/// began; other limits are another offer.
pub async fn update(
    app: &App,
    brand: BrandId,
    id: OfferId,
    name: Option<&str>,
    state: Option<OfferState>,
    given: Option<Value>,
    seen: Option<i64>,
) -> Result<Offer, Problem> {
    if let Some(given) = &given {
        let known = read(app, brand, id).await?;
        check_named(app, brand, known.program_id, name.unwrap_or(&known.name), given).await?;
    }
    let mut tx = app.db.begin().await?;
    let mut edited = offers::find(&mut tx.conn(), brand, id).await?.ok_or(Problem::NotFound { what: "offer" })?;
    if seen.is_some_and(|seen| seen != edited.version) {
        return Err(Problem::VersionMismatch);
    }
    if let Some(name) = name {
        edited.name = text::line(name, 64).map_err(Problem::text("/name"))?;
    }
    let (was, is) = (edited.state, state.unwrap_or(edited.state));
    edited.state = is;
    match (was, is) {
        (OfferState::Running, OfferState::Draft | OfferState::Ended) => edited.stopped_at = Some(app.clock.now()),
        (_, OfferState::Running) => edited.stopped_at = None,
        (OfferState::Draft | OfferState::Ended, OfferState::Draft | OfferState::Ended) => {}
    }
    if let Some(given) = given {
        let ready = rules::current(app, &mut tx.conn(), brand, edited.program_id).await?;
        let was = OfferRules::read(&edited.spec, |key| ready.scale(key)).map_err(refused)?;
        let is = OfferRules::read(&given, |key| ready.scale(key)).map_err(refused)?;
        if (was.limit, was.stock, was.budget_minor) != (is.limit, is.stock, is.budget_minor) {
            let detail = "limits.total, stock and budget are counted down from where they began, and stay";
            return Err(Problem::invalid("/rules/limits", detail));
        }
        edited.spec = Json(given);
    }
    edited.updated_at = app.clock.now();
    program_rules::touch(&mut tx.conn(), brand, edited.program_id).await?;
    if !offers::update(&mut tx.conn(), brand, &edited).await? {
        return Err(Problem::VersionMismatch);
    }
    record(app, &mut tx.conn(), brand, "offer.changed", &edited).await?;
    tx.commit().await?;
    edited.version += 1;
    Ok(edited)
}

/// What an offer names is there, and its coupons can be shown.
async fn check_named(app: &App, brand: BrandId, program: ProgramId, name: &str, given: &Value) -> Result<(), Problem> {
    let mut reader = app.db.read().await?;
    let ready = rules::current(app, &mut reader.conn(), brand, program).await?;
    let read = OfferRules::read(given, |key| ready.scale(key)).map_err(refused)?;
    stores::check_named(&mut reader.conn(), brand, "/rules/stores", &read.stores).await?;
    let Some(template) = &read.coupon_template else { return Ok(()) };
    let refuse = |detail: String| Problem::invalid("/rules/coupon/template", detail);
    let found = TemplateRef::parse(template.clone()).find(&mut reader.conn(), brand).await?;
    let found = found.ok_or_else(|| refuse("there is no template with this name or id".to_owned()))?;
    drop(reader);
    let version = templates::load(app, brand, found.id, found.live_version).await?;
    let end = end_of(&read, ready.zone, app.clock.now());
    let shown = coupon_passes::sample(name, &read, end);
    let fault = crate::wallet::check::try_data(&version.renderer, shown).err();
    fault.map_or(Ok(()), |fault| Err(refuse(format!("the design cannot show this offer: {fault}"))))
}

pub async fn read(app: &App, brand: BrandId, id: OfferId) -> Result<Offer, Problem> {
    let found = offers::find(&mut app.db.read().await?.conn(), brand, id).await?;
    found.ok_or(Problem::NotFound { what: "offer" })
}

pub async fn list(
    app: &App,
    brand: BrandId,
    program: Option<ProgramId>,
    after: Option<OfferId>,
    limit: i64,
) -> Result<Vec<Offer>, Problem> {
    Ok(offers::list(&mut app.db.read().await?.conn(), brand, program, after, limit).await?)
}

async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    offer: &Offer,
) -> Result<(), Problem> {
    let about = About { subject: offer.id.uuid(), ..About::default() };
    timeline::record(app, conn, brand, kind, about, json!({ "offer_id": offer.id, "state": offer.state })).await
}
