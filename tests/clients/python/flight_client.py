"""Flight SQL: ADBC's driver, and pyarrow's Flight client with messages of its own. Which one: the first argument."""

import sys

import matrix as m

ADDRESS = f"grpc://{m.HOST}:{m.FLIGHT}"


def compare_columns(describe):
    """`describe(user, table)` gives the columns."""
    for user in ("ada", "sam"):
        for table, count in m.COLUMNS[user].items():
            m.expect(f"columns of {table} for {user}", len(describe(user, table)), count)


def adbc():
    import adbc_driver_flightsql.dbapi as flight
    from adbc_driver_manager import DatabaseOptions

    def opened(user, password=None, **more):
        login = {DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: password or m.password(user)}
        return flight.connect(ADDRESS, db_kwargs=login, **more)

    def read(user, sql, values=None):
        with opened(user, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetch_arrow_table()

    def connect():
        m.expect("user", read("ada", "select current_user::text as u").column(0)[0].as_py(), "ada")

    def tables():
        for user, count in m.TABLES.items():
            with opened(user, autocommit=True) as connection:
                listed = connection.adbc_get_objects(depth="tables", db_schema_filter="public").read_all().to_pylist()
            names = [t["table_name"] for c in listed for s in c["catalog_db_schemas"] for t in s["db_schema_tables"]]
            m.expect(f"tables of {user}", len(names), count)
            m.expect(f"employees for {user}", "employees" in names, user != "iris")

    def describe():
        def schema(user, table):
            with opened(user, autocommit=True) as connection:
                return connection.adbc_get_table_schema(table, db_schema_filter="public")

        compare_columns(schema)

    def types():
        names = read("ada", "select table_name::text from information_schema.tables where table_schema = 'public'").column(0).to_pylist()
        for name in names:
            read("ada", f"select * from {name} limit 100")
        return f"every column of {len(names)} tables"

    def parameters():
        with opened("ada", autocommit=True) as connection, connection.cursor() as cursor:
            for number in range(1, 13):
                cursor.execute("select id from accounts where id = $1", (f"acc_{number:05}",))
                m.expect("id", cursor.fetchone(), (f"acc_{number:05}",))

    def errors():
        for sql, words in (("select * from no_such_table", "no_such_table"), ("select 1/0", "division by zero"), ("selec 1", "selec")):
            m.expect_error(lambda sql=sql: read("ada", sql), lambda _: None, "", words)
        m.expect_error(lambda: opened("ada", "wrong"), lambda _: None, "", "password authentication failed")
        return "by their texts"

    def transactions():
        with opened("ada") as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from regions")
            m.expect("rows", cursor.fetchone(), (4,))
            connection.rollback()
        return "BeginTransaction and EndTransaction of the driver"

    def fetch():
        with opened("ada", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(m.LARGE)
            m.expect("rows", sum(batch.num_rows for batch in cursor.fetch_record_batch()), m.LARGE_ROWS)
        return "record batches as they come"

    def policy():
        for user, count in m.ACCOUNTS.items():
            m.expect(f"accounts of {user}", read(user, "select count(*) from accounts").column(0)[0].as_py(), count)
        m.expect_error(lambda: read("sam", "select salary from employees"), lambda _: None, "", "salary")

    def own():
        import polars
        sql = "select r.name, count(*) as n, sum(a.annual_revenue) as revenue from accounts a join regions r on r.id = a.region_id where a.rating >= 1 group by r.name order by 1"
        for user, count in m.ACCOUNTS.items():
            with opened(user, autocommit=True) as connection:
                m.expect(f"accounts by region for {user}", polars.read_database(sql, connection)["n"].sum(), count)
        return "a join with aggregates into Polars, as two users"

    import importlib.metadata
    return "ADBC Flight SQL", importlib.metadata.version("adbc-driver-flightsql"), {
        "connect": connect, "tables": tables, "describe": describe, "types": types, "parameters": parameters, "errors": errors,
        "transactions": transactions, "fetch": fetch, "policy": policy, "own": own}


def pyarrow():
    import pyarrow
    from pyarrow import flight

    def field(number, text):
        data = text.encode()
        return bytes([number << 3 | 2]) + varint(len(data)) + data

    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    def command(name, message):
        """A command of Flight SQL: its message inside protobuf's Any."""
        packed = b"\x12" + varint(len(message)) + message
        return flight.FlightDescriptor.for_command(field(1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}") + packed)

    def opened(user, password=None):
        client = flight.FlightClient(ADDRESS)
        return client, flight.FlightCallOptions(headers=[client.authenticate_basic_token(user, password or m.password(user))])

    def chunks(user, name, message):
        client, options = opened(user)
        info = client.get_flight_info(command(name, message), options)
        for endpoint in info.endpoints:
            yield from client.do_get(endpoint.ticket, options)

    def read(user, sql):
        return pyarrow.Table.from_batches([chunk.data for chunk in chunks(user, "CommandStatementQuery", field(1, sql))])

    def listed(user, schemas=False):
        message = field(2, "public") + (b"\x28\x01" if schemas else b"")
        return pyarrow.Table.from_batches([chunk.data for chunk in chunks(user, "CommandGetTables", message)]).to_pylist()

    def connect():
        m.expect("user", read("ada", "select current_user::text as u").to_pylist(), [{"u": "ada"}])

    def tables():
        for user, count in m.TABLES.items():
            names = [row["table_name"] for row in listed(user)]
            m.expect(f"tables of {user}", len(names), count)
            m.expect(f"employees for {user}", "employees" in names, user != "iris")

    def describe():
        found = {user: {row["table_name"]: pyarrow.ipc.read_schema(pyarrow.py_buffer(row["table_schema"])) for row in listed(user, True)} for user in ("ada", "sam")}
        compare_columns(lambda user, table: found[user][table])
        return "CommandGetTables with schemas"

    def errors():
        for sql, words in (("select * from no_such_table", "no_such_table"), ("select 1/0", "division by zero")):
            m.expect_error(lambda sql=sql: read("ada", sql), lambda _: None, "", words)
        m.expect_error(lambda: opened("ada", "wrong"), lambda _: None, "", "password authentication failed")
        return "by their texts"

    def fetch():
        m.expect("rows", sum(chunk.data.num_rows for chunk in chunks("ada", "CommandStatementQuery", field(1, m.LARGE))), m.LARGE_ROWS)
        return "chunks as they come"

    def policy():
        for user, count in m.ACCOUNTS.items():
            m.expect(f"accounts of {user}", read(user, "select count(*) as n from accounts").to_pylist(), [{"n": count}])
        m.expect_error(lambda: read("sam", "select salary from employees"), lambda _: None, "", "salary")

    def own():
        for user, count in m.ACCOUNTS.items():
            table = read(user, "select region_id, rating, annual_revenue from accounts")
            grouped = table.group_by("region_id").aggregate([("rating", "max"), ("region_id", "count")])
            m.expect(f"accounts by region for {user}", sum(grouped["region_id_count"].to_pylist()), count)
        return "Arrow's own group by over what came, as two users"

    return "pyarrow Flight", pyarrow.__version__, {"connect": connect, "tables": tables, "describe": describe, "errors": errors, "fetch": fetch, "policy": policy, "own": own}


m.run(*{"adbc": adbc, "pyarrow": pyarrow}[sys.argv[1]]())
