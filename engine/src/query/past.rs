//! Looking back at a few subjects, without the state of everything.
//!
//! The state at a past record is a snapshot and the records since, which for a long log are
//! millions. What is shown of one tag hangs on few of them: those about the tag, about what it
//! points at and what is in that, the scans and overrides of these, the holds, the rules in force,
//! and the same of the tags it was or would be promoted from and to. The index finds these, and a
//! state that is given only them says the same of the tag as the state of all
//! ([`State::recorded`]).
//!
//! More records than needed do no harm, as long as all that come after and touch the same are
//! there too.

use std::collections::{BTreeMap, BTreeSet};

use weir_rules::{State, cel, rule::RuleSet};
use weir_schema::{Body, Digest, PromotionOutcome, Record, Tag, TargetRef, cosign, media_type};

use super::{
    QueryError,
    contents::{decode, points, records, types},
};
use crate::{
    log::index::{Dimension, Index, Plan, Search, Test},
    node::Basis,
};

/// So many records of a kind are taken all, rather than looked for one by one.
const FEW: u64 = 1000;

/// So many tags of a repository are looked at one by one; a snapshot of everything is quicker for
/// more.
const FEW_TAGS: usize = 100;

/// So many records without an index are looked at one by one, up to some hundred times; for more, a
/// snapshot of everything is quicker.
const FEW_UNINDEXED: u64 = 2_000;

/// Whether the records before `end` are found by the index, but for a few. Of a log that no thread
/// follows the last ones are indexed first, in one pass.
pub(super) fn is_indexed(index: &Index, end: u64) -> bool {
    // What cannot be read is told by whoever looks for it.
    let _ = index.catch_up_in_memory(end);
    end.saturating_sub(index.indexed()) <= FEW_UNINDEXED
}

/// A tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    repository: String,
    tag: String,
}

impl Place {
    fn new(repository: &str, tag: &str) -> Place {
        Place {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        }
    }
}

/// What a tag points at, and how it came to.
#[derive(Default)]
struct Binding {
    /// What it pointed at before, and what it points at.
    digests: Vec<Digest>,
    /// The promotions that brought that, and those under way, with the record of each.
    promotions: Vec<(PromotionOutcome, u64)>,
}

/// The state before `end` as far as the tags of a repository go; `None` if they are too many.
pub(super) fn of_repository(
    index: &Index,
    repository: &str,
    end: u64,
) -> Result<Option<State>, QueryError> {
    if !is_indexed(index, end) {
        return Ok(None);
    }
    let moves = types(&["image.pushed", "promotion.completed"]);
    let search = Search {
        plan: Plan::has(Dimension::Repository, repository).and(moves),
        range: 0..end,
        newest_first: false,
    };
    if index.count(&search)? > FEW {
        return Ok(None);
    }
    let mut tags = BTreeSet::new();
    for record in records(index, search.plan, end, false) {
        match record?.event.body {
            Body::ImagePushed(push) if push.repository.as_str() == repository => {
                tags.extend(push.tag.map(|tag| tag.to_string()));
            }
            Body::PromotionCompleted(done) if done.target.repository == repository => {
                tags.insert(done.target.tag.to_string());
            }
            _ => {}
        }
    }
    if tags.len() > FEW_TAGS {
        return Ok(None);
    }
    let mut past = Past::new(index, end)?;
    for tag in tags {
        past.add_tag(repository, &tag)?;
    }
    past.state().map(Some)
}

/// Records before `end` that touch some subjects.
pub(super) struct Past<'a> {
    index: &'a Index,
    /// The sequence after the last that counts.
    end: u64,
    records: BTreeMap<u64, Record>,
    /// What is complete already: the records that move a tag, what brought it what it points at
    /// before a sequence, repositories, digests, vulnerabilities.
    places: BTreeMap<Place, Vec<u64>>,
    followed: BTreeSet<(Place, u64)>,
    repositories: BTreeSet<String>,
    digests: BTreeSet<Digest>,
    vulnerabilities: BTreeSet<String>,
    /// Whether all overrides, and all databases of scanners, are there.
    all_overrides: bool,
    all_databases: bool,
}

