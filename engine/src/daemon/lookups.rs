//! Deliveries of the stream that lack something which a registry has to be asked for. The stream is
//! read on meanwhile, so every node keeps which of them are open, in one batch with what it read.
//! The one that acts asks; what it finds comes back through the stream and says which delivery is
//! no longer open. Whoever takes over reads those that are again, and asks again.

mod open;
mod queue;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use weir_schema::Received;

pub(crate) use self::open::Lookups;
use self::queue::{Queue, Turn};
use super::{
    DaemonError, Shared, feed, intake,
    leader::{Acting, Unsayable},
    resolver,
};
use crate::{
    adapters::{self, Pending},
    node::Trace,
    stream::Stream,
};

/// Where the log keeps the sequences of open deliveries.
pub(crate) const OPEN: &str = "open-lookups";

/// How long to wait before a delivery is read or told again that could not be.
const PAUSE: Duration = Duration::from_secs(10);

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
    loop {
        while let Some(turn) = queue.begin(Instant::now()) {
            let (acting, stream) = (acting.clone(), Arc::clone(stream));
            asking.spawn(async move {
                match read(&acting.shared, &stream, turn.sequence).await? {
                    Some(Ok(open)) => ask(&acting, open, &turn).await,
                    Some(Err(rejected)) => reject(&acting, rejected, turn.sequence).await,
                    None => forget(&acting.shared, turn.sequence).await,
                }
                Ok::<_, DaemonError>(turn.sequence)
            });
        }
        tokio::select! {
            sequence = coming.recv() => {
                let Some(sequence) = sequence else {
                    // Another run has taken over from this one.
                    return std::future::pending().await;
                };
                queue.add(sequence, Instant::now());
            }
            Some(done) = asking.join_next() => queue.end(done??),
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

/// Lets go of a delivery that is gone: there is nothing to be said by which others would know.
async fn forget(shared: &Shared, sequence: u64) {
    tracing::warn!(
        sequence,
        "a delivery that was to be looked up is no longer in the stream"
    );
    if let Some(open) = shared.lookups.change(&[], &[sequence]) {
        // A node that stops asks again when it starts.
        let _ = shared.node.note(OPEN, open).await;
    }
}

/// Says that a delivery is rejected, for as long as it takes.
async fn reject(acting: &Acting, rejected: Rejected, sequence: u64) {
    let Rejected {
        source,
        event,
        trace,
    } = rejected;
    while let Err(error) = acting
        .say_found(vec![event.clone()], Some(&source), &trace, Some(sequence))
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
        let settles = (place + 1 == count).then_some(sequence);
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
                    resolver::say_in_parts(acting, events, source, &open.trace, settles).await
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
