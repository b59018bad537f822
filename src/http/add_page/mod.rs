//! `/p/{link}`: the page a customer adds a pass from, in their language, without JavaScript; and the bundle behind it.
//! The link is the only secret here: it is in no log and in no `Referer`.

mod card;
mod words;

use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, USER_AGENT,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use qrcode::{EcLevel, QrCode, render::svg};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::locale::Locale;
use crate::domain::pass::PassStatus;
use crate::http::badges::Badges;
use crate::http::bundle_body::{etag, if_modified_since, not_modified, respond};
use crate::service::{App, Problem, bundles, deliver, read_pass, save_link, templates};
use crate::store::passes::Pass;
use crate::wallet::apple::several::{PASSES_MAX, PKPASSES, put_together};

use card::{Card, draw};
use words::{Words, words};

/// What the visitor holds in their hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Apple,
    Android,
    Desktop,
}

impl Device {
    fn of(user_agent: &str) -> Self {
        if ["iPhone", "iPad", "iPod"].iter().any(|name| user_agent.contains(name)) {
            Self::Apple
        } else if user_agent.contains("Android") {
            Self::Android
        } else {
            Self::Desktop
        }
    }
}

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.add_template("add", include_str!("page.html")).expect("a test renders the page");
    pages
});

#[derive(Debug, Serialize)]
struct Anchor {
    href: String,
    label: &'static str,
    /// The address of official artwork to show instead of the label.
    badge: Option<String>,
}

#[derive(Default)]
struct View {
    card: Card,
    brand: String,
    is_over: bool,
    heading: &'static str,
    text: &'static str,
    qr: Option<String>,
    button: Option<Anchor>,
    other: Option<Anchor>,
}

fn locale_of(request: &HttpRequest, fallback: Locale) -> Locale {
    let asked = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    asked.map_or(fallback, |asked| Locale::negotiate(asked, fallback))
}

fn render(status: StatusCode, locale: Locale, view: &View) -> HttpResponse {
    let page = PAGES.get_template("add").and_then(|page| {
        page.render(context! {
            lang => locale.as_str(),
            title => if view.brand.is_empty() { view.heading.to_owned() } else { format!("{} · {}", view.heading, view.brand) },
            card => Serde(view.card.clone()),
            brand => view.brand.as_str(),
            over => view.is_over,
            heading => view.heading,
            text => view.text,
            qr => view.qr.as_deref(),
            qr_label => words(locale).qr_label,
            button => view.button.as_ref().map(Serde),
            other => view.other.as_ref().map(Serde),
        })
    });
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"))
        .insert_header(("Vary", "Accept-Language, User-Agent"))
        .content_type("text/html; charset=utf-8");
    match page {
        Ok(page) => response.body(page),
        Err(error) => {
            tracing::error!(%error, "the add page does not render");
            response.status(StatusCode::INTERNAL_SERVER_ERROR).finish()
        }
    }
}

/// `GET /p/{link}`.
pub async fn page(request: HttpRequest, app: Data<App>, path: Path<String>) -> HttpResponse {
    let link = path.into_inner();
    let loaded = app.run(async move |app| {
        let (brand, pass) = read_pass::find_by_link(&app, &link).await?;
        let published = read_pass::find_published(&app, brand.id, pass.id).await?;
        let version = templates::load(&app, brand.id, pass.template_id, published.template_version).await?;
        let design = version.renderer.design();
        let images: Vec<String> = design.images.keys().cloned().collect();
        Ok((brand, pass, published, design.texts.clone(), images))
    });
    let (brand, pass, published, texts, images) = match loaded.await {
        Ok(loaded) => loaded,
        Err(problem) => return explain(&request, &problem),
    };
    let locale = locale_of(&request, brand.locale);
    let translate = |text: &str| {
        let known = texts.iter().find(|known| known.default == text);
        known.map_or(text, |known| known.in_locale(locale)).to_owned()
    };
    let base = format!("/i/{}/{}/{}/", brand.code, pass.template_id, published.template_version);
    let json: Map<String, Value> = serde_json::from_slice(&published.apple).unwrap_or_default();
    let mut view =
        View { card: draw(&json, &base, &images, translate, locale), brand: brand.name.clone(), ..View::default() };
    let has_google = deliver::google::issuer(&app, &brand.code).is_ok();
    fill(&mut view, &request, &app, &pass, locale, has_google);
    render(StatusCode::OK, locale, &view)
}

