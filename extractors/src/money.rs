//! Currencies: their codes, and the signs that people write.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// Signs and words, and the code they stand for where nothing else is said; longer ones first.
const SIGNS: &[(&str, &str)] = &[
    ("R$", "BRL"),
    ("US$", "USD"),
    ("U$S", "USD"),
    ("CA$", "CAD"),
    ("C$", "CAD"),
    ("AU$", "AUD"),
    ("A$", "AUD"),
    ("NZ$", "NZD"),
    ("HK$", "HKD"),
    ("NT$", "TWD"),
    ("MX$", "MXN"),
    ("S$", "SGD"),
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("￡", "GBP"),
    ("¥", "JPY"),
    ("￥", "JPY"),
    ("円", "JPY"),
    ("元", "CNY"),
    ("₽", "RUB"),
    ("₹", "INR"),
    ("₺", "TRY"),
    ("₩", "KRW"),
    ("원", "KRW"),
    ("₪", "ILS"),
    ("₴", "UAH"),
    ("₸", "KZT"),
    ("₫", "VND"),
    ("฿", "THB"),
    ("₱", "PHP"),
    ("₦", "NGN"),
    ("zł", "PLN"),
    ("Kč", "CZK"),
];

/// Words that mean a currency when they stand alone beside a number.
const WORDS: &[(&str, &str)] = &[
    ("руб", "RUB"),
    ("р", "RUB"),
    ("грн", "UAH"),
    ("лв", "BGN"),
    ("тг", "KZT"),
    ("ден", "MKD"),
    ("rs", "INR"),
    ("lei", "RON"),
    ("ron", "RON"),
    ("kn", "HRK"),
    ("din", "RSD"),
    ("rsd", "RSD"),
    ("ft", "HUF"),
    ("kr", "SEK"),
    ("tl", "TRY"),
    ("rp", "IDR"),
    ("rm", "MYR"),
    ("fr", "CHF"),
    ("sfr", "CHF"),
    ("euro", "EUR"),
    ("euros", "EUR"),
    ("dollars", "USD"),
    ("usd", "USD"),
    ("eur", "EUR"),
    ("gbp", "GBP"),
    ("chf", "CHF"),
    ("pln", "PLN"),
    ("czk", "CZK"),
    ("sek", "SEK"),
    ("nok", "NOK"),
    ("dkk", "DKK"),
    ("huf", "HUF"),
    ("rub", "RUB"),
    ("uah", "UAH"),
    ("byn", "BYN"),
    ("try", "TRY"),
    ("inr", "INR"),
    ("pkr", "PKR"),
    ("aed", "AED"),
    ("sar", "SAR"),
    ("cad", "CAD"),
    ("aud", "AUD"),
    ("nzd", "NZD"),
    ("jpy", "JPY"),
    ("cny", "CNY"),
    ("hkd", "HKD"),
    ("sgd", "SGD"),
    ("mxn", "MXN"),
    ("brl", "BRL"),
    ("zar", "ZAR"),
    ("ils", "ILS"),
    ("krw", "KRW"),
    ("thb", "THB"),
    ("bgn", "BGN"),
    ("hrk", "HRK"),
    ("isk", "ISK"),
    ("php", "PHP"),
    ("idr", "IDR"),
    ("myr", "MYR"),
    ("vnd", "VND"),
    ("kzt", "KZT"),
    ("egp", "EGP"),
    ("clp", "CLP"),
    ("cop", "COP"),
    ("ars", "ARS"),
    ("pen", "PEN"),
    ("twd", "TWD"),
    ("ngn", "NGN"),
    ("kes", "KES"),
    ("qar", "QAR"),
    ("kwd", "KWD"),
];

static BY_WORD: LazyLock<FxHashMap<&str, &str>> = LazyLock::new(|| WORDS.iter().copied().collect());
/// The longest of the words, in bytes.
const MAX_WORD_BYTES: usize = 8;

/// Codes that have been replaced without a change of value, or that shops make up.
const RENAMED: &[(&str, &str)] = &[("RUR", "RUB"), ("TRL", "TRY"), ("RMB", "CNY"), ("NIS", "ILS")];

/// Whether a short text has both a digit and something that may be a currency. Fast.
pub(crate) fn may_have_currency(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && currency(text).is_some()
}

/// The code of the currency that a text names first.
pub(crate) fn currency(text: &str) -> Option<&'static str> {
    let has_sign = |sign: &str| text.contains(sign);
    if text.bytes().any(|byte| byte == b'$' || !byte.is_ascii())
        && let Some((_, code)) = SIGNS.iter().find(|(sign, _)| has_sign(sign))
    {
        return Some(code);
    }
    let mut word = String::new();
    for c in text.chars().chain(Some(' ')) {
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
            continue;
        }
        if (1..=MAX_WORD_BYTES).contains(&word.len())
            && let Some(code) = BY_WORD.get(word.as_str())
        {
            return Some(code);
        }
        word.clear();
    }
    None
}

/// A code as it is written in structured data, or what a sign there stands for.
pub(crate) fn code(text: &str) -> Option<String> {
    let text = text.trim();
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_code {
        let code = text.to_ascii_uppercase();
        let known = RENAMED.iter().find(|(old, _)| *old == code);
        return Some(known.map_or(code, |(_, new)| (*new).to_owned()));
    }
    (text.len() <= 40).then(|| currency(text)).flatten().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_words_are_known() {
        for (text, expected) in [
            ("$5", Some("USD")),
            ("R$ 5", Some("BRL")),
            ("5 €", Some("EUR")),
            ("5 zł", Some("PLN")),
            ("Rs 5", Some("INR")),
            ("5 kr.", Some("SEK")),
            ("CHF 5", Some("CHF")),
            ("5 krone", None),
            ("5 шт", None),
            ("", None),
        ] {
            assert_eq!(currency(text), expected, "{text}");
        }
        assert!(WORDS.iter().all(|(word, _)| word.len() <= MAX_WORD_BYTES));
        assert_eq!(code("eur").as_deref(), Some("EUR"));
        assert_eq!(code("€").as_deref(), Some("EUR"));
        assert_eq!(code("a euphemism"), None);
        assert!(may_have_currency("5€") && !may_have_currency("€"));
    }
}
