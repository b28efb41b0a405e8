//! What metadata demands of written records, whoever writes: contracts of fields, validations, defaults, unique values,
//! references, roll-ups, deletes. Compiled once per object and snapshot, evaluated a record at a time; what needs other records
//! is handed out as data. Decides no right, does no I/O, reads no clock.

mod autonumber;
mod column_contracts;
mod condition;
mod contract;
mod defaults;
mod evaluate;
mod forms;
mod mechanism;
mod moments;
mod object;
mod referred;
mod related;
mod rights;
mod stamp;
mod unique;
mod validation;
mod violation;

pub use autonumber::AutonumberFormat;
pub use column_contracts::{ColumnContracts, GivenValue, ValueContract};
pub(crate) use condition::HookCondition;
pub use condition::HookScene;
pub use evaluate::{Attempt, Dropped, DroppedReason, Outcome, ReadonlyMode};
pub use mechanism::Mechanism;
pub use moments::{instant_of_micros, time_of_micros};
pub use object::{ObjectRules, RuleFault};
pub use referred::{ReferredField, ReferredRecords};
pub(crate) use related::delete_behavior;
pub use related::{DeleteRule, ReferenceCheck, SummaryUpdate, delete_rules};
pub use rights::GrantedRights;
pub use stamp::Stamp;
pub(crate) use stamp::{is_dropped, json_of};
pub use unique::{UniqueCheck, UniqueGroup};
pub use violation::{Violation, ViolationCode, refusal};

/// A record as JSON, by field name.
pub(crate) type Row = serde_json::Map<String, serde_json::Value>;
