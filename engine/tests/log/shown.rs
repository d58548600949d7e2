//! What is shown to people and to programs, and to whoever has seen enough.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::asked::{fill, lines, seqs};
use crate::cli::said;
#[test]
fn records_are_printed_in_each_form_and_order() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let (all, _) = said(dir, &["log", "--output", "jsonl"], 0);
    let all = lines(&all);
    let last = all.len() as u64;
    assert_eq!(seqs(&all), (1..=last).collect::<Vec<_>>(), "oldest first");
    let (document, _) = said(dir, &["log", "--output", "json"], 0);
    assert_eq!(
        serde_json::from_str::<Value>(&document).expect("JSON"),
        Value::from(all.clone())
    );
    let (table, _) = said(dir, &["log", "--limit", "3"], 0);
    let first = |line: &str| {
        line.trim_start()
            .split(' ')
            .next()
            .and_then(|seq| seq.parse().ok())
    };
    let shown: Vec<u64> = table.lines().filter_map(first).collect();
    assert_eq!(shown, [last, last - 1, last - 2], "newest first");
    let (oldest, _) = said(dir, &["log", "--limit", "2", "--order", "oldest"], 0);
    assert_eq!(oldest.lines().filter_map(first).collect::<Vec<_>>(), [1, 2]);
    let (newest, _) = said(
        dir,
        &[
            "log", "--limit", "2", "--order", "newest", "--output", "jsonl",
        ],
        0,
    );
    assert_eq!(seqs(&lines(&newest)), [last, last - 1]);

    let (csv, _) = said(dir, &["log", "--type", "override.*", "--output", "csv"], 0);
    let mut rows = csv.split("\r\n");
    let heading = rows.next().expect("a heading");
    assert!(
        heading.starts_with("seq,recorded_at,type,repository,tag,digest,"),
        "{heading}"
    );
    let overrides = all.iter().filter(|record| {
        let kind = record["event"]["type"].as_str().unwrap_or_default();
        kind.starts_with("weir.override.")
    });
    assert_eq!(
        rows.filter(|row| !row.is_empty()).count(),
        overrides.count()
    );

    let (count, _) = said(dir, &["log", "--count"], 0);
    assert_eq!(count.trim(), last.to_string());
    let (groups, _) = said(dir, &["log", "--by", "type", "--output", "jsonl"], 0);
    let groups = lines(&groups);
    let sum: u64 = groups
        .iter()
        .filter_map(|group| group["count"].as_u64())
        .sum();
    assert_eq!(sum, last);
    let (csv, _) = said(dir, &["log", "--by", "type", "--output", "csv"], 0);
    assert_eq!(csv.lines().count(), groups.len() + 1);
    let (table, _) = said(dir, &["log", "--by", "verdict", "--rule", "to-staging"], 0);
    assert!(
        table.contains("VERDICT") && table.contains("promote"),
        "{table}"
    );

    // Pages by hand.
    let filter = ["log", "--repository", "dev/*", "--output", "jsonl"];
    let (wanted, _) = said(dir, &filter, 0);
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut page = [&filter[..], &["--page", "--limit", "70"]].concat();
        if let Some(cursor) = &cursor {
            page.extend(["--cursor", cursor]);
        }
        let (out, told) = said(dir, &page, 0);
        found.extend(lines(&out));
        let next = told.trim().strip_prefix("next page: --cursor ");
        cursor = next.map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert!(found.len() > 150);
    assert_eq!(found, lines(&wanted));
    // The index may go at any time; this one was never made.
    assert!(!dir.join("weir-data/index").exists());
}

