//! The API's description: complete, and a snapshot, so that every change of the API is a visible diff.

use std::collections::BTreeSet;

use passarela::http::{openapi, routes::doors};
use serde_json::Value;

#[test]
fn the_description_is_the_snapshot() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/openapi.snapshot.json");
    let now = openapi::text();
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == now, "the API changed; if that is meant: passarela openapi > tests/api/openapi.snapshot.json");
}

#[test]
fn the_description_names_every_route_of_the_api() {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<String> = doors()
        .into_iter()
        .filter(|door| door.path.starts_with("/api/v1/"))
        .map(|door| format!("{} {}", door.method, door.path))
        .collect();
    assert_eq!(described, served);
}
