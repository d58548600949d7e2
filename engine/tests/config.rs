//! The configuration: a sample with every key, samples of what is wrong with what is said of it, and
//! which of file, environment and flags wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};
use weir_engine::config::Config;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

#[test]
fn the_sample_with_every_key_is_valid() {
    let config = Config::read(&samples().join("weir.toml")).unwrap();
    assert_eq!(config.node.as_deref(), Some("weir-1"));
    assert_eq!(config.stream.unwrap().lease.ttl_seconds, 15);
}

/// What the sample says of keys without an example of their own is their default.
#[test]
fn the_sample_shows_the_defaults() {
    let sample = Config::read(&samples().join("weir.toml")).unwrap();
    let default = Config::default();
    assert_eq!(sample.data, default.data);
    assert_eq!(sample.http.listen, default.http.listen);
    assert_eq!(sample.http.max_body_bytes, default.http.max_body_bytes);
    assert_eq!(sample.promotions.execute, default.promotions.execute);
    assert_eq!(sample.promotions.concurrent, default.promotions.concurrent);
    assert_eq!(sample.promotions.attempts, default.promotions.attempts);
    assert_eq!(sample.reconcile.at_start, default.reconcile.at_start);
    assert_eq!(sample.scans.request, default.scans.request);
    let stream = sample.stream.unwrap();
    let plain = weir_engine::stream::StreamConfig::default();
    assert_eq!(stream.outputs, plain.outputs);
    assert_eq!(stream.lease, plain.lease);
    assert_eq!(
        (stream.urls, stream.stream, stream.subjects, stream.replicas),
        (plain.urls, plain.stream, plain.subjects, plain.replicas)
    );
    assert_eq!(
        (
            stream.duplicate_window_seconds,
            stream.connect_wait_seconds,
            stream.publish_wait_seconds,
        ),
        (
            plain.duplicate_window_seconds,
            plain.connect_wait_seconds,
            plain.publish_wait_seconds,
        )
    );
}

#[test]
fn sources_that_the_nodes_of_a_stream_could_not_tell_each_other_are_refused() {
    let sources = |count: usize| -> String {
        let table = |number| format!("[sources.source-{number:0>40}]\n");
        (0..count).map(table).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.toml");
    let read = |text: String| {
        fs::write(&file, text).unwrap();
        Config::read(&file).map_err(|error| error.to_string())
    };
    assert!(read(format!("[stream]\n{}", sources(300))).is_ok());
    let refused = read(format!("[stream]\n{}", sources(1000))).unwrap_err();
    let said = "bytes as JSON, and the nodes of a stream can tell each other 61440 at most";
    assert!(refused.contains(said), "{refused}");
    // Alone, a node tells nobody.
    assert!(read(format!("without_stream = true\n{}", sources(1000))).is_ok());
}

/// The keys of each table of a file, those that are commented out among them.
fn keys(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.clone_into(&mut table);
            continue;
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            keys.entry(table.clone())
                .or_default()
                .insert(key.to_owned());
        }
    }
    keys
}

