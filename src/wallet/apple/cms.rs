//! The detached CMS signature of a manifest (RFC 5652), written around one raw signature.
//!
//! What Apple's own builder emits: `SignedData`, version 1, no content inside, leaf and WWDR certificate, one signer by
//! issuer and serial, SHA-256, signed attributes content type, signing time, message digest.

use chrono::{DateTime, Utc};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
/// `[0]`, constructed.
const CONTEXT_0: u8 = 0xa0;

const OID_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const OID_SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const OID_CONTENT_TYPE: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const OID_MESSAGE_DIGEST: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const OID_SIGNING_TIME: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
const SHA256: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const ECDSA_WITH_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

/// The kind of the signer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa,
    P256,
}

/// Everything of the signature that one signer repeats.
#[derive(Debug, Clone)]
pub struct SignerParts {
    key: KeyKind,
    /// `certificates`, tag and all.
    certificates: Vec<u8>,
    /// `issuerAndSerialNumber`.
    signer_id: Vec<u8>,
}

impl SignerParts {
    /// `leaf` and `intermediate` are whole certificates, `issuer` is the leaf's issuer name, all in DER; `serial` is the
    /// leaf's serial number, big-endian.
    pub fn new(key: KeyKind, leaf: &[u8], intermediate: &[u8], issuer: &[u8], serial: &[u8]) -> Self {
        // DER sorts the members of a SET.
        let mut certificates = [leaf, intermediate];
        certificates.sort_unstable();
        Self {
            key,
            certificates: der(CONTEXT_0, &certificates),
            signer_id: der(SEQUENCE, &[issuer, &unsigned_integer(serial)]),
        }
    }

    /// The whole `ContentInfo`. `raw_signature` is over [`signed_attributes`].
    pub fn signed_data(&self, attributes: &[u8], raw_signature: &[u8]) -> Vec<u8> {
        // Inside SignerInfo the attributes carry the implicit tag [0] in place of the SET that was signed.
        let implicit = [&[CONTEXT_0], attributes.get(1..).unwrap_or_default()].concat();
        let algorithm = match self.key {
            KeyKind::Rsa => RSA_ENCRYPTION,
            KeyKind::P256 => ECDSA_WITH_SHA256,
        };
        let version = [INTEGER, 1, 1];
        let signature = der(OCTET_STRING, &[raw_signature]);
        let signer_info = der(SEQUENCE, &[&version, &self.signer_id, SHA256, &implicit, algorithm, &signature]);
        let signed_data = der(
            SEQUENCE,
            &[
                &version,
                &der(SET, &[SHA256]),
                &der(SEQUENCE, &[OID_DATA]),
                &self.certificates,
                &der(SET, &[&signer_info]),
            ],
        );
        der(SEQUENCE, &[OID_SIGNED_DATA, &der(CONTEXT_0, &[&signed_data])])
    }
}

/// The bytes that are signed: a SET of three attributes, in DER's order (by their encodings, so by length here).
pub fn signed_attributes(digest: &[u8; 32], now: DateTime<Utc>) -> Vec<u8> {
    let attribute = |oid: &[u8], value: &[u8]| der(SEQUENCE, &[oid, &der(SET, &[value])]);
    // UTCTime has two digits for the year and is right until 2049 (RFC 5652, 11.3).
    let time = now.format("%y%m%d%H%M%SZ").to_string();
    der(
        SET,
        &[
            &attribute(OID_CONTENT_TYPE, OID_DATA),
            &attribute(OID_SIGNING_TIME, &der(UTC_TIME, &[time.as_bytes()])),
            &attribute(OID_MESSAGE_DIGEST, &der(OCTET_STRING, &[digest])),
        ],
    )
}

/// One element: tag, length, the parts one after the other.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut element = Vec::with_capacity(length + 6);
    element.push(tag);
    let bytes = length.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let significant = bytes.get(first..).unwrap_or_default();
    if length >= 0x80 {
        element.push(0x80 | significant.len() as u8);
    }
    element.extend_from_slice(significant);
    for part in parts {
        element.extend_from_slice(part);
    }
    element
}

/// A positive INTEGER: a leading zero byte keeps the high bit from meaning "negative".
fn unsigned_integer(big_endian: &[u8]) -> Vec<u8> {
    let first = big_endian.iter().position(|byte| *byte != 0).unwrap_or(big_endian.len());
    let digits = big_endian.get(first..).unwrap_or_default();
    match digits.first() {
        Some(high) if *high < 0x80 => der(INTEGER, &[digits]),
        _ => der(INTEGER, &[&[0], digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_integers_are_der() {
        assert_eq!(der(SEQUENCE, &[]), [0x30, 0]);
        assert_eq!(der(SEQUENCE, &[&[1; 127]])[..2], [0x30, 127]);
        assert_eq!(der(SEQUENCE, &[&[1; 128]])[..3], [0x30, 0x81, 128]);
        assert_eq!(der(SEQUENCE, &[&[1; 256]])[..4], [0x30, 0x82, 1, 0]);
        assert_eq!(unsigned_integer(&[]), [2, 1, 0]);
        assert_eq!(unsigned_integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned_integer(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn attributes_are_sorted_by_their_encoding() {
        let attributes = signed_attributes(&[9; 32], DateTime::UNIX_EPOCH);
        let starts: Vec<u8> = [3usize, 3 + 26, 3 + 26 + 30].iter().map(|at| attributes[*at]).collect();
        assert_eq!(attributes[0], SET);
        assert_eq!(starts, [0x18, 0x1c, 0x2f]);
    }
}
