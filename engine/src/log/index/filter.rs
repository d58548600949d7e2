//! Whether a part may have a term, told without reading any of its slices.
//!
//! A split block Bloom filter (Putze, Sanders, Singler: *Cache-, Hash- and Space-Efficient Bloom
//! Filters*; Apache Parquet stores the same): a term sets one bit in each of the eight words of one
//! block, so that a question is one look at memory. About one in a hundred terms that a part does not
//! have passes, and costs what it cost without.

use super::terms::Dimension;

/// Bits for each term.
const BITS: usize = 10;

const WORDS: usize = 8;

/// What a hash is multiplied by, for each word; those of Parquet.
const SALT: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

type Block = [u32; WORDS];

/// A term as a filter knows it. It is stored, so it is the same in every version that reads the form.
#[derive(Debug, Clone, Copy)]
pub(super) struct TermHash(u64);

impl TermHash {
    /// FNV-1a of dimension and key, mixed as MurmurHash 3 ends.
    pub(super) fn of(dimension: Dimension, key: &[u8]) -> TermHash {
        let bytes = std::iter::once(dimension as u8).chain(key.iter().copied());
        let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
        }
        TermHash(hash ^ (hash >> 33))
    }

    /// One of so many blocks: the upper half tells, evenly.
    fn block(self, blocks: usize) -> usize {
        ((u128::from(self.0) * blocks as u128) >> 64) as usize
    }

    /// The bit of each word: the lower half tells.
    fn mask(self) -> Block {
        let low = self.0 as u32;
        SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
    }
}

/// The terms of a part.
pub(super) struct Filter(Vec<Block>);

impl Filter {
    pub(super) fn of(terms: &[TermHash]) -> Filter {
        let blocks = (terms.len() * BITS).div_ceil(32 * WORDS);
        let mut filter = Filter(vec![Block::default(); blocks]);
        for term in terms {
            if let Some(block) = filter.0.get_mut(term.block(blocks)) {
                let mask = term.mask();
                block
                    .iter_mut()
                    .zip(mask)
                    .for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }

    /// Whether the term may be one of them; of one that is, always.
    pub(super) fn may_have(&self, term: TermHash) -> bool {
        self.0.get(term.block(self.0.len())).is_some_and(|block| {
            block
                .iter()
                .zip(term.mask())
                .all(|(word, bit)| word & bit != 0)
        })
    }

    /// The words of the blocks, little-endian.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let words = self.0.iter().flatten();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads what [`Self::bytes`] gave; `None` if it did not.
    pub(super) fn read(bytes: &[u8]) -> Option<Filter> {
        let (words, []) = bytes.as_chunks() else {
            return None;
        };
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let (blocks, []) = words.as_chunks() else {
            return None;
        };
        Some(Filter(blocks.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(numbers: std::ops::Range<u32>) -> Vec<TermHash> {
        let key = |number: u32| number.to_be_bytes();
        numbers
            .map(|number| TermHash::of(Dimension::Digest, &key(number)))
            .collect()
    }

    #[test]
    fn what_is_there_passes_and_of_what_is_not_one_in_a_hundred() {
        let (there, not) = (terms(0..50_000), terms(50_000..150_000));
        let filter = Filter::read(&Filter::of(&there).bytes()).expect("it reads");
        assert!(there.iter().all(|term| filter.may_have(*term)));
        let passing = not.iter().filter(|term| filter.may_have(**term)).count();
        assert!((200..2_000).contains(&passing), "{passing} of 100,000");
    }

    #[test]
    fn the_same_key_of_another_dimension_is_another_term() {
        let keys = (0..1_000_u32).map(u32::to_be_bytes);
        let of = |dimension| keys.clone().map(move |key| TermHash::of(dimension, &key));
        let filter = Filter::of(&of(Dimension::Tag).collect::<Vec<_>>());
        let passing = of(Dimension::Actor).filter(|term| filter.may_have(*term));
        assert!(passing.count() < 50);
    }

    #[test]
    fn a_part_without_terms_has_none() {
        let filter = Filter::of(&[]);
        assert!(filter.bytes().is_empty());
        assert!(!filter.may_have(TermHash::of(Dimension::Tag, b"1")));
    }

    #[test]
    fn bytes_that_are_no_blocks_are_not_read() {
        assert!(Filter::read(&[0; 31]).is_none() && Filter::read(&[0; 36]).is_none());
    }

    #[test]
    fn a_term_is_stored_by_the_same_hash_in_every_version() {
        let hash = TermHash::of(Dimension::Digest, &[0xab, 0xcd, 0xef, 0x01]);
        assert_eq!(hash.0, 0x3eee_08c3_dd2b_9fea);
    }
}
