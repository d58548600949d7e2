//! The resolver: looks up manifests whose children or configuration are not known, and says what
//! it found as `weir.manifest.resolved`. What cannot be read yet is tried again later.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::mpsc;
use weir_schema::{Body, Digest, Event, Received, RepositoryName};

use super::{DaemonError, Shared, leader::Acting, own_event};
use crate::resolve::{self, Resolved};

/// The longest wait before an unreadable manifest is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A manifest to look up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
}

/// What a state leaves to be looked up: tagged manifests of which not all is known that a report or
/// a rule may ask.
fn open(state: &weir_rules::State) -> Vec<Job> {
    let tags = state.bound_tags().into_iter();
    let open: BTreeSet<Job> = tags
        .filter(|(_, digest)| !state.is_resolved(digest))
        .map(|((repository, _), digest)| Job { repository, digest })
        .collect();
    open.into_iter().collect()
}

/// What an event leaves to be looked up.
pub(crate) fn job(event: &Event) -> Option<Job> {
    match &event.body {
        Body::ImagePushed(push) => Some(Job {
            repository: push.repository.clone(),
            digest: push.digest.clone(),
        }),
        _ => None,
    }
}

impl Shared {
    /// Hands manifests to the resolver, where their registry may be asked.
    pub(crate) fn look_up(&self, jobs: Vec<Job>) {
        for job in jobs {
            if self.config.reaches(&job.repository) {
                self.resolver.send(job);
            }
        }
    }
}

/// Looks up what is open and what is asked for, until this node acts no longer.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let (sender, mut jobs) = mpsc::unbounded_channel();
    shared.resolver.set(sender);
    shared.look_up(shared.node.ask(open).await?);
    let mut again: BTreeSet<(tokio::time::Instant, Job, u32)> = BTreeSet::new();
    loop {
        let waiting = again.len() + jobs.len();
        shared
            .manifests_open
            .store(waiting, std::sync::atomic::Ordering::Relaxed);
        let due = again.first().map(|(at, _, _)| *at);
        let (job, tries) = tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => (job, 0),
                // Another run has taken over from this one.
                None => return std::future::pending().await,
            },
            () = sleep_until(due) => match again.pop_first() {
                Some((_, job, tries)) => (job, tries),
                None => continue,
            },
        };
        let digest = job.digest.clone();
        if shared
            .node
            .ask(move |state| state.is_resolved(&digest))
            .await?
        {
            continue;
        }
        match resolve::resolve(&shared.clients, &job.repository, &job.digest).await {
            Ok(found) => {
                if let Err(error) = acting.say(events(&found), &None, None).await {
                    tracing::error!(%error, repository = %job.repository, digest = %job.digest, "what was found is not recorded");
                    continue;
                }
                if !found.unreadable.is_empty() {
                    retry(&mut again, job, tries);
                }
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, repository = %job.repository, digest = %job.digest, "not resolved yet");
                retry(&mut again, job, tries);
            }
            Err(error) => tracing::error!(%error, "cannot be resolved"),
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn retry(again: &mut BTreeSet<(tokio::time::Instant, Job, u32)>, job: Job, tries: u32) {
    let wait = Duration::from_secs(1)
        .saturating_mul(1 << tries.min(6))
        .min(LONGEST_WAIT);
    again.insert((tokio::time::Instant::now() + wait, job, tries + 1));
}

/// What was found, as events. The same fact has the same identifier whoever finds it.
pub(crate) fn events(found: &Resolved) -> Vec<Received> {
    let facts = found.facts.iter();
    facts
        .map(|fact| {
            own_event(
                format!("resolved-{}", fact.digest),
                Body::ManifestResolved(fact.clone()),
            )
        })
        .collect()
}
