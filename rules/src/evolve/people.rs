//! What people say: overrides, approvals, holds.

use weir_schema::{Approval, HoldPlaced, OverrideGranted};

use super::Touched;
use crate::state::{Hold, NameId, Override, Reads, ScopePattern, State, SubjectKey, TagId, Vote};

impl State {
    pub(super) fn override_granted(&mut self, data: &OverrideGranted, touched: &mut Touched) {
        let id = self.names.intern(&data.override_id);
        self.override_ended(id, touched);
        let scope = data.scope.clone().unwrap_or_default();
        let digest = scope.digest.as_ref();
        let granted = Override {
            vulnerability: self.names.intern(&data.vulnerability),
            reason: data.reason.clone(),
            actor: data.actor.clone(),
            repository: scope.repository.as_deref().map(ScopePattern::new),
            digest: digest.map(|digest| self.intern_digest(digest)),
            package: self.names.intern_option(scope.package.as_deref()),
            expires_at: data.expires_at,
            status: data.status.clone(),
        };
        self.put_override(id, granted);
        self.touch_override(id, touched);
    }

    pub(super) fn override_ended(&mut self, id: NameId, touched: &mut Touched) {
        self.touch_override(id, touched);
        self.take_override(id);
    }

    pub(super) fn approved(&mut self, data: &Approval, touched: &mut Touched) {
        let vote = Vote {
            actor: self.names.intern(&data.actor),
            at: self.now,
            comment: data.comment.clone(),
        };
        let votes = self.votes(data, touched);
        // A second vote of one person is the same vote.
        if !votes.iter().any(|known| known.actor == vote.actor) {
            votes.push(vote);
        }
    }

    pub(super) fn approval_revoked(&mut self, data: &Approval, touched: &mut Touched) {
        let actor = self.names.intern(&data.actor);
        self.votes(data, touched).retain(|vote| vote.actor != actor);
    }

    fn votes(&mut self, data: &Approval, touched: &mut Touched) -> &mut Vec<Vote> {
        let repository = self.intern_repository(&data.repository);
        let target = self.intern_repository(&data.target);
        let digest = self.intern_digest(&data.digest);
        for tag in self.manifest(digest).tags.as_slice() {
            self.touch_by(Reads::APPROVALS, *tag, touched);
        }
        self.approvals
            .entry((repository, digest, target))
            .or_default()
    }

    pub(super) fn hold_placed(&mut self, data: &HoldPlaced, touched: &mut Touched) {
        let scope = data.scope.clone().unwrap_or_default();
        let digest = scope.digest.as_ref();
        let hold = Hold {
            actor: data.actor.clone(),
            reason: data.reason.clone(),
            repository: scope.repository.as_deref().map(ScopePattern::new),
            digest: digest.map(|digest| self.intern_digest(digest)),
            rule: scope.rule,
        };
        self.touch_held(&hold, touched);
        if let Some(replaced) = self.holds.insert(data.hold_id.clone(), hold) {
            self.touch_held(&replaced, touched);
        }
    }

    pub(super) fn hold_released(&mut self, id: &str, touched: &mut Touched) {
        if let Some(hold) = self.holds.remove(id) {
            self.touch_held(&hold, touched);
        }
    }

    /// Touches what a hold freezes of what asked for holds.
    fn touch_held(&self, hold: &Hold, touched: &mut Touched) {
        if let Some(digest) = hold.digest {
            for tag in self.manifest(digest).tags.as_slice() {
                let subjects = self.tag_row(*tag).subjects.iter();
                let held = subjects.filter(|subject| subject.reads.meets(Reads::HOLDS));
                touched
                    .subjects
                    .extend(held.map(|subject| (*tag, subject.rule)));
            }
            return;
        }
        let rules = self.in_force.iter().filter(|in_force| {
            let wanted = hold.rule.as_deref();
            wanted.is_none_or(|wanted| wanted == in_force.rule.name)
        });
        let repositories = hold.repository.as_ref();
        let repositories = repositories.map(|scope| self.repositories_held(scope));
        for rule in rules {
            match &repositories {
                None => touched.subjects.extend(self.held_by(rule.name)),
                Some(repositories) => {
                    for id in repositories {
                        for list in [&self.held_from, &self.held_to] {
                            let from = (rule.name, *id, TagId::FIRST);
                            let here = list.range(from..);
                            let here = here.take_while(|held| (held.0, held.1) == (rule.name, *id));
                            touched.subjects.extend(here.map(|held| (held.2, held.0)));
                        }
                    }
                }
            }
        }
    }

    fn held_by(&self, rule: NameId) -> impl Iterator<Item = SubjectKey> {
        let from = (rule, crate::state::RepositoryId::FIRST, TagId::FIRST);
        let all = self.held_from.range(from..);
        all.take_while(move |held| held.0 == rule)
            .map(|held| (held.2, held.0))
    }
}
