//! What kind of thing a manifest is, as far as rules are concerned.
//!
//! This file only names the classes; telling them apart from content is the scan gate's work.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The class of a manifest, from its content and never from a tag name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// An index that bundles the images of one application.
    App,
    /// Any other index, usually one image for several platforms.
    Index,
    /// One image.
    Image,
    /// A manifest that holds something else than an image.
    Artifact,
}

impl Class {
    /// All classes, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::App, Self::Index, Self::Image, Self::Artifact];

    /// The word used in rule files, facts and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Index => "index",
            Self::Image => "image",
            Self::Artifact => "artifact",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The word is none of the four classes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown class `{0}`: expected `app`, `index`, `image` or `artifact`")]
pub struct UnknownClass(pub String);

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(word: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == word)
            .ok_or_else(|| UnknownClass(word.to_owned()))
    }
}
