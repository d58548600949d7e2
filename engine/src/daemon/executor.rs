//! The executor: carries out promotions, and says how they ended.
//!
//! A copy is announced before it begins, so that a moved tag no longer supersedes it; its outcome
//! is an input like any other. A killed copy is run again: finished work is not redone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracing::Instrument as _;
use weir_rules::{Command, Copy};
use weir_schema::{Body, PromotionOutcome};

use super::{DaemonError, leader::Acting, own_event};
use crate::{
    copy::{self, CopyError, Plan},
    node::{Order, Trace},
};

/// The longest wait between two tries of a copy.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Carries out promotions until this node acts no longer: those that are open, then those ordered.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    if !shared.config.promotions.execute {
        return std::future::pending().await;
    }
    // From here on nothing that is decided is missed; what was decided before is open in the state.
    let (sender, mut orders) = mpsc::unbounded_channel();
    shared.executor.set(sender);
    let open = shared.node.ask(weir_rules::State::open_copies).await?;
    let slots = Arc::new(Semaphore::new(shared.config.promotions.concurrent.max(1)));
    let begun: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let mut copies = JoinSet::new();
    let mut start = |copy: Copy, trace: Trace| {
        // What was decided between the two is in both.
        let id = copy.promotion_id.clone();
        if !lock(&begun).insert(id.clone()) {
            return;
        }
        let (acting, slots, begun) = (acting.clone(), Arc::clone(&slots), Arc::clone(&begun));
        copies.spawn(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            let span = match &trace {
                Some(trace) => tracing::info_span!("delivery", %trace),
                None => tracing::Span::none(),
            };
            let done = carry_out(&acting, &copy, &trace).instrument(span).await;
            acting.shared.running.ends(&id);
            lock(&begun).remove(&id);
            if let Err(error) = done {
                tracing::error!(%error, promotion = id, "the outcome of a promotion was not recorded");
            }
        });
    };
    for (copy, _) in open {
        start(copy, None);
    }
    while let Some(order) = orders.recv().await {
        let Order {
            command: Command::Copy(copy),
            trace,
        } = order;
        start(copy, trace);
    }
    Ok(())
}

fn lock(begun: &Mutex<BTreeSet<String>>) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry_out(acting: &Acting, order: &Copy, trace: &Trace) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let reaches = |repository: &str| {
        let name = repository.parse();
        name.is_ok_and(|name| shared.config.reaches(&name))
    };
    if !reaches(order.source.repository.as_str()) || !reaches(&order.target.repository) {
        tracing::debug!(
            promotion = order.promotion_id,
            "decided and left to others: no registry is configured for {} and {}",
            order.source.repository,
            order.target.repository
        );
        return Ok(());
    }
    // It may have been overtaken, or carried out, while it waited for its turn.
    let id = order.promotion_id.clone();
    let open = shared.node.ask(move |state| state.open_copy(&id)).await?;
    let Some((_, begun)) = open else {
        return Ok(());
    };
    let Some(plan) = plan(order, begun) else {
        return Ok(());
    };
    let say = |attempt: u32, error: Option<String>| PromotionOutcome {
        promotion_id: order.promotion_id.clone(),
        rule: order.rule.clone(),
        source: order.source.clone(),
        target: order.target.clone(),
        attempts: Some(attempt),
        error,
    };
    let event = |what: &str, body: Body| own_event(format!("{}-{what}", order.promotion_id), body);
    if !begun {
        let started = event("started", Body::PromotionStarted(say(1, None)));
        acting.say_and_read(vec![started], trace).await?;
    }
    let attempts = shared.config.promotions.attempts.max(1);
    let mut attempt = 1;
    loop {
        let progress = shared.running.tries(&order.promotion_id, attempt);
        let may_act = {
            let acting = acting.clone();
            Arc::new(move || acting.may_act())
        };
        match copy::run_while(&plan, &shared.clients, progress, may_act).await {
            Ok(done) => {
                tracing::info!(promotion = order.promotion_id, ?done.progress, "promoted");
                let completed = event("completed", Body::PromotionCompleted(say(attempt, None)));
                return acting.say_and_read(vec![completed], trace).await;
            }
            // Whoever leads now finishes it.
            Err(CopyError::Stopped) => return Ok(()),
            Err(error) if error.is_retryable() && attempt < attempts => {
                let back_off = Duration::from_secs(1).saturating_mul(1 << attempt.min(8));
                // Copies that failed together shall not try again together.
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
                let failed = event("failed", Body::PromotionFailed(say(attempt, Some(why))));
                return acting.say_and_read(vec![failed], trace).await;
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
