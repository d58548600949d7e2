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
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
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
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a case: a verdict, or more.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Expect {
    /// Only the verdict.
    Verdict(Verdict),
    /// Whatever is named.
    Detailed(Expectation),
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

/// Reads a test file.
pub fn parse(text: &str) -> Result<Document, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: Document = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    for case in &document.tests {
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
