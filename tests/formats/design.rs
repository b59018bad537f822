//! What a design may hold, and how its expressions are rendered.

use passarela::domain::content::{FieldRole, Value as Shown};
use passarela::domain::pass::PassStatus;
use passarela::wallet::check::check;
use passarela::wallet::design::{Design, Files};
use proptest::prelude::*;
use serde_json::json;

use crate::sample::{content, files, now, plus, render, renderer, try_render};

fn with(name: &str, from: &str, to: &str) -> Files {
    crate::sample::with(files(), name, from, to)
}

#[test]
fn every_fault_names_its_file_and_line() {
    let without = |name: &str| {
        let mut files = files();
        files.remove(name);
        files
    };
    let beside = |name: &str, content: &[u8]| {
        let mut files = files();
        files.insert(name.to_owned(), content.to_vec());
        files
    };
    let (template, here) = ("template.toml", true);
    let cases = [
        (without(template), template, !here, "is missing"),
        (without("pt-BR.toml"), "pt-BR.toml", !here, "default language"),
        (without("icon@2x.png"), "icon@2x.png", !here, "refuses a pass without its icon"),
        (with(template, "kind = \"loyalty\"", "kind = \"boarding\""), template, here, "kind: must be one of loyalty"),
        (with(template, "background =", "backgroud ="), template, here, "no such key; did you mean \"background\"?"),
        (with(template, "#7a1f3d", "red"), template, here, "colors.background: must be a colour"),
        (with(template, "#f6cfa8", "#7a1f3d"), template, here, "colors.label: cannot be read on the background"),
        (with(template, "text:points\"", "text:nothing\""), template, here, "text:nothing is in no language file"),
        (
            with(template, "key = \"tier\"", "key = \"points\""),
            template,
            here,
            "fields.points.key: is the key of another",
        ),
        (with(template, "key = \"tier\"", "key = \"a b\""), template, here, "must be 1 to 64"),
        (with(template, "key = \"tier\"", "key = \"link1\""), template, here, "the keys of links"),
        (with(template, "uri = \"https:", "uri = \"javascript:"), template, here, "must begin with one of https:"),
        (
            with(template, "name = \"clube-aurora\"", "name = \"Clube Aurora\""),
            template,
            here,
            "must be 1 to 64 of a-z",
        ),
        (
            with(template, "role = \"tier\"", "role = \"tier\"\nlable = \"x\""),
            template,
            here,
            "fields.tier.lable: there is no such key; did you mean \"label\"?",
        ),
        (
            with(template, "format = \"integer\"", "format = \"currency\""),
            template,
            here,
            "fields.points.currency: is missing",
        ),
        (
            with(template, "format = \"integer\"", "format = \"currency\"\ncurrency = \"BRR\""),
            template,
            here,
            "no currency",
        ),
        (with(template, "format = \"date\"", "format = \"date\"\nzone = \"Sao Paulo\""), template, here, "is no zone"),
        (
            with(template, "format = \"integer\"", "format = \"integer\"\ndate_style = \"long\""),
            template,
            here,
            "is for the formats",
        ),
        (
            with(template, "[barcode]", "[barcode]\nformat = \"ean13\""),
            template,
            here,
            "barcodes.message: holds a character",
        ),
        (
            with("pt-BR.toml", "points_changed = \"Você agora tem %@ pontos.\"", "points_changed = \"Novo saldo\""),
            template,
            here,
            "must contain %@",
        ),
        (
            with("pt-BR.toml", "Cartão do Clube Aurora", "Cartão de {{ customer.name }}"),
            "pt-BR.toml",
            here,
            "the same on every pass",
        ),
        (with("en.toml", "tier = \"TIER\"", ""), "en.toml", !here, "tier is missing"),
        (
            with("en.toml", "tier = \"TIER\"", "tier = \"TIER\"\nmore = \"x\""),
            "en.toml",
            here,
            "more is not in pt-BR.toml",
        ),
        (
            with("pt-BR.toml", "tier = \"NÍVEL\"", "tier = \"PONTOS\""),
            "pt-BR.toml",
            here,
            "another key has the same text",
        ),
        (with(template, "{{ customer.name }}", "{{ customer.name"), template, here, "fields.member.value: "),
        (with(template, "default(0)", "defalt(0)"), template, here, "fields.points.value: "),
        (plus("[offer]\ntitle = \"x\"\nprovider = \"y\"\n"), template, here, "offer: is for the kind coupon"),
        (plus("[[dates]]\nat = \"2026-12-24\"\n"), template, here, "never by date"),
        (plus("[[places]]\nlatitude = 91\nlongitude = 0\n"), template, here, "must be from -90 to 90"),
        (plus(&"[[places]]\nlatitude = 1\nlongitude = 0\n".repeat(11)), template, here, "has over 10 entries"),
        (plus("[[beacons]]\nuuid = \"x\"\n"), template, here, "is no UUID"),
        (plus("[apple]\nlogotext = \"x\"\n"), template, here, "apple.logotext: there is no such key"),
        (plus("[apple]\nserialNumber = \"x\"\n"), template, here, "is given by the service"),
        (plus("[apple]\nlogoText = \"x\"\n"), template, here, "is given by the rest of template.toml"),
        (plus("[apple]\nstripColor = \"blue\"\n"), template, here, "apple.stripColor: must be rgb"),
        (plus("[apple]\nassociatedStoreIdentifiers = [\"7\", 8, 1.5]\n"), template, here, "must be a whole number"),
        (plus("[apple]\nappLaunchURL = \"app://x\"\n"), template, here, "needs associatedStoreIdentifiers"),
        (plus("[apple]\ngroupingIdentifier = \"x\"\n"), template, here, "is for event tickets"),
        (plus("[apple]\nstyle = \"coupon\"\n"), template, here, "always a storeCard"),
        (plus("[apple.nfc]\nmessage = \"x\"\n"), template, here, "encryptionPublicKey is missing"),
        (plus("[apple.nfc]\nmessage = \"x\"\nencryptionPublicKey = \"x\"\n"), template, here, "must be base64"),
        (plus("[apple.semantics]\neventStartDate = \"2026-12-24T19:30:00\"\n"), template, here, "must have a zone"),
        (
            plus("[apple.semantics]\nflightNumber = \"12\"\nseats = 5\n"),
            template,
            here,
            "apple.semantics.seats: must be a list",
        ),
        (plus("[[apple.featuredActions]]\nidentifier = \"x\"\n"), template, here, "type is missing"),
        (plus("[google.class]\nid = \"x\"\n"), template, here, "is given by the service"),
        (plus("[google.class]\ncountryCode = 55\n"), template, here, "put it in quotes"),
        (plus("[google.object]\nheroImages = \"x\"\n"), template, here, "did you mean \"heroImage\"?"),
        (plus("[sign_up]\ndescription = \"x\"\nfields = [\"name\"]\n"), template, here, "apple.nfc only"),
        (plus("[sample]\ncustomers = 1\n").clone(), template, here, "is not TOML"),
        (plus("x = \n"), template, here, "is not TOML"),
        (beside("logo.png", b"GIF89a"), "logo.png", !here, "is not a PNG image"),
        (beside("banner.png", b""), "banner.png", !here, "is no image of a pass"),
        (
            beside("background.png", &files()["icon.png"]),
            "background.png",
            !here,
            "is not shown by a pass of the kind loyalty",
        ),
        (
            with(
                template,
                "{{ pass.data.points | default(wallets.points.balance) | default(0) }}",
                "{{ customer.name }}",
            ),
            template,
            here,
            "the sample pass: fields.points.value: is not a number",
        ),
        (
            with(template, "key = \"tier\"", "key = \"tier\"\napple.numberStyle = \"PKNumberStyleDecimal\""),
            template,
            here,
            "tier: numberStyle on a value that is no number",
        ),
        (
            with(template, "{{ customer.name }}", "{{ customer.nmae }}"),
            template,
            here,
            "fields.member.value: customer has nothing called nmae; did you mean \"name\"?",
        ),
        (beside("logo@4x.png", b""), "logo@4x.png", !here, "neither @2x nor @3x"),
        (beside("fr/logo.png", b""), "fr/logo.png", !here, "is in a folder that is no language"),
        (beside("en/logo.png", &files()["logo.png"]), "en/logo.png", !here, "is hidden by logo.png"),
        (beside("notes.txt", b""), "notes.txt", !here, "is no file of a design"),
    ];
    for (files, file, has_line, reason) in cases {
        let Err(faults) = check(&files) else { panic!("{reason}: nothing is found") };
        let found = faults.0.iter().find(|fault| fault.reason.contains(reason));
        let Some(found) = found else { panic!("{reason} is not among\n{faults}") };
        assert_eq!((found.file.as_str(), found.line.is_some()), (file, has_line), "{found}");
    }
}

