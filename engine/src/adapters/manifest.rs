//! What a manifest's own bytes say: children, annotations, artifact type, configuration.
//!
//! Read leniently, as registries accept them: without `mediaType`, with `layers` null (CNAB). What
//! is read is a fact only if the bytes have the digest that they are known by.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_schema::{Descriptor, Digest, ManifestResolved, Platform, media_type};

/// Why the bytes of a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They are other bytes.
    #[error("the manifest's bytes do not have the digest {0}")]
    Digest(Digest),
    /// They are no manifest.
    #[error("not a manifest: {0}")]
    Form(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Reference>,
    #[serde(default)]
    manifests: Option<Vec<Reference>>,
    #[serde(default)]
    subject: Option<Reference>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    digest: Digest,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The facts that the bytes of the manifest `digest` state. `media_type` is what the registry calls
/// it; where that is nothing useful, the manifest's own word or its shape decides.
///
/// # Errors
/// If the bytes have another digest or are no manifest.
pub fn facts(
    digest: &Digest,
    media_type: &str,
    bytes: &[u8],
) -> Result<ManifestResolved, ManifestError> {
    if !digest.matches(bytes) {
        return Err(ManifestError::Digest(digest.clone()));
    }
    let manifest: Manifest = serde_json::from_slice(bytes)?;
    let own = manifest.media_type.as_deref().filter(|own| !own.is_empty());
    let media_type = match (media_type, own) {
        ("" | super::UNKNOWN_MEDIA_TYPE | "application/json", Some(own)) => own,
        ("" | super::UNKNOWN_MEDIA_TYPE | "application/json", None) => {
            if manifest.manifests.is_some() {
                media_type::OCI_INDEX
            } else {
                media_type::OCI_MANIFEST
            }
        }
        (said, _) => said,
    };
    let config_type = manifest
        .config
        .as_ref()
        .and_then(|config| config.media_type.clone());
    let artifact_type = manifest
        .artifact_type
        .filter(|kind| !kind.is_empty())
        .or_else(|| config_type.filter(|kind| media_type::is_non_image_artifact(Some(kind))));
    Ok(ManifestResolved {
        digest: digest.clone(),
        media_type: media_type.to_owned(),
        manifests: manifest
            .manifests
            .map(|children| children.into_iter().map(Reference::descriptor).collect()),
        annotations: manifest.annotations.filter(|map| !map.is_empty()),
        artifact_type,
        config_digest: manifest.config.map(|config| config.digest),
        subject: manifest.subject.map(|subject| subject.digest),
        labels: None,
    })
}

impl Reference {
    fn descriptor(self) -> Descriptor {
        Descriptor {
            digest: self.digest,
            media_type: self.media_type.unwrap_or_default(),
            size: self.size,
            platform: self.platform,
            artifact_type: self.artifact_type,
            annotations: self.annotations,
        }
    }
}
