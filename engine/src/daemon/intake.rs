//! From a delivery to events: decode, and find out what the payload does not say.

use std::time::Duration;

use weir_schema::{Body, Digest, Received};

use super::{DaemonError, Shared, reconcile, resolver};
use crate::{
    adapters::{self, AdapterSettings, Decoded, Need, Pending, UNKNOWN_MEDIA_TYPE},
    resolve::{self, ResolveError},
};

/// How long a registry is asked again for what a delivery of the stream lacks, before the delivery
/// is rejected: a registry that is upgraded comes back within it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// How long it is asked again while a sender waits for the answer to its delivery.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// A delivery as it came.
pub(crate) struct Raw<'a> {
    pub(crate) adapter: Option<&'a str>,
    pub(crate) source: &'a str,
    pub(crate) delivery_id: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
}

/// Decodes a delivery, without asking anybody.
pub(crate) fn decode(shared: &Shared, raw: &Raw<'_>) -> Vec<Decoded> {
    if matches!(raw.adapter, None | Some("auto" | "distribution")) {
        reconcile::note_instance(shared, raw.source, raw.body);
    }
    let configured = shared.config.sources.get(raw.source);
    let mut settings = configured
        .map(|source| source.settings.clone())
        .unwrap_or_default();
    if settings.default_registry.is_none() {
        settings = AdapterSettings {
            default_registry: shared.config.default_registry.clone(),
            ..settings
        };
    }
    adapters::decode(&adapters::Delivery {
        adapter: raw.adapter.filter(|name| *name != "auto"),
        source: raw.source,
        delivery_id: Some(raw.delivery_id),
        headers: raw.headers,
        body: raw.body,
        settings: &settings,
    })
}

/// The events of a delivery, with what had to be looked up. What cannot be found is rejected.
pub(crate) async fn events(
    shared: &Shared,
    source: &str,
    decoded: Vec<Decoded>,
) -> Result<Vec<Received>, DaemonError> {
    let mut events = Vec::new();
    for one in decoded {
        match one {
            Decoded::Event(event) => events.push(*event),
            Decoded::Ignored(reason) => tracing::debug!(source, reason, "ignored"),
            Decoded::Rejected(rejected) => {
                tracing::warn!(source, reason = rejected.reason, "rejected");
                events.push(adapters::rejection(source, rejected));
            }
            Decoded::NeedsResolving(pending) => {
                events.extend(resolved(shared, source, *pending, IMPATIENCE).await?)
            }
        }
    }
    Ok(events)
}

/// The events of something that lacks a fact: the facts found on the way first. What may be there
/// later is asked for again for `patience`.
pub(crate) async fn resolved(
    shared: &Shared,
    source: &str,
    pending: Pending,
    patience: Duration,
) -> Result<Vec<Received>, DaemonError> {
    let mut events = Vec::new();
    let bound = match pending.need().clone() {
        Need::Digest {
            repository,
            tag,
            registry,
            ..
        } => {
            let repository = match &registry {
                Some(registry) => repository.in_registry(registry).unwrap_or(repository),
                None => repository,
            };
            match tag_digest(shared, &repository, &tag, patience).await {
                Ok(digest) => {
                    with_media_type(shared, &repository, digest, patience, &mut events).await
                }
                Err(cause) => Err(cause),
            }
        }
        Need::MediaType { repository, digest } => {
            with_media_type(shared, &repository, digest, patience, &mut events).await
        }
        Need::Leaf {
            config_digest,
            candidates,
            claimed,
            ..
        } => leaf(shared, &config_digest, &candidates, claimed, &mut events).await?,
    };
    events.push(match bound {
        Ok((digest, media_type)) => pending.with_digest(digest, &media_type),
        Err(cause) => adapters::rejection(source, pending.rejected(&cause)),
    });
    Ok(events)
}

async fn tag_digest(
    shared: &Shared,
    repository: &weir_schema::RepositoryName,
    tag: &weir_schema::Tag,
    patience: Duration,
) -> Result<Digest, String> {
    if !shared.config.reaches(repository) {
        return Err(format!(
            "the payload gives no digest and no registry is configured for `{repository}`"
        ));
    }
    patiently(patience, || {
        resolve::resolve_tag(&shared.clients, repository, tag)
    })
    .await
}

/// Asks until there is an answer, or no use in asking, or `patience` is over.
async fn patiently<T, F>(patience: Duration, ask: impl Fn() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, ResolveError>>,
{
    let until = tokio::time::Instant::now() + patience;
    let mut pause = Duration::from_millis(500);
    loop {
        match ask().await {
            Ok(found) => return Ok(found),
            Err(error) if error.is_retryable() && tokio::time::Instant::now() + pause < until => {
                tracing::debug!(%error, ?pause, "asking again");
            }
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

async fn with_media_type(
    shared: &Shared,
    repository: &weir_schema::RepositoryName,
    digest: Digest,
    patience: Duration,
    events: &mut Vec<Received>,
) -> Result<(Digest, String), String> {
    if !shared.config.reaches(repository) {
        return Err(format!(
            "the payload gives no media type and no registry is configured for `{repository}`"
        ));
    }
    let found = patiently(patience, || {
        resolve::resolve(&shared.clients, repository, &digest)
    })
    .await?;
    let media_type = found.facts.first().map(|fact| fact.media_type.clone());
    events.extend(resolver::events(&found));
    Ok((
        digest,
        media_type.unwrap_or_else(|| UNKNOWN_MEDIA_TYPE.to_owned()),
    ))
}

/// Binds a report to the leaf that it is about: by what is known, else by asking the registry.
async fn leaf(
    shared: &Shared,
    config: &Digest,
    candidates: &[Digest],
    claimed: Option<Digest>,
    events: &mut Vec<Received>,
) -> Result<Result<(Digest, String), String>, DaemonError> {
    let known = |config: Digest, candidates: Vec<Digest>| async move {
        shared
            .node
            .ask(move |state| state.leaf_by_config(&candidates, &config))
            .await
    };
    if let Some(found) = known(config.clone(), candidates.to_vec()).await? {
        return Ok(Ok((found, UNKNOWN_MEDIA_TYPE.to_owned())));
    }
    for candidate in candidates {
        let wanted = candidate.clone();
        let repository = shared
            .node
            .ask(move |state| state.repository_of(&wanted))
            .await?;
        let Some(repository) = repository.filter(|repository| shared.config.reaches(repository))
        else {
            continue;
        };
        match resolve::resolve(&shared.clients, &repository, candidate).await {
            Ok(found) => {
                events.extend(resolver::events(&found));
                let leaf = found
                    .facts
                    .iter()
                    .find(|fact| fact.config_digest.as_ref() == Some(config));
                if let Some(leaf) = leaf {
                    return Ok(Ok((leaf.digest.clone(), leaf.media_type.clone())));
                }
            }
            Err(error) => tracing::warn!(%error, "the subject of a report cannot be resolved"),
        }
    }
    // Without a registry to ask, the report's own claim holds for what is known to be one image.
    if let Some(claimed) = claimed {
        let wanted = claimed.clone();
        if shared
            .node
            .ask(move |state| state.is_known_image(&wanted))
            .await?
        {
            return Ok(Ok((claimed, UNKNOWN_MEDIA_TYPE.to_owned())));
        }
    }
    Ok(Err(format!(
        "no known image has the configuration {config} that the report is about"
    )))
}

/// Whether an event may be said by people and programs from outside.
pub(crate) fn may_be_said(event: &Received) -> bool {
    !event.event.body.is_conclusion() && !matches!(event.event.body, Body::InputRejected(_))
}
