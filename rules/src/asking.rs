//! The facts of a tag for an expression that is no rule in force: what somebody asks about it.

use crate::{
    cel::{FactError, Facts, Value, facts::variable},
    facts::{Case, CaseFacts},
    judge::Destination,
    state::{Bound, Path, State, TagId},
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

    fn field(
        &self,
        record: &'static str,
        number: u64,
        index: u16,
    ) -> Result<Value, Box<FactError>> {
        self.facts.field(record, number, index)
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
        let found = self.find_tag(repository, tag);
        let bound = found.and_then(|id| Some((id, self.tag_row(id).bound.as_ref()?)));
        let (id, bound) = bound.ok_or_else(|| NoFacts::NoTag(named()))?;
        let taking = self.paths_taking(id, bound);
        let path = match (rule, taking.as_slice()) {
            (Some(rule), paths) => {
                let found = paths.iter().find(|path| path.rule.rule.name == rule);
                let rule = rule.to_owned();
                Some(found.ok_or_else(|| NoFacts::NoRule { tag: named(), rule })?)
            }
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let Some(path) = path else {
            let repository = self.tag_row(id).repository;
            let case = Case {
                source: id,
                repository,
                bound,
                class: self.class(repository, bound.digest),
                parts: self.parts_now(bound.digest),
                scanners: &[],
                target: self.target(id),
                target_digest: None,
            };
            let facts = CaseFacts::new(self, &case);
            let names = taking.iter().map(|path| path.rule.rule.name.as_str());
            let rules = names.collect();
            return Ok(ask(&Untargeted { facts, rules }));
        };
        let destination = self.destination(path, id, bound, self.now);
        let case = self.case_now(path, id, bound, &destination);
        Ok(ask(&CaseFacts::new(self, &case)))
    }

    /// What would be judged of a tag now under a rule that puts it at `destination`.
    pub(crate) fn case_now<'a>(
        &'a self,
        path: &'a Path,
        id: TagId,
        bound: &'a Bound,
        destination: &'a Destination,
    ) -> Case<'a> {
        let repository = self.tag_row(id).repository;
        let target = self.target_at(destination);
        Case {
            source: id,
            repository,
            bound,
            class: self.class(repository, bound.digest),
            parts: self.parts_now(bound.digest),
            scanners: &path.rule.scanners,
            target,
            target_digest: self.held_at(target.id),
        }
    }

    /// The promote rules that take what a tag points at.
    pub(crate) fn paths_taking(&self, id: TagId, bound: &Bound) -> Vec<&Path> {
        let repository = self.tag_row(id).repository;
        let class = self.class(repository, bound.digest);
        let paths = self.repository(repository).paths.iter();
        paths
            .filter(|path| path.rule.rule.classes.contains(&class))
            .collect()
    }
}
