//! Records that match a filter: a page of them, how many, and how many of each kind.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use weir_rules::suggest::nearest;

use super::{
    EventFilter, EventPage, Logged, QueryError, Undecided,
    asker::Asker,
    cursor::Cursor,
    search::{Wanted, wanted},
};
use crate::log::index::{Dimension, Groups, Index, count_terms};

/// How many records a page has if nothing is said.
pub(crate) const PAGE: usize = 100;

/// The most records a page may have.
const LARGEST_PAGE: usize = 10_000;

/// Records looked at for one page: a second of work. A page that found less than it may says where
/// the next one goes on.
const LOOKS: u64 = 100_000;

/// How long an expression is asked for one page: one may take a million steps for each record.
const LONGEST: Duration = Duration::from_secs(2);

/// What events can be counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By(Dimension);

/// The names of [`By`].
const NAMES: [(&str, Dimension); 10] = [
    ("actor", Dimension::Actor),
    ("rule", Dimension::Rule),
    ("type", Dimension::Type),
    ("repository", Dimension::Repository),
    ("verdict", Dimension::Verdict),
    ("reason", Dimension::Reason),
    ("tag", Dimension::Tag),
    ("vulnerability", Dimension::Vulnerability),
    ("override", Dimension::Override),
    ("hold", Dimension::Hold),
];

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<By, String> {
        let names = NAMES.iter().map(|(name, _)| *name);
        match NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, dimension)) => Ok(By(*dimension)),
            None => Err(match nearest(text, names.clone()) {
                Some(meant) => format!("cannot count by `{text}`; did you mean `{meant}`?"),
                None => {
                    let all: Vec<&str> = names.collect();
                    format!(
                        "cannot count by `{text}`; expected one of {}",
                        all.join(", ")
                    )
                }
            }),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, dimension)| *dimension == self.0);
        formatter.write_str(name.map_or("", |(name, _)| name))
    }
}

/// A page of records.
///
/// # Errors
/// If the filter makes no sense or the log cannot be read.
pub fn events(index: &Index, filter: &EventFilter) -> Result<EventPage, QueryError> {
    let limit = match filter.limit {
        0 => PAGE,
        limit => limit.min(LARGEST_PAGE),
    };
    let last = index.reader().head().next_seq - 1;
    let Wanted { search, condition } = wanted(index, filter)?;
    let mut find = index.find(search);
    // One more tells whether there is a next page.
    find.read_ahead(limit + 1);
    let mut events = Vec::with_capacity(limit.min(PAGE));
    let mut undecided = None;
    let begin = Instant::now();
    while events.len() < limit && (condition.is_none() || begin.elapsed() < LONGEST) {
        if condition.is_some() {
            find.read_ahead(ahead(limit + 1, events.len(), find.looked_at()));
        }
        let Some(found) = find.next_within(LOOKS) else {
            break;
        };
        let (seq, record) = found?;
        let wanted = condition.as_ref();
        if wanted.is_none_or(|one| one.holds(seq, &record, &mut undecided)) {
            events.push(logged(seq, record)?);
        }
    }
    find.settle();
    let position = find.position();
    let through = if filter.newest_first {
        last
    } else {
        position.saturating_sub(1).max(filter.after)
    };
    let next = (!find.is_over()).then(|| Cursor::new(filter, position).encode());
    Ok(EventPage {
        events,
        through,
        next,
        undecided,
    })
}

/// How many records to read for a page of `limit`, of which some were found among those looked at: as
/// many as will have the rest if it goes on so.
fn ahead(limit: usize, found: usize, looked_at: u64) -> usize {
    let looked_at = usize::try_from(looked_at).unwrap_or(usize::MAX);
    match found {
        0 => limit.max(looked_at),
        _ => (limit - found).saturating_mul(looked_at) / found + 1,
    }
}

fn logged(seq: u64, record: Vec<u8>) -> Result<Logged, QueryError> {
    let unreadable = |error| QueryError::Unavailable(format!("record {seq}: {error}"));
    let json = String::from_utf8(record).map_err(unreadable)?;
    Ok(Logged { seq, json })
}

/// A number of records, or numbers by what they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<N> {
    /// Of those that match.
    pub found: N,
    /// Those of which it is not known.
    pub undecided: Option<Undecided>,
}

/// How many records match.
///
/// # Errors
/// As [`events`]; or if `asker` has gone.
pub fn count(
    index: &Index,
    filter: &EventFilter,
    asker: &Asker,
) -> Result<Counted<u64>, QueryError> {
    let Wanted { search, condition } = wanted(index, filter)?;
    let mut undecided = None;
    let found = match condition {
        None => index.count(&search)?,
        Some(condition) => {
            let mut count = 0;
            for found in index.find(search) {
                let (seq, record) = found?;
                asker.waits()?;
                count += u64::from(condition.holds(seq, &record, &mut undecided));
            }
            count
        }
    };
    Ok(Counted { found, undecided })
}

/// How many of the records that match have each actor, rule, ...: the most first. A record with
/// several repositories counts for each of them, one without an actor for none.
///
/// # Errors
/// As [`count`].
pub fn groups(
    index: &Index,
    filter: &EventFilter,
    by: By,
    asker: &Asker,
) -> Result<Counted<Vec<(String, u64)>>, QueryError> {
    let Wanted { search, condition } = wanted(index, filter)?;
    let mut undecided = None;
    let groups = match condition {
        None => index.group(&search, by.0)?,
        Some(condition) => {
            let mut groups = Groups::new();
            for found in index.find(search) {
                let (seq, record) = found?;
                asker.waits()?;
                if condition.holds(seq, &record, &mut undecided) {
                    count_terms(&record, by.0, &mut groups);
                }
            }
            groups
        }
    };
    let mut groups: Vec<(String, u64)> = groups.into_iter().collect();
    groups.sort_by(|(a, most), (b, less)| less.cmp(most).then_with(|| a.cmp(b)));
    Ok(Counted {
        found: groups,
        undecided,
    })
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn as_many_records_are_read_as_will_have_the_rest_of_a_page() {
        // Nothing is known yet, or that there are few.
        assert_eq!(ahead(51, 0, 0), 51);
        assert_eq!(ahead(51, 0, 400), 400);
        // One in ten, and 46 are missing; one in two, and one is.
        assert_eq!(ahead(51, 5, 50), 461);
        assert_eq!(ahead(51, 50, 100), 3);
    }
}
