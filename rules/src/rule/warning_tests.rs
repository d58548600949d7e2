//! Warnings about rules that can be loaded and are hardly meant so.

use super::Located;
use super::tests::{PROMOTE, load};

#[test]
fn a_vote_that_is_never_asked_for_is_a_warning() {
    let text = format!("{PROMOTE}//! separate: pusher\ntag.name == \"x\"");
    let loaded = load(&[("r.cel", &text)]).unwrap();
    let messages: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(messages, ["`separate` without `approvals` does nothing"]);
}

#[test]
fn a_rule_that_can_only_ever_lead_to_where_a_tag_is_has_a_warning() {
    let warnings = |header: &str| -> usize {
        let text = format!("{header}\nscan.critical == 0");
        load(&[("r.cel", &text)]).unwrap().warnings.len()
    };
    for onto_itself in [
        "//! from: dev/*\n//! to: dev/{1}",
        "//! from: dev/*\n//! to: {repository}\n//! tag: {tag}",
        "//! from: dev/*/x/**\n//! to: dev/{1}/x/{2}",
        "//! from: dev/app\n//! to: dev/app",
    ] {
        assert_eq!(warnings(onto_itself), 1, "{onto_itself}");
    }
    for elsewhere in [
        "//! from: dev/*\n//! to: dev/{1}\n//! tag: stable",
        "//! from: dev/*, qa/*\n//! to: dev/{1}",
        "//! from: dev/*/*\n//! to: dev/{2}/{1}",
        "//! from: *\n//! to: dev/{1}",
    ] {
        assert_eq!(warnings(elsewhere), 0, "{elsewhere}");
    }
}

/// The warnings, with their help, of a deny rule with this header beside promote rules.
fn warnings_of_deny(header: &str, promotes: &[&str]) -> Vec<String> {
    let deny = format!("//! kind: deny\n{header}\ntag.name == \"x\"");
    let texts = promotes
        .iter()
        .map(|header| format!("{header}\ntag.name == \"x\""));
    let texts: Vec<String> = [deny].into_iter().chain(texts).collect();
    let paths: Vec<String> = (0..texts.len()).map(|at| format!("r{at}.cel")).collect();
    let files: Vec<(&str, &str)> = paths
        .iter()
        .zip(&texts)
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let shown = |warning: &Located| {
        let help = warning.help.as_deref().unwrap_or_default();
        format!(
            "{}:{}: {}: {help}",
            warning.line, warning.column, warning.message
        )
    };
    load(&files).unwrap().warnings.iter().map(shown).collect()
}

#[test]
fn a_deny_rule_that_nothing_meets_has_a_warning_with_what_was_meant() {
    let qualified = "//! from: dev/*\n//! to: other.example:5000/prod/{1}";
    let plain = "//! from: dev/*\n//! to: prod/{1}";
    for (deny, promote, wanted) in [
        (
            "//! to: production/**",
            plain,
            "2:9: no rule of this set promotes to what `production/**` matches: \
             only promotions by hand are denied: \
             did you mean `prod/**`? the targets are `prod/{1}`",
        ),
        (
            "//! to: prod/**",
            qualified,
            "did you mean `other.example:5000/prod/**`?",
        ),
        (
            "//! to: other.example:5000/prod/**",
            plain,
            "did you mean `prod/**`?",
        ),
        ("//! to: prod", plain, "did you mean `prod/**`?"),
        ("//! to: prdo/*", plain, "did you mean `prod/*`?"),
        ("//! to: prod/*/*", plain, "did you mean `prod/**`?"),
        (
            "//! to: qa/**, test/**",
            plain,
            "by hand are denied: the targets are `prod/{1}`",
        ),
        (
            "//! from: dev/**",
            "//! from: h.example/dev/*\n//! to: prod/{1}",
            "2:11: no rule of this set promotes from what `dev/**` matches: \
             only promotions by hand are denied: \
             did you mean `h.example/dev/**`? the sources are `h.example/dev/*`",
        ),
        (
            "//! to: mirror.example/prod/**",
            "//! from: dev/*\n//! to: mirror.example/{repository}",
            "the targets are `mirror.example/{repository}`",
        ),
    ] {
        let warnings = warnings_of_deny(deny, &[promote]);
        assert!(
            warnings.len() == 1 && warnings[0].contains(wanted),
            "{deny}: {warnings:?}"
        );
    }
    let both = "//! from: dev/**\n//! to: prod/**";
    let stages = [
        "//! from: dev/*\n//! to: qa/{1}",
        "//! from: qa/*\n//! to: prod/{1}",
    ];
    let warnings = warnings_of_deny(both, &stages);
    assert!(
        warnings.len() == 1 && warnings[0].contains("promotes from `dev/**` to `prod/**`"),
        "{warnings:?}"
    );
}

