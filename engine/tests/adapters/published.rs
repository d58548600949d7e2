//! Payloads that others publish of the same registries and scanners, shortened to what matters, with
//! where each was read: each has one meaning, or is refused with the place. Licences are in
//! `fixtures/README.md`.

use base64::Engine as _;
use serde_json::{Value, json};
use weir_engine::adapters::AdapterSettings;
use weir_schema::media_type;

use crate::words::{check, check_text, decode_with, digest, meaning};

/// As [`check`], with headers of the delivery.
fn check_with(headers: &[(&str, &str)], body: &Value, expected: &[&str]) {
    let found = meaning(decode_with(
        headers,
        &AdapterSettings::default(),
        &body.to_string(),
    ));
    let equal = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(equal, "{found:#?} is not {expected:#?}\nof {body}");
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

// Harbor.

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

// CNCF distribution and what copies its form.

#[test]
fn distributions_documented_envelope() {
    // distribution/distribution docs/content/about/notifications.md: one event, a blob's.
    let target = |more: Value| {
        let mut target = json!({"mediaType": media_type::DOCKER_MANIFEST, "digest": "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf", "length": 1, "repository": "library/test",
               "url": "https://example.com/v2/library/test/manifests/sha256:c3b3692957d439ac1928219a83fac91e7bf96c153725526874673ae1f2023f8d5"});
        for (name, value) in more.as_object().unwrap() {
            target[name] = value.clone();
        }
        target
    };
    let event = |action: &str, target: Value| {
        json!({"id": "asdf-asdf-asdf-asdf-0", "timestamp": "2006-01-02T15:04:05Z", "action": action, "target": target,
               "request": {"id": "asdfasdf", "addr": "client.local", "host": "registrycluster.local", "method": "PUT", "useragent": "test/0.1"},
               "actor": {"name": "test-actor"}, "source": {"addr": "hostname.local:port", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"}})
    };
    check(
        &json!({"events": [
            event("push", target(json!({}))),
            event("push", target(json!({"mediaType": "application/octet-stream", "url": "https://example.com/v2/library/test/blobs/sha256:c3"}))),
            event("pull", target(json!({"tag": "latest"}))),
        ]}),
        &["pushed image library/test fea8", "ignored", "ignored"],
    );
    // Tags whose digest is not told are asked for; a digest in place of a tag is one.
    check(
        &json!({"events": [event("push", json!({"repository": "library/test", "tag": "1", "mediaType": media_type::OCI_INDEX}))]}),
        &["resolve library/test:1"],
    );
    check(
        &json!({"events": [event("push", json!({"repository": "library/test", "tag": digest("ab"), "mediaType": media_type::OCI_INDEX}))]}),
        &["pushed index library/test abab"],
    );
    for config in [
        media_type::OCI_CONFIG,
        media_type::DOCKER_CONFIG,
        "application/vnd.in-toto+json",
    ] {
        check(
            &json!({"events": [event("push", json!({"repository": "a/b", "digest": digest("ab"), "mediaType": config}))]}),
            &["ignored"],
        );
    }
    // What it can do without may be of any kind; what it needs may not.
    let mut odd = event(
        "push",
        target(json!({"size": "1", "length": -1, "tag": "1"})),
    );
    for (field, value) in [
        ("id", json!(7)),
        ("timestamp", json!(1.7e9)),
        ("actor", json!("ann")),
        ("request", json!([])),
        ("source", Value::Null),
    ] {
        odd[field] = value;
    }
    check(
        &json!({"events": [odd]}),
        &["pushed image library/test:1 fea8"],
    );
    check(
        &json!({"events": [event("push", target(json!({"repository": 7})))]}),
        &["rejected `events[0]`: invalid type: integer `7`"],
    );
    check(&json!({"events": null}), &["rejected `events` is missing"]);
    check(
        &json!({"events": {}}),
        &["rejected not of the form that it should have"],
    );
    check(&json!({"events": [null]}), &["rejected `events[0]`"]);
}

#[test]
fn azure_pushes_as_event_grid_documents_them() {
    // learn.microsoft.com event-schema-container-registry: a list of CloudEvents, seven digits of a second.
    let event = |kind: &str, action: &str, target: Value| {
        json!([{"id": "831e1650-001e-001b-66ab-eeb76e069631", "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/demo", "subject": "aci-helloworld:v1",
                "type": format!("Microsoft.ContainerRegistry.{kind}"), "time": "2018-04-25T21:39:47.6549614Z", "specversion": "1.0",
                "data": {"id": "31c51664", "timestamp": "2018-04-25T21:39:47.276585742Z", "action": action, "target": target,
                         "request": {"id": "7c66f28b", "host": "demo.azurecr.io", "method": "PUT", "useragent": "docker/18.03.0-ce"}}}])
    };
    let image = json!({"mediaType": media_type::DOCKER_MANIFEST, "size": 3023, "digest": "sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5", "length": 3023, "repository": "aci-helloworld", "tag": "v1"});
    check(
        &event("ImagePushed", "push", image.clone()),
        &["pushed image aci-helloworld:v1 213b"],
    );
    check(
        &event(
            "ImageDeleted",
            "delete",
            json!({"mediaType": media_type::DOCKER_MANIFEST, "digest": digest("ab"), "repository": "aci-helloworld"}),
        ),
        &["deleted aci-helloworld@abab"],
    );
    check(
        &event(
            "ChartPushed",
            "chart_push",
            json!({"mediaType": "application/vnd.acr.helm.chart", "size": 25265, "digest": digest("ab"), "repository": "repo", "tag": "wordpress-5.4.0.tgz", "name": "wordpress", "version": "5.4.0.tgz"}),
        ),
        &["ignored"],
    );
    // akuity/kargo pkg/webhook/external/azure_test.go: a ping, a push without its digest, other products.
    check(&json!({"action": "ping"}), &["ignored"]);
    check(
        &json!({"action": "push", "target": {"repository": "fakeimage", "mediaType": media_type::DOCKER_MANIFEST, "tag": "v1.0.0"}, "request": {"host": "fakeregistry.azurecr.io"}}),
        &["resolve fakeimage:v1.0.0"],
    );
    check(
        &json!({"eventType": "git.push", "resource": {"refUpdates": [{"name": "refs/heads/main"}]}}),
        &["rejected no adapter knows"],
    );
}

// Amazon.

/// An event of EventBridge.
fn bridge(kind: &str, source: &str, detail: Value) -> Value {
    json!({"version": "0", "id": "4f5ec4d5-4de4-7aad-a046-EXAMPLE", "detail-type": kind, "source": source, "account": "123456789012",
           "time": "2019-08-06T00:58:09Z", "region": "us-east-1", "resources": ["arn:aws:ecr:us-east-1:123456789012:repository/my-repository-name"], "detail": detail})
}

#[test]
fn amazons_actions_on_images_and_what_refers_to_them() {
    // awsdocs ecr-eventbridge.md.
    let action = |kind: &str, more: Value| {
        let mut detail = json!({"action-type": "PUSH", "image-digest": digest("f9"), "repository-name": "sbom", "result": "SUCCESS"});
        for (name, value) in more.as_object().unwrap() {
            detail[name] = value.clone();
        }
        bridge(kind, "aws.ecr", detail)
    };
    check(
        &action(
            "ECR Referrer Action",
            json!({"manifest-media-type": "application/vnd.oci.image.manifest.v1+json", "artifact-media-type": "text/sbom+json"}),
        ),
        &["pushed image sbom f9f9"],
    );
    check(
        &action(
            "ECR Referrer Action",
            json!({"action-type": "DELETE", "artifact-media-type": "text/sbom+json"}),
        ),
        &["deleted sbom@f9f9"],
    );
    check(
        &action(
            "ECR Image Action",
            json!({"action-type": "UPDATE_STORAGE_CLASS", "target-storage-class": "ARCHIVE"}),
        ),
        &["ignored"],
    );
    // bittrance, murasame29 and others test with shortened digests.
    check(
        &action(
            "ECR Image Action",
            json!({"image-digest": "sha256:1234", "image-tag": "latest"}),
        ),
        &["rejected `detail.image-digest`: `sha256:1234` is no digest"],
    );
    check(
        &bridge(
            "ECR Image Action",
            "aws.ecr",
            json!({"action-type": "PUSH", "result": "SUCCESS", "repository-name": "newsarchive-backend", "image-tag": "latest"}),
        ),
        &["resolve newsarchive-backend:latest"],
    );
}

#[test]
fn amazons_calls_as_cloudtrail_records_them() {
    // A Lambda's README (ecr-deploy) and awsdocs logging-using-cloudtrail.md.
    let call = |name: &str, asked: Value, answered: Value| {
        json!({"eventVersion": "1.04", "userIdentity": {"arn": "arn:aws:sts::123456789012:user/Mary_Major"}, "eventTime": "2018-03-18T00:00:00Z",
               "eventSource": "ecr.amazonaws.com", "eventName": name, "awsRegion": "eu-west-1", "requestParameters": asked, "responseElements": answered,
               "requestID": "d99b47db", "eventID": "04caef66-e52b-4c4d-bbb5-547b85fec1f8", "eventType": "AwsApiCall"})
    };
    let put = call(
        "PutImage",
        json!({"repositoryName": "busybox", "imageTag": "v1", "registryId": "123456789012", "imageManifest": "{}"}),
        json!({"image": {"repositoryName": "busybox", "imageManifest": "{}", "registryId": "123456789012",
               "imageId": {"imageDigest": "sha256:eaa261b73dcc87f1a1880a6320a06867fcb6db77b4bb6139cf9b9059c9af95eb", "imageTag": "v1"}}}),
    );
    let expected = ["type? pushed image busybox:v1 eaa2"];
    check(&put, &expected);
    check(
        &bridge("AWS API Call via CloudTrail", "aws.ecr", put.clone()),
        &expected,
    );
    check(&json!({"Records": [put]}), &expected);
    check(
        &call(
            "PutImage",
            json!({"repositoryName": "example-repo", "imageManifest": "{}", "imageTag": "latest"}),
            Value::Null,
        ),
        &["resolve example-repo:latest"],
    );
    let mut refused = put.clone();
    refused["errorCode"] = json!("ImageTagAlreadyExistsException");
    check(&refused, &["ignored"]);
    let by_digest =
        json!({"repositoryName": "testrepo", "imageIds": [{"imageDigest": digest("ab")}]});
    let done = json!({"failures": [], "imageIds": [{"imageDigest": digest("ab"), "imageTag": "1"}, {"imageDigest": digest("ab"), "imageTag": "latest"}]});
    check(
        &call("BatchDeleteImage", by_digest, done),
        &[
            "deleted testrepo:1",
            "deleted testrepo@abab",
            "deleted testrepo:latest",
        ],
    );
    check(
        &call(
            "BatchDeleteImage",
            json!({"repositoryName": "testrepo", "imageIds": [{"imageTag": "1"}]}),
            json!({"imageIds": [{"imageDigest": digest("ab"), "imageTag": "1"}]}),
        ),
        &["deleted testrepo:1"],
    );
    check(
        &call("InitiateLayerUpload", json!({}), Value::Null),
        &["ignored"],
    );
    check(
        &json!({"Records": [{"eventSource": "s3.amazonaws.com", "eventName": "PutObject", "eventTime": "2018-03-18T00:00:00Z"}]}),
        &["ignored"],
    );
}

#[test]
fn amazons_events_by_way_of_queues_and_topics() {
    let push = bridge(
        "ECR Image Action",
        "aws.ecr",
        json!({"action-type": "PUSH", "result": "SUCCESS", "repository-name": "team/web", "image-digest": digest("ab"), "image-tag": "1"}),
    );
    let expected = ["type? pushed image team/web:1 abab"];
    let sqs = |body: String| json!({"Records": [{"messageId": "059f36b4", "receiptHandle": "AQEB", "body": body, "attributes": {}, "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-2:1:q", "awsRegion": "us-east-2"}]});
    check(&sqs(push.to_string()), &expected);
    let sns = json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": push.to_string(), "Timestamp": "2019-08-06T00:58:09.123Z", "SignatureVersion": "1"});
    check(&sns, &expected);
    check(&sqs(sns.to_string()), &expected);
    check(
        &json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "TopicArn": "arn", "Message": push.to_string()}}]}),
        &expected,
    );
    check(
        &sqs("hello".into()),
        &["rejected `Records[0].body`: no JSON"],
    );
    let deep = (0..8).fold(push.to_string(), |inner, _| sqs(inner).to_string());
    check_text(&deep, &["rejected `Records[0].body.Records[0].body"]);
    check(&json!({"Records": []}), &["ignored"]);
}

