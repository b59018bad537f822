//! Members by the million, with passes, wallets and a history of entries: written as the service would have left them, but many
//! at once. Their passes have no content; nobody asks for it.

use chrono::TimeDelta;
use serde_json::{Map, json};

use super::super::Failure;
use super::installation::{Installation, PASS_TYPE};
use crate::clock::{Clock as _, SystemClock, random_alphanumeric};
use crate::domain::code::CODE_ID_LEN;
use crate::domain::ids::{CustomerId, MemberId, PassId, WalletId};
use crate::domain::ledger::{self, Activation, EntryKind, Link, link};
use crate::domain::loyalty::counter::Counter;
use crate::domain::pass::PassStatus;
use crate::domain::secret::{Personal, Secret};
use crate::service::{Problem, program_rules};
use crate::store::customers::Customer;
use crate::store::entries::KeptEntry;
use crate::store::imports::{self, Member, NewPass};
use crate::store::passes::{FirstContent, Pass};
use crate::store::wallets::KeptWallet;
use crate::store::{Db, books};

/// Points that each member begins with.
const POINTS: i64 = 10_000_000;

/// Members of one transaction.
const CHUNK: usize = 50;

/// Makes a program with points, and members who have so many entries each: one that earned, the others that spent.
pub async fn make(place: &Installation, count: usize, entries: usize) -> Result<Vec<CustomerId>, Failure> {
    let (app, brand) = (&place.app, place.brand.id);
    let points = json!({ "unit": { "singular": "ponto", "plural": "pontos" }, "expiry": { "after": "12M_U" } });
    let kind = program_rules::create_wallet_type(app, brand, place.program, "points", "Pontos", points).await?.0.id;
    let rule = json!({ "gives": { "per_amount": { "every_minor": 1, "units": "1" } } });
    program_rules::create_earning_rule(app, brand, place.program, "points", "points", rule).await?;
    let Some((template, _)) = place.templates.first() else { return Ok(Vec::new()) };
    let failed = |error: sqlx::Error| Failure::from(Problem::from(error));
    let mut made = Vec::with_capacity(count);
    while made.len() < count {
        let now = SystemClock.now();
        let (mut customers, mut members, mut passes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut kept, mut lots, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CHUNK.min(count - made.len()) {
            let (customer, member) = (CustomerId::new(SystemClock.new_id()), MemberId::new(SystemClock.new_id()));
            customers.push(Customer {
                id: customer,
                name: Some(Personal::new("Ana Souza".to_owned())),
                locale: None,
                time_zone: None,
                attributes: Personal::new(Map::new()),
                version: 1,
                created_at: now,
                updated_at: now,
            });
            members.push(Member { id: member, program: place.program, customer, since: now });
            let mut code_id = vec![0; CODE_ID_LEN];
            SystemClock.random(&mut code_id);
            let pass = Pass {
                id: PassId::new(SystemClock.new_id()),
                pass_type: PASS_TYPE.to_owned(),
                serial: random_alphanumeric(&SystemClock, 22),
                link: Secret::new(format!("{}{}", place.brand.code, random_alphanumeric(&SystemClock, 22))),
                code_id,
                token_key_version: 1,
                token_hash: None,
                program_id: place.program,
                customer_id: customer,
                member_id: member,
                template_id: template.id,
                external_id: None,
                order_hash: vec![0; 32],
                data: Personal::new(Map::new()),
                status: PassStatus::Active,
                reissued_as: None,
                created_at: now,
                updated_at: now,
                change_no: 1,
                published_no: 1,
            };
            let first = FirstContent {
                tag_n: 0,
                last_modified: now.timestamp(),
                publish_after: now,
                render_at: None,
                template_version: template.live_version,
                wanted_version: 0,
                signed_up_at: None,
                apple: b"{}".to_vec(),
                apple_hash: vec![0; 32],
                google: Vec::new(),
                google_hash: vec![0; 32],
            };
            passes.push((pass, first));
            let (wallet, history, of_it) = history(member, kind, entries, now).map_err(Problem::internal)?;
            lots.extend(of_it);
            written.extend(history);
            kept.push(wallet);
            made.push(customer);
        }
        let customers: Vec<&Customer> = customers.iter().collect();
        let passes: Vec<NewPass<'_>> = passes.iter().map(|(pass, first)| NewPass { pass, first }).collect();
        let mut tx = app.db.begin().await.map_err(failed)?;
        imports::insert_customers(&mut tx.conn(), brand, &customers).await.map_err(failed)?;
        imports::insert_members(&mut tx.conn(), brand, &members).await.map_err(failed)?;
        imports::insert_passes(&mut tx.conn(), brand, &passes).await.map_err(failed)?;
        books::write(&mut tx.conn(), brand, &kept, &lots, &written, &[]).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
    }
    if let Db::Postgres { writers, .. } = &app.db {
        sqlx::query("ANALYZE").execute(writers).await.map_err(failed)?;
    }
    Ok(made)
}

type History = (KeptWallet, Vec<KeptEntry>, Vec<(WalletId, ledger::Lot)>);

/// A wallet whose history the ledger itself told.
fn history(
    member: MemberId,
    kind: crate::domain::ids::WalletTypeId,
    entries: usize,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<History, ledger::Refusal> {
    let id = WalletId::new(SystemClock.new_id());
    let mut told = ledger::Wallet::default();
    told.earn(EntryKind::Earned, POINTS, Activation::Done, Some(now + TimeDelta::days(365)), now)?;
    for _ in 1..entries {
        told.spend(EntryKind::Spent, 1, now)?;
    }
    let (mut before, mut balance): (Link, i64) = ([0; 32], 0);
    let mut written = Vec::with_capacity(entries);
    for entry in std::mem::take(&mut told.entries) {
        before = link(&before, id, entry.no, entry.kind.as_str(), &entry.movement, None, entry.at);
        let units = entry.movement.units();
        balance += units;
        written.push(KeptEntry {
            wallet: id,
            no: entry.no,
            kind: entry.kind,
            units,
            balance,
            movement: entry.movement,
            source: None,
            rule: None,
            reason: None,
            store: None,
            terminal: None,
            employee: None,
            occurred_at: entry.at,
            created_at: now,
            link: before.to_vec(),
        });
    }
    let wallet = KeptWallet {
        id,
        member,
        wallet_type: kind,
        totals: told.totals,
        head_no: told.head_no,
        head_link: before.to_vec(),
        last_lot: told.last_lot,
        earned: Counter::default(),
        spent: Counter::default(),
        due_at: told.due_at(),
        created_at: now,
    };
    let lots = told.lots.iter().map(|lot| (id, lot.clone())).collect();
    Ok((wallet, written, lots))
}
