//! The executor: carries out promotions, and says how they ended.
//!
//! A copy is announced before it begins, so that a moved tag no longer supersedes it; its outcome
//! is an input like any other. A killed copy is run again: finished work is not redone.

mod carry_out;
mod lanes;
pub(super) mod reach;
mod teller;
mod under_way;

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::Instrument as _;
use weir_rules::{Command, Copy};

use self::{
    carry_out::carry_out,
    lanes::{Lanes, Place},
    teller::Teller,
    under_way::{Ended, UnderWay},
};
use super::{DaemonError, leader::Acting};
use crate::node::{Order, Trace};

/// What is to be done for a promotion.
#[derive(Debug, Clone)]
enum Work {
    CarryOut(Copy, Trace),
    /// It panicked, which nobody but the log of this process knows: it is said to have failed, so
    /// that it is seen, and can be retried.
    GiveUp(Copy, Trace, String),
}

impl Work {
    fn order(&self) -> (&Copy, &Trace) {
        match self {
            Self::CarryOut(copy, trace) | Self::GiveUp(copy, trace, _) => (copy, trace),
        }
    }
}

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
    let lanes = Arc::new(Lanes::new(shared.config.promotions.concurrent.get()));
    let mut under_way = UnderWay::new();
    let begin = |under_way: &mut UnderWay<Work>, work: Work| {
        let (acting, lanes) = (acting.clone(), Arc::clone(&lanes));
        let id = work.order().0.promotion_id.clone();
        under_way.begin(&id, work, |work| {
            let place = lanes.line_up(work.order().0);
            async move { do_it(&acting, &lanes, place, &work).await }
        });
    };
    for open in open {
        begin(&mut under_way, Work::CarryOut(open.copy, None));
    }
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { command: Command::Copy(copy), trace }) = order else {
                    return Ok(());
                };
                begin(&mut under_way, Work::CarryOut(copy, trace));
            }
            Some(ended) = under_way.ended() => {
                shared.running.ends(&ended.promotion_id);
                if let Some(next) = after(ended) {
                    begin(&mut under_way, next);
                }
            }
        }
    }
}

/// What is to be done for a promotion after some work for it has ended.
fn after(ended: Ended<Work>) -> Option<Work> {
    let Ended {
        promotion_id,
        work,
        next,
        broken,
    } = ended;
    let Some(problem) = broken else {
        return next;
    };
    tracing::error!(
        promotion = promotion_id,
        problem,
        "a promotion broke off, which is a fault of Weir: please report it with what is said above"
    );
    match work {
        Work::CarryOut(copy, trace) => next.or(Some(Work::GiveUp(copy, trace, problem))),
        Work::GiveUp(..) => next,
    }
}

async fn do_it(acting: &Acting, lanes: &Lanes, place: Place, work: &Work) {
    let (order, trace) = work.order();
    let span = match trace {
        Some(trace) => tracing::info_span!("delivery", %trace),
        None => tracing::Span::none(),
    };
    let done = async {
        match work {
            Work::CarryOut(order, trace) => carry_out(acting, lanes, place, order, trace).await,
            Work::GiveUp(order, trace, problem) => give_up(acting, order, trace, problem).await,
        }
    };
    if let Err(error) = done.instrument(span).await {
        tracing::error!(%error, promotion = order.promotion_id, "the outcome of a promotion was not recorded");
    }
}

/// Says that a promotion failed that broke off.
async fn give_up(
    acting: &Acting,
    order: &Copy,
    trace: &Trace,
    problem: &str,
) -> Result<(), DaemonError> {
    let teller = Teller {
        acting,
        order,
        trace,
    };
    let Some(open) = teller.still_open().await? else {
        return Ok(());
    };
    let why = format!(
        "it broke off, which is a fault of Weir ({problem}): the log of the node says more"
    );
    teller.failed(open.this_attempt(), why).await
}
