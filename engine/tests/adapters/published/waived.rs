//! What VEX waives: no more than it states, of what it names, and nothing that its document speaks against.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};

use crate::words::{check, check_with, decode_with, digest};

/// A document about an image, with a vulnerability in each of these places, analysed as it says.
fn cyclonedx(vulnerabilities: &[(&str, Option<&str>, Value)]) -> Value {
    let image = json!({"bom-ref": "i", "type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}", digest("ab").replace(':', "%3A"))});
    let component =
        |url: &str| json!({"bom-ref": url, "type": "library", "name": "x", "purl": url});
    let list = vulnerabilities.iter().map(|(id, state, affects)| {
        let mut one = json!({"id": id, "ratings": [{"severity": "critical"}], "affects": affects});
        if let Some(state) = state {
            one["analysis"] = json!({"state": state});
        }
        one
    });
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1, "metadata": {"component": image},
        "components": [component("pkg:npm/lodash@4.17.21"), component("pkg:deb/debian/zlib@1.2")], "vulnerabilities": list.collect::<Vec<_>>()})
}

#[test]
fn what_is_analysed_away_is_an_override_and_a_finding_but_no_scan_by_itself() {
    let lodash = json!([{"ref": "pkg:npm/lodash@4.17.21"}]);
    let zlib = json!([{"ref": "pkg:deb/debian/zlib@1.2"}]);
    let away = ("CVE-1", Some("not_affected"), lodash.clone());
    // One image may hold several versions of a library, and one of what its system has.
    check(
        &cyclonedx(std::slice::from_ref(&away)),
        &["override CVE-1 abab lodash@4.17.21"],
    );
    check(
        &cyclonedx(&[("CVE-1", Some("resolved"), zlib.clone())]),
        &["override CVE-1 abab zlib"],
    );
    check(
        &cyclonedx(&[away, ("CVE-2", None, zlib)]),
        &[
            "override CVE-1 abab lodash@4.17.21",
            "scanned abab by cyclonedx: CVE-1=CRITICAL CVE-2=CRITICAL",
        ],
    );
    // Nothing says where it does not matter.
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), json!([]))]),
        &["rejected `vulnerabilities[0].affects` is missing"],
    );
}

#[test]
fn a_statement_about_nothing_that_is_known_overrides_nothing() {
    let lodash = ("CVE-2", None, json!([{"ref": "pkg:npm/lodash@4.17.21"}]));
    for unknown in [
        "4d9e0a3c-5f0b-4a5b-8a3e-2a5e4b6c7d8e",
        "urn:cdx:3e671687/1#other",
    ] {
        check(
            &cyclonedx(&[
                ("CVE-1", Some("not_affected"), json!([{"ref": unknown}])),
                lodash.clone(),
            ]),
            &[
                "rejected `vulnerabilities[0].affects[0].ref`: neither a component of the document nor a package URL",
                "scanned abab by cyclonedx: CVE-1=CRITICAL CVE-2=CRITICAL",
            ],
        );
    }
    // CycloneDX/bom-examples VEX/CISA-Use-Cases/Case-8: versions that are affected beside one that is not.
    let versions = json!([{"ref": "pkg:maven/org.acme/core", "versions": [{"range": "vers:maven/<2.0", "status": "affected"}, {"version": "2.17.1", "status": "unaffected"}]}]);
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), versions)]),
        &["override CVE-1 abab org.acme:core@2.17.1"],
    );
    let range = json!([{"ref": "pkg:maven/org.acme/core", "versions": [{"range": "vers:maven/>2.0", "status": "unaffected"}]}]);
    check(
        &cyclonedx(&[("CVE-1", Some("not_affected"), range)]),
        &["rejected `vulnerabilities[0].affects[0].versions[0].version` is missing"],
    );
}

fn openvex(statements: &[(&str, Value)]) -> Value {
    let list = statements.iter().map(|(status, product)| json!({"vulnerability": {"name": "CVE-1"}, "products": [product], "status": status, "justification": "component_not_present"}));
    json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": list.collect::<Vec<_>>()})
}

