//! Hashes and UUIDs as bytes beside a text, rather than as digits in it.
//!
//! Digits do not repeat. For the 64 of a hash a compressor needs 35 to 40 bytes and more time than
//! for all that stands around them; its 32 bytes need only to be copied.
//!
//! What is taken out leaves a mark, a control character, which JSON does not have as it is, and after
//! it a byte:
//!
//! | byte | stands for |
//! |---|---|
//! | 0 | the mark itself |
//! | 1 | the next UUID: 36 characters, 16 bytes |
//! | 2 | the next hash: 64 digits, 32 bytes |
//! | 3 to 255 | hash 0 to 252 once more |

use std::mem;

use weir_schema::hex;

use crate::log::bytes::{take, take_array};

const MARK: u8 = 1;
const MARK_ITSELF: u8 = 0;
const NEXT_UUID: u8 = 1;
const NEXT_HASH: u8 = 2;
const FIRST_HASH: u8 = 3;

const HASH_BYTES: usize = 32;
const HASH_DIGITS: usize = 2 * HASH_BYTES;
const UUID_BYTES: usize = 16;

/// The lengths of the groups of digits in a UUID, with hyphens between them (RFC 9562, section 4).
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_LENGTH: usize = 2 * UUID_BYTES + UUID_GROUPS.len() - 1;

/// A text without its hashes and UUIDs.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// The text, with marks.
    pub(super) text: Vec<u8>,
    /// The hashes, each once or, after the first 253, as often as it is there.
    pub(super) hashes: Vec<[u8; HASH_BYTES]>,
    pub(super) uuids: Vec<[u8; UUID_BYTES]>,
}

impl Apart {
    /// Takes a text apart; what was here is let go.
    pub(super) fn take(&mut self, text: &[u8]) {
        self.text.clear();
        self.hashes.clear();
        self.uuids.clear();
        let (mut copied, mut at) = (0, 0);
        while let Some(begin) = next_run(text, at) {
            let rest = &text[begin..];
            let Some(length) = self.identifier(rest, &text[copied..begin]) else {
                at = begin + without(rest);
                continue;
            };
            at = begin + length;
            copied = at;
        }
        self.keep(&text[copied..]);
    }

    /// Takes out what a text begins with, after it has kept what stands `before`. Its length; `None`
    /// if it is no hash and no UUID.
    fn identifier(&mut self, text: &[u8], before: &[u8]) -> Option<usize> {
        let mut hash = [0; HASH_BYTES];
        let digits = text.get(..HASH_DIGITS);
        if let Some(digits) = digits
            && hex::read(digits, &mut hash).is_some()
        {
            self.keep(before);
            let numbers = (FIRST_HASH..=u8::MAX).zip(&self.hashes);
            let known = numbers.into_iter().find(|(_, known)| **known == hash);
            let number = known.map(|(number, _)| number);
            if number.is_none() {
                self.hashes.push(hash);
            }
            self.text
                .extend_from_slice(&[MARK, number.unwrap_or(NEXT_HASH)]);
            return Some(HASH_DIGITS);
        }
        let uuid = uuid_of(text.get(..UUID_LENGTH)?)?;
        self.keep(before);
        self.uuids.push(uuid);
        self.text.extend_from_slice(&[MARK, NEXT_UUID]);
        Some(UUID_LENGTH)
    }

    /// A text in which nothing is to be taken out.
    fn keep(&mut self, mut text: &[u8]) {
        while let Some(place) = memchr::memchr(MARK, text) {
            self.text.extend_from_slice(&text[..place]);
            self.text.extend_from_slice(&[MARK, MARK_ITSELF]);
            text = &text[place + 1..];
        }
        self.text.extend_from_slice(text);
    }
}

/// Where, from `at` on, a hash or a UUID may begin: as many digits and hyphens are there as the
/// shorter of them has.
fn next_run(text: &[u8], mut at: usize) -> Option<usize> {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    loop {
        let window = text.get(at..)?.first_chunk::<UUID_LENGTH>()?;
        // All are looked at side by side, which is quicker than one after the other.
        let is_run = || window.iter().fold(true, |all, byte| all & is_part(byte));
        if is_part(&window[UUID_LENGTH - 1]) && is_run() {
            return Some(at);
        }
        // From its end: another character there passes over all before it.
        let other = window.iter().rposition(|byte| !is_part(byte));
        at += other.map_or(UUID_LENGTH, |place| place + 1);
    }
}

