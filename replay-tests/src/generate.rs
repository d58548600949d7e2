//! Histories from a seed: few names, so that everything meets everything.

use std::collections::VecDeque;

use serde_json::{Value, json};
use weir_rules::{Command, Execution, Settings, State, Step, step};
use weir_schema::{Body, Event, RuleFile, Timestamp};

use crate::{
    content::{Contents, Manifest, Role, digest},
    random::Random,
    rule_text::rule_files,
};

/// Where histories begin: a Monday.
const BEGIN: &str = "2026-03-02T00:00:00Z";

const REPOSITORIES: [&str; 4] = ["dev/web", "dev/api", "staging/web", "prod/web"];
const TAGS: [&str; 3] = ["1.0", "1.1", "latest"];
const SCANNERS: [&str; 3] = ["trivy", "trivy", "grype"];
const SEVERITIES: [&str; 3] = ["CRITICAL", "HIGH", "LOW"];
const ACTORS: [&str; 3] = ["alice", "bob", "carol"];

const WAYS: [&str; 9] = [
    "dev/* -> staging/{1}",
    "dev/* -> staging/{1}",
    "staging/* -> prod/{1}",
    "staging/* -> prod/{1}",
    "dev/** -> prod/{name}",
    "dev/*, staging/* -> prod/{1}",
    "staging/* -> dev/{1}",
    "** -> prod/{name}",
    "dev/api -> dev/web",
];
const HEADERS: [&str; 12] = [
    "",
    "; tag: latest",
    "; tag: {tag}-rc",
    "; class: app",
    "; class: app, index, image, artifact",
    "; scan: not-required",
    "; scanners: trivy, grype",
    "; soak: 6h",
    "; approvals: 1",
    "; approvals: 2; separate: pusher",
    "; window: Mon-Thu 08:00-16:00 Europe/Berlin",
    "; severity: warn",
];
const EXPRESSIONS: [&str; 12] = [
    "true",
    "true",
    "scan.critical == 0",
    "scan.critical == 0 && scan.high <= 1",
    "vulnerabilities.all(v, v.severity != \"HIGH\" || v.age < duration(\"12h\"))",
    "images.all(i, i.scan.state == \"completed\")",
    "artifact.labels[\"team\"] == \"a\" || scan.critical == 0",
    "10 / scan.high > 3",
    "!target.exists || scan.high == 0",
    "size(lineage) < 2",
    "now - tag.pushed_at >= duration(\"3h\")",
    "scan.overridden == 0 || scan.critical == 0",
];
const DENIES: [&str; 4] = [
    "scan.critical > 0",
    "tag.name == \"latest\"",
    "artifact.class == \"app\" && scan.high > 1",
    "6 / scan.high > 5",
];

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
    /// Whether registries tell of the copies.
    echoing: bool,
}

