//! Facts for tests: one promotion that passes usual rules, changed where a test needs it.

#![expect(dead_code, reason = "each test file uses a part")]

use std::cell::OnceCell;
use std::sync::Arc;
use weir_rules::cel::facts::{
    approval, artifact, image, image_scan, repository, scan, tag, target, variable, vulnerability,
};
use weir_rules::cel::{
    Diagnostic, Environment, Evaluation, FactError, Facts, Limits, Map, Presence, Program, Record,
    Timestamp, Type, Value,
};

/// A record with its values in the order of its declaration; what was not set is a zero value.
#[derive(Debug)]
pub struct Row {
    name: &'static str,
    fields: Vec<Value>,
}

impl Row {
    pub fn of(name: &'static str, set: &[(u16, Value)]) -> Value {
        let declared = Environment::rules()
            .record(name)
            .expect("a declared record");
        let mut fields: Vec<Value> = declared
            .fields
            .iter()
            .map(|field| match field.presence {
                Presence::Always => zero(&field.ty),
                Presence::Optional => Value::Null,
            })
            .collect();
        for (index, value) in set {
            fields[usize::from(*index)] = value.clone();
        }
        Value::Record(Arc::new(Row { name, fields }))
    }
}

fn zero(ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::Bool(false),
        Type::Int => Value::Int(0),
        Type::Double => Value::Double(0.0),
        Type::String => "".into(),
        Type::List(_) => Vec::new().into(),
        Type::Map(..) => Value::Map(Arc::new(Map::default())),
        _ => Value::Null,
    }
}

impl Record for Row {
    fn type_name(&self) -> &'static str {
        self.name
    }

    fn field(&self, index: u16) -> Result<&Value, &FactError> {
        Ok(&self.fields[usize::from(index)])
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The facts at a time. What is changed must be changed before an expression reads it.
pub struct Case {
    pub now: Timestamp,
    pub tag: String,
    pub critical: i64,
    pub vulnerabilities: Vec<Value>,
    pub scanned_at: Timestamp,
    pub refused: bool,
    made: [OnceCell<Value>; VARIABLES],
}

const VARIABLES: usize = variable::NOW as usize + 1;

pub fn case() -> Case {
    Case {
        now: at("2026-03-10T12:00:00Z"),
        tag: "v1.4.2".to_owned(),
        critical: 0,
        vulnerabilities: Vec::new(),
        scanned_at: at("2026-03-10T00:00:00Z"),
        refused: false,
        made: Default::default(),
    }
}

pub fn finding(id: &str, severity: &str, first_seen: &str, now: Timestamp) -> Value {
    let first_seen = at(first_seen);
    Row::of(
        vulnerability::TYPE,
        &[
            (vulnerability::ID, id.into()),
            (vulnerability::SEVERITY, severity.into()),
            (vulnerability::FIRST_SEEN, first_seen.into()),
            (vulnerability::AGE, Value::age(first_seen, now)),
        ],
    )
}

impl Facts for Case {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let kept = &self.made[usize::from(index)];
        if kept.get().is_none() {
            let _ = kept.set(self.make(index)?);
        }
        Ok(kept.get().expect("it was made"))
    }
}

impl Case {
    fn make(&self, index: u16) -> Result<Value, FactError> {
        Ok(match index {
            variable::NOW => Value::Now(self.now),
            variable::TAG => Row::of(
                tag::TYPE,
                &[
                    (tag::NAME, self.tag.as_str().into()),
                    (tag::PUSHED_AT, at("2026-03-09T12:00:00Z").into()),
                ],
            ),
            variable::REPOSITORY => {
                Row::of(repository::TYPE, &[(repository::NAME, "dev/api".into())])
            }
            variable::ARTIFACT => {
                let labels = [("team".into(), "shop".into())];
                Row::of(
                    artifact::TYPE,
                    &[(artifact::LABELS, Value::Map(Arc::new(Map::new(labels))))],
                )
            }
            variable::IMAGES => {
                let scan = Row::of(
                    image_scan::TYPE,
                    &[
                        (image_scan::STATE, "completed".into()),
                        (image_scan::SCANNED_AT, self.scanned_at.into()),
                        (image_scan::AGE, Value::age(self.scanned_at, self.now)),
                        (image_scan::CRITICAL, self.critical.into()),
                    ],
                );
                vec![Row::of(
                    image::TYPE,
                    &[(image::SCAN, scan), (image::COMPONENT, "api".into())],
                )]
                .into()
            }
            variable::SCAN => Row::of(scan::TYPE, &[(scan::CRITICAL, self.critical.into())]),
            variable::VULNERABILITIES if self.refused => {
                let message = "scan of `sha256:1` gave only counts".to_owned();
                return Err(FactError { message });
            }
            variable::VULNERABILITIES => self.vulnerabilities.clone().into(),
            variable::TARGET => Row::of(target::TYPE, &[(target::REPOSITORY, "prod/api".into())]),
            variable::APPROVALS => {
                vec![Row::of(approval::TYPE, &[(approval::ACTOR, "kim".into())])].into()
            }
            _ => Vec::new().into(),
        })
    }
}

pub fn compile(source: &str) -> Program {
    match Program::compile_predicate(source, Environment::rules(), &Limits::default()) {
        Ok((program, _)) => program,
        Err(diagnostics) => panic!("{}", render(source, &diagnostics)),
    }
}

/// The diagnostics of a rule, errors and warnings.
pub fn diagnose(source: &str) -> String {
    let diagnostics =
        match Program::compile_predicate(source, Environment::rules(), &Limits::default()) {
            Ok((_, warnings)) => warnings,
            Err(diagnostics) => diagnostics,
        };
    render(source, &diagnostics)
}

pub fn render(source: &str, diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.render("rule.cel", source))
        .collect()
}

pub fn decide(source: &str, facts: &dyn Facts) -> Evaluation {
    compile(source).decide(facts)
}
