//! Certificates that are replaced while the service runs, and what only some of them allow.

use std::path::Path;

use chrono::TimeDelta;
use openssl::nid::Nid;
use openssl::x509::X509;
use passarela::app::Role;
use passarela::clock::{Clock as _, SystemClock};
use passarela::service::rollouts::{Plan, start_resigning};
use passarela::service::signers;
use passarela::wallet::apple::{certificates, dev_ca, renewal, verify};
use passarela::wallet::design::Files;
use serde_json::json;
use tempfile::TempDir;

use crate::app::{OTHER_PASS_TYPE, PASS_TYPE, TestApp};
use crate::apple_web_service::Phone;
use crate::on_both_engines;
use crate::templates::{design, packed, upload};

/// Certificates of this test's own.
fn own_certificates(nfc: bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let ensure = if nfc { dev_ca::ensure_with_nfc } else { dev_ca::ensure };
    ensure(folder.path(), PASS_TYPE, [21 << 8, 21 << 9], SystemClock.now()).unwrap();
    dev_ca::ensure(folder.path(), OTHER_PASS_TYPE, [22 << 8, 22 << 9], SystemClock.now()).unwrap();
    folder
}

fn leaf(folder: &Path) -> X509 {
    X509::from_pem(&std::fs::read(folder.join(PASS_TYPE).join("pass.pem")).unwrap()).unwrap()
}

async fn signer_of(app: &TestApp, pass: &crate::app::TestPass) -> Option<X509> {
    let url = format!("{}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
    let response = app.http.get(url).header("authorization", format!("ApplePass {}", pass.token)).send().await.unwrap();
    if response.status() != 200 {
        return None;
    }
    let report = verify::verify(&response.bytes().await.unwrap(), &[], app.clock.now());
    report.signer().map(ToOwned::to_owned)
}

/// A key that lies on the curve.
fn nfc_key() -> String {
    use openssl::ec::{EcGroup, EcKey};
    let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let der = openssl::pkey::PKey::from_ec_key(key).unwrap().public_key_to_der().unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der)
}

/// The shipped card, with NFC and a sign-up form.
fn with_form() -> Files {
    let mut files = design();
    let mut text = String::from_utf8(files["template.toml"].clone()).unwrap();
    text.push_str(&format!(
        "\n[apple.nfc]\nmessage = \"{{{{ pass.serial }}}}\"\nencryptionPublicKey = \"{}\"\n[sign_up]\n\
         description = \"Entre no clube\"\nterms = \"Leia <a href='https://example.com'>aqui</a>\"\nfields = [\"name\", \"email\"]\n",
        nfc_key()
    ));
    files.insert("template.toml".to_owned(), text.into_bytes());
    files.insert("personalizationLogo.png".to_owned(), files["icon.png"].clone());
    files
}

