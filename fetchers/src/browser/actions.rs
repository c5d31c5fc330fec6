//! Does with a page what a person would.

use harvestman_engine::params::{Action, Entry, Key, Scroll, Selector, Wait};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{Failed, Tab, quoted};

/// Brings an element into view and gives its middle.
const MIDDLE: &str = r"(selector => {
    const element = document.querySelector(selector);
    element.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    const box = element.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
})";

/// Chooses an option; `false` if there is none.
const SELECT: &str = r"((selector, text) => {
    const element = document.querySelector(selector);
    const fits = option => option.value === text || option.label.trim() === text;
    const option = Array.from(element.options ?? []).find(fits);
    if (!option) return false;
    element.value = option.value;
    for (const name of ['input', 'change']) {
        element.dispatchEvent(new Event(name, { bubbles: true }));
    }
    return true;
})";

#[derive(Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

/// Carries out one action; an element that isn't there yet is waited for.
pub(super) async fn carry_out(tab: &Tab, action: &Action) -> Result<(), Failed> {
    match action {
        Action::Click(selector) => click(tab, selector).await,
        Action::Type(entry) => enter(tab, entry).await,
        Action::Scroll(Scroll::To(selector)) => middle(tab, selector).await.map(drop),
        Action::Scroll(Scroll::By(pixels)) => scroll(tab, &format!("scrollBy(0, {pixels})")).await,
        Action::Scroll(_) => {
            scroll(tab, "scrollTo(0, document.documentElement.scrollHeight)").await
        }
        Action::Wait(Wait::Until(selector)) => tab.wait_for(selector).await,
        Action::Wait(Wait::For(time)) => {
            tokio::time::sleep(*time).await;
            Ok(())
        }
        Action::Select(entry) => select(tab, entry).await,
        Action::Press(key) => press(tab, *key).await,
        action => Err(Failed::Script(format!("{action:?} can't be done"))),
    }
}

async fn middle(tab: &Tab, selector: &Selector) -> Result<Point, Failed> {
    tab.wait_for(selector).await?;
    tab.evaluate(&format!("{MIDDLE}({})", quoted(selector.as_str()))).await
}

async fn click(tab: &Tab, selector: &Selector) -> Result<(), Failed> {
    let Point { x, y } = middle(tab, selector).await?;
    for (kind, button, count) in
        [("mouseMoved", "none", 0), ("mousePressed", "left", 1), ("mouseReleased", "left", 1)]
    {
        let params = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": count });
        tab.call::<Value>("Input.dispatchMouseEvent", params).await?;
    }
    Ok(())
}

async fn enter(tab: &Tab, entry: &Entry) -> Result<(), Failed> {
    tab.wait_for(&entry.selector).await?;
    let focus = format!("document.querySelector({}).focus()", quoted(entry.selector.as_str()));
    tab.evaluate::<Value>(&focus).await?;
    tab.call::<Value>("Input.insertText", json!({ "text": entry.text })).await?;
    Ok(())
}

async fn scroll(tab: &Tab, call: &str) -> Result<(), Failed> {
    tab.evaluate::<Value>(call).await.map(drop)
}

async fn select(tab: &Tab, entry: &Entry) -> Result<(), Failed> {
    tab.wait_for(&entry.selector).await?;
    let (selector, text) = (quoted(entry.selector.as_str()), quoted(&entry.text));
    if tab.evaluate(&format!("{SELECT}({selector}, {text})")).await? {
        return Ok(());
    }
    let message = format!("`{}` has no option {:?}", entry.selector, entry.text);
    Err(Failed::Script(harvestman_engine::excerpt(message.as_bytes(), 200)))
}

async fn press(tab: &Tab, key: Key) -> Result<(), Failed> {
    let (code, text) = key_code(key);
    let name = if key == Key::Space { " ".to_owned() } else { format!("{key:?}") };
    let mut down = json!({
        "type": if text.is_some() { "keyDown" } else { "rawKeyDown" },
        "key": name,
        "code": format!("{key:?}"),
        "windowsVirtualKeyCode": code,
    });
    let mut up = down.clone();
    up["type"] = "keyUp".into();
    if let Some(text) = text {
        down["text"] = text.into();
    }
    tab.call::<Value>("Input.dispatchKeyEvent", down).await?;
    tab.call::<Value>("Input.dispatchKeyEvent", up).await?;
    Ok(())
}

/// The key's number, and what it writes.
fn key_code(key: Key) -> (u32, Option<&'static str>) {
    match key {
        Key::Enter => (13, Some("\r")),
        Key::Tab => (9, None),
        Key::Escape => (27, None),
        Key::Backspace => (8, None),
        Key::Delete => (46, None),
        Key::Space => (32, Some(" ")),
        Key::ArrowLeft => (37, None),
        Key::ArrowUp => (38, None),
        Key::ArrowRight => (39, None),
        Key::ArrowDown => (40, None),
        Key::PageUp => (33, None),
        Key::PageDown => (34, None),
        Key::End => (35, None),
        _ => (36, None),
    }
}
