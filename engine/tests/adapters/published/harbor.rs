//! Harbor: pushes, deletions, scans and reports of every version.

use serde_json::{Value, json};
use weir_schema::media_type;

use crate::words::{check, digest};

fn harbor_repository(name: &str) -> Value {
    let (namespace, short) = name.split_once('/').unwrap();
    json!({"date_created": 1_677_053_165, "name": short, "namespace": namespace, "repo_full_name": name, "repo_type": "public"})
}

#[test]
fn harbor_pushes_of_every_version() {
    // fluxcd/flux-recv test/fixtures/harborV2_payload (Harbor 2.0).
    check(
        &json!({"type": "PUSH_ARTIFACT", "occur_at": 1_586_922_308, "operator": "admin", "event_data": {
            "resources": [{"digest": "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8", "tag": "latest", "resource_url": "hub.harbor.com/test-webhook/debian:latest"}],
            "repository": {"date_created": 1_586_922_308, "name": "debian", "namespace": "test-webhook", "repo_full_name": "test-webhook/debian", "repo_type": "private"}}}),
        &["type? pushed image test-webhook/debian:latest 8a9e"],
    );
    // goharbor/harbor src/pkg/notifier/formats/cloudevents_test.go (Harbor 2.8): by digest, no tag.
    let busybox = "sha256:dde8e930c7b6a490f728e66292bc9bce42efc9bbb5278bae40e4f30f6e00fe8c";
    let cloudevent = |kind: &str| {
        json!({"specversion": "1.0", "requestid": "2eedfab8", "id": "4b2f89a6", "source": "/projects/1/webhook/policies/3", "type": kind,
               "datacontenttype": "application/json", "time": "2023-03-06T06:08:43Z", "operator": "robot$library+scanner-Trivy",
               "data": {"resources": [{"digest": busybox, "tag": busybox, "resource_url": format!("harbor.dev/library/busybox@{busybox}")}],
                        "repository": harbor_repository("library/busybox")}})
    };
    check(&cloudevent("harbor.artifact.pulled"), &["ignored"]);
    check(
        &cloudevent("harbor.artifact.pushed"),
        &["type? pushed image library/busybox dde8"],
    );
    // The same file maps these two: a tag put on, or taken off, what is there.
    let tagged = |kind: &str| {
        let mut event = cloudevent(kind);
        event["data"]["resources"][0]["tag"] = json!("1.36");
        event
    };
    check(
        &tagged("harbor.tag.created"),
        &["type? pushed image library/busybox:1.36 dde8"],
    );
    check(
        &tagged("harbor.tag.deleted"),
        &["deleted library/busybox:1.36"],
    );
    // A namespace of several parts: a proxy cache project.
    check(
        &json!({"type": "PUSH_ARTIFACT", "occur_at": 1_700_000_000, "operator": "robot$ci", "event_data": {
            "resources": [{"digest": digest("ab"), "tag": "v1", "resource_url": "h/hub/library/alpine:v1"}],
            "repository": {"name": "library/alpine", "namespace": "hub", "repo_full_name": "hub/library/alpine", "repo_type": "public"}}}),
        &["type? pushed image hub/library/alpine:v1 abab"],
    );
}

