//! The designer's guide says everything that a design may hold.

use std::path::Path;

use passarela::domain::barcode::Symbology;
use passarela::domain::content::{AppleArea, EventKind, FieldRole, GoogleArea, MomentStyle, Redemption};
use passarela::domain::pass::PassKind;
use passarela::wallet::design::{AppleStyle, Format, SignUpField};
use passarela::wallet::key_tables;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

#[test]
fn the_dictionary_page_is_made_from_the_dictionaries() {
    assert_eq!(page("pass-keys.md"), key_tables::page(), "passarela template keys > docs/pass-keys.md");
}

#[test]
fn the_guide_names_every_word_of_a_design() {
    let guide = page("templates.md");
    let mut words: Vec<&str> = Vec::new();
    words.extend(FieldRole::ALL.iter().map(|word| word.as_str()));
    words.extend(Format::ALL.iter().map(|word| word.as_str()));
    words.extend(AppleArea::ALL.iter().map(|word| word.as_str()));
    words.extend(GoogleArea::ALL.iter().map(|word| word.as_str()));
    words.extend(Symbology::ALL.iter().map(|word| word.as_str()));
    words.extend(EventKind::ALL.iter().map(|word| word.as_str()));
    words.extend(MomentStyle::ALL.iter().map(|word| word.as_str()));
    words.extend(Redemption::ALL.iter().map(|word| word.as_str()));
    words.extend(PassKind::ALL.iter().map(|word| word.as_str()));
    words.extend(AppleStyle::ALL.iter().map(|word| word.as_str()));
    words.extend(SignUpField::ALL.iter().map(|word| word.as_str()));
    // And every key that the designs of the tests and the shipped ones use.
    let designs = [include_str!("generic.toml"), include_str!("../../pass-templates/noite-aurora/template.toml")];
    let ours = designs.iter().map(|text| text.split("\n[google").next().unwrap().split("\n[sample").next().unwrap());
    let keys = ours.flat_map(str::lines).filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    words.extend(keys);
    for word in words {
        let is_there = guide.contains(&format!("`{word}`")) || guide.contains(&format!("`{word} ="));
        assert!(is_there, "{word} is not in docs/templates.md");
    }
}
