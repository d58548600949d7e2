//! Points in time as sources write them: RFC 3339, ISO 8601 without the colon, and seconds or
//! milliseconds since 1970 as integers, floats or texts.

use serde_json::Value;
use weir_schema::Timestamp;

/// Before 2000 and after 2200 a time is a zero value or a mistake, never when something happened:
/// Go writes year 1 for "not set", others 1970.
const SANE_SECONDS: std::ops::Range<i128> = 946_684_800..7_258_118_400;

/// More than this many "seconds" are milliseconds (the year 5138 otherwise).
const MILLISECONDS_FROM: f64 = 1e11;

/// Reads a time; `None` if there is none or it is not sane.
pub(super) fn from_json(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => from_text(text),
        Value::Number(number) => from_number(number.as_f64()?),
        _ => None,
    }
}

/// Reads a time from text; `None` if it is none or not sane.
pub(super) fn from_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| without_colon(text))
        .and_then(sane)
        .or_else(|| from_number(text.parse().ok()?))
}

/// `2020-04-05T21:49:44.219+0000`, as Java writes it.
fn without_colon(text: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?;
    Some(time.with_timezone(&chrono::Utc).into())
}

fn from_number(number: f64) -> Option<Timestamp> {
    if !number.is_finite() || number.abs() >= 1e15 {
        return None;
    }
    let seconds = if number.abs() >= MILLISECONDS_FROM {
        number / 1e3
    } else {
        number
    };
    // A float of this size is exact to about a microsecond; the rest is noise.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 1e11 seconds, far within the range"
    )]
    let micros = (seconds * 1e6).round() as i64;
    Timestamp::from_nanos(i128::from(micros) * 1_000).and_then(sane)
}

fn sane(time: Timestamp) -> Option<Timestamp> {
    SANE_SECONDS
        .contains(&time.nanos().div_euclid(1_000_000_000))
        .then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_form_that_sources_use() {
        let check = |json: &str, expected: &str| {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(from_json(&value).unwrap().to_string(), expected, "{json}");
        };
        check(r#""2026-08-21T10:00:00.5Z""#, "2026-08-21T10:00:00.500Z");
        check(
            r#""2020-04-05T21:49:44.219+0000""#,
            "2020-04-05T21:49:44.219Z",
        );
        check("1417566161", "2014-12-03T00:22:41Z");
        check("1.417566161E9", "2014-12-03T00:22:41Z");
        check("1417566161.25", "2014-12-03T00:22:41.250Z");
        check("1417566161250", "2014-12-03T00:22:41.250Z");
        check(r#""1417566161""#, "2014-12-03T00:22:41Z");
    }

    #[test]
    fn a_time_that_is_not_sane_is_none() {
        for json in [
            "null",
            "0",
            "-1",
            "1e300",
            r#""""#,
            r#""0001-01-01T00:00:00Z""#,
            r#""1970-01-01T00:00:00Z""#,
            r#""yesterday""#,
            r#""NaN""#,
            "{}",
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(from_json(&value), None, "{json}");
        }
    }
}
