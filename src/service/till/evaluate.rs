//! What of the things that are asked for applies to a basket, and what not and why. Nothing is written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use iso_currency::Currency;
use serde_json::Map;

use super::purse::{Cost, Purse};
use super::{Basket, Refusal, Request, Wanted};
use crate::domain::ids::{BrandId, CouponId, CustomerId, OfferId, QuoteId, WalletId};
use crate::domain::loyalty::best::{self, Combination};
use crate::domain::loyalty::earning::Line;
use crate::domain::loyalty::offer::{OfferRules, Situation};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::quantity;
use crate::service::coupons;
use crate::service::loyalty::book::{Book, OpenMember};
use crate::service::loyalty::rules::{self, ReadyOffer, Rules};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::coupons::{self as coupon_store, Coupon, CouponState};
use crate::store::offers::{self, OfferState, Used};

/// Something that applies.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Which of what was asked for.
    pub index: usize,
    pub coupon: Option<Coupon>,
    pub offer: Option<ReadyOffer>,
    /// It buys a coupon of the offer, and takes nothing off.
    pub buys_coupon: bool,
    pub cost: Option<Cost>,
    /// Minor units off each line.
    pub by_line: Vec<i64>,
    /// Thousandths that the purchase earns.
    pub multiplier: i64,
    pub gift: Option<String>,
    /// Whose calendar its periods go by.
    pub zone: Tz,
}

impl Applied {
    pub fn minor(&self) -> i64 {
        self.by_line.iter().sum()
    }

    /// The offer that this is a use of, which may be limited: what was bought was one when it was bought.
    pub fn counts_as(&self) -> Option<&ReadyOffer> {
        self.offer.as_ref().filter(|_| self.coupon.as_ref().is_none_or(|coupon| coupon.bought_by.is_none()))
    }
}

/// What became of everything that was asked for.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    pub applied: Vec<Applied>,
    pub skipped: Vec<(usize, Refusal)>,
    /// Whether the best choice was looked for among all.
    pub is_exact: bool,
}

impl Evaluation {
    pub fn minor(&self) -> i64 {
        self.applied.iter().map(Applied::minor).sum()
    }
}

/// One of what is asked for, found.
struct Candidate {
    index: usize,
    offer: ReadyOffer,
    rules: Arc<Rules>,
    /// The member of the offer's program; `None`: the customer is none, or nobody knows who it is.
    member: Option<usize>,
    coupon: Option<Coupon>,
    buys_coupon: bool,
}

impl Candidate {
    fn coupon_id(&self) -> Option<CouponId> {
        self.coupon.as_ref().map(|coupon| coupon.id)
    }

    /// It is paid for, so it is owed, whatever became of its offer.
    fn is_bought(&self) -> bool {
        self.coupon.as_ref().is_some_and(|coupon| coupon.bought_by.is_some())
    }
}

/// Where something is looked for.
struct Looking<'a> {
    app: &'a App,
    brand: BrandId,
    book: Option<&'a Book>,
    /// What this quote holds is free to it.
    quote: Option<QuoteId>,
    /// When it is done, and what time it is: the same, but for a till that was offline.
    done_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// How far the clock of a till that was offline may have been behind.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);

/// How the redeemables go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// As they were asked for.
    InOrder,
    /// What takes off most.
    Best,
}

