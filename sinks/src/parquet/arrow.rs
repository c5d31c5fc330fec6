//! Records as Arrow columns.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, RecordBatch, StructArray,
    builder::{
        BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
        StringBuilder, TimestampMicrosecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};
use harvestman_engine::{Kind, Record, Result, Schema, schema::Field as SchemaField};
use jiff::civil::{Date, date};
use serde_json::{Map, Value};

use crate::{
    cell,
    columns::{SystemCells, check_names, column_name},
};

/// A batch is closed at so many rows.
const BATCH_ROWS: usize = 8 * 1024;
/// A batch is closed at so many bytes of text.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What a list's values are called in Parquet.
const ELEMENT: &str = "element";
const UTC: &str = "UTC";
const EPOCH: Date = date(1970, 1, 1);

/// The columns of a schema, after those that every output has.
pub(super) fn schema_of(schema: &Schema) -> Result<arrow_schema::Schema> {
    let names: Vec<_> = schema.fields().iter().map(column_name).collect();
    check_names(names.iter().map(String::as_str))?;
    let system = [
        Field::new("url", DataType::Utf8, true),
        Field::new("status", DataType::Utf8, false),
        Field::new("http_status", DataType::Int64, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("message", DataType::Utf8, true),
        Field::new("index", DataType::Int64, false),
        Field::new("id", DataType::Utf8, true),
    ];
    let data = names
        .into_iter()
        .zip(schema.fields())
        .map(|(name, field)| Field::new(name, data_type(&field.kind), true));
    Ok(arrow_schema::Schema::new(system.into_iter().chain(data).collect::<Vec<_>>()))
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Integer => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Decimal { precision, scale } => decimal_type(*precision, *scale),
        Kind::Boolean => DataType::Boolean,
        Kind::Date => DataType::Date32,
        Kind::DateTime => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Kind::Array(element) => DataType::List(element_field(element)),
        Kind::Object(fields) => DataType::Struct(struct_fields(fields)),
        _ => DataType::Utf8,
    }
}

/// The schema bounds both numbers far below what the type can hold.
fn decimal_type(precision: u8, scale: u8) -> DataType {
    DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(0))
}

fn element_field(kind: &Kind) -> Arc<Field> {
    Arc::new(Field::new(ELEMENT, data_type(kind), true))
}

fn struct_fields(fields: &[SchemaField]) -> Fields {
    fields.iter().map(|field| Field::new(&field.name, data_type(&field.kind), true)).collect()
}

/// Gathers records until they make a batch.
pub(super) struct RowBuilder {
    url: StringBuilder,
    status: StringBuilder,
    http_status: Int64Builder,
    code: StringBuilder,
    message: StringBuilder,
    index: Int64Builder,
    id: StringBuilder,
    data: Vec<(String, ColumnBuilder)>,
    rows: usize,
    /// Of text in data and messages.
    bytes: usize,
}

impl RowBuilder {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            url: StringBuilder::new(),
            status: StringBuilder::new(),
            http_status: Int64Builder::new(),
            code: StringBuilder::new(),
            message: StringBuilder::new(),
            index: Int64Builder::new(),
            id: StringBuilder::new(),
            data: named_columns(schema.fields()),
            rows: 0,
            bytes: 0,
        }
    }

    pub(super) fn append(&mut self, record: &Record) {
        let cells = SystemCells::of(record);
        self.bytes += cells.url.map_or(0, str::len) + cells.message.map_or(0, str::len);
        self.url.append_option(cells.url);
        self.status.append_value(cells.status);
        self.http_status.append_option(cells.http_status.map(i64::from));
        self.code.append_option(cells.code);
        self.message.append_option(cells.message);
        self.index.append_value(i64::try_from(cells.index).unwrap_or(i64::MAX));
        self.id.append_option(cells.id);
        let data = record.outcome.as_ref().ok().and_then(|fields| fields.data.as_ref());
        self.bytes += append_fields(&mut self.data, data);
        self.rows += 1;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The rows so far as a batch, after which there are none.
    pub(super) fn finish(
        &mut self,
        schema: &Arc<arrow_schema::Schema>,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.url.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.http_status.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.message.finish()),
            Arc::new(self.index.finish()),
            Arc::new(self.id.finish()),
        ];
        for (_, column) in &mut self.data {
            columns.push(column.finish()?);
        }
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