#[test]
fn an_expression_that_would_eat_the_machine_is_refused_or_stays_small() {
    let doubled = format!("{{% set a = 'xxxxxxxxxxxxxxxx' %}}{}{{{{ a | length }}}}", "{% set a = a ~ a %}".repeat(26));
    let cases = [
        (doubled, "puts values together"),
        ("{{ 'x' * 1000000000 }}".to_owned(), "multiplies"),
        (format!("{{{{ 1{} }}}}", "+1".repeat(20_000)), "at most 2000"),
        (format!("{{{{ a{} }}}}", ".b".repeat(20_000)), "at most 2000"),
        (format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(5_000)), "at most 2000"),
        ("{{ 'a' | indent(900000000) }}".to_owned(), "filter"),
        ("{{ customr.name }}".to_owned(), "there is nothing called customr; did you mean \"customer\"?"),
    ];
    for (expression, reason) in cases {
        let Err(faults) = check(&with("template.toml", "{{ customer.name }}", &expression)) else { panic!("{reason}") };
        assert!(faults.to_string().contains(reason), "{reason} is not in {faults}");
    }
    // The longest chain that is let through is compiled on a thread's usual stack.
    let chain = format!("{{{{ 1{} }}}}", "+1".repeat(990));
    assert!(check(&with("template.toml", "{{ customer.name }}", &chain)).is_ok());
    // A loop over what was handed over writes no more than a text may have.
    let rendered = renderer(&with(
        "template.toml",
        "{{ customer.name }}",
        "{% for x in pass.data.many %}{{ pass.data.long }}{% endfor %}",
    ));
    let data = json!({ "many": vec![1; 1_000], "long": "x".repeat(4_000) });
    assert!(try_render(&rendered, "Ana", &data).is_err());
}

