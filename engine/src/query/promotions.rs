//! Promotions that are not completed, as far as a filter asks for them.

use weir_rules::{PromotionView, State, pattern::RepositoryPatterns};

use super::{QueryError, search};

/// Which promotions are asked for: they have fewer sides than records have. Each filter that is
/// given must be met; of several values of one, any.
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
    /// The names and values that give this filter.
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

/// The promotions of a state that meet the filter, in the order of their decisions.
pub(super) fn promotions(
    state: &State,
    filter: &PromotionFilter,
) -> Result<Vec<PromotionView>, QueryError> {
    let patterns = filter.repositories.iter().map(|text| {
        let patterns = text.parse::<RepositoryPatterns>();
        patterns.map_err(|error| QueryError::Invalid(search::wrong_pattern(text, &error)))
    });
    let patterns: Vec<RepositoryPatterns> = patterns.collect::<Result<_, _>>()?;
    let digests = filter.digests.iter().map(|text| search::digest(text));
    let digests: Vec<String> = digests.collect::<Result<_, _>>()?;
    let is_at = |repository: &str, tag: &str| {
        any(&patterns, |pattern| pattern.matches(repository)) && any(&filter.tags, |one| one == tag)
    };
    let mut all = state.promotions();
    all.retain(|one| {
        let (source, target) = (&one.source, &one.target);
        let digest = source.digest.as_ref().map(ToString::to_string);
        let is_of = |asked: &String| {
            digest
                .as_deref()
                .is_some_and(|digest| begins(digest, asked))
        };
        (is_at(&source.repository.to_string(), source.tag.as_str())
            || is_at(&target.repository, &target.tag))
            && any(&digests, is_of)
            && any(&filter.rules, |rule| *rule == one.rule)
    });
    Ok(all)
}

/// Whether one of what is asked for is met, or nothing is asked for.
fn any<T>(asked: &[T], is_met: impl FnMut(&T) -> bool) -> bool {
    asked.is_empty() || asked.iter().any(is_met)
}

/// Whether a digest begins like this, which may leave out the algorithm.
fn begins(digest: &str, asked: &str) -> bool {
    let digits = digest.split_once(':').map_or("", |(_, digits)| digits);
    digest.starts_with(asked) || digits.starts_with(asked)
}
