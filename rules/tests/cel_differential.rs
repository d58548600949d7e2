//! Random expressions, evaluated by us and by the interpreter of the crate whose parser we use:
//! both give the same value, or both an error.
//!
//! `CEL_DIFFERENTIAL=1000000 cargo test --release -p weir-rules --test cel_differential` runs more.

#![expect(
    clippy::disallowed_methods,
    reason = "how many expressions is asked of the environment"
)]

use cel_interpreter::objects::Key;
use cel_interpreter::{Context, Env, Value as CrateValue, extensions};
use std::sync::Arc;
use weir_rules::cel::{Environment, FactError, Facts, Limits, Program, Value};

const DEFAULT_COUNT: u64 = 4_000;

struct Nothing;

impl Facts for Nothing {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let message = format!("no variable {index}");
        Err(Box::new(FactError { message }))
    }
}

#[test]
fn both_evaluators_agree() {
    // The crate's interpreter needs a larger stack than ours in a debug build.
    let worker = std::thread::Builder::new()
        .stack_size(64 * 1024 * 1024)
        .spawn(compare_all);
    worker.expect("a thread").join().expect("both agree");
}

fn compare_all() {
    let count = std::env::var("CEL_DIFFERENTIAL").map_or(DEFAULT_COUNT, |text| {
        text.parse().expect("CEL_DIFFERENTIAL is a number")
    });
    let mut env = Env::stdlib();
    for extension in [
        extensions::strings,
        extensions::lists,
        extensions::math,
        extensions::encoders,
    ] {
        env.add_extension(extension).expect("each is added once");
    }
    let env = Arc::new(env);
    let environment = Environment::open(Vec::<&str>::new()).unchecked();
    let (mut values, mut errors, mut known) = (0u64, 0u64, 0u64);
    let mut differences = Vec::new();
    for seed in 0..count {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let source = {
            let depth = 1 + dice.roll(3);
            expression(&mut dice, Kind::any, depth)
        };
        let ours = Program::compile(&source, &environment, &Limits::default())
            .map_err(|diagnostics| diagnostics[0].message.clone())
            .and_then(|(program, _)| program.evaluate(&Nothing).map_err(|error| error.message));
        let theirs = env
            .compile(&source)
            .map_err(|error| error.to_string())
            .and_then(|program| {
                program
                    .execute(&Context::with_env(env.clone()))
                    .map_err(|error| error.to_string())
            });
        let ours_text = ours.as_ref().map(canonical);
        let theirs_text = theirs.as_ref().map(crate_canonical);
        match (&ours_text, &theirs_text) {
            (Ok(a), Ok(b)) if a == b => values += 1,
            (Err(_), Err(_)) => errors += 1,
            (Ok(a), Ok(b)) if same_number(a, b) => known += 1,
            (ours, Err(error)) if ours.is_ok() && theirs_is_stricter(&source, error) => known += 1,
            (Err(error), Ok(_)) if ours_is_stricter(&source, error) => known += 1,
            _ => differences.push(format!(
                "{source}\n    ours:   {ours_text:?}\n    theirs: {theirs_text:?}"
            )),
        }
        if differences.len() > 20 {
            break;
        }
    }
    println!(
        "{values} equal values, {errors} errors of both, {known} known differences, {} differences",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(
        values > count / 3 && errors > count / 50,
        "the generator is out of balance"
    );
}

/// The text of a duration is no random one here: the crate ignores what follows a duration in a text
/// (`2h|3`) and reads its decimals as a floating point number.
///
/// The crate checks the literal arguments of `math.least` before anything is evaluated, and gives an
/// error where NaN is compared; the specification says false. A value that cannot be a key is not in
/// a map for us, and an error for it. It evaluates the default of `or` and `orValue` although there
/// is a value, where the reference implementation and we do not.
fn theirs_is_stricter(source: &str, error: &str) -> bool {
    source.contains(".or(")
        || source.contains(".orValue(")
        || error.contains("invalid single argument value")
        || error.contains("simple literal arguments must be numeric")
        || error.contains("can not be compared")
        // Which of two errors is told differs.
        || ["0.0/0.0", "math.sqrt(-1)"].iter().any(|nan| source.contains(nan))
        || error.contains("'@in' applied to")
        || ["<", "<=", ">", ">="]
            .iter()
            .any(|operator| error.contains(&format!("'_{operator}_'")) && error.contains("double"))
}

/// Our budget, which the crate has not, and places beyond a text in which nothing is looked for. And the crate takes a plain value where `[?x]`, `{?k: x}` and
/// `or` want an optional one, adds the keys of a map to a list, and finds nothing, rather than no such
/// operation, at an index of an optional number.
fn ours_is_stricter(source: &str, error: &str) -> bool {
    error.starts_with("this exceeds the budget")
        || (error.ends_with("is outside of the text") && source.contains("ndexOf("))
        || error.starts_with("this makes a")
        || error == "not possible with list and map"
        || (source.contains(".or(") && error.starts_with("not possible with optional and "))
        || (source.contains("optional.of") && source.contains(")[") || source.contains('?'))
            && source.contains(['[', '{'])
            && error.starts_with("not possible with ")
}

/// The crate writes numbers in full (and `inf` for `Inf`), where we write `1e+30` as the reference
/// implementation does.
fn same_number(ours: &str, theirs: &str) -> bool {
    let number = |text: &str| {
        let text = text.strip_prefix("string \"")?.strip_suffix('"')?;
        text.parse::<f64>().ok()
    };
    number(ours).is_some_and(|ours| Some(ours) == number(theirs))
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % sides as u64).expect("small")
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.roll(from.len())]
    }
}

