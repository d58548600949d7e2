//! What RE2 reads otherwise than the crate `regex`, and what it refuses.

use regex_syntax::ast::{
    self, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem, ClassUnicode,
    ClassUnicodeKind, Flag, FlagsItemKind, GroupKind, HexLiteralKind, Literal, LiteralKind,
    Repetition, RepetitionKind, RepetitionRange, Span, Visitor,
};

/// The most repetitions that counts may ask for, one within another multiplied.
const MAX_REPETITIONS: u32 = 1000;

/// The general categories that RE2 knows.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N",
    "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So",
    "Z", "Zl", "Zp", "Zs", "Any",
];

/// The scripts that RE2 knows, with spaces between them: those of Unicode 15.
const SCRIPTS: &str = "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum \
    Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal \
    Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot \
    Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan \
    Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han \
    Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited \
    Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li \
    Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B \
    Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi \
    Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian \
    Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu \
    Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic \
    Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong \
    Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra \
    Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri \
    Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai \
    Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square";

const BRACKET_IN_BRACKETS: &str = r"a bracket within brackets is written `\[`";

/// The longest name in braces or brackets that is looked for, in bytes: all that are known are
/// shorter.
const LONGEST_NAME: usize = 64;

/// The pattern with `\{` for each brace that opens no repetition, and without `\Q` and `\E`, between
/// which all characters stand for themselves. Braces that look like a repetition and are none for
/// RE2 are refused: their author means one.
pub(super) fn plain(pattern: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '\\' if rest.starts_with(r"\Q") && !in_class => {
                let (quoted, after) = rest[2..].split_once(r"\E").unwrap_or((&rest[2..], ""));
                plain.push_str(&regex_syntax::escape(quoted));
                rest = after;
                continue;
            }
            '\\' => taken = escape_length(rest),
            '[' if !in_class => {
                in_class = true;
                // A bracket that comes first is one of the characters.
                let after = rest[1..].strip_prefix('^').unwrap_or(&rest[1..]);
                let first_in_class = usize::from(after.starts_with(']'));
                taken = rest.len() - after.len() + first_in_class;
            }
            '[' => taken = posix_class_length(rest).ok_or(BRACKET_IN_BRACKETS)?,
            ']' => in_class = false,
            '{' if !in_class && !opens_repetition(rest)? => plain.push('\\'),
            _ => {}
        }
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Ok(plain)
}

/// A part of a pattern as a message shows it.
fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_NAME)]
}

/// The length of the escape at the start of `text`, with the braces that belong to it.
fn escape_length(text: &str) -> usize {
    let Some(letter) = text[1..].chars().next() else {
        return text.len();
    };
    let length = 1 + letter.len_utf8();
    let is_named = "pPxuU".contains(letter) && text[length..].starts_with('{');
    let closing = text[length..]
        .bytes()
        .take(LONGEST_NAME)
        .position(|byte| byte == b'}');
    match closing {
        Some(closing) if is_named => length + closing + 1,
        _ => length,
    }
}

/// The length of a class such as `[:alpha:]` at the start of `text`.
fn posix_class_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("[:")?;
    let closing = rest.as_bytes().get(..LONGEST_NAME.min(rest.len()))?;
    let length = closing.windows(2).position(|pair| pair == b":]")?;
    Some("[:".len() + length + ":]".len())
}

/// Whether the brace at the start of `text` opens a counted repetition.
fn opens_repetition(text: &str) -> Result<bool, String> {
    let like_one = |c: char| c.is_ascii_digit() || c == ',' || c.is_whitespace();
    let rest = &text[1..];
    let length = rest.find(|c| !like_one(c)).unwrap_or(rest.len());
    let (count, after) = rest.split_at(length);
    if !after.starts_with('}') {
        return Ok(false);
    }
    let is_number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits && !text.is_empty() && (text == "0" || !text.starts_with('0'))
    };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    if is_number(least) && (most.is_empty() || is_number(most)) {
        return Ok(true);
    }
    if !count.contains(|c: char| c.is_ascii_digit()) {
        return Ok(false);
    }
    let written = clipped(&text[..length + 2]);
    Err(format!(
        r"`{written}` is no repetition: write `{{2}}`, `{{2,}}` or `{{2,5}}` without spaces, or `\{{` for the brace itself"
    ))
}

/// Looks for what RE2 refuses and finds where its meaning differs: places, and what stands there in
/// the terms of the crate.
pub(super) struct Differences<'a> {
    pattern: &'a str,
    replacements: Vec<(Span, &'static str)>,
    /// For each repetition around, how many are left within it.
    repetitions: Vec<u32>,
}

impl<'a> Differences<'a> {
    pub(super) fn in_pattern(pattern: &'a str) -> Differences<'a> {
        Differences {
            pattern,
            replacements: Vec::new(),
            repetitions: vec![MAX_REPETITIONS],
        }
    }

    fn text(&self, span: &Span) -> &'a str {
        clipped(&self.pattern[span.start.offset..span.end.offset])
    }

