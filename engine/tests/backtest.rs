//! `weir backtest` and `/v1/backtests`: from a file, a log and a running daemon, in every form.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use support::daemon::Daemon;
use weir_engine::{
    log::LogOptions,
    node::{Incoming, Ledger},
};
use weir_rules::{Execution, Settings};
use weir_schema::{Position, Received};

const OLD: &str =
    "//! rule: to-staging\n//! from: dev/*\n//! to: staging/{1}\n\nscan.critical == 0\n";
const NEW: &str = "//! rule: to-staging\n//! from: dev/*\n//! to: staging/{1}\n\nscan.critical == 0 && scan.high == 0\n";
const TO_PROD: &str = "//! rule: to-prod\n//! from: staging/*\n//! to: prod/{1}\n\ntrue\n";

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A directory with rules, old and new, and a history.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        for (name, rule) in [("old", OLD), ("new", NEW)] {
            let rules = directory.path().join(name);
            fs::create_dir_all(&rules).unwrap();
            fs::write(rules.join("to-staging.cel"), rule).unwrap();
            fs::write(rules.join("to-prod.cel"), TO_PROD).unwrap();
        }
        let lines: String = events().iter().map(|event| format!("{event}\n")).collect();
        fs::write(directory.path().join("events.jsonl"), lines).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A stopped daemon's log: the old rules, then the history.
    fn log(&self) -> PathBuf {
        let data = self.path("data");
        let mut ledger = Ledger::open(
            &data,
            LogOptions::default(),
            Settings::default(),
            Execution::Commands,
        )
        .unwrap();
        let rules = json!({
            "specversion": "1.0", "id": "rules", "source": "test", "time": "2026-03-01T00:00:00Z",
            "type": "weir.rules.activated",
            "data": {"files": [
                {"path": "to-prod.cel", "text": TO_PROD}, {"path": "to-staging.cel", "text": OLD},
            ]},
        });
        let incoming = std::iter::once(rules).chain(events()).map(|event| {
            let received = Received::from_json(event.to_string().as_bytes()).unwrap();
            let at = received.event.time.unwrap();
            Incoming {
                received,
                at,
                position: Position::Local,
            }
        });
        ledger.take(incoming.collect(), None).unwrap();
        data
    }

    fn weir(&self, arguments: &[&str]) -> Output {
        weir(self.directory.path(), arguments)
    }

    /// What is printed, which must end with this exit code.
    fn said(&self, arguments: &[&str], code: i32) -> String {
        let output = self.weir(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {out}{err}"
        );
        out
    }
}

fn weir(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn digest(name: &str) -> String {
    weir_schema::Digest::of(name.as_bytes()).to_string()
}

/// An image with a high finding and one without any go to staging, and on to production.
fn events() -> Vec<Value> {
    let push = |tag: &str, name: &str| {
        let data = json!({
            "repository": "dev/web", "tag": tag, "digest": digest(name), "media_type": IMAGE,
        });
        ("weir.image.pushed", data)
    };
    let scan = |name: &str, findings: Value| {
        let data = json!({
            "digest": digest(name), "scanner": {"name": "trivy"}, "findings": findings,
        });
        ("weir.scan.completed", data)
    };
    let happened = [
        push("1", "a"),
        scan("a", json!([{"id": "CVE-1", "severity": "HIGH"}])),
        push("2", "b"),
        scan("b", json!([])),
    ];
    let numbered = happened.into_iter().enumerate();
    let events = numbered.map(|(number, (kind, data))| {
        json!({
            "specversion": "1.0", "id": number.to_string(), "source": "test", "type": kind,
            "time": format!("2026-03-02T00:00:0{number}Z"), "data": data,
        })
    });
    events.collect()
}

const FROM_FILE: [&str; 7] = [
    "backtest",
    "--rules",
    "new",
    "--against",
    "old",
    "--events",
    "events.jsonl",
];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

#[test]
fn a_file_a_stream_and_a_log_give_the_same_answer() {
    let scene = Scene::new();
    scene.log();
    let json = |arguments: &[&str]| -> Value {
        let printed = scene.said(&with(arguments, &["--output", "json"]), 0);
        let mut report: Value = serde_json::from_str(&printed).unwrap();
        // What differs: how inputs are numbered, and that the rules are an input of the log.
        report["history"] = Value::Null;
        number_nothing(&mut report);
        report
    };
    let from_file = json(&FROM_FILE);
    assert_eq!(from_file["totals"], json!({"never": 2}));
    assert_eq!(from_file["old"]["promotions"], 4);
    assert_eq!(from_file["new"]["promotions"], 2);
    for jobs in ["1", "5"] {
        assert_eq!(json(&with(&FROM_FILE, &["--jobs", jobs])), from_file);
    }
    let from_log = json(&["backtest", "--rules", "new", "--data", "data"]);
    assert_eq!(from_log, from_file);
    let named = json(&[
        "backtest",
        "--rules",
        "new",
        "--against",
        "old",
        "--data",
        "data",
    ]);
    assert_eq!(named, from_file);

    scene.said(&["export", "--data", "data", "exported.jsonl"], 0);
    let from_export = json(&["backtest", "--rules", "new", "--events", "exported.jsonl"]);
    assert_eq!(from_export, from_file);
}

fn number_nothing(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("seq");
            object.values_mut().for_each(number_nothing);
        }
        Value::Array(items) => items.iter_mut().for_each(number_nothing),
        _ => {}
    }
}

