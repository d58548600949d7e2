//! A daemon with registries, and what is said to it and asked of it.

use crate::support::{
    daemon::Daemon,
    registry::{Registry, quiet},
};
use serde_json::{Value, json};
use weir_engine::oci::{Client, RegistryConfig};
use weir_schema::{Digest, Tag};

/// A rule that promotes every scanned thing of `class` that comes from `from` to `to`.
pub(crate) fn rule(name: &str, class: &str, from: &str, to: &str) -> String {
    format!("//! rule: {name}\n//! class: {class}\n//! from: {from}\n//! to: {to}\n\ntrue\n")
}

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) config: String,
}

impl Site {
    /// `registries` are tables; `more` is what the configuration says besides.
    pub(crate) fn new(
        rules: &[(&str, String)],
        default: &str,
        registries: &[String],
        more: &str,
    ) -> Self {
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
    pub(crate) fn of_images_to_staging(registry: &Registry) -> Self {
        let to_staging = rule("to-staging", "image", "dev/*", "staging/{1}");
        let (rules, host) = ([("to-staging", to_staging)], registry.host());
        Self::new(&rules, &host, std::slice::from_ref(&host), "")
    }

    pub(crate) async fn daemon(&self) -> Daemon {
        Daemon::start(self.directory.path(), &self.config, "").await
    }
}

pub(crate) fn client(host: &str) -> Client {
    let config = RegistryConfig {
        insecure: true,
        ..quiet()
    };
    Client::new(host, &config).unwrap()
}

/// Says that the tag was pushed.
pub(crate) async fn pushed(daemon: &Daemon, id: &str, repository: &str, digest: &Digest) {
    pushed_as(daemon, id, repository, "1.0", digest).await;
}

pub(crate) async fn pushed_as(
    daemon: &Daemon,
    id: &str,
    repository: &str,
    tag: &str,
    digest: &Digest,
) {
    let event = json!({"events": [{"id": id, "action": "push", "target": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "repository": repository, "tag": tag}}]});
    let path = "/v1/intake/distribution?source=dev";
    assert_eq!(daemon.post(path, event.to_string()).await, 202);
}

/// Says that the images were scanned, and that nothing was found.
pub(crate) async fn scanned(daemon: &Daemon, images: &[Digest]) {
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

pub(crate) async fn tag(client: &Client, path: &str) -> Option<Digest> {
    let tag: Tag = "1.0".parse().unwrap();
    let head = client.head_manifest(path, &tag.into()).await.unwrap();
    head.map(|head| head.digest)
}

pub(crate) fn is_idle(promotions: &Value) -> bool {
    promotions.as_array().is_some_and(Vec::is_empty)
}

pub(crate) fn kinds(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().into_iter().flatten();
    let kinds = events.filter_map(|record| record["event"]["type"].as_str());
    kinds
        .filter_map(|kind| kind.strip_prefix("weir.promotion."))
        .map(str::to_owned)
        .collect()
}

pub(crate) async fn promotion_events(daemon: &Daemon) -> Value {
    daemon
        .get("/v1/events?limit=1000&where=event.type.startsWith(%22weir.promotion.%22)")
        .await
}
