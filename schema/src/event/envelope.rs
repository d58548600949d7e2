//! The CloudEvents 1.0 envelope, structured mode.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};
use smol_str::SmolStr;

use super::{Body, CYCLONEDX_WAIVING, OPENVEX_WAIVING, OverrideGranted, ScanCompleted, body::Data};
use crate::{Timestamp, canonical, digest::clip, objects};

/// An event. `(source, id)` identifies a delivery of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within the source.
    pub id: SmolStr,
    /// Who says so, as a URI reference.
    pub source: SmolStr,
    /// When it happened, by the source's clock: shown, never trusted for order.
    pub time: Option<Timestamp>,
    /// What it is about, as the source puts it.
    pub subject: Option<String>,
    /// What happened.
    pub body: Body,
}

/// An event as it came: what it means, and its whole canonical text with the fields that mean
/// nothing to this version.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// What it means.
    pub event: Event,
    /// Canonical JSON of all that came.
    pub json: String,
}

/// So many levels of arrays and objects an event may have. Readers of JSON commonly stop at 128, and
/// an event is shown within a record, within a page.
pub const DEEPEST: usize = 100;

/// Why some bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No JSON object of the envelope's form.
    #[error("not a CloudEvent: {0}")]
    Envelope(String),
    /// An envelope of a version that this is not written for.
    #[error("not a CloudEvent of version 1.0: `specversion` is `{0}`")]
    Version(String),
    /// More levels of arrays and objects than `DEEPEST`.
    #[error(
        "nested deeper than {DEEPEST} levels: what cannot be read within an answer cannot be audited"
    )]
    Nested,
    /// A required attribute is empty.
    #[error("not a CloudEvent: `{0}` is empty")]
    Empty(&'static str),
    /// The data does not fit the type.
    #[error("`data` of `{kind}`: {problem}")]
    Data {
        /// The event's type.
        kind: String,
        /// What is wrong, with line and column within the data.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    time: Option<Timestamp>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

impl Event {
    /// The `source` of what Weir itself says.
    pub const OWN_SOURCE: &str = "/weir";

    /// Reads an event from CloudEvents JSON (structured mode).
    ///
    /// # Errors
    /// Says what is wrong and where; nothing is guessed or repaired.
    pub fn from_json(json: &[u8]) -> Result<Self, EventError> {
        Self::from_text(text_of(json)?)
    }

    /// Reads an event that comes in: what [`Received::from_json`] refuses of what it means is refused
    /// here, and what means nothing is not kept, nor looked at.
    ///
    /// # Errors
    /// As [`Received::from_json`], but for numbers and escapes in what means nothing.
    pub fn from_incoming(json: &[u8]) -> Result<Self, EventError> {
        let text = text_of(json)?;
        let event = Self::from_text(text)?;
        check_incoming(&event.body, text)?;
        Ok(event)
    }

    fn from_text(text: &str) -> Result<Self, EventError> {
        if let Some(event) = super::written::read(text) {
            return Ok(event);
        }
        let envelope: Envelope<'_> =
            objects::from_str(text).map_err(|error| EventError::Envelope(error.to_string()))?;
        if envelope.specversion != "1.0" {
            return Err(EventError::Version(clip(&envelope.specversion)));
        }
        for (name, value) in [
            ("id", &envelope.id),
            ("source", &envelope.source),
            ("type", &envelope.kind),
        ] {
            if value.is_empty() {
                return Err(EventError::Empty(name));
            }
        }
        let body = body(&envelope.kind, envelope.data.map_or("{}", RawValue::get))?;
        Ok(Self {
            id: envelope.id.into(),
            source: envelope.source.into(),
            time: envelope.time,
            subject: envelope.subject,
            body,
        })
    }

    /// The event as a CloudEvents JSON object, without what this version does not know.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = serde_json::Map::new();
        object.insert("specversion".into(), "1.0".into());
        object.insert("id".into(), self.id.as_str().into());
        object.insert("source".into(), self.source.as_str().into());
        object.insert("type".into(), self.body.kind().into());
        if let Some(time) = self.time {
            object.insert("time".into(), time.to_string().into());
        }
        if let Some(subject) = &self.subject {
            object.insert("subject".into(), subject.as_str().into());
        }
        let data = self.body.data();
        if !data.is_null() {
            object.insert("data".into(), data);
        }
        Value::Object(object)
    }
}

/// Reads the data of an event of type `kind`.
fn body(kind: &str, data: &str) -> Result<Body, EventError> {
    let refused = |problem: String| EventError::Data {
        kind: clip(kind),
        problem,
    };
    let mut reader = serde_json::Deserializer::from_str(data);
    let body = Body::deserialize(kind, &mut reader).map_err(|error| refused(error.to_string()))?;
    match lacking(&body) {
        None => Ok(body),
        Some(problem) => Err(refused(problem.into())),
    }
}

fn text_of(json: &[u8]) -> Result<&str, EventError> {
    std::str::from_utf8(json).map_err(|error| {
        EventError::Envelope(format!("invalid UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// Refuses what may not come in though it has the form of an event. Asked of what comes, not of what
/// was recorded: a log that holds such an event goes on being read, and means what it did.
fn check_incoming(body: &Body, json: &str) -> Result<(), EventError> {
    let problem = match body {
        Body::ScanCompleted(scan) => contradicting(scan),
        Body::OverrideGranted(granted) => overriding_more_than_it_says(granted, json),
        _ => None,
    };
    if let Some(problem) = problem {
        let kind = clip(body.kind());
        return Err(EventError::Data { kind, problem });
    }
    match is_deeper(json, DEEPEST) {
        true => Err(EventError::Nested),
        false => Ok(()),
    }
}

/// The parts that the scope of an override can have.
const OVERRIDE_SCOPE: [&str; 3] = ["repository", "digest", "package"];

/// How an override would hold where its sender does not mean it: under a condition that nobody reads,
/// or by a word that says that the vulnerability counts.
fn overriding_more_than_it_says(granted: &OverrideGranted, json: &str) -> Option<String> {
    let waives = |word: &&str| OPENVEX_WAIVING.contains(word) || CYCLONEDX_WAIVING.contains(word);
    let status = granted.status.as_deref().filter(|word| !waives(word));
    if let Some(status) = status {
        return Some(format!(
            "`status` is `{}`: only what is `not_affected` or `fixed` is overridden; to end an override, send `weir.override.revoked`",
            clip(status)
        ));
    }
    granted.scope.as_ref()?;
    let scope = match serde_json::from_str::<Scoped>(json) {
        Ok(event) => event.data.scope,
        Err(error) => return Some(error.to_string()),
    };
    let unknown = scope
        .keys()
        .find(|key| !OVERRIDE_SCOPE.contains(&key.as_str()))?;
    Some(format!(
        "`scope` has no part `{}`, and without it the override holds for more than was meant: the parts are `{}`",
        clip(unknown),
        OVERRIDE_SCOPE.join("`, `")
    ))
}

/// What stands in the scope of an event, known or not.
#[derive(Deserialize)]
struct Scoped {
    data: ScopedData,
}

#[derive(Deserialize)]
struct ScopedData {
    scope: BTreeMap<String, IgnoredAny>,
}

/// How what a scan counts contradicts what it lists.
fn contradicting(scan: &ScanCompleted) -> Option<String> {
    let (findings, counts) = (scan.findings.as_ref()?, scan.counts.as_ref()?);
    let mut untold = counts.0.iter().filter_map(|(severity, count)| {
        let listed = findings.iter().filter(|one| one.severity == *severity);
        let listed = listed.count() as u64;
        (*count > listed).then(|| {
            format!(
                "`counts` says {severity} {count} and `findings` lists {listed}: list all of them, or send `counts` alone"
            )
        })
    });
    untold.next_back()
}

/// What a body of the right form lacks to mean something.
pub(super) fn lacking(body: &Body) -> Option<&'static str> {
    match body {
        Body::ScanCompleted(scan) if scan.findings.is_none() && scan.counts.is_none() => Some(
            "neither `findings` nor `counts`: a report that does not say what was found is no completed scan",
        ),
        Body::ScannerUpdated(updated) if updated.scanner.db_updated_at.is_none() => {
            Some("missing field `db_updated_at` in `scanner`")
        }
        Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote)
            if vote.actor.trim().is_empty() =>
        {
            Some("`actor` is empty: a vote is somebody's")
        }
        Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote)
            if vote.actor.trim() != vote.actor =>
        {
            Some("`actor` has white space around it: one person is not to vote as two")
        }
        _ => None,
    }
}

impl Received {
    /// Reads an event and keeps all that came with it.
    ///
    /// # Errors
    /// As [`Event::from_json`]; also if the data contradict each other, or an override says of where it
    /// holds, or why, what Weir does not know.
    pub fn from_json(json: &[u8]) -> Result<Self, EventError> {
        let event = Event::from_json(json)?;
        let json =
            canonical::from_slice(json).map_err(|error| EventError::Envelope(error.to_string()))?;
        check_incoming(&event.body, &json)?;
        Ok(Self { event, json })
    }

    /// Reads an event from its CloudEvents attributes and its data (binary mode), as it would be read
    /// with the data in its place.
    ///
    /// # Errors
    /// As [`Event::from_json`].
    pub fn from_parts(
        attributes: serde_json::Map<String, Value>,
        data: &RawValue,
    ) -> Result<Self, EventError> {
        let mut json = Value::Object(attributes).to_string();
        json.pop();
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str("\"data\":");
        json.push_str(data.get());
        json.push('}');
        Self::from_json(json.as_bytes())
    }
}

/// Whether a JSON text has more than so many levels of arrays and objects.
fn is_deeper(json: &str, levels: usize) -> bool {
    // Nearly all have fewer arrays and objects than that, which is seen faster: `[` and `{` differ in
    // one bit, and in so few bytes no count wraps, so that many are counted at a time.
    let opens = |bytes: &[u8]| {
        bytes.iter().fold(0_u8, |sum, byte| {
            sum.wrapping_add(u8::from(byte | 0x20 == b'{'))
        })
    };
    let opened: usize = json
        .as_bytes()
        .chunks(128)
        .map(|bytes| usize::from(opens(bytes)))
        .sum();
    if opened <= levels {
        return false;
    }
    let mut open = 0_usize;
    let (mut in_text, mut escaped) = (false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > levels
    })
}

impl From<Event> for Received {
    fn from(event: Event) -> Self {
        /// As [`Event::to_value`] gives it, in the order of its keys.
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Data<'a>>,
            id: &'a str,
            source: &'a str,
            specversion: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            subject: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            time: Option<Timestamp>,
            #[serde(rename = "type")]
            kind: &'a str,
        }
        let is_known = !matches!(event.body, Body::Unknown(_));
        let json = canonical::to_string(&Written {
            data: is_known.then_some(Data(&event.body)),
            id: &event.id,
            source: &event.source,
            specversion: "1.0",
            subject: event.subject.as_deref(),
            time: event.time,
            kind: event.body.kind(),
        });
        Self { event, json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Severity};

    const PUSH: &str = r#"{"specversion":"1.0","id":"1","source":"test","type":"weir.image.pushed",
        "time":"2026-08-21T10:00:00Z","vendor":7,"data":{"repository":"dev/web","tag":"1.0","extra":[1],
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "media_type":"application/vnd.oci.image.manifest.v1+json"}}"#;

    #[test]
    fn an_event_keeps_the_fields_that_mean_nothing() {
        let received = Received::from_json(PUSH.as_bytes()).unwrap();
        assert!(
            received.json.contains(r#""extra":[1]"#) && received.json.contains(r#""vendor":7"#)
        );
        let again = Received::from_json(received.json.as_bytes()).unwrap();
        assert_eq!(again, received);
    }

    #[test]
    fn an_event_that_no_answer_could_hold_is_refused() {
        let nested = |levels: usize| {
            let deep = format!(r#"[1,"]\"[",{}{}]"#, "[".repeat(levels), "]".repeat(levels));
            let push = PUSH.replace("[1]", &deep);
            Received::from_json(push.as_bytes())
        };
        // Within the array stand the event, its data and the array itself.
        assert!(nested(DEEPEST - 3).is_ok());
        assert_eq!(nested(DEEPEST - 2), Err(EventError::Nested));
    }

    #[test]
    fn an_event_reads_as_it_is_written() {
        let event = Event::from_json(PUSH.as_bytes()).unwrap();
        let written = Received::from(event.clone());
        assert_eq!(Event::from_json(written.json.as_bytes()).unwrap(), event);
    }

    #[test]
    fn an_event_is_written_as_its_value_is() {
        let check = |json: &str| {
            let event = Event::from_json(json.as_bytes()).unwrap();
            let expected = event.to_value().to_string();
            assert_eq!(Received::from(event).json, expected);
        };
        check(PUSH);
        check(
            &PUSH
                .replace("\"vendor\"", "\"subject\"")
                .replace(":7,", ":\"web\","),
        );
        check(r#"{"specversion":"1.0","id":"1","source":"s","type":"weir.clock.ticked"}"#);
        check(r#"{"specversion":"1.0","id":"1","source":"s","type":"acme.new","data":3}"#);
    }

    #[test]
    fn e53_an_unknown_type_is_kept() {
        let event = Event::from_json(
            br#"{"specversion":"1.0","id":"1","source":"s","type":"acme.new","data":3}"#,
        )
        .unwrap();
        assert_eq!(event.body, Body::Unknown("acme.new".into()));
    }

    #[test]
    fn what_is_no_event_is_refused_with_place_and_cause() {
        let check = |json: &str, cause: &str| {
            let error = Event::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        };
        check("", "EOF");
        check("[]", "not a CloudEvent");
        check(
            &PUSH.replace("\"1.0\",\"id\"", "\"0.3\",\"id\""),
            "`specversion` is `0.3`",
        );
        check(
            &PUSH.replace("\"id\":\"1\"", "\"id\":\"\""),
            "`id` is empty",
        );
        check(&PUSH.replace("2026-08-21T10", "yesterday"), "is no time");
        check(&PUSH.replace("dev/web", "dev/../web"), "the part `..`");
        check(
            &PUSH.replace("e3b0c4", ""),
            "has 64 hexadecimal digits, this has 58",
        );
        check(
            &PUSH.replace("media_type", "mediatype"),
            "missing field `media_type`",
        );
        assert!(Event::from_json(b"\xff").is_err());
    }

    #[test]
    fn what_comes_twice_is_refused_since_one_of_the_two_would_go_unseen() {
        let annotated = |annotations: &str| {
            let push = PUSH.replace("\"extra\":[1]", &format!("\"annotations\":{annotations}"));
            Event::from_json(push.as_bytes()).map_err(|error| error.to_string())
        };
        assert!(annotated(r#"{"a":"1","b":"2"}"#).is_ok() && annotated("null").is_ok());
        let error = annotated(r#"{"a":"1","a":"2"}"#).unwrap_err();
        assert!(error.contains("`a` comes twice"), "{error}");
        let error = Event::from_json(PUSH.replace("[1]", "1,\"tag\":\"2\"").as_bytes());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("duplicate field `tag`"), "{error}");
    }

    #[test]
    fn the_data_of_binary_mode_is_read_as_it_is_in_structured_mode() {
        let parts = |data: &str| {
            let attributes = serde_json::json!({
                "specversion": "1.0", "id": "1", "source": "s", "type": "weir.tag.deleted",
            });
            let data = serde_json::from_str(data).unwrap();
            Received::from_parts(attributes.as_object().unwrap().clone(), data)
        };
        let structured = r#"{"data":{"repository":"a","tag":"1"},"id":"1","source":"s","specversion":"1.0","type":"weir.tag.deleted"}"#;
        let read = parts(r#"{ "tag": "1", "repository": "a" }"#).unwrap();
        assert_eq!(read, Received::from_json(structured.as_bytes()).unwrap());
        let twice = parts(r#"{"repository":"a","tag":"1","tag":"2"}"#).unwrap_err();
        assert!(
            twice.to_string().contains("duplicate field `tag`"),
            "{twice}"
        );
        let nothing = serde_json::from_str("{}").unwrap();
        assert!(Received::from_parts(serde_json::Map::new(), nothing).is_err());
    }

    #[test]
    fn a_vote_of_nobody_or_of_somebody_with_white_space_is_refused() {
        for (actor, wanted) in [
            (" ", "`actor` is empty"),
            ("alice ", "`actor` has white space around it"),
            ("\\talice", "`actor` has white space around it"),
        ] {
            let vote = format!(
                r#"{{"specversion":"1.0","id":"1","source":"s","type":"weir.approval.granted","data":{{"repository":"dev/web","digest":"{}","target":"prod/web","actor":"{actor}"}}}}"#,
                Digest::of(b"")
            );
            let error = Event::from_json(vote.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn f1_a_scan_that_says_nothing_of_findings_is_refused() {
        let scan = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"weir.scan.completed","data":{{"digest":"{}","scanner":{{"name":"trivy"}}}}}}"#,
            Digest::of(b"")
        );
        assert!(
            Event::from_json(scan.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("neither `findings` nor `counts`")
        );
    }

    /// Reads a completed scan with these fields beside its digest and scanner.
    fn scan(fields: &str) -> Result<Received, EventError> {
        let scan = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"weir.scan.completed","data":{{"digest":"{}","scanner":{{"name":"trivy"}},{fields}}}}}"#,
            Digest::of(b"")
        );
        Received::from_json(scan.as_bytes())
    }

    #[test]
    fn a_scan_that_counts_more_than_it_lists_is_refused() {
        let found =
            r#""findings":[{"id":"CVE-1","severity":"HIGH"},{"id":"CVE-2","severity":"low"}]"#;
        for (fields, refused) in [
            (
                r#""findings":[],"counts":{"CRITICAL":5}"#.to_owned(),
                "`counts` says CRITICAL 5 and `findings` lists 0",
            ),
            (
                format!(r#"{found},"counts":{{"HIGH":2,"LOW":1}}"#),
                "`counts` says HIGH 2 and `findings` lists 1",
            ),
            (
                format!(r#"{found},"counts":{{"moderate":1,"LOW":2}}"#),
                "`counts` says LOW 2 and `findings` lists 1",
            ),
        ] {
            let error = scan(&fields).unwrap_err().to_string();
            assert!(error.contains(refused), "{error}");
        }
        for fields in [
            r#""counts":{"CRITICAL":5}"#.to_owned(),
            found.to_owned(),
            format!(r#"{found},"counts":{{"HIGH":1,"LOW":1,"CRITICAL":0}}"#),
            format!(r#"{found},"counts":{{"HIGH":1}}"#),
            format!(r#"{found},"counts":{{}}"#),
        ] {
            scan(&fields).unwrap();
        }
    }

    #[test]
    fn a_recorded_scan_that_counts_more_than_it_lists_is_still_read() {
        let received = scan(r#""findings":[],"counts":{"LOW":1}"#);
        assert!(received.is_err());
        let recorded = format!(
            r#"{{"data":{{"counts":{{"LOW":1}},"digest":"{}","findings":[],"scanner":{{"name":"t"}}}},"id":"1","source":"s","specversion":"1.0","type":"weir.scan.completed"}}"#,
            Digest::of(b"")
        );
        assert!(Event::from_json(recorded.as_bytes()).is_ok());
    }

    /// Reads a granted override with these fields beside what it must have.
    fn granted(fields: &str) -> Result<Received, EventError> {
        let event = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"weir.override.granted","data":{{"override_id":"o","vulnerability":"CVE-1","reason":"r","actor":"ann"{fields}}}}}"#
        );
        let incoming = Event::from_incoming(event.as_bytes());
        let received = Received::from_json(event.as_bytes());
        assert_eq!(incoming, received.clone().map(|received| received.event));
        // What a log holds is read all the same.
        Event::from_json(event.as_bytes()).unwrap();
        received
    }

    #[test]
    fn an_override_under_a_condition_that_nobody_reads_is_refused() {
        for (scope, part) in [
            (r#"{"rule":"to-prod"}"#, "rule"),
            (r#"{"repository":"dev/*","tag":"1"}"#, "tag"),
            (r#"{"Repository":"dev/*"}"#, "Repository"),
            (r#"{"tag":null}"#, "tag"),
        ] {
            let error = granted(&format!(r#","scope":{scope}"#)).unwrap_err();
            let wanted = format!(
                "`data` of `weir.override.granted`: `scope` has no part `{part}`, and without it the override holds for more than was meant: the parts are `repository`, `digest`, `package`"
            );
            assert_eq!(error.to_string(), wanted);
        }
        for fields in [
            String::new(),
            r#","scope":null"#.to_owned(),
            r#","scope":{}"#.to_owned(),
            r#","scope":{"repository":null}"#.to_owned(),
            r#","tag":"1","scope":{"repository":"dev/*","package":"p"}"#.to_owned(),
            format!(r#","scope":{{"digest":"{}"}}"#, Digest::of(b"")),
        ] {
            granted(&fields).unwrap();
        }
    }

    #[test]
    fn an_override_whose_status_says_that_the_vulnerability_counts_is_refused() {
        for status in ["affected", "under_investigation", "Fixed", "bogus", ""] {
            let error = granted(&format!(r#","status":"{status}""#)).unwrap_err();
            let wanted = format!("`status` is `{status}`: only what is `not_affected` or `fixed`");
            assert!(error.to_string().contains(&wanted), "{error}");
        }
        for status in OPENVEX_WAIVING.into_iter().chain(CYCLONEDX_WAIVING) {
            granted(&format!(r#","status":"{status}""#)).unwrap();
        }
        granted(r#","status":null"#).unwrap();
    }

    #[test]
    fn what_comes_in_is_refused_alike_whether_it_is_kept_or_not() {
        let alike = |json: &str| {
            let incoming = Event::from_incoming(json.as_bytes());
            let received = Received::from_json(json.as_bytes());
            assert_eq!(incoming, received.map(|received| received.event), "{json}");
        };
        alike(PUSH);
        let deep = format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST));
        alike(&PUSH.replace("[1]", &deep));
        alike("");
        let scan = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"weir.scan.completed","data":{{"digest":"{}","scanner":{{"name":"t"}},"findings":[],"counts":{{"LOW":1}}}}}}"#,
            Digest::of(b"")
        );
        alike(&scan);
    }

    #[test]
    fn a_severity_that_is_counted_twice_is_refused() {
        let error = scan(r#""counts":{"CRITICAL":4,"CRITICAL":0}"#).unwrap_err();
        assert!(
            error.to_string().contains("`CRITICAL` comes twice"),
            "{error}"
        );
        // Two words for one severity are not: nothing of what they count is lost.
        let received = scan(r#""counts":{"high":1,"HIGH ":2,"none":3,"moderate":4}"#).unwrap();
        let Body::ScanCompleted(completed) = received.event.body else {
            unreachable!("a scan was read");
        };
        let counts = completed.counts.unwrap().0.into_iter();
        let expected = [(Severity::Unknown, 7), (Severity::High, 3)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
    }
}
