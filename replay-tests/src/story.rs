//! Stories: a history told line by line, each line with what must follow from it.
//!
//! ```text
//! app shop = api web                         a declaration: no event
//! push dev/shop:1 shop                       => wait dev/shop:1@shop: scan-missing api, scan-missing web
//! scan api
//! scan web CVE-1:LOW                         => promote dev/shop:1@shop -> staging/shop:1
//! ```
//!
//! A line without `=>` must change no verdict; several conclusions stand between `;`, also on
//! lines of their own that begin with `=>`. Lines that begin with `#` are comments. Every line
//! happens a second after the one before; the first at Monday 2026-03-02 00:00:01.
//!
//! | line | |
//! |---|---|
//! | `app`, `index`, `list NAME = CHILD[:ROLE]..`, `artifact NAME` | what a name is; an image if not said |
//! | `push REPO[:TAG] NAME [by ACTOR] [bare] [untold]` | `bare`: without its children; `untold`: without saying what it is |
//! | `resolve NAME [bare] [of SUBJECT]` | |
//! | `start`, `fail`, `scan NAME [by SCANNER] [db TIME] [covers A,B] [counts] [ID:SEVERITY[:PACKAGE[:VERSION[:FIXED[:SCORE]]]]]..` | |
//! | `update SCANNER db TIME` | |
//! | `delete REPO:TAG`, `delete REPO@NAME`, `delete REPO` | tag, manifest, repository |
//! | `immutable REPO`, `mutable REPO` | |
//! | `override ID CVE [on NAME] [in REPO] [package P] [until TIME]`, `revoke ID` | |
//! | `approve`, `unapprove REPO@NAME TARGET ACTOR` | |
//! | `hold ID [in REPO] [on NAME] [rule R]`, `release ID` | |
//! | `request REPO:TAG TARGET:TAG [waive CODE,CODE]` | by hand, by `olga` |
//! | `activate RULE \| RULE`, `activate nothing` | see [`crate::rule_text`] |
//! | `at TIME`, `wait DURATION` | a tick at that time |
//! | `quiet DURATION` | so long nothing happens: ticks only when time alone may change something |
//! | `unknown TYPE` | an event that this version does not know |
//! | `commands` | first line: promotions become commands instead of being done at once |
//! | `begin`, `finish`, `give-up` | of the oldest command |
//! | `retry` | the last that was given up, by `olga` |
//! | `again` | the event before once more, as under another id |
//!
//! After every record a story also checks that judging everything anew changes nothing and that a
//! snapshot gives the same state back.

use std::collections::VecDeque;

use serde_json::{Value, json};
use weir_rules::{Command, Execution, Settings, State, recheck, step};
use weir_schema::{Body, Event, Timestamp, media_type};

use crate::{
    content::{Contents, digest},
    rule_text::rule_files,
    show, thawed,
};

/// Where stories begin: a Monday.
const BEGIN: &str = "2026-03-02T00:00:00Z";

/// Tells a story under rules and compares every conclusion.
///
/// # Panics
/// If something else follows than is written; shows the story as it is.
pub fn check(rules: &str, story: &str) {
    let told = tell(rules, story);
    assert!(
        told.differs.is_empty(),
        "lines {:?} differ; the story as it is:\n{}",
        told.differs,
        told.transcript
    );
}

/// A story as it turned out.
#[derive(Debug)]
pub struct Told {
    /// Lines whose conclusions are others than written, from 1.
    pub differs: Vec<usize>,
    /// The story with its real conclusions.
    pub transcript: String,
    /// The events, as CloudEvents.
    pub events: Vec<Event>,
}

struct Teller {
    state: State,
    contents: Contents,
    execution: Execution,
    commands: VecDeque<weir_rules::Copy>,
    given_up: Option<String>,
    now: Timestamp,
    events: Vec<Event>,
    rules: usize,
}

