//! Payloads that others publish of the same registries and scanners, shortened to what matters, with
//! where each was read: each has one meaning, or is refused with the place. Licences are in
//! `fixtures/README.md`.

mod amazon;
mod distribution;
mod harbor;
mod others;
mod scanners;

use base64::Engine as _;
use serde_json::Value;
use weir_engine::adapters::AdapterSettings;

use crate::words::{decode_with, meaning};

/// As [`check`](crate::words::check), with headers of the delivery.
fn check_with(headers: &[(&str, &str)], body: &Value, expected: &[&str]) {
    let found = meaning(decode_with(
        headers,
        &AdapterSettings::default(),
        &body.to_string(),
    ));
    let equal = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(equal, "{found:#?} is not {expected:#?}\nof {body}");
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
