//! A schema made ready for reading pages: selectors parsed, names understood.

use std::sync::Arc;

use dom_query::Matcher;
use harvestman_engine::{
    ExtractOptions, Field, Kind, Schema,
    schema::{Locator, Origin, Output, Pattern, SchemaError, Selector},
};
use regex::Regex;
use serde_json_path::JsonPath;

use crate::{
    coerce::reading::Reading,
    concept::{Concept, tokens},
    facts::{Vocabulary, Wanted, Word},
    validate::Check,
    xpath::XPath,
};

/// How much memory a compiled regular expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// A schema made ready.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fields: Vec<FieldPlan>,
    /// All fields with CSS selectors can be read in the one streaming pass.
    pub(crate) streams: bool,
    /// There are fields to be found by their name.
    pub(crate) finds: bool,
    pub(crate) is_strict: bool,
    pub(crate) options: ExtractOptions,
    pub(crate) vocabulary: Vocabulary,
    /// The labels of the fields to be found, with their numbers.
    pub(crate) labels: Wanted,
}

/// One field made ready.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) field: Field,
    /// Where it is to be read; empty for a field that is found by its name only.
    pub(crate) selectors: Vec<Ready>,
    pub(crate) pick: Option<Pick>,
    pub(crate) reading: Reading,
    /// What the default extractor may read it from; anything if empty.
    from: Vec<Origin>,
    /// What its name means, if it is looked for by its name, first or last.
    pub(crate) meaning: Option<Meaning>,
    pub(crate) check: Check,
    /// The nested fields, where they have selectors of their own.
    pub(crate) inner: Vec<Self>,
}

/// A selector made ready.
#[derive(Debug)]
pub(crate) enum Ready {
    Css {
        matcher: Arc<Matcher>,
        /// For the streaming pass: the selector, and the one for everything below it.
        streaming: Option<(lol_html::Selector, lol_html::Selector)>,
    },
    XPath(XPath),
    JsonPath(JsonPath),
}

/// A regular expression that picks the value out of a text.
#[derive(Debug)]
pub(crate) struct Pick {
    regex: Regex,
    group: usize,
}

impl Pick {
    /// The part of the text that is meant.
    pub(crate) fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(self.regex.captures(text)?.get(self.group)?.as_str())
    }

    fn new(pattern: &Pattern, path: &str) -> Result<Self, SchemaError> {
        let regex = compile(&pattern.regex, &format!("{path}.regex"))?;
        let groups = regex.captures_len();
        let group = pattern.group.unwrap_or(usize::from(groups > 1));
        if group >= groups {
            let message = format!("there are {} groups in the `regex`", groups - 1);
            return Err(SchemaError { path: format!("{path}.group"), message });
        }
        Ok(Self { regex, group })
    }
}

/// Compiles an expression whose matching takes linear time, within bounded memory.
pub(crate) fn compile(regex: &str, path: &str) -> Result<Regex, SchemaError> {
    regex::RegexBuilder::new(regex).size_limit(MAX_REGEX_BYTES).build().map_err(|error| {
        let message = error.to_string();
        let message = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let message = format!("`{regex}` is no regular expression: {message}");
        SchemaError { path: path.to_owned(), message }
    })
}

/// What a field's name means, made ready.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) concept: Concept,
    /// The phrases in classes and ids that mark it.
    pub(crate) phrases: Vec<Vec<Word>>,
}

impl Meaning {
    fn new(field: &Field, options: &ExtractOptions, vocabulary: &mut Vocabulary) -> Self {
        let further = options.synonyms.get(&field.name).into_iter().flatten();
        let synonyms = field.reading.synonyms.iter().chain(further);
        let concept = Concept::of_field(&field.name, field.hint.as_deref(), synonyms);
        let phrase =
            |phrase: &String| tokens(phrase).iter().map(|word| vocabulary.word(word)).collect();
        let phrases = concept.marks.iter().map(phrase).collect();
        Self { concept, phrases }
    }
}

