//! `weir eval` of a tag: what a rule would read, of a running daemon and of the log that it leaves,
//! now and before.

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/daemon.rs"]
mod daemon;

use std::{fs, path::Path, process::Command};

use daemon::Daemon;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_schema::Digest;

const RULES: [(&str, &str); 2] = [
    (
        "to-staging",
        "//! from: dev/*\n//! to: staging/{1}\n\nscan.critical == 0\n",
    ),
    (
        "to-production",
        "//! from: dev/*\n//! to: production/{1}\n\nscan.high == 0\n",
    ),
];

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data})
}

/// Exit code, and what `weir eval` printed: the value, or what is wrong.
fn eval(data: &Path, expression: &str, more: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["eval", expression, "--data"])
        .arg(data)
        .args(more)
        .env_remove("WEIR_SERVER")
        .output()
        .unwrap();
    let code = done.status.code().unwrap();
    let text = if code == 0 { done.stdout } else { done.stderr };
    (code, String::from_utf8(text).unwrap().trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_reads_what_a_rule_would_read_of_a_tag_now_and_before() {
    let directory = TempDir::new().unwrap();
    let rules = directory.path().join("rules");
    fs::create_dir_all(&rules).unwrap();
    for (name, text) in RULES {
        fs::write(rules.join(format!("{name}.cel")), text).unwrap();
    }
    let config = format!("rules = \"{}\"\n", rules.display());
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let digest = Digest::of(b"api").to_string();
    let image = "application/vnd.oci.image.manifest.v1+json";
    let finding = json!({"id": "CVE-1", "severity": "HIGH", "package": "zlib"});
    let pushed =
        json!({"repository": "dev/api", "tag": "1.0", "digest": digest, "media_type": image});
    let scanned = json!({"digest": digest, "scanner": {"name": "trivy"}, "findings": [finding]});
    daemon
        .say(&[
            event("1", "weir.image.pushed", &pushed),
            event("2", "weir.scan.completed", &scanned),
        ])
        .await;
    let data = daemon.data();
    let tag = ["--at", "dev/api:1.0"];
    let staging = ["--at", "dev/api:1.0", "--rule", "to-staging"];
    // The rules are the first record, the push the second; the scan comes after its decisions.
    let before = ["--at", "dev/api:1.0", "--at", "2"];
    let check = || {
        for (expression, more, expected) in [
            ("scan.high", &tag[..], "1"),
            ("scan.high", &before, "0"),
            ("images[0].scan.state", &before, "\"missing\""),
            (
                "vulnerabilities.map(v, v.id + ' in ' + v.package)",
                &tag,
                "[\"CVE-1 in zlib\"]",
            ),
            ("target.repository", &staging, "\"staging/api\""),
        ] {
            assert_eq!(
                eval(&data, expression, more),
                (0, expected.to_owned()),
                "{expression} {more:?}"
            );
        }
        // Records have their fields, for people who do not know them yet.
        let (code, shown) = eval(&data, "[vulnerabilities[0], images[0].scan]", &tag);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(code, 0);
        assert_eq!(
            (&shown[0]["id"], &shown[0]["package"], &shown[1]["high"]),
            (&json!("CVE-1"), &json!("zlib"), &json!(1)),
            "{shown}"
        );
        for (expression, more, expected) in [
            (
                "scan.hihg",
                &tag[..],
                "expression:1:6: no field 'hihg' in scan",
            ),
            (
                "10 / (scan.high - 1)",
                &tag,
                "expression:1:1: division by zero",
            ),
            (
                "target.tag",
                &tag,
                "depends on the rule: name one of `to-production`, `to-staging`",
            ),
            (
                "target.tag",
                &["--at", "dev/api:1.0", "--rule", "gone"],
                "no promote rule `gone` in force takes `dev/api:1.0`",
            ),
            (
                "true",
                &["--at", "dev/api:2.0"],
                "there is no tag `dev/api:2.0`",
            ),
            ("true", &["--at", "dev/api:1.0", "--at", "999"], "999"),
        ] {
            let (code, said) = eval(&data, expression, more);
            assert_eq!(code, 2, "{said}");
            assert!(said.contains(expected), "{expression} {more:?}: {said}");
        }
    };
    check();
    daemon.stop();
    check();
}
