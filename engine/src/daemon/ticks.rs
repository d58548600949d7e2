//! Ticks: time passes only through records, so one is made where something waits for time and
//! nothing else happens. It has come once the broker's clock says so, or this node's.

use std::time::Duration;

use tokio::sync::watch;
use weir_schema::{Body, Timestamp};

use super::{DaemonError, leader::Acting, own_event};
use crate::node::IDLE;

/// The longest wait for a broker whose clock is behind ours, or for a time to come: clocks are put
/// right meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Ticks until this node acts no longer.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let node = &acting.shared.node;
    let mut commits = node.reader().subscribe();
    loop {
        // What is committed from here on may wait for an earlier time than is found now.
        commits.mark_unchanged();
        let due = node.ask(weir_rules::State::next_alarm).await?;
        let now = acting.shared.broker_clock.now();
        match due {
            Some(due) if due <= now => tick(acting, due).await?,
            _ => sleep_until(due, now, &mut commits).await,
        }
    }
}

/// Says that the time `due` has come.
async fn tick(acting: &Acting, due: Timestamp) -> Result<(), DaemonError> {
    let id = format!("tick-{due}-{}", uuid::Uuid::new_v4());
    let tick = own_event(id, Body::ClockTicked);
    acting.say_and_read(vec![tick], &None).await?;
    // The broker's clock counts. Where it is behind, another tick helps only when it is there.
    let reached = acting.shared.node.ask(weir_rules::State::now).await?;
    if reached < due {
        let left = due.since(reached).to_std().unwrap_or_default();
        tokio::time::sleep(left.min(LONGEST_WAIT)).await;
    }
    Ok(())
}

/// Sleeps until the time has come, or there are new records, which are waited for in one go where
/// they are many.
async fn sleep_until(due: Option<Timestamp>, now: Timestamp, commits: &mut watch::Receiver<u64>) {
    let left = due.map(|due| due.since(now).to_std().unwrap_or_default());
    tokio::select! {
        () = tokio::time::sleep(left.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)) => {}
        // A log that is closed is told of by whoever asks next.
        _ = commits.changed() => tokio::time::sleep(IDLE).await,
    }
}
