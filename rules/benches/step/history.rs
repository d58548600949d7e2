//! A history as a registry with many teams makes it, from a seed.
//!
//! Applications of a few images: two of their own, which come and go with each build, and some
//! that many applications share. A build mostly moves the application's tag; some have a tag of
//! their own, deleted later at each stage. Images are scanned when they come and again later;
//! mostly the second report says what the first did, and many images have the same report.

use std::collections::{BTreeMap, VecDeque};

use weir_schema::{
    Approval, Body, Descriptor, Digest, Finding, HoldPlaced, HoldScope, ImagePushed,
    ManifestDeleted, OverrideGranted, OverrideRevoked, OverrideScope, RuleFile, RulesActivated,
    ScanCompleted, Scanner, Severity, TagDeleted, Timestamp, media_type,
};

/// Teams; each has a rule to its stage and one from there to production.
pub const TEAMS: usize = 8;

/// Images that applications share.
const SHARED: usize = 4_000;

/// Different reports.
const REPORTS: usize = 3_000;

/// Different vulnerabilities.
const VULNERABILITIES: usize = 20_000;

/// Numbers from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A number below `end`, small ones more often.
    pub fn skewed(&mut self, end: usize) -> usize {
        let unit = self.below(1 << 20) as f64 / f64::from(1 << 20);
        (unit * unit * end as f64) as usize
    }
}

/// A digest that nothing else has.
pub fn digest(kind: &str, number: usize) -> Digest {
    Digest::of(format!("{kind} {number}").as_bytes())
}

/// Twenty rules: for each team to its stage and to production, and four that deny.
pub fn rules() -> Body {
    let to_stage = [
        "scan.critical == 0",
        "scan.critical == 0 && scan.high <= 20",
        "tag.name.matches(\"^[0-9]+\\\\.[0-9]+$\") && scan.critical == 0",
        "images.all(i, i.scan.state == \"completed\") && scan.critical == 0",
        "vulnerabilities.all(v, v.severity != \"CRITICAL\")",
        "scan.critical == 0 && scan.max_score < 9.9",
        "artifact.class == \"app\" || scan.critical == 0",
        "vulnerabilities.all(v, v.severity != \"CRITICAL\" || v.age < duration(\"72h\"))",
    ];
    let to_production = [
        "class: app",
        "soak: 1h",
        "approvals: 1",
        "class: app, index",
        "window: Mon-Fri 08:00-18:00 Europe/Berlin",
        "soak: 24h",
        "scanners: trivy",
        "class: app",
    ];
    let mut files = Vec::new();
    for team in 0..TEAMS {
        let clause = to_stage[team];
        files.push(rule(
            &format!("stage-{team}"),
            &format!("//! from: dev/team-{team}/*\n//! to: staging/team-{team}/{{1}}\n{clause}\n"),
        ));
        let header = to_production[team];
        files.push(rule(
            &format!("production-{team}"),
            &format!(
                "//! from: staging/team-{team}/*\n//! to: prod/team-{team}/{{1}}\n//! {header}\nscan.critical == 0\n"
            ),
        ));
    }
    for (name, clause) in [
        (
            "known-bad",
            "vulnerabilities.exists(v, v.id == \"CVE-19999\")",
        ),
        ("nightly", "tag.name == \"nightly\""),
        ("many-highs", "scan.high > 40"),
        ("unlabelled", "\"forbidden\" in artifact.labels"),
    ] {
        files.push(rule(
            name,
            &format!("//! kind: deny\n//! from: **\n//! to: prod/**\n{clause}\n"),
        ));
    }
    Body::RulesActivated(RulesActivated { files, actor: None })
}

fn rule(name: &str, text: &str) -> RuleFile {
    RuleFile {
        path: format!("{name}.cel"),
        text: format!("//! rule: {name}\n{text}"),
    }
}

/// Makes events.
pub struct Maker {
    pub random: Random,
    pub now: Timestamp,
    reports: Vec<Vec<Finding>>,
    /// The report that each image had last.
    report_of: BTreeMap<Digest, usize>,
    /// Images that nobody scanned yet.
    unscanned: VecDeque<Digest>,
    /// Images that were scanned, the youngest last.
    scanned: Vec<Digest>,
    shared: Vec<Digest>,
    /// The last images that each team built.
    built: Vec<VecDeque<Digest>>,
    /// Tags that are to be deleted, the oldest first.
    old: VecDeque<(String, String, Digest)>,
    overrides: VecDeque<String>,
    number: usize,
    pub apps: usize,
}

