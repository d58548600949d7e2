//! Leading: which node acts, and what it does then.
//!
//! ```text
//! acquire ──> say so in the stream ──> read that back ──> act: copies, ticks, look-ups, outputs
//!    ^                                                      │
//!    └───────────── the lease is lost: everything ends ─────┘
//! ```
//!
//! All nodes that read the stream compute the same; the one that holds the lease acts. The first
//! thing it says carries its term, and from there on every node drops what an earlier leader still
//! has to say. Once it has read that back it knows all that was done before it, and resumes what is
//! open. Who cannot read for longer than a lease lasts gives it up, and does not try before it reads again:
//! others may. Its acts end, with time to spare, before the server can give the lease to another. Without
//! a stream there is one node, and it always acts.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use weir_schema::{Body, Digest, Received, Timestamp};

use super::{
    DaemonError, Shared,
    agreement::{self, Difference},
    ended, executor, lookups, outputs, oversized, own_event, reconcile, resolver, rules, scans,
    ticks,
};
use crate::{
    adapters,
    config::Config,
    http::Accepted,
    node::{Taken, Trace},
    stream::{
        Acquired, Candidate, Escort, Lease, LeaseError, Leases, MessageLimit, PublishError,
        Publisher, Settled, Stream, Term, Validity,
    },
};

/// How often a node that does not lead tries to.
const TRY: Duration = Duration::from_secs(1);

/// A node that is further behind in the stream than this does not try: it could not act before it
/// has read it.
const MOST_BEHIND: u64 = 1000;

/// How long to wait before something is said again that the stream did not take.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a node stands.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// There is one node.
    Alone,
    /// It does not know yet, or cannot find out: why.
    Unknown(String),
    /// Another node leads.
    Follows(Option<Candidate>),
    /// Its log is not that of the node that leads, or led last: it must not lead.
    Differs(Option<Candidate>, String),
    /// It has the lease and reads what was said before it.
    TakesOver(Term),
    /// It acts.
    Leads(Term, Timestamp),
}

impl Standing {
    /// Whether this node acts.
    pub(crate) fn acts(&self) -> bool {
        matches!(self, Self::Alone | Self::Leads(..))
    }

    /// As people and programs ask for it.
    pub(crate) fn answer(&self, node: &str) -> Value {
        let (word, holder) = match self {
            Self::Alone => return Value::Null,
            Self::Unknown(problem) => {
                return json!({"standing": "unknown", "holder": null, "problem": problem});
            }
            Self::Follows(holder) => ("follows", holder.as_ref().map(|holder| &*holder.node)),
            Self::Differs(holder, _) => ("differs", holder.as_ref().map(|holder| &*holder.node)),
            Self::TakesOver(_) => ("takes-over", Some(node)),
            Self::Leads(..) => ("leads", Some(node)),
        };
        let mut answer = json!({"standing": word, "holder": holder});
        match self {
            Self::Leads(term, since) => {
                answer["term"] = term.to_string().into();
                answer["since"] = json!(since);
            }
            Self::TakesOver(term) => answer["term"] = term.to_string().into(),
            Self::Follows(Some(holder)) => answer["holder_executes"] = holder.executes.into(),
            Self::Differs(_, problem) => answer["problem"] = problem.as_str().into(),
            _ => {}
        }
        answer
    }
}

/// The right to act, for as long as it lasts.
#[derive(Clone)]
pub(crate) struct Acting {
    pub(crate) shared: Arc<Shared>,
    lease: Option<(Term, Validity)>,
}

/// What was said cannot be made durable, now or ever.
#[derive(Debug, thiserror::Error)]
#[error("{size} bytes do not fit into {limit}: {}", .limit.remedy())]
pub(crate) struct Unsayable {
    size: usize,
    limit: MessageLimit,
}

impl Unsayable {
    /// The rejection that is recorded in place of the event.
    fn in_place_of(&self, event: &Received, source: Option<&str>) -> Received {
        let payload = Digest::of(event.json.as_bytes());
        let id = format!("rejected-{payload}");
        let kind = event.event.body.kind();
        let rejected = oversized::rejected(kind, self.size, &self.limit, payload);
        match source {
            Some(source) => adapters::rejection(source, rejected),
            None => own_event(id, Body::InputRejected(rejected)),
        }
    }
}

