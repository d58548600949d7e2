//! `NAME.test.yaml`: the cases of one rule.
//!
//! ```yaml
//! defaults:                       # facts of every case, over those of a clean image
//!   tag.name: v1.4.0
//! tests:
//!   - name: a release without findings goes to staging
//!     expect: promote
//!   - name: one critical finding stops it
//!     set: { scan.critical: 1 }
//!     expect: { verdict: block, reasons: [clause-false], clause: scan.critical == 0 }
//!   - name: a scan that gave no findings is no clean scan
//!     unset: [vulnerabilities]
//!     expect: error
//!   - name: a new build waits for its own scan
//!     history:
//!       - image.pushed: { repository: dev/app, tag: "1.0", digest: first }
//!       - scan.completed: { digest: first }
//!       - expect: promote
//!       - after: 2h
//!       - image.pushed: { repository: dev/app, tag: "1.0", digest: second }
//!     expect: { verdict: wait, reasons: [scan-missing] }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{
    Deserialize,
    de::{self, IntoDeserializer as _},
};
use serde_json::Value;
use weir_rules::suggest::nearest;
use weir_schema::{ReasonCode, Verdict};

/// A test file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Facts of every case, by path.
    #[serde(default)]
    pub defaults: BTreeMap<String, Value>,
    /// The cases.
    #[serde(default)]
    pub tests: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is shown.
    pub name: String,
    /// Facts that differ from the defaults, by path.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// Facts that are absent, by path.
    #[serde(default)]
    pub unset: Vec<String>,
    /// What happens, instead of facts.
    #[serde(default, deserialize_with = "given")]
    pub history: Option<Vec<Happening>>,
    /// Other rules of the directory that are in force in the history.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The tag that is expected about, as `repository:tag`, if the history has several.
    #[serde(default)]
    pub of: Option<String>,
    /// What must come of it.
    pub expect: Expect,
}

/// A list that is there, if only with nothing in it: all that was in it may be commented out.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Happening>>, D::Error> {
    Option::<Vec<Happening>>::deserialize(deserializer).map(|list| Some(list.unwrap_or_default()))
}

/// One thing that happens in a history.
#[derive(Clone, Debug)]
pub enum Happening {
    /// So much time passes.
    After(String),
    /// Time passes until then.
    At(String),
    /// This must have come of it so far.
    Expect(Expect),
    /// An event, by its type without `weir.`, and its data.
    Event(String, Value),
}

impl<'de> Deserialize<'de> for Happening {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let count = fields.len();
        let mut fields = fields.into_iter();
        let (Some((key, value)), None) = (fields.next(), fields.next()) else {
            return Err(de::Error::custom(format!(
                "one thing happens at a time, an event or one of `after`, `at`, `expect`: here are {count} keys"
            )));
        };
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(de::Error::custom(format!("`{other}` is no time"))),
        };
        Ok(match key.as_str() {
            "after" => Self::After(text(value)?),
            "at" => Self::At(text(value)?),
            "expect" => Self::Expect(serde_json::from_value(value).map_err(de::Error::custom)?),
            _ => Self::Event(key, value),
        })
    }
}

/// What must come of a case: a verdict, or more.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Only the verdict.
    Verdict(Verdict),
    /// Whatever is named.
    Detailed(Expectation),
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Expect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a verdict, or `{ verdict: ..., reasons: [...] }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expect, E> {
                Verdict::deserialize(text.into_deserializer()).map(Expect::Verdict)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                Expectation::deserialize(map).map(Expect::Detailed)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Expect {
    /// The same in one shape.
    pub fn expectation(&self) -> Expectation {
        match self {
            Self::Verdict(verdict) => Expectation {
                verdict: Some(*verdict),
                ..Expectation::default()
            },
            Self::Detailed(expectation) => expectation.clone(),
        }
    }
}

/// What must come of a case; what is not named may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// The codes of all reasons, in any order.
    pub reasons: Option<Vec<ReasonCode>>,
    /// The text of a clause that is a reason; white space does not count.
    pub clause: Option<String>,
    /// `REPOSITORY:TAG` that would be promoted to.
    pub target: Option<String>,
    /// A part of the message of a reason.
    pub message: Option<String>,
}

/// Reads a test file. An error begins with its place in the file, as `line:column: `, if it has one.
pub fn parse(text: &str) -> Result<Document, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Of a key that is given twice, a map of facts would silently take the last.
    serde_yaml_ng::from_str::<serde_yaml_ng::Value>(text).map_err(|error| located(&error))?;
    let document: Document = serde_yaml_ng::from_str(text).map_err(|error| located(&error))?;
    for case in &document.tests {
        check_shape(case)?;
        let expected = case.expect.expectation();
        let says_something = expected.verdict.is_some()
            || expected.reasons.is_some()
            || expected.clause.is_some()
            || expected.target.is_some()
            || expected.message.is_some();
        if !says_something {
            return Err(format!("test `{}` expects nothing", case.name));
        }
    }
    Ok(document)
}

/// An error of the YAML with its place in front, and the word that may have been meant.
fn located(error: &serde_yaml_ng::Error) -> String {
    let mut message = error.to_string();
    let mut place = String::new();
    if let Some(at) = error.location() {
        let (line, column) = (at.line(), at.column());
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
        place = format!("{line}:{column}: ");
    }
    let words = |text: &str| -> Vec<String> {
        let quoted = text.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    if let Some((before, key)) = message.split_once("duplicate entry with key ") {
        let key = key.trim_matches('"');
        return format!("{place}{before}`{key}` is given twice");
    }
    for kind in ["unknown field ", "unknown variant "] {
        let Some((before, rest)) = message.split_once(kind) else {
            continue;
        };
        let Some((written, known)) = rest.split_once(", expected ") else {
            continue;
        };
        let known = words(known);
        let written = words(written).pop().unwrap_or_default();
        let near = nearest(&written, known.iter().map(String::as_str));
        let help = near.map_or_else(
            || format!("known are `{}`", known.join("`, `")),
            |near| format!("did you mean `{near}`?"),
        );
        return format!("{place}{before}unknown `{written}`, {help}");
    }
    format!("{place}{message}")
}

/// What a case with a history and one with facts cannot both have.
fn check_shape(case: &Case) -> Result<(), String> {
    let name = &case.name;
    let has_facts = !case.set.is_empty() || !case.unset.is_empty();
    let has_history = case.history.is_some();
    if case.history.as_ref().is_some_and(Vec::is_empty) {
        return Err(format!(
            "test `{name}`: nothing happens in its `history`: write its events, or leave it out to test by facts"
        ));
    }
    if !has_history && (case.of.is_some() || !case.rules.is_empty()) {
        return Err(format!(
            "test `{name}`: `of` and `rules` belong to a `history`"
        ));
    }
    if has_history && has_facts {
        return Err(format!(
            "test `{name}`: facts follow from the history, `set` and `unset` have no place beside it"
        ));
    }
    Ok(())
}
