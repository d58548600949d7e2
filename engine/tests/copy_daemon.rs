//! Promotions as the daemon carries them out on real registries: one after the other to a tag, given up
//! and tried again by hand, through every stage and to another registry, killed in between.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy, Request},
    registry::{Registry, quiet},
};
use weir_engine::oci::{Client, RegistryConfig, fallback_tag};
use weir_schema::{Digest, Tag};

/// A rule that promotes every scanned thing of `class` that comes from `from` to `to`.
fn rule(name: &str, class: &str, from: &str, to: &str) -> String {
    format!("//! rule: {name}\n//! class: {class}\n//! from: {from}\n//! to: {to}\n\ntrue\n")
}

struct Site {
    directory: tempfile::TempDir,
    config: String,
}

impl Site {
    /// `registries` are tables; `more` is what the configuration says besides.
    fn new(rules: &[(&str, String)], default: &str, registries: &[String], more: &str) -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let folder = directory.path().join("rules");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in rules {
            std::fs::write(folder.join(format!("{name}.cel")), text).unwrap();
        }
        let tables: String = registries
            .iter()
            .map(|host| format!("[registries.\"{host}\"]\ninsecure = true\nmax_attempts = 1\n"))
            .collect();
        let config = format!(
            "rules = \"{}\"\ndefault_registry = \"{default}\"\n{tables}[reconcile]\nat_start = false\n{more}",
            folder.display()
        );
        Self { directory, config }
    }

    /// One rule, that promotes scanned images from `dev` to `staging` of a registry.
    fn of_images_to_staging(registry: &Registry) -> Self {
        let to_staging = rule("to-staging", "image", "dev/*", "staging/{1}");
        let (rules, host) = ([("to-staging", to_staging)], registry.host());
        Self::new(&rules, &host, std::slice::from_ref(&host), "")
    }

    async fn daemon(&self) -> Daemon {
        Daemon::start(self.directory.path(), &self.config, "").await
    }
}

fn client(host: &str) -> Client {
    let config = RegistryConfig {
        insecure: true,
        ..quiet()
    };
    Client::new(host, &config).unwrap()
}

/// Says that the tag was pushed.
async fn pushed(daemon: &Daemon, id: &str, repository: &str, digest: &Digest) {
    pushed_as(daemon, id, repository, "1.0", digest).await;
}

async fn pushed_as(daemon: &Daemon, id: &str, repository: &str, tag: &str, digest: &Digest) {
    let event = json!({"events": [{"id": id, "action": "push", "target": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "repository": repository, "tag": tag}}]});
    let path = "/v1/intake/distribution?source=dev";
    assert_eq!(daemon.post(path, event.to_string()).await, 202);
}

/// Says that the images were scanned, and that nothing was found.
async fn scanned(daemon: &Daemon, images: &[Digest]) {
    let events = images.iter().map(|digest| {
        json!({"specversion": "1.0", "id": format!("scan-{digest}"), "source": "/scanners/test", "type": "weir.scan.completed",
               "data": {"digest": digest, "scanner": {"name": "test"}, "findings": []}})
    });
    let events: Vec<Value> = events.collect();
    let request = daemon.client().post(format!("{}/v1/events", daemon.url()));
    let request = request.header("content-type", "application/cloudevents-batch+json");
    let answer = request
        .body(json!(events).to_string())
        .send()
        .await
        .unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
}

async fn tag(client: &Client, path: &str) -> Option<Digest> {
    let tag: Tag = "1.0".parse().unwrap();
    let head = client.head_manifest(path, &tag.into()).await.unwrap();
    head.map(|head| head.digest)
}

fn is_idle(promotions: &Value) -> bool {
    promotions.as_array().is_some_and(Vec::is_empty)
}

fn kinds(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().into_iter().flatten();
    let kinds = events.filter_map(|record| record["event"]["type"].as_str());
    kinds
        .filter_map(|kind| kind.strip_prefix("weir.promotion."))
        .map(str::to_owned)
        .collect()
}

async fn promotion_events(daemon: &Daemon) -> Value {
    daemon
        .get("/v1/events?limit=1000&where=event.type.startsWith(%22weir.promotion.%22)")
        .await
}

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

