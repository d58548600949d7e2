//! Where a recorded history is read from: a file of events or of exported records, bytes in
//! memory, or a log. It is read in blocks, which any thread may decode.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_rules::Settings;
use weir_schema::{
    Body, Event, Position, RecordError, RuleFile, Timestamp, record::FORMAT_VERSION,
};

use super::{BacktestError, findings::Findings, scope};
use crate::{
    dedup::{self, Key},
    log::LogReader,
    node::Basis,
    structured::event_from_structured,
};

/// Bytes of a block: a few hundred events, enough to make handing it over cost nothing.
const BLOCK_BYTES: u64 = 256 << 10;

/// Items of a block of lines that there is room for from the start.
const ITEMS: usize = 512;

/// Records of a block.
const BLOCK_RECORDS: u64 = 512;

/// Where a history is read from.
pub enum Source {
    /// A file: CloudEvents, one a line, or a log as `weir export` writes it.
    File(PathBuf),
    /// The bytes of such a file.
    Bytes(Vec<u8>),
    /// A log, as far as it reaches when the reading begins.
    Log(LogReader),
}

/// A piece of a history, not decoded. The memory of one serves for the next.
#[derive(Default)]
pub(super) struct Block {
    /// The place where it begins.
    from: u64,
    /// The place where the next begins.
    to: u64,
    /// Its lines; none of a log.
    lines: Vec<u8>,
    /// What is known from the blocks before that the same thread decoded.
    findings: Findings,
}

/// Something that a history says.
pub(super) struct Item {
    /// Where it is, for reading it again: a byte of the file, or a record.
    pub(super) place: u64,
    pub(super) number: Number,
    pub(super) says: Says,
}

/// How people find it.
pub(super) enum Number {
    /// The line within its block, from 0.
    Line(u64),
    /// The record.
    Record(u64),
}

/// What a history says.
pub(super) enum Says {
    /// Something happened. What stands in a log has its time, and came once.
    Happened {
        at: Timestamp,
        delivery: Option<Key>,
        body: Body,
    },
    /// Weir concluded it from the record before.
    Concluded(Body),
    /// It is no valid event.
    Rejected,
}

/// What was decoded of a block.
pub(super) struct Decoded {
    pub(super) items: Vec<Item>,
    /// How many lines it has, counted or not.
    pub(super) lines: u64,
    /// Where it ends.
    pub(super) end: u64,
}

/// What is read of a history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading<'a> {
    /// Everything.
    Whole,
    /// Everything, but for what scans found and what images are annotated with: whoever asks what
    /// events are about has no use for it.
    Outline,
    /// What stands at these places, in their order.
    At(&'a [u64]),
}

impl<'a> Reading<'a> {
    /// The places from one on, if not everything is read.
    fn places_from(self, first: u64) -> Option<&'a [u64]> {
        let Self::At(places) = self else { return None };
        let passed = places.partition_point(|place| *place < first);
        places.get(passed..)
    }
}

/// The blocks of a history, one after the other: those in which something is read.
pub(super) struct Blocks<'a> {
    reading: Reading<'a>,
    lines: Option<Box<dyn Lines + 'a>>,
    place: u64,
    end: u64,
}

/// What lines are read from.
trait Lines: BufRead + Seek + Send {}

impl<T: BufRead + Seek + Send> Lines for T {}

impl Source {
    /// What decisions depend on besides the inputs: kept with a log and with its export.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn settings(&self) -> Result<Settings, BacktestError> {
        if let Self::Log(reader) = self {
            return Ok(Basis::of(reader)?.settings);
        }
        let mut first = Vec::new();
        if let Some(lines) = self.lines()? {
            lines.take(BLOCK_BYTES).read_until(b'\n', &mut first)?;
        }
        Ok(Basis::from_header(&first).map_or_else(|_| Settings::default(), |basis| basis.settings))
    }

    /// How far the places of a history go.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn end(&self) -> Result<u64, BacktestError> {
        Ok(match self {
            Self::File(path) => std::fs::metadata(path)?.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Log(reader) => reader.head().next_seq,
        })
    }

    pub(super) fn blocks<'a>(&'a self, reading: Reading<'a>) -> Result<Blocks<'a>, BacktestError> {
        let lines = self.lines()?;
        let (place, end) = match lines {
            None => (1, self.end()?),
            Some(_) => (0, u64::MAX),
        };
        Ok(Blocks {
            reading,
            lines,
            place,
            end,
        })
    }

    fn lines(&self) -> io::Result<Option<Box<dyn Lines + '_>>> {
        Ok(match self {
            Self::File(path) => {
                let file = File::open(path)?;
                Some(Box::new(BufReader::with_capacity(64 << 10, file)))
            }
            Self::Bytes(bytes) => Some(Box::new(Cursor::new(&bytes[..]))),
            Self::Log(_) => None,
        })
    }

    /// Decodes a block: what is read of it.
    pub(super) fn decode(
        &self,
        block: &mut Block,
        reading: Reading<'_>,
    ) -> Result<Decoded, BacktestError> {
        let Block {
            from,
            to,
            lines,
            findings,
        } = block;
        let mut decoder = Decoder {
            findings,
            outline: matches!(reading, Reading::Outline),
            decoded: Decoded {
                items: Vec::with_capacity(ITEMS),
                lines: 0,
                end: *from,
            },
        };
        match (self, reading.places_from(*from)) {
            (Self::Log(reader), places) => decoder.records(reader, *to, places),
            (_, None) => decoder.lines(lines),
            (_, Some(places)) => decoder.lines_at(places, lines),
        }?;
        Ok(decoder.decoded)
    }

    /// The first rule set that the history puts in force: one that loads.
    pub(super) fn first_rules(&self) -> Result<Option<Vec<RuleFile>>, BacktestError> {
        const KIND: &str = "weir.rules.activated";
        let mut blocks = self.blocks(Reading::Whole)?;
        let mut block = Block::default();
        let kind = memchr::memmem::Finder::new(KIND);
        let is_log = matches!(self, Self::Log(_));
        while blocks.next(&mut block)? {
            if !is_log && kind.find(&block.lines).is_none() {
                continue;
            }
            for item in self.decode(&mut block, Reading::Whole)?.items {
                if let Says::Happened {
                    body: Body::RulesActivated(rules),
                    ..
                } = item.says
                    && scope::load(&rules.files).is_ok()
                {
                    return Ok(Some(rules.files));
                }
            }
        }
        Ok(None)
    }
}

