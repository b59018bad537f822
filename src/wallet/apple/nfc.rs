//! The merchant's public key of contactless loyalty (VAS).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::nid::Nid;

/// What comes before the compressed point in the DER of a P-256 `SubjectPublicKeyInfo` (RFC 5480).
const COMPRESSED: &[u8] = &[
    0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00,
];

/// How every key that we write begins.
pub const COMPRESSED_START: &str = "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgA";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As a pass carries it: base64 of the DER with a compressed point, on one line.
    pub text: String,
    pub was_compressed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("must be base64 of a public key in DER, without PEM's first and last line")]
    Encoding,
    #[error("must be a public key on the curve P-256")]
    Curve,
}

/// Reads a key, compressed or not. Working passes hold compressed points; whether phones take others is not known, so what
/// we write is always compressed.
pub fn read_key(text: &str) -> Result<Key, BadKey> {
    let der = STANDARD.decode(text.trim()).map_err(|_| BadKey::Encoding)?;
    let key = EcKey::public_key_from_der(&der).map_err(|_| BadKey::Encoding)?;
    if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) || key.check_key().is_err() {
        return Err(BadKey::Curve);
    }
    let point = || {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        key.public_key().to_bytes(&group, PointConversionForm::COMPRESSED, &mut *BigNumContext::new()?)
    };
    let point = point().map_err(|_| BadKey::Curve)?;
    let compressed = [COMPRESSED, &point].concat();
    Ok(Key { was_compressed: compressed == der, text: STANDARD.encode(compressed) })
}

#[cfg(test)]
mod tests {
    use openssl::pkey::PKey;

    use super::*;

    #[test]
    fn a_key_is_compressed_whichever_form_it_came_in() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let der = PKey::from_ec_key(key).unwrap().public_key_to_der().unwrap();
        assert_eq!(der.len(), 91, "uncompressed");
        let read = read_key(&STANDARD.encode(&der)).unwrap();
        assert!(!read.was_compressed);
        assert!(read.text.starts_with(COMPRESSED_START), "{}", read.text);
        let again = read_key(&read.text).unwrap();
        assert!(again.was_compressed);
        assert_eq!(again.text, read.text);
        let other = EcKey::generate(&EcGroup::from_curve_name(Nid::SECP384R1).unwrap()).unwrap();
        let other = PKey::from_ec_key(other).unwrap().public_key_to_der().unwrap();
        assert_eq!(read_key(&STANDARD.encode(other)), Err(BadKey::Curve));
        assert_eq!(read_key("-----BEGIN PUBLIC KEY-----"), Err(BadKey::Encoding));
        assert_eq!(read_key("aGVsbG8="), Err(BadKey::Encoding));
    }
}
