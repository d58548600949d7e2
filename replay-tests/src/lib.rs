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
