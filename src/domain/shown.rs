//! Values as a reader of a language sees them: what phones do by themselves, for wallets, pages and pictures that do not.

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};
use iso_currency::Currency;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::content::{Moment, MomentStyle, Value};
use crate::domain::locale::Locale;

/// The value in the reader's language.
pub fn shown(value: &Value, locale: Locale) -> String {
    match value {
        Value::Text(text) => text.in_locale(locale).to_owned(),
        Value::Number(amount) => number(*amount, locale),
        Value::Percent(share) => percent(*share, locale),
        Value::Money(amount, currency) => money(*amount, *currency, locale),
        Value::Moment(shown) => moment(shown, locale),
    }
}

/// Grouped by thousands: `12.345,6` or `12,345.6`.
pub fn number(number: Decimal, locale: Locale) -> String {
    let (group, point) = match locale {
        Locale::PtBr | Locale::Es => ('.', ','),
        Locale::En => (',', '.'),
    };
    let text = number.abs().to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    if number.is_sign_negative() && !number.is_zero() {
        grouped.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(group);
        }
        grouped.push(digit);
    }
    if !part.is_empty() {
        grouped.push(point);
        grouped.push_str(part);
    }
    grouped
}

/// 0.15 as `15%`, or `15 %` in Spanish.
pub fn percent(share: Decimal, locale: Locale) -> String {
    let hundred = share.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(share).normalize();
    let gap = if locale == Locale::Es { "\u{a0}" } else { "" };
    format!("{}{gap}%", number(hundred, locale))
}

/// `R$ 12,50`, `$12.50`, `12,50 €`.
pub fn money(amount: Decimal, currency: Currency, locale: Locale) -> String {
    let digits = currency.exponent().map_or(2, u32::from);
    let mut amount = amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    amount.rescale(digits);
    let symbol = currency.symbol().to_string();
    let (sign, figure) = (if amount.is_sign_negative() { "-" } else { "" }, number(amount.abs(), locale));
    match locale {
        Locale::PtBr => format!("{sign}{symbol}\u{a0}{figure}"),
        Locale::En => format!("{sign}{symbol}{figure}"),
        Locale::Es => format!("{sign}{figure}\u{a0}{symbol}"),
    }
}

/// The clock and calendar of the moment's own offset.
pub fn moment(moment: &Moment, locale: Locale) -> String {
    let (date, time) = (date(moment.at, moment.date, locale), time(moment.at, moment.time, locale));
    match (date.is_empty(), time.is_empty()) {
        (false, false) => format!("{date} {time}"),
        _ => date + &time,
    }
}

fn date(at: DateTime<FixedOffset>, style: MomentStyle, locale: Locale) -> String {
    let (day, month, year) = (at.day(), at.month(), at.year());
    let name = month_name(month, locale);
    let short: String = name.chars().take(3).collect();
    match (style, locale) {
        (MomentStyle::None, _) => String::new(),
        (MomentStyle::Short, Locale::PtBr | Locale::Es) => format!("{day:02}/{month:02}/{year}"),
        (MomentStyle::Short, Locale::En) => format!("{month}/{day}/{year}"),
        (MomentStyle::Medium, Locale::PtBr) => format!("{day} de {short}. de {year}"),
        (MomentStyle::Medium, Locale::Es) => format!("{day} {short} {year}"),
        (MomentStyle::Medium, Locale::En) => format!("{short} {day}, {year}"),
        (MomentStyle::Long, Locale::PtBr | Locale::Es) => format!("{day} de {name} de {year}"),
        (MomentStyle::Long, Locale::En) => format!("{name} {day}, {year}"),
        (MomentStyle::Full, _) => {
            let weekday = weekday_name(at.weekday(), locale);
            format!("{weekday}, {}", date(at, MomentStyle::Long, locale))
        }
    }
}

