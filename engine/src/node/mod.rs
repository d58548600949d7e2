//! The node: one thread that owns log, state and rules.
//!
//! Everything reaches it through a bounded channel as an [`Input`]; it groups what waits into one
//! durable batch, answers, and passes commands on. Readers ask it questions and get values.

mod basis;
mod checkpoint;
mod deliveries;
mod fold;
mod keeper;
mod ledger;
mod rebuild;
mod transfer;

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use weir_rules::{Command, State};
use weir_schema::{Position, Received, Timestamp};

pub use basis::Basis;
pub use checkpoint::{CHECKPOINT_FILE, CheckpointFailure};
pub use fold::Fold;
pub use ledger::{Incoming, Ledger, LedgerError, SOURCE, Taken};
pub use rebuild::{At, AtError, state_at};
pub use transfer::{ImportError, Imported, export, import};

use keeper::Keeper;

use crate::log::{LogReader, StreamPosition};

/// How many inputs may wait: enough for a burst of a registry, little enough that a sender feels
/// the back pressure of a slow disk.
const WAITING: usize = 1024;

/// How many inputs one durable batch holds at most: the size that `benches/log.rs` measures best.
const BATCH: usize = 256;

/// A question about state and log, answered on the node's thread.
type Question = Box<dyn FnOnce(&mut Ledger) + Send>;

/// What reaches the node.
enum Input {
    /// Events of the intake, with its own clock.
    Events(Vec<Received>, oneshot::Sender<Vec<Taken>>),
    /// Messages of the stream, with the broker's clock.
    Messages(Vec<Incoming>, StreamPosition, oneshot::Sender<()>),
    Ask(Question),
    Stop,
}

/// The node has stopped: what was sent is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be written, or the node is stopping")]
pub struct Stopped;

/// A handle to the node.
#[derive(Clone)]
pub struct Node {
    inputs: mpsc::Sender<Input>,
    reader: LogReader,
}

impl Node {
    /// Starts the thread. Commands are sent to `commands` once their decisions are durable.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        ledger: Ledger,
        commands: mpsc::UnboundedSender<Command>,
    ) -> std::io::Result<(Self, JoinHandle<Result<(), crate::log::AppendError>>)> {
        let (inputs, waiting) = mpsc::channel(WAITING);
        let reader = ledger.reader();
        let keeper = Keeper::start(ledger.reader(), ledger.basis().clone())?;
        let thread = thread::Builder::new()
            .name("node".into())
            .stack_size(16 << 20)
            .spawn(move || run(ledger, keeper, waiting, &commands))?;
        Ok((Self { inputs, reader }, thread))
    }

    /// A handle for reading the log.
    #[must_use]
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Takes events; returns once they are durable.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn take(&self, events: Vec<Received>) -> Result<Vec<Taken>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::Events(events, reply))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Takes messages of the stream up to `position`; returns once they are durable.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn take_messages(
        &self,
        inputs: Vec<Incoming>,
        position: StreamPosition,
    ) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::Messages(inputs, position, reply))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks something of the state.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.ask_ledger(move |ledger| question(ledger.state()))
            .await
    }

    /// Asks something of the whole ledger.
    ///
    /// # Errors
    /// If the node stopped first.
    pub async fn ask_ledger<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |ledger| {
            // Who asked may have gone away; then nobody waits for the answer.
            let _ = reply.send(question(ledger));
        });
        self.inputs
            .send(Input::Ask(question))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Stops the node after what it has.
    pub async fn stop(&self) {
        // A node that stopped already has nothing to hear.
        let _ = self.inputs.send(Input::Stop).await;
    }
}

/// What waits for a batch to be durable.
enum Reply {
    Events(usize, oneshot::Sender<Vec<Taken>>),
    Messages(oneshot::Sender<()>),
}

fn run(
    mut ledger: Ledger,
    keeper: Keeper,
    mut waiting: mpsc::Receiver<Input>,
    commands: &mpsc::UnboundedSender<Command>,
) -> Result<(), crate::log::AppendError> {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = Vec::new();
        let mut replies = Vec::new();
        let mut position = None;
        let mut questions = Vec::new();
        let mut stop = false;
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Events(events, reply) => {
                    let at: Timestamp = chrono::Utc::now().into();
                    replies.push(Reply::Events(events.len(), reply));
                    batch.extend(events.into_iter().map(|received| Incoming {
                        received,
                        at,
                        position: Position::Local,
                    }));
                }
                Input::Messages(messages, upto, reply) => {
                    batch.extend(messages);
                    position = Some(upto);
                    replies.push(Reply::Messages(reply));
                }
                Input::Ask(question) => questions.push(question),
                Input::Stop => stop = true,
            }
            next = if stop || batch.len() >= BATCH || !questions.is_empty() {
                None
            } else {
                waiting.try_recv().ok()
            };
        }
        // Nobody hears of anything before it is durable; if it cannot be, the node stops and
        // every sender is told by the closed channel.
        let (taken, orders) = match ledger.take(batch, position) {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "the log cannot be written: stopping");
                return Err(error);
            }
        };
        let mut taken = taken.into_iter();
        for reply in replies {
            match reply {
                Reply::Events(count, reply) => {
                    let _ = reply.send(taken.by_ref().take(count).collect());
                }
                Reply::Messages(reply) => {
                    let _ = reply.send(());
                }
            }
        }
        for order in orders {
            let _ = commands.send(order);
        }
        for question in questions {
            question(&mut ledger);
        }
        if stop {
            break;
        }
    }
    drop(keeper);
    ledger.keep_snapshot();
    Ok(())
}

/// How long an idle part of the engine sleeps before it looks again.
pub const IDLE: Duration = Duration::from_millis(500);
