//! States of a given size, and records of each kind on them.
//!
//! Of twenty tags one is an application, promoted; eight are images under a rule that wait or are
//! refused; the others are under no rule.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use weir_rules::{Execution, Settings, State, step};
use weir_schema::{
    Body, Digest, Finding, HoldReleased, HoldScope, ManifestDeleted, OverrideGranted, Severity,
    Timestamp,
};

use crate::history::{
    Random, TEAMS, approve, completed, delete_tag, descriptor, digest, hold, push, rules,
};

/// A kind of record.
pub struct Kind {
    pub name: &'static str,
    make: fn(&mut World) -> Body,
}

pub const KINDS: &[Kind] = &[
    Kind {
        name: "scan of an image in an application",
        make: |world| {
            let app = world.any_app();
            let finding = world.finding();
            completed(digest("leaf", app * 4), vec![finding], world.now)
        },
    },
    Kind {
        name: "scan of an image that waits",
        make: |world| {
            let image = world.any(world.waiting);
            completed(digest("waiting", image), Vec::new(), world.now)
        },
    },
    Kind {
        name: "override of what one application has",
        make: |world| {
            let app = world.any_app();
            let number = world.number();
            Body::OverrideGranted(OverrideGranted {
                override_id: format!("override-{number}"),
                vulnerability: format!("CVE-app-{app}"),
                reason: "not reachable".into(),
                actor: "sara".into(),
                scope: None,
                expires_at: None,
                status: None,
            })
        },
    },
    Kind {
        name: "approval",
        make: |world| {
            let app = world.any_app() / TEAMS * TEAMS + 2;
            let (from, to) = (
                format!("staging/team-2/app-{app}"),
                format!("prod/team-2/app-{app}"),
            );
            let actor = format!("actor-{}", world.number());
            approve(&from, &to, digest("app", app), &actor)
        },
    },
    Kind {
        name: "hold on a digest",
        make: |world| {
            let scope = HoldScope {
                digest: Some(digest("app", world.any_app())),
                ..HoldScope::default()
            };
            let number = world.number();
            hold(&format!("hold-{number}"), scope)
        },
    },
    Kind {
        name: "hold on a repository",
        make: |world| {
            let app = world.any_app();
            let scope = HoldScope {
                repository: Some(format!("prod/team-{}/app-{app}", app % TEAMS)),
                ..HoldScope::default()
            };
            let number = world.number();
            hold(&format!("hold-{number}"), scope)
        },
    },
    Kind {
        name: "hold released",
        make: |world| {
            world.released += 1;
            Body::HoldReleased(HoldReleased {
                hold_id: format!("hold-{}", world.first_hold + world.released),
                actor: "olga".into(),
                reason: None,
            })
        },
    },
    Kind {
        name: "deletion of a tag",
        make: |world| {
            let app = world.any_app();
            delete_tag(&format!("dev/team-{}/app-{app}", app % TEAMS), "1.0")
        },
    },
    Kind {
        name: "deletion of a manifest in an application",
        make: |world| {
            let app = world.any_app();
            Body::ManifestDeleted(ManifestDeleted {
                repository: format!("dev/team-{}/app-{app}", app % TEAMS)
                    .parse()
                    .expect("a repository"),
                digest: digest("leaf", app * 4),
                actor: None,
            })
        },
    },
    Kind {
        name: "push of an application, which is promoted",
        make: |world| {
            let (app, number) = (world.any_app(), world.number());
            world.push_app(app, &format!("2.{number}"))
        },
    },
    Kind {
        name: "push of an image",
        make: |world| {
            let (service, number) = (world.any_service(), world.number());
            push(
                &service,
                Some(&format!("2.{number}")),
                digest("new", number),
                None,
            )
        },
    },
    Kind {
        name: "tick",
        make: |_| Body::ClockTicked,
    },
];

pub struct World {
    random: Random,
    pub now: Timestamp,
    state: State,
    apps: usize,
    waiting: usize,
    services: usize,
    turn: usize,
    number: usize,
    first_hold: usize,
    released: usize,
}

impl World {
    /// A state with so many tags.
    pub fn new(tags: usize) -> Self {
        let apps = (tags / 20).max(TEAMS);
        let mut world = Self {
            random: Random::new(3),
            now: "2026-03-02T10:00:00Z".parse().expect("a time"),
            state: State::new(Settings::default()),
            apps,
            waiting: tags * 8 / 20,
            services: (tags / 40).max(1),
            turn: 0,
            number: 0,
            first_hold: 0,
            released: 0,
        };
        world.take(&rules());
        for app in 0..apps {
            for leaf in 0..4 {
                let findings = match leaf {
                    0 => vec![world.finding_of(app)],
                    _ => Vec::new(),
                };
                let image = digest("leaf", app * 4 + leaf);
                world.take(&completed(image, findings, world.now));
            }
            let push = world.push_app(app, "1.0");
            world.take(&push);
        }
        for image in 0..world.waiting {
            let service = world.service(image);
            world.take(&push(
                &service,
                Some(&format!("1.{image}")),
                digest("waiting", image),
                None,
            ));
        }
        for image in 0..tags * 11 / 20 {
            let repository = format!("library/image-{}", image % world.services);
            let tag = format!("1.{image}");
            world.take(&push(
                &repository,
                Some(&tag),
                digest("library", image),
                None,
            ));
        }
        world
    }

    fn take(&mut self, body: &Body) -> usize {
        step(&mut self.state, self.now, body, Execution::AtOnce)
            .conclusions
            .len()
    }

