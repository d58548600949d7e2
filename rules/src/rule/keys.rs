//! What the values of a header mean, and which of them go together.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::TimeDelta;

use super::duration::parse_duration;
use super::header::Entry;
use super::located::{Level, Located};
use super::rule_set::Origin;
use super::{Kind, RuleTarget, ScanRequirement, Separate, Severity};
use crate::class::Class;
use crate::pattern::{RepositoryPattern, RepositoryPatterns};
use crate::suggest::nearest;
use crate::template::Template;
use crate::window::Window;

/// More people than will ever approve one promotion; a larger number is a slip of the hand.
const MAX_APPROVALS: u32 = 100;

/// Characters of a rule name: it is part of paths, subjects and metric labels.
const MAX_NAME_LENGTH: usize = 100;

/// The name under which promotions by hand are recorded.
const RESERVED_NAME: &str = "manual";

/// The keys that say when and how to promote. On a `deny` rule they would mean nothing, and a
/// condition that is silently ignored lets too much or too little pass.
const PROMOTE_KEYS: [&str; 7] = [
    "tag",
    "scan",
    "scanners",
    "soak",
    "approvals",
    "separate",
    "window",
];

/// The header of a rule, understood.
#[derive(Debug)]
pub(super) struct Settings {
    pub name: String,
    /// Where the name is written; empty at the start of the file if it is the file's.
    pub name_span: Range<usize>,
    pub kind: Kind,
    pub about: Option<String>,
    pub owner: Option<String>,
    pub link: Option<String>,
    pub severity: Severity,
    pub from: Option<RepositoryPatterns>,
    pub to: RuleTarget,
    pub tag: Template,
    pub classes: BTreeSet<Class>,
    pub scan: ScanRequirement,
    pub scanners: Vec<String>,
    pub soak: Option<TimeDelta>,
    pub approvals: u32,
    pub separate: BTreeSet<Separate>,
    pub window: Option<Window>,
    pub message: Option<Template>,
}

