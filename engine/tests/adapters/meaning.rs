//! Payloads of the same sources as the fixtures, but other ones: what must hold for whatever they
//! send. Each case is a payload and, in a short form, what it means.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, Need, SUBJECT_HEADER, decode};
use weir_schema::{Body, Digest, Received, media_type};

use crate::payload;

/// A whole digest that is easy to see.
fn digest(pair: &str) -> String {
    format!("sha256:{}", pair.repeat(32))
}

fn decode_with(headers: &[(&str, &str)], settings: &AdapterSettings, body: &str) -> Vec<Decoded> {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    decode(&Delivery {
        adapter: None,
        source: "test",
        delivery_id: None,
        headers: &headers.collect::<Vec<_>>(),
        body: body.as_bytes(),
        settings,
    })
}

fn decode_text(body: &str) -> Vec<Decoded> {
    decode_with(&[], &AdapterSettings::default(), body)
}

/// An event in a few words.
fn words(received: &Received) -> String {
    let short = |digest: &Digest| digest.hex()[..4].to_owned();
    match &received.event.body {
        Body::ImagePushed(push) => {
            let tag = push
                .tag
                .as_ref()
                .map_or(String::new(), |tag| format!(":{tag}"));
            let kind = match push.media_type.as_str() {
                kind if media_type::is_index(kind) => "index",
                kind if kind.contains("manifest") => "image",
                _ => "something",
            };
            format!(
                "pushed {kind} {}{tag} {}",
                push.repository,
                short(&push.digest)
            )
        }
        Body::TagDeleted(deleted) => format!("deleted {}:{}", deleted.repository, deleted.tag),
        Body::ManifestDeleted(deleted) => {
            format!("deleted {}@{}", deleted.repository, short(&deleted.digest))
        }
        Body::ManifestResolved(facts) => format!(
            "resolved {} children {}",
            short(&facts.digest),
            facts.manifests.as_ref().map_or(0, Vec::len)
        ),
        Body::ScanCompleted(scan) => {
            let found = match (&scan.findings, &scan.counts) {
                (Some(findings), _) => {
                    let ids = findings
                        .iter()
                        .map(|finding| format!(" {}={}", finding.id, finding.severity));
                    ids.collect()
                }
                (None, Some(counts)) => {
                    let counts = counts.0.iter().rev();
                    counts
                        .map(|(severity, count)| format!(" {severity}*{count}"))
                        .collect()
                }
                (None, None) => String::from("?"),
            };
            format!(
                "scanned {} by {}:{found}",
                short(&scan.digest),
                scan.scanner.name
            )
        }
        Body::ScanFailed(scan) => format!("scan failed {} {}", short(&scan.digest), scan.reason),
        Body::ScanStarted(scan) => format!("scan started {}", short(&scan.digest)),
        Body::OverrideGranted(granted) => {
            let scope = granted.scope.clone().unwrap_or_default();
            let digest = scope.digest.as_ref().map_or(String::new(), short);
            format!(
                "override {} {digest} {}",
                granted.vulnerability,
                scope.package.unwrap_or_default()
            )
        }
        body => body.kind().to_owned(),
    }
}

/// What a delivery means, a line each.
fn meaning(decoded: Vec<Decoded>) -> Vec<String> {
    let lines = decoded.into_iter().map(|decoded| match decoded {
        Decoded::Event(received) => words(&received),
        Decoded::Ignored(_) => "ignored".into(),
        Decoded::Rejected(rejected) => format!("rejected {}", rejected.reason),
        Decoded::NeedsResolving(pending) => match pending.need().clone() {
            Need::Digest {
                repository, tag, ..
            } => format!("resolve {repository}:{tag}"),
            Need::MediaType { digest, .. } => {
                format!(
                    "type? {}",
                    words(&pending.with_digest(digest, media_type::OCI_MANIFEST))
                )
            }
            Need::Leaf {
                claimed: Some(digest),
                ..
            } => {
                format!(
                    "leaf? {}",
                    words(&pending.with_digest(digest, media_type::OCI_MANIFEST))
                )
            }
            Need::Leaf { claimed: None, .. } => "leaf?".into(),
        },
    });
    lines.collect()
}

/// `expected` are beginnings of the lines.
fn check(body: &Value, expected: &[&str]) {
    check_text(&body.to_string(), expected);
}

