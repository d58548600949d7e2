//! Writing rules with the program itself: mistakes of every kind, each in a process with little
//! memory, and the tests of the examples as build servers read them.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_schema::Digest;

/// What a mistake may cost, in seconds of a processor: a loaded machine takes longer, and no more of
/// these. A debug build is several times slower.
const MOST_SECONDS: u32 = if cfg!(debug_assertions) { 20 } else { 1 };

/// Everything that the process writes to, its stacks among it.
const MOST_MEMORY_KIB: u32 = 64 * 1024;

/// Runs `weir` with no more time and memory than that.
fn weir(arguments: &[&str]) -> (i32, Output) {
    within(&format!("ulimit -d {MOST_MEMORY_KIB}"), arguments)
}

/// Runs `weir` with no more time than that, and limited by a command of the shell. It must not end by
/// a signal.
fn within(limit: &str, arguments: &[&str]) -> (i32, Output) {
    let limited = format!("ulimit -t {MOST_SECONDS} && {limit} && exec \"$0\" \"$@\"");
    let done = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_weir")])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let code = done.status.code();
    (
        code.unwrap_or_else(|| panic!("{}: {said}", done.status)),
        done,
    )
}

fn rule(expression: &str) -> String {
    format!("//! from: dev/*\n//! to: staging/{{1}}\n\n{expression}\n")
}

fn with_rule(expression: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("r.cel"), rule(expression)).unwrap();
    directory
}

fn path(directory: &Path) -> &str {
    directory.to_str().unwrap()
}

#[test]
fn a_mistake_in_a_rule_is_refused_at_its_place() {
    let deep = format!("{}true{}", "(".repeat(1500), ")".repeat(1500));
    let long = format!("1{} == 1", "+1".repeat(1900));
    for (expression, place, message) in [
        ("scan.critcal == 0", "4:6", "did you mean 'critical'?"),
        (
            "scan.critical == \"0\"",
            "4:1",
            "cannot compare int with string",
        ),
        ("tag.name == \"v1", "4:13", "this text is not closed"),
        ("tag.name == 'v1' &", "4:18", "and is written `&&`"),
        (
            "tag.name.matches(\"(a{1000}){1000}\")",
            "4:18",
            "the pattern is too large",
        ),
        ("tag.name.matches(\"(a\")", "4:18", "not a pattern"),
        (
            "tag.name == 'v1' // x\r&& false",
            "4:22",
            "a carriage return within a line",
        ),
        (
            "tag.name == 'v1' // \u{202e}x",
            "4:21",
            "U+202E, which turns text around",
        ),
        (&deep, "4:", "nested too deeply"),
        (&long, "4:", "too many operators"),
        ("scan.critical", "4:1", "must be true or false"),
    ] {
        let directory = with_rule(expression);
        let (code, done) = weir(&["rules", "check", path(directory.path())]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(code, 2, "{said}");
        let shown = directory.path().join("r.cel").display().to_string();
        assert!(
            said.starts_with(&format!("{shown}:{place}")),
            "{place}: {said}"
        );
        assert!(said.contains(message), "{message}: {said}");
    }
}

/// A pushed and scanned image, as lines of events.
fn history() -> String {
    let digest = Digest::of(b"api").to_string();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let event = |id: &str, kind: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/t", "time": "2026-03-01T00:00:00Z", "type": kind, "data": data});
    let pushed =
        json!({"repository": "dev/api", "tag": "1", "digest": digest, "media_type": media_type});
    let scanned = json!({"digest": digest, "scanner": {"name": "trivy"}, "findings": []});
    let events = [
        event("1", "weir.image.pushed", pushed),
        event("2", "weir.scan.completed", scanned),
    ];
    events.map(|event| format!("{event}\n")).concat()
}

#[test]
fn what_a_rule_cannot_compute_is_an_error_of_the_verdict() {
    let doubled = |step: &str| {
        let start = "['aaaaaaaaaaaaaaaa']";
        format!(
            "{start}{}.size() == 1",
            format!(".map(q, {step})").repeat(30)
        )
    };
    for (expression, message) in [
        (
            "lists.range(10000).all(x, lists.range(1000).all(y, x + y + scan.total >= 0))",
            "budget of 1000000 steps",
        ),
        (
            &*doubled("q + q + tag.name"),
            "text of more than 65536 bytes",
        ),
        (
            &*doubled("q.replace('a', 'aaaa' + tag.name)"),
            "text of more than 65536 bytes",
        ),
        (
            "lists.range(1000000000 + scan.total).size() == 0",
            "list of more than 20000 elements",
        ),
        ("10 / scan.total == 1", "division by zero"),
    ] {
        let directory = with_rule(expression);
        let events = directory.path().join("events.jsonl");
        fs::write(&events, history()).unwrap();
        let rules = path(directory.path());
        let (code, done) = weir(&[
            "replay",
            "--output",
            "jsonl",
            "--rules",
            rules,
            "--events",
            path(&events),
        ]);
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr));
        let out = String::from_utf8(done.stdout).unwrap();
        let lines = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let decisions: Vec<Value> = lines.filter(|line| line["verdict"].is_string()).collect();
        let last = decisions.last().expect("a decision");
        assert_eq!(last["verdict"], "error", "{expression}: {last}");
        assert_eq!(last["reasons"][0]["code"], "rule-error");
        let said = last["reasons"][0].to_string();
        assert!(said.contains(message), "{message}: {said}");
    }
}

