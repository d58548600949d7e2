use super::*;

fn finding(id: &str, severity: Severity, fixed: Option<&str>, score: Option<f64>) -> Finding {
    Finding {
        id: id.into(),
        severity,
        package: Some("openssl".into()),
        version: Some("3.0.1".into()),
        fixed_version: fixed.map(Into::into),
        score,
        layer: None,
    }
}

struct Kept {
    names: Names,
    reports: Reports,
}

impl Kept {
    fn new() -> Self {
        Self {
            names: Names::default(),
            reports: Reports::default(),
        }
    }

    fn add(&mut self, findings: &[Finding]) -> ReportId {
        self.reports.add(Some(findings), None, &[], &mut self.names)
    }

    fn findings(&self, id: ReportId) -> Vec<Finding> {
        let ids = self.reports.findings_of(id).iter();
        ids.map(|id| self.reports.finding(*id, &self.names))
            .collect()
    }
}

#[test]
fn the_same_finding_twice_is_one_with_all_that_is_known_of_it() {
    let low = finding("CVE-1", Severity::Low, Some("3.0.2"), Some(9.1));
    let high = finding("CVE-1", Severity::High, None, Some(3.0));
    let later = finding("CVE-1", Severity::Low, Some("3.0.4"), None);
    let merged = finding("CVE-1", Severity::High, Some("3.0.2"), Some(9.1));
    for all in [
        [low.clone(), high.clone(), later.clone()],
        [later, high, low],
    ] {
        let mut kept = Kept::new();
        let id = kept.add(&all);
        assert_eq!(kept.findings(id), std::slice::from_ref(&merged));
    }
}

#[test]
fn a_fix_that_one_scanner_knows_beats_the_empty_text_of_another() {
    let empty = finding("CVE-1", Severity::Low, Some(""), None);
    let known = finding("CVE-1", Severity::Low, Some("3.0.2"), None);
    let mut kept = Kept::new();
    let reports = [empty, known.clone()].map(|one| kept.add(&[one]));
    let both = kept.reports.union(&reports, &mut kept.names);
    assert_eq!(kept.findings(both), [known]);
    assert_eq!(kept.reports.get(both).tally.fixable, 1);
}

#[test]
fn an_empty_package_or_version_is_none() {
    let absent = Finding {
        package: None,
        version: None,
        ..finding("CVE-1", Severity::Low, None, None)
    };
    let empty = Finding {
        package: Some("".into()),
        version: Some("".into()),
        severity: Severity::High,
        ..absent.clone()
    };
    let mut kept = Kept::new();
    let id = kept.add(&[absent.clone(), empty.clone()]);
    assert_eq!(kept.reports.get(id).tally.total(), 1);
    assert_eq!(
        kept.reports.get(id).tally.counts[1],
        1,
        "the worst severity"
    );
    let ids = [absent, empty].map(|one| kept.add(&[one]));
    let both = kept.reports.union(&ids, &mut kept.names);
    assert_eq!(both, id, "of two scanners it is one as well");
}

#[test]
fn equal_reports_and_equal_findings_are_kept_once() {
    let (a, b) = (
        finding("CVE-1", Severity::Low, None, None),
        finding("CVE-2", Severity::Low, None, None),
    );
    let mut kept = Kept::new();
    let first = kept.add(&[a.clone(), b.clone()]);
    assert_eq!(kept.add(&[b.clone(), a.clone()]), first);
    let other = kept.add(std::slice::from_ref(&b));
    assert_ne!(other, first);
    assert_eq!(kept.reports.findings.len(), 2);
    // Kept as long as anybody refers to it, and no longer.
    kept.reports.release(first, &kept.names);
    assert_eq!(kept.findings(first), [a, b.clone()]);
    kept.reports.release(first, &kept.names);
    kept.reports.release(other, &kept.names);
    for vulnerability in ["CVE-1", "CVE-2"] {
        let name = kept.names.intern(vulnerability);
        let id = kept.reports.vulnerabilities.find(name).unwrap();
        assert_eq!(kept.reports.vulnerabilities.naming(id).count(), 0);
    }
    assert_eq!(kept.reports.free_findings.len(), 2);
    let again = kept.add(std::slice::from_ref(&b));
    assert_eq!(kept.findings(again), [b]);
    assert_eq!(kept.reports.findings.len(), 2, "places are used again");
}

#[test]
fn a_vulnerability_leads_to_the_leaves_that_have_it() {
    let mut kept = Kept::new();
    let id = kept.add(&[finding("CVE-1", Severity::Low, None, None)]);
    let clean = kept.add(&[]);
    let [first, second] = [DigestId::at(0), DigestId::at(1)];
    for (report, leaf) in [(id, first), (id, second), (clean, second)] {
        kept.reports.set_leaf(report, leaf, true);
    }
    let vulnerability = kept.names.intern("CVE-1");
    let leaves = |kept: &Kept| kept.reports.leaves_with(vulnerability).collect::<Vec<_>>();
    assert_eq!(leaves(&kept), [first, second]);
    kept.reports.set_leaf(id, first, false);
    assert_eq!(leaves(&kept), [second]);
    assert!(!kept.reports.is_overridable(id));
    for (exists, overridable) in [(true, true), (true, true), (false, true), (false, false)] {
        kept.reports.set_override(vulnerability, exists);
        assert_eq!(kept.reports.is_overridable(id), overridable);
    }
}

#[test]
fn a_vulnerability_in_two_packages_is_overridden_as_one() {
    let mut kept = Kept::new();
    let vulnerability = kept.names.intern("CVE-1");
    let in_package = |package: &str, id: &str| Finding {
        package: Some(package.into()),
        ..finding(id, Severity::Low, None, None)
    };
    let findings = [
        in_package("openssl", "CVE-1"),
        in_package("zlib", "CVE-2"),
        in_package("curl", "CVE-1"),
    ];
    // One report is there before the override, the other comes after it.
    let before = kept.add(&findings);
    kept.reports.set_override(vulnerability, true);
    let after = kept.add(&findings[..1]);
    let both = kept.add(&findings);
    assert_eq!(both, before);
    let later = kept.add(&[findings[0].clone(), findings[2].clone()]);
    for id in [before, after, later] {
        assert!(kept.reports.is_overridable(id));
    }
    kept.reports.set_override(vulnerability, false);
    for id in [before, after, later] {
        assert!(!kept.reports.is_overridable(id));
    }
}
