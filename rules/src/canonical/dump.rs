//! A state as its canonical encoding has it: texts and digests, sorted.
//!
//! It is written row by row: of a state of millions of tags there is never a second one in memory.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use weir_schema::Digest;

use super::{
    HeldDump, HoldDump, KeyDump, ManifestDump, OriginDump, OverrideDump, PromotedDump,
    PromotionDump, ReportDump, ScannerDump, ScansDump, SubjectDump, TagDump, VERSION,
};
use crate::state::{
    Attempt, Bound, DigestId, Hold, Manifest, NameId, Override, Places, Progress, Promoted,
    Promotion, ReportId, RepositoryId, Settled, State, Subject, TagId, Way,
};

/// A state, to be written: every repository ever named with whether its tags are immutable, the
/// reports by the digests of their own encodings, so that equal ones stand there once.
pub(super) struct Whole<'a>(pub(super) &'a State);

/// A list whose rows are made as they are written.
struct List<F>(F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// A map likewise.
struct Map<F>(F);

impl<F, I, K, V> Serialize for Map<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map((self.0)())
    }
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.0;
        let manifests = state.manifests_in_order();
        let digests = state.report_digests();
        let reports: BTreeMap<&Digest, ReportId> =
            digests.iter().map(|(id, digest)| (digest, *id)).collect();
        let mut whole = serializer.serialize_struct("State", 19)?;
        whole.serialize_field("version", &VERSION)?;
        whole.serialize_field("seq", &state.seq)?;
        whole.serialize_field("now", &state.now)?;
        whole.serialize_field("rule_files", &state.rule_files)?;
        whole.serialize_field("rules_refused", &state.rules_refused)?;
        whole.serialize_field("repositories", &state.dump_repositories())?;
        whole.serialize_field(
            "manifests",
            &Map(|| {
                let known = manifests.iter().copied();
                let known = known.filter(|id| state.content(*id).media_type.is_some());
                known.map(|id| (state.digest(id), state.dump_manifest(id)))
            }),
        )?;
        let tags = state.tags_in_order();
        whole.serialize_field(
            "tags",
            &List(|| {
                tags.iter().filter_map(|id| {
                    let bound = state.tags.get(*id).bound.as_ref()?;
                    let (repository, tag) = state.tag_texts(*id);
                    Some((repository, tag, state.dump_bound(bound)))
                })
            }),
        )?;
        let pushes = state.dump_presence(&manifests, |places| &places.pushes);
        whole.serialize_field("index_pushes", &pushes)?;
        let deletions = state.dump_presence(&manifests, |places| &places.deletions);
        whole.serialize_field("deletions", &deletions)?;
        whole.serialize_field(
            "scans",
            &Map(|| {
                let scanned = manifests.iter().copied();
                scanned.filter_map(|id| {
                    let scans = state.dump_scans(state.manifest(id), &digests)?;
                    Some((state.digest(id), scans))
                })
            }),
        )?;
        whole.serialize_field(
            "reports",
            &Map(|| {
                let reports = reports.iter();
                reports.map(|(digest, id)| (digest, state.dump_report(*id)))
            }),
        )?;
        let databases: BTreeMap<_, _> = state
            .scanner_databases
            .iter()
            .map(|(name, at)| (state.text(*name), at))
            .collect();
        whole.serialize_field("scanner_databases", &databases)?;
        let overrides: BTreeMap<_, _> = state
            .overrides
            .iter()
            .map(|(id, one)| (state.string(id), state.dump_override(one)))
            .collect();
        whole.serialize_field("overrides", &overrides)?;
        whole.serialize_field("approvals", &state.dump_approvals())?;
        whole.serialize_field(
            "holds",
            &Map(|| {
                let holds = state.holds.iter();
                holds.map(|(id, one)| (id, state.dump_hold(one)))
            }),
        )?;
        whole.serialize_field(
            "subjects",
            &List(|| tags.iter().flat_map(|id| state.dump_subjects(*id))),
        )?;
        whole.serialize_field(
            "promotions",
            &Map(|| {
                let promotions = state.promotions.iter();
                promotions.map(|(id, one)| (id, state.dump_promotion(one)))
            }),
        )?;
        whole.serialize_field(
            "promoted",
            &List(|| {
                tags.iter().filter_map(|id| {
                    let promoted = state.tags.get(*id).promoted.as_deref()?;
                    Some(state.dump_promoted(*id, promoted))
                })
            }),
        )?;
        whole.end()
    }
}

impl State {
    fn manifests_in_order(&self) -> Vec<DigestId> {
        let mut ids: Vec<DigestId> = self.all_manifests().map(|(id, _)| id).collect();
        ids.sort_unstable_by_key(|id| self.digest(*id));
        ids
    }

