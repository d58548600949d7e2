//! CloudEvents in structured mode, where the data of Weir's own events may be in `data_base64`
//! (CloudEvents JSON format, section 3.1.1).

use std::{borrow::Cow, sync::LazyLock};

use base64::Engine as _;
use memchr::memmem;
use serde_json::value::RawValue;
use weir_schema::{
    Body, Event, Received,
    objects::{self, OnceEach},
};

/// What the media types of structured mode begin with.
const STRUCTURED: &str = "application/cloudevents";

/// Whether the content type of a body says that it is an event, whatever headers are beside it
/// (CloudEvents HTTP binding, section 3; NATS binding, section 3).
pub(crate) fn is_structured(content_type: &str) -> bool {
    let start = content_type.trim_start().get(..STRUCTURED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED))
}

/// Reads an event.
///
/// # Errors
/// What is wrong with the event or with how its data is written.
pub(crate) fn from_structured(json: &[u8]) -> Result<Received, String> {
    Received::from_json(&in_place(json)?).map_err(|error| error.to_string())
}

/// As [`from_structured`], without what came with the event and means nothing: a history that is not
/// recorded has no use for it.
///
/// # Errors
/// As [`from_structured`].
pub(crate) fn event_from_structured(json: &[u8]) -> Result<Event, String> {
    Event::from_incoming(&in_place(json)?).map_err(|error| error.to_string())
}

/// The event with its data in its place.
fn in_place(json: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    static ENCODED: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b"\"data_base64\""));
    let decoded = match ENCODED.find(json) {
        None => None,
        Some(_) => decoded(json)?,
    };
    Ok(decoded.map_or(Cow::Borrowed(json), Cow::Owned))
}

/// The event with its data in its place; `None` if it has none that is encoded, or is of a type whose
/// data may be anything and is kept as it came.
fn decoded(json: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let OnceEach(mut fields) = objects::from_slice::<OnceEach<&RawValue>>(json)
        .map_err(|error| format!("not a CloudEvent: {error}"))?;
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    let kind = fields.get("type").and_then(|kind| text(kind));
    let is_own = kind.is_some_and(|kind| Body::TYPES.contains(&&*kind));
    let is_given = |value: &&RawValue| value.get() != "null";
    let encoded = fields.remove("data_base64").filter(is_given);
    let Some(encoded) = encoded.filter(|_| is_own) else {
        return Ok(None);
    };
    if fields.get("data").is_some_and(is_given) {
        return Err("`data` and `data_base64` are both there: an event has one of them".to_owned());
    }
    let encoded = text(encoded).ok_or("`data_base64` is no text")?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .map_err(|error| format!("`data_base64` is no Base64: {error}"))?;
    let data: &RawValue = serde_json::from_slice(&bytes)
        .map_err(|error| format!("`data_base64` holds no JSON: {error}"))?;
    fields.insert("data".to_owned(), data);
    let event = serde_json::to_vec(&fields).map_err(|error| error.to_string())?;
    Ok(Some(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELETED: &str = r#"{"repository":"a","tag":"1"}"#;

    fn read(kind: &str, more: &str) -> Result<String, String> {
        let event =
            format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"{kind}",{more}}}"#);
        from_structured(event.as_bytes()).map(|received| received.json)
    }

    fn encoded(data: &str) -> String {
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        format!(r#""data_base64":"{data}""#)
    }

    #[test]
    fn encoded_data_is_that_data() {
        let kind = "weir.tag.deleted";
        let plain = read(kind, &format!("\"data\":{DELETED}")).unwrap();
        assert_eq!(read(kind, &encoded(DELETED)).unwrap(), plain);
        let none = format!("\"data\":null,{}", encoded(DELETED));
        assert_eq!(read(kind, &none).unwrap(), plain);
    }

    #[test]
    fn data_that_is_there_twice_or_cannot_be_read_is_refused() {
        let check = |more: &str, expected: &str| {
            let problem = read("weir.tag.deleted", more).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        };
        check(&format!("\"data\":{DELETED},{}", encoded(DELETED)), "both");
        check(&format!("{0},{0}", encoded(DELETED)), "comes twice");
        check("\"data_base64\":\"*\"", "no Base64");
        check("\"data_base64\":7", "no text");
        check(&encoded("{"), "holds no JSON");
        check(&encoded("[\"a\",\"1\"]"), "invalid type: sequence");
        check(
            &encoded(r#"{"repository":"a","tag":"1","tag":"2"}"#),
            "duplicate field `tag`",
        );
    }

    #[test]
    fn the_data_of_others_is_kept_as_it_came() {
        let kept = read("acme.b", "\"data_base64\":\"AAEC\"").unwrap();
        assert!(kept.contains(r#""data_base64":"AAEC""#), "{kept}");
    }
}
