//! Replaying a history: the same step as a live node, with time from the events.

use std::io::{self, BufRead, Write};

use serde::Serialize;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{
    Body, Decision, Digest, Event, InputRejected, Position, Reason, Record, RuleFile,
    RulesActivated, TagRef, TargetRef, Timestamp, Verdict, Violation,
};

use crate::{adapters::excerpt, dedup::Dedup, node::Basis, structured::event_from_structured};

/// What a replay prints for a record; the order of fields is that of the interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// A decision.
    Decision {
        /// The decision's record.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// The rule.
        rule: String,
        /// The tag judged.
        source: TagRef,
        /// Where it would go.
        target: TargetRef,
        /// The answer.
        verdict: Verdict,
        /// Why.
        reasons: Vec<Reason>,
        /// The record that made it change.
        trigger: u64,
    },
    /// A violation, found or cleared.
    Violation {
        /// Its record.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// `found` or `cleared`.
        violation: &'static str,
        /// The rule that promoted it.
        rule: String,
        /// The target repository.
        repository: String,
        /// The target tag.
        tag: String,
        /// What it points at.
        digest: Digest,
        /// What no longer holds.
        reasons: Vec<Reason>,
    },
}

/// What a replay comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events taken, without repeated deliveries and without what was rejected.
    pub events: u64,
    /// Records in all.
    pub records: u64,
    /// Decisions made.
    pub decisions: u64,
    /// Promotions decided.
    pub promotions: u64,
    /// Violations found.
    pub violations: u64,
    /// Lines that were no valid event.
    pub rejected: u64,
    /// The digest of the state at the end.
    pub state_digest: String,
}

impl Summary {
    /// Counts an input.
    fn took(&mut self, body: &Body) {
        match body {
            Body::InputRejected(_) => self.rejected += 1,
            _ => self.events += 1,
        }
    }

    /// Counts a record that the node concluded.
    fn concluded(&mut self, body: &Body) {
        match body {
            Body::DecisionMade(decision) => {
                self.decisions += 1;
                self.promotions += u64::from(decision.promotion_id.is_some());
            }
            Body::ViolationFound(_) => self.violations += 1,
            _ => {}
        }
    }

    /// Counts a record of a log.
    pub fn recorded(&mut self, record: &Record) {
        self.records = record.seq;
        match (&record.position, &record.event.body) {
            (Position::Step { .. }, body) => self.concluded(body),
            (_, body) => self.took(body),
        }
    }
}

impl Line {
    /// What is printed for a conclusion; `None` where nothing is.
    #[must_use]
    pub fn of(seq: u64, at: Timestamp, body: &Body) -> Option<Self> {
        match body {
            Body::DecisionMade(decision) => Some(Self::decision(seq, at, decision)),
            Body::ViolationFound(violation) => Some(Self::violation(seq, at, "found", violation)),
            Body::ViolationCleared(violation) => {
                Some(Self::violation(seq, at, "cleared", violation))
            }
            _ => None,
        }
    }

    fn decision(seq: u64, at: Timestamp, decision: &Decision) -> Self {
        Self::Decision {
            seq,
            at,
            rule: decision.rule.to_string(),
            source: decision.source.clone(),
            target: decision.target.clone(),
            verdict: decision.verdict,
            reasons: decision.reasons.clone(),
            trigger: decision.trigger,
        }
    }

    fn violation(seq: u64, at: Timestamp, found: &'static str, violation: &Violation) -> Self {
        Self::Violation {
            seq,
            at,
            violation: found,
            rule: violation.rule.to_string(),
            repository: violation.repository.to_string(),
            tag: violation.tag.to_string(),
            digest: violation.digest.clone(),
            reasons: violation.reasons.clone(),
        }
    }
}

/// Why a line of an exported log is no event.
const OF_A_LOG: &str = "not an event, but part of a log, as `weir export` writes it: make a log of the file with `weir import log`, and give that with `--data`; or compare rules on it with `weir backtest --events`";

/// A history being replayed.
pub struct Replay<F> {
    state: State,
    dedup: Dedup,
    execution: Execution,
    rules: Option<Vec<RuleFile>>,
    /// Rejections that came before the first event, whose time they take.
    early: Vec<InputRejected>,
    lines: u64,
    /// The first line that was rejected, and why.
    first_rejected: Option<(u64, String)>,
    /// The first line whose rules were refused, and why.
    first_refused: Option<(u64, String)>,
    summary: Summary,
    print: F,
}

impl<F: FnMut(&Line) -> io::Result<()>> Replay<F> {
    /// A replay under `rules`; `print` gets every decision and violation.
    pub fn new(settings: Settings, rules: Vec<RuleFile>, execution: Execution, print: F) -> Self {
        Self {
            state: State::new(settings),
            dedup: Dedup::default(),
            execution,
            rules: Some(rules),
            early: Vec::new(),
            lines: 0,
            first_rejected: None,
            first_refused: None,
            summary: Summary::default(),
            print,
        }
    }

