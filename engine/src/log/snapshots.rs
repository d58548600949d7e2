//! Snapshots: files beside the log that save reading it from the beginning.
//!
//! They are a cache. One that is missing, torn, damaged, of another history or made by another
//! version is simply not there; deleting the directory costs time and nothing else. What is in
//! one is the caller's business: here it is bytes, and the record up to which they hold.
//!
//! A snapshot is a plain file, `snapshots/SEQUENCE.KIND`: one line of JSON (see [`Header`]) and
//! the bytes, compressed with zstd. They stay out of the store, whose space comes back late, and
//! an error while writing one does not touch the log.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_schema::record::{Hash, hex, parse_hex};

use super::append::Log;
use super::durable;
use super::reader::{LogReader, ReadError};

/// The version of the files' form.
const FORMAT: u32 = 2;

/// A fold by another version may differ, and a replay from the beginning is what would show it.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

const LEVEL: i32 = 1;

/// No snapshot is larger: a damaged length must not make us fill the memory.
const MAX_BYTES: u64 = 64 << 30;

/// A first line is shorter than this.
const MAX_HEADER_BYTES: u64 = 1024;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The state after a record.
    State,
    /// The deliveries of a segment of records.
    Deliveries,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Kind::State => "state",
            Kind::Deliveries => "deliveries",
        }
    }
}

/// The snapshots beside a log. Cheap to clone; usable while the log is appended to.
#[derive(Clone)]
pub struct Snapshots {
    reader: LogReader,
}

/// What is known of a snapshot without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// It holds after this record.
    pub seq: u64,
    /// The length of the file.
    pub file_bytes: u64,
}

/// Why a snapshot was not kept. The log is as it was, and goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be written.
    #[error("cannot keep the snapshot `{}`: {source}; the log itself is as it was", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The record that it is bound to cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no such record.
    #[error("a snapshot of record {seq} cannot be kept: the log ends before it")]
    Beyond {
        /// The record.
        seq: u64,
    },
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    /// [`FORMAT`].
    snapshot: u32,
    /// The version of Weir that made it.
    weir: String,
    seq: u64,
    /// The hash of record `seq`, which ties it to one history.
    record: String,
    /// What the writer says of the bytes: of a state its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// The SHA-256 of that and the rest of the file.
    digest: String,
    /// The length of the bytes.
    bytes: u64,
}

/// The hash of a file begun: with what is said of its bytes.
fn hash_about(about: Option<&str>) -> Sha256 {
    Sha256::new_with_prefix(about.unwrap_or_default())
}

/// A snapshot that is whole and of its log's history.
pub struct Kept {
    file: File,
    /// Where the bytes begin.
    start: u64,
    bytes: u64,
    /// What was said of it when it was written.
    pub about: Option<String>,
}

impl Kept {
    /// Reads the bytes.
    ///
    /// # Errors
    /// Of the system.
    pub fn read(mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(self.start))?;
        Ok(zstd::Decoder::new(self.file)?.take(self.bytes))
    }
}

/// Compresses and counts what is written.
struct Packing {
    bytes: u64,
    packed: zstd::Encoder<'static, Vec<u8>>,
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.packed.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The snapshots beside this log.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        self.reader().snapshots()
    }
}

impl LogReader {
    /// The snapshots beside this log.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        Snapshots {
            reader: self.clone(),
        }
    }
}

impl Snapshots {
    /// Keeps a snapshot, durably and as a whole or not at all; one of the same sequence is
    /// replaced. `write` is given what takes its bytes, of which only the compressed ones are kept in
    /// memory. What `about` says of them can be read before they are.
    ///
    /// # Errors
    /// It is not kept; nothing else is touched.
    pub fn put(
        &self,
        kind: Kind,
        seq: u64,
        about: Option<String>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), SnapshotError> {
        let record = self.reader.leaf_hash(seq)?;
        let record = record.ok_or(SnapshotError::Beyond { seq })?;
        let path = self.path(kind, seq);
        let unfinished = path.with_extension("unfinished");
        let put = || {
            let mut packing = Packing {
                bytes: 0,
                packed: zstd::Encoder::new(Vec::new(), LEVEL)?,
            };
            write(&mut packing)?;
            let packed = packing.packed.finish()?;
            let mut hash = hash_about(about.as_deref());
            hash.update(&packed);
            let header = Header {
                snapshot: FORMAT,
                weir: PROGRAM.to_owned(),
                seq,
                record: hex(&record),
                about,
                digest: hex(&hash.finalize().into()),
                bytes: packing.bytes,
            };
            fs::create_dir_all(self.dir())?;
            durable::put(&path, &unfinished, |file| {
                serde_json::to_writer(&mut *file, &header)?;
                file.write_all(b"\n")?;
                file.write_all(&packed)
            })
        };
        put().map_err(|source| {
            // Whatever could not be written takes space that is perhaps what is missing.
            let _ = fs::remove_file(&unfinished);
            SnapshotError::Io {
                path: path.clone(),
                source,
            }
        })
    }