impl<'a> Past<'a> {
    /// The rules in force and the holds, and what says of no tag which it is about: what any subject
    /// may hang on.
    pub(super) fn new(index: &'a Index, end: u64) -> Result<Past<'a>, QueryError> {
        let mut past = Past {
            index,
            end,
            records: BTreeMap::new(),
            places: BTreeMap::new(),
            followed: BTreeSet::new(),
            repositories: BTreeSet::new(),
            digests: BTreeSet::new(),
            vulnerabilities: BTreeSet::new(),
            all_overrides: false,
            all_databases: false,
        };
        past.add_rules()?;
        past.add(types(&[
            "hold.placed",
            "hold.released",
            "promotion.retried",
        ]))?;
        past.all_overrides = past.add_if_few(types(&["override.granted", "override.revoked"]))?;
        past.all_databases = past.add_if_few(types(&["scanner.updated"]))?;
        Ok(past)
    }

    /// Adds what is shown of a tag.
    pub(super) fn add_tag(&mut self, repository: &str, tag: &str) -> Result<(), QueryError> {
        // What it pointed at last, also if it was deleted since: more does no harm.
        match self.add_place(repository, tag)? {
            Some(digest) => self.add_contents(&digest),
            None => Ok(()),
        }
    }

    /// Adds what an explanation of a tag reads besides: the tags it would go to.
    pub(super) fn add_targets(&mut self, repository: &str, tag: &str) -> Result<(), QueryError> {
        for (repository, tag) in self.state()?.destinations(repository, tag) {
            self.add_place(&repository, &tag)?;
        }
        Ok(())
    }

    /// The state that the records lead to.
    pub(super) fn state(&self) -> Result<State, QueryError> {
        let unavailable =
            |error: crate::node::LedgerError| QueryError::Unavailable(error.to_string());
        let reader = self.index.reader();
        let basis = Basis::of(reader).map_err(unavailable)?;
        let mut state = State::new(basis.settings);
        for (seq, record) in &self.records {
            state.recorded(*seq, record.recorded_at, &record.event.body);
        }
        let last = self.end - 1;
        if let Some(at) = reader.recorded_at(last)? {
            state.recorded(last, at, &Body::ClockTicked);
        }
        Ok(state)
    }

    /// Adds all records that a plan takes; returns their sequences.
    fn add(&mut self, plan: Plan) -> Result<Vec<u64>, QueryError> {
        self.add_where(plan, |_| true)
    }

    fn add_where(
        &mut self,
        plan: Plan,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Vec<u64>, QueryError> {
        let mut seqs = Vec::new();
        for record in records(self.index, plan, self.end, false) {
            let record = record?;
            if wanted(&record) {
                seqs.push(record.seq);
                self.records.insert(record.seq, record);
            }
        }
        Ok(seqs)
    }

    /// Adds all records that a plan takes, if they are few.
    fn add_if_few(&mut self, plan: Plan) -> Result<bool, QueryError> {
        let search = Search {
            plan: plan.clone(),
            range: 0..self.end,
            newest_first: false,
        };
        let few = self.index.count(&search)? <= FEW;
        if few {
            self.add(plan)?;
        }
        Ok(few)
    }

    /// The last rules that were not refused.
    fn add_rules(&mut self) -> Result<(), QueryError> {
        for record in records(self.index, types(&["rules.activated"]), self.end, true) {
            let record = record?;
            let Body::RulesActivated(activated) = &record.event.body else {
                continue;
            };
            let loaded = RuleSet::load(&activated.files, &cel::Limits::RULES).is_ok();
            self.records.insert(record.seq, record);
            if loaded {
                break;
            }
        }
        Ok(())
    }

    /// Adds what moves a tag, and what brought it what it points at: the tags that were promoted to
    /// it, as of the decision. Gives what it was pointed at last.
    fn add_place(&mut self, repository: &str, tag: &str) -> Result<Option<Digest>, QueryError> {
        let mut last = None;
        let mut open = vec![(Place::new(repository, tag), self.end)];
        while let Some((place, end)) = open.pop() {
            let again = !self.followed.insert((place.clone(), end));
            if again && place != Place::new(repository, tag) {
                continue;
            }
            let moved = match self.places.get(&place) {
                Some(seqs) => seqs.clone(),
                None => {
                    self.add_repository(&place.repository)?;
                    let seqs = self.add(Plan::place(&place.repository, &place.tag))?;
                    self.places.insert(place.clone(), seqs.clone());
                    seqs
                }
            };
            let before = moved.partition_point(|seq| *seq < end);
            let binding = self.binding(&place, moved.get(..before).unwrap_or_default());
            if end == self.end && place == Place::new(repository, tag) {
                last = binding.digests.last().cloned();
            }
            for digest in &binding.digests {
                let deleted = Plan::has(Dimension::Digest, &digest.to_string())
                    .and(Plan::has(Dimension::Repository, &place.repository))
                    .and(types(&["manifest.deleted"]));
                self.add(deleted)?;
            }
            for (outcome, seq) in binding.promotions {
                let decided = decided(&outcome).unwrap_or(0);
                let bytes = self.index.reader().get(decided)?;
                let decision = bytes.map(|bytes| decode(&bytes)).transpose()?;
                let decision = decision.filter(|record| {
                    matches!(&record.event.body, Body::DecisionMade(made)
                        if made.promotion_id.as_ref() == Some(&outcome.promotion_id))
                });
                let source = Place::new(
                    outcome.source.repository.as_str(),
                    outcome.source.tag.as_str(),
                );
                // One that no decision of this log asked for is of its own record.
                open.push((source, decision.as_ref().map_or(seq, |record| record.seq)));
                if let Some(decision) = decision {
                    self.records.insert(decision.seq, decision);
                }
            }
        }
        Ok(last)
    }

    /// What a tag points at after these records, and what brought it.
    fn binding(&self, place: &Place, seqs: &[u64]) -> Binding {
        let mut binding = Binding::default();
        let mut under_way: BTreeMap<String, (PromotionOutcome, u64)> = BTreeMap::new();
        let here =
            |target: &TargetRef| target.repository == place.repository && target.tag == place.tag;
        for seq in seqs {
            let Some(record) = self.records.get(seq) else {
                continue;
            };
            let body = &record.event.body;
            if let Some(digest) = points(body, &place.repository, &place.tag)
                && binding.digests.last() != Some(digest)
            {
                binding.digests.push(digest.clone());
                binding.promotions.clear();
            }
            match body {
                Body::DecisionMade(made) if here(&made.target) => {
                    if let Some(promotion_id) = &made.promotion_id {
                        let outcome = PromotionOutcome {
                            promotion_id: promotion_id.clone(),
                            rule: made.rule.clone(),
                            source: made.source.clone(),
                            target: made.target.clone(),
                            attempts: None,
                            error: None,
                        };
                        under_way.insert(promotion_id.clone(), (outcome, *seq));
                    }
                }
                Body::PromotionCompleted(done) if here(&done.target) => {
                    under_way.remove(&done.promotion_id);
                    binding.promotions.push((done.clone(), *seq));
                }
                Body::PromotionFailed(failed) if here(&failed.target) => {
                    under_way.remove(&failed.promotion_id);
                }
                _ => {}
            }
        }
        // What it pointed at before is a fact too; what it pointed at before that is none.
        let old = binding.digests.len().saturating_sub(2);
        binding.digests.drain(..old);
        binding.promotions.extend(under_way.into_values());
        binding
    }

    /// Adds what concerns a repository as a whole.
    fn add_repository(&mut self, repository: &str) -> Result<(), QueryError> {
        if self.repositories.insert(repository.to_owned()) {
            let whole = [
                "repository.created",
                "repository.deleted",
                "repository.configured",
            ];
            self.add(Plan::has(Dimension::Repository, repository).and(types(&whole)))?;
        }
        Ok(())
    }

    /// Adds what is known of a digest and of everything in it: facts, scans, where it is, votes,
    /// what refers to it.
    pub(super) fn add_contents(&mut self, digest: &Digest) -> Result<(), QueryError> {
        let mut level = vec![digest.clone()];
        while let Some(digest) = level.pop() {
            if !self.digests.insert(digest.clone()) {
                continue;
            }
            for seq in self.add_facts(&digest)? {
                let Some(record) = self.records.get(&seq) else {
                    continue;
                };
                let (of, media, manifests) = match &record.event.body {
                    Body::ImagePushed(push) => (&push.digest, &push.media_type, &push.manifests),
                    Body::ManifestResolved(facts) => {
                        (&facts.digest, &facts.media_type, &facts.manifests)
                    }
                    _ => continue,
                };
                // Also of what another record says is no index: the first of them decides.
                if *of == digest && (media_type::is_index(media) || manifests.is_some()) {
                    let children = manifests.iter().flatten().map(|child| child.digest.clone());
                    level.extend(children);
                }
            }
            self.add_referrers(&digest)?;
        }
        Ok(())
    }

    fn add_facts(&mut self, digest: &Digest) -> Result<Vec<u64>, QueryError> {
        let about = types(&[
            "image.pushed",
            "manifest.resolved",
            "manifest.deleted",
            "scan.started",
            "scan.completed",
            "scan.failed",
            "approval.granted",
            "approval.revoked",
            "promotion.completed",
        ]);
        let plan = Plan::has(Dimension::Digest, &digest.to_string()).and(about);
        let seqs = self.add_where(plan, |record| is_about(&record.event.body, digest))?;
        let mut found = BTreeSet::new();
        let mut without_database = Vec::new();
        for seq in &seqs {
            let body = self.records.get(seq).map(|record| &record.event.body);
            if let Some(Body::ScanCompleted(scan)) = body {
                found.extend(scan.findings.iter().flatten().map(|one| one.id.to_string()));
                if scan.scanner.db_updated_at.is_none() {
                    without_database.push((*seq, scan.scanner.name.to_string()));
                }
            }
        }
        self.add_overrides(found)?;
        self.add_databases(without_database)?;
        Ok(seqs)
    }

    /// Adds the overrides of vulnerabilities, and what became of each of these.
    fn add_overrides(&mut self, vulnerabilities: BTreeSet<String>) -> Result<(), QueryError> {
        if self.all_overrides {
            return Ok(());
        }
        let mut names = BTreeSet::new();
        for vulnerability in vulnerabilities {
            if !self.vulnerabilities.insert(vulnerability.clone()) {
                continue;
            }
            let plan = Plan::has(Dimension::Vulnerability, &vulnerability)
                .and(types(&["override.granted"]));
            for seq in self.add(plan)? {
                let body = self.records.get(&seq).map(|record| &record.event.body);
                if let Some(Body::OverrideGranted(granted)) = body {
                    names.insert(granted.override_id.clone());
                }
            }
        }
        if !names.is_empty() {
            let these = Plan::Has(Dimension::Override, Test::Is(names));
            self.add(these.and(types(&["override.granted", "override.revoked"])))?;
        }
        Ok(())
    }

    /// Adds what was known of a scanner's database when it made a scan that does not say.
    fn add_databases(&mut self, scans: Vec<(u64, String)>) -> Result<(), QueryError> {
        if self.all_databases {
            return Ok(());
        }
        for (seq, scanner) in scans {
            for record in records(self.index, types(&["scanner.updated"]), seq, true) {
                let record = record?;
                let Body::ScannerUpdated(updated) = &record.event.body else {
                    continue;
                };
                if updated.scanner.name == scanner {
                    self.records.insert(record.seq, record);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Adds what refers to a digest, by its subject or by cosign's tags, and what that is.
    fn add_referrers(&mut self, digest: &Digest) -> Result<(), QueryError> {
        let tags = cosign::tags_of(digest).iter().map(Tag::to_string).collect();
        let by_tag = Plan::Has(Dimension::Tag, Test::Is(tags)).and(types(&["image.pushed"]));
        let by_subject =
            Plan::has(Dimension::Digest, &digest.to_string()).and(types(&["manifest.resolved"]));
        let mut referrers = BTreeSet::new();
        for plan in [by_tag, by_subject] {
            for record in records(self.index, plan, self.end, false) {
                let record = record?;
                match &record.event.body {
                    Body::ImagePushed(push) => {
                        referrers.insert(push.digest.clone());
                        self.records.insert(record.seq, record);
                    }
                    Body::ManifestResolved(facts) if facts.subject.as_ref() == Some(digest) => {
                        referrers.insert(facts.digest.clone());
                    }
                    _ => {}
                }
            }
        }
        for referrer in referrers {
            if self.digests.insert(referrer.clone()) {
                self.add_facts(&referrer)?;
            }
        }
        Ok(())
    }
}

/// Whether a record says something of a digest, and not only that it is in another.
fn is_about(body: &Body, digest: &Digest) -> bool {
    match body {
        Body::ImagePushed(push) => push.digest == *digest,
        Body::ManifestResolved(facts) => facts.digest == *digest,
        Body::PromotionCompleted(done) => done.source.digest.as_ref() == Some(digest),
        _ => true,
    }
}

/// The record that decided a promotion, by the promotion's name.
fn decided(outcome: &PromotionOutcome) -> Option<u64> {
    weir_rules::promotion_number(&outcome.promotion_id)
}
