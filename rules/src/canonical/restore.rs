//! A state put back from its canonical encoding.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use weir_schema::{Digest, ReasonCode, RuleFile, Timestamp};

use super::{
    ApprovalDump, HoldDump, KeyDump, ManifestDump, OverrideDump, PromotedDump, PromotionDump,
    ReportDump, ScannerDump, ScansDump, SubjectDump, TagDump,
};
use crate::{
    evolve::Touched,
    rule::RuleSet,
    state::{
        Attempt, Bound, DigestId, Facts, Held, Hold, Hop, Origin, Override, Progress, Promoted,
        Promotion, Reads, ReportId, RepositoryId, ScannerState, ScopePattern, Settings, Settled,
        State, Subject, TagId, Vote, Wake, Way, Worked,
    },
};

/// A state as [`super::dump::Whole`] writes it.
#[derive(Deserialize)]
struct Told {
    seq: u64,
    now: Timestamp,
    rule_files: Vec<RuleFile>,
    rules_refused: Option<String>,
    repositories: BTreeMap<String, bool>,
    manifests: BTreeMap<Digest, ManifestDump>,
    tags: Vec<(String, String, TagDump)>,
    index_pushes: Vec<(String, Digest, u64)>,
    deletions: Vec<(String, Digest, u64)>,
    scans: BTreeMap<Digest, ScansDump>,
    reports: BTreeMap<Digest, ReportDump>,
    scanner_databases: BTreeMap<String, Timestamp>,
    overrides: BTreeMap<String, OverrideDump>,
    approvals: Vec<ApprovalDump>,
    holds: BTreeMap<String, HoldDump>,
    subjects: Vec<SubjectDump>,
    promotions: BTreeMap<u64, PromotionDump>,
    promoted: Vec<PromotedDump>,
}

impl State {
    /// A state with what its canonical encoding tells, and all that can be derived derived anew.
    ///
    /// # Errors
    /// If the bytes are not such an encoding, or this version refuses the rules in it.
    pub(crate) fn from_canonical(bytes: &[u8], settings: Settings) -> Result<Self, String> {
        let told: Told = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut state = Self::new(settings);
        state.seq = told.seq;
        state.now = told.now;
        state.load_rules(&told.rule_files)?;
        state.rules_refused = told.rules_refused;
        for (name, immutable) in told.repositories {
            let id = state.intern_repository_text(&name);
            state.repositories.get_mut(id).immutable_tags = immutable;
        }
        for (digest, dump) in told.manifests {
            state.restore_manifest(&digest, &dump);
        }
        for (repository, tag, dump) in told.tags {
            state.restore_tag(&(repository, tag), dump);
        }
        for row in told.index_pushes {
            state.restore_place(row, Self::restore_push);
        }
        for row in told.deletions {
            state.restore_place(row, Self::note_deletion);
        }
        for (name, at) in told.scanner_databases {
            let name = state.names.intern(&name);
            state.scanner_databases.insert(name, at);
        }
        state.restore_scans_of_all(told.scans, told.reports);
        for (id, dump) in told.overrides {
            let id = state.names.intern(&id);
            let one = state.restore_override(dump);
            state.put_override(id, one);
        }
        for dump in told.approvals {
            state.restore_approval(dump);
        }
        for (id, dump) in told.holds {
            let hold = state.restore_hold(dump);
            state.holds.insert(id, hold);
        }
        for dump in told.subjects {
            state.restore_subject(dump);
        }
        for (id, dump) in told.promotions {
            state.restore_promotion(id, dump);
        }
        for dump in told.promoted {
            state.restore_promoted(dump);
        }
        Ok(state)
    }
}

/// Reports that are read, by the digests of their encodings.
type Kept = BTreeMap<Digest, ReportId>;

impl State {
    /// Puts rules in force without judging anything.
    pub(crate) fn load_rules(&mut self, files: &[RuleFile]) -> Result<(), String> {
        let loaded = RuleSet::load(files, &crate::cel::Limits::RULES)
            .map_err(|errors| errors.to_string())?;
        self.rules_digest = Digest::Sha256(loaded.rules.digest());
        self.rules = loaded.rules;
        self.rule_files = files.into();
        self.rules_refused = None;
        self.match_rules();
        Ok(())
    }

