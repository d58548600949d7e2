//! What came of the tests, for people and for machines.

use std::fmt::Write as _;

use serde::Serialize;

use super::coverage::{self, Coverage};

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The case.
    pub name: String,
    /// What is wrong; nothing if it passed.
    pub problems: Vec<String>,
}

/// What came of one test file.
#[derive(Clone, Debug, Serialize)]
pub struct FileResult {
    /// The test file.
    pub path: String,
    /// The rule.
    pub rule: String,
    /// Its cases.
    pub cases: Vec<CaseResult>,
}

/// A mutant that no test found.
#[derive(Clone, Debug, Serialize)]
pub struct Survivor {
    /// The rule's file.
    pub path: String,
    /// The clause as it is.
    pub clause: String,
    /// The mistake that no test found.
    pub mutated: String,
}

/// What came of the mutants.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mutation {
    /// How many were tried.
    pub tried: usize,
    /// Those that no test found.
    pub survivors: Vec<Survivor>,
}

/// What came of all tests.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// By test file.
    pub files: Vec<FileResult>,
    /// By rule, also of those without tests.
    pub coverage: Vec<Coverage>,
    /// The covered share in percent.
    pub coverage_percent: f64,
    /// If mutants were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutation: Option<Mutation>,
}

impl Report {
    fn cases(&self) -> impl Iterator<Item = (&FileResult, &CaseResult)> {
        self.files
            .iter()
            .flat_map(|file| file.cases.iter().map(move |case| (file, case)))
    }

    /// How many cases there are.
    pub fn count(&self) -> usize {
        self.cases().count()
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases()
            .filter(|(_, case)| !case.problems.is_empty())
            .count()
    }

    fn summary(&self) -> String {
        let passed = self.count() - self.failed();
        let failed = self.failed();
        let covered = if self.coverage.iter().all(|rule| rule.clauses.is_empty()) {
            "no clauses to cover".to_owned()
        } else {
            let share = coverage::percent(&self.coverage);
            format!("{share:.0} % of clauses covered")
        };
        format!("{passed} passed, {failed} failed, {covered}")
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for file in &self.files {
            let _ = writeln!(text, "{} ({})", file.path, file.rule);
            for case in &file.cases {
                let mark = if case.problems.is_empty() {
                    "pass"
                } else {
                    "FAIL"
                };
                let _ = writeln!(text, "  {mark}  {}", case.name);
                for problem in &case.problems {
                    let _ = writeln!(text, "        {problem}");
                }
            }
        }
        for (path, line, clause, missing) in self.uncovered() {
            let _ = writeln!(text, "{path}:{line}: never {missing}\n  {line} | {clause}");
        }
        if let Some(mutation) = &self.mutation {
            for survivor in &mutation.survivors {
                let Survivor {
                    path,
                    clause,
                    mutated,
                } = survivor;
                let _ = writeln!(text, "{path}: no test finds\n  - {clause}\n  + {mutated}");
            }
            let found = mutation.tried - mutation.survivors.len();
            let _ = writeln!(text, "{found} of {} mutants found", mutation.tried);
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    fn uncovered(&self) -> impl Iterator<Item = (&str, usize, &str, &'static str)> {
        self.coverage.iter().flat_map(|coverage| {
            coverage.clauses.iter().filter_map(|clause| {
                let missing = match (clause.seen_true, clause.seen_decide) {
                    (true, true) => return None,
                    (true, false) => "seen to decide",
                    (false, true) => "seen true",
                    (false, false) => "seen true, never seen to decide",
                };
                Some((
                    coverage.path.as_str(),
                    clause.line,
                    clause.clause.as_str(),
                    missing,
                ))
            })
        })
    }

    /// For pull requests.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| rule | test | result |\n|---|---|---|\n");
        for (file, case) in self.cases() {
            let result = if case.problems.is_empty() {
                "pass".to_owned()
            } else {
                format!("**fail**: {}", cell(&case.problems.join("; ")))
            };
            let _ = writeln!(
                text,
                "| {} | {} | {result} |",
                cell(&file.rule),
                cell(&case.name)
            );
        }
        let mut head = "\n| clause without a test | place | never |\n|---|---|---|\n";
        for (path, line, clause, missing) in self.uncovered() {
            let _ = writeln!(
                text,
                "{head}| `{}` | {path}:{line} | {missing} |",
                cell(clause)
            );
            head = "";
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    /// For build servers.
    pub fn junit(&self) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"weir rules test\" tests=\"{}\" failures=\"{}\">\n",
            self.count(),
            self.failed()
        );
        for file in &self.files {
            let failed = file
                .cases
                .iter()
                .filter(|case| !case.problems.is_empty())
                .count();
            let (name, count) = (xml(&file.path), file.cases.len());
            let _ = writeln!(
                text,
                "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\">"
            );
            for case in &file.cases {
                let (name, class) = (xml(&case.name), xml(&file.rule));
                let _ = write!(text, "    <testcase name=\"{name}\" classname=\"{class}\"");
                if case.problems.is_empty() {
                    text.push_str("/>\n");
                } else {
                    let problems = xml(&case.problems.join("\n"));
                    let _ = writeln!(
                        text,
                        ">\n      <failure message=\"{problems}\">{problems}</failure>\n    </testcase>"
                    );
                }
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}

/// `text` within XML; characters that XML cannot have become spaces.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            control if control.is_control() => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
