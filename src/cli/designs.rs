//! The shipped designs, inside the binary: the demo and the measures need no folder beside it.

use crate::wallet::design::Files;

macro_rules! design {
    ($folder:literal: $($name:literal)+) => {
        ($folder, &[$(($name, include_bytes!(concat!("../../pass-templates/", $folder, "/", $name)).as_slice())),+])
    };
}

type Design = (&'static str, &'static [(&'static str, &'static [u8])]);

/// The loyalty card first.
const SHIPPED: [Design; 3] = [
    design!("clube-aurora": "en.toml" "es.toml" "icon.png" "icon@2x.png" "icon@3x.png" "logo.png" "logo@2x.png" "logo@3x.png" "pt-BR.toml" "strip.png" "strip@2x.png" "strip@3x.png" "template.toml"),
    design!("cafe-da-tarde": "en.toml" "es.toml" "icon.png" "icon@2x.png" "icon@3x.png" "logo.png" "logo@2x.png" "logo@3x.png" "pt-BR.toml" "strip.png" "strip@2x.png" "strip@3x.png" "template.toml"),
    design!("noite-aurora": "en.toml" "es.toml" "icon.png" "icon@2x.png" "icon@3x.png" "logo.png" "logo@2x.png" "logo@3x.png" "pt-BR.toml" "strip.png" "strip@2x.png" "strip@3x.png" "template.toml"),
];

/// The files of every shipped design.
pub fn shipped() -> impl Iterator<Item = Files> {
    SHIPPED
        .iter()
        .map(|(_, files)| files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect())
}

/// The files of the loyalty card.
pub fn card() -> Files {
    shipped().next().unwrap_or_default()
}
