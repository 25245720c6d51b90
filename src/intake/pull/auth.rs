//! Who asks: the headers that a server wants to see.

use std::env;
use std::fs;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::client::HttpError;
use crate::config::{Auth, Secret};

/// The headers of a way to say who asks.
pub fn headers(auth: &Auth) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    match auth {
        Auth::None => {}
        Auth::Basic { user, password } => {
            let what = "the password";
            let password = password.as_ref().map(|secret| read(secret, what)).transpose()?.unwrap_or_default();
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            headers.insert(AUTHORIZATION, header(&value, what)?);
        }
        Auth::Bearer { token } => {
            let what = "the token";
            headers.insert(AUTHORIZATION, header(&format!("Bearer {}", read(token, what)?), what)?);
        }
    }
    Ok(headers)
}

/// A header that is not shown where headers are.
fn header(value: &str, what: &'static str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| HttpError::BadSecret { what })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A secret, from where it stands. Line breaks at its end are the editor's.
pub fn read(secret: &Secret, what: &'static str) -> Result<String, HttpError> {
    match secret {
        Secret::Environment(name) => env::var(name).map_err(|_| HttpError::SecretVariable(name.clone(), what)),
        Secret::File(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|source| HttpError::SecretFile { path: path.clone(), what, source })?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "op:en sesame\n").unwrap();
        let auth = Auth::Basic { user: "conto".to_owned(), password: Some(Secret::File(path)) };
        let headers = headers(&auth).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Basic Y29udG86b3A6ZW4gc2VzYW1l");
        assert_eq!(format!("{headers:?}"), "{\"authorization\": Sensitive}");
        let missing = Auth::Bearer { token: Secret::Environment("CONTO_NO_SUCH_VARIABLE".to_owned()) };
        let error = super::headers(&missing).unwrap_err().to_string();
        assert_eq!(error, "the environment has no variable `CONTO_NO_SUCH_VARIABLE`, which holds the token");
    }
}
