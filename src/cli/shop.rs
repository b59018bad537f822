//! What the demo's bakery promises, and some weeks of its trade with one customer. Doing it again finds what is there.

use chrono::TimeDelta;
use iso_currency::Currency;
use serde_json::{Value, json};

use super::Failure;
use crate::domain::ids::{BrandId, CustomerId, OfferId, ProgramId};
use crate::domain::locale::Locale;
use crate::domain::loyalty::earning::Line;
use crate::service::coupons::{self, NewCoupon};
use crate::service::customers::Selector;
use crate::service::loyalty::place::Place;
use crate::service::offers::{self, NewOffer};
use crate::service::orders::{self, NewOrder};
use crate::service::{App, program_rules, stores};
use crate::store::brands::Brand;
use crate::store::offers::OfferState;

/// The reward, and the offer that has coupons.
pub struct Promised {
    pub reward: OfferId,
    pub coupon: OfferId,
}

/// Two kinds of wallets, three tiers, rewards and an offer with coupons.
pub async fn furnish(app: &App, brand: &Brand, program: ProgramId) -> Result<Promised, Failure> {
    stores::create(app, brand, None, "Aurora Paulista", Some("loja-1"), Some(Locale::PtBr)).await?;
    if program_rules::list_wallet_types(app, brand.id, program).await?.is_empty() {
        let points = json!({
            "unit": { "singular": "ponto", "plural": "pontos" }, "expiry": { "after": "12M_U" }, "restore_grace": "30D",
            "worth": { "units": "100", "amount": { "amount_minor": 500, "currency": "BRL" } },
        });
        program_rules::create_wallet_type(app, brand.id, program, "points", "Pontos", points).await?;
        let cashback = json!({
            "unit": { "singular": "real", "plural": "reais" }, "currency": "BRL", "activation": { "after": "14D" },
            "on_return": "only_pending",
        });
        program_rules::create_wallet_type(app, brand.id, program, "cashback", "Cashback", cashback).await?;
        let per_real = json!({
            "gives": { "per_amount": { "every_minor": 100, "units": "1" } },
            "multipliers": [{ "by": "1.5", "audience": { "tiers": ["ouro"] } }],
        });
        program_rules::create_earning_rule(app, brand.id, program, "points", "1 ponto por real", per_real).await?;
        let back = json!({
            "gives": { "per_amount": { "every_minor": 100, "units": "0.05" } }, "only": { "categories": ["padaria"] },
        });
        program_rules::create_earning_rule(app, brand.id, program, "cashback", "5 % na padaria", back).await?;
        let tiers = json!({
            "wallet": "points", "qualify_by": "earned", "window": { "last": "12M" }, "grace": "30D",
            "tiers": [
                { "key": "bronze", "name": "Bronze", "minimum": "0" }, { "key": "prata", "name": "Prata", "minimum": "100" },
                { "key": "ouro", "name": "Ouro", "minimum": "500" },
            ],
        });
        program_rules::set_tiers(app, brand.id, program, tiers).await?;
    }
    let price = |units: &str| json!({ "wallet": "points", "units": units });
    let reward = json!({ "effect": { "gift": { "name": "Pão de queijo" } }, "price": price("100") });
    let reward = offer(app, brand.id, program, "pao-de-queijo", "Pão de queijo", reward).await?;
    let basket =
        json!({ "effect": { "gift": { "name": "Cesta de café da manhã" } }, "price": price("400"), "stock": 50 });
    offer(app, brand.id, program, "cesta", "Cesta de café da manhã", basket).await?;
    let coffee = json!({
        "effect": { "percent": { "percent": "20" } }, "only": { "categories": ["bebidas"] },
        "coupon": { "template": "cafe-da-tarde", "valid_for": "30D_D" },
    });
    let coupon = offer(app, brand.id, program, "cafe-da-tarde", "20 % no café da tarde", coffee).await?;
    Ok(Promised { reward, coupon })
}

async fn offer(
    app: &App,
    brand: BrandId,
    program: ProgramId,
    id: &str,
    name: &str,
    rules: Value,
) -> Result<OfferId, Failure> {
    let new = NewOffer {
        program,
        external_id: Some(id.to_owned()),
        name: name.to_owned(),
        state: OfferState::Running,
        rules,
    };
    let known = offers::list(app, brand, Some(program), None, 200).await?;
    // Whatever somebody made of it since.
    if let Some(known) = known.into_iter().find(|known| known.external_id.as_deref() == Some(id)) {
        return Ok(known.id);
    }
    Ok(offers::create(app, brand, new).await?.0.id)
}

/// Five weeks of breakfasts, and a coupon.
pub async fn trade(app: &App, brand: &Brand, customer: CustomerId, coupon: OfferId) -> Result<(), Failure> {
    let now = app.clock.now();
    for (week, coffees, breads) in [(5, 1, 12), (4, 2, 8), (3, 2, 10), (2, 1, 6), (1, 2, 14)] {
        let line = |sku: &str, category: &str, pieces: i64, each: i64| Line {
            sku: Some(sku.to_owned()),
            category: Some(category.to_owned()),
            quantity: pieces * 1_000,
            minor: pieces * each,
        };
        let lines = vec![line("cafe", "bebidas", coffees, 750), line("pao-frances", "padaria", breads, 120)];
        let order = NewOrder {
            external_id: format!("demo-week-{week}"),
            customer: Some(Selector::Id(customer)),
            channel: Some("store".to_owned()),
            place: Place::default(),
            business_date: None,
            placed_at: Some(now - TimeDelta::weeks(week)),
            transaction_id: None,
            currency: Currency::BRL,
            total_minor: lines.iter().map(|line| line.minor).sum(),
            lines,
            has_effects: true,
            hash: [0; 32],
        };
        orders::place(app, brand, order).await?;
    }
    let new = NewCoupon {
        offer: coupon,
        customer: Some(Selector::Id(customer)),
        external_id: Some("demo".to_owned()),
        starts_at: None,
        expires_at: None,
        code: None,
    };
    coupons::issue(app, brand, new, None).await?;
    Ok(())
}
