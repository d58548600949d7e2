//! Points in time: RFC 3339, UTC, to the nanosecond.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, TimeDelta, Timelike as _, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{clip, parse_str};

/// A point in time. Always read from somewhere, never from a clock: in the core time is the
/// `recorded_at` of the record at hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not of the form.
    #[error("`{0}` is no time: expected RFC 3339 as in `2026-08-21T10:00:00Z`")]
    Form(String),
    /// A time that RFC 3339 cannot say in UTC.
    #[error(
        "`{0}` is before the year 0 or after the year 9999 in UTC: such a time cannot be written"
    )]
    Year(String),
}

/// The first second of the year 0 and the last nanosecond of the year 9999: RFC 3339 has four digits
/// for a year.
const FIRST: DateTime<Utc> = DateTime::from_timestamp(-62_167_219_200, 0).unwrap();
const LAST: DateTime<Utc> = DateTime::from_timestamp(253_402_300_799, 999_999_999).unwrap();

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// The time so many nanoseconds after the epoch; `None` outside of chrono's years.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
        let rest = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        DateTime::from_timestamp(seconds, rest).map(Self)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn nanos(self) -> i128 {
        i128::from(self.0.timestamp()) * 1_000_000_000 + i128::from(self.0.timestamp_subsec_nanos())
    }

    /// The same as chrono's type.
    #[must_use]
    pub fn datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// This time and `delta`; the first or last time that can be written where the sum is out of
    /// range.
    #[must_use]
    pub fn saturating_add(self, delta: TimeDelta) -> Self {
        let limit = if delta < TimeDelta::zero() {
            FIRST
        } else {
            LAST
        };
        Self(
            self.0
                .checked_add_signed(delta)
                .map_or(limit, |sum| sum.clamp(FIRST, LAST)),
        )
    }

    /// The time from `earlier` to this; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0 - earlier.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        // A leap second is read as the last nanosecond before it, so that order and arithmetic hold.
        match (
            time.timestamp_subsec_nanos(),
            DateTime::from_timestamp(time.timestamp(), 999_999_999),
        ) {
            (1_000_000_000.., Some(before)) => Self(before),
            _ => Self(time),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        if let Some(time) = simple(text.as_bytes()) {
            return Ok(Self(time));
        }
        let time: Self = DateTime::parse_from_rfc3339(text)
            .map_err(|_| TimestampError::Form(clip(text)))?
            .with_timezone(&Utc)
            .into();
        match (FIRST..=LAST).contains(&time.0) {
            true => Ok(time),
            false => Err(TimestampError::Year(clip(text))),
        }
    }
}

/// A time as Weir writes it, `2026-08-21T10:00:00.123Z`: what is read millions of times. `None` for
/// every other form.
fn simple(text: &[u8]) -> Option<DateTime<Utc>> {
    let (date_and_time, rest) = text.split_at_checked(19)?;
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
        .iter()
        .all(|(place, byte)| date_and_time[*place] == *byte);
    if !separated {
        return None;
    }
    let part = |from: usize, to: usize| number(&date_and_time[from..to]);
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(part(0, 4)?).ok()?, part(5, 7)?, part(8, 10)?)?;
    let nanos = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10_u32.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    // No leap seconds: second 60 is none here.
    let time = date.and_hms_nano_opt(part(11, 13)?, part(14, 16)?, part(17, 19)?, nanos)?;
    Some(time.and_utc())
}

/// A number of at most nine digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

impl Timestamp {
    /// Does something with the text, which is made without an allocation: records and decisions have
    /// one each.
    fn with_text<T>(self, with: impl FnOnce(&str) -> T) -> T {
        let (date, time) = (self.0.date_naive(), self.0.time());
        let year = u32::try_from(date.year()).ok();
        let Some(year) = year.filter(|year| *year < 10_000) else {
            return with(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        };
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        for (place, width, value) in [
            (0, 4, year),
            (5, 2, date.month()),
            (8, 2, date.day()),
            (11, 2, time.hour()),
            (14, 2, time.minute()),
            (17, 2, time.second()),
            (20, 9, time.nanosecond()),
        ] {
            let mut left = value;
            for digit in text[place..place + width].iter_mut().rev() {
                *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
                left /= 10;
            }
        }
        let nanos = time.nanosecond();
        // As many digits as are needed, by threes.
        let end = match (nanos, nanos % 1_000_000, nanos % 1_000) {
            (0, ..) => 19,
            (_, 0, _) => 23,
            (_, _, 0) => 26,
            _ => 29,
        };
        text[end] = b'Z';
        with(std::str::from_utf8(&text[..=end]).expect("digits are text"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_the_nanosecond_and_written_in_utc() {
        let check = |text: &str, written: &str| {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
            assert_eq!(Timestamp::from_nanos(time.nanos()), Some(time));
        };
        check("2026-08-21T10:00:00Z", "2026-08-21T10:00:00Z");
        check("2026-08-21T12:00:00.5+02:00", "2026-08-21T10:00:00.500Z");
        check(
            "2026-08-21T10:00:00.123456789Z",
            "2026-08-21T10:00:00.123456789Z",
        );
        check(
            "1969-12-31T23:59:59.999999999Z",
            "1969-12-31T23:59:59.999999999Z",
        );
        check("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn times_are_read_and_written_as_chrono_does_it() {
        let mut nanos: i128 = 1_790_000_000_123_456_789;
        for round in 0..2000_u32 {
            let scale = [1, 1_000, 1_000_000, 1_000_000_000][round as usize % 4];
            let time = Timestamp::from_nanos(nanos / scale * scale).unwrap();
            let by_chrono = time.0.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            assert_eq!(time.to_string(), by_chrono);
            assert_eq!(by_chrono.parse(), Ok(time));
            nanos = (nanos * 3_141_592_653) % 253_402_300_799_000_000_000;
        }
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-08-21T24:00:00Z",
            "2026-08-21T10:60:00Z",
            "2026-08-21T10:00:0xZ",
            "2026-08-21T10:00:00.Z",
            "2026-08-21T10:00:00.1234567891Z",
            "2026-08-21t10:00:00z",
            "2026-08-21T10:00:00.5+00:00",
            "+026-08-21T10:00:00Z",
            "2026-08-21T10:00:00Zz",
            "0000-01-01T00:00:00Z",
        ] {
            let by_chrono = DateTime::parse_from_rfc3339(text).ok();
            let by_chrono = by_chrono.map(|time| Timestamp::from(time.with_timezone(&Utc)));
            assert_eq!(text.parse().ok(), by_chrono, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-08-21",
            "2026-13-01T00:00:00Z",
            "1417566161",
            "2026-08-21T10:00:00",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_that_could_not_be_written_in_utc_is_refused() {
        for text in ["9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00+00:01"] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error, TimestampError::Year(text.to_owned()));
        }
        for text in [
            "0000-01-01T00:00:00Z",
            "0000-01-01T12:00:00+12:00",
            "9999-12-31T11:59:59.999999999-12:00",
            "9999-12-31T23:59:60Z",
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string().parse(), Ok(time), "{text}");
        }
    }

    #[test]
    fn sums_out_of_range_stay_at_the_limit() {
        let late: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
        for (delta, limit) in [
            (TimeDelta::seconds(1), "9999-12-31T23:59:59.999999999Z"),
            (TimeDelta::MAX, "9999-12-31T23:59:59.999999999Z"),
            (TimeDelta::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(late.saturating_add(delta).to_string(), limit);
        }
    }
}
