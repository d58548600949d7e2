//! Where the configuration comes from: a file, the environment, and flags, each winning over the
//! ones before; and what is said of a wrong one.

use std::{fs, path::Path};

use toml::{Table, Value};
use weir_rules::suggest::nearest;

use super::{Config, ConfigError};

/// Before the name of each variable.
const PREFIX: &str = "WEIR_";

/// Between the parts of a key in the name of a variable.
const SEPARATOR: &str = "__";

/// Keys that have a shorter variable too.
const SHORT: [(&str, &str); 1] = [("WEIR_LISTEN", "http.listen")];

/// Keys of the first level that variables without a separator may name. Others that begin alike are
/// for the commands, or not for us.
const FIRST_LEVEL: [&str; 7] = [
    "data",
    "archive",
    "node",
    "rules",
    "default_registry",
    "bundle_repositories",
    "without_stream",
];

/// One value from outside the file.
#[derive(Debug, Clone, PartialEq)]
struct Override {
    /// Where it was given, for messages.
    place: String,
    /// What it sets.
    table: Table,
    /// The same with the value as a text, where it can be one.
    as_text: Option<Table>,
    /// The value as it was given, for messages.
    value: String,
}

impl Config {
    /// The configuration of a file alone.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::load(Some(path), [], &[])
    }

    /// The configuration of `file`, if there is one, with what the environment and `--set` flags
    /// (`KEY=VALUE`) say instead: flags win over the environment, the environment over the file, the
    /// file over the defaults.
    ///
    /// # Errors
    /// If the file cannot be read, or anything has an unknown key or a value that cannot be used.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        // What is configured after each place, the last of all of them.
        let mut steps = Vec::new();
        if let Some(path) = file {
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            let form = |problem: String, error: &toml::de::Error| ConfigError::Form {
                place: place(path, &text, error),
                problem,
            };
            table = toml::from_str(&text).map_err(|error| form(problem(&error), &error))?;
            let config = toml::from_str(&text).map_err(|error| {
                let problem = unquoted_host(&error, &table).unwrap_or_else(|| problem(&error));
                form(problem, &error)
            })?;
            steps.push((path.display().to_string(), config));
        }
        let mut overrides = Vec::new();
        let mut variables: Vec<(String, String)> = environment.into_iter().collect();
        variables.sort();
        for (name, value) in variables {
            overrides.extend(variable(&name, &value)?);
        }
        for set in sets {
            overrides.push(flag(set)?);
        }
        for one in overrides {
            // After each, so that the one at fault is named.
            let with = |one: Table| -> Result<(Table, Self), toml::de::Error> {
                let mut table = table.clone();
                merge(&mut table, one);
                let config = Value::Table(table.clone()).try_into()?;
                Ok((table, config))
            };
            let read = with(one.table.clone()).or_else(|error| {
                let is_text = error.message().trim().ends_with(" string");
                let as_text = one.as_text.filter(|_| is_text);
                as_text.map_or(Err(error.clone()), |text| with(text).map_err(|_| error))
            });
            match read {
                Ok((merged, config)) => {
                    table = merged;
                    steps.push((one.place, config));
                }
                Err(error) => {
                    merge(&mut table, one.table);
                    let problem = unquoted_host(&error, &table)
                        .or_else(|| no_list(&error, &one.value))
                        .unwrap_or_else(|| problem(&error));
                    let place = one.place;
                    return Err(ConfigError::Form { place, problem });
                }
            }
        }
        checked(steps)
    }
}

/// The last of `steps`, if it can be used. What is wrong with it is said with the place that brought
/// it.
fn checked(mut steps: Vec<(String, Config)>) -> Result<Config, ConfigError> {
    let Some((mut place, config)) = steps.pop() else {
        return Ok(Config::default());
    };
    let Err(error) = config.check() else {
        return Ok(config);
    };
    let said = error.to_string();
    while let Some((before, config)) = steps.pop() {
        match config.check() {
            Err(error) if error.to_string() == said => place = before,
            _ => break,
        }
    }
    Err(ConfigError::Meaning {
        place,
        source: Box::new(error),
    })
}

