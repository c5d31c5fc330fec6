//! The columns of CSV and Parquet: those of every record, then those of the schema.

use std::collections::HashSet;

use harvestman_engine::{Error, Field, Kind, Record, Result, Schema};

/// The columns that every output has, before those of the schema.
pub(crate) const SYSTEM: [&str; 7] =
    ["url", "status", "http_status", "code", "message", "index", "id"];
/// Goes before the name of a field that is called like one of [`SYSTEM`].
const PREFIX: &str = "data.";

/// The values of the columns of [`SYSTEM`].
pub(crate) struct SystemCells<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) status: &'static str,
    pub(crate) http_status: Option<u16>,
    pub(crate) code: Option<&'static str>,
    pub(crate) message: Option<&'a str>,
    pub(crate) index: u64,
    pub(crate) id: Option<&'a str>,
}

impl<'a> SystemCells<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let error = record.outcome.as_ref().err();
        Self {
            url: record.task.url(),
            status: record.status(),
            http_status: record.http_status,
            code: error.map(|error| error.code.as_str()),
            message: error.map(|error| error.message.as_str()),
            index: record.task.index(),
            id: record.task.id(),
        }
    }
}

/// The name of a top-level field's column.
pub(crate) fn column_name(field: &Field) -> String {
    let name = &field.name;
    if SYSTEM.contains(&name.as_str()) { format!("{PREFIX}{name}") } else { name.clone() }
}

/// Refuses two columns of one name, which only odd field names can bring about.
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut seen: HashSet<&str> = SYSTEM.into();
    match names.into_iter().find(|name| !seen.insert(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("two columns would be called `{name}`; rename one of the fields");
            Err(Error::invalid("extract", message))
        }
    }
}

/// A cell of CSV: where its value stands in the record's data.
#[cfg(feature = "csv")]
#[derive(Debug)]
pub(crate) struct FlatColumn {
    /// The dotted name in the header.
    pub(crate) name: String,
    /// The keys to the value, outermost first; at least one.
    pub(crate) path: Vec<String>,
    /// Anything but an object.
    pub(crate) kind: Kind,
}

/// The schema with nested objects as dotted columns. Nesting is bounded by the schema itself.
#[cfg(feature = "csv")]
pub(crate) fn flatten(schema: &Schema) -> Result<Vec<FlatColumn>> {
    let mut columns = Vec::new();
    for field in schema.fields() {
        flatten_field(field, &column_name(field), &[], &mut columns);
    }
    check_names(columns.iter().map(|column| column.name.as_str()))?;
    Ok(columns)
}

#[cfg(feature = "csv")]
fn flatten_field(field: &Field, name: &str, above: &[String], columns: &mut Vec<FlatColumn>) {
    let path = [above, std::slice::from_ref(&field.name)].concat();
    if let Kind::Object(fields) = &field.kind {
        for inner in fields {
            flatten_field(inner, &format!("{name}.{}", inner.name), &path, columns);
        }
    } else {
        columns.push(FlatColumn { name: name.to_owned(), path, kind: field.kind.clone() });
    }
}

#[cfg(all(test, feature = "csv"))]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: serde_json::Value) -> Result<Vec<String>> {
        let columns = flatten(&Schema::from_json(schema).expect("a schema"))?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    #[test]
    fn nested_fields_are_dotted_and_collisions_prefixed() {
        let schema = json!({
            "name": "string",
            "url": "url",
            "id": {"kind": "string"},
            "seller": {"name": "string", "address": {"city": "string"}},
        });
        let expected = ["name", "data.url", "data.id.kind", "seller.name", "seller.address.city"];
        assert_eq!(names(schema).unwrap(), expected);
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        for schema in [
            json!({"a.b": "string", "a": {"b": "string"}}),
            json!({"data.url": "string", "url": "string"}),
        ] {
            let error = names(schema).unwrap_err().to_string();
            assert!(error.contains("rename one"), "{error}");
        }
    }
}
