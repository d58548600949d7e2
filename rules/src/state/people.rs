//! What people said: overrides, approvals, holds.

use std::collections::BTreeMap;

use weir_schema::Timestamp;

use super::{
    State,
    alarm::Alarm,
    names::Names,
    numbers::{DigestId, FindingId, NameId, RepositoryId},
    report::Found,
    repository::Repository,
    table::hash_of,
};
use crate::{
    frozen::{Freezing, Frozen, ThawError, Thawing, frozen},
    gate::Above,
    pattern::RepositoryPattern,
};

/// A repository pattern out of an event. One that cannot be read is kept, and matches what is
/// safe: every repository for a hold, none for an override.
#[derive(Debug, Clone)]
pub(crate) struct ScopePattern {
    pub(crate) text: String,
    pattern: Option<RepositoryPattern>,
}

impl ScopePattern {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pattern: text.parse().ok(),
        }
    }

    fn matches(&self, repository: &str) -> Option<bool> {
        Some(self.pattern.as_ref()?.matches(repository))
    }

    /// The one repository that it can match, if it has no wildcards.
    fn only(&self) -> Option<&str> {
        let plain = self.pattern.as_ref().filter(|one| one.wildcards() == 0);
        plain.map(RepositoryPattern::as_str)
    }

    /// What every repository that it matches begins with, if it can be read.
    fn prefix(&self) -> &str {
        self.pattern
            .as_ref()
            .map_or("", RepositoryPattern::literal_prefix)
    }
}

/// An override, until revoked.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) vulnerability: NameId,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) repository: Option<ScopePattern>,
    pub(crate) digest: Option<DigestId>,
    pub(crate) package: Option<NameId>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) status: Option<String>,
}

impl Override {
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// The one repository that its repository part can match, if it has no wildcards.
    pub(crate) fn only_repository(&self) -> Option<&str> {
        self.repository.as_ref()?.only()
    }

    /// Whether its repository part matches the source.
    pub(crate) fn covers_repository(&self, source: &str) -> bool {
        let scope = self.repository.as_ref();
        scope.is_none_or(|scope| scope.matches(source).unwrap_or(false))
    }

    /// Whether its package part matches: the package `NAME`, or `NAME@VERSION` for that version
    /// alone. A name may begin with an `@` itself.
    pub(crate) fn covers_package(&self, found: &Found, names: &Names) -> bool {
        let Some(wanted) = self.package else {
            return true;
        };
        let text = |id: Option<NameId>| id.map(|id| &**names.text(id));
        let in_version = || {
            let (name, version) = names.text(wanted).rsplit_once('@')?;
            Some(text(found.package) == Some(name) && text(found.version) == Some(version))
        };
        found.package == Some(wanted) || in_version().unwrap_or(false)
    }
}

/// Overrides by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    by_id: BTreeMap<NameId, Override>,
    /// Those that are or may come in force, in the order of their ids' texts, so that the first
    /// that matches is always the same.
    by_vulnerability: BTreeMap<NameId, Vec<Granted>>,
}

/// An override in the list of its vulnerability. Most hold in one repository, and those of all others
/// are told from it without a look at the override itself.
#[derive(Debug, Clone, Copy)]
struct Granted {
    id: NameId,
    /// The hash of the one repository where it may hold.
    only: Option<u64>,
}

impl Granted {
    fn new(id: NameId, one: &Override) -> Self {
        Self {
            id,
            only: one.only_repository().map(hash_of),
        }
    }
}

impl Overrides {
    pub(crate) fn get(&self, id: NameId) -> Option<&Override> {
        self.by_id.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (NameId, &Override)> {
        self.by_id.iter().map(|(id, one)| (*id, one))
    }

    /// The overrides for a vulnerability that are in force and may hold in a repository, by the order
    /// of their ids. What has expired counts for nothing, listed or not.
    fn of<'a>(
        &'a self,
        vulnerability: NameId,
        source: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (NameId, &'a Override)> {
        let granted = self.by_vulnerability.get(&vulnerability);
        let source = granted.map(|_| hash_of(source));
        granted
            .into_iter()
            .flatten()
            .filter(move |granted| granted.only.is_none() || granted.only == source)
            .filter_map(|granted| Some((granted.id, self.by_id.get(&granted.id)?)))
            .filter(move |(_, one)| one.is_in_force(now))
    }
}

/// A hold, in force until released.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) repository: Option<ScopePattern>,
    pub(crate) digest: Option<DigestId>,
    pub(crate) rule: Option<String>,
}

impl Hold {
    /// Whether its parts but the digest match.
    pub(crate) fn covers(&self, source: &str, target: &str, rule: &str) -> bool {
        let here = self.repository.as_ref().is_none_or(|scope| {
            scope.matches(source).unwrap_or(true) || scope.matches(target).unwrap_or(true)
        });
        here && self.rule.as_deref().is_none_or(|wanted| wanted == rule)
    }
}

/// What an approval is bound to: source repository, digest, target repository.
pub(crate) type ApprovalKey = (RepositoryId, DigestId, RepositoryId);

