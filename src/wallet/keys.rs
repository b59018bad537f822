//! What is derived from the master key: tokens, look-up digests, code MACs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::domain::code::{CODE_ID_LEN, CodeKind, code, read_code};
use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::secret::Secret;

/// The version of the token key that new passes name.
pub const TOKEN_KEY_VERSION: i64 = 1;

/// Bytes of a customer token's MAC.
const CUSTOMER_MAC_LEN: usize = 16;

/// The keys of a brand's codes that are in use: new ones are made with the newest, and taken from the oldest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeKeys {
    pub newest: u8,
    pub oldest: u8,
}

/// Thirty-two bytes from which every other key of the installation is derived. Whoever has it can forge pass tokens
/// and codes; whoever loses it can update no pass that was issued with it.
#[derive(Clone, Debug)]
pub struct MasterKey(Secret<[u8; 32]>);

#[derive(Debug, thiserror::Error)]
#[error("the master key file must hold exactly 32 bytes, or 64 hexadecimal digits")]
pub struct BadMasterKey;

/// Why a text is no code of the brand's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    #[error("is no code at all, or was misread")]
    Mistyped,
    #[error("was made with a key that is not in use any more")]
    RetiredKey,
    #[error("was not made by us for this brand")]
    Forged,
}

impl MasterKey {
    pub fn from_file_content(content: &[u8]) -> Result<Self, BadMasterKey> {
        if let Ok(raw) = <[u8; 32]>::try_from(content) {
            return Ok(Self(Secret::new(raw)));
        }
        let mut raw = [0u8; 32];
        hex::decode_to_slice(content.trim_ascii(), &mut raw).map_err(|_| BadMasterKey)?;
        Ok(Self(Secret::new(raw)))
    }

    /// What the database keeps, so that a start with another key is refused. Tells nothing of the key.
    pub fn check_value(&self) -> [u8; 32] {
        self.digest("master-key-check", &[])
    }

    /// Apple's `authenticationToken` of a pass: the same for its whole life, kept nowhere. 43 characters.
    pub fn apple_token(&self, version: i64, brand: BrandId, pass_type: &str, serial: &str) -> String {
        let (version, brand) = (version.to_be_bytes(), brand.uuid());
        let parts = [&version[..], brand.as_bytes(), pass_type.as_bytes(), serial.as_bytes()];
        URL_SAFE_NO_PAD.encode(self.digest("apple-token", &parts))
    }

    /// What a customer's identifier is looked up by; the value itself is in one table only.
    pub fn identifier_lookup(&self, brand: BrandId, kind: &str, normalised: &str) -> Vec<u8> {
        self.digest("identifier", &[brand.uuid().as_bytes(), kind.as_bytes(), normalised.as_bytes()]).to_vec()
    }

    /// The text in the barcode of something of the brand's, by the key with this id.
    pub fn code(&self, brand: BrandId, key_id: u8, kind: CodeKind, code_id: [u8; CODE_ID_LEN]) -> String {
        code(kind, key_id, code_id, |signed| self.digest("code", &[brand.uuid().as_bytes(), signed]))
    }

    /// From what the brand's key of this id for codes that tills check alone is made (Ed25519).
    pub fn offline_seed(&self, brand: BrandId, key_id: u8) -> Secret<[u8; 32]> {
        Secret::new(self.digest("offline-code", &[brand.uuid().as_bytes(), &[key_id]]))
    }

    /// What a code of this brand's stands for. Why it is none is for the log, not for whoever shows it.
    pub fn read_code(
        &self,
        brand: BrandId,
        keys: CodeKeys,
        text: &str,
    ) -> Result<(CodeKind, [u8; CODE_ID_LEN]), BadCode> {
        let code = read_code(text).ok_or(BadCode::Mistyped)?;
        let mac = self.digest("code", &[brand.uuid().as_bytes(), &code.signed]);
        let is_ours = mac.get(..code.mac.len()).is_some_and(|mac| bool::from(mac.ct_eq(&code.mac)));
        // One that is newer than the newest that is known here is as good: nobody else could make it.
        if !is_ours {
            return Err(BadCode::Forged);
        }
        if code.key_id < keys.oldest {
            return Err(BadCode::RetiredKey);
        }
        Ok((code.kind, code.code_id))
    }

