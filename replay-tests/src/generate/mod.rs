//! Histories from a seed: few names, so that everything meets everything.
//!
//! [`mean`] histories hold every kind of event in any order, [`recorded`] ones also what registries
//! tell of the copies; [`tame`] ones only facts that no order can contradict.

mod mean;
mod recorded;
mod tame;
mod texts;

use std::collections::VecDeque;

use serde_json::{Value, json};
use weir_rules::{Command, Execution, Settings, State, Step, step};
use weir_schema::{Body, Event, Timestamp};

pub use mean::{FOREIGN, mean};
pub use recorded::{other_rules, recorded};
pub use tame::tame;

use crate::{
    content::{Contents, Manifest},
    random::Random,
    rule_text::rule_files,
};

/// Where histories begin: a Monday.
const BEGIN: &str = "2026-03-02T00:00:00Z";

/// A record to come: its time and what happened.
pub type Input = (Timestamp, Body);

/// A generated history.
#[derive(Debug, Clone)]
pub struct History {
    /// What it was made from.
    pub seed: u64,
    /// Everything in it.
    pub contents: Contents,
    /// The names of its manifests.
    pub names: Vec<String>,
    /// What happened, the rules first.
    pub inputs: Vec<Input>,
    /// What becomes of promotions.
    pub execution: Execution,
    /// What is configured.
    pub settings: Settings,
}

/// A record of a history with the state after it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The input.
    pub input: &'a Input,
    /// What the step gave.
    pub step: &'a Step,
    /// The state after.
    pub after: &'a State,
}

impl History {
    /// Plays the history and shows every record; ends with the first that `look` objects to.
    ///
    /// # Errors
    /// What `look` says, with the record.
    pub fn play(
        &self,
        mut look: impl FnMut(&Seen<'_>) -> Result<(), String>,
    ) -> Result<State, String> {
        let mut state = State::new(self.settings.clone());
        for (number, input) in self.inputs.iter().enumerate() {
            let taken = step(&mut state, input.0, &input.1, self.execution);
            let seen = Seen {
                input,
                step: &taken,
                after: &state,
            };
            look(&seen)
                .map_err(|problem| format!("input {number} ({}): {problem}", input.1.kind()))?;
        }
        Ok(state)
    }
}

/// Makes a history, and plays it along.
struct Maker {
    random: Random,
    now: Timestamp,
    history: History,
    state: State,
    /// Copies to be carried out, the oldest first.
    copies: VecDeque<weir_rules::Copy>,
    /// Whether the oldest has begun.
    began: bool,
    /// Promotions that were given up.
    given_up: Vec<String>,
    /// Whether registries tell of the copies, and those of which they will.
    echoing: bool,
    echoes: VecDeque<weir_rules::Copy>,
}

impl Maker {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: BEGIN.parse().expect("the beginning is a time"),
            history: History {
                seed,
                contents: Contents::default(),
                names: Vec::new(),
                inputs: Vec::new(),
                execution: Execution::AtOnce,
                settings: Settings::default(),
            },
            state: State::new(Settings::default()),
            copies: VecDeque::new(),
            began: false,
            given_up: Vec::new(),
            echoing: false,
            echoes: VecDeque::new(),
        }
    }

    fn declare(&mut self, name: String, manifest: Manifest) {
        self.history.contents.declare(&name, manifest);
        self.history.names.push(name);
    }

    fn name(&mut self) -> String {
        self.random.pick(&self.history.names).clone()
    }

    fn activate(&mut self, rules: &str) {
        self.say("weir.rules.activated", json!({"files": rule_files(rules)}));
    }

    fn say(&mut self, kind: &str, data: Value) {
        let minutes = match self.random.below(10) {
            0..=3 => 0,
            4..=7 => 7,
            _ => 60 * i64::try_from(self.random.below(20)).unwrap_or(0),
        };
        self.now = self.now.saturating_add(chrono::TimeDelta::minutes(minutes));
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "generated", "type": kind, "data": data,
        });
        let event = Event::from_json(event.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error} in {event}"));
        let execution = self.history.execution;
        let taken = step(&mut self.state, self.now, &event.body, execution);
        for Command::Copy(copy) in taken.commands {
            self.copies.push_back(copy);
        }
        for conclusion in taken.conclusions {
            if let Body::PromotionFailed(outcome) = conclusion.body {
                let known = self.copies.len();
                self.copies
                    .retain(|copy| copy.promotion_id != outcome.promotion_id);
                self.began &= known == self.copies.len();
            }
        }
        self.history.inputs.push((self.now, event.body));
    }
}
