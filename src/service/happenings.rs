//! Things that happened to a customer, told by the brand: a review, a delivery. They earn, and what waited for them becomes
//! active.

use serde_json::json;

use crate::domain::ids::EventId;
use crate::domain::loyalty::earning::Trigger;
use crate::domain::loyalty::spec;
use crate::domain::quantity;
use crate::service::customers::{self, Named, Selector};
use crate::service::keys::Caller;
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::once::{self, Once, Reply};
use crate::service::orders::{Earning, broken, earn};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};

/// Records that something happened, once.
pub async fn happen(
    app: &App,
    caller: &Caller,
    customer: &Selector,
    name: &str,
    place: Place,
    once: &Once,
) -> Result<Reply, Problem> {
    let brand = caller.brand.id;
    let name = spec::key("/name", name).map_err(|fault| Problem::invalid(fault.pointer, fault.reason))?;
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand, Some(once), app.clock.now()).await? {
        return Ok(reply);
    }
    let Named::Known(customer) = customers::find(app, &mut tx.conn(), brand, customer).await? else {
        return Err(Problem::NotFound { what: "customer" });
    };
    let mut book = Book::open(app, &mut tx.conn(), brand, customer, place.clone()).await?;
    let (now, id) = (book.now, EventId::new(app.clock.new_id()));
    let mut activated = Vec::new();
    for member in &mut book.members {
        let rules = std::sync::Arc::clone(&member.rules);
        for wallet in &mut member.wallets {
            let Some(kind) = rules.kinds.get(wallet.kind) else { continue };
            let end = kind.rules.end(now, rules.zone);
            let units = wallet
                .post(&Note::of(id.uuid()), now, |ledger| {
                    let entry = ledger.activate(&name, None, end, now)?;
                    Ok(entry.map(|entry| entry.movement.gain(crate::domain::ledger::State::Active)))
                })
                .map_err(broken)?;
            activated.extend(units.map(|units| json!({ "wallet": kind.key, "units": kind.rules.text(units) })));
        }
    }
    let earning = Earning {
        source: id.uuid(),
        trigger: Trigger::Event(&name),
        store: place.store,
        channel: None,
        at: now,
        paid_minor: None,
        multiplier: 1_000,
    };
    let earned = earn(app, &mut book, &earning)?;
    let earned: Vec<_> = earned
        .iter()
        .map(|earned| {
            json!({ "wallet": earned.wallet, "rule_id": earned.rule_id, "rule": earned.rule,
            "units": quantity::text(earned.granted, earned.scale), "capped": earned.capped })
        })
        .collect();
    let about = About { customer: Some(customer), pass: None, subject: id.uuid() };
    timeline::record(app, &mut tx.conn(), brand, "custom.event", about, json!({ "name": name })).await?;
    book.close(app, &mut tx.conn()).await?;
    let body = json!({ "id": id, "customer_id": customer, "name": name, "earned": earned, "activated": activated });
    let reply = once::end(&mut tx.conn(), brand, Some(once), 201, body.to_string().into_bytes()).await?;
    tx.commit().await?;
    app.changed.notify_one();
    Ok(reply)
}
