//! The node: one thread that owns log, state and rules.
//!
//! ```text
//! inputs ──> node: dedup, step ──> writer: encode, hash ──> committer: sync ──> replies, orders,
//!              └── the next batch     └── the next                              what was said
//! ```
//!
//! Everything reaches it through a bounded channel as an `Input`; it groups what waits into one
//! batch and decides it, and while that is written and made durable it works on the next. Nobody
//! hears of anything before it is durable. Readers ask it questions and get values.

mod ahead;
mod archiving;
mod basis;
mod checkpoint;
mod commit;
mod compared;
mod deliveries;
mod fold;
mod indexer;
mod keeper;
mod ledger;
mod politeness;
mod rebuild;
mod recent;
mod snapshot_check;
mod transfer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use weir_rules::{Command, State};
use weir_schema::{Body, Position, Received, Timestamp};

pub use archiving::{ArchiveTrouble, Archiving};
pub use basis::Basis;
pub use checkpoint::{CHECKPOINT_FILE, CheckpointFailure, sign};
pub use fold::Fold;
pub use ledger::{
    Decided, Decider, Incoming, Ledger, LedgerError, Taken, Written, last_state, open_log_to_read,
    write,
};
pub use rebuild::{At, AtError, refold, state_at};
pub use recent::{Recent, Said, is_for_the_world};
pub use snapshot_check::SnapshotCheck;
pub use transfer::{
    ImportError, Imported, Source, archive, export, export_from, import, import_all,
};

use commit::{Activated, Committer, Flight, Reply, To};
use indexer::Indexer;
use keeper::Keeper;
use politeness::{Backlog, OnTheirWay};

use crate::log::{AppendError, Log, LogReader, StreamPosition, index::Index};

/// How many inputs may wait: enough for a burst of a registry, little enough that a sender feels
/// the back pressure of a slow disk.
const WAITING: usize = 1024;

/// How many inputs one durable batch holds at most: the size that `benches/log.rs` measures best.
const BATCH: usize = 256;

/// Where the log keeps the newest term of the lease that its inputs tell of.
pub const TERM: &str = "term";

/// What one delivery and all that follows from it have in common; see
/// [`crate::stream::Escort::trace`].
pub type Trace = Option<Arc<str>>;

/// How long a value that a crash may lose waits for a batch to go with: most batches of few records
/// then change one row of the store, which is written several times as fast as two.
const NOTED_EVERY: Duration = Duration::from_millis(100);

