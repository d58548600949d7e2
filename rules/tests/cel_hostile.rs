//! Mistakes and attacks: each ends in a located message at load or a located error at run time, in
//! little time and memory and on the stack of an ordinary thread.
//!
//! Every case runs in a process of its own that may not have more memory, so that one that gets out
//! of hand ends that process and no other. With `--release` the bound on time is the one that is
//! promised; a debug build is given more.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "each case is a process, which is measured"
)]

mod cel_support;

use cel_support::{case, finding};
use std::process::Command;
use std::time::{Duration, Instant};
use weir_rules::cel::{Environment, Limits, Position, Program};

/// The stack that a thread has by default; the frames of a debug build are several times larger.
const STACK: usize = if cfg!(debug_assertions) { 16 } else { 2 } * 1024 * 1024;

const MOST_TIME: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 20_000 } else { 100 });

const MOST_MEMORY_KIB: u64 = 64 * 1024;

/// Address space of the process, far below what a runaway would take: its program and libraries
/// are mapped too, and a debug build's are large.
const ADDRESS_SPACE_KIB: u64 = 512 * 1024;

/// Names the case to the process that runs it.
const CASE: &str = "WEIR_HOSTILE_CASE";

/// What must come of a case.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It is refused at load.
    Refused,
    /// Its evaluation reaches a limit.
    Exhausted,
    /// Its evaluation is an error for another reason.
    Error,
    /// It has a value: nothing is wrong with it.
    Value,
}

use End::{Error, Exhausted, Refused, Value};

fn repeat(unit: &str, length: usize) -> String {
    unit.repeat(length / unit.len())
}