impl Acting {
    /// Whether this node may act. Who was stopped for long must ask again before each act.
    pub(crate) fn may_act(&self) -> bool {
        self.lease
            .as_ref()
            .is_none_or(|(_, validity)| validity.holds())
    }

    /// Makes events durable, on behalf of the lease; returns where the last of them is. Waits for as
    /// long as the stream takes nothing, and for ever once the lease is lost: then whoever waits is
    /// about to be ended.
    ///
    /// # Errors
    /// An event is too large for the stream; or the log cannot be written.
    pub(crate) async fn say(
        &self,
        events: Vec<Received>,
        trace: &Trace,
    ) -> Result<u64, DaemonError> {
        let Some(publisher) = &self.shared.publisher else {
            let accepted = self.shared.record(events, trace.clone()).await?;
            return Ok(accepted.last().map_or(0, |last| last.sequence));
        };
        let escort = self.escort(trace);
        let mut last = 0;
        for event in &events {
            last = self.publish(publisher, event, &escort).await?;
        }
        Ok(last)
    }

    /// As [`Self::say`], of what was found out: what does not fit into the stream is rejected in its
    /// place, as input of `source` or Weir's own. The last says that the delivery `settles` lacks
    /// nothing any more.
    ///
    /// # Errors
    /// Not even a rejection fits into the stream; or the log cannot be written.
    pub(crate) async fn say_found(
        &self,
        events: Vec<Received>,
        source: Option<&str>,
        trace: &Trace,
        settles: Option<Settled>,
    ) -> Result<(), DaemonError> {
        let Some(publisher) = &self.shared.publisher else {
            return self.say(events, trace).await.map(drop);
        };
        let mut escort = self.escort(trace);
        let count = events.len();
        for (place, event) in events.iter().enumerate() {
            escort.settles = settles.clone().filter(|_| place + 1 == count);
            let Err(unsayable) = self.publish(publisher, event, &escort).await else {
                continue;
            };
            let rejection = unsayable.in_place_of(event, source);
            tracing::error!(error = %unsayable, kind = event.event.body.kind(), "rejected");
            self.publish(publisher, &rejection, &escort).await?;
        }
        Ok(())
    }

    /// Says the first thing of a term, and how this node reads deliveries; returns where that is.
    async fn announce(&self, first: &Received) -> Result<u64, DaemonError> {
        let Some(publisher) = &self.shared.publisher else {
            return Err("only who has a lease has a term".into());
        };
        let escort = Escort {
            reads: Some(self.shared.reads.configured().text()),
            ..self.escort(&None)
        };
        Ok(self.publish(publisher, first, &escort).await?)
    }

    fn escort(&self, trace: &Trace) -> Escort {
        Escort {
            term: self.lease.as_ref().map(|(term, _)| *term),
            trace: trace.as_deref().map(str::to_owned),
            ..Escort::default()
        }
    }

