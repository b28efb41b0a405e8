#!/usr/bin/env bash
# pgcli without a terminal: its completion refresher and special commands, as two users.
. "$(dirname "$0")/matrix.sh"
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
printf '[main]\nless_chatty = True\nenable_pager = False\nkeyring = False\n' >"$home/rc"

cli() { # user; commands on standard input
  local user=$1
  HOME=$home PAGER=cat "$VENV/bin/pgcli" --pgclirc "$home/rc" --less-chatty "postgres://$user:demo-$user@127.0.0.1:$GATE_PORT/demo" 2>&1
}

check_connect() { contains user "$(cli ada <<<'select current_user;')" ada; }
check_tables() {
  contains tables "$(cli ada <<<'\dt')" opportunities
  case $(cli iris <<<'\dt') in *employees*) echo "iris sees employees" >&2; return 1 ;; esac
}
check_describe() {
  contains salary "$(cli ada <<<'\d employees')" salary
  case $(cli sam <<<'\d employees') in *salary*) echo "sam sees salary" >&2; return 1 ;; esac
}
check_errors() { contains error "$(cli ada <<<'select no_such from regions;')" 'column "no_such" does not exist'; }
check_policy() { contains count "$(cli sam <<<'select count(*) from accounts;')" 2157; }

run_checks pgcli "$("$VENV/bin/pgcli" --version | sed 's/.*: //')"
