//! The resolver: asks registries what a tag points at and what a manifest contains, and answers
//! with facts for the log.
//!
//! A fact is content that was read and whose digest was verified. What cannot be read yet is not
//! a fact, and nothing is put in its place: the caller asks again later.

mod created;
mod facts;

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use weir_schema::{Digest, ManifestResolved, RepositoryName, Tag};

pub use created::created;
pub(crate) use facts::{child as descriptor, of as facts};

use crate::oci::{
    Client, Clients, Manifest, ManifestError, OciError, Reference, TREE_LEVELS, TREE_MANIFESTS,
    TREE_TOO_LARGE, TREE_TOO_MANY, TreeBudget, media_type,
};

/// Manifests of one tree that are read at a time; the registry's own limit comes on top.
const AT_A_TIME: usize = 16;

/// Largest image configuration read for its labels. One that is larger has no labels here.
const CONFIG_LIMIT: usize = 4 << 20;

/// What was found below one digest.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Facts, parents before children: the digest itself first.
    pub facts: Vec<ManifestResolved>,
    /// What is listed but cannot be read now. It stays unknown; ask again later.
    pub unreadable: Vec<(Digest, OciError)>,
    /// What is there and is no manifest that can be understood. It stays unknown for ever.
    pub invalid: Vec<(Digest, ManifestError)>,
}

/// Why nothing was resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It is not there, or not yet: events may arrive before what they tell of can be read.
    #[error("`{repository}` has no `{reference}`, or not yet: {cause}")]
    NotReadable {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest.
        reference: String,
        /// What the registry answered.
        cause: Box<OciError>,
    },
    /// It is no manifest that can be understood.
    #[error("`{repository}@{digest}` is no manifest: {cause}")]
    Invalid {
        /// The repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        cause: ManifestError,
    },
    /// It holds more than any application does.
    #[error("`{repository}@{digest}` is not read: {limit}")]
    TooLarge {
        /// The repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// The limit.
        limit: &'static str,
    },
    /// A request failed.
    #[error(transparent)]
    Registry(#[from] OciError),
}

impl ResolveError {
    /// Whether asking again later may give an answer: a login that is refused may be put right, and
    /// until then what was asked for waits. Only of the content itself nothing else will be known.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotReadable { .. } => true,
            Self::Invalid { .. } | Self::TooLarge { .. } => false,
            Self::Registry(error) => !matches!(error, OciError::TooLarge { .. }),
        }
    }

    /// How long the registry asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Registry(error) => error.retry_after(),
            Self::NotReadable { .. } | Self::Invalid { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// What `tag` points at just now.
///
/// # Errors
/// `NotReadable` if there is no such tag, which may be since it is not there yet.
pub async fn resolve_tag(
    clients: &Clients,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Digest, ResolveError> {
    let client = clients.of(repository)?;
    let head = client
        .head_manifest(repository.path(), &Reference::Tag(tag.clone()))
        .await?;
    head.map(|head| head.digest)
        .ok_or_else(|| ResolveError::NotReadable {
            repository: repository.clone(),
            reference: tag.to_string(),
            cause: Box::new(OciError::NotFound {
                registry: client.registry().to_owned(),
                what: format!("looking for `{}:{tag}`", repository.path()),
                codes: Vec::new(),
                message: String::new(),
            }),
        })
}

/// The facts of `digest` and of every manifest below it.
///
/// # Errors
/// If `digest` itself cannot be read or understood; faults below it are in the answer.
pub async fn resolve(
    clients: &Clients,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Resolved, ResolveError> {
    let client = clients.of(repository)?;
    let path = repository.path();
    let mut resolved = Resolved::default();
    let budget = TreeBudget::default();
    let mut known = BTreeSet::from([digest.clone()]);
    let mut level = vec![digest.clone()];
    for depth in 0.. {
        let too_large = |limit| ResolveError::TooLarge {
            repository: repository.clone(),
            digest: digest.clone(),
            limit,
        };
        if known.len() > TREE_MANIFESTS {
            return Err(too_large(TREE_TOO_MANY));
        }
        let reads = level.iter();
        let reads: Vec<_> = reads
            .map(|digest| read(&client, path, digest, &budget))
            .collect();
        let mut answers = stream::iter(reads).buffered(AT_A_TIME);
        let mut below = Vec::new();
        for digest in &level {
            let Some(answer) = answers.next().await else {
                break;
            };
            match answer {
                Err(Fault::TooLarge) => return Err(too_large(TREE_TOO_LARGE)),
                Ok(facts) => {
                    let children = facts.manifests.iter().flatten().map(|child| &child.digest);
                    below.extend(
                        children
                            .filter(|child| known.insert((*child).clone()))
                            .cloned(),
                    );
                    resolved.facts.push(facts);
                }
                Err(fault) if depth == 0 => return Err(at_root(repository, digest, fault)),
                Err(Fault::Registry(error)) => resolved.unreadable.push((digest.clone(), *error)),
                Err(Fault::Manifest(error)) => resolved.invalid.push((digest.clone(), error)),
            }
        }
        drop(answers);
        if below.is_empty() {
            break;
        }
        // What is in the deepest index that is allowed is read too, and nothing below that: if it is
        // an index, this much is known to hold an application back as invalid.
        if depth == TREE_LEVELS {
            break;
        }
        level = below;
    }
    Ok(resolved)
}

enum Fault {
    Registry(Box<OciError>),
    Manifest(ManifestError),
    /// The budget of the tree is used up.
    TooLarge,
}

fn at_root(repository: &RepositoryName, digest: &Digest, fault: Fault) -> ResolveError {
    match fault {
        Fault::Registry(cause) if cause.is_not_found() => ResolveError::NotReadable {
            repository: repository.clone(),
            reference: digest.to_string(),
            cause,
        },
        Fault::Registry(cause) => ResolveError::Registry(*cause),
        Fault::TooLarge => ResolveError::TooLarge {
            repository: repository.clone(),
            digest: digest.clone(),
            limit: TREE_TOO_LARGE,
        },
        Fault::Manifest(cause) => ResolveError::Invalid {
            repository: repository.clone(),
            digest: digest.clone(),
            cause,
        },
    }
}

/// The facts of one manifest.
async fn read(
    client: &Client,
    path: &str,
    digest: &Digest,
    budget: &TreeBudget,
) -> Result<ManifestResolved, Fault> {
    let registry = |error| Fault::Registry(Box::new(error));
    let raw = client
        .get_manifest(path, &Reference::Digest(digest.clone()))
        .await
        .map_err(registry)?;
    if !budget.take(raw.bytes.len()) {
        return Err(Fault::TooLarge);
    }
    let manifest =
        Manifest::parse(&raw.bytes, raw.content_type.as_deref()).map_err(Fault::Manifest)?;
    drop(raw);
    let labels = match &manifest.config {
        // Only an image's configuration has labels; whatever else a config is, is not looked into.
        Some(config)
            if matches!(
                config.media_type.as_str(),
                media_type::OCI_CONFIG | media_type::DOCKER_CONFIG
            ) =>
        {
            match client.get_blob(path, &config.digest, CONFIG_LIMIT).await {
                Ok(bytes) => facts::labels(&bytes),
                Err(OciError::TooLarge { .. }) => None,
                Err(error) => return Err(registry(error)),
            }
        }
        _ => None,
    };
    let kept = labels.iter().flatten();
    if !budget.take(kept.map(|(name, value)| name.len() + value.len()).sum()) {
        return Err(Fault::TooLarge);
    }
    Ok(facts::of(digest, manifest, labels))
}
