//! The lease: which of several nodes acts.
//!
//! All nodes compute the same; the one that holds the lease runs commands and ticks. The lease is
//! one key of a JetStream key-value bucket, taken and renewed by compare-and-set, and it expires by
//! the server's clock. Its revision only ever grows: with the time at which the bucket was made it
//! is the [`Term`], by which whatever a holder says can be told from what an earlier one says.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    kv::{CreateErrorKind, Entry, Store, UpdateErrorKind},
    stream::StorageType,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Connection, Stream, provision::said};

/// One holder's time. A later holder's is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// When the bucket was made, in nanoseconds since 1970: a bucket that was deleted and made anew
    /// counts its revisions from 1 again.
    made: u64,
    /// The revision at which the lease was taken.
    revision: u64,
}

/// Not a term.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no term of a lease")]
pub struct NoTerm(String);

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.made, self.revision)
    }
}

impl FromStr for Term {
    type Err = NoTerm;

    fn from_str(text: &str) -> Result<Self, NoTerm> {
        let parsed = text
            .split_once('-')
            .and_then(|(made, revision)| Some((made.parse().ok()?, revision.parse().ok()?)));
        let (made, revision) = parsed.ok_or_else(|| NoTerm(text.to_owned()))?;
        Ok(Self { made, revision })
    }
}

/// How often a node that may have to give way looks whether it has.
const STANDS_IN: Duration = Duration::from_secs(1);

/// What a new holder says first begins so; its term follows.
const TAKES_OVER: &str = "lease-";

impl Term {
    /// The identifier of what a new holder says first.
    #[must_use]
    pub fn announcement(&self) -> String {
        format!("{TAKES_OVER}{self}")
    }

    /// The term that began with the event of this identifier, if one did.
    #[must_use]
    pub fn announced_by(id: &str) -> Option<Self> {
        id.strip_prefix(TAKES_OVER)?.parse().ok()
    }
}

/// A node as it stands in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name, for people.
    pub node: String,
    /// This run of it: no other has the same.
    pub run: String,
    /// What only one process at a time can have locked, so that a lease held from there by an
    /// earlier run is known to be free.
    pub home: String,
    /// Whether it carries out promotions. One that does not gives way to one that does.
    pub executes: bool,
    /// The last record of its log when it took the lease or last renewed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRecord>,
}

/// A record by which logs can be compared: the hashes of those before it are in its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRecord {
    /// Its sequence.
    pub seq: u64,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
}

/// Tells the last record of this node's log.
pub type TellsLast = Arc<dyn Fn() -> Option<LastRecord> + Send + Sync>;

/// The bucket that holds the lease.
#[derive(Clone)]
pub struct Leases {
    store: Store,
    bucket: String,
    key: String,
    made: u64,
    ttl: Duration,
    tells_last: TellsLast,
}

/// A lease that this node holds.
pub struct Lease {
    leases: Leases,
    who: Candidate,
    term: Term,
    revision: u64,
    validity: Validity,
}

/// Until when a lease is certainly ours. Clones share it.
#[derive(Debug, Clone)]
pub struct Validity(Arc<Mutex<Instant>>);

/// What came of trying to acquire a lease.
pub enum Acquired {
    /// This node holds it now.
    Held(Box<Lease>),
    /// Another node holds it. `None` if it just gave it up, or cannot be read.
    By(Option<Candidate>),
}

/// Why a lease could not be tried for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the lease in bucket `{bucket}`: {problem}")]
pub struct LeaseError {
    doing: &'static str,
    bucket: String,
    problem: String,
}

/// The lease is lost: this node must act no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another node took it.
    #[error("the lease passed to another node")]
    Taken,
    /// It could not be renewed in time.
    #[error("the lease could not be renewed in time: {0}")]
    Expired(String),
}

