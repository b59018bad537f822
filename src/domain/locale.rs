//! The languages of texts.

use crate::domain::text::text_enum;

text_enum! {
    /// A language that Passarela's own pages and the shipped designs speak.
    pub enum Locale {
        PtBr = "pt-BR",
        En = "en",
        Es = "es",
    }
}

impl Locale {
    /// The best of ours for an `Accept-Language` header, by weight and then by order; `fallback` when none fits.
    pub fn negotiate(accept_language: &str, fallback: Self) -> Self {
        let mut best: Option<(u16, Self)> = None;
        for part in accept_language.split(',').take(20) {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default().trim();
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q="))
                .map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())
                .filter(|q| (0.0..=1.0).contains(q))
                .map_or(0, |q| (q * 1_000.0) as u16);
            if weight == 0 || best.is_some_and(|(known, _)| known >= weight) {
                continue;
            }
            if let Some(locale) = Self::for_tag(tag) {
                best = Some((weight, locale));
            }
        }
        best.map_or(fallback, |(_, locale)| locale)
    }

    /// What a customer's tag says, by language alone; one that we do not speak is refused with those that we do.
    pub fn spoken<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let tag: Option<std::borrow::Cow<'de, str>> = serde::Deserialize::deserialize(deserializer)?;
        let known = |tag: &str| Self::for_tag(tag).ok_or_else(|| tag.parse::<Self>().err());
        tag.as_deref().map(known).transpose().map_err(|error| match error {
            Some(unknown) => serde::de::Error::custom(unknown),
            None => serde::de::Error::custom("is no language"),
        })
    }

    /// By language alone: `pt`, `pt-PT` and `pt-BR` are all served in Brazilian Portuguese.
    pub fn for_tag(tag: &str) -> Option<Self> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.iter().copied().find(|locale| {
            let ours = locale.as_str().split('-').next().unwrap_or_default();
            ours.eq_ignore_ascii_case(language)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_visitor_gets_the_language_they_asked_for_if_we_speak_it() {
        let cases = [
            ("pt-BR,pt;q=0.9,en;q=0.8", Locale::PtBr),
            ("pt-PT", Locale::PtBr),
            ("fr-FR,es;q=0.5,en;q=0.7", Locale::En),
            ("ES-419", Locale::Es),
            ("fr", Locale::En),
            ("", Locale::En),
            ("pt;q=0", Locale::En),
            ("pt;q=nonsense,;;,es", Locale::Es),
        ];
        for (header, locale) in cases {
            assert_eq!(Locale::negotiate(header, Locale::En), locale, "{header}");
        }
    }
}