/// A record of a history with the state around it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The state before.
    pub before: &'a State,
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
        let mut state = State::new(Settings::default());
        for (number, input) in self.inputs.iter().enumerate() {
            let before = state.clone();
            let taken = step(&mut state, input.0, &input.1, self.execution);
            let seen = Seen {
                before: &before,
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

/// A mean history: every kind of event, any order.
#[must_use]
pub fn mean(seed: u64) -> History {
    let mut maker = Maker::new(seed);
    maker.universe(true);
    if maker.random.chance(35) {
        maker.history.execution = Execution::Commands;
    }
    maker.rules();
    let length = 15 + maker.random.below(35);
    while maker.history.inputs.len() < length {
        maker.event();
    }
    maker.history
}

/// A mean history as a daemon records it: what is promoted is copied, and registries tell of what
/// the copies put there, some at once, some late, some never, some twice.
#[must_use]
pub fn recorded(seed: u64) -> History {
    let mut maker = Maker::new(seed);
    maker.universe(true);
    maker.history.execution = Execution::Commands;
    maker.history.echoing = true;
    maker.rules();
    let length = 20 + maker.random.below(50);
    while maker.history.inputs.len() < length {
        match maker.random.below(10) {
            0..=2 if !maker.commands.is_empty() => maker.outcome(),
            3 if !maker.echoes.is_empty() => maker.echo(),
            _ => maker.event(),
        }
    }
    maker.history
}

/// Rules that a mean history could have been under.
#[must_use]
pub fn other_rules(seed: u64) -> Vec<RuleFile> {
    let mut maker = Maker::new(seed);
    rule_files(&maker.rule_text())
}

/// A tame history, under one rule that asks only for scans: pushes of images and applications
/// first, then facts that no order can contradict.
#[must_use]
pub fn tame(seed: u64) -> (History, usize) {
    let mut maker = Maker::new(seed);
    maker.universe(false);
    maker.activate("r: dev/* -> staging/{1}; tag: {tag}-{short_digest} when true");
    for _ in 0..2 + maker.random.below(4) {
        let name = maker.name();
        let bare = maker.random.chance(50);
        let repository = *maker.random.pick(&REPOSITORIES[..2]);
        maker.push(repository, Some(true), &name, bare);
    }
    let facts_from = maker.history.inputs.len();
    for name in maker.history.names.clone() {
        if maker.random.chance(85) {
            let facts = maker.history.contents.facts(&name, false);
            maker.say("weir.manifest.resolved", facts);
        }
        if maker.random.chance(85) {
            maker.say(
                "weir.scan.completed",
                json!({"digest": digest(&name), "scanner": {"name": "trivy"}, "findings": []}),
            );
        }
    }
    (maker.history, facts_from)
}

struct Maker {
    random: Random,
    now: Timestamp,
    history: History,
    /// Played along, so that commands can be carried out.
    state: State,
    commands: VecDeque<weir_rules::Copy>,
    began: bool,
    /// Copies of which registries will tell.
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
                echoing: false,
            },
            state: State::new(Settings::default()),
            commands: VecDeque::new(),
            began: false,
            echoes: VecDeque::new(),
        }
    }

    fn universe(&mut self, mean: bool) {
        for n in 0..2 + self.random.below(3) {
            self.declare(format!("image{n}"), Manifest::image());
        }
        if mean && self.random.chance(30) {
            self.declare("signature".into(), Manifest::signature());
        }
        for n in 0..1 + self.random.below(3) {
            let app = self.random.chance(60);
            let mut children = Vec::new();
            let least = usize::from(!mean);
            for _ in 0..least + self.random.below(4) {
                let role = match self.random.below(if mean { 12 } else { 8 }) {
                    0..=5 if app => Role::Component,
                    6 if app => Role::Invocation,
                    8 if app => Role::Config,
                    9 => Role::Attestation,
                    10 => Role::Artifact,
                    11 if app && self.random.chance(20) => Role::Mystery,
                    _ => Role::Plain,
                };
                children.push((self.name(), role));
            }
            self.declare(format!("index{n}"), Manifest::index(app, children));
        }
    }

    fn declare(&mut self, name: String, manifest: Manifest) {
        self.history.contents.declare(&name, manifest);
        self.history.names.push(name);
    }

    fn name(&mut self) -> String {
        self.random.pick(&self.history.names).clone()
    }

    fn rules(&mut self) {
        let text = self.rule_text();
        self.activate(&text);
    }

    fn rule_text(&mut self) -> String {
        let mut text = String::new();
        for n in 0..1 + self.random.below(3) {
            let (way, expression) = (self.random.pick(&WAYS), self.random.pick(&EXPRESSIONS));
            let mut headers = String::new();
            if self.random.chance(60) {
                headers.push_str(*self.random.pick(&HEADERS[..]));
            }
            text.push_str(&format!("r{n}: {way}{headers} when {expression}\n"));
        }
        if self.random.chance(40) {
            let to = self.random.pick(&["prod/*", "staging/*", "**"]);
            text.push_str(&format!(
                "deny d: ** -> {to} when {}\n",
                self.random.pick(&DENIES)
            ));
        }
        text
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
        let taken = step(
            &mut self.state,
            self.now,
            &event.body,
            self.history.execution,
        );
        for Command::Copy(copy) in taken.commands {
            self.commands.push_back(copy);
        }
        for conclusion in taken.conclusions {
            if let Body::PromotionFailed(outcome) = conclusion.body {
                let known = self.commands.len();
                self.commands
                    .retain(|copy| copy.promotion_id != outcome.promotion_id);
                self.began &= known == self.commands.len();
            }
        }
        self.history.inputs.push((self.now, event.body));
    }

    fn push(&mut self, repository: &str, tag: Option<bool>, name: &str, bare: bool) {
        let mut data = self.history.contents.facts(name, bare);
        data["repository"] = repository.into();
        if tag.unwrap_or_else(|| self.random.chance(90)) {
            data["tag"] = (*self.random.pick(&TAGS)).into();
        }
        if self.random.chance(60) {
            data["actor"] = (*self.random.pick(&ACTORS)).into();
        }
        self.say("weir.image.pushed", data);
    }

    /// Scans everything, mostly clean: the way to a promotion.
    fn scan_all(&mut self) {
        for name in self.history.names.clone() {
            if self.random.chance(80) {
                self.completed(&name, 75);
            }
        }
    }

    fn completed(&mut self, name: &str, clean: usize) {
        let mut data = json!({
            "digest": digest(name), "scanner": {"name": self.random.pick(&SCANNERS)},
        });
        if self.random.chance(30) {
            let day = 1 + self.random.below(4);
            data["scanner"]["db_updated_at"] = format!("2026-03-0{day}T00:00:00Z").into();
        }
        let mut findings = Vec::new();
        while !self.random.chance(clean) && findings.len() < 3 {
            let number = self.random.below(3);
            findings.push(json!({
                "id": format!("CVE-{number}"), "package": format!("p{number}"),
                "severity": SEVERITIES[number],
            }));
        }
        if self.random.chance(10) {
            data["counts"] = json!({"HIGH": self.random.below(2)});
        } else {
            data["findings"] = findings.into();
        }
        if self.random.chance(10) {
            let required = self.history.contents.required(name);
            data["covers"] = required.iter().map(|name| json!(digest(name))).collect();
        }
        self.say("weir.scan.completed", data);
    }

    fn event(&mut self) {
        if !self.commands.is_empty() && self.random.chance(35) {
            return self.outcome();
        }
        let name = self.name();
        let repository = *self.random.pick(&REPOSITORIES);
        let tag = *self.random.pick(&TAGS);
        let actor = *self.random.pick(&ACTORS);
        let scanner = *self.random.pick(&SCANNERS);
        match self.random.below(100) {
            0..=21 => {
                let repository = match self.random.below(3) {
                    0 => repository,
                    _ => "dev/web",
                };
                let bare = self.random.chance(25);
                self.push(repository, None, &name, bare);
            }
            22..=31 => {
                let data = self.history.contents.facts(&name, false);
                self.say("weir.manifest.resolved", data);
            }
            32..=41 => self.completed(&name, 50),
            42..=46 => self.scan_all(),
            47..=50 => self.say(
                "weir.scan.started",
                json!({"digest": digest(&name), "scanner": {"name": scanner}}),
            ),
            51..=55 => self.say(
                "weir.scan.failed",
                json!({"digest": digest(&name), "scanner": {"name": scanner}, "reason": "boom"}),
            ),
            56..=60 => self.grant(&name, actor),
            61..=62 => {
                let id = format!("o{}", self.random.below(3));
                self.say(
                    "weir.override.revoked",
                    json!({"override_id": id, "actor": actor}),
                );
            }
            63..=68 => {
                let kind = match self.random.below(4) {
                    0 => "weir.approval.revoked",
                    _ => "weir.approval.granted",
                };
                let target = *self
                    .random
                    .pick(&["staging/web", "prod/web", "staging/api"]);
                let source = *self.random.pick(&REPOSITORIES[..3]);
                self.say(
                    kind,
                    json!({
                        "repository": source, "digest": digest(&name), "target": target,
                        "actor": actor,
                    }),
                );
            }
            69..=71 => {
                let scope = match self.random.below(4) {
                    0 => json!({}),
                    1 => json!({"repository": "prod/*"}),
                    2 => json!({"digest": digest(&name)}),
                    _ => json!({"rule": "r0"}),
                };
                self.say(
                    "weir.hold.placed",
                    json!({"hold_id": "h", "actor": actor, "reason": "freeze", "scope": scope}),
                );
            }
            72..=75 => self.say(
                "weir.hold.released",
                json!({"hold_id": "h", "actor": actor}),
            ),
            76..=78 => self.say(
                "weir.tag.deleted",
                json!({"repository": repository, "tag": tag}),
            ),
            79..=83 => self.say(
                "weir.manifest.deleted",
                json!({"repository": repository, "digest": digest(&name)}),
            ),
            84 => self.say("weir.repository.deleted", json!({"repository": repository})),
            85..=87 => {
                let immutable = self.random.chance(60);
                self.say(
                    "weir.repository.configured",
                    json!({"repository": repository, "immutable_tags": immutable}),
                );
            }
            88..=90 => self.rules(),
            91..=92 => {
                let waive = match self.random.below(2) {
                    0 => json!([]),
                    _ => json!(["scan-missing", "held"]),
                };
                self.say(
                    "weir.promotion.requested",
                    json!({
                        "repository": repository, "tag": tag, "actor": actor, "reason": "wanted",
                        "target": {"repository": "prod/web", "tag": tag}, "waive": waive,
                    }),
                );
            }
            _ => self.say("weir.clock.ticked", json!({})),
        }
    }

    fn grant(&mut self, name: &str, actor: &str) {
        let mut data = json!({
            "override_id": format!("o{}", self.random.below(3)),
            "vulnerability": format!("CVE-{}", self.random.below(3)),
            "reason": "not reachable", "actor": actor, "scope": {},
        });
        if self.random.chance(30) {
            data["scope"]["repository"] = "dev/*".into();
        }
        if self.random.chance(30) {
            data["scope"]["digest"] = json!(digest(name));
        }
        if self.random.chance(40) {
            let hours = i64::try_from(self.random.below(20)).unwrap_or(0) - 2;
            let end = self.now.saturating_add(chrono::TimeDelta::hours(hours));
            data["expires_at"] = json!(end);
        }
        self.say("weir.override.granted", data);
    }

    /// The next step of the oldest command.
    fn outcome(&mut self) {
        let Some(copy) = self.commands.front().cloned() else {
            return;
        };
        let mut data = json!({
            "promotion_id": copy.promotion_id, "rule": copy.rule,
            "source": copy.source, "target": copy.target,
        });
        if !self.began {
            self.began = true;
            if self.history.echoing {
                let times = self.random.below(3);
                self.echoes.extend(std::iter::repeat_n(copy, times));
            }
            return self.say("weir.promotion.started", data);
        }
        self.began = false;
        self.commands.pop_front();
        if self.random.chance(85) {
            self.say("weir.promotion.completed", data);
        } else {
            data["error"] = "gone".into();
            self.say("weir.promotion.failed", data);
        }
    }

    /// A registry tells of a copy: of the tag, or of something that is in it.
    fn echo(&mut self) {
        let Some(copy) = self.echoes.pop_front() else {
            return;
        };
        let whole = copy.source.digest.as_ref();
        let whole = self
            .history
            .names
            .iter()
            .find(|name| Some(&digest(name)) == whole);
        let (Some(whole), Ok(repository)) = (
            whole.cloned(),
            copy.target
                .repository
                .parse::<weir_schema::RepositoryName>(),
        ) else {
            return;
        };
        let children = self.history.contents.get(&whole).children;
        let parts: Vec<String> = children
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .collect();
        let bare = self.random.chance(50);
        if !parts.is_empty() && self.random.chance(40) {
            let part = self.random.pick(&parts).clone();
            let mut data = self.history.contents.facts(&part, bare);
            data["repository"] = json!(repository);
            data["actor"] = "weir".into();
            // The tag is told of later.
            self.echoes.push_back(copy);
            return self.say("weir.image.pushed", data);
        }
        if copy.target.tag.parse::<weir_schema::Tag>().is_ok() {
            let mut data = self.history.contents.facts(&whole, bare);
            data["repository"] = json!(repository);
            data["tag"] = copy.target.tag.into();
            data["actor"] = "weir".into();
            self.say("weir.image.pushed", data);
        }
    }
}
