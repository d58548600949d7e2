//! Deliveries of the stream that lack something which a registry has to be asked for. The stream is
//! read on meanwhile, so every node keeps which of them are open, in one batch with what it read.
//! The one that acts asks; what it finds comes back through the stream and says which delivery is
//! no longer open. Whoever takes over reads those that are again, and asks again.

mod open;
mod queue;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use weir_schema::{Body, Digest, InputRejected, Received};

pub(crate) use self::open::Lookups;
use self::queue::{Queue, Turn};
use super::{
    DaemonError, Shared, feed, intake,
    leader::{Acting, Unsayable},
    own_event, resolver,
};
use crate::{
    adapters::{self, Pending},
    node::Trace,
    stream::{Settled, Stream},
};

/// Where the log keeps the sequences of open deliveries.
pub(crate) const OPEN: &str = "open-lookups";

/// How long to wait before a delivery is read or told again that could not be.
const PAUSE: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// The delivery at this sequence is open.
    Open(u64),
    /// What was open is at its place in the stream no longer: [`Lookups::leave_behind`].
    Earlier,
}

/// A delivery that lacks something.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) sequence: u64,
    pub(crate) source: String,
    pub(crate) pending: Vec<Pending>,
    pub(crate) trace: Trace,
}

/// A delivery of which nothing can be found out.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) source: String,
    pub(crate) event: Received,
    pub(crate) trace: Trace,
}

/// Finds out what open deliveries lack, until this node acts no longer.
pub(crate) async fn run(acting: &Acting, stream: &Arc<Stream>) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let (sender, mut coming) = mpsc::unbounded_channel();
    shared.asker.set(sender);
    let mut queue = Queue::default();
    for sequence in shared.lookups.all() {
        queue.add(sequence, Instant::now());
    }
    let mut asking = JoinSet::new();
    let mut earlier = JoinSet::new();
    earlier.spawn(reject_earlier(acting.clone()));
    loop {
        while let Some(turn) = queue.begin(Instant::now()) {
            let (acting, stream) = (acting.clone(), Arc::clone(stream));
            asking.spawn(async move {
                match read(&acting.shared, &stream, turn.sequence).await? {
                    Some(Ok(open)) => ask(&acting, open, &turn).await,
                    Some(Err(rejected)) => reject(&acting, rejected, turn.sequence.into()).await,
                    None => {
                        let gone = gone(stream.created(), turn.sequence, GONE);
                        reject(&acting, gone, turn.sequence.into()).await;
                    }
                }
                Ok::<_, DaemonError>(turn.sequence)
            });
        }
        tokio::select! {
            job = coming.recv() => match job {
                Some(Job::Open(sequence)) => queue.add(sequence, Instant::now()),
                Some(Job::Earlier) => {
                    queue.leave();
                    earlier.spawn(reject_earlier(acting.clone()));
                }
                // Another run has taken over from this one.
                None => return std::future::pending().await,
            },
            Some(done) = asking.join_next() => queue.end(done??),
            Some(done) = earlier.join_next() => done?,
        }
    }
}

/// Reads a delivery again, for as long as it takes; `None` if it is no longer in the stream.
///
/// # Errors
/// If its decoder panicked.
async fn read(
    shared: &Arc<Shared>,
    stream: &Stream,
    sequence: u64,
) -> Result<Option<Result<Open, Rejected>>, DaemonError> {
    loop {
        match stream.message(sequence).await {
            Ok(Some(message)) => return feed::open(shared, stream, message).await.map(Some),
            Ok(None) => return Ok(None),
            Err(error) => tracing::warn!(%error, sequence, "a delivery cannot be read again yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a delivery is rejected that the stream holds no longer.
const GONE: &str = "it waited for an answer of its registry, and the stream no longer holds it: it was purged, or was there for longer than the stream keeps anything (`max_age`); see that the registry answers, and send it again";

/// Why a delivery is rejected that may be another at its place in the stream.
const EARLIER: &str = "it waited for an answer of its registry when the stream was made anew or lost inputs, and is not there to be read again: send it again";

/// The rejection of a delivery of which nothing is left but its place in the stream created at `created`.
fn gone(created: &str, sequence: u64, reason: &str) -> Rejected {
    tracing::warn!(
        sequence,
        stream_created = created,
        "a delivery is rejected: {reason}"
    );
    let rejected = InputRejected {
        reason: format!(
            "the delivery at {sequence} of the stream created at {created} is lost: {reason}"
        ),
        // Of what is left of the payload.
        payload_digest: Digest::of(b""),
        adapter: None,
        payload: None,
    };
    // The same whoever says it.
    let id = format!("rejected-{created}-{sequence}");
    Rejected {
        source: String::new(),
        event: own_event(id, Body::InputRejected(rejected)),
        trace: None,
    }
}

/// Rejects the deliveries that were left behind.
async fn reject_earlier(acting: Acting) {
    for (created, sequence) in acting.shared.lookups.earlier() {
        let gone = gone(&created, sequence, EARLIER);
        let created = Some(created);
        reject(&acting, gone, Settled { sequence, created }).await;
    }
}

/// Says that a delivery is rejected, for as long as it takes.
async fn reject(acting: &Acting, rejected: Rejected, settles: Settled) {
    let Rejected {
        source,
        event,
        trace,
    } = rejected;
    let sequence = settles.sequence;
    while let Err(error) = acting
        .say_found(
            vec![event.clone()],
            Some(&source),
            &trace,
            Some(settles.clone()),
        )
        .await
    {
        tracing::error!(%error, sequence, "that a delivery is rejected could not be said; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Finds out what a delivery lacks, or rejects it, and says so, the last of it with the word that this
/// was all.
async fn ask(acting: &Acting, open: Open, turn: &Turn) {
    let shared = &acting.shared;
    let sequence = open.sequence;
    let count = open.pending.len();
    for (place, one) in open.pending.into_iter().enumerate() {
        let settles = (place + 1 == count).then(|| Settled::from(sequence));
        loop {
            let found = match turn.patience {
                Some(patience) => {
                    intake::resolved(shared, &open.source, one.clone(), patience).await
                }
                None => Ok(vec![adapters::rejection(
                    &open.source,
                    one.clone().rejected(queue::TOO_MANY),
                )]),
            };
            let said = match found {
                Ok(events) => {
                    let source = Some(&*open.source);
                    resolver::say_in_parts(acting, events, source, &open.trace, settles.clone())
                        .await
                }
                Err(error) => Err(error),
            };
            match said {
                Ok(()) => break,
                Err(error) if error.is::<Unsayable>() => {
                    tracing::error!(%error, sequence, "what a delivery lacks can never be said: it stays open");
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, sequence, "what a delivery lacks could not be said; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
