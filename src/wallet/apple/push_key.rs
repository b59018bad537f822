//! A key for Apple's push service (`apns.p8` with `apns.toml`), and the provider tokens made with it.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde::Deserialize;
use serde_json::json;

use crate::domain::secret::Secret;

/// Signs provider tokens for a team.
#[derive(Clone)]
pub struct PushKey {
    names: Names,
    key: SigningKey,
}

/// `apns.toml`: what Apple's portal shows beside the key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    /// The key's ten characters.
    key_id: String,
    team_id: String,
}

/// Why a push key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPushKey {
    #[error("apns.toml: {0}")]
    Names(String),
    #[error("{}: holds no P-256 key in PKCS#8, as Apple's .p8 files do", path.display())]
    Key { path: PathBuf },
}

impl fmt::Debug for PushKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushKey").field("names", &self.names).finish_non_exhaustive()
    }
}

impl PushKey {
    /// `pem` is the content of `apns.p8`, which `path` names; `toml` that of `apns.toml`.
    pub fn read(path: &Path, pem: &[u8], toml: &str) -> Result<Self, BadPushKey> {
        let names: Names = toml::from_str(toml).map_err(|error| BadPushKey::Names(error.message().to_owned()))?;
        for (name, value) in [("key_id", &names.key_id), ("team_id", &names.team_id)] {
            if value.len() != 10 || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(BadPushKey::Names(format!("{name} must be Apple's ten letters and digits")));
            }
        }
        let key = std::str::from_utf8(pem).ok().and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok());
        Ok(Self { names, key: key.ok_or_else(|| BadPushKey::Key { path: path.to_owned() })? })
    }

    pub fn key_id(&self) -> &str {
        &self.names.key_id
    }

    pub fn team(&self) -> &str {
        &self.names.team_id
    }

    /// The token of this time: ES256, and always the same (RFC 6979), so that all processes have one between them.
    pub fn provider_token(&self, issued_at: DateTime<Utc>) -> Secret<String> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": "ES256", "kid": self.names.key_id }));
        let claims = part(json!({ "iss": self.names.team_id, "iat": issued_at.timestamp() }));
        let signed = format!("{head}.{claims}");
        let signature: Signature = self.key.sign(signed.as_bytes());
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::ecdsa::EcdsaSig;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use sha2::{Digest as _, Sha256};

    use super::*;

    const NAMES: &str = "key_id = \"ABC123DEFG\"\nteam_id = \"TEAM123456\"\n";

    #[test]
    fn a_provider_token_is_one_that_openssl_takes() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let pem = PKey::from_ec_key(key.clone()).unwrap().private_key_to_pem_pkcs8().unwrap();
        let ours = PushKey::read(Path::new("apns.p8"), &pem, NAMES).unwrap();
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = ours.provider_token(at);
        assert_eq!(token.reveal(), ours.provider_token(at).reveal(), "the same for every process");
        let (signed, signature) = token.reveal().rsplit_once('.').unwrap();
        let parts: Vec<serde_json::Value> = signed
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(
            parts,
            [json!({ "alg": "ES256", "kid": "ABC123DEFG" }), json!({ "iss": "TEAM123456", "iat": 1_800_000_000 })]
        );
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let number = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
        let signature = EcdsaSig::from_private_components(number(&bytes[..32]), number(&bytes[32..])).unwrap();
        assert!(signature.verify(&Sha256::digest(signed), &key).unwrap());
    }

    #[test]
    fn what_is_no_push_key_is_refused_by_name() {
        let read = |pem: &[u8], names: &str| PushKey::read(Path::new("apns.p8"), pem, names).unwrap_err().to_string();
        assert!(read(b"x", NAMES).starts_with("apns.p8: holds no P-256 key"));
        assert!(read(b"x", "key_id = \"short\"\nteam_id = \"TEAM123456\"").contains("key_id must be"));
        assert!(read(b"x", "key = 1").starts_with("apns.toml: "));
    }
}
