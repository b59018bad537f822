//! The signature over the manifest, and who made it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDateTime, Utc};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext, X509VerifyResult};
use serde_json::{Map, Value};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::wallet::apple::signer::{allows_nfc, moment, name_entry, readable};
use crate::wallet::apple::verify::der::{self, SignedData, SignerId, Usual};
use crate::wallet::apple::verify::{Contents, Report};
use crate::wallet::fault::Fault;

/// Signers that are remembered at most.
const KNOWN_MAX: usize = 64;

/// Looks at bundles. What it finds out about a signer serves the next bundle that the same one signed: certificates are
/// decoded, and their chain is built, once.
pub struct Verifier {
    /// `None`: the chain is not judged (only Apple's root counts on a phone).
    store: Option<Result<X509Store, ErrorStack>>,
    known: Mutex<HashMap<[u8; 32], Arc<Signatory>>>,
}

/// A signer, with the certificates that come along.
#[derive(Debug)]
struct Signatory {
    signer: X509,
    key: PKey<Public>,
    pass_type: String,
    team: String,
    /// From when until when the certificate is good.
    good: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When the certificate of its issuer ends, if that is there.
    issuer_end: Option<DateTime<Utc>>,
    /// What is wrong with the chain.
    faults: Vec<Fault>,
    /// Whether every certificate that came along could be read.
    is_whole: bool,
}

/// Who signed, and when they say they did.
#[derive(Debug, Clone)]
pub struct Signature {
    by: Arc<Signatory>,
    pub signed_at: Option<DateTime<Utc>>,
}

impl Verifier {
    /// `roots` are certificates to trust; without them the chain is not judged.
    pub fn new(roots: &[X509]) -> Self {
        Self { store: (!roots.is_empty()).then(|| trust(roots)), known: Mutex::default() }
    }

    /// Checks the files of a pass, unpacked: those of a folder, for instance.
    pub fn verify_files(&self, files: Contents, faults: Vec<Fault>, now: DateTime<Utc>) -> Report {
        super::look(self, files, faults, now)
    }

    /// Checks one `.pkpass`.
    pub fn verify(&self, bundle: &[u8], now: DateTime<Utc>) -> Report {
        match super::unpack::unpack_pass(bundle) {
            Ok((files, faults)) => self.verify_files(files, faults, now),
            Err(fault) => Report { faults: vec![fault], ..Report::default() },
        }
    }

    pub(super) fn check_signature(&self, report: &mut Report, now: DateTime<Utc>) {
        let Some(signature) = report.files.get("signature") else {
            report.faults.push(Fault::refused("signature-missing", "signature is missing"));
            return;
        };
        let Some(manifest) = report.files.get("manifest.json") else { return };
        match self.open(manifest, signature) {
            Ok(signature) => {
                report.faults.extend(signature.by.faults.iter().cloned());
                report.faults.extend(signature.check_times(now));
                report.signature = Some(signature);
            }
            Err(fault) => report.faults.push(fault),
        }
    }

    fn open(&self, manifest: &[u8], signature: &[u8]) -> Result<Signature, Fault> {
        let data = der::read_signed_data(signature)
            .ok_or_else(|| Fault::refused("signature", "the signature is no CMS in DER"))?;
        let by = self.signatory(&data);
        if let (Ok(by), Some(usual)) = (&by, &data.usual)
            && by.has_signed(usual, manifest)
        {
            return Ok(Signature { by: Arc::clone(by), signed_at: usual.signing_time.and_then(read_time) });
        }
        // Of another form, or wrong: OpenSSL reads them all, and says what it dislikes.
        let broken = |error: ErrorStack| Fault::refused("signature", format!("the signature does not verify: {error}"));
        let mut cms = CmsContentInfo::from_der(signature).map_err(broken)?;
        let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
        cms.verify(None, None, Some(manifest), None, flags).map_err(broken)?;
        Ok(Signature { by: by?, signed_at: data.signing_time.and_then(read_time) })
    }