/// Tells a story.
///
/// # Panics
/// If a line is none of the notation, or an invariant breaks.
#[must_use]
pub fn tell(rules: &str, story: &str) -> Told {
    let mut teller = Teller {
        state: State::new(Settings::default()),
        contents: Contents::default(),
        execution: Execution::AtOnce,
        commands: VecDeque::new(),
        given_up: None,
        now: BEGIN.parse().expect("the beginning is a time"),
        events: Vec::new(),
        rules: 0,
    };
    teller.activate(rules);
    let mut told = Told {
        differs: Vec::new(),
        transcript: String::new(),
        events: Vec::new(),
    };
    let mut lines = story.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (statement, first) = match line.split_once("=>") {
            Some((statement, expected)) => (statement.trim(), expected),
            None => (line, ""),
        };
        let mut expected = split(first);
        while let Some((_, more)) = lines.next_if(|(_, line)| line.trim().starts_with("=>")) {
            expected.extend(split(more.trim().trim_start_matches("=>")));
        }
        let really = teller.line(statement);
        if really != expected {
            told.differs.push(number + 1);
        }
        told.transcript.push_str(&format!("        {statement}\n"));
        for conclusion in &really {
            told.transcript
                .push_str(&format!("            => {conclusion}\n"));
        }
    }
    told.events = teller.events;
    told
}

