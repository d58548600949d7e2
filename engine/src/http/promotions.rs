//! Which promotions are asked for: those that are not completed have fewer sides than records have.

use super::Problem;

/// Which promotions are asked for. Each filter that is given must be met; of several values of one,
/// any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromotionFilter {
    /// Only from or to this repository: patterns as in rules.
    pub repositories: Vec<String>,
    /// Only from or to this tag; with a repository, this tag of it.
    pub tags: Vec<String>,
    /// Only of this digest: in whole, or its first eight digits or more.
    pub digests: Vec<String>,
    /// Only under this rule.
    pub rules: Vec<String>,
}

impl PromotionFilter {
    /// Reads the parameters of an address; each may come more than once.
    ///
    /// # Errors
    /// Some are no filters of promotions; all of those are named.
    pub(super) fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut read = Self::default();
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

    /// The parameters of an address that give this filter.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = [
            ("repository", &self.repositories),
            ("tag", &self.tags),
            ("digest", &self.digests),
            ("rule", &self.rules),
        ];
        named
            .into_iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, &**value)))
    }
}
