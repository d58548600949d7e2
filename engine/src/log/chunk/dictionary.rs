//! The zstd dictionaries that rows are compressed with.
//!
//! A dictionary is immutable and known by the first four bytes of its SHA-256. The one trained on
//! typical records is part of the program; others may be kept in the store, which registers them
//! here when it opens. A row names its dictionary, so all of them stay readable for ever.

use std::collections::BTreeMap;
use std::sync::{OnceLock, RwLock};

use sha2::{Digest, Sha256};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// The level. Of a text of a few records the third costs as much as the first, and what it makes is
/// read quicker; higher ones cost several times the processor time for a few per cent.
const LEVEL: i32 = 3;

/// Trained on canonical records of registry events (see `README.md` beside the file).
const BUILTIN: &[u8] = include_bytes!("dictionary/records-2.zdict");

/// What rows were compressed with before hashes and UUIDs were taken out of them.
const WITH_IDENTIFIERS: &[u8] = include_bytes!("dictionary/records-1.zdict");

/// What a dictionary is known by in a row.
pub(in crate::log) type DictionaryId = [u8; 4];

/// A dictionary made ready for both directions.
pub(in crate::log) struct Dictionary {
    pub(in crate::log) id: DictionaryId,
    pub(in crate::log) encoder: EncoderDictionary<'static>,
    pub(in crate::log) decoder: DecoderDictionary<'static>,
}

/// The dictionary of this program.
pub(in crate::log) fn builtin() -> &'static Dictionary {
    builtins()[0]
}

/// The dictionary that rows are written with, and the one before it.
fn builtins() -> &'static [&'static Dictionary; 2] {
    static DICTIONARIES: OnceLock<[&'static Dictionary; 2]> = OnceLock::new();
    DICTIONARIES.get_or_init(|| [register(BUILTIN), register(WITH_IDENTIFIERS)])
}

/// The dictionary of that id, if this program or a store opened by it has it.
pub(in crate::log) fn find(id: DictionaryId) -> Option<&'static Dictionary> {
    let known = builtins().iter().find(|known| known.id == id);
    if let Some(known) = known {
        return Some(known);
    }
    // A panic while the lock is held cannot leave the map half changed.
    registered()
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .get(&id)
        .copied()
}

/// Makes a dictionary known. It is kept until the program ends: dictionaries are few, and rows
/// are decoded on many threads.
pub(in crate::log) fn register(bytes: &[u8]) -> &'static Dictionary {
    let id = id_of(bytes);
    let mut known = registered()
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    known.entry(id).or_insert_with(|| {
        Box::leak(Box::new(Dictionary {
            id,
            encoder: EncoderDictionary::copy(bytes, LEVEL),
            decoder: DecoderDictionary::copy(bytes),
        }))
    })
}

/// The id of a dictionary: the first four bytes of its SHA-256.
pub(in crate::log) fn id_of(bytes: &[u8]) -> DictionaryId {
    let hash = Sha256::digest(bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn registered() -> &'static RwLock<BTreeMap<DictionaryId, &'static Dictionary>> {
    static KNOWN: RwLock<BTreeMap<DictionaryId, &'static Dictionary>> =
        RwLock::new(BTreeMap::new());
    &KNOWN
}
