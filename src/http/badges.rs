//! Apple's and Google's official buttons, which each issuer may use and we may not give away: the operator puts them into a folder
//! (`pages.badges_dir`), which is read at the start.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Data, Path as Segment};
use bytes::Bytes;

use crate::domain::locale::Locale;
use crate::service::Problem;

/// Bytes of a button at most.
const BADGE_MAX: u64 = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BadBadge {
    #[error("{}: {source}", path.display())]
    Unreadable { path: std::path::PathBuf, source: std::io::Error },
    #[error("{}: larger than {} KiB", path.display(), BADGE_MAX / 1024)]
    TooLarge { path: std::path::PathBuf },
}

/// The buttons by file name.
#[derive(Debug, Default)]
pub struct Badges(BTreeMap<String, (&'static str, Bytes)>);

impl Badges {
    /// Reads `apple.svg`, `google-pt-BR.png` … from the folder; other files are not ours.
    pub fn read(folder: &Path) -> Result<Self, BadBadge> {
        let mut found = BTreeMap::new();
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| BadBadge::Unreadable { path, source }
        };
        std::fs::read_dir(folder).map_err(unreadable(folder))?;
        let languages = Locale::ALL.iter().map(|locale| format!("-{}", locale.as_str())).chain([String::new()]);
        let stems = languages.flat_map(|language| ["apple", "google"].map(|wallet| format!("{wallet}{language}")));
        for stem in stems {
            for (extension, content_type) in [("svg", "image/svg+xml"), ("png", "image/png")] {
                let name = format!("{stem}.{extension}");
                let path = folder.join(&name);
                match std::fs::metadata(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(unreadable(&path)(error)),
                    Ok(file) if file.len() > BADGE_MAX => return Err(BadBadge::TooLarge { path }),
                    Ok(_) => {
                        let content = std::fs::read(&path).map_err(unreadable(&path))?;
                        found.insert(name, (content_type, content.into()));
                    }
                }
            }
        }
        Ok(Self(found))
    }

    /// Where the button "Add to Apple Wallet" is, in the language or in the one for all.
    pub fn apple(&self, locale: Locale) -> Option<String> {
        self.find("apple", locale)
    }

    /// The same for "Add to Google Wallet".
    pub fn google(&self, locale: Locale) -> Option<String> {
        self.find("google", locale)
    }

    fn find(&self, wallet: &str, locale: Locale) -> Option<String> {
        let names = [format!("{wallet}-{}", locale.as_str()), wallet.to_owned()];
        let files = names.iter().flat_map(|name| ["svg", "png"].map(|extension| format!("{name}.{extension}")));
        files.into_iter().find(|file| self.0.contains_key(file)).map(|file| format!("/badges/{file}"))
    }
}

/// `GET /badges/{file}`.
pub async fn badge(badges: Option<Data<Badges>>, file: Segment<String>) -> Result<HttpResponse, Problem> {
    let found = badges.as_ref().and_then(|badges| badges.0.get(file.as_str()));
    let (content_type, content) = found.ok_or(Problem::NotFound { what: "image" })?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        // An SVG may carry scripts, and whoever opens it alone must not run them.
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type(*content_type)
        .body(content.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_in_the_language_or_in_the_one_for_all() {
        let folder = tempfile::TempDir::new().unwrap();
        for name in ["apple-pt-BR.png", "apple.svg", "google-en.svg", "readme.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let badges = Badges::read(folder.path()).unwrap();
        assert_eq!(badges.0.len(), 3);
        assert_eq!(badges.google(Locale::En).as_deref(), Some("/badges/google-en.svg"));
        assert_eq!(badges.google(Locale::Es), None);
        assert_eq!(badges.apple(Locale::PtBr).as_deref(), Some("/badges/apple-pt-BR.png"));
        assert_eq!(badges.apple(Locale::Es).as_deref(), Some("/badges/apple.svg"));
        assert_eq!(Badges::default().apple(Locale::Es), None);
        assert!(Badges::read(&folder.path().join("no such folder")).is_err());
    }
}
