//! The facts of a tag for an expression that is no rule in force: what somebody asks about it.

use crate::{
    cel::{FactError, Facts, Value, facts::variable},
    facts::{Case, CaseFacts},
    state::{Path, State, TagKey, TagState},
};

/// Why a tag has no facts to give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFacts {
    /// It does not exist.
    #[error("there is no tag `{0}`")]
    NoTag(String),
    /// No such rule promotes it.
    #[error("no promote rule `{rule}` in force takes `{tag}`")]
    NoRule {
        /// The tag, as `repository:tag`.
        tag: String,
        /// The rule that was named.
        rule: String,
    },
}

/// The facts of a tag without a target.
struct Untargeted<'a> {
    facts: CaseFacts<'a>,
    /// The rules that take it: none or several.
    rules: Vec<&'a str>,
}

impl Facts for Untargeted<'_> {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let name = match index {
            variable::TARGET => "target",
            variable::APPROVALS => "approvals",
            _ => return self.facts.variable(index),
        };
        let message = if self.rules.is_empty() {
            format!("`{name}` depends on where a rule would put the tag, and no rule takes it")
        } else {
            let rules = self.rules.join("`, `");
            format!("`{name}` depends on the rule: name one of `{rules}`")
        };
        Err(Box::new(FactError { message }))
    }
}

impl State {
    /// Gives `ask` the facts that `rule` would read of a tag; without a rule, those of the only one
    /// that takes it. If there are several or none, the facts about the target cannot be read.
    ///
    /// # Errors
    /// If there is no such tag, or no such rule takes it.
    pub fn with_facts<T>(
        &self,
        repository: &str,
        tag: &str,
        rule: Option<&str>,
        ask: impl FnOnce(&dyn Facts) -> T,
    ) -> Result<T, NoFacts> {
        let named = || format!("{repository}:{tag}");
        let key = self
            .names
            .find(repository)
            .zip(self.names.find(tag))
            .ok_or_else(|| NoFacts::NoTag(named()))?;
        let bound = self.tags.get(&key).ok_or_else(|| NoFacts::NoTag(named()))?;
        let taking = self.paths_taking(key, bound);
        let path = match (rule, taking.as_slice()) {
            (Some(rule), paths) => {
                let found = paths.iter().find(|path| path.rule.name == rule);
                let rule = rule.to_owned();
                Some(found.ok_or_else(|| NoFacts::NoRule { tag: named(), rule })?)
            }
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let Some(path) = path else {
            let case = Case {
                source: key,
                bound: bound.clone(),
                class: self.class(key.0, bound.digest),
                structure: self.structure_now(bound.digest),
                scanners: Vec::new(),
                target: key,
                target_digest: None,
            };
            let facts = CaseFacts::new(self, &case);
            let rules = taking.iter().map(|path| path.rule.name.as_str()).collect();
            return Ok(ask(&Untargeted { facts, rules }));
        };
        let destination = self.destination(path, key, bound, self.now);
        if let Some(case) = self.known_case(path, key, bound, &destination) {
            return Ok(ask(&CaseFacts::new(self, &case)));
        }
        // A name that was never heard gets a number, which must not reach the state itself.
        let mut copy = self.clone();
        let case = copy.case(path, key, bound, &destination);
        Ok(ask(&CaseFacts::new(&copy, &case)))
    }

    /// The promote rules that take what a tag points at.
    fn paths_taking(&self, key: TagKey, bound: &TagState) -> Vec<&Path> {
        let class = self.class(key.0, bound.digest);
        let known = self.repositories.get(&key.0);
        let paths = known.into_iter().flat_map(|known| known.paths.iter());
        paths
            .filter(|path| path.rule.classes.contains(&class))
            .collect()
    }
}
