//! Deliveries of the stream that lack something which a registry has to be asked for. The stream is
//! read on meanwhile, so which of them are open is kept beside the log: a node that dies before an
//! answer is in the stream reads the delivery again when it starts, and asks again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::{DaemonError, Shared, feed, intake};
use crate::{adapters::Pending, log::LogReader, stream::Stream};

/// Where the log keeps the sequences of open deliveries.
const OPEN: &str = "open-lookups";

/// More deliveries than this are not kept: their answers would be out of date when they come.
const MOST: usize = 100_000;

/// The deliveries that are open, by their sequence in the stream.
#[derive(Debug, Default)]
pub(crate) struct Lookups(Mutex<BTreeSet<u64>>);

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

    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<u64>) -> T) -> (T, Vec<u8>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut open);
        // Numbers are written without fail.
        (done, serde_json::to_vec(&*open).unwrap_or_default())
    }
}

async fn keep(shared: &Shared, open: Vec<u8>) -> Result<(), DaemonError> {
    shared
        .node
        .ask_ledger(move |ledger| ledger.log_mut().meta_put(OPEN, &open))
        .await??;
    Ok(())
}

/// Notes deliveries as open; returns once that is durable. Only then may the position in the stream
/// be moved past them.
pub(crate) async fn begin(shared: &Shared, sequences: &[u64]) -> Result<(), DaemonError> {
    if sequences.is_empty() {
        return Ok(());
    }
    let (_, open) = shared.lookups.change(|open| {
        open.extend(sequences);
        while open.len() > MOST {
            open.pop_first();
        }
    });
    keep(shared, open).await
}

/// Finds out what the delivery `sequence` lacks, and says it in the stream; then it is not open any
/// more.
pub(crate) fn ask(shared: &Arc<Shared>, sequence: u64, source: String, pending: Vec<Pending>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let done = async {
            for one in pending {
                let events = intake::resolved(&shared, &source, one, intake::PATIENCE).await?;
                shared.submit(events).await?;
            }
            let (_, open) = shared.lookups.change(|open| open.remove(&sequence));
            keep(&shared, open).await
        };
        if let Err(error) = done.await {
            tracing::error!(%error, sequence, "a delivery is still to be looked up, at the next start at the latest");
        }
    });
}

/// Asks again for what was open when the node ended.
pub(crate) async fn resume(shared: &Arc<Shared>, stream: &Stream) -> Result<(), DaemonError> {
    let (open, _) = shared.lookups.change(|open| open.clone());
    for sequence in open {
        match stream.message(sequence).await? {
            Some(message) => {
                let (source, pending) = feed::pending(shared, stream, &message);
                ask(shared, sequence, source, pending);
            }
            None => {
                tracing::warn!(
                    sequence,
                    "a delivery that was to be looked up is no longer in the stream"
                );
                ask(shared, sequence, String::new(), Vec::new());
            }
        }
    }
    Ok(())
}
