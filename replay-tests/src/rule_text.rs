//! Rules on one line: `to-staging: dev/* -> staging/{1}; approvals: 1 when scan.critical == 0`.
//!
//! A deny rule begins with `deny`: `deny no-critical: ** -> prod/* when scan.critical > 0`. What
//! stands between `;` is a header line. The result is the rule files that the engine reads.

use weir_schema::RuleFile;

/// The rule files of a text with one rule a line.
///
/// # Panics
/// If a line is no rule of this notation.
#[must_use]
pub fn rule_files(text: &str) -> Vec<RuleFile> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(rule_file)
        .collect()
}

fn rule_file(line: &str) -> RuleFile {
    let parsed = || {
        let (head, expression) = line.split_once(" when ")?;
        let (name, rest) = head.split_once(": ")?;
        let mut parts = rest.split(';');
        let (from, to) = parts.next()?.split_once(" -> ")?;
        let (deny, name) = match name.strip_prefix("deny ") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let mut text = format!(
            "//! rule: {name}\n//! from: {}\n//! to: {}\n",
            from.trim(),
            to.trim()
        );
        if deny {
            text.push_str("//! kind: deny\n");
        }
        for header in parts {
            text.push_str(&format!("//! {}\n", header.trim()));
        }
        text.push_str(expression);
        text.push('\n');
        let path = format!("{name}.cel");
        Some(RuleFile { path, text })
    };
    parsed().unwrap_or_else(|| {
        panic!("`{line}` is no rule: NAME: FROM -> TO [; KEY: VALUE].. when EXPRESSION")
    })
}
