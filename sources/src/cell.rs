//! A cell of a CSV file as a serde value of whatever type is wanted.

use serde::{
    Deserializer,
    de::{
        Error as _, Visitor,
        value::{SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

/// The text of a cell that isn't empty.
///
/// A number or a truth value is read from the text (`TRUE` is one, as spreadsheets write it); a
/// list is JSON or items between commas; an object is JSON; where anything will do, it is JSON if
/// it begins with `{` or `[`, else the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a>(pub(crate) &'a str);

impl<'a> Cell<'a> {
    fn is_json(self) -> bool {
        self.0.trim_start().starts_with(['{', '['])
    }

    fn json<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0);
        let value = deserializer.deserialize_any(visitor)?;
        deserializer.end()?;
        Ok(value)
    }

    fn unsigned<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.trim().parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => Err(self.is_not("a whole number")),
        }
    }

    fn is_not(self, wanted: &str) -> Error {
        let shown = harvestman_engine::excerpt(self.0.as_bytes(), 40);
        Error::custom(format!("{shown:?} is not {wanted}"))
    }
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_json() { self.json(visitor) } else { visitor.visit_borrowed_str(self.0) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let is = |word: &str| self.0.trim().eq_ignore_ascii_case(word);
        match (is("true"), is("false")) {
            (true, _) => visitor.visit_bool(true),
            (_, true) => visitor.visit_bool(false),
            _ => Err(self.is_not("true or false")),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unsigned(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unsigned(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unsigned(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unsigned(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_json() {
            return self.json(visitor);
        }
        let items = self.0.split(',').map(|item| StrDeserializer::new(item.trim()));
        visitor.visit_seq(SeqDeserializer::new(items))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_json() { self.json(visitor) } else { Err(self.is_not("a JSON object")) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(StrDeserializer::new(self.0.trim()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// The text of a cell that is text, whatever it looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Whether a text holds a control character; quick on ASCII, which nearly every URL is.
pub(crate) fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes().any(|byte| byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
        T::deserialize(Cell(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cell_becomes_what_is_wanted() {
        assert_eq!(read::<String>("12"), Ok("12".to_owned()));
        assert_eq!(read::<Option<u64>>(" 12 "), Ok(Some(12)));
        assert_eq!(read::<bool>("TRUE"), Ok(true));
        assert_eq!(read::<bool>("false"), Ok(false));
        assert_eq!(read::<Vec<String>>("a, b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read::<Vec<String>>(r#"["a,b"]"#), Ok(vec!["a,b".to_owned()]));
        let map: BTreeMap<String, String> = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(read(r#"{"a": "b"}"#), Ok(map));
        assert_eq!(read::<Value>("[1, {}]"), Ok(json!([1, {}])));
        assert_eq!(read::<Value>("404"), Ok(json!("404")));
    }

    #[test]
    fn a_cell_of_another_type_is_refused_with_its_text() {
        assert_eq!(read::<u32>("-1").unwrap_err(), r#""-1" is not a whole number"#);
        assert_eq!(read::<u64>("1e3").unwrap_err(), r#""1e3" is not a whole number"#);
        assert_eq!(read::<bool>("yes").unwrap_err(), r#""yes" is not true or false"#);
        let error = read::<BTreeMap<String, String>>("a=b").unwrap_err();
        assert_eq!(error, r#""a=b" is not a JSON object"#);
        assert!(read::<u8>("256").is_err());
        assert!(read::<Value>("{} x").is_err());
        assert!(read::<Value>(&"[".repeat(10_000)).is_err());
    }
}
