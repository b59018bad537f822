//! Text is data: whatever it holds arrives as it is, in every format that carries it.

use std::sync::Arc;

use passarela::clock::{Clock as _, SystemClock};
use passarela::domain::locale::Locale;
use passarela::domain::pass::PassStatus;
use passarela::wallet::apple::assets::Assets;
use passarela::wallet::apple::bundle::Bundle;
use passarela::wallet::apple::inspect;
use passarela::wallet::apple::pass_json::{Identity, render};
use passarela::wallet::apple::verify;
use passarela::wallet::preview::{Look, Scene, draw};
use proptest::prelude::*;
use serde_json::json;

use crate::bundle::pass_json;
use crate::sample::{PASS_TYPE, content, files, renderer, signer};

/// Text that breaks formats which are put together by hand.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\\p{Cc}\\p{Z}\u{202a}-\u{202e}\u{2066}-\u{2069}]{1,40}",
        Just("</text><script>alert(1)</script>".to_owned()),
        Just("\",\"voided\":true,\"x\":\"".to_owned()),
        Just("=HYPERLINK(\"http://x\")".to_owned()),
        Just("{{ 7 * 7 }}{% raw %}".to_owned()),
        Just("%@ %s %n".to_owned()),
        Just("&lt;b&gt; &amp; 'a' \"b\" \\n \\".to_owned()),
        Just("]]>--><!--".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_bundle_carries_it_and_verifies(note in hostile()) {
        let (renderer, signer) = (renderer(&files()), signer());
        let content = content(&renderer, "Ana", &json!({ "note": note }), PassStatus::Active);
        let identity = Identity { pass_type: PASS_TYPE, team: signer.team(), web_service_url: None };
        let json = render(&content, &renderer.design().apple, identity);
        let assets = Arc::new(Assets::new(renderer.design()));
        let bundle = Bundle::sign(&assets, &json, None, &signer, SystemClock.now()).unwrap().to_vec();
        let report = verify::verify(&bundle, &[], SystemClock.now());
        prop_assert_eq!(&report.faults, &[]);
        let fields = pass_json(&bundle)["storeCard"]["backFields"].clone();
        let found = fields.as_array().unwrap().iter().find(|field| field["key"] == "note").unwrap();
        prop_assert_eq!(found["value"].as_str().unwrap(), note.as_str());
        let drawn = inspect::draw(&report);
        prop_assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "it steers the terminal");
    }

    #[test]
    fn a_picture_shows_it_as_text(note in hostile()) {
        let renderer = renderer(&files());
        let content = content(&renderer, &note, &json!({ "note": note, "tier": note }), PassStatus::Active);
        for look in Look::ALL {
            let svg = draw(Scene::new(&content, renderer.design(), Some(Locale::En)), *look);
            let document = roxmltree::Document::parse(&svg).unwrap();
            prop_assert!(document.descendants().all(|node| !node.has_tag_name("script")));
            if *look == Look::Back && note.chars().count() < 20 && !note.contains(' ') {
                let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text()).collect();
                prop_assert!(texts.contains(&note.as_str()), "{} is not among {:?}", note, texts);
            }
        }
    }
}
