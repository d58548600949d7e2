//! What the log's tests and its bench share: typical records from a seed.

use weir_engine::log::{EncodedRecord, Hash, Log, LogReader, ReadError};
use weir_schema::Timestamp;
use weir_schema::record::{NO_HASH, hex};

/// A small pseudo-random generator (splitmix64): the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers more often than large ones.
    pub fn skewed(&mut self, limit: u64) -> u64 {
        let top = self.below(limit) + 1;
        self.below(top)
    }
}

/// Makes records one after the other, chained, as a registry's stream would cause them: pushes,
/// scans, overrides, deletions and the decisions on them, over 2,000 repositories.
pub struct Records {
    random: Random,
    seq: u64,
    previous: Hash,
    nanos: i128,
    digests: Vec<(String, String)>,
}

impl Records {
    pub fn new(seed: u64) -> Records {
        Records {
            random: Random::new(seed),
            seq: 1,
            previous: NO_HASH,
            nanos: 1_790_000_000_000_000_000,
            digests: Vec::new(),
        }
    }

    /// Goes on where `log` ends.
    pub fn after(seed: u64, log: &Log) -> Records {
        let head = log.head();
        Records {
            seq: head.next_seq,
            previous: head.previous,
            ..Records::new(seed ^ head.next_seq)
        }
    }

    pub fn take(&mut self, count: usize) -> Vec<EncodedRecord> {
        (0..count).map(|_| self.typical()).collect()
    }

    /// A record with an event of about `bytes` bytes that do not compress.
    pub fn large(&mut self, bytes: usize) -> EncodedRecord {
        let mut text = String::with_capacity(bytes + 64);
        while text.len() < bytes {
            text.push_str(&format!("{:016x}", self.random.next()));
        }
        self.record(
            "weir.input.rejected",
            &format!(
                r#"{{"payload":"{text}","payload_digest":"sha256:{:064x}","reason":"too large"}}"#,
                7
            ),
        )
    }

