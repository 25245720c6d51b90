//! Every example in the rule files of the repository passes, and no rule file has a warning.

use std::path::{Path, PathBuf};

use conto::load;
use conto::model::account::Accounts;
use conto::query::Session;
use conto::rating::example::run_examples;
use conto::rating::{eligibility, unreachable_rules};
use iso_currency::Currency;
use jiff::tz::TimeZone;

/// Rule directories with the configuration they belong to, if they have one.
fn directories() -> Vec<(PathBuf, Option<PathBuf>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![
        (root.join("tests/pricing-cases/rating-rules"), Some(root.join("tests/pricing-cases/conto.toml"))),
        (root.join("rating-rules"), None),
        (root.join("src/cli/init/rating-rules"), Some(root.join("src/cli/init/conto.toml"))),
    ];
    for sample in std::fs::read_dir(root.join("samples")).unwrap() {
        let sample = sample.unwrap().path();
        if sample.join("rating-rules").is_dir() {
            found.push((sample.join("rating-rules"), Some(sample.join("conto.toml"))));
        }
    }
    found
}

#[tokio::test]
async fn every_example_passes_and_no_rule_file_has_a_warning() {
    let mut failed = Vec::new();
    for (rules, config) in directories() {
        let (zone, currency) = match config {
            Some(config) => {
                let (config, found) = load::read_config(&config);
                // A sample may have a suspended account, which is a warning of the accounts file.
                assert!(!found.has_errors(), "{}", load::render(&found.into_sorted(), false, 120));
                let config = config.unwrap();
                (config.time_zone, config.currency)
            }
            None => ("Europe/Berlin".to_owned(), Currency::EUR),
        };
        let zone = TimeZone::get(&zone).unwrap();
        let (book, mut found) = load::read_rules(&rules, &zone, currency, None);
        let session = Session::new(None).unwrap();
        let (compiled, problems) = eligibility::compile(&session, &book);
        found.extend(problems);
        found.extend(unreachable_rules::unreachable(&session, &book, &Accounts::default(), &zone).unwrap());
        assert!(found.is_empty(), "{}", load::render(&found.into_sorted(), false, 120));
        let outcomes = run_examples(&session, &book, &compiled, &zone).await.unwrap();
        assert!(outcomes.len() >= book.rules.len(), "{} has too few examples", rules.display());
        failed.extend(outcomes.into_iter().filter(|outcome| !outcome.passed()).map(|outcome| {
            let (place, say) = (&outcome.declared_at, &outcome.name);
            format!("{place} {say}: {:?} {:?} {:?}", outcome.cost, outcome.net_amount, outcome.note)
        }));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
