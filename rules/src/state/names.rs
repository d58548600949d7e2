//! Texts and digests by number: a state of millions of tags keeps each of them once.
//!
//! The numbers depend on the order of arrival and never leave the state: everything that is
//! shown, compared or hashed goes back to texts and digests.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use weir_schema::Digest;

/// The number of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(u32);

impl NameId {
    /// The least of all, to begin a range with.
    pub(crate) const FIRST: Self = Self(0);
}

/// The number of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DigestId(u32);

impl DigestId {
    /// The least of all, to begin a range with.
    pub(crate) const FIRST: Self = Self(0);

    /// The place of the digest's manifest in a table of all of them.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A hasher without a random seed. The maps that use it are looked up and never iterated, so
/// their order can reach nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fixed;

/// The state of [`Fixed`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The multiplication leaves the low bits poor, and those choose the bucket.
        self.0.rotate_left(26)
    }
}

impl BuildHasher for Fixed {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(0)
    }
}

/// Each text once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    #[expect(
        clippy::disallowed_types,
        reason = "looked up, never iterated; no random seed"
    )]
    numbers: HashMap<Arc<str>, u32, Fixed>,
}

impl Names {
    /// The number of `text`, a new one if it was never seen.
    pub(crate) fn intern(&mut self, text: &str) -> NameId {
        if let Some(number) = self.numbers.get(text) {
            return NameId(*number);
        }
        let number = u32::try_from(self.texts.len()).expect("fewer than 2^32 texts fit in memory");
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        NameId(number)
    }

    /// The number of `text`, if it was ever seen.
    pub(crate) fn find(&self, text: &str) -> Option<NameId> {
        self.numbers.get(text).copied().map(NameId)
    }

    /// The text with that number.
    pub(crate) fn text(&self, id: NameId) -> &Arc<str> {
        &self.texts[id.0 as usize]
    }
}

/// Each digest once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    digests: Vec<Digest>,
    #[expect(
        clippy::disallowed_types,
        reason = "looked up, never iterated; no random seed"
    )]
    numbers: HashMap<Digest, u32, Fixed>,
}

impl Digests {
    /// The number of `digest`, a new one if it was never seen.
    pub(crate) fn intern(&mut self, digest: &Digest) -> DigestId {
        if let Some(number) = self.numbers.get(digest) {
            return DigestId(*number);
        }
        let number =
            u32::try_from(self.digests.len()).expect("fewer than 2^32 digests fit in memory");
        self.digests.push(digest.clone());
        self.numbers.insert(digest.clone(), number);
        DigestId(number)
    }

    /// The number of `digest`, if it was ever seen.
    pub(crate) fn find(&self, digest: &Digest) -> Option<DigestId> {
        self.numbers.get(digest).copied().map(DigestId)
    }

    /// The digest with that number.
    pub(crate) fn digest(&self, id: DigestId) -> &Digest {
        &self.digests[id.index()]
    }

    /// The digest at a place of the table of all manifests.
    pub(crate) fn at(&self, place: usize) -> &Digest {
        &self.digests[place]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.digests.len()
    }
}
