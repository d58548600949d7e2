//! The resolver: looks up manifests whose children or configuration are not known, and says what
//! it found as `weir.manifest.resolved`. What cannot be read yet is tried again, for as long as a tag
//! needs it.
//!
//! Lookups run beside each other, a few of each registry: one that answers slowly, or never, holds
//! up none but itself. In which order they end is of no account, since what they found is an input
//! like any other, and each replica reads the inputs in one order.

mod later;
mod queue;
mod without_tag;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::Instant,
};
use weir_schema::{Body, Digest, Event, Received, RepositoryName};

use self::{later::Later, queue::Queue};
use super::{DaemonError, LONGEST_ASKED_WAIT, Shared, leader::Acting, own_event};
use crate::{
    backoff::doubled,
    node::Trace,
    resolve::{self, ResolveError, Resolved},
    stream::Settled,
};

/// The first wait before an unreadable manifest is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// So often, within some minutes, a manifest is asked for that no tag needs: signatures are pushed by
/// digest, and a registry may tell of what it does not give yet. A registry that is away says nothing
/// of what it has: that is not counted.
const TRIES_WITHOUT_TAG: u32 = 8;

/// Lookups at a time. Each holds what it reads until it is told.
const AT_A_TIME: usize = 32;

/// So many bytes of events are handed over at a time, or one event that has more: a batch is held
/// several times over before it is durable.
const PART_BYTES: usize = 1 << 20;

/// A manifest to look up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
}

/// What a state leaves to be looked up: tagged manifests of which not all is known that a report or
/// a rule may ask. What no tag holds is found apart ([`without_tag`]).
fn open(state: &weir_rules::State) -> Vec<Job> {
    let tags = state.tag_bindings().into_iter();
    let open: BTreeSet<Job> = tags
        .filter(|(_, (digest, _))| !state.is_resolved(digest))
        .map(|((repository, _), (digest, _))| Job { repository, digest })
        .collect();
    open.into_iter().collect()
}

/// Whether a manifest that was asked for `tries` times is still to be. A tag needs what it points at
/// and what is below that, as for [`open`]; of other manifests nobody asks for ever.
fn is_wanted(state: &weir_rules::State, job: &Job, tries: u32) -> bool {
    let Job { repository, digest } = job;
    if state.is_resolved(digest) {
        return false;
    }
    let may_come = || tries < TRIES_WITHOUT_TAG && !state.is_deleted(repository, digest);
    state.is_under_tag(repository, digest) || may_come()
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
    let mut finding = JoinSet::new();
    let of_log = Arc::clone(shared);
    finding.spawn(async move { without_tag::open(&of_log).await });
    let mut queue = Queue::default();
    let mut later = Later::default();
    let mut lookups = JoinSet::new();
    let turn = Arc::new(Mutex::new(()));
    loop {
        while lookups.len() < AT_A_TIME
            && let Some((job, tries)) = queue.begin()
        {
            let (acting, turn) = (acting.clone(), Arc::clone(&turn));
            lookups.spawn(async move {
                let next = look_up(&acting, &job, tries, &turn).await;
                (job, next)
            });
        }
        let open = later.len() + jobs.len() + queue.len();
        shared.manifests_open.store(open, Ordering::Relaxed);
        let due = later.first_due();
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => {
                    later.remove(&job);
                    queue.add(job, 0);
                }
                // Another run has taken over from this one.
                None => {
                    lookups.shutdown().await;
                    return std::future::pending().await;
                }
            },
            () = sleep_until(due) => if let Some((job, tries)) = later.pop_first() {
                queue.add(job, tries);
            },
            Some(found) = finding.join_next() => shared.look_up(found??),
            Some(done) = lookups.join_next() => {
                let (job, next) = done?;
                queue.end(&job);
                if let Next::Again(wait, tries) = next? {
                    later.add(job, Instant::now() + wait, tries);
                }
            }
        }
    }
}

/// What becomes of a lookup.
enum Next {
    Done,
    /// After this time, as one that was tried so often.
    Again(Duration, u32),
}

