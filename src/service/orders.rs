//! Purchases: who bought, what they earned, by which rule and why.

use chrono::{DateTime, TimeDelta, Utc};
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::ids::{CustomerId, EarningRuleId, OrderId, ProgramId, StoreId, WalletId, WalletTypeId};
use crate::domain::ledger::{EntryKind, Refusal};
use crate::domain::loyalty::earning::{Earning as Gift, Line, Occasion, Trigger, net};
use crate::domain::loyalty::wallet_type::{Capped, Filled};
use crate::domain::money::MINOR_MAX;
use crate::domain::text;
use crate::service::customers::{self, Named, Selector};
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::till::receipt::Receipt;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::events::{self, NewEvent};
use crate::store::members::Did;
use crate::store::orders::{self, Order};
use crate::store::redemptions::{self, Redemption, RedemptionState};

/// A purchase as a till tells it.
#[derive(Debug, Clone)]
pub struct NewOrder {
    pub external_id: String,
    pub customer: Option<Selector>,
    pub channel: Option<String>,
    pub place: Place,
    pub business_date: Option<String>,
    pub placed_at: Option<DateTime<Utc>>,
    /// Of the redemption in the same basket.
    pub transaction_id: Option<String>,
    pub currency: Currency,
    pub lines: Vec<Line>,
    /// Due before redemptions.
    pub total_minor: i64,
    /// `false`: history, which earns nothing.
    pub has_effects: bool,
    /// SHA-256 of the request.
    pub hash: [u8; 32],
}

/// A line as it is kept, with what came back of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptLine {
    pub sku: Option<String>,
    pub category: Option<String>,
    /// Thousandths of a piece.
    pub quantity: i64,
    pub minor: i64,
    /// What was paid for it after redemptions.
    pub paid_minor: i64,
    /// What came back of it: thousandths of a piece where a till named them, of its price, and of what was paid for it.
    pub returned_pieces: i64,
    pub returned_price: i64,
    pub returned_minor: i64,
}

/// What an order earned, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Earned {
    pub program_id: ProgramId,
    pub wallet: String,
    pub wallet_id: WalletId,
    pub rule_id: EarningRuleId,
    pub rule: String,
    /// What the rule gives, and what limits left of it.
    pub desired: i64,
    pub granted: i64,
    pub scale: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capped: Option<String>,
    /// The entry, the lot, and how the units divide over the lines.
    pub entry_no: i64,
    pub lot: i64,
    pub by_line: Vec<i64>,
    /// What was taken back, line by line.
    pub taken_back: Vec<i64>,
}

/// How far a till's clock may be ahead.
const AHEAD_MAX: TimeDelta = TimeDelta::hours(1);

/// Lines of an order at most.
pub const LINES_MAX: usize = 500;

/// Records a purchase, and what it earns. The same `external_id` and content again: the first answer. `true`: it is new.
pub async fn place(app: &App, brand: &Brand, new: NewOrder) -> Result<(Order, bool), Problem> {
    let external_id = text::line(&new.external_id, 100).map_err(Problem::text("/external_id"))?;
    let scope = new.place.scope();
    let outcome = try_place(app, brand, &new, &external_id, &scope).await;
    match outcome {
        Ok(Some(order)) => Ok((order, true)),
        Err(problem) if problem.is_passing() => Err(problem),
        // Somebody has this id, or it was refused: maybe because this very request did it before.
        outcome => {
            let mut reader = app.db.read().await?;
            let first = orders::find_order_named(&mut reader.conn(), brand.id, &scope, &external_id).await?;
            match (first, outcome) {
                (Some(first), _) if first.body_hash == new.hash => Ok((first, false)),
                (Some(_), _) => Err(Problem::OtherContent { what: "order" }),
                (None, Err(problem)) => Err(problem),
                (None, Ok(_)) => Err(Problem::invalid("/transaction_id", "another order names this redemption")),
            }
        }
    }
}

