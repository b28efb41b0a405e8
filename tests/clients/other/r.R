# R: RPostgreSQL through DBI.
suppressMessages(library(RPostgreSQL))
open <- function(user, password = paste0("demo-", user)) {
  dbConnect(PostgreSQL(), host = "127.0.0.1", port = as.integer(Sys.getenv("GATE_PORT")), dbname = "demo", user = user, password = password)
}
expect <- function(what, got, wanted) if (!identical(got, wanted)) stop(sprintf("%s: %s instead of %s", what, paste(got, collapse = ","), paste(wanted, collapse = ",")))
one <- function(c, sql) dbGetQuery(c, sql)[[1]][1]
fails <- function(c, sql, words) {
  text <- tryCatch({ suppressWarnings(dbGetQuery(c, sql)); dbGetException(c)$errorMsg }, error = function(e) paste(conditionMessage(e), dbGetException(c)$errorMsg))
  if (!grepl(words, text, fixed = TRUE)) stop(sprintf("'%s' has no '%s'", text, words))
}
checks <- list(
  connect = function() expect("user", one(open("ada"), "select current_user::text"), "ada"),
  tables = function() {
    for (pair in list(list("ada", TRUE), list("iris", FALSE))) expect("employees", dbExistsTable(open(pair[[1]]), "employees"), pair[[2]])
    expect("tables", length(grep("^(accounts|employees|events)$", dbListTables(open("ada")))), 3L)
  },
  describe = function() {
    expect("ada", length(dbListFields(open("ada"), "employees")), 10L)
    expect("sam", length(dbListFields(open("sam"), "employees")), 8L)
  },
  types = function() {
    c <- open("ada")
    for (table in c("accounts", "employees", "events", "invoices", "exchange_rates", "opportunities")) dbGetQuery(c, paste("select * from", table, "limit 50"))
    row <- dbGetQuery(c, "select 1::int4 a, 1.5::float8 b, true c, 'x'::text d, date '2024-02-29' e")
    expect("values", c(class(row$a), class(row$b), class(row$c), class(row$d), class(row$e)), c("integer", "numeric", "logical", "character", "Date"))
    "6 tables, R's own types"
  },
  parameters = function() {
    c <- open("ada")
    for (n in 1:12) expect("id", dbGetQuery(c, "select id from accounts where id = $1", c(sprintf("acc_%05d", n)))$id, sprintf("acc_%05d", n))
    "12 executions"
  },
  errors = function() {
    c <- open("ada")
    fails(c, "select * from no_such_table", "does not exist")
    fails(c, "select 1/0", "division by zero")
    expect("after", as.numeric(one(c, "select 1")), 1)
  },
  transactions = function() {
    c <- open("ada")
    dbBegin(c)
    expect("read", as.numeric(one(c, "select count(*) from regions")), 4)
    dbCommit(c)
    fails(c, "insert into regions (id) values ('x')", "INSERT is not supported")
    "writes are refused: the gate reads"
  },
  fetch = function() {
    c <- open("ada")
    result <- dbSendQuery(c, "select id, occurred_at from events order by id limit 50000")
    count <- 0
    while (nrow(part <- fetch(result, n = 1000)) > 0) count <- count + nrow(part)
    expect("rows", count, 50000)
    "fetch(n = 1000)"
  },
  policy = function() {
    expect("ada", as.numeric(one(open("ada"), "select count(*) from accounts")), 20000)
    expect("sam", as.numeric(one(open("sam"), "select count(*) from accounts")), 2157)
    fails(open("sam"), "select salary from employees", "does not exist")
  }
)
cat(sprintf("client\tR RPostgreSQL\t%s\n", packageVersion("RPostgreSQL")))
for (name in c("connect", "tables", "describe", "types", "parameters", "errors", "cancel", "transactions", "fetch", "policy", "own")) {
  if (is.null(checks[[name]])) { cat(name, "\tn/a\t\n", sep = ""); next }
  note <- tryCatch({ r <- checks[[name]](); c("ok", if (is.character(r) && length(r) == 1 && grepl(" |fetch", r)) r else "") }, error = function(e) c("FAIL", conditionMessage(e)))
  cat(name, "\t", note[1], "\t", gsub("[\t\n]+", " ", note[2]), "\n", sep = "")
}
