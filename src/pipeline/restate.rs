//! The restatement of a closed period by the current rules and this version of the program.

use std::sync::Arc;

use super::billing::take_in;
use super::close::{CloseOptions, issue_and_commit};
use super::{again_after_a_conflict, correct};
use crate::closing::correction::ChangeCause;
use crate::error::{ClosingError, Error};
use crate::load;
use crate::metering;
use crate::model::config::Config;
use crate::model::period::BillingPeriod;
use crate::model::rule_book::RuleBook;
use crate::model::summary::CloseSummary;
use crate::run::{Context, Environment, Mode, RunOptions, Transaction};
use crate::storage::{Commit, CommitKind};

/// Applies the current rules and this version of the program to a closed period, and issues the corrections. Without
/// approval, a dry run reports the corrections.
pub async fn restate(
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
    approved: Option<CloseOptions>,
    options: RunOptions,
) -> Result<CloseSummary, Error> {
    again_after_a_conflict(async || {
        let environment = Environment::new(Arc::clone(&config), Arc::clone(&rules), options.clone())?;
        let mut transaction = Transaction::open(&environment).await?;
        if transaction.snapshot.last(CommitKind::Close, &period.to_string()).is_none() {
            return Err(Error::Closing(ClosingError::NotClosed { period: period.to_string() }));
        }
        let (mut catalog, intake) = take_in(&environment, &mut transaction).await?;
        let by_the_close = Mode::of_period(&transaction.lake, &transaction.snapshot, period).await?;
        let closed = Arc::clone(
            by_the_close.closed().ok_or(Error::Closing(ClosingError::NotClosed { period: period.to_string() }))?,
        );
        let context = Context::new(&environment, period, restatement(Arc::clone(&closed)));
        let accounts = correct::without_next_invoice(&environment.config.accounts, &context, &transaction);
        let context = context.with_separate_corrections(accounts);
        // Changes that usage alone causes get another reason than changes that rules or a newer version cause.
        let by_usage = {
            let (environment, context) = correct::by_the_close(&environment, period, by_the_close)?;
            let mut dry_run = transaction.dry_run(&environment)?;
            correct::changed_by_usage(&environment, &context, &mut dry_run, &catalog).await?
        };
        let cause = ChangeCause::Rules(&by_usage);
        let summary = match &approved {
            Some(closing) => {
                metering::restate(&environment, &mut transaction, &mut catalog, period, &closed).await?;
                issue_and_commit(&context, &mut transaction, &catalog, closing, cause).await?
            }
            None => {
                let mut dry_run = transaction.dry_run(&environment)?;
                metering::restate(&environment, &mut dry_run, &mut catalog, period, &closed).await?;
                let changes = correct::difference(&context, &mut dry_run, &catalog, cause).await?.changes;
                CloseSummary { period: period.to_string(), changes, ..CloseSummary::default() }
            }
        };
        Ok(CloseSummary { intake, ..summary })
    })
    .await
}

/// The mode of a restatement. Corrections can refer to accounts that only the close has.
pub(super) fn restatement(closed: Arc<Commit>) -> Mode {
    let (committed, _) = load::read_committed_inputs(&closed.inputs, &closed.configuration);
    let former_accounts = committed.map(|(config, _)| config.accounts).unwrap_or_default();
    Mode::Restate { closed, former_accounts }
}
