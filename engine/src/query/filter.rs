//! Which records are asked for: one form for addresses, command line and library.

use std::borrow::Cow;

use weir_rules::suggest::nearest;

/// Which records are asked for. Each filter that is given must be met; of several values of one,
/// any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only records after this sequence.
    pub after: u64,
    /// Only records before this sequence.
    pub before: Option<u64>,
    /// Go on where the page ended that gave this.
    pub cursor: Option<String>,
    /// Newest first.
    pub newest_first: bool,
    /// At most this many; 0 leaves it to the engine.
    pub limit: usize,
    /// Only of this type: with or without `weir.`, with `*` for any part.
    pub kinds: Vec<String>,
    /// Only about this repository, as subject, source or target: patterns as in rules.
    pub repositories: Vec<String>,
    /// Only about this tag; with a repository, about this tag of it.
    pub tags: Vec<String>,
    /// Only about this digest: in whole, or its first eight digits or more.
    pub digests: Vec<String>,
    /// Only about this application, as `repository:tag` or digest, and what is in it.
    pub apps: Vec<String>,
    /// Only by this actor.
    pub actors: Vec<String>,
    /// Only under this rule.
    pub rules: Vec<String>,
    /// Only about this vulnerability.
    pub vulnerabilities: Vec<String>,
    /// Only decisions with this verdict.
    pub verdicts: Vec<String>,
    /// Only with this reason code.
    pub reasons: Vec<String>,
    /// Only about this override, or decided with it.
    pub overrides: Vec<String>,
    /// Only about this hold, or held by it.
    pub holds: Vec<String>,
    /// Only from this time on: RFC 3339, a date, or an age.
    pub since: Option<String>,
    /// Only before this time.
    pub until: Option<String>,
    /// Only where this CEL expression holds.
    pub expression: Option<String>,
}

/// A filter by texts, of which any may be met.
type Texts = fn(&mut EventFilter) -> &mut Vec<String>;

/// The names of the filters by texts.
const TEXTS: [(&str, Texts); 12] = [
    ("type", |filter| &mut filter.kinds),
    ("repository", |filter| &mut filter.repositories),
    ("tag", |filter| &mut filter.tags),
    ("digest", |filter| &mut filter.digests),
    ("app", |filter| &mut filter.apps),
    ("actor", |filter| &mut filter.actors),
    ("rule", |filter| &mut filter.rules),
    ("vulnerability", |filter| &mut filter.vulnerabilities),
    ("verdict", |filter| &mut filter.verdicts),
    ("reason", |filter| &mut filter.reasons),
    ("override", |filter| &mut filter.overrides),
    ("hold", |filter| &mut filter.holds),
];

/// The names of all others.
const OTHERS: [&str; 8] = [
    "after", "before", "cursor", "order", "limit", "since", "until", "where",
];

impl EventFilter {
    /// The names of all filters.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TEXTS.iter().map(|(name, _)| *name).chain(OTHERS)
    }

    /// Whether a filter of this name may come more than once.
    pub(crate) fn takes_several(name: &str) -> bool {
        TEXTS.iter().any(|(known, _)| *known == name)
    }

    /// Takes one filter by its name. A filter by texts may come more than once.
    ///
    /// # Errors
    /// There is no such parameter, or its value is none that it can have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some((_, texts)) = TEXTS.iter().find(|(known, _)| *known == name) {
            texts(self).push(value.to_owned());
            return Ok(());
        }
        let number = || -> Result<u64, String> {
            let parsed = value.parse();
            parsed.map_err(|_| format!("`{name}` is `{value}`, expected a number"))
        };
        let text = || Some(value.to_owned());
        match name {
            "after" => self.after = number()?,
            "before" => self.before = Some(number()?),
            "limit" => self.limit = usize::try_from(number()?).unwrap_or(usize::MAX),
            "cursor" => self.cursor = text(),
            "since" => self.since = text(),
            "until" => self.until = text(),
            "where" => self.expression = text(),
            "order" => {
                self.newest_first = match value {
                    "newest" => true,
                    "oldest" => false,
                    _ => {
                        return Err(format!(
                            "`order` is `{value}`, expected `newest` or `oldest`"
                        ));
                    }
                }
            }
            _ => {
                let help = match nearest(name, Self::names()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => {
                        let names: Vec<String> =
                            Self::names().map(|name| format!("`{name}`")).collect();
                        format!("it takes {}", names.join(", "))
                    }
                };
                return Err(format!("there is no parameter `{name}`; {help}"));
            }
        }
        Ok(())
    }

    /// The names and values that give this filter: what [`EventFilter::set`] takes.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let mut pairs: Vec<(&'static str, Cow<'_, str>)> = Vec::new();
        let mut number = |name, value: u64, none: u64| {
            if value != none {
                pairs.push((name, value.to_string().into()));
            }
        };
        number("after", self.after, 0);
        number("before", self.before.unwrap_or(u64::MAX), u64::MAX);
        number("limit", self.limit as u64, 0);
        if self.newest_first {
            pairs.push(("order", "newest".into()));
        }
        let mut copy = self.clone();
        for (name, texts) in TEXTS {
            let values = std::mem::take(texts(&mut copy)).into_iter();
            pairs.extend(values.map(|value| (name, value.into())));
        }
        let texts = [
            ("cursor", &self.cursor),
            ("since", &self.since),
            ("until", &self.until),
            ("where", &self.expression),
        ];
        for (name, value) in texts {
            pairs.extend(value.as_deref().map(|value| (name, value.into())));
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let mut filter = EventFilter {
            after: 3,
            before: Some(99),
            limit: 7,
            newest_first: true,
            cursor: Some("c".into()),
            since: Some("7d".into()),
            until: Some("2026-01-01".into()),
            expression: Some("a && b".into()),
            ..EventFilter::default()
        };
        for (place, (_, texts)) in TEXTS.into_iter().enumerate() {
            texts(&mut filter).extend([format!("{place} a,b"), format!("{place} &c")]);
        }
        let mut read = EventFilter::default();
        for (name, value) in filter.parameters() {
            read.set(name, &value).expect("it is read");
        }
        assert_eq!(read, filter);
        assert!(EventFilter::default().parameters().is_empty());
    }

    #[test]
    fn what_is_no_parameter_is_told_with_what_was_meant() {
        let told = |name: &str, value: &str| EventFilter::default().set(name, value).unwrap_err();
        assert!(told("repositry", "x").contains("did you mean `repository`?"));
        assert!(told("limit", "many").contains("`limit` is `many`"));
        assert!(told("order", "up").contains("`newest` or `oldest`"));
    }
}