#[test]
fn a_design_of_any_length_is_read_in_its_time() {
    let long = "x".repeat(5_000);
    let Err(faults) = check(&with("template.toml", "{{ brand.name }}", &long)) else { panic!("too long") };
    assert!(faults.to_string().contains("must not be longer than 4000"), "{faults}");
    let many: String = (0..30_000).map(|n| format!("k{n} = 1\n")).collect();
    let Err(faults) = check(&with("template.toml", "name = \"clube", &format!("{many}name = \"clube"))) else {
        panic!("many")
    };
    assert!(faults.0.len() <= 120, "{}", faults.0.len());
}

#[test]
fn a_field_that_is_required_is_not_left_out() {
    let files = crate::sample::shipped("cafe-da-tarde");
    let error = try_render(&renderer(&files), "Ana", &json!({ "coupon": { "discount": 0.1 } })).err().unwrap();
    assert_eq!(error.to_string(), "fields.ends.value: is empty, but required");
    let error = try_render(&renderer(&crate::sample::shipped("noite-aurora")), "Ana", &json!({})).err().unwrap();
    assert_eq!(error.to_string(), "event.name: is empty");
}

#[test]
fn a_fault_of_the_sample_is_told_with_the_line_that_it_is_about() {
    let template = String::from_utf8(files()["template.toml"].clone()).unwrap();
    let line_of = |text: &str| template.lines().position(|line| line.trim() == text).unwrap() + 1;
    let points = "value = \"{{ pass.data.points | default(wallets.points.balance) | default(0) }}\"";
    let member = "value = \"{{ customer.name }}\"";
    let since = "value = \"{{ member.since }}\"";
    let cases = [
        (points, "value = \"many\"", "fields.points.value", line_of(points)),
        (since, "value = \"31-12-2026\"", "fields.member_since.value", line_of(since)),
        (
            member,
            "value = \"{{ customer.name }}\"\napple.numberStyle = \"PKNumberStyleDecimal\"",
            "member: numberStyle",
            line_of(member) + 1,
        ),
    ];
    for (from, to, about, line) in cases {
        let Err(faults) = check(&with("template.toml", from, to)) else { panic!("{to}: good") };
        let found = faults.0.iter().find(|fault| fault.reason.contains(about)).unwrap();
        assert_eq!(found.line, Some(line), "{found}");
    }
}

