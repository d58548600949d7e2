//! Durations and instants: CEL's ranges, texts and arithmetic.

use crate::duration_text::{nanos, unit_nanos};
use chrono::TimeDelta;
use std::fmt;
use weir_schema::Timestamp;

/// A span of time in whole nanoseconds, which is CEL's range: about 292 years either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

impl Duration {
    /// So many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Duration {
        Duration(nanos)
    }

    /// The whole duration in nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `later`; the longest or shortest duration there is where that is
    /// out of range.
    pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
        let nanos = later.nanos() - earlier.nanos();
        Duration(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// Reads `1h30m`, `-1.5s`, `100ms`: numbers with the units `h`, `m`, `s`, `ms`, `us`, `ns`.
    /// `None` if it is no such text or out of range.
    pub fn parse(text: &str) -> Option<Duration> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let total = nanos(rest, unit_nanos)?;
        i64::try_from(if negative { -total } else { total })
            .ok()
            .map(Duration)
    }
}

/// As `string()` writes it: seconds with as many decimals as needed, such as `1.5s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{sign}{seconds}s");
        }
        let fraction = format!("{rest:09}");
        write!(f, "{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

impl From<TimeDelta> for Duration {
    /// The longest or shortest duration there is where `delta` is out of range.
    fn from(delta: TimeDelta) -> Duration {
        let limit = if delta < TimeDelta::zero() {
            i64::MIN
        } else {
            i64::MAX
        };
        Duration(delta.num_nanoseconds().unwrap_or(limit))
    }
}

/// The first and the last instant of CEL, in nanoseconds: years 1 to 9999.
const RANGE: std::ops::RangeInclusive<i128> =
    -62_135_596_800_000_000_000..=253_402_300_799_999_999_999;

/// The instant so many nanoseconds after the epoch; `None` outside of CEL's years.
pub(super) fn timestamp_from_nanos(nanos: i128) -> Option<Timestamp> {
    RANGE
        .contains(&nanos)
        .then(|| Timestamp::from_nanos(nanos))
        .flatten()
}

/// Reads RFC 3339 with a `T` and without leap seconds; `None` if it is not that or outside of CEL's
/// years.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let has_t = text.get(10..11)? == "T";
    let is_leap_second = text.get(17..19)? == "60";
    if !has_t || is_leap_second {
        return None;
    }
    let at: Timestamp = text.parse().ok()?;
    timestamp_from_nanos(at.nanos())
}

/// As `string()` writes it: RFC 3339 with as many decimals as needed.
pub(super) fn format_timestamp(at: Timestamp) -> String {
    let utc = at.datetime();
    let base = utc.format("%Y-%m-%dT%H:%M:%S");
    match utc.timestamp_subsec_nanos() {
        0 => format!("{base}Z"),
        nanos => format!("{base}.{}Z", format!("{nanos:09}").trim_end_matches('0')),
    }
}
