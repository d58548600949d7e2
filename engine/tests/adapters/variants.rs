//! What other versions and settings of the same sources send, written after their documentation and
//! source: each has one meaning, or is refused with the place.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, SUBJECT_HEADER};
use weir_schema::media_type;

use crate::words::{check, check_text, decode_with, digest, meaning};

#[test]
fn distribution_3_and_what_copies_its_form() {
    let event = |action: &str, target: Value| {
        json!({"events": [{
            "id": "1", "timestamp": "2026-08-21T10:00:00.123456789Z", "action": action, "target": target,
            "request": {"id": "r", "addr": "10.0.0.1:1", "host": "registry:5000", "method": "PUT", "useragent": "containerd/2.0"},
            "actor": {"name": "ann"}, "source": {"addr": "registry-0:5000", "instanceID": "i"},
        }]})
    };
    let d = digest("ab");
    check(
        &event(
            "push",
            json!({"mediaType": media_type::OCI_INDEX, "digest": d, "size": 2, "length": 2, "repository": "a/b",
                   "url": format!("https://registry/v2/a/b/manifests/{d}"), "tag": "1",
                   "references": [{"mediaType": media_type::OCI_MANIFEST, "digest": digest("cd"), "size": 3}]}),
        ),
        &["pushed index a/b:1 abab"],
    );
    // A schema 1 manifest, as registries of old push it.
    check(
        &event(
            "push",
            json!({"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws", "digest": d, "repository": "a/b", "tag": "1"}),
        ),
        &["pushed image a/b:1 abab"],
    );
    check(
        &event(
            "mount",
            json!({"mediaType": "application/octet-stream", "digest": d, "repository": "a/b", "fromRepository": "c/d"}),
        ),
        &["ignored"],
    );
    check(
        &event("delete", json!({"repository": "a/b", "tag": "1"})),
        &["deleted a/b:1"],
    );
    check(
        &event("delete", json!({"repository": "a/b", "digest": d})),
        &["deleted a/b@abab"],
    );
    check(
        &event("pull", json!({"digest": d, "repository": "a/b"})),
        &["ignored"],
    );
}

/// Harbor's default format.
fn harbor(kind: &str, data: Value) -> Value {
    json!({"type": kind, "occur_at": 1_680_501_893, "operator": "auto", "event_data": data})
}

fn harbor_repository() -> Value {
    json!({"date_created": 1_680_501_893, "name": "web", "namespace": "team", "repo_full_name": "team/web", "repo_type": "private"})
}

