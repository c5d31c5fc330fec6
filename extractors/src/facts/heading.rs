//! The main heading, and what the title says without the name of the site.

use super::Zones;
use crate::tree::{Place, Tag, Tree};

/// The longest heading, in bytes.
const MAX_HEADING_BYTES: usize = 400;
/// The most headings that are looked at.
const MAX_HEADINGS: usize = 200;
/// What stands between the page's title and the name of its site.
const SEPARATORS: &[&str] = &[
    " | ", " - ", " – ", " — ", " :: ", " · ", " » ", " « ", " • ", " / ", " ‹ ", "|", " > ", ": ",
];

/// The headings of a page.
#[derive(Debug, Default)]
pub(crate) struct Headings {
    all: Vec<Heading>,
    pub(crate) title: Option<String>,
    main: Option<usize>,
    /// How much of the title that has it the main heading is, up to 1.
    share: f64,
    /// Whether the title has the main heading too.
    pub(crate) is_confirmed: bool,
}

/// One heading.
#[derive(Debug)]
pub(crate) struct Heading {
    pub(crate) place: Place,
    pub(crate) text: String,
    level: u8,
    zones: Zones,
    /// It is a link to the site's first page or a logo, and thus the name of the site.
    is_home: bool,
}

impl Heading {
    /// The parts of the page that it stands in.
    pub(crate) fn zones(&self) -> Zones {
        self.zones
    }
}

impl Headings {
    pub(super) fn add(&mut self, tree: &Tree<'_>, place: Place, zones: Zones) {
        let level = match tree.tag(place) {
            Tag::H1 => 1,
            Tag::H2 => 2,
            _ => 3,
        };
        let text = tree.text(place, MAX_HEADING_BYTES);
        let is_home = leads_home(tree, place) || is_logo(tree, place);
        if self.all.len() < MAX_HEADINGS
            && text.chars().any(char::is_alphanumeric)
            && !zones.has(Zones::INVISIBLE)
        {
            self.all.push(Heading { place, text, level, zones, is_home });
        }
    }

    pub(super) fn title(&mut self, tree: &Tree<'_>, place: Place) {
        if self.title.is_none() {
            let text = tree
                .children(place)
                .next()
                .map(|text| crate::text::collapse(&crate::tree::decode(tree.raw_text(text))));
            self.title = text.filter(|text| !text.is_empty());
        }
    }

    /// Chooses the main heading: the one that the title has too, the highest and first among equals.
    pub(super) fn choose(&mut self, metas: &[(String, String)]) {
        let titles = metas.iter().filter(|(key, _)| key == "og:title" || key == "twitter:title");
        let titles: Vec<String> = titles
            .map(|(_, title)| simple(title))
            .chain(self.title.as_deref().map(simple))
            .collect();
        let mut best = 0.0;
        for (number, heading) in self.all.iter().enumerate() {
            let said = simple(&heading.text);
            let is_said = said.len() >= 3 && titles.iter().any(|title| is_in(&said, title));
            let overlap = titles.iter().map(|title| overlap(&said, title)).fold(0.0, f64::max);
            let rank = match heading.level {
                1 => 1.0,
                2 => 0.45,
                _ => 0.25,
            };
            let zones = heading.zones;
            let is_off =
                zones.has(Zones::FRAME) || zones.has(Zones::RELATED) || zones.has(Zones::COMMENTS);
            let off = if is_off { 0.5 } else { 1.0 };
            let off = if heading.is_home { 0.2 } else { off };
            // The longer a part of the title it is, the less likely it is the name of the site.
            let longest = titles.iter().map(String::len).max().unwrap_or(1).max(1);
            let share = said.len() as f64 / longest as f64;
            let confirmed = if is_said { 0.5 + 0.9 * share.min(1.0) } else { overlap };
            let needs = heading.level > 1 && !is_said && overlap < 0.6;
            let score = if needs { 0.0 } else { rank * off * (0.4 + confirmed) };
            if score > best + 1e-9 {
                best = score;
                self.main = Some(number);
                self.is_confirmed = is_said;
                let shortest =
                    titles.iter().filter(|title| is_in(&said, title)).map(String::len).min();
                self.share = said.len() as f64 / shortest.unwrap_or(said.len()).max(1) as f64;
            }
        }
    }