#[test]
fn a_deny_rule_without_classes_that_lets_artifacts_pass_has_a_warning() {
    let charts = "//! from: dev/*\n//! to: prod/{1}\n//! class: image, artifact";
    let warnings = warnings_of_deny("//! to: prod/**", &[charts]);
    assert_eq!(
        warnings,
        [
            "1:11: without `class` this denies no artifacts, and `r1` (r1.cel) promotes them to what it \
             speaks of: write `class: app, index, image, artifact` to deny them too, or \
             `class: app, index, image` if they may pass"
        ]
    );
    assert_eq!(warnings_of_deny("//! from: dev/**", &[charts]).len(), 1);
    for (deny, promote) in [
        ("//! to: prod/**\n//! class: app, index, image", charts),
        (
            "//! to: prod/**\n//! class: app, index, image, artifact",
            charts,
        ),
        ("//! to: prod/**\n//! severity: off", charts),
        ("//! to: prod/**", "//! from: dev/*\n//! to: prod/{1}"),
        ("//! to: prod/**", &format!("{charts}\n//! severity: off")),
    ] {
        assert_eq!(warnings_of_deny(deny, &[promote]), [""; 0], "{deny}");
    }
    let elsewhere = "//! from: dev/*\n//! to: qa/{1}\n//! class: artifact";
    let images = "//! from: dev/*\n//! to: prod/{1}";
    assert_eq!(
        warnings_of_deny("//! to: prod/**", &[elsewhere, images]),
        [""; 0]
    );
}

#[test]
fn a_deny_rule_that_something_may_meet_has_no_warning() {
    for (deny, promotes) in [
        (
            "//! to: prod/**",
            &["//! from: dev/*\n//! to: prod/{1}"][..],
        ),
        ("//! to: prod/app", &["//! from: dev/*\n//! to: prod/{1}"]),
        ("//! to: prod/a/*", &["//! from: dev/**\n//! to: prod/{1}"]),
        (
            "//! to: **/app",
            &["//! from: **\n//! to: other.example/{repository}"],
        ),
        (
            "//! to: old/**, prod/**",
            &["//! from: dev/*\n//! to: prod/{name}"],
        ),
        ("//! about: all", &["//! from: dev/*\n//! to: prod/{1}"]),
        ("//! to: production/**", &[]),
    ] {
        assert_eq!(warnings_of_deny(deny, promotes), [""; 0], "{deny}");
    }
}

/// `line:column: message` of the warnings of one file.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load(&[("r.cel", text)]).unwrap_or_else(|errors| panic!("{errors}"));
    let shown =
        |warning: &Located| format!("{}:{}: {}", warning.line, warning.column, warning.message);
    loaded.warnings.iter().map(shown).collect()
}

#[test]
fn a_comment_that_looks_like_a_header_line_has_a_warning() {
    let alike = "this looks like a header line and is a comment";
    for (header, expression, place) in [
        ("/// approvals: 2\n", "tag.name == \"x\"", "3:1"),
        ("// ! approvals: 2\n", "tag.name == \"x\"", "3:1"),
        ("", "tag.name == \"x\" //! approvals: 2", "3:17"),
        ("", "tag.name == \"x\" && // !soak: 2h\n true", "3:20"),
        ("", "tag.name == \"x\"\n/// soak: 2h", "4:1"),
    ] {
        let text = format!("{PROMOTE}{header}{expression}\n");
        let found = warnings(&text);
        assert!(
            found.contains(&format!("{place}: {alike}")),
            "{text}: {found:?}"
        );
    }
    for text in [
        "// approvals: 2\ntag.name == \"x\"",
        "/// The tags of to: and from.\ntag.name == \"x\"",
        "tag.name == \"x//! approvals: 2\"",
        "tag.name == \"x\" // see //! approvals: 2",
        "// https://example.com/soak: not ours\ntag.name == \"x\"",
    ] {
        assert_eq!(warnings(&format!("{PROMOTE}{text}\n")), [""; 0], "{text}");
    }
}

#[test]
fn findings_of_what_need_not_be_scanned_are_asked_for_with_the_scan() {
    let header = format!("{PROMOTE}//! class: image\n//! scan: not-required\n");
    let message = "with `scan: not-required`, an image that was never scanned has no findings here";
    for (expression, place) in [
        ("scan.critical == 0", "5:1"),
        ("tag.name == \"x\" && scan.max_score < 7.0", "5:20"),
        ("vulnerabilities.all(v, v.age < duration(\"1h\"))", "5:1"),
        ("images.all(i, i.scan.fixable == 0)", "5:15"),
        ("images.all(i, i.vulnerabilities.size() == 0)", "5:15"),
    ] {
        let found = warnings(&format!("{header}{expression}"));
        assert_eq!(found, [format!("{place}: {message}")], "{expression}");
        let required = format!("{PROMOTE}//! class: image\n{expression}");
        assert_eq!(warnings(&required), [""; 0], "{expression}");
    }
    let licenses = "images.all(i, i.licenses.all(l, !l.startsWith(\"GPL\")))";
    let told = message.replace("findings", "licenses");
    assert_eq!(
        warnings(&format!("{header}{licenses}")),
        [format!("5:15: {told}")]
    );
    for expression in [
        "images.all(i, i.scan.state == \"completed\" && !(\"GPL-3.0\" in i.licenses))",
        "!has(scan.oldest) || scan.critical == 0",
        "images.all(i, i.scan.state == \"completed\") && vulnerabilities.size() == 0",
        "images.all(i, i.scan.age < duration(\"24h\") && i.scan.high == 0)",
        "artifact.labels.critical == \"no\" || !(\"critical\" in artifact.labels)",
        "tag.name == \"x\"",
    ] {
        let found = warnings(&format!("{header}{expression}"));
        let found = found.iter().filter(|warning| warning.contains(message));
        assert_eq!(found.count(), 0, "{expression}");
    }
}
