//! What in a document speaks against a statement that a vulnerability does not count (a waiver).
//!
//! That is what the document says of the same vulnerability, by whichever of its names, and what does
//! not say the same: that it counts, that nobody knows yet, or nothing that is understood. It speaks
//! against a waiver unless it is earlier, or is about another thing for certain. One that is earlier does
//! so too, if it is about a part of what is waived and nothing later is said of that part.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use weir_schema::{Timestamp, vulnerability_name};

use super::vex::{Scope, Statement, Verdict};

/// What speaks against the waivers of a document.
pub(super) struct Against<'a> {
    statements: &'a [Statement],
    /// A number for the vulnerability of each.
    vulnerabilities: Vec<usize>,
    /// Those that count, by the vulnerability.
    counting: BTreeMap<usize, Vec<Counting<'a>>>,
}

struct Counting<'a> {
    statement: &'a Statement,
    /// All that it may be about.
    reach: &'a Scope,
    /// Something later is said of just that.
    is_superseded: bool,
}

impl<'a> Against<'a> {
    pub(super) fn of(statements: &'a [Statement]) -> Self {
        let vulnerabilities = vulnerabilities(statements);
        let numbered = || vulnerabilities.iter().copied().zip(statements);
        let mut waived: BTreeMap<(usize, &Scope), Option<Timestamp>> = BTreeMap::new();
        for (vulnerability, statement) in numbered() {
            if let (Verdict::DoesNotCount(_), Ok(scope)) = (&statement.verdict, &statement.scope) {
                let last = waived.entry((vulnerability, scope)).or_default();
                *last = statement.made.max(*last);
            }
        }
        let mut counting: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (vulnerability, statement) in numbered() {
            let (Verdict::Counts(reach) | Verdict::Listed(reach)) = &statement.verdict else {
                continue;
            };
            let scope = statement.scope.as_ref().ok();
            let waived = scope.and_then(|scope| waived.get(&(vulnerability, scope)));
            counting.entry(vulnerability).or_default().push(Counting {
                statement,
                reach,
                is_superseded: waived.is_some_and(|waived| is_earlier(statement.made, *waived)),
            });
        }
        Self {
            statements,
            vulnerabilities,
            counting,
        }
    }

    /// What speaks against the waiver at `index` of the statements, if anything does.
    pub(super) fn waiver(&self, index: usize) -> Option<&'a Statement> {
        let waiver = self.statements.get(index)?;
        let scope = waiver.scope.as_ref().ok()?;
        let mut counting = self.counting.get(self.vulnerabilities.get(index)?)?.iter();
        let found = counting.find(|one| match is_earlier(one.statement.made, waiver.made) {
            false => scope.may_meet(one.reach),
            true => !one.is_superseded && scope.takes_in(one.reach),
        });
        found.map(|one| one.statement)
    }
}

/// Whether what was made at `one` is earlier for certain.
fn is_earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}

/// A number for the vulnerability of each statement: the same for those that a name connects.
fn vulnerabilities(statements: &[Statement]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..statements.len()).collect();
    let mut of_name = BTreeMap::new();
    let mut before: Option<(usize, &Statement)> = None;
    for (index, statement) in statements.iter().enumerate() {
        let in_one_go = before.filter(|(_, one)| Rc::ptr_eq(&one.aliases, &statement.aliases));
        before = Some((index, statement));
        if let Some((other, _)) = in_one_go {
            join(&mut parents, other, index);
            continue;
        }
        for name in [&statement.vulnerability]
            .into_iter()
            .chain(&*statement.aliases)
        {
            match of_name.entry(vulnerability_name(name)) {
                Entry::Vacant(place) => {
                    place.insert(index);
                }
                Entry::Occupied(other) => join(&mut parents, *other.get(), index),
            }
        }
    }
    let roots = (0..statements.len()).map(|index| root(&mut parents, index));
    roots.collect()
}

fn join(parents: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(parents, one), root(parents, other));
    if let Some(parent) = parents.get_mut(one.max(other)) {
        *parent = one.min(other);
    }
}

/// The first of those that `index` is joined with; halves the way to it.
fn root(parents: &mut [usize], mut index: usize) -> usize {
    while let Some(parent) = parents
        .get(index)
        .copied()
        .filter(|parent| *parent != index)
    {
        let above = parents.get(parent).copied().unwrap_or(parent);
        if let Some(own) = parents.get_mut(index) {
            *own = above;
        }
        index = above;
    }
    index
}

impl Scope {
    /// The package's name and its version; the name may begin with an `@`.
    fn split(&self) -> Option<(&str, Option<&str>)> {
        let package = self.package.as_deref()?;
        Some(match package.rsplit_once('@') {
            Some((name, version)) if !name.is_empty() => (name, Some(version)),
            _ => (package, None),
        })
    }

    /// The version of the package, if it is about one alone.
    pub(super) fn version(&self) -> Option<&str> {
        self.split()?.1
    }

    /// Whether something can be a part of both: nothing says for certain that they are apart.
    fn may_meet(&self, other: &Self) -> bool {
        fn may_be<T: PartialEq>(own: Option<T>, its: Option<T>) -> bool {
            own.is_none() || its.is_none() || own == its
        }
        let package = match (self.split(), other.split()) {
            (Some((own, version)), Some((its, other))) => own == its && may_be(version, other),
            _ => true,
        };
        may_be(self.repository.as_ref(), other.repository.as_ref())
            && may_be(self.digest.as_ref(), other.digest.as_ref())
            && package
    }

    /// Whether what `other` is about is a part of what this is about.
    fn takes_in(&self, other: &Self) -> bool {
        fn open<T: PartialEq>(own: Option<T>, its: Option<T>) -> bool {
            own.is_none() || own == its
        }
        let package = match (self.split(), other.split()) {
            (Some((own, version)), Some((its, other))) => own == its && open(version, other),
            (own, _) => own.is_none(),
        };
        open(self.repository.as_ref(), other.repository.as_ref())
            && open(self.digest.as_ref(), other.digest.as_ref())
            && package
    }
}
