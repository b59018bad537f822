//! What tills check without a network: coupons' codes, and the snapshot that says which are good. Signed with Ed25519, whose
//! public half a till has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::{Signer, Verifier};
use serde_json::{Value, json};

use crate::domain::code::{OfflineCode, SIGNATURE_LEN};
use crate::domain::ids::BrandId;
use crate::wallet::keys::{BadCode, CodeKeys, MasterKey};

/// A brand's key with its id.
pub struct OfflineKey {
    id: u8,
    pair: PKey<Private>,
}

impl OfflineKey {
    pub fn new(master: &MasterKey, brand: BrandId, id: u8) -> Result<Self, ErrorStack> {
        let pair = PKey::private_key_from_raw_bytes(master.offline_seed(brand, id).reveal(), Id::ED25519)?;
        Ok(Self { id, pair })
    }

    /// The public half as RFC 8037 writes it.
    pub fn jwk(&self) -> Result<Value, ErrorStack> {
        let x = URL_SAFE_NO_PAD.encode(self.pair.raw_public_key()?);
        Ok(json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id.to_string(), "x": x }))
    }

    fn sign(&self, bytes: &[u8]) -> Result<[u8; SIGNATURE_LEN], ErrorStack> {
        let mut signature = [0; SIGNATURE_LEN];
        Signer::new_without_digest(&self.pair)?.sign_oneshot(&mut signature, bytes)?;
        Ok(signature)
    }

    /// The text of a coupon's barcode.
    pub fn code(&self, code: OfflineCode) -> Result<String, ErrorStack> {
        let code = OfflineCode { key_id: self.id, ..code };
        Ok(code.write(&self.sign(&code.signed())?))
    }

    /// JSON as a signed text: a JWS in its compact form (RFC 7515), with `EdDSA`.
    pub fn jws(&self, kind: &str, payload: &Value) -> Result<String, ErrorStack> {
        let header = json!({ "alg": "EdDSA", "kid": self.id.to_string(), "typ": kind });
        let [header, payload] = [header, payload.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = self.sign(format!("{header}.{payload}").as_bytes())?;
        Ok(format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What a code of this brand's says. Why it is none is for the log, not for whoever shows it.
pub fn read_code(master: &MasterKey, brand: BrandId, keys: CodeKeys, text: &str) -> Result<OfflineCode, BadCode> {
    let (code, signature) = OfflineCode::read(text).ok_or(BadCode::Mistyped)?;
    let is_ours = OfflineKey::new(master, brand, code.key_id)
        .and_then(|key| Verifier::new_without_digest(&key.pair)?.verify_oneshot(&signature, &code.signed()))
        .unwrap_or(false);
    if !is_ours {
        return Err(BadCode::Forged);
    }
    if code.key_id < keys.oldest {
        return Err(BadCode::RetiredKey);
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use openssl::pkey::Public;
    use uuid::Uuid;

    use super::*;

    const KEYS: CodeKeys = CodeKeys { newest: 2, oldest: 2 };

    fn code() -> OfflineCode {
        OfflineCode { key_id: 0, code_id: [1; 12], offer: [2; 16], starts_at: 1, expires_at: 2 }
    }

    #[test]
    fn a_till_checks_a_code_with_the_public_key_alone() {
        let master = MasterKey::from_file_content(&[7; 32]).unwrap();
        let brand = BrandId::new(Uuid::from_u128(1));
        let key = OfflineKey::new(&master, brand, 2).unwrap();
        let text = key.code(code()).unwrap();
        let jwk = key.jwk().unwrap();
        let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        let public: PKey<Public> = PKey::public_key_from_raw_bytes(&x, Id::ED25519).unwrap();
        let (read, signature) = OfflineCode::read(&text).unwrap();
        assert!(Verifier::new_without_digest(&public).unwrap().verify_oneshot(&signature, &read.signed()).unwrap());
        assert_eq!(read_code(&master, brand, KEYS, &text), Ok(OfflineCode { key_id: 2, ..code() }));
    }

    #[test]
    fn forged_retired_and_mistyped_codes_are_told_apart() {
        let master = MasterKey::from_file_content(&[7; 32]).unwrap();
        let (brand, brand2) = (BrandId::new(Uuid::from_u128(1)), BrandId::new(Uuid::from_u128(2)));
        let written = |brand, id| OfflineKey::new(&master, brand, id).unwrap().code(code()).unwrap();
        assert_eq!(read_code(&master, brand2, KEYS, &written(brand, 2)), Err(BadCode::Forged));
        assert_eq!(read_code(&master, brand, KEYS, &written(brand, 1)), Err(BadCode::RetiredKey));
        let text = written(brand, 2);
        assert_eq!(read_code(&master, brand, KEYS, text.get(1..).unwrap()), Err(BadCode::Mistyped));
        // Somebody makes it end later.
        let (read, signature) = OfflineCode::read(&text).unwrap();
        let longer = OfflineCode { expires_at: 0, ..read }.write(&signature);
        assert_eq!(read_code(&master, brand, KEYS, &longer), Err(BadCode::Forged));
    }
}
