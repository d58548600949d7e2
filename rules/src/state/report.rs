//! What scans found: each finding once, each list of findings once, and the ways from a
//! vulnerability to the images that have it.

use std::{collections::BTreeSet, sync::Arc};

use weir_schema::{Finding, Severity, SeverityCounts};

use super::{
    finding::{compare, merge, told},
    names::Names,
    numbers::{DigestId, FindingId, NameId, ReportId, VulnerabilityId},
    table::{Table, hash_of},
    tally::Tally,
    vulnerabilities::{self, Vulnerabilities, Ways},
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing, frozen};

/// A finding.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The vulnerability.
    pub(crate) id: NameId,
    /// The same, by its number among vulnerabilities.
    pub(crate) vulnerability: VulnerabilityId,
    // Of these none is the empty text.
    pub(crate) package: Option<NameId>,
    pub(crate) version: Option<NameId>,
    pub(crate) fixed_version: Option<NameId>,
    pub(crate) layer: Option<NameId>,
    pub(crate) severity: Severity,
    pub(crate) score: Option<f64>,
    /// In how many reports it is; at none the place is free.
    reports: u32,
}

/// What a scan found, without when and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// In the order of their texts and distinct; `None` from sources that only count.
    pub(crate) findings: Option<Box<[FindingId]>>,
    /// The counts that a source gave that only counts.
    pub(crate) told: Option<Box<SeverityCounts>>,
    /// In the order of their texts and distinct.
    pub(crate) licenses: Box<[NameId]>,
    /// What counts as long as nothing is overridden.
    pub(crate) tally: Tally,
}

#[derive(Debug, Clone)]
struct Entry {
    report: Report,
    hash: u64,
    /// How often it is referred to; at none the place is free.
    references: u32,
    /// The leaves of which it says what counts, if it lists findings.
    leaves: BTreeSet<DigestId>,
    /// To the vulnerabilities that it names.
    ways: Ways,
    /// How many of them there are overrides for.
    overridable: u32,
}

/// Every finding and every report once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports {
    findings: Vec<Found>,
    free_findings: Vec<FindingId>,
    finding_table: Table,
    entries: Vec<Option<Entry>>,
    free: Vec<ReportId>,
    table: Table,
    vulnerabilities: Vulnerabilities,
}

impl Reports {
    pub(crate) fn get(&self, id: ReportId) -> &Report {
        &self.entry(id).report
    }

    pub(crate) fn found(&self, id: FindingId) -> &Found {
        &self.findings[id.place()]
    }

    /// The findings of a report; none if it only counts.
    pub(crate) fn findings_of(&self, id: ReportId) -> &[FindingId] {
        self.get(id).findings.as_deref().unwrap_or_default()
    }

    /// Whether an override may keep a finding of the report from counting.
    pub(crate) fn is_overridable(&self, id: ReportId) -> bool {
        self.entry(id).overridable > 0
    }

    /// The places that there are for findings, for reports, and for vulnerabilities.
    pub(crate) fn places(&self) -> (usize, usize, usize) {
        let (findings, reports) = (self.findings.len(), self.entries.len());
        (findings, reports, self.vulnerabilities.len())
    }

    fn entry(&self, id: ReportId) -> &Entry {
        let entry = self.entries[id.place()].as_ref();
        entry.expect("a report that is referred to is kept")
    }

    fn entry_mut(&mut self, id: ReportId) -> &mut Entry {
        let entry = self.entries[id.place()].as_mut();
        entry.expect("a report that is referred to is kept")
    }

    /// Keeps a report if no equal one is kept, and counts a reference to it. The same finding
    /// twice is one.
    pub(crate) fn add(
        &mut self,
        findings: Option<&[Finding]>,
        counts: Option<&SeverityCounts>,
        licenses: &[String],
        names: &mut Names,
    ) -> ReportId {
        let findings = findings.map(|findings| self.intern_findings(findings, names));
        let told = match findings {
            Some(_) => None,
            None => Some(Box::new(counts.cloned().unwrap_or_default())),
        };
        let mut texts: Vec<&String> = licenses.iter().collect();
        texts.sort_unstable();
        texts.dedup();
        let licenses = texts.into_iter().map(|text| names.intern(text)).collect();
        self.keep(findings, told, licenses)
    }

