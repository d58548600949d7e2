//! Scans: per digest and scanner, with equal reports kept once.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use weir_schema::{Finding, Severity, SeverityCounts, Timestamp};

use super::names::{DigestId, Fixed, NameId};

/// The number of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReportId(u32);

/// What a scan found, without when and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// Sorted and distinct; `None` from sources that only count.
    pub(crate) findings: Option<Vec<Finding>>,
    /// The counts that the source gave, where it gave no findings.
    pub(crate) counts: SeverityCounts,
    /// Sorted and distinct.
    pub(crate) licenses: Vec<String>,
    /// What counts as long as nothing is overridden.
    pub(crate) tally: Tally,
}

/// Numbers of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) fixable: u64,
    pub(crate) overridden: u64,
    pub(crate) max_score: f64,
}

impl Tally {
    /// Counts one finding.
    pub(crate) fn count(&mut self, finding: &Finding) {
        let count = &mut self.counts[slot(finding.severity)];
        *count = count.saturating_add(1);
        self.fixable += u64::from(
            finding
                .fixed_version
                .as_deref()
                .is_some_and(|fixed| !fixed.is_empty()),
        );
        self.max_score = self.max_score.max(finding.score.unwrap_or(0.0));
    }

    /// Adds what another leaf has.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.fixable += other.fixable;
        self.overridden += other.overridden;
        self.max_score = self.max_score.max(other.max_score);
    }
}

/// Counts by severity, in the order of [`Severity::ALL`].
pub(crate) type Counts = [u64; 6];

/// The place of a severity in [`Counts`].
pub(crate) fn slot(severity: Severity) -> usize {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Negligible => 4,
        Severity::Unknown => 5,
    }
}

impl Report {
    /// A report of what a scan found. The same finding twice is one, at its highest severity.
    pub(crate) fn new(
        findings: Option<Vec<Finding>>,
        counts: SeverityCounts,
        mut licenses: Vec<String>,
    ) -> Self {
        licenses.sort_unstable();
        licenses.dedup();
        let findings = findings.map(distinct);
        let mut tally = Tally::default();
        for finding in findings.iter().flatten() {
            tally.count(finding);
        }
        let counts = if findings.is_some() {
            SeverityCounts::default()
        } else {
            counts
        };
        Self {
            findings,
            counts,
            licenses,
            tally,
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = Fixed.build_hasher();
        for finding in self.findings.iter().flatten() {
            finding.id.hash(&mut hasher);
            finding.severity.hash(&mut hasher);
            finding.package.hash(&mut hasher);
            finding.version.hash(&mut hasher);
        }
        self.findings.is_some().hash(&mut hasher);
        self.counts.0.hash(&mut hasher);
        self.licenses.hash(&mut hasher);
        hasher.finish()
    }

    fn reports(&self, vulnerability: &str) -> bool {
        // Sorted by id first.
        let findings = self.findings.as_deref().unwrap_or_default();
        findings
            .binary_search_by(|finding| finding.id.as_str().cmp(vulnerability))
            .is_ok()
    }
}

/// Findings in order, each (id, package, version) once: the worst severity and score that anybody
/// gave, and of the rest what anybody knew.
pub(crate) fn distinct(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(order);
    findings.dedup_by(|next, first| {
        let same =
            (&next.id, &next.package, &next.version) == (&first.id, &first.package, &first.version);
        if same {
            merge(first, next);
        }
        same
    });
    findings
}

/// Adds to a finding what another says of the same.
fn merge(into: &mut Finding, from: &mut Finding) {
    into.severity = into.severity.max(from.severity);
    into.score = match (into.score, from.score) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    into.fixed_version = known(into.fixed_version.take(), from.fixed_version.take());
    into.layer = known(into.layer.take(), from.layer.take());
}

/// What is known of two: a text before none or an empty one, the smaller of two texts.
fn known(a: Option<String>, b: Option<String>) -> Option<String> {
    let told = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match (told(&a), told(&b)) {
        (true, true) => a.min(b),
        (true, false) => a,
        (false, true) => b,
        (false, false) => a.or(b),
    }
}

/// Orders findings so that equal reports are equal: by id, package, version, the worst first,
/// then the rest.
fn order(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    (&a.id, &a.package, &a.version)
        .cmp(&(&b.id, &b.package, &b.version))
        .then_with(|| b.severity.cmp(&a.severity))
        .then_with(|| a.fixed_version.cmp(&b.fixed_version))
        .then_with(|| {
            a.score
                .partial_cmp(&b.score)
                .unwrap_or(std::cmp::Ordering::Equal)
        })
        .then_with(|| a.layer.cmp(&b.layer))
}

#[derive(Debug, Clone)]
struct Entry {
    report: Arc<Report>,
    hash: u64,
    /// How often it is referred to; at none the place is free.
    references: u32,
    /// The leaves whose present result it is, with how many scanners say so.
    leaves: BTreeMap<DigestId, u32>,
}

/// Every report once, and the ways from a vulnerability to the leaves that have it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_hash: BTreeMap<u64, Vec<ReportId>>,
    by_vulnerability: BTreeMap<Arc<str>, BTreeSet<ReportId>>,
}

