//! A `.pkpass`: published content, shared assets and one signature.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;

use crate::wallet::apple::archive::Archive;
use crate::wallet::apple::assets::{Assets, manifest_line};
use crate::wallet::apple::signer::Signer;

/// A bundle in two pieces: the first is shared by all passes of the template version and never copied.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub assets: Arc<Assets>,
    /// `pass.json`, manifest, signature and the zip's directory: a few kilobytes, what a cache holds.
    pub own: Bytes,
}

impl Bundle {
    /// `pass_json` is the whole content, its token included; `form` the sign-up form of a pass whose holder has not answered
    /// it yet; `now` the signing time.
    pub fn sign(
        assets: &Arc<Assets>,
        pass_json: &[u8],
        form: Option<&[u8]>,
        signer: &Signer,
        now: DateTime<Utc>,
    ) -> Result<Self, ErrorStack> {
        let mut manifest = format!("{{{},{}", assets.manifest, manifest_line("pass.json", pass_json));
        if let Some(form) = form {
            manifest.push(',');
            manifest.push_str(&manifest_line("personalization.json", form));
        }
        manifest.push('}');
        let manifest = manifest.into_bytes();
        let signature = signer.sign(&manifest, now)?;
        let capacity = pass_json.len() + form.map_or(0, <[u8]>::len) + manifest.len() + signature.len() + 640;
        let mut archive = Archive::continue_after(&assets.archive, capacity);
        // Stored: compressing a few kilobytes costs more than it saves next to a signature.
        archive.store("pass.json", pass_json);
        if let Some(form) = form {
            archive.store("personalization.json", form);
        }
        archive.store("manifest.json", &manifest);
        archive.store("signature", &signature);
        Ok(Self { assets: Arc::clone(assets), own: archive.finish().into() })
    }

    /// Bytes of the whole file.
    #[expect(clippy::len_without_is_empty, reason = "a bundle is never empty")]
    pub fn len(&self) -> usize {
        self.assets.head.len() + self.own.len()
    }

    /// The file's pieces, in order.
    pub fn pieces(&self) -> [Bytes; 2] {
        [self.assets.head.clone(), self.own.clone()]
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().concat()
    }
}