/// How far into digits and hyphens, which begin with neither, a hash or a UUID may begin at the
/// earliest.
fn without(run: &[u8]) -> usize {
    let digits = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let length = run
        .iter()
        .position(|byte| !digits(byte))
        .unwrap_or(run.len());
    match length.checked_sub(UUID_GROUPS[0]) {
        // A UUID, if the next is a hyphen.
        Some(more @ 1..) => more,
        _ => length + 1,
    }
}

/// The UUID that the characters are.
fn uuid_of(text: &[u8]) -> Option<[u8; UUID_BYTES]> {
    let mut digits = [0; 2 * UUID_BYTES];
    let (mut from, mut to) = (text, &mut digits[..]);
    for (group, length) in UUID_GROUPS.into_iter().enumerate() {
        if group > 0 {
            from = from.strip_prefix(b"-")?;
        }
        copy(take(&mut from, length)?, &mut to)?;
    }
    let mut uuid = [0; UUID_BYTES];
    hex::read(&digits, &mut uuid)?;
    Some(uuid)
}

/// Puts a text together again, in all of `into`. `None` if these do not make such a text.
pub(super) fn put_together(
    mut text: &[u8],
    hashes: &[[u8; HASH_BYTES]],
    uuids: &[[u8; UUID_BYTES]],
    mut into: &mut [u8],
) -> Option<()> {
    let (mut next_hash, mut next_uuid) = (hashes.iter(), uuids.iter());
    while let Some(place) = memchr::memchr(MARK, text) {
        copy(take(&mut text, place)?, &mut into)?;
        let [_mark, what] = *take_array(&mut text)?;
        match what {
            MARK_ITSELF => copy(&[MARK], &mut into)?,
            NEXT_UUID => {
                let mut digits = [0; 2 * UUID_BYTES];
                hex::write(next_uuid.next()?, &mut digits);
                let mut digits = &digits[..];
                for (group, length) in UUID_GROUPS.into_iter().enumerate() {
                    if group > 0 {
                        copy(b"-", &mut into)?;
                    }
                    copy(take(&mut digits, length)?, &mut into)?;
                }
            }
            number => {
                let hash = match number.checked_sub(FIRST_HASH) {
                    None => next_hash.next()?,
                    Some(number) => hashes.get(usize::from(number))?,
                };
                let (digits, rest) = mem::take(&mut into).split_at_mut_checked(HASH_DIGITS)?;
                hex::write(hash, digits);
                into = rest;
            }
        }
    }
    copy(text, &mut into)?;
    into.is_empty().then_some(())
}

/// Copies bytes to the first of `into`, which are left out from then on.
fn copy(bytes: &[u8], into: &mut &mut [u8]) -> Option<()> {
    let (here, rest) = mem::take(into).split_at_mut_checked(bytes.len())?;
    here.copy_from_slice(bytes);
    *into = rest;
    Some(())
}