/// The kinds of expressions that the grammar tells apart.
#[derive(Clone, Copy)]
#[expect(non_camel_case_types, reason = "named as CEL names its types")]
enum Kind {
    any,
    bool,
    int,
    uint,
    double,
    string,
    list,
    map,
    duration,
    timestamp,
    optional,
}

/// An expression that is mostly of this kind: now and then of another, to see the errors agree.
fn expression(dice: &mut Dice, kind: Kind, depth: usize) -> String {
    use Kind::{any, bool, double, duration, int, list, map, optional, string, timestamp, uint};
    const KINDS: [Kind; 10] = [
        bool, int, uint, double, string, list, map, duration, timestamp, optional,
    ];
    let kind = match kind {
        any => KINDS[dice.roll(KINDS.len())],
        _ if depth > 0 && dice.roll(80) == 0 => KINDS[dice.roll(KINDS.len())],
        kind => kind,
    };
    if depth == 0 {
        return literal(dice, kind);
    }
    let d = depth - 1;
    let forms: &[(&str, &[Kind])] = match kind {
        bool => &[
            ("(# && #)", &[bool, bool]),
            ("(# || #)", &[bool, bool]),
            ("!(#)", &[bool]),
            ("(# ? # : #)", &[bool, bool, bool]),
            ("(# == #)", &[any, any]),
            ("(# == #)", &[int, double]),
            ("(# != #)", &[string, string]),
            ("(# < #)", &[int, int]),
            ("(# <= #)", &[double, uint]),
            ("(# > #)", &[string, string]),
            ("(# >= #)", &[timestamp, timestamp]),
            ("(# < #)", &[duration, duration]),
            ("(# in #)", &[int, list]),
            ("(# in #)", &[string, map]),
            ("#.all(x, #)", &[list, bool]),
            ("#.all(x, x == #)", &[list, any]),
            ("#.exists(x, x != #)", &[list, int]),
            ("#.exists(x, x > #)", &[list, int]),
            ("#.exists_one(x, x == #)", &[list, int]),
            ("#.contains(#)", &[string, string]),
            ("#.startsWith(#)", &[string, string]),
            ("#.endsWith(#)", &[string, string]),
            ("#.matches('^[a-z]+.?$')", &[string]),
            ("has(#.a)", &[map]),
            ("#.hasValue()", &[optional]),
            ("math.isNaN(#)", &[double]),
            ("bool(#)", &[string]),
            ("(type(#) == type(#))", &[any, any]),
        ],
        int => &[
            ("(# + #)", &[int, int]),
            ("(# - #)", &[int, int]),
            ("(# * #)", &[int, int]),
            ("(# / #)", &[int, int]),
            ("(# % #)", &[int, int]),
            ("-(#)", &[int]),
            ("int(#)", &[double]),
            ("int(#)", &[uint]),
            ("int(#)", &[string]),
            ("int(#)", &[timestamp]),
            ("size(#)", &[string]),
            ("#.size()", &[list]),
            ("size(#)", &[map]),
            ("#[#]", &[list, int]),
            ("#['a']", &[map]),
            ("#.indexOf(#)", &[string, string]),
            ("#.lastIndexOf(#)", &[string, string]),
            ("#.lastIndexOf(#, #)", &[string, string, int]),
            ("#.indexOf(#, #)", &[string, string, int]),
            ("#.getHours()", &[timestamp]),
            ("#.getDayOfYear()", &[timestamp]),
            ("#.getFullYear('Asia/Tokyo')", &[timestamp]),
            ("#.getMinutes('-01:30')", &[timestamp]),
            ("#.getSeconds()", &[duration]),
            ("math.abs(#)", &[int]),
            ("math.greatest(#, #)", &[int, int]),
            ("math.least(#)", &[list]),
            ("math.bitShiftRight(#, #)", &[int, int]),
            ("math.bitXor(#, #)", &[int, int]),
            ("(# ? # : #)", &[bool, int, int]),
            ("#.orValue(#)", &[optional, int]),
        ],
        uint => &[
            ("(# + #)", &[uint, uint]),
            ("(# - #)", &[uint, uint]),
            ("(# % #)", &[uint, uint]),
            ("uint(#)", &[int]),
            ("uint(#)", &[double]),
            ("math.bitShiftLeft(#, #)", &[uint, int]),
        ],
        double => &[
            ("(# + #)", &[double, double]),
            ("(# / #)", &[double, double]),
            ("(# * #)", &[double, double]),
            ("double(#)", &[int]),
            ("double(#)", &[string]),
            ("math.round(#)", &[double]),
            ("math.sign(#)", &[double]),
            ("math.sqrt(#)", &[int]),
            ("-(#)", &[double]),
        ],
        string => &[
            ("(# + #)", &[string, string]),
            ("string(#)", &[int]),
            ("string(#)", &[bool]),
            ("string(#)", &[timestamp]),
            ("string(#)", &[duration]),
            ("#.substring(#)", &[string, int]),
            ("#.substring(#, #)", &[string, int, int]),
            ("#.charAt(#)", &[string, int]),
            ("#.replace(#, #)", &[string, string, string]),
            ("#.replace(#, #, #)", &[string, string, string, int]),
            ("#.split(#).join('-')", &[string, string]),
            ("#.split(#, #).join('-')", &[string, string, int]),
            ("#.upperAscii()", &[string]),
            ("#.trim()", &[string]),
            ("#.reverse()", &[string]),
            ("strings.quote(#)", &[string]),
            ("base64.encode(bytes(#))", &[string]),
            ("string(base64.decode(#))", &[string]),
            ("'%s|%d'.format([#, #])", &[any, int]),
            ("'%.2f|%x'.format([#, #])", &[double, int]),
            ("'%e %s'.format([#, #])", &[double, list]),
        ],
        list => &[
            ("[#, #]", &[int, int]),
            ("[#, #, #]", &[any, any, any]),
            ("(# + #)", &[list, list]),
            ("#.map(x, #)", &[list, any]),
            ("#.map(x, x + #)", &[list, int]),
            ("#.map(x, x > #, x * #)", &[list, int, int]),
            ("#.filter(x, x != #)", &[list, int]),
            ("#.filter(x, #)", &[list, bool]),
            ("#.slice(#, #)", &[list, int, int]),
            ("#.flatten()", &[list]),
            ("#.distinct()", &[list]),
            ("#.sort()", &[list]),
            ("#.sortBy(x, -x)", &[list]),
            ("#.reverse()", &[list]),
            ("lists.range(#)", &[int]),
            ("#.split('a')", &[string]),
            ("[?#, ?#]", &[optional, optional]),
        ],
        map => &[
            ("{'a': #}", &[any]),
            ("{#: #}", &[int, any]),
            ("{#: #, #: #}", &[string, int, string, int]),
            ("{?'a': #}", &[optional]),
        ],
        duration => &[
            ("(# + #)", &[duration, duration]),
            ("(# - #)", &[timestamp, timestamp]),
            ("(# - #)", &[duration, duration]),
        ],
        timestamp => &[
            ("(# + #)", &[timestamp, duration]),
            ("(# - #)", &[timestamp, duration]),
            ("timestamp(#)", &[int]),
        ],
        optional => &[
            ("optional.of(#)", &[any]),
            ("optional.ofNonZeroValue(#)", &[any]),
            ("#[?#]", &[list, int]),
            ("#.?a", &[map]),
            ("#.?a.?b", &[map]),
            ("#.or(#)", &[optional, optional]),
            ("#.optMap(y, y + #)", &[optional, int]),
            ("#.optFlatMap(y, optional.of(#))", &[optional, any]),
        ],
        any => &[],
    };
    let (form, kinds) = forms[dice.roll(forms.len())];
    let mut pieces = form.split('#');
    let mut source = pieces.next().unwrap_or_default().to_owned();
    for (piece, kind) in pieces.zip(kinds) {
        source.push_str(&expression(dice, *kind, d));
        source.push_str(piece);
    }
    source
}

