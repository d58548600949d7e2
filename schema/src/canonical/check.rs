//! Whether a JSON text is canonical already, by one look at its bytes: most texts that come are, for
//! Weir wrote them.

/// As deep as serde_json reads.
const DEEPEST: usize = 127;

/// Whether `json` is surely what [`super::from_slice`] would make of it. A canonical text of a rare
/// form may be refused (fractions, numbers of many digits); no other text is accepted.
pub(super) fn is_canonical(json: &str) -> bool {
    let mut scanner = Scanner {
        bytes: json.as_bytes(),
        at: 0,
    };
    scanner.value(0).is_some() && scanner.at == json.len()
}

/// How many bytes at the start of a text are surely of characters that stand for themselves in a JSON
/// string. Looks at eight at a time, and not at what is left over.
fn plain_words(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const TOP: u64 = EACH << 7;
    let mut plain = 0;
    for word in bytes.as_chunks().0 {
        let word = u64::from_le_bytes(*word);
        // Where a byte is less than another, subtracting borrows its top bit; a byte that has it already
        // is part of a longer character.
        let below = |word: u64, least: u8| word.wrapping_sub(EACH * u64::from(least)) & !word & TOP;
        let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
        let found = below(word, 0x20) | is(b'"') | is(b'\\');
        if found != 0 {
            // What borrowed stands above the first that is found.
            return plain + found.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    plain
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(drop),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        self.at += 1;
        if self.take(b'}') {
            return Some(());
        }
        let mut before: Option<&[u8]> = None;
        loop {
            let (key, plain) = self.string()?;
            // Escapes would have to be undone to compare; keys have none.
            if !plain || before.is_some_and(|before| before >= key) {
                return None;
            }
            before = Some(key);
            self.expect(b':')?;
            self.value(depth + 1)?;
            if self.take(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        self.at += 1;
        if self.take(b']') {
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            if self.take(b']') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    /// A string: what stands between its quotes, and whether it has no escapes.
    fn string(&mut self) -> Option<(&'a [u8], bool)> {
        self.expect(b'"')?;
        let start = self.at;
        let mut plain = true;
        loop {
            self.at += plain_words(&self.bytes[self.at..]);
            match self.peek()? {
                b'"' => {
                    let text = &self.bytes[start..self.at];
                    self.at += 1;
                    return Some((text, plain));
                }
                b'\\' => {
                    plain = false;
                    self.at += 1;
                    self.escape()?;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    /// What follows a backslash: the one way in which its character is written.
    fn escape(&mut self) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                let (high, low) = (digits[2], digits[3]);
                let control = digits.starts_with(b"00")
                    && matches!(high, b'0' | b'1')
                    && matches!(low, b'0'..=b'9' | b'a'..=b'f');
                // Those with a shorter form: \b \t \n \f \r.
                let short = high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
                (control && !short).then_some(())
            }
            _ => None,
        }
    }

    /// A whole number that has only one form.
    fn number(&mut self) -> Option<()> {
        let negative = self.take(b'-');
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = &self.bytes[start..self.at];
        let simple = match digits {
            [] => false,
            [b'0', ..] => digits.len() == 1 && !negative,
            // More may not fit into 64 bits, and would become a fraction.
            _ => digits.len() <= 18,
        };
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (simple && !goes_on).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        found.then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_value(json: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(json).ok()?;
        serde_json::to_string(&value).ok()
    }

    #[test]
    fn plain_bytes_are_counted_as_one_by_one() {
        let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        for byte in 0..=255 {
            for (place, fill) in
                (0..24).flat_map(|place| [(place, b'a'), (place, 0xc3), (place, b'!')])
            {
                let mut bytes = [fill; 24];
                bytes[place] = byte;
                let expected = if special(byte) { place } else { 24 };
                assert_eq!(plain_words(&bytes), expected, "{byte:#x} at {place}");
                assert_eq!(plain_words(&bytes[..23]), expected.min(16));
            }
        }
        assert_eq!(plain_words(b"seven.."), 0);
    }

    #[test]
    fn only_canonical_texts_are_taken_for_such() {
        for (json, taken) in [
            (r#"{"a":1,"b":[true,false,null,"é\n\u0000"],"c":{}}"#, true),
            (r#"[]"#, true),
            (r#""\u001f\b""#, true),
            (r#"-7"#, true),
            (r#"{"b":1,"a":2}"#, false),
            (r#"{"a":1,"a":2}"#, false),
            (r#"{"a": 1}"#, false),
            (r#" 1"#, false),
            (r#"1 "#, false),
            (r#""\u00e9""#, false),
            (r#""\u000a""#, false),
            (r#""\u001F""#, false),
            (r#""\/""#, false),
            (r#"01"#, false),
            (r#"-0"#, false),
            (r#"1.0"#, false),
            (r#"1e3"#, false),
            (r#"123456789012345678901"#, false),
            (r#"{"a":1,}"#, false),
            (r#"{"a"}"#, false),
            (r#"{"a":1"#, false),
            (r#"tru"#, false),
            (r#""a"#, false),
            ("\"\u{1}\"", false),
            (r#"{}{}"#, false),
            (r#""#, false),
        ] {
            assert_eq!(is_canonical(json), taken, "{json}");
            if taken {
                assert_eq!(by_value(json).as_deref(), Some(json));
            }
        }
    }

    /// Whatever a canonical text is turned into: if it is taken, it is what its value is written as.
    #[test]
    fn no_change_of_a_text_is_taken_that_changes_its_value_and_not_its_form() {
        let base = r#"{"a":["x\n",10,-3,{"":null,"k":true}],"b":"\u0001\\","c":[[],{}],"é":0}"#;
        assert!(is_canonical(base));
        let parts = [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e", " ", "u", "n",
            "\u{7f}", "é", "\u{0}", "a",
        ];
        let places = base.char_indices().map(|(at, _)| at);
        for at in places {
            let rest = base[at..].chars().next().map_or(0, char::len_utf8);
            for part in parts.iter().chain(&[""]) {
                for changed in [
                    format!("{}{part}{}", &base[..at], &base[at..]),
                    format!("{}{part}{}", &base[..at], &base[at + rest..]),
                ] {
                    if is_canonical(&changed) {
                        assert_eq!(by_value(&changed).as_deref(), Some(&*changed));
                    }
                }
            }
        }
    }

    #[test]
    fn depth_has_an_end() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_canonical(&deep(100)));
        assert!(!is_canonical(&deep(100_000)));
        for depth in 120..135 {
            assert!(
                !is_canonical(&deep(depth)) || by_value(&deep(depth)).is_some(),
                "{depth}"
            );
        }
    }
}
