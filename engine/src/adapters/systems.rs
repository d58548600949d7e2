//! Operating systems by the names that Trivy has for them, and whether it has data of them.

/// Those of which Trivy has data, with their former names (`drivers` in its `pkg/detector/ospkg`,
/// `OSTypeAliases` in its `pkg/fanal/types`). Of others it lists the packages and finds nothing.
const WITH_DATA: [&str; 30] = [
    "alma",
    "alpine",
    "amazon",
    "amazon linux",
    "azurelinux",
    "bottlerocket",
    "cbl-mariner",
    "centos",
    "chainguard",
    "cleanstart",
    "coreos",
    "debian",
    "debian gnu/linux",
    "echo",
    "minimos",
    "opensuse",
    "opensuse-leap",
    "opensuse-tumbleweed",
    "opensuse.leap",
    "opensuse.tumbleweed",
    "oracle",
    "photon",
    "redhat",
    "rocky",
    "slem",
    "sles",
    "suse linux enterprise micro",
    "suse linux enterprise server",
    "ubuntu",
    "wolfi",
];

/// Whether Trivy has data of this operating system.
pub(super) fn has_data(family: &str) -> bool {
    WITH_DATA.contains(&family)
}
