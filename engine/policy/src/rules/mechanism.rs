//! Everything that has a say when a new record is stored, as one closed list. It is made of all that metadata and rights hold: what is
//! added to those does not compile before somebody has said here what it does to new records. Judges nothing.

use super::object::{FieldDefault, FieldRules, ObjectRules, RuleFault};
use super::{ReferredField, Stamp, UniqueGroup};
use crate::filter::RowFilter;
use querygate_metadata::model::{Field, Object, SharingModel};

/// One thing with a say in a new record.
#[derive(Debug, Clone, Copy)]
pub enum Mechanism<'p> {
    /// Code runs before the record is stored, or after.
    Hook,
    /// A rule that cannot be evaluated.
    Fault(&'p RuleFault),
    /// A validation looks at the record's values.
    Validation,
    /// A validation reads the record that a field refers to.
    Referred(&'p ReferredField),
    /// Other records are looked for that have the same values.
    Unique(&'p UniqueGroup),
    /// Another record holds a roll-up of this one.
    RollUp,
    /// The record's master decides who may store it, or a rule reads it.
    Master,
    /// The values of a field are held against what it says of them.
    Contract(&'p Field),
    /// The record that a field names is looked for.
    Reference(&'p Field),
    /// A field without a value gets this one, which is the same in all records of a statement.
    SameDefault(&'p Field),
    /// A field without a value gets one that is computed of its record.
    OwnDefault(&'p Field),
    /// A field is given a number that no other record has.
    Autonumber(&'p Field),
    /// The value of a stored field is computed of its record.
    Expression(&'p Field),
    /// A field must have a value where its record meets a condition.
    RequiredWhen(&'p Field),
    /// An option of a field is there for records that meet a condition.
    OptionWhen(&'p Field),
    /// A stored value stays where its record meets a condition. A new record has none.
    ReadonlyWhen(&'p Field),
    /// The record must pass this.
    Check(&'p RowFilter),
    /// Values that a mask made are no values of this field.
    Mask(&'p str),
    /// The owner may be this principal only.
    Owner,
    /// The platform fills a field, with the same value in all records of a statement.
    Stamp(&'p Stamp),
}

impl ObjectRules {
    /// What metadata has to say, but for hooks.
    pub(crate) fn mechanisms<'p>(&'p self, found: &mut Vec<Mechanism<'p>>) {
        let Self { object, protocol: _, fields, validations, uniques, rollups, referred, faults } = self;
        found.extend(faults.iter().map(Mechanism::Fault));
        found.extend(validations.iter().map(|_| Mechanism::Validation));
        found.extend(referred.iter().map(Mechanism::Referred));
        found.extend(uniques.iter().map(Mechanism::Unique));
        found.extend(rollups.iter().map(|_| Mechanism::RollUp));
        found.extend(self.parent_field().map(|_| Mechanism::Master));
        of_object(object, found);
        for (field, rules) in object.fields.values().zip(fields) {
            let FieldRules { default, readonly_when, required_when, autonumber, options } = rules;
            found.extend(default.as_ref().map(|default| match has_same(default) {
                true => Mechanism::SameDefault(field),
                false => Mechanism::OwnDefault(field),
            }));
            found.extend(readonly_when.as_ref().map(|_| Mechanism::ReadonlyWhen(field)));
            found.extend(required_when.as_ref().map(|_| Mechanism::RequiredWhen(field)));
            found.extend((!options.is_empty()).then_some(Mechanism::OptionWhen(field)));
            found.extend(autonumber.as_ref().map(|_| Mechanism::Autonumber(field)));
            of_field(field, found);
        }
    }
}

/// Whether a default is the same value for all records of a statement.
const fn has_same(default: &FieldDefault) -> bool {
    match default {
        FieldDefault::Literal(_) | FieldDefault::Now | FieldDefault::CurrentUser => true,
        FieldDefault::Computed(_) | FieldDefault::Broken => false,
    }
}

fn of_object<'p>(object: &'p Object, found: &mut Vec<Mechanism<'p>>) {
    let Object {
        sharing_model,
        // Each by itself.
        fields: _,
        // Compiled with the object's rules.
        indexes: _,
        unique_keys: _,
        validations: _,
        // Part of the decision: who may store a record, whose it is, in which organization.
        access_default: _,
        required_permissions: _,
        tenancy: _,
        ownership: _,
        managed_by: _,
        is_system: _,
        api_enabled: _,
        api_methods: _,
        // The source's own: it keeps them or says that they are broken.
        primary_key: _,
        has_no_key: _,
        primary_key_name: _,
        foreign_keys: _,
        // A row of which history is kept is not loaded: its transaction says so.
        track_history: _,
        // Where it lies, and how it is shown.
        name: _,
        label: _,
        plural_label: _,
        description: _,
        name_field: _,
        datasource: _,
        external: _,
        file: _,
        searchable_fields: _,
        package: _,
        extended_by: _,
        location: _,
    } = object;
    match sharing_model {
        SharingModel::ControlledByParent => found.push(Mechanism::Master),
        SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => {}
    }
}

fn of_field<'p>(field: &'p Field, found: &mut Vec<Mechanism<'p>>) {
    let Field {
        reference,
        expression,
        // What its values are held against.
        field_type: _,
        multiple: _,
        required: _,
        not_null: _,
        readonly: _,
        options: _,
        picklist: _,
        precision: _,
        scale: _,
        min: _,
        max: _,
        step: _,
        min_length: _,
        max_length: _,
        value_domain: _,
        currency: _,
        dimensions: _,
        track_history: _,
        column_type: _,
        text_type: _,
        enum_type: _,
        system: _,
        phantom: _,
        // Compiled with the object's rules; of a roll-up of its own, a new record has none or the same of no children.
        unique: _,
        default: _,
        required_when: _,
        readonly_when: _,
        autonumber_format: _,
        summary: _,
        // Part of the decision.
        masking_rule: _,
        required_permissions: _,
        // Asked where it is read or deleted, or where a statement names it.
        hidden: _,
        internal: _,
        searchable: _,
        sortable: _,
        external_id: _,
        formula_return: _,
        delete_behavior: _,
        // How it is shown.
        name: _,
        label: _,
        description: _,
        package: _,
        location: _,
    } = field;
    found.push(Mechanism::Contract(field));
    found.extend(reference.as_ref().map(|_| Mechanism::Reference(field)));
    found.extend(expression.as_ref().filter(|_| field.stored()).map(|_| Mechanism::Expression(field)));
}
