//! The proof of the ledger: every wallet told again from its entries, and the brand's chain over all of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::domain::ids::{BrandId, WalletId};
use crate::domain::ledger::{self, Link, Source, link};
use crate::service::{App, Problem};
use crate::store::entries::{self, Anchor, Head};
use crate::store::wallets::{self, KeptWallet};
use crate::store::{Conn, Db, brands};

/// Wallets and entries that are read at a time.
const PAGE: i64 = 500;

/// Heads of one anchor at most: a transaction touches them all.
pub const HEADS_MAX: usize = 240;

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    pub wallets: u64,
    pub entries: u64,
    pub anchors: u64,
    /// Everything that is wrong; of a wallet, the first.
    pub faults: Vec<LedgerFault>,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerFault {
    pub brand_id: BrandId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_id: Option<WalletId>,
    /// The first entry that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_no: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_no: Option<i64>,
    pub reason: String,
}

/// Proves every brand's ledger; needs the database alone. `tell` is told of wallets as they are done.
pub async fn verify(db: &Db, only: Option<BrandId>, mut tell: impl FnMut(u64)) -> Result<Verified, Problem> {
    let mut verified = Verified::default();
    let all = brands::list(&mut db.read().await?.conn()).await?;
    for brand in all.into_iter().map(|brand| brand.id).filter(|brand| only.is_none_or(|only| only == *brand)) {
        let mut after = None;
        loop {
            let page = wallets::list(&mut db.read().await?.conn(), brand, after, PAGE).await?;
            let Some(last) = page.last().map(|wallet| wallet.id) else { break };
            for wallet in &page {
                verify_wallet(db, brand, wallet, &mut verified).await?;
            }
            tell(verified.wallets);
            after = Some(last);
        }
        verify_anchors(db, brand, &mut verified).await?;
    }
    Ok(verified)
}

async fn verify_wallet(db: &Db, brand: BrandId, kept: &KeptWallet, verified: &mut Verified) -> Result<(), Problem> {
    let fault = |entry_no: Option<i64>, reason: String| LedgerFault {
        brand_id: brand,
        wallet_id: Some(kept.id),
        entry_no,
        anchor_no: None,
        reason,
    };
    verified.wallets += 1;
    let (mut again, mut before, mut balance): (_, Link, _) = (ledger::Wallet::default(), [0; 32], 0);
    let mut last = 0;
    loop {
        let page = entries::list(&mut db.read().await?.conn(), brand, kept.id, last, PAGE).await?;
        if page.is_empty() || last >= kept.head_no {
            break;
        }
        // What was written since the wallet was read is not looked at.
        for entry in page.into_iter().filter(|entry| entry.no <= kept.head_no) {
            verified.entries += 1;
            let wrong = |reason: &str| fault(Some(entry.no), reason.to_owned());
            if entry.no != last + 1 {
                verified.faults.push(fault(Some(last + 1), "is missing".to_owned()));
                return Ok(());
            }
            let source = entry.source.map(|id| Source { id });
            before = link(&before, kept.id, entry.no, entry.kind.as_str(), &entry.movement, source, entry.occurred_at);
            if entry.link != before {
                verified.faults.push(wrong("is not what it was when it was written, or the one before is not"));
                return Ok(());
            }
            if let Err(refusal) = again.apply(&entry.movement) {
                verified.faults.push(wrong(&refusal.to_string()));
                return Ok(());
            }
            balance += entry.units;
            if entry.units != entry.movement.units() || entry.balance != balance {
                verified.faults.push(wrong("its units or its balance are not what it moves"));
                return Ok(());
            }
            last = entry.no;
        }
    }
    if last != kept.head_no {
        verified.faults.push(fault(Some(last + 1), "is missing".to_owned()));
    } else if kept.head_no > 0 && kept.head_link != before {
        verified.faults.push(fault(Some(last), "is not the one that the wallet ends with".to_owned()));
    } else if again.totals != kept.totals {
        let reason = format!("the entries sum to {:?}, and the wallet says {:?}", again.totals, kept.totals);
        verified.faults.push(fault(None, reason));
    } else if let Some(no) = odd_lot(db, brand, kept, &again).await? {
        verified.faults.push(fault(None, format!("lot {no} is not what the entries made of it")));
    }
    Ok(())
}

