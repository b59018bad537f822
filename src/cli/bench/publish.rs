//! From the database over content to a signed bundle: bare, and with everything that publishing stores on the way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::{Failure, Output};
use super::installation::{Installation, PASS_TYPE};
use super::{Measure, cores, slice};
use crate::domain::ids::PassId;
use crate::service::templates::TemplateVersion;
use crate::service::{App, Problem, bundles, publish, templates};
use crate::store::brands::Brand;
use crate::store::publication::Source;
use crate::store::{passes, publication};
use crate::wallet::apple::bundle::Bundle;
use crate::wallet::apple::pass_json::with_token;
use crate::wallet::keys::TOKEN_KEY_VERSION;

/// Passes that change again and again.
const PASSES: usize = 5_000;

/// Bundles that are asked for at the same time, as by phones that were told.
const ASKING: usize = 48;

pub async fn run(seconds: Duration, database_url: Option<String>, output: Output) -> Result<(), Failure> {
    let place = Installation::new(database_url, |_| ()).await?;
    let signer = bundles::usable_signer(&place.app, PASS_TYPE)?;
    let ids = Arc::new(place.issue(PASSES, 3).await?);
    let digest = Sha256::digest(b"limit");
    let limit = || {
        let (count, time) =
            slice(cores(), Duration::from_secs(1), &|_| drop(std::hint::black_box(signer.sign_digest(&digest))));
        count as f64 / time.as_secs_f64()
    };
    let (mut limits, mut bare, mut full, mut round) = (Vec::new(), Rate::default(), Rate::default(), 0);
    while full.spent < seconds {
        limits.push(limit());
        round += 1;
        let begun = Instant::now();
        bare.add(render_and_sign(&place, &ids).await?, begun);
        touch(&place.app, place.brand.clone(), &ids, round).await?;
        tokio::time::sleep(Duration::from_millis(1_050)).await; // a pass is published at most once a second
        let begun = Instant::now();
        full.add(publish_and_fetch(&place.app, &place.brand, ids.len()).await?, begun);
    }
    limits.push(limit());
    let limit = limits.iter().sum::<f64>() / limits.len() as f64;
    let (count, engine) = (ids.len(), place.app.db.engine());
    let limit_is = "limit: bare RSA-2048 signatures on all cores";
    let note = format!(
        "{count} passes of the three shipped designs {round} times on {engine}: read, rendered and signed; {limit_is}"
    );
    bare.measure("database to bundle", limit, note).print(output);
    let note = format!(
        "{count} passes changed {round} times on {engine}: claimed, read, rendered, stored with tags, and each read back and \
         signed by one of {ASKING} that ask; {limit_is}"
    );
    full.measure("publish and fetch", limit, note).print(output);
    place.app.db.close().await;
    Ok(())
}

#[derive(Default)]
struct Rate {
    count: usize,
    spent: Duration,
}

impl Rate {
    fn add(&mut self, count: usize, begun: Instant) {
        self.count += count;
        self.spent += begun.elapsed();
    }

    fn measure(&self, measure: &'static str, limit: f64, note: String) -> Measure {
        let seconds = self.spent.as_secs_f64();
        Measure::new(measure, self.count as f64 / seconds, Some(limit), seconds, note)
    }
}

/// Reads passes in batches, renders and signs them on all cores, and stores nothing; how many.
async fn render_and_sign(place: &Installation, ids: &Arc<Vec<PassId>>) -> Result<usize, Failure> {
    let mut ready = HashMap::new();
    for (template, _) in &place.templates {
        ready.insert(template.id, templates::load(&place.app, place.brand.id, template.id, template.version).await?);
    }
    let ready = Arc::new(ready);
    // While one lane reads, another computes.
    let count = cores() * 2;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..count {
        let (app, brand, ids, ready) = (place.app.clone(), place.brand.clone(), Arc::clone(ids), Arc::clone(&ready));
        lanes.spawn(async move {
            let mut signed = 0;
            for batch in ids.chunks(100).skip(lane).step_by(count) {
                let sources = publication::load_sources(&mut app.db.read().await?.conn(), brand.id, batch).await?;
                let (app, brand, ready) = (app.clone(), brand.clone(), Arc::clone(&ready));
                let job = tokio::task::spawn_blocking(move || {
                    sources
                        .iter()
                        .filter_map(|source| Some(sign_one(&app, &brand, source, ready.get(&source.template_id)?)))
                        .collect::<Result<Vec<_>, _>>()
                });
                signed += job.await.map_err(Problem::internal)??.len();
            }
            Ok::<usize, Problem>(signed)
        });
    }
    sum(lanes).await
}

fn sign_one(app: &App, brand: &Brand, source: &Source, template: &TemplateVersion) -> Result<Bundle, Problem> {
    let signer = bundles::usable_signer(app, &source.pass_type)?;
    let rendered = publish::render(app, brand, source, template)?;
    let token = app.master_key.apple_token(TOKEN_KEY_VERSION, brand.id, &source.pass_type, &source.serial);
    Bundle::sign(&template.assets, &with_token(&rendered.apple, &token), None, &signer, app.clock.now())
        .map_err(Problem::internal)
}

async fn sum(mut tasks: tokio::task::JoinSet<Result<usize, Problem>>) -> Result<usize, Failure> {
    let mut sum = 0;
    while let Some(done) = tasks.join_next().await {
        sum += done.map_err(|error| Failure::Trouble(error.to_string()))??;
    }
    Ok(sum)
}

/// Changes what every pass shows, as use cases do.
pub(super) async fn touch(app: &App, brand: Brand, ids: &Arc<Vec<PassId>>, round: i64) -> Result<(), Problem> {
    let ids = Arc::clone(ids);
    app.run(async move |app| {
        for chunk in ids.chunks(200) {
            let mut tx = app.db.begin().await?;
            for id in chunk {
                let pass =
                    passes::find(&mut tx.conn(), brand.id, *id).await?.ok_or(Problem::NotFound { what: "pass" })?;
                let mut data = pass.data.reveal().clone();
                data.insert("points".to_owned(), round.into());
                // What the coupon and the invitation show.
                if let Some(coupon) = data.get_mut("coupon").and_then(Value::as_object_mut) {
                    coupon.insert("code".to_owned(), format!("CAFE{round}").into());
                }
                if let Some(invite) = data.get_mut("invite").and_then(Value::as_object_mut) {
                    invite.insert("number".to_owned(), format!("A-{round:04}").into());
                }
                let now = app.clock.now();
                passes::set_data(&mut tx.conn(), brand.id, *id, &data, pass.change_no, now).await?;
            }
            tx.commit().await?;
            app.changed.notify_one();
        }
        Ok(())
    })
    .await
}

/// Publishes everything that is due, while what is published is asked for; how many bundles.
async fn publish_and_fetch(app: &App, brand: &Brand, count: usize) -> Result<usize, Failure> {
    let (sender, receiver) = tokio::sync::mpsc::channel::<PassId>(1_000);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let mut phones = tokio::task::JoinSet::new();
    for _ in 0..ASKING {
        let (app, brand, receiver) = (app.clone(), brand.id, Arc::clone(&receiver));
        phones.spawn(async move {
            let mut signed = 0;
            loop {
                let Some(pass) = receiver.lock().await.recv().await else { return Ok::<usize, Problem>(signed) };
                bundles::load(&app, brand, pass, None).await?;
                signed += 1;
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
        for pass in batch.published {
            if sender.send(pass).await.is_err() {
                break;
            }
        }
    }
    drop(sender);
    sum(phones).await
}
