//! The default extractor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use harvestman_engine::{
    Code, Extractor, FetchError, Fields, Page, Schema, Task,
    params::Format,
    schema::SchemaError,
};
use url::Url;

use crate::{fields::Draft, formats, plan::Plan, text::cut};

/// The most of a page that is looked at, in bytes: 10 MiB.
pub const MAX_PAGE_BYTES: usize = 10 * 1024 * 1024;
/// How many schemas are kept ready.
const MAX_PLANS: usize = 256;

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
    /// By address: tasks of a job share their schema. Each plan keeps its schema, so that no other
    /// one gets the same address.
    plans: Mutex<HashMap<usize, (Arc<Schema>, Arc<Plan>)>>,
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
        Plan::new(schema).map(drop)
    }

    fn plan(&self, schema: &Arc<Schema>) -> Result<Arc<Plan>, FetchError> {
        let address = Arc::as_ptr(schema) as usize;
        let mut plans = self.plans.lock().expect("no holder panics");
        if let Some((_, plan)) = plans.get(&address) {
            return Ok(Arc::clone(plan));
        }
        let plan = Plan::new(schema);
        let plan = plan.map_err(|error| FetchError::new(Code::ExtractFailed, error.to_string()))?;
        let plan = Arc::new(plan);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(address, (Arc::clone(schema), Arc::clone(&plan)));
        Ok(plan)
    }
}

#[async_trait]
impl Extractor for Standard {
    async fn extract(&self, task: &Task, page: &Page) -> Result<Fields, FetchError> {
        let params = task.params();
        let wanted = params.formats();
        let html = cut(&page.text, MAX_PAGE_BYTES);
        let schema = params.extract.as_ref().filter(|_| wanted.contains(&Format::Data));
        let needs_tree = formats::need_tree(wanted);
        let (plan, draft) = match schema {
            Some(schema) => {
                let plan = self.plan(schema)?;
                let draft = Draft::new(html, &plan, &page.final_url);
                if draft.is_complete() && !needs_tree {
                    let mut fields = draft.into_fields(&plan);
                    formats::add(&mut fields, wanted, html, &page.final_url)?;
                    return Ok(fields);
                }
                (Some(plan), Some(draft))
            }
            None => (None, None),
        };
        if draft.is_none() && !needs_tree {
            let mut fields = Fields::default();
            formats::add(&mut fields, wanted, html, &page.final_url)?;
            return Ok(fields);
        }
        let (html, base, wanted) = (html.to_owned(), page.final_url.clone(), wanted.to_vec());
        let work = move || finish(&html, plan.as_deref().zip(draft), &base, &wanted);
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(FetchError::new(Code::Internal, error.to_string())),
        }
    }
}

/// The part that takes time.
fn finish(
    html: &str,
    data: Option<(&Plan, Draft)>,
    base: &Url,
    formats: &[Format],
) -> Result<Fields, FetchError> {
    let mut fields = match data {
        Some((plan, draft)) if draft.is_complete() => draft.into_fields(plan),
        Some((plan, draft)) => draft.complete(html, plan, base)?.into_fields(plan),
        None => Fields::default(),
    };
    formats::add(&mut fields, formats, html, base)?;
    Ok(fields)
}
