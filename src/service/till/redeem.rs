//! Redeeming: all of what is asked for, or nothing; once, whatever is repeated, raced or killed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::customer::customer_of;
use super::evaluate::{self, Applied, Choice, Evaluation, counts_uses, used_before};
use super::quote::{QuoteContent, basket_hash};
use super::receipt::{Receipt, event, item};
use super::spend::spend;
use super::{Refusal, Request, Wanted, bought};
use crate::domain::ids::{BrandId, CouponId, CustomerId, PassId, QuoteId, RedemptionId, WalletId};
use crate::domain::ledger::Hold;
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::pass::PassStatus;
use crate::domain::text;
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::problem::Refused;
use crate::service::{App, Problem, coupons, stores};
use crate::store::brands::Brand;
use crate::store::coupons::{self as coupon_store, Coupon};
use crate::store::redemptions::{self, Redemption, RedemptionState};
use crate::store::{Conn, events, offers, passes};

#[derive(Debug, Clone)]
pub struct NewRedemption {
    pub transaction_id: String,
    pub quote: Option<QuoteId>,
    pub request: Request,
    /// SHA-256 of the request.
    pub hash: [u8; 32],
}

/// A redemption as it is answered.
pub struct Redeemed {
    pub redemption: Redemption,
    /// `false`: it was known by its `transaction_id`.
    pub is_new: bool,
    /// The coupons that it bought.
    pub bought: Vec<Coupon>,
}

/// Redeems. The same `transaction_id` and content again: the first answer, be it a refusal.
pub async fn redeem(app: &App, brand: &Brand, new: NewRedemption) -> Result<Redeemed, Problem> {
    let transaction = text::line(&new.transaction_id, 100).map_err(Problem::text("/transaction_id"))?;
    let scope = new.request.place.scope();
    let outcome = try_redeem(app, brand, &new, &transaction, &scope).await;
    let problem = match outcome {
        Ok(Some((redemption, mut bought))) => {
            bought::show(app, brand, &mut bought).await;
            return Ok(Redeemed { redemption, is_new: true, bought });
        }
        Err(problem) if problem.is_passing() => return Err(problem),
        Ok(None) => None,
        Err(problem) => Some(problem),
    };
    if let Some(Problem::Refused(refused)) = &problem {
        keep_refusal(app, brand.id, &new, &transaction, refused).await?;
    }
    // Somebody has this id, or it cannot be: maybe because this very request was answered before.
    let mut reader = app.db.read().await?;
    let first = redemptions::find_redemption_named(&mut reader.conn(), brand.id, &scope, &transaction).await?;
    match first {
        Some(first) if first.body_hash == new.hash => {
            drop(reader);
            let bought = bought::list(app, brand.id, &first).await?;
            return Ok(Redeemed { redemption: first, is_new: false, bought });
        }
        Some(_) => return Err(Problem::OtherContent { what: "redemption" }),
        None => {}
    }
    match redemptions::find_refusal(&mut reader.conn(), brand.id, &scope, &transaction, &new.hash).await? {
        Some(refused) => Err(Problem::Refused(serde_json::from_value(refused).map_err(Problem::internal)?)),
        None => Err(problem.unwrap_or(Problem::Busy)),
    }
}

/// Writes down that this very request was refused, unless it was answered before: a try that was cut off, and is still on its
/// way, must not take what its till was told it did not get.
async fn keep_refusal(
    app: &App,
    brand: BrandId,
    new: &NewRedemption,
    transaction: &str,
    refused: &Refused,
) -> Result<(), Problem> {
    let place = &new.request.place;
    let refusal = Redemption {
        id: RedemptionId::new(app.clock.new_id()),
        place: place.scope(),
        transaction_id: transaction.to_owned(),
        body_hash: new.hash.to_vec(),
        customer_id: None,
        store_id: place.store,
        terminal: place.terminal.clone(),
        employee: None,
        state: RedemptionState::Refused,
        currency: None,
        discount_minor: 0,
        items: Json(serde_json::to_value(refused).map_err(Problem::internal)?),
        done_at: None,
        created_at: app.clock.now(),
        voided_at: None,
    };
    let mut tx = app.db.begin().await?;
    redemptions::insert_redemption(&mut tx.conn(), brand, &refusal).await?;
    Ok(tx.commit().await?)
}

