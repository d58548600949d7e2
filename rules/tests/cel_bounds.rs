//! Limits: what reaches one says so, at the place that is to blame, and nothing absorbs it. What
//! hostile expressions take is measured in `cel_hostile`.

mod cel_support;

use cel_support::{case, decide};
use weir_rules::cel::{
    ClauseOutcome, Environment, EvalError, JsonLimits, Limits, Position, Program, TooLarge,
};

fn exhausted(source: &str) -> EvalError {
    let environment = Environment::open(Vec::<&str>::new());
    let (program, _) = Program::compile(source, &environment, &Limits::default()).expect(source);
    let error = program.evaluate(&case()).expect_err(source);
    assert!(error.exhausted, "{source}: {error}");
    error
}

/// Takes most of the budget, but not all of it.
const MANY: &str = "lists.range(4700).all(x, lists.range(95).all(y, x + y >= 0))";

/// Further clauses that take more than what is left.
fn rest() -> String {
    "\n && lists.range(9000).size() == 9000".repeat(30)
}

#[test]
fn the_budget_names_the_place_that_spent_it() {
    for (source, wanted) in [
        // It ran out where it was spent.
        (
            "1 == 1\n && lists.range(10000).all(x,\n lists.range(1000).all(y, x + y >= 0))",
            "3:27",
        ),
        // It ran out in a later clause, but was spent in the second.
        (&format!("scan.total == 0\n && {MANY}{}", rest()), "2:5"),
        // The same within one clause.
        (&format!("!({MANY}\n && {MANY})"), "1:3"),
        (&format!("!{MANY}\n || !{MANY}"), "1:2"),
    ] {
        let evaluation = decide(source, &case());
        let error = evaluation.outcome.expect_err(source);
        let Position { line, column } = Position::of(source, error.span.start as usize);
        assert_eq!(format!("{line}:{column}"), wanted, "{source}: {error}");
    }
}

#[test]
fn the_clause_that_spent_the_budget_is_named_and_no_other() {
    let source = format!("scan.total == 0 && {MANY}{} && scan.high == 0", rest());
    let clauses = decide(&source, &case()).clauses;
    let errors: Vec<usize> = (0..clauses.len())
        .filter(|at| matches!(clauses[*at], ClauseOutcome::Error(_)))
        .collect();
    assert_eq!(errors, [1], "{clauses:?}");
    assert!(matches!(clauses.last(), Some(ClauseOutcome::NotReached)));
}

#[test]
fn comments_are_not_counted_as_code() {
    let environment = Environment::rules();
    let compile = |source: &str| {
        Program::compile_predicate(source, environment, &Limits::RULES)
            .map(|_| ())
            .map_err(|diagnostics| diagnostics[0].clone())
    };
    let comments = "// Why it is so.\n".repeat(1000);
    assert_eq!(
        compile(&format!("{comments}scan.total == 0 {comments}")),
        Ok(())
    );
    let long = format!("{comments}tag.name == \"{}\"", "x".repeat(4090));
    let error = compile(&long).expect_err("too long");
    assert_eq!(
        error.message,
        "the expression has 4104 bytes, at most 4096 are allowed"
    );
    assert_eq!(Position::of(&long, error.span.start as usize).line, 1001);
}

#[test]
fn an_exhausted_budget_is_not_absorbed() {
    assert!(exhausted("lists.range(1000000000).size() == 0 || true").exhausted);
    assert!(exhausted("[1].exists(x, lists.range(1000000000).size() == 0) || true").exhausted);
}

/// `body` with names for texts and bytes of about 50 KB, maps with such keys, and a number of a
/// thousand digits.
fn with_long_texts(body: &str) -> String {
    let bindings = [
        (
            "t",
            "'aaaaaaaaaaaaaaaa'.replace('a', 'aaaaaaaaaaaaaaa').replace('a', 'aaaaaaaaaaaaaaa').replace('a', 'aaaaaaaaaaaaaaa')",
        ),
        ("u", "t + 'b'"),
        ("b", "bytes(t)"),
        ("c", "bytes(u)"),
        ("m", "{t: 1, u: 2}"),
        ("w", "m.transformMap(k, v, v)"),
        ("p", "t.substring(0, 30000).replace('a', '%%') + '%'"),
        (
            "n",
            "'1'.replace('1', '1111111111').replace('1', '1111111111').replace('1', '1111111111')",
        ),
    ];
    bindings
        .iter()
        .rev()
        .fold(body.to_owned(), |body, (name, value)| {
            format!("cel.bind({name}, {value}, {body})")
        })
}