/// Replaces the certificate of [`PASS_TYPE`] in a folder of certificates by one of another team, for the same key.
fn sign_for_another_team(certs: &std::path::Path) {
    let openssl = |arguments: &[&str]| {
        let done = std::process::Command::new("openssl").args(arguments).current_dir(certs).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let (key, leaf) = (format!("{PASS_TYPE}/key.pem"), format!("{PASS_TYPE}/pass.pem"));
    let subject = format!("/UID={PASS_TYPE}/CN=Pass Type ID: {PASS_TYPE}/OU=OTHERTEAM1/O=Other/C=BR");
    openssl(&["req", "-new", "-key", &key, "-subj", &subject, "-out", "other.csr"]);
    let sign = ["x509", "-req", "-in", "other.csr", "-CA", "wwdr/dev-wwdr.pem", "-CAkey", "wwdr/dev-wwdr.key"];
    openssl(&[&sign[..], &["-set_serial", "77", "-days", "30", "-out", &leaf]].concat());
}

on_both_engines! {
    async fn a_pass_that_was_published_for_another_team_is_served(engine) {
        let folder = own_certificates(false);
        let path = folder.path().to_owned();
        let app = TestApp::start_with(engine, Role::Api, |config| config.apple.certs_dir = path.clone()).await;
        let pass = app.issue("ana").await;
        sign_for_another_team(&path);
        app.clock.advance(TimeDelta::minutes(5));
        assert!(signers::refresh(app.app()).await.unwrap());
        let url = format!("{}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
        let request = app.http.get(&url).header("authorization", format!("ApplePass {}", pass.token));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let bundle = response.bytes().await.unwrap();
        assert_eq!(crate::bundle::pass_json(&bundle)["teamIdentifier"], "OTHERTEAM1");
        let faults = verify::verify(&bundle, &[], app.clock.now()).faults;
        assert!(faults.iter().all(|fault| fault.code == "web-service"), "{faults:?}");
    }

    async fn a_certificate_is_replaced_without_a_restart(engine) {
        let folder = own_certificates(false);
        let path = folder.path().to_owned();
        let app = TestApp::start_with(engine, Role::Api, |config| config.apple.certs_dir = path.clone()).await;
        let pass = app.issue("ana").await;
        let first = signer_of(&app, &pass).await.unwrap();
        assert_eq!(first.digest(openssl::hash::MessageDigest::sha256()).unwrap().as_ref(), leaf(&path).digest(openssl::hash::MessageDigest::sha256()).unwrap().as_ref());

        // Half of a replacement: the service signs on with what it has.
        std::fs::write(path.join(PASS_TYPE).join("pass.pem"), "rubbish").unwrap();
        assert!(!signers::refresh(app.app()).await.unwrap());
        assert!(signer_of(&app, &pass).await.is_some());

        std::fs::remove_dir_all(path.join(PASS_TYPE)).unwrap();
        dev_ca::ensure(&path, PASS_TYPE, [23 << 8, 23 << 9], SystemClock.now()).unwrap();
        assert!(signers::refresh(app.app()).await.unwrap());
        assert!(!signers::refresh(app.app()).await.unwrap(), "nothing changed since");
        let second = signer_of(&app, &pass).await.unwrap();
        assert_ne!(first.serial_number().to_bn().unwrap(), second.serial_number().to_bn().unwrap());

        // A new certificate pushes nobody; a roll-out of it does.
        let mut phone = Phone::new(&app, "phone");
        phone.register(&pass, "token").await;
        phone.list(&pass).await;
        app.clock.advance(TimeDelta::seconds(5));
        app.work().await;
        assert!(phone.list(&pass).await.is_empty());
        let (started, left_out) = start_resigning(app.app(), app.one.brand.id, None, Plan::default()).await.unwrap();
        assert_eq!((started.len(), started[0].total, left_out.len()), (1, 1, 0));
        let (again, left_out) = start_resigning(app.app(), app.one.brand.id, None, Plan::default()).await.unwrap();
        assert_eq!((again.len(), left_out.len()), (0, 1), "one is under way");
        for _ in 0..3 {
            app.work().await;
            app.clock.advance(TimeDelta::seconds(1));
        }
        assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial));
        let (_, view) = app.get(&format!("/api/v1/rollouts/{}", started[0].id), &app.one.key).await;
        assert_eq!((view["state"].as_str(), view["resigns"].as_bool()), (Some("finished"), Some(true)), "{view}");
    }

    async fn an_expired_certificate_serves_no_new_bundle_and_leaves_the_rest_running(engine) {
        let folder = own_certificates(false);
        let path = folder.path().to_owned();
        let app = TestApp::start_with(engine, Role::Api, |config| config.apple.certs_dir = path.clone()).await;
        let pass = app.issue("ana").await;
        app.clock.advance(TimeDelta::days(400));
        signers::watch(app.app());
        assert!(signer_of(&app, &pass).await.is_none());
        let response = app.http.get(format!("{}/p/nothing", app.url)).send().await.unwrap();
        assert_eq!(response.status(), 404, "pages are served");
        let (_, ready) = app.get("/readyz", &app.one.key).await;
        assert_eq!(ready["unsigned_pass_types"], json!([PASS_TYPE, OTHER_PASS_TYPE]), "{ready}");
        assert_eq!(app.get("/api/v1/customers", &app.one.key).await.0, 200);
    }

    async fn a_phones_form_is_answered_once_and_signed_for(engine) {
        let folder = own_certificates(true);
        let path = folder.path().to_owned();
        let app = TestApp::start_with(engine, Role::Api, |config| config.apple.certs_dir = path.clone()).await;
        let key = &app.one.key;
        let (status, uploaded) = upload(&app, key, "?canary_percent=0", packed(&with_form())).await;
        assert_eq!(status, 201, "{uploaded}");
        app.work().await;
        let pass = app.issue("ana").await;
        let url = format!("{}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
        let fetch = async || {
            let request = app.http.get(&url).header("authorization", format!("ApplePass {}", pass.token));
            let bundle = request.send().await.unwrap().bytes().await.unwrap();
            assert_eq!(verify::verify(&bundle, &[], app.clock.now()).faults.iter().filter(|fault| fault.code != "web-service").count(), 0);
            crate::bundle::unzip(&bundle)
        };
        let files = fetch().await;
        let form: serde_json::Value = serde_json::from_slice(&files["personalization.json"]).unwrap();
        assert_eq!(form["requiredPersonalizationFields"], json!(["PKPassPersonalizationFieldName", "PKPassPersonalizationFieldEmailAddress"]));

        let body = json!({ "personalizationToken": "tok-123", "requiredPersonalizationInfo": {
            "givenName": "Ana", "familyName": "Souza", "emailAddress": "ana@example.com", "phoneNumber": "11987654321" } });
        for _ in 0..2 {
            let response = app.http.post(format!("{url}/personalize")).json(&body).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, "application/octet-stream"));
            let signature = response.bytes().await.unwrap();
            let mut cms = openssl::cms::CmsContentInfo::from_der(&signature).unwrap();
            let flags = openssl::cms::CMSOptions::BINARY | openssl::cms::CMSOptions::NO_SIGNER_CERT_VERIFY;
            cms.verify(None, None, Some(b"tok-123"), None, flags).unwrap();
        }
        app.clock.advance(TimeDelta::seconds(5));
        app.work().await;
        assert!(!fetch().await.contains_key("personalization.json"), "the pass comes back without its form");
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), key).await;
        let (_, customer) = app.get(&format!("/api/v1/customers/{}", view["customer_id"].as_str().unwrap()), key).await;
        assert_eq!(customer["attributes"]["sign_up"]["email"], "ana@example.com");
        assert!(customer["attributes"]["sign_up"].get("phone").is_none(), "what was not asked for is not kept");
        assert!(!customer["identifiers"].to_string().contains("ana@example.com"), "a form proves nothing");

        // A manifest as a token would make whoever holds a card a signer of any pass.
        for token in [r#"{"pass.json":"0000000000000000000000000000000000000000"}"#, "", &"a".repeat(600)] {
            let body = json!({ "personalizationToken": token });
            let response = app.http.post(format!("{url}/personalize")).json(&body).send().await.unwrap();
            assert_eq!(response.status(), 400, "{token}");
        }
        let wrong = app.http.post(format!("{url}/personalize")).header("authorization", "ApplePass wrong").json(&body);
        assert_eq!(wrong.send().await.unwrap().status(), 401);
        assert_eq!(app.http.post(format!("{url}/personalize")).body("{}").send().await.unwrap().status(), 400);
        let unknown = app.http.post(format!("{}x/personalize", url)).json(&body).send().await.unwrap();
        assert_eq!(unknown.status(), 401);
    }

    async fn nfc_wants_a_certificate_that_allows_it(engine) {
        let app = TestApp::start(engine).await;
        let (status, problem) = upload(&app, &app.one.key, "", packed(&with_form())).await;
        assert_eq!((status, problem["type"].as_str()), (422, Some("/problems/design-refused")));
        assert!(problem["faults"][0]["reason"].as_str().unwrap().contains("does not allow NFC"), "{problem}");
    }
}

