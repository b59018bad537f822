//! The `certs/` folder: one folder per pass type with its certificate and key, and `wwdr/` with Apple's intermediates.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use sha2::{Digest as _, Sha256};

use crate::secret_file::{self, BadSecret};
use crate::wallet::apple::push_key::{BadPushKey, PushKey};
use crate::wallet::apple::signer::{BadSigner, Signer};

/// Why a folder under `certs/` cannot be used, with the path to look at.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificates {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0}")]
    Secret(#[from] BadSecret),
    #[error("{}: holds neither pass.pem with key.pem nor pass.p12", path.display())]
    Nothing { path: PathBuf },
    #[error("{}: {source}", path.display())]
    PushKey { path: PathBuf, source: BadPushKey },
    #[error("{}: {source}", path.display())]
    Signer { path: PathBuf, source: BadSigner },
}

/// What was found: the signers that can be used, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Certificates {
    pub signers: BTreeMap<String, Arc<Signer>>,
    pub faults: Vec<(String, BadCertificates)>,
    /// Pass types whose first certificate was asked for.
    pub requested: Vec<String>,
    /// Keys for Apple's push service, by the pass type that they are for; without one, its certificate serves.
    pub push_keys: BTreeMap<String, PushKey>,
    /// What is wrong with the other keys.
    pub push_faults: Vec<(String, BadCertificates)>,
}

impl Certificates {
    pub fn signer(&self, pass_type: &str) -> Option<&Arc<Signer>> {
        self.signers.get(pass_type)
    }
}

/// Reads every pass type's folder. One that cannot be used is a fault of its own and does not spoil the others; a folder
/// that is not there holds none.
pub fn read(folder: &Path, now: DateTime<Utc>) -> Result<Certificates, BadCertificates> {
    if !folder.exists() {
        return Ok(Certificates::default());
    }
    let intermediates = read_intermediates(&folder.join("wwdr"))?;
    let mut certificates = Certificates::default();
    for path in entries(folder)? {
        let Some(pass_type) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        // Another folder may have the key by which the brand's own app is told, under the app's id.
        let is_apps = path.join("apns.p8").exists();
        if !path.is_dir() || !(pass_type.starts_with("pass.") || is_apps) {
            continue;
        }
        match read_push_key(&path) {
            Ok(None) => {}
            Ok(Some(key)) => drop(certificates.push_keys.insert(pass_type.clone(), key)),
            Err(fault) => certificates.push_faults.push((pass_type.clone(), fault)),
        }
        if !pass_type.starts_with("pass.") {
            continue;
        }
        // A request that waits for Apple's answer, and nothing else yet.
        let has_certificate = path.join("pass.pem").exists() || path.join("pass.p12").exists();
        if !has_certificate && path.join("request.key").exists() {
            certificates.requested.push(pass_type);
            continue;
        }
        match read_signer(&path, &pass_type, &intermediates, now) {
            Ok(signer) => {
                certificates.signers.insert(pass_type, Arc::new(signer));
            }
            Err(fault) => certificates.faults.push((pass_type, fault)),
        }
    }
    Ok(certificates)
}

/// What the folder's files look like from outside: names, sizes, times. Differs when one of them was replaced.
pub fn look(folder: &Path) -> Result<Vec<u8>, BadCertificates> {
    let mut look = Sha256::new();
    if folder.exists() {
        for path in entries(folder)? {
            let inner = if path.is_dir() { entries(&path)? } else { vec![path] };
            for path in inner {
                // One that is gone again by now will be noticed the next time.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                let changed = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                look.update(path.as_os_str().as_encoded_bytes());
                look.update(metadata.len().to_be_bytes());
                look.update(changed.unwrap_or_default().as_nanos().to_be_bytes());
            }
        }
    }
    Ok(look.finalize().to_vec())
}

/// Every `.pem` and `.cer` (DER) certificate in `wwdr/`.
pub fn read_intermediates(folder: &Path) -> Result<Vec<X509>, BadCertificates> {
    let mut intermediates = Vec::new();
    if !folder.exists() {
        return Ok(intermediates);
    }
    for path in entries(folder)? {
        let unreadable = |error: openssl::error::ErrorStack| BadCertificates::Unreadable {
            path: path.clone(),
            reason: format!("not a certificate: {error}"),
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pem") => intermediates.extend(X509::stack_from_pem(&read_file(&path)?).map_err(unreadable)?),
            Some("cer" | "der") => intermediates.push(X509::from_der(&read_file(&path)?).map_err(unreadable)?),
            _ => {}
        }
    }
    Ok(intermediates)
}

