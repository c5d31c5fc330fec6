//! The one streaming pass over a page: selectors that were given, and facts for those that were not.

use std::{cell::RefCell, rc::Rc};

use harvestman_engine::schema::Output;
use lol_html::{
    ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings, Settings,
    errors::RewritingError,
    html_content::{Element, TextChunk, TextType},
};

use crate::{
    capture::{Captures, is_block, may_end_silently},
    facts::{Facts, MAX_FACT_BYTES, Mark},
    plan::{Plan, Way},
};

/// The most memory that the parser may take for one page.
const MAX_PARSER_BYTES: usize = 32 * 1024 * 1024;

/// What one pass has brought.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By field and selector; empty for fields that are found by name.
    pub(crate) located: Vec<Vec<Captures>>,
    pub(crate) facts: Facts,
    /// Something was seen that only a tree can tell.
    pub(crate) needs_tree: bool,
}

type Shared = Rc<RefCell<Scan>>;

/// Why a pass ends before the page does.
#[derive(Debug, thiserror::Error)]
#[error("nothing more is wanted of the page")]
struct Enough;

/// Passes over the page, reading the fields with selectors and, if `finds`, the facts for others.
pub(crate) fn scan(html: &str, plan: &Plan, finds: bool) -> Scan {
    let located = plan.fields.iter().map(|field| match &field.way {
        Way::Located(selectors) if plan.streams => {
            selectors.iter().map(|_| Captures::default()).collect()
        }
        _ => Vec::new(),
    });
    let shared = Rc::new(RefCell::new(Scan { located: located.collect(), ..Scan::default() }));
    let mut settings = settings();
    if plan.streams {
        settings = locate(settings, plan, &shared, !finds);
    }
    if finds {
        settings = find(settings, plan, &shared);
    }
    run(html, settings);
    shared.take()
}

/// Passes over the page for its facts only.
pub(crate) fn scan_facts(html: &str, plan: &Plan) -> Scan {
    let shared = Shared::default();
    run(html, find(settings(), plan, &shared));
    shared.take()
}

fn settings<'h, 's>() -> Settings<'h, 's> {
    let memory = MemorySettings::new().with_max_allowed_memory_usage(MAX_PARSER_BYTES);
    Settings::new().with_memory_settings(memory).with_strict(false)
}

fn run(html: &str, settings: Settings<'_, '_>) {
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let end = rewriter.write(html.as_bytes()).and_then(|()| rewriter.end());
    match end {
        // A page that needs more memory keeps what was read so far.
        Ok(()) | Err(RewritingError::ContentHandlerError(_)) => {}
        Err(error) => tracing::debug!(%error, "the page was read in part"),
    }
}

/// Handlers for the fields with selectors. If nothing else is wanted, the pass ends with the first
/// matches.
fn locate<'h, 's>(
    mut settings: Settings<'h, 's>,
    plan: &'s Plan,
    shared: &Shared,
    may_end: bool,
) -> Settings<'h, 's> {
    let wants_all = |field: &crate::plan::FieldPlan| {
        let locator = field.field.locator.as_ref();
        locator.is_some_and(|locator| {
            locator.all || locator.selectors.len() > 1 || locator.output == Output::Count
        })
    };
    let may_end = may_end && !plan.fields.iter().any(wants_all);
    for (number, field) in plan.fields.iter().enumerate() {
        let (Way::Located(selectors), Some(locator)) = (&field.way, &field.field.locator) else {
            continue;
        };
        for (choice, selector) in selectors.iter().enumerate() {
            let Some((own, below)) = &selector.streaming else { continue };
            let slot = Slot { shared: Rc::clone(shared), number, choice, may_end };
            let is_text = matches!(locator.output, Output::Text);
            let first_only = !locator.all && locator.output != Output::Count;
            let output = locator.output.clone();
            let (begin, text, edge) = (slot.clone(), slot.clone(), slot);
            let handlers =
                ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
                    begin.element(element, &output, first_only)
                });
            let handlers = if is_text {
                handlers.text(move |chunk: &mut TextChunk<'_>| {
                    text.text(chunk);
                    Ok(())
                })
            } else {
                handlers
            };
            settings = settings
                .append_element_content_handler((std::borrow::Cow::Borrowed(own), handlers));
            if is_text {
                let handlers = ElementContentHandlers::default().element(
                    move |element: &mut Element<'_, '_>| {
                        edge.edge(element);
                        Ok(())
                    },
                );
                settings = settings
                    .append_element_content_handler((std::borrow::Cow::Borrowed(below), handlers));
            }
        }
    }
    settings
}

