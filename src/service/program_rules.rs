//! Editing what a program promises: kinds of wallets, earning rules, tiers.

use serde_json::{Value, json};
use sqlx::types::Json;

use crate::domain::ids::{BrandId, EarningRuleId, ProgramId, WalletId, WalletTypeId};
use crate::domain::loyalty::earning::EarningRule as ReadEarningRule;
use crate::domain::loyalty::spec::{self, BadSpec};
use crate::domain::loyalty::tier::TierRules;
use crate::domain::loyalty::wallet_type::{AtClose, WalletRules};
use crate::domain::text;
use crate::service::loyalty::rules;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, stores};
use crate::store::Conn;
use crate::store::program_rules::{self, EarningRule, WalletType};

/// Kinds of wallets of a program, and rules, at most.
const KINDS_MAX: usize = 20;
const RULES_MAX: usize = 200;

/// A fault of a spec is a fault of the request, below `/rules`.
pub(super) fn refused(fault: BadSpec) -> Problem {
    Problem::invalid(format!("/rules{}", fault.pointer), fault.reason)
}

async fn record(app: &App, conn: &mut Conn<'_>, brand: BrandId, program: ProgramId) -> Result<(), Problem> {
    let about = About { subject: program.uuid(), ..About::default() };
    timeline::record(app, conn, brand, "program.rules_changed", about, json!({ "program_id": program })).await
}

