//! The whole way on real parts: a registry notifies, NATS carries, Weir decides and copies.
//!
//! The daemon is killed at moments the test picks, NATS is restarted, and at the end the log must
//! hold each event once, and a second node that reads the same stream must come to the same log.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use nats::Nats;
use serde_json::{Value, json};
use support::{
    app,
    registry::{Options, Registry, free_port, quiet},
};
use weir_engine::log::{
    Log, LogOptions,
    checkpoint::SignedCheckpoint,
    key::{KEY_FILE, SigningKey},
};
use weir_engine::oci::{Client, Reference, RegistryConfig};
use weir_schema::Digest;

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! class: app\n\nscan.critical == 0\n";

/// How long something may take on a loaded machine before the test says that it never will.
const PATIENCE: Duration = Duration::from_secs(90);

struct Daemon {
    process: Child,
}

impl Daemon {
    fn start(config: &Path) -> Self {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(config.with_extension("log"))
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process }
    }

    fn kill(&mut self) {
        // SIGKILL: nothing is tidied up.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(
            self.process.wait().unwrap().success(),
            "a stopped daemon ends well"
        );
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Site {
    directory: tempfile::TempDir,
    server: String,
    http: reqwest::Client,
}

impl Site {
    fn config(
        &self,
        name: &str,
        port: u16,
        nats: &Nats,
        registry: &Registry,
        execute: bool,
    ) -> PathBuf {
        let rules = self.directory.path().join("rules");
        fs::create_dir_all(&rules).unwrap();
        fs::write(rules.join("to-production.cel"), RULE).unwrap();
        let path = self.directory.path().join(format!("{name}.toml"));
        let rules = if execute {
            format!("rules = \"{}\"\n", rules.display())
        } else {
            String::new()
        };
        let text = format!(
            "data = \"{}\"\n{rules}default_registry = \"{host}\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[stream]\nurls = [\"{}\"]\n[registries.\"{host}\"]\ninsecure = true\n[promotions]\nexecute = {execute}\n",
            self.directory.path().join(name).display(),
            nats.url(),
            host = registry.host(),
        );
        fs::write(&path, text).unwrap();
        path
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = self
            .http
            .get(format!("{}{path}", self.server))
            .send()
            .await
            .ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// Waits until what is at `path` satisfies `enough`.
    async fn until(&self, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        let mut last = Value::Null;
        while start.elapsed() < PATIENCE {
            if let Some(value) = self.get(path).await {
                if enough(&value) {
                    return value;
                }
                last = value;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "{path} never was as expected; last: {last:#}\n{}",
            self.logs()
        );
    }

    fn logs(&self) -> String {
        fs::read_to_string(self.directory.path().join("weir.log")).unwrap_or_default()
    }

    async fn deliver(&self, adapter: &str, body: String) {
        let start = Instant::now();
        loop {
            let request = self
                .http
                .post(format!("{}/v1/intake/{adapter}", self.server))
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return,
                _ if start.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(200)).await
                }
                other => panic!("the report is not taken: {other:?}\n{}", self.logs()),
            }
        }
    }
}

/// A report as Trivy writes it for an image scanned by digest: clean.
fn report(registry: &Registry, leaf: &Digest, config: &Digest) -> String {
    json!({
        "SchemaVersion": 2,
        "CreatedAt": "2026-08-21T10:00:00Z",
        "ArtifactName": format!("{}/team/shop@{leaf}", registry.host()),
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12"},
            "ImageID": config.to_string(),
            "RepoDigests": [format!("{}/team/shop@{leaf}", registry.host())],
        },
        "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian"}],
    })
    .to_string()
}

fn digests(reasons: &Value) -> Vec<String> {
    let all = reasons.as_array().into_iter().flatten();
    let mut found: Vec<String> = all
        .filter_map(|reason| Some(reason["digest"].as_str()?.to_owned()))
        .collect();
    found.sort();
    found
}

