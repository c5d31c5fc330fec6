use serde_json::Value;
use url::Url;

use crate::{Extractor, Field, Kind, Page, Params, Schema, Task};

/// Checks what an extractor makes of a schema: on `html` and on pages that are no pages.
pub async fn extractor_conformance(extractor: &dyn Extractor, schema: Schema, html: &str) {
    let task = Task::new(0, "https://shop.test/p", Params::new().with_extract(schema.clone()));
    let hostile = [
        String::new(),
        "\u{feff}\0<".to_owned(),
        "<div>".repeat(100_000),
        "<".repeat(1_000_000),
        format!("<p {}>", "a=b ".repeat(50_000)),
        format!("<script type='application/ld+json'>{}</script>", "[".repeat(100_000)),
        format!("<script type=\"application/ld+json\">{}", "{\"a\":".repeat(100_000)),
        "<script type='application/ld+json'>{\"price\": 1e400}</script>".to_owned(),
    ];
    for html in hostile.iter().map(String::as_str).chain([html]) {
        let url = Url::parse("https://shop.test/p").unwrap();
        let page = Page::new(url, html);
        let first = extractor.extract(&task, &page).await;
        let again = extractor.extract(&task, &page).await;
        let (Ok(first), Ok(again)) = (first, again) else { continue };
        assert_eq!(first, again, "the same page gives the same fields");
        let data = first.data.expect("data was asked for");
        let names: Vec<_> = schema.fields().iter().map(|field| field.name.as_str()).collect();
        assert!(data.keys().eq(names), "every field is there, in the schema's order");
        for field in schema.fields() {
            expect_kind(field, &data[&field.name]);
        }
    }
}

fn expect_kind(field: &Field, value: &Value) {
    assert!(fits(&field.kind, value), "{} is no {}: {value}", field.name, field.kind);
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null)
        | (Kind::Any, _)
        | (Kind::String | Kind::Date | Kind::DateTime, Value::String(_))
        | (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Url, Value::String(text)) => Url::parse(text).is_ok(),
        (Kind::Enum(values), Value::String(text)) => values.contains(text),
        (Kind::Integer, Value::Number(number)) => number.is_i64(),
        (Kind::Number | Kind::Decimal { .. }, Value::Number(number)) => {
            number.as_f64().is_some_and(f64::is_finite)
        }
        (Kind::Array(kind), Value::Array(values)) => values.iter().all(|value| fits(kind, value)),
        (Kind::Object(fields), Value::Object(object)) => fields
            .iter()
            .all(|field| object.get(&field.name).is_none_or(|value| fits(&field.kind, value))),
        _ => false,
    }
}