impl Plan {
    /// Fails with the path of a field whose selector or pattern can't be read.
    pub(crate) fn new(schema: &Schema, options: &ExtractOptions) -> Result<Self, SchemaError> {
        let mut vocabulary = Vocabulary::new();
        let fields =
            schema.fields().iter().map(|field| FieldPlan::new(field, "", options, &mut vocabulary));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let mut labels = Wanted::default();
        for (number, field) in fields.iter().enumerate() {
            let Some(meaning) = &field.meaning else { continue };
            for label in &meaning.concept.labels {
                labels.entry(label.clone()).or_default().push(number);
            }
        }
        Ok(Self {
            streams: fields.iter().all(FieldPlan::streams),
            finds: fields.iter().any(FieldPlan::is_found_first),
            is_strict: schema.is_strict(),
            options: options.clone(),
            fields,
            vocabulary,
            labels,
        })
    }

    /// Whether any field has a selector.
    pub(crate) fn locates(&self) -> bool {
        self.fields.iter().any(|field| !field.selectors.is_empty())
    }

    /// Whether any field has a CSS selector.
    pub(crate) fn has_css(&self) -> bool {
        self.fields.iter().any(FieldPlan::has_css)
    }
}

impl FieldPlan {
    fn new(
        field: &Field,
        parent: &str,
        options: &ExtractOptions,
        vocabulary: &mut Vocabulary,
    ) -> Result<Self, SchemaError> {
        let path = format!("{parent}.{}", field.name);
        let inner = nested(&field.kind).iter().map(|inner| {
            check_language(field, inner, &path)?;
            Self::new(inner, &path, options, vocabulary)
        });
        let inner = inner.collect::<Result<Vec<_>, _>>()?;
        let locator = field.locator.as_ref();
        let by_name = locator.is_none_or(|locator| locator.falls_back);
        let pattern = locator.and_then(|locator| locator.pattern.as_ref());
        Ok(Self {
            selectors: locator
                .map(|locator| ready(locator, &path))
                .transpose()?
                .unwrap_or_default(),
            pick: pattern.map(|pattern| Pick::new(pattern, &path)).transpose()?,
            reading: Reading::new(field, options.locale.as_deref(), &path)?,
            from: if field.from.is_empty() { &options.sources } else { &field.from }.clone(),
            meaning: by_name.then(|| Meaning::new(field, options, vocabulary)),
            check: Check::new(field, &path)?,
            field: field.clone(),
            inner,
        })
    }

