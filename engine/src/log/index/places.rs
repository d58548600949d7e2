//! Sets of places in a segment, as bits.

use std::ops::Range;

/// Places that there can be.
pub(super) const PLACES: u32 = 65_536;

const WORDS: usize = PLACES as usize / 64;

/// So many places are listed; more are bits, which take 8 KiB.
const FEW: usize = 128;

/// A set of places; of a group, of its children.
#[derive(Clone)]
pub(super) struct Places {
    /// In order, as long as they are few: most terms are at few places of a part, or at none.
    few: Vec<u16>,
    /// A bit for each place, once they are more.
    many: Option<Box<[u64; WORDS]>>,
}

impl Places {
    pub(super) fn none() -> Places {
        Places::of(Vec::new())
    }

    fn of(few: Vec<u16>) -> Places {
        Places { few, many: None }
    }

    /// All places within a range.
    pub(super) fn all(within: &Range<u32>) -> Places {
        let mut all = Places::none();
        for (word, bits) in all.bits().iter_mut().enumerate() {
            *bits = bits_within(word, within);
        }
        all
    }

    pub(super) fn insert(&mut self, place: u16) {
        if self.many.is_some() || self.few.len() >= FEW {
            self.bits()[usize::from(place) / 64] |= 1 << (place % 64);
        } else if self.few.last().is_none_or(|last| *last < place) {
            self.few.push(place);
        } else if let Err(at) = self.few.binary_search(&place) {
            self.few.insert(at, place);
        }
    }

    /// Adds what 64 bits say of the places from `64 * word` on.
    pub(super) fn insert_word(&mut self, word: usize, mut bits: u64) {
        if let Some(words) = &mut self.many {
            if let Some(known) = words.get_mut(word) {
                *known |= bits;
            }
            return;
        }
        while bits != 0 {
            let place = word * 64 + bits.trailing_zeros() as usize;
            if let Ok(place) = place.try_into() {
                self.insert(place);
            }
            bits &= bits - 1;
        }
    }

    /// The bits of all places, which it has from here on.
    fn bits(&mut self) -> &mut [u64; WORDS] {
        let words = self.many.get_or_insert_with(|| Box::new([0; WORDS]));
        for place in std::mem::take(&mut self.few) {
            words[usize::from(place) / 64] |= 1 << (place % 64);
        }
        words
    }

    /// Adds the places of another set.
    pub(super) fn add(&mut self, other: &Places) {
        other.few.iter().for_each(|place| self.insert(*place));
        if let Some(other) = &other.many {
            for (word, other) in self.bits().iter_mut().zip(other.iter()) {
                *word |= other;
            }
        }
    }

    /// Keeps those that are in another set too.
    pub(super) fn meet(&mut self, other: &Places) {
        match (&mut self.many, &other.many) {
            (None, _) => self.few.retain(|place| other.contains(*place)),
            (Some(_), None) => {
                let both = other.few.iter().filter(|place| self.contains(**place));
                *self = Places::of(both.copied().collect());
            }
            (Some(words), Some(other)) => {
                for (word, other) in words.iter_mut().zip(other.iter()) {
                    *word &= other;
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match &self.many {
            None => self.few.is_empty(),
            Some(words) => words.iter().all(|word| *word == 0),
        }
    }

    pub(super) fn len(&self) -> u64 {
        match &self.many {
            None => self.few.len() as u64,
            Some(words) => words.iter().map(|word| u64::from(word.count_ones())).sum(),
        }
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Places) -> u64 {
        let among = |few: &[u16], all: &Places| {
            few.iter().filter(|place| all.contains(**place)).count() as u64
        };
        match (&self.many, &other.many) {
            (None, _) => among(&self.few, other),
            (_, None) => among(&other.few, self),
            (Some(words), Some(other)) => {
                let words = words.iter().zip(other.iter());
                words.map(|(a, b)| u64::from((a & b).count_ones())).sum()
            }
        }
    }

    pub(super) fn contains(&self, place: u16) -> bool {
        match &self.many {
            None => self.few.binary_search(&place).is_ok(),
            Some(words) => words[usize::from(place) / 64] >> (place % 64) & 1 == 1,
        }
    }

    /// How many of the few are before `place`.
    fn few_before(&self, place: u32) -> usize {
        self.few.partition_point(|known| u32::from(*known) < place)
    }

    /// The first from `place` on.
    pub(super) fn at_or_after(&self, place: u32) -> Option<u32> {
        let Some(words) = &self.many else {
            let next = self.few.get(self.few_before(place))?;
            return Some(u32::from(*next));
        };
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
        let Some(words) = &self.many else {
            let last = self.few.get(self.few_before(place).checked_sub(1)?)?;
            return Some(u32::from(*last));
        };
        let last = place.min(PLACES).checked_sub(1)?;
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

/// Which of the places from `64 * word` on are within a range, as bits.
pub(super) fn bits_within(word: usize, range: &Range<u32>) -> u64 {
    let below = |end: u32| match (end as usize).saturating_sub(64 * word) {
        some @ 0..64 => !(u64::MAX << some),
        _ => u64::MAX,
    };
    below(range.end) & !below(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(places: &[u16]) -> Places {
        let mut set = Places::none();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    /// The same as bits.
    fn many(places: &[u16]) -> Places {
        let mut set = of(places);
        set.bits();
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
            let wanted: Vec<u32> = places.iter().map(|place| u32::from(*place)).collect();
            for set in [of(places), many(places)] {
                assert_eq!(forward(&set), wanted);
                assert!(backward(&set).iter().rev().eq(&wanted));
                assert_eq!(set.len(), places.len() as u64);
                assert_eq!(set.is_empty(), places.is_empty());
            }
        }
    }

    #[test]
    fn sets_are_joined_and_met() {
        let (a, b) = (&[1, 2, 70, 9000], &[2, 70, 71]);
        for (a, b) in [
            (of(a), of(b)),
            (of(a), many(b)),
            (many(a), of(b)),
            (many(a), many(b)),
        ] {
            let mut both = a.clone();
            both.meet(&b);
            assert_eq!(forward(&both), [2, 70]);
            assert_eq!(a.common(&b), 2);
            let mut any = a.clone();
            any.add(&b);
            assert_eq!(forward(&any), [1, 2, 70, 71, 9000]);
        }
    }

    #[test]
    fn places_are_the_same_be_they_few_or_many() {
        let mut set = Places::none();
        for count in 1..=2 * FEW as u16 {
            // Not in order, and each twice.
            for _ in 0..2 {
                set.insert(count.wrapping_mul(257).rotate_left(3));
            }
            assert_eq!(set.len(), u64::from(count));
            assert!(set.contains(count.wrapping_mul(257).rotate_left(3)));
            assert_eq!(forward(&set).len(), usize::from(count));
        }
        let mut words = Places::none();
        for word in 0..WORDS {
            words.insert_word(word, 1 << 63 | 1);
        }
        assert_eq!(words.len(), 2 * WORDS as u64);
        assert_eq!(
            (words.before(PLACES), words.at_or_after(1)),
            (Some(65_535), Some(63))
        );
    }

    #[test]
    fn all_places_of_a_range_are_those_within_it() {
        for range in [
            0..0,
            0..1,
            0..130,
            63..64,
            64..65,
            63..129,
            1..PLACES,
            0..PLACES,
            PLACES - 1..PLACES,
        ] {
            let all = Places::all(&range);
            assert!(forward(&all).into_iter().eq(range.clone()), "{range:?}");
        }
    }
}
