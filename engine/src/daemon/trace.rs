//! One name for a delivery and all that follows from it, in every line that is logged of it.

use std::sync::Arc;

/// A new name.
pub(crate) fn new() -> Arc<str> {
    uuid::Uuid::new_v4().simple().to_string().into()
}

/// The name of a delivery: the trace that its sender says it is part of (W3C Trace Context), or a new
/// one.
pub(crate) fn of(headers: &[(String, String)]) -> Arc<str> {
    let parent = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
    let trace = parent.and_then(|(_, value)| trace_id(value));
    trace.map_or_else(new, Into::into)
}

/// The trace id of a `traceparent`: `00-<trace id>-<span id>-<flags>`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.trim().split('-');
    let (_version, id) = (parts.next()?, parts.next()?);
    let is_hex = id
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_null = id.bytes().all(|byte| byte == b'0');
    (id.len() == 32 && is_hex && !is_null && parts.next().is_some()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_the_sender_is_kept_where_it_has_one() {
        let check = |value: &str, kept: bool| {
            let id = "4bf92f3577b34da6a3ce929d0e0e4736";
            let headers = [("traceparent".to_owned(), value.to_owned())];
            assert_eq!(&*of(&headers) == id, kept, "{value}");
        };
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            true,
        );
        check("00-4bf92f3577b34da6a3ce929d0e0e4736", false);
        check(
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            false,
        );
        check("", false);
        let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        assert_ne!(&*of(&[("traceparent".into(), zero)]), "0".repeat(32));
        assert_ne!(of(&[]), of(&[]));
    }
}
