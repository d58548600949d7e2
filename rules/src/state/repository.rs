//! Repositories, and the rules in force that speak of them.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use weir_schema::RepositoryName;

use super::{
    State,
    numbers::{NameId, RepositoryId, TagId},
    reason::More,
    table::{Table, hash_of},
};
use crate::{
    frozen::{Freezing, Frozen, ThawError, Thawing},
    rule::{Kind, Rule, RuleTarget, Severity},
};

/// A rule in force, with what need not be worked out for each subject.
#[derive(Debug)]
pub(crate) struct RuleInForce {
    pub(crate) rule: Arc<Rule>,
    pub(crate) name: NameId,
    pub(crate) scanners: Box<[NameId]>,
    /// What each clause says when it is false.
    pub(crate) clauses: Box<[Arc<More>]>,
    /// Whether the target hangs on the time of the deciding record.
    pub(crate) timed: bool,
    /// Whether the target is the same tag in a repository that hangs on the source's alone.
    pub(crate) plain: bool,
}

/// A rule in force that promotes from a repository.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) rule: Arc<RuleInForce>,
    pub(crate) captures: Box<[String]>,
}

/// A repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) text: Arc<str>,
    /// `None` for what a template gave and no repository can be called.
    pub(crate) name: Option<RepositoryName>,
    /// Whether an event or a decision named it, and not only a rule that leads there.
    pub(crate) named: bool,
    pub(crate) immutable_tags: bool,
    /// Declared to hold bundles.
    pub(crate) bundles: bool,
    /// Promote rules that match it, by name.
    pub(crate) paths: Arc<[Path]>,
    /// Where its plain paths lead, in their order; worked out when it is first asked.
    pub(crate) leads_to: Box<[Option<RepositoryId>]>,
    /// Deny rules that match it as a source, and those that do as a target: places in
    /// [`State::in_force`], ascending.
    pub(crate) denies_from: Arc<[usize]>,
    pub(crate) denies_to: Arc<[usize]>,
    /// Tags that exist, and tags that something waits to be promoted to; sorted.
    pub(crate) tags: Vec<TagId>,
    /// How many manifests are deleted here.
    pub(crate) deletions: usize,
}

impl Repository {
    /// One that nothing is known of.
    fn new(text: Arc<str>, name: Option<RepositoryName>) -> Self {
        Self {
            text,
            name,
            named: false,
            immutable_tags: false,
            bundles: false,
            paths: Arc::new([]),
            leads_to: Box::new([]),
            denies_from: Arc::new([]),
            denies_to: Arc::new([]),
            tags: Vec::new(),
            deletions: 0,
        }
    }
}

/// Whether a deny rule speaks of promotions to a repository.
pub(crate) fn speaks_of_target(rule: &Rule, target: &str) -> bool {
    match &rule.to {
        RuleTarget::Repository(_) => false,
        RuleTarget::Matching(patterns) => patterns.matches(target),
        RuleTarget::Any => true,
    }
}

fn target_is_timed(rule: &Rule) -> bool {
    rule.tag.uses_time()
        || matches!(&rule.to, RuleTarget::Repository(template) if template.uses_time())
}

fn target_is_plain(rule: &Rule) -> bool {
    rule.tag.is_source_tag()
        && matches!(&rule.to, RuleTarget::Repository(template) if template.uses_repository_only())
}

/// Every repository ever named, or foreseen by a rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repositories {
    rows: Vec<Repository>,
    table: Table,
    by_name: BTreeMap<Arc<str>, RepositoryId>,
}

impl Repositories {
    pub(crate) fn get(&self, id: RepositoryId) -> &Repository {
        &self.rows[id.place()]
    }

    pub(crate) fn get_mut(&mut self, id: RepositoryId) -> &mut Repository {
        &mut self.rows[id.place()]
    }

