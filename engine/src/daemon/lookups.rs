//! Deliveries of the stream that lack something which a registry has to be asked for. The stream is
//! read on meanwhile, so every node keeps which of them are open, in one batch with what it read.
//! The one that acts asks; what it finds comes back through the stream and says which delivery is
//! no longer open. Whoever takes over reads those that are again, and asks again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{DaemonError, Shared, feed, intake, leader::Acting, resolver};
use crate::{adapters::Pending, log::LogReader, node::Trace, stream::Stream};

/// Where the log keeps the sequences of open deliveries.
pub(crate) const OPEN: &str = "open-lookups";

/// More deliveries than this are not kept: their answers would be out of date when they come.
const MOST: usize = 100_000;

/// How long to wait before a delivery is asked for again that could not be.
const PAUSE: Duration = Duration::from_secs(10);

/// The deliveries that are open, by their sequence in the stream.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<BTreeSet<u64>>);

/// A delivery that lacks something.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) sequence: u64,
    pub(crate) source: String,
    pub(crate) pending: Vec<Pending>,
    pub(crate) trace: Trace,
}

impl Lookups {
    /// Those that were open when the node ended.
    pub(crate) fn of(reader: &LogReader) -> Result<Self, DaemonError> {
        let kept = reader.meta_get(OPEN)?.unwrap_or_default();
        let open: BTreeSet<u64> = if kept.is_empty() {
            BTreeSet::new()
        } else {
            serde_json::from_slice(&kept)?
        };
        Ok(Self(Mutex::new(open)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes in which deliveries came to be open and which no longer are; returns all that are, to be
    /// kept. `None` if nothing changed.
    pub(crate) fn change(&self, opened: &[u64], settled: &[u64]) -> Option<Vec<u8>> {
        if opened.is_empty() && settled.is_empty() {
            return None;
        }
        let mut open = self.lock();
        open.extend(opened);
        while open.len() > MOST {
            open.pop_first();
        }
        for sequence in settled {
            open.remove(sequence);
        }
        // Numbers are written without fail.
        Some(serde_json::to_vec(&*open).unwrap_or_default())
    }

    fn all(&self) -> BTreeSet<u64> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds out what open deliveries lack, until this node acts no longer.
pub(crate) async fn run(acting: &Acting, stream: &Arc<Stream>) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let (sender, mut coming) = mpsc::unbounded_channel();
    shared.asker.set(sender);
    let mut asked = shared.lookups.all();
    let mut asking = JoinSet::new();
    for sequence in asked.clone() {
        let (acting, stream) = (acting.clone(), Arc::clone(stream));
        asking.spawn(async move {
            let open = read(&acting.shared, &stream, sequence).await;
            ask(&acting, open).await;
            sequence
        });
    }
    loop {
        tokio::select! {
            open = coming.recv() => {
                let Some(open) = open else {
                    // Another run has taken over from this one.
                    return std::future::pending().await;
                };
                if asked.insert(open.sequence) {
                    let acting = acting.clone();
                    asking.spawn(async move {
                        let sequence = open.sequence;
                        ask(&acting, open).await;
                        sequence
                    });
                }
            }
            Some(done) = asking.join_next() => {
                asked.remove(&done?);
            }
        }
    }
}

/// Reads a delivery again, for as long as it takes.
async fn read(shared: &Arc<Shared>, stream: &Stream, sequence: u64) -> Open {
    loop {
        match stream.message(sequence).await {
            Ok(Some(message)) => return feed::open(shared, stream, &message),
            Ok(None) => {
                tracing::warn!(
                    sequence,
                    "a delivery that was to be looked up is no longer in the stream"
                );
                return Open {
                    sequence,
                    source: String::new(),
                    pending: Vec::new(),
                    trace: None,
                };
            }
            Err(error) => tracing::warn!(%error, sequence, "a delivery cannot be read again yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Finds out what a delivery lacks and says it, the last of it with the word that this was all.
async fn ask(acting: &Acting, open: Open) {
    let shared = &acting.shared;
    let sequence = open.sequence;
    if open.pending.is_empty() {
        // There is nothing to be said by which others would know.
        if let Some(open) = shared.lookups.change(&[], &[sequence]) {
            // A node that stops asks again when it starts.
            let _ = shared.node.note(OPEN, open).await;
        }
        return;
    }
    let count = open.pending.len();
    for (place, one) in open.pending.into_iter().enumerate() {
        let settles = (place + 1 == count).then_some(sequence);
        loop {
            let found = intake::resolved(shared, &open.source, one.clone(), intake::PATIENCE).await;
            let said = match found {
                Ok(events) => resolver::say_in_parts(acting, events, &open.trace, settles).await,
                Err(error) => Err(error),
            };
            match said {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, sequence, "what a delivery lacks could not be said; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