    /// Who signed, by the certificate that the signature names and no other that came along.
    fn signatory(&self, data: &SignedData<'_>) -> Result<Arc<Signatory>, Fault> {
        let [signer_id] = data.signers.as_slice() else {
            return Err(Fault::refused("signature", format!("{} signers; a pass has one", data.signers.len())));
        };
        let id = digest_of(data, *signer_id);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let by = Arc::new(Signatory::read(data, *signer_id, self.store.as_ref())?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(id, Arc::clone(&by));
        Ok(by)
    }
}

/// What a signature brings along, and whom it names.
fn digest_of(data: &SignedData<'_>, id: SignerId<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    let named: [&[u8]; 3] = match id {
        SignerId::IssuerAndSerial(issuer, serial) => [b"issuer", issuer, serial],
        SignerId::KeyId(id) => [b"key", id, &[]],
    };
    for part in named.iter().chain(&data.certificates) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

impl Signatory {
    fn read(
        data: &SignedData<'_>,
        id: SignerId<'_>,
        store: Option<&Result<X509Store, ErrorStack>>,
    ) -> Result<Self, Fault> {
        let certificates: Vec<X509> =
            data.certificates.iter().take(10).filter_map(|der| X509::from_der(der).ok()).collect();
        let missing = || Fault::refused("signer-missing", "the signer's certificate is not in the signature");
        let signer = certificates.iter().find(|certificate| is_named(certificate, id)).ok_or_else(missing)?;
        let key = signer.public_key().map_err(|_| missing())?;
        let issuer = certificates.iter().find(|other| {
            other.issued(signer) == X509VerifyResult::OK
                && other.public_key().is_ok_and(|key| signer.verify(&key).unwrap_or(false))
        });
        let mut faults = Vec::new();
        if let Some(chain) = store.and_then(|store| does_not_chain(store, signer, &certificates)) {
            let detail = format!("the signer does not chain to the given certificates: {chain}");
            faults.push(Fault::refused("chain", detail));
        }
        if issuer.is_none() {
            let issuer = readable(signer.issuer_name());
            faults.push(Fault::refused(
                "intermediate",
                format!("the certificate that issued the signer's is not in the signature: {issuer}"),
            ));
        }
        let entry = |nid| name_entry(signer.subject_name(), nid).unwrap_or_default();
        let times = (moment(signer.not_before()), moment(signer.not_after()));
        Ok(Self {
            pass_type: entry(Nid::USERID),
            team: entry(Nid::ORGANIZATIONALUNITNAME),
            good: if let (Ok(start), Ok(end)) = times { Some((start, end)) } else { None },
            issuer_end: issuer.and_then(|issuer| moment(issuer.not_after()).ok()),
            signer: signer.clone(),
            key,
            faults,
            is_whole: certificates.len() == data.certificates.len(),
        })
    }

