"""The checks as any PEP 249 client runs them; a client's own script passes what is its own."""

import contextlib

import matrix as m


class Suite:
    """`connect(user)` opens; `state_of(error)` gives the SQLSTATE or None; `mark` is the parameter marker."""

    def __init__(self, connect, state_of, mark="%s", describes_types=True):
        self.connect, self.state_of, self.mark, self.describes_types = connect, state_of, mark, describes_types

    @contextlib.contextmanager
    def open(self, user="ada"):
        connection = self.connect(user)
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, connection, sql, parameters=None):
        cursor = connection.cursor()
        cursor.execute(sql, parameters) if parameters is not None else cursor.execute(sql)
        try:
            return [tuple(row) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def one(self, connection, sql, parameters=None):
        return self.rows(connection, sql, parameters)[0][0]

    def connects(self):
        with self.open() as c:
            m.expect("current_user", self.one(c, "select current_user"), "ada")
            version = self.one(c, "select version()")
            if not version.startswith("PostgreSQL 15"):
                raise AssertionError(version)

    def tables(self):
        for user, count in m.TABLES.items():
            with self.open(user) as c:
                seen = self.rows(c, "select table_name from information_schema.tables where table_schema = 'public'")
                also = self.rows(
                    c,
                    "select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
                    " where n.nspname = 'public' and c.relkind in ('r', 'v')",
                )
                m.expect(f"tables of {user}", (len(seen), sorted(seen)), (count, sorted(also)))
                m.expect(f"employees of {user}", "employees" in {r[0] for r in seen}, user != "iris")

    def describe(self):
        for user in ("ada", "sam"):
            with self.open(user) as c:
                for table, count in m.COLUMNS[user].items():
                    cursor = c.cursor()
                    cursor.execute(f"select * from {table} limit 0")
                    described = [d[0] for d in cursor.description]
                    cursor.fetchall()
                    listed = self.rows(
                        c,
                        "select column_name from information_schema.columns where table_schema = 'public'"
                        f" and table_name = {self.mark} order by ordinal_position",
                        (table,),
                    )
                    m.expect(f"columns of {table} for {user}", described, [r[0] for r in listed])
                    m.expect(f"number of columns of {table} for {user}", len(described), count)

    def types(self, skip=()):
        with self.open() as c:

            def read(sql):
                try:
                    return self.one(c, sql)
                except Exception:
                    c.rollback()
                    raise

            note = m.compare_types(read, skip)
            for (table,) in self.rows(c, "select table_name from information_schema.tables where table_schema = 'public'"):
                self.rows(c, f"select * from {table} limit 20")
            return note + ", every column of every table"

    def parameters(self):
        import datetime
        import decimal

        mark = self.mark
        with self.open() as c:
            expected = self.rows(c, "select id, name, annual_revenue from accounts order by id limit 12")
            for number, row in enumerate(expected, 1):
                got = self.rows(c, f"select id, name, annual_revenue from accounts where id = {mark}", (row[0],))
                m.expect(f"execution {number}", got, [row])
            for number in range(1, 13):
                got = self.one(c, f"select count(*) from accounts where rating = {mark} and created_at > {mark}", (number % 5 + 1, datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)))
                wanted = self.one(c, f"select count(*) from accounts where rating = {number % 5 + 1} and created_at > '2025-01-01 00:00:00+00'")
                m.expect(f"count at execution {number}", got, wanted)
            for number in range(1, 13):
                amount = decimal.Decimal(number) * decimal.Decimal("1000.25")
                got = self.one(c, f"select count(*) from accounts where annual_revenue > {mark}", (amount,))
                m.expect(f"numeric at execution {number}", got, self.one(c, f"select count(*) from accounts where annual_revenue > {amount}"))
            m.expect("null", self.rows(c, f"select id from regions where name = {mark}", (None,)), [])
            hostile = "x' or '1'='1"
            m.expect("quotes", self.rows(c, f"select id from regions where name = {mark}", (hostile,)), [])
            return "3 statements, 12 executions each"

    def errors(self):
        cases = [
            ("select * from no_such_table", "42P01", "no_such_table"),
            ("select no_such_column from regions", "42703", "no_such_column"),
            ("selec 1", "42601", "syntax"),
            ("select 1/0", "22012", "division by zero"),
            ("select 'x'::int", "22P02", "invalid input syntax"),
        ]
        with self.open() as c:
            for sql, state, words in cases:
                m.expect_error(lambda: self.rows(c, sql), self.state_of, state, words)
                c.rollback()
            m.expect("after the errors", self.one(c, "select 1"), 1)
        try:
            self.connect_with_wrong_password()
        except Exception as error:
            if "authentication failed" not in str(error):
                raise AssertionError(f"wrong password: {m.first_line(error)}") from error
        else:
            raise AssertionError("a wrong password was accepted")

    def connect_with_wrong_password(self):
        kept = m.password
        m.password = lambda user: "wrong"
        try:
            self.connect("ada").close()
        finally:
            m.password = kept

    def cancel(self, cancel):
        with self.open() as c:
            note = m.cancel_after(lambda: cancel(c), lambda: self.rows(c, m.SLOW), self.state_of)
            c.rollback()
            m.expect("after the cancel", self.one(c, "select 1"), 1)
            return note

    def transactions(self):
        with self.open() as c:
            self.one(c, "select 1")
            cursor = c.cursor()
            cursor.execute("savepoint a")
            m.expect_error(lambda: cursor.execute("select 1/0"), self.state_of, "22012")
            m.expect_error(lambda: cursor.execute("select 1"), self.state_of, "25P02")
            cursor.execute("rollback to savepoint a")
            cursor.execute("release savepoint a")
            m.expect("after the savepoint", self.one(c, "select count(*) from regions"), 4)
            c.commit()
            m.expect_error(lambda: cursor.execute("insert into regions (id) values ('x')"), self.state_of, "0A000", "INSERT")
            c.rollback()
            m.expect("after the rollback", self.one(c, "select count(*) from regions"), 4)
            return "writes are refused with 0A000: the gate reads"

    def fetch(self, open_cursor=None, size=1000):
        """The large result in small steps, and one that is left in the middle."""
        with self.open() as c:
            cursor = (open_cursor or (lambda c: c.cursor()))(c)
            cursor.execute(m.LARGE)
            count, last = 0, ""
            while True:
                rows = cursor.fetchmany(size)
                if not rows:
                    break
                if rows[0][0] <= last:
                    raise AssertionError(f"rows out of order at {count}")
                count, last = count + len(rows), rows[-1][0]
            m.expect("rows", count, m.LARGE_ROWS)
            cursor.close()
            cursor = (open_cursor or (lambda c: c.cursor()))(c)
            cursor.execute(m.LARGE)
            m.expect("first rows", len(cursor.fetchmany(10)), 10)
            cursor.close()
            c.rollback()
            m.expect("after an unfinished read", self.one(c, "select 1"), 1)
            return f"{count} rows, {size} at a time"

    def policy(self):
        for user, count in m.ACCOUNTS.items():
            with self.open(user) as c:
                m.expect(f"accounts of {user}", self.one(c, "select count(*) from accounts"), count)
                for table, columns in m.HIDDEN.items():
                    for column in columns:
                        if user == "ada":
                            self.rows(c, f"select {column} from {table} limit 1")
                        else:
                            m.expect_error(lambda: self.rows(c, f"select {column} from {table} limit 1"), self.state_of, "42703", "does not exist")
                            c.rollback()
                    listed = self.rows(c, f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0")
                    m.expect(f"hidden columns of {table} in pg_attribute", set(columns) & {r[0] for r in listed}, set(columns) if user == "ada" else set())
        with self.open("iris") as c:
            m.expect_error(lambda: self.rows(c, "select * from employees"), self.state_of, "42P01", "does not exist")
            c.rollback()
            masked = self.rows(c, "select email from contacts order by id limit 3")
            if not all("**" in r[0] for r in masked):
                raise AssertionError("e-mail addresses are not masked for iris")

    def checks(self, **own):
        found = {
            "connect": self.connects,
            "tables": self.tables,
            "describe": self.describe,
            "types": self.types,
            "parameters": self.parameters,
            "errors": self.errors,
            "transactions": self.transactions,
            "fetch": self.fetch,
            "policy": self.policy,
        }
        found.update(own)
        return found
