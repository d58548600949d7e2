//! The canonical encoding of a state, which is also the form of a snapshot.
//!
//! Everything that is told is in it, as texts and digests in sorted order; what can be derived is
//! not, but for the times at which subjects wake up. Equal histories give equal bytes on every
//! machine, whatever numbers the names had inside. The **state digest** is the SHA-256 of it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use weir_schema::{
    Descriptor, Digest, Finding, Reason, RuleFile, SeverityCounts, Timestamp, Verdict,
};

use crate::{
    rule::RuleSet,
    state::{
        Alarm, Attempt, DigestId, Facts, Held, Hold, Hop, NameId, Origin, Override, Progress,
        Promoted, Promotion, Report, ScannerState, ScopePattern, Settings, Settled, State, Subject,
        TagKey, TagState, TargetBefore, Vote,
    },
};

/// The version of the encoding. A snapshot of another version is not read but made anew.
pub const VERSION: u32 = 1;

/// Why some bytes are no snapshot of a state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not of the encoding's form.
    #[error("not a snapshot: {0}")]
    Form(#[from] serde_json::Error),
    /// Of another version.
    #[error("the snapshot has version {0}, this version of Weir reads version {VERSION}")]
    Version(u32),
    /// The rules in it are refused by this version.
    #[error("the rules in the snapshot are refused: {0}")]
    Rules(String),
}

#[derive(Serialize, Deserialize)]
struct Dump {
    version: u32,
    seq: u64,
    now: Timestamp,
    rule_files: Vec<RuleFile>,
    rules_refused: Option<String>,
    /// Every repository ever named, with whether its tags are immutable.
    repositories: BTreeMap<String, bool>,
    manifests: BTreeMap<Digest, ManifestDump>,
    tags: Vec<(String, String, TagDump)>,
    index_pushes: Vec<(String, Digest, u64)>,
    deletions: Vec<(String, Digest, u64)>,
    scans: BTreeMap<Digest, ScansDump>,
    /// By the digest of their own encoding, so that equal reports stand here once.
    reports: BTreeMap<Digest, ReportDump>,
    scanner_databases: BTreeMap<String, Timestamp>,
    overrides: BTreeMap<String, OverrideDump>,
    approvals: Vec<(
        String,
        Digest,
        String,
        Vec<(String, Timestamp, Option<String>)>,
    )>,
    holds: BTreeMap<String, HoldDump>,
    subjects: Vec<SubjectDump>,
    promotions: BTreeMap<u64, PromotionDump>,
    promoted: Vec<PromotedDump>,
}

