//! What every step of one copy needs: the two sides, and the counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore};
use weir_schema::{Digest, RepositoryName, Tag};

use super::{CopyError, MayAct, OnProgress, Plan, Progress};
use crate::oci::{Client, Clients, Reference};

/// One end of the copy.
pub(super) struct Side {
    pub client: Client,
    /// The repository's name as in the plan, for messages.
    pub name: RepositoryName,
    /// The path within the registry, for requests.
    pub path: String,
}

impl Side {
    /// What a tag points at; `None` if it is not there.
    pub async fn look(&self, tag: &Tag) -> Result<Option<Digest>, CopyError> {
        let reference = Reference::Tag(tag.clone());
        let head = self.client.head_manifest(&self.path, &reference).await?;
        Ok(head.map(|head| head.digest))
    }
}

pub(super) struct Job {
    pub source: Side,
    pub target: Side,
    /// Both sides are the same registry, so blobs are mounted.
    pub same_registry: bool,
    /// Both sides are the same repository, so there is nothing to copy but the tag.
    pub same_repository: bool,
    /// See [`Plan`].
    pub known_referrers: BTreeSet<Tag>,
    /// Each blob is brought once, however many manifests name it.
    pub blobs: Mutex<BTreeMap<Digest, Arc<OnceCell<()>>>>,
    /// How many manifests are worked on at a time: their bytes are held meanwhile.
    pub manifests: Semaphore,
    /// Whether this process may still move the tag.
    pub may_act: MayAct,
    counters: Arc<Counters>,
}

pub(super) struct Counters {
    progress: Mutex<Progress>,
    report: OnProgress,
}

/// More manifests at a time than any registry answers, and 64 KiB each as they usually are.
const MANIFESTS_AT_A_TIME: usize = 12;

impl Job {
    pub fn new(
        plan: &Plan,
        clients: &Clients,
        report: OnProgress,
        may_act: MayAct,
    ) -> Result<Self, CopyError> {
        let side = |name: &RepositoryName| -> Result<Side, CopyError> {
            Ok(Side {
                client: clients.of(name)?,
                name: name.clone(),
                path: name.path().to_owned(),
            })
        };
        let (source, target) = (side(&plan.source)?, side(&plan.target)?);
        let same_registry = source.client.registry() == target.client.registry();
        Ok(Self {
            same_repository: same_registry && source.path == target.path,
            same_registry,
            source,
            target,
            known_referrers: plan.known_referrers.clone(),
            blobs: Mutex::default(),
            manifests: Semaphore::new(MANIFESTS_AT_A_TIME),
            may_act,
            counters: Arc::new(Counters {
                progress: Mutex::default(),
                report,
            }),
        })
    }

    pub fn count(&self, change: impl FnOnce(&mut Progress)) {
        self.counters.count(change);
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    pub fn progress(&self) -> Progress {
        *self
            .counters
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    pub fn count(&self, change: impl FnOnce(&mut Progress)) {
        let now = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut progress);
            *progress
        };
        (self.report)(now);
    }
}