fn verified(data: &Path) {
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("verify")
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_promoted_when_its_last_image_is_scanned_whatever_is_killed_meanwhile() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    weir_engine::oci::install_crypto_provider();
    let port = free_port();
    let server = format!("http://127.0.0.1:{port}");
    let registry = Registry::start_with(&Options {
        notify: Some(format!("{server}/v1/intake/distribution?source=dev")),
        ..Options::default()
    });
    let site = Site {
        directory: tempfile::TempDir::new().unwrap(),
        server,
        http: reqwest::Client::new(),
    };
    let config = site.config("weir", port, &nats, &registry, true);
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut checkpoints = listener.subscribe("weir.checkpoints").await.unwrap();
    listener.flush().await.unwrap();
    let mut daemon = Daemon::start(&config);
    site.until("/readyz", |_| true).await;

    let client = Client::new(
        &registry.host(),
        &RegistryConfig {
            insecure: true,
            ..quiet()
        },
    )
    .unwrap();
    let content = app::application("shop", &["web", "db"], &[2000]);
    let digest = content.push(&client, "team/shop", Some("1.0")).await;

    // The last leaf to be scanned keeps it waiting, and is named.
    let waits = |value: &Value| {
        value[0]["verdict"] == "wait"
            && value[0]["images"]
                .as_array()
                .is_some_and(|all| all.len() == 5)
    };
    let why = site
        .until("/v1/why?repository=team/shop&tag=1.0", waits)
        .await;
    let images: Vec<Digest> = why[0]["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["digest"].as_str().unwrap().parse().unwrap())
        .collect();
    let mut left: Vec<String> = images.iter().map(ToString::to_string).collect();
    left.sort();
    assert_eq!(
        digests(&why[0]["reasons"]),
        left,
        "exactly the images that are not scanned are named"
    );

    for (place, image) in images.iter().enumerate() {
        match place {
            1 | 3 => {
                daemon.kill();
                daemon = Daemon::start(&config);
            }
            2 => nats.restart(),
            _ => {}
        }
        let manifest = client
            .get_manifest("team/shop", &Reference::Digest(image.clone()))
            .await
            .unwrap();
        let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let config: Digest = manifest["config"]["digest"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        site.deliver("trivy", report(&registry, image, &config))
            .await;
        left.retain(|one| *one != image.to_string());
        let expected = left.clone();
        if !expected.is_empty() {
            site.until("/v1/why?repository=team/shop&tag=1.0", |value| {
                value[0]["verdict"] == "wait" && digests(&value[0]["reasons"]) == expected
            })
            .await;
        }
    }

    // Nothing bundled is missing any more: decided, copied, the tag last.
    site.until("/v1/tags?repository=production/shop", |tags| {
        tags.as_array()
            .is_some_and(|tags| tags.iter().any(|tag| tag["tag"] == "1.0"))
    })
    .await;
    let promoted = client
        .head_manifest("production/shop", &Reference::Tag("1.0".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(promoted.map(|head| head.digest), Some(digest));

    // Every decision once, although the registry's deliveries and the daemon were cut.
    let decisions = site
        .until("/v1/decisions?limit=1000", |value| {
            value["events"].is_array()
        })
        .await;
    let promotes = decisions["events"].as_array().unwrap().iter();
    let promotes = promotes.filter(|record| record["event"]["data"]["verdict"] == "promote");
    assert_eq!(promotes.count(), 1, "{decisions:#}");

    // Another node that reads the same stream comes to the same log, bit for bit.
    let records = site
        .until("/v1/events?limit=1000", |value| value["events"].is_array())
        .await;
    let upto = records["through"].as_u64().unwrap();
    let other_port = free_port();
    let other = site.config("replica", other_port, &nats, &registry, false);
    let replica = Daemon::start(&other);
    let second = Site {
        server: format!("http://127.0.0.1:{other_port}"),
        directory: tempfile::TempDir::new().unwrap(),
        http: site.http.clone(),
    };
    let again = second
        .until("/v1/events?limit=1000", |value| {
            value["through"].as_u64() >= Some(upto)
        })
        .await;
    // Either may have read on meanwhile: what both have must be the same.
    let (ours, theirs) = (events_of(&records), events_of(&again));
    let common = ours.len().min(theirs.len());
    assert!(common > 20, "{common} records in common");
    assert_eq!(ours[..common], theirs[..common], "replicas agree");
    replica.stop();
    daemon.stop();

    // Whoever listened has a checkpoint that the log at the end must continue.
    let announced = tokio::time::timeout(PATIENCE, checkpoints.next()).await;
    let note = String::from_utf8(announced.unwrap().unwrap().payload.to_vec()).unwrap();
    let data = site.directory.path().join("weir");
    let key = SigningKey::load(&data.join(KEY_FILE)).unwrap().unwrap();
    let signed: SignedCheckpoint = note.parse().unwrap();
    let claim = signed.verify(key.verifier()).unwrap();
    let log = Log::open(&data, LogOptions::default()).unwrap();
    let root = log.reader().root_at(claim.size).unwrap();
    assert_eq!(root, Some(claim.root), "{note}");
    drop(log);
    verified(&site.directory.path().join("weir"));
    verified(&site.directory.path().join("replica"));
}

fn events_of(page: &Value) -> Vec<Value> {
    page["events"].as_array().cloned().unwrap_or_default()
}
