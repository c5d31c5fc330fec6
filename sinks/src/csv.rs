//! Records as rows of CSV.

use harvestman_engine::{Kind, Record, Result, Schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    cell,
    columns::{FlatColumn, SYSTEM, SystemCells, flatten},
};

/// As RFC 4180 has it.
const LINE_BREAK: &[u8] = b"\r\n";

/// Writes rows as in RFC 4180. A null is an empty cell, an empty string is `""`.
///
/// csv-core has one style of quoting a writer, so it can't tell these two apart.
#[derive(Debug)]
pub(crate) struct CsvEncoder {
    columns: Vec<FlatColumn>,
    escape_formulas: bool,
}

impl CsvEncoder {
    pub(crate) fn new(schema: &Schema, escape_formulas: bool) -> Result<Self> {
        Ok(Self { columns: flatten(schema)?, escape_formulas })
    }

    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        let names = SYSTEM.into_iter().chain(self.columns.iter().map(|column| &*column.name));
        for (position, name) in names.enumerate() {
            if position > 0 {
                out.push(b',');
            }
            self.text(name, out);
        }
        out.extend_from_slice(LINE_BREAK);
    }

    pub(crate) fn row(&self, record: &Record, out: &mut Vec<u8>) {
        self.system(&SystemCells::of(record), out);
        match record.outcome.as_ref().ok().and_then(|fields| fields.data.as_ref()) {
            Some(data) => self.data(data, out),
            None => out.extend(std::iter::repeat_n(b',', self.columns.len())),
        }
        out.extend_from_slice(LINE_BREAK);
    }

    fn system(&self, cells: &SystemCells<'_>, out: &mut Vec<u8>) {
        self.optional(cells.url, out);
        out.push(b',');
        out.extend_from_slice(cells.status.as_bytes());
        out.push(b',');
        if let Some(status) = cells.http_status {
            json(&status, out);
        }
        out.push(b',');
        self.optional(cells.code, out);
        out.push(b',');
        self.optional(cells.message, out);
        out.push(b',');
        json(&cells.index, out);
        out.push(b',');
        self.optional(cells.id, out);
    }

    fn data(&self, data: &Map<String, Value>, out: &mut Vec<u8>) {
        let mut in_order = data.iter();
        for column in &self.columns {
            out.push(b',');
            if let Some(value) = find(data, &mut in_order, &column.path) {
                self.cell(&column.kind, value, out);
            }
        }
    }

    fn cell(&self, kind: &Kind, value: &Value, out: &mut Vec<u8>) {
        match kind {
            Kind::Integer => cell::integer(value).iter().for_each(|number| json(number, out)),
            Kind::Number => cell::number(value).iter().for_each(|number| json(number, out)),
            Kind::Decimal { precision, scale } => {
                if let Some(units) = cell::decimal(value, *precision, *scale) {
                    out.extend(decimal(units, usize::from(*scale)).bytes());
                }
            }
            Kind::Boolean => cell::boolean(value).iter().for_each(|boolean| json(boolean, out)),
            Kind::Date => {
                if let Some(date) = cell::date(value) {
                    out.extend(date.to_string().bytes());
                }
            }
            Kind::DateTime => {
                if let Some(time) = cell::date_time(value) {
                    out.extend(time.to_string().bytes());
                }
            }
            Kind::Array(_) => {
                if value.is_array() {
                    self.text(&value.to_string(), out);
                }
            }
            Kind::Any => self.optional(cell::any(value).as_deref(), out),
            _ => self.optional(cell::text(value).as_deref(), out),
        }
    }

    fn optional(&self, text: Option<&str>, out: &mut Vec<u8>) {
        if let Some(text) = text {
            self.text(text, out);
        }
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let bytes = text.as_bytes();
        let prefix = self.escape_formulas && bytes.first().is_some_and(|byte| is_formula(*byte));
        let quoted = bytes.is_empty() || bytes.iter().any(|byte| needs_quotes(*byte));
        if !quoted {
            if prefix {
                out.push(b'\'');
            }
            out.extend_from_slice(bytes);
            return;
        }
        out.push(b'"');
        if prefix {
            out.push(b'\'');
        }
        for (position, piece) in bytes.split(|byte| *byte == b'"').enumerate() {
            if position > 0 {
                out.extend_from_slice(b"\"\"");
            }
            out.extend_from_slice(piece);
        }
        out.push(b'"');
    }
}

fn needs_quotes(byte: u8) -> bool {
    matches!(byte, b',' | b'"' | b'\r' | b'\n')
}