    fn restore_key(&mut self, key: &KeyDump) -> TagId {
        let repository = self.intern_repository_text(&key.0);
        self.intern_tag_text(repository, &key.1)
    }

    fn restore_digest(&mut self, digest: Option<Digest>) -> Option<DigestId> {
        digest.map(|digest| self.intern_digest(&digest))
    }

    fn restore_manifest(&mut self, digest: &Digest, dump: &ManifestDump) {
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
        self.learn(digest, &facts, &mut Touched::default());
    }

    fn restore_place<T>(
        &mut self,
        (repository, digest, seq): (String, Digest, u64),
        note: fn(&mut Self, RepositoryId, DigestId, u64) -> T,
    ) {
        let repository = self.intern_repository_text(&repository);
        let digest = self.intern_digest(&digest);
        note(self, repository, digest, seq);
    }

    fn restore_tag(&mut self, key: &KeyDump, dump: TagDump) {
        let id = self.restore_key(key);
        let bound = self.restore_bound(dump);
        self.manifest_mut(bound.digest).tags.insert(id);
        self.tags.get_mut(id).bound = Some(bound);
        self.list_tag(id);
    }

    fn restore_bound(&mut self, dump: TagDump) -> Bound {
        let origin = dump.origin.map(|origin| {
            let lineage = origin
                .lineage
                .into_iter()
                .map(|(rule, repository, tag, at)| Hop {
                    rule: self.names.intern(&rule),
                    source: self.restore_key(&(repository, tag)),
                    at,
                });
            let lineage = lineage.collect();
            let mut way = |(rule, source, binding): (String, String, Option<u64>)| Way {
                rule: self.names.intern(&rule),
                source: self.intern_repository_text(&source),
                binding,
            };
            Arc::new(Origin {
                way: way((origin.rule, origin.source, origin.binding)),
                before: origin.before.into_iter().map(way).collect(),
                lineage,
            })
        });
        Bound {
            digest: self.intern_digest(&dump.digest),
            binding: dump.binding,
            bound_at: dump.bound_at,
            pushed_by: self.names.intern_option(dump.pushed_by.as_deref()),
            found: dump.found,
            previous: self.restore_digest(dump.previous),
            origin,
        }
    }

    // Scans.

    fn restore_scans_of_all(
        &mut self,
        scans: BTreeMap<Digest, ScansDump>,
        reports: BTreeMap<Digest, ReportDump>,
    ) {
        // Each report is read once; whoever refers to it gets a reference of its own.
        let mut kept = Kept::new();
        for (digest, dump) in reports {
            let findings = dump.findings.as_deref();
            let report = self.take_report(findings, Some(&dump.counts), &dump.licenses);
            kept.insert(digest, report);
        }
        let mut worked = Worked::default();
        for (digest, dump) in scans {
            let id = self.intern_digest(&digest);
            let mut scanners = Vec::with_capacity(dump.scanners.len());
            for scanner in dump.scanners {
                scanners.extend(self.restore_scanner(scanner, &kept));
            }
            let mut seen: Vec<(ReportId, Timestamp)> = Vec::with_capacity(dump.seen.len());
            for (digest, at) in dump.seen {
                if let Some(report) = kept.get(&digest) {
                    self.reports.retain(*report);
                    seen.push((*report, at));
                }
            }
            self.restore_scans(id, scanners, seen, &mut worked);
        }
        self.release_worked(worked);
        for report in kept.into_values() {
            self.release_report(report);
        }
    }

    fn restore_scanner(&mut self, dump: ScannerDump, kept: &Kept) -> Option<ScannerState> {
        let attempt = match dump.failed {
            Some(reason) => Attempt::Failed(reason.into()),
            None if dump.completed => Attempt::Completed,
            None => Attempt::None,
        };
        let held = match dump.held {
            None => None,
            Some(held) => {
                let report = *kept.get(&held.report)?;
                self.reports.retain(report);
                Some(Held {
                    report,
                    recorded_at: held.recorded_at,
                    scanned_at: held.scanned_at,
                    db_updated_at: held.db_updated_at,
                    db_known: held.db_known,
                })
            }
        };
        Some(ScannerState {
            name: self.names.intern(&dump.name),
            attempt,
            running: dump.running,
            held,
        })
    }

