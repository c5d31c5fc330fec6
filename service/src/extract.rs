//! `harvestman extract`: what is found on one page, where, and how sure that is.

use std::{fs, path::Path, process::ExitCode, sync::Arc, time::Duration};

use harvestman::{
    ExtractOptions, Extractor, FetchError, Fetcher, Fields, Page, Params, Task,
    extractors::Standard, fetchers::Http,
};
use serde_json::{Map, Value, json};

use crate::{cli::ExtractArgs, run::Failure};

/// The largest file that is read, in bytes: what a page may have by default.
const MAX_FILE_BYTES: u64 = harvestman::params::DEFAULT_MAX_BYTES;
/// What the address of a file's page is when none is given.
const FILE_ADDRESS: &str = "https://localhost/";

/// Runs the command. A page that can't be had or read ends with 3, a wrong command with 2.
pub(crate) async fn main(args: &ExtractArgs) -> ExitCode {
    match extract(args).await {
        Ok(found) => {
            print(&found, args.json);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// What was found, or why the schema refuses it.
struct Found {
    url: String,
    fields: Fields,
    refusal: Option<String>,
}

async fn extract(args: &ExtractArgs) -> Result<Found, Failure> {
    let schema = crate::run::schema(&args.fields, args.schema.as_deref())?;
    let Some(schema) = schema.map(Arc::new) else {
        return Err(Failure::usage("name the fields to find with --extract or --schema"));
    };
    Standard::check(&schema).map_err(|error| Failure::usage(error.to_string()))?;
    let model = args.llm.open()?;
    let mut options = ExtractOptions::default().with_meta();
    options.strict = args.strict;
    options.llm = model.is_some();
    let params = Params::new()
        .with_extract(schema)
        .with_extract_options(options)
        .with_timeout(Duration::from_secs(args.timeout));
    let (task, page) = if args.page.starts_with("http://") || args.page.starts_with("https://") {
        fetch(args, params).await?
    } else {
        open(args, params)?
    };
    let url = page.final_url.to_string();
    match crate::llm::extractor(model.as_ref())?.extract(&task, &page).await {
        Ok(fields) => Ok(Found { url, fields, refusal: None }),
        Err(FetchError { partial: Some(fields), message, .. }) => {
            Ok(Found { url, fields: *fields, refusal: Some(message) })
        }
        Err(error) => Err(Failure::page(&error)),
    }
}

async fn fetch(args: &ExtractArgs, params: Params) -> Result<(Task, Page), Failure> {
    let task = Task::new(0, &args.page, params);
    task.target().map_err(|error| Failure::usage(error.to_string()))?;
    let mut fetcher = Http::builder();
    for rule in &args.allowed {
        fetcher = fetcher.allow(*rule);
    }
    let fetcher = fetcher.build()?;
    let fetched = tokio::time::timeout(Duration::from_secs(args.timeout), fetcher.fetch(&task));
    let late = |_| Failure::Page(format!("no page within {} s", args.timeout));
    let page = fetched.await.map_err(late)?.map_err(|error| Failure::page(&error))?;
    Ok((task, page))
}

/// A file counts as a page in UTF-8.
fn open(args: &ExtractArgs, params: Params) -> Result<(Task, Page), Failure> {
    let path = Path::new(&args.page);
    let size = fs::metadata(path).map_err(harvestman::Error::io("read", path))?.len();
    if size > MAX_FILE_BYTES {
        let message = format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display());
        return Err(Failure::usage(message));
    }
    let bytes = fs::read(path).map_err(harvestman::Error::io("read", path))?;
    let address = args.url.as_deref().unwrap_or(FILE_ADDRESS);
    let task = Task::new(0, address, params);
    let url = task.target().map_err(|error| Failure::usage(format!("--url: {error}")))?.clone();
    Ok((task, Page::new(url, String::from_utf8_lossy(&bytes))))
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(found: &Found, as_json: bool) {
    if as_json {
        println!("{}", json_of(found));
    } else {
        print!("{}", table_of(found));
    }
}

fn json_of(found: &Found) -> Value {
    let fields = &found.fields;
    let mut object = Map::new();
    object.insert("url".to_owned(), json!(found.url));
    object.insert("data".to_owned(), json!(fields.data));
    object.insert("extract_status".to_owned(), json!(fields.extract_status));
    object.insert("missing".to_owned(), json!(fields.missing));
    object.insert("field_errors".to_owned(), json!(fields.field_errors));
    object.insert("meta".to_owned(), json!(fields.meta));
    if let Some(refusal) = &found.refusal {
        object.insert("validation_failed".to_owned(), json!(refusal));
    }
    Value::Object(object)
}

/// One line a field: name, value, how sure, from where.
fn table_of(found: &Found) -> String {
    let data = found.fields.data.clone().unwrap_or_default();
    let width = data.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut table = format!("{}\n", found.url);
    for (name, value) in &data {
        let meta = found.fields.meta.as_ref().and_then(|meta| meta.get(name));
        let remark = match (meta, found.fields.field_errors.get(name)) {
            (Some(meta), _) => {
                let place = [&*meta.source, &meta.path].join(" ");
                format!("{:>3.0} %  {}", meta.confidence * 100.0, place.trim_end())
            }
            (None, Some(error)) => format!("invalid: {error}"),
            (None, None) => "missing".to_owned(),
        };
        let value = shown(value);
        table.extend([format!("{name:<width$}  {remark}\n"), format!("{:width$}  {value}\n", "")]);
    }
    if let Some(refusal) = &found.refusal {
        table.extend(["validation_failed: ", refusal, "\n"]);
    }
    table
}

/// On one line, and not endless.
fn shown(value: &Value) -> String {
    const MAX_CHARS: usize = 160;
    let text = value.to_string();
    if text.chars().count() <= MAX_CHARS {
        return text;
    }
    text.chars().take(MAX_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_in_part() {
        assert_eq!(shown(&json!("a\nb")), r#""a\nb""#);
        assert_eq!(shown(&json!("x".repeat(500))).chars().count(), 161);
    }
}