#[test]
fn a_request_is_made_and_what_comes_back_is_put_in_its_place() {
    let now = SystemClock.now();
    let folder = own_certificates(false);
    let path = folder.path();
    let made = renewal::request(path, PASS_TYPE, Some("ti@example.com"), false).unwrap();
    let key = std::fs::read(&made.key).unwrap();
    assert!(renewal::request(path, PASS_TYPE, None, false).is_err(), "one waits");
    assert_eq!(std::fs::read(&made.key).unwrap(), key);
    let output = std::process::Command::new("openssl")
        .args(["req", "-verify", "-noout", "-subject", "-in"])
        .arg(&made.csr)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(PASS_TYPE) && text.contains("ti@example.com"), "{text}");

    // The authority's part: a certificate for the request's key, as Apple hands it out (DER).
    let other = TempDir::new().unwrap();
    std::fs::create_dir(other.path().join("wwdr")).unwrap();
    for name in ["dev-wwdr.pem", "dev-wwdr.key"] {
        std::fs::copy(path.join("wwdr").join(name), other.path().join("wwdr").join(name)).unwrap();
    }
    let p12 = |arguments: &[&str]| {
        let leaf = other.path().join(PASS_TYPE);
        let file = other.path().join("out.p12");
        let output = std::process::Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "pass:segredo", "-inkey"])
            .arg(leaf.join("key.pem"))
            .arg("-in")
            .arg(leaf.join("pass.pem"))
            .args(arguments)
            .arg("-out")
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    };
    dev_ca::ensure(other.path(), PASS_TYPE, [31 << 8, 31 << 9], now).unwrap();
    let stranger = other.path().join(PASS_TYPE).join("pass.pem");
    let error = renewal::import_certificate(path, &stranger, false, now).unwrap_err().to_string();
    assert!(error.contains("for another"), "{error}");

    for (number, arguments) in
        [&[][..], &["-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES"]].iter().enumerate()
    {
        let file = p12(arguments);
        let wrong = renewal::import_p12(path, &file, "falso", false, now).unwrap_err().to_string();
        assert!(wrong.contains("password") || wrong.contains("RC2"), "{wrong}");
        assert_eq!(renewal::import_p12(path, &file, "segredo", false, now).unwrap(), PASS_TYPE, "{number}");
        let found = certificates::read(path, now).unwrap();
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        assert!(path.join(PASS_TYPE).join("key.pem.old").exists());
    }
    let imported = X509::from_pem(&std::fs::read(&stranger).unwrap()).unwrap();
    assert_eq!(leaf(path).to_der().unwrap(), imported.to_der().unwrap());

    // A certificate for the key of the request.
    std::fs::write(
        path.join(PASS_TYPE).join("request.key"),
        std::fs::read(other.path().join(PASS_TYPE).join("key.pem")).unwrap(),
    )
    .unwrap();
    let cer = other.path().join("pass.cer");
    std::fs::write(&cer, imported.to_der().unwrap()).unwrap();
    assert_eq!(renewal::import_certificate(path, &cer, false, now).unwrap(), PASS_TYPE);
    assert!(!path.join(PASS_TYPE).join("request.key").exists());
    let error = renewal::import_certificate(path, &cer, false, now).unwrap_err().to_string();
    assert!(error.contains("there is no request.key"), "{error}");

    // Another team's, for the same pass type.
    sign_for_another_team(other.path());
    let (file, now) = (p12(&[]), now + chrono::TimeDelta::minutes(5));
    let before = std::fs::read(path.join(PASS_TYPE).join("pass.pem")).unwrap();
    let error = renewal::import_p12(path, &file, "segredo", false, now).unwrap_err().to_string();
    assert!(error.contains("is of the team OTHERTEAM1") && error.contains("--other-team"), "{error}");
    assert_eq!(std::fs::read(path.join(PASS_TYPE).join("pass.pem")).unwrap(), before);
    renewal::import_p12(path, &file, "segredo", true, now).unwrap();
    assert_eq!(certificates::read(path, now).unwrap().signer(PASS_TYPE).unwrap().team(), "OTHERTEAM1");
    // What is already in place is not put beside itself.
    renewal::import_p12(path, &file, "segredo", false, now).unwrap();
    assert_eq!(std::fs::read(path.join(PASS_TYPE).join("pass.pem.old")).unwrap(), before);
}
