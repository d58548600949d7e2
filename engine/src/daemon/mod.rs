//! `weir run`: the node with everything around it.
//!
//! ```text
//! http ─┬─ embedded: decode ──────────> node ──> decisions ──> leader: copies, look-ups, ticks ─┐
//!       └─ stream: publish ─> JetStream ─> feed ─┘                        │                     │
//!                 ^───────────────────────────────────────────────────────┴─> outputs           │
//!                 └──────────────────────── what came of it ────────────────────────────────────┘
//! ```
//!
//! Every node reads and decides; one of them leads, and acts (`leader.rs`).

mod agreement;
mod backend;
mod broker_clock;
mod checkpoints;
mod default_registry;
mod executor;
mod feed;
pub(crate) mod heard;
mod image_id;
mod instances;
mod intake;
mod leader;
pub(crate) mod lookups;
pub(crate) mod outputs;
mod oversized;
mod parts;
mod questions;
mod reconcile;
mod resolver;
mod rules;
mod running;
mod scanned;
mod scans;
mod slot;
pub(crate) mod sources;
mod status;
mod taking;
mod ticks;
mod trace;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, watch};
use weir_rules::Execution;
use weir_schema::{Body, Event, Received, Timestamp};

pub use rules::RulesRefused;

use crate::{
    backtest::jobs::Jobs,
    config::Config,
    http::{Accepted, Server},
    log::LogOptions,
    node::{IDLE, Ledger, Node, Order, TERM, Trace},
    oci::Clients,
    stream::{Escort, Obstacle, Publisher, Stream, Term},
};
use agreement::Agreement;
use leader::Standing;
use parts::Parts;
use slot::Slot;

/// Where a running daemon says how to reach it, in its data directory.
pub const ADDRESS_FILE: &str = "address";

/// The longest wait that a registry is granted (`Retry-After`). Where it asks for more it is asked
/// again after this time, since what it says may be wrong, and nothing is to wait for ever.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(3600);

/// Why the daemon stopped by itself.
pub type DaemonError = Box<dyn std::error::Error + Send + Sync>;

/// What a running daemon hears from outside.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Becomes true when it is to end.
    pub stop: watch::Receiver<bool>,
    /// Says that its rules are to be read again.
    pub reload: Arc<Notify>,
}

/// What all parts of a running daemon share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) started: Timestamp,
    pub(crate) address: String,
    pub(crate) node: Node,
    pub(crate) clients: Clients,
    pub(crate) stream: Option<Arc<Stream>>,
    /// Set where all inputs go through the stream.
    pub(crate) publisher: Option<Publisher>,
    /// Who carries out promotions.
    pub(crate) executor: Slot<Order>,
    /// Who looks up manifests.
    pub(crate) resolver: Slot<resolver::Job>,
    /// Who finds out what deliveries lack.
    pub(crate) asker: Slot<lookups::Job>,
    /// Manifests that wait to be looked up.
    pub(crate) manifests_open: AtomicUsize,
    /// Rules that were refused, shown until others are taken.
    pub(crate) refused: Mutex<Option<String>>,
    /// The rules are to be read again.
    pub(crate) reload: Arc<Notify>,
    /// Deliveries of the stream that wait for a registry's answer.
    pub(crate) lookups: lookups::Lookups,
    /// The last message of the stream that is in the log.
    pub(crate) read: watch::Sender<u64>,
    /// How sources are read.
    pub(crate) reads: sources::InForce,
    /// The time by the broker's clock.
    pub(crate) broker_clock: broker_clock::BrokerClock,
    /// The newest term of the lease that the stream has told of.
    pub(crate) fence: watch::Sender<Option<Term>>,
    /// Whether this node's log is that of the node that leads.
    pub(crate) agreement: Agreement,
    /// Whether this node leads.
    pub(crate) standing: watch::Sender<Standing>,
    /// The record through which outputs are published.
    pub(crate) published: watch::Sender<u64>,
    /// When each source was last heard of.
    pub(crate) heard: heard::Heard,
    /// Which runs of a registry each source was heard of.
    pub(crate) instances: instances::Instances,
    /// A registry was started anew, or did something that it does not tell whole.
    pub(crate) restarted: Notify,
    /// Copies under way.
    pub(crate) running: running::Running,
    /// Backtests over the log.
    pub(crate) backtests: Jobs,
}

