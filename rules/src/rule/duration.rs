//! Durations in headers: `30m`, `1h30m`, `7d`.
//!
//! The units of CEL's `duration()`, and `d` for 24 hours, which people who write `soak` expect.

use chrono::TimeDelta;

const NANOS_A_SECOND: i128 = 1_000_000_000;

/// Units with their length in nanoseconds; longer names first where one begins like another.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_A_SECOND),
    ("m", 60 * NANOS_A_SECOND),
    ("h", 3_600 * NANOS_A_SECOND),
    ("d", 86_400 * NANOS_A_SECOND),
];

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
    if text.is_empty() {
        return Err(malformed());
    }
    if text == "0" {
        return Ok(TimeDelta::zero());
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_length = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .ok_or_else(malformed)?;
        let (number, after) = rest.split_at(number_length);
        let unit_length = after
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let (_, nanos) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        total += nanos_of(number, *nanos).ok_or_else(malformed)?;
        if total > MAX_NANOS {
            return Err(DurationError::TooLong(text.to_owned()));
        }
        rest = after;
    }
    let seconds = i64::try_from(total / NANOS_A_SECOND).map_err(|_| malformed())?;
    let nanos = u32::try_from(total % NANOS_A_SECOND).map_err(|_| malformed())?;
    TimeDelta::new(seconds, nanos).ok_or_else(malformed)
}

/// `number` units of `unit` nanoseconds, what is below a nanosecond cut off.
fn nanos_of(number: &str, unit: i128) -> Option<i128> {
    // Enough for a century in nanoseconds; more digits are a mistake, not a duration.
    const MAX_DIGITS: usize = 19;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let legal = whole.len() <= MAX_DIGITS
        && fraction.len() <= MAX_DIGITS
        && whole.len() + fraction.len() > 0
        && !fraction.contains('.');
    if !legal {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        // Units are multiples of powers of ten only up to a point: what is cut off here is less
        // than a nanosecond for each digit.
        place /= 10;
        nanos += i128::from(digit - b'0') * place;
    }
    Some(nanos)
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
        let long = "99999999999d";
        assert_eq!(
            parse_duration(long),
            Err(DurationError::TooLong(long.to_owned()))
        );
    }
}