    // People.

    fn restore_approval(&mut self, (repository, digest, target, votes): ApprovalDump) {
        let key = (
            self.intern_repository_text(&repository),
            self.intern_digest(&digest),
            self.intern_repository_text(&target),
        );
        let votes = votes.into_iter().map(|(actor, at, comment)| Vote {
            actor: self.names.intern(&actor),
            at,
            comment,
        });
        let votes = votes.collect();
        self.approvals.insert(key, votes);
    }

    fn restore_override(&mut self, dump: OverrideDump) -> Override {
        Override {
            vulnerability: self.names.intern(&dump.vulnerability),
            reason: dump.reason,
            actor: dump.actor,
            repository: dump.repository.as_deref().map(ScopePattern::new),
            digest: self.restore_digest(dump.digest),
            package: self.names.intern_option(dump.package.as_deref()),
            expires_at: dump.expires_at,
            status: dump.status,
        }
    }

    fn restore_hold(&mut self, dump: HoldDump) -> Hold {
        Hold {
            actor: dump.actor,
            reason: dump.reason,
            repository: dump.repository.as_deref().map(ScopePattern::new),
            digest: self.restore_digest(dump.digest),
            rule: dump.rule,
        }
    }

    // Decisions.

    fn restore_subject(&mut self, dump: SubjectDump) {
        let key = (
            self.restore_key(&dump.source),
            self.names.intern(&dump.rule),
        );
        let settled = dump.settled.into_iter();
        let settled = settled.map(|(binding, target, at, reasons)| Settled {
            binding,
            target: self.restore_key(&target),
            at,
            already_there: reasons
                .iter()
                .any(|reason| reason.code == ReasonCode::AlreadyThere),
        });
        let settled = settled.collect();
        let subject = Subject {
            rule: key.1,
            verdict: dump.verdict,
            digest: self.intern_digest(&dump.digest),
            target: self.restore_key(&dump.target),
            reasons: self.obstacles(&dump.reasons),
            decided: dump.decided,
            decided_at: dump.decided_at,
            settled,
            waits: false,
            wakes_at: None,
            restless: false,
            reads: Reads::NOTHING,
            // The target is worked out anew when it is judged next.
            generation: 0,
        };
        let subjects = &mut self.tags.get_mut(key.0).subjects;
        subjects.reserve_exact(1);
        subjects.push(subject);
        if dump.waits {
            let wake = Wake {
                at: dump.wakes_at,
                restless: dump.restless,
            };
            self.wait(key, wake, Reads::EVERYTHING);
        }
    }

    fn restore_promotion(&mut self, id: u64, dump: PromotionDump) {
        let promotion = Promotion {
            rule: self.names.intern(&dump.rule),
            source: self.restore_key(&dump.source),
            bound: self.restore_bound(dump.bound),
            target: self.restore_key(&dump.target),
            before: self.restore_digest(dump.before),
            decided_at: dump.decided_at,
            progress: match dump.progress {
                0 => Progress::Decided,
                1 => Progress::Started,
                3 => Progress::Arrived,
                _ => Progress::Failed,
            },
            attempts: dump.attempts,
            retried_after: dump.retried_after,
            error: dump.error,
        };
        self.put_promotion(id, promotion);
    }

    fn restore_promoted(&mut self, dump: PromotedDump) {
        let target = self.restore_key(&dump.target);
        let violation = dump.violation.map(|reasons| self.obstacles(&reasons));
        let promoted = Promoted {
            rule: self.names.intern(&dump.rule),
            source: self.restore_key(&dump.source),
            bound: self.restore_bound(dump.bound),
            before: self.restore_digest(dump.before),
            decided_at: dump.decided_at,
            violation,
            wakes_at: None,
            restless: false,
            reads: Reads::NOTHING,
        };
        let wake = Wake {
            at: dump.wakes_at,
            restless: dump.restless,
        };
        self.tags.get_mut(target).promoted = Some(Box::new(promoted));
        self.rest_promoted(target, wake, Reads::EVERYTHING);
    }
}
