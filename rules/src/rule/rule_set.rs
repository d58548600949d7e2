//! Rule sets: all files loaded together, or refused together.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use weir_schema::RuleFile;

use super::header::{SplitFile, split_file};
use super::keys::{Settings, read_settings};
use super::located::{Level, Located, MAX_ERRORS_A_FILE, RuleErrors};
use super::reach;
use super::{Rule, ScanRequirement};
use crate::cel::{Environment, Limits, Program, Severity};

/// The rules that are in force together.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    digest: [u8; 32],
}

/// A rule set that may be put into force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// What its authors should look at, in the order of files and places.
    pub warnings: Vec<Located>,
}

/// Where rule files are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A log, where they may have been in force: they decide as they did.
    Recorded,
    /// Their author, who can still say what is meant.
    Offered,
}

impl RuleSet {
    /// Loads `files` that are recorded, in any order.
    ///
    /// All files are checked, whatever is wrong with the first; a set with any error is refused
    /// whole. No files at all is a set without rules, which promotes nothing.
    pub fn load(files: &[RuleFile], limits: &Limits) -> Result<Loaded, RuleErrors> {
        Self::load_from(Origin::Recorded, files, limits)
    }

    /// As [`load`](Self::load), for files that are to be put in force: refuses also what reads
    /// otherwise than it is evaluated, and is taken of recorded rules only.
    pub fn load_offered(files: &[RuleFile], limits: &Limits) -> Result<Loaded, RuleErrors> {
        Self::load_from(Origin::Offered, files, limits)
    }

    fn load_from(
        origin: Origin,
        files: &[RuleFile],
        limits: &Limits,
    ) -> Result<Loaded, RuleErrors> {
        let mut sorted: Vec<&RuleFile> = files.iter().collect();
        sorted.sort();
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        let mut rules: Vec<Arc<Rule>> = Vec::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        let mut hash = Sha256::new();
        let mut last_path: Option<&str> = None;
        for RuleFile { path, text } in sorted {
            hash_text(&mut hash, path);
            hash_text(&mut hash, text);
            let mut diagnostics = Vec::new();
            if last_path == Some(path) {
                let message = format!("file `{path}` given twice");
                diagnostics.push(Located::of_file(path, "", message, "give each file once"));
            }
            last_path = Some(path);
            if let Some((rule, first)) =
                load_file(origin, path, text, limits, &mut diagnostics, &places)
            {
                if first {
                    places.insert(rule.name.clone(), path.clone());
                }
                rules.push(Arc::new(rule));
            }
            diagnostics.sort_by_key(|found| (found.line, found.column));
            let (wrong, doubtful): (Vec<_>, Vec<_>) =
                diagnostics.into_iter().partition(Located::is_error);
            errors.extend(wrong.into_iter().take(MAX_ERRORS_A_FILE));
            warnings.extend(doubtful);
        }
        if errors.is_empty() {
            let text_of = |rule: &Rule| {
                let mut files = files.iter();
                let file = files.find(|file| file.path == rule.path)?;
                Some(file.text.as_str())
            };
            warnings.extend(reach::denies_that_meet_nothing(&rules, text_of));
            warnings.extend(reach::denies_that_let_artifacts_pass(&rules, text_of));
            warnings.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
            Ok(Loaded {
                rules: Self {
                    rules,
                    digest: hash.finalize().into(),
                },
                warnings,
            })
        } else {
            Err(RuleErrors { errors })
        }
    }

    /// The rules, sorted by path.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule called `name`.
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// SHA-256 over path and text of the files, sorted by path, each preceded by its length.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl Default for RuleSet {
    /// No rules.
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            digest: Sha256::new().finalize().into(),
        }
    }
}

/// Adds a text so that no two lists of texts give the same digest.
fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

