//! What an `extract` asks for: named fields with types.

mod json_schema;
mod options;
mod reading;
mod rule;
mod sketch;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

pub use self::{
    options::ExtractOptions,
    reading::{MAX_SYNONYMS, MAX_WORD_BYTES, Reading},
};

/// The deepest nesting of fields.
pub const MAX_DEPTH: usize = 4;
/// The largest number of fields, nested ones included.
pub const MAX_FIELDS: usize = 256;
/// The largest schema, as compact JSON, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The longest regular expression of a rule or a constraint, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// The most digits of a decimal: what the numbers of JSON carry exactly in every reader.
pub const MAX_PRECISION: u8 = 15;

/// The fields that a job or a task asks for, in order.
///
/// Written as a sketch: an object of field names and types. A type is a word, with an optional hint
/// after ` · `, ` - ` or `:`; a field may also be an object with a `selector`. A JSON Schema is read too,
/// without `anyOf` and the like, and is [strict](Self::is_strict).
///
/// ```
/// use harvestman_engine::{Kind, Schema};
///
/// let schema: Schema = serde_json::from_str(r#"{
///     "name": "string",
///     "price": "nullable number · in euros",
///     "stock": "enum · in_stock | sold_out",
///     "tags": "array of strings",
///     "seller": {"name": "string"},
///     "sku": {"selector": ".sku", "type": "string"}
/// }"#)?;
/// assert_eq!(schema.fields()[0].kind, Kind::String);
///
/// let error = serde_json::from_str::<Schema>(r#"{"title": "h1"}"#).unwrap_err();
/// assert!(error.to_string().contains(r#"{"selector": "h1"}"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    fields: Vec<Field>,
    is_strict: bool,
    written: Value,
}

/// One field of a [`Schema`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// The key in the record's `data`.
    pub name: String,
    /// The type of its value.
    pub kind: Kind,
    /// Written as `nullable T`: its absence is nothing to report.
    pub nullable: bool,
    /// A page without it fails, if the schema is strict.
    pub required: bool,
    /// The value where there is none on the page.
    pub default: Option<Value>,
    /// What the value must keep to.
    pub constraints: Constraints,
    /// What the default extractor may read it from; anything if empty.
    pub from: Vec<Origin>,
    /// How its texts are to be understood.
    pub reading: Reading,
    /// Free text on what is meant.
    pub hint: Option<String>,
    /// Where on the page it stands. Without it the extractor looks for the field by its name.
    pub locator: Option<Locator>,
}

/// The type of a field's value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Text: entities decoded, tags dropped, white space collapsed.
    String,
    /// A whole number that fits 64 bits.
    Integer,
    /// A finite decimal number.
    Number,
    /// A decimal number of up to `precision` digits, `scale` of them after the point; further ones are
    /// rounded. Written `decimal(10,2)`.
    Decimal {
        /// All digits, from 1 to [`MAX_PRECISION`].
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// True or false.
    Boolean,
    /// A calendar date, written `YYYY-MM-DD`.
    Date,
    /// A moment in UTC, written as RFC 3339.
    DateTime,
    /// An absolute URL.
    Url,
    /// One of these words.
    Enum(Vec<String>),
    /// Any JSON value.
    Any,
    /// A list of values of one type.
    Array(Box<Self>),
    /// Nested fields.
    Object(Vec<Field>),
}

/// Where on the page a field stands, and what of the element is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locator {
    /// Selectors; the first that yields a value of the field's type counts.
    pub selectors: Vec<Selector>,
    /// What of the matched element is the value.
    pub output: Output,
    /// Take every match, not the first one only.
    pub all: bool,
    /// What of the text is the value.
    pub pattern: Option<Pattern>,
    /// Look for the field by its name where the selectors yield nothing (`"fallback": "auto"`).
    pub falls_back: bool,
}

/// One selector, in one of three languages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// CSS.
    Css(String),
    /// A subset of `XPath` 1.0.
    XPath(String),
    /// `JSONPath` (RFC 9535) over the JSON in the page's scripts.
    JsonPath(String),
}

impl Selector {
    /// As it was written, without what is said of the output.
    pub fn as_str(&self) -> &str {
        let (Self::Css(text) | Self::XPath(text) | Self::JsonPath(text)) = self;
        text
    }
}

