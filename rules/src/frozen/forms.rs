//! How things that are not our own are frozen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::DateTime;
use weir_schema::{
    Digest, Platform, ReasonCode, RuleFile, Severity, SeverityCounts, SmolStr, Timestamp, Verdict,
};

use super::{Freezing, Frozen, ThawError, Thawing, frozen};
use crate::state::{More, Origin};

frozen!(struct Platform { os, architecture, variant });
frozen!(struct RuleFile { path, text });
frozen!(
    enum Verdict {
        Promote,
        Wait,
        Block,
        Error,
        Withdrawn,
    }
);
frozen!(
    enum Severity {
        Unknown,
        Negligible,
        Low,
        Medium,
        High,
        Critical,
    }
);

macro_rules! numbers {
    ($($type:ty),*) => {
        $(
            impl Frozen for $type {
                fn freeze(&self, to: &mut Freezing<'_>) {
                    to.number(*self as u64);
                }

                fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
                    Self::try_from(from.number()?).map_err(|_| ThawError::Form("too large a number"))
                }
            }
        )*
    };
}

numbers!(u16, u32, u64, usize);

impl Frozen for bool {
    fn freeze(&self, to: &mut Freezing<'_>) {
        to.number(u64::from(*self));
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        match from.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ThawError::Form("neither yes nor no")),
        }
    }
}

impl Frozen for f64 {
    fn freeze(&self, to: &mut Freezing<'_>) {
        to.bytes(&self.to_le_bytes());
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(Self::from_le_bytes(from.array()?))
    }
}

impl Frozen for String {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_text(self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let length = usize::thaw(from)?;
        Self::from_utf8(from.bytes(length)?).map_err(|_| ThawError::Form("a text that is none"))
    }
}

impl Frozen for SmolStr {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_text(self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        String::thaw(from).map(Into::into)
    }
}

impl Frozen for Arc<str> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_text(self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        String::thaw(from).map(Into::into)
    }
}

fn freeze_text(text: &str, to: &mut Freezing<'_>) {
    text.len().freeze(to);
    to.bytes(text.as_bytes());
}

impl Frozen for Digest {
    fn freeze(&self, to: &mut Freezing<'_>) {
        matches!(self, Self::Sha512(_)).freeze(to);
        to.bytes(self.bytes());
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(match bool::thaw(from)? {
            false => Self::Sha256(from.array()?),
            true => Self::Sha512(Box::new(from.array()?)),
        })
    }
}

impl Frozen for Timestamp {
    fn freeze(&self, to: &mut Freezing<'_>) {
        let time = self.datetime();
        // Times before 1970 are odd, so that those after it stay short.
        let seconds = time.timestamp();
        to.number((seconds << 1 ^ seconds >> 63) as u64);
        time.timestamp_subsec_nanos().freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let folded = from.number()?;
        let seconds = (folded >> 1) as i64 ^ -((folded & 1) as i64);
        let time = DateTime::from_timestamp(seconds, u32::thaw(from)?);
        time.map(Into::into)
            .ok_or(ThawError::Form("a time that is none"))
    }
}

impl Frozen for ReasonCode {
    fn freeze(&self, to: &mut Freezing<'_>) {
        (*self as usize).freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let code = Self::ALL.get(usize::thaw(from)?);
        code.copied()
            .ok_or(ThawError::Form("a reason that is none"))
    }
}

impl Frozen for SeverityCounts {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        BTreeMap::thaw(from).map(Self)
    }
}

// What holds others.

impl<T: Frozen> Frozen for Option<T> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.is_some().freeze(to);
        if let Some(some) = self {
            some.freeze(to);
        }
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        bool::thaw(from)?.then(|| T::thaw(from)).transpose()
    }
}

impl<T: Frozen> Frozen for Box<T> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        (**self).freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        T::thaw(from).map(Self::new)
    }
}

impl<T: Frozen> Frozen for Vec<T> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_each(self.len(), self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let length = usize::thaw(from)?;
        let mut list = Self::new();
        list.try_reserve_exact(length)
            .map_err(|_| ThawError::Form("too long a list"))?;
        for _ in 0..length {
            list.push(T::thaw(from)?);
        }
        Ok(list)
    }
}

impl<T: Frozen> Frozen for Box<[T]> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_each(self.len(), self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Vec::thaw(from).map(Vec::into_boxed_slice)
    }
}

impl<T: Frozen + Ord> Frozen for BTreeSet<T> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        freeze_each(self.len(), self, to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(Vec::thaw(from)?.into_iter().collect())
    }
}

impl<K: Frozen + Ord, V: Frozen> Frozen for BTreeMap<K, V> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.len().freeze(to);
        for (key, value) in self {
            key.freeze(to);
            value.freeze(to);
        }
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(Vec::<(K, V)>::thaw(from)?.into_iter().collect())
    }
}

fn freeze_each<'a, T: Frozen + 'a>(
    length: usize,
    each: impl IntoIterator<Item = &'a T>,
    to: &mut Freezing<'_>,
) {
    length.freeze(to);
    for one in each {
        one.freeze(to);
    }
}

impl<A: Frozen, B: Frozen> Frozen for (A, B) {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.0.freeze(to);
        self.1.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok((A::thaw(from)?, B::thaw(from)?))
    }
}

impl<A: Frozen, B: Frozen, C: Frozen> Frozen for (A, B, C) {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.0.freeze(to);
        self.1.freeze(to);
        self.2.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok((A::thaw(from)?, B::thaw(from)?, C::thaw(from)?))
    }
}

impl Frozen for Arc<BTreeMap<String, String>> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        (**self).freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        BTreeMap::thaw(from).map(Self::new)
    }
}

// What many share is frozen where it is met first; after that, 1 + its turn.

macro_rules! shared {
    ($($type:ty: $kept:ident),*) => {
        $(
            impl Frozen for Arc<$type> {
                fn freeze(&self, to: &mut Freezing<'_>) {
                    match to.$kept.number(self) {
                        Some(number) => to.number(number + 1),
                        None => {
                            to.number(0);
                            (**self).freeze(to);
                        }
                    }
                }

                fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
                    if let Some(place) = usize::thaw(from)?.checked_sub(1) {
                        let known = from.$kept.get(place).map(Self::clone);
                        return known.ok_or(ThawError::Form("nothing was shared"));
                    }
                    let new = Self::new(<$type>::thaw(from)?);
                    from.$kept.push(Self::clone(&new));
                    Ok(new)
                }
            }
        )*
    };
}

shared!(More: mores, Origin: origins);
