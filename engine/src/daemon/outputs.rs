//! What the log says to the world: decisions, promotions and violations, from its position on.

use std::sync::Arc;

use tokio::sync::watch;
use weir_schema::Record;

use super::{DaemonError, Shared};
use crate::{
    log::LogReader,
    stream::{Cursor, Outbox, Output, OutputBatch, Outputs, Stream},
};

/// Where the log keeps how far its outputs are published.
const CURSOR: &str = "outbox";

/// Where the log keeps its own name.
const LOG_ID: &str = "log-id";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct FromLog(LogReader);

impl Outputs for FromLog {
    async fn after(&self, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
        let mut committed = self.0.subscribe();
        committed.wait_for(|last| *last > after).await?;
        let reader = self.0.clone();
        tokio::task::spawn_blocking(move || batch(&reader, after, max)).await?
    }
}

fn batch(reader: &LogReader, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
    let mut found = OutputBatch {
        outputs: Vec::new(),
        through: after,
    };
    for row in reader.range(after + 1, Some(after + 4096)) {
        let (seq, bytes) = row?;
        if found.outputs.len() == max {
            break;
        }
        found.through = seq;
        let event = Record::decode(&bytes)?.event;
        let kind = event.body.kind().to_owned();
        if ["weir.decision.", "weir.promotion.", "weir.violation."]
            .iter()
            .any(|prefix| kind.starts_with(prefix))
        {
            let json = weir_schema::Received::from(event.clone()).json;
            found.outputs.push(Output {
                seq,
                kind,
                id: event.id,
                json,
            });
        }
    }
    Ok(found)
}

struct InLog(Arc<Shared>);

impl Cursor for InLog {
    async fn load(&self) -> Result<u64, BoxError> {
        let kept = self.0.node.reader().meta_get(CURSOR)?;
        Ok(kept
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes))
    }

    async fn store(&self, seq: u64) -> Result<(), BoxError> {
        self.0
            .node
            .ask_ledger(move |ledger| ledger.log_mut().meta_put(CURSOR, &seq.to_be_bytes()))
            .await??;
        Ok(())
    }
}

/// What tells this log from others in the stream of outputs: made once, kept in the log.
pub(crate) async fn log_id(shared: &Shared) -> Result<String, DaemonError> {
    if let Some(kept) = shared.node.reader().meta_get(LOG_ID)? {
        return Ok(String::from_utf8(kept)?);
    }
    let made = uuid::Uuid::new_v4().to_string();
    let bytes = made.clone().into_bytes();
    shared
        .node
        .ask_ledger(move |ledger| ledger.log_mut().meta_put(LOG_ID, &bytes))
        .await??;
    Ok(made)
}

/// Publishes outputs until `stop`.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    stream: &Stream,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let log_id = log_id(shared).await?;
    let outbox = Outbox::new(stream, &log_id);
    let outputs = FromLog(shared.node.reader().clone());
    let cursor = InLog(Arc::clone(shared));
    outbox
        .run(&outputs, &cursor, async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await?;
    std::future::pending().await
}
