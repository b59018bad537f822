//! A program's rules, read once for each version of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::domain::ids::{BrandId, EarningRuleId, OfferId, ProgramId, WalletTypeId};
use crate::domain::loyalty::earning::EarningRule;
use crate::domain::loyalty::offer::OfferRules;
use crate::domain::loyalty::spec::BadSpec;
use crate::domain::loyalty::tier::TierRules;
use crate::domain::loyalty::wallet_type::WalletRules;
use crate::service::{App, Problem};
use crate::store::offers::{Offer, OfferState};
use crate::store::{Conn, offers, program_rules};

/// Offers of a program at most, that have not ended; others are found by their ids alone.
const OFFERS_MAX: i64 = 1_000;

/// Programs whose rules are kept ready.
const READY_MAX: u64 = 10_000;

/// A kind of wallet.
#[derive(Debug)]
pub struct Kind {
    pub id: WalletTypeId,
    pub key: String,
    pub name: String,
    pub rules: WalletRules,
}

#[derive(Debug)]
pub struct ReadyEarning {
    pub id: EarningRuleId,
    pub name: String,
    /// The kind that it gives to, by its place.
    pub kind: usize,
    pub rule: EarningRule,
}

#[derive(Debug, Clone)]
pub struct ReadyOffer {
    pub id: OfferId,
    pub name: String,
    pub state: OfferState,
    /// When it last stopped running.
    pub stopped_at: Option<DateTime<Utc>>,
    pub rules: OfferRules,
}

impl ReadyOffer {
    pub fn new(row: Offer, rules: OfferRules) -> Self {
        Self { id: row.id, name: row.name, state: row.state, stopped_at: row.stopped_at, rules }
    }
}

#[derive(Debug)]
pub struct Rules {
    pub program: ProgramId,
    pub zone: Tz,
    pub kinds: Vec<Kind>,
    pub earning: Vec<ReadyEarning>,
    pub tiers: Option<TierRules>,
    pub offers: Vec<ReadyOffer>,
}

impl Rules {
    /// A kind of wallet by the word that rules and templates name it by.
    pub fn kind(&self, key: &str) -> Option<usize> {
        self.kinds.iter().position(|kind| kind.key == key)
    }

    pub fn scale(&self, key: &str) -> Option<u8> {
        self.kinds.iter().find(|kind| kind.key == key).map(|kind| kind.rules.scale)
    }

    /// An offer of the program as its brand wrote it; what was stored can be read.
    pub fn read_offer(&self, offer: &Offer) -> Result<OfferRules, Problem> {
        let read = OfferRules::read(&offer.spec, |key| self.scale(key));
        read.map_err(|fault| Problem::internal(format!("offers {}: {}: {fault}", offer.id, fault.pointer)))
    }

    pub fn offer(&self, id: OfferId) -> Option<&ReadyOffer> {
        self.offers.iter().find(|offer| offer.id == id)
    }
}

/// The rules of this process, by their version: what is there never changes.
pub struct ReadyRules(moka::future::Cache<(BrandId, ProgramId, i64, Tz), Arc<Rules>>);

impl Default for ReadyRules {
    fn default() -> Self {
        Self(moka::future::Cache::builder().max_capacity(READY_MAX).build())
    }
}

/// The rules of a program at a version; read within the caller's transaction if nobody needed them before.
pub async fn load(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    version: i64,
    time_zone: &str,
) -> Result<Arc<Rules>, Problem> {
    let zone: Tz = time_zone.parse().unwrap_or(Tz::UTC);
    let key = (brand, program, version, zone);
    if let Some(ready) = app.rules.0.get(&key).await {
        return Ok(ready);
    }
    let rules = Arc::new(read(conn, brand, program, zone).await?);
    app.rules.0.insert(key, Arc::clone(&rules)).await;
    Ok(rules)
}

/// The rules of a program as they are now.
pub async fn current(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
) -> Result<Arc<Rules>, Problem> {
    let found = program_rules::find_tiers(conn, brand, program).await?;
    let (version, zone, _) = found.ok_or(Problem::NotFound { what: "program" })?;
    load(app, conn, brand, program, version, &zone).await
}

async fn read(conn: &mut Conn<'_>, brand: BrandId, program: ProgramId, zone: Tz) -> Result<Rules, Problem> {
    let broken = |table: &str, id: String, fault: BadSpec| {
        Problem::internal(format!("{table} {id}: {}: {fault}", fault.pointer))
    };
    let mut kinds = Vec::new();
    for row in program_rules::list_wallet_types(conn, brand, program).await? {
        let rules = WalletRules::read(&row.spec).map_err(|fault| broken("wallet_types", row.id.to_string(), fault))?;
        kinds.push(Kind { id: row.id, key: row.key, name: row.name, rules });
    }
    let mut rules = Rules { program, zone, kinds, earning: Vec::new(), tiers: None, offers: Vec::new() };
    for row in program_rules::list_earning_rules(conn, brand, program).await? {
        let kind = rules.kinds.iter().position(|kind| kind.id == row.wallet_type_id);
        let Some((kind, scale)) = kind.zip(kind.and_then(|kind| rules.kinds.get(kind)).map(|kind| kind.rules.scale))
        else {
            continue;
        };
        if row.is_active {
            let rule = EarningRule::read(&row.spec, scale)
                .map_err(|fault| broken("earning_rules", row.id.to_string(), fault))?;
            rules.earning.push(ReadyEarning { id: row.id, name: row.name, kind, rule });
        }
    }
    let tiers: Option<Value> = program_rules::find_tiers(conn, brand, program).await?.and_then(|(_, _, tiers)| tiers);
    if let Some(tiers) = tiers {
        let read = TierRules::read(&tiers, |key| rules.scale(key));
        rules.tiers = Some(read.map_err(|fault| broken("programs", program.to_string(), fault))?);
    }
    let mut open = offers::list_open(conn, brand, program, OFFERS_MAX).await?;
    open.reverse();
    for row in open {
        let read = rules.read_offer(&row)?;
        rules.offers.push(ReadyOffer::new(row, read));
    }
    Ok(rules)
}
