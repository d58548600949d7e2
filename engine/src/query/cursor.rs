//! Cursors: where a page ended, for the next one. Opaque to whoever holds them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::EventFilter;

/// The version of the form.
const VERSION: u8 = 1;

/// Where a page ended. It names a place in the log, so it stays good while the log grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// What [`crate::log::index::Find::position`] said.
    pub(super) position: u64,
    /// What was asked: a cursor goes on with nothing else.
    asked: u32,
}

impl Cursor {
    pub(super) fn new(filter: &EventFilter, position: u64) -> Cursor {
        Cursor {
            position,
            asked: asked(filter),
        }
    }

    /// As text.
    pub(super) fn encode(self) -> String {
        let bytes = [
            &[VERSION][..],
            &self.position.to_be_bytes(),
            &self.asked.to_be_bytes(),
        ];
        URL_SAFE_NO_PAD.encode(bytes.concat())
    }

    /// Reads the cursor of a filter, or says what is wrong with it.
    pub(super) fn of(filter: &EventFilter) -> Result<Option<Cursor>, &'static str> {
        let Some(text) = &filter.cursor else {
            return Ok(None);
        };
        let decode = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (position, asked) = bytes.strip_prefix(&[VERSION])?.split_first_chunk::<8>()?;
            Some(Cursor {
                position: u64::from_be_bytes(*position),
                asked: u32::from_be_bytes(asked.try_into().ok()?),
            })
        };
        let cursor = decode().ok_or("it is not what a page gave")?;
        if cursor.asked != asked(filter) {
            return Err("it goes on with another question: ask with the same filters and order");
        }
        Ok(Some(cursor))
    }
}

/// A checksum of what is asked, whatever the length of a page.
fn asked(filter: &EventFilter) -> u32 {
    let filter = EventFilter {
        cursor: None,
        limit: 0,
        ..filter.clone()
    };
    let mut text = String::new();
    for (name, value) in filter.parameters() {
        text.push_str(name);
        text.push('=');
        text.push_str(&value);
        text.push('\n');
    }
    crc32fast::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_with_the_same_question_only() {
        let mut filter = EventFilter {
            tags: vec!["1.0".into()],
            limit: 5,
            ..EventFilter::default()
        };
        let cursor = Cursor::new(&filter, 4711);
        filter.cursor = Some(cursor.encode());
        filter.limit = 9;
        assert_eq!(Cursor::of(&filter), Ok(Some(cursor)));
        filter.newest_first = true;
        assert!(Cursor::of(&filter).is_err());
        for text in ["", "x", "AAAA", "!"] {
            filter.cursor = Some(text.into());
            assert!(Cursor::of(&filter).is_err(), "{text}");
        }
        filter.cursor = None;
        assert_eq!(Cursor::of(&filter), Ok(None));
    }
}
