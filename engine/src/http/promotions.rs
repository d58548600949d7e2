//! Which promotions an address asks for.

use super::Problem;
use crate::query::PromotionFilter;

/// Reads the parameters of an address; each may come more than once.
///
/// # Errors
/// Some are no filters of promotions; all of those are named.
pub(super) fn filter(parameters: Vec<(String, String)>) -> Result<PromotionFilter, Problem> {
    let mut read = PromotionFilter::default();
    let mut unknown: Vec<String> = Vec::new();
    for (name, value) in parameters {
        match &*name {
            "repository" => read.repositories.push(value),
            "tag" => read.tags.push(value),
            "digest" => read.digests.push(value),
            "rule" => read.rules.push(value),
            _ => unknown.push(format!("`{name}`")),
        }
    }
    if unknown.is_empty() {
        return Ok(read);
    }
    Err(Problem::bad_request(format!(
        "promotions cannot be filtered by {}, only by `repository`, `tag`, `digest` and `rule`; their records can: ask `/v1/events?type=promotion.*`",
        unknown.join(", ")
    )))
}
