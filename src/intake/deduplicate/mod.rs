//! De-duplication: the buffer of pending samples, events that were delivered with several times, and the merge with
//! committed samples.
//!
//! Every delivery of a sample is stored, so that it can replace the sample that counts if another file is retracted.
//!
//! | relation | delivery |
//! | --- | --- |
//! | `sample` | the delivery that counts |
//! | `repeated_event` | a delivery of an event that does not count, because another delivery has an earlier time |
//! | `duplicate_sample` | any other delivery |

pub mod merge;
pub mod pending_samples;
pub mod repeated_events;
pub mod retracted_records;
pub mod stored_deliveries;
pub mod successors;
