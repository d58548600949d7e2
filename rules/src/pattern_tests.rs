//! Repository patterns: what they cover, capture and refuse.

use super::{PatternError, RepositoryPattern, RepositoryPatterns};

fn check(pattern: &str, name: &str, expected: Option<&[&str]>) {
    let parsed: RepositoryPattern = pattern.parse().unwrap();
    let captured = parsed.captures(name);
    let captured: Option<Vec<&str>> = captured
        .as_ref()
        .map(|found| found.iter().map(String::as_str).collect());
    assert_eq!(captured.as_deref(), expected, "{pattern} on {name}");
    assert_eq!(
        parsed.matches(name),
        expected.is_some(),
        "{pattern} on {name}"
    );
}

#[test]
fn a_star_stays_within_one_part_and_two_cross_them() {
    check("dev/*", "dev/shop", Some(&["shop"]));
    check("dev/*", "dev/shop/api", None);
    check("dev/*", "dev/", None);
    check("dev/**", "dev/shop/api", Some(&["shop/api"]));
    check("**", "dev/shop", Some(&["dev/shop"]));
    check("*", "shop", Some(&["shop"]));
    check("*", "dev/shop", None);
    check("*/*", "dev/shop", Some(&["dev", "shop"]));
    check("team-*/app", "team-/app", Some(&[""]));
    check("team-*/app", "team-a/app", Some(&["a"]));
}

#[test]
fn a_pattern_is_for_the_whole_name() {
    check("dev/shop", "dev/shop", Some(&[]));
    check("dev/shop", "dev/shop2", None);
    check("dev/shop", "my/dev/shop", None);
    check("dev/*", "mydev/shop", None);
    check(
        "r.example.com:5000/dev/*",
        "r.example.com:5000/dev/shop",
        Some(&["shop"]),
    );
}

#[test]
fn everything_but_stars_stands_for_itself() {
    check("a.b/*", "axb/c", None);
    check("a-b_c/*", "a-b_c/d", Some(&["d"]));
}

#[test]
fn the_first_wildcard_takes_as_much_as_it_can() {
    check("*-*", "a-b-c", Some(&["a-b", "c"]));
    check("**/*", "a/b/c", Some(&["a/b", "c"]));
    check("a**b**", "axbxbx", Some(&["xbx", "x"]));
}

#[test]
fn an_index_can_use_what_comes_before_the_first_wildcard() {
    for (pattern, prefix) in [("dev/*", "dev/"), ("**", ""), ("a/b", "a/b"), ("x*y", "x")] {
        assert_eq!(
            pattern
                .parse::<RepositoryPattern>()
                .unwrap()
                .literal_prefix(),
            prefix
        );
    }
}

#[test]
fn a_list_uses_the_first_that_matches() {
    let list: RepositoryPatterns = "dev/*, dev/**,*/shop".parse().unwrap();
    assert_eq!(list.captures("dev/shop"), Some(vec!["shop".to_owned()]));
    assert_eq!(list.captures("dev/a/b"), Some(vec!["a/b".to_owned()]));
    assert_eq!(list.captures("prod/shop"), Some(vec!["prod".to_owned()]));
    assert_eq!(list.captures("prod/x"), None);
    assert_eq!(list.to_string(), "dev/*, dev/**, */shop");
    let uneven: RepositoryPatterns = "dev/*, shop".parse().unwrap();
    assert_eq!(uneven.least_wildcards(), 0);
}

#[test]
fn text_that_matches_nothing_is_refused_at_its_place() {
    for (text, expected) in [
        ("", PatternError::Empty { at: 0 }),
        ("dev/*,", PatternError::Empty { at: 6 }),
        ("dev/*, ,x", PatternError::Empty { at: 7 }),
        ("a,/dev", PatternError::EmptyPart { at: 2 }),
        ("dev//x", PatternError::EmptyPart { at: 4 }),
        ("dev/", PatternError::EmptyPart { at: 3 }),
        ("dev/***", PatternError::ThreeStars { at: 4 }),
        (
            "dev/{1}",
            PatternError::IllegalCharacter {
                at: 4,
                character: '{',
            },
        ),
        (
            "dev/shop:1",
            PatternError::IllegalCharacter {
                at: 8,
                character: ':',
            },
        ),
        (
            "dev/é",
            PatternError::IllegalCharacter {
                at: 4,
                character: 'é',
            },
        ),
        (
            "a, Dev/*",
            PatternError::UpperCase {
                at: 3,
                character: 'D',
            },
        ),
    ] {
        let error = text.parse::<RepositoryPatterns>().unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(
            text.get(error.span()).is_some(),
            "{text}: span outside the text"
        );
    }
}

#[test]
fn many_wildcards_on_a_long_name_stay_cheap() {
    let pattern: RepositoryPattern = "**a**a**a**a**a**a**a**ab".parse().unwrap();
    assert!(!pattern.matches(&"a".repeat(10_000)));
    assert!("*a*a*a*a*a*a*a*a*a*".parse::<RepositoryPattern>().is_err());
}
