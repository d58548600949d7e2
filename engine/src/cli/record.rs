//! A record in one line: for people, and for spreadsheets.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use weir_schema::Platform;

use super::{on_one_line, why::text};

/// The columns of a record as comma-separated values.
pub(super) const COLUMNS: [&str; 17] = [
    "seq",
    "recorded_at",
    "type",
    "repository",
    "tag",
    "digest",
    "target_repository",
    "target_tag",
    "actor",
    "rule",
    "verdict",
    "reasons",
    "vulnerability",
    "override_id",
    "hold_id",
    "scanner",
    "reason",
];

/// Writes a row as RFC 4180 has it: what needs it in quotes, and a line ends with CR LF.
pub(super) fn write_row<'a>(
    out: &mut impl Write,
    cells: impl IntoIterator<Item = &'a str>,
) -> io::Result<()> {
    for (place, cell) in cells.into_iter().enumerate() {
        let cell = &*as_text(cell);
        if place > 0 {
            out.write_all(b",")?;
        }
        if cell.contains(['"', ',', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

/// A cell that a spreadsheet takes for a text, not for a formula, and a terminal as it is (OWASP, CSV
/// injection): whoever pushes an image has no say over the machine of those who look.
fn as_text(cell: &str) -> Cow<'_, str> {
    let is_number = || cell.parse::<f64>().is_ok();
    let is_formula = cell.starts_with(['=', '+', '-', '@']) && !is_number();
    // Lines are for the quotes.
    let moves_cursor = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let plain: Cow<'_, str> = match cell.contains(moves_cursor) {
        true => cell.replace(moves_cursor, "\u{fffd}").into(),
        false => cell.into(),
    };
    match is_formula {
        true => format!("'{plain}").into(),
        false => plain,
    }
}

/// The cells of a record, in the order of [`COLUMNS`].
pub(super) fn row(record: &Value) -> [String; COLUMNS.len()] {
    let event = &record["event"];
    let data = &event["data"];
    let first = |values: &[&Value]| {
        let texts = values.iter().find_map(|value| value.as_str());
        texts.unwrap_or_default().to_owned()
    };
    let codes = data["reasons"].as_array().into_iter().flatten();
    let codes: Vec<&str> = codes.map(|reason| text(&reason["code"])).collect();
    [
        record["seq"].to_string(),
        first(&[&record["recorded_at"]]),
        first(&[&event["type"]]),
        first(&[
            &data["repository"],
            &data["source"]["repository"],
            &data["scope"]["repository"],
        ]),
        first(&[&data["tag"], &data["source"]["tag"]]),
        first(&[
            &data["digest"],
            &data["source"]["digest"],
            &data["scope"]["digest"],
            &data["payload_digest"],
        ]),
        first(&[&data["target"]["repository"], &data["target"]]),
        first(&[&data["target"]["tag"]]),
        first(&[&data["actor"]]),
        first(&[&data["rule"]]),
        first(&[&data["verdict"]]),
        codes.join(" "),
        first(&[&data["vulnerability"]]),
        first(&[&data["override_id"]]),
        first(&[&data["hold_id"]]),
        first(&[&data["scanner"]["name"]]),
        first(&[&data["reason"], &data["error"], &data["comment"]]),
    ]
}

/// A record on one line, for people.
pub(super) fn line(record: &Value) -> String {
    let event = &record["event"];
    let data = &event["data"];
    let kind = text(&event["type"]);
    let place = |value: &Value| match (value["repository"].as_str(), value["tag"].as_str()) {
        (Some(repository), Some(tag)) => format!("{repository}:{tag}"),
        (Some(repository), None) => repository.to_owned(),
        _ => String::new(),
    };
    let mut parts = vec![place(data), place(&data["source"])];
    match &data["target"] {
        target @ Value::Object(_) => parts.push(format!("-> {}", place(target))),
        Value::String(target) => parts.push(format!("-> {target}")),
        _ => {}
    }
    if let Some(digest) = data["digest"].as_str() {
        parts.push(digest.chars().take(19).collect());
    }
    for key in [
        "rule",
        "verdict",
        "override_id",
        "vulnerability",
        "hold_id",
        "actor",
        "reason",
        "error",
    ] {
        if let Some(value) = data[key].as_str() {
            parts.push(value.to_owned());
        }
    }
    if let Some(scanner) = data["scanner"]["name"].as_str() {
        parts.push(format!("by {scanner}"));
    }
    for reason in data["reasons"].as_array().into_iter().flatten() {
        parts.push(format!("[{}]", reason_line(reason)));
    }
    parts.retain(|part| !part.is_empty());
    on_one_line(&format!(
        "{:>7}  {}  {:<26}  {}",
        record["seq"],
        text(&record["recorded_at"]),
        kind.strip_prefix("weir.").unwrap_or(kind),
        parts.join("  ")
    ))
}

/// A reason in a few words: its code, and what it is about.
fn reason_line(reason: &Value) -> String {
    /// Characters of a clause that tell which one it is.
    const MOST: usize = 80;
    let about = ["component", "clause", "deny_rule", "hold_id"]
        .into_iter()
        .find_map(|key| reason[key].as_str());
    let digest = || {
        let digest = text(&reason["digest"]);
        let (_, hex) = digest.split_once(':').unwrap_or(("", digest));
        hex.get(..12).unwrap_or(hex)
    };
    let about: String = about.unwrap_or_else(digest).chars().take(MOST).collect();
    let platform = serde_json::from_value::<Platform>(reason["platform"].clone());
    let platform = platform.map_or_else(|_| String::new(), |platform| platform.to_string());
    let words = [text(&reason["code"]), &about, &platform];
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_told_in_a_few_words() {
        let check = |reason: Value, line: &str| assert_eq!(reason_line(&reason), line);
        let digest = "sha256:5c7b1a6b5bc9b3b5ae86820ea696540f9b056382b922f96c86915e04b5c48cb4";
        let platform = json!({"os": "linux", "architecture": "arm64"});
        check(
            json!({"code": "scan-missing", "digest": digest, "component": "db", "platform": platform}),
            "scan-missing db linux/arm64",
        );
        check(
            json!({"code": "scan-missing", "digest": digest}),
            "scan-missing 5c7b1a6b5bc9",
        );
        check(json!({"code": "soaking"}), "soaking");
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut out = Vec::new();
        let cells = [
            "plain",
            "a,b",
            "say \"no\"",
            "two\r\nlines",
            "",
            " edge",
            "-1",
        ];
        write_row(&mut out, cells).unwrap();
        let wanted = "plain,\"a,b\",\"say \"\"no\"\"\",\"two\r\nlines\",,\" edge\",-1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn a_cell_is_no_formula_and_moves_no_cursor() {
        for (cell, written) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            ("+1+1", "'+1+1"),
            ("-0.5", "-0.5"),
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
        ] {
            assert_eq!(as_text(cell), written);
        }
    }

    #[test]
    fn nobody_who_sends_an_event_has_a_say_over_the_screen() {
        let record = json!({
            "seq": 7, "recorded_at": "2026-08-21T10:00:00Z",
            "event": {"type": "weir.hold.placed", "data": {
                "actor": "eve\u{1b}[2J\u{9b}0m", "reason": "done\n      8  2026-08-21  approved",
            }},
        });
        let line = line(&record);
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            line.ends_with("done       8  2026-08-21  approved"),
            "{line:?}"
        );
    }

    #[test]
    fn every_record_has_every_column() {
        let record = json!({
            "seq": 7, "recorded_at": "2026-08-21T10:00:00Z",
            "event": {"type": "weir.decision.made", "data": {
                "rule": "r", "verdict": "wait", "source": {"repository": "a", "tag": "1", "digest": "sha256:aa"},
                "target": {"repository": "b", "tag": "2"},
                "reasons": [{"code": "held"}, {"code": "soaking"}],
            }},
        });
        let cells = row(&record);
        assert_eq!(
            cells.join("|"),
            "7|2026-08-21T10:00:00Z|weir.decision.made|a|1|sha256:aa|b|2||r|wait|held soaking|||||"
        );
        let vote = json!({"seq": 8, "event": {"data": {"repository": "a", "target": "b", "comment": "ok"}}});
        assert_eq!(row(&vote).join("|"), "8|||a|||b||||||||||ok");
    }
}
