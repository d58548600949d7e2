//! What a daemon does with input that is wrong, doubled or out of order, and with data directories
//! that it must not touch: through the real program, on its own and with a stream.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nats::Nats;
use serde_json::{Value, json};
use support::{daemon::Daemon, registry::Registry};
use tempfile::TempDir;
use weir_engine::{
    log::{Log, LogOptions},
    node::Ledger,
};
use weir_rules::{Execution, Settings};
use weir_schema::Digest;

const RULE: &str =
    "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n\nscan.critical == 0\n";

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

struct Site {
    daemon: Daemon,
    _nats: Option<Nats>,
    _directory: TempDir,
}

impl Site {
    async fn new(with_stream: bool) -> Option<Self> {
        let nats = match with_stream {
            true => Some(Nats::start()?),
            false => None,
        };
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("rules")).unwrap();
        fs::write(directory.path().join("rules/to-production.cel"), RULE).unwrap();
        let mut config = format!("rules = \"{}\"\n", directory.path().join("rules").display());
        if let Some(nats) = &nats {
            config.push_str(&format!("[stream]\nurls = [\"{}\"]\n", nats.url()));
        }
        let daemon = Daemon::start(directory.path(), &config, "").await;
        Some(Self {
            daemon,
            _nats: nats,
            _directory: directory,
        })
    }

    /// Delivers a body; it must be taken, whatever it is.
    async fn deliver(&self, adapter: &str, body: impl Into<Vec<u8>>) {
        let address = format!("{}/v1/intake/{adapter}?source=dev", self.daemon.url());
        let request = self.daemon.client().post(address).body(body.into());
        assert_eq!(request.send().await.unwrap().status().as_u16(), 202);
    }

    /// Waits until there are so many records of a type, and gives them.
    async fn records(&self, kind: &str, count: usize) -> Vec<Value> {
        let path = format!("/v1/events?type={kind}&limit=1000");
        let enough = |found: &Value| {
            let events = found["events"].as_array();
            events.is_some_and(|events| events.len() >= count)
        };
        let found = self.daemon.until(&path, enough).await;
        let events = found["events"].as_array().unwrap();
        assert_eq!(events.len(), count, "{found:#}");
        events
            .iter()
            .map(|record| record["event"].clone())
            .collect()
    }

    /// The stream goes on: what comes after is recorded.
    async fn goes_on(&self) {
        self.deliver(
            "distribution",
            push("after", "team/after", &digest("after")),
        )
        .await;
        self.daemon
            .until("/v1/tags?repository=team/after", |tags| {
                tags[0]["tag"] == "1.0"
            })
            .await;
    }
}

/// Runs a check on a node alone and on one with a stream.
async fn both(check: impl AsyncFn(&Site)) {
    for with_stream in [false, true] {
        if let Some(site) = Site::new(with_stream).await {
            check(&site).await;
            site.goes_on().await;
        }
    }
}

fn digest(seed: &str) -> String {
    Digest::of(seed.as_bytes()).to_string()
}

