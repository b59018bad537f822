//! The part of minijinja that designs may use. A design comes from somebody with a key, and is rendered for every pass on
//! threads that all brands share: whatever it says must end soon and stay small. Fuel bounds steps; this bounds the rest.

use std::io;

use minijinja::value::Rest;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, filters, tests};

/// Steps that one expression may take: enough for a loop over a list, not for a loop without end.
const FUEL: u64 = 5_000;

/// Bytes of one expression at most. The compiler of expressions calls itself for each part of a chain.
pub const SOURCE_MAX: usize = 2_000;

/// Bytes that a filter may make out of what it is given.
const MADE_MAX: usize = 64 * 1024;

/// Statements that designs may use.
const STATEMENTS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor", "set", "raw", "endraw"];

/// Filters whose text is no longer than what they are given.
const SHRINKING: &[&str] =
    &["default", "d", "trim", "length", "count", "first", "last", "round", "int", "float", "abs"];

/// An engine with nothing in it but what is listed here.
pub fn engine() -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    // The text goes into JSON, not into HTML; whoever writes it there escapes it.
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    // What is not there says nothing: a customer without a name is not called None.
    engine.set_formatter(
        |out, state, value| {
            if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
        },
    );
    engine.add_filter("default", filters::default);
    engine.add_filter("d", filters::default);
    engine.add_filter("upper", filters::upper);
    engine.add_filter("lower", filters::lower);
    engine.add_filter("title", filters::title);
    engine.add_filter("capitalize", filters::capitalize);
    engine.add_filter("trim", filters::trim);
    engine.add_filter("length", filters::length);
    engine.add_filter("count", filters::length);
    engine.add_filter("first", filters::first);
    engine.add_filter("last", filters::last);
    engine.add_filter("round", filters::round);
    engine.add_filter("int", filters::int);
    engine.add_filter("float", filters::float);
    engine.add_filter("abs", filters::abs);
    engine.add_filter("join", join);
    engine.add_filter("replace", replace);
    engine.add_filter("tojson", to_json);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("undefined", tests::is_undefined);
    engine.add_test("none", tests::is_none);
    engine.add_test("number", tests::is_number);
    engine.add_test("string", tests::is_string);
    engine
}

/// What stands between expressions that are evaluated together: no white space, so that `{{-` eats nothing beyond it.
pub const BETWEEN: char = '\u{1f}';

/// Expressions as one template: to begin and end an evaluation costs more than most expressions do. What one of them sets
/// stays its own.
pub fn together<'a>(sources: impl Iterator<Item = &'a str>) -> String {
    let mut whole = String::new();
    for source in sources {
        if source.contains("{%") {
            whole.push_str("{% with %}");
            whole.push_str(source);
            whole.push_str("{% endwith %}");
        } else {
            whole.push_str(source);
        }
        whole.push(BETWEEN);
    }
    whole
}

/// Refuses what could grow without bound: a value that is put together from itself again and again doubles every time.
pub fn check(source: &str) -> Result<(), String> {
    if source.len() > SOURCE_MAX {
        return Err(format!("is an expression of {} bytes; at most {SOURCE_MAX}", source.len()));
    }
    let mut rest = source;
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).min() {
        let (open, inner) = rest.get(at..).and_then(|rest| rest.split_at_checked(2)).unwrap_or_default();
        let close = if open == "{%" { "%}" } else { "}}" };
        let (tag, after) = inner.split_once(close).unwrap_or((inner, ""));
        if tag.contains('*') {
            return Err("multiplies; hand the product over with the pass".to_owned());
        }
        if open == "{%" {
            check_statement(tag.trim_matches(['-', '+']).trim())?;
        }
        rest = after;
    }
    Ok(())
}

fn check_statement(tag: &str) -> Result<(), String> {
    let word = tag.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    if !STATEMENTS.contains(&word) {
        return Err(format!("has the statement {word}; {} are known", STATEMENTS.join(", ")));
    }
    if word == "set" && !tag.contains('=') {
        return Err("has a set without a value".to_owned());
    }
    let binds = matches!(word, "set" | "for");
    let shrinks = |filter: &str| {
        let name = filter.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        SHRINKING.contains(&name)
    };
    if binds && (tag.contains(['~', '+', '[', '{']) || !tag.split('|').skip(1).all(shrinks)) {
        return Err(format!("puts values together in a {word}; do that where the value is shown"));
    }
    if tag.split_whitespace().any(|word| word == "recursive") {
        return Err("has a recursive loop".to_owned());
    }
    Ok(())
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, "makes over 64 KiB of text")
}

fn bounded(text: String) -> Result<String, Error> {
    if text.len() > MADE_MAX { Err(too_large()) } else { Ok(text) }
}

fn join(values: Value, between: Option<String>) -> Result<String, Error> {
    let between = between.unwrap_or_default();
    let mut joined = String::new();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            joined.push_str(&between);
        }
        joined.push_str(&value.to_string());
        if joined.len() > MADE_MAX {
            return Err(too_large());
        }
    }
    Ok(joined)
}

fn replace(text: String, from: String, to: String, _: Rest<Value>) -> Result<String, Error> {
    if from.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "replaces nothing"));
    }
    let more = text.matches(&from).count().saturating_mul(to.len());
    if text.len().saturating_add(more) > MADE_MAX {
        return Err(too_large());
    }
    Ok(text.replace(&from, &to))
}

fn to_json(value: Value) -> Result<String, Error> {
    let text = serde_json::to_string(&value);
    bounded(text.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?)
}

/// Takes so many bytes, then refuses.
pub struct Bounded {
    pub text: Vec<u8>,
    pub max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.max {
            return Err(io::Error::other("too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod test {
    use super::check;

    #[test]
    fn what_could_grow_without_bound_is_refused() {
        for good in [
            "{{ customer.name }}",
            "{{ pass.data.points | default(0) }} * {{ tier | upper }}",
            "{% if tier %}{{ tier ~ ' ' ~ tier }}{% endif %}",
            "{% set days = days_until(pass.data.ends) %}{% if days >= 0 %}{{ days + 1 }}{% endif %}",
            "{% set points = pass.data.points | default(0) | int %}{{ points }}",
            "{%- for seat in invite.seats -%}{{ seat }}{% endfor %}",
            "{# a note #}{{ x }}",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for wrong in [
            "{% set a = a ~ a %}",
            "{%set a=a+a%}",
            "{% set a = [a, a] %}",
            "{% set a = a|tojson %}",
            "{% set a %}{{ b }}{{ b }}{% endset %}",
            "{% for a in [b, b] %}{% endfor %}",
            "{% for a in b recursive %}{{ loop(a) }}{% endfor %}",
            "{% filter upper %}{% endfilter %}",
            "{% macro m() %}{% endmacro %}",
            "{% include 'x' %}",
            "{{ 'x' * 1000000000 }}",
            "{{ 2 ** 64 }}",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check(&format!("{{{{ {} }}}}", "1+".repeat(1_000))).is_err());
    }
}
