//! A state as its canonical encoding has it: texts and digests, sorted.

use std::collections::BTreeMap;

use weir_schema::Digest;

use super::{
    Dump, HeldDump, HoldDump, KeyDump, ManifestDump, OriginDump, OverrideDump, PromotedDump,
    PromotionDump, ReportDump, ScannerDump, ScansDump, SubjectDump, TagDump, VERSION,
};
use crate::state::{
    Attempt, Bound, DigestId, Hold, NameId, Override, Progress, Promoted, Promotion, ReportId,
    RepositoryId, Settled, State, Subject, TagId,
};

type Reports = BTreeMap<Digest, ReportDump>;

impl State {
    pub(super) fn dump(&self) -> Dump {
        let mut reports = Reports::new();
        let scans = self.dump_scans(&mut reports);
        let databases = self.scanner_databases.iter();
        let overrides = self.overrides.iter();
        let holds = self.holds.iter();
        let promotions = self.promotions.iter();
        Dump {
            version: VERSION,
            seq: self.seq,
            now: self.now,
            rule_files: self.rule_files.to_vec(),
            rules_refused: self.rules_refused.clone(),
            repositories: self.dump_repositories(),
            manifests: self.dump_manifests(),
            tags: self.dump_tags(),
            index_pushes: self.dump_presence(|manifest| &manifest.pushes),
            deletions: self.dump_presence(|manifest| &manifest.deletions),
            scans,
            reports,
            scanner_databases: databases
                .map(|(name, at)| (self.string(*name), *at))
                .collect(),
            overrides: overrides
                .map(|(id, one)| (self.string(id), self.dump_override(one)))
                .collect(),
            approvals: self.dump_approvals(),
            holds: holds
                .map(|(id, one)| (id.clone(), self.dump_hold(one)))
                .collect(),
            subjects: self.dump_subjects(),
            promotions: promotions
                .map(|(id, one)| (*id, self.dump_promotion(one)))
                .collect(),
            promoted: self.dump_promoted(),
        }
    }

    fn string(&self, id: NameId) -> String {
        self.text(id).to_string()
    }

    fn repository_string(&self, id: RepositoryId) -> String {
        self.repository(id).text.to_string()
    }

    fn key(&self, id: TagId) -> KeyDump {
        let (repository, tag) = self.tag_texts(id);
        (repository.to_string(), tag.to_string())
    }

    fn digest_of(&self, id: DigestId) -> Digest {
        self.digest(id).clone()
    }

    fn dump_repositories(&self) -> BTreeMap<String, bool> {
        self.repositories
            .in_order()
            .filter(|(_, known)| known.named && known.name.is_some())
            .map(|(_, known)| (known.text.to_string(), known.immutable_tags))
            .collect()
    }

    /// Manifests of which something is known; one that is only mentioned follows from the rest.
    fn dump_manifests(&self) -> BTreeMap<Digest, ManifestDump> {
        let known = self
            .all_manifests()
            .filter(|(id, _)| self.content(*id).media_type.is_some());
        known
            .map(|(id, manifest)| {
                let content = self.content(id);
                let details = content.details.as_deref().cloned().unwrap_or_default();
                let children = manifest.children().map(|children| {
                    let descriptors = children.iter().map(|child| self.descriptor(child));
                    descriptors.collect()
                });
                let dump = ManifestDump {
                    media_type: content.media_type.map(|id| self.string(id)),
                    size: content.size,
                    artifact_type: content.artifact_type.map(|id| self.string(id)),
                    manifests: children,
                    annotations: details.annotations,
                    labels: details.labels,
                    config_digest: details.config_digest,
                    subject: details.subject.map(|id| self.digest_of(id)),
                };
                (self.digest_of(id), dump)
            })
            .collect()
    }

    fn dump_presence(
        &self,
        list: impl Fn(&crate::state::Places) -> &Vec<(RepositoryId, u64)>,
    ) -> Vec<(String, Digest, u64)> {
        let mut rows = Vec::new();
        for (id, _) in self.all_manifests() {
            let places = self.content(id).places.iter();
            for (repository, seq) in places.flat_map(|places| list(places)) {
                rows.push((
                    self.repository_string(*repository),
                    self.digest_of(id),
                    *seq,
                ));
            }
        }
        rows.sort();
        rows
    }

    fn dump_tags(&self) -> Vec<(String, String, TagDump)> {
        let mut rows: Vec<_> = self
            .tags
            .existing()
            .map(|(id, _, bound)| {
                let (repository, tag) = self.key(id);
                (repository, tag, self.dump_bound(bound))
            })
            .collect();
        rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        rows
    }

    fn dump_bound(&self, bound: &Bound) -> TagDump {
        let origin = bound.origin.as_ref().map(|origin| OriginDump {
            rule: self.string(origin.rule),
            source: self.repository_string(origin.source),
            binding: origin.binding,
            lineage: origin
                .lineage
                .iter()
                .map(|hop| {
                    let (repository, tag) = self.key(hop.source);
                    (self.string(hop.rule), repository, tag, hop.at)
                })
                .collect(),
        });
        TagDump {
            digest: self.digest_of(bound.digest),
            binding: bound.binding,
            bound_at: bound.bound_at,
            pushed_by: bound.pushed_by.map(|actor| self.string(actor)),
            previous: bound.previous.map(|digest| self.digest_of(digest)),
            origin,
        }
    }

    // Scans.

