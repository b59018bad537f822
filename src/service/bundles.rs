//! Signed bundles for phones: a bounded cache, a bounded queue, and a check of what is about to be served.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use openssl::x509::X509;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::config::Passes;
use crate::domain::ids::{BrandId, PassId, TemplateId};
use crate::domain::secret::Secret;
use crate::service::{App, Problem, templates};
use crate::store::publication::AppleContent;
use crate::wallet::apple::assets::Assets;
use crate::wallet::apple::bundle::Bundle;
use crate::wallet::apple::pass_json::{of_team, with_token};
use crate::wallet::apple::signer::Signer;
use crate::wallet::apple::verify;
use crate::wallet::fault::Consequence;

/// More signatures are begun than there are cores: the next one is computed while the last one's task waits for its turn
/// on the runtime.
const SIGNING_PER_CORE: usize = 4;

/// A bundle is fixed by what is signed and who signs.
type Key = (Vec<u8>, [u8; 32]);

pub struct Bundles {
    cache: moka::future::Cache<Key, Bundle>,
    /// Requests that may wait for a signature.
    queue: Semaphore,
    /// Signatures at the same time.
    signing: Semaphore,
    signed: AtomicU64,
    verify_every: u64,
    /// What has been verified once: each template version with each signer.
    verified: Mutex<HashSet<(TemplateId, i64, [u8; 32])>>,
}

impl Bundles {
    pub fn new(config: &Passes) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let weigh = |_: &Key, bundle: &Bundle| u32::try_from(bundle.own.len() + 128).unwrap_or(u32::MAX);
        Self {
            cache: moka::future::Cache::builder()
                .weigher(weigh)
                .max_capacity(config.bundle_cache_mib * 1024 * 1024)
                .build(),
            queue: Semaphore::new(config.signing_queue_max),
            signing: Semaphore::new(cores * SIGNING_PER_CORE),
            signed: AtomicU64::new(0),
            verify_every: config.verify_every.max(1),
            verified: Mutex::default(),
        }
    }

    fn is_due_for_check(&self, template: TemplateId, version: i64, signer: &Signer) -> bool {
        let count = self.signed.fetch_add(1, Ordering::Relaxed);
        let is_known = self.verified.lock().is_ok_and(|known| known.contains(&(template, version, *signer.id())));
        !is_known || count.is_multiple_of(self.verify_every)
    }
}

/// The content's digest, with the token's where the pass has another than ours.
fn key(apple_hash: &[u8], token: Option<&Secret<String>>, signer: &Signer) -> Key {
    let own = token.map(|token| Sha256::digest(token.reveal()).to_vec()).unwrap_or_default();
    ([apple_hash, &own].concat(), *signer.id())
}

/// The bundle that `apple_hash` stands for, if it is in memory. `token`: see [`load`].
pub async fn find_ready(
    app: &App,
    apple_hash: &[u8],
    token: Option<&Secret<String>>,
    signer: &Signer,
) -> Option<Bundle> {
    app.bundles.cache.get(&key(apple_hash, token, signer)).await
}

/// A signed bundle and the content it was made from.
pub struct SignedPass {
    pub bundle: Bundle,
    pub apple_hash: Vec<u8>,
    /// Unix seconds.
    pub last_modified: i64,
}

/// The published pass as a bundle: from memory, or signed now. `token`: the one that another vendor gave the pass and the
/// phone has just shown; `None`: ours.
pub async fn load(
    app: &App,
    brand: BrandId,
    pass: PassId,
    token: Option<Secret<String>>,
) -> Result<SignedPass, Problem> {
    let content = app.reads.contents.read(app, brand, pass).await?.ok_or(Problem::NotFound { what: "pass" })?;
    let (apple_hash, last_modified) = (content.apple_hash.clone(), content.last_modified);
    let bundle = sign(app, brand, content, token).await?;
    Ok(SignedPass { bundle, apple_hash, last_modified })
}

/// The signer of a pass type, if it may sign now.
pub fn usable_signer(app: &App, pass_type: &str) -> Result<Arc<Signer>, Problem> {
    let signer = app.certificates().signer(pass_type).cloned();
    signer
        .filter(|signer| signer.check_time(app.clock.now()).is_ok())
        .ok_or_else(|| Problem::NoSigner { pass_type: pass_type.to_owned() })
}

/// Computes something that takes a signature, when its turn has come.
pub async fn in_turn<T: Send + 'static>(app: &App, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let waiting = app.bundles.queue.try_acquire().map_err(|_| Problem::Busy)?;
    let turn = app.bundles.signing.acquire().await.map_err(Problem::internal)?;
    let done = tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?;
    drop((turn, waiting));
    Ok(done)
}

async fn sign(
    app: &App,
    brand: BrandId,
    content: AppleContent,
    token: Option<Secret<String>>,
) -> Result<Bundle, Problem> {
    let signer = usable_signer(app, &content.pass_type)?;
    if let Some(bundle) = find_ready(app, &content.apple_hash, token.as_ref(), &signer).await {
        return Ok(bundle);
    }
    let template = templates::load(app, brand, content.template_id, content.template_version).await?;
    let key = key(&content.apple_hash, token.as_ref(), &signer);
    let ours = || app.master_key.apple_token(content.token_key_version, brand, &content.pass_type, &content.serial);
    let token = token.map_or_else(ours, |token| token.reveal().clone());
    let check = app.bundles.is_due_for_check(content.template_id, content.template_version, &signer);
    let verified_as = (content.template_id, content.template_version, *signer.id());
    let now = app.clock.now();
    let job = in_turn(app, move || {
        let pass_json = with_token(&of_team(&content.apple, signer.team()), &token);
        let form = template.form.as_deref().filter(|_| content.signed_up_at.is_none());
        sign_now(&template.assets, &pass_json, form, &signer, now, check)
    });
    let bundle = job.await??;
    if check && let Ok(mut verified) = app.bundles.verified.lock() {
        verified.insert(verified_as);
    }
    app.bundles.cache.insert(key, bundle.clone()).await;
    Ok(bundle)
}

fn sign_now(
    assets: &Arc<Assets>,
    pass_json: &[u8],
    form: Option<&[u8]>,
    signer: &Signer,
    now: chrono::DateTime<chrono::Utc>,
    check: bool,
) -> Result<Bundle, Problem> {
    let bundle = Bundle::sign(assets, pass_json, form, signer, now).map_err(Problem::internal)?;
    if check {
        let roots: [X509; 1] = [signer.intermediate().clone()];
        let report = verify::verify(&bundle.to_vec(), &roots, now);
        if let Some(fault) = report.faults.iter().find(|fault| fault.consequence == Consequence::Refused) {
            // Serve nothing rather than a pass that phones refuse.
            return Err(Problem::internal(format!(
                "a signed bundle does not verify: {}: {}",
                fault.code, fault.detail
            )));
        }
    }
    Ok(bundle)
}
