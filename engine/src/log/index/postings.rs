//! Posting lists of one segment: for each fingerprint the places of the records that have it.
//!
//! A sealed segment stores them as slices, each a run of lists in the order of fingerprints:
//!
//! `fingerprint (u32, big-endian), number of places (varint), gaps between them (varints)`

use std::collections::BTreeMap;

use super::terms::Fingerprint;

/// Where a slice ends: small enough to search from its beginning in microseconds.
const SLICE_BYTES: usize = 8 * 1024;

/// The lists of a segment while it is being filled.
#[derive(Debug, Default, Clone)]
pub(super) struct Postings {
    lists: BTreeMap<Fingerprint, Vec<u16>>,
}

impl Postings {
    /// Adds a place; places come in order.
    pub(super) fn add(&mut self, fingerprint: Fingerprint, place: u16) {
        let list = self.lists.entry(fingerprint).or_default();
        if list.last() != Some(&place) {
            list.push(place);
        }
    }

    /// The places of a fingerprint, in order.
    pub(super) fn get(&self, fingerprint: Fingerprint) -> &[u16] {
        self.lists
            .get(&fingerprint)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The slices, each with its dimension and first fingerprint.
    pub(super) fn slices(&self) -> Vec<(Fingerprint, Vec<u8>)> {
        let mut slices: Vec<(Fingerprint, Vec<u8>)> = Vec::new();
        for (&(dimension, hash), places) in &self.lists {
            let fits = slices
                .last()
                .is_some_and(|((last, _), slice)| *last == dimension && slice.len() < SLICE_BYTES);
            if !fits || places.len() > SLICE_BYTES {
                slices.push(((dimension, hash), Vec::new()));
            }
            let Some((_, slice)) = slices.last_mut() else {
                continue;
            };
            slice.extend_from_slice(&hash.to_be_bytes());
            put_varint(slice, places.len() as u32);
            let mut before = 0;
            for place in places {
                put_varint(slice, u32::from(*place) - before);
                before = u32::from(*place);
            }
        }
        slices
    }
}

/// The places of a fingerprint in a slice that may hold it; `None` if the slice is damaged.
pub(super) fn places_in(mut slice: &[u8], hash: u32) -> Option<Vec<u16>> {
    while let Some((found, rest)) = slice.split_first_chunk::<4>() {
        let found = u32::from_be_bytes(*found);
        slice = rest;
        let count = take_varint(&mut slice)?;
        if found < hash {
            for _ in 0..count {
                take_varint(&mut slice)?;
            }
            continue;
        }
        if found > hash {
            break;
        }
        let mut place = 0_u32;
        let next = |_| {
            place = place.checked_add(take_varint(&mut slice)?)?;
            u16::try_from(place).ok()
        };
        return (0..count).map(next).collect();
    }
    Some(Vec::new())
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_length_are_found_in_their_slices() {
        let mut postings = Postings::default();
        for place in 0..=u16::MAX {
            postings.add((4, 7), place);
            postings.add((4, 7), place);
            if place % 1000 == 3 {
                postings.add((4, u32::from(place) << 8), place);
            }
            if place % 32 == 5 {
                postings.add((3, u32::from(place).wrapping_mul(2_654_435_761)), place);
            }
        }
        let slices = postings.slices();
        assert!(slices.iter().all(|(_, slice)| slice.len() < 80_000));
        assert!(slices.is_sorted_by_key(|(first, _)| *first));
        let find = |(dimension, hash): Fingerprint| {
            let before = slices
                .iter()
                .rev()
                .find(|((d, first), _)| *d == dimension && *first <= hash);
            before.map_or(Vec::new(), |(_, slice)| {
                places_in(slice, hash).expect("it reads")
            })
        };
        for fingerprint in postings.lists.keys() {
            assert_eq!(
                find(*fingerprint),
                postings.get(*fingerprint),
                "{fingerprint:?}"
            );
        }
        assert!(find((4, 8)).is_empty());
        assert!(find((3, u32::MAX)).is_empty());
        assert!(find((9, 1)).is_empty());
    }
}
