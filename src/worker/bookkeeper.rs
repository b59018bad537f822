//! What the clock does to wallets and tiers, every few seconds; and, every minute, an anchor over all wallets that moved.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::service::{App, Problem, clockwork, ledger};

/// How late a lot may end, or a hold.
const CLOCK: Duration = Duration::from_secs(2);

/// How often wallets that moved are anchored.
const SEAL: Duration = Duration::from_secs(60);

pub async fn run(app: App, stop: CancellationToken) {
    let mut next_seal = Instant::now() + SEAL;
    while !stop.is_cancelled() {
        if let Err(problem) = round(&app, &stop).await {
            tracing::warn!("the bookkeeper rests: {problem}");
        }
        if Instant::now() >= next_seal {
            if let Err(problem) = seal(&app, &stop).await {
                tracing::warn!("the ledger is not sealed: {problem}");
            }
            next_seal = Instant::now() + SEAL;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(CLOCK) => {}
        }
    }
}

/// Wallets are told in so many parts between two rounds: tills and lots that end go first.
const PARTS: usize = 50;

/// Does everything that is due now.
pub async fn round(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    for _ in 0..PARTS {
        match app.run(async |app| clockwork::tell_some(&app).await).await {
            Ok(true) if !stop.is_cancelled() => {}
            Ok(_) => break,
            // Lots and holds end all the same.
            Err(problem) => {
                tracing::warn!("wallets are told later when their kind closes: {problem}");
                break;
            }
        }
    }
    let mut after = None;
    while let Some(brand) = app.run(async move |app| clockwork::next_brand(&app, after).await).await? {
        after = Some(brand);
        // Nobody twice in a round, whatever is still due afterwards.
        let mut seen = BTreeSet::new();
        loop {
            let due = app.run(async move |app| clockwork::list_due(&app, brand).await).await?;
            let mut done = 0;
            for customer in due {
                if !seen.insert(customer) {
                    continue;
                }
                if stop.is_cancelled() {
                    return Ok(());
                }
                match app.run(async move |app| clockwork::tick_or_put_off(&app, brand, customer).await).await {
                    Ok(()) => done += 1,
                    // One that cannot be done stops no other.
                    Err(problem) => {
                        tracing::warn!(customer.id = %customer, "the clock leaves out {customer}: {problem}")
                    }
                }
            }
            if done == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Anchors every wallet that moved.
pub async fn seal(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    let mut after = None;
    while let Some(brand) = app.run(async move |app| ledger::next_brand(&app, after).await).await? {
        after = Some(brand);
        loop {
            match app.run(async move |app| ledger::seal(&app, brand).await).await {
                // What moved since is the next minute's.
                Ok(count) if count < ledger::HEADS_MAX => break,
                Ok(_) if stop.is_cancelled() => return Ok(()),
                Ok(_) => {}
                Err(problem) => {
                    tracing::warn!(brand.id = %brand, "the ledger of {brand} is not sealed: {problem}");
                    break;
                }
            }
        }
    }
    Ok(())
}
