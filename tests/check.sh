# Functions for checks in shell scripts, like check.py and check.mjs. To be sourced.

passed=0 failed=0

check() { # NAME FOUND: passes when nothing was found
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok    $1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s:\n%s\n' "$1" "$2"
    fi
}

summary() { # TITLE: the counts; fails if a check did
    printf '%s:\n%d passed, %d failed\n' "$1" "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
