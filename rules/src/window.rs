//! Windows: the hours in which promotion may happen.
//!
//! `Mon-Thu 08:00-16:00 Europe/Berlin` is open while a clock on the wall in Berlin shows such a
//! day and time. That sentence also settles the two odd nights of a year: hours that the clock
//! skips never come, and hours that it shows twice count twice.

use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Datelike as _, Days, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _};
use chrono::{Offset as _, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;

use crate::suggest::nearest;

const WEEKDAYS: [(Weekday, &str, &str); 7] = [
    (Weekday::Mon, "mon", "monday"),
    (Weekday::Tue, "tue", "tuesday"),
    (Weekday::Wed, "wed", "wednesday"),
    (Weekday::Thu, "thu", "thursday"),
    (Weekday::Fri, "fri", "friday"),
    (Weekday::Sat, "sat", "saturday"),
    (Weekday::Sun, "sun", "sunday"),
];

const MINUTES_A_DAY: u32 = 24 * 60;

/// How far ahead a change is looked for. A window repeats every week; one opening may be lost to a
/// clock change, so two weeks and a day see the next in every zone there is.
const HORIZON_DAYS: i64 = 15;

/// Days and hours in which promotion may happen; open while any of its spans is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    spans: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// From Monday.
    days: [bool; 7],
    /// Minutes after midnight; the end is not part of the span and may be 24:00.
    start: u32,
    end: u32,
    /// As named; UTC if none is.
    zone: Option<Tz>,
}

impl Window {
    /// Parses `[DAYS] HH:MM-HH:MM [ZONE]`, several of them separated by `;`.
    ///
    /// Days are ranges or lists (`Mon-Thu`, `Sat,Sun`), every day if left out; the zone is an IANA
    /// name, UTC if left out; it holds for its own span. An end before the start is on the next day, and such a night belongs
    /// to the day it starts on.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let mut spans = Vec::new();
        let mut offset = 0;
        for item in text.split(';') {
            spans.push(parse_span(item, offset)?);
            offset += item.len() + 1;
        }
        Ok(Self {
            text: text.to_owned(),
            spans,
        })
    }

    /// Whether promotion may happen at `at`.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        self.spans.iter().any(|span| span.is_open(at))
    }

    /// The first instant after `after` at which the window is open if it is closed at `after`, or
    /// closed if it is open; `None` if that never comes.
    pub fn next_change(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let now_open = self.is_open(after);
        (0..HORIZON_DAYS).find_map(|day| {
            let from = after.checked_add_signed(TimeDelta::days(day))?;
            let until = from.checked_add_signed(TimeDelta::days(1))?;
            let mut candidates: Vec<DateTime<Utc>> = self
                .spans
                .iter()
                .flat_map(|span| span.candidates(from, until))
                .collect();
            candidates.sort_unstable();
            candidates
                .into_iter()
                .find(|candidate| *candidate > after && self.is_open(*candidate) != now_open)
        })
    }

    /// The first span without a time zone where another names one: as written, that one does not
    /// hold for it, and whoever reads it thinks that it does. All may be without.
    pub fn zone_left_out(&self) -> Option<ZoneLeftOut> {
        let zone = self.spans.iter().find_map(|span| span.zone)?;
        let mut start = 0;
        for (written, span) in self.text.split(';').zip(&self.spans) {
            if span.zone.is_none() {
                let start = start + (written.len() - written.trim_start().len());
                return Some(ZoneLeftOut {
                    at: start,
                    hours: written.trim().to_owned(),
                    zone,
                });
            }
            start += written.len() + 1;
        }
        None
    }

    /// The window as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Span {
    fn is_open(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone());
        let minute = local.hour() * 60 + local.minute();
        let today = self.has_day(local.weekday());
        if self.start < self.end {
            today && (self.start..self.end).contains(&minute)
        } else {
            let yesterday = self.has_day(local.weekday().pred());
            (today && minute >= self.start) || (yesterday && minute < self.end)
        }
    }

    fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    fn has_day(&self, day: Weekday) -> bool {
        self.days
            .get(day.num_days_from_monday() as usize)
            .copied()
            .unwrap_or(false)
    }

    /// Every instant in `from..=until` at which `is_open` may change: the clock on the wall shows
    /// an edge of the span or midnight there, or is changed.
    fn candidates(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let mut found = Vec::new();
        let first = from.with_timezone(&self.zone()).date_naive();
        // A UTC day touches at most three dates of a zone, even across a clock change.
        for date in (0..3).filter_map(|days| first.checked_add_days(Days::new(days))) {
            for minute in [0, self.start, self.end % MINUTES_A_DAY] {
                let Some(time) = NaiveTime::from_hms_opt(minute / 60, minute % 60, 0) else {
                    continue;
                };
                let shown = self
                    .zone()
                    .from_local_datetime(&NaiveDateTime::new(date, time));
                for instant in [shown.earliest(), shown.latest()].into_iter().flatten() {
                    found.push(instant.with_timezone(&Utc));
                }
            }
        }
        found.extend(clock_changes(self.zone(), from, until));
        found.retain(|instant| (from..=until).contains(instant));
        found
    }
}

