//! Several real nodes on one stream: one of them acts, another takes over when it dies, is stopped
//! for long, or gives up, and all of them come to the same log.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nats::Nats;
use serde_json::{Value, json};
use support::{
    app::{self, Content},
    daemon::Daemon,
    proxy::{Fault, Proxy, Request},
    registry::{Options, Registry},
};
use tempfile::TempDir;
use weir_engine::{
    log::{Log, LogOptions},
    oci::{Client, Reference},
    stream::{Escort, Publisher, Stream},
};
use weir_schema::Received;

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\ntrue\n";

/// How long something may take on a loaded machine before the test says that it never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream and a registry with an image in it, which nodes are to promote.
struct Site {
    nats: Nats,
    registry: Registry,
    client: Client,
    image: Content,
    directory: TempDir,
}

impl Site {
    async fn new() -> Option<Self> {
        let nats = Nats::start()?;
        weir_engine::oci::install_crypto_provider();
        let registry = Registry::start_with(&Options {
            in_memory: true,
            ..Options::default()
        });
        let client = Client::new(&registry.host(), &registry.config()).unwrap();
        let image = app::image("web", "amd64", &[2000]);
        image.push(&client, "team/web", Some("1.0")).await;
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("rules")).unwrap();
        fs::write(directory.path().join("rules/to-production.cel"), RULE).unwrap();
        Some(Self {
            nats,
            registry,
            client,
            image,
            directory,
        })
    }

    /// The way of a node to the registry, on which requests are seen and can be broken.
    async fn way(&self, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Proxy {
        Proxy::before(self.registry.address(), decide).await
    }

    /// Starts a node, or starts it again.
    async fn node(&self, name: &str, way: &Proxy, ttl_seconds: u64, execute: bool) -> Daemon {
        self.node_with("rules", name, way, ttl_seconds, execute)
            .await
    }

    /// The same with rules of its own.
    async fn node_with(
        &self,
        rules: &str,
        name: &str,
        way: &Proxy,
        ttl_seconds: u64,
        execute: bool,
    ) -> Daemon {
        let config = self.config(rules, name, way, ttl_seconds, execute);
        self.start(name, &config).await
    }

    async fn start(&self, name: &str, config: &str) -> Daemon {
        let directory = self.directory.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        Daemon::start(&directory, config, "").await
    }

    fn config(
        &self,
        rules: &str,
        name: &str,
        way: &Proxy,
        ttl_seconds: u64,
        execute: bool,
    ) -> String {
        format!(
            "node = \"{name}\"\nrules = \"{}\"\ndefault_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\n[promotions]\nexecute = {execute}\n[reconcile]\nat_start = false\n[stream]\nurls = [\"{}\"]\n[stream.lease]\nttl_seconds = {ttl_seconds}\n",
            self.directory.path().join(rules).display(),
            self.nats.url(),
            host = way.host(),
        )
    }

    /// The registry's word that the image was pushed.
    fn pushed(&self) -> Value {
        let (media_type, _) = self.image.manifests.last().unwrap();
        json!({
            "specversion": "1.0", "id": "push-1", "source": "/test", "type": "weir.image.pushed",
            "data": {"repository": "team/web", "tag": "1.0", "digest": self.image.digest(), "media_type": media_type},
        })
    }

    async fn promoted(&self) -> bool {
        let tag = Reference::Tag("1.0".parse().unwrap());
        let head = self.client.head_manifest("production/web", &tag).await;
        head.unwrap()
            .is_some_and(|head| head.digest == self.image.digest())
    }

    async fn stream(&self) -> Stream {
        Stream::open(&self.nats.config()).await.unwrap()
    }
}

async fn leads(daemon: &Daemon) -> Value {
    let leads = |status: &Value| status["lease"]["standing"] == "leads";
    daemon.until("/v1/status", leads).await
}

async fn follows(daemon: &Daemon, holder: &str) -> Value {
    let follows = |status: &Value| {
        status["lease"]["standing"] == "follows" && status["lease"]["holder"] == holder
    };
    daemon.until("/v1/status", follows).await
}

/// Both have read the whole stream; then their logs are equal, bit for bit.
async fn equal_logs(site: &Site, nodes: Vec<Daemon>) -> Vec<Vec<u8>> {
    let last = site.stream().await.last_sequence().await.unwrap();
    for node in &nodes {
        let through = |status: &Value| status["stream"]["position"].as_u64() >= Some(last);
        node.until("/v1/status", through).await;
    }
    let directories: Vec<_> = nodes.iter().map(Daemon::data).collect();
    // Their ends are not in the stream: whoever leads on after the other stops says nothing more.
    nodes.into_iter().for_each(Daemon::stop);
    let logs = directories.iter().map(|data| {
        let options = LogOptions {
            read_only: true,
            ..LogOptions::default()
        };
        let log = Log::open(data, options).unwrap();
        let records = log.reader().range(1, None).map(|row| row.unwrap().1);
        records.collect::<Vec<_>>()
    });
    let logs: Vec<Vec<Vec<u8>>> = logs.collect();
    let common = logs.iter().map(Vec::len).min().unwrap();
    for log in &logs[1..] {
        assert_eq!(log[..common], logs[0][..common]);
    }
    logs.into_iter().next().unwrap_or_default()
}