    /// What lets a phone act for one customer until a time (Unix seconds): 48 characters.
    pub fn customer_token(&self, brand: BrandId, customer: CustomerId, until: u32) -> String {
        let (customer, until) = (customer.uuid(), until.to_be_bytes());
        let mac = self.digest("customer-token", &[brand.uuid().as_bytes(), customer.as_bytes(), &until]);
        let token = [customer.as_bytes().as_slice(), &until, mac.get(..CUSTOMER_MAC_LEN).unwrap_or(&mac)].concat();
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whom a token that [`MasterKey::customer_token`] made for this brand speaks for, and until when.
    pub fn read_customer_token(&self, brand: BrandId, token: &str) -> Option<(CustomerId, u32)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == 20 + CUSTOMER_MAC_LEN)?;
        let (customer, rest) = bytes.split_first_chunk::<16>()?;
        let (until, mac) = rest.split_first_chunk::<4>()?;
        let ours = self.digest("customer-token", &[brand.uuid().as_bytes(), customer, until]);
        let is_ours = ours.get(..CUSTOMER_MAC_LEN)?.ct_eq(mac);
        let customer = CustomerId::new(uuid::Uuid::from_bytes(*customer));
        bool::from(is_ours).then_some((customer, u32::from_be_bytes(*until)))
    }

    /// HMAC-SHA256 over the purpose and the parts, each with its length before it, so that no two lists of parts read
    /// the same.
    fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.reveal()).expect("HMAC takes a key of any length");
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_token_depends_on_everything_that_names_the_pass() {
        let key = MasterKey::from_file_content(&[7; 32]).unwrap();
        let other = MasterKey::from_file_content("08".repeat(32).as_bytes()).unwrap();
        let (brand, brand2) = (BrandId::new(Uuid::from_u128(1)), BrandId::new(Uuid::from_u128(2)));
        let tokens = [
            key.apple_token(1, brand, "pass.a", "bc"),
            key.apple_token(2, brand, "pass.a", "bc"),
            key.apple_token(1, brand2, "pass.a", "bc"),
            key.apple_token(1, brand, "pass.ab", "c"),
            other.apple_token(1, brand, "pass.a", "bc"),
        ];
        for (index, token) in tokens.iter().enumerate() {
            assert_eq!(token.len(), 43);
            assert!(!tokens[index + 1..].contains(token));
        }
        assert_eq!(tokens[0], key.apple_token(1, brand, "pass.a", "bc"));
    }

    #[test]
    fn a_customer_token_is_read_by_its_own_brand_and_says_until_when() {
        let key = MasterKey::from_file_content(&[7; 32]).unwrap();
        let (brand, brand2) = (BrandId::new(Uuid::from_u128(1)), BrandId::new(Uuid::from_u128(2)));
        let customer = CustomerId::new(Uuid::from_u128(3));
        let token = key.customer_token(brand, customer, 1_800_000_000);
        assert_eq!(token.len(), 48);
        assert_eq!(key.read_customer_token(brand, &token), Some((customer, 1_800_000_000)));
        assert_eq!(key.read_customer_token(brand2, &token), None);
        for index in 0..token.len() {
            let mut forged: Vec<char> = token.chars().collect();
            forged[index] = if forged[index] == 'A' { 'B' } else { 'A' };
            let forged: String = forged.into_iter().collect();
            assert_eq!(key.read_customer_token(brand, &forged), None, "{index}");
        }
        assert_eq!(key.read_customer_token(brand, ""), None);
    }

    #[test]
    fn a_code_is_read_by_its_own_brand_and_key_only() {
        let key = MasterKey::from_file_content(&[7; 32]).unwrap();
        let other = MasterKey::from_file_content(&[8; 32]).unwrap();
        let (brand, brand2) = (BrandId::new(Uuid::from_u128(1)), BrandId::new(Uuid::from_u128(2)));
        let (id, keys) = ([9; CODE_ID_LEN], CodeKeys { newest: 1, oldest: 1 });
        let code = key.code(brand, 1, CodeKind::Pass, id);
        assert_eq!(key.read_code(brand, keys, &code), Ok((CodeKind::Pass, id)));
        assert_eq!(key.read_code(brand2, keys, &code), Err(BadCode::Forged));
        assert_eq!(other.read_code(brand, keys, &code), Err(BadCode::Forged));
        for at in 0..code.len() {
            let other = |(i, c): (usize, char)| {
                if i != at {
                    c
                } else if c == 'Z' {
                    'Y'
                } else {
                    'Z'
                }
            };
            let forged: String = code.char_indices().map(other).collect();
            assert!(
                matches!(key.read_code(brand, keys, &forged), Err(BadCode::Forged | BadCode::Mistyped)),
                "{forged}"
            );
        }
    }

    #[test]
    fn a_retired_keys_codes_are_told_from_forged_ones() {
        let key = MasterKey::from_file_content(&[7; 32]).unwrap();
        let brand = BrandId::new(Uuid::from_u128(1));
        let read = |newest, oldest, of: u8| {
            let code = key.code(brand, of, CodeKind::Coupon, [9; CODE_ID_LEN]);
            key.read_code(brand, CodeKeys { newest, oldest }, &code).map(|(kind, _)| kind)
        };
        assert_eq!((read(2, 1, 1), read(2, 1, 2)), (Ok(CodeKind::Coupon), Ok(CodeKind::Coupon)));
        assert_eq!(read(2, 2, 1), Err(BadCode::RetiredKey));
        assert_eq!(read(2, 2, 3), Ok(CodeKind::Coupon), "begun by another process a moment ago");
        let forged = MasterKey::from_file_content(&[8; 32]).unwrap().code(brand, 1, CodeKind::Coupon, [9; CODE_ID_LEN]);
        let keys = CodeKeys { newest: 2, oldest: 2 };
        assert_eq!(key.read_code(brand, keys, &forged), Err(BadCode::Forged), "not merely of an old key");
    }

    #[test]
    fn a_master_key_is_32_bytes_or_64_digits() {
        assert!(MasterKey::from_file_content(b"short").is_err());
        assert!(MasterKey::from_file_content(&[0; 33]).is_err());
        assert!(MasterKey::from_file_content(format!("{}\n", "0a".repeat(32)).as_bytes()).is_ok());
    }
}