/// The instants in `from..=until` at which the zone's offset changes.
fn clock_changes(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    // No zone has changed its clock twice within this time.
    let stride = TimeDelta::hours(6);
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let mut changes = Vec::new();
    let mut low = from;
    while low < until {
        let high = low
            .checked_add_signed(stride)
            .map_or(until, |high| high.min(until));
        if offset(low) != offset(high) {
            // INVARIANT: the offset at `before` is the old one and at `after` the new one.
            let (mut before, mut after) = (low.timestamp(), high.timestamp());
            let old = offset(low);
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                match DateTime::from_timestamp(middle, 0) {
                    Some(at) if offset(at) == old => before = middle,
                    _ => after = middle,
                }
            }
            changes.extend(DateTime::from_timestamp(after, 0));
        }
        low = high;
    }
    changes
}

/// A word of a span and where it begins in the whole text.
type Word<'a> = (&'a str, usize);

fn parse_span(item: &str, offset: usize) -> Result<Span, WindowError> {
    let mut words = split_words(item, offset);
    if words.is_empty() {
        return Err(WindowError::Empty { at: offset });
    }
    let hours = words
        .iter()
        .position(|(word, _)| word.contains(':'))
        .ok_or_else(|| without_hours(&words, offset))?;
    let after = words.split_off(hours + 1);
    let Some(hours) = words.pop() else {
        return Err(WindowError::NoHours { at: offset });
    };
    let (start, end) = parse_hours(hours)?;
    let days = if words.is_empty() {
        [true; 7]
    } else {
        parse_days(&words)?
    };
    let zone = match after.as_slice() {
        [] => None,
        [zone] => Some(parse_zone(*zone)?),
        [zone, (word, at), ..] => {
            parse_zone(*zone)?;
            return Err(WindowError::Leftover {
                at: *at,
                word: (*word).to_owned(),
            });
        }
    };
    Ok(Span {
        days,
        start,
        end,
        zone,
    })
}

