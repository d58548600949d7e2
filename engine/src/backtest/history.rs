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

use super::{BacktestError, scope};
use crate::{
    dedup::{self, Key},
    log::LogReader,
    node::Basis,
    structured::event_from_structured,
};

/// Bytes of a block: a few hundred events, enough to make handing it over cost nothing.
const BLOCK_BYTES: u64 = 256 << 10;

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

/// A piece of a history, not decoded.
pub(super) enum Block {
    /// Whole lines, the first of which begins at this place.
    Lines { place: u64, bytes: Vec<u8> },
    /// Records from one up to but without another.
    Records { from: u64, to: u64 },
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

/// The blocks of a history, one after the other.
pub(super) struct Blocks<'a> {
    lines: Option<Box<dyn BufRead + Send + 'a>>,
    place: u64,
    end: u64,
}

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
        self.lines_from(0)?
            .take(BLOCK_BYTES)
            .read_until(b'\n', &mut first)?;
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

    pub(super) fn blocks(&self) -> Result<Blocks<'_>, BacktestError> {
        Ok(match self {
            Self::Log(_) => Blocks {
                lines: None,
                place: 1,
                end: self.end()?,
            },
            _ => Blocks {
                lines: Some(self.lines_from(0)?),
                place: 0,
                end: u64::MAX,
            },
        })
    }

    fn lines_from(&self, place: u64) -> io::Result<Box<dyn BufRead + Send + '_>> {
        Ok(match self {
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(place))?;
                Box::new(BufReader::with_capacity(64 << 10, file))
            }
            Self::Bytes(bytes) => {
                let mut cursor = Cursor::new(&bytes[..]);
                cursor.set_position(place);
                Box::new(cursor)
            }
            Self::Log(_) => Box::new(io::empty()),
        })
    }

    /// Decodes a block: of it only what stands at `places`, which must be in order, if these are given.
    pub(super) fn decode(
        &self,
        block: &Block,
        places: Option<&[u64]>,
    ) -> Result<Decoded, BacktestError> {
        match block {
            Block::Lines { place, bytes } => {
                decode_lines(*place, bytes, Wanted::of(places, *place))
            }
            Block::Records { from, to } => {
                self.decode_records(*from, *to, Wanted::of(places, *from))
            }
        }
    }

    fn decode_records(
        &self,
        from: u64,
        to: u64,
        mut wanted: Wanted<'_>,
    ) -> Result<Decoded, BacktestError> {
        let mut items = Vec::new();
        if let Self::Log(reader) = self
            && wanted.has_before(to)
        {
            for row in reader.range(from, Some(to)) {
                let (seq, bytes) = row?;
                if !wanted.has(seq) {
                    continue;
                }
                if let (_, Some(says)) = record(&bytes)? {
                    items.push(Item {
                        place: seq,
                        number: Number::Record(seq),
                        says,
                    });
                }
            }
        }
        Ok(Decoded {
            items,
            lines: 0,
            end: to,
        })
    }

    /// The first rule set that the history puts in force: one that loads.
    pub(super) fn first_rules(&self) -> Result<Option<Vec<RuleFile>>, BacktestError> {
        const KIND: &str = "weir.rules.activated";
        let mut blocks = self.blocks()?;
        while let Some(block) = blocks.next()? {
            let may_have = match &block {
                Block::Lines { bytes, .. } => {
                    // What is no text is no event either.
                    String::from_utf8_lossy(bytes).contains(KIND)
                }
                Block::Records { .. } => true,
            };
            if !may_have {
                continue;
            }
            for item in self.decode(&block, None)?.items {
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
    /// The next block.
    pub(super) fn next(&mut self) -> Result<Option<Block>, BacktestError> {
        let Some(lines) = &mut self.lines else {
            if self.place >= self.end {
                return Ok(None);
            }
            let from = self.place;
            self.place = (from + BLOCK_RECORDS).min(self.end);
            return Ok(Some(Block::Records {
                from,
                to: self.place,
            }));
        };
        let mut bytes = Vec::with_capacity(BLOCK_BYTES as usize + 4096);
        lines.by_ref().take(BLOCK_BYTES).read_to_end(&mut bytes)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            lines.read_until(b'\n', &mut bytes)?;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let place = self.place;
        self.place += bytes.len() as u64;
        Ok(Some(Block::Lines { place, bytes }))
    }
}

/// Places that are wanted, from a place on.
struct Wanted<'a> {
    /// In order; without them all are wanted.
    places: Option<&'a [u64]>,
}

impl<'a> Wanted<'a> {
    fn of(places: Option<&'a [u64]>, from: u64) -> Self {
        let rest = |places: &'a [u64]| {
            let passed = places.partition_point(|place| *place < from);
            places.get(passed..).unwrap_or_default()
        };
        Self {
            places: places.map(rest),
        }
    }

    /// Whether `place` is wanted; asked of each place in order.
    fn has(&mut self, place: u64) -> bool {
        let Some(places) = &mut self.places else {
            return true;
        };
        match places.split_first() {
            Some((first, rest)) if *first == place => {
                *places = rest;
                true
            }
            _ => false,
        }
    }

    fn has_before(&self, end: u64) -> bool {
        let first = self.places.map(<[u64]>::first);
        first.is_none_or(|first| first.is_some_and(|first| *first < end))
    }
}

fn decode_lines(
    place: u64,
    bytes: &[u8],
    mut wanted: Wanted<'_>,
) -> Result<Decoded, BacktestError> {
    let mut decoded = Decoded {
        items: Vec::new(),
        lines: 0,
        end: place,
    };
    match std::str::from_utf8(bytes) {
        // Looking for a character in a text is quicker than for a byte that satisfies something.
        Ok(text) => {
            let mut lines = text.split_inclusive('\n');
            lines.try_for_each(|line| decoded.line(line.as_bytes(), &mut wanted))?;
        }
        Err(_) => {
            let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
            lines.try_for_each(|line| decoded.line(line, &mut wanted))?;
        }
    }
    Ok(decoded)
}

impl Decoded {
    fn line(&mut self, line: &[u8], wanted: &mut Wanted<'_>) -> Result<(), BacktestError> {
        if wanted.has(self.end)
            && let (seq, Some(says)) = says(line)?
        {
            self.items.push(Item {
                place: self.end,
                number: seq.map_or(Number::Line(self.lines), Number::Record),
                says,
            });
        }
        self.end += line.len() as u64;
        self.lines += 1;
        Ok(())
    }
}

/// What a line says, and which record it is; nothing if it says nothing.
fn says(line: &[u8]) -> Result<(Option<u64>, Option<Says>), BacktestError> {
    // Records are canonical JSON, so these are their first fields, and not those of an event.
    if line.starts_with(b"{\"event\":") {
        let (seq, says) = record(line)?;
        return Ok((Some(seq), says));
    }
    let is_header = line.starts_with(b"{\"execution\":") && Basis::from_header(line).is_ok();
    if is_header || line.iter().all(u8::is_ascii_whitespace) {
        return Ok((None, None));
    }
    // As in a replay: the record's time is taken from the event.
    let says = match event_from_structured(line) {
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

/// A record's sequence and what it says: nothing, for a conclusion that is drawn anew.
fn record(bytes: &[u8]) -> Result<(u64, Option<Says>), BacktestError> {
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
    let event =
        Event::from_json(event.as_bytes()).map_err(|source| RecordError::Event { seq, source })?;
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