#[test]
fn every_event_of_harbor_2_is_read_or_left_for_a_reason() {
    let resources =
        json!([{"digest": digest("ab"), "tag": "1.0", "resource_url": "h.example/team/web:1.0"}]);
    let of = |kind| {
        harbor(
            kind,
            json!({"resources": resources, "repository": harbor_repository()}),
        )
    };
    check(
        &of("PUSH_ARTIFACT"),
        &["type? pushed image team/web:1.0 abab"],
    );
    check(&of("PULL_ARTIFACT"), &["ignored"]);
    check(
        &of("DELETE_ARTIFACT"),
        &["deleted team/web@abab", "deleted team/web:1.0"],
    );
    check(&of("SCANNING_STOPPED"), &["scan failed abab stopped"]);
    check(&of("SCANNING_FAILED"), &["scan failed abab failed"]);
    for kind in [
        "UPLOAD_CHART",
        "DOWNLOAD_CHART",
        "DELETE_CHART",
        "QUOTA_EXCEED",
        "QUOTA_WARNING",
    ] {
        check(&of(kind), &["ignored"]);
    }
    check(
        &harbor(
            "REPLICATION",
            json!({"replication": {"harbor_hostname": "h", "job_status": "Success", "artifact_type": "image",
                "dest_resource": {"registry_type": "harbor", "endpoint": "https://h", "namespace": "prod"},
                "successful_artifact": [{"type": "image", "status": "Success", "name_tag": "web [1 item(s) in total]"}]}}),
        ),
        &["ignored"],
    );
    check(
        &harbor(
            "TAG_RETENTION",
            json!({"retention": {"total": 2, "retained": 1, "project_name": "team", "result": "SUCCESS",
                "deleted_artifact": [{"type": "image", "status": "SUCCESS", "name_tag": "web:1.0"}]}}),
        ),
        &["deleted team/web:1.0", "untold"],
    );
    let cloudevent = |kind: &str, data: Value| {
        json!({"specversion": "1.0", "id": "7", "requestid": "r", "source": "/projects/1/webhook/policies/2", "type": kind,
               "datacontenttype": "application/json", "time": "2026-08-21T10:00:00Z", "operator": "ann", "data": data})
    };
    let data = json!({"resources": resources, "repository": harbor_repository()});
    check(
        &cloudevent("harbor.artifact.deleted", data.clone()),
        &["deleted team/web@abab", "deleted team/web:1.0"],
    );
    for kind in [
        "harbor.artifact.pulled",
        "harbor.quota.exceeded",
        "harbor.quota.warned",
        "harbor.replication.status.changed",
    ] {
        check(&cloudevent(kind, data.clone()), &["ignored"]);
    }
    check(
        &cloudevent("harbor.tag_retention.finished", data.clone()),
        &["untold"],
    );
    // Binary mode: the type in a header, the data as the body.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/projects/1"),
        ("ce-type", "harbor.artifact.pushed"),
        ("ce-operator", "ann"),
    ];
    assert_eq!(
        meaning(decode_with(
            &headers,
            &AdapterSettings::default(),
            &data.to_string()
        )),
        ["type? pushed image team/web:1.0 abab"]
    );
}

#[test]
fn harbor_with_several_scanners_gives_a_scan_of_each() {
    let overview = |name: &str, summary: Value| {
        json!({"report_id": "r", "scan_status": "Success", "severity": "High", "duration": 5, "summary": summary, "complete_percent": 100,
               "start_time": "2026-08-21T10:00:00Z", "end_time": "2026-08-21T10:00:05Z", "scanner": {"name": name, "vendor": "v", "version": "v1"}})
    };
    check(
        &harbor(
            "SCANNING_COMPLETED",
            json!({"scan": {"scan_type": "vulnerability"}, "repository": harbor_repository(), "resources": [{
            "digest": digest("ab"), "tag": "1.0", "resource_url": "h.example/team/web:1.0",
            "scan_overview": {
                "application/vnd.security.vulnerability.report; version=1.1": overview("Trivy", json!({"total": 1, "fixable": 1, "summary": {"High": 1}})),
                "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0": overview("Clair", json!({"total": 3, "fixable": 0, "summary": {"Negligible": 2, "Defcon1": 1}})),
            }}]}),
        ),
        // In the order of the media types.
        &[
            "scanned abab by clair: NEGLIGIBLE*2 UNKNOWN*1",
            "scanned abab by trivy: HIGH*1",
        ],
    );
}

#[test]
fn harbor_1_counts_its_scans_in_numbers() {
    let scan = |overview: Value| {
        harbor(
            "scanningCompleted",
            json!({"repository": harbor_repository(), "resources": [{"digest": digest("ab"), "tag": "1.0", "scan_overview": overview}]}),
        )
    };
    let clair = |status: &str| {
        json!({"digest": digest("ab"), "scan_status": status, "job_id": 12, "severity": 5, "details_key": "k",
               "components": {"total": 99, "summary": [{"severity": 1, "count": 90}, {"severity": 3, "count": 4}, {"severity": 5, "count": 5}]},
               "creation_time": "2019-09-10T10:00:00Z", "update_time": "2019-09-10T10:00:09Z"})
    };
    check(
        &scan(clair("finished")),
        &["scanned abab by trivy: HIGH*5 LOW*4"],
    );
    check(&scan(clair("running")), &["ignored"]);
    check(&scan(clair("error")), &["scan failed abab failed"]);
    let images = json!({"repository": harbor_repository(), "resources": [{"digest": digest("ab"), "tag": "1.0"}]});
    check(
        &harbor("pushImage", images.clone()),
        &["type? pushed image team/web:1.0 abab"],
    );
    check(&harbor("pullImage", images.clone()), &["ignored"]);
    check(
        &harbor("deleteImage", images.clone()),
        &["deleted team/web@abab", "deleted team/web:1.0"],
    );
    check(
        &harbor("scanningFailed", images),
        &["scan failed abab failed"],
    );
    check(&harbor("uploadChart", json!({})), &["ignored"]);
}

