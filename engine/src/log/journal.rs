//! The journal: makes a batch durable before the store underneath has it on disk.
//!
//! The store needs several writes that wait for each other to make a batch durable, and holds
//! commits up while it tidies. So a batch is written here first, to a file that lies ready on
//! disk, and one sync of that file is the commit. Only then the store takes its rows, in memory and one
//! by one, and is synced in the background, with the head that belongs to them, when half of the
//! journal is full; then that half is used again. After a crash the batches after the store's head are
//! applied once more, whatever it has of them.
//!
//! Two files of [`FILE_BYTES`] are written in turn. Entries lie one behind the other:
//!
//! | bytes | |
//! |---|---|
//! | 16 | the session: another each time that a file is begun |
//! | 8 | number of the batch |
//! | 8, 32 | number of records before it, hash of the last of them |
//! | 4 | length of the changes |
//! | 16 | check: the first bytes of SHA-256 over all of the above and the changes |
//! | | the changes (`store.rs`) |
//!
//! What follows the last entry of a session in a file is left from before, and has another
//! session. Numbers are big-endian.
//!
//! The store is synced more often than the files change: what it writes between two syncs a power cut
//! may leave in any part, and a hole in it, with what follows, is not seen when it is opened.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};

use sha2::{Digest, Sha256};
use weir_schema::record::Hash;

use super::durable::sync_dir;
use super::store::Changes;

/// Enough that the store is synced a few times a second at most.
const FILE_BYTES: u64 = 4 << 20;

/// So many bytes of rows that the store has got are synced at the latest; what it writes for them fits
/// into one of its segments.
const UNSYNCED: u64 = 1 << 20;

/// The store gets no more rows while so many bytes are not synced.
const MOST_UNSYNCED: u64 = 2 * UNSYNCED;

const HEADER_BYTES: usize = 84;

type Session = [u8; 16];

/// A batch that was written to the journal.
pub(super) struct Entry {
    /// Its number: dense within a log.
    pub(super) number: u64,
    /// The number of records before it.
    pub(super) size: u64,
    /// The hash of the last of these.
    pub(super) previous: Hash,
    pub(super) changes: Changes,
}

impl Entry {
    /// Bytes of it in the journal.
    fn encoded_len(&self) -> u64 {
        (HEADER_BYTES + self.changes.encoded_len()) as u64
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is durable after the next [`Journal::sync`].
    Here,
    /// It is longer than a file, and not here.
    TooLong,
    /// The store is not synced any more, so there is no place, and it is not here.
    Over,
}

/// What a sync of the store makes durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// The last batch that the store has with its head.
    number: u64,
    /// Bytes of rows.
    bytes: u64,
}

/// The open journal.
pub(super) struct Journal {
    files: [File; 2],
    /// The entry that was written last: its memory serves the next.
    buffer: Mutex<Vec<u8>>,
    place: Mutex<Place>,
    moved: Condvar,
    /// Whether a sync failed. The system tells it once, and forgets what it lost: another sync
    /// would succeed.
    failed: Mutex<bool>,
}

struct Place {
    /// The file that is written, and its session.
    active: usize,
    session: Session,
    /// Where in it the next entry goes.
    offset: u64,
    /// The last batch in each file.
    last: [u64; 2],
    /// The last batch that the store has with its head, in memory at least.
    applied: u64,
    /// The last batch that the store has on disk.
    stored: u64,
    /// Bytes of rows that the store has got and that are not known to be on disk.
    unsynced: u64,
    /// The store is to be synced: a file is full, or much is not synced.
    is_due: bool,
    /// Nobody syncs the store any more.
    is_over: bool,
}

impl Journal {
    /// Opens or makes the files in `dir` and gives the entries of the last session, in order.
    /// They are gone with the first [`Self::append`]: the store must have them on disk by then.
    pub(super) fn open(dir: &Path) -> io::Result<(Journal, Vec<Entry>)> {
        fs::create_dir_all(dir)?;
        let files = [open_file(&dir.join("0"))?, open_file(&dir.join("1"))?];
        sync_dir(dir)?;
        let mut entries = Vec::new();
        for file in &files {
            let mut bytes = vec![0; FILE_BYTES as usize];
            file.read_exact_at(&mut bytes, 0)?;
            entries.extend(entries_in(&bytes));
        }
        entries.sort_by_key(|entry| entry.number);
        let journal = Journal {
            files,
            buffer: Mutex::default(),
            place: Mutex::new(Place {
                active: 0,
                session: new_session(),
                offset: 0,
                last: [0, 0],
                applied: 0,
                stored: 0,
                unsynced: 0,
                is_due: false,
                is_over: false,
            }),
            moved: Condvar::new(),
            failed: Mutex::new(false),
        };
        Ok((journal, entries))
    }

