//! What rules come to, when that changes, and how it is explained.

mod cel_support;

use cel_support::{at, case, compile, decide, finding};
use weir_rules::cel::{
    ClauseOutcome, Environment, FactError, Facts, Limits, NextChange, Position, Program, Timestamp,
    Value,
};

#[test]
fn every_failing_clause_is_named() {
    let mut facts = case();
    facts.critical = 2;
    facts.tag = "latest".to_owned();
    let evaluation = decide(
        "tag.name.matches('^v') && scan.critical == 0 && scan.high == 0",
        &facts,
    );
    assert_eq!(evaluation.outcome, Ok(false));
    assert_eq!(
        evaluation.clauses,
        [
            ClauseOutcome::False,
            ClauseOutcome::False,
            ClauseOutcome::True
        ]
    );
}

#[test]
fn a_false_clause_decides_over_an_error_and_an_error_over_truth() {
    let mut facts = case();
    facts.refused = true;
    let evaluation = decide("vulnerabilities.size() == 0 && scan.critical == 1", &facts);
    assert_eq!(evaluation.outcome, Ok(false));
    let evaluation = decide("scan.critical == 0 && vulnerabilities.size() == 0", &facts);
    let error = evaluation.outcome.expect_err("the findings cannot be read");
    assert_eq!(error.message, "scan of `sha256:1` gave only counts");
    assert_eq!((error.span.start, error.span.end), (22, 37));
    let evaluation = decide("scan.critical == 0 || vulnerabilities.size() == 0", &facts);
    assert_eq!(evaluation.outcome, Ok(true));
}

