//! JSON values as values of a column's type; `None` where they can't be.
//!
//! The extractor has typed them already. A line's own `extract` or a foreign extractor may still
//! bring another type: what means the same is converted, everything else is null.

use std::borrow::Cow;

use jiff::{Timestamp, civil::Date};
use serde_json::{Number, Value};

/// Text: a string as it is; a number or a boolean in its JSON form.
pub(crate) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Any value: a string as it is, everything else as compact JSON.
pub(crate) fn any(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// A whole number of 64 bits with sign; 3.0 is one.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Below 2^53 each whole `f64` is one integer only.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = (1_i64 << 53) as f64;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// A finite number, as it was written where it is one already.
pub(crate) fn number(value: &Value) -> Option<Cow<'_, Number>> {
    match value {
        Value::Number(number) => Some(Cow::Borrowed(number)),
        Value::String(text) => Number::from_f64(text.trim().parse().ok()?).map(Cow::Owned),
        _ => None,
    }
}

/// A decimal as a whole number of its last digits: 19.9 with two digits after the point is 1990.
pub(crate) fn decimal(value: &Value, precision: u8, scale: u8) -> Option<i64> {
    let units = (number(value)?.as_f64()? * 10f64.powi(i32::from(scale))).round();
    (units.abs() < 10f64.powi(i32::from(precision))).then_some(units as i64)
}

/// True or false.
pub(crate) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A calendar date.
pub(crate) fn date(value: &Value) -> Option<Date> {
    value.as_str()?.trim().parse().ok()
}

/// A moment.
pub(crate) fn date_time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_the_same_is_converted() {
        assert_eq!(text(&json!(1.5)).as_deref(), Some("1.5"));
        assert_eq!(text(&json!([1])), None);
        assert_eq!(any(&json!([1, {"a": null}])).as_deref(), Some(r#"[1,{"a":null}]"#));
        assert_eq!(any(&json!("[1]")).as_deref(), Some("[1]"));
        assert_eq!(boolean(&json!("true")), Some(true));
        assert_eq!(boolean(&json!(1)), None);
        assert_eq!(date(&json!("2024-02-29")).unwrap().to_string(), "2024-02-29");
        assert_eq!(date(&json!("2023-02-29")), None);
        let moment = date_time(&json!("2024-05-01T02:00:00+02:00")).unwrap();
        assert_eq!(moment.to_string(), "2024-05-01T00:00:00Z");
        assert_eq!(date_time(&json!("2024-05-01T02:00:00")), None);
    }

    #[test]
    fn numbers_that_do_not_fit_are_null() {
        for (value, expected) in [
            (json!(7), Some(7)),
            (json!(7.0), Some(7)),
            (json!("-7 "), Some(-7)),
            (json!(7.5), None),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!(i64::MIN), Some(i64::MIN)),
            (json!(true), None),
        ] {
            assert_eq!(integer(&value), expected, "{value}");
        }
        for (value, expected) in [
            (json!(19.9), Some(1990)),
            (json!(-0.005), Some(-1)),
            (json!("7"), Some(700)),
            (json!(999.99), Some(99_999)),
            (json!(1000), None),
        ] {
            assert_eq!(decimal(&value, 5, 2), expected, "{value}");
        }
        for (value, expected) in
            [(json!(19), Some("19")), (json!("2.50"), Some("2.5")), (json!("NaN"), None)]
        {
            assert_eq!(number(&value).map(|n| n.to_string()).as_deref(), expected, "{value}");
        }
    }
}
