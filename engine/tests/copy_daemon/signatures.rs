//! Signatures that the log knows of go along, or nothing does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::site::{Site, client, is_idle, pushed, pushed_as, rule, scanned, tag};
use crate::support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy, Request},
    registry::Registry,
};
use serde_json::Value;
use weir_engine::oci::{Client, Reference};
use weir_schema::Digest;

/// An index with an image that was signed, as the log has it.
struct Signed {
    digest: Digest,
    /// The tag of its signature.
    tag: String,
}

impl Signed {
    /// Pushes the index, and says that it and its signature were pushed.
    async fn say(daemon: &Daemon, direct: &Client, signature: &Digest) -> Self {
        let index = app::multi_arch("web", &[]);
        let digest = index.push(direct, "team/web", Some("1.0")).await;
        let images = ["amd64", "arm64"].map(|one| app::image("web", one, &[]).digest());
        let tag = format!("sha256-{}.sig", images[1].hex());
        scanned(daemon, &images).await;
        pushed_as(daemon, "1", "team/web", &tag, signature).await;
        pushed(daemon, "2", "team/web", &digest).await;
        Self { digest, tag }
    }
}

fn site(host: &str) -> Site {
    let ship = rule("ship", "index", "team/*", "production/{1}");
    Site::new(&[("ship", ship)], host, &[host.to_owned()], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_pushed_and_is_not_there_is_waited_for() {
    let registry = Registry::start();
    // As an ingress answers that does not reach the registry.
    let behind = Arc::new(AtomicBool::new(true));
    let lose = {
        let behind = Arc::clone(&behind);
        move |request: &Request| match request.path.ends_with(".sig") {
            true if behind.load(Ordering::SeqCst) => Fault::Answer("404 Not Found"),
            _ => Fault::None,
        }
    };
    let proxy = Proxy::before(registry.address(), lose).await;
    let site = site(&proxy.host());
    let (direct, daemon) = (client(&registry.host()), site.daemon().await);
    let signature = app::cosign_signature(&["signed"]);
    let signed = Signed::say(&daemon, &direct, &signature.digest()).await;
    signature.push(&direct, "team/web", Some(&signed.tag)).await;

    let waits = |all: &Value| {
        let why = all[0]["copy"]["error"].as_str();
        why.is_some_and(|why| why.contains(&signed.tag))
    };
    daemon.until("/v1/promotions", waits).await;
    assert_eq!(tag(&direct, "production/web").await, None);

    behind.store(false, Ordering::SeqCst);
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&direct, "production/web").await, Some(signed.digest));
    let there = Reference::Tag(signed.tag.parse().unwrap());
    let there = direct.head_manifest("production/web", &there).await;
    let there = there.unwrap().map(|head| head.digest);
    assert_eq!(there, Some(signature.digest()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_deleted_without_a_word_stops_nothing_once_that_is_known() {
    let registry = Registry::start();
    let site = site(&registry.host());
    let (direct, daemon) = (client(&registry.host()), site.daemon().await);
    let gone = app::cosign_signature(&["gone"]).digest();
    let signed = Signed::say(&daemon, &direct, &gone).await;
    let some = |page: &Value| page["events"].as_array().is_some_and(|all| !all.is_empty());
    let done = "/v1/events?type=promotion.completed";
    daemon.until(done, some).await;
    assert_eq!(tag(&direct, "production/web").await, Some(signed.digest));
    let deleted = format!("/v1/events?type=tag.deleted&tag={}", signed.tag);
    assert!(some(&daemon.get(&deleted).await));
}
