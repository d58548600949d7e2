//! Severities of findings.

use std::{convert::Infallible, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::parse_str;

/// A finding's severity, the least first. Scanners' other words become [`Severity::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The source gave none, or a word that is none of the others.
    Unknown,
    /// Debian's and Clair's least.
    Negligible,
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.0.
    Critical,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Negligible,
        Self::Unknown,
    ];

    /// The word in upper case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
            Self::Negligible => "NEGLIGIBLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl FromStr for Severity {
    type Err = Infallible;

    /// In any case, and with white space around it.
    fn from_str(word: &str) -> Result<Self, Infallible> {
        let known = Self::ALL
            .into_iter()
            .find(|severity| word.trim().eq_ignore_ascii_case(severity.as_str()));
        Ok(known.unwrap_or(Self::Unknown))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for Severity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Severity".into()
    }

    /// Open, as it is read: the log keeps the word that a scanner sent.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A finding's severity, in any case. Any other word than these counts as UNKNOWN.",
            "examples": Self::ALL.map(Self::as_str)
        })
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_read_in_any_case_and_with_white_space_around_it() {
        for (word, severity) in [
            ("HIGH", Severity::High),
            ("high", Severity::High),
            (" Critical\n", Severity::Critical),
            ("moderate", Severity::Unknown),
            ("", Severity::Unknown),
        ] {
            let read: Severity = serde_json::from_value(word.into()).unwrap();
            assert_eq!(read, severity, "`{word}`");
        }
    }
}
