//! Units of one wallet that become units of another of the same member: taken and given together, or not at all.

use std::sync::Arc;

use serde_json::json;

use super::purse::Purse;
use super::redeem::refuse;
use crate::domain::ids::{ConversionId, WalletId};
use crate::domain::ledger::{Activation, EntryKind, MOVEMENT_MAX};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::quantity;
use crate::service::keys::Caller;
use crate::service::loyalty::book::{Book, Note, OpenWallet};
use crate::service::loyalty::place::Place;
use crate::service::loyalty::rules::{Kind, Rules};
use crate::service::once::{self, Once, Reply};
use crate::service::orders::broken;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::{members, wallets};

/// What became of a wallet.
#[derive(Debug)]
pub struct Side {
    pub wallet_id: WalletId,
    pub wallet: String,
    pub units: String,
    pub balance: String,
}

#[derive(Debug)]
pub struct Converted {
    pub id: ConversionId,
    pub from: Side,
    pub into: Side,
}

/// What is asked for.
#[derive(Debug)]
pub struct NewConversion {
    pub wallet: WalletId,
    /// The key of the other.
    pub into: String,
    pub units: String,
    pub place: Place,
}

/// What becomes of what is asked for.
struct Exchange<'a> {
    from: &'a Kind,
    into: &'a Kind,
    /// The other kind, by its place.
    other: usize,
    units: i64,
    given: i64,
}

fn exchange<'a>(rules: &'a Rules, kind: usize, new: &NewConversion) -> Result<Exchange<'a>, Problem> {
    let from = rules.kinds.get(kind).ok_or(Problem::NotFound { what: "wallet" })?;
    let unknown = || Problem::invalid("/into", "this wallet is not converted into one with this key");
    let conversion = from.rules.converts.iter().find(|conversion| conversion.into == new.into);
    let conversion = conversion.ok_or_else(unknown)?;
    let other = rules.kind(&new.into).ok_or_else(unknown)?;
    let into = rules.kinds.get(other).ok_or_else(unknown)?;
    let units = quantity::parse(&new.units, from.rules.scale);
    let units = units.map_err(|error| Problem::invalid("/units", error.to_string()))?;
    if units <= 0 || units % conversion.units != 0 {
        let detail = format!("must be a multiple of {}", from.rules.text(conversion.units));
        return Err(Problem::invalid("/units", detail));
    }
    let given = conversion.gives(units, into.rules.scale).filter(|given| units.max(*given) <= MOVEMENT_MAX);
    let given = given.ok_or_else(|| Problem::invalid("/units", "is too much for one movement"))?;
    Ok(Exchange { from, into, other, units, given })
}

/// Converts units at the rate that the kind of wallet has. They count as spent there, and as nothing that was earned here.
/// `answer` writes it down for whoever asked.
pub async fn convert(
    app: &App,
    caller: &Caller,
    new: NewConversion,
    once: &Once,
    answer: impl FnOnce(Converted) -> Result<Vec<u8>, Problem>,
) -> Result<Reply, Problem> {
    let (brand, not_found) = (&caller.brand, || Problem::NotFound { what: "wallet" });
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand.id, Some(once), app.clock.now()).await? {
        return Ok(reply);
    }
    let known = wallets::find(&mut tx.conn(), brand.id, new.wallet).await?.ok_or_else(not_found)?;
    let member = members::list(&mut tx.conn(), brand.id, &[known.member]).await?;
    let customer = member.first().map(|member| member.customer).ok_or_else(not_found)?;
    let mut book = Book::open(app, &mut tx.conn(), brand.id, customer, new.place.clone()).await?;
    let (now, id) = (book.now, ConversionId::new(app.clock.new_id()));
    book.catch_up()?;
    let at = book.members.iter().position(|member| member.kept.id == known.member).ok_or_else(not_found)?;
    let rules = book.members.get(at).map(|member| Arc::clone(&member.rules)).ok_or_else(not_found)?;
    let kind = rules.kinds.iter().position(|kind| kind.id == known.wallet_type).ok_or_else(not_found)?;
    let Exchange { from, into, other, units, given } = exchange(&rules, kind, &new)?;
    let may_have = book.members.get(at).is_some_and(|member| {
        into.rules.is_open(now) && into.rules.audience.includes(member.tier(), member.attributes())
    });
    let taken = match may_have {
        true => Purse::new(Some(&book), None).take(at, kind, units, now),
        false => Err(RefusalCode::WalletClosed.into()),
    };
    if let Err(refusal) = taken {
        return Err(refuse(app, &mut tx.conn(), brand, &new.place, refusal, None).await?);
    }
    let note = Note::of(id.uuid());
    let member = book.members.get_mut(at).ok_or_else(not_found)?;
    let (wallet, _) = member.wallet(app, kind, now)?;
    wallet.post(&note, now, |ledger| ledger.spend(EntryKind::Converted, units, now).map(|_| ())).map_err(broken)?;
    if let Some(limit) = from.rules.spend_per_period {
        wallet.kept.spent = wallet.kept.spent.add(limit.period.start(now, rules.zone), units);
    }
    if let Some(to) = from.rules.slides_to(now, rules.zone) {
        wallet.post(&note, now, |ledger| ledger.extend(to, now).map(|_| ())).map_err(broken)?;
    }
    let side = |wallet: &OpenWallet, kind: &Kind, units: i64| Side {
        wallet_id: wallet.kept.id,
        wallet: kind.key.clone(),
        units: kind.rules.text(units),
        balance: kind.rules.text(wallet.ledger.totals.balance()),
    };
    let taken = side(wallet, from, -units);
    let (wallet, _) = member.wallet(app, other, now)?;
    let end = into.rules.end(now, rules.zone);
    wallet
        .post(&note, now, |ledger| ledger.earn(EntryKind::Converted, given, Activation::Done, end, now).map(|_| ()))
        .map_err(broken)?;
    let converted = Converted { id, into: side(wallet, into, given), from: taken };
    let about = About { customer: Some(customer), pass: None, subject: new.wallet.uuid() };
    let data = json!({
        "conversion_id": id, "wallet_id": new.wallet, "into_wallet_id": converted.into.wallet_id,
        "units": converted.from.units, "gives": converted.into.units,
    });
    book.record([timeline::event(app, "wallet.converted", about, data)]);
    book.close(app, &mut tx.conn()).await?;
    let reply = once::end(&mut tx.conn(), brand.id, Some(once), 201, answer(converted)?).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(reply)
}