#[test]
fn reading_a_long_text_is_charged_by_its_length() {
    let bodies = [
        "int(n) == 1",
        "uint(n) == 1u",
        "double(n) == 1.0",
        "duration(n) == duration('1s')",
        "timestamp(n) == timestamp(0)",
        "t == t + ''",
        "bytes(t) == b'1'",
        "b < c",
        "[t, u].sort() == []",
        "[0, 1].sortBy(y, y == 0 ? t : u) == []",
        "[t, u].min() == ''",
        "[t, u].max() == ''",
        "{t: 1} == {}",
        "{x: t}.transformMapEntry(k, v, {v: k}) == {}",
        "m[t] == 2",
        "m[?t] == optional.none()",
        "t in m",
        "m == w",
        "'a'.indexOf(t) == 0",
        "'a'.lastIndexOf(t) == 0",
        "'a'.replace(t, '') == ''",
        "'a'.split(t) == []",
        "'a'.matches(t)",
        "'%s'.format([[t, optional.of(1)]]) == ''",
        "timestamp(0).getHours(t) == 1",
        "p.format([]) == ''",
    ];
    let environment = Environment::open(Vec::<&str>::new());
    let free = bodies.into_iter().filter(|body| {
        let each = format!("lists.range(20000).all(x, {body} || true)");
        let source = with_long_texts(&each);
        let (program, _) = Program::compile(&source, &environment, &Limits::default()).expect(body);
        let outcome = program.evaluate(&case());
        !outcome.is_err_and(|error| error.exhausted && error.message.contains("steps"))
    });
    assert_eq!(free.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_name_bound_far_outside_is_charged_by_the_way_to_it() {
    let bound = |names: usize| {
        let ones = vec!["1"; names].join(", ");
        let read = "cel.index(0) + cel.index(0) + cel.index(0) == 3";
        format!("cel.block([{ones}], lists.range(9000).all(x, {read}))")
    };
    assert_eq!(decide(&bound(4), &case()).outcome, Ok(true));
    let error = exhausted(&bound(400));
    assert!(error.message.contains("budget"), "{error}");
}

#[test]
fn a_long_text_is_no_number() {
    let environment = Environment::open(Vec::<&str>::new());
    for kind in ["int", "uint", "double", "duration", "timestamp"] {
        let source = with_long_texts(&format!("{kind}(n + n) == {kind}(n)"));
        let (program, _) =
            Program::compile(&source, &environment, &Limits::default()).expect(&source);
        let message = program.evaluate(&case()).expect_err(&source).message;
        let wanted = format!("a text of 2000 bytes is no {kind}, at most 1024 are read");
        assert_eq!(message, wanted);
    }
}

#[test]
fn what_re2_does_not_have_is_no_pattern() {
    for (pattern, reason) in [
        ("[[a]]", r"written `\["),
        ("[a&&b]", "operators within brackets"),
        ("(?P<n", "unclosed"),
        ("a**{5}", "repetition of a repetition"),
        (r"\<a", r"write `<` or `\b`"),
        ("a{1001}{1001}", ""),
        ("a{ 2 }", "`{ 2 }` is no repetition"),
        ("a{2, 3}", "`{2, 3}` is no repetition"),
        ("a{,3}", "`{,3}` is no repetition"),
        ("a{1001}", "`{1001}` makes more than 1000 repetitions"),
        ("(a{100}){11}", "`{100}` makes more than 1000 repetitions"),
        (
            "((a{10}b){10,}){2,11}",
            "`{10}` makes more than 1000 repetitions",
        ),
        ("(?x) a", "flag `x` is not part of RE2"),
        ("(?u:a)", "flag `u` is not part of RE2"),
        ("(?i-R)a", "flag `R` is not part of RE2"),
        ("(?z)a", "flags are `i`, `m`, `s` and `U`"),
        (r"\u00e9", r"write `\x{E9}`"),
        (r"[a-\U0001F600]", r"write `\x{1F600}`"),
        (r"\u{e9}", r"write `\x{E9}`"),
        (r"(a)\1", r"`\1` refers back to a group"),
        ("(?P<a.b>a)", "the group name `a.b`"),
        ("(?P<é>a)", "the group name `é`"),
        (r"\p{Script=Greek}", "is no class of RE2"),
        (r"\p{Alphabetic}", "is no class of RE2"),
        (r"[\p{Letter}]", r"`\p{Letter}` is no class of RE2"),
        (r"\P{LC}", "is no class of RE2"),
        (r"\p{Cn}", "is no class of RE2"),
        (r"\p{greek}", "is no class of RE2"),
        (r"\p{isL}", "is no class of RE2"),
    ] {
        let source = format!("tag.name.matches(r'{pattern}')");
        let compiled =
            Program::compile_predicate(&source, Environment::rules(), &Limits::default());
        let message = compiled.expect_err(pattern)[0].message.clone();
        assert!(message.starts_with("not a pattern"), "{pattern}: {message}");
        assert!(message.contains(reason), "{pattern}: {message}");
    }
}

#[test]
fn what_re2_has_is_a_pattern() {
    let environment = Environment::open(Vec::<&str>::new());
    for (text, pattern, wanted) in [
        ("a{b}", "^a{b}$", true),
        ("a{", "^a{$", true),
        ("a{2", "^a{2$", true),
        ("{}", "^{}$", true),
        ("aa{", "^a{2}{$", true),
        ("aaaaa", "^a{2,}$", true),
        ("{", "^[{]$", true),
        ("]{", r"^[]{\]]{2}$", true),
        ("]{", "^[^a]{2}$", true),
        ("a{2}", "^[[:alpha:]{]{2}2}$", true),
        ("é{2}", r"^\x{e9}\{2}$", true),
        ("a.b*", r"^\Qa.b*\E$", true),
        ("axb", r"^\Qa.b\E$", false),
        ("a.[", r"^a\Q.[", true),
        ("a", r"^\141$", true),
        ("a1", r"^\1411$", true),
        ("A", "(?i)^a$", true),
        ("éA", r"^\p{Ll}\pL$", true),
        ("Ω", r"^\p{Greek}$", true),
        ("aé", r"^\PN[^\p{Han}\d]$", true),
        ("\u{378}", r"^\p{C}$", false),
        ("\u{378}", r"^[^\p{C}]$", true),
        ("aaaaaaaaaa", "^((a{1}){10}){0,100}$", true),
    ] {
        let source = format!("text.matches(r'{pattern}')").replace("text", &format!("r'{text}'"));
        let (program, _) =
            Program::compile(&source, &environment, &Limits::default()).expect(pattern);
        let matches = program.evaluate(&case()).expect(pattern);
        assert_eq!(matches.to_json(), wanted, "{pattern}");
    }
}

#[test]
fn an_error_names_its_cause() {
    let environment = Environment::open(Vec::<&str>::new());
    for (source, wanted) in [
        ("{1: 1, 1: 2}", "the key 1 occurs twice"),
        (
            "{'a': 1}.transformMapEntry(k, v, {1.5: v})",
            "1.5 cannot be a key: keys are bool, int, uint or string",
        ),
        (
            "'%'.format([])",
            "the format ends within a place: a percent sign is written `%%`",
        ),
        (
            "'%.2'.format([1])",
            "the format ends within a place: a percent sign is written `%%`",
        ),
        (
            "'%d'.format([])",
            "the format has more places than arguments",
        ),
    ] {
        let unchecked = environment.clone().unchecked();
        let (program, _) = Program::compile(source, &unchecked, &Limits::default()).expect(source);
        let error = program.evaluate(&case()).expect_err(source);
        assert_eq!(error.message, wanted, "{source}");
    }
}

#[test]
fn a_value_is_as_large_as_its_json() {
    let environment = Environment::open(Vec::<&str>::new());
    for source in [
        "null",
        "[]",
        "{}",
        "[1, -2, 3u, 0.5, 1.0 / 0.0, true, null]",
        "{'a': 1, 2: {true: [[], {}]}}",
        r#"'quote " slash \\ line \n tab \t other \x01 letters \u00e4'"#,
        "[b'', b'1', b'12', b'123', b'1234']",
        "[duration('90s'), timestamp(0), type(1), semver('1.2.3')]",
        "[optional.of(1), optional.none()]",
        "{'a \\n key': ''}",
    ] {
        let (program, _) =
            Program::compile(source, &environment, &Limits::default()).expect(source);
        let value = program.evaluate(&case()).expect(source);
        let within = |bytes| {
            let limits = JsonLimits {
                bytes,
                ..JsonLimits::ANSWER
            };
            environment.to_json(&value, &case(), &limits)
        };
        let json = within(1000).expect(source);
        let length = json.to_string().len();
        assert_eq!(within(length), Ok(json), "{source}");
        assert_eq!(
            within(length - 1),
            Err(TooLarge::Bytes(length - 1)),
            "{source}"
        );
    }
}

#[test]
fn what_is_shared_in_memory_and_repeated_in_json_is_refused() {
    let environment = Environment::open(Vec::<&str>::new());
    let doubled = |inner: &str| {
        let names = (1..40).map(|at| format!("cel.bind(a{at}, [a{}, a{}], ", at - 1, at - 1));
        let binds = names.collect::<String>();
        format!("cel.bind(a0, {inner}, {binds}a39{})", ")".repeat(39))
    };
    let values = TooLarge::Values(JsonLimits::ANSWER.values);
    let bytes = TooLarge::Bytes(JsonLimits::ANSWER.bytes);
    for (source, wanted) in [
        (doubled("[1]"), values),
        (doubled("{'a': {'b': {}}}"), values),
        (with_long_texts("lists.range(1000).map(x, t)"), bytes),
        (with_long_texts("lists.range(1000).map(x, b)"), bytes),
        (with_long_texts("lists.range(1000).map(x, m)"), bytes),
    ] {
        let (program, _) =
            Program::compile(&source, &environment, &Limits::default()).expect(&source);
        let value = program.evaluate(&case()).expect(&source);
        let json = environment.to_json(&value, &case(), &JsonLimits::ANSWER);
        assert_eq!(json, Err(wanted), "{source}");
    }
}

#[test]
fn numbers_at_their_bounds_are_errors() {
    let environment = Environment::open(Vec::<&str>::new());
    for (source, wanted) in [
        ("9223372036854775807 + 1", "the result is out of range"),
        ("-9223372036854775808 - 1", "the result is out of range"),
        ("-(-9223372036854775808)", "the result is out of range"),
        ("-9223372036854775808 / -1", "the result is out of range"),
        ("-9223372036854775808 % -1", "the result is out of range"),
        ("5 % 0", "this divides by zero"),
        ("0u - 1u", "the result is out of range"),
        ("18446744073709551615u * 2u", "the result is out of range"),
        ("int(0.0 / 0.0)", "out of the range of int"),
        ("int(9223372036854775808.0)", "out of the range of int"),
        ("uint(-1)", "out of the range of uint"),
        (
            "timestamp('9999-12-31T23:59:59Z') + duration('1s')",
            "the result is out of range",
        ),
        ("duration('292y')", "is no duration"),
        (
            "duration('47261439850130342147690917.9h')",
            "is no duration",
        ),
        (
            "duration('-99999999999999999999999999999999999999999999ns')",
            "is no duration",
        ),
        ("duration('2562047h47m16.854775808s')", "is no duration"),
        ("math.abs(-9223372036854775808)", "integer overflow"),
        (
            "'abc'.substring(2, 1)",
            "the end of the range is before its start",
        ),
        ("'abc'.charAt(-1)", "the place -1 is outside of the text"),
        ("'abc'.indexOf('', 4)", "the place 4 is outside of the text"),
        (
            "'abc'.lastIndexOf('', 9)",
            "the place 9 is outside of the text",
        ),
        (
            "'abc'.indexOf('', -1)",
            "the place -1 is outside of the text",
        ),
        (
            "timestamp('2020-01-01 00:00:00Z')",
            "is no timestamp such as",
        ),
        (
            "timestamp('2020-01-01t00:00:00Z')",
            "is no timestamp such as",
        ),
        (
            "timestamp('2016-12-31T23:59:60Z')",
            "is no timestamp such as",
        ),
        (
            "timestamp('2016-12-31T18:59:60-05:00')",
            "is no timestamp such as",
        ),
        ("uint('+5')", "`+5` is no uint"),
        (
            "timestamp('2024-01-01T00:00:00Z').getHours('+5:3')",
            "there is no time zone",
        ),
        (
            "timestamp('2024-01-01T00:00:00Z').getHours('05:+3')",
            "there is no time zone",
        ),
        (
            "timestamp('2024-01-01T00:00:00Z').getHours('24:00')",
            "there is no time zone",
        ),
        (
            "timestamp('2024-01-01T00:00:00Z').getHours('+-5:30')",
            "there is no time zone",
        ),
        ("[1][1]", "no element 1"),
        ("[1].slice(0, 5)", "there is no range 0 to 5 in a list of 1"),
        (
            "'%.1000f'.format([1.0])",
            "a precision is a number up to 100",
        ),
        (
            "[0.0 / 0.0, 1.0].sort()",
            "the elements have no order among them",
        ),
    ] {
        let result = Program::compile(source, &environment, &Limits::default())
            .map_err(|diagnostics| diagnostics[0].message.clone())
            .and_then(|(program, _)| program.evaluate(&case()).map_err(|error| error.message));
        let error = result.expect_err(source);
        assert!(error.contains(wanted), "{source}: {error}");
    }
}
