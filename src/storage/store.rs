//! Opens the store that a URL names, with the usual environment variables as its options.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

/// What environment variables of each store begin with. Any other variable, such as a `TOKEN` that belongs to another
/// program, is no business of ours.
const PREFIXES: [&str; 3] = ["aws_", "google_", "azure_"];

/// Variables that name an endpoint in place of the provider's own.
const ENDPOINTS: [&str; 6] = [
    "aws_endpoint",
    "aws_endpoint_url",
    "aws_endpoint_url_s3",
    "google_base_url",
    "azure_endpoint",
    "azure_storage_endpoint",
];

pub fn open_store(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), object_store::Error> {
    let (store, prefix) = object_store::parse_url_opts(url, options(std::env::vars()))?;
    Ok((Arc::from(store), prefix))
}

/// Why a lake cannot be kept at a URL, though usage may be read from there.
pub(super) fn refusal(url: &Url) -> Option<&'static str> {
    match ObjectStoreScheme::parse(url) {
        Ok((ObjectStoreScheme::Http, _)) => Some("a web server cannot refuse to write a log entry twice"),
        Ok((ObjectStoreScheme::Memory, _)) => Some("memory is gone when the program ends"),
        _ => None,
    }
}

fn options(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let named = variables.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut options: Vec<(String, String)> =
        named.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect();
    // An environment has no order of its own; where two names say the same, the same one has to win every time.
    options.sort();
    // The command line of AWS has a name for the endpoint of this one service.
    let of_service = options.iter().find(|(name, _)| name == "aws_endpoint_url_s3").map(|(_, value)| value.clone());
    options.extend(of_service.map(|value| ("aws_endpoint_url".to_owned(), value)));
    // Who writes `http://` in an endpoint has decided to go without TLS.
    let is_plain = options.iter().any(|(name, value)| ENDPOINTS.contains(&name.as_str()) && value.starts_with("http:"));
    if is_plain {
        options.push(("allow_http".to_owned(), "true".to_owned()));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        options(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn only_variables_of_a_store_are_its_options() {
        let found = of(&[("TOKEN", "secret"), ("REGION", "x"), ("AWS_REGION", "eu-west-1"), ("PATH", "/bin")]);
        assert_eq!(found, [("aws_region".to_owned(), "eu-west-1".to_owned())]);
    }

    #[test]
    fn an_endpoint_without_tls_is_allowed_where_it_is_named() {
        let plain = of(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")]);
        assert!(plain.contains(&("allow_http".to_owned(), "true".to_owned())));
        let secret = of(&[("AWS_ENDPOINT_URL", "https://s3.example")]);
        assert!(!secret.iter().any(|(name, _)| name == "allow_http"));
        let of_service = of(&[("AWS_ENDPOINT_URL_S3", "http://s3"), ("AWS_ENDPOINT_URL", "https://all")]);
        assert_eq!(of_service.iter().rfind(|(name, _)| name == "aws_endpoint_url").unwrap().1, "http://s3");
    }

    #[test]
    fn a_lake_needs_a_store_that_refuses_a_second_entry() {
        let refused = |text: &str| refusal(&Url::parse(text).unwrap()).is_some();
        assert!(refused("http://example.com/lake") && refused("memory:/lake"));
        assert!(!refused("file:///lake") && !refused("s3://bucket/lake") && !refused("gs://bucket/lake"));
        assert!(!refused("az://container/lake"));
    }
}
