//! `POST /api/v1/scans`: who stands at the till, and what applies.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CouponId, CustomerId, MemberId, OfferId, ProgramId, StoreId, WalletId};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::loyalty::tier::Progress;
use crate::domain::secret::Personal;
use crate::http::auth::role::{Admin, Pos};
use crate::http::auth::{Allow, Failures};
use crate::http::extract::Body;
use crate::http::money::MoneyBody;
use crate::service::loyalty::place::Place;
use crate::service::till::scan::{self, Scanned, ShownMember};
use crate::service::{App, Problem};

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
    /// Null: the code is a coupon's that is for whoever has it.
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
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
