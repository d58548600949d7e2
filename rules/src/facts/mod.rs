//! The facts that a rule may read, read from the state when a rule asks for them.
//!
//! A record of the facts is only a number; `fields` knows where its fields stand. What was looked
//! at is noted, so that a judgement is known to rest on it.

mod fields;

use std::{
    cell::{Cell, OnceCell},
    sync::Arc,
};

use crate::{
    Class,
    cel::{FactError, Facts, Record, Value, facts::variable},
    gate::{Leaf, Parts},
    state::{
        Bound, DigestId, FindingId, Found, NameId, Reads, ReportId, RepositoryId, State, TagId,
        Tally, Vote,
    },
};

/// What is judged: a source tag as it was bound, under a rule, to a target.
#[derive(Debug, Clone)]
pub(crate) struct Case<'a> {
    pub(crate) source: TagId,
    /// The source's repository.
    pub(crate) repository: RepositoryId,
    pub(crate) bound: &'a Bound,
    pub(crate) class: Class,
    pub(crate) parts: Parts,
    /// Scanners that must all be in good standing.
    pub(crate) scanners: &'a [NameId],
    pub(crate) target: Target<'a>,
    /// What the target tag holds, as far as this case is concerned.
    pub(crate) target_digest: Option<DigestId>,
}

/// Where a case would go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// `None` if it was never named.
    pub(crate) id: Option<TagId>,
    pub(crate) repository: &'a str,
    pub(crate) tag: &'a str,
    /// Whether a registry takes the names.
    pub(crate) legal: bool,
}

/// The facts of a case.
pub(crate) struct CaseFacts<'a> {
    state: &'a State,
    case: &'a Case<'a>,
    /// Scanners by which an image is scanned.
    scanners: &'a [NameId],
    /// By leaf; made where overrides may keep findings from counting.
    sorted: OnceCell<Box<[OnceCell<Sorted>]>>,
    /// What counts on all leaves together.
    whole: OnceCell<Tally>,
    votes: OnceCell<Vec<&'a Vote>>,
    referrers: OnceCell<Vec<Referrer>>,
    values: [OnceCell<Value>; VARIABLES],
    reads: Cell<Reads>,
    /// Whether anything was asked that hangs on which target it is.
    asks_for_target: Cell<bool>,
}

/// How many variables there are.
const VARIABLES: usize = variable::NOW as usize + 1;

/// Findings of a leaf by whether they count.
#[derive(Debug, Default)]
struct Sorted {
    tally: Tally,
    counted: Vec<FindingId>,
    /// With the override's id.
    overridden: Vec<(FindingId, NameId)>,
}

/// A manifest that refers to a part of the case: subject, digest, type, predicate.
type Referrer = (String, String, String, String);

/// A record of the facts: its type, and its number among those of that type.
#[derive(Debug)]
struct Handle {
    type_name: &'static str,
    number: u64,
}

impl Record for Handle {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn field(&self, _: u16) -> Result<&Value, &FactError> {
        Ok(&Value::Null)
    }

    fn number(&self) -> Option<u64> {
        Some(self.number)
    }
}

fn handle(type_name: &'static str, number: u64) -> Value {
    Value::Record(Arc::new(Handle { type_name, number }))
}

/// Handles of so many records.
fn handles(type_name: &'static str, count: usize) -> Vec<Value> {
    let numbers = 0..count as u64;
    numbers.map(|number| handle(type_name, number)).collect()
}

/// The number of a finding of a leaf.
fn number_of(leaf: usize, finding: usize) -> u64 {
    (leaf as u64) << 32 | finding as u64
}

fn no_field(type_name: &str, index: u16) -> FactError {
    FactError {
        message: format!("{type_name} has no field {index}"),
    }
}

