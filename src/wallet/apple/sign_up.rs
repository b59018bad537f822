//! `personalization.json`: the form that a phone shows before it adds the pass (Apple, "Personalize").

use serde_json::json;

use crate::wallet::design::{SignUp, SignUpField};

pub fn form(sign_up: &SignUp) -> Vec<u8> {
    let field = |field: &SignUpField| match field {
        SignUpField::Name => "PKPassPersonalizationFieldName",
        SignUpField::PostalCode => "PKPassPersonalizationFieldPostalCode",
        SignUpField::Email => "PKPassPersonalizationFieldEmailAddress",
        SignUpField::Phone => "PKPassPersonalizationFieldPhoneNumber",
    };
    let mut form = json!({
        "requiredPersonalizationFields": sign_up.fields.iter().map(field).collect::<Vec<_>>(),
        "description": sign_up.description,
    });
    if let (Some(terms), Some(form)) = (&sign_up.terms, form.as_object_mut()) {
        form.insert("termsAndConditions".to_owned(), json!(terms));
    }
    form.to_string().into_bytes()
}