    /// Whether this signature, of the usual form, is theirs and is over this manifest.
    fn has_signed(&self, usual: &Usual<'_>, manifest: &[u8]) -> bool {
        let (is_content, digest) = match usual.digest {
            der::Digest::Sha1 => (Sha1::digest(manifest).as_slice() == usual.message_digest, MessageDigest::sha1()),
            der::Digest::Sha256 => {
                (Sha256::digest(manifest).as_slice() == usual.message_digest, MessageDigest::sha256())
            }
        };
        let is_key = match usual.key {
            der::Key::Rsa => self.key.id() == Id::RSA,
            der::Key::Ec => self.key.id() == Id::EC,
        };
        let signed = || {
            let mut verifier = openssl::sign::Verifier::new(digest, &self.key)?;
            verifier.verify_oneshot(usual.signature, &usual.attributes)
        };
        self.is_whole && is_content && is_key && signed().unwrap_or(false)
    }
}

/// Why a certificate does not chain to the store; `None`: it does.
fn does_not_chain(store: &Result<X509Store, ErrorStack>, signer: &X509, certificates: &[X509]) -> Option<String> {
    let judge = || -> Result<Option<String>, ErrorStack> {
        let mut others = Stack::new()?;
        for certificate in certificates {
            others.push(certificate.clone())?;
        }
        let store = match store {
            Ok(store) => store,
            Err(error) => return Ok(Some(error.to_string())),
        };
        X509StoreContext::new()?.init(store, signer, &others, |context| {
            let is_good = context.verify_cert()?;
            Ok((!is_good).then(|| context.error().error_string().to_owned()))
        })
    };
    judge().unwrap_or_else(|error| Some(error.to_string()))
}

/// Whether a signature names this certificate.
fn is_named(certificate: &X509, id: SignerId<'_>) -> bool {
    match id {
        SignerId::IssuerAndSerial(issuer, serial) => {
            let serial = openssl::bn::BigNum::from_slice(serial);
            let own = certificate.serial_number().to_bn();
            let same_serial = matches!((serial, own), (Ok(serial), Ok(own)) if serial == own);
            same_serial && certificate.issuer_name().to_der().is_ok_and(|own| own == issuer)
        }
        SignerId::KeyId(id) => certificate.subject_key_id().is_some_and(|own| own.as_slice() == id),
    }
}

/// A store that trusts `roots`, intermediates among them too, for whatever purpose: pass certificates have their own.
fn trust(roots: &[X509]) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for root in roots {
        store.add_cert(root.clone())?;
    }
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    store.set_purpose(openssl::x509::X509PurposeId::ANY)?;
    Ok(store.build())
}

/// `UTCTime` or `GeneralizedTime`, in UTC.
fn read_time(text: &str) -> Option<DateTime<Utc>> {
    let format = if text.len() > 13 { "%Y%m%d%H%M%SZ" } else { "%y%m%d%H%M%SZ" };
    NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc())
}

impl Signature {
    pub fn signer(&self) -> &X509 {
        &self.by.signer
    }

    /// Whether the certificate's name says that its passes may speak NFC.
    pub fn allows_nfc(&self) -> bool {
        allows_nfc(&self.by.signer)
    }

    /// The pass type and the team that the certificate is for.
    pub fn identity(&self) -> (&str, &str) {
        (&self.by.pass_type, &self.by.team)
    }

    pub(super) fn check_identity(&self, pass: &Map<String, Value>) -> Vec<Fault> {
        let (pass_type, team) = self.identity();
        let named = [("passTypeIdentifier", pass_type), ("teamIdentifier", team)];
        let wrong =
            named.into_iter().filter(|(key, certified)| pass.get(*key).and_then(Value::as_str) != Some(*certified));
        wrong
            .map(|(key, certified)| {
                Fault::refused("signer-identity", format!("{key} is not the certificate's ({certified})"))
            })
            .collect()
    }

    fn check_times(&self, now: DateTime<Utc>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let Some((start, end)) = self.by.good else { return faults };
        match self.signed_at {
            None => faults.push(Fault::refused("signing-time", "the signature does not say when it was made")),
            Some(at) if at > now + chrono::TimeDelta::days(1) => {
                faults.push(Fault::refused("signing-time", format!("the signature is of {at}, which is yet to come")));
            }
            Some(at) if at < start || at >= end => {
                faults.push(Fault::refused(
                    "signing-time",
                    format!("signed at {at}, but the certificate is good from {start} to {end}"),
                ));
            }
            Some(_) => {}
        }
        if now >= end {
            // Installed passes stay; nobody can add this one any more.
            faults.push(Fault::refused(
                "signer-expired",
                format!("the certificate ended at {end}; passes already on phones stay"),
            ));
        }
        if let Some(end) = self.by.issuer_end.filter(|end| now >= *end) {
            faults.push(Fault::refused("intermediate-expired", format!("the issuer's certificate ended at {end}")));
        }
        faults
    }
}
