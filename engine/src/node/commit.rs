//! What follows a decision: it is written, made durable, and only then told.
//!
//! Two threads, so that a batch is written while the one before is made durable, and the node decides
//! the next meanwhile. Where nobody waits for the node it does both itself, which saves changing
//! threads.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};
use weir_rules::{Command, State};
use weir_schema::{Body, Decision, Verdict};

use super::{
    Input, Notes, Order, Recent, Said, Taken, Trace,
    ledger::{Decided, Written, write},
    politeness::OnTheirWay,
};
use crate::log::{AppendError, Log, StreamPosition};

/// Batches that wait for each of the threads: enough that none of them stands still while another is
/// at a longer one.
const IN_FLIGHT: usize = 4;

/// Who waits for some inputs of a batch to be durable.
pub(super) struct Reply {
    pub(super) inputs: usize,
    pub(super) to: To,
    pub(super) on_their_way: OnTheirWay,
}

/// Where the reply goes.
pub(super) enum To {
    /// To who sent events.
    Events(oneshot::Sender<Vec<Taken>>),
    /// To who reads the stream.
    Messages(oneshot::Sender<()>),
}

/// What became of rules that were to be put in force.
pub(super) enum Activated {
    /// So many are.
    InForce(usize),
    /// Those before stay, and why.
    Refused(String),
}

impl Activated {
    /// After a batch that activates some.
    pub(super) fn of(state: &State) -> Self {
        match state.rules_refused() {
            Some(why) => Self::Refused(why.to_owned()),
            None => Self::InForce(state.rules().rules().len()),
        }
    }

    fn tell(&self) {
        match self {
            Self::Refused(why) => {
                tracing::error!("rules are refused, those in force stay:\n{why}");
            }
            Self::InForce(0) => tracing::warn!("no rules are in force: nothing is promoted"),
            Self::InForce(rules) => tracing::info!(rules, "rules are in force"),
        }
    }
}

/// A batch that is decided.
pub(super) struct Flight {
    pub(super) decided: Decided,
    /// What the last of what activates rules came to, if anything does.
    pub(super) activated: Option<Activated>,
    pub(super) position: Option<StreamPosition>,
    pub(super) notes: Notes,
    /// Of each input, the delivery that it is of.
    pub(super) traces: Vec<Trace>,
    pub(super) replies: Vec<Reply>,
    /// The last record of it and all before.
    pub(super) through: u64,
}

/// A batch that is written.
struct Approach {
    written: Written,
    activated: Option<Activated>,
    taken: Vec<Taken>,
    commands: Vec<(usize, Command)>,
    traces: Vec<Trace>,
    replies: Vec<Reply>,
    through: u64,
}

/// Writes batches and lands them, in order: on its own threads, or where it is asked to.
pub(super) struct Committer {
    tower: Arc<Tower>,
    flights: Option<SyncSender<Flight>>,
    handed_over: u64,
    threads: Vec<JoinHandle<()>>,
}

struct Tower {
    dir: PathBuf,
    log: Mutex<Log>,
    orders: mpsc::UnboundedSender<Order>,
    recent: Recent,
    node: mpsc::WeakSender<Input>,
    landed: Mutex<Landed>,
    changed: Condvar,
}

#[derive(Default)]
struct Landed {
    count: u64,
    error: Option<AppendError>,
}

impl Committer {
    /// Starts the threads; they wake the node through `node` when they cannot go on.
    pub(super) fn start(
        log: Log,
        orders: mpsc::UnboundedSender<Order>,
        recent: Recent,
        node: mpsc::WeakSender<Input>,
    ) -> io::Result<Self> {
        let tower = Tower::new(log, orders, recent, node);
        let (flights, decided) = sync_channel::<Flight>(IN_FLIGHT);
        let (approaches, written) = sync_channel::<Approach>(IN_FLIGHT);
        let writer = thread(&tower, "writer", move |tower| {
            tower.write_all(decided, &approaches);
        })?;
        let committer = thread(&tower, "committer", move |tower| tower.land_all(written))?;
        Ok(Self {
            tower,
            flights: Some(flights),
            handed_over: 0,
            threads: vec![writer, committer],
        })
    }

    /// Lets the threads write and land it, after those handed over before.
    pub(super) fn hand_over(&mut self, flight: Flight) -> Result<(), AppendError> {
        if let Some(flights) = &self.flights
            && flights.send(flight).is_ok()
        {
            self.handed_over += 1;
            return Ok(());
        }
        self.settle()
    }

    /// Whether [`Committer::settle`] would return at once: all that were handed over have landed, or
    /// one of them never will.
    pub(super) fn is_settled(&self) -> bool {
        let landed = self.tower.landed();
        landed.error.is_some() || landed.count == self.handed_over
    }

    /// Waits until all that were handed over have landed.
    pub(super) fn settle(&mut self) -> Result<(), AppendError> {
        let mut landed = self.tower.landed();
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

    /// Writes and lands it here. Those handed over must have landed.
    pub(super) fn land(&self, flight: Flight) -> Result<(), AppendError> {
        let approach = self.tower.write(flight)?;
        self.tower.land(approach)
    }

    /// The log. Those handed over must have landed.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.tower.log()
    }
}

