//! Numbers: as programs write them, and as people do.

use harvestman_engine::Kind;
use price_parser::Price;
use serde_json::{Number, Value};

/// A longer text is a phrase and no number.
const MAX_NUMBER_BYTES: usize = 200;

/// A number with a decimal point and nothing else around it.
pub(crate) fn strict(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    let number: f64 = is_plain.then(|| text.parse().ok()).flatten()?;
    number.is_finite().then_some(number)
}

/// The first number of a text; a range gives its low end, a percentage gives none.
///
/// What begins a fraction is told from the number itself, unless it is said.
pub(crate) fn of_text(text: &str, decimal: Option<&str>) -> Option<f64> {
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let price = Price::parse(Some(text), None, decimal, None);
    let amount = price.amount?;
    let negative = text.trim_start().starts_with(['-', '−'])
        && text
            .trim_start()
            .trim_start_matches(['-', '−'])
            .starts_with(|c: char| c.is_ascii_digit());
    let factor = price.amount_text.and_then(|amount| magnitude(text, &amount)).unwrap_or(1.0);
    let number = if negative { -amount.abs() } else { amount } * factor;
    number.is_finite().then_some(number)
}

/// The factor that a letter right after the number stands for, as in `1.2k`.
fn magnitude(text: &str, amount: &str) -> Option<f64> {
    let after = text.split_once(amount.trim())?.1;
    let mut letters = after.chars();
    let factor = match letters.next()? {
        'k' | 'K' => 1e3,
        'M' => 1e6,
        _ => return None,
    };
    letters.next().is_none_or(|next| !next.is_alphanumeric()).then_some(factor)
}

/// A number of so many digits at most, rounded to so many after the point.
fn decimal(number: f64, precision: u8, scale: u8) -> Option<Value> {
    let unit = 10f64.powi(i32::from(scale));
    let units = (number * unit).round();
    let fits = units.abs() < 10f64.powi(i32::from(precision));
    fits.then(|| Number::from_f64(units / unit).map(Value::Number)).flatten()
}

/// The JSON number of a kind; `None` for a fraction that should be an integer, and for too many digits.
pub(crate) fn value(number: f64, kind: &Kind) -> Option<Value> {
    if let Kind::Decimal { precision, scale } = kind {
        return decimal(number, *precision, *scale);
    }
    if !matches!(kind, Kind::Integer) {
        return Number::from_f64(number).map(Value::Number);
    }
    // 2⁶³ is the first number that doesn't fit.
    let fits = number.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&number);
    fits.then(|| Value::from(number as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_numbers_in_many_ways() {
        for (text, number) in [
            ("$1,234.56", Some(1234.56)),
            ("1.234,56 €", Some(1234.56)),
            ("Rs 23,450", Some(23450.0)),
            ("CHF 1'299.–", Some(1299.0)),
            ("12.5", Some(12.5)),
            ("1.2k", Some(1200.0)),
            ("3M views", Some(3_000_000.0)),
            ("3Mbit", Some(3.0)),
            ("-5", Some(-5.0)),
            ("10 - 20", Some(10.0)),
            ("call us", None),
            ("", None),
        ] {
            assert_eq!(of_text(text, None), number, "{text}");
        }
        assert_eq!(of_text(&format!("{} 7", "x".repeat(300)), None), None);
        assert_eq!(of_text("1,234", Some(",")), Some(1.234));
        assert_eq!(of_text("1.234", Some(",")), Some(1234.0));
    }

    #[test]
    fn programs_write_numbers_in_one() {
        assert_eq!(strict("34.000"), Some(34.0));
        assert_eq!(strict(" 7 "), Some(7.0));
        for text in ["1,5", "7 EUR", "1e5", "inf", "nan", "", "-"] {
            assert_eq!(strict(text), None, "{text}");
        }
        assert_eq!(value(1e300, &Kind::Integer), None);
        assert_eq!(value(-3.0, &Kind::Integer), Some(Value::from(-3)));
        let money = Kind::Decimal { precision: 5, scale: 2 };
        assert_eq!(value(19.904, &money), Some(Value::from(19.9)));
        assert_eq!(value(1000.0, &money), None);
    }
}