#[test]
fn a_double_becomes_the_text_that_cel_go_makes_of_it() {
    let facts = case();
    for (number, text) in [
        ("7.0", "7"),
        ("123456.789", "123456.789"),
        ("999999.9", "999999.9"),
        ("1000000.0", "1e+06"),
        ("-1234567.25", "-1.23456725e+06"),
        ("1e20", "1e+20"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
    ] {
        let expression = format!("string(dyn({number})) == '{text}' || scan.critical == 9");
        assert_eq!(decide(&expression, &facts).outcome, Ok(true), "{number}");
    }
}

#[test]
fn an_absent_field_is_an_error_and_has_says_so() {
    let facts = case();
    assert_eq!(decide("has(artifact.size)", &facts).outcome, Ok(false));
    assert_eq!(
        decide("artifact.?size.hasValue()", &facts).outcome,
        Ok(false)
    );
    assert_eq!(
        decide("artifact.?size.orValue(7) == 7", &facts).outcome,
        Ok(true)
    );
    let error = decide("scan.oldest < now", &facts)
        .outcome
        .expect_err("it is absent");
    assert_eq!(error.message, "`oldest` is absent");
}

#[test]
fn a_field_that_says_nothing_is_absent_however_it_is_asked_for() {
    let now = at("2026-08-21T10:00:00Z");
    let mut facts = case();
    facts.vulnerabilities = vec![finding("CVE-1", "LOW", "2026-08-20T10:00:00Z", now)];
    for field in ["score", "package"] {
        for operand in [
            "vulnerabilities[0]",
            "dyn(vulnerabilities)[0]",
            "dyn(vulnerabilities[0])",
            "(vulnerabilities + overridden)[0]",
            "vulnerabilities.first()",
            "optional.of(vulnerabilities[0])",
            "optional.of(dyn(vulnerabilities[0]))",
        ] {
            let there = |field: &str| {
                [
                    format!("has({operand}.{field})"),
                    format!("{operand}.?{field}.hasValue()"),
                    format!("[?{operand}.?{field}].size() == 1"),
                ]
            };
            for source in there(field) {
                let outcome = decide(&source, &facts).outcome;
                assert_eq!(outcome, Ok(false), "{source}");
            }
            for source in there("id") {
                assert_eq!(decide(&source, &facts).outcome, Ok(true), "{source}");
            }
        }
    }
    let with_default = "vulnerabilities.all(v, v.?score.orValue(10.0) < 8.0)";
    assert_eq!(decide(with_default, &facts).outcome, Ok(false));
}

#[test]
fn maps_of_labels_are_read_with_and_without_default() {
    let facts = case();
    for source in [
        "artifact.labels['team'] == 'shop'",
        "artifact.labels.team == 'shop'",
        "artifact.labels[?'owner'].orValue('none') == 'none'",
        "!('owner' in artifact.labels)",
        "!has(artifact.labels.owner)",
    ] {
        assert_eq!(decide(source, &facts).outcome, Ok(true), "{source}");
    }
    assert!(
        decide("artifact.labels['owner'] == 'x'", &facts)
            .outcome
            .is_err()
    );
}

#[test]
fn versions_compare_by_precedence() {
    let facts = case();
    for source in [
        "semver(tag.name) > semver('1.4.1') && semver('1.10.0') > semver('1.9.0')",
        "semver('v2.0.0-rc.1').isPrerelease() && semver('2.0.0-rc.1').isLessThan(semver('2.0.0'))",
        "semver('1.2.3').compareTo(semver('v1.2.3+build')) == 0 && semver('1.2.3') == semver('1.2.3+b')",
        "!isSemver('latest') && isSemver('1.2', true) && semver('01.2', true).minor() == 2",
    ] {
        assert_eq!(decide(source, &facts).outcome, Ok(true), "{source}");
    }
}

#[test]
fn patterns_are_re2() {
    let facts = case();
    for (source, wanted) in [
        (r"'v١'.matches('^v\\d+$')", false),
        (r"'v1'.matches('^v\\d+$')", true),
        (r"'é'.matches('^\\w$')", false),
        (r"'é'.matches('^.$')", true),
        (r"'é'.matches('^\\W$')", true),
        (r"'a-b'.matches('^[\\w-]+$')", true),
        (r"'xa'.matches('\\ba')", false),
        (r"'éa'.matches('\\ba')", true),
        (r"'ab'.matches('a\\B')", true),
        (r"'\u000b'.matches('\\s')", false),
    ] {
        let environment = Environment::rules();
        let (program, _) = Program::compile(source, environment, &Limits::default()).expect(source);
        assert_eq!(
            program.evaluate(&facts).expect(source).to_json(),
            wanted,
            "{source}"
        );
        let dynamic = source.replace(".matches(", ".matches(dyn(tag.name == '' ? '' : '') + ");
        let (program, _) =
            Program::compile(&dynamic, environment, &Limits::default()).expect(&dynamic);
        assert_eq!(
            program.evaluate(&facts).expect(&dynamic).to_json(),
            wanted,
            "{dynamic}"
        );
    }
}

#[test]
fn the_next_change_is_when_a_comparison_flips() {
    let cases = [
        ("scan.critical == 0", NextChange::Never),
        (
            "images.all(i, i.scan.age < duration('24h'))",
            NextChange::At(at("2026-03-11T00:00:00Z")),
        ),
        (
            "images.all(i, i.scan.age <= duration('24h'))",
            NextChange::At(at("2026-03-11T00:00:00.000000001Z")),
        ),
        (
            "images.all(i, i.scan.age < duration('2h'))",
            NextChange::Never,
        ),
        (
            "now - tag.pushed_at > duration('48h')",
            NextChange::At(at("2026-03-11T12:00:00.000000001Z")),
        ),
        (
            "tag.pushed_at + duration('48h') < now",
            NextChange::At(at("2026-03-11T12:00:00.000000001Z")),
        ),
        (
            "now > timestamp('2027-01-01T00:00:00Z')",
            NextChange::At(at("2027-01-01T00:00:00.000000001Z")),
        ),
        (
            "timestamp('2027-01-01T00:00:00Z') - now < duration('24h')",
            NextChange::At(at("2026-12-31T00:00:00.000000001Z")),
        ),
        ("now.getHours() == 12", NextChange::EveryRecord),
        ("now - now == duration('0s')", NextChange::Never),
        (
            "scan.critical == 1 && now.getHours() == 12",
            NextChange::EveryRecord,
        ),
        (
            "scan.critical == 0 || now.getHours() == 12",
            NextChange::Never,
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(decide(source, &case()).next_change, wanted, "{source}");
    }
}

/// A pseudo-random sequence that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

fn random_duration(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 3 } else { 9 }) {
        0 => format!("duration('{}s')", dice.roll(40) as i64 - 20),
        1 => "v.age".to_owned(),
        2 => "(now - v.first_seen)".to_owned(),
        3 => format!("({} - now)", random_time(dice, depth - 1)),
        4 => format!("(now - {})", random_time(dice, depth - 1)),
        5 => format!(
            "({} + {})",
            random_duration(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        6 => format!(
            "({} - {})",
            random_duration(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        7 => format!(
            "({} ? {} : {})",
            random_truth(dice, depth - 1),
            random_duration(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        _ => format!(
            "optional.of({}).orValue(duration('1s'))",
            random_duration(dice, depth - 1)
        ),
    }
}

fn random_time(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 3 } else { 6 }) {
        0 => "now".to_owned(),
        1 => "v.first_seen".to_owned(),
        2 => format!("timestamp('2026-03-10T12:00:{:02}Z')", dice.roll(40)),
        3 => format!(
            "({} + {})",
            random_time(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        4 => format!(
            "({} - {})",
            random_time(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        _ => format!(
            "cel.bind(t{depth}, {}, t{depth})",
            random_time(dice, depth - 1)
        ),
    }
}

fn random_truth(dice: &mut Dice, depth: usize) -> String {
    let how = dice.pick(&["<", "<=", ">", ">=", "==", "!="]);
    match dice.roll(if depth == 0 { 2 } else { 7 }) {
        0 => format!(
            "{} {how} {}",
            random_duration(dice, depth.saturating_sub(1)),
            random_duration(dice, depth.saturating_sub(1))
        ),
        1 => format!(
            "{} {how} {}",
            random_time(dice, depth.saturating_sub(1)),
            random_time(dice, depth.saturating_sub(1))
        ),
        2 => format!(
            "({} && {})",
            random_truth(dice, depth - 1),
            random_truth(dice, depth - 1)
        ),
        3 => format!(
            "({} || {})",
            random_truth(dice, depth - 1),
            random_truth(dice, depth - 1)
        ),
        4 => format!("!({})", random_truth(dice, depth - 1)),
        5 => format!(
            "[{}, {}].exists(d, d {how} {})",
            random_duration(dice, depth - 1),
            random_duration(dice, depth - 1),
            random_duration(dice, depth - 1)
        ),
        _ => format!(
            "({}).getSeconds() % 7 {how} 3",
            random_duration(dice, depth - 1)
        ),
    }
}

/// While time passes up to the promised change, nothing changes.
#[test]
fn nothing_changes_before_the_next_change() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let start = at("2026-03-10T12:00:00Z");
    let (mut promised, mut changes) = (0, 0);
    for _ in 0..700 {
        let source = format!(
            "vulnerabilities.all(v, {}) && vulnerabilities.exists(v, {})",
            random_truth(&mut dice, 3),
            random_truth(&mut dice, 3)
        );
        let program = compile(&source);
        let outcome = |seconds: i64| {
            let now = Timestamp::from_nanos(start.nanos() + i128::from(seconds) * 1_000_000_000)
                .expect("a time");
            let mut facts = case();
            facts.now = now;
            facts.vulnerabilities = vec![
                finding("CVE-1", "HIGH", "2026-03-10T11:59:50Z", now),
                finding("CVE-2", "LOW", "2026-03-10T11:59:45Z", now),
            ];
            program.decide(&facts)
        };
        let mut last = outcome(0);
        for seconds in 1..60 {
            let now = Timestamp::from_nanos(start.nanos() + i128::from(seconds) * 1_000_000_000)
                .expect("a time");
            let next = outcome(seconds);
            let before_change = match last.next_change {
                NextChange::Never => true,
                NextChange::At(change) => now < change,
                NextChange::EveryRecord => false,
            };
            if before_change {
                promised += 1;
                assert_eq!(
                    (&next.outcome, &next.clauses),
                    (&last.outcome, &last.clauses),
                    "{source} at {now}"
                );
            } else {
                changes += usize::from(next.clauses != last.clauses);
                last = next;
            }
        }
    }
    assert!(promised > 5_000 && changes > 100, "{promised} {changes}");
}

#[test]
fn an_explanation_shows_the_values_and_the_elements_that_failed() {
    let mut facts = case();
    facts.critical = 1;
    facts.vulnerabilities = vec![
        finding("CVE-1", "LOW", "2026-03-01T00:00:00Z", facts.now),
        finding("CVE-2", "CRITICAL", "2026-03-01T00:00:00Z", facts.now),
    ];
    let program = compile("scan.critical == 0 && vulnerabilities.all(v, v.severity != 'CRITICAL')");
    let explanation = serde_json::to_value(program.explain(&facts)).expect("JSON");
    assert_eq!(explanation["value"], false);
    assert_eq!(explanation["parts"][0]["parts"][0]["text"], "scan.critical");
    assert_eq!(explanation["parts"][0]["parts"][0]["value"], 1);
    let failing = &explanation["parts"][1]["elements"];
    assert_eq!(failing.as_array().expect("elements").len(), 1);
    assert_eq!(failing[0]["index"], 1);
    assert_eq!(failing[0]["value"]["id"], "CVE-2");
    assert_eq!(failing[0]["body"]["parts"][0]["value"], "CRITICAL");
}

#[test]
fn records_are_never_taken_for_different_ones() {
    let mut facts = case();
    facts.vulnerabilities = vec![finding(
        "CVE-1",
        "CRITICAL",
        "2026-03-01T00:00:00Z",
        facts.now,
    )];
    for source in [
        "dyn(tag) == dyn(tag)",
        "dyn(vulnerabilities) != dyn(vulnerabilities)",
        "!(dyn(tag) in [tag])",
        "!sets.intersects(dyn(vulnerabilities), vulnerabilities)",
    ] {
        let told = compile(source).evaluate(&facts).expect_err(source);
        assert_eq!(
            told.message, "records have no equality: compare their fields",
            "{source}"
        );
    }
    let value = compile("dyn(vulnerabilities) == [] || dyn(tag) == 1").evaluate(&facts);
    assert!(matches!(value, Ok(Value::Bool(false))), "{value:?}");
}

#[test]
fn an_explanation_names_the_elements_that_err_whatever_the_loop_makes_of_them() {
    let environment = Environment::open(Vec::<&str>::new());
    for (source, place, wanted) in [
        (
            "['1', 'x', '3', 'y'].map(v, int(v)) == []",
            "/parts/0",
            "x y",
        ),
        ("['1', 'x'].map(v, v != '', int(v)) == []", "/parts/0", "x"),
        ("['1', 'x'].map(v, int(v) > 0, v) == []", "/parts/0", "x"),
        ("['1', 'x'].sortBy(v, int(v)) == []", "/parts/0", "x"),
        (
            "['1', 'x'].transformList(i, v, int(v)) == []",
            "/parts/0",
            "x",
        ),
        (
            "{'a': '1', 'b': 'x'}.transformMap(k, v, int(v)) == {}",
            "/parts/0",
            "x",
        ),
    ] {
        let (program, _) =
            Program::compile(source, &environment, &Limits::default()).expect(source);
        let explanation = serde_json::to_value(program.explain(&case())).expect("JSON");
        let elements = explanation.pointer(place).expect(source)["elements"].as_array();
        let named: Vec<&str> = elements
            .expect(source)
            .iter()
            .map(|element| {
                assert!(element["body"]["error"].is_string(), "{source}: {element}");
                element["value"].as_str().expect("a text")
            })
            .collect();
        assert_eq!(named.join(" "), wanted, "{source}");
    }
}

#[test]
fn an_explanation_tells_the_key_of_a_value_and_that_a_list_is_empty() {
    let environment = Environment::open(Vec::<&str>::new());
    let explain = |source: &str| {
        let (program, _) =
            Program::compile(source, &environment, &Limits::default()).expect(source);
        serde_json::to_value(program.explain(&case())).expect("JSON")
    };
    let of_map = explain("{'HIGH': 1, 'CRITICAL': 0}.all(k, n, n == 0)");
    assert_eq!(of_map["elements"][0]["key"], "HIGH");
    assert_eq!(of_map["elements"][0]["value"], 1);
    let of_list = explain("[1].all(i, n, n == 0)");
    assert_eq!(of_list["elements"][0]["key"], serde_json::Value::Null);
    for source in [
        "[1].filter(x, x > 1).exists(x, x == 1)",
        "[1].filter(x, x > 1).exists_one(x, x == 1)",
    ] {
        let explanation = explain(source);
        assert_eq!(
            explanation["parts"][0]["text"], "[1].filter(x, x > 1)",
            "{source}"
        );
        assert_eq!(
            explanation["parts"][0]["value"],
            serde_json::json!([]),
            "{source}"
        );
    }
}

#[test]
fn json_goes_in_and_out() {
    let json: serde_json::Value =
        serde_json::from_str(r#"{"a": [1, 18446744073709551615, 1.5, null, true, "x"]}"#)
            .expect("JSON");
    assert_eq!(Value::from_json(&json).to_json(), json);
    let facts = Variables(vec![Value::from_json(&json)]);
    let environment = Environment::open(["input"]);
    let evaluate = |source: &str| {
        let (program, _) =
            Program::compile(source, &environment, &Limits::interactive()).expect(source);
        program.evaluate(&facts).expect(source).to_json()
    };
    assert_eq!(evaluate("input.a[1] > 5 && input.a.size() == 6"), true);
    assert_eq!(
        evaluate("[b'\\x00\\xff', duration('1500ms'), timestamp(0), 0.0/0.0]").to_string(),
        r#"["AP8=","1.5s","1970-01-01T00:00:00Z","NaN"]"#
    );
}

struct Variables(Vec<Value>);

impl Facts for Variables {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        Ok(&self.0[usize::from(index)])
    }
}

#[test]
fn the_default_of_a_value_that_is_there_is_not_looked_at() {
    let facts = case();
    let source = "optional.of(1).orValue(1 / scan.critical) == 1";
    assert_eq!(decide(source, &facts).outcome, Ok(true));
    let source = "optional.none().orValue(1 / scan.critical) == 1";
    assert!(decide(source, &facts).outcome.is_err());
}

#[test]
fn the_error_of_a_name_matters_where_the_name_is_read() {
    let environment = Environment::open(Vec::<&str>::new());
    for (source, wanted) in [
        ("cel.bind(x, 1 / [0][0], 5)", Ok("5")),
        ("cel.bind(x, [1][3] == 1, x || true)", Ok("true")),
        ("cel.bind(x, [1][3] == 1, false && x)", Ok("false")),
        (
            "cel.bind(x, [1][3], [1].exists(y, x == y || y == 1))",
            Ok("true"),
        ),
        ("cel.bind(x, [1][3], cel.bind(y, x + 1, 5))", Ok("5")),
        ("cel.bind(x, {'a': [1][3]}, has(x.a) || true)", Ok("true")),
        ("cel.block([1 / [0][0], 5], cel.index(1))", Ok("5")),
        (
            "cel.bind(x, 1 / [0][0], x + 1)",
            Err("1:13: division by zero"),
        ),
        ("cel.bind(x, {'a': [1][3]}, x.a)", Err("1:19: no element 3")),
        (
            "cel.block([1 / [0][0], 5], cel.index(0))",
            Err("1:12: division by zero"),
        ),
        (
            "optional.of([1][3]).optMap(x, 5)",
            Err("1:13: no element 3"),
        ),
        (
            "cel.bind(x, lists.range(100000), 5)",
            Err("1:13: this makes a list of more than 20000 elements"),
        ),
        (
            "cel.bind(x, [1][3], lists.range(20000).all(a, lists.range(20000).all(b, x == 1 || true)))",
            Err("1:73: this exceeds the budget of 1000000 steps"),
        ),
    ] {
        let (program, _) =
            Program::compile(source, &environment, &Limits::default()).expect(source);
        let outcome = program.evaluate(&case());
        let outcome = outcome
            .map(|value| value.to_json().to_string())
            .map_err(|error| {
                let Position { line, column } = Position::of(source, error.span.start as usize);
                format!("{line}:{column}: {error}")
            });
        assert_eq!(
            outcome,
            wanted.map(str::to_owned).map_err(str::to_owned),
            "{source}"
        );
        // And it can be explained.
        program.explain(&case());
    }
}
