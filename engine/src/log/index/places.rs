//! Sets of places in a segment, as bits.

use std::ops::Range;

/// Places that there can be.
pub(super) const PLACES: u32 = 65_536;

const WORDS: usize = PLACES as usize / 64;

/// A set of places; of a group, of its children. It has no bits while nothing is put into it: most
/// parts have none of what is asked for.
#[derive(Clone)]
pub(super) struct Places(Option<Box<[u64; WORDS]>>);

impl Places {
    pub(super) fn none() -> Places {
        Places(None)
    }

    /// The first `count` places.
    pub(super) fn first(count: u32) -> Places {
        let mut all = Places(Some(Box::new([u64::MAX; WORDS])));
        all.keep(0..count);
        all
    }

    fn words(&self) -> &[u64] {
        self.0.as_deref().map_or(&[], <[u64; WORDS]>::as_slice)
    }

    fn bits(&mut self) -> &mut [u64; WORDS] {
        self.0.get_or_insert_with(|| Box::new([0; WORDS]))
    }

    pub(super) fn insert(&mut self, place: u16) {
        self.bits()[usize::from(place) / 64] |= 1 << (place % 64);
    }

    /// Adds what 64 bits say of the places from `64 * word` on.
    pub(super) fn insert_word(&mut self, word: usize, bits: u64) {
        if let Some(known) = self.bits().get_mut(word) {
            *known |= bits;
        }
    }

    /// Adds the places of another set.
    pub(super) fn add(&mut self, other: &Places) {
        if let Some(other) = &other.0 {
            for (word, other) in self.bits().iter_mut().zip(other.iter()) {
                *word |= other;
            }
        }
    }

    /// Keeps those that are in another set too.
    pub(super) fn meet(&mut self, other: &Places) {
        match (&mut self.0, &other.0) {
            (Some(words), Some(other)) => {
                for (word, other) in words.iter_mut().zip(other.iter()) {
                    *word &= other;
                }
            }
            (words, _) => *words = None,
        }
    }

    /// Keeps those within a range.
    pub(super) fn keep(&mut self, range: Range<u32>) {
        let Some(words) = &mut self.0 else {
            return;
        };
        let end = range.end.min(PLACES);
        let start = range.start.min(end);
        // The words in which the range begins and ends; it may end with the last.
        let (first, last) = (start as usize / 64, end as usize / 64);
        words[..first].fill(0);
        if let Some(word) = words.get_mut(first) {
            *word &= u64::MAX << (start % 64);
        }
        if let Some(word) = words.get_mut(last) {
            *word &= !(u64::MAX << (end % 64));
        }
        if let Some(after) = words.get_mut(last + 1..) {
            after.fill(0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub(super) fn len(&self) -> u64 {
        let words = self.words().iter();
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Places) -> u64 {
        let words = self.words().iter().zip(other.words());
        words.map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    pub(super) fn contains(&self, place: u16) -> bool {
        let word = self.words().get(usize::from(place) / 64);
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The first from `place` on.
    pub(super) fn at_or_after(&self, place: u32) -> Option<u32> {
        let words = self.words();
        let mut word = place as usize / 64;
        let mut bits = words.get(word)? & (u64::MAX << (place % 64));
        loop {
            if bits != 0 {
                return Some(word as u32 * 64 + bits.trailing_zeros());
            }
            word += 1;
            bits = *words.get(word)?;
        }
    }

    /// The last before `place`.
    pub(super) fn before(&self, place: u32) -> Option<u32> {
        let last = place.min(PLACES).checked_sub(1)?;
        let words = self.words();
        let mut word = last as usize / 64;
        let mut bits = words.get(word)? & (u64::MAX >> (63 - last % 64));
        loop {
            if bits != 0 {
                return Some(word as u32 * 64 + 63 - bits.leading_zeros());
            }
            word = word.checked_sub(1)?;
            bits = *words.get(word)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(places: &[u16]) -> Places {
        let mut set = Places::none();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    fn forward(set: &Places) -> Vec<u32> {
        let mut next = set.at_or_after(0);
        std::iter::from_fn(|| {
            let place = next?;
            next = set.at_or_after(place + 1);
            Some(place)
        })
        .collect()
    }

    fn backward(set: &Places) -> Vec<u32> {
        let mut next = set.before(PLACES);
        std::iter::from_fn(|| {
            let place = next?;
            next = set.before(place);
            Some(place)
        })
        .collect()
    }

    #[test]
    fn places_are_walked_in_both_directions() {
        for places in [
            &[][..],
            &[0],
            &[65_535],
            &[0, 63, 64, 127, 128, 4095, 65_535],
        ] {
            let set = of(places);
            let mut wanted: Vec<u32> = places.iter().map(|place| u32::from(*place)).collect();
            assert_eq!(forward(&set), wanted);
            wanted.reverse();
            assert_eq!(backward(&set), wanted);
            assert_eq!(set.len(), places.len() as u64);
            assert_eq!(set.is_empty(), places.is_empty());
        }
    }

    #[test]
    fn sets_are_joined_met_and_cut() {
        let (a, b) = (of(&[1, 2, 70, 9000]), of(&[2, 70, 71]));
        let mut both = a.clone();
        both.meet(&b);
        assert_eq!(forward(&both), [2, 70]);
        assert_eq!(a.common(&b), 2);
        let mut any = a.clone();
        any.add(&b);
        assert_eq!(forward(&any), [1, 2, 70, 71, 9000]);
        for (range, wanted) in [
            (0..PLACES, &[1, 2, 70, 71, 9000][..]),
            (2..71, &[2, 70]),
            (64..64, &[]),
            (71..9001, &[71, 9000]),
            (70..71, &[70]),
            (9000..PLACES + 1, &[9000]),
            (PLACES..PLACES, &[]),
        ] {
            let mut cut = any.clone();
            cut.keep(range);
            assert_eq!(forward(&cut), wanted);
        }
        assert_eq!(Places::first(130).len(), 130);
        assert!(Places::first(130).contains(129) && !Places::first(130).contains(130));
        assert_eq!(Places::first(PLACES).len(), u64::from(PLACES));
    }
}
