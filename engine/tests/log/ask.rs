//! The commands that ask, of the log of a stopped daemon and of a running one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::log::LogOptions;
use weir_engine::node::{Incoming, Ledger};
use weir_rules::{Execution, Settings};
use weir_schema::{Position, Received};

use crate::cli::said;
use crate::history::History;
use crate::mixed;

/// How long something may take on a loaded machine before the test says that it never will.
const PATIENCE: Duration = Duration::from_secs(60);

fn fill(dir: &Path) {
    let mut ledger = Ledger::open(
        &dir.join("weir-data"),
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens");
    // In that order: among the mixed there are holds that are never released.
    let mut history = History::new(85, 6);
    ledger
        .take(history.take(300), None)
        .expect("they are taken");
    mixed::fill(&mut ledger, 20..24);
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"));
    lines.collect()
}

fn seqs(records: &[Value]) -> Vec<u64> {
    records
        .iter()
        .filter_map(|record| record["seq"].as_u64())
        .collect()
}

/// As a killed daemon leaves it, or a copy of the directory has it: somebody else may listen there.
#[test]
fn only_a_daemon_that_has_the_log_open_is_asked() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let (count, _) = said(dir, &["log", "--count"], 0);
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}\n", stranger.local_addr().expect("an address"));
    fs::write(dir.join("weir-data/address"), address).expect("it is written");
    std::thread::spawn(move || {
        for stream in stranger.incoming().flatten() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            // Whoever asks must not wait for what comes after its request.
            let _ = std::io::Write::write_all(&mut &stream, answer);
        }
    });
    assert_eq!(said(dir, &["log", "--count"], 0).0, count);
    let (_, talk) = said(dir, &["hold", "h", "--reason", "r", "--actor", "a"], 3);
    assert!(talk.contains("no daemon runs on"), "{talk}");
}

#[test]
fn a_directory_on_the_command_line_goes_before_a_server_of_the_environment() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let count = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["log", "--count"])
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .env("WEIR_SERVER", "http://127.0.0.1:1")
            .output();
        output.expect("it runs").status.code()
    };
    assert_eq!(count(&["--data", "weir-data"]), Some(0));
    assert_eq!(count(&[]), Some(3), "nobody answers there");
    // What reads a log itself asks nobody, and does not look at another log than was meant.
    let (_, told) = said(dir, &["verify", "--server", "http://127.0.0.1:1"], 2);
    assert!(told.contains("unexpected argument '--server'"), "{told}");
}

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
fn who_asks_for_a_tag_that_is_not_there_is_told_what_is() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let pushed = ["log", "--type", "image.pushed", "--output", "jsonl"];
    let (pushed, _) = said(dir, &pushed, 0);
    let push = &lines(&pushed)[0]["event"]["data"];
    let text = |name: &str| push[name].as_str().expect("a text").to_owned();
    let (repository, tag) = (text("repository"), text("tag"));
    let check = || {
        for verb in ["why", "show", "history"] {
            for (asked, meant) in [
                (
                    format!("registry.example/{repository}:{tag}"),
                    format!("; there is `{repository}:{tag}`: repositories of the default"),
                ),
                (
                    format!("{repository}x:{tag}"),
                    format!("; did you mean the repository `{repository}`?"),
                ),
                (
                    format!("{repository}:{tag}x"),
                    format!("; did you mean `{repository}:"),
                ),
            ] {
                let (_, told) = said(dir, &[verb, &asked], 2);
                assert!(told.contains(&meant), "{verb} {asked}: {told}");
            }
        }
        let (_, told) = said(
            dir,
            &["why", &format!("{repository}:{tag}"), "--at", "1"],
            2,
        );
        assert!(told.contains("; it was there at another time"), "{told}");
    };
    check();
    let _daemon = Daemon::start(dir);
    check();
}

