//! Searching: from the groups down to the records that may be meant, and a look at each.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::super::chunk::CHUNK_RECORDS;
use super::super::reader::ReadError;
use super::part::PartId;
use super::places::{PLACES, Places};
use super::plan::{Found, Plan, Terms, look_up};
use super::postings::Entry;
use super::terms::{Dimension, LONGEST_KEY, key, terms};
use super::{GROUP, Index, Inner, TOP_LEVEL};

/// Records read ahead at first, for who wants one or a few; then twice as many each time.
const FIRST_READ: usize = 8;

/// Records read ahead at most.
const LONGEST_READ: usize = 1024;

/// Of records that lie in a chunk each, fewer, unless more are wanted: unpacking it is for nothing if a
/// page is full before.
const READ_APART: usize = 128;

/// And no more than so many, which may be long.
const LONGEST_READ_APART: usize = 512;

/// The chunks of the first records that a search for a page looks at are kept for the next one; a search
/// that goes on, or for all there are, reads what nobody else will.
const KEPT: u64 = 4096;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Search {
    /// The condition.
    pub plan: Plan,
    /// The sequences that count.
    pub range: Range<u64>,
    /// Newest first.
    pub newest_first: bool,
}

impl Default for Search {
    /// Every record, oldest first.
    fn default() -> Search {
        Search {
            plan: Plan::Any,
            range: 0..u64::MAX,
            newest_first: false,
        }
    }
}

/// How many records have each term.
pub type Groups = BTreeMap<String, u64>;

/// A stretch of the log that is searched in one way.
#[derive(Debug, Clone)]
enum Stretch {
    Part(PartId),
    /// The open segment as far as it is indexed.
    Open(PartId),
    /// Records that are not indexed.
    Plain,
}

impl Index {
    /// Searches the log as it is now.
    #[must_use]
    pub fn find(&self, search: Search) -> Find {
        let (range, stretches) = self.inner.stretches(&search.range);
        Find {
            position: if search.newest_first {
                range.end
            } else {
                range.start
            },
            inner: Arc::clone(&self.inner),
            plan: search.plan,
            newest_first: search.newest_first,
            range,
            stretches: stretches.into(),
            candidates: None,
            ready: VecDeque::new(),
            read_ahead: FIRST_READ,
            wanted: 0,
            looked_at: 0,
        }
    }

    /// How many records a search finds. Where terms alone decide no record is read.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn count(&self, search: &Search) -> Result<u64, ReadError> {
        let (_, mut open) = self.inner.stretches(&search.range);
        let mut count = 0;
        while let Some((stretch, within)) = open.pop() {
            match self.inner.records_at_once(&stretch, &within, &search.plan) {
                Some(records) => count += records,
                None => match self.inner.look(&stretch, &within, &search.plan) {
                    Looked::Below(below) => open.extend(below),
                    Looked::Here(found) if found.exact => count += found.places.len(),
                    Looked::Here(found) => {
                        let seqs = self.inner.seqs(&within, &found.places);
                        count += self.inner.matching(&seqs, &search.plan, &mut |_| ())?;
                    }
                    Looked::Unknown => {
                        for seqs in stretch_of(&within) {
                            count += self.inner.matching(&seqs, &search.plan, &mut |_| ())?;
                        }
                    }
                },
            }
        }
        Ok(count)
    }

    /// How many of the records that a search finds have each term of a dimension. A record with
    /// several counts for each of them.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn group(&self, search: &Search, dimension: Dimension) -> Result<Groups, ReadError> {
        let (_, mut open) = self.inner.stretches(&search.range);
        let mut groups = Groups::new();
        while let Some((stretch, within)) = open.pop() {
            if self
                .inner
                .group_at_once(&stretch, &within, search, dimension, &mut groups)
            {
                continue;
            }
            let one_by_one = match self.inner.look(&stretch, &within, &search.plan) {
                Looked::Below(below) => {
                    open.extend(below);
                    continue;
                }
                Looked::Here(found) => {
                    if found.places.is_empty()
                        || (found.exact
                            && self.inner.group_here(
                                &stretch,
                                &found.places,
                                dimension,
                                &mut groups,
                            ))
                    {
                        continue;
                    }
                    vec![self.inner.seqs(&within, &found.places)]
                }
                Looked::Unknown => stretch_of(&within).collect(),
            };
            for seqs in one_by_one {
                self.inner.matching(&seqs, &search.plan, &mut |record| {
                    count_terms(record, dimension, &mut groups);
                })?;
            }
        }
        Ok(groups)
    }
}

