//! The streaming pass over a page for fields with selectors.

use std::{cell::RefCell, rc::Rc};

use harvestman_engine::schema::Output;
use lol_html::{
    ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings, Settings,
    errors::RewritingError,
    html_content::{Element, TextChunk, TextType},
};

use crate::{
    capture::{Captures, is_block, may_end_silently},
    plan::{Plan, Ready},
};

/// The most memory that the parser may take for one page.
const MAX_PARSER_BYTES: usize = 32 * 1024 * 1024;

/// What one pass has brought.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By field and selector; empty for fields that are found by name.
    pub(crate) located: Vec<Vec<Captures>>,
    /// Something was seen that only a tree can tell.
    pub(crate) needs_tree: bool,
}

type Shared = Rc<RefCell<Scan>>;

/// Why a pass ends before the page does.
#[derive(Debug, thiserror::Error)]
#[error("nothing more is wanted of the page")]
struct Enough;

/// Passes over the page, reading the fields with selectors.
pub(crate) fn scan(html: &str, plan: &Plan) -> Scan {
    let located = plan
        .fields
        .iter()
        .map(|field| field.selectors.iter().map(|_| Captures::default()).collect::<Vec<_>>());
    let shared = Rc::new(RefCell::new(Scan { located: located.collect(), ..Scan::default() }));
    run(html, locate(settings(), plan, &shared));
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

/// Handlers for the fields with selectors. The pass ends with the first matches where that is enough.
fn locate<'h, 's>(
    mut settings: Settings<'h, 's>,
    plan: &'s Plan,
    shared: &Shared,
) -> Settings<'h, 's> {
    let wants_all = |field: &crate::plan::FieldPlan| {
        let locator = field.field.locator.as_ref();
        locator.is_some_and(|locator| {
            locator.all || locator.selectors.len() > 1 || locator.output == Output::Count
        })
    };
    let may_end = !plan.fields.iter().any(wants_all);
    for (number, field) in plan.fields.iter().enumerate() {
        let Some(locator) = &field.field.locator else { continue };
        for (choice, selector) in field.selectors.iter().enumerate() {
            let Ready::Css { streaming: Some((own, below)), .. } = selector else { continue };
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
