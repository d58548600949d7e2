//! What the log says to the world: decisions, promotions and violations, from its position on.

use std::{sync::Arc, time::Duration};

use weir_schema::{Received, Record, record};

use super::{DaemonError, Shared};
use crate::{
    log::LogReader,
    node::{Recent, Said, is_for_the_world},
    stream::{Cursor, Outbox, Output, OutputBatch, Outputs, Stream},
};

/// Where the log keeps how far its outputs are published.
pub(crate) const CURSOR: &str = "outbox";

/// How often a node that does not publish looks how far the one is that does.
const LOOK: Duration = Duration::from_secs(60);

/// Records that are looked through at once.
const STRIDE: u64 = 4096;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct FromLog {
    reader: LogReader,
    recent: Recent,
}

impl Outputs for FromLog {
    async fn after(&self, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
        let mut through = self.recent.subscribe();
        through.wait_for(|through| *through > after).await?;
        if let Some((said, through)) = self.recent.after(after, max) {
            let outputs = said.into_iter().map(output).collect();
            return Ok(OutputBatch { outputs, through });
        }
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || batch(&reader, after, max)).await?
    }
}

fn output(said: Said) -> Output {
    Output {
        seq: said.seq,
        kind: said.event.event.body.kind().to_owned(),
        id: said.event.event.id.to_string(),
        json: said.event.json,
    }
}

fn batch(reader: &LogReader, after: u64, max: usize) -> Result<OutputBatch, BoxError> {
    let mut found = OutputBatch {
        outputs: Vec::new(),
        through: after,
    };
    for row in reader.range(after + 1, Some(after + STRIDE)) {
        let (seq, bytes) = row?;
        if found.outputs.len() == max {
            break;
        }
        found.through = seq;
        let event = Record::decode(&bytes)?.event;
        if is_for_the_world(&event.body) {
            let event = match record::event_text(&bytes) {
                Some(json) => Received {
                    json: json.to_owned(),
                    event,
                },
                None => event.into(),
            };
            found.outputs.push(output(Said { seq, event }));
        }
    }
    Ok(found)
}

struct InLog(Arc<Shared>);

impl Cursor for InLog {
    async fn load(&self) -> Result<u64, BoxError> {
        Ok(published_through(self.0.node.reader())?)
    }

    async fn store(&self, seq: u64) -> Result<(), BoxError> {
        self.0.published.send_replace(seq);
        self.0.node.note(CURSOR, seq.to_be_bytes().to_vec()).await?;
        Ok(())
    }
}

/// The record through which outputs are published, as far as this node knows.
pub(crate) fn published_through(reader: &LogReader) -> Result<u64, crate::log::ReadError> {
    let kept = reader.meta_get(CURSOR)?;
    Ok(kept
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes))
}

/// What tells this log from others in the stream of outputs: the hash of its first record, which is
/// the same on every node that reads the same stream.
async fn outbox(shared: &Shared, stream: &Stream) -> Result<Outbox, DaemonError> {
    let mut appended = shared.node.recent().subscribe();
    appended.wait_for(|through| *through > 0).await?;
    let first = shared.node.reader().leaf_hash(1)?.unwrap_or_default();
    Ok(Outbox::new(stream, &record::hex(&first)))
}

/// Publishes outputs until this node acts no longer.
pub(crate) async fn run(shared: &Arc<Shared>, stream: &Stream) -> Result<(), DaemonError> {
    if !shared.publishes() {
        return std::future::pending().await;
    }
    let outbox = outbox(shared, stream).await?;
    let outputs = FromLog {
        reader: shared.node.reader().clone(),
        recent: shared.node.recent().clone(),
    };
    let cursor = InLog(Arc::clone(shared));
    match outbox.run(&outputs, &cursor).await? {}
}

/// Notes how far another node has published, until the daemon ends: whoever takes over then begins
/// there, even if all that was published is no longer in the stream.
pub(crate) async fn follow(shared: &Arc<Shared>, stream: &Stream) -> Result<(), DaemonError> {
    if !shared.publishes() {
        return std::future::pending().await;
    }
    let outbox = outbox(shared, stream).await?;
    let cursor = InLog(Arc::clone(shared));
    loop {
        tokio::time::sleep(LOOK).await;
        if shared.standing.borrow().acts() {
            continue;
        }
        match outbox.published().await {
            Ok(published) => {
                let known = cursor.load().await.unwrap_or_default();
                let last = shared.node.reader().head().next_seq - 1;
                if published > known && published <= last {
                    // It may lead by now; then it knows better.
                    let _ = cursor.store(published).await;
                }
            }
            Err(problem) => tracing::debug!(%problem, "cannot look at the outputs published"),
        }
    }
}

impl Shared {
    fn publishes(&self) -> bool {
        let stream = self.config.stream.as_ref();
        stream.is_some_and(|stream| stream.outputs.enabled)
    }
}
