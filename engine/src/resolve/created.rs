//! When an image was made, by its own word.

use serde::Deserialize;
use weir_schema::{Digest, RepositoryName, Timestamp};

use super::CONFIG_LIMIT;
use crate::oci::{Client, Clients, Manifest, Reference};

/// The annotation and label that says it (OCI image specification, pre-defined annotation keys).
const CREATED: &str = "org.opencontainers.image.created";

/// Indexes within indexes are looked into so far.
const DEEPEST: usize = 3;

#[derive(Deserialize)]
struct ImageConfig {
    created: Option<String>,
}

/// When the image `digest` was made: by its annotation, else by its configuration; of an index, by
/// the first image in it. `None` if that is not said, or cannot be read: it is a hint, and no fact.
pub async fn created(
    clients: &Clients,
    repository: &RepositoryName,
    digest: &Digest,
) -> Option<Timestamp> {
    let client = clients.of(repository).ok()?;
    let mut digest = digest.clone();
    for _ in 0..DEEPEST {
        let manifest = manifest(&client, repository.path(), &digest).await?;
        if let Some(told) = manifest.annotations.get(CREATED) {
            return told.parse().ok();
        }
        if let Some(config) = &manifest.config {
            let bytes = client.get_blob(repository.path(), &config.digest, CONFIG_LIMIT);
            let config: ImageConfig = serde_json::from_slice(&bytes.await.ok()?).ok()?;
            return config.created?.parse().ok();
        }
        let mut children = manifest.manifests.iter();
        digest = children.next()?.digest.clone();
    }
    None
}

async fn manifest(client: &Client, path: &str, digest: &Digest) -> Option<Manifest> {
    let reference = Reference::Digest(digest.clone());
    let raw = client.get_manifest(path, &reference).await.ok()?;
    Manifest::parse(&raw.bytes, raw.content_type.as_deref()).ok()
}
