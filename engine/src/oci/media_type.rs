//! Media types as registries are asked for them, and what they say of a layer. What they say of a
//! manifest is the schema's to tell.

pub use weir_schema::media_type::{
    DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, is_image,
    is_index, is_non_image_config,
};

/// What is asked for: each by name, for a registry may convert for a client that names fewer.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.artifact.manifest.v1+json, */*;q=0.1";

/// A media type without its parameters, in lower case.
pub(super) fn essence(value: &str) -> String {
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Whether a layer of this type stays where it came from and is not copied.
#[must_use]
pub fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

/// What the types of layers begin with that become an image's file system: Docker takes any such
/// layer of an image, containerd and podman the archives among them.
const FILE_SYSTEMS: [&str; 2] = ["application/vnd.oci.image.", "application/vnd.docker."];

/// Whether a layer of this type becomes a part of the file system of who runs the image.
#[must_use]
pub fn is_file_system(media_type: &str) -> bool {
    let essence = essence(media_type);
    FILE_SYSTEMS
        .iter()
        .any(|beginning| essence.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_become_a_file_system_and_documents_do_not() {
        for archive in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "Application/vnd.OCI.image.layer.nondistributable.v1.tar+gzip; a=b",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ] {
            assert!(is_file_system(archive), "{archive}");
        }
        for document in [
            "",
            "application/vnd.in-toto+json",
            "application/vnd.dev.cosign.simplesigning.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "application/vnd.oci.empty.v1+json",
        ] {
            assert!(!is_file_system(document), "{document}");
        }
    }

    #[test]
    fn every_kind_of_manifest_is_asked_for_by_name() {
        let asked: Vec<&str> = ACCEPTED.split(", ").collect();
        for kind in [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST] {
            assert!(asked.contains(&kind), "{kind}");
        }
    }
}