/// Counts the terms that a record has of a dimension, each once.
pub fn count_terms(record: &[u8], dimension: Dimension, groups: &mut Groups) {
    let mut own = std::collections::BTreeSet::new();
    terms(record, |of, term| {
        if of == dimension {
            own.insert(term.to_owned());
        }
    });
    for term in own {
        *groups.entry(term).or_default() += 1;
    }
}

/// What a stretch says of a plan.
enum Looked {
    /// The stretches in it that are to be searched, in order.
    Below(Vec<(Stretch, Range<u64>)>),
    /// The places of a segment, within the range.
    Here(Found),
    /// Nothing: its records must be looked at.
    Unknown,
}

/// A range of sequences in pieces of bearable length.
fn stretch_of(range: &Range<u64>) -> impl Iterator<Item = Vec<u64>> + use<> {
    let (start, end) = (range.start, range.end);
    let starts = (start..end).step_by(LONGEST_READ);
    starts.map(move |from| (from..end.min(from + LONGEST_READ as u64)).collect())
}

impl Inner {
    /// The part of `range` that there is, and the stretches that cover it, in order.
    fn stretches(&self, range: &Range<u64>) -> (Range<u64>, Vec<(Stretch, Range<u64>)>) {
        let end = self.reader.head().next_seq.min(range.end);
        let range = range.start.max(1)..end.max(range.start.max(1));
        let (stored, next) = {
            let open = self.open();
            (open.stored.clone(), open.next)
        };
        let mut stretches = Vec::new();
        let mut push = |stretch: Stretch, records: Range<u64>| {
            let within = records.start.max(range.start)..records.end.min(range.end);
            if within.start < within.end {
                stretches.push((stretch, within));
            }
        };
        // Of each level those parts that are in no group yet; the highest levels come first.
        let mut from = 0;
        for (level, count) in (0..=TOP_LEVEL).zip(&stored).rev() {
            for number in from..*count {
                let id = PartId { level, number };
                push(Stretch::Part(id), self.records(id));
            }
            from = (*count).max(from) * GROUP;
        }
        let segments = stored.first().copied().unwrap_or(0);
        let open = PartId {
            level: 0,
            number: segments,
        };
        let first = self.records(open).start;
        push(Stretch::Open(open), first..next);
        push(Stretch::Plain, next..range.end);
        (range, stretches)
    }

    /// What the terms of a stretch say of a plan.
    fn look(&self, stretch: &Stretch, within: &Range<u64>, plan: &Plan) -> Looked {
        let Some(id) = (match stretch {
            Stretch::Plain => None,
            Stretch::Part(id) | Stretch::Open(id) => Some(*id),
        }) else {
            return Looked::Unknown;
        };
        if let Stretch::Open(_) = stretch {
            let open = self.open();
            if open.stored.first() == Some(&id.number) {
                let terms = Terms::Open(&open.postings);
                let found = plan.find(&terms, &self.places(within));
                return match found {
                    Ok(found) => Looked::Here(found),
                    Err(_) => Looked::Unknown,
                };
            }
            // It was stored meanwhile.
        }
        let places = match id.level {
            0 => self.places(within),
            _ => 0..GROUP as u32,
        };
        let found = self
            .part(id)
            .and_then(|part| plan.find(&Terms::Stored(&part), &places));
        match found {
            Ok(found) if id.level == 0 => Looked::Here(found),
            Ok(found) => Looked::Below(self.children(id, within, Some(&found.places))),
            Err(error) => {
                self.bad(id, &error);
                if id.level == 0 {
                    Looked::Unknown
                } else {
                    Looked::Below(self.children(id, within, None))
                }
            }
        }
    }