    pub(crate) fn find(&self, text: &str) -> Option<RepositoryId> {
        let place = self
            .table
            .find(hash_of(text), |place| &*self.rows[place].text == text);
        place.map(RepositoryId::at)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn add(&mut self, repository: Repository) -> RepositoryId {
        let (place, text) = (self.rows.len(), Arc::clone(&repository.text));
        self.rows.push(repository);
        self.table.insert(hash_of(&*text), place);
        self.by_name.insert(text, RepositoryId::at(place));
        RepositoryId::at(place)
    }

    /// All of them in the order of their names.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (RepositoryId, &Repository)> {
        self.by_name.values().map(|id| (*id, self.get(*id)))
    }

    /// Those whose names are `first` or behind it, in order.
    pub(crate) fn from(&self, first: &str) -> impl Iterator<Item = (RepositoryId, &Repository)> {
        let behind = (Bound::Included(first), Bound::Unbounded);
        let from = self.by_name.range::<str, _>(behind);
        from.map(|(_, id)| (*id, self.get(*id)))
    }

    /// Those whose names begin with `prefix`, in order.
    pub(crate) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (RepositoryId, &'a Repository)> {
        let all = (Bound::Included(prefix), Bound::Unbounded);
        let from = self.by_name.range::<str, _>(all);
        from.take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(_, id)| (*id, self.get(*id)))
    }
}

impl State {
    pub(crate) fn repository(&self, id: RepositoryId) -> &Repository {
        self.repositories.get(id)
    }

    /// The number of a repository; a new one gets the rules that match it.
    pub(crate) fn intern_repository(&mut self, name: &RepositoryName) -> RepositoryId {
        let id = match self.repositories.find(name.as_str()) {
            Some(known) => known,
            None => self.add_repository(Arc::clone(name.shared()), Some(name.clone())),
        };
        self.repositories.get_mut(id).named = true;
        id
    }

    /// The number of what may be no repository at all.
    pub(crate) fn intern_repository_text(&mut self, text: &str) -> RepositoryId {
        let id = self.foresee_repository(text);
        self.repositories.get_mut(id).named = true;
        id
    }

    /// As [`State::intern_repository_text`], for one that nobody named yet.
    fn foresee_repository(&mut self, text: &str) -> RepositoryId {
        match self.repositories.find(text) {
            Some(known) => known,
            None => {
                let name = text.parse::<RepositoryName>().ok();
                let shared = name.as_ref().map(|name| Arc::clone(name.shared()));
                self.add_repository(shared.unwrap_or_else(|| text.into()), name)
            }
        }
    }

    fn add_repository(&mut self, text: Arc<str>, name: Option<RepositoryName>) -> RepositoryId {
        let repository = self.with_rules(Repository::new(text, name));
        self.repositories.add(repository)
    }

    /// `repository` with the rules in force that match it.
    fn with_rules(&self, mut repository: Repository) -> Repository {
        let text = &*repository.text;
        let mut paths = Vec::new();
        let (mut denies_from, mut denies_to) = (Vec::new(), Vec::new());
        for (place, in_force) in self.in_force.iter().enumerate() {
            let rule = &in_force.rule;
            if rule.kind == Kind::Deny {
                if (rule.from.as_ref()).is_none_or(|from| from.matches(text)) {
                    denies_from.push(place);
                }
                if speaks_of_target(rule, text) {
                    denies_to.push(place);
                }
            } else if repository.name.is_some()
                && let Some(captures) = rule.captures(text)
            {
                paths.push(Path {
                    rule: Arc::clone(in_force),
                    captures: captures.into(),
                });
            }
        }
        paths.sort_by(|a, b| a.rule.rule.name.cmp(&b.rule.rule.name));
        let bundles = self.settings.bundle_repositories.as_ref();
        repository.bundles = bundles.is_some_and(|bundles| bundles.matches(text));
        repository.leads_to = vec![None; paths.len()].into();
        repository.paths = paths.into();
        repository.denies_from = denies_from.into();
        repository.denies_to = denies_to.into();
        repository
    }

