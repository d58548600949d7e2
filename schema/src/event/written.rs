//! Events as Weir writes them, read in one pass.
//!
//! What `data` means is known from `type`, and in canonical JSON that comes last: read in the order
//! of the text, the data would have to be passed over first and read afterwards. Here the type is
//! looked up at the end. Whatever is not of that form is read the long way, which also says what is
//! wrong with it.

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{Body, Event, envelope::lacking};
use smol_str::SmolStr;

use crate::Timestamp;

/// The event in a text that ends with its type. `None` if the text is not of that form, or not an
/// event.
pub(super) fn read(text: &str) -> Option<Event> {
    let kind = kind_at_end(text)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let event = Envelope { kind }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    lacking(&event.body).is_none().then_some(event)
}

/// The type, if it is the last field: a quote before a name is never part of a text, where it would
/// be escaped, and the last brace is that of the whole.
fn kind_at_end(text: &str) -> Option<&str> {
    let text = text.strip_suffix("\"}")?;
    let start = text.bytes().rposition(|byte| byte == b'"')? + 1;
    let (before, kind) = text.split_at_checked(start)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'.';
    let named = before.ends_with(",\"type\":\"") && !kind.is_empty();
    (named && kind.bytes().all(plain)).then_some(kind)
}

/// Reads an envelope of a type that is known.
struct Envelope<'k> {
    kind: &'k str,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Specversion,
    Id,
    Source,
    Type,
    Time,
    Subject,
    Data,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = Event;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Event, A::Error> {
        let (mut id, mut source, mut body, mut version) = (None, None, None, None);
        let (mut time, mut subject, mut kind) = (None, None, None);
        while let Some(field) = fields.next_key()? {
            let twice = match field {
                Field::Specversion => version.replace(fields.next_value::<&str>()?).is_some(),
                Field::Id => id.replace(fields.next_value::<SmolStr>()?).is_some(),
                Field::Source => source.replace(fields.next_value::<SmolStr>()?).is_some(),
                Field::Type => kind.replace(fields.next_value::<&str>()?).is_some(),
                Field::Time => time
                    .replace(fields.next_value::<Option<Timestamp>>()?)
                    .is_some(),
                Field::Subject => subject
                    .replace(fields.next_value::<Option<String>>()?)
                    .is_some(),
                Field::Data => body
                    .replace(fields.next_value_seed(Data(self.kind))?)
                    .is_some(),
                Field::Other => {
                    fields.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if twice {
                return Err(A::Error::custom("a field comes twice"));
            }
        }
        let filled = |text: Option<SmolStr>| text.filter(|text| !text.is_empty());
        let right = kind == Some(self.kind) && version == Some("1.0");
        match (filled(id), filled(source), body) {
            (Some(id), Some(source), Some(body)) if right => Ok(Event {
                id,
                source,
                time: time.flatten(),
                subject: subject.flatten(),
                body,
            }),
            _ => Err(A::Error::custom("not of the form")),
        }
    }
}

/// Reads the data of an event of a type.
struct Data<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = Body;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body, D::Error> {
        Body::deserialize(self.0, deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKED: &str =
        r#"{"data":{},"id":"1","source":"/s","specversion":"1.0","type":"weir.clock.ticked"}"#;

    #[test]
    fn both_ways_read_the_same() {
        let data = [
            ("clock.ticked", "{}"),
            ("something.new", r#"{"a":[1,{"b":null}]}"#),
            (
                "tag.deleted",
                r#"{"more":{"type":"x"},"repository":"a","tag":"1"}"#,
            ),
            (
                "scan.completed",
                r#"{"digest":"D","findings":[{"id":"CVE-1","score":9.80,"severity":"HIGH"}],"scanner":{"name":"t"}}"#,
            ),
        ];
        let digest = crate::Digest::of(b"").to_string();
        for (kind, data) in data {
            let data = data.replace('D', &digest);
            let text = format!(
                r#"{{"data":{data},"id":"a\"b","source":"/s","specversion":"1.0","subject":"x","time":"2026-08-21T10:00:00Z","type":"weir.{kind}"}}"#
            );
            let long = Event::from_json(format!("{text} ").as_bytes()).unwrap();
            assert_eq!(read(&text).as_ref(), Some(&long), "{text}");
        }
    }

    #[test]
    fn what_is_not_as_it_is_written_is_left_to_the_long_way() {
        assert!(read(TICKED).is_some());
        let otherwise = [
            ("an extension last", TICKED.replace(r#""}"#, r#"","zone":"a"}"#)),
            ("the version last", r#"{"data":{},"id":"1","source":"/s","type":"weir.clock.ticked","specversion":"1.0"}"#.to_owned()),
            ("white space", TICKED.replace(",\"type\":", ", \"type\": ")),
            ("a field twice", TICKED.replace(r#""id":"1""#, r#""id":"1","id":"2""#)),
            ("another version", TICKED.replace("1.0", "0.3")),
            ("an empty id", TICKED.replace(r#""id":"1""#, r#""id":"""#)),
            ("no data", TICKED.replace(r#""data":{},"#, "")),
            ("data that does not fit", TICKED.replace("clock.ticked", "tag.deleted")),
            ("something behind", format!("{TICKED} {{}}")),
            (
                "a type within a text",
                r#"{"data":{},"id":"1","source":"/s","specversion":"1.0","z":",\"type\":\"a"}"#.to_owned(),
            ),
            (
                "a type within the data",
                r#"{"id":"1","source":"/s","specversion":"1.0","z":{"y":1,"type":"a"}}"#.to_owned(),
            ),
        ];
        for (what, text) in otherwise {
            assert_eq!(read(&text), None, "{what}: {text}");
        }
    }
}