/// Looks up one manifest with all below it, and says what was found, when it is its turn: what is
/// handed over waits in no more than one batch.
async fn look_up(
    acting: &Acting,
    job: &Job,
    tries: u32,
    turn: &Mutex<()>,
) -> Result<Next, DaemonError> {
    let shared = &acting.shared;
    let asked = job.clone();
    let wanted = shared
        .node
        .ask(move |state| is_wanted(state, &asked, tries));
    if !wanted.await? {
        return Ok(Next::Done);
    }
    match resolve::resolve(&shared.clients, &job.repository, &job.digest).await {
        Ok(found) => {
            let asked = found.unreadable.iter();
            let asked = asked.filter_map(|(_, error)| error.retry_after()).max();
            let is_whole = found.unreadable.is_empty();
            for (digest, error) in &found.invalid {
                let registry = job.repository.registry();
                let registry = registry.or(shared.config.default_registry.as_deref());
                tracing::error!(%error, registry, repository = %job.repository, %digest, below = %job.digest, "no manifest that can be understood: what lists it stays incomplete; push it again whole");
            }
            let events = events(&found);
            drop(found);
            let _turn = turn.lock().await;
            if let Err(error) = say_in_parts(acting, events, None, &None, None).await {
                tracing::error!(%error, repository = %job.repository, digest = %job.digest, "what was found is not recorded");
                return Ok(Next::Done);
            }
            Ok(if is_whole {
                Next::Done
            } else {
                Next::Again(wait(tries, asked), tries.saturating_add(1))
            })
        }
        Err(error) if error.is_retryable() => {
            tracing::warn!(%error, repository = %job.repository, digest = %job.digest, "not resolved yet");
            let wait = wait(tries, error.retry_after());
            Ok(Next::Again(wait, tries_after(tries, &error)))
        }
        Err(error) => {
            tracing::error!(%error, repository = %job.repository, digest = %job.digest, "cannot be resolved");
            Ok(Next::Done)
        }
    }
}

/// Says what was found in parts, the last of which settles a delivery.
///
/// # Errors
/// As [`Acting::say_found`]; what is behind is not said.
pub(crate) async fn say_in_parts(
    acting: &Acting,
    events: Vec<Received>,
    source: Option<&str>,
    trace: &Trace,
    settles: Option<Settled>,
) -> Result<(), DaemonError> {
    let mut parts = parts(events).into_iter().peekable();
    while let Some(part) = parts.next() {
        let settles = settles.clone().filter(|_| parts.peek().is_none());
        acting.say_found(part, source, trace, settles).await?;
    }
    Ok(())
}

fn parts(events: Vec<Received>) -> Vec<Vec<Received>> {
    let mut parts: Vec<Vec<Received>> = Vec::new();
    let mut left = 0;
    for event in events {
        let size = event.json.len();
        match parts.last_mut() {
            Some(part) if size <= left => {
                left -= size;
                part.push(event);
            }
            _ => {
                left = PART_BYTES.saturating_sub(size);
                parts.push(vec![event]);
            }
        }
    }
    parts
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How long to wait after `tries` failures before the next try; as long as was `asked` for, if so.
fn wait(tries: u32, asked: Option<Duration>) -> Duration {
    let back_off = doubled(FIRST_WAIT, tries, LONGEST_WAIT);
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED_WAIT);
    back_off.max(asked)
}

/// How often a manifest was tried, after an error: it is not given up for one that is not of it.
fn tries_after(tries: u32, error: &ResolveError) -> u32 {
    let tries = tries.saturating_add(1);
    match error {
        ResolveError::Registry(error) if error.is_retryable() => tries.min(TRIES_WITHOUT_TAG - 1),
        _ => tries,
    }
}

