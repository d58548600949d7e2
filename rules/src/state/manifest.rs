//! Manifests: what is known of content, and the ways up from an image to what bundles it.

use std::{collections::BTreeMap, sync::Arc};

use weir_schema::{Descriptor, Digest, Platform, media_type};

use super::names::{DigestId, NameId};
use crate::{Class, gate::Structure};

/// The annotation that says what a child of a bundle is.
pub const CNAB_MANIFEST_TYPE: &str = "io.cnab.manifest.type";
/// The annotation that names a component of a bundle.
pub const CNAB_COMPONENT_NAME: &str = "io.cnab.component.name";
/// The annotation that BuildKit puts on the descriptor of an attestation.
pub const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What a descriptor's `io.cnab.manifest.type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CnabType {
    None,
    Config,
    Invocation,
    Component,
    Unknown,
}

/// A child of an index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Child {
    pub(crate) digest: DigestId,
    pub(crate) is_index: bool,
    pub(crate) cnab: CnabType,
    /// An attestation by its annotation or by the platform `unknown/unknown`.
    pub(crate) attestation: bool,
    /// The descriptor's `artifactType` says that it is no image.
    pub(crate) non_image: bool,
    pub(crate) component: Option<NameId>,
    pub(crate) platform: Option<Arc<Platform>>,
}

/// What is known of a manifest. Facts about content are true for ever: what is known stays, what
/// was missing is filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    /// `None` while the digest is only mentioned.
    pub(crate) media_type: Option<NameId>,
    pub(crate) size: Option<u64>,
    pub(crate) artifact_type: Option<NameId>,
    /// As they came, for the canonical encoding; `None` while the children are not known.
    pub(crate) descriptors: Option<Arc<[Descriptor]>>,
    pub(crate) children: Option<Arc<[Child]>>,
    pub(crate) details: Option<Arc<Details>>,
    /// Indexes that have it as a child, sorted.
    pub(crate) parents: Vec<DigestId>,
    /// Tags that point at it, sorted.
    pub(crate) tags: Vec<(NameId, NameId)>,
    /// Derived from everything below; dropped when something there changes.
    pub(crate) structure: Option<Arc<Structure>>,
}

/// Facts that few manifests have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Details {
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) config_digest: Option<Digest>,
    pub(crate) subject: Option<DigestId>,
    /// Manifests that name this one as their subject, sorted.
    pub(crate) referrers: Vec<DigestId>,
}

impl Manifest {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.details
            .as_ref()?
            .annotations
            .get(key)
            .map(String::as_str)
    }

    /// The details, to be changed; made where there were none.
    pub(crate) fn details_mut(&mut self) -> &mut Details {
        Arc::make_mut(self.details.get_or_insert_default())
    }
}

/// What an event says of a manifest.
pub(crate) struct Facts<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) size: Option<u64>,
    pub(crate) artifact_type: Option<&'a str>,
    pub(crate) annotations: Option<&'a BTreeMap<String, String>>,
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) manifests: Option<&'a [Descriptor]>,
    pub(crate) config_digest: Option<&'a Digest>,
    pub(crate) subject: Option<&'a Digest>,
}

/// The role that a descriptor's annotations give to it.
pub(crate) fn cnab_type(annotations: Option<&BTreeMap<String, String>>) -> CnabType {
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
pub(crate) fn is_attestation(descriptor: &Descriptor) -> bool {
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

impl super::State {
    /// The class of a manifest by its content (DESIGN 4.1), and by whether `repository` was
    /// declared to hold bundles.
    pub(crate) fn class(&self, repository: NameId, digest: DigestId) -> Class {
        let manifest = self.manifest(digest);
        let media = manifest.media_type.map_or("", |id| self.names.text(id));
        let artifact_type = manifest.artifact_type.map(|id| &**self.names.text(id));
        if media_type::is_index(media) {
            let bundle = manifest.annotation("io.docker.type") == Some("app")
                || manifest.annotation("org.opencontainers.artifactType")
                    == Some(media_type::CNAB_MANIFEST)
                || artifact_type == Some(media_type::CNAB_MANIFEST)
                || manifest
                    .children
                    .iter()
                    .flat_map(|children| children.iter())
                    .any(|child| child.cnab != CnabType::None)
                || self
                    .repositories
                    .get(&repository)
                    .is_some_and(|known| known.bundles);
            if bundle { Class::App } else { Class::Index }
        } else if media_type::is_non_image_artifact(artifact_type) {
            Class::Artifact
        } else {
            Class::Image
        }
    }

    /// Whether a manifest is known to be an index.
    pub(crate) fn is_index(&self, digest: DigestId) -> bool {
        self.manifest(digest)
            .media_type
            .is_some_and(|id| media_type::is_index(self.names.text(id)))
    }

    /// Whether nobody has said yet what a manifest is (RFC 2046, section 4.5.1).
    pub(crate) fn is_untold(&self, digest: DigestId) -> bool {
        self.manifest(digest)
            .media_type
            .is_some_and(|id| &**self.names.text(id) == media_type::UNTOLD)
    }
}
