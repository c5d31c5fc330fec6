//! Units: a number given in one is told in another.

use super::duration;

/// What can be measured, by the word for its unit and how many of the first of its kind it is.
const UNITS: &[(&str, Quantity, f64)] = &[
    ("minutes", Quantity::Time, 1.0),
    ("minute", Quantity::Time, 1.0),
    ("min", Quantity::Time, 1.0),
    ("seconds", Quantity::Time, 1.0 / 60.0),
    ("second", Quantity::Time, 1.0 / 60.0),
    ("sec", Quantity::Time, 1.0 / 60.0),
    ("s", Quantity::Time, 1.0 / 60.0),
    ("hours", Quantity::Time, 60.0),
    ("hour", Quantity::Time, 60.0),
    ("h", Quantity::Time, 60.0),
    ("days", Quantity::Time, 1440.0),
    ("day", Quantity::Time, 1440.0),
    ("cents", Quantity::Money, 0.01),
    ("cent", Quantity::Money, 0.01),
    ("minor", Quantity::Money, 0.01),
    ("pence", Quantity::Money, 0.01),
    ("mg", Quantity::Mass, 0.001),
    ("g", Quantity::Mass, 1.0),
    ("gram", Quantity::Mass, 1.0),
    ("grams", Quantity::Mass, 1.0),
    ("kg", Quantity::Mass, 1000.0),
    ("kilograms", Quantity::Mass, 1000.0),
    ("oz", Quantity::Mass, 28.349_523_125),
    ("lb", Quantity::Mass, 453.592_37),
    ("lbs", Quantity::Mass, 453.592_37),
    ("pounds", Quantity::Mass, 453.592_37),
    ("mm", Quantity::Length, 0.001),
    ("cm", Quantity::Length, 0.01),
    ("m", Quantity::Length, 1.0),
    ("km", Quantity::Length, 1000.0),
    ("in", Quantity::Length, 0.0254),
    ("inches", Quantity::Length, 0.0254),
    ("ft", Quantity::Length, 0.3048),
    ("feet", Quantity::Length, 0.3048),
    ("mi", Quantity::Length, 1_609.344),
    ("miles", Quantity::Length, 1_609.344),
    ("ml", Quantity::Volume, 0.001),
    ("cl", Quantity::Volume, 0.01),
    ("l", Quantity::Volume, 1.0),
    ("litres", Quantity::Volume, 1.0),
    ("liters", Quantity::Volume, 1.0),
];

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    /// In minutes.
    Time,
    /// In whole units of a currency of a hundred parts.
    Money,
    /// In grams.
    Mass,
    /// In metres.
    Length,
    /// In litres.
    Volume,
}

/// The unit in which a field's number is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unit {
    quantity: Quantity,
    factor: f64,
}

impl Unit {
    /// The unit with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        let found = UNITS.iter().find(|(known, ..)| *known == name);
        found.map(|(_, quantity, factor)| Self { quantity: *quantity, factor: *factor })
    }

    /// The names of all units.
    pub(crate) fn names() -> String {
        UNITS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
    }

    /// A duration in this unit, if it is one of time.
    pub(crate) fn duration(self, text: &str) -> Option<f64> {
        let minutes = duration::minutes(text).filter(|_| self.quantity == Quantity::Time)?;
        Some(tidy(minutes / self.factor))
    }

    /// A number in this unit, from the unit that follows it in its text; without one it is in it already.
    /// Money is written in whole units.
    pub(crate) fn convert(self, number: f64, text: &str) -> f64 {
        let written = match self.quantity {
            Quantity::Time => None,
            Quantity::Money => Some(1.0),
            _ => unit_after_number(text)
                .filter(|unit| unit.quantity == self.quantity)
                .map(|unit| unit.factor),
        };
        written.map_or(number, |factor| tidy(number * factor / self.factor))
    }
}

/// Without what binary fractions leave behind: 0.1 kg are 100 g.
fn tidy(number: f64) -> f64 {
    const DIGITS: f64 = 1e9;
    if number.abs() < 1e6 { (number * DIGITS).round() / DIGITS } else { number }
}

/// The unit of the word right after the first number.
fn unit_after_number(text: &str) -> Option<Unit> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let rest = text[from..].trim_start_matches(|c: char| !c.is_alphabetic());
    let word = rest.split(|c: char| !c.is_alphabetic()).next()?;
    Unit::named(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_the_unit_asked_for() {
        for (unit, number, text, expected) in [
            ("g", 1.2, "1.2 kg", 1200.0),
            ("kg", 500.0, "Weight: 500g net", 0.5),
            ("kg", 500.0, "500", 500.0),
            ("cm", 5.0, "5 ft", 152.4),
            ("cm", 5.0, "5 kg", 5.0),
            ("cents", 19.9, "19.90 €", 1990.0),
            ("Litres", 33.0, "33 cl", 0.33),
        ] {
            let found = Unit::named(unit).unwrap().convert(number, text);
            assert!((found - expected).abs() < 1e-9, "{text} in {unit}: {found}");
        }
        assert_eq!(Unit::named("hours").unwrap().duration("PT90M"), Some(1.5));
        assert_eq!(Unit::named("kg").unwrap().duration("PT90M"), None);
        assert_eq!(Unit::named("parsec"), None);
    }
}
