//! Several real nodes on one stream: one of them acts, another takes over when it dies, is stopped
//! for long, or gives up, and all of them come to the same log.

mod lookups;
#[path = "../support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod rules;
mod site;
mod sources;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, process::Command, time::Duration};

use serde_json::{Value, json};
use site::{
    PATIENCE, Site, TARGET, TARGET_TAG, count, equal_logs, follows, leads, puts, stores_slowly,
    wait_for,
};
use support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Request},
};
use weir_engine::stream::{Escort, Publisher};
use weir_schema::Received;

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_within_a_copy_another_node_completes_it() {
    let Some(site) = Site::new().await else {
        return;
    };
    // The first node's copy hangs when it stores what it copied.
    let way_of_first = site.way(stores_slowly(Duration::from_secs(3600))).await;
    let way_of_second = site.way(|_| Fault::None).await;
    let mut first = site.node("first", &way_of_first, 3, true).await;
    leads(&first).await;
    let second = site.node("second", &way_of_second, 3, true).await;
    follows(&second, "first").await;
    second.say(&[site.pushed()]).await;
    wait_for("the first node copies", async || {
        puts(&way_of_first, TARGET) > 0
    })
    .await;
    assert_eq!(way_of_second.writes(), 0, "one node acts");
    assert!(!site.promoted().await);

    first.kill();
    wait_for("the second node completes the copy", async || {
        site.promoted().await
    })
    .await;
    let done = |tags: &Value| tags[0]["tag"] == "1.0";
    second
        .until("/v1/tags?repository=production/web", done)
        .await;
    let first = site.node("first", &way_of_second, 3, true).await;
    follows(&first, "second").await;
    let records = equal_logs(&site, vec![first, second]).await;
    for kind in ["started", "completed"] {
        assert_eq!(count(&records, &format!("weir.promotion.{kind}")), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_looks_up_what_was_pushed_by_digest_before() {
    let Some(site) = Site::new().await else {
        return;
    };
    let away = |_: &Request| Fault::Answer("HTTP/1.1 503 Service Unavailable");
    let way_of_first = site.way(away).await;
    let way_of_second = site.way(|_| Fault::None).await;
    let mut first = site.node("first", &way_of_first, 3, true).await;
    leads(&first).await;
    let second = site.node("second", &way_of_second, 3, true).await;
    follows(&second, "first").await;
    let subject = site.image.descriptor(&json!({}));
    let signature = app::referrer(&subject, "text/signature", "signed");
    let digest = signature.push(&site.client, "team/web", None).await;
    let (media_type, _) = signature.manifests.last().unwrap();
    let pushed = json!({
        "specversion": "1.0", "id": "signed", "source": "/test", "type": "weir.image.pushed",
        "data": {"repository": "team/web", "digest": digest, "media_type": media_type, "artifact_type": "text/signature"},
    });
    second.say(&[site.pushed(), pushed]).await;
    let waiting = |status: &Value| status["lookups"]["manifests"] == 2;
    first.until("/v1/status", waiting).await;
    first.kill();
    let resolved = |page: &Value| {
        let facts = page["events"].as_array().into_iter().flatten();
        let mut subjects = facts.map(|event| &event["event"]["data"]["subject"]);
        subjects.any(|subject| *subject == site.image.digest().to_string())
    };
    let path = "/v1/events?type=weir.manifest.resolved";
    second.until(path, resolved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_no_longer_leads_shows_no_look_ups() {
    let Some(site) = Site::new().await else {
        return;
    };
    let away = |_: &Request| Fault::Answer("HTTP/1.1 503 Service Unavailable");
    let way = site.way(away).await;
    let first = site.node("first", &way, 3, true).await;
    leads(&first).await;
    first.say(&[site.pushed()]).await;
    let waiting = |count: u64| move |status: &Value| status["lookups"]["manifests"] == count;
    first.until("/v1/status", waiting(1)).await;
    first.signal("STOP");
    let second = site.node("second", &way, 3, true).await;
    leads(&second).await;
    first.signal("CONT");
    follows(&first, "second").await;
    first.until("/v1/status", waiting(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_for_long_does_not_act_when_it_wakes() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way_of_first = site.way(stores_slowly(Duration::from_secs(2))).await;
    let way_of_second = site.way(|_| Fault::None).await;
    let first = site.node("first", &way_of_first, 3, true).await;
    let term_of_first = leads(&first).await["lease"]["term"].clone();
    let second = site.node("second", &way_of_second, 3, true).await;
    second.say(&[site.pushed()]).await;
    wait_for("the first node copies", async || {
        puts(&way_of_first, TARGET) > 0
    })
    .await;
    first.signal("STOP");
    leads(&second).await;
    wait_for("the second node completes the copy", async || {
        site.promoted().await
    })
    .await;
    first.signal("CONT");
    follows(&first, "second").await;
    assert_eq!(
        puts(&way_of_first, TARGET_TAG),
        0,
        "only the leader moves the tag"
    );

    // What the first node may still have had on its way is dropped by everybody.
    let publisher = Publisher::new(&site.stream().await);
    let late = json!({"specversion": "1.0", "id": "late", "source": "/weir", "type": "weir.clock.ticked", "data": {}});
    let late = Received::from_json(late.to_string().as_bytes()).unwrap();
    let escort = Escort {
        term: term_of_first.as_str().unwrap().parse().ok(),
        ..Escort::default()
    };
    publisher.publish_escorted(&late, &escort).await.unwrap();
    let anybodys = json!({"specversion": "1.0", "id": "anybody", "source": "/test", "type": "weir.clock.ticked", "data": {}});
    second.say(&[anybodys]).await;
    let records = equal_logs(&site, vec![first, second]).await;
    let ids = |id: &str| {
        let id = format!("\"id\":\"{id}\"");
        let all = records.iter();
        all.filter(|record| String::from_utf8_lossy(record).contains(&id))
            .count()
    };
    assert_eq!((ids("late"), ids("anybody")), (0, 1));
    assert_eq!(count(&records, "weir.promotion.completed"), 1);
    assert_eq!(count(&records, "weir.promotion.failed"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_is_another_says_so_and_does_not_lead() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = site.way(|_| Fault::None).await;
    let mut first = site.node("first", &way, 3, true).await;
    leads(&first).await;
    let second = site.node("second", &way, 3, true).await;
    follows(&second, "first").await;
    second.stop();

    // Started without its stream by mistake it does not run; on purpose it does.
    let directory = site.directory.path().join("second");
    let forgotten = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.join("data"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&forgotten.stderr);
    assert_eq!(forgotten.status.code(), Some(2), "{told}");
    assert!(
        told.contains("was read from the stream `WEIR`") && told.contains("--config"),
        "{told}"
    );
    let alone = Daemon::start(&directory, "without_stream = true\n", "").await;
    let waived = json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": "weir.override.granted",
        "data": {"override_id": "o", "vulnerability": "CVE-1", "reason": "a mistake", "actor": "ann", "status": "not_affected"},
    });
    alone.say(&[waived]).await;
    alone.stop();

    let second = site.node("second", &way, 3, true).await;
    // The next record is not the same.
    first.say(&[site.pushed()]).await;
    let differs = |status: &Value| {
        status["lease"]["standing"] == "differs" && status["lease"]["holder"] == "first"
    };
    let status = second.until("/v1/status", differs).await;
    let problem = status["lease"]["problem"].as_str().unwrap();
    assert!(problem.contains("that of `first`"), "{problem}");
    let ask = async |node: &Daemon, path: &str| {
        let answer = node.client().get(format!("{}{path}", node.url())).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (ready, told) = ask(&second, "/readyz").await;
    assert_eq!(ready, 503);
    assert!(told.contains("the logs are no longer one"), "{told}");
    let (_, metrics) = ask(&second, "/metrics").await;
    assert!(metrics.contains("\nweir_log_differs 1\n"), "{metrics}");
    assert_eq!(ask(&first, "/readyz").await.0, 200);

    // Not when nobody leads either, and not after a restart.
    first.kill();
    second.stop();
    let second = site.node("second", &way, 3, true).await;
    let nobody = |status: &Value| {
        status["lease"]["standing"] == "differs" && status["lease"]["holder"].is_null()
    };
    second.until("/v1/status", nobody).await;
    second.stop();

    // A copy of the other's log is the remedy.
    fs::remove_dir_all(directory.join("data")).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(first.data())
        .arg(directory.join("data"))
        .status();
    assert!(copied.unwrap().success());
    let second = site.node("second", &way, 3, true).await;
    leads(&second).await;
    assert_eq!(ask(&second, "/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_copies_nothing_stands_in_and_gives_way() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way_of_replica = site.way(|_| Fault::None).await;
    let replica = site.node("replica", &way_of_replica, 60, false).await;
    leads(&replica).await;
    let listener = async_nats::connect(site.nats.url()).await.unwrap();
    let mut outputs = listener.subscribe("weir.events.>").await.unwrap();
    listener.flush().await.unwrap();
    replica.say(&[site.pushed()]).await;
    // It publishes what was decided, and leaves it at that.
    let open = |status: &Value| status["promotions"]["open"] == 1;
    replica.until("/v1/status", open).await;
    use futures_util::StreamExt as _;
    let first = tokio::time::timeout(PATIENCE, outputs.next()).await;
    let subject = first.unwrap().unwrap().subject.to_string();
    assert_eq!(subject, "weir.events.weir.decision.made");

    let way_of_node = site.way(|_| Fault::None).await;
    let node = site.node("node", &way_of_node, 60, true).await;
    leads(&node).await;
    wait_for("the other node copies", async || site.promoted().await).await;
    follows(&replica, "node").await;
    assert_eq!(
        way_of_replica.writes(),
        0,
        "`promotions.execute = false` means never"
    );
    equal_logs(&site, vec![replica, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_given_up_at_a_stop_and_taken_up_again_after_a_crash() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = site.way(|_| Fault::None).await;
    // Nobody could wait for such a lease to expire.
    let mut first = site.node("first", &way, 3600, true).await;
    leads(&first).await;
    let second = site.node("second", &way, 3600, true).await;
    follows(&second, "first").await;
    first.kill();
    drop(first);
    let first = site.node("first", &way, 3600, true).await;
    leads(&first).await;
    follows(&second, "first").await;
    first.stop();
    leads(&second).await;
    second.stop();
}

/// The names of the stream's consumers.
async fn consumers(site: &Site) -> Vec<String> {
    use futures_util::TryStreamExt as _;
    let stream = site.nats.jetstream().await.get_stream("WEIR").await;
    stream
        .unwrap()
        .consumer_names()
        .try_collect()
        .await
        .unwrap()
}

/// Takes the room of a consumer that is not `kept` for one of its own, however fast a node makes it anew.
async fn take_room(site: &Site, kept: &str) {
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let config = json!({"durable_name": "other", "ack_policy": "none"});
    let create = json!({"stream_name": "WEIR", "config": config}).to_string();
    loop {
        for name in consumers(site).await.iter().filter(|name| *name != kept) {
            let delete = format!("$JS.API.CONSUMER.DELETE.WEIR.{name}");
            client.publish(delete, "".into()).await.unwrap();
        }
        let subject = "$JS.API.CONSUMER.DURABLE.CREATE.WEIR.other";
        let answer = client.request(subject, create.clone().into()).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
        if answer["error"].is_null() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_read_gives_way_to_a_node_that_can() {
    let Some(site) = Site::new().await else {
        return;
    };
    let jetstream = site.nats.jetstream().await;
    let limited = async_nats::jetstream::stream::Config {
        name: "WEIR".into(),
        subjects: vec!["registry.intake.>".into(), "registry.events.>".into()],
        max_consumers: 2,
        ..Default::default()
    };
    let limited = jetstream.create_stream(limited).await.unwrap();
    let way = site.way(|_| Fault::None).await;
    let first = site.node("first", &way, 3, true).await;
    leads(&first).await;
    let of_first = consumers(&site).await;
    let second = site.node("second", &way, 3, true).await;
    follows(&second, "first").await;
    let all = consumers(&site).await;
    let of_second = all.iter().find(|name| !of_first.contains(name));
    take_room(&site, of_second.unwrap()).await;

    leads(&second).await;
    let refused = "maximum consumers limit reached";
    let tells = |status: &Value| {
        let unread = status["stream"]["unread"].as_str();
        unread.is_some_and(|unread| unread.contains(refused))
    };
    let status = first.until("/v1/status", tells).await;
    assert_eq!(status["lease"]["standing"], "unknown", "{status:#}");
    let readiness = async || {
        let answer = first.client().get(format!("{}/readyz", first.url()));
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (code, told) = readiness().await;
    assert_eq!(code, 503, "{told}");
    assert!(
        told.contains("is not read since") && told.contains(refused),
        "{told}"
    );

    limited.delete_consumer("other").await.unwrap();
    follows(&first, "second").await;
    assert_eq!(readiness().await.0, 200);
    equal_logs(&site, vec![first, second]).await;
}
