//! Systems whose packages a scanner lists and knows nothing about: a report without findings in them is
//! not a clean one, whatever was found in libraries.

use serde_json::{Value, json};

use crate::words::{changed, check, digest};

fn grype(distro: Value, matches: Value) -> Value {
    json!({
        "matches": matches, "distro": distro,
        "source": {"type": "image", "target": {"userInput": "a/b", "imageID": digest("cd"), "manifestDigest": digest("ab"), "tags": [], "repoDigests": []}},
        "descriptor": {"name": "grype", "version": "0.110.0", "db": {"providers": {"alpine": {}, "amazon": {}, "debian": {}, "nvd": {}, "rhel": {}, "secureos": {}, "ubuntu": {}}, "status": {"valid": true}}},
    })
}

#[test]
fn a_database_that_was_built_without_a_distribution_says_nothing_of_it() {
    // anchore/grype-db: `grype-db build --provider`.
    let nothing = "rejected `descriptor.db.providers`: not a completed scan: the database was built without data of";
    let report = |name: &str, providers: Value, matches: Value| {
        let mut report = grype(
            json!({"name": name, "version": "24.04", "idLike": []}),
            matches,
        );
        report["descriptor"]["db"]["providers"] = providers;
        report
    };
    let found = |kind: &str| json!([{"vulnerability": {"id": "CVE-1", "severity": "Low"}, "artifact": {"name": "x", "version": "1", "type": kind}}]);
    let chosen = json!({"nvd": {}, "github": {}});
    for (name, matches) in [
        ("ubuntu", json!([])),
        ("alpine", found("npm")),
        ("redhat", json!([])),
    ] {
        check(&report(name, chosen.clone(), matches), &[nothing]);
    }
    check(
        &report("ubuntu", chosen.clone(), found("deb")),
        &["leaf? scanned abab by grype: CVE-1=LOW"],
    );
    for (name, providers) in [
        ("ubuntu", json!({"ubuntu": {}})),
        ("rockylinux", json!({"rhel": {}})),
        ("almalinux", json!({"alma": {}})),
        ("busybox", chosen),
        // Older versions name none.
        ("ubuntu", json!({})),
        ("ubuntu", Value::Null),
    ] {
        check(
            &report(name, providers, json!([])),
            &["leaf? scanned abab by grype:"],
        );
    }
}

#[test]
fn what_has_no_os_release_is_like_itself() {
    // anchore/syft, syft/linux/identify_release.go: `IDLike: []string{name}`.
    let like_itself = "rejected `distro.idLike`: not a completed scan: something that is like";
    for (name, version, like, expected) in [
        ("busybox", "1.36.1", json!(["busybox"]), "leaf? scanned"),
        ("centos", "6", json!(["centos"]), "leaf? scanned"),
        ("redhat", "6.10", json!(["rhel"]), "leaf? scanned"),
        ("centos", "7", json!(["centos"]), like_itself),
        ("redhat", "6.10", json!(["rhel", "fedora"]), like_itself),
    ] {
        let report = grype(
            json!({"name": name, "version": version, "idLike": like}),
            json!([]),
        );
        check(&report, &[expected]);
        // `grype --distro busybox:1` of whatever image.
        let mut named = report;
        named["descriptor"]["configuration"] = json!({"distro": format!("{name}:{version}")});
        check(&named, &[like_itself]);
    }
}

#[test]
fn a_distribution_by_its_raw_name_is_one_that_grype_does_not_know() {
    // anchore/grype, grype/presenter/models/distribution.go: the identifier of `/etc/os-release` where
    // none of its types fits.
    let in_a_library = json!([{"vulnerability": {"id": "CVE-1", "severity": "Low"}, "artifact": {"name": "stdlib", "version": "1", "type": "go-module"}}]);
    for name in [
        "nixos",
        "flatcar",
        "bottlerocket",
        "euleros",
        "alt",
        "freebsd",
    ] {
        for matches in [json!([]), in_a_library.clone()] {
            check(
                &grype(
                    json!({"name": name, "version": "23.11", "idLike": []}),
                    matches,
                ),
                &["rejected `distro.name`: not a completed scan: Grype has no data of"],
            );
        }
    }
    // A later database has.
    check(
        &grype(json!({"name": "secureos", "version": "1"}), json!([])),
        &["leaf? scanned abab by grype:"],
    );
    check(
        &grype(json!({"name": "secureoslinux", "version": "1"}), json!([])),
        &["leaf? scanned abab by grype:"],
    );
    // Of another whose name only begins so it says nothing.
    check(
        &grype(json!({"name": "secureosarm", "version": "1"}), json!([])),
        &["rejected `distro.name`: not a completed scan: Grype has no data of"],
    );
}

