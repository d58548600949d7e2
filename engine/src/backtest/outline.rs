//! Events without what their scans found. Who asks what events are about has no use for it, and it is
//! the greater part of most histories.
//!
//! Whether it is what a finding must be matters all the same, for an event with another is none. The
//! same findings come again and again, so each is read once, and known by its text then.

use std::{borrow::Cow, sync::LazyLock};

use hashbrown::HashSet;
use memchr::{memchr, memchr2_iter, memmem::Finder};
use weir_schema::{Finding, objects};

/// Texts of findings that are kept: more than most histories have.
const KNOWN: usize = 1 << 15;

/// Longer ones are read each time.
const LONGEST: usize = 512;

/// More arrays and objects before the findings may hold them deeper than an event may be.
const MOST_OPENED: usize = 64;

/// What stands before findings as Weir writes them.
static FINDINGS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"findings\":["));

/// What is in the name of the numbers of findings.
static COUNTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"counts"));

/// Findings that were read.
#[derive(Default)]
pub(super) struct Outline {
    known: HashSet<Box<[u8]>>,
}

impl Outline {
    /// The same event with no findings, or as it is where that takes more than knowing them.
    pub(super) fn of<'a>(&mut self, event: &'a [u8]) -> Cow<'a, [u8]> {
        self.without_findings(event)
            .map_or(Cow::Borrowed(event), Cow::Owned)
    }

    /// `None` if it has none, or lists of them in several places, or what is counted must be compared
    /// with them, or names may be written otherwise. A quote before a name is never part of a text,
    /// where it would be escaped.
    fn without_findings(&mut self, event: &[u8]) -> Option<Vec<u8>> {
        let start = FINDINGS.find(event)? + FINDINGS.needle().len();
        let (before, found) = event.split_at_checked(start)?;
        let after = self.after_findings(found)?;
        let is_plain = |part: &[u8]| memchr(b'\\', part).is_none() && COUNTS.find(part).is_none();
        let opened = memchr2_iter(b'[', b'{', before).count();
        let is_whole = is_plain(before)
            && is_plain(after)
            && FINDINGS.find(after).is_none()
            && opened <= MOST_OPENED;
        is_whole.then(|| [before, after].concat())
    }

    /// What stands after the last finding.
    fn after_findings<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        while !rest.starts_with(b"]") {
            let end = memchr(b'}', rest)? + 1;
            let (finding, after) = rest.split_at_checked(end)?;
            self.knows(finding).then_some(())?;
            rest = match after.strip_prefix(b",") {
                Some(after) if after.starts_with(b"{") => after,
                Some(_) => return None,
                None if after.starts_with(b"]") => after,
                None => return None,
            };
        }
        Some(rest)
    }

    /// Whether a text is a finding, with nothing in it that has parts.
    fn knows(&mut self, text: &[u8]) -> bool {
        if self.known.contains(text) {
            return true;
        }
        let is_plain = memchr(b'[', text).is_none();
        let is_finding = |text| objects::from_str::<Finding>(text).is_ok();
        let is_one = is_plain && str::from_utf8(text).is_ok_and(is_finding);
        if is_one && text.len() <= LONGEST && self.known.len() < KNOWN {
            self.known.insert(text.into());
        }
        is_one
    }
}

#[cfg(test)]
mod tests {
    use weir_schema::{Body, Digest, Event};

    use super::*;

    const CRITICAL: &str = r#"{"id":"CVE-1","package":"zlib","severity":"CRITICAL"}"#;

    fn scan(findings: &str, more: &str) -> String {
        let digest = Digest::of(b"");
        format!(
            r#"{{"data":{{{more}"digest":"{digest}","findings":[{findings}],"scanner":{{"name":"t"}}}},"id":"1","source":"/s","specversion":"1.0","type":"weir.scan.completed"}}"#
        )
    }

    /// The event without its findings, as it means something, or nothing if it is no event.
    fn outlined(event: &[u8]) -> Option<Event> {
        let mut event = Event::from_incoming(event).ok()?;
        if let Body::ScanCompleted(scan) = &mut event.body {
            scan.findings = scan.findings.as_ref().map(|_| Vec::new());
        }
        Some(event)
    }

    #[test]
    fn findings_are_left_out_where_they_are_what_they_must_be() {
        let mut outline = Outline::default();
        for findings in ["", CRITICAL, &[CRITICAL; 3].join(",")] {
            let event = scan(findings, "");
            let short = outline.of(event.as_bytes());
            assert_eq!(short, scan("", "").as_bytes());
        }
        assert_eq!(outline.known.len(), 1);
    }

    #[test]
    fn an_event_means_the_same_without_them_and_none_becomes_one() {
        let text = r#"{"id":"CVE-2","package":"a}],\"findings\":[{","severity":"LOW"}"#;
        let nested = r#"{"id":"CVE-2","more":{"a":1},"severity":"LOW"}"#;
        let deep = format!(
            r#"{{"id":"CVE-2","more":{}{},"severity":"LOW"}}"#,
            "[".repeat(110),
            "]".repeat(110)
        );
        let counted = r#""counts":{"CRITICAL":2},"#;
        let cases = [
            scan(&[CRITICAL, text].join(","), ""),
            scan(&[CRITICAL, nested].join(","), ""),
            scan(&deep, ""),
            scan(r#"{"severity":"LOW"}"#, ""),
            scan(r#"{"id":"CVE-2","severity":"LOW","score":"high"}"#, ""),
            scan(&[CRITICAL, "7"].join(","), ""),
            scan(&format!("{CRITICAL},"), ""),
            scan(&format!("{CRITICAL}{CRITICAL}"), ""),
            scan(&format!("{CRITICAL} , {CRITICAL}"), ""),
            scan(CRITICAL, counted),
            scan(CRITICAL, &counted.replace('2', "1")),
            scan(CRITICAL, "").replace("\"scanner\"", &format!("{counted}\"scanner\"")),
            scan(CRITICAL, r#""covers":[],"more":{"findings":[7]},"#),
            scan(CRITICAL, &format!(r#""a":{{"findings":[{CRITICAL}]}},"#)),
            scan(CRITICAL, "").replace("scan.completed", "tag.deleted"),
            scan(CRITICAL, "").replace("]", ""),
            scan(CRITICAL, "").replace(']', "}"),
            scan("", "").replace("findings", "finding"),
            scan(CRITICAL, &counted.replace("2", "1").replace(':', " :")),
            scan(
                CRITICAL,
                &counted.replace("2", "1").replace("ts", r"t\u0073"),
            ),
            format!(
                r#"{{"data":{{"repository":"a","tag":"1"}},"id":"1","source":"/s","specversion":"1.0","type":"weir.tag.deleted","x":{}{{"findings":[{CRITICAL}]}}{}}}"#,
                "[".repeat(97),
                "]".repeat(97)
            ),
        ];
        let mut outline = Outline::default();
        let mut check = |event: &[u8]| {
            let short = outline.of(event);
            let told = String::from_utf8_lossy(event);
            assert_eq!(outlined(&short), outlined(event), "{told}");
        };
        for event in cases {
            check(event.as_bytes());
        }
        // A field that nobody knows, in Latin-1.
        let text = CRITICAL.replace("zlib", "z\",\"title\":\"caf?");
        let mut event = scan(&text, "").into_bytes();
        let place = event.iter().position(|byte| *byte == b'?').unwrap();
        event[place] = 0xe9;
        check(&event);
    }
}
