//! What is done with a rendered page before it is taken.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most actions of one task.
pub const MAX_ACTIONS: usize = 50;
/// The longest that all actions of a task may take together.
pub const MAX_ACTION_TIME: Duration = Duration::from_mins(1);
/// The longest selector, in bytes.
pub const MAX_SELECTOR_BYTES: usize = 1_000;
/// The longest text that is typed or chosen, in bytes.
const MAX_TEXT_BYTES: usize = 10_000;
/// The furthest that one scroll goes, in CSS pixels.
const MAX_SCROLL: u32 = 1_000_000;

/// One step of a person at a rendered page; as JSON an object with one key, e.g. `{"click": "#more"}`.
///
/// A step that names an element waits for it, within the task's deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Clicks an element in its middle: `{"click": "selector"}`.
    Click(Selector),
    /// Types text into a field: `{"type": {"selector": "#q", "text": "lamp"}}`.
    Type(Entry),
    /// Scrolls by pixels, to an element or to the end: `{"scroll": 800}`, `{"scroll": "selector"}`,
    /// `{"scroll": "bottom"}`.
    Scroll(Scroll),
    /// Waits, milliseconds or for an element: `{"wait": 500}`, `{"wait": "selector"}`.
    Wait(Wait),
    /// Chooses an option by its value or its label: `{"select": {"selector": "#size", "text": "L"}}`.
    Select(Entry),
    /// Presses a key: `{"press": "Enter"}`.
    Press(Key),
}

/// A CSS selector, of at most [`MAX_SELECTOR_BYTES`]; the browser judges whether it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Box<str>);

/// What is entered where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entry {
    /// The field.
    pub selector: Selector,
    /// What is typed into it or chosen; at most 10,000 bytes.
    #[serde(deserialize_with = "entered")]
    pub text: String,
}

/// How far a page is scrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scroll {
    /// By CSS pixels, upwards if negative.
    By(i32),
    /// To the end of what there is now.
    Bottom,
    /// Until the element is in view.
    To(Selector),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// A time, of at most [`MAX_ACTION_TIME`].
    For(Duration),
    /// That the element is there.
    Until(Selector),
}

/// A key that can be pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the keys have the names that are on them")]
pub enum Key {
    Enter,
    Tab,
    Escape,
    Backspace,
    Delete,
    Space,
    ArrowUp,
    ArrowDown,
    ArrowLeft,
    ArrowRight,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Which part of a rendered page is kept as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Screenshot {
    /// None: `false`.
    Off,
    /// What a window shows: `true` or `"viewport"`.
    Viewport,
    /// The whole page: `"full"`.
    Full,
}

impl Selector {
    /// Takes a selector; `None` if it is empty or too long.
    pub fn new(text: &str) -> Option<Self> {
        let is_fine = !text.trim().is_empty() && text.len() <= MAX_SELECTOR_BYTES;
        is_fine.then(|| Self(text.into()))
    }

    /// The selector as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        selector(&String::deserialize(deserializer)?)
    }
}

fn selector<E: de::Error>(text: &str) -> Result<Selector, E> {
    Selector::new(text).ok_or_else(|| {
        E::custom(format!("a selector has 1 to {MAX_SELECTOR_BYTES} bytes, not {}", text.len()))
    })
}

fn entered<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(de::Error::custom(format!("the text is longer than {MAX_TEXT_BYTES} bytes")));
    }
    Ok(text)
}

/// A number or a text, which several parameters may be.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a text")]
enum NumberOrText {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scroll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Text(text) if text == "bottom" => Ok(Self::Bottom),
            NumberOrText::Text(text) => selector(&text).map(Self::To),
            NumberOrText::Number(by) => match i32::try_from(by) {
                Ok(by) if by.abs_diff(0) <= MAX_SCROLL => Ok(Self::By(by)),
                _ => Err(de::Error::custom(format!("scrolls by at most {MAX_SCROLL} pixels"))),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Text(text) => selector(&text).map(Self::Until),
            NumberOrText::Number(ms) => {
                let wait = u64::try_from(ms).ok().map(Duration::from_millis);
                wait.filter(|wait| *wait <= MAX_ACTION_TIME).map(Self::For).ok_or_else(|| {
                    let most = MAX_ACTION_TIME.as_millis();
                    de::Error::custom(format!("waits 0 to {most} milliseconds"))
                })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Screenshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Screenshot;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, \"viewport\" or \"full\"")
            }

