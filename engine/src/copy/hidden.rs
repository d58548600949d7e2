//! What an index holds, the gate does not ask to be scanned, and who pulls the index may run all the
//! same: runtimes choose by platform and read neither annotations nor `artifactType`. Such a tree is
//! not copied. What is scanned and what is not is the gate's to say; this looks only at what is left.

use std::collections::{BTreeMap, BTreeSet};

use weir_rules::gate::{LeftOut, Mention};
use weir_schema::{Digest, media_type::is_non_image_artifact};

use super::{CopyError, job::Job};
use crate::{
    oci::{Descriptor, Manifest, media_type},
    resolve::descriptor,
};

/// As much of a platform's name as stands in an error: whoever pushes the index writes it.
const LONGEST_PLATFORM: usize = 64;

/// What says that something can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// Its descriptor names this platform.
    On(String),
    /// Its manifest is an image's.
    AsImage,
    /// It is an index, and what it lists is left out with it.
    AsIndex,
}

impl std::fmt::Display for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::On(platform) => write!(f, "its descriptor names the platform `{platform}`"),
            Self::AsImage => {
                f.write_str("its manifest has an image's configuration and file system layers")
            }
            Self::AsIndex => f.write_str("it is an index that lists manifests"),
        }
    }
}

/// What a descriptor says of its child.
#[derive(Debug, Clone)]
pub(super) struct Said {
    mention: Mention,
    /// The platform it names, if that is one.
    platform: Option<String>,
}

impl Said {
    pub fn of(child: Descriptor) -> Self {
        let child = descriptor(child);
        let known = |part: &str| !matches!(part, "" | "unknown");
        let platform = child.platform.as_ref();
        let platform = platform.filter(|one| known(&one.os) || known(&one.architecture));
        Self {
            mention: Mention::of(&child),
            platform: platform.map(|one| one.to_string().chars().take(LONGEST_PLATFORM).collect()),
        }
    }
}

/// What a manifest says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    is_index: bool,
    non_image: bool,
    /// It has an image's configuration, or, an index, lists something.
    may_run: bool,
    /// It has file system layers.
    has_layers: bool,
}

impl Content {
    pub fn of(manifest: &Manifest) -> Self {
        let is_index = manifest.is_index();
        Self {
            is_index,
            non_image: is_non_image_artifact(manifest.kind()),
            may_run: match is_index {
                true => !manifest.manifests.is_empty(),
                false => has_image_config(manifest),
            },
            has_layers: (manifest.layers.iter())
                .any(|layer| media_type::is_file_system(&layer.media_type)),
        }
    }
}

/// Whether a runtime that is given the manifest finds an image's configuration: what has another (a Wasm
/// module, a chart, a binary for a platform) it cannot run as an image.
fn has_image_config(manifest: &Manifest) -> bool {
    let config = manifest.config.as_ref();
    config.is_some_and(|config| {
        !media_type::is_non_image_config(&manifest.media_type, &config.media_type)
    })
}

/// What the indexes of one tree say of what is in it.
#[derive(Default)]
pub(super) struct Hidden {
    /// What has to be scanned by the word of one index at least. Each index whose word counts here has
    /// been read by the gate too, or the tree is refused: an index that is left out lists nothing.
    required: BTreeSet<Digest>,
    /// What is left out by the word of one and can be run.
    runnable: BTreeMap<Digest, (LeftOut, Runs)>,
}

impl Hidden {
    /// Notes what an index says of a child.
    pub fn note(&mut self, child: &Digest, said: &Said, content: Content) {
        let left_out = said.mention.left_out(content.is_index, content.non_image);
        let Some(why) = left_out else {
            self.required.insert(child.clone());
            return;
        };
        if let Some(runs) = runs(why, said, content) {
            self.runnable.entry(child.clone()).or_insert((why, runs));
        }
    }

    /// # Errors
    /// [`CopyError::HiddenImage`], for the first that is left out by all who name it.
    pub fn check(self, job: &Job) -> Result<(), CopyError> {
        let mut runnable = self.runnable.into_iter();
        let hidden = runnable.find(|(digest, _)| !self.required.contains(digest));
        let Some((digest, (why, runs))) = hidden else {
            return Ok(());
        };
        Err(CopyError::HiddenImage {
            repository: job.source.name.clone(),
            digest,
            why,
            runs,
        })
    }
}

/// What says that something that is left out can be run; `None` if nothing does.
fn runs(why: LeftOut, said: &Said, content: Content) -> Option<Runs> {
    match (&said.platform, why) {
        _ if !content.may_run => None,
        (Some(platform), _) => Some(Runs::On(platform.clone())),
        (None, _) if content.is_index => Some(Runs::AsIndex),
        // Where a registry takes nothing else, CNAB tools push it with an image's configuration.
        (None, LeftOut::Config) => None,
        (None, LeftOut::Attestation | LeftOut::Artifact) => {
            content.has_layers.then_some(Runs::AsImage)
        }
    }
}
