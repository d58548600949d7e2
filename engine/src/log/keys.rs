//! The keys of the log's rows.
//!
//! | key | value |
//! |---|---|
//! | `b` name | a small value of the engine's |
//! | `c` first sequence (u64) [part (u16)] | a chunk of records, its continuation rows |
//! | `d` | the id of the dictionary in use, if it is not the program's |
//! | `d` dictionary id | a dictionary made after this program |
//! | `k` size (u64) | a signed checkpoint |
//! | `n` level (u8) index (u64) | a hash of the Merkle tree |
//! | `z` | the head |
//!
//! Numbers are big-endian, so that keys sort as the numbers do. The head is last, where its
//! neighbours in a page, which is written again with it now and then, are short. Format 1 had it
//! under `a`.

pub(super) const HEAD: &[u8] = b"z";
pub(super) const HEAD_OF_FORMAT_1: &[u8] = b"a";
pub(super) const DICTIONARIES: &[u8] = b"d";
pub(super) const DICTIONARIES_END: &[u8] = b"e";
pub(super) const CHECKPOINTS: &[u8] = b"k";
pub(super) const CHECKPOINTS_END: &[u8] = b"l";

/// A small value of the engine's.
pub(super) fn meta(name: &[u8]) -> Vec<u8> {
    [b"b", name].concat()
}

/// The chunk that begins at `first`.
pub(super) fn chunk(first: u64) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = first.to_be_bytes();
    [b'c', a, b, c, d, e, f, g, h]
}

/// The sequence in the key of a chunk; `None` for any other key.
pub(super) fn chunk_first(key: &[u8]) -> Option<u64> {
    let first = key.strip_prefix(b"c")?;
    Some(u64::from_be_bytes(first.try_into().ok()?))
}

/// A continuation row, `part` from 1.
pub(super) fn chunk_part(first: u64, part: u16) -> Vec<u8> {
    [&chunk(first)[..], &part.to_be_bytes()].concat()
}

/// The kept checkpoint of `size`.
pub(super) fn checkpoint(size: u64) -> Vec<u8> {
    [CHECKPOINTS, &size.to_be_bytes()].concat()
}

/// A hash of the Merkle tree.
pub(super) fn node(level: u8, index: u64) -> Vec<u8> {
    [&[b'n', level][..], &index.to_be_bytes()].concat()
}
