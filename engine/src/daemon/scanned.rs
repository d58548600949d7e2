//! What a scan is of, whose report names a tag and no digest (E21): what the tag pointed at when it
//! was scanned. Where the tag may have pointed elsewhere then, nothing is concluded.
//!
//! The log proves what a tag was since a push that it was told of. What was found at a registry has
//! been there for nobody knows how long: it is believed to have been there, unless the image or the
//! log says otherwise.

use chrono::TimeDelta;
use weir_rules::Bound;
use weir_schema::{Digest, Record, RepositoryName, Tag, Timestamp};

use super::{
    DaemonError, Shared,
    intake::{tag_digest, without_registry},
    reconcile,
};
use crate::{query, resolve};

/// How far the clocks of a scanner and of a registry, or of Weir, may be apart. What a tag that was
/// not known before points at may have been scanned by so much earlier.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);

/// What a tag pointed at when it was scanned, or why that is not known.
pub(super) async fn scanned(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
    scanned_at: Option<Timestamp>,
    patience: std::time::Duration,
) -> Result<Result<Digest, String>, DaemonError> {
    let place = (repository.clone(), tag.clone());
    let bound = shared
        .node
        .ask(move |state| state.bound(&place.0, &place.1))
        .await?;
    let first = first_bound(shared, repository, tag).await?;
    let since = Since::of(bound.as_ref(), first.as_ref());
    if let Some(doubt) = since.doubt(scanned_at) {
        return Ok(Err(doubt));
    }
    let digest = match pointed_at(shared, repository, tag, bound, patience).await {
        Ok(digest) => digest,
        Err(cause) => return Ok(Err(cause)),
    };
    if let (Since::Unknown, Some(at)) = (since, scanned_at)
        && shared.config.reaches(repository)
        && let Some(made) = resolve::created(&shared.clients, repository, &digest).await
        && at.saturating_add(CLOCKS_APART) < made
    {
        return Ok(Err(format!(
            "the tag was scanned at {at}, and {digest}, at which it points, was made at {made}: {REMEDY}"
        )));
    }
    Ok(Ok(digest))
}

/// What to do about a scan that cannot be bound.
const REMEDY: &str = "scan it again, or send the digest that was scanned";

/// Since when a tag is known to point at what it points at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    /// This time, when a push was told of, and nothing that it pointed at before is known.
    Pushed(Timestamp),
    /// This time, by the log's clock. It pointed elsewhere before, or was deleted.
    Moved(Timestamp),
    /// It pointed at something, and was deleted.
    Deleted,
    /// Nobody knows: the registry says what it is, and the log never knew it to be anything else.
    Unknown,
}

impl Since {
    /// `first` is the record that first pointed the tag at anything.
    fn of(bound: Option<&Bound>, first: Option<&Record>) -> Self {
        match (bound, first) {
            (None, None) => Self::Unknown,
            (None, Some(_)) => Self::Deleted,
            (Some(bound), Some(first)) if first.seq == bound.binding => {
                if reconcile::is_found(&first.event) {
                    return Self::Unknown;
                }
                // A push that was told of late was there before.
                Self::Pushed(first.event.time.unwrap_or(bound.since).min(bound.since))
            }
            (Some(bound), _) => Self::Moved(bound.since),
        }
    }

    /// Why a scan made then may be of something else.
    fn doubt(self, scanned_at: Option<Timestamp>) -> Option<String> {
        let (since, what) = match (self, scanned_at) {
            (Self::Unknown, _) | (Self::Pushed(_), None) => return None,
            (Self::Pushed(since), Some(at)) if at.saturating_add(CLOCKS_APART) >= since => {
                return None;
            }
            (Self::Moved(since), Some(at)) if at >= since => return None,
            (Self::Deleted, _) => {
                return Some(format!(
                    "the tag was deleted, and the scan may be of what it pointed at before: {REMEDY}"
                ));
            }
            (Self::Pushed(since), Some(at)) => (since, format!("scanned at {at}")),
            (Self::Moved(since), Some(at)) => (since, format!("scanned at {at}")),
            (Self::Moved(since), None) => (since, "that does not say when it was made".into()),
        };
        Some(format!(
            "the tag points at what it does since {since}, and a scan {what} may be of what it pointed at before: {REMEDY}"
        ))
    }
}

/// What a tag points at, by the log and the registry.
async fn pointed_at(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
    bound: Option<Bound>,
    patience: std::time::Duration,
) -> Result<Digest, String> {
    if !shared.config.reaches(repository) {
        let known = bound.map(|bound| bound.digest);
        return known.ok_or_else(|| without_registry(repository));
    }
    match (
        tag_digest(shared, repository, tag, patience).await,
        bound.map(|bound| bound.digest),
    ) {
        (Ok(now), Some(known)) if now != known => Err(format!(
            "the registry has {now} under the tag, and the log {known}: which of them was scanned is not known; {REMEDY}"
        )),
        // A registry that cannot be asked has not moved it, as far as anybody knows.
        (Ok(_) | Err(_), Some(known)) => Ok(known),
        (now, None) => now,
    }
}

/// The record that first pointed a tag at anything.
async fn first_bound(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Option<Record>, DaemonError> {
    let index = shared.node.index().clone();
    let (repository, tag) = (repository.clone(), tag.clone());
    let look_up = move || query::first_bound(&index, repository.as_str(), tag.as_str());
    let found = tokio::task::spawn_blocking(look_up).await?;
    Ok(found.map_err(|error| error.to_string())?)
}
