//! The fields that the log reads in a record by itself, without decoding the rest.
//!
//! A record is canonical JSON: keys in order, no white space. After `previous` come a time and
//! two numbers, so the last `"previous":` in the bytes is the record's own, whatever the event
//! contains.

use weir_schema::record::{Hash, parse_hex};
use weir_schema::{Timestamp, hex};

/// The sequence of a record and the hash of the one before, as the record states them.
pub(super) fn link_of(record: &[u8]) -> (Option<u64>, Option<Hash>) {
    match link_in_form(record) {
        Some((seq, previous)) => (Some(seq), Some(previous)),
        None => (seq_of(record), previous_of(record)),
    }
}

/// Reads both from the end, as every record that Weir writes has them:
/// `,"previous":"...","recorded_at":"...","seq":7,"v":1}`.
fn link_in_form(record: &[u8]) -> Option<(u64, Hash)> {
    let (rest, _) = number_at_end(record.strip_suffix(b"}")?)?;
    let (rest, seq) = number_at_end(rest.strip_suffix(b",\"v\":")?)?;
    let rest = rest.strip_suffix(b"\",\"seq\":")?;
    let time = rest.iter().rposition(|byte| *byte == b'"')?;
    let rest = rest.get(..=time)?.strip_suffix(b"\",\"recorded_at\":\"")?;
    let (rest, digits) = rest.split_last_chunk::<64>()?;
    let mut previous = [0; 32];
    hex::read(digits, &mut previous)?;
    rest.ends_with(b",\"previous\":\"")
        .then_some((seq, previous))
}

fn number_at_end(text: &[u8]) -> Option<(&[u8], u64)> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let (rest, digits) = text.split_at_checked(text.len() - digits.count())?;
    digits.first()?;
    let mut digits = digits.iter();
    let number = digits.try_fold(0_u64, |number, digit| {
        let digit = u64::from(digit - b'0');
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some((rest, number))
}

/// The hash of the record before, as the record states it. `None` if it states none.
pub(super) fn previous_of(record: &[u8]) -> Option<Hash> {
    parse_hex(string_after(record, b"\"previous\":\"")?)
}

/// Where in the record the digits of that hash stand, or would stand.
pub(super) fn place_of_previous(record: &[u8]) -> Option<usize> {
    Some(record.len() - after(record, b"\"previous\":\"")?.len())
}

/// The time of the record, as the record states it.
pub(super) fn recorded_at_of(record: &[u8]) -> Option<Timestamp> {
    string_after(record, b"\"recorded_at\":\"")?.parse().ok()
}

/// The sequence of the record, as the record states it.
pub(super) fn seq_of(record: &[u8]) -> Option<u64> {
    let digits = after(record, b"\"seq\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

fn string_after<'a>(record: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = after(record, key)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// What follows the last `key`, which begins with a quote and a letter.
fn after<'a>(record: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    // Letters after a quote are rare, so nearly every place is passed over by its second byte.
    let letter = key.get(1)?;
    let second = record.windows(2).enumerate().rev().find(|(at, pair)| {
        pair.get(1) == Some(letter) && record.get(*at..).is_some_and(|rest| rest.starts_with(key))
    });
    record.get(second?.0 + key.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_the_records_own_whatever_its_event_contains() {
        let hash = "0123456789abcdef".repeat(4);
        let other = "f".repeat(64);
        let check = |text: &str| {
            let wanted = (Some(7), parse_hex(&hash));
            assert_eq!(link_of(text.as_bytes()), wanted, "{text}");
            assert_eq!(previous_of(text.as_bytes()), wanted.1, "{text}");
            assert_eq!(seq_of(text.as_bytes()), wanted.0, "{text}");
        };
        let end =
            format!(r#""previous":"{hash}","recorded_at":"2026-08-21T10:00:00Z","seq":7,"v":1}}"#);
        check(&format!(
            r#"{{"event":{{}},"position":{{"from":"local"}},{end}"#
        ));
        check(&format!(
            r#"{{"event":{{"previous":"{other}","seq":9}},"position":{{}},{end}"#
        ));
        // A form that a later version might have.
        let more = end.replace(r#""v":1}"#, r#""v":2,"w":true}"#);
        check(&format!(r#"{{"event":{{}},"position":{{}},{more}"#));
        for text in [
            "",
            "}",
            r#"{"seq":7,"v":1}"#,
            r#"{"previous":"12","seq":"7"}"#,
        ] {
            assert_eq!(link_of(text.as_bytes()).1, None, "{text}");
        }
    }
}