#[test]
fn the_inputs_of_a_log_replay_under_other_rules_as_those_of_a_file() {
    let scene = Scene::new();
    scene.log();
    for rules in ["old", "new"] {
        let replay = |from: &[&str]| -> Vec<Value> {
            let arguments = ["replay", "--output", "jsonl", "--rules", rules];
            let printed = scene.said(&with(&arguments, from), 0);
            let lines = printed.lines().map(serde_json::from_str);
            lines.collect::<Result<_, _>>().unwrap()
        };
        let (file, data) = (["--events", "events.jsonl"], ["--data", "data"]);
        let mut from_file = replay(&file);
        let mut from_log = replay(&data);
        let of_file = from_file.pop().unwrap();
        let of_log = from_log.pop().unwrap();
        assert_eq!(from_log, from_file, "{rules}");
        let promoted = if rules == "old" { 4 } else { 2 };
        assert_eq!(of_log["summary"]["promotions"], promoted);
        for count in ["records", "rejected", "decisions", "violations"] {
            assert_eq!(
                of_log["summary"][count], of_file["summary"][count],
                "{count}"
            );
        }
        let undone = replay(&with(&data, &["--no-execute"]));
        let last = &undone[undone.len() - 1]["summary"];
        assert_eq!(last["promotions"], promoted / 2, "nothing reaches staging");
    }
}

#[test]
fn every_form_says_what_differs_and_why() {
    let scene = Scene::new();
    let table = scene.said(&FROM_FILE, 0);
    let row = table
        .lines()
        .find(|line| line.contains("dev/web:1"))
        .unwrap();
    for part in [
        "2026-03-02T00:00:01Z",
        "never",
        "to-staging",
        "staging/web:1",
        "promoted 2026-03-02T00:00:01Z",
        "block: clause-false scan.high == 0 (scan.high = 1)",
    ] {
        assert!(row.contains(part), "`{part}` in {row}");
    }
    assert!(table.contains("rule to-staging changed"), "{table}");

    let lines = scene.said(&with(&FROM_FILE, &["--output", "jsonl"]), 0);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["kind"], "never");
    assert_eq!(
        (&lines[0]["seq"], &lines[0]["at"]),
        (&json!(2), &json!("2026-03-02T00:00:01Z"))
    );
    assert_eq!(
        lines[0]["old"]["promoted"]["target"],
        json!({"repository": "staging/web", "tag": "1"})
    );
    assert_eq!(
        lines[0]["new"]["clauses"][0]["parts"],
        json!([{"text": "scan.high", "value": 1}])
    );
    assert_eq!(
        lines[0]["new"]["explanation"]["images"][0]["scan"],
        "completed"
    );
    assert_eq!(
        lines[1]["new"]["absent"],
        "`to-staging` did not promote dev/web:1 to it"
    );
    assert_eq!(lines[2]["summary"]["totals"], json!({"never": 2}));

    let page = scene.said(&with(&FROM_FILE, &["--output", "markdown"]), 0);
    assert!(
        page.starts_with("### Backtest: 2 subjects decided differently\n"),
        "{page}"
    );
    assert!(page.contains("| promotions | 4 | 2 |"), "{page}");
    let row = page
        .lines()
        .find(|line| line.contains("`dev/web:1` → `staging/web:1`"))
        .unwrap();
    assert_eq!(row.matches(" | ").count(), 5, "six cells: {row}");
    assert!(row.contains("`scan.high` = `1`"), "{row}");
}

