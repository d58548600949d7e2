//! A message of the stream of inputs, and the subjects and headers by which it is known.

use std::{borrow::Cow, fmt, str::FromStr};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use weir_schema::{Digest, Timestamp};

use super::Term;

/// Before the name of each header that came with a raw body.
const CONTENT_HEADER: &str = "Weir-Header-";
/// Before the name of each attribute of a CloudEvent in binary mode.
const EVENT_HEADER: &str = "ce-";
/// The adapter that finds out by the content.
const AUTO: &str = "auto";
/// The adapter that a raw body is for, as its sender wrote it.
pub(super) const ADAPTER: &str = "Weir-Adapter";
/// The source of a raw body, as its sender wrote it.
pub(super) const SOURCE: &str = "Weir-Source";
/// Digest of the payload by its producer: damage on the way or in the stream shows.
pub(super) const DIGEST: &str = "Weir-Digest";
/// How the payload is compressed, where it would not fit otherwise; the digest is that of what is sent.
pub(super) const ENCODING: &str = "Weir-Encoding";
/// The one encoding there is.
pub(super) const ZSTD: &str = "zstd";
/// What a packed payload begins with.
const ZSTD_MAGIC: [u8; 4] = zstd::zstd_safe::MAGICNUMBER.to_le_bytes();
/// Bytes of the longest payload that is unpacked: more fits into no record.
const LONGEST_UNPACKED: usize = 16 << 20;
/// The term of the leader that says this.
pub(super) const TERM: &str = "Weir-Term";
/// The message that this one completes: what it lacked is found.
pub(super) const SETTLES: &str = "Weir-Settles";
/// How the leader that says this reads deliveries, as JSON.
pub(super) const READS: &str = "Weir-Reads";
/// What belongs to one delivery, from its intake to what follows from it.
pub(super) const TRACE: &str = "Weir-Trace";

/// In the place of the adapter in a subject: the delivery is an operator's, which may say more than a
/// source. Who may publish there is for the NATS server's permissions to say.
pub(super) const OPERATOR: &str = "operator";

/// What travels with an event besides itself. It is of no meaning to the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Escort {
    /// The term of the leader that says it; `None` for what anybody may say.
    pub term: Option<Term>,
    /// The message that it completes.
    pub settles: Option<Settled>,
    /// The delivery that it follows from.
    pub trace: Option<String>,
    /// How deliveries are read from here on: said by a new leader.
    pub reads: Option<String>,
}

/// A message whose delivery lacks nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its sequence.
    pub sequence: u64,
    /// When the stream was created that held it, if the present one does not.
    pub created: Option<String>,
}

impl From<u64> for Settled {
    fn from(sequence: u64) -> Self {
        Self {
            sequence,
            created: None,
        }
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.sequence)?;
        match &self.created {
            Some(created) => write!(formatter, " {created}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Settled {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sequence, created) = match text.split_once(' ') {
            Some((sequence, created)) => (sequence, Some(created.to_owned())),
            None => (text, None),
        };
        let sequence = sequence.parse()?;
        Ok(Self { sequence, created })
    }
}

/// Who speaks in a delivery. Known by the subject alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A registry or scanner, or whoever publishes for one.
    Source,
    /// An operator, who may say what a source may not.
    Operator,
}

/// A message with its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub subject: Subject,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub payload: Bytes,
    /// Its sequence in the stream, from 1.
    pub sequence: u64,
    /// When the broker stored it, by the broker's clock.
    pub timestamp: Timestamp,
}

/// What a message is, by its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A raw body for an adapter.
    Intake {
        /// The adapter's name.
        adapter: &'a str,
        /// Who sent it.
        source: &'a str,
        /// Who speaks in it.
        speaker: Speaker,
    },
    /// An event in canonical form.
    Event {
        /// The type that the subject names; the event's own type counts.
        kind: &'a str,
    },
    /// A subject that the stream holds besides ours.
    Other,
}

/// The payload is not what its producer sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload of message {sequence} was damaged: its producer sent {sent}, it is {found}")]
pub struct Damaged {
    /// The message.
    pub sequence: u64,
    /// What the producer said.
    pub sent: String,
    /// What is there.
    pub found: Digest,
}