fn read_signer(
    folder: &Path,
    pass_type: &str,
    intermediates: &[X509],
    now: DateTime<Utc>,
) -> Result<Signer, BadCertificates> {
    let (pem, key, p12) = (folder.join("pass.pem"), folder.join("key.pem"), folder.join("pass.p12"));
    let (leaf, key) = if pem.exists() {
        (read_leaf(&pem)?, read_key(&key)?)
    } else if p12.exists() {
        read_p12(&p12)?
    } else {
        return Err(BadCertificates::Nothing { path: folder.to_owned() });
    };
    Signer::new(pass_type, leaf, key, intermediates, now)
        .map_err(|source| BadCertificates::Signer { path: folder.to_owned(), source })
}

/// `apns.p8` with `apns.toml`; `None`: there is none.
fn read_push_key(folder: &Path) -> Result<Option<PushKey>, BadCertificates> {
    let path = folder.join("apns.p8");
    if !path.exists() {
        return Ok(None);
    }
    let pem = secret_file::read(&path)?;
    let names = String::from_utf8_lossy(&read_file(&folder.join("apns.toml"))?).into_owned();
    let key = PushKey::read(&path, &pem, &names);
    key.map(Some).map_err(|source| BadCertificates::PushKey { path: folder.to_owned(), source })
}

fn read_leaf(path: &Path) -> Result<X509, BadCertificates> {
    X509::from_pem(&read_file(path)?).map_err(|error| BadCertificates::Unreadable {
        path: path.to_owned(),
        reason: format!("not a certificate: {error}"),
    })
}

fn read_key(path: &Path) -> Result<PKey<Private>, BadCertificates> {
    // An empty passphrase, so that OpenSSL fails on an encrypted key instead of asking the terminal.
    PKey::private_key_from_pem_passphrase(&secret_file::read(path)?, b"").map_err(|error| BadCertificates::Unreadable {
        path: path.to_owned(),
        reason: format!("not a private key without passphrase: {error}"),
    })
}

fn read_p12(path: &Path) -> Result<(X509, PKey<Private>), BadCertificates> {
    let file = secret_file::read(path)?;
    let unreadable = |reason: String| BadCertificates::Unreadable { path: path.to_owned(), reason };
    let mut password_path = path.as_os_str().to_owned();
    password_path.push(".password");
    let password_path = PathBuf::from(password_path);
    let password = if password_path.exists() {
        String::from_utf8_lossy(&secret_file::read(&password_path)?).trim_end_matches(['\r', '\n']).to_owned()
    } else {
        String::new()
    };
    open_p12(&file, &password).map_err(|error| match error {
        BadP12::Legacy => unreadable(format!("{error}; passarela certs import-p12 rewrites it")),
        BadP12::Unreadable(_) => unreadable(format!("{error} (the password is read from {})", password_path.display())),
        error => unreadable(error.to_string()),
    })
}

/// Why a `.p12` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadP12 {
    #[error("is encrypted with RC2, as Keychain does it, which OpenSSL 3 refuses")]
    Legacy,
    #[error("is no PKCS#12 file")]
    Foreign,
    #[error("cannot be opened: the password is wrong, or the file is broken")]
    Unreadable(#[source] ErrorStack),
    #[error("must hold a certificate and its private key")]
    Incomplete,
}

/// The certificate and key of a `.p12`.
pub fn open_p12(file: &[u8], password: &str) -> Result<(X509, PKey<Private>), BadP12> {
    let file = Pkcs12::from_der(file).map_err(|_| BadP12::Foreign)?;
    let parsed = file.parse2(password).map_err(|error| {
        // What OpenSSL 3 says of a cipher that it no longer brings along.
        let is_legacy = error.errors().iter().any(|error| error.to_string().contains("unsupported"));
        if is_legacy { BadP12::Legacy } else { BadP12::Unreadable(error) }
    })?;
    match (parsed.cert, parsed.pkey) {
        (Some(leaf), Some(key)) => Ok((leaf, key)),
        _ => Err(BadP12::Incomplete),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, BadCertificates> {
    fs::read(path).map_err(|source| BadCertificates::Read { path: path.to_owned(), source })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, BadCertificates> {
    let read = |source| BadCertificates::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort();
    Ok(paths)
}