impl<'a> CaseFacts<'a> {
    pub(crate) fn new(state: &'a State, case: &'a Case<'a>) -> Self {
        Self {
            state,
            case,
            scanners: case.scanners,
            sorted: OnceCell::new(),
            whole: OnceCell::new(),
            votes: OnceCell::new(),
            referrers: OnceCell::new(),
            values: Default::default(),
            reads: Cell::new(Reads::NOTHING),
            asks_for_target: Cell::new(false),
        }
    }

    /// The same facts for a rule that asks for no scanner by name.
    pub(crate) fn by_any_scanner(state: &'a State, case: &'a Case<'a>) -> Self {
        Self {
            scanners: &[],
            ..Self::new(state, case)
        }
    }

    /// What was looked at.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.get()
    }

    /// Whether anything was asked that hangs on which target it is.
    pub(crate) fn asks_for_target(&self) -> bool {
        self.asks_for_target.get()
    }

    fn note(&self, reads: Reads) {
        self.reads.set(self.reads.get().and(reads));
    }

    /// Overrides that keep a finding of the case from counting, by id.
    pub(crate) fn overrides_used(&self) -> Vec<String> {
        let mut used: Vec<String> = Vec::new();
        for leaf in 0..self.leaves().len() {
            if self.is_overridable(leaf) {
                let overridden = self.sorted(leaf).overridden.iter();
                used.extend(overridden.map(|(_, id)| str::to_owned(self.state.text(*id))));
            }
        }
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The findings that count, each with its leaf: the gravest first, at most so many; and how many
    /// there are.
    pub(crate) fn gravest(&self, most: usize) -> (Vec<(&Leaf, &Found)>, usize) {
        let count = (0..self.leaves().len()).map(|leaf| self.counted(leaf).len());
        let count = count.sum();
        if most == 0 {
            return (Vec::new(), count);
        }
        let leaves = self.leaves().iter().enumerate();
        let mut all: Vec<(&Leaf, &Found)> = leaves
            .flat_map(|(place, leaf)| {
                let counted = self.counted(place).iter();
                counted.map(move |id| (leaf, self.state.reports.found(*id)))
            })
            .collect();
        let text = |found: &Found| self.state.text(found.id);
        // Of those that are as grave, the order of the leaves.
        all.sort_by(|(_, a), (_, b)| {
            let score = |found: &Found| found.score.unwrap_or_default();
            b.severity
                .cmp(&a.severity)
                .then_with(|| score(b).total_cmp(&score(a)))
                .then_with(|| text(a).cmp(text(b)))
        });
        all.truncate(most);
        (all, count)
    }

    fn leaves(&self) -> &[Leaf] {
        self.case.parts.leaves()
    }

    fn report(&self, leaf: usize) -> Option<ReportId> {
        self.state.standing(self.leaves()[leaf].digest).report
    }

    fn is_overridable(&self, leaf: usize) -> bool {
        let report = self.report(leaf);
        report.is_some_and(|report| self.state.reports.is_overridable(report))
    }

    /// What counts on a leaf.
    fn tally(&self, leaf: usize) -> Tally {
        match self.report(leaf) {
            None => Tally::default(),
            Some(report) if self.state.reports.is_overridable(report) => self.sorted(leaf).tally,
            Some(report) => self.state.reports.get(report).tally,
        }
    }

    /// What counts on all leaves together.
    fn whole_tally(&self) -> Tally {
        let mut whole = Tally::default();
        for leaf in 0..self.leaves().len() {
            whole.add(&self.tally(leaf));
        }
        whole
    }

    /// The findings of a leaf that count.
    fn counted(&self, leaf: usize) -> &[FindingId] {
        match self.report(leaf) {
            None => &[],
            Some(report) if self.state.reports.is_overridable(report) => &self.sorted(leaf).counted,
            Some(report) => self.state.reports.findings_of(report),
        }
    }

    fn sorted(&self, leaf: usize) -> &Sorted {
        let all = self
            .sorted
            .get_or_init(|| self.leaves().iter().map(|_| OnceCell::new()).collect());
        all[leaf].get_or_init(|| self.sort_findings(&self.leaves()[leaf]))
    }

    fn sort_findings(&self, leaf: &Leaf) -> Sorted {
        let mut sorted = Sorted::default();
        let reports = &self.state.reports;
        let Some(report) = self.state.standing(leaf.digest).report else {
            return sorted;
        };
        let Case {
            repository, parts, ..
        } = self.case;
        let above = parts.above(leaf.digest);
        for id in reports.findings_of(report) {
            // The first, by id, that keeps it from counting.
            match self.state.overriding(*repository, &above, *id) {
                Some(by) => sorted.overridden.push((*id, by)),
                None => {
                    sorted.tally.count(reports.found(*id));
                    sorted.counted.push(*id);
                }
            }
        }
        sorted.tally.overridden = sorted.overridden.len() as u64;
        sorted.tally.at_least(reports.get(report).told.as_deref());
        sorted
    }

    /// Why `what` of a leaf cannot be read, if a scanner in good standing gave only counts.
    fn counts_only(&self, leaf: usize, what: &str) -> Result<(), FactError> {
        let digest = self.leaves()[leaf].digest;
        if !self.state.standing(digest).counts_only {
            return Ok(());
        }
        Err(FactError {
            message: format!(
                "{what} of {} cannot be read: its scanner gives only counts; use the counts of `scan`, or scan it with a scanner that lists what it finds",
                self.state.digest(digest)
            ),
        })
    }

    fn votes(&self) -> &[&'a Vote] {
        self.votes.get_or_init(|| {
            let mut votes: Vec<&Vote> = self.state.votes_for(self.case).iter().collect();
            votes.sort_by_key(|vote| self.state.text(vote.actor));
            votes
        })
    }

    /// What refers to the case or a part of it, in order.
    fn referrers(&self) -> &[Referrer] {
        self.referrers.get_or_init(|| {
            let parts = &self.case.parts;
            let leaves = parts.leaves().iter().map(|leaf| leaf.digest);
            let mut all: Vec<DigestId> = std::iter::once(self.case.bound.digest)
                .chain(parts.indexes().iter().copied())
                .chain(leaves)
                .collect();
            all.sort_unstable();
            all.dedup();
            let mut rows: Vec<Referrer> = Vec::new();
            for part in all {
                rows.extend(self.referrers_of(part));
            }
            rows.sort_unstable();
            rows
        })
    }

    fn referrers_of(&self, part: DigestId) -> impl Iterator<Item = Referrer> {
        let details = self.state.content(part).details.as_ref();
        let referrers = details.map_or(&[][..], |details| details.referrers.as_slice());
        // What was deleted here cannot be copied along, so it proves nothing here.
        let present = referrers.iter().filter(|id| {
            let content = self.state.content(**id);
            content.deleted(self.case.repository).is_none()
        });
        present.map(move |id| {
            let content = self.state.content(*id);
            let kind = content.artifact_type.map(|id| self.state.text(id));
            let predicate = ["predicateType", "in-toto.io/predicate-type"]
                .into_iter()
                .find_map(|key| content.annotation(key));
            (
                self.state.digest(part).to_string(),
                self.state.digest(*id).to_string(),
                kind.map(ToString::to_string).unwrap_or_default(),
                predicate.unwrap_or_default().to_owned(),
            )
        })
    }
}

impl Facts for CaseFacts<'_> {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let Some(kept) = self.values.get(usize::from(index)) else {
            let message = format!("there is no variable {index}");
            return Err(Box::new(FactError { message }));
        };
        if let Some(value) = kept.get() {
            return Ok(value);
        }
        let value = self.make(index)?;
        Ok(kept.get_or_init(|| value))
    }

    fn field(
        &self,
        record: &'static str,
        number: u64,
        index: u16,
    ) -> Result<Value, Box<FactError>> {
        Ok(self.read(record, number, index)?)
    }
}
