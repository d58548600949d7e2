//! From a filter, which is text, to what the index is searched for.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use weir_rules::{
    pattern::{PatternError, RepositoryPattern, RepositoryPatterns},
    rule::parse_duration,
    suggest::nearest,
};
use weir_schema::{Body, ReasonCode, Timestamp, Verdict, vulnerability_name};

use super::{
    EventFilter, QueryError,
    condition::Condition,
    contents::{self, Found},
    cursor::Cursor,
};
use crate::log::{
    LogReader, ReadError,
    index::{Dimension, Index, Plan, Search, Test},
};

/// What a filter means.
pub(super) struct Wanted {
    pub(super) search: Search,
    pub(super) condition: Option<Condition>,
}

/// Reads a filter.
pub(super) fn wanted(index: &Index, filter: &EventFilter) -> Result<Wanted, QueryError> {
    let condition = filter.expression.as_deref().map(Condition::compile);
    let condition = condition.transpose().map_err(QueryError::Invalid)?;
    let plan = plan(index, filter)?;
    let now: Timestamp = chrono::Utc::now().into();
    let reader = index.reader();
    let mut from = filter.after.saturating_add(1);
    let mut to = filter.before.unwrap_or(u64::MAX);
    if let Some(since) = &filter.since {
        from = from.max(first_from(reader, time("since", since, now)?)?);
    }
    if let Some(until) = &filter.until {
        to = to.min(first_from(reader, time("until", until, now)?)?);
    }
    let cursor = Cursor::of(filter);
    if let Some(cursor) = cursor.map_err(|why| invalid(format!("the cursor is not good: {why}")))? {
        if filter.newest_first {
            to = to.min(cursor.position);
        } else {
            from = from.max(cursor.position);
        }
    }
    let search = Search {
        plan,
        range: from..to,
        newest_first: filter.newest_first,
    };
    Ok(Wanted { search, condition })
}

fn invalid(problem: String) -> QueryError {
    QueryError::Invalid(problem)
}

/// The first record that is not before `time`.
fn first_from(reader: &LogReader, time: Timestamp) -> Result<u64, ReadError> {
    let just_before = time.saturating_add(-chrono::TimeDelta::nanoseconds(1));
    Ok(reader.last_not_after(just_before)? + 1)
}

/// A time as people write it: RFC 3339, a date, or an age before `now`. `name` says what it is for.
///
/// # Errors
/// If it is none of these.
pub fn time(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, QueryError> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(chrono::NaiveTime::MIN).and_utc().into());
    }
    match parse_duration(text) {
        Ok(age) => Ok(now.saturating_add(-age)),
        Err(_) => Err(invalid(format!(
            "`{name}` is `{text}`, expected a time as `2026-08-21T10:00:00Z`, a date as `2026-08-21`, or an age as `7d` or `12h`"
        ))),
    }
}

