//! Opening a log: lock, format, store, and a check that it ends where it says it does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use super::append::{Log, Writer};
use super::chunk::dictionary::{self, Dictionary};
use super::chunk::{Chunk, ChunkError, Encoder, stored};
use super::commit::Commits;
use super::directory::{self, Found, Lock};
use super::head::{Head, OpenChunk, Tip};
use super::journal::{Entry, Journal};
use super::reader::ReadError;
use super::store::{Store, StoreError};
use super::witness::{Seen, Witness};
use super::{Shared, keys, store_journal, tree};

/// How to open a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Memory for the store's cache.
    pub cache_bytes: u64,
    /// Refuse to append and to create. The directory must be writable all the same: the store
    /// underneath tidies up after a crash when it opens.
    pub read_only: bool,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            cache_bytes: 128 * 1024 * 1024,
            read_only: false,
        }
    }
}

/// Why a log cannot be opened. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("the log in `{}` is in use{}; stop that process, or ask it instead of the directory", dir.display(), by(holder))]
    InUse {
        /// The log's directory.
        dir: PathBuf,
        /// Who has it, if known: `process 4711`.
        holder: String,
    },
    /// Made by another version.
    #[error("the log in `{}` has the format `{found}`, this version of weir reads up to `{}`; open it with the version that made it and export it", dir.display(), directory::FORMAT.trim_end())]
    OtherFormat {
        /// The log's directory.
        dir: PathBuf,
        /// The format that it names.
        found: String,
    },
    /// A directory with something else in it.
    #[error("`{}` is not empty and holds no log; name another directory", dir.display())]
    NotALog {
        /// The directory.
        dir: PathBuf,
    },
    /// No log, and none may be made.
    #[error("no log in `{}`; check the data directory, or start `weir run` there once", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The files are not what was written.
    #[error("the log in `{}` is damaged{}: {cause}; nothing was changed by weir: restore the directory from a copy, or move it away and fill a new one from the stream or an export", dir.display(), at(first_bad))]
    Damaged {
        /// The log's directory.
        dir: PathBuf,
        /// The first sequence that is known to be bad or missing.
        first_bad: Option<u64>,
        /// What was found.
        cause: String,
    },
    /// The file system is full.
    #[error("no space to open the log in `{}`; free some, nothing was lost", dir.display())]
    NoSpace {
        /// The log's directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Not allowed.
    #[error("no permission for the log in `{}`: {source}; run weir as the owner of the directory, or change the owner", dir.display())]
    Denied {
        /// The log's directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file system mounted read-only.
    #[error("the log in `{}` is on a read-only file system; mount it writable, or copy the directory and open the copy", dir.display())]
    ReadOnly {
        /// The log's directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error of the system.
    #[error("cannot open the log in `{}`: {source}", dir.display())]
    Io {
        /// The log's directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

fn by(holder: &str) -> String {
    if holder.is_empty() {
        String::new()
    } else {
        format!(" by {holder}")
    }
}

fn at(first_bad: &Option<u64>) -> String {
    first_bad
        .map(|seq| format!(" at record {seq}"))
        .unwrap_or_default()
}

impl Log {
    /// Opens the log in `dir`, or makes one there if the directory is missing or empty.
    ///
    /// # Errors
    /// Each says where, why and what to do. A log that lost acknowledged records is refused.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Log, OpenError> {
        let on = |error| from_io(dir, error);
        if options.read_only && !dir.is_dir() {
            return Err(OpenError::Missing {
                dir: dir.to_owned(),
            });
        }
        directory::make(dir).map_err(on)?;
        match directory::inspect(dir).map_err(on)? {
            Found::Log(_) | Found::Nothing => {}
            Found::OtherFormat(found) => {
                return Err(OpenError::OtherFormat {
                    dir: dir.to_owned(),
                    found,
                });
            }
            Found::Something => {
                return Err(OpenError::NotALog {
                    dir: dir.to_owned(),
                });
            }
        }
        let lock = match Lock::take(dir).map_err(on)? {
            Ok(lock) => lock,
            Err(holder) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                    holder,
                });
            }
        };
        // Looked at again: another process may have made it before we had the lock.
        let is_older = match directory::inspect(dir).map_err(on)? {
            Found::Log(format) => format != directory::FORMAT,
            _ if options.read_only => {
                return Err(OpenError::Missing {
                    dir: dir.to_owned(),
                });
            }
            _ => {
                directory::name_format(dir).map_err(on)?;
                false
            }
        };
        let (witness, seen) = Witness::open(&dir.join("witness")).map_err(on)?;
        let store = Store::open(&dir.join("store"), options.cache_bytes)
            .map_err(|error| from_store(dir, error))?;
        let (journal, entries) = Journal::open(&dir.join("journal")).map_err(on)?;
        apply_journal(&store, entries).map_err(|problem| problem.into_open_error(dir))?;
        let dictionary =
            load_dictionaries(&store).map_err(|problem| problem.into_open_error(dir))?;
        let encoder = Encoder::new(dictionary).map_err(|error| on(io::Error::other(error)))?;
        let writer = load(&store, seen, encoder).map_err(|problem| problem.into_open_error(dir))?;
        if is_older && !options.read_only {
            // From here on rows are written in forms that the version which made it cannot read.
            directory::name_format(dir).map_err(on)?;
        }
        let (store, journal) = (Arc::new(store), Arc::new(journal));
        let commits = Arc::new(Commits::new(writer.tip.batch, writer.visible(), witness));
        let storing = {
            let (store, journal, commits) = (store.clone(), journal.clone(), commits.clone());
            thread::Builder::new()
                .name("log-store".into())
                .spawn(move || store_journal(&store, &journal, &commits))
                .map_err(on)?
        };
        let shared = Shared {
            dir: dir.to_owned(),
            store,
            journal,
            commits,
            times: Mutex::default(),
            storing: Some(storing),
            _lock: lock,
        };
        Ok(Log::new(Arc::new(shared), writer, options.read_only))
    }
}