fn check_text(body: &str, expected: &[&str]) {
    let found = meaning(decode_text(body));
    let equal = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(equal, "{found:#?} is not {expected:#?}\nof {body}");
}

/// A fixture with other values.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut value = serde_json::from_slice(&payload(name)).unwrap();
    change(&mut value);
    value
}

#[test]
fn distribution_tells_manifests_from_blobs_by_url_or_type() {
    let event = |action: &str, target: Value| json!({"events": [{"id": "1", "action": action, "target": target}]});
    let push = |target| event("push", target);
    let d = digest("ab");
    check(
        &push(
            json!({"mediaType": media_type::DOCKER_LIST, "digest": d, "repository": "a/b", "tag": "1"}),
        ),
        &["pushed index a/b:1 abab"],
    );
    check(
        &push(json!({"mediaType": media_type::DOCKER_MANIFEST, "digest": d, "repository": "a/b"})),
        &["pushed image a/b abab"],
    );
    check(
        &push(json!({"mediaType": "application/octet-stream", "digest": d, "repository": "a/b"})),
        &["ignored"],
    );
    check(
        &push(
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": d, "repository": "a/b"}),
        ),
        &["ignored"],
    );
    check(
        &push(
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": d, "repository": "a/b", "tag": "sha256-ab.sig"}),
        ),
        &["pushed image a/b:sha256-ab.sig"],
    );
    check(
        &push(
            json!({"mediaType": media_type::DOCKER_LIST, "digest": "sha256:91ef6", "repository": "a/b"}),
        ),
        &["rejected `events[0].target.digest`: `sha256:91ef6` is no digest"],
    );
    check(
        &push(json!({"mediaType": media_type::DOCKER_LIST, "repository": "a/b"})),
        &["rejected `events[0].target.digest` is missing"],
    );
    check(
        &push(json!({"mediaType": media_type::DOCKER_LIST, "digest": d, "repository": "A/b"})),
        &["rejected `events[0].target.repository`"],
    );
    check(
        &event("delete", json!({"repository": "a/b"})),
        &["rejected `events[0].target.digest` is missing"],
    );
    check(&json!({"events": []}), &["ignored"]);
    check(
        &json!({"events": [{"id": "1"}, {"id": "2", "action": "pull"}, 7]}),
        &[
            "rejected `events[0].action` is missing",
            "ignored",
            "rejected `events[2]`",
        ],
    );
}

#[test]
fn an_event_without_an_identifier_is_known_by_its_content() {
    let push = |digest: &str, time: &str| json!({"events": [{"timestamp": time, "action": "push", "target": {"mediaType": media_type::OCI_MANIFEST, "digest": digest, "repository": "a/b", "tag": "1"}}]});
    let id = |body: Value| match decode_text(&body.to_string()).remove(0) {
        Decoded::Event(received) => received.event.id,
        other => panic!("{other:?}"),
    };
    let first = id(push(&digest("ab"), "2026-08-21T10:00:00Z"));
    assert_eq!(first, id(push(&digest("ab"), "2026-08-21T10:00:00Z")));
    assert_ne!(first, id(push(&digest("cd"), "2026-08-21T10:00:00Z")));
    assert_ne!(first, id(push(&digest("ab"), "2026-08-21T10:00:01Z")));
}

