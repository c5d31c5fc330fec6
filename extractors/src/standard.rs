//! The default extractor.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    thread::available_parallelism,
};

use async_trait::async_trait;
use harvestman_engine::{
    Code, ExtractOptions, Extractor, FetchError, Fields, Page, Schema, Task, params::Format,
    schema::SchemaError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

#[cfg(feature = "llm")]
use crate::located::Outcome;
use crate::{fields::Draft, formats, plan::Plan, text::cut};

/// The most of a page that is looked at, in bytes: 10 MiB.
pub const MAX_PAGE_BYTES: usize = 10 * 1024 * 1024;
/// How many schemas are kept ready.
const MAX_PLANS: usize = 256;
/// The largest page whose JSON-LD is read where the task runs; a larger one may take milliseconds.
const MAX_BYTES_IN_PLACE: usize = 256 * 1024;

/// One page for each core is read at a time, whatever the number of jobs and of pages under way: more
/// threads would be no faster, each would keep some megabytes, and everything else would wait for them.
static READERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    Arc::new(Semaphore::new(cores))
});

/// Finds fields by their selectors, or by what their names mean.
///
/// A field with a `selector` is read there and nowhere else. Any other field is looked for by its name
/// in JSON-LD, microdata, meta tags, the main heading, and elements whose class or id has the name;
/// `productPrice`, `product_price` and `price` mean the same. What is found is brought to the field's
/// type; a field for which nothing fits is null, and `missing` or `field_errors` say so.
///
/// Pages whose JSON-LD has all fields need no HTML parser and cost microseconds; all other work is
/// done on blocking threads, one for each core in the whole process. The same page always gives the same fields.
#[derive(Debug, Default)]
pub struct Standard {
    /// By the addresses of schema and options: the tasks of a job share theirs.
    plans: Mutex<HashMap<(usize, usize), Ready>>,
    #[cfg(feature = "llm")]
    llm: Option<Arc<crate::llm::Llm>>,
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

    /// Asks a language model for what is missing, where `extract_options` has `llm`.
    ///
    /// Only fields that are found by their names are asked for, after everything else; a value counts
    /// if the model quotes it from the page, and has a confidence of 0.5. Without an answer the page
    /// has its other fields, and `field_errors` say why.
    ///
    /// # Errors
    /// [`harvestman_engine::Error`] when the key can't stand in a header.
    #[cfg(feature = "llm")]
    pub fn with_llm(mut self, config: crate::llm::LlmConfig) -> harvestman_engine::Result<Self> {
        let llm = crate::llm::Llm::new(config);
        let llm = llm.map_err(|message| harvestman_engine::Error::invalid("llm", message))?;
        self.llm = Some(Arc::new(llm));
        Ok(self)
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
        if let Some(plan) = plan.as_ref().filter(|plan| plan.options.llm) {
            draft = Some(self.ask(html, plan, base).await?);
        }
        if !formats::need_tree(formats) && html.len() <= MAX_BYTES_IN_PLACE {
            let begin = || plan.as_deref().map(|plan| Draft::new(html, plan, base));
            draft = draft.or_else(begin);
            if draft.as_ref().is_none_or(Draft::is_complete) {
                return finish(html, base, formats, plan.as_deref(), draft);
            }
        }
        let turn = turn().await;
        let (html, base, formats) = (html.to_owned(), base.clone(), formats.to_vec());
        blocking(turn, move || finish(&html, &base, &formats, plan.as_deref(), draft)).await
    }
}

impl Standard {
    /// What the page itself has, and what a language model says of the rest.
    #[cfg(feature = "llm")]
    async fn ask(&self, html: &str, plan: &Arc<Plan>, base: &Url) -> Result<Draft, FetchError> {
        let Some(llm) = &self.llm else { return Err(no_llm()) };
        let most = llm.max_page_bytes();
        let turn = turn().await;
        let (html, owned, address) = (html.to_owned(), Arc::clone(plan), base.clone());
        let read = move || {
            let draft = Draft::new(&html, &owned, &address);
            let draft =
                if draft.has_all() { draft } else { draft.complete(&html, &owned, &address)? };
            let text =
                if draft.has_all() { String::new() } else { crate::llm::reduced(&html, most) };
            Ok((draft, text))
        };
        let (mut draft, text) = blocking(turn, read).await?;
        let unfound = draft.unfound(plan);
        if unfound.is_empty() {
            return Ok(draft);
        }
        let fields: Vec<_> = unfound.iter().map(|(_, field)| *field).collect();
        let answer = llm.ask(&fields, &text).await;
        for (number, field) in unfound {
            let (outcome, quote) = match &answer {
                Ok(answer) => crate::llm::take_in(answer, &field.field, field.normal(base), &text),
                Err(message) => (Outcome::Invalid(message.clone()), String::new()),
            };
            draft.set_said(plan, number, outcome, &quote);
        }
        Ok(draft)
    }

    #[cfg(not(feature = "llm"))]
    #[expect(clippy::unused_async, reason = "the same as with a language model")]
    async fn ask(&self, _html: &str, _plan: &Arc<Plan>, _base: &Url) -> Result<Draft, FetchError> {
        Err(no_llm())
    }
}

fn no_llm() -> FetchError {
    let message = "there is no language model here: leave `extract_options.llm` out";
    FetchError::new(Code::ExtractFailed, message)
}

/// Waits for a turn to read a page.
async fn turn() -> OwnedSemaphorePermit {
    let turn = Arc::clone(&READERS).acquire_owned().await;
    turn.expect("the semaphore is never closed")
}

/// Runs what takes time on a blocking thread; its panic is that of the task. The turn is over when the
/// work is, also if nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let work = move || {
        let _turn = turn;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(FetchError::new(Code::Internal, error.to_string())),
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

#[cfg(test)]
mod tests {
    use harvestman_engine::Params;

    use super::*;

    #[tokio::test]
    async fn a_page_that_takes_long_to_read_waits_for_a_core() {
        let schema = Schema::from_pairs([("heading", "string")]).unwrap();
        let task = Task::new(0, "http://a.test/", Params::new().with_extract(schema));
        let page = Page::new(task.target().unwrap().clone(), "<h1>Lamp</h1>");
        let extractor = Standard::new();
        let mut fields = Box::pin(extractor.extract(&task, &page));
        let cores = u32::try_from(available_parallelism().unwrap().get()).unwrap();
        let all = READERS.acquire_many(cores).await.unwrap();
        tokio::select! {
            biased;
            found = &mut fields => panic!("it was read: {found:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(all);
        fields.await.unwrap();
    }
}
