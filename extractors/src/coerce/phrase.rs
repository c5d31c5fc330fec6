//! Dates as people write them, anywhere in a text, in many languages.

use jiff::civil::Date;

/// The most parts of a text that are looked at.
const MAX_PARTS: usize = 60;
/// The years of dates that are believed.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2100;

/// How months begin in English, German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian, Polish,
/// Czech, Russian and Turkish; a longer beginning before one that it contains.
const MONTHS: [&[&str]; 12] = [
    &["jan", "jän", "janv", "ene", "gen", "sty", "led", "янв", "oca", "січ", "tammi"],
    &["feb", "fév", "fev", "lut", "úno", "фев", "şub", "лют", "febbr", "helmi"],
    &["mar", "mär", "maa", "mrt", "mrz", "břez", "мар", "бер", "março", "marzo", "maalis"],
    &["apr", "avr", "abr", "kwi", "dub", "апр", "nis", "квіт", "huhti"],
    &["may", "mai", "mag", "mei", "maj", "kvě", "мая", "май", "трав", "touko"],
    &["jun", "juin", "giu", "cze", "červn", "июн", "haz", "черв", "kesä"],
    &["jul", "juil", "lug", "lip", "července", "červenec", "июл", "tem", "лип", "heinä"],
    &["aug", "aoû", "aou", "ago", "sie", "srp", "авг", "ağu", "серп", "elo"],
    &["sep", "set", "wrz", "zář", "сен", "eyl", "вер", "syys"],
    &["oct", "okt", "ott", "out", "paź", "říj", "окт", "eki", "жовт", "loka"],
    &["nov", "lis", "ноя", "kas", "лист", "marras"],
    &["dec", "dez", "déc", "dic", "gru", "pro", "дек", "ara", "груд", "joulu"],
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Number { value: i32, digits: usize },
    Month(i8),
    Separator(char),
    Word,
}

/// The first date in a text. Where day and month can't be told apart, the day comes first unless
/// `month_first`.
pub(super) fn first_date(text: &str, month_first: bool) -> Option<Date> {
    let parts = parts(text);
    let solid: Vec<(usize, Part)> = parts
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, part)| !matches!(part, Part::Separator(_)))
        .collect();
    solid.windows(3).find_map(|window| {
        let between = |first: usize, last: usize| &parts[first + 1..last];
        let [(a, first), (b, second), (c, third)] = [window[0], window[1], window[2]];
        let is_near = b - a <= 4 && c - b <= 4;
        is_near
            .then(|| of_parts(first, second, third, between(a, b), between(b, c), month_first))
            .flatten()
    })
}

fn of_parts(
    first: Part,
    second: Part,
    third: Part,
    before: &[Part],
    after: &[Part],
    month_first: bool,
) -> Option<Date> {
    use Part::{Month, Number};
    match (first, second, third) {
        (Number { value: day, digits: 1..=2 }, Month(month), Number { value: year, digits }) => {
            date(year_of(year, digits)?, i32::from(month), day)
        }
        (Month(month), Number { value: day, digits: 1..=2 }, Number { value: year, digits: 4 })
        | (Number { value: year, digits: 4 }, Month(month), Number { value: day, digits: 1..=2 }) => {
            date(year, i32::from(month), day)
        }
        (Number { .. }, Number { digits: 1..=2, .. }, Number { .. }) => {
            of_numbers([first, second, third], separator(before)?, separator(after)?, month_first)
        }
        _ => None,
    }
}

/// `2024-03-12`, `12.03.2024`: the same mark between all three.
fn of_numbers(parts: [Part; 3], before: char, after: char, month_first: bool) -> Option<Date> {
    let [
        Part::Number { value: first, digits: first_digits },
        Part::Number { value: second, .. },
        Part::Number { value: third, digits: third_digits },
    ] = parts
    else {
        return None;
    };
    let is_mark = matches!(before, '.' | '/' | '-' | '年' | '月');
    if !is_mark || (before != after && before != '年') {
        return None;
    }
    if first_digits == 4 {
        return (third_digits <= 2).then(|| date(first, second, third)).flatten();
    }
    let year = year_of(third, third_digits)?;
    let is_american = month_first && before == '/';
    let (day, month) = if is_american { (second, first) } else { (first, second) };
    date(year, month, day).or_else(|| date(year, day, month))
}

