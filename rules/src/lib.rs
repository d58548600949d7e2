//! What should happen: the pure core.
//!
//! ```text
//!  record ──> step(state, record) ──> records to append, commands to run
//!               │
//!               ├─ evolve    what an event does to the state, and what it touches
//!               ├─ gate      is every image scanned and present?
//!               ├─ facts     what a rule may read ──> cel: the rule's expression
//!               └─ judge     gate, rule, target, people and time: a verdict with its reasons
//! ```
//!
//! No clock, no IO, no randomness, no async, nothing that depends on the order of a hash map:
//! time is the `recorded_at` of the record at hand, and what shall happen outside leaves as a
//! [`Command`]. The same records give the same state and the same decisions, bit for bit.

mod asking;
mod canonical;
pub mod cel;
pub mod class;
mod duration_text;
mod evolve;
mod explain;
mod facts;
mod frozen;
pub mod gate;
mod impact;
mod judge;
mod meet;
mod needs;
pub mod pattern;
mod recorded;
pub mod rule;
mod state;
mod step;
pub mod suggest;
pub mod template;
mod view;
pub mod window;

pub use asking::NoFacts;
pub use class::{Class, UnknownClass};
pub use evolve::{SUPERSEDED, WITHDRAWN, promotion_number};
pub use explain::{Deny, Explanation, Image, LeftOut, Stage};
pub use frozen::ThawError;
pub use impact::{AffectedImage, AffectedPackage, ImpactView, OverrideView};
pub use state::{MANUAL, ScanAge, Settings, State};
pub use step::{Command, Conclusion, Copy, Execution, Step, recheck, step};
pub use view::{
    Bound, Held, HoldView, HopView, IndexView, OpenCopy, PromotionView, TagView, VerdictView,
};
