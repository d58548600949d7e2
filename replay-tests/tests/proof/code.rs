//! Properties of the code itself: what the core may reach, and that no row is without its test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in the workspace")
        .to_owned()
}

/// Crates that bring a clock, IO, threads or chance with them. (`uuid` only parses constants in the
/// CEL parser; without `getrandom` it makes none.)
const IMPURE: &[&str] = &[
    "async-nats",
    "async-std",
    "axum",
    "fastrand",
    "futures",
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "rand_core",
    "reqwest",
    "sled",
    "smol",
    "tempfile",
    "tokio",
    "weir-engine",
];

fn dependencies(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{lib} {p}", "--package", package])
        .current_dir(workspace())
        .output()
        .expect("cargo can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let lines = String::from_utf8_lossy(&output.stdout);
    let names = lines
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    names.map(str::to_owned).collect()
}

#[test]
fn the_core_reaches_no_clock_io_or_chance() {
    for package in ["weir-schema", "weir-rules"] {
        let reached = dependencies(package);
        assert!(reached.iter().any(|name| name == "serde"), "{reached:?}");
        let impure: Vec<_> = reached
            .iter()
            .filter(|name| IMPURE.contains(&name.as_str()))
            .collect();
        assert!(impure.is_empty(), "`{package}` reaches {impure:?}");
    }
    assert!(!dependencies("weir-schema").contains(&"weir-rules".to_owned()));
}

/// What the core may not name, wherever it comes from. (`std::io` it may: its traits read and write
/// what they are given.)
const FORBIDDEN: &[&str] = &[
    "HashMap",
    "HashSet",
    "RandomState",
    "SystemTime",
    "Instant",
    "Utc::now",
    "Local::now",
    "stdin",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "async ",
    "unsafe ",
];

#[test]
fn the_core_names_no_clock_io_or_order_of_hashes() {
    for package in ["schema", "rules"] {
        let text = text_of([workspace().join(package).join("src")]);
        assert!(text.contains("pub mod "), "{package}");
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let named: Vec<&str> = code
            .filter(|line| FORBIDDEN.iter().any(|word| line.contains(word)))
            .collect();
        assert!(named.is_empty(), "{package}: {named:#?}");
    }
}

#[test]
fn the_core_bans_the_same_types_and_methods_in_both_crates() {
    let read = |package: &str| {
        let path = workspace().join(package).join(".clippy.toml");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let rules = read("rules");
    assert_eq!(rules, read("schema"));
    for banned in [
        "HashMap",
        "HashSet",
        "SystemTime::now",
        "Instant::now",
        "std::fs::read",
    ] {
        assert!(rules.contains(banned), "{banned}");
    }
}

/// The text of every Rust file of the workspace's crates.
fn sources() -> String {
    let packages = ["schema", "rules", "engine", "replay-tests"];
    text_of(
        packages
            .iter()
            .flat_map(|package| ["src", "tests"].map(|part| workspace().join(package).join(part))),
    )
}

/// The text of every Rust file in some folders.
fn text_of(folders: impl IntoIterator<Item = PathBuf>) -> String {
    let mut open: Vec<PathBuf> = folders.into_iter().collect();
    let mut text = String::new();
    while let Some(path) = open.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            open.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
    text
}

/// The rows of the table in `FAILURES.md`: row and the cell that says where it is covered.
fn rows() -> Vec<(String, String)> {
    include_str!("../../FAILURES.md")
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (row, _, covered) = (cells.next()?, cells.next()?, cells.next()?);
            let numbered = row.starts_with(['F', 'E']) && row[1..].parse::<u32>().is_ok();
            numbered.then(|| (row.to_owned(), covered.to_owned()))
        })
        .collect()
}

#[test]
fn every_row_is_in_the_table_and_every_test_it_names_exists() {
    let rows = rows();
    let named: Vec<&str> = rows.iter().map(|(row, _)| row.as_str()).collect();
    let all: Vec<String> = (1..=38)
        .map(|n| format!("F{n}"))
        .chain((1..=54).map(|n| format!("E{n}")))
        .collect();
    assert_eq!(named, all);
    let sources = sources();
    for (row, covered) in &rows {
        assert!(!covered.is_empty(), "{row} says nothing");
        for test in covered.split('`').skip(1).step_by(2) {
            assert!(
                sources.contains(&format!("fn {test}(")),
                "{row}: no test `{test}`"
            );
        }
    }
}

#[test]
fn every_test_named_for_a_row_is_in_the_table() {
    let table = include_str!("../../FAILURES.md");
    let here = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proof"))
        .expect("the tests are there");
    for entry in here.flatten() {
        let text = fs::read_to_string(entry.path()).expect("a test file can be read");
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("fn ") else {
                continue;
            };
            let name = rest.split('(').next().unwrap_or_default();
            let row = name.split('_').next().unwrap_or_default();
            let numbered = row.starts_with(['f', 'e']) && row[1..].parse::<u32>().is_ok();
            assert!(
                !numbered || table.contains(name),
                "`{name}` is not in the table"
            );
        }
    }
}