/// Makes a kind of wallet. `true`: it is new; the same key again with the same content is the one that is there.
pub async fn create_wallet_type(
    app: &App,
    brand: BrandId,
    program: ProgramId,
    key: &str,
    name: &str,
    rules: Value,
) -> Result<(WalletType, bool), Problem> {
    let key = spec::key("/key", key).map_err(|fault| Problem::invalid(fault.pointer, fault.reason))?;
    let name = text::line(name, 32).map_err(Problem::text("/name"))?;
    WalletRules::read(&rules).map_err(refused)?;
    let now = app.clock.now();
    let new = WalletType {
        id: WalletTypeId::new(app.clock.new_id()),
        program_id: program,
        key,
        name,
        spec: Json(rules),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.begin().await?;
    if !program_rules::touch(&mut tx.conn(), brand, program).await? {
        return Err(Problem::NotFound { what: "program" });
    }
    let known = program_rules::list_wallet_types(&mut tx.conn(), brand, program).await?;
    if let Some(known) = known.iter().find(|known| known.key == new.key) {
        let is_same = known.name == new.name && known.spec.0 == new.spec.0;
        return if is_same { Ok((known.clone(), false)) } else { Err(Problem::OtherContent { what: "wallet type" }) };
    }
    check_conversions(&new, &known)?;
    if known.len() >= KINDS_MAX {
        return Err(Problem::invalid("", format!("a program has at most {KINDS_MAX} kinds of wallets")));
    }
    if !program_rules::insert_wallet_type(&mut tx.conn(), brand, &new).await? {
        return Err(Problem::Busy);
    }
    record(app, &mut tx.conn(), brand, program).await?;
    tx.commit().await?;
    Ok((new, true))
}

/// What is converted needs a wallet that is there; what closes into one, a wallet that stays.
fn check_conversions(edited: &WalletType, program: &[WalletType]) -> Result<(), Problem> {
    let own = WalletRules::read(&edited.spec).map_err(refused)?;
    let closing = match &own.at_close {
        AtClose::Convert(conversion) => Some((conversion, "/rules/at_close/convert".to_owned(), true)),
        AtClose::Expire | AtClose::Keep => None,
    };
    let asked = own.converts.iter().enumerate().map(|(index, one)| (one, format!("/rules/converts/{index}"), false));
    for (conversion, pointer, must_stay) in asked.chain(closing) {
        let other = program.iter().find(|kind| kind.key == conversion.into && kind.key != edited.key);
        let other = other.ok_or_else(|| {
            let detail = "the program has no other kind of wallet with this key";
            Problem::invalid(format!("{pointer}/into"), detail)
        })?;
        let other = WalletRules::read(&other.spec).map_err(refused)?;
        if must_stay && other.closes_at.is_some() {
            return Err(Problem::invalid(format!("{pointer}/into"), "that wallet closes itself"));
        }
        let Some(given) = conversion.gives(conversion.units, other.scale) else {
            let detail = format!("that wallet counts with {} decimals", other.scale);
            return Err(Problem::invalid(format!("{pointer}/gives"), detail));
        };
        // There and back again must not make more of it.
        let back = other.converts.iter().find(|back| back.into == edited.key);
        let back = back.and_then(|back| Some((back.units, back.gives(back.units, own.scale)?)));
        if let Some((taken, returned)) = back
            && i128::from(given) * i128::from(returned) > i128::from(conversion.units) * i128::from(taken)
        {
            let detail = format!("would make units of nothing: {} is converted back at a better rate", conversion.into);
            return Err(Problem::invalid(format!("{pointer}/gives"), detail));
        }
    }
    for kind in program.iter().filter(|kind| own.closes_at.is_some() && kind.key != edited.key) {
        let at_close = WalletRules::read(&kind.spec).map_err(refused)?.at_close;
        if matches!(at_close, AtClose::Convert(conversion) if conversion.into == edited.key) {
            let detail = format!("the wallet {} is converted into this one", kind.key);
            return Err(Problem::invalid("/rules/closes_at", detail));
        }
    }
    Ok(())
}

/// Edits a kind at the version that the editor saw (`None`: whichever it is). What is in wallets already keeps its dates.
pub async fn update_wallet_type(
    app: &App,
    brand: BrandId,
    id: WalletTypeId,
    name: Option<&str>,
    rules: Option<Value>,
    seen: Option<i64>,
) -> Result<WalletType, Problem> {
    let mut tx = app.db.begin().await?;
    let known = program_rules::find_wallet_type(&mut tx.conn(), brand, id).await?;
    let mut edited = known.ok_or(Problem::NotFound { what: "wallet type" })?;
    if seen.is_some_and(|seen| seen != edited.version) {
        return Err(Problem::VersionMismatch);
    }
    if let Some(name) = name {
        edited.name = text::line(name, 32).map_err(Problem::text("/name"))?;
    }
    let mut closes_otherwise = false;
    if let Some(rules) = rules {
        let (was, is) =
            (WalletRules::read(&edited.spec).map_err(refused)?, WalletRules::read(&rules).map_err(refused)?);
        // Every balance counts in them.
        if (was.scale, was.currency) != (is.scale, is.currency) {
            return Err(Problem::invalid(
                "/rules/scale",
                "scale and currency of a kind that is in use stay as they are",
            ));
        }
        closes_otherwise = (was.closes_at, &was.at_close) != (is.closes_at, &is.at_close);
        edited.spec = Json(rules);
    }
    edited.updated_at = app.clock.now();
    program_rules::touch(&mut tx.conn(), brand, edited.program_id).await?;
    check_conversions(&edited, &program_rules::list_wallet_types(&mut tx.conn(), brand, edited.program_id).await?)?;
    if !program_rules::update_wallet_type(&mut tx.conn(), brand, &edited).await? {
        return Err(Problem::VersionMismatch);
    }
    if closes_otherwise {
        program_rules::set_told(&mut tx.conn(), brand, id, Some(WalletId::FIRST)).await?;
    }
    record(app, &mut tx.conn(), brand, edited.program_id).await?;
    tx.commit().await?;
    edited.version += 1;
    Ok(edited)
}

pub async fn list_wallet_types(app: &App, brand: BrandId, program: ProgramId) -> Result<Vec<WalletType>, Problem> {
    Ok(program_rules::list_wallet_types(&mut app.db.read().await?.conn(), brand, program).await?)
}

pub async fn read_wallet_type(app: &App, brand: BrandId, id: WalletTypeId) -> Result<WalletType, Problem> {
    let found = program_rules::find_wallet_type(&mut app.db.read().await?.conn(), brand, id).await?;
    found.ok_or(Problem::NotFound { what: "wallet type" })
}

/// Makes an earning rule for the program's kind of wallet with this key.
pub async fn create_earning_rule(
    app: &App,
    brand: BrandId,
    program: ProgramId,
    wallet: &str,
    name: &str,
    given: Value,
) -> Result<(EarningRule, bool), Problem> {
    let name = text::line(name, 64).map_err(Problem::text("/name"))?;
    let mut tx = app.db.begin().await?;
    if !program_rules::touch(&mut tx.conn(), brand, program).await? {
        return Err(Problem::NotFound { what: "program" });
    }
    let kinds = program_rules::list_wallet_types(&mut tx.conn(), brand, program).await?;
    let kind = kinds.iter().find(|kind| kind.key == wallet);
    let kind = kind.ok_or_else(|| Problem::invalid("/wallet", "the program has no kind of wallet with this key"))?;
    let scale = WalletRules::read(&kind.spec).map_err(refused)?.scale;
    let read = ReadEarningRule::read(&given, scale).map_err(refused)?;
    stores::check_named(&mut tx.conn(), brand, "/rules/only/stores", read.stores()).await?;
    // With the program held: whoever repeats is given what the first time made.
    let known = program_rules::list_earning_rules(&mut tx.conn(), brand, program).await?;
    let is_same = |rule: &&EarningRule| rule.wallet_type_id == kind.id && rule.name == name && rule.spec.0 == given;
    if let Some(same) = known.iter().find(is_same) {
        return Ok((same.clone(), false));
    }
    if known.len() >= RULES_MAX {
        return Err(Problem::invalid("", format!("a program has at most {RULES_MAX} earning rules")));
    }
    let now = app.clock.now();
    let new = EarningRule {
        id: EarningRuleId::new(app.clock.new_id()),
        program_id: program,
        wallet_type_id: kind.id,
        name,
        spec: Json(given),
        is_active: true,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    program_rules::insert_earning_rule(&mut tx.conn(), brand, &new).await?;
    record(app, &mut tx.conn(), brand, program).await?;
    tx.commit().await?;
    Ok((new, true))
}

/// Edits a rule at the version that the editor saw (`None`: whichever it is). What was earned stays.
pub async fn update_earning_rule(
    app: &App,
    brand: BrandId,
    id: EarningRuleId,
    name: Option<&str>,
    given: Option<Value>,
    is_active: Option<bool>,
    seen: Option<i64>,
) -> Result<EarningRule, Problem> {
    let mut tx = app.db.begin().await?;
    let known = program_rules::find_earning_rule(&mut tx.conn(), brand, id).await?;
    let mut edited = known.ok_or(Problem::NotFound { what: "rule" })?;
    if seen.is_some_and(|seen| seen != edited.version) {
        return Err(Problem::VersionMismatch);
    }
    if let Some(name) = name {
        edited.name = text::line(name, 64).map_err(Problem::text("/name"))?;
    }
    if let Some(given) = given {
        let kind = program_rules::find_wallet_type(&mut tx.conn(), brand, edited.wallet_type_id).await?;
        let kind = kind.ok_or_else(|| Problem::internal("a rule without a kind of wallet"))?;
        let read =
            ReadEarningRule::read(&given, WalletRules::read(&kind.spec).map_err(refused)?.scale).map_err(refused)?;
        stores::check_named(&mut tx.conn(), brand, "/rules/only/stores", read.stores()).await?;
        edited.spec = Json(given);
    }
    edited.is_active = is_active.unwrap_or(edited.is_active);
    edited.updated_at = app.clock.now();
    program_rules::touch(&mut tx.conn(), brand, edited.program_id).await?;
    if !program_rules::update_earning_rule(&mut tx.conn(), brand, &edited).await? {
        return Err(Problem::VersionMismatch);
    }
    record(app, &mut tx.conn(), brand, edited.program_id).await?;
    tx.commit().await?;
    edited.version += 1;
    Ok(edited)
}

pub async fn list_earning_rules(app: &App, brand: BrandId, program: ProgramId) -> Result<Vec<EarningRule>, Problem> {
    Ok(program_rules::list_earning_rules(&mut app.db.read().await?.conn(), brand, program).await?)
}

/// Sets a program's tiers; null takes them away. Members are looked at when something happens to them next.
pub async fn set_tiers(app: &App, brand: BrandId, program: ProgramId, tiers: Value) -> Result<Value, Problem> {
    let mut tx = app.db.begin().await?;
    // Before the version grows: what is read is remembered by it.
    let ready = rules::current(app, &mut tx.conn(), brand, program).await?;
    let given = (!tiers.is_null()).then_some(&tiers);
    if let Some(tiers) = given {
        TierRules::read(tiers, |key| ready.scale(key))
            .map_err(|fault| Problem::invalid(fault.pointer, fault.reason))?;
    }
    program_rules::touch(&mut tx.conn(), brand, program).await?;
    program_rules::set_tiers(&mut tx.conn(), brand, program, given).await?;
    record(app, &mut tx.conn(), brand, program).await?;
    tx.commit().await?;
    Ok(tiers)
}

/// A program's tiers as they were given; null: it has none.
pub async fn read_tiers(app: &App, brand: BrandId, program: ProgramId) -> Result<Value, Problem> {
    let found = program_rules::find_tiers(&mut app.db.read().await?.conn(), brand, program).await?;
    let (_, _, tiers) = found.ok_or(Problem::NotFound { what: "program" })?;
    Ok(tiers.unwrap_or(Value::Null))
}