impl Blocks<'_> {
    /// Reads the next block; false if there is none.
    pub(super) fn next(&mut self, block: &mut Block) -> Result<bool, BacktestError> {
        if let Some(places) = self.reading.places_from(self.place) {
            let Some(next) = places.first() else {
                return Ok(false);
            };
            self.go_to(*next)?;
        }
        block.from = self.place;
        block.lines.clear();
        if let Some(lines) = &mut self.lines {
            lines
                .by_ref()
                .take(BLOCK_BYTES)
                .read_to_end(&mut block.lines)?;
            if block.lines.last().is_some_and(|last| *last != b'\n') {
                lines.read_until(b'\n', &mut block.lines)?;
            }
            self.place += block.lines.len() as u64;
        } else {
            self.place = (self.place + BLOCK_RECORDS).min(self.end);
        }
        block.to = self.place;
        Ok(block.from < block.to)
    }

    /// Leaves out what is not read, if it is much.
    fn go_to(&mut self, place: u64) -> io::Result<()> {
        match &mut self.lines {
            None => self.place = place,
            Some(lines) if place - self.place > BLOCK_BYTES => {
                lines.seek(SeekFrom::Start(place))?;
                self.place = place;
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// Decodes a block.
struct Decoder<'a> {
    findings: &'a mut Findings,
    /// Only what events are about is wanted.
    outline: bool,
    decoded: Decoded,
}

impl Decoder<'_> {
    /// Decodes the records up to `to`, or those of `places` among them.
    fn records(
        &mut self,
        reader: &LogReader,
        to: u64,
        mut places: Option<&[u64]>,
    ) -> Result<(), BacktestError> {
        for row in reader.range(self.decoded.end, Some(to)) {
            let (seq, bytes) = row?;
            let is_read = places.as_mut().is_none_or(|places| {
                let next = places.split_first();
                let here = next.filter(|(place, _)| **place == seq);
                here.map(|(_, rest)| *places = rest).is_some()
            });
            if is_read && let (_, Some(says)) = self.record(&bytes)? {
                self.decoded.items.push(Item {
                    place: seq,
                    number: Number::Record(seq),
                    says,
                });
            }
        }
        self.decoded.end = to;
        Ok(())
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<(), BacktestError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let line = first_line(rest);
            self.line(line)?;
            rest = rest.get(line.len()..).unwrap_or_default();
        }
        Ok(())
    }

    /// Decodes the lines that begin at `places`, as far as they are among `bytes`.
    fn lines_at(&mut self, places: &[u64], bytes: &[u8]) -> Result<(), BacktestError> {
        let first = self.decoded.end;
        for wanted in places {
            let offset = usize::try_from(wanted - first).unwrap_or(usize::MAX);
            let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            self.decoded.end = *wanted;
            self.line(first_line(rest))?;
        }
        self.decoded.end = first + bytes.len() as u64;
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), BacktestError> {
        if let (seq, Some(says)) = self.says(line)? {
            self.decoded.items.push(Item {
                place: self.decoded.end,
                number: seq.map_or(Number::Line(self.decoded.lines), Number::Record),
                says,
            });
        }
        self.decoded.end += line.len() as u64;
        self.decoded.lines += 1;
        Ok(())
    }

    /// What a line says, and which record it is; nothing if it says nothing.
    fn says(&mut self, line: &[u8]) -> Result<(Option<u64>, Option<Says>), BacktestError> {
        // What ends as Weir writes it is read in one pass.
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Records are canonical JSON, so these are their first fields, and not those of an event.
        if line.starts_with(b"{\"event\":") {
            let (seq, says) = self.record(line)?;
            return Ok((Some(seq), says));
        }
        let is_header = line.starts_with(b"{\"execution\":") && Basis::from_header(line).is_ok();
        if is_header || line.iter().all(u8::is_ascii_whitespace) {
            return Ok((None, None));
        }
        // As in a replay: the record's time is taken from the event.
        let says = match self.event(line, event_from_structured) {
            Ok(Event {
                time: Some(at),
                source,
                id,
                body,
                ..
            }) => Says::Happened {
                at,
                delivery: Some(dedup::key(&source, &id)),
                body,
            },
            Ok(_) | Err(_) => Says::Rejected,
        };
        Ok((None, Some(says)))
    }

    /// A record's sequence and what it says: nothing, for a conclusion that is drawn anew.
    fn record(&mut self, bytes: &[u8]) -> Result<(u64, Option<Says>), BacktestError> {
        let stored: Stored<'_> =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Form(error.to_string()))?;
        let seq = stored.seq;
        if stored.v != FORMAT_VERSION {
            let version = stored.v;
            return Err(RecordError::Version { seq, version }.into());
        }
        let event = stored.event.get();
        let concluded = matches!(stored.position, Position::Step { .. });
        // Only a decision to promote names a promotion.
        let promotes =
            || event.contains("\"weir.decision.made\"") && event.contains("\"promotion_id\"");
        if concluded && !promotes() {
            return Ok((seq, None));
        }
        let event = self
            .event(event.as_bytes(), Event::from_json)
            .map_err(|source| RecordError::Event { seq, source })?;
        let says = if concluded {
            Says::Concluded(event.body)
        } else {
            Says::Happened {
                at: stored.recorded_at,
                delivery: None,
                body: event.body,
            }
        };
        Ok((seq, Some(says)))
    }

    /// Reads an event apart from what it found.
    fn event<E>(
        &mut self,
        text: &[u8],
        read: impl Fn(&[u8]) -> Result<Event, E>,
    ) -> Result<Event, E> {
        let apart = self.findings.apart(text);
        let mut event = match read(&apart.event) {
            // What is wrong is told with the place where it stands.
            Err(_) if apart.is_shorter() => return read(text),
            read => read?,
        };
        if self.outline {
            outline(&mut event.body);
        } else {
            apart.put_into(&mut event);
        }
        Ok(event)
    }
}