    /// The children of a group that are within a range, and in a set if there is one.
    fn children(
        &self,
        id: PartId,
        within: &Range<u64>,
        having: Option<&Places>,
    ) -> Vec<(Stretch, Range<u64>)> {
        let children =
            (0..GROUP as u16).filter(|child| having.is_none_or(|set| set.contains(*child)));
        let parts = children.map(|child| {
            let id = PartId {
                level: id.level - 1,
                number: id.number * GROUP + u64::from(child),
            };
            let records = self.records(id);
            let within = records.start.max(within.start)..records.end.min(within.end);
            (Stretch::Part(id), within)
        });
        parts
            .filter(|(_, within)| within.start < within.end)
            .collect()
    }

    /// The places of a range of sequences in its segment.
    fn places(&self, within: &Range<u64>) -> Range<u32> {
        let first = u32::from(self.place(within.start));
        let last = u32::from(self.place(within.end - 1));
        first..last + 1
    }

    /// The sequences of places in the segment of a range.
    fn seqs(&self, within: &Range<u64>, places: &Places) -> Vec<u64> {
        let first = within.start - u64::from(self.place(within.start));
        let mut next = places.at_or_after(0);
        std::iter::from_fn(|| {
            let place = next?;
            next = places.at_or_after(place + 1);
            Some(first + u64::from(place))
        })
        .collect()
    }

    /// The number of records of a whole part, if one term alone decides.
    fn records_at_once(&self, stretch: &Stretch, within: &Range<u64>, plan: &Plan) -> Option<u64> {
        if let Plan::Any = plan {
            return Some(within.end - within.start);
        }
        let Stretch::Part(id) = stretch else {
            return None;
        };
        let (dimension, term) = plan.only_term().filter(|_| *within == self.records(*id))?;
        let mut records = 0;
        let part = self.part(*id).ok()?;
        let found = look_up(
            &Terms::Stored(&part),
            dimension,
            &key(dimension, term),
            &mut |entry| {
                records = entry.records();
            },
        );
        found.ok().map(|()| records)
    }

    /// Adds the terms of a whole part, if all records count. False if that is not so.
    fn group_at_once(
        &self,
        stretch: &Stretch,
        within: &Range<u64>,
        search: &Search,
        dimension: Dimension,
        groups: &mut Groups,
    ) -> bool {
        let (Stretch::Part(id), Plan::Any) = (stretch, &search.plan) else {
            return false;
        };
        *within == self.records(*id)
            && self.add_terms(stretch, dimension, groups, &|entry| entry.records())
    }

    /// Adds the terms of the places of a segment. False if that cannot be told from the terms.
    fn group_here(
        &self,
        stretch: &Stretch,
        places: &Places,
        dimension: Dimension,
        groups: &mut Groups,
    ) -> bool {
        self.add_terms(stretch, dimension, groups, &|entry| {
            let mut own = Places::none();
            entry.add_to(&mut own, &(0..PLACES));
            own.common(places)
        })
    }

    fn add_terms(
        &self,
        stretch: &Stretch,
        dimension: Dimension,
        groups: &mut Groups,
        records: &dyn Fn(&Entry<'_>) -> u64,
    ) -> bool {
        // A digest is not in the index, only the beginning of it.
        if dimension == Dimension::Digest {
            return false;
        }
        let mut counted = Vec::new();
        let mut whole = true;
        let mut show = |key: &[u8], entry: Entry<'_>| match std::str::from_utf8(key) {
            Ok(term) if key.len() < LONGEST_KEY => {
                let records = records(&entry);
                if records > 0 {
                    counted.push((term.to_owned(), records));
                }
                ControlFlow::Continue(())
            }
            _ => {
                whole = false;
                ControlFlow::Break(())
            }
        };
        let id = match stretch {
            Stretch::Plain => return false,
            Stretch::Part(id) | Stretch::Open(id) => *id,
        };
        let visited = {
            let open = self.open();
            if open.stored.first() == Some(&id.number) && id.level == 0 {
                Terms::Open(&open.postings).visit(dimension, b"", &mut show)
            } else {
                drop(open);
                self.part(id)
                    .and_then(|part| part.visit(dimension, b"", &mut show))
            }
        };
        if let Err(error) = visited {
            self.bad(id, &error);
            return false;
        }
        if whole {
            for (term, records) in counted {
                *groups.entry(term).or_default() += records;
            }
        }
        whole
    }