fn literal(dice: &mut Dice, kind: Kind) -> String {
    let text = match kind {
        Kind::bool => dice.pick(&["true", "false"]),
        Kind::int => dice.pick(&[
            "0",
            "1",
            "2",
            "-1",
            "3",
            "7",
            "40",
            "9223372036854775807",
            "-9223372036854775808",
        ]),
        Kind::uint => dice.pick(&["0u", "1u", "3u", "18446744073709551615u"]),
        Kind::double => dice.pick(&[
            "0.0",
            "1.0",
            "-2.5",
            "3.0",
            "1e30",
            "0.1",
            "9223372036854775807.0",
            "(0.0/0.0)",
            "(1.0/0.0)",
        ]),
        Kind::string => dice.pick(&[
            "''",
            "'a'",
            "'abcab'",
            "'é€x'",
            "'12'",
            "'1.5'",
            "'true'",
            "'2h'",
            "' b '",
            "'a\\n\"q'",
            "'YWJj'",
        ]),
        Kind::list => dice.pick(&[
            "[]",
            "[1, 2, 3]",
            "[3, 1, 2, 1]",
            "['a', 'b']",
            "[1, 1u, 1.0]",
            "[[1], [2, [3]]]",
        ]),
        Kind::map => dice.pick(&["{}", "{'a': 1}", "{'a': {'b': 2}}", "{1: 'x'}", "{true: 1}"]),
        Kind::duration => dice.pick(&[
            "duration('0s')",
            "duration('1h30m')",
            "duration('-1.5s')",
            "duration('100ms')",
        ]),
        Kind::timestamp => dice.pick(&[
            "timestamp('2026-01-31T12:30:15.25Z')",
            "timestamp(0)",
            "timestamp('9999-12-31T23:59:59Z')",
            "timestamp('0001-01-01T00:00:00Z')",
        ]),
        Kind::optional => dice.pick(&[
            "optional.none()",
            "optional.of(1)",
            "optional.of('a')",
            "optional.of({'b': 1})",
        ]),
        Kind::any => "null",
    };
    text.to_owned()
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Double(number) if number.is_nan() => "double NaN".to_owned(),
        Value::Double(number) => format!("double {number:?}"),
        Value::List(list) => format!(
            "[{}]",
            list.iter().map(canonical).collect::<Vec<_>>().join(", ")
        ),
        Value::Map(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", canonical(key), canonical(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Int(number) => format!("int {number}"),
        Value::Uint(number) => format!("uint {number}"),
        Value::Bool(value) => format!("bool {value}"),
        Value::String(text) => format!("string {text:?}"),
        Value::Null => "null".to_owned(),
        Value::Duration(duration) => format!("duration {}", duration.nanos()),
        Value::Timestamp(at) => format!("timestamp {}", at.nanos()),
        Value::Bytes(bytes) => format!("bytes {bytes:?}"),
        other => other.type_name().to_owned(),
    }
}

