//! How much of one tree of manifests is read: in bytes, in manifests, in depth. An index may name ten
//! thousand manifests of 4 MiB each, all of them valid; no application has that.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes of manifests that are read below one digest, itself among them: ten thousand
/// manifests of 6 KiB. What is kept of them while they are read takes a few times as much.
pub const TREE_LIMIT: usize = 64 << 20;

/// What a tree that exceeds [`TREE_LIMIT`] is refused with.
pub const TREE_TOO_LARGE: &str =
    "its manifests have more than 64 MiB together, and no more is read of one tree: divide it";

/// Most manifests that are read below one digest, itself among them: more are not an application.
pub const TREE_MANIFESTS: usize = 10_000;

/// What a tree with more than [`TREE_MANIFESTS`] is refused with.
pub const TREE_TOO_MANY: &str = "it holds more than 10,000 manifests";

/// Levels of indexes that are read: the root, and as many below it as rules look into.
pub const TREE_LEVELS: usize = 1 + weir_rules::gate::DEEPEST;

/// What a tree with more than [`TREE_LEVELS`] is refused with.
pub const TREE_TOO_DEEP: &str = "indexes are nested more than 8 levels deep";

/// The bytes that may still be read of one tree; its readers share it.
#[derive(Debug)]
pub struct TreeBudget {
    left: AtomicUsize,
}

impl Default for TreeBudget {
    fn default() -> Self {
        Self {
            left: AtomicUsize::new(TREE_LIMIT),
        }
    }
}

impl TreeBudget {
    /// Takes `bytes` that were read. `false` if that is more than may be: then the tree is not to
    /// be read on, and what was read of it is to be dropped.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok()
    }

    /// The bytes that were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        TREE_LIMIT - self.left.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_limits() {
        let most = format!("{},000 manifests", TREE_MANIFESTS / 1000);
        assert!(TREE_TOO_MANY.contains(&most));
        let deepest = format!("{} levels", TREE_LEVELS - 1);
        assert!(TREE_TOO_DEEP.contains(&deepest));
        let largest = format!("{} MiB", TREE_LIMIT >> 20);
        assert!(TREE_TOO_LARGE.contains(&largest));
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        let budget = TreeBudget::default();
        assert!(budget.take(TREE_LIMIT - 1));
        assert!(!budget.take(2));
        assert!(budget.take(1));
        assert!(!budget.take(1) && budget.take(0));
        assert_eq!(budget.taken(), TREE_LIMIT);
    }
}
