//! Payloads of the registries of the fixtures, but other ones: what must hold for whatever they send.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, decode};
use weir_schema::{Digest, media_type};

use crate::payload;
use crate::words::{changed, check, decode_text, decode_with, digest, meaning};

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
    // distribution/distribution notifications/event_test.go; version 2.1 sent manifests without a type.
    let by_url = |kind: &str| {
        push(
            json!({"mediaType": kind, "digest": d, "repository": "a/b", "url": "http://r/v2/a/b/manifests/latest"}),
        )
    };
    check(
        &by_url("application/vnd.docker.container.image.rootfs.diff+x-gtar"),
        &["ignored"],
    );
    for general in [
        "application/octet-stream",
        "application/json",
        "Text/Plain; charset=utf-8",
    ] {
        check(&by_url(general), &["type? pushed image a/b abab"]);
        check(
            &push(json!({"mediaType": general, "digest": d, "repository": "a/b", "tag": "1"})),
            &["type? pushed image a/b:1 abab"],
        );
    }
    check(
        &push(json!({"mediaType": media_type::DOCKER_LIST, "repository": "a/b"})),
        &["rejected `events[0].target.digest` is missing"],
    );
    check(
        &push(json!({"mediaType": media_type::DOCKER_LIST, "digest": d, "repository": "A/b"})),
        &["rejected `events[0].target.repository`"],
    );
    check(
        &event(
            "delete",
            json!({"repository": "a/b", "url": "http://r/v2/a/b/manifests/x"}),
        ),
        &["rejected `events[0].target.digest` is missing"],
    );
    // distribution/distribution notifications/bridge.go `RepoDeleted`.
    check(
        &event("delete", json!({"repository": "a/b"})),
        &["weir.repository.deleted"],
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
fn a_manifest_without_its_media_type_is_asked_for() {
    let push = |target| json!({"events": [{"id": "1", "action": "push", "target": target}]});
    check(
        &push(json!({"digest": digest("ab"), "repository": "a/b", "tag": "1"})),
        &["type? pushed image a/b:1 abab"],
    );
    check(
        &push(json!({"digest": digest("ab"), "repository": "a/b"})),
        &["rejected `events[0].target.mediaType` is missing"],
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
        &overview(&|o| o["summary"] = json!({"total": 5, "summary": {"High": 3}})),
        &["scanned 954b by trivy: HIGH*3 UNKNOWN*2"],
    );
    check(
        &overview(&|o| o["summary"] = json!({"total": 0})),
        &["scanned 954b by trivy:"],
    );
    for summary in [
        json!({"total": 5}),
        json!({"total": 5, "summary": {}}),
        json!({"summary": {}}),
        json!({"total": 0, "summary": []}),
    ] {
        check(
            &overview(&|o| o["summary"] = summary.clone()),
            &["rejected `event_data.resources[0].scan_overview"],
        );
    }
    check(
        &overview(&|o| o["summary"] = json!({"total": 3, "summary": {"Critical": 3}})),
        &["scanned 954b by trivy: CRITICAL*3"],
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
    // It may have been the last tag, and the image with it.
    check(
        &with("ecr/delete.json", "image-tag", json!("latest")),
        &["deleted my-repository-name:latest", "untold"],
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
    // Of a virtual machine.
    let machine = changed("ecr/inspector-scan-complete.json", |body| {
        body["detail"] = json!({"scan-status": "INITIAL_SCAN_COMPLETE", "instance-id": "i-1", "finding-severity-counts": {"TOTAL": 0}});
    });
    check(&machine, &["ignored"]);
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
    let about = |version: Value| {
        json!({"action": "published", "registry_package": {
            "name": "web", "namespace": "acme", "package_type": "container", "package_version": version,
        }})
    };
    let tag = json!({"tag": {"name": "0.6"}});
    check(
        &about(json!({"package_url": "ghcr.io/acme/web:0.6", "container_metadata": tag})),
        &["resolve ghcr.io/acme/web:0.6"],
    );
    check(
        &about(json!({"name": digest("ab"), "container_metadata": tag})),
        &["type? pushed image ghcr.io/acme/web:0.6 abab"],
    );
    let npm = changed("ghcr/package-published-docker.json", |body| {
        body["package"]["package_version"]["container_metadata"] = Value::Null
    });
    check(&npm, &["ignored"]);
    // A container of which nothing else is told was pushed all the same.
    for said in ["package_type", "ecosystem"] {
        for (action, expected) in [
            (
                "published",
                "rejected `registry_package.package_version.container_metadata`: a container was pushed",
            ),
            ("deleted", "ignored"),
        ] {
            check(
                &json!({"action": action, "registry_package": {
                    "name": "web", "namespace": "acme", said: "CONTAINER", "package_version": {"name": digest("ab"), "container_metadata": null},
                }}),
                &[expected],
            );
        }
    }
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
        &json!({"docker_url": "quay.io/hiddeco/foo", "updated_tags": {"latest": "image-id"}}),
        &["resolve hiddeco/foo:latest"],
    );
    check(
        &json!({"repository": "hiddeco/foo", "updated_tags": ["latest"]}),
        &["resolve hiddeco/foo:latest"],
    );
    check(
        &json!({"repository": {"repo_full_name": "acme/web"}, "push_data": {"tag": "v1"}}),
        &["resolve acme/web:v1"],
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
            vex: false,
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
        vex: false,
    };
    let body = String::from_utf8(payload("zot/nats-image-deleted.json")).unwrap();
    assert_eq!(
        meaning(decode_with(&[], &settings, &body)),
        ["deleted r.example:5000/team/web:1.0"]
    );
}

/// A deny or a hold speaks of the repository by one name only.
#[test]
fn the_default_registry_is_left_out_of_cloudevents_too() {
    let settings = AdapterSettings {
        default_registry: Some("r.example:5000".to_owned()),
        registry: None,
        scanner: None,
        vex: false,
    };
    let event = |kind: &str, data: Value| {
        json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": kind, "data": data})
            .to_string()
    };
    let check = |name: &str, expected: &str| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let data = json!({"repository": name, "tag": "1", "digest": digest("ab"), "media_type": media_type, "note": name});
        let body = event("weir.image.pushed", data);
        let decoded = decode_with(&[("x-weir-adapter", "cloudevents")], &settings, &body);
        let Some(Decoded::Event(received)) = decoded.first() else {
            panic!("{decoded:?}");
        };
        let kept: Value = serde_json::from_str(&received.json).unwrap();
        assert_eq!(kept["data"]["repository"], expected);
        assert_eq!(
            kept["data"]["note"], name,
            "what means nothing is kept as it came"
        );
        assert_eq!(
            meaning(decoded),
            [format!("pushed image {expected}:1 abab")]
        );
    };
    check("r.example:5000/prod/web", "prod/web");
    check("other.example/prod/web", "other.example/prod/web");
    check("prod/web", "prod/web");
    let hold = json!({"hold_id": "h", "actor": "ann", "reason": "r", "scope": {"repository": "r.example:5000/prod/*"}});
    let decoded = decode_with(&[], &settings, &event("weir.hold.placed", hold));
    let Some(Decoded::Event(received)) = decoded.first() else {
        panic!("{decoded:?}");
    };
    let kept: Value = serde_json::from_str(&received.json).unwrap();
    assert_eq!(kept["data"]["scope"]["repository"], "prod/*");
}

#[test]
fn a_path_that_begins_like_a_host_is_in_the_registry_that_sent_it() {
    let pushed = json!({"events": [{"id": "1", "action": "push", "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest("ab"), "repository": "docker.io/library/alpine", "tag": "3"}}]}).to_string();
    let check = |default: Option<&str>, registry: Option<&str>, expected: &str| {
        let settings = AdapterSettings {
            default_registry: default.map(str::to_owned),
            registry: registry.map(str::to_owned),
            scanner: None,
            vex: false,
        };
        assert_eq!(
            meaning(decode_with(&[], &settings, &pushed)),
            [format!("pushed image {expected}/library/alpine:3 abab")]
        );
    };
    let home = "hb.example.com";
    check(None, Some(home), "hb.example.com/docker.io");
    check(Some(home), None, "hb.example.com/docker.io");
    check(Some(home), Some(home), "hb.example.com/docker.io");
    check(
        Some("other.example"),
        Some(home),
        "hb.example.com/docker.io",
    );
    // Nobody has said whose it is.
    check(None, None, "docker.io");
}

#[test]
fn every_registry_that_names_its_own_repositories_is_where_they_are() {
    let settings = AdapterSettings {
        default_registry: Some("home.example".to_owned()),
        registry: None,
        scanner: None,
        vex: false,
    };
    let check = |body: Value| {
        let lines = meaning(decode_with(&[], &settings, &body.to_string()));
        let [line] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(line.contains("home.example/quay.io/team/web"), "{line}");
    };
    let name = "quay.io/team/web";
    check(
        json!({"version": "0", "id": "1", "detail-type": "ECR Image Action", "source": "aws.ecr", "account": "1", "time": "2026-01-01T00:00:00Z", "region": "r", "resources": [], "detail": {"result": "SUCCESS", "repository-name": name, "image-digest": digest("ab"), "action-type": "DELETE"}}),
    );
    check(
        json!({"repository": name, "namespace": "quay.io", "name": "web", "docker_url": "home.example/quay.io/team/web", "updated_tags": ["1"]}),
    );
    check(
        json!({"domain": "docker", "event_type": "deleted", "data": {"repo_key": "quay.io", "image_name": "team/web", "tag": "1", "path": "team/web/1/manifest.json"}}),
    );
    check(
        json!({"timestamp": "2026-01-01T00:00:00Z", "nodeId": "n", "initiator": "a/b", "repositoryName": "docker", "action": "DELETED", "component": {"id": "1", "format": "docker", "name": name, "version": "1"}}),
    );
}
