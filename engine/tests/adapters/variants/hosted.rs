//! Registries that are hosted, and repository managers.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Need};
use weir_schema::media_type;

use crate::words::{check, check_text, decode_with, digest, meaning};

#[test]
fn of_quays_notifications_only_a_push_changes_anything() {
    let quay = |more: Value| {
        let mut body = json!({"repository": "team/web", "namespace": "team", "name": "web", "docker_url": "quay.io/team/web", "homepage": "https://quay.io/repository/team/web"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    check(
        &quay(json!({"updated_tags": ["1.0", "latest"]})),
        &["resolve team/web:1.0", "resolve team/web:latest"],
    );
    for other in [
        json!({"tags": ["latest"], "vulnerability": {"id": "CVE-1", "priority": "Critical", "has_fix": true}}),
        json!({"build_id": "b", "docker_tags": ["latest"], "trigger_kind": "github", "is_manual": false}),
        json!({"build_id": "b", "error_message": "no", "docker_tags": ["latest"]}),
        json!({"build_id": "b", "image_id": "1245", "manifest_digests": [format!("quay.io/team/web@{}", digest("ab"))], "docker_tags": ["latest"]}),
        json!({"message": "Mirror started"}),
        json!({"tags": ["latest"], "expiring_in": "1 days"}),
        json!({"updated_tags": null}),
    ] {
        check(&quay(other), &["ignored"]);
    }
}

/// An event of EventBridge.
fn bridge(kind: &str, detail: Value) -> Value {
    json!({"version": "0", "id": "13cde686-328b-6117-af20-0e5566167482", "detail-type": kind, "source": "aws.ecr", "account": "123456789012",
           "time": "2026-08-21T10:00:00Z", "region": "us-west-2", "resources": [], "detail": detail})
}

#[test]
fn images_come_into_ecr_by_push_replication_and_cache() {
    let detail = |more: Value| {
        let mut detail = json!({"result": "SUCCESS", "repository-name": "team/web", "image-digest": digest("ab"), "image-tag": "1.0"});
        for (key, value) in more.as_object().unwrap() {
            detail[key] = value.clone();
        }
        detail
    };
    check(
        &bridge(
            "ECR Image Action",
            detail(
                json!({"action-type": "PUSH", "manifest-media-type": media_type::DOCKER_LIST, "artifact-media-type": "application/vnd.docker.container.image.v1+json"}),
            ),
        ),
        &["pushed index team/web:1.0 abab"],
    );
    check(
        &bridge(
            "ECR Replication Action",
            detail(
                json!({"action-type": "REPLICATE", "source-account": "123456789012", "source-region": "us-west-1"}),
            ),
        ),
        &["type? pushed image team/web:1.0 abab"],
    );
    // A client pulls none of what is archived.
    let class = |class: &str| {
        bridge(
            "ECR Image Action",
            json!({"result": "SUCCESS", "repository-name": "team/web", "image-digest": digest("ab"), "action-type": "UPDATE_STORAGE_CLASS", "target-storage-class": class}),
        )
    };
    check(&class("ARCHIVE"), &["untold"]);
    check(&class("STANDARD"), &["untold"]);
    let cached = |status: &str| {
        bridge(
            "ECR Pull Through Cache Action",
            json!({"rule-version": "1", "sync-status": status, "ecr-repository-prefix": "hub", "repository-name": "hub/alpine", "upstream-registry-url": "public.ecr.aws", "image-tag": "3.17", "image-digest": digest("ab")}),
        )
    };
    check(
        &cached("SUCCESS"),
        &["type? pushed image hub/alpine:3.17 abab"],
    );
    check(&cached("FAILURE"), &["ignored"]);
    check(
        &bridge(
            "ECR Image Action",
            detail(json!({"action-type": "DELETE", "image-tag": ""})),
        ),
        &["deleted team/web@abab"],
    );
    check(
        &bridge(
            "ECR Scan Resource Change",
            json!({"action-type": "SCAN_FREQUENCY_CHANGE"}),
        ),
        &["ignored"],
    );
    // By way of SNS, the event is a text within a message.
    let message = bridge("ECR Image Action", detail(json!({"action-type": "PUSH"}))).to_string();
    let sns = |kind: &str, message: &str| json!({"Type": kind, "MessageId": "m", "TopicArn": "arn:aws:sns:us-west-2:1:t", "Message": message, "Timestamp": "2026-08-21T10:00:00Z"});
    check(
        &sns("Notification", &message),
        &["type? pushed image team/web:1.0 abab"],
    );
    check(
        &sns("Notification", "hello"),
        &["rejected `Message`: no JSON"],
    );
    check(
        &sns("SubscriptionConfirmation", "You have chosen to subscribe"),
        &["ignored"],
    );
}

#[test]
fn amazons_scans_complete_only_when_they_say_so() {
    let basic = |status: &str, counts: Value| {
        bridge(
            "ECR Image Scan",
            json!({"scan-status": status, "repository-name": "team/web", "finding-severity-counts": counts, "image-digest": digest("ab"), "image-tags": []}),
        )
    };
    check(
        &basic("COMPLETE", json!({"CRITICAL": 10, "UNDEFINED": 1})),
        &["scanned abab by ecr: CRITICAL*10 UNKNOWN*1"],
    );
    check(&basic("FAILED", Value::Null), &["scan failed abab FAILED"]);
    check(&basic("IN_PROGRESS", Value::Null), &["scan started abab"]);
    check(
        &basic("SCAN_ELIGIBILITY_EXPIRED", Value::Null),
        &["ignored"],
    );
    let inspector = |detail| {
        let mut event = bridge("Inspector2 Scan", detail);
        event["source"] = json!("aws.inspector2");
        event
    };
    check(
        &inspector(
            json!({"scan-status": "INITIAL_SCAN_COMPLETE", "repository-name": "arn:aws:ecr:us-east-1:123456789012:repository/team/web",
            "finding-severity-counts": {"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "TOTAL": 6}, "image-digest": digest("ab"), "image-tags": ["1.0"]}),
        ),
        &["scanned abab by inspector: CRITICAL*1 HIGH*2 MEDIUM*3"],
    );
    check(
        &bridge(
            "Inspector2 Finding",
            json!({"severity": "HIGH", "status": "ACTIVE", "title": "CVE-1 - openssl"}),
        ),
        &["ignored"],
    );
}

#[test]
fn azure_tells_images_from_charts_and_quarantine() {
    let event = |action: &str, kind: &str| {
        json!({"id": "c", "timestamp": "2026-08-21T10:00:00Z", "action": action,
               "target": {"mediaType": kind, "size": 524, "digest": digest("ab"), "length": 524, "repository": "team/web", "tag": "1.0"},
               "request": {"id": "r", "host": "acme.azurecr.io", "method": "PUT", "useragent": "docker"}})
    };
    check(
        &event("push", media_type::OCI_INDEX),
        &["pushed index team/web:1.0 abab"],
    );
    check(
        &event("quarantine", media_type::DOCKER_MANIFEST),
        &["ignored"],
    );
    check(
        &event("chart_push", "application/vnd.acr.helm.chart"),
        &["ignored"],
    );
    check(
        &json!({"id": "c", "timestamp": "2026-08-21T10:00:00Z", "action": "delete", "target": {"mediaType": media_type::DOCKER_MANIFEST, "digest": digest("ab"), "repository": "team/web"}}),
        &["deleted team/web@abab"],
    );
    let grid = |kind: &str, action: &str| {
        json!([{"id": "g", "topic": "/subscriptions/s", "subject": "team/web:1.0", "eventType": format!("Microsoft.ContainerRegistry.{kind}"),
                "eventTime": "2026-08-21T10:00:00Z", "data": event(action, media_type::OCI_MANIFEST), "dataVersion": "1.0", "metadataVersion": "1"}])
    };
    check(
        &grid("ImagePushed", "push"),
        &["pushed image team/web:1.0 abab"],
    );
    check(&grid("ImageDeleted", "delete"), &["deleted team/web@abab"]);
    check(&grid("ChartPushed", "chart_push"), &["ignored"]);
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "g"),
        ("ce-source", "/subscriptions/s"),
        ("ce-type", "Microsoft.ContainerRegistry.ImagePushed"),
    ];
    let body = event("push", media_type::OCI_MANIFEST).to_string();
    assert_eq!(
        meaning(decode_with(&headers, &AdapterSettings::default(), &body)),
        ["pushed image team/web:1.0 abab"]
    );
}

#[test]
fn googles_messages_pushed_and_pulled() {
    let image = format!("us-docker.pkg.dev/p/r/team/web@{}", digest("ab"));
    let encoded =
        |value: Value| base64::engine::general_purpose::STANDARD.encode(value.to_string());
    let wrapped = |data: String| json!({"message": {"data": data, "attributes": {}, "messageId": "7", "message_id": "7", "publishTime": "2026-08-21T10:00:00Z"}, "subscription": "projects/p/subscriptions/weir"});
    let of = "type? pushed image us-docker.pkg.dev/p/r/team/web abab";
    check(
        &wrapped(encoded(json!({"action": "INSERT", "digest": image}))),
        &[of],
    );
    check(&json!({"action": "INSERT", "digest": image}), &[of]);
    check(
        &wrapped(encoded(
            json!({"action": "DELETE", "tag": "gcr.io/p/web:1.0"}),
        )),
        &["deleted gcr.io/p/web:1.0"],
    );
    check(
        &wrapped(encoded(
            json!({"name": "projects/p/occurrences/o", "kind": "DISCOVERY", "notificationTime": "2026-08-21T10:00:00Z"}),
        )),
        &["ignored"],
    );
    check(&wrapped(String::new()), &["ignored"]);
}

#[test]
fn github_as_json_and_as_a_form() {
    let package = |field: &str, tag: &str| {
        json!({"action": "published", "sender": {"login": "ann"}, field: {
            "name": "web", "namespace": "Team", "ecosystem": "CONTAINER", "package_type": "CONTAINER", "owner": {"login": "Team"},
            "package_version": {"id": 1, "version": digest("ab"), "name": digest("ab"), "package_url": format!("ghcr.io/Team/web:{tag}"), "created_at": "2026-08-21T10:00:00Z",
                "container_metadata": {"tag": {"name": tag, "digest": digest("ab")}, "labels": {}, "manifest": {"digest": digest("ab"), "media_type": media_type::OCI_INDEX, "size": 5}}}}})
    };
    check(
        &package("package", "1.0"),
        &["pushed index ghcr.io/team/web:1.0 abab"],
    );
    check(
        &package("registry_package", ""),
        &["pushed index ghcr.io/team/web abab"],
    );
    let form: String = package("package", "1.0")
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    check_text(
        &format!("payload={form}"),
        &["pushed index ghcr.io/team/web:1.0 abab"],
    );
    let headers = [("x-github-event", "ping")];
    let body = json!({"zen": "Keep it logically awesome.", "hook_id": 1, "hook": {}}).to_string();
    assert_eq!(
        meaning(decode_with(&headers, &AdapterSettings::default(), &body)),
        ["ignored"]
    );
    let headers = [("x-github-event", "push")];
    let body = json!({"ref": "refs/heads/main", "commits": []}).to_string();
    assert_eq!(
        meaning(decode_with(&headers, &AdapterSettings::default(), &body)),
        ["ignored"]
    );
}

#[test]
fn docker_hub_names_official_images_and_may_forget_the_tag() {
    let hub = |pushed: Value| {
        json!({"callback_url": "https://registry.hub.docker.com/u/x/hook/1/", "push_data": pushed,
               "repository": {"name": "web", "namespace": "team", "owner": "team", "repo_name": "team/web", "repo_url": "https://hub.docker.com/r/team/web/", "is_private": true, "status": "Active"}})
    };
    check(
        &hub(json!({"images": [], "pushed_at": 1_755_770_400, "pusher": "ann", "tag": "1.0"})),
        &["resolve team/web:1.0"],
    );
    check(
        &hub(json!({"images": [], "pushed_at": 1.755_770_4e9, "pusher": "ann"})),
        &["rejected `push_data.tag` is missing"],
    );
}

#[test]
fn artifactory_names_what_has_no_tag_by_a_folder() {
    let event = |kind: &str, tag: &str, name: &str| {
        json!({"domain": "docker", "event_type": kind, "subscription_key": "weir", "jpd_origin": "https://acme.jfrog.io/artifactory", "source": "jfrog/ann",
               "data": {"image_name": "team/web", "name": name, "path": format!("team/web/{tag}/{name}"), "platforms": [], "repo_key": "docker-dev", "sha256": "ab".repeat(32), "size": 1573, "tag": tag}})
    };
    let folder = format!("sha256__{}", "ab".repeat(32));
    check(
        &event("pushed", "1.0", "manifest.json"),
        &["type? pushed image docker-dev/team/web:1.0 abab"],
    );
    check(
        &event("pushed", "1.0", "list.manifest.json"),
        &["type? pushed image docker-dev/team/web:1.0 abab"],
    );
    check(
        &event("pushed", &folder, "manifest.json"),
        &["type? pushed image docker-dev/team/web abab"],
    );
    check(
        &event("deleted", "1.0", "manifest.json"),
        &["deleted docker-dev/team/web:1.0"],
    );
    check(
        &event("deleted", &folder, "manifest.json"),
        &["deleted docker-dev/team/web@abab"],
    );
    check(
        &json!({"domain": "artifact", "event_type": "deployed", "data": {"repo_key": "maven", "path": "a/b.jar", "name": "b.jar", "sha256": "ab", "size": 1}}),
        &["ignored"],
    );
    check(
        &json!({"domain": "build", "event_type": "uploaded", "data": {"build_name": "b", "build_number": "1"}}),
        &["ignored"],
    );
}

#[test]
fn a_tag_is_resolved_at_the_registry_that_its_source_is() {
    let promoted = json!({"domain": "docker", "event_type": "promoted", "jpd_origin": "https://acme.jfrog.io",
        "data": {"image_name": "team/web", "name": "manifest.json", "repo_key": "docker-prod", "tag": "1.0"}});
    let asked = |registry: Option<&str>| {
        let settings = AdapterSettings {
            default_registry: Some("reg.example.com".into()),
            registry: registry.map(str::to_owned),
            ..AdapterSettings::default()
        };
        match &decode_with(&[], &settings, &promoted.to_string())[..] {
            [Decoded::NeedsResolving(pending)] => match pending.need() {
                Need::Digest {
                    repository,
                    registry,
                    ..
                } => (repository.to_string(), registry.clone()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    // What nobody configured the payload tells: the address of the product, mostly the registry's.
    assert_eq!(
        asked(None),
        ("docker-prod/team/web".into(), Some("acme.jfrog.io".into()))
    );
    assert_eq!(
        asked(Some("reg.example.com")),
        ("docker-prod/team/web".into(), None)
    );
    assert_eq!(
        asked(Some("other.example.com")),
        ("other.example.com/docker-prod/team/web".into(), None)
    );
}

#[test]
fn nexus_speaks_of_components_and_assets() {
    let nexus = |action: &str, what: &str, data: Value| json!({"timestamp": "2026-08-21T10:00:00.219+0000", "nodeId": "n", "initiator": "ann/10.0.0.1", "repositoryName": "docker-hosted", "action": action, what: data});
    let component = |version: &str| json!({"id": "c", "componentId": "c", "format": "docker", "name": "team/web", "group": null, "version": version});
    check(
        &nexus("CREATED", "component", component("1.0")),
        &["resolve team/web:1.0"],
    );
    check(
        &nexus("UPDATED", "component", component("1.0")),
        &["resolve team/web:1.0"],
    );
    check(
        &nexus("CREATED", "component", component(&digest("ab"))),
        &["type? pushed image team/web abab"],
    );
    let asset = |name: &str| json!({"id": "a", "assetId": "a", "format": "docker", "name": name});
    check(
        &nexus("CREATED", "asset", asset("/v2/team/web/manifests/1.0")),
        &["resolve team/web:1.0"],
    );
    check(
        &nexus(
            "DELETED",
            "asset",
            asset(&format!("v2/team/web/manifests/{}", digest("ab"))),
        ),
        &["deleted team/web@abab"],
    );
    check(
        &nexus("CREATED", "asset", asset("v2/-/blobs/sha256:ab")),
        &["ignored"],
    );
    // A cleanup policy names inner numbers alone: what is gone is to be looked for.
    for lists in [
        json!({"components": ["2e47"]}),
        json!({"component": null, "components": ["2e47"]}),
        json!({"assets": ["3e47"]}),
    ] {
        let mut purged = json!({"timestamp": "2026-08-21T10:00:00.219+0000", "nodeId": "n", "initiator": "*TASK", "repositoryName": "docker-hosted", "action": "PURGED"});
        for (name, value) in lists.as_object().unwrap() {
            purged[name] = value.clone();
        }
        check(&purged, &["untold"]);
    }
    check(
        &json!({"timestamp": "2026-08-21T10:00:00.219+0000", "nodeId": "n", "initiator": "ann", "repositoryName": "npm", "action": "CREATED", "component": {"format": "npm", "name": "left-pad", "version": "1.0.0"}}),
        &["ignored"],
    );
}

#[test]
fn dtrs_other_events_are_read_or_left_for_a_reason() {
    let dtr = |kind: &str, contents: Value| json!({"type": kind, "createdAt": "2026-08-21T10:00:00Z", "contents": contents, "location": "/repositories/team/web"});
    let image = json!({"namespace": "team", "repository": "web", "tag": "1.0", "digest": digest("ab"), "imageName": "dtr.example/team/web:1.0", "os": "linux", "architecture": "amd64", "author": "ann", "pushedAt": "2015-01-02T15:04:05Z"});
    check(
        &dtr("TAG_PUSH", image.clone()),
        &["type? pushed image team/web:1.0 abab"],
    );
    check(
        &dtr("MANIFEST_DELETE", image.clone()),
        &["deleted team/web@abab"],
    );
    check(&dtr("TAG_DELETE", image.clone()), &["deleted team/web:1.0"]);
    for kind in [
        "TAG_PULL",
        "PROMOTION",
        "PUSH_MIRRORING",
        "POLL_MIRRORING",
        "CHART_PUSH",
        "CHART_LINTED",
    ] {
        check(&dtr(kind, image.clone()), &["ignored"]);
    }
    let repository = |event: &str| json!({"namespace": "team", "repository": "web", "event": event, "author": "ann", "data": {}});
    check(
        &dtr("REPO_EVENT", repository("REPO_CREATED")),
        &["weir.repository.created"],
    );
    check(
        &dtr("REPO_EVENT", repository("REPO_DELETED")),
        &["weir.repository.deleted"],
    );
    check(&dtr("REPO_EVENT", repository("REPO_UPDATED")), &["ignored"]);
}