/// Name, what must come of it, the expression, and what the message must contain.
fn cases() -> Vec<(&'static str, End, String, &'static str)> {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let steps = |start: &str, times: usize, step: &str| {
        format!(
            "[{start}]{}.size() == 1",
            format!(".map(q, {step})").repeat(times)
        )
    };
    let doubled = |times: usize, last: &str| {
        let binds: String = (0..times).fold(String::new(), |binds, at| {
            format!("{binds}cel.bind(a{}, [a{at}, a{at}], ", at + 1)
        });
        format!("cel.bind(a0, [1, 1], {binds}{last}{})", ")".repeat(times))
    };
    let pattern_of = |part: &str| {
        format!(
            "cel.bind(p, '{}'.replace('a', '{part}{part}{part}{part}'), lists.range(20000).all(x, tag.name.matches(p + 'x}}:]') || true))",
            "a".repeat(1500),
        )
    };
    let wide_body = format!("true{}", " && x >= 0".repeat(230));
    vec![
        // Slips
        ("typo", Refused, "scan.critcal == 0".into(), "no field 'critcal' in scan"),
        ("wrong type", Refused, "scan.critical == \"0\"".into(), "cannot compare int with string"),
        ("missing quote", Refused, "tag.name == \"v1".into(), "this text is not closed"),
        ("missing bracket", Refused, "(tag.name == \"v1\"".into(), "`)` is missing"),
        ("not a condition", Refused, "scan.critical".into(), "must be true or false"),
        // Depth and length
        ("brackets", Refused, nested("(", "true", ")", 2000), "nested too deeply"),
        ("lists", Refused, format!("{} == []", nested("[", "", "]", 2000)), "nested too deeply"),
        ("maps", Refused, format!("{} == {{}}", nested("{1:", "1", "}", 1000)), "nested too deeply"),
        ("calls", Refused, format!("{} == 1", nested("size(", "''", ")", 650)), "nested too deeply"),
        ("unclosed brackets", Refused, repeat("(", 4096), ""),
        ("unclosed lists", Refused, repeat("[", 4096), ""),
        ("unclosed maps", Refused, repeat("{a:", 4096), ""),
        ("nots", Refused, format!("{}true", "!".repeat(4000)), ""),
        ("minuses", Refused, format!("{}1 == 1", "-".repeat(4000)), ""),
        ("conditionals", Refused, format!("{}true", "true ? true : ".repeat(290)), ""),
        ("conditionals inside out", Refused, format!("{}true{}", "true ? ".repeat(300), " : true".repeat(300)), ""),
        ("a sum", Refused, format!("1{} == 1", "+1".repeat(2000)), "too many operators"),
        ("fields of fields", Refused, format!("tag{} == 1", ".a".repeat(2000)), "too many operators"),
        ("elements of elements", Refused, format!("images{} == 1", "[0]".repeat(1300)), ""),
        ("a conjunction", Refused, format!("true{}", " && true".repeat(500)), "more than 1000 parts"),
        ("a disjunction", Refused, format!("true{}", "||true".repeat(680)), "more than 1000 parts"),
        ("a long list", Refused, format!("1 in [{}]", repeat("1,", 4000)), "more than 1000 parts"),
        ("methods of methods", Refused, format!("[1]{} == []", ".map(x,x)".repeat(440)), ""),
        ("too much comment", Refused, format!("// {}\ntrue", repeat("a comment ", 70_000)), "at most 65536 are allowed"),
        ("much comment", Value, format!("// {}\nscan.total >= 0", repeat("a comment ", 60_000)), ""),
        ("too long", Refused, format!("tag.name == \"{}\"", "x".repeat(5000)), "at most 4096 are allowed"),
        ("loops in loops", Refused, nested("images.all(a, a.digest != '' && ", "true", ")", 5), "loops are nested"),
        ("bindings in bindings", Refused, doubled(300, "a300 == []"), ""),
        // Nonsense
        ("hashes", Refused, repeat("#", 4096), ""),
        ("question marks", Refused, repeat("a?", 4096), ""),
        ("dots", Refused, repeat(".", 4096), ""),
        ("quotes", Refused, repeat("'\"", 4096), ""),
        ("backslashes", Refused, format!("'{}", repeat("\\", 4094)), ""),
        ("a lone operator", Refused, repeat("&& ", 4096), ""),
        ("a null byte", Refused, "tag.name\0 == \"\"".into(), ""),
        ("numbers without end", Refused, format!("{} == 1", repeat("9", 4000)), ""),
        // Patterns
        ("a pattern too large", Refused, "tag.name.matches('(a{1000}){1000}')".into(), "not a pattern: the pattern is too large"),
        ("a pattern of patterns", Refused, "tag.name.matches('(((a{99}){99}){99}){99}')".into(), "not a pattern: the pattern is too large"),
        ("a pattern too deep", Refused, format!("tag.name.matches('{}')", nested("(", "a", ")", 1500)), "not a pattern"),
        ("every letter of every script", Refused, r"tag.name.matches('(\\pL{100}){100}')".into(), "the pattern is too large"),
        ("many large patterns", Refused, (0..60).map(|at| format!(r"tag.name.matches('\\pL{{7}}{at}')")).collect::<Vec<_>>().join("||"), "the patterns of the expression are too large"),
        ("a pattern not closed", Refused, "tag.name.matches('[a-')".into(), "not a pattern"),
        ("a backtracking pattern", Value, format!("'{}'.matches('^(a|a?)+$') || true", "a".repeat(3000)), ""),
        ("a pattern of many states on long texts", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'ababbbaabaababbbabaaa'), lists.range(20000).all(x, !t.matches('(a|b)*a(a|b){{99}}c')))", "a".repeat(3000)), "steps"),
        ("a pattern made for long texts", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'ababbbaabaababbbabaaa'), lists.range(20000).all(x, !t.matches('(a|b)*a(a|b){{99}}' + tag.name)))", "a".repeat(3000)), "steps"),
        ("patterns made in a loop", Exhausted, "lists.range(10000).all(x, tag.name.matches('v' + string(x) + '.*') || true)".into(), ""),
        ("large patterns made in a loop", Exhausted, r"lists.range(10000).all(x, 'aaaa'.matches('\\pL{90}' + string(x)) || true)".into(), ""),
        ("a pattern of braces", Exhausted, pattern_of("{"), "steps"),
        ("a pattern of brackets", Exhausted, pattern_of("[:"), "steps"),
        ("a pattern of escapes", Exhausted, pattern_of(r"\\p{"), "steps"),
        ("a pattern of quotes", Exhausted, pattern_of(r"\\Qa\\E{,"), "steps"),
        ("a class with a long name", Refused, format!(r"tag.name.matches('\\p{{{}}}')", "a".repeat(3000)), "not a pattern"),
        ("a count with many spaces", Refused, format!("tag.name.matches('a{{1{}}}')", " ".repeat(3000)), "is no repetition"),
        // Loops
        ("ten million turns", Exhausted, "lists.range(10000).all(x, lists.range(1000).all(y, x + y >= 0))".into(), "budget of 1000000 steps"),
        ("four loops", Exhausted, "lists.range(99).all(a, lists.range(99).all(b, lists.range(99).all(c, lists.range(99).all(d, a + b + c + d >= 0))))".into(), "steps"),
        ("turns with much in them", Exhausted, format!("lists.range(20000).all(y, lists.range(20000).all(x, {wide_body}))"), "steps"),
        ("a list in every turn", Exhausted, "lists.range(20000).all(x, lists.range(20000).size() >= 0)".into(), "steps"),
        ("maps in every turn", Exhausted, "lists.range(20000).map(x, lists.range(20000).map(y, {x: y, 'a': [y]})).size() == 0".into(), ""),
        ("texts in every turn", Exhausted, "lists.range(20000).map(x, lists.range(20000).map(y, string(y) + 'a')).size() == 0".into(), ""),
        ("optionals in every turn", Exhausted, "lists.range(20000).map(x, lists.range(20000).map(y, [optional.of(y)])).size() == 0".into(), ""),
        ("versions in every turn", Exhausted, "lists.range(20000).map(x, lists.range(20000).map(y, semver('1.2.3-' + string(y)))).size() == 0".into(), ""),
        ("lists that stay", Exhausted, "lists.range(20000).map(x, lists.range(10000)).size() == 0".into(), ""),
        ("a map of lists", Exhausted, "lists.range(20000).transformMap(k, v, lists.range(10000)).size() == 0".into(), ""),
        ("errors in every turn", Exhausted, "lists.range(20000).all(x, lists.range(20000).all(y, 1 / (y - y) == 1))".into(), ""),
        ("sorting in every turn", Exhausted, "lists.range(20000).all(x, lists.range(20000).sortBy(y, -y).size() == 0 || true)".into(), ""),
        ("distinct", Exhausted, "lists.range(20000).distinct().size() == 0".into(), ""),
        ("sets", Exhausted, "sets.equivalent(lists.range(20000), lists.range(20000))".into(), ""),
        ("zones in every turn", Exhausted, "lists.range(20000).all(x, lists.range(20000).all(y, now.getHours('Europe/Berlin') >= 0))".into(), ""),
        // Doubling
        ("texts doubled", Exhausted, steps("'aaaaaaaaaaaaaaaa'", 30, "q + q"), "text of more than 65536 bytes"),
        ("lists doubled", Exhausted, steps("[1, 2, 3, 4]", 30, "q + q"), "list of more than 20000 elements"),
        ("replacements", Exhausted, steps("'aaaaaaaaaaaaaaaa'", 9, "q.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaa')"), "text of more than"),
        ("joins", Exhausted, steps("'aaaaaaaaaaaaaaaa'", 30, "[q, q].join(q)"), "text of more than"),
        ("formats", Exhausted, steps("'aaaaaaaaaaaaaaaa'", 30, "'%s%s'.format([q, q])"), "text of more than"),
        ("quotes of quotes", Exhausted, steps("'\\\\\\\\\\\\\\\\\\\\\\\\'", 30, "strings.quote(q)"), "text of more than"),
        ("base64 of base64", Exhausted, steps("'aaaaaaaaaaaaaaaa'", 60, "base64.encode(bytes(q))"), "text of more than"),
        ("a huge precision", Error, "'%.99999999999f'.format([1.5]) == ''".into(), "precision is a number up to 100"),
        ("a huge number in full", Value, "'%.100f'.format([1.7e308]).size() > 300".into(), ""),
        ("a huge range", Exhausted, "lists.range(1000000000).size() == 0".into(), "list of more than"),
        ("a list within itself, compared", Exhausted, doubled(60, "a60 == a60.map(x, x)"), ""),
        ("a list within itself, written out", Exhausted, doubled(60, "'%s'.format([a60]) == ''"), ""),
        ("a list within itself, flat", Exhausted, doubled(60, "a60.flatten(100).size() == 0"), ""),
        ("a list within itself, sorted", Error, doubled(60, "a60.sort().size() == 0"), ""),
        ("a list within itself, searched", Exhausted, doubled(60, "a60.map(x, x) in [a60]"), ""),
        ("a list within itself, listed once", Exhausted, doubled(60, "a60.distinct().size() == 0"), ""),
        ("a list within itself, left alone", Value, doubled(60, "a60.size() == 2"), ""),
        // Texts
        ("long texts compared in every turn", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'aaaaaaaaaaaaaaaaaaaaa'), cel.bind(u, t + '', lists.range(20000).all(x, lists.range(20000).all(y, t == u))))", "a".repeat(3000)), "steps"),
        ("long texts ordered in every turn", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'aaaaaaaaaaaaaaaaaaaaa'), cel.bind(u, t + '', lists.range(20000).all(x, lists.range(20000).all(y, t <= u))))", "a".repeat(3000)), "steps"),
        ("long texts searched in every turn", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'aaaaaaaaaaaaaaaaaaaaa'), lists.range(20000).all(x, lists.range(20000).all(y, t.lastIndexOf('ab') < 0)))", "a".repeat(3000)), "steps"),
        ("long texts split in every turn", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', 'aaaaaaaaaaaaaaaaaaaaa'), lists.range(20000).all(x, t.split('').size() > 0))", "a".repeat(3000)), ""),
        ("long texts as numbers in every turn", Exhausted, format!(
            "cel.bind(t, '{}'.replace('a', '111111111111111111111'), lists.range(20000).all(x, lists.range(20000).all(y, double(t) > 0.0)))", "a".repeat(3000)), ""),
        // Constants
        ("constants that are large", Exhausted, format!("{} || true", vec!["lists.range(9999).size() == 1"; 130].join("||")), ""),
        ("constants that are long", Value, format!("{} || true", vec!["'a'.replace('a', 'aaaaaaaaaa') == ''"; 100].join("||")), ""),
        // Facts
        ("findings against findings", Exhausted, "vulnerabilities.all(a, vulnerabilities.all(b, vulnerabilities.all(c, a.id + b.id + c.id != '')))".into(), "steps"),
    ]
}

