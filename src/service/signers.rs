//! The signers in use: read at the start, and again when their files change, without a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::service::{App, Problem};
use crate::wallet::apple::certificates::{self, Certificates};

/// Days before the end at which somebody is told, once each.
const WARNED_AT: [i64; 4] = [30, 14, 7, 1];

pub struct Signers {
    current: RwLock<Arc<Certificates>>,
    /// What the files looked like when they were read last.
    seen: Mutex<Vec<u8>>,
    /// The last warning of each certificate (by the SHA-256 of the leaf), in days.
    warned: Mutex<HashMap<[u8; 32], i64>>,
}

impl Signers {
    pub fn new(certificates: Certificates) -> Self {
        Self { current: RwLock::new(Arc::new(certificates)), seen: Mutex::default(), warned: Mutex::default() }
    }
}

impl App {
    /// The certificates as they were read last.
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.signers.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the certificates again if their files changed. A signer whose new files cannot be used stays as it was: half of a
/// replacement must not stop anybody. Whether anything is different.
pub async fn refresh(app: &App) -> Result<bool, Problem> {
    let for_job = app.clone();
    tokio::task::spawn_blocking(move || reread(&for_job)).await.map_err(Problem::internal)?
}

fn reread(app: &App) -> Result<bool, Problem> {
    let folder = &app.config.apple.certs_dir;
    let look = certificates::look(folder).map_err(Problem::internal)?;
    let mut seen = app.signers.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if *seen == look {
        return Ok(false);
    }
    let now = app.clock.now();
    let mut fresh = certificates::read(folder, now).map_err(Problem::internal)?;
    let before = app.certificates();
    for (pass_type, fault) in &fresh.faults {
        let kept = before.signer(pass_type).filter(|signer| signer.check_time(now).is_ok());
        match kept {
            Some(signer) => {
                tracing::error!("the new certificate of {pass_type} cannot be used, the one before signs on: {fault}");
                fresh.signers.insert(pass_type.clone(), Arc::clone(signer));
            }
            None => tracing::error!("passes of {pass_type} cannot be signed: {fault}"),
        }
    }
    // A folder that is away, because somebody is moving it, is no order to stop.
    for (pass_type, signer) in &before.signers {
        let is_gone =
            !fresh.signers.contains_key(pass_type) && !fresh.faults.iter().any(|(known, _)| known == pass_type);
        if is_gone && signer.check_time(now).is_ok() {
            tracing::error!("the certificate of {pass_type} is gone from its folder; it signs on until a restart");
            fresh.signers.insert(pass_type.clone(), Arc::clone(signer));
        }
    }
    let id_before = |pass_type: &String| before.signers.get(pass_type).map(|signer| *signer.id());
    let mut is_different = before.signers.len() != fresh.signers.len();
    for (pass_type, signer) in &fresh.signers {
        if id_before(pass_type) != Some(*signer.id()) {
            is_different = true;
            tracing::info!(not_after = %signer.not_after(), "passes of {pass_type} are signed with a certificate good until then");
        }
    }
    *app.signers.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    *seen = look;
    Ok(is_different)
}

/// Measures how long each certificate is good for, and warns: 30, 14, 7 days and 1 day before its end, and after it.
pub fn watch(app: &App) {
    let now = app.clock.now();
    let certificates = app.certificates();
    for (pass_type, signer) in &certificates.signers {
        let days = days_left(signer.not_after(), now);
        metrics::gauge!("passarela_certificate_days_left", "pass_type" => pass_type.clone()).set(days as f64);
        let Some(threshold) = WARNED_AT.iter().copied().filter(|threshold| days <= *threshold).min() else { continue };
        let step = if days < 0 { -1 } else { threshold };
        let mut warned = app.signers.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(*signer.id(), step) == Some(step) {
            continue;
        }
        if days < 0 {
            tracing::error!("the certificate of {pass_type} has ended: no pass is signed, cards on phones stay");
        } else {
            tracing::error!(
                "the certificate of {pass_type} ends in {days} days; renew it: passarela certs csr {pass_type}"
            );
        }
    }
    for (pass_type, _) in &certificates.faults {
        if !certificates.signers.contains_key(pass_type) {
            metrics::gauge!("passarela_certificate_days_left", "pass_type" => pass_type.clone()).set(-1.0);
        }
    }
}

/// Whole days; negative when it is over.
pub fn days_left(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().div_euclid(86_400)
}
