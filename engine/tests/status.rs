//! `weir status`, reloading of rules, and the lines by which a delivery can be followed.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nats::Nats;
use serde_json::{Value, json};
use support::{
    app,
    daemon::{Daemon, PATIENCE},
    registry::{Options, Registry},
    stub::{Reply, Stub},
};
use tempfile::TempDir;
use weir_engine::oci::Client;
use weir_schema::Digest;

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\ntrue\n";

fn rules(directory: &Path, text: &str) -> String {
    let rules = directory.join("rules");
    fs::create_dir_all(&rules).unwrap();
    fs::write(rules.join("to-production.cel"), text).unwrap();
    format!("rules = \"{}\"\n", rules.display())
}

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data})
}

fn push(repository: &str, digest: &Digest) -> String {
    json!({"events": [{
        "id": digest, "timestamp": "2026-08-21T10:00:00Z", "action": "push",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "repository": repository, "tag": "1.0"},
        "source": {"addr": "r:5000", "instanceID": "i"},
    }]})
    .to_string()
}

/// `weir status` of a data directory: of the daemon on it, or of what it left.
fn status(data: &Path, output: &str) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["status", "--output", output, "--data"])
        .arg(data)
        .env_remove("WEIR_SERVER")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

fn status_json(data: &Path) -> Value {
    serde_json::from_str(&status(data, "json")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_shows_is_no_answer_of_a_daemon() {
    let page = "<html>please log in</html>";
    for (page, came) in [(page, &*format!("`{page}`")), ("", "nothing")] {
        let stub = Stub::start(move |_| Reply::status(200).body(page)).await;
        let server = format!("http://{}", stub.host());
        let done = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["impact", "CVE-1", "--exit-code", "--server", &server])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{said}");
        let problem = format!("{server}/v1/impact?vulnerability=CVE-1 answers with {came} where");
        assert!(said.contains(&problem) && said.contains("hint: "), "{said}");
        assert!(done.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_the_directory_that_it_leaves_say_the_same_of_the_log() {
    let directory = TempDir::new().unwrap();
    let config = rules(directory.path(), RULE);
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let address = "/v1/intake/distribution?source=dev";
    let digest = Digest::of(b"web");
    assert_eq!(daemon.post(address, push("team/web", &digest)).await, 202);
    let hold = event(
        "1",
        "weir.hold.placed",
        json!({"hold_id": "freeze", "actor": "ann", "reason": "release week", "scope": {"repository": "prod/**"}}),
    );
    daemon.say(&[hold]).await;
    let data = daemon.data();
    let running = status_json(&data);
    // Rules, push, decision, hold.
    assert_eq!(running["log"]["records"], 4);
    assert_eq!(running["running"], true);
    assert_eq!(running["rules"]["count"], 1);
    assert_eq!(running["rules"]["refused"], Value::Null);
    assert_eq!(running["promotions"]["open"], 1);
    assert_eq!(running["holds"][0]["hold_id"], "freeze");
    assert_eq!(running["violations"], 0);
    assert_eq!(running["lease"], Value::Null);
    for source in ["dev", "/tests"] {
        assert!(running["sources"][source].is_string(), "{running:#}");
    }
    let page = status(&data, "table");
    for part in [
        "4 records",
        "1 in force",
        "freeze by ann: release week",
        "dev ",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }

    daemon.stop();
    let stopped = status_json(&data);
    assert_eq!(stopped["running"], false);
    for part in [
        "log",
        "state_digest",
        "rules",
        "holds",
        "violations",
        "sources",
    ] {
        let (mut of_running, mut of_stopped) = (running[part].clone(), stopped[part].clone());
        for one in [&mut of_running, &mut of_stopped] {
            // The store grows when it is closed.
            one.as_object_mut().map(|log| log.remove("bytes"));
        }
        assert_eq!(of_running, of_stopped, "{part}");
    }
    assert!(status(&data, "table").contains("not running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_stream_says_how_far_it_is_and_who_leads() {
    let Some(nats) = Nats::start() else { return };
    let directory = TempDir::new().unwrap();
    let config = format!(
        "node = \"this-one\"\n{}[stream]\nurls = [\"{}\"]\n",
        rules(directory.path(), RULE),
        nats.url()
    );
    let mut daemon = Daemon::start(directory.path(), &config, "").await;
    daemon
        .until("/v1/status", |status| {
            status["lease"]["standing"] == "leads" && status["rules"]["count"] == 1
        })
        .await;
    let address = "/v1/intake/distribution?source=dev";
    for name in ["a", "b", "c"] {
        let body = push("team/web", &Digest::of(name.as_bytes()));
        assert_eq!(daemon.post(address, body).await, 202);
    }
    let read = |status: &Value| {
        // The first of all is the leader's own, the second the rules.
        status["stream"]["last"] == 5 && status["stream"]["lag"] == 0
    };
    let found = daemon.until("/v1/status", read).await;
    assert_eq!(found["stream"]["position"], 5);
    assert_eq!(found["stream"]["connected"], true);
    assert_eq!(found["lease"]["holder"], "this-one");
    let published = found["log"]["records"].as_u64().unwrap();
    daemon
        .until("/v1/status", |status| {
            status["outputs"]["published_through"].as_u64() >= Some(published)
        })
        .await;
    let metrics = daemon.client().get(format!("{}/metrics", daemon.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for line in ["weir_acts 1", "weir_stream_position 5", "weir_stream_lag 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }

    daemon.kill();
    let left = status_json(&daemon.data());
    assert_eq!(left["running"], false);
    assert_eq!(left["stream"]["position"], 5);
    assert_eq!(left["state_digest"], found["state_digest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_stream_stores_nothing_is_not_ready_until_it_does_again() {
    let Some(nats) = Nats::start() else { return };
    let directory = TempDir::new().unwrap();
    let config = format!(
        "{}[stream]\nurls = [\"{}\"]\nmax_bytes = 20000\n",
        rules(directory.path(), RULE),
        nats.url()
    );
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let ready = async || {
        let asked = daemon.client().get(format!("{}/readyz", daemon.url()));
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let address = "/v1/intake/distribution?source=dev";
    let mut sent = 0;
    let told = loop {
        let (code, told) = ready().await;
        if code == 503 {
            break told;
        }
        assert!(sent < 1000, "{told}");
        daemon
            .post(address, push("team/web", &Digest::of(b"web")))
            .await;
        sent += 1;
    };
    assert!(sent > 0, "{told}");
    let parts = ["nothing can be made durable since 20", "maximum bytes"];
    assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    daemon.says("the stream takes nothing").await;

    // Nobody sends anything meanwhile.
    let raw = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let mut stream = raw.get_stream("WEIR").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_bytes = -1;
    raw.update_stream(config).await.unwrap();
    let began = Instant::now();
    while ready().await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.says("takes what is published again").await;
    assert_eq!(daemon.log().matches("the stream takes nothing").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_read_again_on_sighup_and_refused_whole_if_one_is_wrong() {
    let directory = TempDir::new().unwrap();
    let config = rules(directory.path(), RULE);
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let before = daemon.get("/v1/status").await["rules"].clone();
    daemon.signal("HUP");
    daemon.says("these rules are in force already").await;

    rules(directory.path(), &RULE.replace("true", "scan.critcal == 0"));
    fs::write(
        directory.path().join("rules/other.cel"),
        RULE.replace("to-production", "other"),
    )
    .unwrap();
    daemon.signal("HUP");
    let refused = |status: &Value| status["rules"]["refused"].is_string();
    let found = daemon.until("/v1/status", refused).await;
    let why = found["rules"]["refused"].as_str().unwrap();
    for part in ["to-production.cel:6:6", "critcal", "did you mean"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    for same in ["rules_digest", "count"] {
        assert_eq!(found["rules"][same], before[same], "all or nothing");
    }
    daemon
        .says("the rules are refused, those in force stay")
        .await;
    let page = status(&daemon.data(), "table");
    assert!(page.contains("did you mean"), "{page}");

    rules(
        directory.path(),
        &RULE.replace("true", "scan.critical == 0"),
    );
    daemon.signal("HUP");
    // What was refused is shown until the others are recorded.
    let taken =
        |status: &Value| status["rules"]["count"] == 2 && status["rules"]["refused"] == Value::Null;
    daemon.until("/v1/status", taken).await;
    let recorded = daemon.get("/v1/events?type=weir.rules.activated").await;
    let recorded = recorded["events"].as_array().unwrap().clone();
    assert_eq!(recorded.len(), 2);
    let files = recorded[1]["event"]["data"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_rules_in_force_starts_although_their_files_are_wrong() {
    let directory = TempDir::new().unwrap();
    let config = rules(directory.path(), RULE);
    Daemon::start(directory.path(), &config, "").await.stop();
    rules(directory.path(), "//! from: a\n\nnonsense(");
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let found = daemon.get("/v1/status").await;
    assert_eq!(found["rules"]["count"], 1);
    assert!(found["rules"]["refused"].is_string());

    // But none begins with rules that it cannot read.
    let fresh = TempDir::new().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--listen", "127.0.0.1:0", "--data"])
        .arg(fresh.path().join("data"))
        .arg("--rules")
        .arg(directory.path().join("rules"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("to-production.cel:"), "{said}");
}

/// The lines of a log in JSON that belong to a trace: their messages.
fn of_trace(log: &str, trace: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let spans = line["spans"].as_array()?;
        let belongs = spans.iter().any(|span| span["trace"] == trace);
        belongs.then(|| line["fields"]["message"].as_str().map(str::to_owned))?
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_can_be_followed_from_its_intake_to_the_end_of_its_promotion() {
    for with_stream in [false, true] {
        let directory = TempDir::new().unwrap();
        let registry = Registry::start_with(&Options {
            in_memory: true,
            ..Options::default()
        });
        let client = Client::new(&registry.host(), &registry.config()).unwrap();
        let image = app::image("web", "amd64", &[]);
        let digest = image.push(&client, "team/web", Some("1.0")).await;
        let mut config = format!(
            "{}default_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\n[reconcile]\nat_start = false\n",
            rules(directory.path(), RULE),
            host = registry.host(),
        );
        let nats = match with_stream {
            true => match Nats::start() {
                Some(nats) => Some(nats),
                None => return,
            },
            false => None,
        };
        if let Some(nats) = &nats {
            config.push_str(&format!("[stream]\nurls = [\"{}\"]\n", nats.url()));
        }
        let variables = [
            ("WEIR_JSON_LOGS", "true"),
            ("WEIR_LOG", "info,weir_engine=debug"),
        ];
        let daemon = Daemon::start_with(directory.path(), &config, "", &variables).await;
        // A push that comes before the rules is decided with them, not with its delivery.
        let in_force = |rules: &Value| rules["rules"][0]["rule"] == "to-production";
        daemon.until("/v1/rules", in_force).await;
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let request = daemon
            .client()
            .post(format!(
                "{}/v1/intake/distribution?source=dev",
                daemon.url()
            ))
            .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
            .body(push("team/web", &digest));
        assert!(request.send().await.unwrap().status().is_success());
        let promoted = |tags: &Value| tags[0]["tag"] == "1.0";
        daemon
            .until("/v1/tags?repository=production/web", promoted)
            .await;
        // What is logged of it comes by another way than the answers do.
        let patience = Instant::now() + PATIENCE;
        let lines = loop {
            let lines = of_trace(&daemon.log(), trace);
            let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
            let all = count("recorded") >= 3 && count("promoted") >= 1;
            if all || Instant::now() > patience {
                break lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // Push, promotion started and completed.
        let has = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(has("accepted"), 1, "{lines:#?}");
        assert_eq!(has("recorded"), 3, "{lines:#?}");
        assert_eq!(
            has("decided: team/web:1.0 -> production/web:1.0"),
            1,
            "{lines:#?}"
        );
        assert_eq!(has("promoted"), 1, "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_log_goes_on_when_the_daemon_was_killed_and_is_there_again() {
    let directory = TempDir::new().unwrap();
    let config = rules(directory.path(), RULE);
    let mut daemon = Daemon::start(directory.path(), &config, "").await;
    let mut following = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["log", "--follow", "--output", "jsonl", "--data"])
        .arg(daemon.data())
        .env_remove("WEIR_SERVER")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut until = async |kind: &str| {
        let found = async {
            while let Some(line) = told.recv().await {
                if line.contains(kind) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(Duration::from_secs(120), found).await;
        assert_eq!(found, Ok(true), "{kind} is told");
    };
    until("weir.rules.activated").await;
    daemon.kill();
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let hold = json!({"hold_id": "freeze", "actor": "ann", "reason": "release week"});
    daemon.say(&[event("1", "weir.hold.placed", hold)]).await;
    until("weir.hold.placed").await;
    following.kill().unwrap();
    following.wait().unwrap();
}

/// Whether a value is what a schema of the description says: enough of JSON Schema for the answers.
fn conforms(description: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(to) = schema["$ref"].as_str() {
        let found = description.pointer(to.trim_start_matches('#'));
        return conforms(description, found.unwrap(), value);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let tried = choices.iter().map(|one| conforms(description, one, value));
        let failed: Vec<String> = tried.filter_map(Result::err).collect();
        return match failed.len() < choices.len() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        };
    }
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    };
    let allowed = schema["enum"].as_array();
    if !right || allowed.is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{value} is not {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(description, &schema["items"], item)?;
    }
    let (Some(fields), Some(described)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing in {value}"));
        }
    }
    for (name, field) in fields {
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        let Some(schema) = described.get(name).or(others) else {
            return Err(format!("`{name}` is not described"));
        };
        conforms(description, schema, field).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_description_of_the_interface_says() {
    let directory = TempDir::new().unwrap();
    let told =
        "//! about: What is tested.\n//! owner: ann\n//! link: https://rules.example\n//! to:";
    let config = rules(directory.path(), &RULE.replace("//! to:", told));
    let config = config + "[promotions]\nexecute = false\n";
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let digest = Digest::of(b"web");
    let address = "/v1/intake/distribution?source=dev";
    assert_eq!(daemon.post(address, push("team/web", &digest)).await, 202);
    let description = daemon.get("/v1/openapi.json").await;
    for address in [
        "/v1/events",
        "/v1/repositories",
        "/v1/tags",
        "/v1/show?repository=team/web&tag=1.0",
        "/v1/why?repository=team/web&tag=1.0",
        "/v1/eval?expression=scan.critical&repository=team/web&tag=1.0",
        "/v1/history?repository=team/web&tag=1.0",
        &format!("/v1/lineage?digest={digest}"),
        "/v1/impact?vulnerability=CVE-1",
        "/v1/overrides",
        "/v1/decisions",
        "/v1/promotions",
        "/v1/rules",
        "/v1/status",
        "/readyz",
    ] {
        let path = address.split('?').next().unwrap();
        let answer = daemon.get(address).await;
        let described = &description["paths"][path]["get"]["responses"]["200"];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} is not described");
        assert_eq!(conforms(&description, schema, &answer), Ok(()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_have_what_its_archive_holds_says_so_until_it_has() {
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [whole, restored] = directories.each_ref().map(TempDir::path);
    let archive = whole.join("archive");
    let config = format!("archive = \"{}\"\n", archive.display());
    let weir = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(arguments)
            .current_dir(whole)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{told}");
    };

    let daemon = Daemon::start(whole, &config, "").await;
    daemon.say(&[event("1", "a", json!({}))]).await;
    daemon.stop();
    weir(&["export", "earlier.jsonl", "--data", "data"]);
    let daemon = Daemon::start(whole, &config, "").await;
    daemon.say(&[event("2", "a", json!({}))]).await;
    let well = daemon.get("/v1/status").await;
    assert_eq!(well["archive"]["problem"], Value::Null, "{well}");
    assert_eq!(well["archive"]["directory"], *archive.to_str().unwrap());
    daemon.stop();
    weir(&["export", "--archive", "archive", "--data", "data"]);

    let data = restored.join("data");
    weir(&[
        "import",
        "log",
        "earlier.jsonl",
        "--data",
        data.to_str().unwrap(),
    ]);
    let mut daemon = Daemon::start(restored, &config, "").await;
    let problem = "holds records up to 2, this log ends with 1: it was cut, or restored";
    daemon.says(problem).await;
    let told = |value: &Value| value.as_str().is_some_and(|told| told.contains(problem));
    let shown = |status: &Value| told(&status["archive"]["problem"]);
    daemon.until("/v1/status", shown).await;
    daemon
        .until("/readyz", |answer| told(&answer["detail"]))
        .await;
    let metrics = format!("{}/metrics", daemon.url());
    let metrics = daemon.client().get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("\nweir_archive_failed 1\n"), "{metrics}");
    let page = status(&data, "table");
    assert!(page.contains("NOT ARCHIVED: the archive in "), "{page}");
    daemon.kill();

    // What it is given instead is another history.
    let daemon = Daemon::start(restored, &config, "").await;
    daemon.say(&[event("3", "a", json!({}))]).await;
    daemon.says("record 2 in the archive file").await;
    daemon.stop();
}

#[test]
fn a_daemon_that_cannot_be_asked_is_told_with_the_cause_and_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let nobody = format!("http://127.0.0.1:{port}");
    for (server, token, code, parts) in [
        (
            &*nobody,
            "t",
            3,
            [
                "no daemon answers at http://127.0.0.1",
                "refused",
                "start it with",
            ],
        ),
        (
            "http://no-such-name.invalid:1",
            "t",
            3,
            ["no daemon answers", "no-such-name.invalid", "WEIR_SERVER"],
        ),
        (
            "127.0.0.1:8080",
            "t",
            2,
            ["`127.0.0.1:8080` is not the address", "scheme", "http://"],
        ),
        (
            "localhost:8080",
            "t",
            2,
            ["`localhost:8080` is not the address", "scheme", "http://"],
        ),
        (
            &*nobody,
            "two\nlines",
            2,
            ["the token has a line break", "--token", "WEIR_TOKEN"],
        ),
    ] {
        let asked = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["status", "--server", server, "--token", token])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(asked.status.code(), Some(code), "{told}");
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
