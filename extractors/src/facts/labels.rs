//! Values that stand beside their label: `Brand: Acme`, a cell beside a header, `dt` and `dd`.

use rustc_hash::FxHashMap;

use crate::{
    text::collapse,
    tree::{Place, Tag, Tree, decode},
};

/// The longest label, in bytes.
const MAX_LABEL_BYTES: usize = 48;
/// The longest value beside a label, in bytes.
const MAX_VALUE_BYTES: usize = 400;
/// The most labels of one page.
const MAX_LABELS: usize = 2_000;

/// The labels that are wanted, each with the numbers of the fields that it may stand for.
pub(crate) type Wanted = FxHashMap<String, Vec<usize>>;

/// A wanted label, and what stands beside it.
#[derive(Debug)]
pub(crate) struct Label {
    /// The text as it was looked up, and thus a key of the wanted ones.
    pub(crate) text: String,
    pub(crate) place: Place,
    /// How sure it is that this is a label at all, up to 1.
    pub(crate) strength: f64,
    pub(crate) value: Beside,
}

/// What stands beside a label.
#[derive(Debug)]
pub(crate) enum Beside {
    Text(String),
    Node(Place),
}

/// The form in which labels are compared.
pub(crate) fn normal(label: &str) -> String {
    let mut form = String::new();
    form_into(label, &mut form);
    trimmed(&form).to_owned()
}

/// Writes the form in which labels are compared, untrimmed, into a buffer that is used again.
fn form_into(label: &str, form: &mut String) {
    form.clear();
    for word in label.split_whitespace() {
        if !form.is_empty() {
            form.push(' ');
        }
        if word.is_ascii() {
            form.extend(word.bytes().map(|byte| byte.to_ascii_lowercase() as char));
        } else {
            form.push_str(&word.to_lowercase());
        }
    }
}

fn trimmed(form: &str) -> &str {
    form.trim_matches(|c: char| !c.is_alphanumeric() && c != '#' && c != '.').trim_end_matches('.')
}

/// Adds what stands beside a text if the text is a wanted label, or begins with one.
pub(crate) fn add(
    tree: &Tree<'_>,
    place: Place,
    wanted: &Wanted,
    buffer: &mut String,
    labels: &mut Vec<Label>,
) {
    let raw = tree.raw_text(place).trim();
    if raw.is_empty() || labels.len() >= MAX_LABELS || wanted.is_empty() {
        return;
    }
    let head = crate::text::cut(raw, MAX_LABEL_BYTES);
    let colon = head.find([':', '：']);
    if raw.len() > MAX_LABEL_BYTES && colon.is_none() {
        return;
    }
    let (label, rest) = match colon {
        Some(colon) => (&raw[..colon], raw[colon..].trim_start_matches([':', '：']).trim()),
        None => (raw, ""),
    };
    form_into(&decode(label), buffer);
    let Some((text, _)) = wanted.get_key_value(trimmed(buffer)) else { return };
    let text = text.clone();
    if rest.is_empty() {
        if let Some((value, strength)) = beside(tree, place, colon.is_some()) {
            labels.push(Label { text, place, strength, value });
        }
        return;
    }
    let rest = crate::text::cut(rest, MAX_VALUE_BYTES);
    let value = Beside::Text(collapse(&decode(rest)));
    labels.push(Label { text, place, strength: 0.95, value });
}

/// What stands beside a label that is a text of its own.
fn beside(tree: &Tree<'_>, place: Place, has_colon: bool) -> Option<(Beside, f64)> {
    let mut at = place;
    let mut strength = if has_colon { 1.0 } else { 0.7 };
    for _ in 0..4 {
        let tag = tree.tag(at);
        if matches!(tag, Tag::Dt | Tag::Th | Tag::Td) {
            strength = 1.0;
            return cell_beside(tree, at).map(|value| (Beside::Node(value), strength));
        }
        if matches!(tag, Tag::Label | Tag::B | Tag::Strong) {
            strength = f64::max(strength, 0.85);
        }
        if tag.is_heading() {
            strength *= 0.8;
        }
        if let Some(next) = next_with_text(tree, at) {
            return Some((Beside::Node(next), strength));
        }
        let parent = tree.parent(at);
        if parent == 0 || matches!(tree.tag(parent), Tag::Body | Tag::Ul | Tag::Table | Tag::Tr) {
            return None;
        }
        at = parent;
    }
    None
}

fn next_with_text(tree: &Tree<'_>, place: Place) -> Option<Place> {
    let mut next = tree.next_sibling(place);
    for _ in 0..6 {
        let found = next?;
        if !tree.text(found, 8).is_empty() {
            return Some(found);
        }
        next = tree.next_sibling(found);
    }
    None
}

/// The cell right of this one, or below it if the whole row is of headers.
fn cell_beside(tree: &Tree<'_>, cell: Place) -> Option<Place> {
    let next = next_with_text(tree, cell);
    let is_header = |place: Place| tree.tag(place) == Tag::Th;
    if let Some(next) = next
        && !(is_header(cell) && is_header(next))
    {
        return Some(next);
    }
    if !is_header(cell) {
        return None;
    }
    let row = tree.parent(cell);
    let column = cells(tree, row).position(|found| found == cell)?;
    let mut below = tree.next_sibling(row);
    if below.is_none() {
        below = tree.next_sibling(tree.parent(row)).and_then(|body| cells_rows(tree, body));
    }
    while let Some(found) = below {
        if tree.tag(found) == Tag::Tr {
            return cells(tree, found).nth(column);
        }
        below = tree.next_sibling(found);
    }
    None
}

fn cells<'t>(tree: &'t Tree<'_>, row: Place) -> impl Iterator<Item = Place> + 't {
    tree.children(row).filter(|place| matches!(tree.tag(*place), Tag::Td | Tag::Th))
}

fn cells_rows(tree: &Tree<'_>, body: Place) -> Option<Place> {
    tree.children(body).find(|place| tree.tag(*place) == Tag::Tr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brand(html: &str) -> Option<String> {
        let tree = Tree::new(html);
        let wanted = Wanted::from_iter([("brand".to_owned(), vec![0])]);
        let mut labels = Vec::new();
        for place in 0..tree.len() {
            add(&tree, place, &wanted, &mut String::new(), &mut labels);
        }
        labels.first().map(|label| match &label.value {
            Beside::Text(text) => text.clone(),
            Beside::Node(place) => tree.text(*place, MAX_VALUE_BYTES),
        })
    }

    #[test]
    fn values_stand_beside_their_labels() {
        for html in [
            "<p>Brand: Acme</p>",
            "<p><b>Brand</b>: Acme</p>",
            "<p><b>Brand:</b> Acme</p>",
            "<p>Brand: <a>Acme</a></p>",
            "<dl><dt>Brand<dd>Acme<dt>Size<dd>1</dl>",
            "<table><tr><th>Brand<td>Acme</table>",
            "<table><tr><td>Brand:</td><td>Acme</td></table>",
            "<table><tr><th>Size<th>Brand<tr><td>1<td>Acme</table>",
            "<div><div><span>Brand</span></div> <div>Acme</div></div>",
        ] {
            let found = brand(html).map(|text| text.trim_start_matches([':', ' ']).to_owned());
            assert_eq!(found.as_deref(), Some("Acme"), "{html}");
        }
        assert_eq!(brand("<p>Brand</p>"), None);
        assert_eq!(brand("<p>Our brand is Acme: yes</p>"), None);
    }
}
