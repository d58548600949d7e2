//! Events apart from what their scans found, which is the greater part of most histories. Who asks
//! what events are about has no use for it, and the same lists come again and again: each is read
//! once, and known by its text then; and so is each finding.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use hashbrown::HashMap;
use memchr::{memchr, memchr2_iter, memmem::Finder};
use weir_schema::{Body, Event, Finding, objects};

/// Bytes that lists may take that are kept, and single findings, of each thread that decodes.
const KEPT: usize = 8 << 20;

/// More arrays and objects before the findings may hold them deeper than an event may be.
const MOST_OPENED: usize = 64;

/// What stands before findings as Weir writes them.
static FINDINGS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"findings\":["));

/// What is in their name, however it is written.
static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"findings"));

/// What is in the name of the numbers of findings.
static COUNTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"counts"));

/// The name of data that may have findings which are not to be seen. An event with it anywhere is read
/// in another way.
static ENCODED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"data_base64"));

/// What was read lately, by its text.
struct Known<T> {
    by_text: HashMap<Box<[u8]>, T>,
    /// What it takes.
    bytes: usize,
}

/// Findings that were read.
#[derive(Default)]
pub(super) struct Findings {
    lists: Known<Arc<[Finding]>>,
    single: Known<Finding>,
}

/// An event, and what it lists apart from it.
pub(super) struct Unlisted<'a> {
    /// With an empty list where it lists something apart.
    pub(super) event: Cow<'a, [u8]>,
    listed: Option<Arc<[Finding]>>,
}

impl Unlisted<'_> {
    /// Whether something is listed apart.
    pub(super) fn is_shorter(&self) -> bool {
        self.listed.is_some()
    }

    /// Puts what was listed into the event that was read.
    pub(super) fn put_into(&self, event: &mut Event) {
        // It is what the event's own scan found if that has a list, for there is no other.
        if let Some(listed) = &self.listed
            && let Body::ScanCompleted(scan) = &mut event.body
            && let Some(findings) = &mut scan.findings
        {
            findings.extend_from_slice(listed);
        }
    }
}

impl Findings {
    /// The event apart from what it found, or as it is where that takes more than knowing texts.
    pub(super) fn apart<'a>(&mut self, event: &'a [u8]) -> Unlisted<'a> {
        match self.split(event) {
            Some((event, listed)) => Unlisted {
                event: Cow::Owned(event),
                listed: Some(listed),
            },
            None => Unlisted {
                event: Cow::Borrowed(event),
                listed: None,
            },
        }
    }

    /// `None` if it has none, or may have others, or what is counted must be compared with them, or
    /// names may be written otherwise. A quote before a name is never part of a text, where it would
    /// be escaped.
    fn split(&mut self, event: &[u8]) -> Option<(Vec<u8>, Arc<[Finding]>)> {
        let name = FINDINGS.find(event)?;
        let start = name + FINDINGS.needle().len();
        let (before, found) = event.split_at_checked(start)?;
        let (listed, after) = self.list(found)?;
        let is_plain = |part: &[u8]| {
            let names = [&NAME, &COUNTS, &ENCODED];
            memchr(b'\\', part).is_none() && names.iter().all(|name| name.find(part).is_none())
        };
        let opened = memchr2_iter(b'[', b'{', before).count();
        let is_whole =
            event.get(..name).is_some_and(is_plain) && is_plain(after) && opened <= MOST_OPENED;
        is_whole.then(|| ([before, after].concat(), listed))
    }

    /// The findings that a text begins with, and the rest of it, from the end of their list on.
    fn list<'a>(&mut self, text: &'a [u8]) -> Option<(Arc<[Finding]>, &'a [u8])> {
        // After the text of a whole list this is its end.
        let (list, rest) = text.split_at_checked(memchr(b']', text)?)?;
        if let Some(known) = self.lists.by_text.get(list) {
            return Some((Arc::clone(known), rest));
        }
        let (findings, end) = self.read(text)?;
        let findings: Arc<[Finding]> = findings.into();
        if end.len() == rest.len() {
            let bytes = size_of_val(&*findings);
            self.lists.keep(list, &findings, bytes);
        }
        Some((findings, end))
    }

    /// The same, of which each is read or known.
    fn read<'a>(&mut self, mut rest: &'a [u8]) -> Option<(Vec<Finding>, &'a [u8])> {
        let mut findings = Vec::new();
        while !rest.starts_with(b"]") {
            let end = memchr(b'}', rest)? + 1;
            let (finding, after) = rest.split_at_checked(end)?;
            findings.push(self.finding(finding)?);
            rest = match after.strip_prefix(b",") {
                Some(after) if after.starts_with(b"{") => after,
                Some(_) => return None,
                None if after.starts_with(b"]") => after,
                None => return None,
            };
        }
        Some((findings, rest))
    }

    /// A finding, with nothing in it that has parts.
    fn finding(&mut self, text: &[u8]) -> Option<Finding> {
        if let Some(known) = self.single.by_text.get(text) {
            return Some(known.clone());
        }
        if memchr(b'[', text).is_some() || ENCODED.find(text).is_some() {
            return None;
        }
        let finding = objects::from_str(str::from_utf8(text).ok()?).ok()?;
        self.single.keep(text, &finding, size_of::<Finding>());
        Some(finding)
    }
}