fn plan(index: &Index, filter: &EventFilter) -> Result<Plan, QueryError> {
    let mut plan = Plan::Any;
    if let Some(types) = types(&filter.kinds)? {
        plan = plan.and(types);
    }
    let tags = (!filter.tags.is_empty()).then(|| Test::Is(filter.tags.iter().cloned().collect()));
    let repositories = Repositories::of(&filter.repositories)?;
    plan = match (repositories, tags) {
        (None, None) => plan,
        (None, Some(tags)) => plan.and(Plan::Has(Dimension::Tag, tags)),
        (Some(repositories), None) => plan.and(repositories.plan()),
        (Some(repositories), Some(tag)) => plan.and(Plan::Place {
            repository: repositories.names(),
            tag,
        }),
    };
    if !filter.digests.is_empty() {
        let begins = filter.digests.iter().map(|text| digest(text));
        let test = Test::Digest(begins.collect::<Result<_, _>>()?);
        plan = plan.and(Plan::Has(Dimension::Digest, test));
    }
    if !filter.apps.is_empty() {
        let apps = filter.apps.iter().map(|app| of_app(index, app));
        plan = plan.and(Plan::OneOf(apps.collect::<Result<_, _>>()?));
    }
    let named = filter.vulnerabilities.iter();
    let vulnerabilities = named
        .map(|name| vulnerability_name(name).into_owned())
        .collect();
    let words = [
        (Dimension::Actor, &filter.actors),
        (Dimension::Rule, &filter.rules),
        (Dimension::Vulnerability, &vulnerabilities),
        (Dimension::Override, &filter.overrides),
        (Dimension::Hold, &filter.holds),
        (Dimension::Verdict, &filter.verdicts),
        (Dimension::Reason, &filter.reasons),
    ];
    for (dimension, words) in words {
        if !words.is_empty() {
            plan = plan.and(Plan::Has(
                dimension,
                Test::Is(words.iter().cloned().collect()),
            ));
        }
    }
    let verdicts = [
        Verdict::Promote,
        Verdict::Wait,
        Verdict::Block,
        Verdict::Error,
        Verdict::Withdrawn,
    ];
    known("verdict", &filter.verdicts, &verdicts.map(Verdict::as_str))?;
    let codes: Vec<&str> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
    known("reason code", &filter.reasons, &codes)?;
    Ok(plan)
}

/// Refuses a word that is none of those there are.
fn known(what: &str, words: &[String], all: &[&str]) -> Result<(), QueryError> {
    for word in words {
        if !all.contains(&&**word) {
            let help = match nearest(word, all.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", all.join(", ")),
            };
            return Err(invalid(format!("`{word}` is no {what}; {help}")));
        }
    }
    Ok(())
}

/// Types as they are written, with or without `weir.`, with `*` for any part.
fn types(kinds: &[String]) -> Result<Option<Plan>, QueryError> {
    let mut names = BTreeSet::new();
    let mut globs = Vec::new();
    for kind in kinds {
        if kind.contains('*') {
            globs.push(kind.clone());
            continue;
        }
        let whole = format!("weir.{kind}");
        let is_known = |name: &str| Body::TYPES.contains(&name);
        if is_known(kind) {
            names.insert(kind.clone());
        } else if is_known(&whole) {
            names.insert(whole);
        } else {
            let meant = nearest(kind, Body::TYPES.iter().copied())
                .or_else(|| nearest(&whole, Body::TYPES.iter().copied()));
            if let Some(meant) = meant {
                return Err(invalid(format!(
                    "there is no type `{kind}`; did you mean `{meant}`?"
                )));
            }
            // Others may be recorded too.
            names.insert(kind.clone());
        }
    }
    if kinds.is_empty() {
        return Ok(None);
    }
    let mut any = Vec::new();
    if !names.is_empty() {
        any.push(Plan::Has(Dimension::Type, Test::Is(names)));
    }
    if !globs.is_empty() {
        let passes = move |kind: &str| {
            let short = kind.strip_prefix("weir.").unwrap_or(kind);
            globs
                .iter()
                .any(|glob| matches(glob, kind) || matches(glob, short))
        };
        let test = Test::Like {
            prefix: String::new(),
            passes: Arc::new(passes),
        };
        any.push(Plan::Has(Dimension::Type, test));
    }
    Ok(Some(Plan::OneOf(any)))
}

/// Whether something of Weir's own types can be meant by `kind`, as it is written to ask for a type.
pub(crate) fn is_type(kind: &str) -> bool {
    Body::TYPES.iter().any(|known| {
        let short = known.strip_prefix("weir.").unwrap_or(known);
        matches(kind, known) || matches(kind, short)
    })
}

/// Whether `text` is `glob` with something for each `*`.
fn matches(glob: &str, text: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let within = text.strip_prefix(first);
    let Some(mut within) = within.and_then(|text| text.strip_suffix(last)) else {
        return false;
    };
    // The first place where a part can stand leaves the most for those after it, so no other
    // needs to be tried, however many there are.
    middle.split('*').all(|part| {
        let found = within.split_once(part);
        within = found.map_or("", |(_, after)| after);
        found.is_some()
    })
}