    fn typical(&mut self) -> EncodedRecord {
        let actor = [
            "ci-release",
            "ci-snapshots",
            "maria.lopez",
            "build-bot",
            "j.smith",
            "deploy",
        ][self.random.skewed(6) as usize];
        match self.random.below(100) {
            0..34 => {
                let repository = self.repository();
                let digest = self.digest();
                self.keep(&repository, &digest);
                let (minor, patch) = (self.random.skewed(30), self.random.skewed(200));
                let size = 500 + self.random.below(4000);
                self.record("weir.image.pushed", &format!(
                    r#"{{"actor":"{actor}","digest":"{digest}","media_type":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"repository":"{repository}","size":{size},"tag":"1.{minor}.{patch}"}}"#
                ))
            }
            34..40 => {
                let repository = self.repository();
                let digest = self.digest();
                let mut manifests = Vec::new();
                for architecture in ["amd64", "arm64", "s390x"]
                    .iter()
                    .take(1 + self.random.below(3) as usize)
                {
                    let child = self.digest();
                    let size = 500 + self.random.below(2000);
                    manifests.push(format!(r#"{{"digest":"{child}","media_type":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"{architecture}","os":"linux"}},"size":{size}}}"#));
                    self.keep(&repository, &child);
                }
                let patch = self.random.skewed(300);
                let manifests = manifests.join(",");
                self.record("weir.image.pushed", &format!(
                    r#"{{"actor":"{actor}","annotations":{{"org.opencontainers.image.source":"https://git.example.com/{repository}"}},"digest":"{digest}","manifests":[{manifests}],"media_type":"application/vnd.oci.image.index.v1+json","repository":"{repository}","size":1247,"tag":"2.0.{patch}"}}"#
                ))
            }
            40..66 => {
                let (_, digest) = self.known();
                let findings: Vec<String> =
                    (0..self.random.skewed(7)).map(|_| self.finding()).collect();
                let findings = findings.join(",");
                let day = 1 + self.random.below(28);
                self.record("weir.scan.completed", &format!(
                    r#"{{"digest":"{digest}","findings":[{findings}],"scanned_at":"2026-09-{day:02}T10:11:12Z","scanner":{{"db_updated_at":"2026-09-{day:02}T06:12:43Z","name":"trivy","version":"0.66.0"}}}}"#
                ))
            }
            66..90 => {
                let (repository, digest) = self.known();
                let trigger = self.seq.saturating_sub(1);
                let (name, patch) = (
                    repository.rsplit('/').next().unwrap_or("").to_owned(),
                    self.random.skewed(200),
                );
                let (verdict, reasons) = match self.random.below(4) {
                    0 => ("promote", String::new()),
                    1 => (
                        "block",
                        r#"{"clause":"scan.critical == 0","code":"clause-false"}"#.to_owned(),
                    ),
                    _ => (
                        "wait",
                        format!(r#"{{"code":"scan-missing","digest":"{digest}"}}"#),
                    ),
                };
                self.record("weir.decision.made", &format!(
                    r#"{{"reasons":[{reasons}],"rule":"to-staging","rules_digest":"sha256:{:064x}","source":{{"digest":"{digest}","repository":"{repository}","tag":"1.4.{patch}"}},"target":{{"repository":"staging/{name}","tag":"1.4.{patch}"}},"trigger":{trigger},"verdict":"{verdict}"}}"#, 0xabcd_u64 * 77
                ))
            }
            90..95 => {
                let (repository, _) = self.known();
                let (id, cve) = (self.random.next(), self.cve());
                self.record("weir.override.granted", &format!(
                    r#"{{"actor":"{actor}","expires_at":"2026-12-31T00:00:00Z","override_id":"{id:016x}","reason":"not reachable: the parser is never called with user input","scope":{{"repository":"{repository}"}},"vulnerability":"{cve}"}}"#
                ))
            }
            _ => {
                let (repository, digest) = self.known();
                self.record(
                    "weir.manifest.deleted",
                    &format!(
                        r#"{{"actor":"{actor}","digest":"{digest}","repository":"{repository}"}}"#
                    ),
                )
            }
        }
    }

    /// One of the kinds of event that [`Self::take`] leaves out, each in turn.
    pub fn rare(&mut self) -> EncodedRecord {
        let (repository, digest) = self.known();
        let child = self.digest();
        let (id, cve, patch) = (self.random.next(), self.cve(), self.random.skewed(200));
        let name = repository.rsplit('/').next().unwrap_or("").to_owned();
        let promotion = format!(
            r#""promotion_id":"{id:016x}","rule":"to-staging","source":{{"digest":"{digest}","repository":"{repository}","tag":"1.4.{patch}"}},"target":{{"repository":"staging/{name}","tag":"1.4.{patch}"}}"#
        );
        let kinds = [
            ("weir.clock.ticked", "{}".to_owned()),
            (
                "weir.repository.created",
                format!(r#"{{"repository":"{repository}"}}"#),
            ),
            (
                "weir.repository.configured",
                format!(r#"{{"immutable_tags":true,"repository":"{repository}"}}"#),
            ),
            (
                "weir.manifest.resolved",
                format!(
                    r#"{{"config_digest":"{child}","digest":"{digest}","labels":{{"org.opencontainers.image.revision":"{id:016x}","org.opencontainers.image.version":"1.4.{patch}"}},"media_type":"application/vnd.docker.distribution.manifest.v2+json"}}"#
                ),
            ),
            (
                "weir.manifest.resolved",
                format!(
                    r#"{{"annotations":{{"io.docker.app.format":"cnab","io.docker.type":"app"}},"digest":"{digest}","manifests":[{{"annotations":{{"io.cnab.manifest.type":"config"}},"digest":"{child}","media_type":"application/vnd.oci.image.manifest.v1+json","size":188}},{{"annotations":{{"io.cnab.component.name":"api","io.cnab.manifest.type":"component"}},"digest":"{child}","media_type":"application/vnd.docker.distribution.manifest.list.v2+json","size":1357}},{{"annotations":{{"vnd.docker.reference.digest":"{child}","vnd.docker.reference.type":"attestation-manifest"}},"digest":"{child}","media_type":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"unknown","os":"unknown"}},"size":840}}],"media_type":"application/vnd.oci.image.index.v1+json"}}"#
                ),
            ),
            (
                "weir.tag.deleted",
                format!(r#"{{"repository":"{repository}","tag":"1.4.{patch}"}}"#),
            ),
            (
                "weir.scan.started",
                format!(r#"{{"digest":"{digest}","scanner":{{"name":"trivy"}}}}"#),
            ),
            (
                "weir.scan.requested",
                format!(
                    r#"{{"digest":"{digest}","reference":"{repository}@{digest}","repository":"{repository}"}}"#
                ),
            ),
            (
                "weir.scan.failed",
                format!(
                    r#"{{"digest":"{digest}","reason":"analysis timed out","scanner":{{"name":"grype","version":"0.104.0"}}}}"#
                ),
            ),
            (
                "weir.scan.completed",
                format!(
                    r#"{{"counts":{{"CRITICAL":0,"HIGH":3,"LOW":12,"MEDIUM":7,"NEGLIGIBLE":1,"UNKNOWN":0}},"covers":["{child}"],"digest":"{digest}","report_digest":"{child}","scanner":{{"name":"grype","version":"0.104.0"}}}}"#
                ),
            ),
            (
                "weir.scanner.updated",
                r#"{"scanner":{"db_updated_at":"2026-09-07T06:12:43Z","name":"trivy"}}"#.to_owned(),
            ),
            (
                "weir.override.revoked",
                format!(r#"{{"actor":"maria.lopez","override_id":"{id:016x}","reason":"fixed"}}"#),
            ),
            (
                "weir.approval.granted",
                format!(
                    r#"{{"actor":"maria.lopez","comment":"looks good","digest":"{digest}","repository":"{repository}","target":"prod/{name}"}}"#
                ),
            ),
            (
                "weir.hold.placed",
                format!(
                    r#"{{"actor":"j.smith","hold_id":"{id:016x}","reason":"release freeze","scope":{{"repository":"prod/**"}}}}"#
                ),
            ),
            (
                "weir.hold.released",
                format!(r#"{{"actor":"j.smith","hold_id":"{id:016x}"}}"#),
            ),
            ("weir.promotion.started", format!("{{{promotion}}}")),
            (
                "weir.promotion.completed",
                format!(r#"{{"attempts":1,{promotion}}}"#),
            ),
            (
                "weir.promotion.failed",
                format!(r#"{{"attempts":3,"error":"superseded",{promotion}}}"#),
            ),
            (
                "weir.promotion.requested",
                format!(
                    r#"{{"actor":"maria.lopez","reason":"hotfix","repository":"{repository}","tag":"1.4.{patch}","target":{{"repository":"prod/{name}","tag":"1.4.{patch}"}}}}"#
                ),
            ),
            (
                "weir.violation.found",
                format!(
                    r#"{{"digest":"{digest}","reasons":[{{"clause":"scan.critical == 0","code":"clause-false"}}],"repository":"staging/{name}","rule":"to-staging","tag":"1.4.{patch}"}}"#
                ),
            ),
            (
                "weir.violation.cleared",
                format!(
                    r#"{{"digest":"{digest}","reasons":[],"repository":"staging/{name}","rule":"to-staging","tag":"1.4.{patch}"}}"#
                ),
            ),
            (
                "weir.override.granted",
                format!(
                    r#"{{"actor":"j.smith","override_id":"{id:016x}","reason":"not affected","scope":{{"digest":"{digest}","package":"openssl"}},"status":"not_affected","vulnerability":"{cve}"}}"#
                ),
            ),
        ];
        let (kind, data) = &kinds[(self.seq / 5) as usize % kinds.len()];
        self.record(kind, data)
    }

    fn record(&mut self, kind: &str, data: &str) -> EncodedRecord {
        self.nanos += i128::from(self.random.below(40_000_000_000));
        let at = Timestamp::from_nanos(self.nanos).expect("a time in chrono's range");
        let (a, b) = (self.random.next(), self.random.next() >> 16);
        let id = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{b:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a >> 4 & 0xfff,
            a & 0xfff
        );
        let (seq, previous) = (self.seq, hex(&self.previous));
        let bytes = format!(
            r#"{{"event":{{"data":{data},"id":"{id}","source":"https://registry.example.com","specversion":"1.0","time":"{at}","type":"{kind}"}},"position":{{"created":"2026-08-01T08:00:00.123456789Z","from":"stream","index":0,"sequence":{seq},"stream":"weir"}},"previous":"{previous}","recorded_at":"{at}","seq":{seq},"v":1}}"#
        );
        let record = EncodedRecord::new(seq, bytes.into_bytes());
        self.seq += 1;
        self.previous = record.hash;
        record
    }

    fn repository(&mut self) -> String {
        let team = ["payments", "shop", "search", "identity", "platform", "data"]
            [self.random.skewed(6) as usize];
        let (stage, number) = (
            ["dev", "staging", "prod"][self.random.skewed(3) as usize],
            self.random.skewed(110),
        );
        format!("{stage}/{team}/service-{number}")
    }

    fn keep(&mut self, repository: &str, digest: &str) {
        // Only the newest are asked for.
        if self.digests.len() > 20_000 {
            self.digests.drain(..10_000);
        }
        self.digests
            .push((repository.to_owned(), digest.to_owned()));
    }

    fn digest(&mut self) -> String {
        let words = [
            self.random.next(),
            self.random.next(),
            self.random.next(),
            self.random.next(),
        ];
        format!(
            "sha256:{:016x}{:016x}{:016x}{:016x}",
            words[0], words[1], words[2], words[3]
        )
    }

    /// A repository and digest that were pushed, recent ones more often.
    fn known(&mut self) -> (String, String) {
        let count = self.digests.len() as u64;
        if count == 0 {
            return (self.repository(), self.digest());
        }
        let place = count - 1 - self.random.skewed(count.min(5000));
        self.digests[place as usize].clone()
    }

    fn cve(&mut self) -> String {
        format!(
            "CVE-202{}-{}",
            self.random.below(7),
            1000 + self.random.skewed(48000)
        )
    }

    fn finding(&mut self) -> String {
        let package = [
            "openssl",
            "libc6",
            "zlib1g",
            "curl",
            "libxml2",
            "busybox",
            "golang.org/x/net",
            "log4j-core",
            "perl-base",
        ][self.random.skewed(9) as usize];
        let severity =
            ["LOW", "MEDIUM", "HIGH", "CRITICAL", "UNKNOWN"][self.random.skewed(5) as usize];
        let (cve, a, b, score) = (
            self.cve(),
            self.random.skewed(9),
            self.random.skewed(40),
            self.random.below(100),
        );
        format!(
            r#"{{"fixed_version":"{}.{a}.{}","id":"{cve}","package":"{package}","score":{}.{},"severity":"{severity}","version":"{}.{a}.{b}"}}"#,
            a + 1,
            b + 1,
            score / 10,
            1 + score % 9,
            a + 1
        )
    }
}

/// Reads everything and checks sequence, chain and tree by the slow way; returns the records.
pub fn check_whole(reader: &LogReader) -> Vec<Vec<u8>> {
    check_readable(reader).expect("every record reads")
}

/// The same, where reading may be refused.
pub fn check_readable(reader: &LogReader) -> Result<Vec<Vec<u8>>, ReadError> {
    let head = reader.head();
    let mut previous = NO_HASH;
    let mut tree = weir_engine::log::tree::Frontier::default();
    let mut records = Vec::new();
    for (place, item) in reader.range(1, None).enumerate() {
        let (seq, bytes) = item?;
        assert_eq!(seq, place as u64 + 1, "sequences are dense");
        assert_eq!(
            weir_schema::record::link(&bytes),
            Ok((seq, previous)),
            "record {seq} is chained"
        );
        previous = weir_schema::record::hash(&bytes);
        tree.push(previous, &mut Vec::new());
        records.push(bytes);
    }
    assert_eq!(records.len() as u64 + 1, head.next_seq);
    assert_eq!((previous, tree.root()), (head.previous, head.root));
    Ok(records)
}