fn time(at: DateTime<FixedOffset>, style: MomentStyle, locale: Locale) -> String {
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let is_short = matches!(style, MomentStyle::Short);
    match (style, locale) {
        (MomentStyle::None, _) => String::new(),
        (_, Locale::En) => {
            let half = if hour < 12 { "AM" } else { "PM" };
            let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
            if is_short {
                format!("{hour}:{minute:02} {half}")
            } else {
                format!("{hour}:{minute:02}:{second:02} {half}")
            }
        }
        (_, Locale::PtBr | Locale::Es) => {
            if is_short {
                format!("{hour:02}:{minute:02}")
            } else {
                format!("{hour:02}:{minute:02}:{second:02}")
            }
        }
    }
}

fn month_name(month: u32, locale: Locale) -> &'static str {
    const PT: [&str; 12] = [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ];
    const EN: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const ES: [&str; 12] = [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ];
    let names = match locale {
        Locale::PtBr => PT,
        Locale::En => EN,
        Locale::Es => ES,
    };
    names.get(month.saturating_sub(1) as usize).copied().unwrap_or_default()
}

const fn weekday_name(day: chrono::Weekday, locale: Locale) -> &'static str {
    use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    match (locale, day) {
        (Locale::PtBr, Mon) => "segunda-feira",
        (Locale::PtBr, Tue) => "terça-feira",
        (Locale::PtBr, Wed) => "quarta-feira",
        (Locale::PtBr, Thu) => "quinta-feira",
        (Locale::PtBr, Fri) => "sexta-feira",
        (Locale::PtBr, Sat) => "sábado",
        (Locale::PtBr, Sun) => "domingo",
        (Locale::En, Mon) => "Monday",
        (Locale::En, Tue) => "Tuesday",
        (Locale::En, Wed) => "Wednesday",
        (Locale::En, Thu) => "Thursday",
        (Locale::En, Fri) => "Friday",
        (Locale::En, Sat) => "Saturday",
        (Locale::En, Sun) => "Sunday",
        (Locale::Es, Mon) => "lunes",
        (Locale::Es, Tue) => "martes",
        (Locale::Es, Wed) => "miércoles",
        (Locale::Es, Thu) => "jueves",
        (Locale::Es, Fri) => "viernes",
        (Locale::Es, Sat) => "sábado",
        (Locale::Es, Sun) => "domingo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_as_its_language_writes_it() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        let at = DateTime::parse_from_rfc3339("2026-12-24T19:05:09-03:00").unwrap();
        let moment = |date, time| Value::Moment(Moment { at, date, time, in_own_zone: true, is_relative: false });
        let cases = [
            (Value::Number(decimal("1234567.5")), ["1.234.567,5", "1,234,567.5", "1.234.567,5"]),
            (Value::Number(decimal("-1234")), ["-1.234", "-1,234", "-1.234"]),
            (Value::Number(decimal("999")), ["999", "999", "999"]),
            (Value::Percent(decimal("0.15")), ["15%", "15%", "15\u{a0}%"]),
            (Value::Money(decimal("1234.5"), Currency::BRL), ["R$\u{a0}1.234,50", "R$1,234.50", "1.234,50\u{a0}R$"]),
            (Value::Money(decimal("-7"), Currency::JPY), ["-¥\u{a0}7", "-¥7", "-7\u{a0}¥"]),
            (
                moment(MomentStyle::Medium, MomentStyle::Short),
                ["24 de dez. de 2026 19:05", "Dec 24, 2026 7:05 PM", "24 dic 2026 19:05"],
            ),
            (
                moment(MomentStyle::Full, MomentStyle::None),
                [
                    "quinta-feira, 24 de dezembro de 2026",
                    "Thursday, December 24, 2026",
                    "jueves, 24 de diciembre de 2026",
                ],
            ),
            (moment(MomentStyle::None, MomentStyle::Medium), ["19:05:09", "7:05:09 PM", "19:05:09"]),
            (moment(MomentStyle::Short, MomentStyle::None), ["24/12/2026", "12/24/2026", "24/12/2026"]),
        ];
        for (value, [pt, en, es]) in cases {
            for (locale, wanted) in [(Locale::PtBr, pt), (Locale::En, en), (Locale::Es, es)] {
                assert_eq!(shown(&value, locale), wanted);
            }
        }
    }
}
