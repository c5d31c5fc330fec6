//! Dates and times: ISO 8601, RFC 2822, seconds since 1970, and the common ways of people.

use super::phrase;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// A longer text is a phrase and no date.
const MAX_DATE_BYTES: usize = 100;

/// The date as `YYYY-MM-DD`, from anywhere in a short text. Where day and month can't be told apart, the
/// day comes first unless `month_first`.
pub(crate) fn date(text: &str, month_first: bool) -> Option<String> {
    let text = usable(text)?;
    if let Some(date) = leading_iso_date(text) {
        return Some(date.to_string());
    }
    let date = phrase::first_date(text, month_first)
        .or_else(|| compact(text))
        .or_else(|| Some(TimeZone::UTC.to_datetime(moment(text)?).date()))?;
    Some(date.to_string())
}

/// `20240312`.
fn compact(text: &str) -> Option<Date> {
    let is_one = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| Date::strptime("%Y%m%d", text).ok()).flatten()
}

/// The moment as RFC 3339 in UTC, to the second or as fine as it was written.
pub(crate) fn datetime(text: &str) -> Option<String> {
    let text = usable(text)?;
    let at_midnight = || {
        let date = text.parse::<Date>().ok().or_else(|| phrase::first_date(text, false))?;
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
            assert_eq!(date(text, false).as_deref(), Some("2024-03-12"), "{text}");
        }
        assert_eq!(date("03/25/2024", false).as_deref(), Some("2024-03-25"), "no month 25");
        for text in ["soon", "", "2024", "13/13/2024"] {
            assert_eq!(date(text, false), None, "{text}");
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
