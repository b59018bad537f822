//! The page a customer adds a pass from.

use passarela::app::Role;

use crate::app::TestApp;
use crate::on_both_engines;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";

async fn page(app: &TestApp, url: &str, agent: &str, language: &str) -> (u16, String) {
    let request = app.http.get(url).header("User-Agent", agent).header("Accept-Language", language);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    (response.status().as_u16(), response.text().await.unwrap())
}

on_both_engines! {
    async fn the_page_offers_what_the_visitors_device_can_take(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let add = view["add_url"].as_str().unwrap();
        let (status, text) = page(&app, add, IPHONE, "pt-BR").await;
        assert_eq!(status, 200);
        assert!(text.contains("Adicionar à Carteira da Apple") && text.contains("apple.pkpass") && text.contains("PONTOS"));
        assert!(!text.contains("<script"));
        let (_, text) = page(&app, add, IPHONE, "en-US,en;q=0.9").await;
        assert!(text.contains("Add to Apple Wallet") && text.contains("POINTS") && text.contains("<html lang=\"en\">"));
        let (_, text) = page(&app, add, DESKTOP, "es").await;
        assert!(text.contains("<svg") && text.contains("PUNTOS"));
        let (_, text) = page(&app, add, ANDROID, "en").await;
        assert!(text.contains("Google Wallet") && !text.contains("<svg"));
    }

    async fn the_operator_s_own_button_stands_in_for_the_plain_one(engine) {
        let badges = tempfile::TempDir::new().unwrap();
        std::fs::write(badges.path().join("apple-en.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
        let folder = badges.path().to_owned();
        let app = TestApp::start_with(engine, Role::Api, |config| config.pages.badges_dir = Some(folder)).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let add = view["add_url"].as_str().unwrap();
        let (_, text) = page(&app, add, IPHONE, "en").await;
        let text = text.replace("&#x2f;", "/");
        assert!(text.contains(r#"<img src="/badges/apple-en.svg" alt="Add to Apple Wallet">"#), "{text}");
        let (_, text) = page(&app, add, IPHONE, "pt-BR").await;
        assert!(text.contains("Adicionar à Carteira da Apple") && !text.contains("/badges/"), "none in Portuguese");
        let response = app.http.get(format!("{}/badges/apple-en.svg", app.url)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"image/svg+xml".parse().unwrap()));
        for other in ["apple.svg", "..%2Fmaster.key", "apple-en.svg%00"] {
            assert_eq!(app.http.get(format!("{}/badges/{other}", app.url)).send().await.unwrap().status(), 404, "{other}");
        }
    }

    async fn several_passes_come_in_one_download(engine) {
        let app = TestApp::start(engine).await;
        let mut links = Vec::new();
        let mut passes = Vec::new();
        for customer in ["ana", "bia", "caio"] {
            let pass = app.issue(customer).await;
            let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
            links.push(view["add_url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned());
            passes.push(pass);
        }
        let void = format!("/api/v1/passes/{}/void", passes[2].id);
        assert_eq!(app.post(&void, &app.one.key, &serde_json::json!(null)).await.0, 200);
        let get = async |links: &str| app.http.get(format!("{}/p/{links}/apple.pkpasses", app.url)).send().await.unwrap();
        let response = get(&links.join(",")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/vnd.apple.pkpasses");
        let together = response.bytes().await.unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(together)).unwrap();
        assert_eq!(archive.len(), 2, "the voided one is left out");
        for at in 0..archive.len() {
            let mut inner = Vec::new();
            std::io::copy(&mut archive.by_index(at).unwrap(), &mut inner).unwrap();
            assert!(inner.starts_with(b"PK"), "each is a bundle");
        }
        assert_eq!(get(&links[2]).await.status(), 404, "none that is good");
        assert_eq!(get(&format!("{},unknown", links[0])).await.status(), 404);
        assert_eq!(get(&[links[0].as_str(); 11].join(",")).await.status(), 422);
    }

    async fn voided_expired_and_unknown_links_explain_themselves(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let path = format!("/api/v1/passes/{}", pass.id);
        let (_, view) = app.get(&path, &app.one.key).await;
        let add = view["add_url"].as_str().unwrap();
        app.post(&format!("{path}/expire"), &app.one.key, &serde_json::json!(null)).await;
        let (status, text) = page(&app, add, IPHONE, "en").await;
        assert!(status == 200 && text.contains("has expired") && !text.contains("apple.pkpass"), "{text}");
        app.post(&format!("{path}/void"), &app.one.key, &serde_json::json!(null)).await;
        let (_, text) = page(&app, add, IPHONE, "en").await;
        assert!(text.contains("no longer valid"));
        assert!(!text.contains("Ana Souza") && !text.contains("POINTS"), "an old link tells nothing of the person");
        let response = app.http.get(format!("{add}/apple.pkpass")).send().await.unwrap();
        assert_eq!(response.status(), 303);
        assert!(add.ends_with(response.headers()["location"].to_str().unwrap()));
        for link in ["nothing", "zzzzzzzzAAAAAAAAAAAAAAAAAAAAAA", &format!("{}{}", app.one.brand.code, "A".repeat(22)), "%F0%9F%98%80%F0%9F%98%80"] {
            let (status, text) = page(&app, &format!("{}/p/{link}", app.url), IPHONE, "en").await;
            assert!(status == 404 && text.contains("cannot find"), "{link}");
        }
    }

    async fn a_download_is_revalidated(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        let url = view["pkpass_url"].as_str().unwrap();
        let first = app.http.get(url).send().await.unwrap();
        assert_eq!(first.headers()["cache-control"], "private, no-cache");
        let again = app.http.get(url).header("If-None-Match", first.headers()["etag"].clone()).send().await.unwrap();
        assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &first.headers()["etag"]));
        assert_eq!(app.http.get(url).header("If-None-Match", "*").send().await.unwrap().status(), 304);
        let again = app.http.get(url).header("If-Modified-Since", first.headers()["last-modified"].clone()).send().await.unwrap();
        assert_eq!(again.status(), 304);
        let head = app.http.head(url).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], first.headers()["content-length"]);
        let image = format!("{}/i/{}/{}/1/logo@3x.png", app.url, app.one.brand.code, view["template_id"].as_str().unwrap());
        let image = app.http.get(image).send().await.unwrap();
        assert_eq!((image.status().as_u16(), image.headers()["content-type"].to_str().unwrap()), (200, "image/png"));
        for wrong in ["2/logo@3x.png", "1/template.toml", "0/logo.png", "-1/logo.png", "x/logo.png", "1/..%2F..%2Fmaster.key"] {
            let url = format!("{}/i/{}/{}/{wrong}", app.url, app.one.brand.code, view["template_id"].as_str().unwrap());
            assert_eq!(app.http.get(url).send().await.unwrap().status(), 404, "{wrong}");
        }
    }
}
