//! The executor: carries out promotions, and says how they ended.
//!
//! A copy is announced before it begins, so that a moved tag no longer supersedes it; its outcome
//! is an input like any other. A killed copy is run again: finished work is not redone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, mpsc},
    task::JoinSet,
};
use tracing::Instrument as _;
use weir_rules::{Command, Copy, OpenCopy};
use weir_schema::{Body, PromotionOutcome, TargetRef};

use super::{DaemonError, LONGEST_ASKED_WAIT, leader::Acting, own_event};
use crate::{
    config::Config,
    copy::{self, CopyError, Plan},
    node::{Order, Trace},
};

/// The longest wait between two tries of a copy, where the registry does not say when to come back.
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
    let lanes = Arc::new(Lanes {
        slots: Semaphore::new(shared.config.promotions.concurrent.max(1)),
        targets: Mutex::default(),
        under_way: Mutex::default(),
    });
    let mut copies = JoinSet::new();
    let mut start = |copy: Copy, trace: Trace| {
        if !lanes.enter(&copy.promotion_id) {
            return;
        }
        let (acting, lanes) = (acting.clone(), Arc::clone(&lanes));
        copies.spawn(async move {
            let id = &copy.promotion_id;
            let span = match &trace {
                Some(trace) => tracing::info_span!("delivery", %trace),
                None => tracing::Span::none(),
            };
            loop {
                let done = carry_out(&acting, &lanes, &copy, &trace);
                let done = done.instrument(span.clone()).await;
                acting.shared.running.ends(id);
                if let Err(error) = done {
                    tracing::error!(%error, promotion = id, "the outcome of a promotion was not recorded");
                }
                if lanes.leave(id) {
                    break;
                }
            }
        });
    };
    for open in open {
        start(open.copy, None);
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

/// Whose turn it is at one target tag.
type Lane = Arc<AsyncMutex<()>>;

/// Who copies when: so many at once, and one at a time to each target tag, or the later would find
/// there what it does not expect.
struct Lanes {
    slots: Semaphore,
    targets: Mutex<BTreeMap<(String, String), Lane>>,
    /// The promotions that are seen to, each with whether it was ordered again meanwhile.
    under_way: Mutex<BTreeMap<String, bool>>,
}

impl Lanes {
    fn to(&self, target: &TargetRef) -> Lane {
        let mut targets = lock(&self.targets);
        targets.retain(|_, lane| Arc::strong_count(lane) > 1);
        let key = (target.repository.clone(), target.tag.clone());
        Arc::clone(targets.entry(key).or_default())
    }

    /// Whether nobody sees to this promotion yet. What is decided while this node begins to act
    /// comes twice; what is retried as it fails comes before that has ended, and is not lost.
    fn enter(&self, promotion_id: &str) -> bool {
        let mut under_way = lock(&self.under_way);
        let again = under_way.get_mut(promotion_id).map(|again| *again = true);
        if again.is_none() {
            under_way.insert(promotion_id.to_owned(), false);
        }
        again.is_none()
    }

    /// Whether there is no more to do for this promotion.
    fn leave(&self, promotion_id: &str) -> bool {
        let mut under_way = lock(&self.under_way);
        match under_way.get_mut(promotion_id) {
            Some(again) if *again => {
                *again = false;
                false
            }
            _ => {
                under_way.remove(promotion_id);
                true
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry_out(
    acting: &Acting,
    lanes: &Lanes,
    order: &Copy,
    trace: &Trace,
) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    if !reached(&shared.config, order) {
        tracing::debug!(
            promotion = order.promotion_id,
            "decided and left to others: no registry is configured for {} and {}",
            order.source.repository,
            order.target.repository
        );
        return Ok(());
    }
    let teller = Teller {
        acting,
        order,
        trace,
    };
    let mut failure: Option<String> = None;
    // The source tag was not there: nothing is copied before it is.
    let mut is_absent = false;
    loop {
        let lane = lanes.to(&order.target);
        let place = lane.lock().await;
        let Ok(slot) = lanes.slots.acquire().await else {
            return Ok(());
        };
        // What was decided may be done or overtaken by now, and the target be moved on by others.
        let Some(open) = teller.still_open().await? else {
            return Ok(());
        };
        let Some(plan) = plan(&open, is_absent) else {
            return Ok(());
        };
        // A copy that was under way when the node ended goes on with the same try.
        let goes_on = failure.is_none() && open.begun;
        let attempt = match goes_on {
            true => open.attempts.max(1),
            false => open.attempts.saturating_add(1),
        };
        if !goes_on {
            teller.started(attempt, failure.take()).await?;
            if teller.still_open().await?.is_none() {
                return Ok(());
            }
        }
        let progress = shared.running.tries(&order.promotion_id, attempt);
        let may_act = {
            let acting = acting.clone();
            Arc::new(move || acting.may_act())
        };
        match copy::run_while(&plan, &shared.clients, progress, may_act).await {
            Ok(done) => {
                tracing::info!(promotion = order.promotion_id, ?done.progress, "promoted");
                for lost in &done.lost_referrers {
                    tracing::warn!(
                        promotion = order.promotion_id,
                        referrer = %lost,
                        "the source lists what refers to it and no longer has that: a signature, attestation or SBOM that was not copied"
                    );
                }
                return teller.completed(attempt).await;
            }
            // Whoever leads now finishes it.
            Err(CopyError::Stopped) => return Ok(()),
            Err(error) if error.is_retryable() && !is_last(&shared.config, attempt) => {
                let wait = pause(&error, attempt);
                tracing::warn!(promotion = order.promotion_id, attempt, %error, ?wait, "will be tried again");
                let retry_at = (chrono::Utc::now() + wait).into();
                let why = error.to_string();
                shared
                    .running
                    .waits(&order.promotion_id, why.clone(), retry_at);
                failure = Some(why);
                is_absent = matches!(error, CopyError::SourceAbsent { .. });
                drop((slot, place));
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                let why = if error.is_superseded() {
                    weir_rules::SUPERSEDED.to_owned()
                } else {
                    error.to_string()
                };
                tracing::error!(
                    promotion = order.promotion_id,
                    attempt,
                    %error,
                    "not promoted"
                );
                return teller.failed(attempt, why).await;
            }
        }
    }
}

/// Whether this node knows the registries at both ends.
fn reached(config: &Config, order: &Copy) -> bool {
    let reaches = |repository: &str| {
        let name = repository.parse();
        name.is_ok_and(|name| config.reaches(&name))
    };
    reaches(order.source.repository.as_str()) && reaches(&order.target.repository)
}

/// Whether the promotion is given up if this try fails. Whoever retries it by hand gives it as many
/// tries again; they are counted on.
fn is_last(config: &Config, attempt: u32) -> bool {
    attempt.is_multiple_of(config.promotions.attempts.max(1))
}

/// How long to wait after the `attempt`th failure.
fn pause(error: &CopyError, attempt: u32) -> Duration {
    let back_off = Duration::from_secs(1).saturating_mul(1 << attempt.min(8));
    // Copies that failed together shall not try again together.
    let jitter = Duration::from_millis(u64::from(uuid::Uuid::new_v4().as_fields().1) % 1000);
    let wait = match error.retry_after() {
        Some(asked) => asked.min(LONGEST_ASKED_WAIT),
        None => back_off.min(LONGEST_WAIT),
    };
    wait + jitter
}

/// Says how a copy goes. What is said is in the state before the next one to the same target
/// begins: what that expects to find there depends on it.
struct Teller<'a> {
    acting: &'a Acting,
    order: &'a Copy,
    trace: &'a Trace,
}

impl Teller<'_> {
    async fn still_open(&self) -> Result<Option<OpenCopy>, DaemonError> {
        let id = self.order.promotion_id.clone();
        let node = &self.acting.shared.node;
        Ok(node.ask(move |state| state.open_copy(&id)).await?)
    }

    /// A try begins; with what ended the one before.
    async fn started(&self, attempt: u32, before: Option<String>) -> Result<(), DaemonError> {
        let body = Body::PromotionStarted(self.outcome(attempt, before));
        self.say(&format!("started-{attempt}"), body).await
    }

    async fn completed(&self, attempt: u32) -> Result<(), DaemonError> {
        let body = Body::PromotionCompleted(self.outcome(attempt, None));
        self.say("completed", body).await
    }

    async fn failed(&self, attempt: u32, why: String) -> Result<(), DaemonError> {
        let body = Body::PromotionFailed(self.outcome(attempt, Some(why)));
        self.say(&format!("failed-{attempt}"), body).await
    }

    fn outcome(&self, attempt: u32, error: Option<String>) -> PromotionOutcome {
        PromotionOutcome {
            promotion_id: self.order.promotion_id.clone(),
            rule: self.order.rule.clone(),
            source: self.order.source.clone(),
            target: self.order.target.clone(),
            attempts: Some(attempt),
            error,
        }
    }

    /// Named for what it says: another node that says the same says nothing new.
    async fn say(&self, what: &str, body: Body) -> Result<(), DaemonError> {
        let id = format!("{}-{what}", self.order.promotion_id);
        let events = vec![own_event(id, body)];
        self.acting.say_and_read(events, self.trace).await
    }
}

fn plan(open: &OpenCopy, is_absent: bool) -> Option<Plan> {
    let order = &open.copy;
    Some(Plan {
        digest: order.source.digest.clone()?,
        source: order.source.repository.clone(),
        source_tag: (!open.begun || is_absent).then(|| order.source.tag.clone()),
        target: order.target.repository.parse().ok()?,
        target_tag: order.target.tag.parse().ok()?,
        expected: order.expected.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::OciError;

    /// The wait after the `attempt`th failure, whose answer asked for `asked` seconds.
    fn check(attempt: u32, asked: Option<u64>, expected: u64) {
        let error = CopyError::Registry(OciError::Unavailable {
            registry: "r".into(),
            what: "w".into(),
            status: 429,
            message: String::new(),
            retry_after: asked.map(Duration::from_secs),
        });
        // But for the jitter.
        assert_eq!(pause(&error, attempt).as_secs(), expected);
    }

    #[test]
    fn a_copy_is_tried_again_when_the_registry_asked_for_it() {
        check(1, Some(7), 7);
        check(4, Some(301), 301);
        check(1, Some(3600), 3600);
        check(1, Some(u64::MAX), 3600);
    }

    #[test]
    fn a_copy_that_nobody_gave_a_time_is_tried_again_ever_later() {
        check(1, None, 2);
        check(4, None, 16);
        check(40, None, 256);
    }
}
