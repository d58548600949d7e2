//! `--where`: a CEL expression over a record. Of the event's data only what the expression selects
//! is made a value, for findings may be many.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, OnceLock},
};

use memchr::memmem::Finder;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use weir_rules::cel::{
    ClauseOutcome, Environment, FactError, Facts, Field, Limits, Presence, Program, Record,
    RecordType, Step, Type, Value,
};
use weir_schema::Timestamp;

use super::{
    Undecided,
    expression::located,
    known,
    selecting::{Keys, Way},
};

/// What an expression may name, in the order of the indices below.
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let data = || Type::map(Type::String, Type::Dyn);
    let field = |name, ty, presence, doc| Field {
        name,
        ty,
        presence,
        doc,
    };
    let event = RecordType {
        name: EVENT,
        noun: "event",
        doc: "What happened, as a CloudEvent.",
        fields: vec![
            field(
                "id",
                Type::String,
                Presence::Always,
                "Its identifier, unique for its source.",
            ),
            field("source", Type::String, Presence::Always, "Who said it."),
            field(
                "type",
                Type::String,
                Presence::Always,
                "What kind of event it is.",
            ),
            field(
                "time",
                Type::Timestamp,
                Presence::Always,
                "When it happened, if it says so.",
            ),
            field(
                "subject",
                Type::String,
                Presence::Always,
                "What it is about, if it says so.",
            ),
            field(
                "data",
                data(),
                Presence::Always,
                "Everything else, by the event's type.",
            ),
        ],
    };
    let variables = [
        ("seq", Type::Int),
        ("recorded_at", Type::Timestamp),
        ("event", Type::Record(EVENT)),
        ("data", data()),
    ];
    Environment::of(variables).with_records(vec![event])
});

const EVENT: &str = "Event";

/// A condition on a record.
pub(super) struct Condition {
    program: Program,
    text: String,
    selected: Selected,
    /// Parts of a record without which it does not hold.
    required: Vec<Finder<'static>>,
}

/// The keys of the event's data that an expression selects; `None` for all.
type Selected = Option<Arc<BTreeSet<String>>>;

/// What an expression is called in messages.
const NAME: &str = "where";

/// The parts of a record that a condition may read, each read when it is asked for.
struct Parts<'a> {
    seq: u64,
    record: &'a [u8],
    selected: &'a Selected,
    made: [OnceCell<Result<Value, FactError>>; 4],
}

#[derive(Debug, serde::Deserialize)]
struct EventParts {
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    time: Option<Timestamp>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(skip)]
    selected: Selected,
    #[serde(skip)]
    made: [OnceLock<Result<Value, FactError>>; 6],
}

/// The fields that an expression reads of the data and of what is in it, and that no event of a known
/// type has, as `findings[].scoer`, each with the name that may be meant. It may still hold of events
/// of other types, and of what a source said besides.
#[must_use]
pub fn unknown_fields(expression: &str) -> Vec<(String, Option<String>)> {
    let Ok(condition) = Condition::compile(expression) else {
        return Vec::new();
    };
    let schemas = known::schemas();
    let ways = condition.program.ways();
    let within = ways.iter().filter_map(|way| match way.as_slice() {
        [Step::Name("event"), Step::Name("data"), within @ ..] => Some(within),
        [Step::Name("data"), within @ ..] => Some(within),
        _ => None,
    });
    let unknown = within.filter_map(|way| {
        let (at, meant) = known::first_unknown(way, &schemas)?;
        Some((shown(way.get(..=at)?), meant))
    });
    // Ways that go on from one that leads nowhere lead there too.
    let unknown: BTreeMap<String, Option<String>> = unknown.collect();
    unknown.into_iter().collect()
}

/// A way into the data, as `findings[].score`.
fn shown(way: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.extend([".", name]),
            Step::Element => text.push_str("[]"),
        }
    }
    text
}