/// What a variable sets, if it is one of ours.
fn variable(name: &str, value: &str) -> Result<Option<Override>, ConfigError> {
    let short = SHORT.iter().find(|(short, _)| *short == name);
    let key = match (short, name.strip_prefix(PREFIX)) {
        (Some((_, key)), _) => (*key).to_owned(),
        (None, Some(rest)) if rest.contains(SEPARATOR) => {
            rest.to_lowercase().replace(SEPARATOR, ".")
        }
        (None, Some(rest)) if FIRST_LEVEL.contains(&rest.to_lowercase().as_str()) => {
            rest.to_lowercase()
        }
        _ => return Ok(None),
    };
    let place = format!("the variable `{name}`");
    match setting(&key, value) {
        Some(table) => Ok(Some(Override {
            place,
            table,
            as_text: text_setting(&key, value),
            value: value.to_owned(),
        })),
        None => Err(ConfigError::Form {
            place,
            problem: format!("`{key}` is no key"),
        }),
    }
}

/// What a flag `KEY=VALUE` sets.
fn flag(text: &str) -> Result<Override, ConfigError> {
    let place = format!("`--set {text}`");
    let (key, value) = text.split_once('=').unwrap_or_default();
    let value = value.trim();
    match setting(key.trim(), value) {
        Some(table) => Ok(Override {
            place,
            table,
            as_text: text_setting(key.trim(), value),
            value: value.to_owned(),
        }),
        None => Err(ConfigError::Form {
            place,
            problem: "expected KEY=VALUE, as in `stream.lease.ttl_seconds=5` or `'registries.\"r.example:5000\".insecure=true'`"
                .to_owned(),
        }),
    }
}

/// A table with one value in it. A value that is none in TOML is a text.
fn setting(key: &str, value: &str) -> Option<Table> {
    let as_it_is = toml::from_str(&format!("{key} = {value}"));
    as_it_is.ok().or_else(|| text_setting(key, value))
}

/// The same with the value as a text, whatever it looks like: a password may be digits.
fn text_setting(key: &str, value: &str) -> Option<Table> {
    toml::from_str(&format!("{key} = {}", Value::from(value))).ok()
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// `FILE:LINE:COLUMN`, as far as it is known.
fn place(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else {
        return path.display().to_string();
    };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{}:{line}:{column}", path.display())
}

/// What is wrong, with the key that may have been meant.
fn problem(error: &toml::de::Error) -> String {
    let message = error.message().trim();
    // serde says it only in words: unknown field `a`, expected one of `b`, `c`.
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let Some((key, known)) = rest.split_once('`') else {
        return message.to_owned();
    };
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let hint = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    format!("unknown key `{key}`; {hint}")
}

/// What to say of a single value where a list is expected.
fn no_list(error: &toml::de::Error, value: &str) -> Option<String> {
    let message = error.message().trim();
    message
        .ends_with("expected a sequence")
        .then(|| format!("{message}: write a list, as '[\"{value}\"]'"))
}

/// What to say of a registry's host without quotes: TOML takes each of its parts for a table.
fn unquoted_host(error: &toml::de::Error, table: &Table) -> Option<String> {
    let below = |table: &Table| {
        table.iter().find_map(|(key, value)| match value {
            Value::Table(table) => Some((key.clone(), table.clone())),
            _ => None,
        })
    };
    let registries = table.get("registries")?.as_table()?;
    registries.iter().find_map(|(name, registry)| {
        let (part, mut inner) = below(registry.as_table()?)?;
        if !error
            .message()
            .starts_with(&format!("unknown field `{part}`"))
        {
            return None;
        }
        let mut host = format!("{name}.{part}");
        while let Some((part, table)) = below(&inner) {
            host = format!("{host}.{part}");
            inner = table;
        }
        Some(format!(
            "`registries.{host}`: a host with dots stands in quotes: `registries.\"{host}\"`"
        ))
    })
}
