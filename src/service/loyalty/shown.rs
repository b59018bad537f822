//! What passes show of their members' wallets: read when a pass is rendered, never copied.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::ids::{BrandId, MemberId, WalletId};
use crate::domain::quantity;
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::till::scan::{ShownMember, shown};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::publication::Source;
use crate::store::wallets::{self, KeptMember};

/// Adds what templates read as `wallets`, `tier` and `member.rewards`; programs without rules cost nothing.
pub async fn fill(app: &App, conn: &mut Conn<'_>, brand: BrandId, sources: &mut [Source]) -> Result<(), Problem> {
    let mut members: Vec<MemberId> =
        sources.iter().filter(|source| source.rules_version > 0).map(|source| source.member_id).collect();
    members.sort_unstable();
    members.dedup();
    if members.is_empty() {
        return Ok(());
    }
    let kept = wallets::list_members(conn, brand, &members).await?;
    let shown = show(app, conn, brand, kept).await?;
    for source in sources {
        if let Some(loyalty) = shown.get(&source.member_id) {
            source.loyalty.clone_from(loyalty);
        }
    }
    Ok(())
}

async fn show(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kept: Vec<KeptMember>,
) -> Result<BTreeMap<MemberId, Map<String, Value>>, Problem> {
    let Some(customer) = kept.first().map(|member| member.customer) else { return Ok(BTreeMap::new()) };
    // One reading for all of them, whosoever they are.
    let mut book = Book::read(app, conn, brand, customer, Place::default(), kept, app.clock.now()).await?;
    let now = book.now;
    for wallet in book.members.iter_mut().flat_map(|member| &mut member.wallets) {
        wallet.ledger.tick(now).map_err(Problem::internal)?;
    }
    Ok(book.members.iter().map(|member| (member.kept.id, map(shown(member, now), member))).collect())
}

/// As templates read it.
fn map(shown: ShownMember, member: &crate::service::loyalty::book::OpenMember) -> Map<String, Value> {
    let mut all = Map::new();
    let mut by_key = Map::new();
    for kind in &member.rules.kinds {
        // A wallet that nothing ever came into is empty, not missing.
        let found = shown.wallets.iter().find(|wallet| wallet.key == kind.key && wallet.id != WalletId::FIRST);
        let zero = || quantity::text(0, 0);
        let wallet = json!({
            "name": kind.name,
            "unit": kind.rules.unit_singular,
            "units": kind.rules.unit_plural,
            "currency": kind.rules.currency.map(|currency| currency.code()),
            "balance": found.map_or_else(zero, |wallet| wallet.balance.clone()),
            "pending": found.map_or_else(zero, |wallet| wallet.pending.clone()),
            "held": found.map_or_else(zero, |wallet| wallet.held.clone()),
            "next_expiry": found.and_then(|wallet| wallet.next_expiry.as_ref())
                .map(|(at, units)| json!({ "at": at, "units": units })),
        });
        by_key.insert(kind.key.clone(), wallet);
    }
    if !by_key.is_empty() {
        all.insert("wallets".to_owned(), Value::Object(by_key));
    }
    all.extend(shown.tier.map(|tier| ("tier".to_owned(), json!(tier))));
    let mut rewards: Vec<Value> = Vec::new();
    for reward in &shown.rewards {
        let (name, price) = (&reward.name, &reward.price);
        rewards.push(json!({ "name": name, "wallet": reward.wallet, "price": price, "missing": reward.missing }));
    }
    // The cheapest that is not within reach yet; where all are, the dearest.
    let missing = |reward: &Value| reward["missing"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let price = |reward: &Value| reward["price"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    rewards.sort_by(|one, other| price(one).total_cmp(&price(other)));
    let next = rewards.iter().find(|reward| missing(reward) > 0.0).or(rewards.last()).cloned();
    all.insert("next_reward".to_owned(), next.unwrap_or(Value::Null));
    all.insert("rewards".to_owned(), Value::Array(rewards));
    all
}