#[derive(Serialize, Deserialize)]
struct ManifestDump {
    media_type: Option<String>,
    size: Option<u64>,
    artifact_type: Option<String>,
    manifests: Option<Arc<[Descriptor]>>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    config_digest: Option<Digest>,
    subject: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct TagDump {
    digest: Digest,
    binding: u64,
    bound_at: Timestamp,
    pushed_by: Option<String>,
    previous: Option<Digest>,
    origin: Option<OriginDump>,
}

#[derive(Serialize, Deserialize)]
struct OriginDump {
    rule: String,
    source: String,
    binding: Option<u64>,
    lineage: Vec<(String, String, String, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct ScansDump {
    scanners: Vec<ScannerDump>,
    seen: Vec<(Digest, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct ScannerDump {
    name: String,
    completed: bool,
    failed: Option<String>,
    running: bool,
    held: Option<HeldDump>,
}

#[derive(Serialize, Deserialize)]
struct HeldDump {
    report: Digest,
    recorded_at: Timestamp,
    scanned_at: Option<Timestamp>,
    db_updated_at: Option<Timestamp>,
    db_known: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct ReportDump {
    findings: Option<Vec<Finding>>,
    counts: SeverityCounts,
    licenses: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OverrideDump {
    vulnerability: String,
    reason: String,
    actor: String,
    repository: Option<String>,
    digest: Option<Digest>,
    package: Option<String>,
    expires_at: Option<Timestamp>,
    status: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HoldDump {
    actor: String,
    reason: String,
    repository: Option<String>,
    digest: Option<Digest>,
    rule: Option<String>,
}

type KeyDump = (String, String);

#[derive(Serialize, Deserialize)]
struct SubjectDump {
    source: KeyDump,
    rule: String,
    verdict: Verdict,
    digest: Digest,
    target: KeyDump,
    reasons: Vec<Reason>,
    decided: u64,
    decided_at: Timestamp,
    settled: Vec<(u64, KeyDump, Timestamp, Vec<Reason>)>,
    waits: bool,
    wakes_at: Option<Timestamp>,
    restless: bool,
}

#[derive(Serialize, Deserialize)]
struct PromotionDump {
    rule: String,
    source: KeyDump,
    bound: TagDump,
    target: KeyDump,
    before: Option<Digest>,
    decided_at: Timestamp,
    progress: u8,
    attempts: u32,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PromotedDump {
    target: KeyDump,
    rule: String,
    source: KeyDump,
    bound: TagDump,
    before: Option<Digest>,
    decided_at: Timestamp,
    violation: Option<Vec<Reason>>,
    wakes_at: Option<Timestamp>,
    restless: bool,
}

impl State {
    /// The canonical encoding.
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&self.dump()).expect("a state serializes")
    }

    /// The digest of the canonical encoding: equal on every machine for equal histories.
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        Digest::of(&self.to_snapshot())
    }

    fn dump(&self) -> Dump {
        let mut reports = BTreeMap::new();
        let scans = self
            .scans
            .iter()
            .map(|(digest, scans)| {
                let mut report = |id| self.dump_report(id, &mut reports);
                let scanners = scans.scanners.iter().map(|(name, state)| ScannerDump {
                    name: self.string(*name),
                    completed: state.attempt == Some(Attempt::Completed),
                    failed: match &state.attempt {
                        Some(Attempt::Failed(reason)) => Some(self.string(*reason)),
                        _ => None,
                    },
                    running: state.running,
                    held: state.held.as_ref().map(|held| HeldDump {
                        report: report(held.report),
                        recorded_at: held.recorded_at,
                        scanned_at: held.scanned_at,
                        db_updated_at: held.db_updated_at,
                        db_known: held.db_known,
                    }),
                });
                let scanners = scanners.collect();
                let seen = scans
                    .seen
                    .iter()
                    .map(|(id, at)| (report(*id), *at))
                    .collect();
                (self.digest(*digest).clone(), ScansDump { scanners, seen })
            })
            .collect();
        let mut tags: Vec<_> = self
            .tags
            .iter()
            .map(|((repository, tag), state)| {
                (
                    self.string(*repository),
                    self.string(*tag),
                    self.dump_tag(state),
                )
            })
            .collect();
        tags.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let mut approvals: Vec<_> = self
            .approvals
            .iter()
            .filter(|(_, votes)| !votes.is_empty())
            .map(|((repository, digest, target), votes)| {
                let votes = votes
                    .iter()
                    .map(|vote| (self.string(vote.actor), vote.at, vote.comment.clone()));
                (
                    self.string(*repository),
                    self.digest(*digest).clone(),
                    self.string(*target),
                    votes.collect(),
                )
            })
            .collect::<Vec<(String, Digest, String, Vec<_>)>>();
        approvals.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
        Dump {
            version: VERSION,
            seq: self.seq,
            now: self.now,
            rule_files: self.rule_files.to_vec(),
            rules_refused: self.rules_refused.clone(),
            repositories: self
                .repositories
                .iter()
                .map(|(id, known)| (self.string(*id), known.immutable_tags))
                .collect(),
            manifests: self.dump_manifests(),
            tags,
            index_pushes: self.dump_presence(&self.index_pushes),
            deletions: self.dump_presence(&self.deletions),
            scans,
            reports,
            scanner_databases: self
                .scanner_databases
                .iter()
                .map(|(name, at)| (self.string(*name), *at))
                .collect(),
            overrides: self
                .overrides
                .iter()
                .map(|(id, one)| (id.clone(), dump_override(one)))
                .collect(),
            approvals,
            holds: self
                .holds
                .iter()
                .map(|(id, one)| (id.clone(), dump_hold(one)))
                .collect(),
            subjects: self.dump_subjects(),
            promotions: self
                .promotions
                .iter()
                .map(|(id, one)| (*id, self.dump_promotion(one)))
                .collect(),
            promoted: self.dump_promoted(),
        }
    }

    fn string(&self, id: NameId) -> String {
        self.text(id).to_string()
    }

    fn key(&self, key: TagKey) -> KeyDump {
        (self.string(key.0), self.string(key.1))
    }

    fn dump_report(
        &self,
        id: crate::state::ReportId,
        reports: &mut BTreeMap<Digest, ReportDump>,
    ) -> Digest {
        let report = self.reports.get(id);
        let dump = ReportDump {
            findings: report.findings.clone(),
            counts: report.counts.clone(),
            licenses: report.licenses.clone(),
        };
        let digest = Digest::of(&serde_json::to_vec(&dump).expect("a report serializes"));
        reports.entry(digest.clone()).or_insert(dump);
        digest
    }

    /// Manifests of which something is known; one that is only mentioned follows from the rest.
    fn dump_manifests(&self) -> BTreeMap<Digest, ManifestDump> {
        let known = self
            .manifests
            .iter()
            .enumerate()
            .filter(|(_, manifest)| manifest.media_type.is_some());
        known
            .map(|(place, manifest)| {
                let details = manifest.details.as_deref().cloned().unwrap_or_default();
                let dump = ManifestDump {
                    media_type: manifest.media_type.map(|id| self.string(id)),
                    size: manifest.size,
                    artifact_type: manifest.artifact_type.map(|id| self.string(id)),
                    manifests: manifest.descriptors.clone(),
                    annotations: details.annotations,
                    labels: details.labels,
                    config_digest: details.config_digest,
                    subject: details.subject.map(|id| self.digest(id).clone()),
                };
                (self.digests.at(place).clone(), dump)
            })
            .collect()
    }

    fn dump_presence(
        &self,
        table: &BTreeMap<(NameId, DigestId), u64>,
    ) -> Vec<(String, Digest, u64)> {
        let rows = table.iter().map(|((repository, digest), seq)| {
            (self.string(*repository), self.digest(*digest).clone(), *seq)
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    }

    fn dump_tag(&self, tag: &TagState) -> TagDump {
        TagDump {
            digest: self.digest(tag.digest).clone(),
            binding: tag.binding,
            bound_at: tag.bound_at,
            pushed_by: tag.pushed_by.map(|actor| self.string(actor)),
            previous: tag.previous.map(|digest| self.digest(digest).clone()),
            origin: tag.origin.as_ref().map(|origin| OriginDump {
                rule: self.string(origin.rule),
                source: self.string(origin.source),
                binding: origin.binding,
                lineage: origin
                    .lineage
                    .iter()
                    .map(|hop| {
                        (
                            self.string(hop.rule),
                            self.string(hop.repository),
                            self.string(hop.tag),
                            hop.at,
                        )
                    })
                    .collect(),
            }),
        }
    }

    fn dump_subjects(&self) -> Vec<SubjectDump> {
        let rows = self.subjects.iter().map(|(key, subject)| {
            let alarm = Alarm::Subject(*key);
            SubjectDump {
                source: self.key(key.0),
                rule: self.string(key.1),
                verdict: subject.verdict,
                digest: self.digest(subject.digest).clone(),
                target: self.key(subject.target),
                reasons: subject.reasons.to_vec(),
                decided: subject.decided,
                decided_at: subject.decided_at,
                settled: subject
                    .settled
                    .iter()
                    .map(|settled| {
                        (
                            settled.binding,
                            self.key(settled.target),
                            settled.at,
                            settled.reasons.to_vec(),
                        )
                    })
                    .collect(),
                waits: self
                    .by_target
                    .get(&subject.target)
                    .is_some_and(|waiting| waiting.contains(key)),
                wakes_at: self.alarm_of.get(&alarm).copied(),
                restless: self.restless.contains(&alarm),
            }
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| (&a.source, &a.rule).cmp(&(&b.source, &b.rule)));
        rows
    }

    fn dump_promotion(&self, promotion: &Promotion) -> PromotionDump {
        PromotionDump {
            rule: self.string(promotion.rule),
            source: self.key(promotion.source),
            bound: self.dump_tag(&promotion.bound),
            target: self.key(promotion.target),
            before: promotion
                .before
                .digest
                .map(|digest| self.digest(digest).clone()),
            decided_at: promotion.decided_at,
            progress: match promotion.progress {
                Progress::Decided => 0,
                Progress::Started => 1,
                Progress::Failed => 2,
            },
            attempts: promotion.attempts,
            error: promotion.error.clone(),
        }
    }

    fn dump_promoted(&self) -> Vec<PromotedDump> {
        let rows = self.promoted.iter().map(|(target, promoted)| {
            let alarm = Alarm::Promoted(*target);
            PromotedDump {
                target: self.key(*target),
                rule: self.string(promoted.rule),
                source: self.key(promoted.source),
                bound: self.dump_tag(&promoted.bound),
                before: promoted
                    .before
                    .digest
                    .map(|digest| self.digest(digest).clone()),
                decided_at: promoted.decided_at,
                violation: promoted.violation.as_ref().map(|reasons| reasons.to_vec()),
                wakes_at: self.alarm_of.get(&alarm).copied(),
                restless: self.restless.contains(&alarm),
            }
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| a.target.cmp(&b.target));
        rows
    }

    /// Puts a state back from its canonical encoding.
    ///
    /// # Errors
    /// If the bytes are not such an encoding; a caller then folds the log instead.
    pub fn from_snapshot(bytes: &[u8], settings: Settings) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let dump: Dump = match serde_json::from_slice(bytes) {
            Ok(dump) => dump,
            // Another version may have another form: say so rather than what does not fit.
            Err(error) => {
                return Err(match serde_json::from_slice(bytes) {
                    Ok(Version { version }) if version != VERSION => {
                        SnapshotError::Version(version)
                    }
                    _ => error.into(),
                });
            }
        };
        if dump.version != VERSION {
            return Err(SnapshotError::Version(dump.version));
        }
        let mut state = Self::new(settings);
        state.seq = dump.seq;
        state.now = dump.now;
        state
            .load_rules(&dump.rule_files)
            .map_err(SnapshotError::Rules)?;
        state.rules_refused = dump.rules_refused;
        for (name, immutable) in &dump.repositories {
            let id = state.intern_repository(name);
            if let Some(repository) = state.repositories.get_mut(&id) {
                repository.immutable_tags = *immutable;
            }
        }
        state.restore_manifests(&dump.manifests);
        for (repository, tag, row) in dump.tags {
            let key = state.restore_key(&(repository, tag));
            let row = state.restore_tag(row);
            let tags = &mut state.manifest_mut(row.digest).tags;
            if let Err(place) = tags.binary_search(&key) {
                tags.insert(place, key);
            }
            state.tags.insert(key, row);
        }
        for (repository, digest, seq) in dump.index_pushes {
            let key = (
                state.names.intern(&repository),
                state.intern_digest(&digest),
            );
            state.index_pushes.insert(key, seq);
        }
        for (repository, digest, seq) in dump.deletions {
            let key = (
                state.names.intern(&repository),
                state.intern_digest(&digest),
            );
            state.deletions.insert(key, seq);
        }
        state.restore_all_scans(dump.scans, &dump.reports);
        for (name, at) in dump.scanner_databases {
            let name = state.names.intern(&name);
            state.scanner_databases.insert(name, at);
        }
        for (id, one) in dump.overrides {
            state.put_override(id, restore_override(one));
        }
        for (repository, digest, target, votes) in dump.approvals {
            let key = (
                state.names.intern(&repository),
                state.intern_digest(&digest),
                state.names.intern(&target),
            );
            let votes = votes
                .into_iter()
                .map(|(actor, at, comment)| Vote {
                    actor: state.names.intern(&actor),
                    at,
                    comment,
                })
                .collect();
            state.approvals.insert(key, votes);
        }
        for (id, one) in dump.holds {
            state.holds.insert(id, restore_hold(one));
        }
        state.restore_subjects(dump.subjects);
        for (id, one) in dump.promotions {
            state.restore_promotion(id, one);
        }
        for one in dump.promoted {
            state.restore_promoted(one);
        }
        Ok(state)
    }

    /// Puts rules in force without judging anything.
    pub(crate) fn load_rules(&mut self, files: &[RuleFile]) -> Result<(), String> {
        let pairs: Vec<(String, String)> = files
            .iter()
            .map(|file| (file.path.clone(), file.text.clone()))
            .collect();
        let loaded = RuleSet::load(&pairs, &crate::cel::Limits::RULES)
            .map_err(|errors| errors.to_string())?;
        self.rules_digest = Digest::Sha256(loaded.rules.digest());
        self.rules = loaded.rules;
        self.rule_files = files.into();
        self.rules_refused = None;
        self.match_rules();
        Ok(())
    }

    fn restore_key(&mut self, key: &KeyDump) -> TagKey {
        (self.names.intern(&key.0), self.names.intern(&key.1))
    }

    fn restore_manifests(&mut self, manifests: &BTreeMap<Digest, ManifestDump>) {
        let mut touched = crate::evolve::Touched::default();
        for (digest, dump) in manifests {
            let facts = Facts {
                media_type: dump.media_type.as_deref().unwrap_or_default(),
                size: dump.size,
                artifact_type: dump.artifact_type.as_deref(),
                annotations: Some(&dump.annotations),
                labels: Some(&dump.labels),
                manifests: dump.manifests.as_deref(),
                config_digest: dump.config_digest.as_ref(),
                subject: dump.subject.as_ref(),
            };
            self.learn(digest, &facts, &mut touched);
        }
    }

    fn restore_tag(&mut self, dump: TagDump) -> TagState {
        TagState {
            digest: self.intern_digest(&dump.digest),
            binding: dump.binding,
            bound_at: dump.bound_at,
            pushed_by: dump.pushed_by.map(|actor| self.names.intern(&actor)),
            previous: dump.previous.map(|digest| self.intern_digest(&digest)),
            origin: dump.origin.map(|origin| {
                Arc::new(Origin {
                    rule: self.names.intern(&origin.rule),
                    source: self.names.intern(&origin.source),
                    binding: origin.binding,
                    lineage: origin
                        .lineage
                        .into_iter()
                        .map(|(rule, repository, tag, at)| Hop {
                            rule: self.names.intern(&rule),
                            repository: self.names.intern(&repository),
                            tag: self.names.intern(&tag),
                            at,
                        })
                        .collect(),
                })
            }),
        }
    }

    fn restore_all_scans(
        &mut self,
        scans: BTreeMap<Digest, ScansDump>,
        reports: &BTreeMap<Digest, ReportDump>,
    ) {
        let report = |digest: &Digest| {
            reports.get(digest).map(|dump| {
                Report::new(
                    dump.findings.clone(),
                    dump.counts.clone(),
                    dump.licenses.clone(),
                )
            })
        };
        for (digest, dump) in scans {
            let digest = self.intern_digest(&digest);
            let mut scanners = Vec::new();
            for scanner in dump.scanners {
                let attempt = match scanner.failed {
                    Some(reason) => Some(Attempt::Failed(self.names.intern(&reason))),
                    None => scanner.completed.then_some(Attempt::Completed),
                };
                let found = scanner.held.as_ref().and_then(|held| report(&held.report));
                let held = scanner.held.map(|held| Held {
                    report: Self::no_report(),
                    recorded_at: held.recorded_at,
                    scanned_at: held.scanned_at,
                    db_updated_at: held.db_updated_at,
                    db_known: held.db_known,
                });
                let state = ScannerState {
                    attempt,
                    running: scanner.running,
                    held,
                };
                scanners.push((self.names.intern(&scanner.name), state, found));
            }
            let seen = dump
                .seen
                .iter()
                .filter_map(|(id, at)| Some((report(id)?, *at)))
                .collect();
            self.restore_scans(digest, scanners, seen);
        }
    }

    fn restore_subjects(&mut self, subjects: Vec<SubjectDump>) {
        for dump in subjects {
            let key = (
                self.restore_key(&dump.source),
                self.names.intern(&dump.rule),
            );
            let target = self.restore_key(&dump.target);
            let settled = dump
                .settled
                .into_iter()
                .map(|(binding, target, at, reasons)| Settled {
                    binding,
                    target: self.restore_key(&target),
                    at,
                    reasons: reasons.into(),
                })
                .collect();
            let subject = Subject {
                verdict: dump.verdict,
                digest: self.intern_digest(&dump.digest),
                target,
                reasons: dump.reasons.into(),
                decided: dump.decided,
                decided_at: dump.decided_at,
                settled,
            };
            self.subjects.insert(key, subject);
            if dump.waits {
                self.by_target.entry(target).or_default().insert(key);
            }
            self.restore_alarm(Alarm::Subject(key), dump.wakes_at, dump.restless);
        }
    }

    fn restore_alarm(&mut self, alarm: Alarm, at: Option<Timestamp>, restless: bool) {
        self.set_alarm(alarm, at);
        if restless {
            self.restless.insert(alarm);
        }
    }

    fn restore_promotion(&mut self, id: u64, dump: PromotionDump) {
        let promotion = Promotion {
            rule: self.names.intern(&dump.rule),
            source: self.restore_key(&dump.source),
            bound: self.restore_tag(dump.bound),
            target: self.restore_key(&dump.target),
            before: TargetBefore {
                digest: dump.before.map(|digest| self.intern_digest(&digest)),
            },
            decided_at: dump.decided_at,
            progress: match dump.progress {
                0 => Progress::Decided,
                1 => Progress::Started,
                _ => Progress::Failed,
            },
            attempts: dump.attempts,
            error: dump.error,
        };
        if promotion.progress != Progress::Failed {
            self.promotions_to
                .entry(promotion.target)
                .or_default()
                .insert(id);
            self.promotions_from
                .entry(promotion.source)
                .or_default()
                .insert(id);
        }
        self.promotions.insert(id, promotion);
    }

    fn restore_promoted(&mut self, dump: PromotedDump) {
        let target = self.restore_key(&dump.target);
        let promoted = Promoted {
            rule: self.names.intern(&dump.rule),
            source: self.restore_key(&dump.source),
            bound: self.restore_tag(dump.bound),
            before: TargetBefore {
                digest: dump.before.map(|digest| self.intern_digest(&digest)),
            },
            decided_at: dump.decided_at,
            violation: dump.violation.map(Into::into),
        };
        self.promoted.insert(target, promoted);
        self.restore_alarm(Alarm::Promoted(target), dump.wakes_at, dump.restless);
    }
}

fn dump_override(one: &Override) -> OverrideDump {
    OverrideDump {
        vulnerability: one.vulnerability.clone(),
        reason: one.reason.clone(),
        actor: one.actor.clone(),
        repository: one.repository.as_ref().map(|scope| scope.text.clone()),
        digest: one.digest.clone(),
        package: one.package.clone(),
        expires_at: one.expires_at,
        status: one.status.clone(),
    }
}

fn restore_override(dump: OverrideDump) -> Override {
    Override {
        vulnerability: dump.vulnerability,
        reason: dump.reason,
        actor: dump.actor,
        repository: dump.repository.as_deref().map(ScopePattern::new),
        digest: dump.digest,
        package: dump.package,
        expires_at: dump.expires_at,
        status: dump.status,
    }
}

fn dump_hold(one: &Hold) -> HoldDump {
    HoldDump {
        actor: one.actor.clone(),
        reason: one.reason.clone(),
        repository: one.repository.as_ref().map(|scope| scope.text.clone()),
        digest: one.digest.clone(),
        rule: one.rule.clone(),
    }
}

fn restore_hold(dump: HoldDump) -> Hold {
    Hold {
        actor: dump.actor,
        reason: dump.reason,
        repository: dump.repository.as_deref().map(ScopePattern::new),
        digest: dump.digest,
        rule: dump.rule,
    }
}
