// pgx 4: prepared statements in binary, simple protocol, batch, COPY out, cancel by context, nested transactions.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

const large = "select id, account_id, occurred_at, duration_ms from events order by id limit 50000"
const slow = "select count(*) from events a join events b on a.duration_ms < b.duration_ms"

var ctx = context.Background()

func uri(user string) string {
	return fmt.Sprintf("postgres://%s:demo-%s@127.0.0.1:%s/demo", user, user, os.Getenv("GATE_PORT"))
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

func expectState(err error, state string) {
	var found *pgconn.PgError
	if !errors.As(err, &found) {
		panic(fmt.Errorf("no PostgreSQL error, expected %s: %v", state, err))
	}
	expect("SQLSTATE of "+found.Message, found.Code, state)
}

func open(user string, act func(*pgx.Conn)) {
	connection, err := pgx.Connect(ctx, uri(user))
	check(err)
	defer connection.Close(ctx)
	act(connection)
}

func connect() string {
	open("ada", func(c *pgx.Conn) {
		var user, version string
		check(c.QueryRow(ctx, "select current_user::text, version()").Scan(&user, &version))
		expect("user", user, "ada")
	})
	return ""
}

func tables() string {
	for user, count := range map[string]int{"ada": 22, "sam": 22, "iris": 15} {
		open(user, func(c *pgx.Conn) {
			var found, employees int
			sql := "select count(*), count(*) filter (where table_name = 'employees') from information_schema.tables where table_schema = $1"
			check(c.QueryRow(ctx, sql, "public").Scan(&found, &employees))
			expect("tables of "+user, found, count)
			expect("employees", employees == 1, user != "iris")
		})
	}
	return ""
}

func describe() string {
	for user, count := range map[string]int{"ada": 10, "sam": 8} {
		open(user, func(c *pgx.Conn) {
			prepared, err := c.Prepare(ctx, "d", "select * from employees")
			check(err)
			expect("columns", len(prepared.Fields), count)
			expect("column of its table", prepared.Fields[0].TableAttributeNumber, 1)
		})
	}
	return ""
}

func types() string {
	text, err := ioutil.ReadFile(os.Getenv("TYPES"))
	check(err)
	count := 0
	var wrong []string
	open("ada", func(c *pgx.Conn) {
		for _, line := range strings.Split(strings.Trim(string(text), "\n"), "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			parts := strings.SplitN(line, "\t", 3)
			count++
			rows, err := c.PgConn().Exec(ctx, "select "+parts[1]).ReadAll()
			if err != nil {
				wrong = append(wrong, parts[0]+": "+err.Error())
			} else if got := string(rows[0].Rows[0][0]); got != parts[2] {
				wrong = append(wrong, parts[0]+": "+got)
			}
			// The same in binary, as the client reads it.
			if binary, err := c.Query(ctx, "select "+parts[1]); err != nil {
				wrong = append(wrong, parts[0]+" in binary: "+err.Error())
			} else {
				for binary.Next() {
					if _, err := binary.Values(); err != nil {
						wrong = append(wrong, parts[0]+" in binary: "+err.Error())
					}
				}
				binary.Close()
			}
		}
		names, err := c.Query(ctx, "select table_name::text from information_schema.tables where table_schema = 'public'")
		check(err)
		var all []string
		for names.Next() {
			var name string
			check(names.Scan(&name))
			all = append(all, name)
		}
		for _, name := range all {
			rows, err := c.Query(ctx, "select * from "+name+" limit 50")
			check(err)
			for rows.Next() {
				if _, err := rows.Values(); err != nil {
					wrong = append(wrong, name+": "+err.Error())
				}
			}
			check(rows.Err())
		}
	})
	if len(wrong) > 0 {
		panic(errors.New(strings.Join(wrong, "; ")))
	}
	return fmt.Sprintf("%d types in text and binary, every column of every table", count)
}

func parameters() string {
	open("ada", func(c *pgx.Conn) {
		for n := 1; n <= 12; n++ {
			var id, text string
			var next int
			var nothing *string
			wanted := fmt.Sprintf("acc_%05d", n)
			check(c.QueryRow(ctx, "select id from accounts where id = $1", wanted).Scan(&id))
			expect("id", id, wanted)
			check(c.QueryRow(ctx, "select $1::int4 + 1, $2::text, $3::text", n, "o'x", nil).Scan(&next, &text, &nothing))
			expect("number", next, n+1)
			expect("text", text, "o'x")
			expect("null", nothing == nil, true)
			var count int
			check(c.QueryRow(ctx, "select count(*) from accounts where id = any($1)", []string{wanted, "none"}).Scan(&count))
			expect("any", count, 1)
			var day time.Time
			check(c.QueryRow(ctx, "select $1::date + $2::int4", time.Date(2024, 2, 28, 0, 0, 0, 0, time.UTC), 1).Scan(&day))
			expect("date", day.Format("2006-01-02"), "2024-02-29")
		}
	})
	return "4 statements, 12 executions each, binary"
}

func failures() string {
	open("ada", func(c *pgx.Conn) {
		states := map[string]string{"select * from no_such_table": "42P01", "select no_such from regions": "42703", "selec 1": "42601", "select 1/0": "22012"}
		for sql, state := range states {
			rows, err := c.Query(ctx, sql)
			if err == nil {
				rows.Next()
				err = rows.Err()
			}
			expectState(err, state)
		}
		var one int
		check(c.QueryRow(ctx, "select 1").Scan(&one))
	})
	_, err := pgx.Connect(ctx, strings.Replace(uri("ada"), "demo-ada", "wrong", 1))
	expectState(err, "28P01")
	return ""
}

func cancel() string {
	open("ada", func(c *pgx.Conn) {
		done := make(chan error)
		go func() {
			_, err := c.Exec(ctx, slow)
			done <- err
		}()
		time.Sleep(time.Second)
		check(c.PgConn().CancelRequest(ctx))
		expectState(<-done, "57014")
		var one int
		check(c.QueryRow(ctx, "select 1").Scan(&one))
	})
	return ""
}

func transactions() string {
	open("ada", func(c *pgx.Conn) {
		options := pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}
		outer, err := c.BeginTx(ctx, options)
		check(err)
		inner, err := outer.Begin(ctx)
		check(err)
		_, err = inner.Exec(ctx, "select 1/0")
		expectState(err, "22012")
		_, err = inner.Exec(ctx, "select 1")
		expectState(err, "25P02")
		check(inner.Rollback(ctx))
		var count int
		check(outer.QueryRow(ctx, "select count(*) from regions").Scan(&count))
		expect("after the savepoint", count, 4)
		check(outer.Commit(ctx))
	})
	return "serializable read only deferrable, nested by savepoint"
}