    /// What there is, oldest first; not all of it need be whole.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<SnapshotInfo> {
        let entries = fs::read_dir(self.dir()).into_iter().flatten().flatten();
        let mut found: Vec<SnapshotInfo> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let (seq, extension) = name.to_str()?.split_once('.')?;
                let info = SnapshotInfo {
                    seq: seq.parse().ok()?,
                    file_bytes: entry.metadata().ok()?.len(),
                };
                (extension == kind.extension()).then_some(info)
            })
            .collect();
        found.sort_by_key(|info| info.seq);
        found
    }

    /// A snapshot; `None` if there is none that is whole and of this log's history.
    #[must_use]
    pub fn open(&self, kind: Kind, seq: u64) -> Option<Kept> {
        let path = self.path(kind, seq);
        if !path.exists() {
            return None;
        }
        match self.check(&path, seq) {
            Ok(kept) => Some(kept),
            Err(why) => {
                tracing::warn!(snapshot = %path.display(), "not used: {why}");
                None
            }
        }
    }

    /// The bytes of a snapshot, as [`Snapshots::open`] gives them.
    #[must_use]
    pub fn get(&self, kind: Kind, seq: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.open(kind, seq)?.read();
        match read.and_then(|mut kept| kept.read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(why) => {
                tracing::warn!(snapshot = seq, "not used: {why}");
                None
            }
        }
    }

    /// Where a snapshot is, if it is there.
    #[must_use]
    pub fn path(&self, kind: Kind, seq: u64) -> PathBuf {
        self.dir().join(format!("{seq:012}.{}", kind.extension()))
    }

    /// Deletes a snapshot, if it is there.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub fn remove(&self, kind: Kind, seq: u64) -> Result<(), SnapshotError> {
        let path = self.path(kind, seq);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SnapshotError::Io { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Deletes everything, also what cannot be read.
    ///
    /// # Errors
    /// Something cannot be deleted.
    pub fn clear(&self) -> Result<(), SnapshotError> {
        match fs::remove_dir_all(self.dir()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SnapshotError::Io {
                path: self.dir(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Reads the whole file once, and finds it to be what was written.
    fn check(&self, path: &Path, seq: u64) -> Result<Kept, String> {
        let text = |error: io::Error| error.to_string();
        let mut file = BufReader::new(File::open(path).map_err(text)?);
        let mut line = Vec::new();
        let mut first = (&mut file).take(MAX_HEADER_BYTES);
        first.read_until(b'\n', &mut line).map_err(text)?;
        let header: Header = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
        if header.snapshot != FORMAT || header.weir != PROGRAM {
            return Err(format!("made by version {}", header.weir));
        }
        let record = self
            .reader
            .leaf_hash(seq)
            .map_err(|error| error.to_string())?;
        if header.seq != seq || record.is_none() || parse_hex(&header.record) != record {
            return Err("it is of another history".to_owned());
        }
        if header.bytes > MAX_BYTES {
            return Err("it is too large".to_owned());
        }
        let start = line.len() as u64;
        let mut hash = hash_about(header.about.as_deref());
        io::copy(&mut file, &mut hash).map_err(text)?;
        let digest: Hash = hash.finalize().into();
        if parse_hex(&header.digest) != Some(digest) {
            return Err("its bytes are not those that were written".to_owned());
        }
        Ok(Kept {
            file: file.into_inner(),
            start,
            bytes: header.bytes,
            about: header.about,
        })
    }

    fn dir(&self) -> PathBuf {
        self.reader.dir().join("snapshots")
    }
}
