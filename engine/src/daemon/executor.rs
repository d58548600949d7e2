//! The executor: carries out promotions, and says how they ended.
//!
//! A copy is announced before it begins, so that a moved tag no longer supersedes it; its outcome
//! is an input like any other. A killed copy is run again: finished work is not redone.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use weir_rules::{Command, Copy};
use weir_schema::{Body, PromotionOutcome};

use super::{DaemonError, Shared, own_event};
use crate::copy::{self, Plan};

/// The longest wait between two tries of a copy.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Carries out promotions until the daemon ends.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    open: Vec<(Copy, bool)>,
    mut orders: mpsc::UnboundedReceiver<Command>,
) -> Result<(), DaemonError> {
    let slots = Arc::new(Semaphore::new(shared.config.promotions.concurrent.max(1)));
    let mut copies = JoinSet::new();
    let mut start = |copy: Copy, begun: bool| {
        let (shared, slots) = (Arc::clone(shared), Arc::clone(&slots));
        copies.spawn(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            let done = carry_out(&shared, &copy, begun).await;
            shared.running.ends(&copy.promotion_id);
            if let Err(error) = done {
                tracing::error!(%error, promotion = copy.promotion_id, "the outcome of a promotion was not recorded");
            }
        });
    };
    for (copy, begun) in open {
        start(copy, begun);
    }
    while let Some(Command::Copy(copy)) = orders.recv().await {
        if shared.config.promotions.execute {
            start(copy, false);
        }
    }
    Ok(())
}

async fn carry_out(shared: &Shared, order: &Copy, begun: bool) -> Result<(), DaemonError> {
    let Some(plan) = plan(order, begun) else {
        return Ok(());
    };
    if !shared.config.reaches(&plan.source) || !shared.config.reaches(&plan.target) {
        tracing::info!(
            promotion = order.promotion_id,
            "decided and left to others: no registry is configured for {} and {}",
            plan.source,
            plan.target
        );
        return Ok(());
    }
    let say = |attempt: u32, error: Option<String>| PromotionOutcome {
        promotion_id: order.promotion_id.clone(),
        rule: order.rule.clone(),
        source: order.source.clone(),
        target: order.target.clone(),
        attempts: Some(attempt),
        error,
    };
    let id = |what: &str| format!("{}-{what}", order.promotion_id);
    if !begun {
        shared
            .submit(vec![own_event(
                id("started"),
                Body::PromotionStarted(say(1, None)),
            )])
            .await?;
    }
    let attempts = shared.config.promotions.attempts.max(1);
    let mut attempt = 1;
    loop {
        let progress = shared.running.tries(&order.promotion_id, attempt);
        match copy::run(&plan, &shared.clients, progress).await {
            Ok(done) => {
                tracing::info!(promotion = order.promotion_id, ?done.progress, "promoted");
                shared
                    .submit(vec![own_event(
                        id("completed"),
                        Body::PromotionCompleted(say(attempt, None)),
                    )])
                    .await?;
                return Ok(());
            }
            Err(error) if error.is_retryable() && attempt < attempts => {
                let back_off = Duration::from_secs(1).saturating_mul(1 << attempt.min(8));
                // Nodes that failed together shall not try again together.
                let jitter =
                    Duration::from_millis(u64::from(uuid::Uuid::new_v4().as_fields().1) % 1000);
                let wait = error.retry_after().unwrap_or(back_off).min(LONGEST_WAIT) + jitter;
                tracing::warn!(promotion = order.promotion_id, attempt, %error, ?wait, "will be tried again");
                let retry_at = (chrono::Utc::now() + wait).into();
                shared
                    .running
                    .waits(&order.promotion_id, error.to_string(), retry_at);
                tokio::time::sleep(wait).await;
                attempt += 1;
            }
            Err(error) => {
                let why = if error.is_superseded() {
                    "superseded".to_owned()
                } else {
                    error.to_string()
                };
                tracing::error!(
                    promotion = order.promotion_id,
                    attempt,
                    error = why,
                    "not promoted"
                );
                shared
                    .submit(vec![own_event(
                        id("failed"),
                        Body::PromotionFailed(say(attempt, Some(why))),
                    )])
                    .await?;
                return Ok(());
            }
        }
    }
}

fn plan(order: &Copy, begun: bool) -> Option<Plan> {
    Some(Plan {
        digest: order.source.digest.clone()?,
        source: order.source.repository.clone(),
        source_tag: (!begun).then(|| order.source.tag.clone()),
        target: order.target.repository.parse().ok()?,
        target_tag: order.target.tag.parse().ok()?,
        expected: order.expected.clone(),
    })
}
