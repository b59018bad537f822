//! A service account: who we are to Google. Its key signs save links and asks for access tokens.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::domain::secret::Secret;

/// The JSON file that Google's console makes, read once.
#[derive(Clone)]
pub struct Account {
    email: String,
    key_id: Option<String>,
    key: PKey<Private>,
    /// The file, for whoever asks for tokens.
    file: Secret<Vec<u8>>,
}

#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
}

/// Why a service account cannot be used. Nothing of the file is repeated.
#[derive(Debug, thiserror::Error)]
pub enum BadAccount {
    #[error("is no service account's JSON key: it wants client_email, private_key and token_uri")]
    Shape,
    #[error("holds no RSA key in PEM")]
    Key,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("email", &self.email).finish_non_exhaustive()
    }
}

impl Account {
    pub fn read(file: &[u8]) -> Result<Self, BadAccount> {
        let parsed: File = serde_json::from_slice(file).map_err(|_| BadAccount::Shape)?;
        let key = PKey::private_key_from_pem_passphrase(parsed.private_key.as_bytes(), b"");
        let key = key.ok().filter(|key| key.rsa().is_ok()).ok_or(BadAccount::Key)?;
        let (email, key_id) = (parsed.client_email, parsed.private_key_id);
        Ok(Self { email, key_id, key, file: Secret::new(file.to_vec()) })
    }

    pub fn email(&self) -> &str {
        &self.email
    }

    pub const fn file(&self) -> &Secret<Vec<u8>> {
        &self.file
    }

    /// A signed token (RS256) with these claims.
    pub fn sign(&self, claims: &Json) -> Result<String, ErrorStack> {
        let mut head = json!({ "alg": "RS256", "typ": "JWT" });
        if let (Some(head), Some(key_id)) = (head.as_object_mut(), &self.key_id) {
            head.insert("kid".to_owned(), key_id.clone().into());
        }
        let part = |value: &Json| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(claims));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
        signer.update(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.sign_to_vec()?)))
    }
}
