import java.io.*;
import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** Changes through pgjdbc: statements, batches, generated keys, updatable results, COPY, savepoints. */
public class Changes {
    static final String PORT = System.getenv("GATE_PORT");
    static final String NEW = "insert into ticket (code, title, region) values (?, ?, 'eu')";
    static String mode = "", options = "";

    interface Check { String run() throws Exception; }

    interface Act { void run() throws Exception; }

    static Connection open(String user) throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + PORT + "/demo?ApplicationName=changes" + options, user, "demo-" + user);
    }

    static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError(what + ": " + got + " instead of " + wanted);
    }

    static void expectError(Act act, String state, String words) throws Exception {
        try { act.run(); } catch (SQLException error) {
            expect("SQLSTATE of '" + error.getMessage() + "'", error.getSQLState(), state);
            if (!error.getMessage().contains(words)) throw new AssertionError(error.getMessage() + " has no '" + words + "'");
            return;
        }
        throw new AssertionError("no error, expected " + state);
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) { r.next(); return r.getString(1); }
    }

    static int change(Connection c, String sql, Object... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int n = 0; n < values.length; n++) s.setObject(n + 1, values[n]);
            return s.executeUpdate();
        }
    }

    static String insert() throws Exception {
        OffsetDateTime seen = OffsetDateTime.parse("2026-07-08T09:10:11.123456Z");
        try (Connection c = open("omar")) {
            String columns = "code, title, amount, ratio, seen, due, done, customer_id, region";
            expect("one row", change(c, "insert into ticket (" + columns + ") values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "i1", "Grün", new BigDecimal("12.50"), 0.1, seen, LocalDate.of(2026, 12, 31), true, 1, "eu"), 1);
            expect("two rows", change(c, "insert into ticket (code, title, region) values (?, ?, 'eu'), (?, ?, 'eu')", "i2", "Größe", "i3", "gone soon"), 2);
            try (PreparedStatement s = c.prepareStatement("select title, amount, ratio, seen, due, done, customer_id from ticket where code = ?")) {
                s.setString(1, "i1");
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    expect("as it is read", List.of(r.getString(1), r.getBigDecimal(2), r.getDouble(3), r.getObject(4, OffsetDateTime.class), r.getObject(5, LocalDate.class), r.getBoolean(6), r.getInt(7)),
                            List.of("Grün", new BigDecimal("12.50"), 0.1, seen, LocalDate.of(2026, 12, 31), true, 1));
                }
            }
            // From text to binary on the way.
            try (PreparedStatement s = c.prepareStatement("insert into ticket (code, title, ratio, customer_id, region) values (?, ?, ?, ?, 'eu')")) {
                for (int n = 0; n < 8; n++) {
                    s.setString(1, "o" + n); s.setString(2, "many"); s.setDouble(3, n / 2.0);
                    if (n % 2 == 0) s.setNull(4, Types.INTEGER); else s.setInt(4, 2);
                    expect("execution " + n, s.executeUpdate(), 1);
                }
            }
        }
        try (Connection c = open("mara")) { expect("of another user", one(c, "select count(*) from ticket"), "1"); }
        return "9 types as parameters, 8 executions";
    }

    static String update() throws Exception {
        try (Connection c = open("omar")) {
            expect("by a unique value", change(c, "update ticket set amount = ?, done = ? where code = ?", new BigDecimal("5.25"), true, "i2"), 1);
            long id = Long.parseLong(one(c, "select id from ticket where code = 'i2'"));
            try (PreparedStatement s = c.prepareStatement("update ticket set ratio = ?, due = ? where id = ?")) {
                for (int n = 0; n < 8; n++) {
                    s.setDouble(1, n); s.setObject(2, LocalDate.of(2026, 1, n + 1)); s.setLong(3, id);
                    expect("by key", s.executeUpdate(), 1);
                }
            }
            expect("large count", c.createStatement().executeLargeUpdate("update ticket set amount = 1 where title = 'many'"), 8L);
            expect("a hidden row", change(c, "update ticket set title = 'mine' where code = ?", "taken"), 0);
        }
        return "by key and condition, 8 executions";
    }

    static String delete() throws Exception {
        try (Connection c = open("omar")) {
            expect("one", change(c, "delete from ticket where code = ?", "i3"), 1);
            expect("many", change(c, "delete from ticket where code = any(?)", c.createArrayOf("text", new String[] {"o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7"})), 8);
            expect("a hidden row", change(c, "delete from ticket where code = ?", "taken"), 0);
        }
        return "";
    }

    static String upsert() throws Exception {
        String sql = NEW + " on conflict (code) do update set title = excluded.title";
        try (Connection c = open("omar")) {
            expect("taken", change(c, sql, "i1", "upserted"), 1);
            expect("free", change(c, sql, "u1", "new"), 1);
            expect("nothing", change(c, NEW + " on conflict do nothing", "i1", "x"), 0);
            expectError(() -> change(c, sql, "taken", "mine"), "23505", "");
        }
        return "";
    }

    static String returning() throws Exception {
        try (Connection c = open("omar")) {
            long id;
            try (PreparedStatement s = c.prepareStatement(NEW, Statement.RETURN_GENERATED_KEYS)) {
                s.setString(1, "o1"); s.setString(2, "r");
                expect("inserted", s.executeUpdate(), 1);
                try (ResultSet r = s.getGeneratedKeys()) { r.next(); id = r.getLong("id"); expect("all columns", r.getString("region"), "eu"); }
            }
            try (PreparedStatement s = c.prepareStatement(NEW, new String[] {"id", "done"})) {
                s.setString(1, "o2"); s.setString(2, "r"); s.executeUpdate();
                try (ResultSet r = s.getGeneratedKeys()) { r.next(); expect("next", r.getLong(1) > id, true); expect("default", r.getBoolean(2), false); }
            }
            expect("updated", one(c, "update ticket set amount = 2 where id = " + id + " returning amount * 2"), "4.00");
            expect("deleted", one(c, "delete from ticket where id = " + id + " returning code"), "o1");
            expect("deleted", change(c, "delete from ticket where code = 'o2'"), 1);
        }
        return "getGeneratedKeys of all columns and of named ones";
    }

    static String copy() throws Exception {
        String into = "copy ticket (code, title, amount, done, customer_id, region) from stdin";
        try (Connection c = open("omar")) {
            var copy = c.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
            expect("text", copy.copyIn(into, new StringReader("c1\ttab\\tand \\\\\t1.25\tt\t\\N\teu\n")), 1L);
            expect("CSV", copy.copyIn(into + " (format csv, header)", new StringReader("code,title,amount,done,customer_id,region\nc2,\"a \"\"quote\"\", and\",,f,2,eu\n")), 1L);
            StringBuilder many = new StringBuilder();
            for (int n = 0; n < 5000; n++) many.append("o").append(n).append("\tmany\teu\n");
            expect("many", copy.copyIn("copy ticket (code, title, region) from stdin", new ByteArrayInputStream(many.toString().getBytes("UTF-8")), 1000), 5000L);
            expect("gone", change(c, "delete from ticket where title = 'many'"), 5000);
            expectError(() -> copy.copyIn(into, new StringReader("o1\tx\t1\tt\t\\N\teu\no2\tx\tmany\tt\t\\N\teu\n")), "22P02", "line 2");
            expect("nothing of it", one(c, "select count(*) from ticket where code = 'o1'"), "0");
        }
        return "CopyManager: text, CSV, 5,000 rows";
    }

    static String savepoints() throws Exception {
        try (Connection c = open("omar")) {
            c.setAutoCommit(false);
            change(c, NEW, "s1", "kept");
            Savepoint point = c.setSavepoint("a");
            expectError(() -> change(c, NEW, "i1", "twice"), "23505", "");
            expectError(() -> change(c, NEW, "o9", "failed"), "25P02", "");
            c.rollback(point);
            change(c, NEW, "s2", "after");
            c.releaseSavepoint(c.setSavepoint());
            c.commit();
            change(c, NEW, "s3", "rolled back");
            c.rollback();
            c.setReadOnly(true);
            expectError(() -> change(c, NEW, "o9", "read only"), "25006", "");
            c.rollback();
        }
        options += "&autosave=always";
        try (Connection c = open("omar")) {
            c.setAutoCommit(false);
            change(c, NEW, "o1", "kept");
            expectError(() -> change(c, NEW, "i1", "twice"), "23505", "");
            expect("after the error", change(c, "delete from ticket where code = 'o1'"), 1);
            c.commit();
        } finally { options = options.replace("&autosave=always", ""); }
        return "setSavepoint, autosave=always, setReadOnly";
    }

    static String refusals() throws Exception {
        try (Connection c = open("omar")) {
            for (String[] refused : new String[][] {
                    {"insert into ticket (title, region) values ('x', 'us')", "42501", ""}, {"update ticket set region = 'us' where code = 'one'", "42501", ""},
                    {"update ticket set amount = -1 where code = 'one'", "23514", "An amount is no debt."}, {"update ticket set code = 'two' where code = 'one'", "23505", ""},
                    {"insert into ticket (region) values ('eu')", "23502", ""}, {"update ticket set customer_id = 99 where code = 'one'", "23503", ""},
                    {"insert into ticket (title, region) values (repeat('x', 41), 'eu')", "22001", ""}, {"create table mine (id int)", "0A000", ""}, {"drop table ticket", "0A000", ""}})
                expectError(() -> change(c, refused[0]), refused[1], refused[2]);
            try { change(c, "update ticket set amount = ? where code = 'one'", -1); } catch (org.postgresql.util.PSQLException error) {
                expect("constraint", error.getServerErrorMessage().getConstraint(), "worth");
            }
            expect("after the errors", one(c, "select amount from ticket where code = 'one'"), "10.00");
        }
        return "9 statements";
    }

    static String own() throws Exception {
        try (Connection c = open("omar")) {
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement(NEW, new String[] {"id"})) {
                for (int n = 0; n < 300; n++) { s.setString(1, "o" + n); s.setString(2, "batch"); s.addBatch(); }
                int[] counts = s.executeBatch();
                expect("batch", counts.length, 300);
                Set<Long> keys = new HashSet<>();
                try (ResultSet r = s.getGeneratedKeys()) { while (r.next()) keys.add(r.getLong(1)); }
                expect("keys of a batch", keys.size(), 300);
            }
            try (PreparedStatement s = c.prepareStatement("insert into ticket (code, title, region) values (?, ?, ?)")) {
                for (int n = 300; n < 600; n++) { s.setString(1, "o" + n); s.setString(2, "batch"); s.setString(3, "eu"); s.addBatch(); }
                s.executeBatch();
            }
            try (Statement s = c.createStatement()) {
                for (int n = 0; n < 20; n++) s.addBatch("update ticket set amount = " + n + " where code = 'o" + n + "'");
                expect("counts", Arrays.stream(s.executeBatch()).sum(), 20);
            }
            c.commit();
            try (PreparedStatement s = c.prepareStatement(NEW)) {
                for (String code : List.of("o900", "one", "o901")) { s.setString(1, code); s.setString(2, "x"); s.addBatch(); }
                expectError(() -> { try { s.executeBatch(); } catch (BatchUpdateException error) { throw error.getNextException(); } }, "23505", "");
            }
            c.rollback();
            expect("all or nothing", one(c, "select count(*) from ticket where code like 'o90_'"), "0");
            expect("stored", one(c, "select count(*) || ' ' || sum(amount) from ticket where title = 'batch'"), "600 190.00");
            expect("gone", change(c, "delete from ticket where title = 'batch'"), 600);
            c.commit();
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE);
                    ResultSet r = s.executeQuery("select id, code, title, amount, region from ticket where code = 'one'")) {
                r.next(); r.updateString("title", "changed"); r.updateRow();
                r.updateString("title", "first"); r.updateRow();
                r.moveToInsertRow(); r.updateLong("id", 5000); r.updateString("code", "o1"); r.updateString("title", "row"); r.updateString("region", "eu"); r.insertRow();
                r.moveToCurrentRow();
            }
            try (Statement s = c.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_UPDATABLE);
                    ResultSet r = s.executeQuery("select id, title from ticket where code = 'o1'")) { r.next(); r.deleteRow(); }
            c.commit();
            try (ResultSet r = c.getMetaData().getColumns(null, "public", "ticket", "id")) { r.next(); expect("key that the source gives", r.getString("IS_AUTOINCREMENT"), "YES"); }
            expect("updatable result", one(c, "select title from ticket where code = 'one'"), "first");
            expect("deleted row", one(c, "select count(*) from ticket where code = 'o1'"), "0");
        }
        return "batches with keys, BatchUpdateException, updatable results (updateRow, insertRow, deleteRow)";
    }

    public static void main(String[] arguments) throws Exception {
        mode = arguments[0];
        Map<String, String> all = Map.of("simple", "preferQueryMode=simple", "binary", "prepareThreshold=1", "rewrite", "reWriteBatchedInserts=true");
        options = all.containsKey(mode) ? "&" + all.get(mode) : "";
        System.out.println("client\tJDBC" + (options.isEmpty() ? "" : ", " + all.get(mode)) + "\tpgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        var checks = new LinkedHashMap<String, Check>();
        checks.put("insert", Changes::insert); checks.put("update", Changes::update); checks.put("delete", Changes::delete);
        checks.put("upsert", Changes::upsert); checks.put("returning", Changes::returning); checks.put("copy", Changes::copy);
        checks.put("savepoints", Changes::savepoints); checks.put("refusals", Changes::refusals); checks.put("own", Changes::own);
        for (var check : checks.entrySet()) {
            String outcome = "ok", note;
            try { note = check.getValue().run(); } catch (Throwable error) {
                outcome = "FAIL";
                note = String.valueOf(error.getMessage());
                if (System.getenv("MATRIX_TRACE") != null) error.printStackTrace();
            }
            System.out.println(check.getKey() + "\t" + outcome + "\t" + note.replaceAll("\\s+", " "));
        }
        System.exit(0);
    }
}