    fn repetition(&mut self, repetition: &Repetition) -> Result<(), String> {
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err("a repetition of a repetition is put in `( )`".to_owned());
        }
        let times = most_times(&repetition.op.kind);
        let left = self.repetitions.last().copied().unwrap_or_default();
        let left = left / times.max(1);
        if left == 0 {
            return Err(format!(
                "`{}` makes more than {MAX_REPETITIONS} repetitions, those around it multiplied",
                self.text(&repetition.op.span)
            ));
        }
        self.repetitions.push(left);
        Ok(())
    }

    fn flags(&self, flags: &ast::Flags) -> Result<(), String> {
        let foreign = flags.items.iter().find(|item| {
            matches!(
                item.kind,
                FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace)
            )
        });
        match foreign {
            Some(item) => Err(format!(
                "the flag `{}` is not part of RE2, whose flags are `i`, `m`, `s` and `U`",
                self.text(&item.span)
            )),
            None => Ok(()),
        }
    }

    fn literal(&self, literal: &Literal) -> Result<(), String> {
        let written = self.text(&literal.span);
        match literal.kind {
            LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
            | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
                let code = u32::from(literal.c);
                Err(format!(
                    r"`{written}` is not part of RE2: write `\x{{{code:X}}}` or the character itself"
                ))
            }
            LiteralKind::Octal if written.len() == 2 && written != r"\0" => Err(format!(
                "`{written}` refers back to a group, which RE2 does not do"
            )),
            _ => Ok(()),
        }
    }

    fn unicode_class(&mut self, class: &ClassUnicode) -> Result<(), String> {
        let name = match &class.kind {
            ClassUnicodeKind::OneLetter(letter) => letter.to_string(),
            ClassUnicodeKind::Named(name) => name.clone(),
            ClassUnicodeKind::NamedValue { .. } => String::new(),
        };
        let is_known =
            CATEGORIES.contains(&name.as_str()) || SCRIPTS.split(' ').any(|script| script == name);
        if !is_known {
            return Err(format!(
                r"`{}` is no class of RE2: name a general category by its letters, as in `\p{{Lu}}`, or a script as Unicode spells it, as in `\p{{Greek}}`",
                self.text(&class.span)
            ));
        }
        // The crate counts unassigned characters among these.
        if name == "C" {
            let others = match class.negated {
                false => r"[\p{Cc}\p{Cf}\p{Co}]",
                true => r"[^\p{Cc}\p{Cf}\p{Co}]",
            };
            self.replacements.push((class.span, others));
        }
        Ok(())
    }
}

/// How often what is counted may occur; once where it is not counted.
fn most_times(kind: &RepetitionKind) -> u32 {
    match kind {
        RepetitionKind::Range(
            RepetitionRange::Exactly(times)
            | RepetitionRange::AtLeast(times)
            | RepetitionRange::Bounded(_, times),
        ) => *times,
        _ => 1,
    }
}

impl Visitor for Differences<'_> {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(mut self) -> Result<Self::Output, String> {
        self.replacements.sort_by_key(|(span, _)| span.start.offset);
        Ok(self.replacements)
    }

    fn visit_pre(&mut self, node: &Ast) -> Result<(), String> {
        match node {
            Ast::ClassPerl(class) => self.replacements.push((class.span, ascii(class))),
            Ast::ClassUnicode(class) => self.unicode_class(class)?,
            Ast::Literal(literal) => self.literal(literal)?,
            Ast::Flags(flags) => self.flags(&flags.flags)?,
            Ast::Repetition(repetition) => self.repetition(repetition)?,
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => self.flags(flags)?,
                GroupKind::CaptureName { name, .. } => {
                    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                    if !name.name.bytes().all(is_part) {
                        let name = clipped(&name.name);
                        return Err(format!(
                            "the group name `{name}` has more than letters, digits and `_`"
                        ));
                    }
                }
                GroupKind::CaptureIndex(_) => {}
            },
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::WordBoundary => {
                    self.replacements.push((assertion.span, r"(?-u:\b)"));
                }
                ast::AssertionKind::NotWordBoundary => {
                    self.replacements.push((assertion.span, r"(?-u:\B)"));
                }
                ast::AssertionKind::StartLine
                | ast::AssertionKind::EndLine
                | ast::AssertionKind::StartText
                | ast::AssertionKind::EndText => {}
                ast::AssertionKind::WordBoundaryStartAngle
                | ast::AssertionKind::WordBoundaryEndAngle => {
                    let written = self.text(&assertion.span);
                    let character = written.trim_start_matches('\\');
                    return Err(format!(
                        r"`{written}` is the character to some and a boundary to others: write `{character}` or `\b`"
                    ));
                }
                _ => return Err("this kind of word boundary is not part of RE2".to_owned()),
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_post(&mut self, node: &Ast) -> Result<(), String> {
        if matches!(node, Ast::Repetition(_)) {
            self.repetitions.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.replacements.push((class.span, ascii(class))),
            ClassSetItem::Unicode(class) => self.unicode_class(class)?,
            ClassSetItem::Literal(literal) => self.literal(literal)?,
            ClassSetItem::Range(range) => {
                self.literal(&range.start)?;
                self.literal(&range.end)?;
            }
            ClassSetItem::Bracketed(_) => {
                return Err(BRACKET_IN_BRACKETS.to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), String> {
        Err("operators within brackets are not part of RE2".to_owned())
    }
}

fn ascii(class: &ClassPerl) -> &'static str {
    match (&class.kind, class.negated) {
        (ClassPerlKind::Digit, false) => "[0-9]",
        (ClassPerlKind::Digit, true) => "[^0-9]",
        (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
        (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        (ClassPerlKind::Space, false) => r"[\t\n\x0C\r ]",
        (ClassPerlKind::Space, true) => r"[^\t\n\x0C\r ]",
    }
}
