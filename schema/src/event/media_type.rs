//! Media types of manifests and what they say about a manifest's shape.

/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A Docker manifest list, the older form of an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The configuration of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The configuration of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// What CNAB converters call an application's index.
pub const CNAB_MANIFEST: &str = "application/vnd.cnab.manifest.v1";
/// The configuration of a CNAB bundle: no image.
pub const CNAB_CONFIG: &str = "application/vnd.cnab.config.v1+json";

/// What a source says that does not know: it may be anything, and nothing is guessed.
pub const UNTOLD: &str = "application/octet-stream";

/// Whether a manifest of this media type lists other manifests.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether an `artifactType` (or, where there is none, the media type of the configuration) says
/// that the manifest is no image. Absent or empty says nothing (image specification, "Guidelines
/// for Artifact Usage").
#[must_use]
pub fn is_non_image_artifact(artifact_type: Option<&str>) -> bool {
    artifact_type.is_some_and(|kind| !matches!(kind, "" | OCI_CONFIG | DOCKER_CONFIG))
}