fn fill(view: &mut View, request: &HttpRequest, app: &App, pass: &Pass, locale: Locale, has_google: bool) {
    let words: &'static Words = words(locale);
    let address = format!("/p/{}", pass.link.reveal());
    let bundle = format!("{address}/apple.pkpass");
    match pass.status {
        // The link may be in wrong hands, or be the reason for a reissue: it no longer tells what is on the card.
        PassStatus::Voided => {
            view.card.forget_fields();
            (view.is_over, view.heading, view.text) = (true, words.voided_title, words.voided_text);
            return;
        }
        PassStatus::Expired => {
            view.card.forget_fields();
            (view.is_over, view.heading, view.text) = (true, words.expired_title, words.expired_text);
            return;
        }
        PassStatus::Active => {}
    }
    let badges = request.app_data::<Data<Badges>>();
    let google = has_google.then(|| {
        let badge = badges.and_then(|badges| badges.google(locale));
        Anchor { href: format!("{address}/google"), label: words.add_google, badge }
    });
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match Device::of(user_agent) {
        Device::Apple => {
            (view.heading, view.text) = (words.add_title, words.add_text);
            let badge = badges.and_then(|badges| badges.apple(locale));
            view.button = Some(Anchor { href: bundle, label: words.add_apple, badge });
        }
        Device::Android => {
            let text = if google.is_some() { words.add_text_google } else { words.no_google };
            (view.heading, view.text) = (words.add_title, text);
            view.button = google;
            view.other = Some(Anchor { href: bundle, label: words.download, badge: None });
        }
        Device::Desktop => {
            (view.heading, view.text) = (words.desktop_title, words.desktop_text);
            view.qr = qr(&format!("{}{address}", app.config.server.public_url));
            view.button = google;
            view.other = Some(Anchor { href: bundle, label: words.download, badge: None });
        }
    }
}