    /// Puts the rules in force and finds those of every repository anew.
    pub(crate) fn match_rules(&mut self) {
        self.generation += 1;
        let rules = self.rules.rules().to_vec();
        let enforced = rules.into_iter().filter(|rule| match rule.kind {
            Kind::Promote => rule.severity != Severity::Off,
            // One that only warns denies nothing.
            Kind::Deny => rule.severity == Severity::Enforce,
        });
        self.in_force = enforced.map(|rule| Arc::new(self.in_force(rule))).collect();
        let ids: Vec<RepositoryId> = self.repositories.in_order().map(|(id, _)| id).collect();
        for id in ids {
            let matched = self.with_rules(self.repository(id).clone());
            *self.repositories.get_mut(id) = matched;
        }
    }

    fn in_force(&mut self, rule: Arc<Rule>) -> RuleInForce {
        let scanners = rule.scanners.iter();
        let clauses = rule.program.clauses().iter().map(|clause| {
            Arc::new(More {
                clause: Some(clause.text.clone()),
                ..More::default()
            })
        });
        RuleInForce {
            name: self.names.intern(&rule.name),
            scanners: scanners.map(|name| self.names.intern(name)).collect(),
            clauses: clauses.collect(),
            timed: target_is_timed(&rule),
            plain: target_is_plain(&rule),
            rule,
        }
    }

    /// The rule in force that promotes from `repository` under `name`.
    pub(crate) fn path(&self, repository: RepositoryId, rule: NameId) -> Option<&Path> {
        let paths = &self.repository(repository).paths;
        paths.iter().find(|path| path.rule.name == rule)
    }

    /// The repository that a plain path leads to, once [`State::look_ahead`] was asked.
    pub(crate) fn leads_to(&self, repository: RepositoryId, rule: NameId) -> Option<RepositoryId> {
        let repository = self.repository(repository);
        let mut paths = repository.paths.iter();
        let place = paths.position(|path| path.rule.name == rule)?;
        repository.leads_to[place]
    }

    /// Works out where the plain paths of a repository lead.
    pub(crate) fn look_ahead(&mut self, id: RepositoryId) {
        let repository = self.repository(id);
        let paths = Arc::clone(&repository.paths);
        for (place, path) in paths.iter().enumerate() {
            let known = self.repository(id).leads_to[place].is_some();
            if !path.rule.plain || known {
                continue;
            }
            let target = self.rendered_repository(path, id);
            let target = self.foresee_repository(&target);
            self.repositories.get_mut(id).leads_to[place] = Some(target);
        }
    }
}

/// Without the rules that speak of it: they are put in force again.
impl Frozen for Repository {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.text.freeze(to);
        self.name.is_some().freeze(to);
        self.named.freeze(to);
        self.immutable_tags.freeze(to);
        self.tags.freeze(to);
        self.deletions.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let text: Arc<str> = Frozen::thaw(from)?;
        let name: Option<RepositoryName> = match bool::thaw(from)? {
            true => Some(text.parse().map_err(|_| ThawError::Form("no repository"))?),
            false => None,
        };
        let shared = name.as_ref().map(|name| Arc::clone(name.shared()));
        Ok(Self {
            named: Frozen::thaw(from)?,
            immutable_tags: Frozen::thaw(from)?,
            tags: Frozen::thaw(from)?,
            deletions: Frozen::thaw(from)?,
            ..Self::new(shared.unwrap_or(text), name)
        })
    }
}

impl Frozen for Repositories {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.rows.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let rows: Vec<Repository> = Frozen::thaw(from)?;
        let names = rows.iter().map(|row| Arc::clone(&row.text)).enumerate();
        Ok(Self {
            table: Table::of(rows.iter().map(|row| Some(hash_of(&*row.text)))),
            by_name: names
                .map(|(place, name)| (name, RepositoryId::at(place)))
                .collect(),
            rows,
        })
    }
}
