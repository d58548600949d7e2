//! The key-value store under the log: the only file that names `sled`.
//!
//! sled 0.34.7 is used narrowly, because two of its promises do not hold on Linux:
//!
//! - `flush()` hands the bytes to the kernel but never calls `fsync`. [`Store::sync`] therefore
//!   syncs the data file through a handle of its own after each flush. Nothing is durable before
//!   it returns.
//! - A page larger than a quarter of a segment goes to a file of its own under `blobs/`, which is
//!   never synced at all. Segments are 8 MiB and no value is larger than [`MAX_VALUE_BYTES`], so
//!   no such file is ever made; [`Store::open`] refuses a store that has one.
//!
//! It also panics on some damaged files, so every call goes through [`guarded`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::durable::sync_dir;
use super::guard::guarded;

/// The largest value. A leaf page holds up to 17 values, 19 for a moment after a merge, and must
/// stay under a quarter of a segment: 19 x 96 KiB < 2 MiB.
pub(crate) const MAX_VALUE_BYTES: usize = 96 * 1024;

const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// How long to wait for a lock that this process or one just killed is about to give up.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A stored value.
pub(super) type Value = sled::IVec;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the store is locked by another process")]
    Locked,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

/// Changes that take effect together or not at all, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Changes {
    /// Sets a value of at most [`MAX_VALUE_BYTES`].
    pub(super) fn put(&mut self, key: &[u8], value: Vec<u8>) {
        assert!(
            value.len() <= MAX_VALUE_BYTES,
            "a value of {} bytes would become a blob",
            value.len()
        );
        self.0.push((key.to_vec(), Some(value)));
    }

    /// Removes a key if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.0.push((key.to_vec(), None));
    }

    /// Takes the last change out, if it sets the value of `key`.
    pub(super) fn take_last(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let last = self
            .0
            .pop_if(|(changed, value)| changed == key && value.is_some());
        last.and_then(|(_, value)| value)
    }

    /// The length of what [`Self::encode`] adds.
    pub(super) fn encoded_len(&self) -> usize {
        let lengths = self.0.iter().map(|(key, value)| {
            let value = value.as_ref().map_or(0, Vec::len);
            CHANGE_BYTES + key.len() + value
        });
        lengths.sum()
    }

    /// Adds the changes as bytes: for each the lengths of key (u16) and value (u32, all bits set
    /// for a removal), the key, the value.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            // INVARIANT: no key is longer than the name of a value, no value than a row.
            let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX);
            let value_len = value.as_ref().map_or(REMOVED, |value| value.len() as u32);
            bytes.extend_from_slice(&key_len.to_be_bytes());
            bytes.extend_from_slice(&value_len.to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
    }

    /// Reads what [`Self::encode`] wrote.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Changes> {
        let mut changes = Changes::default();
        while !bytes.is_empty() {
            let (key_len, rest) = bytes.split_first_chunk::<2>()?;
            let (value_len, rest) = rest.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*key_len).into())?;
            let (value, rest) = match u32::from_be_bytes(*value_len) {
                REMOVED => (None, rest),
                length => {
                    let (value, rest) = rest.split_at_checked(length as usize)?;
                    (Some(value.to_vec()), rest)
                }
            };
            changes.0.push((key.to_vec(), value));
            bytes = rest;
        }
        Some(changes)
    }
}

/// Lengths of key and value.
const CHANGE_BYTES: usize = 6;

/// The length of a value that is no value.
const REMOVED: u32 = u32::MAX;

/// An open store. Dropping it releases the files.
pub(super) struct Store {
    db: sled::Db,
    /// Records, head and everything written in one batch with them.
    log: sled::Tree,
    /// The second handle on the data file, for the sync that sled leaves out.
    file: File,
    /// Whether a sync failed. The system tells it once, and forgets what it lost: another sync
    /// would succeed.
    failed: Mutex<bool>,
    dir: PathBuf,
}

