//! Durations in headers: `30m`, `1h30m`, `7d`.
//!
//! The units of CEL's `duration()`, and `d` for 24 hours, which people who write `soak` expect.

use chrono::TimeDelta;

use crate::duration_text::{nanos, unit_nanos};

const NANOS_A_SECOND: i128 = 1_000_000_000;

/// A century: far beyond every use, and far from where arithmetic on times would overflow.
const MAX_NANOS: i128 = 36_525 * 86_400 * NANOS_A_SECOND;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("`{0}` is no duration")]
    Malformed(String),
    /// Below zero.
    #[error("`{0}` is negative")]
    Negative(String),
    /// More than a century.
    #[error("`{0}` is longer than a century")]
    TooLong(String),
}

/// Parses a duration that is not negative.
pub fn parse_duration(text: &str) -> Result<TimeDelta, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative(text.to_owned()));
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let total = nanos(text, unit).ok_or_else(malformed)?;
    if total > MAX_NANOS {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    let seconds = i64::try_from(total / NANOS_A_SECOND).map_err(|_| malformed())?;
    let nanos = u32::try_from(total % NANOS_A_SECOND).map_err(|_| malformed())?;
    TimeDelta::new(seconds, nanos).ok_or_else(malformed)
}

/// The nanoseconds in one of a unit.
fn unit(name: &str) -> Option<i128> {
    match name {
        "d" => Some(86_400 * NANOS_A_SECOND),
        other => unit_nanos(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{DurationError, parse_duration};
    use chrono::TimeDelta;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, seconds) in [
            ("30m", 1_800),
            ("72h", 259_200),
            ("1h30m", 5_400),
            ("7d", 604_800),
            ("1d12h", 129_600),
            ("1.5h", 5_400),
            ("0.5d", 43_200),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(TimeDelta::seconds(seconds)),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("1.5s250ms"),
            Ok(TimeDelta::milliseconds(1_750))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "7",
            "7 d",
            "d",
            "1h30",
            "1,5h",
            "1w",
            ".h",
            "1..5h",
            "1.2.3s",
            "ten minutes",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Malformed(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("-1h"),
            Err(DurationError::Negative("-1h".to_owned()))
        );
        for long in [
            "99999999999d",
            "47261439850130342147690917.9h",
            "99999999999999999999999999999999999999999999d",
        ] {
            assert_eq!(
                parse_duration(long),
                Err(DurationError::TooLong(long.to_owned()))
            );
        }
    }
}
