//! One promotion, from its order to its outcome: tried until it is done, given up or no longer open.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use weir_rules::{Copy, OpenCopy};
use weir_schema::Tag;

use super::{
    lanes::{Lanes, Place},
    reach,
    teller::Teller,
};
use crate::{
    backoff::{doubled, jitter},
    config::Config,
    copy::{self, CopyError, Outcome, Plan},
    daemon::{DaemonError, LONGEST_ASKED_WAIT, leader::Acting, reconcile},
    node::Trace,
};

/// The wait after the first failure of a copy, where the registry does not say when to come back.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest, after many of them.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Returns once the promotion, whose `place` in the line to its target was taken when it was ordered,
/// needs nothing more from this node.
///
/// # Errors
/// Something of it could not be said: the log cannot be written, or the stream does not take it.
pub(super) async fn carry_out(
    acting: &Acting,
    lanes: &Lanes,
    mut place: Place,
    order: &Copy,
    trace: &Trace,
) -> Result<(), DaemonError> {
    let (source, target) = (&order.source.repository, &order.target.repository);
    if let Some(lacking) = reach::lacking(&acting.shared.config, source.as_str(), target) {
        let promotion = &order.promotion_id;
        tracing::warn!(promotion, "decided, and waits: {lacking}");
        return Ok(());
    }
    let teller = Teller {
        acting,
        order,
        trace,
    };
    let road = lanes.road(order);
    let mut before = None;
    loop {
        let turn = place.turn().await;
        let Ok(slot) = road.acquire().await else {
            return Ok(());
        };
        let Some(this) = begin(&teller, before.take()).await? else {
            return Ok(());
        };
        let ended = copy(acting, order, &this).await;
        let Some(failed) = settle(&teller, &this, ended).await? else {
            return Ok(());
        };
        drop((slot, turn));
        tokio::time::sleep(failed.wait).await;
        place = lanes.line_up(order);
        before = Some(failed);
    }
}

/// A try that has begun.
struct Try {
    attempt: u32,
    /// The same, counted from when it was last retried by hand.
    in_a_row: u32,
    plan: Plan,
}

/// A try that failed, before the next.
struct Failed {
    why: String,
    /// The source tag was not what was judged: nothing is copied before it is.
    looks_again: bool,
    wait: Duration,
}

/// Says that a try begins, after the one `before`; `None` if there is no more to do. What was decided
/// may be done or overtaken by now, and the target be moved on by others.
async fn begin(teller: &Teller<'_>, before: Option<Failed>) -> Result<Option<Try>, DaemonError> {
    let Some(open) = teller.still_open().await? else {
        return Ok(None);
    };
    if open.is_overtaken {
        let promotion = &teller.order.promotion_id;
        tracing::info!(promotion, "overtaken: a later promotion is at the target");
        let why = weir_rules::SUPERSEDED.to_owned();
        teller.failed(open.this_attempt(), why).await?;
        return Ok(None);
    }
    let looks_again = before.as_ref().is_some_and(|failed| failed.looks_again);
    let known_referrers = teller.known_referrers().await?;
    let Some(plan) = plan(&open, looks_again, known_referrers) else {
        return Ok(None);
    };
    // A copy that was under way when the node ended goes on with the same try.
    let goes_on = before.is_none() && open.begun;
    let attempt = match goes_on {
        true => open.this_attempt(),
        false => open.attempts.saturating_add(1),
    };
    let this = Try {
        attempt,
        in_a_row: attempt.saturating_sub(open.retried_after).max(1),
        plan,
    };
    if goes_on {
        return Ok(Some(this));
    }
    let why = before.map(|failed| failed.why);
    teller.started(attempt, why).await?;
    let is_open = teller.still_open().await?.is_some();
    Ok(is_open.then_some(this))
}