/// A regular expression that picks the value out of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pattern {
    /// The expression, up to [`MAX_PATTERN_BYTES`]. Whoever uses it compiles it.
    pub regex: String,
    /// The number of its group; without it the first one if there is one, else the whole match.
    pub group: Option<usize>,
}

/// What a value must keep to, by JSON Schema.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Constraints {
    /// The least number.
    pub minimum: Option<f64>,
    /// The largest number.
    pub maximum: Option<f64>,
    /// The number is a multiple of this, which is above 0.
    pub multiple_of: Option<f64>,
    /// The least number of characters.
    pub min_length: Option<usize>,
    /// The largest number of characters.
    pub max_length: Option<usize>,
    /// The least number of elements.
    pub min_items: Option<usize>,
    /// The largest number of elements.
    pub max_items: Option<usize>,
    /// A regular expression that the text has a match of.
    pub pattern: Option<String>,
    /// The text is an e-mail address.
    pub is_email: bool,
    /// The only values allowed; any if empty.
    pub one_of: Vec<Value>,
}

/// What the default extractor reads a field from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// JSON-LD.
    JsonLd,
    /// Microdata.
    Microdata,
    /// `RDFa` Lite.
    Rdfa,
    /// Meta tags.
    Meta,
    /// JSON in scripts.
    State,
    /// The page as it is read by people.
    Dom,
}

/// What of a matched element is the value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Its text.
    Text,
    /// Its inner HTML.
    Html,
    /// This attribute.
    Attribute(String),
    /// Whether there is such an element.
    Exists,
    /// How many such elements there are.
    Count,
    /// A table as a list of objects, by the texts of its header.
    TableJson,
    /// A table as a list of rows, each a list of texts.
    TableArray,
}

/// A schema that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("extract{path}: {message}")]
pub struct SchemaError {
    /// The place, e.g. `.seller.name`.
    pub path: String,
    /// What is wrong there, and what to write.
    pub message: String,
}

impl Schema {
    /// Reads a sketch or a JSON Schema.
    pub fn from_json(written: Value) -> Result<Self, SchemaError> {
        let is_strict = json_schema::is_one(&written);
        let fields = sketch::read(&written)?;
        Ok(Self { fields, is_strict, written })
    }

    /// Whether it was written as a JSON Schema: then a page that breaks it has no data but an error.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Reads fields given as names and types, e.g. of the command line's `--extract name:type`.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SchemaError> {
        let mut sketch = Map::new();
        for (name, kind) in pairs {
            if sketch.insert(name.to_owned(), Value::from(kind)).is_some() {
                let path = format!(".{name}");
                return Err(SchemaError { path, message: "is given twice".to_owned() });
            }
        }
        Self::from_json(Value::Object(sketch))
    }

    /// The top-level fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The top-level field with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The first field of `self` that `columns` lacks or has with another type, if there is one.
    pub fn first_outside<'a>(&'a self, columns: &Self) -> Option<&'a Field> {
        self.fields
            .iter()
            .find(|field| columns.field(&field.name).is_none_or(|column| column.kind != field.kind))
    }
}

impl Field {
    /// A field of any type without further conditions.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Any,
            nullable: false,
            required: false,
            default: None,
            constraints: Constraints::default(),
            from: Vec::new(),
            reading: Reading::default(),
            hint: None,
            locator: None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::DateTime => f.write_str("datetime"),
            Self::Url => f.write_str("url"),
            Self::Any => f.write_str("any"),
            Self::Enum(values) => write!(f, "enum · {}", values.join(" | ")),
            Self::Array(element) => write!(f, "array of {element}"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// As it was written.
impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(value: Value) -> Schema {
        Schema::from_json(value).unwrap()
    }

    #[test]
    fn a_subset_fits_and_another_type_does_not() {
        let columns = schema(json!({"name": "string", "price": "number"}));
        assert!(schema(json!({"price": "float"})).first_outside(&columns).is_none());
        let other = schema(json!({"price": "integer"}));
        assert_eq!(other.first_outside(&columns).unwrap().name, "price");
        let more = schema(json!({"sku": "string"}));
        assert_eq!(more.first_outside(&columns).unwrap().name, "sku");
    }

    #[test]
    fn a_pair_given_twice_is_refused() {
        let error = Schema::from_pairs([("a", "string"), ("a", "number")]).unwrap_err();
        assert_eq!(error.to_string(), "extract.a: is given twice");
    }
}
