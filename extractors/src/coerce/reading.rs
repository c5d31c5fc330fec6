//! How a field's texts are understood, by its rule and its hint.

use harvestman_engine::{Field, schema::SchemaError};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, date},
    tz::TimeZone,
};

use super::unit::Unit;

/// Languages in which a comma begins a fraction.
const COMMA: &[&str] = &[
    "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "lt",
    "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi",
];
/// Countries in which it is a point all the same.
const POINT_REGIONS: &[&str] =
    &["CH", "LI", "MX", "US", "GT", "HN", "NI", "PA", "PE", "PR", "SV", "DO"];

/// How a field's texts are understood, made ready.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// What begins a fraction in texts for people.
    decimal: Option<&'static str>,
    /// The rule says so itself, so that it holds for texts of programs too.
    pub(crate) is_decimal_certain: bool,
    /// `3/4/2024` is the fourth of March; by the page's language if it isn't said.
    pub(crate) month_first: Option<bool>,
    date_format: Option<String>,
    pub(crate) unit: Option<Unit>,
}

/// What is not said anywhere.
#[cfg(test)]
pub(crate) static PLAIN: Reading = Reading {
    decimal: None,
    is_decimal_certain: false,
    month_first: None,
    date_format: None,
    unit: None,
};

impl Reading {
    /// Refuses a unit or a date format that is none. The locale is that of the job, if the field has none.
    pub(crate) fn new(
        field: &Field,
        locale: Option<&str>,
        path: &str,
    ) -> Result<Self, SchemaError> {
        let wrong =
            |key: &str, message: String| SchemaError { path: format!("{path}.{key}"), message };
        let written = &field.reading;
        let locale = written.locale.as_deref().or(locale).map(Locale::of);
        let certain = written.decimal_separator.map(|mark| if mark == ',' { "," } else { "." });
        let by_locale = locale.as_ref().map(Locale::decimal);
        let format = written.date_format.as_deref();
        if let Some(format) = format.filter(|format| !is_format(format)) {
            let message =
                format!("`{format}` is no form of a date; write it as for strptime: \"%d.%m.%Y\"");
            return Err(wrong("date_format", message));
        }
        let unit = match written.unit.as_deref() {
            None => field.hint.as_deref().and_then(unit_of_hint),
            Some(name) => Some(Unit::named(name).ok_or_else(|| {
                wrong(
                    "unit",
                    format!("`{name}` is no unit known here; there are {}", Unit::names()),
                )
            })?),
        };
        Ok(Self {
            decimal: certain.or(by_locale),
            is_decimal_certain: certain.is_some(),
            month_first: locale.as_ref().map(Locale::is_month_first),
            date_format: format.map(str::to_owned),
            unit,
        })
    }

    /// What begins a fraction, if it is said.
    pub(crate) fn decimal(&self) -> Option<&'static str> {
        self.decimal
    }

    /// A date in the form that the rule names.
    pub(crate) fn date(&self, text: &str) -> Option<Date> {
        let format = self.date_format.as_deref()?;
        Date::strptime(format, text.trim()).ok()
    }

    /// A moment in the form that the rule names; without a zone it is UTC.
    pub(crate) fn moment(&self, text: &str) -> Option<Timestamp> {
        let format = self.date_format.as_deref()?;
        let text = text.trim();
        let local = || {
            let time = DateTime::strptime(format, text).ok();
            let time = time.or_else(|| Some(Date::strptime(format, text).ok()?.at(0, 0, 0, 0)))?;
            TimeZone::UTC.to_timestamp(time).ok()
        };
        Timestamp::strptime(format, text).ok().or_else(local)
    }
}

/// `in minutes`, `cents`.
fn unit_of_hint(hint: &str) -> Option<Unit> {
    Unit::named(hint.strip_prefix("in ").unwrap_or(hint))
}

/// Whether a date can be written in this form.
fn is_format(format: &str) -> bool {
    let noon = date(2024, 3, 12).at(12, 0, 0, 0).to_zoned_datetime(TimeZone::UTC);
    format.contains('%') && noon.is_ok_and(|noon| jiff::fmt::strtime::format(format, &noon).is_ok())
}

/// A language, and a country.
struct Locale {
    language: String,
    region: String,
}

impl Locale {
    fn of(text: &str) -> Self {
        let mut parts = text.split(['-', '_', '.']);
        let language = parts.next().unwrap_or_default().to_lowercase();
        let region = parts.find(|part| part.len() == 2).unwrap_or_default().to_uppercase();
        Self { language, region }
    }

    fn decimal(&self) -> &'static str {
        let is_comma = COMMA.contains(&self.language.as_str());
        if is_comma && !POINT_REGIONS.contains(&self.region.as_str()) { "," } else { "." }
    }

    fn is_month_first(&self) -> bool {
        self.language == "en" && matches!(self.region.as_str(), "" | "US" | "PH")
    }
}

#[cfg(test)]
mod tests {
    use harvestman_engine::Schema;
    use serde_json::{Value, json};

    use super::*;

    fn reading(rule: &Value) -> Result<Reading, SchemaError> {
        let schema = Schema::from_json(json!({ "f": rule })).unwrap();
        Reading::new(&schema.fields()[0], Some("de-DE"), ".f")
    }

    #[test]
    fn a_locale_says_how_numbers_and_dates_are_written() {
        for (locale, decimal, month_first) in [
            ("de-DE", ",", false),
            ("de_CH", ".", false),
            ("es-MX", ".", false),
            ("zh-Hant-TW", ".", false),
            ("en-US", ".", true),
            ("en-GB", ".", false),
        ] {
            let reading = reading(&json!({"type": "number", "locale": locale})).unwrap();
            assert_eq!(reading.decimal(), Some(decimal), "{locale}");
            assert_eq!(reading.month_first, Some(month_first), "{locale}");
        }
        let own = reading(&json!({"type": "number", "decimal_separator": "."})).unwrap();
        assert_eq!((own.decimal(), own.is_decimal_certain), (Some("."), true));
        assert_eq!(reading(&json!("number")).unwrap().decimal(), Some(","), "that of the job");
    }

    #[test]
    fn a_form_of_dates_is_tried() {
        let reading = reading(&json!({"type": "date", "date_format": "%y/%d/%m"})).unwrap();
        assert_eq!(reading.date(" 24/12/03 "), Some(date(2024, 3, 12)));
        assert_eq!(reading.date("12.3.2024"), None);
        assert_eq!(reading.moment("24/12/03").unwrap().to_string(), "2024-03-12T00:00:00Z");
    }

    #[test]
    fn a_hint_may_name_the_unit() {
        assert_eq!(reading(&json!("number · in hours")).unwrap().unit, Unit::named("hours"));
        assert_eq!(reading(&json!("number · of its owner")).unwrap().unit, None);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (rule, message) in [
            (json!({"type": "number", "unit": "parsec"}), "extract.f.unit: `parsec` is no unit"),
            (
                json!({"type": "date", "date_format": "%!"}),
                "extract.f.date_format: `%!` is no form",
            ),
            (
                json!({"type": "date", "date_format": "DD"}),
                "extract.f.date_format: `DD` is no form",
            ),
        ] {
            let error = reading(&rule).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
