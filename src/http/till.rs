//! `/api/v1/scans`, `/api/v1/quotes` and `/api/v1/redemptions`: the till.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{
    CouponId, CustomerId, MemberId, OfferId, ProgramId, QuoteId, RedemptionId, StoreId, WalletId,
};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::loyalty::tier::Progress;
use crate::domain::secret::Personal;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::auth::{Allow, Failures};
use crate::http::extract::{Body, id};
use crate::http::money::{BasketBody, MoneyBody};
use crate::http::passes::CustomerRef;
use crate::http::problem::RefusalBody;
use crate::service::loyalty::place::Place;
use crate::service::till::quote::{self, Quoted};
use crate::service::till::redeem::{self, Item, ItemKind, NewRedemption, Receipt};
use crate::service::till::scan::{self, Scanned, ShownMember};
use crate::service::till::{Request, Wanted};
use crate::service::{App, Problem};
use crate::store::tills::{Redemption, RedemptionState};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanBody {
    /// What was scanned or typed: a pass's or a coupon's code, a card's number, a CPF, a phone, an e-mail address.
    #[schema(value_type = String, example = "7401 8835 2290")]
    code: Personal<String>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WalletView {
    #[schema(value_type = String)]
    id: WalletId,
    #[schema(example = "points")]
    key: String,
    name: String,
    #[schema(example = "120")]
    balance: String,
    pending: String,
    held: String,
    /// What the balance pays in a basket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pays: Option<MoneyBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_expiry: Option<ExpiryView>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ExpiryView {
    at: DateTime<Utc>,
    units: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RewardView {
    #[schema(value_type = String)]
    reward_id: OfferId,
    name: String,
    #[schema(example = "points")]
    wallet: String,
    #[schema(example = "200")]
    price: String,
    /// 0: it can be had now.
    #[schema(example = "80")]
    missing: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OfferRef {
    #[schema(value_type = String)]
    offer_id: OfferId,
    name: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MemberView {
    #[schema(value_type = String)]
    id: MemberId,
    #[schema(value_type = String)]
    program_id: ProgramId,
    /// The tier, what is missing to the next, and what threatens.
    #[schema(value_type = Option<Object>)]
    tier: Option<Progress>,
    wallets: Vec<WalletView>,
    rewards: Vec<RewardView>,
    offers: Vec<OfferRef>,
}

pub fn member_view(member: ShownMember) -> MemberView {
    let wallets = member.wallets.into_iter().map(|wallet| WalletView {
        id: wallet.id,
        key: wallet.key,
        name: wallet.name,
        balance: wallet.balance,
        pending: wallet.pending,
        held: wallet.held,
        pays: wallet.pays.map(|(minor, currency)| MoneyBody::new(minor, &currency)),
        next_expiry: wallet.next_expiry.map(|(at, units)| ExpiryView { at, units }),
    });
    let rewards = member.rewards.into_iter().map(|reward| RewardView {
        reward_id: reward.id,
        name: reward.name,
        wallet: reward.wallet,
        price: reward.price,
        missing: reward.missing,
    });
    MemberView {
        id: member.id,
        program_id: member.program,
        tier: member.tier,
        wallets: wallets.collect(),
        rewards: rewards.collect(),
        offers: member.offers.into_iter().map(|(offer_id, name)| OfferRef { offer_id, name }).collect(),
    }
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UsableCoupon {
    #[schema(value_type = String)]
    coupon_id: CouponId,
    #[schema(value_type = String)]
    offer_id: OfferId,
    name: String,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ScannedCoupon {
    #[schema(value_type = String)]
    coupon_id: CouponId,
    #[schema(value_type = String)]
    offer_id: OfferId,
    is_usable: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "already_redeemed")]
    refusal: Option<RefusalCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeemed_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeemed_in: Option<String>,
}

/// About a person: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ScanView {
    #[schema(value_type = String)]
    customer_id: CustomerId,
    /// The first of their names: enough to greet them.
    name: Option<String>,
    members: Vec<MemberView>,
    coupons: Vec<UsableCoupon>,
    /// The coupon whose code was scanned.
    coupon: Option<ScannedCoupon>,
}

fn scan_view(scanned: Scanned) -> ScanView {
    let coupons = scanned.coupons.into_iter().map(|(coupon, name)| UsableCoupon {
        coupon_id: coupon.id,
        offer_id: coupon.offer_id,
        name,
        expires_at: coupon.expires_at,
    });
    let first = |name: Personal<String>| name.reveal().split_whitespace().next().unwrap_or_default().to_owned();
    ScanView {
        customer_id: scanned.customer,
        name: scanned.name.map(first),
        members: scanned.members.into_iter().map(member_view).collect(),
        coupons: coupons.collect(),
        coupon: scanned.coupon.map(|(coupon, refusal)| ScannedCoupon {
            coupon_id: coupon.id,
            offer_id: coupon.offer_id,
            is_usable: refusal.is_none(),
            refusal,
            redeemed_at: coupon.redeemed_at,
            redeemed_in: coupon.redeemed_in,
        }),
    }
}

/// Who it is and what applies. A code that is forged, foreign, retired or mistyped is not found, like one that nobody has
#[utoipa::path(post, path = "/api/v1/scans", tag = "till", request_body = ScanBody,
    responses((status = 200, description = "The customer", body = ScanView), (status = 404, description = "Unknown", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn scan(
    allow: Allow<(Pos, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    body: Body<ScanBody>,
) -> Result<HttpResponse, Problem> {
    let ScanBody { code, store_id, terminal } = body.value;
    let place = Place::of(&allow.caller, store_id, terminal, None)?;
    let brand = allow.caller.brand;
    match app.run(async move |app| scan::scan(&app, &brand, code.reveal(), place).await).await {
        // Guessing is throttled; whoever knows a code is not.
        Err(problem @ Problem::NotFound { .. }) => Err(Failures::count(&request, problem)),
        scanned => Ok(HttpResponse::Ok().json(scan_view(scanned?))),
    }
}

/// One of what is to be redeemed: by exactly one of `coupon_id`, `coupon_code`, `reward_id`, `offer_id` or `wallet`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemItem {
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    /// As it was scanned or typed.
    #[schema(value_type = Option<String>)]
    coupon_code: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    reward_id: Option<OfferId>,
    #[schema(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    /// The key of a wallet to pay with, and how many `units` of it.
    #[schema(example = "points")]
    wallet: Option<String>,
    #[schema(example = "100")]
    units: Option<String>,
}

fn wanted(items: Vec<RedeemItem>) -> Result<Vec<Wanted>, Problem> {
    let one = |(index, item): (usize, RedeemItem)| {
        let RedeemItem { coupon_id, coupon_code, reward_id, offer_id, wallet, units } = item;
        let units_of = wallet.zip(units.clone()).map(|(wallet, units)| Wanted::Units { wallet, units });
        let given = [
            coupon_id.map(Wanted::Coupon),
            coupon_code.map(Wanted::Code),
            reward_id.map(Wanted::Offer),
            offer_id.map(Wanted::Offer),
            units_of,
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(wanted), None) if units.is_none() || matches!(wanted, Wanted::Units { .. }) => Ok(wanted),
            _ => Err(Problem::invalid(
                format!("/redeem/{index}"),
                "name one of coupon_id, coupon_code, reward_id, offer_id, or wallet with units",
            )),
        }
    };
    items.into_iter().enumerate().map(one).collect()
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteBody {
    customer: Option<CustomerRef>,
    basket: BasketBody,
    /// What is to be looked at; absent: the best of everything that the customer has.
    redeem: Option<Vec<RedeemItem>>,
    /// For how many seconds nobody else gets it: 1 to 3,600.
    #[schema(example = 120)]
    lock_secs: Option<u32>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ItemView {
    /// coupon, offer, reward or units.
    #[schema(value_type = String, example = "coupon")]
    kind: ItemKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<String>,
    discount_minor: i64,
    /// Of each line of the basket.
    by_line_minor: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gift: Option<String>,
    /// What the purchase earns times.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiplier: Option<String>,
}

fn item_view(item: Item) -> ItemView {
    ItemView {
        kind: item.kind,
        coupon_id: item.coupon_id,
        offer_id: item.offer_id,
        name: item.name,
        wallet: item.wallet,
        units: item.units,
        discount_minor: item.discount_minor,
        by_line_minor: item.by_line,
        gift: item.gift,
        multiplier: item.multiplier.map(|thousandths| crate::domain::quantity::text(thousandths, 3)),
    }
}

/// What would not apply, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SkippedView {
    #[serde(flatten)]
    refusal: RefusalBody,
    /// In the till's language.
    detail: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QuoteView {
    #[schema(value_type = String, example = "quo_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: QuoteId,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    items: Vec<ItemView>,
    skipped: Vec<SkippedView>,
    discount: MoneyBody,
    /// What is still to be paid, and of each line.
    to_pay: MoneyBody,
    left_by_line_minor: Vec<i64>,
    /// Whether every choice was looked at; with more than 8 redeemables a good one is.
    is_exact: bool,
    /// Until when nobody else gets it.
    lock_until: Option<DateTime<Utc>>,
}

/// Quote a basket: what would apply, line by line, and why the rest would not
#[utoipa::path(post, path = "/api/v1/quotes", tag = "till", request_body = QuoteBody,
    responses((status = 201, description = "The quote", body = QuoteView)))]
pub async fn quote(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    body: Body<QuoteBody>,
) -> Result<HttpResponse, Problem> {
    let given = body.value;
    let basket = given.basket.read()?;
    let currency = basket.currency.code().to_owned();
    let request = Request {
        customer: given.customer.map(CustomerRef::parse_known).transpose()?,
        wanted: wanted(given.redeem.unwrap_or_default())?,
        basket: Some(basket),
        place: Place::of(&allow.caller, given.store_id, given.terminal, given.employee)?,
    };
    let (brand, lock_secs) = (allow.caller.brand, given.lock_secs);
    let quoted = app.run(async move |app| quote::quote(&app, &brand, request, lock_secs).await).await?;
    let Quoted { quote, items, skipped, discount_minor, left_by_line, is_exact } = quoted;
    let skipped = skipped
        .iter()
        .map(|refused| SkippedView { refusal: RefusalBody::from(refused), detail: refused.sentence.clone() });
    Ok(HttpResponse::Created().json(QuoteView {
        id: quote.id,
        customer_id: quote.customer_id,
        items: items.into_iter().map(item_view).collect(),
        skipped: skipped.collect(),
        discount: MoneyBody::new(discount_minor, &currency),
        to_pay: MoneyBody::new(left_by_line.iter().sum(), &currency),
        left_by_line_minor: left_by_line,
        is_exact,
        lock_until: quote.lock_until,
    }))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemBody {
    /// The till's own id: the same again answers the first redemption again. Unique for ever in a store, or online.
    #[schema(example = "ticket-4711", max_length = 100)]
    transaction_id: String,
    /// What this basket was quoted: what it holds is used.
    #[schema(value_type = Option<String>)]
    quote_id: Option<QuoteId>,
    customer: Option<CustomerRef>,
    redeem: Vec<RedeemItem>,
    basket: Option<BasketBody>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BalanceView {
    #[schema(value_type = String)]
    program_id: ProgramId,
    wallet: String,
    #[schema(value_type = String)]
    wallet_id: WalletId,
    balance: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RedemptionView {
    #[schema(value_type = String, example = "rdm_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: RedemptionId,
    transaction_id: String,
    /// committed or voided.
    #[schema(value_type = String, example = "committed")]
    state: RedemptionState,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    terminal: Option<String>,
    items: Vec<ItemView>,
    /// Of the basket; null where there was none.
    discount: Option<MoneyBody>,
    /// What the wallets held afterwards.
    wallets: Vec<BalanceView>,
    created_at: DateTime<Utc>,
    voided_at: Option<DateTime<Utc>>,
}

fn redemption_view(redemption: Redemption) -> Result<RedemptionView, Problem> {
    let receipt: Receipt = serde_json::from_value(redemption.items.0).map_err(Problem::internal)?;
    let wallets = receipt.wallets.into_iter().map(|balance| BalanceView {
        program_id: balance.program_id,
        wallet: balance.wallet,
        wallet_id: balance.wallet_id,
        balance: balance.balance,
    });
    let minor = redemption.discount_minor;
    Ok(RedemptionView {
        id: redemption.id,
        transaction_id: redemption.transaction_id,
        state: redemption.state,
        customer_id: redemption.customer_id,
        store_id: redemption.store_id,
        terminal: redemption.terminal,
        items: receipt.items.into_iter().map(item_view).collect(),
        discount: redemption.currency.map(|currency| MoneyBody::new(minor, &currency)),
        wallets: wallets.collect(),
        created_at: redemption.created_at,
        voided_at: redemption.voided_at,
    })
}

/// Redeem: all of it or nothing, once
#[utoipa::path(post, path = "/api/v1/redemptions", tag = "till", request_body = RedeemBody,
    responses((status = 201, description = "Redeemed", body = RedemptionView), (status = 200, description = "Known by this transaction_id", body = RedemptionView),
        (status = 409, description = "Refused: `code` says why, `detail` in the till's language", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn redeem(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    body: Body<RedeemBody>,
) -> Result<HttpResponse, Problem> {
    let (given, hash) = (body.value, body.canonical);
    let new = NewRedemption {
        transaction_id: given.transaction_id,
        quote: given.quote_id,
        request: Request {
            customer: given.customer.map(CustomerRef::parse_known).transpose()?,
            wanted: wanted(given.redeem)?,
            basket: given.basket.map(BasketBody::read).transpose()?,
            place: Place::of(&allow.caller, given.store_id, given.terminal, given.employee)?,
        },
        hash,
    };
    let brand = allow.caller.brand;
    match app.run(async move |app| redeem::redeem(&app, &brand, new).await).await {
        Ok((redemption, is_new)) => {
            Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(redemption_view(redemption)?))
        }
        Err(Problem::Refused(refused)) if refused.code == RefusalCode::CouponNotFound => {
            Err(Failures::count(&request, Problem::Refused(refused)))
        }
        Err(problem) => Err(problem),
    }
}

/// Read a redemption
#[utoipa::path(get, path = "/api/v1/redemptions/{id}", tag = "till", params(("id" = String, Path)),
    responses((status = 200, description = "The redemption", body = RedemptionView)))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Pos, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, redemption) = (allow.caller.brand.id, id(&path, "redemption")?);
    let store = allow.caller.key.store_id;
    let found = app.run(async move |app| redeem::read(&app, brand, redemption).await).await?;
    // A till knows its own store's.
    if store.is_some() && found.store_id != store {
        return Err(Problem::NotFound { what: "redemption" });
    }
    Ok(HttpResponse::Ok().json(redemption_view(found)?))
}

/// Take a redemption back; repeating it changes nothing
#[utoipa::path(post, path = "/api/v1/redemptions/{id}/void", tag = "till", params(("id" = String, Path)),
    responses((status = 200, description = "The redemption", body = RedemptionView)))]
pub async fn void(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let redemption = id(&path, "redemption")?;
    let place = Place::of(&allow.caller, None, None, None)?;
    let brand = allow.caller.brand;
    let voided = app.run(async move |app| redeem::void(&app, &brand, redemption, place).await).await?;
    Ok(HttpResponse::Ok().json(redemption_view(voided)?))
}
