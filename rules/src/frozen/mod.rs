//! A state as it is in memory, for a start to go on from.
//!
//! Unlike the canonical encoding (`canonical`) it keeps the numbers that things have inside
//! and what is derived, so that reading it works nothing out: it takes about as long as the memory
//! takes to be filled. In return it is read by the version that wrote it only, it differs between
//! nodes, and nothing is ever compared by it.

mod bytes;
mod forms;
mod whole;

use std::io::{self, Read, Write};

pub(crate) use bytes::{Freezing, KINDS, Thawing};

use crate::state::{Settings, State};

/// The version of the form. It goes up with every change of what is frozen, or how.
const VERSION: u64 = 9;

/// Why some bytes are no frozen state.
#[derive(Debug, thiserror::Error)]
pub enum ThawError {
    /// They cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are not of the form.
    #[error("not a frozen state: {0}")]
    Form(&'static str),
    /// Of another version.
    #[error("the frozen state has version {0}, this version of Weir reads version {VERSION}")]
    Version(u64),
    /// The rules in it are refused by this version.
    #[error("the rules in the frozen state are refused: {0}")]
    Rules(String),
}

/// What can be frozen and thawed.
pub(crate) trait Frozen: Sized {
    fn freeze(&self, to: &mut Freezing<'_>);
    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError>;
}

/// Freezes a structure field by field, or a choice by its place in the list, which names all.
macro_rules! frozen {
    (struct $type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::frozen::Frozen for $type {
            fn freeze(&self, to: &mut $crate::frozen::Freezing<'_>) {
                let Self { $($field),* } = self;
                $($crate::frozen::Frozen::freeze($field, to);)*
            }

            fn thaw(
                from: &mut $crate::frozen::Thawing<'_>,
            ) -> Result<Self, $crate::frozen::ThawError> {
                $(let $field = $crate::frozen::Frozen::thaw(from)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
    (enum $type:ty { $($choice:ident),* $(,)? }) => {
        impl $crate::frozen::Frozen for $type {
            fn freeze(&self, to: &mut $crate::frozen::Freezing<'_>) {
                // Does not compile unless the list has every choice.
                match self {
                    $(Self::$choice => {})*
                }
                let place = [$(Self::$choice),*].iter().position(|choice| choice == self);
                $crate::frozen::Frozen::freeze(&place.expect("the list has every choice"), to);
            }

            fn thaw(
                from: &mut $crate::frozen::Thawing<'_>,
            ) -> Result<Self, $crate::frozen::ThawError> {
                let choices = [$(Self::$choice),*];
                let place: usize = $crate::frozen::Frozen::thaw(from)?;
                let choice = choices.get(place).copied();
                choice.ok_or($crate::frozen::ThawError::Form("a choice that is none"))
            }
        }
    };
}

pub(crate) use frozen;

impl State {
    /// Writes the state as it is in memory.
    ///
    /// # Errors
    /// Of the writer.
    pub fn freeze(&self, mut to: impl Write) -> Result<(), io::Error> {
        let mut to = Freezing::to(&mut to);
        to.number(VERSION);
        for count in self.counts() {
            count.freeze(&mut to);
        }
        self.freeze_rows(&mut to);
        to.finish()
    }

    /// Puts a state back that [`State::freeze`] wrote, under the settings that it was made with.
    ///
    /// That it is unchanged is the caller's business: what was changed is refused where its form
    /// is broken, and is another state else.
    ///
    /// # Errors
    /// If it cannot be read or is no such state; a caller then folds the log instead.
    pub fn thaw(mut from: impl Read, settings: Settings) -> Result<Self, ThawError> {
        let mut from = Thawing::from(&mut from);
        match from.number()? {
            VERSION => {}
            other => return Err(ThawError::Version(other)),
        }
        for kind in 0..KINDS {
            from.limits[kind] = from.number()?;
        }
        let state = Self::thaw_rows(&mut from, settings)?;
        match from.is_at_end()? {
            true => Ok(state),
            false => Err(ThawError::Form("more than a state")),
        }
    }
}