/// `None`: the id is taken, or the redemption is another order's.
async fn try_place(
    app: &App,
    brand: &Brand,
    new: &NewOrder,
    external_id: &str,
    scope: &str,
) -> Result<Option<Order>, Problem> {
    check(new, app.clock.now())?;
    let mut tx = app.db.begin().await?;
    let redemption = match &new.transaction_id {
        None => None,
        Some(transaction) => {
            let found = redemptions::find_redemption_named(&mut tx.conn(), brand.id, scope, transaction).await?;
            let refused = || Problem::invalid("/transaction_id", "there is no redemption of this till with this id");
            Some(found.ok_or_else(refused)?)
        }
    };
    let customer = match &new.customer {
        // Whoever redeemed in the same basket buys it.
        None => redemption.as_ref().and_then(|redemption| redemption.customer_id),
        Some(selector) => match customers::find(app, &mut tx.conn(), brand.id, selector).await? {
            Named::Known(customer) => Some(customer),
            // Whoever gives a CPF at the till and is no customer buys without a name.
            Named::New(_) => None,
        },
    };
    let now = app.clock.now();
    let placed_at = new.placed_at.unwrap_or(now);
    let order_id = OrderId::new(app.clock.new_id());
    let mut book = match customer {
        None => None,
        Some(customer) => Some(Book::open(app, &mut tx.conn(), brand.id, customer, new.place.clone()).await?),
    };
    if let Some(redemption) = &redemption {
        // With the wallets held nobody voids it: it is read again.
        let now_is = redemptions::find_redemption(&mut tx.conn(), brand.id, redemption.id).await?;
        check_redemption(&now_is.ok_or(Problem::Busy)?, customer, new.currency)?;
    }
    let off = redemption.as_ref().map_or(0, |redemption| redemption.discount_minor);
    let paid_minor = (new.total_minor - off).max(0);
    let by_line = redemption.as_ref().map(|redemption| off_by_line(redemption, new.lines.len())).transpose()?;
    let paid = net(&new.lines, &by_line.unwrap_or_default(), paid_minor);
    let multiplier = redemption.as_ref().map_or(1_000, |redemption| multiplier_of(&redemption.items));
    let mut earned = Vec::new();
    if let Some(book) = book.as_mut().filter(|_| new.has_effects) {
        let earning = Earning {
            source: order_id.uuid(),
            trigger: Trigger::Order(&paid),
            store: new.place.store,
            channel: new.channel.as_deref(),
            at: placed_at,
            paid_minor: Some(paid_minor),
            multiplier,
        };
        earned = earn(app, book, &earning)?;
    }
    let lines: Vec<KeptLine> = new.lines.iter().zip(&paid).map(|(line, paid)| keep(line, paid.minor)).collect();
    let order = Order {
        id: order_id,
        place: scope.to_owned(),
        external_id: external_id.to_owned(),
        body_hash: new.hash.to_vec(),
        customer_id: customer,
        channel: new.channel.clone(),
        store_id: new.place.store,
        terminal: new.place.terminal.clone(),
        employee: new.place.employee.clone(),
        business_date: new.business_date.clone(),
        placed_at,
        currency: new.currency.code().to_owned(),
        total_minor: new.total_minor,
        paid_minor,
        returned_minor: 0,
        redemption_id: redemption.as_ref().map(|redemption| redemption.id),
        has_effects: new.has_effects,
        lines: Json(serde_json::to_value(&lines).map_err(Problem::internal)?),
        earnings: Json(serde_json::to_value(&earned).map_err(Problem::internal)?),
        created_at: now,
    };
    if !orders::insert_order(&mut tx.conn(), brand.id, &order).await? {
        return Ok(None);
    }
    let paid = event(app, "order.paid", &order);
    let is_changed = match book {
        Some(mut book) => {
            book.record([paid]);
            book.close(app, &mut tx.conn()).await?
        }
        None => {
            events::insert(&mut tx.conn(), brand.id, &paid).await?;
            false
        }
    };
    tx.commit().await?;
    if is_changed {
        app.changed.notify_one();
    }
    Ok(Some(order))
}