impl Condition {
    /// Compiles an expression; gives the errors with their places.
    pub(super) fn compile(text: &str) -> Result<Condition, String> {
        match Program::compile_predicate(text, &ENVIRONMENT, &Limits::RULES) {
            Ok((program, _)) => Ok(Condition {
                selected: program
                    .selected(&[&["data"], &["event", "data"]])
                    .map(|keys| {
                        let keys = keys.into_iter().map(str::to_owned);
                        Arc::new(keys.collect())
                    }),
                required: required(&program),
                program,
                text: text.to_owned(),
            }),
            Err(errors) => {
                let texts = errors.iter().map(|error| error.render(NAME, text));
                Err(texts.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// Whether it holds of a record. One without a field that a clause reads is not one of those asked
    /// for: fields differ by type. Of others for which it errs nothing is known.
    ///
    /// # Errors
    /// What is in the way of an answer, with its place in the expression.
    fn test(&self, seq: u64, record: &[u8]) -> Result<bool, String> {
        // Most records are told so, in a small part of the time that it takes to read one.
        let lacks = |part: &Finder<'_>| part.find(record).is_none();
        if self.required.iter().any(lacks) {
            return Ok(false);
        }
        let parts = Parts {
            seq,
            record,
            selected: &self.selected,
            made: Default::default(),
        };
        let evaluation = self.program.decide(&parts);
        let lacks = |clause: &ClauseOutcome| match clause {
            ClauseOutcome::Error(error) => error.absent,
            _ => false,
        };
        match evaluation.outcome {
            Err(_) if evaluation.clauses.iter().any(lacks) => Ok(false),
            outcome => outcome.map_err(|error| located(&error, NAME, &self.text)),
        }
    }

    /// Whether it holds of the record `seq`; where that is not known it is noted in `unknown`, and
    /// the record is left out.
    pub(super) fn holds(&self, seq: u64, record: &[u8], unknown: &mut Option<Undecided>) -> bool {
        self.test(seq, record).unwrap_or_else(|problem| {
            let known = unknown.get_or_insert(Undecided {
                count: 0,
                seq,
                problem,
            });
            known.count += 1;
            false
        })
    }
}

/// What the bytes of a record must have for a condition to hold: keys, and what stands there. Records
/// are canonical JSON, so both are written in one way.
fn required(program: &Program) -> Vec<Finder<'static>> {
    let paths = [&["data"][..], &["event", "data"], &["event"]];
    let parts = paths.into_iter().flat_map(|path| {
        let required = program.required(path).into_iter();
        // An event without data has empty ones.
        required.filter(move |(key, _)| *path != ["event"] || *key != "data")
    });
    let written = parts.filter_map(|(key, text)| {
        let key = plain(key)?;
        Some(match text.and_then(plain) {
            Some(text) => format!("\"{key}\":\"{text}\""),
            None => format!("\"{key}\":"),
        })
    });
    written
        .map(|part| Finder::new(&part).into_owned())
        .collect()
}

/// A text that JSON writes as it is.
fn plain(text: &str) -> Option<&str> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    text.bytes().all(plain).then_some(text)
}

/// An event's data, or what is selected of it. What is no object, as other types may have, has no fields.
fn data(json: Option<&RawValue>, selected: &Selected) -> Result<Value, FactError> {
    let json = json.map_or("{}", RawValue::get);
    let data = match selected {
        Some(keys) if json.starts_with('{') => {
            Keys(keys).deserialize(&mut serde_json::Deserializer::from_str(json))
        }
        _ if json.starts_with('{') => serde_json::from_str(json),
        _ => Ok(serde_json::Map::new().into()),
    };
    Ok(Value::from_json(&data.map_err(unreadable)?))
}

fn unreadable(error: serde_json::Error) -> FactError {
    FactError {
        message: error.to_string(),
    }
}

impl Parts<'_> {
    fn recorded_at(&self) -> Result<Timestamp, FactError> {
        #[derive(serde::Deserialize)]
        struct Record {
            recorded_at: Timestamp,
        }
        let record: Record = serde_json::from_slice(self.record).map_err(unreadable)?;
        Ok(record.recorded_at)
    }

    fn event(&self) -> Result<Arc<EventParts>, FactError> {
        #[derive(serde::Deserialize)]
        struct Record {
            event: EventParts,
        }
        let record: Record = serde_json::from_slice(self.record).map_err(unreadable)?;
        let mut event = record.event;
        event.selected.clone_from(self.selected);
        Ok(Arc::new(event))
    }

    fn data(&self) -> Result<Value, FactError> {
        // In one reading, where only keys of an object are wanted.
        if let Some(keys) = self.selected {
            let mut reader = serde_json::Deserializer::from_slice(self.record);
            if let Ok(Some(data)) = Way(&["event", "data"], Keys(keys)).deserialize(&mut reader) {
                return Ok(Value::from_json(&data));
            }
        }
        #[derive(serde::Deserialize)]
        struct Event<'a> {
            #[serde(borrow, default)]
            data: Option<&'a RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Record<'a> {
            #[serde(borrow)]
            event: Event<'a>,
        }
        let record: Record<'_> = serde_json::from_slice(self.record).map_err(unreadable)?;
        data(record.event.data, self.selected)
    }

    fn make(&self, index: u16) -> Result<Value, FactError> {
        Ok(match index {
            0 => Value::Int(i64::try_from(self.seq).unwrap_or(i64::MAX)),
            1 => Value::Timestamp(self.recorded_at()?),
            2 => Value::Record(self.event()?),
            _ => self.data()?,
        })
    }
}

impl Facts for Parts<'_> {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let Some(made) = self.made.get(usize::from(index)) else {
            return Ok(&Value::Null);
        };
        let made = made.get_or_init(|| self.make(index));
        made.as_ref().map_err(|error| Box::new(error.clone()))
    }
}

