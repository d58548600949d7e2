//! Keys of a manifest that differ from what the specification calls them by case alone.
//!
//! Go's `encoding/json`, which registries and clients are written with, takes `Manifests` for
//! `manifests`, and of two the last. Whoever pulls such a manifest may get other images than were
//! judged.

use serde_json::Value;

/// Names that decide what a manifest holds (image specification, "Image Manifest", "Image Index",
/// "Descriptor").
const NAMES: [&str; 12] = [
    "mediaType",
    "artifactType",
    "manifests",
    "config",
    "layers",
    "blobs",
    "subject",
    "annotations",
    "digest",
    "platform",
    "os",
    "architecture",
];

/// The first key that is one of the names in another case, and that name. Keys of annotations are
/// people's own.
pub(super) fn other(document: &[u8]) -> Option<(String, &'static str)> {
    in_value(&serde_json::from_slice(document).ok()?)
}

fn in_value(value: &Value) -> Option<(String, &'static str)> {
    match value {
        Value::Array(values) => values.iter().find_map(in_value),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let meant = NAMES.iter().find(|name| is_like(key, name));
            match meant {
                Some(name) if key != name => Some((key.clone(), *name)),
                Some(&"annotations") => None,
                _ => in_value(value),
            }
        }),
        _ => None,
    }
}

/// Whether Go takes `key` for `name`: it knows two letters besides ASCII's that fold to them, the
/// long s and the sign for kelvin.
fn is_like(key: &str, name: &str) -> bool {
    let folded = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(folded).eq(name.chars().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_another_case_is_found_wherever_it_means_something() {
        let check = |document: &str, expected: Option<&str>| {
            let found = other(document.as_bytes());
            assert_eq!(found.map(|(key, _)| key).as_deref(), expected, "{document}");
        };
        check(
            r#"{"manifests":[{"digest":"a","platform":{"os":"linux"}}]}"#,
            None,
        );
        check(r#"{"Manifests":[]}"#, Some("Manifests"));
        check(r#"{"manife\u017fts":[]}"#, Some("manife\u{17f}ts"));
        check(r#"{"manifests":[{"DIGEST":"a"}]}"#, Some("DIGEST"));
        check(r#"{"annotations":{"Digest":"a","OS":"b"}}"#, None);
        check(r#"{"manifests":[{"annotations":{"Config":"a"}}]}"#, None);
    }
}