/// `None`: the id is taken, or this very request was refused.
async fn try_redeem(
    app: &App,
    brand: &Brand,
    new: &NewRedemption,
    transaction: &str,
    scope: &str,
) -> Result<Option<(Redemption, Vec<Coupon>)>, Problem> {
    let request = &new.request;
    if request.wanted.is_empty() {
        return Err(Problem::invalid("/redeem", "must not be empty"));
    }
    request.check_count()?;
    let mut tx = app.db.begin().await?;
    let customer = customer_of(app, &mut tx.conn(), brand.id, request).await?;
    // Coupons move no units.
    let is_bare = new.quote.is_none()
        && request.wanted.iter().all(|wanted| matches!(wanted, Wanted::Coupon(_) | Wanted::Code(_)));
    let place = request.place.clone();
    let mut book = match customer {
        Some(customer) if is_bare => Some(Book::open_bare(app, &mut tx.conn(), brand.id, customer, place).await?),
        Some(customer) => Some(Book::open(app, &mut tx.conn(), brand.id, customer, place).await?),
        None => None,
    };
    let (now, id) = (app.clock.now(), RedemptionId::new(app.clock.new_id()));
    if let Some(book) = &mut book {
        book.catch_up()?;
    }
    let quoted = match new.quote {
        None => None,
        Some(quote) => match check_quote(&mut tx.conn(), brand, quote, request, customer, id).await? {
            Ok(content) => Some((quote, content)),
            Err(refusal) => return Err(refuse(app, &mut tx.conn(), brand, &request.place, refusal, None).await?),
        },
    };
    let mut held: BTreeMap<WalletId, i64> = BTreeMap::new();
    for hold in quoted.iter().flat_map(|(_, content)| &content.holds) {
        *held.entry(hold.wallet_id).or_default() += held_units(book.as_ref(), hold.wallet_id, hold.hold_no);
    }
    let quote = quoted.as_ref().map(|(quote, _)| (*quote, &held));
    let evaluation =
        evaluate::evaluate(app, &mut tx.conn(), brand.id, book.as_ref(), request, Choice::InOrder, quote).await?;
    if let Some((index, refusal)) = evaluation.skipped.first().cloned() {
        return Err(refuse(app, &mut tx.conn(), brand, &request.place, refusal, Some(index)).await?);
    }
    // What a coupon says of where it was used.
    let has_coupon = evaluation.applied.iter().any(|applied| applied.coupon.is_some());
    let place = match has_coupon {
        true => stores::voice(app, &mut tx.conn(), brand, &request.place).await?.0,
        false => String::new(),
    };
    let done_at = request.done_at.unwrap_or(now);
    let (is_offline, book_now) = (request.done_at.is_some(), book.as_ref());
    let held_coupons = quoted.iter().flat_map(|(_, content)| &content.items).filter_map(|item| item.coupon_id);
    let held_coupons: Vec<CouponId> = held_coupons.collect();
    let taking = Taking {
        brand: brand.id,
        id,
        quote: new.quote,
        held_coupons: &held_coupons,
        place: &place,
        book: book_now,
        is_offline,
        done_at,
        now,
    };
    let shown = match take(&mut tx.conn(), &evaluation, &taking).await? {
        Ok(shown) => shown,
        Err((index, refusal)) => {
            return Err(refuse(app, &mut tx.conn(), brand, &request.place, refusal, Some(index)).await?);
        }
    };
    // Whoever pays is somebody.
    let bought = customer.map(|customer| bought::make(app, &evaluation, customer, id, now)).unwrap_or_default();
    let mut wallets = Vec::new();
    if let Some(book) = &mut book {
        let quoted = quoted.as_ref().map(|(_, content)| content);
        match spend(app, book, (&evaluation, &bought), id, quoted)? {
            Ok(balances) => wallets = balances,
            Err(refusal) => {
                return Err(refuse(app, &mut tx.conn(), brand, &request.place, refusal, None).await?);
            }
        }
    }
    let items = evaluation.applied.iter().map(|applied| {
        let bought = bought.get(&applied.index).map(|coupon| coupon.id);
        item(applied, book.as_ref(), bought)
    });
    let items = items.collect();
    let receipt = Receipt { items, wallets };
    let redemption = Redemption {
        id,
        place: scope.to_owned(),
        transaction_id: transaction.to_owned(),
        body_hash: new.hash.to_vec(),
        customer_id: customer,
        store_id: request.place.store,
        terminal: request.place.terminal.clone(),
        employee: request.place.employee.clone(),
        state: RedemptionState::Committed,
        currency: request.basket.as_ref().map(|basket| basket.currency.code().to_owned()),
        discount_minor: evaluation.minor(),
        items: Json(serde_json::to_value(&receipt).map_err(Problem::internal)?),
        done_at: request.done_at,
        created_at: now,
        voided_at: None,
    };
    if !redemptions::insert_redemption(&mut tx.conn(), brand.id, &redemption).await? {
        return Ok(None);
    }
    let bought: Vec<Coupon> = bought.into_values().collect();
    // None of them was ever made: 96 bits of chance, and 65.
    if coupon_store::insert(&mut tx.conn(), brand.id, &bought).await? != bought.len() as u64 {
        return Err(Problem::Busy);
    }
    let mut happened = vec![event(app, "redemption.committed", &redemption)];
    happened.extend(bought.iter().map(|coupon| coupons::event(app, "coupon.issued", coupon)));
    match &mut book {
        Some(book) => book.record(happened),
        None => events::insert_many(&mut tx.conn(), brand.id, &happened).await?,
    }
    let used: Vec<&Coupon> = evaluation.applied.iter().filter_map(|applied| applied.coupon.as_ref()).collect();
    if let Some(mut book) = book {
        if used.iter().any(|coupon| coupon.customer_id.is_some()) {
            book.mark();
        }
        book.close(app, &mut tx.conn()).await?;
    }
    // After all passes of the customer were locked, in their order.
    for pass in shown {
        passes::set_status(&mut tx.conn(), brand.id, pass, PassStatus::Active, PassStatus::Voided, now).await?;
    }
    tx.commit().await?;
    app.changed.notify_one();
    Ok(Some((redemption, bought)))
}

