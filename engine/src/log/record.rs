//! The fields that the log reads in a record by itself, without decoding the rest.
//!
//! A record is canonical JSON: keys in order, no white space. After `previous` come a time and
//! two numbers, so the last `"previous":` in the bytes is the record's own, whatever the event
//! contains.

use weir_schema::Timestamp;
use weir_schema::record::Hash;

/// The hash of the record before, as the record states it. `None` if it states none.
pub(super) fn previous_of(record: &[u8]) -> Option<Hash> {
    parse_hash(string_after(record, b"\"previous\":\"")?)
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

/// 64 hexadecimal digits as a hash.
pub(super) fn parse_hash(text: &str) -> Option<Hash> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}
