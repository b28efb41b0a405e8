// pgx 4: changes with parameters in binary, batches, CopyFrom, nested transactions, the simple protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

const insertOne = "insert into ticket (code, title, region) values ($1, $2, 'eu')"

var ctx = context.Background()

func open(user string, act func(*pgx.Conn)) {
	connection, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s:demo-%s@127.0.0.1:%s/demo", user, user, os.Getenv("GATE_PORT")))
	check(err)
	defer connection.Close(ctx)
	act(connection)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(what string, got, wanted interface{}) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		panic(fmt.Errorf("%s: %v instead of %v", what, got, wanted))
	}
}

func expectError(err error, state, words string) *pgconn.PgError {
	var found *pgconn.PgError
	if !errors.As(err, &found) {
		panic(fmt.Errorf("no PostgreSQL error, expected %s: %v", state, err))
	}
	expect("SQLSTATE of "+found.Message, found.Code, state)
	if !strings.Contains(found.Message+found.Where, words) {
		panic(fmt.Errorf("%q has no %q", found.Message+found.Where, words))
	}
	return found
}

type changer interface {
	Exec(context.Context, string, ...interface{}) (pgconn.CommandTag, error)
}

func changed(c changer, sql string, values ...interface{}) int64 {
	tag, err := c.Exec(ctx, sql, values...)
	check(err)
	return tag.RowsAffected()
}

func failed(c changer, sql string, values ...interface{}) error {
	_, err := c.Exec(ctx, sql, values...)
	return err
}

func text(c *pgx.Conn, sql string) string {
	var found string
	check(c.QueryRow(ctx, sql).Scan(&found))
	return found
}

func insert() string {
	seen, due := time.Date(2026, 7, 8, 9, 10, 11, 123456000, time.UTC), time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	open("omar", func(c *pgx.Conn) {
		columns := "code, title, amount, ratio, seen, due, done, customer_id, region"
		sql := "insert into ticket (" + columns + ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		expect("one row", changed(c, sql, "i1", "Grün", 12.5, 0.1, seen, due, true, 1, "eu"), 1)
		sql = "insert into ticket (code, title, region) values ($1, $2, 'eu'), ($3, $4, 'eu')"
		expect("two rows", changed(c, sql, "i2", "Größe", "i3", "gone soon"), 2)
		var title string
		var amount, ratio float64
		var at, on time.Time
		var done bool
		read := "select title, amount, ratio, seen, due, done from ticket where code = 'i1'"
		check(c.QueryRow(ctx, read).Scan(&title, &amount, &ratio, &at, &on, &done))
		expect("as it is read", fmt.Sprint(title, amount, ratio, at.UTC(), on, done), fmt.Sprint("Grün", 12.5, 0.1, seen, due, true))
		for n := 0; n < 8; n++ {
			expect("execution", changed(c, insertOne, fmt.Sprintf("o%d", n), "many"), 1)
		}
	})
	open("mara", func(c *pgx.Conn) { expect("of another user", text(c, "select count(*)::text from ticket"), "1") })
	return "9 types as parameters in binary, 8 executions"
}

func update() string {
	open("omar", func(c *pgx.Conn) {
		expect("by a unique value", changed(c, "update ticket set amount = $1, done = $2 where code = $3", 5.25, true, "i2"), 1)
		var id int64
		check(c.QueryRow(ctx, "select id from ticket where code = 'i2'").Scan(&id))
		for n := 0; n < 8; n++ {
			expect("by key", changed(c, "update ticket set ratio = $1 where id = $2", float64(n), id), 1)
		}
		expect("to null", changed(c, "update ticket set ratio = $1 where id = $2", nil, id), 1)
		expect("by condition", changed(c, "update ticket set amount = coalesce(amount, 0) + $1 where title = 'many'", 1), 8)
		expect("a hidden row", changed(c, "update ticket set title = 'mine' where code = $1", "taken"), 0)
	})
	return "by key and condition, 8 executions"
}

func remove() string {
	open("omar", func(c *pgx.Conn) {
		expect("one", changed(c, "delete from ticket where code = $1", "i3"), 1)
		expect("many", changed(c, "delete from ticket where code = any($1)", []string{"o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7"}), 8)
		expect("a hidden row", changed(c, "delete from ticket where code = $1", "taken"), 0)
	})
	return ""
}

func upsert() string {
	sql := insertOne + " on conflict (code) do update set title = excluded.title"
	open("omar", func(c *pgx.Conn) {
		expect("taken", changed(c, sql, "i1", "upserted"), 1)
		expect("free", changed(c, sql, "u1", "new"), 1)
		expect("nothing", changed(c, insertOne+" on conflict do nothing", "i1", "x"), 0)
		expectError(failed(c, sql, "taken", "mine"), "23505", "")
	})
	return ""
}

func returning() string {
	open("omar", func(c *pgx.Conn) {
		var id int64
		var done bool
		check(c.QueryRow(ctx, insertOne+" returning id, done", "o1", "r").Scan(&id, &done))
		expect("default", done, false)
		var twice float64
		var big string
		check(c.QueryRow(ctx, "update ticket set amount = $1 where id = $2 returning amount * 2, upper(title)", 2, id).Scan(&twice, &big))
		expect("updated", fmt.Sprint(twice, big), fmt.Sprint(4.0, "R"))
		var code string
		check(c.QueryRow(ctx, "delete from ticket where id = $1 returning code", id).Scan(&code))
		expect("deleted", code, "o1")
	})
	return ""
}