#[test]
fn vex_does_not_reach_further_than_it_says() {
    let image = format!("pkg:oci/web@{}", digest("ab"));
    let whole = json!({"@id": image});
    let part = |url: &str| json!({"@id": image, "subcomponents": [{"@id": url}]});
    check(
        &openvex(&[("not_affected", part("pkg:npm/lodash@4.17.21"))]),
        &["override CVE-1 abab lodash@4.17.21"],
    );
    check(
        &openvex(&[
            ("not_affected", whole.clone()),
            ("affected", part("pkg:npm/lodash@3")),
        ]),
        &[
            "rejected `not_affected` for CVE-1: the document says that a part",
            "ignored",
        ],
    );
    check(
        &openvex(&[
            ("not_affected", part("pkg:npm/vue@1")),
            ("affected", part("pkg:npm/lodash@3")),
        ]),
        &["override CVE-1 abab vue@1", "ignored"],
    );
    // What the version before granted is taken back.
    let mut revised = openvex(&[
        ("not_affected", whole.clone()),
        ("affected", part("pkg:npm/lodash@3")),
    ]);
    revised["version"] = json!(2);
    check(
        &revised,
        &[
            "rejected `not_affected` for CVE-1: the document says that a part",
            "weir.override.revoked",
            "weir.override.revoked",
        ],
    );
    // Attested of one image, it holds in that one.
    let package = json!({"@id": "pkg:npm/vue@1"});
    let attested = |algorithm: &str, hex: String| json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "w", "digest": {algorithm: hex}}], "predicate": openvex(&[("not_affected", package.clone())])});
    check(
        &attested("sha256", "cd".repeat(32)),
        &["override CVE-1 cdcd vue@1"],
    );
    check(
        &attested("sha512", "ef".repeat(64)),
        &["override CVE-1 efef vue@1"],
    );
    check(
        &openvex(&[("not_affected", package)]),
        &["override CVE-1  vue@1"],
    );
}

#[test]
fn a_docker_package_is_docker_hubs_unless_it_says_another_registry() {
    let scope = |url: &str| {
        let body = openvex(&[("not_affected", json!({"@id": url}))]).to_string();
        let settings = AdapterSettings::default();
        let decoded = decode_with(&[], &settings, &body);
        let Some(weir_engine::adapters::Decoded::Event(received)) = decoded.first() else {
            panic!("{decoded:?}");
        };
        let event: Value = serde_json::from_str(&received.json).unwrap();
        event["data"]["scope"]["repository"]
            .as_str()
            .map(str::to_owned)
    };
    let of = digest("ab");
    assert_eq!(
        scope(&format!("pkg:docker/acme/web@{of}")).as_deref(),
        Some("docker.io/acme/web")
    );
    assert_eq!(
        scope(&format!("pkg:docker/nginx@{of}")).as_deref(),
        Some("docker.io/library/nginx")
    );
    // package-url/purl-spec types/docker.
    assert_eq!(
        scope(&format!(
            "pkg:docker/customer/dockerimage@{of}?repository_url=gcr.io"
        ))
        .as_deref(),
        Some("gcr.io/customer/dockerimage")
    );
}

