//! Spending what is redeemed: what the quote holds for it first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Refusal;
use super::evaluate::Evaluation;
use super::quote::{QuoteContent, QuoteHold};
use super::receipt::Balance;
use crate::domain::ids::{CouponId, OfferId, RedemptionId};
use crate::domain::ledger::{EntryKind, Refusal as LedgerRefusal};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::service::loyalty::book::{Book, Note};
use crate::service::orders::broken;
use crate::service::{App, Problem};
use crate::store::coupons::Coupon;

/// Units of one wallet that pay for what the basket redeems, or for one coupon that is bought: that does not come back when
/// goods of the basket do.
#[derive(Debug, Clone, Copy)]
struct Payment {
    /// The member and the kind of wallet, by their places.
    member: usize,
    kind: usize,
    buys: Option<(CouponId, OfferId)>,
    units: i64,
}

fn payments(evaluation: &Evaluation, bought: &BTreeMap<usize, Coupon>) -> Vec<Payment> {
    type Key = (usize, usize, Option<(CouponId, OfferId)>);
    let mut sums: BTreeMap<Key, i64> = BTreeMap::new();
    for applied in &evaluation.applied {
        let Some(cost) = &applied.cost else { continue };
        let buys = bought.get(&applied.index).map(|coupon| (coupon.id, coupon.offer_id));
        *sums.entry((cost.member, cost.kind, buys)).or_default() += cost.units;
    }
    sums.into_iter().map(|((member, kind, buys), units)| Payment { member, kind, buys, units }).collect()
}

/// Spends what a redemption costs; what of its quote's holds is left over is free again. What the wallets hold afterwards.
pub(super) fn spend(
    app: &App,
    book: &mut Book,
    (evaluation, bought): (&Evaluation, &BTreeMap<usize, Coupon>),
    id: RedemptionId,
    quoted: Option<&QuoteContent>,
) -> Result<Result<Vec<Balance>, Refusal>, Problem> {
    let now = book.now;
    let mut holds: Vec<&QuoteHold> = quoted.into_iter().flat_map(|quote| &quote.holds).collect();
    let payments = payments(evaluation, bought);
    // First what is held for it: what is freed of other holds may be too old to be spent.
    let mut open = Vec::new();
    for payment in &payments {
        match take_hold(app, book, payment, &mut holds, now)? {
            Some(hold) => {
                if let Err(refusal) = pay(app, book, payment, Some(hold), id)? {
                    return Ok(Err(refusal));
                }
            }
            None => open.push(payment),
        }
    }
    for hold in holds {
        if let Some((wallet, _)) = book.find(hold.wallet_id) {
            wallet
                .post(&Note::of(id.uuid()), now, |ledger| ledger.release(hold.hold_no, now).map(|_| ()))
                .map_err(broken)?;
        }
    }
    for payment in open {
        if let Err(refusal) = pay(app, book, payment, None, id)? {
            return Ok(Err(refusal));
        }
    }
    let mut balances: Vec<Balance> = Vec::new();
    for payment in &payments {
        let Some(member) = book.members.get_mut(payment.member) else { continue };
        let program = member.rules.program;
        let (wallet, of_kind) = member.wallet(app, payment.kind, now)?;
        if balances.iter().all(|balance| balance.wallet_id != wallet.kept.id) {
            balances.push(Balance {
                program_id: program,
                wallet: of_kind.key.clone(),
                wallet_id: wallet.kept.id,
                balance: of_kind.rules.text(wallet.ledger.totals.balance()),
            });
        }
    }
    Ok(Ok(balances))
}

/// Takes the hold that is for a payment, and holds enough, out of the quote's.
fn take_hold(
    app: &App,
    book: &mut Book,
    payment: &Payment,
    holds: &mut Vec<&QuoteHold>,
    now: DateTime<Utc>,
) -> Result<Option<i64>, Problem> {
    let Some(member) = book.members.get_mut(payment.member) else { return Ok(None) };
    let (wallet, _) = member.wallet(app, payment.kind, now)?;
    let buys = payment.buys.map(|(_, offer)| offer);
    let enough = |no: i64| wallet.ledger.holds.iter().any(|hold| hold.no == no && hold.units() >= payment.units);
    let found =
        holds.iter().position(|hold| hold.wallet_id == wallet.kept.id && hold.buys == buys && enough(hold.hold_no));
    Ok(found.map(|place| holds.remove(place).hold_no))
}

fn pay(
    app: &App,
    book: &mut Book,
    payment: &Payment,
    hold: Option<i64>,
    id: RedemptionId,
) -> Result<Result<(), Refusal>, Problem> {
    let (now, units) = (book.now, payment.units);
    let Some(member) = book.members.get_mut(payment.member) else { return Ok(Ok(())) };
    let rules = std::sync::Arc::clone(&member.rules);
    let (wallet, of_kind) = member.wallet(app, payment.kind, now)?;
    let note = Note::of(payment.buys.map_or(id.uuid(), |(coupon, _)| coupon.uuid()));
    let spent = wallet.post(&note, now, |ledger| match hold {
        Some(hold) => ledger.capture(hold, units, now).map(|_| ()),
        None => ledger.spend(EntryKind::Spent, units, now).map(|_| ()),
    });
    match spent {
        Ok(()) => {}
        // What was held past its end is gone once the hold is.
        Err(LedgerRefusal::NotEnough { available }) => {
            let available = Some(of_kind.rules.text(available));
            return Ok(Err(Refusal { available, ..RefusalCode::NotEnoughUnits.into() }));
        }
        Err(LedgerRefusal::Units) => return Err(Problem::invalid("/redeem", "is too much for one movement")),
        Err(other) => return Err(broken(other)),
    }
    if let Some(limit) = of_kind.rules.spend_per_period {
        wallet.kept.spent = wallet.kept.spent.add(limit.period.start(now, rules.zone), units);
    }
    if let Some(to) = of_kind.rules.slides_to(now, rules.zone) {
        wallet.post(&note, now, |ledger| ledger.extend(to, now).map(|_| ())).map_err(broken)?;
    }
    Ok(Ok(()))
}