/// Starts a thread; should it panic, nothing more will land.
fn thread(
    tower: &Arc<Tower>,
    name: &'static str,
    work: impl FnOnce(&Tower) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let tower = Arc::clone(tower);
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(move || {
        let watch = Watch {
            tower: &tower,
            thread: name,
        };
        work(watch.tower);
    })
}

/// Fails the tower when its thread panics: whoever waits for a landing would wait for ever.
struct Watch<'a> {
    tower: &'a Tower,
    thread: &'static str,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tower.fail(AppendError::Panicked {
                dir: self.tower.dir.clone(),
                thread: self.thread,
            });
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.flights = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that writes the log panicked");
            }
        }
    }
}

impl Tower {
    fn new(
        log: Log,
        orders: mpsc::UnboundedSender<Order>,
        recent: Recent,
        node: mpsc::WeakSender<Input>,
    ) -> Arc<Self> {
        Arc::new(Self {
            dir: log.reader().dir().to_owned(),
            log: Mutex::new(log),
            orders,
            recent,
            node,
            landed: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn write_all(&self, decided: Receiver<Flight>, approaches: &SyncSender<Approach>) {
        for flight in decided {
            let approach = match self.write(flight) {
                Ok(approach) => approach,
                Err(error) => return self.fail(error),
            };
            // A committer that is gone has said why.
            if approaches.send(approach).is_err() {
                return;
            }
        }
    }

    fn land_all(&self, written: Receiver<Approach>) {
        for approach in written {
            match self.land(approach) {
                Ok(()) => {
                    self.landed().count += 1;
                    self.changed.notify_all();
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Nothing more will land.
    fn fail(&self, error: AppendError) {
        self.landed().error.get_or_insert(error);
        self.changed.notify_all();
        // A full channel wakes the node as well.
        if let Some(node) = self.node.upgrade() {
            let _ = node.try_send(Input::Failed);
        }
    }

    fn write(&self, flight: Flight) -> Result<Approach, AppendError> {
        let Flight {
            mut decided,
            activated,
            position,
            notes,
            traces,
            replies,
            through,
        } = flight;
        let taken = std::mem::take(&mut decided.taken);
        let commands = std::mem::take(&mut decided.commands);
        let written = write(&mut self.log(), decided, position, &notes)?;
        Ok(Approach {
            written,
            activated,
            taken,
            commands,
            traces,
            replies,
            through,
        })
    }

    /// Waits until the batch is durable, and lets everybody know.
    fn land(&self, approach: Approach) -> Result<(), AppendError> {
        let Approach {
            written: Written { pending, said },
            activated,
            taken,
            commands,
            traces,
            replies,
            through,
        } = approach;
        if let Some(pending) = pending {
            pending.wait()?;
        }
        let trace_of = |input: usize| traces.get(input).cloned().flatten();
        if tracing::enabled!(tracing::Level::INFO) {
            tell(&trace_of, &taken, &said);
        }
        activated.iter().for_each(Activated::tell);
        self.recent
            .note(through, said.into_iter().map(|(_, said)| said).collect());
        for (input, command) in commands {
            let trace = trace_of(input);
            // Without an executor nobody carries anything out.
            let _ = self.orders.send(Order { command, trace });
        }
        let mut taken = taken.into_iter();
        for reply in replies {
            let taken = taken.by_ref().take(reply.inputs);
            // Who sent it may have gone away.
            match reply.to {
                To::Events(to) => {
                    let _ = to.send(taken.collect());
                }
                To::Messages(to) => {
                    taken.for_each(drop);
                    let _ = to.send(());
                }
            }
            drop(reply.on_their_way);
        }
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn landed(&self) -> MutexGuard<'_, Landed> {
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
    // Most verdicts are steps on the way; what moves something, or cannot be judged, is news.
    let is_news = matches!(verdict, Verdict::Promote | Verdict::Error);
    if !is_news && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let rule = rule.as_str();
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
    if is_news {
        tracing::info!(record, rule, %verdict, reasons, "decided: {way}");
    } else {
        tracing::debug!(record, rule, %verdict, reasons, "decided: {way}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogOptions;

    /// What the node hears that waits for a batch, when the thread that has it does `work`.
    fn check(work: impl FnOnce(&Tower) + Send + 'static, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), LogOptions::default()).unwrap();
        let (orders, _) = mpsc::unbounded_channel();
        let (node, mut heard) = mpsc::channel(1);
        let tower = Tower::new(log, orders, Recent::of(0), node.downgrade());
        let writer = thread(&tower, "writer", work).unwrap();
        let mut committer = Committer {
            tower,
            flights: None,
            handed_over: 1,
            threads: vec![writer],
        };
        let error = committer.settle().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(matches!(heard.blocking_recv(), Some(Input::Failed)));
    }

    #[test]
    fn the_node_hears_of_a_thread_that_panics() {
        check(|_| panic!("no such row"), "the thread `writer` panicked");
    }

    #[test]
    fn the_node_hears_of_a_thread_that_cannot_write() {
        let dir = PathBuf::from("full");
        check(
            |tower| tower.fail(AppendError::NoSpace { dir }),
            "no space left",
        );
    }
}