    /// Whether an entry goes into the same file as the last one.
    pub(super) fn has_room_for(&self, entry: &Entry) -> bool {
        self.lock().offset + entry.encoded_len() <= FILE_BYTES
    }

    /// Writes an entry. May wait for the store: until it has, on disk, all batches of the file that is
    /// used again.
    pub(super) fn append(&self, entry: &Entry) -> io::Result<Appended> {
        let length = entry.encoded_len();
        if length > FILE_BYTES {
            return Ok(Appended::TooLong);
        }
        let mut place = self.lock();
        if place.offset + length > FILE_BYTES {
            // Who waits for an entry syncs the file that is written then.
            self.sync_file(place.active)?;
            place.is_due = true;
            self.moved.notify_all();
            let other = 1 - place.active;
            while place.last[other] > place.stored {
                if place.is_over {
                    return Ok(Appended::Over);
                }
                place = self.wait(place);
            }
            place.active = other;
            place.session = new_session();
            place.offset = 0;
        }
        let mut buffer = self
            .buffer
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        encode(entry, &place.session, &mut buffer);
        self.files[place.active].write_all_at(&buffer, place.offset)?;
        place.offset += length;
        let active = place.active;
        place.last[active] = entry.number;
        Ok(Appended::Here)
    }

    /// Returns once every entry written before the call survives a power cut. After an error
    /// nothing may be assumed.
    pub(super) fn sync(&self) -> io::Result<()> {
        let active = self.lock().active;
        self.sync_file(active)
    }

    fn sync_file(&self, number: usize) -> io::Result<()> {
        let failed = self.failed.lock();
        let mut failed = failed.unwrap_or_else(|poisoned| poisoned.into_inner());
        if *failed {
            return Err(io::Error::other("the journal could not be synced before"));
        }
        self.files[number]
            .sync_data()
            .inspect_err(|_| *failed = true)
    }

    /// The store has the batch `number` and all before it, in memory, and the head after it.
    pub(super) fn applied(&self, number: u64) {
        let mut place = self.lock();
        place.applied = place.applied.max(number);
    }

    /// The store is about to get so many bytes of rows. May wait for it to be synced.
    pub(super) fn gives(&self, bytes: usize) {
        let mut place = self.lock();
        while place.unsynced >= MOST_UNSYNCED && !place.is_over {
            place = self.wait(place);
        }
        place.unsynced += bytes as u64;
        if place.unsynced >= UNSYNCED {
            place.is_due = true;
            self.moved.notify_all();
        }
    }

    /// The store was synced: it has the batch `number` and all before it on disk.
    pub(super) fn stored(&self, number: u64) {
        self.synced(Due { number, bytes: 0 });
    }

    /// The store was synced, as it was due.
    pub(super) fn synced(&self, due: Due) {
        let mut place = self.lock();
        place.stored = place.stored.max(due.number);
        place.unsynced -= due.bytes;
        self.moved.notify_all();
    }

    /// Waits until the store is to be synced and says what will be on disk then; `None` at the end.
    pub(super) fn due(&self) -> Option<Due> {
        let mut place = self.lock();
        while !place.is_due && !place.is_over {
            place = self.wait(place);
        }
        place.is_due = false;
        let due = Due {
            number: place.applied,
            bytes: place.unsynced,
        };
        (!place.is_over).then_some(due)
    }

