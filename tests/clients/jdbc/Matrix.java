import java.math.BigDecimal;
import java.nio.file.*;
import java.sql.*;
import java.util.*;

/** The client matrix through pgjdbc: metadata, fetch size, prepared statements from text to binary, simple mode, cancel. */
public class Matrix {
    static final String PORT = System.getenv("GATE_PORT");
    static final String LARGE = "select id, account_id, occurred_at, duration_ms from events order by id limit 50000";
    static final String SLOW = "select count(*) from events a join events b on a.duration_ms < b.duration_ms";
    static final Map<String, String[]> HIDDEN = Map.of("employees", new String[] {"salary", "bonus"}, "products",
            new String[] {"unit_cost"}, "accounts", new String[] {"credit_limit"}, "opportunities", new String[] {"margin_percent"});
    static String options = "";

    interface Check { String run() throws Exception; }

    static Connection open(String user) throws SQLException { return open(user, "demo-" + user); }

    static Connection open(String user, String password) throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + PORT + "/demo?ApplicationName=matrix" + options, user, password);
    }

    static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError(what + ": " + got + " instead of " + wanted);
    }

    interface Act { void run() throws SQLException; }

    static void expectError(Act act, String state) {
        try { act.run(); } catch (SQLException error) {
            expect("SQLSTATE of '" + error.getMessage() + "'", error.getSQLState(), state);
            return;
        }
        throw new AssertionError("no error, expected " + state);
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) { r.next(); return r.getString(1); }
    }

    static int count(ResultSet rows) throws SQLException {
        int count = 0;
        while (rows.next()) count++;
        rows.close();
        return count;
    }

    static String tables() throws Exception {
        for (var entry : Map.of("ada", 22, "sam", 22, "iris", 15).entrySet()) {
            try (Connection c = open(entry.getKey())) {
                DatabaseMetaData meta = c.getMetaData();
                expect("tables of " + entry.getKey(), count(meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})), entry.getValue());
                expect("employees", count(meta.getTables(null, null, "employees", null)), entry.getKey().equals("iris") ? 0 : 1);
            }
        }
        return "";
    }

    static String describe() throws Exception {
        for (String user : List.of("ada", "sam")) {
            try (Connection c = open(user)) {
                DatabaseMetaData meta = c.getMetaData();
                expect("columns", count(meta.getColumns(null, "public", "employees", "%")), user.equals("ada") ? 10 : 8);
                try (ResultSet r = meta.getPrimaryKeys(null, "public", "accounts")) { r.next(); expect("key", r.getString("COLUMN_NAME"), "id"); }
                expect("imported", count(meta.getImportedKeys(null, "public", "contacts")) > 0, true);
                expect("exported", count(meta.getExportedKeys(null, "public", "accounts")) > 0, true);
                meta.getCrossReference(null, "public", "accounts", null, "public", "contacts").close();
                expect("index", count(meta.getIndexInfo(null, "public", "accounts", false, true)), 1);
                expect("best row", count(meta.getBestRowIdentifier(null, "public", "accounts", DatabaseMetaData.bestRowSession, true)), 1);
                expect("schemas", count(meta.getSchemas()) >= 3, true);
                expect("catalogs", count(meta.getCatalogs()), 1);
                expect("types", count(meta.getTypeInfo()) > 20, true);
                meta.getTableTypes().close(); meta.getProcedures(null, null, "%").close(); meta.getFunctions(null, null, "pg_get%").close();
                meta.getTablePrivileges(null, "public", "%").close(); meta.getColumnPrivileges(null, "public", "accounts", "%").close();
                meta.getVersionColumns(null, "public", "accounts").close(); meta.getUDTs(null, null, "%", null).close();
                meta.getFunctionColumns(null, null, "pg_get_expr", "%").close(); meta.getClientInfoProperties().close();
                meta.getSQLKeywords(); meta.getMaxColumnNameLength();
                // In simple mode the driver would send the question marks.
                if (options.contains("simple")) continue;
                try (PreparedStatement s = c.prepareStatement("select id, annual_revenue from accounts where rating = ? and created_at > ?")) {
                    expect("columns of a statement", s.getMetaData().getColumnTypeName(2), "numeric");
                    expect("precision", s.getMetaData().getPrecision(2), 18);
                    expect("table of a column", s.getMetaData().getTableName(1), "accounts");
                    expect("parameters", s.getParameterMetaData().getParameterTypeName(2), "timestamptz");
                }
            }
        }
        return "21 methods of DatabaseMetaData, statement and parameter metadata";
    }

    static String types() throws Exception {
        List<String> wrong = new ArrayList<>();
        int cases = 0;
        try (Connection c = open("ada")) {
            for (String line : Files.readAllLines(Path.of(System.getenv("TYPES")))) {
                if (line.startsWith("#")) continue;
                String[] part = line.split("\t", -1);
                String expected = part[0].equals("null") ? null : part[2];
                cases++;
                try (PreparedStatement s = c.prepareStatement("select " + part[1] + " as v")) {
                    for (int n = 1; n <= 7; n++) {
                        try (ResultSet r = s.executeQuery()) {
                            r.next();
                            String got = part[0].equals("bytea") ? "\\x" + HexFormat.of().formatHex(r.getBytes(1)) : r.getString(1);
                            if (!same(part[0], got, expected)) { wrong.add(part[0] + " at execution " + n + ": " + got + " instead of " + expected); break; }
                            r.getObject(1);
                        }
                    }
                } catch (SQLException error) { wrong.add(part[0] + ": " + error.getMessage()); }
            }
            List<String> names = new ArrayList<>();
            try (ResultSet r = c.getMetaData().getTables(null, "public", "%", null)) { while (r.next()) if (!r.getString(4).contains("INDEX")) names.add(r.getString(3)); }
            for (String name : names) {
                try (PreparedStatement s = c.prepareStatement("select * from " + name + " limit 20")) {
                    for (int n = 0; n < 7; n++) try (ResultSet r = s.executeQuery()) {
                        while (r.next()) for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) r.getObject(i);
                    }
                }
            }
        }
        if (!wrong.isEmpty()) throw new AssertionError(String.join("; ", wrong));
        return cases + " types in text and binary, every column of every table";
    }

    /** The driver's own words for some binary values. */
    static boolean same(String type, String got, String expected) {
        if (Objects.equals(got, expected)) return true;
        return switch (type) {
            case "float8" -> Double.parseDouble(got) == Double.parseDouble(expected);
            case "interval" -> got.contains("2 days") && got.contains("3 hours");
            case "int4[]", "text[]" -> got.replace("\"", "").equals(expected.replace("\"", ""));
            default -> false;
        };
    }

    static String parameters() throws Exception {
        try (Connection c = open("ada");
                PreparedStatement id = c.prepareStatement("select id, annual_revenue from accounts where id = ?");
                PreparedStatement many = c.prepareStatement("select count(*) from accounts where rating = ? and created_at > ? and annual_revenue > ? and strategic = ?");
                PreparedStatement echo = c.prepareStatement("select ?::int4, ?::text, ?::numeric, ?::date, ?::bool, ?::float8, ?::int8")) {
            for (int n = 1; n <= 12; n++) {
                String key = String.format("acc_%05d", n);
                id.setString(1, key);
                try (ResultSet r = id.executeQuery()) { r.next(); expect("id", r.getString(1), key); expect("scale", r.getBigDecimal(2).scale(), 4); }
                many.setInt(1, n % 5 + 1);
                many.setObject(2, java.time.OffsetDateTime.parse("2025-06-01T00:00:00Z"));
                many.setBigDecimal(3, new BigDecimal("1000.25"));
                many.setBoolean(4, false);
                try (ResultSet r = many.executeQuery()) {
                    r.next();
                    expect("count", r.getString(1), one(c, "select count(*) from accounts where rating = " + (n % 5 + 1)
                            + " and created_at > '2025-06-01 00:00:00+00' and annual_revenue > 1000.25 and not strategic"));
                }
                echo.setInt(1, n); echo.setString(2, "o'" + n); echo.setBigDecimal(3, new BigDecimal("1.5")); echo.setObject(4, java.time.LocalDate.of(2025, 1, n));
                echo.setBoolean(5, n % 2 == 0); echo.setDouble(6, n / 2.0); echo.setNull(7, Types.BIGINT);
                try (ResultSet r = echo.executeQuery()) {
                    r.next();
                    expect("echo", List.of(r.getInt(1), r.getString(2), r.getBigDecimal(3).doubleValue(), r.getObject(4, java.time.LocalDate.class), r.getBoolean(5), r.getDouble(6)),
                            List.of(n, "o'" + n, 1.5, java.time.LocalDate.of(2025, 1, n), n % 2 == 0, n / 2.0));
                    r.getLong(7);
                    expect("null", r.wasNull(), true);
                }
            }
            try (PreparedStatement any = c.prepareStatement("select count(*) from regions where id = any(?)")) {
                any.setArray(1, c.createArrayOf("text", new String[] {"emea", "amer"}));
                for (int n = 0; n < 7; n++) try (ResultSet r = any.executeQuery()) { r.next(); expect("any", r.getInt(1), 2); }
            }
        }
        return "4 statements, 12 executions each, text then binary";
    }

    static String errors() throws Exception {
        try (Connection c = open("ada")) {
            for (String[] pair : new String[][] {{"select * from no_such_table", "42P01"}, {"select no_such from regions", "42703"}, {"selec 1", "42601"},
                    {"select 1/0", "22012"}, {"select 'x'::int", "22P02"}}) expectError(() -> one(c, pair[0]), pair[1]);
            expect("after the errors", one(c, "select 1"), "1");
            expect("valid", c.isValid(2), true);
        }
        expectError(() -> open("ada", "wrong").close(), "28P01");
        return "";
    }

    static String cancel() throws Exception {
        try (Connection c = open("ada"); Statement s = c.createStatement()) {
            new Timer(true).schedule(new TimerTask() { public void run() { try { s.cancel(); } catch (SQLException ignored) { } } }, 1000);
            expectError(() -> s.executeQuery(SLOW), "57014");
            s.setQueryTimeout(1);
            expectError(() -> s.executeQuery(SLOW), "57014");
            s.setQueryTimeout(0);
            expect("after the cancel", one(c, "select 1"), "1");
        }
        return "cancel and query time-out";
    }

    static String transactions() throws Exception {
        try (Connection c = open("ada"); Statement s = c.createStatement()) {
            c.setAutoCommit(false);
            c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            Savepoint point = c.setSavepoint("a");
            expectError(() -> s.executeQuery("select 1/0"), "22012");
            expectError(() -> s.executeQuery("select 1"), "25P02");
            c.rollback(point);
            expect("after the savepoint", one(c, "select count(*) from regions"), "4");
            c.releaseSavepoint(c.setSavepoint());
            c.commit();
            expectError(() -> s.executeUpdate("insert into regions (id) values ('x')"), "0A000");
            c.rollback();
            c.setAutoCommit(true);
            c.setReadOnly(true);
            expect("read only", one(c, "select count(*) from regions"), "4");
        }
        return "writes are refused with 0A000: the gate reads";
    }

    static String fetch() throws Exception {
        try (Connection c = open("ada")) {
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement(LARGE)) {
                s.setFetchSize(1000);
                for (int n = 0; n < 2; n++) expect("rows", count(s.executeQuery()), 50000);
                ResultSet early = s.executeQuery();
                for (int n = 0; n < 10; n++) early.next();
                early.close();
            }
            expect("after an unfinished read", one(c, "select 1"), "1");
            c.commit();
        }
        return options.contains("simple") ? "at once: simple mode has no portals" : "fetch size 1000";
    }

    static String policy() throws Exception {
        for (String user : List.of("ada", "sam")) {
            try (Connection c = open(user)) {
                expect("accounts of " + user, one(c, "select count(*) from accounts"), user.equals("ada") ? "20000" : "2157");
                for (var entry : HIDDEN.entrySet()) for (String column : entry.getValue()) {
                    String sql = "select " + column + " from " + entry.getKey() + " limit 1";
                    if (user.equals("ada")) one(c, sql); else expectError(() -> one(c, sql), "42703");
                    expect("listed", count(c.getMetaData().getColumns(null, "public", entry.getKey(), column)), user.equals("ada") ? 1 : 0);
                }
            }
        }
        return "";
    }

    static String own() throws Exception {
        try (Connection c = open("ada")) {
            var copy = c.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
            var out = new java.io.ByteArrayOutputStream();
            copy.copyOut("copy (select id from regions order by id) to stdout (format csv)", out);
            expect("COPY", out.toString(), "amer\napac\nemea\nlatam\n");
            try (Statement s = c.createStatement()) {
                s.addBatch("select 1"); s.addBatch("set application_name = 'x'");
                try { s.executeBatch(); } catch (BatchUpdateException expected) { /* a row in a batch, as with PostgreSQL */ }
                expect("first of several", s.execute("select 1; select 2"), true);
                expect("second", s.getMoreResults(), true);
            }
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY); ResultSet r = s.executeQuery("select id from regions order by id")) {
                r.last(); expect("scrolled", r.getString(1), "latam"); r.first(); expect("back", r.getString(1), "amer");
            }
        }
        return "COPY out, several statements, scrolling in the client";
    }

    public static void main(String[] arguments) throws Exception {
        options = switch (arguments[0]) { case "simple" -> "&preferQueryMode=simple"; case "binary" -> "&prepareThreshold=1"; default -> ""; };
        System.out.println("client\tJDBC" + switch (arguments[0]) { case "simple" -> ", simple mode"; case "binary" -> ", prepareThreshold=1"; default -> ""; }
                + "\tpgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        var checks = new LinkedHashMap<String, Check>();
        checks.put("connect", () -> { try (Connection c = open("ada")) { expect("user", one(c, "select current_user"), "ada"); expect("version", c.getMetaData().getDatabaseMajorVersion(), 15); } return ""; });
        checks.put("tables", Matrix::tables); checks.put("describe", Matrix::describe); checks.put("types", Matrix::types);
        checks.put("parameters", Matrix::parameters); checks.put("errors", Matrix::errors); checks.put("cancel", Matrix::cancel);
        checks.put("transactions", Matrix::transactions); checks.put("fetch", Matrix::fetch); checks.put("policy", Matrix::policy); checks.put("own", Matrix::own);
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
