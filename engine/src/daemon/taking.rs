//! Tells when the stream takes nothing, and asks again until it does: a node that says it is not
//! ready is sent nothing, and would never find out that it is.

use std::time::Duration;

use weir_schema::Body;

use super::{DaemonError, own_event};
use crate::stream::{Publisher, Refusal};

/// How often.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs for as long as the daemon. What it publishes is a tick, which says that time has passed.
pub(crate) async fn run(publisher: &Publisher) -> Result<(), DaemonError> {
    loop {
        publisher.refused().await;
        if let Some(Refusal {
            problem, remedy, ..
        }) = publisher.refusal()
        {
            tracing::warn!(
                problem,
                "the stream takes nothing: nothing can be made durable, and `/readyz` says so until something is; {remedy}"
            );
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            if publisher.refusal().is_none() {
                break;
            }
            // Always another: of one that is known already the server says so and stores nothing.
            let id = format!("tick-{}", uuid::Uuid::new_v4());
            let tick = own_event(id, Body::ClockTicked);
            if let Err(error) = publisher.publish_event(&tick).await {
                tracing::debug!(%error, "the stream still takes nothing");
            }
        }
        tracing::info!("the stream takes what is published again");
    }
}
