//! Tags as the distribution specification allows them.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::{clip, parse_str};

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (distribution specification, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tag(Arc<str>);

/// Why a text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tag: 1 to 128 of the characters A-Z a-z 0-9 _ . - and neither . nor - first")]
pub struct TagError(String);

/// The longest tag that the distribution specification allows.
const LONGEST: usize = 128;

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag, to be kept without a copy.
    #[must_use]
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// The tag that `text` is, without a copy of it.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_shared(text: Arc<str>) -> Result<Self, TagError> {
        if is_tag(&text) {
            Ok(Self(text))
        } else {
            Err(TagError(clip(&text)))
        }
    }
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST
        && bytes.first().is_some_and(|first| word(*first))
        && bytes
            .iter()
            .all(|byte| word(*byte) || matches!(byte, b'.' | b'-'))
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if is_tag(text) {
            Ok(Self(text.into()))
        } else {
            Err(TagError(clip(text)))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

impl JsonSchema for Tag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_registries_accept_is_a_tag() {
        for legal in ["1.0", "v1.2.3-rc_1", "_", &"a".repeat(128)] {
            assert_eq!(legal.parse::<Tag>().unwrap().as_str(), legal);
        }
        for illegal in [
            "",
            ".1",
            "-x",
            "a/b",
            "a:b",
            "a b",
            "ü",
            &"a".repeat(129),
            "a\n",
        ] {
            assert!(illegal.parse::<Tag>().is_err(), "{illegal:?}");
        }
    }
}