#[test]
fn lives_lineages_and_lists_are_shown_to_people_and_programs() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let (decisions, _) = said(
        dir,
        &[
            "log",
            "--type",
            "decision.made",
            "--rule",
            "to-staging",
            "--output",
            "jsonl",
        ],
        0,
    );
    let decisions = lines(&decisions);
    let verdict = |wanted: &str, source: Option<&Value>| {
        let found = decisions.iter().rev().find(|one| {
            let data = &one["event"]["data"];
            data["verdict"] == wanted && source.is_none_or(|source| data["source"] == *source)
        });
        found.unwrap_or_else(|| panic!("nothing was said to {wanted}"))
    };
    let promoted = verdict("promote", None);
    let (source, target) = (
        &promoted["event"]["data"]["source"],
        &promoted["event"]["data"]["target"],
    );
    let waited = verdict("wait", Some(source));
    let place = |one: &Value| {
        format!(
            "{}:{}",
            one["repository"].as_str().unwrap_or(""),
            one["tag"].as_str().unwrap_or("")
        )
    };
    let (dev, staging) = (place(source), place(target));
    let digest = source["digest"].as_str().expect("a digest");

    let (life, _) = said(dir, &["history", &dev], 0);
    for part in [
        "pushed",
        "waits",
        "scan-missing",
        "scanned",
        "promoted",
        &staging,
        "by rule to-staging",
        "now: ",
    ] {
        assert!(life.contains(part), "{part}: {life}");
    }
    let (entries, _) = said(dir, &["history", &dev, "--output", "jsonl"], 0);
    let entries = lines(&entries);
    let pushed = entries.iter().find(|entry| entry["what"] == "pushed");
    let first = pushed.expect("a push")["seq"].to_string();
    let (life, _) = said(dir, &["history", &dev, "--at", &first], 0);
    assert!(life.contains("then: ") && !life.contains("now: "), "{life}");
    assert!(seqs(&entries).is_sorted() && entries.len() > 4);
    let (document, _) = said(dir, &["history", &dev, "--output", "json"], 0);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["entries"], Value::from(entries));

    let (page, _) = said(dir, &["lineage", &digest[7..19]], 0);
    for part in [
        digest,
        "promotions",
        &staging,
        "by rule to-staging (completed)",
        "scans",
        "rules",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (document, _) = said(dir, &["lineage", digest, "--output", "json"], 0);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let promotions = document["promotions"].as_array().expect("a list");
    assert!(
        promotions
            .iter()
            .any(|one| one["decided"] == promoted["seq"] && one["ended"] == "completed"),
        "{document}"
    );

    // A vulnerability that something holds.
    let (scans, _) = said(
        dir,
        &["log", "--type", "scan.completed", "--output", "jsonl"],
        0,
    );
    let cves: BTreeSet<String> = lines(&scans)
        .iter()
        .flat_map(|record| {
            record["event"]["data"]["findings"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter_map(|finding| finding["id"].as_str().map(str::to_owned))
        .collect();
    let holding = cves.iter().find(|cve| {
        let (out, _) = said(dir, &["impact", cve, "--output", "jsonl"], 0);
        lines(&out).iter().any(|tag| tag["counts"] == true)
    });
    let holding = holding.expect("one is held");
    let (table, _) = said(dir, &["impact", holding], 0);
    assert!(
        table.contains("TAG") && table.contains("OVERRIDDEN BY"),
        "{table}"
    );
    said(dir, &["impact", holding, "--exit-code"], 1);
    let (none, _) = said(dir, &["impact", "CVE-1-1", "--exit-code"], 0);
    assert!(none.contains("no tag holds CVE-1-1"), "{none}");

    let (all, _) = said(dir, &["overrides", "--output", "jsonl"], 0);
    let all = lines(&all);
    assert!(!all.is_empty() && all.iter().all(|one| one["granted"].is_u64()));
    let (table, _) = said(dir, &["overrides"], 0);
    assert!(
        table.contains("EXPIRES") && table.contains("maria"),
        "{table}"
    );

    // The past of a stopped log is the same from the state and from a few records.
    let seq = (promoted["seq"].as_u64().expect("a sequence") + 1).to_string();
    let (list, _) = said(
        dir,
        &["list", "staging/*", "--at", &seq, "--output", "jsonl"],
        0,
    );
    let listed = lines(&list);
    let listed = listed
        .iter()
        .find(|tag| place(tag) == staging)
        .expect("it is listed");
    let (shown, _) = said(
        dir,
        &["show", &staging, "--at", &seq, "--output", "json"],
        0,
    );
    assert_eq!(
        serde_json::from_str::<Value>(&shown).expect("JSON"),
        *listed
    );
    assert_eq!(listed["lineage"][0]["rule"], "to-staging");
    let then = waited["seq"].to_string();
    let (why, _) = said(dir, &["why", &dev, "--at", &then, "--output", "json"], 0);
    let why: Value = serde_json::from_str(&why).expect("JSON");
    assert_eq!(
        (&why[0]["rule"], &why[0]["verdict"]),
        (&"to-staging".into(), &"wait".into())
    );
    said(dir, &["why", &dev, "--at", &then, "--exit-code"], 1);
    let (absent, _) = said(
        dir,
        &["list", "staging/*", "--at", &then, "--output", "jsonl"],
        0,
    );
    assert!(!lines(&absent).iter().any(|tag| place(tag) == staging));
    let (table, _) = said(dir, &["list"], 0);
    assert!(table.contains("VERDICTS"), "{table}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    for arguments in [
        &["log", "--output", "jsonl"][..],
        &["list"],
        &["show", "dev/app-0"],
        &["why", "dev/app-0:1.0.1"],
        &["history", "dev/app-0:1.0.1"],
        &["overrides"],
        &["promotions"],
        &["status"],
        &["verify"],
    ] {
        let run = |output: Stdio| {
            let ended = Command::new(env!("CARGO_BIN_EXE_weir"))
                .current_dir(dir)
                .args(arguments)
                .stdout(output)
                .stderr(Stdio::piped())
                .output();
            let ended = ended.expect("the program runs");
            let said = String::from_utf8(ended.stderr).expect("it is text");
            (ended.status.code(), said)
        };
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, said) = run(writer.into());
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let (code, said) = run(full.expect("/dev/full").into());
        assert_eq!(code, Some(3), "{arguments:?}: {said}");
        assert!(said.contains("cannot write the output"), "{said}");
    }
}
