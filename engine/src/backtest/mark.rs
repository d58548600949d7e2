//! Marks: repositories and digests by 64 bits, for telling what an event is about.
//!
//! Two that share a mark are taken for one, and more is looked at than had to be.

use hashbrown::HashMap;

use weir_schema::Digest;

/// The mark of a repository or a digest; 0 stands for none.
pub(super) type Mark = u64;

/// What each index holds.
pub(super) type Children = HashMap<Mark, Box<[Mark]>>;

/// The mark of a repository.
pub(super) fn mark_of(repository: &str) -> Mark {
    // FNV-1a: short names, and the same on every machine.
    let hash = repository
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash.max(1)
}

/// The mark of a digest, which is even already.
pub(super) fn mark_of_digest(digest: &Digest) -> Mark {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.bytes()[..8]);
    u64::from_be_bytes(first).max(1)
}

/// The manifest that a tag for signatures (`sha256-HEX`, `sha256-HEX.sig`) is named for.
pub(super) fn about_tag(tag: &str) -> Option<Mark> {
    let rest = tag.strip_prefix("sha256-")?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    let digest: Digest = format!("sha256:{hex}").parse().ok()?;
    Some(mark_of_digest(&digest))
}
