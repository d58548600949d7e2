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

/// Majors of Red Hat's releases, and of some to come.
const RED_HATS: std::ops::Range<u32> = 4..20;

/// Whether this is a release of which there is no data: Debian's testing and unstable, whose version is
/// `trixie/sid`; and what `/etc/redhat-release` makes Trivy take for Red Hat's, and numbers its releases
/// otherwise, as EulerOS 2.0 does. Trivy lists their packages like others, and finds nothing.
pub(super) fn is_unreleased(family: &str, version: &str) -> bool {
    let is_numbered = version.starts_with(|first: char| first.is_ascii_digit());
    let major = version.split('.').next().unwrap_or_default();
    match family {
        "redhat" => major.parse().is_ok_and(|major| !RED_HATS.contains(&major)),
        _ => family.starts_with("debian") && !version.is_empty() && !is_numbered,
    }
}
