//! Mean histories: every kind of event, any order.

use serde_json::{Value, json};
use weir_rules::{Execution, Settings, State};
use weir_schema::media_type;

use super::{
    History, Maker,
    texts::{
        ACTORS, DENIES, DENY_HEADERS, EASY, EXPRESSIONS, HEADERS, PATTERNS, REPOSITORIES, SCANNERS,
        SEVERITIES, TAGS, TARGETS, WAYS,
    },
};
use crate::content::{Manifest, Role, digest};

/// The promotion of which generated histories tell although they never decided it.
pub const FOREIGN: &str = "p999999";

/// A mean history.
#[must_use]
pub fn mean(seed: u64) -> History {
    let mut maker = Maker::new(seed);
    if maker.random.chance(20) {
        maker.history.settings = Settings {
            bundle_repositories: Some("dev/api".parse().expect("a pattern")),
        };
        maker.state = State::new(maker.history.settings.clone());
    }
    maker.universe(true);
    if maker.random.chance(35) {
        maker.history.execution = Execution::Commands;
    }
    maker.rules();
    let length = 15 + maker.random.below(45);
    while maker.history.inputs.len() < length {
        maker.event();
    }
    maker.history
}

impl Maker {
    /// Declares what there is: images, indexes of them and of each other.
    pub(super) fn universe(&mut self, mean: bool) {
        for n in 0..2 + self.random.below(3) {
            self.declare(format!("image{n}"), Manifest::image());
        }
        if mean && self.random.chance(30) {
            self.declare("signature".into(), Manifest::signature());
        }
        if mean && self.random.chance(3) {
            self.tower();
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
                    11 if app && self.random.chance(50) => Role::Mystery,
                    _ => Role::Plain,
                };
                children.push((self.name(), role));
            }
            self.declare(format!("index{n}"), Manifest::index(app, children));
        }
    }

    /// Indexes in indexes, about as deep as is allowed.
    fn tower(&mut self) {
        let mut inner = "image0".to_owned();
        for floor in 0..7 + self.random.below(4) {
            let name = format!("floor{floor}");
            let children = vec![(inner, Role::Plain)];
            self.declare(name.clone(), Manifest::index(false, children));
            inner = name;
        }
    }

    pub(super) fn rules(&mut self) {
        let mut text = self.rule_text();
        // A set that is refused leaves the one in force.
        let wrong = !self.history.inputs.is_empty() && self.random.chance(2);
        if wrong {
            text = "r0: dev/* -> staging/{1} when no.such.fact".into();
        }
        self.activate(&text);
        let refused = self.state.rules_refused();
        assert_eq!(refused.is_some(), wrong, "{text}{refused:?}");
    }

    pub(super) fn rule_text(&mut self) -> String {
        let mut text = String::new();
        for n in 0..1 + self.random.below(3) {
            let mut head = (*self.random.pick(&WAYS)).to_owned();
            if self.random.chance(20) && !head.contains("tag:") {
                head.push_str(self.random.pick::<&str>(&TARGETS));
            }
            if self.random.chance(40) {
                head.push_str(self.random.pick::<&str>(&HEADERS));
            }
            let mut condition = (*self.random.pick(&EASY)).to_owned();
            if self.random.chance(50) {
                condition = (*self.random.pick(&EXPRESSIONS)).to_owned();
            }
            if self.random.chance(10) {
                condition = format!("({condition}) && ({})", self.random.pick(&EXPRESSIONS));
            }
            text.push_str(&format!("r{n}: {head} when {condition}\n"));
        }
        for n in 0..2 {
            if self.random.chance(20) {
                let to = self.random.pick(&["prod/*", "staging/*", "**"]);
                let header = self.random.pick(&DENY_HEADERS);
                let condition = self.random.pick(&DENIES);
                text.push_str(&format!("deny d{n}: ** -> {to}{header} when {condition}\n"));
            }
        }
        text
    }

    pub(super) fn push(&mut self, repository: &str, tag: Option<bool>, name: &str, bare: bool) {
        let mut data = self.history.contents.facts(name, bare);
        data["repository"] = repository.into();
        if tag.unwrap_or_else(|| self.random.chance(90)) {
            data["tag"] = (*self.random.pick(&TAGS)).into();
        }
        if self.random.chance(60) {
            data["actor"] = (*self.random.pick(&ACTORS)).into();
        } else if self.random.chance(30) {
            data["found_at_registry"] = true.into();
        }
        self.say("weir.image.pushed", data);
    }

    /// A push as some sources tell it: not what it is, or by cosign's scheme what it refers to.
    fn odd_push(&mut self, repository: &str, name: &str) {
        let mut data = if self.random.chance(50) {
            json!({"digest": digest(name), "media_type": media_type::UNTOLD})
        } else {
            self.history.contents.facts(name, false)
        };
        data["repository"] = repository.into();
        data["tag"] = if self.random.chance(40) {
            let subject = self.name();
            format!("sha256-{}.sig", digest(&subject).hex()).into()
        } else {
            (*self.random.pick(&TAGS)).into()
        };
        self.say("weir.image.pushed", data);
    }

    fn resolved(&mut self, name: &str) {
        let mut data = self.history.contents.facts(name, false);
        if self.random.chance(30) {
            data["labels"] = json!({"team": self.random.pick(&["a", "b"])});
        }
        if self.random.chance(30) {
            data["config_digest"] = json!(digest(&format!("config of {name}")));
        }
        if name == "signature" && self.random.chance(70) {
            data["subject"] = json!(digest(&self.name()));
        }
        self.say("weir.manifest.resolved", data);
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
        if self.random.chance(20) {
            let hour = self.random.below(24);
            data["scanned_at"] = format!("2026-03-02T{hour:02}:00:00Z").into();
        }
        let mut findings = Vec::new();
        while !self.random.chance(clean) && findings.len() < 3 {
            findings.push(self.finding());
        }
        if self.random.chance(10) {
            data["counts"] = json!({"HIGH": self.random.below(2)});
        } else {
            data["findings"] = findings.into();
        }
        if self.random.chance(10) {
            data["licenses"] = json!(["GPL-3.0", "MIT"]);
        }
        if self.random.chance(10) {
            let required = self.history.contents.required(name);
            data["covers"] = required.iter().map(|name| json!(digest(name))).collect();
        }
        self.say("weir.scan.completed", data);
    }

    fn finding(&mut self) -> Value {
        let number = self.random.below(4);
        let mut finding = json!({
            "id": format!("CVE-{number}"), "package": format!("p{}", number % 3),
            "severity": SEVERITIES[number],
        });
        if self.random.chance(20) {
            finding["fixed_version"] = format!("1.{}", self.random.below(2)).into();
        }
        if self.random.chance(20) {
            finding["score"] = json!(self.random.below(10));
        }
        finding
    }

    pub(super) fn event(&mut self) {
        if !self.copies.is_empty() && self.random.chance(35) {
            return self.outcome();
        }
        let name = self.name();
        let repository = *self.random.pick(&REPOSITORIES);
        let tag = *self.random.pick(&TAGS);
        let actor = *self.random.pick(&ACTORS);
        let scanner = *self.random.pick(&SCANNERS);
        match self.random.below(108) {
            0..=21 => {
                let repository = match self.random.below(3) {
                    0 => repository,
                    _ => "dev/web",
                };
                let bare = self.random.chance(25);
                self.push(repository, None, &name, bare);
            }
            22..=31 => self.resolved(&name),
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
            63..=68 => self.vote(&name, actor),
            69..=71 => self.hold(&name, actor),
            72..=75 => {
                let id = format!("h{}", self.random.below(2));
                self.say("weir.hold.released", json!({"hold_id": id, "actor": actor}));
            }
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
            91..=93 => self.request(repository, tag, actor),
            94..=96 => self.odd_push(repository, &name),
            97 => self.foreign(&name, repository, tag),
            98 => self.retry(actor),
            99..=100 => self.aside(&name, repository, scanner),
            _ => self.say("weir.clock.ticked", json!({})),
        }
    }

    /// What changes no verdict by itself.
    fn aside(&mut self, name: &str, repository: &str, scanner: &str) {
        match self.random.below(5) {
            0 => {
                let day = 1 + self.random.below(4);
                let at = format!("2026-03-0{day}T06:00:00Z");
                self.say(
                    "weir.scanner.updated",
                    json!({"scanner": {"name": scanner, "db_updated_at": at}}),
                );
            }
            1 => self.say("weir.repository.created", json!({"repository": repository})),
            2 => self.say(
                "weir.scan.requested",
                json!({
                    "digest": digest(name), "repository": repository,
                    "reference": format!("{repository}@{}", digest(name)),
                }),
            ),
            3 => self.say(
                "weir.input.rejected",
                json!({"reason": "no JSON", "payload_digest": digest("payload")}),
            ),
            _ => self.say("org.example.thing", json!({"digest": digest(name)})),
        }
    }

    fn grant(&mut self, name: &str, actor: &str) {
        let mut data = json!({
            "override_id": format!("o{}", self.random.below(3)),
            "vulnerability": format!("CVE-{}", self.random.below(4)),
            "reason": "not reachable", "actor": actor, "scope": {},
        });
        if self.random.chance(30) {
            data["scope"]["repository"] = (*self.random.pick(&PATTERNS)).into();
        }
        if self.random.chance(30) {
            data["scope"]["digest"] = json!(digest(name));
        }
        if self.random.chance(20) {
            data["scope"]["package"] = format!("p{}", self.random.below(3)).into();
        }
        if self.random.chance(40) {
            let hours = i64::try_from(self.random.below(20)).unwrap_or(0) - 2;
            let end = self.now.saturating_add(chrono::TimeDelta::hours(hours));
            data["expires_at"] = json!(end);
        }
        self.say("weir.override.granted", data);
    }

    fn vote(&mut self, name: &str, actor: &str) {
        let kind = match self.random.below(4) {
            0 => "weir.approval.revoked",
            _ => "weir.approval.granted",
        };
        let target = *self
            .random
            .pick(&["staging/web", "prod/web", "staging/api"]);
        let source = *self.random.pick(&REPOSITORIES[..4]);
        self.say(
            kind,
            json!({
                "repository": source, "digest": digest(name), "target": target, "actor": actor,
            }),
        );
    }

    fn hold(&mut self, name: &str, actor: &str) {
        let id = format!("h{}", self.random.below(2));
        let mut scope = json!({});
        if self.random.chance(40) {
            scope["repository"] = (*self.random.pick(&PATTERNS)).into();
        }
        if self.random.chance(30) {
            scope["digest"] = json!(digest(name));
        }
        if self.random.chance(30) {
            scope["rule"] = (*self.random.pick(&["r0", "r1"])).into();
        }
        self.say(
            "weir.hold.placed",
            json!({"hold_id": id, "actor": actor, "reason": "freeze", "scope": scope}),
        );
    }

    fn request(&mut self, repository: &str, tag: &str, actor: &str) {
        let waive = match self.random.below(3) {
            0 => json!([]),
            1 => json!(["denied"]),
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

    /// Word of a promotion that this log knows nothing of.
    fn foreign(&mut self, name: &str, repository: &str, tag: &str) {
        let kind = *self.random.pick(&[
            "weir.promotion.started",
            "weir.promotion.completed",
            "weir.promotion.failed",
        ]);
        let rule = *self.random.pick(&["r0", "manual"]);
        self.say(
            kind,
            json!({
                "promotion_id": FOREIGN, "rule": rule,
                "source": {"repository": repository, "tag": tag, "digest": digest(name)},
                "target": {"repository": "staging/web", "tag": tag}, "error": "superseded",
            }),
        );
    }

    /// Somebody wants what was given up to be tried again; sometimes nobody gave it up.
    fn retry(&mut self, actor: &str) {
        let unknown = [FOREIGN.to_owned()];
        let promotion = match self.given_up.is_empty() {
            true => self.random.pick(&unknown).clone(),
            false => self.random.pick(&self.given_up).clone(),
        };
        let data = json!({"promotion_id": promotion, "actor": actor});
        self.say("weir.promotion.retried", data);
    }

    /// The next step of the oldest copy.
    pub(super) fn outcome(&mut self) {
        let Some(copy) = self.copies.front().cloned() else {
            return;
        };
        let mut data = json!({
            "promotion_id": copy.promotion_id, "rule": copy.rule,
            "source": copy.source, "target": copy.target,
        });
        if !self.began {
            self.began = true;
            if self.echoing {
                let times = self.random.below(3);
                self.echoes.extend(std::iter::repeat_n(copy, times));
            }
            return self.say("weir.promotion.started", data);
        }
        if self.random.chance(20) {
            // The registry's own notification may come first.
            let repository: &str = &copy.target.repository;
            let facts = json!({
                "repository": repository, "tag": copy.target.tag,
                "digest": copy.source.digest, "media_type": media_type::UNTOLD,
            });
            return self.say("weir.image.pushed", facts);
        }
        self.began = false;
        self.copies.pop_front();
        if self.random.chance(85) {
            self.say("weir.promotion.completed", data);
        } else {
            data["error"] = "gone".into();
            self.given_up.push(copy.promotion_id);
            self.say("weir.promotion.failed", data);
        }
    }
}
