//! Templates: what placeholders give, and what is refused when a rule is loaded.

use chrono::{DateTime, Utc};

use super::{IllegalResult, Template, TemplateError, TemplateInput};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn render(text: &str) -> String {
    let captures = ["shop".to_owned(), "api".to_owned()];
    let time: DateTime<Utc> = "2026-11-23T04:05:06.123456Z".parse().unwrap();
    Template::parse(text, captures.len())
        .unwrap()
        .render(&TemplateInput {
            tag: "1.4.0",
            digest: DIGEST,
            repository: "dev/shop/api",
            captures: &captures,
            time,
        })
}

#[test]
fn placeholders_stand_for_the_source() {
    for (text, expected) in [
        ("{tag}", "1.4.0"),
        ("staging/{1}-{2}", "staging/shop-api"),
        ("{name}.{short_digest}", "api.0123456789ab"),
        ("{repository}@{digest}", &format!("dev/shop/api@{DIGEST}")),
        ("{tag}-{time:%Y%m%d-%H%M}", "1.4.0-20261123-0405"),
        ("{time:%j.%6f}", "327.123456"),
        ("{{{tag}}}", "{1.4.0}"),
        ("plain", "plain"),
        ("{time:100%%}", "100%"),
    ] {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn a_mistake_is_refused_at_its_place_with_a_remedy() {
    for (text, at, message, help) in [
        ("", "", "empty template", "`{tag}` keeps"),
        (
            "x-{tga}",
            "{tga}",
            "unknown placeholder `{tga}`",
            "did you mean `{tag}`?",
        ),
        (
            "{Tag}",
            "{Tag}",
            "unknown placeholder `{Tag}`",
            "did you mean `{tag}`?",
        ),
        ("{}", "{}", "unknown placeholder `{}`", "there are"),
        ("a{tag", "{", "`{` without `}`", "`{{`"),
        ("a}b", "}", "`}` without `{`", "`}}`"),
        ("{3}", "{3}", "no wildcard for `{3}`", "2 wildcards"),
        ("{0}", "{0}", "no wildcard for `{0}`", "counted from"),
        (
            "{99999999999999999999}",
            "{99999999999999999999}",
            "no wildcard for",
            "2 wildcards",
        ),
        ("{time}", "{time", "`time` needs a format", "{time:%Y"),
        ("{time:}", "{time", "`time` needs a format", "{time:%Y"),
        (
            "{timestamp:%Y}",
            "{timestamp:%Y}",
            "unknown placeholder",
            "{time:%Y",
        ),
        ("a{time:%Y%Q}", "%Q", "unknown time symbol `%Q`", "common"),
        ("a{time:%Y%}", "%", "unknown time symbol `%`", "common"),
    ] {
        let error = Template::parse(text, 2).unwrap_err();
        assert_eq!(text.get(error.span()), Some(at), "{text}");
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert!(error.help().contains(help), "{text}: {}", error.help());
    }
    let none = Template::parse("{1}", 0).unwrap_err();
    assert!(matches!(
        none,
        TemplateError::NoSuchCapture { captures: 0, .. }
    ));
}

#[test]
fn a_tag_that_can_never_be_legal_is_refused() {
    for (text, expected) in [
        ("{digest}", IllegalResult::DigestInTag),
        ("{repository}", IllegalResult::RepositoryInTag),
        ("a/b", IllegalResult::TagCharacter { character: '/' }),
        ("{tag} x", IllegalResult::TagCharacter { character: ' ' }),
        (
            "{tag}-{time:%H:%M}",
            IllegalResult::TagCharacter { character: ':' },
        ),
        (
            "{tag}-{time:%z}",
            IllegalResult::TagCharacter { character: '+' },
        ),
        (".{tag}", IllegalResult::TagStart { character: '.' }),
        ("-x", IllegalResult::TagStart { character: '-' }),
    ] {
        assert_eq!(
            Template::parse(text, 2).unwrap().can_be_legal_tag(),
            Err(expected),
            "{text}"
        );
    }
    let long = format!("{}{{tag}}", "x".repeat(128));
    assert_eq!(
        Template::parse(&long, 0).unwrap().can_be_legal_tag(),
        Err(IllegalResult::TagTooLong { least_length: 129 })
    );
    for text in [
        "{tag}",
        "{1}-{tag}",
        "_{time:%Y-%b-%d}.{short_digest}",
        "{name}-{time:%e}",
    ] {
        assert_eq!(
            Template::parse(text, 2).unwrap().can_be_legal_tag(),
            Ok(()),
            "{text}"
        );
    }
}

#[test]
fn a_repository_that_can_never_be_legal_is_refused() {
    for (text, expected) in [
        ("x/{digest}", IllegalResult::DigestInRepository),
        (
            "staging/{1}:{tag}",
            IllegalResult::RepositoryCharacter { character: ':' },
        ),
        (
            "Staging/{1}",
            IllegalResult::RepositoryCharacter { character: 'S' },
        ),
        ("/staging", IllegalResult::EmptyRepositoryPart),
        ("staging//{1}", IllegalResult::EmptyRepositoryPart),
        ("{1}/", IllegalResult::EmptyRepositoryPart),
    ] {
        let result = Template::parse(text, 2).unwrap().can_be_legal_repository();
        assert_eq!(result, Err(expected), "{text}");
    }
    for text in [
        "staging/{1}",
        "r.example.com:5000/{1}/{2}",
        "{repository}",
        "{name}",
    ] {
        let result = Template::parse(text, 2).unwrap().can_be_legal_repository();
        assert_eq!(result, Ok(()), "{text}");
    }
}

#[test]
fn only_a_time_placeholder_uses_time() {
    assert!(Template::parse("{time:%Y}", 0).unwrap().uses_time());
    assert!(!Template::parse("{tag}-time", 0).unwrap().uses_time());
}
