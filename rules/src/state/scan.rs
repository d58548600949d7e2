//! Scans: what each scanner did about a digest, and what counts of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weir_schema::{Finding, ScanCompleted, SeverityCounts, Timestamp};

use super::{
    State,
    numbers::{DigestId, NameId, ReportId, VulnerabilityId},
    reads::Reads,
    reason::clipped,
    report::Report,
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing, frozen};

/// How a scanner's latest terminal attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// There was none.
    None,
    Completed,
    /// For this reason: as much of it as a reason gives.
    Failed(Arc<str>),
}

/// The result that is held for a scanner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) report: ReportId,
    pub(crate) recorded_at: Timestamp,
    pub(crate) scanned_at: Option<Timestamp>,
    pub(crate) db_updated_at: Option<Timestamp>,
    /// The scanner's database as it was known when the scan completed, where the scan does not
    /// say it: a fact for rules, never a measure of which result is older.
    pub(crate) db_known: Option<Timestamp>,
}

/// What one scanner did about one digest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScannerState {
    pub(crate) name: NameId,
    pub(crate) attempt: Attempt,
    /// Started after the latest terminal attempt.
    pub(crate) running: bool,
    pub(crate) held: Option<Held>,
}

impl ScannerState {
    /// Notes a terminal attempt; gives what that changes.
    fn ended(&mut self, attempt: Attempt) -> Reads {
        let mut changed = Reads::NOTHING;
        if self.attempt != attempt {
            changed = changed.and(Reads::SCANS);
        }
        if self.running {
            changed = changed.and(Reads::RUNNING);
        }
        self.attempt = attempt;
        self.running = false;
        changed
    }
}

/// What a digest's scans come to: derived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What counts, the union over scanners in good standing; `None` while there is none.
    pub(crate) report: Option<ReportId>,
    /// One of those gave only counts.
    pub(crate) counts_only: bool,
    /// Some scanner's latest terminal attempt failed.
    pub(crate) failed: bool,
    /// Some scanner runs.
    pub(crate) running: bool,
}

/// The scans of one digest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scans {
    /// Sorted by the scanner's name.
    pub(crate) scanners: Vec<ScannerState>,
    /// Reports in the order of their records, each that brought a vulnerability not seen before.
    pub(crate) seen: Vec<(ReportId, Timestamp)>,
    /// When vulnerabilities that the first of those does not name were first seen: derived.
    later: BTreeMap<VulnerabilityId, Timestamp>,
    /// The latest scan of the scanners in good standing, and the oldest of their databases: derived.
    pub(crate) scanned_at: Option<Timestamp>,
    pub(crate) db_updated_at: Option<Timestamp>,
}

impl Scans {
    /// Scanners whose latest terminal attempt completed, with what they hold.
    pub(crate) fn in_good_standing(&self) -> impl Iterator<Item = (NameId, &Held)> {
        self.scanners
            .iter()
            .filter(|scanner| scanner.attempt == Attempt::Completed)
            .filter_map(|scanner| Some((scanner.name, scanner.held.as_ref()?)))
    }
}

/// A scan that completed, without what it found.
pub(crate) struct Completed {
    pub(crate) scanner: NameId,
    pub(crate) scanned_at: Option<Timestamp>,
    pub(crate) db_updated_at: Option<Timestamp>,
}

/// What was worked out of the reports of some digests: of those that one report covers most have the
/// same reports besides, and each step of it may cost as much as the report has findings.
#[derive(Default)]
pub(crate) struct Worked {
    /// What several reports come to. Each is referred to, so that its number stays its own.
    unions: BTreeMap<Vec<ReportId>, ReportId>,
    /// The vulnerabilities that a report names and the first that was seen does not.
    news: BTreeMap<(ReportId, ReportId), Arc<[VulnerabilityId]>>,
}

/// How old a scanner's result is: a result does not replace one that is newer (DESIGN 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanAge {
    /// When the scanner's database was made, as the scan itself says.
    pub db_updated_at: Option<Timestamp>,
    /// When the scan was made, as it says.
    pub scanned_at: Option<Timestamp>,
}

impl ScanAge {
    /// That of a completed scan.
    #[must_use]
    pub fn of(scan: &ScanCompleted) -> Self {
        Self {
            db_updated_at: scan.scanner.db_updated_at,
            scanned_at: scan.scanned_at,
        }
    }

    /// Whether it is older by the first measure that both have.
    #[must_use]
    pub fn is_older_than(self, held: Self) -> bool {
        match (self.db_updated_at, held.db_updated_at) {
            (Some(new), Some(held)) if new != held => new < held,
            _ => {
                matches!((self.scanned_at, held.scanned_at), (Some(new), Some(held)) if new < held)
            }
        }
    }
}

impl Held {
    fn age(&self) -> ScanAge {
        ScanAge {
            db_updated_at: self.db_updated_at,
            scanned_at: self.scanned_at,
        }
    }
}

impl State {
    pub(crate) fn scans(&self, digest: DigestId) -> Option<&Scans> {
        self.manifest(digest).scans.as_deref()
    }