/// Where the matches of one selector go.
#[derive(Clone)]
struct Slot {
    shared: Shared,
    number: usize,
    choice: usize,
    may_end: bool,
}

impl Slot {
    fn with<T>(&self, run: impl FnOnce(&mut Captures) -> T) -> T {
        run(&mut self.shared.borrow_mut().located[self.number][self.choice])
    }

    fn element(
        &self,
        element: &mut Element<'_, '_>,
        output: &Output,
        first_only: bool,
    ) -> HandlerResult {
        if first_only && self.with(|captures| captures.len() > 0) {
            return Ok(());
        }
        match output {
            Output::Attribute(name) => {
                if let Some(value) = element.get_attribute(name) {
                    self.with(|captures| captures.add(value));
                }
                return self.end_early();
            }
            Output::Text => {}
            _ => {
                self.with(|captures| captures.add(String::new()));
                return self.end_early();
            }
        }
        if may_end_silently(&element.tag_name()) {
            self.shared.borrow_mut().needs_tree = true;
            return Err(Box::new(Enough));
        }
        let Some(place) = self.with(Captures::begin) else { return Ok(()) };
        let slot = self.clone();
        let ends = element.on_end_tag(Box::new(move |_| {
            slot.with(|captures| captures.end(place));
            slot.end_early()
        }));
        if ends.is_err() {
            self.with(|captures| captures.end(place));
        }
        Ok(())
    }

    fn text(&self, chunk: &TextChunk<'_>) {
        if is_visible(chunk) {
            self.with(|captures| captures.push(chunk.as_str()));
        }
    }

    /// A block inside a match stands apart.
    fn edge(&self, element: &mut Element<'_, '_>) {
        if !self.with(|captures| captures.is_open()) || !is_block(&element.tag_name()) {
            return;
        }
        self.with(|captures| captures.push(" "));
        let slot = self.clone();
        // Without an end tag there is no edge to mark.
        let _ = element.on_end_tag(Box::new(move |_| {
            slot.with(|captures| captures.push(" "));
            Ok(())
        }));
    }

    fn end_early(&self) -> HandlerResult {
        let scan = self.shared.borrow();
        let has_first = |slots: &Vec<Captures>| slots.iter().all(|captures| captures.ended() > 0);
        if self.may_end && scan.located.iter().all(has_first) {
            return Err(Box::new(Enough));
        }
        Ok(())
    }
}

fn is_visible(chunk: &TextChunk<'_>) -> bool {
    matches!(chunk.text_type(), TextType::Data | TextType::RCData)
}

/// Parts of a page that are about something else.
const MUTED: &str = "nav, footer, aside, [class*=related i], [id*=related i], [class*=recommend i], \
                     [class*=similar i], [class*=upsell i], [class*=cross-sell i], [class*=cart i], \
                     [class*=recently i], [class*=carousel i]";
const STRUCK: &str = "del, s, strike";

/// Handlers for the facts.
fn find<'h, 's>(mut settings: Settings<'h, 's>, plan: &Plan, shared: &Shared) -> Settings<'h, 's> {
    let scan = Rc::clone(shared);
    settings = on(settings, "meta", move |element| {
        let key = ["property", "name", "itemprop"].iter();
        let key = key.filter_map(|name| element.get_attribute(name)).find(|key| !key.is_empty());
        if let (Some(key), Some(content)) = (key, element.get_attribute("content")) {
            scan.borrow_mut().facts.add_meta(&key, content);
        }
    });
    let scan = Rc::clone(shared);
    settings = on(settings, "link[rel=canonical], base", move |element| {
        let key = if element.tag_name() == "base" { "base" } else { "canonical" };
        if let Some(address) = element.get_attribute("href") {
            scan.borrow_mut().facts.add_meta(key, address);
        }
    });
    let scan = Rc::clone(shared);
    settings = on(settings, MUTED, move |element| depth(element, &scan, |facts| &mut facts.muted));
    let scan = Rc::clone(shared);
    settings =
        on(settings, STRUCK, move |element| depth(element, &scan, |facts| &mut facts.struck));
    settings = texts(settings, "title", shared, |_| Some(Mark::title()));
    settings = texts(settings, "h1", shared, |_| Some(Mark::heading()));
    settings = texts(settings, "[itemprop]", shared, Mark::property);
    let words = mark_selector(plan);
    if !words.is_empty() {
        settings = texts(settings, &words, shared, Mark::of_element);
    }
    settings
}

