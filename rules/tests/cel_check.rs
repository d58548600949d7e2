//! What the checker refuses, where it points, and what it suggests.

mod cel_support;

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
    // Warnings
    (
        "artifact.labels['team'] == 'shop'",
        &[
            "1:17: warning: 'team' may not be in the map",
            "`artifact.labels[?\"team\"].orValue(...)`",
            "`\"team\" in artifact.labels`",
        ],
    ),
    (
        "artifact.annotations.team == 'shop'",
        &["1:22: warning: 'team' may not be in the map"],
    ),
    (
        "artifact.labels['team'] == 'shop' || 'team' in artifact.labels",
        &["1:17: warning: 'team' may not be in the map"],
    ),
    (
        "scan.critical >= 0",
        &["1:1: warning: this is always true: `scan.critical` is never negative"],
    ),
    (
        "images.all(i, 0 > i.scan.high)",
        &["1:15: warning: this is always false"],
    ),
    ("0 < scan.high", &[]),
    (
        "tag.name >= '1.10.0'",
        &["warning: this compares versions letter by letter", "semver"],
    ),
    (
        "vulnerabilities.all(v, v.fixed_version < v.version)",
        &["letter by letter"],
    ),
    (
        "vulnerabilities.all(v, v.severity != 'Critical')",
        &["'severity' is never 'Critical'", "did you mean 'CRITICAL'?"],
    ),
    (
        "artifact.class in ['app', 'imgae']",
        &["'class' is never 'imgae'"],
    ),
    (
        "scan.high == 0 && 1 == 1",
        &["1:19: warning: this clause is always true"],
    ),
    (
        "scan.high == 0 && scan.low == scan.low",
        &["warning: this clause is always true"],
    ),
    (
        "10 / scan.high > 2",
        &[
            "warning: this may divide by zero",
            "guard it with `scan.high != 0 && ...`",
        ],
    ),
    ("scan.high > 0 && 10 / scan.high > 2", &[]),
    ("10 % scan.high > 2 && 0 != scan.high", &[]),
    ("scan.high == 0 || 10 / scan.high > 2", &[]),
    ("!(scan.high < 1) && 10 / scan.high > 2", &[]),
    ("scan.high == 0 ? true : 10 / scan.high > 2", &[]),
    (
        "size(images) >= 1 && images.map(i, i.scan.high).sum() / images.size() < 3",
        &[],
    ),
    (
        "scan.high + scan.low != 0 && 10 / (scan.high + scan.low) > 2",
        &[],
    ),
    (
        "images.all(i, i.scan.total == 0 || i.scan.fixable * 100 / i.scan.total > 50)",
        &[],
    ),
    (
        "scan.high >= 0 && 10 / scan.high > 2",
        &["this may divide by zero"],
    ),
    (
        "scan.high > 0 || 10 / scan.high > 2",
        &["this may divide by zero"],
    ),
    (
        "scan.high > 0 && 10 / scan.low > 2",
        &["this may divide by zero"],
    ),
    (
        "images.exists(i, i.scan.total > 0) && images.all(i, 10 / i.scan.total > 2)",
        &["this may divide by zero"],
    ),
    (
        "10 / vulnerabilities.filter(v, v.score > 7.0).size() > 2",
        &["this may divide by zero", "`cel.bind(n, ..., n != 0 && "],
    ),
    // Words
    (
        "vulnerabilities.all(v, v.severity < 'HIGH')",
        &[
            "1:24: warning: this compares letter by letter: the words of 'severity' have no order",
            "`v.severity in [\"CRITICAL\", \"HIGH\"]`",
            "`scan.critical`",
        ],
    ),
    (
        "'HIGH' <= artifact.class",
        &[
            "the words of 'class' have no order",
            "`artifact.class in [\"app\", \"index\"]`",
        ],
    ),
    (
        "'critical' in vulnerabilities.map(v, v.severity)",
        &[
            "1:1: warning: 'severity' is never 'critical'",
            "did you mean 'CRITICAL'?",
        ],
    ),
    (
        "['critical', 'HIGH'].all(s, !vulnerabilities.exists(v, v.severity == s))",
        &["1:2: warning: 'severity' is never 'critical'"],
    ),
    (
        "{'critical': 1}.all(s, !vulnerabilities.exists(v, v.severity == s))",
        &["1:2: warning: 'severity' is never 'critical'"],
    ),
    (
        "vulnerabilities.map(v, v.severity).exists(s, s == 'critical')",
        &["1:51: warning: 'severity' is never 'critical'"],
    ),
    (
        "cel.bind(s, artifact.class, s == 'Image')",
        &["'class' is never 'Image'"],
    ),
    (
        "vulnerabilities.exists(v, v.severity.lowerAscii() == 'CRITICAL')",
        &[
            "1:54: warning: 'severity' is never 'CRITICAL'",
            "did you mean 'critical'?",
        ],
    ),
    (
        "tag.name.lowerAscii() in ['latest', 'Edge']",
        &[
            "1:37: warning: `lowerAscii()` never gives 'Edge'",
            "write 'edge'",
        ],
    ),
    (
        "tag.name.upperAscii() != 'latest'",
        &["`upperAscii()` never gives 'latest'"],
    ),
    (
        "vulnerabilities.exists(v, v.severity.matches('critical'))",
        &["1:46: warning: no word of 'severity' matches this: it is one of CRITICAL, "],
    ),
    (
        "artifact.class.startsWith('App')",
        &["no word of 'class' matches this"],
    ),
    (
        "['CRITICAL', 'HIGH'].all(s, !vulnerabilities.exists(v, v.severity == s)) && \
         !('CRITICAL' in vulnerabilities.map(v, v.severity)) && \
         vulnerabilities.all(v, v.severity.lowerAscii() != 'critical' && v.severity.matches('^[CH]'))",
        &[],
    ),
    (
        "['zlib', 'HIGH'].all(s, !vulnerabilities.exists(v, v.package == s)) && tag.pushed_by < artifact.digest",
        &[],
    ),
    // Numbers that decide a comparison
    (
        "now.getMonth() == 12",
        &[
            "1:1: warning: this is always false: `now.getMonth()` is from 0 to 11",
            "January is 0 and December 11",
        ],
    ),
    (
        "tag.pushed_at.getHours() == 24",
        &["this is always false: `tag.pushed_at.getHours()` is from 0 to 23"],
    ),
    (
        "now.getHours('Europe/Berlin') > 23",
        &["this is always false"],
    ),
    ("now.getDate() == 0", &["`now.getDate()` is from 1 to 31"]),
    (
        "now.getDayOfMonth() == 31",
        &["is from 0 to 30", "`getDate()` counts from 1"],
    ),
    ("now.getDayOfYear() == 366", &["is from 0 to 365"]),
    (
        "now.getDayOfWeek() <= 7",
        &["this is always true", "Sunday is 0 and Saturday 6"],
    ),
    (
        "now.getDayOfWeek() in [1, 7]",
        &["1:27: warning: `now.getDayOfWeek()` is never 7: it is from 0 to 6"],
    ),
    (
        "now.getHours() >= 0 && now.getHours() < 24 && now.getDayOfWeek() <= 6 && \
         (now - tag.pushed_at).getHours() > 24 && now.getDayOfYear() == 365",
        &[],
    ),
    // What excludes itself
    (
        "tag.name != 'latest' || tag.name != 'edge'",
        &[
            "1:1: warning: this is always true: `tag.name` is never both",
            "write `&&`, or `!(tag.name in [...])`",
        ],
    ),
    (
        "scan.high == 0 && (tag.name == 'a' && 'b' == tag.name)",
        &[
            "1:20: warning: this is always false: `tag.name` is never both",
            "write `||`",
        ],
    ),
    (
        "scan.high == 1 && scan.low == 1 && scan.high == 2",
        &["`scan.high` is never both"],
    ),
    (
        "(tag.name != 'a' || repository.name != 'b') && (tag.name == 'a' || tag.name == 'b')",
        &[],
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
    // Patterns and words
    (
        "!tag.name.startsWith('v*')",
        &["1:22: warning: 'name' never has a `*`", "`matches()`"],
    ),
    (
        "repository.name != 'dev/secret*'",
        &["1:20: warning: 'name' never has a `*`"],
    ),
    (
        "target.tag in ['a', 'v?'] || lineage.exists(hop, hop.repository == 'qa/*')",
        &["'tag' never has a `?`", "'repository' never has a `*`"],
    ),
    (
        "tag.name.matches('^v.*$') && artifact.labels['x'] != '*' && tag.pushed_by != '*'",
        &["'x' may not be in the map"],
    ),
    (
        "!sets.intersects(vulnerabilities.map(v, v.severity), ['critical'])",
        &["warning: 'severity' is never 'critical'", "'CRITICAL'"],
    ),
    (
        "!sets.contains(['HIGH', 'Low'], vulnerabilities.map(v, v.severity))",
        &["'severity' is never 'Low'"],
    ),
    (
        "!vulnerabilities.exists(v, v.severity in (['critical'] + ['HIGH']))",
        &["'severity' is never 'critical'"],
    ),
    (
        "!sets.intersects(vulnerabilities.map(v, v.severity), ['CRITICAL'] + ['HIGH'])",
        &[],
    ),
    ("has(tag['x'])", &["`has()` takes a field", "`key in map`"]),
];

#[test]
fn mistakes_are_named_and_right_rules_are_not_refused() {
    for (source, wanted) in CASES {
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
