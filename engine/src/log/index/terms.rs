//! The terms of a record: what it can be found by.
//!
//! They are read from the names of its fields, wherever in the event they stand, so an event
//! whose type this version does not know is found as well.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Dimension {
    /// A repository: subject, source or target.
    Repository = 1,
    /// A tag, likewise.
    Tag = 2,
    /// A manifest's digest: subject, child, or covered by a scan.
    Digest = 3,
    /// The event's type.
    Type = 4,
    /// Who did it.
    Actor = 5,
    /// A rule.
    Rule = 6,
    /// A vulnerability: found, or overridden.
    Vulnerability = 7,
}

/// A term as it is stored: dimension and the first four bytes of a hash. Two terms may share
/// one, so what is found by it must be looked at.
pub(super) type Fingerprint = (u8, u32);

pub(super) fn fingerprint(dimension: Dimension, term: &str) -> Fingerprint {
    let hash = Sha256::digest(term.as_bytes());
    (
        dimension as u8,
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]),
    )
}

/// Calls `found` with every term of a record; with some of them more than once.
pub fn terms(record: &[u8], mut found: impl FnMut(Dimension, &str)) {
    let Ok(record) = serde_json::from_slice::<Value>(record) else {
        return;
    };
    let Some(event) = record.get("event") else {
        return;
    };
    if let Some(kind) = event.get("type").and_then(Value::as_str) {
        found(Dimension::Type, kind);
    }
    if let Some(data) = event.get("data") {
        walk(data, &mut found);
    }
}

fn walk(value: &Value, found: &mut impl FnMut(Dimension, &str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("repository", Value::String(text)) => found(Dimension::Repository, text),
                    // The target of an approval is a repository by itself.
                    ("target", Value::String(text)) => found(Dimension::Repository, text),
                    ("tag", Value::String(text)) => found(Dimension::Tag, text),
                    ("digest", Value::String(text)) => found(Dimension::Digest, text),
                    ("actor", Value::String(text)) => found(Dimension::Actor, text),
                    ("rule", Value::String(text)) => found(Dimension::Rule, text),
                    ("vulnerability", Value::String(text)) => found(Dimension::Vulnerability, text),
                    ("covers", Value::Array(items)) => {
                        items
                            .iter()
                            .filter_map(Value::as_str)
                            .for_each(|digest| found(Dimension::Digest, digest));
                    }
                    ("findings", Value::Array(items)) => {
                        let ids = items.iter().filter_map(|item| item.get("id")?.as_str());
                        ids.for_each(|id| found(Dimension::Vulnerability, id));
                    }
                    // Free text and free maps hold no terms.
                    ("annotations" | "labels" | "files" | "payload", _) => {}
                    _ => walk(value, found),
                }
            }
        }
        _ => {}
    }
}