#[test]
fn zot_2_over_http_and_nats() {
    let event = |kind: &str, data: Value| {
        json!({"specversion": "1.0", "id": "7", "source": "zotregistry.dev", "type": format!("zotregistry.{kind}"),
               "time": "2026-08-21T10:00:00Z", "datacontenttype": "application/json", "data": data})
    };
    check(
        &event(
            "image.updated",
            json!({"name": "a/b", "reference": digest("ab"), "digest": digest("ab"), "mediaType": media_type::OCI_INDEX, "manifest": "{}"}),
        ),
        &["pushed index a/b abab"],
    );
    check(
        &event(
            "image.updated",
            json!({"name": "a/b", "reference": "1.0", "digest": digest("ab")}),
        ),
        &["type? pushed image a/b:1.0 abab"],
    );
    check(
        &event(
            "image.deleted",
            json!({"name": "a/b", "reference": digest("ab"), "digest": digest("ab")}),
        ),
        &["deleted a/b@abab"],
    );
    check(
        &event(
            "image.scanned",
            json!({"name": "a/b", "reference": "1.0", "digest": digest("ab"), "summary": {"maxSeverity": "HIGH", "count": 3, "highCount": 1, "lowCount": 2}}),
        ),
        &["scanned abab by zot: HIGH*1 LOW*2"],
    );
    check(
        &event(
            "image.scanned",
            json!({"name": "a/b", "reference": "1.0", "digest": digest("ab"), "summary": {"count": 3}}),
        ),
        &["rejected `data.summary.count`"],
    );
    check(&event("image.future", json!({})), &["ignored"]);
    let encoded =
        base64::engine::general_purpose::STANDARD.encode(json!({"name": "a/b"}).to_string());
    check(
        &json!({"specversion": "1.0", "id": "7", "source": "z", "type": "zotregistry.repository.created", "data_base64": encoded}),
        &["weir.repository.created"],
    );
}

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
    check(
        &nexus("PURGED", "asset", asset("v2/team/web/manifests/1.0")),
        &["ignored"],
    );
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