/// Evaluates a request for a customer's book (`None`: nobody knows who it is). Units that `quote` holds may be spent.
pub async fn evaluate(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    book: Option<&Book>,
    request: &Request,
    choice: Choice,
    quote: Option<(QuoteId, &BTreeMap<WalletId, i64>)>,
) -> Result<Evaluation, Problem> {
    let now = app.clock.now();
    let done_at = request.done_at.unwrap_or(now);
    let looking = Looking { app, brand, book, quote: quote.map(|(quote, _)| quote), done_at, now };
    let mut evaluation = Evaluation::default();
    let mut candidates = Vec::new();
    for (index, wanted) in request.wanted.iter().enumerate() {
        let found = match wanted {
            Wanted::Coupon(id) => {
                let coupon = coupon_store::find(conn, brand, *id).await?;
                of_coupon(&looking, conn, index, coupon).await?
            }
            Wanted::Code(code) => {
                let coupon = coupons::find_by_text(app, conn, brand, code.reveal(), request.done_at).await?;
                of_coupon(&looking, conn, index, coupon).await?
            }
            Wanted::Offer(id) => of_offer(&looking, conn, index, *id).await?,
            Wanted::RewardAsCoupon(id) => of_purchase(&looking, conn, index, *id).await?,
            Wanted::Units { .. } => continue,
        };
        match found {
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => evaluation.skipped.push((index, refusal)),
        }
    }
    let used = used(conn, brand, book.map(|book| book.customer), &candidates).await?;
    let mut purse = Purse::new(book, quote.map(|(_, held)| held));
    let mut admitted: Vec<(Candidate, Option<Cost>)> = Vec::new();
    for candidate in candidates {
        let earlier = || admitted.iter().map(|(earlier, _)| earlier);
        // Once is once, by whatever it is named.
        let is_twice = earlier().any(|one| one.coupon_id().is_some() && one.coupon_id() == candidate.coupon_id());
        let so_far = earlier().filter(|one| one.offer.id == candidate.offer.id && !one.is_bought()).count();
        let admission = match is_twice {
            true => Err(RefusalCode::AlreadyRedeemed.into()),
            false => admit(&candidate, book, &used, so_far, request, &mut purse, (done_at, now)),
        };
        match admission {
            Ok(cost) => admitted.push((candidate, cost)),
            Err(refusal) => evaluation.skipped.push((candidate.index, refusal)),
        }
    }
    let none = Basket { currency: Currency::BRL, lines: Vec::new() };
    let basket = request.basket.as_ref().unwrap_or(&none);
    let (later, admitted): (Vec<_>, Vec<_>) = admitted.into_iter().partition(|(candidate, _)| candidate.buys_coupon);
    let all: Vec<&OfferRules> = admitted.iter().map(|(candidate, _)| &candidate.offer.rules).collect();
    let (combination, is_exact) = match choice {
        Choice::InOrder => {
            let order: Vec<usize> = (0..all.len()).collect();
            (best::in_order(&all, &order, &basket.lines, basket.currency), true)
        }
        Choice::Best => best::best(&all, &basket.lines, basket.currency),
    };
    evaluation.is_exact = is_exact;
    let mut left: Vec<i64> = basket.lines.iter().map(|line| line.minor).collect();
    let Combination { applied, skipped } = combination;
    for (place, off) in applied {
        let Some((candidate, cost)) = admitted.get(place) else { continue };
        left.iter_mut().zip(&off.by_line).for_each(|(left, off)| *left -= off);
        evaluation.applied.push(Applied {
            index: candidate.index,
            coupon: candidate.coupon.clone(),
            offer: Some(candidate.offer.clone()),
            buys_coupon: false,
            cost: cost.clone(),
            by_line: off.by_line,
            multiplier: off.multiplier,
            gift: off.gift,
            zone: candidate.rules.zone,
        });
    }
    evaluation.applied.extend(later.into_iter().map(|(candidate, cost)| Applied {
        index: candidate.index,
        coupon: None,
        offer: Some(candidate.offer),
        buys_coupon: true,
        cost,
        by_line: vec![0; basket.lines.len()],
        multiplier: 1_000,
        gift: None,
        zone: candidate.rules.zone,
    }));
    for (place, code) in skipped {
        if let Some((candidate, cost)) = admitted.get(place) {
            purse.put_back(cost.as_ref());
            evaluation.skipped.push((candidate.index, code.into()));
        }
    }
    pay(request, basket, &mut left, &mut purse, &mut evaluation, now)?;
    evaluation.skipped.sort_by_key(|(index, _)| *index);
    Ok(evaluation)
}

/// The offer of a coupon, if the coupon may be used by this customer now.
async fn of_coupon(
    looking: &Looking<'_>,
    conn: &mut Conn<'_>,
    index: usize,
    coupon: Option<Coupon>,
) -> Result<Result<Candidate, Refusal>, Problem> {
    let Looking { book, quote, done_at, now, .. } = *looking;
    let is_offline = done_at != now;
    // It was there to be shown, so a till's clock was behind.
    let begun_by = if is_offline { (done_at + CLOCKS_DIFFER).min(now) } else { now };
    let Some(coupon) = coupon else { return Ok(Err(RefusalCode::CouponNotFound.into())) };
    let refusal = match coupon.state {
        CouponState::Voided => Some(RefusalCode::Voided.into()),
        CouponState::Redeemed => Some(used_before(&coupon)),
        CouponState::Issued if coupon.starts_at > begun_by => Some(RefusalCode::StartsInFuture.into()),
        CouponState::Issued if coupon.expires_at.is_some_and(|end| end <= done_at) => Some(RefusalCode::Expired.into()),
        CouponState::Issued => None,
    };
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    if coupon.customer_id.is_some() && coupon.customer_id != book.map(|book| book.customer) {
        let code = if book.is_some() { RefusalCode::RecipientMismatch } else { RefusalCode::ProfileRequired };
        return Ok(Err(code.into()));
    }
    // A till that was offline did not ask, and the goods are given.
    if !is_offline && coupon.held_until.is_some_and(|until| until > now) && coupon.held_by != quote {
        return Ok(Err(RefusalCode::BasketLocked.into()));
    }
    let found = find_offer(looking, conn, index, coupon.offer_id).await?;
    Ok(found.map(|mut candidate| {
        // It ran when a till took it that was offline.
        if is_offline && candidate.offer.stopped_at.is_some_and(|stopped| done_at < stopped) {
            candidate.offer.state = OfferState::Running;
        }
        Candidate { coupon: Some(coupon), ..candidate }
    }))
}

