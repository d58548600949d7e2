//! Promotions that are given up, and tried again by hand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::site::{
    Site, client, is_idle, kinds, promotion_events, pushed, pushed_as, rule, scanned, tag,
};
use crate::support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy, Request},
    registry::Registry,
};
use serde_json::{Value, json};
use weir_engine::oci::Client;
use weir_schema::{Digest, Tag};

/// A site whose registry refuses what is put into production for as long as `broken` says so.
struct Refusing {
    site: Site,
    direct: Client,
    daemon: Daemon,
    broken: Arc<AtomicBool>,
    _registries: (Registry, Proxy),
}

async fn refusing(rule: String, attempts: u32) -> Refusing {
    let registry = Registry::start();
    let broken = Arc::new(AtomicBool::new(true));
    let refuse = {
        let broken = Arc::clone(&broken);
        move |request: &Request| match request.path.contains("/production/") {
            true if broken.load(Ordering::SeqCst) => Fault::Answer("503 Service Unavailable"),
            _ => Fault::None,
        }
    };
    let proxy = Proxy::before(registry.address(), refuse).await;
    let more = format!("[promotions]\nattempts = {attempts}\n");
    let site = Site::new(&[("ship", rule)], &proxy.host(), &[proxy.host()], &more);
    let (direct, daemon) = (client(&registry.host()), site.daemon().await);
    Refusing {
        site,
        direct,
        daemon,
        broken,
        _registries: (registry, proxy),
    }
}

fn retry(daemon: &Daemon, id: &str) {
    let done = daemon.weir(&["retry", id, "--actor", "ann", "--confirm"]);
    let talk = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{talk}");
}

/// An image that is to be promoted.
async fn decided(daemon: &Daemon, direct: &Client) -> Digest {
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(direct, "team/web", Some("1.0")).await;
    scanned(daemon, std::slice::from_ref(&digest)).await;
    pushed(daemon, "1", "team/web", &digest).await;
    digest
}

