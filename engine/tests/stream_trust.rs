//! Who may publish where in the stream, and what that lets them say: a NATS server gives its
//! permissions by subject, so nothing else may widen them.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use async_nats::HeaderMap;
use nats::Nats;
use serde_json::{Value, json};
use support::daemon::Daemon;
use tempfile::TempDir;

/// A node on a stream, and somebody who publishes there.
struct Site {
    daemon: Daemon,
    client: async_nats::Client,
    nats: Nats,
    directory: TempDir,
}

impl Site {
    async fn new() -> Option<Self> {
        let nats = Nats::start()?;
        let directory = TempDir::new().unwrap();
        let daemon = Daemon::start(directory.path(), &config(&nats), "").await;
        let client = async_nats::connect(nats.url()).await.unwrap();
        Some(Self {
            daemon,
            client,
            nats,
            directory,
        })
    }

    async fn publish(&self, subject: &str, headers: &[(&str, &str)], body: &str) {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        let context = async_nats::jetstream::new(self.client.clone());
        let body = body.to_owned().into();
        let sent = context
            .publish_with_headers(subject.to_owned(), all, body)
            .await;
        sent.unwrap().await.unwrap();
    }

    /// What became of the last of so many messages: type and reason.
    async fn last(&self, count: usize) -> (String, String) {
        let has = |page: &Value| inputs(page).len() >= count;
        let page = self.daemon.until("/v1/events?limit=1000", has).await;
        let inputs = inputs(&page);
        let event = &inputs.last().unwrap()["event"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["data"]["reason"]))
    }
}

fn config(nats: &Nats) -> String {
    format!(
        "[stream]\nurls = [{:?}]\n[stream.lease]\nttl_seconds = 3\n",
        nats.url()
    )
}

/// The records of what others said.
fn inputs(page: &Value) -> Vec<Value> {
    let all = page["events"].as_array().into_iter().flatten();
    let said = all.filter(|record| record["event"]["type"] != "weir.clock.ticked");
    said.cloned().collect()
}

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn event(kind: &str, data: Value) -> String {
    json!({"specversion": "1.0", "id": kind, "source": "/test", "type": kind, "data": data})
        .to_string()
}

fn granted() -> String {
    event(
        "weir.override.granted",
        json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "somebody"}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_for_a_source_says_no_more_than_a_source_may() {
    let Some(site) = Site::new().await else {
        return;
    };
    // The header asks for another adapter than the subject gives.
    let as_events = [("Weir-Adapter", "cloudevents")];
    site.publish("registry.intake.trivy.scanner", &as_events, &granted())
        .await;
    let (kind, reason) = site.last(1).await;
    assert_eq!(kind, "weir.input.rejected");
    assert!(!reason.contains("operators"), "read as Trivy's: {reason}");
    // Events that operators say, where the adapter reads them.
    for (count, adapter) in [(2, "cloudevents"), (3, "auto")] {
        let subject = format!("registry.intake.{adapter}.source-{count}");
        site.publish(&subject, &[], &granted()).await;
        let (kind, reason) = site.last(count).await;
        assert_eq!(kind, "weir.input.rejected");
        assert!(reason.contains("is for operators to say"), "{reason}");
    }
    // What a source may say it says, and an operator all.
    let scan = json!({"digest": digest(), "scanner": {"name": "trivy"}, "findings": []});
    let scan = event("weir.scan.completed", scan);
    site.publish("registry.intake.cloudevents.source", &[], &scan)
        .await;
    assert_eq!(site.last(4).await.0, "weir.scan.completed");
    site.publish("registry.intake.operator.ops", &[], &granted())
        .await;
    assert_eq!(site.last(5).await.0, "weir.override.granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_delivery_by_http_keeps_its_word_on_the_stream() {
    let Some(site) = Site::new().await else {
        return;
    };
    assert_eq!(
        site.daemon.post("/v1/intake/cloudevents", granted()).await,
        202
    );
    assert_eq!(site.last(1).await.0, "weir.override.granted");
    let vex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": "CVE-2"}, "status": "not_affected", "justification": "vulnerable_code_not_present", "products": [{"@id": format!("pkg:oci/web@{}", digest().replace(':', "%3A"))}]}]});
    assert_eq!(site.daemon.post("/v1/intake", vex.to_string()).await, 202);
    assert_eq!(site.last(2).await.0, "weir.override.granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_on_a_subject_of_a_source_does_not_end_the_leader() {
    let Some(site) = Site::new().await else {
        return;
    };
    let last = "18446744073709551615-18446744073709551615";
    site.publish(
        "registry.intake.trivy.scanner",
        &[("Weir-Term", last)],
        "{}",
    )
    .await;
    assert_eq!(site.last(1).await.0, "weir.input.rejected");
    let metrics = site
        .daemon
        .client()
        .get(format!("{}/metrics", site.daemon.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for line in [
        "weir_inputs_rejected 1",
        "weir_promotions_oldest_open_seconds 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // It leads again after a restart: no newer term than its own is known.
    let Site {
        daemon,
        nats,
        directory,
        ..
    } = site;
    daemon.stop();
    let config = config(&nats);
    let daemon = Daemon::start(directory.path(), &config, "").await;
    daemon.says("this node leads").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_over_nats_in_binary_mode_too() {
    let Some(site) = Site::new().await else {
        return;
    };
    let headers = [
        ("ce-specversion", "1.0"),
        ("Ce-Id", "1"),
        ("ce-source", "/scanner%20one"),
        ("CE-Type", "weir.scan.completed"),
        ("content-type", "application/json"),
    ];
    let data =
        json!({"digest": digest(), "scanner": {"name": "trivy"}, "findings": []}).to_string();
    site.publish("registry.events.weir.scan.completed", &headers, &data)
        .await;
    assert_eq!(site.last(1).await.0, "weir.scan.completed");
    let mut headers = headers;
    headers[1] = ("ce-id", "2");
    site.publish("registry.intake.cloudevents.scanner", &headers, &data)
        .await;
    assert_eq!(site.last(2).await.0, "weir.scan.completed");
    let page = site.daemon.get("/v1/events?limit=1000").await;
    assert_eq!(inputs(&page)[0]["event"]["source"], "/scanner one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_promotion_is_not_taken_from_a_delivery() {
    let Some(site) = Site::new().await else {
        return;
    };
    let outcome = json!({"promotion_id": "p-1", "rule": "r", "source": {"repository": "a", "tag": "1", "digest": digest()}, "target": {"repository": "b", "tag": "1"}});
    let outcome = event("weir.promotion.completed", outcome);
    assert_eq!(
        site.daemon.post("/v1/intake/cloudevents", outcome).await,
        202
    );
    let (kind, reason) = site.last(1).await;
    assert_eq!(kind, "weir.input.rejected");
    assert!(reason.contains("is for Weir to say"), "{reason}");
}