impl Maker {
    pub fn new(seed: u64, apps: usize) -> Self {
        let mut random = Random::new(seed);
        let reports = (0..REPORTS).map(|_| findings(&mut random)).collect();
        Self {
            random,
            now: "2026-03-02T08:00:00Z".parse().expect("a time"),
            reports,
            report_of: BTreeMap::new(),
            unscanned: VecDeque::new(),
            scanned: Vec::new(),
            shared: (0..SHARED).map(|n| digest("shared", n)).collect(),
            built: vec![VecDeque::new(); TEAMS],
            old: VecDeque::new(),
            overrides: VecDeque::new(),
            number: 0,
            apps,
        }
    }

    fn number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    /// What there is before the mixed history begins: every application once, everything scanned.
    pub fn beginning(&mut self) -> Vec<(Timestamp, Body)> {
        let mut events = vec![(self.now, rules())];
        for shared in self.shared.clone() {
            let scan = self.scan(shared);
            events.push((self.now, scan));
        }
        for app in 0..self.apps {
            for _ in 0..2 {
                let push = self.push_image(app % TEAMS);
                events.push((self.now, push));
            }
            while let Some(image) = self.unscanned.pop_front() {
                let scan = self.scan(image);
                events.push((self.now, scan));
            }
            let push = self.push_app(app);
            events.push((self.now, push));
        }
        events
    }

    /// An event of the mixed history: 42 % pushes, 44 % scans, 7 % overrides, 7 % deletions.
    pub fn event(&mut self) -> (Timestamp, Body) {
        let pass = self.random.below(2_000);
        self.now = self
            .now
            .saturating_add(chrono::TimeDelta::milliseconds(pass as i64));
        let body = match self.random.below(100) {
            0..=20 => {
                let team = self.random.below(TEAMS);
                self.push_image(team)
            }
            21..=41 => {
                let app = self.random.skewed(self.apps);
                self.push_app(app)
            }
            42..=63 => {
                let next = self.unscanned.pop_front();
                let image = next.unwrap_or_else(|| self.known_image());
                self.scan(image)
            }
            64..=85 => {
                let image = self.known_image();
                self.scan(image)
            }
            86..=90 => self.grant(),
            91..=92 => self.revoke(),
            _ => self.delete(),
        };
        (self.now, body)
    }

    /// Mostly one of the last builds; one of five is an image that applications share.
    fn known_image(&mut self) -> Digest {
        if self.random.chance(20) {
            let number = self.random.skewed(SHARED);
            return self.shared[number].clone();
        }
        let back = self.random.skewed(self.scanned.len());
        self.scanned[self.scanned.len() - 1 - back].clone()
    }

    /// An image, mostly by its digest for an application to come, else as a service of its own.
    pub fn push_image(&mut self, team: usize) -> Body {
        let number = self.number();
        let image = digest("image", number);
        self.unscanned.push_back(image.clone());
        self.built[team].push_back(image.clone());
        if self.built[team].len() > 50 {
            self.built[team].pop_front();
        }
        let service = self.random.skewed(200);
        let tag = self.random.chance(30).then_some("latest");
        push(
            &format!("dev/team-{team}/service-{service}"),
            tag,
            image,
            None,
        )
    }

    pub fn push_app(&mut self, app: usize) -> Body {
        let (team, number) = (app % TEAMS, self.number());
        let index = digest("app", number);
        let mut children = vec![descriptor(digest("config", number), "config", None)];
        for place in 0..2 {
            let own = self.built[team].iter().rev().nth(place).cloned();
            let own = own.unwrap_or_else(|| self.shared[place].clone());
            children.push(descriptor(own, "component", Some(&format!("own-{place}"))));
        }
        for place in 0..1 + self.random.below(2) {
            let shared = self.shared[self.random.skewed(SHARED)].clone();
            let name = format!("shared-{place}");
            children.push(descriptor(shared, "component", Some(&name)));
        }
        let repository = |stage: &str| format!("{stage}/team-{team}/app-{app}");
        let mut tag = "stable".to_owned();
        if self.random.chance(10) {
            tag = format!("1.{number}");
            for stage in ["dev", "staging", "prod"] {
                let old = (repository(stage), tag.clone(), index.clone());
                self.old.push_back(old);
            }
        }
        push(&repository("dev"), Some(&tag), index, Some(children))
    }

    /// A scan of an image: seven times in ten what was found before.
    pub fn scan(&mut self, image: Digest) -> Body {
        let known = self.report_of.get(&image).copied();
        let report = match known {
            Some(report) if self.random.chance(70) => report,
            _ => self.random.skewed(REPORTS),
        };
        self.report_of.insert(image.clone(), report);
        if known.is_none() {
            self.scanned.push(image.clone());
        }
        completed(image, self.reports[report].clone(), self.now)
    }

