//! What records are looked for by: conditions on their terms, joined by and and or.
//!
//! A plan is asked of a record, which says yes or no, and of the terms of a part, which say where
//! such records can be.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use memchr::{memchr, memmem};
use weir_schema::vulnerability_name;

use super::part::{Part, PartError};
use super::places::Places;
use super::postings::{Entry, Postings};
use super::terms::{Dimension, LONGEST_KEY, Mention, key, mentions_until};

/// Of a longer text only the beginning is looked for: preparing to look for one takes `memchr` as long
/// as reading the record, and a whole digest is longer.
const LONGEST_SOUGHT: usize = 32;

/// Looking for more texts than this takes as long as reading the record.
const MOST_TEXTS: usize = 16;

/// A condition on a record.
#[derive(Debug, Clone)]
pub enum Plan {
    /// None.
    Any,
    /// It has a term that passes.
    Has(Dimension, Test),
    /// It names a repository and a tag of it, as one place, that pass.
    Place {
        /// The repository.
        repository: Test,
        /// The tag.
        tag: Test,
    },
    /// All of them hold.
    All(Vec<Plan>),
    /// One of them holds.
    OneOf(Vec<Plan>),
}

/// A condition on a term.
#[derive(Clone)]
pub enum Test {
    /// It is one of these.
    Is(BTreeSet<String>),
    /// It passes a look.
    Like {
        /// What every term that passes begins with.
        prefix: String,
        /// The look.
        passes: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    },
    /// It is a digest that begins with these: an algorithm or none, and eight hexadecimal digits or
    /// more.
    Digest(Vec<String>),
}

impl fmt::Debug for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Is(terms) => formatter.debug_tuple("Is").field(terms).finish(),
            Test::Like { prefix, .. } => formatter.debug_tuple("Like").field(prefix).finish(),
            Test::Digest(digests) => formatter.debug_tuple("Digest").field(digests).finish(),
        }
    }
}

impl Test {
    /// Exactly this term.
    #[must_use]
    pub fn is(term: &str) -> Test {
        Test::Is(BTreeSet::from([term.to_owned()]))
    }

    fn passes(&self, term: &str) -> bool {
        match self {
            Test::Is(terms) => terms.contains(term),
            Test::Like { passes, .. } => passes(term),
            Test::Digest(digests) => {
                let digits =
                    |text: &str| text.split_once(':').map_or(0, |(name, _)| name.len() + 1);
                digests.iter().any(|begin| {
                    let from = if begin.contains(':') { 0 } else { digits(term) };
                    term.get(from..)
                        .is_some_and(|term| term.starts_with(&**begin))
                })
            }
        }
    }
}

impl Test {
    /// Whether a record has the text of a term that passes, not knowing where.
    fn may_pass(&self, record: &[u8]) -> bool {
        let has = |text: &str| {
            let begin = text.as_bytes();
            let begin = begin.get(..LONGEST_SOUGHT).unwrap_or(begin);
            memmem::find(record, begin).is_some()
        };
        match self {
            Test::Is(terms) => terms.len() > MOST_TEXTS || terms.iter().any(|term| has(term)),
            Test::Like { prefix, .. } => has(prefix),
            Test::Digest(begins) => {
                begins.len() > MOST_TEXTS || begins.iter().any(|begin| has(begin))
            }
        }
    }
}

impl Plan {
    /// Exactly this term; of a vulnerability, in whatever letters.
    #[must_use]
    pub fn has(dimension: Dimension, term: &str) -> Plan {
        Plan::Has(
            dimension,
            match dimension {
                Dimension::Vulnerability => Test::is(&vulnerability_name(term)),
                _ => Test::is(term),
            },
        )
    }

    /// A digest that begins so.
    #[must_use]
    pub fn digest(begin: &str) -> Plan {
        Plan::Has(Dimension::Digest, Test::Digest(vec![begin.to_owned()]))
    }

    /// This tag of this repository.
    #[must_use]
    pub fn place(repository: &str, tag: &str) -> Plan {
        Plan::Place {
            repository: Test::is(repository),
            tag: Test::is(tag),
        }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Plan) -> Plan {
        match (self, other) {
            (Plan::Any, one) | (one, Plan::Any) => one,
            (Plan::All(mut all), one) => {
                all.push(one);
                Plan::All(all)
            }
            (one, other) => Plan::All(vec![one, other]),
        }
    }