#[test]
fn trivy_before_its_second_schema_gave_a_bare_list() {
    let found = json!([{"VulnerabilityID": "CVE-1", "PkgName": "musl", "InstalledVersion": "1.1.22-r2", "FixedVersion": "1.1.22-r3", "Severity": "CRITICAL"}]);
    let list = |target: &str, found: &Value| {
        json!([
            {"Target": target, "Type": "alpine", "Vulnerabilities": found},
            {"Target": "app/package-lock.json", "Type": "npm", "Vulnerabilities": null},
        ])
    };
    check(
        &list(&format!("a/b@{} (alpine 3.10.2)", digest("ab")), &found),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    check(
        &list("a/b:1.0 (alpine 3.10.2)", &Value::Null),
        &["resolve a/b:1.0"],
    );
    check(
        &list("image.tar (alpine 3.10.2)", &found),
        &["rejected the report does not say which image was scanned"],
    );
    let subject = digest("ef");
    let worker = [(SUBJECT_HEADER, subject.as_str())];
    let body = list("image.tar (alpine 3.10.2)", &found).to_string();
    assert_eq!(
        meaning(decode_with(&worker, &AdapterSettings::default(), &body)),
        ["scanned efef by trivy: CVE-1=CRITICAL"]
    );
    // The second schema in its first versions had types and no classes.
    check(
        &json!({"SchemaVersion": 2, "ArtifactName": format!("a/b@{}", digest("ab")), "ArtifactType": "container_image", "Metadata": {}, "Results": [{"Target": "a/b (debian 11)", "Type": "debian"}]}),
        &["scanned abab by trivy:"],
    );
    check(
        &json!({"SchemaVersion": 2, "ArtifactName": "dir", "ArtifactType": "filesystem", "Results": [{"Target": "go.mod", "Class": "lang-pkgs", "Type": "gomod"}]}),
        &["rejected `ArtifactType`: `filesystem` is not a container image"],
    );
}

#[test]
fn the_trivy_operator_reports_the_image_of_a_container() {
    let report = |artifact: Value, found: Value, os: Value| {
        json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "metadata": {"name": "replicaset-web", "namespace": "default"},
               "report": {"artifact": artifact, "registry": {"server": "r.example:5000"}, "os": os, "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.58.1"},
                          "summary": {"criticalCount": 0, "highCount": 1}, "updateTimestamp": "2026-08-21T10:00:00Z", "vulnerabilities": found}})
    };
    let found = json!([{"vulnerabilityID": "CVE-1", "resource": "openssl", "installedVersion": "1", "fixedVersion": "2", "severity": "HIGH", "score": 7.5, "target": "t"}]);
    let debian = json!({"family": "debian", "name": "12"});
    let by_digest = json!({"repository": "team/web", "digest": digest("ab")});
    check(
        &report(by_digest.clone(), found.clone(), debian.clone()),
        &["scanned abab by trivy: CVE-1=HIGH"],
    );
    check(
        &report(by_digest.clone(), json!([]), debian.clone()),
        &["scanned abab by trivy:"],
    );
    check(
        &report(by_digest.clone(), json!([]), json!({})),
        &["rejected `report.os`: not a completed scan"],
    );
    check(
        &report(by_digest.clone(), Value::Null, debian.clone()),
        &["rejected `report.vulnerabilities` is missing"],
    );
    check(
        &report(
            json!({"repository": "team/web", "tag": "1.0"}),
            found.clone(),
            debian.clone(),
        ),
        &["resolve r.example:5000/team/web:1.0"],
    );
    let webhook = |verb: &str| json!({"verb": verb, "operatorObject": report(by_digest.clone(), found.clone(), debian.clone())});
    check(&webhook("update"), &["scanned abab by trivy: CVE-1=HIGH"]);
    check(&webhook("delete"), &["ignored"]);
    check(
        &json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "ConfigAuditReport", "report": {}}),
        &["ignored"],
    );
}

#[test]
fn grype_of_several_versions() {
    let report = |descriptor: Value, matches: Value| {
        json!({"matches": matches, "source": {"type": "image", "target": {"userInput": "a/b:1.0", "imageID": digest("cd"), "manifestDigest": digest("ab"), "mediaType": media_type::DOCKER_MANIFEST, "tags": ["a/b:1.0"], "repoDigests": []}},
               "distro": {"name": "debian", "version": "12", "idLike": []}, "descriptor": descriptor})
    };
    let old = json!({"name": "grype", "version": "0.40.0", "configuration": {"only-fixed": false}, "db": {"built": "2026-08-20T00:00:00Z", "schemaVersion": 5}});
    let new = json!({"name": "grype", "version": "0.92.0", "configuration": {"only-fixed": false, "ignore-wontfix": ""}, "db": {"status": {"schemaVersion": "v6.0.2", "built": "2026-08-20T00:00:00Z", "valid": true}, "providers": {}}, "timestamp": "2026-08-21T10:00:00Z"});
    let found = |severity: &str| json!([{"vulnerability": {"id": "CVE-1", "severity": severity, "cvss": [], "fix": {"versions": [], "state": "wont-fix"}, "risk": 1.2}, "relatedVulnerabilities": [], "matchDetails": [], "artifact": {"name": "zlib", "version": "1", "type": "deb", "locations": [{"path": "/var/lib/dpkg/status"}], "licenses": [{"value": "Zlib", "type": "declared"}]}}]);
    for descriptor in [old, new.clone()] {
        check(
            &report(descriptor.clone(), found("Negligible")),
            &["leaf? scanned abab by grype: CVE-1=NEGLIGIBLE"],
        );
        check(
            &report(descriptor, json!([])),
            &["leaf? scanned abab by grype:"],
        );
    }
    let mut filtered = new;
    filtered["configuration"]["ignore-wontfix"] = json!("wont-fix");
    check(
        &report(filtered, json!([])),
        &["rejected `descriptor.configuration.ignore-wontfix`: the report is filtered"],
    );
}

