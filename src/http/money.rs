//! Money, lines and baskets as the API writes them.

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

use crate::domain::loyalty::earning::Line;
use crate::domain::loyalty::spec;
use crate::domain::money::Money;
use crate::domain::quantity;
use crate::service::Problem;
use crate::service::till::Basket;

/// An amount in the currency's smallest unit: 12,50 reais is 1250.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneyBody {
    #[schema(example = 1250)]
    pub amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "BRL")]
    pub currency: String,
}

impl MoneyBody {
    pub fn new(minor: i64, currency: &str) -> Self {
        Self { amount_minor: minor, currency: currency.to_owned() }
    }

    /// Not negative, of a currency that there is.
    pub fn read(&self, pointer: &str) -> Result<Money, Problem> {
        let refused = |fault: spec::BadSpec| Problem::invalid(fault.pointer, fault.reason);
        let minor = spec::minor(&format!("{pointer}/amount_minor"), self.amount_minor).map_err(refused)?;
        let currency = spec::currency(&format!("{pointer}/currency"), &self.currency).map_err(refused)?;
        Ok(Money { minor, currency })
    }
}

/// A line of a purchase.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineBody {
    #[schema(example = "cafe-250", max_length = 64)]
    sku: Option<String>,
    #[schema(example = "bebidas", max_length = 64)]
    category: Option<String>,
    /// A decimal string with at most 3 places; 1 if absent.
    #[schema(example = "2")]
    quantity: Option<String>,
    /// The line's total after its own discounts, taxes included.
    amount: MoneyBody,
}

/// What is to be paid.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BasketBody {
    lines: Vec<LineBody>,
    /// What the lines sum to.
    total: MoneyBody,
}

impl BasketBody {
    pub fn read(self) -> Result<Basket, Problem> {
        let total = self.total.read("/basket/total")?;
        let lines = read_lines("/basket/lines", self.lines, total.currency)?;
        Basket::new(total.currency, lines, total.minor)
    }
}

/// Lines of one currency.
pub fn read_lines(pointer: &str, lines: Vec<LineBody>, currency: Currency) -> Result<Vec<Line>, Problem> {
    let mut read = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let place = |member: &str| format!("{pointer}/{index}/{member}");
        let amount = line.amount.read(&place("amount"))?;
        if amount.currency != currency {
            return Err(Problem::invalid(place("amount/currency"), "must be the currency of the total"));
        }
        let quantity = quantity::parse(line.quantity.as_deref().unwrap_or("1"), 3);
        let quantity = quantity.map_err(|error| Problem::invalid(place("quantity"), error.to_string()))?;
        if quantity < 0 {
            return Err(Problem::invalid(place("quantity"), "must not be negative"));
        }
        let word = |member: &'static str, word: Option<String>| {
            let checked = word.map(|word| crate::domain::text::line(&word, 64)).transpose();
            checked.map_err(|error| Problem::invalid(place(member), format!("{member} {error}")))
        };
        read.push(Line {
            sku: word("sku", line.sku)?,
            category: word("category", line.category)?,
            quantity,
            minor: amount.minor,
        });
    }
    Ok(read)
}
