//! A stream and a registry, and nodes that lead, follow and promote there.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::{
    log::{Log, LogOptions},
    oci::{Client, Reference},
    stream::Stream,
};

use crate::{
    nats::Nats,
    support::{
        app::{self, Content},
        daemon::Daemon,
        proxy::{Fault, Proxy, Request},
        registry::{Options, Registry},
    },
};

pub const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\ntrue\n";

/// How long something may take on a loaded machine before the test says that it never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A stream and a registry with an image in it, which nodes are to promote.
pub struct Site {
    pub nats: Nats,
    pub registry: Registry,
    pub client: Client,
    pub image: Content,
    pub directory: TempDir,
}

impl Site {
    pub async fn new() -> Option<Self> {
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

    /// Writes rules that deny what the others promote, for a node of its own.
    pub fn write_rules_that_deny(&self, name: &str) {
        let directory = self.directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("to-production.cel"), RULE).unwrap();
        fs::write(directory.join("stop.cel"), "//! kind: deny\n\ntrue\n").unwrap();
    }

    /// The way of a node to the registry, on which requests are seen and can be broken.
    pub async fn way(&self, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Proxy {
        Proxy::before(self.registry.address(), decide).await
    }

    /// Starts a node, or starts it again.
    pub async fn node(&self, name: &str, way: &Proxy, ttl_seconds: u64, execute: bool) -> Daemon {
        self.node_with("rules", name, way, ttl_seconds, execute)
            .await
    }

    /// The same with rules of its own.
    pub async fn node_with(
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

    pub async fn start(&self, name: &str, config: &str) -> Daemon {
        let directory = self.directory.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        Daemon::start(&directory, config, "").await
    }

    pub fn config(
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
    pub fn pushed(&self) -> Value {
        let (media_type, _) = self.image.manifests.last().unwrap();
        json!({
            "specversion": "1.0", "id": "push-1", "source": "/test", "type": "weir.image.pushed",
            "data": {"repository": "team/web", "tag": "1.0", "digest": self.image.digest(), "media_type": media_type},
        })
    }

    pub async fn promoted(&self) -> bool {
        let tag = Reference::Tag("1.0".parse().unwrap());
        let head = self.client.head_manifest("production/web", &tag).await;
        head.unwrap()
            .is_some_and(|head| head.digest == self.image.digest())
    }

    pub async fn stream(&self) -> Stream {
        Stream::open(&self.nats.config()).await.unwrap()
    }
}

pub async fn leads(daemon: &Daemon) -> Value {
    let leads = |status: &Value| status["lease"]["standing"] == "leads";
    daemon.until("/v1/status", leads).await
}

pub async fn follows(daemon: &Daemon, holder: &str) -> Value {
    let follows = |status: &Value| {
        status["lease"]["standing"] == "follows" && status["lease"]["holder"] == holder
    };
    daemon.until("/v1/status", follows).await
}

/// Both have read the whole stream; then their logs are equal, bit for bit.
pub async fn equal_logs(site: &Site, nodes: Vec<Daemon>) -> Vec<Vec<u8>> {
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
pub fn count(records: &[Vec<u8>], kind: &str) -> usize {
    let kind = format!("\"type\":\"{kind}\"");
    let all = records.iter();
    all.filter(|record| String::from_utf8_lossy(record).contains(&kind))
        .count()
}

pub fn puts(way: &Proxy, path: &str) -> usize {
    let seen = way.seen();
    let all = seen.iter();
    all.filter(|request| request.method == "PUT" && request.path.starts_with(path))
        .count()
}

pub async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub const TARGET: &str = "/v2/production/web/manifests/";
pub const TARGET_TAG: &str = "/v2/production/web/manifests/1.0";

/// A registry that takes so long to store what is promoted.
pub fn stores_slowly(by: Duration) -> impl Fn(&Request) -> Fault + Send + Sync + 'static {
    move |request| match request.method == "PUT" && request.path.starts_with(TARGET) {
        true => Fault::Slow(by),
        false => Fault::None,
    }
}
