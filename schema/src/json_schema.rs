//! JSON Schemas of the events' data, generated from the types and kept in `schema/json`.

use crate::Body;

/// File name and text of the schema of each event type's `data`.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    Body::schemas()
        .into_iter()
        .map(|(kind, schema)| {
            let text = serde_json::to_string_pretty(&schema).expect("a schema serializes");
            (format!("{kind}.schema.json"), text + "\n")
        })
        .collect()
}
