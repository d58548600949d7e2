//! `weir run`: the node with everything around it.
//!
//! ```text
//! http ─┬─ embedded: decode ──────────> node ──> commands ──> executor ──> outcomes ─┐
//!       └─ stream: publish ─> JetStream ─> feed ─┘  └─> resolver ──> facts ──────────┤
//!                 ^────────────────────────────────────────────────────────────────────┘
//! ```

mod backend;
mod checkpoints;
mod executor;
mod feed;
mod intake;
mod lookups;
mod outputs;
mod oversized;
mod reconcile;
mod resolver;
mod running;
mod scans;

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use tokio::sync::{Notify, mpsc, watch};
use weir_rules::{Execution, rule::RuleSet};
use weir_schema::{Body, Event, Received, RuleFile, RulesActivated, Timestamp};

use crate::{
    backtest::jobs::Jobs,
    config::Config,
    http::Server,
    log::LogOptions,
    node::{IDLE, Ledger, Node, SOURCE, Stopped, Taken},
    oci::Clients,
    rules_dir,
    stream::{Publisher, Stream},
};

/// Where a running daemon says how to reach it, in its data directory.
pub const ADDRESS_FILE: &str = "address";

/// Why the daemon stopped by itself.
pub type DaemonError = Box<dyn std::error::Error + Send + Sync>;

/// What all parts of a running daemon share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) node: Node,
    pub(crate) clients: Clients,
    /// Set where all inputs go through the stream.
    pub(crate) publisher: Option<Publisher>,
    /// Manifests to look up.
    pub(crate) resolve: mpsc::UnboundedSender<resolver::Job>,
    /// Rules that were refused, shown until others are taken.
    pub(crate) refused: std::sync::Mutex<Option<String>>,
    /// Something was recorded.
    pub(crate) recorded: Notify,
    /// Deliveries of the stream that wait for a registry's answer.
    pub(crate) lookups: lookups::Lookups,
    /// Which run of a registry each source was last heard of.
    pub(crate) instances: std::sync::Mutex<BTreeMap<String, String>>,
    /// A registry was started anew.
    pub(crate) restarted: Notify,
    /// Copies under way.
    pub(crate) running: running::Running,
    /// Backtests over the log.
    pub(crate) backtests: Jobs,
}

impl Shared {
    /// Makes events durable: in the log, or in the stream through which they come back.
    pub(crate) async fn submit(&self, events: Vec<Received>) -> Result<Vec<u64>, DaemonError> {
        match &self.publisher {
            None => Ok(self.record(events).await?),
            Some(publisher) => {
                let mut sequences = Vec::with_capacity(events.len());
                for event in &events {
                    sequences.push(publisher.publish_event(event).await?.sequence);
                }
                Ok(sequences)
            }
        }
    }

    /// Records events in the log, and looks up what they leave open.
    pub(crate) async fn record(&self, events: Vec<Received>) -> Result<Vec<u64>, Stopped> {
        let jobs: Vec<resolver::Job> = events
            .iter()
            .filter_map(|event| resolver::job(&event.event))
            .collect();
        let last = self.node.reader().head().next_seq;
        let taken = self.node.take(events).await?;
        self.look_up(jobs);
        self.recorded.notify_waiters();
        Ok(taken
            .into_iter()
            .map(|taken| match taken {
                Taken::Recorded(seq) => seq,
                Taken::Repeated => last,
            })
            .collect())
    }

    /// Hands manifests to the resolver, where their registry may be asked.
    pub(crate) fn look_up(&self, jobs: Vec<resolver::Job>) {
        for job in jobs {
            if self.config.reaches(&job.repository) {
                // The resolver ends with the daemon; then nothing is looked up any more.
                let _ = self.resolve.send(job);
            }
        }
    }
}

/// An event that Weir itself says, with an identifier made of what it is about.
pub(crate) fn own_event(id: String, body: Body) -> Received {
    let now: Timestamp = chrono::Utc::now().into();
    Event {
        id,
        source: SOURCE.into(),
        time: Some(now),
        subject: None,
        body,
    }
    .into()
}