/// An image whose promotion is given up, and the promotions then.
async fn given_up(daemon: &Daemon, direct: &Client) -> (Digest, Value) {
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(direct, "team/web", Some("1.0")).await;
    scanned(daemon, std::slice::from_ref(&digest)).await;
    pushed(daemon, "1", "team/web", &digest).await;
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
    let remedy = format!("try again with `weir retry {id} --confirm`");
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

#[tokio::test(flavor = "multi_thread")]
async fn f36_an_application_goes_through_every_stage_and_on_to_another_registry_with_all_that_refers_to_it()
 {
    let (home, away) = (Registry::start(), Registry::start());
    // The daemon speaks with both through proxies, which count.
    let before = Proxy::before(home.address(), |_| Fault::None).await;
    let behind = Proxy::before(away.address(), |_| Fault::None).await;
    let rules = [
        ("1", rule("to-staging", "app", "dev/*", "staging/{1}")),
        (
            "2",
            rule("to-production", "app", "staging/*", "production/{1}"),
        ),
        (
            "3",
            rule(
                "to-site",
                "app",
                "production/*",
                &format!("{}/site/{{1}}", behind.host()),
            ),
        ),
    ];
    let hosts = [before.host(), behind.host()];
    let site = Site::new(&rules, &before.host(), &hosts, "");
    let (source, target) = (client(&home.host()), client(&away.host()));
    let application = app::application("shop", &["web", "db"], &[40_000]);
    let digest = application.push(&source, "dev/shop", Some("1.0")).await;
    // One referrer of each manifest, listed under its tag, and cosign's signature of the whole.
    let mut referrers = Vec::new();
    for (kind, bytes) in &application.manifests {
        let subject = json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let sbom = app::referrer(&subject, "application/spdx+json", &format!("{subject}"));
        sbom.push(&source, "dev/shop", None).await;
        let list = app::referrer_list(&[(&sbom, "application/spdx+json")]);
        let tag = fallback_tag(&Digest::of(bytes)).unwrap().to_string();
        list.push(&source, "dev/shop", Some(&tag)).await;
        referrers.push((Digest::of(bytes), sbom));
    }
    let signature = app::cosign_signature(&["signed"]);
    let signed = format!("{}.sig", fallback_tag(&digest).unwrap());
    signature.push(&source, "dev/shop", Some(&signed)).await;

    let mut daemon = site.daemon().await;
    let all = application.manifests.iter();
    let all: Vec<Digest> = all.map(|(_, bytes)| Digest::of(bytes)).collect();
    scanned(&daemon, &all).await;
    let event = json!({"events": [{"id": "1", "action": "push", "target": {
        "mediaType": application.manifests.last().unwrap().0, "digest": digest, "repository": "dev/shop", "tag": "1.0"}}]});
    let path = "/v1/intake/distribution?source=dev";
    assert_eq!(daemon.post(path, event.to_string()).await, 202);
    // Killed in the middle of whatever it does just then, it goes on where it was.
    daemon
        .until("/v1/tags?repository=staging/shop", |tags| {
            tags[0]["tag"] == "1.0"
        })
        .await;
    daemon.kill();
    drop(daemon);
    let daemon = site.daemon().await;
    let last = format!("/v1/tags?repository={}/site/shop", behind.host());
    daemon.until(&last, |tags| tags[0]["tag"] == "1.0").await;
    daemon.until("/v1/promotions", is_idle).await;

    for (client, path) in [
        (&source, "staging/shop"),
        (&source, "production/shop"),
        (&target, "site/shop"),
    ] {
        assert_eq!(tag(client, path).await, Some(digest.clone()), "{path}");
        for (_, bytes) in &application.manifests {
            let there = client.get_manifest(path, &Digest::of(bytes).into()).await;
            assert_eq!(there.unwrap().bytes, bytes, "{path}");
        }
        // F36: what refers to each child is the same set at every stage.
        for (subject, sbom) in &referrers {
            let before = source.referrers("dev/shop", subject).await.unwrap();
            let after = client.referrers(path, subject).await.unwrap();
            assert_eq!(before.descriptors, after.descriptors, "{path} {subject}");
            let there = client.get_manifest(path, &sbom.digest().into()).await;
            assert!(there.is_ok(), "{path} {subject}");
        }
        let signed: Tag = signed.parse().unwrap();
        let there = client.head_manifest(path, &signed.into()).await.unwrap();
        assert_eq!(there.unwrap().digest, signature.digest(), "{path}");
    }
    // Within a registry nothing was uploaded; between two, each blob once.
    let uploads = |proxy: &Proxy, path: &str| {
        let seen = proxy.seen();
        let of = seen.iter().filter(|request| {
            request.method == "PUT"
                && request.path.contains(path)
                && request.path.contains("/blobs/uploads/")
        });
        of.count()
    };
    assert_eq!(uploads(&before, "staging/"), 0);
    assert_eq!(uploads(&before, "production/"), 0);
    let blobs = distinct(&application.blobs)
        + distinct(&signature.blobs)
        + referrers
            .iter()
            .map(|(_, sbom)| distinct(&sbom.blobs))
            .sum::<usize>();
    let moved = uploads(&behind, "site/");
    assert!(moved <= blobs, "{moved} uploads of {blobs} blobs");
}

fn distinct(blobs: &[Vec<u8>]) -> usize {
    let digests = blobs.iter().map(|blob| Digest::of(blob));
    digests.collect::<std::collections::BTreeSet<_>>().len()
}
