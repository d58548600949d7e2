//! Inputs that mean something: what the ledger's tests and the bench feed it.
//!
//! Releases and snapshots of applications and images are pushed, their images scanned one by one,
//! overrides granted, tags deleted; two rules promote from `dev` over `staging` to `production`.

use weir_engine::node::Incoming;
use weir_schema::{Position, Received, Timestamp};

use crate::records::Random;

const TO_STAGING: &str = r#"//! rule: to-staging
//! from: dev/*
//! to: staging/{1}
tag.name.startsWith("1.") && scan.critical == 0
  && vulnerabilities.all(v, v.severity != "HIGH" || v.age < duration("72h"))
"#;

const TO_PRODUCTION: &str = r#"//! rule: to-production
//! from: staging/*
//! to: production/{1}
//! class: app
//! soak: 1h
scan.high == 0
"#;

/// Inputs one after the other, from a seed.
pub struct History {
    seed: u64,
    random: Random,
    repositories: u64,
    count: u64,
    /// Images that were pushed and wait for their scan.
    unscanned: Vec<String>,
    pushed: Vec<(String, String)>,
}

impl History {
    pub fn new(seed: u64, repositories: u64) -> History {
        History {
            seed,
            random: Random::new(seed),
            repositories,
            count: 0,
            unscanned: Vec::new(),
            pushed: Vec::new(),
        }
    }

    pub fn take(&mut self, count: usize) -> Vec<Incoming> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Incoming {
        self.count += 1;
        let (kind, data) = if self.count == 1 {
            ("weir.rules.activated", rules())
        } else {
            self.event()
        };
        let at = Timestamp::from_nanos(
            1_790_000_000_000_000_000 + i128::from(self.count) * 2_000_000_000,
        )
        .expect("a time");
        let json = format!(
            r#"{{"data":{data},"id":"{}-{}","source":"/history","specversion":"1.0","time":"{at}","type":"{kind}"}}"#,
            self.seed, self.count
        );
        Incoming {
            received: Received::from_json(json.as_bytes()).expect("an event"),
            at,
            position: Position::Local,
        }
    }

    fn event(&mut self) -> (&'static str, String) {
        match self.random.below(100) {
            0..8 => self.app(),
            8..30 => self.image(),
            30..86 => self.scan(),
            86..92 => self.finding_overridden(),
            92..94 => ("weir.clock.ticked", "{}".to_owned()),
            94..97 => match self.pushed.pop() {
                Some((repository, tag)) => (
                    "weir.tag.deleted",
                    format!(r#"{{"repository":"{repository}","tag":"{tag}"}}"#),
                ),
                None => self.image(),
            },
            _ => {
                let repository = self.repository();
                (
                    "weir.repository.created",
                    format!(r#"{{"repository":"{repository}"}}"#),
                )
            }
        }
    }

    fn app(&mut self) -> (&'static str, String) {
        let (repository, digest, tag) = (self.repository(), self.digest(), self.tag());
        let manifests: Vec<String> = (0..2 + self.random.below(4))
            .map(|component| {
                let child = self.digest();
                self.unscanned.push(child.clone());
                format!(r#"{{"annotations":{{"io.cnab.component.name":"part-{component}","io.cnab.manifest.type":"component"}},"digest":"{child}","media_type":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"size":1357}}"#)
            })
            .collect();
        let manifests = manifests.join(",");
        let data = format!(
            r#"{{"actor":"ci","annotations":{{"io.docker.app.format":"cnab","io.docker.type":"app"}},"digest":"{digest}","manifests":[{manifests}],"media_type":"application/vnd.oci.image.index.v1+json","repository":"{repository}","tag":"{tag}"}}"#
        );
        self.pushed.push((repository, tag));
        ("weir.image.pushed", data)
    }

    fn image(&mut self) -> (&'static str, String) {
        let (repository, digest, tag) = (self.repository(), self.digest(), self.tag());
        let data = format!(
            r#"{{"actor":"ci","digest":"{digest}","media_type":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"repository":"{repository}","size":1234,"tag":"{tag}"}}"#
        );
        self.unscanned.push(digest);
        self.pushed.push((repository, tag));
        ("weir.image.pushed", data)
    }

    fn scan(&mut self) -> (&'static str, String) {
        if self.unscanned.is_empty() {
            return self.image();
        }
        let place = self.random.below(self.unscanned.len().min(50) as u64) as usize;
        let digest = self.unscanned.swap_remove(place);
        let findings: Vec<String> = (0..self.random.skewed(6)).map(|_| self.finding()).collect();
        let findings = findings.join(",");
        let data = format!(
            r#"{{"digest":"{digest}","findings":[{findings}],"scanner":{{"name":"trivy","version":"0.66.0"}}}}"#
        );
        ("weir.scan.completed", data)
    }

    fn finding_overridden(&mut self) -> (&'static str, String) {
        let (cve, id, repository) = (self.cve(), self.random.below(2000), self.repository());
        let data = format!(
            r#"{{"actor":"maria","expires_at":"2027-01-31T00:00:00Z","override_id":"o-{id}","reason":"not reachable","scope":{{"repository":"{repository}"}},"vulnerability":"{cve}"}}"#
        );
        ("weir.override.granted", data)
    }

    fn finding(&mut self) -> String {
        let severity = ["LOW", "MEDIUM", "HIGH", "CRITICAL"][self.random.skewed(4) as usize];
        let (cve, minor) = (self.cve(), self.random.skewed(30));
        format!(
            r#"{{"fixed_version":"1.{}.0","id":"{cve}","package":"openssl","severity":"{severity}","version":"1.{minor}.0"}}"#,
            minor + 1
        )
    }

    fn cve(&mut self) -> String {
        format!("CVE-2026-{}", 1000 + self.random.skewed(20_000))
    }

    fn repository(&mut self) -> String {
        format!("dev/app-{}", self.random.skewed(self.repositories))
    }

    fn tag(&mut self) -> String {
        let (major, patch) = (1 + self.random.below(3) / 2, self.random.skewed(40));
        format!("{major}.0.{patch}")
    }

    fn digest(&mut self) -> String {
        let words: Vec<String> = (0..4)
            .map(|_| format!("{:016x}", self.random.next()))
            .collect();
        format!("sha256:{}", words.concat())
    }
}

fn rules() -> String {
    let file = |path: &str, text: &str| format!(r#"{{"path":"{path}","text":{text:?}}}"#);
    format!(
        r#"{{"files":[{},{}]}}"#,
        file("to-production.cel", TO_PRODUCTION),
        file("to-staging.cel", TO_STAGING)
    )
}
