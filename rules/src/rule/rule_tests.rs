//! Rule files: what a header means, and how mistakes in it are shown.

use chrono::TimeDelta;
use weir_schema::RuleFile;

use super::{Kind, Loaded, Rule, RuleErrors, RuleSet, RuleTarget, ScanRequirement, Separate};
use super::{MAX_ERRORS_A_FILE, Severity};
use crate::cel::Limits;
use crate::class::Class;

pub(super) fn load(files: &[(&str, &str)]) -> Result<Loaded, RuleErrors> {
    let file = |(path, text): &(&str, &str)| RuleFile {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    let files: Vec<RuleFile> = files.iter().map(file).collect();
    RuleSet::load(&files, &Limits::RULES)
}

fn load_one(text: &str) -> Rule {
    let loaded = load(&[("rules/r.cel", text)]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, [], "warnings");
    (*loaded.rules.rules()[0]).clone()
}

/// The first lines, `line:column: message`, of what is wrong with one file.
fn problems(text: &str) -> Vec<String> {
    let errors = load(&[("r.cel", text)]).map(|_| ()).unwrap_err();
    errors
        .errors
        .iter()
        .map(|error| format!("{}:{}: {}", error.line, error.column, error.message))
        .collect()
}

pub(super) const PROMOTE: &str = "//! from: dev/*\n//! to: staging/{1}\n";

/// What is wrong with a promote rule that has one more header line, as line 3.
fn check_line(line: &str, message: &str, help: &str) {
    let text = format!("{PROMOTE}//! {line}\ntrue\n");
    let errors = load(&[("r.cel", &text)]).map(|_| ()).expect_err(line);
    let shown: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
    assert!(
        errors.errors.iter().any(|error| error.line == 3
            && error.message == message
            && error.help.as_deref().unwrap_or("").contains(help)),
        "{line}: {shown:#?}"
    );
}

#[test]
fn a_header_of_two_lines_has_the_documented_defaults() {
    let rule = load_one(&format!("{PROMOTE}\nscan.critical == 0\n"));
    assert_eq!(rule.name, "r");
    assert_eq!(rule.path, "rules/r.cel");
    assert_eq!(
        (rule.kind, rule.severity),
        (Kind::Promote, Severity::Enforce)
    );
    assert_eq!(rule.tag.as_str(), "{tag}");
    assert_eq!(
        rule.classes.iter().copied().collect::<Vec<_>>(),
        [Class::App, Class::Index, Class::Image]
    );
    assert_eq!((rule.scan, rule.approvals), (ScanRequirement::Required, 0));
    assert!(rule.scanners.is_empty() && rule.separate.is_empty());
    assert_eq!((rule.soak, rule.window, rule.message), (None, None, None));
    assert_eq!(
        (rule.expression_text.as_str(), rule.expression_line),
        ("scan.critical == 0", 4)
    );
    assert!(matches!(rule.to, RuleTarget::Repository(to) if to.as_str() == "staging/{1}"));
}

#[test]
fn every_key_of_a_promote_rule_is_read() {
    let rule = load_one(
        "// The licence of this file.\n\
         //! rule: to-prod.v1\n\
         //! kind: promote\n\
         //! about: Checked: twice.\n\
         //!owner:platform\n\
         //! link: https://example.com/a:b\n\
         //! severity: warn\n\
         //!\n\
         //! from: staging/*, qa/**\n\
         //! to: prod/{1}\n\
         //! tag: {tag}-{time:%Y%m%d}\n\
         //! class: image,index\n\
         //! scanners: trivy, grype, trivy\n\
         //! soak: 1h30m\n\
         //! approvals: 2\n\
         //! separate: pusher, rule-owner\n\
         //! window: Mon-Thu 08:00-16:00 Europe/Berlin\n\
         \n\
         // Nothing critical.\n\
         scan.critical == 0 // not one\n",
    );
    assert_eq!(rule.name, "to-prod.v1");
    assert_eq!(rule.about.as_deref(), Some("Checked: twice."));
    assert_eq!(rule.owner.as_deref(), Some("platform"));
    assert_eq!(rule.link.as_deref(), Some("https://example.com/a:b"));
    assert_eq!(rule.severity, Severity::Warn);
    assert_eq!(rule.captures("qa/a/b"), Some(vec!["a/b".to_owned()]));
    assert_eq!(rule.captures("dev/a"), None);
    assert_eq!(rule.scanners, ["grype", "trivy"]);
    assert_eq!(rule.soak, Some(TimeDelta::minutes(90)));
    assert_eq!(rule.approvals, 2);
    assert!(rule.separate.contains(&Separate::Pusher));
    assert!(rule.separate.contains(&Separate::RuleOwner));
    assert!(rule.window.is_some());
    assert_eq!(rule.expression_line, 20);
}

#[test]
fn a_deny_rule_speaks_of_everything_unless_told_otherwise() {
    let any = load_one("//! kind: deny\ntrue || tag.name == \"x\"");
    assert!(any.denies("dev/shop", "prod/shop"));
    assert_eq!(any.captures("dev/shop"), Some(Vec::new()));
    let some = load_one(
        "//! kind: deny\n//! from: dev/*\n//! to: prod/**\n//! message: {1}:{tag} is frozen\ntag.name == \"x\"",
    );
    assert!(some.denies("dev/shop", "prod/a/b"));
    assert!(!some.denies("qa/shop", "prod/a"));
    assert!(!some.denies("dev/shop", "qa/shop"));
    assert_eq!(
        some.message.map(|message| message.to_string()).as_deref(),
        Some("{1}:{tag} is frozen")
    );
    assert!(!load_one(&format!("{PROMOTE}tag.name == \"x\"")).denies("dev/shop", "staging/shop"));
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let errors =
        load(&[("rules/r.cel", "//! from: dev/*\n//! to: staging/{2}\ntrue")]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "rules/r.cel:2:17: no wildcard for `{2}`\n  \
         2 | //! to: staging/{2}\n    \
           |                 ^^^ `from` has a pattern with one wildcard, `{1}`"
    );
}

#[test]
fn a_mistake_in_the_expression_is_placed_in_the_file() {
    let errors = load(&[(
        "rules/r.cel",
        &format!("\u{feff}{PROMOTE}\n// é\ntag.name == \"é\"\n  && scan.critcal == 0"),
    )]);
    let shown = errors.map(|_| ()).unwrap_err().to_string();
    assert!(
        shown.starts_with("rules/r.cel:6:11: no field 'critcal' in scan\n"),
        "{shown}"
    );
    assert!(
        shown.contains(
            "\n  6 |   && scan.critcal == 0\n    |           ^^^^^^^ did you mean 'critical'?"
        ),
        "{shown}"
    );
}

#[test]
fn every_bad_value_has_its_own_message() {
    for (line, message, help) in [
        ("clas: app", "unknown key `clas`", "did you mean `class`?"),
        ("colour: red", "unknown key `colour`", "keys are `rule`"),
        ("just words", "expected `//! key: value`", "`//`"),
        ("see also: this", "unknown key `see also`", "`//`"),
        ("owner:", "`owner` has no value", "leave the line out"),
        ("to: prod/{1}", "key `to` twice", "first at line 2"),
        ("from: qa/*", "key `from` twice", "commas"),
        ("rule: a b", "`a b` cannot name a rule", "letters"),
        (
            "rule: manual",
            "`manual` is kept for promotions by hand",
            "",
        ),
        (
            "kind: demote",
            "unknown kind `demote`",
            "one of `promote`, `deny`",
        ),
        (
            "severity: error",
            "unknown severity `error`",
            "one of `enforce`, `warn`, `off`",
        ),
        (
            "class: app, imgae",
            "unknown class `imgae`",
            "did you mean `image`?",
        ),
        ("class: app,", "empty class in the list", "comma"),
        ("scan: none", "unknown scan `none`", "one of"),
        (
            "scanners: trivy grype",
            "`trivy grype` is no name of a scanner",
            "commas",
        ),
        ("soak: 3 days", "`3 days` is no duration", "`72h`"),
        ("soak: -3h", "`-3h` is negative", "`72h`"),
        (
            "approvals: two",
            "`two` is no number of approvals",
            "0 to 100",
        ),
        (
            "approvals: -1",
            "`-1` is no number of approvals",
            "0 to 100",
        ),
        (
            "approvals: +1",
            "`+1` is no number of approvals",
            "0 to 100",
        ),
        (
            "approvals: 4294967296",
            "`4294967296` is no number of approvals",
            "0 to 100",
        ),
        (
            "separate: pushers",
            "unknown actor `pushers`",
            "did you mean `pusher`?",
        ),
        (
            "separate: rule-owner",
            "`rule-owner` of a rule without `owner`",
            "owner",
        ),
        ("window: Mon-Fri", "window without hours", "for example"),
        (
            "tag: {tga}",
            "unknown placeholder `{tga}`",
            "did you mean `{tag}`?",
        ),
        ("message: no", "`message` is for deny rules", "`about`"),
    ] {
        check_line(line, message, help);
    }
    let message = "can never be a legal tag: `{digest}` has a colon; `{short_digest}` has none";
    check_line("tag: {digest}", message, "");
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    assert_eq!(
        problems(&format!(
            "{PROMOTE}//! class: app\n//! scan: not-required\ntrue"
        )),
        ["4:11: applications always need scans"]
    );
    assert_eq!(
        problems(&format!(
            "{PROMOTE}//! scanners: trivy\n//! scan: not-required\ntrue"
        )),
        ["3:5: `scanners` with `scan: not-required`"]
    );
    assert_eq!(
        problems("//! kind: deny\n//! soak: 1h\ntrue"),
        ["2:5: `soak` is for promote rules"]
    );
    assert_eq!(
        problems("//! from: a\ntrue"),
        ["1:1: a promote rule needs `to`"]
    );
    let with_app = format!("{PROMOTE}//! scan: not-required\ntag.name != \"\"");
    assert_eq!(load_one(&with_app).scan, ScanRequirement::NotRequired);
}

#[test]
fn a_target_that_is_left_empty_is_told_what_to_write() {
    for (text, help) in [
        ("//! from:\n//! to: a\ntrue", "such as `dev/*`"),
        ("//! from: dev/*\n//! to:\ntrue", "such as `staging/{1}`"),
    ] {
        let errors = load(&[("r.cel", text)]).map(|_| ()).unwrap_err();
        let shown = errors.to_string();
        assert!(shown.contains("has no value"), "{shown}");
        assert!(shown.contains(help), "{shown}");
    }
}

#[test]
fn a_file_without_an_expression_is_refused() {
    for (text, expected) in [
        ("", "1:1: the file is empty"),
        ("\u{feff}\r\n \n", "1:1: the file is empty"),
        (
            "// only this",
            "1:13: there is no expression, only a header or comments",
        ),
    ] {
        assert!(
            problems(text).contains(&expected.to_owned()),
            "{text:?}: {:?}",
            problems(text)
        );
    }
    assert_eq!(
        problems(PROMOTE),
        ["2:20: there is no expression, only a header or comments"]
    );
}

#[test]
fn a_header_line_below_the_expression_is_no_comment() {
    let text = format!("{PROMOTE}tag.name == \"x\"\n//! severity: off\n");
    assert_eq!(problems(&text), ["4:1: header line below the expression"]);
    let long_text = format!("{PROMOTE}tag.name == \"\"\"\n//! x\n\"\"\"");
    assert_eq!(load_one(&long_text).expression_line, 3);
    // What only a comment opens is no text of several lines.
    for opened in ["\"\"\"", "'''"] {
        let text = format!("{PROMOTE}true // {opened}\n//! approvals: 2\n");
        assert_eq!(problems(&text), ["4:1: header line below the expression"]);
    }
    let both = format!("{PROMOTE}tag.name == \"\"\"\n//! x\n\"\"\"\n//! approvals: 2\n");
    assert_eq!(problems(&both), ["6:1: header line below the expression"]);
}

#[test]
fn a_carriage_return_does_not_hide_a_key() {
    let text = format!("//! about: x\r//! approvals: 3\n{PROMOTE}true\n");
    assert_eq!(problems(&text), ["1:13: a carriage return within a line"]);
}

#[test]
fn a_window_names_the_zone_of_each_span_or_of_none() {
    let text = |window: &str| format!("{PROMOTE}//! window: {window}\ntrue");
    let offered = |window: &str| {
        let (path, text) = ("r.cel".to_owned(), text(window));
        RuleSet::load_offered(&[RuleFile { path, text }], &Limits::RULES)
    };
    for (window, told) in [
        (
            "Mon-Thu 08:00-16:00; Fri 08:00-12:00 Europe/Berlin",
            "3:13: `Mon-Thu 08:00-16:00` names no time zone and another span does: a zone holds \
             for its own span: write `Mon-Thu 08:00-16:00 Europe/Berlin`, or `UTC` in its place",
        ),
        (
            "Mon 08:00-16:00 UTC;  Fri 08:00-12:00 ",
            "3:35: `Fri 08:00-12:00` names no time zone and another span does: a zone holds \
             for its own span: write `Fri 08:00-12:00 UTC`",
        ),
    ] {
        let errors = offered(window).map(|_| ()).expect_err(window).errors;
        let shown = errors.iter().map(|error| {
            let help = error.help.as_deref().unwrap_or("");
            format!("{}:{}: {}: {help}", error.line, error.column, error.message)
        });
        assert_eq!(shown.collect::<Vec<_>>(), [told]);
        // Recorded rules decide as they did.
        let recorded = load_one(&text(window));
        assert!(recorded.window.is_some());
    }
    for window in [
        "Mon 08:00-16:00; Fri 08:00-12:00",
        "Mon 08:00-16:00 Asia/Tokyo; Fri 08:00-12:00 Europe/Berlin",
    ] {
        assert_eq!(offered(window).expect(window).warnings, []);
    }
}

#[test]
fn what_an_author_writes_moves_no_cursor_where_it_is_shown() {
    let text = "//! abo\u{1b}[2Kut: x\ntrue";
    let errors = load(&[("a\nb\u{9b}.cel", text)]).map(|_| ()).unwrap_err();
    let shown = errors.errors[0].to_string();
    assert_eq!(
        shown.lines().take(2).collect::<Vec<_>>(),
        [
            "a\u{fffd}b\u{fffd}.cel:1:1: the file's name is no rule name: `a\u{fffd}b\u{fffd}` cannot name a rule",
            "  1 | //! abo\u{fffd}[2Kut: x",
        ],
        "{shown:?}"
    );
    let controls = |shown: &str| {
        shown
            .chars()
            .filter(|one| one.is_control() && *one != '\n')
            .count()
    };
    assert_eq!(controls(&errors.to_string()), 0, "{errors}");
}

#[test]
fn of_a_long_line_what_is_around_the_place_is_shown() {
    let shown = |expression: &str| {
        let text = format!("{PROMOTE}{expression}");
        let errors = load(&[("r.cel", &text)]).map(|_| ()).unwrap_err();
        errors.errors[0].to_string()
    };
    let (before, after) = ("1 == 1 && ".repeat(30), " && 2 == 2".repeat(30));
    let middle = shown(&format!("{before}scan.hihg == 0{after}"));
    assert_eq!(
        middle,
        format!(
            "r.cel:3:306: no field 'hihg' in scan\n  3 | …{}…\n    | {}^^^^ did you mean 'high'?",
            &format!("{before}scan.hihg == 0{after}")[265..385],
            " ".repeat(41)
        )
    );
    let first = shown(&format!("scan.hihg == 0{after}"));
    assert!(first.contains("  3 | scan.hihg == 0 && 2"), "{first}");
    let long = format!("tag.name + 1 == '{}'", "x".repeat(1000));
    assert!(
        shown(&long).lines().all(|line| line.chars().count() < 220),
        "{}",
        shown(&long)
    );
}

#[test]
fn windows_line_ends_and_byte_order_marks_change_nothing() {
    let unix = format!("{PROMOTE}//! owner: me\n\nscan.critical == 0\n  && scan.high == 0\n");
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    let (one, other) = (load_one(&unix), load_one(&windows));
    assert_eq!(one.owner, other.owner);
    assert_eq!(
        one.expression_text,
        other.expression_text.replace("\r\n", "\n")
    );
    assert_eq!(one.from, other.from);
    let wrong = windows.replace("scan.high", "scan.hgih");
    assert!(
        problems(&wrong)[0].starts_with("6:11: "),
        "{:?}",
        problems(&wrong)
    );
}

#[test]
fn all_files_are_checked_and_refused_together() {
    let good = format!("{PROMOTE}tag.name == \"x\"");
    let bad = "//! from: DEV/*\n//! to: x\ntrue";
    let errors = load(&[("c.cel", bad), ("b.cel", &good), ("a.cel", "")]).unwrap_err();
    let paths: Vec<&str> = errors
        .errors
        .iter()
        .map(|error| error.path.as_str())
        .collect();
    assert_eq!(paths[0], "a.cel");
    assert!(paths.contains(&"c.cel"));
    assert!(!paths.contains(&"b.cel"));
}

#[test]
fn at_most_a_few_errors_are_shown_of_one_file() {
    let text: String = (0..20)
        .map(|number| format!("//! key{number}x: 1\n"))
        .collect();
    assert_eq!(problems(&text).len(), MAX_ERRORS_A_FILE);
}

#[test]
fn two_rules_of_one_name_are_refused() {
    let named = format!("{PROMOTE}//! rule: a\ntag.name == \"x\"");
    let unnamed = format!("{PROMOTE}tag.name == \"x\"");
    let errors = load(&[("x/a.cel", &unnamed), ("y/b.cel", &named)]).unwrap_err();
    assert_eq!(errors.errors.len(), 1);
    let error = &errors.errors[0];
    assert_eq!(
        (error.path.as_str(), error.line, error.column),
        ("y/b.cel", 3, 11)
    );
    assert_eq!(error.message, "two rules are called `a`");
    assert_eq!(error.help.as_deref(), Some("the other is in x/a.cel"));
}

#[test]
fn the_digest_is_of_paths_and_texts_in_any_order() {
    let text = format!("{PROMOTE}tag.name == \"x\"");
    let digest = |files: &[(&str, &str)]| load(files).unwrap().rules.digest();
    let both = digest(&[("a.cel", &text), ("b.cel", &text)]);
    assert_eq!(both, digest(&[("b.cel", &text), ("a.cel", &text)]));
    assert_ne!(both, digest(&[("a.cel", &text), ("c.cel", &text)]));
    assert_ne!(
        both,
        digest(&[("a.cel", &text), ("b.cel", &format!("{text} "))])
    );
    assert_eq!(digest(&[]), RuleSet::default().digest());
}