#[test]
fn a_question_about_nothing_is_no_answer() {
    let scene = Scene::new();
    let no_time = [
        "--since",
        "2026-02-01",
        "--until",
        "2026-01-01",
        "--fail-on",
        "any",
    ];
    scene.said(&with(&FROM_FILE, &no_time), 2);
    fs::create_dir(scene.directory.path().join("empty")).unwrap();
    fs::write(scene.directory.path().join("lines"), "no\nevents\n").unwrap();
    scene.said(&["backtest", "--rules", "empty", "--events", "lines"], 2);
    let rules = FROM_FILE
        .iter()
        .position(|word| *word == "--rules")
        .unwrap();
    let rules = FROM_FILE[rules + 1];
    scene.said(&["backtest", "--rules", rules, "--events", "lines"], 2);
}

#[test]
fn exit_codes_say_what_was_asked() {
    let scene = Scene::new();
    let fail_on = |what| with(&FROM_FILE, &["--fail-on", what]);
    scene.said(&fail_on("promoted"), 0);
    scene.said(&fail_on("blocked"), 1);
    scene.said(&fail_on("any"), 1);
    let back = [
        "backtest",
        "--rules",
        "old",
        "--against",
        "new",
        "--events",
        "events.jsonl",
    ];
    scene.said(&with(&back, &["--fail-on", "promoted"]), 1);
    scene.said(&with(&back, &["--fail-on", "blocked"]), 0);
    let same = [
        "backtest",
        "--rules",
        "old",
        "--against",
        "old",
        "--events",
        "events.jsonl",
    ];
    scene.said(&with(&same, &["--fail-on", "any"]), 0);
    // What does not count does not fail.
    let before = with(&fail_on("any"), &["--until", "2026-03-02T00:00:00Z"]);
    scene.said(&before, 0);
    let none = with(&fail_on("any"), &["--limit", "0"]);
    assert!(
        scene.said(&none, 1).contains("and 2 more"),
        "counted, not listed"
    );

    fs::create_dir_all(scene.path("wrong")).unwrap();
    fs::write(
        scene.path("wrong/rule.cel"),
        "//! from: dev/*\n//! to: x\nscan.critcal == 0\n",
    )
    .unwrap();
    scene.said(
        &["backtest", "--rules", "wrong", "--events", "events.jsonl"],
        2,
    );
    scene.said(
        &["backtest", "--rules", "new", "--events", "missing.jsonl"],
        2,
    );
    scene.said(&["backtest", "--rules", "new", "--data", "missing"], 3);
}

#[test]
fn a_history_without_rules_is_told_to_name_some() {
    let scene = Scene::new();
    let output = scene.weir(&["backtest", "--rules", "new", "--events", "events.jsonl"]);
    assert_eq!(output.status.code(), Some(0));
    let told = text(&output.stderr);
    assert!(told.contains("name others with --against"), "{told}");
    assert!(text(&output.stdout).contains("newly"), "everything is new");
}