    /// What a digest's scans come to.
    pub(crate) fn standing(&self, digest: DigestId) -> Standing {
        self.manifest(digest).standing
    }

    /// The report of what counts of a digest's scans.
    pub(crate) fn standing_report(&self, digest: DigestId) -> Option<&Report> {
        let report = self.standing(digest).report?;
        Some(self.reports.get(report))
    }

    /// When a completed scan of `digest` first reported `vulnerability`.
    pub(crate) fn first_seen(&self, digest: DigestId, vulnerability: NameId) -> Option<Timestamp> {
        let scans = self.scans(digest)?;
        let (first, at) = scans.seen.first()?;
        if self.reports.names(*first, vulnerability) {
            return Some(*at);
        }
        let found = self.reports.vulnerability(vulnerability)?;
        scans.later.get(&found).copied()
    }

    fn scans_mut(&mut self, digest: DigestId) -> &mut Scans {
        self.manifests[digest.place()].scans.get_or_insert_default()
    }

    fn scanner_state(&mut self, digest: DigestId, scanner: NameId) -> &mut ScannerState {
        let names = &self.names;
        let scans = self.manifests[digest.place()].scans.get_or_insert_default();
        let place = scans
            .scanners
            .binary_search_by(|known| names.text(known.name).cmp(names.text(scanner)));
        let place = place.unwrap_or_else(|place| {
            scans.scanners.reserve_exact(1);
            let new = ScannerState {
                name: scanner,
                attempt: Attempt::None,
                running: false,
                held: None,
            };
            scans.scanners.insert(place, new);
            place
        });
        &mut scans.scanners[place]
    }

    /// Notes that a scan runs; gives what that changes.
    pub(crate) fn scan_started(&mut self, digest: DigestId, scanner: NameId) -> Reads {
        let state = self.scanner_state(digest, scanner);
        let ran = std::mem::replace(&mut state.running, true);
        self.manifest_mut(digest).standing.running = true;
        if ran { Reads::NOTHING } else { Reads::RUNNING }
    }

    /// Notes that a scan failed; gives what that changes.
    pub(crate) fn scan_failed(&mut self, digest: DigestId, scanner: NameId, reason: &str) -> Reads {
        let state = self.scanner_state(digest, scanner);
        let attempt = Attempt::Failed(clipped(reason).into());
        let changed = state.ended(attempt);
        let mut worked = Worked::default();
        let changed = changed.and(self.stand(digest, &mut worked));
        self.release_worked(worked);
        changed
    }

    /// Takes the report of a completed scan, of one digest or several; the caller releases it.
    pub(crate) fn take_report(
        &mut self,
        findings: Option<&[Finding]>,
        counts: Option<&SeverityCounts>,
        licenses: &[String],
    ) -> ReportId {
        self.reports
            .add(findings, counts, licenses, &mut self.names)
    }

    pub(crate) fn release_report(&mut self, report: ReportId) {
        self.reports.release(report, &self.names);
    }

    pub(crate) fn release_worked(&mut self, worked: Worked) {
        for union in worked.unions.into_values() {
            self.release_report(union);
        }
    }

    /// Takes a completed scan of `digest`; gives what it changes. A result older than the one held
    /// does not replace it. The caller releases `worked` once all digests have theirs, and until then
    /// takes no other report.
    pub(crate) fn scan_completed(
        &mut self,
        digest: DigestId,
        report: ReportId,
        completed: &Completed,
        worked: &mut Worked,
    ) -> Reads {
        self.note_seen(digest, report, worked);
        let database = self.scanner_databases.get(&completed.scanner).copied();
        // It did not look with one that came after it.
        let database = database.filter(|at| completed.scanned_at.is_none_or(|then| *at <= then));
        let held = Held {
            report,
            recorded_at: self.now,
            scanned_at: completed.scanned_at,
            db_updated_at: completed.db_updated_at,
            db_known: database,
        };
        let state = self.scanner_state(digest, completed.scanner);
        let changed = state.ended(Attempt::Completed);
        if !state
            .held
            .as_ref()
            .is_some_and(|old| held.age().is_older_than(old.age()))
        {
            let old = state.held.replace(held);
            self.reports.retain(report);
            if let Some(old) = old {
                self.release_report(old.report);
            }
        }
        changed.and(self.stand(digest, worked))
    }

    /// Remembers the report if it brings a vulnerability not seen on this digest before.
    fn note_seen(&mut self, digest: DigestId, report: ReportId, worked: &mut Worked) {
        if self.brings(digest, report, worked) {
            self.reports.retain(report);
            self.remember(digest, report, self.now, worked);
        }
    }

    /// Whether a report names a vulnerability not seen on this digest before.
    fn brings(&self, digest: DigestId, report: ReportId, worked: &mut Worked) -> bool {
        let scans = self.scans(digest);
        let Some((scans, (first, _))) = scans.and_then(|one| Some((one, one.seen.first()?))) else {
            return !self.reports.findings_of(report).is_empty();
        };
        let news = self.news(*first, report, worked);
        news.iter().any(|found| !scans.later.contains_key(found))
    }