/// Repositories by patterns.
struct Repositories {
    patterns: Arc<Vec<RepositoryPattern>>,
}

impl Repositories {
    fn of(texts: &[String]) -> Result<Option<Repositories>, QueryError> {
        let mut patterns = Vec::new();
        for text in texts {
            let parsed = text.parse::<RepositoryPatterns>();
            let parsed = parsed.map_err(|error| invalid(wrong_pattern(text, &error)))?;
            patterns.extend_from_slice(parsed.as_slice());
        }
        Ok((!patterns.is_empty()).then(|| Repositories {
            patterns: Arc::new(patterns),
        }))
    }

    /// A repository that is named, or one of an override's or a hold's scope.
    fn plan(&self) -> Plan {
        let patterns = Arc::clone(&self.patterns);
        let reaches = Test::Like {
            prefix: String::new(),
            passes: Arc::new(move |scope| reaches(scope, &patterns)),
        };
        Plan::OneOf(vec![
            Plan::Has(Dimension::Repository, self.names()),
            Plan::Has(Dimension::Scope, self.names()),
            Plan::Has(Dimension::Pattern, reaches),
        ])
    }

    fn names(&self) -> Test {
        let plain = |pattern: &&RepositoryPattern| pattern.wildcards() == 0;
        if self.patterns.iter().all(|pattern| plain(&pattern)) {
            let names = self.patterns.iter().map(|one| one.as_str().to_owned());
            return Test::Is(names.collect());
        }
        let prefix = match &self.patterns[..] {
            [one] => one.literal_prefix().to_owned(),
            _ => String::new(),
        };
        let patterns = Arc::clone(&self.patterns);
        let passes = move |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        Test::Like {
            prefix,
            passes: Arc::new(passes),
        }
    }
}

/// Whether the pattern of a recorded scope reaches what is asked for: it covers a repository asked
/// for by name, or a pattern asked for covers it as if it were a name.
fn reaches(scope: &str, asked: &[RepositoryPattern]) -> bool {
    if asked.iter().any(|pattern| pattern.matches(scope)) {
        return true;
    }
    let begin = scope.split('*').next().unwrap_or_default();
    let mut names = asked
        .iter()
        .filter(|pattern| pattern.wildcards() == 0 && pattern.as_str().starts_with(begin))
        .peekable();
    // To read a pattern takes longer than all the rest.
    names.peek().is_some()
        && scope
            .parse::<RepositoryPattern>()
            .is_ok_and(|scope| names.any(|name| scope.matches(name.as_str())))
}

/// A beginning that several digests have.
pub(super) fn ambiguous(text: &str, a: &str, b: &str) -> String {
    format!("`{text}` is the beginning of {a}, {b} and perhaps others: give more digits")
}

/// What is wrong with a pattern, and where.
pub(super) fn wrong_pattern(text: &str, error: &PatternError) -> String {
    let at = error.span().start;
    let column = text
        .get(..at)
        .map_or(1, |before| before.chars().count() + 1);
    let mut told = format!(
        "repository:1:{column}: {error}\n  {text}\n  {}^",
        " ".repeat(column - 1)
    );
    if let Some(help) = error.help() {
        told.push_str(&format!("\n  {help}"));
    }
    told
}

/// A digest in whole or its beginning, as the index is asked for it.
pub(super) fn digest(text: &str) -> Result<String, QueryError> {
    let lower = text.to_ascii_lowercase();
    let (name, digits) = match lower.split_once(':') {
        Some((name, digits)) => (Some(name), digits),
        None => (None, &lower[..]),
    };
    let known = name.is_none_or(|name| matches!(name, "sha256" | "sha512"));
    let good = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if known && good {
        return Ok(lower);
    }
    Err(invalid(format!(
        "`{text}` is no digest: expected `sha256:` or `sha512:` and hexadecimal digits; the first eight are enough, and do without the algorithm"
    )))
}

