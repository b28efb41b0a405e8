//! Decimal digits of integers, two at a time. Knows no type.

#![expect(clippy::indexing_slicing, reason = "places in a buffer of as many digits as a number can have")]

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Powers of ten that fit `u128`.
pub(crate) const POW10: [u128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

fn pair(value: u64) -> [u8; 2] {
    let at = (value as usize % 100) * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// Appends a number without leading zeros.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    while value >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value));
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value));
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

pub(crate) fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

/// Appends exactly `width` digits (at most 19), with leading zeros.
pub(crate) fn push_padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    debug_assert!(width <= 19, "a u64 holds 19 digits of any value, not {width}");
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let start = digits.len() - width.min(digits.len());
    while at > start + 1 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value));
        value /= 100;
    }
    if at > start {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

pub(crate) fn push_2(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&pair(value));
}

/// Appends a number of up to 39 digits.
pub(crate) fn push_u128(out: &mut Vec<u8>, value: u128) {
    match u64::try_from(value) {
        Ok(small) => push_u64(out, small),
        Err(_) => {
            let high = value / POW10[19];
            push_u128(out, high);
            push_padded_u128(out, value % POW10[19], 19);
        }
    }
}

/// Appends exactly `width` digits (at most 38), with leading zeros.
pub(crate) fn push_padded_u128(out: &mut Vec<u8>, value: u128, width: usize) {
    if width <= 19 {
        push_padded(out, (value % POW10[19]) as u64, width);
    } else {
        push_padded_u128(out, value / POW10[19], width - 19);
        push_padded(out, (value % POW10[19]) as u64, 19);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_equal_the_standard_librarys() {
        for value in [0, 1, 9, 10, 99, 100, 101, 12_345, u64::MAX, u64::MAX - 1, 10_000_000_000_000_000_000] {
            let mut out = Vec::new();
            push_u64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        for value in [0, u128::from(u64::MAX) + 1, POW10[38], POW10[38] - 1, u128::MAX, POW10[19] * 7] {
            let mut out = Vec::new();
            push_u128(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        for (value, width) in [(5, 1), (5, 2), (5, 3), (123, 4), (123, 7), (0, 19)] {
            let mut out = Vec::new();
            push_padded(&mut out, value, width);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{value:0width$}"));
        }
        let mut out = Vec::new();
        push_padded_u128(&mut out, 42, 38);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{:038}", 42));
        let mut out = Vec::new();
        push_i64(&mut out, i64::MIN);
        assert_eq!(String::from_utf8(out).unwrap(), i64::MIN.to_string());
    }
}
