//! A delivery that does not fit into a message of the stream: kept by its digest beside the log, and
//! what it means is sent.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use weir_schema::{Digest, InputRejected, Received};

use super::{DaemonError, Shared, intake};
use crate::{
    adapters,
    http::{Accepted, Delivery, IntakeError},
    log::durable,
    stream::{MessageLimit, PublishError},
};

/// Takes a delivery that is larger than `limit`.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    source: &str,
    delivery: &Delivery,
    limit: &MessageLimit,
    trace: &Arc<str>,
) -> Result<Accepted, IntakeError> {
    let unavailable = |error: DaemonError| IntakeError::Unavailable {
        problem: error.to_string(),
        retry_after_seconds: 5,
    };
    let digest = Digest::of(&delivery.body);
    let kept = keep(shared, &digest, delivery.body.clone())
        .await
        .map_err(unavailable)?;
    tracing::info!(
        source,
        bytes = delivery.body.len(),
        limit = limit.bytes,
        file = %kept.display(),
        "too large for the stream: kept beside the log"
    );
    let decoded = intake::decode_aside(shared, source, digest.to_string(), delivery)
        .await
        .map_err(unavailable)?;
    let events = intake::events(shared, source, decoded)
        .await
        .map_err(unavailable)?;
    let mut accepted = Vec::with_capacity(events.len());
    for event in events {
        let one = submit(shared, source, &digest, event, trace).await;
        accepted.extend(one.map_err(unavailable)?);
    }
    Ok(Accepted::all(&accepted))
}

/// Publishes an event; one that is too large itself is recorded as rejected.
async fn submit(
    shared: &Shared,
    source: &str,
    payload: &Digest,
    event: Received,
    trace: &Arc<str>,
) -> Result<Vec<Accepted>, DaemonError> {
    let (kind, size) = (event.event.body.kind().to_owned(), event.json.len());
    let error = match shared.submit(vec![event], Some(Arc::clone(trace))).await {
        Ok(accepted) => return Ok(accepted),
        Err(error) => error,
    };
    let Some(PublishError::TooLarge { limit, .. }) = error.downcast_ref::<PublishError>() else {
        return Err(error);
    };
    let rejected = rejected(&kind, size, limit, payload.clone());
    tracing::warn!(source, %payload, reason = rejected.reason, "rejected");
    let rejection = adapters::rejection(source, rejected);
    shared
        .submit(vec![rejection], Some(Arc::clone(trace)))
        .await
}

/// What is recorded in place of an event of `size` bytes that fits into no message.
pub(crate) fn rejected(
    kind: &str,
    size: usize,
    limit: &MessageLimit,
    payload: Digest,
) -> InputRejected {
    InputRejected {
        reason: format!(
            "the `{kind}` that it means has {size} bytes and does not fit into {limit}: {} and send it again",
            limit.remedy()
        ),
        payload_digest: payload,
        adapter: None,
        payload: None,
    }
}

/// Writes the body under its digest, whole or not at all.
async fn keep(
    shared: &Shared,
    digest: &Digest,
    body: bytes::Bytes,
) -> Result<PathBuf, DaemonError> {
    let directory = shared.config.data.join("payloads");
    let file = directory.join(format!("{}-{}", digest.algorithm(), digest.hex()));
    let write = {
        let file = file.clone();
        move || -> io::Result<()> {
            if file.exists() {
                return Ok(());
            }
            fs::create_dir_all(&directory)?;
            // The same delivery may come twice at once, so each has an unfinished file of its own.
            let part = directory.join(format!("part-{}", uuid::Uuid::new_v4()));
            durable::put(&file, &part, |to| to.write_all(&body)).inspect_err(|_| {
                // It takes space, which is perhaps what is missing.
                let _ = fs::remove_file(&part);
            })
        }
    };
    tokio::task::spawn_blocking(write).await??;
    Ok(file)
}
