//! What customers are known by: card numbers, CPF, phone, e-mail, the brand's own ids.

use std::fmt;

/// A kind of identifier. Look-ups go by a normalised form, so that `123.456.789-09` and `12345678909` are one CPF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentifierKind {
    ExternalId,
    CardNumber,
    Cpf,
    Phone,
    Email,
    /// A kind of the brand's own: 1 to 32 of `a-z`, `0-9` and `_`, beginning with a letter.
    Custom(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentifier {
    #[error("a kind of identifier is 1 to 32 of a-z, 0-9 and _, beginning with a letter")]
    Kind,
    #[error("must have 1 to 100 characters, none of them a control character")]
    Text,
    #[error("is not a CPF: 11 digits, the last two of them check digits")]
    Cpf,
    #[error("is not a phone number with its country code, such as +55 11 91234-5678")]
    Phone,
    #[error("is not an e-mail address")]
    Email,
}

impl IdentifierKind {
    pub fn parse(kind: &str) -> Result<Self, BadIdentifier> {
        Ok(match kind {
            "external_id" => Self::ExternalId,
            "card_number" => Self::CardNumber,
            "cpf" => Self::Cpf,
            "phone" => Self::Phone,
            "email" => Self::Email,
            _ => {
                let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
                let good = kind.len() <= 32
                    && kind.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
                    && kind.bytes().all(word);
                // Words that a customer's selector uses for something else.
                if !good || matches!(kind, "id" | "code" | "identifier" | "name" | "locale") {
                    return Err(BadIdentifier::Kind);
                }
                Self::Custom(kind.to_owned())
            }
        })
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::ExternalId => "external_id",
            Self::CardNumber => "card_number",
            Self::Cpf => "cpf",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Custom(kind) => kind,
        }
    }

    /// Whether several customers may have the same: families share a phone and an e-mail address.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Phone | Self::Email)
    }

    /// The form that is kept, compared and looked up.
    pub fn normalise(&self, value: &str) -> Result<String, BadIdentifier> {
        let value = crate::domain::text::line(value, 100).map_err(|_| BadIdentifier::Text)?;
        match self {
            Self::ExternalId | Self::Custom(_) => Ok(value),
            // A till that writes "-" for "none" must not put all its customers on one card.
            Self::CardNumber => match value.replace([' ', '-'], "").to_uppercase() {
                number if number.is_empty() => Err(BadIdentifier::Text),
                number => Ok(number),
            },
            Self::Cpf => cpf(&value).ok_or(BadIdentifier::Cpf),
            Self::Phone => phone(&value).ok_or(BadIdentifier::Phone),
            Self::Email => email(&value).ok_or(BadIdentifier::Email),
        }
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Eleven digits whose last two are the check digits of the Receita Federal: weights 10…2 and 11…2, modulo 11.
fn cpf(value: &str) -> Option<String> {
    if value.chars().any(|c| !c.is_ascii_digit() && !matches!(c, '.' | '-' | ' ')) {
        return None;
    }
    let digits: Vec<u32> = value.chars().filter_map(|c| c.to_digit(10)).collect();
    let first = *digits.first()?;
    if digits.len() != 11 || digits.iter().all(|digit| *digit == first) {
        return None;
    }
    let check = |count: u32| {
        let weights = (2..=count + 1).rev();
        let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        (sum * 10 % 11) % 10
    };
    let good = digits.get(9) == Some(&check(9)) && digits.get(10) == Some(&check(10));
    good.then(|| digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect())
}

/// E.164: `+` and 8 to 15 digits.
fn phone(value: &str) -> Option<String> {
    let rest = value.strip_prefix('+')?;
    if rest.chars().any(|c| !c.is_ascii_digit() && !matches!(c, ' ' | '-' | '(' | ')' | '.')) {
        return None;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let good = (8..=15).contains(&digits.len()) && !digits.starts_with('0');
    good.then(|| format!("+{digits}"))
}

/// Lower-cased whole: providers that tell `Ana@` from `ana@` are gone, people who type both are not.
fn email(value: &str) -> Option<String> {
    let (user, host) = value.rsplit_once('@')?;
    let host_good = host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !host.chars().any(|c| c.is_whitespace() || c == '@');
    let good = !user.is_empty() && !user.chars().any(char::is_whitespace) && host_good;
    good.then(|| value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_kept_in_one_form() {
        let cases = [
            ("cpf", "529.982.247-25", Ok("52998224725")),
            ("cpf", "52998224724", Err(BadIdentifier::Cpf)),
            ("cpf", "111.111.111-11", Err(BadIdentifier::Cpf)),
            ("cpf", "5299822472x", Err(BadIdentifier::Cpf)),
            ("cpf", "", Err(BadIdentifier::Text)),
            ("phone", "+55 (11) 91234-5678", Ok("+5511912345678")),
            ("phone", "11 91234-5678", Err(BadIdentifier::Phone)),
            ("phone", "+1", Err(BadIdentifier::Phone)),
            ("email", "Ana.Souza@Example.COM", Ok("ana.souza@example.com")),
            ("email", "ana@example", Err(BadIdentifier::Email)),
            ("email", "ana souza@example.com", Err(BadIdentifier::Email)),
            ("card_number", "ab 12-34", Ok("AB1234")),
            ("external_id", "  Kunde/7 ", Ok("Kunde/7")),
        ];
        for (kind, value, expected) in cases {
            let normalised = IdentifierKind::parse(kind).unwrap().normalise(value);
            assert_eq!(normalised, expected.map(str::to_owned), "{kind} {value:?}");
        }
    }

    #[test]
    fn a_brand_may_name_kinds_of_its_own() {
        assert_eq!(IdentifierKind::parse("employee_no"), Ok(IdentifierKind::Custom("employee_no".to_owned())));
        for wrong in ["", "id", "9lives", "Employee", "no-dash", &"a".repeat(33)] {
            assert_eq!(IdentifierKind::parse(wrong), Err(BadIdentifier::Kind), "{wrong}");
        }
    }
}
