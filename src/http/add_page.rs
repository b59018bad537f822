//! `/p/{link}`: the page a customer adds a pass from, in their language, without JavaScript; and the bundle behind it.
//! The link is the only secret here: it is in no log and in no `Referer`.

use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, USER_AGENT,
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
use crate::http::bundle_body::{etag, if_modified_since, not_modified, respond};
use crate::service::{App, Problem, bundles, read_pass, templates};
use crate::store::passes::Pass;

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

/// The page's own sentences.
struct Words {
    add_title: &'static str,
    add_text: &'static str,
    add_apple: &'static str,
    google_soon: &'static str,
    desktop_title: &'static str,
    desktop_text: &'static str,
    download: &'static str,
    qr_label: &'static str,
    voided_title: &'static str,
    voided_text: &'static str,
    expired_title: &'static str,
    expired_text: &'static str,
    missing_title: &'static str,
    missing_text: &'static str,
    trouble_title: &'static str,
    trouble_text: &'static str,
}

const fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::PtBr => &Words {
            add_title: "Seu cartão está pronto",
            add_text: "Toque no botão para guardá-lo na Carteira do iPhone. Sem aplicativo, sem senha.",
            add_apple: "Adicionar à Carteira da Apple",
            google_soon: "A Carteira do Google ainda não está disponível para este cartão. Abra este link em um iPhone, ou guarde-o para depois.",
            desktop_title: "Abra no seu celular",
            desktop_text: "Aponte a câmera do celular para o código e adicione o cartão à sua carteira.",
            download: "Baixar o cartão (.pkpass)",
            qr_label: "Código QR com o endereço desta página",
            voided_title: "Este cartão não vale mais",
            voided_text: "Ele foi cancelado ou substituído por outro. Peça um novo link na loja.",
            expired_title: "Este cartão venceu",
            expired_text: "O prazo dele terminou. Peça um novo na loja.",
            missing_title: "Não encontramos este cartão",
            missing_text: "Confira se o link está completo, ou peça um novo na loja.",
            trouble_title: "Um momento, por favor",
            trouble_text: "Não conseguimos preparar o cartão agora. Tente de novo em alguns instantes.",
        },
        Locale::En => &Words {
            add_title: "Your card is ready",
            add_text: "Tap the button to keep it in Wallet on your iPhone. No app, no password.",
            add_apple: "Add to Apple Wallet",
            google_soon: "Google Wallet is not available for this card yet. Open this link on an iPhone, or keep it for later.",
            desktop_title: "Open it on your phone",
            desktop_text: "Point your phone's camera at the code and add the card to your wallet.",
            download: "Download the card (.pkpass)",
            qr_label: "QR code with the address of this page",
            voided_title: "This card is no longer valid",
            voided_text: "It was cancelled or replaced by another. Ask for a new link at the shop.",
            expired_title: "This card has expired",
            expired_text: "Its time is over. Ask for a new one at the shop.",
            missing_title: "We cannot find this card",
            missing_text: "Check that the link is complete, or ask for a new one at the shop.",
            trouble_title: "One moment, please",
            trouble_text: "We cannot prepare the card right now. Try again in a little while.",
        },
        Locale::Es => &Words {
            add_title: "Tu tarjeta está lista",
            add_text: "Toca el botón para guardarla en la Cartera de tu iPhone. Sin aplicación, sin contraseña.",
            add_apple: "Añadir a la Cartera de Apple",
            google_soon: "La Billetera de Google aún no está disponible para esta tarjeta. Abre este enlace en un iPhone, o guárdalo para después.",
            desktop_title: "Ábrela en tu móvil",
            desktop_text: "Apunta la cámara del móvil al código y añade la tarjeta a tu cartera.",
            download: "Descargar la tarjeta (.pkpass)",
            qr_label: "Código QR con la dirección de esta página",
            voided_title: "Esta tarjeta ya no es válida",
            voided_text: "Fue cancelada o sustituida por otra. Pide un nuevo enlace en la tienda.",
            expired_title: "Esta tarjeta ha caducado",
            expired_text: "Su plazo terminó. Pide una nueva en la tienda.",
            missing_title: "No encontramos esta tarjeta",
            missing_text: "Comprueba que el enlace esté completo, o pide uno nuevo en la tienda.",
            trouble_title: "Un momento, por favor",
            trouble_text: "No podemos preparar la tarjeta ahora. Inténtalo de nuevo en unos instantes.",
        },
    }
}

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.add_template("add", include_str!("pages/add.html")).expect("a test renders the page");
    pages
});

#[derive(Debug, Clone, Serialize)]
struct Shown {
    label: String,
    value: String,
}