/// Who used a coupon, when and where.
pub(super) fn used_before(coupon: &Coupon) -> Refusal {
    Refusal {
        redemption: coupon.redemption_id,
        redeemed_at: coupon.redeemed_at,
        redeemed_in: coupon.redeemed_in.clone(),
        ..Refusal::from(RefusalCode::AlreadyRedeemed)
    }
}

/// An offer that needs no coupon.
async fn of_offer(
    looking: &Looking<'_>,
    conn: &mut Conn<'_>,
    index: usize,
    id: OfferId,
) -> Result<Result<Candidate, Refusal>, Problem> {
    let found = find_offer(looking, conn, index, id).await?;
    Ok(found.and_then(|candidate| {
        // A reward is paid for; whatever else wants a coupon is for those who have one.
        let is_open = candidate.offer.rules.price.is_some() || !candidate.offer.rules.wants_coupon;
        if is_open { Ok(candidate) } else { Err(RefusalCode::ReservationRequired.into()) }
    }))
}

/// A coupon of a reward, to be bought.
async fn of_purchase(
    looking: &Looking<'_>,
    conn: &mut Conn<'_>,
    index: usize,
    id: OfferId,
) -> Result<Result<Candidate, Refusal>, Problem> {
    let found = match find_offer(looking, conn, index, id).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let rules = &found.offer.rules;
    let refuse = |detail: &str| Problem::invalid(format!("/redeem/{index}/as_coupon"), detail);
    if rules.price.is_none() {
        return Err(refuse("is for rewards: this offer has no price"));
    }
    // What a coupon takes off is not known before it is used, and what is paid for must not be refused then.
    if rules.budget_minor.is_some() {
        return Err(refuse("is not for an offer with a budget: limit it by stock or limits.total"));
    }
    Ok(Ok(Candidate { buys_coupon: true, ..found }))
}

async fn find_offer(
    looking: &Looking<'_>,
    conn: &mut Conn<'_>,
    index: usize,
    id: OfferId,
) -> Result<Result<Candidate, Refusal>, Problem> {
    let Looking { app, brand, book, .. } = *looking;
    let members = book.map(|book| book.members.as_slice()).unwrap_or_default();
    for (place, member) in members.iter().enumerate() {
        if let Some(offer) = member.rules.offer(id) {
            return Ok(Ok(Candidate {
                index,
                offer: offer.clone(),
                rules: Arc::clone(&member.rules),
                member: Some(place),
                coupon: None,
                buys_coupon: false,
            }));
        }
    }
    let Some(row) = offers::find(conn, brand, id).await? else {
        return Ok(Err(RefusalCode::CampaignNotRunning.into()));
    };
    let ready = rules::current(app, conn, brand, row.program_id).await?;
    let read = ready.read_offer(&row)?;
    let member = members.iter().position(|member| member.rules.program == row.program_id);
    let offer = ReadyOffer::new(row, read);
    Ok(Ok(Candidate { index, offer, rules: ready, member, coupon: None, buys_coupon: false }))
}

/// How often the customer used those offers that count it.
async fn used(
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: Option<CustomerId>,
    candidates: &[Candidate],
) -> Result<Vec<Used>, Problem> {
    let counted = candidates.iter().filter(|candidate| !candidate.is_bought() && counts_uses(&candidate.offer.rules));
    let ids: Vec<OfferId> = counted.map(|candidate| candidate.offer.id).collect();
    match customer {
        Some(customer) => Ok(offers::list_used(conn, brand, customer, &ids).await?),
        None => Ok(Vec::new()),
    }
}

/// Whether it matters how often a customer used an offer.
pub(super) const fn counts_uses(rules: &OfferRules) -> bool {
    rules.per_customer.is_some() || rules.per_customer_period.is_some()
}