/// A selector for all elements whose class or id may mark a wanted field.
fn mark_selector(plan: &Plan) -> String {
    let mut words: Vec<_> = plan.fields.iter().flat_map(crate::plan::FieldPlan::marks).collect();
    let longest = |phrase: &mut Vec<String>| phrase.iter().max_by_key(|word| word.len()).cloned();
    let mut words: Vec<String> = words.iter_mut().filter_map(longest).collect();
    words.retain(|word| word.chars().all(char::is_alphanumeric));
    words.sort();
    words.dedup();
    let selectors = words.iter().map(|word| format!("[class*={word:?} i], [id*={word:?} i]"));
    selectors.collect::<Vec<_>>().join(", ")
}

fn on<'h, 's>(
    settings: Settings<'h, 's>,
    selector: &str,
    mut run: impl FnMut(&mut Element<'_, '_>) + 'h,
) -> Settings<'h, 's> {
    let selector = selector.parse().expect("our own selectors are well-formed");
    let handlers =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
            run(element);
            Ok(())
        });
    settings.append_element_content_handler((std::borrow::Cow::Owned(selector), handlers))
}

/// Counts how deep the parser is inside of such elements.
fn depth(element: &mut Element<'_, '_>, scan: &Shared, count: fn(&mut Facts) -> &mut u32) {
    let leaving = Rc::clone(scan);
    let ends = element.on_end_tag(Box::new(move |_| {
        let mut scan = leaving.borrow_mut();
        let depth = count(&mut scan.facts);
        *depth = depth.saturating_sub(1);
        Ok(())
    }));
    if ends.is_ok() {
        *count(&mut scan.borrow_mut().facts) += 1;
    }
}

/// Keeps the texts of the elements that `mark` accepts.
fn texts<'h, 's>(
    settings: Settings<'h, 's>,
    selector: &str,
    shared: &Shared,
    mark: fn(&Element<'_, '_>) -> Option<Mark>,
) -> Settings<'h, 's> {
    let selector = selector.parse().expect("the words of a selector are letters and digits");
    let open: Rc<RefCell<Vec<usize>>> = Rc::default();
    let (scan, opened) = (Rc::clone(shared), Rc::clone(&open));
    let begin = move |element: &mut Element<'_, '_>| -> HandlerResult {
        let Some(mark) = mark(element) else { return Ok(()) };
        let has_value = mark.has_value();
        let Some(place) = scan.borrow_mut().facts.begin(mark) else { return Ok(()) };
        if has_value {
            return Ok(());
        }
        let closing = Rc::clone(&opened);
        let ends = element.on_end_tag(Box::new(move |_| {
            closing.borrow_mut().retain(|open| *open != place);
            Ok(())
        }));
        if ends.is_ok() {
            opened.borrow_mut().push(place);
        }
        Ok(())
    };
    let scan = Rc::clone(shared);
    let text = move |chunk: &mut TextChunk<'_>| -> HandlerResult {
        let mut open = open.borrow_mut();
        if open.is_empty() || !is_visible(chunk) {
            return Ok(());
        }
        let facts = &mut scan.borrow_mut().facts;
        // An element with a long text is none that marks a value, or it has not ended where it should.
        open.retain(|place| {
            let captured = &mut facts.marks[*place].text;
            captured.push_str(chunk.as_str());
            if chunk.last_in_text_node() {
                captured.push(' ');
            }
            captured.len() <= MAX_FACT_BYTES
        });
        Ok(())
    };
    let handlers = ElementContentHandlers::default().element(begin).text(text);
    settings.append_element_content_handler((std::borrow::Cow::Owned(selector), handlers))
}
