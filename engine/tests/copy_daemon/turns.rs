//! Promotions to one tag, one after the other.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::site::{Site, client, is_idle, kinds, promotion_events, pushed, rule, scanned, tag};
use crate::support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy, Request},
    registry::Registry,
};
use serde_json::Value;
use weir_engine::oci::Client;

/// A registry that is restored, or whose parts do not agree yet: the log knows better for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_tag_that_is_not_there_for_a_moment_is_waited_for() {
    let registry = Registry::start();
    let site = Site::of_images_to_staging(&registry);
    let daemon = site.daemon().await;
    let direct = client(&registry.host());
    let image = app::image("web", "amd64", &[]);
    // All but the tag is there.
    let digest = image.push(&direct, "dev/web", None).await;
    scanned(&daemon, std::slice::from_ref(&digest)).await;
    pushed(&daemon, "1", "dev/web", &digest).await;
    daemon.says("`dev/web:1.0` is not there").await;
    assert_eq!(tag(&direct, "staging/web").await, None);
    // A freeze comes too late for what is decided, and says so.
    let hold = ["hold", "freeze", "--reason", "audit", "--actor", "olga"];
    let told = daemon.weir(&hold).stderr;
    let told = String::from_utf8_lossy(&told);
    let late = "was decided before and goes on: dev/web:1.0 -> staging/web:1.0";
    assert!(told.contains(late), "{told}");
    image.push(&direct, "dev/web", Some("1.0")).await;
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&direct, "staging/web").await, Some(digest));
    let told = kinds(&promotion_events(&daemon).await);
    assert_eq!(
        told.last().map(String::as_str),
        Some("completed"),
        "{told:?}"
    );
    assert!(!told.iter().any(|kind| kind == "failed"), "{told:?}");
}