/// Runs until `stop` is true, or something that it cannot do without fails.
///
/// # Errors
/// With what failed: the log, the stream, the address to listen at, the rules.
pub async fn run(config: Config, mut stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
    crate::oci::install_crypto_provider();
    let settings = config.settings()?;
    let files = match &config.rules {
        Some(dir) => Some(checked_rules(dir)?),
        None => None,
    };
    fs::create_dir_all(&config.data).map_err(|error| {
        format!(
            "cannot make the data directory {}: {error}",
            config.data.display()
        )
    })?;
    let data = config.data.clone();
    let started = std::time::Instant::now();
    let ledger = {
        let data = data.clone();
        tokio::task::spawn_blocking(move || {
            Ledger::open(&data, LogOptions::default(), settings, Execution::Commands)
        })
        .await??
    };
    tracing::info!(
        records = ledger.state().seq(),
        took = ?started.elapsed(),
        "log opened"
    );
    let head = ledger.reader().head();
    let open_copies = ledger.state().open_copies();
    let unresolved = resolver::open(ledger.state());
    let rules_in_force = ledger.state().rules().digest();
    let stream = match &config.stream {
        Some(stream) => Some(Stream::open(stream).await?),
        None => None,
    };
    for warning in stream.iter().flat_map(Stream::warnings) {
        tracing::warn!("{warning}");
    }
    let proofs = config.sources.iter();
    let proofs = proofs.filter_map(|(name, source)| Some((name.clone(), source.auth.clone()?)));
    let server = Server::bind(&config.http)
        .await?
        .with_proofs(proofs.collect());
    let address = server.address();
    let (commands, orders) = mpsc::unbounded_channel();
    let (node, thread) = Node::start(ledger, commands)?;
    let (resolve, jobs) = mpsc::unbounded_channel();
    let default_registry = config.default_registry.clone().unwrap_or_default();
    let shared = Arc::new(Shared {
        clients: Clients::new(&default_registry, config.registries.clone()),
        publisher: stream.as_ref().map(Publisher::new),
        config,
        node: node.clone(),
        resolve,
        refused: std::sync::Mutex::new(None),
        recorded: Notify::new(),
        lookups: lookups::Lookups::of(node.reader())?,
        instances: std::sync::Mutex::default(),
        restarted: Notify::new(),
        running: running::Running::default(),
        backtests: Jobs::default(),
    });
    let mut parts = tokio::task::JoinSet::<Result<(), DaemonError>>::new();
    let (ended, end) = watch::channel(false);
    let stream = stream.map(Arc::new);
    {
        let (shared, stream) = (Arc::clone(&shared), stream.clone());
        parts.spawn(async move { checkpoints::run(&shared, stream).await });
    }
    if let Some(stream) = stream {
        let after = head.position.clone();
        let (shared_feed, stopping) = (Arc::clone(&shared), end.clone());
        let of_feed = Arc::clone(&stream);
        parts.spawn(async move { feed::run(&shared_feed, &of_feed, after, stopping).await });
        let (shared_out, stopping) = (Arc::clone(&shared), end.clone());
        parts.spawn(async move { outputs::run(&shared_out, &stream, stopping).await });
    }
    if let Some(files) = files {
        activate(&shared, files, rules_in_force).await?;
    }
    {
        let shared = Arc::clone(&shared);
        parts.spawn(async move { resolver::run(&shared, jobs).await });
    }
    {
        let shared = Arc::clone(&shared);
        let open_copies = if shared.config.promotions.execute {
            open_copies
        } else {
            Vec::new()
        };
        parts.spawn(async move { executor::run(&shared, open_copies, orders).await });
    }
    {
        let shared = Arc::clone(&shared);
        parts.spawn(async move { tick(&shared).await });
    }
    {
        let shared = Arc::clone(&shared);
        parts.spawn(async move { watch_rules(&shared).await });
    }
    shared.look_up(unresolved);
    {
        let shared = Arc::clone(&shared);
        parts.spawn(async move { reconcile::run(&shared).await });
    }
    {
        let shared = Arc::clone(&shared);
        parts.spawn(async move { scans::run(&shared).await });
    }
    fs::write(data.join(ADDRESS_FILE), format!("http://{address}\n"))?;
    let backend = backend::Backend::new(Arc::clone(&shared));
    let mut serving = end.clone();
    let server = tokio::spawn(server.serve(backend, async move {
        // The sender lives as long as the daemon.
        let _ = serving.wait_for(|ended| *ended).await;
    }));
    tracing::info!(%address, data = %data.display(), "weir is running");
    let result = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => Ok(()),
        Some(part) = parts.join_next() => match part {
            Ok(Ok(())) => Err("a part of the daemon ended".into()),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.into()),
        },
        () = node_ended(&thread) => Err("the log cannot be written".into()),
    };
    tracing::info!("stopping");
    ended.send_replace(true);
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    parts.shutdown().await;
    let ending = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || ending.backtests.clear()).await?;
    node.stop().await;
    let _ = fs::remove_file(data.join(ADDRESS_FILE));
    drop(shared);
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    match ended {
        Ok(written) => written?,
        Err(_) => return Err("the node's thread panicked".into()),
    }
    result
}

