//! What a design may hold, and how its expressions are rendered.

use passarela::domain::content::{FieldRole, Value as Shown};
use passarela::domain::pass::PassStatus;
use passarela::wallet::design::{Design, Files};
use passarela::wallet::render::Renderer;
use proptest::prelude::*;
use serde_json::json;

use crate::sample::{content, files, now, render, renderer};

fn with(name: &str, from: &str, to: &str) -> Files {
    let mut files = files();
    let text = String::from_utf8(files[name].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    files.insert(name.to_owned(), text.replacen(from, to, 1).into_bytes());
    files
}

#[test]
fn every_fault_names_its_file() {
    let without = |name: &str| {
        let mut files = files();
        files.remove(name);
        files
    };
    let plus = |name: &str, content: &[u8]| {
        let mut files = files();
        files.insert(name.to_owned(), content.to_vec());
        files
    };
    let cases = [
        (without("template.toml"), "template.toml"),
        (without("pt-BR.toml"), "pt-BR.toml"),
        (without("icon@2x.png"), "icon@2x.png"),
        (with("template.toml", "kind = \"loyalty\"", "kind = \"boarding\""), "template.toml"),
        (with("template.toml", "#7a1f3d", "red"), "template.toml"),
        (with("template.toml", "text:points\"", "text:nothing\""), "template.toml"),
        (with("template.toml", "key = \"tier\"", "key = \"points\""), "template.toml"),
        (with("template.toml", "key = \"tier\"", "key = \"a b\""), "template.toml"),
        (with("template.toml", "uri = \"https:", "uri = \"javascript:"), "template.toml"),
        (with("template.toml", "name = \"clube-aurora\"", "name = \"Clube Aurora\""), "template.toml"),
        (with("template.toml", "role = \"tier\"", "role = \"tier\"\ncolour = \"red\""), "template.toml"),
        (with("pt-BR.toml", "%@", ""), "template.toml"),
        (with("en.toml", "tier = \"TIER\"", ""), "en.toml"),
        (with("en.toml", "tier = \"TIER\"", "tier = \"TIER\"\nmore = \"x\""), "en.toml"),
        (with("pt-BR.toml", "tier = \"NÍVEL\"", "tier = \"PONTOS\""), "pt-BR.toml"),
        (plus("logo.png", b"GIF89a"), "logo.png"),
        (plus("banner.png", b""), "banner.png"),
        (plus("logo@4x.png", b""), "logo@4x.png"),
        (plus("notes.txt", b""), "notes.txt"),
    ];
    for (files, file) in cases {
        let error = Design::parse(&files).unwrap_err();
        assert_eq!(error.file, file, "{error}");
    }
    let files = with("template.toml", "{{ customer.name }}", "{{ customer.name");
    let error = Renderer::new(Design::parse(&files).unwrap()).err().unwrap();
    assert_eq!(error.place, "field member");
}

#[test]
fn an_image_larger_than_its_place_is_refused_by_its_header() {
    let mut files = files();
    files.insert("icon.png".to_owned(), files["strip.png"].clone());
    assert_eq!(Design::parse(&files).unwrap_err().file, "icon.png");
}

#[test]
fn a_design_that_asks_for_what_does_not_exist_is_refused_before_it_is_used() {
    assert_eq!(Renderer::new(Design::parse(&files()).unwrap()).unwrap().check(), Ok(()));
    for (from, to) in [("default(0)", "defalt(0)"), ("default(0)", "default(nofunction(1))")] {
        let design = Design::parse(&with("template.toml", from, to)).unwrap();
        let fault = Renderer::new(design).unwrap().check().unwrap_err();
        assert!(fault.is_design_fault, "{fault}");
    }
}

#[test]
fn an_expression_without_end_is_stopped() {
    let text = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    let renderer = renderer(&with("template.toml", "{{ customer.name }}", text));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        content(&renderer, "Ana", &json!({}), PassStatus::Active)
    }));
    assert!(outcome.is_err(), "refused, not rendered");
}

#[test]
fn only_text_that_asks_for_the_day_is_rendered_again_tomorrow() {
    let renderer = renderer(&files());
    let (_, next) = render(&renderer, "Ana", &json!({ "points": 1 }), PassStatus::Active, now());
    assert_eq!(next, None);
    let (_, next) = render(&renderer, "Ana", &json!({ "offer_ends": "2026-12-24" }), PassStatus::Active, now());
    assert_eq!(next.unwrap().to_rfc3339(), "2026-11-23T03:00:00+00:00", "midnight in São Paulo");
}

proptest! {
    /// A name is data: whatever it holds arrives literally, less what would steer a terminal.
    #[test]
    fn text_arrives_literally(name in "[^\\p{Cc}\\p{Z}\u{202a}-\u{202e}\u{2066}-\u{2069}]{1,40}") {
        let content = content(&renderer(&files()), &name, &json!({}), PassStatus::Active);
        let field = content.field(FieldRole::MemberName).unwrap();
        let Shown::Text(text) = &field.value else { panic!("a text") };
        prop_assert_eq!(&text.default, &name);
    }
}