impl Reports {
    pub(crate) fn get(&self, id: ReportId) -> &Arc<Report> {
        let entry = self.entries[id.0 as usize].as_ref();
        &entry.expect("a report that is referred to is kept").report
    }

    /// Keeps `report` if no equal one is kept, and counts a reference to it.
    fn add(&mut self, report: Report) -> ReportId {
        let hash = report.hash();
        let known = self
            .by_hash
            .get(&hash)
            .and_then(|ids| ids.iter().copied().find(|id| **self.get(*id) == report));
        if let Some(id) = known {
            self.retain(id);
            return id;
        }
        let report = Arc::new(report);
        let entry = Entry {
            report: Arc::clone(&report),
            hash,
            references: 1,
            leaves: BTreeMap::new(),
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 reports fit in memory")
        });
        self.entries[number as usize] = Some(entry);
        let id = ReportId(number);
        self.by_hash.entry(hash).or_default().push(id);
        for finding in report.findings.iter().flatten() {
            match self.by_vulnerability.get_mut(finding.id.as_str()) {
                Some(ids) => {
                    ids.insert(id);
                }
                None => {
                    self.by_vulnerability
                        .insert(finding.id.as_str().into(), BTreeSet::from([id]));
                }
            }
        }
        id
    }

    fn retain(&mut self, id: ReportId) {
        if let Some(entry) = &mut self.entries[id.0 as usize] {
            entry.references += 1;
        }
    }

    fn release(&mut self, id: ReportId) {
        let Some(entry) = &mut self.entries[id.0 as usize] else {
            return;
        };
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        let (hash, report) = (entry.hash, Arc::clone(&entry.report));
        self.entries[id.0 as usize] = None;
        self.free.push(id.0);
        if let Some(ids) = self.by_hash.get_mut(&hash) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
        for finding in report.findings.iter().flatten() {
            if let Some(ids) = self.by_vulnerability.get_mut(finding.id.as_str()) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_vulnerability.remove(finding.id.as_str());
                }
            }
        }
    }

    fn present_at(&mut self, id: ReportId, leaf: DigestId) {
        if let Some(entry) = &mut self.entries[id.0 as usize] {
            *entry.leaves.entry(leaf).or_default() += 1;
        }
    }

    fn absent_at(&mut self, id: ReportId, leaf: DigestId) {
        if let Some(entry) = &mut self.entries[id.0 as usize]
            && let Some(count) = entry.leaves.get_mut(&leaf)
        {
            *count -= 1;
            if *count == 0 {
                entry.leaves.remove(&leaf);
            }
        }
    }

    /// The leaves with a present result that reports `vulnerability`.
    pub(crate) fn leaves_with(&self, vulnerability: &str) -> BTreeSet<DigestId> {
        let ids = self
            .by_vulnerability
            .get(vulnerability)
            .into_iter()
            .flatten();
        ids.filter_map(|id| self.entries[id.0 as usize].as_ref())
            .flat_map(|entry| entry.leaves.keys().copied())
            .collect()
    }
}

/// How a scanner's latest terminal attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Completed,
    Failed(NameId),
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
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ScannerState {
    pub(crate) attempt: Option<Attempt>,
    /// Started after the latest terminal attempt.
    pub(crate) running: bool,
    pub(crate) held: Option<Held>,
}

/// The scans of one digest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scans {
    /// Sorted by the scanner's name.
    pub(crate) scanners: Vec<(NameId, ScannerState)>,
    /// Reports in the order of their records, each that brought a vulnerability not seen before.
    pub(crate) seen: Vec<(ReportId, Timestamp)>,
}

impl Scans {
    /// When a completed scan first reported `vulnerability` here.
    pub(crate) fn first_seen(&self, reports: &Reports, vulnerability: &str) -> Option<Timestamp> {
        self.seen
            .iter()
            .find(|(id, _)| reports.get(*id).reports(vulnerability))
            .map(|(_, at)| *at)
    }

    /// Scanners whose latest terminal attempt completed, with what they hold.
    pub(crate) fn in_good_standing(&self) -> impl Iterator<Item = (NameId, &Held)> {
        self.scanners
            .iter()
            .filter_map(|(name, state)| match (&state.attempt, &state.held) {
                (Some(Attempt::Completed), Some(held)) => Some((*name, held)),
                _ => None,
            })
    }
}