#[test]
fn what_is_said_of_one_distribution_or_architecture_reaches_no_other() {
    let vex = |product: &str| {
        json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": product}], "status": "not_affected", "justification": "vulnerable_code_not_present"}]})
    };
    // As getreel.dev and Ubuntu write it: packages of that name are in other distributions too.
    for product in [
        "pkg:rpm/redhat/log4j",
        "pkg:deb/ubuntu/linux-libc-dev?distro=jammy",
    ] {
        check(
            &vex(product),
            &["rejected `statements[0].products[0].@id`: a package of one distribution"],
        );
        let header = [(SUBJECT_HEADER, &*digest("cd"))];
        let package = product.split(['/', '?']).nth(2).unwrap_or_default();
        check_with(
            &header,
            &vex(product),
            &[&*format!("override CVE-1 cdcd {package}")],
        );
    }
    // The digest may be the index's, and then it holds in all of its images.
    let amd64 = format!("pkg:oci/web@{}?arch=amd64", digest("ab"));
    check(
        &vex(&amd64),
        &["rejected `statements[0].products[0].@id`: one architecture of an image"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &vex(&amd64),
        &["override CVE-1 cdcd "],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("ab"))],
        &vex(&amd64),
        &["rejected `statements[0].products[0].@id`: one architecture of an image"],
    );
    // An image by its tag, where the sender says which it is.
    let tagged = "pkg:oci/web?repository_url=a/web&tag=1.0";
    check(
        &vex(tagged),
        &["rejected `statements[0].products[0].@id`: an image by its tag"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &vex(tagged),
        &["override CVE-1 cdcd "],
    );
    let bom = |purl: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "metadata": {"component": {"bom-ref": "i", "type": "container", "name": "a/b", "purl": purl}},
        "components": [{"bom-ref": "z", "type": "library", "name": "zlib", "version": "1.2", "purl": "pkg:deb/debian/zlib@1.2"}],
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "z"}]}]})
    };
    check(
        &bom(&amd64),
        &["rejected `metadata.component.purl`: one architecture of an image"],
    );
    check_with(
        &[(SUBJECT_HEADER, &*digest("cd"))],
        &bom(&amd64),
        &["override CVE-1 cdcd zlib"],
    );
}

#[test]
fn a_package_outside_of_an_image_is_told_apart_from_others_of_its_name() {
    let of_a_distribution = "a package of one distribution";
    let by_name_alone = "a package by its name alone";
    let openvex = |product: &str| openvex(&[("not_affected", json!({"@id": product}))]);
    let cyclonedx = |product: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "components": [{"bom-ref": "busybox", "type": "library", "name": "busybox", "purl": "pkg:apk/wolfi/busybox"}],
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": product}]}]})
    };
    for (product, package, why) in [
        (
            "pkg:apk/wolfi/busybox?distro=wolfi",
            "busybox",
            of_a_distribution,
        ),
        ("pkg:rpm/redhat/bash", "bash", of_a_distribution),
        ("pkg:conan/openssl", "openssl", by_name_alone),
        ("pkg:npm/lodash", "lodash", by_name_alone),
    ] {
        let body = openvex(product);
        let told = format!("rejected `statements[0].products[0].@id`: {why}");
        check(&body, &[&*told]);
        let header = [(SUBJECT_HEADER, &*digest("cd"))];
        check_with(
            &header,
            &body,
            &[&*format!("override CVE-1 cdcd {package}")],
        );
        let told = format!("rejected `vulnerabilities[0].affects[0].ref`: {why}");
        check(&cyclonedx(product), &[&*told]);
        check_with(
            &header,
            &cyclonedx(product),
            &[&*format!("override CVE-1 cdcd {package}")],
        );
    }
    let told = format!("rejected `vulnerabilities[0].affects[0].ref`: {of_a_distribution}");
    check(&cyclonedx("busybox"), &[&*told]);
    for (product, package) in [
        ("pkg:npm/%40angular/core", "@angular/core"),
        ("pkg:maven/org.acme/core", "org.acme:core"),
        ("pkg:npm/lodash@4.17.21", "lodash@4.17.21"),
        ("pkg:apk/wolfi/busybox@1.36.1-r5", "busybox@1.36.1-r5"),
    ] {
        let told = format!("override CVE-1  {package}");
        check(&openvex(product), &[&*told]);
        check(&cyclonedx(product), &[&*told]);
    }
    // What counts is limited to it all the same, and hides no waiver of another.
    let image = json!({"@id": format!("pkg:oci/web@{}", digest("ab")), "subcomponents": [{"@id": "pkg:npm/vue@1"}]});
    check(
        &self::openvex(&[
            ("not_affected", image),
            ("affected", json!({"@id": "pkg:apk/wolfi/busybox@1"})),
        ]),
        &["override CVE-1 abab vue@1", "ignored"],
    );
}