#[test]
fn amazons_scans_of_both_kinds() {
    let basic = |counts: Value| {
        bridge(
            "ECR Image Scan",
            "aws.ecr",
            json!({"scan-status": "COMPLETE", "repository-name": "my-repository-name", "finding-severity-counts": counts, "image-digest": digest("7f"), "image-tags": []}),
        )
    };
    check(
        &basic(json!({"CRITICAL": 10, "MEDIUM": 9})),
        &["scanned 7f7f by ecr: CRITICAL*10 MEDIUM*9"],
    );
    check(
        &basic(json!({"CRITICAL": 1.5})),
        &["rejected `detail.finding-severity-counts[\"CRITICAL\"]`: expected a count"],
    );
    check(
        &basic(json!({"CRITICAL": 1e300})),
        &["rejected `detail.finding-severity-counts"],
    );
    check(
        &basic(json!({"CRITICAL": -1})),
        &["rejected `detail.finding-severity-counts"],
    );
    check(
        &basic(json!({"TOTAL": 5})),
        &["rejected `detail.finding-severity-counts[\"TOTAL\"]`: a number of findings without"],
    );
    check(&basic(json!({"TOTAL": 0})), &["scanned 7f7f by ecr:"]);
    // awsdocs inspector eventbridge-integration: what is not the end of a scan.
    for (kind, detail) in [
        (
            "Inspector2 Finding",
            json!({"awsAccountId": "1", "severity": "CRITICAL", "status": "ACTIVE", "type": "PACKAGE_VULNERABILITY", "resources": [{"type": "AWS_ECR_CONTAINER_IMAGE", "details": {"awsEcrContainerImage": {"imageHash": digest("7f"), "repositoryName": "r"}}}]}),
        ),
        (
            "Inspector2 Coverage",
            json!({"scanStatus": {"reason": "SUCCESSFUL", "statusCodeValue": "ACTIVE"}, "scanType": "PACKAGE", "eventTimestamp": "2023-01-20T20:30:10.142Z", "version": "1.0"}),
        ),
        (
            "Inspector2 AutoEnable",
            json!({"version": "1.0", "autoEnable": {"ecr": true}}),
        ),
    ] {
        check(&bridge(kind, "aws.inspector2", detail), &["ignored"]);
    }
}