/// The values of one column. Nesting is bounded by the schema.
enum ColumnBuilder {
    Text(StringBuilder),
    Any(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Decimal {
        values: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    DateTime(TimestampMicrosecondBuilder),
    List {
        field: Arc<Field>,
        offsets: OffsetBufferBuilder<i32>,
        nulls: NullBufferBuilder,
        values: Box<Self>,
    },
    Struct {
        fields: Fields,
        nulls: NullBufferBuilder,
        columns: Vec<(String, Self)>,
    },
}

fn named_columns(fields: &[SchemaField]) -> Vec<(String, ColumnBuilder)> {
    fields.iter().map(|field| (field.name.clone(), ColumnBuilder::new(&field.kind))).collect()
}

/// Appends one row to each column; returns about how many bytes of text.
fn append_fields(
    columns: &mut [(String, ColumnBuilder)],
    data: Option<&Map<String, Value>>,
) -> usize {
    let mut in_order = data.into_iter().flatten();
    let mut bytes = 0;
    for (name, column) in columns {
        // The keys usually stand in the schema's order: then nothing is looked up.
        let value = match in_order.next() {
            Some((key, value)) if key == name => Some(value),
            _ => data.and_then(|data| data.get(name)),
        };
        bytes += column.append(value);
    }
    bytes
}

impl ColumnBuilder {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Decimal { precision, scale } => Self::Decimal {
                values: Decimal128Builder::new().with_data_type(decimal_type(*precision, *scale)),
                precision: *precision,
                scale: *scale,
            },
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::DateTime => Self::DateTime(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            Kind::Any => Self::Any(StringBuilder::new()),
            Kind::Array(element) => Self::List {
                field: element_field(element),
                offsets: OffsetBufferBuilder::new(0),
                nulls: NullBufferBuilder::new(0),
                values: Box::new(Self::new(element)),
            },
            Kind::Object(fields) => Self::Struct {
                fields: struct_fields(fields),
                nulls: NullBufferBuilder::new(0),
                columns: named_columns(fields),
            },
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a value, or null where there is none of the type; returns about how many bytes of
    /// text.
    fn append(&mut self, value: Option<&Value>) -> usize {
        match self {
            Self::Text(text) => return append_text(text, value.and_then(cell::text).as_deref()),
            Self::Any(text) => return append_text(text, value.and_then(cell::any).as_deref()),
            Self::Integer(integers) => integers.append_option(value.and_then(cell::integer)),
            Self::Number(numbers) => numbers
                .append_option(value.and_then(cell::number).and_then(|number| number.as_f64())),
            Self::Decimal { values, precision, scale } => values.append_option(
                value.and_then(|value| cell::decimal(value, *precision, *scale)).map(i128::from),
            ),
            Self::Boolean(booleans) => booleans.append_option(value.and_then(cell::boolean)),
            Self::Date(dates) => dates.append_option(value.and_then(cell::date).map(days)),
            Self::DateTime(times) => times.append_option(
                value.and_then(cell::date_time).map(jiff::Timestamp::as_microsecond),
            ),
            Self::List { offsets, nulls, values, .. } => {
                let list = value.and_then(Value::as_array);
                nulls.append(list.is_some());
                offsets.push_length(list.map_or(0, Vec::len));
                return list.into_iter().flatten().map(|value| values.append(Some(value))).sum();
            }
            Self::Struct { nulls, columns, .. } => {
                let object = value.and_then(Value::as_object);
                nulls.append(object.is_some());
                return append_fields(columns, object);
            }
        }
        size_of::<u64>()
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(text) | Self::Any(text) => Arc::new(text.finish()),
            Self::Integer(integers) => Arc::new(integers.finish()),
            Self::Number(numbers) => Arc::new(numbers.finish()),
            Self::Decimal { values, .. } => Arc::new(values.finish()),
            Self::Boolean(booleans) => Arc::new(booleans.finish()),
            Self::Date(dates) => Arc::new(dates.finish()),
            Self::DateTime(times) => Arc::new(times.finish()),
            Self::List { field, offsets, nulls, values } => {
                let offsets = std::mem::replace(offsets, OffsetBufferBuilder::new(0)).finish();
                let values = values.finish()?;
                Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, nulls.finish())?)
            }
            Self::Struct { fields, nulls, columns } => {
                let arrays = columns
                    .iter_mut()
                    .map(|(_, column)| column.finish())
                    .collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new(fields.clone(), arrays, nulls.finish())?)
            }
        })
    }
}

fn append_text(builder: &mut StringBuilder, text: Option<&str>) -> usize {
    builder.append_option(text);
    text.map_or(0, str::len)
}

/// Since 1970.
fn days(date: Date) -> i32 {
    EPOCH.until(date).map_or(0, |span| span.get_days())
}