    /// Publishes an event, however often it takes; returns where it is.
    async fn publish(
        &self,
        publisher: &Publisher,
        event: &Received,
        escort: &Escort,
    ) -> Result<u64, Unsayable> {
        loop {
            if !self.may_act() {
                return std::future::pending().await;
            }
            match publisher.publish_escorted(event, escort).await {
                Ok(ack) => return Ok(ack.sequence),
                Err(PublishError::TooLarge { size, limit }) => {
                    return Err(Unsayable { size, limit });
                }
                Err(error) => {
                    tracing::warn!(%error, kind = event.event.body.kind(), "not said yet; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// As [`Self::say`], and returns once this node has read it: its state knows it then.
    pub(crate) async fn say_and_read(
        &self,
        events: Vec<Received>,
        trace: &Trace,
    ) -> Result<(), DaemonError> {
        let sequence = self.say(events, trace).await?;
        if self.shared.publisher.is_some() {
            self.shared.read_through(sequence).await;
        }
        Ok(())
    }
}

/// Leads whenever this node can, until `stop`.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    stream: Option<Arc<Stream>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let Some(stream) = stream else {
        let acting = Acting {
            shared: Arc::clone(shared),
            lease: None,
        };
        let mut parts = JoinSet::new();
        let acts = act(&acting, None, true, &mut parts);
        let done = tokio::select! {
            done = acts => done,
            () = ended(&mut stop) => Ok(()),
        };
        parts.shutdown().await;
        return done;
    };
    let who = Candidate {
        node: shared.config.node_name(),
        run: uuid::Uuid::new_v4().to_string(),
        home: home(&shared.config),
        executes: shared.config.promotions.execute,
        last: None,
    };
    let mut first = true;
    loop {
        let lease = tokio::select! {
            held = acquire(shared, &stream, &who) => held,
            () = ended(&mut stop) => return Ok(()),
        };
        let goes_on = lead(shared, &stream, lease, first, &mut stop).await?;
        first = false;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Leads under `lease`, for the `first` time or again. Returns whether to try for another when it is over.
async fn lead(
    shared: &Arc<Shared>,
    stream: &Arc<Stream>,
    mut lease: Box<Lease>,
    first: bool,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, DaemonError> {
    let term = lease.term();
    tracing::info!(%term, "this node leads");
    shared.standing.send_replace(Standing::TakesOver(term));
    let validity = lease.validity().clone();
    let acting = Acting {
        shared: Arc::clone(shared),
        lease: Some((term, validity.clone())),
    };
    let mut parts = JoinSet::new();
    let acts = async {
        take_over(&acting, term).await?;
        let since = chrono::Utc::now().into();
        shared.standing.send_replace(Standing::Leads(term, since));
        act(&acting, Some(Arc::clone(stream)), first, &mut parts).await
    };
    let done = tokio::select! {
        _lost = lease.lost() => Ok(true),
        () = unread(shared) => Ok(true),
        done = acts => done.map(|()| true),
        () = ended(stop) => Ok(false),
    };
    // Whatever still runs somewhere finds that it may not act.
    validity.end();
    shared
        .standing
        .send_replace(Standing::Unknown("the lease was given up".into()));
    parts.shutdown().await;
    shared.manifests_open.store(0, Ordering::Relaxed);
    lease.release().await;
    done
}

/// Returns once this node has not been able to read the stream for longer than a lease lasts.
async fn unread(shared: &Shared) {
    loop {
        if let Some(obstacle) = shared.unread() {
            tracing::error!("{obstacle}; this node gives up the lease, for one that reads");
            return;
        }
        tokio::time::sleep(TRY).await;
    }
}

/// Says that a new term has begun, and waits until all that was said before is in the state.
async fn take_over(acting: &Acting, term: Term) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let first = own_event(term.announcement(), Body::ClockTicked);
    let sequence = acting.announce(&first).await?;
    shared.read_through(sequence).await;
    let newest = *shared.fence.borrow();
    if newest.is_some_and(|newest| newest > term) {
        return Err(format!(
            "the lease's term {term} is older than one that the stream has seen: its bucket was set back; delete it with `nats kv del {}` and Weir makes it anew",
            shared.lease_bucket()
        )
        .into());
    }
    Ok(())
}

/// Acts, for the `first` time or again, until a part of it ends.
async fn act(
    acting: &Acting,
    stream: Option<Arc<Stream>>,
    first: bool,
    parts: &mut JoinSet<Result<(), DaemonError>>,
) -> Result<(), DaemonError> {
    if let Some(stream) = stream {
        let (this, of_lookups) = (acting.clone(), Arc::clone(&stream));
        parts.spawn(async move { lookups::run(&this, &of_lookups).await });
        let this = acting.clone();
        parts.spawn(async move { outputs::run(&this.shared, &stream).await });
    }
    let this = acting.clone();
    parts.spawn(async move { resolver::run(&this).await });
    let this = acting.clone();
    parts.spawn(async move { executor::run(&this).await });
    let this = acting.clone();
    parts.spawn(async move { ticks::run(&this).await });
    let this = acting.clone();
    parts.spawn(async move { scans::run(&this).await });
    let this = acting.clone();
    parts.spawn(async move { reconcile::run(&this, first).await });
    // Without a stream they are in force already. Whoever finds that another put rules in force goes
    // on with those, unless its own files are newer.
    if first && acting.lease.is_some() && !rules::are_older(&acting.shared).await? {
        rules::activate_at_start(&acting.shared).await?;
    }
    match parts.join_next().await {
        Some(part) => super::parts::ended_early(part),
        None => Ok(()),
    }
}

/// Tries until this node has the lease.
async fn acquire(shared: &Shared, stream: &Stream, who: &Candidate) -> Box<Lease> {
    let mut leases: Option<Leases> = None;
    let mut told = String::new();
    loop {
        let standing = match readable(shared, stream).await {
            Ok(behind) if behind > MOST_BEHIND => {
                Standing::Unknown("it has yet to read what is in the stream".into())
            }
            Err(problem) => Standing::Unknown(problem),
            Ok(_) => match attempt(shared, &mut leases, stream, who).await {
                Ok(Attempt::Acquired(Acquired::Held(lease))) => return lease,
                Ok(Attempt::Acquired(Acquired::By(holder))) => Standing::Follows(holder),
                Ok(Attempt::Differs(holder, difference)) => {
                    Standing::Differs(holder, difference.to_string())
                }
                Err(error) => {
                    leases = None;
                    Standing::Unknown(error.to_string())
                }
            },
        };
        // Each change is told once.
        let text = match &standing {
            Standing::Follows(Some(holder)) => {
                format!("`{}` leads, this node follows", holder.node)
            }
            Standing::Unknown(problem) => format!("this node does not lead: {problem}"),
            _ => told.clone(),
        };
        if text != told {
            tracing::info!("{text}");
            told = text;
        }
        shared.standing.send_replace(standing);
        tokio::time::sleep(TRY).await;
    }
}

/// How many messages of the stream are not in the log, where it can be read.
async fn readable(shared: &Shared, stream: &Stream) -> Result<u64, String> {
    match shared.unread() {
        Some(obstacle) => Err(obstacle.to_string()),
        None => behind(shared, stream).await,
    }
}

/// How many messages of the stream are not in the log.
pub(crate) async fn behind(shared: &Shared, stream: &Stream) -> Result<u64, String> {
    let last = stream.last_sequence().await;
    let last = last.map_err(|error| error.to_string())?;
    Ok(last.saturating_sub(*shared.read.borrow()))
}

/// What came of trying to lead.
enum Attempt {
    Acquired(Acquired),
    /// It was not tried for: this log is another.
    Differs(Option<Candidate>, Difference),
}

async fn attempt(
    shared: &Shared,
    leases: &mut Option<Leases>,
    stream: &Stream,
    who: &Candidate,
) -> Result<Attempt, LeaseError> {
    let leases = match leases {
        Some(leases) => leases,
        None => {
            let reader = shared.node.reader().clone();
            let tells_last = Arc::new(move || agreement::last_record(&reader));
            leases.insert(Leases::open(stream, tells_last).await?)
        }
    };
    let holder = leases.holder().await?;
    if let Some(holder) = &holder {
        shared.agreement.compare(shared.node.reader(), holder);
    }
    match shared.agreement.difference() {
        Some(difference) => Ok(Attempt::Differs(holder, difference)),
        None => leases.acquire(who).await.map(Attempt::Acquired),
    }
}

/// What only one process can have at a time: the lock of this data directory, on this machine since
/// it was started.
fn home(config: &Config) -> String {
    fn lock(data: &Path) -> std::io::Result<String> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let file = fs::metadata(data.join("lock"))?;
        Ok(format!("{}/{}/{}", boot.trim(), file.dev(), file.ino()))
    }
    // Where the system does not tell, a lease is waited for.
    lock(&config.data).unwrap_or_else(|_| uuid::Uuid::new_v4().to_string())
}

impl Shared {
    /// Records events in the log, and looks up what they leave open.
    pub(crate) async fn record(
        &self,
        events: Vec<Received>,
        trace: Trace,
    ) -> Result<Vec<Accepted>, DaemonError> {
        let jobs: Vec<resolver::Job> = events
            .iter()
            .filter_map(|event| resolver::job(&event.event))
            .collect();
        let taken = self.node.take(events, trace).await?;
        self.look_up(jobs);
        // What came before is somewhere up to here.
        let last = self.node.reader().head().next_seq - 1;
        Ok(taken
            .into_iter()
            .map(|taken| match taken {
                Taken::Recorded(sequence) => Accepted {
                    sequence,
                    repeated: false,
                },
                Taken::Repeated => Accepted {
                    sequence: last,
                    repeated: true,
                },
            })
            .collect())
    }
}