/// Reads the entries of one header. Adds to `diagnostics` and returns `None` if any is an error.
pub(super) fn read_settings(
    path: &str,
    text: &str,
    entries: &[Entry<'_>],
    origin: Origin,
    diagnostics: &mut Vec<Located>,
) -> Option<Settings> {
    let mut reader = Reader {
        path,
        text,
        entries,
        origin,
        diagnostics,
        failed: false,
    };
    let settings = reader.settings();
    if reader.failed { None } else { settings }
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    entries: &'a [Entry<'a>],
    origin: Origin,
    diagnostics: &'a mut Vec<Located>,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Reads every key, so that one load shows every mistake.
    fn settings(&mut self) -> Option<Settings> {
        let (name, name_span) = self.name();
        let kind_words = [Kind::Promote, Kind::Deny].map(|kind| (kind.as_str(), kind));
        let kind = self.word("kind", &kind_words).unwrap_or(Kind::Promote);
        self.keys_of_other_kind(kind);
        let severities = [Severity::Enforce, Severity::Warn, Severity::Off];
        let severity_words = severities.map(|severity| (severity.as_str(), severity));
        let severity = self
            .word("severity", &severity_words)
            .unwrap_or(Severity::Enforce);

        let from = self.patterns("from");
        let captures = from.as_ref().map_or(0, RepositoryPatterns::least_wildcards);
        // With a pattern that is wrong, or missing where there must be one, it is not known which
        // captures there are.
        let must_be = kind == Kind::Promote || self.entry("from").is_some();
        let from_is_wrong = must_be && from.is_none();
        let to = self.target(kind, (!from_is_wrong).then_some(captures));
        let tag = self.tag((!from_is_wrong).then_some(captures));
        self.target_is_elsewhere(from.as_ref(), to.as_ref(), tag.as_ref());
        let message = self
            .entry("message")
            .filter(|_| kind == Kind::Deny && !from_is_wrong)
            .and_then(|entry| self.template(entry, captures));

        let classes = self.classes();
        let scan_words = [
            ("required", ScanRequirement::Required),
            ("not-required", ScanRequirement::NotRequired),
        ];
        let scan = self
            .word("scan", &scan_words)
            .unwrap_or(ScanRequirement::Required);
        let scanners = self.scanners();
        self.scan_goes_with(scan, &classes);
        let soak = self.soak();
        let approvals = self.approvals();
        let separate = self.separate();
        self.separate_goes_with(&separate, approvals);
        let window = self.window();
        Some(Settings {
            name,
            name_span,
            kind,
            about: self.text_of("about"),
            owner: self.text_of("owner"),
            link: self.text_of("link"),
            severity,
            from,
            to: to?,
            tag: tag?,
            classes,
            scan,
            scanners,
            soak,
            approvals,
            separate,
            window,
            message,
        })
    }

    fn entry(&self, key: &str) -> Option<&'a Entry<'a>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn text_of(&self, key: &str) -> Option<String> {
        self.entry(key).map(|entry| entry.value.to_owned())
    }

    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.failed = true;
        let located = Located::new(self.path, self.text, span, Level::Error, message, help);
        self.diagnostics.push(located);
    }

    fn warning(&mut self, span: Range<usize>, message: &str, help: &str) {
        let help = Some(help.to_owned());
        let located = Located::new(self.path, self.text, span, Level::Warning, message, help);
        self.diagnostics.push(located);
    }

    /// An error within the value of `entry`; `span` is relative to the value.
    fn error_in(
        &mut self,
        entry: &Entry<'_>,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let start = entry.value_start;
        self.error(start + span.start..start + span.end, message, help);
    }

    fn error_at_value(&mut self, entry: &Entry<'_>, message: String, help: &str) {
        self.error_in(entry, 0..entry.value.len(), message, Some(help.to_owned()));
    }

    fn name(&mut self) -> (String, Range<usize>) {
        let Some(entry) = self.entry("rule") else {
            let file = self.path.rsplit(['/', '\\']).next().unwrap_or(self.path);
            let stem = file.strip_suffix(".cel").unwrap_or(file).to_owned();
            if let Some(problem) = problem_of_name(&stem) {
                let message = format!("the file's name is no rule name: {problem}");
                self.error(
                    0..0,
                    message,
                    Some("name the rule with `//! rule: NAME`".to_owned()),
                );
            }
            return (stem, 0..0);
        };
        if let Some(problem) = problem_of_name(entry.value) {
            let help = "use letters, digits, `.`, `_` and `-`, at most 100 of them";
            self.error_at_value(entry, problem, help);
        }
        let span = entry.value_start..entry.value_start + entry.value.len();
        (entry.value.to_owned(), span)
    }

    /// A value that is one of a few words.
    fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let entry = self.entry(key)?;
        let found = words.iter().find(|(word, _)| *word == entry.value);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let span = 0..entry.value.len();
            self.unknown_word(entry, span, entry.value, known.collect());
        }
        found.map(|(_, value)| *value)
    }

    fn unknown_word(
        &mut self,
        entry: &Entry<'_>,
        span: Range<usize>,
        word: &str,
        known: Vec<&str>,
    ) {
        let help = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of `{}`", known.join("`, `")),
        };
        let message = format!("unknown {} `{word}`", singular(entry.key));
        self.error_in(entry, span, message, Some(help));
    }

    /// The comma-separated words of a value with their places within it.
    fn list(&mut self, entry: &Entry<'a>) -> Vec<(&'a str, usize)> {
        let mut items = Vec::new();
        let mut offset = 0;
        for item in entry.value.split(',') {
            let word = item.trim();
            let at = offset + (item.len() - item.trim_start().len());
            offset += item.len() + 1;
            if word.is_empty() {
                let message = format!("empty {} in the list", singular(entry.key));
                self.error_in(entry, at..at, message, Some("remove the comma".to_owned()));
            } else {
                items.push((word, at));
            }
        }
        items
    }

    fn keys_of_other_kind(&mut self, kind: Kind) {
        match kind {
            Kind::Deny => {
                for key in PROMOTE_KEYS {
                    if let Some(entry) = self.entry(key) {
                        let help = "a deny rule stops what promote rules would do; say it there, \
                                    or in the expression";
                        let message = format!("`{key}` is for promote rules");
                        self.error(entry.key_span.clone(), message, Some(help.to_owned()));
                    }
                }
            }
            Kind::Promote => {
                if let Some(entry) = self.entry("message") {
                    let help = "`about` says what a promote rule is for";
                    let message = "`message` is for deny rules";
                    self.error(entry.key_span.clone(), message, Some(help.to_owned()));
                }
                for (key, help) in [
                    ("from", "add `//! from: PATTERN`, such as `dev/*`"),
                    ("to", "add `//! to: REPOSITORY`, such as `staging/{1}`"),
                ] {
                    if self.entry(key).is_none() {
                        let message = format!("a promote rule needs `{key}`");
                        self.error(0..0, message, Some(help.to_owned()));
                    }
                }
            }
        }
    }

    fn patterns(&mut self, key: &str) -> Option<RepositoryPatterns> {
        let entry = self.entry(key)?;
        match entry.value.parse() {
            Ok(patterns) => Some(patterns),
            Err(error) => {
                self.error_in(entry, error.span(), error.to_string(), error.help());
                None
            }
        }
    }

    fn template(&mut self, entry: &Entry<'_>, captures: usize) -> Option<Template> {
        match Template::parse(entry.value, captures) {
            Ok(template) => Some(template),
            Err(error) => {
                self.error_in(entry, error.span(), error.to_string(), Some(error.help()));
                None
            }
        }
    }

    fn target(&mut self, kind: Kind, captures: Option<usize>) -> Option<RuleTarget> {
        let Some(entry) = self.entry("to") else {
            return Some(RuleTarget::Any);
        };
        if kind == Kind::Deny {
            return self.patterns("to").map(RuleTarget::Matching);
        }
        let template = self.template(entry, captures?)?;
        if let Err(error) = template.can_be_legal_repository() {
            self.error_in(entry, 0..entry.value.len(), error.to_string(), None);
        }
        Some(RuleTarget::Repository(template))
    }

    fn tag(&mut self, captures: Option<usize>) -> Option<Template> {
        let Some(entry) = self.entry("tag") else {
            return Template::parse("{tag}", 0).ok();
        };
        let template = self.template(entry, captures?)?;
        if let Err(error) = template.can_be_legal_tag() {
            self.error_in(entry, 0..entry.value.len(), error.to_string(), None);
        }
        Some(template)
    }

    /// Warns of a promote rule whose target is its source, whatever the tag: it is only ever a `loop`.
    fn target_is_elsewhere(
        &mut self,
        from: Option<&RepositoryPatterns>,
        to: Option<&RuleTarget>,
        tag: Option<&Template>,
    ) {
        let (Some(from), Some(RuleTarget::Repository(to)), Some(tag)) = (from, to, tag) else {
            return;
        };
        let is_source = |pattern: &RepositoryPattern| written_with_captures(pattern) == to.as_str();
        let all_are = to.as_str() == "{repository}" || from.as_slice().iter().all(is_source);
        if let (true, true, Some(entry)) = (tag.is_source_tag(), all_are, self.entry("to")) {
            let span = entry.value_start..entry.value_start + entry.value.len();
            self.warning(
                span,
                "this is where the tag is: the rule promotes nothing",
                "name another repository, or another `tag`",
            );
        }
    }

    fn classes(&mut self) -> BTreeSet<Class> {
        let Some(entry) = self.entry("class") else {
            return BTreeSet::from([Class::App, Class::Index, Class::Image]);
        };
        let mut classes = BTreeSet::new();
        for (word, at) in self.list(entry) {
            match word.parse() {
                Ok(class) => {
                    classes.insert(class);
                }
                Err(_) => {
                    let known = Class::ALL.iter().map(|class| class.as_str()).collect();
                    self.unknown_word(entry, at..at + word.len(), word, known);
                }
            }
        }
        classes
    }

    fn scanners(&mut self) -> Vec<String> {
        let Some(entry) = self.entry("scanners") else {
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        for (word, at) in self.list(entry) {
            if word.contains(char::is_whitespace) {
                let message = format!("`{word}` is no name of a scanner");
                let help = Some("separate names with commas".to_owned());
                self.error_in(entry, at..at + word.len(), message, help);
            }
            names.insert(word.to_owned());
        }
        names.into_iter().collect()
    }

    fn scan_goes_with(&mut self, scan: ScanRequirement, classes: &BTreeSet<Class>) {
        let Some(entry) = self
            .entry("scan")
            .filter(|_| scan == ScanRequirement::NotRequired)
        else {
            return;
        };
        if classes.len() == 1 && classes.contains(&Class::App) {
            let help = "every image of an application must have a completed scan";
            self.error_at_value(entry, "applications always need scans".to_owned(), help);
        }
        if let Some(scanners) = self.entry("scanners") {
            let message = "`scanners` with `scan: not-required`";
            let help = "named scanners can only be required where scans are";
            self.error(scanners.key_span.clone(), message, Some(help.to_owned()));
        }
    }

    fn soak(&mut self) -> Option<TimeDelta> {
        let entry = self.entry("soak")?;
        match parse_duration(entry.value) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let help = "write for example `30m`, `72h`, `1h30m` or `7d`";
                self.error_at_value(entry, error.to_string(), help);
                None
            }
        }
    }

    fn approvals(&mut self) -> u32 {
        let Some(entry) = self.entry("approvals") else {
            return 0;
        };
        let digits = entry.value.bytes().all(|byte| byte.is_ascii_digit());
        match entry.value.parse::<u32>() {
            Ok(count) if digits && count <= MAX_APPROVALS => count,
            _ => {
                let message = format!("`{}` is no number of approvals", entry.value);
                self.error_at_value(entry, message, "write a number from 0 to 100");
                0
            }
        }
    }

    fn separate(&mut self) -> BTreeSet<Separate> {
        let mut actors = BTreeSet::new();
        let Some(entry) = self.entry("separate") else {
            return actors;
        };
        for (word, at) in self.list(entry) {
            match word {
                "pusher" => {
                    actors.insert(Separate::Pusher);
                }
                "rule-owner" => {
                    actors.insert(Separate::RuleOwner);
                }
                _ => {
                    let span = at..at + word.len();
                    self.unknown_word(entry, span, word, vec!["pusher", "rule-owner"]);
                }
            }
        }
        actors
    }

    fn separate_goes_with(&mut self, separate: &BTreeSet<Separate>, approvals: u32) {
        let Some(entry) = self.entry("separate") else {
            return;
        };
        let approvals_are_right = self.entry("approvals").is_none() || approvals > 0;
        if separate.contains(&Separate::RuleOwner) && self.entry("owner").is_none() {
            let help = "add `//! owner: NAME`";
            self.error_at_value(
                entry,
                "`rule-owner` of a rule without `owner`".to_owned(),
                help,
            );
        }
        if approvals == 0 && approvals_are_right {
            let span = entry.key_span.clone();
            self.warning(
                span,
                "`separate` without `approvals` does nothing",
                "add `//! approvals: 1`",
            );
        }
    }

    fn window(&mut self) -> Option<Window> {
        let entry = self.entry("window")?;
        match Window::parse(entry.value) {
            Ok(window) => {
                let left_out = window.zone_left_out();
                if let Some(left_out) = left_out.filter(|_| self.origin == Origin::Offered) {
                    let help = Some(left_out.help());
                    self.error_in(entry, left_out.span(), left_out.to_string(), help);
                }
                Some(window)
            }
            Err(error) => {
                self.error_in(entry, error.span(), error.to_string(), Some(error.help()));
                None
            }
        }
    }
}

/// Why `name` cannot name a rule, if it cannot.
fn problem_of_name(name: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name == RESERVED_NAME {
        Some(format!("`{name}` is kept for promotions by hand"))
    } else if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.bytes().all(legal) {
        Some(format!("`{name}` cannot name a rule"))
    } else {
        None
    }
}

/// The template that gives each repository of `pattern` itself: `dev/{1}` for `dev/*`.
fn written_with_captures(pattern: &RepositoryPattern) -> String {
    let mut capture = 0;
    let parts = pattern.as_str().split('/').map(|part| match part {
        "*" | "**" => {
            capture += 1;
            format!("{{{capture}}}")
        }
        literal => literal.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn singular(key: &str) -> &str {
    match key {
        "scanners" => "scanner",
        "separate" => "actor",
        _ => key,
    }
}
