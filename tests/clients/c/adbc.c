/* ADBC from C: the flightsql driver as a shared library, without Python and without a driver manager.

   adbc DRIVER URI USER... logs each user in (password demo-USER), counts rows, binds a parameter, reads a schema, meets an error
   and goes on. Prints a line for each user. The declarations are ADBC's and Arrow's C interfaces, as far as they are used. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Schema {
  const char *format, *name, *metadata;
  int64_t flags, n_children;
  struct Schema **children, *dictionary;
  void (*release)(struct Schema *);
  void *private_data;
};
struct Array {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct Array **children, *dictionary;
  void (*release)(struct Array *);
  void *private_data;
};
struct Stream {
  int (*get_schema)(struct Stream *, struct Schema *);
  int (*get_next)(struct Stream *, struct Array *);
  const char *(*get_last_error)(struct Stream *);
  void (*release)(struct Stream *);
  void *private_data;
};
struct Error {
  char *message;
  int32_t vendor_code;
  char sqlstate[5];
  void (*release)(struct Error *);
  void *private_data, *private_driver;
};
/* Databases, connections and statements look alike from outside. */
struct Handle {
  void *private_data, *private_driver;
};

typedef uint8_t (*Make)(struct Handle *, struct Error *);
typedef uint8_t (*MakeOf)(struct Handle *, struct Handle *, struct Error *);
typedef uint8_t (*Set)(struct Handle *, const char *, const char *, struct Error *);
typedef uint8_t (*Query)(struct Handle *, const char *, struct Error *);
typedef uint8_t (*Execute)(struct Handle *, struct Stream *, int64_t *, struct Error *);
typedef uint8_t (*Bind)(struct Handle *, struct Array *, struct Schema *, struct Error *);

static void *library;
static struct Error error;

static void *function(const char *name) {
  void *found = dlsym(library, name);
  if (!found) {
    fprintf(stderr, "the driver has no %s\n", name);
    exit(1);
  }
  return found;
}

static void check(uint8_t status, const char *what) {
  if (status) {
    fprintf(stderr, "%s: status %d: %s\n", what, status, error.message ? error.message : "");
    exit(1);
  }
}

/* Rows of a statement, or -1; then `error` says why. */
static int64_t rows_of(struct Handle *statement, struct Schema *schema) {
  struct Stream stream = {0};
  struct Array array = {0};
  int64_t affected, rows = 0;
  if (((Execute)function("AdbcStatementExecuteQuery"))(statement, &stream, &affected, &error)) return -1;
  if (schema && stream.get_schema(&stream, schema)) return -1;
  for (;;) {
    if (stream.get_next(&stream, &array)) {
      fprintf(stderr, "%s\n", stream.get_last_error(&stream));
      exit(1);
    }
    if (!array.release) break;
    rows += array.length;
    array.release(&array);
  }
  stream.release(&stream);
  return rows;
}

static void kept(struct Schema *schema) { schema->release = NULL; }
static void kept_array(struct Array *array) { array->release = NULL; }

/* One row with one text, owned by the caller. */
static void bind_text(struct Handle *statement, const char *text) {
  static int32_t offsets[2];
  static const void *buffers[3], *none[1];
  static struct Schema field, *fields[1] = {&field};
  static struct Array column, *columns[1] = {&column};
  offsets[1] = (int32_t)strlen(text);
  buffers[1] = offsets;
  buffers[2] = text;
  field = (struct Schema){.format = "u", .name = "1", .flags = 2, .release = kept};
  column = (struct Array){.length = 1, .n_buffers = 3, .buffers = buffers, .release = kept_array};
  struct Schema schema = {.format = "+s", .name = "", .n_children = 1, .children = fields, .release = kept};
  struct Array array = {.length = 1, .n_buffers = 1, .n_children = 1, .buffers = none, .children = columns, .release = kept_array};
  check(((Bind)function("AdbcStatementBind"))(statement, &array, &schema, &error), "bind");
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  Query query = (Query)function("AdbcStatementSetSqlQuery");
  Make prepare = (Make)function("AdbcStatementPrepare");
  for (int user = 3; user < count; user++) {
    char password[64];
    struct Handle database = {0}, connection = {0}, statement = {0};
    struct Schema schema = {0};
    snprintf(password, sizeof password, "demo-%s", arguments[user]);
    Set set = (Set)function("AdbcDatabaseSetOption");
    check(((Make)function("AdbcDatabaseNew"))(&database, &error), "database");
    check(set(&database, "uri", arguments[2], &error), "uri");
    check(set(&database, "username", arguments[user], &error), "username");
    check(set(&database, "password", password, &error), "password");
    check(((Make)function("AdbcDatabaseInit"))(&database, &error), "init");
    check(((Make)function("AdbcConnectionNew"))(&connection, &error), "connection");
    check(((MakeOf)function("AdbcConnectionInit"))(&connection, &database, &error), "connect");
    check(((MakeOf)function("AdbcStatementNew"))(&connection, &statement, &error), "statement");
    check(query(&statement, "SELECT id, 12.50::numeric(12,2) AS price FROM accounts", &error), "query");
    int64_t all = rows_of(&statement, &schema);
    if (all < 0) check(1, "execute");
    check(query(&statement, "SELECT nothing FROM accounts", &error), "query");
    const char *refused = rows_of(&statement, NULL) < 0 && strstr(error.message, "42703") ? "42703" : "passed";
    check(query(&statement, "SELECT id FROM accounts WHERE industry = $1", &error), "query");
    check(prepare(&statement, &error), "prepare");
    bind_text(&statement, "retail");
    int64_t retail = rows_of(&statement, NULL);
    printf("%s rows=%lld retail=%lld %s:%s refused=%s\n", arguments[user], (long long)all, (long long)retail, schema.children[1]->name,
           schema.children[1]->format, refused);
    schema.release(&schema);
    check(((Make)function("AdbcStatementRelease"))(&statement, &error), "release");
    check(((Make)function("AdbcConnectionRelease"))(&connection, &error), "disconnect");
    check(((Make)function("AdbcDatabaseRelease"))(&database, &error), "close");
  }
  return 0;
}
