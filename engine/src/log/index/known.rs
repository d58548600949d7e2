//! The events whose types this version knows: which fields of them can hold terms.
//!
//! Of such an event nothing else is looked at: a field that its type does not have means nothing,
//! whatever it is called. The fields are those of the JSON Schemas, so none is named here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use weir_schema::Body;

use super::terms::Field;

/// The fields of an object that are terms, or objects with such fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Field)>);

impl Fields {
    /// What the field called `name` is.
    pub(super) fn below(&self, name: &str) -> Field {
        let known = self.0.iter().find(|(known, _)| known == name);
        known.map_or(Field::Free, |(_, field)| *field)
    }
}

/// The fields that the data of an event has; `None` if its type is not known.
pub(super) fn data(kind: &str) -> Option<&'static Fields> {
    static KNOWN: LazyLock<BTreeMap<&str, &'static Fields>> = LazyLock::new(|| {
        let without_fields = Body::TYPES.iter().map(|kind| (*kind, leak(Fields(vec![]))));
        let mut known: BTreeMap<_, _> = without_fields.collect();
        for (kind, schema) in Body::schemas() {
            let root = schema.as_value();
            known.insert(kind, leak(fields(root, root, Field::Object)));
        }
        known
    });
    KNOWN.get(kind).copied()
}

/// Made once, and there for as long as the process is.
fn leak(fields: Fields) -> &'static Fields {
    Box::leak(Box::new(fields))
}

/// The fields of an object that a schema describes and that stands where `of` does.
fn fields(schema: &Value, root: &Value, of: Field) -> Fields {
    let known = |(name, value): (&String, &Value)| {
        let (field, value) = (of.below(name), described(value, root));
        let field = match field {
            Field::Free => None,
            _ if value.get("properties").is_some() => {
                let fields = fields(value, root, field.as_object());
                (!fields.0.is_empty()).then(|| Field::Known(leak(fields)))
            }
            Field::Term(_) | Field::Terms(_) | Field::Subject => Some(field),
            _ => None,
        };
        Some((name.clone(), field?))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    Fields(properties.into_iter().flatten().filter_map(known).collect())
}

/// What a schema says of a value, or of the items of a list: without the references, and without
/// that it can be absent.
fn described<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let inner = match reference.and_then(|path| path.strip_prefix('#')) {
        Some(path) => root.pointer(path),
        None => schema.get("items").or_else(|| schema.pointer("/anyOf/0")),
    };
    inner.map_or(schema, |inner| described(inner, root))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and, in brackets, the names within.
    fn names(fields: &Fields) -> String {
        let name = |(name, field): &(String, Field)| match field {
            Field::Known(fields) => format!("{name}({})", names(fields)),
            _ => name.clone(),
        };
        let mut names: Vec<String> = fields.0.iter().map(name).collect();
        names.sort();
        names.join(" ")
    }

    #[test]
    fn of_every_known_type_the_fields_of_its_schema_are_looked_at() {
        let check = |kind: &str, wanted: &str| {
            let fields = data(&format!("weir.{kind}")).map(names);
            assert_eq!(fields.as_deref(), Some(wanted), "{kind}");
        };
        let reasons = "(code deny_rule digest hold_id)";
        check("clock.ticked", "");
        check("repository.configured", "actor repository");
        check(
            "image.pushed",
            "actor digest manifests(digest) repository tag",
        );
        check(
            "manifest.resolved",
            "config_digest digest manifests(digest) subject",
        );
        check("scan.completed", "covers digest findings(id) report_digest");
        check(
            "override.granted",
            "actor override_id scope(digest repository) vulnerability",
        );
        check("approval.granted", "actor digest repository target");
        check("hold.placed", "actor hold_id scope(digest repository rule)");
        check(
            "promotion.requested",
            "actor repository tag target(repository tag) waive",
        );
        check("input.rejected", "payload_digest");
        check(
            "decision.made",
            &format!(
                "actor overrides reasons{reasons} rule source(digest repository tag) \
                 target(repository tag) verdict waived{reasons}"
            ),
        );
        check(
            "promotion.completed",
            "rule source(digest repository tag) target(repository tag)",
        );
        check(
            "violation.found",
            &format!("digest reasons{reasons} repository rule tag"),
        );
        assert!(Body::TYPES.iter().all(|kind| data(kind).is_some()));
        assert_eq!(data("weir.image.unheard"), None);
    }
}
