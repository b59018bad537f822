//! `passarela ledger`: the proof that no unit was made or lost. Needs the database, and no key.

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::json;

use super::{Failure, Output};
use crate::config::Config;
use crate::service::{Problem, ledger};
use crate::store::{Db, brands};

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Tell every wallet again from its entries, and check the chains over them.
    Verify {
        /// Only this brand (its code).
        #[arg(long)]
        brand: Option<String>,
    },
}

impl Ledger {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let Self::Verify { brand } = self;
        let db = Db::connect(&config.database.url, 2).await.map_err(Problem::from)?;
        let only = match brand {
            None => None,
            Some(code) => {
                let mut reader = db.read().await.map_err(Problem::from)?;
                let found = brands::find_by_code(&mut reader.conn(), &code).await.map_err(Problem::from)?;
                Some(found.ok_or_else(|| Failure::Usage(format!("there is no brand {code}")))?.id)
            }
        };
        let bar = if output.json {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner().with_message("wallets told again")
        };
        let verified = ledger::verify(&db, only, |wallets| bar.set_position(wallets)).await?;
        bar.finish_and_clear();
        let text = || {
            let mut lines: Vec<String> = verified.faults.iter().map(line).collect();
            let (wallets, entries, anchors) = (verified.wallets, verified.entries, verified.anchors);
            let verdict = if lines.is_empty() { "good" } else { "broken" };
            lines.push(format!("{verdict}: {wallets} wallets, {entries} entries, {anchors} anchors"));
            lines.join("\n")
        };
        output.print(&json!(verified), text);
        db.close().await;
        if verified.faults.is_empty() { Ok(()) } else { Err(Failure::No("the ledger is not what it was".to_owned())) }
    }
}

fn line(fault: &ledger::LedgerFault) -> String {
    let wallet = fault.wallet_id.map(|id| format!("wallet {id}, ")).unwrap_or_default();
    let entry = fault.entry_no.map(|no| format!("entry {no}: ")).unwrap_or_default();
    let anchor = fault.anchor_no.map(|no| format!("anchor {no}, ")).unwrap_or_default();
    format!("{} {anchor}{wallet}{entry}{}", fault.brand_id, fault.reason)
}
