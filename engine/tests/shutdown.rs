//! The end of a daemon that is told to stop while it has much to do: soon, and nothing is lost.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy},
    registry::{Options, Registry},
};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use weir_engine::{
    log::{Log, LogOptions},
    oci::{Client, Reference},
};

/// How long an end may take on a loaded machine; on an idle one it takes a moment.
const SOON: Duration = Duration::from_secs(30);

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\ntrue\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_under_load_has_all_that_it_accepted() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    let stopped = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Semaphore::new(0));
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (client, url) = (daemon.client().clone(), daemon.url().to_owned());
            let (stopped, answered) = (Arc::clone(&stopped), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for number in 0.. {
                    let id = format!("{sender}-{number}");
                    let event = json!({"specversion": "1.0", "id": id, "source": "/load", "type": "weir.repository.created", "data": {"repository": format!("team/app-{id}")}});
                    let request = client
                        .post(format!("{url}/v1/events"))
                        .header("content-type", "application/cloudevents+json")
                        .body(event.to_string());
                    match request.send().await {
                        Ok(answer) if answer.status().is_success() => {
                            let answer: Value = answer.json().await.unwrap_or_default();
                            accepted.push((id, answer["sequence"].as_u64()));
                            answered.add_permits(1);
                        }
                        // The end has come: refused, or cut off.
                        _ => {
                            assert!(stopped.load(Ordering::SeqCst), "it serves until it is stopped");
                            return accepted;
                        }
                    }
                }
                accepted
            })
        })
        .collect();
    answered.acquire_many(100).await.unwrap().forget();
    let data = daemon.data();
    stopped.store(true, Ordering::SeqCst);
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let log = Log::open(&data, LogOptions::default()).unwrap();
    let mut count = 0;
    for sender in senders {
        for (id, sequence) in sender.await.unwrap() {
            // An answer whose body was cut off says nothing.
            let Some(sequence) = sequence else { continue };
            let record = log.reader().get(sequence).unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} at {sequence} is gone"));
            let record: Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(record["event"]["id"], id);
            count += 1;
        }
    }
    assert!(count > 90, "{count} events accepted");
}

#[test]
fn a_daemon_that_still_waits_for_nats_ends_when_it_is_told_to() {
    let directory = TempDir::new().unwrap();
    // Nobody listens at that port.
    let config = "[stream]\nurls = [\"nats://127.0.0.1:1\"]\nconnect_wait_seconds = 3600\n";
    let daemon = Daemon::launch(directory.path(), config, "", &[]);
    let began = Instant::now();
    while !daemon.log().contains("no NATS server answers") {
        assert!(began.elapsed() < SOON, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_way_does_not_delay_the_end_and_is_completed_after_the_next_start() {
    weir_engine::oci::install_crypto_provider();
    let registry = Registry::start_with(&Options {
        in_memory: true,
        ..Options::default()
    });
    let client = Client::new(&registry.host(), &registry.config()).unwrap();
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&client, "team/web", Some("1.0")).await;
    let hangs = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::before(registry.address(), {
        let hangs = Arc::clone(&hangs);
        move |request| match request.method == "PUT" && hangs.load(Ordering::SeqCst) {
            true => Fault::Slow(Duration::from_secs(3600)),
            false => Fault::None,
        }
    })
    .await;
    let directory = TempDir::new().unwrap();
    std::fs::create_dir(directory.path().join("rules")).unwrap();
    std::fs::write(directory.path().join("rules/to-production.cel"), RULE).unwrap();
    let config = format!(
        "rules = \"{}\"\ndefault_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\n",
        directory.path().join("rules").display(),
        host = proxy.host(),
    );
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon
        .until("/v1/promotions", |all| all[0]["progress"] == "started")
        .await;
    let began = Instant::now();
    while proxy.writes() == 0 {
        assert!(began.elapsed() < SOON, "the copy begins");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    hangs.store(false, Ordering::SeqCst);
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon
        .until("/v1/tags?repository=production/web", |tags| {
            tags[0]["digest"] == digest.to_string()
        })
        .await;
    let tag = Reference::Tag("1.0".parse().unwrap());
    let head = client.head_manifest("production/web", &tag).await.unwrap();
    assert_eq!(head.map(|head| head.digest), Some(digest));
    let started = daemon.get("/v1/events?type=weir.promotion.started").await;
    assert_eq!(started["events"].as_array().map(Vec::len), Some(1));
}