/// Whether `new` is older than `held` by the first measure that both have (DESIGN 4.3).
fn is_older(new: &Held, held: &Held) -> bool {
    match (new.db_updated_at, held.db_updated_at) {
        (Some(new_db), Some(held_db)) if new_db != held_db => new_db < held_db,
        _ => matches!((new.scanned_at, held.scanned_at), (Some(new), Some(held)) if new < held),
    }
}

impl super::State {
    fn scanner_state(&mut self, digest: DigestId, scanner: NameId) -> &mut ScannerState {
        let names = &self.names;
        let scans = self.scans.entry(digest).or_default();
        let place = scans
            .scanners
            .binary_search_by(|(name, _)| names.text(*name).cmp(names.text(scanner)));
        let place = place.unwrap_or_else(|place| {
            scans
                .scanners
                .insert(place, (scanner, ScannerState::default()));
            place
        });
        &mut scans.scanners[place].1
    }

    pub(crate) fn scan_started(&mut self, digest: DigestId, scanner: NameId) {
        self.scanner_state(digest, scanner).running = true;
    }

    pub(crate) fn scan_failed(&mut self, digest: DigestId, scanner: NameId, reason: NameId) {
        let state = self.scanner_state(digest, scanner);
        state.attempt = Some(Attempt::Failed(reason));
        state.running = false;
    }

    /// Takes a completed scan of `digest`. A result older than the one held does not replace it.
    pub(crate) fn scan_completed(
        &mut self,
        digest: DigestId,
        scanner: NameId,
        report: Report,
        scanned_at: Option<Timestamp>,
        db_updated_at: Option<Timestamp>,
    ) {
        let recorded_at = self.now;
        let new_ids = {
            let scans = self.scans.get(&digest);
            let seen =
                |id: &str| scans.is_some_and(|scans| scans.first_seen(&self.reports, id).is_some());
            report
                .findings
                .iter()
                .flatten()
                .any(|finding| !seen(&finding.id))
        };
        let id = self.reports.add(report);
        if new_ids {
            self.reports.retain(id);
            self.scans
                .entry(digest)
                .or_default()
                .seen
                .push((id, recorded_at));
        }
        let db_known = self.scanner_databases.get(&scanner).copied();
        let held = Held {
            report: id,
            recorded_at,
            scanned_at,
            db_updated_at,
            db_known,
        };
        let state = self.scanner_state(digest, scanner);
        state.attempt = Some(Attempt::Completed);
        state.running = false;
        let replaced = match &state.held {
            Some(old) if is_older(&held, old) => {
                self.reports.release(id);
                None
            }
            _ => Some(state.held.replace(held)),
        };
        if let Some(old) = replaced {
            self.reports.present_at(id, digest);
            if let Some(old) = old {
                self.reports.absent_at(old.report, digest);
                self.reports.release(old.report);
            }
        }
    }

    /// Puts scans back as they were, from a snapshot.
    pub(crate) fn restore_scans(
        &mut self,
        digest: DigestId,
        scanners: Vec<(NameId, ScannerState, Option<Report>)>,
        seen: Vec<(Report, Timestamp)>,
    ) {
        let mut scans = Scans::default();
        for (name, mut state, report) in scanners {
            if let (Some(held), Some(report)) = (&mut state.held, report) {
                held.report = self.reports.add(report);
                self.reports.present_at(held.report, digest);
            }
            scans.scanners.push((name, state));
        }
        for (report, at) in seen {
            scans.seen.push((self.reports.add(report), at));
        }
        self.scans.insert(digest, scans);
    }

    /// A place for a report that is put back later; used only by snapshots.
    pub(crate) fn no_report() -> ReportId {
        ReportId(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Severity, distinct};

    fn finding(severity: Severity, fixed: Option<&str>, score: Option<f64>) -> Finding {
        Finding {
            id: "CVE-1".into(),
            severity,
            package: Some("openssl".into()),
            version: Some("3.0.1".into()),
            fixed_version: fixed.map(str::to_owned),
            score,
            layer: None,
        }
    }

    #[test]
    fn the_same_finding_twice_is_one_with_all_that_is_known_of_it() {
        let low = finding(Severity::Low, Some("3.0.2"), Some(9.1));
        let high = finding(Severity::High, None, Some(3.0));
        let later = finding(Severity::Low, Some("3.0.4"), None);
        let merged = finding(Severity::High, Some("3.0.2"), Some(9.1));
        for all in [
            vec![low.clone(), high.clone(), later.clone()],
            vec![later, high, low],
        ] {
            assert_eq!(distinct(all), [merged.clone()]);
        }
    }

    #[test]
    fn a_fix_that_one_scanner_knows_beats_the_empty_text_of_another() {
        let (empty, known) = (
            finding(Severity::Low, Some(""), None),
            finding(Severity::Low, Some("3.0.2"), None),
        );
        assert_eq!(distinct(vec![empty, known.clone()]), [known]);
    }
}