#[test]
fn an_expression_that_gets_out_of_hand_has_no_value() {
    for (expression, message) in [
        (
            "lists.range(10000).all(x, lists.range(1000).all(y, x + y >= 0))",
            "steps",
        ),
        (
            "[1].map(q, lists.range(1000000000)).size() == 0",
            "list of more than",
        ),
        ("scan.critcal", "no variable 'scan'"),
        ("'a", "this text is not closed"),
        ("'a'.matches('(a{1000}){1000}')", "too large"),
    ] {
        // The stack that a long expression may need is reserved, not used: it is not limited here.
        let (code, done) = within("true", &["eval", expression]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(code, 2, "{expression}: {said}");
        assert!(said.starts_with("weir: expression:1:"), "{said}");
        assert!(said.contains(message), "{expression}: {said}");
    }
}

#[test]
fn one_bad_file_refuses_the_whole_set_and_all_files_are_checked() {
    let directory = TempDir::new().unwrap();
    let put = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    put("good.cel", &rule("true"));
    put("typo.cel", &rule("scan.hihg == 0"));
    put("empty.cel", "");
    put("key.cel", &rule("true").replace("//! to:", "//! too:"));
    put("same.cel", &format!("//! rule: good\n{}", rule("true")));
    let (code, done) = weir(&["rules", "check", path(directory.path())]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(code, 2);
    assert_eq!(done.stdout, b"", "no rule is counted");
    for part in [
        "typo.cel:4:6: no field 'hihg' in scan",
        "empty.cel:1:1: the file is empty",
        "key.cel:2:5: ",
        "did you mean `to`?",
        "same.cel:1:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("good.cel:"), "{said}");
}

#[test]
fn the_tests_of_the_examples_are_green_and_their_junit_is_read_by_a_parser() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/examples");
    let report = |output: &str| {
        let arguments = [
            "rules",
            "test",
            examples,
            "--min-coverage",
            "100",
            "--output",
            output,
        ];
        let (code, done) = weir(&arguments);
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(json["coverage_percent"], 100.0);
    let cases: Vec<&Value> = json["files"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|file| file["cases"].as_array().unwrap())
        .collect();
    let junit = report("junit");
    let document = roxmltree::Document::parse(&junit).unwrap();
    let suites = document.root_element();
    assert_eq!(suites.tag_name().name(), "testsuites");
    assert_eq!(suites.attribute("tests"), Some(&*cases.len().to_string()));
    assert_eq!(suites.attribute("failures"), Some("0"));
    let found = suites
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    let found: Vec<&str> = found.filter_map(|node| node.attribute("name")).collect();
    let named: Vec<&str> = cases
        .iter()
        .filter_map(|case| case["name"].as_str())
        .collect();
    assert_eq!(found, named);
    let files = json["files"].as_array().unwrap().len();
    let rules = fs::read_dir(examples).unwrap().flatten();
    let rules = rules.filter(|file| {
        file.path()
            .extension()
            .is_some_and(|ending| ending == "cel")
    });
    assert_eq!(files, rules.count(), "every example has tests");
}

#[test]
fn names_and_problems_of_any_text_are_xml() {
    let directory = with_rule("tag.name == \"<a & 'b'>\"");
    let name = "]]> <b> & \\\"q\\\" 'a' \\u0007 \\uFFFE \\u0085 é 🦀";
    let tests = format!("tests:\n  - {{ name: \"{name}\", expect: promote }}\n");
    fs::write(directory.path().join("r.test.yaml"), tests).unwrap();
    let (code, done) = weir(&["rules", "test", path(directory.path()), "--output", "junit"]);
    assert_eq!(code, 1, "{}", String::from_utf8_lossy(&done.stderr));
    let junit = String::from_utf8(done.stdout).unwrap();
    let document =
        roxmltree::Document::parse(&junit).unwrap_or_else(|error| panic!("{error}\n{junit}"));
    let case = document
        .descendants()
        .find(|node| node.has_tag_name("testcase"))
        .unwrap();
    let name = case.attribute("name").unwrap();
    assert!(
        name.starts_with("]]> <b> & \"q\" 'a' ") && name.ends_with("é 🦀"),
        "{name}"
    );
    let failure = case.first_element_child().unwrap();
    assert!(
        failure
            .text()
            .unwrap()
            .contains("expected promote, got block")
    );
}

/// The exit code of a daemon that is to start with these rule files, and what it says.
fn start_with(rules: &[(&str, &[u8])], settings: &str) -> (i32, String) {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(path("rules")).unwrap();
    for (name, text) in rules {
        fs::write(directory.path().join("rules").join(name), text).unwrap();
    }
    let config = format!(
        "data = '{}'\nrules = '{}'\n{settings}\n[http]\nlisten = '127.0.0.1:1'\n",
        path("data"),
        path("rules")
    );
    fs::write(path("weir.toml"), config).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--config", &path("weir.toml")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code().unwrap(), said)
}

#[test]
fn a_rule_that_names_the_default_registry_is_refused_with_what_to_write() {
    let start = |to: &str, deny: &str| {
        let promote = format!("//! from: dev/*\n//! to: {to}/{{1}}\n\ntrue\n");
        let deny = format!("//! kind: deny\n//! to: {deny}\n\ntrue\n");
        start_with(
            &[
                ("promote.cel", promote.as_bytes()),
                ("deny.cel", deny.as_bytes()),
            ],
            "default_registry = 'r.example:5000'",
        )
    };
    // Its repositories would have two names, and the deny speak of one of them.
    let (code, said) = start("r.example:5000/prod", "prod/**");
    assert!(
        code == 2
            && said.contains(
                "promote.cel: `r.example:5000/prod/{1}` names the default registry `r.example:5000`"
            ),
        "{code}: {said}"
    );
    assert!(said.contains("write `prod/{1}`"), "{said}");
    let (code, said) = start("prod", "r.example:5000/prod/**");
    assert!(
        code == 2 && said.contains("write `prod/**`"),
        "{code}: {said}"
    );
    let (_, said) = start("r.example:5000/prod", "r.example:5000/prod/**");
    assert!(
        said.contains("write `prod/{1}`") && said.contains("write `prod/**`"),
        "{said}"
    );
}

#[test]
fn a_daemon_tells_what_is_wrong_with_every_file_if_one_is_no_text() {
    let misspelt = b"//! from: dev/*\n//! to: prod/{1}\n\nscan.critcal == 0\n";
    let (code, said) = start_with(
        &[
            ("a.cel", b"//! about: caf\xe9\ntrue\n"),
            ("b.cel", misspelt),
        ],
        "",
    );
    assert_eq!(code, 2, "{said}");
    for part in [
        "a.cel:1:15: not UTF-8 text",
        "save the file as UTF-8",
        "b.cel:4:",
        "critcal",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
