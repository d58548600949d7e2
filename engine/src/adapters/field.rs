//! A JSON value that knows where in the payload it stands, so that every complaint names the field.
//!
//! Payloads are written by programs of many versions: `null` and an empty string count as absent,
//! and unknown fields are not looked at. A value of the wrong kind is never taken for absent where
//! it is needed.

use serde_json::Value;
use weir_schema::{Digest, SmolStr, Timestamp};

use super::problem::Problem;
use super::time;

/// A value and its path.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    value: &'a Value,
    path: String,
}

const NULL: &Value = &Value::Null;

impl<'a> Field<'a> {
    /// The whole payload.
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// The same value, said to stand at `path`.
    pub(super) fn named(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The field `name`; absent if this is no object.
    pub(super) fn get(&self, name: &str) -> Self {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            value: self.value.get(name).unwrap_or(NULL),
            path,
        }
    }

    /// The first of `names` that is there; the last of them if none is.
    pub(super) fn first(&self, names: &[&str]) -> Self {
        let mut found = self.get(names.first().copied().unwrap_or_default());
        for name in names.iter().skip(1) {
            if !found.is_absent() {
                break;
            }
            found = self.get(name);
        }
        found
    }

    /// The elements of a list; none if it is absent or no list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + '_ {
        let list = self.value.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().enumerate().map(|(index, value)| Self {
            value,
            path: format!("{}[{index}]", self.path),
        })
    }

    /// The elements of a list; none if it is absent. Anything else is refused.
    pub(super) fn list(&self) -> Result<Vec<Self>, Problem> {
        match self.value {
            Value::Array(_) => Ok(self.items().collect()),
            _ if self.is_absent() => Ok(Vec::new()),
            other => Err(self.problem(format!("expected a list, found {}", kind(other)))),
        }
    }

    /// As [`Field::list`], of elements that may make an event each.
    pub(super) fn each(&self) -> Result<Vec<Self>, Problem> {
        super::at_most(self.value.as_array().map_or(0, Vec::len))?;
        self.list()
    }

    /// This field, which must be an object if it is there.
    pub(super) fn object(self) -> Result<Self, Problem> {
        match self.value {
            Value::Object(_) => Ok(self),
            _ if self.is_absent() => Ok(self),
            other => Err(self.problem(format!("expected an object, found {}", kind(other)))),
        }
    }

    /// The fields of an object; none if it is absent or no object.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> + '_ {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(name, value)| {
            let path = format!("{}[{name:?}]", self.path);
            (name.as_str(), Self { value, path })
        })
    }

    /// The value itself.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Not there, or `null`, or an empty text.
    pub(super) fn is_absent(&self) -> bool {
        self.value.is_null() || self.value.as_str() == Some("")
    }

    /// The text, if it is one and not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().filter(|text| !text.is_empty())
    }

    /// The text as owned, for optional fields.
    pub(super) fn string(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// The text, as findings keep it.
    pub(super) fn short(&self) -> Option<SmolStr> {
        self.text().map(SmolStr::from)
    }

    /// The text, which must be there.
    pub(super) fn required(&self) -> Result<&'a str, Problem> {
        match self.value {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::Null | Value::String(_) => Err(self.missing()),
            other => Err(self.problem(format!("expected a text, found {}", kind(other)))),
        }
    }

    /// The text, if something is there: then it must be one.
    pub(super) fn optional(&self) -> Result<Option<&'a str>, Problem> {
        if self.is_absent() {
            return Ok(None);
        }
        self.required().map(Some)
    }

    /// The digest, which must be there and whole.
    pub(super) fn digest(&self) -> Result<Digest, Problem> {
        self.required()?
            .parse()
            .map_err(|error| self.problem(error))
    }

    /// The digest, if one is there: then it must be whole.
    pub(super) fn optional_digest(&self) -> Result<Option<Digest>, Problem> {
        if self.is_absent() {
            return Ok(None);
        }
        self.digest().map(Some)
    }

    /// A point in time in any of the forms that sources use; `None` if absent or not sane.
    pub(super) fn time(&self) -> Option<Timestamp> {
        time::from_json(self.value)
    }

    /// A number of things, which must be there; texts and floats are read too.
    pub(super) fn count(&self) -> Result<u64, Problem> {
        let number = match self.value {
            Value::Null => return Err(self.missing()),
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| {
            self.problem(format!(
                "expected a count, found {}",
                super::clip(&self.value.to_string())
            ))
        })
    }

    /// A number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite()),
            _ => None,
        }
    }

    /// The complaint that this field is not there.
    pub(super) fn missing(&self) -> Problem {
        Problem::Missing {
            path: self.path.clone(),
        }
    }

    /// A complaint about this field.
    pub(super) fn problem(&self, cause: impl ToString) -> Problem {
        Problem::field(self.path.clone(), cause)
    }
}

/// A float that is a count.
fn whole(number: f64) -> Option<u64> {
    // 2^53: above it floats skip integers, and no registry counts that far.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let counts = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number in range"
    )]
    counts.then_some(number as u64)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
