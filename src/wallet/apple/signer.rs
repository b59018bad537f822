//! One signing certificate with its key: loaded and checked once, used for every pass of its type.

use std::fmt;

use chrono::{DateTime, Utc};
use openssl::asn1::Asn1TimeRef;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::x509::{X509, X509NameRef};
use sha2::{Digest as _, Sha256};

use crate::domain::secret::Secret;
use crate::wallet::apple::cms::{KeyKind, SignerParts, signed_attributes};

pub struct Signer {
    pass_type: String,
    team: String,
    /// SHA-256 of the leaf: names the signer in caches and logs.
    id: [u8; 32],
    leaf: X509,
    intermediate: X509,
    key: PKey<Private>,
    kind: KeyKind,
    parts: SignerParts,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

/// Why a certificate cannot sign passes; what to do about it follows in the operator's guide.
#[derive(Debug, thiserror::Error)]
pub enum BadSigner {
    #[error("the private key does not belong to the certificate")]
    KeyDoesNotFit,
    #[error("the key must be RSA of at least 2048 bits or EC P-256")]
    UnusableKey,
    #[error("the certificate names no pass type (subject UID); it is not a Pass Type ID certificate")]
    NoPassType,
    #[error("the certificate is for the pass type {found}, not {expected}")]
    OtherPassType { found: String, expected: String },
    #[error("the certificate names no team (subject OU)")]
    NoTeam,
    #[error(
        "no intermediate certificate in wwdr/ issued this certificate; it wants the Apple WWDR certificate with the \
         subject {issuer}"
    )]
    NoIntermediate { issuer: String },
    #[error("the certificate is not valid before {0}")]
    NotYetValid(DateTime<Utc>),
    #[error("the certificate expired at {0}")]
    Expired(DateTime<Utc>),
    #[error("the intermediate certificate expired at {0}")]
    IntermediateExpired(DateTime<Utc>),
    #[error("OpenSSL refused: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("pass_type", &self.pass_type).field("team", &self.team).finish_non_exhaustive()
    }
}

impl Signer {
    /// Checks that leaf and key belong together, name `pass_type`, chain to one of `intermediates` and are valid `now`.
    /// OpenSSL checks the key here, which takes about 30 ms, and never again.
    pub fn new(
        pass_type: &str,
        leaf: X509,
        key: PKey<Private>,
        intermediates: &[X509],
        now: DateTime<Utc>,
    ) -> Result<Self, BadSigner> {
        if !leaf.public_key()?.public_eq(&key) {
            return Err(BadSigner::KeyDoesNotFit);
        }
        let kind = match key.id() {
            Id::RSA if key.bits() >= 2048 => KeyKind::Rsa,
            Id::EC if key.ec_key()?.group().curve_name() == Some(Nid::X9_62_PRIME256V1) => KeyKind::P256,
            _ => return Err(BadSigner::UnusableKey),
        };
        let found = name_entry(leaf.subject_name(), Nid::USERID).ok_or(BadSigner::NoPassType)?;
        if found != pass_type {
            return Err(BadSigner::OtherPassType { found, expected: pass_type.to_owned() });
        }
        let team = name_entry(leaf.subject_name(), Nid::ORGANIZATIONALUNITNAME).ok_or(BadSigner::NoTeam)?;
        let intermediate = issuer_of(&leaf, intermediates)?;
        let parts = SignerParts::new(
            kind,
            &leaf.to_der()?,
            &intermediate.to_der()?,
            &leaf.issuer_name().to_der()?,
            &leaf.serial_number().to_bn()?.to_vec(),
        );
        let signer = Self {
            pass_type: found,
            team,
            id: Sha256::digest(leaf.to_der()?).into(),
            not_before: moment(leaf.not_before())?,
            not_after: moment(leaf.not_after())?,
            leaf,
            intermediate,
            key,
            kind,
            parts,
        };
        signer.check_time(now)?;
        Ok(signer)
    }

