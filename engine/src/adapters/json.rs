//! Reading JSON so that a refusal says where and why: comments, typographic quotes and invalid
//! UTF-8 are named, since files copied from documentation have them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use weir_schema::objects;

use super::{clip, problem::Problem};

/// Reads `body` as a `T`, of which what has named fields is an object.
///
/// # Errors
/// With line and column.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = text(body)?;
    objects::from_str(text).map_err(|error| {
        if error.is_data() {
            Problem::Form(error.to_string())
        } else {
            Problem::Json(describe(text, &error))
        }
    })
}

/// Reads `body` as any JSON value.
///
/// # Errors
/// With line and column.
pub(super) fn value(body: &[u8]) -> Result<Value, Problem> {
    parse(body).map(|Unambiguous(value)| value)
}

/// For fields of any value, which is read as [`value`] reads it.
///
/// # Errors
/// If a name comes twice in an object.
pub(super) fn unambiguous<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Unambiguous::deserialize(deserializer).map(|Unambiguous(value)| value)
}

/// Any value in which no object has a name twice: which of the two is meant nobody can tell, and one
/// of them would go unseen.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unambiguous(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                let name = clip(&name);
                return Err(A::Error::custom(format!(
                    "`{name}` comes twice in an object"
                )));
            }
            let Unambiguous(value) = entries.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// The body as text, without a byte order mark.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    let body = without_mark(body);
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return Err(Problem::Json(
            "the text is UTF-16: save it as UTF-8".to_owned(),
        ));
    }
    if body.starts_with(b"\x1f\x8b") {
        return Err(Problem::Json(
            "the body is compressed with gzip: send it as it is, without `Content-Encoding`"
                .to_owned(),
        ));
    }
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(Problem::Json(
            "it begins with `<`, so it is XML or a web page: send the JSON form".to_owned(),
        ));
    }
    std::str::from_utf8(body).map_err(|error| {
        let line = 1 + body.get(..error.valid_up_to()).map_or(0, |valid| {
            valid.iter().filter(|byte| **byte == b'\n').count()
        });
        Problem::Json(format!(
            "invalid UTF-8 at byte {} (line {line})",
            error.valid_up_to()
        ))
    })
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default().trim()
}

/// Whether a text begins as JSON does, well written or not, or as a line of it.
fn begins_as_json(text: &str) -> bool {
    let line = first_line(text);
    let value = line.trim_end_matches(',');
    line.is_empty()
        || line.starts_with(|first| "{[}]\"',/".contains(first))
        || line.starts_with(QUOTATION_MARKS)
        || serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok()
}

/// What a text has in place of JSON's that went through a program for letters.
const QUOTATION_MARKS: [char; 7] = [
    '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
];

/// What serde_json says, and what it most likely means.
fn describe(text: &str, error: &serde_json::Error) -> String {
    if !begins_as_json(text) {
        return format!(
            "{error}: it begins with `{}`, as a table, YAML or a log does: send the JSON alone (of a scanner, its report in JSON)",
            clip(first_line(text))
        );
    }
    let line = text.lines().nth(error.line().saturating_sub(1));
    let rest = line.and_then(|line| {
        // The column counts bytes and may stand on or just after what is wrong.
        let mut start = error.column().saturating_sub(1).min(line.len());
        while !line.is_char_boundary(start) {
            start -= 1;
        }
        line.get(start..)
    });
    let rest = rest.unwrap_or_default().trim_start();
    let hint = if rest.starts_with('/') || rest.starts_with('#') {
        ": JSON has no comments"
    } else if rest.starts_with(QUOTATION_MARKS) {
        ": these are typographic quotation marks, JSON has only \""
    } else if rest.starts_with('\'') {
        ": JSON has only double quotation marks"
    } else {
        ""
    };
    format!("{error}{hint}")
}

/// The lines of JSON Lines, each with its number; `None` if `body` is no such text: then the first
/// line is not one whole JSON value, or there is no second. Not many more than `most` are given.
pub(super) fn lines(body: &[u8], most: usize) -> Option<Vec<(usize, &[u8])>> {
    let mut lines = without_mark(body)
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty());
    let (first, second) = (lines.next()?, lines.next()?);
    serde_json::from_slice::<serde::de::IgnoredAny>(first.1).ok()?;
    Some(
        [first, second]
            .into_iter()
            .chain(lines.take(most))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_and_why() {
        let check = |body: &[u8], expected: &[&str]| {
            let problem = value(body).unwrap_err().to_string();
            for part in expected {
                assert!(problem.contains(part), "{problem}");
            }
        };
        check(
            b"{\n  // the id\n  \"id\": 1}",
            &["line 2 column 3", "no comments"],
        );
        check(b"{\"a\": 1, /* x */ \"b\": 2}", &["line 1", "no comments"]);
        check(
            "{\n \u{201c}id\u{201d}: 1}".as_bytes(),
            &["line 2 column 2", "typographic"],
        );
        check(b"{'id': 1}", &["double quotation marks"]);
        check(b"{\"id\": \"\xff\"}", &["invalid UTF-8 at byte 8"]);
        check(b"\xff\xfe{\0}\0", &["UTF-16"]);
        check(b"\x1f\x8b\x08\0", &["gzip", "send it as it is"]);
        for xml in [
            &b"<?xml version=\"1.0\"?>\n<bom/>"[..],
            b"\xef\xbb\xbf \r\n<bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\"/>",
            b"<!DOCTYPE html>",
        ] {
            check(xml, &["XML", "send the JSON form"]);
        }
        for other in [
            "apiVersion: v1\nkind: VulnerabilityReport\n",
            "# a comment\nkind: Report\n",
            "web:1.0 (alpine 3.20)\n=====\nTotal: 0\n",
            "\u{250c}\u{2500}\u{2500}\u{2510}\n",
            "2026-11-29T00:00:00Z INFO Detected OS\n{\"SchemaVersion\": 2}\n",
        ] {
            let first = other.lines().next().unwrap();
            let begins = format!("it begins with `{first}`");
            check(
                other.as_bytes(),
                &["line 1", &begins, "send the JSON alone"],
            );
        }
        for of_json in ["12,", "\"a\": 1,", "]"] {
            let problem = value(of_json.as_bytes()).unwrap_err().to_string();
            assert!(!problem.contains("it begins"), "{problem}");
        }
        check(b"", &["EOF"]);
        check(
            b"{\"a\": {\"HIGH\": 3, \"LOW\": 1,\n \"HIGH\": 2}}",
            &["`HIGH` comes twice", "line 2 column 7"],
        );
        check(&[b'['; 100_000], &["recursion limit"]);
    }

    #[test]
    fn what_has_fields_is_an_object() {
        #[derive(Debug, Deserialize)]
        struct Named {
            #[serde(rename = "name")]
            _name: String,
        }
        assert!(parse::<Named>(b"{\"name\":\"a\"}").is_ok());
        let problem = parse::<Named>(b"[\"a\"]").unwrap_err().to_string();
        assert!(problem.contains("invalid type: sequence"), "{problem}");
    }

    #[test]
    fn json_lines_are_told_from_one_value_over_several_lines() {
        assert_eq!(lines(b"{}\n\n[1]\r\n", 9).unwrap().len(), 2);
        assert_eq!(lines(b"\xef\xbb\xbf{}\n[1]\n", 9).unwrap().len(), 2);
        assert!(lines(b"{\n}\n", 9).is_none());
        assert!(lines(b"{}", 9).is_none());
        assert!(lines(b"", 9).is_none());
    }
}