/// The rule of one file, and whether it is the first of its name; `None` if it has an error.
fn load_file(
    origin: Origin,
    path: &str,
    whole_text: &str,
    limits: &Limits,
    diagnostics: &mut Vec<Located>,
    places: &BTreeMap<String, String>,
) -> Option<(Rule, bool)> {
    // Editors on some systems write a byte order mark; it is no part of the rule.
    let text = whole_text.strip_prefix('\u{feff}').unwrap_or(whole_text);
    if text.trim().is_empty() {
        let help = "a rule is a header and one expression that yields true or false";
        diagnostics.push(Located::of_file(path, text, "the file is empty", help));
        return None;
    }
    if text.len() > limits.file_bytes {
        let (length, most) = (text.len(), limits.file_bytes);
        let message = format!("the file has {length} bytes, at most {most} are allowed");
        let help = "a rule is a header and one expression";
        diagnostics.push(Located::of_file(path, "", message, help));
        return None;
    }
    let split = split_file(path, text, diagnostics);
    let settings = read_settings(path, text, &split.entries, origin, diagnostics);
    let first = settings
        .as_ref()
        .is_none_or(|settings| check_name(path, text, settings, places, diagnostics));
    let program = compile(path, text, &split, limits, diagnostics)?;
    if diagnostics.iter().any(Located::is_error) {
        return None;
    }
    let settings = settings?;
    diagnostics.extend(without_scan(path, text, &settings, &program));
    let expression_line = line_of(text, split.expression_start);
    let rule = assemble(path, settings, split.expression, expression_line, program);
    Some((rule, first))
}

fn check_name(
    path: &str,
    text: &str,
    settings: &Settings,
    places: &BTreeMap<String, String>,
    diagnostics: &mut Vec<Located>,
) -> bool {
    let Some(other) = places.get(&settings.name) else {
        return true;
    };
    diagnostics.push(Located::new(
        path,
        text,
        settings.name_span.clone(),
        Level::Error,
        format!("two rules are called `{}`", settings.name),
        Some(format!("the other is in {other}")),
    ));
    false
}

fn compile(
    path: &str,
    text: &str,
    split: &SplitFile<'_>,
    limits: &Limits,
    diagnostics: &mut Vec<Located>,
) -> Option<Program> {
    if split.expression.is_empty() {
        let at = text.trim_end().len();
        let help = "write `true` below the header if every tag may pass".to_owned();
        let message = "there is no expression, only a header or comments";
        diagnostics.push(Located::new(
            path,
            text,
            at..at,
            Level::Error,
            message,
            Some(help),
        ));
        return None;
    }
    // The header is comments to CEL: the whole file is compiled, so that places need no mapping.
    let compiled = Program::compile_predicate(text, Environment::rules(), limits);
    let (program, found) = match compiled {
        Ok((program, warnings)) => (Some(program), warnings),
        Err(errors) => (None, errors),
    };
    for diagnostic in found {
        let level = match diagnostic.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        let span = diagnostic.span.start as usize..diagnostic.span.end as usize;
        diagnostics.push(Located::new(
            path,
            text,
            span,
            level,
            diagnostic.message,
            diagnostic.help,
        ));
    }
    program
}

/// A warning if findings or licenses are read of what may never have been scanned.
fn without_scan(path: &str, text: &str, settings: &Settings, program: &Program) -> Option<Located> {
    if settings.scan == ScanRequirement::Required {
        return None;
    }
    let (span, read) = program.read_without_scan()?;
    let message =
        format!("with `scan: not-required`, an image that was never scanned has no {read} here");
    let help = "say what is meant of it: `images.all(i, i.scan.state == \"completed\") && ...`, \
                or `!has(scan.oldest) || ...`";
    Some(Located::new(
        path,
        text,
        span.start as usize..span.end as usize,
        Level::Warning,
        message,
        Some(help.to_owned()),
    ))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset)
        .map_or(1, |before| before.matches('\n').count() + 1)
}

fn assemble(
    path: &str,
    settings: Settings,
    expression: &str,
    expression_line: usize,
    program: Program,
) -> Rule {
    Rule {
        name: settings.name,
        path: path.to_owned(),
        kind: settings.kind,
        about: settings.about,
        owner: settings.owner,
        link: settings.link,
        severity: settings.severity,
        from: settings.from,
        to: settings.to,
        tag: settings.tag,
        classes: settings.classes,
        scan: settings.scan,
        scanners: settings.scanners,
        soak: settings.soak,
        approvals: settings.approvals,
        separate: settings.separate,
        window: settings.window,
        message: settings.message,
        expression_text: expression.to_owned(),
        expression_line,
        program: Arc::new(program),
    }
}
