//! The commands of a lake, each as the order of its stages.
//!
//! | file | commands |
//! | --- | --- |
//! | `night` | `conto run` and its first half, `conto intake` |
//! | `close` | `conto close`: the documents of an open period, or the corrections of a closed one |
//! | `correct` | what the files beside it share: a closed period by the configuration and rules of its close |
//! | `restate` | `conto restate`: a closed period by the current rules |
//! | `reproduce` | a commit computed again and compared |
//! | `compare` | the usage of a period by two sets of rules; the rules that it does not reach |
//! | `maintenance` | retracting a file, compaction, expiry, vacuum, verification |

mod close;
mod compare;
mod correct;
mod maintenance;
mod night;
mod reproduce;
mod restate;

pub use self::close::{CloseOptions, close};
pub use self::compare::{compare, unused_rules};
pub use self::maintenance::{compact, expire, vacuum, verify, withdraw};
pub use self::night::{NightOptions, intake, run, run_open_periods};
pub use self::reproduce::{Reproduced, reproduce};
pub use self::restate::restate;
use crate::error::Error;
use crate::storage;

/// How often a command begins again because another one committed first.
const ATTEMPTS: u32 = 5;

/// Begins again with a new snapshot if another command committed first.
async fn again_after_a_conflict<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Storage(storage::Error::Conflict { sequence })) => {
                tracing::warn!("another run committed entry {sequence} first; this one computes again");
            }
            done => return done,
        }
    }
    attempt().await
}
