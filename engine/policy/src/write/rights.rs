//! Which of the rights that the rules of an object ask for a principal has.

use super::WriteOperation;
use crate::evaluator::Evaluator;
use crate::formula::ObjectRight;
use crate::rules::{GrantedRights, ObjectRules};

impl Evaluator<'_> {
    /// The rights that the principal has, of those that the rules of an object ask for. There is none on an object that is not there.
    #[must_use]
    pub fn granted(&self, rules: &ObjectRules) -> GrantedRights {
        let mut granted = GrantedRights::default();
        for (object, verb) in rules.rights() {
            if let Some(right) = ObjectRight::of_verb(verb)
                && self.has_right(object, right)
            {
                granted.add(object, right);
            }
        }
        granted
    }

    fn has_right(&self, name: &str, right: ObjectRight) -> bool {
        let Some(object) = self.object(name) else { return false };
        let may = |operation| self.decide_target(name, operation).is_allowed();
        match right {
            ObjectRight::Read => self.decide_read(name).is_allowed(),
            ObjectRight::Create => may(WriteOperation::Insert),
            ObjectRight::Edit => may(WriteOperation::Update),
            ObjectRight::Delete => may(WriteOperation::Delete),
            ObjectRight::Export => self.may_export(object) && self.decide_read(name).is_allowed(),
            ObjectRight::Transfer => self.rights(object).transfer && may(WriteOperation::Update),
        }
    }
}
