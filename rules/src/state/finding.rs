//! When two scanners speak of the same finding, and what is then known of it.

use std::cmp::Ordering;

use weir_schema::{Finding, SmolStr};

/// The order of findings, by what makes two of them the same: id, package and version.
pub(super) fn compare(a: &Finding, b: &Finding) -> Ordering {
    let of_a = (&a.id, told(&a.package), told(&a.version));
    of_a.cmp(&(&b.id, told(&b.package), told(&b.version)))
}

/// What a scanner says of a finding: some write an empty text for what they do not know.
pub(super) fn told(text: &Option<SmolStr>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Adds to a finding what another says of the same: the worst severity and score that anybody
/// gave, and of the rest what anybody knew.
pub(super) fn merge(into: &mut Finding, from: &Finding) {
    into.severity = into.severity.max(from.severity);
    into.score = match (into.score, from.score) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    into.fixed_version = known(into.fixed_version.take(), &from.fixed_version);
    into.layer = known(into.layer.take(), &from.layer);
}

/// What is known of two: a text before none or an empty one, the smaller of two texts.
fn known(a: Option<SmolStr>, b: &Option<SmolStr>) -> Option<SmolStr> {
    match (told(&a), told(b)) {
        (Some(_), Some(_)) => a.min(b.clone()),
        (Some(_), None) => a,
        (None, Some(_)) => b.clone(),
        (None, None) => None,
    }
}
