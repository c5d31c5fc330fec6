//! Durations, in minutes.

/// ISO 8601 (`PT1H30M`), or what people write: `1 h 30 min`, `1:30`.
pub(crate) fn minutes(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.len() > 60 {
        return None;
    }
    if text.starts_with(['P', 'p']) {
        return iso(text);
    }
    let mut total = 0.0;
    let mut number: Option<f64> = None;
    let mut found = false;
    for part in parts(text) {
        if let Ok(value) = part.replace(',', ".").parse::<f64>() {
            number = Some(value);
            continue;
        }
        let Some(value) = number.take() else { continue };
        total += value * factor(&part)?;
        found = true;
    }
    (found && number.is_none()).then_some(total)
}

fn iso(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut number = String::new();
    let mut is_time = false;
    for c in text[1..].chars() {
        match c.to_ascii_uppercase() {
            'T' => is_time = true,
            c @ ('0'..='9' | '.') => number.push(c),
            unit => {
                let value: f64 = number.parse().ok()?;
                number.clear();
                total += value
                    * match (unit, is_time) {
                        ('W', false) => 7.0 * 1440.0,
                        ('D', false) => 1440.0,
                        ('H', true) => 60.0,
                        ('M', true) => 1.0,
                        ('S', true) => 1.0 / 60.0,
                        _ => return None,
                    };
            }
        }
    }
    number.is_empty().then_some(total)
}

/// Numbers and words, apart.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut was_digit = None;
    for c in text.chars() {
        let is_digit = c.is_ascii_digit() || (matches!(c, '.' | ',') && was_digit == Some(true));
        if !is_digit && !c.is_alphabetic() {
            was_digit = None;
            continue;
        }
        match parts.last_mut() {
            Some(part) if was_digit == Some(is_digit) => part.push(c),
            _ => parts.push(c.to_string()),
        }
        was_digit = Some(is_digit);
    }
    parts
}

fn factor(unit: &str) -> Option<f64> {
    let unit = unit.to_lowercase();
    Some(match unit.as_str() {
        "d" | "day" | "days" | "tag" | "tage" | "jour" | "jours" | "día" | "días" => 1440.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0 / 60.0,
        "m" => 1.0,
        _ if unit.starts_with("min") || unit.starts_with("мин") => 1.0,
        _ if unit.starts_with('h')
            || unit.starts_with("std")
            || unit.starts_with("stunde")
            || unit.starts_with("uur")
            || unit.starts_with("час")
            || unit.starts_with("ora")
            || unit.starts_with("ore")
            || unit.starts_with("tim") =>
        {
            60.0
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_minutes() {
        for (text, expected) in [
            ("PT1H30M", Some(90.0)),
            ("P1DT2H", Some(1560.0)),
            ("PT90S", Some(1.5)),
            ("1 h 30 min", Some(90.0)),
            ("45 minutes", Some(45.0)),
            ("1.5 hours", Some(90.0)),
            ("1 Std. 5 Min.", Some(65.0)),
            ("PT", Some(0.0)),
            ("P1X", None),
            ("soon", None),
            ("5", None),
            ("5 apples", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }
}
