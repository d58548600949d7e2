//! Parts of timestamps and durations.

use super::super::budget::{Budget, Fault};
use super::super::value::Value;
use super::{Function, function};
use chrono::{DateTime, Datelike, FixedOffset, Timelike};
use weir_schema::Timestamp;

macro_rules! accessor {
    ($name:literal, $doc:literal, $part:expr) => {
        function(
            $name,
            &[
                concat!("timestamp.", $name, "() -> int"),
                concat!("timestamp.", $name, "(string) -> int"),
            ],
            $doc,
            |budget, args| part(budget, args, $part, None),
        )
    };
    ($name:literal, $doc:literal, $part:expr, $of_duration:expr) => {
        function(
            $name,
            &[
                concat!("timestamp.", $name, "() -> int"),
                concat!("timestamp.", $name, "(string) -> int"),
                concat!("duration.", $name, "() -> int"),
            ],
            $doc,
            |budget, args| part(budget, args, $part, Some($of_duration)),
        )
    };
}

pub(super) const TABLE: &[Function] = &[
    accessor!("getFullYear", "The year, in UTC or a time zone.", |at| at
        .year()
        .into()),
    accessor!("getMonth", "The month from 0.", |at| at.month0().into()),
    accessor!("getDate", "The day of the month from 1.", |at| at
        .day()
        .into()),
    accessor!("getDayOfMonth", "The day of the month from 0.", |at| at
        .day0()
        .into()),
    accessor!("getDayOfWeek", "The day of the week; Sunday is 0.", |at| at
        .weekday()
        .num_days_from_sunday()
        .into()),
    accessor!("getDayOfYear", "The day of the year from 0.", |at| at
        .ordinal0()
        .into()),
    accessor!(
        "getHours",
        "The hour; of a duration all its hours.",
        |at| at.hour().into(),
        |nanos| nanos / 3_600_000_000_000
    ),
    accessor!(
        "getMinutes",
        "The minute; of a duration all its minutes.",
        |at| at.minute().into(),
        |nanos| nanos / 60_000_000_000
    ),
    accessor!(
        "getSeconds",
        "The second; of a duration all its seconds.",
        |at| at.second().into(),
        |nanos| nanos / 1_000_000_000
    ),
    accessor!(
        "getMilliseconds",
        "The milliseconds beyond the second.",
        |at| at.timestamp_subsec_millis().into(),
        |nanos| nanos / 1_000_000 % 1_000
    ),
];

fn part(
    budget: &Budget,
    args: &[&Value],
    of_timestamp: fn(DateTime<FixedOffset>) -> i64,
    of_duration: Option<fn(i64) -> i64>,
) -> Result<Value, Fault> {
    match (args, of_duration) {
        ([Value::Timestamp(at)], _) => Ok(Value::Int(of_timestamp(at.datetime().fixed_offset()))),
        ([Value::Timestamp(at), Value::String(zone)], _) => {
            budget.read_bytes(zone.len())?;
            Ok(Value::Int(of_timestamp(in_zone(*at, zone)?)))
        }
        ([Value::Duration(duration)], Some(of_duration)) => {
            Ok(Value::Int(of_duration(duration.nanos())))
        }
        _ => Err(Fault::NoOverload),
    }
}

/// The time in a zone, given by its name or as `[+-]HH:MM`, of two digits each.
fn in_zone(at: Timestamp, zone: &str) -> Result<DateTime<FixedOffset>, Fault> {
    let unknown = || {
        Fault::Failed(format!(
            "there is no time zone `{}`",
            zone.chars().take(40).collect::<String>()
        ))
    };
    let at = at.datetime();
    if let Some((hours, minutes)) = zone.split_once(':') {
        let (sign, hours) = match hours.strip_prefix('-') {
            Some(hours) => (-1, hours),
            None => (1, hours.strip_prefix('+').unwrap_or(hours)),
        };
        let below = |end, digits| two_digits(digits).filter(|number| *number < end);
        let hours = below(24, hours).ok_or_else(unknown)?;
        let minutes = below(60, minutes).ok_or_else(unknown)?;
        let offset =
            FixedOffset::east_opt(sign * (hours * 60 + minutes) * 60).ok_or_else(unknown)?;
        return Ok(at.with_timezone(&offset));
    }
    let zone: chrono_tz::Tz = if zone.is_empty() {
        chrono_tz::UTC
    } else {
        zone.parse().map_err(|_| unknown())?
    };
    Ok(at.with_timezone(&zone).fixed_offset())
}

fn two_digits(text: &str) -> Option<i32> {
    let legal = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    legal.then(|| text.parse().ok())?
}