// Google, GitHub, Docker Hub, Quay, Artifactory, Nexus, zot, DTR.

#[test]
fn googles_messages_in_every_wrapping() {
    let name = "us-east1-docker.pkg.dev/my-project/my-repo/hello-world";
    let data = json!({"action": "INSERT", "digest": format!("{name}@{}", digest("6e")), "tag": format!("{name}:1.1")});
    let expected = [&*format!("type? pushed image {name}:1.1 6e6e")];
    let message = json!({"data": base64(&data.to_string()), "messageId": "11", "publishTime": "2024-01-30T04:18:04.805Z"});
    // cloud.google.com/artifact-registry/docs/configure-notifications; `subscriptions.pull`, `gcloud`.
    check(
        &json!({"message": message, "subscription": "projects/p/subscriptions/s", "deliveryAttempt": 5}),
        &expected,
    );
    check(
        &json!({"receivedMessages": [{"ackId": "a", "message": message}]}),
        &expected,
    );
    check(&json!([{"ackId": "a", "message": message}]), &expected);
    // Eventarc, structured and binary.
    let eventarc = "google.cloud.pubsub.topic.v1.messagePublished";
    let wrapped = json!({"message": message, "subscription": "projects/p/subscriptions/s"});
    check(
        &json!({"specversion": "1.0", "id": "e", "source": "//pubsub.googleapis.com/projects/p/topics/gcr", "type": eventarc, "data": wrapped}),
        &expected,
    );
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "e"),
        ("ce-source", "//pubsub"),
        ("ce-type", eventarc),
    ];
    check_with(&headers, &wrapped, &expected);
    // Without wrapping (payload unwrapping), the headers say the rest.
    check_with(&[("x-goog-pubsub-message-id", "11")], &data, &expected);
    // fluxcd/flux-recv test/fixtures/gcr_payload has a brace too many; this is it without.
    check(
        &json!({"message": {"data": "eyJhY3Rpb24iOiJJTlNFUlQiLCJ0YWciOiJ1cy5nY3IuaW8vYW0vYW0ua2ViYWIuYXBpOnRlc3QifQo=", "messageId": "981636256311680", "publishTime": "2020-01-30T04:18:04.805Z"}, "subscription": "projects/am/subscriptions/flux-recv-gcr"}),
        &["resolve us.gcr.io/am/am.kebab.api:test"],
    );
    check_text(
        "{\"message\": {\"data\": \"e30=\"},\n\"subscription\": \"s\"}}",
        &["rejected no JSON: trailing characters at line 2"],
    );
}