/// What a hold still holds: nothing when its time is over, less when a lot ended in it.
fn held_units(book: Option<&Book>, wallet: WalletId, hold: i64) -> i64 {
    let wallets = book.into_iter().flat_map(|book| &book.members).flat_map(|member| &member.wallets);
    let holds = wallets.filter(|open| open.kept.id == wallet).flat_map(|open| &open.ledger.holds);
    holds.filter(|one| one.no == hold).map(Hold::units).sum()
}

/// What a quote promised, if it is this basket's and its time is not over.
async fn check_quote(
    conn: &mut Conn<'_>,
    brand: &Brand,
    quote: QuoteId,
    request: &Request,
    customer: Option<CustomerId>,
    redemption: RedemptionId,
) -> Result<Result<QuoteContent, Refusal>, Problem> {
    let known = redemptions::find_quote(conn, brand.id, quote).await?;
    let known = known.ok_or_else(|| Problem::invalid("/quote_id", "there is no quote with this id"))?;
    if known.place != request.place.scope() {
        return Err(Problem::OtherStore);
    }
    if known.customer_id != customer || known.basket_hash != basket_hash(request.basket.as_ref()) {
        return Ok(Err(RefusalCode::BasketChanged.into()));
    }
    if !redemptions::use_quote(conn, brand.id, quote, redemption).await? {
        return Ok(Err(RefusalCode::QuoteExpired.into()));
    }
    Ok(Ok(serde_json::from_value(known.content.0).map_err(Problem::internal)?))
}

/// A refusal in the till's language; where somebody else was first, who, when and where.
pub(super) async fn refuse(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    place: &Place,
    refusal: Refusal,
    index: Option<usize>,
) -> Result<Problem, Problem> {
    let (_, locale) = stores::voice(app, conn, brand, place).await?;
    metrics::counter!("passarela_refusals_total", "code" => refusal.code.as_str()).increment(1);
    Ok(Problem::Refused(Box::new(refusal.spoken(locale, index))))
}

