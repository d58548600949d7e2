//! The terms of a record: what it can be found by.
//!
//! They are read from the names of its fields. Of an event whose type this version knows only the
//! fields of that type count (`known.rs`); of every other they count wherever they stand, so it is
//! found as well.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

use memchr::memmem;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use sha2::{Digest, Sha256};
use weir_schema::vulnerability_name;

use super::known::{self, Fields};

/// What a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Dimension {
    /// A repository: subject, source or target.
    Repository = 1,
    /// A tag, likewise.
    Tag = 2,
    /// A manifest's digest: subject, child, or covered by a scan; also a payload's or a report's.
    Digest = 3,
    /// The event's type.
    Type = 4,
    /// Who did it.
    Actor = 5,
    /// A rule; also a deny rule that is given as a reason.
    Rule = 6,
    /// A vulnerability: found, or overridden; a CVE in capitals, however it is written.
    Vulnerability = 7,
    /// The repository of an override's or a hold's scope, if it is one by name.
    Scope = 8,
    /// The verdict of a decision.
    Verdict = 9,
    /// The code of a reason, given or waived.
    Reason = 10,
    /// An override: granted, revoked, or used by a decision.
    Override = 11,
    /// A hold: placed, released, or given as a reason.
    Hold = 12,
    /// The pattern of an override's or a hold's scope: apart from the names, for each of these must
    /// be matched with what is asked for, and they are few.
    Pattern = 13,
}

impl Dimension {
    /// All of them, in order.
    pub const ALL: [Dimension; 13] = [
        Dimension::Repository,
        Dimension::Tag,
        Dimension::Digest,
        Dimension::Type,
        Dimension::Actor,
        Dimension::Rule,
        Dimension::Vulnerability,
        Dimension::Scope,
        Dimension::Verdict,
        Dimension::Reason,
        Dimension::Override,
        Dimension::Hold,
        Dimension::Pattern,
    ];
}

/// What a record mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mention<'a> {
    /// A term.
    Term(Dimension, &'a str),
    /// A repository and a tag of it; each is mentioned as a term too.
    Place {
        /// The repository.
        repository: &'a str,
        /// The tag.
        tag: &'a str,
    },
}

/// Calls `found` with every term of a record; with some of them more than once.
pub fn terms(record: &[u8], mut found: impl FnMut(Dimension, &str)) {
    mentions(record, |mention| {
        if let Mention::Term(dimension, term) = mention {
            found(dimension, term);
        }
    });
}