#[test]
fn github_packages_that_are_containers_and_those_that_are_not() {
    // octokit/webhooks payload-examples/api.github.com/registry_package/published.docker.payload.json.
    let container = |digest: &str, tag: &str| {
        json!({"action": "published", "registry_package": {
            "id": 10696, "name": "hello-world-npm", "namespace": "Codertocat/hello-world", "ecosystem": "docker", "package_type": "npm", "created_at": "2019-05-09T23:28:29Z",
            "owner": {"login": "Codertocat"}, "registry": {"url": "https://CONTAINER.pkg.github.com/Codertocat", "type": "CONTAINER"},
            "package_version": {"id": 57_755_791, "version": "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498", "manifest": "", "created_at": "0001-01-01T00:00:00Z", "metadata": [],
                "container_metadata": {"tag": {"name": tag, "digest": digest}, "labels": {"revision": ""}, "manifest": {"digest": digest, "media_type": media_type::DOCKER_MANIFEST, "size": 1782}},
                "package_url": format!("ghcr.io/Codertocat/hello-world:{tag}")}}})
    };
    check(
        &container("sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b", ""),
        &["rejected `registry_package.package_version.container_metadata.tag.digest`"],
    );
    check(
        &container(&digest("6c"), ""),
        &["pushed image ghcr.io/codertocat/hello-world 6c6c"],
    );
    check(
        &container(&digest("6c"), "v2"),
        &["pushed image ghcr.io/codertocat/hello-world:v2 6c6c"],
    );
    // .../package/published.npm.payload.json: `ecosystem` says docker, and it is none.
    check(
        &json!({"action": "published", "package": {"name": "hello-world-npm", "ecosystem": "docker", "package_type": "npm", "package_version": {"version": "1.0.0", "metadata": [], "docker_metadata": [], "source_url": "ghcr.io/Codertocat/hello-world-npm/image-1:v1"}}}),
        &["ignored"],
    );
}