    pub(crate) fn main(&self) -> Option<&Heading> {
        self.main.map(|number| &self.all[number])
    }

    /// Whether the title says it and little else: a word of the title may be the name of a section.
    pub(crate) fn is_most_of_title(&self) -> bool {
        const LEAST_SHARE: f64 = 0.25;
        self.is_confirmed && self.share >= LEAST_SHARE
    }

    /// Whether a name is that of the main heading, or the other way round.
    pub(crate) fn names(&self, name: &str) -> bool {
        let name = simple(name);
        let is_same = |text: &str| {
            let text = simple(text);
            name.len() >= 3 && (is_in(&name, &text) || text.len() >= 3 && is_in(&text, &name))
        };
        self.main().is_some_and(|heading| is_same(&heading.text))
            || (self.main.is_none() && self.title.as_deref().is_some_and(is_same))
    }

    /// The longest part of the title.
    pub(crate) fn title_part(&self) -> Option<String> {
        let title = self.title.as_deref()?;
        let mut parts = vec![title];
        for mark in &SEPARATORS[..9] {
            parts = parts.into_iter().flat_map(|part| part.split(mark)).collect();
        }
        parts
            .into_iter()
            .map(str::trim)
            .rev()
            .max_by_key(|part| part.chars().count())
            .map(str::to_owned)
    }
}

/// A title without the name of the site, which stands at one of its ends.
pub(crate) fn without_site(title: &str, site: Option<&str>, host: &str) -> String {
    without(title, site, host, false)
}

/// A name without that of the site behind it; before it, it may be the maker's.
pub(crate) fn without_site_behind(name: &str, site: Option<&str>, host: &str) -> String {
    without(name, site, host, true)
}

fn without(title: &str, site: Option<&str>, host: &str, only_behind: bool) -> String {
    let mut text = title.trim().to_owned();
    let host = simple(host);
    // `shop.test` of `www.shop.test`, as a text ends with it.
    let domain =
        Some(host.strip_prefix("www ").unwrap_or(&host)).filter(|domain| domain.contains(' '));
    let domain = domain.unwrap_or_default();
    let is_site = |part: &str| {
        let part = simple(part);
        let plain: String = part.chars().filter(|c| *c != ' ').collect();
        !plain.is_empty()
            && (site.is_some_and(|site| simple(site) == part)
                || plain.len() >= 3 && host.replace(' ', "").contains(&plain)
                || !domain.is_empty() && part.ends_with(domain))
    };
    for _ in 0..3 {
        let Some(shorter) = SEPARATORS.iter().find_map(|mark| {
            if let Some((head, tail)) = text.rsplit_once(mark)
                && is_site(tail)
                && !head.trim().is_empty()
            {
                return Some(head.trim().to_owned());
            }
            let (head, tail) = text.split_once(mark).filter(|_| !only_behind)?;
            (is_site(head) && !tail.trim().is_empty()).then(|| tail.trim().to_owned())
        }) else {
            break;
        };
        text = shorter;
    }
    text
}

/// Letters and digits in lower case, words apart by one space.
pub(crate) fn simple(text: &str) -> String {
    let mut simple = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            simple.extend(c.to_lowercase());
        } else if !simple.ends_with(' ') && !simple.is_empty() && !matches!(c, '\'' | '’') {
            simple.push(' ');
        }
    }
    simple.truncate(simple.trim_end().len());
    simple
}

/// Whether the words of one simple text stand in the other.
pub(crate) fn is_in(part: &str, whole: &str) -> bool {
    !part.is_empty()
        && memchr::memmem::find_iter(whole.as_bytes(), part.as_bytes()).any(|at| {
            let before = at == 0 || whole.as_bytes()[at - 1] == b' ';
            let end = at + part.len();
            before && (end == whole.len() || whole.as_bytes()[end] == b' ')
        })
}

