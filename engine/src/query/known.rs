//! Which fields the data of events has, by the schemas of their types.

use serde_json::Value;
use weir_rules::{cel::Step, suggest::nearest};
use weir_schema::Body;

use crate::adapters;

/// What a way into the data of an event leads to.
enum Known<'a> {
    /// A value by these schemas, each of a type of event or of a part of one, with its root.
    Some(Vec<(&'a Value, &'a Value)>),
    /// Whatever a source says.
    Anything,
}

/// The first step of `way`, which begins in the data of an event, to a field that no known type has:
/// its place in the way, and the name that may be meant.
pub(super) fn first_unknown(
    way: &[Step<'_>],
    schemas: &[Value],
) -> Option<(usize, Option<String>)> {
    let mut here: Vec<_> = schemas.iter().map(|root| (root, root)).collect();
    for (at, step) in way.iter().enumerate() {
        let is_further =
            at == 0 && matches!(step, Step::Name(name) if adapters::FURTHER_FIELDS.contains(name));
        if is_further {
            return None;
        }
        let forms: Vec<_> = here
            .iter()
            .flat_map(|(root, schema)| forms(root, schema))
            .collect();
        match next(&forms, *step) {
            Known::Anything => return None,
            Known::Some(there) if there.is_empty() => {
                let Step::Name(name) = step else {
                    return None;
                };
                let names = forms.iter().flat_map(|(_, schema)| names(schema));
                let further = adapters::FURTHER_FIELDS.iter().copied().filter(|_| at == 0);
                return Some((at, nearest(name, names.chain(further)).map(str::to_owned)));
            }
            Known::Some(there) => here = there,
        }
    }
    None
}

/// The schemas of the data of all types of events.
pub(super) fn schemas() -> Vec<Value> {
    let schemas = Body::schemas().into_iter();
    schemas.map(|(_, schema)| schema.to_value()).collect()
}

/// What a schema is made of: itself, without references, and its alternatives.
fn forms<'a>(root: &'a Value, schema: &'a Value) -> Vec<(&'a Value, &'a Value)> {
    let mut forms = Vec::new();
    let mut open = vec![schema];
    // A schema that holds itself, as a list of lists, does so below a field.
    while let Some(schema) = open.pop() {
        let referred = schema.get("$ref").and_then(Value::as_str);
        open.extend(referred.and_then(|to| root.pointer(to.strip_prefix('#')?)));
        for kind in ["anyOf", "oneOf", "allOf"] {
            open.extend(
                schema
                    .get(kind)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten(),
            );
        }
        forms.push((root, schema));
    }
    forms
}

/// Where a step leads from there.
fn next<'a>(forms: &[(&'a Value, &'a Value)], step: Step<'_>) -> Known<'a> {
    let mut there = Vec::new();
    for (root, schema) in forms {
        let found = match step {
            Step::Name(name) => {
                let field = schema.get("properties").and_then(|fields| fields.get(name));
                field.or_else(|| schema.get("additionalProperties"))
            }
            // Which of the fields of an object it is, is not known.
            Step::Element if schema.get("properties").is_some() => return Known::Anything,
            Step::Element => schema
                .get("items")
                .or_else(|| schema.get("additionalProperties")),
        };
        match found {
            Some(Value::Bool(false)) => {}
            Some(found) if says_nothing(found) => return Known::Anything,
            Some(found) => there.push((*root, found)),
            None => {}
        }
    }
    Known::Some(there)
}

/// Whether a schema takes everything.
fn says_nothing(schema: &Value) -> bool {
    const SAYING: [&str; 8] = [
        "type",
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
        "properties",
        "enum",
        "const",
    ];
    !SAYING.iter().any(|key| schema.get(key).is_some())
}

/// The names of the fields that a schema lists.
fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields
        .into_iter()
        .flat_map(|fields| fields.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Every way into a value.
    fn ways<'a>(value: &'a Value, way: &[Step<'a>], found: &mut Vec<Vec<Step<'a>>>) {
        let further = |step| [way, &[step]].concat();
        let below: Vec<(Vec<Step<'a>>, &Value)> = match value {
            Value::Object(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(name, value)| (further(Step::Name(name)), value))
                    .collect()
            }
            Value::Array(items) => {
                let items = items.iter();
                items.map(|item| (further(Step::Element), item)).collect()
            }
            _ => Vec::new(),
        };
        for (way, value) in below {
            ways(value, &way, found);
            found.push(way);
        }
    }

    fn files(dir: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = entries.flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        });
        files.collect()
    }

    #[test]
    fn every_field_that_an_adapter_fills_is_known() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/golden");
        let (schemas, mut seen) = (schemas(), 0);
        for file in files(Path::new(golden)) {
            let text = fs::read_to_string(&file).unwrap();
            let events = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            for event in events.map(|event: Value| event["data"].clone()) {
                let mut found = Vec::new();
                ways(&event, &[], &mut found);
                seen += found.len();
                for way in found {
                    let unknown = first_unknown(&way, &schemas);
                    assert_eq!(unknown, None, "{way:?} of {}", file.display());
                }
            }
        }
        assert!(seen > 100, "{seen}");
    }
}