func fetch() string {
	count := 0
	open("ada", func(c *pgx.Conn) {
		rows, err := c.Query(ctx, large)
		check(err)
		for rows.Next() {
			count++
		}
		check(rows.Err())
		left, err := c.Query(ctx, large)
		check(err)
		left.Next()
		left.Close()
		var one int
		check(c.QueryRow(ctx, "select 1").Scan(&one))
	})
	expect("rows", count, 50000)
	return "50000 rows as they come, one result left unread"
}

func policy() string {
	for user, wanted := range map[string]int{"ada": 20000, "sam": 2157} {
		open(user, func(c *pgx.Conn) {
			var count int
			check(c.QueryRow(ctx, "select count(*) from accounts").Scan(&count))
			expect("accounts of "+user, count, wanted)
		})
	}
	open("sam", func(c *pgx.Conn) {
		for _, what := range []string{"salary from employees", "unit_cost from products"} {
			_, err := c.Exec(ctx, "select "+what)
			expectState(err, "42703")
		}
	})
	return ""
}

func own() string {
	open("ada", func(c *pgx.Conn) {
		batch := &pgx.Batch{}
		for n := 0; n < 12; n++ {
			batch.Queue("select $1::int4 * 2", n)
		}
		results := c.SendBatch(ctx, batch)
		for n := 0; n < 12; n++ {
			var twice int
			check(results.QueryRow().Scan(&twice))
			expect("of the batch", twice, 2*n)
		}
		check(results.Close())
		var out bytes.Buffer
		_, err := c.PgConn().CopyTo(ctx, &out, "copy (select id from regions order by id) to stdout")
		check(err)
		expect("COPY", out.String(), "amer\napac\nemea\nlatam\n")
		var simple string
		check(c.QueryRow(ctx, "select id from regions where id = $1", pgx.QuerySimpleProtocol(true), "emea").Scan(&simple))
		expect("simple protocol", simple, "emea")
	})
	return "batch of 12, COPY out, simple protocol"
}

func main() {
	fmt.Printf("client\tGo pgx\t%s\n", os.Getenv("PGX_VERSION"))
	checks := []struct {
		name string
		run  func() string
	}{
		{"connect", connect}, {"tables", tables}, {"describe", describe}, {"types", types}, {"parameters", parameters},
		{"errors", failures}, {"cancel", cancel}, {"transactions", transactions}, {"fetch", fetch}, {"policy", policy}, {"own", own},
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
