//! `weir rules test`: runs the `NAME.test.yaml` beside each `NAME.cel`.

mod coverage;
mod document;
mod events;
mod facts;
mod history;
mod json_facts;
mod judge;
mod mutate;
mod report;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weir_rules::cel::Limits;
use weir_rules::rule::{Rule, RuleSet};
use weir_schema::{ReasonCode, RuleFile};

use self::coverage::Coverage;
use self::document::{Case, Document, Expectation};
use self::history::InForce;
use self::judge::Judgement;
use self::report::{CaseResult, FileResult, Mutation, Report, Survivor};
use super::files;
use crate::cli::CliError;
use crate::rules_dir;

/// The ending of test files.
const TEST_ENDING: &str = "test.yaml";

/// Runs the tests of rules.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of rule and test files
    #[arg(default_value = "rules", value_name = "DIR")]
    pub directory: PathBuf,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Fail if less than this share of clauses, in percent, is seen true and seen to decide
    #[arg(long, value_name = "PERCENT")]
    pub min_coverage: Option<f64>,
    /// Put small mistakes into the rules and report which of them no test finds
    #[arg(long)]
    pub mutate: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// For build servers
    Junit,
    /// For pull requests
    Markdown,
}

/// Exit code 1 if a test failed, coverage is too low, or there is no test.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    run_to(
        args,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
    )
}

