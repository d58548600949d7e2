//! Reading answers: bodies up to a limit, the errors that registries report, `Retry-After`,
//! `Link`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, LINK, RETRY_AFTER},
};
use serde::Deserialize;

use super::error::{OciError, innermost};

/// A whole answer.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a body was not read to its end.
pub(super) enum ReadFailure {
    TooLarge(usize),
    Broken(String),
}

impl ReadFailure {
    pub fn into_oci(self, registry: &str, what: &str) -> OciError {
        let (registry, what) = (registry.to_owned(), what.to_owned());
        match self {
            Self::TooLarge(limit) => OciError::TooLarge {
                registry,
                what,
                limit,
            },
            Self::Broken(reason) => OciError::Connection {
                registry,
                what,
                reason,
            },
        }
    }
}

/// The body of `response`, which may have `limit` bytes.
pub(super) async fn read(mut response: Response, limit: usize) -> Result<Bytes, ReadFailure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| ReadFailure::Broken(broken(&error)))?
    {
        if body.len() + chunk.len() > limit {
            return Err(ReadFailure::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn broken(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "the answer has begun and was not whole in time".to_owned()
    } else {
        innermost(error)
    }
}

/// What a registry's error answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// `MANIFEST_INVALID` and the like.
    pub codes: Vec<String>,
    /// Everything readable in one line.
    pub message: String,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
    /// Token servers of some registries answer `{"details": "…"}` or `{"message": "…"}`.
    details: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ErrorEntry {
    code: String,
    message: String,
    detail: serde_json::Value,
}

impl Complaint {
    /// Reads the body of an error answer. What is no JSON is shortened to a line.
    pub fn of(body: &[u8]) -> Self {
        let Ok(errors) = serde_json::from_slice::<Errors>(body) else {
            return Self {
                codes: Vec::new(),
                message: line(&String::from_utf8_lossy(body)),
            };
        };
        let mut parts: Vec<String> = Vec::new();
        for entry in &errors.errors {
            let mut part = format!("{} {}", entry.code, entry.message)
                .trim()
                .to_owned();
            match &entry.detail {
                serde_json::Value::Null => {}
                serde_json::Value::Object(map) if map.is_empty() => {}
                serde_json::Value::String(text) => part = format!("{part}: {text}"),
                other => part = format!("{part}: {other}"),
            }
            parts.push(part);
        }
        parts.extend(errors.details);
        parts.extend(errors.message);
        Self {
            codes: errors.errors.into_iter().map(|entry| entry.code).collect(),
            message: line(&parts.join("; ")),
        }
    }
}

/// One line of printable text, cut where it is long.
fn line(text: &str) -> String {
    const LONGEST: usize = 300;
    let text = text.trim();
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}

/// `Retry-After` in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    Some(
        (at.with_timezone(&Utc) - Utc::now())
            .to_std()
            .unwrap_or_default(),
    )
}

/// The target of `Link: <…>; rel="next"`.
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| {
            value.split(',').find_map(|link| {
                let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
                let next = parameters.split(';').map(str::trim).any(|parameter| {
                    parameter.eq_ignore_ascii_case("rel=\"next\"")
                        || parameter.eq_ignore_ascii_case("rel=next")
                });
                next.then(|| target.to_owned())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(
            retry_after(&headers("retry-after", "7")),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            retry_after(&headers("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")),
            Some(Duration::ZERO)
        );
        let soon = (Utc::now() + chrono::TimeDelta::seconds(90)).to_rfc2822();
        let asked = retry_after(&headers("retry-after", &soon)).unwrap();
        assert!((85..=90).contains(&asked.as_secs()), "{asked:?}");
        assert_eq!(retry_after(&headers("retry-after", "soon")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn the_next_page_is_the_link_of_that_relation() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(
                next_link(&headers("link", value)).as_deref(),
                expected,
                "{value}"
            );
        };
        check(
            "</v2/_catalog?last=b&n=2>; rel=\"next\"",
            Some("/v2/_catalog?last=b&n=2"),
        );
        check("<https://r/v2/x>;rel=next", Some("https://r/v2/x"));
        check("</a>; rel=\"prev\", </b>; rel=\"next\"", Some("/b"));
        check("</a>; rel=\"prev\"", None);
        check("rel=\"next\"", None);
    }

    #[test]
    fn what_a_registry_complains_of_is_one_line() {
        let check = |body: &str, codes: &[&str], message: &str| {
            let complaint = Complaint::of(body.as_bytes());
            assert_eq!(
                (complaint.codes.join(" "), complaint.message),
                (codes.join(" "), message.into())
            );
        };
        check(
            r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":"sha256:40"},{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{}}]}"#,
            &["MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID"],
            "MANIFEST_BLOB_UNKNOWN blob unknown to registry: sha256:40; MANIFEST_INVALID manifest invalid",
        );
        check("404 page not found\n", &[], "404 page not found");
        check("", &[], "");
        check(
            r#"{"details":"incorrect username or password"}"#,
            &[],
            "incorrect username or password",
        );
    }
}
