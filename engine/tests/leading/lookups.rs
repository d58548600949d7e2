//! Deliveries that wait for a registry, and whose place in the stream is gone or another's.

use serde_json::{Value, json};
use weir_engine::stream::Publisher;
use weir_schema::Received;

use crate::{
    site::{Site, count, equal_logs, follows, leads},
    support::{
        daemon::Daemon,
        proxy::{Fault, Proxy},
    },
};

const REJECTED: &str = "/v1/events?type=weir.input.rejected";

/// A way to a registry that is away.
async fn away(site: &Site) -> Proxy {
    site.way(|_| Fault::Answer("HTTP/1.1 503 Service Unavailable"))
        .await
}

/// What a node is configured to that reads `hub` as that registry's.
fn config(site: &Site, name: &str, way: &Proxy) -> String {
    let config = site.config("rules", name, way, 3, true);
    let host = way.host();
    format!("{config}[sources.hub.settings]\nregistry = \"{host}\"\n")
}

/// Delivers what Docker Hub says, a tag and no digest, and waits until it waits.
async fn deliver(to: &Daemon) {
    let pushed = json!({
        "push_data": {"tag": "1.0", "pushed_at": 1_700_000_000, "pusher": "ann"},
        "repository": {"repo_name": "team/web", "name": "web", "namespace": "team"},
    });
    let path = "/v1/intake/dockerhub?source=hub";
    assert_eq!(to.post(path, pushed.to_string()).await, 202);
    let open = |status: &Value| status["lookups"]["deliveries"] == 1;
    to.until("/v1/status", open).await;
}

/// Waits until nothing is open; the reasons of what was rejected by then.
async fn rejected(by: &Daemon) -> Vec<String> {
    let settled = |status: &Value| status["lookups"]["deliveries"] == 0;
    by.until("/v1/status", settled).await;
    let page = by.get(REJECTED).await;
    let events = page["events"].as_array().into_iter().flatten();
    let reasons = events.map(|event| {
        event["event"]["data"]["reason"]
            .as_str()
            .unwrap_or_default()
    });
    reasons.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_is_gone_from_the_stream_is_rejected_on_the_record() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = away(&site).await;
    let mut first = site.start("first", &config(&site, "first", &way)).await;
    leads(&first).await;
    let second = site.start("second", &config(&site, "second", &way)).await;
    follows(&second, "first").await;
    deliver(&first).await;
    let open = |status: &Value| status["lookups"]["deliveries"] == 1;
    second.until("/v1/status", open).await;
    let stream = site.nats.jetstream().await.get_stream("WEIR").await;
    stream.unwrap().purge().await.unwrap();
    first.kill();
    leads(&second).await;
    let reasons = rejected(&second).await;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].contains("no longer holds it") && reasons[0].contains("send it again"),
        "{reasons:?}"
    );
    let first = site.start("first", &config(&site, "first", &way)).await;
    follows(&first, "second").await;
    assert_eq!(rejected(&first).await, reasons);
    equal_logs(&site, vec![first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_message_at_the_place_of_what_waits_is_not_taken_for_it() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = away(&site).await;
    let node = site.start("first", &config(&site, "first", &way)).await;
    leads(&node).await;
    deliver(&node).await;
    let last = site.stream().await.last_sequence().await.unwrap();
    node.stop();
    let jetstream = site.nats.jetstream().await;
    jetstream.delete_stream("WEIR").await.unwrap();
    let stream = site.stream().await;
    let publisher = Publisher::new(&stream);
    for number in 0..last + 5 {
        let tick = json!({"specversion": "1.0", "id": format!("{number}"), "source": "/test", "type": "weir.clock.ticked", "data": {}});
        let tick = Received::from_json(tick.to_string().as_bytes()).unwrap();
        publisher.publish_event(&tick).await.unwrap();
    }
    let config = config(&site, "first", &way);
    let accepted = format!(
        "[stream]\naccept_stream_created = \"{}\"\n",
        stream.created()
    );
    let node = site
        .start("first", &config.replace("[stream]\n", &accepted))
        .await;
    leads(&node).await;
    let reasons = rejected(&node).await;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].contains("made anew") && reasons[0].contains("send it again"),
        "{reasons:?}"
    );
    let records = equal_logs(&site, vec![node]).await;
    assert_eq!(count(&records, "weir.input.rejected"), 1);
}
