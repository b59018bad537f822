//! Publishing: from the database over content to a signed bundle, with everything that is stored on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::super::{Failure, Output};
use super::place::{PASS_TYPE, Place};
use super::{Measure, cores, slice};
use crate::domain::ids::PassId;
use crate::service::{App, Problem, bundles, publish};
use crate::store::brands::Brand;
use crate::store::passes;

/// Passes that change again and again.
const PASSES: usize = 5_000;

pub async fn run(seconds: Duration, database_url: Option<String>, output: Output) -> Result<(), Failure> {
    let place = Place::new(database_url).await?;
    let signer = bundles::usable_signer(&place.app, PASS_TYPE)?;
    let ids = Arc::new(place.issue(PASSES).await?);
    let digest = Sha256::digest(b"limit");
    let limit = || {
        let (count, time) =
            slice(cores(), Duration::from_secs(1), &|_| drop(std::hint::black_box(signer.sign_digest(&digest))));
        count as f64 / time.as_secs_f64()
    };
    let (mut limits, mut published, mut spent, mut round) = (Vec::new(), 0, Duration::ZERO, 0);
    while spent < seconds {
        limits.push(limit());
        round += 1;
        touch(&place.app, place.brand.clone(), &ids, round).await?;
        tokio::time::sleep(Duration::from_millis(1_050)).await; // a pass is published at most once a second
        let begun = Instant::now();
        published += pump(&place.app, &place.brand, ids.len()).await?;
        spent += begun.elapsed();
    }
    limits.push(limit());
    let limit = limits.iter().sum::<f64>() / limits.len() as f64;
    let rate = published as f64 / spent.as_secs_f64();
    let note = format!(
        "{} passes changed {round} times on {}: claimed, rendered, stored, read back and signed; limit: bare RSA-2048 signatures on all cores",
        ids.len(),
        place.app.db.engine()
    );
    Measure::new("publish, all cores", rate, Some(limit), spent.as_secs_f64(), note).print(output);
    place.app.db.close().await;
    Ok(())
}

/// Changes what every pass shows, as use cases do.
async fn touch(app: &App, brand: Brand, ids: &Arc<Vec<PassId>>, round: i64) -> Result<(), Problem> {
    let ids = Arc::clone(ids);
    app.run(async move |app| {
        for chunk in ids.chunks(200) {
            let mut tx = app.db.begin().await?;
            for id in chunk {
                let pass =
                    passes::find(&mut tx.conn(), brand.id, *id).await?.ok_or(Problem::NotFound { what: "pass" })?;
                let mut data = pass.data.reveal().clone();
                data.insert("points".to_owned(), round.into());
                let now = app.clock.now();
                passes::set_data(&mut tx.conn(), brand.id, *id, &data, pass.change_no, now).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

/// Publishes everything that is due, and signs what is published while more is; how many bundles.
async fn pump(app: &App, brand: &Brand, count: usize) -> Result<u64, Failure> {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<PassId>>(4);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let mut signers = tokio::task::JoinSet::new();
    for _ in 0..cores() * 2 {
        let (app, brand, receiver) = (app.clone(), brand.id, Arc::clone(&receiver));
        signers.spawn(async move {
            let mut signed = 0;
            loop {
                let Some(batch) = receiver.lock().await.recv().await else { return Ok::<u64, Problem>(signed) };
                for pass in batch {
                    bundles::load(&app, brand, pass).await?;
                    signed += 1;
                }
            }
        });
    }
    let mut claimed = 0;
    while claimed < count {
        let batch = publish::publish_due(app, brand.id).await?;
        if batch.claimed == 0 {
            break;
        }
        claimed += batch.claimed;
        for part in batch.published.chunks(25) {
            if sender.send(part.to_vec()).await.is_err() {
                break;
            }
        }
    }
    drop(sender);
    let mut signed = 0;
    while let Some(done) = signers.join_next().await {
        signed += done.map_err(|error| Failure::Trouble(error.to_string()))??;
    }
    Ok(signed)
}