/// Who takes something, and for what.
struct Taking<'a> {
    brand: BrandId,
    id: RedemptionId,
    quote: Option<QuoteId>,
    /// Coupons that it holds.
    held_coupons: &'a [CouponId],
    /// The store, as people call it.
    place: &'a str,
    book: Option<&'a Book>,
    is_offline: bool,
    done_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Takes coupons, then what is left of offers: each by one conditional update, in order of their ids. The passes that show the
/// coupons.
async fn take(
    conn: &mut Conn<'_>,
    evaluation: &Evaluation,
    taking: &Taking<'_>,
) -> Result<Result<Vec<PassId>, (usize, Refusal)>, Problem> {
    let Taking { brand, id, quote, held_coupons, place, book, is_offline, done_at, now } = *taking;
    let by = coupon_store::Use { redemption: id, quote, place, done_at };
    let mut shown = Vec::new();
    let used = evaluation.applied.iter().filter_map(|applied| Some((applied.coupon.as_ref()?.id, Some(applied))));
    // What the quote holds and nobody uses is free again.
    let left = held_coupons.iter().map(|coupon| (*coupon, None));
    let mut coupons: Vec<(CouponId, Option<&Applied>)> = left.chain(used).collect();
    coupons.sort_by_key(|(coupon, applied)| (*coupon, applied.is_none()));
    coupons.dedup_by_key(|(coupon, _)| *coupon);
    for (coupon, applied) in coupons {
        let Some((applied, coupon)) = applied.and_then(|applied| Some((applied, applied.coupon.as_ref()?))) else {
            if let Some(quote) = quote {
                coupon_store::release(conn, brand, &[coupon], quote).await?;
            }
            continue;
        };
        // Who took it at a till that was offline did not ask what a quote holds.
        let quote = if is_offline { coupon.held_by } else { quote };
        let by = coupon_store::Use { quote, ..by };
        let Some(pass) = coupon_store::redeem(conn, brand, coupon.id, &by, now).await? else {
            let winner = coupon_store::find(conn, brand, coupon.id).await?;
            let refusal = match winner {
                Some(coupon) if coupon.redemption_id.is_some() => used_before(&coupon),
                Some(coupon) if coupon.held_by.is_some() => RefusalCode::BasketLocked.into(),
                Some(_) | None => RefusalCode::Voided.into(),
            };
            return Ok(Err((applied.index, refusal)));
        };
        shown.extend(pass);
    }
    let mut counted: Vec<_> =
        evaluation.applied.iter().filter_map(|applied| Some((applied, applied.counts_as()?))).collect();
    counted.sort_by_key(|(_, offer)| offer.id);
    for (applied, offer) in counted {
        let rules = &offer.rules;
        if let Some(book) = book.filter(|_| counts_uses(rules)) {
            let since = rules.per_customer_period.map_or(book.now, |limit| limit.period.start(book.now, applied.zone));
            let used = offers::count_use(conn, brand, book.customer, offer.id, since).await?;
            // Read before, it may have been more by now: a customer without a membership is held by nobody.
            let is_over = rules.per_customer.is_some_and(|most| used.used > most)
                || rules.per_customer_period.is_some_and(|limit| used.period_used > limit.count);
            if is_over {
                return Ok(Err((applied.index, RefusalCode::ProfileLimitReached.into())));
            }
        }
        let is_limited = rules.limit.is_some() || rules.stock.is_some() || rules.budget_minor.is_some();
        if is_limited && !offers::take(conn, brand, offer.id, applied.minor()).await? {
            let left = offers::find(conn, brand, offer.id).await?;
            let is_out = left.is_some_and(|left| left.stock_left == Some(0));
            let code = if is_out { RefusalCode::StockExhausted } else { RefusalCode::CampaignLimitReached };
            return Ok(Err((applied.index, code.into())));
        }
    }
    Ok(Ok(shown))
}
