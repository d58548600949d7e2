//! Whether an expression reads findings or licenses without asking whether there was a scan: an image
//! that was never scanned has none.

use super::ast::Span;
use super::facts::{image, image_scan, scan, variable};
use super::node::{Kind, Node, Select};
use super::program::Program;

/// The fields that tell whether there was a scan, or cannot be read without one.
const TELLING: [(u16, &str); 7] = [
    (image_scan::STATE, "state"),
    (image_scan::SCANNERS, "scanners"),
    (image_scan::SCANNED_AT, "scanned_at"),
    (image_scan::AGE, "age"),
    (image_scan::DB_UPDATED_AT, "db_updated_at"),
    (scan::OLDEST, "oldest"),
    (scan::NEWEST, "newest"),
];

/// The field that comes from what a scan found in an image besides.
const LICENSES: (u16, &str) = (image::LICENSES, "licenses");

/// The fields that come from findings, of an image and of all together.
const FINDINGS: [(u16, &str); 18] = [
    (image::VULNERABILITIES, "vulnerabilities"),
    (scan::CRITICAL, "critical"),
    (scan::HIGH, "high"),
    (scan::MEDIUM, "medium"),
    (scan::LOW, "low"),
    (scan::NEGLIGIBLE, "negligible"),
    (scan::UNKNOWN, "unknown"),
    (scan::TOTAL, "total"),
    (scan::FIXABLE, "fixable"),
    (scan::MAX_SCORE, "max_score"),
    (image_scan::CRITICAL, "critical"),
    (image_scan::HIGH, "high"),
    (image_scan::MEDIUM, "medium"),
    (image_scan::LOW, "low"),
    (image_scan::NEGLIGIBLE, "negligible"),
    (image_scan::UNKNOWN, "unknown"),
    (image_scan::TOTAL, "total"),
    (image_scan::FIXABLE, "fixable"),
];

impl Program {
    /// Where something of a scan is read first, and what, if nowhere is asked for a scan.
    pub(crate) fn read_without_scan(&self) -> Option<(Span, &'static str)> {
        let mut first = None;
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        while let Some(node) = nodes.pop() {
            let read = match &node.kind {
                Kind::Variable(variable::VULNERABILITIES) => Some("findings"),
                Kind::Select(select) | Kind::Has(select) | Kind::OptionalSelect(select) => {
                    if is_one_of(select, &TELLING) {
                        return None;
                    }
                    let findings = is_one_of(select, &FINDINGS).then_some("findings");
                    findings.or_else(|| is_one_of(select, &[LICENSES]).then_some("licenses"))
                }
                _ => None,
            };
            if let Some(read) = read {
                let found = Some((self.span(node.id), read));
                first = [first, found].into_iter().flatten().min();
            }
            nodes.extend(node.children());
        }
        first
    }
}

fn is_one_of(select: &Select, fields: &[(u16, &str)]) -> bool {
    fields.contains(&(select.index.unwrap_or(u16::MAX), &*select.name))
}
