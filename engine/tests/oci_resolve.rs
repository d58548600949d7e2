//! What the resolver tells the log, read from a real registry.

mod support;

use serde_json::json;
use support::{
    app,
    registry::{Registry, clients, delete_manifest, quiet},
    stub::{Reply, Stub},
};
use weir_engine::{
    oci::{Client, Clients, RegistryConfig},
    resolve::{ResolveError, resolve, resolve_tag},
};
use weir_schema::{Digest, ManifestResolved, RepositoryName};

fn repository(registry: &Registry) -> RepositoryName {
    format!("{}/dev/shop", registry.host()).parse().unwrap()
}

fn of<'a>(facts: &'a [ManifestResolved], digest: &Digest) -> &'a ManifestResolved {
    facts.iter().find(|facts| facts.digest == *digest).unwrap()
}

/// Clients that reach a stub.
fn clients_of(stub: &Stub) -> Clients {
    let plain = RegistryConfig {
        insecure: true,
        ..quiet()
    };
    clients([(stub.host(), plain)])
}

#[tokio::test]
async fn an_application_gives_the_facts_of_every_manifest_in_it() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let application = app::application("shop", &["web"], &[]);
    let digest = application.push(&client, "dev/shop", Some("1.0")).await;
    let repository = repository(&registry);

    assert_eq!(
        resolve_tag(&clients, &repository, &"1.0".parse().unwrap())
            .await
            .unwrap(),
        digest
    );
    let resolved = resolve(&clients, &repository, &digest).await.unwrap();
    assert!(resolved.unreadable.is_empty() && resolved.invalid.is_empty());
    assert_eq!(resolved.facts.len(), application.manifests.len());

    let index = &resolved.facts[0];
    assert_eq!(
        (&index.digest, index.media_type.as_str()),
        (&digest, "application/vnd.oci.image.index.v1+json")
    );
    let annotations = index.annotations.as_ref().unwrap();
    assert_eq!(
        annotations["org.opencontainers.artifactType"],
        "application/vnd.cnab.manifest.v1"
    );
    let roles: Vec<&str> = index
        .manifests
        .iter()
        .flatten()
        .map(|child| child.annotations.as_ref().unwrap()["io.cnab.manifest.type"].as_str())
        .collect();
    assert_eq!(roles, ["config", "invocation", "component", "component"]);

    // The bundle configuration: null layers, and known by the type of its config.
    let config = of(
        &resolved.facts,
        &index.manifests.as_ref().unwrap()[0].digest,
    );
    assert_eq!(
        config.artifact_type.as_deref(),
        Some("application/vnd.cnab.config.v1+json")
    );
    assert_eq!(config.labels, None);

    let web = app::image("shop-web", "amd64", &[]);
    let facts = of(&resolved.facts, &web.digest());
    assert_eq!(facts.labels.as_ref().unwrap()["sample.name"], "shop-web");
    assert_eq!(
        facts.config_digest,
        Some(Digest::of(web.blobs.last().unwrap()))
    );
    assert_eq!(
        (facts.artifact_type.as_deref(), &facts.manifests),
        (None, &None)
    );

    let platforms = of(
        &resolved.facts,
        &app::multi_arch("shop-cache", &[]).digest(),
    )
    .manifests
    .clone()
    .unwrap();
    let platforms: Vec<String> = platforms
        .into_iter()
        .map(|child| child.platform.unwrap().to_string())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
}

#[tokio::test]
async fn a_referrer_names_its_subject_and_its_kind() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let image = app::image("web", "amd64", &[]);
    let sbom = app::referrer(
        &image.descriptor(&json!({})),
        "application/spdx+json",
        "sbom",
    );
    image.push(&client, "dev/shop", None).await;
    let digest = sbom.push(&client, "dev/shop", None).await;
    let resolved = resolve(&clients, &repository(&registry), &digest)
        .await
        .unwrap();
    let [facts] = &resolved.facts[..] else {
        panic!("one manifest")
    };
    assert_eq!(facts.subject, Some(image.digest()));
    assert_eq!(
        facts.artifact_type.as_deref(),
        Some("application/spdx+json")
    );
}

#[tokio::test]
async fn f22_what_cannot_be_read_yet_is_asked_for_again_and_never_guessed() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let repository = repository(&registry);
    let digest = Digest::of(b"not there yet");
    let errors = [
        resolve(&clients, &repository, &digest)
            .await
            .map(|_| ())
            .unwrap_err(),
        resolve_tag(&clients, &repository, &"1.0".parse().unwrap())
            .await
            .map(|_| ())
            .unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error, ResolveError::NotReadable { .. }) && error.is_retryable(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_child_that_is_gone_stays_unknown_beside_what_is_known() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client: Client = clients.get(&registry.host()).unwrap();
    let application = app::application("shop", &["web"], &[]);
    let digest = application.push(&client, "dev/shop", Some("1.0")).await;
    let gone = app::multi_arch("shop-cache", &[]).digest();
    assert!(delete_manifest(&registry.host(), "dev/shop", &gone).await);
    let resolved = resolve(&clients, &repository(&registry), &digest)
        .await
        .unwrap();
    assert_eq!(resolved.facts[0].digest, digest);
    assert_eq!(
        resolved
            .unreadable
            .into_iter()
            .map(|(digest, _)| digest)
            .collect::<Vec<_>>(),
        [gone]
    );
}

#[tokio::test]
async fn f6_what_is_image_and_index_at_once_is_an_error() {
    let child = json!({"digest": Digest::of(b"")});
    let double = json!({"schemaVersion": 2, "config": child, "manifests": [child]}).to_string();
    let digest = Digest::of(double.as_bytes());
    let stub = Stub::start(move |_| Reply::status(200).body(double.clone())).await;
    let clients = clients_of(&stub);
    let repository = format!("{}/dev/shop", stub.host()).parse().unwrap();
    let error = resolve(&clients, &repository, &digest)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(error, ResolveError::Invalid { .. }) && !error.is_retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn a_tree_of_more_bytes_than_any_application_has_is_not_read_to_its_end() {
    let (root, find) = app::padded_tree(40, 4_000_000);
    let stub = Stub::serving(find).await;
    let clients = clients_of(&stub);
    let repository = format!("{}/dev/shop", stub.host()).parse().unwrap();
    let error = resolve(&clients, &repository, &root)
        .await
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(error, ResolveError::TooLarge { .. }) && !error.is_retryable(),
        "{error}"
    );
    let text = error.to_string();
    for part in [&stub.host(), "dev/shop", "64 MiB"] {
        assert!(text.contains(part), "{text}");
    }
    // Those that fit, and those under way when the limit is reached.
    assert!(stub.seen().len() < 35, "{}", stub.seen().len());
}

#[tokio::test]
async fn indexes_are_read_one_level_deeper_than_rules_allow_and_no_deeper() {
    // The root and eight levels are allowed; what is in the ninth says that there is one too many.
    for (levels, read) in [(1, 1), (9, 9), (10, 10), (11, 10), (30, 10)] {
        let (root, find) = app::nested_indexes(levels);
        let stub = Stub::serving(find).await;
        let clients = clients_of(&stub);
        let repository = format!("{}/dev/shop", stub.host()).parse().unwrap();
        let resolved = resolve(&clients, &repository, &root).await.unwrap();
        assert!(resolved.unreadable.is_empty() && resolved.invalid.is_empty());
        assert_eq!(resolved.facts.len(), read, "of {levels} levels");
        let innermost = resolved.facts[read - 1].manifests.as_ref().unwrap();
        assert_eq!(innermost.is_empty(), levels == read, "of {levels} levels");
    }
}
