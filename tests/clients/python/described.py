"""What SQLAlchemy's inspector tells of every table of schema public, a line for each thing: to compare two servers.

described.py postgresql+psycopg://…
"""

import sys

import sqlalchemy as sa

inspector = sa.inspect(sa.create_engine(sys.argv[1]))
for table in sorted(inspector.get_table_names("public")):
    print("table", table)
    for column in inspector.get_columns(table, "public"):
        kind = repr(column["type"])
        print("column", table, column["name"], kind, "null" if column["nullable"] else "not null")
    print("primary", table, {k: v for k, v in inspector.get_pk_constraint(table, "public").items() if k in ("name", "constrained_columns")})
    for key in sorted(inspector.get_foreign_keys(table, "public"), key=lambda key: key["name"]):
        print("foreign", table, sorted((k, v) for k, v in key.items() if k not in ("comment", "referred_schema")))
    for key in sorted(inspector.get_unique_constraints(table, "public"), key=lambda key: key["name"]):
        print("unique", table, key["name"], key["column_names"])
    for index in sorted(inspector.get_indexes(table, "public"), key=lambda index: index["name"]):
        print("index", table, index["name"], index["column_names"], index["unique"], index.get("column_sorting"), index.get("duplicates_constraint"))
for enum in inspector.get_enums("public"):
    print("enum", enum["name"], enum["labels"], enum["visible"])
