//! Google Wallet's classes and objects, as JSON. Sending them is a client's business.

pub mod account;
pub mod dictionary;
mod event_ticket;
mod generic;
mod loyalty;
mod offer;
mod parts;
pub mod save_link;

use serde_json::{Map, Value as Json};

pub use self::parts::{field_in, object_id};

use crate::domain::content::Content;
use crate::domain::ids::TemplateId;
use crate::domain::pass::PassKind;

/// Whose objects these are and where Google fetches their images.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub issuer_id: &'a str,
    pub template: TemplateId,
    /// `https://…/i/<brand>/<template>/<version>/`: images follow by name. Versioned, because Google caches.
    pub images_url: &'a str,
    /// The names of the design's images.
    pub images: &'a [&'a str],
    /// The keys of the fields that the design shows on the card, whether a pass has them or not: a class is many passes'.
    pub card: &'a [&'a str],
}

/// The class that the pass's object belongs to. Texts that Google keeps on classes come from the pass at hand: passes whose
/// offer, event or tier differ have classes of their own.
pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    let mut class = match content.kind {
        PassKind::Loyalty => loyalty::class(content, place),
        PassKind::Coupon => offer::class(content, place),
        PassKind::Event => event_ticket::class(content, place),
        PassKind::Generic => generic::class(content, place),
    };
    if let Some(rows) = parts::card_rows(place.card) {
        parts::put(&mut class, "classTemplateInfo", rows);
    }
    merge(class, &content.extras.google_class)
}

/// The object of a pass.
pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let object = match content.kind {
        PassKind::Loyalty => loyalty::object(content, place),
        PassKind::Coupon => offer::object(content, place),
        PassKind::Event => event_ticket::object(content, place),
        PassKind::Generic => generic::object(content, place),
    };
    merge(object, &content.extras.google_object)
}

/// What the template says in Google's words goes on top; objects are joined member by member.
fn merge(mut base: Json, own: &Map<String, Json>) -> Json {
    fn join(base: &mut Json, own: &Json) {
        match (base, own) {
            (Json::Object(base), Json::Object(own)) => {
                for (name, value) in own {
                    join(base.entry(name).or_insert(Json::Null), value);
                }
            }
            (base, own) => *base = own.clone(),
        }
    }
    if let Json::Object(base) = &mut base {
        for (name, value) in own {
            join(base.entry(name).or_insert(Json::Null), value);
        }
    }
    base
}
