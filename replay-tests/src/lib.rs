//! Proves it: histories in, decisions out.
//!
//! ```text
//!  story      a few lines, told and checked line by line      tests/proof/{push,gate,...}.rs
//!  golden     recorded histories with all that follows        golden/NAME/
//!  generate   any number of histories from a seed             tests/proof/generated.rs
//!  invariants what must hold after every record of each       src/invariants/
//!  fuzz       events changed at random                        fuzz/, src/fuzz.rs
//! ```
//!
//! Everything goes through [`weir_rules::step`], the one function that a live node runs too.
//!
#![doc = include_str!("../FAILURES.md")]

pub mod campaign;
pub mod content;
pub mod fuzz;
pub mod generate;
pub mod invariants;
pub mod random;
pub mod recorded;
pub mod rule_text;
pub mod show;
pub mod story;

pub use story::check;

use weir_rules::{Settings, State};

/// The state as it comes out of a snapshot of it.
///
/// # Panics
/// If it is not in all that it keeps, told or derived, what went in.
#[must_use]
pub fn thawed(state: &State, settings: &Settings) -> State {
    let frozen = |state: &State| {
        let mut bytes = Vec::new();
        state.freeze(&mut bytes).expect("a vector takes everything");
        bytes
    };
    let bytes = frozen(state);
    let thawed =
        State::thaw(&bytes[..], settings.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(frozen(&thawed) == bytes, "it is frozen otherwise again");
    thawed
}
