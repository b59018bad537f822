//! JSON from outside, with one meaning only.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::text::paragraphs;

const DEPTH_MAX: usize = 32;
const ITEMS_MAX: usize = 1_000;

/// JSON as RFC 8259 recommends it: names are unique. (`serde_json` alone keeps the last of duplicates silently, so
/// that two readers of one body could see different things.)
pub fn strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// SHA-256 over the members in order of their names: the same content written differently is the same.
pub fn canonical_digest(value: &Value) -> [u8; 32] {
    Sha256::digest(sorted(value).to_string()).into()
}

/// JSON Merge Patch (RFC 7396), one object into another: null removes, objects are merged, everything else replaces.
pub fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                into.shift_remove(key);
            }
            Value::Object(patch) => {
                let inner = into.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            other => {
                into.insert(key.clone(), other.clone());
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

fn plain<E: serde::de::Error>(text: String) -> Result<String, E> {
    paragraphs(&text).ok_or_else(|| E::custom("control characters are not allowed"))
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        plain(value.to_owned()).map(Value::String)
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        plain(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom(format!("a list of more than {ITEMS_MAX} items")));
            }
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = plain(name)?;
            // serde_json gives names of its own a meaning: such a member would be parsed again, past every check here.
            if name.starts_with("$serde_json::private::") {
                return Err(A::Error::custom("a member has a name that is reserved"));
            }
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("the member {name:?} occurs twice")));
            }
            let value = map.next_value_seed(inner)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_unstable_by_key(|(name, _)| *name);
            Value::Object(names.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The JSON Pointer of a path: `/customer/cpf` for serde's `customer.cpf`.
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_with_two_meanings_is_refused() {
        let refused = [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"[{"a":1,"\u0061":2}]"#,
            r#"{"a":"\u0007"}"#,
            r#"{"\u0001__minijinja_ValueHandle":1}"#,
            r#"{"a":1} {"#,
            r#"{"a":01}"#,
            r#"{"a":{"$serde_json::private::RawValue":"[[[1]]]"}}"#,
            r#"{"a":{"$serde_json::private::Number":"1e999"}}"#,
            "",
        ];
        for body in refused {
            assert!(strict(body.as_bytes()).is_err(), "{body}");
        }
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(strict(deep(32).as_bytes()).is_ok());
        assert!(strict(deep(33).as_bytes()).is_err());
        assert!(strict(deep(100_000).as_bytes()).is_err());
        assert!(strict(format!("[{}1]", "1,".repeat(1_000)).as_bytes()).is_err());
        assert_eq!(strict(br#"{"b":[1,"x\n"],"a":null}"#).unwrap().to_string(), r#"{"b":[1,"x\n"],"a":null}"#);
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let (one, two) =
            (strict(br#"{"a":1,"b":{"c":1,"d":2}}"#).unwrap(), strict(br#"{"b":{"d":2,"c":1},"a":1}"#).unwrap());
        assert_eq!(sorted(&one).to_string(), sorted(&two).to_string());
    }

    #[test]
    fn a_merge_follows_rfc_7396() {
        let cases = [
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": 3}}), json!({"a": {"c": 2, "d": 3}})),
            (json!({"a": 1}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [2]})),
        ];
        for (mut into, patch, merged) in cases {
            merge(into.as_object_mut().unwrap(), patch.as_object().unwrap());
            assert_eq!(into, merged);
        }
    }
}