impl<T: Clone> Known<T> {
    /// Keeps something that takes so many bytes beside its text; when there is no more room, lets
    /// all go that was kept before.
    fn keep(&mut self, text: &[u8], what: &T, bytes: usize) {
        let bytes = bytes + text.len();
        if bytes > KEPT {
            return;
        }
        if self.bytes + bytes > KEPT {
            *self = Self::default();
        }
        self.bytes += bytes;
        self.by_text.insert(text.into(), what.clone());
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            by_text: HashMap::new(),
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use weir_schema::Digest;

    use super::*;
    use crate::structured::event_from_structured;

    const CRITICAL: &str = r#"{"id":"CVE-1","package":"zlib","severity":"CRITICAL"}"#;

    fn scan(findings: &str, more: &str) -> String {
        let digest = Digest::of(b"");
        format!(
            r#"{{"data":{{{more}"digest":"{digest}","findings":[{findings}],"scanner":{{"name":"t"}}}},"id":"1","source":"/s","specversion":"1.0","type":"weir.scan.completed"}}"#
        )
    }

    /// An empty scan whose data are encoded, with more beside them.
    fn encoded(more: &str) -> String {
        let scan: serde_json::Value = serde_json::from_str(&scan("", "")).unwrap();
        let data = BASE64_STANDARD.encode(scan["data"].to_string());
        format!(
            r#"{{"data_base64":"{data}","datacontenttype":"application/json","id":"1",{more},"source":"/s","specversion":"1.0","type":"weir.scan.completed"}}"#
        )
    }

    #[test]
    fn findings_stand_apart_where_they_are_what_they_must_be() {
        let mut findings = Findings::default();
        for listed in ["", CRITICAL, &[CRITICAL; 3].join(",")] {
            let event = scan(listed, "");
            // The second time they are known.
            for _ in 0..2 {
                let apart = findings.apart(event.as_bytes());
                assert_eq!(apart.event, scan("", "").as_bytes());
            }
        }
        assert_eq!(findings.lists.by_text.len(), 3);
        assert_eq!(findings.single.by_text.len(), 1);
    }

    #[test]
    fn what_is_kept_takes_no_more_than_it_may() {
        let mut known = Known::default();
        for number in 0_u32..1_000 {
            known.keep(&number.to_be_bytes(), &number, KEPT / 100);
            assert!(known.bytes <= KEPT && known.by_text.len() <= 100);
            assert!(known.by_text.contains_key(&number.to_be_bytes()[..]));
        }
        known.keep(b"long", &0, KEPT);
        assert!(!known.by_text.contains_key(&b"long"[..]));
    }

    #[test]
    fn an_event_read_apart_from_them_is_the_same_and_none_becomes_one() {
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
            scan("", "").replace("[]", &format!(r#"null,"more":{{"findings":[{CRITICAL}]}}"#)),
            scan("", "").replace(
                ":[]",
                &format!(r#" :[],"more":{{"findings":[{CRITICAL}]}}"#),
            ),
            encoded(&format!(r#""more":{{"findings":[{CRITICAL}]}}"#)),
            scan(&CRITICAL.replace("zlib", "data_base64"), "")
                .replace(r#""id":"1""#, r#""id":"1","x":1,"x":2"#),
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
        let mut findings = Findings::default();
        let mut check = |event: &[u8]| {
            let told = String::from_utf8_lossy(event);
            let incoming = |text: &[u8]| event_from_structured(text).ok();
            let recorded = |text: &[u8]| Event::from_json(text).ok();
            for read in [&incoming as &dyn Fn(&[u8]) -> _, &recorded] {
                let whole = read(event);
                for _ in 0..2 {
                    let apart = findings.apart(event);
                    let mut event = read(&apart.event);
                    event.iter_mut().for_each(|event| apart.put_into(event));
                    assert_eq!(event, whole, "{told}");
                }
            }
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