#[test]
fn sarif_of_snyk_and_docker_scout() {
    let sarif = |driver: Value, result: Value| json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": driver}, "results": [result]}]});
    let scout = sarif(
        json!({"name": "docker scout", "fullName": "Docker Scout", "version": "1.15.0", "rules": [{"id": "CVE-1", "name": "OsPackageVulnerability", "shortDescription": {"text": "CVE-1"},
            "help": {"text": "text"}, "properties": {"affected_version": "<2", "fixed_version": "2", "purls": ["pkg:deb/debian/zlib@1?os_name=debian"], "security-severity": "9.8", "tags": ["CRITICAL"]}}]}),
        json!({"ruleId": "CVE-1", "ruleIndex": 0, "kind": "fail", "level": "error", "message": {"text": "  Vulnerability   : CVE-1\n  Severity        : CRITICAL\n  Package         : pkg:deb/debian/zlib@1?os_name=debian\n  Affected range  : <2\n  Fixed version   : 2\n"}}),
    );
    let snyk = sarif(
        json!({"name": "Snyk Container", "rules": [{"id": "SNYK-DEBIAN12-ZLIB-1", "shortDescription": {"text": "High severity - Out-of-bounds vulnerability in zlib"}, "properties": {"tags": ["security", "CWE-787", "deb"], "cvssv3_baseScore": 7.5, "security-severity": "7.5"}}]}),
        json!({"ruleId": "SNYK-DEBIAN12-ZLIB-1", "level": "error", "message": {"text": "This file introduces a vulnerable zlib package with a high severity vulnerability."}}),
    );
    let subject = digest("ef");
    let worker = [(SUBJECT_HEADER, subject.as_str())];
    for (body, expected) in [
        (scout, "scanned efef by docker scout: CVE-1=CRITICAL"),
        (
            snyk,
            "scanned efef by snyk container: SNYK-DEBIAN12-ZLIB-1=HIGH",
        ),
    ] {
        // SARIF itself does not say which image was scanned: only who asked for the scan knows.
        check(
            &body,
            &["rejected the report does not say which image was scanned"],
        );
        assert_eq!(
            meaning(decode_with(
                &worker,
                &AdapterSettings::default(),
                &body.to_string()
            )),
            [expected]
        );
    }
    let lint = sarif(
        json!({"name": "hadolint", "rules": []}),
        json!({"ruleId": "DL3008", "level": "warning", "message": {"text": "Pin versions"}}),
    );
    check(
        &lint,
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability",
        ],
    );
}

