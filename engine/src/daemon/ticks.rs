//! Ticks: time passes only through records, so one is made where something waits for time and
//! nothing else happens.

use std::time::Duration;

use weir_schema::{Body, Timestamp};

use super::{DaemonError, leader::Acting, own_event};
use crate::node::IDLE;

/// The longest wait for a broker whose clock is behind ours.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Ticks until this node acts no longer.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let node = &acting.shared.node;
    loop {
        tokio::time::sleep(IDLE).await;
        let due = node.ask(weir_rules::State::next_alarm).await?;
        let now: Timestamp = chrono::Utc::now().into();
        let Some(due) = due.filter(|due| *due <= now) else {
            continue;
        };
        let id = format!("tick-{due}-{}", uuid::Uuid::new_v4());
        let tick = own_event(id, Body::ClockTicked);
        acting.say_and_read(vec![tick], &None).await?;
        // The broker's clock counts. Where it is behind, another tick helps only when it is there.
        let reached = node.ask(weir_rules::State::now).await?;
        if reached < due {
            let left = due.since(reached).to_std().unwrap_or_default();
            tokio::time::sleep(left.min(LONGEST_WAIT)).await;
        }
    }
}
