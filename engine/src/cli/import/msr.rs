//! `weir import msr`: promotion policies of DTR and MSR as rule files with tests.
//!
//! What has no equal is never dropped: a criterion that is left out would promote more than the
//! policy did. Its place is taken by `false`, the rule is switched off, and the report says why.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use weir_rules::cel::Limits;
use weir_rules::rule::RuleSet;
use weir_schema::RuleFile;

use super::msr_criteria::{Clause, sample_tag, translate};
use super::msr_policy::{self, Policy};
use super::msr_template;
use crate::cli::CliError;

/// Turns promotion policies of DTR or MSR into rule files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON of the API: what `GET /api/v0/repositories/NS/REPO/promotionPolicies` returns
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Directory to write the rule files and their tests to
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Replace files that are already there
    #[arg(long)]
    pub force: bool,
}

/// A policy turned into files, and what a reader should know.
struct Imported {
    name: String,
    rule: String,
    test: String,
    off: bool,
    notes: Vec<String>,
}

/// Writes the files; exit code 1 if some policy has no equal.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let json = fs::read_to_string(&args.file).map_err(CliError::read(&args.file))?;
    let (imported, refused) = import(&json)
        .map_err(|error| CliError::usage(format!("{}: {error}", args.file.display())))?;
    if imported.is_empty() && refused.is_empty() {
        let message = format!("{}: no promotion policies found", args.file.display());
        return Err(CliError::usage(message));
    }
    check_loads(&imported)?;
    let files: Vec<(PathBuf, &String)> = imported
        .iter()
        .flat_map(|policy| {
            [
                ("cel", policy, &policy.rule),
                ("test.yaml", policy, &policy.test),
            ]
        })
        .map(|(ending, policy, text)| (args.to.join(format!("{}.{ending}", policy.name)), text))
        .collect();
    if !args.force {
        check_absent(files.iter().map(|(path, _)| path.as_path()))?;
    }
    fs::create_dir_all(&args.to).map_err(CliError::write(&args.to))?;
    for (path, text) in &files {
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .create_new(!args.force);
        let mut file = options.open(path).map_err(CliError::write(path))?;
        file.write_all(text.as_bytes())
            .map_err(CliError::write(path))?;
    }
    let mut out = std::io::stdout().lock();
    out.write_all(report(&imported, &refused).as_bytes())
        .map_err(CliError::output)?;
    let complete = refused.is_empty() && imported.iter().all(|policy| !policy.off);
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Nothing is written where something would be in the way of a part of it.
fn check_absent<'a>(files: impl Iterator<Item = &'a Path>) -> Result<(), CliError> {
    // A link that leads nowhere is in the way too.
    let there = files.filter(|path| fs::symlink_metadata(path).is_ok());
    let there: Vec<String> = there.map(|path| format!("`{}`", path.display())).collect();
    if there.is_empty() {
        return Ok(());
    }
    let message = format!("nothing is written, these are there: {}", there.join(", "));
    Err(CliError::usage(message)
        .hint("replace them with --force, or name another directory with --to"))
}

impl Imported {
    fn file(&self) -> RuleFile {
        RuleFile {
            path: format!("{}.cel", self.name),
            text: self.rule.clone(),
        }
    }

    /// The policy, if its file loads: an expression or a template that DTR took may be one that no
    /// rule can have.
    fn checked(self, id: &str) -> Result<Self, String> {
        match RuleSet::load_offered(&[self.file()], &Limits::RULES) {
            Ok(_) => Ok(self),
            Err(refused) => {
                let all = refused.errors.iter().map(|error| error.message.as_str());
                let all: Vec<&str> = all.collect();
                Err(format!("{id} gives no rule that loads: {}", all.join("; ")))
            }
        }
    }
}

/// The files are loaded together before they are written: an importer that writes what cannot be loaded
/// has a fault of its own.
fn check_loads(imported: &[Imported]) -> Result<(), CliError> {
    let files: Vec<RuleFile> = imported.iter().map(Imported::file).collect();
    match RuleSet::load_offered(&files, &Limits::RULES) {
        Ok(_) => Ok(()),
        Err(errors) => Err(CliError::usage(format!(
            "what was imported does not load:\n\n{errors}"
        ))),
    }
}

fn import(json: &str) -> Result<(Vec<Imported>, Vec<String>), serde_json::Error> {
    let mut imported = Vec::new();
    let mut refused = Vec::new();
    let mut names = BTreeSet::new();
    for (index, read) in msr_policy::read(json)?.into_iter().enumerate() {
        let result = read.and_then(|policy| import_policy(&policy, &mut names));
        match result {
            Ok(policy) => imported.push(policy),
            Err(reason) => refused.push(format!("policy {}: {reason}", index + 1)),
        }
    }
    Ok((imported, refused))
}

