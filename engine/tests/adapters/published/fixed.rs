//! Where reports say in which version a vulnerability is repaired: a rule may ask for what can be.

use serde_json::{Value, json};

use crate::words::{decode_text, decode_with, digest, findings};

use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

fn cyclonedx(vulnerability: Value) -> Vec<String> {
    let mut whole = json!({"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [{"ref": "crypto"}, {"ref": "pkg:apk/alpine/libssl3@3.0.7-r0"}]});
    for (name, value) in vulnerability.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
        "metadata": {"component": {"type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}", digest("ab"))}},
        "components": [
            {"bom-ref": "crypto", "type": "library", "name": "libcrypto3", "version": "3.0.7-r0", "purl": "pkg:apk/alpine/libcrypto3@3.0.7-r0"},
            {"bom-ref": "pkg:apk/alpine/libssl3@3.0.7-r0", "type": "library", "name": "libssl3", "version": "3.0.7-r0"},
        ], "vulnerabilities": [whole]});
    let found = findings(decode_text(&document.to_string()));
    let fixed = found.iter().map(|line| {
        let (_, after) = line.split_once("@3.0.7-r0").expect("a version");
        after.trim().to_owned()
    });
    fixed.collect()
}

#[test]
fn each_package_of_a_cyclonedx_document_has_its_own_repair() {
    // Trivy joins what it recommends for each package.
    let recommended = |text: &str| cyclonedx(json!({"recommendation": text}));
    assert_eq!(
        recommended(
            "Upgrade libcrypto3 to version 3.0.8-r0; Upgrade libssl3 to version 3.0.9-r0, 3.1.1-r0"
        ),
        ["3.0.8-r0", "3.0.9-r0"]
    );
    assert_eq!(
        recommended("Upgrade libssl3 to version 3.0.9-r0"),
        ["", "3.0.9-r0"]
    );
    // A package that is called otherwise here.
    assert_eq!(
        recommended("Upgrade openssl to version 3.0.9-r0"),
        ["3.0.9-r0", "3.0.9-r0"]
    );
    assert_eq!(recommended("See the vendor's advisory"), ["", ""]);
}

#[test]
fn repairs_in_ranges_and_properties_are_seen() {
    // anchore/grype, grype/presenter/cyclonedx/testdata: CycloneDX 1.7.
    let versions = json!([
        {"version": "3.0.7-r0", "status": "affected"},
        {"range": "vers:generic/>=3.0.8-r0", "status": "unaffected"},
        {"range": "vers:generic/>=3.1.1-r0|<4", "status": "unaffected"},
        {"range": "vers:generic/<2", "status": "unaffected"},
    ]);
    assert_eq!(
        cyclonedx(json!({"affects": [{"ref": "crypto", "versions": versions}]})),
        ["3.0.8-r0, 3.1.1-r0"]
    );
    // Its CycloneDX VEX of before.
    let of_grype = json!([{"name": "grype:fixed_versions", "value": "3.0.8-r0"}]);
    assert_eq!(
        cyclonedx(json!({"properties": of_grype, "affects": [{"ref": "crypto"}]})),
        ["3.0.8-r0"]
    );
    // Amazon Inspector's SBOM scanner, by the component's reference.
    let of_inspector = json!([
        {"name": "amazon:inspector:sbom_scanner:priority", "value": "standard"},
        {"name": "amazon:inspector:sbom_scanner:fixed_version:crypto", "value": "3.0.8-r0"},
    ]);
    assert_eq!(
        cyclonedx(json!({"properties": of_inspector})),
        ["3.0.8-r0", ""]
    );
}

#[test]
fn an_old_report_of_grype_has_its_repairs_and_scores() {
    // Before 0.8: `fixedInVersion`, `cvssV2` and `cvssV3` in place of `fix` and `cvss`.
    let report = json!({
        "matches": [{"vulnerability": {"id": "CVE-1", "severity": "High", "cvssV2": {"baseScore": 6.0}, "cvssV3": {"baseScore": 8.1, "vector": "v"}, "fixedInVersion": "2"}, "artifact": {"name": "p", "version": "1", "type": "deb"}}],
        "source": {"type": "image", "target": {"userInput": "a/b", "tags": [], "repoDigests": []}},
        "distro": {"name": "debian", "version": "10", "idLike": ""}, "descriptor": {"name": "grype", "version": "0.7.0"},
    });
    let of = digest("ab");
    let decoded = decode_with(
        &[(SUBJECT_HEADER, &of)],
        &AdapterSettings::default(),
        &report.to_string(),
    );
    assert_eq!(findings(decoded), ["CVE-1 HIGH p@1 2"]);
}