/// A redemption takes off only from a purchase of whoever it belongs to, and only while it stands.
fn check_redemption(redemption: &Redemption, customer: Option<CustomerId>, currency: Currency) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::invalid("/transaction_id", detail));
    if redemption.state != RedemptionState::Committed {
        return refused("the redemption was voided");
    }
    // Whoever holds a coupon without a name may be anybody.
    if redemption.customer_id.is_some() && redemption.customer_id != customer {
        return refused("the redemption is another customer's");
    }
    if redemption.currency.as_deref().is_some_and(|known| known != currency.code()) {
        return refused("the redemption is in another currency");
    }
    Ok(())
}

fn check(new: &NewOrder, now: DateTime<Utc>) -> Result<(), Problem> {
    if new.placed_at.is_some_and(|at| at > now + AHEAD_MAX) {
        return Err(Problem::invalid("/placed_at", "must not be in the future"));
    }
    if new.lines.is_empty() || new.lines.len() > LINES_MAX {
        return Err(Problem::invalid("/lines", format!("must be 1 to {LINES_MAX}")));
    }
    let is_good = |line: &Line| (0..=MINOR_MAX).contains(&line.minor) && (0..=MINOR_MAX).contains(&line.quantity);
    if let Some(index) = new.lines.iter().position(|line| !is_good(line)) {
        return Err(Problem::invalid(format!("/lines/{index}"), "amount and quantity must not be negative"));
    }
    let sum: i64 = new.lines.iter().map(|line| line.minor).sum();
    if sum != new.total_minor {
        return Err(Problem::invalid("/total", format!("the lines sum to {sum}, and total is {}", new.total_minor)));
    }
    Ok(())
}

fn keep(line: &Line, paid_minor: i64) -> KeptLine {
    KeptLine {
        sku: line.sku.clone(),
        category: line.category.clone(),
        quantity: line.quantity,
        minor: line.minor,
        paid_minor,
        returned_pieces: 0,
        returned_price: 0,
        returned_minor: 0,
    }
}

/// What a redemption took off each of so many lines; nothing, where its basket had others.
fn off_by_line(redemption: &Redemption, lines: usize) -> Result<Vec<i64>, Problem> {
    let mut off = vec![0; lines];
    for item in Receipt::of(redemption)?.items {
        if item.by_line.len() != lines {
            return Ok(Vec::new());
        }
        off.iter_mut().zip(item.by_line).for_each(|(off, one)| *off += one);
    }
    Ok(off)
}

/// What multipliers that were redeemed in the same basket make of it: thousandths, each on top of the others.
fn multiplier_of(items: &Value) -> i64 {
    let items = items.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let each = items.iter().filter_map(|item| item.get("multiplier").and_then(Value::as_i64));
    each.fold(1_000_i64, |all, one| all.saturating_mul(one) / 1_000).clamp(1_000, 1_000_000)
}

/// Something that earns.
pub(super) struct Earning<'a> {
    /// The order, or whatever it was.
    pub source: Uuid,
    pub trigger: Trigger<'a>,
    pub store: Option<StoreId>,
    pub channel: Option<&'a str>,
    pub at: DateTime<Utc>,
    /// What was paid; `None`: it is no purchase.
    pub paid_minor: Option<i64>,
    /// Thousandths that it earns.
    pub multiplier: i64,
}

