//! Questions over NATS: the service `weir`, asked as a client of NATS asks it.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::time::{Duration, Instant};

use async_nats::Message;
use nats::Nats;
use serde_json::{Value, json};
use support::daemon::Daemon;
use tempfile::TempDir;

/// How long the service may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever asks.
struct Asking(async_nats::Client);

impl Asking {
    async fn of(nats: &Nats) -> Self {
        Self(async_nats::connect(nats.url()).await.unwrap())
    }

    /// Asks once the service is there.
    async fn send(&self, subject: &str, parameters: &str) -> Message {
        let began = Instant::now();
        loop {
            let payload = parameters.to_owned().into();
            match self.0.request(subject.to_owned(), payload).await {
                Ok(answer) => return answer,
                Err(error) => {
                    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
                    assert!(began.elapsed() < PATIENCE, "nobody answers on {subject}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    async fn ask(&self, question: &str, parameters: &Value) -> Value {
        let subject = format!("weir.query.{question}");
        let answer = self.send(&subject, &parameters.to_string()).await;
        assert_eq!(problem(&answer), None);
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// Code and words of the refusal.
    async fn refused(&self, question: &str, parameters: &str) -> (u16, String) {
        let answer = self
            .send(&format!("weir.query.{question}"), parameters)
            .await;
        assert!(answer.payload.is_empty());
        problem(&answer).unwrap()
    }
}

/// A node on a stream, and somebody who asks it there.
struct Site {
    daemon: Daemon,
    asking: Asking,
    _nats: Nats,
    _directory: TempDir,
}

impl Site {
    /// `lines` are more of the server's configuration.
    async fn new(lines: &str) -> Option<Self> {
        let nats = Nats::start_with(lines)?;
        let directory = TempDir::new().unwrap();
        Some(Self {
            daemon: Daemon::start(directory.path(), &config(&nats, ""), "").await,
            asking: Asking::of(&nats).await,
            _nats: nats,
            _directory: directory,
        })
    }
}

fn problem(answer: &Message) -> Option<(u16, String)> {
    let headers = answer.headers.as_ref()?;
    let code = headers.get("Nats-Service-Error-Code")?.as_str();
    let said = headers.get("Nats-Service-Error")?.as_str();
    Some((code.parse().unwrap(), said.to_owned()))
}

fn config(nats: &Nats, more: &str) -> String {
    format!("[stream]\nurls = [{:?}]\n{more}", nats.url())
}

fn event(kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": kind, "source": "/test", "type": kind, "data": data})
}

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn push() -> Value {
    event(
        "weir.image.pushed",
        json!({"repository": "dev/shop", "tag": "1", "digest": digest(),
            "media_type": "application/vnd.oci.image.manifest.v1+json"}),
    )
}

/// A rule that takes what is pushed.
fn rules() -> Value {
    let text = "//! from: dev/*\n//! to: staging/{1}\nscan.critical == 0\n";
    event(
        "weir.rules.activated",
        json!({"files": [{"path": "to-staging.cel", "text": text}]}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_over_nats_is_what_is_answered_over_http() {
    let Some(Site { daemon, asking, .. }) = &Site::new("").await else {
        return;
    };
    daemon.say(&[rules(), push()]).await;
    let decided = |page: &Value| page["count"] == json!(1);
    daemon
        .until("/v1/events?type=decision.made&count=true", decided)
        .await;
    let tag = json!({"repository": "dev/shop", "tag": "1"});
    for (question, parameters, path) in [
        ("why", tag.clone(), "why?repository=dev/shop&tag=1"),
        ("show", tag.clone(), "show?repository=dev/shop&tag=1"),
        ("history", tag, "history?repository=dev/shop&tag=1"),
        ("tags", json!({"limit": 10}), "tags?limit=10"),
        ("rules", json!({}), "rules"),
        (
            "events",
            json!({"type": ["image.pushed", "decision.made"], "at": null, "limit": 50}),
            "events?type=image.pushed&type=decision.made&limit=50",
        ),
    ] {
        let answer = asking.ask(question, &parameters).await;
        let as_http = daemon.get(&format!("/v1/{path}")).await;
        assert_eq!(answer, as_http, "{question}");
    }
    let why = asking
        .ask("why", &json!({"repository": "dev/shop", "tag": "1"}))
        .await;
    let reason = &why[0]["reasons"][0];
    assert_eq!(reason["code"], "scan-missing");
    assert_eq!(reason["digest"], json!(digest()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_says_why_in_the_headers_of_services() {
    let Some(Site { daemon, asking, .. }) = &Site::new("max_payload: 64KB\n").await else {
        return;
    };
    daemon.say(&[push()]).await;
    for (question, parameters, code, said) in [
        (
            "why",
            r#"{"repository": "dev/shop", "tag": "9"}"#,
            404,
            "dev/shop:9",
        ),
        (
            "why",
            r#"{"tag": "9"}"#,
            400,
            "the parameter `repository` is missing",
        ),
        (
            "why",
            "repository=dev/shop",
            400,
            "parameters are a JSON object",
        ),
        (
            "rules",
            r#"{"name": "x"}"#,
            400,
            "there is no parameter `name`",
        ),
        (
            "events",
            r#"{"follow": true}"#,
            400,
            "subscribe to the outputs",
        ),
        ("events", r#"{"where": "1 +"}"#, 400, "1:"),
        ("events", r#"{"limit": 0}"#, 400, "`limit` is 0"),
    ] {
        let (is_code, is_said) = asking.refused(question, parameters).await;
        assert_eq!(is_code, code, "{question} {parameters}: {is_said}");
        assert!(is_said.contains(said), "{question} {parameters}: {is_said}");
        assert!(!is_said.contains('\n'), "{is_said}");
    }
    // An answer that is larger than a message may be is none, and the next one comes again.
    let reasons: Vec<Value> = (0..20)
        .map(|number| {
            let reason = format!("{number} {}", "x".repeat(8_000));
            let mut hold = event(
                "weir.hold.placed",
                json!({"hold_id": format!("h{number}"), "actor": "a", "reason": reason}),
            );
            hold["id"] = json!(format!("hold-{number}"));
            hold
        })
        .collect();
    for reason in &reasons {
        daemon.say(std::slice::from_ref(reason)).await;
    }
    let held = |page: &Value| page["count"] == json!(20);
    daemon
        .until("/v1/events?type=hold.placed&count=true", held)
        .await;
    let (code, said) = asking.refused("events", r#"{"type": "hold.placed"}"#).await;
    assert_eq!(code, 413, "{said}");
    assert!(said.contains("ask for less with `limit`"), "{said}");
    let page = asking
        .ask("events", &json!({"type": "hold.placed", "limit": 2}))
        .await;
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_tells_what_it_can_be_asked_and_answers_all_of_it() {
    let Some(Site { asking, .. }) = &Site::new("").await else {
        return;
    };
    asking.ask("status", &json!({})).await;
    let info = asking.send("$SRV.INFO.weir", "").await;
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["name"], "weir");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let endpoints = info["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 14, "{endpoints:#?}");
    for endpoint in endpoints {
        let about = &endpoint["metadata"]["description"];
        assert!(about.as_str().is_some_and(|about| !about.is_empty()));
        let subject = endpoint["subject"].as_str().unwrap();
        let answer = asking.send(subject, "{}").await;
        let refused = problem(&answer);
        let is_known = refused.as_ref().is_none_or(|(code, _)| *code == 400);
        assert!(is_known, "{subject}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_nodes_answers_as_long_as_one_of_them_runs() {
    let Some(nats) = Nats::start() else {
        return;
    };
    let [first, second, silent] = std::array::from_fn(|_| TempDir::new().unwrap());
    let with_lease = config(&nats, "[stream.lease]\nttl_seconds = 3\n");
    let one = Daemon::start(first.path(), &with_lease, "").await;
    let other = Daemon::start(second.path(), &with_lease, "").await;
    // This one is told to be silent: were it asked, nobody would answer below.
    let mute = config(&nats, "queries = false\n[stream.lease]\nttl_seconds = 3\n");
    let _mute = Daemon::start(silent.path(), &mute, "").await;
    let asking = Asking::of(&nats).await;
    for _ in 0..20 {
        asking.ask("rules", &json!({})).await;
    }
    one.stop();
    for _ in 0..20 {
        asking.ask("rules", &json!({})).await;
    }
    other.stop();
    let asked = asking.0.request("weir.query.rules", "".into()).await;
    let error = asked.expect_err("nobody answers");
    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
}
