//! The zstd dictionaries that rows are compressed with.
//!
//! A dictionary is immutable and known by the first four bytes of its SHA-256. The one trained on
//! typical records is part of the program; others may be kept in the store, which registers them
//! here when it opens. A row names its dictionary, so all of them stay readable for ever.

use std::collections::BTreeMap;
use std::sync::{OnceLock, RwLock};

use sha2::{Digest, Sha256};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// The level: higher ones cost several times the processor time for a few per cent.
const LEVEL: i32 = 1;

/// Trained on canonical records of registry events (see `README.md` beside the file).
pub(super) const BUILTIN: &[u8] = include_bytes!("dictionary/records-1.zdict");

/// What a dictionary is known by in a row.
pub(super) type DictionaryId = [u8; 4];

/// A dictionary made ready for both directions.
pub(super) struct Dictionary {
    pub(super) id: DictionaryId,
    pub(super) encoder: EncoderDictionary<'static>,
    pub(super) decoder: DecoderDictionary<'static>,
}

/// The dictionary of this program.
pub(super) fn builtin() -> &'static Dictionary {
    static DICTIONARY: OnceLock<&'static Dictionary> = OnceLock::new();
    DICTIONARY.get_or_init(|| register(BUILTIN))
}

/// The dictionary of that id, if this program or a store opened by it has it.
pub(super) fn find(id: DictionaryId) -> Option<&'static Dictionary> {
    let builtin = builtin();
    if builtin.id == id {
        return Some(builtin);
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
pub(super) fn register(bytes: &[u8]) -> &'static Dictionary {
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
pub(super) fn id_of(bytes: &[u8]) -> DictionaryId {
    let hash = Sha256::digest(bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn registered() -> &'static RwLock<BTreeMap<DictionaryId, &'static Dictionary>> {
    static KNOWN: RwLock<BTreeMap<DictionaryId, &'static Dictionary>> =
        RwLock::new(BTreeMap::new());
    &KNOWN
}
