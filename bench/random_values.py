"""Random values and conditions over columns of TPC-H, in words that mean the same to PostgreSQL and to DuckDB: no quotient of exact numbers
(a whole number there, a double here), no text of a decimal."""

import random

TABLES = {
    "region": ("r_regionkey", "r_regionkey:int r_name:text r_comment:text"),
    "nation": ("n_nationkey", "n_nationkey:int n_name:text n_regionkey:int n_comment:text"),
    "supplier": ("s_suppkey", "s_suppkey:int s_name:text s_address:text s_nationkey:int s_phone:text s_acctbal:dec s_comment:text"),
    "customer": ("c_custkey", "c_custkey:int c_name:text c_address:text c_nationkey:int c_phone:text c_acctbal:dec c_mktsegment:text "
                 "c_comment:text"),
    "part": ("p_partkey", "p_partkey:int p_name:text p_mfgr:text p_brand:text p_type:text p_size:int p_container:text p_retailprice:dec "
             "p_comment:text"),
    "partsupp": ("ps_partkey ps_suppkey", "ps_partkey:int ps_suppkey:int ps_availqty:int ps_supplycost:dec ps_comment:text"),
    "orders": ("o_orderkey", "o_orderkey:int o_custkey:int o_orderstatus:text o_totalprice:dec o_orderdate:date o_orderpriority:text "
               "o_clerk:text o_shippriority:int o_comment:text"),
    "lineitem": ("l_orderkey l_linenumber", "l_orderkey:int l_partkey:int l_suppkey:int l_linenumber:int l_quantity:dec "
                 "l_extendedprice:dec l_discount:dec l_tax:dec l_returnflag:text l_linestatus:text l_shipdate:date l_commitdate:date "
                 "l_receiptdate:date l_shipinstruct:text l_shipmode:text l_comment:text"),
}
# A table whose rows refer to one row of another.
REFERENCES = [
    ("nation", "n_regionkey", "region", "r_regionkey"),
    ("supplier", "s_nationkey", "nation", "n_nationkey"),
    ("customer", "c_nationkey", "nation", "n_nationkey"),
    ("partsupp", "ps_partkey", "part", "p_partkey"),
    ("partsupp", "ps_suppkey", "supplier", "s_suppkey"),
    ("orders", "o_custkey", "customer", "c_custkey"),
    ("lineitem", "l_orderkey", "orders", "o_orderkey"),
    ("lineitem", "l_partkey", "part", "p_partkey"),
    ("lineitem", "l_suppkey", "supplier", "s_suppkey"),
    ("lineitem", "l_partkey l_suppkey", "partsupp", "ps_partkey ps_suppkey"),
]
FEW = set("l_returnflag l_linestatus l_shipmode l_shipinstruct l_linenumber l_tax l_discount o_orderstatus o_orderpriority c_mktsegment "
          "c_nationkey s_nationkey n_name n_regionkey r_name p_brand p_mfgr p_container p_size".split())
BIG = ["lineitem"] * 6 + ["orders"] * 4 + ["customer", "partsupp", "part"] * 2 + ["supplier", "nation"]
EXACT = ["int", "dec", "text", "date", "bool"]