impl Store {
    /// Opens or creates the store in `dir`. The caller holds the lock of the log's directory, so
    /// files left by a process that died may be tidied.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Store, StoreError> {
        fs::create_dir_all(dir)?;
        remove_unfinished_snapshots(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None)
            .use_compression(false)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES);
        let started = Instant::now();
        let (db, log) = loop {
            let opened = run(|| {
                let db = config.open()?;
                let log = db.open_tree("log")?;
                Ok((db, log))
            });
            match opened {
                Err(StoreError::Locked) if started.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => break other?,
            }
        };
        let file = File::options()
            .read(true)
            .write(true)
            .open(dir.join("db"))?;
        let store = Store {
            db,
            log,
            file,
            failed: Mutex::new(false),
            dir: dir.to_owned(),
        };
        store.refuse_blobs()?;
        store.sync_new_files()?;
        Ok(store)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        run(|| self.log.get(key))
    }

    /// The entry with the largest key that is at most `key`.
    pub(super) fn at_or_before(&self, key: &[u8]) -> Result<Option<(Value, Value)>, StoreError> {
        run(|| self.log.range(..=key).next_back().transpose())
    }

    /// Up to `limit` entries with `from <= key < to`, in key order.
    pub(super) fn range(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Value, Value)>, StoreError> {
        run(|| self.log.range(from..to).take(limit).collect())
    }

    /// Calls with the entries with `from <= key < to`, in key order, while it says to go on. Quicker than
    /// to ask for one after the other.
    pub(super) fn each<E: From<StoreError>>(
        &self,
        from: &[u8],
        to: &[u8],
        mut call: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut entries = self.log.range(from..to);
        while let Some((key, value)) = run(|| entries.next().transpose())? {
            if !call(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes `changes` one after the other: after a crash the first of them may be there and the
    /// others not. They are durable only after the next [`Store::sync`].
    ///
    /// A batch of sled's begins and ends with a write to the disk, and each wakes all of its threads.
    pub(super) fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        let mut all = changes.0.into_iter();
        run(|| {
            all.try_for_each(|(key, value)| {
                match value {
                    Some(value) => self.log.insert(key, value),
                    None => self.log.remove(key),
                }
                .map(drop)
            })
        })
    }

    /// Sets one value. It is durable only after the next [`Store::sync`].
    pub(super) fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        run(|| self.log.insert(key, value).map(drop))
    }

    /// Writes `changes` atomically. They are durable only after the next [`Store::sync`].
    pub(super) fn apply_whole(&self, changes: Changes) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        run(|| self.log.apply_batch(batch))
    }

    /// Returns once everything applied before the call survives a power cut. After an error
    /// nothing may be assumed, and every later call gives one too.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let failed = self.failed.lock();
        let mut failed = failed.unwrap_or_else(|poisoned| poisoned.into_inner());
        if *failed {
            let error = io::Error::other("the store could not be synced before");
            return Err(StoreError::Io(error));
        }
        let flushed = run(|| self.db.flush().map(drop));
        flushed
            .and_then(|()| Ok(self.file.sync_data()?))
            .inspect_err(|_| *failed = true)
    }

    /// The size of the store's files.
    pub(super) fn size_on_disk(&self) -> Result<u64, StoreError> {
        run(|| self.db.size_on_disk())
    }

    fn refuse_blobs(&self) -> Result<(), StoreError> {
        let blobs = self.dir.join("blobs");
        match fs::read_dir(&blobs)?.next() {
            None => Ok(()),
            Some(_) => Err(StoreError::Damaged(format!(
                "`{}` is not empty: something else has written to this store",
                blobs.display()
            ))),
        }
    }

    /// Makes the names and the settings file of a new store durable: sled syncs neither.
    fn sync_new_files(&self) -> Result<(), StoreError> {
        File::open(self.dir.join("conf"))?.sync_all()?;
        self.sync()?;
        sync_dir(&self.dir.join("blobs"))?;
        sync_dir(&self.dir)?;
        Ok(())
    }
}

fn run<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match guarded(work) {
        Ok(result) => result.map_err(StoreError::from),
        Err(panic) => Err(StoreError::Damaged(panic)),
    }
}

/// sled writes its page table to `snap.N.generating` and renames it; a crash between leaves a
/// file that the next start would take for the newest finished one.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> StoreError {
        match error {
            // sled wraps a refused lock in an `Other` error; nothing else identifies it.
            sled::Error::Io(io)
                if io.kind() == io::ErrorKind::Other
                    && io.to_string().starts_with("could not acquire lock") =>
            {
                StoreError::Locked
            }
            sled::Error::Io(io) => StoreError::Io(io),
            sled::Error::Corruption { .. } => {
                StoreError::Damaged("a page of its store does not have its checksum".to_owned())
            }
            other => StoreError::Damaged(other.to_string()),
        }
    }
}
