//! How the node that leads is configured to read deliveries, for all nodes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use weir_engine::stream::{Escort, Publisher};
use weir_schema::Received;

use crate::{
    site::{Site, equal_logs, follows, leads},
    support::{daemon::Daemon, proxy::Fault},
};

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_sources_that_are_more_than_a_log_keeps_end_no_node() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = site.way(|_| Fault::None).await;
    let node = site.node("first", &way, 3, true).await;
    let term = leads(&node).await["lease"]["term"].clone();
    let tick = |id: &str| json!({"specversion": "1.0", "id": id, "source": "/test", "type": "weir.clock.ticked", "data": {}});
    let source = |number: u32| format!("\"{number:05}\":{{}}");
    let sources: Vec<String> = (0..4000).map(source).collect();
    let escort = Escort {
        term: term.as_str().unwrap().parse().ok(),
        reads: Some(format!("{{\"sources\":{{{}}}}}", sources.join(","))),
        ..Escort::default()
    };
    let first = Received::from_json(tick("first").to_string().as_bytes()).unwrap();
    let publisher = Publisher::new(&site.stream().await);
    publisher.publish_escorted(&first, &escort).await.unwrap();
    node.says("and left out: all nodes read on as before").await;
    node.say(&[tick("second")]).await;
    let ids = |page: &Value| {
        let events = page["events"].as_array().into_iter().flatten();
        let ids = events.map(|event| event["event"]["id"].clone());
        ids.collect::<Vec<_>>()
    };
    let page = node
        .until("/v1/events?type=weir.clock.ticked", |page| {
            ids(page).contains(&json!("second"))
        })
        .await;
    assert!(ids(&page).contains(&json!("first")), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_read_deliveries_as_the_one_that_leads_is_configured() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way = site.way(|_| Fault::None).await;
    let reading = async |name: &str, registry: &str| {
        let config = site.config("rules", name, &way, 3, true);
        let sources = format!("[sources.edge.settings]\nregistry = \"{registry}\"\n");
        site.start(name, &format!("{config}{sources}")).await
    };
    let pushed = |tag: &str| {
        let (media_type, _) = site.image.manifests.last().unwrap();
        json!({"events": [{"id": tag, "action": "push", "target": {
            "mediaType": media_type, "digest": site.image.digest(), "repository": "apps/web", "tag": tag,
        }}]})
        .to_string()
    };
    let deliver = async |to: &Daemon, tag: &str| {
        let path = "/v1/intake/distribution?source=edge";
        assert_eq!(to.post(path, pushed(tag)).await, 202);
    };
    let read_as = async |by: &Daemon, repository: &str, tag: &str| {
        let path = format!("/v1/events?type=image.pushed&tag={tag}");
        let is_there = |page: &Value| page["events"][0]["event"]["data"]["tag"] == tag;
        let page = by.until(&path, is_there).await;
        let read = &page["events"][0]["event"]["data"]["repository"];
        assert_eq!(read, repository, "{page}");
    };
    let mut first = reading("first", "one.example:5000").await;
    leads(&first).await;
    // What it read is kept, also where its own configuration said the same.
    let second = reading("second", "one.example:5000").await;
    let position = |status: &Value| status["stream"]["position"].as_u64() > Some(0);
    second.until("/v1/status", position).await;
    second.stop();
    let second = reading("second", "two.example:5000").await;
    follows(&second, "first").await;
    second.says("are not what is in force").await;
    deliver(&second, "1").await;
    for node in [&first, &second] {
        read_as(node, "one.example:5000/apps/web", "1").await;
    }
    // From where another leads, as that is configured; also by one that only now begins, or begins again.
    first.kill();
    leads(&second).await;
    deliver(&second, "2").await;
    let third = reading("third", "three.example:5000").await;
    let first = reading("first", "one.example:5000").await;
    deliver(&third, "3").await;
    for node in [&first, &second, &third] {
        read_as(node, "one.example:5000/apps/web", "1").await;
        read_as(node, "two.example:5000/apps/web", "2").await;
        read_as(node, "two.example:5000/apps/web", "3").await;
    }
    equal_logs(&site, vec![first, second, third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_registry_is_read_as_it_was_at_its_place_in_the_stream() {
    let Some(site) = Site::new().await else {
        return;
    };
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let way = site
        .way(move |_| match away.load(Ordering::Relaxed) {
            true => Fault::Answer("HTTP/1.1 503 Service Unavailable"),
            false => Fault::None,
        })
        .await;
    let reading = async |name: &str, registry: &str| {
        let config = site.config("rules", name, &way, 3, true);
        let settings = format!("[sources.hub.settings]\nregistry = \"{registry}\"\n");
        site.start(name, &format!("{config}{settings}")).await
    };
    // Docker Hub tells of a tag and of no digest.
    let pushed = json!({
        "push_data": {"tag": "1.0", "pushed_at": 1_700_000_000, "pusher": "ann"},
        "repository": {"repo_name": "team/web", "name": "web", "namespace": "team"},
    });
    let mut first = reading("first", way.host().as_str()).await;
    leads(&first).await;
    let follower = reading("follower", "elsewhere.example").await;
    follows(&follower, "first").await;
    let path = "/v1/intake/dockerhub?source=hub";
    assert_eq!(first.post(path, pushed.to_string()).await, 202);
    let open = |status: &Value| status["lookups"]["deliveries"] == 1;
    for node in [&first, &follower] {
        node.until("/v1/status", open).await;
    }
    first.kill();
    leads(&follower).await;
    let kept = |status: &Value| status["stream"]["position"].as_u64() > Some(2);
    follower.until("/v1/status", kept).await;
    follower.stop();
    is_away.store(false, Ordering::Relaxed);
    // It has said how it reads; what it said is kept beside what was in force before.
    let again = reading("follower", "elsewhere.example").await;
    let read = |page: &Value| page["events"].as_array().is_some_and(|all| !all.is_empty());
    let page = again.until("/v1/events?type=image.pushed", read).await;
    let data = &page["events"][0]["event"]["data"];
    assert_eq!(data["digest"], site.image.digest().to_string());
    assert!(
        !data["repository"].as_str().unwrap().contains("elsewhere"),
        "{page}"
    );
    let settled = |status: &Value| status["lookups"]["deliveries"] == 0;
    again.until("/v1/status", settled).await;
}
