//! The address of a question at a daemon: the path, and what is asked as its parameters.

use crate::query::{EventFilter, Part, Query};

/// The path of a question, with its parameters.
pub(super) fn path(query: &Query) -> String {
    let with = |path: &str, pairs: &[(&str, Option<&str>)]| {
        let pairs = pairs
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        format!("{path}?{}", encode(pairs))
    };
    match query {
        Query::Tags {
            repository,
            at,
            part,
        } => with(
            "/v1/tags",
            &[
                ("repository", repository.as_deref()),
                ("at", at.as_deref()),
                ("after", part.after.as_deref()),
                ("limit", limit(part).as_deref()),
            ],
        ),
        Query::Repositories(part) => with(
            "/v1/repositories",
            &[
                ("after", part.after.as_deref()),
                ("limit", limit(part).as_deref()),
            ],
        ),
        Query::Why {
            repository,
            tag,
            rule,
            at,
        } => with(
            "/v1/why",
            &[
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("rule", rule.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::Eval {
            expression,
            repository,
            tag,
            rule,
            at,
        } => with(
            "/v1/eval",
            &[
                ("expression", Some(expression)),
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("rule", rule.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::Show {
            repository,
            tag,
            at,
        } => with(
            "/v1/show",
            &[
                ("repository", Some(repository)),
                ("tag", tag.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::History {
            repository,
            tag,
            at,
        } => with(
            "/v1/history",
            &[
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("at", at.as_deref()),
            ],
        ),
        Query::Lineage { digest, at } => with(
            "/v1/lineage",
            &[("digest", Some(digest)), ("at", at.as_deref())],
        ),
        Query::Impact { vulnerability, at } => with(
            "/v1/impact",
            &[
                ("vulnerability", Some(vulnerability)),
                ("at", at.as_deref()),
            ],
        ),
        Query::Overrides { expiring, at } => with(
            "/v1/overrides",
            &[("expiring", expiring.as_deref()), ("at", at.as_deref())],
        ),
        Query::Count(filter) => format!("/v1/events?count=true&{}", parameters(filter)),
        Query::Groups { filter, by } => {
            format!(
                "{}&{}",
                with("/v1/events", &[("by", Some(by))]),
                parameters(filter)
            )
        }
        Query::Decisions(filter) => format!("/v1/decisions?{}", parameters(filter)),
        Query::Promotions(filter) => format!("/v1/promotions?{}", encode(filter.parameters())),
        Query::Rules => "/v1/rules".to_owned(),
        Query::Status => "/v1/status".to_owned(),
    }
}

fn limit(part: &Part) -> Option<String> {
    part.limit.map(|limit| limit.to_string())
}

/// The parameters of a filter.
pub(super) fn parameters(filter: &EventFilter) -> String {
    let pairs = filter.parameters();
    encode(pairs.iter().map(|(name, value)| (*name, &**value)))
}

/// Names and values as parameters.
pub(super) fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = reqwest::Url::parse("http://weir/").expect("a fixed address");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