fn split(expected: &str) -> Vec<String> {
    let parts = expected.split(';').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Teller {
    fn line(&mut self, statement: &str) -> Vec<String> {
        let (word, rest) = statement.split_once(' ').unwrap_or((statement, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        self.now = self.now.saturating_add(chrono::TimeDelta::seconds(1));
        let (kind, data) = match (word, words.as_slice()) {
            ("app" | "index" | "list" | "image", [name, "=", children @ ..]) => {
                self.contents.declare_words(word, name, children);
                return Vec::new();
            }
            ("artifact" | "image", [name]) => {
                self.contents.declare_words(word, name, &[]);
                return Vec::new();
            }
            ("commands", []) => {
                self.execution = Execution::Commands;
                return Vec::new();
            }
            ("activate", ["nothing"]) => return self.activate(""),
            ("activate", _) => return self.activate(&rest.replace(" | ", "\n")),
            ("at", [time]) => {
                self.now = time.parse().expect("`at` takes a time");
                ("clock.ticked", json!({}))
            }
            ("wait", [duration]) => {
                self.now = self.now.saturating_add(parse_duration(duration));
                ("clock.ticked", json!({}))
            }
            ("quiet", [duration]) => return self.quiet(parse_duration(duration)),
            ("again", []) => {
                let mut event = self.events.last().cloned().expect("an event before");
                event.id = format!("{}", self.events.len() + 1).into();
                event.time = Some(self.now);
                return self.take(event);
            }
            ("begin" | "finish" | "give-up", []) => return self.outcome(word),
            ("retry", []) => return self.retry(),
            ("unknown", [kind]) => return self.say(kind, json!({})),
            _ => self
                .event(word, &words)
                .unwrap_or_else(|| panic!("`{statement}` is no line of a story")),
        };
        self.say(&format!("weir.{kind}"), data)
    }

    /// Ticks as a daemon does in which nothing else happens.
    fn quiet(&mut self, duration: chrono::TimeDelta) -> Vec<String> {
        let end = self.now.saturating_add(duration);
        let mut lines = Vec::new();
        while let Some(due) = self.state.next_alarm().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            lines.extend(self.say("weir.clock.ticked", json!({})));
            let next = self.state.next_alarm();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a tick for nothing"
            );
        }
        self.now = end;
        lines
    }

    fn activate(&mut self, rules: &str) -> Vec<String> {
        let files = rule_files(rules);
        self.rules = files
            .iter()
            .filter(|file| !file.text.contains("//! kind: deny"))
            .count();
        let lines = self.say("weir.rules.activated", json!({ "files": files }));
        assert_eq!(self.state.rules_refused(), None, "the rules of the story");
        lines
    }

    fn outcome(&mut self, word: &str) -> Vec<String> {
        let copy = match word {
            "begin" => self.commands.front().cloned(),
            _ => self.commands.pop_front(),
        };
        let copy = copy.expect("a command to carry out");
        let mut data = json!({
            "promotion_id": copy.promotion_id, "rule": copy.rule,
            "source": copy.source, "target": copy.target,
        });
        let kind = match word {
            "begin" => "weir.promotion.started",
            "finish" => "weir.promotion.completed",
            _ => {
                data["error"] = "the registry is gone".into();
                self.given_up = Some(copy.promotion_id);
                "weir.promotion.failed"
            }
        };
        self.say(kind, data)
    }

    fn retry(&mut self) -> Vec<String> {
        let promotion = self.given_up.clone();
        let promotion = promotion.expect("a promotion that was given up");
        let before = self.commands.len();
        let lines = self.say(
            "weir.promotion.retried",
            json!({"promotion_id": promotion, "actor": "olga"}),
        );
        assert!(
            self.commands.len() <= before + 1,
            "tried once more, not twice"
        );
        lines
    }

    fn say(&mut self, kind: &str, data: Value) -> Vec<String> {
        let event = json!({
            "specversion": "1.0", "id": format!("{}", self.events.len() + 1), "source": "story",
            "type": kind, "time": self.now, "data": data,
        });
        let event = Event::from_json(event.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error} in {event}"));
        self.take(event)
    }

    fn take(&mut self, event: Event) -> Vec<String> {
        let taken = step(&mut self.state, self.now, &event.body, self.execution);
        self.events.push(event);
        for Command::Copy(copy) in taken.commands {
            self.commands.push_back(copy);
        }
        assert_eq!(recheck(&self.state), Vec::<String>::new(), "judged anew");
        let again = thawed(&self.state, &Settings::default());
        assert_eq!(again.state_digest(), self.state.state_digest(), "snapshot");
        let bodies = taken.conclusions.iter().map(|conclusion| &conclusion.body);
        for body in bodies.clone() {
            if let Body::PromotionFailed(outcome) = body {
                self.commands
                    .retain(|copy| copy.promotion_id != outcome.promotion_id);
            }
        }
        let with_rule = self.rules > 1;
        bodies
            .filter_map(|body| show::conclusion(body, &self.contents, with_rule))
            .collect()
    }

    /// The type and data of a line that is an event.
    fn event(&mut self, word: &str, words: &[&str]) -> Option<(&'static str, Value)> {
        let (first, rest) = words.split_first()?;
        Some(match word {
            "push" => {
                let name = rest.first()?;
                self.contents.know(name);
                let mut data = match rest.contains(&"untold") {
                    true => json!({"digest": digest(name), "media_type": media_type::UNTOLD}),
                    false => self.contents.facts(name, rest.contains(&"bare")),
                };
                let (repository, tag) = repository_and_tag(first);
                data["repository"] = repository.into();
                put(&mut data, "tag", tag);
                put(&mut data, "actor", option(rest, "by"));
                ("image.pushed", data)
            }
            "resolve" => {
                self.contents.know(first);
                let mut data = self.contents.facts(first, rest.contains(&"bare"));
                if let Some(subject) = option(rest, "of") {
                    data["subject"] = json!(digest(subject));
                }
                ("manifest.resolved", data)
            }
            "start" | "scan" | "fail" => {
                self.contents.know(first);
                scan(word, first, rest)
            }
            "update" => (
                "scanner.updated",
                json!({"scanner": {"name": first, "db_updated_at": option(rest, "db")?}}),
            ),
            "delete" => match (first.split_once('@'), repository_and_tag(first)) {
                (Some((repository, name)), _) => (
                    "manifest.deleted",
                    json!({"repository": repository, "digest": digest(name)}),
                ),
                (None, (repository, Some(tag))) => {
                    ("tag.deleted", json!({"repository": repository, "tag": tag}))
                }
                (None, (repository, None)) => {
                    ("repository.deleted", json!({"repository": repository}))
                }
            },
            "immutable" | "mutable" => (
                "repository.configured",
                json!({"repository": first, "immutable_tags": word == "immutable"}),
            ),
            "override" => {
                let mut data = json!({
                    "override_id": first, "vulnerability": rest.first()?,
                    "reason": "not reachable", "actor": "sara",
                });
                put(&mut data, "expires_at", option(rest, "until"));
                data["scope"] = scope(rest);
                put(&mut data["scope"], "package", option(rest, "package"));
                ("override.granted", data)
            }
            "revoke" => (
                "override.revoked",
                json!({"override_id": first, "actor": "sara"}),
            ),
            "approve" | "unapprove" => {
                let (repository, name) = first.split_once('@')?;
                let data = json!({
                    "repository": repository, "digest": digest(name),
                    "target": rest.first()?, "actor": rest.get(1)?,
                });
                match word {
                    "approve" => ("approval.granted", data),
                    _ => ("approval.revoked", data),
                }
            }
            "hold" => {
                let mut data = json!({"hold_id": first, "actor": "olga", "reason": "freeze"});
                data["scope"] = scope(rest);
                put(&mut data["scope"], "rule", option(rest, "rule"));
                ("hold.placed", data)
            }
            "release" => ("hold.released", json!({"hold_id": first, "actor": "olga"})),
            "request" => {
                let (source, target) = (first.split_once(':')?, rest.first()?.split_once(':')?);
                let waive: Vec<&str> = option(rest, "waive")
                    .iter()
                    .flat_map(|codes| codes.split(','))
                    .collect();
                (
                    "promotion.requested",
                    json!({
                        "repository": source.0, "tag": source.1, "actor": "olga",
                        "target": {"repository": target.0, "tag": target.1},
                        "reason": "wanted", "waive": waive,
                    }),
                )
            }
            "database" => (
                "scanner.updated",
                json!({"scanner": {"name": first, "db_updated_at": rest.first()?}}),
            ),
            _ => return None,
        })
    }
}

fn scan(word: &str, name: &str, rest: &[&str]) -> (&'static str, Value) {
    let mut data = json!({
        "digest": digest(name),
        "scanner": {"name": option(rest, "by").unwrap_or("trivy")},
    });
    put(&mut data["scanner"], "db_updated_at", option(rest, "db"));
    match word {
        "start" => return ("scan.started", data),
        "fail" => {
            data["reason"] = "out of disk".into();
            return ("scan.failed", data);
        }
        _ => {}
    }
    put(&mut data, "scanned_at", option(rest, "looked"));
    if let Some(covers) = option(rest, "covers") {
        data["covers"] = covers.split(',').map(|name| json!(digest(name))).collect();
    }
    let found = rest.iter().filter(|word| word.starts_with("CVE"));
    let found = found.map(|word| word.split(':').collect::<Vec<_>>());
    if rest.contains(&"counts") {
        data["counts"] = json!({});
        for parts in found {
            let count = data["counts"][parts[1]].as_u64().unwrap_or(0) + 1;
            data["counts"][parts[1]] = count.into();
        }
    } else {
        data["findings"] = found
            .map(|parts| {
                let mut finding = json!({"id": parts[0], "severity": parts[1]});
                put(&mut finding, "package", parts.get(2).copied());
                put(&mut finding, "version", parts.get(3).copied());
                put(&mut finding, "fixed_version", parts.get(4).copied());
                if let Some(score) = parts.get(5) {
                    finding["score"] = json!(score.parse::<f64>().expect("a score is a number"));
                }
                finding
            })
            .collect();
    }
    ("scan.completed", data)
}

fn scope(rest: &[&str]) -> Value {
    let mut scope = json!({});
    put(&mut scope, "repository", option(rest, "in"));
    if let Some(name) = option(rest, "on") {
        scope["digest"] = json!(digest(name));
    }
    scope
}

fn repository_and_tag(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (text, None),
    }
}

fn put(data: &mut Value, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        data[key] = value.into();
    }
}

/// The word after `key`.
fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| *word == key)?;
    words.get(place + 1).copied()
}

fn parse_duration(text: &str) -> chrono::TimeDelta {
    let (number, unit) = text.split_at(text.len() - 1);
    let number = number.parse().expect("a number and s, m, h or d");
    match unit {
        "s" => chrono::TimeDelta::seconds(number),
        "m" => chrono::TimeDelta::minutes(number),
        "h" => chrono::TimeDelta::hours(number),
        "d" => chrono::TimeDelta::days(number),
        _ => panic!("`{text}` is no duration"),
    }
}