/// What something earns, posted to the wallets of everybody's programs.
pub(super) fn earn(app: &App, book: &mut Book, earning: &Earning<'_>) -> Result<Vec<Earned>, Problem> {
    let mut earned = Vec::new();
    let now = book.now;
    let store = earning.store.map(|store| store.to_string());
    for member in &mut book.members {
        let rules = std::sync::Arc::clone(&member.rules);
        let tier = member.kept.standing.as_ref().map(|standing| standing.tier.clone());
        let mut in_transaction = vec![0_i64; rules.kinds.len()];
        for rule in &rules.earning {
            let Some(kind) = rules.kinds.get(rule.kind) else { continue };
            let is_theirs = kind.rules.audience.includes(tier.as_deref(), member.attributes());
            if !kind.rules.is_open(now) || !is_theirs {
                continue;
            }
            let occasion = Occasion {
                trigger: earning.trigger.clone(),
                at: earning.at,
                store: store.as_deref(),
                channel: earning.channel,
                tier: tier.as_deref(),
                attributes: member.kept.attributes.reveal(),
            };
            let Some(Gift { units, by_line }) = rule.rule.earn(&occasion) else { continue };
            let desired =
                i64::try_from(i128::from(units) * i128::from(earning.multiplier) / 1_000).map_err(Problem::internal)?;
            let (wallet, kind) = member.wallet(app, rule.kind, now)?;
            let id = wallet.kept.id;
            let filled = Filled {
                in_transaction: in_transaction.get(rule.kind).copied().unwrap_or(0),
                earned: wallet.kept.earned,
                totals: wallet.ledger.totals,
                order_minor: earning.paid_minor,
            };
            let (granted, capped) = kind.rules.grant(desired, &filled, now, rules.zone);
            let kept = |entry_no: i64, lot: i64, by_line: Vec<i64>| Earned {
                program_id: rules.program,
                wallet: kind.key.clone(),
                wallet_id: id,
                rule_id: rule.id,
                rule: rule.name.clone(),
                desired,
                granted,
                scale: kind.rules.scale,
                capped: capped.map(word),
                entry_no,
                lot,
                taken_back: vec![0; by_line.len()],
                by_line,
            };
            if granted == 0 {
                earned.push(kept(0, 0, Vec::new()));
                continue;
            }
            let (activation, expires_at) = kind.rules.birth(now, rules.zone);
            let note = Note { source: Some(earning.source), rule: Some(rule.id.uuid()), reason: None };
            let (entry_no, lot) = wallet
                .post(&note, now, |ledger| {
                    let entry = ledger.earn(EntryKind::Earned, granted, activation, expires_at, now)?;
                    let lot = entry.movement.dates.first().map_or(0, |dates| dates.lot);
                    Ok((entry.no, lot))
                })
                .map_err(broken)?;
            if let Some(to) = kind.rules.slides_to(now, rules.zone) {
                wallet.post(&note, now, |ledger| ledger.extend(to, now).map(|_| ())).map_err(broken)?;
            }
            if let Some(limit) = kind.rules.earn_per_period {
                wallet.kept.earned = wallet.kept.earned.add(limit.period.start(now, rules.zone), granted);
            }
            if let Some(sum) = in_transaction.get_mut(rule.kind) {
                *sum += granted;
            }
            let shares = crate::domain::apportion::apportion(granted, &by_line);
            earned.push(kept(entry_no, lot, shares));
            let kind_id = kind.id;
            member.did(kind_id, earning.at, Did { earned: granted, ..Did::default() });
        }
        if let Some(spent_minor) = earning.paid_minor {
            member.did(WalletTypeId::FIRST, earning.at, Did { earned: 0, spent_minor, visits: 1 });
        }
    }
    Ok(earned)
}

fn word(capped: Capped) -> String {
    serde_json::to_value(capped).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A movement that cannot be refused was: what is kept contradicts itself, or does not fit.
pub(super) fn broken(refusal: Refusal) -> Problem {
    Problem::internal(refusal)
}

/// What happened to an order, for the timeline.
pub(super) fn event(app: &App, kind: &'static str, order: &Order) -> NewEvent {
    let about = About { customer: order.customer_id, pass: None, subject: order.id.uuid() };
    let data = json!({
        "order_id": order.id, "store_id": order.store_id, "total_minor": order.total_minor, "paid_minor": order.paid_minor,
        "returned_minor": order.returned_minor, "currency": order.currency,
    });
    timeline::event(app, kind, about, data)
}
