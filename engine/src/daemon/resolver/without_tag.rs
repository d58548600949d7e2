//! What a node that begins to act has to look up though no tag holds it: signatures and whatever else
//! refers to an image are pushed by digest alone, and that they do is known once they are read.
//!
//! The state knows which manifests nothing is known of, and the log where they were pushed, and which
//! of them were read at all: those are not read again.

use weir_schema::Digest;

use super::Job;
use crate::{
    daemon::{DaemonError, Shared},
    query,
};

/// So many, the newest, are looked for: finding them takes seconds then, and where registries are told
/// of that nobody may ask there are ever more.
const MOST: usize = 10_000;

/// Manifests that no tag holds and that nobody has read.
pub(super) async fn open(shared: &Shared) -> Result<Vec<Job>, DaemonError> {
    if shared.config.reaches_none() {
        return Ok(Vec::new());
    }
    let unknown = shared.node.ask(|state| {
        let newest = state.unresolved_without_tag().take(MOST + 1);
        newest.cloned().collect::<Vec<Digest>>()
    });
    let mut unknown = unknown.await?;
    if unknown.len() > MOST {
        tracing::warn!(
            "more than {MOST} manifests that no tag holds were never read: the oldest are not looked up; if one of them refers to an image, push it again"
        );
        unknown.truncate(MOST);
    }
    let index = shared.node.index().clone();
    let search = move || query::never_read(&index, unknown.into_iter().collect());
    let found = tokio::task::spawn_blocking(search).await?;
    let found = found.map_err(|error| error.to_string())?.into_iter();
    let jobs = found.map(|(repository, digest)| Job { repository, digest });
    Ok(jobs.collect())
}
