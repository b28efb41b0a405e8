"""LibreOffice without a window, by its own PostgreSQL driver: tables and columns as Base lists them, a form's row set, and
Calc filling a sheet. Runs with the system's Python, which has UNO."""

import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager

import matrix
import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException
from com.sun.star.sdbc import SQLException
from com.sun.star.sheet.DataImportMode import SQL as BY_QUERY
from com.sun.star.sheet.DataImportMode import TABLE as BY_TABLE

TABLE = 0  # com.sun.star.sdb.CommandType
URL = f"sdbc:postgresql:host={matrix.HOST} port={matrix.PORT} dbname={matrix.DATABASE}"


def values(**named):
    return tuple(PropertyValue(name, 0, value, 0) for name, value in named.items())


class Office:
    """One process with a profile of its own."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="querygate-office-")
        pipe = f"querygate{os.getpid()}"
        self.process = subprocess.Popen(
            ["soffice", "--headless", "--norestore", "--nologo", "--nodefault", "--nofirststartwizard",
             f"--accept=pipe,name={pipe};urp;", f"-env:UserInstallation=file://{self.folder.name}/profile"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        for _ in range(600):
            try:
                self.context = resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
                return self
            except NoConnectException:
                if self.process.poll() not in (None, 81):
                    raise SystemExit("soffice ended")
                time.sleep(0.2)
        raise SystemExit("soffice does not answer")

    def make(self, service):
        return self.context.ServiceManager.createInstanceWithContext(f"com.sun.star.{service}", self.context)

    def __exit__(self, *_):
        try:
            self.make("frame.Desktop").terminate()
            self.process.wait(30)
        except Exception:  # it may be gone before it answers
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def words(act, text):
    try:
        act()
    except SQLException as error:
        matrix.expect("words of the error", text in error.Message, True)
        return
    raise AssertionError(f"no error, expected {text!r}")


def checks(office):
    drivers = office.make("sdbc.DriverManager")

    @contextmanager
    def connection(user):
        found = drivers.getConnectionWithInfo(URL, values(user=user, password=matrix.password(user)))
        try:
            yield found
        finally:
            found.close()

    def rows(connection, sql):
        result = connection.createStatement().executeQuery(sql)
        columns = range(1, result.MetaData.ColumnCount + 1)
        found = []
        while result.next():
            row = []
            for column in columns:
                value = result.getString(column)
                row.append(None if result.wasNull() else value)
            found.append(row)
        result.close()
        return found

    def definition(connection):
        return drivers.getDriverByURL(URL).getDataDefinitionByConnection(connection)

    def connect():
        with connection("ada") as c:
            matrix.expect("user", rows(c, "select current_user")[0][0], "ada")
            about = c.getMetaData()
            matrix.expect("product", about.DatabaseProductName, "PostgreSQL")
            matrix.expect("version", about.DatabaseProductVersion.startswith("15"), True)
            matrix.expect("user", about.UserName, "ada")

    def tables():
        for user, count in matrix.TABLES.items():
            with connection(user) as c:
                listed = c.getMetaData().getTables(None, "public", "%", ("TABLE", "VIEW"))
                names = []
                while listed.next():
                    names.append(listed.getString(3))
                matrix.expect(f"tables of {user}", len(names), count)
                matrix.expect("employees", "employees" in names, user != "iris")
                shown = [name for name in definition(c).getTables().ElementNames if name.startswith("public.")]
                matrix.expect(f"tables that Base shows {user}", len(shown), count)

    def describe():
        for user, wanted in matrix.COLUMNS.items():
            with connection(user) as c:
                shown = definition(c).getTables()
                for table, count in wanted.items():
                    columns = shown.getByName(f"public.{table}").getColumns().ElementNames
                    matrix.expect(f"columns of {table}", len(columns), count)
                    hidden = [name for name in matrix.HIDDEN[table] if name in columns]
                    matrix.expect(f"hidden columns of {table}", hidden, matrix.HIDDEN[table] if user == "ada" else [])
        with connection("ada") as c:
            keys = c.getMetaData().getPrimaryKeys(None, "public", "accounts")
            matrix.expect("primary key", keys.next() and keys.getString(4), "id")
            accounts = definition(c).getTables().getByName("public.accounts")
            kinds = sorted(accounts.getKeys().getByIndex(n).Type for n in range(accounts.getKeys().Count))
            matrix.expect("a primary key and foreign ones", (kinds[0], kinds[-1]), (1, 3))
            prepared = c.prepareStatement("select id, name from regions where id = ?")
            prepared.setString(1, "emea")
            result = prepared.executeQuery()
            matrix.expect("columns", [result.MetaData.getColumnName(n) for n in (1, 2)], ["id", "name"])
        return "as Base lists them, and the driver's metadata"

    def types():
        with connection("ada") as c:
            done = matrix.compare_types(lambda sql: rows(c, sql)[0][0])
            names = rows(c, "select table_name from information_schema.tables where table_schema = 'public'")
            for (name,) in names:
                rows(c, f"select * from {name} limit 3")
        return f"{done} as text, every column of every table"

    def parameters():
        with connection("ada") as c:
            by_id = c.prepareStatement("select id from accounts where id = ?")
            three = c.prepareStatement("select cast(? as int4) + 1, cast(? as text), cast(? as text)")
            for n in range(1, 13):
                by_id.setString(1, f"acc_{n:05}")
                result = by_id.executeQuery()
                matrix.expect("id", result.next() and result.getString(1), f"acc_{n:05}")
                three.setInt(1, n)
                three.setString(2, "o'x\\")
                three.setNull(3, 12)
                result = three.executeQuery()
                result.next()
                matrix.expect("number", result.getInt(1), n + 1)
                matrix.expect("text", result.getString(2), "o'x\\")
                result.getString(3)
                matrix.expect("null", result.wasNull(), True)
        return "2 statements, 12 executions each"

    def errors():
        with connection("ada") as c:
            for sql, text in [
                ("select * from no_such_table", 'relation "no_such_table" does not exist'),
                ("select no_such from regions", 'column "no_such" does not exist'),
                ("selec 1", 'syntax error at or near "selec"'),
                ("select 1/0", "division by zero"),
                ("select 'x'::int4", "invalid input syntax for type integer"),
            ]:
                words(lambda sql=sql: rows(c, sql), text)
            matrix.expect("afterwards", rows(c, "select 1"), [["1"]])
        wrong = values(user="ada", password="wrong")
        words(lambda: drivers.getConnectionWithInfo(URL, wrong), "password authentication failed")
        return "by their texts"

    def transactions():
        with connection("ada") as c:
            def do(sql):
                c.createStatement().executeUpdate(sql)

            do("begin isolation level repeatable read")
            matrix.expect("level", rows(c, "show transaction_isolation"), [["repeatable read"]])
            do("savepoint a")
            words(lambda: rows(c, "select 1/0"), "division by zero")
            words(lambda: rows(c, "select 1"), "current transaction is aborted")
            do("rollback to savepoint a")
            matrix.expect("rows", rows(c, "select count(*) from regions"), [["4"]])
            do("commit")
            words(lambda: do("insert into regions (id) values ('x')"), "INSERT is not supported")
        return "in SQL, for the driver has none; writes are refused: the gate reads"

    def policy():
        for user, count in matrix.ACCOUNTS.items():
            with connection(user) as c:
                matrix.expect(f"accounts of {user}", rows(c, "select count(*) from accounts"), [[str(count)]])
        with connection("sam") as c:
            words(lambda: rows(c, "select salary from employees"), 'column "salary" does not exist')

    def source():
        """A Base document that others find by name."""
        known = office.make("sdb.DatabaseContext")
        if not known.hasByName("demo"):
            made = known.createInstance()
            made.URL, made.User, made.Password = URL, "ada", matrix.password("ada")
            made.DatabaseDocument.storeAsURL(f"file://{office.folder.name}/demo.odb", ())
            known.registerObject("demo", made)
        return known.getByName("demo")

    @contextmanager
    def sheet():
        book = office.make("frame.Desktop").loadComponentFromURL("private:factory/scalc", "_blank", 0, values(Hidden=True))
        try:
            yield book.Sheets.getByIndex(0)
        finally:
            book.close(True)

    def filled(target, **how):
        """Imports at A1; gives the number of rows with the heading, and the last one's first cell."""
        source().Password = matrix.password("ada")
        target.getCellRangeByPosition(0, 0, 0, 0).doImport(values(DatabaseName="demo", **how))
        cursor = target.createCursor()
        cursor.gotoEndOfUsedArea(False)
        last = cursor.RangeAddress.EndRow
        return last + 1, target.getCellByPosition(0, last).String

    def fetch():
        with sheet() as target:
            found = filled(target, SourceType=BY_QUERY, SourceObject=matrix.LARGE, IsNative=True)
        matrix.expect("rows in the sheet, with a heading", found[0], matrix.LARGE_ROWS + 1)
        return f"{matrix.LARGE_ROWS} rows into a sheet of Calc"

    def own():
        source()
        form = office.make("sdb.RowSet")
        form.DataSourceName, form.User, form.Password = "demo", "ada", matrix.password("ada")
        form.CommandType, form.Command = TABLE, "public.regions"
        form.Filter, form.ApplyFilter, form.Order = "\"id\" <> 'emea'", True, '"id"'
        form.execute()
        found = []
        while form.next():
            found.append(form.getString(1))
        matrix.expect("rows of the form", found, ["amer", "apac", "latam"])
        form.dispose()
        with sheet() as target:
            count, _ = filled(target, SourceType=BY_TABLE, SourceObject="public.regions")
        matrix.expect("rows in the sheet, with a heading", count, 5)
        return "a form's row set with filter and order, a table into Calc"

    return {"connect": connect, "tables": tables, "describe": describe, "types": types, "parameters": parameters, "errors": errors,
            "transactions": transactions, "fetch": fetch, "policy": policy, "own": own}


def version():
    said = subprocess.run(["soffice", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found.group() if found else ""


if __name__ == "__main__":
    with Office() as running:
        matrix.run("LibreOffice", version(), checks(running))
