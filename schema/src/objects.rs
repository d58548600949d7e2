//! JSON in which what has named fields is an object.
//!
//! What serde derives for a struct also takes an array, field by field in the order of the code.
//! Readers that go by the names, as the audit's, see nothing in it; and an array that is empty is a
//! struct whose fields are all left out, as a scope of everything. Here such an array is refused
//! wherever it stands; all else is read as it would be without.
//!
//! It is beneath the whole of what is read: every part of serde that hands on another is wrapped. A
//! type that keeps what it reads before it knows the form (`flatten`, `untagged`, `tag`) would read
//! that copy without it, so the events have none.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    marker::PhantomData,
};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::digest::clip;

/// Reads JSON as a `T`, of which each struct is an object.
///
/// # Errors
/// As `serde_json::from_str`.
pub fn from_str<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    read(serde_json::Deserializer::from_str(json))
}

/// As [`from_str`].
///
/// # Errors
/// As `serde_json::from_slice`.
pub fn from_slice<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    read(serde_json::Deserializer::from_slice(json))
}

fn read<'de, R: serde_json::de::Read<'de>, T: Deserialize<'de>>(
    mut json: serde_json::Deserializer<R>,
) -> Result<T, serde_json::Error> {
    let value = T::deserialize(ObjectsOnly(&mut json))?;
    json.end()?;
    Ok(value)
}

/// An object of names that are not known before, in which none comes twice: one of the two would go
/// unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceEach<V>(pub BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OnceEach<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(Names(PhantomData))
            .map(OnceEach)
    }
}

/// Reads the names of an object.
struct Names<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Names<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, V>()? {
            match found.entry(name) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(taken) => {
                    let name = clip(taken.key());
                    return Err(A::Error::custom(format!(
                        "`{name}` comes twice in an object"
                    )));
                }
            };
        }
        Ok(found)
    }
}

/// A part of serde through which structs are read from objects only.
pub(crate) struct ObjectsOnly<T>(pub(crate) T);

/// Methods that hand on a visitor, wrapped.
macro_rules! pass_on {
    ($($method:ident($($name:ident: $of:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $of,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* ObjectsOnly(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectsOnly<D> {
    type Error = D::Error;

    /// An array is none.
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(ObjectsOnly(visitor))
    }

    pass_on! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Methods that take a value as it is.
macro_rules! take {
    ($($method:ident($value:ty))*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $value) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ObjectsOnly<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    take! {
        visit_bool(bool)
        visit_i8(i8)
        visit_i16(i16)
        visit_i32(i32)
        visit_i64(i64)
        visit_i128(i128)
        visit_u8(u8)
        visit_u16(u16)
        visit_u32(u32)
        visit_u64(u64)
        visit_u128(u128)
        visit_f32(f32)
        visit_f64(f64)
        visit_char(char)
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
        visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(ObjectsOnly(value))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(ObjectsOnly(value))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(ObjectsOnly(items))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(ObjectsOnly(fields))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(ObjectsOnly(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for ObjectsOnly<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(ObjectsOnly(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for ObjectsOnly<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(ObjectsOnly(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for ObjectsOnly<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        // A key is a text, in which there is nothing to refuse.
        self.0.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(ObjectsOnly(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for ObjectsOnly<A> {
    type Error = A::Error;
    type Variant = ObjectsOnly<A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, variant) = self.0.variant_seed(seed)?;
        Ok((name, ObjectsOnly(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for ObjectsOnly<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(ObjectsOnly(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, ObjectsOnly(visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        // As of a struct, which is what comes after the name of the variant.
        self.0.newtype_variant_seed(Object(ObjectsOnly(visitor)))
    }
}

/// Reads an object for a visitor.
struct Object<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Object<V> {
    type Value = V::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        value.deserialize_map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Part {
        a: Option<u8>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Shape {
        Unit,
        One(Part),
        Two(u8, Part),
        Named { part: Part },
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Whole {
        part: Option<Part>,
        parts: Vec<Part>,
        named: BTreeMap<String, Part>,
        pair: (u8, Part),
        shapes: Vec<Shape>,
    }

    const WHOLE: &str = r#"{"part":{"a":1},"parts":[{"a":2},{}],"named":{"x":{"a":3}},"pair":[4,{"a":5}],"shapes":["Unit",{"One":{"a":6}},{"Two":[7,{"a":8}]},{"Named":{"part":{"a":9}}}]}"#;

    #[test]
    fn all_but_structs_reads_as_without() {
        let without: Whole = serde_json::from_str(WHOLE).unwrap();
        assert_eq!(from_str::<Whole>(WHOLE).unwrap(), without);
        assert!(from_str::<Whole>(&format!("{WHOLE} 1")).is_err());
        let raw: BTreeMap<&str, &RawValue> = from_str(r#"{"raw":[ 1,{"a":[]} ]}"#).unwrap();
        assert_eq!(raw["raw"].get(), r#"[ 1,{"a":[]} ]"#);
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        let read = |json| from_str::<OnceEach<u8>>(json);
        assert_eq!(read(r#"{"b":1,"a":2}"#).unwrap().0.len(), 2);
        let problem = read(r#"{"b":1,"\u0062":2}"#).unwrap_err().to_string();
        assert!(
            problem.contains("`b` comes twice in an object"),
            "{problem}"
        );
    }

    #[test]
    fn a_struct_is_no_array_wherever_it_stands() {
        assert!(from_str::<Part>("[1]").is_err() && from_slice::<Part>(b"[]").is_err());
        let each = [1, 2, 3, 5, 6, 8, 9].map(|a| (format!(r#"{{"a":{a}}}"#), format!("[{a}]")));
        let named = (r#"{"part":{"a":9}}"#.to_owned(), r#"[{"a":9}]"#.to_owned());
        for (object, array) in each.into_iter().chain([named]) {
            let spoilt = WHOLE.replace(&object, &array);
            assert!(
                spoilt != WHOLE && from_str::<Whole>(&spoilt).is_err(),
                "{spoilt}"
            );
            // Which is why.
            assert!(serde_json::from_str::<Whole>(&spoilt).is_ok(), "{spoilt}");
        }
        assert!(from_str::<Whole>(&WHOLE.replace("{}", "[]")).is_err());
    }
}