fn import_policy(policy: &Policy, names: &mut BTreeSet<String>) -> Result<Imported, String> {
    let id = if policy.id.is_empty() {
        "without id"
    } else {
        &policy.id
    };
    if let Some(host) = &policy.remote_host {
        return Err(format!(
            "{id} mirrors to {host}: write a rule with `to: {host}/...` and give the registry's \
             credentials in the configuration"
        ));
    }
    let Some(source) = policy
        .source_repository
        .as_deref()
        .filter(|name| !name.is_empty())
    else {
        return Err(format!("{id} has no source repository"));
    };
    let Some(target) = policy
        .target_repository
        .as_deref()
        .filter(|name| !name.is_empty())
    else {
        return Err(format!(
            "{id} has no target repository: it promotes nothing"
        ));
    };
    for name in [source, target] {
        name.parse::<weir_schema::RepositoryName>()
            .map_err(|error| format!("{id}: {error}"))?;
    }
    let template =
        msr_template::convert(&policy.tag_template).map_err(|what| format!("{id}: {what}"))?;

    let mut notes = Vec::new();
    let clauses: Vec<Result<Clause, String>> = policy.rules.iter().map(translate).collect();
    for (criterion, clause) in policy.rules.iter().zip(&clauses) {
        let written = format!(
            "{} {} {:?}",
            criterion.field, criterion.operator, criterion.values
        );
        match clause {
            Err(reason) => notes.push(format!("no equal: {written}: {reason}")),
            Ok(Clause {
                note: Some(note), ..
            }) if !notes.iter().any(|known| known == note) => {
                notes.push((*note).to_owned());
            }
            Ok(_) => {}
        }
    }
    let has_no_equal = clauses.iter().any(Result::is_err);
    if policy.rules.is_empty() {
        notes.push("the policy has no criteria: look at it, then switch it on".to_owned());
    }
    let reads_scans = clauses.iter().flatten().any(|clause| clause.reads_scans);
    if !reads_scans {
        let note = "DTR did not wait for scans here; Weir does for applications, always";
        notes.push(note.to_owned());
    }
    let off = has_no_equal || policy.rules.is_empty();
    let name = unique_name(source, target, names);
    let header = Header {
        id,
        source,
        target,
        template: &template,
        reads_scans,
    };
    let imported = Imported {
        rule: rule_file(policy, &header, &clauses, off),
        test: test_file(policy, &header, &clauses),
        off,
        notes,
        name,
    };
    imported.checked(id)
}

struct Header<'a> {
    id: &'a str,
    source: &'a str,
    target: &'a str,
    template: &'a str,
    reads_scans: bool,
}

fn rule_file(
    policy: &Policy,
    header: &Header<'_>,
    clauses: &[Result<Clause, String>],
    off: bool,
) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let value = value.replace(['\r', '\n'], " ");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "//! {key}: {value}");
    };
    line(
        "about",
        &format!("Imported promotion policy {}.", header.id),
    );
    line("from", header.source);
    line("to", header.target);
    if header.template != "{tag}" {
        line("tag", header.template);
    }
    if !header.reads_scans {
        line("scan", "not-required");
    }
    if off || !policy.enabled {
        line("severity", "off");
    }
    text.push('\n');
    let mut lines = Vec::new();
    for (criterion, clause) in policy.rules.iter().zip(clauses) {
        match clause {
            Ok(clause) => lines.push((None, clause.text.clone())),
            Err(reason) => {
                let comment = format!(
                    "// No equal: {} {} {:?}: {reason}",
                    criterion.field, criterion.operator, criterion.values
                );
                lines.push((Some(comment.replace(['\r', '\n'], " ")), "false".to_owned()));
            }
        }
    }
    if lines.is_empty() {
        lines.push((
            Some("// The policy has no criteria.".to_owned()),
            "true".to_owned(),
        ));
    }
    for (index, (comment, clause)) in lines.into_iter().enumerate() {
        let indent = if index == 0 { "" } else { "  " };
        if let Some(comment) = comment {
            let _ = writeln!(text, "{indent}{comment}");
        }
        let joint = if index == 0 { "" } else { "&& " };
        let _ = writeln!(text, "{indent}{joint}{clause}");
    }
    text
}