#[test]
fn a_slip_in_the_kind_is_the_only_fault() {
    let Err(faults) = check(&with("template.toml", "kind = \"loyalty\"", "kind = \"loyality\"")) else {
        panic!("good")
    };
    assert_eq!(faults.0.len(), 1, "{faults}");
}

#[test]
fn all_faults_are_found_at_once() {
    let files = with("template.toml", "#7a1f3d", "red");
    let files = crate::sample::with(files, "template.toml", "role = \"tier\"", "role = \"rank\"");
    let files = crate::sample::with(files, "en.toml", "tier = \"TIER\"", "");
    let Err(faults) = check(&files) else { panic!("faults") };
    assert_eq!(faults.0.len(), 3, "{faults}");
    assert!(faults.to_string().contains("template.toml:16: colors.background"), "{faults}");
}

#[test]
fn a_language_file_that_cannot_be_read_is_the_only_fault() {
    let english = |content: &[u8]| {
        let mut files = files();
        files.insert("en.toml".to_owned(), content.to_vec());
        check(&files).err().unwrap().to_string()
    };
    assert_eq!(english(b"tier = \"\xff\""), "en.toml: is not UTF-8");
    let broken = english(b"tier");
    assert!(broken.starts_with("en.toml:1: is not TOML") && broken.lines().count() == 1, "{broken}");
    let mut default = files();
    default.insert("pt-BR.toml".to_owned(), vec![0xff]);
    assert_eq!(check(&default).err().unwrap().to_string(), "pt-BR.toml: is not UTF-8");
    let expression = crate::sample::with(files(), "en.toml", "tier = \"TIER\"", "tier = \"{{ tier }}\"");
    assert_eq!(check(&expression).err().unwrap().0.len(), 1, "there, though it is wrong");
}

#[test]
fn a_change_message_that_is_nowhere_is_not_also_without_its_value() {
    let files = with("template.toml", "change_message = \"text:", "change_message = \"text:no_");
    let faults = check(&files).err().unwrap();
    assert!(faults.0.len() == 1 && faults.to_string().ends_with("is in no language file"), "{faults}");
}

#[test]
fn images_of_a_wrong_size_are_noted() {
    assert_eq!(check(&files()).unwrap().notes, []);
    let mut files = files();
    files.insert("logo@2x.png".to_owned(), files["logo.png"].clone());
    files.insert("icon.png".to_owned(), {
        let mut png = Vec::new();
        image::DynamicImage::new_rgb8(1, 1)
            .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        png
    });
    let notes: Vec<String> = check(&files).unwrap().notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "image-small: icon.png is 1×1 pixels, and its place 38×38 (the phone shows it badly)",
            "image-scale: icon@2x.png is 76×76 pixels; icon.png is 1×1, so it should be 2×2 (the phone shows it badly)",
            "image-scale: icon@3x.png is 114×114 pixels; icon.png is 1×1, so it should be 3×3 (the phone shows it badly)",
            "image-scale: logo@2x.png is 50×50 pixels; logo.png is 50×50, so it should be 100×100 (the phone shows it badly)",
        ]
    );
}