/// A log of these events, one a minute.
fn log_of(dir: &Path, events: &[(&str, Value)]) {
    let mut ledger = Ledger::open(
        &dir.join("weir-data"),
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens");
    let inputs = events.iter().enumerate().map(|(minute, (kind, data))| {
        let event = json!({"specversion": "1.0", "id": minute.to_string(), "source": "/test", "type": format!("weir.{kind}"), "data": data});
        let at = format!("2026-03-02T10:{minute:02}:00Z");
        Incoming {
            received: Received::from_json(event.to_string().as_bytes()).expect("an event"),
            at: at.parse().expect("a time"),
            position: Position::Local,
        }
    });
    ledger.take(inputs.collect(), None).expect("they are taken");
}

#[test]
fn why_names_the_votes_that_do_not_count_and_what_stands_at_an_immutable_target() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    let (first, second) = (digest_of("first"), digest_of("second"));
    let rule = |more: &str| {
        let text = format!(
            "//! rule: go\n//! from: dev/*\n//! to: prod/{{1}}\n//! scan: not-required\n{more}\ntrue\n"
        );
        json!({"files": [{"path": "go.cel", "text": text}]})
    };
    let push = |digest: &str| json!({"repository": "dev/web", "tag": "1", "digest": digest, "media_type": "application/vnd.oci.image.manifest.v1+json", "actor": "pia"});
    let vote = |actor: &str| json!({"repository": "dev/web", "digest": second, "target": "prod/web", "actor": actor});
    log_of(
        dir,
        &[
            ("rules.activated", rule("")),
            ("image.pushed", push(&first)),
            (
                "rules.activated",
                rule(
                    "//! approvals: 2\n//! separate: pusher, rule-owner\n//! owner: olga, otto\n//! soak: 1h\n//! window: Mon 12:00-13:00 UTC\n",
                ),
            ),
            ("image.pushed", push(&second)),
            ("approval.granted", vote("pia")),
            ("approval.granted", vote("otto")),
            ("approval.granted", vote("ann")),
            (
                "repository.configured",
                json!({"repository": "prod/web", "immutable_tags": true}),
            ),
        ],
    );
    let (told, _) = said(dir, &["why", "dev/web:1"], 0);
    for line in [
        "vote not counted that of pia, who is the pusher",
        "vote not counted that of otto, who is the rule's owner",
        "approval-missing  1 of 2",
        "- 1 more approval",
        "- time until 2026-03-02T11:03:00Z",
        "- its window, which opens at 2026-03-02T12:00:00Z",
        &format!(
            "- a target tag that does not exist yet: this one holds {first}, and may not move"
        ),
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

fn digest_of(text: &str) -> String {
    weir_schema::Digest::of(text.as_bytes()).to_string()
}

#[test]
fn wrong_questions_are_told_where_they_are_wrong() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let told = |arguments: &[&str], parts: &[&str]| {
        let (_, told) = said(dir, arguments, 2);
        for part in parts {
            assert!(told.contains(part), "{arguments:?}: {told}");
        }
    };
    told(
        &["log", "--where", "event.tpye == 'x'"],
        &["where:1:7: ", "^", "did you mean 'type'?"],
    );
    for more in [
        &["--count"][..],
        &["--by", "type"],
        &[],
        &["--limit", "4", "--order", "oldest"],
    ] {
        let question = [&["log", "--where", "10 / (seq - 3) > 0"], more].concat();
        let (_, told) = said(dir, &question, 0);
        let warned = "warning: --where could not be answered for 1 of the records";
        assert!(told.contains(warned), "{question:?}: {told}");
        assert!(told.contains("for record 3:\nwhere:1:1: "), "{told}");
    }
    told(&["log", "--where", "seq + 1"], &["where:1:"]);
    told(&["log", "--where", "data.x && ("], &["where:1:1"]);
    told(
        &["log", "--repository", "dev/*,Prod/x"],
        &["repository:1:7: ", "      ^"],
    );
    told(
        &["log", "--verdict", "blocked"],
        &["`blocked` is no verdict; did you mean `block`?"],
    );
    told(
        &["log", "--reason", "scan-mising"],
        &["`scan-mising` is no reason code", "`scan-missing`"],
    );
    told(
        &["log", "--type", "decision.mad"],
        &["`decision.mad`", "`weir.decision.made`"],
    );
    told(
        &["log", "--digest", "sha256:12"],
        &["`sha256:12` is no digest", "first eight"],
    );
    told(
        &["log", "--since", "yesterday"],
        &["`since` is `yesterday`", "`7d`"],
    );
    told(
        &["log", "--app", "dev/none:1.0"],
        &["no tag `dev/none:1.0` was ever recorded"],
    );
    told(
        &["log", "--app", "dev/web"],
        &["`dev/web` is no application", "`repository:tag`"],
    );
    told(&["log", "--cursor", "abc"], &["the cursor is not good"]);
    told(
        &["log", "--by", "actr"],
        &["cannot count by `actr`; did you mean `actor`?"],
    );
    told(&["log", "--follow"], &["--follow needs a running daemon"]);
    told(&["log", "--limit", "0"], &["0 is not in 1.."]);
    told(&["history", "dev/web"], &["`dev/web` names no tag"]);
    told(
        &["history", "dev/none:1.0"],
        &["no tag `dev/none:1.0` was ever recorded"],
    );
    told(
        &["lineage", "ffffffffff"],
        &["no digest `ffffffffff` was ever recorded"],
    );
    told(
        &["show", "dev/web:1.0", "--at", "99999999"],
        &["there is no record 99999999"],
    );
    told(
        &["show", "dev/web:1.0", "--at", "soon"],
        &["`at` is `soon`"],
    );
    told(
        &["overrides", "--expiring", "soon"],
        &["`soon` is no duration", "14d"],
    );
    told(&["list", "dev//x"], &["repository:1:5: empty path part"]);
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

/// A daemon on the data directory, ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(dir: &Path) -> Daemon {
        // A port that is free now.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let file = dir.join("weir.toml");
        fs::write(
            &file,
            format!("data = \"weir-data\"\n[http]\nlisten = \"{address}\"\n"),
        )
        .expect("it is written");
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config", "weir.toml"])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("daemon.log")).expect("a file"))
            .spawn()
            .expect("it runs");
        let mut daemon = Daemon(child);
        let began = Instant::now();
        while !dir.join("weir-data/address").exists() {
            let ended = daemon.0.try_wait().expect("it is asked");
            let log = || fs::read_to_string(dir.join("daemon.log")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[test]
fn a_running_daemon_answers_the_same_and_is_followed() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let questions: &[&[&str]] = &[
        &["log", "--output", "jsonl"],
        &[
            "log",
            "--repository",
            "dev/*",
            "--type",
            "decision.made",
            "--output",
            "csv",
        ],
        &["log", "--actor", "ci", "--limit", "5"],
        &["log", "--count", "--verdict", "block", "--verdict", "wait"],
        &["log", "--by", "reason", "--output", "json"],
        &["log", "--where", "seq % 10 == 0", "--output", "jsonl"],
        &["overrides", "--output", "json"],
        &["impact", "CVE-2", "--output", "json"],
        &["list", "--output", "json"],
        &["list", "--at", "300", "--output", "json"],
    ];
    let stopped: Vec<String> = questions
        .iter()
        .map(|question| said(dir, question, 0).0)
        .collect();
    let (pushed, _) = said(
        dir,
        &["log", "--type", "image.pushed", "--output", "jsonl"],
        0,
    );
    let pushed = lines(&pushed);
    let data = &pushed.last().expect("a push")["event"]["data"];
    let tag = format!(
        "{}:{}",
        data["repository"].as_str().unwrap_or(""),
        data["tag"].as_str().unwrap_or("x")
    );
    let life = ["history", &tag, "--output", "json"];
    let (stopped_life, _) = said(dir, &life, 0);

    let _daemon = Daemon::start(dir);
    for (question, stopped) in questions.iter().zip(&stopped) {
        let (running, _) = said(dir, question, 0);
        assert_eq!(running, *stopped, "{question:?}");
    }
    assert_eq!(said(dir, &life, 0).0, stopped_life);
    let (_, told) = said(dir, &["log", "--where", "("], 2);
    assert!(told.contains("where:1:"), "{told}");

    let mut follower = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args([
            "log", "--follow", "--limit", "1", "--type", "hold.*", "--output", "jsonl",
        ])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let out = follower.stdout.take().expect("its output");
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    // The last there was, and then what comes.
    let next = || -> Value {
        let line = received.recv_timeout(PATIENCE).expect("a record");
        serde_json::from_str(&line).expect("JSON")
    };
    let (holds, _) = said(dir, &["log", "--type", "hold.*", "--output", "jsonl"], 0);
    assert_eq!(next(), *lines(&holds).last().expect("there was a hold"));
    for id in ["one", "two"] {
        said(dir, &["hold", id, "--reason", "freeze", "--actor", "me"], 0);
        said(
            dir,
            &[
                "override",
                "grant",
                id,
                "CVE-9",
                "--reason",
                "none",
                "--actor",
                "me",
                "--confirm",
            ],
            0,
        );
    }
    assert_eq!(next()["event"]["data"]["hold_id"], "one");
    assert_eq!(next()["event"]["data"]["hold_id"], "two");
    // It may have ended already.
    let _ended = follower.kill();
    let _ended = follower.wait();
    let (table, _) = said(dir, &["log", "--override", "two"], 0);
    assert!(
        table.contains("override.granted") && table.lines().count() == 1,
        "{table}"
    );
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