    /// Whether it is looked for by its name in the first place.
    pub(crate) fn is_found_first(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Whether the default extractor may read it from this.
    pub(crate) fn allows(&self, origin: Origin) -> bool {
        self.from.is_empty() || self.from.contains(&origin)
    }

    /// How its values are made of texts whose place isn't known.
    #[cfg(feature = "llm")]
    pub(crate) fn normal<'a>(&'a self, base: &'a url::Url) -> crate::find::Normal<'a> {
        let rule = self.meaning.as_ref().map(|meaning| meaning.concept.rule).unwrap_or_default();
        crate::find::Normal { rule, base, reading: &self.reading, month_first: false }
    }

    pub(crate) fn has_css(&self) -> bool {
        self.selectors.iter().any(|selector| matches!(selector, Ready::Css { .. }))
    }

    fn streams(&self) -> bool {
        if !self.has_css() {
            return true;
        }
        let locator = self.field.locator.as_ref();
        let needs_tree = locator.is_some_and(|locator| {
            matches!(locator.output, Output::Html | Output::TableJson | Output::TableArray)
        });
        !needs_tree
            && nested(&self.field.kind).is_empty()
            && self
                .selectors
                .iter()
                .all(|selector| matches!(selector, Ready::Css { streaming: Some(_), .. }))
    }
}

/// Selectors below another start from its element, which only the same language can.
fn check_language(outer: &Field, inner: &Field, path: &str) -> Result<(), SchemaError> {
    let languages = |field: &Field| -> Vec<std::mem::Discriminant<Selector>> {
        let selectors = field.locator.iter().flat_map(|locator| &locator.selectors);
        selectors.map(std::mem::discriminant).collect()
    };
    let outer = languages(outer);
    let Some(first) = outer.first() else { return Ok(()) };
    if languages(inner).iter().all(|language| language == first) {
        return Ok(());
    }
    let message =
        "a selector below another one must be in its language: CSS in CSS, XPath in XPath";
    let path = format!("{path}.{}", inner.name);
    Err(SchemaError { path, message: message.to_owned() })
}

/// The fields inside an object or a list of objects.
pub(crate) fn nested(kind: &Kind) -> &[Field] {
    match kind {
        Kind::Object(fields) => fields,
        Kind::Array(element) => nested(element),
        _ => &[],
    }
}

fn ready(locator: &Locator, path: &str) -> Result<Vec<Ready>, SchemaError> {
    let wrong = |message: String| SchemaError { path: path.to_owned(), message };
    let read = |selector: &Selector| match selector {
        Selector::Css(css) => {
            let matcher =
                Matcher::new(css).map_err(|_| wrong(format!("`{css}` is no CSS selector")))?;
            Ok(Ready::Css { matcher: Arc::new(matcher), streaming: streaming(css) })
        }
        Selector::XPath(text) => match XPath::parse(text) {
            Ok(xpath) => Ok(Ready::XPath(xpath)),
            Err(message) => Err(wrong(format!("`{text}` can't be used as XPath: {message}"))),
        },
        Selector::JsonPath(text) => match JsonPath::parse(text) {
            Ok(path) => Ok(Ready::JsonPath(path)),
            Err(error) => Err(wrong(format!("`{text}` is no JSONPath: {}", error.message()))),
        },
        other => Err(wrong(format!("`{}` is in no language known here", other.as_str()))),
    };
    locator.selectors.iter().map(read).collect()
}

/// The selectors of the streaming pass, if it can do them.
fn streaming(selector: &str) -> Option<(lol_html::Selector, lol_html::Selector)> {
    let has_list_inside = selector.contains(['(', '[']) && selector.contains(',');
    if has_list_inside {
        return None;
    }
    let below: Vec<_> = selector.split(',').map(|one| format!("{one} *")).collect();
    Some((selector.parse().ok()?, below.join(",").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(sketch: serde_json::Value) -> Result<Plan, SchemaError> {
        Plan::new(&Schema::from_json(sketch).unwrap(), &ExtractOptions::default())
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_path() {
        for (sketch, message) in [
            (
                json!({"seller": {"name": {"selector": "a[["}}}),
                "extract.seller.name: `a[[` is no CSS selector",
            ),
            (json!({"a": {"selector": "//a["}}), "extract.a: `//a[` can't be used as XPath"),
            (json!({"a": {"selector": "$.a["}}), "extract.a: `$.a[` is no JSONPath"),
            (
                json!({"a": {"selector": "b", "regex": "("}}),
                "extract.a.regex: `(` is no regular expression",
            ),
            (
                json!({"a": {"selector": "b", "regex": "(x)", "group": 2}}),
                "extract.a.group: there are 1 groups",
            ),
            (json!({"a": {"selector": "b", "regex": "\\w{1000}{1000}"}}), "extract.a.regex"),
            (
                json!({"a": {"selector": ".o", "type": "array", "items": {"p": {"selector": "//b"}}}}),
                "extract.a.p: a selector below",
            ),
        ] {
            let error = plan(sketch).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
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

    #[test]
    fn a_pattern_picks_its_group() {
        let pattern = json!({"selector": "b", "regex": "no\\. (\\d+)"});
        let plan = plan(json!({ "a": pattern })).unwrap();
        let pick = plan.fields[0].pick.as_ref().unwrap();
        assert_eq!(pick.of("article no. 17!"), Some("17"));
        assert_eq!(pick.of("none"), None);
    }
}
