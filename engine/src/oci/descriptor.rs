//! Reading manifests leniently: what they list, never how they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use weir_schema::Digest;

use super::{media_type, spelling};

/// A descriptor as a manifest carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub size: u64,
    /// The platform of an image in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformField>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations of the descriptor, not of the content.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "texts"
    )]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where else the content is to be had; what is not distributable is only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
}

/// The platform of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformField {
    /// `linux`, `windows`, or `unknown` for what runs nowhere.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, ...
    #[serde(default)]
    pub architecture: String,
    /// `v7`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What a manifest says, read as leniently as meaning allows: absent, `null` and empty lists are
/// the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The media type: that of the document, else the one it was served with, else by its shape.
    pub media_type: String,
    /// An index's children.
    pub manifests: Vec<Descriptor>,
    /// An image's configuration.
    pub config: Option<Descriptor>,
    /// An image's layers, and what an artifact manifest of old calls blobs.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// Type of an artifact, as the document gives it.
    pub artifact_type: Option<String>,
    /// Annotations of the document.
    pub annotations: BTreeMap<String, String>,
}

/// Why a document is no manifest that Weir understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or a part of it is not what it must be.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is an image and an index at once, so that readers would see different things in it.
    #[error("it is both an image and an index: {0}")]
    Ambiguous(String),
    /// It has a key in another case. Readers in Go take it for the same and others do not, so that
    /// they would see different things in it.
    #[error("it has the key `{0}`, which some readers take for `{1}` and others do not")]
    Spelling(String, &'static str),
    /// It is neither.
    #[error("it is neither an image nor an index: its media type is `{0}`")]
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "or_default")]
    layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "or_default")]
    blobs: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    annotations: Option<BTreeMap<String, String>>,
}

/// What is `null` is what is absent, as it is for Go.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A map of texts; one that is `null` is empty, as it is for Go.
pub(crate) fn texts<'de, D>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    Ok(texts.map(|texts| {
        let each = texts.into_iter();
        each.map(|(name, text)| (name, text.unwrap_or_default()))
            .collect()
    }))
}

impl Manifest {
    /// Reads a manifest that was served with `content_type`.
    ///
    /// # Errors
    /// If it is unreadable, or by type or shape both an image and an index, or neither.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Unreadable(error.to_string()))?;
        if let Some((written, meant)) = spelling::other(bytes) {
            return Err(ManifestError::Spelling(written, meant));
        }
        let has_manifests = !document.manifests.is_empty();
        if has_manifests && document.config.is_some() {
            return Err(ManifestError::Ambiguous(
                "it has `config` and `manifests`".to_owned(),
            ));
        }
        let media_type = document
            .media_type
            .filter(|media_type| !media_type.is_empty())
            .or_else(|| {
                content_type
                    .filter(|served| is_known(served))
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| by_shape(document.config.is_some(), has_manifests, content_type));
        if media_type::is_image(&media_type) && has_manifests {
            return Err(ManifestError::Ambiguous(format!(
                "its media type is `{media_type}` and it has `manifests`"
            )));
        }
        if media_type::is_index(&media_type)
            && (document.config.is_some() || !document.layers.is_empty())
        {
            return Err(ManifestError::Ambiguous(format!(
                "its media type is `{media_type}` and it has layers"
            )));
        }
        if !is_known(&media_type) {
            return Err(ManifestError::Unknown(media_type));
        }
        let mut layers = document.layers;
        layers.extend(document.blobs);
        Ok(Self {
            media_type,
            manifests: document.manifests,
            config: document.config,
            layers,
            subject: document.subject,
            artifact_type: document.artifact_type.filter(|kind| !kind.is_empty()),
            annotations: document.annotations.unwrap_or_default(),
        })
    }

    /// Whether it lists other manifests.
    #[must_use]
    pub fn is_index(&self) -> bool {
        media_type::is_index(&self.media_type)
    }

    /// What kind of artifact it is: as the document says, else by the type of a configuration
    /// that is no image's; `None` for images and indexes.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let config = self
            .config
            .as_ref()
            .map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or_else(|| {
            config.filter(|kind| media_type::is_non_image_config(&self.media_type, kind))
        })
    }
}

/// The artifact manifest that OCI took back before 1.1; some registries still hold some.
const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";

fn is_known(media_type: &str) -> bool {
    media_type::is_index(media_type)
        || media_type::is_image(media_type)
        || media_type == ARTIFACT_MANIFEST
}

