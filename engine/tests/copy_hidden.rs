//! What is left out of what has to be scanned is copied if nobody can run it, and else not.

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::{
    app::{self, Content},
    registry::{Registry, clients},
};
use weir_engine::{
    copy::{self, CopyError, Outcome, Plan},
    oci::{Client, Clients},
};
use weir_schema::{Digest, Tag};

/// The tag that it gets at the target: one for each.
fn tag_of(content: &Content) -> Tag {
    content.digest().hex()[..12].parse().unwrap()
}

struct Scene {
    registry: Registry,
    client: Client,
    clients: Clients,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        Self {
            client: Client::new(&registry.host(), &registry.config()).unwrap(),
            clients: clients([(registry.host(), registry.config())]),
            registry,
        }
    }

    /// Pushes `content` and copies it from `dev/web` to the repository `to`.
    async fn promote(&self, content: &Content, to: &str) -> Result<Outcome, CopyError> {
        let digest = content.push(&self.client, "dev/web", Some("1.0")).await;
        let repository = |path: &str| format!("{}/{path}", self.registry.host()).parse().unwrap();
        let plan = Plan {
            digest,
            source: repository("dev/web"),
            source_tag: Some("1.0".parse().unwrap()),
            target: repository(to),
            target_tag: tag_of(content),
            expected: None,
            known_referrers: Default::default(),
        };
        copy::run(&plan, &self.clients, Arc::new(|_| {})).await
    }

    async fn target(&self, content: &Content, path: &str) -> Option<Digest> {
        let tag = tag_of(content);
        let head = self.client.head_manifest(path, &tag.into()).await.unwrap();
        head.map(|head| head.digest)
    }

    /// Is refused, wherever it is to go, with an error that has `words`.
    async fn check_refused(&self, content: &Content, hidden: &Digest, words: &[&str]) {
        for to in ["prod/web", "dev/web"] {
            let error = self.promote(content, to).await.unwrap_err();
            assert!(
                matches!(&error, CopyError::HiddenImage { digest, .. } if digest == hidden),
                "{words:?}: {error}"
            );
            assert!(!error.is_retryable());
            for word in words.iter().chain(&["dev/web@", "push the index"]) {
                assert!(error.to_string().contains(word), "no `{word}`: {error}");
            }
            assert_eq!(self.target(content, to).await, None);
        }
        for (_, bytes) in &content.manifests {
            let digest = Digest::of(bytes).into();
            let head = self.client.head_manifest("prod/web", &digest).await;
            assert!(head.unwrap().is_none(), "something was written");
        }
    }

    async fn check_copied(&self, content: &Content) {
        for to in ["prod/web", "dev/web"] {
            self.promote(content, to).await.unwrap();
            assert_eq!(self.target(content, to).await, Some(content.digest()));
            for (_, bytes) in &content.manifests {
                let head = self
                    .client
                    .head_manifest(to, &Digest::of(bytes).into())
                    .await;
                assert!(head.unwrap().is_some());
            }
        }
    }
}

fn evil() -> Content {
    app::image("evil", "amd64", &[])
}

fn attestation() -> Value {
    json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}})
}

fn configuration() -> Value {
    json!({"annotations": {"io.cnab.manifest.type": "config"}})
}

fn artifact() -> Value {
    json!({"artifactType": "application/x"})
}

/// What a descriptor says, and that it is for `linux/amd64`.
fn on_linux(mut said: Value) -> Value {
    said["platform"] = json!({"os": "linux", "architecture": "amd64"});
    said
}

#[tokio::test]
async fn what_names_a_platform_is_not_promoted_unscanned_whatever_it_is_called() {
    let scene = Scene::new();
    let words = |why: &'static str| [why, "the platform `linux/amd64`"];
    for (said, why) in [
        (attestation(), "`attestation`"),
        (configuration(), "`bundle configuration`"),
        (artifact(), "`no image`"),
    ] {
        let index = app::multi_arch_with("web", &[(&evil(), on_linux(said))]);
        let hidden = evil().digest();
        scene.check_refused(&index, &hidden, &words(why)).await;
    }
    let itself = app::said_by_itself(evil(), &artifact());
    let index = app::multi_arch_with("web", &[(&itself, on_linux(json!({})))]);
    let hidden = itself.digest();
    scene
        .check_refused(&index, &hidden, &words("`no image`"))
        .await;
}

#[tokio::test]
async fn an_image_without_a_platform_is_not_promoted_unscanned_as_an_attestation_or_artifact() {
    let scene = Scene::new();
    let runs = "an image's configuration and file system layers";
    let nowhere = json!({"platform": {"os": "unknown", "architecture": "unknown"}});
    for said in [attestation(), artifact(), nowhere] {
        let index = app::multi_arch_with("web", &[(&evil(), said)]);
        scene.check_refused(&index, &evil().digest(), &[runs]).await;
    }
    let itself = app::said_by_itself(evil(), &artifact());
    let index = app::multi_arch_with("web", &[(&itself, json!({}))]);
    scene.check_refused(&index, &itself.digest(), &[runs]).await;
    // As deep as it may be.
    let outer = app::multi_arch_with("outer", &[(&index, json!({}))]);
    scene.check_refused(&outer, &itself.digest(), &[runs]).await;
}

#[tokio::test]
async fn an_index_is_not_promoted_unscanned_with_what_it_lists() {
    let scene = Scene::new();
    let inner = app::multi_arch("evil", &[]);
    for said in [attestation(), configuration()] {
        let index = app::multi_arch_with("web", &[(&inner, said)]);
        let words = ["an index that lists manifests"];
        scene.check_refused(&index, &inner.digest(), &words).await;
    }
}

#[tokio::test]
async fn what_nobody_can_run_is_copied_with_its_index_though_it_is_not_scanned() {
    let scene = Scene::new();
    let statement = app::buildkit_attestation("provenance");
    let nowhere = json!({
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": attestation()["annotations"],
    });
    let subject = app::image("web", "amd64", &[]).descriptor(&json!({}));
    let sbom = app::referrer(&subject, "application/spdx+json", "sbom");
    let signature = app::cosign_signature(&["signed"]);
    const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
    let chart = evil();
    let config = app::descriptor(HELM, chart.blobs.last().unwrap());
    let chart = app::said_by_itself(chart, &json!({"config": config}));
    let index = app::multi_arch_with(
        "web",
        &[
            (&statement, nowhere),
            (&sbom, artifact()),
            (
                &sbom,
                json!({"artifactType": "", "platform": {"os": "", "architecture": ""}}),
            ),
            (&signature, artifact()),
            (&chart, json!({})),
            (&chart, on_linux(artifact())),
        ],
    );
    scene.check_copied(&index).await;
    // Where a registry takes no other, a bundle's configuration has the form of an image.
    let config = app::multi_arch_with("web", &[(&evil(), configuration())]);
    scene.check_copied(&config).await;
    scene
        .check_copied(&app::application("shop", &["web"], &[]))
        .await;
}

#[tokio::test]
async fn what_one_descriptor_leaves_out_and_another_does_not_was_scanned_and_is_copied() {
    let scene = Scene::new();
    let linux = || on_linux(json!({}));
    for said in [on_linux(attestation()), on_linux(artifact())] {
        let index = app::multi_arch_with("web", &[(&evil(), said.clone()), (&evil(), linux())]);
        scene.check_copied(&index).await;
        let below = app::multi_arch_with("below", &[(&evil(), linux())]);
        let outer = app::multi_arch_with("web", &[(&evil(), said), (&below, json!({}))]);
        scene.check_copied(&outer).await;
    }
}