/// One vote.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vote {
    pub(crate) actor: NameId,
    pub(crate) at: Timestamp,
    pub(crate) comment: Option<String>,
}

impl State {
    /// Puts an override in force, until it ends.
    pub(crate) fn put_override(&mut self, id: NameId, granted: Override) {
        let (vulnerability, expires_at) = (granted.vulnerability, granted.expires_at);
        let in_force = granted.is_in_force(self.now);
        let listed = Granted::new(id, &granted);
        self.overrides.by_id.insert(id, granted);
        if !in_force {
            return;
        }
        self.set_alarm(Alarm::Override(id), None, expires_at);
        let names = &self.names;
        let list = self.overrides.by_vulnerability.entry(vulnerability);
        let list = list.or_default();
        let place = list.binary_search_by(|other| names.text(other.id).cmp(names.text(id)));
        if let Err(place) = place {
            list.insert(place, listed);
            self.reports.set_override(vulnerability, true);
        }
    }

    /// Takes an override away.
    pub(crate) fn take_override(&mut self, id: NameId) {
        let Some(gone) = self.overrides.by_id.get(&id) else {
            return;
        };
        let expires_at = gone.expires_at;
        self.set_alarm(Alarm::Override(id), expires_at, None);
        self.override_expired(id);
        self.overrides.by_id.remove(&id);
    }

    /// Notes that an override will never be in force again.
    pub(crate) fn override_expired(&mut self, id: NameId) {
        let Some(one) = self.overrides.by_id.get(&id) else {
            return;
        };
        let vulnerability = one.vulnerability;
        let Some(list) = self.overrides.by_vulnerability.get_mut(&vulnerability) else {
            return;
        };
        let before = list.len();
        list.retain(|other| other.id != id);
        let taken = list.len() < before;
        if list.is_empty() {
            self.overrides.by_vulnerability.remove(&vulnerability);
        }
        if taken {
            self.reports.set_override(vulnerability, false);
        }
    }

    /// The first override, by id, that keeps a finding of a leaf from counting in the source
    /// repository, in what there is `above` the leaf.
    pub(crate) fn overriding(
        &self,
        source: RepositoryId,
        above: &Above<'_>,
        finding: FindingId,
    ) -> Option<NameId> {
        let found = self.reports.found(finding);
        let source = &self.repository(source).text;
        let mut granted = self.overrides.of(found.id, source, self.now);
        let first = granted.find(|(_, one)| {
            one.covers_package(found, &self.names)
                && one.covers_repository(source)
                && one.digest.is_none_or(|digest| above.includes(digest))
        });
        first.map(|(id, _)| id)
    }

    /// The repositories that a pattern matches, all of them for a hold's that cannot be read.
    pub(crate) fn repositories_held(&self, scope: &ScopePattern) -> Vec<RepositoryId> {
        let matches = |(_, repository): &(RepositoryId, &Repository)| {
            scope.matches(&repository.text).unwrap_or(true)
        };
        let candidates = self.repositories.beginning_with(scope.prefix());
        candidates.filter(matches).map(|(id, _)| id).collect()
    }
}

frozen!(struct Override {
    vulnerability, reason, actor, repository, digest, package, expires_at, status,
});
frozen!(struct Overrides { by_id, by_vulnerability });
frozen!(struct Granted { id, only });
frozen!(struct Hold { actor, reason, repository, digest, rule });
frozen!(struct Vote { actor, at, comment });

impl Frozen for ScopePattern {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.text.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        String::thaw(from).map(|text| Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::Settings;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::EPOCH.saturating_add(TimeDelta::seconds(seconds))
    }

    /// A state with one override that ends, and the vulnerability that it is for.
    fn state_with_one() -> (State, NameId, NameId) {
        let mut state = State::new(Settings::default());
        let (id, vulnerability) = (state.names.intern("o1"), state.names.intern("CVE-1"));
        state.put_override(
            id,
            Override {
                vulnerability,
                reason: "known".to_owned(),
                actor: "ann".to_owned(),
                repository: None,
                digest: None,
                package: None,
                expires_at: Some(seconds(1_000)),
                status: None,
            },
        );
        (state, id, vulnerability)
    }

    #[test]
    fn an_override_counts_for_nothing_from_its_end_on_though_it_is_still_listed() {
        let (state, id, vulnerability) = state_with_one();
        let at = |now| {
            let found = state.overrides.of(vulnerability, "dev/web", now);
            found.map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(at(seconds(999)), [id]);
        assert_eq!(at(seconds(1_000)), []);
    }

    #[test]
    fn an_override_that_has_expired_is_listed_no_longer() {
        let (mut state, id, vulnerability) = state_with_one();
        state.override_expired(id);
        assert!(state.overrides.by_vulnerability.is_empty());
        // For all who ask, it has not gone: that it was there can be told.
        assert!(
            state
                .overrides
                .get(id)
                .is_some_and(|one| one.vulnerability == vulnerability)
        );
    }
}