fn by_shape(has_config: bool, has_manifests: bool, content_type: Option<&str>) -> String {
    match (has_config, has_manifests) {
        (true, _) => media_type::OCI_MANIFEST.to_owned(),
        (false, true) => media_type::OCI_INDEX.to_owned(),
        (false, false) => content_type.unwrap_or("(none)").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(json: &str, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(json.replace("DIGEST", DIGEST).as_bytes(), content_type)
    }

    #[test]
    fn the_media_type_is_the_documents_else_the_served_one_else_that_of_its_shape() {
        let check = |json: &str, served: Option<&str>, expected: &str| {
            assert_eq!(parse(json, served).unwrap().media_type, expected, "{json}");
        };
        let index = r#"{"schemaVersion":2,"manifests":[{"digest":"DIGEST"}]}"#;
        check(
            index,
            Some(media_type::DOCKER_LIST),
            media_type::DOCKER_LIST,
        );
        check(index, Some("application/json"), media_type::OCI_INDEX);
        check(index, None, media_type::OCI_INDEX);
        check(
            r#"{"config":{"digest":"DIGEST"},"layers":null}"#,
            None,
            media_type::OCI_MANIFEST,
        );
        check(
            r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
            None,
            media_type::OCI_INDEX,
        );
    }

    #[test]
    fn a_media_type_is_known_however_it_is_written() {
        let check = |media_type: &str, is_index| {
            let json = format!(r#"{{"mediaType":"{media_type}"}}"#);
            assert_eq!(parse(&json, None).unwrap().is_index(), is_index, "{json}");
        };
        check("Application/vnd.OCI.image.index.v1+json", true);
        check(
            "application/vnd.oci.image.index.v1+json;charset=utf-8",
            true,
        );
        check("application/vnd.OCI.image.manifest.v1+json", false);
    }

    #[test]
    fn null_absent_and_empty_layers_are_the_same() {
        for layers in ["", r#","layers":null"#, r#","layers":[]"#] {
            let json = format!(r#"{{"config":{{"digest":"DIGEST"}}{layers}}}"#);
            assert_eq!(parse(&json, None).unwrap().layers, []);
        }
    }

    #[test]
    fn what_is_null_is_what_is_absent() {
        let manifest = parse(
            r#"{"manifests":[{"digest":"DIGEST","size":null,"annotations":{"a":null}}],"annotations":{"b":null,"c":"d"}}"#,
            None,
        )
        .unwrap();
        assert_eq!(manifest.annotations["b"], "");
        assert_eq!(manifest.annotations["c"], "d");
        let child = &manifest.manifests[0];
        assert_eq!(child.size, 0);
        assert_eq!(child.annotations.as_ref().unwrap()["a"], "");
    }

    #[test]
    fn f6_an_image_with_an_empty_list_of_manifests_stays_an_image() {
        let manifest = parse(r#"{"config":{"digest":"DIGEST"},"manifests":[]}"#, None).unwrap();
        assert!(!manifest.is_index());
    }

    #[test]
    fn f6_what_is_image_and_index_at_once_is_refused() {
        for json in [
            r#"{"config":{"digest":"DIGEST"},"manifests":[{"digest":"DIGEST"}]}"#,
            r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[{"digest":"DIGEST"}]}"#,
            r#"{"mediaType":"application/vnd.oci.image.index.v1+json","layers":[{"digest":"DIGEST"}]}"#,
        ] {
            assert!(
                matches!(parse(json, None), Err(ManifestError::Ambiguous(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn f6_a_key_in_another_case_is_refused() {
        for json in [
            r#"{"manifests":[{"digest":"DIGEST"}],"Manifests":[]}"#,
            r#"{"manifests":[{"digest":"DIGEST","Digest":"DIGEST"}]}"#,
            r#"{"config":{"digest":"DIGEST"},"mediatype":"application/vnd.oci.image.manifest.v1+json"}"#,
        ] {
            assert!(
                matches!(parse(json, None), Err(ManifestError::Spelling(..))),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for json in [
            "{}",
            r#"{"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#,
        ] {
            assert!(
                matches!(
                    parse(json, Some("text/plain")),
                    Err(ManifestError::Unknown(_))
                ),
                "{json}"
            );
        }
        for json in ["", "[]", r#"{"config":{"digest":"sha256:12"}}"#] {
            assert!(
                matches!(parse(json, None), Err(ManifestError::Unreadable(_))),
                "{json}"
            );
        }
    }
}
