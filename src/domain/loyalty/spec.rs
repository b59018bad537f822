//! Reading what a brand wrote: every fault names its place.

use std::str::FromStr;

use iso_currency::Currency;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::json;
use crate::domain::money::{MINOR_MAX, Money};
use crate::domain::quantity;
use crate::domain::text;

/// A fault in a spec, with the JSON Pointer of its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadSpec {
    pub pointer: String,
    pub reason: String,
}

impl BadSpec {
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

/// Reads the shape; unknown members are faults where the type says so.
pub fn read<T: DeserializeOwned>(spec: &Value) -> Result<T, BadSpec> {
    serde_path_to_error::deserialize(spec)
        .map_err(|error| BadSpec::new(json::pointer(error.path()), error.inner().to_string()))
}

/// A quantity that is at least `least` of the smallest part.
pub fn units(pointer: &str, text: &str, scale: u8, least: i64) -> Result<i64, BadSpec> {
    let units = quantity::parse(text, scale).map_err(|error| BadSpec::new(pointer, error.to_string()))?;
    if units < least {
        return Err(BadSpec::new(pointer, format!("must be at least {}", quantity::text(least, scale))));
    }
    Ok(units)
}

/// An amount that is not negative.
pub fn minor(pointer: &str, minor: i64) -> Result<i64, BadSpec> {
    if (0..=MINOR_MAX).contains(&minor) {
        Ok(minor)
    } else {
        Err(BadSpec::new(pointer, format!("must be 0 to {MINOR_MAX}")))
    }
}

pub fn line(pointer: &str, value: &str, max: usize) -> Result<String, BadSpec> {
    text::line(value, max).map_err(|error| BadSpec::new(pointer, error.to_string()))
}

/// A word that the brand gives to something and names it by: `points`, `ouro`.
pub fn key(pointer: &str, value: &str) -> Result<String, BadSpec> {
    let is_good = (1..=32).contains(&value.len())
        && value.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    if is_good {
        Ok(value.to_owned())
    } else {
        Err(BadSpec::new(pointer, "must be 1 to 32 of a-z, 0-9, _ and -, beginning with a letter"))
    }
}

pub fn currency(pointer: &str, code: &str) -> Result<Currency, BadSpec> {
    Currency::from_code(code).ok_or_else(|| BadSpec::new(pointer, "must be a currency of ISO 4217, such as BRL"))
}

pub fn parsed<T: FromStr>(pointer: &str, value: &str) -> Result<T, BadSpec>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error: T::Err| BadSpec::new(pointer, error.to_string()))
}

/// Money as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneySpec {
    pub amount_minor: i64,
    pub currency: String,
}

impl MoneySpec {
    pub fn read(&self, pointer: &str) -> Result<Money, BadSpec> {
        Ok(Money { minor: minor(pointer, self.amount_minor)?, currency: currency(pointer, &self.currency)? })
    }
}

impl From<Money> for MoneySpec {
    fn from(money: Money) -> Self {
        Self { amount_minor: money.minor, currency: money.currency.code().to_owned() }
    }
}
