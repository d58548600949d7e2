//! A table of places by the hash of what stands there.
//!
//! The rows themselves are elsewhere, in a vector; so nothing is ever iterated in the order of
//! hashes, and each thing is kept once.

use std::hash::{BuildHasher, Hash, Hasher};

/// A hasher without a random seed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fixed;

/// The state of [`Fixed`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
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
        // The multiplication leaves the low bits poor: what follows gives all of them a part in
        // the upper ones.
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl BuildHasher for Fixed {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(0)
    }
}

/// The hash of a value, the same on every machine and in every run.
pub(crate) fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    Fixed.hash_one(value)
}

/// A slot: the upper half of the hash, and the place plus one; 0 where it is empty.
type Slot = (u32, u32);

const EMPTY: Slot = (0, 0);

/// Places by the upper half of their hash, which also chooses the slot: growing asks nobody for the
/// hashes of what stands in it. Open addressing; at most three of four slots are full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    full: usize,
}

impl Table {
    /// The place of hash `hash` for which `is` holds.
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let upper = upper_of(hash);
        let mut at = self.home(upper);
        loop {
            let (other, number) = self.slots[at];
            if number == 0 {
                return None;
            }
            if other == upper && is(number as usize - 1) {
                return Some(number as usize - 1);
            }
            at = self.after(at);
        }
    }

    /// The places of rows by their hashes; `None` where no row stands.
    pub(crate) fn of(hashes: impl ExactSizeIterator<Item = Option<u64>>) -> Self {
        let mut table = Self::default();
        let size = (hashes.len() * 4 / 3 + 1).next_power_of_two().max(8);
        table.slots = vec![EMPTY; size];
        for (place, hash) in hashes.enumerate() {
            if let Some(hash) = hash {
                table.insert(hash, place);
            }
        }
        table
    }

    /// Adds a place that is not in it.
    pub(crate) fn insert(&mut self, hash: u64, place: usize) {
        if (self.full + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.full += 1;
        let number = u32::try_from(place + 1).expect("fewer than 2^32 rows fit in memory");
        self.put((upper_of(hash), number));
    }

    /// Takes a place out.
    pub(crate) fn remove(&mut self, hash: u64, place: usize) {
        if self.slots.is_empty() {
            return;
        }
        let mut hole = self.home(upper_of(hash));
        while self.slots[hole].1 as usize != place + 1 {
            if self.slots[hole].1 == 0 {
                return;
            }
            hole = self.after(hole);
        }
        self.full -= 1;
        // What was put behind because its own slot was full moves up, so that no search ends early.
        let mask = self.slots.len() - 1;
        let mut next = self.after(hole);
        while self.slots[next].1 != 0 {
            let home = self.home(self.slots[next].0);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = self.after(next);
        }
        self.slots[hole] = EMPTY;
    }

    fn home(&self, upper: u32) -> usize {
        upper as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.0);
        while self.slots[at].1 != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(8);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        for slot in old.into_iter().filter(|slot| slot.1 != 0) {
            self.put(slot);
        }
    }
}

fn upper_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        // A poor hash on purpose: many share a slot, and wrap around the end.
        let hash = |place: usize| (place as u64 % 7).wrapping_mul(u64::MAX / 7) | (5 << 32);
        let mut table = Table::default();
        let mut known = Vec::new();
        for place in 0..300 {
            table.insert(hash(place), place);
            known.push(place);
            if place % 3 == 2 {
                let gone = known.remove(place % known.len());
                table.remove(hash(gone), gone);
            }
            for place in 0..=place {
                let found = table.find(hash(place), |other| other == place);
                assert_eq!(found.is_some(), known.contains(&place), "{place}");
            }
        }
    }

    #[test]
    fn texts_of_all_lengths_have_hashes_of_their_own() {
        let hashes: std::collections::BTreeSet<u64> = (0..1_000)
            .map(|n| hash_of("dev/web ".repeat(n / 8).as_str()) ^ hash_of(&n.to_string()))
            .collect();
        assert!(hashes.len() > 990, "{}", hashes.len());
    }
}
