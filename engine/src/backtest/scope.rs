//! What a change of rules can touch: the repositories between which rules move something that
//! have anything to do with a rule that is not the same on both sides.
//!
//! Rules are linked where one may promote from or to a repository that another may promote from or
//! to, by what all names that their patterns match begin with. Everything that is linked to a
//! changed rule is folded on both sides; what is not comes out alike, and is not folded at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_rules::{
    cel::Limits,
    pattern::RepositoryPatterns,
    rule::{Kind, Rule, RuleSet, RuleTarget},
};
use weir_schema::RuleFile;

use super::report::{Change, ChangedRule};

/// Loads a rule set; what is wrong with it otherwise.
pub(super) fn load(files: &[RuleFile]) -> Result<RuleSet, String> {
    RuleSet::load(files, &Limits::RULES)
        .map(|loaded| loaded.rules)
        .map_err(|errors| errors.to_string())
}

/// Whether a rule set may be put in force; what is wrong with it otherwise.
pub(super) fn check_offered(files: &[RuleFile]) -> Result<(), String> {
    RuleSet::load_offered(files, &Limits::RULES)
        .map(|_| ())
        .map_err(|errors| errors.to_string())
}

/// Rules by name, each with its whole text.
fn by_name<'a>(files: &'a [RuleFile], set: &'a RuleSet) -> BTreeMap<&'a str, (&'a str, Arc<Rule>)> {
    let text = |path: &str| files.iter().find(|file| file.path == path);
    set.rules()
        .iter()
        .map(|rule| {
            let text = text(&rule.path).map_or("", |file| file.text.as_str());
            (rule.name.as_str(), (text, Arc::clone(rule)))
        })
        .collect()
}

/// The rules that are not the same in two sets; a set that is refused has none.
pub(super) fn changes(old: &[RuleFile], new: &[RuleFile]) -> Vec<ChangedRule> {
    let (old_set, new_set) = (load(old).unwrap_or_default(), load(new).unwrap_or_default());
    let (before, after) = (by_name(old, &old_set), by_name(new, &new_set));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let changed = names.into_iter().filter_map(|name| {
        let change = match (before.get(name), after.get(name)) {
            (Some((text, _)), Some((other, _))) if text == other => return None,
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        Some(ChangedRule {
            rule: name.to_owned(),
            change,
        })
    });
    changed.collect()
}

/// Repositories that a change can touch.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// All: where more is touched than was thought, or so much that it is quicker not to tell.
    Everything,
    /// Those between which these rules promote.
    Of(Reaches),
}

/// Where rules promote from and to.
#[derive(Debug, Clone, Default)]
pub(super) struct Reaches {
    reaches: Vec<Reach>,
    /// A deny rule is among what changed: it speaks of promotions by hand too.
    denies: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Reach {
    from: RepositoryPatterns,
    /// What the target's name begins with.
    to: String,
    /// It is the whole name.
    whole: bool,
}

impl Scope {
    /// What the difference between two rule sets can touch.
    pub(super) fn between(old: &[RuleFile], new: &[RuleFile]) -> Self {
        let (old_set, new_set) = (load(old).unwrap_or_default(), load(new).unwrap_or_default());
        let changed: BTreeSet<String> = changes(old, new)
            .into_iter()
            .map(|changed| changed.rule)
            .collect();
        let rules: Vec<&Arc<Rule>> = old_set.rules().iter().chain(new_set.rules()).collect();
        let denies: Vec<&Arc<Rule>> = rules
            .iter()
            .filter(|rule| rule.kind == Kind::Deny && changed.contains(&rule.name))
            .copied()
            .collect();
        let mut open = Vec::new();
        let mut rest = Vec::new();
        for rule in rules {
            let Some(reach) = Reach::of(rule) else {
                continue;
            };
            let denied = denies.iter().any(|deny| reach.is_denied_by(deny));
            if denied || changed.contains(&rule.name) {
                open.push(reach);
            } else {
                rest.push(reach);
            }
        }
        let mut reaches: Vec<Reach> = Vec::new();
        while let Some(reach) = open.pop() {
            let (linked, others) = rest.into_iter().partition(|other| reach.meets(other));
            open.extend::<Vec<Reach>>(linked);
            rest = others;
            reaches.push(reach);
        }
        Self::Of(Reaches {
            reaches,
            denies: !denies.is_empty(),
        })
    }

    /// Patterns of the repositories in it, in order.
    pub(super) fn patterns(&self) -> Vec<String> {
        let patterns: BTreeSet<String> = match self {
            Self::Everything => BTreeSet::from(["**".to_owned()]),
            Self::Of(of) => of.reaches.iter().flat_map(Reach::patterns).collect(),
        };
        patterns.into_iter().collect()
    }

    /// Whether nothing can be different.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Of(of) if of.reaches.is_empty() && !of.denies)
    }

    /// Whether a repository is in it.
    pub(super) fn contains(&self, repository: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Of(of) => of.reaches.iter().any(|reach| reach.touches(repository)),
        }
    }

    /// Whether a changed deny rule may speak of promotions by hand from anywhere.
    pub(super) fn denies(&self) -> bool {
        matches!(self, Self::Of(of) if of.denies)
    }

    /// Whether everything that is in `other` is in this.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Of(_), Self::Everything) => false,
            (Self::Of(of), Self::Of(other)) => {
                (of.denies || !other.denies)
                    && other.reaches.iter().all(|reach| of.reaches.contains(reach))
            }
        }
    }
}

impl Reach {
    fn of(rule: &Rule) -> Option<Self> {
        let RuleTarget::Repository(to) = &rule.to else {
            return None;
        };
        let to = to.as_str();
        let template = to.find('{');
        Some(Self {
            from: rule.from.clone()?,
            to: to.get(..template.unwrap_or(to.len()))?.to_owned(),
            whole: template.is_none(),
        })
    }

    fn is_denied_by(&self, deny: &Rule) -> bool {
        let from = deny
            .from
            .as_ref()
            .is_none_or(|patterns| both_match(&self.from, patterns));
        let to = match &deny.to {
            RuleTarget::Matching(patterns) => begins(patterns).any(|begin| meet(begin, &self.to)),
            RuleTarget::Any => true,
            RuleTarget::Repository(_) => false,
        };
        from && to
    }

    /// Whether the two may speak of one repository.
    fn meets(&self, other: &Self) -> bool {
        both_match(&self.from, &other.from)
            || meet(&self.to, &other.to)
            || begins(&self.from).any(|begin| meet(begin, &other.to))
            || begins(&other.from).any(|begin| meet(begin, &self.to))
    }

    fn touches(&self, repository: &str) -> bool {
        let is_target = match self.whole {
            true => repository == self.to,
            false => repository.starts_with(&self.to),
        };
        is_target || self.from.matches(repository)
    }

    /// Patterns of the repositories that it touches.
    fn patterns(&self) -> impl Iterator<Item = String> {
        let from = self.from.as_slice().iter();
        let from = from.map(|pattern| pattern.as_str().to_owned());
        let below = if self.whole { "" } else { "**" };
        from.chain([format!("{}{below}", self.to)])
    }
}

fn begins(patterns: &RepositoryPatterns) -> impl Iterator<Item = &str> {
    let patterns = patterns.as_slice().iter();
    patterns.map(weir_rules::pattern::RepositoryPattern::literal_prefix)
}

fn both_match(a: &RepositoryPatterns, b: &RepositoryPatterns) -> bool {
    begins(a).any(|a| begins(b).any(|b| meet(a, b)))
}

/// Whether one name can begin with both.
fn meet(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}