/// Values kept beside the records.
pub type Notes = Vec<(&'static str, Vec<u8>)>;

/// Something to be carried out.
#[derive(Debug, Clone)]
pub struct Order {
    /// What.
    pub command: Command,
    /// The delivery that led to it.
    pub trace: Trace,
}

/// Messages of the stream, decoded.
#[derive(Debug, Default)]
pub struct Messages {
    /// What they mean, in order.
    pub inputs: Vec<Incoming>,
    /// Of each input, the delivery that it is of.
    pub traces: Vec<Trace>,
    /// What is to be kept in one batch with them.
    pub notes: Notes,
}

/// A question about the state or to the log, answered on the node's thread when all that was decided
/// before is durable.
enum Question {
    State(Box<dyn FnOnce(&State) + Send>),
    Log(Box<dyn FnOnce(&mut Log) + Send>),
}

/// What reaches the node.
enum Input {
    /// Events of the intake, with its own clock.
    Events(
        Vec<Received>,
        Trace,
        oneshot::Sender<Vec<Taken>>,
        OnTheirWay,
    ),
    /// Messages of the stream up to a position, with the broker's clock.
    Messages(Messages, StreamPosition, oneshot::Sender<()>, OnTheirWay),
    /// A value to keep with one of the next batches; losing it in a crash loses nothing else.
    Note(&'static str, Vec<u8>),
    Ask(Question),
    /// The committer cannot go on.
    Failed,
    Stop,
}

/// The node has stopped: what was sent is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be written, or the node is stopping")]
pub struct Stopped;

/// Messages on their way into the log.
#[must_use = "they are durable only once `durable` has returned"]
pub struct Landing(oneshot::Receiver<()>);

impl Landing {
    /// Returns once they are durable.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn durable(&mut self) -> Result<(), Stopped> {
        (&mut self.0).await.map_err(|_| Stopped)
    }
}

/// A handle to the node.
#[derive(Clone)]
pub struct Node {
    inputs: mpsc::Sender<Input>,
    reader: LogReader,
    recent: Recent,
    index: Index,
    backlog: Backlog,
    archive: Option<Archiving>,
    repeated: Arc<AtomicU64>,
}

impl Node {
    /// Starts the thread. Orders are sent to `orders` once their decisions are durable.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        ledger: Ledger,
        orders: mpsc::UnboundedSender<Order>,
    ) -> std::io::Result<(Self, JoinHandle<Result<(), AppendError>>)> {
        let (inputs, waiting) = mpsc::channel(WAITING);
        let reader = ledger.reader();
        let recent = Recent::of(reader.head().next_seq - 1);
        let archive = ledger.archive().map(|dir| Archiving::into(dir.to_owned()));
        let index = Index::open(ledger.reader());
        let backlog = Backlog::default();
        let beside = (
            Keeper::start(
                ledger.reader(),
                ledger.basis().clone(),
                archive.clone(),
                backlog.clone(),
            )?,
            Indexer::start(index.clone(), backlog.clone())?,
        );
        let repeated = Arc::new(AtomicU64::new(0));
        let (decider, log) = ledger.into_parts();
        let committer = Committer::start(log, orders, recent.clone(), inputs.downgrade())?;
        let thread = thread::Builder::new()
            .name("node".into())
            .stack_size(16 << 20)
            .spawn({
                let repeated = Arc::clone(&repeated);
                move || run(decider, beside, waiting, committer, &repeated)
            })?;
        let node = Self {
            inputs,
            reader,
            recent,
            index,
            backlog,
            archive,
            repeated,
        };
        Ok((node, thread))
    }

    /// How many inputs came before, by source and id, and were dropped since the node began.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// A handle for reading the log.
    #[must_use]
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// What the log said last.
    #[must_use]
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Where full segments of the log are written, if they are.
    #[must_use]
    pub fn archive(&self) -> Option<&Archiving> {
        self.archive.as_ref()
    }

    /// The index of the log, which follows it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Takes events; returns once they are durable.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn take(&self, events: Vec<Received>, trace: Trace) -> Result<Vec<Taken>, Stopped> {
        let (reply, answer) = oneshot::channel();
        let on_their_way = self.backlog.more(events.len());
        self.send(Input::Events(events, trace, reply, on_their_way))
            .await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands over messages of the stream up to `position`, in the order of the calls. More may be
    /// handed over before they are durable.
    ///
    /// # Errors
    /// If the node stopped.
    pub async fn take_messages(
        &self,
        messages: Messages,
        position: StreamPosition,
    ) -> Result<Landing, Stopped> {
        let (reply, answer) = oneshot::channel();
        let on_their_way = self.backlog.more(messages.inputs.len());
        self.send(Input::Messages(messages, position, reply, on_their_way))
            .await?;
        Ok(Landing(answer))
    }

    /// Keeps a value with one of the next batches, a tenth of a second after the last such at the
    /// earliest, or at the stop. A crash may lose it.
    ///
    /// # Errors
    /// If the node stopped.
    pub async fn note(&self, name: &'static str, value: Vec<u8>) -> Result<(), Stopped> {
        self.send(Input::Note(name, value)).await
    }

    /// Asks something of the state.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question = Question::State(Box::new(move |state| {
            // Who asked may have gone away; then nobody waits for the answer.
            let _ = reply.send(question(state));
        }));
        self.send(Input::Ask(question)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks something of the log itself.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn ask_log<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Log) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question = Question::Log(Box::new(move |log| {
            let _ = reply.send(question(log));
        }));
        self.send(Input::Ask(question)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Stops the node after what it has.
    pub async fn stop(&self) {
        // A node that stopped already has nothing to hear.
        let _ = self.send(Input::Stop).await;
    }

    async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(input).await.map_err(|_| Stopped)
    }
}

/// What is taken out of the channel at once.
#[derive(Default)]
struct Batch {
    inputs: Vec<Incoming>,
    traces: Vec<Trace>,
    replies: Vec<Reply>,
    position: Option<StreamPosition>,
    /// What goes with it.
    notes: BTreeMap<&'static str, Vec<u8>>,
    /// What may go with a later one; newer than what goes with this one by the same name.
    later: BTreeMap<&'static str, Vec<u8>>,
    questions: Vec<Question>,
    /// A thread that writes the log cannot go on.
    failed: bool,
    stop: bool,
}