#[test]
fn without_identifier_and_time_the_delivery_tells_two_pushes_apart() {
    let settings = AdapterSettings::default();
    let body = payload("jfrog/docker-pushed.json");
    let id = |delivery_id| {
        let delivery = Delivery {
            adapter: Some("jfrog"),
            source: "",
            delivery_id,
            headers: &[],
            body: &body,
            settings: &settings,
        };
        match decode(&delivery).remove(0) {
            Decoded::NeedsResolving(pending) => {
                pending
                    .with_digest(digest("ab").parse().unwrap(), media_type::OCI_MANIFEST)
                    .event
                    .id
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(id(None), id(None));
    assert_ne!(id(Some("1")), id(Some("2")));
}

#[test]
fn harbor_completes_a_scan_only_by_a_whole_successful_vulnerability_scan() {
    const OVERVIEW: &str = "/event_data/resources/0/scan_overview/application~1vnd.security.vulnerability.report; version=1.1";
    let scan = |change: &dyn Fn(&mut Value)| {
        changed("harbor/scanning-completed.json", |body| change(body))
    };
    let overview =
        |change: &dyn Fn(&mut Value)| scan(&|body| change(body.pointer_mut(OVERVIEW).unwrap()));
    check(
        &overview(&|o| {
            o["summary"] = json!({"total": 5, "fixable": 1, "summary": {"Critical": 2, "high": 3}})
        }),
        &["scanned 954b by trivy: CRITICAL*2 HIGH*3"],
    );
    check(
        &overview(&|o| o["summary"] = json!({"total": 5})),
        &["scanned 954b by trivy: UNKNOWN*5"],
    );
    check(
        &overview(&|o| o["complete_percent"] = json!(50)),
        &["ignored"],
    );
    check(
        &overview(&|o| o["scan_status"] = json!("Running")),
        &["ignored"],
    );
    check(
        &overview(&|o| o["scan_status"] = json!("Error")),
        &["scan failed 954b failed"],
    );
    check(
        &overview(&|o| o["summary"] = Value::Null),
        &["rejected `event_data.resources[0].scan_overview"],
    );
    check(
        &scan(&|body| body["event_data"]["scan"] = json!({"scan_type": "sbom"})),
        &["ignored"],
    );
    check(
        &scan(&|body| {
            body["event_data"]["resources"][0]
                .as_object_mut()
                .unwrap()
                .remove("scan_overview");
        }),
        &["rejected `event_data.resources[0].scan_overview`"],
    );
    check(
        &scan(&|body| body["event_data"]["resources"][0]["digest"] = json!("sha256:954b")),
        &["rejected `event_data.resources[0].digest`"],
    );
}

#[test]
fn harbor_speaks_of_tags_several_ways() {
    let push = |tag: Value| {
        changed("harbor/artifact-pushed.json", |body| {
            body["event_data"]["resources"][0]["tag"] = tag
        })
    };
    check(
        &push(json!("1.0")),
        &["type? pushed image harbor/alpine:1.0 954b"],
    );
    check(&push(json!("")), &["type? pushed image harbor/alpine 954b"]);
    check(
        &push(json!("a b")),
        &["rejected `event_data.resources[0].tag`"],
    );
    let two = changed("harbor/artifact-pushed.cloudevents.json", |body| {
        let mut second = body["data"]["resources"][0].clone();
        second["tag"] = json!("2");
        body["data"]["resources"]
            .as_array_mut()
            .unwrap()
            .push(second);
    });
    check(
        &two,
        &[
            "type? pushed image harbor/alpine 954b",
            "type? pushed image harbor/alpine:2 954b",
        ],
    );
}

#[test]
fn zot_tells_the_whole_manifest_only_if_the_bytes_are_those_of_the_digest() {
    let other = changed("zot/nats-image-updated.json", |body| {
        body["data"]["digest"] = json!(digest("ab"))
    });
    check(&other, &["pushed image team/web:1.0 abab"]);
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type::OCI_MANIFEST, "digest": digest("cd"), "size": 5}]}).to_string();
    let of_index = Digest::of(index.as_bytes()).to_string();
    let push = changed("zot/nats-image-updated.json", |body| {
        body["data"]["manifest"] = json!(index);
        body["data"]["digest"] = json!(of_index);
        body["data"]["reference"] = json!(of_index);
        body["data"]["mediaType"] = json!(media_type::OCI_INDEX);
    });
    let hex = &of_index[7..11];
    check(
        &push,
        &[
            &format!("pushed index team/web {hex}"),
            &format!("resolved {hex} children 1"),
        ],
    );
    let lint = changed("zot/nats-image-updated.json", |body| {
        body["type"] = json!("zotregistry.image.lint_failed")
    });
    check(&lint, &["ignored"]);
}

