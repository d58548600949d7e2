//! What lives, lineages and tags say at the edges: small histories, each made for one question.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::log::index::Index;
use weir_engine::node::Incoming;
use weir_engine::query::{self, Query, QueryError};
use weir_schema::{Position, Received};

use crate::audit::records;
use crate::verbs::{ask, seqs_of};

#[test]
fn an_index_that_is_said_to_be_in_itself_has_a_history_and_a_lineage() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let index = "application/vnd.oci.image.index.v1+json";
    let push = |id: &str, of: &str, child: &str| {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": "weir.image.pushed",
            "time": "2026-03-01T00:00:00Z", "datacontenttype": "application/json",
            "data": {
                "repository": "dev/odd", "tag": id, "digest": format!("sha256:{of}"),
                "media_type": index,
                "manifests": [{
                    "digest": format!("sha256:{child}"), "media_type": index, "size": 9,
                    "annotations": {"io.cnab.manifest.type": "invocation"},
                }],
            },
        });
        let received = Received::from_json(event.to_string().as_bytes()).expect("an event");
        Incoming {
            at: received.event.time.expect("a time"),
            received,
            position: Position::Local,
        }
    };
    let dir = TempDir::new().expect("a directory");
    let mut ledger = crate::audit::open(dir.path());
    let inputs = vec![push("1", &a, &b), push("2", &b, &a)];
    ledger.take(inputs, None).expect("they are taken");
    let index = Index::open(ledger.reader());
    let history = Query::History {
        repository: "dev/odd".into(),
        tag: "1".into(),
        at: None,
    };
    let history = ask(&index, &history).expect("a history");
    assert_eq!(seqs_of(&history["entries"]), BTreeSet::from([1]));
    let lineage = Query::Lineage {
        digest: a,
        at: None,
    };
    let lineage = ask(&index, &lineage).expect("a lineage");
    assert_eq!(lineage["contents"][0]["digest"], format!("sha256:{b}"));
    assert_eq!(lineage["contents"][0]["name"], "invocation");
    assert_eq!(lineage["contents"][1], Value::Null);
    assert_eq!(seqs_of(&lineage["pushes"]), BTreeSet::from([1, 2]));
}

#[test]
fn of_a_tag_that_is_named_a_thousand_times_the_newest_are_told_and_what_it_pointed_at() {
    let life = |deletions: usize| {
        let gone = json!({"repository": "dev/web", "tag": "1"});
        let mut events = vec![crate::scanned::push()];
        events.resize(1 + deletions, ("weir.tag.deleted", gone));
        let dir = TempDir::new().expect("a directory");
        let ledger = crate::scanned::log(&dir, events);
        let history = Query::History {
            repository: "dev/web".into(),
            tag: "1".into(),
            at: None,
        };
        let life = ask(&Index::open(ledger.reader()), &history).expect("a history");
        let told = seqs_of(&life["entries"]);
        (life["told_from"].as_u64(), told)
    };
    assert_eq!(life(999), (None, (1..=1000).collect()));
    let wanted = [1].into_iter().chain(4..=1003).collect();
    assert_eq!(life(1002), (Some(4), wanted));
}

#[test]
fn a_build_ends_when_its_manifest_or_its_repository_is_deleted() {
    let image = crate::scanned::push();
    let digest = image.1["digest"].clone();
    let scan = || {
        let data = json!({
            "digest": digest, "scanner": {"name": "trivy"}, "findings": [],
        });
        ("weir.scan.completed", data)
    };
    let manifest = json!({"repository": "dev/web", "digest": digest});
    for (kind, gone) in [
        ("weir.manifest.deleted", manifest),
        ("weir.repository.deleted", json!({"repository": "dev/web"})),
    ] {
        let dir = TempDir::new().expect("a directory");
        let events = vec![image.clone(), scan(), (kind, gone), scan()];
        let ledger = crate::scanned::log(&dir, events);
        let history = Query::History {
            repository: "dev/web".into(),
            tag: "1".into(),
            at: None,
        };
        let history = ask(&Index::open(ledger.reader()), &history).expect("a history");
        assert_eq!(
            seqs_of(&history["entries"]),
            BTreeSet::from([1, 2, 3]),
            "{kind}: {history}"
        );
    }
}

#[test]
fn of_a_tag_that_is_there_and_that_no_rule_takes_nothing_else_is_meant() {
    let dir = TempDir::new().expect("a directory");
    let ledger = crate::scanned::log(&dir, vec![crate::scanned::push()]);
    let index = Index::open(ledger.reader());
    let why = Query::Why {
        repository: "dev/web".into(),
        tag: "1".into(),
        rule: None,
        at: None,
    };
    let told = |error| query::suggest(&index, &why, error).to_string();
    let untaken = "no promote rule in force takes `dev/web:1`: nothing promotes it";
    assert_eq!(told(QueryError::NotFound(untaken.to_owned())), untaken);
    assert_eq!(
        told(QueryError::NoTag("there is no tag `dev/web:1`".to_owned())),
        "there is no tag `dev/web:1`; it was there at another time: its history tells when"
    );
}

