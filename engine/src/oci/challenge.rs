//! Reading `WWW-Authenticate`: which login a registry asks for.

use std::collections::BTreeMap;

/// One challenge of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token fetched from a token server.
    Bearer(TokenServer),
}

/// Where tokens of a registry are to be had, and for what this one was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TokenServer {
    /// Address of the token server.
    pub realm: String,
    /// The registry's name there.
    pub service: Option<String>,
    /// What the refused request would need; a mount needs two.
    pub scopes: Vec<String>,
}

/// The challenges in the values of `WWW-Authenticate`, in order. What is not understood is left
/// out; a Bearer challenge without a realm is not one.
pub(super) fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    values
        .into_iter()
        .flat_map(schemes)
        .filter_map(|(scheme, fields)| challenge(&scheme, fields))
        .collect()
}

fn challenge(scheme: &str, mut fields: BTreeMap<String, String>) -> Option<Challenge> {
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let scopes = fields.remove("scope").unwrap_or_default();
    Some(Challenge::Bearer(TokenServer {
        realm: fields.remove("realm")?,
        service: fields.remove("service"),
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
    }))
}

/// Splits one header value into schemes and their `key=value` fields. A word that no `=` follows
/// begins the next scheme.
fn schemes(value: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            return found;
        }
        match after.trim_start().strip_prefix('=') {
            Some(after) => {
                let (text, after) = field_value(after.trim_start());
                if let Some((_, fields)) = found.last_mut() {
                    fields.insert(word.to_ascii_lowercase(), text);
                }
                rest = after;
            }
            None => {
                found.push((word.to_owned(), BTreeMap::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string at the start of `text`, and what follows it.
fn field_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        Challenge::Bearer(TokenServer {
            realm: realm.into(),
            service: service.map(Into::into),
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        })
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let check =
            |value: &str, expected: &[Challenge]| assert_eq!(parse([value]), expected, "{value}");
        check("Basic realm=\"dev-registry\"", &[Challenge::Basic]);
        check(
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
            &[bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                &["repository:a/b:pull"],
            )],
        );
        check(
            "Bearer realm=\"http://h/t\",service=\"s\",scope=\"repository:stage/web:pull,push repository:dev/web:pull\",error=\"insufficient_scope\"",
            &[bearer(
                "http://h/t",
                Some("s"),
                &["repository:stage/web:pull,push", "repository:dev/web:pull"],
            )],
        );
        check(
            "bearer Realm=http://h/t , Service = s",
            &[bearer("http://h/t", Some("s"), &[])],
        );
        check(
            "Negotiate, Basic realm=\"a \\\"b\\\", c\", Bearer realm=\"http://h\"",
            &[Challenge::Basic, bearer("http://h", None, &[])],
        );
    }

    #[test]
    fn what_is_no_challenge_is_left_out() {
        for value in [
            "",
            ",",
            "=",
            "Bearer",
            "Bearer service=\"x\"",
            "Digest realm=\"x\"",
            "Bearer realm=\"",
            "\"\u{e9}",
        ] {
            assert!(
                parse([value])
                    .iter()
                    .all(|found| *found == bearer("", None, &[])),
                "{value:?}: {:?}",
                parse([value])
            );
        }
    }
}
