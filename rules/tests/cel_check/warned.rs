//! Rules that can be evaluated and are hardly meant so.

/// Source, and what the diagnostics must contain; nothing means that there are none.
pub const CASES: &[(&str, &[&str])] = &[
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
