//! The layout of a rule file: one form for the header, a blank line, a clause a line.

use weir_schema::RuleFile;

use super::header::split_file;
use super::rule_set::RuleSet;
use crate::cel::{self, Limits};

/// The file in that layout. Formatting it again changes nothing.
///
/// `None` if it does not load, or could not be laid out without a change of what it says; that is
/// looked at before anything is given.
pub fn format(path: &str, text: &str, limits: &Limits) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = RuleFile {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let loaded = RuleSet::load(&[file], limits).ok()?;
    let clauses = loaded.rules.rules().first()?.program.clauses().len();
    let split = split_file(path, text, &mut Vec::new());
    let head = text.get(..split.expression_start)?;
    let expression = cel::format(text.get(split.expression_start..)?, clauses, limits)?;
    let formatted = format!("{}{expression}\n", lay_out_head(head));
    let says = |text: &str| -> Vec<(&'static str, String)> {
        let entries = split_file(path, text, &mut Vec::new()).entries;
        let entries = entries.into_iter();
        entries
            .map(|entry| (entry.key, entry.value.to_owned()))
            .collect()
    };
    (says(text) == says(&formatted)).then_some(formatted)
}

/// Header lines and comments; no blank line at the beginning, one at most between others, one after
/// the header.
fn lay_out_head(head: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines().map(str::trim) {
        let is_header = |line: &String| line.starts_with("//!");
        let follows_header = lines.last().is_some_and(is_header);
        let line = match line.strip_prefix("//!").map(|entry| entry.split_once(':')) {
            Some(Some((key, value))) => format!("//! {}: {}", key.trim(), value.trim()),
            _ => line.to_owned(),
        };
        let blank_before = lines.last().is_none_or(String::is_empty);
        if line.is_empty() && blank_before {
            continue;
        }
        if follows_header && !line.is_empty() && !is_header(&line) {
            lines.push(String::new());
        }
        lines.push(line);
    }
    if lines.last().is_some_and(|line| line.starts_with("//!")) {
        lines.push(String::new());
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::format;
    use crate::cel::Limits;

    fn formatted(text: &str) -> Option<String> {
        let once = format("r.cel", text, &Limits::RULES);
        if let Some(once) = &once {
            let again = format("r.cel", once, &Limits::RULES);
            assert_eq!(
                again.as_ref(),
                Some(once),
                "formatting again changes nothing"
            );
        }
        once
    }

    const HEAD: &str = "//! from: dev/*\n//! to: qa/{1}\n\n";

    #[test]
    fn header_and_clauses_get_one_form() {
        let written = "\u{feff}\r\n//!from :  dev/* \r\n//! to:qa/{1}\r\n// Why.\r\n\r\n\r\ntag.name != \"\"   && scan.critical == 0\r\n\t&& (scan.high < 3\r\n     || scan.low < 9)  \r\n\r\n\r\n";
        assert_eq!(
            formatted(written).as_deref(),
            Some(
                "//! from: dev/*\n//! to: qa/{1}\n\n// Why.\n\ntag.name != \"\"\n  && scan.critical == 0\n  && (scan.high < 3\n     || scan.low < 9)\n"
            )
        );
    }

    #[test]
    fn comments_stay_in_order_and_beside_what_they_are_about() {
        let written = format!(
            "{HEAD}// First.\nscan.critical == 0 // none\n// Second.\n&& // third\nscan.high == 0 && tag.name != \"a && b // c\" // end\n// After.\n"
        );
        let expected = format!(
            "{HEAD}// First.\nscan.critical == 0 // none\n  // Second.\n  // third\n  && scan.high == 0\n  && tag.name != \"a && b // c\" // end\n  // After.\n"
        );
        assert_eq!(formatted(&written), Some(expected));
    }

    #[test]
    fn what_has_its_own_shape_keeps_its_lines() {
        for expression in [
            "scan.critical == 0 && scan.high == 0 || tag.name == \"hotfix\"",
            "images.all(i, i.scan.critical == 0 && i.scan.high == 0)",
            "(scan.critical == 0 && scan.high == 0) && tag.name != \"\"",
            "tag.name != '''two  \nlines && more  \n'''",
        ] {
            let written = format!("{HEAD}{expression}\n");
            assert_eq!(formatted(&written), Some(written));
        }
    }

    #[test]
    fn what_does_not_load_is_not_touched() {
        for text in [
            "",
            "scan.critical == 0",
            "//! from: a\n//! to: b\n\nscan.critcal == 0",
        ] {
            assert_eq!(formatted(text), None, "{text}");
        }
    }
}