/// Whether a candidate may be used at all, and what it costs. `so_far`: uses of its offer by the same request. Whether it holds
/// is as of when it is done; what is paid for it, as of now.
fn admit(
    candidate: &Candidate,
    book: Option<&Book>,
    used: &[Used],
    so_far: usize,
    request: &Request,
    purse: &mut Purse<'_>,
    (done_at, now): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Cost>, Refusal> {
    let offer = &candidate.offer.rules;
    let store = request.place.store.map(|store| store.to_string());
    if candidate.is_bought() {
        return offer.admit_place(store.as_deref()).map(|()| None).map_err(Refusal::from);
    }
    if candidate.offer.state != OfferState::Running {
        return Err(RefusalCode::CampaignNotRunning.into());
    }
    if book.is_none() && (offer.price.is_some() || counts_uses(offer)) {
        return Err(RefusalCode::ProfileRequired.into());
    }
    let member: Option<&OpenMember> = candidate.member.and_then(|member| book?.members.get(member));
    let nothing = Map::new();
    let counted = used.iter().find(|used| used.offer_id == candidate.offer.id);
    let since = offer.per_customer_period.map(|limit| limit.period.start(done_at, candidate.rules.zone));
    let in_period = counted.filter(|used| since.is_some_and(|since| used.period_since >= since));
    let so_far = i64::try_from(so_far).unwrap_or(i64::MAX);
    let situation = Situation {
        now: done_at,
        store: store.as_deref(),
        tier: member.and_then(OpenMember::tier),
        attributes: member.map_or(&nothing, OpenMember::attributes),
        used: counted.map_or(0, |used| used.used) + so_far,
        used_in_period: in_period.map_or(0, |used| used.period_used) + so_far,
    };
    // Who buys it for later may do so anywhere.
    if candidate.buys_coupon { offer.admit_person(&situation) } else { offer.admit(&situation) }?;
    // A coupon costs nothing when it is used.
    let Some(price) = offer.price.as_ref().filter(|_| candidate.coupon.is_none()) else { return Ok(None) };
    let member = candidate.member.ok_or_else(|| Refusal::from(RefusalCode::ProfileRequired))?;
    let kind = candidate.rules.kind(&price.wallet).ok_or_else(|| Refusal::from(RefusalCode::WalletClosed))?;
    purse.take(member, kind, price.units, now).map(Some)
}

/// Units that pay what is left.
fn pay(
    request: &Request,
    basket: &Basket,
    left: &mut [i64],
    purse: &mut Purse<'_>,
    evaluation: &mut Evaluation,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    for (index, wanted) in request.wanted.iter().enumerate() {
        let Wanted::Units { wallet, units } = wanted else { continue };
        let members = purse.book.map(|book| book.members.as_slice()).unwrap_or_default();
        let found = members.iter().enumerate().find_map(|(place, member)| Some((place, member.rules.kind(wallet)?)));
        let Some((member, kind)) = found else {
            let code = if purse.book.is_some() { RefusalCode::WalletClosed } else { RefusalCode::ProfileRequired };
            evaluation.skipped.push((index, code.into()));
            continue;
        };
        let rules = members.get(member).and_then(|member| member.rules.kinds.get(kind)).map(|kind| &kind.rules);
        let Some(rules) = rules else { continue };
        let given = quantity::parse(units, rules.scale).ok().filter(|units| *units > 0);
        let Some(given) = given else {
            let detail = "must be a positive quantity with the places that the wallet has";
            return Err(Problem::invalid(format!("/redeem/{index}/units"), detail));
        };
        let sum: i64 = left.iter().sum();
        let paid =
            rules.pays(given).filter(|(_, currency)| *currency == basket.currency).map(|(minor, _)| minor.min(sum));
        // Without a basket units are just taken: the till knows what for.
        let (minor, cost) = match (&request.basket, paid) {
            (None, _) => (0, given),
            (Some(_), Some(minor)) if minor > 0 => (minor, rules.price_of(minor).unwrap_or(given).min(given)),
            (Some(_), _) => {
                evaluation.skipped.push((index, RefusalCode::EffectNotApplicable.into()));
                continue;
            }
        };
        match purse.take(member, kind, cost, now) {
            Ok(cost) => {
                let by_line = crate::domain::apportion::apportion(minor, left);
                left.iter_mut().zip(&by_line).for_each(|(left, off)| *left -= off);
                evaluation.applied.push(Applied {
                    index,
                    coupon: None,
                    offer: None,
                    buys_coupon: false,
                    cost: Some(cost),
                    by_line,
                    multiplier: 1_000,
                    gift: None,
                    zone: Tz::UTC,
                });
            }
            Err(refusal) => evaluation.skipped.push((index, refusal)),
        }
    }
    Ok(())
}

/// What is left of each line.
pub fn left_of(lines: &[Line], evaluation: &Evaluation) -> Vec<i64> {
    let off =
        |index: usize| -> i64 { evaluation.applied.iter().filter_map(|applied| applied.by_line.get(index)).sum() };
    lines.iter().enumerate().map(|(index, line)| line.minor - off(index)).collect()
}
