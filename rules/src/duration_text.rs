//! Texts such as `1h30m` or `1.5s`: numbers with units, for CEL's `duration()` and for headers.

/// The nanoseconds in one of a unit that CEL knows.
pub(crate) fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// The whole nanoseconds of `text` without a sign, its units told by `unit`; what an `i128` does
/// not hold is the most that it does. `None` if it is no such text.
pub(crate) fn nanos(text: &str, unit: impl Fn(&str) -> Option<i128>) -> Option<i128> {
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_length = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_length);
        let unit_length = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (name, next) = after.split_at(unit_length);
        total = total.saturating_add(scale(number, unit(name)?)?);
        rest = next;
    }
    Some(total)
}

/// The decimal `number` times `unit`, cut to whole nanoseconds.
fn scale(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = whole.bytes().fold(0_i128, |whole, digit| {
        whole
            .saturating_mul(10)
            .saturating_add(i128::from(digit - b'0'))
    });
    let mut total = whole.saturating_mul(unit);
    let mut place = unit;
    for digit in fraction.bytes() {
        // Digits beyond the nanosecond contribute nothing on their own; no unit needs more than
        // fourteen of them.
        place /= 10;
        total = total.saturating_add(i128::from(digit - b'0') * place);
    }
    Some(total)
}