    /// How many of these records match; shows each that does.
    fn matching(
        &self,
        seqs: &[u64],
        plan: &Plan,
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, ReadError> {
        let mut count = 0;
        for seqs in seqs.chunks(LONGEST_READ) {
            let rows = self
                .fetch
                .records(seqs, false, &|record| plan.takes(record))?;
            count += rows.len() as u64;
            rows.iter().for_each(|(_, record)| show(record));
        }
        Ok(count)
    }
}

/// Iterates over the records found, as sequence and bytes; see [`Index::find`].
pub struct Find {
    inner: Arc<Inner>,
    plan: Plan,
    newest_first: bool,
    range: Range<u64>,
    stretches: VecDeque<(Stretch, Range<u64>)>,
    candidates: Option<Candidates>,
    ready: VecDeque<(u64, Vec<u8>)>,
    read_ahead: usize,
    /// So many are wanted, if that was said.
    wanted: usize,
    /// Everything before is looked at; newest first, everything from there on.
    position: u64,
    looked_at: u64,
}

/// Records of one stretch that are still to be looked at.
struct Candidates {
    /// The places that count, and the sequence of the first place there is; without them every
    /// record counts.
    places: Option<(u64, Places)>,
    /// They are fewer than chunks.
    lie_apart: bool,
    /// The terms say that each of them is one.
    exact: bool,
    left: Range<u64>,
}

impl Find {
    /// Where a search would go on that begins with the next record: everything before that
    /// sequence is looked at or, newest first, everything from there on.
    #[must_use]
    pub fn position(&self) -> u64 {
        match (self.ready.front(), self.newest_first) {
            (Some((seq, _)), true) => seq + 1,
            (Some((seq, _)), false) => *seq,
            (None, true) if self.is_over() => self.range.start,
            (None, false) if self.is_over() => self.range.end,
            (None, _) => self.position,
        }
    }

    /// Whether the search has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ready.is_empty() && self.candidates.is_none() && self.stretches.is_empty()
    }

    /// How many records were looked at, those among them that are read ahead.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Reads so many records ahead next: for a page, its length.
    pub fn read_ahead(&mut self, records: usize) {
        self.read_ahead = records.clamp(1, LONGEST_READ);
        self.wanted = self.read_ahead;
    }

