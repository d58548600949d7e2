//! The RFC 6962 Merkle tree over the records, as pure functions.
//!
//! Leaf number `i` is record `seq = i + 1`; its hash is `SHA-256(0x00 || record bytes)`, which is
//! also the link of the hash chain. The log never holds the whole tree: a [`Frontier`] (one hash
//! for each set bit of the size) is enough to append and to compute the root, and every hash at a
//! level that is a multiple of [`TILE_HEIGHT`] is stored, so that any other node is at most
//! [`TILE_WIDTH`] hashes away. That makes the cost of a root or a proof at any size O(log n).
//!
//! Nothing here reads or writes: stored hashes arrive through [`Nodes`].

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Levels between two stored levels: those of a tile in C2SP `tlog-tiles`.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// The hash of a leaf: `SHA-256(0x00 || bytes)`.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// The hashes of many leaves, several at a time: the instructions of one hash wait for each other,
/// those of different hashes do not. Code other than [`leaf_hash`]'s, so that records are not
/// verified by what hashed them when they were written.
#[must_use]
pub fn leaf_hashes<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hash> {
    // Those side by side take as long as the longest of them.
    let mut by_length: Vec<(usize, &[u8])> = records.into_iter().enumerate().collect();
    by_length.sort_unstable_by_key(|(_, record)| record.len());
    let (places, sorted): (Vec<usize>, Vec<&[u8]>) = by_length.into_iter().unzip();
    let mut hashed = vec![Hash::default(); sorted.len()];
    tape_sha256::hash_many_prefixed(&[0], &sorted, &mut hashed);
    let mut hashes = vec![Hash::default(); sorted.len()];
    for (place, hash) in places.into_iter().zip(hashed) {
        hashes[place] = hash;
    }
    hashes
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of the empty tree: the hash of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}

/// A stored inner node: the hash of the full subtree over leaves
/// `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Position among the nodes of its level.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// What is needed to append to a tree and to know its root: the roots of its full subtrees,
/// largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One hash for each set bit of `size`, the highest bit first.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// Puts a frontier back together; `None` unless there is one hash for each set bit of `size`.
    #[must_use]
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Frontier> {
        (hashes.len() == size.count_ones() as usize).then_some(Frontier { size, hashes })
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Adds a leaf. Nodes completed by it at the levels that are stored go to `completed`.
    pub fn push(&mut self, leaf: Hash, completed: &mut Vec<Node>) {
        self.push_above(0, leaf, completed);
    }

    /// Adds the root of a full tile of leaves, as if they had been added one by one. The size must
    /// be a multiple of [`TILE_WIDTH`].
    pub fn push_tile(&mut self, root: Hash, completed: &mut Vec<Node>) {
        debug_assert!(self.size.is_multiple_of(TILE_WIDTH), "size {}", self.size);
        completed.push(Node {
            level: TILE_HEIGHT,
            index: self.size >> TILE_HEIGHT,
            hash: root,
        });
        self.push_above(TILE_HEIGHT, root, completed);
    }

    fn push_above(&mut self, bottom: u8, node: Hash, completed: &mut Vec<Node>) {
        let mut hash = node;
        let mut level = bottom;
        let mut index = self.size >> bottom;
        while index & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            index >>= 1;
            if level.is_multiple_of(TILE_HEIGHT) {
                completed.push(Node { level, index, hash });
            }
        }
        self.hashes.push(hash);
        self.size += 1 << bottom;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut hashes = self.hashes.iter().rev();
        let Some(last) = hashes.next() else {
            return empty_root();
        };
        hashes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Where stored hashes come from.
pub trait Nodes {
    /// What can go wrong while reading.
    type Error;

    /// The hashes `first .. first + count` of `level`, which is a multiple of [`TILE_HEIGHT`].
    /// Called only for nodes that are complete in the tree asked about, at most
    /// [`TILE_WIDTH`] at once, and never across a tile.
    fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Self::Error>;
}

/// The root of the tree over the first `size` leaves.
pub fn root_at<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    range_hash(nodes, 0, size)
}