enum Problem {
    Damaged {
        first_bad: Option<u64>,
        cause: String,
    },
    Store(StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem::Store(error)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        let first_bad = error.seq();
        Problem::Damaged {
            first_bad,
            cause: error.cause(),
        }
    }
}

impl Problem {
    fn into_open_error(self, dir: &Path) -> OpenError {
        match self {
            Problem::Damaged { first_bad, cause } => OpenError::Damaged {
                dir: dir.to_owned(),
                first_bad,
                cause,
            },
            Problem::Store(error) => from_store(dir, error),
        }
    }
}

/// Applies what was durable in the journal only.
fn apply_journal(store: &Store, entries: Vec<Entry>) -> Result<(), Problem> {
    let (mut tip, _) = head_of(store)?;
    let (mut applied, mut head) = (false, None);
    for entry in entries {
        if entry.number <= tip.batch {
            continue;
        }
        let follows = entry.number == tip.batch + 1
            && (entry.size, entry.previous) == (tip.frontier.size(), tip.previous);
        if !follows {
            let cause = "its journal does not continue its store: batches are missing, or one of the two was replaced by an older copy";
            return Err(damaged(Some(tip.next_seq()), cause));
        }
        let mut changes = entry.changes;
        head = changes.take_last(keys::HEAD);
        store.apply(changes)?;
        tip = match &head {
            Some(row) => tip_in(row)?.0,
            None => head_of(store)?.0,
        };
        if tip.batch != entry.number {
            let cause = "a batch of its journal has another head";
            return Err(damaged(Some(entry.size + 1), cause));
        }
        applied = true;
    }
    if let Some(row) = head {
        // Once the rows that it tells of are on disk.
        store.sync()?;
        store.put(keys::HEAD, row)?;
    }
    if applied {
        store.sync()?;
    }
    Ok(())
}

/// The head with the open chunk, and the key of its row.
fn head_of(store: &Store) -> Result<(Tip, HeadRow), Problem> {
    let mut key = keys::HEAD;
    let mut row = store.get(key)?;
    if row.is_none() {
        row = store.get(keys::HEAD_OF_FORMAT_1)?;
        if row.is_some() {
            key = keys::HEAD_OF_FORMAT_1;
        }
    }
    let (tip, open) = match &row {
        Some(row) => tip_in(row)?,
        None => Default::default(),
    };
    let open = open.map(|(first, chunk)| (first, chunk.to_vec()));
    Ok((tip, HeadRow { key, open }))
}

fn tip_in(row: &[u8]) -> Result<(Tip, Option<OpenChunk<'_>>), Problem> {
    Tip::decode(row).ok_or_else(|| damaged(None, "the head cannot be read"))
}

struct HeadRow {
    key: &'static [u8],
    /// Where the open chunk begins, and its row.
    open: Option<(u64, Vec<u8>)>,
}

