//! `/api/v1/redemptions`: taking off a basket, once, and taking it back.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{
    BrandId, ConflictId, CouponId, CustomerId, ProgramId, QuoteId, RedemptionId, StoreId, WalletId,
};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::role::Role;
use crate::domain::secret::Personal;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::auth::{Allow, Failures};
use crate::http::coupons::{BoughtView, bought_views};
use crate::http::extract::{Body, MaybeBody, Query, id};
use crate::http::money::{BasketBody, MoneyBody};
use crate::http::page::{Page, Paging, after, limit};
use crate::http::passes::CustomerRef;
use crate::http::redeem_item::{ItemView, RedeemItem, item_view, wanted};
use crate::service::loyalty::place::Place;
use crate::service::till::receipt::{self, Receipt};
use crate::service::till::redeem::{self, NewRedemption, Redeemed};
use crate::service::till::{Request, bought, offline, void};
use crate::service::{App, Problem, code_keys};
use crate::store::redemptions::{Redemption, RedemptionState};

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

/// Holds who did it, and maybe codes that are worth something: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
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
    employee: Option<String>,
    items: Vec<ItemView>,
    /// Of the basket; null where there was none.
    discount: Option<MoneyBody>,
    /// What the wallets held after it was redeemed, whatever became of them since.
    wallets: Vec<BalanceView>,
    /// What was bought, to be used another time; with codes for whoever may redeem.
    coupons: Vec<BoughtView>,
    created_at: DateTime<Utc>,
    voided_at: Option<DateTime<Utc>>,
    /// When it was done, if the till was offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at: Option<DateTime<Utc>>,
}

fn redemption_view(redemption: Redemption, coupons: Vec<BoughtView>) -> Result<RedemptionView, Problem> {
    let receipt = Receipt::of(&redemption)?;
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
        employee: redemption.employee.map(Personal::into_inner),
        items: receipt.items.into_iter().map(item_view).collect(),
        discount: redemption.currency.map(|currency| MoneyBody::new(minor, &currency)),
        wallets: wallets.collect(),
        coupons,
        created_at: redemption.created_at,
        voided_at: redemption.voided_at,
        done_at: redemption.done_at,
    })
}

/// A redemption as it is told afterwards, with codes for those who may know them.
async fn told(app: &App, brand: BrandId, redemption: Redemption, may_know: bool) -> Result<RedemptionView, Problem> {
    let bought = bought::list(app, brand, &redemption).await?;
    let keys = match may_know && !bought.is_empty() {
        true => Some(code_keys::current(app, brand).await?),
        false => None,
    };
    redemption_view(redemption, bought_views(app, brand, bought, keys)?)
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
            done_at: None,
        },
        hash,
    };
    let brand = allow.caller.brand;
    let redeemed = app.run(async move |app| {
        let Redeemed { redemption, is_new, bought } = redeem::redeem(&app, &brand, new).await?;
        // It is done: codes that cannot be told now are read later.
        let keys = match bought.is_empty() {
            true => None,
            false => code_keys::current(&app, brand.id).await.inspect_err(|why| tracing::warn!("no codes: {why}")).ok(),
        };
        let coupons = bought_views(&app, brand.id, bought, keys)?;
        Ok((redemption_view(redemption, coupons)?, is_new))
    });
    match redeemed.await {
        Ok((view, is_new)) => Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view)),
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
    let may_know = matches!(allow.caller.key.role, Role::Pos | Role::Issuer | Role::Admin);
    let found = app.run(async move |app| {
        let found = receipt::read(&app, brand, redemption).await?;
        // A till knows its own store's.
        if store.is_some() && found.store_id != store {
            return Err(Problem::NotFound { what: "redemption" });
        }
        told(&app, brand, found, may_know).await
    });
    Ok(HttpResponse::Ok().json(found.await?))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidBody {
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

/// Take a redemption back; repeating it changes nothing
#[utoipa::path(post, path = "/api/v1/redemptions/{id}/void", tag = "till", params(("id" = String, Path)),
    request_body(content = VoidBody, description = "Who does it; may be left out"),
    responses((status = 200, description = "The redemption", body = RedemptionView)))]
pub async fn void(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    body: MaybeBody<VoidBody>,
) -> Result<HttpResponse, Problem> {
    let redemption = id(&path, "redemption")?;
    let VoidBody { terminal, employee } = body.0.unwrap_or_default();
    let place = Place::of(&allow.caller, None, terminal, employee)?;
    let brand = allow.caller.brand;
    let voided = app.run(async move |app| {
        let voided = void::void(&app, &brand, redemption, place).await?;
        told(&app, brand.id, voided, true).await
    });
    Ok(HttpResponse::Ok().json(voided.await?))
}

/// Holds who did it: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ConflictView {
    #[schema(value_type = String, example = "cfl_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: ConflictId,
    /// The till's own id.
    transaction_id: String,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    terminal: Option<String>,
    employee: Option<String>,
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    /// Why: a refusal's code.
    #[schema(example = "already_redeemed")]
    code: String,
    /// Who was first.
    #[schema(value_type = Option<String>)]
    redemption_id: Option<RedemptionId>,
    done_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

/// What offline tills did that was not theirs to do, newest first
#[utoipa::path(get, path = "/api/v1/redemptions/conflicts", tag = "till", params(Paging),
    responses((status = 200, description = "A page", body = Page<ConflictView>)))]
pub async fn conflicts(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| offline::list(&app, brand, after, limit).await).await?;
    let shown = found.into_iter().map(|conflict| ConflictView {
        id: conflict.id,
        transaction_id: conflict.transaction_id,
        customer_id: conflict.customer_id,
        store_id: conflict.store_id,
        terminal: conflict.terminal,
        employee: conflict.employee.map(Personal::into_inner),
        coupon_id: conflict.coupon_id,
        code: conflict.code,
        redemption_id: conflict.first_redemption_id,
        done_at: conflict.done_at,
        created_at: conflict.created_at,
    });
    Ok(HttpResponse::Ok().json(Page::new(shown.collect(), limit, |conflict: &ConflictView| conflict.id.to_string())))
}
