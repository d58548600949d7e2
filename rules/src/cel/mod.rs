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

mod arithmetic;
mod ast;
mod budget;
mod check;
mod compare;
mod diagnostics;
mod environment;
mod escape;
mod eval;
mod explain;
pub mod facts;
mod format;
mod functions;
mod habits;
mod json;
mod limits;
mod lint;
mod lower;
mod macros;
mod map;
mod moving;
mod node;
mod parser;
mod program;
mod re2;
mod record;
mod reference;
mod regexp;
mod required;
mod scan;
mod selected;
mod time;
mod types;
mod unscanned;
mod value;
mod ways;

pub use ast::Span;
pub use diagnostics::{Diagnostic, Position, Severity};
pub use environment::{Environment, Field, Presence, RecordType, Variable};
pub use eval::EvalError;
pub use explain::{Element, Explanation};
pub(crate) use format::format;
pub use json::{JsonLimits, TooLarge};
pub use limits::Limits;
pub use map::Map;
pub use moving::NextChange;
pub use program::{Clause, ClauseOutcome, Evaluation, Program};
pub use record::{FactError, Facts, Record};
pub(crate) use scan::comments_at;
pub use time::Duration;
pub use types::Type;
pub use value::Value;
pub use ways::Step;
pub use weir_schema::Timestamp;