/// Makes the store's own dictionaries known, and gives the one in use.
fn load_dictionaries(store: &Store) -> Result<&'static Dictionary, Problem> {
    let mut chosen = None;
    let rows = store.range(keys::DICTIONARIES, keys::DICTIONARIES_END, usize::MAX)?;
    for (key, value) in rows {
        if key == keys::DICTIONARIES {
            chosen = Some(value);
        } else {
            dictionary::register(&value);
        }
    }
    let Some(id) = chosen else {
        return Ok(dictionary::builtin());
    };
    let known = id.first_chunk().and_then(|id| dictionary::find(*id));
    known.ok_or_else(|| Problem::Damaged {
        first_bad: None,
        cause: "the dictionary in use is missing".to_owned(),
    })
}

/// Reads the head and the open chunk, and checks that the records end where the head says and
/// not before what was acknowledged.
fn load(store: &Store, seen: Option<Seen>, encoder: Encoder) -> Result<Writer, Problem> {
    let (tip, HeadRow { key, open }) = head_of(store)?;
    let next_seq = tip.next_seq();
    if let Some(seen) = seen
        && seen.next_seq > next_seq
    {
        let last = seen.next_seq - 1;
        let cause = format!("it ends there, but records up to {last} were acknowledged");
        return Err(damaged(Some(next_seq), &cause));
    }
    let open = open.as_ref().map(|(first, row)| (*first, &row[..]));
    let tail = tail(store, &tip, open)?;
    if let Some(Seen { next_seq, previous }) = seen
        && next_seq > 1
    {
        let last = next_seq - 1;
        let found = match tail.get(last) {
            Some(record) => Some(tree::leaf_hash(record)),
            None => stored::at(store, last)?.get(last).map(tree::leaf_hash),
        };
        if found != Some(previous) {
            let cause = "it is not the record that was acknowledged";
            return Err(damaged(Some(last), cause));
        }
    }
    Ok(Writer {
        tip,
        tail,
        encoder,
        head_key: key,
        held: None,
    })
}

/// The last chunk while it has room, else an empty one after it. The last record must be the one
/// that the head names, and no row may follow it.
fn tail(store: &Store, tip: &Tip, open: Option<OpenChunk<'_>>) -> Result<Chunk, Problem> {
    let next_seq = tip.next_seq();
    let last = store.at_or_before(&keys::chunk(u64::MAX))?;
    let last = last.and_then(|(key, _)| keys::chunk_first(&key));
    let Some(last_seq) = next_seq.checked_sub(1).filter(|seq| *seq > 0) else {
        return match last {
            None => Ok(Chunk::new(1)),
            Some(_) => Err(damaged(Some(1), "it has records and no head")),
        };
    };
    let tail = match open {
        Some((first, row)) => Chunk::decode(first, row, |_| Err(ChunkError::TooLarge))
            .map_err(|error| damaged(Some(first), &error.to_string()))?,
        None => stored::at(store, last_seq)?,
    };
    let hash = tail.get(last_seq).map(tree::leaf_hash);
    if tail.end() != next_seq || hash != Some(tip.previous) || last > Some(tail.first) {
        let cause = "the last record is not the one that the head names";
        return Err(damaged(Some(last_seq), cause));
    }
    // An open chunk has no rows of its own yet, however many records an earlier version put in it.
    if open.is_none() && tail.is_full() {
        return Ok(Chunk::new(next_seq));
    }
    Ok(tail)
}

fn damaged(first_bad: Option<u64>, cause: &str) -> Problem {
    Problem::Damaged {
        first_bad,
        cause: cause.to_owned(),
    }
}

fn from_store(dir: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Locked => OpenError::InUse {
            dir: dir.to_owned(),
            holder: String::new(),
        },
        StoreError::Io(error) => from_io(dir, error),
        StoreError::Damaged(cause) => OpenError::Damaged {
            dir: dir.to_owned(),
            first_bad: None,
            cause,
        },
    }
}

fn from_io(dir: &Path, source: io::Error) -> OpenError {
    let dir = dir.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            OpenError::NoSpace { dir, source }
        }
        io::ErrorKind::PermissionDenied => OpenError::Denied { dir, source },
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { dir, source },
        _ => OpenError::Io { dir, source },
    }
}

/// The head of an empty log.
impl Default for Head {
    fn default() -> Head {
        Tip::default().head()
    }
}