/// The text of records as rows have it: what a dictionary is trained on.
#[must_use]
pub fn text_of(records: &[u8]) -> Vec<u8> {
    let mut apart = Apart::default();
    apart.take(records);
    apart.text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn together(apart: &Apart, length: usize) -> Option<Vec<u8>> {
        let mut text = vec![0; length];
        put_together(&apart.text, &apart.hashes, &apart.uuids, &mut text)?;
        Some(text)
    }

    /// What is left of a text, and the numbers of hashes and UUIDs taken out.
    fn taken(text: &[u8]) -> (String, usize, usize) {
        let mut apart = Apart::default();
        apart.take(
            b"something else, 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        );
        apart.take(text);
        assert_eq!(together(&apart, text.len()).as_deref(), Some(text));
        let left = String::from_utf8_lossy(&apart.text).into_owned();
        (left, apart.hashes.len(), apart.uuids.len())
    }

    const UUID: &str = "34018d57-dd84-403c-a3cf-96ae5c0ce15f";

    #[test]
    fn hashes_and_uuids_are_taken_out_and_nothing_else_is() {
        let (a, b) = ("0a".repeat(32), "f9".repeat(32));
        for (text, left, hashes, uuids) in [
            (String::new(), "", 0, 0),
            ("{\"a\":1}".into(), "{\"a\":1}", 0, 0),
            (format!("<{a}>"), "<\u{1}\u{2}>", 1, 0),
            (
                format!("{a} {b} {a}"),
                "\u{1}\u{2} \u{1}\u{2} \u{1}\u{3}",
                2,
                0,
            ),
            // SHA-512.
            (format!("{b}{a}"), "\u{1}\u{2}\u{1}\u{2}", 2, 0),
            (
                format!("id:{UUID},{UUID}"),
                "id:\u{1}\u{1},\u{1}\u{1}",
                0,
                2,
            ),
            // Digits and hyphens before and after.
            (
                format!("ab-{UUID}-{a}12"),
                "ab-\u{1}\u{1}-\u{1}\u{2}12",
                1,
                1,
            ),
            (format!("1{UUID}"), "1\u{1}\u{1}", 0, 1),
            (a[1..].to_owned(), &a[1..], 0, 0),
            (a.to_uppercase(), &a.to_uppercase(), 0, 0),
            (UUID[1..].to_owned(), &UUID[1..], 0, 0),
            (UUID.to_uppercase(), &UUID.to_uppercase(), 0, 0),
            ("-".repeat(99), &"-".repeat(99), 0, 0),
            ("ab-".repeat(40), &"ab-".repeat(40), 0, 0),
            ("a\u{1}\u{2}b".into(), "a\u{1}\u{0}\u{2}b", 0, 0),
            (
                format!("\u{1}{a}\u{1}"),
                "\u{1}\u{0}\u{1}\u{2}\u{1}\u{0}",
                1,
                0,
            ),
        ] {
            assert_eq!(
                taken(text.as_bytes()),
                (left.to_owned(), hashes, uuids),
                "{text}"
            );
        }
        assert_eq!(taken(&[0xff, 0xfe]).1, 0);
    }

    /// The same, one byte after the other.
    fn taken_slowly(text: &[u8]) -> (usize, usize) {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let (mut at, mut hashes, mut uuids) = (0, BTreeSet::new(), 0);
        while at < text.len() {
            let rest = &text[at..];
            let hash = rest.get(..64).filter(|hash| hash.iter().all(is_digit));
            let uuid = rest.get(..36).filter(|uuid| {
                let mut places = uuid.iter().enumerate();
                places.all(|(place, byte)| match place {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => is_digit(byte),
                })
            });
            at += match (hash, uuid) {
                (Some(hash), _) => {
                    hashes.insert(hash.to_vec());
                    64
                }
                (None, Some(_)) => {
                    uuids += 1;
                    36
                }
                (None, None) => 1,
            };
        }
        (hashes.len(), uuids)
    }

    #[test]
    fn what_is_taken_out_of_any_text_is_what_a_slow_search_finds() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..3000 {
            let mut text = Vec::new();
            for _ in 0..random(12) {
                let digits = (0..[8, 36, 63, 64, 65, 130][random(6) as usize])
                    .map(|_| b"0123456789abcdef"[random(16) as usize]);
                let digits: Vec<u8> = digits.collect();
                match random(6) {
                    0 => text.extend(UUID.as_bytes()),
                    1 => text.extend(&UUID.as_bytes()[..random(36) as usize]),
                    2 => text
                        .extend([b"-", b"g", &[1][..], &[2], &[0xff], b"--"][random(6) as usize]),
                    _ => text.extend(digits),
                }
            }
            let (_, hashes, uuids) = taken(&text);
            assert_eq!(
                (hashes, uuids),
                taken_slowly(&text),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn more_hashes_than_a_byte_numbers_are_all_kept() {
        let hashes: Vec<String> = (0..300).map(|n| format!("{n:064x}")).collect();
        let text = [hashes.join(" "), hashes.join(" ")].concat();
        let (_, kept, _) = taken(text.as_bytes());
        assert_eq!(kept, 300 + 300 - 253);
    }

    #[test]
    fn what_makes_no_text_of_that_length_is_none() {
        let mut apart = Apart::default();
        let text = format!("{} {UUID} \u{1}", "0a".repeat(32));
        apart.take(text.as_bytes());
        let length = text.len();
        assert!(together(&apart, length).is_some());
        for wrong in [0, 1, length - 1, length + 1] {
            assert_eq!(together(&apart, wrong), None, "{wrong}");
        }
        for (place, byte) in
            (0..apart.text.len()).flat_map(|place| [(place, 1), (place, 2), (place, 9)])
        {
            let changed = Apart {
                text: apart.text.clone(),
                hashes: apart.hashes.clone(),
                uuids: apart.uuids.clone(),
            };
            let mut changed = changed;
            changed.text[place] = byte;
            // Whatever it is, nothing panics.
            let _ = together(&changed, length);
        }
        apart.text.push(MARK);
        assert_eq!(together(&apart, length), None);
    }
}
