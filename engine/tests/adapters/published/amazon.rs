//! Amazon: the registry's events in every wrapping, and Inspector's.

use serde_json::{Value, json};

use weir_engine::adapters::AdapterSettings;

use crate::words::{check, check_text, decode_with, digest, meaning};

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
        &["untold"],
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
        &["deleted testrepo:1", "untold"],
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

#[test]
fn an_event_of_another_account_or_region_is_none_of_the_source() {
    let action = |kind: &str, account: &str, region: &str, detail: Value| {
        let mut event = bridge(kind, "aws.ecr", detail);
        event["account"] = json!(account);
        event["region"] = json!(region);
        event
    };
    let push = json!({"action-type": "PUSH", "result": "SUCCESS", "repository-name": "web", "image-tag": "1", "image-digest": digest("ab"), "manifest-media-type": "application/vnd.oci.image.manifest.v1+json"});
    let delete = json!({"action-type": "DELETE", "result": "SUCCESS", "repository-name": "web", "image-digest": digest("ab")});
    // awsdocs ecr-eventbridge.md: account and region are those that the image came to.
    let replicated = json!({"action-type": "REPLICATE", "result": "SUCCESS", "repository-name": "web", "image-tag": "1", "image-digest": digest("ab"), "source-account": "222222222222", "source-region": "us-east-1"});
    let cached = json!({"sync-status": "SUCCESS", "repository-name": "web", "image-tag": "1", "image-digest": digest("ab")});
    let call = |registry: &str, recipient: &str, region: &str| {
        json!({"eventSource": "ecr.amazonaws.com", "eventName": "BatchDeleteImage", "eventTime": "2018-03-18T00:00:00Z", "eventID": "1", "awsRegion": region, "recipientAccountId": recipient,
               "requestParameters": {"repositoryName": "web", "registryId": registry, "imageIds": [{"imageDigest": digest("ab")}]},
               "responseElements": {"imageIds": [{"imageDigest": digest("ab")}]}})
    };
    let (home, other) = ("111111111111", "222222222222");
    let (here, there) = ("eu-west-1", "us-east-1");
    let amazon = "111111111111.dkr.ecr.eu-west-1.amazonaws.com";
    let of = |registry: Option<&str>, default_registry: Option<&str>| AdapterSettings {
        registry: registry.map(str::to_owned),
        default_registry: default_registry.map(str::to_owned),
        ..AdapterSettings::default()
    };
    let found = |settings: &AdapterSettings, body: &Value| {
        meaning(decode_with(&[], settings, &body.to_string())).concat()
    };
    let all = |account: &str, region: &str| {
        [
            (
                action("ECR Image Action", account, region, push.clone()),
                "pushed image web:1 abab",
            ),
            (
                action("ECR Image Action", account, region, delete.clone()),
                "deleted web@abab",
            ),
            (
                action(
                    "ECR Replication Action",
                    account,
                    region,
                    replicated.clone(),
                ),
                "type? pushed image web:1 abab",
            ),
            (
                action(
                    "ECR Pull Through Cache Action",
                    account,
                    region,
                    cached.clone(),
                ),
                "type? pushed image web:1 abab",
            ),
            (call(account, home, region), "deleted web@abab"),
            (call("", account, region), "deleted web@abab"),
        ]
    };
    // Whatever the registry is called that the source is.
    for settings in [of(None, Some(amazon)), of(Some(amazon), Some(amazon))] {
        for (body, meaning) in all(home, here) {
            assert_eq!(found(&settings, &body), meaning, "{body}");
        }
        for (account, region) in [(other, here), (home, there), (other, there)] {
            for (body, _) in all(account, region) {
                assert_eq!(found(&settings, &body), "ignored", "{body}");
            }
        }
        // What another account did in this registry.
        assert_eq!(
            found(&settings, &call(home, other, here)),
            "deleted web@abab"
        );
    }
    // The name of the registry tells nothing.
    for settings in [
        of(None, None),
        of(None, Some("images.example")),
        of(Some("images.example"), Some("images.example")),
    ] {
        for (body, meaning) in all(other, there) {
            assert_eq!(found(&settings, &body), meaning, "{body}");
        }
    }
    // What was found in an image is so wherever it is.
    let scan = json!({"scan-status": "COMPLETE", "repository-name": "web", "image-digest": digest("ab"), "finding-severity-counts": {"HIGH": 1}});
    let scan = action("ECR Image Scan", other, there, scan);
    let scanned = found(&of(Some(amazon), None), &scan);
    assert!(scanned.starts_with("scanned abab by ecr"), "{scanned}");
}
