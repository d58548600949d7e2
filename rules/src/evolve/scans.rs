//! Scans: what each event says, and whom it wakes.

use std::collections::BTreeSet;

use weir_schema::{Digest, ScanCompleted, ScanFailed, ScanStarted};

use super::Touched;
use crate::state::{Completed, State, Worked};

impl State {
    pub(super) fn scan_has_started(&mut self, data: &ScanStarted, touched: &mut Touched) {
        let digest = self.intern_digest(&data.digest);
        let scanner = self.names.intern(&data.scanner.name);
        let changed = self.scan_started(digest, scanner);
        self.touch_above_by(changed, digest, touched);
    }

    pub(super) fn scan_has_failed(&mut self, data: &ScanFailed, touched: &mut Touched) {
        let digest = self.intern_digest(&data.digest);
        let scanner = self.names.intern(&data.scanner.name);
        let changed = self.scan_failed(digest, scanner, &data.reason);
        self.touch_above_by(changed, digest, touched);
    }

    pub(super) fn scan_has_completed(&mut self, data: &ScanCompleted, touched: &mut Touched) {
        let completed = Completed {
            scanner: self.names.intern(&data.scanner.name),
            scanned_at: data.scanned_at,
            db_updated_at: data.scanner.db_updated_at,
        };
        let report = self.take_report(
            data.findings.as_deref(),
            data.counts.as_ref(),
            data.licenses.as_deref().unwrap_or_default(),
        );
        // A digest that is covered twice was scanned once.
        let covered: BTreeSet<&Digest> = data.covers.iter().flatten().collect();
        let others = covered.into_iter().filter(|digest| **digest != data.digest);
        let mut worked = Worked::default();
        for digest in std::iter::once(&data.digest).chain(others) {
            let digest = self.intern_digest(digest);
            let changed = self.scan_completed(digest, report, &completed, &mut worked);
            self.touch_above_by(changed, digest, touched);
        }
        self.release_worked(worked);
        self.release_report(report);
    }
}
