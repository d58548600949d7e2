//! Promotion policies as the API of DTR and MSR gives them.

use serde::Deserialize;
use serde_json::Value;

/// One promotion policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Policy {
    #[serde(default)]
    pub id: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub rules: Vec<Criterion>,
    #[serde(default)]
    pub source_repository: Option<String>,
    #[serde(default)]
    pub target_repository: Option<String>,
    #[serde(default)]
    pub tag_template: String,
    /// A policy that does not say is taken as switched off: nothing moves by accident.
    #[serde(default)]
    pub enabled: bool,
    /// Set for push mirroring, which has the same shape and another sink.
    #[serde(default)]
    pub remote_host: Option<String>,
}

/// One rule of a policy; all of them must hold.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Criterion {
    pub field: String,
    pub operator: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub values: Vec<String>,
}

fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// An entry of the file: a policy, or why it is none.
pub(super) type Read = Result<Policy, String>;

/// The policies in `json`: one, a list, or lists under the keys of an object, as exports of
/// several repositories have them.
pub(super) fn read(json: &str) -> Result<Vec<Read>, serde_json::Error> {
    let value: Value = serde_json::from_str(json)?;
    let mut found = Vec::new();
    collect(&value, 0, &mut found);
    Ok(found)
}

fn collect(value: &Value, depth: usize, found: &mut Vec<Read>) {
    // A list of objects of lists is as deep as exports go.
    const MAX_DEPTH: usize = 4;
    match value {
        Value::Object(object) if object.contains_key("rules") => {
            found.push(Policy::deserialize(value).map_err(|error| error.to_string()));
        }
        Value::Object(object) if depth < MAX_DEPTH => {
            for inner in object.values() {
                collect(inner, depth + 1, found);
            }
        }
        Value::Array(items) if depth < MAX_DEPTH => {
            for inner in items {
                collect(inner, depth + 1, found);
            }
        }
        _ => {}
    }
}