/// The frontier of the tree over the first `size` leaves.
pub fn frontier_at<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
    let mut hashes = Vec::with_capacity(size.count_ones() as usize);
    let mut start = 0;
    for level in (0..64).rev() {
        if size >> level & 1 == 1 {
            hashes.push(subtree(nodes, level, start >> level)?);
            start += 1 << level;
        }
    }
    Ok(Frontier { size, hashes })
}

/// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1), leaf side
/// first. `None` unless `index < size`.
pub fn inclusion_proof<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_hash(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_hash(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962,
/// 2.1.2). `None` unless `old <= new`; empty when `old` is 0 or both are the same.
pub fn consistency_proof<N: Nodes>(
    nodes: &N,
    old: u64,
    new: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(Some(path));
    }
    let (mut start, mut end) = (0, new);
    // While the part looked at begins where the tree does, its hash is the old root, which the
    // verifier has.
    let mut known = true;
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range_hash(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_hash(nodes, start, middle)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        path.push(range_hash(nodes, start, end)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// The root that an inclusion proof leads to; `None` if its length cannot belong to that place.
/// The record is in the tree if this is the tree's root.
#[must_use]
pub fn root_from_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Whether `path` proves that the tree `(old, old_root)` is a prefix of the tree
/// `(new, new_root)` (RFC 9162, 2.1.4.2).
#[must_use]
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (first, rest) = if node == 0 {
        (old_root, path)
    } else {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        (first, rest)
    };
    let (mut from_old, mut from_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

/// The largest power of two smaller than `count`, where RFC 6962 cuts a list of `count >= 2`.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The hash of leaves `start .. end`, a part that RFC 6962's recursion arrives at: `start` is a
/// multiple of the smallest power of two that is at least as large as the part.
fn range_hash<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros() as u8;
        return subtree(nodes, level, start >> level);
    }
    let middle = start + split(count);
    let left = range_hash(nodes, start, middle)?;
    let right = range_hash(nodes, middle, end)?;
    Ok(node_hash(&left, &right))
}

/// The hash of a full subtree, from the nearest stored level below.
fn subtree<N: Nodes>(nodes: &N, level: u8, index: u64) -> Result<Hash, N::Error> {
    let above = level % TILE_HEIGHT;
    let row = nodes.hashes(level - above, index << above, 1 << above)?;
    Ok(full_root(row))
}

/// The root of the full tree over `row`, whose length is a power of two. Hashes as
/// [`leaf_hashes`] does.
#[must_use]
pub fn full_root(mut row: Vec<Hash>) -> Hash {
    assert!(row.len().is_power_of_two(), "{} hashes", row.len());
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        let both = pairs.iter().map(|[left, right]| (&left[..], &right[..]));
        let (left, right): (Vec<&[u8]>, Vec<&[u8]>) = both.unzip();
        let mut above = vec![Hash::default(); pairs.len()];
        tape_sha256::hash_pairs(&[1], &left, &right, &mut above);
        row = above;
    }
    row[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_made_side_by_side_are_those_made_one_by_one() {
        // Every length around the ends of the first blocks, in no order, and a long one among them.
        let bytes: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
        let lengths = (0..300).map(|n| n * 91 % 300).chain([70_000, 5, 1_000]);
        let records: Vec<&[u8]> = lengths.map(|length| &bytes[..length]).collect();
        let wanted: Vec<Hash> = records.iter().map(|record| leaf_hash(record)).collect();
        for count in (0..40).chain([records.len()]) {
            let hashes = leaf_hashes(records[..count].iter().copied());
            assert_eq!(hashes, wanted[..count], "{count} records");
        }
        for height in 0..=TILE_HEIGHT {
            let row = &wanted[..1 << height];
            let mut frontier = Frontier::default();
            row.iter()
                .for_each(|leaf| frontier.push(*leaf, &mut Vec::new()));
            assert_eq!(full_root(row.to_vec()), frontier.root(), "height {height}");
        }
    }
}