impl Shared {
    /// Makes events that anybody may say durable: in the log, or in the stream through which they
    /// come back.
    pub(crate) async fn submit(
        &self,
        events: Vec<Received>,
        trace: Trace,
    ) -> Result<Vec<Accepted>, DaemonError> {
        let Some(publisher) = &self.publisher else {
            return self.record(events, trace).await;
        };
        let escort = Escort {
            trace: trace.as_deref().map(str::to_owned),
            ..Escort::default()
        };
        let mut accepted = Vec::with_capacity(events.len());
        for event in &events {
            let ack = publisher.publish_escorted(event, &escort).await?;
            accepted.push(Accepted {
                sequence: ack.sequence,
                repeated: ack.duplicate,
            });
        }
        Ok(accepted)
    }

    /// Returns once the message `sequence` of the stream is in the log.
    pub(crate) async fn read_through(&self, sequence: u64) {
        let mut read = self.read.subscribe();
        // The sender lives as long as this.
        let _ = read.wait_for(|read| *read >= sequence).await;
    }

    /// What has kept this node from reading the stream for longer than a node that does not answer leads.
    pub(crate) fn unread(&self) -> Option<Obstacle> {
        let lease_time = self.config.stream.as_ref()?.lease.ttl_seconds;
        let obstacle = self.stream.as_ref()?.obstacle()?;
        obstacle
            .outlasts(Duration::from_secs(lease_time))
            .then_some(obstacle)
    }

    /// The bucket of the lease, for messages.
    pub(crate) fn lease_bucket(&self) -> &str {
        let stream = self.config.stream.as_ref();
        stream.map_or("", |stream| &stream.lease.bucket)
    }
}

/// An event that Weir itself says, with an identifier made of what it is about.
pub(crate) fn own_event(id: String, body: Body) -> Received {
    let now: Timestamp = chrono::Utc::now().into();
    Event {
        id: id.into(),
        source: Event::OWN_SOURCE.into(),
        time: Some(now),
        subject: None,
        body,
    }
    .into()
}

/// The log was read from a stream, and none is configured.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log in {} was read from the stream `{stream}`, and no stream is configured: what it records without one makes it another log than those of the other nodes; give the configuration with --config, or set `without_stream = true` to leave the stream for good",
    data.display()
)]
pub struct StreamForgotten {
    data: PathBuf,
    stream: String,
}

/// Runs until it is told to stop, or something that it cannot do without fails.
///
/// # Errors
/// With what failed: the log, the stream, the address to listen at, the rules.
pub async fn run(config: Config, signals: Signals) -> Result<(), DaemonError> {
    crate::oci::install_crypto_provider();
    // A log is not begun for a daemon that is refused.
    Server::check(&config.http).await?;
    let ledger = opened(&config).await?;
    let position = ledger.reader().head().position.clone();
    let mut stop = signals.stop.clone();
    let stream = match &config.stream {
        Some(stream) => tokio::select! {
            opened = Stream::open(stream) => Some(Arc::new(opened?)),
            () = ended(&mut stop) => {
                tracing::info!("stopping");
                return Ok(());
            }
        },
        None => None,
    };
    let server = bind(&config).await?;
    let address = format!("http://{}", server.address());
    let (orders, ordered) = mpsc::unbounded_channel();
    let (node, thread) = Node::start(ledger, orders)?;
    let shared = Arc::new(share(config, &node, stream, &address, &signals)?);
    let mut parts = Parts::start(&shared, ordered, position, server).await?;
    tracing::info!(%address, data = %shared.config.data.display(), "weir is running");
    let result = tokio::select! {
        () = ended(&mut stop) => Ok(()),
        ended = parts.ended_early() => ended,
        () = node_ended(&thread) => Err("the log cannot be written".into()),
    };
    tracing::info!("stopping");
    parts.end().await;
    end(shared, &node).await?;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    match ended {
        Ok(written) => written?,
        Err(_) => return Err("the node's thread panicked".into()),
    }
    result
}

/// Makes durable what the parts that have ended said last, and ends the node.
async fn end(shared: Arc<Shared>, node: &Node) -> Result<(), DaemonError> {
    let ending = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || ending.backtests.clear()).await?;
    let (name, value) = shared.heard.all();
    // A node that has ended already keeps nothing.
    let _ = node.note(name, value).await;
    node.stop().await;
    let note = shared.config.data.join(ADDRESS_FILE);
    // If the directory was moved, another daemon may have left its own there.
    if fs::read_to_string(&note).is_ok_and(|noted| noted.trim() == shared.address) {
        let _ = fs::remove_file(note);
    }
    Ok(())
}

