//! `weir send`: files and lines to a daemon, or only what they mean.

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/daemon.rs"]
mod daemon;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use daemon::Daemon;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Exit code, standard output and standard error of `weir` with these arguments.
fn weir(data: &Path, arguments: &[&str], files: &[&Path]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .args(files)
        .env_remove("WEIR_SERVER")
        .env("WEIR_DATA", data)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

fn failed_scan(id: &str) -> String {
    let digest = format!("sha256:{}", "a".repeat(64));
    json!({
        "specversion": "1.0", "id": id, "source": "/tests", "type": "weir.scan.failed",
        "data": {"digest": digest, "scanner": {"name": "trivy"}, "reason": "no network"},
    })
    .to_string()
}

fn file(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_lines_are_sent_in_order_and_once() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    let lines = format!("{}\n\n{}\n", failed_scan("1"), failed_scan("2"));
    let lines = file(&directory, "events.jsonl", &lines);
    let one = file(&directory, "one.json", &failed_scan("3"));
    let again = file(&directory, "again.json", &failed_scan("4"));
    let data = daemon.data();
    let accepted = |arguments: &[&str], files: &[&Path]| {
        let (code, _, said) = weir(&data, arguments, files);
        assert_eq!(code, 0, "{said}");
        ["accepted at", "came before"].map(|words| said.matches(words).count())
    };
    assert_eq!(accepted(&["send", "--lines"], &[&lines]), [2, 0]);
    assert_eq!(accepted(&["send"], &[&one, &again]), [2, 0]);
    assert_eq!(accepted(&["send", "--lines"], &[&lines, &one]), [0, 3]);
    let metrics = daemon.client().get(format!("{}/metrics", daemon.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nweir_inputs_repeated 3\n"), "{metrics}");
    let (_, log, _) = weir(
        &data,
        &["log", "--type", "weir.scan.failed", "--output", "jsonl"],
        &[],
    );
    let ids: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"]["id"].to_string())
        .collect();
    assert_eq!(ids, [r#""1""#, r#""2""#, r#""3""#, r#""4""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_recorded_and_said_to_be_rejected() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    let report = file(&directory, "report.json", r#"{"SchemaVersion": 2}"#);
    let whole = file(&directory, "event.json", &failed_scan("1"));
    let data = daemon.data();
    let arguments = ["send", "--adapter", "trivy"];
    let (code, _, said) = weir(&data, &arguments, &[&report]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("accepted at") && said.contains("rejected: "),
        "{said}"
    );
    let (code, _, said) = weir(&data, &["send"], &[&report, &whole]);
    assert_eq!(code, 1, "what can be read is sent all the same: {said}");
    let (_, count, _) = weir(
        &data,
        &["log", "--type", "weir.scan.failed", "--count"],
        &[],
    );
    assert_eq!(count.trim(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_may_not_say_is_said_to_be_rejected() {
    let directory = TempDir::new().unwrap();
    let tokens = "token = 'main'\nintake_token = 'hook'";
    let vexed = "[sources.vexed.settings]\nvex = true\n";
    let daemon = Daemon::start(directory.path(), vexed, tokens).await;
    let granted = json!({
        "specversion": "1.0", "id": "1", "source": "/tests", "type": "weir.override.granted",
        "data": {"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "a"},
    });
    let granted = file(&directory, "granted.json", &granted.to_string());
    let waiver = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://vex.example/1",
        "author": "ann", "timestamp": "2026-08-21T10:00:00Z", "version": 1,
        "statements": [{
            "vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected",
            "justification": "component_not_present",
            "products": [{"@id": format!("pkg:oci/web@sha256%3A{}", "a".repeat(64))}],
        }],
    });
    let waiver = file(&directory, "waiver.json", &waiver.to_string());
    let data = daemon.data();
    let check = |file: &Path, token: &str, source: &str, code: i32, rejected: &str| {
        let arguments = ["send", "--token", token, "--source", source];
        let (ended, _, said) = weir(&data, &arguments, &[file]);
        assert!(said.contains("accepted at"), "{said}");
        assert_eq!(ended, code, "{said}");
        assert_eq!(said.contains("rejected: "), !rejected.is_empty(), "{said}");
        assert!(said.contains(rejected), "{said}");
    };
    check(&granted, "hook", "ci", 1, "is for operators to say");
    check(&granted, "main", "ci", 0, "");
    check(&waiver, "hook", "ci", 1, "a waiver");
    check(&waiver, "hook", "vexed", 0, "");
    check(&waiver, "main", "ci", 0, "");
}

#[test]
fn lines_that_are_not_said_to_be_such_are_refused_before_anything_is_sent() {
    let directory = TempDir::new().unwrap();
    let lines = format!("{}\n{}\n", failed_scan("1"), failed_scan("2"));
    let lines = file(&directory, "events.jsonl", &lines);
    let (code, output, said) = weir(directory.path(), &["send", "--dry-run"], &[&lines]);
    assert_eq!((code, &output[..]), (2, ""));
    assert!(
        said.contains("each line of") && said.contains("--lines"),
        "{said}"
    );

    let (code, output, _) = weir(
        directory.path(),
        &["send", "--dry-run", "--lines"],
        &[&lines],
    );
    assert_eq!((code, output.lines().count()), (0, 2));
}

#[test]
fn a_document_over_many_lines_is_one_payload() {
    let directory = TempDir::new().unwrap();
    let event: Value = serde_json::from_str(&failed_scan("1")).unwrap();
    let pretty = serde_json::to_string_pretty(&event).unwrap();
    let pretty = file(&directory, "event.json", &pretty);
    let (code, output, _) = weir(directory.path(), &["send", "--dry-run"], &[&pretty]);
    assert_eq!((code, output.lines().count()), (0, 1));
}

#[test]
fn a_dry_run_says_that_a_daemon_looks_for_the_image_of_a_configuration() {
    let directory = TempDir::new().unwrap();
    let [config, named] = ["c", "a"].map(|hex| format!("sha256:{}", hex.repeat(64)));
    let report = |digests: &[&str]| {
        let digests: Vec<_> = digests
            .iter()
            .map(|one| format!("r.example/web@{one}"))
            .collect();
        json!({"SchemaVersion": 2, "ArtifactName": "web.tar", "ArtifactType": "container_image", "Metadata": {"ImageID": config, "RepoDigests": digests},
            "Results": [{"Target": "web (debian 12)", "Class": "os-pkgs", "Type": "debian"}]})
        .to_string()
    };
    let looks =
        format!("a daemon looks for the image that the report is about by its `ImageID` {config}");
    for (digests, kind, otherwise) in [
        (&[][..], "weir.input.rejected", "it rejects it".to_owned()),
        (
            &[&*named],
            "weir.scan.completed",
            format!("it takes it for one of {named}"),
        ),
    ] {
        let report = file(&directory, "report.json", &report(digests));
        let (code, output, said) = weir(directory.path(), &["send", "--dry-run"], &[&report]);
        let event: Value = serde_json::from_str(&output).unwrap();
        assert_eq!((code, event["type"].as_str()), (0, Some(kind)), "{said}");
        for part in [&*looks, &*otherwise, "`weir-subject-digest`"] {
            assert!(said.contains(part), "{said}");
        }
    }
}

/// Pushes whose source does not say whether it is an index: of a registry that is named, and of none.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_has_to_be_asked_for_is_said_by_a_dry_run_and_by_the_refusal() {
    let directory = TempDir::new().unwrap();
    let digest = format!("sha256:{}", "a".repeat(64));
    let github = json!({"action": "published", "registry_package": {
        "name": "web", "namespace": "acme", "package_type": "container",
        "package_version": {"name": digest, "container_metadata": {"tag": {"name": "1"}}},
    }});
    let amazon = json!({"version": "0", "id": "1", "detail-type": "ECR Image Action", "source": "aws.ecr", "detail": {
        "result": "SUCCESS", "repository-name": "dev/web", "image-digest": digest, "action-type": "PUSH", "image-tag": "1",
    }});
    let daemon = Daemon::start(directory.path(), "", "").await;
    for (payload, repository, wanted) in [
        (
            github,
            "ghcr.io/acme/web",
            &["it needs a table [registries.\"ghcr.io\"]"][..],
        ),
        (
            amazon,
            "dev/web",
            &[
                "it needs a table [registries.\"HOST\"]",
                "`registry = \"HOST\"` in [sources.NAME.settings]",
            ],
        ),
    ] {
        let payload = file(&directory, "payload.json", &payload.to_string());
        let (code, output, said) = weir(directory.path(), &["send", "--dry-run"], &[&payload]);
        assert_eq!((code, output.lines().count()), (0, 1), "{said}");
        let asked = format!(
            "asks the registry for the media type in `{repository}`, and rejects this if none is configured"
        );
        assert!(said.contains(&asked), "{said}");
        let data = daemon.data();
        let (code, _, sent) = weir(&data, &["send"], &[&payload]);
        assert_eq!(code, 0, "{sent}");
        let named = format!("`{repository}`");
        let reason = |events: &Value| {
            let all = events["events"].as_array().into_iter().flatten();
            let mut reasons = all.filter_map(|one| one["event"]["data"]["reason"].as_str());
            reasons
                .find(|reason| reason.contains(&named))
                .map(str::to_owned)
        };
        let rejected = "/v1/events?type=weir.input.rejected";
        let events = daemon
            .until(rejected, |events| reason(events).is_some())
            .await;
        let reason = reason(&events).unwrap();
        for part in wanted {
            assert!(
                said.contains(part) && reason.contains(part),
                "{said}\n{reason}"
            );
        }
    }
}
