//! The reasons for corrections, as stored in `line_reference` and shown on documents.

pub const LATE_USAGE: &str = "late_usage";

pub(super) const CHANGED_RECORD: &str = "changed_record";

pub(super) const LATE_AND_CHANGED: &str = "late_and_changed";

pub const CHANGED_RULE: &str = "changed_rule";

/// The reason of a credit note for a whole document.
pub const CANCELLED: &str = "cancelled";

/// The reason of an invoice that replaces a cancelled one.
pub const REISSUED: &str = "reissued";