/// The first lot that is not as its entries tell.
async fn odd_lot(db: &Db, brand: BrandId, kept: &KeptWallet, again: &ledger::Wallet) -> Result<Option<i64>, Problem> {
    let mut reader = db.read().await?;
    let lots = wallets::list_lots(&mut reader.conn(), brand, kept.id, None).await?;
    // A wallet that moves while it is looked at is looked at the next time.
    let now = wallets::find(&mut reader.conn(), brand, kept.id).await?;
    if now.is_none_or(|now| now.head_no != kept.head_no) {
        return Ok(None);
    }
    let told: BTreeMap<i64, _> = again.lots.iter().map(|lot| (lot.no(), lot)).collect();
    let odd = lots.iter().find(|lot| told.get(&lot.no()) != Some(lot)).map(ledger::Lot::no);
    Ok(odd.or_else(|| (lots.len() != told.len()).then(|| i64::try_from(lots.len()).unwrap_or(0) + 1)))
}

async fn verify_anchors(db: &Db, brand: BrandId, verified: &mut Verified) -> Result<(), Problem> {
    let fault = |anchor_no: i64, reason: &str| LedgerFault {
        brand_id: brand,
        wallet_id: None,
        entry_no: None,
        anchor_no: Some(anchor_no),
        reason: reason.to_owned(),
    };
    let (mut before, mut after): (Link, i64) = ([0; 32], 0);
    loop {
        let page = entries::list_anchors(&mut db.read().await?.conn(), brand, after, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        for anchor in page {
            verified.anchors += 1;
            let mut reader = db.read().await?;
            let heads = entries::list_heads(&mut reader.conn(), brand, anchor.no).await?;
            before = anchor_link(&before, anchor.no, &heads, anchor.created_at);
            if anchor.no != after + 1 || anchor.link != before {
                verified.faults.push(fault(anchor.no, "is not what it was when it was made, or one before is missing"));
                return Ok(());
            }
            for head in &heads {
                let now = entries::find_link(&mut reader.conn(), brand, head.wallet_id, head.entry_no).await?;
                if now.as_ref() != Some(&head.link) {
                    let fault = LedgerFault {
                        wallet_id: Some(head.wallet_id),
                        entry_no: Some(head.entry_no),
                        ..fault(anchor.no, "the entry that it saw is another now")
                    };
                    verified.faults.push(fault);
                }
            }
            after = anchor.no;
        }
    }
}

fn anchor_link(before: &Link, no: i64, heads: &[Head], at: DateTime<Utc>) -> Link {
    let mut digest = Sha256::new();
    digest.update(b"passarela anchor 1");
    digest.update(before);
    digest.update(no.to_be_bytes());
    digest.update(at.timestamp_micros().to_be_bytes());
    for head in heads {
        digest.update(head.wallet_id.uuid());
        digest.update(head.entry_no.to_be_bytes());
        digest.update(&head.link);
    }
    digest.finalize().into()
}

/// Adds an anchor over wallets of the brand that moved since the last; how many.
pub async fn seal(app: &App, brand: BrandId) -> Result<usize, Problem> {
    let mut tx = app.db.begin().await?;
    let sealed = seal_some(&mut tx.conn(), brand, app.clock.now()).await?;
    tx.commit().await?;
    Ok(sealed)
}

async fn seal_some(conn: &mut Conn<'_>, brand: BrandId, now: DateTime<Utc>) -> Result<usize, Problem> {
    let heads = entries::list_unanchored(conn, brand, HEADS_MAX as i64).await?;
    if heads.is_empty() {
        return Ok(0);
    }
    let last = entries::last_anchor(conn, brand).await?;
    let before: Link = match &last {
        None => [0; 32],
        Some(last) => last.link.as_slice().try_into().map_err(Problem::internal)?,
    };
    let no = last.map_or(1, |last| last.no + 1);
    let count = heads.len();
    let anchor = Anchor {
        no,
        heads: i64::try_from(count).map_err(Problem::internal)?,
        link: anchor_link(&before, no, &heads, now).to_vec(),
        created_at: now,
    };
    // Another process was first: it goes on from there the next time.
    if entries::insert_anchor(conn, brand, &anchor, &heads).await? { Ok(count) } else { Err(Problem::Busy) }
}

/// The brand after `after` with wallets that moved.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    Ok(entries::next_brand_unanchored(&mut app.db.read().await?.conn(), after).await?)
}
