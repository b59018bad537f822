//! What all passes of a template version share: images and strings, hashed and compressed once.

use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::wallet::apple::archive::Archive;
use crate::wallet::apple::strings::pass_strings;
use crate::wallet::design::Design;
use crate::wallet::design::images::is_for_google_only;

#[derive(Debug)]
pub struct Assets {
    pub(super) archive: Archive,
    /// The archive's entries, shared by every response.
    pub(super) head: Bytes,
    /// `"icon.png":"<sha1>",…`: the manifest's lines, without braces.
    pub(super) manifest: String,
    digest: [u8; 32],
}

impl Assets {
    pub fn new(design: &Design) -> Self {
        let mut archive = Archive::default();
        let mut lines = Vec::new();
        for (path, content) in design.images.iter().filter(|(path, _)| !is_for_google_only(path)) {
            // A folder of a language is `en` in a design and `en.lproj` in a bundle.
            let name = path.replace('/', ".lproj/");
            // A PNG is deflated already: a second time saves a hundredth, and is half of the work of reading the bundle.
            archive.store(&name, content);
            lines.push(manifest_line(&name, content));
        }
        for locale in &design.locales {
            let name = format!("{locale}.lproj/pass.strings");
            let content = pass_strings(&design.texts, *locale);
            archive.deflate(&name, &content);
            lines.push(manifest_line(&name, &content));
        }
        let head = Bytes::copy_from_slice(archive.body());
        let manifest = lines.join(",");
        Self { archive, head, digest: Sha256::digest(&manifest).into(), manifest }
    }

    /// Changes with any image and any text.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// One line of the manifest. SHA-1 is Apple's format, not our choice; the signature over the manifest protects it.
/// Names come from the lists in `design` and need no escaping.
pub(super) fn manifest_line(name: &str, content: &[u8]) -> String {
    format!("\"{name}\":\"{}\"", hex::encode(Sha1::digest(content)))
}