/// One case in which everything holds and one for each clause that can be made to fail.
fn test_file(policy: &Policy, header: &Header<'_>, clauses: &[Result<Clause, String>]) -> String {
    let mut defaults = Map::new();
    let tag = sample_tag(&policy.rules);
    if let Some(tag) = &tag {
        defaults.insert("tag.name".to_owned(), json!(tag));
    }
    for (fact, value) in clauses
        .iter()
        .flatten()
        .filter_map(|clause| clause.holds_with.as_ref())
    {
        defaults.insert((*fact).to_owned(), value.clone());
    }
    let untranslated = clauses.iter().any(Result::is_err);
    let mut tests: Vec<Value> = Vec::new();
    if untranslated {
        tests.push(json!({
            "name": "a criterion without an equal stops it",
            "expect": { "verdict": "block", "reasons": ["clause-false"] },
        }));
    } else if tag.is_some() && !conflicting(clauses) {
        let mut expect = json!({ "verdict": "promote" });
        if !header.template.contains("{time:") {
            let target_tag = header
                .template
                .replace("{tag}", tag.as_deref().unwrap_or(""));
            expect["target"] = json!(format!("{}:{target_tag}", header.target));
        }
        tests.push(json!({ "name": "all criteria hold", "expect": expect }));
        for clause in clauses.iter().flatten() {
            if let Some((fact, value)) = &clause.fails_with {
                let mut set = Map::new();
                set.insert((*fact).to_owned(), value.clone());
                tests.push(json!({
                    "name": format!("not {}", clause.text),
                    "set": set,
                    "expect": { "verdict": "block", "reasons": ["clause-false"] },
                }));
            }
        }
    } else {
        tests.push(json!({
            "name": "another tag stays",
            "set": { "tag.name": "no-such-tag-0" },
            "expect": { "verdict": "block", "reasons": ["clause-false"] },
        }));
    }
    let document = json!({ "defaults": defaults, "tests": tests });
    let head = "# Made by `weir import msr`: one case that holds, and one for each criterion.\n";
    // A JSON value has only what YAML can express.
    let body = serde_yaml_ng::to_string(&document).unwrap_or_default();
    format!("{head}{body}")
}

/// Whether two clauses want different values of one fact, so that no simple case meets both.
fn conflicting(clauses: &[Result<Clause, String>]) -> bool {
    let facts: Vec<&str> = clauses
        .iter()
        .flatten()
        .filter_map(|clause| clause.holds_with.as_ref())
        .map(|(fact, _)| *fact)
        .collect();
    let distinct: BTreeSet<&&str> = facts.iter().collect();
    distinct.len() < facts.len()
}

fn unique_name(source: &str, target: &str, names: &mut BTreeSet<String>) -> String {
    let slug = |text: &str| -> String {
        let legal =
            |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        text.chars()
            .map(|character| if legal(character) { character } else { '-' })
            .collect()
    };
    let mut base = format!("{}-to-{}", slug(source), slug(target));
    // Room for a number within the 100 characters of a rule name.
    base.truncate(90);
    let mut name = base.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}