impl EventParts {
    fn make(&self, index: u16) -> Result<Value, FactError> {
        let text = |text: &str| Value::String(text.into());
        Ok(match index {
            0 => text(&self.id),
            1 => text(&self.source),
            2 => text(&self.kind),
            3 => self.time.map_or(Value::Null, Value::Timestamp),
            4 => self.subject.as_deref().map_or(Value::Null, text),
            _ => data(self.data.as_deref(), &self.selected)?,
        })
    }
}

impl Record for EventParts {
    fn type_name(&self) -> &'static str {
        EVENT
    }

    fn field(&self, index: u16) -> Result<&Value, &FactError> {
        let made = self.made.get(usize::from(index));
        made.map_or(Ok(&Value::Null), |made| {
            made.get_or_init(|| self.make(index)).as_ref()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"event":{"data":{"findings":[{"id":"CVE-1"}],"repository":"dev/web","size":7},"id":"1","source":"s","specversion":"1.0","type":"weir.x"},"position":{},"previous":"","recorded_at":"2026-08-21T10:00:00Z","seq":5,"v":1}"#;

    #[test]
    fn a_condition_reads_all_of_a_record() {
        let test = |text: &str| {
            Condition::compile(text)
                .unwrap_or_else(|error| panic!("{error}"))
                .test(5, RECORD.as_bytes())
        };
        let holds = |text: &str| test(text).unwrap();
        assert!(holds(
            "seq == 5 && event.type == 'weir.x' && event.source == 's'"
        ));
        assert!(holds(
            "data.repository.startsWith('dev/') && event.data.size == 7"
        ));
        assert!(holds("data.findings.exists(f, f.id == 'CVE-1')"));
        assert!(holds("recorded_at > timestamp('2026-08-21T09:00:00Z')"));
        assert!(holds("!has(event.subject) && !has(data.tag)"));
        assert!(!holds("data.tag == 'x'"), "it has none");
        assert!(!holds("data.findings[1].id == 'CVE-1'"), "it has none");
        assert!(!holds("data.size > 7"));
        let told = test("seq / (data.size - 7) > 0").unwrap_err();
        assert!(told.starts_with("where:1:"), "{told}");
        assert!(told.contains("division by zero"), "{told}");
        for text in [
            "data.repository",
            "has(data.size) ? data.size : 0",
            "data.findings",
        ] {
            let told = test(text).unwrap_err();
            assert!(told.starts_with("where:1:1: "), "{told}");
            assert!(
                told.contains("a truth value is needed here, not "),
                "{told}"
            );
        }
    }

    #[test]
    fn a_field_that_no_event_has_is_told_wherever_it_is_read() {
        let told = |text: &str| {
            let unknown = unknown_fields(text).into_iter();
            let unknown = unknown.map(|(field, meant)| match meant {
                Some(meant) => format!("{field}: {meant}"),
                None => field,
            });
            unknown.collect::<Vec<_>>()
        };
        for (text, unknown) in [
            ("data.verdcit == 'block'", &["verdcit: verdict"][..]),
            ("event.data.verdcit == 'block'", &["verdcit: verdict"]),
            ("data.source.repo == 'dev/shop'", &["source.repo"]),
            (
                "data['target'].repositry == 'x'",
                &["target.repositry: repository"],
            ),
            ("data.scanner.nme.startsWith('t')", &["scanner.nme: name"]),
            ("data.repository.name == 'x'", &["repository.name"]),
            (
                "data.findings.exists(f, f.scoer > 9.0 && f.fx.size() > 0)",
                &["findings[].fx", "findings[].scoer: score"],
            ),
            (
                "data.findings.filter(f, f.score > 9.0)[0].idd == 'x'",
                &["findings[].idd: id"],
            ),
            (
                "cel.bind(all, data.reasons, all.exists(i, r, i > 0 && r.cod == 'x'))",
                &["reasons[].cod: code"],
            ),
        ] {
            assert_eq!(told(text), unknown, "{text}");
        }
        for text in [
            "data.verdict == 'block' && data.resolved.anything == 'x'",
            "data.findings.exists(f, f.score > 9.0 && f.id == 'x')",
            "data.annotations.exists(key, data.annotations[key] == 'x')",
            "data.annotations['a.b/c'] == 'x' && data.labels.team == 'shop'",
            "data.exists(key, data[key].x == 7)",
        ] {
            assert_eq!(told(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_else_an_event_says_changes_no_answer() {
        let holds = |text: &str, data: &str| {
            let record = RECORD.replace(r#""size":7"#, data);
            Condition::compile(text).unwrap().test(5, record.as_bytes())
        };
        for data in [r#""size":7"#, r#""a":[{"size":1}],"size":7,"z":{"size":2}"#] {
            assert_eq!(
                holds("data.size == 7 && event.data.size == 7", data),
                Ok(true)
            );
            assert_eq!(holds("data.exists(key, data[key] == 7)", data), Ok(true));
        }
    }

    #[test]
    fn a_record_that_lacks_what_is_required_is_not_one_asked_for() {
        let lacks = |text: &str| {
            let required = Condition::compile(text).unwrap().required;
            let lacks = |part: &Finder<'_>| part.find(RECORD.as_bytes()).is_none();
            required.iter().any(lacks)
        };
        for text in [
            "data.tag == 'x'",
            "seq > 3 && event.data.repository == 'dev/api'",
            "data.findings.size() > 0 && has(data.digest)",
            "event.type == 'weir.y'",
        ] {
            assert!(lacks(text), "{text}");
        }
        let data = [
            r#""size":7"#,
            r#""a":[{"size":1,"tag":"x"}],"z":{"size":2}"#,
            r#""size":null,"tag":"y \"x\"""#,
            r#""note":"\"tag\":\"x\"","ü":"é""#,
            r#""tag":["x"]"#,
            r#""tag":{"x":1}"#,
            // In place of all data, and of none.
            "3",
            "",
        ];
        for text in [
            "data.tag == 'x'",
            "data.tag == 'y \"x\"' && data.size == null",
            "has(data.size)",
            "has(data.size) && data.size > 3",
            "data.size > 3",
            "data.size > 3 && data.tag == 'x'",
            "7 / (data.size - 7) > 3 && data.tag == 'x'",
            "data.tag.x == 1",
            "data['ü'] == 'é'",
            "event.subject == 'x'",
            "event.subject != 'x' && has(event.time)",
            "event.type == 'weir.x' && !has(data.tag)",
            "data.tag != 'x'",
            "!('tag' in event.data) && event.type == 'weir.x'",
            "event.data.size() == 0",
            "'x' in data.tag",
            "data.a.exists(e, e.tag == 'x')",
            "data.repository.endsWith('web') && data.findings[0].id == 'CVE-1'",
        ] {
            let quick = Condition::compile(text).unwrap();
            let whole = Condition {
                required: Vec::new(),
                ..Condition::compile(text).unwrap()
            };
            for data in data {
                let record = match data {
                    "3" | "" => {
                        let (_, after) = RECORD.split_once("},").unwrap();
                        let data = if data == "3" { r#""data":3,"# } else { "" };
                        format!(r#"{{"event":{{{data}{after}"#)
                    }
                    data => RECORD.replace(r#""size":7"#, data),
                };
                assert_eq!(
                    quick.test(5, record.as_bytes()),
                    whole.test(5, record.as_bytes()),
                    "{text} of {data}"
                );
            }
        }
    }

    #[test]
    fn a_condition_is_checked_and_its_errors_have_a_place() {
        let told = |text: &str| Condition::compile(text).map(|_| ()).unwrap_err();
        assert!(
            told("event.tpye == 'x'").contains("where:1:7"),
            "{}",
            told("event.tpye == 'x'")
        );
        assert!(told("event.tpye == 'x'").contains("'type'"));
        assert!(told("seq == 'x'").contains("where:1"));
        assert!(told("dat.size > 1").contains("'data'"));
        assert!(told("seq + 1").contains("where:1"), "not a condition");
        assert!(told("data.x &&").contains("where:1"));
    }
}