/// The log, opened, if it is one that a daemon of this configuration may go on with.
async fn opened(config: &Config) -> Result<Ledger, DaemonError> {
    let mut ledger = open(config).await?;
    refuse_to_begin_with_wrong_rules(config, &ledger)?;
    if let Some(dir) = &config.archive {
        ledger.archive_to(dir.clone());
    }
    let position = ledger.reader().head().position.clone();
    if let (None, Some(at), false) = (&config.stream, position, config.without_stream) {
        return Err(Box::new(StreamForgotten {
            data: config.data.clone(),
            stream: at.stream,
        }));
    }
    Ok(ledger)
}

/// Listens where it is configured to, without an answer yet.
async fn bind(config: &Config) -> Result<Server, DaemonError> {
    let proofs = config.sources.iter();
    let proofs = proofs.filter_map(|(name, source)| Some((name.clone(), source.auth.clone()?)));
    let server = Server::bind(&config.http).await?;
    Ok(server.with_proofs(proofs.collect()))
}

/// Opens the log and rebuilds its state.
async fn open(config: &Config) -> Result<Ledger, DaemonError> {
    let settings = config.settings()?;
    let data = config.data.clone();
    crate::log::make_directory(&data)
        .map_err(|error| format!("cannot make the data directory {}: {error}", data.display()))?;
    let started = std::time::Instant::now();
    let ledger = tokio::task::spawn_blocking(move || {
        Ledger::open(&data, LogOptions::default(), settings, Execution::Commands)
    })
    .await??;
    tracing::info!(
        records = ledger.state().seq(),
        took = ?started.elapsed(),
        "log opened"
    );
    Ok(ledger)
}

/// Rules that were put in force stay in force whatever becomes of their files; but a node does not
/// begin with none when it was given some.
fn refuse_to_begin_with_wrong_rules(config: &Config, ledger: &Ledger) -> Result<(), RulesRefused> {
    match &config.rules {
        Some(dir) if ledger.state().rules().rules().is_empty() => {
            rules::checked(dir, config.default_registry.as_deref()).map(drop)
        }
        _ => Ok(()),
    }
}

fn share(
    config: Config,
    node: &Node,
    stream: Option<Arc<Stream>>,
    address: &str,
    signals: &Signals,
) -> Result<Shared, DaemonError> {
    let default_registry = config.default_registry.clone().unwrap_or_default();
    let reader = node.reader();
    let position = reader.head().position.clone();
    let position = position.filter(|at| {
        let present = stream.as_ref().map(|stream| stream.created());
        present.is_none_or(|present| at.created == present)
    });
    let fence = reader.meta_get(TERM)?.and_then(|kept| {
        let text = String::from_utf8(kept).ok()?;
        text.parse().ok()
    });
    let standing = match &stream {
        Some(_) => Standing::Unknown("it has just started".into()),
        None => Standing::Alone,
    };
    Ok(Shared {
        started: chrono::Utc::now().into(),
        address: address.to_owned(),
        clients: Clients::new(&default_registry, config.registries.clone()),
        publisher: stream.as_deref().map(Publisher::new),
        agreement: Agreement::of(&config.data)?,
        reads: sources::InForce::of(&config, reader)?,
        stream,
        config,
        executor: Slot::default(),
        resolver: Slot::default(),
        asker: Slot::default(),
        manifests_open: AtomicUsize::new(0),
        refused: Mutex::new(None),
        reload: Arc::clone(&signals.reload),
        lookups: lookups::Lookups::of(reader)?,
        // Of a stream that was made anew nothing is read yet.
        read: watch::Sender::new(position.map_or(0, |at| at.sequence)),
        broker_clock: broker_clock::BrokerClock::default(),
        fence: watch::Sender::new(fence),
        standing: watch::Sender::new(standing),
        published: watch::Sender::new(outputs::published_through(reader)?),
        heard: heard::Heard::of(reader)?,
        instances: instances::Instances::default(),
        restarted: Notify::new(),
        running: running::Running::default(),
        backtests: Jobs::default(),
        node: node.clone(),
    })
}

/// Returns once the daemon is to end.
async fn ended(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone is an end too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn node_ended<T>(thread: &std::thread::JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(IDLE).await;
    }
}