#[test]
fn what_is_like_a_distribution_is_not_one_of_its_releases() {
    // grype/distro/type.go: what `ID_LIKE` names is taken where the identifier itself is not known; the
    // release is then the other's.
    for (name, version, like) in [
        ("debian", "2024.1", json!(["debian"])),
        ("ubuntu", "21.3", json!(["ubuntu", "debian"])),
        ("redhat", "2.0", json!(["centos", "rhel", "fedora"])),
        ("ubuntu", "21.3", json!("ubuntu debian")),
    ] {
        check(
            &grype(
                json!({"name": name, "version": version, "idLike": like}),
                json!([]),
            ),
            &["rejected `distro.idLike`: not a completed scan: something that is like"],
        );
    }
    // What was found in a package of its own proves that there is data.
    let found = json!([{"vulnerability": {"id": "CVE-1", "severity": "Low"}, "artifact": {"name": "zlib", "version": "1", "type": "deb"}}]);
    check(
        &grype(
            json!({"name": "debian", "version": "12", "idLike": ["debian"]}),
            found,
        ),
        &["leaf? scanned abab by grype: CVE-1=LOW"],
    );
    for (name, version, like) in [
        ("ubuntu", "24.04", json!(["debian"])),
        ("redhat", "9.4", json!(["fedora"])),
        ("rockylinux", "9.4", json!(["rhel", "centos", "fedora"])),
        ("amazonlinux", "2023", json!(["fedora"])),
        ("debian", "12", json!("")),
    ] {
        check(
            &grype(
                json!({"name": name, "version": version, "idLike": like}),
                json!([]),
            ),
            &["leaf? scanned abab by grype:"],
        );
    }
}

#[test]
fn releases_that_are_not_red_hats_are_not_taken_for_them() {
    // aquasecurity/trivy, pkg/fanal/analyzer/os/redhatbase/redhatbase.go: whatever else stands in
    // `/etc/redhat-release` is Red Hat's.
    let report = |release: &str| {
        changed("trivy/image-clean.json", |body| {
            body["Metadata"]["OS"] = json!({"Family": "redhat", "Name": release});
            body["Results"] = json!([{"Target": "os", "Class": "os-pkgs", "Type": "redhat"}]);
        })
    };
    for release in ["2.0", "2.1903", "3.1", "22.03"] {
        check(
            &report(release),
            &["rejected `Metadata.OS.Name`: not a completed scan: Trivy has no data of"],
        );
    }
    for release in ["6.10", "8.10", "9.4", "10.0"] {
        check(&report(release), &["leaf? scanned 9d79 by trivy:"]);
    }
}

#[test]
fn a_finding_in_a_library_does_not_prove_that_the_operator_knows_the_system() {
    let report = |family: &str, release: &str, class: Value| {
        let mut found =
            json!({"vulnerabilityID": "CVE-1", "resource": "stdlib", "severity": "LOW"});
        found["class"] = class;
        json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "report": {
            "artifact": {"repository": "a/b", "digest": digest("ab")}, "registry": {"server": "r.example"},
            "os": {"family": family, "name": release}, "scanner": {"name": "Trivy"}, "summary": {"lowCount": 1}, "vulnerabilities": [found]}})
    };
    for class in [json!("lang-pkgs"), Value::Null] {
        check(
            &report("fedora", "39", class.clone()),
            &["rejected `report.os.family`: not a completed scan: Trivy has no data of `fedora`"],
        );
        check(
            &report("debian", "trixie/sid", class.clone()),
            &["rejected `report.os.name`: not a completed scan"],
        );
        check(
            &report("debian", "12", class),
            &["scanned abab by trivy: CVE-1=LOW"],
        );
    }
    check(
        &report("newix", "1", json!("os-pkgs")),
        &["scanned abab by trivy: CVE-1=LOW"],
    );
    let mut uncounted = report("debian", "12", json!("lang-pkgs"));
    uncounted["report"]["summary"]["unknownCount"] = json!(7);
    check(
        &uncounted,
        &["rejected `report.summary.unknownCount`: more than the report lists"],
    );
}