/// Whether a heading is in a link to the first page, or around one.
fn leads_home(tree: &Tree<'_>, place: Place) -> bool {
    let around = tree.ancestors(place).take(2);
    let below = tree.below(place).take(8);
    let link = around.chain(below).find(|place| tree.tag(*place) == Tag::A);
    let Some(link) = link.and_then(|link| tree.attribute(link, "href")) else { return false };
    let path = link
        .split_once("://")
        .map_or(&*link, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.trim_start_matches('/').split(['?', '#']).next().unwrap_or_default();
    let is_first = |name: &str| {
        matches!(name, "" | "index.html" | "index.php" | "index.htm" | "home" | "default.aspx")
    };
    !link.starts_with('#') && is_first(path)
}

/// Whether the class or id of a heading or of what is around it calls it the site's logo.
fn is_logo(tree: &Tree<'_>, place: Place) -> bool {
    let says = |value: &str| {
        let value = value.to_ascii_lowercase();
        ["logo", "site-title", "site-name", "sitename", "blog-title", "blog-name"]
            .iter()
            .any(|word| value.contains(word))
    };
    let named = |place: Place| {
        let mut values = ["class", "id"].iter().filter_map(|name| tree.raw_attribute(place, name));
        values.any(|value| value.len() <= 200 && says(value))
    };
    named(place) || tree.ancestors(place).next().is_some_and(named)
}

fn overlap(a: &str, b: &str) -> f64 {
    let words: Vec<&str> = b.split(' ').filter(|word| !word.is_empty()).collect();
    let own: Vec<&str> = a.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() || own.is_empty() {
        return 0.0;
    }
    let shared = own.iter().filter(|word| words.contains(word)).count();
    shared as f64 / own.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(html: &str) -> Headings {
        let tree = Tree::new(html);
        let mut headings = Headings::default();
        for place in 0..tree.len() {
            if tree.tag(place) == Tag::Title {
                headings.title(&tree, place);
            } else if tree.tag(place).is_heading() {
                headings.add(&tree, place, Zones::default());
            }
        }
        headings.choose(&[]);
        headings
    }

    #[test]
    fn the_main_heading_is_the_one_of_the_title() {
        let page =
            "<title>Brass Lamp - Shop</title><h1>Shop</h1><h1>Brass lamp</h1><h1>Others</h1>";
        assert_eq!(headings(page).main().unwrap().text, "Brass lamp");
        let none = headings("<title>Brass Lamp</title><h2>Menu</h2><h2>Brass Lamp</h2>");
        assert_eq!(none.main().unwrap().text, "Brass Lamp");
        assert!(none.is_confirmed);
        let logo = headings("<title>A lamp | News</title><h1 class=logo>News</h1><h2>A lamp</h2>");
        assert_eq!(logo.main().unwrap().text, "A lamp");
        let section =
            headings("<title>How lamps are made - News and more of it</title><h1>News</h1>");
        assert!(section.is_confirmed && !section.is_most_of_title());
        assert_eq!(headings("<title>x</title><h1>Only one</h1>").main().unwrap().text, "Only one");
    }

    #[test]
    fn the_name_of_the_site_is_taken_off() {
        for (title, site, host, expected) in [
            ("Lamp | Acme", Some("Acme"), "x.test", "Lamp"),
            ("Lamp - big - Acme Shop", None, "www.acmeshop.test", "Lamp - big"),
            ("Acme: Lamp", None, "acme.test", "Lamp"),
            ("Lamp - small", None, "acme.test", "Lamp - small"),
            ("Acme", Some("Acme"), "acme.test", "Acme"),
        ] {
            assert_eq!(without_site(title, site, host), expected, "{title}");
        }
        assert_eq!(without_site_behind("Acme: Lamp | Acme", None, "acme.test"), "Acme: Lamp");
    }
}
