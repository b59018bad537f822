//! Units moved by hand: with a reason, by an admin, audited.

use serde_json::json;

use crate::domain::ids::{AuditId, WalletId};
use crate::domain::ledger::{EntryKind, Refusal};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::quantity;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::keys::Caller;
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::once::{self, Once, Reply};
use crate::service::orders::broken;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, till};
use crate::store::audit::{self, Audited};
use crate::store::{members, wallets};

/// What a wallet holds afterwards, as the API writes it.
#[derive(Debug, serde::Serialize)]
pub struct Adjusted {
    pub id: AuditId,
    pub wallet_id: WalletId,
    pub units: String,
    pub balance: String,
}

/// Adds or takes units.
pub async fn adjust(
    app: &App,
    caller: &Caller,
    wallet: WalletId,
    units: &str,
    reason: &str,
    once: &Once,
) -> Result<Reply, Problem> {
    let brand = &caller.brand;
    let reason = text::line(reason, 200).map_err(Problem::text("/reason"))?;
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand.id, Some(once), app.clock.now()).await? {
        return Ok(reply);
    }
    let known = wallets::find(&mut tx.conn(), brand.id, wallet).await?.ok_or(Problem::NotFound { what: "wallet" })?;
    let member = members::list(&mut tx.conn(), brand.id, &[known.member]).await?;
    let customer = member.first().map(|member| member.customer).ok_or(Problem::NotFound { what: "wallet" })?;
    let mut book = Book::open(app, &mut tx.conn(), brand.id, customer, Place::default()).await?;
    let (now, id) = (book.now, AuditId::new(app.clock.new_id()));
    let (open, rules) = book.find(wallet).ok_or(Problem::NotFound { what: "wallet" })?;
    let kind = rules.kinds.get(open.kind).ok_or(Problem::NotFound { what: "wallet" })?;
    let units =
        quantity::parse(units, kind.rules.scale).map_err(|error| Problem::invalid("/units", error.to_string()))?;
    if units == 0 {
        return Err(Problem::invalid("/units", "must not be 0"));
    }
    let note = Note { source: Some(id.uuid()), rule: None, reason: Some(Personal::new(reason.clone())) };
    let (kind_of_entry, count, end) = (EntryKind::Adjusted, units.unsigned_abs(), kind.rules.end(now, rules.zone));
    let count = i64::try_from(count).map_err(Problem::internal)?;
    let moved = open.post(&note, now, |ledger| match units > 0 {
        true => ledger.earn(kind_of_entry, count, crate::domain::ledger::Activation::Done, end, now).map(|_| ()),
        false if kind.rules.allows_negative => ledger.charge(kind_of_entry, count, now).map(|_| ()),
        false => ledger.spend(kind_of_entry, count, now).map(|_| ()),
    });
    moved.map_err(|refusal| match refusal {
        Refusal::NotEnough { available } => {
            let available = Some(kind.rules.text(available));
            let refusal = till::Refusal { available, ..RefusalCode::NotEnoughUnits.into() };
            Problem::Refused(Box::new(refusal.spoken(brand.locale, None)))
        }
        Refusal::Units => Problem::invalid("/units", "is too much for one movement"),
        other => broken(other),
    })?;
    let adjusted = Adjusted {
        id,
        wallet_id: wallet,
        units: kind.rules.text(units),
        balance: kind.rules.text(open.ledger.totals.balance()),
    };
    let audited = Audited {
        id,
        key: caller.key.id,
        action: "wallet.adjusted",
        subject: wallet.uuid(),
        reason: Some(Personal::new(reason)),
        data: json!({ "wallet_id": wallet, "units": adjusted.units }),
        created_at: now,
    };
    audit::insert(&mut tx.conn(), brand.id, &audited).await?;
    let about = About { customer: Some(customer), pass: None, subject: wallet.uuid() };
    let data = json!({ "wallet_id": wallet, "units": adjusted.units, "adjustment_id": id });
    timeline::record(app, &mut tx.conn(), brand.id, "wallet.adjusted", about, data).await?;
    book.close(app, &mut tx.conn()).await?;
    let body = serde_json::to_vec(&adjusted).map_err(Problem::internal)?;
    let reply = once::end(&mut tx.conn(), brand.id, Some(once), 201, body).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(reply)
}
