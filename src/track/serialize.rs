//! Any `Serialize` as a [`Json`].

use super::json::{Json, Row};
use serde::ser::{self, Error as _, Serialize};

/// The serializer. The error is `serde_json`'s, for it takes any message.
pub(super) struct ToJson;

type Result<T> = std::result::Result<T, serde_json::Error>;

impl ser::Serializer for ToJson {
    type Ok = Json;
    type Error = serde_json::Error;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn serialize_bool(self, value: bool) -> Result<Json> {
        Ok(Json::Bool(value))
    }
    fn serialize_i8(self, value: i8) -> Result<Json> {
        Ok(Json::Int(value.into()))
    }
    fn serialize_i16(self, value: i16) -> Result<Json> {
        Ok(Json::Int(value.into()))
    }
    fn serialize_i32(self, value: i32) -> Result<Json> {
        Ok(Json::Int(value.into()))
    }
    fn serialize_i64(self, value: i64) -> Result<Json> {
        Ok(Json::Int(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Json> {
        Ok(Json::Unsigned(value.into()))
    }
    fn serialize_u16(self, value: u16) -> Result<Json> {
        Ok(Json::Unsigned(value.into()))
    }
    fn serialize_u32(self, value: u32) -> Result<Json> {
        Ok(Json::Unsigned(value.into()))
    }
    fn serialize_u64(self, value: u64) -> Result<Json> {
        Ok(Json::Unsigned(value))
    }
    fn serialize_f32(self, value: f32) -> Result<Json> {
        Ok(Json::Float(value.into()))
    }
    fn serialize_f64(self, value: f64) -> Result<Json> {
        Ok(Json::Float(value))
    }
    fn serialize_char(self, value: char) -> Result<Json> {
        Ok(Json::Text(value.into()))
    }
    fn serialize_str(self, value: &str) -> Result<Json> {
        Ok(Json::Text(value.to_owned()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Json> {
        let items = value.iter().map(|&byte| Json::Unsigned(byte.into()));
        Ok(Json::List(items.collect()))
    }
    fn serialize_none(self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Json> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<Json> {
        Ok(Json::Null)
    }
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Json> {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Json> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Json> {
        Ok(within(Some(variant), value.serialize(self)?))
    }
    fn serialize_seq(self, _length: Option<usize>) -> Result<Items> {
        Ok(Items::default())
    }
    fn serialize_tuple(self, _length: usize) -> Result<Items> {
        Ok(Items::default())
    }
    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Items> {
        Ok(Items::default())
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Items> {
        Ok(Items {
            variant: Some(variant),
            ..Items::default()
        })
    }
    fn serialize_map(self, _length: Option<usize>) -> Result<Fields> {
        Ok(Fields::default())
    }
    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Fields> {
        Ok(Fields::default())
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Fields> {
        Ok(Fields {
            variant: Some(variant),
            ..Fields::default()
        })
    }
}

/// A variant's content under its name, anything else as it is.
fn within(variant: Option<&str>, content: Json) -> Json {
    match variant {
        Some(variant) => Json::Object(vec![(variant.to_owned(), content)]),
        None => content,
    }
}

/// An array in the making.
#[derive(Default)]
pub(super) struct Items {
    variant: Option<&'static str>,
    items: Vec<Json>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.items.push(value.serialize(ToJson)?);
        Ok(())
    }

    fn done(self) -> Json {
        within(self.variant, Json::List(self.items))
    }
}

/// An object in the making.
#[derive(Default)]
pub(super) struct Fields {
    variant: Option<&'static str>,
    key: Option<String>,
    row: Row,
}

impl Fields {
    fn push<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<()> {
        self.row.push((key, value.serialize(ToJson)?));
        Ok(())
    }

    fn done(self) -> Json {
        within(self.variant, Json::Object(self.row))
    }
}

macro_rules! of_items {
    ($($compound:ident :: $method:ident),*) => {$(
        impl ser::$compound for Items {
            type Ok = Json;
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.push(value)
            }
            fn end(self) -> Result<Json> {
                Ok(self.done())
            }
        }
    )*};
}
of_items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! of_fields {
    ($($compound:ident),*) => {$(
        impl ser::$compound for Fields {
            type Ok = Json;
            type Error = serde_json::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<()> {
                self.push(key.to_owned(), value)
            }
            fn end(self) -> Result<Json> {
                Ok(self.done())
            }
        }
    )*};
}
of_fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Fields {
    type Ok = Json;
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(match key.serialize(ToJson)? {
            Json::Text(text) => text,
            Json::List(_) | Json::Object(_) => {
                return Err(serde_json::Error::custom("a key must be text or a number"));
            }
            scalar => scalar.to_string(),
        });
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = self.key.take();
        self.push(
            key.ok_or_else(|| serde_json::Error::custom("a value without a key"))?,
            value,
        )
    }
    fn end(self) -> Result<Json> {
        Ok(self.done())
    }
}
