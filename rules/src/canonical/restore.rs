//! A state put back from its canonical encoding.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use weir_schema::{Digest, ReasonCode, RuleFile, Timestamp};

use super::{
    ApprovalDump, HoldDump, KeyDump, ManifestDump, OverrideDump, PromotedDump, PromotionDump,
    ReportDump, ScannerDump, ScansDump, SubjectDump, TagDump, VERSION,
};
use crate::{
    evolve::Touched,
    rule::RuleSet,
    state::{
        Attempt, Bound, DigestId, Facts, Held, Hold, Hop, Origin, Override, Progress, Promoted,
        Promotion, Reads, ReportId, RepositoryId, ScannerState, ScopePattern, Settings, Settled,
        State, Subject, TagId, Vote, Wake,
    },
};

/// Reads a state as [`super::dump::Whole`] writes it, row by row: its rows are never in memory
/// together.
pub(super) struct Restoring<'a> {
    pub(super) settings: Settings,
    /// Why the rules in it are refused.
    pub(super) refused: &'a mut Option<String>,
}

/// Gives each row of a list to a function.
struct Rows<T, F>(F, PhantomData<T>);

fn rows<T, F: FnMut(T)>(take: F) -> Rows<T, F> {
    Rows(take, PhantomData)
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Rows<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Rows<T, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(row) = list.next_element()? {
            (self.0)(row);
        }
        Ok(())
    }
}

/// Gives each entry of a map to a function.
struct Entries<K, V, F>(F, PhantomData<(K, V)>);

fn entries<K, V, F: FnMut(K, V)>(take: F) -> Entries<K, V, F> {
    Entries(take, PhantomData)
}

impl<'de, K, V, F> DeserializeSeed<'de> for Entries<K, V, F>
where
    K: Deserialize<'de>,
    V: Deserialize<'de>,
    F: FnMut(K, V),
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, K, V, F> Visitor<'de> for Entries<K, V, F>
where
    K: Deserialize<'de>,
    V: Deserialize<'de>,
    F: FnMut(K, V),
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry()? {
            (self.0)(key, value);
        }
        Ok(())
    }
}

/// Reads the name of the next field, which must be this one.
fn field<'de, A: MapAccess<'de>>(map: &mut A, name: &'static str) -> Result<(), A::Error> {
    match map.next_key::<String>()? {
        Some(found) if found == name => Ok(()),
        _ => Err(A::Error::missing_field(name)),
    }
}

fn value<'de, T, A>(map: &mut A, name: &'static str) -> Result<T, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    field(map, name)?;
    map.next_value()
}

fn each<'de, S, A>(map: &mut A, name: &'static str, seed: S) -> Result<(), A::Error>
where
    S: DeserializeSeed<'de, Value = ()>,
    A: MapAccess<'de>,
{
    field(map, name)?;
    map.next_value_seed(seed)
}

impl<'de> DeserializeSeed<'de> for Restoring<'_> {
    type Value = State;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<State, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Restoring<'_> {
    type Value = State;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a state")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<State, A::Error> {
        let map = &mut map;
        let mut state = State::new(self.settings);
        let version: u32 = value(map, "version")?;
        if version != VERSION {
            return Err(A::Error::custom("another version"));
        }
        state.seq = value(map, "seq")?;
        state.now = value(map, "now")?;
        let rule_files: Vec<RuleFile> = value(map, "rule_files")?;
        if let Err(refused) = state.load_rules(&rule_files) {
            *self.refused = Some(refused);
            return Err(A::Error::custom("its rules are refused"));
        }
        state.rules_refused = value(map, "rules_refused")?;
        let take = |name: String, immutable| {
            let id = state.intern_repository_text(&name);
            state.repositories.get_mut(id).immutable_tags = immutable;
        };
        each(map, "repositories", entries(take))?;
        let take = |digest, dump| state.restore_manifest(&digest, &dump);
        each(map, "manifests", entries(take))?;
        let take = |(repository, tag, dump)| state.restore_tag(&(repository, tag), dump);
        each(map, "tags", rows(take))?;
        let take = |row| state.restore_place(row, State::restore_push);
        each(map, "index_pushes", rows(take))?;
        let take = |row| state.restore_place(row, State::note_deletion);
        each(map, "deletions", rows(take))?;
        // They refer to the reports that follow.
        let mut scans: Vec<(Digest, ScansDump)> = Vec::new();
        let take = |digest, dump| scans.push((digest, dump));
        each(map, "scans", entries(take))?;
        let mut kept = Kept::new();
        let take = |digest, dump: ReportDump| {
            let findings = dump.findings.as_deref();
            let report = state.take_report(findings, Some(&dump.counts), &dump.licenses);
            kept.insert(digest, report);
        };
        each(map, "reports", entries(take))?;
        let take = |name: String, at| {
            let name = state.names.intern(&name);
            state.scanner_databases.insert(name, at);
        };
        each(map, "scanner_databases", entries(take))?;
        state.restore_scans_of_all(scans, kept);
        let take = |id: String, dump| {
            let id = state.names.intern(&id);
            let one = state.restore_override(dump);
            state.put_override(id, one);
        };
        each(map, "overrides", entries(take))?;
        let take = |dump| state.restore_approval(dump);
        each(map, "approvals", rows(take))?;
        let take = |id, dump| {
            let hold = state.restore_hold(dump);
            state.holds.insert(id, hold);
        };
        each(map, "holds", entries(take))?;
        let take = |dump| state.restore_subject(dump);
        each(map, "subjects", rows(take))?;
        let take = |id, dump| state.restore_promotion(id, dump);
        each(map, "promotions", entries(take))?;
        let take = |dump| state.restore_promoted(dump);
        each(map, "promoted", rows(take))?;
        match map.next_key::<String>()? {
            None => Ok(state),
            Some(more) => Err(A::Error::custom(format_args!("unknown field `{more}`"))),
        }
    }
}

/// Reports that are read, by the digests of their encodings.
type Kept = BTreeMap<Digest, ReportId>;

impl State {
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
            Arc::new(Origin {
                rule: self.names.intern(&origin.rule),
                source: self.intern_repository_text(&origin.source),
                binding: origin.binding,
                lineage,
            })
        });
        Bound {
            digest: self.intern_digest(&dump.digest),
            binding: dump.binding,
            bound_at: dump.bound_at,
            pushed_by: self.names.intern_option(dump.pushed_by.as_deref()),
            previous: self.restore_digest(dump.previous),
            origin,
        }
    }

    // Scans.

    fn restore_scans_of_all(&mut self, scans: Vec<(Digest, ScansDump)>, kept: Kept) {
        // Each report is read once; whoever refers to it gets a reference of its own.
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
            self.restore_scans(id, scanners, seen);
        }
        for report in kept.into_values() {
            self.release_report(report);
        }
    }

    fn restore_scanner(&mut self, dump: ScannerDump, kept: &Kept) -> Option<ScannerState> {
        let attempt = match dump.failed {
            Some(reason) => Attempt::Failed(self.names.intern(&reason)),
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
                _ => Progress::Failed,
            },
            attempts: dump.attempts,
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