    fn dump_scans(&self, reports: &mut Reports) -> BTreeMap<Digest, ScansDump> {
        let mut digests = BTreeMap::new();
        let mut report = |id| match digests.get(&id) {
            Some(known) => Digest::clone(known),
            None => {
                let digest = self.dump_report(id, reports);
                digests.insert(id, digest.clone());
                digest
            }
        };
        let mut dumps = BTreeMap::new();
        for (id, manifest) in self.all_manifests() {
            let Some(scans) = &manifest.scans else {
                continue;
            };
            let scanners = scans.scanners.iter().map(|state| ScannerDump {
                name: self.string(state.name),
                completed: state.attempt == Attempt::Completed,
                failed: match state.attempt {
                    Attempt::Failed(reason) => Some(self.string(reason)),
                    Attempt::None | Attempt::Completed => None,
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
            let seen = scans.seen.iter().map(|(id, at)| (report(*id), *at));
            let seen = seen.collect();
            dumps.insert(self.digest_of(id), ScansDump { scanners, seen });
        }
        dumps
    }

    fn dump_report(&self, id: ReportId, reports: &mut Reports) -> Digest {
        let report = self.reports.get(id);
        let findings = report.findings.as_ref().map(|findings| {
            let findings = findings.iter();
            findings
                .map(|id| self.reports.finding(*id, &self.names))
                .collect()
        });
        let dump = ReportDump {
            findings,
            counts: report.told.as_deref().cloned().unwrap_or_default(),
            licenses: report.licenses.iter().map(|id| self.string(*id)).collect(),
        };
        let digest = Digest::of(&serde_json::to_vec(&dump).expect("a report serializes"));
        reports.entry(digest.clone()).or_insert(dump);
        digest
    }

    // People.

    fn dump_approvals(&self) -> Vec<super::ApprovalDump> {
        let mut rows: Vec<super::ApprovalDump> = self
            .approvals
            .iter()
            .filter(|(_, votes)| !votes.is_empty())
            .map(|((repository, digest, target), votes)| {
                let votes = votes
                    .iter()
                    .map(|vote| (self.string(vote.actor), vote.at, vote.comment.clone()));
                (
                    self.repository_string(*repository),
                    self.digest_of(*digest),
                    self.repository_string(*target),
                    votes.collect(),
                )
            })
            .collect();
        rows.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
        rows
    }

    fn dump_override(&self, one: &Override) -> OverrideDump {
        OverrideDump {
            vulnerability: self.string(one.vulnerability),
            reason: one.reason.clone(),
            actor: one.actor.clone(),
            repository: one.repository.as_ref().map(|scope| scope.text.clone()),
            digest: one.digest.map(|id| self.digest_of(id)),
            package: one.package.map(|id| self.string(id)),
            expires_at: one.expires_at,
            status: one.status.clone(),
        }
    }

    fn dump_hold(&self, one: &Hold) -> HoldDump {
        HoldDump {
            actor: one.actor.clone(),
            reason: one.reason.clone(),
            repository: one.repository.as_ref().map(|scope| scope.text.clone()),
            digest: one.digest.map(|id| self.digest_of(id)),
            rule: one.rule.clone(),
        }
    }

    // Decisions.

    fn dump_subjects(&self) -> Vec<SubjectDump> {
        let mut rows = Vec::new();
        for (id, tag) in self.tags.iter() {
            let dumps = tag.subjects.iter().map(|one| self.dump_subject(id, one));
            rows.extend(dumps);
        }
        rows.sort_by(|a, b| (&a.source, &a.rule).cmp(&(&b.source, &b.rule)));
        rows
    }

    fn dump_subject(&self, tag: TagId, subject: &Subject) -> SubjectDump {
        let settled = subject.settled.iter().map(|settled: &Settled| {
            let reasons = self.reasons(&settled.reasons());
            (
                settled.binding,
                self.key(settled.target),
                settled.at,
                reasons,
            )
        });
        SubjectDump {
            source: self.key(tag),
            rule: self.string(subject.rule),
            verdict: subject.verdict,
            digest: self.digest_of(subject.digest),
            target: self.key(subject.target),
            reasons: self.reasons(&subject.reasons),
            decided: subject.decided,
            decided_at: subject.decided_at,
            settled: settled.collect(),
            waits: subject.waits,
            wakes_at: subject.wakes_at,
            restless: subject.restless,
        }
    }

    fn dump_promotion(&self, promotion: &Promotion) -> PromotionDump {
        PromotionDump {
            rule: self.string(promotion.rule),
            source: self.key(promotion.source),
            bound: self.dump_bound(&promotion.bound),
            target: self.key(promotion.target),
            before: promotion.before.map(|digest| self.digest_of(digest)),
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
        let mut rows = Vec::new();
        for (id, tag) in self.tags.iter() {
            let promoted = tag
                .promoted
                .iter()
                .map(|one| self.dump_one_promoted(id, one));
            rows.extend(promoted);
        }
        rows.sort_by(|a, b| a.target.cmp(&b.target));
        rows
    }

    fn dump_one_promoted(&self, target: TagId, promoted: &Promoted) -> PromotedDump {
        let violation = promoted.violation.as_deref();
        PromotedDump {
            target: self.key(target),
            rule: self.string(promoted.rule),
            source: self.key(promoted.source),
            bound: self.dump_bound(&promoted.bound),
            before: promoted.before.map(|digest| self.digest_of(digest)),
            decided_at: promoted.decided_at,
            violation: violation.map(|reasons| self.reasons(reasons)),
            wakes_at: promoted.wakes_at,
            restless: promoted.restless,
        }
    }
}
