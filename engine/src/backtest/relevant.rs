//! Which inputs matter to some repositories: what happened there, and to the digests that were pushed
//! there, what is in them and what refers to them. Of everything else only the time matters.

use hashbrown::{HashMap, HashSet};

use super::{
    index::{About, How, Index},
    mark::Mark,
};

/// Inputs that matter.
pub(super) enum Relevant {
    All,
    These {
        repositories: HashSet<Mark>,
        digests: HashSet<Mark>,
        /// Inputs that matter for what else they are about.
        also: HashSet<u32>,
    },
}

impl Relevant {
    /// What matters to `repositories` up to the ordinal `last`.
    pub(super) fn to(repositories: HashSet<Mark>, index: &Index, last: u32) -> Self {
        let here = |about: &&About| about.digest != 0 && repositories.contains(&about.repository);
        let pushed = index.up_to(last).iter().filter(here);
        let mut open: Vec<Mark> = pushed.map(|about| about.digest).collect();
        let mut referring: HashMap<Mark, Vec<u32>> = HashMap::new();
        let also = index.also.iter();
        for (mark, ordinal) in also.take_while(|(_, ordinal)| *ordinal <= last) {
            referring.entry(*mark).or_default().push(*ordinal);
        }
        let of_repositories = repositories.iter().filter_map(|one| referring.get(one));
        let mut also: HashSet<u32> = of_repositories.flatten().copied().collect();
        let mut digests = HashSet::new();
        while let Some(digest) = open.pop() {
            if !digests.insert(digest) {
                continue;
            }
            open.extend(index.children.get(&digest).into_iter().flatten());
            for ordinal in referring.get(&digest).into_iter().flatten() {
                also.insert(*ordinal);
                let about = index.about(*ordinal);
                open.extend(
                    about
                        .map(|about| about.digest)
                        .filter(|digest| *digest != 0),
                );
            }
        }
        Self::These {
            repositories,
            digests,
            also,
        }
    }

    pub(super) fn has(&self, ordinal: u32, about: &About) -> bool {
        if about.how == How::NotAtAll {
            return false;
        }
        match self {
            Self::All => true,
            Self::These {
                repositories,
                digests,
                also,
            } => {
                let speaks_of_everything = about.repository == 0 && about.digest == 0;
                speaks_of_everything
                    || repositories.contains(&about.repository)
                    || digests.contains(&about.digest)
                    || also.contains(&ordinal)
            }
        }
    }

    /// Where those up to the ordinal `last` are to be read again, in order.
    pub(super) fn places(&self, index: &Index, last: u32) -> Vec<u64> {
        let numbered = (1..).zip(index.up_to(last));
        let wanted = numbered.filter(|(ordinal, about)| self.has(*ordinal, about));
        wanted.map(|(_, about)| about.place).collect()
    }
}