#[test]
fn a_document_whose_metadata_cannot_be_read_waives_nothing() {
    let body = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": "none",
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "pkg:npm/vue@1"}]}]});
    check(
        &body,
        &["rejected `metadata`: expected an object, found a text"],
    );
}

#[test]
fn what_makes_less_of_an_image_is_never_left_out() {
    let openvex = |product: &str| openvex(&[("not_affected", json!({"@id": product}))]);
    let cyclonedx = |product: &str| {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1,
        "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": product}]}]})
    };
    let hex = digest("ab");
    for narrowed in [
        "platform=linux%2Famd64",
        "Arch=arm64",
        "os=linux&variant=v8",
        "os_name=debian",
        "tag=1&checksum=12",
        "#usr/bin/tool",
    ] {
        let separator = if narrowed.starts_with('#') { "" } else { "?" };
        for product in [
            format!("pkg:docker/team/web@{hex}{separator}{narrowed}"),
            format!("pkg:docker/team/web{separator}{narrowed}"),
        ] {
            check(
                &openvex(&product),
                &["rejected `statements[0].products[0].@id`: "],
            );
            check(
                &cyclonedx(&product),
                &["rejected `vulnerabilities[0].affects[0].ref`: "],
            );
        }
    }
    // BuildKit gives the digest as a qualifier.
    let buildkit = format!("pkg:docker/team/web@1.0?digest={hex}");
    check(&openvex(&buildkit), &["override CVE-1 abab "]);
    check(&cyclonedx(&buildkit), &["override CVE-1 abab "]);
    let broken = "pkg:docker/team/web?digest=sha256:123";
    check(
        &openvex(broken),
        &["rejected `statements[0].products[0].@id`: `sha256:123` is no digest"],
    );
    // The name that has a digest, where the other one says of which architecture.
    let reference = format!("r.example/web@{hex}");
    let url = "pkg:oci/web?repository_url=r.example/web&arch=amd64";
    let product = json!({"@id": reference, "identifiers": {"purl": url}});
    check(
        &self::openvex(&[("not_affected", product)]),
        &["rejected `statements[0].products[0].identifiers.purl`: one architecture"],
    );
}

#[test]
fn what_is_attested_of_one_image_holds_in_no_other() {
    let other = json!({"@id": format!("pkg:oci/other@{}", digest("cd"))});
    let document = openvex(&[("not_affected", other.clone())]);
    let attested = |predicate: &Value| json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "w", "digest": {"sha256": "ab".repeat(32)}}], "predicate": predicate});
    let of_another = |path: &str| {
        format!(
            "rejected `{path}statements[0].products[0].@id`: `{}` is another image",
            digest("cd")
        )
    };
    check(&attested(&document), &[&*of_another("predicate.")]);
    let header = [(SUBJECT_HEADER, &*digest("ab"))];
    check_with(&header, &document, &[&*of_another("")]);
    let same = [(SUBJECT_HEADER, &*digest("cd"))];
    check_with(&same, &document, &["override CVE-1 cdcd "]);
    // What counts elsewhere may count in this one too, if that is the index or a leaf of it.
    let package = json!({"@id": "pkg:npm/vue@1"});
    let both = openvex(&[("affected", other), ("not_affected", package)]);
    check(
        &attested(&both),
        &[
            "rejected `not_affected` for CVE-1: the document says",
            "ignored",
        ],
    );
}

#[test]
fn a_later_version_that_says_nothing_takes_nothing_back_and_is_told() {
    let vex = |version: u32| json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": version, "statements": []});
    check(&vex(1), &["ignored"]);
    check(
        &vex(2),
        &["rejected `statements`: a later version without statements"],
    );
}
