//! A certificate authority for development that plays Apple's: root, WWDR intermediate, Pass Type ID certificates with
//! the same subjects and extensions. No phone trusts it; everything else about its passes is real.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509NameBuilder};

/// The team that development certificates belong to.
pub const DEV_TEAM: &str = "PASSARELA0";

/// A year and a month, as long as Apple's own.
const LEAF_DAYS: i64 = 395;
const CA_DAYS: i64 = 3_650;

#[derive(Debug, thiserror::Error)]
pub enum DevCaError {
    #[error("cannot write the development certificates: {0}")]
    Io(#[from] io::Error),
    #[error("OpenSSL refused: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// Makes what is missing under `folder`: `wwdr/dev-root.pem`, `wwdr/dev-wwdr.pem`, both in `dev-ca.pem`, and `<pass_type>/{pass,key}.pem`.
/// `serials` are two fresh random numbers for the certificates.
pub fn ensure(folder: &Path, pass_type: &str, serials: [u64; 2], now: DateTime<Utc>) -> Result<(), DevCaError> {
    make(folder, pass_type, "Pass Type ID", serials, now)
}

/// The same with a certificate that allows NFC.
pub fn ensure_with_nfc(
    folder: &Path,
    pass_type: &str,
    serials: [u64; 2],
    now: DateTime<Utc>,
) -> Result<(), DevCaError> {
    make(folder, pass_type, "Pass Type ID with NFC", serials, now)
}

fn make(folder: &Path, pass_type: &str, kind: &str, serials: [u64; 2], now: DateTime<Utc>) -> Result<(), DevCaError> {
    let (wwdr, leaf) = (folder.join("wwdr"), folder.join(pass_type));
    if leaf.join("pass.pem").exists() || leaf.join("pass.p12").exists() {
        return Ok(());
    }
    fs::create_dir_all(&wwdr)?;
    fs::create_dir_all(&leaf)?;
    let authority = Authority::ensure(&wwdr, serials[0], now)?;
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let certificate = authority.issue_leaf(pass_type, kind, &key, serials[1], now)?;
    write_private(&leaf.join("key.pem"), &key.private_key_to_pem_pkcs8()?)?;
    fs::write(leaf.join("pass.pem"), certificate.to_pem()?)?;
    Ok(())
}

/// The intermediate that issues leaves, kept beside its key so that a second pass type gets the same issuer.
struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    fn ensure(wwdr: &Path, serial: u64, now: DateTime<Utc>) -> Result<Self, DevCaError> {
        let (certificate_file, key_file) = (wwdr.join("dev-wwdr.pem"), wwdr.join("dev-wwdr.key"));
        if certificate_file.exists() && key_file.exists() {
            let certificate = X509::from_pem(&fs::read(certificate_file)?)?;
            let key = PKey::private_key_from_pem_passphrase(&fs::read(key_file)?, b"")?;
            return Ok(Self { certificate, key });
        }
        let root_key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let root_name = name(&[(Nid::COMMONNAME, "Passarela Development Root CA"), (Nid::COUNTRYNAME, "BR")])?;
        let mut root = builder(&root_name, &root_name, &root_key, serial, CA_DAYS, now)?;
        root.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        root.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        root.sign(&root_key, MessageDigest::sha256())?;
        let root_pem = root.build().to_pem()?;
        fs::write(wwdr.join("dev-root.pem"), &root_pem)?;

        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let subject = name(&[
            (Nid::COMMONNAME, "Passarela Development Worldwide Developer Relations CA"),
            (Nid::ORGANIZATIONALUNITNAME, "G4"),
            (Nid::COUNTRYNAME, "BR"),
        ])?;
        let mut intermediate = builder(&subject, &root_name, &key, serial ^ 1, CA_DAYS, now)?;
        intermediate.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        intermediate.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        intermediate.append_extension(marker("1.2.840.113635.100.6.2.1", &[0x05, 0x00])?)?;
        intermediate.sign(&root_key, MessageDigest::sha256())?;
        let certificate = intermediate.build();
        write_private(&key_file, &key.private_key_to_pem_pkcs8()?)?;
        fs::write(certificate_file, certificate.to_pem()?)?;
        // Both in one file: what `openssl cms -verify -CAfile` wants.
        fs::write(wwdr.with_file_name("dev-ca.pem"), [certificate.to_pem()?, root_pem].concat())?;
        Ok(Self { certificate, key })
    }

    fn issue_leaf(
        &self,
        pass_type: &str,
        kind: &str,
        key: &PKey<Private>,
        serial: u64,
        now: DateTime<Utc>,
    ) -> Result<X509, ErrorStack> {
        let subject = name(&[
            (Nid::USERID, pass_type),
            (Nid::COMMONNAME, &format!("{kind}: {pass_type}")),
            (Nid::ORGANIZATIONALUNITNAME, DEV_TEAM),
            (Nid::ORGANIZATIONNAME, "Passarela Development"),
            (Nid::COUNTRYNAME, "BR"),
        ])?;
        let mut leaf = builder(&subject, self.certificate.subject_name(), key, serial, LEAF_DAYS, now)?;
        leaf.append_extension(BasicConstraints::new().critical().build()?)?;
        leaf.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        let key_id = SubjectKeyIdentifier::new().build(&leaf.x509v3_context(None, None))?;
        leaf.append_extension(key_id)?;
        leaf.append_extension(ExtendedKeyUsage::new().client_auth().other("1.2.840.113635.100.4.14").build()?)?;
        let text = u8::try_from(pass_type.len()).unwrap_or(u8::MAX);
        leaf.append_extension(marker("1.2.840.113635.100.6.1.16", &[&[0x0c, text], pass_type.as_bytes()].concat())?)?;
        leaf.append_extension(marker("1.2.840.113635.100.6.3.2", &[0x05, 0x00])?)?;
        leaf.sign(&self.key, MessageDigest::sha256())?;
        Ok(leaf.build())
    }
}

fn builder(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    serial: u64,
    days: i64,
    now: DateTime<Utc>,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    // An hour back, for clocks that are a little behind.
    let begin = Asn1Time::from_unix(now.timestamp() - 3_600)?;
    let end = Asn1Time::from_unix(now.timestamp() + days * 86_400)?;
    builder.set_not_before(&begin)?;
    builder.set_not_after(&end)?;
    let serial = Asn1Integer::from_bn(BigNum::from_slice(&(serial >> 1).to_be_bytes())?.as_ref())?;
    builder.set_serial_number(&serial)?;
    Ok(builder)
}

fn name(entries: &[(Nid, &str)]) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    for (nid, text) in entries {
        name.append_entry_by_nid(*nid, text)?;
    }
    Ok(name.build())
}

/// One of Apple's marker extensions, not critical.
fn marker(oid: &str, value: &[u8]) -> Result<X509Extension, ErrorStack> {
    let oid = Asn1Object::from_str(oid)?;
    X509Extension::new_from_der(&oid, false, Asn1OctetString::new_from_bytes(value)?.as_ref())
}

/// Writes a file that only its owner can read, from its first moment.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)
}