fn report(imported: &[Imported], refused: &[String]) -> String {
    let mut text = String::new();
    for policy in imported {
        let state = if policy.off {
            "  (switched off: look at it)"
        } else {
            ""
        };
        let _ = writeln!(text, "{}.cel{state}", policy.name);
        for note in &policy.notes {
            let _ = writeln!(text, "  - {note}");
        }
    }
    if !refused.is_empty() {
        let _ = writeln!(text, "not imported:");
        for reason in refused {
            let _ = writeln!(text, "  - {reason}");
        }
    }
    let off = imported.iter().filter(|policy| policy.off).count();
    let _ = writeln!(
        text,
        "{} imported, {off} of them switched off, {} not imported",
        imported.len(),
        refused.len()
    );
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, process::ExitCode};

    use super::{Args, check_loads, import, report, run};

    const POLICIES: &str = r#"[
      {"id": "ca5e7822-1", "enabled": true, "sourceRepository": "dev/shop", "targetRepository": "prod/shop",
       "tagTemplate": "%n-%Y%m%d",
       "rules": [{"field": "tag", "operator": "ew", "values": ["-stable"]},
                 {"field": "vulnerability_critical", "operator": "lte", "values": ["0"]}]},
      {"id": "2", "enabled": false, "sourceRepository": "dev/shop", "targetRepository": "prod/shop",
       "tagTemplate": "%n", "rules": [{"field": "tag", "operator": "noo", "values": ["latest"]}]},
      {"id": "3", "enabled": true, "sourceRepository": "dev/shop", "targetRepository": "qa/shop",
       "tagTemplate": "%n", "rules": [{"field": "component.name", "operator": "noo", "values": ["openssl"]}]},
      {"id": "4", "enabled": true, "sourceRepository": "dev/shop", "targetRepository": "qa/shop",
       "tagTemplate": "%Q", "rules": []},
      {"id": "5", "enabled": true, "sourceRepository": "dev/shop", "remoteHost": "hub", "rules": []}
    ]"#;

    #[test]
    fn policies_become_rules_that_load() {
        let (imported, refused) = import(POLICIES).unwrap();
        check_loads(&imported).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            imported[0].rule,
            "//! about: Imported promotion policy ca5e7822-1.\n\
             //! from: dev/shop\n\
             //! to: prod/shop\n\
             //! tag: {tag}-{time:%Y%m%d}\n\
             \n\
             tag.name.endsWith(\"-stable\")\n  && scan.critical + scan.high <= 0\n"
        );
        assert_eq!(imported[1].name, "dev-shop-to-prod-shop-2");
        assert!(imported[1].rule.contains("//! severity: off\n"));
        assert!(imported[1].rule.contains("//! scan: not-required\n"));
        assert_eq!(refused.len(), 2);
        assert!(refused[0].contains("`%Q`"), "{refused:?}");
    }

    #[test]
    fn a_criterion_without_an_equal_promotes_nothing_and_is_reported() {
        let (imported, refused) = import(POLICIES).unwrap();
        let component = &imported[2];
        assert!(component.off);
        assert!(component.rule.contains("//! severity: off\n"));
        assert!(component.rule.ends_with("\nfalse\n"), "{}", component.rule);
        let report = report(&imported, &refused);
        assert!(
            report.contains("no equal: component.name noo [\"openssl\"]"),
            "{report}"
        );
        assert!(
            report.ends_with("3 imported, 1 of them switched off, 2 not imported\n"),
            "{report}"
        );
    }

    #[test]
    fn a_policy_whose_rule_would_not_load_is_named_and_the_others_are_written() {
        let policy = |id: &str, pattern: &str, template: &str| {
            format!(
                r#"{{"id":"{id}","sourceRepository":"a/{id}","targetRepository":"b/{id}","tagTemplate":"{template}","rules":[{{"field":"tag","operator":"matches","values":["{pattern}"]}}]}}"#
            )
        };
        let check = |refused: &str, cause: &str| {
            let json = format!("[{},{refused}]", policy("good", "^v", "%n"));
            let (imported, refused) = import(&json).unwrap();
            assert_eq!(imported.len(), 1, "{refused:?}");
            let [reason] = &refused[..] else {
                panic!("{refused:?}");
            };
            assert!(
                reason.starts_with("policy 2: bad gives no rule"),
                "{reason}"
            );
            assert!(reason.contains(cause), "{reason}");
        };
        check(&policy("bad", "[", "%n"), "pattern");
        check(&policy("bad", "^v", "%n/%n"), "tag");
    }

    #[test]
    fn one_policy_a_list_and_an_export_of_several_repositories_are_read() {
        let one = r#"{"id":"1","sourceRepository":"a/b","targetRepository":"c/d","rules":[]}"#;
        for json in [
            one.to_owned(),
            format!("[{one}]"),
            format!(r#"{{"a/b":[{one}]}}"#),
        ] {
            assert_eq!(import(&json).unwrap().0.len(), 1, "{json}");
        }
        assert!(import("{").is_err());
    }

    #[test]
    fn the_tests_that_come_with_imported_rules_pass() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policies.json");
        fs::write(&file, POLICIES).unwrap();
        let to = directory.path().join("rules");
        let args = Args {
            file,
            to: to.clone(),
            force: false,
        };
        assert_eq!(run(&args).unwrap(), ExitCode::from(1));
        let tested = crate::cli::rules::test::passes(&to);
        assert_eq!(tested, Ok(()));
    }

    #[test]
    fn where_one_of_the_files_is_there_none_is_written_but_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["policies.json", "rules"].map(|name| directory.path().join(name));
        fs::write(&from, POLICIES).unwrap();
        fs::create_dir(&to).unwrap();
        // The last of them to be written.
        let there = to.join("dev-shop-to-qa-shop.test.yaml");
        fs::write(&there, "mine").unwrap();
        let mut args = Args {
            file: from,
            to: to.clone(),
            force: false,
        };
        let error = run(&args).unwrap_err();
        let named = format!("these are there: `{}`", there.display());
        assert!(error.message.ends_with(&named), "{error}");
        assert!(error.hint.unwrap().contains("--force"));
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
        args.force = true;
        run(&args).unwrap();
        assert_eq!(fs::read_dir(&to).unwrap().count(), 6);
    }
}