    /// Whether passes may be signed at this moment.
    pub fn check_time(&self, now: DateTime<Utc>) -> Result<(), BadSigner> {
        if now < self.not_before {
            return Err(BadSigner::NotYetValid(self.not_before));
        }
        if now >= self.not_after {
            return Err(BadSigner::Expired(self.not_after));
        }
        let intermediate_end = moment(self.intermediate.not_after())?;
        if now >= intermediate_end {
            return Err(BadSigner::IntermediateExpired(intermediate_end));
        }
        Ok(())
    }

    /// The detached signature over `manifest`, in DER.
    pub fn sign(&self, manifest: &[u8], now: DateTime<Utc>) -> Result<Vec<u8>, ErrorStack> {
        let attributes = signed_attributes(&Sha256::digest(manifest).into(), now);
        let signature = self.sign_digest(&Sha256::digest(&attributes))?;
        Ok(self.parts.signed_data(&attributes, &signature))
    }

    /// One raw signature over a SHA-256 digest: the cost that every pass has to pay.
    pub fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.sign_init()?;
        if self.kind == KeyKind::Rsa {
            context.set_rsa_padding(Padding::PKCS1)?;
        }
        context.set_signature_md(Md::sha256())?;
        let mut signature = Vec::with_capacity(self.key.size());
        context.sign_to_vec(digest, &mut signature)?;
        Ok(signature)
    }

    /// Key and certificates in PEM: what a TLS client proves itself by.
    pub fn identity(&self) -> Result<Secret<Vec<u8>>, ErrorStack> {
        let parts = [self.key.private_key_to_pem_pkcs8()?, self.leaf.to_pem()?, self.intermediate.to_pem()?];
        Ok(Secret::new(parts.concat()))
    }

    pub fn pass_type(&self) -> &str {
        &self.pass_type
    }

    pub fn team(&self) -> &str {
        &self.team
    }

    /// Whether its passes may speak NFC: such certificates are granted apart, and say so in their names.
    pub fn allows_nfc(&self) -> bool {
        allows_nfc(&self.leaf)
    }

    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    pub const fn not_before(&self) -> DateTime<Utc> {
        self.not_before
    }

    pub const fn not_after(&self) -> DateTime<Utc> {
        self.not_after
    }

    pub const fn leaf(&self) -> &X509 {
        &self.leaf
    }

    pub const fn intermediate(&self) -> &X509 {
        &self.intermediate
    }
}

/// The intermediate whose key signed the leaf: names alone do not tell, Apple has several WWDR generations.
fn issuer_of(leaf: &X509, intermediates: &[X509]) -> Result<X509, BadSigner> {
    for candidate in intermediates {
        if leaf.verify(candidate.public_key()?.as_ref()).unwrap_or(false) {
            return Ok(candidate.clone());
        }
    }
    Err(BadSigner::NoIntermediate { issuer: readable(leaf.issuer_name()) })
}

/// Whether a certificate allows NFC. The extension that marks it is not documented; the name is what is seen.
pub fn allows_nfc(leaf: &X509) -> bool {
    name_entry(leaf.subject_name(), Nid::COMMONNAME).is_some_and(|name| name.starts_with("Pass Type ID with NFC"))
}

/// The first entry of a kind in a name, as text.
pub fn name_entry(name: &X509NameRef, nid: Nid) -> Option<String> {
    let entry = name.entries_by_nid(nid).next()?;
    entry.data().to_string().ok()
}

/// `CN=…, OU=…` for people.
pub fn readable(name: &X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let kind = entry.object().nid().short_name().unwrap_or("?");
        format!("{kind}={}", entry.data().to_string().unwrap_or_default())
    });
    entries.collect::<Vec<_>>().join(", ")
}

/// An ASN.1 time as ours.
pub fn moment(time: &Asn1TimeRef) -> Result<DateTime<Utc>, ErrorStack> {
    let epoch = openssl::asn1::Asn1Time::from_unix(0)?;
    let since = epoch.diff(time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Ok(DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH))
}

/// SHA-256 fingerprint as `openssl x509 -fingerprint` writes it.
pub fn fingerprint(certificate: &X509) -> Result<String, ErrorStack> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    Ok(digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}
