//! What must hold in every history, one sentence and one file each.

mod digest_bound;
mod duplicates;
mod incremental;
mod order;
mod removed;
mod scanned;
mod snapshot;
mod twice;

use std::collections::BTreeMap;

use weir_rules::State;
use weir_schema::{Body, Reason, TagRef, TargetRef, Verdict};

use crate::generate::Seen;

/// Checks an invariant on the history of a seed.
pub type Check = fn(u64) -> Result<(), String>;

/// Every invariant by name.
pub const ALL: &[(&str, Check)] = &[
    ("incremental", incremental::check),
    ("scanned", scanned::check),
    ("digest_bound", digest_bound::check),
    ("duplicates", duplicates::check),
    ("order", order::check),
    ("snapshot", snapshot::check),
    ("twice", twice::check),
    ("removed", removed::check),
];

/// What is said last of each subject.
type Verdicts = BTreeMap<(String, String, String), (Verdict, TagRef, TargetRef, Vec<Reason>)>;

fn note(verdicts: &mut Verdicts, seen: &Seen<'_>) {
    for conclusion in &seen.step.conclusions {
        if let Body::DecisionMade(made) = &conclusion.body {
            let subject = (
                made.source.repository.to_string(),
                made.source.tag.to_string(),
                made.rule.to_string(),
            );
            let verdict = (
                made.verdict,
                made.source.clone(),
                made.target.clone(),
                made.reasons.clone(),
            );
            verdicts.insert(subject, verdict);
        }
    }
}

fn same_state(what: &str, a: &State, b: &State) -> Result<(), String> {
    if a.state_digest() == b.state_digest() {
        Ok(())
    } else {
        Err(format!(
            "{what}: {} and {}",
            a.state_digest(),
            b.state_digest()
        ))
    }
}
