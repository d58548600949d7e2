//! Lower-case hexadecimal digits, as digests and UUIDs have them.

/// Writes two digits for each of `bytes`, as many as there is room for.
pub fn write(bytes: &[u8], digits: &mut [u8]) {
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit_of(byte >> 4), digit_of(byte & 0xf)];
    }
}

/// Reads digits into `bytes`; `None` where one is not a lower-case digit. Both come in whole blocks,
/// of 32 and 16: the compiler has a block's digits looked at side by side.
#[must_use]
pub fn read(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    let (digits, bytes) = (digits.as_chunks::<32>(), bytes.as_chunks_mut::<16>());
    debug_assert!(digits.1.is_empty() && bytes.1.is_empty());
    let mut seen = 0;
    for (bytes, digits) in bytes.0.iter_mut().zip(digits.0) {
        let values = digits.map(value_of);
        seen |= values.iter().fold(0, |seen, value| seen | value);
        for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks::<2>().0) {
            *byte = high << 4 | low & 0xf;
        }
    }
    // A value has four bits, and what is none has more.
    (seen <= 0xf).then_some(())
}

/// The lower-case hexadecimal digit of a value below 16. Not a table, for the sake of the compiler.
fn digit_of(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' - 10 + value,
    }
}

/// The value of a lower-case hexadecimal digit; all bits for what is none.
fn value_of(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let number = if number < 10 { number } else { 0xff };
    let letter = if letter < 6 { letter + 10 } else { 0xff };
    number & letter
}
