//! Numbers for what the state keeps in tables.
//!
//! They depend on the order of arrival and never leave the state: everything that is shown,
//! compared or hashed goes back to texts and digests.

use std::num::NonZeroU32;

use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $kind:literal,)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub(crate) struct $name(NonZeroU32);

            impl $name {
                /// The number of what stands at a place of its table.
                pub(crate) fn at(place: usize) -> Self {
                    let number = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
                    Self(number.expect("fewer than 2^32 of a kind fit in memory"))
                }

                /// The place in its table.
                pub(crate) fn place(self) -> usize {
                    self.0.get() as usize - 1
                }
            }

            impl Frozen for $name {
                fn freeze(&self, to: &mut Freezing<'_>) {
                    to.number(self.0.get().into());
                }

                fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
                    let number = NonZeroU32::new(from.row($kind)?);
                    number.map(Self).ok_or(ThawError::Form("a number of nothing"))
                }
            }
        )*
    };
}

// The order is that of `State::counts`.
numbers! {
    /// The number of a text.
    NameId = 0,
    /// The number of a digest, and of its manifest.
    DigestId = 1,
    /// The number of a repository.
    RepositoryId = 2,
    /// The number of a tag of a repository, whether it exists or not.
    TagId = 3,
    /// The number of a platform.
    PlatformId = 4,
    /// The number of what an index may say of a child.
    KindId = 5,
    /// The number of a finding.
    FindingId = 6,
    /// The number of a report.
    ReportId = 7,
    /// The number of a vulnerability.
    VulnerabilityId = 8,
}

// The least of a kind, to begin a range with.
impl RepositoryId {
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);
}

impl TagId {
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);
}
