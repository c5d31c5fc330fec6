//! The default extractor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use harvestman_engine::{
    Code, ExtractOptions, Extractor, FetchError, Fields, Page, Schema, Task, params::Format,
    schema::SchemaError,
};
use url::Url;

use crate::{fields::Draft, formats, plan::Plan, text::cut};

/// The most of a page that is looked at, in bytes: 10 MiB.
pub const MAX_PAGE_BYTES: usize = 10 * 1024 * 1024;
/// How many schemas are kept ready.
const MAX_PLANS: usize = 256;
/// The largest page whose JSON-LD is read where the task runs; a larger one may take milliseconds.
const MAX_BYTES_IN_PLACE: usize = 256 * 1024;

/// Finds fields by their selectors, or by what their names mean.
///
/// A field with a `selector` is read there and nowhere else. Any other field is looked for by its name
/// in JSON-LD, microdata, meta tags, the main heading, and elements whose class or id has the name;
/// `productPrice`, `product_price` and `price` mean the same. What is found is brought to the field's
/// type; a field for which nothing fits is null, and `missing` or `field_errors` say so.
///
/// Pages whose JSON-LD has all fields need no HTML parser and cost microseconds; all other work is
/// done on a blocking thread. The same page always gives the same fields.
#[derive(Debug, Default)]
pub struct Standard {
    /// By the addresses of schema and options: the tasks of a job share theirs.
    plans: Mutex<HashMap<(usize, usize), Ready>>,
}

/// A schema's plan, and what it was made of, so that nothing else gets the same address.
#[derive(Debug)]
struct Ready {
    plan: Arc<Plan>,
    _schema: Arc<Schema>,
    _options: Option<Arc<ExtractOptions>>,
}

impl Standard {
    /// An extractor with an empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks that all selectors of a schema can be read.
    ///
    /// A job that asks first is told once; without that, every record says it.
    pub fn check(schema: &Schema) -> Result<(), SchemaError> {
        Plan::new(schema, &ExtractOptions::default()).map(drop)
    }

    fn plan(
        &self,
        schema: &Arc<Schema>,
        options: Option<&Arc<ExtractOptions>>,
    ) -> Result<Arc<Plan>, FetchError> {
        let address = (
            Arc::as_ptr(schema) as usize,
            options.map_or(0, |options| Arc::as_ptr(options) as usize),
        );
        let mut plans = self.plans.lock().expect("no holder panics");
        if let Some(ready) = plans.get(&address) {
            return Ok(Arc::clone(&ready.plan));
        }
        let by_default = ExtractOptions::default();
        let plan = Plan::new(schema, options.map_or(&by_default, |options| options));
        let plan = plan.map_err(|error| FetchError::new(Code::ExtractFailed, error.to_string()))?;
        let plan = Arc::new(plan);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        let ready = Ready {
            plan: Arc::clone(&plan),
            _schema: Arc::clone(schema),
            _options: options.map(Arc::clone),
        };
        plans.insert(address, ready);
        Ok(plan)
    }
}

#[async_trait]
impl Extractor for Standard {
    async fn extract(&self, task: &Task, page: &Page) -> Result<Fields, FetchError> {
        let params = task.params();
        let formats = params.formats();
        let schema = params.extract.as_ref().filter(|_| formats.contains(&Format::Data));
        let plan = schema.map(|schema| self.plan(schema, params.extract_options.as_ref()));
        let plan = plan.transpose()?;
        let (html, base) = (cut(&page.text, MAX_PAGE_BYTES), &page.final_url);
        let mut draft = None;
        if !formats::need_tree(formats) && html.len() <= MAX_BYTES_IN_PLACE {
            draft = plan.as_deref().map(|plan| Draft::new(html, plan, base));
            if draft.as_ref().is_none_or(Draft::is_complete) {
                return finish(html, base, formats, plan.as_deref(), draft);
            }
        }
        let (html, base, formats) = (html.to_owned(), base.clone(), formats.to_vec());
        let work = move || finish(&html, &base, &formats, plan.as_deref(), draft);
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(FetchError::new(Code::Internal, error.to_string())),
        }
    }
}

/// Makes the fields, from a draft if there is one. Takes time unless the draft is complete.
fn finish(
    html: &str,
    base: &Url,
    formats: &[Format],
    plan: Option<&Plan>,
    draft: Option<Draft>,
) -> Result<Fields, FetchError> {
    let mut fields = match plan {
        Some(plan) => {
            let draft = draft.unwrap_or_else(|| Draft::new(html, plan, base));
            let draft =
                if draft.is_complete() { draft } else { draft.complete(html, plan, base)? };
            draft.into_fields(plan)?
        }
        None => Fields::default(),
    };
    formats::add(&mut fields, formats, html, base)?;
    Ok(fields)
}
