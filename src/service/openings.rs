//! What wallets begin with: balances brought along from another system, each once, with no effect but to be there.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::domain::ids::{MemberId, OpeningId, ProgramId, WalletId};
use crate::domain::ledger::{Activation, EntryKind, Refusal};
use crate::domain::quantity;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::coupons::check_time;
use crate::service::customers::{self, Selector};
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::orders::broken;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::openings::{self, Opening};
use crate::store::{members, programs};

/// Units that a customer has elsewhere.
#[derive(Debug, Clone)]
pub struct NewOpening {
    pub external_id: String,
    pub customer: Selector,
    /// `None`: the import's.
    pub program: Option<ProgramId>,
    /// The wallet's key.
    pub wallet: String,
    /// A decimal string.
    pub units: String,
    /// Pending until then; at once, if absent or past.
    pub starts_at: Option<DateTime<Utc>>,
    /// As the wallet's kind says, counted from now, if absent.
    pub expires_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    /// SHA-256 of the request.
    pub hash: [u8; 32],
}

/// Puts them into the customer's wallet, as a lot of their own; whoever is no member of the program becomes one. The same
/// `external_id` and content again: nothing. `true`: it is new.
pub async fn open(app: &App, brand: &Brand, new: NewOpening) -> Result<(WalletId, bool), Problem> {
    let external_id = text::line(&new.external_id, 100).map_err(Problem::text("/external_id"))?;
    let reason = new.reason.as_deref().map(|reason| text::line(reason, 200)).transpose();
    let reason = reason.map_err(Problem::text("/reason"))?;
    let known = openings::find(&mut app.db.read().await?.conn(), brand.id, &external_id).await?;
    if let Some(first) = known {
        return answer(&first, &new.hash);
    }
    let program = new.program.ok_or_else(|| Problem::invalid("/program_id", "must be given"))?;
    let mut tx = app.db.begin().await?;
    let customer = customers::find_known(app, &mut tx.conn(), brand.id, &new.customer).await?;
    if programs::find(&mut tx.conn(), brand.id, program).await?.is_none() {
        return Err(Problem::invalid("/program_id", "there is no program with this id"));
    }
    // Before one is added, those that are there, in their order.
    members::lock(&mut tx.conn(), brand.id, customer).await?;
    let (now, new_member) = (app.clock.now(), MemberId::new(app.clock.new_id()));
    members::ensure(&mut tx.conn(), brand.id, program, customer, new_member, now).await?;
    let mut book = Book::open(app, &mut tx.conn(), brand.id, customer, Place::default()).await?;
    let now = book.now;
    let member = book.members.iter_mut().find(|member| member.kept.program == program).ok_or(Problem::Busy)?;
    let no_wallet = || Problem::invalid("/wallet", "the program has no kind of wallet with this key");
    let rules = std::sync::Arc::clone(&member.rules);
    let (wallet, kind) = member.wallet(app, rules.kind(&new.wallet).ok_or_else(no_wallet)?, now)?;
    let units = quantity::parse(&new.units, kind.rules.scale);
    let units = units.map_err(|error| Problem::invalid("/units", error.to_string()))?;
    if units <= 0 {
        return Err(Problem::invalid("/units", "must be more than 0"));
    }
    let opening = Opening {
        id: OpeningId::new(app.clock.new_id()),
        external_id,
        body_hash: new.hash.to_vec(),
        wallet_id: wallet.kept.id,
        created_at: now,
    };
    let activation = match new.starts_at {
        Some(at) if at > now => Activation::At(at),
        Some(_) | None => Activation::Done,
    };
    for (pointer, at) in [("/starts_at", new.starts_at), ("/expires_at", new.expires_at)] {
        check_time(pointer, at)?;
    }
    let end = new.expires_at.or_else(|| kind.rules.end(now, rules.zone));
    if end.is_some_and(|end| end <= new.starts_at.unwrap_or(now).max(now)) {
        return Err(Problem::invalid("/expires_at", "must be after now, and after starts_at"));
    }
    let note = Note { source: Some(opening.id.uuid()), rule: None, reason: reason.map(Personal::new) };
    wallet
        .post(&note, now, |ledger| ledger.earn(EntryKind::Opening, units, activation, end, now).map(|_| ()))
        .map_err(|refusal| match refusal {
            Refusal::Units => Problem::invalid("/units", "is too much for one movement"),
            other => broken(other),
        })?;
    let units = kind.rules.text(units);
    book.close(app, &mut tx.conn()).await?;
    // Last, so that whoever waits for another's turn here holds the customer too.
    if !openings::insert(&mut tx.conn(), brand.id, &opening).await? {
        let first = openings::find(&mut tx.conn(), brand.id, &opening.external_id).await?.ok_or(Problem::Busy)?;
        return answer(&first, &new.hash);
    }
    let about = About { customer: Some(customer), pass: None, subject: opening.wallet_id.uuid() };
    let data = json!({ "wallet_id": opening.wallet_id, "units": units, "opening_id": opening.id });
    timeline::record(app, &mut tx.conn(), brand.id, "wallet.opened", about, data).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok((opening.wallet_id, true))
}

/// What the first time came to, for the same content.
fn answer(first: &Opening, hash: &[u8; 32]) -> Result<(WalletId, bool), Problem> {
    if first.body_hash == hash {
        Ok((first.wallet_id, false))
    } else {
        Err(Problem::OtherContent { what: "opening balance" })
    }
}