#[test]
fn every_hostile_expression_ends_within_its_bounds() {
    if let Ok(number) = std::env::var(CASE) {
        return run_case(number.parse().expect("a number"));
    }
    let mut problems = Vec::new();
    for (number, (name, ..)) in cases().iter().enumerate() {
        if let Err(problem) = in_process(number) {
            problems.push(format!("{name}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Runs this test again, for one case, with little memory.
fn in_process(number: usize) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &limited])
        .arg(program)
        .args([
            "--exact",
            "every_hostile_expression_ends_within_its_bounds",
            "--nocapture",
        ])
        .env(CASE, number.to_string())
        // The reservations of further arenas are no memory in use.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .map_err(|error| error.to_string())?;
    if std::env::var("WEIR_HOSTILE_SHOW").is_ok() {
        print!(
            "{}",
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter(|line| line.starts_with("case"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        );
    }
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {said}", output.status))
}

fn run_case(number: usize) {
    let (name, expected, source, message) = cases().swap_remove(number);
    let worker = std::thread::Builder::new().stack_size(STACK);
    let (end, said, elapsed) = worker
        .spawn(move || run(&source))
        .expect("a thread")
        .join()
        .expect("no panic");
    let peak = peak_kib();
    println!("case {name}: {elapsed:?}, {peak} KiB: {said}");
    assert!(end == expected, "it ended otherwise: {said}");
    assert!(said.contains(message), "{said}");
    assert!(elapsed <= MOST_TIME, "{elapsed:?}");
    assert!(peak <= MOST_MEMORY_KIB, "{peak} KiB");
}

/// How an expression ends, what is said of it with its place, and how long that took.
fn run(source: &str) -> (End, String, Duration) {
    let located = |offset: u32, message: &str| {
        let Position { line, column } = Position::of(source, offset as usize);
        assert!(message.len() < 300, "{message}");
        format!("{line}:{column}: {message}")
    };
    let mut facts = case();
    facts.vulnerabilities = (0..200)
        .map(|at| {
            finding(
                &format!("CVE-{at}"),
                "LOW",
                "2026-03-01T00:00:00Z",
                facts.now,
            )
        })
        .collect();
    let environment = Environment::rules();
    let start = Instant::now();
    let (program, _) = match Program::compile_predicate(source, environment, &Limits::RULES) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            let first = &diagnostics[0];
            assert!(first.span.end as usize <= source.len(), "{:?}", first.span);
            let said = located(first.span.start, &first.message);
            return (Refused, said, start.elapsed());
        }
    };
    let evaluation = program.decide(&facts);
    let elapsed = start.elapsed();
    // What is asked about it afterwards is bounded too, in size and, less tightly, in time.
    let explained = serde_json::to_string(&program.explain(&facts)).expect("JSON");
    assert!(explained.len() < 1_000_000, "{} bytes", explained.len());
    assert!(
        start.elapsed() < 8 * MOST_TIME,
        "explained in {:?}",
        start.elapsed()
    );
    match evaluation.outcome {
        Ok(value) => (Value, value.to_string(), elapsed),
        Err(error) => {
            assert!(error.span.end > error.span.start, "the error has a place");
            let end = if error.exhausted { Exhausted } else { Error };
            (end, located(error.span.start, &error.message), elapsed)
        }
    }
}

/// The most memory that this process has had in use.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
