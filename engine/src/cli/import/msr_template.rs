//! DTR/MSR tag templates as Weir's.

/// Symbols of DTR with their strftime equal. `%f` is microseconds there, nanoseconds here.
const SYMBOLS: [(char, &str); 18] = [
    ('A', "%A"),
    ('a', "%a"),
    ('w', "%w"),
    ('d', "%d"),
    ('B', "%B"),
    ('b', "%b"),
    ('m', "%m"),
    ('Y', "%Y"),
    ('y', "%y"),
    ('H', "%H"),
    ('I', "%I"),
    ('p', "%p"),
    ('M', "%M"),
    ('S', "%S"),
    ('f', "%6f"),
    ('Z', "%Z"),
    ('j', "%j"),
    ('W', "%W"),
];

/// The template in Weir's syntax, or what in it has no equal.
pub(super) fn convert(template: &str) -> Result<String, String> {
    let mut out = String::new();
    // A run of time symbols with plain text between them becomes one placeholder.
    let mut time = String::new();
    let mut text_after_time = String::new();
    let mut characters = template.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            if time.is_empty() {
                push_text(&mut out, character);
            } else {
                text_after_time.push(character);
            }
            continue;
        }
        match characters.next() {
            Some('n') => {
                end_time(&mut out, &mut time, &mut text_after_time);
                out.push_str("{tag}");
            }
            Some(letter) => {
                let Some((_, symbol)) = SYMBOLS.iter().find(|(known, _)| *known == letter) else {
                    return Err(format!("the template symbol `%{letter}`"));
                };
                if text_after_time.contains(['{', '}']) {
                    end_time(&mut out, &mut time, &mut text_after_time);
                }
                time.push_str(&text_after_time);
                text_after_time.clear();
                time.push_str(symbol);
            }
            None => return Err("the template's last `%`".to_owned()),
        }
    }
    end_time(&mut out, &mut time, &mut text_after_time);
    if out.is_empty() {
        Ok("{tag}".to_owned())
    } else {
        Ok(out)
    }
}

fn end_time(out: &mut String, time: &mut String, text_after_time: &mut String) {
    if !time.is_empty() {
        out.push_str("{time:");
        out.push_str(time);
        out.push('}');
        time.clear();
    }
    for character in text_after_time.drain(..) {
        push_text(out, character);
    }
}

fn push_text(out: &mut String, character: char) {
    out.push(character);
    if matches!(character, '{' | '}') {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::convert;

    #[test]
    fn symbols_become_placeholders() {
        for (theirs, ours) in [
            ("", "{tag}"),
            ("%n", "{tag}"),
            ("%n-%Y%m%d", "{tag}-{time:%Y%m%d}"),
            ("r-%Y-%m-%d.%n", "r-{time:%Y-%m-%d}.{tag}"),
            ("%Y-stable", "{time:%Y}-stable"),
            ("%n-%S.%f-%Z", "{tag}-{time:%S.%6f-%Z}"),
            ("latest", "latest"),
        ] {
            assert_eq!(convert(theirs).as_deref(), Ok(ours), "{theirs}");
        }
    }

    #[test]
    fn what_dtr_does_not_document_has_no_equal() {
        for template in ["%Q", "%%", "%n-%"] {
            assert!(convert(template).is_err(), "{template}");
        }
    }
}