#[test]
fn harbor_deletes_by_retention_and_names_one_artifact_at_most() {
    // goharbor/website configure-webhooks.md, and goharbor/harbor
    // src/controller/event/handler/webhook/artifact/retention.go.
    let retention = |artifacts: Value| {
        json!({"type": "TAG_RETENTION", "occur_at": 1_680_502_598, "operator": "MANUAL", "event_data": {"retention": {
            "total": 1, "retained": 0, "harbor_hostname": "localhost", "project_name": "harbor", "retention_policy_id": 2,
            "retention_rule": [{"template": "always", "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "x"}]}],
            "result": "SUCCESS", "deleted_artifact": artifacts}}})
    };
    check(
        &retention(json!([{"type": "image", "status": "SUCCESS", "name_tag": "alpine:3.15.10"}])),
        &["deleted harbor/alpine:3.15.10", "untold"],
    );
    check(
        &retention(json!([{"type": "image", "status": "SUCCESS", "name_tag": ""}])),
        &["untold"],
    );
    check(
        &retention(json!([{"type": "image", "status": "FAILED", "name_tag": "alpine:3"}])),
        &["untold"],
    );
    check(&retention(Value::Null), &["untold"]);
}

#[test]
fn harbor_scans_with_every_scanner_adapter() {
    let scan = |kind: &str, mime: &str, overview: Value| {
        json!({"type": kind, "occur_at": 1_600_000_000, "operator": "auto", "event_data": {
            "resources": [{"digest": digest("ab"), "tag": "1", "resource_url": "h/team/web:1", "scan_overview": {mime: overview}}],
            "repository": harbor_repository("team/web")}})
    };
    let native = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0";
    let generic = "application/vnd.security.vulnerability.report; version=1.1";
    // Harbor 2.0 with Clair: no `complete_percent`, times of year 1 where there are none.
    check(
        &scan(
            "SCANNING_COMPLETED",
            native,
            json!({"report_id": "r", "scan_status": "Success", "severity": "Negligible", "duration": 6,
                   "summary": {"total": 5, "fixable": 1, "summary": {"Low": 2, "Negligible": 1, "Unknown": 2}},
                   "start_time": "2020-04-15T03:45:08Z", "end_time": "0001-01-01T00:00:00Z", "scanner": {"name": "Clair", "vendor": "CoreOS", "version": "2.x"}}),
        ),
        &["scanned abab by clair: LOW*2 NEGLIGIBLE*1 UNKNOWN*2"],
    );
    // Harbor 2.5: nothing found, the severity is `None`.
    check(
        &scan(
            "SCANNING_COMPLETED",
            generic,
            json!({"report_id": "r", "scan_status": "Success", "severity": "None", "duration": 3, "summary": {"total": 0, "fixable": 0, "summary": {}},
                   "start_time": "2023-03-06T06:08:43Z", "end_time": "2023-03-06T06:08:46Z", "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "v0.35.0"}, "complete_percent": 100}),
        ),
        &["scanned abab by trivy:"],
    );
    // Harbor 2.11 with two platforms, one of them not done.
    check(
        &scan(
            "SCANNING_COMPLETED",
            generic,
            json!({"scan_status": "Success", "severity": "High", "summary": {"total": 1, "fixable": 1, "summary": {"High": 1}}, "complete_percent": 50, "scanner": {"name": "Trivy"}}),
        ),
        &["ignored"],
    );
    for (kind, status, reason) in [
        ("SCANNING_FAILED", "Error", "failed"),
        ("SCANNING_STOPPED", "Stopped", "stopped"),
    ] {
        check(
            &scan(
                kind,
                generic,
                json!({"report_id": "r", "scan_status": status, "severity": "", "duration": 0, "summary": null, "start_time": "0001-01-01T00:00:00Z", "end_time": "0001-01-01T00:00:00Z", "complete_percent": 0}),
            ),
            &[&format!("scan failed abab {reason}")],
        );
    }
    // Harbor 2.11: an SBOM, which has an overview of its own.
    let mut sbom = scan("SCANNING_COMPLETED", generic, Value::Null);
    sbom["event_data"]["scan"] = json!({"scan_type": "sbom"});
    sbom["event_data"]["resources"][0]["sbom_overview"] =
        json!({"duration": 2, "scan_status": "Success", "sbom_digest": digest("cd")});
    check(&sbom, &["ignored"]);
    let unsaid = json!({"type": "SCANNING_COMPLETED", "occur_at": 1, "operator": "auto", "event_data": {
        "resources": [{"digest": digest("ab"), "tag": "1", "sbom_overview": {"scan_status": "Success"}}], "repository": harbor_repository("team/web")}});
    check(&unsaid, &["ignored"]);
}

#[test]
fn harbors_reports_as_its_interface_gives_them() {
    // DefectDojo unittests/scans/harbor_vulnerability/harbor-1-vuln.json: nothing says of what.
    let report = |mime: &str, vulnerabilities: Value| json!({mime: {"generated_at": "2020-01-01T00:00:00.000000000Z", "scanner": {"name": "Clair", "vendor": "CoreOS", "version": "2.x"}, "severity": "None", "vulnerabilities": vulnerabilities}});
    let one = json!({"id": "CVE-1", "package": "p", "version": "1", "fix_version": "2", "severity": "Negligible", "links": ["https://x"]});
    let native = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0";
    check(
        &report(native, json!([one])),
        &["rejected the report does not say which image was scanned"],
    );
    let mut named = one.clone();
    named["artifact_digests"] = json!([digest("ab"), digest("cd")]);
    named["preferred_cvss"] =
        json!({"score_v3": 9.8, "score_v2": null, "vector_v3": "CVSS:3.1/AV:N"});
    check(
        &report(
            "application/vnd.security.vulnerability.report; version=1.1",
            json!([named]),
        ),
        &[
            "scanned abab by clair: CVE-1=NEGLIGIBLE",
            "scanned cdcd by clair: CVE-1=NEGLIGIBLE",
        ],
    );
    check(
        &report(native, json!([{"package": "p"}])),
        &["rejected `[\"application/vnd.scanner"],
    );
    // A scanner adapter's own answer (scanner adapter specification 1.1).
    check(
        &json!({"generated_at": "2023-01-01T00:00:00Z", "artifact": {"repository": "library/mongo", "digest": digest("ab"), "tag": "3.4", "mime_type": media_type::DOCKER_MANIFEST},
                "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.16.0"}, "severity": "High", "vulnerabilities": [{"id": "CVE-2017-8283", "package": "dpkg", "version": "1.17.27", "fix_version": "1.18.0", "severity": "High"}]}),
        &["scanned abab by trivy: CVE-2017-8283=HIGH"],
    );
}
