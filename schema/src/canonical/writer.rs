//! Writes a value as canonical JSON in one pass: the fields of an object as they come, put in order at
//! its end if they did not come so.

use std::{borrow::Cow, fmt::Display};

use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

type Error = serde_json::Error;
type Done = Result<(), Error>;

/// The name under which serde_json hands over text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

/// A text being written.
pub(super) struct Writer {
    pub(super) text: Vec<u8>,
    /// The fields of all objects that are open, those of the innermost last.
    fields: Vec<Field>,
    /// Where an object is put in order.
    sorted: Vec<u8>,
}

impl Writer {
    /// A writer whose text may become so long before it moves.
    pub(super) fn with_room(bytes: usize) -> Self {
        /// The fields of an event and of the objects in it that are open at a time.
        const FIELDS: usize = 24;
        Self {
            text: Vec::with_capacity(bytes),
            fields: Vec::with_capacity(FIELDS),
            sorted: Vec::new(),
        }
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        serde_json::to_writer(&mut self.text, value)
    }
}

/// A field, and where it stands in the text.
struct Field {
    key: Cow<'static, str>,
    start: usize,
    end: usize,
}

/// An object being written.
pub(super) struct Object<'a> {
    writer: &'a mut Writer,
    /// Where its fields begin in the text.
    start: usize,
    /// Which of the writer's fields is its first.
    first: usize,
    sorted: bool,
    /// How many further objects end with it.
    around: usize,
    raw: bool,
}

impl<'a> Object<'a> {
    fn new(writer: &'a mut Writer) -> Self {
        writer.text.push(b'{');
        Self {
            start: writer.text.len(),
            first: writer.fields.len(),
            writer,
            sorted: true,
            around: 0,
            raw: false,
        }
    }

    fn key(&mut self, key: Cow<'static, str>) -> Done {
        self.end_field();
        if let Some(before) = self.writer.fields[self.first..].last() {
            self.sorted &= *before.key < *key;
            self.writer.text.push(b',');
        }
        let start = self.writer.text.len();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if key.bytes().all(is_plain) {
            // As the names of fields are.
            let text = &mut self.writer.text;
            text.push(b'"');
            text.extend_from_slice(key.as_bytes());
            text.push(b'"');
        } else {
            self.writer.json(&*key)?;
        }
        self.writer.text.push(b':');
        let end = start;
        self.writer.fields.push(Field { key, start, end });
        Ok(())
    }

    /// The last field, if there is one, ends here.
    fn end_field(&mut self) {
        let Writer { text, fields, .. } = &mut *self.writer;
        if let Some(last) = fields[self.first..].last_mut() {
            last.end = text.len();
        }
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        if self.raw {
            // The text of the value, as the one field of what stands for it.
            let text = serde_json::to_value(value)?;
            let text = text.as_str().unwrap_or_default();
            let canonical = super::from_slice(text.as_bytes())?;
            self.writer.text.extend_from_slice(canonical.as_bytes());
            return Ok(());
        }
        self.key(key.into())?;
        value.serialize(&mut *self.writer)
    }

    fn finish(mut self) -> Done {
        if self.raw {
            return Ok(());
        }
        if !self.sorted {
            self.end_field();
            self.sort();
        }
        self.writer.fields.truncate(self.first);
        for _ in 0..=self.around {
            self.writer.text.push(b'}');
        }
        Ok(())
    }

    fn sort(&mut self) {
        let Writer {
            text,
            fields,
            sorted,
        } = &mut *self.writer;
        let fields = &mut fields[self.first..];
        // Stable: of a key that comes twice the last one counts.
        fields.sort_by(|a, b| a.key.cmp(&b.key));
        sorted.clear();
        for (place, field) in fields.iter().enumerate() {
            if (fields.get(place + 1)).is_some_and(|next| next.key == field.key) {
                continue;
            }
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&text[field.start..field.end]);
        }
        text.truncate(self.start);
        text.extend_from_slice(sorted);
    }
}

/// An array being written.
pub(super) struct Array<'a> {
    writer: &'a mut Writer,
    first: bool,
    around: usize,
}

impl<'a> Array<'a> {
    fn new(writer: &'a mut Writer) -> Self {
        writer.text.push(b'[');
        Self {
            writer,
            first: true,
            around: 0,
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        if !self.first {
            self.writer.text.push(b',');
        }
        self.first = false;
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Done {
        self.writer.text.push(b']');
        let ends = self.writer.text.len() + self.around;
        self.writer.text.resize(ends, b'}');
        Ok(())
    }
}

impl Writer {
    /// The beginning of a variant with data: an object with its name as the only key.
    fn variant(&mut self, variant: &'static str) -> Done {
        self.text.push(b'{');
        self.json(variant)?;
        self.text.push(b':');
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Array<'a>;
    type SerializeTuple = Array<'a>;
    type SerializeTupleStruct = Array<'a>;
    type SerializeTupleVariant = Array<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    fn serialize_bool(self, value: bool) -> Done {
        self.json(&value)
    }

    fn serialize_i8(self, value: i8) -> Done {
        self.json(&value)
    }

    fn serialize_i16(self, value: i16) -> Done {
        self.json(&value)
    }

    fn serialize_i32(self, value: i32) -> Done {
        self.json(&value)
    }

    fn serialize_i64(self, value: i64) -> Done {
        self.json(&value)
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.json(&value)
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.json(&value)
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.json(&value)
    }

    fn serialize_u64(self, value: u64) -> Done {
        self.json(&value)
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.json(&f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.json(&value)
    }

    fn serialize_char(self, value: char) -> Done {
        self.json(&value)
    }

    fn serialize_str(self, value: &str) -> Done {
        self.json(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.json(value)
    }

    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.text.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Array<'a>, Error> {
        Ok(Array::new(self))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Array<'a>, Error> {
        Ok(Array::new(self))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Array<'a>, Error> {
        Ok(Array::new(self))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Array<'a>, Error> {
        self.variant(variant)?;
        let mut array = Array::new(self);
        array.around = 1;
        Ok(array)
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Object<'a>, Error> {
        Ok(Object::new(self))
    }

    fn serialize_struct(self, name: &'static str, _length: usize) -> Result<Object<'a>, Error> {
        if name == RAW {
            return Ok(Object {
                start: self.text.len(),
                first: self.fields.len(),
                writer: self,
                sorted: true,
                around: 0,
                raw: true,
            });
        }
        Ok(Object::new(self))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Object<'a>, Error> {
        self.variant(variant)?;
        let mut object = Object::new(self);
        object.around = 1;
        Ok(object)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Done {
        self.json(&value.to_string())
    }
}

impl SerializeSeq for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeTuple for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeTupleStruct for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeTupleVariant for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        // A key that is no text (a number) becomes one.
        let key = match serde_json::to_value(key)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        self.key(key.into())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.field(key, value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeStructVariant for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.field(key, value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}
