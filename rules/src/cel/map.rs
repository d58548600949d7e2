//! Maps: sorted by key, so that order never varies.

use super::budget::{Budget, Fault};
use super::compare::spend_comparing;
use super::value::Value;
use std::cmp::Ordering;

/// A map from booleans, integers or texts to values. Integers of either sign are one kind of key:
/// `1` and `1u` are the same.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<(Value, Value)>,
}

/// Why entries make no map.
#[derive(Debug)]
pub(super) enum NoMap {
    /// This key occurs twice.
    Twice(Value),
    /// This value cannot be a key.
    NoKey(Value),
    /// Putting the keys in order takes too much.
    Fault(Fault),
}

impl Map {
    /// A map of `entries`. The last of equal keys wins; entries whose key cannot be one are left
    /// out.
    pub fn new(entries: impl IntoIterator<Item = (Value, Value)>) -> Map {
        let mut map = Map::default();
        for (key, value) in entries {
            match map.find(&key) {
                Some(Ok(at)) => map.entries[at].1 = value,
                Some(Err(at)) => map.entries.insert(at, (key, value)),
                None => {}
            }
        }
        map
    }

    /// A map of `entries`, or the key that occurs twice or cannot be one. Long keys take steps of
    /// the budget.
    pub(super) fn from_unique(
        mut entries: Vec<(Value, Value)>,
        budget: &Budget,
    ) -> Result<Map, NoMap> {
        let times = comparisons(entries.len());
        for (key, _) in &entries {
            if key_rank(key).is_none() {
                return Err(NoMap::NoKey(key.clone()));
            }
            spend_comparing(key, times, budget).map_err(NoMap::Fault)?;
        }
        entries.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        match entries
            .windows(2)
            .find(|pair| compare_keys(&pair[0].0, &pair[1].0).is_eq())
        {
            Some(pair) => Err(NoMap::Twice(pair[0].0.clone())),
            None => Ok(Map { entries }),
        }
    }

    /// The value at `key`. A double finds the integer it equals.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        let whole;
        let key = match key {
            Value::Double(number) => {
                whole = whole_number(*number)?;
                &whole
            }
            other => other,
        };
        match self.find(key)? {
            Ok(at) => Some(&self.entries[at].1),
            Err(_) => None,
        }
    }

    /// The value at the text `key`.
    pub fn get_str(&self, key: &str) -> Option<&Value> {
        let at = self.entries.binary_search_by(|(entry, _)| match entry {
            Value::String(text) => text.as_ref().cmp(key),
            _ => Ordering::Less,
        });
        Some(&self.entries[at.ok()?].1)
    }

    /// As [`Map::get`]. Long keys take steps of the budget.
    pub(super) fn look_up(&self, key: &Value, budget: &Budget) -> Result<Option<&Value>, Fault> {
        spend_comparing(key, comparisons(self.len()), budget)?;
        Ok(self.get(key))
    }

    /// As [`Map::get_str`]. Long keys take steps of the budget.
    pub(super) fn look_up_str(&self, key: &str, budget: &Budget) -> Result<Option<&Value>, Fault> {
        budget.compare_bytes(key.len(), comparisons(self.len()))?;
        Ok(self.get_str(key))
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where `key` is or would be; `None` if it cannot be a key.
    fn find(&self, key: &Value) -> Option<Result<usize, usize>> {
        key_rank(key)?;
        Some(
            self.entries
                .binary_search_by(|(entry, _)| compare_keys(entry, key)),
        )
    }
}

/// With how many others one of so many entries is compared, so that it has its place.
fn comparisons(entries: usize) -> usize {
    1 + entries.max(1).ilog2() as usize
}

/// The integer equal to `number`, if there is one.
fn whole_number(number: f64) -> Option<Value> {
    // 2^63 and 2^64 are exact as doubles; the bounds are just beyond the integers.
    if number.trunc() != number {
        None
    } else if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        Some(Value::Int(number as i64))
    } else if (0.0..18_446_744_073_709_551_616.0).contains(&number) {
        Some(Value::Uint(number as u64))
    } else {
        None
    }
}

/// Booleans before integers before texts; `None` for what cannot be a key.
fn key_rank(key: &Value) -> Option<u8> {
    match key {
        Value::Bool(_) => Some(0),
        Value::Int(_) | Value::Uint(_) => Some(1),
        Value::String(_) => Some(2),
        _ => None,
    }
}

fn compare_keys(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::Uint(a), Value::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (a, b) => key_rank(a).cmp(&key_rank(b)),
    }
}
