//! One promotion, copied: by digest, on raw bytes, the tag last.
//!
//! ```text
//! survey      read the tree at the source: every leaf is there, and none that can be run was left
//!             out of what had to be scanned, or nothing is begun
//! leaves      blobs mounted or streamed, and seen there; then the manifest, by digest. Also the
//!             blobs of a manifest that is there already
//! indexes     deepest first, by digest
//! referrers   signatures, attestations, SBOMs of every manifest of the tree; a tag of these that
//!             other copies add to as well is written by one at a time
//! verify      every digest at the target
//! tag         if the target is still what the decision saw
//! ```
//!
//! Nothing is remembered between runs, and nothing needs to be: what the target has is looked up
//! there. Killed at any point and run again, a copy does what is left, and until its last request
//! the target tag is what it was.

mod blobs;
mod error;
mod hidden;
mod job;
mod referrers;
mod tag;
mod tree;

use std::{collections::BTreeSet, sync::Arc};

use weir_schema::{Digest, RepositoryName, Tag};

use crate::oci::Clients;

pub use error::CopyError;
pub use hidden::Runs;
use job::Job;

/// What to copy, and what the decision to copy it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The digest that was judged.
    pub digest: Digest,
    /// The repository it is in.
    pub source: RepositoryName,
    /// The tag that must still point at the digest when the copy begins. `None` for a copy that
    /// has begun before: once begun, it completes whatever becomes of the tag.
    pub source_tag: Option<Tag>,
    /// The repository it goes to.
    pub target: RepositoryName,
    /// The tag it gets there.
    pub target_tag: Tag,
    /// What the target tag pointed at when the decision was made; `None` if there was none.
    pub expected: Option<Digest>,
    /// Tags of signatures, attestations and SBOMs that the source is known to have: where one is not
    /// there, it is for a moment, and the copy would be without it.
    pub known_referrers: BTreeSet<Tag>,
}

/// How far a copy has come; every number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Manifests found so far, referrers among them.
    pub manifests: u64,
    /// Manifests that are at the target.
    pub manifests_done: u64,
    /// Manifests that this run stored there.
    pub manifests_stored: u64,
    /// Blobs mounted.
    pub blobs_mounted: u64,
    /// Blobs whose bytes were moved.
    pub blobs_moved: u64,
    /// Bytes moved.
    pub bytes_moved: u64,
}

/// Called with each step of a copy, from any of its tasks; it must not block.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Asked before the tag is moved: whether this process still is the one to do it.
pub type MayAct = Arc<dyn Fn() -> bool + Send + Sync>;

/// A copy that is done: the target tag points at the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What this run did.
    pub progress: Progress,
    /// The tag pointed at the digest before this run came to it.
    pub already_there: bool,
    /// Referrers that the source lists but no longer has; they are lost there, not here.
    pub lost_referrers: Vec<Digest>,
}

/// Copies one promotion. Returns once the target tag points at the digest and everything below
/// it was seen at the target.
///
/// # Errors
/// [`CopyError::is_retryable`] says whether running it again may help, and
/// [`CopyError::retry_after`] when; the target tag is then what it was, or, if only the answer to
/// the last request was lost, what it should be.
pub async fn run(
    plan: &Plan,
    clients: &Clients,
    progress: OnProgress,
) -> Result<Outcome, CopyError> {
    run_while(plan, clients, progress, Arc::new(|| true)).await
}

/// As [`run`], for as long as `may_act` holds.
///
/// # Errors
/// As [`run`], and [`CopyError::Stopped`].
pub async fn run_while(
    plan: &Plan,
    clients: &Clients,
    progress: OnProgress,
    may_act: MayAct,
) -> Result<Outcome, CopyError> {
    let job = Job::new(plan, clients, progress, may_act)?;
    let mut already_there = tag::check_target(&job, plan).await?;
    tag::check_source(&job, plan).await?;
    let (tree, hidden) = tree::survey(&job, &plan.digest).await?;
    hidden.check(&job)?;
    let root = tree.root().clone();
    tree::copy(&job, &tree).await?;
    let referrers = referrers::copy(&job, &tree).await?;
    tree::verify(&job, &tree, &referrers.copied).await?;
    if !already_there {
        already_there = !tag::set(&job, plan, root).await?;
    }
    Ok(Outcome {
        progress: job.progress(),
        already_there,
        lost_referrers: referrers.lost,
    })
}
