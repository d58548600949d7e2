//! The committer: waits for batches to be durable while the node works on the next, and only then
//! answers, passes orders on, and lets others know what was said.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};
use weir_schema::{Body, Decision, Verdict};

use super::{Input, Order, Recent, Said, Submitted, Taken, Trace};
use crate::log::AppendError;

/// Batches that are written and not yet durable. More would only wait: one sync covers them all.
const IN_FLIGHT: usize = 2;

/// What waits for a batch to be durable.
pub(super) enum Reply {
    Events(usize, oneshot::Sender<Vec<Taken>>),
    Messages(usize, oneshot::Sender<()>),
}

/// A batch that is written, and what happens once it is durable.
pub(super) struct Flight {
    pub(super) submitted: Submitted,
    /// Of each input, the delivery that it is of.
    pub(super) traces: Vec<Trace>,
    pub(super) replies: Vec<Reply>,
    /// The last record of it and all before.
    pub(super) through: u64,
}

/// Lands batches, in order: on its own thread, or where it is asked to.
pub(super) struct Committer {
    tower: Arc<Tower>,
    flights: Option<SyncSender<Flight>>,
    handed_over: u64,
    thread: Option<JoinHandle<()>>,
}

struct Tower {
    orders: mpsc::UnboundedSender<Order>,
    recent: Recent,
    landed: Mutex<Landed>,
    changed: Condvar,
}

#[derive(Default)]
struct Landed {
    count: u64,
    error: Option<AppendError>,
}

impl Committer {
    /// Starts the thread; it wakes the node through `node` when it cannot go on.
    pub(super) fn start(
        orders: mpsc::UnboundedSender<Order>,
        recent: Recent,
        node: mpsc::WeakSender<Input>,
    ) -> std::io::Result<Self> {
        let tower = Arc::new(Tower {
            orders,
            recent,
            landed: Mutex::default(),
            changed: Condvar::new(),
        });
        let (flights, waiting) = std::sync::mpsc::sync_channel::<Flight>(IN_FLIGHT);
        let of_thread = Arc::clone(&tower);
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn(move || {
                for flight in waiting {
                    let done = of_thread.land(flight);
                    let failed = done.is_err();
                    of_thread.landed(done);
                    if failed {
                        // A full channel wakes it as well.
                        if let Some(node) = node.upgrade() {
                            let _ = node.try_send(Input::Failed);
                        }
                        return;
                    }
                }
            })?;
        Ok(Self {
            tower,
            flights: Some(flights),
            handed_over: 0,
            thread: Some(thread),
        })
    }

    /// Lets the thread land it, after those handed over before.
    pub(super) fn hand_over(&mut self, flight: Flight) -> Result<(), AppendError> {
        if let Some(flights) = &self.flights
            && flights.send(flight).is_ok()
        {
            self.handed_over += 1;
            return Ok(());
        }
        self.settle()
    }

    /// Waits until all that were handed over have landed.
    pub(super) fn settle(&mut self) -> Result<(), AppendError> {
        let mut landed = self.tower.lock();
        loop {
            if let Some(error) = landed.error.take() {
                return Err(error);
            }
            if landed.count == self.handed_over {
                return Ok(());
            }
            landed = self
                .tower
                .changed
                .wait(landed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lands it here. Those handed over must have landed.
    pub(super) fn land(&self, flight: Flight) -> Result<(), AppendError> {
        self.tower.land(flight)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.flights = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that waits for the disk panicked");
        }
    }
}

impl Tower {
    /// Waits until the batch is durable, and lets everybody know.
    fn land(&self, flight: Flight) -> Result<(), AppendError> {
        let Flight {
            submitted,
            traces,
            replies,
            through,
        } = flight;
        let Submitted {
            pending,
            taken,
            commands,
            said,
        } = submitted;
        if let Some(pending) = pending {
            pending.wait()?;
        }
        let trace_of = |input: usize| traces.get(input).cloned().flatten();
        if tracing::enabled!(tracing::Level::INFO) {
            tell(&trace_of, &taken, &said);
        }
        self.recent
            .note(through, said.into_iter().map(|(_, said)| said).collect());
        for (input, command) in commands {
            let trace = trace_of(input);
            // Without an executor nobody carries anything out.
            let _ = self.orders.send(Order { command, trace });
        }
        let mut taken = taken.into_iter();
        for reply in replies {
            // Who sent it may have gone away.
            match reply {
                Reply::Events(count, reply) => {
                    let _ = reply.send(taken.by_ref().take(count).collect());
                }
                Reply::Messages(count, reply) => {
                    taken.by_ref().take(count).for_each(drop);
                    let _ = reply.send(());
                }
            }
        }
        Ok(())
    }

    fn landed(&self, done: Result<(), AppendError>) {
        let mut landed = self.lock();
        match done {
            Ok(()) => landed.count += 1,
            Err(error) => landed.error = Some(error),
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Landed> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what was recorded and decided, each with the delivery that led to it.
fn tell(trace_of: &impl Fn(usize) -> Trace, taken: &[Taken], said: &[(usize, Said)]) {
    let span = |input| match trace_of(input) {
        Some(trace) => tracing::info_span!("delivery", %trace),
        None => tracing::Span::none(),
    };
    if tracing::enabled!(tracing::Level::DEBUG) {
        for (input, taken) in taken.iter().enumerate() {
            span(input).in_scope(|| match taken {
                Taken::Recorded(record) => tracing::debug!(record, "recorded"),
                Taken::Repeated => tracing::debug!("came before, dropped"),
            });
        }
    }
    for (input, said) in said {
        if let Body::DecisionMade(decision) = &said.event.event.body {
            span(*input).in_scope(|| tell_decision(said.seq, decision));
        }
    }
}

fn tell_decision(record: u64, decision: &Decision) {
    let Decision {
        rule,
        verdict,
        source,
        target,
        ..
    } = decision;
    let reasons: Vec<String> = decision
        .reasons
        .iter()
        .map(|reason| reason.code.to_string())
        .collect();
    let reasons = reasons.join(" ");
    let way = format!(
        "{}:{} -> {}:{}",
        source.repository, source.tag, target.repository, target.tag
    );
    // Most verdicts are steps on the way; what moves something, or cannot be judged, is news.
    if matches!(verdict, Verdict::Promote | Verdict::Error) {
        tracing::info!(record, rule, %verdict, reasons, "decided: {way}");
    } else {
        tracing::debug!(record, rule, %verdict, reasons, "decided: {way}");
    }
}
