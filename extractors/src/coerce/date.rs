//! Dates and times: ISO 8601, RFC 2822, seconds since 1970, and the common ways of people.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// A longer text is a phrase and no date.
const MAX_DATE_BYTES: usize = 100;

/// How people write dates. Where day and month can't be told apart, the day comes first.
const PATTERNS: &[&str] = &[
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%B %d %Y",
    "%b %d %Y",
    "%A, %d %B %Y",
    "%A, %B %d, %Y",
    "%d. %B %Y",
    "%a, %d %b %Y",
    "%d-%b-%Y",
    "%Y%m%d",
];

/// The date as `YYYY-MM-DD`.
pub(crate) fn date(text: &str) -> Option<String> {
    let text = usable(text)?;
    if let Some(date) = leading_iso_date(text) {
        return Some(date.to_string());
    }
    let date =
        pattern_date(text).or_else(|| Some(TimeZone::UTC.to_datetime(moment(text)?).date()))?;
    Some(date.to_string())
}

/// The moment as RFC 3339 in UTC, to the second or as fine as it was written.
pub(crate) fn datetime(text: &str) -> Option<String> {
    let text = usable(text)?;
    let at_midnight = || {
        let date = text.parse::<Date>().ok().or_else(|| pattern_date(text))?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    moment(text).or_else(at_midnight).map(|moment| moment.to_string())
}

fn usable(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_DATE_BYTES).then_some(text)
}

/// The date that is written, whatever the time zone makes of it in UTC.
fn leading_iso_date(text: &str) -> Option<Date> {
    let (date, rest) = text.split_at_checked(10)?;
    let is_whole = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
    is_whole.then(|| date.parse().ok()).flatten()
}

fn pattern_date(text: &str) -> Option<Date> {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    PATTERNS.iter().find_map(|pattern| Date::strptime(pattern, text).ok())
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    // A time of no zone counts as UTC; a bare date is none.
    if let Ok(local) = text.parse::<DateTime>()
        && text.len() > 10
    {
        return TimeZone::UTC.to_timestamp(local).ok();
    }
    since_1970(text)
}

/// Seconds or milliseconds, of a year from 1973 to 2286.
fn since_1970(text: &str) -> Option<Timestamp> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number, text.len()) {
        (true, 9..=10) => Timestamp::from_second(text.parse().ok()?).ok(),
        (true, 12..=13) => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for text in [
            "2024-03-12",
            "2024-03-12T23:30:00-08:00",
            "2024-03-12 10:00",
            "12 March 2024",
            "March 12, 2024",
            "Mar 12, 2024",
            "12.03.2024",
            "12/03/2024",
            "2024/03/12",
            "20240312",
            "Tue, 12 Mar 2024 10:00:00 +0000",
            "1710237600",
            "1710237600000",
        ] {
            assert_eq!(date(text).as_deref(), Some("2024-03-12"), "{text}");
        }
        assert_eq!(date("03/25/2024").as_deref(), Some("2024-03-25"), "no month 25");
        for text in ["soon", "", "2024", "13/13/2024"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_told_in_utc() {
        for (text, moment) in [
            ("2024-03-12T10:00:00+02:00", "2024-03-12T08:00:00Z"),
            ("2024-03-12T10:00:00", "2024-03-12T10:00:00Z"),
            ("2024-03-12", "2024-03-12T00:00:00Z"),
            ("12 March 2024", "2024-03-12T00:00:00Z"),
            ("Tue, 12 Mar 2024 10:00:00 GMT", "2024-03-12T10:00:00Z"),
        ] {
            assert_eq!(datetime(text).as_deref(), Some(moment), "{text}");
        }
        assert_eq!(datetime("later"), None);
    }
}
