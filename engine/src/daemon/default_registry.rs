//! The repositories of the default registry have no host: one that was named with it would be another of
//! the same content, and a deny or a hold would speak of one of the two.

use serde_json::Value;
use weir_schema::{Received, within_default};

/// Why a repository, or a pattern of such, must not be named so; `None` if it may.
pub(crate) fn names_default(name: &str, host: &str) -> Option<String> {
    let within = within_default(name, host)?;
    Some(format!(
        "`{name}` names the default registry `{host}`, whose repositories are known without their host: write `{within}`"
    ))
}

/// The same of what an event names.
pub(crate) fn named_in(event: &Received, host: &str) -> Option<String> {
    let event: Value = serde_json::from_str(&event.json).ok()?;
    look(event.get("data")?, host)
}

fn look(value: &Value, host: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| match value {
            Value::String(name) if matches!(&**key, "repository" | "target") => {
                names_default(name, host)
            }
            other => look(other, host),
        }),
        Value::Array(items) => items.iter().find_map(|item| look(item, host)),
        _ => None,
    }
}
