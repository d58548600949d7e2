//! Several scans of one image, and what is told of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::log::index::Index;
use weir_engine::node::{Incoming, Ledger};
use weir_engine::query::{EventFilter, Query};

use crate::verbs::ask;
use weir_schema::{Position, Received, Timestamp};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A log of these events, an hour apart.
pub(crate) fn log(dir: &TempDir, events: Vec<(&str, Value)>) -> Ledger {
    let mut ledger = crate::audit::open(dir.path());
    let begin: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let incoming = events.into_iter().zip(1..).map(|((kind, data), hour)| {
        let at = begin.saturating_add(chrono::TimeDelta::hours(hour));
        let event = json!({
            "specversion": "1.0", "id": hour.to_string(), "source": "/test", "type": kind,
            "time": at.to_string(), "data": data,
        });
        let received = Received::from_json(event.to_string().as_bytes()).expect("an event");
        Incoming {
            at,
            received,
            position: Position::Local,
        }
    });
    ledger
        .take(incoming.collect(), None)
        .expect("they are taken");
    ledger
}

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

pub(crate) fn push() -> (&'static str, Value) {
    let data =
        json!({"repository": "dev/web", "tag": "1", "digest": digest(), "media_type": IMAGE});
    ("weir.image.pushed", data)
}

fn scan(scanner: &str, database: &str, severity: Option<&str>) -> (&'static str, Value) {
    let found = severity.map(
        |severity| json!({"id": "CVE-1", "severity": severity, "package": "zlib", "version": "1"}),
    );
    let data = json!({
        "digest": digest(), "scanner": {"name": scanner, "db_updated_at": database},
        "findings": Vec::from_iter(found),
    });
    ("weir.scan.completed", data)
}

#[test]
fn a_lineage_has_the_scan_that_counted_and_not_an_older_one_that_came_late() {
    let rule = "//! rule: ship\n//! from: dev/*\n//! to: prod/{1}\n//! approvals: 1\n\nscan.critical == 0\n";
    let dir = TempDir::new().expect("a directory");
    let failed = json!({"digest": digest(), "scanner": {"name": "grype"}, "reason": "out of disk"});
    let vote =
        json!({"repository": "dev/web", "digest": digest(), "target": "prod/web", "actor": "amy"});
    let ledger = log(
        &dir,
        vec![
            (
                "weir.rules.activated",
                json!({"files": [{"path": "ship.cel", "text": rule}]}),
            ),
            push(),
            scan("trivy", "2026-02-02T00:00:00Z", None),
            ("weir.scan.failed", failed.clone()),
            scan("grype", "2026-02-02T00:00:00Z", None),
            scan("trivy", "2026-01-01T00:00:00Z", Some("CRITICAL")),
            ("weir.approval.granted", vote),
            ("weir.scan.failed", failed),
        ],
    );
    let index = Index::open(ledger.reader());
    let digest = digest();
    let lineage = ask(&index, &Query::Lineage { digest, at: None }).expect("a lineage");
    assert_eq!(lineage["promotions"].as_array().map(Vec::len), Some(1));
    let input = |entry: &Value| {
        let id = index
            .reader()
            .get(entry["seq"].as_u64().expect("a sequence"));
        let record: Value =
            serde_json::from_slice(&id.expect("it reads").expect("it is there")).expect("JSON");
        record["event"]["id"].as_str().expect("a name").to_owned()
    };
    let scans = lineage["scans"].as_array().expect("a list").iter();
    // Those that counted, Trivy's last, and Grype's last, which failed.
    assert_eq!(
        scans.map(input).collect::<BTreeSet<_>>(),
        ["3", "5", "6", "8"].map(String::from).into()
    );
}

#[test]
fn the_gravest_of_what_several_scanners_say_is_where_a_vulnerability_is() {
    for (first, second) in [("LOW", "CRITICAL"), ("CRITICAL", "LOW")] {
        let dir = TempDir::new().expect("a directory");
        let database = "2026-02-02T00:00:00Z";
        let scans = [
            scan("grype", database, Some(first)),
            scan("trivy", database, Some(second)),
        ];
        let ledger = log(&dir, [push()].into_iter().chain(scans).collect());
        let impact = serde_json::to_value(ledger.state().impact("CVE-1")).expect("JSON");
        let image = &impact[0]["images"][0];
        assert_eq!(
            image["findings"].as_array().map(Vec::len),
            Some(1),
            "{impact}"
        );
        assert_eq!(image["findings"][0]["severity"], "CRITICAL");
        assert_eq!(image["scanners"], json!(["grype", "trivy"]));
    }
}

#[test]
fn a_cve_is_found_in_whatever_letters_a_scanner_writes_it() {
    let dir = TempDir::new().expect("a directory");
    let scan = |scanner: &str, id: &str| {
        let findings = json!([{"id": id, "severity": "HIGH", "package": "xz"}]);
        let data = json!({"digest": digest(), "scanner": {"name": scanner}, "findings": findings});
        ("weir.scan.completed", data)
    };
    let scans = vec![
        push(),
        scan("grype", "cve-2024-3094"),
        scan("trivy", "CVE-2024-3094"),
    ];
    let ledger = log(&dir, scans);
    let index = Index::open(ledger.reader());
    for name in ["CVE-2024-3094", "cve-2024-3094"] {
        let now = serde_json::to_value(ledger.state().impact(name)).expect("JSON");
        let vulnerability = name.to_owned();
        let at = Some("3".to_owned());
        let then = ask(&index, &Query::Impact { vulnerability, at }).expect("an answer");
        for impact in [now, then] {
            let image = &impact[0]["images"][0];
            assert_eq!(image["scanners"], json!(["grype", "trivy"]), "{impact}");
            assert_eq!(image["findings"].as_array().map(Vec::len), Some(1));
            assert!(image["first_seen"].is_string());
        }
        let filter = EventFilter {
            vulnerabilities: vec![name.to_owned()],
            ..EventFilter::default()
        };
        let count = ask(&index, &Query::Count(filter)).expect("a number");
        assert_eq!(count["count"], 2, "{name}");
    }
}