#[test]
fn docker_hub_and_quay_as_their_documents_show_them() {
    // fluxcd/flux-recv test/fixtures/dockerhub_payload: times as floats, images shortened.
    check(
        &json!({"callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b/", "push_data": {"images": ["27d4", "..."], "pushed_at": 1.417_566_161e9, "pusher": "trustedbuilder", "tag": "latest"},
                "repository": {"name": "testhook", "namespace": "svendowideit", "owner": "svendowideit", "repo_name": "svendowideit/testhook", "star_count": 0, "status": "Active"}}),
        &["resolve svendowideit/testhook:latest"],
    );
    // quay/quay notifications/notificationevent.py: the sample data of every event.
    let quay = |more: Value| {
        let mut body = json!({"repository": "mynamespace/repository", "namespace": "mynamespace", "name": "repository", "docker_url": "quay.io/mynamespace/repository", "homepage": "https://quay.io/repository/mynamespace/repository"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    check(
        &quay(json!({"updated_tags": ["latest", "foo"], "pruned_image_count": 3})),
        &[
            "resolve mynamespace/repository:latest",
            "resolve mynamespace/repository:foo",
        ],
    );
    let build = json!({"build_id": "fake-build-id", "build_name": "some-fake-build", "docker_tags": ["latest"], "trigger_kind": "GitHub", "trigger_metadata": {"ref": "refs/heads/x", "commit_info": {"date": 1_700_000_000.0}}});
    let mut failed = build.clone();
    failed["error_message"] = json!("This is a fake error message");
    for other in [
        build,
        failed,
        json!({"message": "TEST NOTIFICATION"}),
        json!({"tags": ["latest", "prod"], "image": "some-image-id", "vulnerability": {"id": "CVE-FAKE-CVE", "priority": "Critical"}}),
        json!({"tags": ["latest"], "vulnerable_index_report_created": "true", "vulnerabilities": [{"priority": "High"}]}),
    ] {
        check(&quay(other), &["ignored"]);
    }
    check(
        &quay(json!({"updated_tags": ["ok", "not a tag", 7]})),
        &["rejected `updated_tags[2]`"],
    );
}

#[test]
fn sources_that_are_other_registries_than_the_default_say_which() {
    let settings = AdapterSettings {
        default_registry: Some("registry.example".into()),
        ..AdapterSettings::default()
    };
    let decoded = |body: Value| meaning(decode_with(&[], &settings, &body.to_string()));
    assert_eq!(
        decoded(json!({"push_data": {"tag": "1"}, "repository": {"repo_name": "team/web"}})),
        ["resolve docker.io/team/web:1"]
    );
    assert_eq!(
        decoded(
            json!({"repository": "team/web", "docker_url": "quay.io/team/web", "updated_tags": ["1"]})
        ),
        ["resolve quay.io/team/web:1"]
    );
    let own = json!({"repository": "team/web", "docker_url": "registry.example/team/web", "updated_tags": ["1"]});
    assert_eq!(decoded(own), ["resolve team/web:1"]);
}

#[test]
fn artifactory_keeps_images_in_folders() {
    // akuity/kargo pkg/webhook/external/artifactory_test.go: `image_name` is the last part of the path.
    let push = |path: &str, name: &str| json!({"domain": "docker", "event_type": "pushed", "data": {"tag": "v1.0.0", "path": path, "image_type": "docker", "repo_key": "test-repo", "image_name": name, "sha256": "ab".repeat(32), "name": "manifest.json"}, "jpd_origin": "https://artifactory.example.com"});
    check(
        &push("foo/bar/test-image/v1.0.0/manifest.json", "test-image"),
        &["type? pushed image test-repo/foo/bar/test-image:v1.0.0 abab"],
    );
    check(
        &push("test-image/latest/manifest.json", "test-image"),
        &["type? pushed image test-repo/test-image:v1.0.0 abab"],
    );
    check(
        &push("foo/test-image/v1.0.0/manifest.json", "foo/test-image"),
        &["type? pushed image test-repo/foo/test-image:v1.0.0 abab"],
    );
    check(
        &push("invalidpath", "test-image"),
        &["type? pushed image test-repo/test-image:v1.0.0 abab"],
    );
    check(
        &json!({"event_type": "nonsense", "domain": "docker"}),
        &["rejected `data.image_name` is missing"],
    );
}

#[test]
fn zot_may_be_told_to_name_its_events_otherwise() {
    // project-zot/zot pkg/extensions/events: source and prefix of types can be configured.
    let event = |kind: &str, data: Value| json!({"specversion": "1.0", "id": "1", "source": "registry.example", "type": kind, "time": "2026-01-01T00:00:00Z", "data": data});
    let image = json!({"name": "golang", "reference": "latest", "digest": digest("ab"), "mediaType": media_type::OCI_MANIFEST});
    check(
        &event("zotregistry.image.deleted", image.clone()),
        &["deleted golang:latest"],
    );
    let headers = [
        ("ce-type", "com.example.image.updated"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-specversion", "1.0"),
    ];
    let body = image.to_string();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let settings = AdapterSettings::default();
    let decoded = weir_engine::adapters::decode(&weir_engine::adapters::Delivery {
        adapter: Some("zot"),
        source: "",
        delivery_id: None,
        headers: &headers,
        body: body.as_bytes(),
        settings: &settings,
    });
    assert_eq!(meaning(decoded), ["pushed image golang:latest abab"]);
    check(
        &event(
            "zotregistry.image.scanned",
            json!({"name": "golang", "reference": "latest", "digest": digest("ab"), "summary": {"count": 4, "highCount": 1, "mediumCount": 2, "maxSeverity": "HIGH"}}),
        ),
        &["scanned abab by zot: HIGH*1 MEDIUM*2 UNKNOWN*1"],
    );
    // An identifier that is empty is none.
    let mut nameless = event("zotregistry.image.deleted", image);
    nameless["id"] = json!("");
    check(&nameless, &["deleted golang:latest"]);
}

#[test]
fn nexus_names_its_events_in_capitals_and_its_times_as_java_does() {
    let event = |format: &str, version: &str| {
        json!({"timestamp": "2020-04-05T21:49:44.219+0000", "nodeId": "7FFA7361", "initiator": "admin/127.0.0.1", "repositoryName": "docker-test", "action": "CREATED",
               "component": {"id": "5e22f48c", "componentId": "ZG9j", "format": format, "name": "library/alpine", "group": null, "version": version}})
    };
    check(&event("docker", "3.8"), &["resolve library/alpine:3.8"]);
    check(
        &event("docker", "not a tag"),
        &["rejected `component.version`"],
    );
    check(&event("helm", "3.8"), &["ignored"]);
}

// Scanners.

#[test]
fn trivys_reports_that_are_not_whole() {
    // aquasecurity/trivy integration/testdata and DefectDojo unittests/scans/trivy.
    let report = |metadata: Value, results: Value| json!({"SchemaVersion": 2, "CreatedAt": "2026-01-21T10:19:22.484900675+01:00", "ArtifactName": "ghcr.io/example/api:1.4.2", "ArtifactType": "container_image", "Metadata": metadata, "Results": results});
    let found = |id: &str| json!([{"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.1.4-r5", "FixedVersion": "3.1.4-r6", "Severity": "HIGH", "Status": "fixed"}]);
    // image_multi_digest.json: which of the two was scanned?
    check(
        &report(
            json!({"OS": {"Family": "alpine", "Name": "3.19.1"}, "RepoTags": ["ghcr.io/example/api:1.4.2"], "RepoDigests": [format!("ghcr.io/example/api@{}", digest("a1")), format!("ghcr.io/example/api@{}", digest("b2"))]}),
            json!([{"Target": "ghcr.io/example/api:1.4.2 (alpine 3.19.1)", "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": found("CVE-2024-0001")}]),
        ),
        &["rejected the report names several digests"],
    );
    // `--pkg-types library`: the system was seen, its packages were left out.
    let debian = json!({"OS": {"Family": "debian", "Name": "12.4"}, "ImageID": digest("cf"), "RepoDigests": [format!("a/b@{}", digest("ab"))]});
    check(
        &report(
            debian.clone(),
            json!([{"Target": "Java", "Class": "lang-pkgs", "Type": "jar"}]),
        ),
        &["rejected `Results`: the report is filtered: debian"],
    );
    check(
        &report(
            debian.clone(),
            json!([{"Target": "a/b (debian 12.4)", "Class": "os-pkgs", "Type": "debian"}, {"Target": "Java", "Class": "lang-pkgs", "Type": "jar"}]),
        ),
        &["leaf? scanned abab by trivy:"],
    );
    // An image without a distribution, a program in it.
    check(
        &report(
            json!({"ImageID": digest("cf"), "RepoDigests": [format!("a/b@{}", digest("ab"))]}),
            json!([{"Target": "server", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": found("CVE-1")}]),
        ),
        &["leaf? scanned abab by trivy: CVE-1=HIGH"],
    );
    for (kind, results) in [
        (
            "secrets",
            json!([{"Target": "/app/key", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "HIGH"}]}]),
        ),
        (
            "licenses",
            json!([{"Target": "OS Packages", "Class": "license", "Licenses": [{"Severity": "HIGH", "Name": "GPL-2.0"}]}]),
        ),
        (
            "misconfigurations",
            json!([{"Target": "Dockerfile", "Class": "config", "Type": "dockerfile", "MisconfSummary": {"Successes": 20, "Failures": 1}}]),
        ),
        ("nothing", json!([])),
    ] {
        let found = meaning(decode_with(
            &[],
            &AdapterSettings::default(),
            &report(debian.clone(), results).to_string(),
        ));
        assert!(
            found[0].starts_with("rejected not a completed scan"),
            "{kind}: {found:?}"
        );
    }
    // Of other things than images.
    for kind in [
        "filesystem",
        "repository",
        "cyclonedx",
        "spdx",
        "vm",
        "aws_account",
    ] {
        let other = json!({"SchemaVersion": 2, "ArtifactName": "x", "ArtifactType": kind, "Results": [{"Target": "x", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": found("CVE-1")}]});
        check(&other, &["rejected `ArtifactType`"]);
    }
    // kubernetes.json and what `trivy k8s` writes now.
    for cluster in [
        json!({"ClusterName": "arn:aws:eks:us-east-1:1:cluster/c", "Vulnerabilities": [{"Namespace": "default", "Kind": "Deployment", "Name": "redis", "Results": []}]}),
        json!({"ClusterName": "kind-kind", "Resources": [{"Namespace": "default", "Kind": "Pod", "Name": "p", "Metadata": [], "Results": []}]}),
    ] {
        check(
            &cluster,
            &["rejected `ClusterName`: a report about a cluster"],
        );
    }
    // legacy_trivy_mix.json: a vulnerability that has no identifier.
    check(
        &json!([{"Target": "php-app/composer.lock", "Type": "composer", "Vulnerabilities": [{"PkgName": "simplito/elliptic-php"}]}]),
        &["rejected `Results[0].Vulnerabilities[0].VulnerabilityID` is missing"],
    );
    // alpine-310.gitlab.golden, .asff.golden, code quality: other programs' formats.
    check(
        &json!({"version": "15.0.7", "scan": {"type": "container_scanning"}, "vulnerabilities": [{"id": "CVE-1"}], "remediations": []}),
        &["rejected no adapter knows"],
    );
    check(
        &json!([{"type": "issue", "check_name": "CVE-1"}, {"type": "issue", "check_name": "CVE-2"}]),
        &["rejected in each element of the list: no adapter knows"],
    );
}

#[test]
fn the_trivy_operators_resources_one_by_one_and_listed() {
    // DefectDojo unittests/scans/trivy_operator.
    let resource = |kind: &str, report: Value| json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": kind, "metadata": {"name": "replicaset-nginx", "namespace": "default"}, "report": report});
    // vulnerabilityreport_no_vuln.json (operator of 2023): no system, so nothing says that it looked.
    let empty = json!({"artifact": {"repository": "library/nginx", "tag": "alpine"}, "registry": {"server": "index.docker.io"}, "scanner": {"name": "Trivy", "version": "0.38.2"},
        "summary": {"criticalCount": 0, "highCount": 0}, "updateTimestamp": "2023-03-23T16:23:01Z", "vulnerabilities": []});
    check(
        &resource("VulnerabilityReport", empty.clone()),
        &["rejected `report.os`: not a completed scan"],
    );
    let mut clean = empty.clone();
    clean["os"] = json!({"family": "alpine", "name": "3.17.2"});
    clean["artifact"]["digest"] = json!(digest("ab"));
    check(
        &resource("VulnerabilityReport", clean.clone()),
        &["scanned abab by trivy:"],
    );
    check(
        &json!({"apiVersion": "v1", "kind": "List", "items": [resource("VulnerabilityReport", clean.clone()), resource("ConfigAuditReport", json!({"checks": []}))]}),
        &["scanned abab by trivy:", "ignored"],
    );
    check(
        &json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReportList", "items": [resource("VulnerabilityReport", empty), resource("VulnerabilityReport", clean.clone())]}),
        &["rejected `items[0].report.os`", "scanned abab by trivy:"],
    );
    check(
        &json!({"verb": "update", "operatorObject": resource("VulnerabilityReport", clean.clone())}),
        &["scanned abab by trivy:"],
    );
    check(
        &json!({"verb": "delete", "operatorObject": resource("VulnerabilityReport", clean)}),
        &["ignored"],
    );
    for kind in [
        "ExposedSecretReport",
        "SbomReport",
        "ClusterComplianceReport",
        "RbacAssessmentReport",
    ] {
        check(&resource(kind, json!({})), &["ignored"]);
    }
}

#[test]
fn grypes_reports_of_several_versions() {
    let report = |source: Value, matches: Value, distro: Value| json!({"matches": matches, "source": source, "distro": distro, "descriptor": {"name": "grype", "version": "0.74.7", "configuration": {"only-fixed": false, "ignore": [{"vulnerability": "", "match-type": "exact-indirect-match"}]}, "db": {"built": "2024-04-10T01:25:25Z", "schemaVersion": 5}}});
    let matched = json!([{"vulnerability": {"id": "CVE-2009-3882", "namespace": "nvd:cpe", "severity": "High", "cvss": [{"version": "2.0", "metrics": {"baseScore": 7.5}}], "fix": {"versions": ["1.2.3"], "state": "fixed"}}, "artifact": {"name": "java", "version": "17.0.10+7\u{0}-J-ms8m", "type": "binary", "locations": [{"path": "/opt/java", "layerID": digest("08")}], "licenses": []}}]);
    let image = |target: Value| json!({"type": "image", "target": target});
    let alpine = json!({"name": "alpine", "version": "3.19.1", "idLike": []});
    // fix_available.json: a masked configuration digest is refused, however good the rest is.
    check(
        &report(
            image(
                json!({"userInput": "x", "imageID": "sha256:07a3eb7aaaaaaaaa69f29ff9a2945c9bb0a6592654421b8357c", "manifestDigest": digest("4e"), "tags": [], "repoDigests": []}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["rejected `source.target.imageID`"],
    );
    check(
        &report(
            image(
                json!({"userInput": "x", "imageID": digest("07"), "manifestDigest": digest("4e"), "tags": ["a/b:1"], "repoDigests": []}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["leaf? scanned 4e4e by grype: CVE-2009-3882=HIGH"],
    );
    // Grype of 2020: no digest of the manifest.
    check(
        &report(
            image(
                json!({"userInput": "a/b:1", "scope": "Squashed", "layers": [], "size": 1, "digest": digest("4e"), "mediaType": media_type::DOCKER_MANIFEST, "tags": ["a/b:1"]}),
            ),
            matched.clone(),
            alpine.clone(),
        ),
        &["resolve a/b:1"],
    );
    for (kind, target) in [
        ("directory", json!("/src")),
        ("file", json!("x.jar")),
        ("sbom-file", json!({})),
    ] {
        check(
            &report(
                json!({"type": kind, "target": target}),
                matched.clone(),
                alpine.clone(),
            ),
            &["rejected `source.type`"],
        );
    }
    let mut ignored = report(
        image(json!({"imageID": digest("07"), "manifestDigest": digest("4e")})),
        json!([]),
        alpine.clone(),
    );
    ignored["ignoredMatches"] = json!([{"vulnerability": {"id": "CVE-1"}, "appliedIgnoreRules": [{"vulnerability": "CVE-1"}]}]);
    check(&ignored, &["leaf? scanned 4e4e by grype:"]);
    check(
        &report(
            image(json!({"manifestDigest": digest("4e")})),
            json!([]),
            json!({"name": "", "version": "", "idLike": null}),
        ),
        &["rejected not a completed scan"],
    );
    check(
        &report(
            image(json!({"manifestDigest": digest("4e")})),
            Value::Null,
            alpine,
        ),
        &["rejected `matches` is missing"],
    );
}

#[test]
fn sarif_of_other_programs() {
    let run = |name: &str, rules: Value, results: Value, properties: Value| json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": {"name": name, "version": "1", "rules": rules}}, "results": results, "properties": properties}]});
    let trivy = json!({"imageName": "a/b:1", "repoDigests": [format!("a/b@{}", digest("ab"))], "repoTags": ["a/b:1"]});
    let rule = json!([{"id": "CVE-1", "name": "OsPackageVulnerability", "properties": {"precision": "very-high", "security-severity": "9.8", "tags": ["vulnerability", "security", "CRITICAL"]}}]);
    let result = |more: Value| {
        let mut result = json!({"ruleId": "CVE-1", "ruleIndex": 0, "level": "error", "message": {"text": "Package: musl\nInstalled Version: 1.1.22-r2\nVulnerability CVE-1\nSeverity: CRITICAL\nFixed Version: 1.1.22-r3"}});
        for (name, value) in more.as_object().unwrap() {
            result[name] = value.clone();
        }
        result
    };
    check(
        &run(
            "Trivy",
            rule.clone(),
            json!([result(json!({}))]),
            trivy.clone(),
        ),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    // SuppressionTestCurrent.sarif: what is suppressed is none; nothing else is left.
    check(
        &run(
            "Trivy",
            rule.clone(),
            json!([result(
                json!({"suppressions": [{"kind": "external", "status": "accepted"}]})
            )]),
            trivy.clone(),
        ),
        &["rejected `runs[0].results`: not a completed scan"],
    );
    check(
        &run("Trivy", rule.clone(), json!([]), trivy.clone()),
        &["rejected `runs[0].results`: not a completed scan: no results"],
    );
    check(
        &run("Trivy", rule.clone(), Value::Null, trivy),
        &["rejected `runs[0].results`"],
    );
    // Snyk of a container: the level grades it, and nothing names the image.
    let snyk = json!([{"id": "SNYK-DEBIAN11-OPENSSL-2388380", "shortDescription": {"text": "Medium severity - Infinite loop"}, "properties": {"tags": ["security", "CWE-835", "deb"]}}]);
    let found = json!([{"ruleId": "SNYK-DEBIAN11-OPENSSL-2388380", "level": "warning", "message": {"text": "This file introduces a vulnerable openssl package with a medium severity vulnerability."}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a_b"}}}]}]);
    check(
        &run("Snyk Container", snyk, found, Value::Null),
        &["rejected the report does not say which image was scanned"],
    );
    // Dockle, CodeQL: no vulnerabilities of packages.
    check(
        &run(
            "Dockle",
            json!([{"id": "CIS-DI-0010"}]),
            json!([{"ruleId": "CIS-DI-0010", "level": "error", "message": {"text": "Suspicious ENV key found"}}]),
            Value::Null,
        ),
        &[
            "rejected `runs[0].results`: not a completed scan: none of the results is a vulnerability",
        ],
    );
    check(
        &json!({"version": "2.1.0", "runs": []}),
        &["rejected `runs` is missing"],
    );
}

#[test]
fn cyclonedx_with_and_without_an_image() {
    let document = |component: Value, vulnerabilities: Value| json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:1", "version": 1, "metadata": {"timestamp": "2025-10-28T14:38:10Z", "tools": {"components": [{"type": "application", "name": "trivy", "version": "0.59.1"}]}, "component": component}, "components": [{"bom-ref": "pkg:deb/debian/zlib@1.2", "type": "library", "name": "zlib", "version": "1.2", "purl": "pkg:deb/debian/zlib@1.2"}], "vulnerabilities": vulnerabilities});
    let image = json!({"bom-ref": "i", "type": "container", "name": "a/b", "purl": format!("pkg:oci/b@{}?repository_url=a%2Fb", digest("ab").replace(':', "%3A"))});
    let open = json!({"id": "CVE-1", "ratings": [{"source": {"name": "nvd"}, "score": 9.1, "method": "CVSSv31", "severity": "critical"}, {"method": "other", "score": 10, "source": {"name": "EPSS"}}], "affects": [{"ref": "pkg:deb/debian/zlib@1.2"}]});
    check(
        &document(image.clone(), json!([open])),
        &["scanned abab by trivy: CVE-1=CRITICAL"],
    );
    // no-severity.json: the score grades it. No image is named.
    check(
        &json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "metadata": {"timestamp": "2025-10-28T14:38:10Z"}, "vulnerabilities": [{"id": "CVE-2021-44228", "ratings": [{"score": 10.0, "method": "CVSSv3"}], "affects": [{"ref": "gerbwetbqt"}]}]}),
        &["rejected the report does not say which image was scanned"],
    );
    for empty in [json!([]), Value::Null] {
        check(
            &document(image.clone(), empty),
            &["rejected an SBOM is not a scan"],
        );
    }
    let analysed = |state: &str| {
        let mut one = open.clone();
        one["analysis"] =
            json!({"state": state, "justification": "code_not_reachable", "detail": "not called"});
        one
    };
    for state in [
        "not_affected",
        "false_positive",
        "resolved",
        "resolved_with_pedigree",
    ] {
        check(
            &document(Value::Null, json!([analysed(state)])),
            &["override CVE-1  zlib@1.2"],
        );
        check(
            &document(image.clone(), json!([analysed(state)])),
            &["override CVE-1 abab zlib", "scanned abab by trivy:"],
        );
    }
    for state in ["exploitable", "in_triage"] {
        check(
            &document(image.clone(), json!([analysed(state)])),
            &["scanned abab by trivy: CVE-1=CRITICAL"],
        );
    }
    check_text(
        "<?xml version=\"1.0\"?><bom xmlns=\"http://cyclonedx.org/schema/bom/1.4\"/>",
        &["rejected no JSON"],
    );
}

#[test]
fn openvex_of_every_version_is_bound_to_what_it_names() {
    // openvex/go-vex pkg/vex/testdata/v0.0.1.json: products are texts, versions too.
    check(
        &json!({"@context": "https://openvex.dev/ns/v0.0.1", "@id": "https://openvex.dev/docs/example/vex-9fb3463de1b57", "author": "Wolfi J Inkinson", "role": "Document Creator", "timestamp": "2023-01-08T18:02:03.647787998-06:00", "version": "1",
                "statements": [{"vulnerability": "CVE-2023-12345", "products": ["pkg:apk/wolfi/git@2.39.0-r1?arch=armv7", "pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64"], "status": "fixed"}]}),
        &["override CVE-2023-12345  git@2.39.0-r1"],
    );
    let statement = |version: Value, statement: Value| json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "ann", "timestamp": "2026-01-01T00:00:00Z", "version": version, "statements": [statement]});
    let image = format!(
        "pkg:oci/web@{}?repository_url=registry.example%2Fteam%2Fweb",
        digest("ab").replace(':', "%3A")
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"@id": "https://nvd.nist.gov/vuln/detail/CVE-1", "name": "CVE-1", "aliases": ["GHSA-1"]}, "products": [{"@id": image, "identifiers": {"purl": image}}], "status": "not_affected", "justification": "component_not_present"}),
        ),
        &["override CVE-1 abab "],
    );
    check(
        &statement(
            json!(2),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [{"@id": image}], "status": "under_investigation"}),
        ),
        &["weir.override.revoked"],
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [{"@id": image}], "status": "not_affected"}),
        ),
        &["rejected `statements[0].status`: `not_affected` without"],
    );
    check(
        &statement(
            json!(1),
            json!({"vulnerability": {"name": "CVE-1"}, "products": [], "status": "fixed"}),
        ),
        &["rejected `statements[0].products` is missing"],
    );
    check(
        &statement(
            json!(1),
            json!({"products": [{"@id": image}], "status": "fixed"}),
        ),
        &["rejected `statements[0].vulnerability"],
    );
}

#[test]
fn attestations_of_scans_wrapped_and_bare() {
    // in-toto/attestation spec/predicates/vulns_02.md.
    let statement = |result: Value, metadata: Value| {
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "foo", "digest": {"sha256": "fe4fe40ac7250263c5dbe1cf3138912f3f416140aa248637a60d65fe22c47da4"}}],
               "predicateType": "https://in-toto.io/attestation/vulns/v0.2",
               "predicate": {"scanner": {"uri": "pkg:github/aquasecurity/trivy@244fd47e07d1004f0aed9", "version": "0.19.2", "db": {"uri": "pkg:github/aquasecurity/trivy-db", "version": "v1-2021080612", "lastUpdate": "2021-08-06T17:45:50.52Z"}, "result": result}, "metadata": metadata}})
    };
    let times = json!({"scanStartedOn": "2021-08-06T17:45:50.52Z", "scanFinishedOn": "2021-08-06T17:50:50.52Z"});
    let found = json!([{"id": "CVE-123", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "5.2"}]}]);
    let expected = ["scanned fe4f by trivy: CVE-123=MEDIUM"];
    check(&statement(found.clone(), times.clone()), &expected);
    // "An empty list means the scanner found no vulnerabilities", where it says that it is done.
    check(
        &statement(json!([]), times.clone()),
        &["scanned fe4f by trivy:"],
    );
    check(
        &statement(
            json!([]),
            json!({"scanStartedOn": "2021-08-06T17:45:50.52Z"}),
        ),
        &["rejected `predicate.scanner.result`: not a completed scan"],
    );
    check(
        &statement(json!({}), times.clone()),
        &["rejected `predicate.scanner.result`: a report in a form that is not known"],
    );
    // In an envelope (DSSE) and in a bundle of Sigstore, in both alphabets of base64.
    let text = statement(found, times).to_string();
    let envelope = |payload: String| json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"keyid": "", "sig": "MEUC"}]});
    check(&envelope(base64(&text)), &expected);
    check(
        &envelope(base64::engine::general_purpose::URL_SAFE.encode(&text)),
        &expected,
    );
    check(
        &json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}, "dsseEnvelope": envelope(base64(&text))}),
        &expected,
    );
    check(&envelope("%%%".into()), &["rejected `payload`: no base64"]);
    let mut short: Value = serde_json::from_str(&text).unwrap();
    short["subject"][0]["digest"] = json!({"sha256": "fe4f"});
    check(&short, &["rejected `subject[0].digest.sha256`"]);
    for other in [
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
        "https://cyclonedx.org/bom",
    ] {
        check(
            &json!({"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": other, "predicate": {}}),
            &["ignored"],
        );
    }
}