/// The keys that a table may have, as the refusal of an unknown one says.
fn known(table: &str) -> BTreeSet<String> {
    let text = match table {
        "" => "no_such_key = 1".to_owned(),
        table => format!("[{table}]\nno_such_key = 1"),
    };
    let error = toml::from_str::<Config>(&text).unwrap_err();
    let message = error.message();
    let known = message
        .split_once("expected ")
        .unwrap_or_else(|| panic!("{table}: {message}"))
        .1;
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_sample_has_every_key_there_is() {
    let text = fs::read_to_string(samples().join("weir.toml")).unwrap();
    let keys = keys(&text);
    let tables: BTreeSet<&str> = keys.keys().map(String::as_str).collect();
    // Keys of a proof depend on its kind, and are those of the README's table.
    for table in tables.iter().filter(|table| !table.ends_with(".auth")) {
        let mut missing = known(table);
        missing.retain(|key| {
            let below = match *table {
                "" => key.clone(),
                table => format!("{table}.{key}"),
            };
            let is_table = tables
                .iter()
                .any(|name| *name == below || name.starts_with(&format!("{below}.")));
            !keys[*table].contains(key) && !is_table
        });
        assert_eq!(missing, BTreeSet::new(), "[{table}]");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_was_meant() {
    let mut count = 0;
    for entry in fs::read_dir(samples().join("invalid")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let expected = fs::read_to_string(path.with_extension("error")).unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        assert!(
            error.contains(expected.trim_end()),
            "{}: {error}",
            path.display()
        );
        count += 1;
    }
    assert!(count >= 12, "{count} invalid samples");
}

fn load(file: &str, environment: &[(&str, &str)], sets: &[&str]) -> Result<Config, String> {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("weir.toml");
    fs::write(&path, file).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(Some(&path), environment, &sets).map_err(|error| error.to_string())
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let file =
        "[stream.lease]\nttl_seconds = 10\nbucket = 'file'\n[http]\nlisten = '127.0.0.1:1'\n";
    let check = |environment: &[(&str, &str)], sets: &[&str], ttl: u64, listen: &str| {
        let config = load(file, environment, sets).unwrap();
        let lease = config.stream.unwrap().lease;
        assert_eq!((lease.ttl_seconds, &*lease.bucket), (ttl, "file"));
        assert_eq!(config.http.listen, listen);
    };
    check(&[], &[], 10, "127.0.0.1:1");
    let variables = [
        ("WEIR_STREAM__LEASE__TTL_SECONDS", "20"),
        ("WEIR_LISTEN", "127.0.0.1:2"),
    ];
    check(&variables, &[], 20, "127.0.0.1:2");
    let sets = ["stream.lease.ttl_seconds=30", "http.listen = 127.0.0.1:3"];
    check(&variables, &sets, 30, "127.0.0.1:3");
    check(&[], &sets, 30, "127.0.0.1:3");
}

#[test]
fn a_text_may_look_like_something_else() {
    let variables = [("WEIR_HTTP__TOKEN", "12345678"), ("WEIR_NODE", "true")];
    let config = load("", &variables, &["data=7"]).unwrap();
    let token = config.http.token.map(|token| token.reveal().to_owned());
    assert_eq!(token.as_deref(), Some("12345678"));
    assert_eq!(config.node.as_deref(), Some("true"));
    assert_eq!(config.data.to_str(), Some("7"));
}

/// Every key of the sample, set by a variable and by a flag, over a file that says otherwise.
#[test]
fn every_key_can_be_given_by_a_variable_and_by_a_flag() {
    let text = fs::read_to_string(samples().join("weir.toml")).unwrap();
    let sample: Table = toml::from_str(&text).unwrap();
    let whole = format!("{:?}", Config::read(&samples().join("weir.toml")).unwrap());
    let mut settings = Vec::new();
    flatten(&sample, &[], &mut settings);
    assert!(settings.len() > 50, "{}", settings.len());
    let sets: Vec<String> = settings
        .iter()
        .map(|(path, value)| {
            let key: Vec<String> = path.iter().map(|part| quoted(part)).collect();
            format!("{}={value}", key.join("."))
        })
        .collect();
    let by_flags = Config::load(None, [], &sets).unwrap();
    assert_eq!(format!("{by_flags:?}"), whole);

    // Names of registries and sources cannot be told from other parts of a variable's name, unless
    // they are like them.
    let plain = |part: &String| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let variables: Vec<(String, String)> = settings
        .iter()
        .filter(|(path, _)| path.iter().all(plain))
        .map(|(path, value)| {
            let name = format!("WEIR_{}", path.join("__").to_uppercase());
            (name, value.to_string())
        })
        .collect();
    assert!(variables.len() > 35, "{}", variables.len());
    let others: Vec<String> = settings
        .iter()
        .zip(&sets)
        .filter(|((path, _), _)| !path.iter().all(plain))
        .map(|(_, set)| set.clone())
        .collect();
    let by_variables = Config::load(None, variables, &others).unwrap();
    assert_eq!(format!("{by_variables:?}"), whole);
}

fn flatten(table: &Table, above: &[String], settings: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        let mut path = above.to_vec();
        path.push(key.clone());
        match value {
            // The parts of a proof are nothing without each other.
            Value::Table(below) if key != "auth" => flatten(below, &path, settings),
            value => settings.push((path, value.clone())),
        }
    }
}

fn quoted(part: &str) -> String {
    match part
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    {
        true => part.to_owned(),
        false => format!("\"{part}\""),
    }
}

#[test]
fn what_is_wrong_in_a_variable_or_a_flag_is_said_by_its_name() {
    let check = |environment: &[(&str, &str)], sets: &[&str], expected: &str| {
        let error = load("", environment, sets).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(
        &[("WEIR_STREAM__LEASE__TTL", "5")],
        &[],
        "the variable `WEIR_STREAM__LEASE__TTL`: unknown key `ttl`",
    );
    check(
        &[("WEIR_PROMOTIONS__CONCURRENT", "four")],
        &[],
        "the variable `WEIR_PROMOTIONS__CONCURRENT`: invalid type: string \"four\"",
    );
    check(
        &[],
        &["promotions.concurent=5"],
        "`--set promotions.concurent=5`: unknown key `concurent`; did you mean `concurrent`?",
    );
    check(&[], &["data"], "expected KEY=VALUE");
    check(
        &[],
        &["stream.urls=nats://a:4222"],
        "expected a sequence: write a list, as '[\"nats://a:4222\"]'",
    );
    check(
        &[],
        &["registries.127.0.0.1.insecure=true"],
        "a host with dots stands in quotes: `registries.\"127.0.0.1\"`",
    );
}

/// Of several that could have brought it, the one that did.
#[test]
fn what_cannot_be_meant_is_said_with_the_place_that_brought_it() {
    let check = |file: &str, environment: &[(&str, &str)], sets: &[&str], expected: &str| {
        let error = load(file, environment, sets).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let short = "[stream.lease]\nttl_seconds = 1\n";
    let other: &[(&str, &str)] = &[("WEIR_DATA", "d")];
    check(
        short,
        other,
        &["node=n"],
        "weir.toml: `stream.lease.ttl_seconds`: at least 3 seconds",
    );
    check(
        "",
        other,
        &["stream.lease.ttl_seconds=1", "node=n"],
        "`--set stream.lease.ttl_seconds=1`: `stream.lease.ttl_seconds`: at least 3 seconds",
    );
    check(
        short,
        &[("WEIR_STREAM__LEASE__TTL_SECONDS", "2")],
        &["stream.lease.ttl_seconds=5", "default_registry=https://r"],
        "`--set default_registry=https://r`: `default_registry`",
    );
    check(
        "[http]\nmax_body_bytes = 0\n",
        &[],
        &[],
        "weir.toml: `http.max_body_bytes` is 0",
    );
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    let variables = [
        ("WEIR_SERVER", "http://127.0.0.1:1"),
        ("WEIR_TOKEN", "t"),
        ("WEIR_LOG", "debug"),
        ("HTTP__LISTEN", "x"),
    ];
    let told = |variables: &[(&str, &str)]| format!("{:?}", load("", variables, &[]).unwrap());
    assert_eq!(told(&variables), told(&[]));
}