impl Batch {
    fn add(&mut self, input: Input) {
        match input {
            Input::Events(events, trace, reply, on_their_way) => {
                let at: Timestamp = chrono::Utc::now().into();
                self.replies.push(Reply {
                    inputs: events.len(),
                    to: To::Events(reply),
                    on_their_way,
                });
                self.traces.extend(std::iter::repeat_n(trace, events.len()));
                self.inputs
                    .extend(events.into_iter().map(|received| Incoming {
                        received,
                        at,
                        position: Position::Local,
                    }));
            }
            Input::Messages(messages, upto, reply, on_their_way) => {
                self.replies.push(Reply {
                    inputs: messages.inputs.len(),
                    to: To::Messages(reply),
                    on_their_way,
                });
                self.inputs.extend(messages.inputs);
                self.traces.extend(messages.traces);
                self.traces.resize(self.inputs.len(), None);
                self.notes.extend(messages.notes);
                self.later.retain(|name, _| !self.notes.contains_key(name));
                self.position = Some(upto);
            }
            Input::Note(name, value) => {
                self.later.insert(name, value);
            }
            Input::Ask(question) => self.questions.push(question),
            Input::Failed => self.failed = true,
            Input::Stop => self.stop = true,
        }
    }

    fn activates_rules(&self) -> bool {
        let mut bodies = self.inputs.iter().map(|one| &one.received.event.body);
        bodies.any(|body| matches!(body, Body::RulesActivated(_)))
    }

    /// Whether there is nothing in it but what may go with a later one.
    fn may_wait(&self) -> bool {
        self.replies.is_empty() && self.questions.is_empty() && !self.failed && !self.stop
    }

    fn is_full(&self) -> bool {
        self.stop || self.inputs.len() >= BATCH || !self.questions.is_empty()
    }
}

fn run(
    mut decider: Decider,
    beside: (Keeper, Indexer),
    mut waiting: mpsc::Receiver<Input>,
    mut committer: Committer,
    repeated: &AtomicU64,
) -> Result<(), AppendError> {
    let mut later: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut noted_at = Instant::now();
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(input) = next {
            batch.add(input);
            next = if batch.is_full() {
                None
            } else {
                waiting.try_recv().ok()
            };
        }
        later.retain(|name, _| !batch.notes.contains_key(name));
        later.append(&mut batch.later);
        if batch.may_wait() {
            continue;
        }
        let mut notes = std::mem::take(&mut batch.notes);
        if batch.stop || !batch.replies.is_empty() && noted_at.elapsed() >= NOTED_EVERY {
            notes.append(&mut later);
            noted_at = Instant::now();
        }
        // If it cannot be written, the node stops and every sender is told by the closed channel.
        let failed = |error: AppendError| {
            tracing::error!(%error, "the log cannot be written: stopping");
            error
        };
        let activates = batch.activates_rules();
        let decided = decider.decide(batch.inputs);
        let came_before = decided.taken.iter().filter(|one| **one == Taken::Repeated);
        repeated.fetch_add(came_before.count() as u64, Ordering::Relaxed);
        let flight = Flight {
            decided,
            activated: activates.then(|| Activated::of(decider.state())),
            position: batch.position,
            notes: notes.into_iter().collect(),
            traces: batch.traces,
            replies: batch.replies,
            through: decider.state().seq(),
        };
        // Nobody waits for the node, nor is anything before it on its way: waiting for the disk here
        // saves a change of threads.
        let alone = batch.stop
            || !batch.questions.is_empty()
            || (waiting.is_empty() && committer.is_settled());
        if alone {
            committer.settle().map_err(failed)?;
            committer.land(flight).map_err(failed)?;
        } else {
            committer.hand_over(flight).map_err(failed)?;
        }
        for question in batch.questions {
            match question {
                Question::State(question) => question(decider.state()),
                Question::Log(question) => question(&mut committer.log()),
            }
        }
        if batch.stop {
            break;
        }
    }
    committer.settle()?;
    drop(beside);
    let reader = committer.log().reader();
    decider.keep_snapshot(&reader);
    Ok(())
}

/// How long an idle part of the engine sleeps before it looks again.
pub const IDLE: Duration = Duration::from_millis(500);