/// Copies, for as long as this node may act.
async fn copy(acting: &Acting, order: &Copy, this: &Try) -> Result<Outcome, CopyError> {
    let shared = &acting.shared;
    let progress = shared.running.tries(&order.promotion_id, this.attempt);
    let may_act = {
        let acting = acting.clone();
        Arc::new(move || acting.may_act())
    };
    copy::run_while(&this.plan, &shared.clients, progress, may_act).await
}

/// Says how a try ended, unless there will be another: then what is to be known before that.
async fn settle(
    teller: &Teller<'_>,
    this: &Try,
    ended: Result<Outcome, CopyError>,
) -> Result<Option<Failed>, DaemonError> {
    let attempt = this.attempt;
    let shared = &teller.acting.shared;
    let promotion = &teller.order.promotion_id;
    let error = match ended {
        Ok(done) => {
            tracing::info!(promotion, ?done.progress, "promoted");
            for lost in &done.lost_referrers {
                tracing::warn!(
                    promotion,
                    referrer = %lost,
                    "the source lists what refers to it and no longer has that: a signature, attestation or SBOM that was not copied"
                );
            }
            teller.completed(attempt).await?;
            return Ok(None);
        }
        // Whoever leads now finishes it.
        Err(CopyError::Stopped) => return Ok(None),
        Err(error) => error,
    };
    let may_pass = error.is_retryable() || error.is_superseded() && teller.is_judged().await?;
    let is_over = !may_pass || is_last(&shared.config, this.in_a_row);
    if error.is_of_source_tags() && (is_over || this.in_a_row == 1) {
        // No event told of it, or none yet: what is there now is to be judged.
        let source = teller.order.source.repository.as_str();
        reconcile::soon(shared, source, &error.to_string());
    }
    if is_over {
        tracing::error!(promotion, attempt, %error, "not promoted");
        let why = if error.is_superseded() {
            weir_rules::SUPERSEDED.to_owned()
        } else {
            error.to_string()
        };
        teller.failed(attempt, why).await?;
        return Ok(None);
    }
    let wait = pause(&error, this.in_a_row);
    tracing::warn!(promotion, attempt, %error, ?wait, "will be tried again");
    let retry_at = (chrono::Utc::now() + wait).into();
    let why = error.to_string();
    shared.running.waits(promotion, why.clone(), retry_at);
    Ok(Some(Failed {
        why,
        looks_again: error.is_of_source_tag(),
        wait,
    }))
}

/// Whether the promotion is given up if this try fails, the `in_a_row`th since it was decided or last
/// retried by hand.
fn is_last(config: &Config, in_a_row: u32) -> bool {
    in_a_row >= config.promotions.attempts.get()
}

/// How long to wait after the `in_a_row`th failure.
fn pause(error: &CopyError, in_a_row: u32) -> Duration {
    let asked = error.retry_after().unwrap_or_default();
    // What a registry asks for is the least: one that always asks for a second has trouble all the same.
    let own = doubled(FIRST_WAIT, in_a_row.saturating_sub(1), LONGEST_WAIT);
    let wait = asked.min(LONGEST_ASKED_WAIT).max(own);
    wait + jitter(Duration::from_millis(999))
}

fn plan(open: &OpenCopy, looks_again: bool, known_referrers: BTreeSet<Tag>) -> Option<Plan> {
    let order = &open.copy;
    Some(Plan {
        digest: order.source.digest.clone()?,
        source: order.source.repository.clone(),
        source_tag: (!open.begun || looks_again).then(|| order.source.tag.clone()),
        target: order.target.repository.parse().ok()?,
        target_tag: order.target.tag.parse().ok()?,
        expected: order.expected.clone(),
        known_referrers,
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
        check(1, Some(0), 2);
        check(6, Some(1), 64);
        check(4, Some(301), 301);
        check(1, Some(3600), 3600);
        check(1, Some(u64::MAX), 3600);
    }

    #[test]
    fn a_copy_that_nobody_gave_a_time_is_tried_again_ever_later() {
        check(1, None, 2);
        check(4, None, 16);
        check(8, None, 256);
        check(40, None, 300);
    }
}
