# The checks of the client matrix for programs driven from a shell, sourced by each script. Knows no client.
export PGHOST=127.0.0.1 PGPORT="$GATE_PORT" PGDATABASE=demo PGCONNECT_TIMEOUT=5
LARGE="select id, account_id, occurred_at, duration_ms from events order by id limit 50000"
SLOW="select count(*) from events a join events b on a.duration_ms < b.duration_ms"

as() { # user, command…
  local user=$1
  shift
  PGUSER=$user PGPASSWORD=demo-$user "$@"
}

expect() { # what, got, wanted
  [ "$2" = "$3" ] && return 0
  echo "$1: '$2' instead of '$3'" >&2
  return 1
}

contains() { # what, text, words
  case $2 in *"$3"*) return 0 ;; esac
  echo "$1: '$3' is not in '$2'" >&2
  return 1
}

# Runs the function of each check; its standard output is the note, its standard error the reason of a failure.
# A status of 3 is a refusal that the note explains.
run_checks() { # client, version
  printf 'client\t%s\t%s\n' "$1" "$2"
  local errors
  errors=$(mktemp)
  for check in ${CHECKS:-connect tables describe types parameters errors cancel transactions fetch policy own}; do
    if ! declare -F "check_$check" >/dev/null; then
      printf '%s\tn/a\t\n' "$check"
      continue
    fi
    local status=0 note
    # Not behind "||": that would switch off -e inside.
    set +e
    note=$(set -e; "check_$check" 2>"$errors")
    status=$?
    case $status in
      0) printf '%s\tok\t%s\n' "$check" "$(tr '\n\t' '  ' <<<"$note")" ;;
      3) printf '%s\trefused\t%s\n' "$check" "$(tr '\n\t' '  ' <<<"$note")" ;;
      *) printf '%s\tFAIL\t%s %s\n' "$check" "$(tr '\n\t' '  ' <<<"$note" | tail -c 600)" "$(tr '\n\t' '  ' <"$errors" | head -c 900)" ;;
    esac
  done
  rm -f "$errors"
}
