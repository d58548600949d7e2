//! From a manifest as registries write it to the facts as the log keeps them.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_schema::{Digest, ManifestResolved};

use crate::oci::{Descriptor, Manifest, texts};

/// Labels kept of one image, in order of their names.
const MOST_LABELS: usize = 256;

/// A label longer than this is left out: it is a document, and not one to decide by.
const LONGEST_LABEL: usize = 4096;

/// The facts of the manifest `digest`; `labels` are those of its configuration.
pub(crate) fn of(
    digest: &Digest,
    manifest: Manifest,
    labels: Option<BTreeMap<String, String>>,
) -> ManifestResolved {
    ManifestResolved {
        digest: digest.clone(),
        artifact_type: manifest.kind().map(str::to_owned),
        manifests: manifest
            .is_index()
            .then(|| manifest.manifests.into_iter().map(child).collect()),
        media_type: manifest.media_type,
        annotations: some(manifest.annotations),
        config_digest: manifest.config.map(|config| config.digest),
        subject: manifest.subject.map(|subject| subject.digest),
        labels,
    }
}

/// A descriptor as the log keeps it.
pub(crate) fn child(descriptor: Descriptor) -> weir_schema::Descriptor {
    weir_schema::Descriptor {
        digest: descriptor.digest,
        media_type: descriptor.media_type,
        size: Some(descriptor.size),
        platform: descriptor.platform.map(|platform| weir_schema::Platform {
            os: platform.os.into(),
            architecture: platform.architecture.into(),
            variant: platform.variant.map(Into::into),
        }),
        artifact_type: descriptor.artifact_type,
        annotations: descriptor.annotations.and_then(some),
    }
}

fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

#[derive(Deserialize)]
struct ImageConfig {
    config: Option<Inner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inner {
    #[serde(default, deserialize_with = "texts")]
    labels: Option<BTreeMap<String, String>>,
}

/// The labels of an image configuration; `None` if it has none or cannot be read, which says
/// nothing against the image.
pub(super) fn labels(config: &[u8]) -> Option<BTreeMap<String, String>> {
    let config: ImageConfig = serde_json::from_slice(config).ok()?;
    let labels = config.config?.labels?;
    some(
        labels
            .into_iter()
            .filter(|(name, value)| name.len() + value.len() <= LONGEST_LABEL)
            .take(MOST_LABELS)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_configuration_and_bounded() {
        assert_eq!(
            labels(br#"{"config":{"Labels":{"a":"1"}},"container_config":{"Labels":{"b":"2"}}}"#),
            Some(BTreeMap::from([("a".into(), "1".into())]))
        );
        for none in [
            "{}",
            r#"{"config":null}"#,
            r#"{"config":{"Labels":null}}"#,
            r#"{"config":{"Labels":{}}}"#,
            "no",
        ] {
            assert_eq!(labels(none.as_bytes()), None, "{none}");
        }
        let many: BTreeMap<String, String> = (0..1000)
            .map(|n| (format!("l{n:04}"), "v".into()))
            .collect();
        let config = serde_json::json!({"config": {"Labels": many}}).to_string();
        assert_eq!(labels(config.as_bytes()).unwrap().len(), MOST_LABELS);
        let long =
            serde_json::json!({"config": {"Labels": {"long": "x".repeat(5000), "short": "x"}}})
                .to_string();
        assert_eq!(
            labels(long.as_bytes())
                .unwrap()
                .into_keys()
                .collect::<Vec<_>>(),
            ["short"]
        );
    }
}