/// An image whose promotion is given up, and the promotions then.
async fn given_up(daemon: &Daemon, direct: &Client) -> (Digest, Value) {
    let digest = decided(daemon, direct).await;
    let all = daemon
        .until("/v1/promotions", |all| all[0]["progress"] == "failed")
        .await;
    (digest, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_to_a_tag_that_is_another_than_was_known_is_given_up_and_not_forgotten() {
    let registry = Registry::start();
    let rules = [("ship", rule("ship", "image", "team/*", "production/{1}"))];
    let site = Site::new(&rules, &registry.host(), &[registry.host()], "");
    let direct = client(&registry.host());
    let daemon = site.daemon().await;
    // Somebody pushed there of whom nobody told.
    let other = app::image("other", "amd64", &[]);
    let other = other.push(&direct, "production/web", Some("1.0")).await;
    let (_, all) = given_up(&daemon, &direct).await;
    let why = all[0]["error"].as_str().unwrap();
    assert!(
        why.contains(&other.to_string()) && why.contains("it is left as it is"),
        "{why}"
    );
    assert_eq!(tag(&direct, "production/web").await, Some(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_with_an_image_that_nobody_scans_is_given_up_at_once_and_shown() {
    let registry = Registry::start();
    let rules = [("ship", rule("ship", "index", "team/*", "production/{1}"))];
    let site = Site::new(&rules, &registry.host(), &[registry.host()], "");
    let direct = client(&registry.host());
    let daemon = site.daemon().await;
    let hidden = app::image("hidden", "amd64", &[]);
    let said = json!({
        "platform": {"os": "linux", "architecture": "amd64"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    });
    let index = app::multi_arch_with("web", &[(&hidden, said)]);
    let digest = index.push(&direct, "team/web", Some("1.0")).await;
    let images = ["amd64", "arm64"].map(|one| app::image("web", one, &[]).digest());
    scanned(&daemon, &images).await;
    pushed(&daemon, "1", "team/web", &digest).await;
    let all = daemon
        .until("/v1/promotions", |all| all[0]["progress"] == "failed")
        .await;
    assert_eq!(all[0]["attempts"], 1);
    let why = all[0]["error"].as_str().unwrap();
    assert!(why.contains(&hidden.digest().to_string()), "{why}");
    assert_eq!(tag(&direct, "production/web").await, None);
    let shown = daemon.weir(&["show", "team/web:1.0"]);
    let page = String::from_utf8_lossy(&shown.stdout);
    assert!(page.contains("not scanned: attestation"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_was_given_up_is_shown_and_goes_through_when_retried_by_hand() {
    let ship = rule("ship", "image", "team/*", "production/{1}");
    let Refusing {
        site,
        direct,
        mut daemon,
        broken,
        _registries,
    } = refusing(ship, 2).await;
    let (digest, all) = given_up(&daemon, &direct).await;
    assert_eq!(all[0]["attempts"], 2);
    let id = all[0]["promotion_id"].as_str().unwrap().to_owned();
    assert!(
        all[0]["error"].as_str().unwrap().contains("answered 503"),
        "{all}"
    );
    let digits = &digest.hex()[..8];
    for (asked, found) in [
        ("repository=team/*&tag=1.0", true),
        ("repository=production/web&tag=1.0", true),
        ("repository=team/other", false),
        ("repository=team/other&repository=team/web", true),
        ("tag=1.0&rule=ship", true),
        ("tag=2.0", false),
        ("tag=1.0&rule=other", false),
        (&format!("digest={digest}"), true),
        (&format!("digest={digits}"), true),
        (&format!("digest=sha512:{digits}"), false),
    ] {
        let listed = daemon.get(&format!("/v1/promotions?{asked}")).await;
        assert_eq!(listed[0]["promotion_id"] == *id, found, "{asked}: {listed}");
    }
    let shown = daemon.weir(&["promotions"]);
    let (table, talk) = (
        String::from_utf8_lossy(&shown.stdout).into_owned(),
        String::from_utf8_lossy(&shown.stderr).into_owned(),
    );
    assert!(table.contains(&id) && table.contains("failed"), "{table}");
    assert!(talk.contains("weir retry"), "{talk}");
    let why = daemon.weir(&["why", "team/web:1.0", "--exit-code"]);
    let page = String::from_utf8_lossy(&why.stdout);
    assert_eq!(why.status.code(), Some(1), "{page}");
    let told = format!("{id} was given up: ");
    let remedy = format!("once that is mended, `weir retry {id} --confirm` tries again");
    assert!(
        page.contains(&told) && page.contains("answered 503") && page.contains(&remedy),
        "{page}"
    );

    // It survives a restart, and nothing is done about it unasked.
    daemon.kill();
    drop(daemon);
    let daemon = site.daemon().await;
    let unknown = daemon.weir(&["retry", "p999", "--actor", "ann", "--confirm"]);
    assert_eq!(unknown.status.code(), Some(2));
    let only_shown = daemon.weir(&["retry", &id, "--actor", "ann"]);
    assert_eq!(only_shown.status.code(), Some(0));
    let again = |daemon: &Daemon| {
        let done = daemon.weir(&[
            "retry",
            &id,
            "--actor",
            "ann",
            "--reason",
            "it is back",
            "--confirm",
        ]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    // While the registry is still broken it is given up once more, after as many tries.
    again(&daemon);
    daemon
        .until("/v1/promotions", |all| {
            all[0]["progress"] == "failed" && all[0]["attempts"] == 4
        })
        .await;
    broken.store(false, Ordering::SeqCst);
    again(&daemon);
    daemon.until("/v1/promotions", is_idle).await;
    assert_eq!(tag(&direct, "production/web").await, Some(digest));
    let page = promotion_events(&daemon).await;
    assert_eq!(
        kinds(&page),
        [
            "started",
            "started",
            "failed",
            "retried",
            "started",
            "started",
            "failed",
            "retried",
            "started",
            "completed"
        ]
    );
    let second = &page["events"][1]["event"]["data"];
    assert_eq!(second["attempts"], 2);
    assert!(
        second["error"].as_str().unwrap().contains("503"),
        "why it is tried again"
    );
    let finished = daemon.weir(&["retry", &id, "--actor", "ann", "--confirm"]);
    assert_eq!(
        finished.status.code(),
        Some(2),
        "what is done is not retried"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_is_told_of_with_its_next_try_by_whoever_asks_why() {
    let ship = rule("ship", "image", "team/*", "production/{1}");
    let Refusing {
        site: _site,
        direct,
        daemon,
        broken: _broken,
        _registries,
    } = refusing(ship, 20).await;
    decided(&daemon, &direct).await;
    let why = daemon
        .until("/v1/why?repository=team/web&tag=1.0", |all| {
            all[0]["promotions"][0]["copy"]["retry_at"].is_string()
        })
        .await;
    let copy = &why[0]["promotions"][0]["copy"];
    let error = copy["error"].as_str().unwrap();
    assert!(error.contains("answered 503"), "{why}");
    let shown = daemon.weir(&["why", "team/web:1.0"]);
    let page = String::from_utf8_lossy(&shown.stdout);
    assert!(
        page.contains("could not be copied and is tried again: ")
            && page.contains("answered 503")
            && page.contains("again at 20"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_given_up_ends_when_it_is_retried_after_a_later_one_has_arrived() {
    let to_latest = "//! rule: ship\n//! class: image\n//! from: team/*\n//! to: production/{1}\n//! tag: latest\n\ntrue\n";
    let Refusing {
        site: _site,
        direct,
        daemon,
        broken,
        _registries,
    } = refusing(to_latest.to_owned(), 1).await;
    let (_, all) = given_up(&daemon, &direct).await;
    let id = all[0]["promotion_id"].as_str().unwrap();
    broken.store(false, Ordering::SeqCst);
    // The source tag of the first stays where it was.
    let second = app::image("b", "amd64", &[]);
    let second = second.push(&direct, "team/web", Some("2.0")).await;
    scanned(&daemon, std::slice::from_ref(&second)).await;
    pushed_as(&daemon, "2", "team/web", "2.0", &second).await;
    daemon
        .until("/v1/promotions", |all| {
            all.as_array().is_some_and(|all| all.len() == 1)
        })
        .await;

    retry(&daemon, id);
    daemon.until("/v1/promotions", is_idle).await;
    let events = promotion_events(&daemon).await;
    assert_eq!(
        kinds(&events),
        [
            "started",
            "failed",
            "started",
            "completed",
            "retried",
            "failed"
        ]
    );
    let last = &events["events"][5]["event"]["data"];
    assert_eq!(last["error"], "superseded");
    assert_eq!(
        last["attempts"], 2,
        "a try of its own, though it copied nothing"
    );
    let latest: Tag = "latest".parse().unwrap();
    let there = direct.head_manifest("production/web", &latest.into()).await;
    assert_eq!(there.unwrap().unwrap().digest, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_retried_by_hand_has_all_its_tries_again_wherever_it_was_given_up() {
    let ship = rule("ship", "image", "team/*", "production/{1}");
    let Refusing {
        site: _site,
        direct,
        daemon,
        broken,
        _registries,
    } = refusing(ship, 2).await;
    // What somebody else put there is not replaced: that no further try would change.
    broken.store(false, Ordering::SeqCst);
    let other = app::image("other", "amd64", &[]);
    other.push(&direct, "production/web", Some("1.0")).await;
    let (_, all) = given_up(&daemon, &direct).await;
    assert_eq!(all[0]["attempts"], 1);
    broken.store(true, Ordering::SeqCst);
    retry(&daemon, all[0]["promotion_id"].as_str().unwrap());
    let all = daemon
        .until("/v1/promotions", |all| {
            all[0]["progress"] == "failed" && all[0]["attempts"] != 1
        })
        .await;
    assert_eq!(all[0]["attempts"], 3);
}