/// A text up to the end of its first line, with what ends it.
fn first_line(text: &[u8]) -> &[u8] {
    let length = memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1);
    text.get(..length).unwrap_or_default()
}

/// Lets go, where it was read, what tells nothing of what an event is about.
fn outline(body: &mut Body) {
    let (annotations, manifests) = match body {
        Body::ScanCompleted(scan) => {
            scan.findings = None;
            return;
        }
        Body::ImagePushed(push) => (&mut push.annotations, &mut push.manifests),
        Body::ManifestResolved(facts) => (&mut facts.annotations, &mut facts.manifests),
        _ => return,
    };
    *annotations = None;
    for descriptor in manifests.iter_mut().flatten() {
        descriptor.annotations = None;
    }
}

/// A record without what only its own chain needs.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    position: Position,
    recorded_at: Timestamp,
    seq: u64,
    v: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a few lengths, one of them longer than a block.
    fn history() -> Vec<u8> {
        let mut text = String::new();
        for number in 0..4000 {
            let more = "x".repeat(if number == 700 {
                400 << 10
            } else {
                number % 300
            });
            text += &format!(
                r#"{{"specversion":"1.0","id":"{number}","source":"s","type":"weir.clock.ticked","time":"2026-03-02T00:00:00Z","more":"{more}"}}"#
            );
            text.push('\n');
        }
        text.into_bytes()
    }

    fn places(source: &Source, reading: Reading<'_>) -> Vec<u64> {
        let mut blocks = source.blocks(reading).unwrap();
        let (mut block, mut places) = (Block::default(), Vec::new());
        while blocks.next(&mut block).unwrap() {
            let decoded = source.decode(&mut block, reading).unwrap();
            places.extend(decoded.items.iter().map(|item| item.place));
        }
        places
    }

    #[test]
    fn what_stands_at_places_is_read_wherever_they_are() {
        let source = Source::Bytes(history());
        let all = places(&source, Reading::Whole);
        assert_eq!(all.len(), 4000);
        for step in [1, 2, 7, 699, 1500, 3999] {
            for first in [0, 1, 700] {
                let some: Vec<u64> = all.iter().skip(first).step_by(step).copied().collect();
                assert_eq!(places(&source, Reading::At(&some)), some, "{first}, {step}");
            }
        }
        assert!(places(&source, Reading::At(&[])).is_empty());
    }
}