    /// The report of what several scanners found of one leaf.
    pub(crate) fn union(&mut self, of: &[ReportId], names: &mut Names) -> ReportId {
        let mut findings: Option<Vec<Finding>> = None;
        let mut told: Option<Box<SeverityCounts>> = None;
        let mut licenses = BTreeSet::new();
        for id in of {
            let report = self.get(*id);
            if let Some(some) = &report.findings {
                let some = some.iter().map(|id| self.finding(*id, names));
                findings.get_or_insert_default().extend(some);
            }
            for (severity, count) in report.told.iter().flat_map(|told| &told.0) {
                let most = &mut told.get_or_insert_default().0;
                let most = most.entry(*severity).or_default();
                *most = (*most).max(*count);
            }
            licenses.extend(
                report
                    .licenses
                    .iter()
                    .map(|id| (names.text(*id).clone(), *id)),
            );
        }
        let findings = findings.map(|all| self.intern_findings(&all, names));
        let licenses = licenses.into_iter().map(|(_, id)| id).collect();
        self.keep(findings, told, licenses)
    }

    fn keep(
        &mut self,
        findings: Option<Vec<FindingId>>,
        told: Option<Box<SeverityCounts>>,
        licenses: Box<[NameId]>,
    ) -> ReportId {
        let hash = hash_of_report(findings.as_deref(), told.as_deref(), &licenses);
        let same = |place: usize| {
            let known = self.entries[place].as_ref().map(|entry| &entry.report);
            known.is_some_and(|known| {
                known.findings.as_deref() == findings.as_deref()
                    && known.told == told
                    && known.licenses == licenses
            })
        };
        if let Some(place) = self.table.find(hash, same) {
            let id = ReportId::at(place);
            self.retain(id);
            return id;
        }
        let mut tally = Tally::default();
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            ReportId::at(self.entries.len() - 1)
        });
        let mut named = Vec::with_capacity(findings.as_ref().map_or(0, Vec::len));
        for finding in findings.iter().flatten() {
            let row = &mut self.findings[finding.place()];
            row.reports += 1;
            tally.count(row);
            named.push(row.vulnerability);
        }
        let ways = self.vulnerabilities.link(id, named);
        let overridable =
            vulnerabilities::count(&ways, |one| self.vulnerabilities.is_overridden(one));
        tally.at_least(told.as_deref());
        self.entries[id.place()] = Some(Entry {
            report: Report {
                findings: findings.map(Into::into),
                told,
                licenses,
                tally,
            },
            hash,
            references: 1,
            leaves: BTreeSet::new(),
            ways,
            overridable,
        });
        self.table.insert(hash, id.place());
        id
    }

    pub(crate) fn retain(&mut self, id: ReportId) {
        self.entry_mut(id).references += 1;
    }

    pub(crate) fn release(&mut self, id: ReportId, names: &Names) {
        let entry = self.entry_mut(id);
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        let hash = entry.hash;
        self.table.remove(hash, id.place());
        let Some(entry) = self.entries[id.place()].take() else {
            return;
        };
        self.free.push(id);
        self.vulnerabilities.unlink(&entry.ways, |report, way, at| {
            let other = self.entries[report.place()].as_mut();
            if let Some(way) = other.and_then(|other| other.ways.get_mut(way)) {
                way.move_to(at);
            }
        });
        for finding in entry.report.findings.iter().flatten() {
            let row = &mut self.findings[finding.place()];
            row.reports -= 1;
            if row.reports == 0 {
                self.forget(*finding, names);
            }
        }
    }

    // Findings.

    /// The numbers of findings in the order of their texts, each (id, package, version) once.
    fn intern_findings(&mut self, findings: &[Finding], names: &mut Names) -> Vec<FindingId> {
        let mut sorted: Vec<&Finding> = findings.iter().collect();
        sorted.sort_by(|a, b| compare(a, b));
        let mut numbers = Vec::with_capacity(sorted.len());
        for same in sorted.chunk_by(|a, b| compare(a, b).is_eq()) {
            numbers.push(match same {
                [one] => self.intern_finding(one, names),
                several => {
                    let mut merged = several[0].clone();
                    for other in &several[1..] {
                        merge(&mut merged, other);
                    }
                    self.intern_finding(&merged, names)
                }
            });
        }
        numbers
    }

    fn intern_finding(&mut self, finding: &Finding, names: &mut Names) -> FindingId {
        let hash = hash_of_finding(finding);
        let text = |id: Option<NameId>| id.map(|id| &**names.text(id));
        let same = |place: usize| {
            let row = &self.findings[place];
            **names.text(row.id) == *finding.id
                && text(row.package) == told(&finding.package)
                && text(row.version) == told(&finding.version)
                && row.severity == finding.severity
                && text(row.fixed_version) == told(&finding.fixed_version)
                && row.score.map(f64::to_bits) == finding.score.map(f64::to_bits)
                && text(row.layer) == told(&finding.layer)
        };
        if let Some(place) = self.finding_table.find(hash, same) {
            return FindingId::at(place);
        }
        let id = names.intern(&finding.id);
        let row = Found {
            id,
            vulnerability: self.vulnerabilities.intern(id),
            package: names.intern_option(told(&finding.package)),
            version: names.intern_option(told(&finding.version)),
            fixed_version: names.intern_option(told(&finding.fixed_version)),
            layer: names.intern_option(told(&finding.layer)),
            severity: finding.severity,
            score: finding.score,
            reports: 0,
        };
        let id = match self.free_findings.pop() {
            Some(free) => {
                self.findings[free.place()] = row;
                free
            }
            None => {
                self.findings.push(row);
                FindingId::at(self.findings.len() - 1)
            }
        };
        self.finding_table.insert(hash, id.place());
        id
    }

    fn forget(&mut self, id: FindingId, names: &Names) {
        let hash = hash_of_found(self.found(id), names);
        self.finding_table.remove(hash, id.place());
        self.free_findings.push(id);
    }

    /// A finding as events have it.
    pub(crate) fn finding(&self, id: FindingId, names: &Names) -> Finding {
        let row = self.found(id);
        let text = |id: NameId| Arc::clone(names.text(id)).into();
        Finding {
            id: text(row.id),
            severity: row.severity,
            package: row.package.map(text),
            version: row.version.map(text),
            fixed_version: row.fixed_version.map(text),
            score: row.score,
            layer: row.layer.map(text),
        }
    }

    // Ways from a vulnerability.

    /// The number of a vulnerability, if it was ever seen.
    pub(crate) fn vulnerability(&self, id: NameId) -> Option<VulnerabilityId> {
        self.vulnerabilities.find(id)
    }

    /// Whether a report names `vulnerability`.
    pub(crate) fn names(&self, id: ReportId, vulnerability: NameId) -> bool {
        let found = self.vulnerabilities.find(vulnerability);
        found.is_some_and(|found| self.leads_to(id, found))
    }

    fn leads_to(&self, id: ReportId, vulnerability: VulnerabilityId) -> bool {
        vulnerabilities::leads_to(&self.entry(id).ways, vulnerability)
    }

    /// Whether a report names the vulnerability of a finding.
    pub(crate) fn has(&self, id: ReportId, finding: FindingId) -> bool {
        self.leads_to(id, self.found(finding).vulnerability)
    }

    /// The leaves of which a report with `vulnerability` says what counts, in any order.
    pub(crate) fn leaves_with(&self, vulnerability: NameId) -> impl Iterator<Item = DigestId> {
        let found = self.vulnerabilities.find(vulnerability);
        let naming = found
            .into_iter()
            .flat_map(|id| self.vulnerabilities.naming(id));
        naming.flat_map(|id| self.entry(id).leaves.iter().copied())
    }

    /// Notes that a report says what counts on a leaf, or no longer does.
    pub(crate) fn set_leaf(&mut self, id: ReportId, leaf: DigestId, counts: bool) {
        let entry = self.entry_mut(id);
        // A report without findings is on no way from a vulnerability.
        if entry
            .report
            .findings
            .as_ref()
            .is_none_or(|some| some.is_empty())
        {
            return;
        }
        if counts {
            entry.leaves.insert(leaf);
        } else {
            entry.leaves.remove(&leaf);
        }
    }

    /// Notes an override for a vulnerability, or the end of one.
    pub(crate) fn set_override(&mut self, vulnerability: NameId, exists: bool) {
        let id = self.vulnerabilities.intern(vulnerability);
        let Some(after) = self.vulnerabilities.set_override(id, exists) else {
            return;
        };
        for report in self.vulnerabilities.naming(id) {
            let Some(entry) = &mut self.entries[report.place()] else {
                continue;
            };
            entry.overridable = if after {
                entry.overridable + 1
            } else {
                entry.overridable - 1
            };
        }
    }
}