impl Leases {
    /// Opens the bucket, or creates it. Whoever holds the lease tells with it what `tells_last` gives.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn open(stream: &Stream, tells_last: TellsLast) -> Result<Self, LeaseError> {
        let connection = &stream.connection;
        let bucket = connection.config.lease.bucket.clone();
        let opened = open(connection).await;
        let (store, ttl, made) = opened.map_err(|problem| LeaseError {
            doing: "open",
            bucket: bucket.clone(),
            problem,
        })?;
        Ok(Self {
            store,
            bucket,
            key: stream.name().to_owned(),
            made,
            ttl,
            tells_last,
        })
    }

    /// Who holds the lease; `None` if nobody does.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn holder(&self) -> Result<Option<Candidate>, LeaseError> {
        let entry = self.entry("read").await?;
        Ok(entry.as_ref().and_then(candidate))
    }

    /// Tries to take the lease. It is free if nobody holds it; also if an earlier run from the same
    /// home does, which cannot be alive, or a node that does not execute while this one does.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn acquire(&self, who: &Candidate) -> Result<Acquired, LeaseError> {
        let asked = Instant::now();
        match self.store.create(&self.key, self.value(who)).await {
            Ok(revision) => return Ok(self.held(who, revision, asked)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.failed("acquire", said(&error))),
        }
        let Some(entry) = self.entry("acquire").await? else {
            return Ok(Acquired::By(None));
        };
        let Some(other) = candidate(&entry) else {
            return Ok(Acquired::By(None));
        };
        let gives_way = other.home == who.home || (who.executes && !other.executes);
        if !gives_way {
            return Ok(Acquired::By(Some(other)));
        }
        let asked = Instant::now();
        let update = self
            .store
            .update(&self.key, self.value(who), entry.revision);
        match update.await {
            Ok(revision) => Ok(self.held(who, revision, asked)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                Ok(Acquired::By(Some(other)))
            }
            Err(error) => Err(self.failed("acquire", said(&error))),
        }
    }

    async fn entry(&self, doing: &'static str) -> Result<Option<Entry>, LeaseError> {
        let found = self.store.entry(&self.key).await;
        let found = found.map_err(|error| self.failed(doing, said(&error)))?;
        // A key that was given up is a marker without a value.
        Ok(found.filter(|entry| !entry.value.is_empty()))
    }

    /// What stands in the bucket while this node holds the lease.
    fn value(&self, who: &Candidate) -> bytes::Bytes {
        let who = Candidate {
            last: (self.tells_last)(),
            ..who.clone()
        };
        serde_json::to_vec(&who).unwrap_or_default().into()
    }

    fn held(&self, who: &Candidate, revision: u64, asked: Instant) -> Acquired {
        Acquired::Held(Box::new(Lease {
            validity: Validity(Arc::new(Mutex::new(self.acts_until(asked)))),
            term: Term {
                made: self.made,
                revision,
            },
            leases: self.clone(),
            who: who.clone(),
            revision,
        }))
    }

    /// When the holder of a lease that was asked for at `asked` must have stopped acting: before the
    /// server can give the lease to another, with time for what is on its way then.
    fn acts_until(&self, asked: Instant) -> Instant {
        asked + self.ttl - self.ttl / 5
    }

    fn failed(&self, doing: &'static str, problem: String) -> LeaseError {
        LeaseError {
            doing,
            bucket: self.bucket.clone(),
            problem,
        }
    }
}

impl Validity {
    /// Whether the lease is certainly still ours. Ask before every act: a process may have been
    /// stopped for longer than the lease lasts.
    #[must_use]
    pub fn holds(&self) -> bool {
        Instant::now() < self.until()
    }

    /// Ends it now: what still runs finds that it may not act.
    pub fn end(&self) {
        self.set(Instant::now());
    }

    fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Lease {
    /// This holder's time, larger than that of every earlier holder.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Until when it is ours, for those who act on its behalf.
    #[must_use]
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// Renews the lease once.
    ///
    /// # Errors
    /// Another node has it, or it expired while the server could not be reached.
    pub async fn renew(&mut self) -> Result<(), Lost> {
        let mut problem = String::from("no time was left");
        while self.validity.holds() {
            let asked = Instant::now();
            let (store, key) = (&self.leases.store, &self.leases.key);
            let update = store.update(key, self.leases.value(&self.who), self.revision);
            match tokio::time::timeout_at(self.validity.until(), update).await {
                Ok(Ok(revision)) => {
                    self.revision = revision;
                    self.validity.set(self.leases.acts_until(asked));
                    return Ok(());
                }
                Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    self.revision = self.own_revision().await?;
                    continue;
                }
                Ok(Err(error)) => problem = said(&error),
                Err(_elapsed) => problem = "the server does not answer".into(),
            }
            tokio::time::sleep(self.leases.ttl / 20).await;
        }
        Err(Lost::Expired(problem))
    }

