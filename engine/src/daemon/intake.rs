//! From a delivery to events: decode, and find out what the payload does not say.

use std::{sync::Arc, time::Duration};

use weir_schema::{Digest, Received, RepositoryName, Tag};

use super::{DaemonError, Shared, image_id, reconcile, resolver, scanned};
use crate::{
    adapters::{self, AdapterSettings, Decoded, Named, Need, Pending, UNKNOWN_MEDIA_TYPE},
    backoff::doubled,
    http::Delivery,
    resolve::{self, ResolveError},
};

/// How long a registry is asked again for what a delivery of the stream lacks, before the delivery
/// is rejected: a registry that is upgraded comes back within it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// How long it is asked again while a sender waits for the answer to its delivery.
pub(crate) const IMPATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may take that is on its way when patience is over.
const GRACE: Duration = Duration::from_secs(18);

/// How long after a registry did not answer it is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest, while it goes on not answering.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many images are named of which a report may be: as many forms of one image as registries and
/// builders commonly make (Docker's and OCI's, gzip and zstd).
const IMAGES_TOLD: usize = 4;

/// A delivery as it came.
pub(crate) struct Raw<'a> {
    pub(crate) adapter: Option<&'a str>,
    pub(crate) source: &'a str,
    pub(crate) delivery_id: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
}

/// Decodes a delivery, without asking anybody.
pub(crate) fn decode(shared: &Shared, raw: &Raw<'_>, settings: &AdapterSettings) -> Vec<Decoded> {
    if matches!(raw.adapter, None | Some("auto" | "distribution")) {
        reconcile::note_instance(shared, raw.source, raw.body);
    }
    adapters::decode(&delivery(raw, settings))
}

/// As [`decode`], on a thread of its own: a delivery that is large takes a while.
///
/// # Errors
/// If it panicked.
pub(crate) async fn decode_aside(
    shared: &Arc<Shared>,
    source: &str,
    delivery_id: String,
    delivery: &Delivery,
) -> Result<Vec<Decoded>, DaemonError> {
    let (shared, source, delivery) = (Arc::clone(shared), source.to_owned(), delivery.clone());
    let span = tracing::Span::current();
    let decoded = tokio::task::spawn_blocking(move || {
        let raw = Raw {
            adapter: delivery.adapter.as_deref(),
            source: &source,
            delivery_id: &delivery_id,
            headers: &delivery.headers,
            body: &delivery.body,
        };
        let settings = shared.reads.now().of(&source);
        span.in_scope(|| decode(&shared, &raw, &settings))
    });
    Ok(decoded.await?)
}

/// A delivery as the adapters take it.
pub(crate) fn delivery<'a>(raw: &Raw<'a>, settings: &'a AdapterSettings) -> adapters::Delivery<'a> {
    adapters::Delivery {
        adapter: raw.adapter.filter(|name| *name != "auto"),
        source: raw.source,
        delivery_id: Some(raw.delivery_id),
        headers: raw.headers,
        body: raw.body,
        settings,
    }
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
            Decoded::Untold(reason) => reconcile::soon(shared, source, &reason),
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
            scanned_at,
            ..
        } if pending.kind().starts_with("weir.scan.") => {
            let digest = scanned::scanned(shared, &repository, &tag, scanned_at, patience).await?;
            digest.map(|digest| (digest, UNKNOWN_MEDIA_TYPE.to_owned()))
        }
        Need::Digest {
            repository, tag, ..
        } => {
            let (repository, tag) = pending.tagged().unwrap_or((repository, tag));
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
        Need::Leaf(report) => leaf(shared, &report, &mut events).await?,
    };
    events.push(match bound {
        Ok((digest, media_type)) => {
            let pending = match is_overtaken(shared, source, &pending, &digest).await {
                true => pending.overtaken(),
                false => pending,
            };
            pending.with_digest(digest, &media_type)
        }
        Err(cause) => {
            // A push whose registry did not answer is there all the same.
            if pending.kind() == "weir.image.pushed" {
                reconcile::soon(shared, source, &cause);
            }
            adapters::rejection(source, pending.rejected(&cause))
        }
    });
    Ok(events)
}

/// Whether the registry has the tag of a push at another manifest by now. Lookups end in any order,
/// and what lacks nothing waits for none of them: an older push that is recorded last would put the
/// tag back. So the registry is asked last of all; where it does not say, it is surveyed.
async fn is_overtaken(shared: &Shared, source: &str, pending: &Pending, pushed: &Digest) -> bool {
    let Some((repository, tag)) = pending.tagged() else {
        return false;
    };
    if !shared.config.reaches(&repository) {
        return false;
    }
    let (overtaken, cause) = match resolve::resolve_tag(&shared.clients, &repository, &tag).await {
        Ok(now) if now == *pushed => return false,
        Ok(now) => (
            true,
            format!("`{repository}:{tag}` was pushed as {pushed} and is at {now} by now"),
        ),
        Err(error) => (false, error.to_string()),
    };
    reconcile::soon(shared, source, &cause);
    overtaken
}

/// Why nobody is asked about a repository, and what to do.
pub(super) fn without_registry(repository: &RepositoryName) -> String {
    format!(
        "no registry is configured that could be asked about `{repository}`: it needs {}",
        adapters::registry_for(repository)
    )
}