def literal(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"DATE '{value}'" if hasattr(value, "year") else str(value)


class Column:
    def __init__(self, text, kind, sample=None, few=False, nullable=False):
        self.text, self.kind, self.sample, self.few, self.nullable = text, kind, sample, few, nullable


class Values:
    """What is chosen for one statement; `random_forms.Forms` writes it."""

    def __init__(self, seed, samples, rows):
        self.random, self.samples, self.rows = random.Random(seed), samples, rows
        self.names, self.nested, self.ordered = 0, 0, True

    # Small helps.

    def chance(self, of):
        return self.random.random() < of

    def pick(self, *among):
        return self.random.choice(among)

    def name(self):
        self.names += 1
        return f"t{self.names}"

    def of(self, scope, kind):
        found = [column for column in scope if column.kind == kind]
        return self.random.choice(found) if found else None

    def sample(self, column):
        if column.sample:
            table, name = column.sample
            return self.random.choice(self.samples[table])[name]
        return {"int": self.random.randint(0, 60), "dec": f"{self.random.randint(0, 9_000_000) / 100:.2f}"}.get(column.kind)

    # Expressions by their type.

    def value(self, scope, kind, depth=2):
        return getattr(self, kind)(scope, depth)

    def leaf(self, scope, kind):
        column = self.of(scope, kind)
        if column is None or self.chance(0.06):
            return {"int": str(self.random.randint(0, 50)), "dec": f"{self.random.randint(1, 99999) / 100:.2f}", "text": "'none'",
                    "date": f"DATE '199{self.random.randint(2, 8)}-0{self.random.randint(1, 9)}-15'"}[kind]
        return column.text

    def chosen(self, scope, kind, depth):
        """What is there for values of every type."""
        form = self.random.randrange(5)
        one, other = self.value(scope, kind, depth - 1), self.value(scope, kind, 0)
        if form == 0:
            return f"CASE WHEN {self.condition(scope, depth - 1)} THEN {one} ELSE {other} END"
        if form == 1:
            return f"CASE WHEN {self.condition(scope, 0)} THEN {one} WHEN {self.condition(scope, 0)} THEN {other} END"
        column = self.of(scope, kind)
        if form == 2 and column is not None and self.sample(column) is not None:
            return f"nullif({column.text}, {literal(self.sample(column))})"
        if form == 3:
            return f"coalesce({self.chosen(scope, kind, 1) if depth > 1 else one}, {other})"
        return f"{self.pick('greatest', 'least')}({one}, {other})"

    def int(self, scope, depth):
        if depth <= 0 or self.chance(0.4):
            return self.leaf(scope, "int")
        form = self.random.randrange(9)
        one = self.leaf(scope, "int")
        if form == 0:
            return f"({one} + {self.leaf(scope, 'int')})"
        if form == 1:
            return f"({one} * {self.random.randint(2, 40)} - {self.leaf(scope, 'int')})"
        if form == 2:
            return f"({one} % {self.random.randint(2, 90)})"
        if form == 3 and self.of(scope, "date"):
            return f"CAST(extract({self.pick('year', 'month', 'quarter', 'day', 'dow', 'doy', 'week')} FROM {self.leaf(scope, 'date')}) AS integer)"
        if form == 4 and self.of(scope, "text"):
            return f"length({self.text(scope, depth - 1)})"
        if form == 5 and self.of(scope, "date"):
            return f"({self.leaf(scope, 'date')} - {self.leaf(scope, 'date')})"
        if form == 6 and self.of(scope, "text"):
            return f"strpos({self.leaf(scope, 'text')}, '{self.pick('a', 'e', 'ly', '#', ' ')}')"
        if form == 7:
            return f"abs({self.int(scope, depth - 1)})"
        return self.chosen(scope, "int", depth)

    def dec(self, scope, depth):
        if depth <= 0 or self.chance(0.4):
            return self.leaf(scope, "dec")
        form = self.random.randrange(7)
        one = self.leaf(scope, "dec")
        if form == 0:
            return f"{one} * (1 - {self.leaf(scope, 'dec')})"
        if form == 1:
            return f"({one} {self.pick('+', '-')} {self.leaf(scope, 'dec')})"
        if form == 2:
            return f"({one} * {self.random.randint(2, 9)} + {self.leaf(scope, 'int')})"
        if form == 3:
            return f"round({one}, {self.random.randint(0, 1)})"
        if form == 4:
            return f"abs(-{one})"
        return self.chosen(scope, "dec", depth)

    def text(self, scope, depth):
        if depth <= 0 or self.chance(0.4):
            return self.leaf(scope, "text")
        form = self.random.randrange(10)
        one = self.text(scope, depth - 1)
        if form == 0:
            return f"{self.pick('upper', 'lower', 'trim', 'reverse')}({one})"
        if form in (1, 2):
            return f"substring({one} FROM {self.random.randint(1, 5)} FOR {self.random.randint(1, 9)})"
        if form == 3:
            return f"{self.pick('left', 'right')}({one}, {self.random.randint(1, 6)})"
        if form == 4:
            return f"({one} || {self.pick(chr(39) + '-' + chr(39), self.leaf(scope, 'text'))})"
        if form == 5:
            return f"replace({one}, '{self.pick('a', 'the', '#', 'o')}', '{self.pick('', 'x', 'yz')}')"
        if form == 6:
            return f"CAST({self.int(scope, 0)} AS text)"
        if form == 7:
            return f"lpad({one}, {self.random.randint(3, 12)}, '*')"
        if form == 8:
            return f"concat({one}, '/', {self.leaf(scope, 'text')})"
        return self.chosen(scope, "text", depth)

    def date(self, scope, depth):
        if depth <= 0 or self.chance(0.5):
            return self.leaf(scope, "date")
        form = self.random.randrange(3)
        if form == 0:
            return f"({self.leaf(scope, 'date')} {self.pick('+', '-')} {self.random.randint(1, 400)})"
        if form == 1:
            return f"CAST({self.moment(scope)} AS date)"
        return self.chosen(scope, "date", depth)

    def moment(self, scope):
        if self.chance(0.5):
            return f"date_trunc('{self.pick('year', 'quarter', 'month', 'week')}', {self.leaf(scope, 'date')})"
        return f"{self.leaf(scope, 'date')} {self.pick('+', '-')} INTERVAL '{self.random.randint(1, 20)}' {self.pick('DAY', 'MONTH', 'YEAR')}"

    def bool(self, scope, depth):
        return f"({self.condition(scope, depth - 1)})"

    def double(self, scope):
        one, other = (f"CAST({self.leaf(scope, self.pick('dec', 'int'))} AS double precision)" for _ in range(2))
        return self.pick(f"{one} / nullif({other}, 0)", f"sqrt(abs({one}))", f"{one} * 1.5e0 + {other}", f"ln(1 + abs({one}))")

    # Conditions.

    def conditions(self, scope, most=3):
        count = self.random.randint(0, most)
        found = [self.condition(scope, 2) for _ in range(count)]
        if self.nested < 2 and self.chance(0.25):
            found.append(self.subquery(scope))
        return found

    def condition(self, scope, depth):
        if depth > 0 and self.chance(0.35):
            one, other = self.condition(scope, depth - 1), self.condition(scope, depth - 1)
            return self.pick(f"NOT ({one})", f"({one} AND {other})", f"({one} OR {other})", f"({one} OR {other})",
                             f"({one}) IS {self.pick('', 'NOT ')}{self.pick('TRUE', 'FALSE', 'NULL')}",
                             f"CASE WHEN {one} THEN {other} ELSE {self.condition(scope, 0)} END")
        columns = [column for column in scope if column.sample]
        if not columns:
            return f"{self.value(scope, 'int', depth)} {self.pick('<', '>=', '<>')} {self.random.randint(0, 40)}"
        column = self.random.choice([found for found in columns if found.few] or columns) if self.chance(0.3) else self.random.choice(columns)
        about = self.pick("literal", "literal", "literal", "range", "range", "list", "value", "null", "pair", "like", "moment")
        return getattr(self, f"about_{about}")(scope, column, depth)

    def about_literal(self, _scope, column, _depth):
        # One value of many leaves next to nothing.
        equal = ["=", "=", "IS NOT DISTINCT FROM"] if column.few or self.chance(0.1) else []
        return f"{column.text} {self.pick('<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', *equal)} {literal(self.sample(column))}"

    def about_range(self, _scope, column, _depth):
        low, high = sorted((self.sample(column), self.sample(column)))
        if column.kind == "date" and self.chance(0.5):
            sign = self.pick(">=", ">")
            return (f"{column.text} {sign} {literal(low)} AND {column.text} < {literal(low)} + INTERVAL '{self.random.randint(1, 14)}' "
                    f"{self.pick('MONTH', 'DAY', 'YEAR')}")
        return f"{column.text} {self.pick('', 'NOT ')}BETWEEN {literal(low)} AND {literal(high)}"

    def about_list(self, _scope, column, _depth):
        values = ", ".join(literal(self.sample(column)) for _ in range(self.random.randint(1, 7)))
        return f"{column.text} {self.pick('', '', 'NOT ') if column.few or self.chance(0.2) else 'NOT '}IN ({values})"

    def about_value(self, scope, column, depth):
        return f"{self.value(scope, column.kind, depth)} {self.pick('=', '<>', '<', '<=', '>', '>=')} {self.value(scope, column.kind, depth)}"

    def about_null(self, scope, column, _depth):
        return f"{self.chosen(scope, column.kind, 1)} IS {self.pick('', 'NOT ', 'NOT ', 'NOT ')}NULL"

    def about_pair(self, scope, column, depth):
        # DuckDB compares NULL in a row as a value.
        others = [found for found in scope if found.sample and not found.nullable]
        if column.nullable or not others:
            return self.about_list(scope, column, depth)
        other = self.random.choice(others)
        pairs = [f"({literal(self.sample(column))}, {literal(self.sample(other))})" for _ in range(self.random.randint(1, 4))]
        if self.chance(0.5):
            return f"({column.text}, {other.text}) {'' if column.few and other.few else 'NOT '}IN ({', '.join(pairs)})"
        return f"({column.text}, {other.text}) {self.pick('<', '>=')} {pairs[0]}"

    def about_moment(self, scope, column, depth):
        if not self.of(scope, "date"):
            return self.about_range(scope, column, depth)
        return f"{self.moment(scope)} {self.pick('<', '>=', '<=', '>')} {self.leaf(scope, 'date')}"

    def about_like(self, scope, column, depth):
        column = self.of([found for found in scope if found.sample], "text")
        if column is None:
            return f"{self.int(scope, depth)} < {self.random.randint(0, 100)}"
        value = self.sample(column)
        at = self.random.randrange(max(len(value) - 4, 1))
        piece = value[at:at + self.random.randint(1, 5)].replace("%", "")
        if self.chance(0.3) and len(piece) > 2:
            piece = piece[0] + "_" + piece[2:]
        pattern = self.pick(f"%{piece}%", f"%{piece}%", f"{value[:self.random.randint(1, 6)]}%", f"%{value[-2:]}", f"%{piece}%{value[-1]}%")
        text = column.text if depth < 1 or self.chance(0.7) else self.text(scope, 1)
        return f"{text} {self.pick('LIKE', 'LIKE', 'NOT LIKE', 'ILIKE')} {literal(pattern)}"