/// What concerns an application: its tag, what the tag points at, and what is in that.
fn of_app(index: &Index, app: &str) -> Result<Plan, QueryError> {
    let end = u64::MAX;
    if let Some((repository, tag)) = contents::tag_of(app) {
        let Some(bound) = contents::bound_to(index, repository, tag, end)? else {
            return Err(QueryError::NotFound(format!(
                "no tag `{app}` was ever recorded"
            )));
        };
        let of_tag = Plan::place(repository, tag);
        return Ok(Plan::OneOf(vec![of_tag, of_contents(index, &bound, end)?]));
    }
    let begins = digest(app).map_err(|_| {
        invalid(format!(
            "`{app}` is no application: expected `repository:tag`, or a digest or its first eight digits"
        ))
    })?;
    match contents::resolve(index, &begins, end)? {
        Found::One(digest) => of_contents(index, &digest, end),
        Found::None => Err(QueryError::NotFound(format!(
            "no digest `{app}` was ever recorded"
        ))),
        Found::Several(a, b) => Err(invalid(ambiguous(app, &a, &b))),
    }
}

fn of_contents(index: &Index, digest: &str, end: u64) -> Result<Plan, QueryError> {
    let within = contents::within(index, digest, end)?;
    let all = within.into_iter().map(|digest| digest.to_string());
    Ok(Plan::Has(Dimension::Digest, Test::Is(all.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ages() {
        let now: Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        let check = |text: &str, wanted: &str| {
            assert_eq!(time("since", text, now).unwrap().to_string(), wanted);
        };
        check("7d", "2026-08-14T10:00:00Z");
        check("1h30m", "2026-08-21T08:30:00Z");
        check("2026-08-20", "2026-08-20T00:00:00Z");
        check("2026-08-20T01:00:00+02:00", "2026-08-19T23:00:00Z");
        let told = time("since", "yesterday", now).unwrap_err().to_string();
        assert!(told.contains("`since` is `yesterday`"), "{told}");
    }

    #[test]
    fn a_glob_stands_for_any_part() {
        assert!(matches("weir.*.granted", "weir.override.granted"));
        assert!(matches("*", "") && matches("a*", "a") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b", "a-c") && !matches("a", "ab"));
        assert!(!matches("ab*ba", "aba") && !matches("*a*a*", "a") && matches("*a*a*", "aa"));
        let many = "*e".repeat(1000);
        assert!(matches(&many, &"e".repeat(1000)) && !matches(&many, &"e".repeat(999)));
    }

    #[test]
    fn a_scope_reaches_the_repositories_that_it_covers() {
        let reaches = |scope: &str, asked: &str| {
            let asked: RepositoryPatterns = asked.parse().unwrap();
            reaches(scope, asked.as_slice())
        };
        assert!(reaches("dev/*", "dev/web") && reaches("dev/web", "dev/web"));
        assert!(reaches("dev/*", "dev/*") && reaches("dev/web", "**"));
        assert!(!reaches("prod/*", "dev/web") && !reaches("???", "dev/web"));
    }

    #[test]
    fn words_that_are_none_are_told_with_what_was_meant() {
        let told = |result: Result<Option<Plan>, QueryError>| result.unwrap_err().to_string();
        assert!(told(types(&["decision.mad".into()])).contains("`weir.decision.made`"));
        assert!(
            types(&[
                "decision.made".into(),
                "acme.build.done".into(),
                "hold.*".into()
            ])
            .is_ok()
        );
        let told = known("verdict", &["blok".into()], &["block", "wait"]).unwrap_err();
        assert_eq!(
            told.to_string(),
            "`blok` is no verdict; did you mean `block`?"
        );
        let told = Repositories::of(&["dev/*, Prod/x".into()])
            .map(|_| ())
            .unwrap_err();
        assert!(told.to_string().starts_with("repository:1:8: "), "{told}");
        for wrong in ["abc", "sha256:123", "md5:0123456789", "zzzzzzzzzz"] {
            assert!(digest(wrong).is_err(), "{wrong}");
        }
        assert_eq!(digest("ABCDEF0123").unwrap(), "abcdef0123");
    }
}