/// What was found, as events, children before parents: as long as the thing itself is not told, no
/// decision depends on what is in it, and one follows when all is known instead of one for each
/// part. The same fact has the same identifier whoever finds it.
pub(crate) fn events(found: &Resolved) -> Vec<Received> {
    let facts = found.facts.iter().rev();
    facts
        .map(|fact| {
            own_event(
                format!("resolved-{}", fact.digest),
                Body::ManifestResolved(fact.clone()),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_at_a_time_is_bounded() {
        let event = |size: usize| {
            let body = Body::InputRejected(weir_schema::InputRejected {
                reason: "x".repeat(size),
                payload_digest: Digest::of(b""),
                adapter: None,
                payload: None,
            });
            own_event("1".into(), body)
        };
        let sizes = [10, PART_BYTES, 10, 10, PART_BYTES / 2, PART_BYTES / 2];
        let parts = parts(sizes.into_iter().map(event).collect());
        let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 1, 3, 1]);
    }

    /// Whether what was asked for so often is asked for after these events.
    fn check_wanted(events: &[(&str, serde_json::Value)], job: &Job, tries: u32, expected: bool) {
        let mut state = weir_rules::State::new(weir_rules::Settings::default());
        for (kind, data) in events {
            let event = serde_json::json!({
                "specversion": "1.0", "id": "1", "source": "test",
                "type": format!("weir.{kind}"), "data": data,
            });
            let event = Event::from_json(event.to_string().as_bytes()).unwrap();
            let at = "2026-03-02T00:00:00Z".parse().unwrap();
            let execution = weir_rules::Execution::Commands;
            weir_rules::step(&mut state, at, &event.body, execution);
        }
        assert_eq!(is_wanted(&state, job, tries), expected, "{events:?}");
    }

    #[test]
    fn a_manifest_is_asked_for_as_long_as_a_tag_of_its_repository_needs_it() {
        let (index, image) = (Digest::of(b"index"), Digest::of(b"image"));
        let of = |digest: &Digest| Job {
            repository: "dev/web".parse().unwrap(),
            digest: digest.clone(),
        };
        let push = |repository: &str, tag: Option<&str>| {
            let mut data = serde_json::json!({
                "repository": repository, "digest": index,
                "media_type": "application/vnd.oci.image.index.v1+json",
                "manifests": [{"digest": image, "media_type": "application/vnd.oci.image.manifest.v1+json"}],
            });
            if let Some(tag) = tag {
                data["tag"] = tag.into();
            }
            ("image.pushed", data)
        };
        let tag_deleted = (
            "tag.deleted",
            serde_json::json!({"repository": "dev/web", "tag": "1"}),
        );
        let deleted = (
            "manifest.deleted",
            serde_json::json!({"repository": "dev/web", "digest": index}),
        );
        let tagged = push("dev/web", Some("1"));
        for asked in [of(&index), of(&image)] {
            check_wanted(std::slice::from_ref(&tagged), &asked, 1_000, true);
            check_wanted(&[tagged.clone(), tag_deleted.clone()], &asked, 1_000, false);
            check_wanted(&[push("prod/web", Some("1"))], &asked, 1_000, false);
        }
        let gone = [tagged, deleted];
        check_wanted(&gone, &of(&index), 0, false);
        // Nobody needs it yet: it may be a signature, or be tagged in a moment.
        let untagged = [push("dev/web", None)];
        check_wanted(&untagged, &of(&index), 0, true);
        check_wanted(&untagged, &of(&index), TRIES_WITHOUT_TAG - 1, true);
        check_wanted(&untagged, &of(&index), TRIES_WITHOUT_TAG, false);
        // What an artifact refers to is not known by its type.
        let mut artifact = push("dev/web", None);
        artifact.1["artifact_type"] = "text/signature".into();
        artifact.1["media_type"] = "application/vnd.oci.image.manifest.v1+json".into();
        check_wanted(std::slice::from_ref(&artifact), &of(&index), 0, true);
        let mut read = ("manifest.resolved", artifact.1.clone());
        read.1["subject"] = image.to_string().into();
        check_wanted(&[artifact, read], &of(&index), 0, false);
        // The stream's reader may be behind.
        check_wanted(&[], &of(&index), 0, true);
    }

    #[test]
    fn a_registry_that_is_away_is_no_reason_to_give_up_what_no_tag_needs() {
        let away = ResolveError::Registry(crate::oci::OciError::Connection {
            registry: "r.io".into(),
            what: "reading".into(),
            reason: "refused".into(),
        });
        let missing = ResolveError::NotReadable {
            repository: "dev/web".parse().unwrap(),
            reference: "1".into(),
            cause: Box::new(crate::oci::OciError::NotFound {
                registry: "r.io".into(),
                what: "reading".into(),
                codes: Vec::new(),
                message: String::new(),
            }),
        };
        assert_eq!(tries_after(0, &away), 1);
        let tries = (0..1_000).fold(0, |tries, _| tries_after(tries, &away));
        assert!(tries < TRIES_WITHOUT_TAG);
        assert!(tries_after(tries, &missing) >= TRIES_WITHOUT_TAG);
    }

    #[test]
    fn a_lookup_waits_ever_longer_and_as_long_as_it_is_asked_to() {
        let check = |tries, asked: Option<u64>, expected| {
            assert_eq!(
                wait(tries, asked.map(Duration::from_secs)).as_secs(),
                expected
            );
        };
        check(0, None, 1);
        check(3, None, 8);
        check(99, None, 60);
        check(0, Some(600), 600);
        check(9, Some(5), 60);
        check(0, Some(u64::MAX), 3600);
    }
}
