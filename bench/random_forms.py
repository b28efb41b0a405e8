"""Random statements over the tables of TPC-H: `Forms(seed, samples, rows).statement()`. One seed gives one text over the same tables. No order
goes by an average, and each ORDER BY with a LIMIT is total: by keys, or by all that is shown."""

from random_values import BIG, EXACT, FEW, REFERENCES, TABLES, Column, Values, literal


class Relation:
    """What stands in FROM: its text, its columns, those that tell its rows apart, and about how many rows it has."""

    def __init__(self, text, scope, keys, rows, alias=None):
        self.text, self.scope, self.keys, self.rows, self.alias = text, scope, keys, rows, alias


class Forms(Values):
    def statement(self):
        """(what it is, its text, whether the order of its rows is told)."""
        kinds = {"plain": 16, "open": 6, "groups": 22, "totals": 9, "distinct": 7, "rollup": 8, "sets": 9, "windows": 9, "derived": 10, "first_of": 4,
                 "lists": 3, "fails": 2}
        kind = self.random.choices(list(kinds), kinds.values())[0]
        return kind, getattr(self, kind)(), self.ordered

    # FROM.

    def table(self, table):
        alias = self.name()
        keys, columns = TABLES[table]
        scope = []
        for column in columns.split():
            name, kind = column.split(":")
            scope.append(Column(f"{alias}.{name}", kind, (table, name), name in FEW))
        return Relation(f"{table} {alias}", scope, [f"{alias}.{key}" for key in keys.split()], self.rows[table], alias)

    def relation(self, most=5):
        """A table, or joins of some along keys."""
        names = [self.random.choice(BIG)]
        first = self.table(names[0])
        aliases = [first.alias]
        count = self.random.choices([1, 2, 3, 4, 5], [44, 24, 16, 10, 6])[0]
        for _ in range(min(count, most) - 1):
            at = self.random.randrange(len(names))
            near = [(found, True) for found in REFERENCES if found[0] == names[at]]
            near += [(found, False) for found in REFERENCES if found[2] == names[at]]
            (many, many_keys, one, one_keys), towards = self.random.choice(near)
            other, mine, its = (one, many_keys, one_keys) if towards else (many, one_keys, many_keys)
            rows = first.rows * (1 if towards else self.rows[many] / self.rows[one])
            if rows > 2 * self.rows["lineitem"]:
                continue
            aliases.append(self.join(first, other, aliases[at], mine, its))
            first.rows = rows
            names.append(other)
        if self.chance(0.06):
            self.join_values(first)
        return first

    def join(self, first, other, alias, mine, its):
        added = self.table(other)
        on = " AND ".join(f"{alias}.{a} = {added.alias}.{b}" for a, b in zip(mine.split(), its.split()))
        if self.chance(0.15):
            on += f" AND ({self.about_value(first.scope + added.scope, self.random.choice(added.scope), 0)})"
        word = self.pick("JOIN", "JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN")
        if word == "LEFT JOIN" and self.chance(0.3):
            on += f" AND ({self.condition(added.scope, 1)})"
        first.text += f" {word} {added.text} ON {on}"
        for column in {"LEFT JOIN": added.scope, "RIGHT JOIN": first.scope}.get(word, []):
            column.nullable = True
        first.scope = first.scope + added.scope
        first.keys = first.keys + added.keys
        return added.alias

    def join_values(self, first):
        column = self.random.choice([found for found in first.scope if found.sample and found.few] or first.scope)
        if not column.sample:
            return
        values = sorted({self.sample(column) for _ in range(self.random.randint(2, 5))})
        alias = self.name()
        rows = ", ".join(f"({literal(value)}, {number})" for number, value in enumerate(values))
        first.text += f" {self.pick('JOIN', 'LEFT JOIN')} (VALUES {rows}) AS {alias}(v, n) ON {alias}.v = {column.text}"
        first.scope = first.scope + [Column(f"{alias}.n", "int", None, True)]

    def where(self, found, most=3):
        conditions = self.conditions(found.scope, most)
        return " WHERE " + " AND ".join(f"({condition})" for condition in conditions) if conditions else ""

    def subquery(self, scope):
        """A condition that reads another table."""
        self.nested += 1
        columns = [column for column in scope if column.sample]
        near = [(column, many, many_keys) for many, many_keys, one, one_keys in REFERENCES for column in columns
                if column.sample[1] in (one_keys, many_keys) and " " not in many_keys]
        if not near:
            return self.condition(scope, 1)
        column, table, key = self.random.choice(near)
        inner = self.table(table)
        alias = inner.alias
        inside = [f"({condition})" for condition in self.conditions(inner.scope, 2)]
        form = self.random.randrange(7)
        both = " AND ".join([f"{alias}.{key} = {column.text}"] + inside)
        alone = " WHERE " + " AND ".join(inside) if inside else ""
        if form <= 1:
            return f"{self.pick('', 'NOT ')}EXISTS (SELECT 1 FROM {inner.text} WHERE {both})"
        if form <= 3:
            return f"{column.text} {self.pick('', 'NOT ')}IN (SELECT {alias}.{key} FROM {inner.text}{alone})"
        if form == 4:
            return f"{column.text} {self.pick('>', '<', '<>')} (SELECT {self.pick('max', 'min')}({alias}.{key}) FROM {inner.text}{alone})"
        if form == 5:
            # A comparison by size meets each pair of rows.
            sign = self.pick("= ANY", "<> ALL", "> ALL", "<= ANY") if self.rows[table] <= 1000 else self.pick("= ANY", "<> ALL")
            return f"{column.text} {sign} (SELECT {alias}.{key} FROM {inner.text}{alone})"
        return f"(SELECT count(*) FROM {inner.text} WHERE {both}) {self.pick('>', '<=', '=')} {self.random.randint(0, 5)}"

    # What is shown, and in which order.

    def items(self, scope, least=1, most=5):
        kinds = self.random.choices(EXACT + ["moment", "double", "scalar"], [10, 12, 12, 8, 2, 2, 2, 1], k=self.random.randint(least, most))
        return [(kind, self.item(scope, kind)) for kind in kinds]

    def item(self, scope, kind):
        if kind == "double":
            return self.double(scope)
        if kind == "moment":
            return self.moment(scope)
        if kind == "scalar":
            return self.scalar(scope)
        return self.value(scope, kind)

    def scalar(self, scope):
        """What another table has to a row, or in all."""
        found = [(column, many, key) for many, key, _, one_key in REFERENCES for column in scope
                 if column.sample and column.sample[1] in (one_key, key)]
        if not found or self.nested:
            return self.int(scope, 1)
        self.nested += 1
        column, table, key = self.random.choice(found)
        inner = self.table(table)
        _, what = self.aggregate(inner.scope, exact=True)
        where = f" WHERE {inner.alias}.{key} = {column.text}" if self.chance(0.7) else self.where(inner, 1)
        return f"(SELECT {what} FROM {inner.text}{where})"

    def order(self, keys):
        """All of these, shuffled, each in a direction of its own."""
        keys = list(keys)
        self.random.shuffle(keys)
        return ", ".join(f"{key}{self.pick('', '', ' ASC', ' DESC', ' DESC NULLS LAST', ' NULLS FIRST')}" for key in keys)

    def limit(self, most=60):
        return f" LIMIT {self.random.randint(1, most)}" + (f" OFFSET {self.random.randint(1, 20)}" if self.chance(0.1) else "")

    def shown(self, items):
        return ", ".join(f"{text} AS c{number}" for number, (_, text) in enumerate(items, 1))

    def ordinals(self, items):
        return [str(number) for number, (kind, _) in enumerate(items, 1) if kind != "double"]

    # Statements.

    def rows_of(self, found, items, most=3):
        """Rows in a total order: some keys of the order are what is shown, and at the end those that tell rows apart."""
        first = self.random.sample(self.ordinals(items), self.random.randint(0, len(self.ordinals(items))))
        keys = [key for key in [self.order(first), self.order(found.keys)] if key]
        return f"SELECT {self.shown(items)} FROM {found.text}{self.where(found, most) if most else ''} ORDER BY {', '.join(keys)}"

    def plain(self):
        found = self.relation()
        return self.rows_of(found, self.items(found.scope)) + self.limit()

    def open(self):
        """All rows of some keys, half of these in no order."""
        found = self.relation(3)
        table = found.scope[0].sample[0]
        first = self.sample(found.scope[0])
        some = f"({found.scope[0].text} BETWEEN {first} AND {first + self.random.randint(0, self.rows[table] // 50)})"
        items = self.items(found.scope)
        if self.chance(0.5):
            self.ordered = False
            where = self.where(found)
            return f"SELECT {self.shown(items)} FROM {found.text}{where + ' AND ' if where else ' WHERE '}{some}"
        found.text += f" WHERE {some}"
        return self.rows_of(found, items, 0)

    def totals(self):
        found = self.relation()
        aggregates = [self.aggregate(found.scope) for _ in range(self.random.randint(1, 6))]
        return f"SELECT {self.shown(aggregates)} FROM {found.text}{self.where(found)}"

    def lists(self):
        found = self.relation(2)
        group = self.few(found.scope)
        kind = self.pick("text", "int")
        order = ", ".join([self.value(found.scope, "int", 1)] + found.keys)
        what = f"string_agg({self.value(found.scope, 'text', 1)}, ',' ORDER BY {order})" if kind == "text" else \
            f"array_agg({self.value(found.scope, 'int', 1)} ORDER BY {order})"
        key = found.scope[0]
        where = f" WHERE {key.text} < {self.random.randint(2, 120)}" if key.kind == "int" else ""
        return f"SELECT {group} AS c1, {what} AS c2, count(*) AS c3 FROM {found.text}{where} GROUP BY {group} ORDER BY 1"

    def fails(self):
        """A cast that no text bears: refused by all, where a row is left to be refused for."""
        found = self.relation(2)
        text = self.leaf(found.scope, "text")
        return f"SELECT count(*), max(CAST({text} AS integer)) FROM {found.text}{self.where(found, 1)}"

    def aggregate(self, scope, exact=False):
        form = self.random.randrange(12 if exact else 17)
        filtered = f" FILTER (WHERE {self.condition(scope, 1)})" if self.chance(0.25) else ""
        if form <= 2:
            return "int", f"count(*){filtered}"
        if form == 3:
            return "int", f"count({self.value(scope, self.pick('int', 'text', 'date'), 1)}){filtered}"
        if form == 4:
            return "int", f"count(DISTINCT {self.value(scope, self.pick('int', 'text', 'dec', 'date'), 1)}){filtered}"
        if form <= 7:
            text = f"sum({self.value(scope, 'dec', 2)}){filtered}"
            # DuckDB's has 38 digits, and it rounds what is computed further.
            return "dec", f"CAST({text} AS numeric(22, 4))" if exact else text
        if form == 8:
            return "int", f"sum({self.value(scope, 'int', 2)}){filtered}"
        if form <= 10:
            kind = self.pick("int", "dec", "text", "date")
            return kind, f"{self.pick('min', 'max')}({self.value(scope, kind, 1)}){filtered}"
        if form == 11:
            return "bool", f"{self.pick('bool_and', 'bool_or')}({self.condition(scope, 1)}){filtered}"
        if form <= 14:
            return "double", f"avg({self.value(scope, self.pick('dec', 'dec', 'int'), 1)}){filtered}"
        if form == 15:
            return "double", f"{self.pick('sum', 'avg')}({self.double(scope)}){filtered}"
        return "double", f"{self.pick('stddev_samp', 'var_pop')}(CAST({self.leaf(scope, self.pick('dec', 'int'))} AS double precision)){filtered}"

    def few(self, scope):
        """A value of which there are few."""
        columns = [column for column in scope if column.few]
        if columns and self.chance(0.75):
            column = self.random.choice(columns)
            return column.text
        if self.of(scope, "date") and self.chance(0.6):
            return f"CAST(extract({self.pick('year', 'month', 'quarter', 'dow')} FROM {self.leaf_column(scope, 'date')}) AS integer)"
        return self.pick(f"substring({self.leaf_column(scope, 'text')} FROM 1 FOR 1)", f"({self.leaf_column(scope, 'int')} % 7)",
                         f"CASE WHEN {self.condition(scope, 1)} THEN 'yes' ELSE {self.pick(chr(39) + 'no' + chr(39), 'NULL')} END")

    def leaf_column(self, scope, kind):
        column = self.of(scope, kind)
        return column.text if column else self.random.choice(scope).text

    def having(self, scope):
        form = self.random.randrange(4)
        if form == 0:
            return f" HAVING count(*) > {self.random.randint(1, 40)}"
        if form == 1:
            return f" HAVING sum({self.leaf_column(scope, 'dec' if self.of(scope, 'dec') else 'int')}) > {self.random.randint(1, 99999)}.5"
        if form == 2 and self.of(scope, "date"):
            return f" HAVING max({self.leaf_column(scope, 'date')}) >= DATE '1998-0{self.random.randint(1, 9)}-01' OR count(*) < 4"
        return f" HAVING count(DISTINCT {self.leaf_column(scope, 'int')}) {self.pick('>', '<')} {self.random.randint(1, 30)}"

    def keys_of_groups(self, scope):
        keys = []
        for _ in range(self.random.choices([1, 2, 3], [50, 35, 15])[0]):
            key = self.few(scope) if self.chance(0.65) else self.value(scope, self.pick("int", "text", "date", "dec"), 1)
            if key not in keys and any(column.text in key for column in scope):
                keys.append(key)
        return keys or [self.random.choice(scope).text]

    def groups(self):
        found = self.relation()
        keys = self.keys_of_groups(found.scope)
        aggregates = [self.aggregate(found.scope) for _ in range(self.random.randint(1, 5))]
        items = [("key", key) for key in keys] + aggregates
        having = self.having(found.scope) if self.chance(0.25) else ""
        numbers = [str(number) for number in range(1, len(keys) + 1)]
        group = ", ".join(numbers if self.chance(0.5) else keys)
        exact = [number for number in self.ordinals(items) if number not in numbers]
        first = self.order(self.random.sample(exact, self.random.randint(0, len(exact)))) if self.chance(0.6) else ""
        order = ", ".join(part for part in [first, self.order(numbers)] if part)
        return f"SELECT {self.shown(items)} FROM {found.text}{self.where(found)} GROUP BY {group}{having} ORDER BY {order}{self.limit(200)}"

    def rollup(self):
        found = self.relation(3)
        keys = list(dict.fromkeys(column.text for column in self.random.sample(found.scope, len(found.scope)) if column.few))[:3]
        if len(keys) < 2:
            keys = list(dict.fromkeys(keys + [self.few(found.scope)]))
        aggregates = [self.aggregate(found.scope) for _ in range(self.random.randint(1, 4))]
        told = [("int", f"grouping({key})") for key in keys]
        sets = self.pick(f"ROLLUP ({', '.join(keys)})", f"ROLLUP ({', '.join(keys)})", f"CUBE ({', '.join(keys)})",
                         f"GROUPING SETS (({', '.join(keys)}), ({keys[0]}), ())")
        items = [("key", key) for key in keys] + told + aggregates
        order = self.order(str(number) for number in range(1, 2 * len(keys) + 1))
        return f"SELECT {self.shown(items)} FROM {found.text}{self.where(found)} GROUP BY {sets} ORDER BY {order} LIMIT 300"

    def distinct(self):
        found = self.relation(3)
        items = [("key", key) for key in self.keys_of_groups(found.scope)]
        order = self.order(self.ordinals(items))
        return f"SELECT DISTINCT {self.shown(items)} FROM {found.text}{self.where(found)} ORDER BY {order}{self.limit(200)}"

    def first_of(self):
        found = self.relation(2)
        key = self.few(found.scope)
        items = self.items(found.scope)
        order = ", ".join([key, self.order(found.keys)])
        return f"SELECT DISTINCT ON ({key}) {self.shown(items)} FROM {found.text}{self.where(found)} ORDER BY {order} LIMIT 100"

    def sets(self):
        kinds = self.random.choices(["int", "text", "date", "dec"], k=self.random.randint(1, 3))
        text = ""
        for number in range(self.random.randint(2, 3)):
            found = self.relation(2)
            items = [(kind, self.few_of(found.scope, kind)) for kind in kinds]
            part = f"SELECT {self.shown(items)} FROM {found.text}{self.where(found, 2)}"
            if number:
                text = f"({text}) {self.pick('UNION', 'UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT', 'EXCEPT ALL', 'INTERSECT ALL')} ({part})"
            else:
                text = part
        return f"SELECT * FROM ({text}) AS u ORDER BY {self.order(str(number) for number in range(1, len(kinds) + 1))}{self.limit(300)}"

    def few_of(self, scope, kind):
        if kind == "int":
            return f"({self.int(scope, 1)} % 30)"
        if kind == "text":
            return f"substring({self.text(scope, 1)} FROM 1 FOR {self.random.randint(1, 4)})"
        return self.value(scope, kind, 1)

    def windows(self):
        found = self.relation(3)
        scope = found.scope
        items = [(kind, text) for kind, text in self.items(scope, 1, 2) if kind != "double"] or [("int", self.int(scope, 1))]
        over = []
        for _ in range(self.random.randint(1, 3)):
            part = f"PARTITION BY {self.few(scope)} " if self.chance(0.8) else ""
            total = f"ORDER BY {self.order([self.value(scope, self.pick('date', 'int', 'dec'), 0)])}, {self.order(found.keys)}"
            what = self.pick("row_number()", f"lag({self.leaf(scope, 'int')})", f"lead({self.leaf(scope, 'text')}, 2)", "ntile(5)",
                             f"first_value({self.leaf(scope, 'text')})", f"sum({self.leaf(scope, 'dec')})", f"count({self.leaf(scope, 'int')})",
                             f"max({self.leaf(scope, 'date')})", f"avg({self.leaf(scope, 'dec')})")
            frame = ""
            if what.split("(")[0] in ("sum", "count", "max", "avg", "first_value") and self.chance(0.6):
                frame = f" ROWS BETWEEN {self.random.randint(1, 5)} PRECEDING AND {self.pick('CURRENT ROW', '2 FOLLOWING')}"
            peers = f"ORDER BY {self.leaf_column(scope, self.pick('int', 'date', 'text'))}"
            if self.chance(0.35):
                what, total, frame = self.pick("rank()", "dense_rank()", "count(*)", f"sum({self.leaf(scope, 'dec')})"), peers, ""
            over.append(("double" if what.startswith("avg") else "int", f"{what} OVER ({part}{total}{frame})"))
        return f"SELECT {self.shown(items + over)} FROM {found.text}{self.where(found)} ORDER BY {self.order(found.keys)}{self.limit()}"

    def derived(self):
        """Groups that are joined, filtered or grouped again, in FROM or in WITH."""
        inner = self.relation(3)
        key = self.random.choice([column for column in inner.scope if column.sample])
        aggregates = [self.aggregate(inner.scope, exact=True) for _ in range(self.random.randint(1, 3))]
        text = f"SELECT {key.text} AS k, {', '.join(f'{found} AS a{n}' for n, (_, found) in enumerate(aggregates))} FROM {inner.text}" \
            f"{self.where(inner)} GROUP BY {key.text}"
        alias = self.name()
        scope = [Column(f"{alias}.k", key.kind, key.sample, key.few, key.nullable)]
        scope += [Column(f"{alias}.a{n}", kind) for n, (kind, _) in enumerate(aggregates)]
        table = key.sample[0]
        other = self.table(table)
        joined = self.chance(0.4) and len(TABLES[table][0].split()) == 1 and key.sample[1] == TABLES[table][0]
        if joined:
            scope = scope + other.scope
        before, source = (f"WITH {alias} AS ({text}) ", alias) if self.chance(0.5) else ("", f"({text}) AS {alias}")
        if joined:
            word = self.pick("JOIN", "LEFT JOIN")
            for column in other.scope:
                column.nullable = word == "LEFT JOIN"
            source += f" {word} {other.text} ON {other.alias}.{TABLES[table][0]} = {alias}.k"
        found = Relation(source, scope, [f"{alias}.k"], 0)
        if self.chance(0.5):
            items = [("int", "count(*)")] + [self.aggregate(scope) for _ in range(self.random.randint(1, 4))]
            return f"{before}SELECT {self.shown(items)} FROM {source}{self.where(found, 2)}"
        items = [("key", f"{alias}.k")] + self.items(scope, 1, 4)
        return f"{before}{self.rows_of(found, items)}{self.limit(100)}"
