//! Lookups as the daemon makes them: what one that is large means for the log, and one that is slow
//! for the others.

mod support;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use support::{
    app::descriptor,
    daemon::Daemon,
    stub::{Reply, Request, Stub},
};
use weir_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use weir_schema::Digest;

const RULE: &str =
    "//! rule: all\n//! from: dev/*\n//! to: prod/{1}\n//! class: app, index, image\n\ntrue\n";

/// A daemon that knows both registries, and in the first of them may promote what is in `dev`.
async fn daemon(directory: &Path, first: &Stub, second: &Stub) -> Daemon {
    let rules = directory.join("rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("all.cel"), RULE).unwrap();
    let tables = [first, second].map(|stub| {
        format!(
            "[registries.\"{}\"]\ninsecure = true\nidle_timeout_seconds = 60\n",
            stub.host()
        )
    });
    let config = format!(
        "rules = \"{}\"\ndefault_registry = \"{}\"\n{}[reconcile]\nat_start = false\n",
        rules.display(),
        first.host(),
        tables.concat()
    );
    Daemon::start(directory, &config, "").await
}

/// The event that `repository:DIGEST-BEGIN` was pushed, of which nothing else is known.
fn pushed(repository: &str, digest: &Digest) -> Value {
    json!({"specversion": "1.0", "id": format!("push-{digest}"), "source": "/test", "type": "weir.image.pushed",
           "data": {"repository": repository, "tag": &digest.hex()[..8], "digest": digest, "media_type": OCI_INDEX}})
}

fn index(name: &str, children: &[&Vec<u8>]) -> Vec<u8> {
    let children: Vec<Value> = children
        .iter()
        .map(|child| descriptor(OCI_INDEX, child))
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children, "annotations": {"name": name}});
    index.to_string().into_bytes()
}

/// A registry that holds `manifests`.
async fn holding(manifests: Vec<Vec<u8>>) -> Stub {
    Stub::start(move |request: &Request| {
        let is_asked = |bytes: &&Vec<u8>| request.path.ends_with(&Digest::of(bytes).to_string());
        match manifests.iter().find(is_asked) {
            Some(bytes) => Reply::status(200).body(bytes.clone()),
            None => Reply::status(404),
        }
    })
    .await
}

/// The records of a type, once there are `count` of them.
async fn records(daemon: &Daemon, kind: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/events?type={kind}&limit=1000");
    let events = |found: &Value| found["events"].as_array().cloned().unwrap_or_default();
    let found = daemon.until(&path, |found| events(found).len() >= count);
    events(&found.await)
}

#[tokio::test]
async fn one_decision_follows_when_all_that_is_in_an_index_is_known() {
    let leaf = index("leaf", &[]);
    let children: Vec<Vec<u8>> = (0..50)
        .map(|n| index(&format!("child {n}"), &[&leaf]))
        .collect();
    let root = index("root", &children.iter().collect::<Vec<_>>());
    let digest = Digest::of(&root);
    let all = [children, vec![leaf, root]].concat();
    let count = all.len();
    let (first, second) = (holding(all).await, holding(Vec::new()).await);
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &first, &second).await;
    daemon.say(&[pushed("dev/shop", &digest)]).await;

    let told = records(&daemon, "weir.manifest.resolved", count).await;
    let last = &told.last().unwrap()["event"]["data"]["digest"];
    assert_eq!(*last, digest.to_string(), "itself comes last");
    let decisions = records(&daemon, "weir.decision.made", 2).await;
    let verdicts: Vec<&Value> = decisions
        .iter()
        .map(|record| &record["event"]["data"]["verdict"])
        .collect();
    assert_eq!(
        verdicts,
        ["wait", "block"],
        "as it comes, and as it is known"
    );
}

#[tokio::test]
async fn a_registry_that_trickles_holds_up_no_other() {
    let slow = Stub::start(|_| {
        let reply = Reply::status(200).body(vec![b' '; 100_000]);
        reply.trickling(Duration::from_secs(1))
    })
    .await;
    let leaf = index("leaf", &[]);
    let digest = Digest::of(&leaf);
    let good = holding(vec![leaf]).await;
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &good, &slow).await;
    let repository = format!("{}/dev/shop", slow.host());
    let many: Vec<Value> = (0..40u8)
        .map(|n| pushed(&repository, &Digest::of(&[n])))
        .collect();
    daemon.say(&many).await;
    daemon.say(&[pushed("dev/shop", &digest)]).await;
    let told = records(&daemon, "weir.manifest.resolved", 1).await;
    assert_eq!(told[0]["event"]["data"]["digest"], digest.to_string());
    let asked = slow
        .seen()
        .into_iter()
        .filter(|seen| seen.path.contains("/manifests/"));
    assert!(
        (1..=4).contains(&asked.count()),
        "a few at a time: {:?}",
        slow.seen()
    );
}

