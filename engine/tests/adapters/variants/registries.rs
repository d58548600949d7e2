//! Registries that one installs: distribution, Harbor, zot.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::AdapterSettings;
use weir_schema::media_type;

use crate::words::{check, decode_with, digest, meaning};

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
        &["scanned abab by clair: HIGH*5 LOW*4"],
    );
    // goharbor/harbor#3126: of an image without known packages nobody has looked at any.
    for components in [
        json!({"total": 0, "summary": []}),
        json!({"total": 133, "summary": []}),
    ] {
        let mut none = clair("finished");
        none["components"] = components;
        check(
            &scan(none),
            &[
                "rejected `event_data.resources[0].scan_overview.components.total`: not a completed scan",
            ],
        );
    }
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
