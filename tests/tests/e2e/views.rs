//! Views of the configuration that nobody has: they are said at start, and replace no table.

use querygate_tests::server::{Variant, psql};

#[test]
fn what_is_no_view_is_said_and_replaces_nothing() {
    let views = [
        ("accounts", "SELECT 1 AS x"),
        ("qx_par", "SELECT $1::int AS a"),
        ("qx_bad", "SELEC 1"),
        ("qx_gone", "SELECT nowhere FROM accounts"),
        ("qx_one", "SELECT b FROM qx_two"),
        ("qx_two", "SELECT b FROM qx_one"),
        ("qx_good", "SELECT count(*) AS n FROM accounts"),
    ];
    let views = views.map(|(name, sql)| format!("\n[[views]]\nname = \"{name}\"\nsql = \"{sql}\"\n"));
    let variant = Variant::new(|config| config + &views.concat());
    let server = variant.serve();
    assert!(server.wait_for("a table has its name", 0).contains("accounts"));
    for name in ["qx_par", "qx_bad", "qx_gone", "qx_one", "qx_two"] {
        let line = server.wait_for(name, 0);
        assert!(line.contains("nobody has a view"), "{name}: {line}");
        let asked = psql(&server, "ada", &["-At", "-c", &format!("SELECT * FROM {name}")]);
        assert!(!asked.success && asked.err.contains("42P01"), "{name}: {}", asked.both());
    }
    let asked = |sql: &str| psql(&server, "ada", &["-At", "-c", sql]).out.trim().to_owned();
    assert_eq!(asked("SELECT count(id) FROM accounts"), "20000");
    assert_eq!(asked("SELECT n FROM qx_good"), "20000");
    assert!(!server.lines().iter().any(|line| line.contains("nobody has a view") && line.contains("qx_good")));
}
