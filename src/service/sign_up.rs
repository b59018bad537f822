//! A phone's sign-up form: what its holder typed in before adding a pass (Apple, "Return a personalized pass").

use serde_json::{Map, Value, json};

use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::apple_devices::{PassRef, authenticate};
use crate::service::bundles::{self, usable_signer};
use crate::service::customers::{self, Details};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, templates};
use crate::store::brands::Brand;
use crate::store::passes;
use crate::store::publication::{self, ServedState};
use crate::wallet::design::SignUpField;

/// What was typed in, by the form's fields; what was not asked for is passed over.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    pub given_name: Option<Personal<String>>,
    pub family_name: Option<Personal<String>>,
    pub full_name: Option<Personal<String>>,
    pub email: Option<Personal<String>>,
    pub phone: Option<Personal<String>>,
    pub postal_code: Option<Personal<String>>,
    pub country: Option<Personal<String>>,
}

/// Bytes of a phone's token at most.
const TOKEN_MAX: usize = 512;

/// Characters of one answer at most.
const ANSWER_MAX: usize = 200;

/// Keeps the answers with the customer (`attributes.sign_up`), names a customer who had no name, and signs the phone's token.
/// Asking again keeps nothing new and signs again: the phone may not have heard the first answer. What a stranger types in
/// is no proof, so an e-mail or a phone number from here finds no customer.
///
/// `pass` comes with a token or without: Apple's documentation names none, phones were seen to send it.
pub async fn sign_up(
    app: &App,
    brand: &Brand,
    pass: &PassRef,
    has_token: bool,
    token: &[u8],
    answers: &Answers,
) -> Result<Vec<u8>, Problem> {
    // Signed is what a pass's manifest is signed with: anything that could be one is refused, or whoever holds a card could
    // make any other.
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_.:-".contains(byte);
    if !(1..=TOKEN_MAX).contains(&token.len()) || !token.iter().all(is_token) {
        return Err(Problem::BadJson { detail: "a personalizationToken is wanted".to_owned() });
    }
    let served = if has_token { authenticate(app, brand, pass).await? } else { find(app, brand, pass).await? };
    let template = templates::load(app, brand.id, served.template_id, served.template_version).await?;
    let Some(form) = &template.renderer.design().sign_up else { return Err(Problem::NotFound { what: "form" }) };
    let signer = usable_signer(app, &pass.pass_type)?;
    let kept = asked_for(&form.fields, answers);
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // The customer before their passes, as everybody locks them.
    let known = crate::store::customers::find_for_update(&mut tx.conn(), brand.id, served.customer_id).await?;
    if passes::set_signed_up(&mut tx.conn(), brand.id, served.pass_id, now).await? {
        let name = kept.get("name").and_then(Value::as_str).map(|name| Personal::new(name.to_owned()));
        let is_nameless = known.is_some_and(|customer| customer.name.is_none());
        let attributes = json!({ "sign_up": kept }).as_object().cloned().unwrap_or_default();
        let details = Details {
            name: name.filter(|_| is_nameless).map(Some),
            attributes: Some(Personal::new(attributes)),
            ..Details::default()
        };
        customers::change(app, &mut tx.conn(), brand.id, served.customer_id, &details, None).await?;
        let about =
            About { customer: Some(served.customer_id), pass: Some(served.pass_id), subject: served.pass_id.uuid() };
        timeline::record(app, &mut tx.conn(), brand.id, "pass.signed_up", about, json!({ "pass_id": served.pass_id }))
            .await?;
        tx.commit().await?;
        app.changed.notify_one();
    }
    let token = token.to_vec();
    bundles::in_turn(app, move || signer.sign(&token, now)).await?.map_err(Problem::internal)
}

async fn find(app: &App, brand: &Brand, pass: &PassRef) -> Result<ServedState, Problem> {
    let key = [(pass.pass_type.clone(), pass.serial.clone())];
    let found = publication::find_served(&mut app.db.read().await?.conn(), brand.id, &key).await?;
    // A serial of ours is a secret; another vendor's may be a number that anybody can count to.
    let found = found.into_iter().next().flatten().filter(|served| served.token_hash.is_none());
    found.ok_or(Problem::KeyUnknown)
}

/// The answers to what the form asks, as they are kept.
fn asked_for(fields: &[SignUpField], answers: &Answers) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut keep = |name: &str, answer: &Option<Personal<String>>| {
        let plain = answer.as_ref().and_then(|answer| text::line(answer.reveal(), ANSWER_MAX).ok());
        if let Some(plain) = plain {
            kept.insert(name.to_owned(), Value::String(plain));
        }
    };
    for field in fields {
        match field {
            SignUpField::Name => keep("name", &name(answers)),
            SignUpField::Email => keep("email", &answers.email),
            SignUpField::Phone => keep("phone", &answers.phone),
            SignUpField::PostalCode => {
                keep("postal_code", &answers.postal_code);
                keep("country", &answers.country);
            }
        }
    }
    kept
}

/// The whole name, or its parts put together.
fn name(answers: &Answers) -> Option<Personal<String>> {
    let parts = [&answers.given_name, &answers.family_name].map(|part| part.as_ref().map(Personal::reveal));
    let joined = parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    answers.full_name.clone().or_else(|| (!joined.is_empty()).then(|| Personal::new(joined)))
}