async fn node_ended<T>(thread: &std::thread::JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(IDLE).await;
    }
}

/// Reads and checks a rule set: one with an error is refused whole.
fn checked_rules(dir: &std::path::Path) -> Result<Vec<RuleFile>, DaemonError> {
    let files = rules_dir::read(dir)?;
    let pairs: Vec<(String, String)> = files
        .iter()
        .map(|file| (file.path.clone(), file.text.clone()))
        .collect();
    let loaded = RuleSet::load(&pairs, &weir_rules::cel::Limits::RULES)
        .map_err(|errors| errors.to_string())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(files)
}

/// Puts rules in force, unless they are already.
async fn activate(
    shared: &Shared,
    files: Vec<RuleFile>,
    in_force: [u8; 32],
) -> Result<(), DaemonError> {
    let pairs: Vec<(String, String)> = files
        .iter()
        .map(|file| (file.path.clone(), file.text.clone()))
        .collect();
    let loaded = RuleSet::load(&pairs, &weir_rules::cel::Limits::RULES)
        .map_err(|errors| errors.to_string())?;
    if loaded.rules.digest() == in_force {
        return Ok(());
    }
    let id = format!("rules-{}", uuid::Uuid::new_v4());
    let event = own_event(
        id,
        Body::RulesActivated(RulesActivated { files, actor: None }),
    );
    shared.submit(vec![event]).await?;
    tracing::info!(rules = loaded.rules.rules().len(), "rules activated");
    Ok(())
}

/// Puts changed rule files in force, all or nothing. One refused set is said once.
async fn watch_rules(shared: &Shared) -> Result<(), DaemonError> {
    let Some(dir) = shared.config.rules.clone() else {
        return std::future::pending().await;
    };
    let mut seen = rules_dir::read(&dir).ok();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = rules_dir::read(&dir).ok();
        if now == seen {
            continue;
        }
        seen = now;
        let refused = match checked_rules(&dir) {
            Ok(files) => {
                let in_force = shared.node.ask(|state| state.rules().digest()).await?;
                activate(shared, files, in_force).await?;
                None
            }
            Err(error) => {
                tracing::error!("the changed rules are refused, those in force stay:\n{error}");
                Some(error.to_string())
            }
        };
        *shared
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = refused;
    }
}

/// Lets time pass where something waits for it and nothing else happens.
async fn tick(shared: &Shared) -> Result<(), DaemonError> {
    loop {
        tokio::time::sleep(IDLE).await;
        let due = shared.node.ask(weir_rules::State::next_alarm).await?;
        let now: Timestamp = chrono::Utc::now().into();
        if let Some(due) = due.filter(|due| *due <= now) {
            // Named for what is due: another node's tick for it is the same one.
            shared
                .submit(vec![own_event(format!("tick-{due}"), Body::ClockTicked)])
                .await?;
        }
    }
}
