//! CEL, Weir's expression language: parsed, checked, bounded, explained.
//!
//! ```text
//! text ── parser ──> ast ── lower (+ check) ──> program ── eval ──> value, clauses, next change
//!                              │                             └── explain ──> a tree of values
//!                         environment (facts)
//! ```
//!
//! The text is parsed by the crate `cel`; everything after that is our own, because a rule needs
//! what the crate does not give: types checked at load, errors with a place in the source, a
//! budget, limits on sizes, and knowledge of when the answer will change as time passes.

mod environment;
pub mod facts;
mod limits;
mod limits;
mod map;
mod record;
mod time;
mod types;
mod value;

pub use environment::{Environment, Field, Presence, RecordType, Variable};
pub use limits::Limits;
pub use limits::Limits;
pub use map::Map;
pub use record::{FactError, Facts, Record};
pub use time::Duration;
pub use types::Type;
pub use value::Value;
pub use weir_schema::Timestamp;
