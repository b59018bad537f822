//! What the brand's own app is told of a pass: what it says now, and what of it is news to an installation that was told
//! before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::content::{Content, FieldRole, Text};
use crate::domain::ids::PassId;
use crate::domain::locale::Locale;
use crate::domain::pass::{PassKind, PassStatus};
use crate::domain::text::text_enum;

text_enum! {
    /// Who delivers messages to an installation.
    pub enum AppService {
        Fcm = "fcm",
        Apns = "apns",
    }
}

text_enum! {
    /// What an installation runs on.
    pub enum AppPlatform {
        Android = "android",
        Ios = "ios",
    }
}

/// Passes that one message names, lines of its text, and bytes of a line at most: a message has 4 KiB, as JSON.
const PASSES_MAX: usize = 20;
const LINES_MAX: usize = 4;
const LINE_MAX: usize = 120;

/// What an app shows of a pass. About a person: no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: PassKind,
    pub status: PassStatus,
    pub organization: Text,
    /// The offer, the event, or what the pass is.
    pub headline: Text,
    pub lines: Vec<Line>,
}

/// A field, as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub key: String,
    pub role: FieldRole,
    pub value: Text,
    /// Said when the value changes; `%@` stands for the new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
}

/// What an installation knows of a pass.
#[derive(Clone, PartialEq, Eq)]
pub enum Known {
    /// It never heard of it.
    Nothing,
    /// It may know it; what it knows was not kept.
    Something,
    Notice(Notice),
}

/// Whether apps are told of a field that has no message of its own.
const fn is_told(role: FieldRole) -> bool {
    matches!(
        role,
        FieldRole::Balance
            | FieldRole::SecondaryBalance
            | FieldRole::Tier
            | FieldRole::NextReward
            | FieldRole::Expiry
            | FieldRole::Offer
    )
}

impl Notice {
    pub fn of(content: &Content) -> Self {
        let fields = content.fields.iter().filter(|field| is_told(field.role) || field.change_message.is_some());
        let lines = fields.map(|field| Line {
            key: field.key.clone(),
            role: field.role,
            value: content.spoken(&field.value),
            message: field.change_message.clone(),
        });
        let said = |role| content.field(role).map(|field| content.spoken(&field.value));
        let event = content.event.as_ref().map(|event| event.name.clone());
        let headline = match content.kind {
            PassKind::Coupon => {
                said(FieldRole::Offer).or_else(|| content.offer.as_ref().map(|offer| offer.title.clone()))
            }
            PassKind::Event => event.or_else(|| said(FieldRole::EventName)),
            PassKind::Loyalty | PassKind::Generic => None,
        };
        Self {
            kind: content.kind,
            status: content.status,
            organization: content.organization.clone(),
            headline: headline.unwrap_or_else(|| content.description.clone()),
            lines: lines.collect(),
        }
    }

    /// What is to be said to somebody who knows this much; empty: the app is told, and says nothing. `None`: they know it
    /// all.
    pub fn news(&self, known: &Known, locale: Locale) -> Option<Vec<String>> {
        match known {
            Known::Notice(before) if before == self => None,
            Known::Nothing if self.status.is_good() => Some(self.greeting(locale).into_iter().collect()),
            Known::Nothing | Known::Something => Some(Vec::new()),
            // Whoever used a coupon knows it, and a card that was taken back is no news for a lock screen.
            Known::Notice(_) if !self.status.is_good() => Some(Vec::new()),
            Known::Notice(before) => {
                let old = |key: &str| before.lines.iter().find(|line| line.key == key).map(|line| &line.value);
                let changed = self.lines.iter().filter(|line| old(&line.key) != Some(&line.value));
                Some(changed.filter_map(|line| line.said(locale)).collect())
            }
        }
    }

    /// A card was asked for; a coupon or an invitation comes by itself.
    fn greeting(&self, locale: Locale) -> Option<String> {
        let word = match (self.kind, locale) {
            (PassKind::Coupon, Locale::PtBr) => "Novo cupom",
            (PassKind::Coupon, Locale::En) => "New coupon",
            (PassKind::Coupon, Locale::Es) => "Nuevo cupón",
            (PassKind::Event, Locale::PtBr) => "Novo convite",
            (PassKind::Event, Locale::En) => "New invitation",
            (PassKind::Event, Locale::Es) => "Nueva invitación",
            (PassKind::Loyalty | PassKind::Generic, _) => return None,
        };
        Some(cut(&format!("{word}: {}", self.headline.in_locale(locale))))
    }
}

impl Line {
    fn said(&self, locale: Locale) -> Option<String> {
        let message = self.message.as_ref()?.in_locale(locale);
        Some(cut(&message.replace("%@", self.value.in_locale(locale))))
    }
}

fn cut(text: &str) -> String {
    if text.len() <= LINE_MAX {
        return text.to_owned();
    }
    let mut text = text.to_owned();
    text.truncate(text.floor_char_boundary(LINE_MAX - '…'.len_utf8()));
    text.push('…');
    text
}

/// One message to one installation. About a person: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AppMessage {
    /// The same when it is sent again: whoever has it shows it once.
    pub id: String,
    pub title: String,
    /// What is shown; empty: the app is woken, and nothing is shown.
    pub body: String,
    /// For the app itself.
    pub data: BTreeMap<&'static str, String>,
    /// What the app's icon shows: coupons that can be used.
    pub badge: u32,
    /// What is shown under one heading: the pass, where it is one.
    pub thread: Option<String>,
}