/// What makes a spreadsheet run a cell.
fn is_formula(byte: u8) -> bool {
    matches!(byte, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
}

/// The value at a path. A record's keys usually stand in the schema's order: then `in_order` has
/// it next, and nothing is looked up.
fn find<'a>(
    data: &'a Map<String, Value>,
    in_order: &mut serde_json::map::Iter<'a>,
    path: &[String],
) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let next = if rest.is_empty() { in_order.next() } else { None };
    let mut value = match next {
        Some((key, value)) if key == first => value,
        _ => data.get(first)?,
    };
    for key in rest {
        value = value.get(key)?;
    }
    Some(value)
}

/// A whole number of last digits with its point: 1990 of two digits after it is 19.90.
fn decimal(units: i64, scale: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>least$}", units.unsigned_abs(), least = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Numbers and booleans: to write them into memory can't fail.
fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a number or boolean is valid JSON");
}

#[cfg(test)]
mod tests {
    use harvestman_engine::{Code, FetchError, Fields, Params, Task};
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::from_json(json!({
            "name": "string",
            "price": "number",
            "stock": "integer",
            "new": "boolean",
            "tags": "array of strings",
            "seller": {"name": "string", "since": "date"},
            "seen": "datetime",
            "rest": "any",
            "url": "url",
        }))
        .unwrap()
    }

    fn record(data: &Value) -> Record {
        let task = Task::new(7, "https://a.test/?a=1,2", Params::new()).with_id("=1+1");
        Record::ok(task, Fields::from_data(data.as_object().unwrap().clone())).with_http_status(200)
    }

    fn row(record: &Record, escape_formulas: bool) -> String {
        let mut out = Vec::new();
        CsvEncoder::new(&schema(), escape_formulas).unwrap().row(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    const SYSTEM_CELLS: &str = "\"https://a.test/?a=1,2\",ok,200,,,7,=1+1,";

    #[test]
    fn the_header_holds_the_contracts_columns() {
        let mut out = Vec::new();
        CsvEncoder::new(&schema(), false).unwrap().header(&mut out);
        let expected = "url,status,http_status,code,message,index,id,name,price,stock,new,tags,\
                        seller.name,seller.since,seen,rest,data.url\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn cells_are_written_by_their_types() {
        for (data, cells) in [
            (
                json!({"name": "a \"b\"\nc", "price": 19.90, "stock": 3, "new": true,
                    "tags": ["x", "y,z"], "seller": {"name": "S", "since": "2024-02-29"},
                    "seen": "2024-05-01T02:00:00+02:00", "rest": {"a": 1}, "url": "https://b.test/"}),
                "\"a \"\"b\"\"\nc\",19.9,3,true,\"[\"\"x\"\",\"\"y,z\"\"]\",S,2024-02-29,\
                 2024-05-01T00:00:00Z,\"{\"\"a\"\":1}\",https://b.test/",
            ),
            (json!({"name": "", "rest": ""}), "\"\",,,,,,,,\"\","),
            (json!({"name": null, "seller": null}), ",,,,,,,,,"),
            (json!({"stock": "12", "name": 5, "gone": 1}), "5,,12,,,,,,,"),
            (json!({"price": [], "tags": "x", "seller": "x", "new": 1, "url": {}}), ",,,,,,,,,"),
            (json!({"url": "u", "name": "out of order"}), "out of order,,,,,,,,,u"),
        ] {
            assert_eq!(row(&record(&data), false), format!("{SYSTEM_CELLS}{cells}\r\n"), "{data}");
        }
    }

    #[test]
    fn decimals_have_all_their_digits() {
        for (units, scale, expected) in
            [(1990, 2, "19.90"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000")]
        {
            assert_eq!(decimal(units, scale), expected);
        }
    }

    #[test]
    fn an_error_has_no_data() {
        let error = FetchError::new(Code::Timeout, "no answer, \"30 s\"");
        let row = row(&Record::error(Task::new(0, "https://a.test/", Params::new()), error), false);
        let expected =
            "https://a.test/,error,,timeout,\"no answer, \"\"30 s\"\"\",0,,,,,,,,,,,\r\n";
        assert_eq!(row, expected);
    }

    #[test]
    fn formulas_are_escaped_in_strings_only() {
        for (value, cell) in [
            (json!("=1+1"), "'=1+1"),
            (json!("+1"), "'+1"),
            (json!("-1"), "'-1"),
            (json!("@a"), "'@a"),
            (json!("\ta"), "'\ta"),
            (json!("\ra,"), "\"'\ra,\""),
            (json!("a=1"), "a=1"),
        ] {
            let row = row(&record(&json!({"name": value, "price": -1.5})), true);
            let expected =
                format!("\"https://a.test/?a=1,2\",ok,200,,,7,'=1+1,{cell},-1.5,,,,,,,,\r\n");
            assert_eq!(row, expected);
        }
    }
}