/// What is wrong with words of which none has a colon, as hours have: that in the place of days
/// there are none, or no hours in theirs; else that these are missing.
fn without_hours(words: &[Word<'_>], offset: usize) -> WindowError {
    let begins =
        |word: &str, as_one: fn(&u8) -> bool| word.bytes().next().is_some_and(|byte| as_one(&byte));
    let mut rest = words;
    if let [first, after @ ..] = words
        && begins(first.0, u8::is_ascii_alphabetic)
        && parse_zone(*first).is_err()
    {
        if let Err(no_day) = parse_days(&[*first]) {
            return no_day;
        }
        rest = after;
    }
    match rest {
        [(word, at), ..] if begins(word, u8::is_ascii_digit) => WindowError::BadHours {
            at: *at,
            word: (*word).to_owned(),
        },
        _ => WindowError::NoHours {
            at: words.last().map_or(offset, |(word, at)| at + word.len()),
        },
    }
}

fn split_words(item: &str, offset: usize) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (index, character) in item.char_indices().chain([(item.len(), ' ')]) {
        match (start, character.is_whitespace()) {
            (None, false) => start = Some(index),
            (Some(from), true) => {
                words.push((item.get(from..index).unwrap_or(""), offset + from));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// Days as `Mon-Thu`, `Sat,Sun` or both; a space after a comma is allowed.
fn parse_days(words: &[Word<'_>]) -> Result<[bool; 7], WindowError> {
    let mut days = [false; 7];
    for (word, at) in words {
        let mut offset = *at;
        for item in word.split(',') {
            if item.is_empty() && word.ends_with(',') && offset + 1 > *at + word.len() {
                continue;
            }
            match item.split_once('-') {
                None => mark(&mut days, parse_day((item, offset))?),
                Some((first, last)) => {
                    let mut day = parse_day((first, offset))?;
                    let last = parse_day((last, offset + first.len() + 1))?;
                    mark(&mut days, day);
                    while day != last {
                        day = day.succ();
                        mark(&mut days, day);
                    }
                }
            }
            offset += item.len() + 1;
        }
    }
    Ok(days)
}

fn mark(days: &mut [bool; 7], day: Weekday) {
    if let Some(slot) = days.get_mut(day.num_days_from_monday() as usize) {
        *slot = true;
    }
}

fn parse_day((word, at): Word<'_>) -> Result<Weekday, WindowError> {
    let folded = word.to_ascii_lowercase();
    WEEKDAYS
        .iter()
        .find(|(_, short, long)| folded == *short || folded == *long)
        .map(|(day, _, _)| *day)
        .ok_or_else(|| WindowError::UnknownDay {
            at,
            word: word.to_owned(),
        })
}

fn parse_hours((word, at): Word<'_>) -> Result<(u32, u32), WindowError> {
    let bad = || WindowError::BadHours {
        at,
        word: word.to_owned(),
    };
    let (start, end) = word.split_once('-').ok_or_else(bad)?;
    let start_minute = parse_minute(start).filter(|minute| *minute < MINUTES_A_DAY);
    let start_minute = start_minute.ok_or_else(|| WindowError::BadTime {
        at,
        word: start.to_owned(),
    })?;
    let end_minute = parse_minute(end).ok_or_else(|| WindowError::BadTime {
        at: at + start.len() + 1,
        word: end.to_owned(),
    })?;
    if start_minute == end_minute {
        return Err(WindowError::NoLength {
            at,
            word: word.to_owned(),
        });
    }
    Ok((start_minute, end_minute))
}

/// Minutes after midnight of `HH:MM`, up to and including `24:00`.
fn parse_minute(word: &str) -> Option<u32> {
    let (hours, minutes) = word.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MINUTES_A_DAY).then_some(total)
}

fn parse_zone((word, at): Word<'_>) -> Result<Tz, WindowError> {
    word.parse().map_err(|_| WindowError::UnknownZone {
        at,
        word: word.to_owned(),
    })
}

/// A span of a window that names no time zone, beside one that does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{hours}` names no time zone and another span does")]
pub struct ZoneLeftOut {
    at: usize,
    hours: String,
    zone: Tz,
}

impl ZoneLeftOut {
    /// The bytes of the span, as a range of the text that was parsed.
    pub fn span(&self) -> Range<usize> {
        self.at..self.at + self.hours.len()
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let Self { hours, zone, .. } = self;
        let or_utc = match zone {
            Tz::UTC => "",
            _ => ", or `UTC` in its place",
        };
        format!("a zone holds for its own span: write `{hours} {zone}`{or_utc}")
    }
}

/// Why a text is not a window. Places are byte offsets into the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Nothing where a window should be.
    #[error("empty window")]
    Empty {
        /// Where it is missing.
        at: usize,
    },
    /// Days or a zone without hours.
    #[error("window without hours")]
    NoHours {
        /// Where they are missing.
        at: usize,
    },
    /// Not a day of the week.
    #[error("unknown day `{word}`")]
    UnknownDay {
        /// Where it begins.
        at: usize,
        /// The word.
        word: String,
    },
    /// Not two times with a dash between.
    #[error("expected hours such as `08:00-16:00`, found `{word}`")]
    BadHours {
        /// Where they begin.
        at: usize,
        /// The word.
        word: String,
    },
    /// Not a time of day.
    #[error("`{word}` is no time of day")]
    BadTime {
        /// Where it begins.
        at: usize,
        /// The word.
        word: String,
    },
    /// Start and end are the same.
    #[error("`{word}` has no length")]
    NoLength {
        /// Where it begins.
        at: usize,
        /// The word.
        word: String,
    },
    /// Not a name of the IANA time zone database.
    #[error("unknown time zone `{word}`")]
    UnknownZone {
        /// Where it begins.
        at: usize,
        /// The word.
        word: String,
    },
    /// Something after the zone.
    #[error("unexpected `{word}` after the time zone")]
    Leftover {
        /// Where it begins.
        at: usize,
        /// The word.
        word: String,
    },
}

impl WindowError {
    /// The bytes at fault, as a range of the text that was parsed.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Empty { at } | Self::NoHours { at } => *at..*at,
            Self::UnknownDay { at, word }
            | Self::BadHours { at, word }
            | Self::BadTime { at, word }
            | Self::NoLength { at, word }
            | Self::UnknownZone { at, word }
            | Self::Leftover { at, word } => *at..at + word.len(),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        const EXAMPLE: &str = "write for example `Mon-Thu 08:00-16:00 Europe/Berlin`";
        match self {
            Self::Empty { .. } | Self::NoHours { .. } | Self::BadHours { .. } => EXAMPLE.to_owned(),
            Self::UnknownDay { word, .. } => {
                let known = WEEKDAYS.iter().flat_map(|(_, short, long)| [*short, *long]);
                match nearest(word, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "days are `Mon` to `Sun`, as in `Mon-Thu` or `Sat,Sun`".to_owned(),
                }
            }
            Self::BadTime { .. } => "times are `00:00` to `24:00`".to_owned(),
            Self::NoLength { .. } => "a whole day is `00:00-24:00`".to_owned(),
            Self::UnknownZone { word, at } if parse_days(&[(word, *at)]).is_ok() => {
                format!("days stand before the hours: {EXAMPLE}")
            }
            Self::UnknownZone { word, .. } => {
                let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
                match nearest(word, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use a name of the IANA database, such as `Europe/Berlin`".to_owned(),
                }
            }
            Self::Leftover { .. } => "separate windows with `;`".to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