/// A link that leads nowhere, or trouble of ours, as a page.
fn explain(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let locale = locale_of(request, Locale::PtBr);
    let words = words(locale);
    let status = actix_web::ResponseError::status_code(problem);
    if status == StatusCode::NOT_FOUND {
        let view = View { heading: words.missing_title, text: words.missing_text, ..View::default() };
        return render(status, locale, &view);
    }
    let mut page =
        render(status, locale, &View { heading: words.trouble_title, text: words.trouble_text, ..View::default() });
    // It writes the log line too; the page says it in the visitor's language.
    if let Some(wait) = actix_web::ResponseError::error_response(problem).headers().get(RETRY_AFTER) {
        page.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    page
}

fn qr(address: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(address, EcLevel::M).ok()?;
    let picture = code.render::<svg::Color<'_>>().quiet_zone(false).min_dimensions(200, 200).build();
    // Inside HTML an SVG needs no XML declaration.
    picture.find("<svg").and_then(|at| picture.get(at..)).map(str::to_owned)
}

/// `GET /p/{link}/apple.pkpass`.
pub async fn bundle(request: HttpRequest, app: Data<App>, path: Path<String>) -> HttpResponse {
    let link = path.into_inner();
    let loaded = app.run(async move |app| {
        let (brand, pass) = read_pass::find_by_link(&app, &link).await?;
        if !pass.status.is_good() {
            return Ok(None);
        }
        Ok(Some((bundles::load(&app, brand.id, pass.id, None).await?, pass.serial)))
    });
    match loaded.await {
        Ok(Some((served, serial))) => {
            let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
            let is_known = match known {
                Some(tags) => {
                    tags.split(',').any(|tag| matches!(tag.trim().trim_start_matches("W/"), tag if tag == "*" || tag == etag(&served.apple_hash)))
                }
                None => if_modified_since(&request) == Some(served.last_modified),
            };
            if is_known { not_modified(served.last_modified, &served.apple_hash) } else { respond(&served, &serial) }
        }
        // The page says why.
        Ok(None) => see_page(&request),
        Err(problem) => explain(&request, &problem),
    }
}

/// `GET /p/{link},{link}…/apple.pkpasses`: up to 10 passes, which a phone adds with one tap. Each link opens its own pass,
/// and no more than it would alone; those that are over are left out.
pub async fn several(request: HttpRequest, app: Data<App>, path: Path<String>) -> HttpResponse {
    let links: Vec<String> = path.into_inner().split(',').map(ToOwned::to_owned).collect();
    let loaded = app.run(async move |app| {
        if links.len() > PASSES_MAX {
            return Err(Problem::invalid("", format!("at most {PASSES_MAX} passes")));
        }
        let mut passes = Vec::with_capacity(links.len());
        for link in &links {
            let (brand, pass) = read_pass::find_by_link(&app, link).await?;
            if pass.status.is_good() {
                passes.push(bundles::load(&app, brand.id, pass.id, None).await?.bundle.to_vec());
            }
        }
        if passes.is_empty() {
            return Err(Problem::NotFound { what: "pass" });
        }
        put_together(&passes).map_err(|error| Problem::invalid("", error.to_string()))
    });
    match loaded.await {
        Ok(together) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "private, no-store"))
            .insert_header((CONTENT_DISPOSITION, "inline; filename=\"passes.pkpasses\""))
            .content_type(PKPASSES)
            .body(together),
        Err(problem) => explain(&request, &problem),
    }
}

/// `GET /p/{link}/google`: on to Google, which holds the pass's object by then. The link is made for this click.
pub async fn google(request: HttpRequest, app: Data<App>, path: Path<String>) -> HttpResponse {
    let link = path.into_inner();
    match app.run(async move |app| save_link::make(&app, &link).await).await {
        Ok(address) => HttpResponse::SeeOther()
            .insert_header((LOCATION, address.reveal().as_str()))
            .insert_header((CACHE_CONTROL, "private, no-store"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .finish(),
        // The page says what can be done instead.
        Err(Problem::NoGoogle) => see_page(&request),
        Err(problem) => explain(&request, &problem),
    }
}

fn see_page(request: &HttpRequest) -> HttpResponse {
    let page = request.path().rsplit_once('/').map_or("/", |(page, _)| page);
    debug_assert!(matches!(*request.method(), Method::GET | Method::HEAD));
    HttpResponse::SeeOther().insert_header((LOCATION, page)).insert_header((CACHE_CONTROL, "no-store")).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_the_phone() {
        let cases = [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15", Device::Apple),
            ("Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 Chrome/150", Device::Android),
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", Device::Desktop),
            ("", Device::Desktop),
        ];
        for (user_agent, device) in cases {
            assert_eq!(Device::of(user_agent), device, "{user_agent}");
        }
    }

    #[test]
    fn the_page_renders_and_escapes() {
        let card = Card { title: "<script>alert(1)</script>".to_owned(), ..Card::default() };
        let view = View { card, heading: "h", text: "t", ..View::default() };
        let response = render(StatusCode::OK, Locale::En, &view);
        assert_eq!(response.status(), StatusCode::OK);
        let body = actix_web::body::to_bytes(response.into_body());
        let body = futures_util::FutureExt::now_or_never(body).unwrap().unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("&lt;script&gt;") && !body.contains("<script>"), "{body}");
    }
}