impl Message {
    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let [value] = self.headers([name]);
        value
    }

    /// The first header of each of these names, whatever its case.
    fn headers<const N: usize>(&self, names: [&str; N]) -> [Option<&str>; N] {
        let mut first: [Option<(&str, &str)>; N] = [None; N];
        for (found, values) in self.headers.iter() {
            let found: &str = found.as_ref();
            let same = |name: &&str| found.eq_ignore_ascii_case(name);
            let (Some(place), Some(value)) = (names.iter().position(same), values.first()) else {
                continue;
            };
            // The client keeps them in a hash map, whose order differs from run to run.
            let known = &mut first[place];
            if known.is_none_or(|(name, _)| found < name) {
                *known = Some((found, value.as_str()));
            }
        }
        first.map(|header| header.map(|(_, value)| value))
    }

    /// The headers that came with a raw body, under their own names, in the order of these; and those
    /// of a CloudEvent in binary mode, where it was published to NATS by its sender (CloudEvents NATS
    /// binding, section 3.1).
    #[must_use]
    pub fn content_headers(&self) -> Vec<(&str, &str)> {
        let own = self.headers.iter().filter_map(|(name, values)| {
            let name: &str = name.as_ref();
            let forwarded = after(name, CONTENT_HEADER);
            let of_event = || after(name, EVENT_HEADER).map(|_| name);
            Some((forwarded.or_else(of_event)?, values))
        });
        let mut own: Vec<_> = own
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())))
            .collect();
        // Stable: several values of one name stay in their order.
        own.sort_by_key(|(name, _)| *name);
        own
    }

    /// The attributes of a CloudEvent in binary mode, percent-encoded as they came; none of one in
    /// structured mode. One that came twice is there twice.
    #[must_use]
    pub fn event_attributes(&self) -> Vec<(String, &str)> {
        let all = self.headers.iter().filter_map(|(name, values)| {
            let name = after(name.as_ref(), EVENT_HEADER)?.to_ascii_lowercase();
            Some(
                values
                    .iter()
                    .map(move |value| (name.clone(), value.as_str())),
            )
        });
        let mut all: Vec<_> = all.flatten().collect();
        all.sort_unstable();
        all
    }

    /// What travelled with it, given the first part of the subjects of inputs. Only who may publish
    /// events may speak as a leader.
    #[must_use]
    pub fn escort(&self, subjects: &str) -> Escort {
        let [term, settles, trace, reads] = self.headers([TERM, SETTLES, TRACE, READS]);
        let is_event = matches!(self.origin(subjects), Origin::Event { .. });
        Escort {
            term: term.filter(|_| is_event).and_then(|text| text.parse().ok()),
            settles: settles
                .filter(|_| is_event)
                .and_then(|text| text.parse().ok()),
            trace: trace.map(str::to_owned),
            reads: reads.filter(|_| is_event).map(str::to_owned),
        }
    }

    /// What this is, given the first part of the subjects of inputs.
    #[must_use]
    pub fn origin(&self, subjects: &str) -> Origin<'_> {
        let Some(rest) = self
            .subject
            .strip_prefix(subjects)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            return Origin::Other;
        };
        if let Some(kind) = rest.strip_prefix("events.") {
            return Origin::Event { kind };
        }
        let Some(rest) = rest.strip_prefix("intake.") else {
            return Origin::Other;
        };
        let (adapter, source) = rest.split_once('.').unwrap_or((rest, ""));
        let speaker = match adapter {
            OPERATOR => Speaker::Operator,
            _ => Speaker::Source,
        };
        // What may be published where is given by subjects: a header says how the whole text is, where
        // the subject could not hold it, and never something else.
        let whole = |name: &str, token: &'_ str| {
            self.header(name)
                .filter(|whole| subject_token(whole) == token)
        };
        Origin::Intake {
            adapter: match speaker {
                Speaker::Operator => self.header(ADAPTER).unwrap_or(AUTO),
                Speaker::Source => whole(ADAPTER, adapter).unwrap_or(adapter),
            },
            source: whole(SOURCE, source).unwrap_or(source),
            speaker,
        }
    }

    /// The payload, unpacked.
    ///
    /// # Errors
    /// It is packed in a way that is not known, or is more than a record holds.
    pub fn content(&self) -> Result<Cow<'_, [u8]>, String> {
        match self.header(ENCODING) {
            None => Ok(self.payload.as_ref().into()),
            Some(ZSTD) => zstd::bulk::decompress(&self.payload, LONGEST_UNPACKED)
                .map(Cow::from)
                .map_err(|error| format!("the payload does not unpack: {error}")),
            Some(other) => Err(format!(
                "the payload is packed as `{other}`, which this version of weir does not know"
            )),
        }
    }

    /// Bytes of what [`Self::content`] gives, as the payload itself says, without unpacking it.
    #[must_use]
    pub fn unpacked_bytes(&self) -> usize {
        // Asked of every message, more than once: nearly all are told by their first bytes.
        let is_packed =
            self.payload.starts_with(&ZSTD_MAGIC) && self.header(ENCODING) == Some(ZSTD);
        if !is_packed {
            return self.payload.len();
        }
        let said = zstd::zstd_safe::get_frame_content_size(&self.payload);
        let said = said.ok().flatten().and_then(|said| said.try_into().ok());
        said.unwrap_or(LONGEST_UNPACKED).min(LONGEST_UNPACKED)
    }

    /// Compares the payload with the digest that its producer sent along, if it did.
    ///
    /// # Errors
    /// The payload is another one. It must not be read as if it were what was said.
    pub fn check_payload(&self) -> Result<(), Damaged> {
        let Some(sent) = self.header(DIGEST) else {
            return Ok(());
        };
        let found = Digest::of(&self.payload);
        if sent.parse() == Ok(found.clone()) {
            return Ok(());
        }
        Err(Damaged {
            sequence: self.sequence,
            sent: sent.to_owned(),
            found,
        })
    }
}