#[tokio::test]
async fn a_manifest_waits_for_a_login_that_is_put_right() {
    let leaf = index("leaf", &[]);
    let digest = Digest::of(&leaf);
    let is_let_in = Arc::new(AtomicBool::new(false));
    let opens = is_let_in.clone();
    let first = Stub::start(move |_| match opens.load(Ordering::Relaxed) {
        true => Reply::status(200).body(leaf.clone()),
        false => Reply::status(403),
    })
    .await;
    let second = holding(Vec::new()).await;
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &first, &second).await;
    daemon.say(&[pushed("dev/shop", &digest)]).await;
    daemon
        .until("/v1/status", |status| status["lookups"]["manifests"] == 1)
        .await;
    is_let_in.store(true, Ordering::Relaxed);
    let told = records(&daemon, "weir.manifest.resolved", 1).await;
    assert_eq!(told[0]["event"]["data"]["digest"], digest.to_string());
    daemon
        .until("/v1/status", |status| status["lookups"]["manifests"] == 0)
        .await;
}

/// Harbor's notification that the manifest was pushed, which leaves its media type to be asked for.
fn told_by_harbor(tag: &str, digest: &Digest) -> String {
    let resource =
        json!({"digest": digest, "tag": tag, "resource_url": format!("harbor/dev/shop:{tag}")});
    json!({"type": "PUSH_ARTIFACT", "occur_at": 1_700_000_000, "operator": "ann", "event_data": {
        "resources": [resource],
        "repository": {"name": "shop", "namespace": "dev", "repo_full_name": "dev/shop", "repo_type": "private"}}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_push_that_is_found_out_last_does_not_put_the_tag_back() {
    let (older, newer) = (index("older", &[]), index("newer", &[]));
    let (slow, fast) = (Digest::of(&older), Digest::of(&newer));
    let at = fast.to_string();
    let registry = Stub::start(move |request: &Request| {
        let found = Reply::status(200);
        match &request.path {
            path if path.ends_with("/1.0") => found
                .header("docker-content-digest", &at)
                .body(newer.clone()),
            path if path.ends_with(&at) => found.body(newer.clone()),
            path if path.ends_with(&slow.to_string()) => {
                found.body(older.clone()).after(Duration::from_millis(1500))
            }
            _ => Reply::status(404),
        }
    })
    .await;
    let older = Digest::of(&index("older", &[]));
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &registry, &holding(Vec::new()).await).await;
    let path = "/v1/intake/harbor?source=harbor";
    let (first, second) = tokio::join!(
        daemon.post(path, told_by_harbor("1.0", &older)),
        daemon.post(path, told_by_harbor("1.0", &fast)),
    );
    assert_eq!((first, second), (202, 202));

    let told = records(&daemon, "weir.image.pushed", 2).await;
    let told = told.iter().map(|record| &record["event"]["data"]);
    let told: Vec<_> = told
        .map(|data| [&data["digest"], &data["tag"], &data["overtaken_tag"]])
        .collect();
    let (of_fast, of_slow) = (json!(fast), json!(older));
    let (tag, none) = (json!("1.0"), Value::Null);
    assert_eq!(
        told,
        [[&of_fast, &tag, &none], [&of_slow, &none, &tag]],
        "what was pushed is there, and the tag where the registry has it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_a_tag_that_is_gone_by_now_leaves_no_tag_behind() {
    let image = index("image", &[]);
    let digest = Digest::of(&image);
    let at = digest.to_string();
    let registry = Stub::start(move |request: &Request| {
        let found = Reply::status(200);
        match &request.path {
            path if path.ends_with("/2.0") || path.ends_with(&at) => found
                .header("docker-content-digest", &at)
                .body(image.clone()),
            path if path.contains("/tags/list") => found.body(r#"{"tags":["2.0"]}"#),
            path if path == "/v2/" => found,
            _ => Reply::status(404),
        }
    })
    .await;
    let other = holding(Vec::new()).await;
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &registry, &other).await;
    let path = "/v1/intake/harbor?source=harbor";
    for tag in ["2.0", "1.0"] {
        assert_eq!(daemon.post(path, told_by_harbor(tag, &digest)).await, 202);
    }
    let gone = records(&daemon, "weir.tag.deleted", 1).await;
    assert_eq!(gone[0]["event"]["data"]["tag"], "1.0");
}

/// The event that something was pushed by its digest alone.
fn pushed_by_digest(bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    json!({"specversion": "1.0", "id": format!("push-{digest}"), "source": "/test", "type": "weir.image.pushed",
           "data": {"repository": "dev/shop", "digest": digest, "media_type": OCI_MANIFEST, "artifact_type": "text/quarantine"}})
}

/// A manifest that refers to another.
fn referrer(name: &str) -> Vec<u8> {
    let subject = descriptor(OCI_INDEX, &index("image", &[]));
    let config = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "text/quarantine", "config": config,
           "layers": [], "subject": subject, "annotations": {"name": name}})
    .to_string()
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_by_digest_while_its_registry_was_away_is_looked_up_after_a_restart() {
    let referrers = ["first", "second", "deleted"].map(referrer);
    let is_back = Arc::new(AtomicBool::new(false));
    let (there, back) = (referrers.clone(), is_back.clone());
    let registry = Stub::start(move |request: &Request| {
        let is_asked = |bytes: &&Vec<u8>| request.path.ends_with(&Digest::of(bytes).to_string());
        match there.iter().find(is_asked) {
            Some(bytes) if back.load(Ordering::Relaxed) => Reply::status(200).body(bytes.clone()),
            _ => Reply::status(503),
        }
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    let other = holding(Vec::new()).await;
    let first = daemon(directory.path(), &registry, &other).await;
    let all: Vec<Value> = referrers.iter().map(|one| pushed_by_digest(one)).collect();
    first.say(&all).await;
    let waiting = |status: &Value| status["lookups"]["manifests"] == 3;
    first.until("/v1/status", waiting).await;
    let deleted = json!({"specversion": "1.0", "id": "deleted", "source": "/test", "type": "weir.manifest.deleted",
                         "data": {"repository": "dev/shop", "digest": Digest::of(&referrers[2])}});
    first.say(&[deleted]).await;
    first.stop();
    is_back.store(true, Ordering::Relaxed);

    let asked = || registry.seen().len();
    let before = asked();
    let second = daemon(directory.path(), &registry, &other).await;
    let told = records(&second, "weir.manifest.resolved", 2).await;
    for record in &told {
        let subject = &record["event"]["data"]["subject"];
        assert_eq!(*subject, Digest::of(&index("image", &[])).to_string());
    }
    let nothing = |status: &Value| status["lookups"]["manifests"] == 0;
    second.until("/v1/status", nothing).await;
    assert_eq!(told.len(), 2, "what was deleted is not read");
    let seen = registry.seen().split_off(before);
    let manifests = seen.iter().filter(|seen| seen.path.contains("sha256:"));
    assert_eq!(manifests.count(), 2, "{seen:?}");
    second.stop();

    let before = asked();
    let third = daemon(directory.path(), &registry, &other).await;
    third.until("/v1/status", nothing).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = registry.seen().split_off(before);
    assert!(
        !again.iter().any(|seen| seen.path.contains("sha256:")),
        "what was read is not read again: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_on_record_though_its_sender_hangs_up_while_the_registry_is_silent() {
    let silent = Duration::from_secs(300);
    let registry = Stub::start(move |_: &Request| Reply::status(404).after(silent)).await;
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = daemon(directory.path(), &registry, &holding(Vec::new()).await).await;
    let path = format!("{}/v1/intake/quay?source=quay", daemon.url());
    let said = json!({"name": "shop", "repository": "dev/shop", "namespace": "dev",
        "docker_url": format!("{}/dev/shop", registry.host()), "updated_tags": ["1.0"]});
    let request = daemon.client().post(path).body(said.to_string());
    let sent = request.timeout(Duration::from_millis(500)).send().await;
    assert!(sent.is_err_and(|error| error.is_timeout()));
    let rejected = records(&daemon, "weir.input.rejected", 1).await;
    let reason = rejected[0]["event"]["data"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("no answer from the registry within 20 s"),
        "{reason}"
    );
}
