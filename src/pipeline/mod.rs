//! The order of the stages, for each command of the lake.
//!
//! | file | commands |
//! | --- | --- |
//! | `billing` | `conto run`, and `conto intake`, which is its first half |
//! | `close` | `conto close`: the documents of an open period, or the corrections of a closed one |
//! | `correct` | a closed period by the configuration and rules of its close, for the other files |
//! | `final_invoice` | the documents of an account that leaves, issued while the period is open |
//! | `restate` | `conto restate`: a closed period by the current rules |
//! | `cancel` | `conto cancel`: a credit note for an issued document, and an invoice with the present account data |
//! | `reproduce` | `conto reproduce`: a commit, computed again and compared |
//! | `compare` | the usage of a period by two sets of rules; the rules that it does not use |
//! | `applied_rule` | `conto rules explain`: one rule as rows, and the statements that apply them |
//! | `maintenance` | retracting a file, compaction, expiry, vacuum, verification |

mod applied_rule;
mod billing;
mod cancel;
mod close;
mod compare;
mod correct;
mod final_invoice;
mod maintenance;
mod reproduce;
mod restate;

pub use self::applied_rule::applied_rule;
pub use self::billing::{BillingOptions, intake, run, run_open_periods};
pub use self::cancel::{CancelOptions, cancel};
pub use self::close::{CloseOptions, close, preview_close};
pub use self::compare::{compare, unused_rules};
pub use self::maintenance::{compact, expire, retract, vacuum, verify};
pub use self::reproduce::{Reproduced, reproduce};
pub use self::restate::restate;
use crate::error::Error;
use crate::storage;

/// The largest number of attempts of a command if other commands commit first.
const ATTEMPTS: u32 = 5;

/// Runs a command. If another command commits first, the command runs again on a new snapshot.
async fn again_after_a_conflict<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Storage(storage::Error::Conflict { sequence })) => {
                tracing::warn!("another command committed entry {sequence} first; this command starts again");
            }
            done => return done,
        }
    }
    attempt().await
}
