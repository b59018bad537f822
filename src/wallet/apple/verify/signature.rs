//! The signature over the manifest, and who made it.

use chrono::{DateTime, NaiveDateTime, Utc};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509VerifyResult};
use serde_json::{Map, Value};

use crate::wallet::apple::signer::{allows_nfc, moment, name_entry, readable};
use crate::wallet::apple::verify::der::SignerId;
use crate::wallet::apple::verify::{Report, der};
use crate::wallet::fault::Fault;

/// Who signed, and when they say they did.
#[derive(Debug, Clone)]
pub struct Signature {
    pub signer: X509,
    /// Every certificate that came along, the signer's among them.
    pub certificates: Vec<X509>,
    pub signed_at: Option<DateTime<Utc>>,
}

pub fn check(report: &mut Report, roots: &[X509], now: DateTime<Utc>) {
    let Some(signature) = report.files.get("signature") else {
        report.faults.push(Fault::refused("signature-missing", "signature is missing"));
        return;
    };
    let Some(manifest) = report.files.get("manifest.json") else { return };
    match open(manifest, signature, roots) {
        Ok((signature, faults)) => {
            report.faults.extend(faults);
            report.faults.extend(signature.check_times(now));
            report.signature = Some(signature);
        }
        Err(fault) => report.faults.push(fault),
    }
}

fn open(manifest: &[u8], signature: &[u8], roots: &[X509]) -> Result<(Signature, Vec<Fault>), Fault> {
    let broken = |error: ErrorStack| Fault::refused("signature", format!("the signature does not verify: {error}"));
    let data = der::read_signed_data(signature)
        .ok_or_else(|| Fault::refused("signature", "the signature is no CMS in DER"))?;
    let certificates: Vec<X509> =
        data.certificates.iter().take(10).filter_map(|der| X509::from_der(der).ok()).collect();
    let signed_at = data.signing_time.and_then(read_time);
    let mut cms = CmsContentInfo::from_der(signature).map_err(broken)?;
    let mut faults = Vec::new();
    if roots.is_empty() {
        let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
        cms.verify(None, None, Some(manifest), None, flags).map_err(broken)?;
    } else if let Err(chain) =
        trust(roots).and_then(|store| cms.verify(None, Some(&store), Some(manifest), None, CMSOptions::BINARY))
    {
        // Whether the bytes or the chain are at fault: once more without the chain.
        let mut cms = CmsContentInfo::from_der(signature).map_err(broken)?;
        let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
        cms.verify(None, None, Some(manifest), None, flags).map_err(broken)?;
        faults.push(Fault::refused("chain", format!("the signer does not chain to the given certificates: {chain}")));
    }
    // The certificate that the signature was made with, and no other that came along.
    let [signer_id] = data.signers.as_slice() else {
        return Err(Fault::refused("signature", format!("{} signers; a pass has one", data.signers.len())));
    };
    let signer = certificates.iter().find(|certificate| is_named(certificate, *signer_id)).cloned();
    let signer =
        signer.ok_or_else(|| Fault::refused("signer-missing", "the signer's certificate is not in the signature"))?;
    let chained = certificates.iter().any(|other| {
        other.issued(&signer) == X509VerifyResult::OK
            && other.public_key().is_ok_and(|key| signer.verify(&key).unwrap_or(false))
    });
    if !chained {
        let issuer = readable(signer.issuer_name());
        faults.push(Fault::refused(
            "intermediate",
            format!("the certificate that issued the signer's is not in the signature: {issuer}"),
        ));
    }
    Ok((Signature { signer, certificates, signed_at }, faults))
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
    /// Whether the certificate's name says that its passes may speak NFC.
    pub fn allows_nfc(&self) -> bool {
        allows_nfc(&self.signer)
    }

    /// The pass type and the team that the certificate is for.
    pub fn identity(&self) -> (String, String) {
        let entry = |nid| name_entry(self.signer.subject_name(), nid).unwrap_or_default();
        (entry(Nid::USERID), entry(Nid::ORGANIZATIONALUNITNAME))
    }

    pub(super) fn check_identity(&self, pass: &Map<String, Value>) -> Vec<Fault> {
        let (pass_type, team) = self.identity();
        let named = [("passTypeIdentifier", pass_type), ("teamIdentifier", team)];
        let wrong = named
            .into_iter()
            .filter(|(key, certified)| pass.get(*key).and_then(Value::as_str) != Some(certified.as_str()));
        wrong
            .map(|(key, certified)| {
                Fault::refused("signer-identity", format!("{key} is not the certificate's ({certified})"))
            })
            .collect()
    }

    fn check_times(&self, now: DateTime<Utc>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let (Ok(start), Ok(end)) = (moment(self.signer.not_before()), moment(self.signer.not_after())) else {
            return faults;
        };
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
        let intermediate = self.certificates.iter().find(|other| other.issued(&self.signer) == X509VerifyResult::OK);
        if let Some(end) =
            intermediate.and_then(|certificate| moment(certificate.not_after()).ok()).filter(|end| now >= *end)
        {
            faults.push(Fault::refused("intermediate-expired", format!("the issuer's certificate ended at {end}")));
        }
        faults
    }
}
