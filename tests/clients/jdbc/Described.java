// What JDBC's DatabaseMetaData tells of every table of schema public, a line for each row: to compare two servers.
// java -cp postgresql.jar Described.java URL USER PASSWORD

import java.sql.*;
import java.util.*;

public class Described {
    static void print(String what, ResultSet rows, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
            StringBuilder line = new StringBuilder(what);
            for (String column : columns) line.append(' ').append(column).append('=').append(rows.getString(column));
            lines.add(line.toString());
        }
        lines.forEach(System.out::println);
        rows.close();
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(args[0], args[1], args[2])) {
            DatabaseMetaData meta = c.getMetaData();
            List<String> tables = new ArrayList<>();
            try (ResultSet rows = meta.getTables(null, "public", "%", new String[] {"TABLE"})) {
                while (rows.next()) tables.add(rows.getString("TABLE_NAME"));
            }
            for (String table : tables) {
                System.out.println("table " + table);
                print("column", meta.getColumns(null, "public", table, "%"), "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME",
                    "COLUMN_SIZE", "DECIMAL_DIGITS", "NUM_PREC_RADIX", "NULLABLE", "CHAR_OCTET_LENGTH", "ORDINAL_POSITION", "IS_NULLABLE");
                print("primary", meta.getPrimaryKeys(null, "public", table), "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
                for (ResultSet rows : List.of(meta.getImportedKeys(null, "public", table), meta.getExportedKeys(null, "public", table))) {
                    print("foreign", rows, "PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE",
                        "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY");
                }
                print("index", meta.getIndexInfo(null, "public", table, false, true), "TABLE_NAME", "NON_UNIQUE", "INDEX_NAME", "TYPE",
                    "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC", "FILTER_CONDITION");
                try (Statement s = c.createStatement(); ResultSet rows = s.executeQuery("SELECT * FROM public.\"" + table + "\" WHERE false")) {
                    ResultSetMetaData columns = rows.getMetaData();
                    for (int i = 1; i <= columns.getColumnCount(); i++) {
                        System.out.println("result " + table + " " + columns.getColumnName(i) + " " + columns.getColumnTypeName(i) + " "
                            + columns.getColumnType(i) + " " + columns.getColumnClassName(i) + " " + columns.getPrecision(i) + " "
                            + columns.getScale(i) + " " + columns.getColumnDisplaySize(i) + " " + columns.isNullable(i) + " "
                            + ((org.postgresql.PGResultSetMetaData) columns).getBaseTableName(i));
                    }
                }
            }
        }
    }
}