#[test]
fn of_dtrs_statuses_only_6_completes_a_scan() {
    for (status, expected) in [
        (0, "resolve admin/lab-words:0.1.0"),
        (1, "ignored"),
        (2, "resolve"),
        (3, "ignored"),
        (4, "ignored"),
        (5, "resolve"),
        (6, "resolve"),
        (7, "ignored"),
    ] {
        let scan = changed("dtr/scan-completed.json", |body| {
            body["contents"]["scanSummary"]["last_scan_status"] = json!(status);
        });
        check(&scan, &[expected]);
    }
    let by_digest = changed("dtr/scan-completed.json", |body| {
        body["contents"]["imageName"] = json!(format!("dtr.example.com/a/b@{}", digest("ab")))
    });
    check(
        &by_digest,
        &["scanned abab by dtr: CRITICAL*2 MEDIUM*5 LOW*1"],
    );
    check(
        &json!({"type": "REPO_EVENT", "contents": {"namespace": "a", "repository": "b", "event": "REPO_UPDATED", "data": {"immutableTags": true}}}),
        &["weir.repository.configured"],
    );
    check(
        &json!({"type": "SCANNER_UPDATE_COMPLETED", "contents": {"db_updated_at": "2026-01-01T00:00:00Z", "success": true}}),
        &["weir.scanner.updated"],
    );
    check(&json!({"type": "TAG_PULL", "contents": {}}), &["ignored"]);
}

#[test]
fn ecr_and_inspector_with_whole_digests() {
    let with = |name, field: &str, value: Value| {
        changed(name, |body| {
            body["detail"]["image-digest"] = json!(digest("ab"));
            body["detail"][field] = value;
        })
    };
    check(
        &with(
            "ecr/push.json",
            "manifest-media-type",
            json!(media_type::OCI_INDEX),
        ),
        &["pushed index my-repository-name:latest abab"],
    );
    check(
        &with("ecr/push.json", "result", json!("FAILURE")),
        &["ignored"],
    );
    check(
        &with("ecr/delete.json", "image-tag", Value::Null),
        &["deleted my-repository-name@abab"],
    );
    check(
        &with(
            "ecr/scan-complete.json",
            "finding-severity-counts",
            json!({"high": 1, "INFORMATIONAL": 2}),
        ),
        &["scanned abab by ecr: HIGH*1 UNKNOWN*2"],
    );
    check(
        &with(
            "ecr/scan-complete.json",
            "finding-severity-counts",
            json!({}),
        ),
        &["scanned abab by ecr:"],
    );
    check(
        &with(
            "ecr/scan-complete.json",
            "finding-severity-counts",
            Value::Null,
        ),
        &["rejected `detail.finding-severity-counts` is missing"],
    );
    check(
        &with("ecr/scan-complete.json", "scan-status", json!("FAILED")),
        &["scan failed abab FAILED"],
    );
    check(
        &with("ecr/inspector-scan-complete.json", "x", json!(1)),
        &["scanned abab by inspector: CRITICAL*7 HIGH*61 MEDIUM*62"],
    );
}

