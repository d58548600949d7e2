//! What a rejection keeps of the payload that could not be read.

/// Bytes of a payload that are kept: enough to see what it is. One delivery may be rejected event by
/// event, and each rejection keeps as much.
const KEPT: usize = 2048;

/// The start of a payload, as text; it ends with `…` if there is more.
pub(crate) fn excerpt(payload: &[u8]) -> String {
    let start = payload.get(..KEPT).unwrap_or(payload);
    let text = String::from_utf8_lossy(start);
    if start.len() < payload.len() {
        format!("{text}…")
    } else {
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_start_of_a_long_payload_is_kept() {
        let whole = "x".repeat(KEPT);
        assert_eq!(excerpt(whole.as_bytes()), whole);
        assert_eq!(excerpt(format!("{whole}y").as_bytes()), format!("{whole}…"));
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
    }
}