    /// The vulnerabilities that a report names and `first` does not.
    fn news(
        &self,
        first: ReportId,
        report: ReportId,
        worked: &mut Worked,
    ) -> Arc<[VulnerabilityId]> {
        let work_out = || {
            let findings = self.reports.findings_of(report).iter();
            let news: BTreeSet<VulnerabilityId> = findings
                .filter(|finding| !self.reports.has(first, **finding))
                .map(|finding| self.reports.found(*finding).vulnerability)
                .collect();
            news.into_iter().collect()
        };
        let known = worked.news.entry((first, report));
        Arc::clone(known.or_insert_with(work_out))
    }

    /// Adds a report to those that brought something, at its time. The reference to it is the
    /// caller's gift.
    fn remember(&mut self, digest: DigestId, report: ReportId, at: Timestamp, worked: &mut Worked) {
        let first = self.scans(digest).and_then(|scans| scans.seen.first());
        let news = first.map(|(first, _)| self.news(*first, report, worked));
        let scans = self.scans_mut(digest);
        for found in news.iter().flat_map(|news| news.iter()) {
            scans.later.entry(*found).or_insert(at);
        }
        scans.seen.reserve_exact(1);
        scans.seen.push((report, at));
    }

    /// Works out what a digest's scans come to; gives what that changes.
    fn stand(&mut self, digest: DigestId, worked: &mut Worked) -> Reads {
        let Some(scans) = self.scans(digest) else {
            return Reads::NOTHING;
        };
        let before = self.standing(digest);
        let times_before = (scans.scanned_at, scans.db_updated_at);
        let mut times: (Option<Timestamp>, Option<Timestamp>) = (None, None);
        let mut several = false;
        for (_, held) in scans.in_good_standing() {
            several |= times.0.is_some();
            times.0 = times
                .0
                .max(Some(held.scanned_at.unwrap_or(held.recorded_at)));
            let database = held.db_updated_at.or(held.db_known);
            times.1 = match (times.1, database) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let mut states = scans.scanners.iter();
        let failed = states.any(|state| matches!(state.attempt, Attempt::Failed(_)));
        let running = scans.scanners.iter().any(|state| state.running);
        let mut reports = scans.in_good_standing().map(|(_, held)| held.report);
        let first = reports.next();
        let counts_only =
            (first.into_iter().chain(reports)).any(|id| self.reports.get(id).findings.is_none());
        let report = match first {
            Some(one) if !several => {
                self.reports.retain(one);
                Some(one)
            }
            Some(_) => {
                let reports = scans.in_good_standing().map(|(_, held)| held.report);
                let reports: Vec<ReportId> = reports.collect();
                Some(self.union(reports, worked))
            }
            None => None,
        };
        if before.report != report {
            if let Some(old) = before.report {
                self.reports.set_leaf(old, digest, false);
            }
            if let Some(new) = report {
                self.reports.set_leaf(new, digest, true);
            }
        }
        if let Some(old) = before.report {
            self.release_report(old);
        }
        let scans = self.scans_mut(digest);
        (scans.scanned_at, scans.db_updated_at) = times;
        self.manifest_mut(digest).standing = Standing {
            report,
            counts_only,
            failed,
            running,
        };
        let mut changed = Reads::NOTHING;
        if (before.report, before.counts_only) != (report, counts_only) {
            changed = changed.and(Reads::FINDINGS);
        }
        if times_before != times {
            changed = changed.and(Reads::TIMES);
        }
        changed
    }

    /// What several reports come to, with a reference to it.
    fn union(&mut self, of: Vec<ReportId>, worked: &mut Worked) -> ReportId {
        let union = match worked.unions.get(&of) {
            Some(known) => *known,
            None => {
                let union = self.reports.union(&of, &mut self.names);
                worked.unions.insert(of, union);
                union
            }
        };
        self.reports.retain(union);
        union
    }

    /// Puts scans back as they were, from a canonical encoding: the references to the reports are the
    /// caller's gift.
    pub(crate) fn restore_scans(
        &mut self,
        digest: DigestId,
        scanners: Vec<ScannerState>,
        seen: Vec<(ReportId, Timestamp)>,
        worked: &mut Worked,
    ) {
        self.scans_mut(digest).scanners = scanners;
        for (report, at) in seen {
            self.remember(digest, report, at, worked);
        }
        self.stand(digest, worked);
    }
}

frozen!(struct Held { report, recorded_at, scanned_at, db_updated_at, db_known });
frozen!(struct ScannerState { name, attempt, running, held });
frozen!(struct Standing { report, counts_only, failed, running });
frozen!(struct Scans { scanners, seen, later, scanned_at, db_updated_at });

impl Frozen for Attempt {
    fn freeze(&self, to: &mut Freezing<'_>) {
        let (kind, reason) = match self {
            Self::None => (0, None),
            Self::Completed => (1, None),
            Self::Failed(reason) => (2, Some(reason)),
        };
        to.number(kind);
        if let Some(reason) = reason {
            reason.freeze(to);
        }
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        match from.number()? {
            0 => Ok(Self::None),
            1 => Ok(Self::Completed),
            2 => Frozen::thaw(from).map(Self::Failed),
            _ => Err(ThawError::Form("an end that is none")),
        }
    }
}
