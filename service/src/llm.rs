//! The language model for fields that are still missing: where it is, its key, how much it may use.

use std::{fs, path::PathBuf, sync::Arc};

use clap::Args;
use harvestman::{
    Error, Result,
    extractors::{LlmConfig, Standard},
};
use url::Url;

/// The variable that holds the key. It is no option: everybody on a machine can see its command lines.
const KEY_VARIABLE: &str = "HARVESTMAN_LLM_KEY";
/// The largest file with a key, in bytes.
const MAX_KEY_BYTES: u64 = 16 * 1024;

/// A language model.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Language model")]
pub(crate) struct LlmArgs {
    /// Ask a language model for fields that are still missing: the base of an endpoint that speaks as
    /// `OpenAI`'s does, e.g. `http://127.0.0.1:11434/v1`. Its key, if it needs one, goes into the
    /// variable `HARVESTMAN_LLM_KEY` or into a file
    #[arg(long, env = "HARVESTMAN_LLM_URL", value_name = "URL", requires = "llm_model")]
    pub(crate) llm_url: Option<Url>,

    /// The model's name, as its endpoint knows it
    #[arg(long, env = "HARVESTMAN_LLM_MODEL", value_name = "NAME", requires = "llm_url")]
    pub(crate) llm_model: Option<String>,

    /// A file with the endpoint's key
    #[arg(long, env = "HARVESTMAN_LLM_KEY_FILE", value_name = "FILE", requires = "llm_url")]
    pub(crate) llm_key_file: Option<PathBuf>,

    /// How many tokens one run of a job, or one page shown, may use [default: 10000000]
    #[arg(long, env = "HARVESTMAN_LLM_MAX_TOKENS", value_name = "N", requires = "llm_url",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) llm_max_tokens: Option<u64>,
}

impl LlmArgs {
    /// The model that is named, with its key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address without a model or the other way round, for an address that
    /// can't be one or holds a password, and for a key that can't be read or used.
    pub(crate) fn open(&self) -> Result<Option<LlmConfig>> {
        let (url, model) = match (&self.llm_url, &self.llm_model) {
            (Some(url), Some(model)) => (url, model),
            (None, None) => return Ok(None),
            _ => return Err(Error::invalid("llm_url", "and llm_model belong together")),
        };
        check(url)?;
        let mut config = LlmConfig::new(url.clone(), model);
        if let Some(key) = self.key()? {
            config = config.with_key(key);
        }
        if let Some(tokens) = self.llm_max_tokens {
            config = config.with_max_total_tokens(tokens);
        }
        // A key that can't stand in a header is told before the first page.
        Standard::new().with_llm(config.clone())?;
        Ok(Some(config))
    }

    fn key(&self) -> Result<Option<String>> {
        let variable = std::env::var_os(KEY_VARIABLE).filter(|key| !key.is_empty());
        let Some(path) = &self.llm_key_file else {
            let no_text = |_| Error::invalid(KEY_VARIABLE, "is no text");
            return variable.map(|key| key.into_string().map_err(no_text)).transpose();
        };
        if variable.is_some() {
            let message = format!("and the variable {KEY_VARIABLE} both name a key: leave one out");
            return Err(Error::invalid("llm_key_file", message));
        }
        let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
        let key = if size > MAX_KEY_BYTES {
            String::new()
        } else {
            fs::read_to_string(path).map_err(Error::io("read", path))?.trim().to_owned()
        };
        if key.is_empty() {
            let message =
                format!("{} must hold a key, at most {MAX_KEY_BYTES} bytes", path.display());
            return Err(Error::invalid("llm_key_file", message));
        }
        Ok(Some(key))
    }
}

/// Refuses an address that can't be asked, without showing it, for it may hold a secret.
fn check(url: &Url) -> Result<()> {
    let is_base = matches!(url.scheme(), "http" | "https") && url.query().is_none();
    if !is_base || url.fragment().is_some() {
        return Err(Error::invalid("llm_url", "must be http or https, without a query"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("must hold no password: put the key into {KEY_VARIABLE} or a file");
        return Err(Error::invalid("llm_url", message));
    }
    Ok(())
}

/// The extractor, which asks the model if there is one.
pub(crate) fn extractor(model: Option<&LlmConfig>) -> Result<Arc<Standard>> {
    let extractor = Standard::new();
    Ok(Arc::new(match model {
        Some(model) => extractor.with_llm(model.clone())?,
        None => extractor,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: Option<&str>, model: Option<&str>) -> LlmArgs {
        LlmArgs {
            llm_url: url.map(|url| url.parse().unwrap()),
            llm_model: model.map(str::to_owned),
            ..LlmArgs::default()
        }
    }

    #[test]
    fn a_model_has_an_address_and_a_name() {
        assert!(args(None, None).open().unwrap().is_none());
        assert!(args(Some("http://127.0.0.1:1/v1"), Some("m")).open().unwrap().is_some());
        for (url, model, part) in [
            (Some("http://127.0.0.1:1/v1"), None, "belong together"),
            (None, Some("m"), "belong together"),
            (Some("ftp://127.0.0.1/v1"), Some("m"), "must be http"),
            (Some("http://127.0.0.1/v1?key=tell-nobody"), Some("m"), "without a query"),
            (Some("http://me:tell-nobody@127.0.0.1/v1"), Some("m"), "no password"),
        ] {
            let error = args(url, model).open().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("tell-nobody"), "{error}");
        }
    }

    #[test]
    fn a_key_is_read_from_a_file_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut args = args(Some("http://127.0.0.1:1/v1"), Some("m"));
        args.llm_key_file = Some(file.path().to_owned());
        let large = "x".repeat(1 + MAX_KEY_BYTES as usize);
        for (text, is_key) in
            [(" tell-nobody\n", true), ("", false), ("tell\nnobody", false), (&large, false)]
        {
            fs::write(file.path(), text).unwrap();
            let opened = args.open();
            assert_eq!(opened.is_ok(), is_key, "{opened:?}");
            assert!(!format!("{opened:?}").contains("nobody"));
        }
    }
}