/// What the registry has under a tag now.
pub(super) async fn tag_digest(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
    patience: Duration,
) -> Result<Digest, String> {
    if !shared.config.reaches(repository) {
        return Err(without_registry(repository));
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
    let mut failures = 0;
    loop {
        let pause = doubled(FIRST_PAUSE, failures, LONGEST_PAUSE);
        let Ok(answer) = tokio::time::timeout_at(until + GRACE, ask()).await else {
            let waited = (patience + GRACE).as_secs();
            return Err(format!(
                "there was no answer from the registry within {waited} s"
            ));
        };
        match answer {
            Ok(found) => return Ok(found),
            Err(error) if error.is_retryable() && tokio::time::Instant::now() + pause < until => {
                tracing::debug!(%error, ?pause, "asking again");
            }
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(pause).await;
        failures += 1;
    }
}

async fn with_media_type(
    shared: &Shared,
    repository: &RepositoryName,
    digest: Digest,
    patience: Duration,
    events: &mut Vec<Received>,
) -> Result<(Digest, String), String> {
    if !shared.config.reaches(repository) {
        return Err(without_registry(repository));
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

/// Binds a report to the leaf that it is about: by what is known, else by asking the registries that
/// the report names, else by its own word.
async fn leaf(
    shared: &Shared,
    report: &Named,
    events: &mut Vec<Received>,
) -> Result<Result<(Digest, String), String>, DaemonError> {
    let of = |leaf: Digest| Ok(Ok((leaf, UNKNOWN_MEDIA_TYPE.to_owned())));
    let (config, candidates) = (report.config_digest.clone(), report.candidates.clone());
    let known = shared
        .node
        .ask(move |state| state.leaf_by_config(&candidates, &config))
        .await?;
    if let Some(leaf) = known {
        return of(leaf);
    }
    let in_index = |index| {
        let leaf = image_id::in_index(report, &index);
        leaf.map(|leaf| (leaf, UNKNOWN_MEDIA_TYPE.to_owned()))
    };
    let image_id = report.config_digest.clone();
    let index = shared.node.ask(move |state| state.index(&image_id)).await?;
    if let Some(index) = index.clone().filter(|index| index.is_whole) {
        return Ok(in_index(index));
    }
    for candidate in &report.candidates {
        let wanted = candidate.clone();
        let known = shared
            .node
            .ask(move |state| state.repository_of(&wanted))
            .await?;
        for repository in known.iter().chain(&report.repositories) {
            if let Some(leaf) = leaf_below(shared, repository, candidate, report, events).await {
                return of(leaf);
            }
        }
    }
    for (repository, tag) in &report.tags {
        if shared.config.reaches(repository)
            && let Ok(digest) = resolve::resolve_tag(&shared.clients, repository, tag).await
            && let Some(leaf) = leaf_below(shared, repository, &digest, report, events).await
        {
            return of(leaf);
        }
    }
    if let Some(index) = image_id::told(events, &report.config_digest).or(index) {
        return Ok(in_index(index));
    }
    let (config, claimed) = (report.config_digest.clone(), report.claimed.clone());
    let (with_config, claimed) = shared
        .node
        .ask(move |state| {
            // It may be known later what this is. If it is an index, the report covers nothing.
            let claimed = claimed.filter(|claimed| !state.is_known_otherwise(claimed, &config));
            (state.images_with_config(&config), claimed)
        })
        .await?;
    match (&with_config[..], claimed) {
        // Manifests with one configuration have the same content, but whoever asks for the one
        // that is named shall find it.
        ([only], None) => of(only.clone()),
        // What is named is the configuration itself.
        ([only], Some(claimed)) if claimed == report.config_digest => of(only.clone()),
        (_, Some(claimed)) => of(claimed),
        ([], None) => Ok(Err(format!(
            "no known image has the configuration {} that the report is about",
            report.config_digest
        ))),
        (several, None) => Ok(Err(one_of(several))),
    }
}

/// Why a report is bound to none of several images with its configuration.
fn one_of(images: &[Digest]) -> String {
    let told = images.iter().take(IMAGES_TOLD).map(Digest::to_string);
    let more = match images.len().saturating_sub(IMAGES_TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "several known images have that configuration, {}{more}: name the one that was scanned in the header `{}`",
        told.collect::<Vec<_>>().join(", "),
        adapters::SUBJECT_HEADER
    )
}

/// The image with the report's configuration that is `digest` or below it, by the registry's word.
async fn leaf_below(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
    report: &Named,
    events: &mut Vec<Received>,
) -> Option<Digest> {
    if !shared.config.reaches(repository) {
        return None;
    }
    match resolve::resolve(&shared.clients, repository, digest).await {
        Ok(found) => {
            let mut facts = found.facts.iter();
            let leaf =
                facts.find(|fact| fact.config_digest.as_ref() == Some(&report.config_digest));
            let leaf = leaf.map(|leaf| leaf.digest.clone());
            events.extend(resolver::events(&found));
            leaf
        }
        Err(error) => {
            tracing::warn!(%error, "the subject of a report cannot be resolved");
            None
        }
    }
}