#[test]
fn of_a_tag_that_a_rule_does_not_take_for_its_class_both_classes_are_told() {
    let dir = TempDir::new().expect("a directory");
    let text = "//! rule: apps\n//! from: dev/*\n//! to: prod/{1}\n//! class: app, index\n\ntrue\n";
    let rules = json!({"files": [{"path": "apps.cel", "text": text}]});
    let events = vec![("weir.rules.activated", rules), crate::scanned::push()];
    let ledger = crate::scanned::log(&dir, events);
    let told = |rule: Option<&str>| {
        let why = Query::Why {
            repository: "dev/web".into(),
            tag: "1".into(),
            rule: rule.map(str::to_owned),
            at: None,
        };
        let answer = query::of_state(ledger.state(), &ledger.reader(), &why);
        answer.expect_err("it is not taken").to_string()
    };
    let classes = "it is of class `image`, and `apps` takes `class: app, index`";
    for rule in [None, Some("apps")] {
        let told = told(rule);
        assert!(
            told.ends_with(&format!("nothing promotes it; {classes}")),
            "{told}"
        );
    }
    assert!(told(Some("other")).ends_with("nothing promotes it"));
}

#[test]
fn the_findings_that_count_are_told_the_gravest_first_and_none_that_is_overridden() {
    let dir = TempDir::new().expect("a directory");
    let text = "//! rule: clean\n//! from: dev/*\n//! to: prod/{1}\n\nscan.critical == 0\n";
    let rules = json!({"files": [{"path": "clean.cel", "text": text}]});
    let (kind, push) = crate::scanned::push();
    let finding =
        |id: &str, severity: &str| json!({"id": id, "severity": severity, "package": "p"});
    let scan = json!({
        "digest": push["digest"], "scanner": {"name": "trivy"},
        "findings": [finding("CVE-1", "LOW"), finding("CVE-2", "CRITICAL"), finding("CVE-3", "CRITICAL"), finding("CVE-4", "HIGH")],
    });
    let granted =
        json!({"override_id": "o1", "vulnerability": "CVE-2", "actor": "ann", "reason": "known"});
    let ledger = crate::scanned::log(
        &dir,
        vec![
            ("weir.rules.activated", rules),
            (kind, push),
            ("weir.scan.completed", scan),
            ("weir.override.granted", granted),
        ],
    );
    let why = Query::Why {
        repository: "dev/web".into(),
        tag: "1".into(),
        rule: None,
        at: None,
    };
    let answer = query::of_state(ledger.state(), &ledger.reader(), &why).expect("it is explained");
    let told = answer[0]["gravest"].as_array().expect("findings");
    let ids: Vec<&str> = told.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, ["CVE-3", "CVE-4", "CVE-1"]);
    assert_eq!(answer[0]["counted"], 3);
}

#[test]
fn of_what_came_later_than_is_asked_about_it_is_told_when() {
    let dir = TempDir::new().expect("a directory");
    let tick = ("weir.clock.ticked", json!({}));
    let ledger = crate::scanned::log(&dir, vec![tick, crate::scanned::push()]);
    let index = Index::open(ledger.reader());
    let all = records(&index);
    let is_push = |record: &&Value| record["event"]["type"] == "weir.image.pushed";
    let push = all.iter().find(is_push).expect("a push");
    let (seq, at) = (push["seq"].as_u64(), push["recorded_at"].as_str());
    let (seq, at) = (seq.expect("a sequence"), at.expect("a time"));
    let digest = push["event"]["data"]["digest"].as_str().expect("a digest");
    let told = |query: Query| {
        let error = ask(&index, &query).expect_err("nothing is there yet");
        query::suggest(&index, &query, error).to_string()
    };
    let history = |tag: &str, at: Option<String>| Query::History {
        repository: "dev/web".into(),
        tag: tag.into(),
        at,
    };
    let before = Some((seq - 1).to_string());
    let came = format!("it came at record {seq}, {at}");
    assert_eq!(
        told(history("1", before.clone())),
        format!("no tag `dev/web:1` was recorded up to then; {came}")
    );
    for digest in [digest, &digest["sha256:".len()..][..8]] {
        let lineage = Query::Lineage {
            digest: digest.into(),
            at: before.clone(),
        };
        assert_eq!(
            told(lineage),
            format!("no digest `{digest}` was recorded up to then; {came}")
        );
    }
    // What never came.
    let never = "no tag `dev/web:another` was recorded up to then";
    assert_eq!(told(history("another", before)), never);
    let never = "no tag `dev/web:another` was ever recorded";
    assert_eq!(told(history("another", None)), never);
}

#[test]
fn what_is_not_known_of_an_index_is_listed_in_the_order_of_digests() {
    let index = "application/vnd.oci.image.index.v1+json";
    let digests = ["c", "a", "b"].map(|digit| format!("sha256:{}", digit.repeat(64)));
    let children = digests
        .clone()
        .map(|digest| json!({"digest": digest, "media_type": index, "size": 9}));
    let push = json!({
        "repository": "dev/web", "tag": "1", "digest": format!("sha256:{}", "d".repeat(64)),
        "media_type": index, "manifests": children,
    });
    let dir = TempDir::new().expect("a directory");
    let ledger = crate::scanned::log(&dir, vec![("weir.image.pushed", push)]);
    let mut sorted = digests.to_vec();
    sorted.sort();
    let view = ledger
        .state()
        .tag("dev/web", "1")
        .expect("the tag is there");
    assert_eq!(view.unknown, sorted);
}