    /// The times of some records of a kind, each about another application.
    pub fn measure(&mut self, kind: &Kind) -> Vec<Duration> {
        let count = (self.apps / 4).clamp(10, 400);
        if kind.name == "hold on a digest" {
            self.first_hold = self.number;
        }
        (0..count)
            .map(|_| {
                let body = (kind.make)(self);
                let began = Instant::now();
                self.take(&body);
                began.elapsed()
            })
            .collect()
    }

    /// What looking four digests up in a hash map of as many costs, in ns.
    pub fn floor(&mut self, count: usize) -> f64 {
        let tags = self.apps * 20;
        let map: HashMap<Digest, usize> = (0..tags).map(|n| (digest("floor", n), n)).collect();
        let wanted: Vec<Digest> = (0..count * 4)
            .map(|_| digest("floor", self.any(tags)))
            .collect();
        let began = Instant::now();
        let mut sum = 0;
        for digest in &wanted {
            sum += map.get(digest).copied().unwrap_or(0);
        }
        std::hint::black_box(sum);
        began.elapsed().as_nanos() as f64 / count as f64
    }

    fn any(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    /// Another application each time, all over the state.
    fn any_app(&mut self) -> usize {
        self.turn += 1;
        self.turn * 7_919 % self.apps
    }

    fn service(&self, image: usize) -> String {
        let service = image % self.services;
        format!("dev/team-{}/service-{service}", service % TEAMS)
    }

    fn any_service(&mut self) -> String {
        let image = self.any(self.services);
        self.service(image)
    }

    fn number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    fn finding_of(&self, app: usize) -> Finding {
        Finding {
            id: format!("CVE-app-{app}").into(),
            severity: Severity::High,
            package: Some("openssl".into()),
            version: Some("3.0.1".into()),
            fixed_version: Some("3.0.2".into()),
            score: Some(7.5),
            layer: None,
        }
    }

    fn finding(&mut self) -> Finding {
        let app = self.any_app();
        self.finding_of(app)
    }

    fn push_app(&mut self, app: usize, tag: &str) -> Body {
        let children = (0..4)
            .map(|leaf| {
                let name = format!("component-{leaf}");
                descriptor(digest("leaf", app * 4 + leaf), "component", Some(&name))
            })
            .collect();
        let index = match tag {
            "1.0" => digest("app", app),
            _ => digest("next app", self.number),
        };
        push(
            &format!("dev/team-{}/app-{app}", app % TEAMS),
            Some(tag),
            index,
            Some(children),
        )
    }
}

/// What one of `count` takes of what `resident` measures, with the state that holds them.
pub fn resident(what: &str, count: usize, resident: impl Fn() -> f64) -> (f64, State) {
    let now: Timestamp = "2026-03-02T10:00:00Z".parse().expect("a time");
    let mut state = State::new(Settings::default());
    let take = |state: &mut State, body: Body| {
        step(state, now, &body, Execution::AtOnce);
    };
    take(&mut state, rules());
    let image = |n: usize| digest("image", n);
    let repository = |n: usize, stage: &str| {
        let service = n / 20;
        format!("{stage}/team-{}/service-{service}", service % TEAMS)
    };
    let findings = |n: usize, own: usize| -> Vec<Finding> {
        (0..50)
            .map(|place| {
                let mine = place < own;
                let number = if mine { 1_000 + n * 50 + place } else { place };
                Finding {
                    id: format!("CVE-2026-{number}").into(),
                    severity: Severity::Medium,
                    package: Some(format!("package-{place}").into()),
                    version: Some("1.2.3".into()),
                    fixed_version: Some("1.2.4".into()),
                    score: Some(5.0),
                    layer: None,
                }
            })
            .collect()
    };
    let (count, parts) = match what {
        "applications" => (count / 5, 1),
        "different" | "similar" => (count / 10, 1),
        "promoted" => (count, 2),
        _ => (count, 1),
    };
    let is_scan = matches!(what, "same" | "similar" | "different");
    if is_scan {
        for n in 0..count {
            let tag = format!("1.{n}");
            take(
                &mut state,
                push(&repository(n, "library"), Some(&tag), image(n), None),
            );
        }
        take(
            &mut state,
            completed(digest("first", 0), findings(0, 0), now),
        );
    }
    if what == "applications" {
        for leaf in 0..count * 2 {
            take(&mut state, completed(digest("leaf", leaf), Vec::new(), now));
        }
    }
    let before = resident();
    for n in 0..count {
        let tag = format!("1.{n}");
        match what {
            "library" => take(
                &mut state,
                push(&repository(n, "library"), Some(&tag), image(n), None),
            ),
            "waiting" => take(
                &mut state,
                push(&repository(n, "dev"), Some(&tag), image(n), None),
            ),
            "promoted" => {
                take(
                    &mut state,
                    push(&repository(n, "dev"), Some(&tag), image(n), None),
                );
                take(&mut state, completed(image(n), Vec::new(), now));
            }
            "applications" => {
                let children = (0..4)
                    .map(|place| {
                        let leaf = match place {
                            0 => digest("unscanned", 0),
                            _ => digest("leaf", (n + place * 7) % (count * 2)),
                        };
                        descriptor(leaf, "component", Some(&format!("component-{place}")))
                    })
                    .collect();
                let repository = repository(n, "dev");
                take(
                    &mut state,
                    push(&repository, Some(&tag), digest("app", n), Some(children)),
                );
            }
            "same" => take(&mut state, completed(image(n), findings(n, 0), now)),
            "similar" => take(&mut state, completed(image(n), findings(n, 1), now)),
            "different" => take(&mut state, completed(image(n), findings(n, 50), now)),
            _ => panic!("`{what}` is nothing to measure"),
        }
    }
    ((resident() - before) / (count * parts) as f64, state)
}