/// The one mark between two numbers, with a space behind it or none.
fn separator(parts: &[Part]) -> Option<char> {
    match parts {
        [Part::Separator(mark)] | [Part::Separator(mark), Part::Separator(' ')] => Some(*mark),
        _ => None,
    }
}

fn year_of(year: i32, digits: usize) -> Option<i32> {
    match digits {
        4 => Some(year),
        2 if year <= 40 => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    let year = i16::try_from(year).ok().filter(|year| YEARS.contains(year))?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if parts.len() >= MAX_PARTS {
            break;
        }
        let same = |c: char| {
            if first.is_ascii_digit() {
                c.is_ascii_digit()
            } else {
                c.is_alphabetic() && !is_mark(c)
            }
        };
        let is_solid = first.is_ascii_digit() || (first.is_alphabetic() && !is_mark(first));
        if !is_solid {
            if !(first.is_whitespace() && parts.last() == Some(&Part::Separator(' '))) {
                parts.push(Part::Separator(if first.is_whitespace() { ' ' } else { first }));
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if first.is_ascii_digit() {
            let value = word.parse().unwrap_or(i32::MAX);
            parts.push(Part::Number { value, digits: word.len() });
        } else if let Some(month) = month(word) {
            parts.push(Part::Month(month));
        } else if !is_filler(word) {
            parts.push(Part::Word);
        }
    }
    parts
}

/// Year and month of Chinese and Japanese dates end with a mark of their own.
fn is_mark(c: char) -> bool {
    matches!(c, '年' | '月' | '日')
}

fn month(word: &str) -> Option<i8> {
    if word.chars().count() < 3 {
        return None;
    }
    let word = word.to_lowercase();
    // "июля" before "июн" and the Czech July before June would not be told apart by three letters.
    let begins = |months: &[&str]| {
        months.iter().filter(|start| word.starts_with(**start)).map(|start| start.len()).max()
    };
    let longest =
        MONTHS.iter().enumerate().filter_map(|(number, months)| Some((begins(months)?, number)));
    let (_, number) = longest.max_by_key(|(length, _)| *length)?;
    let is_month = word.chars().count() <= 12;
    is_month.then(|| number as i8 + 1)
}

/// Words inside of dates.
fn is_filler(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "de" | "del"
            | "of"
            | "st"
            | "nd"
            | "rd"
            | "th"
            | "den"
            | "er"
            | "do"
            | "di"
            | "г"
            | "the"
            | "ta"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_found_in_phrases_of_many_languages() {
        for (text, expected) in [
            ("Published on Monday, March 4th, 2019 by Ann", "2019-03-04"),
            ("Veröffentlicht am 4. März 2019, 10:20 Uhr", "2019-03-04"),
            ("le 4 août 2019 à 10h", "2019-08-04"),
            ("4 de julio de 2019", "2019-07-04"),
            ("4 июля 2019 г.", "2019-07-04"),
            ("4. července 2019", "2019-07-04"),
            ("2019年3月4日", "2019-03-04"),
            ("04/03/2019", "2019-03-04"),
            ("Stand: 04.03.19", "2019-03-04"),
            ("2019. 03. 04.", "2019-03-04"),
            ("12:30 13/25/2019", ""),
            ("version 1.2.3", ""),
            ("call 555 123 4567", ""),
        ] {
            let found = first_date(text, false).map(|date| date.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(first_date("03/04/2019", true).unwrap().to_string(), "2019-03-04");
        assert_eq!(first_date("25/04/2019", true).unwrap().to_string(), "2019-04-25");
    }
}
