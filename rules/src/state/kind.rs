//! What an index says of a child besides its digest and size. Few things are said, of very many.

use std::{collections::BTreeMap, sync::Arc};

use weir_schema::{Descriptor, Platform, media_type};

use super::{
    State,
    manifest::Child,
    names::{Names, Platforms},
    numbers::{KindId, NameId, PlatformId},
    table::{Table, hash_of},
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing, frozen};

/// The annotation that says what a child of a bundle is.
const CNAB_MANIFEST_TYPE: &str = "io.cnab.manifest.type";

/// Bytes of the longest name of a component or platform. Each stands in every reason about each of its
/// leaves, and a decision is one record; who pushes an image writes them.
const LONGEST_NAME: usize = 256;

/// The annotation that names a component of a bundle.
const CNAB_COMPONENT_NAME: &str = "io.cnab.component.name";
/// The annotation that BuildKit puts on the descriptor of an attestation.
const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What a descriptor's `io.cnab.manifest.type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CnabType {
    None,
    Config,
    Invocation,
    Component,
    Unknown,
}

/// What a descriptor says about scanning what it names (DESIGN 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    pub(crate) is_index: bool,
    pub(crate) cnab: CnabType,
    /// An attestation by its annotation or by the platform `unknown/unknown`.
    pub(crate) attestation: bool,
    /// The descriptor's `artifactType` says that it is no image.
    pub(crate) non_image: bool,
}

impl Mention {
    /// What this descriptor says.
    #[must_use]
    pub fn of(descriptor: &Descriptor) -> Self {
        Self {
            is_index: media_type::is_index(&descriptor.media_type),
            cnab: cnab_type(descriptor.annotations.as_ref()),
            attestation: is_attestation(descriptor),
            non_image: media_type::is_non_image_artifact(descriptor.artifact_type.as_deref()),
        }
    }
}

/// A kind of child.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    media_type: NameId,
    artifact_type: Option<NameId>,
    annotations: Option<Arc<BTreeMap<String, String>>>,
    pub(crate) platform: Option<PlatformId>,
    /// Whether a size is said.
    sized: bool,

    // Derived.
    pub(crate) mention: Mention,
    pub(crate) component: Option<NameId>,
}

/// What the gate reads of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Meaning {
    mention: Mention,
    component: Option<NameId>,
    platform: Option<PlatformId>,
}

impl Kind {
    /// What a descriptor of this kind says to the gate.
    pub(crate) fn meaning(&self) -> Meaning {
        Meaning {
            mention: self.mention,
            component: self.component,
            platform: self.platform,
        }
    }
}

/// What a kind is known by.
#[derive(Hash)]
struct Said<'a> {
    media_type: &'a str,
    artifact_type: Option<&'a str>,
    annotations: Option<&'a BTreeMap<String, String>>,
    platform: Option<&'a Platform>,
    sized: bool,
    /// Which a platform says too that is too long to be kept.
    attestation: bool,
}

/// Each kind once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds {
    rows: Vec<Kind>,
    table: Table,
}

