//! Deliveries by the stream that are not events at once: those that a registry must be asked about,
//! and those that are too large for a message. None of them is lost.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nats::Nats;
use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy},
    registry::{Registry, quiet},
    stub::{Reply, Request, Stub},
};
use weir_engine::oci::{
    Client, RegistryConfig,
    media_type::{OCI_CONFIG, OCI_MANIFEST},
};
use weir_schema::Digest;

fn config(nats: &Nats, host: &str) -> String {
    format!(
        "default_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\nmax_attempts = 1\n[reconcile]\nat_start = false\n[stream]\nurls = [\"{}\"]\n",
        nats.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_must_be_asked_about_is_asked_again_after_a_crash() {
    let Some(nats) = Nats::start() else { return };
    let registry = Registry::start();
    let direct = RegistryConfig {
        insecure: true,
        ..quiet()
    };
    let client = Client::new(&registry.host(), &direct).unwrap();
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&client, "team/web", Some("1.0")).await;
    let index = app::multi_arch("cache", &[]);
    let whole = index.push(&client, "team/cache", Some("1.0")).await;

    let down = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::before(registry.address(), {
        let down = Arc::clone(&down);
        move |request| match down.load(Ordering::SeqCst) && request.path != "/v2/" {
            true => Fault::Answer("503 Service Unavailable"),
            false => Fault::None,
        }
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    let config = config(&nats, &proxy.host());
    let mut daemon = Daemon::start(directory.path(), &config, "").await;
    // A tag without its digest, and an index without its children.
    let tag = json!({"timestamp": "2026-08-21T10:00:00.219+0000", "nodeId": "n", "initiator": "ann", "repositoryName": "r", "action": "CREATED",
        "component": {"id": "c", "format": "docker", "name": "team/web", "version": "1.0"}});
    let push = json!({"events": [{"id": "1", "action": "push", "target": {"mediaType": index.manifests[2].0, "digest": whole, "repository": "team/cache", "tag": "1.0"}}]});
    assert_eq!(daemon.post("/v1/intake/nexus", tag.to_string()).await, 202);
    assert_eq!(
        daemon
            .post("/v1/intake/distribution", push.to_string())
            .await,
        202
    );
    // The stream was read past both.
    daemon
        .until("/v1/tags?repository=team/cache", |tags| {
            tags[0]["tag"] == "1.0"
        })
        .await;
    assert_eq!(daemon.get("/v1/tags?repository=team/web").await, json!([]));
    daemon.kill();
    drop(daemon);

    down.store(false, Ordering::SeqCst);
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon
        .until("/v1/tags?repository=team/web", |tags| {
            tags[0]["digest"] == digest.to_string()
        })
        .await;
    daemon
        .until("/v1/tags?repository=team/cache", |tags| {
            tags[0]["images"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        })
        .await;
}

/// A registry whose one image has so many labels that what is told of it fits into no small message,
/// however it is packed; and the image.
async fn holding_a_large_image() -> (Stub, Digest) {
    let noise = |label: usize| -> String {
        let parts = (0..60).map(|part| Digest::of(format!("{label} {part}").as_bytes()).hex());
        parts.collect()
    };
    let labels: serde_json::Map<String, Value> = (0..200)
        .map(|label| (format!("l{label}"), noise(label).into()))
        .collect();
    let config = json!({"config": {"Labels": labels}}).to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": app::descriptor(OCI_CONFIG, config.as_bytes()),
    })
    .to_string();
    let digest = Digest::of(manifest.as_bytes());
    let name = digest.to_string();
    let stub = Stub::start(move |request: &Request| {
        if request.path.contains("/manifests/") {
            Reply::status(200)
                .header("Content-Type", OCI_MANIFEST)
                .header("Docker-Content-Digest", &name)
                .body(manifest.clone())
        } else {
            Reply::status(200).body(config.clone())
        }
    });
    (stub.await, digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_and_fits_into_no_message_is_rejected_and_the_delivery_settled() {
    let Some(nats) = Nats::start_with("max_payload: 65536") else {
        return;
    };
    let (registry, digest) = holding_a_large_image().await;
    let directory = tempfile::TempDir::new().unwrap();
    let config = config(&nats, &registry.host());
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let tag = json!({"timestamp": "2026-08-21T10:00:00.219+0000", "nodeId": "n", "initiator": "ann", "repositoryName": "r", "action": "CREATED",
        "component": {"id": "c", "format": "docker", "name": "team/web", "version": "1.0"}});
    assert_eq!(daemon.post("/v1/intake/nexus", tag.to_string()).await, 202);
    let reason = refused(&daemon).await;
    assert!(reason.contains("weir.manifest.resolved"), "{reason}");
    assert!(reason.contains("max_payload"), "{reason}");
    daemon
        .until("/v1/tags?repository=team/web", |tags| {
            tags[0]["digest"] == digest.to_string()
        })
        .await;
    daemon
        .until("/v1/status", |status| status["lookups"]["deliveries"] == 0)
        .await;
}

/// A report of about `bytes` bytes; in texts that nobody decides by, or in findings.
fn report(leaf: &str, bytes: usize, in_findings: bool) -> String {
    let finding = |number: usize, text: &str| json!({"VulnerabilityID": format!("CVE-2099-{number:04}"), "PkgName": "zlib", "InstalledVersion": "1", "Severity": "LOW", "Description": text});
    let found: Vec<Value> = match in_findings {
        true => (0..bytes / 100).map(|number| finding(number, "")).collect(),
        false => vec![finding(1, &"x".repeat(bytes))],
    };
    json!({
        "SchemaVersion": 2, "ArtifactName": "web", "ArtifactType": "container_image",
        "Metadata": {"RepoDigests": [format!("team/web@{leaf}")]},
        "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}],
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_too_large_for_the_stream_is_kept_by_its_digest_and_its_findings_are_sent() {
    let Some(nats) = Nats::start_with("max_payload: 65536") else {
        return;
    };
    let directory = tempfile::TempDir::new().unwrap();
    let config = config(&nats, "registry.invalid");
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let leaf = format!("sha256:{}", "ab".repeat(32));
    let large = report(&leaf, 300_000, false);
    assert_eq!(daemon.post("/v1/intake/trivy", large.clone()).await, 202);
    let found = daemon
        .until("/v1/events?type=weir.scan.completed", |found| {
            found["events"][0].is_object()
        })
        .await;
    let data = &found["events"][0]["event"]["data"];
    let digest = Digest::of(large.as_bytes());
    assert_eq!(data["digest"], leaf);
    assert_eq!(data["report_digest"], digest.to_string());
    assert_eq!(data["findings"][0]["id"], "CVE-2099-0001");
    let kept = directory
        .path()
        .join(format!("data/payloads/sha256-{}", digest.hex()));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), large);

    // Findings that do not fit as they are fit packed.
    let findings = report(&leaf, 300_000, true);
    assert_eq!(daemon.post("/v1/intake/trivy", findings).await, 202);
    let scans = "/v1/events?type=weir.scan.completed";
    let found = daemon
        .until(scans, |found| found["events"][1].is_object())
        .await;
    let all = found["events"][1]["event"]["data"]["findings"].as_array();
    assert!(all.is_some_and(|all| all.len() > 1000), "{all:?}");

    // Those that do not fit either are not cut short: nothing is decided by half of them.
    let findings = report(&leaf, 20_000_000, true);
    assert_eq!(daemon.post("/v1/intake/trivy", findings).await, 202);
    let reason = refused(&daemon).await;
    assert!(reason.contains("max_payload"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_too_large_for_the_streams_own_limit_is_kept_and_its_findings_are_sent() {
    let Some(nats) = Nats::start() else { return };
    let limited = async_nats::jetstream::stream::Config {
        name: "WEIR".into(),
        subjects: vec!["registry.>".into()],
        max_message_size: 30_000,
        ..Default::default()
    };
    let jetstream = nats.jetstream().await;
    jetstream.create_stream(limited).await.unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    let config = config(&nats, "registry.invalid");
    let daemon = Daemon::start(directory.path(), &config, "").await;
    let leaf = format!("sha256:{}", "ab".repeat(32));
    let large = report(&leaf, 100_000, true);
    assert_eq!(daemon.post("/v1/intake/trivy", large.clone()).await, 202);
    let scans = "/v1/events?type=weir.scan.completed";
    let found = daemon
        .until(scans, |found| found["events"][0].is_object())
        .await;
    let data = &found["events"][0]["event"]["data"];
    let digest = Digest::of(large.as_bytes()).to_string();
    assert_eq!(data["report_digest"], digest);

    // What fits in no way is recorded as rejected; of an operator's own event, its sender is told.
    let findings = report(&leaf, 20_000_000, true);
    assert_eq!(daemon.post("/v1/intake/trivy", findings).await, 202);
    let reason = refused(&daemon).await;
    assert!(
        reason.contains("30000 bytes: raise `max_msg_size` of stream `WEIR`"),
        "{reason}"
    );
    daemon
        .says("does not fit into a message of at most 30000")
        .await;
    assert!(
        !daemon.log().contains("what it means is sent"),
        "{}",
        daemon.log()
    );
    let random: Vec<Value> = (0..1000)
        .map(|number: u32| json!({"id": format!("CVE-2099-{number}"), "severity": "LOW", "package": Digest::of(&number.to_be_bytes())}))
        .collect();
    let event = json!({"specversion": "1.0", "id": "1", "source": "/test", "type": "weir.scan.completed",
        "data": {"digest": leaf, "scanner": {"name": "x"}, "findings": random}});
    let request = daemon.client().post(format!("{}/v1/events", daemon.url()));
    let request = request.header("content-type", "application/cloudevents+json");
    let answer = request.body(event.to_string()).send().await.unwrap();
    let status = answer.status();
    let told = answer.text().await.unwrap();
    assert_eq!(status, 413, "{told}");
    assert!(told.contains("max_msg_size"), "{told}");

    let ready = daemon.client().get(format!("{}/readyz", daemon.url()));
    assert_eq!(ready.send().await.unwrap().status(), 200);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_set_back_and_grew_while_weir_was_stopped_is_an_error_until_accepted() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let directory = tempfile::TempDir::new().unwrap();
    let config = config(&nats, "registry.invalid");
    let push = |number: usize| {
        json!({"specversion": "1.0", "id": number.to_string(), "source": "/test", "type": "weir.image.pushed",
            "data": {"repository": "dev/web", "tag": format!("{number}"), "digest": format!("sha256:{}", "ab".repeat(32)),
                "media_type": OCI_MANIFEST}})
    };
    let has = |name: &'static str| {
        move |tags: &Value| {
            let mut tags = tags.as_array().into_iter().flatten();
            tags.any(|tag| tag["tag"] == name)
        }
    };
    const TAGS: &str = "/v1/tags?repository=dev/web";
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon.say(&[push(1)]).await;
    daemon.until(TAGS, has("1")).await;
    daemon.stop();
    nats.kill();
    let (store, older) = (nats.store(), nats.store().with_file_name("older"));
    copy(&store, &older);
    nats.restart();
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon.say(&[push(2)]).await;
    daemon.until(TAGS, has("2")).await;
    let status = daemon.get("/v1/status").await;
    let read = status["stream"]["position"].as_u64().unwrap();
    daemon.stop();

    nats.kill();
    std::fs::remove_dir_all(&store).unwrap();
    copy(&older, &store);
    nats.restart();
    // Enough to pass what was read, whatever else was said there.
    let jetstream = nats.jetstream().await;
    let mut last = 0;
    for number in 100.. {
        let body = push(number).to_string().into();
        let sent = jetstream.publish("registry.events.weir.image.pushed", body);
        last = sent.await.unwrap().await.unwrap().sequence;
        if last > read {
            break;
        }
    }
    assert_eq!(last, read + 1);
    let mut daemon = Daemon::launch(directory.path(), &config, "", &[]);
    daemon
        .says(&format!(
            "has another message at {read} than was read there"
        ))
        .await;
    daemon.kill();
    let accept = format!("{config}accept_loss_through = {read}\n");
    let daemon = Daemon::start(directory.path(), &accept, "").await;
    daemon
        .until(TAGS, |tags| {
            tags.as_array().is_some_and(|tags| tags.len() == 3)
        })
        .await;
    daemon.stop();

    // By then the log is that of the stream again, and nothing has to be accepted.
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon.say(&[push(3)]).await;
    daemon.until(TAGS, has("3")).await;
}

/// Why the first input was refused.
async fn refused(daemon: &Daemon) -> String {
    let page = daemon
        .until("/v1/events?type=weir.input.rejected", |found| {
            found["events"][0].is_object()
        })
        .await;
    page["events"][0]["event"]["data"]["reason"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_record_can_hold_is_told_and_stops_nothing() {
    let directory = tempfile::TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    let findings: Vec<Value> = (0..110_000)
        .map(|number| json!({"id": format!("CVE-2099-{number}"), "severity": "LOW", "package": "p".repeat(100)}))
        .collect();
    let data = json!({"digest": format!("sha256:{}", "ab".repeat(32)), "scanner": {"name": "x"}, "findings": findings});
    let event = json!({"specversion": "1.0", "id": "1", "source": "/test", "type": "weir.scan.completed", "data": data}).to_string();
    assert!(event.len() > 16 << 20);
    assert_eq!(daemon.post("/v1/intake/cloudevents", event).await, 202);
    let reason = refused(&daemon).await;
    assert!(reason.contains("fit into a record of the log"), "{reason}");
}