/// What follows `start` in the name of a header, whatever its case.
fn after<'a>(name: &'a str, start: &str) -> Option<&'a str> {
    let (head, rest) = name.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

/// The name under which a header of a raw body travels.
pub(super) fn content_header(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && c != ':' {
                c
            } else {
                '-'
            }
        })
        .collect();
    format!("{CONTENT_HEADER}{name}")
}

/// The value of a header on one line: what would end it becomes a space.
pub(super) fn header_value(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// One part of a subject: what may not stand in it becomes `_`, and it is never empty.
pub(super) fn subject_token(text: &str) -> String {
    /// Longer parts are cut: subjects are for filtering, the header holds the whole text.
    const LONGEST: usize = 100;
    let token: String = text
        .chars()
        .take(LONGEST)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if token.is_empty() { "_".into() } else { token }
}

/// An event's type as the end of a subject: its dots separate parts.
pub(super) fn subject_of_kind(kind: &str) -> String {
    kind.split('.')
        .map(subject_token)
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, headers: &[(&str, &str)]) -> Message {
        Message {
            subject: subject.into(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), (*value).into()))
                .collect(),
            payload: Bytes::from_static(b"body"),
            sequence: 1,
            timestamp: Timestamp::EPOCH,
        }
    }

    #[test]
    fn the_subject_says_what_a_message_is() {
        let check = |subject: &str, headers: &[(&str, &str)], expected: Origin<'_>| {
            assert_eq!(message(subject, headers).origin("registry"), expected);
        };
        check(
            "registry.intake.harbor.eu_1",
            &[],
            Origin::Intake {
                adapter: "harbor",
                source: "eu_1",
                speaker: Speaker::Source,
            },
        );
        check(
            "registry.intake.harbor.eu_1",
            &[("weir-source", "eu.1")],
            Origin::Intake {
                adapter: "harbor",
                source: "eu.1",
                speaker: Speaker::Source,
            },
        );
        // Who may publish as one scanner is no other source by a header.
        check(
            "registry.intake.trivy.scanner1",
            &[("Weir-Adapter", "cloudevents"), ("Weir-Source", "/weir")],
            Origin::Intake {
                adapter: "trivy",
                source: "scanner1",
                speaker: Speaker::Source,
            },
        );
        check(
            "registry.intake.operator.ops",
            &[("Weir-Adapter", "cloudevents")],
            Origin::Intake {
                adapter: "cloudevents",
                source: "ops",
                speaker: Speaker::Operator,
            },
        );
        check(
            "registry.events.weir.image.pushed",
            &[],
            Origin::Event {
                kind: "weir.image.pushed",
            },
        );
        check("registry.other", &[], Origin::Other);
        check("registries.events.a", &[], Origin::Other);
    }

    #[test]
    fn text_of_a_sender_cannot_make_another_subject() {
        for (text, token) in [
            ("harbor", "harbor"),
            ("a.b", "a_b"),
            ("a b", "a_b"),
            ("*", "_"),
            (">", "_"),
            ("", "_"),
            ("é\r\nPUB x", "___PUB_x"),
        ] {
            assert_eq!(subject_token(text), token, "{text}");
        }
        assert_eq!(subject_of_kind("acme..new thing"), "acme._.new_thing");
    }

    #[test]
    fn a_header_cannot_start_another_header() {
        assert_eq!(content_header("X-A: b\r\nc"), "Weir-Header-X-A--b--c");
        assert_eq!(header_value("a\r\nNats-Msg-Id: 1"), "a  Nats-Msg-Id: 1");
    }

    #[test]
    fn content_headers_come_back_under_their_own_names() {
        let message = message(
            "a",
            &[("Weir-Header-content-type", "x"), ("Nats-Msg-Id", "1")],
        );
        assert_eq!(message.content_headers(), [("content-type", "x")]);
    }

    #[test]
    fn a_cloudevent_in_binary_mode_has_its_attributes_in_headers() {
        let binary = message(
            "a",
            &[("Ce-Type", "x"), ("ce-id", "7"), ("Nats-Msg-Id", "1")],
        );
        assert_eq!(binary.content_headers(), [("Ce-Type", "x"), ("ce-id", "7")]);
        let attributes = binary.event_attributes();
        assert_eq!(
            attributes,
            [("id".to_owned(), "7"), ("type".to_owned(), "x")]
        );
        let twice = message("a", &[("ce-id", "7"), ("Ce-Id", "8")]);
        assert_eq!(
            twice.event_attributes(),
            [("id".to_owned(), "7"), ("id".to_owned(), "8")]
        );
    }

    #[test]
    fn what_travels_with_a_message_is_read_or_left_out() {
        let headers = [
            ("Weir-Term", "7-12"),
            ("Weir-Settles", "7"),
            ("Weir-Trace", "ab"),
            ("Weir-Reads", "{}"),
        ];
        let found = message("registry.events.a", &headers).escort("registry");
        let expected = Escort {
            term: "7-12".parse().ok(),
            settles: Some(7.into()),
            trace: Some("ab".into()),
            reads: Some("{}".into()),
        };
        assert_eq!(found, expected);
        let of_earlier = [("Weir-Settles", "7 2026-03-02T00:00:00Z")];
        let settles = message("registry.events.a", &of_earlier).escort("registry");
        let settles = settles.settles.unwrap();
        assert_eq!(settles.created.as_deref(), Some("2026-03-02T00:00:00Z"));
        assert_eq!(settles.to_string(), of_earlier[0].1);
        let spoilt = [("Weir-Term", "x"), ("Weir-Settles", "-1")];
        let spoilt = message("registry.events.a", &spoilt);
        assert_eq!(spoilt.escort("registry"), Escort::default());
        let of_source = message("registry.intake.trivy.s", &headers).escort("registry");
        let (term, reads) = (of_source.term, of_source.reads);
        assert_eq!(
            (term, reads, of_source.trace),
            (None, None, Some("ab".into()))
        );
    }

    #[test]
    fn a_packed_payload_counts_as_what_it_unpacks_to() {
        let check = |payload: Vec<u8>, headers: &[(&str, &str)], expected: usize| {
            let payload = payload.into();
            let message = Message {
                payload,
                ..message("a", headers)
            };
            assert_eq!(message.unpacked_bytes(), expected);
        };
        let packed = |bytes| zstd::bulk::compress(&vec![7; bytes], 0).unwrap();
        let headers = [(ENCODING, ZSTD)];
        check(vec![7; 1000], &[], 1000);
        check(packed(1 << 20), &headers, 1 << 20);
        // More is not unpacked.
        check(packed(LONGEST_UNPACKED + 1), &headers, LONGEST_UNPACKED);
        // What does not say it may be anything.
        let of_a_stream = zstd::stream::encode_all(&[7; 1000][..], 0).unwrap();
        check(of_a_stream, &headers, LONGEST_UNPACKED);
        // What is no such payload is not unpacked.
        check(b"text".to_vec(), &headers, 4);
    }

    #[test]
    fn a_damaged_payload_shows() {
        let digest = Digest::of(b"body").to_string();
        assert!(message("a", &[]).check_payload().is_ok());
        assert!(message("a", &[(DIGEST, &digest)]).check_payload().is_ok());
        let other = Digest::of(b"other").to_string();
        assert!(message("a", &[(DIGEST, &other)]).check_payload().is_err());
    }
}
