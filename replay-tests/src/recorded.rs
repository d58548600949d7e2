//! Recorded histories: events in, every conclusion out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use weir_rules::{Command, Conclusion, Execution, Settings, State, step};
use weir_schema::{Body, Digest, Event, RuleFile, RulesActivated, Timestamp};

use crate::thawed;

/// What a replay comes to.
#[derive(Debug)]
pub struct Replayed {
    /// The state at the end.
    pub state: State,
    /// Everything that was concluded, with its time.
    pub conclusions: Vec<(Timestamp, Conclusion)>,
    /// What is to be done outside.
    pub commands: Vec<Command>,
}

/// Replays events in their order; the same `(source, id)` is taken once.
#[must_use]
pub fn replay(events: &[Event], execution: Execution) -> Replayed {
    let mut replayed = Replayed {
        state: State::new(Settings::default()),
        conclusions: Vec::new(),
        commands: Vec::new(),
    };
    let mut known = BTreeSet::new();
    for event in events {
        if known.insert((&event.source, &event.id)) {
            replayed.take(
                event.time.unwrap_or(Timestamp::EPOCH),
                &event.body,
                execution,
            );
        }
    }
    replayed
}

impl Replayed {
    fn take(&mut self, at: Timestamp, body: &Body, execution: Execution) {
        let taken = step(&mut self.state, at, body, execution);
        let now = self.state.now();
        self.conclusions
            .extend(taken.conclusions.into_iter().map(|one| (now, one)));
        self.commands.extend(taken.commands);
    }
}

/// Replays the lines of a file as `weir replay` does: the rules are activated by the first record,
/// and every decision and violation is a line of its own, the last one a summary.
///
/// # Panics
/// If a line is no event.
#[must_use]
pub fn replay_lines(rules: Vec<RuleFile>, lines: &str) -> Vec<Value> {
    let events = events_of(rules, lines);
    let replayed = replay(&events, Execution::AtOnce);
    assert_eq!(replayed.state.rules_refused(), None);
    shown_of(&replayed)
}

/// The events of the lines of a file, after one that puts `rules` in force.
fn events_of(rules: Vec<RuleFile>, lines: &str) -> Vec<Event> {
    let mut events: Vec<Event> = lines
        .lines()
        .map(|line| {
            Event::from_json(line.as_bytes()).unwrap_or_else(|error| panic!("{error} in {line}"))
        })
        .collect();
    let begin = Event {
        id: "rules".into(),
        source: "replay".into(),
        time: events.first().and_then(|event| event.time),
        subject: None,
        body: Body::RulesActivated(RulesActivated {
            files: rules,
            actor: None,
        }),
    };
    events.insert(0, begin);
    events
}

fn shown_of(replayed: &Replayed) -> Vec<Value> {
    let mut shown: Vec<Value> = replayed
        .conclusions
        .iter()
        .filter_map(|(at, conclusion)| shown(*at, conclusion))
        .collect();
    let promotions = shown
        .iter()
        .filter(|line| line["verdict"] == "promote")
        .count();
    shown.push(json!({"summary": {"records": replayed.state.seq(), "promote": promotions}}));
    shown
}

/// The directories of the golden histories, in order.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn golden() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let entries = fs::read_dir(&golden)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.display()))
        .flatten();
    let mut stories: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    stories.sort();
    stories
}

/// The rules and the events of a golden history.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn golden_history(story: &Path) -> (Vec<RuleFile>, String) {
    let read = |path: PathBuf| {
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let directory = story.join("rules");
    let mut files: Vec<RuleFile> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .flatten()
        .map(|entry| RuleFile {
            path: entry.file_name().to_string_lossy().into_owned(),
            text: read(entry.path()),
        })
        .collect();
    files.sort();
    (files, read(story.join("events.jsonl")))
}

/// The state digest after each golden history, by its name. With `snapshots` the state goes
/// through a snapshot after every record.
#[must_use]
pub fn golden_digests(snapshots: bool) -> Vec<(String, Digest)> {
    let digest = |story: PathBuf| {
        let (rules, lines) = golden_history(&story);
        let mut state = State::new(Settings::default());
        for event in events_of(rules, &lines) {
            let at = event.time.unwrap_or(Timestamp::EPOCH);
            step(&mut state, at, &event.body, Execution::AtOnce);
            if snapshots {
                state = thawed(&state, &Settings::default());
            }
        }
        let name = story.file_name().unwrap_or_default();
        (name.to_string_lossy().into_owned(), state.state_digest())
    };
    golden().into_iter().map(digest).collect()
}

fn shown(at: Timestamp, conclusion: &Conclusion) -> Option<Value> {
    let (seq, data) = (conclusion.seq, conclusion.body.data());
    let violation = match &conclusion.body {
        Body::DecisionMade(made) => {
            return Some(json!({
                "seq": seq, "at": at, "rule": made.rule, "source": made.source,
                "target": made.target, "verdict": made.verdict, "reasons": made.reasons,
                "trigger": made.trigger,
            }));
        }
        Body::ViolationFound(_) => "found",
        Body::ViolationCleared(_) => "cleared",
        _ => return None,
    };
    let mut line = data;
    line["seq"] = seq.into();
    line["at"] = json!(at);
    line["violation"] = violation.into();
    Some(line)
}