    /// Ends the waiting of all threads.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.moved.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        // Every change of it is whole in itself.
        self.place
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, place: MutexGuard<'a, Place>) -> MutexGuard<'a, Place> {
        self.moved
            .wait(place)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn new_session() -> Session {
    *uuid::Uuid::new_v4().as_bytes()
}

fn encode(entry: &Entry, session: &Session, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.reserve(HEADER_BYTES + entry.changes.encoded_len());
    bytes.extend_from_slice(session);
    bytes.extend_from_slice(&entry.number.to_be_bytes());
    bytes.extend_from_slice(&entry.size.to_be_bytes());
    bytes.extend_from_slice(&entry.previous);
    // A length beyond this is beyond that of a file, and the entry is not written.
    let length = u32::try_from(entry.changes.encoded_len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    let check = bytes.len();
    bytes.extend_from_slice(&[0; 16]);
    entry.changes.encode(bytes);
    let sum = check_of(&bytes[..check], &bytes[HEADER_BYTES..]);
    bytes[check..HEADER_BYTES].copy_from_slice(&sum);
}

/// Opens a file and makes sure that all of it lies on disk, so that a sync has no more to do than
/// to write what is new.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let length = file.metadata()?.len();
    if length != FILE_BYTES {
        file.set_len(FILE_BYTES)?;
        let missing = FILE_BYTES.saturating_sub(length);
        let zeroes = vec![0; missing as usize];
        file.write_all_at(&zeroes, FILE_BYTES - missing)?;
        file.sync_all()?;
    }
    Ok(file)
}

/// The entries of the session that a file begins with, up to the first that is not whole.
fn entries_in(bytes: &[u8]) -> Vec<Entry> {
    let session = bytes.first_chunk::<16>();
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = bytes;
    while let Some((entry, length)) = entry_at(rest) {
        if rest.first_chunk::<16>() != session {
            break;
        }
        entries.push(entry);
        rest = rest.get(length..).unwrap_or_default();
    }
    entries
}

fn entry_at(bytes: &[u8]) -> Option<(Entry, usize)> {
    let (_session, rest) = bytes.split_first_chunk::<16>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (previous, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<16>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let changes = rest.get(..length)?;
    if *check != check_of(bytes.get(..HEADER_BYTES - 16)?, changes) {
        return None;
    }
    let entry = Entry {
        number: u64::from_be_bytes(*number),
        size: u64::from_be_bytes(*size),
        previous: *previous,
        changes: Changes::decode(changes)?,
    };
    Some((entry, HEADER_BYTES + length))
}

fn check_of(head: &[u8], changes: &[u8]) -> [u8; 16] {
    let hash = Sha256::new()
        .chain_update(head)
        .chain_update(changes)
        .finalize();
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use weir_schema::record::NO_HASH;

    use super::*;

    fn entry(number: u64) -> Entry {
        let mut changes = Changes::default();
        changes.put(b"z", vec![number as u8; 60_000]);
        Entry {
            number,
            size: 0,
            previous: NO_HASH,
            changes,
        }
    }

    /// Entries of one length in a file.
    fn entries_of_a_file() -> u64 {
        FILE_BYTES / entry(1).encoded_len()
    }

    fn append(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            journal.stored(number - 1);
            let appended = journal.append(&entry(number)).expect("it is written");
            assert_eq!(appended, Appended::Here);
        }
    }

    fn numbers_found(dir: &Path) -> Vec<u64> {
        let (_, entries) = Journal::open(dir).expect("it opens");
        entries.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn where_a_power_cut_left_a_hole_the_entries_of_an_earlier_pass_are_not_read() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let file = dir.path().join("0");
        let (journal, _) = Journal::open(dir.path()).expect("it opens");
        let each = entries_of_a_file();
        append(&journal, 1..=2 * each);
        let earlier = fs::read(&file).expect("it reads");
        append(&journal, 2 * each + 1..=2 * each + 5);
        let all: Vec<u64> = (each + 1..=2 * each + 5).collect();
        assert_eq!(numbers_found(dir.path()), all);

        // The second and the third never came to the disk, those after them did.
        let mut bytes = fs::read(&file).expect("it reads");
        let length = entry(1).encoded_len() as usize;
        bytes[length..3 * length].copy_from_slice(&earlier[length..3 * length]);
        fs::write(&file, bytes).expect("it is written");
        let before_it: Vec<u64> = (each + 1..=2 * each + 1).collect();
        assert_eq!(numbers_found(dir.path()), before_it);
    }

    #[test]
    fn the_store_is_due_once_much_is_not_synced_and_gets_no_more_than_that() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let (journal, _) = Journal::open(dir.path()).expect("it opens");
        let each = UNSYNCED as usize;
        std::thread::scope(|scope| {
            let giving = scope.spawn(|| {
                for _ in 0..5 {
                    journal.gives(each);
                }
            });
            let mut seen = 0;
            while seen < 5 * UNSYNCED {
                let due = journal.due().expect("it goes on");
                assert!((UNSYNCED..=MOST_UNSYNCED).contains(&due.bytes), "{due:?}");
                seen += due.bytes;
                journal.synced(due);
            }
            giving.join().expect("it ends");
        });
        assert_eq!(journal.lock().unsynced, 0);
    }
}