#[test]
fn a_line_that_is_no_event_is_counted_and_the_rest_is_compared() {
    let scene = Scene::new();
    let events = fs::read_to_string(scene.path("events.jsonl")).unwrap();
    let (first, rest) = events.split_once('\n').unwrap();
    fs::write(
        scene.path("events.jsonl"),
        format!("nonsense\n\n{first}\n{{}}\n{rest}"),
    )
    .unwrap();
    let printed = scene.said(&with(&FROM_FILE, &["--output", "json"]), 0);
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["history"]["rejected"], 2);
    assert_eq!(report["totals"], json!({"never": 2}));
    // The line of the scan, after what was put before it.
    assert_eq!(report["differences"][0]["seq"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_answers_over_its_own_log() {
    let scene = Scene::new();
    let rules = scene.path("old");
    let daemon = Daemon::start(
        scene.directory.path(),
        &format!("rules = \"{}\"\n", rules.display()),
        "",
    )
    .await;
    for event in events() {
        let sent = daemon
            .client()
            .post(format!("{}/v1/events", daemon.url()))
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string())
            .send()
            .await
            .unwrap();
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    }
    let backtest = |arguments: &[&str]| {
        let new = scene.path("new");
        let new = ["backtest", "--rules", new.to_str().unwrap()];
        let output = daemon.weir(&with(&new, arguments));
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    // The daemon left the copies to others: no promotion of its log ever ended.
    let (code, printed, told) = backtest(&["--output", "json"]);
    assert_eq!(code, Some(0), "{told}");
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["totals"], json!({"never": 2}), "{report:#}");
    assert_eq!(report["differences"][0]["source"]["tag"], "1");
    let (code, _, told) = backtest(&["--fail-on", "blocked"]);
    assert_eq!(code, Some(1), "{told}");

    // By hand: started, looked at until it has ended, fetched, forgotten.
    let files =
        json!([{"path": "to-staging.cel", "text": NEW}, {"path": "to-prod.cel", "text": TO_PROD}]);
    let started = daemon
        .client()
        .post(format!("{}/v1/backtests", daemon.url()))
        .body(json!({"rules": files, "limit": 1}).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(started.status(), 202);
    let place = started.headers()["location"].to_str().unwrap().to_owned();
    let ended = daemon
        .until(&place, |answer| answer["state"] == "done")
        .await;
    assert_eq!(ended["report"]["totals"], json!({"never": 2}));
    assert_eq!(ended["report"]["unlisted"], 1);
    let gone = daemon.client().delete(format!("{}{place}", daemon.url()));
    assert_eq!(gone.send().await.unwrap().status(), 204);
    let gone = daemon.client().get(format!("{}{place}", daemon.url()));
    assert_eq!(gone.send().await.unwrap().status(), 404);

    let wrong =
        json!({"rules": [{"path": "x.cel", "text": "//! from: a\n//! to: b\nscan.critcal == 0"}]});
    assert_eq!(daemon.post("/v1/backtests", wrong.to_string()).await, 400);
    assert_eq!(daemon.post("/v1/backtests", "{}".into()).await, 400);
}

#[test]
fn what_the_intake_refuses_is_rejected_in_a_file_too() {
    let scene = Scene::new();
    let image = digest("c");
    let happened = [
        (
            "weir.image.pushed",
            json!({"repository": "dev/web", "tag": "3", "digest": image, "media_type": IMAGE}),
        ),
        // Three critical findings that are not listed, and a scan that says what they are.
        (
            "weir.scan.completed",
            json!({"digest": image, "scanner": {"name": "trivy"}, "findings": [], "counts": {"critical": 3}}),
        ),
        (
            "weir.scan.completed",
            json!({"digest": image, "scanner": {"name": "trivy"}, "findings": [{"id": "CVE-1", "severity": "CRITICAL"}]}),
        ),
        (
            "weir.override.granted",
            json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann", "scope": {"rule": "other"}}),
        ),
        (
            "weir.override.granted",
            json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann", "status": "affected"}),
        ),
    ];
    let numbered = happened.iter().enumerate();
    let lines = numbered.map(|(number, (kind, data))| {
        let event = json!({
            "specversion": "1.0", "id": number.to_string(), "source": "test", "type": kind,
            "time": format!("2026-03-02T00:00:0{number}Z"), "data": data,
        });
        format!("{event}\n")
    });
    fs::write(scene.path("doubtful.jsonl"), lines.collect::<String>()).unwrap();

    let replay = ["replay", "--rules", "old", "--events", "doubtful.jsonl"];
    let replayed = scene.said(&with(&replay, &["--output", "jsonl"]), 0);
    let summary: Value = serde_json::from_str(replayed.lines().last().unwrap()).unwrap();
    let summary = &summary["summary"];
    assert_eq!(summary["rejected"], 3, "{replayed}");
    assert_eq!(summary["promotions"], 0, "{replayed}");

    let backtest = [
        "backtest",
        "--rules",
        "old",
        "--against",
        "new",
        "--events",
        "doubtful.jsonl",
        "--output",
        "json",
    ];
    let report: Value = serde_json::from_str(&scene.said(&backtest, 0)).unwrap();
    assert_eq!(report["history"]["rejected"], 3, "{report}");
    assert_eq!(report["new"]["promotions"], 0, "{report}");
}