impl Kinds {
    pub(crate) fn get(&self, id: KindId) -> &Kind {
        &self.rows[id.place()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The kind of a descriptor, a new one if it was never seen.
    fn intern(
        &mut self,
        descriptor: &Descriptor,
        names: &mut Names,
        platforms: &mut Platforms,
    ) -> KindId {
        let annotations = descriptor.annotations.as_ref();
        let sized = descriptor.size.is_some();
        let mention = Mention::of(descriptor);
        let attestation = mention.attestation;
        let platform = descriptor.platform.as_ref();
        let platform = platform.filter(|platform| platform.to_string().len() <= LONGEST_NAME);
        let hash = hash_of(&Said {
            media_type: &descriptor.media_type,
            artifact_type: descriptor.artifact_type.as_deref(),
            annotations,
            platform,
            sized,
            attestation,
        });
        let text = |id: NameId| &**names.text(id);
        let same = |place: usize| {
            let row = &self.rows[place];
            text(row.media_type) == descriptor.media_type
                && row.artifact_type.map(text) == descriptor.artifact_type.as_deref()
                && row.annotations.as_deref() == annotations
                && row.platform.map(|id| platforms.platform(id)) == platform
                && row.sized == sized
                && row.mention.attestation == attestation
        };
        if let Some(place) = self.table.find(hash, same) {
            return KindId::at(place);
        }
        let artifact_type = descriptor.artifact_type.as_deref();
        let component = annotations.and_then(|all| all.get(CNAB_COMPONENT_NAME));
        let component = component.map(|name| beginning(name));
        let kind = Kind {
            media_type: names.intern(&descriptor.media_type),
            artifact_type: names.intern_option(artifact_type),
            annotations: annotations.cloned().map(Arc::new),
            platform: platform.map(|platform| platforms.intern(platform)),
            sized,
            mention,
            component: names.intern_option(component),
        };
        let place = self.rows.len();
        self.rows.push(kind);
        self.table.insert(hash, place);
        KindId::at(place)
    }
}

/// A component's name, or the beginning of one that is none.
fn beginning(name: &str) -> &str {
    name.get(..name.floor_char_boundary(LONGEST_NAME))
        .unwrap_or_default()
}

frozen!(
    enum CnabType {
        None,
        Config,
        Invocation,
        Component,
        Unknown,
    }
);

// A part of each frozen kind: snapshots have these in this order.
frozen!(struct Mention { is_index, cnab, attestation, non_image });
frozen!(struct Kind {
    media_type, artifact_type, annotations, platform, sized, mention, component,
});

impl Kinds {
    pub(crate) fn freeze(&self, to: &mut Freezing<'_>) {
        self.rows.freeze(to);
    }

    pub(crate) fn thaw(
        from: &mut Thawing<'_>,
        names: &Names,
        platforms: &Platforms,
    ) -> Result<Self, ThawError> {
        let rows: Vec<Kind> = Frozen::thaw(from)?;
        let text = |id: NameId| &**names.text(id);
        let table = Table::of(rows.iter().map(|row| {
            Some(hash_of(&Said {
                media_type: text(row.media_type),
                artifact_type: row.artifact_type.map(text),
                annotations: row.annotations.as_deref(),
                platform: row.platform.map(|id| platforms.platform(id)),
                sized: row.sized,
                attestation: row.mention.attestation,
            }))
        }));
        Ok(Self { rows, table })
    }
}

/// The role that a descriptor's annotations give to it.
fn cnab_type(annotations: Option<&BTreeMap<String, String>>) -> CnabType {
    match annotations
        .and_then(|all| all.get(CNAB_MANIFEST_TYPE))
        .map(String::as_str)
    {
        None => CnabType::None,
        Some("config") => CnabType::Config,
        Some("invocation") => CnabType::Invocation,
        Some("component") => CnabType::Component,
        Some(_) => CnabType::Unknown,
    }
}

/// Whether a descriptor is of an attestation and not of an image.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let annotated = descriptor
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(DOCKER_REFERENCE_TYPE));
    let nowhere = descriptor
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown" && platform.architecture == "unknown");
    annotated || nowhere
}

impl State {
    /// The child that a descriptor tells of.
    pub(crate) fn child(&mut self, descriptor: &Descriptor) -> Child {
        let kind = self
            .kinds
            .intern(descriptor, &mut self.names, &mut self.platforms);
        Child {
            digest: self.intern_digest(&descriptor.digest),
            kind,
            size: descriptor.size.unwrap_or(0),
        }
    }

    /// The descriptor as it came, but for a platform that is too long to be one.
    pub(crate) fn descriptor(&self, child: &Child) -> Descriptor {
        let kind = self.kinds.get(child.kind);
        let platform = kind.platform.map(|id| self.platforms.platform(id).clone());
        Descriptor {
            digest: self.digest(child.digest).clone(),
            media_type: self.text(kind.media_type).to_string(),
            size: kind.sized.then_some(child.size),
            platform,
            artifact_type: kind.artifact_type.map(|id| self.text(id).to_string()),
            annotations: kind.annotations.as_deref().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_stands_in_reasons_with_its_beginning() {
        assert_eq!(beginning("web"), "web");
        assert_eq!(beginning(&"é".repeat(300)), "é".repeat(128));
    }
}
