//! Signed checkpoints, while records come: in the log, in a file, and on NATS.

use std::{sync::Arc, time::Duration};

use super::{DaemonError, Shared, leader::Standing};
use crate::{
    log::key::{KEY_FILE, SigningKey},
    node::{self, CheckpointFailure},
    stream::Stream,
};

/// How long a record waits for the checkpoint that pins it.
const INTERVAL: Duration = Duration::from_secs(10);

/// The name of a key that is made here.
const ORIGIN: &str = "weir";

/// Signs until the daemon ends.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    stream: Option<Arc<Stream>>,
) -> Result<(), DaemonError> {
    let path = shared.config.data.join(KEY_FILE);
    let key = tokio::task::spawn_blocking(move || SigningKey::load_or_create(&path, ORIGIN));
    let key = Arc::new(key.await??);
    tracing::info!(key = %key.verifier(), "checkpoints are signed");
    let mut appended = shared.node.reader().subscribe();
    let mut signed_size = 0;
    loop {
        appended
            .wait_for(|next_seq| *next_seq > signed_size + 1)
            .await?;
        let with = Arc::clone(&key);
        let signed = shared
            .node
            .ask_log(move |log| node::sign(log, &with))
            .await?;
        let signed = match signed {
            // It is in the log; the file beside it is for readers, and comes with the next.
            Err(error @ CheckpointFailure::Io { .. }) => {
                tracing::error!("{error}; trying again");
                tokio::time::sleep(INTERVAL).await;
                continue;
            }
            signed => signed?,
        };
        let Some(signed) = signed else { continue };
        signed_size = signed.checkpoint.size;
        // Each node signs its own log; one of them tells the world.
        let mut standing = shared.standing.subscribe();
        let acts = standing.borrow_and_update().acts();
        if let Some(stream) = &stream
            && acts
            && let Err(error) = stream.announce_checkpoint(signed.to_string()).await
        {
            tracing::warn!("{error}");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            // Who begins to act has something new to sign, and to tell.
            _ = standing.wait_for(Standing::acts), if !acts => {}
        }
    }
}