#[test]
fn cyclonedx_of_every_version_that_has_vulnerabilities() {
    let document = |version: &str, tools: Value| {
        json!({"bomFormat": "CycloneDX", "specVersion": version, "serialNumber": "urn:uuid:1", "version": 1,
               "metadata": {"timestamp": "2026-08-21T10:00:00Z", "tools": tools, "component": {"type": "container", "bom-ref": "root", "name": "a/b", "purl": format!("pkg:oci/b@sha256%3A{}?repository_url=r.example%2Fa%2Fb", "ab".repeat(32))}},
               "components": [{"bom-ref": "z", "type": "library", "name": "zlib", "version": "1", "purl": "pkg:deb/debian/zlib@1"}],
               "vulnerabilities": [{"id": "CVE-1", "ratings": [{"source": {"name": "nvd"}, "score": 7.5, "severity": "high", "method": "CVSSv31"}], "affects": [{"ref": "z"}]},
                                   {"id": "CVE-2", "ratings": [{"severity": "critical"}], "analysis": {"state": "in_triage"}, "affects": [{"ref": "z"}]},
                                   {"id": "CVE-3", "ratings": [{"severity": "critical"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable"}, "affects": [{"ref": "z"}]}]})
    };
    for (version, tools) in [
        (
            "1.4",
            json!([{"vendor": "acme", "name": "Scanner", "version": "1"}]),
        ),
        (
            "1.5",
            json!({"components": [{"type": "application", "name": "scanner", "version": "1"}]}),
        ),
        (
            "1.6",
            json!({"components": [{"type": "application", "group": "acme", "name": "scanner", "version": "1"}], "services": []}),
        ),
    ] {
        check(
            &document(version, tools),
            &[
                "override CVE-3 abab zlib",
                "scanned abab by scanner: CVE-1=HIGH CVE-2=CRITICAL",
            ],
        );
    }
}

#[test]
fn openvex_of_its_first_version_and_in_an_attestation() {
    let old = json!({"@context": "https://openvex.dev/ns", "@id": "doc", "author": "ann", "timestamp": "2026-08-21T10:00:00Z", "version": 1,
        "statements": [{"vulnerability": "CVE-1", "products": [format!("pkg:oci/web@sha256:{}", "ab".repeat(32))], "subcomponents": ["pkg:deb/debian/zlib@1"], "status": "not_affected", "justification": "vulnerable_code_not_present"}]});
    check(&old, &["override CVE-1 abab zlib"]);
    check(
        &json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"name": "web", "digest": {"sha256": "ab".repeat(32)}}], "predicate": old}),
        &["override CVE-1 abab zlib"],
    );
}

#[test]
fn attestations_in_every_wrapping() {
    let trivy = json!({"SchemaVersion": 2, "ArtifactName": "a/b", "ArtifactType": "container_image", "Metadata": {"RepoDigests": [format!("a/b@{}", digest("cd"))]},
        "Results": [{"Target": "t", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "PkgName": "zlib", "Severity": "LOW"}]}]});
    let predicate = json!({"invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""}, "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.59.1", "version": "0.59.1", "db": {"uri": "", "version": ""}, "result": trivy}, "metadata": {"scanStartedOn": "2026-08-21T10:00:00Z", "scanFinishedOn": "2026-08-21T10:00:01Z"}});
    // Bare, as `trivy --format cosign-vuln` writes it: the report itself says what it is about.
    check(&predicate, &["scanned cdcd by trivy: CVE-1=LOW"]);
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "subject": [{"name": "a/b", "digest": {"sha256": "ab".repeat(32)}}], "predicate": predicate});
    let expected = ["scanned abab by trivy: CVE-1=LOW"];
    check(&statement, &expected);
    let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
    let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"sig": "x"}]});
    check(&envelope, &expected);
    check(
        &json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}, "dsseEnvelope": envelope}),
        &expected,
    );
    let listed = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://in-toto.io/attestation/vulns/v0.2", "subject": [{"digest": {"sha256": "ab".repeat(32)}}],
        "predicate": {"scanner": {"uri": "https://github.com/acme/scanner", "version": "1", "db": {"uri": "d", "version": "v", "lastUpdate": "2026-08-20T00:00:00Z"}, "result": [{"id": "CVE-1", "severity": [{"method": "CVSS_V3", "score": "HIGH"}], "annotations": []}]}, "metadata": {"scanStartedOn": "2026-08-21T10:00:00Z", "scanFinishedOn": "2026-08-21T10:00:01Z"}}});
    check(&listed, &["scanned abab by scanner: CVE-1=HIGH"]);
}
