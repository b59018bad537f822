//! Getting a certificate: the request for Apple's portal, and putting what comes back in its place.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::provider::Provider;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder, X509ReqBuilder};

use crate::wallet::apple::certificates::{self, BadCertificates, BadP12, open_p12};
use crate::wallet::apple::signer::{BadSigner, Signer, name_entry};

/// Why a request cannot be made, or a certificate not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum BadRenewal {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("OpenSSL refused: {0}")]
    OpenSsl(#[from] ErrorStack),
    #[error("{} is no certificate, neither in PEM nor in DER", path.display())]
    NoCertificate { path: PathBuf },
    #[error("there is no request.key in {}: the certificate belongs to a request that was made elsewhere", path.display())]
    NoRequest { path: PathBuf },
    #[error(
        "a request waits for Apple's answer: {}; --again makes another key and request, and the certificate for the first \
         can then not be used", path.display()
    )]
    Pending { path: PathBuf },
    #[error("the certificate was not issued for the request in {}, but for another", path.display())]
    OtherRequest { path: PathBuf },
    #[error("the file {0}")]
    P12(#[from] BadP12),
    #[error(
        "the file is encrypted with RC2, as Keychain does it, and this OpenSSL has no legacy ciphers; rewrite it where it \
         has: openssl pkcs12 -legacy -in pass.p12 -nodes | openssl pkcs12 -export -out new.p12"
    )]
    NoLegacy,
    #[error(
        "the certificate is of the team {now}, and the one in place of {was}: a pass type belongs to one team; --other-team \
         if it was transferred"
    )]
    OtherTeam { was: String, now: String },
    #[error("{0}")]
    Signer(#[from] BadSigner),
    #[error("{0}")]
    Certificates(#[from] BadCertificates),
}

/// The files of a request: Apple's portal takes the first, the second stays.
pub struct Request {
    pub csr: PathBuf,
    pub key: PathBuf,
}

/// Makes a key and a request for it in the pass type's folder. A key that signs now is not touched.
/// A request that waits for Apple's answer is not replaced, unless `again` says so: its certificate fits its key alone.
pub fn request(certs_dir: &Path, pass_type: &str, email: Option<&str>, again: bool) -> Result<Request, BadRenewal> {
    let folder = certs_dir.join(pass_type);
    if folder.join("request.key").exists() && !again {
        return Err(BadRenewal::Pending { path: folder.join("request.csr") });
    }
    fs::create_dir_all(&folder).map_err(|source| BadRenewal::Io { path: folder.clone(), source })?;
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, pass_type)?;
    if let Some(email) = email {
        name.append_entry_by_nid(Nid::PKCS9_EMAILADDRESS, email)?;
    }
    let mut request = X509ReqBuilder::new()?;
    request.set_subject_name(&name.build())?;
    request.set_pubkey(&key)?;
    request.sign(&key, MessageDigest::sha256())?;
    let files = Request { csr: folder.join("request.csr"), key: folder.join("request.key") };
    write(&files.key, &key.private_key_to_pem_pkcs8()?, 0o600)?;
    write(&files.csr, &request.build().to_pem()?, 0o644)?;
    Ok(files)
}

/// Puts the certificate that Apple issued for the folder's request in its place. The pass type that it is for.
pub fn import_certificate(
    certs_dir: &Path,
    file: &Path,
    other_team: bool,
    now: DateTime<Utc>,
) -> Result<String, BadRenewal> {
    let bytes = fs::read(file).map_err(|source| BadRenewal::Io { path: file.to_owned(), source })?;
    let leaf = X509::from_pem(&bytes).or_else(|_| X509::from_der(&bytes));
    let leaf = leaf.map_err(|_| BadRenewal::NoCertificate { path: file.to_owned() })?;
    let pass_type = pass_type_of(&leaf)?;
    let key_file = certs_dir.join(&pass_type).join("request.key");
    let key = fs::read(&key_file).map_err(|_| BadRenewal::NoRequest { path: certs_dir.join(&pass_type) })?;
    let key = PKey::private_key_from_pem_passphrase(&key, b"")?;
    if !leaf.public_key()?.public_eq(&key) {
        return Err(BadRenewal::OtherRequest { path: certs_dir.join(&pass_type) });
    }
    place(certs_dir, &pass_type, &leaf, &key, other_team, now)?;
    for name in ["request.key", "request.csr"] {
        drop(fs::remove_file(certs_dir.join(&pass_type).join(name)));
    }
    Ok(pass_type)
}

/// Puts the certificate and key of a `.p12` in their place, as PEM: also of the files that Keychain writes, whose ciphers
/// OpenSSL 3 knows only with its legacy provider. The pass type that they are for.
pub fn import_p12(
    certs_dir: &Path,
    file: &Path,
    password: &str,
    other_team: bool,
    now: DateTime<Utc>,
) -> Result<String, BadRenewal> {
    let bytes = fs::read(file).map_err(|source| BadRenewal::Io { path: file.to_owned(), source })?;
    let (leaf, key) = match open_p12(&bytes, password) {
        Err(BadP12::Legacy) => {
            let legacy = Provider::try_load(None, "legacy", true).map_err(|_| BadRenewal::NoLegacy)?;
            let opened = open_p12(&bytes, password);
            drop(legacy);
            opened?
        }
        opened => opened?,
    };
    let pass_type = pass_type_of(&leaf)?;
    place(certs_dir, &pass_type, &leaf, &key, other_team, now)?;
    Ok(pass_type)
}

fn pass_type_of(leaf: &X509) -> Result<String, BadRenewal> {
    let found = name_entry(leaf.subject_name(), Nid::USERID).filter(|name| crate::domain::pass::is_pass_type(name));
    Ok(found.ok_or(BadSigner::NoPassType)?)
}

/// Checks that the pair can sign, then writes it; what was there before is kept beside it (`.old`). A service that runs
/// notices within seconds.
fn place(
    certs_dir: &Path,
    pass_type: &str,
    leaf: &X509,
    key: &PKey<Private>,
    other_team: bool,
    now: DateTime<Utc>,
) -> Result<(), BadRenewal> {
    let intermediates = certificates::read_intermediates(&certs_dir.join("wwdr"))?;
    Signer::new(pass_type, leaf.clone(), key.clone(), &intermediates, now)?;
    let folder = certs_dir.join(pass_type);
    if let Some(held) = certificates::read(certs_dir, now)?.signer(pass_type) {
        // The file of before must not be rotated away by itself.
        if held.leaf().to_der()? == leaf.to_der()? {
            return Ok(());
        }
        let team = name_entry(leaf.subject_name(), Nid::ORGANIZATIONALUNITNAME).unwrap_or_default();
        if held.team() != team && !other_team {
            return Err(BadRenewal::OtherTeam { was: held.team().to_owned(), now: team });
        }
    }
    fs::create_dir_all(&folder).map_err(|source| BadRenewal::Io { path: folder.clone(), source })?;
    for name in ["key.pem", "pass.pem"] {
        let path = folder.join(name);
        if path.exists() {
            let old = folder.join(format!("{name}.old"));
            fs::copy(&path, &old).map_err(|source| BadRenewal::Io { path: old, source })?;
        }
    }
    write(&folder.join("key.pem"), &key.private_key_to_pem_pkcs8()?, 0o600)?;
    write(&folder.join("pass.pem"), &leaf.to_pem()?, 0o644)
}

/// Writes a file whole or not at all.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), BadRenewal> {
    let failed = |source| BadRenewal::Io { path: path.to_owned(), source };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
