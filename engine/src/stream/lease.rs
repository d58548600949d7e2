//! The lease: which of several nodes acts.
//!
//! All nodes compute the same; the one that holds the lease runs commands and ticks. The lease is
//! one key of a JetStream key-value bucket, taken and renewed by compare-and-set, and it expires by
//! the server's clock. Its revision only ever grows and fences off a holder that does not know yet
//! that it lost.

use std::time::Duration;

use async_nats::jetstream::{
    kv::{CreateErrorKind, Store, UpdateErrorKind},
    stream::StorageType,
};
use tokio::time::Instant;

use super::{Connection, Stream, provision::said};

/// A lease that this node holds.
pub struct Lease {
    store: Store,
    key: String,
    holder: String,
    fencing: u64,
    revision: u64,
    ttl: Duration,
    /// When the lease may have passed to another; by our clock, from before the last renewal was
    /// sent, so never later than by the server's.
    expires: Instant,
}

/// What came of trying to acquire a lease.
pub enum Acquired {
    /// This node holds it now.
    Held(Box<Lease>),
    /// Another node holds it.
    By {
        /// The node, as it calls itself.
        holder: String,
    },
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
    /// Another node took it after it had expired.
    #[error("the lease passed to another node")]
    Taken,
    /// It could not be renewed in time.
    #[error("the lease could not be renewed in time: {0}")]
    Expired(String),
}

impl Lease {
    /// Tries to take the lease on the inputs of `stream`, as `holder`: a name unique to this run
    /// of this node.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn acquire(stream: &Stream, holder: &str) -> Result<Acquired, LeaseError> {
        let connection = &stream.connection;
        let bucket = &connection.config.lease.bucket;
        let failed = |problem: String| LeaseError {
            doing: "acquire",
            bucket: bucket.clone(),
            problem,
        };
        let (store, ttl) = open(connection).await.map_err(failed)?;
        let key = stream.name().to_owned();
        let asked = Instant::now();
        match store.create(&key, holder.to_owned().into()).await {
            Ok(revision) => Ok(Acquired::Held(Box::new(Self {
                store,
                key,
                holder: holder.to_owned(),
                fencing: revision,
                revision,
                ttl,
                expires: asked + ttl,
            }))),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let entry = store
                    .entry(&key)
                    .await
                    .map_err(|error| failed(said(&error)))?;
                let holder = entry.map_or_else(
                    || "a node that just gave it up".into(),
                    |entry| String::from_utf8_lossy(&entry.value).into_owned(),
                );
                Ok(Acquired::By { holder })
            }
            Err(error) => Err(failed(said(&error))),
        }
    }

    /// The fencing token: larger than that of every earlier holder. What acts on behalf of the lease
    /// carries it, so that the acts of a holder that lost can be told and refused.
    #[must_use]
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Whether the lease is certainly still ours. Ask before every act.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        Instant::now() < self.expires
    }

    /// Renews the lease once.
    ///
    /// # Errors
    /// Another node has it, or it expired while the server could not be reached.
    pub async fn renew(&mut self) -> Result<(), Lost> {
        let mut problem = String::from("no time was left");
        while self.is_valid() {
            let asked = Instant::now();
            let update = self
                .store
                .update(&self.key, self.holder.clone().into(), self.revision);
            match tokio::time::timeout_at(self.expires, update).await {
                Ok(Ok(revision)) => {
                    self.revision = revision;
                    self.expires = asked + self.ttl;
                    return Ok(());
                }
                Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    self.revision = self.own_revision().await?;
                    continue;
                }
                Ok(Err(error)) => problem = said(&error),
                Err(_elapsed) => problem = "the server does not answer".into(),
            }
            tokio::time::sleep(self.ttl / 20).await;
        }
        Err(Lost::Expired(problem))
    }

    /// The present revision, if it is ours: a renewal whose answer was lost has made a newer one.
    async fn own_revision(&mut self) -> Result<u64, Lost> {
        match tokio::time::timeout_at(self.expires, self.store.entry(&self.key)).await {
            Ok(Ok(Some(entry))) if entry.value == self.holder.as_bytes() => Ok(entry.revision),
            Ok(Ok(_)) => {
                self.expires = Instant::now();
                Err(Lost::Taken)
            }
            Ok(Err(error)) => Err(Lost::Expired(said(&error))),
            Err(_elapsed) => Err(Lost::Expired("the server does not answer".into())),
        }
    }

    /// Keeps the lease by renewing it, and returns when it is lost. Whatever acts on behalf of the
    /// lease must end with it.
    pub async fn lost(&mut self) -> Lost {
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            if let Err(lost) = self.renew().await {
                tracing::warn!(%lost, "this node no longer acts");
                return lost;
            }
        }
    }

    /// Gives the lease up, so that another node need not wait for it to expire.
    pub async fn release(self) {
        let delete = self
            .store
            .delete_expect_revision(&self.key, Some(self.revision));
        // If it fails the lease expires by itself.
        if let Ok(Err(error)) = tokio::time::timeout(self.ttl / 3, delete).await {
            tracing::debug!(error = %said(&error), "cannot release the lease");
        }
    }
}

/// The bucket, and how long an entry in it lasts.
async fn open(connection: &Connection) -> Result<(Store, Duration), String> {
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
    Ok((store, ttl))
}
