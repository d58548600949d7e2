//! What generated histories are made of: names, and parts of rules.

pub(super) const REPOSITORIES: [&str; 6] = [
    "dev/web",
    "dev/api",
    "dev/web",
    "staging/web",
    "prod/web",
    "dev/deep/er",
];
pub(super) const TAGS: [&str; 4] = ["1.0", "1.1", "latest", "RC_1"];
pub(super) const SCANNERS: [&str; 3] = ["trivy", "trivy", "grype"];
pub(super) const SEVERITIES: [&str; 4] = ["CRITICAL", "HIGH", "LOW", "what"];
pub(super) const ACTORS: [&str; 3] = ["alice", "bob", "carol"];

/// Where rules lead. Some lead to where no tag can be, some in a circle.
pub(super) const WAYS: [&str; 13] = [
    "dev/* -> staging/{1}",
    "dev/* -> staging/{1}",
    "dev/* -> staging/{1}",
    "staging/* -> prod/{1}",
    "staging/* -> prod/{1}",
    "dev/* -> staging/web; tag: latest",
    "dev/** -> prod/{name}",
    "dev/*, staging/* -> prod/{1}",
    "staging/* -> dev/{1}",
    "** -> prod/{name}",
    "dev/api -> dev/web",
    "dev/* -> prod/{tag}",
    "dev/** -> staging/web; tag: {1}",
];

/// What a rule's header may say besides.
pub(super) const HEADERS: [&str; 13] = [
    "; class: app",
    "; class: app, index, image, artifact",
    "; class: image",
    "; scan: not-required",
    "; scanners: trivy, grype",
    "; soak: 6h",
    "; approvals: 1",
    "; approvals: 2; separate: pusher",
    "; approvals: 1; separate: rule-owner; owner: alice",
    "; window: Mon-Thu 08:00-16:00 Europe/Berlin",
    "; severity: warn",
    "; severity: off",
    "; soak: 3h; approvals: 1",
];

/// What the target tag is, where the way does not say it.
pub(super) const TARGETS: [&str; 4] = [
    "; tag: latest",
    "; tag: {tag}-rc",
    "; tag: {tag}-{short_digest}",
    "; tag: {tag}-{time:%H}",
];

/// Conditions that mostly hold.
pub(super) const EASY: [&str; 3] = ["true", "scan.critical == 0", "scan.high < 3"];

/// Conditions: each kind of fact, some that fail, some that hang on the time.
pub(super) const EXPRESSIONS: [&str; 28] = [
    "scan.critical == 0 && scan.high <= 1",
    "scan.fixable == 0 || scan.total < 2",
    "scan.max_score < 8.0",
    "scan.unknown == 0",
    "vulnerabilities.all(v, v.severity != \"HIGH\" || v.age < duration(\"12h\"))",
    "vulnerabilities.all(v, v.fixed_version == \"\")",
    "images.all(i, i.scan.state == \"completed\")",
    "images.all(i, i.scan.critical == 0 && i.vulnerabilities.size() < 2)",
    "images.all(i, i.scan.age < duration(\"20h\"))",
    "images.all(i, !has(i.scan.db_age) || i.scan.db_age < duration(\"30h\"))",
    "images.all(i, \"grype\" in i.scan.scanners)",
    "images.exists(i, i.role == \"component\" || i.role == \"self\")",
    "images.all(i, i.licenses.all(l, l != \"GPL-3.0\"))",
    "scan.oldest > now - duration(\"36h\")",
    "artifact.labels[\"team\"] == \"a\" || scan.critical == 0",
    "!(\"team\" in artifact.labels) || artifact.labels[\"team\"] == \"a\"",
    "artifact.class == \"app\" || repository.name == \"dev/web\"",
    "10 / scan.high > 3",
    "!target.exists || scan.high == 0",
    "target.digest == \"\" || tag.previous_digest != target.digest",
    "!repository.immutable_tags && !target.immutable_tags",
    "size(lineage) < 2",
    "size(approvals) > 0 && approvals.all(a, a.actor != \"bob\")",
    "referrers.exists(r, r.artifact_type.contains(\"sig\")) || scan.total == 0",
    "now - tag.pushed_at >= duration(\"3h\")",
    "now.getHours() < 12 || tag.pushed_by == \"alice\"",
    "scan.overridden == 0 || scan.critical == 0",
    "overridden.all(o, o.actor != \"bob\" && !has(o.expires_at))",
];

/// What denies.
pub(super) const DENIES: [&str; 8] = [
    "scan.critical > 0",
    "tag.name == \"latest\"",
    "artifact.class == \"app\" && scan.high > 1",
    "6 / scan.high > 5",
    "target.exists && scan.total > 1",
    "size(referrers) == 0 && scan.high > 0",
    "now.getHours() == 7",
    "vulnerabilities.exists(v, v.age > duration(\"15h\"))",
];

/// What a deny rule's header may say besides.
pub(super) const DENY_HEADERS: [&str; 4] = [
    "",
    "; message: no {tag} on {time:%A}",
    "; class: app, index",
    "; severity: warn",
];

/// Patterns of overrides and holds; one that cannot be read.
pub(super) const PATTERNS: [&str; 6] = [
    "dev/*",
    "dev/web",
    "prod/*",
    "**",
    "staging/web",
    "Not/A Pattern",
];
