//! Texts of uuids.

/// A uuid as PostgreSQL prints it, of any form in which it reads one: 32 hexadecimal digits with hyphens after any group of four, maybe
/// in braces. `None`: none.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let body = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut printed = String::with_capacity(36);
    let (mut digits, mut after_group) = (0, false);
    for c in body.chars() {
        if c == '-' && after_group {
            after_group = false;
            continue;
        }
        if !c.is_ascii_hexdigit() || digits == 32 {
            return None;
        }
        if matches!(digits, 8 | 12 | 16 | 20) {
            printed.push('-');
        }
        printed.push(c.to_ascii_lowercase());
        digits += 1;
        after_group = digits % 4 == 0 && digits < 32;
    }
    (digits == 32).then_some(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_uuid_are_one() {
        let printed = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [
            printed,
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(canonical(text).as_deref(), Some(printed), "{text}");
        }
        for text in [
            "",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1",
            "a-0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a111",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1g",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
