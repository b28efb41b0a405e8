//! Ids that are of nothing: `querygate access` judges by none of them.

use super::{GOOD, querygate, setup};
use std::fs;

#[test]
fn access_refuses_a_set_that_a_user_holds_and_that_does_not_exist() {
    let ran = |held: &str| {
        let (_folder, file) = setup(&GOOD.replace("t_reader", held));
        querygate(&["access", "-c", &file, "nora", "notes"], "")
    };
    let near = ran("t_raeder");
    let told = "error: user `nora` holds permission set `t_raeder`, which does not exist\n";
    assert!(!near.code && near.text.contains(told) && near.text.contains("Did you mean t_reader?"), "{}", near.text);
    let far = ran("something_else");
    assert!(!far.code && far.text.contains(" permission sets are known, none with a name like it."), "{}", far.text);
    for held in ["t_reader", "admin_full_access", "member_default"] {
        assert!(ran(held).code, "{held}: {}", ran(held).text);
    }
}

#[test]
fn access_refuses_rows_that_name_what_does_not_exist() {
    let (folder, file) = setup(GOOD);
    let ran = |rows: &str| {
        let given = folder.path().join("rows.json");
        fs::write(&given, rows).unwrap();
        querygate(&["access", "-c", &file, "nora", "notes", "--rows", given.to_str().unwrap()], "")
    };
    for (rows, told, hint) in [
        (r#"{"t_note": []}"#, "rows are given of `t_note`, which is no object", "Did you mean t_notes?"),
        (
            r#"{"sys_user_permission_set": [{"user_id": "nora", "permission_set_id": "t_raeder"}]}"#,
            "rows name the permission set `t_raeder`, which does not exist",
            "Did you mean t_reader?",
        ),
        (
            r#"{"sys_user_permission_set": [{"user_id": "nara", "permission_set_id": "t_reader"}]}"#,
            "rows.json sys_user_permission_set[0] names the user `nara`, who does not exist",
            "Did you mean nora?",
        ),
        (
            r#"{"sys_user_position": [{"user_id": "somebody_else", "position": "boss"}]}"#,
            "names the user `somebody_else`, who does not exist",
            "1 user is known, none with a name like it.",
        ),
    ] {
        let refused = ran(rows);
        assert!(
            !refused.code && refused.text.contains(told) && refused.text.contains(hint),
            "{rows}: {}",
            refused.text
        );
        assert!(!refused.text.contains("read    "), "{}", refused.text);
    }
    for rows in [
        r#"{"t_notes": [{"id": "n1", "owner_id": "nora"}]}"#,
        r#"{"sys_user": [{"id": "u9"}], "sys_user_position": [{"user_id": "u9", "position": "boss"}]}"#,
    ] {
        let judged = ran(rows);
        assert!(judged.code && judged.text.contains("read    allowed"), "{rows}: {}", judged.text);
    }
}
