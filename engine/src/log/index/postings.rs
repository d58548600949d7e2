//! The terms of one segment with the places of the records that have them.

use std::{ops::Range, sync::OnceLock};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::places::{Places, bits_within};
use super::terms::{Dimension, key};
use crate::log::bytes::{put_varint, take, take_array, take_varint};

/// A list of more places is kept as bits: they take no more room and are joined at once.
const LONGEST_LIST: usize = 8192;

const BITS_BYTES: usize = 8192;

/// The terms of the open segment.
#[derive(Debug, Default, Clone)]
pub(super) struct Postings {
    lists: [Lists; Dimension::ALL.len()],
}

/// The terms of a dimension. They come in any order and are mostly known, so they are found by their
/// hash; in order they are wanted rarely.
#[derive(Debug, Default, Clone)]
struct Lists {
    places: HashMap<Box<[u8]>, SmallVec<[u16; 8]>>,
    /// The keys in order, from when they are asked for until there is a new one.
    sorted: OnceLock<Vec<Box<[u8]>>>,
}

impl Postings {
    /// Adds a term of the record at `place`; places come in order.
    pub(super) fn add(&mut self, dimension: Dimension, term: &str, place: u16) {
        let key = key(dimension, term);
        let Some(lists) = self.lists.get_mut(dimension as usize - 1) else {
            return;
        };
        match lists.places.get_mut(&*key) {
            Some(list) if list.last() == Some(&place) => {}
            Some(list) => list.push(place),
            None => {
                lists.sorted.take();
                let list = SmallVec::from_slice(&[place]);
                lists.places.insert(key.into(), list);
            }
        }
    }

    /// Where a term is, by its key.
    pub(super) fn get(&self, dimension: Dimension, key: &[u8]) -> Option<Entry<'_>> {
        let lists = self.lists.get(dimension as usize - 1)?;
        lists.places.get(key).map(|places| Entry::Places(places))
    }

    /// The terms of a dimension from `first` on, in the order of their keys.
    pub(super) fn from<'a>(
        &'a self,
        dimension: Dimension,
        first: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], Entry<'a>)> {
        let lists = self.lists.get(dimension as usize - 1);
        let sorted = lists.map_or(&[][..], Lists::sorted);
        let before = sorted.partition_point(|key| **key < *first);
        let keys = sorted.get(before..).unwrap_or_default();
        keys.iter().filter_map(move |key| {
            let places = lists?.places.get(key)?;
            Some((&**key, Entry::Places(places)))
        })
    }
}

impl Lists {
    fn sorted(&self) -> &[Box<[u8]>] {
        self.sorted.get_or_init(|| {
            let mut keys: Vec<Box<[u8]>> = self.places.keys().cloned().collect();
            keys.sort_unstable();
            keys
        })
    }
}

