//! Opens the store of a URL. Its options are environment variables.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::HttpConnector;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

/// The prefixes of the environment variables that are options of a store. Other variables, such as the `TOKEN` of
/// another program, are ignored.
const PREFIXES: [&str; 3] = ["aws_", "google_", "azure_"];

/// The variables with an endpoint that replaces the endpoint of the provider.
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

/// As [`open_store`]. All requests to a bucket pass through the connector, and are repeated as `retry` states.
pub fn open_store_through<C: HttpConnector>(
    url: &Url,
    connector: C,
    retry: RetryConfig,
) -> Result<(Arc<dyn ObjectStore>, Path), object_store::Error> {
    let (scheme, path) = ObjectStoreScheme::parse(url)?;
    let options = options(std::env::vars());
    macro_rules! store {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_url(url.to_string()).with_http_connector(connector).with_retry(retry);
            let builder = options.into_iter().fold(builder, |builder, (key, value)| match key.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            });
            Arc::new(builder.build()?)
        }};
    }
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => store!(AmazonS3Builder),
        ObjectStoreScheme::GoogleCloudStorage => store!(GoogleCloudStorageBuilder),
        ObjectStoreScheme::MicrosoftAzure => store!(MicrosoftAzureBuilder),
        _ => return open_store(url),
    };
    Ok((store, path))
}

/// The reason why a lake cannot be at a URL; `None` if it can. Usage can be read from all stores.
pub(super) fn unsupported_reason(url: &Url) -> Option<&'static str> {
    match ObjectStoreScheme::parse(url) {
        Ok((ObjectStoreScheme::Http, _)) => Some("a web server has no conditional writes"),
        Ok((ObjectStoreScheme::Memory, _)) => Some("data in memory are lost when the program ends"),
        _ => None,
    }
}

fn options(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let named = variables.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut options: Vec<(String, String)> =
        named.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect();
    // An environment has no order. If two variables set the same option, the same variable has to win in every run.
    options.sort();
    // The AWS command line has a separate variable for the endpoint of S3.
    let of_service = options.iter().find(|(name, _)| name == "aws_endpoint_url_s3").map(|(_, value)| value.clone());
    options.extend(of_service.map(|value| ("aws_endpoint_url".to_owned(), value)));
    // An endpoint with `http://` is a decision against TLS.
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
    fn only_the_variables_of_stores_are_options() {
        let found = of(&[("TOKEN", "secret"), ("REGION", "x"), ("AWS_REGION", "eu-west-1"), ("PATH", "/bin")]);
        assert_eq!(found, [("aws_region".to_owned(), "eu-west-1".to_owned())]);
    }

    #[test]
    fn an_http_endpoint_allows_http() {
        let plain = of(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")]);
        assert!(plain.contains(&("allow_http".to_owned(), "true".to_owned())));
        let secret = of(&[("AWS_ENDPOINT_URL", "https://s3.example")]);
        assert!(!secret.iter().any(|(name, _)| name == "allow_http"));
        let of_service = of(&[("AWS_ENDPOINT_URL_S3", "http://s3"), ("AWS_ENDPOINT_URL", "https://all")]);
        assert_eq!(of_service.iter().rfind(|(name, _)| name == "aws_endpoint_url").unwrap().1, "http://s3");
    }

    #[test]
    fn a_lake_needs_a_store_with_conditional_writes() {
        let refused = |text: &str| unsupported_reason(&Url::parse(text).unwrap()).is_some();
        assert!(refused("http://example.com/lake") && refused("memory:/lake"));
        assert!(!refused("file:///lake") && !refused("s3://bucket/lake") && !refused("gs://bucket/lake"));
        assert!(!refused("az://container/lake"));
    }
}
