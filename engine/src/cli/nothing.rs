//! What is said where a repository, or a pattern of such, finds nothing: what was perhaps meant.

use std::collections::BTreeSet;

use weir_rules::{pattern::RepositoryPatterns, suggest::nearest};

use super::{CliError, access::Source, on_one_line};

/// Says on stderr that no repository that has tags now matches `asked`, if that is so.
///
/// # Errors
/// If nobody can be asked.
pub(super) fn hint(source: &mut Source, asked: &str) -> Result<(), CliError> {
    let Ok(patterns) = asked.parse::<RepositoryPatterns>() else {
        return Ok(());
    };
    let names = source.repositories()?;
    if names.iter().any(|name| patterns.matches(name)) {
        return Ok(());
    }
    let meant = meant(asked, &names).unwrap_or_default();
    tell!(
        "hint: no repository that has tags is `{}`{}",
        on_one_line(asked),
        on_one_line(&meant)
    );
    Ok(())
}

/// What was perhaps meant: the parts of a name before any wildcard may have slips of the hand, or be
/// those of repositories below.
fn meant(asked: &str, names: &[String]) -> Option<String> {
    let parts: Vec<&str> = asked.split('/').collect();
    let wildcard = parts.iter().position(|part| part.contains('*'));
    let (plain, rest) = parts.split_at(wildcard.unwrap_or(parts.len()));
    let begins = |name: &String| {
        let parts: Vec<&str> = name.split('/').collect();
        parts.get(..plain.len()).map(|parts| parts.join("/"))
    };
    let known: BTreeSet<String> = names.iter().filter_map(begins).collect();
    let plain = plain.join("/");
    if known.contains(&plain) {
        return wildcard
            .is_none()
            .then(|| format!("; list what is below it with `weir list '{plain}/**'`"));
    }
    let near = nearest(&plain, known.iter().map(String::as_str))?;
    let near = [&[near], rest].concat().join("/");
    Some(format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_perhaps_meant_is_a_name_with_a_slip_or_one_above() {
        let names = ["dev/api", "dev/web", "staging/team/api"].map(str::to_owned);
        for (asked, expected) in [
            ("dev/apo", "; did you mean `dev/api`?"),
            ("dve/**", "; did you mean `dev/**`?"),
            ("stagng/*/api", "; did you mean `staging/*/api`?"),
            (
                "staging/team",
                "; list what is below it with `weir list 'staging/team/**'`",
            ),
            ("dev/x*", ""),
            ("dev/nothing", ""),
            ("**/api2", ""),
        ] {
            let told = meant(asked, &names).unwrap_or_default();
            assert_eq!(told, expected, "{asked}");
        }
    }
}
