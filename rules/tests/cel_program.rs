//! What a compiled expression tells of itself: its clauses, and what it reads.

mod cel_support;

use cel_support::compile;
use weir_rules::cel::{Environment, Limits, Program, Type};

#[test]
fn clauses_are_the_operands_of_the_outermost_and() {
    let program = compile(
        "//! rule: x\n// First\ntag.name.matches(\"^a  b\")\n  && (scan.critical == 0 // none\n  || scan.high\n  == 0)\n && true == (scan.low == 0)",
    );
    let texts: Vec<_> = program
        .clauses()
        .iter()
        .map(|clause| clause.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "tag.name.matches(\"^a  b\")",
            "scan.critical == 0 || scan.high == 0",
            "true == (scan.low == 0)",
        ]
    );
}

#[test]
fn a_program_knows_what_it_reads() {
    let program = compile("scan.critical == 0 && images.all(i, i.digest != '')");
    assert!(program.reads("scan") && program.reads("images"));
    assert!(!program.reads("tag"));
    assert!(!program.time_dependent());
    assert!(compile("images.all(i, i.scan.age < duration('1h'))").time_dependent());
    assert!(compile("now > timestamp('2026-01-01T00:00:00Z')").time_dependent());
}

#[test]
fn a_program_knows_what_it_requires_of_a_map() {
    let environment = Environment::of([
        ("data", Type::map(Type::String, Type::Dyn)),
        ("other", Type::map(Type::String, Type::Dyn)),
    ]);
    let required = |text: &str, path: &[&str]| {
        let compiled = Program::compile_predicate(text, &environment, &Limits::RULES);
        let (program, _) = compiled.unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let keys = program.required(path).into_iter();
        let keys = keys.map(|(key, text)| match text {
            Some(text) => format!("{key}: {text}"),
            None => key.to_owned(),
        });
        keys.collect::<Vec<_>>()
    };
    for (text, keys) in [
        ("has(data.size) && data.size > 3000", &["size"][..]),
        (
            "data.verdict == 'block' && 'x' == data['rule']",
            &["rule: x", "verdict: block"],
        ),
        ("data.a != 'x' && 3 < data.b", &["a", "b"]),
        ("data.source.repository == 'x'", &["source"]),
        (
            "data.names.startsWith('x') && data.a.matches('x')",
            &["a", "names"],
        ),
        ("data.tags.exists(tag, tag == data.tag)", &["tags"]),
        ("!('x' in data.tags)", &["tags"]),
        ("data.a == 'x' && has(data.a) && data.a == 'y'", &["a: x"]),
        ("data.a == 3 && data.a == 'x'", &["a: x"]),
        ("data.a ? data.b : data.c", &["a"]),
        ("has(data.a.b) && has(data.c)", &["a", "c"]),
    ] {
        assert_eq!(required(text, &["data"]), keys, "{text}");
    }
    assert_eq!(
        required("other.data.x == 'y' && other.z == 'z'", &["other", "data"]),
        ["x: y"]
    );
    for text in [
        "data.a == 'x' || data.b == 'y'",
        "!has(data.a)",
        "data.?a.orValue('x') == 'x'",
        "data[?'a'].hasValue()",
        "data['a' + other.x] == 'x'",
        "other.data.x == 'y'",
        "has(data.a) ? data.a == 'x' : true",
        "1 / other.x == data.a",
        "data == other && 'a' in data",
        "data.exists(key, key == 'a')",
        "other.?data.x.orValue('x') == 'x'",
    ] {
        assert_eq!(required(text, &["data"]), [""; 0], "{text}");
    }
}

#[test]
fn a_program_knows_which_keys_of_a_map_it_selects() {
    let environment = Environment::of([
        ("data", Type::map(Type::String, Type::Dyn)),
        ("other", Type::map(Type::String, Type::Dyn)),
    ]);
    let selected = |text: &str| {
        let compiled = Program::compile(text, &environment, &Limits::RULES);
        let (program, _) = compiled.unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let keys = program.selected(&[&["data"], &["other", "data"]]);
        keys.map(|keys| keys.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    for (text, keys) in [
        ("1 == 1", &[][..]),
        ("other.size > 3", &[]),
        ("has(data.size) && data.size > 3", &["size"]),
        ("data['size'] > 3 || data.?tag.hasValue()", &["size", "tag"]),
        (
            "other.data.size == 3 && data.tag.name == 'x'",
            &["size", "tag"],
        ),
        (
            "data.findings.exists(f, f.id == data.id)",
            &["findings", "id"],
        ),
        ("data.findings[0].id == 'x'", &["findings"]),
        (
            "[data.a, {'k': data.b}[data.c]] == [data.d ? data.e : -data.f]",
            &["a", "b", "c", "d", "e", "f"],
        ),
        ("cel.bind(x, data.size, x > x)", &["size"]),
    ] {
        assert_eq!(
            selected(text),
            Some(keys.iter().map(|key| (*key).to_owned()).collect()),
            "{text}"
        );
    }
    for text in [
        "size(data) > 3",
        "'size' in data",
        "data.exists(key, key == 'size')",
        "data[other.key] == 3",
        "data[?other.key].hasValue()",
        "data == other",
        "other.data == {}",
        "cel.bind(x, data, x.size > 3)",
        "[data].exists(x, x.size > 3)",
        "other.exists(key, key == 'data')",
        "other[data.size].size > 3",
    ] {
        assert_eq!(selected(text), None, "{text}");
    }
}
