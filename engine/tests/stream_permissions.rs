//! What a node needs to be permitted at the NATS server, and how it tells what it is not.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{fs, path::Path, time::Duration};

use nats::Nats;
use serde_json::{Value, json};
use support::daemon::{Daemon, PATIENCE};
use tempfile::TempDir;
use weir_engine::stream::{NeededSubjects, StreamConfig};

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\ntrue\n";

/// A server with an account that may do everything, and one for Weir.
fn server(permissions: &str) -> Option<Nats> {
    let users = format!(
        "{{ user: admin, password: admin }}, {{ user: weir, password: weir, permissions: {{ {permissions} }} }}"
    );
    Nats::start_with(&format!(
        "accounts {{ W: {{ jetstream: enabled, users: [ {users} ] }} }}"
    ))
}

async fn daemon(directory: &Path, nats: &Nats) -> Daemon {
    fs::create_dir_all(directory.join("rules")).unwrap();
    fs::write(directory.join("rules/to-production.cel"), RULE).unwrap();
    let config = format!(
        "rules = {:?}\n[promotions]\nexecute = false\n[stream]\nurls = [{:?}]\nuser = \"weir\"\npassword = \"weir\"\n[stream.lease]\nttl_seconds = 3\n",
        directory.join("rules"),
        nats.url()
    );
    Daemon::start(directory, &config, "").await
}

fn push() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/test", "type": "weir.image.pushed",
        "data": {"repository": "team/web", "tag": "1.0", "digest": format!("sha256:{}", "ab".repeat(32)),
            "media_type": "application/vnd.oci.image.manifest.v1+json"}})
}

async fn ready(daemon: &Daemon) -> (u16, String) {
    let asked = daemon.client().get(format!("{}/readyz", daemon.url()));
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_needs_no_more_than_the_subjects_that_are_documented() {
    let needed = NeededSubjects::of(&StreamConfig::default());
    let readme = include_str!("../../README.md");
    for subject in needed.publish.iter().chain(&needed.subscribe) {
        let written = format!("`{subject}`");
        assert!(readme.contains(&written), "the README lacks {written}");
    }
    let Some(nats) = server(&format!(
        "publish: {{ allow: {:?} }}, subscribe: {{ allow: {:?} }}",
        needed.publish, needed.subscribe
    )) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let mut first = daemon(directory.path(), &nats).await;
    let address = "/v1/intake/cloudevents?source=dev";
    assert_eq!(first.post(address, push().to_string()).await, 202);
    let promotes = |why: &Value| why[0]["verdict"] == "promote";
    first
        .until("/v1/why?repository=team/web&tag=1.0", promotes)
        .await;
    let published = |status: &Value| status["outputs"]["published_through"].as_u64() >= Some(2);
    first.until("/v1/status", published).await;

    // And again, where all is there already, after an end without a word.
    first.kill();
    drop(first);
    let again = daemon(directory.path(), &nats).await;
    let leads = |status: &Value| status["lease"]["standing"] == "leads";
    let status = again.until("/v1/status", leads).await;
    assert_eq!(status["stream"]["denied"], json!([]), "{}", again.log());
    assert!(!again.log().contains("does not permit"), "{}", again.log());
    assert_eq!(ready(&again).await.0, 200);

    let options =
        async_nats::ConnectOptions::with_user_and_password("admin".into(), "admin".into());
    let admin = options.connect(nats.url()).await.unwrap();
    let asked = admin.request("weir.query.status", "".into());
    let answer = tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap()
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["running"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_permitted_to_read_the_stream_says_so_and_is_not_ready() {
    let Some(nats) = server(r#"publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.>"] }"#) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &nats).await;
    let address = "/v1/intake/cloudevents?source=dev";
    assert_eq!(daemon.post(address, push().to_string()).await, 202);
    let denied = "to publish on `$JS.API.CONSUMER.MSG.NEXT.WEIR.>`";
    let tells = |status: &Value| status["stream"]["denied"] == json!([denied]);
    daemon.until("/v1/status", tells).await;
    // Each attempt to read makes another subject.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let warning = format!("NATS does not permit this node {denied}");
    assert_eq!(
        daemon.log().matches(&warning).count(),
        1,
        "{}",
        daemon.log()
    );
    // The consumer that it may make, and not ask, is none that reads.
    let unread = |status: &Value| status["stream"]["unread"].is_string();
    daemon.until("/v1/status", unread).await;
    let gave_up = |status: &Value| status["lease"]["standing"] == "unknown";
    daemon.until("/v1/status", gave_up).await;
    let (code, told) = ready(&daemon).await;
    assert_eq!(code, 503, "{told}");
    assert!(
        told.contains("the stream is not read") && told.contains(denied),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_told_and_read_again() {
    let users = |password: &str| format!("authorization {{ user: weir, password: {password} }}");
    let Some(mut nats) = Nats::start_with(&users("first")) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "first\n").unwrap();
    let config = format!(
        "[stream]\nurls = [{:?}]\nuser = \"weir\"\npassword_file = {file:?}\n",
        nats.url()
    );
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let refuses = "NATS refuses the credentials";
    let refused = |status: &Value| {
        let told = status["stream"]["refused"].as_str();
        told.is_some_and(|told| told.contains(refuses))
    };
    let is_let_in = |status: &Value| {
        status["stream"]["refused"].is_null() && status["stream"]["connected"] == true
    };
    daemon.until("/v1/status", is_let_in).await;
    nats.configure(&users("second"));
    nats.restart();
    daemon.until("/v1/status", refused).await;
    let (code, told) = ready(&daemon).await;
    assert_eq!(code, 503, "{told}");
    assert!(
        told.contains(refuses) && told.contains("password_file"),
        "{told}"
    );
    assert_eq!(daemon.log().matches(refuses).count(), 1, "{}", daemon.log());

    fs::write(&file, "second\n").unwrap();
    daemon.until("/v1/status", is_let_in).await;
    daemon
        .post("/v1/intake/cloudevents?source=dev", push().to_string())
        .await;
    assert_eq!(ready(&daemon).await.0, 200);
}