#[test]
fn azure_sends_the_same_event_in_three_envelopes() {
    let push = changed("acr/push.json", |body| {
        body["target"]["digest"] = json!(digest("ab"))
    });
    let expected = ["pushed image hello-world:v1 abab"];
    check(&push, &expected);
    check(
        &json!([{"id": "g", "topic": "/x", "eventType": "Microsoft.ContainerRegistry.ImagePushed", "data": push}]),
        &expected,
    );
    check(
        &json!({"specversion": "1.0", "id": "g", "source": "/x", "type": "Microsoft.ContainerRegistry.ImagePushed", "data": push}),
        &expected,
    );
    check(
        &json!([{"id": "g", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "1"}}]),
        &["ignored"],
    );
    check(
        &json!({"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "ping"}),
        &["ignored"],
    );
}

#[test]
fn google_names_everything_in_one_text() {
    let name = "europe-docker.pkg.dev/p/r/web";
    check(
        &json!({"action": "INSERT", "digest": format!("{name}@{}", digest("ab")), "tag": format!("{name}:1.1")}),
        &[&format!("type? pushed image {name}:1.1 abab")],
    );
    check(
        &json!({"action": "DELETE", "digest": format!("{name}@{}", digest("ab"))}),
        &[&format!("deleted {name}@abab")],
    );
    check(
        &json!({"action": "INSERT", "digest": format!("{name}@sha256:ab")}),
        &["rejected `digest`"],
    );
    check(
        &json!({"message": {"data": "%%%", "messageId": "1"}, "subscription": "s"}),
        &["rejected `message.data`: no base64"],
    );
}

#[test]
fn github_trusts_the_container_metadata() {
    let push = |tag: &str| {
        changed("ghcr/package-published-docker.json", |body| {
            let tag_field = &mut body["package"]["package_version"]["container_metadata"]["tag"];
            tag_field["digest"] = json!(digest("ab"));
            tag_field["name"] = json!(tag);
        })
    };
    check(
        &push("1.0"),
        &["pushed image ghcr.io/codertocat/hello-world:1.0 abab"],
    );
    check(
        &push(""),
        &["pushed image ghcr.io/codertocat/hello-world abab"],
    );
    let npm = changed("ghcr/package-published-docker.json", |body| {
        body["package"]["package_version"]["container_metadata"] = Value::Null
    });
    check(&npm, &["ignored"]);
    check(
        &json!({"zen": "Design for failure.", "hook_id": 1}),
        &["ignored"],
    );
}

#[test]
fn sources_without_digests_wait_for_the_registry() {
    check(
        &changed("dockerhub/push.json", |body| {
            body["push_data"]["pushed_at"] = json!(1.417_566_161e9)
        }),
        &["resolve svendowideit/testhook:latest"],
    );
    check(
        &changed("quay/repo-push.json", |body| {
            body["updated_tags"] = json!(["a", "b c", "d"])
        }),
        &[
            "resolve hiddeco/foo:a",
            "rejected `updated_tags[1]`",
            "resolve hiddeco/foo:d",
        ],
    );
    check(
        &changed("quay/repo-push.json", |body| {
            body["updated_tags"] = json!({"latest": "image-id"})
        }),
        &["resolve hiddeco/foo:latest"],
    );
    check(
        &changed("nexus/component-created.json", |body| {
            body["action"] = json!("DELETED")
        }),
        &["deleted app1/alpine:3.4"],
    );
    check(
        &changed("nexus/component-created.json", |body| {
            body["component"]["format"] = json!("maven2")
        }),
        &["ignored"],
    );
    check(
        &changed("jfrog/docker-pushed.json", |body| {
            body["data"]["sha256"] = json!("abc")
        }),
        &["rejected `data.sha256`"],
    );
}

#[test]
fn the_default_registry_is_left_out_and_a_sources_registry_put_before() {
    let check = |default: Option<&str>, registry: Option<&str>, expected: &str| {
        let settings = AdapterSettings {
            default_registry: default.map(str::to_owned),
            registry: registry.map(str::to_owned),
            scanner: None,
        };
        let body = json!({"action": "DELETE", "tag": "pkg.dev/p/web:1"}).to_string();
        assert_eq!(
            meaning(decode_with(&[], &settings, &body)),
            [format!("deleted {expected}")]
        );
    };
    check(None, None, "pkg.dev/p/web:1");
    check(Some("pkg.dev"), None, "p/web:1");
    check(None, Some("other.example"), "pkg.dev/p/web:1");
    let settings = AdapterSettings {
        default_registry: None,
        registry: Some("r.example:5000".into()),
        scanner: None,
    };
    let body = String::from_utf8(payload("zot/nats-image-deleted.json")).unwrap();
    assert_eq!(
        meaning(decode_with(&[], &settings, &body)),
        ["deleted r.example:5000/team/web:1.0"]
    );
}

fn trivy(results: Value) -> Value {
    changed("trivy/image-clean.json", |body| body["Results"] = results)
}

#[test]
fn of_trivys_results_only_vulnerabilities_in_packages_are_findings() {
    let vulnerability = |id: &str, severity: Value| json!({"VulnerabilityID": id, "PkgName": "p", "InstalledVersion": "1", "Severity": severity, "CVSS": {"nvd": {"V2Score": 9.9, "V3Score": 5.0}, "ghsa": {"V3Score": 7.1}}});
    check(
        &trivy(json!([
            {"Target": "os", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [vulnerability("CVE-1", json!("critical"))]},
            {"Target": "lang", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": [vulnerability("GHSA-2", json!("Moderate")), vulnerability("CVE-3", Value::Null)]},
            {"Target": "s", "Class": "secret", "Secrets": [{"RuleID": "aws", "Severity": "CRITICAL"}]},
            {"Target": "Dockerfile", "Class": "config", "Type": "dockerfile", "Misconfigurations": [{"ID": "DS001", "Severity": "HIGH"}]},
            {"Target": "l", "Class": "license", "Licenses": [{"Name": "GPL-3.0", "Severity": "HIGH"}]},
        ])),
        &["leaf? scanned 9d79 by trivy: CVE-1=CRITICAL GHSA-2=UNKNOWN CVE-3=UNKNOWN"],
    );
    check(
        &trivy(json!([{"Target": "lang", "Class": "lang-pkgs", "Vulnerabilities": null}])),
        &["leaf? scanned 9d79 by trivy:"],
    );
}

#[test]
fn a_report_that_looked_at_no_packages_completes_nothing() {
    check(
        &trivy(Value::Null),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &trivy(json!([])),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &trivy(json!([{"Target": "s", "Class": "secret", "Secrets": []}])),
        &[
            "rejected not a completed scan for vulnerabilities: `Results` has only the classes secret",
        ],
    );
    check(
        &changed("trivy/image-with-findings.sarif", |body| {
            body["runs"][0]["results"] = json!([])
        }),
        &["rejected `runs[0].results`: not a completed scan"],
    );
    check(
        &changed("trivy/image-with-findings.cdx.json", |body| {
            body["vulnerabilities"] = json!([])
        }),
        &["rejected an SBOM is not a scan"],
    );
    check(
        &changed("grype/dojo-no_vuln.json", |body| {
            body["distro"] = json!({"name": ""})
        }),
        &["rejected not a completed scan: nothing recognised"],
    );
    check(
        &changed("grype/dojo-no_vuln.json", |body| {
            body["descriptor"]["configuration"] = json!({"only-fixed": true})
        }),
        &["rejected `descriptor.configuration.only-fixed`: the report is filtered"],
    );
}

#[test]
fn a_report_is_bound_to_what_it_proves() {
    let with = |change: &dyn Fn(&mut Value)| {
        changed("trivy/image-clean.json", |body| {
            change(&mut body["Metadata"])
        })
    };
    check(
        &with(&|m| {
            m["RepoDigests"] = json!([
                format!("a/b@{}", digest("ab")),
                format!("c/d@{}", digest("ab"))
            ])
        }),
        &["leaf? scanned abab"],
    );
    check(
        &with(&|m| {
            m["RepoDigests"] = json!([
                format!("a/b@{}", digest("ab")),
                format!("c/d@{}", digest("cd"))
            ])
        }),
        &["leaf?"],
    );
    check(
        &with(&|m| m["RepoDigests"] = json!(["a/b@sha256:ab"])),
        &["rejected `Metadata.RepoDigests[0]`"],
    );
    check(&with(&|m| m["ImageID"] = Value::Null), &["scanned 9d79"]);
    check(
        &with(&|m| *m = json!({})),
        &["rejected the report does not say which image was scanned"],
    );
    let body = changed("trivy/image-clean.json", |body| {
        body["Metadata"] = json!({})
    })
    .to_string();
    let subject = digest("ef");
    let decoded = decode_with(
        &[(SUBJECT_HEADER, &subject)],
        &AdapterSettings::default(),
        &body,
    );
    assert_eq!(meaning(decoded), ["scanned efef by trivy:"]);
}

#[test]
fn a_report_of_one_platform_goes_to_the_leaf_when_the_index_is_known() {
    let decoded = decode(&Delivery {
        adapter: Some("trivy"),
        source: "",
        delivery_id: None,
        headers: &[],
        body: &payload("trivy/index-one-platform.json"),
        settings: &AdapterSettings::default(),
    });
    let [Decoded::NeedsResolving(pending)] = &decoded[..] else {
        panic!("{decoded:?}")
    };
    let received = pending
        .clone()
        .with_digest(digest("ab").parse().unwrap(), media_type::OCI_MANIFEST);
    let json: Value = serde_json::from_str(&received.json).unwrap();
    assert_eq!(json["data"]["digest"], digest("ab"));
    assert_eq!(
        json["data"]["reported_digest"],
        "sha256:cf02dc420707bf18adffc617dc02427c4cbc65b26de961eec5dc459b2e6a2419"
    );
    assert_eq!(json["data"]["resolved"], json!(["digest"]));
    assert_eq!(
        Received::from_json(received.json.as_bytes()).unwrap(),
        received
    );
}

#[test]
fn an_attestation_binds_the_report_to_its_subject() {
    let report: Value = serde_json::from_slice(&payload("trivy/with-vex.json")).unwrap();
    let statement = |kind: &str, result: Value| {
        json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind,
            "subject": [{"name": "a/b", "digest": {"sha256": "ab".repeat(32)}}],
            "predicate": {"scanner": {"uri": "pkg:github/aquasecurity/trivy@1", "db": {"lastUpdate": "2026-01-01T00:00:00Z"}, "result": result}, "metadata": {"scanFinishedOn": "2026-01-02T00:00:00Z"}},
        })
    };
    let cosign = "https://cosign.sigstore.dev/attestation/vuln/v1";
    check(
        &statement(cosign, report.clone()),
        &["leaf? scanned abab by trivy: CVE-2099-0004=LOW CVE-2099-0002=HIGH CVE-2099-0003=MEDIUM"],
    );
    check(
        &statement(
            "https://in-toto.io/attestation/vulns/v0.1",
            json!([{"id": "CVE-1", "severity": [{"method": "nvd", "score": "9.8"}]}]),
        ),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    check(
        &statement("https://spdx.dev/Document", json!({})),
        &["ignored"],
    );
    check(
        &statement(cosign, Value::Null),
        &["rejected `predicate.scanner.result` is missing"],
    );
}

#[test]
fn vex_overrides_what_it_names_and_nothing_else() {
    let vex = |version: u32, status: &str, product: Value| {
        json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "version": version,
            "statements": [{"vulnerability": {"name": "CVE-1"}, "products": [product], "status": status, "justification": "component_not_present"}],
        })
    };
    let image = json!({"@id": format!("pkg:oci/web@{}", digest("ab"))});
    check(
        &vex(1, "not_affected", image.clone()),
        &["override CVE-1 abab "],
    );
    check(
        &vex(
            1,
            "fixed",
            json!({"@id": "pkg:oci/web", "hashes": {"sha-256": "ab".repeat(32)}, "subcomponents": [{"@id": "pkg:deb/debian/zlib@1"}]}),
        ),
        &["override CVE-1 abab zlib"],
    );
    check(&vex(1, "affected", image.clone()), &["ignored"]);
    check(
        &vex(2, "affected", image.clone()),
        &["weir.override.revoked"],
    );
    check(
        &vex(1, "nonsense", image),
        &["rejected `statements[0].status`"],
    );
    check(
        &vex(1, "fixed", json!({"@id": "pkg:oci/web"})),
        &["rejected `statements[0].products[0].@id`: an image with neither"],
    );
    check(
        &vex(1, "fixed", json!({"@id": "everything"})),
        &["rejected `statements[0].products[0].@id`"],
    );
}

