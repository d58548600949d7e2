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

/// What a source says that does not know: it may be anything, and nothing is guessed.
pub const UNTOLD: &str = "application/octet-stream";

/// Whether a manifest of this media type lists other manifests.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    is_one_of(media_type, [OCI_INDEX, DOCKER_LIST])
}

/// Whether a manifest of this media type has a configuration and layers.
#[must_use]
pub fn is_image(media_type: &str) -> bool {
    is_one_of(media_type, [OCI_MANIFEST, DOCKER_MANIFEST])
}

/// Case and parameters of a media type (RFC 6838, section 4.2; RFC 9110, section 8.3.1) change
/// nothing.
fn is_one_of<const N: usize>(media_type: &str, these: [&str; N]) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    these.iter().any(|one| essence.eq_ignore_ascii_case(one))
}

/// Whether an `artifactType` says that the manifest is no image. Absent or empty says nothing (image
/// specification, "Guidelines for Artifact Usage"): then the configuration does, see
/// [`is_non_image_config`].
#[must_use]
pub fn is_non_image_artifact(artifact_type: Option<&str>) -> bool {
    artifact_type.is_some_and(|kind| !is_one_of(kind, ["", OCI_CONFIG, DOCKER_CONFIG]))
}

/// The configuration of a Docker plugin, the only thing that is no image in a Docker manifest.
const DOCKER_PLUGIN: &str = "application/vnd.docker.plugin.v1+json";

/// Types that say nothing of what something is: what a proxy or an old client writes, and what Docker
/// up to 1.11 called its images' configurations (and still calls images: its `defaultImageTypes`).
const GENERAL: [&str; 5] = ["", UNTOLD, "application/json", "text/html", "text/plain"];

/// Whether a media type says nothing of what something is.
#[must_use]
pub fn is_general(media_type: &str) -> bool {
    is_one_of(media_type, GENERAL)
}

/// Whether the media type of its configuration says that a manifest of the type `manifest` is no
/// image. Who pulls a Docker manifest takes it for an image whatever its configuration is called.
#[must_use]
pub fn is_non_image_config(manifest: &str, config: &str) -> bool {
    if is_one_of(manifest, [DOCKER_MANIFEST]) {
        return is_one_of(config, [DOCKER_PLUGIN]);
    }
    !is_general(config) && is_non_image_artifact(Some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_type_is_an_images_however_it_is_written() {
        for written in [
            "",
            OCI_CONFIG,
            "application/vnd.oci.image.config.v1+json; charset=utf-8",
            "Application/vnd.Docker.container.image.v1+json",
        ] {
            assert!(!is_non_image_artifact(Some(written)), "{written}");
        }
        assert!(!is_non_image_artifact(None));
        assert!(is_non_image_artifact(Some("application/vnd.example.sbom")));
    }

    #[test]
    fn a_configuration_of_a_general_type_does_not_make_an_image_an_artifact() {
        let check = |manifest: &str, config: &str, expected: bool| {
            assert_eq!(
                is_non_image_config(manifest, config),
                expected,
                "{manifest} {config}"
            );
        };
        const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
        for image in [
            OCI_CONFIG,
            DOCKER_CONFIG,
            "",
            UNTOLD,
            "text/html",
            "application/json; charset=utf-8",
        ] {
            check(OCI_MANIFEST, image, false);
            check(DOCKER_MANIFEST, image, false);
        }
        check(
            OCI_MANIFEST,
            "Application/vnd.OCI.image.config.v1+json",
            false,
        );
        check(OCI_MANIFEST, HELM, true);
        check(OCI_MANIFEST, DOCKER_PLUGIN, true);
        check(DOCKER_MANIFEST, HELM, false);
        check(DOCKER_MANIFEST, DOCKER_PLUGIN, true);
    }

    #[test]
    fn an_index_is_one_however_its_media_type_is_written() {
        for written in [
            OCI_INDEX,
            DOCKER_LIST,
            "application/vnd.oci.image.index.v1+json; charset=utf-8",
            "Application/vnd.OCI.image.index.v1+json",
        ] {
            assert!(is_index(written) && !is_image(written), "{written}");
        }
        for other in [OCI_MANIFEST, "", ";", UNTOLD] {
            assert!(!is_index(other), "{other}");
        }
    }

    #[test]
    fn an_image_is_one_however_its_media_type_is_written() {
        for written in [
            OCI_MANIFEST,
            DOCKER_MANIFEST,
            "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
            "Application/vnd.OCI.image.manifest.v1+json",
        ] {
            assert!(is_image(written) && !is_index(written), "{written}");
        }
        for other in [OCI_CONFIG, "", ";", UNTOLD] {
            assert!(!is_image(other), "{other}");
        }
    }
}