/// The card as a picture of HTML.
#[derive(Debug, Clone, Default, Serialize)]
struct Card {
    title: String,
    description: String,
    background: String,
    foreground: String,
    label: String,
    logo: String,
    strip: String,
    header: Vec<Shown>,
    fields: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Anchor {
    href: String,
    label: &'static str,
}

#[derive(Debug, Default)]
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
    let words = words(locale);
    let translate = |text: &str| {
        let known = texts.iter().find(|known| known.default == text);
        known.map_or(text, |known| known.in_locale(locale)).to_owned()
    };
    let base = format!("/i/{}/{}/{}/", brand.code, pass.template_id, published.template_version);
    let json: Map<String, Value> = serde_json::from_slice(&published.apple).unwrap_or_default();
    let mut view =
        View { card: draw(&json, &base, &images, translate, locale), brand: brand.name.clone(), ..View::default() };
    fill(&mut view, &request, &app, &pass, words);
    render(StatusCode::OK, locale, &view)
}

fn fill(view: &mut View, request: &HttpRequest, app: &App, pass: &Pass, words: &'static Words) {
    let address = format!("/p/{}", pass.link.reveal());
    let bundle = format!("{address}/apple.pkpass");
    match pass.status {
        PassStatus::Voided => {
            (view.is_over, view.heading, view.text) = (true, words.voided_title, words.voided_text);
            return;
        }
        PassStatus::Expired => {
            (view.is_over, view.heading, view.text) = (true, words.expired_title, words.expired_text);
            return;
        }
        PassStatus::Active => {}
    }
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match Device::of(user_agent) {
        Device::Apple => {
            (view.heading, view.text) = (words.add_title, words.add_text);
            view.button = Some(Anchor { href: bundle, label: words.add_apple });
        }
        Device::Android => {
            (view.heading, view.text) = (words.add_title, words.google_soon);
            view.other = Some(Anchor { href: bundle, label: words.download });
        }
        Device::Desktop => {
            (view.heading, view.text) = (words.desktop_title, words.desktop_text);
            view.qr = qr(&format!("{}{address}", app.config.server.public_url));
            view.other = Some(Anchor { href: bundle, label: words.download });
        }
    }
}

/// A link that leads nowhere, or trouble of ours, as a page.
fn explain(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let locale = locale_of(request, Locale::PtBr);
    let words = words(locale);
    let status = actix_web::ResponseError::status_code(problem);
    let (heading, text) = if status == StatusCode::NOT_FOUND {
        (words.missing_title, words.missing_text)
    } else {
        // For its log line; the page says it in the visitor's language.
        drop(actix_web::ResponseError::error_response(problem));
        (words.trouble_title, words.trouble_text)
    };
    render(status, locale, &View { heading, text, ..View::default() })
}

/// The front of the published pass.
fn draw(
    pass: &Map<String, Value>,
    base: &str,
    images: &[String],
    translate: impl Fn(&str) -> String,
    locale: Locale,
) -> Card {
    let text = |key: &str| pass.get(key).and_then(Value::as_str).unwrap_or_default();
    let image =
        |name: &str| if images.iter().any(|known| known == name) { format!("{base}{name}") } else { String::new() };
    let fields = |area: &str| {
        let list = pass.get("storeCard").and_then(|card| card.get(area)).and_then(Value::as_array);
        let list = list.cloned().unwrap_or_default();
        list.iter()
            .map(|field| Shown {
                label: translate(field.get("label").and_then(Value::as_str).unwrap_or_default()),
                value: match field.get("value") {
                    Some(Value::String(text)) => translate(text),
                    Some(Value::Number(number)) => grouped(&number.to_string(), locale),
                    _ => String::new(),
                },
            })
            .collect::<Vec<_>>()
    };
    let title = if text("logoText").is_empty() { text("organizationName") } else { text("logoText") };
    Card {
        title: translate(title),
        description: translate(text("description")),
        background: text("backgroundColor").to_owned(),
        foreground: text("foregroundColor").to_owned(),
        label: text("labelColor").to_owned(),
        logo: image("logo@2x.png"),
        strip: image("strip@2x.png"),
        header: fields("headerFields"),
        fields: ["primaryFields", "secondaryFields", "auxiliaryFields"].iter().flat_map(|area| fields(area)).collect(),
    }
}

/// `12345` as `12.345` or `12,345`.
fn grouped(number: &str, locale: Locale) -> String {
    let separator = match locale {
        Locale::PtBr | Locale::Es => '.',
        Locale::En => ',',
    };
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(separator);
        }
        text.push(digit);
    }
    text
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
        Ok(Some((bundles::load(&app, brand.id, pass.id).await?, pass.serial)))
    });
    match loaded.await {
        Ok(Some((served, serial))) => {
            let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
            let is_known = match known {
                Some(tags) => {
                    tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag(&served.apple_hash))
                }
                None => if_modified_since(&request) == Some(served.last_modified),
            };
            if is_known { not_modified(served.last_modified) } else { respond(&served, &serial) }
        }
        // The page says why.
        Ok(None) => see_page(&request),
        Err(problem) => explain(&request, &problem),
    }
}

/// `GET /p/{link}/google`: the page knows what can be done.
pub async fn google(request: HttpRequest) -> HttpResponse {
    see_page(&request)
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

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!(grouped("1234567", Locale::PtBr), "1.234.567");
        assert_eq!(grouped("-1234", Locale::En), "-1,234");
        assert_eq!(grouped("999", Locale::Es), "999");
    }
}