fn crate_canonical(value: &CrateValue) -> String {
    match value {
        CrateValue::Float(number) if number.is_nan() => "double NaN".to_owned(),
        CrateValue::Float(number) => format!("double {number:?}"),
        CrateValue::List(list) => format!(
            "[{}]",
            list.iter()
                .map(crate_canonical)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        CrateValue::Map(map) => {
            let key = |key: &Key| match key {
                Key::Int(number) => format!("int {number}"),
                Key::Uint(number) => format!("uint {number}"),
                Key::Bool(value) => format!("bool {value}"),
                Key::String(text) => format!("string {text:?}"),
            };
            let mut entries: Vec<_> = map
                .map
                .iter()
                .map(|(k, value)| format!("{}: {}", key(k), crate_canonical(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        CrateValue::Int(number) => format!("int {number}"),
        CrateValue::UInt(number) => format!("uint {number}"),
        CrateValue::Bool(value) => format!("bool {value}"),
        CrateValue::String(text) => format!("string {text:?}"),
        CrateValue::Null => "null".to_owned(),
        CrateValue::Duration(duration) => {
            format!("duration {}", duration.num_nanoseconds().unwrap_or(0))
        }
        CrateValue::Timestamp(at) => {
            let nanos = i128::from(at.timestamp()) * 1_000_000_000
                + i128::from(at.timestamp_subsec_nanos());
            format!("timestamp {nanos}")
        }
        CrateValue::Bytes(bytes) => format!("bytes {bytes:?}"),
        CrateValue::Opaque(opaque) => match opaque.runtime_type_name() {
            name if name.contains("optional") => "optional_type".to_owned(),
            name => name.to_owned(),
        },
        other => format!("{other:?}"),
    }
}
