//! A report as Markdown, for a comment on a change of rules.

use std::fmt::Write as _;

use super::{
    report::{Clause, Difference, Kind, Outcome, Report, Totals},
    words,
};

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    let differing = report.count(Kind::changes_a_verdict);
    let title = match differing {
        0 => "Backtest: no subject decided differently".to_owned(),
        1 => "Backtest: 1 subject decided differently".to_owned(),
        many => format!("Backtest: {many} subjects decided differently"),
    };
    let _ = writeln!(page, "### {title}\n\n{}\n", words::history(report));
    let rules: Vec<String> = report
        .rules
        .iter()
        .map(|rule| format!("{} {}", code(&rule.rule), words::change(rule.change)))
        .collect();
    if rules.is_empty() {
        page.push_str("No rule is different.\n\n");
    } else {
        let _ = writeln!(page, "Rules: {}.\n", rules.join(", "));
    }
    if let Some(some @ [_, ..]) = report.narrowed_to() {
        let some: Vec<String> = some.iter().map(|one| code(one)).collect();
        let _ = writeln!(page, "Compared where that matters: {}.\n", some.join(", "));
    }
    totals(&mut page, &report.old, &report.new);
    if report.totals.is_empty() {
        return page;
    }
    page.push_str("\n| difference | subjects | |\n|---|--:|---|\n");
    for (kind, count) in &report.totals {
        let _ = writeln!(page, "| {kind} | {count} | {} |", kind.about());
    }
    if report.differences.is_empty() {
        return page;
    }
    page.push_str("\n| at | difference | tag | rule | old | new |\n|---|---|---|---|---|---|\n");
    for one in &report.differences {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            one.moment.at,
            one.kind,
            tag(one),
            code(&one.rule),
            side(&one.old),
            side(&one.new)
        );
    }
    if report.unlisted > 0 {
        let _ = writeln!(page, "\nand {} more.", report.unlisted);
    }
    page
}

fn totals(page: &mut String, old: &Totals, new: &Totals) {
    page.push_str("| | old | new |\n|---|--:|--:|\n");
    for (what, old, new) in [
        ("decisions", old.decisions, new.decisions),
        ("promotions", old.promotions, new.promotions),
        ("violations", old.violations, new.violations),
    ] {
        let _ = writeln!(page, "| {what} | {old} | {new} |");
    }
}

fn tag(one: &Difference) -> String {
    let source = &one.source;
    let mut text = code(&format!("{}:{}", source.repository, source.tag));
    let targets: Vec<String> = words::targets(one).iter().map(|one| code(one)).collect();
    if !targets.is_empty() {
        let _ = write!(text, " → {}", targets.join(", now "));
    }
    text
}

fn side(outcome: &Outcome) -> String {
    let (text, then) = words::came_to(outcome);
    let mut parts = vec![cell(&text)];
    parts.extend(outcome.clauses.iter().filter_map(clause));
    parts.extend(then.as_deref().map(cell));
    parts.join("<br>")
}

fn clause(one: &Clause) -> Option<String> {
    let values: Vec<String> = one
        .parts
        .iter()
        .map(|part| format!("{} = {}", code(&part.text), code(&part.value.to_string())))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// A text that stays within its cell.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' => cell.push_str("\\|"),
            '\n' | '\r' => cell.push(' '),
            '<' => cell.push_str("&lt;"),
            '*' | '_' | '`' | '[' | ']' | '\\' | '~' => {
                cell.push('\\');
                cell.push(character);
            }
            other => cell.push(other),
        }
    }
    cell
}

/// A text as code: fenced by more backticks than it holds.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    let longest = text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_within_their_cells() {
        assert_eq!(code("a || b"), "`a \\|\\| b`");
        assert_eq!(code("a `b` c"), "`` a `b` c ``");
        assert_eq!(cell("a | b\nc_d"), "a \\| b c\\_d");
    }
}