/// How many records there are of a kind.
fn count(records: &[Vec<u8>], kind: &str) -> usize {
    let kind = format!("\"type\":\"{kind}\"");
    let all = records.iter();
    all.filter(|record| String::from_utf8_lossy(record).contains(&kind))
        .count()
}

fn puts(way: &Proxy, path: &str) -> usize {
    let seen = way.seen();
    let all = seen.iter();
    all.filter(|request| request.method == "PUT" && request.path.starts_with(path))
        .count()
}

async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const TARGET: &str = "/v2/production/web/manifests/";
const TARGET_TAG: &str = "/v2/production/web/manifests/1.0";

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_within_a_copy_another_node_completes_it() {
    let Some(site) = Site::new().await else {
        return;
    };
    // The first node's copy hangs when it stores what it copied.
    let way_of_first = site
        .way(
            |request| match request.method == "PUT" && request.path.starts_with(TARGET) {
                true => Fault::Slow(Duration::from_secs(3600)),
                false => Fault::None,
            },
        )
        .await;
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
async fn who_takes_over_puts_no_rules_in_force_that_are_older_than_those_that_are() {
    let Some(site) = Site::new().await else {
        return;
    };
    let strict = site.directory.path().join("strict");
    fs::create_dir(&strict).unwrap();
    fs::write(strict.join("to-production.cel"), RULE).unwrap();
    fs::write(strict.join("stop.cel"), "//! kind: deny\n\ntrue\n").unwrap();
    let way = site.way(|_| Fault::None).await;
    let mut first = site.node_with("strict", "first", &way, 3, true).await;
    leads(&first).await;
    let two = |rules: &Value| rules["rules"].as_array().is_some_and(|all| all.len() == 2);
    first.until("/v1/rules", two).await;
    // Its files were written before these rules were put in force: they were left behind.
    let second = site.node("second", &way, 3, true).await;
    follows(&second, "first").await;
    first.kill();
    leads(&second).await;
    second.says("`first` put other rules in force at").await;
    second.say(&[site.pushed()]).await;
    let denied = |page: &Value| {
        let last = page["events"].as_array().and_then(|all| all.last());
        last.is_some_and(|last| last["event"]["data"]["verdict"] == "block")
    };
    second.until("/v1/decisions", denied).await;
    assert!(!site.promoted().await);
    let rules = second.get("/v1/rules").await;
    assert!(two(&rules), "{rules}");
    let why = rules["refused"].as_str().unwrap();
    assert!(why.contains("SIGHUP"), "{why}");
    let metrics = second.client().get(format!("{}/metrics", second.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nweir_rules_refused 1\n"), "{metrics}");
    // Who means them says so.
    second.signal("HUP");
    wait_for("the rules are put in force", async || site.promoted().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_alone_puts_back_its_own_rules_and_no_others() {
    let Some(site) = Site::new().await else {
        return;
    };
    let strict = site.directory.path().join("strict");
    fs::create_dir(&strict).unwrap();
    fs::write(strict.join("to-production.cel"), RULE).unwrap();
    fs::write(strict.join("stop.cel"), "//! kind: deny\n\ntrue\n").unwrap();
    let way = site.way(|_| Fault::None).await;
    let rules =
        |count: usize| move |rules: &Value| rules["rules"].as_array().map(Vec::len) == Some(count);
    let first = site.node_with("strict", "first", &way, 3, true).await;
    leads(&first).await;
    first.until("/v1/rules", rules(2)).await;
    first.stop();

    // Nobody leads when it starts, and its files were left behind.
    let second = site.node("second", &way, 3, true).await;
    second.says("`first` put other rules in force at").await;
    second.until("/v1/rules", rules(2)).await;
    second.stop();

    // The same files where the strict ones were put in force: these are taken back.
    let first = site.node("first", &way, 3, true).await;
    first.until("/v1/rules", rules(1)).await;
    first.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_for_long_does_not_act_when_it_wakes() {
    let Some(site) = Site::new().await else {
        return;
    };
    let way_of_first = site
        .way(
            |request| match request.method == "PUT" && request.path.starts_with(TARGET) {
                true => Fault::Slow(Duration::from_secs(2)),
                false => Fault::None,
            },
        )
        .await;
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