#[test]
fn a_value_that_does_not_fit_is_refused_for_that_pass_alone() {
    let cases = [
        ("{{ pass.data.points | default(wallets.points.balance) | default(0) }}", "1.5", "is not a whole number"),
        ("{{ pass.data.points | default(wallets.points.balance) | default(0) }}", "many", "is not a number"),
        (
            "{{ pass.data.points | default(wallets.points.balance) | default(0) }}",
            "1234567890123456",
            "is not a number",
        ),
    ];
    for (from, to, reason) in cases {
        let files = with("template.toml", from, &format!("{{{{ '{to}' }}}}"));
        let renderer = renderer(&files);
        let error = try_render(&renderer, "Ana", &json!({})).err().unwrap();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.is_design_fault);
    }
}

#[test]
fn an_end_that_is_a_day_includes_that_day() {
    let files = with("template.toml", "default_locale", "expires_at = \"{{ pass.data.until }}\"\ndefault_locale");
    let end = |until: &str| {
        content(&renderer(&files), "Ana", &json!({ "until": until }), PassStatus::Active)
            .expires_at
            .unwrap()
            .to_rfc3339()
    };
    assert_eq!(end("2026-12-31"), "2027-01-01T03:00:00+00:00", "midnight in São Paulo, after the day");
    assert_eq!(end("2026-12-31T18:00:00-03:00"), "2026-12-31T21:00:00+00:00");
}

#[test]
fn an_image_larger_than_its_place_is_refused_by_its_header() {
    let mut files = files();
    files.insert("icon.png".to_owned(), files["strip.png"].clone());
    let faults = Design::parse(&files).err().unwrap();
    assert!(faults.to_string().starts_with("icon.png: is 375×144 pixels"), "{faults}");
}

#[test]
fn an_expression_without_end_is_stopped() {
    let text = "{% for a in pass.data.many %}{% for b in pass.data.many %}{% endfor %}{% endfor %}";
    let renderer = renderer(&with("template.toml", "{{ customer.name }}", text));
    let many = json!({ "many": vec![1; 1_000] });
    assert!(try_render(&renderer, "Ana", &many).is_err(), "refused, not rendered");
}

#[test]
fn only_text_that_asks_for_the_day_is_rendered_again_tomorrow() {
    let renderer = renderer(&files());
    let (_, next) = render(&renderer, "Ana", &json!({ "points": 1 }), PassStatus::Active, now());
    assert_eq!(next, None);
    let (_, next) = render(&renderer, "Ana", &json!({ "offer_ends": "2026-12-24" }), PassStatus::Active, now());
    assert_eq!(next.unwrap().to_rfc3339(), "2026-11-23T03:00:00+00:00", "midnight in São Paulo");
}

#[test]
fn what_one_expression_does_is_not_seen_by_another() {
    let shown = |renderer: &passarela::wallet::render::Renderer, name: &str, role| {
        let content = content(renderer, name, &json!({ "points": 7 }), PassStatus::Active);
        content.field(role).map(|field| match &field.value {
            Shown::Text(text) => text.default.clone(),
            other => format!("{other:?}"),
        })
    };
    let plain = renderer(&files());
    let points = shown(&plain, "Ana", FieldRole::Balance);
    assert!(points.as_deref().is_some_and(|points| points.contains('7')), "{points:?}");
    // A separator in what is shown is dropped, and moves nothing into another field.
    assert_eq!(shown(&plain, "A\u{1f}n\u{1f}a", FieldRole::MemberName).as_deref(), Some("Ana"));
    assert_eq!(shown(&plain, "A\u{1f}n\u{1f}a", FieldRole::Balance), points);
    // What is set in one is not known in the next, and a dash eats no more than its own blanks.
    let first = "{% set tier = 'gold' %}{%- if tier -%} {{ customer.name }} {%- endif -%}";
    let setting = renderer(&with("template.toml", "{{ customer.name }}", first));
    assert_eq!(shown(&setting, "Ana", FieldRole::MemberName).as_deref(), Some("Ana"));
    assert_eq!(shown(&setting, "Ana", FieldRole::Tier), shown(&plain, "Ana", FieldRole::Tier));
    assert_eq!(shown(&setting, "Ana", FieldRole::Balance), points);
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
