//! Facts from JSON, checked against the declaration of what a rule may read.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use weir_rules::cel::{Environment, FactError, Facts, Map as CelMap, Record, Type, Value};
use weir_rules::rule::parse_duration;
use weir_rules::suggest::nearest;
use weir_schema::Timestamp;

/// The variables of a rule with the values that a test gives them.
#[derive(Debug)]
pub struct JsonFacts {
    /// By the index of the variable; `None` for one that the test takes away.
    variables: Vec<Option<Value>>,
    names: Vec<Arc<str>>,
}

/// A record whose fields are all at hand.
#[derive(Debug)]
struct Row {
    type_name: &'static str,
    fields: Vec<Value>,
}

impl Record for Row {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn field(&self, index: u16) -> Result<&Value, &FactError> {
        Ok(self.fields.get(usize::from(index)).unwrap_or(&Value::Null))
    }
}

impl Facts for JsonFacts {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        match self.variables.get(usize::from(index)) {
            Some(Some(value)) => Ok(value),
            _ => {
                let name = self.names.get(usize::from(index)).map_or("", |name| name);
                let message = format!("the test takes `{name}` away");
                Err(Box::new(FactError { message }))
            }
        }
    }
}

impl JsonFacts {
    /// Reads one object with a value for each variable.
    pub fn new(json: &Json) -> Result<Self, String> {
        let environment = Environment::rules();
        let object = json.as_object().ok_or("facts must be an object")?;
        let names: Vec<Arc<str>> = environment
            .variables()
            .iter()
            .map(|variable| Arc::clone(&variable.name))
            .collect();
        refuse_unknown(object, names.iter().map(|name| &**name), "variable", "")?;
        let now = object
            .get("now")
            .and_then(Json::as_str)
            .ok_or("`now` must be a time")?
            .parse()
            .map_err(|error| format!("`now`: {error}"))?;
        let reader = Reader { environment, now };
        let mut variables = Vec::new();
        for variable in environment.variables() {
            variables.push(match object.get(&*variable.name) {
                _ if *variable.name == *"now" => Some(Value::Now(now)),
                None | Some(Json::Null) => None,
                Some(value) => Some(reader.read(&variable.ty, value, &variable.name)?),
            });
        }
        Ok(Self { variables, names })
    }
}

fn refuse_unknown<'a>(
    object: &Map<String, Json>,
    known: impl Iterator<Item = &'a str> + Clone,
    what: &str,
    path: &str,
) -> Result<(), String> {
    for key in object.keys() {
        if !known.clone().any(|name| name == key) {
            let place = if path.is_empty() {
                String::new()
            } else {
                format!(" in `{path}`")
            };
            let help = nearest(key, known.clone())
                .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            return Err(format!("no {what} `{key}`{place}{help}"));
        }
    }
    Ok(())
}

/// Refuses a text that is none of the only ones that a field can be.
pub(super) fn refuse_unknown_word(word: &str, known: &[&str], path: &str) -> Result<(), String> {
    if known.contains(&word) {
        return Ok(());
    }
    Err(match nearest(word, known.iter().copied()) {
        Some(near) => format!("`{path}` is never `{word}`, did you mean `{near}`?"),
        None => format!(
            "`{path}` is never `{word}`, but one of {}",
            known.join(", ")
        ),
    })
}

struct Reader {
    environment: &'static Environment,
    now: Timestamp,
}

impl Reader {
    fn read(&self, ty: &Type, json: &Json, path: &str) -> Result<Value, String> {
        let wrong = || format!("`{path}` must be a {ty}, not `{json}`");
        Ok(match (ty, json) {
            (_, Json::Null) => Value::Null,
            (Type::Dyn, _) => Value::from_json(json),
            (Type::Bool, Json::Bool(value)) => Value::Bool(*value),
            (Type::Int, Json::Number(number)) => match number.as_i64().ok_or_else(wrong)? {
                negative @ ..0 => return Err(format!("`{path}` is never negative, as {negative}")),
                number => Value::Int(number),
            },
            (Type::Double, Json::Number(number)) => {
                Value::Double(number.as_f64().ok_or_else(wrong)?)
            }
            (Type::String, Json::String(text)) => Value::String(text.as_str().into()),
            (Type::Timestamp, Json::String(text)) => {
                Value::Timestamp(text.parse().map_err(|error| format!("`{path}`: {error}"))?)
            }
            (Type::Duration, Json::String(text)) => {
                let delta = parse_duration(text).map_err(|error| format!("`{path}`: {error}"))?;
                Value::age(self.now.saturating_add(-delta), self.now)
            }
            (Type::List(element), Json::Array(items)) => {
                let read = items.iter().enumerate();
                let read: Result<Vec<Value>, String> = read
                    .map(|(index, item)| self.read(element, item, &format!("{path}.{index}")))
                    .collect();
                Value::List(read?.into())
            }
            (Type::Map(_, value_type), Json::Object(object)) => {
                let mut entries = Vec::new();
                for (key, value) in object {
                    let value = self.read(value_type, value, &format!("{path}.{key}"))?;
                    entries.push((Value::String(key.as_str().into()), value));
                }
                Value::Map(Arc::new(CelMap::new(entries)))
            }
            (Type::Record(name), Json::Object(object)) => self.record(name, object, path)?,
            _ => return Err(wrong()),
        })
    }

    fn record(&self, name: &str, object: &Map<String, Json>, path: &str) -> Result<Value, String> {
        let Some(declared) = self.environment.record(name) else {
            return Err(format!("`{path}`: no type `{name}`"));
        };
        let known = declared.fields.iter().map(|field| field.name);
        refuse_unknown(object, known, "field", path)?;
        let time = |field: &str| -> Option<Timestamp> { object.get(field)?.as_str()?.parse().ok() };
        let mut fields = Vec::new();
        for field in &declared.fields {
            let since = match field.name {
                "age" => time("first_seen").or_else(|| time("scanned_at")),
                "db_age" => time("db_updated_at"),
                _ => None,
            };
            let value = match (object.get(field.name), since) {
                (Some(Json::String(word)), _) if !field.words().is_empty() => {
                    let word = match field.name {
                        "severity" => word.to_uppercase(),
                        _ => word.clone(),
                    };
                    refuse_unknown_word(&word, &field.words(), &format!("{path}.{}", field.name))?;
                    Value::String(word.into())
                }
                (Some(Json::Null), _) => Value::Null,
                (_, Some(since)) => Value::age(since, self.now),
                (Some(value), None) => {
                    self.read(&field.ty, value, &format!("{path}.{}", field.name))?
                }
                (None, None) => self.absent(&field.ty, path)?,
            };
            fields.push(value);
        }
        Ok(Value::Record(Arc::new(Row {
            type_name: declared.name,
            fields,
        })))
    }

    /// What the facts of the core hold where nothing is known.
    fn absent(&self, ty: &Type, path: &str) -> Result<Value, String> {
        Ok(match ty {
            Type::Bool => Value::Bool(false),
            Type::Int => Value::Int(0),
            Type::Double => Value::Double(0.0),
            Type::String => Value::String("".into()),
            Type::List(_) => Value::List(Vec::new().into()),
            Type::Map(..) => Value::Map(Arc::new(CelMap::default())),
            Type::Record(name) => self.record(name, &Map::new(), path)?,
            _ => Value::Null,
        })
    }
}