/// zot sends each event on its own, so that a later push may be told of before an earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_behind_for_a_moment_supersedes_nothing() {
    let registry = Registry::start();
    let asked = AtomicUsize::new(0);
    let before: &str = app::image("before", "amd64", &[])
        .digest()
        .to_string()
        .leak();
    let behind: &str = format!("200 OK\r\nDocker-Content-Digest: {before}\r\nContent-Type: application/vnd.oci.image.manifest.v1+json").leak();
    let proxy = Proxy::before(registry.address(), move |request| {
        let looks = request.method == "HEAD" && request.path.ends_with("/team/web/manifests/1.0");
        match looks && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            true => Fault::Answer(behind),
            false => Fault::None,
        }
    })
    .await;
    let rules = [("ship", rule("ship", "image", "team/*", "production/{1}"))];
    let site = Site::new(&rules, &proxy.host(), &[proxy.host()], "");
    let direct = client(&registry.host());
    let daemon = site.daemon().await;
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&direct, "team/web", Some("1.0")).await;
    scanned(&daemon, std::slice::from_ref(&digest)).await;
    pushed(&daemon, "1", "team/web", &digest).await;
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&direct, "production/web").await, Some(digest));
    let events = promotion_events(&daemon).await;
    assert_eq!(kinds(&events), ["started", "started", "completed"]);
    let why = events["events"][1]["event"]["data"]["error"].as_str();
    assert!(why.is_some_and(|why| why.contains(before)), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_the_registry_has_at_another_build_is_judged_for_that_build() {
    let registry = Registry::start();
    let site = Site::of_images_to_staging(&registry);
    let daemon = site.daemon().await;
    let direct = client(&registry.host());
    let (first, second) = (
        app::image("web", "amd64", &[]),
        app::image("web", "arm64", &[]),
    );
    let first = first.push(&direct, "dev/web", Some("1.0")).await;
    let second = second.push(&direct, "dev/web", Some("1.0")).await;
    pushed(&daemon, "2", "dev/web", &second).await;
    pushed(&daemon, "1", "dev/web", &first).await;
    scanned(&daemon, &[first, second.clone()]).await;

    let is_there = |promotions: &Value| {
        let outcomes = promotions["events"].as_array().into_iter().flatten();
        let of_second = |record: &Value| {
            let event = &record["event"];
            event["type"] == "weir.promotion.completed"
                && event["data"]["source"]["digest"] == second.to_string()
        };
        outcomes.into_iter().any(of_second)
    };
    let outcomes = "/v1/events?limit=1000&where=event.type.startsWith(%22weir.promotion.%22)";
    daemon.until(outcomes, is_there).await;
    assert_eq!(tag(&direct, "staging/web").await, Some(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_to_a_registry_without_a_table_waits_says_so_and_goes_on_once_there_is_one() {
    let (near, far) = (Registry::start(), Registry::start());
    let to = format!("{}/site/{{1}}", far.host());
    let rules = [("ship", rule("ship", "image", "team/*", &to))];
    let site = Site::new(&rules, &near.host(), &[near.host()], "");
    let mut daemon = site.daemon().await;
    let image = app::image("web", "amd64", &[]);
    let digest = image
        .push(&client(&near.host()), "team/web", Some("1.0"))
        .await;
    scanned(&daemon, std::slice::from_ref(&digest)).await;
    pushed(&daemon, "1", "team/web", &digest).await;

    let host = far.host();
    let lacking = format!(
        "no registry is configured for `{host}`: add a table [registries.\"{host}\"], or set `default_registry`"
    );
    let waits = |all: &Value| all[0]["waits_for"] == *lacking;
    daemon.until("/v1/promotions", waits).await;
    let why = "/v1/why?repository=team/web&tag=1.0";
    daemon.until(why, |why| waits(&why[0]["promotions"])).await;
    for asked in [&["promotions"][..], &["why", "team/web:1.0"]] {
        let told = daemon.weir(asked).stdout;
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(&lacking), "{told}");
    }
    daemon.says(&lacking).await;
    assert_eq!(daemon.log().matches(&lacking).count(), 1);

    daemon.kill();
    drop(daemon);
    let config = format!("{}[registries.\"{host}\"]\ninsecure = true\n", site.config);
    let daemon = Daemon::start(site.directory.path(), &config, "").await;
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&client(&host), "site/web").await, Some(digest));
}

/// Two builds of an image that were scanned, the first of which was pushed and is to be shipped.
struct Builds {
    site: Site,
    /// The registry without the proxy.
    direct: Client,
    daemon: Daemon,
    second: app::Content,
}

async fn first_of_two_builds(registry: &Registry, proxy: &Proxy) -> Builds {
    let rules = [("ship", rule("ship", "image", "team/*", "production/{1}"))];
    let site = Site::new(&rules, &proxy.host(), &[proxy.host()], "");
    let direct = client(&registry.host());
    let daemon = site.daemon().await;
    let (first, second) = (app::image("a", "amd64", &[]), app::image("b", "amd64", &[]));
    scanned(&daemon, &[first.digest(), second.digest()]).await;
    let first = first.push(&direct, "team/web", Some("1.0")).await;
    pushed(&daemon, "1", "team/web", &first).await;
    Builds {
        site,
        direct,
        daemon,
        second,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_in_a_row_arrive_one_after_the_other_and_the_later_one_stays() {
    let registry = Registry::start();
    // The first copy is held up until the second is decided.
    let (held, seen) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let hold = {
        let (held, seen) = (Arc::clone(&held), Arc::clone(&seen));
        move |request: &Request| {
            let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
            if writes && request.path.contains("/production/") && held.load(Ordering::SeqCst) {
                seen.fetch_add(1, Ordering::SeqCst);
                return Fault::Slow(std::time::Duration::from_secs(3));
            }
            Fault::None
        }
    };
    let proxy = Proxy::before(registry.address(), hold).await;
    let Builds {
        site: _site,
        direct,
        daemon,
        second,
    } = first_of_two_builds(&registry, &proxy).await;
    daemon
        .until("/v1/promotions", |all| all[0]["progress"] == "started")
        .await;
    let second = second.push(&direct, "team/web", Some("1.0")).await;
    pushed(&daemon, "2", "team/web", &second).await;
    daemon
        .until("/v1/promotions", |all| {
            all.as_array().is_some_and(|all| all.len() == 2)
        })
        .await;
    held.store(false, Ordering::SeqCst);
    daemon.until("/v1/promotions", is_idle).await;
    assert!(
        seen.load(Ordering::SeqCst) > 0,
        "the first copy was held up"
    );
    assert_eq!(tag(&direct, "production/web").await, Some(second));
    let events = kinds(&promotion_events(&daemon).await);
    assert_eq!(events, ["started", "completed", "started", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_failed_ends_without_alarm_when_a_newer_one_has_arrived() {
    let registry = Registry::start();
    let broken = Arc::new(AtomicBool::new(true));
    let fail_once = {
        let broken = Arc::clone(&broken);
        move |request: &Request| {
            let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
            let is_hit = writes && request.path.contains("/production/");
            match is_hit && broken.swap(false, Ordering::SeqCst) {
                true => Fault::Answer("500 Internal Server Error"),
                false => Fault::None,
            }
        }
    };
    let proxy = Proxy::before(registry.address(), fail_once).await;
    let Builds {
        site: _site,
        direct,
        daemon,
        second,
    } = first_of_two_builds(&registry, &proxy).await;
    while broken.load(Ordering::SeqCst) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let second = second.push(&direct, "team/web", Some("1.0")).await;
    pushed(&daemon, "2", "team/web", &second).await;
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&direct, "production/web").await, Some(second));
    let events = promotion_events(&daemon).await;
    assert_eq!(
        kinds(&events),
        ["started", "started", "completed", "failed"]
    );
    assert_eq!(events["events"][3]["event"]["data"]["error"], "superseded");
}