/// Where a term is: in a segment places, in a group children.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    /// In order.
    Places(&'a [u16]),
    /// The only one.
    Place(u16),
    /// As they are stored: the first, and the gaps between them.
    Gaps { records: u64, gaps: &'a [u8] },
    /// As bits, the first place in the lowest bit of the first byte.
    Bits { records: u64, bits: &'a [u8] },
    /// The children of a group that have it, and how many records do.
    Children { records: u64, mask: u16 },
}

impl<'a> Entry<'a> {
    /// How many records have the term.
    pub(super) fn records(&self) -> u64 {
        match *self {
            Entry::Places(places) => places.len() as u64,
            Entry::Place(_) => 1,
            Entry::Gaps { records, .. }
            | Entry::Bits { records, .. }
            | Entry::Children { records, .. } => records,
        }
    }

    /// Adds the places, or the children, that are `within` a range to a set.
    pub(super) fn add_to(&self, set: &mut Places, within: &Range<u32>) {
        match *self {
            Entry::Places(places) => {
                let before = |end: u32| places.partition_point(|place| u32::from(*place) < end);
                let (first, end) = (before(within.start), before(within.end));
                let places = places.get(first..end).unwrap_or_default();
                places.iter().for_each(|place| set.insert(*place));
            }
            Entry::Place(place) if within.contains(&u32::from(place)) => set.insert(place),
            Entry::Place(_) => {}
            Entry::Gaps { mut gaps, .. } => {
                let mut place = 0_u32;
                while let Some(gap) = take_varint(&mut gaps) {
                    place = place.saturating_add(gap as u32);
                    if place >= within.end {
                        break;
                    }
                    if place >= within.start {
                        set.insert(place as u16);
                    }
                }
            }
            Entry::Bits { bits, .. } => {
                let (words, _) = bits.as_chunks::<8>();
                let first = within.start as usize / 64;
                let last = within.end.div_ceil(64) as usize;
                for (word, bits) in words.iter().enumerate().take(last).skip(first) {
                    let bits = u64::from_le_bytes(*bits) & bits_within(word, within);
                    set.insert_word(word, bits);
                }
            }
            Entry::Children { mask, .. } => {
                set.insert_word(0, u64::from(mask) & bits_within(0, within));
            }
        }
    }

    /// Appends it as it is stored.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        put_varint(bytes, self.records());
        match *self {
            Entry::Place(place) | Entry::Places(&[place]) => {
                bytes.extend_from_slice(&place.to_be_bytes());
            }
            Entry::Places(places) if places.len() > LONGEST_LIST => {
                let mut bits = vec![0_u8; BITS_BYTES];
                for place in places {
                    bits[usize::from(*place) / 8] |= 1 << (place % 8);
                }
                bytes.extend(bits);
            }
            Entry::Places(places) => {
                let mut gaps = Vec::with_capacity(places.len() + 16);
                let mut before = 0;
                for place in places {
                    put_varint(&mut gaps, u64::from(*place - before));
                    before = *place;
                }
                put_varint(bytes, gaps.len() as u64);
                bytes.extend(gaps);
            }
            Entry::Children { mask, .. } => bytes.extend_from_slice(&mask.to_be_bytes()),
            Entry::Gaps { gaps, .. } => {
                put_varint(bytes, gaps.len() as u64);
                bytes.extend_from_slice(gaps);
            }
            Entry::Bits { bits, .. } => bytes.extend_from_slice(bits),
        }
    }

    /// Reads what [`Self::put`] appended and moves `bytes` past it. `None` if the bytes are
    /// damaged.
    pub(super) fn take(bytes: &mut &'a [u8], of_group: bool) -> Option<Entry<'a>> {
        let records = take_varint(bytes)?;
        if of_group {
            let mask = u16::from_be_bytes(*take_array(bytes)?);
            return Some(Entry::Children { records, mask });
        }
        if records == 1 {
            let place = u16::from_be_bytes(*take_array(bytes)?);
            return Some(Entry::Place(place));
        }
        if records > LONGEST_LIST as u64 {
            let bits = take(bytes, BITS_BYTES)?;
            return Some(Entry::Bits { records, bits });
        }
        let length = usize::try_from(take_varint(bytes)?).ok()?;
        let gaps = take(bytes, length)?;
        Some(Entry::Gaps { records, gaps })
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::PLACES;
    use super::*;

    #[test]
    fn lists_of_any_length_are_read_as_they_are_stored() {
        let every = |step: usize| (0..=u16::MAX).step_by(step).collect::<Vec<u16>>();
        for places in [
            vec![0],
            vec![u16::MAX],
            vec![0, u16::MAX],
            every(1000),
            every(8),
            every(7),
            every(1),
        ] {
            let mut bytes = Vec::new();
            Entry::Places(&places).put(&mut bytes);
            bytes.push(7);
            let mut rest = &bytes[..];
            let entry = Entry::take(&mut rest, false).expect("it reads");
            assert_eq!(entry.records(), places.len() as u64);
            for within in [0..PLACES, 0..1, 64..4096, 1000..1001, 7..PLACES - 1, 9..9] {
                let among = places.iter().filter(|at| within.contains(&u32::from(**at)));
                let mut wanted = Places::none();
                among.for_each(|place| wanted.insert(*place));
                let all = wanted.len();
                for entry in [entry, Entry::Places(&places)] {
                    let mut found = Places::none();
                    entry.add_to(&mut found, &within);
                    assert_eq!(
                        (found.len(), found.common(&wanted)),
                        (all, all),
                        "{within:?}"
                    );
                }
            }
            assert_eq!(rest, [7]);
            for cut in [0, 1, bytes.len() - 2] {
                assert!(Entry::take(&mut &bytes[..cut], false).is_none());
            }
        }
    }

    #[test]
    fn a_term_is_once_at_a_place_and_terms_come_in_order() {
        let mut postings = Postings::default();
        for (term, place) in [("b", 1), ("a", 1), ("b", 1), ("b", 2), ("c", 9)] {
            postings.add(Dimension::Tag, term, place);
        }
        let listed: Vec<(&[u8], u64)> = postings
            .from(Dimension::Tag, b"aa")
            .map(|(key, entry)| (key, entry.records()))
            .collect();
        assert_eq!(listed, [(&b"b"[..], 2), (b"c", 1)]);
        assert_eq!(postings.from(Dimension::Rule, b"").count(), 0);
        postings.add(Dimension::Tag, "az", 10);
        let first = postings.from(Dimension::Tag, b"aa").next();
        assert_eq!(first.map(|(key, _)| key), Some(&b"az"[..]));
        let found = |key| postings.get(Dimension::Tag, key).map(|it| it.records());
        assert_eq!((found(b"b"), found(b"aa")), (Some(2), None));
    }
}