impl AppMessage {
    pub const fn is_shown(&self) -> bool {
        !self.body.is_empty()
    }

    /// `None`: nothing of it is news.
    pub fn new(id: String, passes: &[(PassId, Known, Notice)], badge: u32, locale: Locale) -> Option<Self> {
        let news = passes.iter().filter_map(|(pass, known, now)| Some((*pass, now, now.news(known, locale)?)));
        let news: Vec<_> = news.collect();
        let (_, first, _) = news.first()?;
        let ids: Vec<String> = news.iter().take(PASSES_MAX).map(|(pass, ..)| pass.to_string()).collect();
        let mut data = BTreeMap::from([("type", "passes.changed".to_owned()), ("pass_ids", ids.join(","))]);
        let mut thread = None;
        if let [(pass, notice, _)] = news.as_slice() {
            data.insert("kind", notice.kind.to_string());
            data.insert("status", notice.status.to_string());
            for line in notice.lines.iter().filter(|line| is_told(line.role)) {
                data.entry(line.role.as_str()).or_insert_with(|| cut(line.value.in_locale(locale)));
            }
            thread = Some(pass.to_string());
        }
        let title = cut(first.organization.in_locale(locale));
        let lines: Vec<String> = news.iter().flat_map(|(_, _, lines)| lines.iter().cloned()).take(LINES_MAX).collect();
        Some(Self { id, title, body: lines.join("\n"), data, badge, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn text(text: &str) -> Text {
        Text::literal(text.to_owned())
    }

    fn line(key: &str, role: FieldRole, value: &str, message: Option<&str>) -> Line {
        Line { key: key.to_owned(), role, value: text(value), message: message.map(text) }
    }

    fn card(points: &str, tier: &str) -> Notice {
        Notice {
            kind: PassKind::Loyalty,
            status: PassStatus::Active,
            organization: text("Padaria Aurora"),
            headline: text("Clube"),
            lines: vec![
                line("points", FieldRole::Balance, points, Some("Agora são %@ pontos")),
                line("tier", FieldRole::Tier, tier, None),
            ],
        }
    }

    fn pass(id: u128) -> PassId {
        PassId::new(Uuid::from_u128(id))
    }

    #[test]
    fn what_is_said_is_what_changed_and_has_a_message() {
        let now = card("1.250", "Ouro");
        let said = |before: Notice| now.news(&Known::Notice(before), Locale::PtBr);
        assert_eq!(said(card("1.250", "Ouro")), None);
        assert_eq!(said(card("10", "Ouro")), Some(vec!["Agora são 1.250 pontos".to_owned()]));
        assert_eq!(said(card("1.250", "Prata")), Some(vec![]), "told, and nothing is shown");
        assert_eq!(now.news(&Known::Nothing, Locale::PtBr), Some(vec![]), "a card was asked for");
        assert_eq!(now.news(&Known::Something, Locale::PtBr), Some(vec![]));
        let over = Notice { status: PassStatus::Voided, ..card("0", "Ouro") };
        assert_eq!(over.news(&Known::Notice(now), Locale::PtBr), Some(vec![]));
    }

    #[test]
    fn a_new_coupon_is_greeted_in_the_readers_language() {
        let coupon = Notice { kind: PassKind::Coupon, headline: text("20 % off"), ..card("", "") };
        let said = |locale| coupon.news(&Known::Nothing, locale).unwrap();
        assert_eq!(said(Locale::PtBr), ["Novo cupom: 20 % off"]);
        assert_eq!(said(Locale::En), ["New coupon: 20 % off"]);
        let used = Notice { status: PassStatus::Voided, ..coupon };
        assert_eq!(used.news(&Known::Nothing, Locale::En), Some(vec![]));
    }

    #[test]
    fn one_message_tells_of_all_passes_and_fits() {
        let one = [(pass(1), Known::Notice(card("1", "Ouro")), card("2", "Ouro"))];
        let message = AppMessage::new("m".to_owned(), &one, 3, Locale::PtBr).unwrap();
        assert_eq!((message.title.as_str(), message.body.as_str()), ("Padaria Aurora", "Agora são 2 pontos"));
        assert_eq!((message.data["balance"].as_str(), message.data["tier"].as_str()), ("2", "Ouro"));
        assert_eq!(message.thread, Some(pass(1).to_string()));

        let long = "ç".repeat(5_000);
        let many: Vec<_> = (0..90).map(|id| (pass(id), Known::Notice(card("1", "")), card(&long, &long))).collect();
        let message = AppMessage::new("m".to_owned(), &many, 3, Locale::PtBr).unwrap();
        assert!(!message.data.contains_key("balance") && message.body.lines().count() == LINES_MAX);
        // What is escaped takes twice its length.
        for text in [long, "\"".repeat(5_000), "☕".repeat(5_000)] {
            let roles = FieldRole::ALL.iter().filter(|role| is_told(**role));
            let lines = roles.map(|role| line(role.as_str(), *role, &text, Some("%@"))).collect();
            let notice = Notice { lines, ..card("", "") };
            let one = [(pass(1), Known::Notice(card("", "")), notice)];
            let message = AppMessage::new("m".repeat(64), &one, 3, Locale::PtBr).unwrap();
            let size = serde_json::json!([message.title, message.body, message.data]).to_string().len();
            assert!(size < 3_000, "{size}");
        }
        assert!(
            AppMessage::new("m".to_owned(), &[(pass(1), Known::Notice(card("1", "")), card("1", ""))], 0, Locale::En)
                .is_none()
        );
    }
}