/// Calls `found` with everything that a record mentions; with some of it more than once.
pub fn mentions(record: &[u8], mut found: impl FnMut(Mention<'_>)) {
    mentions_until(record, |mention| {
        found(mention);
        ControlFlow::Continue(())
    });
}

/// The same, until `found` breaks off.
pub(super) fn mentions_until(record: &[u8], mut found: impl FnMut(Mention<'_>) -> ControlFlow<()>) {
    // Of what is not JSON there is nothing to find.
    let Ok(record) = std::str::from_utf8(record) else {
        return;
    };
    let mut json = serde_json::Deserializer::from_str(record);
    let walk = Walk {
        found: &mut found,
        field: Field::Record(kind(record).and_then(|kind| known::data(&kind))),
    };
    let _ = walk.deserialize(&mut json);
}

/// The type of the event in a record. It stands behind the data that it gives a meaning to: nearly
/// always last, where it is seen without reading what is before it.
fn kind(record: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        event: Event<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    if let Some(kind) = kind_at_end(record) {
        return Some(Cow::Borrowed(kind));
    }
    let record: Record<'_> = serde_json::from_str(record).ok()?;
    Some(record.event.kind)
}

/// The type, if it is the last field of the event. Neither has a position a field of that name, nor
/// a text a quote that is not escaped.
fn kind_at_end(record: &str) -> Option<&str> {
    let end = memmem::rfind(record.as_bytes(), b"\"},\"position\":")?;
    let (before, kind) = record.get(..end)?.rsplit_once('"')?;
    before.ends_with(",\"type\":").then_some(kind)
}

/// A key of more bytes is cut, and ends with a hash of the term.
pub(super) const LONGEST_KEY: usize = 512;

/// What a term is stored as.
///
/// A digest is stored by its first 32 bits, so what is found by it must be looked at; every other
/// term as it is.
pub(super) fn key(dimension: Dimension, term: &str) -> Cow<'_, [u8]> {
    if dimension == Dimension::Digest {
        return Cow::Owned(digest_key(term).to_vec());
    }
    let bytes = term.as_bytes();
    if bytes.len() < LONGEST_KEY {
        return Cow::Borrowed(bytes);
    }
    let hash = Sha256::digest(bytes);
    let mut cut = bytes
        .iter()
        .copied()
        .take(LONGEST_KEY - hash.len())
        .collect::<Vec<u8>>();
    cut.extend_from_slice(&hash);
    Cow::Owned(cut)
}

/// The first eight hexadecimal digits of a digest; a hash of what is none.
pub(super) fn digest_key(term: &str) -> [u8; 4] {
    let digits = term.split_once(':').map_or(term, |(_, digits)| digits);
    let first = digits.get(..8).filter(|digits| {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        digits.bytes().all(lower)
    });
    match first.map(|digits| u32::from_str_radix(digits, 16)) {
        Some(Ok(number)) => number.to_be_bytes(),
        _ => {
            let hash = Sha256::digest(term.as_bytes());
            [hash[0], hash[1], hash[2], hash[3]]
        }
    }
}

/// What a value is, by the names above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// With the fields of the data, if the type of the event is known.
    Record(Option<&'static Fields>),
    /// Likewise.
    Event(Option<&'static Fields>),
    /// An object of an event of a known type, or a list of them.
    Known(&'static Fields),
    /// An object of another event, or a list of them.
    Object,
    Scope,
    Reasons,
    Findings,
    /// A text that is a term.
    Term(Dimension),
    /// A list of texts that are terms.
    Terms(Dimension),
    /// A digest, if it is one.
    Subject,
    /// Free text and free maps hold no terms.
    Free,
}

impl Field {
    /// What the field called `name` of an object is.
    pub(super) fn below(self, name: &str) -> Field {
        match (self, name) {
            (Field::Known(fields), name) => fields.below(name),
            (Field::Record(data), "event") => Field::Event(data),
            (Field::Event(_), "type") => Field::Term(Dimension::Type),
            (Field::Event(data), "data") => data.map_or(Field::Object, Field::Known),
            (Field::Record(_) | Field::Event(_), _) => Field::Free,
            (Field::Findings, "id") => Field::Term(Dimension::Vulnerability),
            (Field::Findings, _) => Field::Free,
            (Field::Scope, "repository") => Field::Term(Dimension::Scope),
            (Field::Reasons, "code") => Field::Term(Dimension::Reason),
            // The target of an approval is a repository by itself.
            (_, "repository" | "target") => Field::Term(Dimension::Repository),
            (_, "tag") => Field::Term(Dimension::Tag),
            (_, "digest" | "config_digest" | "payload_digest" | "report_digest") => {
                Field::Term(Dimension::Digest)
            }
            (_, "subject") => Field::Subject,
            (_, "covers") => Field::Terms(Dimension::Digest),
            (_, "actor") => Field::Term(Dimension::Actor),
            (_, "rule" | "deny_rule") => Field::Term(Dimension::Rule),
            (_, "vulnerability") => Field::Term(Dimension::Vulnerability),
            (_, "verdict") => Field::Term(Dimension::Verdict),
            (_, "override_id") => Field::Term(Dimension::Override),
            (_, "overrides") => Field::Terms(Dimension::Override),
            (_, "hold_id") => Field::Term(Dimension::Hold),
            (_, "waive") => Field::Terms(Dimension::Reason),
            (_, "reasons" | "waived") => Field::Reasons,
            (_, "findings") => Field::Findings,
            (_, "scope") => Field::Scope,
            (_, "annotations" | "labels" | "files" | "payload") => Field::Free,
            _ => Field::Object,
        }
    }

    /// What it is if its value is an object.
    pub(super) fn as_object(self) -> Field {
        match self {
            Field::Term(_) | Field::Terms(_) | Field::Subject => Field::Object,
            other => other,
        }
    }

    /// What the items of a list are.
    fn item(self) -> Field {
        match self {
            Field::Terms(dimension) => Field::Term(dimension),
            Field::Term(_) | Field::Subject => Field::Object,
            other => other,
        }
    }
}

struct Walk<'a> {
    found: &'a mut dyn FnMut(Mention<'_>) -> ControlFlow<()>,
    field: Field,
}

/// What ends the reading of a record of which no more is wanted.
fn ended<E: Error>(told: ControlFlow<()>) -> Result<(), E> {
    match told {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(E::custom("no more is wanted")),
    }
}

/// The name of a field, as what it says of the value, without a copy of its text.
struct Name {
    of: Field,
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Field, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Field;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
        Ok(self.of.below(name))
    }
}

/// Gives the text of a repository or tag, for the object that holds it.
impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if self.field == Field::Free {
            IgnoredAny::deserialize(json)?;
            return Ok(None);
        }
        json.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        let mut found = |dimension, term: &str| (self.found)(Mention::Term(dimension, term));
        ended(match self.field {
            Field::Term(Dimension::Scope) if text.contains('*') => found(Dimension::Pattern, text),
            Field::Term(Dimension::Vulnerability) => {
                found(Dimension::Vulnerability, &vulnerability_name(text))
            }
            Field::Term(dimension) => found(dimension, text),
            Field::Subject if text.contains(':') => found(Dimension::Digest, text),
            _ => ControlFlow::Continue(()),
        })
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.text(text)?;
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.text(text)?;
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let field = self.field.item();
        let found = self.found;
        while items
            .next_element_seed(Walk {
                found: &mut *found,
                field,
            })?
            .is_some()
        {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let of = self.field.as_object();
        let found = self.found;
        let (mut repository, mut tag) = (None, None);
        while let Some(field) = fields.next_key_seed(Name { of })? {
            let text = fields.next_value_seed(Walk {
                found: &mut *found,
                field,
            })?;
            match field {
                // `repository` comes before the `target` of an approval.
                Field::Term(Dimension::Repository) => repository = repository.or(text),
                Field::Term(Dimension::Tag) => tag = text,
                _ => {}
            }
        }
        if let (Some(repository), Some(tag)) = (repository, tag) {
            ended(found(Mention::Place {
                repository: &repository,
                tag: &tag,
            }))?;
        }
        Ok(None)
    }
}