    /// As [`Iterator::next`], and gives nothing once so many records have been looked at in all.
    pub fn next_within(&mut self, looks: u64) -> Option<Result<(u64, Vec<u8>), ReadError>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            if self.is_over() || self.looked_at >= looks {
                return None;
            }
            if let Err(error) = self.look_on() {
                self.stretches.clear();
                self.candidates = None;
                return Some(Err(error));
            }
        }
    }

    /// Passes over what the terms say has nothing more, without reading a record.
    pub fn settle(&mut self) {
        while self.candidates.is_none() && self.next_stretch() {}
    }

    /// Looks at the next records; what is found is ready then, and may be nothing.
    fn look_on(&mut self) -> Result<(), ReadError> {
        let (seqs, exact) = self.next_candidates();
        self.read_ahead = (self.read_ahead * 2).min(LONGEST_READ);
        // The next question is mostly about the same page; nobody reads all of a long list twice.
        let keep = self.wanted > 0 && self.looked_at < KEPT;
        self.looked_at += seqs.len() as u64;
        let plan = &self.plan;
        let fetch = &self.inner.fetch;
        // Read in the order of the log, given out in the order asked for.
        let rows = match exact {
            true => fetch.records(&seqs, keep, &|record| plan.is_written_in(record))?,
            false => fetch.records(&seqs, keep, &|record| plan.takes(record))?,
        };
        self.ready.extend(rows);
        if self.newest_first {
            self.ready.make_contiguous().reverse();
        }
        Ok(())
    }

    /// The next sequences to look at, of as many stretches as it takes, in the order of the log: many
    /// at once are unpacked by several threads. And whether the terms say that each is one.
    fn next_candidates(&mut self) -> (Vec<u64>, bool) {
        let (mut seqs, mut exact) = (VecDeque::new(), true);
        let apart = self.wanted.clamp(READ_APART, LONGEST_READ_APART);
        loop {
            let Some(candidates) = &mut self.candidates else {
                if self.next_stretch() {
                    continue;
                }
                break;
            };
            let most = match candidates.lie_apart {
                true => self.read_ahead.min(apart),
                false => self.read_ahead,
            };
            if seqs.len() >= most {
                break;
            }
            exact &= candidates.exact;
            let taken = candidates.take(most - seqs.len(), self.newest_first);
            if self.newest_first {
                self.position = candidates.left.end;
                taken.into_iter().rev().for_each(|seq| seqs.push_front(seq));
            } else {
                self.position = candidates.left.start;
                seqs.extend(taken);
            }
            if candidates.left.is_empty() {
                self.candidates = None;
            }
        }
        (seqs.into(), exact)
    }

    /// Turns to the next stretch; false if there is none.
    fn next_stretch(&mut self) -> bool {
        let next = if self.newest_first {
            self.stretches.pop_back()
        } else {
            self.stretches.pop_front()
        };
        let Some((stretch, within)) = next else {
            return false;
        };
        match self.inner.look(&stretch, &within, &self.plan) {
            Looked::Below(below) if self.newest_first => self.stretches.extend(below),
            Looked::Below(below) => {
                for child in below.into_iter().rev() {
                    self.stretches.push_front(child);
                }
            }
            Looked::Here(found) if found.places.is_empty() => {}
            Looked::Here(found) => {
                let first = within.start - u64::from(self.inner.place(within.start));
                let chunks = (within.end - within.start) / CHUNK_RECORDS as u64;
                self.candidates = Some(Candidates {
                    lie_apart: found.places.len() < chunks,
                    exact: found.exact,
                    places: Some((first, found.places)),
                    left: within,
                });
            }
            Looked::Unknown => {
                self.candidates = Some(Candidates {
                    places: None,
                    lie_apart: false,
                    exact: false,
                    left: within,
                });
            }
        }
        true
    }
}

impl Candidates {
    /// Takes up to `count` sequences off, the first or the last of them; in order.
    fn take(&mut self, count: usize, newest_first: bool) -> Vec<u64> {
        let Some((first, places)) = &self.places else {
            let count = (count as u64).min(self.left.end - self.left.start);
            let taken = if newest_first {
                let from = self.left.end - count;
                from..std::mem::replace(&mut self.left.end, from)
            } else {
                let to = self.left.start + count;
                std::mem::replace(&mut self.left.start, to)..to
            };
            return taken.collect();
        };
        let mut seqs = Vec::with_capacity(count);
        while seqs.len() < count {
            let place = |seq: u64| (seq - first) as u32;
            let next = if newest_first {
                places.before(place(self.left.end))
            } else {
                places.at_or_after(place(self.left.start))
            };
            let next = next.map(|place| first + u64::from(place));
            let Some(seq) = next.filter(|seq| self.left.contains(seq)) else {
                // Nothing is left.
                if newest_first {
                    self.left.end = self.left.start;
                } else {
                    self.left.start = self.left.end;
                }
                break;
            };
            if newest_first {
                self.left.end = seq;
            } else {
                self.left.start = seq + 1;
            }
            seqs.push(seq);
        }
        if newest_first {
            seqs.reverse();
        }
        seqs
    }
}

impl Iterator for Find {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_within(u64::MAX)
    }
}