            fn visit_bool<E>(self, is_on: bool) -> Result<Screenshot, E> {
                Ok(if is_on { Screenshot::Viewport } else { Screenshot::Off })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Screenshot, E> {
                match &*text.to_ascii_lowercase() {
                    "viewport" | "true" => Ok(Screenshot::Viewport),
                    "full" => Ok(Screenshot::Full),
                    "false" => Ok(Screenshot::Off),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Scroll {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::By(pixels) => serializer.serialize_i32(*pixels),
            Self::Bottom => serializer.serialize_str("bottom"),
            Self::To(selector) => selector.serialize(serializer),
        }
    }
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(time) => serializer.serialize_u64(time.as_millis() as u64),
            Self::Until(selector) => selector.serialize(serializer),
        }
    }
}

impl Serialize for Screenshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::Viewport => serializer.serialize_str("viewport"),
            Self::Full => serializer.serialize_str("full"),
        }
    }
}

/// Checks what single actions can't: how many there are and how long they wait in all.
pub(super) fn check(actions: Vec<Action>) -> Result<Vec<Action>, String> {
    if actions.len() > MAX_ACTIONS {
        return Err(format!("more than {MAX_ACTIONS} actions"));
    }
    let waits = actions.iter().map(|action| match action {
        Action::Wait(Wait::For(wait)) => *wait,
        _ => Duration::ZERO,
    });
    if waits.sum::<Duration>() > MAX_ACTION_TIME {
        return Err(format!("the waits take more than {} s", MAX_ACTION_TIME.as_secs()));
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn actions(json: &str) -> Result<Vec<Action>, String> {
        let json = format!(r#"{{"actions": {json}}}"#);
        let params = serde_json::from_str::<Params>(&json).map_err(|error| error.to_string())?;
        Ok(params.actions.unwrap())
    }

    #[test]
    fn each_action_is_read() {
        let all = actions(
            r##"[{"click": "a.more"}, {"type": {"selector": "#q", "text": "lamp"}},
            {"scroll": -80}, {"scroll": "bottom"}, {"scroll": "#end"}, {"wait": 500},
            {"wait": "h1"}, {"select": {"selector": "#size", "text": "L"}}, {"press": "Enter"}]"##,
        )
        .unwrap();
        let selector = |text| Selector::new(text).unwrap();
        assert_eq!(all[0], Action::Click(selector("a.more")));
        assert_eq!(all[2], Action::Scroll(Scroll::By(-80)));
        assert_eq!(all[3], Action::Scroll(Scroll::Bottom));
        assert_eq!(all[4], Action::Scroll(Scroll::To(selector("#end"))));
        assert_eq!(all[5], Action::Wait(Wait::For(Duration::from_millis(500))));
        assert_eq!(all[6], Action::Wait(Wait::Until(selector("h1"))));
        assert_eq!(all[8], Action::Press(Key::Enter));
    }

    #[test]
    fn what_is_no_action_or_too_much_is_refused() {
        let many = format!("[{}]", vec![r#"{"press":"Tab"}"#; MAX_ACTIONS + 1].join(","));
        let long = format!(r#"[{{"click":"{}"}}]"#, "a".repeat(MAX_SELECTOR_BYTES + 1));
        for (json, message) in [
            (r#"[{"hover": "a"}]"#, "hover"),
            (r#"[{"click": ""}]"#, "1 to 1000 bytes"),
            (&*long, "1 to 1000 bytes"),
            (r#"[{"wait": 60001}]"#, "0 to 60000"),
            (r#"[{"wait": 40000}, {"wait": 20001}]"#, "more than 60 s"),
            (r#"[{"scroll": 99999999}]"#, "at most"),
            (r#"[{"press": "Fn"}]"#, "Fn"),
            (r#"[{"type": {"selector": "a"}}]"#, "text"),
            (&*many, "more than 50 actions"),
        ] {
            let error = actions(json).unwrap_err();
            assert!(error.contains(message) && error.contains("actions"), "{json}: {error}");
        }
    }

    #[test]
    fn a_screenshot_is_a_switch_or_a_part() {
        for (json, part) in [
            ("true", Screenshot::Viewport),
            ("false", Screenshot::Off),
            ("\"viewport\"", Screenshot::Viewport),
            ("\"full\"", Screenshot::Full),
        ] {
            assert_eq!(serde_json::from_str::<Screenshot>(json).unwrap(), part);
        }
        assert!(serde_json::from_str::<Screenshot>("\"left\"").is_err());
    }
}