    /// Every tag ever named, by repository and name.
    fn tags_in_order(&self) -> Vec<TagId> {
        let mut ids: Vec<TagId> = self.tags.iter().map(|(id, _)| id).collect();
        ids.sort_unstable_by_key(|id| self.tag_texts(*id));
        ids
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

    /// A manifest of which something is known; one that is only mentioned follows from the rest.
    fn dump_manifest(&self, id: DigestId) -> ManifestDump {
        let content = self.content(id);
        let details = content.details.as_deref().cloned().unwrap_or_default();
        let children = self.manifest(id).children().map(|children| {
            let descriptors = children.iter().map(|child| self.descriptor(child));
            descriptors.collect()
        });
        ManifestDump {
            media_type: content.media_type.map(|id| self.string(id)),
            size: content.size,
            artifact_type: content.artifact_type.map(|id| self.string(id)),
            manifests: children,
            annotations: details.annotations,
            labels: details.labels,
            config_digest: details.config_digest,
            subject: details.subject.map(|id| self.digest_of(id)),
        }
    }

    fn dump_presence(
        &self,
        manifests: &[DigestId],
        list: impl Fn(&Places) -> &Vec<(RepositoryId, u64)>,
    ) -> Vec<(&str, &Digest, u64)> {
        let mut rows = Vec::new();
        for id in manifests {
            let places = self.content(*id).places.iter();
            for (repository, seq) in places.flat_map(|places| list(places)) {
                let repository = &*self.repository(*repository).text;
                rows.push((repository, self.digest(*id), *seq));
            }
        }
        rows.sort();
        rows
    }

    /// Ways, in the order in which they were first taken.
    fn ways(&self, ways: &[Way]) -> Vec<(String, String, Option<u64>)> {
        let ways = ways.iter().map(|way| {
            let source = self.repository_string(way.source);
            (self.string(way.rule), source, way.binding)
        });
        ways.collect()
    }

    fn dump_bound(&self, bound: &Bound) -> TagDump {
        let origin = bound.origin.as_ref().map(|origin| OriginDump {
            rule: self.string(origin.way.rule),
            source: self.repository_string(origin.way.source),
            binding: origin.way.binding,
            before: self.ways(&origin.before),
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
            found: bound.found,
            previous: bound.previous.map(|digest| self.digest_of(digest)),
            origin,
        }
    }

    // Scans.

    /// The reports that scans refer to, each with the digest of its own encoding.
    fn report_digests(&self) -> BTreeMap<ReportId, Digest> {
        let mut digests = BTreeMap::new();
        let all = self
            .all_manifests()
            .filter_map(|(_, manifest)| manifest.scans.as_deref());
        for scans in all {
            let held = scans
                .scanners
                .iter()
                .filter_map(|state| state.held.as_ref());
            let held = held.map(|held| held.report);
            for id in held.chain(scans.seen.iter().map(|(id, _)| *id)) {
                digests.entry(id).or_insert_with(|| {
                    let dump = self.dump_report(id);
                    Digest::of(&serde_json::to_vec(&dump).expect("a report serializes"))
                });
            }
        }
        digests
    }

    fn dump_scans(
        &self,
        manifest: &Manifest,
        reports: &BTreeMap<ReportId, Digest>,
    ) -> Option<ScansDump> {
        let scans = manifest.scans.as_deref()?;
        // INVARIANT: it has every report that scans refer to.
        let report = |id: &ReportId| reports[id].clone();
        let scanners = scans.scanners.iter().map(|state| ScannerDump {
            name: self.string(state.name),
            completed: state.attempt == Attempt::Completed,
            failed: match &state.attempt {
                Attempt::Failed(reason) => Some(reason.to_string()),
                Attempt::None | Attempt::Completed => None,
            },
            running: state.running,
            held: state.held.as_ref().map(|held| HeldDump {
                report: report(&held.report),
                recorded_at: held.recorded_at,
                scanned_at: held.scanned_at,
                db_updated_at: held.db_updated_at,
                db_known: held.db_known,
            }),
        });
        let seen = scans.seen.iter().map(|(id, at)| (report(id), *at));
        Some(ScansDump {
            scanners: scanners.collect(),
            seen: seen.collect(),
        })
    }

    fn dump_report(&self, id: ReportId) -> ReportDump {
        let report = self.reports.get(id);
        let findings = report.findings.as_ref().map(|findings| {
            let findings = findings.iter();
            findings
                .map(|id| self.reports.finding(*id, &self.names))
                .collect()
        });
        ReportDump {
            findings,
            counts: report.told.as_deref().cloned().unwrap_or_default(),
            licenses: report.licenses.iter().map(|id| self.string(*id)).collect(),
        }
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

    /// The subjects of a tag, by rule.
    fn dump_subjects(&self, tag: TagId) -> Vec<SubjectDump> {
        let subjects = self.tags.get(tag).subjects.iter();
        let mut rows: Vec<_> = subjects.map(|one| self.dump_subject(tag, one)).collect();
        rows.sort_by(|a, b| a.rule.cmp(&b.rule));
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
                Progress::Arrived => 3,
            },
            attempts: promotion.attempts,
            retried_after: promotion.retried_after,
            error: promotion.error.clone(),
        }
    }

    fn dump_promoted(&self, target: TagId, promoted: &Promoted) -> PromotedDump {
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