    /// Whether the condition holds of a record.
    #[must_use]
    pub fn takes(&self, record: &[u8]) -> bool {
        if let Plan::Any = self {
            return true;
        }
        if !self.is_written_in(record) {
            return false;
        }
        let mut leaves = Vec::new();
        self.leaves(&mut leaves);
        let mut held = vec![false; leaves.len()];
        mentions_until(record, |mention| {
            let mut is_news = false;
            for (held, leaf) in held.iter_mut().zip(&leaves) {
                if !*held && leaf.mentioned(mention) {
                    (*held, is_news) = (true, true);
                }
            }
            match is_news && self.holds(&mut held.iter().copied()) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        self.holds(&mut held.into_iter())
    }

    /// Whether the texts are there that a record must have of which the condition holds. Takes a
    /// small part of the time that reading it as JSON takes, and is enough where a segment's terms
    /// say that the condition holds.
    pub(super) fn is_written_in(&self, record: &[u8]) -> bool {
        // Without a backslash every text of a record is written as it is. (Mostly the texts are there,
        // and nothing else is looked for.)
        self.may_hold(record) || memchr(b'\\', record).is_some()
    }

    fn may_hold(&self, record: &[u8]) -> bool {
        match self {
            Plan::Any => true,
            // It may be written in other letters.
            Plan::Has(Dimension::Vulnerability, _) => true,
            Plan::Has(_, test) => test.may_pass(record),
            Plan::Place { repository, tag } => repository.may_pass(record) && tag.may_pass(record),
            Plan::All(plans) => plans.iter().all(|plan| plan.may_hold(record)),
            Plan::OneOf(plans) => plans.iter().any(|plan| plan.may_hold(record)),
        }
    }

    /// The conditions without parts, in order.
    fn leaves<'a>(&'a self, found: &mut Vec<&'a Plan>) {
        match self {
            Plan::Any => {}
            Plan::Has(..) | Plan::Place { .. } => found.push(self),
            Plan::All(plans) | Plan::OneOf(plans) => {
                plans.iter().for_each(|plan| plan.leaves(found))
            }
        }
    }

    fn mentioned(&self, mention: Mention<'_>) -> bool {
        match (self, mention) {
            (Plan::Has(wanted, test), Mention::Term(dimension, term)) => {
                *wanted == dimension && test.passes(term)
            }
            (
                Plan::Place {
                    repository: r,
                    tag: t,
                },
                Mention::Place { repository, tag },
            ) => r.passes(repository) && t.passes(tag),
            _ => false,
        }
    }

    /// Whether the plan holds if its leaves are as they are given, in order.
    fn holds(&self, leaves: &mut impl Iterator<Item = bool>) -> bool {
        match self {
            Plan::Any => true,
            Plan::Has(..) | Plan::Place { .. } => leaves.next().unwrap_or(false),
            // Every leaf is taken, so that those that follow keep their places.
            Plan::All(plans) => {
                let held: Vec<bool> = plans.iter().map(|plan| plan.holds(leaves)).collect();
                !held.contains(&false)
            }
            Plan::OneOf(plans) => {
                let held: Vec<bool> = plans.iter().map(|plan| plan.holds(leaves)).collect();
                held.contains(&true)
            }
        }
    }
}

/// Where terms are looked up: a stored part, or the open segment.
pub(super) enum Terms<'a> {
    Stored(&'a Part),
    Open(&'a Postings),
}

impl Terms<'_> {
    /// Shows the terms of a dimension from `first` on, until `show` breaks off.
    pub(super) fn visit(
        &self,
        dimension: Dimension,
        first: &[u8],
        show: &mut dyn FnMut(&[u8], Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        match self {
            Terms::Stored(part) => part.visit(dimension, first, show),
            Terms::Open(postings) => {
                for (key, entry) in postings.from(dimension, first) {
                    if show(key, entry).is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// What a part says of a plan.
pub(super) struct Found {
    /// Where such records can be; of a group, in which children.
    pub(super) places: Places,
    /// Whether each of these records is one, without a look at it.
    pub(super) exact: bool,
}

impl Plan {
    /// Where records are of which the condition can hold, among the places `within` a range.
    pub(super) fn find(&self, terms: &Terms<'_>, within: &Range<u32>) -> Result<Found, PartError> {
        Ok(match self {
            Plan::Any => Found {
                places: Places::all(within),
                exact: true,
            },
            Plan::Has(dimension, test) => test.find(*dimension, terms, within)?,
            Plan::Place { repository, tag } => {
                let mut found = tag.find(Dimension::Tag, terms, within)?;
                if !found.places.is_empty() {
                    let of_repository = repository.find(Dimension::Repository, terms, within)?;
                    found.places.meet(&of_repository.places);
                }
                found.exact = false;
                found
            }
            Plan::All(plans) => {
                let Some((first, others)) = plans.split_first() else {
                    return Plan::Any.find(terms, within);
                };
                let mut common = first.find(terms, within)?;
                for plan in others {
                    if common.places.is_empty() {
                        break;
                    }
                    let found = plan.find(terms, within)?;
                    common.places.meet(&found.places);
                    common.exact &= found.exact;
                }
                common
            }
            Plan::OneOf(plans) => {
                let mut any = Found {
                    places: Places::none(),
                    exact: true,
                };
                for plan in plans {
                    let found = plan.find(terms, within)?;
                    any.places.add(&found.places);
                    any.exact &= found.exact;
                }
                any
            }
        })
    }

    /// The term that alone decides, if there is one: of it every part knows the number of records.
    pub(super) fn only_term(&self) -> Option<(Dimension, &str)> {
        match self {
            Plan::Has(dimension, Test::Is(terms)) if *dimension != Dimension::Digest => {
                let mut terms = terms.iter();
                match (terms.next(), terms.next()) {
                    (Some(term), None) => Some((*dimension, term)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl Test {
    fn find(
        &self,
        dimension: Dimension,
        terms: &Terms<'_>,
        within: &Range<u32>,
    ) -> Result<Found, PartError> {
        let mut places = Places::none();
        let mut exact = dimension != Dimension::Digest;
        match self {
            Test::Is(wanted) => {
                for term in wanted {
                    look_up(terms, dimension, &key(dimension, term), &mut |entry| {
                        entry.add_to(&mut places, within);
                    })?;
                }
            }
            Test::Digest(begins) => {
                for begin in begins {
                    look_up(terms, dimension, &key(dimension, begin), &mut |entry| {
                        entry.add_to(&mut places, within);
                    })?;
                }
            }
            Test::Like { prefix, passes } => {
                let first = prefix.as_bytes();
                let first = first
                    .get(..first.len().min(LONGEST_KEY / 2))
                    .unwrap_or_default();
                terms.visit(dimension, first, &mut |key, entry| {
                    if !key.starts_with(first) {
                        return ControlFlow::Break(());
                    }
                    match std::str::from_utf8(key) {
                        Ok(term) if key.len() < LONGEST_KEY => {
                            if passes(term) {
                                entry.add_to(&mut places, within);
                            }
                        }
                        // Of a term that was cut the record itself must tell.
                        _ => {
                            entry.add_to(&mut places, within);
                            exact = false;
                        }
                    }
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok(Found { places, exact })
    }
}

/// Shows the entry of a key, if there is one.
pub(super) fn look_up(
    terms: &Terms<'_>,
    dimension: Dimension,
    wanted: &[u8],
    show: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), PartError> {
    match terms {
        Terms::Open(postings) => {
            postings.get(dimension, wanted).iter().for_each(show);
            Ok(())
        }
        Terms::Stored(part) => part.look_up(dimension, wanted, show),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(plan: &Plan, data: &str) -> bool {
        let record = format!(r#"{{"event":{{"data":{data},"type":"t"}},"seq":1}}"#);
        plan.takes(record.as_bytes())
    }

    #[test]
    fn a_plan_is_asked_of_a_record() {
        let of_app = Plan::OneOf(vec![
            Plan::place("a", "1"),
            Plan::digest("sha256:0011223344"),
            Plan::digest("aabbccddee"),
        ]);
        let plan = of_app.clone().and(Plan::has(Dimension::Actor, "me"));
        assert!(takes(&plan, r#"{"actor":"me","repository":"a","tag":"1"}"#));
        assert!(!takes(
            &plan,
            r#"{"actor":"you","repository":"a","tag":"1"}"#
        ));
        assert!(!takes(
            &plan,
            r#"{"actor":"me","repository":"a","tag":"2"}"#
        ));
        let apart = r#"{"actor":"me","source":{"repository":"a","tag":"2"},"target":{"repository":"b","tag":"1"}}"#;
        assert!(!takes(&plan, apart));
        assert!(takes(&of_app, r#"{"digest":"sha256:00112233445566"}"#));
        assert!(!takes(&of_app, r#"{"digest":"sha512:00112233445566"}"#));
        assert!(takes(&of_app, r#"{"digest":"sha512:aabbccddeeff"}"#));
        assert!(takes(&Plan::has(Dimension::Type, "t"), "{}"));
        assert!(takes(&Plan::Any, "{}") && takes(&Plan::All(Vec::new()), "{}"));
        assert!(!takes(&Plan::OneOf(Vec::new()), "{}"));
        let like = Plan::Has(
            Dimension::Repository,
            Test::Like {
                prefix: "dev/".into(),
                passes: Arc::new(|name| name.ends_with("/x")),
            },
        );
        assert!(takes(&like, r#"{"repository":"dev/x"}"#));
        // Written otherwise, the same.
        assert!(takes(&like, r#"{"repository":"dev\/x"}"#));
        assert!(takes(
            &Plan::has(Dimension::Actor, "me"),
            r#"{"actor":"\u006de"}"#
        ));
        assert!(!takes(
            &Plan::has(Dimension::Actor, "me"),
            r#"{"reason":"me"}"#
        ));
        assert!(!takes(&like, r#"{"repository":"dev/y","tag":"/x"}"#));
    }
}
