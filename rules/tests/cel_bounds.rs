//! Hostile expressions: each ends in a located error, quickly, on the small stack of a test thread.

mod cel_support;

use cel_support::case;
use std::time::{Duration, Instant};
use weir_rules::cel::{Environment, EvalError, Limits, Program};

/// The stack that a thread has by default; debug builds need more room for the same depth.
const STACK: usize = if cfg!(debug_assertions) { 8 } else { 2 } * 1024 * 1024;

fn on_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .expect("a thread")
        .join()
        .expect("no panic")
}

fn refused(source: String) -> String {
    on_small_stack(move || {
        match Program::compile_predicate(&source, Environment::rules(), &Limits::default()) {
            Ok(_) => panic!("accepted: {}", &source[..source.len().min(80)]),
            Err(diagnostics) => diagnostics[0].message.clone(),
        }
    })
}

fn exhausted(source: &'static str) -> EvalError {
    on_small_stack(move || {
        let environment = Environment::open(Vec::<&str>::new());
        let (program, _) =
            Program::compile(source, &environment, &Limits::default()).expect(source);
        let start = Instant::now();
        let error = program.evaluate(&case()).expect_err(source);
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 100 });
        assert!(start.elapsed() < limit, "{source}: {:?}", start.elapsed());
        error
    })
}

#[test]
fn deep_and_long_expressions_are_refused_at_load() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}1{} == 1", open.repeat(depth), close.repeat(depth))
    };
    for source in [
        nested("(", ")", 1000),
        nested("[", "]", 1000),
        nested("{1:", "}", 1000),
        nested("size(", ")", 700),
        nested("-", "", 4000),
        format!("1{} == 1", "+1".repeat(2000)),
        format!("true{}", " && true".repeat(500)),
        format!("tag{} == 1", ".a".repeat(2000)),
        format!("images{} == 1", "[0]".repeat(1000)),
        format!("{}true", "true ? true : ".repeat(290)),
        format!("{}true", "!".repeat(4000)),
        "x".repeat(5000),
    ] {
        let message = refused(source.clone());
        assert!(message.len() < 200, "{message}");
    }
    let loops = format!("{}true{}", "images.all(a, ".repeat(5), ")".repeat(5));
    assert!(refused(loops).contains("loops are nested"));
}

#[test]
fn the_budget_ends_what_is_endless_and_names_the_place() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let source: &'static str = Box::leak(
        format!("{ten}.all(a, {ten}.all(b, {ten}.all(c, lists.range(10000).all(d, a + b + c + d >= 0))))")
            .into_boxed_str(),
    );
    let error = exhausted(source);
    assert!(
        error.exhausted && error.message.contains("budget of 1000000 steps"),
        "{error}"
    );
    assert!(error.span.start > 60, "{:?}", error.span);
}

#[test]
fn doubling_ends_at_a_limit() {
    let doubled = |start: &str, times: usize, step: &str| -> &'static str {
        let mut source = format!("[{start}]");
        for _ in 0..times {
            source.push_str(&format!(".map(q, {step})"));
        }
        Box::leak(source.into_boxed_str())
    };
    for source in [
        doubled("'aaaaaaaaaaaaaaaa'", 30, "q + q"),
        doubled("[1, 2, 3, 4]", 30, "q + q"),
        doubled(
            "'aaaaaaaaaaaaaaaa'",
            9,
            "q.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaa')",
        ),
        doubled("'aaaaaaaaaaaaaaaa'", 30, "[q, q].join(q)"),
        doubled("'aaaaaaaaaaaaaaaa'", 30, "'%s%s'.format([q, q])"),
        "lists.range(1000000000)",
        "lists.range(10000).map(a, lists.range(10000))",
        "lists.range(10000).map(a, lists.range(10000).map(b, 'x'.matches('a' + string(b))))",
        "lists.range(20000).map(a, a % 10000).distinct().size() == 0",
    ] {
        assert!(exhausted(source).exhausted, "{source}");
    }
}

#[test]
fn an_exhausted_budget_is_not_absorbed() {
    assert!(exhausted("lists.range(1000000000).size() == 0 || true").exhausted);
    assert!(exhausted("[1].exists(x, lists.range(1000000000).size() == 0) || true").exhausted);
}

#[test]
fn patterns_are_refused_or_linear() {
    for pattern in [
        "(a{1000}){1000}",
        "[[a]]",
        "[a&&b]",
        "(?P<n",
        "a**{5}",
        "\\\\<a",
    ] {
        let message = refused(format!("tag.name.matches('{pattern}')"));
        assert!(message.starts_with("not a pattern"), "{pattern}: {message}");
    }
    let source = format!("'{}'.matches('(a*)*b')", "a".repeat(3000));
    let environment = Environment::open(Vec::<&str>::new());
    let (program, _) = Program::compile(&source, &environment, &Limits::default()).expect("valid");
    assert_eq!(program.evaluate(&case()).expect("linear").to_json(), false);
}

#[test]
fn numbers_at_their_bounds_are_errors() {
    let environment = Environment::open(Vec::<&str>::new());
    for source in [
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "-(-9223372036854775808)",
        "-9223372036854775808 / -1",
        "-9223372036854775808 % -1",
        "5 % 0",
        "0u - 1u",
        "18446744073709551615u * 2u",
        "int(0.0 / 0.0)",
        "int(9223372036854775808.0)",
        "uint(-1)",
        "timestamp('9999-12-31T23:59:59Z') + duration('1s')",
        "duration('292y')",
        "math.abs(-9223372036854775808)",
        "'abc'.substring(2, 1)",
        "'abc'.charAt(-1)",
        "[1][1]",
        "[1].slice(0, 5)",
        "'%.1000f'.format([1.0])",
        "[0.0 / 0.0, 1.0].sort()",
    ] {
        let result = Program::compile(source, &environment, &Limits::default())
            .map_err(|diagnostics| diagnostics[0].message.clone())
            .and_then(|(program, _)| program.evaluate(&case()).map_err(|error| error.message));
        assert!(result.is_err(), "{source}: {result:?}");
    }
}