    /// The present revision, if it is ours: a renewal whose answer was lost has made a newer one.
    async fn own_revision(&mut self) -> Result<u64, Lost> {
        let entry = self.leases.store.entry(&self.leases.key);
        match tokio::time::timeout_at(self.validity.until(), entry).await {
            Ok(Ok(Some(entry)))
                if candidate(&entry).is_some_and(|other| other.run == self.who.run) =>
            {
                Ok(entry.revision)
            }
            Ok(Ok(_)) => {
                self.validity.set(Instant::now());
                Err(Lost::Taken)
            }
            Ok(Err(error)) => Err(Lost::Expired(said(&error))),
            Err(_elapsed) => Err(Lost::Expired("the server does not answer".into())),
        }
    }

    /// Keeps the lease by renewing it, and returns when it is lost. Whatever acts on behalf of the
    /// lease must end with it.
    pub async fn lost(&mut self) -> Lost {
        let third = self.leases.ttl / 3;
        let pause = match self.who.executes {
            true => third,
            // It may be taken from this node at any time.
            false => third.min(STANDS_IN),
        };
        loop {
            tokio::time::sleep(pause).await;
            if let Err(lost) = self.renew().await {
                tracing::warn!(%lost, "this node no longer acts");
                return lost;
            }
        }
    }

    /// Gives the lease up, so that another node need not wait for it to expire.
    pub async fn release(self) {
        let Leases {
            store, key, ttl, ..
        } = &self.leases;
        let delete = store.delete_expect_revision(key, Some(self.revision));
        // If it fails the lease expires by itself.
        if let Ok(Err(error)) = tokio::time::timeout(*ttl / 3, delete).await {
            tracing::debug!(error = %said(&error), "cannot release the lease");
        }
    }
}

fn candidate(entry: &Entry) -> Option<Candidate> {
    serde_json::from_slice(&entry.value).ok()
}

/// The bucket, how long an entry in it lasts, and when it was made.
async fn open(connection: &Connection) -> Result<(Store, Duration, u64), String> {
    use async_nats::jetstream::kv::Config;
    let config = &connection.config.lease;
    let store = match connection.jetstream.get_key_value(&config.bucket).await {
        Ok(store) => store,
        // Creating is idempotent: a node that was faster created the same.
        Err(_) => connection
            .jetstream
            .create_key_value(Config {
                bucket: config.bucket.clone(),
                description: "Which Weir node acts".into(),
                history: 1,
                max_age: Duration::from_secs(config.ttl_seconds),
                storage: StorageType::File,
                num_replicas: connection.config.replicas,
                ..Config::default()
            })
            .await
            .map_err(|error| said(&error))?,
    };
    let status = store.status().await.map_err(|error| said(&error))?;
    // The bucket decides, not this node's configuration: all nodes must agree on when it expires.
    let ttl = status.max_age();
    if ttl.is_zero() {
        return Err(format!(
            "entries of the bucket never expire: delete it with `nats kv del {}` and Weir creates it",
            config.bucket
        ));
    }
    let made = status.info.created.unix_timestamp_nanos();
    Ok((store, ttl, u64::try_from(made).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_reads_as_it_is_written_and_a_bucket_made_anew_goes_on() {
        let term = |made, revision| Term { made, revision };
        assert_eq!(term(7, 12).to_string().parse(), Ok(term(7, 12)));
        assert_eq!(
            Term::announced_by(&term(7, 12).announcement()),
            Some(term(7, 12))
        );
        assert_eq!(Term::announced_by("tick-7-12"), None);
        assert!(term(7, 12) < term(7, 13) && term(7, 13) < term(8, 1));
        for text in ["", "7", "7-", "-1", "7-x", "7-1-2"] {
            assert_eq!(text.parse::<Term>(), Err(NoTerm(text.into())));
        }
    }
}