fn run_to(args: &Args, out: &mut dyn Write, talk: &mut dyn Write) -> Result<ExitCode, CliError> {
    let report = test(&args.directory, args.mutate)?;
    match args.output {
        Output::Table => out.write_all(report.table().as_bytes()),
        Output::Json => writeln!(out, "{}", serde_json::json!(report)),
        Output::Junit => out.write_all(report.junit().as_bytes()),
        Output::Markdown => out.write_all(report.markdown().as_bytes()),
    }
    .map_err(CliError::output)?;
    let mut failed = report.failed() > 0;
    if report.count() == 0 {
        let directory = args.directory.display();
        match report.files.first() {
            Some(file) => writeln!(talk, "no tests in {}: list them under `tests:`", file.path),
            None => writeln!(talk, "no tests (`*.{TEST_ENDING}`) in {directory}"),
        }
        .map_err(CliError::output)?;
        failed = true;
    }
    if let Some(least) = args
        .min_coverage
        .filter(|least| report.coverage_percent < *least)
    {
        writeln!(
            talk,
            "coverage is {:.1} %, below {least} %",
            report.coverage_percent
        )
        .map_err(CliError::output)?;
        failed = true;
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// A rule with the text of its file and its tests.
struct Tested<'a> {
    rule: &'a Rule,
    text: &'a str,
    /// All rules of the directory, with their files.
    others: &'a [(&'a Rule, &'a str)],
    shown_path: String,
    /// Path of the test file, and what is in it.
    tests: Option<(String, Document)>,
}

fn test(directory: &Path, mutate: bool) -> Result<Report, CliError> {
    let loaded = files::load(directory)?;
    let mut documents = read_documents(directory)?;
    let mut report = Report {
        files: Vec::new(),
        coverage: Vec::new(),
        coverage_percent: 0.0,
        mutation: mutate.then(Mutation::default),
    };
    let text_of = |rule: &Rule| {
        let file = loaded.files.iter().find(|file| file.path == rule.path);
        let text = file.map_or("", |file| &file.text);
        text.strip_prefix('\u{feff}').unwrap_or(text)
    };
    let rules = loaded.loaded.rules.rules().iter();
    let others: Vec<(&Rule, &str)> = rules.map(|rule| (&**rule, text_of(rule))).collect();
    for &(rule, text) in &others {
        // The ending may be in any case.
        let stem = rule.path.len().checked_sub(".cel".len());
        let stem = stem.and_then(|length| rule.path.get(..length));
        let stem = stem.unwrap_or(&rule.path);
        let tested = Tested {
            rule,
            text,
            others: &others,
            shown_path: files::shown_path(directory, &rule.path),
            tests: documents.remove(&format!("{stem}.{TEST_ENDING}")),
        };
        test_rule(&tested, &mut report);
    }
    if let Some((path, _)) = documents.into_values().next() {
        return Err(CliError::usage(format!(
            "{path}: there is no rule of this name beside it"
        )));
    }
    report.coverage_percent = coverage::percent(&report.coverage);
    Ok(report)
}

/// The test files below `directory`, by their path within it.
fn read_documents(directory: &Path) -> Result<BTreeMap<String, (String, Document)>, CliError> {
    refuse_mistaken_names(directory)?;
    let texts = if directory.is_file() {
        let beside = directory.with_extension(TEST_ENDING);
        if beside.is_file() {
            files::read(&beside, TEST_ENDING)?
        } else {
            Vec::new()
        }
    } else {
        files::read(directory, TEST_ENDING)?
    };
    let mut documents = BTreeMap::new();
    for (relative, text) in texts {
        let shown = if directory.is_file() {
            directory.with_extension(TEST_ENDING).display().to_string()
        } else {
            files::shown_path(directory, &relative)
        };
        let document = document::parse(&text).map_err(|error| {
            // A place follows the file without a space.
            let space = if error.starts_with(|first: char| first.is_ascii_digit()) {
                ""
            } else {
                " "
            };
            CliError::usage(format!("{shown}:{space}{error}"))
        })?;
        documents.insert(relative, (shown, document));
    }
    Ok(documents)
}

/// Refuses test files whose names end as those of other programs do: tests that do not run look like
/// tests that pass.
fn refuse_mistaken_names(directory: &Path) -> Result<(), CliError> {
    const MISTAKEN_ENDING: &str = "test.yml";
    let mistaken = if directory.is_file() {
        let beside = directory.with_extension(MISTAKEN_ENDING);
        beside.is_file().then_some(beside)
    } else {
        let found = rules_dir::find(directory, MISTAKEN_ENDING)?;
        found.into_iter().next().map(|found| found.path)
    };
    mistaken.map_or(Ok(()), |path| {
        Err(CliError::usage(format!(
            "{}: the names of tests end in `.{TEST_ENDING}`: rename it",
            path.display()
        )))
    })
}

fn test_rule(tested: &Tested<'_>, report: &mut Report) {
    let mut coverage = Coverage::new(tested.rule, &tested.shown_path, tested.text);
    if let Some((path, document)) = &tested.tests {
        let mut cases = Vec::new();
        for case in &document.tests {
            let problems = match judge_case(tested, tested.rule, tested.text, document, case) {
                Err(problem) => vec![problem],
                Ok(judged) => {
                    for one in &judged {
                        coverage.add(tested.rule, &one.judgement);
                    }
                    let problems = judged.iter().map(Judged::problems);
                    problems.flatten().collect()
                }
            };
            cases.push(CaseResult {
                name: case.name.clone(),
                problems,
            });
        }
        let rule = tested.rule.name.clone();
        report.files.push(FileResult {
            path: path.clone(),
            rule,
            cases,
        });
    }
    report.coverage.push(coverage);
    if let (Some(mutation), Some((_, document))) = (&mut report.mutation, &tested.tests) {
        mutate_rule(tested, document, mutation);
    }
}

/// What a case expects, where, and what came.
struct Judged {
    /// After how much of a history, if not at its end.
    place: Option<usize>,
    expected: Expectation,
    judgement: Judgement,
}

impl Judged {
    fn problems(&self) -> Vec<String> {
        let problems = differences(&self.expected, &self.judgement).into_iter();
        let placed = |problem| match self.place {
            Some(number) => format!("history, number {number}: {problem}"),
            None => problem,
        };
        problems.map(placed).collect()
    }
}

/// Judges a case under `rule` with the file `text`: the tested one, or a mutant of it.
fn judge_case(
    tested: &Tested<'_>,
    rule: &Rule,
    text: &str,
    document: &Document,
    case: &Case,
) -> Result<Vec<Judged>, String> {
    let last = |judgement| Judged {
        place: None,
        expected: case.expect.expectation(),
        judgement,
    };
    if case.history.is_none() {
        let facts = facts::of_case(rule, &document.defaults, case)?;
        return Ok(vec![last(judge::judge(rule, &facts)?)]);
    }
    let others = tested.others;
    let outcome = history::run(&InForce { rule, text, others }, case)?;
    let on_the_way = outcome.on_the_way.into_iter();
    let on_the_way = on_the_way.map(|(number, expect, judgement)| Judged {
        place: Some(number),
        expected: expect.expectation(),
        judgement,
    });
    Ok(on_the_way.chain([last(outcome.last)]).collect())
}

/// What was expected and did not come.
fn differences(expected: &Expectation, judgement: &Judgement) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(verdict) = expected
        .verdict
        .filter(|verdict| *verdict != judgement.verdict)
    {
        problems.push(format!("expected {verdict}, got {}", describe(judgement)));
    }
    if let Some(codes) = &expected.reasons {
        let mut wanted: Vec<ReasonCode> = codes.clone();
        wanted.sort();
        wanted.dedup();
        let mut got: Vec<ReasonCode> = judgement.reasons.iter().map(|reason| reason.code).collect();
        got.dedup();
        if wanted != got {
            let wanted: Vec<&str> = wanted.iter().map(|code| code.as_str()).collect();
            problems.push(format!(
                "expected [{}], got {}",
                wanted.join(", "),
                describe(judgement)
            ));
        }
    }
    if let Some(clause) = &expected.clause {
        let found = judgement
            .reasons
            .iter()
            .filter_map(|reason| reason.clause.as_deref());
        if !found.clone().any(|found| fold(found) == fold(clause)) {
            let found: Vec<&str> = found.collect();
            problems.push(format!(
                "expected the clause `{clause}`, got [{}]",
                found.join(", ")
            ));
        }
    }
    if let Some(target) = expected
        .target
        .as_ref()
        .filter(|target| **target != judgement.target)
    {
        problems.push(format!(
            "expected the target {target}, got {}",
            judgement.target
        ));
    }
    if let Some(message) = &expected.message {
        let mut found = judgement
            .reasons
            .iter()
            .filter_map(|reason| reason.message.as_deref());
        if !found.any(|found| found.contains(message.as_str())) {
            problems.push(format!(
                "expected the message `{message}`, got {}",
                describe(judgement)
            ));
        }
    }
    problems
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(judgement: &Judgement) -> String {
    let mut text = judgement.verdict.to_string();
    for reason in &judgement.reasons {
        text.push_str(&format!(" {}", reason.code));
        for detail in [&reason.clause, &reason.message].into_iter().flatten() {
            text.push_str(&format!(" ({detail})"));
        }
    }
    text
}

fn mutate_rule(tested: &Tested<'_>, document: &Document, mutation: &mut Mutation) {
    for mutant in mutate::mutants(tested.rule, tested.text) {
        let file = RuleFile {
            path: tested.rule.path.clone(),
            text: mutant.text,
        };
        // A mistake that does not load is found without any test.
        let Ok(loaded) = RuleSet::load(std::slice::from_ref(&file), &Limits::RULES) else {
            continue;
        };
        mutation.tried += 1;
        let found = loaded.rules.rules().iter().any(|rule| {
            document.tests.iter().any(|case| {
                let judged = judge_case(tested, rule, &file.text, document, case);
                judged.map_or(true, |judged| {
                    judged.into_iter().any(|mut one| {
                        // The clause that is expected is spelt as in the rule without the mistake.
                        one.expected.clause = None;
                        !one.problems().is_empty()
                    })
                })
            })
        });
        if !found {
            mutation.survivors.push(Survivor {
                path: tested.shown_path.clone(),
                clause: mutant.clause,
                mutated: mutant.mutated,
            });
        }
    }
}

/// Whether all tests below `directory` pass, and what was found if not.
#[cfg(test)]
pub(crate) fn passes(directory: &Path) -> Result<(), String> {
    let report = test(directory, false).map_err(|error| error.to_string())?;
    if report.failed() == 0 && report.count() > 0 {
        Ok(())
    } else {
        Err(report.table())
    }
}

#[cfg(test)]
mod tests;