fn push(id: &str, repository: &str, digest: &str) -> String {
    json!({"events": [{
        "id": id, "timestamp": "2026-08-21T10:00:00Z", "action": "push",
        "target": {"mediaType": IMAGE, "digest": digest, "repository": repository, "tag": "1.0", "size": 10},
        "source": {"addr": "r:5000", "instanceID": "i"},
    }]})
    .to_string()
}

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": kind, "data": data})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read_is_recorded_as_rejected() {
    both(async |site| {
        let body = "no JSON at all";
        site.deliver("distribution", body).await;
        let rejected = &site.records("weir.input.rejected", 1).await[0]["data"];
        assert_eq!(rejected["payload_digest"], digest(body));
        assert_eq!(rejected["payload"], body);
        assert_eq!(rejected["adapter"], "distribution");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_wrong_digest_is_rejected_and_never_guessed() {
    both(async |site| {
        for wrong in ["sha256:91ef6", "md5:0123", "latest", ""] {
            site.deliver("distribution", push(wrong, "team/web", wrong))
                .await;
        }
        let rejected = site.records("weir.input.rejected", 4).await;
        for one in &rejected {
            let reason = one["data"]["reason"].as_str().unwrap();
            assert!(reason.contains("digest"), "{reason}");
        }
        let tags = site.daemon.get("/v1/tags?repository=team/web").await;
        assert_eq!(tags, json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ten_megabytes_is_taken() {
    both(async |site| {
        // Larger than a message of the stream may be, and of no meaning.
        let body = format!("{{\"events\": \"{}\"}}", "x".repeat(10 << 20));
        site.deliver("distribution", body.clone()).await;
        let rejected = &site.records("weir.input.rejected", 1).await[0]["data"];
        assert_eq!(rejected["payload_digest"], digest(&body));
        let kept = rejected["payload"].as_str().unwrap_or_default().len();
        assert!(kept <= 4096, "{kept} bytes of it are kept");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_recorded_as_rejected() {
    both(async |site| {
        let mut body = push("1", "team/web", &digest("web")).into_bytes();
        let place = body.windows(4).position(|part| part == b"team").unwrap();
        body[place] = 0xff;
        site.deliver("distribution", body.clone()).await;
        let rejected = &site.records("weir.input.rejected", 1).await[0]["data"];
        assert_eq!(rejected["payload_digest"], Digest::of(&body).to_string());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e53_an_unknown_type_is_recorded_and_changes_nothing() {
    both(async |site| {
        let before = site.daemon.get("/v1/tags").await;
        site.daemon
            .say(&[event("1", "acme.new.thing", json!({"x": [1, 2]}))])
            .await;
        let found = site.records("acme.new.thing", 1).await;
        assert_eq!(found[0]["data"], json!({"x": [1, 2]}));
        assert_eq!(site.daemon.get("/v1/tags").await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_more_than_a_kibibyte_is_refused_and_recorded_as_rejected() {
    both(async |site| {
        let hold = json!({"hold_id": "h".repeat(1025), "actor": "ann", "reason": "r"});
        let hold = event("1", "weir.hold.placed", hold).to_string();
        // Who can be answered is; what came another way is in the log.
        let address = format!("{}/v1/events", site.daemon.url());
        let request = site.daemon.client().post(address).body(hold.clone());
        let request = request.header("content-type", "application/cloudevents+json");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 400);
        let problem = answer.text().await.unwrap();
        assert!(problem.contains("`hold_id` has 1025 bytes"), "{problem}");
        site.deliver("cloudevents", hold).await;
        let rejected = &site.records("weir.input.rejected", 1).await[0]["data"];
        let reason = rejected["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("`hold_id` has 1025 bytes"), "{reason}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_leads_elsewhere_is_rejected() {
    both(async |site| {
        for (number, name) in ["team/../web", "../etc", "team//web", "/team"]
            .iter()
            .enumerate()
        {
            site.deliver(
                "distribution",
                push(&number.to_string(), name, &digest("a")),
            )
            .await;
        }
        site.records("weir.input.rejected", 4).await;
        assert_eq!(site.daemon.get("/v1/repositories").await, json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_e7_a_delivery_that_comes_twice_is_recorded_once() {
    both(async |site| {
        let body = push("the-same", "team/web", &digest("web"));
        for _ in 0..3 {
            site.deliver("distribution", body.clone()).await;
        }
        let approval = event(
            "approval-1",
            "weir.approval.granted",
            json!({"repository": "team/web", "digest": digest("web"), "target": "production/web", "actor": "ann"}),
        );
        site.daemon.say(std::slice::from_ref(&approval)).await;
        site.daemon.say(&[approval]).await;
        site.goes_on().await;
        let pushes = site.records("weir.image.pushed", 2).await;
        assert_eq!(pushes[0]["data"]["repository"], "team/web");
        site.records("weir.approval.granted", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_e5_e27_what_comes_out_of_order_ends_where_it_would_have_in_order() {
    both(async |site| {
        let (image, cve) = (digest("web"), "CVE-2099-0001");
        let events = [
            event(
                "override",
                "weir.override.granted",
                json!({"override_id": "o", "vulnerability": cve, "reason": "r", "actor": "ann"}),
            ),
            event(
                "scan",
                "weir.scan.completed",
                json!({"digest": image, "scanner": {"name": "trivy"}, "findings": [{"id": cve, "severity": "CRITICAL"}]}),
            ),
            event(
                "push",
                "weir.image.pushed",
                json!({"repository": "team/web", "tag": "1.0", "digest": image, "media_type": IMAGE}),
            ),
        ];
        site.daemon.say(&events).await;
        let decisions = site.records("weir.decision.made", 1).await;
        assert_eq!(decisions[0]["data"]["verdict"], "promote");
    })
    .await;
}

/// Every file below a directory, with its bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Runs a daemon that is to end by itself.
fn run(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The daemon refuses the directory, says why and what to do, and leaves it as it is.
fn refused(data: &Path, cause: &str, remedy: &str) {
    let before = contents(data);
    let output = run(data);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(cause) && said.contains(remedy), "{said}");
    let after = contents(data);
    let paths = before.keys().chain(after.keys());
    // The lock says who holds it.
    for path in paths.filter(|path| !path.ends_with("lock")) {
        assert!(before.get(path) == after.get(path), "{}", path.display());
    }
}

fn a_log(directory: &Path) -> PathBuf {
    let data = directory.join("data");
    let ledger = Ledger::open(
        &data,
        LogOptions::default(),
        Settings::default(),
        Execution::Commands,
    );
    drop(ledger.unwrap());
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_refused_and_its_user_goes_on() {
    let Some(site) = Site::new(false).await else {
        return;
    };
    let output = run(&site.daemon.data());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("in use"), "{said}");
    site.goes_on().await;
}

#[test]
fn what_is_wrongly_configured_is_said_at_the_start_before_a_log_is_begun() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("afile");
    fs::write(&file, "").unwrap();
    let below_a_file = file.join("archive");
    let (file, below_a_file) = (file.display(), below_a_file.display());
    for (set, cause) in [
        (
            format!("archive={file}"),
            format!("`archive`: cannot write in `{file}`: File exists"),
        ),
        (
            format!("archive={below_a_file}"),
            format!("`archive`: cannot write in `{below_a_file}`: Not a directory"),
        ),
        (
            "http.listen=0.0.0.0:0".to_owned(),
            "refusing to listen at 0.0.0.0:0 without authentication".to_owned(),
        ),
        (
            "stream.user=ann".to_owned(),
            "`--set stream.user=ann`: `stream`: `user` and `password` (or `password_file`) go together".to_owned(),
        ),
        (
            "registries.\"r.example\".ca_file=/nonexistent".to_owned(),
            "`registries.\"r.example\".ca_file`: cannot read `/nonexistent`".to_owned(),
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--set", "http.listen=127.0.0.1:0", "--set", &set])
            .args(["--data", "begun"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{set}: {said}");
        assert!(said.contains(&cause), "{set}: {said}");
        assert!(!directory.path().join("begun").exists(), "{set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_how_it_is_given_a_token() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "token = \"t\"\n").await;
    for (token, cause) in [("", "asks for a token"), ("x", "takes another token than")] {
        let mut arguments = vec!["log"];
        if !token.is_empty() {
            arguments.extend(["--token", token]);
        }
        let done = daemon.weir(&arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(cause), "{said}");
        assert!(
            said.contains("give it with --token or in WEIR_TOKEN"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_daemon_is_told_by_its_address_and_answer() {
    let registry = Registry::start();
    let server = format!("http://{}", registry.host());
    let asked = tokio::task::spawn_blocking(move || {
        let asked = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["status", "--server", &server])
            .output()
            .unwrap();
        (asked, server)
    });
    let (asked, server) = asked.await.unwrap();
    let told = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(3), "{told}");
    for part in [&*server, "/v1/status answers with 404", "hint: "] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn an_archive_directory_is_made_when_the_daemon_starts() {
    let directory = TempDir::new().unwrap();
    let data = a_log(directory.path());
    let archive = directory.path().join("made/archive");
    fs::write(data.join("format"), "other").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--set", &format!("archive={}", archive.display())])
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(fs::read_dir(archive).unwrap().count(), 0);
}

#[test]
fn a_command_whose_talk_nobody_hears_ends_as_it_would() {
    let directory = TempDir::new().unwrap();
    let rules = directory.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("wrong.cel"), "nonsense(").unwrap();
    let (rules, data) = (rules.display(), directory.path().join("data"));
    let data = data.display();
    // Of which a daemon asks the registry for the digest.
    let push = r#"{"name": "b", "repository": "a/b", "namespace": "a", "docker_url": "quay.io/a/b", "homepage": "https://quay.io/repository/a/b", "updated_tags": ["1"]}"#;
    fs::write(directory.path().join("push.json"), push).unwrap();
    for (line, code) in [
        ("send --dry-run push.json".to_owned(), 0),
        (format!("why team/web:1.0 --data {data}"), 3),
        (format!("run --data {data} --rules {rules}"), 2),
        ("demo".to_owned(), 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(line.split(' '))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(code), "{line}");
    }
}

#[test]
fn a_log_of_another_format_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let data = a_log(directory.path());
    fs::write(data.join("format"), "weir log 99\n").unwrap();
    refused(&data, "weir log 99", "version");
}

#[test]
fn a_damaged_log_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let data = a_log(directory.path());
    let mut log = Log::open(&data, LogOptions::default()).unwrap();
    // So that there is something to damage.
    for round in 0..50_u8 {
        log.meta_put("test", &[round; 5000]).unwrap();
    }
    drop(log);
    let db = data.join("store/db");
    let mut bytes = fs::read(&db).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x5a;
    }
    fs::write(&db, bytes).unwrap();
    refused(&data, "damaged", "copy");
}

#[test]
fn a_directory_that_is_no_log_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("letters.txt"), "dear all").unwrap();
    refused(directory.path(), "no log", "directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_record_nothing_that_means_nothing_and_lift_no_hold_by_another() {
    let Some(site) = Site::new(false).await else {
        return;
    };
    let daemon = &site.daemon;
    let freeze = ["hold", "freeze", "--reason", "release", "--actor", "olga"];
    assert!(daemon.weir(&freeze).status.success());
    let waive = "override grant waive CVE-1 --package web --reason r --actor ann --confirm";
    let waive: Vec<&str> = waive.split(' ').collect();
    assert!(daemon.weir(&waive).status.success());
    let longer = [&waive[..], &["--expires-at", "2100-01-01T00:00:00Z"]].concat();
    assert!(
        daemon.weir(&longer).status.success(),
        "the same, for longer"
    );
    let elsewhere = ["--repository", "other/*"];
    for (arguments, why) in [
        (
            [&freeze[..], &elsewhere].concat(),
            "there is a hold `freeze` already",
        ),
        (
            "override grant waive CVE-1 --reason oops --actor bob --confirm"
                .split(' ')
                .collect(),
            "there is an override `waive` already, of something else",
        ),
        (
            "override revoke wave --actor ann".split(' ').collect(),
            "there is no override `wave` in force",
        ),
        (
            "release frieze --actor olga --confirm".split(' ').collect(),
            "there is no hold `frieze`",
        ),
        (
            vec![
                "hold",
                "two",
                "--reason",
                "r",
                "--actor",
                "a",
                "--repository",
                "a,b",
            ],
            "`,` cannot be in a repository pattern",
        ),
        (
            vec!["hold", "", "--reason", "r", "--actor", "a"],
            "a value is required",
        ),
        (
            vec![
                "promote",
                "a:1",
                "b:1",
                "--reason",
                "",
                "--actor",
                "a",
                "--confirm",
            ],
            "a value is required for '--reason <REASON>'",
        ),
        (
            vec![
                "override",
                "grant",
                "o",
                "CVE-1",
                "--reason",
                "r",
                "--actor",
                "a",
                "--expires-at",
                "2020-01-01T00:00:00Z",
                "--confirm",
            ],
            "that time has passed",
        ),
        (
            vec![
                "override",
                "grant",
                "o",
                "CVE-1",
                "--reason",
                "r",
                "--actor",
                "a",
                "--expires-at",
                "soon",
                "--confirm",
            ],
            "or one from now as `14d`",
        ),
    ] {
        let done = daemon.weir(&arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    // The rules, the first hold and the first override, twice.
    let page = daemon.get("/v1/events?limit=1000").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 4, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_what_follows_from_what_they_say() {
    both(async |site| {
        let (image, cve) = (digest("web"), "CVE-2099-0001");
        let events = [
            event(
                "scan",
                "weir.scan.completed",
                json!({"digest": image, "scanner": {"name": "trivy"}, "findings": [{"id": cve, "severity": "CRITICAL"}]}),
            ),
            event(
                "push",
                "weir.image.pushed",
                json!({"repository": "team/web", "tag": "1.0", "digest": image, "media_type": IMAGE}),
            ),
            event(
                "freeze",
                "weir.hold.placed",
                json!({"hold_id": "freeze", "reason": "audit", "actor": "olga", "scope": {"repository": "production/web"}}),
            ),
        ];
        site.daemon.say(&events).await;
        site.records("weir.hold.placed", 1).await;
        let said = |line: &str, code: i32| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let done = site.daemon.weir(&arguments);
            let errors = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(code), "{line}: {errors}");
            assert!(errors.contains("recorded as "), "{line}: {errors}");
            (String::from_utf8_lossy(&done.stdout).into_owned(), errors)
        };
        // A promotion by hand that is not granted is a no, and says why.
        let by_hand = "promote team/web:1.0 production/web:1.0 --reason now --actor ann --confirm";
        let (told, hint) = said(by_hand, 1);
        assert!(told.contains("manual  wait  ann  [held freeze]"), "{told}");
        assert!(hint.contains("is judged once: ask again"), "{hint}");
        let life = site.daemon.weir(&["history", "team/web:1.0"]);
        let life = String::from_utf8_lossy(&life.stdout).into_owned();
        let mut of_hand = life.lines().filter(|line| line.contains("by rule manual"));
        assert!(of_hand.all(|line| line.contains("  not granted  ")), "{life}");
        let approve = format!("approve team/web@{image} --actor ann --target ");
        let (told, hint) = said(&format!("{approve}production/web"), 0);
        assert_eq!(told, "", "nothing hangs on it");
        assert!(!hint.contains("hint:"), "{hint}");
        let (_, hint) = said(&format!("{approve}production/wbe"), 0);
        assert!(
            hint.contains("no rule in force leads a tag of `team/web` to `production/wbe`: they are led to `production/web`"),
            "{hint}"
        );
        let (told, _) = said(&format!("override grant o {cve} --reason unreachable --expires-at 14d --actor ann --confirm"), 0);
        assert!(told.contains("to-production  wait  [held freeze]"), "{told}");
        let (told, _) = said("release freeze --actor olga --confirm", 0);
        assert!(told.contains("to-production  promote"), "{told}");
        let (_, hint) = said("hold h --repository taem/* --reason audit --actor olga", 0);
        assert!(hint.contains("no repository that has tags is `taem/*`; did you mean `team/*`?"), "{hint}");
        let (_, hint) = said("hold i --repository team/* --reason audit --actor olga", 0);
        assert!(!hint.contains("hint:"), "{hint}");
        let why = site.daemon.weir(&["why", "team/web:1.0", "--rule", "nope"]);
        let told = String::from_utf8_lossy(&why.stderr).into_owned();
        assert!(
            told.ends_with("no promote rule `nope` in force takes `team/web:1.0`: it is taken by `to-production`\n"),
            "{told}"
        );
    })
    .await;
}
