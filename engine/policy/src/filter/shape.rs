//! The stable fingerprint of a filter's shape: everything except the principal's values. Knows no plan cache.

use super::{CompareOp, FilterValue, Operand, RowFilter, Test, TextKind};

/// FNV-1a over a prefix-free encoding, finished by an avalanche. Stable over processes and builds.
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub(crate) fn number(&mut self, number: u64) {
        number.to_le_bytes().into_iter().for_each(|b| self.byte(b));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        text.bytes().for_each(|b| self.byte(b));
    }

    pub(crate) fn finish(&self) -> u64 {
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn value_type(&mut self, value: &FilterValue) {
        self.byte(match value {
            FilterValue::Text(_) => 1,
            FilterValue::Integer(_) => 2,
            FilterValue::Decimal(_) => 3,
            FilterValue::Boolean(_) => 4,
            FilterValue::Date(_) => 5,
            FilterValue::Timestamp(_) => 6,
            FilterValue::Time(_) => 7,
        });
    }

    fn value(&mut self, value: &FilterValue) {
        self.value_type(value);
        match value {
            FilterValue::Text(text) | FilterValue::Decimal(text) => self.text(text),
            FilterValue::Integer(n) | FilterValue::Timestamp(n) => self.number(u64::from_le_bytes(n.to_le_bytes())),
            FilterValue::Date(n) | FilterValue::Time(n) => self.number(u64::from(u32::from_le_bytes(n.to_le_bytes()))),
            FilterValue::Boolean(b) => self.byte(u8::from(*b)),
        }
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Literal(value) => {
                self.byte(1);
                self.value(value);
            }
            Operand::Principal { key, value } => {
                self.byte(2);
                self.text(key);
                self.value_type(value);
            }
        }
    }

    pub(crate) fn filter(&mut self, filter: &RowFilter) {
        match filter {
            RowFilter::All => self.byte(1),
            RowFilter::Nothing => self.byte(2),
            RowFilter::And(members) => self.members(3, members),
            RowFilter::Or(members) => self.members(4, members),
            RowFilter::Not(inner) => {
                self.byte(5);
                self.filter(inner);
            }
            RowFilter::Test(test) => self.test(test),
        }
    }

    fn members(&mut self, tag: u8, members: &[RowFilter]) {
        self.byte(tag);
        self.number(members.len() as u64);
        members.iter().for_each(|m| self.filter(m));
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Compare { column, op, value } => {
                self.byte(10);
                self.text(column);
                self.byte(compare_tag(*op));
                self.operand(value);
            }
            Test::CompareColumns { left, op, right, add_days } => {
                self.byte(11);
                self.text(left);
                self.byte(compare_tag(*op));
                self.text(right);
                self.number(u64::from(u32::from_le_bytes(add_days.to_le_bytes())));
            }
            Test::In { column, values, negated } => {
                self.byte(12);
                self.text(column);
                self.byte(u8::from(*negated));
                self.number(values.len() as u64);
                values.iter().for_each(|v| self.operand(v));
            }
            Test::IsNull { column, negated } => {
                self.byte(13);
                self.text(column);
                self.byte(u8::from(*negated));
            }
            Test::Text { column, kind, pattern, negated } => {
                self.byte(14);
                self.text(column);
                self.byte(text_tag(*kind));
                self.byte(u8::from(*negated));
                self.operand(pattern);
            }
            Test::ListContains { column, value } => {
                self.byte(15);
                self.text(column);
                self.operand(value);
            }
            Test::HasElements { column } => {
                self.byte(17);
                self.text(column);
            }
            Test::InRelated { column, object, filter, select } => {
                self.byte(16);
                self.text(column);
                self.text(object);
                self.text(select);
                self.filter(filter);
            }
        }
    }
}

fn compare_tag(op: CompareOp) -> u8 {
    match op {
        CompareOp::Eq => 1,
        CompareOp::Ne => 2,
        CompareOp::Lt => 3,
        CompareOp::Le => 4,
        CompareOp::Gt => 5,
        CompareOp::Ge => 6,
    }
}

fn text_tag(kind: TextKind) -> u8 {
    match kind {
        TextKind::Contains => 1,
        TextKind::StartsWith => 2,
        TextKind::EndsWith => 3,
        TextKind::Like => 4,
        TextKind::ILike => 5,
        TextKind::IContains => 6,
    }
}

impl RowFilter {
    /// A stable hash over everything except the values of principal operands: equal for all principals whom the same
    /// policies bind in the same way. The number of values in a list, and each value's type, belong to the shape.
    #[must_use]
    pub fn shape_fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        fingerprint.filter(self);
        fingerprint.finish()
    }
}