#[test]
fn weirs_own_events_come_in_every_mode_of_cloudevents() {
    let data = json!({"repository": "a/b", "tag": "1"});
    let event = json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.tag.deleted", "data": data});
    check(&event, &["deleted a/b:1"]);
    check(&json!([event, event]), &["deleted a/b:1", "deleted a/b:1"]);
    check_text(
        &format!("{event}\n{event}\n"),
        &["deleted a/b:1", "deleted a/b:1"],
    );
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "me"),
        ("ce-type", "weir.tag.deleted"),
    ];
    let decoded = decode_with(&headers, &AdapterSettings::default(), &data.to_string());
    assert_eq!(meaning(decoded), ["deleted a/b:1"]);
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "acme.other", "data": 1}),
        &["acme.other"],
    );
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.tag.deleted", "data": {}}),
        &["rejected `data` of `weir.tag.deleted`: missing field `repository`"],
    );
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "me", "type": "weir.violation.found", "data": {}}),
        &["rejected"],
    );
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let push = String::from_utf8(payload("harbor/artifact-pushed.json")).unwrap();
    check_text(
        &push.replacen('{', "{ // a comment\n", 1),
        &["rejected no JSON: "],
    );
    check_text(&push.replacen('"', "\u{201c}", 1), &["rejected no JSON: "]);
    check_text(
        "{}\nnonsense\n",
        &[
            "rejected line 1: no adapter knows",
            "rejected line 2: no JSON",
        ],
    );
    check_text("", &["rejected no JSON: EOF"]);
    check_text("[]", &["ignored"]);
    check_text("null", &["rejected no adapter knows"]);
}
