//! Reads of JSON only the keys that are selected: of what is left out nothing is made.

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Reads what an object has at the end of a way of names, and there these keys of an object.
pub(super) struct Way<'a>(pub(super) &'a [&'a str], pub(super) Keys<'a>);

impl<'de> DeserializeSeed<'de> for Way<'_> {
    type Value = Option<serde_json::Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => self.1.deserialize(json).map(Some),
            _ => json.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Way<'_> {
    type Value = Option<serde_json::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Way([name, rest @ ..], keys) = self else {
            return Ok(None);
        };
        let mut read = None;
        while let Some(is_it) = entries.next_key_seed(Named(|key: &str| key == *name))? {
            if is_it {
                read = entries.next_value_seed(Way(rest, keys))?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(read)
    }
}

/// Reads a key, and makes of it what is wanted.
struct Named<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Named<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Named<F> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// Reads these keys of an object.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = serde_json::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = serde_json::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut read = serde_json::Map::new();
        while let Some(key) = entries.next_key_seed(Named(|key: &str| self.0.get(key)))? {
            if let Some(key) = key {
                read.insert(key.clone(), entries.next_value()?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(read.into())
    }
}