    /// Four of five overrides hold somewhere, not everywhere.
    fn grant(&mut self) -> Body {
        let id = format!("override-{}", self.number());
        self.overrides.push_back(id.clone());
        let team = self.random.below(TEAMS);
        let scope = OverrideScope {
            repository: self
                .random
                .chance(80)
                .then(|| format!("dev/team-{team}/app-{}", self.random.below(self.apps))),
            digest: None,
            package: None,
        };
        Body::OverrideGranted(OverrideGranted {
            override_id: id,
            vulnerability: format!("CVE-{}", self.random.below(VULNERABILITIES)),
            reason: "not reachable".into(),
            actor: "sara".into(),
            scope: Some(scope),
            expires_at: self
                .random
                .chance(50)
                .then(|| self.now.saturating_add(chrono::TimeDelta::hours(12))),
            status: None,
        })
    }

    fn revoke(&mut self) -> Body {
        let id = self.overrides.pop_front().unwrap_or_default();
        Body::OverrideRevoked(OverrideRevoked {
            override_id: id,
            actor: "sara".into(),
            reason: None,
        })
    }

    /// Old builds are deleted: mostly the tag, sometimes the manifest.
    fn delete(&mut self) -> Body {
        let Some((repository, tag, digest)) = self.old.pop_front() else {
            return Body::ClockTicked;
        };
        if self.random.chance(30) && repository.starts_with("dev") {
            return Body::ManifestDeleted(ManifestDeleted {
                repository: repository.parse().expect("a repository"),
                digest,
                actor: None,
            });
        }
        delete_tag(&repository, &tag)
    }
}

fn findings(random: &mut Random) -> Vec<Finding> {
    let count = random.skewed(16);
    let finding = |random: &mut Random| {
        let vulnerability = random.below(VULNERABILITIES);
        Finding {
            id: format!("CVE-{vulnerability}").into(),
            severity: match random.below(100) {
                0..=1 => Severity::Critical,
                2..=20 => Severity::High,
                21..=60 => Severity::Medium,
                _ => Severity::Low,
            },
            package: Some(format!("package-{}", vulnerability % 400).into()),
            version: Some(format!("1.{}", vulnerability % 30).into()),
            fixed_version: (!vulnerability.is_multiple_of(3))
                .then(|| format!("1.{}", vulnerability % 30 + 1).into()),
            score: Some((vulnerability % 99) as f64 / 10.0),
            layer: None,
        }
    };
    (0..count).map(|_| finding(random)).collect()
}

pub fn push(
    repository: &str,
    tag: Option<&str>,
    digest: Digest,
    manifests: Option<Vec<Descriptor>>,
) -> Body {
    let media_type = match &manifests {
        Some(_) => media_type::OCI_INDEX,
        None => media_type::OCI_MANIFEST,
    };
    Body::ImagePushed(ImagePushed {
        repository: repository.parse().expect("a repository"),
        digest,
        media_type: media_type.into(),
        tag: tag.map(|tag| tag.parse().expect("a tag")),
        size: Some(1_000),
        artifact_type: None,
        annotations: None,
        platform: None,
        manifests,
        actor: Some("builder".into()),
        found_at_registry: false,
    })
}

pub fn descriptor(digest: Digest, kind: &str, component: Option<&str>) -> Descriptor {
    let mut annotations = BTreeMap::from([("io.cnab.manifest.type".to_owned(), kind.to_owned())]);
    if let Some(component) = component {
        annotations.insert("io.cnab.component.name".to_owned(), component.to_owned());
    }
    Descriptor {
        digest,
        media_type: media_type::OCI_MANIFEST.into(),
        size: Some(500),
        platform: None,
        artifact_type: None,
        annotations: Some(annotations),
    }
}

pub fn completed(image: Digest, findings: Vec<Finding>, at: Timestamp) -> Body {
    Body::ScanCompleted(ScanCompleted {
        digest: image,
        scanner: Scanner {
            name: "trivy".into(),
            version: None,
            db_updated_at: Some(at),
        },
        findings: Some(findings),
        counts: None,
        licenses: None,
        scanned_at: Some(at),
        covers: None,
        report_digest: None,
    })
}

pub fn delete_tag(repository: &str, tag: &str) -> Body {
    Body::TagDeleted(TagDeleted {
        repository: repository.parse().expect("a repository"),
        tag: tag.parse().expect("a tag"),
        actor: None,
    })
}

pub fn hold(id: &str, scope: HoldScope) -> Body {
    Body::HoldPlaced(HoldPlaced {
        hold_id: id.into(),
        actor: "olga".into(),
        reason: "freeze".into(),
        scope: Some(scope),
    })
}

pub fn approve(repository: &str, target: &str, digest: Digest, actor: &str) -> Body {
    Body::ApprovalGranted(Approval {
        repository: repository.parse().expect("a repository"),
        digest,
        target: target.parse().expect("a repository"),
        actor: actor.into(),
        comment: None,
    })
}