func copyIn() string {
	open("omar", func(c *pgx.Conn) {
		columns := []string{"code", "title", "amount", "done", "customer_id", "region"}
		rows := [][]interface{}{{"c1", "tab\tand \\", 1.25, true, nil, "eu"}, {"c2", `a "quote", and`, nil, false, 2, "eu"}}
		for n := 0; n < 3000; n++ {
			rows = append(rows, []interface{}{fmt.Sprintf("o%d", n), "many", float64(n), n%2 == 0, 1, "eu"})
		}
		count, err := c.CopyFrom(ctx, pgx.Identifier{"ticket"}, columns, pgx.CopyFromRows(rows))
		check(err)
		expect("rows", count, 3002)
		expect("sum", text(c, "select sum(amount)::text from ticket where title = 'many'"), "4498500.00")
		expect("gone", changed(c, "delete from ticket where title = 'many'"), 3000)
		_, err = c.CopyFrom(ctx, pgx.Identifier{"ticket"}, columns, pgx.CopyFromRows([][]interface{}{{"o1", "x", 1.0, true, nil, "eu"}, {"o2", "x", 1.0, true, nil, "us"}}))
		expectError(err, "42501", "")
		_, err = c.PgConn().CopyFrom(ctx, strings.NewReader("o1,x,eu\n"), "copy ticket (code, title, region) from stdin (format csv)")
		check(err)
		expect("CSV", changed(c, "delete from ticket where code = 'o1'"), 1)
	})
	return "CopyFrom with 3,002 rows in binary, CSV"
}

func savepoints() string {
	open("omar", func(c *pgx.Conn) {
		outer, err := c.Begin(ctx)
		check(err)
		changed(outer, insertOne, "s1", "kept")
		inner, err := outer.Begin(ctx)
		check(err)
		expectError(failed(inner, insertOne, "i1", "twice"), "23505", "")
		expectError(failed(inner, insertOne, "o1", "failed"), "25P02", "")
		check(inner.Rollback(ctx))
		changed(outer, insertOne, "s2", "after")
		check(outer.Commit(ctx))
		outer, err = c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		check(err)
		changed(outer, insertOne, "s3", "rolled back")
		check(outer.Rollback(ctx))
		outer, err = c.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
		check(err)
		expectError(failed(outer, insertOne, "o1", "read only"), "25006", "")
		check(outer.Rollback(ctx))
	})
	return "nested Begin, RepeatableRead, ReadOnly"
}

func refusals() string {
	open("omar", func(c *pgx.Conn) {
		for _, refused := range [][]string{
			{"insert into ticket (title, region) values ('x', 'us')", "42501", ""}, {"update ticket set region = 'us' where code = 'one'", "42501", ""},
			{"update ticket set amount = -1 where code = 'one'", "23514", "An amount is no debt."}, {"update ticket set code = 'two' where code = 'one'", "23505", ""},
			{"insert into ticket (region) values ('eu')", "23502", ""}, {"update ticket set customer_id = 99 where code = 'one'", "23503", ""},
			{"insert into ticket (title, region) values (repeat('x', 41), 'eu')", "22001", ""}, {"create table mine (id int)", "0A000", ""}, {"drop table ticket", "0A000", ""},
		} {
			expectError(failed(c, refused[0]), refused[1], refused[2])
			expectError(failed(c, refused[0], pgx.QuerySimpleProtocol(true)), refused[1], refused[2])
		}
		rule := expectError(failed(c, "update ticket set amount = $1 where code = 'one'", -1), "23514", "")
		expect("constraint", rule.ConstraintName, "worth")
		expect("after the errors", text(c, "select amount::text from ticket where code = 'one'"), "10.00")
	})
	return "9 statements, extended and simple"
}

func own() string {
	open("omar", func(c *pgx.Conn) {
		batch := &pgx.Batch{}
		for n := 0; n < 50; n++ {
			batch.Queue(insertOne+" returning id", fmt.Sprintf("o%d", n), "batch")
		}
		results := c.SendBatch(ctx, batch)
		keys := map[int64]bool{}
		for n := 0; n < 50; n++ {
			var id int64
			check(results.QueryRow().Scan(&id))
			keys[id] = true
		}
		check(results.Close())
		expect("keys", len(keys), 50)
		// One error takes the whole pipeline back.
		broken := &pgx.Batch{}
		broken.Queue("delete from ticket where title = 'batch'")
		broken.Queue(insertOne, "one", "twice")
		expectError(c.SendBatch(ctx, broken).Close(), "23505", "")
		expect("all or nothing", text(c, "select count(*)::text from ticket where title = 'batch'"), "50")
		expect("simple protocol", changed(c, "delete from ticket where title = $1", pgx.QuerySimpleProtocol(true), "batch"), 50)
	})
	return "batch of 50 with RETURNING, a batch with an error, simple protocol"
}

func main() {
	fmt.Printf("client\tGo pgx\t%s\n", os.Getenv("PGX_VERSION"))
	checks := []struct {
		name string
		run  func() string
	}{
		{"insert", insert}, {"update", update}, {"delete", remove}, {"upsert", upsert}, {"returning", returning}, {"copy", copyIn},
		{"savepoints", savepoints}, {"refusals", refusals}, {"own", own},
	}
	for _, one := range checks {
		func() {
			defer func() {
				if reason := recover(); reason != nil {
					fmt.Printf("%s\tFAIL\t%s\n", one.name, strings.Join(strings.Fields(fmt.Sprint(reason)), " "))
				}
			}()
			note := one.run()
			fmt.Printf("%s\tok\t%s\n", one.name, note)
		}()
	}
}
