//! A schema made ready for reading pages: selectors parsed, names understood.

use std::sync::Arc;

use dom_query::Matcher;
use harvestman_engine::{
    Field, Kind, Schema,
    schema::{Locator, Output, SchemaError},
};
use lol_html::Selector;

use crate::concept::{Concept, tokens};

/// A schema made ready.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fields: Vec<FieldPlan>,
    /// All fields with a selector can be read in the one streaming pass.
    pub(crate) streams: bool,
    /// There are fields to be found by their name.
    pub(crate) finds: bool,
}

/// One field made ready.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) field: Field,
    pub(crate) way: Way,
}

/// How a field is found.
#[derive(Debug)]
pub(crate) enum Way {
    /// Where its selectors say.
    Located(Vec<Located>),
    /// By what its name means.
    Found(Box<Concept>),
}

/// One of a field's selectors.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) matcher: Arc<Matcher>,
    /// For the streaming pass: the selector, and the one for everything below it.
    pub(crate) streaming: Option<(Selector, Selector)>,
}

impl Plan {
    /// Fails with the path of a field whose selector can't be read.
    pub(crate) fn new(schema: &Schema) -> Result<Self, SchemaError> {
        let fields = schema.fields().iter().map(|field| FieldPlan::new(field, ""));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let streams = fields.iter().all(FieldPlan::streams);
        let finds = fields.iter().any(|field| matches!(field.way, Way::Found(_)));
        Ok(Self { fields, streams, finds })
    }

    /// Whether any field has a selector.
    pub(crate) fn locates(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.way, Way::Located(_)))
    }
}

impl FieldPlan {
    fn new(field: &Field, parent: &str) -> Result<Self, SchemaError> {
        let path = format!("{parent}.{}", field.name);
        for nested in nested(&field.kind) {
            Self::new(nested, &path)?;
        }
        let way = match &field.locator {
            Some(locator) => Way::Located(located(locator, &path)?),
            None => Way::Found(Box::new(Concept::of(&field.name))),
        };
        Ok(Self { field: field.clone(), way })
    }

    fn streams(&self) -> bool {
        let Way::Located(selectors) = &self.way else { return true };
        let locator = self.field.locator.as_ref();
        let needs_tree = locator.is_some_and(|locator| locator.output == Output::Html);
        !needs_tree
            && nested(&self.field.kind).is_empty()
            && selectors.iter().all(|selector| selector.streaming.is_some())
    }
}

/// The fields inside an object or a list of objects.
pub(crate) fn nested(kind: &Kind) -> &[Field] {
    match kind {
        Kind::Object(fields) => fields,
        Kind::Array(element) => nested(element),
        _ => &[],
    }
}

fn located(locator: &Locator, path: &str) -> Result<Vec<Located>, SchemaError> {
    let read = |selector: &String| {
        let matcher = Matcher::new(selector).map_err(|_| SchemaError {
            path: path.to_owned(),
            message: format!("`{selector}` is no CSS selector"),
        })?;
        Ok(Located { matcher: Arc::new(matcher), streaming: streaming(selector) })
    };
    locator.selectors.iter().map(read).collect()
}

/// The selectors of the streaming pass, if it can do them.
fn streaming(selector: &str) -> Option<(Selector, Selector)> {
    let has_list_inside = selector.contains(['(', '[']) && selector.contains(',');
    if has_list_inside {
        return None;
    }
    let below: Vec<_> = selector.split(',').map(|one| format!("{one} *")).collect();
    Some((selector.parse().ok()?, below.join(",").parse().ok()?))
}

impl FieldPlan {
    /// The words in classes and ids that may mark this field, each a phrase of tokens.
    pub(crate) fn marks(&self) -> Vec<Vec<String>> {
        match &self.way {
            Way::Found(concept) => concept.marks.iter().map(|phrase| tokens(phrase)).collect(),
            Way::Located(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(sketch: serde_json::Value) -> Result<Plan, SchemaError> {
        Plan::new(&Schema::from_json(sketch).unwrap())
    }

    #[test]
    fn a_bad_selector_is_named_with_its_path() {
        let nested = json!({"seller": {"name": {"selector": "a[["}}});
        let error = plan(nested).unwrap_err();
        assert_eq!(error.to_string(), "extract.seller.name: `a[[` is no CSS selector");
    }

    #[test]
    fn plain_selectors_stream_and_others_need_a_tree() {
        for (rule, streams) in [
            (json!({"selector": "h1, .title > b"}), true),
            (json!({"selector": "a[href^='x']", "attr": "href"}), true),
            (json!({"selector": "h1", "output": "html"}), false),
            (json!({"selector": "a:has(b)"}), false),
            (json!({"selector": ".o", "type": "array", "items": {"p": {"selector": "b"}}}), false),
        ] {
            assert_eq!(plan(json!({ "f": rule })).unwrap().streams, streams, "{rule}");
        }
    }
}