    /// Takes a line of a file. A line that is no valid event is a rejected input; an empty one is
    /// nothing.
    ///
    /// # Errors
    /// Only if printing fails.
    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines += 1;
        // Editors put a byte order mark before the first line.
        let marked = line.strip_prefix(b"\xef\xbb\xbf");
        let line = marked.filter(|_| self.lines == 1).unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let event = event_from_structured(line).map_err(|problem| match is_of_a_log(line) {
            true => OF_A_LOG.to_owned(),
            false => problem,
        });
        let timed = event.and_then(|event| match event.time {
            Some(time) => Ok((event, time)),
            None => Err("`time` is missing: a replay takes the record's time from it".to_owned()),
        });
        match timed {
            Ok((event, time)) => self.event(&event, time),
            Err(reason) => {
                let at = self.lines;
                self.first_rejected
                    .get_or_insert_with(|| (at, reason.clone()));
                let rejected = rejected(line, reason);
                if self.rules.is_some() {
                    self.early.push(rejected);
                    return Ok(());
                }
                self.rejected(rejected)
            }
        }
    }

    /// The number of the first line that was rejected, from 1, and why.
    #[must_use]
    pub fn first_rejected(&self) -> Option<(u64, &str)> {
        let (line, reason) = self.first_rejected.as_ref()?;
        Some((*line, reason))
    }

    /// The number of the first line that was to activate rules which are refused, from 1, and why;
    /// those before it stay in force.
    #[must_use]
    pub fn first_refused(&self) -> Option<(u64, &str)> {
        let (line, reason) = self.first_refused.as_ref()?;
        Some((*line, reason))
    }

    fn rejected(&mut self, rejected: InputRejected) -> io::Result<()> {
        self.summary.rejected += 1;
        self.step(self.state.now(), &Body::InputRejected(rejected))
    }

    fn event(&mut self, event: &Event, time: Timestamp) -> io::Result<()> {
        self.begin(time)?;
        let at = time.max(self.state.now());
        if !self.dedup.is_new(event, at) {
            return Ok(());
        }
        self.summary.took(&event.body);
        self.step(at, &event.body)?;
        if let (Body::RulesActivated(_), Some(why)) = (&event.body, self.state.rules_refused()) {
            self.first_refused
                .get_or_insert_with(|| (self.lines, why.to_owned()));
        }
        Ok(())
    }

    /// The first record activates the rules, at the time of the first event.
    fn begin(&mut self, time: Timestamp) -> io::Result<()> {
        let Some(files) = self.rules.take() else {
            return Ok(());
        };
        self.step(
            time,
            &Body::RulesActivated(RulesActivated { files, actor: None }),
        )?;
        for rejected in std::mem::take(&mut self.early) {
            self.rejected(rejected)?;
        }
        Ok(())
    }

    /// Takes an input of a recorded history, which has its time, stands there once, and says which
    /// rules are in force.
    ///
    /// # Errors
    /// Only if printing fails.
    pub fn given(&mut self, at: Timestamp, body: &Body) -> io::Result<()> {
        self.rules = None;
        self.summary.took(body);
        self.step(at, body)
    }

    fn step(&mut self, at: Timestamp, body: &Body) -> io::Result<()> {
        let taken = step(&mut self.state, at, body, self.execution);
        for conclusion in &taken.conclusions {
            self.summary.concluded(&conclusion.body);
            if let Some(line) = Line::of(conclusion.seq, self.state.now(), &conclusion.body) {
                (self.print)(&line)?;
            }
        }
        Ok(())
    }

    /// Ends the replay.
    ///
    /// # Errors
    /// Only if printing fails.
    pub fn finish(mut self) -> io::Result<(Summary, State)> {
        self.begin(Timestamp::EPOCH)?;
        self.summary.records = self.state.seq();
        self.summary.state_digest = self.state.state_digest().to_string();
        Ok((self.summary, self.state))
    }
}

/// Whether a line is one of an exported log.
fn is_of_a_log(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    Basis::from_header(line).is_ok() || Record::decode(line).is_ok()
}

fn rejected(line: &[u8], reason: String) -> InputRejected {
    InputRejected {
        reason,
        payload_digest: Digest::of(line),
        adapter: None,
        payload: Some(excerpt(line)),
    }
}

/// Replays every line that `input` has.
///
/// # Errors
/// If reading or printing fails.
pub fn lines<F: FnMut(&Line) -> io::Result<()>>(
    replay: &mut Replay<F>,
    mut input: impl BufRead,
) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        replay.line(&line)?;
        line.clear();
    }
    Ok(())
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// If writing fails.
pub fn write_line<T: Serialize>(mut output: impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut output, value)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_rejected_is_no_event_under_other_rules_either() {
        let print = |_: &Line| Ok(());
        let mut replay = Replay::new(Settings::default(), Vec::new(), Execution::AtOnce, print);
        let rejected = rejected(b"{", "no event".into());
        for body in [Body::ClockTicked, Body::InputRejected(rejected)] {
            replay.given(Timestamp::EPOCH, &body).unwrap();
        }
        let (summary, _) = replay.finish().unwrap();
        assert_eq!((summary.events, summary.rejected), (1, 1));
    }
}
