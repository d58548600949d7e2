//! What the checker refuses, where it points, and what it suggests.

#[path = "../cel_support/mod.rs"]
mod cel_support;
mod warned;

use cel_support::diagnose;
use weir_rules::cel::Limits;
use weir_rules::rule;

#[test]
fn a_misspelt_field_is_shown_where_it_stands() {
    let source =
        "//! rule: to-staging\n\n// Only clean ones.\ntag.name != \"\"\n  && scan.critcal == 0\n";
    assert_eq!(
        diagnose(source),
        "rule.cel:5:11: no field 'critcal' in scan\n  \
         5 |   && scan.critcal == 0\n    \
         |           ^^^^^^^ did you mean 'critical'?\n"
    );
}

#[test]
fn columns_count_characters() {
    assert!(
        diagnose("\"é€\" == \"\" || scan.hihg == 0").starts_with("rule.cel:1:20: no field 'hihg'")
    );
}

/// Source, and what the diagnostics must contain; nothing means that there are none.
const CASES: &[(&str, &[&str])] = &[
    // Right
    ("scan.critical == 0", &[]),
    ("true", &[]),
    ("tag.name.matches('^v?[0-9]+$') && scan.high < 3", &[]),
    (
        "vulnerabilities.all(v, v.severity != \"HIGH\" || v.age < duration(\"72h\"))",
        &[],
    ),
    ("images.exists(i, i.role == 'invocation')", &[]),
    (
        "'team' in artifact.labels && artifact.labels['team'] == 'shop'",
        &[],
    ),
    (
        "artifact.labels.team == 'shop' && 'team' in artifact.labels",
        &[],
    ),
    (
        "!('team' in artifact.labels) || artifact.labels.team == 'shop'",
        &[],
    ),
    (
        "has(artifact.annotations.team) && artifact.annotations['team'] == 'shop'",
        &[],
    ),
    ("artifact.labels[?'team'].orValue('') == 'shop'", &[]),
    ("artifact.labels.?team.orValue('') == 'shop'", &[]),
    (
        "artifact.labels.exists(key, artifact.labels[key] == 'shop')",
        &[],
    ),
    ("has(artifact.size) && artifact.size < 1000", &[]),
    ("artifact.size < 1000 && has(artifact.size)", &[]),
    ("!has(artifact.size) || artifact.size < 1000", &[]),
    ("has(artifact.size) ? artifact.size < 1000 : false", &[]),
    (
        "has(images[0].scan.db_age) && images[0].scan.db_age < duration('24h')",
        &[],
    ),
    (
        "has(images[0].scan.db_age) && images[1].scan.db_age < duration('24h')",
        &["'db_age' may be absent", "has(images[1].scan.db_age)"],
    ),
    ("artifact.?size.hasValue() && artifact.size < 1000", &[]),
    ("has(artifact.size) == true && artifact.size < 1000", &[]),
    ("has(artifact.size) == false || artifact.size < 1000", &[]),
    (
        "has(artifact.size) != true && artifact.size < 1000",
        &["'size' may be absent"],
    ),
    (
        "images.filter(i, has(i.scan.db_age)).all(x, x.scan.db_age < duration('24h'))",
        &[],
    ),
    (
        "images.filter(i, !has(i.scan.db_age)).all(x, x.scan.db_age < duration('24h'))",
        &["'db_age' may be absent"],
    ),
    ("artifact.?size.orValue(0) < 1000", &[]),
    (
        "images.all(i, has(i.scan.db_age) && i.scan.db_age < duration('24h'))",
        &[],
    ),
    (
        "semver(tag.name) >= semver('1.2.0') && !semver(tag.name).isPrerelease()",
        &[],
    ),
    ("now - tag.pushed_at > duration('1h')", &[]),
    ("now.getDayOfWeek('Europe/Berlin') < 5", &[]),
    ("now.getHours('-02:30') < 5", &[]),
    ("referrers != [] && vulnerabilities == []", &[]),
    (
        "images.map(i, i.digest).distinct().size() == size(images)",
        &[],
    ),
    ("scan.max_score < 7 && scan.max_score < 7.0", &[]),
    ("cel.bind(n, scan.high + scan.medium, n < 3)", &[]),
    ("approvals.map(a, a.actor).distinct().size() >= 2", &[]),
    (
        "referrers.exists(r, r.artifact_type.startsWith('application/vnd.dev.cosign'))",
        &[],
    ),
    (
        "vulnerabilities.filter(v, v.fixed_version != '').all(v, v.age < duration('168h'))",
        &[],
    ),
    ("images.map(i, i.scan.critical).sum() == 0", &[]),
    // Names
    (
        "tagg.name == ''",
        &["1:1: no variable 'tagg'", "did you mean 'tag'?"],
    ),
    (
        "images.all(i, i.scna.critical == 0)",
        &["no field 'scna' in image", "did you mean 'scan'?"],
    ),
    (
        "images.all(i, i.scan.critical == 0 && j.digest == '')",
        &["no variable 'j'"],
    ),
    (
        "tag.name.startWith('v')",
        &["no function 'startWith'", "did you mean 'startsWith'?"],
    ),
    (
        "tag.name.len() > 3",
        &["no function 'len'", "it is `size()`"],
    ),
    (
        "vulnerabilities.any(v, v.severity == 'HIGH')",
        &["1:17: no function 'any'", "it is `exists(v, condition)`"],
    ),
    ("tag.name.startsWith('v', 1)", &["takes 1 argument, not 2"]),
    (
        "tag == 'v1'",
        &[
            "cannot compare Tag with string",
            "compare one of its fields",
        ],
    ),
    (
        "tag.critical == 0",
        &["no field 'critical' in tag", "there is `scan.critical`"],
    ),
    ("images.critical == 0", &["no field 'critical' in a list"]),
    // Types
    (
        "scan.critical == \"0\"",
        &["cannot compare int with string", "without quotes"],
    ),
    (
        "scan.critical",
        &["must be true or false, this is of type int"],
    ),
    (
        "scan.critical && true",
        &["`&&` takes truth values, this is of type int"],
    ),
    ("!scan.critical", &["`!` takes truth values"]),
    (
        "images.all(i, i.scan.critical)",
        &["a condition is needed here, this is of type int"],
    ),
    (
        "tag.name + 1 == ''",
        &["cannot use `+` with string and int"],
    ),
    (
        "scan.high + 1.5 < 3.0",
        &["cannot use `+` with int and double", "convert one"],
    ),
    (
        "vulnerabilities.all(v, v.age < '72h')",
        &["cannot compare duration with string", "duration(\"72h\")"],
    ),
    (
        "'team' in tag.name",
        &["`in` takes a list or a map", "`.contains()`"],
    ),
    (
        "5 in ['a', 'b']",
        &["a value of type int is never in list(string)"],
    ),
    (
        "tag.previous_digest == null",
        &["cannot compare string with null", "use `has()`"],
    ),
    (
        "tag == tag",
        &["cannot compare Tag with Tag", "compare their fields"],
    ),
    (
        "tag in [tag]",
        &["`in` compares records of type Tag", "compare their fields"],
    ),
    (
        "vulnerabilities == images[0].vulnerabilities",
        &["cannot compare list(", "records have no equality"],
    ),
    (
        "vulnerabilities.exists(v, v in images[0].vulnerabilities)",
        &["`in` compares records", "compare their fields"],
    ),
    (
        "images.all(i, !sets.intersects(i.vulnerabilities, vulnerabilities))",
        &["'sets.intersects' compares records", "compare their fields"],
    ),
    (
        "images.distinct().size() == 1",
        &["'distinct' compares records", "compare their fields"],
    ),
    ("{'a': scan} != {'a': scan}", &["records have no equality"]),
    (
        "now.getHours('Europe/Berln') < 5",
        &["1:14: there is no time zone `Europe/Berln`"],
    ),
    (
        "tag.name.size('x') == 1",
        &["'size' takes 0 arguments, not 1"],
    ),
    (
        "tag.name.contains(1)",
        &["'contains' does not take string, int"],
    ),
    ("scan.high ? true : false", &["`?` takes truth values"]),
    // Macros
    ("images.all(i.scan, true)", &["a macro binds a plain name"]),
    (
        "images.all(i)",
        &["wrong use of the macro 'all'", "all(x, condition)"],
    ),
    ("has(tag)", &["`has()` takes a field"]),
    (
        "tag.name.all(c, true)",
        &["a list or a map is needed here, not string"],
    ),
    // Literals
    (
        "now - tag.pushed_at > duration('3 days')",
        &["`3 days` is no duration", "three days are `72h`"],
    ),
    (
        "tag.pushed_at > timestamp('yesterday')",
        &["`yesterday` is no timestamp"],
    ),
    ("tag.name.matches('[0-9')", &["1:18: not a pattern:"]),
    ("scan.high / 0 == 1", &["this divides by zero"]),
    // Optional
    (
        "artifact.size < 1000",
        &["1:10: 'size' may be absent", "has(artifact.size)"],
    ),
    (
        "has(artifact.size) || artifact.size < 1000",
        &["'size' may be absent"],
    ),
    (
        "images.all(i, i.scan.db_age < duration('24h'))",
        &["'db_age' may be absent"],
    ),
    // Syntax
    ("", &["there is no expression"]),
    ("// nothing\n", &["there is no expression"]),
    ("scan.critical ==", &["ends too early"]),
    ("(scan.critical == 0", &["1:20: `)` is missing here"]),
    (
        "(scan.critical ==",
        &["ends too early", "a `(` is not closed"],
    ),
    ("tag.name == \"x", &["1:13: this text is not closed"]),
    (
        r"tag.name.matches('^v\d+$')",
        &[
            "1:21: `\\d` is no escape",
            "write `\\\\d`, or put an `r` before",
        ],
    ),
    (
        "scan.critical = 0",
        &["1:15: `=` has no meaning here", "compare with `==`"],
    ),
    (
        "scan.critical === 0",
        &["1:17: `=`", "equal is written `==`"],
    ),
    (
        "scan.critical <> 0",
        &["1:16: unexpected `>`", "not equal is written `!=`"],
    ),
    (
        "scan.critical =< 0",
        &["1:15: `=<`", "less or equal is written `<=`"],
    ),
    (
        "scan.critical == 0 and true",
        &["1:20: unexpected `and`", "and is written `&&`"],
    ),
    (
        "scan.critical == 0 & true",
        &["1:20: `&` has no meaning here", "and is written `&&`"],
    ),
    ("scan.critical == 0 | true", &["or is written `||`"]),
    (
        "not scan.critical == 0",
        &["1:5: unexpected `scan`", "not is written `!`"],
    ),
    (
        "if scan.high == 0 then true",
        &[
            "1:1: `if` is a word of the language",
            "`condition ? this : that`",
        ],
    ),
    (
        "tag.name == “v1”",
        &["1:13: `“`", "texts are written in `\"`"],
    ),
    ("scan.critical == 0;", &["1:19: `;`", "ends without a mark"]),
    (
        "vulnerabilities.all(v, v.age < 72h)",
        &["1:34: unexpected `h`", "`duration(\"72h\")`"],
    ),
    (
        "vulnerabilities.filter(v => v.id == '')",
        &["1:26: `=>`", "a macro takes a name"],
    ),
    (
        "(scan.critical == 0 &&\n (scan.high == 0)\n",
        &["2:18: `)` is missing here", "a `(` is not closed"],
    ),
    (
        "images.all(i, scan.critical == 0)",
        &["1:15: warning: 'i' is not used: this is the same for every element"],
    ),
    ("lists.range(3).map(i, scan.critical).size() == 3", &[]),
    ("now > (scan.high > 0 ? null : tag.pushed_at)", &[]),
    (
        "(scan.high > 0 ? duration('1h') : null) < duration('2h')",
        &[],
    ),
    (
        "(scan.high > 0 ? null : 1) == 1",
        &["the results are of different types, null and int"],
    ),
    ("\u{feff}scan.critcal == 0", &["no field 'critcal'"]),
    // What is not read
    (
        "true ? 1",
        &[
            "1:8: the expression ends too early",
            "`condition ? this : that`",
        ],
    ),
    (
        "scan.high > 0 ? true)",
        &["1:21: unexpected `)`", "`condition ? this : that`"],
    ),
    (
        "true ? : false",
        &["1:8: unexpected `:`", "`condition ? this : that`"],
    ),
    (
        "tag.name == 'a' 'b'",
        &["1:17: unexpected `'b'`", "put together with `+`"],
    ),
    ("tag.name r'b'", &["1:10: unexpected `r'b'`"]),
    (
        r"tag.name == 'a\u12'",
        &[
            r"1:15: `\u12` is no whole escape",
            r"4 hexadecimal digits, as in `\u0041`",
        ],
    ),
    (
        r"tag.name == '\u{41}'",
        &[r"`\u` is no whole escape", "4 hexadecimal digits"],
    ),
    (
        r"tag.name == '\08'",
        &[r"`\0` is no whole escape", "3 digits"],
    ),
    (
        r"tag.name == '\ud83d\ude00'",
        &[r"1:14: `\ud83d` is no character", r"`\U0001f600`"],
    ),
    (
        r"tag.name == '\U00110000'",
        &[r"`\U00110000` is no character"],
    ),
    (
        r"b'a' == b'\u0041'",
        &[r"1:11: `\u0041` has no meaning in bytes", r"`\x41`"],
    ),
    (
        r"tag.name != '\u00e9\U0001f600\x41\101' && bytes(tag.name) != b'\xff\101' && tag.name != r'\u'",
        &[],
    ),
    // What is meant
    (
        "tag.name == 3",
        &[
            "cannot compare string with int",
            "a text is written in quotes",
        ],
    ),
    (
        "images.size == 1",
        &["no field 'size' in a list", "`size()`"],
    ),
    (
        "tag.name.length > 1",
        &["no field 'length'", "it is `size()`"],
    ),
    (
        "tag.pushed_at + '24h' < now",
        &["cannot use `+`", "write durations as `duration("],
    ),
    (
        "tag.pushed_at - '24h' < now",
        &["cannot use `-`", "duration(", "timestamp("],
    ),
    (
        "vulnerabilities.all(v, v.name != 'openssl')",
        &["no field 'name'", "`package` is what it was found in"],
    ),
    (
        "vulnerabilities.all(v, v.age.getDays() < 3)",
        &["no function 'getDays'", "`duration(\"72h\")`"],
    ),
    ("has(artifact.labels['x'])", &["has(artifact.size)"]),
    ("artifact?.size == 5", &["`.?field`"]),
    ("scan.high ? 1 : ", &["ends too early"]),
    (
        "scan.critical\u{a0}== 0",
        &["1:14: `\\u{a0}` has no meaning here", "a plain space"],
    ),
    (
        "scan.critical\u{200b} == 0",
        &["1:14: `\\u{200b}` has no meaning here", "a plain space"],
    ),
];

#[test]
fn mistakes_are_named_and_right_rules_are_not_refused() {
    for (source, wanted) in CASES.iter().chain(warned::CASES) {
        let text = diagnose(source);
        if wanted.is_empty() {
            assert_eq!(text, "", "{source}");
            // And they can be laid out, which a second time changes nothing.
            let file = format!("//! from: dev/*\n//! to: qa/{{1}}\n\n{source}");
            let laid_out = rule::format("r.cel", &file, &Limits::RULES).expect(source);
            let again = rule::format("r.cel", &laid_out, &Limits::RULES);
            assert_eq!(again.as_ref(), Some(&laid_out));
        }
        for part in *wanted {
            assert!(text.contains(part), "{source}\nwanted: {part}\ngot: {text}");
        }
    }
}

#[test]
fn at_most_five_errors_are_reported() {
    let source = (0..9)
        .map(|at| format!("x{at} == 1"))
        .collect::<Vec<_>>()
        .join(" && ");
    assert_eq!(diagnose(&source).matches("no variable").count(), 5);
}