fn hash_of_report(
    findings: Option<&[FindingId]>,
    told: Option<&SeverityCounts>,
    licenses: &[NameId],
) -> u64 {
    hash_of(&(findings, told.map(|told| &told.0), licenses))
}

fn hash_of_finding(finding: &Finding) -> u64 {
    hash_of(&(
        &*finding.id,
        told(&finding.package),
        told(&finding.version),
        told(&finding.fixed_version),
        finding.score.map(f64::to_bits),
        finding.severity,
    ))
}

fn hash_of_found(found: &Found, names: &Names) -> u64 {
    let text = |id: Option<NameId>| id.map(|id| &**names.text(id));
    hash_of(&(
        &**names.text(found.id),
        text(found.package),
        text(found.version),
        text(found.fixed_version),
        found.score.map(f64::to_bits),
        found.severity,
    ))
}

frozen!(struct Found { id, vulnerability, package, version, fixed_version, layer, severity, score, reports });
frozen!(struct Report { findings, told, licenses, tally });

impl Frozen for Entry {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.report.freeze(to);
        self.references.freeze(to);
        self.leaves.freeze(to);
        self.ways.freeze(to);
        self.overridable.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let report: Report = Frozen::thaw(from)?;
        let (findings, told) = (report.findings.as_deref(), report.told.as_deref());
        Ok(Self {
            hash: hash_of_report(findings, told, &report.licenses),
            references: Frozen::thaw(from)?,
            leaves: Frozen::thaw(from)?,
            ways: Frozen::thaw(from)?,
            overridable: Frozen::thaw(from)?,
            report,
        })
    }
}

impl Reports {
    pub(crate) fn freeze(&self, to: &mut Freezing<'_>) {
        self.findings.freeze(to);
        self.free_findings.freeze(to);
        self.entries.freeze(to);
        self.free.freeze(to);
        self.vulnerabilities.freeze(to);
    }

    pub(crate) fn thaw(from: &mut Thawing<'_>, names: &Names) -> Result<Self, ThawError> {
        let findings: Vec<Found> = Frozen::thaw(from)?;
        let free_findings = Frozen::thaw(from)?;
        let entries: Vec<Option<Entry>> = Frozen::thaw(from)?;
        let kept = findings
            .iter()
            .map(|row| (row.reports > 0).then(|| hash_of_found(row, names)));
        let hashes = entries.iter().map(|entry| Some(entry.as_ref()?.hash));
        Ok(Self {
            finding_table: Table::of(kept),
            table: Table::of(hashes),
            findings,
            free_findings,
            entries,
            free: Frozen::thaw(from)?,
            vulnerabilities: Frozen::thaw(from)?,
        })
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
